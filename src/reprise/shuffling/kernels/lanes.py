"""Sums of two kinds of components: an epoch's order as bits, 64 runs side by side.

Only the sequence of kinds, ``+`` and ``-``, matters, so an epoch's order is n bits. They are drawn
by sequential sampling (``+`` with probability remaining ``+`` over remaining), in 64 lanes that the
compiler turns into vector instructions, and kept, so that a later epoch can repeat or reverse them.
A lane is a run; several workers are rows of lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reprise.runtime import njit
from reprise.shuffling.kernels import curves
from reprise.shuffling.kernels.arguments import DRAW, GIVEN, KINKED, RIPPLED, SIGMOID
from reprise.shuffling.kernels.streams import draw_order, following, stream

LANES = 64

_U0, _U1, _U32, _U63, _U64 = (np.uint64(v) for v in (0, 1, 32, 63, 64))
_LOW32 = np.uint64(0xFFFFFFFF)


class Stretch(NamedTuple):
    """Steps first..last-1 of an epoch of n, which is walked backward or not."""

    first: int
    last: int
    n: int
    backward: bool


@njit(nogil=True)
def run_lanes(curve, kinds, rounds, plan, steps, numbers, x0, record, out):
    """Run up to LANES independent runs of a two-kind sum side by side.

    Parameters
    ----------
    curve : Curve
    kinds : Kinds
    rounds : Rounds
    plan : Schedule
    steps : float64 (epochs,)
        Step of a single component.
    numbers : Stream
        Of r <= LANES runs.
    x0 : float64 (r,)
    record : int64 (m,)
        Increasing epochs after which to keep x.
    out : float64 (m, r)
        Written in place.
    """
    workers, n = kinds.plus.shape
    runs = len(numbers.runs)
    x = np.zeros((workers, LANES))
    state0 = np.empty((workers + 1, LANES), dtype=np.uint64)  # the last row's draws pi
    state1 = np.empty((workers + 1, LANES), dtype=np.uint64)
    plus = np.zeros(workers, dtype=np.int64)
    bits = np.zeros((workers, (n + 63) >> 6, LANES), dtype=np.uint64)
    pi = np.empty((LANES, workers), dtype=np.int64)
    count = np.empty(LANES, dtype=np.uint64)
    for m in range(workers):
        for i in range(n):
            plus[m] += kinds.plus[m, i]
    for lane in range(LANES):
        slot = min(lane, runs - 1)  # lanes beyond the last run repeat it and are dropped
        run = numbers.runs[slot]
        for m in range(workers + 1):
            state0[m, lane], state1[m, lane] = stream(numbers.seed, numbers.point, run, m)
        pi[lane] = np.arange(workers)
        x[:, lane] = x0[slot]
    kept = 0
    for k in range(len(steps)):
        if plan.source[k] == DRAW:
            for m in range(1 if plan.shared else workers):
                _draw_kinds(state0[m], state1[m], n, plus[m], plan.replacement, bits[m])
            if plan.shared:
                for lane in range(LANES):
                    s0, s1 = state0[workers, lane], state1[workers, lane]
                    s0, s1 = draw_order(s0, s1, pi[lane], False)
                    state0[workers, lane], state1[workers, lane] = s0, s1
                _synchronize(bits, n, pi)
        elif plan.source[k] == GIVEN:
            _read_given(plan.given, k, kinds.plus, numbers.runs, bits)
        for first in range(0, n, rounds.local_steps):
            part = Stretch(first, first + rounds.local_steps, n, plan.reverse[k])
            if rounds.minibatch:
                eta = steps[k] * rounds.local_steps
                _minibatch_step(x[0], bits, part, eta, curve, kinds.drift.mean(), count)
                continue
            for m in range(workers):
                if curve.recurrence == KINKED:
                    _kinked_steps(x[m], bits[m], part, steps[k], curve, kinds.drift[m])
                elif curve.recurrence == SIGMOID:
                    _sigmoid_steps(x[m], bits[m], part, steps[k], curve, kinds.drift[m])
                elif curve.recurrence == RIPPLED:
                    _rippled_steps(x[m], bits[m], part, steps[k], curve, kinds.drift[m])
                else:
                    _smoothed_steps(x[m], bits[m], part, steps[k], curve, kinds.drift[m])
            if workers > 1:
                _average(x)
        if kept < len(record) and record[kept] == k + 1:
            out[kept] = x[0, :runs]
            kept += 1


# --- an epoch's order -----------------------------------------------------------------------------


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
            out, state0[lane], state1[lane] = following(state0[lane], state1[lane])
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
def _read_given(given, k, plus, runs, bits):
    """The kinds that epoch k of the given orders meets.

    plus : bool (workers, n)
    bits : uint64 (workers, words, LANES), written in place
    """
    workers, n = plus.shape
    bits[:] = _U0
    epoch = min(k, given.shape[1] - 1)
    for lane in range(LANES):
        run = runs[min(lane, len(runs) - 1)] % given.shape[0]
        for m in range(workers):
            row = given[run, epoch, min(m, given.shape[2] - 1)]
            for j in range(n):
                if plus[m, row[j]]:
                    bits[m, j >> 6, lane] |= _U1 << (np.uint64(j) & _U63)


# --- steps and rounds -----------------------------------------------------------------------------


@njit(nogil=True)
def _where(part, i):
    """Step i of a stretch: the word of its bit, and the bit in it."""
    j = part.n - 1 - i if part.backward else i
    return j >> 6, np.uint64(j) & _U63


@njit(nogil=True)
def _kinked_steps(x, bits, part, eta, curve, pull):
    """Steps of ``x -= eta * ((right if x > 0 else left) * x + offset)`` in every lane.

    x : float64 (LANES,)
    bits : uint64 (words, LANES)
    pull : float, a second push, the same in every step
    """
    a0, a1 = 1.0 - eta * curve.left[0], 1.0 - eta * curve.left[1]
    b0, b1 = 1.0 - eta * curve.right[0], 1.0 - eta * curve.right[1]
    # common slopes, right the steeper: its product is the smaller where x > 0, and only there
    common = a0 == a1 and b0 == b1
    o0, o1 = eta * (curve.offset[0] + pull), eta * (curve.offset[1] + pull)
    for i in range(part.first, part.last):
        word, shift = _where(part, i)
        bit = _U1 << shift
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


def _steps_along(move: Callable) -> Callable:
    """The steps of another curve (see `curves`), with the arguments of `_kinked_steps`."""

    @njit(nogil=True, error_model="numpy")  # a check for zero would break the vectors
    def steps(x, bits, part, eta, curve, pull):
        o0, o1 = eta * (curve.offset[0] + pull), eta * (curve.offset[1] + pull)
        for i in range(part.first, part.last):
            word, shift = _where(part, i)
            bit = _U1 << shift
            for lane in range(LANES):
                v = x[lane]
                push = o1 if (bits[word, lane] & bit) != _U0 else o0
                x[lane] = v - (move(v, eta, curve) + push)

    return steps


_smoothed_steps = _steps_along(curves.smoothed)
_sigmoid_steps = _steps_along(curves.sigmoid)
_rippled_steps = _steps_along(curves.rippled)


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


@njit(nogil=True, error_model="numpy")
def _minibatch_step(x, bits, part, eta, curve, pull, count):
    """One step in every lane along the mean gradient of all workers' steps of a stretch.

    All gradients are taken at one point, so only the number of ``+`` among them matters.

    x : float64 (LANES,)
    bits : uint64 (workers, words, LANES)
    pull : float, the workers' mean
    count : uint64 (LANES,), scratch
    """
    workers = len(bits)
    count[:] = _U0
    for m in range(workers):
        for i in range(part.first, part.last):
            word, shift = _where(part, i)
            for lane in range(LANES):
                count[lane] += (bits[m, word, lane] >> shift) & _U1
    size = float(workers * (part.last - part.first))
    # one loop a curve: a choice within the loop would keep it from becoming vector instructions
    if curve.recurrence == KINKED:
        for lane in range(LANES):
            plus = np.float64(np.int64(count[lane])) / size
            minus = 1.0 - plus
            left = minus * curve.left[0] + plus * curve.left[1]
            right = minus * curve.right[0] + plus * curve.right[1]
            push = eta * (minus * curve.offset[0] + plus * curve.offset[1] + pull)
            v = x[lane]
            x[lane] = (1.0 - eta * (right if v > 0.0 else left)) * v - push
    else:
        for lane in range(LANES):
            plus = np.float64(np.int64(count[lane])) / size
            push = eta * ((1.0 - plus) * curve.offset[0] + plus * curve.offset[1] + pull)
            v = x[lane]
            if curve.recurrence == SIGMOID:
                x[lane] = v - (curves.sigmoid(v, eta, curve) + push)
            elif curve.recurrence == RIPPLED:
                x[lane] = v - (curves.rippled(v, eta, curve) + push)
            else:
                x[lane] = v - (curves.smoothed(v, eta, curve) + push)
