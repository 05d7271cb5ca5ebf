"""Sums in any dimension: quadratics, mean estimation, logistic regression."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_not_negative
from reprise.shuffling.problems.finite_sum import Array, TwoKinds, all_gradients, finite


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
        A = finite("A", A, "(n,), (n, d) or (n, d, d)", (1, 2, 3))
        b = finite("b", b, "(n,) or (n, d)", (1, 2))
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

    component_gradients = all_gradients

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
        self.points = finite("points", points, "(n, d)", (2,))
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

    component_gradients = all_gradients


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
        self.features = finite("features", features, "(n, d)", (2,))
        self.labels = finite("labels", labels, "(n,)", (1,))
        self.n, self.dim = self.features.shape
        if self.labels.shape != (self.n,):
            raise ValueError(f"labels must have shape ({self.n},), got {self.labels.shape}")
        if not np.isin(self.labels, (-1.0, 1.0)).all():
            raise ValueError(f"labels must be -1 or +1, got {np.unique(self.labels)[:5]}")
        self.l2 = check_not_negative("l2", l2)

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

    component_gradients = all_gradients

    @cached_property
    def minimizer(self) -> Array:
        """The minimiser, by damped Newton steps to a gradient norm of 1e-12."""
        from scipy.special import expit

        x = np.zeros(self.dim)
        for _ in range(200):
            gradient = all_gradients(self, x).mean(axis=0)
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


def class_signs(name: str, labels: ArrayLike, rows: int) -> Array:
    """+1 for the larger of two labels, -1 for the other: array_like (rows,) -> float64 (rows,).

    Raises
    ------
    ValueError
        If ``labels`` are not one for each row, or other than two values; the message says ``name``.
    """
    array = np.asarray(labels)
    if array.shape != (rows,):
        raise ValueError(f"{name} must have shape ({rows},), one a row, got {array.shape}")
    classes = np.unique(array)
    if len(classes) != 2:
        raise ValueError(f"{name} must hold two classes, got {classes[:5].tolist()}")
    return np.where(array == classes[1], 1.0, -1.0)


def standardized(features: ArrayLike) -> Array:
    """Features with mean 0 and variance 1, rows of mean length 1: float64 (n, d) -> (n, d)."""
    rows = np.asarray(features, dtype=np.float64)
    rows = rows - rows.mean(axis=0)
    rows /= np.maximum(rows.std(axis=0), 1e-9)
    rows /= np.linalg.norm(rows, axis=1).mean()
    return rows
