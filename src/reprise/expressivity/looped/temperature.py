"""How sharp must softmax be? The least inverse temperature at which a machine still computes.

A decoder loses attention to neighbouring addresses (`gadgets.leak`). A snap right behind it cuts a
loss below 1/8 away and never fails at one of more than 1/4; without a snap the subtraction
multiplies it by powers of two. So the four-layer machine's threshold follows from the number of
columns alone, the three-layer machine's grows with the word length.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from reprise.expressivity.looped.interpreter import SubleqTrace, trace_all
from reprise.expressivity.looped.subleq import SubleqMachine


def agrees(
    machine: SubleqMachine,
    memories: NDArray[np.int64],
    programs: NDArray[np.int64],
    steps: int,
    lam: float,
) -> NDArray[np.bool_]:
    """Which programs leave the interpreter's memory and counter after every step at ``lam``.

    Parameters
    ----------
    machine : SubleqMachine
    memories : ndarray, shape (P, m), int64
    programs : ndarray, shape (P, k, 3), int64
    steps : int
        At least 1.
    lam : float
        Inverse temperature.

    Returns
    -------
    ndarray, shape (P,), bool

    Raises
    ------
    ValueError
        As `SubleqMachine.init` and `LoopedTransformer.forward`.
    """
    truth = trace_all(memories, programs, machine.bits, steps)
    return _agree(machine, memories, programs, truth, lam, stop_early=False)


def temperature_threshold(
    machine: SubleqMachine,
    memories: NDArray[np.int64],
    programs: NDArray[np.int64],
    steps: int,
    tolerance: float = 0.05,
    low: float = 0.5,
    high: float = 12.0,
) -> float:
    """Least inverse temperature at which all programs run as on the interpreter, by bisection.

    Parameters
    ----------
    machine : SubleqMachine
    memories : ndarray, shape (P, m), int64
    programs : ndarray, shape (P, k, 3), int64
    steps : int
    tolerance : float
        Width of the last bracket.
    low, high : float
        The first bracket.

    Returns
    -------
    float
        The upper end of the last bracket; ``high`` where even that fails.

    Raises
    ------
    ValueError
        If not ``0 < low < high`` and ``tolerance > 0``, or as `agrees`.
    """
    if not (0 < low < high and tolerance > 0):
        raise ValueError(
            f"low, high and tolerance must satisfy 0 < low < high and tolerance > 0, "
            f"got {low}, {high}, {tolerance}"
        )
    truth = trace_all(memories, programs, machine.bits, steps)
    while high - low > tolerance:
        middle = (low + high) / 2
        if _agree(machine, memories, programs, truth, middle, stop_early=True).all():
            high = middle
        else:
            low = middle
    return high


def _agree(
    machine: SubleqMachine,
    memories,
    programs,
    truth: list[SubleqTrace],
    lam: float,
    *,
    stop_early: bool,
) -> NDArray[np.bool_]:
    words, steps = memories.shape[1], max(len(trace.pc) for trace in truth) - 1
    right = np.ones(len(truth), dtype=bool)
    X = machine.init(memories, programs)
    with torch.no_grad():
        for step in range(1, steps + 1):
            X = machine.transformer(X, lam)
            reading = machine.read(X, words)
            for i, trace in enumerate(truth):
                at = min(step, len(trace.pc) - 1)  # a halted program stays as it is
                same = reading.pc[i] == trace.pc[at]
                right[i] &= same and np.array_equal(reading.memory[i], trace.memory[at])
            if stop_early and not right.all():
                break
    return right
