"""Broken implementations of memory from a few gates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from mutants import Mutant, Patch, named, replaced
from mutants.expressivity.shared import altered
from scipy import sparse

from reprise.expressivity import threshold
from reprise.expressivity.threshold import baum, construction, kernels, page, points, signs


def everywhere(modules, attribute, change, name="") -> Patch:
    """Change a function under every name by which it is called."""

    def patch(monkeypatch):
        changed = change(getattr(modules[0], attribute))
        for module in modules:
            monkeypatch.setattr(module, attribute, changed)

    return named(name or change.__name__, patch)


# --- stage B --------------------------------------------------------------------------------------


def majority_for_parity(right):
    """The gates vote."""

    def vote(sets, inputs, parity="tree"):
        sets = np.asarray(sets)
        counters, last = right(sets, inputs, "flat")
        m2, k = sets.shape
        entries = (np.ones(m2, np.int32), np.arange(m2) * k + k // 2, np.arange(m2 + 1))
        return [counters, replace(last, weight=sparse.csr_array(entries, shape=(m2, m2 * k)))]

    return vote


def last_counter_dropped(layers, sets, inputs, parity):
    """Wrong on the all-ones pattern only: only the count sees it."""
    if parity == "flat":
        weight = layers[1].weight.copy()
        weight.data[weight.indptr[1:] - 1] = 0
        layers[1] = replace(layers[1], weight=weight)
    return layers


def doubled_parities(layers, *_):
    """Weights of 2 in the XORs: nothing fires differently, but they are not -1 and 1."""
    return [replace(x, weight=2 * x.weight, threshold=2 * x.threshold) for x in layers]


def parity_size_fixed(right):
    """k_S = 16 whatever delta is."""
    return lambda m1, p, parity: min(16, m1 // 2)


def parity_size_by_the_square(monkeypatch):
    """k_S ~ 1 / delta^2."""
    right, widen = construction.default_parity_size, construction.starting_hyperplanes

    def large(m1, p, parity):
        size = max(1, min(math.ceil(0.1 / p**2), 8192))
        return right(2 * size, 2 / size, parity) if size <= m1 // 2 else m1 // 2

    monkeypatch.setattr(construction, "default_parity_size", large)
    monkeypatch.setattr(construction, "starting_hyperplanes", lambda n: 8 * widen(n))


# --- stage A --------------------------------------------------------------------------------------


def bias_times(factor, name) -> Patch:
    """Hyperplanes whose biases are smaller or larger."""

    def patch(monkeypatch):
        right = points.gaussian_gates

        def changed(m, d, *, rng, bias=1.0):
            normals, offsets = right(m, d, rng=rng, bias=bias)
            return normals, factor * offsets

        for module in (points, signs, threshold):
            monkeypatch.setattr(module, "gaussian_gates", changed)
        # a default argument keeps the old function
        monkeypatch.setitem(points.separating_prefixes.__kwdefaults__, "gates", changed)

    return named(name, patch)


def width_of_the_log(right):
    """m1 at most 40 log2 n."""
    return lambda n, delta: 40 * math.ceil(math.log2(n))


def needed_times(factor) -> Patch:
    """Another number of hyperplanes than the union bound's."""

    def change(right):
        return lambda *args: max(1, round(factor * right(*args)))

    modules = (points, construction, threshold)
    return everywhere(modules, "hyperplanes_needed", change, f"needed_times_{factor:g}")


def angle_without_lift(right):
    """theta between the points, not their lifts."""
    return lambda x, x2: right(x, x2, bias=False)


# --- stages C and D -------------------------------------------------------------------------------


def one_hot_one_lower(layer, *_):
    """Also the neighbours of a value fire."""
    return replace(layer, threshold=layer.threshold - 1)


def blocks_share_slots(right):
    """All T blocks write to the first."""

    def shared(weights, big, widths):
        S = 1 << widths.slot_bits
        folded = [
            sparse.csr_array((w.data, w.tocoo().coords[1] % S, w.indptr), shape=w.shape)
            for w in weights
        ]
        return right(folded, big, widths)

    return shared


def big_is_one(right):
    """The group outvotes nothing."""
    return lambda weights, big, widths: right(weights, 1, widths)


def no_group_weights(layer, weights, big, widths):
    """Slots alone decide."""
    weight = layer.weight.copy()
    weight.data[weight.indices < widths.groups] = 0
    return replace(layer, weight=weight, threshold=np.ones_like(layer.threshold))


def strictly_greater(layer, *_):
    """Ties count as 0."""
    return replace(layer, threshold=layer.threshold + 1)


def enormous_group_weight(right):
    """Ten times what is needed."""
    return lambda weights, big, widths: right(weights, 10 * big, widths)


def labels_elsewhere(right):
    """A look-up of points instead of weights: the slot weights stay empty."""
    return lambda weights, big, widths: right([0 * w for w in weights], big, widths)


def forward_substitution(right):
    """In the order of leaving."""

    def changed(first, last, starts, slots, n_slots, labels, order, *rest):
        backwards = order.copy()
        for j in range(first, last):
            backwards[starts[j] : starts[j + 1]] = order[starts[j] : starts[j + 1]][::-1]
        return right(first, last, starts, slots, n_slots, labels, backwards, *rest)

    return changed


def one_block(right):
    """T = 1 separates only by growing s."""
    return lambda X, y, **options: right(X, y, **{**options, "n_hashes": 1})


def too_many_slots(right):
    """n^(3/4) slots a block instead of n^(1/2)."""
    return lambda n, slack=1.5: (round(math.log2(n) / 2), math.ceil(0.75 * math.log2(n)))


def labels_draw(right):
    """Randomness that has seen the labels."""
    return lambda X, y, **options: right(
        X, y, **{**options, "rng": int(np.sum(y)) + 2**17 * int(y[0])}
    )


def naive_solve_is_right(right):
    """Then it would not be a control."""
    return lambda result, y: y


# --- Baum, cells, bounds --------------------------------------------------------------------------


def fixed_slab(right):
    """eps = 0.01 for all slabs."""
    return lambda X, y: right(X, y, eps=0.01)


def larger_class(label, *_):
    """Slabs around the larger class."""
    return 1 - label


def patterns_for_cells(right):
    """Sign patterns of many points instead of cells."""

    def patterns(normals, offsets):
        X = points.sphere(2000, np.shape(normals)[1], rng=np.random.default_rng(0))
        return len(np.unique(X @ np.asarray(normals).T + offsets >= 0, axis=0))

    return patterns


def euler_without_components(cells, *_):
    """One component assumed for none."""
    return cells - 1


def half_the_bound(lines, n):
    """n / 4 lines."""
    return max(1, n // 4)


def too_weak_a_bound(weights, *_):
    """Half of the weights that counting asks for."""
    return weights // 2


NO_BIAS, HALF_BIAS = bias_times(0.0, "no_bias"), bias_times(0.5, "half_bias")
LOG_WIDTH = replaced(construction, "hyperplanes_needed", width_of_the_log)
FORWARD = replaced(kernels, "solve_groups", forward_substitution)
MEMORIZERS = (construction, threshold, page)
TABLE = {
    "C1": [
        replaced(construction, "parity_layers", majority_for_parity),
        altered(construction, "parity_layers", last_counter_dropped),
        NO_BIAS,
        LOG_WIDTH,
        replaced(construction, "memorizing_layer", blocks_share_slots),
        altered(construction, "lift_layer", one_hot_one_lower),
        FORWARD,
        replaced(construction, "memorizing_layer", big_is_one),
        altered(construction, "memorizing_layer", no_group_weights),
        altered(construction, "memorizing_layer", strictly_greater),
        everywhere(MEMORIZERS, "memorize", one_block),
        replaced(construction, "default_bits", too_many_slots),
    ],
    "C2": [
        NO_BIAS,
        HALF_BIAS,
        bias_times(2.0, "double_bias"),
        LOG_WIDTH,
        replaced(construction, "default_parity_size", parity_size_fixed),
        parity_size_by_the_square,
    ],
    "C3": [
        needed_times(0.5),
        needed_times(2),
        NO_BIAS,
        HALF_BIAS,
        replaced(threshold, "separation_probability", angle_without_lift),
    ],
    "C4": [
        altered(construction, "parity_layers", doubled_parities),
        replaced(construction, "memorizing_layer", enormous_group_weight),
        replaced(page, "rounded_least_squares", naive_solve_is_right),
    ],
    "C5": [
        replaced(threshold, "baum_network", fixed_slab),
        altered(baum, "_smaller_class", larger_class),
    ],
    "C6": [
        replaced(threshold, "count_sphere_cells", patterns_for_cells),
        altered(threshold, "count_sphere_cells", euler_without_components),
        altered(threshold, "circle_lower_bound", half_the_bound),
    ],
    "C7": [
        replaced(construction, "memorizing_layer", labels_elsewhere),
        altered(threshold, "weight_lower_bound", too_weak_a_bound),
    ],
    "C8": [everywhere(MEMORIZERS, "memorize", labels_draw), FORWARD],
}
SMALL = {
    "n_values": [256, 1024],
    "power_values": [64, 256, 1024],
    "n_seeds": 1,
    "pair_deltas": [0.3, 0.1, 0.03],
}


def unverified(patch) -> Patch:
    """A mutant is judged by the chapter, not stopped by the builder's own last look."""

    def both(monkeypatch):
        monkeypatch.setattr(construction, "_verify", lambda *args: None)
        patch(monkeypatch)

    return named(patch.__name__, both)


MUTANTS = [
    Mutant(claim, unverified(patch), changes=SMALL, raises=threshold.MemorizationError)
    for claim, patches in TABLE.items()
    for patch in patches
]
