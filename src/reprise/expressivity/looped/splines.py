"""Piecewise linear seeds of 1/x and 1/sqrt(x), for the machine and the interpreter alike.

Knots stand in geometric steps from 2^-10 to 2^10, so the relative error is the same everywhere
between. Below 2^-11 a seed is 0: an entry that is 0 must stay harmless.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

FUNCTIONS: dict[str, Callable] = {"RECIP": np.reciprocal, "RSQRT": lambda x: 1 / np.sqrt(x)}


def spline_points(op: str, knots: int = 65) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and values that a seed interpolates, both of shape (knots + 1,).

    Parameters
    ----------
    op : str
        RECIP or RSQRT.
    knots : int
    """
    points = 2.0 ** np.linspace(-10, 10, knots)
    values = FUNCTIONS[op](points)
    return np.append(2.0**-11, points), np.append(0.0, values)


def spline_seed(op: str, x: ArrayLike, knots: int = 65) -> NDArray[np.float64]:
    """The seed of RECIP or RSQRT at x, entrywise; constant above 2^10."""
    points, values = spline_points(op, knots)
    return np.interp(x, points, values, left=0.0, right=values[-1])
