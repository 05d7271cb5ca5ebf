"""FLEQ in a few lines of numpy: what its instructions mean, to compare the transformer with.

An instruction (op, a, b, c, flag, p) replaces word c by op(word a, word b); then, if the corner
[0, 0] of word ``flag`` is at most 0, the program goes on at instruction p, else at the next one.
The flag is read after the result is written. Words are real matrices, dim by dim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from reprise.expressivity.looped.checks import integers
from reprise.expressivity.looped.fleq import OPS, check_fleq
from reprise.expressivity.looped.interpreter import LostProgramError
from reprise.expressivity.looped.splines import spline_seed
from reprise.runtime import check_integer, check_positive


class AmbiguousFlagError(ValueError):
    """A flag in the dead zone: the machine could not decide where to go."""


@dataclass(frozen=True)
class FleqTrace:
    """A run, step by step.

    Attributes
    ----------
    words : ndarray, shape (t + 1, k, dm, dm), float64
        Before the first step, and after each of t steps that changed the state.
    pc : ndarray, shape (t + 1,), int64
    halted : bool
        Whether the next instruction would change nothing.
    """

    words: NDArray[np.float64]
    pc: NDArray[np.int64]
    halted: bool


FUNCTIONS: dict[str, Callable[[NDArray, NDArray], NDArray]] = {
    "ADD": lambda a, b: a + b,
    "SUB": lambda a, b: a - b,
    "NN": lambda a, b: a @ b,
    "TN": lambda a, b: a.T @ b,
    "NT": lambda a, b: a @ b.T,
    "HAD": lambda a, b: a * b,
    "SIG": lambda a, b: expit(a),
    "RELU": lambda a, b: np.maximum(a, 0),
    "RECIP": lambda a, b: spline_seed("RECIP", a),
    "RSQRT": lambda a, b: spline_seed("RSQRT", a),
}


def run_fleq(
    words: ArrayLike,
    program: ArrayLike,
    *,
    steps: int,
    dead_zone: float = 1e-3,
    gate: float = 1e6,
) -> FleqTrace:
    """Execute a program from its first instruction and keep every state.

    Parameters
    ----------
    words : array_like of float, shape (k, dm, dm)
    program : array_like of int, shape (m, 6)
        Instructions (op, a, b, c, flag, p), as for `FleqMachine.init`.
    steps : int
        Most steps.
    dead_zone : float
        tau: a flag of at most tau / 4 counts as 0, one of at least 3 tau / 4 as positive.
    gate : float
        Largest size of a number.

    Returns
    -------
    FleqTrace

    Raises
    ------
    AmbiguousFlagError
        If a flag lies between.
    OverflowError
        If a result is larger than ``gate``.
    LostProgramError
        If the counter leaves the program.
    ValueError
        If a value or address is outside its range.
    """
    words = np.array(words, dtype=np.float64)
    (program,) = integers(program=program)
    check_positive("dead_zone", dead_zone)
    check_positive("gate", gate)
    check_fleq(words, program, 0, words.shape[-1], gate)
    check_integer("steps", steps, 0)
    states, counters, halted = [words.copy()], [0], False
    for step in range(steps):
        pc = counters[-1]
        if pc >= len(program):
            raise LostProgramError(
                f"pc must be from 0 to {len(program) - 1}, got {pc} after {step} steps"
            )
        op, a, b, c, flag, target = program[pc]
        result = FUNCTIONS[OPS[op]](words[a], words[b])
        if not np.abs(result).max() <= gate:
            raise OverflowError(
                f"instruction {pc} ({OPS[op]}) must give numbers of at most {gate:g} in size, "
                f"got {np.abs(result).max():g}"
            )
        changed = not np.array_equal(result, words[c])
        words[c] = result
        value = words[flag][0, 0]
        if dead_zone / 4 < value < 3 * dead_zone / 4:
            raise AmbiguousFlagError(
                f"flag of instruction {pc} must be at most {dead_zone / 4:g} or at least "
                f"{3 * dead_zone / 4:g}, got {value:g}"
            )
        following = int(target) if value <= dead_zone / 4 else pc + 1
        if not changed and following == pc:
            halted = True
            break
        states.append(words.copy())
        counters.append(following)
    return FleqTrace(np.array(states), np.array(counters), halted)
