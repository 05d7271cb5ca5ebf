"""Broken implementations must turn the chapter's verdicts: each mutant patches the package and runs
the chapter's own cells of one claim at smoke."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reprise.ledger import LedgerError, Verdict
from reprise.shuffling import kernels, local_sgd, simulate
from reprise.shuffling.orders import draw_orders, schedule

CHAPTER = "shuffling/local_sgd"
WR, RR, SS = "with_replacement", "random_reshuffling", "single_shuffle"
SYNC = "synchronized"


# --- orders ---------------------------------------------------------------------------------------


def rename(**swaps):
    """Run one scheme under the name of another."""

    def mutate(monkeypatch):
        def swapped(order, *args, **kwargs):
            name = swaps.get(order, order) if isinstance(order, str) else order
            return schedule(name, *args, **kwargs)

        monkeypatch.setattr(simulate, "schedule", swapped)

    mutate.__name__ = "_".join(f"{new}_for_{old}" for old, new in swaps.items())
    return mutate


def written_out(name, rows_of):
    """Replace a scheme by orders that ``rows_of(n, epochs, runs, workers)`` writes out."""

    def change(monkeypatch):
        def written(order, n, *, epochs, runs, workers=None):
            if not isinstance(order, str) or order != name:
                return schedule(order, n, epochs=epochs, runs=runs, workers=workers)
            source = np.full(epochs, kernels.GIVEN, dtype=np.int8)
            given = rows_of(n, epochs, runs, workers)
            return replace(
                schedule(RR, n, epochs=epochs, runs=runs, workers=workers),
                source=source,
                given=given,
            )

        monkeypatch.setattr(simulate, "schedule", written)

    return change


def _one_for_all(n, epochs, runs, workers):
    rng = np.random.default_rng(1)
    return draw_orders(RR, n, epochs=epochs, runs=runs, workers=1, rng=rng)


def shared_sigma(monkeypatch):
    """All workers reshuffle alike."""
    written_out(RR, _one_for_all)(monkeypatch)


def no_offsets(monkeypatch):
    """Synchronized workers start at the same place."""
    written_out(SYNC, _one_for_all)(monkeypatch)


def offsets_of_one(monkeypatch):
    """Synchronized workers start one position apart, not N/M."""

    def rows(n, epochs, runs, workers):
        one = _one_for_all(n, epochs, runs, workers)
        return np.concatenate([np.roll(one, -m, axis=-1) for m in range(workers)], axis=2)

    written_out(SYNC, rows)(monkeypatch)


def drawn_once(monkeypatch):
    """Synchronized shuffling draws sigma and pi once for all epochs."""

    def kept(order, *args, **kwargs):
        plan = schedule(order, *args, **kwargs)
        source = plan.source.copy()
        if order == SYNC:
            source[1:] = kernels.KEEP
        return replace(plan, source=source)

    monkeypatch.setattr(simulate, "schedule", kept)


# --- steps and rounds -----------------------------------------------------------------------------


def scaled_step(factor):
    """Steps of another size than asked for."""

    def mutate(monkeypatch):
        right = simulate._step_sizes
        monkeypatch.setattr(simulate, "_step_sizes", lambda *args: factor * right(*args))

    mutate.__name__ = f"step_times_{factor:g}"
    return mutate


def on_rounds(change):
    """Change the arguments of the simulator: change(problem, arguments) in place."""

    def mutate(monkeypatch):
        right = simulate.run_rounds

        def changed(problem, order, **kwargs):
            change(problem, kwargs)
            return right(problem, order, **kwargs)

        monkeypatch.setattr(local_sgd, "run_rounds", changed)

    mutate.__name__ = change.__name__
    return mutate


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

    def mutate(monkeypatch):
        right = local_sgd.kinked_problem

        def changed(workers, components, curvature=4.0, **options):
            options = {**options, **{k: v for k, v in changes.items() if k in options}}
            if "curvature" in changes:
                curvature = changes["curvature"]
            if options.get("mixing") == 0.0:
                options.pop("arrangements", None)
            return right(workers, components, curvature, **options)

        monkeypatch.setattr(local_sgd, "kinked_problem", changed)

    mutate.__name__ = "_".join(f"{name}_{value:g}" for name, value in changes.items())
    return mutate


RR_MUTANTS = [rename(random_reshuffling=SS), rename(random_reshuffling=WR), shared_sigma]
MUTANTS = {
    "C1": [
        *RR_MUTANTS,
        rename(with_replacement=RR),
        scaled_step(2),
        scaled_step(0.5),
        on_rounds(step_without_B),
        on_rounds(workers_summed),
        on_rounds(averaging_every_step),
        on_rounds(averaging_gradients),
    ],
    "C2": [*RR_MUTANTS, rename(random_reshuffling=SYNC), scaled_step(2)],
    "C3": [on_rounds(averaging_every_step), on_rounds(averaging_gradients)],
    "C4": [
        rename(random_reshuffling=WR),
        scaled_step(2),
        scaled_step(0.5),
        on_rounds(averaging_every_step),
        on_rounds(drift_of_one_sign),
    ],
    "C5": [*RR_MUTANTS, on_rounds(averaging_every_step)],
    "C6": [rename(synchronized=RR), no_offsets, drawn_once],
    "C7": [rename(synchronized=RR), on_problem(mixing=0.0)],
    "C8": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        rename(random_reshuffling=SYNC),
        on_rounds(averaging_every_step),
        on_problem(curvature=1.0),
    ],
    "C9": [rename(random_reshuffling=SS), rename(random_reshuffling=WR)],
    "C10": [on_rounds(one_epoch_more), on_rounds(longer_rounds), offsets_of_one],
}


@pytest.mark.parametrize("claim", MUTANTS)
def test_the_right_program_passes(claim, judge):
    assert judge(CHAPTER, [claim])[claim].verdict is Verdict.REPRODUCED


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_program_fails(claim, mutate, judge, monkeypatch):
    mutate(monkeypatch)
    try:
        verdict = judge(CHAPTER, [claim])[claim].verdict
    except LedgerError:  # nothing grows with B: no exponent, so nothing to judge
        assert claim == "C3"
    else:
        assert verdict is Verdict.NOT_REPRODUCED
