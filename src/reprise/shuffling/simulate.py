"""One simulator for the part: SGD over any order, for many runs and many (n, K, step) at once.

``run_sgd`` runs one problem, ``run_grid`` a list of points, ``run_rounds`` one problem that several
workers share. All cut the runs of each point into batches of 64, hand them to threads, and give
each (point, run, worker) a random stream of its own: results do not depend on the number of
threads. An order is turned into a schedule by `orders`, a batch is run by one of the `engines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.runtime import check_generator, check_integer, in_parallel
from reprise.shuffling.engines import engine
from reprise.shuffling.kernels import LANES, Rounds, Schedule, Stream
from reprise.shuffling.orders import Order, OrderName, Scheme, schedule
from reprise.shuffling.problems import FederatedSum, FiniteSum
from reprise.shuffling.results import GridPoint, GridResult, SGDResult

Array = NDArray[np.float64]

MOST_TASKS = 128  # into which the runs of a point are cut


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
    rounds = Rounds(problem.n, minibatch=False)
    return _run(problem, plan, rounds, step_size, runs, x0, record, threads, rng=rng)


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
    local_steps = check_integer("local_steps", local_steps, 1)
    if problem.components % local_steps:
        raise ValueError(
            f"local_steps must divide components, got {local_steps} and {problem.components}"
        )
    plan = schedule(order, problem.components, epochs=epochs, runs=runs, workers=problem.workers)
    rounds = Rounds(local_steps, method == "minibatch")
    result = _run(problem, plan, rounds, step_size, runs, x0, record, threads, rng=rng)
    return replace(result, communication_rounds=epochs * problem.components // local_steps)


def _run(
    problem: FiniteSum | FederatedSum,
    plan: Schedule,
    rounds: Rounds,
    step_size: ArrayLike,
    runs: int,
    x0: ArrayLike | None,
    record: Sequence[int] | None,
    threads: int | None,
    *,
    rng: np.random.Generator,
) -> SGDResult:
    """What `run_sgd` and `run_rounds` share: checks, tasks, threads and the result."""
    check_generator(rng=rng)
    epochs = plan.epochs
    steps = _step_sizes(step_size, runs, epochs)
    start = _start(x0, runs, problem.dim)
    wanted = _epochs_to_record(record, epochs)
    kept = np.union1d(wanted, [epochs])
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    out = np.empty((len(kept), runs, problem.dim))

    simulate = engine(problem, plan, rounds)

    def task(batches: list[NDArray[np.int64]]) -> None:
        for ids in batches:
            stream = Stream(seed, np.uint64(0), ids)
            out[:, ids] = simulate(steps[ids[0]], stream, start[ids], kept)

    batches = _batches(steps)
    # handing a short batch to a thread costs more than running it
    in_parallel(
        task, [batches[i::MOST_TASKS] for i in range(min(MOST_TASKS, len(batches)))], threads
    )
    diverged = ~np.isfinite(out).all(axis=(0, 2))
    out[np.isnan(out)] = np.inf
    history = out[np.searchsorted(kept, wanted)]
    return SGDResult(problem, out[-1], history, wanted, diverged)


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
    check_generator(rng=rng)
    points = tuple(
        GridPoint(check_integer("n", n, 1), check_integer("epochs", epochs, 1), float(step))
        for n, epochs, step in grid
    )
    if not points:
        raise ValueError("grid must hold at least one point, got none")
    by_n = {n: problem_factory(n) for n in sorted({p.n for p in points})}
    seed = np.uint64(rng.integers(2**64, dtype=np.uint64))
    engines, steps, starts, ends = [], [], [], []
    for point in points:
        problem = by_n[point.n]
        plan = schedule(order, problem.n, epochs=point.epochs, runs=runs)
        engines.append(engine(problem, plan, Rounds(problem.n, minibatch=False)))
        steps.append(_step_sizes(point.step_size, runs, point.epochs))
        starts.append(_start(x0, runs, problem.dim))
        ends.append(np.empty((runs, problem.dim)))

    def task(job: tuple[int, NDArray[np.int64]]) -> None:
        p, ids = job
        stream = Stream(seed, np.uint64(p), ids)
        at_end = np.array([points[p].epochs])
        ends[p][ids] = engines[p](steps[p][0], stream, starts[p][ids], at_end)[0]

    # longest first, so that no thread is left with one long task at the end
    costly_first = sorted(range(len(points)), key=lambda p: -points[p].n * points[p].epochs)
    jobs = [(p, ids) for p in costly_first for ids in _batches(steps[p])]
    in_parallel(task, jobs, threads, description)
    for end in ends:
        end[np.isnan(end)] = np.inf
    return GridResult(points, tuple(by_n[p.n] for p in points), tuple(ends))


# --- checks and threads ---------------------------------------------------------------------------


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
    given = np.asarray([] if record is None else record)
    wanted = given.astype(np.int64)  # unsigned ones would wrap in the difference
    truncated = given.size and given.dtype.kind not in "iu"
    if truncated or wanted.ndim != 1 or (np.diff(wanted) <= 0).any():
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
    return [g[i : i + LANES] for g in groups for i in range(0, len(g), LANES)]
