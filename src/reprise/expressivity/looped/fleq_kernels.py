"""Compiled loop of the matrix machine's evaluator: `kernels`, and attention that calculates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.looped.kernels import HALTED, LANES, LOST, RUNNING, decode, feed_forward
from reprise.runtime import njit

NEGLIGIBLE = -50.0  # exp of this is far below the last digit of a sum that holds 1


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
        counter = decode(x[0], rows.PC, rows.index + rows.block, np.int64(0))
        if counter < first or counter >= end:
            return step, LOST
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            at = decode(x[group], rows.PC, rows.index + rows.block, lane)
            if at >= 0:
                for k in range(rows.instruction):
                    x[group, rows.BUF + k, lane] += code[at, k]
        _feed_groups(scratch, np.int64(0), x, y)
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            a, b = _at(x, rows, rows.A, i), _at(x, rows, rows.B, i)
            for k in range(dim):
                if a >= 0:
                    x[group, rows.BUF + k, lane] += memory[a, k]
                if b >= 0:
                    x[group, rows.BUF + dim + k, lane] += memory[b, k]
        _feed_groups(scratch, np.int64(1), x, y)
        soft_attention(soft, x, null, queries, keys, values)
        _feed_groups(scratch, np.int64(2), x, y)
        for i in range(dim):
            group, lane = i // LANES, i % LANES
            target[i] = _at(x, rows, rows.C, i)
            for k in range(dim):
                written[group, k, lane] = memory[target[i], k] if target[i] >= 0 else 0.0
                written[group, dim + k, lane] = x[group, rows.VC + k, lane]
            written[group, 2 * dim, lane] = 0.0
            # the scratch columns themselves are not written: they fetch from the empty column
            x[group, rows.BUF + dim, lane] += 1.0
        _feed_groups(scratch, np.int64(3), x, y)
        same = True
        for group in range(groups):
            feed_forward(column, np.int64(0), written[group], result)
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
        _feed_groups(scratch, np.int64(4), x, y)
        _feed_groups(scratch, np.int64(5), x, y)
        if same and decode(x[0], rows.PC, rows.index + rows.block, np.int64(0)) == counter:
            return step, HALTED
    return steps, RUNNING


@njit(nogil=True)
def _feed_groups(sparse, layer, x, y):
    for group in range(x.shape[0]):
        feed_forward(sparse, layer, x[group], y)
        x[group] = y
