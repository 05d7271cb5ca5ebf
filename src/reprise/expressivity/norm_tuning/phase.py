"""How wide and how dense must the frozen layers be? Success counted draw by draw, and the laws.

A draw succeeds if the *true* relative residual of ``W2 diag(gamma) W1 = W`` is below 1e-8 for a
Gaussian target W: rank is never guessed from singular values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg
from threadpoolctl import threadpool_limits

from reprise.expressivity.norm_tuning.network import check_density, random_block
from reprise.expressivity.norm_tuning.system import (
    ACCEPTED,
    ReconstructionError,
    khatri_rao,
    solve_scales,
)
from reprise.runtime import check_integer, in_parallel

S, T = TypeVar("S"), TypeVar("T")


class RankProfile(NamedTuple):
    """What `rank_profile` counts.

    Attributes
    ----------
    success : int
        Draws whose residual is below 1e-8.
    mean_zero_rows : float
        Equations without a neuron, a draw.
    mean_zero_cols : float
        Neurons without an equation, a draw.
    """

    success: int
    mean_zero_rows: float
    mean_zero_cols: float


def side_by_side(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Results for all items, in their order, one thread each and none within.

    The results do not depend on the number of threads.

    Parameters
    ----------
    function : callable
        Spends its time in numpy or scipy, which compute outside Python's lock.
    items : iterable

    Returns
    -------
    list
    """
    with threadpool_limits(1, user_api="blas"):
        return in_parallel(function, items)


def gaussian_target(m: int, n: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """A target with independent N(0, 1/n) entries: float64 (m, n)."""
    return rng.standard_normal((m, n)) / math.sqrt(n)


def relative_residual(W1: ArrayLike, W2: ArrayLike, target: ArrayLike) -> float:
    """Least ``||W2 diag(gamma) W1 - W|| / ||W||`` over gamma, for any number of neurons.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)
    target : array_like (m, n)

    Returns
    -------
    float
        Where k >= m n and the system is singular, the residual of the best attempt, at most 1.
    """
    W1, W2, target = (np.asarray(a, dtype=np.float64) for a in (W1, W2, target))
    if len(W1) >= target.size:
        try:
            return solve_scales(W1, W2, target).residual
        except ReconstructionError:
            pass  # what is left is a least-squares problem
    A, t = khatri_rao(W1, W2), target.ravel()
    gamma = linalg.lstsq(A, t, lapack_driver="gelsy", check_finite=False)[0]
    return float(np.linalg.norm(A @ gamma - t) / np.linalg.norm(t))


def succeeds(W1: ArrayLike, W2: ArrayLike, target: ArrayLike) -> bool:
    """True if scales reach the target to 1e-8.

    Raises
    ------
    ValueError
        If shapes do not chain, or there are fewer neurons than equations.
    """
    W1, W2 = np.asarray(W1), np.asarray(W2)
    rows, columns = dead_counts(W1, W2)
    equations = np.asarray(target).size
    if rows or len(W1) - columns < equations <= len(W1):
        return False  # rank below m n: no need to solve
    try:
        return solve_scales(W1, W2, target).residual < ACCEPTED
    except ReconstructionError:
        return False


def dead_counts(W1: ArrayLike, W2: ArrayLike) -> tuple[int, int]:
    """Zero rows and zero columns of A: equations no neuron can serve, neurons that serve none."""
    on1, on2 = np.asarray(W1) != 0, np.asarray(W2) != 0
    served = on2.astype(np.float32) @ on1.astype(np.float32)  # (m, n), paths through the block
    silent = ~(on1.any(axis=1) & on2.any(axis=0))
    return int((served == 0).sum()), int(silent.sum())


def rank_profile(
    d: int, width: int, density: float, n_trials: int, *, rng: np.random.Generator
) -> RankProfile:
    """Draw sparse random pairs for Gaussian d x d targets and count successes.

    Parameters
    ----------
    d : int
        Width of the target.
    width : int
        Neurons k of the random layer, at least d^2.
    density : float
        Probability that an entry is kept, in (0, 1].
    n_trials : int
        At least 1.
    rng : numpy.random.Generator

    Returns
    -------
    RankProfile

    Raises
    ------
    ValueError
        If the density lies outside (0, 1], there are fewer neurons than equations, or no trials.
    """
    check_density(density)
    if width < d * d:
        raise ValueError(f"width k={width} is smaller than the m*n={d * d} equations")
    check_integer("n_trials", n_trials, 1)

    def trial(own: np.random.Generator) -> tuple[int, int, int]:
        W1, W2 = random_block(d, d, width, density=density, rng=own)
        return succeeds(W1, W2, gaussian_target(d, d, rng=own)), *dead_counts(W1, W2)

    success, rows, columns = np.sum(side_by_side(trial, rng.spawn(n_trials)), axis=0)
    return RankProfile(int(success), float(rows / n_trials), float(columns / n_trials))


def smallest_width(m: int, n: int, *, rng: np.random.Generator) -> int:
    """Least k for which the first k neurons of one dense draw reach one Gaussian target.

    Bisection over prefixes of a draw of 2 m n neurons: more neurons can only help.

    Parameters
    ----------
    m, n : int
        Shape of the target.
    rng : numpy.random.Generator

    Returns
    -------
    int

    Raises
    ------
    ReconstructionError
        If all 2 m n neurons do not suffice.
    """
    W1, W2 = random_block(n, m, 2 * m * n, rng=rng)
    target = gaussian_target(m, n, rng=rng)

    def enough(k: int) -> bool:
        return relative_residual(W1[:k], W2[:, :k], target) < ACCEPTED

    low, high = 0, 2 * m * n
    if not enough(high):
        raise ReconstructionError(f"{high} neurons lack the rank for m*n={m * n} equations")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def all_columns_alive(d: int, k: int, density: float) -> float:
    """Probability that none of k neurons has an empty row of W1 or an empty column of W2.

    At k = d^2 every neuron is needed, so that this bounds the probability of success.
    """
    return (1.0 - (1.0 - check_density(density)) ** d) ** (2 * k)


def row_density(d: int, k: int) -> float:
    """Density sqrt(2 ln d / k), at which about one of d^2 equations has no neuron."""
    return math.sqrt(2.0 * math.log(d) / k)
