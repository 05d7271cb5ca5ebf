"""What runs of the simulator end in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    communication_rounds : int
        How often the workers of `run_rounds` met; 0 for a single machine.
    """

    problem: FiniteSum | FederatedSum
    x: Array
    history: Array
    record: NDArray[np.int64]
    diverged: NDArray[np.bool_]
    communication_rounds: int = 0

    def squared_distance(self) -> Array:
        """``|x_K - x*|^2`` of each run: float64 (runs,)."""
        return _squared_distance(self.problem, self.x)

    def suboptimality(self) -> Array:
        """``F(x_K) - F(x*)`` of each run: float64 (runs,)."""
        return _suboptimality(self.problem, self.x)

    def interval(
        self,
        level: float = 0.95,
        statistic: Literal["mean", "median"] = "mean",
        method: Literal["bootstrap", "normal"] = "normal",
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[float, float, float]:
        """Estimate of ``E|x_K - x*|^2`` (or the median) with its interval.

        Parameters
        ----------
        level : float
            Coverage in (0, 1).
        statistic : {"mean", "median"}
        method : {"bootstrap", "normal"}
            The percentile bootstrap, or mean +- z standard errors (means only).
        rng : numpy.random.Generator, optional
            Required for the bootstrap.

        Returns
        -------
        low, mid, high : float

        Raises
        ------
        ValueError
            For an unknown choice, fewer than 2 runs, or a bootstrap without ``rng``.
        """
        from scipy import stats

        if not 0 < level < 1:
            raise ValueError(f"level must lie in (0, 1), got {level}")
        if statistic not in ("mean", "median"):
            raise ValueError(f"statistic must be 'mean' or 'median', got {statistic!r}")
        errors = self.squared_distance()
        if len(errors) < 2:
            raise ValueError(f"runs must be at least 2 for an interval, got {len(errors)}")
        function = np.mean if statistic == "mean" else np.median
        mid = float(function(errors))
        if not np.isfinite(errors).all() and method in ("normal", "bootstrap"):
            return mid, mid, math.inf  # a diverged run leaves no upper bound
        if method == "normal" and statistic == "mean":
            half = stats.norm.ppf(0.5 + level / 2) * errors.std(ddof=1) / math.sqrt(len(errors))
            return mid - half, mid, mid + half
        if method != "bootstrap":
            raise ValueError(f"method must be 'bootstrap', or 'normal' for means, got {method!r}")
        if rng is None:
            raise ValueError("rng must be a numpy.random.Generator for a bootstrap, got None")
        bounds = stats.bootstrap(
            (errors,), function, confidence_level=level, method="percentile", rng=rng, batch=100
        ).confidence_interval
        return float(bounds.low), mid, float(bounds.high)


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
