"""The part's comparison: twelve ways on common sums, against what the theory says of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from reprise.shuffling.flipflop import rate_table
from reprise.shuffling.index import Way, measure, ways
from reprise.shuffling.orders import SCHEME_NAMES
from reprise.shuffling.problems import (
    Copies,
    FederatedSum,
    GluedSum,
    LabelLogistic,
    QuadraticSum,
    all_gradients,
)

SIZE = {"workers": 4, "local_steps": 4, "K": [20, 40, 80], "runs": 600, "seed": 1}
QUADRATIC, KINK = GluedSum.balanced(32, 1.0), GluedSum.balanced(32, 4.0)
BY_NAME = {way.name: way for way in ways()}


def exponent(name, problem, **changes):
    return measure(BY_NAME[name], problem, **{**SIZE, **changes}).exponent.value


def test_ways_are_distinct_and_cover_the_part():
    assert len(BY_NAME) == len(ways()) == 12
    assert {w.scheme for w in ways()} == set(SCHEME_NAMES) - {"flipflop_synchronized"}
    assert {w.method for w in ways()} == {"single", "minibatch", "local"}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("with replacement", 0.8, 1.25),
        ("single shuffle", 1.75, 2.25),
        ("random reshuffling", 2.6, 3.3),
        ("incremental", 1.85, 2.1),
        ("FlipFlop reshuffling", 4.3, 5.3),
        ("FlipFlop single shuffle", 3.5, 4.4),
        ("minibatch, with replacement", 0.8, 1.25),
        ("minibatch reshuffling", 2.6, 3.3),
        ("local, synchronized", 2.6, 3.3),
    ],
)
def test_exponents_on_the_quadratic_are_those_of_the_chapters(name, low, high):
    assert low <= exponent(name, QUADRATIC) <= high


@pytest.mark.parametrize(
    "name", ["random reshuffling", "FlipFlop reshuffling", "local reshuffling"]
)
def test_on_the_kink_shuffled_orders_fall_alike(name):
    assert 1.85 <= exponent(name, KINK) <= 2.75


def test_an_order_without_randomness_has_no_interval():
    found = measure(BY_NAME["incremental"], KINK, **SIZE)
    assert found.errors.shape == (3, 2)
    np.testing.assert_array_equal(found.errors[:, 0], found.errors[:, 1])
    assert found.exponent.low == pytest.approx(found.exponent.high)


def test_your_own_order_is_walked():
    listed = Way("mine", lambda n, K: np.tile(np.arange(n), (K, 1)), "single")
    np.testing.assert_allclose(
        measure(listed, KINK, **SIZE).errors, measure(BY_NAME["incremental"], KINK, **SIZE).errors
    )
    many = Way("mine", lambda n, K: np.tile(np.arange(n), (K, 4, 1)), "minibatch")
    alone = measure(listed, QUADRATIC, **SIZE).errors
    together = measure(many, QUADRATIC, **{**SIZE, "local_steps": 1}).errors
    np.testing.assert_allclose(together, alone, rtol=1e-9)


def test_your_own_objective_falls_where_its_compiled_twin_does():
    class Twin:
        n, dim, minimizer = 32, 1, np.zeros(1)
        gradient = staticmethod(KINK.gradient)
        value = staticmethod(KINK.value)

    for name in ("random reshuffling", "local, synchronized"):
        found = measure(BY_NAME[name], Twin(), **{**SIZE, "runs": 150}).exponent.value
        assert found == pytest.approx(exponent(name, KINK), abs=0.45)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"K": [10]}, "K must hold at least 2 numbers of epochs, got [10]"),
        ({"runs": 1}, "runs must be an integer of at least 2, got 1"),
        ({"local_steps": 5}, "local_steps must divide components, got 5 and 32"),
    ],
)
def test_measure_refuses(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        exponent("local reshuffling", KINK, **changes)


def test_rates_are_those_of_the_flipflop_chapter():
    for rate in rate_table():
        plain = next(w for w in ways() if w.scheme == rate.order and w.method == "single")
        flipped = next(w for w in ways() if w.scheme == f"flipflop_{rate.order}")
        assert (plain.quadratic, flipped.quadratic) == (rate.plain, rate.flipflop)


# --- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem", [KINK, LabelLogistic(6, 2), QuadraticSum([1.0, 2.0, 3.0], [1.0, 0.0, -1.0])]
)
def test_copies_give_every_worker_the_same_components(problem):
    shared = FederatedSum(Copies(problem, 3), 3)
    assert (shared.workers, shared.components) == (3, problem.n)
    x = np.array([0.3])
    for m in range(3):
        ours = shared.component_gradients(m, np.arange(problem.n), x)
        np.testing.assert_array_equal(ours, all_gradients(problem, x))
    assert shared.value(x) == problem.value(x)
    kinds = shared.two_kinds()
    assert (kinds is None) == (problem.two_kinds() is None)
    if kinds is not None:
        assert (kinds.kinds.reshape(3, -1) == problem.two_kinds().kinds).all()


def test_copies_must_be_at_least_one():
    with pytest.raises(ValueError, match="count must be an integer of at least 1, got 0"):
        Copies(KINK, 0)
