"""The glued parabolas and the quadratics they part from: exact values against enumeration."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy import integrate

from reprise.shuffling.closed_forms import mean_estimation_error
from reprise.shuffling.problems import MeanEstimation, all_gradients, balanced_signs
from reprise.shuffling.sgdo import (
    DRIFT_CONSTANT,
    BestStep,
    best_step_error,
    closed_form,
    closed_form_deviations,
    epoch_drift,
    epoch_paths,
    exact_error,
    isotropic_points,
    level,
    lower_bound_function,
    quadratic_floor,
    step_grid,
    unequal_quadratic,
)
from reprise.shuffling.simulate import run_grid, run_sgd

rng_of = np.random.default_rng
SIGNS = (1, 1, -1, -1)

# --- functions and grids --------------------------------------------------------------------------


def test_lower_bound_function_is_steep_on_the_right():
    problem = lower_bound_function(6, L=5.0, G=0.5)
    x = np.array([[2.0], [-2.0]])
    np.testing.assert_allclose(problem.value(x), [10.0, 2.0])
    np.testing.assert_allclose(problem.gradient(np.array([0, 5]), x)[:, 0], [10.5, -2.5])
    assert lower_bound_function(4).value(np.ones(1)) == 2.0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((5,), "n must be even and at least 2, got 5"),
        ((4, 0.0), "curvature_right must be positive and finite, got 0.0"),
        ((4, 4.0, -1.0), "noise must be finite and not negative, got -1.0"),
    ],
)
def test_lower_bound_function_names_what_is_wrong(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        lower_bound_function(*arguments)


def test_level_is_flat_for_the_square_of_a_step_over_n():
    n, K = np.array([[10], [100]]), np.array([5, 50, 500])
    step = np.log(n * K) / (n * K)
    np.testing.assert_allclose(level(3 * step**2 * n, n, K), 3.0)
    assert level(1.0, 10, 10) == pytest.approx(1000 / math.log(100) ** 2)


def test_step_grid_broadcasts():
    grid = step_grid([10, 20], 5, 2.0)
    assert [(p.n, p.epochs) for p in grid] == [(10, 5), (20, 5)]
    assert [p.step_size for p in grid] == pytest.approx(
        [2 * math.log(50) / 50, 2 * math.log(100) / 100]
    )
    table = step_grid(10, [[2], [3]], [1.0, 4.0])
    assert [p.epochs for p in table] == [2, 2, 3, 3]
    factors = [p.step_size * 10 * p.epochs / math.log(10 * p.epochs) for p in table]
    assert factors == pytest.approx([1.0, 4.0, 1.0, 4.0])
    (one,) = step_grid(10, 5)
    assert one.step_size == pytest.approx(4 * math.log(50) / 50)
    assert all(isinstance(v, int) for v in one[:2])
    with pytest.raises(ValueError, match=r"factor must be positive and finite, got 0\.0"):
        step_grid(10, 5, [1.0, 0.0])


# --- quadratics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle"])
@pytest.mark.parametrize("x0", [0.0, 0.8])
def test_closed_form_is_the_mean_over_all_orders(order, x0, paths, walk):
    eta = 1.5 * math.log(4 * 3) / (4 * 3)
    ends = walk(lambda s, x: x - s, paths(SIGNS, order, 3), eta, x0)[:, -1]
    assert closed_form(4, 3, 1.5, order, x0=x0) == pytest.approx((ends**2).mean(), rel=1e-12)


def test_closed_form_noise_grows_with_the_dimension():
    one = closed_form(10, 4, 2.0, "random_reshuffling")
    assert closed_form(10, 4, 2.0, "random_reshuffling", dim=20) == pytest.approx(20 * one)


@pytest.mark.parametrize(("n", "d"), [(4, 1), (500, 1), (3, 2), (21, 20), (500, 20)])
def test_isotropic_points_have_identity_covariance(n, d):
    points = isotropic_points(n, d, rng=rng_of(0))
    assert points.shape == (n, d)
    np.testing.assert_allclose(points.mean(axis=0), 0.0, atol=1e-13)
    np.testing.assert_allclose(points.T @ points / n, np.eye(d), atol=1e-12)
    assert MeanEstimation(points).sum_squares == pytest.approx(n * d)


@pytest.mark.parametrize(
    ("n", "d", "text"),
    [
        (20, 20, "n must exceed d for points in 20 dimensions, got 20"),
        (5, 1, "n must be even and at least 2, got 5"),
    ],
)
def test_isotropic_points_name_what_is_wrong(n, d, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        isotropic_points(n, d, rng=rng_of(0))


@pytest.mark.parametrize("d", [1, 20])
@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle", "with_replacement"])
def test_simulated_means_deviate_as_chi_squares_do(order, d):
    grid = [tuple(p) for p in step_grid(40, range(20, 50, 2), 2.0)]
    deviations = closed_form_deviations(grid, order, d, runs=400, rng=rng_of(1))
    assert deviations.shape == (15,)
    assert np.abs(deviations).max() < 5
    assert 0.3 < math.sqrt((deviations**2).mean()) < 1.6


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.9])
def test_unequal_quadratic_ties_curvature_to_noise(spread):
    problem = unequal_quadratic(4, spread)
    x = 0.7
    truth = [(1 + spread * s) * x - s for s in SIGNS]
    np.testing.assert_allclose(all_gradients(problem, np.array([x]))[:, 0], truth)
    np.testing.assert_allclose(problem.minimizer, 0.0, atol=1e-15)


@pytest.mark.parametrize("spread", [-0.1, 1.0, math.nan])
def test_unequal_quadratic_checks_its_spread(spread):
    with pytest.raises(ValueError, match=re.escape(f"spread must lie in [0, 1), got {spread}")):
        unequal_quadratic(4, spread)


def stationary_moments(a, b, eta, epochs):
    """Stationary mean and mean square of ``x -> p x + q``, (p, q) uniform over ``epochs``."""
    p, q = np.ones(len(epochs)), np.zeros(len(epochs))
    for column in epochs.T:
        p, q = (1 - eta * a[column]) * p, (1 - eta * a[column]) * q + eta * b[column]
    mean = q.mean() / (1 - p.mean())
    square = (2 * mean * (p * q).mean() + (q**2).mean()) / (1 - (p**2).mean())
    return mean, square


@pytest.mark.parametrize("n", [4, 5])
def test_floor_is_the_stationary_error_of_reshuffling(n, paths):
    rng = rng_of(n)
    a, b = rng.uniform(0.2, 2.0, n), rng.normal(size=n)
    b -= b.mean()
    epochs = paths(range(n), "random_reshuffling", 1)[:, 0]
    gaps = []
    for eta in (1e-2, 1e-3, 1e-4):
        mean, square = stationary_moments(a, b, eta, epochs)
        floor = quadratic_floor(a, b, eta)
        assert np.sign(mean) == np.sign((a * b).mean())
        gaps.append((abs(mean**2 / floor - 1), abs(square / floor - 1)))
    assert max(gaps[-1]) < 0.01
    for coarse, fine in itertools.pairwise(gaps):
        np.testing.assert_allclose(np.divide(coarse, fine), 10, rtol=0.35)


def test_floor_is_where_simulations_end():
    problem, eta = unequal_quadratic(10), 5e-4
    options = {"epochs": 2500, "step_size": eta, "runs": 500, "rng": rng_of(0), "threads": 1}
    error = run_sgd(problem, "random_reshuffling", **options).squared_distance().mean()
    floor = quadratic_floor(problem.A[:, 0], problem.b[:, 0], eta)
    assert error / floor == pytest.approx(1.0, abs=0.06)


def test_floor_scales_with_the_step_and_vanishes_for_equal_curvatures():
    s = balanced_signs(6)
    assert quadratic_floor(1 + 0.9 * s, s, 0.02) == pytest.approx((0.02 * 0.45) ** 2)
    assert quadratic_floor(np.ones(6), s, 0.02) == 0.0


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        ([1.0, 1.0], [1.0], "a and b must have one shape (n,), got (2,) and (1,)"),
        ([[1.0, 1.0]], [[1.0, -1.0]], "got (1, 2) and (1, 2)"),
        ([1.0, -1.0], [1.0, -1.0], "a must have a positive mean, got 0.0"),
        ([math.nan, 1.0], [1.0, -1.0], "a must have a positive mean, got nan"),
        ([1.0, 1.0], [1.0, 0.0], "b must have mean 0, got 0.5"),
        ([1.0, 1.0], [math.nan, 0.0], "b must have mean 0, got nan"),
    ],
)
def test_floor_names_what_is_wrong(a, b, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        quadratic_floor(a, b, 0.1)


# --- drift ----------------------------------------------------------------------------------------


def test_drift_constant_is_half_the_area_under_a_mean_bridge():
    area, _ = integrate.quad(lambda t: math.sqrt(2 / math.pi * t * (1 - t)), 0, 1)
    assert math.isclose(DRIFT_CONSTANT, area / 2, rel_tol=1e-9)


@pytest.mark.parametrize(("eta", "L"), [(0.1, 4.0), (0.2, 4.0), (0.1, 0.5), (0.05, 16.0)])
@pytest.mark.parametrize("order", ["random_reshuffling", "with_replacement"])
def test_drift_is_the_mean_over_all_epochs(eta, L, order, paths, walk, glued_gradient):
    ends = walk(glued_gradient(1.0, L), paths(SIGNS, order, 1), eta, 0.0)[:, -1]
    drift = epoch_drift(4, eta, L, 200_000, rng=rng_of(0), order=order)
    assert abs(drift.mean - ends.mean()) < 4.5 * ends.std() / math.sqrt(200_000)
    assert drift.stderr == pytest.approx(ends.std() / math.sqrt(200_000), rel=0.02)
    assert drift.kappa == pytest.approx(-2 * drift.mean / ((L - 1) * 16 * eta**2))


def test_drift_tends_to_its_constant():
    drift = epoch_drift(1000, 5e-6, 4.0, 200_000, rng=rng_of(0))
    assert drift.mean < 0
    assert drift.kappa == pytest.approx(DRIFT_CONSTANT, abs=0.004)
    coarse = epoch_drift(1000, 5e-5, 4.0, 100_000, rng=rng_of(0))
    assert 0.138 < coarse.kappa < 0.15
    flat = epoch_drift(1000, 5e-6, 0.25, 200_000, rng=rng_of(0))
    assert flat.mean > 0
    assert flat.kappa == pytest.approx(DRIFT_CONSTANT, abs=0.004)


@pytest.mark.parametrize("n", [4, 100])
def test_quadratic_does_not_drift(n):
    drift = epoch_drift(n, 0.05 / n, 1.0, 100_000, rng=rng_of(0))
    assert abs(drift.mean) < 5 * drift.stderr
    assert math.isnan(drift.kappa)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((4, 0.1, 4.0, 1), "runs must be an integer of at least 2, got 1"),
        ((5, 0.1, 4.0, 9), "n must be even and at least 2, got 5"),
        ((4, 0.0, 4.0, 9), "step_size must be positive and finite, got 0.0"),
        ((4, 0.1, -4.0, 9), "curvature_right must be positive and finite, got -4.0"),
    ],
)
def test_drift_names_what_is_wrong(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        epoch_drift(*arguments, rng=rng_of(0))


# --- best step ------------------------------------------------------------------------------------


def test_best_step_error_tabulates_a_grid():
    K, factors = [20, 40, 60], [0.3, 1.0, 2.0, 4.0]
    table = best_step_error(10, K, factors, L=3.0, runs=300, rng=rng_of(0))
    assert table.errors.shape == (3, 4)
    assert table.factors.tolist() == factors
    assert table.epochs.tolist() == K
    grid = [(10, k, c * math.log(10 * k) / (10 * k)) for k in K for c in factors]
    problem = lower_bound_function(10, L=3.0)
    same = run_grid(
        lambda n: problem, "random_reshuffling", grid, runs=300, rng=rng_of(0), x0=-1.0
    ).error()
    np.testing.assert_allclose(table.errors, same.reshape(3, 4), rtol=1e-12)
    np.testing.assert_array_equal(table.minimum, table.errors.min(axis=1))
    assert table.inside


def test_best_step_error_uses_its_order_and_start():
    arguments = {"L": 4.0, "runs": 300, "rng": rng_of(0)}
    reshuffled = best_step_error(10, [50], [1.0], x0=0.0, **arguments).errors[0, 0]
    replaced = best_step_error(10, [50], [1.0], x0=0.0, order="with_replacement", **arguments)
    assert replaced.errors[0, 0] > 4 * reshuffled
    far = best_step_error(10, [50], [0.1], x0=-9.0, **arguments).errors[0, 0]
    assert far == pytest.approx(81 * (1 - 0.1 * math.log(500) / 500) ** 1000, rel=0.01)


@pytest.mark.parametrize(
    ("errors", "best", "inside"),
    [
        ([[3.0, 1.0, 2.0]], [2.0], True),
        ([[1.0, 2.0, 3.0]], [1.0], False),
        ([[3.0, 2.0, 1.0]], [3.0], False),
        ([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]], [2.0, 1.0], False),
        ([[9.0, 1.0, 2.0], [3.0, 0.5, 3.0]], [2.0, 2.0], True),
    ],
)
def test_best_step_is_inside_only_if_bracketed_everywhere(errors, best, inside):
    table = BestStep(np.array([1.0, 2.0, 3.0]), np.arange(len(errors)), np.array(errors))
    assert table.best.tolist() == best
    assert table.minimum.tolist() == [min(row) for row in errors]
    assert table.inside is inside


@pytest.mark.parametrize(
    ("factors", "text"),
    [
        ([], "factors must increase and not be empty, got []"),
        ([1.0, 1.0], "factors must increase and not be empty, got [1.0, 1.0]"),
        ([2.0, 1.0], "factors must increase and not be empty, got [2.0, 1.0]"),
        ([-1.0, 1.0], "factor must be positive and finite, got -1.0"),
    ],
)
def test_best_step_names_what_is_wrong(factors, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        best_step_error(4, [5], factors, runs=3, rng=rng_of(0))


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("x0", [0.0, -0.3])
def test_epoch_paths_equal_a_plain_loop(x0, random_permutations):
    orders = random_permutations(rng_of(0), 5, 8)
    path = epoch_paths(lower_bound_function(8, 3.0, 0.5), orders, 0.2, x0)
    assert path.shape == (5, 9)
    for r in range(5):
        x = x0
        assert path[r, 0] == x0
        for j, i in enumerate(orders[r]):
            x -= 0.2 * ((3.0 if x > 0 else 1.0) * x + (0.5 if i < 4 else -0.5))
            assert path[r, j + 1] == pytest.approx(x, rel=1e-12, abs=1e-15)


def test_epoch_paths_end_where_the_simulator_does(random_permutations):
    orders = random_permutations(rng_of(0), 5, 8)
    problem = lower_bound_function(8)
    options = {"epochs": 1, "step_size": 0.1, "runs": 5, "rng": rng_of(0), "threads": 1}
    ends = run_sgd(problem, orders[:, None], **options).x[:, 0]
    np.testing.assert_allclose(epoch_paths(problem, orders, 0.1)[:, -1], ends, rtol=1e-12)


# --- exact error ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle"])
@pytest.mark.parametrize("x0", [0.0, 0.5, -2.0])
@pytest.mark.parametrize(("L", "eta"), [(4.0, 0.2), (1.0, 0.5), (0.25, 0.8), (16.0, 0.03)])
def test_exact_error_is_the_mean_over_all_paths(L, eta, x0, order, paths, walk, glued_gradient):
    ends = walk(glued_gradient(1.0, L), paths(SIGNS, order, 3), eta, x0)
    for K in (1, 3):
        truth = (ends[:, K - 1] ** 2).mean()
        found = exact_error(4, K, eta, L=L, x0=x0, order=order)
        assert found == pytest.approx(truth, rel=2e-5 if "random" in order else 1e-12)


@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle"])
@pytest.mark.parametrize(("n", "K"), [(2, 30), (6, 7), (10, 20)])
@pytest.mark.parametrize("x0", [0.0, -1.0])
def test_exact_error_without_glue_is_the_closed_form(n, K, x0, order):
    eta = 2 * math.log(n * K) / (n * K)
    truth = mean_estimation_error(n, K, eta, float(n), x0**2, order)
    assert exact_error(n, K, eta, L=1.0, x0=x0, order=order) == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle"])
def test_exact_error_is_the_mean_of_simulations(order):
    grid = [tuple(p) for p in step_grid([6, 10], 25)]
    result = run_grid(
        lower_bound_function, order, grid, runs=50_000, rng=rng_of(0), x0=-1.0, threads=1
    )
    for (n, K, eta), squares in zip(grid, result.squared_distance(), strict=True):
        stderr = squares.std() / math.sqrt(len(squares))
        truth = exact_error(n, K, eta, order=order, x0=-1.0, cells=1000)
        assert abs(squares.mean() - truth) < 4.5 * stderr


def test_exact_error_gains_two_orders_a_doubling():
    errors = {c: exact_error(6, 12, 0.05, cells=c) for c in (50, 100, 200, 400, 6400)}
    gaps = [abs(errors[c] - errors[6400]) for c in (50, 100, 200, 400)]
    ratios = np.divide(gaps[:-1], gaps[1:])
    assert ((ratios > 2.5) & (ratios < 6.5)).all()


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((14, 2, 0.1), {}, "n must be at most 12 for enumeration, got 14"),
        ((5, 2, 0.1), {}, "n must be even and at least 2, got 5"),
        ((4, 0, 0.1), {}, "K must be an integer of at least 1, got 0"),
        ((4, 2, 0.25), {}, "eta must satisfy 0 < eta max(L, 1) < 1, got 0.25"),
        ((4, 2, 0.0), {}, "eta must satisfy 0 < eta max(L, 1) < 1, got 0.0"),
        ((4, 2, math.nan), {}, "eta must satisfy 0 < eta max(L, 1) < 1, got nan"),
        ((4, 2, 1.0), {"L": 0.5}, "eta must satisfy 0 < eta max(L, 1) < 1, got 1.0"),
        ((4, 2, 0.1), {"L": -1.0}, "curvature_right must be positive and finite, got -1.0"),
        ((4, 2, 0.1), {"order": "incremental"}, "got 'incremental'"),
    ],
)
def test_exact_error_names_what_is_wrong(arguments, options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        exact_error(*arguments, **options)
