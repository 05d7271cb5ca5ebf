"""FlipFlop: cancellations against enumeration, chosen permutations against plain loops."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from reprise.shuffling import engines, kernels
from reprise.shuffling import flipflop as ff
from reprise.shuffling.closed_forms import log_step_size, mean_estimation_error
from reprise.shuffling.orders import ORDER_NAMES, draw_orders, schedule
from reprise.shuffling.problems import LabelLogistic, MeanEstimation, QuadraticSum, all_gradients
from reprise.shuffling.simulate import run_sgd

rng_of = np.random.default_rng
few_examples = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)

# --- orders ---------------------------------------------------------------------------------------


@few_examples
@given(st.lists(st.permutations(range(5)), min_size=1, max_size=4))
def test_flipflop_follows_each_permutation_by_its_reverse(rows):
    walked = ff.flipflop(rows)
    assert walked.shape == (2 * len(rows), 5)
    assert walked.dtype == np.int64
    assert walked[::2].tolist() == [list(row) for row in rows]
    assert walked[1::2].tolist() == [list(row)[::-1] for row in rows]


@pytest.mark.parametrize("name", ["random_reshuffling", "single_shuffle", "incremental"])
def test_flipflop_of_an_order_is_the_named_order(name):
    drawn = draw_orders(f"flipflop_{name}", 7, epochs=6, runs=4, rng=rng_of(0))
    assert drawn.shape == (4, 6, 7)
    np.testing.assert_array_equal(ff.flipflop(drawn[:, ::2]), drawn)
    fresh = len(np.unique(drawn[:, ::2].reshape(-1, 7), axis=0))
    assert fresh == {"random_reshuffling": 12, "single_shuffle": 4, "incremental": 1}[name]


def test_follow_pattern_walks_as_told():
    assert ff.follow_pattern([[0, 1, 2]], (1, -1, -1, 1)).tolist() == [
        [0, 1, 2],
        [2, 1, 0],
        [2, 1, 0],
        [0, 1, 2],
    ]
    assert ff.follow_pattern(np.zeros((2, 3, 4), int), (1, 1)).shape == (2, 6, 4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ff.flipflop([0, 1, 2]), "permutations must have shape (..., P, n), got (3,)"),
        (lambda: ff.follow_pattern([[0, 1]], (1, 2)), "pattern must hold 1 and -1, got (1, 2)"),
        (lambda: ff.follow_pattern([[0, 1]], ()), "pattern must hold 1 and -1, got ()"),
        (lambda: ff.prefix_reversals([0, 1], 1), "count must be an integer of at least 2, got 1"),
        (lambda: ff.pattern_error((1, -1), 4, 7, 0.1, 1.0), "K must be a multiple of 2, got 7"),
        (lambda: ff.safran_shamir_igd(5), "n must be even and at least 2, got 5"),
        (lambda: ff.logistic_instance(10), "must be an integer from 1 to 9, got 2.5"),
        (lambda: ff.logistic_instance(8, 1.0), "must be an integer from 1 to 7, got 8.0"),
        (lambda: LabelLogistic(4, 0), "positives must lie in 1..3, got 0"),
        (lambda: ff.spread_instance(1), "n must be an integer of at least 2, got 1"),
        (lambda: ff.spread_instance(4, -1.0), "curvature must be positive and finite, got -1.0"),
        (lambda: ff.SmoothSum([1.0], [1.0, 2.0]), "a and y must have one shape (n,)"),
        (lambda: ff.SmoothSum([-1.0], [1.0]), "a must not be negative, got -1.0"),
    ],
)
def test_errors_name_what_is_wrong(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


def test_herding_balances_prefix_sums():
    rng = rng_of(0)
    vectors = rng.standard_normal((400, 3))
    order = rng.permutation(400)

    def worst(rows):
        centred = vectors - vectors.mean(axis=0)
        return np.abs(np.cumsum(centred[rows], axis=0)).max()

    before = worst(order)
    for _ in range(10):
        order = ff.herded_order(vectors, order)
        assert sorted(order.tolist()) == list(range(400))
    assert worst(order) < 0.5 * before


def test_prefix_reversals_go_from_an_order_to_its_reverse():
    rows = ff.prefix_reversals([3, 1, 0, 2], 5)
    assert rows.tolist() == [[3, 1, 0, 2], [3, 1, 0, 2], [1, 3, 0, 2], [0, 1, 3, 2], [2, 0, 1, 3]]


# --- mean estimation: the products ----------------------------------------------------------------


@pytest.mark.parametrize("order", ORDER_NAMES)
@pytest.mark.parametrize("d", [3, engines.WIDE])
@pytest.mark.parametrize("record", [None, [1, 4], [2, 3], range(1, 7)])
def test_products_equal_a_plain_loop(order, d, record):
    rng = rng_of(0)
    points, x0 = rng.standard_normal((9, d)), rng.standard_normal((5, d))
    steps = np.linspace(0.02, 0.1, 6)[None] if d == 3 else np.full((1, 6), 0.05)
    options = {"epochs": 6, "step_size": steps, "runs": 5, "x0": x0, "threads": 1}
    result = run_sgd(MeanEstimation(points), order, rng=rng_of(1), record=record, **options)
    rows = draw_orders(order, 9, epochs=6, runs=5, rng=rng_of(1))
    x, ends = x0.copy(), []
    for k in range(6):
        for j in range(9):
            x = x - steps[0, k] * (x - points[rows[:, k, j]])
        ends.append(x)
    np.testing.assert_allclose(result.x, ends[-1], rtol=1e-11, atol=1e-13)
    for kept, k in zip(result.history, result.record, strict=True):
        np.testing.assert_allclose(kept, ends[k - 1], rtol=1e-11, atol=1e-13)


def test_products_survive_a_mixed_schedule():
    """Fresh, fresh, kept: the gathered product must not be taken for that of one epoch."""
    points = rng_of(0).standard_normal((8, engines.WIDE))
    given = draw_orders("random_reshuffling", 8, epochs=6, runs=3, rng=rng_of(2))
    given[:, 2] = given[:, 1]
    given[:, 5] = given[:, 4]
    plan = schedule(given, 8, epochs=6, runs=3)
    source = plan.source.copy()
    source[[2, 5]] = kernels.KEEP
    out = np.empty((1, 3, engines.WIDE))
    ids, last = np.arange(3), np.array([6])
    stream = kernels.Stream(np.uint64(0), np.uint64(0), ids)
    start = np.zeros((3, engines.WIDE))
    engines.run_mean_estimation(
        MeanEstimation(points),
        plan._replace(source=source),
        np.full(6, 0.1),
        stream,
        start,
        last,
        out,
    )
    x = start
    for k in range(6):
        for j in range(8):
            x = x - 0.1 * (x - points[given[:, k, j]])
    np.testing.assert_allclose(out[0], x, rtol=1e-12)


@pytest.mark.parametrize("pattern", [(1,), (1, -1), (1, -1, -1, 1)])
def test_pattern_error_is_the_mean_over_all_orders(pattern, paths, walk):
    points = np.array([-1.3, 0.2, 0.4, 0.7])
    epochs = paths(range(4), "random_reshuffling", 1)
    rows = ff.follow_pattern(epochs, pattern)
    ends = walk(lambda i, x: x - points[i], rows, 0.2, 0.0)[:, -1]
    truth = (ends**2).mean()
    found = ff.pattern_error(pattern, 4, len(pattern), 0.2, float((points**2).sum()))
    assert found == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("K", [2, 8, 40])
def test_pattern_error_agrees_with_the_closed_form_of_flipflop(K):
    pair = ff.pattern_error((1, -1), 30, K, 0.01, 7.0)
    known = mean_estimation_error(30, K, 0.01, 7.0, 0.0, "flipflop_random_reshuffling")
    assert pair == pytest.approx(known, rel=1e-10)
    plain = mean_estimation_error(30, K, 0.01, 7.0, 0.0, "random_reshuffling")
    assert ff.pattern_error((1,), 30, K, 0.01, 7.0) == pytest.approx(plain, rel=1e-10)


def test_published_start_moves_all_coordinates_together():
    points = ff.unit_points(50, 16, rng=rng_of(0))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0)
    away = ff.published_start(points, 4000, rng=rng_of(1)) - points.mean(axis=0)
    np.testing.assert_allclose(away, away[:, :1] * np.ones(16), atol=1e-12)
    assert (away**2).sum(axis=1).mean() == pytest.approx(1.0, abs=0.12)


# --- the logistic lanes ---------------------------------------------------------------------------


@pytest.mark.parametrize("reach", [1e-9, 1.0, 5.0, 40.0, 700.0])
def test_exp_is_good_to_two_units_in_the_last_place(reach):
    v = rng_of(0).uniform(-reach, reach, 50_000)
    found = v.copy()
    kernels.exp_in_place(found)
    truth = np.array([math.exp(t) for t in v])
    assert (np.abs(found - truth) / np.spacing(truth)).max() < 2.0


def test_exp_is_clipped_and_exact_at_zero():
    found = np.array([0.0, -0.0, 800.0, -800.0, 700.0])
    kernels.exp_in_place(found)
    assert found[0] == found[1] == 1.0
    assert found[2] == found[4] == pytest.approx(math.exp(700), rel=1e-15)
    assert found[3] == pytest.approx(math.exp(-700), rel=1e-15)


@pytest.mark.parametrize("order", [name for name in ORDER_NAMES if name != "with_replacement"])
def test_logistic_lanes_equal_a_plain_loop(order):
    problem = ff.logistic_instance(12)
    x0 = np.linspace(-3, 40, 70)
    options = {"epochs": 4, "step_size": 0.3, "runs": 70, "x0": x0, "threads": 1}
    rows = draw_orders(order, 12, epochs=4, runs=70, rng=rng_of(3))
    x = x0.copy()
    for k in range(4):
        for j in range(12):
            x = x - 0.3 * (1 / (1 + np.exp(-x)) - problem.labels[rows[:, k, j]])
    # drawn kinds have another stream than drawn indices: only fixed orders can be named
    for walked in [rows, order] if order.endswith("incremental") else [rows]:
        found = run_sgd(problem, walked, rng=rng_of(0), **options).x[:, 0]
        np.testing.assert_allclose(found, x, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("order", ["random_reshuffling", "flipflop_random_reshuffling"])
def test_logistic_lanes_have_the_law_of_all_orders(order, paths, walk, standard_errors):
    problem = LabelLogistic(4, 1)
    rows = paths((0, 0, 0, 1), order, 2)
    ends = walk(lambda y, x: 1 / (1 + np.exp(-x)) - y, rows, 0.5, 0.3)[:, -1]
    found = run_sgd(
        problem, order, epochs=2, step_size=0.5, runs=50_000, x0=0.3, rng=rng_of(0), threads=1
    ).x[:, 0]
    assert standard_errors(found, ends) < 4.5
    assert found.std() == pytest.approx(ends.std(), rel=0.02)


def test_label_logistic_is_a_finite_sum():
    problem = ff.logistic_instance(8)
    assert problem.labels.tolist() == [0] * 6 + [1] * 2
    assert problem.minimizer[0] == pytest.approx(-math.log(3))
    np.testing.assert_allclose(all_gradients(problem, problem.minimizer).mean(), 0, atol=1e-15)
    x = np.array([[0.7], [-2.0]])
    slope = (problem.value(x + 1e-6) - problem.value(x - 1e-6)) / 2e-6
    mean = [all_gradients(problem, row).mean() for row in x]
    np.testing.assert_allclose(slope, mean, rtol=1e-8)


# --- instances ------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant_first", [True, False])
def test_safran_shamir_has_a_constant_half(constant_first):
    problem = ff.safran_shamir_igd(6, constant_first=constant_first)
    at_two = all_gradients(problem, np.array([2.0]))[:, 0]
    assert at_two.tolist() == [1.0] * 6  # x - 1 = 1 there
    at_five = all_gradients(problem, np.array([5.0]))[:, 0].tolist()
    halves = [1.0] * 3, [4.0] * 3
    assert at_five == [*halves[not constant_first], *halves[constant_first]]
    assert problem.minimizer[0] == 0.0
    assert problem.value(np.array([2.0])) == pytest.approx(1.0)


@pytest.mark.parametrize(("order", "constant_first"), [("incremental", 1), ("flipflop_", 0)])
def test_safran_shamir_follows_its_affine_maps(order, constant_first):
    n, K, eta = 20, 6, 0.05
    x = 0.3

    def constant(x):
        return x - eta * n / 2

    def bent(x):
        for _ in range(n // 2):
            x -= eta * (x - 1)
        return x

    halves = (constant, bent) if constant_first else (bent, constant)
    for k in range(K):
        for half in halves[::-1] if order == "flipflop_" and k % 2 else halves:
            x = half(x)
    problem = ff.safran_shamir_igd(n, constant_first=bool(constant_first))
    name = order if constant_first else "flipflop_incremental"
    end = run_sgd(problem, name, epochs=K, step_size=eta, runs=1, x0=0.3, rng=rng_of(0)).x
    assert end[0, 0] == pytest.approx(x, rel=1e-13)


@few_examples
@given(seeds, st.integers(2, 9), st.floats(0.1, 8.0))
def test_no_order_changes_the_sum_on_the_spread_instance(seed, n, curvature):
    problem, eta = ff.spread_instance(n, curvature), 0.05 / (1 + curvature)
    rows = draw_orders("random_reshuffling", n, epochs=5, runs=4, rng=rng_of(seed))
    ends = run_sgd(problem, rows, epochs=5, step_size=eta, runs=4, rng=rng_of(0), threads=1).x
    known = ff.spread_sum(n, curvature, eta, 5)
    assert known.shape == (6,)
    np.testing.assert_allclose(ends.sum(axis=1), known[-1], rtol=1e-9, atol=1e-16)
    x = np.zeros(n)
    for i in rows[0].ravel():
        own = x[i]
        x = (1 - eta) * x + eta * (np.arange(n) == i) - eta / n
        x[i] -= eta * curvature * own
    np.testing.assert_allclose(ends[0], x, rtol=1e-9, atol=1e-15)


def test_spread_bound_is_the_limit_of_the_sum():
    eta = 1e-6
    limit = ff.spread_sum(30, 4.0, eta, 1)[1] / (1 - (1 - eta) ** 29 * (1 - 5 * eta))
    assert limit**2 / 30 == pytest.approx(ff.spread_bound(30, 4.0, eta), rel=1e-3)


def test_run_adaptively_lets_the_order_follow_the_iterate():
    problem = ff.spread_instance(6)
    seen = []

    def choose(x, order):
        seen.append(x.copy())
        return np.argsort(x)

    end = ff.run_adaptively(problem, choose, epochs=4, step_size=0.01, x0=np.arange(6.0))
    assert seen[0].tolist() == [0, 1, 2, 3, 4, 5]
    x = np.arange(6.0)
    for before in seen:
        np.testing.assert_allclose(x, before)
        for i in np.argsort(before):
            x = x - 0.01 * problem.gradient(np.array(i), x)
    np.testing.assert_allclose(end, x)


def test_smooth_sum_and_its_minimizer():
    problem = ff.smooth_instance()
    root = optimize.brentq(lambda v: problem.slope(np.arange(20), v).sum(), -2, 2, xtol=1e-15)
    assert problem.minimizer[0] == pytest.approx(root, abs=1e-14)
    x, h = np.array([0.4]), 1e-5
    numeric = (problem.value(x + h) - problem.value(x - h)) / (2 * h)
    assert numeric == pytest.approx(problem.slope(np.arange(20), x[0]).mean(), rel=1e-8)
    bend = (problem.slope(3, x + h) - problem.slope(3, x - h)) / (2 * h)
    assert problem.curvature(3, x) == pytest.approx(bend, rel=1e-8)


def test_standardized_logistic_has_rows_of_mean_length_one():
    raw = rng_of(0).standard_normal((40, 3)) * [1.0, 100.0, 0.0] + 5.0
    problem = ff.standardized_logistic(raw, np.arange(40) % 2)
    assert np.linalg.norm(problem.features, axis=1).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(problem.features.mean(axis=0), 0.0, atol=1e-12)
    assert set(problem.labels) == {-1.0, 1.0}
    assert problem.l2 == 0.1


# --- fast permutations ----------------------------------------------------------------------------


def fast(problem, alpha_n, K, **options):
    return ff.fast_permutations(
        problem.slope,
        problem.curvature,
        problem.minimizer[0],
        problem.n,
        K,
        alpha_n / problem.n,
        **options,
    )


def forward(problem, rows, eta, x):
    """Plain Python."""
    for row in rows:
        for i in row:
            x -= eta * (0.5 * problem.a[i] * math.tanh(x) + x - problem.y[i])
    return x


def test_a_start_on_the_backward_walk_ends_at_the_minimum():
    problem = ff.smooth_instance()
    plan = fast(problem, 0.4, 12)
    assert plan.permutations.shape == (12, 20)
    assert plan.backward.shape == (13,)
    assert plan.backward[0] == problem.minimizer[0]
    for k in (1, 5, 12):
        end = forward(problem, plan.permutations[-k:], 0.02, float(plan.backward[k]))
        assert end == pytest.approx(problem.minimizer[0], abs=1e-14)


@pytest.mark.parametrize("seed", range(6))
def test_fast_permutations_converge_exponentially_from_any_start(seed):
    rng = rng_of(seed)
    problem = ff.SmoothSum(rng.uniform(0.5, 1.5, 16), rng.standard_normal(16))
    plan = fast(problem, 0.35, 30)
    target = problem.minimizer[0]
    bend = problem.curvature(np.arange(16), target)
    assert plan.contraction == pytest.approx(np.prod(1 - 0.35 / 16 * bend))
    reach = np.abs(plan.backward - target).max()
    assert reach < 1.0
    for start in (-2.0, 0.0, 3.0):
        end = forward(problem, plan.permutations, 0.35 / 16, start)
        assert abs(end - target) < 20 * plan.contraction**30 * (abs(start - target) + reach)


def test_two_orders_are_sorted_by_the_gradient_at_the_minimum():
    problem = ff.smooth_instance()
    rising = np.argsort(problem.slope(np.arange(20), problem.minimizer[0]), kind="stable")
    rows = {tuple(row) for row in fast(problem, 0.4, 40).permutations.tolist()}
    assert rows == {tuple(rising.tolist()), tuple(rising[::-1].tolist())}
    drifts = ff.one_epoch_drift(problem, [rising, rising[::-1]], 0.02)[:, 0]
    assert drifts[0] < 0 < drifts[1]  # the pushes that come last are damped least


def test_more_orders_cover_larger_steps():
    problem = ff.smooth_instance()
    rising = np.argsort(problem.slope(np.arange(20), problem.minimizer[0]))
    with pytest.raises(ff.NoCoverError):
        fast(problem, 0.6, 40)
    plan = fast(problem, 0.6, 40, orders=ff.prefix_reversals(rising, 21))
    assert np.abs(plan.backward - problem.minimizer[0]).max() < 0.5


def test_no_cover_error_names_step_and_epoch():
    with pytest.raises(ff.NoCoverError, match=r"step_size 0\.03 is too large.*at epoch 6") as info:
        fast(ff.smooth_instance(), 0.6, 40)
    assert (info.value.step_size, info.value.epoch) == (0.03, 6)
    assert isinstance(info.value, ValueError)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n": 1}, "n must be an integer of at least 2, got 1"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"step_size": 0.0}, "step_size must be positive and finite, got 0.0"),
        ({"step_size": math.nan}, "step_size must be positive and finite, got nan"),
        ({"step_size": 0.9}, "step_size must be below 1 / max hessian = "),
        ({"x_star": 0.3}, "x_star must be the minimiser, got 0.3"),
        ({"x_star": math.nan}, "x_star must be a finite number, got nan"),
        ({"x_star": np.zeros(1)}, "x_star must be a finite number, got array([0.])"),
        ({"orders": [np.arange(20) + 0.2]}, "orders must hold permutations, shape (P, 20)"),
        ({"orders": [[0, 0]]}, "orders must hold permutations, shape (P, 20), got (1, 2)"),
    ],
)
def test_fast_permutations_name_what_is_wrong(change, text):
    problem = ff.smooth_instance()
    arguments = {
        "gradient": problem.slope,
        "hessian": problem.curvature,
        "x_star": problem.minimizer[0],
        "n": 20,
        "epochs": 3,
        "step_size": 0.02,
    }
    with pytest.raises(ValueError, match=re.escape(text)):
        ff.fast_permutations(**(arguments | change))


# --- drift ----------------------------------------------------------------------------------------


def quadratic(n, d, seed):
    rng = rng_of(seed)
    roots = rng.standard_normal((n, d, d))
    return roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(d), rng.standard_normal((n, d))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_tensor_and_floor_predict_one_epoch_to_second_order(d):
    A, b = quadratic(5, d, d)
    problem = QuadraticSum(A, b)
    rows = np.array(list(itertools.permutations(range(5))))
    gaps = []
    for eta in (1e-3, 1e-4):
        drift = ff.one_epoch_drift(problem, rows, eta)
        shared = 5 * eta * A.mean(axis=0) @ ff.symmetric_floor(A, b, eta)
        ordered = ff.ordered_drift(ff.drift_tensor(A, b), rows, eta)
        gaps.append(np.abs(drift - shared - ordered).max() / eta**2)
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.1)  # what is left is of third order


def test_flipflop_cancels_what_knows_the_order():
    A, b = quadratic(6, 2, 0)
    problem = QuadraticSum(A, b)
    rows = draw_orders("random_reshuffling", 6, epochs=1, runs=50, rng=rng_of(0))
    for eta, bound in ((1e-3, 0.1), (1e-4, 0.01)):
        once = ff.one_epoch_drift(problem, rows, eta)
        pair = ff.one_epoch_drift(problem, ff.flipflop(rows), eta)
        assert np.ptp(pair, axis=0).max() < bound * np.ptp(once, axis=0).max()


@few_examples
@given(seeds, st.integers(2, 6), st.integers(1, 3))
def test_tensor_is_antisymmetric_and_reversal_changes_its_sign(seed, n, d):
    A, b = quadratic(n, d, seed)
    tensor = ff.drift_tensor(A, b)
    np.testing.assert_allclose(tensor, -tensor.swapaxes(0, 1))
    row = rng_of(seed).permutation(n)
    there, back = ff.ordered_drift(tensor, [row, row[::-1]], 0.1)
    np.testing.assert_allclose(there, -back, atol=1e-12 * np.abs(tensor).max())


@pytest.mark.parametrize("d", [1, 2])
def test_floor_is_where_flipflop_settles(d):
    A, b = quadratic(8, d, 3)
    problem = QuadraticSum(A, b)
    eta = 2e-4
    end = run_sgd(
        problem,
        "flipflop_incremental",
        epochs=20_000,
        step_size=eta,
        runs=1,
        x0=problem.minimizer,
        rng=rng_of(0),
        threads=1,
    ).x[0]
    floor = ff.symmetric_floor(A, b, eta)
    np.testing.assert_allclose(end - problem.minimizer, floor, rtol=0.05, atol=0.02 * abs(floor[0]))


def test_floor_in_one_dimension_and_with_diagonals():
    a, b = np.array([1.5, 0.5]), np.array([1.0, -1.0])
    floor = ff.symmetric_floor(a, b, 0.1)  # eta mean(ab) / (2 mean a)
    assert floor == pytest.approx([0.1 * 0.5 / 2])
    both = ff.symmetric_floor(np.column_stack([a, a]), np.column_stack([b, 2 * b]), 0.1)
    assert both == pytest.approx([0.025, 0.05])


def test_after_epoch_keeps_the_shape():
    problem = ff.smooth_instance()
    order = rng_of(0).permutation(20)
    starts = np.array([[-1.0, 0.0], [0.5, 2.0]])
    ends = ff.after_epoch(problem, order, 0.02, starts)
    assert ends.shape == (2, 2)
    truth = [[forward(problem, [order], 0.02, v) for v in row] for row in starts.tolist()]
    np.testing.assert_allclose(ends, truth, rtol=1e-12)
    assert float(ff.after_epoch(problem, order, 0.02, 0.5)) == pytest.approx(truth[1][0])


# --- rates and stored data ---------------------------------------------------------------


def test_rate_table_lists_the_three_orders():
    rows = ff.rate_table()
    assert [r.order for r in rows] == ["random_reshuffling", "single_shuffle", "incremental"]
    assert [(r.plain_exponent, r.flipflop_exponent) for r in rows] == [(3, 5), (2, 4), (2, 3)]
    for r in rows:
        assert f"K^{r.plain_exponent}" in r.plain
        assert f"K^{r.flipflop_exponent}" in r.flipflop


@pytest.mark.parametrize("stored", [ff.STORED_QUADRATIC, ff.STORED_LOGISTIC])
def test_stored_medians_are_complete_and_flipflop_is_faster(stored):
    assert set(stored) == {name for name in ORDER_NAMES if name != "with_replacement"}
    for name, values in stored.items():
        assert values.shape == ff.STORED_K.shape
        if not name.startswith("flipflop_"):
            assert (stored[f"flipflop_{name}"] < values).all()


def test_stored_quadratic_igd_is_the_instance():
    """Deterministic but for the start, which has decayed: the simulator must meet the scripts."""
    for name, first in (("incremental", True), ("flipflop_incremental", False)):
        problem = ff.safran_shamir_igd(800, constant_first=first)
        for K, value in zip(ff.STORED_K[2:], ff.STORED_QUADRATIC[name][2:], strict=True):
            end = run_sgd(
                problem,
                name,
                epochs=int(K),
                step_size=log_step_size(800, int(K), 2.0),
                runs=1,
                rng=rng_of(0),
                threads=1,
            )
            assert end.squared_distance()[0] == pytest.approx(value, rel=0.02)


def test_mean_estimation_by_name_is_a_run_of_the_simulator():
    points = ff.unit_points(6, 2, rng=np.random.default_rng(0))
    options = {"epochs": 2, "step_size": 0.1, "runs": 3, "x0": None}
    x = ff.mean_estimation_run(points, "single_shuffle", rng=np.random.default_rng(1), **options)
    options["rng"] = np.random.default_rng(1)
    np.testing.assert_array_equal(x, run_sgd(MeanEstimation(points), "single_shuffle", **options).x)
    rows = ff.orders("random_reshuffling", 6, 2, 3, rng=np.random.default_rng(2))
    assert (np.sort(rows, axis=-1) == np.arange(6)).all()
