"""Compiled loops of the subset-sum chapter: exact, greedy, local and sparsest subsets.

A subset is a bit mask; bit i says that number i is kept. The exact search splits the numbers in a
left and a right half and looks for the pair of half sums whose total is nearest to the target.

``meet_by_walk`` sorts both halves by successive merges and walks once, up the left and down the
right. It never fails, and serves where the faster way cannot prove its answer.

``meet_by_slots`` sorts nothing. It drops the left sums into narrow slots and looks, for each right
sum r, into the two slots around z - r. Every pair nearer than half a slot is seen this way, so the
best pair seen is the best of all if it is nearer than that. Slots are so narrow that most looks
find nothing, and so wide that all but a few instances in a thousand are proved.

Tried on 21 numbers, microseconds an instance on one core: sorted halves and a walk 40 to 70; slots
with 32-bit chains, searched as they are numbered 10; numbering apart, as vector code 6.5; chains of
16 bits, as here, 6.0; a bitmap of occupied slots before the chains 6.5; hits gathered without
branches before they are searched 6.0, with more code. Halves of 9 or 11 numbers, and 2^14 or 2^17
slots, are slower.
"""

from __future__ import annotations

import numpy as np

from reprise.runtime import njit

PROVED = 0.49
"""Pairs nearer than this share of a slot are surely seen: half of one, less a rounding margin."""

FARTHEST_SLOT = 1e12
"""Slot numbers beyond this would not be exact to a hundredth in float64."""


@njit(nogil=True)
def enumerate_sums(values, first, count, sums):
    """Sums of all subsets of ``values[first : first + count]``, at the subset's mask."""
    sums[0] = 0.0
    for i in range(count):
        a = values[first + i]
        half = 1 << i
        for m in range(half):
            sums[half + m] = sums[m] + a


@njit(nogil=True)
def merge_sums(values, first, count, sums, masks, spare_sums, spare_masks):
    """The same sums in ascending order with their masks, by merging S and S + a for each a."""
    sums[0], masks[0] = 0.0, 0
    size = 1
    for i in range(count):
        a = values[first + i]
        bit = np.uint32(1) << np.uint32(i)
        x = y = 0
        for out in range(2 * size):
            if y == size or (x < size and sums[x] <= sums[y] + a):
                spare_sums[out], spare_masks[out] = sums[x], masks[x]
                x += 1
            else:
                spare_sums[out], spare_masks[out] = sums[y] + a, masks[y] | bit
                y += 1
        size *= 2
        sums[:size] = spare_sums[:size]
        masks[:size] = spare_masks[:size]


@njit(nogil=True)
def walk(left, right, target):
    """Positions of the pair ``left[i] + right[j]`` nearest to the target; both lists ascend."""
    best, best_i, best_j = np.inf, 0, 0
    i, j = 0, len(right) - 1
    while i < len(left) and j >= 0:
        gap = left[i] + right[j] - target
        if abs(gap) < best:
            best, best_i, best_j = abs(gap), i, j
        if gap < 0.0:
            i += 1
        else:
            j -= 1
    return best_i, best_j


@njit(nogil=True)
def meet_by_walk(values, targets, todo, masks):
    """Solve the targets that are still to do, by sorted halves, built once for all of them.

    values : float64 (n,)
    targets, todo, masks : float64, bool, uint64 (m,); masks is written where todo.
    """
    n = len(values)
    k = n // 2
    left, left_masks = np.empty(1 << k), np.empty(1 << k, np.uint32)
    right, right_masks = np.empty(1 << (n - k)), np.empty(1 << (n - k), np.uint32)
    spare, spare_masks = np.empty(1 << (n - k)), np.empty(1 << (n - k), np.uint32)
    merge_sums(values, 0, k, left, left_masks, spare, spare_masks)
    merge_sums(values, k, n - k, right, right_masks, spare, spare_masks)
    for t in range(len(targets)):
        if todo[t]:
            i, j = walk(left, right, targets[t])
            masks[t] = np.uint64(left_masks[i]) | (np.uint64(right_masks[j]) << np.uint64(k))


@njit(nogil=True, error_model="numpy")
def meet_by_slots(values, targets, stop_at, k, left, right, head, after, slots, todo, masks):
    """Solve the targets by slots; leave those unproved to do.

    Slot s holds the left sums in a chain: ``head[s]``, ``after[head[s]]``, ... down to -1.

    values : float64 (n,); its first k numbers are the left half
    targets : float64 (m,)
    stop_at : float
        A pair as near as this ends the search of its target.
    left, right : float64 (2^k,), (2^(n - k),), scratch
    head : int16 or int32 (2^b + 6,), scratch: all -1, before and after
    after : as head (2^k,), scratch
    slots : int32 (2^(n - k),), scratch
    todo, masks : bool, uint64 (m,), written
    """
    n = len(values)
    n_left, n_right = 1 << k, 1 << (n - k)
    enumerate_sums(values, 0, k, left)
    enumerate_sums(values, k, n - k, right)
    low, high, reach = 0.0, 0.0, 0.0
    for i in range(k):
        low += min(values[i], 0.0)
        high += max(values[i], 0.0)
    for i in range(n):
        reach += abs(values[i])
    todo[:] = True
    n_slots = len(head) - 6
    per_unit = n_slots / (high - low)  # infinite if all numbers on the left are zero
    if not reach * per_unit < FARTHEST_SLOT:
        return
    shift = 2.0 - low * per_unit  # two empty slots before the first, four after the last
    for i in range(n_left):
        s = np.uint32(left[i] * per_unit + shift)
        after[i] = head[s]
        head[s] = i
    budget = 64 * (n_left + n_right)  # equal numbers make long chains: then walking is faster
    for t in range(len(targets)):
        target = targets[t]
        if not abs(target) * per_unit < FARTHEST_SLOT:
            continue
        start, last = target * per_unit + shift - 0.5, n_slots + 3.0
        for r in range(n_right):  # apart from the search, so that it compiles to vector code
            slots[r] = np.int32(min(max(start - right[r] * per_unit, 0.0), last))
        best, best_left, best_right, seen = np.inf, 0, 0, 0
        for r in range(n_right):
            s = np.uint32(slots[r])
            here, beside = head[s], head[s + np.uint32(1)]
            if (here & beside) == -1:  # both slots are empty, as most are
                continue
            wanted = target - right[r]
            for chain in (here, beside):
                i = chain
                while i >= 0:
                    distance = abs(left[i] - wanted)
                    if distance < best:
                        best, best_left, best_right = distance, i, r
                    i = after[i]
                    seen += 1
            if best <= stop_at or seen > budget:
                break
        masks[t] = np.uint64(best_left) | (np.uint64(best_right) << np.uint64(k))
        todo[t] = not (best <= stop_at or (best * per_unit < PROVED and seen <= budget))
    for i in range(n_left):
        head[np.uint32(left[i] * per_unit + shift)] = -1


@njit(nogil=True)
def exact_rows(values, targets, stop_at, k, left, right, head, after, slots, masks):
    """Exact subsets for a block of rows, each with its own numbers and m targets.

    values, targets, masks : float64 (B, n), float64 (B, m), uint64 (B, m)
    k : int
        Size of the left half for `meet_by_slots`; 0 walks at once.
    """
    todo = np.ones(targets.shape[1], np.bool_)
    for b in range(len(values)):
        if k:
            meet_by_slots(
                values[b], targets[b], stop_at, k, left, right, head, after, slots, todo, masks[b]
            )
        if todo.any():
            meet_by_walk(values[b], targets[b], todo, masks[b])


@njit(nogil=True)
def _greedy(values, order, target):
    """Take a number, largest first, if it brings the sum nearer to the target."""
    mask, residual = np.uint64(0), target
    for i in order:
        if abs(residual - values[i]) < abs(residual):
            residual -= values[i]
            mask |= np.uint64(1) << np.uint64(i)
    return mask, residual


@njit(nogil=True)
def _best_flips(values, mask, residual):
    """The one or two numbers whose flip brings the sum nearest, as a mask; 0 if none helps."""
    n = len(values)
    change = np.empty(n)
    for i in range(n):
        kept = (mask >> np.uint64(i)) & np.uint64(1)
        change[i] = -values[i] if kept else values[i]
    best, flips = abs(residual), np.uint64(0)
    for i in range(n):
        one = np.uint64(1) << np.uint64(i)
        if abs(residual - change[i]) < best:
            best, flips = abs(residual - change[i]), one
        for j in range(i):
            if abs(residual - change[i] - change[j]) < best:
                best = abs(residual - change[i] - change[j])
                flips = one | (np.uint64(1) << np.uint64(j))
    return flips


@njit(nogil=True)
def local_rows(values, targets, stop_at, flip, masks):
    """Greedy subsets for a block of rows; with ``flip``, mended by the best one or two flips.

    Mending ends within ``stop_at`` of the target, or where no flip helps.
    """
    for b in range(len(values)):
        order = np.argsort(-np.abs(values[b]))
        for t in range(targets.shape[1]):
            mask, residual = _greedy(values[b], order, targets[b, t])
            while flip and abs(residual) > stop_at:
                flips = _best_flips(values[b], mask, residual)
                if flips == 0:
                    break
                mask ^= flips
                residual = targets[b, t] - kept_sum(values[b], mask)
            masks[b, t] = mask


@njit(nogil=True)
def sparsest_rows(values, targets, eps, masks, found):
    """The smallest subsets within ``eps`` of the targets; of equally small ones the nearest.

    For each left sum, ascending, the right sums within eps lie in a window that slides down.

    found : bool (B, m)
        False where no subset is that near; the mask is then the nearest subset's.
    """
    n = values.shape[1]
    k = n // 2
    left, left_masks = np.empty(1 << k), np.empty(1 << k, np.uint32)
    right, right_masks = np.empty(1 << (n - k)), np.empty(1 << (n - k), np.uint32)
    spare, spare_masks = np.empty(1 << (n - k)), np.empty(1 << (n - k), np.uint32)
    sizes = np.zeros(1 << (n - k), np.uint8)
    for m in range(1, len(sizes)):
        sizes[m] = sizes[m >> 1] + (m & 1)
    for b in range(len(values)):
        merge_sums(values[b], 0, k, left, left_masks, spare, spare_masks)
        merge_sums(values[b], k, n - k, right, right_masks, spare, spare_masks)
        for t in range(targets.shape[1]):
            target = targets[b, t]
            i, j = walk(left, right, target)
            found[b, t] = abs(left[i] + right[j] - target) <= eps
            smallest, nearest, top = n + 1, np.inf, len(right) - 1
            for x in range(len(left) if found[b, t] else 0):
                while top >= 0 and left[x] + right[top] - target > eps:
                    top -= 1
                y = top
                while y >= 0 and left[x] + right[y] - target >= -eps:
                    size = sizes[left_masks[x]] + sizes[right_masks[y]]
                    distance = abs(left[x] + right[y] - target)
                    if size < smallest or (size == smallest and distance < nearest):
                        smallest, nearest, i, j = size, distance, x, y
                    y -= 1
            masks[b, t] = np.uint64(left_masks[i]) | (np.uint64(right_masks[j]) << np.uint64(k))


@njit(nogil=True)
def kept_sum(values, mask):
    """Sum of the numbers that a mask keeps, in their order."""
    total = 0.0
    for i in range(len(values)):
        if (mask >> np.uint64(i)) & np.uint64(1):
            total += values[i]
    return total


@njit(nogil=True)
def read_masks(values, masks, sums, kept):
    """Sums and sizes of the subsets, from the masks alone.

    values : float64 (B, n)
    masks, sums, kept : uint64, float64, int64 (B, m)
    """
    for b in range(len(values)):
        for t in range(masks.shape[1]):
            mask = masks[b, t]
            sums[b, t] = kept_sum(values[b], mask)
            kept[b, t] = 0
            while mask:
                mask &= mask - np.uint64(1)
                kept[b, t] += 1
