"""What the chapter measures on the machines: whole states against the interpreter, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reprise.expressivity.looped.compiled import CompiledMachine
from reprise.expressivity.looped.fleq import OPS, FleqMachine
from reprise.expressivity.looped.fleq_interpreter import run_fleq
from reprise.expressivity.looped.fleq_programs import FleqTask
from reprise.expressivity.looped.gadgets import code
from reprise.expressivity.looped.interpreter import random_subleq, run_subleq
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


def scaled_programs(
    rng: np.random.Generator, *, words: int, columns: int, least: int, bits: int, count: int
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
        rng, words=words, instructions=columns - 2 - words, bits=least, count=count
    )
    return memories * 2 ** (bits - least), programs


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


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least-squares slope of y over x."""
    return float(np.polyfit(x, y, 1)[0])


@dataclass(frozen=True)
class TaskRun:
    """A FLEQ program's run on the machine.

    Attributes
    ----------
    words : ndarray, shape (t + 1, k, dm, dm)
        Before the first step and after each.
    pc : ndarray, shape (t + 1,), int64
    wrong_counters : int
        Steps at which the counter is not the interpreter's.
    """

    words: NDArray[np.float64]
    pc: NDArray[np.int64]
    wrong_counters: int

    def results(self, task: FleqTask, name: str) -> NDArray[np.float64]:
        """A word at the start and after each iteration, shape (iterations + 1, dm, dm)."""
        return task.word(self.words, name)[np.append(0, task.finished)]


def run_task(machine: FleqMachine, evaluator: CompiledMachine, task: FleqTask) -> TaskRun:
    """Run a program to its end, step by step, and read the machine after each.

    Parameters
    ----------
    machine : FleqMachine
    evaluator : CompiledMachine
        Of this machine.
    task : FleqTask
    """
    program = task.program
    X = machine.init(program.words, program.instructions)[None]
    count = len(program.words)
    words = np.empty((task.steps + 1, *program.words.shape))
    pc = np.zeros(task.steps + 1, np.int64)
    words[0] = program.words
    for step in range(1, task.steps + 1):
        X = evaluator.run(X, 1).states
        reading = machine.read(X[0], count)
        words[step], pc[step] = reading.words, reading.pc
    truth = run_fleq(program.words, program.instructions, steps=task.steps)
    return TaskRun(words, pc, int((truth.pc != pc).sum()))


@dataclass(frozen=True)
class OperationErrors:
    """One dense step of an operation against the interpreter.

    Attributes
    ----------
    worst : float
        Largest error of a word's entry.
    others_equal : bool
        Whether every other row is what ``init`` would write.
    """

    worst: float
    others_equal: bool


def operation_errors(
    machine: FleqMachine, op: str, rng: np.random.Generator, draws: int = 3
) -> OperationErrors:
    """Execute one instruction from random words, uniform on [-1, 1] (splines: on [0.01, 4])."""
    low, high = (0.01, 4.0) if op in ("RECIP", "RSQRT") else (-1.0, 1.0)
    worst, equal = 0.0, True
    keep = [row for row in range(machine.width) if row not in machine.rows["MEM"]]
    for _ in range(draws):
        words = rng.uniform(low, high, (4, machine.dim, machine.dim))
        program = [[OPS.index(op), 0, 1, 2, 3, 1], [0, 0, 0, 0, 0, 1]]
        truth = run_fleq(words, program, steps=1)
        X = machine.transformer(machine.init(words, program))
        reading = machine.read(X, 4)
        worst = max(worst, float(np.abs(reading.words - truth.words[-1]).max()))
        right = machine.init(truth.words[-1], program, int(truth.pc[-1]))
        equal &= torch.equal(X[keep], right[keep])
    return OperationErrors(worst, equal)


def flag_follows_the_write(machine: FleqMachine) -> bool:
    """Whether SUB 1 - 2 branches and SUB 2 - 1 does not, where the result is the flag."""
    taken = []
    for a, b in ((1.0, 2.0), (2.0, 1.0)):
        words = np.zeros((3, machine.dim, machine.dim))
        words[0, 0, 0], words[1, 0, 0] = a, b
        words[2, 0, 0] = b - a  # what was there before the write says the opposite
        program = [[OPS.index("SUB"), 0, 1, 2, 2, 2], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 2]]
        X = machine.transformer(machine.init(words, program))
        taken.append(int(machine.read(X, 3).pc) == 2)
    return taken == [True, False]


def dense_against_compiled(
    machine: FleqMachine, evaluator: CompiledMachine, task: FleqTask, steps: int
) -> tuple[int, float]:
    """States of a run that differ outside the words, and the largest difference of a word."""
    X = machine.init(task.program.words, task.program.instructions)[None]
    fast, wrong, worst = X, 0, 0.0
    keep = [row for row in range(machine.width) if row not in machine.rows["MEM"]]
    for _ in range(steps):
        X, fast = machine.transformer(X), evaluator.run(fast, 1).states
        wrong += not torch.equal(X[:, keep], fast[:, keep])
        worst = max(worst, float((X - fast).abs().max()))
    return wrong, worst
