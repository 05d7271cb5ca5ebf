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
from torch import Tensor

from reprise.expressivity.looped.gadgets import code
from reprise.expressivity.looped.interpreter import SubleqTrace, random_subleq, trace_all
from reprise.expressivity.looped.network import Head
from reprise.expressivity.looped.subleq import SubleqMachine


def address_head(bits: int) -> tuple[Head, Tensor]:
    """A bare decoder and a sequence of all codes: column i asks for address i.

    Returns
    -------
    Head, Tensor of shape (bits, 2**bits)
    """
    eye = torch.eye(bits, dtype=torch.float64)
    return Head(eye, eye, eye), torch.from_numpy(code(np.arange(2**bits), bits).T.copy())


def measured_leak(bits: int, lam: float) -> float:
    """Attention that the query for address 0 pays to other columns: one query, all 2^bits keys."""
    head, codes = address_head(bits)
    scores = (head.K @ codes).mT @ (head.Q @ codes[:, :1])
    weights = (lam * scores).softmax(dim=-2)[:, 0]
    return float(weights[1:].sum())


def measured_temperature(bits: int, eps: float) -> float:
    """Least inverse temperature with a leak of at most ``eps``, by bisection on the attention."""
    low, high = 1e-3, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if measured_leak(bits, middle) <= eps else (middle, high)
    return high


def scaled_programs(
    *, words: int, columns: int, least: int, bits: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random programs whose memory of ``least`` bits is scaled up to ``bits``.

    From one stream, programs of all word lengths take nearly the same way, so that a comparison of
    word lengths compares nothing else.

    Returns
    -------
    ndarray, shape (count, words), int64
    ndarray, shape (count, columns - 2 - words, 3), int64
    """
    memories, programs = random_subleq(
        words=words, instructions=columns - 2 - words, bits=least, count=count, rng=rng
    )
    return memories * 2 ** (bits - least), programs


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
    # a tolerance below the spacing of floats ends where no number lies between
    while high - low > tolerance and low < (middle := (low + high) / 2) < high:
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
    right = np.arange(len(truth))  # programs that agree so far; the others go no further
    X = machine.init(memories, programs)
    with torch.no_grad():
        for step in range(1, steps + 1):
            X = machine.transformer(X, lam)
            reading = machine.read(X, words)
            same = np.ones(len(right), dtype=bool)
            for i, trace in enumerate(truth[k] for k in right):
                at = min(step, len(trace.pc) - 1)  # a halted program stays as it is
                same[i] = reading.pc[i] == trace.pc[at]
                same[i] &= np.array_equal(reading.memory[i], trace.memory[at])
            if not same.all():
                X, right = X[same], right[same]
            if len(right) < (len(truth) if stop_early else 1):
                break
    return np.isin(np.arange(len(truth)), right)
