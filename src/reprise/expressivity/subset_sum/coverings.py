"""Random numbers, and how densely their subset sums cover an interval of targets.

Lueker's theorem speaks of every target at once: of the largest gap between sums. The rival waits
for a single number that is near.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.subset_sum.solver import subset_sums
from reprise.runtime import in_parallel

Floats = NDArray[np.float64]
Law = Literal["uniform", "product"]

SUMS_AT_A_TIME, FEW_SUMS = 2**17, 2**12
"""Subset sums that a thread looks at together, and up to which number it sorts all of a row's."""


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
