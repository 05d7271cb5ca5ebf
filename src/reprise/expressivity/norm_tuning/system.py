"""The linear system behind a tuned normalisation: W2 diag(gamma) W1 = W.

Its matrix A has one row for each entry (i, j) of W, row by row, and one column for each neuron c:
``A[(i, j), c] = W2[i, c] W1[c, j]``, the column-wise Khatri-Rao product of W2 and W1^T. A product
with A is two small matrix products, so large systems are solved without ever forming it.

The construction is ours; Giannou, Rajput, Papailiopoulos, "The Expressive Power of Tuning Only the
Normalization Layers", COLT 2023, prove that such a gamma exists.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import LinearOperator, lsqr
from threadpoolctl import threadpool_limits

from reprise.runtime import thread_count

Method = Literal["auto", "dense", "cg", "lsqr"]

ACCEPTED = 1e-8  # true relative residual up to which a system counts as solved
DENSE_EQUATIONS = 400  # up to here a factorisation beats the iteration
DENSE_ENTRIES = 3_000_000  # of A, where it rescues an iteration that stagnates
SPARSE_DENSITY = 0.1  # below, A is stored by its non-zeros
BLOCK = 256  # neurons whose rows of W1 and W2^T stay in a core's own cache
INNER_DROP = 1e-5  # what one round in float32 is asked for


class ReconstructionError(ArithmeticError):
    """No scales solve the system: the frozen weights lack rank, or there are too few neurons."""


@dataclass(frozen=True)
class ScaleSolution:
    """Scales that turn a random pair of layers into a target.

    Attributes
    ----------
    gamma : float64 (k,)
    residual : float
        ``||W2 diag(gamma) W1 - W|| / ||W||``, computed afresh from gamma.
    iterations : int
        Products with A A^T, or steps of LSQR; 0 for a factorisation.
    method : str
        "dense", "cg" or "lsqr".
    condition_estimate : float
        Of A: from the factorisation (1-norm), or from the iteration's Lanczos coefficients
        (2-norm, a lower bound); NaN where there is none.
    """

    gamma: NDArray[np.float64]
    residual: float
    iterations: int
    method: str
    condition_estimate: float


def khatri_rao(W1: ArrayLike, W2: ArrayLike) -> NDArray[np.float64]:
    """The system's matrix A, formed.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)

    Returns
    -------
    float64 (m * n, k)

    Raises
    ------
    ValueError
        If the shapes do not chain or a weight is not finite.
    """
    W1, W2 = _checked_pair(W1, W2)
    return (W2[:, None, :] * W1.T[None, :, :]).reshape(-1, len(W1))


class KhatriRaoOperator:
    """Products with A and its transpose, without A.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)

    Raises
    ------
    ValueError
        If the shapes do not chain or a weight is not finite.
    """

    def __init__(self, W1: ArrayLike, W2: ArrayLike) -> None:
        W1, W2 = _checked_pair(W1, W2)
        self.k, self.n, self.m = len(W1), W1.shape[1], len(W2)
        self.shape = (self.m * self.n, self.k)
        self._factors = {np.dtype(np.float64): (W1, np.ascontiguousarray(W2.T))}
        kept = np.count_nonzero(W1) + np.count_nonzero(W2)
        self._sparse = (
            _sparse_khatri_rao(W1, W2) if kept < SPARSE_DENSITY * (W1.size + W2.size) else None
        )

    def matvec(self, gamma: ArrayLike) -> NDArray[np.float64]:
        """``W2 diag(gamma) W1``: (k,) -> (m, n)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        if gamma.shape != (self.k,):
            raise ValueError(f"gamma must have shape ({self.k},), got {gamma.shape}")
        if self._sparse is not None:
            return (self._sparse @ gamma).reshape(self.m, self.n)
        W1, W2T = self._pair(np.float64)
        return (W2T * gamma[:, None]).T @ W1

    def rmatvec(self, V: ArrayLike) -> NDArray[np.float64]:
        """``A^T vec(V)``, entry c is ``W2[:, c]^T V W1[c]``: (m, n) -> (k,)."""
        V = np.asarray(V, dtype=np.float64)
        if V.shape != (self.m, self.n):
            raise ValueError(f"V must have shape {(self.m, self.n)}, got {V.shape}")
        if self._sparse is not None:
            return self._sparse.T @ V.ravel()
        W1, W2T = self._pair(np.float64)
        return np.einsum("cn,cn->c", W2T @ V, W1)

    def gram(self) -> NDArray[np.float64]:
        """``A^T A``, the Hadamard product of two Gram matrices: float64 (k, k)."""
        W1, W2T = self._pair(np.float64)
        return (W1 @ W1.T) * (W2T @ W2T.T)

    def as_linear_operator(self) -> LinearOperator:
        """The same for scipy's solvers, on flat vectors."""
        return LinearOperator(
            self.shape,
            matvec=lambda gamma: self.matvec(np.ravel(gamma)).ravel(),
            rmatvec=lambda v: self.rmatvec(np.reshape(v, (self.m, self.n))),
            dtype=np.float64,
        )

    def normal(self, V: NDArray, pool: ThreadPoolExecutor | None = None) -> NDArray:
        """``A A^T vec(V)`` in V's own precision, (m, n) -> (m, n).

        One pass over the weights: a block of neurons is multiplied, summed and multiplied back
        while it lies in the cache. The sum over blocks has one order, whatever the threads.
        """
        if self._sparse is not None:
            flat = self._sparse @ (self._sparse.T @ V.ravel().astype(np.float64))
            return flat.reshape(V.shape).astype(V.dtype)
        W1, W2T = self._pair(V.dtype)

        def blocks(start: int, stop: int) -> NDArray:
            total = np.zeros_like(V)
            for at in range(start, stop, BLOCK):
                rows = slice(at, min(at + BLOCK, stop))
                scale = np.einsum("cn,cn->c", W2T[rows] @ V, W1[rows])
                total += (W2T[rows] * scale[:, None]).T @ W1[rows]
            return total

        if pool is None or self.k < 8 * BLOCK:
            return blocks(0, self.k)
        # always eight parts, so that rounding does not depend on the machine
        edges = np.linspace(0, self.k, 9).astype(int)
        parts = pool.map(blocks, edges[:-1], edges[1:])
        return sum(parts, start=np.zeros_like(V))

    def _pair(self, dtype: type | np.dtype) -> tuple[NDArray, NDArray]:
        """W1 (k, n) and W2^T (k, m) in a precision, kept once made."""
        dtype = np.dtype(dtype)
        if dtype not in self._factors:
            first, second = self._factors[np.dtype(np.float64)]
            self._factors[dtype] = first.astype(dtype), second.astype(dtype)
        return self._factors[dtype]


def solve_scales(
    W1: ArrayLike,
    W2: ArrayLike,
    target: ArrayLike,
    *,
    method: Method = "auto",
    tol: float = 1e-12,
    max_iter: int | None = None,
    weights: ArrayLike | None = None,
) -> ScaleSolution:
    """Solve ``W2 diag(gamma) W1 = target``; of many solutions, take the one of least norm.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)
    target : array_like (m, n)
    method : str
        "dense": LU where k = m n, else a pivoted QR of A^T. "cg": conjugate gradients on A A^T, in
        float32 rounds that are refined in float64. "lsqr": scipy's, on the operator. "auto":
        factorise small and square systems, iterate on the others.
    tol : float
        Relative residual at which an iteration stops.
    max_iter : int, optional
        Of an iteration; 5000 by default.
    weights : array_like (k,), optional
        Positive; minimise ``||weights * gamma||`` instead of ``||gamma||``.

    Returns
    -------
    ScaleSolution

    Raises
    ------
    ValueError
        If shapes do not chain, a number is not finite, there are fewer neurons than equations, or
        an option is unknown.
    ReconstructionError
        If the true relative residual exceeds 1e-8.
    """
    W1, W2 = _checked_pair(W1, W2)
    target = np.asarray(target, dtype=np.float64)
    k, equations = len(W1), len(W2) * W1.shape[1]
    if target.shape != (len(W2), W1.shape[1]):
        raise ValueError(f"target must have shape {(len(W2), W1.shape[1])}, got {target.shape}")
    if not np.isfinite(target).all():
        raise ValueError("target must be finite")
    if method not in get_args(Method):
        raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {method!r}")
    if not 0 < tol < 1:
        raise ValueError(f"tol must lie between 0 and 1, got {tol!r}")
    most = 5000 if max_iter is None else max_iter
    if most < 1:
        raise ValueError(f"max_iter must be at least 1, got {max_iter!r}")
    if k < equations:
        raise ValueError(
            f"width k={k} is smaller than the m*n={equations} equations: each needs a neuron"
        )
    size = float(np.linalg.norm(target))
    if size == 0.0:
        return ScaleSolution(np.zeros(k), 0.0, 0, "dense", math.nan)
    unscale = np.ones(k) if weights is None else 1.0 / _checked_weights(weights, k)
    solution = _solved(W1 * unscale[:, None], W2, target / size, method, tol, most)
    gamma = solution.gamma * unscale * size
    with np.errstate(over="ignore", invalid="ignore"):
        residual = float(np.linalg.norm((W2 * gamma) @ W1 - target)) / size
    if not residual <= ACCEPTED:
        raise ReconstructionError(
            f"no scales reach the target: relative residual {residual:.1e} with k={k} neurons for "
            f"m*n={equations} equations; the frozen weights lack rank"
        )
    return ScaleSolution(
        gamma, residual, solution.iterations, solution.method, solution.condition_estimate
    )


# --- solvers: each returns gamma for a target of norm 1, and judges nothing -----------------------


@dataclass(frozen=True)
class _Found:
    gamma: NDArray[np.float64]
    iterations: int
    method: str
    condition_estimate: float


def _solved(
    W1: NDArray, W2: NDArray, target: NDArray, method: str, tol: float, most: int
) -> _Found:
    """Dispatch; "auto" falls back on a factorisation where the iteration stagnates."""
    k, equations = len(W1), target.size
    if method == "dense" or (method == "auto" and (k == equations or equations <= DENSE_EQUATIONS)):
        return _factorized(khatri_rao(W1, W2), target.ravel())
    operator = KhatriRaoOperator(W1, W2)
    if method == "lsqr":
        found = lsqr(
            operator.as_linear_operator(), target.ravel(), atol=tol, btol=tol, iter_lim=most
        )
        return _Found(found[0], int(found[2]), "lsqr", float(found[6]))
    iterated = _conjugate_gradients(operator, target, tol, most)
    if method == "auto" and k * equations <= DENSE_ENTRIES:
        missed = np.linalg.norm(operator.matvec(iterated.gamma) - target)
        if not missed <= 1e-11:
            return _factorized(khatri_rao(W1, W2), target.ravel())
    return iterated


def _factorized(A: NDArray, target: NDArray) -> _Found:
    """LU or pivoted QR of A^T, and one step of refinement with the same factors."""
    equations, k = A.shape
    if k == equations:
        lu, pivots, info = linalg.lapack.dgetrf(A)
        if info == 0:
            gamma = linalg.lu_solve((lu, pivots), target, check_finite=False)
            gamma += linalg.lu_solve((lu, pivots), target - A @ gamma, check_finite=False)
            reciprocal, _ = linalg.lapack.dgecon(lu, np.abs(A).sum(axis=0).max())
            return _Found(gamma, 0, "dense", _inverse(reciprocal))
    Q, R, order = linalg.qr(A.T, mode="economic", pivoting=True, check_finite=False)
    diagonal = np.abs(np.diag(R))
    # of a singular matrix only the independent equations are solved; the residual tells the rest
    rank = int((diagonal > max(A.shape) * np.finfo(float).eps * diagonal[0]).sum())

    def solve(right: NDArray) -> NDArray:
        y = linalg.solve_triangular(R[:rank, :rank], right[order[:rank]], trans="T")
        return Q[:, :rank] @ y

    gamma = solve(target)
    gamma += solve(target - A @ gamma)
    reciprocal, _ = linalg.lapack.dtrcon(R[:rank, :rank])
    return _Found(gamma, 0, "dense", _inverse(reciprocal) if rank == equations else math.inf)


def _conjugate_gradients(
    operator: KhatriRaoOperator, target: NDArray, tol: float, most: int
) -> _Found:
    """Minimum-norm solution gamma = A^T z with A A^T z = target.

    A round in float32 moves half the bytes and gains five digits; its error is measured in float64
    and handed to the next round. Where a round fails, float64 finishes the work.
    """
    threads = thread_count() if operator.k >= 8 * BLOCK else 1
    pool = ThreadPoolExecutor(threads) if threads > 1 else nullcontext()
    limit = threadpool_limits(1, user_api="blas") if threads > 1 else nullcontext()
    with limit, pool as workers:
        z, residual, size = np.zeros_like(target), target, 1.0
        iterations, spectrum = 0, math.nan
        precision: type = np.float32
        while size > tol and iterations < most:
            drop = max(0.3 * tol / size, INNER_DROP if precision is np.float32 else 0.0)
            step, used, seen = _one_round(
                operator, (residual / size).astype(precision), drop, most - iterations, workers
            )
            iterations += used
            spectrum = seen if math.isnan(spectrum) else max(spectrum, seen)
            tried = z + size * step.astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                left = target - operator.matvec(operator.rmatvec(tried))
                now = float(np.linalg.norm(left))
            improved = now < 0.1 * size
            if now < size:
                z, residual, size = tried, left, now
            if not improved:
                if precision is np.float64:
                    break
                precision = np.float64
    return _Found(operator.rmatvec(z), iterations, "cg", spectrum)


def _one_round(
    operator: KhatriRaoOperator,
    right: NDArray,
    drop: float,
    most: int,
    pool: ThreadPoolExecutor | None,
) -> tuple[NDArray, int, float]:
    """Conjugate gradients on A A^T z = right: z, the number of products, an estimate of cond(A)."""
    z, r, p = np.zeros_like(right), right.copy(), right.copy()
    rho = float(np.vdot(r, r))
    stop = rho * drop**2
    alphas, betas = [], []
    for _ in range(most):
        q = operator.normal(p, pool)
        curvature = float(np.vdot(p, q))
        if not curvature > 0.0:  # a direction without image, or an overflow
            break
        alpha = rho / curvature
        z += right.dtype.type(alpha) * p
        r -= right.dtype.type(alpha) * q
        before, rho = rho, float(np.vdot(r, r))
        alphas.append(alpha)
        betas.append(rho / before)
        if not stop < rho < 1e30:
            break
        p *= right.dtype.type(rho / before)
        p += r
    return z, len(alphas), _lanczos_condition(alphas, betas)


def _lanczos_condition(alphas: list[float], betas: list[float]) -> float:
    """Square root of the ratio of the extreme Ritz values of A A^T."""
    if len(alphas) < 2:
        return math.nan
    a, b = np.array(alphas), np.array(betas[:-1])
    diagonal = 1.0 / a
    diagonal[1:] += b / a[:-1]
    values = linalg.eigvalsh_tridiagonal(diagonal, np.sqrt(b) / a[:-1])
    return math.sqrt(values[-1] / values[0]) if values[0] > 0 else math.inf


# --- checks and helpers ---------------------------------------------------------------------------


def _checked_pair(W1: ArrayLike, W2: ArrayLike) -> tuple[NDArray, NDArray]:
    W1 = np.ascontiguousarray(W1, dtype=np.float64)
    W2 = np.ascontiguousarray(W2, dtype=np.float64)
    if W1.ndim != 2 or W2.ndim != 2 or len(W1) != W2.shape[1] or 0 in (*W1.shape, *W2.shape):
        raise ValueError(
            f"W1 and W2 must have shapes (k, n) and (m, k), got {W1.shape} and {W2.shape}"
        )
    if not (np.isfinite(W1).all() and np.isfinite(W2).all()):
        raise ValueError("W1 and W2 must be finite")
    return W1, W2


def _checked_weights(weights: ArrayLike, k: int) -> NDArray[np.float64]:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (k,) or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(f"weights must be {k} positive finite numbers, got {weights!r}")
    return weights


def _sparse_khatri_rao(W1: NDArray, W2: NDArray) -> sparse.csr_array:
    """A by its non-zeros: column c has those of W2's column c times those of W1's row c."""
    n = W1.shape[1]
    columns, rows, values = [], [], []
    for c in range(len(W1)):
        (i,), (j,) = np.nonzero(W2[:, c]), np.nonzero(W1[c])
        rows.append((i[:, None] * n + j).ravel())
        columns.append(np.full(i.size * j.size, c))
        values.append(np.outer(W2[i, c], W1[c, j]).ravel())
    flat = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.concatenate(values), flat), shape=(len(W2) * n, len(W1)))


def _inverse(reciprocal: float) -> float:
    return math.inf if reciprocal == 0 else 1.0 / float(reciprocal)
