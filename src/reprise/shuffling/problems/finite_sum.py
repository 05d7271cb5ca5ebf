"""What the simulator asks of a problem, and what it can ask of some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@runtime_checkable
class FiniteSum(Protocol):
    """What the simulator asks of a problem."""

    n: int
    dim: int
    minimizer: Array

    def value(self, x: Array) -> Array:
        """F(x): float64 (..., dim) -> (...)."""
        ...

    def gradient(self, i: NDArray[np.int64], x: Array) -> Array:
        """Gradient of f_i at x: int (...), float64 (..., dim) -> (..., dim)."""
        ...


def all_gradients(problem: FiniteSum, x: Array) -> Array:
    """Gradients of all components at each point: float64 (..., d) -> (..., n, d).

    Raises
    ------
    ValueError
        If the last axis of ``x`` is not d.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.shape[-1:] != (problem.dim,):
        raise ValueError(f"x must have shape (..., {problem.dim}), got {x.shape}")
    points = np.repeat(x[..., None, :], problem.n, axis=-2)
    return problem.gradient(np.broadcast_to(np.arange(problem.n), points.shape[:-1]), points)


@dataclass(frozen=True)
class TwoKinds:
    """A one-dimensional sum whose components come in two kinds.

    The gradient of a component of kind s is ``(right[s] if x > 0 else left[s]) * x + offset[s]``;
    another ``curve`` replaces its first term.

    Attributes
    ----------
    kinds : ndarray of bool, shape (n,)
        True where the component is of kind 1.
    left, right, offset : ndarray of float64, shape (2,)
    width : float
        Half width over which the second derivative turns from left to right; 0 is a kink.
    curve : {"glued", "sigmoid", "rippled"}
        The first term: as above, ``1 / (1 + exp(-x))``, or ``2 x + 3 sin 2x``. The last two read
        neither slopes nor width.
    """

    kinds: NDArray[np.bool_]
    left: Array
    right: Array
    offset: Array
    width: float = 0.0
    curve: Literal["glued", "sigmoid", "rippled"] = "glued"


def finite(name: str, values: ArrayLike, shape: str, ndim: tuple[int, ...]) -> Array:
    """Return ``values`` as a finite float64 array of an allowed dimension.

    Raises
    ------
    ValueError
        If they are something else; the message names them.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in ndim or array.size == 0:
        raise ValueError(f"{name} must have shape {shape} and not be empty, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return array
