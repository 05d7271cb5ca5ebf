"""Search the unit ball for the input on which a network is farthest from its target.

A certificate bounds the error from above. Inputs bound it from below: many random ones, and the
worst of them improved by projected gradient ascent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.binary.embedding import PrunedBinaryNetwork
from reprise.expressivity.binary.network import BinaryNetwork, checked_weights
from reprise.expressivity.relu import input_gradient, relu_network, unit_inputs
from reprise.runtime import generator

Array = NDArray[np.float64]

STEP = 0.1  # length of an ascent step on the unit sphere


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The largest errors found, Euclidean norms of output differences.

    Attributes
    ----------
    random : float
        Over the random inputs.
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


def search_error(
    target: Sequence[Array],
    network: BinaryNetwork | PrunedBinaryNetwork,
    *,
    random: int = 2000,
    adversarial: int = 200,
    steps: int = 100,
    seed: int,
) -> SearchResult:
    """The largest error of ``network`` against ``target`` that is found on the unit sphere.

    Both are homogeneous, so the largest error on the ball lies on the sphere. Gradients are those
    of the quantised target, which the network computes; errors are measured on ``network`` itself.

    Parameters
    ----------
    target : sequence of ndarray, shape (out, in)
    network : BinaryNetwork or PrunedBinaryNetwork
    random : int
        Random inputs.
    adversarial : int
        How many of the worst of them are improved, at most ``random``.
    steps : int
        Ascent steps; the best point seen on the way is kept.
    seed : int

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        If a count is out of range, or the target has another number of inputs.
    """
    target = checked_weights(target)
    if random < 1 or not 1 <= adversarial <= random or steps < 0:
        raise ValueError(
            "random >= adversarial >= 1 and steps >= 0 must hold, got "
            f"random={random!r}, adversarial={adversarial!r}, steps={steps!r}"
        )
    x = unit_inputs(random, target[0].shape[1], generator(seed, "search"))
    found = _errors(target, network, x)
    logical = getattr(network, "network", network)
    rounded = [np.ldexp(q.astype(np.float64), -logical.bits) for q in logical.quantized]
    starts = x[np.argsort(found)[-adversarial:]]
    climbed = _ascend(target, rounded, starts, steps)
    again = _errors(target, network, climbed)
    worst = climbed[again.argmax()] if again.max() > found.max() else x[found.argmax()]
    return SearchResult(float(found.max()), float(again.max()), worst)


def _errors(
    target: Sequence[Array], network: BinaryNetwork | PrunedBinaryNetwork, x: Array
) -> Array:
    """Distance between both outputs for each row of x."""
    return np.linalg.norm(network.forward(x) - relu_network(target, x), axis=1)


def _ascend(target: Sequence[Array], other: Sequence[Array], x: Array, steps: int) -> Array:
    """Move each row along the gradient of the distance of two networks; keep the best seen."""
    best, best_error = x, np.linalg.norm(relu_network(target, x) - relu_network(other, x), axis=1)
    for step in range(steps):
        gap = relu_network(target, x) - relu_network(other, x)
        gradient = input_gradient(target, x, gap) - input_gradient(other, x, gap)
        length = np.linalg.norm(gradient, axis=1, keepdims=True)
        # shorter and shorter steps: first explore, then settle
        x = x + STEP * (1 - step / steps) * gradient / np.maximum(length, 1e-300)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        error = np.linalg.norm(relu_network(target, x) - relu_network(other, x), axis=1)
        better = error > best_error
        best = np.where(better[:, None], x, best)
        best_error = np.where(better, error, best_error)
    return best
