"""Compiled loops of the evaluator: sparse feed-forward layers, address decoding, step after step.

`LANES` columns go through a layer together, so that each weight is loaded once and the arithmetic
fills wide registers. For SUBLEQ the lanes are the scratch columns of different programs, for FLEQ
those of one program.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import njit

LANES = 8
RUNNING, HALTED, LOST = 0, 1, 2  # what became of a program
ONE = np.uint64(1)
NEGLIGIBLE = -50.0  # exp of this is far below the last digit of a sum that holds 1


class Sparse(NamedTuple):
    """Feed-forward layers without their zeros, neuron by neuron.

    Indices are unsigned: of a signed one each access would ask whether it counts from the end,
    which takes a third of the time.

    Attributes
    ----------
    layers : uint64 (m, 3)
        First neuron of a layer, its first with a ReLU, and the first neuron of the next layer.
    in_start, out_start : uint64 (h + 1,)
        Where a neuron's weights begin.
    in_row, out_row : uint64 (w,)
    in_weight, out_weight : float64 (w,)
    """

    layers: NDArray[np.uint64]
    in_start: NDArray[np.uint64]
    in_row: NDArray[np.uint64]
    in_weight: NDArray[np.float64]
    out_start: NDArray[np.uint64]
    out_row: NDArray[np.uint64]
    out_weight: NDArray[np.float64]


@njit(nogil=True)
def feed_forward(sparse, layer, x, y):
    """y = x + W2 ReLU(W1 x).

    Parameters
    ----------
    sparse : Sparse
    layer : int
    x, y : float64 (d, lanes)
        Input, and output; one lane or `LANES`.
    """
    if x.shape[1] == 1:
        _feed_one(sparse, layer, x, y)
    else:
        _feed_eight(sparse, layer, x, y)


@njit(nogil=True)
def _feed_one(sparse, layer, x, y):
    first, relu, end = sparse.layers[layer]
    y[:] = x
    before, after = x.ravel(), y.ravel()
    for i in range(first, end):
        z = 0.0
        for k in range(sparse.in_start[i], sparse.in_start[i + ONE]):
            z += sparse.in_weight[k] * before[sparse.in_row[k]]
        if i >= relu and z <= 0.0:
            continue
        for k in range(sparse.out_start[i], sparse.out_start[i + ONE]):
            after[sparse.out_row[k]] += sparse.out_weight[k] * z


@njit(nogil=True)
def _feed_eight(sparse, layer, x, y):
    # scalars stay in registers: an array of eight would be loaded and stored for each weight
    first, relu, end = sparse.layers[layer]
    y[:] = x
    for i in range(first, end):
        a = b = c = d = e = f = g = h = 0.0
        for k in range(sparse.in_start[i], sparse.in_start[i + ONE]):
            row, weight = sparse.in_row[k], sparse.in_weight[k]
            a += weight * x[row, 0]
            b += weight * x[row, 1]
            c += weight * x[row, 2]
            d += weight * x[row, 3]
            e += weight * x[row, 4]
            f += weight * x[row, 5]
            g += weight * x[row, 6]
            h += weight * x[row, 7]
        if i >= relu:
            a, b, c, d = max(a, 0.0), max(b, 0.0), max(c, 0.0), max(d, 0.0)
            e, f, g, h = max(e, 0.0), max(f, 0.0), max(g, 0.0), max(h, 0.0)
        for k in range(sparse.out_start[i], sparse.out_start[i + ONE]):
            row, weight = sparse.out_row[k], sparse.out_weight[k]
            y[row, 0] += weight * a
            y[row, 1] += weight * b
            y[row, 2] += weight * c
            y[row, 3] += weight * d
            y[row, 4] += weight * e
            y[row, 5] += weight * f
            y[row, 6] += weight * g
            y[row, 7] += weight * h


@njit(nogil=True)
def decode(x, first, bits, lane):
    """The address in a register of +1 and -1, or -1 where it holds anything else."""
    address = 0
    for i in range(bits):
        value = x[first + i, lane]
        if value == 1.0:
            address |= 1 << i
        elif value != -1.0:
            return -1
    return address


class SubleqRows(NamedTuple):
    """Where the evaluator finds the registers: first rows, and how many bits they have."""

    A: int
    B: int
    PC: int
    BUF: int
    NEW: int
    address: int
    word: int


@njit(nogil=True)
def run_subleq_lanes(x, memory, code, first, end, rows, scratch, column, steps, done, status):
    """Execute up to ``steps`` instructions of each program, one a lane.

    Parameters
    ----------
    x : float64 (d, lanes)
        Scratch columns, one or `LANES`; used up.
    memory : float64 (lanes, n, 2 N)
        MEM and BUF rows of all columns; changed in place.
    code : float64 (lanes, n, 3 L)
        INS rows of all columns.
    first, end : int64 (lanes,)
        Columns of the first instruction, and after the last.
    rows : SubleqRows
    scratch : Sparse
        The machine's layers, as the scratch column feels them.
    column : Sparse
        The last layer, as a written column feels it: rows MEM, BUF, ONE.
    steps : int
    done : int64 (lanes,)
        Output: steps that changed the state.
    status : int64 (lanes,)
        In and output. A lane that is not RUNNING keeps its state.

    Returns
    -------
    float64 (d, lanes)
        The scratch columns at the end.
    """
    lanes, layers, word = x.shape[1], len(scratch.layers), rows.word
    y = np.empty_like(x)
    kept = x.copy()  # what a lane goes back to when it has stopped
    written = np.zeros((2 * word + 1, lanes))
    result = np.empty_like(written)
    counter = np.empty(lanes, np.int64)
    target = np.empty(lanes, np.int64)
    for _ in range(steps):
        running = 0
        for lane in range(lanes):
            if status[lane] != RUNNING:
                continue
            at = decode(x, rows.PC, rows.address, lane)
            if at < first[lane] or at >= end[lane]:
                status[lane] = LOST
                kept[:, lane] = x[:, lane]
                continue
            running += 1
            counter[lane] = at
            for i in range(3 * rows.address):
                x[rows.BUF + i, lane] += code[lane, at, i]
        if running == 0:
            break
        feed_forward(scratch, 0, x, y)
        x, y = y, x
        for lane in range(lanes):
            if status[lane] != RUNNING:
                continue
            a = decode(x, rows.A, rows.address, lane)
            b = decode(x, rows.B, rows.address, lane)
            target[lane] = b
            if a < 0 or b < 0:
                continue
            for i in range(word):
                x[rows.BUF + i, lane] += memory[lane, a, i]
                x[rows.BUF + word + i, lane] += memory[lane, b, i]
        for layer in range(1, layers - 1):
            feed_forward(scratch, layer, x, y)
            x, y = y, x
        for lane in range(lanes):
            if status[lane] != RUNNING or target[lane] < 0:
                continue
            for i in range(2 * word):
                written[i, lane] = memory[lane, target[lane], i]
            for i in range(word):
                written[word + i, lane] += x[rows.NEW + i, lane]
            written[2 * word, lane] = 1.0
        feed_forward(scratch, layers - 1, x, y)
        x, y = y, x
        feed_forward(column, 0, written, result)
        for lane in range(lanes):
            if status[lane] != RUNNING:
                continue
            same = decode(x, rows.PC, rows.address, lane) == counter[lane]
            if target[lane] >= 0:
                for i in range(2 * word):
                    if memory[lane, target[lane], i] != result[i, lane]:
                        same = False
                    memory[lane, target[lane], i] = result[i, lane]
            if same:
                status[lane] = HALTED
                kept[:, lane] = x[:, lane]
            else:
                done[lane] += 1
    for lane in range(lanes):
        if status[lane] == RUNNING:
            kept[:, lane] = x[:, lane]
    return kept


class Rows(NamedTuple):
    """Rows of a sparse matrix: int64 (r + 1,), int64 (w,), float64 (w,)."""

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    weight: NDArray[np.float64]


class SoftHeads(NamedTuple):
    """Heads that calculate, one after the other.

    Attributes
    ----------
    scores, values : int64 (h + 1,)
        First row of a head in ``query`` and ``key``, and in ``value``.
    query, key, value : Rows
    target : int64 (v,)
        The row of the sequence that a row of ``value`` is added to.
    """

    scores: NDArray[np.int64]
    values: NDArray[np.int64]
    query: Rows
    key: Rows
    value: Rows
    target: NDArray[np.int64]


@njit(nogil=True)
def _project(rows, x, null, out):
    """Sparse rows times the scratch columns, and times the empty column in the last place."""
    groups, dim = x.shape[0], out.shape[1] - 1
    for i in range(out.shape[0]):
        out[i, :] = 0.0
        for k in range(rows.start[i], rows.start[i + 1]):
            row, weight = rows.row[k], rows.weight[k]
            for group in range(groups):
                for lane in range(min(LANES, dim - group * LANES)):
                    out[i, group * LANES + lane] += weight * x[group, row, lane]
            out[i, dim] += weight * null[row]


@njit(nogil=True)
def soft_attention(soft, x, null, queries, keys, values):
    """Add what the soft heads fetch from the scratch columns and the empty column, in place.

    All other columns score so low that their weight is below the last digit.

    Parameters
    ----------
    soft : SoftHeads
    x : float64 (groups, d, LANES)
    null : float64 (d,)
        The empty column.
    queries, keys, values : float64 (rows, dim + 1)
        Workspaces.
    """
    _project(soft.query, x, null, queries)
    _project(soft.key, x, null, keys)
    _project(soft.value, x, null, values)
    dim = queries.shape[1] - 1
    weights = np.empty(dim + 1)
    for head in range(len(soft.scores) - 1):
        for i in range(dim):
            best = -np.inf
            for j in range(dim + 1):
                score = 0.0
                for r in range(soft.scores[head], soft.scores[head + 1]):
                    score += queries[r, i] * keys[r, j]
                weights[j] = score
                best = max(best, score)
            total = 0.0
            for j in range(dim + 1):
                below = weights[j] - best
                # a score that is no number must spread, as in the dense softmax
                weights[j] = 0.0 if below <= NEGLIGIBLE else np.exp(below)
                total += weights[j]
            group, lane = i // LANES, i % LANES
            for v in range(soft.values[head], soft.values[head + 1]):
                fetched = 0.0
                for j in range(dim + 1):
                    fetched += weights[j] * values[v, j]
                x[group, soft.target[v], lane] += fetched / total


class FleqRows(NamedTuple):
    """Where the evaluator finds the registers: first rows, and how many rows they have."""

    A: int
    B: int
    C: int
    F: int
    PC: int
    IB: int
    VC: int
    BUF: int
    instruction: int
    index: int
    block: int
    dim: int


@njit(nogil=True)
def _at(x, rows, register, i):
    """The column that scratch column i's register and its own index point to, or -1."""
    group, lane = i // LANES, i % LANES
    index = decode(x[group], rows.IB, rows.index, lane)
    block = decode(x[group], register, rows.block, lane)
    return -1 if index < 0 or block < 0 else block * rows.dim + index


@njit(nogil=True)
def run_fleq_program(x, memory, code, null, first, end, rows, scratch, column, soft, steps):
    """Execute up to ``steps`` instructions of one program.

    Parameters
    ----------
    x : float64 (groups, d, LANES)
        Scratch columns; changed in place.
    memory : float64 (n, dim)
        MEM rows of all columns; changed in place.
    code : float64 (n, instruction)
        INS rows of all columns.
    null : float64 (d,)
        The empty column.
    first, end : int
        Columns of the first instruction, and after the last.
    rows : FleqRows
    scratch : Sparse
        The machine's layers, as scratch columns feel them.
    column : Sparse
        The fourth layer, as a written column feels it: rows MEM, the buffer's results, the buffer's
        note that nothing was written.
    soft : SoftHeads
    steps : int

    Returns
    -------
    tuple of int
        Steps that changed the state, and what became of the program.
    """
    groups, d, dim = x.shape[0], x.shape[1], rows.dim
    y = np.empty((d, LANES))
    queries = np.empty((len(soft.query.start) - 1, dim + 1))
    keys = np.empty((len(soft.key.start) - 1, dim + 1))
    values = np.empty((len(soft.value.start) - 1, dim + 1))
    written = np.zeros((groups, 2 * dim + 1, LANES))
    result = np.empty((2 * dim + 1, LANES))
    target = np.empty(dim, np.int64)
    for step in range(steps):
        counter = decode(x[0], rows.PC, rows.index + rows.block, 0)
        if counter < first or counter >= end:
            return step, LOST
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            at = decode(x[group], rows.PC, rows.index + rows.block, lane)
            if at >= 0:
                for k in range(rows.instruction):
                    x[group, rows.BUF + k, lane] += code[at, k]
        _feed_groups(scratch, 0, x, y)
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            a, b = _at(x, rows, rows.A, i), _at(x, rows, rows.B, i)
            for k in range(dim):
                if a >= 0:
                    x[group, rows.BUF + k, lane] += memory[a, k]
                if b >= 0:
                    x[group, rows.BUF + dim + k, lane] += memory[b, k]
        _feed_groups(scratch, 1, x, y)
        soft_attention(soft, x, null, queries, keys, values)
        _feed_groups(scratch, 2, x, y)
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            target[i] = _at(x, rows, rows.C, i)
            for k in range(dim):
                written[group, k, lane] = memory[target[i], k] if target[i] >= 0 else 0.0
                written[group, dim + k, lane] = x[group, rows.VC + k, lane]
            written[group, 2 * dim, lane] = 0.0
            # the scratch columns themselves are not written: they fetch from the empty column
            x[group, rows.BUF + dim, lane] += 1.0
        _feed_groups(scratch, 3, x, y)
        same = True
        for group in range(groups):
            feed_forward(column, 0, written[group], result)
            for lane in range(min(LANES, dim - group * LANES)):
                at = target[group * LANES + lane]
                for k in range(dim):
                    if at >= 0 and memory[at, k] != result[k, lane]:
                        same = False
                        memory[at, k] = result[k, lane]
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            flag = decode(x[group], rows.F, rows.block, lane)
            if flag >= 0:
                x[group, rows.BUF, lane] += memory[flag * dim, 0]
        _feed_groups(scratch, 4, x, y)
        _feed_groups(scratch, 5, x, y)
        if same and decode(x[0], rows.PC, rows.index + rows.block, 0) == counter:
            return step, HALTED
    return steps, RUNNING


@njit(nogil=True)
def _feed_groups(sparse, layer, x, y):
    for group in range(x.shape[0]):
        feed_forward(sparse, layer, x[group], y)
        x[group] = y
