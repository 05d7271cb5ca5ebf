"""Compiled loops of the shuffling part: random streams, orders and recurrences.

Two engines share one seeding rule, *each (seed, point, run) has a stream of its own*, so that no
result depends on the number of threads or on how runs are split into batches.

``run_lanes`` is for one-dimensional sums whose components come in two kinds, ``+`` and ``-``. Only
the sequence of kinds matters, so an epoch's order is n bits. They are drawn by sequential sampling
(``+`` with probability remaining ``+`` over remaining), 64 runs at a time in lanes that the
compiler turns into vector instructions, and kept, so that a later epoch can repeat or reverse them.

``run_components`` is for all other sums: Fisher-Yates permutations and a loop over components.

Streams are xoroshiro128+ (Blackman, Vigna 2018); 32 random bits decide a sign or bound a draw, a
bias below n / 2^32.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LANES = 64
KEEP, DRAW, GIVEN = 0, 1, 2
KINKED, SMOOTHED, SIGMOID = 0, 1, 2
DIAGONAL, DENSE, LOGISTIC = 0, 1, 2

_U0, _U1, _U6, _U32, _U63 = (np.uint64(v) for v in (0, 1, 6, 32, 63))
_LOW32 = np.uint64(0xFFFFFFFF)


@njit(cache=True, inline="always")
def _mix(z):
    """The splitmix64 finaliser: a bijection of 64-bit words that scatters neighbours."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, inline="always")
def _stream(seed, point, run):
    """Initial xoroshiro128+ state of the stream (seed, point, run)."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    key = _mix(_mix(_mix(seed + golden) + point * golden + _U1) + np.uint64(run) * golden + _U1)
    return _mix(key + golden), _mix(key + golden + golden) | _U1


@njit(cache=True, inline="always")
def _next(s0, s1):
    """One step of xoroshiro128+: the output and the next state."""
    out = s0 + s1
    s1 ^= s0
    s0 = ((s0 << np.uint64(24)) | (s0 >> np.uint64(40))) ^ s1 ^ (s1 << np.uint64(16))
    s1 = (s1 << np.uint64(37)) | (s1 >> np.uint64(27))
    return out, s0, s1


# --- two kinds of components: bits in lanes -------------------------------------------------------


@njit(cache=True, nogil=True)
def _draw_kinds(state0, state1, n, plus, replacement, bits):
    """Draw an epoch's kinds for all lanes: bit j of lane l is set if step j meets a ``+``.

    A step is ``+`` if ``u * remaining < left * 2^32`` for 32 random bits u; one 64-bit output
    serves two steps.

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


@njit(cache=True, nogil=True)
def _kinked_epoch(x, bits, n, backward, eta, left, right, offset):
    """One epoch of ``x -= eta * ((right if x > 0 else left) * x + offset)`` in every lane.

    left, right, offset : float64 (2,), indexed by the component's kind.
    """
    a0, a1 = 1.0 - eta * left[0], 1.0 - eta * left[1]
    b0, b1 = 1.0 - eta * right[0], 1.0 - eta * right[1]
    o0, o1 = eta * offset[0], eta * offset[1]
    # common slopes, right the steeper: its product is the smaller where x > 0, and only there
    common = a0 == a1 and b0 == b1
    for i in range(n):
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


@njit(cache=True, nogil=True)
def _smoothed_epoch(x, bits, n, backward, eta, left, right, offset, width):
    """As `_kinked_epoch`, with a second derivative that rises linearly over [-width, width]."""
    curvature_left, curvature_right = left[1], right[1]
    middle = 0.5 * (curvature_left + curvature_right)
    bend = 0.25 * (curvature_right - curvature_left) / width
    o0, o1 = offset[0], offset[1]
    for i in range(n):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        for lane in range(LANES):
            v = x[lane]
            plus = (bits[word, lane] & bit) != _U0
            core = min(max(v, -width), width)
            outer = curvature_right if v > 0.0 else curvature_left
            slope = (middle + bend * core) * core + outer * (v - core)
            x[lane] = v - eta * (slope + (o1 if plus else o0))


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


@njit(cache=True, inline="always")
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


@njit(cache=True)
def exp_in_place(values):
    """Replace every entry (float64) by `_exp` of it; what the tests compare with ``math.exp``."""
    for i in range(len(values)):
        values[i] = _exp(values[i])


@njit(cache=True, nogil=True, error_model="numpy")  # a check for zero would break the vectors
def _sigmoid_epoch(x, bits, n, backward, eta, offset):
    """One epoch of ``x -= eta * (sigmoid(x) + offset)`` in every lane."""
    o0, o1 = eta * offset[0], eta * offset[1]
    for i in range(n):
        j = n - 1 - i if backward else i
        word = j >> 6
        bit = _U1 << (np.uint64(j) & _U63)
        for lane in range(LANES):
            v = x[lane]
            push = o1 if (bits[word, lane] & bit) != _U0 else o0
            x[lane] = v - (eta / (1.0 + _exp(-v)) + push)


@njit(cache=True, nogil=True)
def run_lanes(
    recurrence,
    left,
    right,
    offset,
    width,
    kinds,
    steps,
    source,
    reverse,
    replacement,
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
        ``KINKED``, ``SMOOTHED`` or ``SIGMOID``.
    left, right, offset : float64 (2,)
        Slopes on either side of 0 (unused by ``SIGMOID``) and offset of the gradient, by kind.
    width : float
        Half width of the smoothed kink.
    kinds : bool (n,)
        True where the component is of kind ``+``.
    steps : float64 (epochs,)
    source, reverse, replacement, given
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
    n, epochs, r = len(kinds), len(steps), len(run_ids)
    plus = 0
    for i in range(n):
        plus += kinds[i]
    x = np.zeros(LANES)
    state0 = np.empty(LANES, dtype=np.uint64)
    state1 = np.empty(LANES, dtype=np.uint64)
    bits = np.zeros(((n + 63) >> 6, LANES), dtype=np.uint64)
    for lane in range(LANES):
        run = run_ids[min(lane, r - 1)]  # lanes beyond the last run repeat it and are dropped
        state0[lane], state1[lane] = _stream(seed, point, run)
        x[lane] = x0[min(lane, r - 1)]
    kept = 0
    for k in range(epochs):
        if source[k] == DRAW:
            _draw_kinds(state0, state1, n, plus, replacement, bits)
        elif source[k] == GIVEN:
            bits[:] = _U0
            epoch = min(k, given.shape[1] - 1)
            for lane in range(LANES):
                run = run_ids[min(lane, r - 1)] % given.shape[0]
                for j in range(n):
                    if kinds[given[run, epoch, j]]:
                        bits[j >> 6, lane] |= _U1 << (np.uint64(j) & _U63)
        if recurrence == KINKED:
            _kinked_epoch(x, bits, n, reverse[k], steps[k], left, right, offset)
        elif recurrence == SIGMOID:
            _sigmoid_epoch(x, bits, n, reverse[k], steps[k], offset)
        else:
            _smoothed_epoch(x, bits, n, reverse[k], steps[k], left, right, offset, width)
        if kept < len(record) and record[kept] == k + 1:
            out[kept] = x[:r]
            kept += 1


# --- any components: permutations of indices ------------------------------------------------------


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def write_orders(source, reverse, replacement, given, seed, point, out):
    """Write the indices that each run visits into ``out`` (int64 (runs, epochs, n))."""
    runs, epochs, n = out.shape
    order = np.empty(n, dtype=np.int64)
    for run in range(runs):
        s0, s1 = _stream(seed, point, run)
        order[:] = np.arange(n)
        for k in range(epochs):
            if source[k] == DRAW:
                s0, s1 = _draw_order(s0, s1, order, replacement)
            elif source[k] == GIVEN:
                order[:] = given[run % given.shape[0], min(k, given.shape[1] - 1)]
            out[run, k] = order[::-1] if reverse[k] else order


@njit(cache=True, nogil=True)
def _diagonal_epoch(x, order, eta, curvatures, vectors):
    """f_i = sum_c curvatures[i, c] x_c^2 / 2 - vectors[i] . x, in the given order."""
    if len(x) == 1:  # a scalar in a register, and the shortest chain of operations from v to v
        v = x[0]
        for i in order:
            v = (1.0 - eta * curvatures[i, 0]) * v + eta * vectors[i, 0]
        x[0] = v
        return
    for i in order:
        for c in range(len(x)):
            x[c] -= eta * (curvatures[i, c] * x[c] - vectors[i, c])


@njit(cache=True, nogil=True)
def _dense_epoch(x, order, eta, matrices, vectors):
    """f_i = x' A_i x / 2 - b_i . x, in the given order."""
    d = len(x)
    gradient = np.empty(d)
    for i in order:
        for c in range(d):
            total = -vectors[i, c]
            for e in range(d):
                total += matrices[i, c, e] * x[e]
            gradient[c] = total
        for c in range(d):
            x[c] -= eta * gradient[c]


@njit(cache=True, nogil=True)
def _logistic_epoch(x, order, eta, features, scalars):
    """f_i = log(1 + exp(-y_i a_i . x)) + l2 |x|^2 / 2, scalars = (y_1, ..., y_n, l2)."""
    d = len(x)
    for i in order:
        margin = 0.0
        for c in range(d):
            margin += features[i, c] * x[c]
        weight = -scalars[i] / (1.0 + np.exp(scalars[i] * margin))
        for c in range(d):
            x[c] -= eta * (weight * features[i, c] + scalars[-1] * x[c])


@njit(cache=True, nogil=True)
def run_components(
    kind,
    matrices,
    vectors,
    scalars,
    steps,
    source,
    reverse,
    replacement,
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
        ``DIAGONAL``, ``DENSE`` or ``LOGISTIC``; says how the next three are read.
    matrices : float64 (n, d, d), (n, 1, d) or (0, 1, 1)
    vectors : float64 (n, d)
    scalars : float64 (n + 1,) or (0,)
    steps, source, reverse, replacement, given, seed, point, run_ids, record
        As for `run_lanes`.
    x0 : float64 (r, d)
    out : float64 (m, r, d)
        Written in place.
    """
    n = len(vectors)
    order = np.empty(n, dtype=np.int64)
    for r in range(len(run_ids)):
        s0, s1 = _stream(seed, point, run_ids[r])
        order[:] = np.arange(n)
        x = x0[r].copy()
        kept = 0
        for k in range(len(steps)):
            if source[k] == DRAW:
                s0, s1 = _draw_order(s0, s1, order, replacement)
            elif source[k] == GIVEN:
                order[:] = given[run_ids[r] % given.shape[0], min(k, given.shape[1] - 1)]
            walk = order[::-1] if reverse[k] else order[::1]
            if kind == DIAGONAL:
                _diagonal_epoch(x, walk, steps[k], matrices[:, 0], vectors)
            elif kind == DENSE:
                _dense_epoch(x, walk, steps[k], matrices, vectors)
            else:
                _logistic_epoch(x, walk, steps[k], vectors, scalars)
            if kept < len(record) and record[kept] == k + 1:
                out[kept, r] = x
                kept += 1


@njit(cache=True, nogil=True)
def redraw_orders(states, orders, replacement):
    """Draw every run's next order in place.

    Parameters
    ----------
    states : uint64 (2, runs)
        Streams, advanced in place.
    orders : int64 (runs, n)
    replacement : bool
    """
    for r in range(len(orders)):
        states[0, r], states[1, r] = _draw_order(states[0, r], states[1, r], orders[r], replacement)


@njit(cache=True, nogil=True)
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


@njit(cache=True)
def open_streams(seed, point, run_ids):
    """Initial states (uint64 (2, runs)) of the streams of ``run_ids``."""
    states = np.empty((2, len(run_ids)), dtype=np.uint64)
    for r in range(len(run_ids)):
        states[0, r], states[1, r] = _stream(seed, point, run_ids[r])
    return states
