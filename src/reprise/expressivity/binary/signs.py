"""Random signs from a counter, and the compiled loops that choose helpers and walk what is kept.

A random matrix is never stored. Its signs are bits of 64-bit words, and a word is a hash of where
it stands: (key, matrix, side, group of helpers, index). Helper c of input j is bit c of the word of
j, so the R signs that an edge has to choose from are two words, whatever R <= 64 is, and the first
helper that serves is the lowest set bit of one ``and``. More helpers take more words; the first
ones stay what they were.

The hash is the splitmix64 finaliser (Steele, Lea, Flood 2014), twice.
"""

from __future__ import annotations

import numpy as np

from reprise.runtime import njit
from reprise.words import GOLDEN, lowest_bit, mix, set_bits

WORD = 64
FIRST, SECOND = 0, 1  # the two random matrices that stand for one logical matrix
LANES = 64  # inputs walked together: 16 to 256 were tried, fewer and more are slower
NONE = -1

_U0, _U1 = np.uint64(0), np.uint64(1)
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


@njit(inline="always")
def _stream(key, matrix, side, group):
    """Where the words of one matrix, side and group of 64 helpers begin."""
    z = mix(key + GOLDEN * np.uint64(2 * matrix + side + 1))
    return mix(z + GOLDEN * np.uint64(group + 1))


@njit(inline="always")
def _word(stream, index):
    """64 random signs, one a bit: set means +1."""
    return mix(mix(stream + GOLDEN * np.uint64(index + 1)))


@njit(inline="always")
def _sign(word, bit):
    """One of its 64 signs."""
    return np.int8(1) if (word >> bit) & _U1 == _U1 else np.int8(-1)


@njit(inline="always")
def _serving(first, second, sign, signed_input):
    """Helpers that can carry an edge, as a word.

    The helper's ReLU must let the value through and the product of both signs must be ``sign``. An
    input that is never negative passes with +1 and takes its sign behind the ReLU. A signed input
    (the first matrix) takes it before: the edge of sign s carries ReLU(s x).
    """
    if signed_input:
        return (first if sign > 0 else ~first) & second
    return first & (second if sign > 0 else ~second)


@njit(nogil=True)
def first_helpers(key, limit, row_ptr, columns, signs, row_start, column_start, found):
    """The first helper that serves each edge, among the first ``limit`` of them.

    Parameters
    ----------
    key : uint64
    limit : int
        Number of helpers an input.
    row_ptr, columns, signs, row_start, column_start
        As in `EdgeList`.
    found : int32 (edges,)
        Output: a helper from 0 to limit - 1, or `NONE`.

    Returns
    -------
    int
        Number of edges without a helper.
    """
    failures = 0
    groups = (limit + WORD - 1) // WORD
    widest = 0
    for matrix in range(len(row_start) - 1):
        widest = max(widest, column_start[matrix + 1] - column_start[matrix])
    own = np.empty(widest, dtype=np.uint64)  # word of each input's own column, first group
    for matrix in range(len(row_start) - 1):
        n = column_start[matrix + 1] - column_start[matrix]
        one, two = _stream(key, matrix, FIRST, 0), _stream(key, matrix, SECOND, 0)
        for j in range(n):
            own[j] = _word(one, j * n + j)
        rest = limit if limit < WORD else WORD
        inside = _ONES >> np.uint64(WORD - rest)
        for row in range(row_start[matrix], row_start[matrix + 1]):
            i = row - row_start[matrix]
            for e in range(row_ptr[row], row_ptr[row + 1]):
                j = np.int64(columns[e])
                second = _word(two, i * n + j)
                serving = _serving(own[j], second, signs[e], matrix == 0) & inside
                group = 0
                while serving == _U0 and group + 1 < groups:
                    group += 1
                    serving = _serving(
                        _word(_stream(key, matrix, FIRST, group), j * n + j),
                        _word(_stream(key, matrix, SECOND, group), i * n + j),
                        signs[e],
                        matrix == 0,
                    )
                    left = limit - group * WORD
                    if left < WORD:
                        serving &= _ONES >> np.uint64(WORD - left)
                if serving == _U0:
                    found[e] = NONE
                    failures += 1
                else:
                    found[e] = group * WORD + lowest_bit(serving)
    return failures


@njit(nogil=True)
def needs(keys, row_ptr, columns, signs, row_start, column_start, most):
    """For each key the number of helpers that its draw needs, and how many edges ``most`` miss.

    Parameters
    ----------
    keys : uint64 (draws,)
    most : int

    Returns
    -------
    need, missing : int64 (draws,)
    """
    need = np.zeros(len(keys), dtype=np.int64)
    missing = np.zeros(len(keys), dtype=np.int64)
    found = np.empty(len(columns), dtype=np.int32)
    for draw in range(len(keys)):
        limit = WORD
        edges = (row_ptr, columns, signs, row_start, column_start)
        while first_helpers(keys[draw], limit, *edges, found) > 0:
            limit += WORD
        for e in range(len(found)):
            need[draw] = max(need[draw], found[e] + 1)
            if found[e] >= most:
                missing[draw] += 1
    return need, missing


@njit(nogil=True)
def number_helpers(key, helpers, found, row_ptr, columns, row_start, column_start, start):
    """Number the helpers that some edge uses, matrix by matrix and input by input.

    Parameters
    ----------
    key : uint64
    helpers : int
        R, helpers an input.
    found : int32 (edges,)
        Helper of each edge among those of its input; replaced by its number within its matrix.
    row_ptr, columns, row_start, column_start
        As in `EdgeList`.
    start : int64 (matrices + 1,)
        Output: first helper of each matrix, counted over all matrices.

    Returns
    -------
    source, which : int32 (helpers in use,)
        Input of each helper, and its index among the helpers of that input.
    first_signs : int8 (helpers in use,)
        Its random weight from that input.
    second_signs : int8 (edges,)
        The random weight from the helper of each edge.
    """
    groups = (helpers + WORD - 1) // WORD
    used = np.zeros((column_start[-1], groups), dtype=np.uint64)
    before = np.zeros((column_start[-1], groups), dtype=np.int32)
    second_signs = np.zeros(len(found), dtype=np.int8)
    for matrix in range(len(row_start) - 1):
        base = column_start[matrix]
        for e in range(row_ptr[row_start[matrix]], row_ptr[row_start[matrix + 1]]):
            if found[e] != NONE:
                used[base + columns[e], found[e] // WORD] |= _U1 << np.uint64(found[e] % WORD)
        total = 0
        for j in range(base, column_start[matrix + 1]):
            for group in range(groups):
                before[j, group] = total
                total += set_bits(used[j, group])
        start[matrix + 1] = start[matrix] + total
        n, stream, at = column_start[matrix + 1] - base, _U0, -1
        for row in range(row_start[matrix], row_start[matrix + 1]):
            for e in range(row_ptr[row], row_ptr[row + 1]):
                if found[e] == NONE:
                    continue
                group, bit = found[e] // WORD, np.uint64(found[e] % WORD)
                if group != at:
                    at, stream = group, _stream(key, matrix, SECOND, group)
                word = _word(stream, (row - row_start[matrix]) * n + columns[e])
                second_signs[e] = _sign(word, bit)
                j, below = base + columns[e], (_U1 << bit) - _U1
                found[e] = before[j, group] + set_bits(used[j, group] & below)
    source = np.empty(start[-1], dtype=np.int32)
    which = np.empty(start[-1], dtype=np.int32)
    first_signs = np.empty(start[-1], dtype=np.int8)
    helper = 0
    for matrix in range(len(row_start) - 1):
        n = column_start[matrix + 1] - column_start[matrix]
        for j in range(n):
            for group in range(groups):
                left = used[column_start[matrix] + j, group]
                if left == _U0:
                    continue
                word = _word(_stream(key, matrix, FIRST, group), j * n + j)
                while left != _U0:
                    bit = lowest_bit(left)
                    source[helper], which[helper] = j, group * WORD + bit
                    first_signs[helper] = _sign(word, np.uint64(bit))
                    left &= left - _U1
                    helper += 1
    return source, which, first_signs, second_signs


@njit(nogil=True)
def read_signs(key, matrix, side, helpers, n, rows, columns):
    """Signs of a random matrix at given places.

    Parameters
    ----------
    key : uint64
    matrix : int
        Index of the logical matrix.
    side : int
        `FIRST`: rows are j R + c; `SECOND`: columns are.
    helpers, n : int
        R, and the number of inputs of the logical matrix.
    rows, columns : int64 (places,)

    Returns
    -------
    int8 (places,)
    """
    out = np.empty(len(rows), dtype=np.int8)
    group, stream = 0, _stream(key, matrix, side, 0)
    for place in range(len(rows)):
        if side == FIRST:
            block, c = rows[place] // helpers, rows[place] % helpers
            index = block * n + columns[place]
        else:
            block, c = columns[place] // helpers, columns[place] % helpers
            index = rows[place] * n + block
        if c // WORD != group:
            group = c // WORD
            stream = _stream(key, matrix, side, group)
        out[place] = _sign(_word(stream, index), np.uint64(c % WORD))
    return out


@njit(inline="always")
def _weight(numbers, second_signs, e, end):
    """Helper and sign of an edge; nothing behind a row's end and for an edge that is missing."""
    if e >= end or numbers[e] == NONE:
        return np.int32(0), 0.0
    return numbers[e], np.float64(second_signs[e])


@njit(nogil=True)
def walk(x, row_ptr, row_start, start, source, first_signs, numbers, second_signs, h, value, out):
    """Run the pruned random network: two sparse products and two ReLUs for each logical matrix.

    Inputs are walked `LANES` at a time, so that the values of a matrix stay in the cache and each
    edge is one vector operation.

    Parameters
    ----------
    x : float64 (batch, d_in)
    row_ptr, row_start : int64
        As in `EdgeList`.
    start : int64 (matrices + 1,)
    source : int32 (helpers,)
    first_signs : int8 (helpers,)
    numbers : int32 (edges,)
        Helper of each edge within its matrix, or `NONE`.
    second_signs : int8 (edges,)
    h, value : float64 (widest, LANES)
        Scratch for the neurons and for the helpers of one matrix.
    out : float64 (batch, d_out)
    """
    batch, d_in = x.shape
    matrices = len(row_start) - 1
    for begin in range(0, batch, LANES):
        size = min(LANES, batch - begin)
        h[:d_in] = 0.0
        for lane in range(size):
            for j in range(d_in):
                h[j, lane] = x[begin + lane, j]
        for matrix in range(matrices):
            for helper in range(start[matrix], start[matrix + 1]):
                place, j = helper - start[matrix], source[helper]
                if first_signs[helper] > 0:
                    for lane in range(LANES):
                        value[place, lane] = max(h[j, lane], 0.0)
                else:
                    for lane in range(LANES):
                        value[place, lane] = max(-h[j, lane], 0.0)
            for row in range(row_start[matrix], row_start[matrix + 1]):
                i = row - row_start[matrix]
                for lane in range(LANES):
                    h[i, lane] = 0.0
                end = row_ptr[row + 1]
                # several edges a pass: the sum is loaded and stored once for all of them
                for e in range(row_ptr[row], end, 4):
                    p0, s0 = _weight(numbers, second_signs, e, end)
                    p1, s1 = _weight(numbers, second_signs, e + 1, end)
                    if e + 2 >= end:  # the two edges of a doubler
                        for lane in range(LANES):
                            h[i, lane] += s0 * value[p0, lane] + s1 * value[p1, lane]
                        continue
                    p2, s2 = _weight(numbers, second_signs, e + 2, end)
                    p3, s3 = _weight(numbers, second_signs, e + 3, end)
                    for lane in range(LANES):
                        pair = s0 * value[p0, lane] + s1 * value[p1, lane]
                        h[i, lane] += pair + (s2 * value[p2, lane] + s3 * value[p3, lane])
                if matrix + 1 < matrices:
                    for lane in range(LANES):
                        h[i, lane] = max(h[i, lane], 0.0)
        for lane in range(size):
            for i in range(out.shape[1]):
                out[begin + lane, i] = h[i, lane]
