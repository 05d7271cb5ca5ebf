"""Rates: closed forms against enumeration of all orders, fits against laws they must recover."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.shuffling.rates import (
    RateFit,
    bootstrap_means,
    estimate,
    fit_rate,
    log_slope,
    log_step_size,
    mean_estimation_error,
)

rng_of = np.random.default_rng

# --- the exact error of mean estimation -----------------------------------------------------------


def enumerated_error(paths, walk, points, order, K, eta, x0):
    """Mean over all paths of ``|x_K - mean|^2``."""
    everything = paths(range(len(points)), order, K)
    ends = walk(lambda i, x: x - points[i], everything, eta, x0)[:, -1]
    return ((ends - points.mean(axis=0)) ** 2).sum(axis=-1).mean()


def closed_error(points, order, K, eta, x0):
    centre = points.mean(axis=0)
    return mean_estimation_error(
        len(points), K, eta, ((points - centre) ** 2).sum(), ((x0 - centre) ** 2).sum(), order
    )


@pytest.mark.parametrize("eta", [0.05, 0.6, 1.0, 1.7])
@pytest.mark.parametrize(
    ("order", "K"),
    [
        *[("random_reshuffling", K) for K in (1, 2, 3)],
        *[("single_shuffle", K) for K in (1, 2, 3)],
        *[("flipflop_random_reshuffling", K) for K in (2, 4)],
        *[("flipflop_single_shuffle", K) for K in (2, 4)],
        ("with_replacement", 1),
    ],
)
def test_closed_form_is_the_mean_over_all_orders(order, K, eta, paths, walk):
    points = rng_of(0).normal(size=(4, 2))
    x0 = np.array([0.7, -1.1])
    truth = enumerated_error(paths, walk, points, order, K, eta, x0)
    assert closed_error(points, order, K, eta, x0) == pytest.approx(truth, rel=1e-11)


@pytest.mark.parametrize("K", [1, 2, 3, 50])
def test_with_replacement_solves_the_second_moment_recursion(K):
    points, x0, eta = rng_of(1).normal(size=(5, 3)), np.array([1.0, 0.0, -2.0]), 0.13
    spread = ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
    error = ((x0 - points.mean(axis=0)) ** 2).sum()
    for _ in range(5 * K):
        error = (1 - eta) ** 2 * error + eta**2 * spread
    assert closed_error(points, "with_replacement", K, eta, x0) == pytest.approx(error, rel=1e-12)


@pytest.mark.parametrize("n", [2, 3])
def test_spread_is_divided_by_n_minus_1(n, paths, walk):
    points, x0 = rng_of(2).normal(size=(n, 1)), np.zeros(1)
    truth = enumerated_error(paths, walk, points, "random_reshuffling", 2, 0.3, x0)
    assert closed_error(points, "random_reshuffling", 2, 0.3, x0) == pytest.approx(truth, rel=1e-12)


def test_reshuffling_beats_one_shuffle_beats_replacement():
    orders = ("random_reshuffling", "single_shuffle", "with_replacement")
    errors = [mean_estimation_error(100, 100, 1e-3, 100.0, 0.0, order) for order in orders]
    assert errors == sorted(errors)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"n": 1}, "n must be at least 2, got 1"),
        ({"K": 0}, "K must be at least 1, got 0"),
        ({"step_size": 0.0}, "step_size must lie in (0, 2), got 0.0"),
        ({"step_size": 2.0}, "step_size must lie in (0, 2), got 2.0"),
        ({"step_size": math.nan}, "step_size must lie in (0, 2), got nan"),
        ({"sum_squares": -1.0}, "sum_squares must be finite and not negative, got -1.0"),
        ({"sum_squares": math.inf}, "sum_squares must be finite and not negative, got inf"),
        ({"initial_distance2": -0.5}, "initial_distance2 must be finite and not negative"),
        ({"initial_distance2": math.nan}, "got nan"),
        ({"order": "incremental"}, "order must be one with a closed form, got 'incremental'"),
        ({"order": "flipflop_single_shuffle", "K": 7}, "epochs must be even for FlipFlop, got 7"),
        ({"order": "flipflop_incremental"}, "got 'flipflop_incremental'"),
        ({"order": "flipflop_with_replacement"}, "got 'flipflop_with_replacement'"),
    ],
)
def test_closed_form_names_what_is_wrong(change, text):
    right = {
        "n": 4,
        "K": 2,
        "step_size": 0.1,
        "sum_squares": 1.0,
        "initial_distance2": 0.0,
        "order": "random_reshuffling",
    }
    with pytest.raises(ValueError, match=re.escape(text)):
        mean_estimation_error(**(right | change))


# --- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ((2, 1), 0.34657359027997264),
        ((1, 2), 0.34657359027997264),
        ((10, 100), 0.006907755278982137),
        ((500, 30, 4.0), 0.002564214794689159),
        ((10, 10, 2.0, 0.5), 0.18420680743952367),
    ],
)
def test_log_step_size_values(arguments, value):
    assert log_step_size(*arguments) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, 3), "n must be at least 1, got 0"),
        ((3, -1), "K must be at least 1, got -1"),
        ((1, 1), "n * K must be at least 2, got 1"),
        ((2, 2, 0.0), "factor must be positive and finite, got 0.0"),
        ((2, 2, math.nan), "factor must be positive and finite, got nan"),
        ((2, 2, 1.0, -1.0), "mu must be positive and finite, got -1.0"),
        ((2, 2, 1.0, math.inf), "mu must be positive and finite, got inf"),
    ],
)
def test_log_step_size_names_what_is_wrong(arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        log_step_size(*arguments)


# --- fits -----------------------------------------------------------------------------------------

X = np.array([3.0, 10.0, 20.0, 55.0, 200.0])


@pytest.mark.parametrize("slope", [-2.0, -1.5, 0.0, 3.0])
def test_fit_recovers_a_power_law(slope):
    fit = fit_rate(X, 0.37 * X**slope)
    assert fit.slope == pytest.approx(slope, abs=1e-12)
    assert fit.intercept == pytest.approx(math.log(0.37), abs=1e-12)
    assert slope == 0 or fit.r2 == pytest.approx(1.0)
    assert math.isnan(fit.low)
    assert math.isnan(fit.high)


@pytest.mark.parametrize("power", [-1.0, 2.0, 3.0])
def test_fit_divides_out_the_logarithm(power):
    own = fit_rate(X, 5 * X**-2 * np.log(X) ** power, log_power=power)
    assert own.slope == pytest.approx(-2, abs=1e-12)
    assert own.intercept == pytest.approx(math.log(5), abs=1e-12)
    T = 100 * X[::-1]
    other = fit_rate(X, 5 * X**-2 * np.log(T) ** power, log_power=power, log_argument=T)
    assert other.slope == pytest.approx(-2, abs=1e-12)
    assert other.intercept == pytest.approx(math.log(5), abs=1e-12)
    assert abs(fit_rate(X, 5 * X**-2 * np.log(X) ** power).slope + 2) > 0.1


def test_fit_is_least_squares():
    err = np.exp(rng_of(0).normal(size=5)) * X**-1.3
    fit = fit_rate(X, err)
    slope, intercept = np.polyfit(np.log(X), np.log(err), 1)
    correlation = np.corrcoef(np.log(X), np.log(err))[0, 1]
    assert fit.slope == pytest.approx(slope, rel=1e-10)
    assert fit.intercept == pytest.approx(intercept, rel=1e-10)
    assert fit.r2 == pytest.approx(correlation**2, rel=1e-10)


def test_fit_does_not_depend_on_the_points_order():
    err = np.exp(rng_of(0).normal(size=5)) * X**-1.3
    assert fit_rate(X[::-1], err[::-1]).slope == pytest.approx(fit_rate(X, err).slope, rel=1e-12)


def test_interval_covers_the_true_slope_at_its_level():
    points, count, slope, sets = X, 60, -2.0, 40
    fits = []
    for seed in range(sets):
        rng = rng_of(seed)
        runs = points[:, None] ** slope * rng.exponential(size=(len(points), count))
        fits.append(fit_rate(points, runs.mean(axis=1), runs=runs, rng=rng))
    covered = [fit.low <= slope <= fit.high for fit in fits]
    assert np.mean(covered) >= 0.8
    u = np.log(points) - np.log(points).mean()
    stderr = 1 / math.sqrt(count * (u @ u))  # an exponential's sd is its mean
    width = np.mean([fit.high - fit.low for fit in fits])
    assert width == pytest.approx(2 * 1.96 * stderr, rel=0.08)
    assert all(fit.low < fit.slope < fit.high for fit in fits)
    assert fits[0].interval == (fits[0].low, fits[0].high)


def test_interval_is_free_of_the_correction():
    runs = X[:, None] ** -2 * rng_of(0).exponential(size=(5, 50))
    plain = fit_rate(X, runs.mean(axis=1), runs=runs, rng=rng_of(1))
    T = 7 * X
    factor = np.log(T) ** 3
    scaled = fit_rate(
        X,
        runs.mean(axis=1) * factor,
        runs=runs * factor[:, None],
        rng=rng_of(1),
        log_power=3,
        log_argument=T,
    )
    assert scaled.slope == pytest.approx(plain.slope, rel=1e-10)
    assert scaled.interval == pytest.approx(plain.interval, rel=1e-10)


RUNS = np.ones((5, 4))


@pytest.mark.parametrize(
    ("x", "err", "options", "text"),
    [
        ([1.0, 2.0, 2.0], [1, 1, 1], {}, "x must hold at least 3 distinct values, got [1.0, 2.0]"),
        ([1.0, 2.0], [1, 1], {}, "x must hold at least 3 distinct values, got [1.0, 2.0]"),
        ([0.0, 1, 2], [1, 1, 1], {}, "x must be positive and finite everywhere, got 0.0"),
        ([1.0, 2, math.inf], [1, 1, 1], {}, "x must be positive and finite everywhere, got inf"),
        ([], [], {}, "x must be positive and finite everywhere, got an empty array"),
        ([1.0, 2, 3], [1, -2, 1], {}, "err must be positive and finite everywhere, got -2.0"),
        ([1.0, 2, 3], [1, 0, 1], {}, "err must be positive and finite everywhere, got 0.0"),
        ([1.0, 2, 3], [1, math.nan, 1], {}, "err must be positive and finite everywhere, got nan"),
        ([1.0, 2, 3], [1, 1], {}, "x and err must have one shape (points,), got (3,) and (2,)"),
        ([[1.0, 2, 3]], [[1, 1, 1]], {}, "got (1, 3) and (1, 3)"),
        ([1.0, 2, 3], [1, 1, 1], {"log_power": 1}, "log_argument must have shape (3,) and exceed"),
        (X, X, {"log_power": 1, "log_argument": [3.0, 4.0]}, "log_argument must have shape (5,)"),
        (X, X, {"log_power": 1, "log_argument": [0.0]}, "log_argument must be positive and finite"),
        (X, X, {"runs": RUNS}, "rng must be a numpy.random.Generator"),
        (X, X, {"runs": RUNS[:4], "rng": 0}, "runs must have one row a point, got 4 rows for 5"),
        (X, X, {"runs": RUNS[0], "rng": 0}, "runs must have shape (points, at least 2), got (4,)"),
        (X, X, {"runs": RUNS[:, :1], "rng": 0}, "runs must have shape (points, at least 2)"),
        (X, X, {"runs": -RUNS, "rng": 0}, "runs must be positive and finite everywhere, got -1.0"),
        (X, X, {"runs": RUNS * math.nan, "rng": 0}, "runs must be positive and finite everywhere"),
    ],
)
def test_fit_names_what_is_wrong(x, err, options, text):
    if "rng" in options:
        options = options | {"rng": rng_of(options["rng"])}
    with pytest.raises(ValueError, match=re.escape(text)):
        fit_rate(x, err, **options)


def test_fit_is_a_frozen_record():
    assert RateFit(-2.0, 1.0, -2.1, -1.9, 0.99).interval == (-2.1, -1.9)


# --- bootstrap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 40, 1000, 3000])
def test_bootstrap_means_have_the_right_mean_and_variance(count):
    runs = rng_of(0).gamma(2.0, size=(3, count))
    means = bootstrap_means(runs, rng=rng_of(1), resamples=4000)
    assert means.shape == (4000, 3)
    variance = runs.var(axis=1) / count
    if count > 1000:  # batches of runs are resampled: one more source of noise, 2 / 1000
        variance = runs.reshape(3, 1000, -1).mean(axis=2).var(axis=1) / 1000
    z = (means.mean(axis=0) - runs.mean(axis=1)) / np.sqrt(variance / 4000)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(means.var(axis=0), variance, rtol=4.5 * math.sqrt(2 / 4000))
    np.testing.assert_allclose(variance, runs.var(axis=1) / count, rtol=0.25)


def test_bootstrap_resamples_points_independently():
    runs = np.tile(rng_of(0).normal(size=50), (2, 1))
    means = bootstrap_means(runs, rng=rng_of(1), resamples=4000)
    assert abs(np.corrcoef(means.T)[0, 1]) < 4.5 / math.sqrt(4000)


def test_bootstrap_of_equal_runs_is_constant():
    means = bootstrap_means(np.full((2, 30), 0.25), rng=rng_of(0), resamples=10)
    np.testing.assert_allclose(means, 0.25, rtol=1e-15)


def test_bootstrap_uses_every_run():
    runs = np.ones((1, 1999))
    runs[:, 1000:] = 3.0
    means = bootstrap_means(runs, rng=rng_of(0), resamples=500)
    assert means.mean() == pytest.approx(runs.mean(), abs=0.01)


def test_paired_points_are_resampled_together():
    runs = np.tile(rng_of(0).normal(size=50), (2, 1))
    means = bootstrap_means(runs, rng=rng_of(1), resamples=100, paired=True)
    np.testing.assert_array_equal(means[:, 0], means[:, 1])


# --- estimates ------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), points=st.integers(2, 6))
def test_log_slope_is_that_of_a_straight_line_fit(seed, points):
    rng = rng_of(seed)
    x, err = (
        np.sort(rng.uniform(1, 9, points)) + np.arange(points),
        rng.uniform(0.1, 9, (3, points)),
    )
    slopes = np.polyfit(np.log(x), np.log(err).T, 1)[0]
    np.testing.assert_allclose(log_slope(x, err), slopes, rtol=1e-8, atol=1e-10)


def test_log_slope_of_an_error_that_is_not_positive_is_nan():
    assert np.isnan(log_slope([1, 2, 4], [[1, 0, 1], [1, -1, 1]])).all()


@pytest.mark.parametrize("paired", [False, True])
def test_an_estimates_interval_covers_the_truth_as_often_as_it_says(paired):
    """The ratio of two means, 300 experiments of 200 runs; pairing uses the correlation."""
    rng, hits, widths = rng_of(2), 0, []
    for _ in range(300):
        shared = rng.gamma(2.0, size=200)
        other = shared * rng.uniform(0.9, 1.1, 200) if paired else rng.gamma(2.0, size=200)
        found = estimate(lambda m: m[..., 0] / m[..., 1], [shared, other], rng=rng, paired=paired)
        hits += found.low <= 1.0 <= found.high
        widths.append(found.high - found.low)
        assert found.value == pytest.approx(shared.mean() / other.mean())
        assert found.interval == (found.low, found.high)
    assert 0.90 <= hits / 300 <= 0.99
    assert (np.mean(widths) < 0.05) == paired
