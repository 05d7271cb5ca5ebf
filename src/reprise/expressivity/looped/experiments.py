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
from reprise.expressivity.looped.fleq import FleqMachine
from reprise.expressivity.looped.interpreter import (
    LostProgramError,
    run_subleq,
    run_subleq_to_end,
    trace_all,
)
from reprise.expressivity.looped.language import run_source
from reprise.expressivity.looped.random_source import MOST_STEPS
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


def run_until_halted(machine: SubleqMachine, states: Tensor, limit: int) -> Tensor:
    """Loop a batch of programs until no state changes any more.

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
        for _ in range(limit + 1):
            after = machine.transformer(states)
            if torch.equal(after, states):
                return states
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
    end = run_until_halted(machine, start, limit)
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


def different_ends(sources: Sequence[tuple[str, int]], limit: int = MOST_STEPS) -> int:
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


def dense_against_compiled(
    machine: SubleqMachine | FleqMachine, states: Sequence[Tensor], inexact: str | None = None
) -> tuple[int, float]:
    """States of runs that differ between the evaluators, and the largest difference.

    Parameters
    ----------
    machine : SubleqMachine or FleqMachine
    states : sequence of Tensor, shape (P, d, n)
        Of the dense transformer, before the first step and after each.
    inexact : str, optional
        A register whose rows may differ by rounding: they do not count as different.
    """
    evaluator = CompiledMachine(machine)
    quick = states[0]
    loose = machine.rows[inexact] if inexact else ()
    keep = [row for row in range(machine.width) if row not in loose]
    different, largest = 0, 0.0
    for dense in states[1:]:
        quick = evaluator.run(quick, 1).states
        different += int((dense[:, keep] != quick[:, keep]).flatten(1).any(dim=1).sum())
        largest = max(largest, float((dense - quick).abs().max()))
    return different, largest


def noticed_negations(
    machine: SubleqMachine, states: Tensor, steps: int, *, count: int = 12, rng: np.random.Generator
) -> int:
    """How many of ``count`` negated weights change what the compiled evaluator returns.

    Parameters
    ----------
    machine : SubleqMachine
    states : Tensor, shape (P, d, n)
    steps : int
    count : int
    rng : numpy.random.Generator
        Chooses the weights, among those of the last layer's output.
    """
    right = CompiledMachine(machine).run(states, steps).states
    entries = machine.transformer.layers[-1].W2.nonzero()
    noticed = 0
    for row, neuron in entries[rng.permutation(len(entries))[:count]].tolist():
        weight = machine.transformer.layers[-1].W2[row, neuron]
        weight *= -1
        try:
            ran = CompiledMachine(machine).run(states, steps)
            noticed += not torch.equal(ran.states, right)
        except LostProgramError:
            noticed += 1
        finally:
            weight *= -1
    return noticed
