"""One simulator for the part: SGD over any order, for many runs and many (n, K, step) at once.

``run_sgd`` runs one problem, ``run_grid`` a list of points, ``run_rounds`` one problem that several
workers share. All cut the runs of each point into tasks of 64, hand them to threads, and
give each (point, run, worker) a random stream of its own: results do not depend on the number
of threads. The loops are in `kernels`, the orders in `orders`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import in_parallel
from reprise.shuffling import kernels
from reprise.shuffling.closed_forms import epoch_weights, log_step_size, mean_estimation_error
from reprise.shuffling.orders import (
    ORDER_NAMES,
    SCHEME_NAMES,
    Order,
    OrderName,
    Schedule,
    Scheme,
    SchemeName,
    draw_orders,
    schedule,
)
from reprise.shuffling.problems import (
    Copies,
    FederatedSum,
    FiniteSum,
    GluedSum,
    LabelLogistic,
    LogisticSum,
    MeanEstimation,
    PiecewiseQuadratic,
    QuadraticSum,
    RippledSum,
    TwoKinds,
)

__all__ = [
    "ORDER_NAMES",
    "SCHEME_NAMES",
    "Copies",
    "FederatedSum",
    "FiniteSum",
    "GluedSum",
    "GridPoint",
    "GridResult",
    "LabelLogistic",
    "LogisticSum",
    "MeanEstimation",
    "Order",
    "OrderName",
    "PiecewiseQuadratic",
    "QuadraticSum",
    "RippledSum",
    "SGDResult",
    "Scheme",
    "SchemeName",
    "draw_orders",
    "epoch_weights",
    "log_step_size",
    "mean_estimation_error",
    "run_grid",
    "run_rounds",
    "run_sgd",
]

Array = NDArray[np.float64]

WIDE = 32  # dimensions from which on mean estimation gathers weights over epochs


class Rounds(NamedTuple):
    """How workers meet: every ``local_steps`` steps (0: once an epoch), and for which method."""

    local_steps: int
    minibatch: bool


PLAIN = Rounds(0, False)


class GridPoint(NamedTuple):
    """One point of a grid: components, epochs and the constant step."""

    n: int
    epochs: int
    step_size: float


@dataclass(frozen=True)
class SGDResult:
    """The end of every run, and what was recorded on the way.

    Attributes
    ----------
    problem : FiniteSum
    x : ndarray of float64, shape (runs, d)
        Iterates after the last epoch. A run that diverged beyond float64 holds infinities.
    history : ndarray of float64, shape (len(record), runs, d)
    record : ndarray of int64
        Epochs after which ``history`` was kept.
    diverged : ndarray of bool, shape (runs,)
        True where an iterate is not finite.
    communication_rounds : int
        How often the workers of `run_rounds` met; 0 for a single machine.
    """

    problem: FiniteSum | FederatedSum
    x: Array
    history: Array
    record: NDArray[np.int64]
    diverged: NDArray[np.bool_]
    communication_rounds: int = 0

    def squared_distance(self) -> Array:
        """``|x_K - x*|^2`` of each run: float64 (runs,)."""
        return ((self.x - self.problem.minimizer) ** 2).sum(axis=-1)

    def suboptimality(self) -> Array:
        """``F(x_K) - F(x*)`` of each run: float64 (runs,)."""
        return _gap(self.problem, self.x)

    def interval(
        self,
        level: float = 0.95,
        statistic: Literal["mean", "median"] = "mean",
        method: Literal["bootstrap", "normal"] = "normal",
        *,
        rng: np.random.Generator | None = None,
    ) -> tuple[float, float, float]:
        """Estimate of ``E|x_K - x*|^2`` (or the median) with its interval.

        Parameters
        ----------
        level : float
            Coverage in (0, 1).
        statistic : {"mean", "median"}
        method : {"bootstrap", "normal"}
            The percentile bootstrap, or mean +- z standard errors (means only).
        rng : numpy.random.Generator, optional
            Required for the bootstrap.

        Returns
        -------
        low, mid, high : float

        Raises
        ------
        ValueError
            For an unknown choice, fewer than 2 runs, or a bootstrap without ``rng``.
        """
        from scipy import stats

        if not 0 < level < 1:
            raise ValueError(f"level must lie in (0, 1), got {level}")
        if statistic not in ("mean", "median"):
            raise ValueError(f"statistic must be 'mean' or 'median', got {statistic!r}")
        errors = self.squared_distance()
        if len(errors) < 2:
            raise ValueError(f"runs must be at least 2 for an interval, got {len(errors)}")
        function = np.mean if statistic == "mean" else np.median
        mid = float(function(errors))
        if not np.isfinite(errors).all() and method in ("normal", "bootstrap"):
            return mid, mid, math.inf  # a diverged run leaves no upper bound
        if method == "normal" and statistic == "mean":
            half = stats.norm.ppf(0.5 + level / 2) * errors.std(ddof=1) / math.sqrt(len(errors))
            return mid - half, mid, mid + half
        if method != "bootstrap":
            raise ValueError(f"method must be 'bootstrap', or 'normal' for means, got {method!r}")
        if rng is None:
            raise ValueError("rng must be a numpy.random.Generator for a bootstrap, got None")
        bounds = stats.bootstrap(
            (errors,), function, confidence_level=level, method="percentile", rng=rng, batch=100
        ).confidence_interval
        return float(bounds.low), mid, float(bounds.high)


@dataclass(frozen=True)
class GridResult:
    """The runs of every grid point.

    Attributes
    ----------
    points : tuple of GridPoint
    problems : tuple of FiniteSum
        One a point.
    x : tuple of ndarray of float64, each (runs, d)
        Iterates after the last epoch.
    """

    points: tuple[GridPoint, ...]
    problems: tuple[FiniteSum, ...]
    x: tuple[Array, ...]

    def squared_distance(self) -> Array:
        """``|x_K - x*|^2``: float64 (points, runs)."""
        pairs = zip(self.problems, self.x, strict=True)
        return np.array([((x - p.minimizer) ** 2).sum(axis=-1) for p, x in pairs])

    def suboptimality(self) -> Array:
        """``F(x_K) - F(x*)``: float64 (points, runs)."""
        return np.array([_gap(p, x) for p, x in zip(self.problems, self.x, strict=True)])

    def error(self) -> Array:
        """Mean squared distance of each point: float64 (points,)."""
        return self.squared_distance().mean(axis=1)


def run_sgd(
    problem: FiniteSum,
    order: Order,
    *,
    epochs: int,
    step_size: ArrayLike,
    runs: int,
    x0: ArrayLike | None = None,
    rng: np.random.Generator,
    record: Sequence[int] | None = None,
    threads: int | None = None,
) -> SGDResult:
    """Run SGD ``runs`` times on one problem: ``x <- x - eta grad f_i(x)``, n steps an epoch.

    Parameters
    ----------
    problem : FiniteSum
        One of `problems`, or any object with the same attributes.
    order : str or ndarray of int, shape (epochs, n) or (runs, epochs, n)
        A name from ``ORDER_NAMES`` or permutations of your own.
    epochs : int
        K >= 1; even for FlipFlop.
    step_size : float or array_like
        Positive. A scalar; shape (epochs,), a schedule; shape (runs,), one a run; or anything that
        broadcasts to (runs, epochs).
    runs : int
        Independent runs, at least 1.
    x0 : array_like, optional
        Start, broadcast to (runs, d); zeros by default.
    rng : numpy.random.Generator
        One draw from it seeds all streams.
    record : sequence of int, optional
        Epochs (1 to ``epochs``) after which to keep the iterates.
    threads : int, optional
        Worker threads; all cores by default. Does not change the result.

    Returns
    -------
    SGDResult

    Raises
    ------
    ValueError
        If a parameter is outside its range; the message names it.
    """
    plan = schedule(order, problem.n, epochs=epochs, runs=runs)
    return _run(problem, plan, PLAIN, step_size, runs, x0, rng, record, threads)


def run_rounds(
    problem: FederatedSum,
    order: Scheme,
    *,
    method: Literal["minibatch", "local"],
    local_steps: int,
    epochs: int,
    step_size: ArrayLike,
    runs: int,
    x0: ArrayLike | None = None,
    rng: np.random.Generator,
    record: Sequence[int] | None = None,
    threads: int | None = None,
) -> SGDResult:
    """Run SGD on a sum that several workers share, ``runs`` times.

    Each epoch every worker walks an order of its N components, in rounds of B = ``local_steps``.
    Local SGD: in a round each worker takes B steps alone, then all iterates are averaged. Minibatch
    SGD: one step per round, B times as long, along the mean of the M B gradients at its beginning.

    The orders depend on the generator, ``order``, run, epoch and worker only: two calls that begin
    with equal generators are *paired*, whatever their method, ``local_steps``, step and drift.

    Parameters
    ----------
    problem : FederatedSum
    order : str or ndarray of int
        A name from ``SCHEME_NAMES`` or permutations of your own, shape (epochs, M, N) or
        (runs, epochs, M, N).
    method : {"minibatch", "local"}
    local_steps : int
        B, a divisor of N.
    epochs, step_size, runs, x0, rng, record, threads
        As for `run_sgd`; the step is that of a single component.

    Returns
    -------
    SGDResult

    Raises
    ------
    ValueError
        If a parameter is outside its range; the message names it.
    """
    if method not in ("minibatch", "local"):
        raise ValueError(f"method must be 'minibatch' or 'local', got {method!r}")
    if local_steps < 1 or problem.components % local_steps:
        raise ValueError(
            f"local_steps must divide components, got {local_steps} and {problem.components}"
        )
    plan = schedule(order, problem.components, epochs=epochs, runs=runs, workers=problem.workers)
    rounds = Rounds(int(local_steps), method == "minibatch")
    return _run(problem, plan, rounds, step_size, runs, x0, rng, record, threads)


def _run(
    problem: FiniteSum | FederatedSum,
    plan: Schedule,
    rounds: Rounds,
    step_size: ArrayLike,
    runs: int,
    x0: ArrayLike | None,
    rng: np.random.Generator,
    record: Sequence[int] | None,
    threads: int | None,
) -> SGDResult:
    """What `run_sgd` and `run_rounds` share: checks, tasks, threads and the result."""
    epochs = plan.epochs
    steps = _step_sizes(step_size, runs, epochs)
    start = _start(x0, runs, problem.dim)
    wanted = _epochs_to_record(record, epochs)
    kept = np.union1d(wanted, [epochs])
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    out = np.empty((len(kept), runs, problem.dim))

    simulate = _engine(problem, plan, rounds)

    def task(ids: NDArray[np.int64]) -> None:
        stream = (seed, np.uint64(0), ids)
        out[:, ids] = simulate(steps[ids[0]], stream, start[ids], kept)

    in_parallel(task, _batches(steps), threads)
    diverged = ~np.isfinite(out).all(axis=(0, 2))
    out[np.isnan(out)] = np.inf
    history = out[np.searchsorted(kept, wanted)]
    meetings = epochs * problem.n // rounds.local_steps if rounds.local_steps else 0
    return SGDResult(problem, out[-1], history, wanted, diverged, meetings)


def run_grid(
    problem_factory: Callable[[int], FiniteSum],
    order: OrderName,
    grid: Sequence[tuple[int, int, float]],
    *,
    runs: int,
    rng: np.random.Generator,
    x0: ArrayLike | None = None,
    threads: int | None = None,
    description: str | None = None,
) -> GridResult:
    """Run SGD at many points (n, epochs, step size), threads over points and runs.

    Parameters
    ----------
    problem_factory : callable
        Builds the problem with n components; called once for each distinct n.
    order : str
        A name from ``ORDER_NAMES``.
    grid : sequence of (n, epochs, step_size)
        At least one point.
    runs : int
        Independent runs at each point.
    rng : numpy.random.Generator
        One draw from it seeds all streams.
    x0 : array_like, optional
        Start, broadcast to (runs, d); zeros by default.
    threads : int, optional
        Worker threads; all cores by default. Does not change the result.
    description : str, optional
        Shows a progress bar of this name on standard error.

    Returns
    -------
    GridResult

    Raises
    ------
    ValueError
        If the grid is empty or a parameter is outside its range.
    """
    points = tuple(GridPoint(int(n), int(epochs), float(step)) for n, epochs, step in grid)
    if not points:
        raise ValueError("grid must hold at least one point, got none")
    by_n = {n: problem_factory(n) for n in sorted({p.n for p in points})}
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    engines, steps, starts, ends = [], [], [], []
    for point in points:
        problem = by_n[point.n]
        plan = schedule(order, problem.n, epochs=point.epochs, runs=runs)
        engines.append(_engine(problem, plan, PLAIN))
        steps.append(_step_sizes(point.step_size, runs, point.epochs))
        starts.append(_start(x0, runs, problem.dim))
        ends.append(np.empty((runs, problem.dim)))

    def task(job: tuple[int, NDArray[np.int64]]) -> None:
        p, ids = job
        stream = (seed, np.uint64(p), ids)
        at_end = np.array([points[p].epochs])
        ends[p][ids] = engines[p](steps[p][0], stream, starts[p][ids], at_end)[0]

    # longest first, so that no thread is left with one long task at the end
    costly_first = sorted(range(len(points)), key=lambda p: -points[p].n * points[p].epochs)
    jobs = [(p, ids) for p in costly_first for ids in _batches(steps[p])]
    in_parallel(task, jobs, threads, description)
    for end in ends:
        end[np.isnan(end)] = np.inf
    return GridResult(points, tuple(by_n[p.n] for p in points), tuple(ends))


# --- one task: up to 64 runs with one step schedule -----------------------------------------------

Stream = tuple[np.uint64, np.uint64, NDArray[np.int64]]  # seed, point, runs
Engine = Callable[[Array, Stream, Array, NDArray[np.int64]], Array]

_RECURRENCES = {
    "glued": kernels.KINKED,
    "sigmoid": kernels.SIGMOID,
    "rippled": kernels.RIPPLED,
}


def _engine(problem: FiniteSum | FederatedSum, plan: Schedule, rounds: Rounds) -> Engine:
    """Choose the loop that runs a problem, its arrays made ready once.

    Returns
    -------
    callable
        ``(steps, stream, x0, record) -> iterates``: float64 (epochs,), the stream of r runs,
        float64 (r, d), int64 (m,) -> float64 (m, r, d).
    """
    workers = _workers(problem)
    how = (rounds.local_steps or problem.n, rounds.minibatch)
    order = (plan.source, plan.reverse, plan.replacement, plan.shared, plan.given)
    pair, parts = _lanes(problem, plan), None if _in_numpy(problem) else _components(problem)

    def simulate(steps: Array, stream: Stream, x0: Array, record: NDArray[np.int64]) -> Array:
        out = np.empty((len(record), *x0.shape))
        if pair is not None:
            form = (_RECURRENCES[pair.curve], pair.left, pair.right, pair.offset, pair.width)
            if pair.curve == "glued" and pair.width > 0:
                form = (kernels.SMOOTHED, *form[1:])
            drift = getattr(problem, "drift", np.zeros((1, 1)))[:, 0]
            dealt = (pair.kinds.reshape(workers, -1), drift)
            flat = out[:, :, 0].copy()
            start = x0[:, 0].copy()
            kernels.run_lanes(*form, *dealt, *how, steps, *order, *stream, start, record, flat)
            out[:, :, 0] = flat
        elif parts is not None:
            dealt = (workers, getattr(problem, "arrangements", 1))
            kernels.run_components(*parts, *dealt, *how, steps, *order, *stream, x0, record, out)
        elif isinstance(problem, MeanEstimation):
            _run_mean_estimation(problem, plan, steps, stream, x0, record, out)
        else:
            _run_any(problem, plan, how, steps, stream, x0, record, out)
        return out

    return simulate


def _workers(problem: FiniteSum | FederatedSum) -> int:
    """M: 1 for a sum that is not dealt out."""
    return getattr(problem, "workers", 1)


def _lanes(problem: FiniteSum | FederatedSum, plan: Schedule) -> TwoKinds | None:
    """The two-kind form, where the lanes can run it."""
    pair: TwoKinds | None = problem.two_kinds() if hasattr(problem, "two_kinds") else None
    if pair is None:
        return None
    rows = pair.kinds.reshape(_workers(problem), -1)
    if plan.shared and (rows != rows[0]).any():
        return None  # a shared order of indices is then not a shared order of kinds
    return pair


def _in_numpy(problem: FiniteSum | FederatedSum) -> bool:
    """True for sums that ``kernels.run_components`` cannot read."""
    base = getattr(problem, "problem", problem)
    if isinstance(base, LogisticSum):
        return bool(np.any(getattr(problem, "drift", 0.0)))
    if isinstance(base, MeanEstimation):
        return base is problem  # alone it has a faster form
    return not isinstance(base, GluedSum | QuadraticSum)


def _components(problem: FiniteSum | FederatedSum) -> tuple[int, Array, Array, Array]:
    """The arrays that ``kernels.run_components`` reads; drifts go into the linear terms."""
    base, drift = getattr(problem, "problem", problem), 0.0
    if isinstance(problem, FederatedSum):
        drift = np.tile(np.repeat(problem.drift, problem.n, axis=0), (problem.arrangements, 1))
    no_matrices, no_scalars = np.empty((0, 1, 1)), np.empty(0)
    if isinstance(base, LogisticSum):
        return kernels.LOGISTIC, no_matrices, base.features, np.append(base.labels, base.l2)
    if isinstance(base, GluedSum):
        slopes = np.array([base.curvature_left, base.curvature_right])
        return kernels.GLUED, no_matrices, -base.offsets[:, None] - drift, slopes
    if isinstance(base, MeanEstimation):
        ones = np.ones((base.n, 1, base.dim))
        return kernels.DIAGONAL, ones, base.points - drift, no_scalars
    if base.A.ndim == 2:
        return kernels.DIAGONAL, base.A[:, None, :], base.b - drift, no_scalars
    return kernels.DENSE, base.A, base.b - drift, no_scalars


class _Walks:
    """What every worker of every run of a task walks, epoch by epoch, for the loops in numpy.

    Attributes
    ----------
    rows : ndarray of int64, shape (r, workers, n)
        The current epoch's orders, before any reversal.
    """

    def __init__(
        self,
        plan: Schedule,
        stream: Stream,
        workers: int,
        n: int,
    ) -> None:
        self._plan, self._ids = plan, stream[2]
        self._states, self._orders, self._pis = kernels.open_runs(*stream, workers, n)
        self.rows = self._orders.copy() if plan.shared else self._orders

    def enter(self, k: int) -> None:
        """Turn ``rows`` into the orders of epoch k."""
        plan = self._plan
        if plan.source[k] == kernels.GIVEN:
            epoch = min(k, plan.given.shape[1] - 1)
            self.rows[:] = plan.given[self._ids % len(plan.given), epoch]
        elif plan.source[k] == kernels.DRAW:
            kernels.redraw_orders(
                self._states, self._orders, self._pis, plan.replacement, plan.shared, self.rows
            )


def _run_mean_estimation(
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
    how: tuple[int, bool],
    steps: Array,
    stream: Stream,
    x0: Array,
    record: NDArray[np.int64],
    out: Array,
) -> None:
    """A problem of the reader's own: numpy steps over its gradient, all runs side by side."""
    local_steps, minibatch = how
    ids, workers, n = stream[2], _workers(problem), problem.n
    base, drift = problem, 0.0
    blocks = np.zeros((len(ids), 1), dtype=np.int64)  # where each worker's components begin
    if isinstance(problem, FederatedSum):
        base, drift = problem.problem, problem.drift
        first = (ids % problem.arrangements)[:, None] * workers
        blocks = (first + np.arange(workers)) * n
    walks = _Walks(plan, stream, workers, n)
    x = x0.copy()
    for k, eta in enumerate(steps):
        walks.enter(k)
        walk = walks.rows[:, :, ::-1] if plan.reverse[k] else walks.rows
        for first in range(0, n, local_steps):
            part = walk[:, :, first : first + local_steps]
            y = np.repeat(x[:, None], workers, axis=1)  # (r, M, d)
            at = y.copy()
            for j in range(part.shape[-1]):
                point = at if minibatch else y
                y = y - eta * (base.gradient(blocks + part[:, :, j], point) + drift)
            x = y.mean(axis=1) if workers > 1 else y[:, 0]
        if k + 1 in record:
            out[np.searchsorted(record, k + 1)] = x


# --- checks and threads ---------------------------------------------------------------------------


def _gap(problem: FiniteSum, x: Array) -> Array:
    """``F(x) - F(x*)``; infinite where x is."""
    finite = np.isfinite(x).all(axis=-1)
    gap = np.full(finite.shape, np.inf)
    gap[finite] = problem.value(x[finite]) - problem.value(problem.minimizer)
    return gap


def _step_sizes(step_size: ArrayLike, runs: int, epochs: int) -> Array:
    """Broadcast the step to (runs, epochs) and check it."""
    steps = np.asarray(step_size, dtype=np.float64)
    wrong = ~(np.isfinite(steps) & (steps > 0))
    if steps.size == 0 or wrong.any():
        culprit = steps[wrong].flat[0] if steps.size else "an empty array"
        raise ValueError(f"step_size must be positive and finite, got {culprit}")
    if steps.ndim == 1:
        if runs == epochs and len(steps) == runs and runs > 1:
            raise ValueError(
                f"step_size of shape ({runs},) is ambiguous with runs = epochs = {runs}; give "
                f"shape ({runs}, 1) for one step a run or (1, {epochs}) for one an epoch"
            )
        if len(steps) == runs != epochs:
            steps = steps[:, None]
    try:
        return np.broadcast_to(steps, (runs, epochs))
    except ValueError:
        raise ValueError(
            f"step_size must be a scalar or have shape (epochs,) = ({epochs},), (runs,) = "
            f"({runs},) or (runs, epochs), got {np.shape(step_size)}"
        ) from None


def _start(x0: ArrayLike | None, runs: int, dim: int) -> Array:
    """Broadcast the start to (runs, dim) and check it."""
    start = np.zeros(dim) if x0 is None else np.asarray(x0, dtype=np.float64)
    if start.shape == (runs,) and dim == 1:
        start = start[:, None]
    try:
        start = np.broadcast_to(start, (runs, dim))
    except ValueError:
        raise ValueError(
            f"x0 must broadcast to (runs, d) = {(runs, dim)}, got shape {np.shape(x0)}"
        ) from None
    if not np.isfinite(start).all():
        raise ValueError(f"x0 must be finite, got {start[~np.isfinite(start)][0]}")
    return start.copy()


def _epochs_to_record(record: Sequence[int] | None, epochs: int) -> NDArray[np.int64]:
    """Check the epochs to record: increasing, within 1..epochs."""
    wanted = np.asarray([] if record is None else record, dtype=np.int64)
    if wanted.ndim != 1 or (np.diff(wanted) <= 0).any():
        raise ValueError(f"record must hold increasing epochs, got {record}")
    if wanted.size and not 1 <= wanted[0] <= wanted[-1] <= epochs:
        raise ValueError(f"record must lie in 1..{epochs}, got {wanted.tolist()}")
    return wanted


def _batches(steps: Array) -> list[NDArray[np.int64]]:
    """Cut the runs into batches of at most 64 that share their step schedule."""
    if steps.strides[0] == 0 or (steps == steps[0]).all():
        groups = [np.arange(len(steps))]
    else:
        _, index = np.unique(steps, axis=0, return_inverse=True)
        groups = [np.flatnonzero(index.reshape(-1) == g) for g in range(index.max() + 1)]
    width = kernels.LANES
    return [g[i : i + width] for g in groups for i in range(0, len(g), width)]
