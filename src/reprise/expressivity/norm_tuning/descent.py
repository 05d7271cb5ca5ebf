"""Gradient descent on the scales and shifts that algebra finds at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import progress


def descend(
    W1: ArrayLike,
    W2: ArrayLike,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    learning_rate: float,
    steps: int = 2000,
    batch_size: int = 256,
    rng: np.random.Generator,
    description: str | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Fit ``relu(g2 W2 relu(g1 W1 x + c1) + c2)`` to Y by Adam on g1, c1, g2, c2.

    The start is that of an untuned normalisation, g = 1 and c = 0; the step falls to zero along
    half a cosine; the loss is the mean squared error of a batch.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)
    X : array_like (N, n)
    Y : array_like (N, m)
    learning_rate : float
    steps, batch_size : int
        0 steps leave the start.
    rng : numpy.random.Generator
        Draws the batches, with replacement.
    description : str, optional
        Name of a progress bar.

    Returns
    -------
    losses : float64 (steps,)
        Of each batch, before its step.
    error : float
        Relative root mean squared error over all of X at the end.

    Raises
    ------
    ValueError
        If the learning rate is not positive, or a count is impossible.
    """
    W1, W2, X, Y = (np.asarray(a, dtype=np.float64) for a in (W1, W2, X, Y))
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
    if steps < 0 or batch_size < 1:
        raise ValueError(
            f"steps and batch_size must be at least 0 and 1, got {steps} and {batch_size}"
        )
    k, m = len(W1), len(W2)
    A = X @ W1.T  # the first layer is frozen: its products never change
    parts = [slice(0, k), slice(k, 2 * k), slice(2 * k, 2 * k + m), slice(2 * k + m, 2 * k + 2 * m)]
    theta = np.concatenate([np.ones(k), np.zeros(k), np.ones(m), np.zeros(m)])
    first, second, losses = np.zeros_like(theta), np.zeros_like(theta), np.empty(steps)
    gradient = np.empty_like(theta)
    for step in progress(range(steps), description):
        at = rng.integers(len(X), size=batch_size)
        g1, c1, g2, c2 = (theta[part] for part in parts)
        a = A[at]  # (batch, k)
        u = np.maximum(a * g1 + c1, 0.0)
        s = u @ W2.T  # (batch, m)
        v = np.maximum(s * g2 + c2, 0.0)
        off = v - Y[at]
        losses[step] = np.mean(off**2)
        back = (2.0 / off.size) * off * (v > 0)
        gradient[parts[2]], gradient[parts[3]] = (back * s).sum(0), back.sum(0)
        back = ((back * g2) @ W2) * (u > 0)  # (batch, k)
        gradient[parts[0]], gradient[parts[1]] = np.einsum("bk,bk->k", back, a), back.sum(0)
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient**2 - second)
        rate = 0.5 * learning_rate * (1.0 + math.cos(math.pi * step / steps))
        unbiased = np.sqrt(second / (1.0 - 0.999 ** (step + 1)))
        theta -= rate * (first / (1.0 - 0.9 ** (step + 1))) / (unbiased + 1e-8)
    g1, c1, g2, c2 = (theta[part] for part in parts)
    v = np.maximum((np.maximum(A * g1 + c1, 0.0) @ W2.T) * g2 + c2, 0.0)
    return losses, float(np.linalg.norm(v - Y) / np.linalg.norm(Y))
