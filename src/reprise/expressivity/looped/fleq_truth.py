"""Inputs for the programs of `fleq_programs`, and what plain numpy makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from reprise.expressivity.looped.fleq_programs import DIM

# --- inputs ---------------------------------------------------------------------------------------


def draw_regular(dim: int = DIM, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """A matrix of condition number 3.8, shape (dim, dim): singular values in geometric steps."""
    left, right = (np.linalg.qr(rng.standard_normal((dim, dim)))[0] for _ in range(2))
    return left * np.geomspace(1, 3.8, dim) @ right


def draw_symmetric(dim: int = DIM, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """A symmetric matrix of eigenvalues 2, 1.2, 0.72, ..., shape (dim, dim)."""
    basis = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    return basis * (2 * 0.6 ** np.arange(dim)) @ basis.T


def draw_sgd(
    features: int = 3, samples: int = DIM, *, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Samples in columns, uniform in [-1, 1], and a linear target: (X, y)."""
    X = rng.uniform(-1, 1, (features, samples))
    return X, rng.uniform(-1, 1, features) @ X


@dataclass(frozen=True)
class MlpInputs:
    """A training set and first weights of a network with one hidden layer and one output.

    Attributes
    ----------
    X : ndarray, shape (dim, dim)
        Samples in columns.
    Y : ndarray, shape (1, dim)
    W1 : ndarray, shape (dim, dim)
    W2 : ndarray, shape (1, dim)
    """

    X: NDArray[np.float64]
    Y: NDArray[np.float64]
    W1: NDArray[np.float64]
    W2: NDArray[np.float64]


def draw_mlp(dim: int = DIM, *, rng: np.random.Generator) -> MlpInputs:
    """Uniform samples in [-1, 1], the sine of their sum as target, weights uniform in [-1, 1]."""
    X, W1 = rng.uniform(-1, 1, (2, dim, dim))
    Y = np.sin(X.sum(axis=0, keepdims=True))
    return MlpInputs(X, Y, W1, rng.uniform(-1, 1, (1, dim)))


# --- results --------------------------------------------------------------------------------------


def numpy_calculator(a: float, b: float) -> dict[str, float]:
    """The calculator's results by name."""
    return {
        "sum": a + b,
        "difference": a - b,
        "product": a * b,
        "percentage": a * b / 100,
        "square": a**2,
        "quotient": a / b,
        "root": a**0.5,
    }


def numpy_power(A: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """The eigenvalue of largest absolute value of a symmetric matrix, and its unit vector (m,)."""
    values, vectors = np.linalg.eigh(A)
    top = abs(values).argmax()
    return float(values[top]), vectors[:, top]


def numpy_sgd(X: ArrayLike, y: ArrayLike, eta: float, updates: int) -> NDArray[np.float64]:
    """Weights after each update, shape (updates, features)."""
    X, y = np.asarray(X), np.asarray(y)
    w = np.zeros(len(X))
    path = []
    for i in range(updates):
        x, target = X[:, i % len(y)], y[i % len(y)]
        w = w - eta * (x @ w - target) * x
        path.append(w)
    return np.stack(path)


@dataclass(frozen=True)
class MlpPath:
    """Training, update by update.

    Attributes
    ----------
    W1 : ndarray, shape (updates, hidden, inputs)
        After each update.
    W2 : ndarray, shape (updates, outputs, hidden)
    loss : ndarray, shape (updates + 1,)
        Half the squared error over all samples, before the first update and after each.
    """

    W1: NDArray[np.float64]
    W2: NDArray[np.float64]
    loss: NDArray[np.float64]


def numpy_mlp(
    X: ArrayLike, Y: ArrayLike, W1: ArrayLike, W2: ArrayLike, eta: float, updates: int
) -> MlpPath:
    """The network that `mlp` trains, by gradients written out."""
    X, Y, W1, W2 = (np.asarray(M, dtype=np.float64) for M in (X, Y, W1, W2))
    path, losses = [], [mlp_loss(X, Y, W1, W2)]
    for _ in range(updates):
        hidden = expit(W1 @ X)
        error = W2 @ hidden - Y
        back = W2.T @ error * hidden * (1 - hidden)
        W1, W2 = W1 - eta * back @ X.T, W2 - eta * error @ hidden.T
        path.append((W1, W2))
        losses.append(mlp_loss(X, Y, W1, W2))
    first, second = (np.stack(M) for M in zip(*path, strict=True))
    return MlpPath(first, second, np.array(losses))


def mlp_loss(X: ArrayLike, Y: ArrayLike, W1: ArrayLike, W2: ArrayLike) -> float:
    """Half the squared error of W2 sigmoid(W1 X) over all samples."""
    return float(((np.asarray(W2) @ expit(np.asarray(W1) @ X) - Y) ** 2).sum() / 2)
