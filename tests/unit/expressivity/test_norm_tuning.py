"""Norm tuning against closed forms, dense linear algebra, scipy, torch and finite differences."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg
from scipy import stats as scipy_stats
from threadpoolctl import threadpool_limits
from torch import nn
from torch.nn.utils import prune

from reprise import training as loops
from reprise.expressivity import norm_tuning as nt
from reprise.expressivity.norm_tuning import network, page, phase, system, training
from reprise.images import load_images
from reprise.parameters import ParameterError, knobs
from reprise.runtime import generator, torch_generator

SIZES = st.integers(1, 6)
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Products here are small: threads would only wait for each other."""
    with threadpool_limits(1), loops.one_thread():
        yield


reconstruct = partial(nt.reconstruct, rng=0)


def pair(m, n, k, seed=0, **options):
    return nt.random_block(n, m, k, rng=np.random.default_rng(seed), **options)


# --- the system -----------------------------------------------------------------------------------


@given(SIZES, SIZES, st.integers(1, 12), SEEDS)
def test_khatri_rao_is_scipys_and_the_definition(m, n, k, seed):
    W1, W2 = pair(m, n, k, seed)
    A = nt.khatri_rao(W1, W2)
    np.testing.assert_array_equal(A, linalg.khatri_rao(W2, W1.T))
    gamma = np.random.default_rng(seed).standard_normal(k)
    np.testing.assert_allclose(A @ gamma, (W2 @ np.diag(gamma) @ W1).ravel(), atol=1e-12)


@pytest.mark.parametrize("density", [1.0, 0.05], ids=["dense", "sparse"])
@settings(deadline=None)
@given(SIZES, SIZES, st.integers(1, 40), SEEDS)
def test_operator_multiplies_like_the_matrix(density, m, n, k, seed):
    W1, W2 = pair(m, n, k, seed, density=density)
    A, operator = nt.khatri_rao(W1, W2), nt.KhatriRaoOperator(W1, W2)
    rng = np.random.default_rng(seed)
    gamma, V = rng.standard_normal(k), rng.standard_normal((m, n))
    np.testing.assert_allclose(operator.matvec(gamma).ravel(), A @ gamma, atol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(V), A.T @ V.ravel(), atol=1e-12)
    np.testing.assert_allclose(operator.normal(V).ravel(), A @ (A.T @ V.ravel()), atol=1e-12)
    np.testing.assert_allclose(operator.gram(), A.T @ A, atol=1e-12)
    flat = operator.as_linear_operator()
    assert flat.shape == A.shape
    np.testing.assert_allclose(flat.matvec(gamma), A @ gamma, atol=1e-12)
    np.testing.assert_allclose(flat.rmatvec(V.ravel()), A.T @ V.ravel(), atol=1e-12)


def test_normal_product_does_not_depend_on_threads(monkeypatch):
    W1, W2 = pair(20, 30, 3000)
    target = nt.gaussian_target(20, 30, rng=np.random.default_rng(1))
    found = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("REPRISE_THREADS", threads)
        found.append(nt.solve_scales(W1, W2, target, method="cg").gamma)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(found[1], found[2])


@pytest.mark.parametrize("method", ["auto", "dense", "cg", "lsqr"])
@settings(deadline=None, max_examples=25)
@given(SIZES, SIZES, st.floats(1.5, 4), SEEDS)
def test_solution_is_exact_and_of_least_norm(method, m, n, factor, seed):
    k = math.ceil(factor * m * n) + 4
    W1, W2 = pair(m, n, k, seed)
    target = nt.gaussian_target(m, n, rng=np.random.default_rng(seed + 1))
    found = nt.solve_scales(W1, W2, target, method=method)
    assert found.residual < 1e-10
    size = np.linalg.norm(target)
    assert np.linalg.norm((W2 * found.gamma) @ W1 - target) / size == pytest.approx(
        found.residual, abs=1e-13
    )
    least = np.linalg.pinv(nt.khatri_rao(W1, W2)) @ target.ravel()
    np.testing.assert_allclose(found.gamma, least, atol=1e-6 * np.abs(least).max())


@settings(deadline=None, max_examples=40)
@given(SIZES, SIZES, SEEDS)
def test_square_systems_are_solved_by_lu(m, n, seed):
    W1, W2 = pair(m, n, m * n, seed)
    A = nt.khatri_rao(W1, W2)
    if np.linalg.cond(A) > 1e5:  # rare, and rightly refused
        return
    target = nt.gaussian_target(m, n, rng=np.random.default_rng(seed + 1))
    found = nt.solve_scales(W1, W2, target)
    assert found.method == "dense" and found.residual < 1e-9
    expected = np.linalg.solve(A, target.ravel())
    np.testing.assert_allclose(found.gamma, expected, atol=1e-8 * np.abs(expected).max())
    assert found.condition_estimate == pytest.approx(np.linalg.cond(A, 1), rel=2)


def test_large_systems_are_iterated_and_small_ones_are_not():
    target = nt.gaussian_target(24, 24, rng=np.random.default_rng(0))
    found = nt.solve_scales(*pair(24, 24, 1152), target)
    assert found.method == "cg" and 20 < found.iterations < 200 and found.residual < 1e-12
    # aspect 1/2: (1 + sqrt(1/2)) / (1 - sqrt(1/2)) = 5.8
    assert 4.5 < found.condition_estimate < 7
    small = nt.gaussian_target(4, 4, rng=np.random.default_rng(0))
    assert nt.solve_scales(*pair(4, 4, 32), small).method == "dense"


def test_iterations_do_not_grow_with_the_size():
    counts = []
    for d in (16, 32, 48):
        target = nt.gaussian_target(d, d, rng=np.random.default_rng(d))
        counts.append(nt.solve_scales(*pair(d, d, 2 * d * d), target, method="cg").iterations)
    assert max(counts) < 1.3 * min(counts)


def test_stagnating_iterations_are_rescued_or_refused():
    W1, W2 = pair(21, 21, 445)  # four spare neurons: badly conditioned
    target = nt.gaussian_target(21, 21, rng=np.random.default_rng(2))
    assert nt.solve_scales(W1, W2, target).residual < 1e-9
    with pytest.raises(nt.ReconstructionError, match="rank"):
        nt.solve_scales(W1, W2, target, method="cg", max_iter=5)


def test_weights_choose_among_solutions():
    W1, W2 = pair(4, 5, 60)
    target = nt.gaussian_target(4, 5, rng=np.random.default_rng(3))
    weights = np.random.default_rng(4).uniform(0.2, 5, 60)
    found = nt.solve_scales(W1, W2, target, weights=weights)
    A = nt.khatri_rao(W1, W2)
    least = (np.linalg.pinv(A / weights) @ target.ravel()) / weights
    np.testing.assert_allclose(found.gamma, least, atol=1e-10)
    with pytest.raises(ValueError, match="weights must be 60 positive"):
        nt.solve_scales(W1, W2, target, weights=-weights)


@pytest.mark.parametrize("method", ["dense", "cg", "lsqr"])
def test_missing_rank_raises_with_the_numbers(method):
    W1, _ = pair(6, 6, 72)  # tied weights reach symmetric targets only
    target = nt.gaussian_target(6, 6, rng=np.random.default_rng(5))
    with pytest.raises(nt.ReconstructionError, match=r"k=72.*m\*n=36.*rank"):
        nt.solve_scales(W1, W1.T, target, method=method)
    assert nt.solve_scales(W1, W1.T, target + target.T, method=method).residual < 1e-9


def test_singular_square_systems_raise():
    W1, W2 = pair(3, 3, 9)
    W1[4] = 0  # a dead neuron
    with pytest.raises(nt.ReconstructionError, match="rank"):
        nt.solve_scales(W1, W2, np.eye(3))


def test_zero_target_needs_nothing():
    found = nt.solve_scales(*pair(2, 3, 6), np.zeros((2, 3)))
    assert found.residual == 0 and not found.gamma.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W1": np.ones((9, 2))}, "target must have shape"),
        ({"W2": np.ones((3, 8))}, r"shapes \(k, n\) and \(m, k\)"),
        ({"W1": np.ones((8, 3)), "W2": np.ones((3, 8))}, r"width k=8 is smaller than the m\*n=9"),
        ({"W1": np.full((9, 3), np.nan)}, "W1 and W2 must be finite"),
        ({"target": np.full((3, 3), np.inf)}, "target must be finite"),
        ({"method": "magic"}, "method must be one of auto, dense, cg, lsqr, got 'magic'"),
        ({"tol": 0.0}, "tol must lie between 0 and 1"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
    ],
)
def test_impossible_systems_are_refused(change, message):
    W1, W2 = pair(3, 3, 9)
    arguments = {"W1": W1, "W2": W2, "target": np.eye(3)} | change
    with pytest.raises(ValueError, match=message):
        nt.solve_scales(**arguments)


# --- random layers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "variance"),
    [("gaussian", 1.0), ("uniform", 2.0), ("torch", 1 / 3), ("rademacher", 1.0)],
)
def test_weights_have_the_variance_of_their_distribution(distribution, variance):
    W1, W2 = pair(50, 40, 400, distribution=distribution)
    for W in (W1, W2):
        assert W.var() * W.shape[1] == pytest.approx(variance, rel=0.05)
    if distribution == "rademacher":
        assert len(np.unique(np.abs(W1))) == 1


def test_masks_are_independent_and_of_the_density():
    rng = np.random.default_rng(0)
    W1, W2 = nt.random_block(60, 60, 60, density=0.3, rng=rng)
    on1, on2 = W1 != 0, W2 != 0
    assert on1.mean() == pytest.approx(0.3, abs=0.03)
    assert on2.mean() == pytest.approx(0.3, abs=0.03)
    # a mask shared as W2 = W1^T would overlap in a share p, independent ones in p^2
    assert (on1 & on2.T).mean() == pytest.approx(0.09, abs=0.02)
    counts = on1.sum(axis=1)  # entries, not whole neurons, are dropped
    assert counts.min() > 0 and counts.std() == pytest.approx(math.sqrt(60 * 0.21), rel=0.35)


def test_exact_masks_keep_the_count():
    W1, W2 = pair(7, 11, 13, density=0.37, exact=True)
    assert np.count_nonzero(W1) == round(0.37 * W1.size)
    assert np.count_nonzero(W2) == round(0.37 * W2.size)


@pytest.mark.parametrize("density", [0, -0.1, 1.5, float("nan")])
def test_impossible_densities_are_refused(density):
    for call in (
        lambda: pair(2, 2, 4, density=density),
        lambda: reconstruct([(np.eye(2), np.zeros(2))], density=density, radius=1),
        lambda: nt.rank_profile(3, 9, density, 1, rng=np.random.default_rng(0)),
        lambda: nt.sparsify(nt.SmallResNet(2), density, generator=torch.Generator()),
        lambda: nt.all_columns_alive(3, 9, density),
    ):
        with pytest.raises(ValueError, match=r"density must be in \(0, 1\]"):
            call()


def test_other_impossible_blocks_are_refused():
    with pytest.raises(ValueError, match="k must be a positive integer, got 0"):
        pair(2, 2, 0)
    with pytest.raises(ValueError, match="distribution must be one of gaussian"):
        pair(2, 2, 4, distribution="cauchy")


# --- reconstruction -------------------------------------------------------------------------------


def random_target(sizes, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return [
        (scale * rng.standard_normal((m, n)) / math.sqrt(n), rng.standard_normal(m) / 2)
        for n, m in itertools.pairwise(sizes)
    ]


def far_points(radius, n, seed, count=300):
    """Points on the sphere: the hardest of the ball for the shifts."""
    x = np.random.default_rng(seed).standard_normal((count, n))
    return radius * x / np.linalg.norm(x, axis=1, keepdims=True)


def gap(net, target, points):
    truth = nt.relu_network(target, points, final_relu=net.final_relu)
    return np.abs(net.forward(points) - truth).max() / max(np.abs(truth).max(), 1e-3)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=5),
    st.floats(1.25, 3),
    st.sampled_from(["gaussian", "uniform", "torch"]),
    st.floats(0.1, 20),
    st.booleans(),
    SEEDS,
)
def test_any_target_is_rebuilt(sizes, factor, distribution, radius, final_relu, seed):
    """Depth one to four, any radius, any distribution with a density, ends of the ball included."""
    target = random_target(sizes, seed)
    net = reconstruct(
        target,
        width_factor=factor + 2 / min(m * n for n, m in itertools.pairwise(sizes)),
        radius=radius,
        distribution=distribution,
        final_relu=final_relu,
        rng=seed,
    )
    points = np.concatenate([far_points(radius, sizes[0], seed), net.worst_inputs()])
    assert gap(net, target, points) < 1e-8
    assert (net.min_preactivation(points) >= 0).all()


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 8), st.floats(0.5, 1), st.booleans(), SEEDS)
def test_sparse_random_networks_serve_as_well(d, density, exact, seed):
    target = random_target([d, d, d], seed)
    net = reconstruct(target, width_factor=3, density=density, exact=exact, radius=2.0, rng=seed)
    points = np.concatenate([far_points(2.0, d, seed), net.worst_inputs()])
    assert gap(net, target, points) < 1e-8
    total = sum(W.size for W in net.frozen)
    assert net.n_frozen_nonzero / total == pytest.approx(density, abs=0.1)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), SEEDS)
def test_boxes_bound_what_balls_bound(sizes, seed):
    """Corners of the box, its worst points among them, and interval bounds in later layers."""
    target = random_target(sizes, seed)
    rng = np.random.default_rng(seed)
    low = rng.uniform(-2, 1, sizes[0])
    high = low + rng.uniform(0, 2, sizes[0])
    net = reconstruct(target, width_factor=4, bounds=(low, high), rng=seed)
    corners = np.where(rng.random((200, sizes[0])) < 0.5, low, high)
    points = np.concatenate([corners, net.worst_inputs()])
    net.forward(points, check=True)
    assert gap(net, target, points) < 1e-8
    assert (net.min_preactivation(points) >= 0).all()


def test_box_asks_for_smaller_shifts_than_the_ball_around_it():
    target = random_target([20, 5], 0)
    ball = reconstruct(target, radius=math.sqrt(20), rng=0)
    box = reconstruct(target, bounds=(0, 1), rng=0)
    assert box.largest_shift < 0.8 * ball.largest_shift


def test_worst_inputs_touch_the_kinks():
    net = reconstruct(random_target([5, 4], 0), radius=3.0, rng=0)
    worst = net.worst_inputs()
    np.testing.assert_allclose(np.linalg.norm(worst, axis=1), 3.0)
    u = (worst @ net.frozen[0].T) * net.scales[0] + net.shifts[0]
    touching = np.diag(u) / net.shifts[0]
    assert (touching >= 0).all() and (touching < 2e-9).all()


def test_radius_is_passed_on():
    target = random_target([4, 5, 3], 1)
    net = reconstruct(target, radius=2.0, rng=0)
    W, b = target[0]
    assert net.radii[1] == pytest.approx(np.linalg.norm(W, 2) * 2.0 + np.linalg.norm(b))
    inside = nt.relu_network(target[:1], far_points(2.0, 4, 0), final_relu=True)
    assert np.linalg.norm(inside, axis=1).max() <= net.radii[1]


def test_counts_and_frozen_weights():
    target = random_target([6, 5, 4], 2)
    net = reconstruct(target, width_factor=1.5, radius=1.0, rng=np.random.default_rng(9))
    assert net.n_tuned == 2 * (45 + 5 + 30 + 4)
    assert net.n_frozen_nonzero == 45 * 6 + 5 * 45 + 30 * 5 + 4 * 30
    assert [W.shape for W in net.frozen] == [(45, 6), (5, 45), (30, 5), (4, 30)]
    again = page.redrawn(target, 1.5, rng=np.random.default_rng(9))
    assert all(np.array_equal(a, b) for a, b in zip(net.frozen, again, strict=True))
    other = reconstruct(random_target([6, 5, 4], 3), width_factor=1.5, radius=1.0, rng=9)
    assert other.fingerprint() == net.fingerprint()  # the target does not enter the weights
    assert reconstruct(target, width_factor=1.5, radius=1.0, rng=8).fingerprint() != (
        net.fingerprint()
    )


def test_forward_does_not_depend_on_batches_or_threads(monkeypatch):
    net = reconstruct(random_target([5, 4], 0), radius=9.0, rng=0)
    X = np.random.default_rng(0).standard_normal((2 * network.ROWS + 7, 5))
    whole = net.forward(X)
    monkeypatch.setenv("REPRISE_THREADS", "1")
    np.testing.assert_array_equal(net.forward(X), whole)
    np.testing.assert_allclose(np.concatenate([net.forward(X[:3]), net.forward(X[3:])]), whole)
    assert net.forward(X, dtype=np.float32).dtype == np.float32
    assert net.forward(np.empty((0, 5))).shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width_factor": 0.9}, r"width k=3 is smaller than the m\*n=4 equations.*got 0.9"),
        ({"width_factor": math.inf}, "finite number of at least 1"),
        ({"radius": 0.0}, "radius must be positive, got 0.0"),
        ({"radius": math.nan}, "radius must be positive"),
        ({"radius": None}, "give radius or bounds"),
        ({"bounds": (0, 1)}, "give radius or bounds, and not both"),
        ({"radius": None, "bounds": (1, 0)}, "bounds must be finite and low <= high"),
        ({"target": []}, "target must hold at least one layer"),
        ({"target": [(np.eye(2), np.zeros(3))]}, "target layer shapes do not chain: layer 0"),
        (
            {"target": [(np.eye(2), np.zeros(2)), (np.eye(3), np.zeros(3))]},
            "target layer shapes do not chain: layer 1",
        ),
        ({"target": [(np.eye(2) * np.nan, np.zeros(2))]}, "target must be finite"),
        ({"distribution": "x"}, "distribution must be one of"),
    ],
)
def test_impossible_reconstructions_are_refused(change, message):
    arguments = {"target": [(np.eye(2), np.zeros(2))], "radius": 1.0} | change
    target = arguments.pop("target")
    with pytest.raises(ValueError, match=message):
        reconstruct(target, **arguments)


def test_inputs_beyond_the_promise_are_refused():
    net = reconstruct([(np.eye(2), np.zeros(2))], radius=1.0)
    net.forward([[1.0, 0.0]], check=True)
    net.forward(net.worst_inputs(), check=True)  # at the radius, up to rounding
    with pytest.raises(ValueError, match="input norm exceeds the radius"):
        net.forward([[1.0, 0.1]], check=True)
    boxed = reconstruct([(np.eye(2), np.zeros(2))], bounds=(0, 1))
    with pytest.raises(ValueError, match="outside the bounds"):
        boxed.forward([[1.0, 1.1]], check=True)


def test_tied_frozen_weights_are_reported(monkeypatch):
    right = network.random_block

    def tied(n, m, k, **options):
        W1, _ = right(n, m, k, **options)
        return W1, W1.T

    monkeypatch.setattr(network, "random_block", tied)
    with pytest.raises(nt.ReconstructionError, match="rank"):
        reconstruct(random_target([4, 4], 0), radius=1.0)


# --- torch modules --------------------------------------------------------------------------------


def test_torch_module_is_the_network():
    target = random_target([6, 5, 3], 0)
    net = reconstruct(target, radius=3.0, rng=0)
    X = far_points(3.0, 6, 1)
    model = net.to_torch()
    assert [type(part).__name__ for part in model] == [
        *["Linear", "BatchNorm1d", "ReLU"] * 3,
        "Linear",
        "BatchNorm1d",
    ]
    np.testing.assert_allclose(page.outputs(model, X), nt.relu_network(target, X), atol=1e-10)
    assert net.to_torch(torch.float32)[0].weight.dtype == torch.float32
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == {f"{i}.{what}" for i in (1, 4, 7, 10) for what in ("weight", "bias")}


def test_calibrated_module_agrees_in_both_modes_and_uses_its_batch():
    target = random_target([6, 5, 3], 0)
    net = reconstruct(target, radius=3.0, rng=0)
    X = far_points(3.0, 6, 1)
    truth, model = nt.relu_network(target, X), net.to_torch_calibrated(X)
    np.testing.assert_allclose(page.outputs(model, X), truth, atol=1e-10)
    changed = page.changed_entries(net.to_torch(tuned=False), model)
    assert {name.split(".")[1] for name in changed} <= {
        "weight",
        "bias",
        "running_mean",
        "running_var",
    }
    assert {int(name.split(".")[0]) for name in changed} == {1, 4, 7, 10}
    first = X @ net.frozen[0].T
    np.testing.assert_allclose(model[1].running_var.numpy(), first.var(axis=0), rtol=1e-12)
    model.train()
    np.testing.assert_allclose(page.outputs(model, X), truth, atol=1e-9)
    part = page.outputs(model, X[:40]) - truth[:40]
    assert np.abs(part).max() > 0.01


def test_dead_neurons_survive_calibration():
    """A neuron without inputs has variance zero; eps keeps its scale finite."""
    net = reconstruct(random_target([3, 3], 0), width_factor=4, density=0.5, radius=1, rng=1)
    assert (~net.frozen[0].any(axis=1)).any()
    X = far_points(1.0, 3, 0)
    model = net.to_torch_calibrated(X).train()
    np.testing.assert_allclose(page.outputs(model, X), net.forward(X), atol=1e-9)


# --- widths and densities -------------------------------------------------------------------------


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(1, 5), SEEDS)
def test_smallest_width_is_the_number_of_equations(m, n, seed):
    assert nt.smallest_width(m, n, rng=np.random.default_rng(seed)) == m * n


def test_residual_of_too_few_neurons_is_the_projection():
    W1, W2 = pair(5, 4, 13)
    target = nt.gaussian_target(5, 4, rng=np.random.default_rng(0))
    Q, _ = np.linalg.qr(nt.khatri_rao(W1, W2))
    t = target.ravel()
    expected = np.linalg.norm(t - Q @ (Q.T @ t)) / np.linalg.norm(t)
    assert nt.relative_residual(W1, W2, target) == pytest.approx(expected, rel=1e-10)


def test_one_missing_neuron_leaves_a_normal_number():
    """d r is |N(0, 1)|: compared with the law itself, by Kolmogorov and Smirnov."""
    d, rng = 8, np.random.default_rng(0)

    def draw(own):
        return nt.relative_residual(
            *nt.random_block(d, d, d * d - 1, rng=own), nt.gaussian_target(d, d, rng=own)
        )

    scaled = d * np.array(nt.side_by_side(draw, rng.spawn(200)))
    assert scipy_stats.kstest(scaled, "halfnorm").pvalue > 0.001


def test_residual_of_a_singular_wide_system_is_least_squares():
    W1, _ = pair(6, 6, 80)
    target = nt.gaussian_target(6, 6, rng=np.random.default_rng(0))
    # tied: the antisymmetric part of the target stays
    expected = np.linalg.norm((target - target.T) / 2) / np.linalg.norm(target)
    assert nt.relative_residual(W1, W1.T, target) == pytest.approx(expected, rel=1e-8)


@settings(deadline=None, max_examples=30)
@given(SIZES, SIZES, st.integers(1, 15), st.floats(0.1, 0.9), SEEDS)
def test_dead_counts_are_zero_rows_and_columns(m, n, k, density, seed):
    W1, W2 = pair(m, n, k, seed, density=density)
    A = nt.khatri_rao(W1, W2)
    assert nt.dead_counts(W1, W2) == (
        int((~A.any(axis=1)).sum()),
        int((~A.any(axis=0)).sum()),
    )


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.floats(1, 2), st.floats(0.2, 1), SEEDS)
def test_success_is_full_rank(d, factor, density, seed):
    W1, W2 = pair(d, d, math.ceil(factor * d * d), seed, density=density)
    values = np.linalg.svd(nt.khatri_rao(W1, W2), compute_uv=False)
    if 1e-9 * values[0] < values[-1] < 1e-5 * values[0]:  # neither clearly
        return
    target = nt.gaussian_target(d, d, rng=np.random.default_rng(seed))
    assert nt.succeeds(W1, W2, target) == bool(values[-1] > 1e-5 * values[0])


def test_rank_profile_counts_and_is_repeatable(monkeypatch):
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("REPRISE_THREADS", threads)
        found.append(nt.rank_profile(6, 36, 0.6, 40, rng=np.random.default_rng(0)))
    assert found[0] == found[1]
    success, rows, columns = found[0]
    assert 0 < success < 40 and rows < 0.1
    expected = 36 * (1 - (1 - 0.4**6) ** 2)  # neurons with an empty row or column
    assert columns == pytest.approx(expected, abs=4 * math.sqrt(expected / 40))
    assert nt.rank_profile(4, 16, 1.0, 5, rng=np.random.default_rng(0)).success == 5


def test_impossible_profiles_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"width k=15 is smaller than the m\*n=16"):
        nt.rank_profile(4, 15, 0.5, 1, rng=rng)
    with pytest.raises(ValueError, match="n_trials must be an integer of at least 1"):
        nt.rank_profile(4, 16, 0.5, 0, rng=rng)


def test_law_of_living_neurons_by_simulation():
    rng, d, k, p = np.random.default_rng(0), 5, 10, 0.5
    alive = 0
    for _ in range(4000):
        on1, on2 = rng.random((2, k, d)) < p
        alive += on1.any(axis=1).all() and on2.any(axis=1).all()
    law = nt.all_columns_alive(d, k, p)
    assert alive / 4000 == pytest.approx(law, abs=4 * math.sqrt(law * (1 - law) / 4000))
    assert nt.row_density(10, 100) == pytest.approx(math.sqrt(2 * math.log(10) / 100))


# --- shifts ---------------------------------------------------------------------------------------


def test_least_shifts_are_least_in_their_own_norm():
    W1, W2 = pair(4, 4, 40)
    target = nt.gaussian_target(4, 4, rng=np.random.default_rng(0))
    weights = np.linalg.norm(W1, axis=1)
    found = {n: nt.least_shift_scales(W1, W2, target, norm=n) for n in ("l1", "l2", "linf")}
    orders = {"l1": 1, "l2": 2, "linf": np.inf}
    for name, gamma in found.items():
        np.testing.assert_allclose((W2 * gamma) @ W1, target, atol=1e-8)
        sizes = {other: np.linalg.norm(weights * g, orders[name]) for other, g in found.items()}
        assert min(sizes, key=sizes.get) == name
    assert (np.abs(found["l1"]) > 1e-9).sum() <= 16  # a vertex: as many neurons as equations
    with pytest.raises(ValueError, match="norm must be one of l1, l2, linf"):
        nt.least_shift_scales(W1, W2, target, norm="l3")


def test_low_precision_stays_within_its_bound():
    target = random_target([6, 6], 0)
    net = reconstruct(target, radius=2.0, rng=0)
    points = np.concatenate([far_points(2.0, 6, 0, 2000), net.worst_inputs()])
    off = np.abs(net.forward(points, dtype=np.float32) - net.forward(points)).max(axis=0)
    bound = nt.forward_error_bound(*net.frozen, net.scales[0], 2.0, 2.0**-24)
    assert (off <= bound).all() and (off > 1e-4 * bound).all()


# --- descent --------------------------------------------------------------------------------------


def test_descent_steps_like_torchs_adam():
    """Same network, same batches, torch's autograd and Adam, and a cosine of the step."""
    rng = np.random.default_rng(0)
    W1, W2 = nt.random_block(3, 4, 12, rng=rng)
    X = rng.standard_normal((50, 3))
    Y = np.maximum(X @ nt.gaussian_target(4, 3, rng=rng).T, 0)
    losses, error = nt.descend(
        W1, W2, X, Y, learning_rate=0.05, steps=30, batch_size=16, rng=np.random.default_rng(1)
    )
    draws = np.random.default_rng(1)
    a, b, x, y = (torch.from_numpy(v) for v in (W1, W2, X, Y))
    g1, c1, g2, c2 = (
        torch.full((count,), value, dtype=torch.float64, requires_grad=True)
        for count, value in ((12, 1.0), (12, 0.0), (4, 1.0), (4, 0.0))
    )

    def model(x):
        return torch.relu((torch.relu((x @ a.T) * g1 + c1) @ b.T) * g2 + c2)

    optimizer = torch.optim.Adam([g1, c1, g2, c2], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30)
    for step in range(30):
        at = torch.from_numpy(draws.integers(50, size=16))
        loss = ((model(x[at]) - y[at]) ** 2).mean()
        assert losses[step] == pytest.approx(float(loss.detach()), rel=1e-6)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        expected = float(torch.linalg.norm(model(x) - y) / torch.linalg.norm(y))
    assert error == pytest.approx(expected, rel=1e-5)


def test_descent_that_does_nothing_stays_near_one():
    rng = np.random.default_rng(0)
    W1, W2 = nt.random_block(8, 8, 64, rng=rng)
    X = rng.standard_normal((500, 8))
    Y = np.maximum(X @ nt.gaussian_target(8, 8, rng=rng).T, 0)
    losses, error = nt.descend(W1, W2, X, Y, learning_rate=0.1, steps=0, rng=rng)
    assert len(losses) == 0 and error > 0.9
    with pytest.raises(ValueError, match="learning_rate must be positive"):
        nt.descend(W1, W2, X, Y, learning_rate=0.0, rng=rng)
    with pytest.raises(ValueError, match="steps and batch_size"):
        nt.descend(W1, W2, X, Y, learning_rate=0.1, steps=-1, rng=rng)


# --- training -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def few():
    return load_images("digits", normalization="standard", train=160, test=60)


def test_architectures_have_the_published_sizes():
    def sizes(model):
        tuned = nt.freeze_except_norm(model)
        return (
            sum(p.numel() for p in model.parameters()),
            sum(model.get_parameter(name).numel() for name in tuned),
        )

    assert sizes(nt.SmallResNet(48)) == (690_970, 2_016)
    assert sizes(nt.SmallResNet(16)) == (77_754, 672)
    assert sizes(nt.resnet34_cifar()) == (21_282_122, 17_024)
    assert nt.resnet34_cifar().eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_small_resnet_is_what_it_says():
    """One forward pass, written out by functional calls."""
    model = nt.SmallResNet(3, (1, 1), generator=torch_generator(0, "x")).double().eval()
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def norm(layer, h):
        mean, variance = (v[:, None, None] for v in (layer.running_mean, layer.running_var))
        scaled = (h - mean) / (variance + layer.eps).sqrt()
        return scaled * layer.weight[:, None, None] + layer.bias[:, None, None]

    def conv(layer, h, stride=1, padding=1):
        return nn.functional.conv2d(h, layer.weight, stride=stride, padding=padding)

    with torch.no_grad():
        h = norm(model.norm, conv(model.stem, x)).relu()
        one, two = model.stages
        inner = norm(one.norm1, conv(one.conv1, h)).relu()
        h = (norm(one.norm2, conv(one.conv2, inner)) + h).relu()
        inner = norm(two.norm1, conv(two.conv1, h, 2)).relu()
        skip = norm(two.shortcut[1], conv(two.shortcut[0], h, 2, 0))
        h = (norm(two.norm2, conv(two.conv2, inner)) + skip).relu()
        expected = h.mean(dim=(2, 3)) @ model.head.weight.T + model.head.bias
        torch.testing.assert_close(model(x), expected)


def test_default_draw_has_torchs_law():
    mine = nt.SmallResNet(32, generator=torch_generator(0, "x"))
    theirs = nt.SmallResNet(32)
    for layer in ("stem", "head"):
        a, b = (getattr(m, layer).weight for m in (mine, theirs))
        bound = 1 / math.sqrt(a[0].numel())
        assert max(float(v.detach().abs().max()) for v in (a, b)) <= bound * (1 + 1e-6)
        assert float(a.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.15)
    again = nt.SmallResNet(32, generator=torch_generator(0, "x"))
    assert not training.changed_parameters(nt.parameters_of(mine), again)


def test_freezing_leaves_scales_and_shifts():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Conv1d(1, 1, 1), nn.BatchNorm1d(1))
    names = nt.freeze_except_norm(model)
    assert names == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert [n for n, p in model.named_parameters() if p.requires_grad] == names
    assert nt.freeze_except_norm(nn.BatchNorm1d(2)) == ["weight", "bias"]


@pytest.mark.parametrize("density", [1.0, 0.5, 0.1, 0.001])
def test_pruning_keeps_the_count_of_torchs_own(density):
    ours, theirs = nt.SmallResNet(8), nt.SmallResNet(8)
    nt.sparsify(ours, density, generator=torch_generator(0, "masks"))
    for layer in theirs.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            prune.random_unstructured(layer, "weight", amount=1 - density)
            prune.remove(layer, "weight")
    assert nt.kept_shares(ours) == nt.kept_shares(theirs)


def test_pruning_can_leave_a_layer_out():
    model = nt.SmallResNet(4)
    nt.sparsify(model, 0.1, generator=torch_generator(0, "masks"), exclude=["head"])
    kept, size = nt.kept_shares(model)["head"]
    assert kept == size and nt.kept_shares(model)["stem"][0] < size
    with pytest.raises(ValueError, match="exclude must name layers"):
        nt.sparsify(model, 0.1, generator=torch_generator(0, "masks"), exclude=["tail"])


def test_frozen_weights_do_not_move_and_norms_do(few):
    run = nt.train_from_random(few, 0.5, width=4, epochs=2, seed=0)
    assert (run.moved, run.idle, run.excess) == (0, 0, 0)
    assert (run.n_tuned, run.n_parameters) == (
        42 * 4,
        sum(p.numel() for p in nt.SmallResNet(4).parameters()),
    )
    everything = nt.train_from_random(few, None, width=4, epochs=2, seed=0)
    assert everything.moved == 0 and everything.idle == 0
    assert everything.n_tuned == everything.n_parameters


def test_weight_decay_does_not_reach_frozen_parameters_in_the_optimizer(few):
    """A plain SGD over all parameters would be safe too: without gradients it skips them."""
    model = nt.SmallResNet(4, generator=torch_generator(0, "w")).double()
    nt.freeze_except_norm(model)
    before = nt.parameters_of(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    outputs = model(torch.from_numpy(few.x_train[:32]))
    nn.functional.cross_entropy(outputs, torch.from_numpy(few.y_train[:32])).backward()
    optimizer.step()
    moved = nt.changed_parameters(before, model)
    assert moved and all("norm" in name or "shortcut.1" in name for name in moved)


# --- the page -------------------------------------------------------------------------------------


def test_rules_across_knobs():
    knobs_of = knobs("expressivity/norm_tuning")
    assert knobs_of.check({"descent_sizes": [[8, 64]]})["descent_sizes"] == [[8, 64]]
    with pytest.raises(ParameterError, match=r"descent_sizes must hold pairs d, k .*got \[8, 63\]"):
        knobs_of.check({"descent_sizes": [[8, 63]]})


def test_ball_is_uniform():
    points = page.ball(2.0, 4000, 3, rng=generator(0, "ball"))
    radii = np.linalg.norm(points, axis=1)
    assert radii.max() <= 2.0
    assert scipy_stats.kstest((radii / 2) ** 3, "uniform").pvalue > 0.001


def test_constants_agree():
    assert phase.ACCEPTED == system.ACCEPTED == 1e-8


def test_an_impossible_resnet_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        nt.SmallResNet(0)
