"""Compiled loops: signs to bits, parities of bits, peeling, back-substitution, firing gates.

A point's signs stand in 64-bit words, so a parity of any number of them is a few ``and`` and
``xor`` and one count of bits. Nothing here is floating point but `pack_signs`, which recomputes in
float64 what a float32 product cannot decide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import njit
from reprise.words import GOLDEN, mix, set_bits

ROWS = 1 << 14  # points that a thread takes at a time
LANES = 128  # points whose gates fire together: with 64 or more the loops use wide registers


def pack_bits(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bits in 64-bit words, the first bit lowest: bool (n, m) -> uint64 (n, words)."""
    n, m = bits.shape
    padded = np.zeros((n, 8 * ((m + 63) // 64)), np.uint8)
    packed = np.packbits(bits, axis=1, bitorder="little")
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8").astype(np.uint64, copy=False)


@njit(nogil=True)
def pack_signs(values, X, weight, threshold, tolerance, first, words):
    """Set bit ``first + k`` of a row where ``<weight_k, x> >= threshold_k``.

    Parameters
    ----------
    values : float32 (n, m)
        The products ``X @ weight.T``.
    X, weight : float64 (n, d), (m, d)
    threshold : float64 (m,)
    tolerance : float
        A float32 product nearer than this to its threshold is computed again in float64.
    first : int
    words : uint64 (n, w)
        Output.

    Returns
    -------
    float
        Smallest distance of a product from its threshold.
    """
    n, m = values.shape
    margin = np.inf
    for i in range(n):
        word = first >> 6
        bits = words[i, word]
        for k in range(m):
            place = first + k
            if place >> 6 != word:
                words[i, word] = bits
                word = place >> 6
                bits = words[i, word]
            gap = np.float64(values[i, k]) - threshold[k]
            if abs(gap) <= tolerance:
                gap = -threshold[k]
                for j in range(X.shape[1]):
                    gap += weight[k, j] * X[i, j]
            margin = min(margin, abs(gap))
            bits |= np.uint64(gap >= 0.0) << np.uint64(place & 63)
        words[i, word] = bits
    return margin


@njit(nogil=True)
def hash_rows(words, out):
    """One 64-bit hash a row: uint64 (n, w) -> (n,). Equal rows have equal hashes."""
    for i in range(words.shape[0]):
        z = GOLDEN
        for k in range(words.shape[1]):
            z = mix(z ^ words[i, k]) + GOLDEN
        out[i] = z


@njit(nogil=True)
def code_points(words, masks, group_bits, slot_bits, hashes, group, slots):
    """Group and slots of each point from parities of its signs.

    Parameters
    ----------
    words : uint64 (n, w)
        Signs.
    masks : uint64 (m2, w)
        The signs that each code bit is the parity of.
    group_bits, slot_bits, hashes : int
        ``m2 = group_bits + hashes * slot_bits``; the first bit of a number is its lowest.
    group : int64 (n,)
    slots : int32 (n, hashes)
        Output; slot v of block t has the number ``t * 2**slot_bits + v``.
    """
    w = words.shape[1]
    for i in range(words.shape[0]):
        bit = 0
        value = np.int64(0)
        for b in range(group_bits):
            folded = np.uint64(0)
            for k in range(w):
                folded ^= words[i, k] & masks[bit, k]
            value |= (set_bits(folded) & 1) << b
            bit += 1
        group[i] = value
        for t in range(hashes):
            value = np.int64(t) << slot_bits
            for b in range(slot_bits):
                folded = np.uint64(0)
                for k in range(w):
                    folded ^= words[i, k] & masks[bit, k]
                value |= (set_bits(folded) & 1) << b
                bit += 1
            slots[i, t] = value


@njit(nogil=True)
def peel_groups(first, last, starts, slots, n_slots, order, owner):
    """Peel the hypergraphs of groups ``first`` to ``last - 1``.

    Parameters
    ----------
    first, last : int
    starts : int64 (groups + 1,)
        Where each group's points begin.
    slots : int32 (n, T)
        Rows ordered by group; the T slots of a point differ.
    n_slots : int
    order : int64 (n,)
        Output: the group's points, by their place within it, in the order in which they left.
    owner : int32 (n,)
        Output: for each point, the slot that it was the last to use.

    Returns
    -------
    int
        The first group that does not peel; ``last`` if all do.
    """
    T = slots.shape[1]
    degree = np.empty(n_slots, np.int32)
    points = np.empty(n_slots, np.int64)  # xor of the points that use a slot
    queue = np.empty(n_slots, np.int32)
    for j in range(first, last):
        start, stop = starts[j], starts[j + 1]
        degree[:] = 0
        points[:] = 0
        for i in range(start, stop):
            for t in range(T):
                degree[slots[i, t]] += 1
                points[slots[i, t]] ^= i
        head, tail = 0, 0
        for v in range(n_slots):
            if degree[v] == 1:
                queue[tail] = v
                tail += 1
        done = start
        while head < tail:
            v = queue[head]
            head += 1
            if degree[v] != 1:
                continue
            i = points[v]
            owner[i] = v
            order[done] = i - start
            done += 1
            for t in range(T):
                u = slots[i, t]
                degree[u] -= 1
                points[u] ^= i
                if degree[u] == 1:
                    queue[tail] = u
                    tail += 1
        if done < stop:
            return j
    return last


@njit(nogil=True)
def solve_groups(first, last, starts, slots, n_slots, labels, order, owner, weight):
    """Integer weights of the owned slots, by back-substitution in reverse peel order.

    A point's owned slot is used by no point that left after it, so when its turn comes all other
    weights of its slots are final.

    Parameters
    ----------
    first, last, starts, slots, n_slots, order, owner
        As in `peel_groups`.
    labels : uint8 (n,)
        Ordered by group.
    weight : int32 (n,)
        Output: the weight of each point's owned slot.

    Returns
    -------
    int
        Largest sum of absolute weights of a group.
    """
    w = np.zeros(n_slots, np.int32)
    largest = 0
    for j in range(first, last):
        w[:] = 0
        start = starts[j]
        total = 0
        for r in range(starts[j + 1] - 1, start - 1, -1):
            i = start + order[r]
            v = 0
            for t in range(slots.shape[1]):
                v += w[slots[i, t]]
            x = 0
            if labels[i] == 1 and v < 1:
                x = 1 - v
            elif labels[i] == 0 and v > 0:
                x = -v
            w[owner[i]] = x
            weight[i] = x
            total += abs(x)
        largest = max(largest, total)
    return largest


@njit(nogil=True)
def look_up(group, slots, indptr, indices, data, big, threshold, offset, out):
    """The label that the memorising gates give each point, from a search in its group's row."""
    for i in range(len(group)):
        j = group[i]
        total = np.int64(big[j])
        for t in range(slots.shape[1]):
            column = slots[i, t] + offset
            low, high = indptr[j], indptr[j + 1]
            while low < high:
                middle = (low + high) >> 1
                if indices[middle] < column:
                    low = middle + 1
                else:
                    high = middle
            if low < indptr[j + 1] and indices[low] == column:
                total += data[low]
        out[i] = np.uint8(total >= threshold[j])


@njit(nogil=True)
def fire(indptr, indices, data, threshold, active, out):
    """Fire every gate of an integer layer on `LANES` points, in int64.

    Parameters
    ----------
    indptr, indices, data
        The layer's rows of weights, CSR.
    threshold : int64 (gates,)
        The same number of gates for each row, one after the other.
    active : int64 (inputs, LANES)
        0, or -1 (all bits set) where an input is on.
    out : int64 (gates, LANES)
        Output, likewise.
    """
    rows = len(indptr) - 1
    copies = len(threshold) // max(rows, 1)
    total = np.empty(LANES, np.int64)
    for i in range(rows):
        total[:] = 0
        for e in range(indptr[i], indptr[i + 1]):
            w = np.int64(data[e])
            row = indices[e]
            for lane in range(LANES):
                total[lane] += w & active[row, lane]
        for gate in range(i * copies, (i + 1) * copies):
            for lane in range(LANES):
                out[gate, lane] = ~((total[lane] - threshold[gate]) >> 63)


@njit(nogil=True)
def fire_sliced(indptr, indices, data, threshold, planes, active, out):
    """Fire an integer layer on 64 points a word, with adders made of ``and`` and ``xor``.

    ``planes`` is the number of bits, sign included, that hold any partial sum of the gate.
    ``active`` and ``out`` are uint64 (inputs, words) and (gates, words).
    """
    rows = len(indptr) - 1
    copies = len(threshold) // max(rows, 1)
    total = np.empty(planes, np.uint64)
    for word in range(active.shape[1]):
        for i in range(rows):
            total[:] = 0
            for e in range(indptr[i], indptr[i + 1]):
                w = np.int64(data[e])
                on = active[indices[e], word]
                carry = np.uint64(0)
                for p in range(planes):
                    a = total[p]
                    b = on if (w >> p) & 1 else np.uint64(0)
                    half = a ^ b
                    total[p] = half ^ carry
                    carry = (a & b) | (carry & half)
            for gate in range(i * copies, (i + 1) * copies):
                bound = -threshold[gate]
                carry = np.uint64(0)
                sign = np.uint64(0)
                for p in range(planes):
                    b = ~np.uint64(0) if (bound >> p) & 1 else np.uint64(0)
                    half = total[p] ^ b
                    sign = half ^ carry
                    carry = (total[p] & b) | (carry & half)
                out[gate, word] = ~sign


@njit(nogil=True)
def refine(columns, classes, members, alive, n_classes):
    """Split classes of points by one column of bits after the other, until all stand alone.

    Parameters
    ----------
    columns : bool (m, points)
        One row a column of the patterns; points are those of ``members[:alive]`` at the call.
    classes : int64 (n,)
        Class of each point; updated.
    members : int64 (n,)
        The points that share their class come first; updated.
    alive, n_classes : int

    Returns
    -------
    used, alive, n_classes : int
        Columns read, of which the last was needed if ``alive`` is 0.
    """
    n, m = len(classes), len(columns)
    rows = np.arange(alive)
    size, on = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
    fresh = np.full(n + 1, -1, np.int64)  # the class that the points that are on move to
    for k in range(m):
        for a in range(alive):
            c = classes[members[a]]
            size[c] += 1
            on[c] += columns[k, rows[a]]
        before = n_classes
        for a in range(alive):
            c = classes[members[a]]
            if fresh[c] < 0 and 0 < on[c] < size[c]:
                fresh[c] = n_classes
                n_classes += 1
        for a in range(alive):
            c = classes[members[a]]
            if fresh[c] >= 0 and columns[k, rows[a]]:
                classes[members[a]] = fresh[c]
                size[fresh[c]] = on[c]
        kept = 0
        for a in range(alive):  # a point that now stands alone moves behind the others
            point, row = members[a], rows[a]
            c = classes[point]
            left = size[c] - on[c] if fresh[c] >= 0 else size[c]
            if left > 1:
                members[a], rows[a] = members[kept], rows[kept]
                members[kept], rows[kept] = point, row
                kept += 1
        for a in range(alive):
            c = classes[members[a]]
            size[c], on[c], fresh[c] = 0, 0, -1
        alive = kept
        if n_classes == before:
            continue
        if alive == 0:
            return k + 1, alive, n_classes
    return m, alive, n_classes
