"""Baum's network of 1988: slabs around groups of at most d points of the smaller class.

Any d points in general position lie on a plane <w, x> = 1 that no other point meets. Two gates make
a thin slab around it, one output gate counts them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from reprise.expressivity.threshold.network import ThresholdLayer, ThresholdNetwork


def baum_network(X: ArrayLike, y: ArrayLike, *, eps: float | None = None) -> ThresholdNetwork:
    """Memorise labels with 2 ceil(n1 / d) + 1 gates, n1 the size of the smaller class.

    Parameters
    ----------
    X : array_like, shape (n, d)
        In general position.
    y : array_like of 0 and 1, shape (n,)
    eps : float, optional
        Half the slabs' width, the same for all. By default half the distance |<w, x> - 1| of the
        nearest other point, for each slab.

    Returns
    -------
    ThresholdNetwork
        Two layers. With a positive class that is the larger one, the output gate is negated.

    Raises
    ------
    ValueError
        If a group's points do not lie on a plane away from the origin, or another point lies on
        it, both of which general position excludes; or if y is not 0 and 1.
    """
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y)
    if not np.isin(y, (0, 1)).all():
        raise ValueError("y must contain only 0 and 1")
    if X.ndim != 2 or len(X) != len(y):
        raise ValueError(f"X and y have different lengths: {X.shape} and {len(y)}")
    label = _smaller_class(y)
    chosen = np.flatnonzero(y == label)
    normals, widths = [], []
    for start in range(0, len(chosen), X.shape[1]):
        group = chosen[start : start + X.shape[1]]
        w = np.linalg.lstsq(X[group], np.ones(len(group)), rcond=None)[0]
        away = np.abs(X @ w - 1)
        rounding = away[group].max()
        away[group] = np.inf
        width = 0.5 * float(away.min()) if eps is None else eps
        if not rounding < 0.5 * width:
            raise ValueError(f"points {group[0]} to {group[-1]} are not in general position")
        normals.append(w)
        widths.append(min(width, 1.0))
    slabs = len(normals)
    w, half = np.reshape(normals, (slabs, X.shape[1])), np.array(widths)
    weight = np.concatenate([w, -w]) if slabs else np.zeros((1, X.shape[1]))
    threshold = np.concatenate([1 - half, -(1 + half)]) if slabs else np.ones(1)
    # every point passes at least one gate of each slab; both only inside
    sign = 1 if label else -1
    enough = slabs + 1 if label else -slabs
    return ThresholdNetwork(
        [
            ThresholdLayer(weight, threshold, "slabs"),
            ThresholdLayer(
                sparse.csr_array(np.full((1, len(weight)), sign, np.int32)),
                np.array([enough], np.int64),
                "output",
            ),
        ]
    )


def _smaller_class(y: np.ndarray) -> int:
    """The label that fewer points have."""
    return int(2 * np.count_nonzero(y) <= len(y))


def slab_widths(network: ThresholdNetwork) -> np.ndarray:
    """Half the width of each slab: float64 (slabs,). The margin that rounding must not use up."""
    threshold = network.layers[0].threshold
    slabs = len(threshold) // 2
    return -(threshold[slabs:] + threshold[:slabs]) / 2


def baum_gates(n: int, d: int) -> int:
    """Baum's count for n points in general position: ceil(n / d) gates (*recalled*)."""
    return math.ceil(n / d)
