"""Minibatch and local SGD against plain loops, full enumeration and closed forms."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise.shuffling import local_sgd, sgdo
from reprise.shuffling.local_sgd import (
    crossover_batch,
    enumerate_exact,
    kinked_problem,
    logistic_problem,
    pl_problem,
    rate_terms,
    step_size,
    theory_rate,
)
from reprise.shuffling.orders import SCHEME_NAMES, draw_orders
from reprise.shuffling.problems import (
    FederatedSum,
    GluedSum,
    LabelLogistic,
    LogisticSum,
    MeanEstimation,
    QuadraticSum,
    RippledSum,
    all_gradients,
)
from reprise.shuffling.simulate import run_rounds, run_sgd

METHODS = ("minibatch", "local")
WR, RR, SS = "with_replacement", "random_reshuffling", "single_shuffle"
SYNC = "synchronized"
M, N = 4, 8


def rng(seed=0):
    return np.random.default_rng(seed)


def dense(count):
    factors = rng(5).standard_normal((count, 3, 3))
    return QuadraticSum(factors @ factors.swapaxes(1, 2), rng(6).standard_normal((count, 3)))


class Foreign:
    """A reader's own objective: no compiled form."""

    n, dim, minimizer = M * N, 1, np.zeros(1)
    centers = np.tile(np.linspace(-2, 2, N), M)

    def gradient(self, i, x):
        return np.tanh(x - self.centers[i][..., None])

    def value(self, x):
        return np.log(np.cosh(x - self.centers)).mean(axis=-1)


PULL = np.array([0.7, -0.7, 0.3, -0.3])
LABELS = np.where(rng(4).random(M * N) < 0.4, 1.0, -1.0)
PROBLEMS = {
    "kinked": kinked_problem(M, N),
    "kinked, drift": kinked_problem(M, N, heterogeneity=0.7),
    "mixed": kinked_problem(M, N, mixing=0.3, rng=rng(1), arrangements=3),
    "mixed, drift": kinked_problem(M, N, heterogeneity=0.5, mixing=0.6, rng=rng(1)),
    "rippled": pl_problem(M, N),
    "smoothed": FederatedSum(GluedSum.balanced(M * N, glue_width=0.1), M),
    "smoothed, mixed": FederatedSum(
        GluedSum(np.tile([1.0, -0.5, -0.5, 0.0], N), glue_width=0.1), M
    ),
    "labels": FederatedSum(LabelLogistic(M * N, 12), M, drift=PULL),
    "two kinds": FederatedSum(
        QuadraticSum(np.repeat((0.5, 1.5), M * N // 2), np.repeat((-1.0, 1.0), M * N // 2)), M
    ),
    "scalar": FederatedSum(
        QuadraticSum(rng(2).uniform(0.5, 2, M * N), rng(3).standard_normal(M * N)), M, drift=PULL
    ),
    "diagonal": FederatedSum(
        QuadraticSum(rng(2).uniform(0.5, 2, (M * N, 2)), rng(3).standard_normal((M * N, 2))), M
    ),
    "dense": FederatedSum(dense(M * N), M, drift=np.outer(PULL, [1.0, -2.0, 0.5])),
    "mean": FederatedSum(MeanEstimation(rng(7).standard_normal((M * N, 2))), M),
    "logistic": FederatedSum(LogisticSum(rng(3).standard_normal((M * N, 2)), LABELS, l2=0.1), M),
    "logistic, drift": FederatedSum(
        LogisticSum(rng(3).standard_normal((M * N, 2)), LABELS, l2=0.1),
        M,
        drift=np.outer(PULL, [1, 1]),
    ),
    "foreign": FederatedSum(Foreign(), M, drift=PULL),
}
problems = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)
methods = pytest.mark.parametrize("method", METHODS)


def loop(problem, orders, method, B, alpha, x0, run=0):
    """One run, step by step: orders (epochs, M, N) -> x (d,)."""
    workers, which = len(orders[0]), {"arrangement": run % problem.arrangements}
    x = np.array(x0, dtype=float)
    for epoch in orders:
        for first in range(0, epoch.shape[1], B):
            ends, total = [], 0.0
            for m in range(workers):
                y = x.copy()
                for i in epoch[m, first : first + B]:
                    if method == "local":
                        y = y - alpha * problem.component_gradients(m, i, y, **which)
                    else:
                        total = total + problem.component_gradients(m, i, x, **which)
                ends.append(y)
            if method == "local":
                x = np.mean(ends, axis=0)
            else:
                x = x - alpha * B * total / (workers * B)
    return x


# --- the simulator --------------------------------------------------------------------------------


@problems
@methods
@pytest.mark.parametrize("B", [1, 2, 8])
def test_rounds_are_those_of_a_plain_loop(problem, method, B):
    orders = draw_orders(RR, N, epochs=3, runs=1, workers=M, rng=rng(8))[0]
    start = np.linspace(0.3, -0.2, problem.dim)
    result = run_rounds(
        problem,
        method=method,
        local_steps=B,
        epochs=3,
        step_size=0.05,
        order=orders,
        runs=1,
        x0=start,
        rng=rng(),
    )
    np.testing.assert_allclose(
        result.x[0], loop(problem, orders, method, B, 0.05, start), rtol=1e-10, atol=1e-13
    )


@problems
@pytest.mark.parametrize("scheme", [s for s in SCHEME_NAMES if s != "incremental"])
def test_every_engine_walks_the_scheme(problem, scheme):
    """Named schemes against their written-out orders: equal runs, or equal laws in the lanes."""
    options = {"local_steps": 2, "epochs": 4, "step_size": 0.05, "x0": np.full(problem.dim, 0.1)}
    runs = 4000 if problem.two_kinds() else 12
    orders = draw_orders(scheme, N, epochs=4, runs=runs, workers=M, rng=rng(1))
    named = run_rounds(problem, method="local", order=scheme, runs=runs, rng=rng(1), **options)
    if scheme == WR:
        how = ("local", 2, 0.05, options["x0"])
        written = [loop(problem, o, *how, run) for run, o in enumerate(orders[:200])]
    else:
        written = run_rounds(
            problem, method="local", order=orders, runs=runs, rng=rng(2), **options
        ).x
    if problem.two_kinds() is None:
        np.testing.assert_allclose(named.x, np.array(written)[: len(named.x)], rtol=1e-12)
        return
    for power in (1, 2):
        a, b = named.x**power, np.array(written) ** power
        error = math.sqrt(a.var() / len(a) + b.var() / len(b))
        assert abs(a.mean() - b.mean()) <= 4.5 * error + 1e-12


def test_recorded_epochs_are_shorter_runs():
    problem = PROBLEMS["kinked, drift"]
    options = {"local_steps": 4, "step_size": 0.05, "order": SYNC, "runs": 70}
    whole = run_rounds(problem, method="local", epochs=6, record=[2, 5], rng=rng(3), **options)
    for k, at in ((2, 0), (5, 1)):
        short = run_rounds(problem, method="local", epochs=k, rng=rng(3), **options)
        np.testing.assert_array_equal(whole.history[at], short.x)


@methods
@pytest.mark.parametrize("scheme", [WR, RR, SS, SYNC, f"flipflop_{RR}"])
@pytest.mark.parametrize("name", ["kinked, drift", "mixed", "logistic", "foreign"])
def test_a_run_does_not_depend_on_threads_or_on_other_runs(method, scheme, name):
    options = {"local_steps": 2, "epochs": 4, "step_size": 0.02, "order": scheme}
    problem = PROBLEMS[name]
    many = run_rounds(problem, method=method, runs=130, rng=rng(4), threads=3, **options)
    few = run_rounds(problem, method=method, runs=66, rng=rng(4), threads=1, **options)
    np.testing.assert_array_equal(many.x[:66], few.x)


@pytest.mark.parametrize(
    "base",
    [
        GluedSum.balanced(12),
        GluedSum.balanced(12, glue_width=0.1),
        GluedSum(np.tile([1.0, -0.5, -0.5], 4)),
        RippledSum(np.tile([1.0, -1.0], 6)),
        LabelLogistic(12, 3),
        QuadraticSum(np.linspace(0.5, 2, 12), np.linspace(-1, 1, 12)),
        dense(12),
        MeanEstimation(rng(7).standard_normal((12, 2))),
        LogisticSum(rng(3).standard_normal((12, 2)), LABELS[:12], l2=0.1),
    ],
    ids=lambda base: type(base).__name__,
)
@pytest.mark.parametrize("scheme", [WR, RR, SS, f"flipflop_{RR}"])
def test_one_worker_is_plain_sgd(base, scheme):
    options = {"epochs": 4, "step_size": 0.03, "runs": 70, "x0": np.full(base.dim, 0.2)}
    plain = run_sgd(base, scheme, rng=rng(5), **options)
    for method, B in (("local", 1), ("local", 4), ("local", 12), ("minibatch", 1)):
        alone = run_rounds(
            FederatedSum(base, 1), method=method, local_steps=B, order=scheme, rng=rng(5), **options
        )
        if method == "local" and not isinstance(base, MeanEstimation):
            np.testing.assert_array_equal(alone.x, plain.x)
        else:
            np.testing.assert_allclose(alone.x, plain.x, rtol=1e-11, atol=1e-15)


def test_synchronized_with_one_worker_has_the_law_of_reshuffling():
    problem = kinked_problem(1, 4)
    exact = enumerate_exact(problem, "local", RR, 2, 0.1, 0.2)
    assert enumerate_exact(problem, "local", SYNC, 2, 0.1, 0.2) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("scheme", [WR, RR, SS, SYNC])
def test_methods_batches_and_drifts_meet_the_same_orders(scheme):
    """Minibatch SGD sees no drift, and at B = 1 local SGD is minibatch SGD."""
    options = {"epochs": 5, "step_size": 0.03, "order": scheme, "runs": 80}
    for B in (1, 2, 8):
        ends = [
            run_rounds(PROBLEMS[name], method="minibatch", local_steps=B, rng=rng(6), **options).x
            for name in ("kinked", "kinked, drift")
        ]
        np.testing.assert_array_equal(*ends)
    one = [
        run_rounds(PROBLEMS["kinked"], method=method, local_steps=1, rng=rng(6), **options).x
        for method in METHODS
    ]
    np.testing.assert_allclose(*one, rtol=1e-10, atol=1e-14)


def test_a_minibatch_of_everything_is_gradient_descent():
    options = {"epochs": 5, "step_size": 0.03, "runs": 20, "rng": rng()}
    for scheme, B in ((RR, N), (SS, N), (SYNC, N // M)):
        ends = run_rounds(
            PROBLEMS["kinked, drift"], method="minibatch", local_steps=B, order=scheme, **options
        )
        assert (ends.x == 0).all()
    with_noise = run_rounds(
        PROBLEMS["kinked"], method="minibatch", local_steps=N, order=WR, **options
    )
    assert (with_noise.x != 0).any()


def test_on_quadratics_of_equal_curvature_local_is_minibatch():
    """The workers' mean moves linearly, so it does not matter when they meet."""
    flat = kinked_problem(M, N, curvature=1.0, heterogeneity=0.9)
    options = {"epochs": 3, "step_size": 0.05, "order": RR, "runs": 30}
    ends = [
        run_rounds(flat, method="local", local_steps=B, rng=rng(7), **options).x for B in (1, 2, 8)
    ]
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(ends[2], ends[0], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("workers", [3, 5, 64, 100])
@methods
def test_any_number_of_workers(workers, method):
    problem = FederatedSum(GluedSum(np.tile([1.0, -1.0, 0.5, -0.5], workers)), workers)
    even = kinked_problem(workers, 70)
    for p in (problem, even):
        orders = draw_orders(RR, p.n, epochs=2, runs=2, workers=workers, rng=rng(9))
        result = run_rounds(
            p,
            method=method,
            local_steps=2,
            epochs=2,
            step_size=0.05,
            order=orders,
            runs=2,
            rng=rng(),
        )
        for r in range(2):
            expected = loop(p, orders[r], method, 2, 0.05, [0.0])
            np.testing.assert_allclose(result.x[r], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("components", [12, 64, 66, 130, 192])
def test_synchronized_kinds_are_shifted_as_orders_are(components):
    """Full batches of N/M positions: whatever the words' borders, no noise is left."""
    problem = kinked_problem(2 if components % 3 else 6, components)
    result = run_rounds(
        problem,
        method="minibatch",
        local_steps=components // problem.workers,
        epochs=3,
        step_size=0.01,
        order=SYNC,
        runs=5,
        rng=rng(),
    )
    assert (result.x == 0).all()


# --- small cases exactly --------------------------------------------------------------------------


def test_known_values():
    flat, pulled = (kinked_problem(2, 4, heterogeneity=t) for t in (0.0, 1.0))
    for problem in (flat, pulled):
        value = enumerate_exact(problem, "minibatch", RR, 2, 0.1, 0.2)
        assert value == pytest.approx(0.002450666667, rel=1e-9)
    assert enumerate_exact(flat, "local", RR, 2, 0.1, 0.2) == pytest.approx(0.0038371032, rel=1e-9)


@methods
@pytest.mark.parametrize("scheme", [WR, RR, SS, SYNC])
@pytest.mark.parametrize("B", [1, 2, 4])
def test_simulation_agrees_with_enumeration(method, scheme, B):
    problem = kinked_problem(2, 4, heterogeneity=0.5)
    exact = enumerate_exact(problem, method, scheme, B, 0.1, 0.2)
    sample = run_rounds(
        problem,
        method=method,
        local_steps=B,
        epochs=1,
        step_size=0.1,
        order=scheme,
        runs=100_000,
        x0=0.2,
        rng=rng(11),
    ).suboptimality()
    assert abs(sample.mean() - exact) <= 4.5 * sample.std() / math.sqrt(len(sample)) + 1e-12


@pytest.mark.parametrize("scheme", [RR, SS, SYNC])
def test_two_epochs_agree_with_enumeration(scheme):
    problem = kinked_problem(2, 2, heterogeneity=0.5)
    exact = enumerate_exact(problem, "local", scheme, 1, 0.2, 0.2, epochs=2)
    sample = run_rounds(
        problem,
        method="local",
        local_steps=1,
        epochs=2,
        step_size=0.2,
        order=scheme,
        runs=50_000,
        x0=0.2,
        rng=rng(12),
    ).suboptimality()
    assert abs(sample.mean() - exact) <= 4.5 * sample.std() / math.sqrt(len(sample)) + 1e-12


@pytest.mark.parametrize("scheme", [RR, SS])
def test_enumeration_of_one_worker_is_that_of_the_first_chapter(scheme):
    """On equal curvatures F is x^2 / 2, half of that chapter's error."""
    problem = kinked_problem(1, 4, curvature=1.0)
    ours = enumerate_exact(problem, "local", scheme, 4, 0.05, 0.3, epochs=2)
    theirs = sgdo.exact_error(4, 2, 0.05, L=1.0, order=scheme, x0=0.3)
    assert ours == pytest.approx(0.5 * theirs, rel=1e-4)  # the grid's error


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "both"}, "method must be 'minibatch' or 'local', got 'both'"),
        ({"scheme": "sorted"}, "scheme must be one of"),
        ({"B": 3}, "B must divide components, got 3 and 4"),
        ({"B": 0}, "B must divide components, got 0 and 4"),
        ({"epochs": 3}, "components must be few enough for 2,000,000 outcomes"),
        ({"problem": PROBLEMS["dense"]}, "problem must have one dimension, got 3"),
    ],
)
def test_enumeration_refuses(options, text):
    arguments = {
        "problem": kinked_problem(2, 4),
        "method": "local",
        "scheme": RR,
        "B": 2,
        "step_size": 0.1,
        "x0": 0.0,
        **options,
    }
    with pytest.raises(ValueError, match=re.escape(text)):
        enumerate_exact(**arguments)


# --- orders ---------------------------------------------------------------------------------------


def test_synchronized_orders_are_one_permutation_from_several_starts():
    orders = draw_orders(SYNC, 12, epochs=5, runs=6, workers=4, rng=rng(13))
    assert orders.shape == (6, 5, 4, 12)
    for epoch in orders.reshape(-1, 4, 12):
        shifts = {
            next(s for s in range(12) if (np.roll(epoch[0], -s) == row).all()) for row in epoch
        }
        assert shifts == {0, 3, 6, 9}
    assert len({tuple(e[0]) for e in orders.reshape(-1, 4, 12)}) > 25


def test_the_workers_permutation_is_uniform():
    first = draw_orders(SYNC, 3, epochs=1, runs=6000, workers=3, rng=rng(14))[
        :, 0, :, 0
    ]  # which start each worker has
    counts = np.unique(first, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000)


@pytest.mark.parametrize("scheme", [RR, SS, WR])
def test_workers_draw_independently(scheme):
    orders = draw_orders(scheme, 3, epochs=2, runs=20000, workers=2, rng=rng(15))
    for a, b in (((0, 0), (0, 1)), ((0, 0), (1, 1))):
        left, right = orders[:, a[0], a[1], 0], orders[:, b[0], b[1], 0]
        joint = np.bincount(3 * left + right, minlength=9)
        assert np.abs(joint - 20000 / 9).max() < 5 * math.sqrt(20000 / 9)
    same = (orders[:, 0] == orders[:, 1]).all(axis=(1, 2))
    assert same.all() == (scheme == SS)


@given(seed=st.integers(0, 2**32), scheme=st.sampled_from(SCHEME_NAMES))
@settings(max_examples=40, deadline=None)
def test_a_row_depends_on_run_epoch_and_worker_only(seed, scheme):
    large = draw_orders(scheme, 4, epochs=6, runs=5, workers=2, rng=rng(seed))
    small = draw_orders(scheme, 4, epochs=4, runs=3, workers=2, rng=rng(seed))
    np.testing.assert_array_equal(large[:3, :4], small)
    if scheme != WR:
        assert (np.sort(large, axis=-1) == np.arange(4)).all()


def test_first_worker_of_plain_schemes_walks_the_order_of_a_single_machine():
    alone = draw_orders(RR, 6, epochs=3, runs=4, workers=1, rng=rng(16))
    several = draw_orders(RR, 6, epochs=3, runs=4, workers=5, rng=rng(16))
    np.testing.assert_array_equal(several[:, :, :1], alone)


# --- problems -------------------------------------------------------------------------------------


@problems
def test_components_average_to_the_gradient(problem):
    x = np.linspace(0.4, -0.3, problem.dim)
    m, i = np.indices((problem.workers, problem.components))
    for arrangement in range(problem.arrangements):
        mean = problem.component_gradients(m, i, x, arrangement=arrangement).mean(axis=(0, 1))
        numeric = [
            (problem.value(x + h) - problem.value(x - h)) / 2e-6 for h in 1e-6 * np.eye(problem.dim)
        ]
        if not problem.arrangements > 1:
            np.testing.assert_allclose(mean, numeric, atol=1e-7)
    assert problem.value(problem.minimizer) <= problem.value(x)


def test_kinked_problem_is_what_it_says():
    problem = kinked_problem(4, 6, curvature=3.0, noise=0.5, heterogeneity=0.25)
    m, i = np.indices((4, 6))
    at_zero = problem.component_gradients(m, i, np.zeros(1))[..., 0]
    signs = np.array([1, 1, 1, -1, -1, -1])
    np.testing.assert_allclose(at_zero, 0.5 * signs + 0.25 * np.array([[1], [-1], [1], [-1]]))
    slopes = problem.component_gradients(m, i, np.ones(1))[..., 0] - at_zero
    np.testing.assert_allclose(slopes, 3.0)
    np.testing.assert_allclose(problem.value(np.array([[-2.0], [2.0]])), [2.0, 6.0])


def test_mixing_keeps_balance_and_interpolates():
    problem = kinked_problem(3, 8, mixing=0.25, rng=rng(17), arrangements=50)
    noise = problem.problem.offsets.reshape(50, 3, 8)
    np.testing.assert_allclose(noise.sum(axis=-1), 0, atol=1e-12)
    shared = np.where(np.arange(8) < 4, 1.0, -1.0)
    own = (noise - 0.75 * shared) / 0.25
    np.testing.assert_allclose(np.abs(own), 1.0)
    flat = own.reshape(-1, 8)
    assert len(np.unique(flat.round(), axis=0)) > 40  # of 70 arrangements
    assert abs((own[:, 0] * own[:, 1]).mean()) < 0.3  # workers are independent
    whole = kinked_problem(3, 8, mixing=1.0, rng=rng(17))
    assert set(np.unique(whole.problem.offsets)) == {-1.0, 1.0}


def test_runs_take_turns_with_the_arrangements():
    problem = kinked_problem(M, N, mixing=1.0, rng=rng(18), arrangements=2)
    orders = draw_orders(RR, N, epochs=2, runs=4, workers=M, rng=rng(19))
    result = run_rounds(
        problem,
        method="local",
        local_steps=4,
        epochs=2,
        step_size=0.05,
        order=orders,
        runs=4,
        rng=rng(),
    )
    halves = problem.problem.offsets.reshape(2, -1)
    for r in range(4):
        one = FederatedSum(GluedSum(halves[r % 2]), M)
        expected = loop(one, orders[r], "local", 4, 0.05, [0.0])
        np.testing.assert_allclose(result.x[r], expected, rtol=1e-10, atol=1e-14)


def test_pl_problem_satisfies_the_condition():
    problem = pl_problem(2, 4)
    x = np.linspace(-6, 6, 2001)[:, None]
    slope = 2 * x + 3 * np.sin(2 * x)
    gap = problem.value(x)[:, None]
    away = np.abs(x) > 1e-9
    assert (0.5 * slope[away] ** 2 / gap[away]).min() > 1 / 32
    assert (2 + 6 * np.cos(2 * x)).min() < 0  # and is not convex


@pytest.mark.parametrize("split", ["iid", "by_label"])
def test_logistic_problem_deals_rows_out(split):
    X = rng(20).standard_normal((103, 3)) * [1, 5, 0.1] + 4
    y = (rng(21).random(103) < 0.5).astype(int) + 1
    problem = logistic_problem(X, y, 3, split, l2=0.1, multiple=8, rng=rng(22))
    assert (problem.workers, problem.components) == (3, 32)
    labels = problem.problem.labels.reshape(3, 32)
    assert set(np.unique(labels)) == {-1.0, 1.0}
    both = [len(np.unique(row)) == 2 for row in labels]
    assert all(both) if split == "iid" else sum(both) == 1
    assert np.linalg.norm(problem.problem.features, axis=1).mean() == pytest.approx(1)
    gradient = all_gradients(problem.problem, problem.minimizer).mean(axis=0)
    assert np.linalg.norm(gradient) < 1e-10


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: kinked_problem(0, 4), "workers must be an integer of at least 1, got 0"),
        (lambda: kinked_problem(2, 5), "components must be even and at least 2, got 5"),
        (lambda: kinked_problem(2, 4, noise=-1), "noise must be finite and not negative, got -1"),
        (
            lambda: kinked_problem(2, 4, heterogeneity=-0.1),
            "heterogeneity must be finite and not negative, got -0.1",
        ),
        (
            lambda: kinked_problem(3, 4, heterogeneity=1),
            "workers must be even with heterogeneity, got 3",
        ),
        (lambda: kinked_problem(2, 4, curvature=0), "curvature_right must be positive"),
        (lambda: kinked_problem(2, 4, mixing=1.5), "mixing must lie in [0, 1], got 1.5"),
        (lambda: kinked_problem(2, 4, mixing=0.5), "rng must be a numpy.random.Generator"),
        (lambda: kinked_problem(2, 4, arrangements=2), "arrangements must be 1, or more with"),
        (lambda: pl_problem(2, 3), "components must be even and at least 2, got 3"),
        (lambda: pl_problem(2, 4, noise=math.inf), "noise must be finite"),
        (
            lambda: logistic_problem(np.ones((40, 2)), np.arange(40) % 2, 2, "sorted", rng=rng()),
            "split must be 'iid' or 'by_label', got 'sorted'",
        ),
        (
            lambda: logistic_problem(np.ones((40, 2)), np.zeros(40), 2, rng=rng()),
            "y must hold two classes",
        ),
        (
            lambda: logistic_problem(np.ones((40, 2)), np.arange(50) % 2, 2, rng=rng()),
            "y must have shape (40,), one a row, got (50,)",
        ),
        (
            lambda: logistic_problem(
                np.ones((33, 2)), np.arange(33) == rng().permutation(33)[32], 2, rng=rng()
            ),
            "y must hold two classes among the 32 rows that are kept",
        ),
        (
            lambda: logistic_problem(np.ones((40, 2)), np.arange(40) % 2, 3, rng=rng()),
            "workers * multiple must be at most 40, the rows, got 3 * 16",
        ),
        (
            lambda: logistic_problem(np.ones((40, 2)), np.arange(40) % 2, 2, l2=0, rng=rng()),
            "l2 must be positive and finite, got 0",
        ),
        (lambda: FederatedSum(GluedSum.balanced(6), 4), "workers * arrangements must divide"),
        (
            lambda: FederatedSum(GluedSum.balanced(6), 0),
            "workers must be an integer of at least 1, got 0",
        ),
        (lambda: FederatedSum(GluedSum.balanced(6), 3, drift=[1, -1]), "drift must be finite"),
        (lambda: FederatedSum(GluedSum.balanced(6), 2, drift=[1, 1]), "drift must sum to 0"),
        (lambda: GluedSum([1.0, 2.0]), "offsets must have mean 0, got 1.5"),
        (lambda: GluedSum([1.0, -1.0], curvature_left=-1), "curvature_left must be positive"),
        (lambda: RippledSum([]), "offsets must have shape (n,)"),
    ],
)
def test_problems_refuse(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


@methods
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"local_steps": 3}, "local_steps must divide components, got 3 and 8"),
        ({"local_steps": 0}, "local_steps must be an integer of at least 1, got 0"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"step_size": 0.0}, "step_size must be positive and finite, got 0.0"),
        ({"runs": 0}, "runs must be an integer of at least 1, got 0"),
        ({"order": "sorted"}, "order must be one of"),
        ({"order": np.zeros((2, 4, 8), int)}, "order must hold permutations of 0..7"),
        ({"order": np.zeros((2, 8), int)}, "order must have shape (epochs, workers, n)"),
        ({"order": f"flipflop_{SYNC}", "epochs": 3}, "epochs must be even for FlipFlop"),
        (
            {"problem": kinked_problem(4, 6), "order": SYNC},
            "workers must divide components to be synchronized, got 4, 6",
        ),
    ],
)
def test_methods_refuse(method, options, text):
    arguments = {
        "problem": PROBLEMS["kinked"],
        "local_steps": 2,
        "epochs": 2,
        "step_size": 0.1,
        "order": RR,
        "runs": 2,
        "rng": rng(),
        **options,
    }
    with pytest.raises(ValueError, match=re.escape(text)):
        run_rounds(arguments.pop("problem"), method=method, **arguments)


def test_there_are_two_methods():
    with pytest.raises(ValueError, match="method must be 'minibatch' or 'local', got 'both'"):
        run_rounds(
            PROBLEMS["kinked"],
            RR,
            method="both",
            local_steps=1,
            epochs=1,
            step_size=0.1,
            runs=1,
            rng=rng(),
        )


# --- theory ---------------------------------------------------------------------------------------


def test_step_size():
    assert step_size(8, 128, 200) == pytest.approx(2 * math.log(8 * 128 * 200**2) / (128 * 200))
    assert step_size(2, 4, 5, mu=0.5, c=1) == pytest.approx(2 * math.log(200) / 20)


@pytest.mark.parametrize("method", ["minibatch", "local"])
def test_rates_scale_as_the_table_says(method):
    base = {"M": 8, "N": 128, "B": 4, "K": 100, "nu": 1.0, "tau": 0.5}

    def of(scheme, **changes):
        return rate_terms(method, scheme, **{**base, **changes})

    for scheme, in_M, in_K in ((WR, -1, -1), (RR, -1, -2), (SYNC, -2, -2)):
        noise = of(scheme).noise
        assert of(scheme, M=16).noise == pytest.approx(2.0**in_M * noise)
        assert of(scheme, K=200).noise == pytest.approx(2.0**in_K * noise)
        assert of(scheme, N=256).noise == pytest.approx(noise / 2)
        assert of(scheme, nu=2.0).noise == pytest.approx(4 * noise)
        assert of(scheme, B=8).noise == noise
    terms = of(RR)
    if method == "minibatch" or of(WR).walk:
        assert (terms.walk, terms.drift) == (0, 0)
    else:
        assert of(RR, B=8).walk == pytest.approx(2 * terms.walk)
        assert of(RR, B=8).drift == pytest.approx(4 * terms.drift)
        assert of(RR, tau=1.0).drift == pytest.approx(4 * terms.drift)
        assert of(RR, N=256).walk == pytest.approx(terms.walk / 4)
        assert terms.total == pytest.approx(terms.noise + terms.walk + terms.drift)
    rate = theory_rate(method, RR, **base, L=4.0, mu=0.5)
    assert rate == pytest.approx(16 * 8 * terms.total)


@given(
    M=st.integers(1, 100),
    N=st.integers(1, 10000),
    nu=st.floats(0.01, 100),
    tau=st.floats(0, 100),
)
def test_crossover_solves_its_equation(M, N, nu, tau):
    B = crossover_batch(M, N, nu, tau)
    assert tau**2 * B**2 + nu**2 * B == pytest.approx(nu**2 * N / M, rel=1e-9)


def test_crossover_equates_the_terms():
    B = crossover_batch(8, 128, 1.0, 0.3)
    terms = rate_terms("local", RR, 8, 128, 4, 100, 1.0, 0.3)
    scale = B / 4
    assert terms.walk * scale + terms.drift * scale**2 == pytest.approx(terms.noise)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: step_size(0, 4, 5), "M must be an integer of at least 1, got 0"),
        (lambda: step_size(1, 1, 1), "M N K^2 must be at least 2, got 1"),
        (lambda: step_size(2, 4, 5, mu=0), "mu must be positive and finite, got 0"),
        (lambda: step_size(2, 4, 5, c=-1), "c must be positive and finite, got -1"),
        (lambda: rate_terms("both", RR, 2, 4, 2, 5), "method must be 'minibatch' or 'local'"),
        (lambda: rate_terms("local", SS, 2, 4, 2, 5), "scheme must be 'with_replacement'"),
        (lambda: rate_terms("local", RR, 2, 4, 0, 5), "B must be an integer of at least 1, got 0"),
        (lambda: rate_terms("local", RR, 2, 4, 2, 5, nu=-1), "nu must be finite and not negative"),
        (lambda: theory_rate("local", RR, 2, 4, 2, 5, L=0), "L must be positive and finite, got 0"),
        (lambda: crossover_batch(0, 4), "M must be an integer of at least 1, got 0"),
        (lambda: crossover_batch(2, 4, nu=0), "nu must be positive and finite, got 0"),
        (lambda: crossover_batch(2, 4, tau=-1), "tau must be finite and not negative, got -1"),
        (
            lambda: local_sgd.epoch_time(8, 0, 1.0),
            "N and B must be at least 1, got 8 and 0",
        ),
        (lambda: local_sgd.epoch_time(8, 2, -1.0), "latency must be finite and not negative"),
    ],
)
def test_theory_refuses(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


# --- beyond ---------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32), d=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_matching_is_the_best_of_all_permutations(seed, d):
    gradients = rng(seed).standard_normal((3, 4, d))
    match = local_sgd.match_components(gradients)
    np.testing.assert_array_equal(np.sort(match, axis=1), np.tile(np.arange(4), (3, 1)))
    for m in range(3):
        costs = [
            ((gradients[0] - gradients[m][list(p)]) ** 2).sum()
            for p in itertools.permutations(range(4))
        ]
        ours = ((gradients[0] - gradients[m][match[m]]) ** 2).sum()
        assert ours == pytest.approx(min(costs), rel=1e-9, abs=1e-12)


def test_matched_workers_hold_the_same_components_again():
    problem = kinked_problem(3, 8, mixing=1.0, rng=rng(23))
    m, i = np.indices((3, 8))
    match = local_sgd.match_components(problem.component_gradients(m, i, np.zeros(1)))
    orders = local_sgd.rename_components(
        draw_orders(RR, 8, epochs=2, runs=4, workers=1, rng=rng(24)).repeat(3, 2), match
    )
    kinds = problem.component_gradients(m[:, 0][:, None], orders, np.zeros(1))[..., 0]
    assert (kinds == kinds[:, :, :1]).all()


def test_matching_refuses():
    with pytest.raises(ValueError, match="gradients must be finite, of shape"):
        local_sgd.match_components(np.zeros((3, 4)))


def test_error_model_recovers_its_constants():
    truth = local_sgd.ErrorModel(0.5, 0.2, 0.1)
    B, tau = (g.ravel() for g in np.meshgrid([1.0, 4, 16, 64], [0.0, 0.3, 1]))
    errors = truth.error(8, 128, B, 2.0, tau, 0.01)
    fitted = local_sgd.fit_error_model(errors, 8, 128, B, 2.0, tau, 0.01)
    np.testing.assert_allclose(
        [fitted.noise, fitted.walk, fitted.drift], [0.5, 0.2, 0.1], rtol=1e-9
    )
    with pytest.raises(ValueError, match="errors must be positive, got 0"):
        local_sgd.fit_error_model(0 * errors, 8, 128, B, 2.0, tau, 0.01)
    with pytest.raises(ValueError, match="errors, B and tau must have one shape"):
        local_sgd.fit_error_model(errors[1:], 8, 128, B, 2.0, tau, 0.01)


def test_epoch_time():
    np.testing.assert_allclose(local_sgd.epoch_time(8, [1, 4], 10.0, 2.0), [96.0, 36.0])


def test_round_paths_meet_where_the_simulator_ends():
    problem = PROBLEMS["kinked, drift"]
    orders = draw_orders(RR, N, epochs=1, runs=1, workers=M, rng=rng(25))[0]
    paths = local_sgd.round_paths(problem, orders[0], 4, 0.05, 0.3)
    assert paths.shape == (M, 2, 5)
    end = run_rounds(
        problem,
        method="local",
        local_steps=4,
        epochs=1,
        step_size=0.05,
        order=orders,
        runs=1,
        x0=0.3,
        rng=rng(),
    ).x[0, 0]
    assert paths[:, -1, -1].mean() == pytest.approx(end, rel=1e-12)
    np.testing.assert_allclose(paths[:, 1, 0], paths[:, 0, -1].mean())


@pytest.mark.parametrize("method", ["minibatch", "local"])
def test_the_algorithms_by_name_are_rounds_of_the_simulator(method):
    options = {"local_steps": 2, "epochs": 3, "step_size": 0.05, "runs": 4}
    problem = PROBLEMS["kinked, drift"]
    named = {"minibatch": local_sgd.minibatch_sgd, "local": local_sgd.local_sgd}[method]
    result = named(problem, scheme=RR, rng=rng(30), **options)
    same = run_rounds(problem, RR, method=method, rng=rng(30), **options)
    np.testing.assert_array_equal(result.x, same.x)
    assert result.communication_rounds == 3 * N // 2
    assert (result.suboptimality() >= 0).all()
    assert problem.optimal_value == problem.value(problem.minimizer)


def test_orders_written_out_are_those_that_runs_meet():
    written = local_sgd.shuffle_orders(RR, M, N, 2, 3, rng=rng(31))
    np.testing.assert_array_equal(
        written, draw_orders(RR, N, epochs=2, runs=3, workers=M, rng=rng(31))
    )
