"""Orders: what each name visits, and that every permutation is equally likely."""

import itertools
import re

import numpy as np
import pytest
from scipy import stats

from reprise.shuffling.kernels import DRAW, GIVEN, KEEP
from reprise.shuffling.orders import ORDER_NAMES, draw_orders, schedule

CODES = np.array([np.dot(p, [64, 16, 4, 1]) for p in itertools.permutations(range(4))])


def permutation_p_value(rows):
    """Chi-square p-value of the hypothesis that all 24 permutations are equally likely."""
    counts = np.bincount(np.asarray(rows) @ [64, 16, 4, 1], minlength=256)
    assert counts[CODES].sum() == len(rows)
    return stats.chisquare(counts[CODES]).pvalue


def draw(order, n, *, epochs, runs, seed=0):
    return draw_orders(order, n, epochs=epochs, runs=runs, rng=np.random.default_rng(seed))


# --- schedules ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "source", "reverse"),
    [
        ("with_replacement", [DRAW] * 4, [0, 0, 0, 0]),
        ("random_reshuffling", [DRAW] * 4, [0, 0, 0, 0]),
        ("single_shuffle", [DRAW, KEEP, KEEP, KEEP], [0, 0, 0, 0]),
        ("incremental", [GIVEN, KEEP, KEEP, KEEP], [0, 0, 0, 0]),
        ("flipflop_random_reshuffling", [DRAW, KEEP, DRAW, KEEP], [0, 1, 0, 1]),
        ("flipflop_single_shuffle", [DRAW, KEEP, KEEP, KEEP], [0, 1, 0, 1]),
        ("flipflop_incremental", [GIVEN, KEEP, KEEP, KEEP], [0, 1, 0, 1]),
    ],
)
def test_schedule_of_each_name(order, source, reverse):
    plan = schedule(order, 6, epochs=4)
    assert plan.epochs == 4
    assert plan.source.tolist() == source
    assert plan.reverse.tolist() == [bool(r) for r in reverse]
    assert plan.replacement == (order == "with_replacement")
    assert plan.given.tolist() == [[[[0, 1, 2, 3, 4, 5]]]]


def test_names_are_the_seven_orders():
    assert len(ORDER_NAMES) == len(set(ORDER_NAMES)) == 7
    for order in ORDER_NAMES:
        assert schedule(order, 3, epochs=2).epochs == 2


@pytest.mark.parametrize("leading", [(3,), (5, 3)], ids=["shared", "one-a-run"])
def test_given_permutations_are_read_in_every_epoch(leading, random_permutations):
    rows = random_permutations(np.random.default_rng(1), *leading, 4)
    plan = schedule(rows, 4, epochs=3, runs=5)
    assert (plan.source == GIVEN).all()
    assert not plan.reverse.any()
    assert not plan.replacement
    assert not plan.shared
    np.testing.assert_array_equal(plan.given[:, :, 0], rows.reshape(-1, 3, 4))


@pytest.mark.parametrize("order", [name for name in ORDER_NAMES if name.startswith("flipflop_")])
def test_flipflop_refuses_odd_epochs(order):
    text = re.escape("epochs must be even for FlipFlop, got 7")
    with pytest.raises(ValueError, match=text):
        schedule(order, 4, epochs=7)
    with pytest.raises(ValueError, match=text):
        draw(order, 4, epochs=7, runs=1)


@pytest.mark.parametrize(
    ("order", "epochs", "runs", "text"),
    [
        ("shuffle_once", 2, 1, "order must be one of with_replacement, "),
        ("shuffle_once", 2, 1, "got 'shuffle_once'"),
        ("flipflop_with_replacement", 2, 1, "got 'flipflop_with_replacement'"),
        ("random_reshuffling", 0, 1, "epochs must be an integer of at least 1, got 0"),
        ("random_reshuffling", -2, 1, "epochs must be an integer of at least 1, got -2"),
        ("random_reshuffling", 2, 0, "runs must be an integer of at least 1, got 0"),
        ("incremental", 2, -1, "runs must be an integer of at least 1, got -1"),
        ([0, 1, 2], 1, 1, "(epochs, n) = (1, 3) or (runs, epochs, n) = (1, 1, 3), got (3,)"),
        ([[0, 1, 2]], 2, 1, "order must have shape (epochs, n) = (2, 3)"),
        ([[0, 1]], 1, 1, "got (1, 2)"),
        ([[[0, 1, 2]]] * 2, 1, 3, "(runs, epochs, n) = (3, 1, 3), got (2, 1, 3)"),
        ([[0, 1, 1]], 1, 1, "order must hold permutations of 0..2; row 0 is [0, 1, 1]"),
        ([[0, 1, 2], [1, 2, 3]], 2, 1, "row 1 is [1, 2, 3]"),
        ([[0, -1, 2]], 1, 1, "row 0 is [0, -1, 2]"),
        ([[[0, 1, 2]], [[2, 2, 2]]], 1, 2, "row 1 is [2, 2, 2]"),
        ([[0.0, 1.0, 2.0]], 1, 1, "order must hold integers, got dtype float64"),
    ],
)
def test_schedule_names_what_is_wrong(order, epochs, runs, text):
    order = order if isinstance(order, str) else np.array(order)
    with pytest.raises(ValueError, match=re.escape(text)):
        schedule(order, 3, epochs=epochs, runs=runs)


def test_draw_orders_needs_a_component():
    with pytest.raises(ValueError, match="n must be an integer of at least 1, got 0"):
        draw("incremental", 0, epochs=1, runs=1)


# --- what is visited ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [name for name in ORDER_NAMES if name != "with_replacement"])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_every_epoch_visits_each_component_once(order, n):
    rows = draw(order, n, epochs=4, runs=9)
    assert rows.shape == (9, 4, n)
    np.testing.assert_array_equal(np.sort(rows, axis=-1), np.broadcast_to(np.arange(n), rows.shape))


def test_incremental_visits_in_the_listed_order():
    assert draw("incremental", 5, epochs=3, runs=2).tolist() == [[[0, 1, 2, 3, 4]] * 3] * 2


def test_single_shuffle_repeats_its_first_epoch():
    rows = draw("single_shuffle", 20, epochs=4, runs=6)
    np.testing.assert_array_equal(rows, np.repeat(rows[:, :1], 4, axis=1))
    assert len(np.unique(rows[:, 0], axis=0)) == 6


def test_reshuffling_draws_every_epoch_afresh():
    rows = draw("random_reshuffling", 20, epochs=4, runs=6).reshape(-1, 20)
    assert len(np.unique(rows, axis=0)) == 24


@pytest.mark.parametrize("base", ["random_reshuffling", "single_shuffle", "incremental"])
def test_flipflop_reverses_every_second_epoch(base):
    rows = draw(f"flipflop_{base}", 20, epochs=6, runs=3)
    np.testing.assert_array_equal(rows[:, 1::2], rows[:, ::2, ::-1])
    distinct = len(np.unique(rows[:, ::2].reshape(-1, 20), axis=0))
    assert distinct == {"random_reshuffling": 9, "single_shuffle": 3, "incremental": 1}[base]


@pytest.mark.parametrize("leading", [(3,), (5, 3)], ids=["shared", "one-a-run"])
def test_given_permutations_are_visited_as_given(leading, random_permutations):
    given = random_permutations(np.random.default_rng(2), *leading, 7)
    rows = draw(given, 7, epochs=3, runs=5)
    np.testing.assert_array_equal(rows, np.broadcast_to(given, (5, 3, 7)))


@pytest.mark.parametrize("order", ORDER_NAMES)
def test_runs_and_epochs_have_streams_of_their_own(order):
    wide = draw(order, 11, epochs=6, runs=30, seed=3)
    np.testing.assert_array_equal(draw(order, 11, epochs=6, runs=7, seed=3), wide[:7])
    np.testing.assert_array_equal(draw(order, 11, epochs=4, runs=30, seed=3), wide[:, :4])
    if "incremental" not in order:
        assert (draw(order, 11, epochs=6, runs=30, seed=4) != wide).any()


# --- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [name for name in ORDER_NAMES if name.endswith(("random_reshuffling", "single_shuffle"))],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_all_permutations_are_equally_likely(order, seed):
    rows = draw(order, 4, epochs=4, runs=24_000, seed=seed)
    for k in range(4):
        assert permutation_p_value(rows[:, k]) > 1e-4


def shuffled(bound, rng, count):
    """``count`` shuffles of 0..3 that swap each position j with a draw from ``bound(j)``."""
    rows = []
    for _ in range(count):
        row = [0, 1, 2, 3]
        for j in range(3, -1, -1):
            low, high = bound(j)
            if high > low:
                i = int(rng.integers(low, high))
                row[i], row[j] = row[j], row[i]
        rows.append(row)
    return rows


@pytest.mark.parametrize(
    ("bound", "uniform"),
    [
        (lambda j: (0, j + 1), True),
        (lambda j: (0, j), False),
        (lambda j: (0, 4), False),
    ],
    ids=["fisher-yates", "sattolo", "naive"],
)
def test_chi_square_tells_right_shuffles_from_wrong_ones(bound, uniform):
    p = permutation_p_value(shuffled(bound, np.random.default_rng(0), 6000))
    assert p > 1e-4 if uniform else p < 1e-12


def test_epochs_of_reshuffling_are_independent():
    rows = draw("random_reshuffling", 3, epochs=2, runs=36_000)
    codes = rows @ [9, 3, 1]
    _, counts = np.unique(codes @ [27, 1], return_counts=True)
    assert len(counts) == 36
    assert stats.chisquare(counts).pvalue > 1e-4


def test_replacement_draws_are_uniform_and_independent():
    rows = draw("with_replacement", 5, epochs=2, runs=5000)
    flat = rows.reshape(5000, 10)
    for j in range(10):
        assert stats.chisquare(np.bincount(flat[:, j], minlength=5)).pvalue > 1e-4
        pair = 5 * flat[:, j] + flat[:, (j + 1) % 10]
        assert stats.chisquare(np.bincount(pair, minlength=25)).pvalue > 1e-4


def test_replacement_repeats_components():
    rows = draw("with_replacement", 30, epochs=1, runs=50)[:, 0]
    distinct = np.array([len(np.unique(row)) for row in rows])
    assert abs(distinct.mean() / 30 - (1 - (1 - 1 / 30) ** 30)) < 0.05
