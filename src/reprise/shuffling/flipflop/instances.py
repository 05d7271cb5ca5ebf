"""The chapter's instances, in the order in which it meets them."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer, check_positive
from reprise.shuffling.orders import Order
from reprise.shuffling.problems import (
    LabelLogistic,
    LogisticSum,
    MeanEstimation,
    QuadraticSum,
    class_signs,
    standardized,
)
from reprise.shuffling.simulate import run_sgd

Array = NDArray[np.float64]


def unit_points(n: int, d: int, *, rng: np.random.Generator) -> Array:
    """Gaussian points, each divided by its length, as in the authors' scripts: float64 (n, d)."""
    points = rng.standard_normal((n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def published_start(points: Array, runs: int, *, rng: np.random.Generator) -> Array:
    """The scripts' start: the mean plus z (1, ..., 1), z normal with variance 1/d, one z a run.

    Returns
    -------
    ndarray of float64, shape (runs, d)
    """
    d = points.shape[1]
    return points.mean(axis=0) + rng.standard_normal((runs, 1)) / math.sqrt(d) * np.ones(d)


def mean_estimation_run(points: Array, order: Order, **options: Any) -> Array:
    """SGD on ``f_i(x) = |x - b_i|^2 / 2``: float64 (runs, d), one matrix product an epoch.

    Parameters
    ----------
    points : float64 (n, d)
    order
        As for `reprise.shuffling.simulate.run_sgd`.
    **options
        ``epochs``, ``step_size``, ``runs``, ``x0``, ``rng`` and ``threads``, likewise.
    """
    return run_sgd(MeanEstimation(points), order, **options).x


def safran_shamir_igd(n: int, *, constant_first: bool = True) -> QuadraticSum:
    """The slow instance for incremental gradient: F(x) = x^2 / 4 with a constant half.

    One half has gradient 1, the other x - 1. The scripts list the constant half first for plain
    epochs and last for FlipFlop's first epoch of a pair.

    Raises
    ------
    ValueError
        If n is odd or below 2.

    References
    ----------
    Safran, Shamir (2020), Theorem 3.
    """
    if n < 2 or n % 2:
        raise ValueError(f"n must be even and at least 2, got {n}")
    bent = (np.arange(n) >= n // 2) == constant_first
    return QuadraticSum(bent.astype(float), np.where(bent, 1.0, -1.0))


def logistic_instance(n: int, positive_fraction: float = 0.25) -> LabelLogistic:
    """The paper's logistic problem: gradient ``sigmoid(x) - y_i``, the labels 0 first.

    Raises
    ------
    ValueError
        If ``n * positive_fraction`` is not an integer from 1 to n - 1.
    """
    positives = round(n * positive_fraction)
    if not math.isclose(positives, n * positive_fraction) or not 1 <= positives <= n - 1:
        raise ValueError(
            f"n * positive_fraction must be an integer from 1 to {n - 1}, "
            f"got {n * positive_fraction}"
        )
    return LabelLogistic(n, positives)


class SmoothSum:
    """A one-dimensional sum that is not quadratic: ``f_i'(x) = a_i tanh(x)/2 + x - y_i``.

    Parameters
    ----------
    a, y : array_like, shape (n,)
        a_i not negative.

    Raises
    ------
    ValueError
        If the shapes differ or an a_i is negative.
    """

    dim = 1

    def __init__(self, a: ArrayLike, y: ArrayLike) -> None:
        self.a, self.y = np.asarray(a, dtype=float), np.asarray(y, dtype=float)
        if self.a.shape != self.y.shape or self.a.ndim != 1:
            raise ValueError(
                f"a and y must have one shape (n,), got {self.a.shape}, {self.y.shape}"
            )
        if not (self.a >= 0).all():
            raise ValueError(f"a must not be negative, got {self.a.min()}")
        self.n = len(self.a)

    def slope(self, i: ArrayLike, x: Array) -> Array:
        """f_i'(x): int (...), float64 (...) -> (...)."""
        return 0.5 * self.a[i] * np.tanh(x) + x - self.y[i]

    def curvature(self, i: ArrayLike, x: Array) -> Array:
        """f_i''(x): int (...), float64 (...) -> (...)."""
        return 0.5 * self.a[i] / np.cosh(x) ** 2 + 1.0

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i: int (...), float64 (..., 1) -> (..., 1)."""
        return self.slope(i, x[..., 0])[..., None]

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., 1) -> (...)."""
        v = x[..., 0]
        bent = np.logaddexp(v, -v) - math.log(2)
        return 0.5 * self.a.mean() * bent + 0.5 * v**2 - self.y.mean() * v

    @cached_property
    def minimizer(self) -> Array:
        """By Newton, to the last bit: fast permutations expand its error."""
        x, all_i = 0.0, np.arange(self.n)
        for _ in range(60):
            x -= math.fsum(self.slope(all_i, x)) / math.fsum(self.curvature(all_i, x))
        return np.array([x])


def smooth_instance(n: int = 20, seed: int = 1) -> SmoothSum:
    """The chapter's `SmoothSum`: a_i uniform on (0.5, 1.5), y_i standard normal."""
    rng = np.random.default_rng(seed)
    a = rng.uniform(0.5, 1.5, n)
    return SmoothSum(a, rng.standard_normal(n))


def spread_instance(n: int, curvature: float = 4.0) -> QuadraticSum:
    """The sum that no order speeds up: ``f_i = |x|^2/2 + curvature x_i^2/2 - (e_i - 1/n) . x``.

    Every component lives in a coordinate of its own, where the others have only pushed it down when
    its curvature acts. So <1, x> drifts up by the same amount in every order (`spread_sum`).

    Raises
    ------
    ValueError
        If n < 2 or the curvature is not positive.
    """
    check_integer("n", n, 2)
    check_positive("curvature", curvature)
    return QuadraticSum(1.0 + curvature * np.eye(n), np.eye(n) - 1.0 / n)


def spread_sum(n: int, curvature: float, step_size: float, epochs: int) -> Array:
    """<1, x> after each epoch on `spread_instance`, for every order of the epochs, from x = 0.

    A coordinate visited at position p is damped (1 - eta)^(p - 1) before and (1 - eta)^(n - p)
    after its visit: a product without p.

    Returns
    -------
    ndarray of float64, shape (epochs + 1,)
    """
    keep = 1 - step_size
    after = keep ** np.arange(n - 1, -1, -1.0)
    gain = step_size * curvature / n * float((after - keep ** (n - 1)).sum())
    factor = keep ** (n - 1) * (1 - step_size - step_size * curvature)
    sums = [0.0]
    for _ in range(epochs):
        sums.append(factor * sums[-1] + gain)
    return np.array(sums)


def spread_bound(n: int, curvature: float, step_size: float) -> float:
    """Limit of the least |x_K|^2 on `spread_instance`, to leading order in the step."""
    return (step_size * curvature * (n - 1) / (2 * (n + curvature))) ** 2 / n


def standardized_logistic(features: Array, labels: ArrayLike, l2: float = 0.1) -> LogisticSum:
    """Logistic regression on a data set: features standardised, rows of mean length 1.

    Parameters
    ----------
    features : float64 (n, d)
    labels : array_like, shape (n,)
        Two classes: the larger value is the positive one.
    l2 : float

    Raises
    ------
    ValueError
        If the labels are not one for each row, or not of two classes.
    """
    signs = class_signs("labels", labels, len(features))
    return LogisticSum(standardized(features), signs, l2=l2)
