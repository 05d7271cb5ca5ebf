"""What runs of the simulator end in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprise.shuffling.problems import FederatedSum, FiniteSum

Array = NDArray[np.float64]


class GridPoint(NamedTuple):
    """One point of a grid: components, epochs and the constant step."""

    n: int
    epochs: int
    step_size: float


@dataclass(frozen=True)
class SGDResult:
    """The end of every run, and what was recorded on the way.

    Attributes
    ----------
    problem : FiniteSum or FederatedSum
    x : ndarray of float64, shape (runs, d)
        Iterates after the last epoch. A run that diverged beyond float64 holds infinities.
    history : ndarray of float64, shape (len(record), runs, d)
    record : ndarray of int64
        Epochs after which ``history`` was kept.
    diverged : ndarray of bool, shape (runs,)
        True where an iterate is not finite.
    """

    problem: FiniteSum | FederatedSum
    x: Array
    history: Array
    record: NDArray[np.int64]
    diverged: NDArray[np.bool_]

    def squared_distance(self) -> Array:
        """``|x_K - x*|^2`` of each run: float64 (runs,)."""
        return _squared_distance(self.problem, self.x)

    def suboptimality(self) -> Array:
        """``F(x_K) - F(x*)`` of each run: float64 (runs,)."""
        return _suboptimality(self.problem, self.x)


@dataclass(frozen=True)
class GridResult:
    """The runs of every grid point.

    Attributes
    ----------
    points : tuple of GridPoint
    problems : tuple of FiniteSum
        One a point.
    x : tuple of ndarray of float64, each (runs, d)
        Iterates after the last epoch.
    """

    points: tuple[GridPoint, ...]
    problems: tuple[FiniteSum, ...]
    x: tuple[Array, ...]

    def squared_distance(self) -> Array:
        """``|x_K - x*|^2``: float64 (points, runs)."""
        pairs = zip(self.problems, self.x, strict=True)
        return np.array([_squared_distance(problem, x) for problem, x in pairs])

    def suboptimality(self) -> Array:
        """``F(x_K) - F(x*)``: float64 (points, runs)."""
        pairs = zip(self.problems, self.x, strict=True)
        return np.array([_suboptimality(problem, x) for problem, x in pairs])

    def error(self) -> Array:
        """Mean squared distance of each point: float64 (points,)."""
        return self.squared_distance().mean(axis=1)


def _squared_distance(problem: FiniteSum | FederatedSum, x: Array) -> Array:
    return ((x - problem.minimizer) ** 2).sum(axis=-1)


def _suboptimality(problem: FiniteSum | FederatedSum, x: Array) -> Array:
    """``F(x) - F(x*)``; infinite where x is."""
    finite = np.isfinite(x).all(axis=-1)
    gap = np.full(finite.shape, np.inf)
    gap[finite] = problem.value(x[finite]) - problem.value(problem.minimizer)
    return gap
