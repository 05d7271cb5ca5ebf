"""64-bit words in compiled loops: random ones as functions of where they stand, and their bits."""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from reprise.runtime import njit

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: multiples of it are the counter of splitmix64."""


@njit(inline="always")
def mix(z):
    """The splitmix64 finaliser: a bijection of 64-bit words that scatters neighbours.

    References
    ----------
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@intrinsic
def lowest_bit(typingcontext, word):
    """Index of the lowest set bit of a word that is not zero."""

    def count(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), count


@intrinsic
def set_bits(typingcontext, word):
    """Number of set bits."""

    def count(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), count
