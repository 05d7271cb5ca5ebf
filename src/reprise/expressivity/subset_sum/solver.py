"""Subsets of given numbers whose sums are nearest to given targets, by the batch.

The exact method meets in the middle (`kernels`): two lists of 2^(n/2)
half sums instead of 2^n sums, so 40 numbers take milliseconds. Batches are spread over threads; no
result depends on their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.subset_sum import kernels
from reprise.runtime import in_parallel, thread_count

Method = Literal["exact", "greedy", "anytime"]
Floats = NDArray[np.float64]

METHODS = ("exact", "greedy", "anytime")
MOST_EXACT = 40
MOST_VALUES = 64  # bits of a mask
FEWEST_FOR_SLOTS = 12  # below, walking is faster
BLOCK = 256  # rows that a thread takes at a time


@dataclass(frozen=True)
class SubsetSumResult:
    """The subsets found, in the shape of the targets.

    Attributes
    ----------
    mask : uint64 (...)
        Bit i is set where number i is kept.
    sum : float64 (...)
        The kept numbers' sum, computed from the mask in their order.
    error : float64 (...)
        Distance of that sum from the target.
    n_kept : int64 (...)
        How many numbers are kept; 0 for the empty subset, whose sum is 0.
    optimal : bool (...)
        True where no subset does better, up to rounding in the last place.
    """

    mask: NDArray[np.uint64]
    sum: Floats
    error: Floats
    n_kept: NDArray[np.int64]
    optimal: NDArray[np.bool_]


def solve_subset_sum(
    values: ArrayLike,
    targets: ArrayLike,
    *,
    method: Method = "exact",
    eps: float | None = None,
    n_threads: int | None = None,
) -> SubsetSumResult:
    """Find, for each target, a subset of its numbers whose sum is near it.

    Parameters
    ----------
    values : array_like of float, shape (B, n) or (n,)
        Row b holds the numbers for target b, or for the m targets of row b; (n,) serves all.
    targets : array_like of float, shape (B,), (B, m) or (); any shape with values of shape (n,)
        Targets that share a row share its half sums, which are built once.
    method : str
        "exact": the nearest of all 2^n sums. "greedy": largest number first, taken if it brings the
        sum nearer. "anytime": greedy, then the best flip of one or two numbers while one helps.
    eps : float, optional
        An error that is small enough: "exact" and "anytime" stop there, and then ``optimal`` is
        false. By default they go on to the end.
    n_threads : int, optional
        As for `reprise.runtime.thread_count`.

    Returns
    -------
    SubsetSumResult

    Raises
    ------
    ValueError
        If there are no values, more than 40 ("exact") or 64; if values or targets are not finite or
        disagree on the batch size; if eps is not positive or the method unknown.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if eps is not None and not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    rows, wanted, shape = _as_batch(
        values, targets, MOST_EXACT if method == "exact" else MOST_VALUES
    )
    masks = np.zeros(wanted.shape, np.uint64)
    stop_at = 0.0 if eps is None else float(eps)
    if method == "exact":
        plan = _SlotPlan.choose(rows.shape[1], wanted.shape[1])

        def solve(block: slice) -> None:
            scratch = plan.scratch(rows.shape[1])
            kernels.exact_rows(rows[block], wanted[block], stop_at, plan.k, *scratch, masks[block])
    else:

        def solve(block: slice) -> None:
            flip = method == "anytime"
            kernels.local_rows(rows[block], wanted[block], stop_at, flip, masks[block])

    _in_blocks(solve, len(rows), n_threads)
    result = _read(rows, wanted, masks, shape)
    if method == "exact" and eps is None:
        return result
    return _with(result, result.error == 0.0)


def sparsest_subset(
    values: ArrayLike, targets: ArrayLike, eps: float, *, n_threads: int | None = None
) -> SubsetSumResult:
    """The smallest subset within ``eps`` of each target; of equally small ones the nearest.

    Parameters
    ----------
    values, targets, n_threads
        As for `solve_subset_sum`.
    eps : float
        The work grows with the number of subsets within eps.

    Returns
    -------
    SubsetSumResult
        ``optimal`` is false where no subset is within eps; the nearest one then stands there.

    Raises
    ------
    ValueError
        As for `solve_subset_sum`.
    """
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    rows, wanted, shape = _as_batch(values, targets, MOST_EXACT)
    masks, found = np.zeros(wanted.shape, np.uint64), np.zeros(wanted.shape, np.bool_)

    def solve(block: slice) -> None:
        kernels.sparsest_rows(rows[block], wanted[block], float(eps), masks[block], found[block])

    _in_blocks(solve, len(rows), n_threads)
    return _with(_read(rows, wanted, masks, shape), found.reshape(shape))


def subset_from_mask(mask: ArrayLike, n: int) -> NDArray[np.bool_]:
    """Spell masks out: uint64 (...) -> bool (..., n), entry i true where number i is kept.

    Raises
    ------
    ValueError
        If n is not from 1 to 64.
    """
    if not 1 <= n <= MOST_VALUES:
        raise ValueError(f"n must be from 1 to {MOST_VALUES}, got {n}")
    bits = np.asarray(mask, dtype=np.uint64)[..., None] >> np.arange(n, dtype=np.uint64)
    return (bits & np.uint64(1)).astype(bool)


def subset_sums(values: ArrayLike) -> Floats:
    """All 2^n subset sums, at the subset's mask: float64 (..., n) -> (..., 2^n)."""
    values = np.asarray(values, dtype=np.float64)
    sums = np.zeros((*values.shape[:-1], 1))
    for a in np.moveaxis(values, -1, 0):
        sums = np.concatenate([sums, sums + a[..., None]], axis=-1)
    return sums


@dataclass(frozen=True)
class _SlotPlan:
    """How `kernels.meet_by_slots` splits the numbers, and how many slots it uses.

    Building costs 2^k, searching m 2^(n - k): many targets of one row want a large left half.
    """

    k: int
    log2_slots: int

    @classmethod
    def choose(cls, n: int, m: int) -> _SlotPlan:
        if n < FEWEST_FOR_SLOTS:
            return cls(0, 0)
        k = min(round((n + math.log2(m)) / 2 - 0.01), n - 3) if m > 1 else n // 2
        k = min(k, max(16, n // 2))
        # some 30 of the 2^n sums are expected within a slot of a target in the bulk
        return cls(k, min(n - 5, max(16, k + 1)))

    def scratch(self, n: int) -> tuple[NDArray, ...]:
        """Left and right sums, heads and chains of the slots, slot numbers of the right sums."""
        index = np.int16 if self.k < 15 else np.int32  # half the memory, where it fits
        n_left, n_right = 1 << self.k, 1 << (n - self.k)
        if self.k == 0:
            n_left = n_right = 1
        head = np.full((1 << self.log2_slots) + 6, -1, index)
        after, slots = np.empty(n_left, index), np.empty(n_right, np.int32)
        return np.empty(n_left), np.empty(n_right), head, after, slots


def _as_batch(values: ArrayLike, targets: ArrayLike, most: int) -> tuple[Floats, Floats, tuple]:
    """Values (B, n), targets (B, m), and the shape that results are to have."""
    rows = np.ascontiguousarray(values, dtype=np.float64)
    wanted = np.asarray(targets, dtype=np.float64)
    if rows.ndim not in (1, 2):
        raise ValueError(f"values must have shape (B, n) or (n,), got {rows.shape}")
    n = rows.shape[-1]
    if n < 1:
        raise ValueError("values must have at least one column")
    if n > most:
        solver = "exact solver supports" if most == MOST_EXACT else "masks hold"
        raise ValueError(f"{solver} at most {most} values, got {n}")
    if not np.isfinite(rows).all():
        raise ValueError("values must be finite")
    if not np.isfinite(wanted).all():
        raise ValueError("targets must be finite")
    if rows.ndim == 1:
        return rows[None], np.ascontiguousarray(wanted.reshape(1, -1)), wanted.shape
    if wanted.ndim == 0:
        wanted = np.full(len(rows), wanted)
    if wanted.ndim > 2 or len(wanted) != len(rows):
        sizes = f"{len(rows)} and {len(wanted) if wanted.ndim <= 2 else wanted.shape}"
        raise ValueError(f"values and targets disagree on the batch size: {sizes}")
    return rows, np.ascontiguousarray(wanted.reshape(len(rows), -1)), wanted.shape


def _in_blocks(solve, count: int, n_threads: int | None) -> None:
    """Call ``solve(block)`` for consecutive blocks of rows, on threads."""
    threads = thread_count(n_threads)
    size = max(1, min(BLOCK, -(-count // threads)))
    blocks = [slice(start, start + size) for start in range(0, count, size)]
    in_parallel(solve, blocks, threads)


def _read(rows: Floats, wanted: Floats, masks: NDArray, shape: tuple) -> SubsetSumResult:
    """Everything that a result says, from the masks."""
    sums, kept = np.empty(masks.shape), np.empty(masks.shape, np.int64)
    kernels.read_masks(rows, masks, sums, kept)
    arrays = (masks, sums, np.abs(sums - wanted), kept, np.ones(masks.shape, np.bool_))
    return SubsetSumResult(*(a.reshape(shape) for a in arrays))


def _with(result: SubsetSumResult, optimal: NDArray[np.bool_]) -> SubsetSumResult:
    """The result with another word on optimality."""
    return SubsetSumResult(result.mask, result.sum, result.error, result.n_kept, optimal)
