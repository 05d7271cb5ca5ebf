"""Search the unit sphere for the input on which a network is farthest from its target.

A certificate bounds the error from above, this search from below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.binary.embedding import PrunedBinaryNetwork
from reprise.expressivity.binary.network import BinaryNetwork
from reprise.expressivity.binary.quantization import checked_weights
from reprise.expressivity.relu import (
    LargestError,
    input_gradient,
    relu_network,
    search_sphere,
    unit_inputs,
)
from reprise.runtime import generator

Array = NDArray[np.float64]


def search_error(
    target: Sequence[Array],
    network: BinaryNetwork | PrunedBinaryNetwork,
    *,
    random: int = 2000,
    adversarial: int = 200,
    steps: int = 100,
    seed: int,
) -> LargestError:
    """The largest error of ``network`` against ``target`` that is found on the unit sphere.

    Gradients are those of the quantised target, which the network computes; errors are measured on
    ``network`` itself.

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
    LargestError

    Raises
    ------
    ValueError
        If a count is out of range, or the target has another number of inputs.
    """
    target = checked_weights(target)
    logical = getattr(network, "network", network)
    rounded = [np.ldexp(q.astype(np.float64), -logical.bits) for q in logical.quantized]

    def error(x: Array) -> Array:
        return np.linalg.norm(network.forward(x) - relu_network(target, x), axis=1)

    def error_and_slope(x: Array) -> tuple[Array, Array]:
        gap = relu_network(target, x) - relu_network(rounded, x)
        slope = input_gradient(target, x, gap) - input_gradient(rounded, x, gap)
        return np.linalg.norm(gap, axis=1), slope

    x = unit_inputs(random, target[0].shape[1], rng=generator(seed, "search"))
    return search_sphere(error, error_and_slope, x, ascents=adversarial, steps=steps)
