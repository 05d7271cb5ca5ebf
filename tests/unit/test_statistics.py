"""Fits, bootstrap and intervals against laws that they must recover."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reprise.statistics import (
    RateFit,
    bootstrap_means,
    estimate,
    fit_rate,
    log_slope,
    slope,
    wilson_interval,
)

rng_of = np.random.default_rng

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


def test_slope_is_that_of_the_nearest_line():
    x = np.array([0.0, 1.0, 2.0, 5.0])
    assert slope(x, 3 - 2 * x) == pytest.approx(-2, abs=1e-12)
    assert slope([0, 1, 2], [0, 2, 1]) == pytest.approx(0.5, abs=1e-12)


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


# --- Wilson's interval ----------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (3, 10), (47, 50), (500, 1000)])
def test_wilson_interval_solves_its_equation(successes, trials):
    """Its ends are the p that lie z standard errors, of p itself, from the share."""
    z, share = stats.norm.ppf(0.975), successes / trials
    low, high = wilson_interval(successes, trials)
    assert 0 <= low <= share <= high <= 1
    for p in (low, high):
        assert (share - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / trials, abs=1e-12)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(trials - successes, trials))


@pytest.mark.parametrize(("successes", "trials"), [(-1, 4), (5, 4), (0, 0)])
def test_wilson_interval_refuses(successes, trials):
    with pytest.raises(ValueError, match="must"):
        wilson_interval(successes, trials)
