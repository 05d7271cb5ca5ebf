"""How far a step moves an iterate of the lanes, but for its noise: one function a curve.

Each is ``(v, eta, curve) -> eta * slope(v)`` and takes part in a loop that the compiler turns into
vector instructions: no branch, no library call where it can be helped.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from reprise.runtime import njit


@njit(inline="always")
def smoothed(v, eta, curve):
    """The slope whose derivative rises linearly from left to right over [-width, width]."""
    left, right, width = curve.left[1], curve.right[1], curve.width
    core = min(max(v, -width), width)
    outer = right if v > 0.0 else left
    inside = (0.5 * (left + right) + 0.25 * (right - left) / width * core) * core
    return eta * (inside + outer * (v - core))


@njit(inline="always")
def sigmoid(v, eta, curve):
    """The slope ``1 / (1 + exp(-v))``."""
    return eta / (1.0 + _exp(-v))


@njit(inline="always")
def rippled(v, eta, curve):
    """The slope ``2 v + 3 sin 2v``."""
    return eta * (2.0 * v + 3.0 * np.sin(2.0 * v))


@intrinsic
def _bits_of(typingcontext, value):
    """The 64 bits of a float64 as int64."""

    def cast(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), cast


@intrinsic
def _float_of(typingcontext, bits):
    """The float64 that has these 64 bits."""

    def cast(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), cast


@njit(inline="always")
def _exp(v):
    """``exp(v)`` within 2 units in the last place, v clipped to [-700, 700].

    A library call would keep the lane loop from becoming vector instructions. Here
    v = k log 2 + r with |r| <= log(2)/2, a Taylor polynomial of degree 13 in r, and k added to the
    exponent bits. Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    """
    v = min(max(v, -700.0), 700.0)
    shifted = v * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = (v - k * 0.6931471803691238) - k * 1.9082149292705877e-10  # log 2 in two parts
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return _float_of(_bits_of(p) + (_bits_of(shifted) << np.int64(52)))


@njit()
def exp_in_place(values):
    """Replace every entry (float64) by `_exp` of it; what the tests compare with ``math.exp``."""
    for i in range(len(values)):
        values[i] = _exp(values[i])
