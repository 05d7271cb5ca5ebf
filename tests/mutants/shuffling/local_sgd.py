"""Broken implementations of minibatch and local SGD."""

from __future__ import annotations

import numpy as np
from mutants import Mutant, replaced
from mutants.shuffling.shared import RR, SS, SYNC, WR, on_schedule, rename, step_times

from reprise.ledger import LedgerError
from reprise.shuffling import kernels, local_sgd, simulate
from reprise.shuffling.orders import draw_orders

# --- orders ---------------------------------------------------------------------------------------


def written_out(scheme, rows_of):
    """Replace a scheme by orders that ``rows_of(n, epochs, runs, workers)`` writes out."""

    def patched(right):
        def written(order, n, *, epochs, runs, workers=None):
            plan = right(order, n, epochs=epochs, runs=runs, workers=workers)
            if not isinstance(order, str) or order != scheme:
                return plan
            source = np.full(epochs, kernels.GIVEN, dtype=np.int8)
            given = rows_of(n, epochs, runs, workers)
            return plan._replace(source=source, shared=False, given=given)

        return written

    return replaced(simulate, "schedule", patched, f"{rows_of.__name__}_{scheme}")


def one_for_all(n, epochs, runs, workers):
    """All workers walk one order from one start."""
    rng = np.random.default_rng(1)
    return draw_orders(RR, n, epochs=epochs, runs=runs, workers=1, rng=rng)


def offsets_of_one(n, epochs, runs, workers):
    """Workers start one position apart, not N/M."""
    one = one_for_all(n, epochs, runs, workers)
    return np.concatenate([np.roll(one, -m, axis=-1) for m in range(workers)], axis=2)


def drawn_once(plan):
    """Sigma and pi are drawn once for all epochs."""
    source = plan.source.copy()
    source[1:] = kernels.KEEP
    return plan._replace(source=source)


# --- steps and rounds -----------------------------------------------------------------------------


def on_rounds(change):
    """Change the arguments of the simulator: change(problem, arguments) in place."""

    def patched(right):
        def changed(problem, order, **kwargs):
            change(problem, kwargs)
            return right(problem, order, **kwargs)

        return changed

    return replaced(simulate, "run_rounds", patched, change.__name__)


def step_without_B(problem, kwargs):
    """The minibatch step is alpha, not alpha B."""
    if kwargs["method"] == "minibatch":
        kwargs["step_size"] = kwargs["step_size"] / kwargs["local_steps"]


def workers_summed(problem, kwargs):
    """Minibatch gradients are summed over the workers, not averaged."""
    if kwargs["method"] == "minibatch":
        kwargs["step_size"] = kwargs["step_size"] * problem.workers


def averaging_every_step(problem, kwargs):
    """Local SGD meets after every step."""
    if kwargs["method"] == "local":
        kwargs["local_steps"] = 1


def averaging_gradients(problem, kwargs):
    """Local SGD averages gradients instead of iterates."""
    kwargs["method"] = "minibatch"


def one_epoch_more(problem, kwargs):
    """K off by one."""
    kwargs["epochs"] += 1


def longer_rounds(problem, kwargs):
    """Rounds end at the wrong place."""
    kwargs["local_steps"] = min(2 * kwargs["local_steps"], problem.components)


def drift_of_one_sign(problem, kwargs):
    """Every worker is pulled to the same side."""
    problem.drift[:] = np.abs(problem.drift)


# --- problems -------------------------------------------------------------------------------------


def on_problem(**changes):
    """Build the hard instance with other arguments."""

    def patched(right):
        def changed(workers, components, curvature=4.0, **options):
            options.update((name, value) for name, value in changes.items() if name in options)
            if options.get("mixing") == 0.0:
                options.pop("arrangements", None)
            return right(workers, components, changes.get("curvature", curvature), **options)

        return changed

    name = "_".join(f"{name}_{value:g}" for name, value in changes.items())
    return replaced(local_sgd, "kinked_problem", patched, name)


AS_SINGLE, AS_REPLACED = rename(random_reshuffling=SS), rename(random_reshuffling=WR)
AS_SYNC, SYNC_AS_RR = rename(random_reshuffling=SYNC), rename(synchronized=RR)
RESHUFFLING = [AS_SINGLE, AS_REPLACED, written_out(RR, one_for_all)]
EVERY_STEP, GRADIENTS = on_rounds(averaging_every_step), on_rounds(averaging_gradients)
TABLE = {
    "C1": [
        *RESHUFFLING,
        rename(with_replacement=RR),
        step_times(2.0),
        step_times(0.5),
        on_rounds(step_without_B),
        on_rounds(workers_summed),
        EVERY_STEP,
        GRADIENTS,
    ],
    "C2": [*RESHUFFLING, AS_SYNC, step_times(2.0)],
    "C3": [EVERY_STEP, GRADIENTS],
    "C4": [
        AS_REPLACED,
        step_times(2.0),
        step_times(0.5),
        EVERY_STEP,
        on_rounds(drift_of_one_sign),
    ],
    "C5": [*RESHUFFLING, EVERY_STEP],
    "C6": [
        SYNC_AS_RR,
        written_out(SYNC, one_for_all),
        on_schedule(lambda name: name == SYNC, drawn_once),
    ],
    "C7": [SYNC_AS_RR, on_problem(mixing=0.0)],
    "C8": [AS_SINGLE, AS_REPLACED, AS_SYNC, EVERY_STEP, on_problem(curvature=1.0)],
    "C9": [AS_SINGLE, AS_REPLACED],
    "C10": [
        on_rounds(one_epoch_more),
        on_rounds(longer_rounds),
        written_out(SYNC, offsets_of_one),
    ],
}
# where nothing grows with B, C3 has no exponent to judge
MUTANTS = [
    Mutant(claim, patch, raises=LedgerError if claim == "C3" else None)
    for claim, patches in TABLE.items()
    for patch in patches
]
