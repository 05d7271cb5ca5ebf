"""The construction of threshold networks against brute force, closed forms and scipy."""

from __future__ import annotations

import math
import re
from itertools import combinations, product

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import pdist

from reprise.expressivity import threshold
from reprise.expressivity.threshold import (
    bounds,
    codes,
    construction,
    kernels,
    page,
    points,
    widths,
)
from reprise.expressivity.threshold.construction import MemorizationError
from reprise.expressivity.threshold.network import largest_sum
from reprise.expressivity.threshold.widths import Widths
from reprise.parameters import ParameterError, knobs


def memorize(X, y, *, rng=0, **options):
    """`threshold.memorize` where the draw does not matter."""
    return threshold.memorize(X, y, rng=rng, **options)


def identity_layer(width, kind):
    """Gates ``1[z >= 1]`` that pass bits on."""
    weight = sparse.csr_array(sparse.eye_array(width, dtype=np.int32))
    return threshold.ThresholdLayer(weight, np.ones(width, np.int64), kind)


def labelled(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return points.sphere(n, d, rng=rng), rng.integers(0, 2, n)


def int64_forward(net, X):
    """Every gate by scipy's products, as plainly as it can be said."""
    fired = (net.layers[0].threshold <= X @ net.layers[0].weight.T).astype(np.int64)
    hidden = [fired]
    for layer in net.layers[1:]:
        fired = (layer.sums(fired) >= layer.threshold).astype(np.int64)
        hidden.append(fired)
    return hidden


# --- exactness on many random instances -----------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("parity", ["flat", "tree"])
def test_every_label_on_random_instances(seed, parity):
    rng = np.random.default_rng([seed, 77])
    n, d = int(rng.integers(1, 400)), int(rng.integers(2, 12))
    X = points.ball(n, d, rng=rng) * rng.uniform(0.1, 30) if seed % 2 else labelled(n, d, seed)[0]
    X = X + (rng.standard_normal(d) if seed % 3 == 0 else 0)
    y = rng.random(n) < rng.uniform(0, 1)
    result = memorize(X, y, parity=parity, center=seed % 4 == 0, rng=rng)
    hidden = int64_forward(result.network, X)
    np.testing.assert_array_equal(hidden[-1][:, 0], y)
    np.testing.assert_array_equal(result.network.forward(X), y)
    np.testing.assert_array_equal(result.look_up(X), y)
    count = threshold.closed_form_count(result.widths, X.shape[1], result.memorizing.n_weights)
    assert (result.network.n_gates, result.network.n_weights) == (count.gates, count.weights)


@pytest.mark.parametrize(
    "X",
    [
        points.radial_line(),
        points.circle(60),
        points.grid_packing(6, 2, 0.01),
        points.clusters(60, 0.02, 5, size=3, rng=np.random.default_rng(3)),
    ],
    ids=["line", "circle", "grid", "clusters"],
)
@pytest.mark.parametrize("seed", range(3))
def test_every_labelling_of_hard_points(X, seed):
    y = np.random.default_rng(seed).integers(0, 2, len(X))
    for parity in ("flat", "tree"):
        result = memorize(X, y, parity=parity, rng=seed)
        np.testing.assert_array_equal(int64_forward(result.network, X)[-1][:, 0], y)


@pytest.mark.parametrize("seed", range(4))
def test_all_labellings_of_six_points(seed):
    X = labelled(6, 2, seed)[0]
    for y in product((0, 1), repeat=6):
        result = memorize(X, y, n_hashes=2, rng=seed)
        assert tuple(result.network.forward(X)) == y


def test_one_point_and_constant_labels():
    for y in ([0], [1]):
        assert memorize([[0.3, 0.4]], y).network.forward([[0.3, 0.4]]) == y
    X, _ = labelled(50, 4)
    for label in (0, 1):
        result = memorize(X, np.full(50, label))
        assert (result.network.forward(X) == label).all()
        assert (result.slot_weights.nnz == 0) == (label == 0)
    assert memorize(np.zeros((1, 3)), [1]).network.forward(np.zeros((1, 3))) == [1]


def test_hidden_layers_equal_dense_products():
    X, y = labelled(300, 5)
    for parity in ("flat", "tree"):
        net = memorize(X, y, parity=parity).network
        out, hidden = net.forward(X, return_hidden=True, batch=37)
        for ours, truth in zip(hidden, int64_forward(net, X), strict=True):
            np.testing.assert_array_equal(ours, truth)
        np.testing.assert_array_equal(out, y)


def test_new_points_have_one_group_and_one_slot_a_block():
    X, y = labelled(500, 6)
    result = memorize(X, y)
    lifted = int64_forward(result.network, labelled(700, 6, 9)[0])[-3]
    w = result.widths
    assert (lifted[:, : w.groups].sum(axis=1) == 1).all()
    blocks = lifted[:, w.groups :].reshape(-1, w.hashes, 1 << w.slot_bits)
    assert (blocks.sum(axis=2) == 1).all()


def test_the_code_is_what_the_parity_gates_fire():
    X, y = labelled(200, 4)
    result = memorize(X, y)
    hidden = int64_forward(result.network, X)
    np.testing.assert_array_equal(result.code, hidden[-4])
    signs = hidden[0][:, result.parity_sets].sum(axis=2) % 2
    np.testing.assert_array_equal(result.code, signs)


def test_labels_change_only_the_memorising_layer():
    X, y = labelled(400, 8)
    one, other = memorize(X, y, rng=5), memorize(X, 1 - y, rng=5)
    for a, b in zip(one.network.layers, other.network.layers, strict=True):
        same = np.array_equal(a.threshold, b.threshold) and not abs(a.weight - b.weight).max()
        assert same == (a.kind != "memorize")


def test_same_seed_same_network_whatever_the_threads(monkeypatch):
    X, y = labelled(3000, 8)
    nets = []
    for threads in ("1", "3"):
        monkeypatch.setenv("REPRISE_THREADS", threads)
        nets.append(memorize(X, y, rng=np.random.default_rng(4)))
    assert nets[0].margin == nets[1].margin
    for a, b in zip(nets[0].network.layers, nets[1].network.layers, strict=True):
        assert abs(a.weight - b.weight).max() == 0
        np.testing.assert_array_equal(a.threshold, b.threshold)


def test_multiclass_shares_one_code():
    X, _ = labelled(600, 6)
    y = np.random.default_rng(1).integers(0, 10, 600)
    result = threshold.memorize_multiclass(X, y, rng=0)
    np.testing.assert_array_equal(result.network.forward(X), y)
    np.testing.assert_array_equal(result.look_up(X), y)
    assert result.network.layers[-1].n_gates == 4
    single = memorize(X, y % 2)
    for kind in ("hyperplanes", "parity", "lift"):
        assert result.network.count()[kind] == single.network.count()[kind]


# --- stages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parity", ["flat", "tree"])
@pytest.mark.parametrize("k", range(1, 9))
def test_parity_gates_on_all_inputs(parity, k):
    inputs = np.array(list(product((0, 1), repeat=k)))
    bits = inputs.astype(np.int64)
    layers = threshold.parity_layers([np.arange(k)] * 2, k, parity)
    for layer in layers:
        bits = (layer.sums(bits) >= layer.threshold).astype(np.int64)
    np.testing.assert_array_equal(bits, np.repeat(inputs.sum(axis=1)[:, None] & 1, 2, axis=1))
    if parity == "flat":
        assert sum(layer.n_gates for layer in layers) == 2 * (k + 1)
        assert sum(layer.n_weights for layer in layers) == 2 * (k * k + k)
    elif k in (2, 4, 8):
        assert sum(layer.n_gates for layer in layers) == 2 * 3 * (k - 1)
        assert sum(layer.n_weights for layer in layers) == 2 * 6 * (k - 1)
        assert len(layers) == 2 * math.ceil(math.log2(k))


def test_the_code_is_linear():
    rng = np.random.default_rng(0)
    widths = Widths(70, 9, 3, 4, 3, "flat")
    masks = codes.masks_of(codes.draw_parity_sets(widths, rng=rng), 70)
    z = rng.integers(0, 2, (3, 200, 70), dtype=np.uint8)

    def code(bits):
        words = kernels.pack_bits(bits.astype(bool))
        return np.column_stack(codes.codes_of(words, masks, widths))

    slots = code(z[0]) ^ code(z[1]) ^ code(z[2])
    np.testing.assert_array_equal(slots, code(z[0] ^ z[1] ^ z[2]))


def test_parity_sets_hold_distinct_signs():
    widths = Widths(40, 17, 4, 5, 3, "flat")
    sets = codes.draw_parity_sets(widths, rng=np.random.default_rng(0))
    assert sets.shape == (19, 17)
    assert all(len(set(row)) == 17 and max(row) < 40 for row in sets.tolist())


@pytest.mark.parametrize(("g", "s", "T"), [(0, 1, 1), (2, 3, 3), (3, 2, 2)])
def test_lift_is_one_hot(g, s, T):
    widths = Widths(8, 2, g, s, T, "flat")
    layer = threshold.lift_layer(widths)
    codes = np.array(list(product((0, 1), repeat=widths.code_bits))).reshape(-1, widths.code_bits)
    fired = codes @ layer.weight.toarray().T >= layer.threshold
    group = (codes[:, :g] << np.arange(g)).sum(axis=1)
    np.testing.assert_array_equal(fired[:, : 1 << g], np.eye(1 << g, dtype=bool)[group])
    assert (fired[:, 1 << g :].reshape(len(codes), T, -1).sum(axis=2) == 1).all()


def test_worked_example_by_hand():
    a, b, c = (0, 3), (0, 4), (1, 4)
    order, owner = threshold.peel([a, b, c], 6)
    assert (sorted(order) == [0, 1, 2] and order[-1] == 1) or 1 in order
    weights = threshold.solve([a, b, c], [1, 0, 1], order, owner, 6)
    sums = [weights[list(p)].sum() for p in (a, b, c)]
    assert [s >= 1 for s in sums] == [True, False, True]
    assert threshold.peel([a, b, c, a], 6) is None
    assert threshold.peel([(0, 3), (0, 4), (1, 3), (1, 4)], 6) is None


@pytest.mark.parametrize("seed", range(30))
def test_peeling_agrees_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    n, S = int(rng.integers(2, 12)), int(rng.integers(2, 6))
    slots = rng.integers(0, S, (n, 3)) + S * np.arange(3)
    left = set(range(n))
    while True:  # remove any point that alone uses one of its slots
        alone = [i for i in left if any(sum(v in slots[j] for j in left) == 1 for v in slots[i])]
        if not alone:
            break
        left.discard(alone[0])
    found = threshold.peel(slots, 3 * S)
    assert (found is None) == bool(left)
    if found:
        order, owner = found
        for place, i in enumerate(order):  # whoever leaves later does not use the owned slot
            assert all(owner[i] not in slots[j] for j in order[place + 1 :])
        incidence = np.zeros((n, 3 * S))
        np.put_along_axis(incidence, slots, 1, axis=1)
        assert np.linalg.matrix_rank(incidence) == n
        y = rng.integers(0, 2, n)
        weights = threshold.solve(slots, y, order, owner, 3 * S)
        np.testing.assert_array_equal(incidence @ weights >= 1, y == 1)


def test_peeling_threshold_of_three_hashes():
    """Three slots a point peel above 1.22 slots a point, and not below (recalled constant)."""
    rng = np.random.default_rng(0)

    def rate(ratio, tries=12, n=3000):
        S = round(ratio * n / 3)
        draws = (rng.integers(0, S, (n, 3)) + S * np.arange(3) for _ in range(tries))
        return sum(threshold.peel(slots, 3 * S) is not None for slots in draws)

    assert rate(1.15) == 0
    assert rate(1.32) == 12


def test_structured_look_up_disagrees_where_a_weight_is_changed():
    X, y = labelled(300, 5)
    result = memorize(X, y)
    result.memorizing.weight.data[result.memorizing.weight.data != result.group_weight] = 0
    assert (result.look_up(X)[y == 1] == 0).all()
    np.testing.assert_array_equal(result.look_up(X), result.network.forward(X))


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "options", "message"),
    [
        ([[0.0], [1.0]], [0, 2], {}, "y must contain only 0 and 1"),
        ([[0.0], [1.0]], [0], {}, "X and y have different lengths"),
        ([[1.0], [0.5], [1.0]], [0, 1, 0], {}, "points 0 and 2 coincide"),
        ([[0.0], [1.0]], [0, 1], {"delta": 0}, "delta must be positive"),
        ([[0.0], [1.0]], [0, 1], {"delta": 1.5}, "delta must be at most"),
        ([[0.0], [1.0]], [0, 1], {"parity_size": 9, "n_hyperplanes": 8}, "parity_size must be in"),
        ([[0.0], [1.0]], [0, 1], {"parity_size": 0}, "parity_size must be in 1..n_hyperplanes"),
        ([[0.0], [np.nan]], [0, 1], {}, "X contains NaN or infinity"),
        ([[0.0], [1.0]], [0, 1], {"parity": "deep"}, "parity must be"),
        ([[0.0], [1.0]], [0, 1], {"n_hashes": 0}, "n_hashes must be an integer of at least 1"),
        ([[0.0], [1.0]], [0, 1], {"slack": 0}, "slack must be positive"),
        (
            [[0.0], [1.0]],
            [0, 1],
            {"n_hyperplanes": 0},
            "n_hyperplanes must be an integer of at least 1",
        ),
        ([[0.0], [1.0]], [0, 1], {"max_tries": 0}, "max_tries must be an integer of at least 1"),
        (np.empty((0, 2)), [], {}, "X must have shape"),
    ],
)
def test_bad_input_is_refused(X, y, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        memorize(X, y, **options)


def test_twins_are_named_beyond_the_exact_distance(monkeypatch):
    monkeypatch.setattr(construction, "EXACT_DISTANCE_POINTS", 10)
    X, y = labelled(40, 3)
    X[31] = X[7]
    with pytest.raises(ValueError, match="points 7 and 31 coincide"):
        memorize(X, y, delta=0.1)


@pytest.mark.parametrize(
    "options", [{"n_hyperplanes": 3}, {"parity_size": 1, "n_hyperplanes": 12}, {"slack": 1e-3}]
)
def test_hopeless_sizes_end_in_an_error(options):
    X, y = labelled(1500, 4)
    with pytest.raises(MemorizationError):
        memorize(X, y, max_tries=3, **options)


def test_an_error_is_found_by_the_last_look(monkeypatch):
    right = construction._layers

    def one_gate_wrong(*args):
        layers = right(*args)
        layers[-2].threshold[0] += 1
        return layers

    monkeypatch.setattr(construction, "_layers", one_gate_wrong)
    X, _ = labelled(100, 4)
    with pytest.raises(MemorizationError):
        memorize(X, np.ones(100))


# --- networks -------------------------------------------------------------------------------------


def test_network_round_trips(tmp_path):
    X, y = labelled(150, 4)
    net = memorize(X, y).network
    net.save(tmp_path / "net.npz")
    again = threshold.ThresholdNetwork.load(tmp_path / "net.npz")
    assert again.count() == net.count() and again.depth == net.depth
    np.testing.assert_array_equal(again.forward(X), y)
    assert all(a.is_integer == b.is_integer for a, b in zip(net.layers, again.layers, strict=True))


def test_exports_fire_like_the_network():
    X, y = labelled(150, 4)
    new = labelled(333, 4, 5)[0]
    for parity in ("flat", "tree"):
        net = memorize(X, y, parity=parity).network
        import torch

        module = net.to_torch()
        for x in (X, new):
            truth = net.forward(x)
            np.testing.assert_array_equal(module(torch.tensor(x)).numpy()[:, 0], truth)
            signs = x @ net.layers[0].weight.T >= net.layers[0].threshold
            np.testing.assert_array_equal(threshold.forward_sliced(net, signs), truth)


def test_verilog_means_the_network():
    X, y = labelled(12, 3)
    net = memorize(X, y).network
    text = threshold.to_verilog(net)
    signs = (net.layers[0].threshold <= X @ net.layers[0].weight.T).astype(int)
    assigns = re.findall(r"assign (h\d+)\[(\d+)\] = \((.*)\) >= (.*);", text)
    assert len(assigns) == net.n_gates - net.layers[0].n_gates
    for z, label in zip(signs, y, strict=True):
        wires = {"z": dict(enumerate(z))}
        for name, gate, total, bound in assigns:
            python = re.sub(r"\((\w+\[\d+\]) \? (\S+) : (\S+)\)", r"(\2 if \1 else \3)", total)
            python, bound = (re.sub(r"\d+'sd(\d+)", r"\1", t) for t in (python, bound))
            wires.setdefault(name, {})[int(gate)] = int(eval(python, {}, wires) >= int(bound))
        assert wires[name][0] == label


def test_layers_must_fit():
    layer = identity_layer(3, "x")
    with pytest.raises(ValueError, match="3 gates"):
        threshold.ThresholdNetwork([layer, identity_layer(2, "x")])
    with pytest.raises(ValueError, match="at least one layer"):
        threshold.ThresholdNetwork([])
    with pytest.raises(ValueError, match="threshold must have shape"):
        threshold.ThresholdLayer(np.eye(2), np.ones(3), "x")
    X, y = labelled(20, 3)
    net = memorize(X, y).network
    with pytest.raises(ValueError, match=r"X must have shape \(n, 3\)"):
        net.forward(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="batch must be an integer of at least 1"):
        net.forward(X, batch=0)


def test_sums_beyond_float32_are_refused():
    layer = threshold.ThresholdLayer(
        sparse.csr_array(np.array([[1 << 24]], np.int32)), np.ones(1, np.int64), "x"
    )
    net = threshold.ThresholdNetwork([identity_layer(1, "x"), layer])
    with pytest.raises(ValueError, match=r"2\^24"):
        net.to_torch()


def test_both_ways_of_firing_agree():
    rng = np.random.default_rng(0)
    weight = sparse.random_array((30, 50), density=0.3, rng=rng, format="csr")
    weight = sparse.csr_array(
        (np.rint(20 * weight.data - 10).astype(np.int32), weight.indices, weight.indptr),
        shape=weight.shape,
    )
    layer = threshold.ThresholdLayer(weight, rng.integers(-5, 6, 30), "x")
    net = threshold.ThresholdNetwork(
        [threshold.ThresholdLayer(np.eye(50), np.ones(50), "a"), layer]
    )
    for density in (0.01, 0.5):
        bits = (rng.random((200, 50)) < density).astype(float)
        truth = bits.astype(np.int64) @ weight.toarray().astype(np.int64).T >= layer.threshold
        np.testing.assert_array_equal(net.forward(bits, return_hidden=True)[1][-1], truth)


# --- geometry -------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 5, 9, 40])
def test_min_distance_is_scipys(d):
    rng = np.random.default_rng(d)
    for n in (2, 3, 500, 5000):
        X = rng.standard_normal((n, d)) + 3
        assert points.min_distance(X) == pytest.approx(pdist(X).min(), rel=1e-9)
    assert points.min_distance(X[:1]) == math.inf


def test_min_distance_of_near_twins():
    X = np.random.default_rng(0).standard_normal((3000, 20))
    X[1234] = X[77] + 1e-7
    assert points.min_distance(X) == pytest.approx(1e-7 * math.sqrt(20), rel=1e-6)


def test_estimated_distance_is_near(monkeypatch):
    X = points.sphere(21_000, 8, rng=np.random.default_rng(0))
    estimate = points.min_distance(X, rng=np.random.default_rng(1))
    assert estimate == pytest.approx(points.sphere_distance(21_000, 8, pairs=1), rel=0.6)
    with pytest.raises(ValueError, match="rng must be given"):
        points.min_distance(X)


def test_sphere_distance_counts_pairs():
    rng = np.random.default_rng(0)
    near = points.sphere_distance(400, 6, pairs=20)
    counts = [(pdist(points.sphere(400, 6, rng=rng)) < near).sum() for _ in range(40)]
    assert np.mean(counts) == pytest.approx(20, abs=4)


def test_data_sets_have_their_distances():
    rng = np.random.default_rng(0)
    assert points.min_distance(points.circle(50)) == pytest.approx(2 * math.sin(math.pi / 50))
    assert points.min_distance(points.radial_line()) == pytest.approx(0.05)
    assert points.min_distance(points.grid_packing(5, 3, 0.01)) == pytest.approx(0.01)
    assert points.min_distance(points.clusters(80, 0.02, 9, rng=rng)) == pytest.approx(0.02)
    assert np.linalg.norm(points.ball(99, 3, rng=rng), axis=1).max() <= 1
    np.testing.assert_allclose(np.linalg.norm(points.fibonacci_sphere(77), axis=1), 1)
    with pytest.raises(ValueError, match="n must be a positive multiple of size = 2, got 5"):
        points.clusters(5, 0.1, 3, rng=rng)
    with pytest.raises(ValueError, match="delta must be positive, got 0"):
        points.clusters(4, 0, 3, rng=rng)


def test_separation_probability_is_angle_over_pi():
    assert points.separation_probability([1, 0], [0, 1], bias=False) == pytest.approx(0.5)
    assert points.separation_probability([1, 0], [0, 1]) == pytest.approx(1 / 3)
    assert points.separation_probability([0.3], [0.3]) == 0
    rng = np.random.default_rng(0)
    x, x2 = rng.standard_normal((2, 5))
    normals, offsets = points.gaussian_gates(200_000, 5, rng=rng)
    rate = np.mean((normals @ x + offsets >= 0) != (normals @ x2 + offsets >= 0))
    assert rate == pytest.approx(points.separation_probability(x, x2), abs=0.005)
    with pytest.raises(ValueError, match="same dimension"):
        points.separation_probability([1], [1, 2])
    with pytest.raises(ValueError, match="must not be zero"):
        points.separation_probability([0, 0], [1, 2], bias=False)


def test_least_separation_is_a_lower_bound():
    rng = np.random.default_rng(0)
    for _ in range(300):
        a, b = points.ball(2, 3, rng=rng)
        delta = np.linalg.norm(a - b)
        assert points.separation_probability(a, b) >= points.least_separation(delta)
        a, b = points.sphere(2, 3, rng=rng)
        exact = points.least_separation(np.linalg.norm(a - b), on_sphere=True)
        assert points.separation_probability(a, b) == pytest.approx(exact)


def test_hyperplanes_needed():
    assert [points.hyperplanes_needed(2, d, 0.05) for d in (0.2, 0.05)] == [116, 464]
    assert points.hyperplanes_needed(64, 2 * math.sin(math.pi / 64), 0.05) == 680
    assert points.hyperplanes_needed(17, 0.05, 0.05) == 1002
    for bad in ({"n": 0}, {"delta": 0}, {"failure": 0}, {"failure": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))} must be"):
            points.hyperplanes_needed(**{"n": 5, "delta": 0.1, **bad})


@pytest.mark.parametrize("seed", range(40))
def test_separating_prefix_is_the_shortest(seed):
    rng = np.random.default_rng(seed)
    patterns = rng.random((int(rng.integers(2, 30)), 40)) < rng.uniform(0.05, 0.95)
    distinct = [m for m in range(41) if len(np.unique(patterns[:, :m], axis=0)) == len(patterns)]
    if distinct:
        assert threshold.min_separating_prefix(patterns) == distinct[0]
    else:
        with pytest.raises(ValueError, match="patterns must differ"):
            threshold.min_separating_prefix(patterns)


def test_separating_prefix_of_one_row():
    assert threshold.min_separating_prefix(np.zeros((1, 5))) == 0


def test_separating_prefixes_are_those_of_whole_patterns(monkeypatch):
    X, drawn = points.circle(24), []

    def remember(*args, **options):
        drawn.append(points.gaussian_gates(*args, **options))
        return drawn[-1]

    for seed in range(10):
        drawn.clear()
        rng = np.random.default_rng(seed)
        found = points.separating_prefixes(X, 1, rng=rng, gates=remember)
        normals, offsets = (np.concatenate(part) for part in zip(*drawn, strict=True))
        assert found == threshold.min_separating_prefix(X @ normals.T + offsets >= 0)
    assert points.separating_prefixes(X, 2, rng=rng, limit=3).tolist() == [4, 4]


# --- cells and bounds -----------------------------------------------------------------------------


def test_sphere_cells():
    assert [bounds.sphere_cells(h, 2) for h in range(5)] == [1, 2, 4, 6, 8]
    assert [bounds.sphere_cells(h, 3) for h in (1, 2, 3, 10)] == [2, 4, 8, 92]
    assert bounds.sphere_cells(5, 40) == 2**5
    assert bounds.least_hyperplanes(100, 3) == 11
    with pytest.raises(ValueError, match="d at least 2"):
        bounds.sphere_cells(3, 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [0.0, 0.4, 1.5])
def test_cells_of_the_sphere_by_flooding(seed, spread):
    """Cells counted by joining near points of one sign pattern."""
    rng = np.random.default_rng([seed, int(10 * spread)])
    h = int(rng.integers(1, 5))
    normals, offsets = rng.standard_normal((h, 3)), spread * rng.standard_normal(h)
    X = points.fibonacci_sphere(60_000)
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    pairs = cKDTree(X).query_pairs(0.025, output_type="ndarray")
    sign = X @ normals.T + offsets >= 0
    pairs = pairs[(sign[pairs[:, 0]] == sign[pairs[:, 1]]).all(axis=1)]
    graph = sparse.coo_array((np.ones(len(pairs)), pairs.T), shape=(len(X), len(X)))
    _, member = connected_components(graph, directed=False)
    flooded = (np.bincount(member) > 0).sum()
    exact = bounds.count_sphere_cells(normals, offsets)
    assert flooded <= exact <= bounds.sphere_cells(h, 3)
    assert exact - flooded <= 1  # a cell smaller than the lattice's spacing may be missed
    if not spread:
        assert exact == bounds.sphere_cells(h, 3)


def test_arcs_of_the_circle():
    rng = np.random.default_rng(0)
    for h in range(8):
        normals = rng.standard_normal((h, 2))
        assert bounds.count_sphere_cells(normals, np.zeros(h)) == bounds.sphere_cells(h, 2)
    assert bounds.count_sphere_cells([[1.0, 0.0]], [2.0]) == 1
    assert bounds.count_sphere_cells([[1.0, 0.0], [1.0, 0.0]], [0.0, 0.5]) == 4
    with pytest.raises(ValueError, match="d must be 2 or 3, got 4"):
        bounds.count_sphere_cells(np.ones((1, 4)), [0])
    with pytest.raises(ValueError, match="must have shapes"):
        bounds.count_sphere_cells(np.ones((2, 3)), [0])


def test_lines_on_a_circle():
    assert [bounds.circle_lower_bound(n) for n in (1, 2, 3, 10)] == [0, 1, 2, 5]
    for n in (4, 6, 8):
        X = points.circle(n)
        normals, offsets = bounds.diameters(n)
        assert len(np.unique(X @ normals.T + offsets >= 0, axis=0)) == n
        assert bounds.separating_line_choices(n, n // 2 - 1)[0] == 0
        assert bounds.separating_line_choices(n, n // 2)[0] > 0
    assert bounds.separating_line_choices(6, 2) == (0, math.comb(15, 2))


def test_line_choices_by_real_lines():
    """Three lines through arcs of six points, all choices, with their true sides."""
    X, count = points.circle(6), 0
    middle = np.stack([np.cos(a := np.pi * (2 * np.arange(6) + 1) / 6), np.sin(a)], axis=1)
    lines = []
    for a, b in combinations(range(6), 2):
        along = middle[b] - middle[a]
        normal = np.array([-along[1], along[0]])
        lines.append(X @ normal >= normal @ middle[a])
    for choice in combinations(lines, 3):
        count += len(np.unique(np.array(choice).T, axis=0)) == 6
    assert bounds.separating_line_choices(6, 3)[0] == count


def test_weight_lower_bound():
    values = [bounds.weight_lower_bound(10**k) for k in (3, 4, 5, 6)]
    assert values == [88, 679, 5540, 46786]
    for n, U in ((1000, 50), (10**5, 3000)):
        W = bounds.weight_lower_bound(n, U)
        assert W * math.log2(math.e * n * U / W) >= n
        assert (W - 1) * math.log2(math.e * n * U / (W - 1)) < n
    assert bounds.weight_lower_bound(1) == 1
    with pytest.raises(ValueError, match="at least 1"):
        bounds.weight_lower_bound(0)


def test_bound_table():
    rows = {b.who: b for b in bounds.bound_table(10**6, 32, 0.3)}
    assert 10 ** rows["Baum 1988"].log10_gates == pytest.approx(31250)
    assert 10 ** rows["Vershynin 2020"].log10_gates == pytest.approx(math.exp(1 / 0.09) + 1000)
    assert 10 ** rows["this paper"].log10_weights == pytest.approx(32 / 0.3 + 10**6)
    assert bounds.bound_table(10, 2, 0.01)[2].log10_gates == pytest.approx(4342.9, abs=0.1)
    with pytest.raises(ValueError, match="delta must be positive"):
        bounds.bound_table(10, 2, 0)


def test_stored_bits():
    assert bounds.stored_bits(sparse.csr_array((4, 8), dtype=np.int32), 10) == 0
    half = sparse.csr_array(np.tile([1, 0], (4, 4)))
    assert bounds.stored_bits(half, 8) == pytest.approx(32 / 8)


@pytest.mark.parametrize("parity", ["flat", "tree"])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 6, 7, 11, 16])
def test_closed_form_counts_any_parity_size(k, parity):
    widths = Widths(20, k, 2, 3, 3, parity)
    sets = codes.draw_parity_sets(widths, rng=np.random.default_rng(0))
    layers = threshold.parity_layers(sets, 20, parity)
    rest = 20 + widths.groups + widths.slots + widths.groups + 1
    count = threshold.closed_form_count(widths, 7, 100)
    assert count.gates == rest + sum(layer.n_gates for layer in layers)
    rest = 20 * 7 + threshold.lift_layer(widths).n_weights + 100 + widths.groups
    assert count.weights == rest + sum(layer.n_weights for layer in layers)
    assert count.parameters == count.gates + count.weights


@pytest.mark.parametrize("seed", range(8))
def test_baum_is_exact(seed):
    rng = np.random.default_rng(seed)
    d, n = int(rng.integers(2, 9)), int(rng.integers(3, 200))
    X = rng.standard_normal((n, d))
    y = (rng.random(n) < rng.uniform(0.1, 0.9)).astype(int)
    net = threshold.baum_network(X, y)
    np.testing.assert_array_equal(net.forward(X), y)
    smaller = min(y.sum(), n - y.sum())
    if smaller:
        assert net.n_gates == 2 * math.ceil(smaller / d) + 1
        assert (threshold.slab_widths(net) > 0).all()


def test_baum_refuses_points_that_are_not_general():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0], [5.0, 1.0]])
    with pytest.raises(ValueError, match="general position"):
        threshold.baum_network(X, [1, 1, 0, 0, 0])
    with pytest.raises(ValueError, match="only 0 and 1"):
        threshold.baum_network(X, [1, 1, 0, 0, 3])


def test_constant_labels_of_baum():
    X = labelled(20, 3)[0]
    for label in (0, 1):
        y = np.full(20, label)
        np.testing.assert_array_equal(threshold.baum_network(X, y).forward(X), y)


# --- beyond ---------------------------------------------------------------------------------------


def test_greedy_hyperplanes_separate_with_fewer():
    X = points.circle(40)
    rng = np.random.default_rng(0)
    chosen = threshold.greedy_hyperplanes(X, 400, rng=rng)
    normals, offsets = points.gaussian_gates(400, 2, rng=np.random.default_rng(0))
    signs = X @ normals.T + offsets >= 0
    assert len(np.unique(signs[:, chosen], axis=0)) == 40
    assert bounds.circle_lower_bound(40) <= len(chosen)
    assert len(chosen) < threshold.min_separating_prefix(signs)
    with pytest.raises(ValueError, match="pool must separate"):
        threshold.greedy_hyperplanes(X, 3, rng=rng)


def test_labels_are_kept_inside_the_safe_radius():
    X, y = labelled(100, 4)
    result = memorize(X, y)
    radii = threshold.safe_radii(result, X)
    step = points.sphere(100, 4, rng=np.random.default_rng(1)) * 0.999 * radii[:, None]
    np.testing.assert_array_equal(result.network.forward(X + step), y)
    # the nearest hyperplane is where it says: one step further along the normal, a sign flips
    first = result.network.layers[0]
    gap = (X @ first.weight.T - first.threshold) / np.linalg.norm(first.weight, axis=1)
    nearest = np.abs(gap).argmin(axis=1)
    normal = first.weight[nearest] / np.linalg.norm(first.weight[nearest], axis=1, keepdims=True)
    over = X - 1.001 * gap[np.arange(100), nearest][:, None] * normal
    flipped = (over @ first.weight.T >= first.threshold) != (first.threshold <= X @ first.weight.T)
    assert flipped.any(axis=1).all()


def test_refining_needs_no_order():
    columns = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    classes, members = np.zeros(4, np.int64), np.arange(4)
    used, alive, known = kernels.refine(columns.T.copy(), classes, members, 4, 1)
    assert (used, alive, known) == (2, 0, 4)
    assert sorted(members) == [0, 1, 2, 3]
    assert largest_sum(identity_layer(2, "x")) == 2


# --- the chapter ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"circle_sizes": [64, 128, 256]}, "circle_sizes must hold [64, 128, 256, 512, 1024]"),
        ({"baum_sizes": [[5, 16]]}, "baum_sizes must hold pairs (n, d) with n at least 10"),
    ],
)
def test_what_is_judged_must_be_measured(change, text):
    with pytest.raises(ParameterError, match=re.escape(text)):
        knobs("expressivity/threshold").check(change)


def test_what_the_explorer_plans_is_near_what_is_built():
    """Its m1 is the builder's start, doubled until it reaches (1 / delta) ln n."""
    n, (X, y) = 4096, labelled(4096, 16)
    result = memorize(X, y, parity="flat")
    m1 = widths.starting_hyperplanes(n)
    while m1 < math.log(n) / result.delta:
        m1 *= 2
    size = widths.default_parity_size(m1, points.least_separation(result.delta, True), "flat")
    plan = Widths(m1, size, *widths.default_bits(n), 3, "flat")
    assert (plan.group_bits, plan.slot_bits) == (result.widths.group_bits, result.widths.slot_bits)
    planned = threshold.closed_form_count(plan, 16, result.memorizing.n_weights)
    assert 0.4 < planned.gates / result.network.n_gates < 2.5


def test_controls_change_what_they_say():
    X, y = labelled(300, 8)
    result = memorize(X, y, parity="flat")
    rng = np.random.default_rng(0)
    for net in (page.permuted_slots(result, rng=rng), page.permuted_biases(result, rng=rng)):
        assert net.n_gates == result.network.n_gates
        assert 0.2 < np.mean(net.forward(X) != y) < 0.8
    erased = page.without_group(result, 0).forward(X)
    np.testing.assert_array_equal(erased != y, (result.group == 0) & (y == 1))
    assert (result.network.forward(X) == y).all()  # the network itself is untouched
