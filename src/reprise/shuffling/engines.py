"""Which loop runs a problem: lanes, listed components, matrix products, or numpy steps.

An engine runs one batch: up to 64 runs with one step schedule. Two are compiled (see `kernels`);
the other two, for mean estimation and for a reader's own problem, are here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reprise.shuffling import kernels
from reprise.shuffling.closed_forms import epoch_weights
from reprise.shuffling.kernels import Rounds, Schedule, Stream
from reprise.shuffling.problems import (
    FederatedSum,
    FiniteSum,
    GluedSum,
    LabelLogistic,
    LogisticSum,
    MeanEstimation,
    QuadraticSum,
    RippledSum,
    TwoKinds,
)

Array = NDArray[np.float64]
Engine = Callable[[Array, Stream, Array, NDArray[np.int64]], Array]

WIDE = 32  # dimensions from which on mean estimation gathers weights over epochs

_RECURRENCES = {
    "glued": kernels.KINKED,
    "sigmoid": kernels.SIGMOID,
    "rippled": kernels.RIPPLED,
}


def engine(problem: FiniteSum | FederatedSum, plan: Schedule, rounds: Rounds) -> Engine:
    """Choose the loop that runs a problem, its arrays made ready once.

    Parameters
    ----------
    problem : FiniteSum or FederatedSum
    plan : Schedule
    rounds : Rounds

    Returns
    -------
    callable
        ``(steps, stream, x0, record) -> iterates``: float64 (epochs,), the stream of r runs,
        float64 (r, d), int64 (m,) -> float64 (m, r, d).
    """
    own = _is_overridden(problem)
    pair = None if own else _two_kinds(problem, plan)
    lanes = None if pair is None else _lanes(problem, pair)
    parts = None if own or pair or _in_numpy(problem) else _components(problem)

    def simulate(steps: Array, stream: Stream, x0: Array, record: NDArray[np.int64]) -> Array:
        out = np.empty((len(record), *x0.shape))
        if lanes is not None:
            flat = out[:, :, 0].copy()
            start = x0[:, 0].copy()
            kernels.run_lanes(*lanes, rounds, plan, steps, stream, start, record, flat)
            out[:, :, 0] = flat
        elif parts is not None:
            kernels.run_components(parts, rounds, plan, steps, stream, x0, record, out)
        elif isinstance(problem, MeanEstimation) and not own:
            run_mean_estimation(problem, plan, steps, stream, x0, record, out)
        else:
            _run_any(problem, plan, rounds, steps, stream, x0, record, out)
        return out

    return simulate


# --- what the compiled loops read -----------------------------------------------------------------


def _workers(problem: FiniteSum | FederatedSum) -> int:
    """M: 1 for a sum that is not dealt out."""
    return getattr(problem, "workers", 1)


def _is_overridden(problem: FiniteSum | FederatedSum) -> bool:
    """True where a subclass has a gradient of its own: no compiled loop would read it."""
    base = getattr(problem, "problem", problem)
    kinds = (GluedSum, RippledSum, LabelLogistic, LogisticSum, MeanEstimation, QuadraticSum)
    known = [kind for kind in kinds if isinstance(base, kind)]
    return any(type(base).gradient is not kind.gradient for kind in known)


def _two_kinds(problem: FiniteSum | FederatedSum, plan: Schedule) -> TwoKinds | None:
    """The two-kind form, where the lanes can run it."""
    pair: TwoKinds | None = problem.two_kinds() if hasattr(problem, "two_kinds") else None
    if pair is None:
        return None
    rows = pair.kinds.reshape(_workers(problem), -1)
    if plan.shared and (rows != rows[0]).any():
        return None  # a shared order of indices is then not a shared order of kinds
    return pair


def _lanes(
    problem: FiniteSum | FederatedSum, pair: TwoKinds
) -> tuple[kernels.Curve, kernels.Kinds]:
    """The two-kind form as ``kernels.run_lanes`` reads it."""
    recurrence = _RECURRENCES[pair.curve]
    if recurrence == kernels.KINKED and pair.width > 0:
        recurrence = kernels.SMOOTHED
    drift = getattr(problem, "drift", np.zeros((1, 1)))[:, 0]
    return (
        kernels.Curve(recurrence, pair.left, pair.right, pair.offset, pair.width),
        kernels.Kinds(pair.kinds.reshape(_workers(problem), -1), drift),
    )


def _in_numpy(problem: FiniteSum | FederatedSum) -> bool:
    """True for sums that ``kernels.run_components`` cannot read."""
    base = getattr(problem, "problem", problem)
    if isinstance(base, LogisticSum):
        return bool(np.any(getattr(problem, "drift", 0.0)))
    if isinstance(base, MeanEstimation):
        return base is problem  # alone it has a faster form
    if isinstance(base, GluedSum):
        return base.glue_width > 0
    return not isinstance(base, QuadraticSum)


def _components(problem: FiniteSum | FederatedSum) -> kernels.Components:
    """The arrays that ``kernels.run_components`` reads; drifts go into the linear terms."""
    base, drift = getattr(problem, "problem", problem), 0.0
    if isinstance(problem, FederatedSum):
        drift = np.tile(np.repeat(problem.drift, problem.n, axis=0), (problem.arrangements, 1))
    dealt = (_workers(problem), getattr(problem, "arrangements", 1))
    matrices, scalars = np.empty((0, 1, 1)), np.empty(0)
    if isinstance(base, LogisticSum):
        kind, vectors = kernels.LOGISTIC, base.features
        scalars = np.append(base.labels, base.l2)
    elif isinstance(base, GluedSum):
        kind, vectors = kernels.GLUED, -base.offsets[:, None] - drift
        scalars = np.array([base.curvature_left, base.curvature_right])
    elif isinstance(base, MeanEstimation):
        kind, vectors = kernels.DIAGONAL, base.points - drift
        matrices = np.ones((base.n, 1, base.dim))
    else:
        diagonal = base.A.ndim == 2
        kind, vectors = kernels.DIAGONAL if diagonal else kernels.DENSE, base.b - drift
        matrices = base.A[:, None, :] if diagonal else base.A
    return kernels.Components(kind, matrices, vectors, scalars, *dealt)


# --- loops in numpy -------------------------------------------------------------------------------


class _Walks:
    """What every worker of every run of a batch walks, epoch by epoch.

    Attributes
    ----------
    rows : ndarray of int64, shape (r, workers, n)
        The current epoch's orders, before any reversal.
    """

    def __init__(self, plan: Schedule, stream: Stream, workers: int, n: int) -> None:
        self._plan, self._runs = plan, stream.runs
        self._drawn = kernels.open_runs(stream, workers, n)  # streams, orders and pi of each run
        orders = self._drawn[1]
        self.rows = orders.copy() if plan.shared else orders

    def enter(self, k: int) -> None:
        """Turn ``rows`` into the orders of epoch k."""
        kernels.enter_epochs(self._plan, k, self._runs, *self._drawn, self.rows)


def run_mean_estimation(
    problem: MeanEstimation,
    plan: Schedule,
    steps: Array,
    stream: Stream,
    x0: Array,
    record: NDArray[np.int64],
    out: Array,
) -> None:
    """All Hessians are equal: an epoch of all runs is one matrix product, and so are several.

    An epoch and its reversal (a *block* of two) make one product. A block that repeats the one
    before repeats its product. Otherwise, in ``WIDE`` dimensions or more, weights are gathered over
    the blocks, decayed epoch by epoch, and multiplied once, before the next recorded epoch.
    """
    n, epochs = problem.n, len(steps)
    walks = _Walks(plan, stream, 1, n)
    orders = walks.rows[:, 0]
    weights = np.empty(orders.shape)
    kept = {int(k): place for place, k in enumerate(record)}
    etas, source, reverse = list(steps), plan.source.tolist(), plan.reverse.tolist()
    x = x0.copy()
    push, factor, layout = x, 1.0, None
    begun, gathered = False, 1.0  # whether weights wait for their product, and their decay
    k = 0
    while k < epochs:
        turns = k + 1 < epochs and source[k + 1] == kernels.KEEP and reverse[k + 1] != reverse[k]
        end = k + 2 if turns and k + 1 not in kept else k + 1
        block = tuple(zip(reverse[k:end], etas[k:end], strict=True))
        postponed = False
        if source[k] != kernels.KEEP or block != layout:
            layout = None if begun else block
            for epoch in range(k, end):
                walks.enter(epoch)
                w, rho = epoch_weights(n, etas[epoch]), (1 - etas[epoch]) ** n
                decay = rho if begun else 0.0
                kernels.scatter_weights(orders, w, reverse[epoch], decay, weights)
                begun, gathered = True, gathered * rho
            follows = end < epochs and source[end] != kernels.KEEP
            postponed = problem.dim >= WIDE and follows and end not in kept
            if not postponed:
                push, factor = weights @ problem.points, gathered
        if not postponed:
            x *= factor
            x += push
            begun, gathered = False, 1.0
        if end in kept:
            out[kept[end]] = x
        k = end


def _run_any(
    problem: FiniteSum | FederatedSum,
    plan: Schedule,
    rounds: Rounds,
    steps: Array,
    stream: Stream,
    x0: Array,
    record: NDArray[np.int64],
    out: Array,
) -> None:
    """A problem of the reader's own: numpy steps over its gradient, all runs side by side."""
    runs, workers, n = stream.runs, _workers(problem), problem.n
    base, drift = problem, 0.0
    blocks = np.zeros((len(runs), 1), dtype=np.int64)  # where each worker's components begin
    if isinstance(problem, FederatedSum):
        base, drift = problem.problem, problem.drift
        first = (runs % problem.arrangements)[:, None] * workers
        blocks = (first + np.arange(workers)) * n
    walks = _Walks(plan, stream, workers, n)
    x = x0.copy()
    for k, eta in enumerate(steps):
        walks.enter(k)
        walk = walks.rows[:, :, ::-1] if plan.reverse[k] else walks.rows
        for first in range(0, n, rounds.local_steps):
            part = walk[:, :, first : first + rounds.local_steps]
            y = np.repeat(x[:, None], workers, axis=1)  # (r, M, d)
            at = y.copy()
            for j in range(part.shape[-1]):
                point = at if rounds.minibatch else y
                y = y - eta * (base.gradient(blocks + part[:, :, j], point) + drift)
            x = y.mean(axis=1) if workers > 1 else y[:, 0]
        if k + 1 in record:
            out[np.searchsorted(record, k + 1)] = x
