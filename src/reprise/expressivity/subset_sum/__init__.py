"""Random subset sums: a few random numbers hold, as the sum of some of them, almost any weight.

Of n random numbers there are 2^n subset sums, so the nearest one to a target is exponentially near:
n = O(log 1/eps) numbers replace the 1/eps that waiting for a single near number takes. Done for
every weight, this turns a random network that is only a logarithmic factor too wide into any target
network, by pruning alone. The solver is in `subset_sum.solver`, the construction in
`subset_sum.gadget`, pruning by search in `reprise.expressivity.edge_popup`.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal lottery tickets via SubsetSum:
logarithmic over-parameterization is sufficient", NeurIPS 2020, arXiv 2006.07990. Lueker, 1998, for
the random subset sum problem.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from reprise.expressivity.edge_popup import (
    DenseLinear,
    EdgePopupLinear,
    GadgetLinear,
    feed_forward,
    kept_parameters,
    supermask,
)
from reprise.expressivity.relu import normal_target, relu_network
from reprise.expressivity.subset_sum.gadget import (
    LargestError,
    PrunedRandomNetwork,
    find_largest_error,
    prune_to_target,
    rows_per_input,
)
from reprise.expressivity.subset_sum.solver import (
    SubsetSumResult,
    solve_subset_sum,
    sparsest_subset,
    subset_from_mask,
    subset_sums,
)
from reprise.images import Images
from reprise.runtime import device as runtime_device
from reprise.runtime import generator, in_parallel, torch_generator
from reprise.training import accuracy, dtype_of, train_classifier

__all__ = [
    "Covering",
    "EdgePopupLinear",
    "GadgetLinear",
    "LargestError",
    "PopupRun",
    "PrunedRandomNetwork",
    "SubsetSumResult",
    "WeightApproximation",
    "approximate_weights",
    "covering",
    "covering_radius",
    "draw_values",
    "equal_sizes",
    "find_largest_error",
    "first_hits",
    "grid_error",
    "least_n",
    "lenet_front",
    "normal_target",
    "num_candidates",
    "popup_network",
    "popup_run",
    "popup_sizes",
    "prune_to_target",
    "random_numbers",
    "relu_network",
    "rows_per_input",
    "solve_subset_sum",
    "sparsest_subset",
    "subset_from_mask",
    "subset_sums",
    "supermask",
]

Floats = NDArray[np.float64]
Draw = Literal["weight", "neuron"]
Law = Literal["uniform", "product"]
Structure = Literal["dense", "wide", "linear", "relu"]

ARCHITECTURES = ("two_layer", "four_layer", "lenet5")

CHUNK = 50_000
"""Weights whose numbers are drawn at a time: 8 MB of them for n = 21."""

SUMS_AT_A_TIME, FEW_SUMS = 2**17, 2**12
"""Subset sums that a thread looks at together, and up to which number it sorts all of a row's."""

PUBLISHED = {
    "weights": 397_000,
    "numbers": 8_337_000,
    "kept": 3_725_871,
    "accuracy": 97.19,
    "seconds": 77_266.02,
    "cores": 36,
}
"""Experiment 1, from the table and the log in the authors' repository."""

PUBLISHED_POPUP = {
    0.025: (12, 10, 46),
    0.05: (38, 67, 83),
    0.1: (96, 97, 97.5),
    0.25: (98, 97, 98),
    0.5: (98, 97, 98),
    0.75: (97.5, 93.5, 98),
    0.9: (96, 79, 97),
    0.95: (89, 57, 95),
    0.975: (74, 29, 91),
    0.98: (70, 23, 90),
    0.99: (39, 18, 87),
}
"""Experiment 2, two layers, h = 500: sparsity -> percent of linear, ReLU and wide, read off the
figure in the authors' repository by eye, to about 1.5 points."""


# --- random numbers and how densely their sums cover an interval ----------------------------------


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


def random_numbers(
    shape: tuple[int, ...], *, law: Law = "uniform", rng: np.random.Generator
) -> Floats:
    """Draw what subsets are taken of: float64 of the given shape.

    Parameters
    ----------
    shape : tuple of int
    law : str
        "uniform" on [-1, 1]; or "product" of that and an independent uniform on [0, 1], as when a
        weight passes two layers of the gadget.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the law is unknown.
    """
    if law not in ("uniform", "product"):
        raise ValueError(f"law must be 'uniform' or 'product', got {law!r}")
    values = rng.uniform(-1.0, 1.0, shape)
    return values * rng.uniform(0.0, 1.0, shape) if law == "product" else values


@dataclass(frozen=True)
class Covering:
    """How the subset sums of some numbers cover an interval.

    Attributes
    ----------
    radius : float64 (...)
        The farthest that a point of the interval lies from its nearest sum: exact, not on a grid.
    inside : int64 (...)
        Sums inside the interval, both ends included.
    """

    radius: Floats
    inside: NDArray[np.int64]


def covering(
    values: ArrayLike, low: float, high: float, *, n_threads: int | None = None
) -> Covering:
    """Measure how the 2^n subset sums cover [low, high].

    The distance to the nearest sum is largest in the middle of a gap between neighbouring sums, or
    at an end of the interval.

    Parameters
    ----------
    values : array_like of float, shape (..., n)
        n at most 26: all sums are written out.
    low, high : float
    n_threads : int, optional
        As for `reprise.runtime.thread_count`.

    Returns
    -------
    Covering

    Raises
    ------
    ValueError
        If low is not below high, or n not from 1 to 26.
    """
    if not low < high:
        raise ValueError(f"low must be below high, got {low} and {high}")
    values = np.asarray(values, dtype=np.float64)
    if values.ndim < 1 or not 1 <= values.shape[-1] <= 26:
        raise ValueError(f"values must have 1 to 26 columns, got shape {values.shape}")
    n = values.shape[-1]
    rows = values.reshape(-1, n)
    size = max(1, SUMS_AT_A_TIME >> n)
    blocks = [rows[start : start + size] for start in range(0, len(rows), size)]
    found = in_parallel(partial(_cover, low=low, high=high), blocks, n_threads)
    radius, inside = (np.concatenate(column) for column in zip(*found, strict=True))
    shape = values.shape[:-1]
    return Covering(radius.reshape(shape), inside.reshape(shape))


def covering_radius(values: ArrayLike, low: float, high: float) -> float | Floats:
    """The exact worst error over an interval: `covering`'s radius, a float for a single row.

    Raises
    ------
    ValueError
        As for `covering`.
    """
    radius = covering(values, low, high).radius
    return float(radius) if radius.ndim == 0 else radius


def _cover(rows: Floats, low: float, high: float) -> tuple[Floats, NDArray[np.int64]]:
    """Radius and number of sums inside, (B,) each, for some rows (B, n)."""
    sums = subset_sums(rows)
    if sums.shape[1] <= FEW_SUMS:
        return _measure(np.sort(sums, axis=-1), low, high)
    # most of many sums lie outside: sort the inner ones and the next beyond each end
    found = [_measure(np.sort(_near(row, low, high))[None], low, high) for row in sums]
    radius, inside = (np.concatenate(column) for column in zip(*found, strict=True))
    return radius, inside


def _near(sums: Floats, low: float, high: float) -> Floats:
    """The sums inside an interval, and the nearest one on each side of it."""
    outside = [sums[sums < low].max(initial=-np.inf), sums[sums > high].min(initial=np.inf)]
    beside = [s for s in outside if math.isfinite(s)]
    return np.concatenate([sums[(sums >= low) & (sums <= high)], beside])


def _measure(ordered: Floats, low: float, high: float) -> tuple[Floats, NDArray[np.int64]]:
    """Radius and number inside from sorted sums (B, m)."""
    left, right = ordered[:, :-1], ordered[:, 1:]
    middle = 0.5 * (left + right)
    gaps = np.where((middle >= low) & (middle <= high), right - left, 0.0)
    ends = (np.abs(ordered - end).min(axis=1) for end in (low, high))
    inside = ((ordered >= low) & (ordered <= high)).sum(axis=1)
    return np.maximum(0.5 * gaps.max(axis=1, initial=0.0), np.maximum(*ends)), inside


def grid_error(values: ArrayLike, grid: ArrayLike) -> Floats:
    """The worst error over a grid of targets, which overlooks narrow gaps: (B, n) -> (B,)."""
    grid = np.asarray(grid, dtype=np.float64)
    worst = []
    for sums in subset_sums(values):
        edges = np.concatenate([[-np.inf], np.sort(sums), [np.inf]])
        after = np.searchsorted(edges, grid)
        worst.append(np.minimum(edges[after] - grid, grid - edges[after - 1]).max())
    return np.array(worst)


def first_hits(
    targets: ArrayLike, eps: Sequence[float], *, most: int, rng: np.random.Generator
) -> Floats:
    """How many uniform numbers pass until a single one is within eps of the target.

    Parameters
    ----------
    targets : array_like of float, shape (draws,)
    eps : sequence of float
    most : int
        Numbers drawn for each target.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (len(eps), draws)
        Infinite where none of ``most`` numbers is near.
    """
    wanted = np.asarray(targets, dtype=np.float64)
    hits = np.full((len(eps), len(wanted)), np.inf)
    for d, target in enumerate(wanted):
        gap = np.abs(rng.uniform(-1.0, 1.0, most) - target)
        for e, tolerance in enumerate(eps):
            first = int(np.argmax(gap <= tolerance))
            if gap[first] <= tolerance:
                hits[e, d] = first + 1
    return hits


def least_n(n: ArrayLike, holds: ArrayLike, share: float) -> float:
    """The least n whose draws hold in at least a share of cases; infinite if there is none.

    Parameters
    ----------
    n : array_like of int, shape (points,)
        Ascending.
    holds : array_like of bool, shape (points, draws)
    share : float
    """
    enough = np.asarray(holds).mean(axis=1) >= share
    return float(np.asarray(n)[enough.argmax()]) if enough.any() else math.inf


# --- Experiment 1: every weight of a network ------------------------------------------------------


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


# --- Experiment 2: pruning by search --------------------------------------------------------------


def equal_sizes(sizes: Sequence[int], redundancy: int) -> list[int]:
    """Sizes of an ordinary network with as many parameters as the gadget network of given sizes.

    A gadget layer has ``redundancy * in * (out + 1)`` parameters. The hidden widths are scaled by a
    common factor and rounded.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden widths, outputs; at least one hidden width.
    redundancy : int

    Returns
    -------
    list of int
    """
    wanted = sum(redundancy * a * (b + 1) for a, b in itertools.pairwise(sizes))
    outer = sizes[0] * sizes[1] + sizes[-2] * sizes[-1]
    inner = sum(a * b for a, b in itertools.pairwise(sizes[1:-1]))
    # outer f + inner f^2 = wanted
    root = math.sqrt(outer * outer + 4 * inner * wanted)
    factor = 2 * wanted / (outer + root)
    return [sizes[0], *(round(factor * h) for h in sizes[1:-1]), sizes[-1]]


def popup_network(
    structure: Structure,
    sizes: Sequence[int],
    sparsity: float,
    *,
    redundancy: int,
    random: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """One of the networks of Experiment 2.

    Parameters
    ----------
    structure : str
        "dense": trained, not pruned, the baseline. "linear", "relu": gadget layers. "wide":
        ordinary layers, pruned, with as many parameters as the gadget network.
    sizes : sequence of int
        Inputs, hidden widths, outputs.
    sparsity : float
        Fraction removed of every layer, in [0, 1]; without effect on "dense".
    redundancy : int
        Random factors an input of the gadget.
    random : torch.Generator
    dtype : torch.dtype

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If the structure is unknown or a number out of its range.
    """
    options = {"generator": random, "dtype": dtype}
    if structure == "dense":
        return feed_forward(sizes, partial(DenseLinear, **options))
    if structure == "wide":
        wide = equal_sizes(sizes, redundancy)
        return feed_forward(wide, partial(EdgePopupLinear, sparsity=sparsity, **options))
    if structure not in ("linear", "relu"):
        raise ValueError(f"structure must be dense, wide, linear or relu, got {structure!r}")
    options |= {"redundancy": redundancy, "sparsity": sparsity, "relu": structure == "relu"}
    return feed_forward(sizes, partial(GadgetLinear, **options))


@dataclass(frozen=True)
class PopupRun:
    """A network of Experiment 2, trained.

    Attributes
    ----------
    structure : str
    sparsity : float
    kept : int
        Parameters that the network keeps, convolutions not counted.
    accuracy : float
        Percent of the test set.
    """

    structure: Structure
    sparsity: float
    kept: int
    accuracy: float


def popup_sizes(architecture: str, pixels: int, hidden: int) -> list[int]:
    """Sizes of the pruned, fully connected part of an architecture.

    Parameters
    ----------
    architecture : str
        "two_layer", "four_layer" or "lenet5", whose part behind the convolutions has fixed sizes.
    pixels, hidden : int

    Raises
    ------
    ValueError
        If the architecture is unknown, or "lenet5" is to read images that are not 28 by 28.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}"
        )
    if architecture == "lenet5":
        if pixels != 784:
            raise ValueError(f"lenet5 needs images of 784 pixels, got {pixels}")
        return [400, 120, 84, 10]
    return [pixels, *[hidden] * (1 if architecture == "two_layer" else 3), 10]


def lenet_front(random: torch.Generator, dtype: torch.dtype) -> nn.Sequential:
    """The convolutions of LeNet-5 without biases: (batch, 784) -> (batch, 400)."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 28, 28))]
    for entering, leaving, padding in ((1, 6, 2), (6, 16, 0)):
        layer = nn.Conv2d(entering, leaving, 5, padding=padding, bias=False, dtype=dtype)
        weight = torch.randn(layer.weight.shape, generator=random, dtype=dtype)
        layer.weight = nn.Parameter(weight * math.sqrt(2.0 / (25 * entering)))
        layers += [layer, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


def popup_run(
    images: Images,
    structure: Structure,
    sparsity: float,
    *,
    hidden: int,
    redundancy: int,
    epochs: int,
    seed: int,
    architecture: str = "two_layer",
    device: str = "cpu",
) -> PopupRun:
    """Train one network of Experiment 2 and test it.

    SGD with momentum 0.9, weight decay 5e-4, cosine to 0, batches of 64, learning rate 0.1 (0.01
    for LeNet-5). The convolutions of LeNet-5 learn only in the dense baseline; else they stay
    random, and only what follows them is pruned.

    Parameters
    ----------
    images : Images
        Its dtype is the network's.
    structure, sparsity, redundancy
        As for `popup_network`.
    hidden, architecture
        As for `popup_sizes`.
    epochs, seed : int
    device : str
        As for `reprise.runtime.device`.

    Returns
    -------
    PopupRun

    Raises
    ------
    ValueError
        If the structure or the architecture is unknown or a number out of its range.
    """
    dtype = dtype_of(images.x_train)
    random = torch_generator(seed, "popup", architecture, structure, f"{sparsity:g}")
    sizes = popup_sizes(architecture, images.pixels, hidden)
    model = popup_network(
        structure, sizes, sparsity, redundancy=redundancy, random=random, dtype=dtype
    )
    kept = kept_parameters(model)
    if architecture == "lenet5":
        front = lenet_front(random, dtype)
        front.requires_grad_(structure == "dense")
        model = nn.Sequential(front, *model)
    model.to(runtime_device(device))
    rate = 0.01 if architecture == "lenet5" else 0.1
    options = {"epochs": epochs, "generator": random, "learning_rate": rate}
    train_classifier(model, images.x_train, images.y_train, **options)
    percent = 100.0 * accuracy(model, images.x_test, images.y_test)
    return PopupRun(structure, sparsity, kept, percent)
