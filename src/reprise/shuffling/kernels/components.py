"""Any listed components: permutations of indices and a loop over them, one run after the other."""

from __future__ import annotations

import numpy as np

from reprise.runtime import njit
from reprise.shuffling.kernels.arguments import DENSE, DIAGONAL, GLUED
from reprise.shuffling.kernels.streams import enter_epoch, open_run


@njit(nogil=True)
def run_components(parts, rounds, plan, steps, numbers, x0, record, out):
    """Run SGD over listed components.

    Parameters
    ----------
    parts : Components
    rounds, plan, steps, numbers
        As for `run_lanes`, of r runs.
    x0 : float64 (r, d)
    record : int64 (m,)
    out : float64 (m, r, d)
        Written in place.
    """
    n = len(parts.vectors) // (parts.workers * parts.arrangements)
    d = parts.vectors.shape[1]
    at, total, scratch = np.empty(d), np.empty(d), np.empty(d)
    for r in range(len(numbers.runs)):
        run = numbers.runs[r]
        base = run % parts.arrangements * parts.workers * n
        states, order, pi, rows = open_run(
            numbers.seed, numbers.point, run, parts.workers, n, plan.shared
        )
        x = x0[r].copy()
        kept = 0
        for k in range(len(steps)):
            enter_epoch(plan, k, run, states, order, pi, rows)
            walk = rows[:, ::-1] if plan.reverse[k] else rows[:, ::1]
            if parts.kind == GLUED or (parts.kind == DIAGONAL and d == 1):
                x[0] = _scalar_epoch(parts, base, walk, rounds, steps[k], x[0])
            else:
                for first in range(0, n, rounds.local_steps):
                    part = walk[:, first : first + rounds.local_steps]
                    _round(parts, base, part, rounds.minibatch, steps[k], x, at, total, scratch)
            if kept < len(record) and record[kept] == k + 1:
                out[kept, r] = x
                kept += 1


@njit(nogil=True)
def _round(parts, base, part, minibatch, eta, x, at, total, scratch):
    """One round of all workers, x (float64 (d,)) in place.

    base : int, where the run's components begin
    part : int64 (workers, local_steps), the indices that each worker visits
    at, total, scratch : float64 (d,)
    """
    workers = len(part)
    n = len(parts.vectors) // (parts.workers * parts.arrangements)
    total[:] = 0.0
    at[:] = x
    for m in range(workers):
        if minibatch:
            _follow(parts, base + m * n, part[m], -1.0, at, total, scratch)
        else:
            x[:] = at
            _follow(parts, base + m * n, part[m], eta, x, x, scratch)
            for c in range(len(x)):
                total[c] += x[c]
    for c in range(len(x)):
        if minibatch:
            x[c] = at[c] - eta / workers * total[c]
        else:
            x[c] = total[c] / workers


@njit(nogil=True)
def _follow(parts, base, order, eta, at, x, scratch):
    """``x -= eta * gradient at ``at``` of the components base + order, one after the other.

    With x as ``at`` these are steps, otherwise a sum of gradients.
    """
    if parts.kind == DIAGONAL:
        for i in order:
            _diagonal(at, x, base + i, eta, parts.matrices[:, 0], parts.vectors)
    elif parts.kind == DENSE:
        for i in order:
            _dense(at, x, base + i, eta, parts.matrices, parts.vectors, scratch)
    else:
        for i in order:
            _logistic(at, x, base + i, eta, parts.vectors, parts.scalars)


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
def _scalar_epoch(parts, base, walk, rounds, eta, x):
    """All rounds of an epoch in one dimension, the iterate in a register; returns its end.

    ``DIAGONAL`` components, or ``GLUED`` ones: f_i = c(v) v^2 / 2 - b_i v, scalars = (left, right
    curvature). The loops differ in the chain of operations from one iterate to the next, which
    decides their speed.

    walk : int64 (workers, n)
    """
    workers, n = walk.shape
    matrices, vectors, scalars = parts.matrices, parts.vectors, parts.scalars
    for first in range(0, n, rounds.local_steps):
        last = first + rounds.local_steps
        total = 0.0
        for m in range(workers):
            here, v = base + m * n, x
            if parts.kind == DIAGONAL and rounds.minibatch:
                for j in range(first, last):
                    i = here + walk[m, j]
                    total += matrices[i, 0, 0] * x - vectors[i, 0]
            elif parts.kind == DIAGONAL:
                for j in range(first, last):
                    i = here + walk[m, j]
                    v = (1.0 - eta * matrices[i, 0, 0]) * v + eta * vectors[i, 0]
            elif rounds.minibatch:
                for j in range(first, last):
                    total -= vectors[here + walk[m, j], 0]
                total += rounds.local_steps * ((scalars[1] if x > 0.0 else scalars[0]) * x)
            else:
                a, b = 1.0 - eta * scalars[0], 1.0 - eta * scalars[1]
                for j in range(first, last):
                    v = (b if v > 0.0 else a) * v + eta * vectors[here + walk[m, j], 0]
            if not rounds.minibatch:
                total += v
        x = x - eta / workers * total if rounds.minibatch else total / workers
    return x
