"""What the chapter measures on the matrix machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reprise.expressivity.looped.compiled import CompiledMachine
from reprise.expressivity.looped.fleq import OPS, FleqMachine
from reprise.expressivity.looped.fleq_interpreter import run_fleq
from reprise.expressivity.looped.fleq_programs import FleqTask


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
    machine: FleqMachine, op: str, *, draws: int = 3, rng: np.random.Generator
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
