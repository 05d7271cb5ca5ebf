"""What the compiled loops are told. They read named tuples at no cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KEEP, DRAW, GIVEN = 0, 1, 2
KINKED, SMOOTHED, SIGMOID, RIPPLED = 0, 1, 2, 3
DIAGONAL, DENSE, LOGISTIC, GLUED = 0, 1, 2, 3


class Schedule(NamedTuple):
    """Where each epoch's order comes from and in which direction it is walked.

    Attributes
    ----------
    source : ndarray of int8, shape (epochs,)
        ``KEEP``, ``DRAW`` or ``GIVEN`` for each epoch.
    reverse : ndarray of bool, shape (epochs,)
        True where the epoch walks its order from the last entry to the first.
    replacement : bool
        True if a drawn order is n independent uniform indices, not a permutation.
    shared : bool
        True if the workers of a run share each drawn order: worker m starts at position
        ``(n / workers) pi(m)``, with a fresh permutation pi of the workers in each epoch.
    given : ndarray of int64, shape (1 or runs, 1 or epochs, 1 or workers, n)
        The orders that epochs with source ``GIVEN`` read.
    """

    source: NDArray[np.int8]
    reverse: NDArray[np.bool_]
    replacement: bool
    shared: bool
    given: NDArray[np.int64]

    @property
    def epochs(self) -> int:
        """Number of epochs."""
        return len(self.source)


class Rounds(NamedTuple):
    """How workers meet.

    Attributes
    ----------
    local_steps : int
        Steps a round; divides n.
    minibatch : bool
        True for one step a round along the mean gradient, ``local_steps`` times as long; False for
        local steps, then the mean of the iterates.
    """

    local_steps: int
    minibatch: bool


class Stream(NamedTuple):
    """Which random numbers a batch of runs draws.

    Attributes
    ----------
    seed, point : uint64
    runs : ndarray of int64, shape (r,)
        Which runs of the point these are.
    """

    seed: np.uint64
    point: np.uint64
    runs: NDArray[np.int64]


class Curve(NamedTuple):
    """The gradient of a sum of two kinds, as the lanes read it.

    Attributes
    ----------
    recurrence : int
        ``KINKED``, ``SMOOTHED``, ``SIGMOID`` or ``RIPPLED``.
    left, right, offset : ndarray of float64, shape (2,)
        Slopes on either side of 0 (unused by the last two) and offset of the gradient, by kind.
    width : float
        Half width of the smoothed kink.
    """

    recurrence: int
    left: Array
    right: Array
    offset: Array
    width: float


class Kinds(NamedTuple):
    """What each worker holds of a sum of two kinds.

    Attributes
    ----------
    plus : ndarray of bool, shape (workers, n)
        True where the worker's component is of kind ``+``.
    drift : ndarray of float64, shape (workers,)
        Added to all gradients of a worker.
    """

    plus: NDArray[np.bool_]
    drift: Array


class Components(NamedTuple):
    """Any listed components, in blocks of workers and arrangements.

    Attributes
    ----------
    kind : int
        ``DIAGONAL``, ``DENSE``, ``LOGISTIC`` or ``GLUED``; says how the next three are read.
    matrices : ndarray of float64, shape (all, d, d), (all, 1, d) or (0, 1, 1)
        All = arrangements * workers * n components.
    vectors : ndarray of float64, shape (all, d)
    scalars : ndarray of float64, shape (all + 1,), (2,) or (0,)
    workers, arrangements : int
        Run r uses the r-th arrangement, modulo their number; its workers hold consecutive blocks.
    """

    kind: int
    matrices: Array
    vectors: Array
    scalars: Array
    workers: int
    arrangements: int
