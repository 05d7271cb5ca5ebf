"""What the chapter measures on the machines: whole states against the interpreter, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reprise.expressivity.looped.gadgets import code
from reprise.expressivity.looped.interpreter import run_subleq
from reprise.expressivity.looped.network import Head
from reprise.expressivity.looped.subleq import SubleqMachine


@dataclass(frozen=True)
class Differences:
    """Outcome of a differential test.

    Attributes
    ----------
    states : int
        States compared: one a program and step, until the program halts.
    wrong : int
        States that differ anywhere from the one that the interpreter's memory and counter give.
    programs : ndarray, shape (P,), bool
        Programs without a wrong state.
    """

    states: int
    wrong: int
    programs: NDArray[np.bool_]


def differences(
    machine: SubleqMachine,
    memories: NDArray[np.int64],
    programs: NDArray[np.int64],
    steps: int,
    *,
    dtype: torch.dtype = torch.float64,
    lam: float | None = None,
) -> Differences:
    """Compare the transformer's whole sequence with the interpreter's after every step.

    Parameters
    ----------
    machine : SubleqMachine
    memories : ndarray, shape (P, m), int64
    programs : ndarray, shape (P, k, 3), int64
    steps : int
    dtype : torch.dtype
        In which the transformer runs.
    lam : float, optional
        Inverse temperature; hardmax by default.

    Returns
    -------
    Differences

    Raises
    ------
    ValueError
        As `SubleqMachine.init`.
    """
    traces = [
        run_subleq(memory, program, machine.bits, steps=steps)
        for memory, program in zip(memories, programs, strict=True)
    ]
    lengths = np.array([len(trace.pc) - 1 for trace in traces])
    net = machine.transformer
    if dtype != torch.float64:
        net = SubleqMachine(machine.columns, machine.bits, machine.snapped).transformer.to(dtype)
    X = machine.init(memories, programs).to(dtype)
    wrong, clean = 0, np.ones(len(traces), dtype=bool)
    with torch.no_grad():
        for step in range(1, int(lengths.max(initial=0)) + 1):
            X = net(X, lam)
            running = np.flatnonzero(lengths >= step)
            memory = np.stack([traces[i].memory[step] for i in running])
            pc = np.array([traces[i].pc[step] for i in running])
            right = machine.init(memory, programs[running], pc)
            same = (X[running].double() == right).flatten(1).all(dim=1).numpy()
            wrong += int((~same).sum())
            clean[running] &= same
    return Differences(int(lengths.sum()), wrong, clean)


def run_until_halted(machine: SubleqMachine, states: Tensor, limit: int) -> tuple[Tensor, int]:
    """Loop a batch of programs until no state changes any more: (states, steps of the longest).

    Parameters
    ----------
    machine : SubleqMachine
    states : Tensor, shape (P, d, n)
    limit : int
        Most steps.

    Raises
    ------
    RuntimeError
        If a program has not halted by then.
    """
    with torch.no_grad():
        for step in range(limit + 1):
            after = machine.transformer(states)
            if torch.equal(after, states):
                return states, step
            states = after
    raise RuntimeError(f"a program has not halted within limit = {limit} steps")


def address_head(bits: int) -> tuple[Head, Tensor]:
    """A bare decoder and a sequence of all codes: column i asks for address i.

    Returns
    -------
    Head, Tensor of shape (bits, 2**bits)
    """
    eye = torch.eye(bits, dtype=torch.float64)
    return Head(eye, eye, eye), torch.from_numpy(code(np.arange(2**bits), bits).T.copy())


def measured_leak(bits: int, lam: float, attention: Callable | None = None) -> float:
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


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of y over x."""
    return float(np.polyfit(x, y, 1)[0])
