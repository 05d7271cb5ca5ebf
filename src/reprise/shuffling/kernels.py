"""Compiled loops of the shuffling part: random streams, orders, recurrences and rounds.

Two engines share one seeding rule, *each (seed, point, run, worker) has a stream of its own*, so
that no result depends on the number of threads or on how runs are split into batches, and two
methods that are given one seed meet the same orders.

``run_lanes`` is for one-dimensional sums whose components come in two kinds, ``+`` and ``-``. Only
the sequence of kinds matters, so an epoch's order is n bits. They are drawn by sequential sampling
(``+`` with probability remaining ``+`` over remaining), in 64 lanes that the compiler turns into
vector instructions, and kept, so that a later epoch can repeat or reverse them. A lane is a run;
several workers are rows of lanes.

``run_components`` is for all other sums: Fisher-Yates permutations and a loop over components.

Both cut an epoch into rounds of ``local_steps`` steps. In a round each worker walks alone and all
average (local SGD), or all gradients are taken where the round began (minibatch SGD). One worker
and one round an epoch is plain SGD.

Streams are xoroshiro128+ (Blackman, Vigna 2018); 32 random bits decide a sign or bound a draw, a
bias below n / 2^32.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from reprise.runtime import njit
from reprise.words import GOLDEN, mix

LANES = 64
KEEP, DRAW, GIVEN = 0, 1, 2
KINKED, SMOOTHED, SIGMOID, RIPPLED = 0, 1, 2, 3
DIAGONAL, DENSE, LOGISTIC, GLUED = 0, 1, 2, 3

_U0, _U1, _U32, _U40, _U63, _U64 = (np.uint64(v) for v in (0, 1, 32, 40, 63, 64))
_LOW32 = np.uint64(0xFFFFFFFF)


@njit(inline="always")
def _stream(seed, point, run, worker):
    """Initial xoroshiro128+ state of the stream (seed, point, run, worker)."""
    who = np.uint64(run) + (np.uint64(worker) << _U40)
    key = mix(mix(mix(seed + GOLDEN) + point * GOLDEN + _U1) + who * GOLDEN + _U1)
    return mix(key + GOLDEN), mix(key + GOLDEN + GOLDEN) | _U1


@njit(inline="always")
def _next(s0, s1):
    """One step of xoroshiro128+: the output and the next state."""
    out = s0 + s1
    s1 ^= s0
    s0 = ((s0 << np.uint64(24)) | (s0 >> np.uint64(40))) ^ s1 ^ (s1 << np.uint64(16))
    s1 = (s1 << np.uint64(37)) | (s1 >> np.uint64(27))
    return out, s0, s1


# --- two kinds of components: bits in lanes -------------------------------------------------------


@njit(nogil=True)
def _draw_kinds(state0, state1, n, plus, replacement, bits):
    """Draw a worker's kinds of an epoch: bit j of lane l is set if step j meets a ``+``.

    A step is ``+`` if ``u * remaining < left * 2^32`` for 32 random bits u; one 64-bit output
    serves two steps.

    plus : int, how many ``+`` the worker holds
    bits : uint64 (ceil(n / 64), LANES)
    """
    left = np.empty(LANES, dtype=np.uint64)  # "+" components not yet drawn, times 2^32
    left[:] = np.uint64(plus) << _U32
    taken = _U0 if replacement else _U1
    one = taken << _U32
    bits[:] = _U0
    for j in range(0, n, 2):
        remaining = np.uint64(n) if replacement else np.uint64(n - j)
        word = j >> 6
        first = _U1 << (np.uint64(j) & _U63)
        second = first << _U1 if j + 1 < n else _U0
        for lane in range(LANES):
            out, state0[lane], state1[lane] = _next(state0[lane], state1[lane])
            here, drawn = left[lane], bits[word, lane]
            if (out >> _U32) * remaining < here:
                here -= one
                drawn |= first
            if (out & _LOW32) * (remaining - taken) < here:
                here -= one
                drawn |= second
            left[lane], bits[word, lane] = here, drawn


@njit(nogil=True)
def _synchronize(bits, n, pi):
    """Give every worker the kinds of the first, from position (n / workers) pi(m) on.

    bits : uint64 (workers, words, LANES); of the first worker in, of all out
    pi : int64 (LANES, workers)
    """
    workers, words, _ = bits.shape
    twice = np.empty((2 * n >> 6) + 2, dtype=np.uint64)  # the sequence after itself
    for lane in range(LANES):
        twice[:] = _U0
        for w in range(words):
            word = bits[0, w, lane]
            at, shift = (n + 64 * w) >> 6, np.uint64(n) & _U63
            twice[w] |= word
            twice[at] |= word << shift
            if shift != _U0:
                twice[at + 1] |= word >> (_U64 - shift)
        for m in range(workers):
            for w in range(words):
                start = n // workers * pi[lane, m] + 64 * w
                at, shift = start >> 6, np.uint64(start) & _U63
                word = twice[at] >> shift
                if shift != _U0:
                    word |= twice[at + 1] << (_U64 - shift)
                bits[m, w, lane] = word


@njit(nogil=True)
def _average(x):
    """Replace every worker's iterates, float64 (workers, LANES), by their mean."""
    workers = len(x)
    mean = x[0].copy()
    for m in range(1, workers):
        for lane in range(LANES):
            mean[lane] += x[m, lane]
    for lane in range(LANES):
        mean[lane] /= workers
    for m in range(workers):
        for lane in range(LANES):
            x[m, lane] = mean[lane]


@njit(nogil=True)
def _kinked_steps(x, bits, first, last, n, backward, eta, left, right, offset, pull):
    """Steps first..last-1 of ``x -= eta * ((right if x > 0 else left) * x + offset)``, all lanes.

    left, right, offset : float64 (2,), indexed by the component's kind.
    pull : float, a second push, the same in every step.
    """
    a0, a1 = 1.0 - eta * left[0], 1.0 - eta * left[1]
    b0, b1 = 1.0 - eta * right[0], 1.0 - eta * right[1]
    # common slopes, right the steeper: its product is the smaller where x > 0, and only there
    common = a0 == a1 and b0 == b1
    o0, o1 = eta * (offset[0] + pull), eta * (offset[1] + pull)
    for i in range(first, last):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        if common and b0 <= a0:
            for lane in range(LANES):
                v = min(a0 * x[lane], b0 * x[lane])
                x[lane] = v - (o1 if (bits[word, lane] & bit) != _U0 else o0)
        else:
            for lane in range(LANES):
                v = x[lane]
                plus = (bits[word, lane] & bit) != _U0
                factor = (b1 if plus else b0) if v > 0.0 else (a1 if plus else a0)
                x[lane] = factor * v - (o1 if plus else o0)


@njit(inline="always")
def _smoothed_slope(v, left, right, width):
    """Slope whose derivative rises linearly from left to right over [-width, width]."""
    core = min(max(v, -width), width)
    outer = right if v > 0.0 else left
    return (0.5 * (left + right) + 0.25 * (right - left) / width * core) * core + outer * (v - core)


@njit(nogil=True, error_model="numpy")
def _smoothed_steps(x, bits, first, last, n, backward, eta, left, right, width, offset, pull):
    """As `_kinked_steps`, with a second derivative that rises over [-width, width]."""
    o0, o1 = eta * (offset[0] + pull), eta * (offset[1] + pull)
    for i in range(first, last):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        for lane in range(LANES):
            v = x[lane]
            push = o1 if (bits[word, lane] & bit) != _U0 else o0
            x[lane] = v - (eta * _smoothed_slope(v, left[1], right[1], width) + push)


@intrinsic
def _bits_of(typingcontext, value):
    """The 64 bits of a float64 as int64."""

    def cast(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), cast


@intrinsic
def _float_of(typingcontext, bits):
    """The float64 that has these 64 bits."""

    def cast(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), cast


@njit(inline="always")
def _exp(v):
    """``exp(v)`` within 2 units in the last place, v clipped to [-700, 700].

    A library call would keep the lane loop from becoming vector instructions. Here
    v = k log 2 + r with |r| <= log(2)/2, a Taylor polynomial of degree 13 in r, and k added to the
    exponent bits. Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
    """
    v = min(max(v, -700.0), 700.0)
    shifted = v * 1.4426950408889634 + 6755399441055744.0
    k = shifted - 6755399441055744.0
    r = (v - k * 0.6931471803691238) - k * 1.9082149292705877e-10  # log 2 in two parts
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * (r * r) + r + 1.0
    return _float_of(_bits_of(p) + (_bits_of(shifted) << np.int64(52)))


@njit()
def exp_in_place(values):
    """Replace every entry (float64) by `_exp` of it; what the tests compare with ``math.exp``."""
    for i in range(len(values)):
        values[i] = _exp(values[i])


@njit(nogil=True, error_model="numpy")  # a check for zero would break the vectors
def _sigmoid_steps(x, bits, first, last, n, backward, eta, offset, pull):
    """Steps first..last-1 of ``x -= eta * (sigmoid(x) + offset)`` in every lane."""
    o0, o1 = eta * (offset[0] + pull), eta * (offset[1] + pull)
    for i in range(first, last):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        for lane in range(LANES):
            v = x[lane]
            push = o1 if (bits[word, lane] & bit) != _U0 else o0
            x[lane] = v - (eta / (1.0 + _exp(-v)) + push)


@njit(nogil=True)
def _rippled_steps(x, bits, first, last, n, backward, eta, offset, pull):
    """Steps first..last-1 of ``x -= eta * (2 x + 3 sin 2x + offset)``, all lanes."""
    o0, o1 = eta * (offset[0] + pull), eta * (offset[1] + pull)
    for i in range(first, last):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        for lane in range(LANES):
            v = x[lane]
            push = o1 if (bits[word, lane] & bit) != _U0 else o0
            x[lane] = v - (eta * (2.0 * v + 3.0 * np.sin(2.0 * v)) + push)


@njit(nogil=True, error_model="numpy")
def _minibatch_step(
    recurrence, x, bits, first, last, n, backward, eta, left, right, offset, width, pull, count
):
    """One step in every lane along the mean gradient of all workers' steps first..last-1.

    All gradients are taken at one point, so only the number of ``+`` among them matters.

    x : float64 (LANES,)
    bits : uint64 (workers, words, LANES)
    pull : float, the workers' mean.
    count : uint64 (LANES,), scratch.
    """
    workers = len(bits)
    count[:] = _U0
    for m in range(workers):
        for i in range(first, last):
            j = n - 1 - i if backward else i
            word, shift = j >> 6, np.uint64(j) & _U63
            for lane in range(LANES):
                count[lane] += (bits[m, word, lane] >> shift) & _U1
    size = float(workers * (last - first))
    # one loop a curve: a choice within the loop would keep it from becoming vector instructions
    if recurrence == KINKED:
        for lane in range(LANES):
            plus = np.float64(np.int64(count[lane])) / size
            minus = 1.0 - plus
            slope_left = minus * left[0] + plus * left[1]
            slope_right = minus * right[0] + plus * right[1]
            push = eta * (minus * offset[0] + plus * offset[1] + pull)
            v = x[lane]
            x[lane] = (1.0 - eta * (slope_right if v > 0.0 else slope_left)) * v - push
    else:
        for lane in range(LANES):
            plus = np.float64(np.int64(count[lane])) / size
            push = eta * ((1.0 - plus) * offset[0] + plus * offset[1] + pull)
            v = x[lane]
            if recurrence == SMOOTHED:
                x[lane] = v - (eta * _smoothed_slope(v, left[1], right[1], width) + push)
            elif recurrence == SIGMOID:
                x[lane] = v - (eta / (1.0 + _exp(-v)) + push)
            else:
                x[lane] = v - (eta * (2.0 * v + 3.0 * np.sin(2.0 * v)) + push)


@njit(nogil=True)
def run_lanes(
    recurrence,
    left,
    right,
    offset,
    width,
    kinds,
    drift,
    local_steps,
    minibatch,
    steps,
    source,
    reverse,
    replacement,
    shared,
    given,
    seed,
    point,
    run_ids,
    x0,
    record,
    out,
):
    """Run up to LANES independent runs of a two-kind sum side by side.

    Parameters
    ----------
    recurrence : int
        ``KINKED``, ``SMOOTHED``, ``SIGMOID`` or ``RIPPLED``.
    left, right, offset : float64 (2,)
        Slopes on either side of 0 (unused by the last two) and offset of the gradient, by kind.
    width : float
        Half width of the smoothed kink.
    kinds : bool (workers, n)
        True where the worker's component is of kind ``+``.
    drift : float64 (workers,)
        Added to all gradients of a worker.
    local_steps : int
        Steps a round; divides n.
    minibatch : bool
        True for one step a round along the mean gradient, False for local steps, then the mean.
    steps : float64 (epochs,)
        Step of a single component; a minibatch step is ``local_steps`` times as long.
    source, reverse, replacement, shared, given
        The schedule (see `orders.Schedule`).
    seed, point : uint64
    run_ids : int64 (r,)
        Which runs these are, r <= LANES.
    x0 : float64 (r,)
    record : int64 (m,)
        Increasing epochs after which to keep x.
    out : float64 (m, r)
        Written in place.
    """
    workers, n = kinds.shape
    epochs, r = len(steps), len(run_ids)
    x = np.zeros((workers, LANES))
    state0 = np.empty((workers + 1, LANES), dtype=np.uint64)  # the last row's draws pi
    state1 = np.empty((workers + 1, LANES), dtype=np.uint64)
    plus = np.zeros(workers, dtype=np.int64)
    bits = np.zeros((workers, (n + 63) >> 6, LANES), dtype=np.uint64)
    pi = np.empty((LANES, workers), dtype=np.int64)
    count = np.empty(LANES, dtype=np.uint64)
    for m in range(workers):
        for i in range(n):
            plus[m] += kinds[m, i]
    for lane in range(LANES):
        slot = min(lane, r - 1)  # lanes beyond the last run repeat it and are dropped
        for m in range(workers + 1):
            state0[m, lane], state1[m, lane] = _stream(seed, point, run_ids[slot], m)
        pi[lane] = np.arange(workers)
        x[:, lane] = x0[slot]
    kept = 0
    for k in range(epochs):
        if source[k] == DRAW:
            for m in range(1 if shared else workers):
                _draw_kinds(state0[m], state1[m], n, plus[m], replacement, bits[m])
            if shared:
                for lane in range(LANES):
                    s0, s1 = state0[workers, lane], state1[workers, lane]
                    s0, s1 = _draw_order(s0, s1, pi[lane], False)
                    state0[workers, lane], state1[workers, lane] = s0, s1
                _synchronize(bits, n, pi)
        elif source[k] == GIVEN:
            bits[:] = _U0
            epoch = min(k, given.shape[1] - 1)
            for lane in range(LANES):
                run = run_ids[min(lane, r - 1)] % given.shape[0]
                for m in range(workers):
                    row = given[run, epoch, min(m, given.shape[2] - 1)]
                    for j in range(n):
                        if kinds[m, row[j]]:
                            bits[m, j >> 6, lane] |= _U1 << (np.uint64(j) & _U63)
        eta, back = steps[k], reverse[k]
        for first in range(0, n, local_steps):
            last = first + local_steps
            if minibatch:
                _minibatch_step(
                    recurrence,
                    x[0],
                    bits,
                    first,
                    last,
                    n,
                    back,
                    eta * local_steps,
                    left,
                    right,
                    offset,
                    width,
                    drift.mean(),
                    count,
                )
                continue
            for m in range(workers):
                y, b, pull = x[m], bits[m], drift[m]
                if recurrence == KINKED:
                    _kinked_steps(y, b, first, last, n, back, eta, left, right, offset, pull)
                elif recurrence == SIGMOID:
                    _sigmoid_steps(y, b, first, last, n, back, eta, offset, pull)
                elif recurrence == RIPPLED:
                    _rippled_steps(y, b, first, last, n, back, eta, offset, pull)
                else:
                    _smoothed_steps(
                        y, b, first, last, n, back, eta, left, right, width, offset, pull
                    )
            if workers > 1:
                _average(x)
        if kept < len(record) and record[kept] == k + 1:
            out[kept] = x[0, :r]
            kept += 1


# --- any components: permutations of indices ------------------------------------------------------


@njit(nogil=True)
def _draw_order(s0, s1, order, replacement):
    """Fill ``order`` (int64 (n,)) with a fresh permutation of itself, or with n uniform draws."""
    n = len(order)
    if replacement:
        for j in range(n):
            u, s0, s1 = _next(s0, s1)
            order[j] = ((u >> _U32) * np.uint64(n)) >> _U32
    else:
        for j in range(n - 1, 0, -1):
            u, s0, s1 = _next(s0, s1)
            i = ((u >> _U32) * np.uint64(j + 1)) >> _U32
            order[i], order[j] = order[j], order[i]
    return s0, s1


@njit(nogil=True)
def _draw_rows(states, order, pi, replacement, shared, rows):
    """Draw what every worker of a run walks in an epoch.

    states : uint64 (2, workers + 1), the workers' streams and that of pi, advanced in place
    order : int64 (workers, n), drawn in place; only the first row if the order is shared
    pi : int64 (workers,), drawn in place if the order is shared
    rows : int64 (workers, n), the walked orders; ``order`` itself unless it is shared
    """
    workers, n = order.shape
    for m in range(1 if shared else workers):
        states[0, m], states[1, m] = _draw_order(states[0, m], states[1, m], order[m], replacement)
    if shared:
        s0, s1 = _draw_order(states[0, workers], states[1, workers], pi, False)
        states[0, workers], states[1, workers] = s0, s1
        for m in range(workers):
            start = n // workers * pi[m]
            rows[m, : n - start] = order[0, start:]
            rows[m, n - start :] = order[0, :start]


@njit(nogil=True)
def _open_run(seed, point, run, workers, n, shared):
    """A run's streams, its listed orders, pi, and the array that will hold what it walks."""
    states = np.empty((2, workers + 1), dtype=np.uint64)
    order = np.empty((workers, n), dtype=np.int64)
    for m in range(workers + 1):
        states[0, m], states[1, m] = _stream(seed, point, run, m)
    for m in range(workers):
        order[m] = np.arange(n)
    rows = order.copy() if shared else order
    return states, order, np.arange(workers), rows


@njit(nogil=True)
def write_orders(source, reverse, replacement, shared, given, seed, point, out):
    """Write the indices that each worker visits into ``out`` (int64 (runs, epochs, workers, n))."""
    runs, epochs, workers, n = out.shape
    for run in range(runs):
        states, order, pi, rows = _open_run(seed, point, run, workers, n, shared)
        for k in range(epochs):
            if source[k] == DRAW:
                _draw_rows(states, order, pi, replacement, shared, rows)
            elif source[k] == GIVEN:
                rows[:] = given[run % given.shape[0], min(k, given.shape[1] - 1)]
            out[run, k] = rows[:, ::-1] if reverse[k] else rows


@njit(inline="always")
def _diagonal(at, x, i, eta, curvatures, vectors):
    """x -= eta * gradient of f_i at ``at``, f_i = sum_c curvatures[i, c] x_c^2 / 2 - b_i . x."""
    for c in range(len(x)):
        x[c] -= eta * (curvatures[i, c] * at[c] - vectors[i, c])


@njit(inline="always")
def _dense(at, x, i, eta, matrices, vectors, gradient):
    """x -= eta * gradient of f_i at ``at``, f_i = x' A_i x / 2 - b_i . x."""
    d = len(x)
    for c in range(d):
        total = -vectors[i, c]
        for e in range(d):
            total += matrices[i, c, e] * at[e]
        gradient[c] = total
    for c in range(d):
        x[c] -= eta * gradient[c]


@njit(inline="always")
def _logistic(at, x, i, eta, features, scalars):
    """x -= eta * gradient of f_i at ``at``, f_i = log(1 + exp(-y_i a_i . x)) + l2 |x|^2 / 2.

    scalars = (y_1, ..., y_n, l2).
    """
    margin = 0.0
    for c in range(len(x)):
        margin += features[i, c] * at[c]
    weight = -scalars[i] / (1.0 + np.exp(scalars[i] * margin))
    for c in range(len(x)):
        x[c] -= eta * (weight * features[i, c] + scalars[-1] * at[c])


@njit(nogil=True)
def _scalar_epoch(kind, matrices, vectors, scalars, base, walk, local_steps, minibatch, eta, x):
    """All rounds of an epoch in one dimension, the iterate in a register; returns its end.

    ``DIAGONAL`` components, or ``GLUED`` ones: f_i = c(v) v^2 / 2 - b_i v, scalars = (left, right
    curvature). The loops differ in the chain of operations from one iterate to the next, which
    decides their speed.

    walk : int64 (workers, n)
    """
    workers, n = walk.shape
    for first in range(0, n, local_steps):
        last = first + local_steps
        total = 0.0
        for m in range(workers):
            here, v = base + m * n, x
            if kind == DIAGONAL and minibatch:
                for j in range(first, last):
                    i = here + walk[m, j]
                    total += matrices[i, 0, 0] * x - vectors[i, 0]
            elif kind == DIAGONAL:
                for j in range(first, last):
                    i = here + walk[m, j]
                    v = (1.0 - eta * matrices[i, 0, 0]) * v + eta * vectors[i, 0]
            elif minibatch:
                for j in range(first, last):
                    total -= vectors[here + walk[m, j], 0]
                total += local_steps * ((scalars[1] if x > 0.0 else scalars[0]) * x)
            else:
                a, b = 1.0 - eta * scalars[0], 1.0 - eta * scalars[1]
                for j in range(first, last):
                    v = (b if v > 0.0 else a) * v + eta * vectors[here + walk[m, j], 0]
            if not minibatch:
                total += v
        x = x - eta / workers * total if minibatch else total / workers
    return x


@njit(nogil=True)
def _walk(kind, matrices, vectors, scalars, base, order, eta, x, scratch):
    """Step along the gradients of the components base + order, one after the other."""
    if kind == DIAGONAL:
        for i in order:
            _diagonal(x, x, base + i, eta, matrices[:, 0], vectors)
    elif kind == DENSE:
        for i in order:
            _dense(x, x, base + i, eta, matrices, vectors, scratch)
    else:
        for i in order:
            _logistic(x, x, base + i, eta, vectors, scalars)


@njit(nogil=True)
def _add_gradients(kind, matrices, vectors, scalars, base, order, at, total, scratch):
    """Add the gradients at one point of the components base + order to ``total``."""
    if kind == DIAGONAL:
        for i in order:
            _diagonal(at, total, base + i, -1.0, matrices[:, 0], vectors)
    elif kind == DENSE:
        for i in order:
            _dense(at, total, base + i, -1.0, matrices, vectors, scratch)
    else:
        for i in order:
            _logistic(at, total, base + i, -1.0, vectors, scalars)


@njit(nogil=True)
def run_components(
    kind,
    matrices,
    vectors,
    scalars,
    workers,
    arrangements,
    local_steps,
    minibatch,
    steps,
    source,
    reverse,
    replacement,
    shared,
    given,
    seed,
    point,
    run_ids,
    x0,
    record,
    out,
):
    """Run SGD over listed components, one run after the other.

    Parameters
    ----------
    kind : int
        ``DIAGONAL``, ``DENSE``, ``LOGISTIC`` or ``GLUED``; says how the next three are read.
    matrices : float64 (all, d, d), (all, 1, d) or (0, 1, 1)
        All = arrangements * workers * n components.
    vectors : float64 (all, d)
    scalars : float64 (all + 1,), (2,) or (0,)
    workers, arrangements : int
        Run r uses the r-th arrangement, modulo their number; its workers hold consecutive blocks.
    local_steps, minibatch, steps, source, reverse, replacement, shared, given, seed, point, run_ids
        As for `run_lanes`.
    x0 : float64 (r, d)
    record : int64 (m,)
    out : float64 (m, r, d)
        Written in place.
    """
    n = len(vectors) // (workers * arrangements)
    d = vectors.shape[1]
    at, total, scratch = np.empty(d), np.empty(d), np.empty(d)
    for r in range(len(run_ids)):
        run = run_ids[r]
        base = run % arrangements * workers * n
        states, order, pi, rows = _open_run(seed, point, run, workers, n, shared)
        x = x0[r].copy()
        kept = 0
        for k in range(len(steps)):
            if source[k] == DRAW:
                _draw_rows(states, order, pi, replacement, shared, rows)
            elif source[k] == GIVEN:
                rows[:] = given[run % given.shape[0], min(k, given.shape[1] - 1)]
            walk = rows[:, ::-1] if reverse[k] else rows[:, ::1]
            eta = steps[k]
            if kind == GLUED or (kind == DIAGONAL and d == 1):
                x[0] = _scalar_epoch(
                    kind,
                    matrices,
                    vectors,
                    scalars,
                    base,
                    walk,
                    local_steps,
                    minibatch,
                    eta,
                    x[0],
                )
            else:
                for first in range(0, n, local_steps):
                    last = first + local_steps
                    total[:] = 0.0
                    at[:] = x
                    for m in range(workers):
                        form = (kind, matrices, vectors, scalars, base + m * n, walk[m, first:last])
                        if minibatch:
                            _add_gradients(*form, at, total, scratch)
                        else:
                            x[:] = at
                            _walk(*form, eta, x, scratch)
                            for c in range(d):
                                total[c] += x[c]
                    for c in range(d):
                        if minibatch:
                            x[c] = at[c] - eta / workers * total[c]
                        else:
                            x[c] = total[c] / workers
            if kept < len(record) and record[kept] == k + 1:
                out[kept, r] = x
                kept += 1


@njit()
def open_runs(seed, point, run_ids, workers, n):
    """Streams and listed orders of many runs, for loops outside this module.

    Returns
    -------
    states : uint64 (runs, 2, workers + 1)
    orders : int64 (runs, workers, n)
    pis : int64 (runs, workers)
    """
    runs = len(run_ids)
    states = np.empty((runs, 2, workers + 1), dtype=np.uint64)
    orders = np.empty((runs, workers, n), dtype=np.int64)
    pis = np.empty((runs, workers), dtype=np.int64)
    for r in range(runs):
        states[r], orders[r], pis[r], _ = _open_run(seed, point, run_ids[r], workers, n, False)
    return states, orders, pis


@njit(nogil=True)
def redraw_orders(states, orders, pis, replacement, shared, rows):
    """Draw every run's next orders in place (see `open_runs`).

    rows : int64 (runs, workers, n)
        What is walked; ``orders`` itself unless the order is shared.
    """
    for r in range(len(orders)):
        _draw_rows(states[r], orders[r], pis[r], replacement, shared, rows[r])


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
