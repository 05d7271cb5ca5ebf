"""The simulator: every engine against plain loops, every order's law against enumeration."""

import itertools
import math
import re
import types
from copy import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reprise.shuffling.orders import ORDER_NAMES, draw_orders
from reprise.shuffling.problems import GluedSum, LogisticSum, MeanEstimation, QuadraticSum
from reprise.shuffling.results import SGDResult
from reprise.shuffling.simulate import run_grid, run_sgd

rng_of = np.random.default_rng
few_examples = settings(max_examples=20, deadline=None, derandomize=True)
overflows = pytest.mark.filterwarnings("ignore::RuntimeWarning")
seeds = st.integers(0, 2**32 - 1)
random_orders = [name for name in ORDER_NAMES if "incremental" not in name]


def sgd(problem, order, *, seed=0, threads=1, **options):
    return run_sgd(problem, order, **({"rng": rng_of(seed), "threads": threads} | options))


def loop(gradient, orders, steps, x0):
    """Plain Python: orders (runs, K, n), steps (runs, K), x0 (runs, ...) -> ends (K, runs, ...)."""
    ends = np.empty((orders.shape[1], *np.shape(x0)))
    for r, rows in enumerate(orders.tolist()):
        x = x0[r]
        for k, row in enumerate(rows):
            eta = float(steps[r, k])
            for i in row:
                x = x - eta * gradient(i, x)
            ends[k, r] = x
    return ends


def glued(n, left, right, noise):
    """Gradient of the glued parabolas, written out again in scalars."""
    return lambda i, x: (right if x > 0 else left) * x + (noise if i < n // 2 else -noise)


def bare(problem):
    """The problem without what gives it a compiled path."""
    names = ("n", "dim", "minimizer", "value", "gradient")
    return types.SimpleNamespace(**{name: getattr(problem, name) for name in names})


def assert_equal_to_rounding(x, truth):
    np.testing.assert_allclose(x, truth, rtol=1e-12, atol=1e-14 * max(1.0, np.abs(truth).max()))


# --- two kinds of components: lanes ---------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 62, 64, 66, 130])
@pytest.mark.parametrize("runs", [1, 63, 64, 65, 130])
def test_lanes_equal_a_plain_loop(n, runs, random_permutations):
    rng = rng_of([n, runs])
    K = int(rng.integers(1, 4)) if n < 130 else 2
    left, right, noise = rng.uniform(0.2, 5, 3)
    steps = rng.uniform(0.01, 0.19, (runs, K))
    x0 = rng.normal(size=runs)
    orders = random_permutations(rng, runs, K, n)
    result = sgd(
        GluedSum.balanced(n, right, left, noise),
        orders,
        epochs=K,
        step_size=steps,
        runs=runs,
        x0=x0,
        record=range(1, K + 1),
    )
    truth = loop(glued(n, left, right, noise), orders, steps, x0)
    assert_equal_to_rounding(result.history[:, :, 0], truth)
    assert_equal_to_rounding(result.x[:, 0], truth[-1])


@pytest.mark.parametrize("n", [2, 62, 64, 66, 130])
def test_lanes_share_given_permutations(n, random_permutations):
    rng = rng_of(n)
    orders = random_permutations(rng, 3, n)
    x0 = rng.normal(size=70)
    problem = GluedSum.balanced(n, 3.0, 0.5, 0.8)
    x = sgd(problem, orders, epochs=3, step_size=0.11, runs=70, x0=x0).x[:, 0]
    every = np.broadcast_to(orders, (70, 3, n))
    truth = loop(glued(n, 0.5, 3.0, 0.8), every, np.full((70, 3), 0.11), x0)[-1]
    assert_equal_to_rounding(x, truth)


@pytest.mark.parametrize("n", [3, 63, 64, 65, 129])
def test_lanes_of_unbalanced_quadratics_equal_a_plain_loop(n, random_permutations):
    rng = rng_of(n)
    kind = np.arange(n) % 3 == 0
    a, b = np.where(kind, 0.3, 2.1), np.where(kind, 1.0, -0.4)
    problem = QuadraticSum(a, b)
    assert problem.two_kinds() is not None
    orders, x0 = random_permutations(rng, 70, 2, n), rng.normal(size=70)
    x = sgd(problem, orders, epochs=2, step_size=0.2, runs=70, x0=x0).x[:, 0]
    truth = loop(lambda i, x: a[i] * x - b[i], orders, np.full((70, 2), 0.2), x0)[-1]
    assert_equal_to_rounding(x, truth)


@pytest.mark.parametrize("width", [0.02, 0.5])
@pytest.mark.parametrize("n", [2, 64, 66])
def test_smoothed_lanes_equal_a_plain_loop(n, width, random_permutations):
    rng = rng_of(n)
    problem = GluedSum.balanced(n, 4.0, 1.0, 0.7, glue_width=width)
    orders, x0 = random_permutations(rng, 40, 2, n), rng.normal(size=(40, 1))
    steps = rng.uniform(0.01, 0.2, (40, 1)) * [[1.0, 0.5]]
    x = sgd(problem, orders, epochs=2, step_size=steps, runs=40, x0=x0).x
    assert_equal_to_rounding(x, loop(problem.gradient, orders, steps, x0)[-1])


@given(seed=seeds, n=st.sampled_from([2, 6, 64, 66]), L=st.floats(0.1, 8), G=st.floats(0, 3))
@few_examples
def test_lanes_equal_the_numpy_steps_on_any_glue(seed, n, L, G):
    rng = rng_of(seed)
    problem = GluedSum.balanced(n, L, 1.0, G)
    options = {"epochs": 2, "step_size": 0.1, "runs": 5, "x0": rng.normal(size=5)}
    orders = rng.permuted(np.broadcast_to(np.arange(n), (5, 2, n)), axis=-1)
    lanes, numpy = (sgd(p, orders, **options).x for p in (problem, bare(problem)))
    assert_equal_to_rounding(lanes, numpy)


@given(seed=seeds, L=st.floats(0.2, 5), width=st.sampled_from([0.0, 0.3]))
@few_examples
def test_without_noise_every_order_is_gradient_descent(seed, L, width):
    problem = GluedSum.balanced(6, L, 1.0, 0.0, glue_width=width)
    x0 = rng_of(seed).normal(size=7)
    x = x0[:, None]
    for _ in range(4 * 6):
        x = x - 0.15 * problem.gradient(np.zeros(7, dtype=int), x)
    for order in ORDER_NAMES:
        ends = sgd(problem, order, seed=seed, epochs=4, step_size=0.15, runs=7, x0=x0).x
        np.testing.assert_allclose(ends, x, rtol=1e-12)


@given(seed=seeds, left=st.floats(0.2, 5), right=st.floats(0.2, 5), width=st.floats(0, 1))
@few_examples
def test_swapped_sides_mirror_the_path(seed, left, right, width):
    rng = rng_of(seed)
    orders = rng.permuted(np.broadcast_to(np.arange(8), (9, 3, 8)), axis=-1)
    x0 = rng.normal(size=9)
    options = {"epochs": 3, "step_size": 0.17, "runs": 9}
    glue = {"glue_width": width if width > 0.01 else 0.0}
    x = sgd(GluedSum.balanced(8, right, left, **glue), orders, x0=x0, **options).x
    mirrored = GluedSum.balanced(8, left, right, **glue)
    y = sgd(mirrored, 7 - orders, x0=-x0, **options).x
    np.testing.assert_allclose(y, -x, rtol=1e-12, atol=1e-14)


@given(seed=seeds, scale=st.floats(1e-3, 1e3), order=st.sampled_from(ORDER_NAMES))
@few_examples
def test_ends_scale_with_noise_and_start(seed, scale, order):
    x0 = rng_of(seed).normal(size=9)
    options = {"epochs": 4, "step_size": 0.1, "runs": 9, "seed": seed}
    x = sgd(GluedSum.balanced(8, noise=1.0), order, x0=x0, **options).x
    y = sgd(GluedSum.balanced(8, noise=scale), order, x0=scale * x0, **options).x
    np.testing.assert_allclose(y, scale * x, rtol=1e-10, atol=1e-13 * scale)


def test_start_at_the_kink_with_no_noise_stays():
    x = sgd(GluedSum.balanced(4, noise=0.0), "random_reshuffling", epochs=5, step_size=0.1, runs=3)
    np.testing.assert_array_equal(x.x, 0.0)


# --- laws against enumeration ---------------------------------------------------------------------

SIGNS = (1, 1, -1, -1)


@pytest.mark.parametrize(("left", "right", "x0"), [(1.0, 4.0, 0.0), (3.0, 0.5, 0.4)])
@pytest.mark.parametrize(
    ("order", "epochs"),
    [
        ("random_reshuffling", [1, 2, 3]),
        ("single_shuffle", [1, 2, 3]),
        ("with_replacement", [1, 2, 3]),
        ("flipflop_random_reshuffling", [1, 2, 3, 4]),
        ("flipflop_single_shuffle", [1, 2, 3, 4]),
    ],
)
def test_moments_of_the_glue_are_exact(
    order, epochs, x0, left, right, paths, walk, glued_gradient, standard_errors
):
    K = epochs[-1]
    truth = walk(glued_gradient(left, right), paths(SIGNS, order, K), 0.2, x0)  # (paths, K)
    problem = GluedSum.balanced(4, right, left)
    options = {"epochs": K, "step_size": 0.2, "runs": 200_000, "x0": x0, "record": epochs}
    result = sgd(problem, order, **options)
    for k in range(K):
        for moment in (lambda v: v, np.square, np.abs):
            assert standard_errors(moment(result.history[k]), moment(truth[:, k])) < 4.5


@pytest.mark.parametrize("K", [1, 2, 3])
def test_last_epoch_is_the_kth(K, paths, walk, glued_gradient, standard_errors):
    truth = walk(glued_gradient(), paths(SIGNS, "random_reshuffling", K), 0.2, 0.9)[:, -1]
    options = {"epochs": K, "step_size": 0.2, "runs": 50_000, "x0": 0.9}
    x = sgd(GluedSum.balanced(4), "random_reshuffling", **options).x
    assert standard_errors(x, truth) < 4.5
    assert standard_errors(x**2, truth**2) < 4.5
    points = np.array([[1.0], [-2.0], [0.5], [3.0]])
    truth = walk(lambda i, y: y - points[i, 0], paths(range(4), "random_reshuffling", K), 0.2, 0.9)
    x = sgd(MeanEstimation(points), "random_reshuffling", **options).x
    assert standard_errors(x, truth[:, -1]) < 4.5
    assert standard_errors(x**2, truth[:, -1] ** 2) < 4.5


def test_steeper_right_side_pushes_left():
    options = {"epochs": 1, "step_size": 0.05, "runs": 20_000}
    right = sgd(GluedSum.balanced(10, 4.0, 1.0), "random_reshuffling", **options).x.mean()
    left = sgd(GluedSum.balanced(10, 1.0, 4.0), "random_reshuffling", **options).x.mean()
    assert right < -0.01
    assert left > 0.01


@pytest.mark.parametrize(
    ("order", "K"),
    [
        ("random_reshuffling", 1),
        ("random_reshuffling", 3),
        ("single_shuffle", 3),
        ("with_replacement", 1),
        ("flipflop_random_reshuffling", 2),
        ("flipflop_random_reshuffling", 4),
        ("flipflop_single_shuffle", 4),
    ],
)
@pytest.mark.parametrize("form", ["diagonal", "dense", "mean", "bare"])
def test_moments_of_listed_components_are_exact(order, K, form, paths, walk, standard_errors):
    a, b = np.array([0.5, 1.0, 2.0, 4.0]), np.array([1.0, -2.0, 0.3, 0.9])
    if form == "mean":
        a, problem = np.ones(4), MeanEstimation(b[:, None])
    else:
        problem = QuadraticSum(a[:, None, None] if form == "dense" else a, b)
        problem = bare(problem) if form == "bare" else problem
    truth = walk(lambda i, x: a[i] * x - b[i], paths(range(4), order, K), 0.15, -0.5)[:, -1]
    x = sgd(problem, order, epochs=K, step_size=0.15, runs=20_000, x0=-0.5).x
    for moment in (lambda v: v, np.square, lambda v: v**3):
        assert standard_errors(moment(x), moment(truth)) < 4.5


def visited(order, n, K, runs, seed):
    """Sign sequences that the lanes drew, read off the ends of single epochs: (runs, K) codes."""
    rows = {"with_replacement": itertools.product((1, -1), repeat=n)}.get(
        order, sorted(set(itertools.permutations((1,) * (n // 2) + (-1,) * (n // 2))))
    )
    rows = np.array(list(rows))
    eta = 0.4  # (1 - eta)^j are such that all sequences end apart
    ends = -(rows * eta * (1 - eta) ** np.arange(n - 1, -1, -1)).sum(axis=1)
    order_of_ends = np.argsort(ends)
    assert np.diff(ends[order_of_ends]).min() > 1e-3
    problem = GluedSum.balanced(n, 1.0, 1.0)
    options = {"epochs": K, "step_size": eta, "runs": runs, "record": range(1, K + 1), "seed": seed}
    x = sgd(problem, order, **options).history[:, :, 0]
    before = np.concatenate([np.zeros((1, runs)), x[:-1]])
    push = x - (1 - eta) ** n * before
    code = np.abs(push[..., None] - ends).argmin(axis=-1)
    np.testing.assert_allclose(ends[code], push, atol=1e-12)
    return rows, code.T


@pytest.mark.parametrize("order", random_orders)
@pytest.mark.parametrize("n", [2, 4, 6])
def test_lanes_draw_every_sign_sequence_equally_often(order, n):
    rows, code = visited(order, n, 2, 24_000, seed=n)
    for k in range(2):
        counts = np.bincount(code[:, k], minlength=len(rows))
        assert stats.chisquare(counts).pvalue > 1e-4


def test_lanes_reuse_and_reverse_sequences_as_named():
    rows, code = visited("single_shuffle", 6, 4, 300, seed=1)
    assert (code == code[:, :1]).all()
    rows, code = visited("flipflop_single_shuffle", 6, 4, 300, seed=1)
    np.testing.assert_array_equal(rows[code[:, 1]], rows[code[:, 0]][:, ::-1])
    np.testing.assert_array_equal(code[:, 2:], code[:, :2])
    rows, code = visited("flipflop_random_reshuffling", 6, 4, 300, seed=1)
    np.testing.assert_array_equal(rows[code[:, 1::2]], rows[code[:, ::2]][..., ::-1])
    assert 0.6 < (code[:, 0] != code[:, 2]).mean() <= 1
    rows, code = visited("incremental", 6, 2, 2, seed=1)
    assert (rows[code] == [1, 1, 1, -1, -1, -1]).all()


@pytest.mark.parametrize("order", ["random_reshuffling", "with_replacement"])
def test_epochs_of_the_lanes_are_independent(order):
    rows, code = visited(order, 4 if order == "random_reshuffling" else 2, 2, 72_000, seed=2)
    pairs = np.bincount(len(rows) * code[:, 0] + code[:, 1], minlength=len(rows) ** 2)
    assert stats.chisquare(pairs).pvalue > 1e-4


@pytest.mark.parametrize("order", random_orders)
def test_neighbouring_runs_are_uncorrelated(order):
    x = sgd(GluedSum.balanced(8), order, epochs=2, step_size=0.1, runs=20_001).x[:, 0]
    for lag in (1, 2, 64):
        assert abs(np.corrcoef(x[lag:], x[:-lag])[0, 1]) < 4.5 / math.sqrt(20_000)


# --- engines agree --------------------------------------------------------------------------------


def diagonal(rng, n, d):
    return QuadraticSum(rng.uniform(0.2, 2, (n, d)), rng.normal(size=(n, d)))


def dense(rng, n, d):
    root = rng.normal(size=(n, d, d)) / 3
    return QuadraticSum(root + root.swapaxes(1, 2) + 2 * np.eye(d), rng.normal(size=(n, d)))


def logistic(rng, n, d):
    labels = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return LogisticSum(rng.normal(size=(n, d)), labels, 0.1)


def mean(rng, n, d):
    return MeanEstimation(rng.normal(size=(n, d)))


ENGINES = [diagonal, dense, logistic, mean]


@pytest.mark.parametrize("order", ORDER_NAMES)
@pytest.mark.parametrize("build", ENGINES)
def test_engines_agree(build, order):
    rng = rng_of(3)
    problem = build(rng, 9, 3)
    options = {
        "epochs": 4,
        "step_size": rng.uniform(0.05, 0.3, (1, 4)),
        "runs": 70,
        "x0": rng.normal(size=(70, 3)),
        "record": [1, 2, 4],
    }
    compiled, numpy = (sgd(p, order, **options) for p in (problem, bare(problem)))
    assert_equal_to_rounding(compiled.history, numpy.history)
    assert_equal_to_rounding(compiled.x, numpy.x)
    if order == "with_replacement":  # its rows are no permutations, so they cannot be given
        return
    written = draw_orders(order, 9, epochs=4, runs=70, rng=rng_of(0))
    for p in (problem, bare(problem)):
        assert_equal_to_rounding(sgd(p, written, **options).history, numpy.history)


@pytest.mark.parametrize("order", ORDER_NAMES)
@pytest.mark.parametrize("build", ENGINES)
def test_constant_steps_agree_too(build, order):
    problem = build(rng_of(4), 5, 2)
    options = {"epochs": 6, "step_size": 0.2, "runs": 3, "x0": [0.3, -1.0]}
    written = draw_orders(order, 5, epochs=6, runs=3, rng=rng_of(0))
    truth = loop(problem.gradient, written, np.full((3, 6), 0.2), np.tile([0.3, -1.0], (3, 1)))
    assert_equal_to_rounding(sgd(problem, order, **options).x, truth[-1])


@pytest.mark.parametrize("leading", [(3,), (20, 3)], ids=["shared", "one-a-run"])
@pytest.mark.parametrize("build", ENGINES)
def test_engines_read_given_permutations(build, leading, random_permutations):
    rng = rng_of(5)
    problem = build(rng, 7, 2)
    orders = random_permutations(rng, *leading, 7)
    x0, steps = rng.normal(size=(20, 2)), rng.uniform(0.05, 0.3, (20, 3))
    options = {"epochs": 3, "step_size": steps, "runs": 20, "x0": x0}
    truth = loop(problem.gradient, np.broadcast_to(orders, (20, 3, 7)), steps, x0)[-1]
    assert_equal_to_rounding(sgd(problem, orders, **options).x, truth)
    assert_equal_to_rounding(sgd(bare(problem), orders, **options).x, truth)


@given(seed=seeds, n=st.integers(1, 12), d=st.integers(1, 4), order=st.sampled_from(ORDER_NAMES))
@few_examples
def test_mean_estimation_agrees_with_its_definition(seed, n, d, order):
    problem = mean(rng_of(seed), n, d)
    options = {"epochs": 2, "step_size": 0.3, "runs": 4, "seed": seed}
    compiled, numpy = (sgd(p, order, **options).x for p in (problem, bare(problem)))
    assert_equal_to_rounding(compiled, numpy)


# --- steps, starts, records -----------------------------------------------------------------------

PROBLEMS = {
    "kinked": GluedSum.balanced(6),
    "smoothed": GluedSum.balanced(6, glue_width=0.2),
    "components": diagonal(rng_of(0), 5, 1),
    "mean": mean(rng_of(0), 5, 1),
    "bare": bare(mean(rng_of(0), 5, 1)),
}
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


@every_problem
@pytest.mark.parametrize(
    ("shape", "runs"),
    [
        ((), 4),
        ((3,), 4),
        ((4,), 4),
        ((1, 3), 4),
        ((4, 1), 4),
        ((4, 3), 4),
        ((3, 1), 3),
        ((1, 3), 3),
    ],
)
def test_steps_broadcast_to_runs_and_epochs(problem, shape, runs, random_permutations):
    rng = rng_of(6)
    steps = rng.uniform(0.05, 0.3, shape)
    every = np.broadcast_to(steps[:, None] if shape == (4,) else steps, (runs, 3))
    orders, x0 = random_permutations(rng, runs, 3, problem.n), rng.normal(size=(runs, 1))
    x = sgd(problem, orders, epochs=3, step_size=steps, runs=runs, x0=x0).x
    truth = loop(problem.gradient, orders, every, x0)[-1]
    assert_equal_to_rounding(x, truth)


@every_problem
def test_a_step_a_run_equals_runs_with_that_step(problem):
    steps = np.tile([0.05, 0.1, 0.2], 50)
    options = {"epochs": 2, "runs": 150}
    mixed = sgd(problem, "random_reshuffling", step_size=steps, **options).x
    for s, step in enumerate((0.05, 0.1, 0.2)):
        alone = sgd(problem, "random_reshuffling", step_size=step, **options).x
        np.testing.assert_allclose(mixed[s::3], alone[s::3], rtol=1e-13)


@every_problem
def test_history_equals_shorter_runs(problem):
    options = {"step_size": 0.1, "runs": 67, "x0": 0.4}
    long = sgd(problem, "random_reshuffling", epochs=7, record=[1, 4, 6], **options)
    unsigned = np.array([1, 4, 6], np.uint64)
    same = sgd(problem, "random_reshuffling", epochs=7, record=unsigned, **options)
    np.testing.assert_array_equal(same.history, long.history)
    assert long.record.tolist() == [1, 4, 6]
    assert long.history.shape == (3, 67, 1)
    for kept, K in zip(long.history, (1, 4, 6), strict=True):
        short = sgd(problem, "random_reshuffling", epochs=K, **options)
        np.testing.assert_array_equal(kept, short.x)
        assert short.history.shape == (0, 67, 1)
    everything = sgd(problem, "random_reshuffling", epochs=7, record=range(1, 8), **options)
    np.testing.assert_array_equal(everything.history[-1], long.x)
    np.testing.assert_array_equal(everything.x, long.x)


@pytest.mark.parametrize(
    ("x0", "runs", "every"),
    [
        (None, 3, [[0.0, 0.0]] * 3),
        (0.5, 3, [[0.5, 0.5]] * 3),
        ([1.0, -1.0], 3, [[1.0, -1.0]] * 3),
        ([[1.0], [2.0], [3.0]], 3, [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]),
        ([[1.0, 2.0], [3.0, 4.0]], 2, [[1.0, 2.0], [3.0, 4.0]]),
    ],
)
def test_start_broadcasts_to_runs_and_dimensions(x0, runs, every):
    problem = mean(rng_of(0), 4, 2)
    x = sgd(problem, "incremental", epochs=1, step_size=0.1, runs=runs, x0=x0).x
    orders = np.broadcast_to(np.arange(4), (runs, 1, 4))
    truth = loop(problem.gradient, orders, np.full((runs, 1), 0.1), np.array(every))[-1]
    assert_equal_to_rounding(x, truth)


def test_start_is_left_alone():
    x0 = np.ones((5, 1))
    for problem in PROBLEMS.values():
        sgd(problem, "random_reshuffling", epochs=2, step_size=0.1, runs=5, x0=x0)
    np.testing.assert_array_equal(x0, 1.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"step_size": 0.0}, "step_size must be positive and finite, got 0.0"),
        ({"step_size": -0.1}, "step_size must be positive and finite, got -0.1"),
        ({"step_size": math.nan}, "step_size must be positive and finite, got nan"),
        ({"step_size": math.inf}, "step_size must be positive and finite, got inf"),
        ({"step_size": [0.1, 0.1, -3.0]}, "step_size must be positive and finite, got -3.0"),
        ({"step_size": []}, "step_size must be positive and finite, got an empty array"),
        ({"step_size": [0.1, 0.2]}, "shape (epochs,) = (3,), (runs,) = (4,) or (runs, epochs)"),
        ({"step_size": [0.1, 0.2]}, "got (2,)"),
        ({"step_size": np.ones((3, 4))}, "got (3, 4)"),
        ({"step_size": np.ones((1, 4, 3))}, "got (1, 4, 3)"),
        ({"step_size": [0.1] * 3, "runs": 3}, "step_size of shape (3,) is ambiguous with runs = "),
        ({"x0": math.nan}, "x0 must be finite, got nan"),
        ({"x0": [0.0, math.inf]}, "x0 must be finite, got inf"),
        ({"x0": [0.0, 1.0, 2.0]}, "x0 must broadcast to (runs, d) = (4, 2), got shape (3,)"),
        ({"x0": [0.0, 1.0, 2.0, 3.0]}, "x0 must broadcast to (runs, d) = (4, 2), got shape (4,)"),
        ({"x0": np.zeros((1, 4, 2))}, "got shape (1, 4, 2)"),
        ({"record": [0]}, "record must lie in 1..3, got [0]"),
        ({"record": [1, 4]}, "record must lie in 1..3, got [1, 4]"),
        ({"record": [2, 2]}, "record must hold increasing epochs, got [2, 2]"),
        ({"record": [3, 1]}, "record must hold increasing epochs, got [3, 1]"),
        ({"record": [[]]}, "record must hold increasing epochs, got [[]]"),
        ({"record": np.array([2, 1], np.uint64)}, "record must hold increasing epochs, got [2 1]"),
        ({"record": [1.7]}, "record must hold increasing epochs, got [1.7]"),
        ({"epochs": 2.5}, "epochs must be an integer of at least 1, got 2.5"),
        ({"runs": 2.5}, "runs must be an integer of at least 1, got 2.5"),
        ({"rng": 0}, "rng must be a numpy.random.Generator, as default_rng(0), got 0"),
        ({"record": [[1, 2]]}, "record must hold increasing epochs, got [[1, 2]]"),
        ({"epochs": 0}, "epochs must be an integer of at least 1, got 0"),
        ({"runs": 0}, "runs must be an integer of at least 1, got 0"),
        ({"order": "flipflop_incremental", "epochs": 7}, "epochs must be even for FlipFlop, got 7"),
        ({"order": "sorted"}, "got 'sorted'"),
        ({"order": np.zeros((3, 5), dtype=int)}, "order must hold permutations of 0..4; row 0"),
        ({"order": np.arange(5)}, "got (5,)"),
        ({"threads": 0}, "threads must be "),
    ],
)
def test_run_sgd_names_what_is_wrong(change, text):
    right = {"order": "random_reshuffling", "epochs": 3, "step_size": 0.1, "runs": 4}
    with pytest.raises(ValueError, match=re.escape(text)):
        sgd(mean(rng_of(0), 5, 2), **(right | change))


# --- determinism ----------------------------------------------------------------------------------

DETERMINED = PROBLEMS | {
    "dense": dense(rng_of(1), 6, 3),
    "logistic": logistic(rng_of(1), 6, 2),
    "mean-3": mean(rng_of(1), 6, 3),
}
determined = pytest.mark.parametrize("problem", DETERMINED.values(), ids=DETERMINED)


@determined
@pytest.mark.parametrize("order", ["random_reshuffling", "with_replacement"])
def test_threads_do_not_change_the_result(problem, order):
    options = {"epochs": 3, "step_size": 0.1, "runs": 200, "record": [1, 3]}
    one, two, five = (sgd(problem, order, threads=t, **options) for t in (1, 2, 5))
    np.testing.assert_array_equal(one.history, two.history)
    np.testing.assert_array_equal(one.history, five.history)
    grid = [(problem.n, 3, 0.1), (problem.n, 1, 0.2), (problem.n, 5, 0.05)]
    grids = [
        run_grid(lambda n: problem, order, grid, runs=100, rng=rng_of(0), threads=t)
        for t in (1, 2, 5)
    ]
    for x, y, z in zip(*(g.x for g in grids), strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(x, z)


def same_runs(problem, x, y):
    """Bit for bit, except where a library multiplies matrices of other heights."""
    if isinstance(problem, MeanEstimation):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-15)
    else:
        np.testing.assert_array_equal(x, y)


@determined
@pytest.mark.parametrize("order", random_orders)
def test_more_runs_leave_the_first_alone(problem, order):
    options = {"epochs": 4, "step_size": 0.1}
    many = sgd(problem, order, runs=200, **options).x
    for runs in (1, 70):
        same_runs(problem, sgd(problem, order, runs=runs, **options).x, many[:runs])
    grid = [(problem.n, 4, 0.1), (problem.n, 2, 0.3)]
    few, more = (
        run_grid(lambda n: problem, order, grid, runs=r, rng=rng_of(0), threads=1)
        for r in (70, 200)
    )
    for x, y in zip(few.x, more.x, strict=True):
        same_runs(problem, x, y[:70])
    same_runs(problem, more.x[0], many)


@determined
def test_seeds_runs_and_points_have_streams_of_their_own(problem):
    options = {"epochs": 3, "step_size": 0.1, "runs": 50}
    x, y = (sgd(problem, "with_replacement", seed=s, **options).x for s in (0, 1))
    assert (x != y).any()
    assert len(np.unique(x, axis=0)) > 40
    grid = [(problem.n, 3, 0.1)] * 2
    a, b = run_grid(
        lambda n: problem, "with_replacement", grid, runs=50, rng=rng_of(0), threads=1
    ).x
    assert (a != b).any()


def test_each_call_draws_a_seed():
    rng = rng_of(0)
    problem, options = GluedSum.balanced(8), {"epochs": 2, "step_size": 0.1, "runs": 20}
    first, second = (run_sgd(problem, "random_reshuffling", rng=rng, **options).x for _ in range(2))
    assert (first != second).any()


# --- grids ----------------------------------------------------------------------------------------


def test_grid_builds_each_problem_once():
    built = []

    def factory(n):
        built.append(n)
        return GluedSum.balanced(n)

    grid = [(8, 2, 0.1), (4, 3, 0.2), (8, 5, 0.1)]
    result = run_grid(factory, "random_reshuffling", grid, runs=30, rng=rng_of(0), threads=1)
    assert sorted(built) == [4, 8]
    assert [tuple(p) for p in result.points] == grid
    assert [p.n for p in result.problems] == [8, 4, 8]
    assert [x.shape for x in result.x] == [(30, 1)] * 3


def test_grid_follows_the_law_at_every_point(paths, walk, glued_gradient, standard_errors):
    grid = [(4, 1, 0.1), (4, 3, 0.2), (4, 2, 0.05), (2, 3, 0.2)]
    result = run_grid(
        GluedSum.balanced,
        "random_reshuffling",
        grid,
        runs=40_000,
        rng=rng_of(0),
        x0=0.6,
        threads=1,
    )
    for (n, K, eta), x in zip(grid, result.x, strict=True):
        signs = SIGNS if n == 4 else (1, -1)
        truth = walk(glued_gradient(), paths(signs, "random_reshuffling", K), eta, 0.6)[:, -1]
        assert standard_errors(x, truth) < 4.5
        assert standard_errors(x**2, truth**2) < 4.5


def test_grid_errors_are_those_of_the_ends():
    problem = diagonal(rng_of(0), 5, 2)
    grid = [(5, 2, 0.1), (5, 4, 0.05)]
    result = run_grid(
        lambda n: problem, "single_shuffle", grid, runs=12, rng=rng_of(0), x0=[1.0, -1.0]
    )
    distance = np.stack([((x - problem.minimizer) ** 2).sum(axis=1) for x in result.x])
    np.testing.assert_allclose(result.squared_distance(), distance, rtol=1e-14)
    np.testing.assert_allclose(result.error(), distance.mean(axis=1), rtol=1e-14)
    gap = np.stack([problem.value(x) - problem.value(problem.minimizer) for x in result.x])
    np.testing.assert_allclose(result.suboptimality(), gap, rtol=1e-14)


def test_grid_shows_progress_when_named(capsys):
    options = {"runs": 3, "rng": rng_of(0), "threads": 1}
    run_grid(GluedSum.balanced, "incremental", [(4, 1, 0.1)], **options)
    assert capsys.readouterr().err == ""
    run_grid(GluedSum.balanced, "incremental", [(4, 1, 0.1)], description="curve", **options)
    assert "curve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("grid", "order", "options", "text"),
    [
        ([], "incremental", {}, "grid must hold at least one point, got none"),
        ([(4, 2, -1.0)], "incremental", {}, "step_size must be positive and finite, got -1.0"),
        (
            [(4, 2, 0.1), (4, 0, 0.1)],
            "incremental",
            {},
            "epochs must be an integer of at least 1, got 0",
        ),
        ([(4, 2.7, 0.1)], "incremental", {}, "epochs must be an integer of at least 1, got 2.7"),
        ([(4, 2, 0.1)], "incremental", {"rng": 0}, "rng must be a numpy.random.Generator"),
        ([(4, 7, 0.1)], "flipflop_incremental", {}, "epochs must be even for FlipFlop, got 7"),
        ([(5, 2, 0.1)], "incremental", {}, "n must be even and at least 2, got 5"),
        ([(4, 2, 0.1)], "incremental", {"runs": 0}, "runs must be an integer of at least 1, got 0"),
        ([(4, 2, 0.1)], "incremental", {"x0": [1.0, 2.0]}, "x0 must broadcast to (runs, d)"),
    ],
)
def test_grid_names_what_is_wrong(grid, order, options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        run_grid(GluedSum.balanced, order, grid, **({"runs": 3, "rng": rng_of(0)} | options))


@pytest.mark.parametrize("name", sorted(PROBLEMS.keys() - {"bare"}))
def test_a_gradient_that_a_subclass_changes_is_heard(name):
    doubled, kind = copy(PROBLEMS[name]), type(PROBLEMS[name])
    double = {"gradient": lambda self, i, x: 2 * kind.gradient(self, i, x)}
    doubled.__class__ = type("Doubled", (kind,), double)
    options = {"epochs": 2, "runs": 3, "x0": 0.3}
    ours = sgd(doubled, "incremental", step_size=0.01, **options)
    right = sgd(PROBLEMS[name], "incremental", step_size=0.02, **options)
    assert_equal_to_rounding(ours.x, right.x)


def test_failure_of_a_problem_reaches_the_caller():
    problem = bare(mean(rng_of(0), 4, 1))

    def fail(i, x):
        raise ZeroDivisionError("gradient")

    problem.gradient = fail
    with pytest.raises(ZeroDivisionError, match="gradient"):
        sgd(problem, "incremental", epochs=1, step_size=0.1, runs=200, threads=2)


# --- results --------------------------------------------------------------------------------------


def test_distances_and_gaps_are_those_of_the_ends():
    problem = dense(rng_of(0), 5, 3)
    result = sgd(problem, "random_reshuffling", epochs=2, step_size=0.1, runs=6, x0=1.0)
    offset = result.x - problem.minimizer
    np.testing.assert_allclose(result.squared_distance(), (offset**2).sum(axis=1), rtol=1e-14)
    hessian = problem.A.mean(axis=0)
    gap = 0.5 * np.einsum("ri,ij,rj->r", offset, hessian, offset)
    np.testing.assert_allclose(result.suboptimality(), gap, rtol=1e-9)
    assert not result.diverged.any()


def result_with(errors):
    """A result whose squared distances are ``errors``."""
    x = np.sqrt(np.asarray(errors, dtype=float))[:, None]
    nothing = np.empty(0, dtype=np.int64)
    finite = np.isfinite(x).all(axis=1)
    return SGDResult(GluedSum.balanced(2), x, np.empty((0, *x.shape)), nothing, ~finite)


@pytest.mark.parametrize(("level", "z"), [(0.95, 1.959964), (0.5, 0.674490)])
def test_normal_interval_is_mean_and_standard_errors(level, z):
    errors = rng_of(0).exponential(size=400)
    low, mid, high = result_with(errors).interval(level)
    assert mid == pytest.approx(errors.mean(), rel=1e-12)
    half = z * errors.std(ddof=1) / 20
    assert (low, high) == pytest.approx((mid - half, mid + half), rel=1e-6)


def test_bootstrap_interval_of_the_mean_is_near_the_normal_one():
    result = result_with(rng_of(0).exponential(size=800))
    normal = result.interval()
    bootstrap = result.interval(method="bootstrap", rng=rng_of(1))
    assert bootstrap[1] == normal[1]
    half = normal[2] - normal[1]
    assert np.abs(np.subtract(bootstrap, normal)).max() < 0.15 * half


def test_bootstrap_interval_of_the_median_is_near_the_order_statistics():
    errors = rng_of(0).exponential(size=800)
    low, mid, high = result_with(errors).interval(
        statistic="median", method="bootstrap", rng=rng_of(1)
    )
    assert mid == pytest.approx(np.median(errors))
    ranks = stats.binom.ppf([0.025, 0.975], 800, 0.5).astype(int)
    expected = np.sort(errors)[ranks]
    assert (low, high) == pytest.approx(tuple(expected), abs=0.15 * (expected[1] - expected[0]))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": 0.0}, "level must lie in (0, 1), got 0.0"),
        ({"level": 1}, "level must lie in (0, 1), got 1"),
        ({"level": math.nan}, "level must lie in (0, 1), got nan"),
        ({"statistic": "mode"}, "statistic must be 'mean' or 'median', got 'mode'"),
        ({"method": "exact"}, "method must be 'bootstrap', or 'normal' for means, got 'exact'"),
        ({"statistic": "median"}, "method must be 'bootstrap', or 'normal' for means"),
        ({"method": "bootstrap"}, "rng must be a numpy.random.Generator for a bootstrap, got None"),
    ],
)
def test_interval_names_what_is_wrong(options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        result_with([1.0, 2.0, 3.0]).interval(**options)


def test_interval_needs_two_runs():
    with pytest.raises(ValueError, match="runs must be at least 2 for an interval, got 1"):
        result_with([1.0]).interval()


def test_interval_of_diverged_runs_has_no_nan():
    assert not np.isnan(result_with([1.0, np.inf, 2.0]).interval()).any()


# --- divergence -----------------------------------------------------------------------------------

UNSTABLE = {
    "kinked": GluedSum.balanced(4, 4.0, 4.0),
    "smoothed": GluedSum.balanced(4, 4.0, 4.0, glue_width=0.1),
    "diagonal": QuadraticSum(np.full((3, 2), 4.0), rng_of(0).normal(size=(3, 2))),
    "dense": QuadraticSum(
        np.tile([[4.0, 1.0], [1.0, 4.0]], (3, 1, 1)), rng_of(0).normal(size=(3, 2))
    ),
    "mean": MeanEstimation(4 * rng_of(0).normal(size=(3, 2))),
}
UNSTABLE["bare"] = bare(UNSTABLE["dense"])
unstable = pytest.mark.parametrize("problem", UNSTABLE.values(), ids=UNSTABLE)


@overflows
@unstable
@pytest.mark.parametrize("order", ["random_reshuffling", "single_shuffle", "with_replacement"])
def test_divergence_is_marked_and_leaves_no_nan(problem, order):
    options = {"epochs": 400, "runs": 5, "x0": 0.3, "record": [1, 200, 400]}
    result = sgd(problem, order, step_size=4.0, **options)
    assert result.diverged.tolist() == [True] * 5
    for values in (result.x, result.history, result.squared_distance()):
        assert not np.isnan(values).any()
    assert np.isfinite(result.history[0]).all()
    assert not np.isfinite(result.x).all(axis=1).any()
    assert np.isinf(result.squared_distance()).all()
    grid = run_grid(
        lambda n: problem, order, [(problem.n, 400, 4.0)], runs=5, rng=rng_of(0), x0=0.3, threads=1
    )
    assert np.isinf(grid.error()).all()


@overflows
def test_gap_of_a_diverged_run_is_infinite():
    for problem in UNSTABLE.values():
        result = sgd(problem, "random_reshuffling", epochs=400, step_size=4.0, runs=5, x0=0.3)
        np.testing.assert_array_equal(result.suboptimality(), np.inf)


def test_only_the_diverging_runs_are_marked():
    steps = np.array([0.1, 0.9, 0.1, 0.9, 0.2])
    options = {"epochs": 2000, "step_size": steps, "runs": 5, "x0": 0.3}
    result = sgd(GluedSum.balanced(4, 4.0, 4.0), "random_reshuffling", **options)
    assert result.diverged.tolist() == [False, True, False, True, False]
    assert np.isfinite(result.x[[0, 2, 4]]).all()
