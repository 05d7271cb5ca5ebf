"""ReLU networks by plain loops and finite differences; the search where the answer is known."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import optimize

from reprise.expressivity import relu

rng_of = np.random.default_rng


def test_targets_have_spectral_norm_one_and_inputs_length_one():
    layers = relu.normal_target([4, 7, 3], rng=rng_of(0))
    assert [w.shape for w in layers] == [(7, 4), (3, 7)]
    np.testing.assert_allclose([np.linalg.svd(w)[1][0] for w in layers], 1)
    points = relu.unit_inputs(5000, 3, rng=rng_of(1))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1)
    assert np.abs(points.mean(axis=0)).max() < 0.05  # no side is preferred


def test_a_network_is_what_plain_loops_compute():
    layers = [np.array([[2, -1], [-3, 4], [1, 1]]), np.array([[1, -2, 3]])]
    x = np.array([[5, -7], [-1, 2], [0, 0]])
    expected = []
    for a, b in x.tolist():
        hidden = [max(v, 0) for v in (2 * a - b, -3 * a + 4 * b, a + b)]
        expected.append([hidden[0] - 2 * hidden[1] + 3 * hidden[2]])
    found = relu.relu_network(layers, x)
    assert found.tolist() == expected
    assert found.dtype == x.dtype


def test_gradient_is_that_of_finite_differences():
    W = relu.normal_target([4, 6, 5, 3], rng=rng_of(2))
    x, gap = rng_of(0).standard_normal((1, 4)), rng_of(1).standard_normal((1, 3))
    numeric = optimize.approx_fprime(
        x[0], lambda v: float((relu.relu_network(W, v[None]) * gap).sum()), 1e-7
    )
    np.testing.assert_allclose(relu.input_gradient(W, x, gap)[0], numeric, atol=1e-6)


A = rng_of(0).standard_normal((5, 4))


def linear(x):
    """|A x|, and the gradient of half its square."""
    return np.linalg.norm(x @ A.T, axis=1), x @ A.T @ A


def test_an_ascent_ends_at_the_largest_singular_value():
    starts = relu.unit_inputs(20, 4, rng=rng_of(1))
    found = relu.ascend(linear, starts, steps=200)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(linear(found)[0], np.linalg.norm(A, 2), rtol=1e-3)
    np.testing.assert_array_equal(relu.ascend(linear, starts, steps=0), starts)


def test_an_ascent_keeps_the_best_point_that_it_met():
    starts = relu.unit_inputs(20, 4, rng=rng_of(1))

    def misled(x):
        error, slope = linear(x)
        return error, -slope

    np.testing.assert_array_equal(relu.ascend(misled, starts, steps=30), starts)
    top = np.linalg.svd(A)[2][:1]
    np.testing.assert_allclose(relu.ascend(linear, top, steps=30), top)


def test_the_search_measures_what_it_is_told_and_says_where():
    x = relu.unit_inputs(50, 4, rng=rng_of(2))
    found = relu.search_sphere(lambda x: 3 * linear(x)[0], linear, x, ascents=5, steps=200)
    assert found.random == pytest.approx(3 * linear(x)[0].max())
    assert found.adversarial == found.largest == pytest.approx(3 * np.linalg.norm(A, 2))
    assert 3 * linear(found.point[None])[0] == pytest.approx(found.largest)
    # where climbing leads nowhere, the worst random input stays
    stuck = relu.search_sphere(
        lambda x: -linear(x)[0], lambda x: (linear(x)[0], 0 * x), x, ascents=5, steps=3
    )
    assert stuck.largest == stuck.random == -linear(x)[0].min()


@pytest.mark.parametrize(("ascents", "steps"), [(0, 1), (51, 1), (1, -1)])
def test_impossible_searches_are_refused(ascents, steps):
    x = relu.unit_inputs(50, 4, rng=rng_of(2))
    with pytest.raises(ValueError, match="random >= adversarial >= 1 and steps >= 0 must hold"):
        relu.search_sphere(lambda x: linear(x)[0], linear, x, ascents=ascents, steps=steps)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([], "weights must hold at least one layer, got none"),
        ([[0.5]], "weights[0] must have shape (out, in), got (1,)"),
        ([np.eye(3), np.eye(2)], "weights[1] must have shape (out, 3), got (2, 2)"),
        ([np.eye(2), [[np.inf, 0.0]]], "weights[1] must be finite"),
    ],
)
def test_layers_that_do_not_fit_are_refused(weights, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        relu.checked_target(weights)


def test_fractions_are_checked():
    assert relu.checked_fraction("eps", 0.5) == 0.5
    for value in (0, 1, float("nan")):
        with pytest.raises(ValueError, match=r"eps must lie in \(0, 1\), got"):
            relu.checked_fraction("eps", value)
