"""Sums in one dimension: one curve for all components, and linear noise that cancels in the mean.

Where the noise takes two values, only the sequence of kinds matters, and the lanes can run it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_not_negative, check_positive
from reprise.shuffling.problems.finite_sum import Array, TwoKinds, all_gradients, finite


def balanced_signs(n: int) -> Array:
    """+1 for the first half of n components, -1 for the rest: float64 (n,).

    Raises
    ------
    ValueError
        If n is odd or below 2.
    """
    if n < 2 or n % 2:
        raise ValueError(f"n must be even and at least 2, got {n}")
    return np.where(np.arange(n) < n // 2, 1.0, -1.0)


class GluedSum:
    """Two parabolas glued at their minimum, with linear noise: ``f_i(x) = c(x) x^2 / 2 + o_i x``.

    ``c(x) = curvature_right`` for x > 0 and ``curvature_left`` otherwise; the offsets o_i have mean
    0, so ``F(x) = c(x) x^2 / 2``, with minimiser 0. F'' jumps there unless the curvatures agree.

    Parameters
    ----------
    offsets : array_like, shape (n,)
    curvature_right, curvature_left : float
        Positive second derivatives on either side of 0.
    glue_width : float
        If positive, F'' rises linearly from left to right over ``[-glue_width, glue_width]``
        instead of jumping (an extension of ours).

    Raises
    ------
    ValueError
        If the offsets are not finite or do not have mean 0, a curvature is not positive, or the
        width is negative.

    References
    ----------
    Rajput, Gupta, Papailiopoulos (2020), the function of the lower bound; values as in the
    authors' scripts.
    """

    dim = 1

    def __init__(
        self,
        offsets: ArrayLike,
        curvature_right: float = 4.0,
        curvature_left: float = 1.0,
        *,
        glue_width: float = 0.0,
    ) -> None:
        self.offsets = _centred(offsets)
        self.n = len(self.offsets)
        for name, value in (
            ("curvature_right", curvature_right),
            ("curvature_left", curvature_left),
        ):
            check_positive(name, value)
        check_not_negative("glue_width", glue_width)
        self.curvature_right = float(curvature_right)
        self.curvature_left = float(curvature_left)
        self.glue_width = float(glue_width)
        self.minimizer = np.zeros(1)

    @classmethod
    def balanced(
        cls,
        n: int,
        curvature_right: float = 4.0,
        curvature_left: float = 1.0,
        noise: float = 1.0,
        *,
        glue_width: float = 0.0,
    ) -> GluedSum:
        """With offsets ``+-noise``, half of each: `balanced_signs`.

        Raises
        ------
        ValueError
            Also if n is odd or below 2, or the noise is negative.
        """
        check_not_negative("noise", noise)
        offsets = noise * balanced_signs(n)
        return cls(offsets, curvature_right, curvature_left, glue_width=glue_width)

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
        inside = (0.5 * (left + right) + bend * core) * core
        slope = inside + np.where(x > 0, right, left) * (x - core)
        return slope + self.offsets[i][..., None]

    component_gradients = all_gradients

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form, or None where there are more offsets than two."""
        slopes = np.full(2, self.curvature_left), np.full(2, self.curvature_right)
        return _two_kinds(self.offsets, *slopes, width=self.glue_width)


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

    component_gradients = all_gradients

    def two_kinds(self) -> TwoKinds | None:
        """The compiled two-kind form, or None where there are more offsets than two."""
        return _two_kinds(self.offsets, np.zeros(2), np.zeros(2), curve="rippled")


class LabelLogistic:
    """``f_i(x) = log(1 + exp(x)) - y_i x``: logistic regression on labels alone.

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

    component_gradients = all_gradients

    def two_kinds(self) -> TwoKinds:
        """The compiled form."""
        unused = np.zeros(2)
        return TwoKinds(self.labels > 0, unused, unused, np.array([0.0, -1.0]), curve="sigmoid")


def _centred(offsets: ArrayLike) -> Array:
    """Check linear terms: finite, with mean 0."""
    array = finite("offsets", offsets, "(n,)", (1,))
    if abs(array.sum()) > 1e-9 * max(1.0, np.abs(array).sum()):
        raise ValueError(f"offsets must have mean 0, got {array.mean()}")
    return array


def _two_kinds(offsets: Array, left: Array, right: Array, **how: object) -> TwoKinds | None:
    """The two-kind form of offsets with at most two values."""
    values = np.unique(offsets)
    if len(values) > 2:
        return None
    return TwoKinds(offsets > values[0], left, right, values[[0, -1]], **how)
