"""SGD without replacement: why one jump of the Hessian costs a factor K.

Practice visits each of n components once an epoch; theory liked to sample with replacement. For
sums that are quadratic, reshuffling reaches 1/T^2 + n^2/T^3 after T = nK steps. For smooth strongly
convex sums it does not: on two parabolas glued at the minimum no step size beats n/T^2.

Rajput, Gupta, Papailiopoulos, "Closing the convergence gap of SGD without replacement", ICML 2020,
arXiv 2002.10400.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_integer
from reprise.shuffling.closed_forms import log_step_size, mean_estimation_error
from reprise.shuffling.orders import OrderName
from reprise.shuffling.problems import (
    FiniteSum,
    GluedSum,
    MeanEstimation,
    QuadraticSum,
    balanced_signs,
)
from reprise.shuffling.results import GridPoint
from reprise.shuffling.simulate import run_grid, run_sgd

Array = NDArray[np.float64]

DRIFT_CONSTANT = math.sqrt(2 * math.pi) / 16
"""Limit of kappa in `epoch_drift`: half the mean integral of a Brownian bridge's modulus."""


def lower_bound_function(n: int, L: float = 4.0, G: float = 1.0) -> GluedSum:
    """The paper's hard instance: curvature L right of the minimum, 1 left of it, noise +-G.

    Raises
    ------
    ValueError
        If n is odd or below 2, L is not positive or G is negative.
    """
    return GluedSum.balanced(n, curvature_right=L, curvature_left=1.0, noise=G)


def step_grid(n: ArrayLike, K: ArrayLike, factor: ArrayLike = 4.0) -> list[GridPoint]:
    """Points (n, K, factor log(nK) / (nK)) for `run_grid`; the arguments broadcast."""
    points = np.broadcast(np.asarray(n), np.asarray(K), np.asarray(factor))
    return [
        GridPoint(int(a), int(b), log_step_size(int(a), int(b), float(c))) for a, b, c in points
    ]


def level(err: ArrayLike, n: ArrayLike, K: ArrayLike) -> Array:
    """``err n K^2 / log(nK)^2``: flat where the error is the square of a step log(nK) / (nK)
    times a constant over sqrt(n)."""
    n, K = np.asarray(n, dtype=float), np.asarray(K, dtype=float)
    return np.asarray(err) * n * K**2 / np.log(n * K) ** 2


def closed_form(
    n: int, K: int, factor: float, order: OrderName, *, x0: float = 0.0, dim: int = 1
) -> float:
    """Exact E|x_K - x*|^2 on mean estimation with unit-variance points and step factor log/(nK)."""
    eta = log_step_size(n, K, factor)
    return mean_estimation_error(n, K, eta, float(n * dim), x0**2, order)


def isotropic_points(n: int, d: int, *, rng: np.random.Generator) -> Array:
    """Points whose mean is 0 and whose covariance is exactly the identity: float64 (n, d).

    In one dimension they are the balanced signs; otherwise Gaussian draws, centred and whitened.
    With such points |x|^2 is close to a scaled chi-square with d degrees of freedom, which gives
    its standard error without estimating it.

    Raises
    ------
    ValueError
        If n < d + 1, or n is odd for d = 1.
    """
    if d == 1:
        return balanced_signs(n)[:, None]
    if n <= d:
        raise ValueError(f"n must exceed d for points in {d} dimensions, got {n}")
    raw = rng.standard_normal((n, d))
    raw -= raw.mean(axis=0)
    return np.linalg.qr(raw)[0] * math.sqrt(n)


def closed_form_deviations(
    grid: Sequence[tuple[int, int, float]],
    order: OrderName,
    d: int,
    *,
    runs: int,
    rng: np.random.Generator,
) -> Array:
    """Simulated mean over exact value, minus 1, at each point, in units of sqrt(2/(d runs)).

    Runs start at x*.
    That unit is the standard error of the mean of a chi-square; the estimated one is useless in one
    dimension, where a small sample mean comes with a small sample deviation.

    Returns
    -------
    ndarray of float64, shape (points,)
    """
    clouds = {n: isotropic_points(n, d, rng=rng) for n in sorted({point[0] for point in grid})}
    result = run_grid(lambda n: MeanEstimation(clouds[n]), order, grid, runs=runs, rng=rng)
    exact = [mean_estimation_error(n, K, eta, float(n * d), 0.0, order) for n, K, eta in grid]
    return (result.error() / exact - 1) / math.sqrt(2 / (d * runs))


def unequal_quadratic(n: int, spread: float = 0.9) -> QuadraticSum:
    """f_i with gradient ``(1 + spread s_i) x - s_i`` and balanced signs s_i.

    Curvature and linear term are correlated, which leaves a floor that no order removes; with
    ``spread = 0`` the curvatures agree and the floor vanishes.

    Raises
    ------
    ValueError
        If n is odd or below 2, or spread is outside [0, 1).
    """
    if not 0 <= spread < 1:
        raise ValueError(f"spread must lie in [0, 1), got {spread}")
    s = balanced_signs(n)
    return QuadraticSum(1.0 + spread * s, s)


def quadratic_floor(a: ArrayLike, b: ArrayLike, eta: float) -> float:
    """``(eta mean(a_i b_i) / (2 mean a))^2``, the order-free part of the error.

    The components are f_i' = a_i x - b_i. To second order an epoch moves x by a sum over pairs of
    the order; averaged over orders the part
    ``(eta^2 / 2) sum_i a_i b_i`` is left. It is of order eta^2 ~ 1/T^2.

    Parameters
    ----------
    a, b : array_like, shape (n,)
        Curvatures with a positive mean; linear terms with mean 0.
    eta : float

    Raises
    ------
    ValueError
        If the shapes differ, the mean of ``a`` is not positive or that of ``b`` is not 0.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"a and b must have one shape (n,), got {a.shape} and {b.shape}")
    if not a.mean() > 0:
        raise ValueError(f"a must have a positive mean, got {a.mean()}")
    if not abs(b.mean()) <= 1e-12 * np.abs(b).max():
        raise ValueError(f"b must have mean 0, got {b.mean()}")
    return float((eta * (a * b).mean() / (2 * a.mean())) ** 2)


@dataclass(frozen=True)
class EpochDrift:
    """Where one epoch from the optimum leads on average.

    Attributes
    ----------
    mean : float
        Estimate of E[x_n], started at x_0 = x* = 0.
    stderr : float
    kappa : float
        ``-mean sqrt(n) / ((L - 1) (eta n)^2)``; NaN for L = 1.
    """

    mean: float
    stderr: float
    kappa: float


def epoch_drift(
    n: int,
    eta: float,
    L: float,
    runs: int,
    *,
    rng: np.random.Generator,
    order: OrderName = "random_reshuffling",
) -> EpochDrift:
    """Measure the mean displacement of one epoch on the lower-bound function, from its minimiser.

    The half epoch's noise is a bridge of size eta sqrt(n); the steeper side pushes back harder, so
    the mean moves to the shallow side by ``(L - 1) (eta n)^2 kappa / sqrt(n)``. On a quadratic the
    mean does not move.

    Parameters
    ----------
    n : int
        Even number of components.
    eta : float
        Step.
    L : float
        Curvature right of the minimum.
    runs : int
        Epochs to average over, at least 2.
    rng : numpy.random.Generator
    order : str

    Returns
    -------
    EpochDrift

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    check_integer("runs", runs, 2)
    problem = lower_bound_function(n, L)
    x = run_sgd(problem, order, epochs=1, step_size=eta, runs=runs, rng=rng).x[:, 0]
    mean = float(x.mean())
    kappa = -mean * math.sqrt(n) / ((L - 1) * (eta * n) ** 2) if L != 1 else math.nan
    return EpochDrift(mean, float(x.std(ddof=1) / math.sqrt(runs)), kappa)


@dataclass(frozen=True)
class BestStep:
    """Errors over a grid of step factors and epochs.

    Attributes
    ----------
    factors : ndarray of float64, shape (factors,)
    epochs : ndarray of int64, shape (epochs,)
    errors : ndarray of float64, shape (epochs, factors)
    """

    factors: Array
    epochs: NDArray[np.int64]
    errors: Array

    @property
    def minimum(self) -> Array:
        """Smallest error over the factors: float64 (epochs,)."""
        return self.errors.min(axis=1)

    @property
    def best(self) -> Array:
        """Factor that attains it: float64 (epochs,)."""
        return self.factors[self.errors.argmin(axis=1)]

    @property
    def inside(self) -> bool:
        """True if the best factor is strictly inside the grid at every K (it is bracketed)."""
        index = self.errors.argmin(axis=1)
        return bool(((index > 0) & (index < len(self.factors) - 1)).all())


def best_step_error(
    n: int,
    K: Sequence[int],
    factors: Sequence[float],
    *,
    L: float = 4.0,
    runs: int,
    rng: np.random.Generator,
    order: OrderName = "random_reshuffling",
    x0: float = -1.0,
) -> BestStep:
    """Error of every step ``c log(nK) / (nK)`` on the lower-bound function.

    The start is on the shallow side: from the steep side the transient dies so fast that the best
    step is the smallest of any grid.

    Parameters
    ----------
    n : int
    K : sequence of int
    factors : sequence of float
        Increasing positive values of c.
    L : float
    runs : int
    rng : numpy.random.Generator
    order : str
    x0 : float

    Returns
    -------
    BestStep

    Raises
    ------
    ValueError
        If the factors do not increase or a parameter is outside its range.
    """
    c = np.asarray(factors, dtype=float)
    if c.size == 0 or (np.diff(c) <= 0).any():
        raise ValueError(f"factors must increase and not be empty, got {list(factors)}")
    grid = step_grid(n, np.repeat(K, len(c)), np.tile(c, len(K)))
    errors = run_grid(
        lambda m: lower_bound_function(m, L), order, grid, runs=runs, rng=rng, x0=x0
    ).error()
    return BestStep(c, np.asarray(K, dtype=np.int64), errors.reshape(len(K), len(c)))


def epoch_paths(
    problem: FiniteSum, orders: NDArray[np.int64], eta: float, x0: float = 0.0
) -> Array:
    """Iterates within one epoch of a one-dimensional sum, for the figures.

    Parameters
    ----------
    problem : FiniteSum
        With ``dim == 1``.
    orders : ndarray of int64, shape (runs, n)
    eta : float
    x0 : float

    Returns
    -------
    ndarray of float64, shape (runs, n + 1)
    """
    x = np.full((len(orders), 1), float(x0))
    path = [x]
    for column in orders.T:
        x = x - eta * problem.gradient(column, x)
        path.append(x)
    return np.concatenate(path, axis=1)


def exact_error(
    n: int,
    K: int,
    eta: float,
    *,
    L: float = 4.0,
    order: OrderName = "random_reshuffling",
    x0: float = 0.0,
    cells: int = 2000,
) -> float:
    """E|x_K|^2 on the lower-bound function without sampling, for small n.

    Every balanced sign sequence is enumerated. A single shuffle repeats one sequence, so its error
    is a plain mean over sequences. For reshuffling the expected squared end, as a function of the
    epoch's start, is carried backwards epoch by epoch on a grid that is finest at the kink;
    doubling ``cells`` divides the interpolation error by four.

    Parameters
    ----------
    n : int
        Even, 2 to 12 (924 sequences).
    K : int
        Epochs.
    eta : float
        Step, with ``eta max(L, 1) < 1``.
    L : float
    order : {"random_reshuffling", "single_shuffle"}
    x0 : float
    cells : int
        Grid cells on each side of 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    if n > 12:
        raise ValueError(f"n must be at most 12 for enumeration, got {n}")
    check_integer("K", K, 1)
    if not 0 < eta * max(L, 1.0) < 1:
        raise ValueError(f"eta must satisfy 0 < eta max(L, 1) < 1, got {eta}")
    problem = lower_bound_function(n, L)
    plus_at = list(itertools.combinations(range(n), n // 2))
    signs = -np.ones((len(plus_at), n))
    signs[np.arange(len(plus_at))[:, None], plus_at] = 1.0
    orders = np.argsort(-signs, axis=1, kind="stable").argsort(axis=1)  # index visited at each step

    def epoch(x: Array) -> Array:  # (sequences, starts) -> the same after one epoch
        for column in orders.T:
            index = np.broadcast_to(column[:, None], x.shape)
            x = x - eta * problem.gradient(index, x[..., None])[..., 0]
        return x

    if order == "single_shuffle":
        x = np.full((len(orders), 1), float(x0))
        for _ in range(K):
            x = epoch(x)
        return float((x**2).mean())
    if order != "random_reshuffling":
        raise ValueError(f"order must be 'random_reshuffling' or 'single_shuffle', got {order!r}")
    reach = max(abs(x0), 0.5 * eta * n / (1 - (1 - eta) ** n)) * 1.001
    side = reach * np.sinh(np.linspace(0, 5, cells + 1)) / math.sinh(5)
    grid = np.concatenate([-side[:0:-1], side])
    ends = epoch(np.broadcast_to(grid, (len(orders), len(grid))))
    cell = np.clip(np.searchsorted(grid, ends) - 1, 0, len(grid) - 2)
    weight = (ends - grid[cell]) / (grid[cell + 1] - grid[cell])
    expected = grid**2
    for _ in range(K):
        expected = ((1 - weight) * expected[cell] + weight * expected[cell + 1]).mean(axis=0)
    return float(np.interp(x0, grid, expected))
