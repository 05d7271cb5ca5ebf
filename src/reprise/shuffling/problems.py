"""Finite sums F(x) = (1/n) sum_i f_i(x) whose minimisers are known.

Each problem has ``n``, ``dim``, ``minimizer``, ``value(x)``, ``gradient(i, x)`` and
``component_gradients(x)``; all take batches along leading axes. Any object with these (and nothing
else) can be given to the simulator; the classes here also have a compiled path.

``FederatedSum`` deals the components of any such problem out to workers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@runtime_checkable
class FiniteSum(Protocol):
    """What the simulator asks of a problem."""

    n: int
    dim: int
    minimizer: Array

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., dim) -> (...)."""
        ...

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i at x: int (...), float64 (..., dim) -> (..., dim)."""
        ...


@dataclass(frozen=True)
class TwoKinds:
    """A one-dimensional sum whose components come in two kinds.

    The gradient of a component of kind s is ``(right[s] if x > 0 else left[s]) * x + offset[s]``;
    another ``curve`` replaces its first term.

    Attributes
    ----------
    kinds : ndarray of bool, shape (n,)
        True where the component is of kind 1.
    left, right, offset : ndarray of float64, shape (2,)
    width : float
        Half width over which the second derivative turns from left to right; 0 is a kink.
    curve : {"glued", "sigmoid", "rippled"}
        The first term: as above, ``1 / (1 + exp(-x))``, or ``2 x + 3 sin 2x``. The last two read
        neither slopes nor width.
    """

    kinds: NDArray[np.bool_]
    left: Array
    right: Array
    offset: Array
    width: float = 0.0
    curve: Literal["glued", "sigmoid", "rippled"] = "glued"


def _finite(name: str, values: ArrayLike, shape: str, ndim: tuple[int, ...]) -> Array:
    """Return ``values`` as a finite float64 array of an allowed dimension."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in ndim or array.size == 0:
        raise ValueError(f"{name} must have shape {shape} and not be empty, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array


class PiecewiseQuadratic:
    """Two parabolas glued at their minimum, with balanced linear noise.

    ``f_i(x) = c(x) x^2 / 2 + s_i G x``, ``c(x) = curvature_right`` for x > 0 and ``curvature_left``
    otherwise, ``s_i = +1`` for the first half of the indices and -1 for the rest. The sum is
    ``F(x) = c(x) x^2 / 2`` with minimiser 0; F'' jumps there unless the curvatures agree.

    Parameters
    ----------
    n : int
        Number of components, even and at least 2.
    curvature_right, curvature_left : float
        Positive second derivatives on either side of 0.
    noise : float
        G >= 0, the size of the linear terms.
    glue_width : float
        If positive, F'' rises linearly from left to right over ``[-glue_width, glue_width]``
        instead of jumping (an extension of ours).

    Raises
    ------
    ValueError
        If a parameter is outside these ranges.

    References
    ----------
    Rajput, Gupta, Papailiopoulos (2020), the function of the lower bound; values as in the
    authors' scripts.
    """

    dim = 1

    def __init__(
        self,
        n: int,
        curvature_right: float = 4.0,
        curvature_left: float = 1.0,
        noise: float = 1.0,
        *,
        glue_width: float = 0.0,
    ) -> None:
        if n < 2 or n % 2:
            raise ValueError(f"n must be even and at least 2, got {n}")
        for name, value in (
            ("curvature_right", curvature_right),
            ("curvature_left", curvature_left),
        ):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        for name, value in (("noise", noise), ("glue_width", glue_width)):
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, got {value}")
        self.n = n
        self.curvature_right = float(curvature_right)
        self.curvature_left = float(curvature_left)
        self.noise = float(noise)
        self.glue_width = float(glue_width)
        self.signs = np.where(np.arange(n) < n // 2, 1.0, -1.0)
        self.minimizer = np.zeros(1)

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., 1) -> (...)."""
        v = x[..., 0]
        left, right, w = self.curvature_left, self.curvature_right, self.glue_width
        core = np.clip(v, -w, w)
        outer = np.where(v > 0, right, left)
        bend = (right - left) / (12.0 * w) if w else 0.0
        middle = 0.5 * (left + right)
        inside = 0.5 * middle * core**2 + bend * core**3
        slope = middle * core + 3.0 * bend * core**2
        return inside + slope * (v - core) + 0.5 * outer * (v - core) ** 2

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., 1) -> (..., 1). At 0 the left side holds."""
        left, right, w = self.curvature_left, self.curvature_right, self.glue_width
        core = np.clip(x, -w, w)
        bend = 0.25 * (right - left) / w if w else 0.0
        slope = (0.5 * (left + right) + bend * core) * core + np.where(x > 0, right, left) * (
            x - core
        )
        return slope + self.noise * self.signs[i][..., None]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (1,) -> (n, 1)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, 1)))

    def two_kinds(self) -> TwoKinds:
        """The compiled form."""
        pair = np.ones(2)
        return TwoKinds(
            self.signs > 0,
            self.curvature_left * pair,
            self.curvature_right * pair,
            self.noise * np.array([-1.0, 1.0]),
            self.glue_width,
        )


class QuadraticSum:
    """``f_i(x) = x' A_i x / 2 - b_i . x`` with symmetric A_i and a positive definite mean.

    Parameters
    ----------
    A : array_like, shape (n,), (n, d) or (n, d, d)
        Curvatures: scalars (one dimension), diagonals, or full symmetric matrices.
    b : array_like, shape (n,) or (n, d)
        Linear terms.

    Raises
    ------
    ValueError
        If shapes disagree, an entry is not finite, some A_i is not symmetric, or the mean of the
        A_i is not positive definite.
    """

    def __init__(self, A: ArrayLike, b: ArrayLike) -> None:
        A = _finite("A", A, "(n,), (n, d) or (n, d, d)", (1, 2, 3))
        b = _finite("b", b, "(n,) or (n, d)", (1, 2))
        self.A = A[:, None] if A.ndim == 1 else A
        self.b = b[:, None] if b.ndim == 1 else b
        self.n, self.dim = self.b.shape
        if self.A.shape not in {(self.n, self.dim), (self.n, self.dim, self.dim)}:
            raise ValueError(f"A and b must agree in n and d, got {A.shape} and {b.shape}")
        if self.A.ndim == 3 and not np.allclose(self.A, self.A.swapaxes(1, 2)):
            raise ValueError("A must hold symmetric matrices, got an asymmetric one")
        mean = self.A.mean(axis=0)
        self._hessian = np.diag(mean) if mean.ndim == 1 else mean
        smallest = float(np.linalg.eigvalsh(self._hessian)[0])
        if smallest <= 0:
            raise ValueError(f"A must have a positive definite mean, got eigenvalue {smallest:.3g}")
        self.minimizer = np.linalg.solve(self._hessian, self.b.mean(axis=0))

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., d) -> (...)."""
        return 0.5 * np.einsum("...i,ij,...j->...", x, self._hessian, x) - x @ self.b.mean(axis=0)

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., d) -> (..., d)."""
        if self.A.ndim == 2:
            return self.A[i] * x - self.b[i]
        return np.einsum("...ij,...j->...i", self.A[i], x) - self.b[i]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (d,) -> (n, d)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, self.dim)))

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form, or None where it does not apply."""
        if self.dim > 1:
            return None
        pairs = np.column_stack([self.A.reshape(self.n), self.b[:, 0]])
        kinds, index = np.unique(pairs, axis=0, return_inverse=True)
        if len(kinds) != 2:
            return None
        return TwoKinds(index.reshape(-1) == 1, kinds[:, 0], kinds[:, 0], -kinds[:, 1])


class MeanEstimation:
    """``f_i(x) = |x - b_i|^2 / 2``: every Hessian is the identity, the minimiser is the mean.

    Parameters
    ----------
    points : array_like, shape (n, d)

    Raises
    ------
    ValueError
        If ``points`` is not a finite two-dimensional array.
    """

    def __init__(self, points: ArrayLike) -> None:
        self.points = _finite("points", points, "(n, d)", (2,))
        self.n, self.dim = self.points.shape
        self.minimizer = self.points.mean(axis=0)

    @cached_property
    def sum_squares(self) -> float:
        """``sum_i |b_i - mean|^2``, the S2 of the closed forms."""
        return float(((self.points - self.minimizer) ** 2).sum())

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., d) -> (...)."""
        distance2 = ((x - self.minimizer) ** 2).sum(axis=-1)
        return 0.5 * (distance2 + self.sum_squares / self.n)

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., d) -> (..., d)."""
        return x - self.points[i]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (d,) -> (n, d)."""
        return x - self.points


class LogisticSum:
    """``f_i(x) = log(1 + exp(-y_i a_i . x)) + l2 |x|^2 / 2``.

    Parameters
    ----------
    features : array_like, shape (n, d)
        Rows a_i.
    labels : array_like, shape (n,)
        y_i, each -1 or +1.
    l2 : float
        Regularisation, not negative. With 0 the data must not be separable, or no minimiser exists.

    Raises
    ------
    ValueError
        For wrong shapes, other labels, a negative ``l2``, or when no minimiser is found.
    """

    def __init__(self, features: ArrayLike, labels: ArrayLike, l2: float = 0.0) -> None:
        self.features = _finite("features", features, "(n, d)", (2,))
        self.labels = _finite("labels", labels, "(n,)", (1,))
        self.n, self.dim = self.features.shape
        if self.labels.shape != (self.n,):
            raise ValueError(f"labels must have shape ({self.n},), got {self.labels.shape}")
        if not np.isin(self.labels, (-1.0, 1.0)).all():
            raise ValueError(f"labels must be -1 or +1, got {np.unique(self.labels)[:5]}")
        if not (np.isfinite(l2) and l2 >= 0):
            raise ValueError(f"l2 must be finite and not negative, got {l2}")
        self.l2 = float(l2)

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., d) -> (...)."""
        margins = self.labels * (x @ self.features.T)
        return np.logaddexp(0.0, -margins).mean(axis=-1) + 0.5 * self.l2 * (x**2).sum(axis=-1)

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., d) -> (..., d)."""
        from scipy.special import expit

        a, y = self.features[i], self.labels[i]
        weight = -y * expit(-y * (a * x).sum(axis=-1))
        return weight[..., None] * a + self.l2 * x

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (d,) -> (n, d)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, self.dim)))

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser, by damped Newton steps to a gradient norm of 1e-12."""
        from scipy.special import expit

        x = np.zeros(self.dim)
        for _ in range(200):
            gradient = self.component_gradients(x).mean(axis=0)
            if np.linalg.norm(gradient) < 1e-12:
                break
            p = expit(self.features @ x)
            hessian = (self.features.T * (p * (1 - p))) @ self.features / self.n
            hessian += self.l2 * np.eye(self.dim)
            step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
            scale = 1.0
            while scale > 1e-8 and self.value(x - scale * step) > self.value(x):
                scale /= 2
            x = x - scale * step
        # on separable data the gradient vanishes at infinity, with every margin positive
        separated = self.l2 == 0 and (self.labels * (self.features @ x) > 0).all()
        if np.linalg.norm(gradient) < 1e-9 and not separated:
            return x
        raise ValueError(
            f"l2 must be positive for these data, got {self.l2}: they have no finite minimiser"
        )


class LabelLogistic:
    """``f_i(x) = log(1 + exp(x)) - y_i x``: logistic regression on labels alone, one dimension.

    The gradient is ``sigmoid(x) - y_i``; the first n - positives labels are 0, the rest are 1.

    Parameters
    ----------
    n : int
        Number of components.
    positives : int
        How many have y_i = 1, from 1 to n - 1.

    Raises
    ------
    ValueError
        If ``positives`` is outside its range: with one label only there is no minimiser.
    """

    dim = 1

    def __init__(self, n: int, positives: int) -> None:
        if not 1 <= positives <= n - 1:
            raise ValueError(f"positives must lie in 1..{n - 1}, got {positives}")
        self.n = n
        self.labels = (np.arange(n) >= n - positives).astype(np.float64)
        self.minimizer = np.array([np.log(positives / (n - positives))])

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., 1) -> (...)."""
        v = x[..., 0]
        return np.logaddexp(0.0, v) - self.labels.mean() * v

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., 1) -> (..., 1)."""
        from scipy.special import expit

        return expit(x) - self.labels[i][..., None]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (1,) -> (n, 1)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, 1)))

    def two_kinds(self) -> TwoKinds:
        """The compiled form."""
        unused = np.zeros(2)
        return TwoKinds(self.labels > 0, unused, unused, np.array([0.0, -1.0]), curve="sigmoid")


class GluedSum:
    """``f_i(x) = c(x) x^2 / 2 + o_i x``: the glued parabolas of `PiecewiseQuadratic`, any noise.

    ``c(x) = curvature_right`` for x > 0 and ``curvature_left`` otherwise; the offsets o_i have mean
    0, so ``F(x) = c(x) x^2 / 2``, with minimiser 0.

    Parameters
    ----------
    offsets : array_like, shape (n,)
    curvature_right, curvature_left : float
        Positive.

    Raises
    ------
    ValueError
        If the offsets are not finite or do not have mean 0, or a curvature is not positive.
    """

    dim = 1

    def __init__(
        self, offsets: ArrayLike, curvature_right: float = 4.0, curvature_left: float = 1.0
    ) -> None:
        self.offsets = _centred(offsets)
        self.n = len(self.offsets)
        for name, value in (
            ("curvature_right", curvature_right),
            ("curvature_left", curvature_left),
        ):
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        self.curvature_right = float(curvature_right)
        self.curvature_left = float(curvature_left)
        self.minimizer = np.zeros(1)

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., 1) -> (...)."""
        v = x[..., 0]
        return 0.5 * np.where(v > 0, self.curvature_right, self.curvature_left) * v**2

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., 1) -> (..., 1). At 0 the left side holds."""
        slope = np.where(x > 0, self.curvature_right, self.curvature_left) * x
        return slope + self.offsets[i][..., None]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (1,) -> (n, 1)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, 1)))

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form, or None where there are more offsets than two."""
        kinds = _two_values(self.offsets)
        if kinds is None:
            return None
        pair = np.ones(2)
        slopes = (self.curvature_left * pair, self.curvature_right * pair)
        return TwoKinds(self.offsets > kinds[0], *slopes, kinds)


class RippledSum:
    """``f_i(x) = x^2 + 3 sin^2 x + o_i x``: not convex, yet its mean satisfies the PL condition.

    Parameters
    ----------
    offsets : array_like, shape (n,)
        With mean 0, so that F(x) = x^2 + 3 sin^2 x, whose only stationary point is 0.

    Raises
    ------
    ValueError
        If the offsets are not finite or do not have mean 0.
    """

    dim = 1

    def __init__(self, offsets: ArrayLike) -> None:
        self.offsets = _centred(offsets)
        self.n = len(self.offsets)
        self.minimizer = np.zeros(1)

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., 1) -> (...)."""
        v = x[..., 0]
        return v**2 + 3.0 * np.sin(v) ** 2

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., 1) -> (..., 1)."""
        return 2.0 * x + 3.0 * np.sin(2.0 * x) + self.offsets[i][..., None]

    def component_gradients(self, x: Array) -> Array:
        """All gradients at one point: float64 (1,) -> (n, 1)."""
        return self.gradient(np.arange(self.n), np.broadcast_to(x, (self.n, 1)))

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form, or None where there are more offsets than two."""
        kinds = _two_values(self.offsets)
        if kinds is None:
            return None
        unused = np.zeros(2)
        return TwoKinds(self.offsets > kinds[0], unused, unused, kinds, curve="rippled")


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
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
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
    optimal_value : float

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
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
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


def _centred(offsets: ArrayLike) -> Array:
    """Check linear terms: finite, with mean 0."""
    array = _finite("offsets", offsets, "(n,)", (1,))
    if abs(array.sum()) > 1e-9 * max(1.0, np.abs(array).sum()):
        raise ValueError(f"offsets must have mean 0, got {array.mean()}")
    return array


def _two_values(values: Array) -> Array | None:
    """The two values of an array, ascending; None unless there are exactly two."""
    kinds = np.unique(values)
    return kinds if len(kinds) == 2 else None
