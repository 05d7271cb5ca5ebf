"""Codes that peel: parities of signs, groups and slots, and integer weights that hold the labels.

Each code bit is the parity of some random signs. A code names one of the groups and a slot in each
of T blocks. A group whose points leave one by one, each with a slot that is then its own, holds any
labels: its weights follow by back-substitution. The peeling is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold import kernels
from reprise.expressivity.threshold.signs import Signs
from reprise.expressivity.threshold.widths import Widths
from reprise.runtime import in_parallel

Bits = NDArray[np.uint8]


def peel(slots: ArrayLike, n_slots: int) -> tuple[NDArray[np.int64], NDArray[np.int32]] | None:
    """Peel a hypergraph: repeatedly remove a point that alone uses one of its slots.

    Parameters
    ----------
    slots : array_like of int, shape (n, T)
        The slots of each point, all different.
    n_slots : int

    Returns
    -------
    order : int64 (n,)
        Points in the order in which they leave.
    owner : int32 (n,)
        For each point, a slot that no point which leaves later uses.
    None
        If it gets stuck: two points with the same slots, or a 2-core.

    Raises
    ------
    ValueError
        If a slot is outside 0 to n_slots - 1 or a point names one twice.
    """
    slots = np.ascontiguousarray(slots, dtype=np.int32)
    if slots.ndim != 2:
        raise ValueError(f"slots must have shape (n, T), got {slots.shape}")
    if slots.size and not (slots.min() >= 0 and slots.max() < n_slots):
        raise ValueError(f"slots must be from 0 to {n_slots - 1}")
    ordered = np.sort(slots, axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("slots must not name a slot twice for one point")
    starts = np.array([0, len(slots)])
    order, owner = np.empty(len(slots), np.int64), np.full(len(slots), -1, np.int32)
    if kernels.peel_groups(0, 1, starts, slots, n_slots, order, owner) != 1:
        return None
    return order, owner


def solve(
    slots: ArrayLike, labels: ArrayLike, order: ArrayLike, owner: ArrayLike, n_slots: int
) -> NDArray[np.int64]:
    """Integer slot weights with which a point's slots sum to 1 or more exactly if its label is 1.

    Parameters
    ----------
    slots, n_slots
        As for `peel`.
    labels : array_like of 0 and 1, shape (n,)
    order, owner
        From `peel`.

    Returns
    -------
    ndarray of int64, shape (n_slots,)
    """
    slots = np.ascontiguousarray(slots, dtype=np.int32)
    owner = np.asarray(owner, dtype=np.int32)
    value = np.empty(len(slots), np.int32)
    kernels.solve_groups(
        0,
        1,
        np.array([0, len(slots)]),
        slots,
        n_slots,
        np.asarray(labels, dtype=np.uint8),
        np.asarray(order, dtype=np.int64),
        owner,
        value,
    )
    weights = np.zeros(n_slots, np.int64)
    weights[owner] = value
    return weights


@dataclass(frozen=True)
class Found:
    """Codes that peel, and the weights that memorise the labels."""

    widths: Widths
    parity_sets: NDArray[np.int32]
    group: NDArray[np.int64]
    slots: NDArray[np.int32]
    weights: list[sparse.csr_array]  # (G, T S), one for each output
    big: int


def try_codes(
    signs: Signs,
    widths: Widths,
    y: Bits,
    outputs: int,
    *,
    rng: np.random.Generator,
    lap: Callable[[str], None],
) -> Found | None:
    """One draw of stage B; None if a group does not peel."""
    parity_sets = draw_parity_sets(widths, rng=rng)
    masks = masks_of(parity_sets, widths.hyperplanes)
    group, slots = codes_of(signs.words, masks, widths)
    n = len(group)
    lap("codes")
    # numpy sorts 16-bit integers by counting
    by_group = np.argsort(
        group.astype(np.uint16 if widths.groups <= 1 << 16 else None), kind="stable"
    )
    starts = np.zeros(widths.groups + 1, np.int64)
    np.cumsum(np.bincount(group, minlength=widths.groups), out=starts[1:])
    sorted_slots = slots[by_group]
    order, owner = np.empty(n, np.int64), np.empty(n, np.int32)
    blocks = range(0, widths.groups, max(1, widths.groups // 16))

    def peel_some(first: int) -> bool:
        last = min(first + blocks.step, widths.groups)
        stuck = kernels.peel_groups(first, last, starts, sorted_slots, widths.slots, order, owner)
        return stuck == last

    peeled = all(in_parallel(peel_some, blocks))
    lap("peel")
    if not peeled:
        return None
    weights, big = [], 1
    for bit in range(outputs):
        labels = ((y >> bit) & 1)[by_group]
        value = np.empty(n, np.int32)

        def solve_some(first: int, labels: Bits = labels, value: NDArray = value) -> int:
            last = min(first + blocks.step, widths.groups)
            return kernels.solve_groups(
                first, last, starts, sorted_slots, widths.slots, labels, order, owner, value
            )

        big = max(big, 1 + max(in_parallel(solve_some, blocks)))
        kept = np.flatnonzero(value)
        rows = np.repeat(np.arange(widths.groups), np.diff(starts))[kept]
        weights.append(
            sparse.csr_array(
                (value[kept], (rows, owner[kept])), shape=(widths.groups, widths.slots)
            )
        )
    lap("peel")
    return Found(widths, parity_sets, group, slots, weights, big)


def draw_parity_sets(widths: Widths, *, rng: np.random.Generator) -> NDArray[np.int32]:
    """Which signs each code bit is the parity of: int32 (m2, k_S), distinct within a row."""
    rows = [
        rng.choice(widths.hyperplanes, widths.parity_size, replace=False, shuffle=False)
        for _ in range(widths.code_bits)
    ]
    shape = (widths.code_bits, widths.parity_size)
    return np.array(rows, dtype=np.int32).reshape(shape)


def masks_of(parity_sets: NDArray, m1: int) -> NDArray[np.uint64]:
    """Parity sets as words: uint64 (m2, words)."""
    chosen = np.zeros((len(parity_sets), m1), bool)
    np.put_along_axis(chosen, parity_sets.astype(np.int64), True, axis=1)
    return kernels.pack_bits(chosen)


def codes_of(
    words: NDArray[np.uint64], masks: NDArray[np.uint64], widths: Widths
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Group and slots of each row of signs."""
    group = np.empty(len(words), np.int64)
    slots = np.empty((len(words), widths.hashes), np.int32)
    sizes = (widths.group_bits, widths.slot_bits, widths.hashes)

    def some(start: int) -> None:
        part = slice(start, start + kernels.ROWS)
        kernels.code_points(words[part], masks, *sizes, group[part], slots[part])

    in_parallel(some, range(0, len(words), kernels.ROWS))
    return group, slots
