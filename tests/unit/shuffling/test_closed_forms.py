"""Closed forms against enumeration of all orders."""

import math
import re

import numpy as np
import pytest

from reprise.shuffling.closed_forms import log_step_size, mean_estimation_error

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
        ({"n": 1}, "n must be an integer of at least 2, got 1"),
        ({"K": 0}, "K must be an integer of at least 1, got 0"),
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
        ((0, 3), "n must be an integer of at least 1, got 0"),
        ((3, -1), "K must be an integer of at least 1, got -1"),
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
