"""Products of matrices by attention: softmax, linearised around a column that takes nearly all.

`FleqMachine` multiplies with two heads of opposite sign. `product_error` measures one head, two,
and two such pairs, on a sequence of their own.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.looped.gadgets import Terms, allocate, head
from reprise.expressivity.looped.network import Head
from reprise.runtime import check_positive


def product_head(
    width: int, rows: dict[str, range], sign: float, scale: float, sink: float
) -> Head:
    """One of two heads whose sum is sum_j VA_j sinh(c <KE_j, QR_i>) / c in scratch column i.

    The empty column scores S and takes nearly all attention, scratch columns keep weights near
    exp(c <KE_j, QR_i> - S): linear in the inner product, up to the second order, which the head of
    opposite sign cancels.

    Parameters
    ----------
    width : int
    rows : dict of str to range
        With QR, KE, VA, BUF, ONE, IND, NUL.
    sign : float
        1 or -1.
    scale, sink : float
        c and S.
    """
    dim = len(rows["QR"])
    one, scratch, null = (rows[name][0] for name in ("ONE", "IND", "NUL"))
    scores: list[tuple[Terms, Terms]] = [
        ({q: sign * scale}, {k: 1.0}) for q, k in zip(rows["QR"], rows["KE"], strict=True)
    ]
    scores.append(({one: sink}, {null: 2.0, one: -1.0, scratch: 1.0}))
    weight = sign * total_attention(dim, sink) / (2 * scale)
    values = {b: {v: weight} for b, v in zip(rows["BUF"], rows["VA"], strict=False)}
    return head(width, scores, values, soft=True)


def total_attention(dim: int, sink: float) -> float:
    """What softmax divides by in a product: e^S (1 + dm e^-S)."""
    return math.exp(sink) * (1 + dim * math.exp(-sink))


def product_error(
    A: ArrayLike, B: ArrayLike, scale: float, order: int = 2, *, sink: float = 24.0
) -> float:
    """Largest entry of the error of A B by attention alone.

    Parameters
    ----------
    A, B : array_like, shape (dm, dm)
    scale : float
        The argument c.
    order : int
        1: one head, error O(c). 2: two heads of opposite sign, O(c^2). 4: two such pairs, at c and
        2 c, O(c^4).
    sink : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``order`` is another, A and B are not square of one shape, or a number is not positive.
    """
    A, B = np.asarray(A, dtype=np.float64), np.asarray(B, dtype=np.float64)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape != B.shape:
        raise ValueError(f"A and B must be square of one shape, got {A.shape} and {B.shape}")
    for name, value in (("scale", scale), ("sink", sink)):
        check_positive(name, value)
    if order == 1:
        # one head's fetch is e^-S (A 1 + c A B), its weight G / (2 c)
        made = 2 * _one_head(A, B, 1.0, scale, sink) - A.sum(axis=1, keepdims=True) / scale
    elif order == 2:
        made = _two_heads(A, B, scale, sink)
    elif order == 4:
        made = _extrapolate(_two_heads(A, B, scale, sink), _two_heads(A, B, 2 * scale, sink))
    else:
        raise ValueError(f"order must be 1, 2 or 4, got {order!r}")
    return float(np.abs(made - A @ B).max())


def _two_heads(A: NDArray, B: NDArray, scale: float, sink: float) -> NDArray:
    return _one_head(A, B, 1.0, scale, sink) + _one_head(A, B, -1.0, scale, sink)


def _extrapolate(fine: NDArray, coarse: NDArray) -> NDArray:
    """Cancel the second order of products at scales c and 2 c."""
    return (4 * fine - coarse) / 3


def _one_head(A: NDArray, B: NDArray, sign: float, scale: float, sink: float) -> NDArray:
    """What a product head fetches, on a sequence of dm scratch columns and the empty one."""
    dim = len(A)
    rows, width = allocate(
        dict.fromkeys(("QR", "KE", "VA", "BUF"), dim) | {"ONE": 1, "IND": 1, "NUL": 1}
    )
    X = np.zeros((width, dim + 1))
    for name, block in (("QR", B), ("KE", np.eye(dim)), ("VA", A)):
        X[rows[name].start : rows[name].stop, :dim] = block
    X[rows["ONE"][0]], X[rows["IND"][0], :dim], X[rows["NUL"][0], dim] = 1, 1, 1
    fetched = product_head(width, rows, sign, scale, sink)(torch.from_numpy(X)).numpy()
    return fetched[rows["BUF"].start : rows["BUF"].stop, :dim]
