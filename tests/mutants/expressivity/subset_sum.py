"""Broken implementations of lottery tickets by subset sum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from mutants import Mutant, Patch, named, replaced
from mutants.expressivity.shared import altered

from reprise.expressivity import edge_popup, subset_sum
from reprise.expressivity.subset_sum import coverings, gadget, popup, solver, weights

# --- the solver -----------------------------------------------------------------------------------


def in_solver(change) -> Patch:
    """Change how subsets are found, wherever they are looked for."""

    def patch(monkeypatch):
        right = solver.solve_subset_sum
        for module in (subset_sum, gadget, weights):
            monkeypatch.setattr(
                module,
                "solve_subset_sum",
                lambda values, targets, **options: change(right, values, targets, options),
            )

    return named(change.__name__, patch)


@in_solver
def rounded_masks(solve, values, targets, options):
    """Subsets of numbers rounded to two decimals, the error that of the rounded sum."""
    return solve(np.round(values, 2), targets, **options)


@in_solver
def greedy(solve, values, targets, options):
    """Greedy under the name of exact."""
    return solve(values, targets, **{**options, "method": "greedy"})


@in_solver
def anytime(solve, values, targets, options):
    """A local search under the name of exact."""
    return solve(values, targets, **{**options, "method": "anytime"})


@in_solver
def wrong_mask(solve, values, targets, options):
    """Sums and errors are right, masks are those of the complement."""
    found = solve(values, targets, **options)
    return replace(found, mask=found.mask ^ np.uint64(2 ** np.shape(values)[-1] - 1))


@in_solver
def lost_number(solve, values, targets, options):
    """The last number is never kept, but counted on."""
    found = solve(values, targets, **options)
    last = np.uint64(1) << np.uint64(np.shape(values)[-1] - 1)
    return replace(found, mask=found.mask & ~last)


@in_solver
def single_numbers(solve, values, targets, options):
    """No sums at all: the nearest single number."""
    found = solve(values, targets, **options)
    if options.get("method") == "greedy":
        return found
    return replace(found, error=np.abs(values - targets[:, None]).min(axis=1))


# --- the draws ------------------------------------------------------------------------------------


def in_numbers(change) -> Patch:
    """Change the random numbers of the coverings."""

    def changed(right):
        return lambda shape, *, law="uniform", rng: change(right, shape, law, rng)

    return replaced(subset_sum, "random_numbers", changed, change.__name__)


@in_numbers
def two_decimals(draw, shape, law, rng):
    """Numbers rounded to two decimals."""
    return np.round(draw(shape, law=law, rng=rng), 2)


@in_numbers
def positive(draw, shape, law, rng):
    """Only positive numbers."""
    return np.abs(draw(shape, law=law, rng=rng))


@in_numbers
def narrow(draw, shape, law, rng):
    """Numbers from a tenth of the range."""
    return 0.1 * draw(shape, law=law, rng=rng)


@in_numbers
def plain(draw, shape, law, rng):
    """Uniform numbers under the name of products."""
    return draw(shape, rng=rng)


@in_numbers
def one_factor_for_all(draw, shape, law, rng):
    """Products whose first factor is shared by all numbers of a set."""
    return draw(shape, rng=rng) * rng.uniform(0, 1, (*shape[:-1], 1))


@in_numbers
def as_products(draw, shape, law, rng):
    """Products under the name of uniform numbers."""
    return draw(shape, law="product", rng=rng)


def half_gap_of_a_half(found, *_):
    """The radius is a quarter of the gap."""
    radius, inside = found
    return radius / 2, inside


def radius_on_a_grid(right):
    """The radius is looked up on a coarse grid."""

    def changed(values, low, high):
        worst = subset_sum.grid_error(values, np.linspace(low, high, 11))
        return worst, np.ones(len(values), int)

    return changed


def another_draw(right):
    """Masks refer to numbers that nobody can draw again."""
    return lambda *args, seed, **options: right(*args, seed=seed + 1, **options)


def one_set_for_a_layer(right):
    """Every weight of a layer uses the first set."""

    def changed(*args, **options):
        for block, values in right(*args, **options):
            yield block, np.repeat(values[:1], len(values), axis=0) / 30

    return changed


# --- the gadget -----------------------------------------------------------------------------------


def no_sign_filter(right):
    """The first n units of an input, whatever the sign of their factor."""
    return lambda u, rows, n, sign: np.arange(u.shape[1])[:, None] * rows + np.arange(n)


def no_negative_half(network, *_):
    """The mask of the negative half is lost."""
    network.masks[0][network.random_weights[0] < 0] = False
    return network


def own_input_not_enforced(network, *_):
    """A unit keeps the edge of the next input too."""
    network.masks[0][:] |= np.roll(network.masks[0], 1, axis=1)
    return network


def fresh_factors_for_each_output(solve):
    """Subsets are chosen as if every output had a first layer of its own."""
    rng = np.random.default_rng(0)
    return lambda products, wanted: solve(products * rng.uniform(0.5, 1.5, products.shape), wanted)


def twice_n_rows(right):
    """R = 2 n."""
    return lambda n, blocks, delta: 2 * n


def twice_the_weights(right):
    """The negative half is fitted to w instead of -w."""
    return lambda *args: right(*args[:-1], np.abs(args[-1]))


# --- pruning by search ----------------------------------------------------------------------------


def trainable_weights(right):
    """The frozen weights learn too."""

    def changed(model, *args, **options):
        for layer in model:
            for name in {"weight", "u", "v"} & set(layer._buffers):
                layer.register_parameter(name, torch.nn.Parameter(layer._buffers.pop(name)))
        return right(model, *args, **options)

    return changed


def scores_do_not_learn(right):
    """Random masks: the gradient never reaches the scores."""
    return staticmethod(lambda context, gradient: (0 * gradient, None))


def top_fraction_swapped(right):
    """Keeps the top s instead of the top 1 - s."""
    return lambda count, sparsity: right(count, 1 - sparsity if sparsity else sparsity)


HALF_GAP = altered(coverings, "_cover", half_gap_of_a_half)
ON_A_GRID = replaced(coverings, "_cover", radius_on_a_grid)
TABLE = {
    "C1": [greedy, anytime, rounded_masks, replaced(weights, "draw_values", one_set_for_a_layer)],
    "C2": [wrong_mask, rounded_masks, lost_number, replaced(weights, "draw_values", another_draw)],
    "C3": [positive, narrow, ON_A_GRID],
    "C4": [HALF_GAP, as_products],
    "C5": [greedy, anytime, single_numbers],
    "C6": [plain, one_factor_for_all, positive],
    "C7": [
        replaced(gadget, "_first_units", no_sign_filter),
        altered(subset_sum, "prune_to_target", no_negative_half),
        replaced(gadget, "solve_subset_sum", fresh_factors_for_each_output),
        replaced(gadget, "rows_per_input", twice_n_rows),
        altered(subset_sum, "prune_to_target", own_input_not_enforced),
        replaced(gadget, "_keep", twice_the_weights),
        rounded_masks,
    ],
    "C8": [HALF_GAP, ON_A_GRID],
    "C9": [
        replaced(popup, "train_classifier", trainable_weights),
        replaced(edge_popup._StraightThrough, "backward", scores_do_not_learn),
    ],
}
CHEAPER = {"C7": {"gadget_draws": 1}, "C9": {"popup_epochs": 5}}
MUTANTS = [
    *(
        Mutant(c, patch, changes=CHEAPER.get(c, {}))
        for c, patches in TABLE.items()
        for patch in patches
    ),
    # decays that smoke cannot tell apart
    *(
        Mutant("C3", patch, profile="book", changes={"curve_trials": 60})
        for patch in (two_decimals, as_products)
    ),
    # at s = 0.5 both keep the same number, and the largest scores' complement learns as well
    Mutant(
        "C9",
        replaced(edge_popup, "dropped_count", top_fraction_swapped),
        changes={**CHEAPER["C9"], "popup_sparsities": [0.0, 0.5, 0.9]},
    ),
]
