"""The components of a sum on several workers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer
from reprise.shuffling.problems.finite_sum import Array, FiniteSum, TwoKinds


class Copies:
    """The same sum on every worker: its components listed ``count`` times, one after the other.

    Parameters
    ----------
    problem : FiniteSum
    count : int
        At least 1.

    Raises
    ------
    ValueError
        If ``count`` is below 1.
    """

    def __init__(self, problem: FiniteSum, count: int) -> None:
        check_integer("count", count, 1)
        self.problem, self.count = problem, count
        self.n, self.dim, self.minimizer = problem.n * count, problem.dim, problem.minimizer

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., d) -> (...)."""
        return self.problem.value(x)

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., d) -> (..., d)."""
        return self.problem.gradient(i % self.problem.n, x)

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form of all copies, or None."""
        pair = self.problem.two_kinds() if hasattr(self.problem, "two_kinds") else None
        return None if pair is None else replace(pair, kinds=np.tile(pair.kinds, self.count))


class FederatedSum:
    """``F(x) = (1/M) sum_m F^m(x)``: the components of a sum, dealt out to M workers in blocks.

    Worker m holds ``f_i^m(x) = f_{m N + i}(x) + d_m . x`` for i < N. The drifts d_m sum to 0: they
    pull the workers apart and leave F as it is.

    Parameters
    ----------
    problem : FiniteSum
        With ``arrangements * workers * N`` components.
    workers : int
        M, at least 1.
    drift : array_like, shape (workers,) or (workers, d), optional
        The d_m; none by default.
    arrangements : int
        How many ways to deal the components out the problem lists, one after the other. Run r of a
        simulation uses the r-th, modulo their number; each must have the same mean function.

    Attributes
    ----------
    workers, components, dim : int
        M, N and d. ``n`` is N too: what one epoch of one worker visits.
    minimizer : ndarray of float64, shape (d,)

    Raises
    ------
    ValueError
        If the components cannot be dealt out evenly, or the drifts have another shape, are not
        finite or do not sum to 0.
    """

    def __init__(
        self,
        problem: FiniteSum,
        workers: int,
        *,
        drift: ArrayLike | None = None,
        arrangements: int = 1,
    ) -> None:
        for name, value in (("workers", workers), ("arrangements", arrangements)):
            check_integer(name, value, 1)
        if problem.n % (workers * arrangements):
            raise ValueError(
                f"workers * arrangements must divide the problem's components, "
                f"got {workers} * {arrangements} and {problem.n}"
            )
        self.problem = problem
        self.workers = int(workers)
        self.arrangements = int(arrangements)
        self.components = self.n = problem.n // (workers * arrangements)
        self.dim = problem.dim
        pull = np.zeros((workers, problem.dim)) if drift is None else np.asarray(drift, float)
        pull = pull[:, None] if pull.ndim == 1 else pull
        if pull.shape != (workers, problem.dim) or not np.isfinite(pull).all():
            raise ValueError(
                f"drift must be finite, of shape (workers,) or (workers, d) = "
                f"{(workers, problem.dim)}, got shape {np.shape(drift)}"
            )
        if not (np.abs(pull.sum(axis=0)) <= 1e-12 * np.abs(pull).sum(axis=0)).all():
            raise ValueError(f"drift must sum to 0 over the workers, got {pull.sum(axis=0)}")
        self.drift = pull

    @property
    def minimizer(self) -> Array:
        """The minimiser of F: float64 (d,)."""
        return self.problem.minimizer

    @property
    def optimal_value(self) -> float:
        """F at its minimiser."""
        return float(self.problem.value(self.problem.minimizer))

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., d) -> (...)."""
        return self.problem.value(x)

    def component_gradients(
        self, m: ArrayLike, i: ArrayLike, x: Array, *, arrangement: int = 0
    ) -> Array:
        """Gradient of f_i^m: int (...), int (...), float64 (..., d) -> (..., d)."""
        m, i = np.broadcast_arrays(np.asarray(m), np.asarray(i))
        flat = (arrangement * self.workers + m) * self.components + i
        return self.problem.gradient(flat, x) + self.drift[m]

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form of all workers' components, drifts left out, or None."""
        if self.arrangements > 1 or not hasattr(self.problem, "two_kinds"):
            return None
        return self.problem.two_kinds()
