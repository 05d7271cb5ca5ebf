"""Subset sums: the solver against brute force, the gadget against its own matrices."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from reprise.expressivity import subset_sum as ss
from reprise.expressivity.subset_sum import coverings, gadget, kernels, solver, weights
from reprise.expressivity.subset_sum.page import subset_explorer
from reprise.images import load_images
from reprise.parameters import ParameterError, knobs

rng_of = np.random.default_rng
few_examples = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)


def brute_force(values, target):
    """Least error over all subsets, by writing them all out."""
    masks = np.arange(2 ** len(values))
    kept = (masks[:, None] >> np.arange(len(values))) & 1
    return np.abs((kept * values).sum(axis=1) - target).min()


# --- the solver -----------------------------------------------------------------------------------


@few_examples
@given(
    st.lists(
        st.floats(-4, 4) | st.integers(-3, 3).map(float) | st.just(1e-9), min_size=1, max_size=13
    ),
    st.floats(-6, 6),
)
def test_exact_is_what_brute_force_finds(values, target):
    found = ss.solve_subset_sum([values], [target])
    assert found.error[0] == pytest.approx(brute_force(np.array(values), target), abs=1e-12)
    chosen = ss.subset_from_mask(found.mask[0], len(values))
    assert found.sum[0] == pytest.approx(np.array(values)[chosen].sum(), abs=1e-12)
    assert found.error[0] == abs(found.sum[0] - target)
    assert found.n_kept[0] == chosen.sum()
    assert found.optimal[0]


@few_examples
@given(seeds, st.integers(12, 18), st.sampled_from([1, 2, 7, 40]), st.sampled_from([0.01, 1, 100]))
def test_slots_and_walk_agree(seed, n, targets, scale):
    """Also where targets lie outside all sums, which slots cannot prove."""
    rng = rng_of(seed)
    values = scale * rng.uniform(-1, 1, (3, n))
    wanted = scale * rng.normal(0, 2, (3, targets))
    by_slots = ss.solve_subset_sum(values, wanted)
    masks = np.zeros(wanted.shape, np.uint64)
    for row, target, mask in zip(values, wanted, masks, strict=True):
        kernels.meet_by_walk(row, target, np.ones(targets, np.bool_), mask)
    sums = np.where(ss.subset_from_mask(masks, n), values[:, None, :], 0.0).sum(axis=-1)
    np.testing.assert_allclose(by_slots.error, np.abs(sums - wanted), atol=1e-12 * scale)


def test_most_instances_are_proved_by_slots(monkeypatch):
    """The fast way would be slow if it fell back often; and a wrong proof would show here."""
    values, wanted = rng_of(0).uniform(-1, 1, (400, 21)), rng_of(1).uniform(-0.5, 0.5, (400, 1))
    plan = solver._SlotPlan.choose(21, 1)
    scratch = plan.scratch(21)
    todo, masks = np.ones(1, np.bool_), np.zeros((400, 1), np.uint64)
    left_over = 0
    for row, target, mask in zip(values, wanted, masks, strict=True):
        kernels.meet_by_slots(row, target, 0.0, plan.k, *scratch, todo, mask)
        left_over += int(todo[0])
        assert (scratch[2] == -1).all()  # the next row finds empty slots
    assert left_over <= 12


@pytest.mark.parametrize(
    "values",
    [
        np.ones(20),
        np.zeros(20),
        np.r_[np.zeros(10), np.linspace(-1, 1, 10)],
        np.r_[np.full(10, 1e-14), np.full(10, 1e3)],
        np.r_[np.full(16, 0.25), -np.full(4, 0.125)],
    ],
)
@pytest.mark.parametrize("target", [0.0, 0.3, -7.7, 1e6])
def test_degenerate_numbers_are_solved_too(values, target):
    found = ss.solve_subset_sum(values, target)
    assert found.error == pytest.approx(brute_force(values, target), abs=1e-9)


def test_shapes_follow_the_targets():
    values = rng_of(0).uniform(-1, 1, (5, 14))
    assert ss.solve_subset_sum(values, np.zeros(5)).mask.shape == (5,)
    assert ss.solve_subset_sum(values, np.zeros((5, 3))).sum.shape == (5, 3)
    assert ss.solve_subset_sum(values, 0.25).n_kept.shape == (5,)
    assert ss.solve_subset_sum(values[0], 0.25).error.shape == ()
    shared = ss.solve_subset_sum(values[0], np.full((2, 3), 0.25))
    assert shared.error.shape == (2, 3)
    assert len(np.unique(shared.mask)) == 1
    result = ss.solve_subset_sum(values, np.zeros(5))
    dtypes = [getattr(result, f).dtype for f in ("mask", "sum", "error", "n_kept", "optimal")]
    assert dtypes == [np.uint64, np.float64, np.float64, np.int64, np.bool_]


def test_the_empty_subset_is_allowed():
    found = ss.solve_subset_sum([[1.0, 2.0], [-1.0, 3.0]], [-5.0, 0.1])
    assert found.mask.tolist() == [0, 0]
    assert found.sum.tolist() == [0.0, 0.0]
    assert found.n_kept.tolist() == [0, 0]


def test_results_do_not_depend_on_threads_or_batches():
    values, wanted = rng_of(0).uniform(-1, 1, (700, 16)), rng_of(1).uniform(-0.5, 0.5, 700)
    one = ss.solve_subset_sum(values, wanted, n_threads=1)
    three = ss.solve_subset_sum(values, wanted, n_threads=3)
    alone = ss.solve_subset_sum(values[650:], wanted[650:])
    np.testing.assert_array_equal(one.mask, three.mask)
    np.testing.assert_array_equal(one.mask[650:], alone.mask)


def test_targets_that_share_numbers_get_the_answers_of_their_own():
    values, wanted = rng_of(0).uniform(-1, 1, (4, 15)), rng_of(1).uniform(-0.5, 0.5, (4, 90))
    together = ss.solve_subset_sum(values, wanted)
    apart = ss.solve_subset_sum(np.repeat(values, 90, axis=0), wanted.reshape(-1))
    np.testing.assert_allclose(together.error.reshape(-1), apart.error, atol=1e-15)


def test_exact_agrees_with_an_integer_program():
    values, target = rng_of(3).uniform(-1, 1, 12), 0.3217
    lines = np.c_[np.r_[values, -values].reshape(2, 12), [-1.0, -1.0]]
    solved = optimize.milp(
        np.r_[np.zeros(12), 1.0],
        constraints=optimize.LinearConstraint(lines, ub=[target, -target]),
        integrality=np.r_[np.ones(12), 0],
        bounds=optimize.Bounds(0, np.r_[np.ones(12), np.inf]),
        options={"mip_rel_gap": 0},
    )
    assert ss.solve_subset_sum(values, target).error == pytest.approx(solved.fun, abs=1e-6)


def test_the_largest_problem():
    values = rng_of(0).uniform(-1, 1, (1, 40))
    found = ss.solve_subset_sum(values, [0.123456789])
    assert found.error[0] < 1e-10


def test_an_error_that_is_small_enough_ends_the_search():
    values, wanted = rng_of(0).uniform(-1, 1, (200, 20)), rng_of(1).uniform(-0.5, 0.5, 200)
    exact = ss.solve_subset_sum(values, wanted)
    for method in ("exact", "anytime"):
        near = ss.solve_subset_sum(values, wanted, method=method, eps=0.05)
        assert (near.error >= exact.error).all()
        assert not near.optimal.any()
        assert (near.error <= 0.05).mean() > 0.9
    assert (ss.solve_subset_sum(values, wanted, eps=0.05).error > exact.error).mean() > 0.9


def test_greedy_takes_large_numbers_first():
    found = ss.solve_subset_sum([5.0, 3.0, 1.0, -2.0], 4.2, method="greedy")
    assert ss.subset_from_mask(found.mask, 4).tolist() == [True, False, False, False]
    assert found.error == pytest.approx(0.8)


def greedy_loop(values, target):
    residual = target
    for a in sorted(values, key=abs, reverse=True):
        if abs(residual - a) < abs(residual):
            residual -= a
    return abs(residual)


@few_examples
@given(seeds, st.integers(1, 20))
def test_local_methods_against_plain_loops(seed, n):
    values, target = rng_of(seed).uniform(-1, 1, n), float(rng_of(seed + 1).uniform(-0.5, 0.5))
    greedy = ss.solve_subset_sum(values, target, method="greedy")
    anytime = ss.solve_subset_sum(values, target, method="anytime")
    exact = ss.solve_subset_sum(values, target)
    assert greedy.error == pytest.approx(greedy_loop(values, target), abs=1e-12)
    assert exact.error <= anytime.error + 1e-12 <= greedy.error + 2e-12
    chosen = ss.subset_from_mask(anytime.mask, n)
    for i in range(n):  # no one or two flips help any more
        for j in range(i + 1):
            flipped = chosen.copy()
            flipped[i] = ~flipped[i]
            if j < i:
                flipped[j] = ~flipped[j]
            assert abs(values[flipped].sum() - target) >= anytime.error - 1e-12


@few_examples
@given(seeds, st.integers(1, 12), st.sampled_from([0.003, 0.05, 0.5]))
def test_the_sparsest_subset_is_the_smallest_within_eps(seed, n, eps):
    values, target = rng_of(seed).uniform(-1, 1, n), 0.2
    sums = ss.subset_sums(values)
    sizes = ss.subset_from_mask(np.arange(2**n), n).sum(axis=1)
    near = np.abs(sums - target) <= eps
    found = ss.sparsest_subset(values, target, eps)
    assert bool(found.optimal) == near.any()
    if near.any():
        assert found.n_kept == sizes[near].min()
        best = np.abs(sums - target)[near & (sizes == found.n_kept)].min()
        assert found.error == pytest.approx(best, abs=1e-12)
    else:
        assert found.error == pytest.approx(brute_force(values, target), abs=1e-12)


def test_masks_are_spelt_out():
    assert ss.subset_from_mask(np.array([0, 5], np.uint64), 3).tolist() == [
        [False, False, False],
        [True, False, True],
    ]
    np.testing.assert_allclose(ss.subset_sums([1.0, 10.0, 100.0])[5], 101.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ss.solve_subset_sum(np.ones((2, 0)), [0, 0]), "values must have at least one col"),
        (lambda: ss.solve_subset_sum(np.ones((1, 41)), [0.0]), "at most 40 values, got 41"),
        (
            lambda: ss.solve_subset_sum(np.ones((1, 65)), [0.0], method="greedy"),
            "masks hold at most 64 values, got 65",
        ),
        (lambda: ss.solve_subset_sum([[np.nan, 1.0]], [0.0]), "values must be finite"),
        (lambda: ss.solve_subset_sum([[1.0]], [np.inf]), "targets must be finite"),
        (
            lambda: ss.solve_subset_sum(np.ones((3, 2)), np.ones(2)),
            "values and targets disagree on the batch size: 3 and 2",
        ),
        (lambda: ss.solve_subset_sum(np.ones((1, 2, 3)), [0.0]), "values must have shape (B, n)"),
        (lambda: ss.solve_subset_sum([1.0], 0.0, eps=0.0), "eps must be positive, got 0.0"),
        (
            lambda: ss.solve_subset_sum([1.0], 0.0, method="dp"),
            "method must be one of exact, greedy, anytime, got 'dp'",
        ),
        (lambda: ss.sparsest_subset([1.0], 0.0, -1), "eps must be positive, got -1"),
        (lambda: ss.subset_from_mask(0, 65), "n must be from 1 to 64, got 65"),
        (lambda: ss.num_candidates(0.0), "eps must be positive and below 1, got 0.0"),
        (lambda: ss.num_candidates(0.1, 0), "c must be positive, got 0"),
        (lambda: ss.covering([1.0], 1, 1), "low must be below high, got 1 and 1"),
        (lambda: ss.covering(np.ones(27), 0, 1), "values must have 1 to 26 columns"),
        (lambda: ss.random_numbers((2,), law="normal", rng=rng_of(0)), "law must be 'uniform' or"),
    ],
)
def test_impossible_problems_are_refused(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_the_authors_count_of_numbers():
    assert ss.num_candidates(0.01) == 21
    assert ss.num_candidates(0.05) == 12
    assert ss.num_candidates(0.01, 5) == 35


# --- covering -------------------------------------------------------------------------------------


@few_examples
@given(seeds, st.integers(1, 9))
def test_the_radius_is_the_worst_of_a_very_fine_grid(seed, n):
    values = rng_of(seed).uniform(-1, 1, n)
    grid = np.linspace(-0.5, 0.5, 20_001)
    nearest = np.abs(ss.subset_sums(values)[:, None] - grid).min(axis=0).max()
    radius = ss.covering_radius(values, -0.5, 0.5)
    assert nearest - 1e-12 <= radius <= nearest + 5e-5


@pytest.mark.parametrize("low", [-0.5, 3.0, 40.0])
def test_many_sums_are_measured_as_few_are(monkeypatch, low):
    values = rng_of(0).uniform(-1, 1, (20, 13))
    by_row = ss.covering(values, low, low + 1)
    monkeypatch.setattr(coverings, "FEW_SUMS", 2**13)
    together = ss.covering(values, low, low + 1)
    np.testing.assert_array_equal(by_row.radius, together.radius)
    np.testing.assert_array_equal(by_row.inside, together.inside)


def test_the_radius_counts_only_gaps_whose_middle_is_inside():
    # sums 0 and 1: between them the middle is 0.5
    assert ss.covering_radius([1.0], 0.0, 1.0) == 0.5
    assert ss.covering_radius([1.0], 0.0, 0.4) == pytest.approx(0.4)
    assert ss.covering_radius([1.0], 0.6, 1.0) == pytest.approx(0.4)
    assert ss.covering_radius([1.0], 0.6, 1.5) == pytest.approx(0.5)
    assert ss.covering_radius([0.1], 1.0, 2.0) == pytest.approx(1.9)
    found = ss.covering([[1.0, 0.25], [3.0, 7.0]], -0.5, 0.5)
    assert found.radius.tolist() == [0.5, 0.5]
    assert found.inside.tolist() == [2, 1]


def test_a_grid_never_sees_more_than_there_is():
    values = rng_of(0).uniform(-1, 1, (50, 10))
    coarse = ss.grid_error(values, np.linspace(-0.5, 0.5, 201))
    assert (coarse <= ss.covering_radius(values, -0.5, 0.5) + 1e-15).all()
    fine = ss.grid_error(values[:3], np.linspace(-0.5, 0.5, 50_001))
    np.testing.assert_allclose(fine, ss.covering_radius(values[:3], -0.5, 0.5), atol=2e-5)


def test_products_are_products_of_fresh_factors():
    values = ss.random_numbers((4000, 3), law="product", rng=rng_of(0))
    sample = rng_of(1).uniform(-1, 1, 12_000) * rng_of(2).uniform(0, 1, 12_000)
    assert stats.ks_2samp(values.reshape(-1), sample).pvalue > 0.001
    correlation = np.corrcoef(np.abs(values.T))
    assert np.abs(correlation - np.eye(3)).max() < 0.06


def test_first_hits_are_geometric():
    hits = ss.first_hits(np.full(4000, 0.1), [0.1, 0.02], most=2000, rng=rng_of(0))
    for eps, row in zip((0.1, 0.02), hits, strict=True):
        assert row.mean() == pytest.approx(1 / eps, rel=0.08)
        assert (row == 1).mean() == pytest.approx(eps, abs=0.015)
    assert np.isinf(ss.first_hits([5.0], [0.1], most=10, rng=rng_of(0))).all()


def test_least_n():
    holds = np.array([[0, 0, 1, 1], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert ss.least_n([4, 5, 6], holds, 0.75) == 5
    assert ss.least_n([4, 5, 6], holds, 0.9) == 6
    assert math.isinf(ss.least_n([4, 5], holds[:2], 0.9))


# --- every weight of a network --------------------------------------------------------------------

LAYERS = [rng_of(0).normal(0, 0.1, (6, 9)), rng_of(1).normal(0, 0.1, (4, 6))]
RANGE = {"low": -0.4, "high": 0.4, "seed": 0, "eps": 0.01}


def recompute(found, draw, n):
    """Sums from the masks and a second draw of the same streams."""
    for i, layer in enumerate(LAYERS):
        options = {"low": -0.4, "high": 0.4, "draw": draw, "seed": 0, "layer": i}
        values = np.concatenate([v for _, v in ss.draw_values(layer.shape, n, **options)])
        if draw == "neuron":
            values = np.repeat(values, layer.shape[1], axis=0)
        chosen = ss.subset_from_mask(found.mask[i].reshape(-1), n)
        yield (values * chosen).sum(axis=1).reshape(layer.shape)


@pytest.mark.parametrize("draw", ["weight", "neuron"])
def test_every_weight_is_a_sum_of_its_numbers(draw):
    found = ss.approximate_weights(LAYERS, 16, draw=draw, **RANGE)
    again = list(recompute(found, draw, 16))
    for approx, layer, sums in zip(found.approx, LAYERS, again, strict=True):
        assert approx.shape == layer.shape
        np.testing.assert_allclose(approx, sums, atol=1e-12)
    gaps = np.concatenate([np.abs(a - w).reshape(-1) for a, w in zip(again, LAYERS, strict=True)])
    np.testing.assert_allclose(found.error, gaps, atol=1e-12)
    assert found.failures == (gaps > 0.01).sum()
    assert found.n_kept.shape == (78,)
    assert found.seconds > 0


def test_a_neuron_shares_its_draw_and_a_weight_does_not():
    count = {
        draw: len(
            np.concatenate(
                [v for _, v in ss.draw_values((6, 9), 5, low=0, high=1, draw=draw, seed=0, layer=0)]
            )
        )
        for draw in ("weight", "neuron")
    }
    assert count == {"weight": 54, "neuron": 6}


@pytest.mark.parametrize("draw", ["weight", "neuron"])
def test_chunks_do_not_change_the_draw(monkeypatch, draw):
    whole = ss.approximate_weights(LAYERS, 13, draw=draw, **RANGE)
    monkeypatch.setattr(weights, "CHUNK", 4)
    parts = ss.approximate_weights(LAYERS, 13, draw=draw, **RANGE)
    for a, b in zip(whole.mask, parts.mask, strict=True):
        np.testing.assert_array_equal(a, b)


def test_small_weights_can_be_dropped_first():
    found = ss.approximate_weights(LAYERS, 14, threshold_small=True, **RANGE)
    weights = np.concatenate([w.reshape(-1) for w in LAYERS])
    small = np.abs(weights) <= 0.01
    assert small.any()
    assert (found.n_kept[small] == 0).all()
    np.testing.assert_allclose(found.error[small], np.abs(weights[small]))
    plain = ss.approximate_weights(LAYERS, 14, **RANGE)
    np.testing.assert_array_equal(found.error[~small], plain.error[~small])


def test_a_single_matrix_is_one_layer():
    alone = ss.approximate_weights(LAYERS[0], 12, **RANGE)
    listed = ss.approximate_weights(LAYERS[:1], 12, **RANGE)
    np.testing.assert_array_equal(alone.approx[0], listed.approx[0])
    with pytest.raises(ValueError, match=re.escape("weights[1] must have shape (out, in)")):
        ss.approximate_weights([LAYERS[0], LAYERS[1][0]], 12, **RANGE)


def test_float32_weights_are_promoted():
    single = [w.astype(np.float32) for w in LAYERS]
    found = ss.approximate_weights(single, 21, **RANGE)
    assert np.median(found.error) < 2e-6
    assert found.approx[0].dtype == np.float64


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"low": 1.0}, "low must be below high, got 1.0 and 0.4"),
        ({"draw": "layer"}, "draw must be 'weight' or 'neuron', got 'layer'"),
        ({"eps": -0.1}, "eps must be positive, got -0.1"),
    ],
)
def test_impossible_approximations_are_refused(change, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        ss.approximate_weights(LAYERS, 12, **{**RANGE, **change})


# --- the gadget -----------------------------------------------------------------------------------

TARGET = ss.normal_target([3, 5, 4], rng=rng_of(0))


def built(**options):
    return ss.prune_to_target(TARGET, 0.1, 0.01, seed=1, **options)


def test_rows_leave_a_block_short_as_rarely_as_promised():
    wanted = [45, 56, 67, 72, 78, 83, 88, 93]
    assert [ss.rows_per_input(n, 40, 0.01) for n in (8, 12, 16, 18, 20, 22, 24, 26)] == wanted
    for n in (1, 3, 26):
        rows = ss.rows_per_input(n, 40, 0.01)
        need = math.log(2 * 40 / 0.01)
        assert 2 * (rows / 2 - n) ** 2 / rows >= need > 2 * ((rows - 1) / 2 - n) ** 2 / (rows - 1)
        both = stats.binom.cdf(n - 1, rows, 0.5) + stats.binom.sf(rows - n, rows, 0.5)
        assert 40 * both <= 0.01


def test_numbers_for_each_weight():
    shapes = [(16, 8), (16, 16), (4, 16)]
    assert [gadget.numbers_per_weight(shapes, eps, 0.01) for eps in (0.3, 0.1, 0.03)] == [26] * 3
    assert gadget.numbers_per_weight(shapes, 0.0001, 0.01) == 36


def test_masks_only_delete_and_keep_one_input_a_unit():
    network = built(n=14)
    assert len(network.random_weights) == len(network.masks) == 4
    for w, mask, shape in zip(
        network.random_weights,
        network.masks,
        [
            (3 * network.rows, 3),
            (5, 3 * network.rows),
            (5 * network.rows, 5),
            (4, 5 * network.rows),
        ],
        strict=True,
    ):
        assert w.shape == mask.shape == shape
        assert mask.dtype == bool
        assert w.min() >= -1
        assert w.max() <= 1
    for layer, inputs in ((0, 3), (2, 5)):
        first, mask = network.random_weights[layer], network.masks[layer]
        assert (mask.sum(axis=1) <= 1).all()
        units, ports = np.nonzero(mask)
        assert (units // network.rows == ports).all()
        kept = first[units, ports]
        signs = [(kept[ports == j] > 0).sum() for j in range(inputs)]
        assert signs == [14] * inputs
        assert len(kept) == 14 * inputs * (2 if layer == 0 else 1)
    assert network.n_kept == sum(m.sum() for m in network.masks)
    assert network.n_parameters == 3 * network.rows * 8 + 5 * network.rows * 9


def test_the_masked_network_is_the_collapsed_one_and_near_the_target():
    network = built(n=18)
    x = rng_of(2).standard_normal((300, 3))
    first, last = network.collapsed()
    assert (first.shape, last.shape) == ((5, 6), (4, 5))
    split = np.hstack([np.maximum(x, 0), np.maximum(-x, 0)])
    by_hand = np.maximum(split @ first.T, 0) @ last.T
    np.testing.assert_allclose(network.forward(x), by_hand, atol=1e-13)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1)
    errors = np.linalg.norm(network.forward(x) - ss.relu_network(TARGET, x), axis=1)
    assert errors.max() <= network.error_bound < 0.02
    assert network.short_blocks == 0


def test_the_collapse_matches_single_inputs_through_the_matrices():
    """Column j of the two halves is the first pair's answer to e_j and to -e_j."""
    network = built(n=12)
    u, v = (w * m for w, m in zip(network.random_weights[:2], network.masks[:2], strict=True))
    answers = [np.maximum(sign * np.eye(3) @ u.T, 0) @ v.T for sign in (1, -1)]
    np.testing.assert_allclose(network.collapsed()[0], np.hstack([a.T for a in answers]))


def test_both_halves_are_judged():
    """A lost negative half leaves small errors but a certificate near the weights themselves."""
    network = built(n=18)
    first = network.random_weights[0]
    network.masks[0][first < 0] = False
    assert network.error_bound > 0.5
    assert network.error_bound >= np.linalg.norm(TARGET[0]) * 0.9


def test_the_certificate_is_the_product_of_the_layers():
    network = built(n=10)
    a, b = (np.linalg.norm(d) for d in network.deviations())
    assert network.error_bound == pytest.approx((1 + a) * (1 + b) - 1)


def test_too_few_rows_leave_blocks_short():
    """R = 2 n is wrong: some input lacks a sign, and its weights a good subset."""
    networks = {
        rows: [ss.prune_to_target(TARGET, 0.1, 0.01, seed=s, n=18, rows=rows) for s in range(8)]
        for rows in (None, 36)
    }
    assert sum(network.short_blocks for network in networks[None]) == 0
    assert sum(network.short_blocks for network in networks[36]) > 8
    middle = {r: np.median([n.error_bound for n in found]) for r, found in networks.items()}
    assert middle[36] > 2 * middle[None]


def test_factors_of_an_input_are_shared_by_all_outputs():
    """A fresh u for each output would need a fresh unit: count the units."""
    network = built(n=10)
    assert network.random_weights[0].shape[0] == network.rows * 3
    used = network.masks[1].any(axis=0)
    shared = network.masks[1][:, used].sum(axis=0)
    assert shared.max() > 1


def test_the_draw_depends_on_the_seed_alone():
    np.testing.assert_array_equal(built(n=9).masks[1], built(n=9).masks[1])
    other = ss.prune_to_target(TARGET, 0.1, 0.01, seed=2, n=9)
    assert not np.array_equal(other.random_weights[0], built(n=9).random_weights[0])
    means = [w.mean() for w in built(n=26).random_weights]
    assert np.abs(means).max() < 0.05


def test_the_search_improves_on_random_inputs_and_measures_the_masked_network():
    network = built(n=9)
    found = ss.find_largest_error(network, rng=rng_of(0), random=500, adversarial=40, steps=60)
    assert found.random <= found.adversarial == found.largest <= network.error_bound
    x = found.point[None]
    error = np.linalg.norm(network.forward(x) - ss.relu_network(TARGET, x))
    assert (np.linalg.norm(x), error) == pytest.approx((1.0, found.largest))


def test_ascent_gradients_are_those_of_finite_differences():
    network = built(n=9)
    sides = network.targets, network.collapsed()
    x, direction = rng_of(5).standard_normal((2, 4, 3))
    slope, h = gadget._error_and_slope(*sides, x)[1], 1e-6
    ends = [gadget._error_and_slope(*sides, x + s * h * direction)[0] for s in (1, -1)]
    numeric = 0.5 * ((ends[0] ** 2).sum() - (ends[1] ** 2).sum()) / (2 * h)
    assert (slope * direction).sum() == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ss.prune_to_target([], 0.1, 0.1, seed=0), "weights must hold at least one layer"),
        (
            lambda: ss.prune_to_target([np.eye(3), np.eye(2)], 0.1, 0.1, seed=0),
            "weights[1] must have shape (out, 3), got (2, 2)",
        ),
        (lambda: ss.prune_to_target([[[np.inf]]], 0.1, 0.1, seed=0), "weights[0] must be finite"),
        (
            lambda: ss.prune_to_target([2 * np.eye(2)], 0.1, 0.1, seed=0),
            "weights[0] must have spectral norm at most 1, got 2",
        ),
        (lambda: ss.prune_to_target(TARGET, 0.0, 0.1, seed=0), "eps must lie in (0, 1), got 0.0"),
        (lambda: ss.prune_to_target(TARGET, 0.1, 1.0, seed=0), "delta must lie in (0, 1), got 1.0"),
        (lambda: built(n=41), "n must be from 1 to 40, got 41"),
        (lambda: built(n=10, rows=9), "rows must be at least n = 10, got 9"),
        (lambda: ss.rows_per_input(0, 1, 0.1), "n must be an integer of at least 1, got 0"),
        (lambda: ss.rows_per_input(1, 0, 0.1), "blocks must be an integer of at least 1, got 0"),
        (lambda: ss.rows_per_input(1, 1, 0.0), "delta must lie in (0, 1), got 0.0"),
    ],
)
def test_impossible_gadgets_are_refused(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


# --- pruning by search ----------------------------------------------------------------------------


def test_the_wide_network_has_the_gadgets_parameters():
    assert ss.equal_sizes([784, 500, 10], 5) == [784, 2508, 10]
    gadget_count = 5 * (784 * 500 + 2 * 500 * 500 + 500 * 10 + 784 + 3 * 500)
    width = round((math.sqrt(8 * gadget_count + 794**2) - 794) / 4)
    assert ss.equal_sizes([784, 500, 500, 500, 10], 5) == [784, width, width, width, 10]
    sizes = ss.equal_sizes([400, 120, 84, 10], 5)
    wide = sum(a * b for a, b in itertools.pairwise(sizes))
    assert wide == pytest.approx(5 * (400 * 121 + 120 * 85 + 84 * 11), rel=0.01)


@pytest.mark.parametrize("structure", ["dense", "wide", "linear", "relu"])
def test_popup_networks_have_the_stated_layers(structure):
    generator = torch.Generator().manual_seed(0)
    network = ss.popup_network(structure, [6, 5, 3], 0.5, redundancy=2, generator=generator)
    kinds = {"dense": "DenseLinear", "wide": "EdgePopupLinear"}
    assert type(network[0]).__name__ == kinds.get(structure, "GadgetLinear")
    assert getattr(network[0], "relu", False) == (structure == "relu")
    assert network(torch.ones(4, 6)).shape == (4, 3)


def test_architectures_have_their_sizes():
    assert ss.popup_sizes("two_layer", 64, 7) == [64, 7, 10]
    assert ss.popup_sizes("four_layer", 64, 7) == [64, 7, 7, 7, 10]
    assert ss.popup_sizes("lenet5", 784, 7) == [400, 120, 84, 10]
    front = ss.lenet_front(generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    assert front(torch.zeros(2, 784)).shape == (2, 400)


def test_a_popup_run_repeats_itself():
    images = load_images("digits", normalization="standard", train=300).flat()
    options = {"hidden": 8, "redundancy": 2, "epochs": 1, "seed": 3}
    runs = [ss.popup_run(images, "linear", 0.5, **options) for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0].kept == (64 * 2 + 8 * 2 + 64 * 2 * 8 + 8 * 2 * 10) // 2


def test_convolutions_learn_only_in_the_baseline():
    rng = rng_of(0)
    images = load_images("digits", train=100)
    fake = type(images)(rng.random((64, 784)), images.y_train[:64], rng.random((8, 784)),
                        images.y_test[:8], images.record)  # fmt: skip
    options = {"hidden": 1, "redundancy": 1, "epochs": 1, "seed": 0, "architecture": "lenet5"}
    for structure in ("dense", "linear"):
        assert 0 <= ss.popup_run(fake, structure, 0.5, **options).accuracy <= 100


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ss.popup_sizes("resnet", 784, 1), "must be one of two_layer, four_layer, lenet5"),
        (lambda: ss.popup_sizes("lenet5", 64, 1), "lenet5 needs images of 784 pixels, got 64"),
        (
            lambda: ss.popup_network(
                "thin", [2, 2], 0.5, redundancy=1, generator=torch.Generator()
            ),
            "structure must be dense, wide, linear or relu, got 'thin'",
        ),
    ],
)
def test_impossible_searches_are_refused(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


# --- the chapter's knobs and instrument -----------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"popup_sparsities": [0.0, 0.9]}, "popup_sparsities must hold 0 and 0.5"),
        ({"popup_architectures": ["four_layer"]}, "popup_architectures must hold two_layer"),
        (
            {"dataset": "digits", "popup_architectures": ["two_layer", "lenet5"]},
            "popup_architectures must not hold lenet5 on digits",
        ),
    ],
)
def test_what_is_judged_must_be_measured(change, text):
    with pytest.raises(ParameterError, match=text):
        knobs("expressivity/subset_sum").check(change)


def test_the_explorer_carries_its_numbers():
    shown = subset_explorer([0.25, -0.5], target=0.1, caption="a caption", alt="an alternative")
    assert repr(shown) == "Figure: a caption"
    assert '"values":[0.25,-0.5]' in shown.markup
    with pytest.raises(ValueError, match="values must hold 1 to 14 numbers, got 15"):
        subset_explorer(np.ones(15), target=0.0, caption="", alt="")
