"""Problems: gradients against finite differences, minimisers against optimisers, checks."""

import math
import re

import numpy as np
import pytest
from scipy import optimize

from reprise.shuffling.problems import (
    FiniteSum,
    GluedSum,
    LogisticSum,
    MeanEstimation,
    QuadraticSum,
    all_gradients,
    balanced_signs,
)

rng_of = np.random.default_rng


def symmetric(rng, n, d):
    root = rng.normal(size=(n, d, d))
    return root + root.swapaxes(1, 2) + 4 * np.eye(d)


def logistic_data(rng, n, d):
    labels = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return rng.normal(size=(n, d)), labels


# Each case: a problem and, written out again, its components f(i, x).


def glued(n, right, left, noise):
    signs = [1.0] * (n // 2) + [-1.0] * (n // 2)

    def component(i, x):
        curvature = right if x[0] > 0 else left
        return curvature * x[0] ** 2 / 2 + noise * signs[i] * x[0]

    return GluedSum.balanced(n, right, left, noise), component


def scalar_quadratic():
    a, b = rng_of(1).uniform(0.5, 2, 5), rng_of(2).normal(size=5)
    return QuadraticSum(a, b), lambda i, x: a[i] * x[0] ** 2 / 2 - b[i] * x[0]


def diagonal_quadratic():
    a, b = rng_of(3).uniform(0.5, 2, (5, 3)), rng_of(4).normal(size=(5, 3))
    return QuadraticSum(a, b), lambda i, x: x @ (a[i] * x) / 2 - b[i] @ x


def dense_quadratic():
    a, b = symmetric(rng_of(5), 5, 3), rng_of(6).normal(size=(5, 3))
    return QuadraticSum(a, b), lambda i, x: x @ a[i] @ x / 2 - b[i] @ x


def mean_estimation():
    points = rng_of(7).normal(size=(6, 2))
    return MeanEstimation(points), lambda i, x: ((x - points[i]) ** 2).sum() / 2


def logistic(l2):
    features, labels = logistic_data(rng_of(8), 40, 3)

    def component(i, x):
        return math.log1p(math.exp(-labels[i] * (features[i] @ x))) + l2 * (x @ x) / 2

    return LogisticSum(features, labels, l2), component


CASES = {
    "glued": glued(6, 4.0, 1.0, 1.0),
    "glued-left": glued(4, 0.5, 3.0, 0.7),
    "scalar": scalar_quadratic(),
    "diagonal": diagonal_quadratic(),
    "dense": dense_quadratic(),
    "mean": mean_estimation(),
    "logistic": logistic(0.0),
    "logistic-l2": logistic(0.3),
}
SMOOTHED = {
    "smoothed": GluedSum.balanced(4, 4.0, 1.0, 0.8, glue_width=0.3),
    "smoothed-left": GluedSum.balanced(6, 0.5, 2.0, 1.0, glue_width=1.7),
}
PROBLEMS = {name: case[0] for name, case in CASES.items()} | SMOOTHED

every_case = pytest.mark.parametrize(("problem", "component"), CASES.values(), ids=CASES)
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


def points_for(problem, count=5):
    return rng_of(9).normal(size=(count, problem.dim))


def differences(function, x, h=1e-6):
    """Central differences of a scalar function."""
    steps = h * np.eye(len(x))
    return np.array([(function(x + e) - function(x - e)) / (2 * h) for e in steps])


@every_case
def test_value_is_the_mean_of_the_components(problem, component):
    for x in points_for(problem):
        truth = np.mean([component(i, x) for i in range(problem.n)])
        assert problem.value(x) == pytest.approx(truth, rel=1e-12, abs=1e-13)


@every_case
def test_component_gradients_are_derivatives(problem, component):
    for x in points_for(problem):
        rows = all_gradients(problem, x)
        square = np.repeat(x[None], problem.n, axis=0)  # as many points as components
        np.testing.assert_array_equal(all_gradients(problem, square)[-1], rows)
        assert rows.shape == (problem.n, problem.dim)
        for i in range(problem.n):
            truth = differences(lambda y, i=i: component(i, y), x)
            np.testing.assert_allclose(rows[i], truth, rtol=1e-6, atol=1e-8)


@every_problem
def test_mean_gradient_is_the_derivative_of_value(problem):
    for x in points_for(problem):
        mean = all_gradients(problem, x).mean(axis=0)
        np.testing.assert_allclose(mean, differences(problem.value, x), rtol=1e-6, atol=1e-8)


@every_problem
def test_batches_agree_with_single_points(problem):
    x = points_for(problem, 6).reshape(2, 3, problem.dim)
    index = rng_of(10).integers(problem.n, size=(2, 3))
    values, gradients = problem.value(x), problem.gradient(index, x)
    assert values.shape == (2, 3)
    assert gradients.shape == x.shape
    for cell in np.ndindex(2, 3):
        assert values[cell] == pytest.approx(problem.value(x[cell]), rel=1e-12)
        row = all_gradients(problem, x[cell])[index[cell]]
        np.testing.assert_allclose(gradients[cell], row, rtol=1e-12)


@every_problem
def test_mean_gradient_vanishes_at_the_minimizer(problem):
    assert problem.minimizer.shape == (problem.dim,)
    mean = all_gradients(problem, problem.minimizer).mean(axis=0)
    np.testing.assert_allclose(mean, 0.0, atol=1e-12)
    lowest = problem.value(problem.minimizer)
    assert (problem.value(problem.minimizer + points_for(problem, 20)) > lowest).all()


@every_problem
def test_problems_satisfy_the_protocol(problem):
    assert isinstance(problem, FiniteSum)


# --- the glue -------------------------------------------------------------------------------------


def test_noise_is_balanced():
    assert balanced_signs(10).tolist() == [1.0] * 5 + [-1.0] * 5
    assert GluedSum.balanced(4, noise=0.3).offsets.tolist() == [0.3, 0.3, -0.3, -0.3]
    with pytest.raises(ValueError, match="n must be even and at least 2, got 3"):
        balanced_signs(3)


def test_gradient_at_the_kink_is_the_noise():
    problem = GluedSum.balanced(4, 4.0, 1.0, 0.5)
    np.testing.assert_array_equal(
        all_gradients(problem, np.zeros(1))[:, 0], 0.5 * balanced_signs(4)
    )


@pytest.mark.parametrize("problem", SMOOTHED.values(), ids=SMOOTHED)
def test_second_derivative_rises_linearly_over_the_glue(problem):
    left, right, w = problem.curvature_left, problem.curvature_right, problem.glue_width
    h = 1e-4 * w
    at = np.array([-3, -1.5, -0.9, -0.4, 0.0, 0.5, 0.8, 1.2, 4.0]) * w
    slope = np.clip((at / w + 1) / 2, 0, 1)
    truth = left + slope * (right - left)
    up, here, down = (problem.value(at[:, None] + shift) for shift in (h, 0.0, -h))
    np.testing.assert_allclose((up - 2 * here + down) / h**2, truth, rtol=1e-5)


@pytest.mark.parametrize("x", [-2.0, -0.01, 0.01, 3.0])
def test_narrow_glue_is_a_kink(x):
    kink, narrow = GluedSum.balanced(4), GluedSum.balanced(4, glue_width=1e-9)
    at = np.array([x])
    assert narrow.value(at) == pytest.approx(kink.value(at), rel=1e-6)
    np.testing.assert_allclose(all_gradients(narrow, at), all_gradients(kink, at), rtol=1e-6)


def test_glue_keeps_the_minimum_at_zero():
    problem = GluedSum.balanced(2, glue_width=0.5)
    assert problem.value(np.zeros(1)) == 0.0
    assert (problem.value(np.linspace(-2, 2, 40)[:, None]) > 0).all()


# --- two kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        GluedSum.balanced(6, 3.0, 0.5, 2.0),
        QuadraticSum([1.9, 0.1, 1.9], [1.0, -1.0, 1.0]),
        QuadraticSum([[1.0], [2.0], [2.0]], [[0.5], [0.5], [0.5]]),
        QuadraticSum([[[1.0]], [[1.0]]], [[3.0], [-1.0]]),
    ],
    ids=["glued", "scalar", "diagonal", "dense"],
)
@pytest.mark.parametrize("x", [-0.7, 1.3])
def test_two_kinds_hold_the_gradients(problem, x):
    pair = problem.two_kinds()
    kind = pair.kinds.astype(int)
    truth = all_gradients(problem, np.array([x]))[:, 0]
    slope = pair.right if x > 0 else pair.left
    np.testing.assert_allclose(slope[kind] * x + pair.offset[kind], truth, rtol=1e-14)


@pytest.mark.parametrize(
    "problem",
    [
        QuadraticSum([1.0, 1.0], [2.0, 2.0]),
        QuadraticSum([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
        QuadraticSum([1.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
        QuadraticSum(np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]]),
    ],
    ids=["one", "three", "three-pairs", "two-dimensions"],
)
def test_two_kinds_are_only_for_two_kinds(problem):
    assert problem.two_kinds() is None


# --- minimisers and S2 ----------------------------------------------------------------------------


@pytest.mark.parametrize("l2", [0.0, 1e-3, 1.0])
def test_logistic_minimizer_agrees_with_scipy(l2):
    features, labels = logistic_data(rng_of(11), 60, 4)

    def objective(x):
        return np.log1p(np.exp(-labels * (features @ x))).mean() + l2 * (x @ x) / 2

    found = optimize.minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-7})
    problem = LogisticSum(features, labels, l2)
    np.testing.assert_allclose(problem.minimizer, found.x, atol=1e-5)
    assert problem.value(problem.minimizer) <= objective(found.x) + 1e-12


def test_logistic_minimizer_survives_large_features():
    features, labels = logistic_data(rng_of(12), 60, 2)
    problem = LogisticSum(50 * features, labels, 1e-6)
    mean = all_gradients(problem, problem.minimizer).mean(axis=0)
    assert np.linalg.norm(mean) < 1e-9


@pytest.mark.parametrize(
    ("features", "labels"),
    [([[1.0], [2.0], [-1.0]], [1, 1, -1]), (np.eye(3), [1, -1, 1])],
    ids=["line", "corner"],
)
def test_separable_data_have_no_minimizer(features, labels):
    with pytest.raises(ValueError, match=r"l2 must be positive for these data, got 0\.0"):
        _ = LogisticSum(features, labels).minimizer


def test_sum_squares_is_about_the_mean():
    points = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    assert MeanEstimation(points).sum_squares == pytest.approx(8.0 + 6.0)
    assert MeanEstimation(points + 100).sum_squares == pytest.approx(14.0)


# --- checks ---------------------------------------------------------------------------------------

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("build", "arguments", "text"),
    [
        (GluedSum.balanced, (7,), "n must be even and at least 2, got 7"),
        (GluedSum.balanced, (0,), "n must be even and at least 2, got 0"),
        (GluedSum.balanced, (-2,), "n must be even and at least 2, got -2"),
        (GluedSum.balanced, (4, 0.0), "curvature_right must be positive and finite, got 0.0"),
        (GluedSum.balanced, (4, NAN), "curvature_right must be positive and finite, got nan"),
        (GluedSum.balanced, (4, 1.0, -1.0), "curvature_left must be positive and finite"),
        (GluedSum.balanced, (4, 1.0, INF), "curvature_left must be positive and finite, got inf"),
        (GluedSum.balanced, (4, 1.0, 1.0, -1.0), "noise must be finite and not negative"),
        (GluedSum.balanced, (4, 1.0, 1.0, NAN), "noise must be finite and not negative, got nan"),
        (QuadraticSum, ([], []), "A must have shape (n,), (n, d) or (n, d, d) and not be empty"),
        (QuadraticSum, (1.0, [1.0]), "A must have shape"),
        (QuadraticSum, ([1.0, NAN], [1.0, 1.0]), "A must be finite, got nan"),
        (QuadraticSum, ([1.0, 1.0], [1.0, INF]), "b must be finite, got inf"),
        (QuadraticSum, ([1.0], np.ones((1, 1, 1))), "b must have shape (n,) or (n, d)"),
        (QuadraticSum, ([1.0, 1.0], [1.0]), "A and b must agree in n and d, got (2,) and (1,)"),
        (QuadraticSum, (np.ones((2, 3)), np.ones((2, 2))), "got (2, 3) and (2, 2)"),
        (QuadraticSum, ([[[2, 1], [0, 2]]], [[0, 0]]), "A must hold symmetric matrices"),
        (QuadraticSum, ([1.0, -1.0], [0, 0]), "A must have a positive definite mean, got"),
        (QuadraticSum, (-np.eye(2)[None], [[0, 0]]), "got eigenvalue -1"),
        (MeanEstimation, ([1.0, 2.0],), "points must have shape (n, d) and not be empty, got (2,)"),
        (MeanEstimation, ([[1.0, NAN]],), "points must be finite, got nan"),
        (MeanEstimation, (np.empty((0, 2)),), "points must have shape (n, d) and not be empty"),
        (LogisticSum, ([1.0], [1]), "features must have shape (n, d)"),
        (LogisticSum, ([[INF]], [1]), "features must be finite, got inf"),
        (LogisticSum, ([[1.0]], [[1]]), "labels must have shape (n,)"),
        (LogisticSum, ([[1.0]], [1, -1]), "labels must have shape (1,), got (2,)"),
        (LogisticSum, ([[1.0], [2.0]], [1, 0]), "labels must be -1 or +1, got [0. 1.]"),
        (LogisticSum, ([[1.0]], [1], -0.1), "l2 must be finite and not negative, got -0.1"),
        (LogisticSum, ([[1.0]], [1], NAN), "l2 must be finite and not negative, got nan"),
    ],
)
def test_problems_name_what_is_wrong(build, arguments, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        build(*arguments)


@pytest.mark.parametrize("width", [-0.1, NAN, INF])
def test_glue_width_is_checked(width):
    text = f"glue_width must be finite and not negative, got {width}"
    with pytest.raises(ValueError, match=re.escape(text)):
        GluedSum.balanced(4, glue_width=width)
