"""Compiled loops of the evaluator: sparse feed-forward layers, address decoding, step after step.

`LANES` columns go through a layer together, so that each weight is loaded once and the arithmetic
fills wide registers. For SUBLEQ the lanes are the scratch columns of different programs, for FLEQ
those of one program.

Layers are passed as ``np.int64(0)``: for each literal numba would compile the callees once more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprise.runtime import njit

LANES = 8
RUNNING, HALTED, LOST = 0, 1, 2  # what became of a program
ONE = np.uint64(1)


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
        feed_forward(scratch, np.int64(0), x, y)
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
        feed_forward(column, np.int64(0), written, result)
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
