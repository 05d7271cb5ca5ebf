"""Where epochs lead from the minimiser: measured, and to second order in the step."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.shuffling.problems import FiniteSum, QuadraticSum
from reprise.shuffling.simulate import run_sgd

Array = NDArray[np.float64]


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
