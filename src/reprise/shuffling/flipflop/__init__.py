"""FlipFlop: run every second epoch in the reverse of the order before it.

An epoch moves x by a part that depends on the order and, to second order in the step, changes sign
when the order is reversed. A pair of epochs cancels it. On quadratics this lifts random reshuffling
from 1/K^3 to 1/K^5, single shuffle from 1/K^2 to 1/K^4. In one dimension chosen permutations
converge exponentially; in general no order beats 1/K^2.

Rajput, Lee, Papailiopoulos, "Permutation-based SGD: is random optimal?", ICLR 2022,
arXiv 2102.09718.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.shuffling.simulate import (
    FiniteSum,
    LabelLogistic,
    LogisticSum,
    MeanEstimation,
    Order,
    QuadraticSum,
    draw_orders,
    epoch_weights,
    run_sgd,
)

Array = NDArray[np.float64]
Permutations = NDArray[np.int64]

NEWTON_STEPS = 12  # at most; two to six are enough to invert a step

STORED_K = np.array([30, 62, 90, 122, 150, 222, 298])
"""Epochs of the authors' stored medians below: 7 of the 68 points of their figures, 10 runs."""

STORED_QUADRATIC = {
    "random_reshuffling": np.array(
        [1.882e-6, 2.526e-7, 1.021e-7, 4.404e-8, 2.355e-8, 7.812e-9, 4.058e-9]
    ),
    "flipflop_random_reshuffling": np.array(
        [1.068e-7, 4.605e-9, 1.021e-9, 3.038e-10, 1.117e-10, 2.651e-11, 1.095e-11]
    ),
    "single_shuffle": np.array(
        [1.210e-5, 2.992e-6, 1.527e-6, 9.021e-7, 6.022e-7, 3.061e-7, 1.781e-7]
    ),
    "flipflop_single_shuffle": np.array(
        [3.678e-7, 2.627e-8, 6.455e-9, 2.198e-9, 1.067e-9, 2.516e-10, 9.001e-11]
    ),
    "incremental": np.array([2.532e-2, 7.203e-3, 3.722e-3, 2.159e-3, 1.488e-3, 7.313e-4, 4.278e-4]),
    "flipflop_incremental": np.array(
        [3.617e-4, 2.773e-5, 7.426e-6, 2.553e-6, 1.243e-6, 3.131e-7, 1.139e-7]
    ),
}
"""The authors' stored median errors on quadratics, at `STORED_K`, n = 800."""

STORED_LOGISTIC = {
    "random_reshuffling": np.array(
        [2.145e-5, 2.634e-6, 1.929e-6, 2.597e-7, 9.230e-7, 1.394e-7, 6.566e-8]
    ),
    "flipflop_random_reshuffling": np.array(
        [5.598e-6, 5.288e-7, 1.390e-8, 9.444e-9, 2.909e-9, 2.445e-10, 1.286e-10]
    ),
    "single_shuffle": np.array(
        [3.630e-5, 6.941e-6, 6.743e-6, 7.919e-6, 3.659e-6, 5.780e-6, 3.291e-6]
    ),
    "flipflop_single_shuffle": np.array(
        [1.069e-5, 7.710e-7, 2.138e-7, 5.643e-8, 8.481e-8, 5.642e-9, 7.314e-10]
    ),
    "incremental": np.array(
        [1.0335e-1, 2.7377e-2, 1.3818e-2, 7.9030e-3, 5.4056e-3, 2.6272e-3, 1.5270e-3]
    ),
    "flipflop_incremental": np.array(
        [1.1589e-2, 9.3341e-4, 2.4563e-4, 8.1713e-5, 3.8545e-5, 9.2049e-6, 3.1267e-6]
    ),
}
"""The authors' stored median errors on the logistic problem, at `STORED_K`, n = 800."""

STORED_SLOPES = {
    "random_reshuffling": -2.72,
    "flipflop_random_reshuffling": -3.94,
    "single_shuffle": -1.83,
    "flipflop_single_shuffle": -3.58,
}
"""Slopes in K of all 68 stored points on quadratics."""


class NoCoverError(ValueError):
    """No choice of the given orders keeps the backward iterates near the minimiser.

    Attributes
    ----------
    step_size : float
    epoch : int
        Backward epoch at which the iterate left the allowed radius.
    """

    def __init__(self, step_size: float, epoch: int, max_radius: float) -> None:
        super().__init__(
            f"step_size {step_size:g} is too large for these orders: the backward iterate left "
            f"the radius {max_radius:g} around the minimiser at epoch {epoch}"
        )
        self.step_size = step_size
        self.epoch = epoch


@dataclass(frozen=True)
class Rate:
    """Exponents of a rate with and without FlipFlop, on strongly convex quadratics (recalled).

    Attributes
    ----------
    order : str
        The order that FlipFlop is applied to.
    plain, flipflop : str
        The rates in LaTeX, logarithms and condition numbers hidden.
    plain_exponent, flipflop_exponent : int
        Power of 1/K before the term 1/(n^2 K^2) takes over.
    """

    order: str
    plain: str
    flipflop: str
    plain_exponent: int
    flipflop_exponent: int


# --- orders ---------------------------------------------------------------------------------------


def flipflop(permutations: ArrayLike) -> Permutations:
    """Follow every permutation by its reverse.

    Parameters
    ----------
    permutations : array_like of int, shape (..., P, n)

    Returns
    -------
    ndarray of int64, shape (..., 2P, n)
    """
    return follow_pattern(permutations, (1, -1))


def follow_pattern(permutations: ArrayLike, pattern: Sequence[int]) -> Permutations:
    """Walk every permutation as often as the pattern is long: 1 forwards, -1 backwards.

    FlipFlop is the pattern (1, -1); (1, -1, -1, 1) goes on as the Thue-Morse sequence does.

    Parameters
    ----------
    permutations : array_like of int, shape (..., P, n)
    pattern : sequence of 1 or -1

    Returns
    -------
    ndarray of int64, shape (..., P * len(pattern), n)

    Raises
    ------
    ValueError
        If ``permutations`` has fewer than two axes or the pattern holds something else.
    """
    rows = np.asarray(permutations, dtype=np.int64)
    if rows.ndim < 2:
        raise ValueError(f"permutations must have shape (..., P, n), got {rows.shape}")
    if not len(pattern) or any(way not in (1, -1) for way in pattern):
        raise ValueError(f"pattern must hold 1 and -1, got {tuple(pattern)}")
    walked = np.stack([rows[..., ::way] for way in pattern], axis=-2)  # (..., P, pattern, n)
    return walked.reshape(*rows.shape[:-2], -1, rows.shape[-1])


def orders(name: Order, n: int, epochs: int, runs: int, rng: np.random.Generator) -> Permutations:
    """Write out the component indices that a named order visits: int64 (runs, epochs, n).

    Raises
    ------
    ValueError
        As for `reprise.shuffling.orders.draw_orders`.
    """
    return draw_orders(name, n, epochs=epochs, runs=runs, rng=rng)


def herded_order(gradients: Array, order: Permutations) -> Permutations:
    """The order for the next epoch from this one's gradients, by balancing signs.

    Walk ``order``; give each centred gradient the sign that keeps the running sum small. Those with
    + come first, those with - last and reversed, so that partial sums of the new order are smaller.

    Parameters
    ----------
    gradients : float64 (n, d)
    order : int64 (n,)

    Returns
    -------
    ndarray of int64, shape (n,)

    References
    ----------
    Lu, Guo, De Sa (2022), "GraB: Finding provably better data permutations than random
    reshuffling".
    """
    centred = gradients - gradients.mean(axis=0)
    total = np.zeros(gradients.shape[1])
    front, back = [], []
    for i in order:
        along = float(total @ centred[i])
        (back if along > 0 else front).append(i)
        total += -centred[i] if along > 0 else centred[i]
    return np.array(front + back[::-1], dtype=np.int64)


def run_adaptively(
    problem: FiniteSum,
    choose: Callable[[Array, Permutations], Permutations],
    *,
    epochs: int,
    step_size: float,
    x0: ArrayLike | None = None,
) -> Array:
    """One run whose order is chosen anew before each epoch, from where the run is.

    Parameters
    ----------
    problem : FiniteSum
    choose : callable
        ``choose(x, order)`` takes the iterate (d,) and the last order (n,), returns the next order.
    epochs : int
    step_size : float
    x0 : array_like, optional

    Returns
    -------
    ndarray of float64, shape (d,)
    """
    x = np.broadcast_to(np.zeros(problem.dim) if x0 is None else x0, (problem.dim,))
    order = np.arange(problem.n)
    nothing_drawn = np.random.default_rng(0)
    for _ in range(epochs):
        order = choose(x, order)
        x = run_sgd(
            problem,
            order[None],
            epochs=1,
            step_size=step_size,
            runs=1,
            x0=x,
            rng=nothing_drawn,
            threads=1,
        ).x[0]
    return x


# --- instances ------------------------------------------------------------------------------------


def unit_points(n: int, d: int, rng: np.random.Generator) -> Array:
    """Gaussian points, each divided by its length, as in the authors' scripts: float64 (n, d)."""
    points = rng.standard_normal((n, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def published_start(points: Array, runs: int, rng: np.random.Generator) -> Array:
    """The scripts' start: the mean plus z (1, ..., 1), z normal with variance 1/d, one z a run.

    Returns
    -------
    ndarray of float64, shape (runs, d)
    """
    d = points.shape[1]
    return points.mean(axis=0) + rng.standard_normal((runs, 1)) / math.sqrt(d) * np.ones(d)


def mean_estimation_run(
    points: Array,
    order: Order,
    *,
    epochs: int,
    step_size: ArrayLike,
    runs: int,
    x0: ArrayLike | None,
    rng: np.random.Generator,
    threads: int | None = None,
) -> Array:
    """SGD on ``f_i(x) = |x - b_i|^2 / 2``: the shared simulator's matrix products.

    Parameters
    ----------
    points : float64 (n, d)
    order, epochs, step_size, runs, x0, rng, threads
        As for `run_sgd`.

    Returns
    -------
    ndarray of float64, shape (runs, d)
    """
    options = {"epochs": epochs, "step_size": step_size, "runs": runs, "x0": x0, "rng": rng}
    return run_sgd(MeanEstimation(points), order, **options, threads=threads).x


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


def spread_instance(n: int, curvature: float = 4.0) -> QuadraticSum:
    """The sum that no order speeds up: ``f_i = |x|^2/2 + curvature x_i^2/2 - (e_i - 1/n) . x``.

    Every component lives in a coordinate of its own, where the others have only pushed it down when
    its curvature acts. So <1, x> drifts up by the same amount in every order (`spread_sum`).

    Raises
    ------
    ValueError
        If n < 2 or the curvature is not positive.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    if not (math.isfinite(curvature) and curvature > 0):
        raise ValueError(f"curvature must be positive and finite, got {curvature}")
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
        Positive for one class, 0 or negative for the other.
    l2 : float
    """
    rows = features - features.mean(axis=0)
    rows = rows / np.maximum(rows.std(axis=0), 1e-9)
    rows = rows / np.linalg.norm(rows, axis=1).mean()
    return LogisticSum(rows, np.where(np.asarray(labels) > 0, 1.0, -1.0), l2=l2)


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


# --- exponentially fast permutations --------------------------------------------------------------


@dataclass(frozen=True)
class FastPermutations:
    """Permutations that lead to the minimiser exponentially fast.

    Attributes
    ----------
    permutations : ndarray of int64, shape (K, n)
        In the order in which the epochs are run. Those of fewer epochs k are the last k rows.
    backward : ndarray of float64, shape (K + 1,)
        The iterates y_0 = x*, y_1, ... of the backward walk.
    contraction : float
        Product of ``1 - eta f_i''(x*)``: what an epoch does to a small distance.
    """

    permutations: Permutations
    backward: Array
    contraction: float


def fast_permutations(
    gradient: Callable[[NDArray[np.int64], Array], Array],
    hessian: Callable[[NDArray[np.int64], Array], Array],
    x_star: float,
    n: int,
    epochs: int,
    step_size: float,
    orders: ArrayLike | None = None,
    max_radius: float = 5.0,
) -> FastPermutations:
    """Choose permutations backwards from x*, so that any start is led to x* exponentially fast.

    ``y_0 = x*``; y_k is the preimage of y_(k-1) under one epoch, with the order whose preimage lies
    nearest to x*. Run forwards with the choices reversed, a start at y_K would end at x* exactly,
    and every epoch contracts the distance to it.

    Parameters
    ----------
    gradient, hessian : callable
        First and second derivative: ``(i, x)``, int (P,) and float64 (P,) -> float64 (P,).
    x_star : float
        The minimiser, to the last bit.
    n, epochs : int
        At least 2 and 1.
    step_size : float
        Below 1 / max f_i''.
    orders : array_like of int, shape (P, n), optional
        Orders to choose from; by default the components by ascending gradient at x*, whose epoch
        drifts left because the pushes to the left come last, and the reverse.
    max_radius : float
        Largest distance from x* allowed to the backward iterates.

    Returns
    -------
    FastPermutations

    Raises
    ------
    NoCoverError
        If the backward iterate leaves ``max_radius``.
    ValueError
        If a parameter is outside its range.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    if not (math.isfinite(step_size) and step_size > 0):
        raise ValueError(f"step_size must be positive and finite, got {step_size}")
    everyone, at_star = np.arange(n), np.full(n, float(x_star))
    bend = _checked_curvature(hessian(everyone, at_star), step_size)
    if orders is None:
        rising = np.argsort(gradient(everyone, at_star), kind="stable")
        orders = np.stack([rising, rising[::-1]])
    orders = np.asarray(orders, dtype=np.int64)
    fits = orders.ndim == 2 and orders.shape[1] == n and len(orders) > 0
    if not fits or (np.sort(orders, axis=1) != everyone).any():
        raise ValueError(f"orders must hold permutations, shape (P, {n}), got {orders.shape}")
    backward, choices = [float(x_star)], []
    for epoch in range(1, epochs + 1):
        preimages = _before_epoch(gradient, hessian, orders, backward[-1], step_size)
        nearest = _nearest(preimages, x_star)
        if not abs(preimages[nearest] - x_star) <= max_radius:
            raise NoCoverError(step_size, epoch, max_radius)
        backward.append(float(preimages[nearest]))
        choices.append(nearest)
    return FastPermutations(
        orders[choices[::-1]], np.array(backward), float(np.prod(1 - step_size * bend))
    )


def _nearest(preimages: Array, x_star: float) -> int:
    """Index of the preimage that lies nearest to x*; the first of equals."""
    return int(np.abs(preimages - x_star).argmin())


def _before_epoch(
    gradient: Callable, hessian: Callable, orders: Permutations, end: float, step_size: float
) -> Array:
    """Where an epoch in each of the orders started if it ended at ``end``: float64 (P,)."""
    u = np.full(len(orders), end)
    for i in orders.T[::-1]:
        v = u.copy()  # solve u - eta f_i'(u) = v
        for _ in range(NEWTON_STEPS):
            bend = _checked_curvature(hessian(i, u), step_size)
            step = (u - step_size * gradient(i, u) - v) / (1 - step_size * bend)
            u = u - step
            if (np.abs(step) <= 1e-17 + 1e-16 * np.abs(u)).all():
                break
    return u


def _checked_curvature(bend: Array, step_size: float) -> Array:
    """Refuse a step at which an epoch cannot be inverted."""
    if not step_size * bend.max() < 1:
        raise ValueError(
            f"step_size must be below 1 / max hessian = {1 / bend.max():.6g}, got {step_size}"
        )
    return bend


def prefix_reversals(order: ArrayLike, count: int) -> Permutations:
    """``count`` orders between an order and its reverse: longer and longer prefixes reversed.

    Parameters
    ----------
    order : array_like of int, shape (n,)
    count : int
        At least 2; the first is the order itself, the last its reverse.

    Returns
    -------
    ndarray of int64, shape (count, n)
    """
    order = np.asarray(order, dtype=np.int64)
    if count < 2:
        raise ValueError(f"count must be at least 2, got {count}")
    lengths = np.linspace(0, len(order), count).round().astype(int)
    return np.stack([np.concatenate([order[:m][::-1], order[m:]]) for m in lengths])


# --- drift ----------------------------------------------------------------------------------------


def one_epoch_drift(problem: FiniteSum, permutations: ArrayLike, step_size: float) -> Array:
    """Where one epoch (or several) leads from the minimiser: x - x*.

    Parameters
    ----------
    problem : FiniteSum
    permutations : array_like of int, shape (P, n) or (P, epochs, n)
        With epochs: the drift of all of them together.
    step_size : float

    Returns
    -------
    ndarray of float64, shape (P, d)
    """
    rows = np.asarray(permutations, dtype=np.int64)
    rows = rows[:, None] if rows.ndim == 2 else rows
    result = run_sgd(
        problem,
        rows,
        epochs=rows.shape[1],
        step_size=step_size,
        runs=len(rows),
        x0=problem.minimizer,
        rng=np.random.default_rng(0),  # given orders draw nothing
    )
    return result.x - problem.minimizer


def after_epoch(problem: FiniteSum, order: ArrayLike, step_size: float, x: ArrayLike) -> Array:
    """Where one epoch leads from each of many points of a one-dimensional sum: like ``x``."""
    start = np.asarray(x, dtype=float)
    ends = run_sgd(
        problem,
        np.asarray(order, dtype=np.int64)[None],
        epochs=1,
        step_size=step_size,
        runs=start.size,
        x0=start.reshape(-1, 1),
        rng=np.random.default_rng(0),
        threads=1,
    ).x
    return ends.reshape(start.shape)


def symmetric_floor(A: ArrayLike, b: ArrayLike, step_size: float) -> Array:
    """Where FlipFlop settles on a quadratic sum, to first order in the step: x - x*.

    The reversed pair cancels what depends on the order. Left is ``(eta / 2) H^-1 mean(A_i g_i)``
    with H = mean A_i and g_i = b_i - A_i x*, the negative gradient at the minimiser.

    Parameters
    ----------
    A : array_like, shape (n,), (n, d) or (n, d, d)
    b : array_like, shape (n,) or (n, d)
    step_size : float

    Returns
    -------
    ndarray of float64, shape (d,)
    """
    matrices, pull = _matrices_and_pulls(A, b)
    mean_push = np.einsum("nij,nj->ni", matrices, pull).mean(axis=0)
    return 0.5 * step_size * np.linalg.solve(matrices.mean(axis=0), mean_push)


def drift_tensor(A: ArrayLike, b: ArrayLike) -> Array:
    """The part of an epoch's drift that knows the order: ``D_ij = (A_j g_i - A_i g_j) / 2``.

    To second order in the step, the order sigma moves x by ``-eta^2`` times the sum of D_ij over
    all i visited before j. D is antisymmetric: reversing sigma changes the sign.

    Returns
    -------
    ndarray of float64, shape (n, n, d)
    """
    matrices, pull = _matrices_and_pulls(A, b)
    across = np.einsum("jde,ie->ijd", matrices, pull)  # A_j g_i
    return 0.5 * (across - across.swapaxes(0, 1))


def ordered_drift(tensor: Array, permutations: ArrayLike, step_size: float) -> Array:
    """The order-dependent drift that `drift_tensor` predicts: float64 (P, d)."""
    upper = np.triu(np.ones(tensor.shape[:2]), 1)
    rows = np.atleast_2d(np.asarray(permutations, dtype=np.int64))
    return np.array(
        [-(step_size**2) * np.einsum("ij,ijd->d", upper, tensor[s][:, s]) for s in rows]
    )


def _matrices_and_pulls(A: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    """Full matrices (n, d, d), and the negative gradients at the minimiser (n, d)."""
    problem = QuadraticSum(A, b)
    matrices = problem.A
    if matrices.ndim == 2:
        matrices = matrices[:, :, None] * np.eye(problem.dim)
    return matrices, problem.b - matrices @ problem.minimizer


# --- rates ----------------------------------------------------------------------------------------


def rate_table() -> list[Rate]:
    """The rates that the paper compares (recalled; log and condition numbers hidden)."""
    both = r"\frac{1}{n^2K^2} + "
    return [
        Rate("random_reshuffling", both + r"\frac{1}{nK^3}", both + r"\frac{1}{nK^5}", 3, 5),
        Rate("single_shuffle", r"\frac{1}{nK^2}", both + r"\frac{1}{nK^4}", 2, 4),
        Rate("incremental", r"\frac{1}{K^2}", both + r"\frac{1}{K^3}", 2, 3),
    ]


def pattern_error(
    pattern: Sequence[int], n: int, K: int, step_size: float, sum_squares: float
) -> float:
    """Exact E|x_K - x*|^2 on mean estimation, started at x*, a fresh permutation for each pattern.

    The weights of a block are those of its epochs, each decayed by the epochs after it; a uniform
    permutation turns their spread into variance.

    Parameters
    ----------
    pattern : sequence of 1 or -1
        As for `follow_pattern`.
    n, K : int
        K a multiple of the pattern's length.
    step_size, sum_squares : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If K is not a multiple of the pattern's length.
    """
    if K < 1 or K % len(pattern):
        raise ValueError(f"K must be a multiple of {len(pattern)}, got {K}")
    rho = (1 - step_size) ** n
    w = epoch_weights(n, step_size)
    block = np.zeros(n)
    for way in pattern:
        block = rho * block + w[::way]
    variance = sum_squares / (n - 1) * float(((block - block.mean()) ** 2).sum())
    ratio = rho ** (2 * len(pattern))
    return variance * (1 - ratio ** (K // len(pattern))) / (1 - ratio)
