"""Broken implementations must turn the chapter's verdicts: each mutant patches the package and runs
the chapter's own cells of one claim at smoke."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from reprise.book import Chapter
from reprise.expressivity import edge_popup, gadget, subset_solver, subset_sum
from reprise.ledger import Verdict

CHAPTER = "expressivity/subset_sum"

# --- the solver -----------------------------------------------------------------------------------


def in_solver(change):
    """Change how subsets are found, wherever they are looked for."""

    def mutate(monkeypatch):
        right = subset_solver.solve_subset_sum

        def changed(values, targets, **options):
            return change(right, values, targets, options)

        for module in (subset_sum, gadget):
            monkeypatch.setattr(module, "solve_subset_sum", changed)

    return mutate


def rounded_masks(solve, values, targets, options):
    """Subsets of numbers rounded to two decimals, the error that of the rounded sum."""
    return solve(np.round(values, 2), targets, **options)


def greedy(solve, values, targets, options):
    """Greedy under the name of exact."""
    return solve(values, targets, **{**options, "method": "greedy"})


def anytime(solve, values, targets, options):
    """A local search under the name of exact."""
    return solve(values, targets, **{**options, "method": "anytime"})


def wrong_mask(solve, values, targets, options):
    """Sums and errors are right, masks are those of the complement."""
    found = solve(values, targets, **options)
    ones = np.uint64(2 ** np.shape(values)[-1] - 1)
    return replace(found, mask=found.mask ^ ones)


def lost_number(solve, values, targets, options):
    """The last number is never kept, but counted on."""
    found = solve(values, targets, **options)
    last = np.uint64(1) << np.uint64(np.shape(values)[-1] - 1)
    return replace(found, mask=found.mask & ~last)


def single_numbers(solve, values, targets, options):
    """No sums at all: the nearest single number."""
    values, targets = np.atleast_2d(values), np.asarray(targets)
    if options.get("method") == "greedy" or targets.ndim > 1:
        return solve(values, targets, **options)
    error = np.abs(values - targets[:, None])
    found = solve(values, targets, **options)
    return replace(found, error=error.min(axis=1))


# --- the draws ------------------------------------------------------------------------------------


def in_numbers(change):
    """Change the random numbers of the coverings."""

    def mutate(monkeypatch):
        right = subset_sum.random_numbers

        def changed(shape, *, law="uniform", rng):
            return change(right, shape, law, rng)

        monkeypatch.setattr(subset_sum, "random_numbers", changed)

    return mutate


def two_decimals(draw, shape, law, rng):
    """Numbers rounded to two decimals."""
    return np.round(draw(shape, law=law, rng=rng), 2)


def positive(draw, shape, law, rng):
    """Only positive numbers."""
    return np.abs(draw(shape, law=law, rng=rng))


def narrow(draw, shape, law, rng):
    """Numbers from a tenth of the range."""
    return 0.1 * draw(shape, law=law, rng=rng)


def plain(draw, shape, law, rng):
    """Uniform numbers under the name of products."""
    return draw(shape, rng=rng)


def one_factor_for_all(draw, shape, law, rng):
    """Products whose first factor is shared by all numbers of a set."""
    return draw(shape, rng=rng) * rng.uniform(0, 1, (*shape[:-1], 1))


def as_products(draw, shape, law, rng):
    """Products under the name of uniform numbers."""
    return draw(shape, law="product", rng=rng)


def half_gap_of_a_half(monkeypatch):
    """The radius is a quarter of the gap."""
    right = subset_sum._cover

    def changed(values, low, high):
        radius, inside = right(values, low, high)
        return radius / 2, inside

    monkeypatch.setattr(subset_sum, "_cover", changed)


def radius_on_a_grid(monkeypatch):
    """The radius is looked up on a coarse grid."""

    def changed(values, low, high):
        worst = subset_sum.grid_error(values, np.linspace(low, high, 11))
        return worst, np.ones(len(values), int)

    monkeypatch.setattr(subset_sum, "_cover", changed)


def another_draw(monkeypatch):
    """Masks refer to numbers that nobody can draw again."""
    right, calls = subset_sum.draw_values, []

    def changed(*args, seed, **options):
        calls.append(seed)
        return right(*args, seed=seed + len(calls), **options)

    monkeypatch.setattr(subset_sum, "draw_values", changed)


def one_set_for_a_layer(monkeypatch):
    """Every weight of a layer uses the first set."""
    right = subset_sum.draw_values

    def changed(*args, draw, **options):
        for block, values in right(*args, draw=draw, **options):
            yield block, np.repeat(values[:1], len(values), axis=0) / 30

    monkeypatch.setattr(subset_sum, "draw_values", changed)


# --- the gadget -----------------------------------------------------------------------------------


def no_sign_filter(monkeypatch):
    """The first n units of an input, whatever the sign of their factor."""
    monkeypatch.setattr(
        gadget,
        "_first_units",
        lambda u, rows, n, sign: np.arange(u.shape[1])[:, None] * rows + np.arange(n),
    )


def no_negative_half(monkeypatch):
    """The mask of the negative half is lost."""
    right = gadget.prune_to_target

    def changed(*args, **options):
        network = right(*args, **options)
        network.masks[0][network.random_weights[0] < 0] = False
        return network

    monkeypatch.setattr(subset_sum, "prune_to_target", changed)


def fresh_factors_for_each_output(monkeypatch):
    """Subsets are chosen as if every output had a first layer of its own."""
    right, rng = subset_solver.solve_subset_sum, np.random.default_rng(0)

    def changed(products, wanted, **options):
        return right(products * rng.uniform(0.5, 1.5, products.shape), wanted, **options)

    monkeypatch.setattr(gadget, "solve_subset_sum", changed)


def twice_n_rows(monkeypatch):
    """R = 2 n."""
    monkeypatch.setattr(gadget, "rows_per_input", lambda n, blocks, delta: 2 * n)


def own_input_not_enforced(monkeypatch):
    """A unit keeps the edge of the next input too."""
    right = gadget.prune_to_target

    def changed(*args, **options):
        network = right(*args, **options)
        mask = network.masks[0]
        network.masks[0][:] = mask | np.roll(mask, 1, axis=1)
        return network

    monkeypatch.setattr(subset_sum, "prune_to_target", changed)


def twice_the_weights(monkeypatch):
    """The negative half is fitted to w instead of -w."""
    right = gadget._keep

    def changed(units, first, second, u, v, wanted):
        right(units, first, second, u, v, np.abs(wanted))

    monkeypatch.setattr(gadget, "_keep", changed)


# --- pruning by search ----------------------------------------------------------------------------


def trainable_weights(monkeypatch):
    """The frozen weights learn too."""
    right = edge_popup.train_classifier

    def changed(model, *args, **options):
        for layer in model:
            for name in ("weight", "u", "v"):
                if name in layer._buffers:
                    setattr_parameter(layer, name)
        return right(model, *args, **options)

    monkeypatch.setattr(subset_sum, "train_classifier", changed)


def setattr_parameter(layer, name):
    """Turn a buffer into a parameter."""
    value = layer._buffers.pop(name)
    layer.register_parameter(name, torch.nn.Parameter(value))


def scores_do_not_learn(monkeypatch):
    """Random masks: the gradient never reaches the scores."""
    monkeypatch.setattr(
        edge_popup._StraightThrough, "backward", staticmethod(lambda context, g: (0 * g, None))
    )


def top_fraction_swapped(monkeypatch):
    """Keeps the top s instead of the top 1 - s."""
    right = edge_popup.dropped_count
    monkeypatch.setattr(edge_popup, "dropped_count", lambda n, s: right(n, 1 - s if s else s))


MUTANTS = {
    "C1": [in_solver(greedy), in_solver(anytime), in_solver(rounded_masks), one_set_for_a_layer],
    "C2": [in_solver(wrong_mask), in_solver(rounded_masks), in_solver(lost_number), another_draw],
    "C3": [in_numbers(positive), in_numbers(narrow), radius_on_a_grid],
    "C4": [half_gap_of_a_half, in_numbers(as_products)],
    "C5": [in_solver(greedy), in_solver(anytime), in_solver(single_numbers)],
    "C6": [in_numbers(plain), in_numbers(one_factor_for_all), in_numbers(positive)],
    "C7": [
        no_sign_filter,
        no_negative_half,
        fresh_factors_for_each_output,
        twice_n_rows,
        own_input_not_enforced,
        twice_the_weights,
        in_solver(rounded_masks),
    ],
    "C8": [half_gap_of_a_half, radius_on_a_grid],
    "C9": [trainable_weights, scores_do_not_learn],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_implementation_loses_the_claim(judge, monkeypatch, claim, mutate):
    mutate(monkeypatch)
    assert judge(CHAPTER, [claim])[claim].verdict != Verdict.REPRODUCED


@pytest.mark.parametrize("change", [two_decimals, as_products], ids=lambda change: change.__name__)
def test_a_decay_that_smoke_cannot_tell_apart_is_told_apart_at_book(judge, monkeypatch, change):
    monkeypatch.setattr(Chapter, "parameters", lambda self, profile, changes=None: {})
    assert judge(CHAPTER, ["C3"])["C3"].verdict == Verdict.REPRODUCED
    in_numbers(change)(monkeypatch)
    assert judge(CHAPTER, ["C3"])["C3"].verdict != Verdict.REPRODUCED


def test_the_swapped_fraction_is_told_apart_at_high_sparsity(judge, monkeypatch):
    """At s = 0.5 both keep the same number, and the largest scores' complement learns as well."""
    right = Chapter.parameters

    def sparser(self, profile, changes=None):
        return {**right(self, profile), "popup_sparsities": [0.0, 0.5, 0.9], "popup_epochs": 5}

    monkeypatch.setattr(Chapter, "parameters", sparser)
    top_fraction_swapped(monkeypatch)
    assert judge(CHAPTER, ["C9"])["C9"].verdict != Verdict.REPRODUCED


@pytest.mark.parametrize("claim", MUTANTS)
def test_the_right_implementation_keeps_the_claim(judge, claim):
    assert judge(CHAPTER, [claim])[claim].verdict == Verdict.REPRODUCED
