"""Random streams, permutations drawn from them, and what an epoch leaves on its components.

Streams are xoroshiro128+ (Blackman, Vigna 2018); 32 random bits decide a sign or bound a draw, a
bias below n / 2^32. Permutations are Fisher and Yates's.
"""

from __future__ import annotations

import numpy as np

from reprise.runtime import njit
from reprise.shuffling.kernels.arguments import DRAW, GIVEN
from reprise.words import GOLDEN, mix

U1, U32, U40 = (np.uint64(v) for v in (1, 32, 40))


@njit(inline="always")
def stream(seed, point, run, worker):
    """Initial xoroshiro128+ state of the stream (seed, point, run, worker)."""
    who = np.uint64(run) + (np.uint64(worker) << U40)
    key = mix(mix(mix(seed + GOLDEN) + point * GOLDEN + U1) + who * GOLDEN + U1)
    return mix(key + GOLDEN), mix(key + GOLDEN + GOLDEN) | U1


@njit(inline="always")
def following(s0, s1):
    """One step of xoroshiro128+: the output and the next state."""
    out = s0 + s1
    s1 ^= s0
    s0 = ((s0 << np.uint64(24)) | (s0 >> np.uint64(40))) ^ s1 ^ (s1 << np.uint64(16))
    s1 = (s1 << np.uint64(37)) | (s1 >> np.uint64(27))
    return out, s0, s1


@njit(nogil=True)
def draw_order(s0, s1, order, replacement):
    """Fill ``order`` (int64 (n,)) with a fresh permutation of itself, or with n uniform draws."""
    n = len(order)
    if replacement:
        for j in range(n):
            u, s0, s1 = following(s0, s1)
            order[j] = ((u >> U32) * np.uint64(n)) >> U32
    else:
        for j in range(n - 1, 0, -1):
            u, s0, s1 = following(s0, s1)
            i = ((u >> U32) * np.uint64(j + 1)) >> U32
            order[i], order[j] = order[j], order[i]
    return s0, s1


@njit(nogil=True)
def draw_rows(states, order, pi, replacement, shared, rows):
    """Draw what every worker of a run walks in an epoch.

    states : uint64 (2, workers + 1), the workers' streams and that of pi, advanced in place
    order : int64 (workers, n), drawn in place; only the first row if the order is shared
    pi : int64 (workers,), drawn in place if the order is shared
    rows : int64 (workers, n), the walked orders; ``order`` itself unless it is shared
    """
    workers, n = order.shape
    for m in range(1 if shared else workers):
        states[0, m], states[1, m] = draw_order(states[0, m], states[1, m], order[m], replacement)
    if shared:
        s0, s1 = draw_order(states[0, workers], states[1, workers], pi, False)
        states[0, workers], states[1, workers] = s0, s1
        for m in range(workers):
            start = n // workers * pi[m]
            rows[m, : n - start] = order[0, start:]
            rows[m, n - start :] = order[0, :start]


@njit(nogil=True)
def open_run(seed, point, run, workers, n, shared):
    """A run's streams, its listed orders, pi, and the array that will hold what it walks."""
    states = np.empty((2, workers + 1), dtype=np.uint64)
    order = np.empty((workers, n), dtype=np.int64)
    for m in range(workers + 1):
        states[0, m], states[1, m] = stream(seed, point, run, m)
    for m in range(workers):
        order[m] = np.arange(n)
    rows = order.copy() if shared else order
    return states, order, np.arange(workers), rows


@njit(nogil=True)
def enter_epoch(plan, k, run, states, order, pi, rows):
    """Turn ``rows`` into the orders of a run's epoch k, before any reversal."""
    if plan.source[k] == DRAW:
        draw_rows(states, order, pi, plan.replacement, plan.shared, rows)
    elif plan.source[k] == GIVEN:
        given = plan.given[run % plan.given.shape[0], min(k, plan.given.shape[1] - 1)]
        for m in range(len(rows)):  # one worker's order may stand for all
            row = given[min(m, len(given) - 1)]
            for j in range(len(row)):
                rows[m, j] = row[j]


@njit(nogil=True)
def write_orders(plan, seed, out):
    """Write the indices that each worker visits into ``out`` (int64 (runs, epochs, workers, n))."""
    runs, epochs, workers, n = out.shape
    for run in range(runs):
        states, order, pi, rows = open_run(seed, np.uint64(0), run, workers, n, plan.shared)
        for k in range(epochs):
            enter_epoch(plan, k, run, states, order, pi, rows)
            out[run, k] = rows[:, ::-1] if plan.reverse[k] else rows


@njit()
def open_runs(numbers, workers, n):
    """Streams and listed orders of many runs, for loops outside this package.

    Parameters
    ----------
    numbers : Stream
    workers, n : int

    Returns
    -------
    states : uint64 (runs, 2, workers + 1)
    orders : int64 (runs, workers, n)
    pis : int64 (runs, workers)
    """
    runs = len(numbers.runs)
    states = np.empty((runs, 2, workers + 1), dtype=np.uint64)
    orders = np.empty((runs, workers, n), dtype=np.int64)
    pis = np.empty((runs, workers), dtype=np.int64)
    for r in range(runs):
        states[r], orders[r], pis[r], _ = open_run(
            numbers.seed, numbers.point, numbers.runs[r], workers, n, False
        )
    return states, orders, pis


@njit(nogil=True)
def enter_epochs(plan, k, runs, states, orders, pis, rows):
    """`enter_epoch` for every run (see `open_runs`).

    rows : int64 (runs, workers, n)
        What is walked; ``orders`` itself unless the order is shared.
    """
    for r in range(len(orders)):
        enter_epoch(plan, k, runs[r], states[r], orders[r], pis[r], rows[r])


@njit(nogil=True)
def scatter_weights(orders, weights, backward, decay, out):
    """Add each step's weight to the component it visits: an epoch as one row of a matrix product.

    Several epochs are one row too, if what the earlier ones left has decayed.

    Parameters
    ----------
    orders : int64 (runs, n)
    weights : float64 (n,)
        Weight of step j.
    backward : bool
    decay : float
        Factor on what ``out`` holds; 0 overwrites it.
    out : float64 (runs, n)
        Written in place.
    """
    runs, n = orders.shape
    for r in range(runs):
        if decay == 0.0:
            out[r] = 0.0  # also where an infinity stood
        else:
            out[r] *= decay
        for j in range(n):
            out[r, orders[r, n - 1 - j if backward else j]] += weights[j]
