"""Experiment 1: every weight of a network becomes a sum of a few random numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.subset_sum.solver import solve_subset_sum
from reprise.runtime import generator

Floats = NDArray[np.float64]
Draw = Literal["weight", "neuron"]

CHUNK = 50_000
"""Weights whose numbers are drawn at a time: 8 MB of them for n = 21."""


def num_candidates(eps: float, c: float = 3.0) -> int:
    """Random numbers a weight, as the authors' program counts them: ``int(c round(log2(1/eps)))``.

    Raises
    ------
    ValueError
        If eps is not in (0, 1) or c not positive.
    """
    if not 0 < eps < 1:
        raise ValueError(f"eps must be positive and below 1, got {eps}")
    if not c > 0:
        raise ValueError(f"c must be positive, got {c}")
    return int(c * round(math.log2(1 / eps)))


@dataclass(frozen=True)
class WeightApproximation:
    """Every weight of some layers, replaced by a subset sum.

    Attributes
    ----------
    approx : list of float64
        In the shapes of the weights.
    mask : list of uint64
        Which of a weight's numbers are kept.
    error : float64 (count,)
        Distance of each sum from its weight, over all layers.
    n_kept : int64 (count,)
    failures : int
        Weights whose error exceeds eps. Nothing is ever drawn again.
    seconds : float
        Wall time of drawing and solving.
    """

    approx: list[Floats]
    mask: list[NDArray[np.uint64]]
    error: Floats
    n_kept: NDArray[np.int64]
    failures: int
    seconds: float


def approximate_weights(
    weights: Sequence[ArrayLike] | NDArray,
    n: int,
    *,
    low: float,
    high: float,
    draw: Draw = "weight",
    seed: int,
    eps: float,
    threshold_small: bool = False,
) -> WeightApproximation:
    """Replace every weight by its nearest sum of a subset of n random numbers.

    Parameters
    ----------
    weights : array_like (out, in) or sequence of them
        Promoted to float64; a single matrix counts as one layer.
    n : int
        Random numbers for each set, 1 to 40.
    low, high : float
        They are uniform on [low, high].
    draw : str
        "weight": a fresh set for every weight. "neuron": one set for all weights of a row.
    seed : int
        Each layer has a stream of its own.
    eps : float
        What counts as a failure.
    threshold_small : bool
        Set weights with ``|w| <= eps`` to 0 (the empty subset) without looking for a sum.

    Returns
    -------
    WeightApproximation

    Raises
    ------
    ValueError
        If a layer is not a matrix or eps not positive; as for `solve_subset_sum` and
        `draw_values`.
    """
    begin = time.perf_counter()
    single = isinstance(weights, np.ndarray) and weights.ndim == 2
    layers = [np.asarray(w, dtype=np.float64) for w in ([weights] if single else weights)]
    for number, layer in enumerate(layers):
        if layer.ndim != 2:
            raise ValueError(f"weights[{number}] must have shape (out, in), got {layer.shape}")
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    approx, masks, errors, kept = [], [], [], []
    for number, layer in enumerate(layers):
        small = threshold_small & (np.abs(layer) <= eps)
        values = draw_values(layer.shape, n, low=low, high=high, draw=draw, seed=seed, layer=number)
        parts = [
            solve_subset_sum(v, layer.reshape(-1)[at] if draw == "weight" else layer[at])
            for at, v in values
        ]
        sums, mask, size = (
            np.where(
                small, 0, np.concatenate([getattr(p, name) for p in parts]).reshape(layer.shape)
            )
            for name in ("sum", "mask", "n_kept")
        )
        approx.append(sums)
        masks.append(mask.astype(np.uint64))
        errors.append(np.abs(sums - layer).reshape(-1))
        kept.append(size.reshape(-1))
    error = np.concatenate(errors)
    return WeightApproximation(
        approx,
        masks,
        error,
        np.concatenate(kept),
        int((error > eps).sum()),
        time.perf_counter() - begin,
    )


def draw_values(
    shape: tuple[int, int],
    n: int,
    *,
    low: float,
    high: float,
    draw: Draw,
    seed: int,
    layer: int,
) -> Iterator[tuple[slice, Floats]]:
    """The random numbers of one layer, in chunks that do not change what is drawn.

    Yields
    ------
    block : slice
        Of the layer's weights in row-major order ("weight"), or of its rows ("neuron").
    values : float64 (len(block), n)

    Raises
    ------
    ValueError
        If low is not below high, or the kind of draw is unknown.
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    if draw not in ("weight", "neuron"):
        raise ValueError(f"draw must be 'weight' or 'neuron', got {draw!r}")
    rng = generator(seed, "approximate_weights", draw, f"layer {layer}")
    sets = shape[0] * shape[1] if draw == "weight" else shape[0]
    for start in range(0, sets, CHUNK):
        block = slice(start, min(start + CHUNK, sets))
        yield block, rng.uniform(low, high, (block.stop - start, n))
