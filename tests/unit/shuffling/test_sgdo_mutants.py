"""Broken implementations must turn the chapter's verdicts.

Each mutant patches the package and runs the chapter's own cells of one claim at smoke. A ledger
that still says "reproduced" would have no power.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from reprise.ledger import Verdict
from reprise.shuffling import kernels, problems, rates, sgdo, simulate
from reprise.shuffling.orders import schedule

CHAPTER = "shuffling/sgdo"
WR, RR, SS = "with_replacement", "random_reshuffling", "single_shuffle"


def rename(**swaps):
    """Run one order under the name of another."""

    def mutate(monkeypatch):
        def swapped(order, *args, **kwargs):
            return schedule(swaps.get(order, order), *args, **kwargs)

        monkeypatch.setattr(simulate, "schedule", swapped)

    return mutate


def step_times(factor):
    """Take steps of another size than the one asked for."""

    def mutate(monkeypatch):
        right = simulate._step_sizes
        monkeypatch.setattr(simulate, "_step_sizes", lambda *args: factor * right(*args))

    return mutate


def epochs_times(factor):
    """Run another number of epochs."""

    def mutate(monkeypatch):
        def longer(problem, order, *, epochs, **kwargs):
            return simulate.run_sgd(problem, order, epochs=factor * epochs, **kwargs)

        monkeypatch.setattr(sgdo, "run_sgd", longer)

    return mutate


def no_kink(monkeypatch):
    """Equal curvatures on both sides."""
    monkeypatch.setattr(
        sgdo, "lower_bound_function", lambda n, L=4.0, G=1.0: problems.PiecewiseQuadratic(n, 1.0)
    )


def steep_side_on_the_left(monkeypatch):
    """The kink mirrored."""
    monkeypatch.setattr(
        sgdo,
        "lower_bound_function",
        lambda n, L=4.0, G=1.0: problems.PiecewiseQuadratic(n, 1.0, curvature_left=L),
    )


def equal_curvatures(monkeypatch):
    """The quadratics of the two regimes without their spread."""
    monkeypatch.setattr(sgdo, "unequal_quadratic", partial(sgdo.unequal_quadratic, spread=0.0))


def logarithm_of_K_alone(monkeypatch):
    """log(K) / (nK) for log(nK) / (nK)."""
    monkeypatch.setattr(
        sgdo, "log_step_size", lambda n, K, factor=1.0, mu=1.0: factor * np.log(K) / (mu * n * K)
    )


def one_step_only(monkeypatch):
    """A search over a single step size."""
    right = sgdo.best_step_error
    monkeypatch.setattr(
        sgdo, "best_step_error", lambda n, K, factors, **kwargs: right(n, K, [1.0], **kwargs)
    )


def ascending_gradient(monkeypatch):
    """The sign of the deterministic gradient flipped: curvatures change sign."""

    def flipped(kind, left, right, *rest):
        return run_lanes(kind, -left, -right, *rest)

    run_lanes = kernels.run_lanes
    monkeypatch.setattr(kernels, "run_lanes", flipped)


def slope_of_the_inverse(monkeypatch):
    """The fit regresses on 1/x."""
    right = rates.fit_rate
    monkeypatch.setattr(
        simulate,
        "fit_rate",
        lambda x, err, **kwargs: right(1 / np.asarray(x, float), err, **kwargs),
    )


FLIPFLOP = "flipflop_random_reshuffling"
MUTANTS = {
    "C1": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        no_kink,
        step_times(2.0),
        step_times(0.5),
        logarithm_of_K_alone,
        ascending_gradient,
        slope_of_the_inverse,
    ],
    "C2": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        rename(random_reshuffling=FLIPFLOP),
        no_kink,
        step_times(0.5),
        ascending_gradient,
        slope_of_the_inverse,
    ],
    "C3": [
        rename(with_replacement=SS),
        rename(with_replacement=RR),
        rename(random_reshuffling=WR),
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR, with_replacement=RR),
    ],
    "C4": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        rename(single_shuffle=RR),
        step_times(2.0),
        slope_of_the_inverse,
    ],
    "C5": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        equal_curvatures,
        step_times(2.0),
    ],
    "C6": [rename(random_reshuffling=SS), rename(random_reshuffling=WR), no_kink],
    "C7": [
        rename(random_reshuffling=SS),
        rename(random_reshuffling=WR),
        no_kink,
        one_step_only,
        slope_of_the_inverse,
    ],
    "C8": [
        steep_side_on_the_left,
        rename(random_reshuffling=WR),
        epochs_times(2),
        step_times(2.0),
        ascending_gradient,
    ],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_implementation_loses_the_claim(judge, monkeypatch, claim, mutate):
    mutate(monkeypatch)
    assert judge(CHAPTER, [claim])[claim].verdict != Verdict.REPRODUCED


@pytest.mark.parametrize("claim", MUTANTS)
def test_the_right_implementation_keeps_the_claim(judge, claim):
    assert judge(CHAPTER, [claim])[claim].verdict == Verdict.REPRODUCED
