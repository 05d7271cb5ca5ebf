"""Beyond the paper: hyperplanes chosen by looking at the points, and how robust the signs are.

*Ours.* The construction draws hyperplanes blindly, so that labels and points need not be searched.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.threshold.construction import MemorizationResult
from reprise.expressivity.threshold.points import gaussian_gates


def greedy_hyperplanes(X: ArrayLike, pool: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose from a pool of Gaussian gates, each time the one that parts most pairs.

    Parameters
    ----------
    X : array_like, shape (n, d)
        In the unit ball.
    pool : int
        Gates drawn.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int64
        The chosen gates, in order; they separate all points.

    Raises
    ------
    ValueError
        If even the whole pool does not separate the points.
    """
    X = np.asarray(X, dtype=np.float64)
    normals, offsets = gaussian_gates(pool, X.shape[1], rng=rng)
    signs = X @ normals.T + offsets >= 0  # (n, pool)
    classes, chosen = np.zeros(len(X), np.int64), []
    while classes.max() < len(X) - 1:
        sizes = np.bincount(classes)
        on = np.zeros((len(sizes), pool))
        np.add.at(on, classes, signs)
        parted = (on * (sizes[:, None] - on)).sum(axis=0)
        best = int(parted.argmax())
        if parted[best] == 0:
            raise ValueError(f"pool must separate all points, {pool} gates do not")
        chosen.append(best)
        classes = np.unique(2 * classes + signs[:, best], return_inverse=True)[1].ravel()
    return np.array(chosen, dtype=np.int64)


def safe_radii(result: MemorizationResult, X: ArrayLike) -> NDArray[np.float64]:
    """Distance of each point to the nearest hyperplane of the first layer: float64 (n,).

    Inside that radius no sign changes, so neither does the output.
    """
    first = result.network.layers[0]
    gaps = np.abs(np.asarray(X, dtype=float) @ first.weight.T - first.threshold)
    return (gaps / np.linalg.norm(first.weight, axis=1)).min(axis=1)
