"""ReLU networks without biases, as lists of matrices: the targets that the part looks for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


def normal_target(sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
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


def unit_inputs(count: int, d: int, rng: np.random.Generator) -> Array:
    """Points drawn uniformly from the unit sphere: float64 (count, d).

    A network without biases is homogeneous, so its largest error on the ball lies on the sphere.
    """
    points = rng.standard_normal((count, d))
    return points / np.linalg.norm(points, axis=1, keepdims=True)
