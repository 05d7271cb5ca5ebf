"""Broken implementations must turn the chapter's verdicts: each mutant patches the package and runs
the chapter's own cells of one claim at smoke."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

from reprise.expressivity import threshold
from reprise.expressivity.threshold import baum, bounds, chapter, construction, kernels, points
from reprise.ledger import Verdict

CHAPTER = "expressivity/threshold"
CLAIMS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8")
SMALL = {
    "n_values": [256, 1024],
    "power_values": [64, 256, 1024],
    "n_seeds": 1,
    "pair_deltas": [0.3, 0.1, 0.03],
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """The cheapest sizes of C1, C4 and C7 that the rules allow."""
    from reprise.book import Chapter

    right = Chapter.parameters
    monkeypatch.setattr(
        Chapter, "parameters", lambda self, profile: {**right(self, profile), **SMALL}
    )


def unverified(monkeypatch):
    """A mutant must be judged by the chapter, not stopped by the builder's own last look."""
    monkeypatch.setattr(construction, "_verify", lambda *args: None)


def judged(judge, claim):
    """The claim's verdict; no network at all is a failure too."""
    try:
        return judge(CHAPTER, [claim])[claim].verdict
    except threshold.MemorizationError:
        return Verdict.NOT_REPRODUCED


# --- stage B --------------------------------------------------------------------------------------


def majority_for_parity(monkeypatch):
    """The gates vote."""
    right = construction.parity_layers

    def vote(sets, inputs, parity="tree"):
        sets = np.asarray(sets)
        layers = right(sets, inputs, "flat")
        m2, k = sets.shape
        weight = sparse.csr_array(
            (np.ones(m2, np.int32), np.arange(m2) * k + k // 2, np.arange(m2 + 1)),
            shape=(m2, m2 * k),
        )
        return [layers[0], threshold.ThresholdLayer(weight, layers[1].threshold, "parity")]

    monkeypatch.setattr(construction, "parity_layers", vote)


def last_counter_dropped(monkeypatch):
    """Wrong on the all-ones pattern only: only the count sees it."""
    right = construction.parity_layers

    def short(sets, inputs, parity="tree"):
        layers = right(sets, inputs, parity)
        if parity == "flat":
            weight = layers[1].weight.copy()
            weight.data[weight.indptr[1:] - 1] = 0
            layers[1] = threshold.ThresholdLayer(weight, layers[1].threshold, "parity")
        return layers

    monkeypatch.setattr(construction, "parity_layers", short)


def doubled_parities(monkeypatch):
    """Weights of 2 in the XORs: nothing fires differently, but they are not -1 and 1."""
    right = construction.parity_layers

    def doubled(*args):
        return [
            threshold.ThresholdLayer(2 * x.weight, 2 * x.threshold, x.kind, x.copies)
            for x in right(*args)
        ]

    monkeypatch.setattr(construction, "parity_layers", doubled)


def parity_size_fixed(monkeypatch):
    """k_S = 16 whatever delta is."""
    monkeypatch.setattr(construction, "default_parity_size", lambda m1, p, parity: min(16, m1 // 2))


def parity_size_by_the_square(monkeypatch):
    """k_S ~ 1 / delta^2."""
    right = construction.default_parity_size

    def large(m1, p, parity):
        size = max(1, min(math.ceil(0.1 / p**2), 8192))
        return right(2 * size, 2 / size, parity) if size <= m1 // 2 else m1 // 2

    monkeypatch.setattr(construction, "default_parity_size", large)
    widen = construction.starting_hyperplanes
    monkeypatch.setattr(construction, "starting_hyperplanes", lambda n: 8 * widen(n))


# --- stage A --------------------------------------------------------------------------------------


def gates(change):
    """Replace what draws the hyperplanes."""

    def mutate(monkeypatch):
        right = points.gaussian_gates

        def changed(m, d, *, rng, bias=1.0):
            return change(*right(m, d, rng=rng, bias=bias))

        for module in (points, construction, threshold):
            monkeypatch.setattr(module, "gaussian_gates", changed)
        # a default argument keeps the old function
        monkeypatch.setitem(points.separating_prefixes.__kwdefaults__, "gates", changed)

    mutate.__name__ = change.__name__
    return mutate


def no_bias(normals, offsets):
    return normals, np.zeros_like(offsets)


def half_bias(normals, offsets):
    return normals, 0.5 * offsets


def double_bias(normals, offsets):
    return normals, 2 * offsets


def width_of_the_log(monkeypatch):
    """m1 at most 40 log2 n."""
    monkeypatch.setattr(
        construction, "hyperplanes_needed", lambda n, delta: 40 * math.ceil(math.log2(n))
    )


def needed(factor):
    def mutate(monkeypatch):
        right = points.hyperplanes_needed

        def changed(n, delta, failure=0.01):
            return max(1, round(factor * right(n, delta, failure)))

        for module in (points, construction, threshold):
            monkeypatch.setattr(module, "hyperplanes_needed", changed)

    mutate.__name__ = f"needed_times_{factor}"
    return mutate


def angle_without_lift(monkeypatch):
    """theta between the points, not their lifts."""
    right = points.separation_probability
    monkeypatch.setattr(
        threshold, "separation_probability", lambda x, x2, bias=True: right(x, x2, bias=False)
    )


# --- stage C --------------------------------------------------------------------------------------


def blocks_share_slots(monkeypatch):
    """All T blocks write to the first."""
    right = construction.memorizing_layer

    def shared(weights, big, widths):
        S = 1 << widths.slot_bits
        folded = [
            sparse.csr_array((w.data, w.tocoo().coords[1] % S, w.indptr), shape=w.shape)
            for w in weights
        ]
        return right(folded, big, widths)

    monkeypatch.setattr(construction, "memorizing_layer", shared)


def one_hot_one_lower(monkeypatch):
    """Also the neighbours of a value fire."""
    right = construction.lift_layer

    def low(widths):
        layer = right(widths)
        return threshold.ThresholdLayer(layer.weight, layer.threshold - 1, "lift")

    monkeypatch.setattr(construction, "lift_layer", low)


# --- stage D --------------------------------------------------------------------------------------


def forward_substitution(monkeypatch):
    """In the order of leaving."""
    right = kernels.solve_groups

    def changed(first, last, starts, slots, n_slots, labels, order, owner, weight):
        backwards = order.copy()
        for j in range(first, last):
            backwards[starts[j] : starts[j + 1]] = order[starts[j] : starts[j + 1]][::-1]
        return right(first, last, starts, slots, n_slots, labels, backwards, owner, weight)

    monkeypatch.setattr(kernels, "solve_groups", changed)


def memorizing(change):
    """Replace stage D's weights and threshold."""

    def mutate(monkeypatch):
        right = construction.memorizing_layer

        def changed(weights, big, widths):
            return change(right, weights, big, widths)

        monkeypatch.setattr(construction, "memorizing_layer", changed)

    mutate.__name__ = change.__name__
    return mutate


def big_is_one(right, weights, big, widths):
    return right(weights, 1, widths)


def no_group_weights(right, weights, big, widths):
    layer = right(weights, big, widths)
    weight = layer.weight.copy()
    weight.data[weight.indices < widths.groups] = 0
    return threshold.ThresholdLayer(weight, np.ones_like(layer.threshold), layer.kind)


def strictly_greater(right, weights, big, widths):
    layer = right(weights, big, widths)
    return threshold.ThresholdLayer(layer.weight, layer.threshold + 1, layer.kind)


def enormous_group_weight(right, weights, big, widths):
    return right(weights, 10 * big, widths)


def one_block(monkeypatch):
    """T = 1 separates only by growing s."""
    right = construction._memorize

    def changed(X, y, outputs, **options):
        return right(X, y, outputs, **{**options, "n_hashes": 1})

    monkeypatch.setattr(construction, "_memorize", changed)


def too_many_slots(monkeypatch):
    """n^(3/4) slots a block instead of n^(1/2)."""
    monkeypatch.setattr(
        construction,
        "default_bits",
        lambda n, slack=1.5: (round(math.log2(n) / 2), math.ceil(0.75 * math.log2(n))),
    )


def labels_draw(monkeypatch):
    """Randomness that has seen the labels."""
    right = construction._memorize

    def changed(X, y, outputs, **options):
        options["rng"] = int(np.asarray(y).sum()) + 2**17 * int(np.asarray(y)[0])
        return right(X, y, outputs, **options)

    monkeypatch.setattr(construction, "_memorize", changed)


def labels_elsewhere(monkeypatch):
    """A look-up of points instead of weights: the slot weights stay empty."""

    def empty(weights, big, widths, right=construction.memorizing_layer):
        return right([0 * w for w in weights], big, widths)

    monkeypatch.setattr(construction, "memorizing_layer", empty)


def solver_rounded(monkeypatch):
    """A naive solve that is right would not be a control."""
    monkeypatch.setattr(chapter, "rounded_least_squares", lambda result, y: y)


# --- Baum, cells ----------------------------------------------------------------------------------


def fixed_slab(monkeypatch):
    """eps = 0.01 for all slabs."""
    right = threshold.baum_network
    monkeypatch.setattr(threshold, "baum_network", lambda X, y: right(X, y, eps=0.01))


def larger_class(monkeypatch):
    """Slabs around the larger class."""
    right = baum._smaller_class
    monkeypatch.setattr(baum, "_smaller_class", lambda y: 1 - right(y))


def patterns_for_cells(monkeypatch):
    """Sign patterns of many points instead of cells."""

    def patterns(normals, offsets):
        X = points.sphere(2000, np.shape(normals)[1], rng=np.random.default_rng(0))
        return len(np.unique(X @ np.asarray(normals).T + offsets >= 0, axis=0))

    monkeypatch.setattr(threshold, "count_sphere_cells", patterns)


def euler_without_components(monkeypatch):
    """One component assumed for none."""
    right = bounds.count_sphere_cells
    monkeypatch.setattr(threshold, "count_sphere_cells", lambda g, b: right(g, b) - 1)


def half_the_bound(monkeypatch):
    """n / 4 lines."""
    monkeypatch.setattr(threshold, "circle_lower_bound", lambda n: max(1, n // 4))


def too_weak_a_bound(monkeypatch):
    """Half of the weights that counting asks for."""
    right = bounds.weight_lower_bound
    monkeypatch.setattr(threshold, "weight_lower_bound", lambda *args: right(*args) // 2)


MUTANTS = {
    "C1": [
        majority_for_parity,
        last_counter_dropped,
        gates(no_bias),
        width_of_the_log,
        blocks_share_slots,
        one_hot_one_lower,
        forward_substitution,
        memorizing(big_is_one),
        memorizing(no_group_weights),
        memorizing(strictly_greater),
        one_block,
        too_many_slots,
    ],
    "C2": [
        gates(no_bias),
        gates(half_bias),
        gates(double_bias),
        width_of_the_log,
        parity_size_fixed,
        parity_size_by_the_square,
    ],
    "C3": [needed(0.5), needed(2), gates(no_bias), gates(half_bias), angle_without_lift],
    "C4": [doubled_parities, memorizing(enormous_group_weight), solver_rounded],
    "C5": [fixed_slab, larger_class],
    "C6": [patterns_for_cells, euler_without_components, half_the_bound],
    "C7": [labels_elsewhere, too_weak_a_bound],
    "C8": [labels_draw, forward_substitution],
}


def test_a_broken_implementation_loses_the_claim(judge, monkeypatch, claim, mutate):
    unverified(monkeypatch)
    mutate(monkeypatch)
    verdict = judged(judge, claim)
    assert verdict == Verdict.NOT_REPRODUCED


def test_the_right_implementation_keeps_the_claims(judge):
    """All but Baum's defeat, which needs more points."""
    ledger = judge(CHAPTER, CLAIMS)
    lost = [p for id in CLAIMS for p in ledger[id].parts if p.verdict != Verdict.REPRODUCED]
    assert [p.name for p in lost] == ["largest n: deep gates minus half of n/d"]
    assert lost[0].verdict == Verdict.NOT_AT_THIS_SCALE
