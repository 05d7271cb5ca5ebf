"""ReLU networks without biases, as lists of matrices: the targets that the part looks for.

Such a network is homogeneous, so the largest error of what is to compute it lies, within the unit
ball, on the sphere. Inputs bound it from below: random ones, and the worst of them improved by
gradient ascent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
ErrorAndSlope = Callable[[Array], tuple[Array, Array]]


def relu_network(weights: Sequence[NDArray], x: NDArray) -> NDArray:
    """``W_l s(... s(W_1 x))`` with s the ReLU, for each row of x; integers stay integers.

    Parameters
    ----------
    weights : sequence of ndarray, shape (out, in)
    x : ndarray, shape (batch, d_in)

    Returns
    -------
    ndarray, shape (batch, d_out)
    """
    for w in weights[:-1]:
        x = np.maximum(x @ w.T, 0)
    return x @ weights[-1].T


def input_gradient(weights: Sequence[Array], x: Array, gap: Array) -> Array:
    """Gradient of ``<gap, f(x)>`` with respect to x, for a fixed gap, row by row.

    Parameters
    ----------
    weights : sequence of ndarray, shape (out, in)
    x : ndarray of float64, shape (batch, d_in)
    gap : ndarray of float64, shape (batch, d_out)

    Returns
    -------
    ndarray of float64, shape (batch, d_in)
    """
    open_gates = []
    for w in weights[:-1]:
        x = x @ w.T
        open_gates.append(x > 0)
        x = np.maximum(x, 0)
    gradient = gap @ weights[-1]
    for w, gate in zip(reversed(weights[:-1]), reversed(open_gates), strict=True):
        gradient = (gradient * gate) @ w
    return gradient


def checked_target(weights: Sequence[ArrayLike]) -> list[Array]:
    """Return a target's layers as finite float64 matrices that fit each other.

    Raises
    ------
    ValueError
        If there is no layer, a layer is not a matrix, does not fit the one before or is not finite.
    """
    layers = [np.asarray(w, dtype=np.float64) for w in weights]
    if not layers:
        raise ValueError("weights must hold at least one layer, got none")
    for index, w in enumerate(layers):
        entering = len(layers[index - 1]) if index else "in"
        if w.ndim != 2 or w.size == 0 or (index and w.shape[1] != entering):
            raise ValueError(f"weights[{index}] must have shape (out, {entering}), got {w.shape}")
        if not np.isfinite(w).all():
            raise ValueError(f"weights[{index}] must be finite")
    return layers


def checked_fraction(name: str, value: float) -> float:
    """Return a number strictly between 0 and 1: an accuracy, or a probability of failure.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie in (0, 1), got {value!r}")
    return float(value)


def normal_target(sizes: Sequence[int], *, rng: np.random.Generator) -> list[Array]:
    """Normal weights, each layer divided by its spectral norm.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input, of each hidden layer, of the output.
    rng : numpy.random.Generator

    Returns
    -------
    list of ndarray of float64, shape (out, in)
    """
    layers = [rng.standard_normal((m, n)) for n, m in itertools.pairwise(sizes)]
    return [w / np.linalg.norm(w, 2) for w in layers]


def unit_inputs(count: int, d: int, *, rng: np.random.Generator) -> Array:
    """Points drawn uniformly from the unit sphere: float64 (count, d)."""
    points = rng.standard_normal((count, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# --- the largest error, looked for ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LargestError:
    """The largest errors that a search of the unit sphere found, in Euclidean norm.

    Attributes
    ----------
    random : float
        Over random inputs.
    adversarial : float
        Over the inputs found by gradient ascent.
    point : ndarray of float64, shape (d_in,)
        The worst input of both.
    """

    random: float
    adversarial: float
    point: Array

    @property
    def largest(self) -> float:
        """The larger of the two."""
        return max(self.random, self.adversarial)


def search_sphere(
    error: Callable[[Array], Array],
    error_and_slope: ErrorAndSlope,
    x: Array,
    *,
    ascents: int,
    steps: int,
) -> LargestError:
    """Look for the input of the unit sphere with the largest error.

    Parameters
    ----------
    error : callable
        float64 (batch, d_in) -> (batch,): what is measured.
    error_and_slope : callable
        What is climbed, see `ascend`.
    x : ndarray of float64, shape (batch, d_in)
        Random inputs.
    ascents : int
        How many of the worst of them are improved.
    steps : int
        Steps of each ascent.

    Returns
    -------
    LargestError

    Raises
    ------
    ValueError
        If there are no inputs, more ascents than inputs or none, or ``steps`` is negative.
    """
    if not 1 <= ascents <= len(x) or steps < 0:
        raise ValueError(
            "random >= adversarial >= 1 and steps >= 0 must hold, got "
            f"random={len(x)!r}, adversarial={ascents!r}, steps={steps!r}"
        )
    found = error(x)
    climbed = ascend(error_and_slope, x[np.argsort(found)[-ascents:]], steps=steps)
    again = error(climbed)
    worst = climbed[again.argmax()] if again.max() > found.max() else x[found.argmax()]
    return LargestError(float(found.max()), float(again.max()), worst)


def ascend(error_and_slope: ErrorAndSlope, x: Array, *, steps: int, step: float = 0.1) -> Array:
    """Climb from points of the unit sphere, and return the best point that each start met.

    Parameters
    ----------
    error_and_slope : callable
        float64 (batch, d_in) -> the error, (batch,), and a direction in which it grows,
        (batch, d_in).
    x : ndarray of float64, shape (batch, d_in)
    steps : int
    step : float
        Length of the first step. Steps shrink: first explore, then settle.

    Returns
    -------
    ndarray of float64, shape (batch, d_in)
    """
    best, best_error = x, np.full(len(x), -np.inf)
    for taken in range(steps + 1):
        error, slope = error_and_slope(x)
        better = error > best_error
        best, best_error = np.where(better[:, None], x, best), np.maximum(error, best_error)
        length = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
        x = x + step * (1 - taken / max(steps, 1)) * slope / length
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    return best
