"""Scales that ask for small shifts, and what a shift costs in low precision.

With more neurons than equations there is a whole space of solutions. The first shift of neuron c is
``|gamma_c| ||W1_c|| R``, so a weighted norm of gamma is a norm of the shifts, and the least one is
the best for whoever computes with few digits. (Ours.)
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from reprise.expressivity.norm_tuning.system import (
    ACCEPTED,
    ReconstructionError,
    khatri_rao,
    solve_scales,
)

Norm = Literal["l1", "l2", "linf"]


def least_shift_scales(
    W1: ArrayLike, W2: ArrayLike, target: ArrayLike, *, norm: Norm
) -> NDArray[np.float64]:
    """Scales whose shifts per unit of radius, ``|gamma_c| ||W1_c||``, are least in some norm.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)
    target : array_like (m, n)
    norm : str
        "l1": the sum of the shifts, a linear program. "l2": a weighted minimum-norm solution.
        "linf": the largest shift, a linear program.

    Returns
    -------
    float64 (k,)

    Raises
    ------
    ValueError
        If the norm is unknown or shapes do not chain.
    ReconstructionError
        If there is no solution.
    """
    if norm not in get_args(Norm):
        raise ValueError(f"norm must be one of {', '.join(get_args(Norm))}, got {norm!r}")
    W1, W2 = np.asarray(W1, dtype=np.float64), np.asarray(W2, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    weights = np.linalg.norm(W1, axis=1)
    if norm == "l2":
        return solve_scales(W1, W2, target, weights=weights).gamma
    A = khatri_rao(W1, W2) / weights  # columns for the shifts s_c = weights_c gamma_c
    t = target.ravel()
    size, k = float(np.linalg.norm(t)), len(weights)
    if norm == "l1":  # s = s+ - s-, both not negative
        found = linprog(np.ones(2 * k), A_eq=np.hstack([A, -A]), b_eq=t / size, method="highs")
        shifts = None if found.x is None else found.x[:k] - found.x[k:]
    else:  # -bound <= s <= bound
        limits = np.block([[np.eye(k), -np.ones((k, 1))], [-np.eye(k), -np.ones((k, 1))]])
        equal = np.hstack([A, np.zeros((len(t), 1))])
        found = linprog(
            np.append(np.zeros(k), 1.0),
            A_ub=limits,
            b_ub=np.zeros(2 * k),
            A_eq=equal,
            b_eq=t / size,
            bounds=[(None, None)] * k + [(0, None)],
            method="highs",
        )
        shifts = None if found.x is None else found.x[:k]
    if shifts is None:
        raise ReconstructionError(f"no scales reach the target with k={k} for m*n={len(t)}: rank")
    shifts = shifts + np.linalg.lstsq(A, t / size - A @ shifts, rcond=None)[0]  # solver's tolerance
    if not np.linalg.norm(A @ shifts - t / size) <= ACCEPTED:
        raise ReconstructionError(f"no scales reach the target with k={k} for m*n={len(t)}: rank")
    return shifts * size / weights


def forward_error_bound(
    W1: ArrayLike, W2: ArrayLike, gamma: ArrayLike, radius: float, unit: float
) -> NDArray[np.float64]:
    """Largest rounding error of one block's outputs, for a unit roundoff, to first order.

    Every number behind the first shift is at most ``2 c1_c``: it carries a relative error of
    ``(n + 3) unit`` from the product, the scale, the shift and the weight's own rounding, and the
    sum over k neurons another ``(k + 2) unit``; the second shift cancels ``W2 c1`` with as much.

    Parameters
    ----------
    W1 : array_like (k, n)
    W2 : array_like (m, k)
    gamma : array_like (k,)
    radius : float
    unit : float
        Half the spacing of numbers above 1: 2^-24 for float32, 2^-8 for bfloat16.

    Returns
    -------
    float64 (m,)
    """
    W1, W2, gamma = (np.asarray(a, dtype=np.float64) for a in (W1, W2, gamma))
    k, n = W1.shape
    c1 = np.abs(gamma) * np.linalg.norm(W1, axis=1) * radius
    # the products' sizes add up to at most ||W1_c|| ||x||, by Cauchy and Schwarz
    return (np.abs(W2) @ (2.0 * c1)) * (n + k + 6) * unit
