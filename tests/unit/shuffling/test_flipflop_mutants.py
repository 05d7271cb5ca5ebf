"""Broken implementations must turn the chapter's verdicts: each mutant patches the package and runs
the chapter's own cells of one claim at smoke."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reprise.book import Chapter
from reprise.ledger import Verdict
from reprise.shuffling import flipflop, kernels, problems, sgdo, simulate
from reprise.shuffling.orders import schedule

CHAPTER = "shuffling/flipflop"
WR, RR, SS = "with_replacement", "random_reshuffling", "single_shuffle"
FF_RR, FF_IGD = "flipflop_random_reshuffling", "flipflop_incremental"


def on_flipflop(change):
    """Change the schedule of FlipFlop's orders."""

    def mutate(monkeypatch):
        def changed(order, *args, **kwargs):
            plan = schedule(order, *args, **kwargs)
            named = isinstance(order, str) and order.startswith("flipflop_")
            return change(plan) if named else plan

        monkeypatch.setattr(simulate, "schedule", changed)

    return mutate


def _fresh(plan):
    source = plan.source.copy()
    source[1::2] = kernels.DRAW
    return replace(plan, source=source)


def repeated(monkeypatch):
    """The second epoch of a pair repeats the order (REP)."""
    on_flipflop(lambda plan: replace(plan, reverse=np.zeros_like(plan.reverse)))(monkeypatch)


def reverse_of_a_fresh_order(monkeypatch):
    """The reverse is applied to a fresh order (FIX)."""
    on_flipflop(_fresh)(monkeypatch)


def rename(**swaps):
    """Run one order under the name of another."""

    def mutate(monkeypatch):
        def swapped(order, *args, **kwargs):
            name = swaps.get(order, order) if isinstance(order, str) else order
            return schedule(name, *args, **kwargs)

        monkeypatch.setattr(simulate, "schedule", swapped)

    return mutate


def doubled_step(monkeypatch):
    """Steps twice the size asked for."""
    right = simulate._step_sizes
    monkeypatch.setattr(simulate, "_step_sizes", lambda *args: 2.0 * right(*args))


def start_of_each_coordinate(monkeypatch):
    """An independent start in each coordinate."""

    def start(points, runs, rng):
        d = points.shape[1]
        return points.mean(axis=0) + rng.standard_normal((runs, d)) / np.sqrt(d)

    monkeypatch.setattr(flipflop, "published_start", start)


def other_half_first(monkeypatch):
    """FlipFlop's pair starts with the constant half."""
    right = flipflop.safran_shamir_igd
    monkeypatch.setattr(flipflop, "safran_shamir_igd", lambda n, constant_first=True: right(n))


def fewer_epochs(monkeypatch):
    """K off by one, for FlipFlop by one pair."""
    right = simulate.run_grid

    def short(factory, order, grid, **kwargs):
        less = 2 if order.startswith("flipflop_") else 1
        return right(factory, order, [(n, K - less, eta) for n, K, eta in grid], **kwargs)

    monkeypatch.setattr(simulate, "run_grid", short)


def permutations_changed_by(change):
    """Change what the backward walk chose."""

    def mutate(monkeypatch):
        right = flipflop.fast_permutations

        def changed(*args, **kwargs):
            plan = right(*args, **kwargs)
            return replace(plan, permutations=change(plan.permutations))

        monkeypatch.setattr(flipflop, "fast_permutations", changed)

    return mutate


choices_not_reversed = permutations_changed_by(lambda rows: rows[::-1])
orders_swapped = permutations_changed_by(lambda rows: rows[:, ::-1])
choices_shifted = permutations_changed_by(lambda rows: np.roll(rows, 1, axis=0))


def greedy_choices(monkeypatch):
    """Each epoch takes the order that ends nearer to x*."""
    right = flipflop.fast_permutations
    smooth = flipflop.smooth_instance()
    target = smooth.minimizer[0]

    def greedy(gradient, hessian, x_star, n, epochs, step_size, **kwargs):
        plan = right(gradient, hessian, x_star, n, epochs, step_size, **kwargs)
        rising = np.argsort(gradient(np.arange(n), np.full(n, x_star)), kind="stable")
        x, rows = target + 1, []
        for _ in range(epochs):
            ends = [flipflop.after_epoch(smooth, o, step_size, x) for o in (rising, rising[::-1])]
            best = int(np.abs(np.array(ends) - target).argmin())
            x = ends[best]
            rows.append((rising, rising[::-1])[best])
        return replace(plan, permutations=np.array(rows))

    monkeypatch.setattr(flipflop, "fast_permutations", greedy)


def last_epoch_dropped(monkeypatch):
    """Given orders lose their last epoch."""
    right = simulate.run_sgd

    def dropped(problem, order, *, epochs, **kwargs):
        if not isinstance(order, str) and epochs > 1:
            order, epochs = order[:-1], epochs - 1
        return right(problem, order, epochs=epochs, **kwargs)

    monkeypatch.setattr(simulate, "run_sgd", dropped)


def one_newton_step(monkeypatch):
    """Inverses of a step are left half solved."""
    monkeypatch.setattr(flipflop, "NEWTON_STEPS", 1)


def one_order_only(monkeypatch):
    """The backward walk has no choice."""
    right = flipflop.fast_permutations

    def single(gradient, hessian, x_star, n, *args, **kwargs):
        rising = np.argsort(gradient(np.arange(n), np.full(n, x_star)), kind="stable")
        return right(gradient, hessian, x_star, n, *args, orders=rising[None], **kwargs)

    monkeypatch.setattr(flipflop, "fast_permutations", single)


def farther_choice(monkeypatch):
    """The preimage that lies farther from x*."""
    monkeypatch.setattr(flipflop, "_nearest", lambda u, x_star: int(np.abs(u - x_star).argmax()))


def damping_with_the_new_coordinate(monkeypatch):
    """The own curvature acts after the common one, on the coordinate just moved."""
    right = flipflop.spread_instance

    def late(n, curvature=4.0, eta=0.002):
        problem = right(n, curvature)
        own = np.arange(n)
        A, b = problem.A.copy(), problem.b.copy()
        A[own, own] -= eta * curvature
        b[own, own] *= 1 - eta * curvature
        changed = problems.QuadraticSum(A, b)
        changed.minimizer = problem.minimizer
        return changed

    monkeypatch.setattr(flipflop, "spread_instance", late)


def no_kink(monkeypatch):
    """Equal curvatures on both sides."""
    monkeypatch.setattr(
        sgdo, "lower_bound_function", lambda n, L=4.0, G=1.0: problems.PiecewiseQuadratic(n, 1.0)
    )


def linear_gradient(monkeypatch):
    """The sigmoid replaced by its tangent without the offset: x / 4."""
    right = kernels.run_lanes

    def flat(recurrence, left, right_slope, offset, *rest):
        if recurrence == kernels.SIGMOID:
            recurrence, left, right_slope = kernels.KINKED, 0.25 + left, 0.25 + right_slope
        return right(recurrence, left, right_slope, offset, *rest)

    monkeypatch.setattr(kernels, "run_lanes", flat)


MUTANTS = {
    "C1": [
        repeated,
        reverse_of_a_fresh_order,
        rename(random_reshuffling=WR),
        rename(flipflop_random_reshuffling=WR),
        rename(random_reshuffling=SS),
        doubled_step,
    ],
    "C2": [
        repeated,
        reverse_of_a_fresh_order,
        rename(random_reshuffling=WR),
        doubled_step,
    ],
    "C3": [other_half_first, repeated, fewer_epochs, doubled_step],
    "C4": [
        repeated,
        rename(random_reshuffling=WR),
        rename(random_reshuffling=SS),
        linear_gradient,
    ],
    "C5": [
        choices_not_reversed,
        orders_swapped,
        greedy_choices,
        choices_shifted,
        last_epoch_dropped,
        one_newton_step,
    ],
    "C6": [one_order_only, farther_choice],
    "C7": [rename(random_reshuffling=WR), damping_with_the_new_coordinate],
    "C8": [
        rename(flipflop_random_reshuffling=RR),
        rename(flipflop_random_reshuffling=SS),
        repeated,
        doubled_step,
    ],
    "C9": [repeated, no_kink],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_implementation_loses_the_claim(judge, monkeypatch, claim, mutate):
    mutate(monkeypatch)
    assert judge(CHAPTER, [claim])[claim].verdict != Verdict.REPRODUCED


@pytest.mark.parametrize("claim", MUTANTS)
def test_the_right_implementation_keeps_the_claim(judge, claim):
    assert judge(CHAPTER, [claim])[claim].verdict == Verdict.REPRODUCED


def test_the_start_of_each_coordinate_is_told_apart_at_book(judge, monkeypatch):
    """Forty runs and the smoke rule cannot see it; a hundred runs and the book rule can."""
    monkeypatch.setattr(Chapter, "parameters", lambda self, profile, changes=None: {})
    assert judge(CHAPTER, ["C2"])["C2"].verdict == Verdict.REPRODUCED
    start_of_each_coordinate(monkeypatch)
    assert judge(CHAPTER, ["C2"])["C2"].verdict != Verdict.REPRODUCED
