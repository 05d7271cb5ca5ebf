"""SUBLEQ in a few lines of integers: what the transformer is compared with.

mem[b] <- wrap(mem[b] - mem[a]); if the result is at most 0 go to c, else to the next instruction. A
program has halted when an instruction changes neither the memory nor the counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.looped.checks import check_bits, check_subleq, integers
from reprise.runtime import check_integer, njit

WITHOUT_A_BREAK = 50_000_000  # steps, a fraction of a second


class LostProgramError(ValueError):
    """A program's counter points to no instruction."""


@dataclass(frozen=True)
class SubleqTrace:
    """A run, step by step.

    Attributes
    ----------
    memory : ndarray, shape (t + 1, m), int64
        Before the first step, and after each of t steps that changed the state.
    pc : ndarray, shape (t + 1,), int64
    halted : bool
        Whether the next instruction would change nothing.
    """

    memory: NDArray[np.int64]
    pc: NDArray[np.int64]
    halted: bool


@dataclass(frozen=True)
class SubleqEnd:
    """The last state of a run.

    Attributes
    ----------
    memory : ndarray, shape (m,), int64
    pc, steps : int
    halted : bool
    """

    memory: NDArray[np.int64]
    pc: int
    steps: int
    halted: bool


def run_subleq(
    memory: ArrayLike, program: ArrayLike, bits: int, *, steps: int, pc: int = 0
) -> SubleqTrace:
    """Execute a program and keep every state.

    Parameters
    ----------
    memory : array_like of int, shape (m,)
    program : array_like of int, shape (k, 3)
        Instructions (a, b, c): words a and b, instruction c, all from 0.
    bits : int
        Bits of a word, 2 to 48.
    steps : int
        Most steps.
    pc : int
        First instruction.

    Returns
    -------
    SubleqTrace

    Raises
    ------
    LostProgramError
        If the counter leaves the program before ``steps`` are done.
    ValueError
        If a value or address is outside its range.
    """
    memory, program = _checked(memory, program, pc, bits)
    check_integer("steps", steps, 0)
    memories = np.empty((steps + 1, len(memory)), np.int64)
    counters = np.empty(steps + 1, np.int64)
    memories[0], counters[0] = memory, pc
    done, halted = _trace(memories, counters, program, bits, steps)
    _refuse_lost(counters[done], done, len(program), done < steps and not halted)
    return SubleqTrace(memories[: done + 1].copy(), counters[: done + 1].copy(), bool(halted))


def trace_all(
    memories: NDArray[np.int64], programs: NDArray[np.int64], bits: int, steps: int
) -> list[SubleqTrace]:
    """`run_subleq` of many programs.

    Parameters
    ----------
    memories : ndarray, shape (P, m), int64
    programs : ndarray, shape (P, k, 3), int64
    bits, steps : int
    """
    return [
        run_subleq(memory, program, bits, steps=steps)
        for memory, program in zip(memories, programs, strict=True)
    ]


def run_subleq_to_end(
    memory: ArrayLike, program: ArrayLike, bits: int, *, limit: int, pc: int = 0
) -> SubleqEnd:
    """Execute a program until it halts, at most ``limit`` steps, and keep the last state.

    Parameters and errors are those of `run_subleq`.

    Returns
    -------
    SubleqEnd
    """
    memory, program = _checked(memory, program, pc, bits)
    check_integer("limit", limit, 0)
    memory = memory.copy()
    at, done, halted = pc, 0, False
    while done < limit and not halted and at < len(program):
        # back to Python now and then, where a reader can interrupt
        at, more, halted = _run(memory, program, at, bits, min(limit - done, WITHOUT_A_BREAK))
        done += more
    _refuse_lost(at, done, len(program), done < limit and not halted)
    return SubleqEnd(memory, int(at), int(done), bool(halted))


def random_subleq(
    *, words: int, instructions: int, bits: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Uniform memories and programs, whose last instruction always branches.

    It subtracts a word from itself, so that no program runs past its end.

    Returns
    -------
    ndarray, shape (count, words), int64
    ndarray, shape (count, instructions, 3), int64

    Raises
    ------
    ValueError
        If a number is not an integer, or too small.
    """
    for name, value in (("words", words), ("instructions", instructions), ("count", count)):
        check_integer(name, value, 1)
    check_bits(bits)
    top = 2 ** (bits - 1)
    memories = rng.integers(-top, top, (count, words))
    programs = np.empty((count, instructions, 3), np.int64)
    programs[..., :2] = rng.integers(0, words, (count, instructions, 2))
    programs[..., 2] = rng.integers(0, instructions, (count, instructions))
    programs[:, -1, 1] = programs[:, -1, 0]
    return memories, programs


def _checked(memory: Any, program: Any, pc: Any, bits: int) -> list[NDArray[np.int64]]:
    memory, program, counter = integers(memory=memory, program=program, pc=pc)
    check_bits(bits)
    if memory.ndim != 1 or program.ndim != 2:
        raise ValueError(
            f"memory and program must have shapes (m,) and (k, 3), got {memory.shape} and "
            f"{program.shape}"
        )
    check_subleq(memory, program, counter, bits)
    return [memory, program]


def _refuse_lost(pc: int, done: int, instructions: int, lost: bool) -> None:
    if lost:
        raise LostProgramError(
            f"pc must be from 0 to {instructions - 1}, got {pc} after {done} steps"
        )


@njit(nogil=True)
def _step(memory, program, pc, bits):
    """One instruction, in place: (next counter, whether anything changed)."""
    a, b, c = program[pc]
    top = 1 << (bits - 1)
    value = ((memory[b] - memory[a] + top) & (2 * top - 1)) - top
    following = c if value <= 0 else pc + 1
    changed = value != memory[b] or following != pc
    memory[b] = value
    return following, changed


@njit(nogil=True)
def _trace(memories, counters, program, bits, steps):
    memory = memories[0].copy()
    for step in range(steps):
        pc = counters[step]
        if pc >= len(program):
            return step, False
        following, changed = _step(memory, program, pc, bits)
        if not changed:
            return step, True
        memories[step + 1] = memory
        counters[step + 1] = following
    return steps, False


@njit(nogil=True)
def _run(memory, program, pc, bits, limit):
    for step in range(limit):
        if pc >= len(program):
            return pc, step, False
        following, changed = _step(memory, program, pc, bits)
        if not changed:
            return pc, step, True
        pc = following
    return pc, limit, False
