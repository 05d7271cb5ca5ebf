"""Weights as integers of k bits: rounding, the error that it can cause, and their digits.

Sreenivasan et al. (2022); the bounds are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.relu import checked_fraction, checked_target
from reprise.runtime import is_integer

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_BITS = 24


def quantize(weights: Sequence[ArrayLike], bits: int) -> list[Integers]:
    """Round weights to multiples of 2^-bits: the integers ``Q = rint(2^bits W)``, ties to even.

    Parameters
    ----------
    weights : sequence of array_like, shape (out, in)
        A target's layers, first layer first; entries in [-1, 1].
    bits : int
        1 to 24.

    Returns
    -------
    list of ndarray of int64, shape (out, in)
        ``|Q| <= 2^bits`` and ``|Q / 2^bits - W| <= 2^(-bits-1)``.

    Raises
    ------
    ValueError
        If there is no layer, a layer is not a matrix, is not finite, leaves [-1, 1] or does not fit
        the layer before it, or bits is out of range.
    """
    checked_bits(bits)
    return [_round(np.ldexp(w, bits)).astype(np.int64) for w in checked_weights(weights)]


def quantization_bound(shapes: Sequence[tuple[int, int]], bits: int) -> float:
    """The error that rounding to ``bits`` bits can cause at most, from the shapes alone.

    With spectral norms of at most 1 and inputs in the unit ball it is ``prod(1 + eta_i) - 1``,
    ``eta_i = sqrt(m n) 2^(-bits-1)`` (derived here).

    Parameters
    ----------
    shapes : sequence of (out, in)
    bits : int
        1 to 24.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no shapes, one is not of positive integers, or bits is out of range.
    """
    checked_bits(bits)
    etas = [math.sqrt(m * n) * 0.5 ** (bits + 1) for m, n in _checked_shapes(shapes)]
    return math.expm1(math.fsum(map(math.log1p, etas)))


def quantization_certificate(weights: Sequence[ArrayLike], bits: int) -> float:
    """Like `quantization_bound`, with the spectral norms of the actual rounding errors.

    Valid for weights of spectral norm at most 1 and inputs in the unit ball.

    Parameters
    ----------
    weights : sequence of array_like, shape (out, in)
    bits : int
        1 to 24.

    Returns
    -------
    float
        ``prod(1 + ||W_i - Q_i / 2^bits||_2) - 1``, at most the closed bound.

    Raises
    ------
    ValueError
        As for `quantize`.
    """
    norms = [
        np.linalg.norm(np.asarray(w) - np.ldexp(q.astype(np.float64), -bits), 2)
        for w, q in zip(weights, quantize(weights, bits), strict=True)
    ]
    return math.expm1(math.fsum(map(math.log1p, norms)))


def bits_for(shapes: Sequence[tuple[int, int]], eps: float) -> int:
    """The least number of bits whose closed bound is at most ``eps``.

    Parameters
    ----------
    shapes : sequence of (out, in)
    eps : float
        Between 0 and 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If eps lies outside (0, 1) or needs more than 24 bits.
    """
    checked_fraction("eps", eps)
    for bits in range(1, MAX_BITS + 1):
        if quantization_bound(shapes, bits) <= eps:
            return bits
    raise ValueError(f"eps {eps:g} needs more than {MAX_BITS} bits")


# --- digits ---------------------------------------------------------------------------------------


def binary_digits(q: ArrayLike, length: int) -> NDArray[np.int8]:
    """Signed bits, least significant first: ``sign(q)`` times the bits of ``|q|``.

    Parameters
    ----------
    q : array_like of int
    length : int

    Returns
    -------
    ndarray of int8, shape (..., length)
        ``q == (digits * 2**arange(length)).sum(-1)``.

    Raises
    ------
    ValueError
        If a number needs more digits, or q is not of integers.
    """
    q = _checked_digits_input(q, length)
    bits = (np.abs(q)[..., None] >> np.arange(length)) & 1
    return _checked_value(q, np.sign(q)[..., None] * bits)


def canonical_digits(q: ArrayLike, length: int = 26) -> NDArray[np.int8]:
    """Digits -1, 0, 1, least significant first, no two neighbours both non-zero.

    This form is unique and has the fewest non-zeros, on average a third of its length (Reitwiesner
    1960). It may need one digit more than the bits.

    Parameters
    ----------
    q : array_like of int
        At most 2^24 in absolute value for the default length.
    length : int

    Returns
    -------
    ndarray of int8, shape (..., length)
        ``q == (digits * 2**arange(length)).sum(-1)``.

    Raises
    ------
    ValueError
        If a number needs more digits, or q is not of integers.
    """
    q = _checked_digits_input(q, length)
    half, whole = np.abs(q) >> 1, np.abs(q)
    carried = whole + half  # 3|q| / 2, whose differences from |q| / 2 are the digits
    changed = carried ^ half
    places = np.arange(length)
    plus, minus = (((part & changed)[..., None] >> places) & 1 for part in (carried, half))
    return _checked_value(q, np.sign(q)[..., None] * (plus - minus))


# --- checks ---------------------------------------------------------------------------------------


def checked_bits(bits: int) -> int:
    """Return ``bits`` if it is an integer from 1 to 24.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not is_integer(bits) or not 1 <= bits <= MAX_BITS:
        raise ValueError(f"bits must be between 1 and {MAX_BITS}, got {bits!r}")
    return int(bits)


def checked_weights(weights: Sequence[ArrayLike]) -> list[Array]:
    """Return a target's layers, see `checked_target`, if their entries lie in [-1, 1].

    Raises
    ------
    ValueError
        If they do not.
    """
    layers = checked_target(weights)
    for w in layers:
        if (largest := w.flat[np.abs(w).argmax()]) ** 2 > 1:
            raise ValueError(f"weights must lie in [-1, 1], got {largest:g}")
    return layers


def _round(values: Array) -> Array:
    """The nearest integers, ties to even."""
    return np.rint(values)


def _checked_shapes(shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Shapes (out, in) of positive integers."""
    pairs = [tuple(shape) for shape in shapes]
    if not pairs:
        raise ValueError("shapes must hold at least one (out, in), got none")
    for pair in pairs:
        if len(pair) != 2 or any(not isinstance(v, int | np.integer) or v < 1 for v in pair):
            raise ValueError(f"shapes must hold pairs of positive integers, got {pair!r}")
    return pairs


def _checked_digits_input(q: ArrayLike, length: int) -> Integers:
    """Integers, and a number of digits that int64 holds."""
    q = np.asarray(q)
    if q.dtype.kind not in "iu":
        raise ValueError(f"q must hold integers, got {q.dtype}")
    if not 1 <= length <= 62:
        raise ValueError(f"length must be between 1 and 62, got {length!r}")
    return q.astype(np.int64)


def _checked_value(q: Integers, digits: NDArray) -> NDArray[np.int8]:
    """Refuse digits that lost a part of the number."""
    length = digits.shape[-1]
    lost = q != (digits << np.arange(length)).sum(axis=-1)
    if lost.any():
        raise ValueError(f"q must fit {length} digits, got {int(q[lost].flat[0])}")
    return digits.astype(np.int8)
