"""What the chapter measures on the machines: whole states against the interpreter, in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reprise.expressivity.looped.assembler import SubleqProgram
from reprise.expressivity.looped.compiled import CompiledMachine
from reprise.expressivity.looped.compiler import columns_for, compile_source, variables
from reprise.expressivity.looped.fleq import OPS, FleqMachine
from reprise.expressivity.looped.fleq_interpreter import run_fleq
from reprise.expressivity.looped.fleq_programs import FleqTask
from reprise.expressivity.looped.gadgets import code
from reprise.expressivity.looped.interpreter import (
    LostProgramError,
    random_subleq,
    run_subleq,
    run_subleq_to_end,
    trace_all,
)
from reprise.expressivity.looped.language import run_source
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
    """

    states: int
    wrong: int


def differences(
    machine: SubleqMachine,
    memories: NDArray[np.int64],
    programs: NDArray[np.int64],
    steps: int,
    *,
    dtype: torch.dtype = torch.float64,
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

    Returns
    -------
    Differences

    Raises
    ------
    ValueError
        As `SubleqMachine.init`.
    """
    traces = trace_all(memories, programs, machine.bits, steps)
    lengths = np.array([len(trace.pc) - 1 for trace in traces])
    net = machine.transformer
    if dtype != torch.float64:
        net = SubleqMachine(machine.columns, machine.bits, machine.snapped).transformer.to(dtype)
    X = machine.init(memories, programs).to(dtype)
    wrong = 0
    with torch.no_grad():
        for step in range(1, int(lengths.max(initial=0)) + 1):
            X = net(X)
            running = np.flatnonzero(lengths >= step)
            memory = np.stack([traces[i].memory[step] for i in running])
            pc = np.array([traces[i].pc[step] for i in running])
            right = machine.init(memory, programs[running], pc)
            wrong += int((X[running].double() != right).flatten(1).any(dim=1).sum())
    return Differences(int(lengths.sum()), wrong)


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


@dataclass(frozen=True)
class Case:
    """A program and the words that it must leave.

    Attributes
    ----------
    program : SubleqProgram
    expected : dict of str to int
        Final words, by their names.
    """

    program: SubleqProgram
    expected: dict[str, int]


def right_results(cases: Sequence[Case], columns: int, bits: int, limit: int) -> list[bool]:
    """Which programs leave the expected words, side by side on the dense transformer.

    Parameters
    ----------
    cases : sequence of Case
    columns, bits : int
        Of the machine.
    limit : int
        Most steps.

    Raises
    ------
    RuntimeError
        If a program has not halted by then.
    """
    machine = SubleqMachine(columns, bits)
    start = torch.stack([machine.init(c.program.memory, c.program.program) for c in cases])
    end, _ = run_until_halted(machine, start, limit)
    right = []
    for case, state in zip(cases, end, strict=True):
        memory = machine.read(state, len(case.program.memory)).memory
        found = {name: int(memory[case.program.names[name]]) for name in case.expected}
        right.append(found == case.expected)
    return right


@dataclass(frozen=True)
class LanguageRun:
    """A program of the small language on the transformer, to its end.

    Attributes
    ----------
    program : SubleqProgram
    columns, steps : int
    array_equal : bool
        Whether the last sequence is what a fresh start from the interpreter's last memory gives.
    variables_equal : bool
        Whether the language's own interpreter leaves the same variables.
    dense_equal : bool
        Whether the dense transformer agrees after its first steps.
    """

    program: SubleqProgram
    columns: int
    steps: int
    array_equal: bool
    variables_equal: bool
    dense_equal: bool


def run_language(
    text: str, bits: int, *, limit: int = 1_000_000, dense_steps: int = 60
) -> LanguageRun:
    """Compile a program, run it on the transformer and compare it with both interpreters.

    Parameters
    ----------
    text : str
    bits : int
    limit : int
        Most steps of the compiled evaluator.
    dense_steps : int
        Steps of the dense transformer.

    Raises
    ------
    CompileError
        If the text is no program.
    """
    program = compile_source(text, bits)
    machine = SubleqMachine(columns_for(program), bits)
    start = machine.init(program.memory, program.program)[None]
    truth = run_subleq_to_end(program.memory, program.program, bits, limit=limit)
    ran = CompiledMachine(machine).run(start, limit)
    end = machine.init(truth.memory, program.program, program.end)
    first = run_subleq(program.memory, program.program, bits, steps=dense_steps)
    dense = machine.transformer.loop(start[0], len(first.pc) - 1)
    return LanguageRun(
        program,
        machine.columns,
        int(ran.steps[0]),
        torch.equal(ran.states[0], end),
        variables(program, truth.memory) == run_source(text, bits),
        torch.equal(dense, machine.init(first.memory[-1], program.program, first.pc[-1])),
    )


def different_ends(sources: Sequence[tuple[str, int]], limit: int = 1_000_000) -> int:
    """How many programs end on the transformer in another sequence than on the interpreter.

    Parameters
    ----------
    sources : sequence of (text, bits)
    limit : int
        Most steps.
    """
    groups: dict[tuple[int, int], list[SubleqProgram]] = {}
    for text, bits in sources:
        program = compile_source(text, bits)
        groups.setdefault((columns_for(program), bits), []).append(program)
    different = 0
    for (columns, bits), group in groups.items():
        machine = SubleqMachine(columns, bits)
        start = torch.stack([machine.init(p.memory, p.program) for p in group])
        ran = CompiledMachine(machine).run(start, limit)
        for state, p in zip(ran.states, group, strict=True):
            truth = run_subleq_to_end(p.memory, p.program, bits, limit=limit)
            different += not torch.equal(state, machine.init(truth.memory, p.program, truth.pc))
    return different


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
    machine: SubleqMachine | FleqMachine, states: Tensor, steps: int, inexact: str | None = None
) -> tuple[int, float]:
    """States of runs that differ between the evaluators, and the largest difference.

    Parameters
    ----------
    machine : SubleqMachine or FleqMachine
    states : Tensor, shape (P, d, n)
    steps : int
    inexact : str, optional
        A register whose rows may differ by rounding: they do not count as different.
    """
    evaluator = CompiledMachine(machine)
    dense = quick = states
    loose = machine.rows[inexact] if inexact else ()
    keep = [row for row in range(machine.width) if row not in loose]
    different, largest = 0, 0.0
    for _ in range(steps):
        dense, quick = machine.transformer(dense), evaluator.run(quick, 1).states
        different += int((dense[:, keep] != quick[:, keep]).flatten(1).any(dim=1).sum())
        largest = max(largest, float((dense - quick).abs().max()))
    return different, largest


def noticed_negations(
    machine: SubleqMachine, states: Tensor, steps: int, rng: np.random.Generator, count: int = 12
) -> int:
    """How many of ``count`` negated weights change what the compiled evaluator returns.

    Parameters
    ----------
    machine : SubleqMachine
    states : Tensor, shape (P, d, n)
    steps : int
    rng : numpy.random.Generator
        Chooses the weights, among those of the last layer's output.
    count : int
    """
    right = CompiledMachine(machine).run(states, steps).states
    entries = machine.transformer.layers[-1].W2.nonzero()
    noticed = 0
    for row, neuron in entries[rng.permutation(len(entries))[:count]].tolist():
        broken = SubleqMachine(machine.columns, machine.bits, machine.snapped)
        broken.transformer.layers[-1].W2[row, neuron] *= -1
        try:
            ran = CompiledMachine(broken).run(states, steps)
            noticed += not torch.equal(ran.states, right)
        except LostProgramError:
            noticed += 1
    return noticed
