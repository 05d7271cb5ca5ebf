"""Components of the workers paired by gradient, so that synchronized shuffling can pair them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def match_components(gradients: Array) -> NDArray[np.int64]:
    """Pair the workers' components by gradient: what synchronized shuffling needs of unequal data.

    Worker m's component ``match[m, i]`` stands in for worker 0's component i; the sum of squared
    distances between their gradients is the least possible (an assignment problem).

    Parameters
    ----------
    gradients : float64 (M, N, d)
        Of every component, at one point.

    Returns
    -------
    ndarray of int64, shape (M, N)

    Raises
    ------
    ValueError
        If ``gradients`` has another number of axes or is not finite.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.asarray(gradients, dtype=np.float64)
    if rows.ndim != 3 or not np.isfinite(rows).all():
        raise ValueError(f"gradients must be finite, of shape (M, N, d), got {rows.shape}")
    match = np.empty(rows.shape[:2], dtype=np.int64)
    for m, row in enumerate(rows):
        similarity = rows[0] @ row.T  # the squares of both do not depend on the assignment
        match[m] = linear_sum_assignment(similarity, maximize=True)[1]
    return match


def rename_components(orders: NDArray[np.int64], match: NDArray[np.int64]) -> NDArray[np.int64]:
    """Let every worker visit ``match[m, i]`` where its order says i.

    Parameters
    ----------
    orders : int64 (..., M, N)
    match : int64 (M, N)

    Returns
    -------
    ndarray of int64, shape (..., M, N)
    """
    return np.take_along_axis(np.broadcast_to(match, orders.shape), orders, axis=-1)
