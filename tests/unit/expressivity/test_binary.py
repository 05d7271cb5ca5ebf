"""Random binary networks: the exact construction by brute force, the search by simulation."""

import itertools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, sparse

from reprise.expressivity import binary
from reprise.expressivity.binary import embedding, network, page, signs
from reprise.expressivity.edge_popup import EdgePopupLinear, supermask

rng_of = np.random.default_rng
few_examples = settings(max_examples=25, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
SIZES = [4, 6, 5, 3]
SHAPES = [(6, 4), (5, 6), (3, 5)]


def target(seed, sizes=SIZES):
    return binary.normal_target(sizes, rng=rng_of(seed))


def by_rows(matrix, h, relu):
    """A sparse matrix times a vector, in Python's integers."""
    rows, columns = matrix.nonzero()
    out = [0] * matrix.shape[0]
    for i, j in zip(rows, columns, strict=True):
        out[i] += int(matrix[i, j]) * h[j]
    return [max(v, 0) for v in out] if relu else out


# --- quantise -------------------------------------------------------------------------------------


@few_examples
@given(seeds, st.integers(1, 24))
def test_quantize_takes_the_nearest_multiple(seed, bits):
    w = rng_of(seed).uniform(-1, 1, (3, 5))
    (q,) = binary.quantize([w], bits)
    assert q.dtype == np.int64
    for value, chosen in zip(w.flat, q.flat, strict=True):
        near = [math.floor(value * 2**bits), math.ceil(value * 2**bits)]
        assert abs(chosen - value * 2**bits) == min(abs(c - value * 2**bits) for c in near)


def test_quantize_sends_ties_to_even():
    ties = [[0.125, 0.375, 0.625, -0.125, -0.375, 1.0, -1.0]]
    assert binary.quantize([ties], 2)[0].tolist() == [[0, 2, 2, 0, -2, 4, -4]]


@pytest.mark.parametrize("bits", [1, 4, 9])
def test_bounds_hold_where_they_should(bits):
    """Certificate below closed bound; both above the largest error that an optimiser finds."""
    for seed in range(3):
        W = target(seed)
        rounded = [q / 2**bits for q in binary.quantize(W, bits)]

        def gap(x, W=W, rounded=rounded):
            x = np.array([x]) / max(1e-9, np.linalg.norm(x))
            return -np.linalg.norm(binary.relu_network(W, x) - binary.relu_network(rounded, x))

        starts = binary.unit_inputs(5, 4, rng=rng_of(seed))
        found = max(-optimize.minimize(gap, x, method="Nelder-Mead").fun for x in starts)
        certificate = binary.quantization_certificate(W, bits)
        assert found <= certificate <= binary.quantization_bound(SHAPES, bits)


def test_certificate_is_the_product_of_the_spectral_norms():
    W = target(1)
    off = [w - q / 16 for w, q in zip(W, binary.quantize(W, 4), strict=True)]
    norms = [np.sqrt(np.linalg.eigvalsh(d.T @ d).max()) for d in off]
    expected = np.prod([1 + v for v in norms]) - 1
    assert binary.quantization_certificate(W, 4) == pytest.approx(expected, rel=1e-12)


def test_bound_in_closed_form():
    assert binary.quantization_bound([(2, 8)], 1) == pytest.approx(1.0)
    assert binary.quantization_bound([(2, 8), (1, 1)], 2) == pytest.approx(1.5 * 1.125 - 1)


@few_examples
@given(st.floats(1e-5, 0.9))
def test_bits_for_is_the_least(eps):
    bits = binary.bits_for(SHAPES, eps)
    assert binary.quantization_bound(SHAPES, bits) <= eps
    assert bits == 1 or binary.quantization_bound(SHAPES, bits - 1) > eps


# --- digits ---------------------------------------------------------------------------------------


@few_examples
@given(st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=20))
def test_digits_give_the_number_back(numbers):
    for expand in (binary.binary_digits, binary.canonical_digits):
        digits = expand(numbers, 26)
        assert digits.dtype == np.int8
        assert digits.shape == (len(numbers), 26)
        assert set(np.unique(digits)) <= {-1, 0, 1}
        for number, row in zip(numbers, digits.tolist(), strict=True):
            assert sum(d * 2**t for t, d in enumerate(row)) == number


def test_binary_digits_share_the_sign():
    assert binary.binary_digits([-6, 5], 4).tolist() == [[0, -1, -1, 0], [1, 0, 1, 0]]


def test_canonical_digits_are_sparsest():
    """No neighbours, and no other signed expansion has fewer non-zeros."""
    fewest = {}
    for digits in itertools.product((-1, 0, 1), repeat=7):
        value = sum(d * 2**t for t, d in enumerate(digits))
        fewest[value] = min(fewest.get(value, 9), sum(map(abs, digits)))
    for q in range(-40, 41):
        digits = binary.canonical_digits(q, 8).astype(int)
        assert not (digits[1:] * digits[:-1]).any()
        assert np.abs(digits).sum() == fewest[q]


# --- matrices -------------------------------------------------------------------------------------


def test_split_parts_a_signed_input():
    assert network.split_matrix(2).toarray().tolist() == [[1, 0], [0, 1], [-1, 0], [0, -1]]


def test_enter_fills_pairs_of_doublers_only():
    expected = np.zeros((8, 2), dtype=int)
    expected[[0, 1], 0] = expected[[2, 3], 1] = 1
    assert network.enter_matrix(2, 2).toarray().tolist() == expected.tolist()


@pytest.mark.parametrize("t", range(5))
def test_a_plane_doubles_keeps_and_adds(t):
    """Every entry of M_t, for a plane with all three digits."""
    digits = np.roll(np.array([[1, -1, 0], [0, 1, -1]], dtype=np.int8), t, axis=1)
    state = rng_of(t).integers(0, 9, 2 * 3 + 2 * 2)
    state[1:6:2] = state[0:6:2]  # the two of a pair hold the same value
    after = network.plane_matrix(digits) @ state
    h, before = state[0:6:2], state[6:]
    assert after[0:6:2].tolist() == after[1:6:2].tolist() == (2 * h).tolist()
    assert after[6:8].tolist() == (before[:2] + (digits == 1) @ h).tolist()
    assert after[8:].tolist() == (before[2:] + (digits == -1) @ h).tolist()


def test_leave_subtracts():
    assert network.leave_matrix(2, 1).toarray().tolist() == [
        [0, 0, 1, 0, -1, 0],
        [0, 0, 0, 1, 0, -1],
    ]


def test_worked_example():
    net = binary.binary_network([[[0.5, -0.25]]], bits=2)
    assert [m.shape for m in net.matrices] == [
        (4, 2), (10, 4), (10, 10), (10, 10), (10, 10), (1, 10),
    ]  # fmt: skip
    assert net.forward([[3, -4]], exact=True).tolist() == [[10]]
    assert net.forward([[3, -4]]).tolist() == [[2.5]]
    state, seen = [3, -4], []
    for matrix in net.matrices[:-1]:
        state = by_rows(matrix, state, relu=True)
        seen.append(state)
    assert seen[0] == [3, 0, 0, 4]
    assert [s[8:] for s in seen[1:]] == [[0, 0], [4, 0], [10, 0], [10, 0]]
    assert seen[3][:8] == [12, 12, 0, 0, 0, 0, 16, 16]


@pytest.mark.parametrize("canonical", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5, 9])
def test_a_layer_equals_its_integers(bits, canonical):
    """Against Python's integers, with the extreme entries 2^bits, -2^bits and 0."""
    Q = rng_of(bits).integers(-(2**bits), 2**bits + 1, (3, 4))
    Q[0, 0], Q[1, 1], Q[2, 2] = 2**bits, -(2**bits), 0
    matrices = binary.layer_matrices(Q, bits, canonical=canonical)
    assert len(matrices) == bits + 3 + canonical
    assert all(m.dtype == np.int8 and set(np.unique(m.data)) <= {-1, 1} for m in matrices)
    assert matrices[1].shape == (14, 14)
    h = [5, 0, 3, 11]
    state = h
    for index, matrix in enumerate(matrices):
        state = by_rows(matrix, state, relu=index < bits + 2 + canonical)
    assert state == [sum(int(q) * v for q, v in zip(row, h, strict=True)) for row in Q]


@pytest.mark.parametrize("build", [binary.normal_target, binary.extreme_target])
@pytest.mark.parametrize("bits", [1, 6, 12])
def test_the_network_is_exact(build, bits):
    W = build(SIZES, rng=rng_of(bits))
    net = binary.binary_network(W, bits)
    x = rng_of(1).integers(-50, 51, (60, 4))
    h = [[int(v) for v in row] for row in x]
    for layer, q in enumerate(net.quantized):
        h = [[sum(int(a) * v for a, v in zip(r, row, strict=True)) for r in q] for row in h]
        if layer < 2:
            h = [[max(v, 0) for v in row] for row in h]
    assert net.forward(x, exact=True).tolist() == h
    assert net.forward(x, exact=True).dtype == np.int64
    scaled = net.forward(x)
    np.testing.assert_allclose(scaled, np.array(h, dtype=float) * 2.0**net.scale_log2, rtol=1e-13)


def test_counts_of_a_network():
    W, bits = target(3), 7
    net = binary.binary_network(W, bits)
    assert net.depth == len(net.matrices) == 1 + 3 * (bits + 3)
    assert net.layer_starts == (1, 11, 21)
    assert net.width == 4 * 4 + 2 * 6
    assert net.scale_log2 == -21
    bit_count = [sum(int(v).bit_count() for v in np.abs(q).flat) for q in net.quantized]
    edges = 2 * 4
    for layer, (m, n) in enumerate(SHAPES):
        inputs, taps = (2 * n, 2 * bit_count[0]) if layer == 0 else (n, bit_count[layer])
        edges += 2 * inputs + (bits + 1) * (4 * inputs + 2 * m) + taps + 2 * m
    assert net.n_edges == edges == len(net.edges.columns)


def test_edge_list_holds_the_matrices():
    net = binary.binary_network(target(0), 3)
    e = net.edges
    for i, matrix in enumerate(net.matrices):
        pointers = e.row_ptr[e.row_start[i] : e.row_start[i + 1] + 1]
        own = slice(pointers[0], pointers[-1])
        parts = (e.signs[own], e.columns[own], pointers - pointers[0])
        again = sparse.csr_array(parts, shape=matrix.shape)
        assert (again != matrix).nnz == 0
    assert e.column_start[-1] == sum(m.shape[1] for m in net.matrices)


def test_only_the_extreme_target_needs_the_highest_plane():
    """Normal weights never round to one: a test on them cannot see the missing plane."""
    x = rng_of(0).integers(-50, 51, (200, 4))
    for build, changed in ((binary.normal_target, False), (binary.extreme_target, True)):
        net = binary.binary_network(build(SIZES, rng=rng_of(5)), 6)
        top = {start + 7 for start in net.layer_starts}
        rest = tuple(m for i, m in enumerate(net.matrices) if i not in top)
        differs = replace(net, matrices=rest).forward(x, exact=True) != net.forward(x, exact=True)
        assert differs.any() == changed


def test_only_the_ends_of_the_network_and_of_layers_are_signed():
    """Elsewhere a ReLU has nothing to clip, so that it may follow every matrix."""
    net = binary.binary_network(target(0), 4)
    signed = {0, *(start + 6 for start in net.layer_starts)}  # the split and the leave matrices
    h = rng_of(0).integers(-50, 51, (4, 300))
    for index, matrix in enumerate(net.matrices):
        h = matrix @ h
        assert (h < 0).any() == (index in signed)
        h = np.maximum(h, 0)


def test_exact_range_is_guarded():
    net = binary.binary_network([[[1.0, 1.0]]], 20)  # row sum 2^21
    at_limit = np.array([[2**41 - 1, 0]])
    assert net.forward(at_limit, exact=True).tolist() == [[(2**41 - 1) * 2**20]]
    with pytest.raises(ValueError, match="the exact range of int64 is exceeded"):
        net.forward(np.array([[2**41, 0]]), exact=True)
    with pytest.raises(ValueError, match="the exact range of int64 is exceeded"):
        net.forward(np.array([[-(2**63), 0]]), exact=True)


# --- embedding ------------------------------------------------------------------------------------


def test_helpers_needed_is_the_least_of_the_union_bound():
    assert binary.helpers_needed(1035, 0.01) == 41
    for edges, delta in ((1, 0.01), (1330, 0.01), (11642, 1e-4)):
        R = binary.helpers_needed(edges, delta)
        assert edges * 0.75**R <= delta < edges * 0.75 ** (R - 1)
    assert binary.edge_failure(2) == 0.5625


def dense_forward(hidden, x):
    """The random network with its mask, all of it, in float64; whether masks only delete."""
    h = np.asarray(x, dtype=np.float64).T
    for i in range(hidden.depth):
        weights, mask = hidden.dense(i)
        assert set(np.unique(weights)) == {-1, 1}
        effective = np.zeros(weights.shape, dtype=np.int8)
        rows, columns, kept = hidden.kept(i)
        effective[rows, columns] = kept
        np.testing.assert_array_equal(effective, weights * mask)
        h = (weights * mask).astype(float) @ h
        if i < hidden.depth - 1:
            h = np.maximum(h, 0)
    return np.ldexp(h.T, hidden.network.scale_log2)


@pytest.mark.parametrize("helpers", [None, 70, 130])
@pytest.mark.parametrize("build", [binary.normal_target, binary.extreme_target])
def test_the_masked_random_network_computes_the_logical_one(build, helpers):
    """Built densely, matrix by matrix; with one, two and three words of helpers an input."""
    net = binary.binary_network(build([2, 3, 2], rng=rng_of(0)), 2)
    hidden = binary.embed(net, helpers=helpers, seed=1)
    x = rng_of(2).standard_normal((101, 2))  # one full group of lanes and a rest
    expected = net.forward(x)
    np.testing.assert_allclose(hidden.forward(x), expected, atol=1e-14)
    np.testing.assert_allclose(dense_forward(hidden, x), expected, atol=1e-14)


def test_counts_of_a_random_network():
    net = binary.binary_network(target(0), 6)
    hidden = binary.embed(net, seed=0)
    assert hidden.helpers == binary.helpers_needed(net.n_edges, 0.01)
    built = [hidden.dense(i) for i in range(hidden.depth)]
    assert hidden.depth == 2 * net.depth
    assert hidden.n_parameters == sum(weights.size for weights, _ in built)
    assert hidden.n_kept == sum(int(mask.sum()) for _, mask in built)
    assert hidden.width == max(max(weights.shape) for weights, _ in built)
    assert hidden.width == hidden.helpers * (4 * 4 + 2 * 6)
    assert [hidden.shape(i) for i in range(hidden.depth)] == [w.shape for w, _ in built]
    assert hidden.n_bytes < 20 * hidden.n_kept


def test_a_helper_keeps_one_input_and_serves_an_edge():
    hidden = binary.embed(binary.binary_network(target(0), 4), seed=3)
    for i in range(0, hidden.depth, 2):
        rows, columns, _ = hidden.kept(i)
        assert len(np.unique(rows)) == len(rows)
        np.testing.assert_array_equal(rows // hidden.helpers, columns)
        np.testing.assert_array_equal(np.unique(hidden.kept(i + 1)[1]), np.unique(rows))


def test_the_first_serving_helper_is_taken():
    """A plain search over the random signs, edge by edge."""
    net = binary.binary_network(target(1), 3)
    hidden = binary.embed(net, helpers=90, seed=4)
    first = binary.first_helpers(net, 4)
    edge = 0
    for index, matrix in enumerate(net.matrices):
        one, two = hidden.dense(2 * index)[0], hidden.dense(2 * index + 1)[0]
        for i in range(matrix.shape[0]):
            for e in range(matrix.indptr[i], matrix.indptr[i + 1]):
                j, s = matrix.indices[e], matrix.data[e]
                wanted = (s, 1) if index == 0 else (1, s)
                c = next(c for c in range(90) if (one[j * 90 + c, j], two[i, j * 90 + c]) == wanted)
                assert first[edge] == c
                edge += 1
    assert edge == net.n_edges


def test_need_of_a_draw_is_exact_and_that_of_embed():
    net = binary.binary_network(target(0), 4)
    for seed in range(5):
        need = binary.helpers_used(net, 3, seed)[0]
        assert need == binary.first_helpers(net, seed).max() + 1
        assert binary.embed(net, helpers=int(need), seed=seed).failures == 0
        with pytest.raises(binary.EmbeddingError):
            binary.embed(net, helpers=int(need) - 1, seed=seed)


def test_fewer_helpers_are_a_part_of_more():
    net = binary.binary_network(target(0), 4)
    small, large = (binary.embed(net, helpers=R, seed=0) for R in (50, 300))
    for i in range(small.depth):
        (r, c, s), (r2, c2, s2) = small.kept(i), large.kept(i)
        if i % 2:
            np.testing.assert_array_equal(r, r2)
            np.testing.assert_array_equal(c % 50, c2 % 300)
        else:
            np.testing.assert_array_equal(r % 50, r2 % 300)
        np.testing.assert_array_equal(s, s2)


def test_missing_edges_are_left_out():
    net = binary.binary_network(target(0), 5)
    with pytest.raises(binary.EmbeddingError) as caught:
        binary.embed(net, helpers=6, seed=0)
    lost, enough = caught.value.failures, caught.value.enough
    assert str(caught.value) == (
        f"{lost} of {net.n_edges} edges found no helper with helpers=6; use at least {enough}"
    )
    assert enough >= binary.helpers_needed(net.n_edges, 0.01)
    assert binary.embed(net, helpers=enough, seed=0).failures == 0
    hidden = binary.embed(net, helpers=6, seed=0, allow_failures=True)
    assert hidden.failures == lost == round(binary.failure_rates(net, 6, 1, 0)[0] * net.n_edges)
    present = sum(len(hidden.kept(i)[0]) for i in range(1, hidden.depth, 2))
    assert present == net.n_edges - lost
    x = rng_of(0).standard_normal((5, 4))
    np.testing.assert_allclose(dense_forward(hidden, x), hidden.forward(x), atol=1e-14)


def test_advice_exceeds_what_has_just_failed():
    """A draw that fails with the union bound's helpers is told how many it really needs."""
    net = binary.binary_network(target(0), 6)
    bound = binary.helpers_needed(net.n_edges, 0.5)
    seed = next(s for s in range(50) if binary.helpers_used(net, 1, s)[0] > bound)
    with pytest.raises(binary.EmbeddingError) as caught:
        binary.embed(net, delta=0.5, seed=seed)
    assert caught.value.enough == binary.helpers_used(net, 1, seed)[0] > bound


def test_the_signs_are_fair_and_unrelated():
    net = binary.binary_network(target(0), 2)
    hidden = binary.embed(net, seed=5)
    draws = [hidden.dense(i)[0].astype(float).ravel() for i in range(0, 20)]
    other = [binary.embed(net, seed=6).dense(i)[0].astype(float).ravel() for i in range(0, 20)]
    for a, b in zip(draws, other, strict=True):
        assert abs(a.mean()) * math.sqrt(a.size) < 4.5
        assert abs((a * b).mean()) * math.sqrt(a.size) < 4.5
        assert abs((a[1:] * a[:-1]).mean()) * math.sqrt(a.size) < 4.5
    for a, b in itertools.pairwise(draws):
        size = min(a.size, b.size)
        assert abs((a[:size] * b[:size]).mean()) * math.sqrt(size) < 4.5


def simulated_need(net, draws, rng):
    """Without hashes or masks: B1 as a row of coins for each column; then geometric waits."""
    longest = 200
    need = np.zeros(draws, dtype=int)
    for index, matrix in enumerate(net.matrices):
        coins = rng.integers(0, 2, (draws, matrix.shape[1], longest)).astype(bool)
        rows, columns = matrix.nonzero()
        for i, j in zip(rows, columns, strict=True):
            wanted = coins[:, j] if index or matrix[i, j] > 0 else ~coins[:, j]
            wait = rng.geometric(0.5, draws)
            place = (wanted.cumsum(axis=1) >= wait[:, None]).argmax(axis=1) + 1
            need = np.maximum(need, place)
    return need


def test_needs_follow_the_law():
    """Against an independent simulation, and against the law for independent edges."""
    net = binary.binary_network(target(0, [2, 3, 2]), 3)
    ours = binary.helpers_used(net, 4000, 0)
    theirs = simulated_need(net, 400, rng_of(0))
    for R in (12, 16, 20, 25):
        p, q = np.mean(ours <= R), np.mean(theirs <= R)
        assert abs(p - q) < 4.5 * math.sqrt(0.25 / 400 + 0.25 / 4000)
        assert abs(p - (1 - 0.75**R) ** net.n_edges) < 0.06
    assert np.median(ours) == pytest.approx(binary.typical_need(net.n_edges), abs=1.5)


@pytest.mark.parametrize("helpers", [1, 3, 70])
def test_failure_rates_are_those_of_embed(helpers):
    net = binary.binary_network(target(2), 4)
    rates = binary.failure_rates(net, helpers, 300, 7)
    hidden = binary.embed(net, helpers=helpers, seed=7, allow_failures=True)
    assert rates[0] * net.n_edges == pytest.approx(hidden.failures)
    error = rates.std(ddof=1) / math.sqrt(300)
    assert abs(rates.mean() - 0.75**helpers) <= 4 * error + 1e-4


def test_edges_of_a_draw_are_not_independent():
    """They share the signs towards their input: a standard error over edges is too small."""
    net = binary.binary_network(target(0), 6)
    rates = binary.failure_rates(net, 2, 4000, 0)
    p = binary.edge_failure(2)
    assert rates.std() > 1.08 * math.sqrt(p * (1 - p) / net.n_edges)


def test_draws_depend_on_the_seed_alone():
    net = binary.binary_network(target(0), 4)
    few, many = binary.helpers_used(net, 5, 1), binary.helpers_used(net, 50, 1)
    np.testing.assert_array_equal(few, many[:5])
    assert (many != binary.helpers_used(net, 50, 2)).any()


def test_random_signs_take_any_place():
    hidden = binary.embed(binary.binary_network(target(0), 2), seed=0)
    weights, _ = hidden.dense(3)
    rows, columns = rng_of(0).integers(0, weights.shape, (50, 2)).T
    np.testing.assert_array_equal(hidden.random_signs(3, rows, columns), weights[rows, columns])
    assert hidden.random_signs(3, 0, np.arange(4)).tolist() == weights[0, :4].tolist()


def test_a_huge_network_is_hidden_but_not_built():
    net = binary.binary_network(target(0, [2000, 4]), 2)
    hidden = binary.embed(net, seed=0)
    assert hidden.n_parameters > 2**33
    with pytest.raises(ValueError, match=re.escape("must have at most 2^31 entries")):
        hidden.dense(4)
    x = binary.unit_inputs(3, 2000, rng=rng_of(0))
    np.testing.assert_allclose(hidden.forward(x), net.forward(x), rtol=1e-12, atol=1e-15)


# --- search ---------------------------------------------------------------------------------------


def test_search_finds_what_a_fine_grid_finds():
    W = target(4, [2, 5, 3])
    net = binary.binary_network(W, 3)
    angle = np.linspace(0, 2 * math.pi, 20001)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    truth = np.linalg.norm(net.forward(circle) - binary.relu_network(W, circle), axis=1).max()
    found = binary.search_error(W, net, random=50, adversarial=10, seed=0)
    assert found.random <= found.adversarial <= truth * (1 + 1e-6)
    assert found.largest == pytest.approx(truth, rel=1e-4)
    assert np.linalg.norm(found.point) == pytest.approx(1)
    here = net.forward([found.point]) - binary.relu_network(W, found.point[None])
    assert np.linalg.norm(here) == pytest.approx(found.largest)


def test_search_measures_the_masked_network():
    """A network that lacks edges is worse than the gradients' stand-in, and the search says so."""
    W = target(0)
    net = binary.binary_network(W, 6)
    whole = binary.search_error(W, binary.embed(net, seed=0), seed=0)
    assert whole.largest == pytest.approx(binary.search_error(W, net, seed=0).largest, rel=1e-9)
    broken = binary.embed(net, helpers=12, seed=0, allow_failures=True)
    assert binary.search_error(W, broken, seed=0).largest > 3 * whole.largest


# --- edge-popup -----------------------------------------------------------------------------------


@pytest.mark.parametrize("amplitude", ["sign", "normal", "uniform", "one"])
def test_amplitudes_have_one_scale_and_share_their_scores(amplitude):
    layer = binary.BinaryEdgePopupLinear(400, 50, 0.5, amplitude, seed=3)
    scale = math.sqrt(2 / (400 * 0.5))
    assert float(layer.weight.pow(2).mean().sqrt()) == pytest.approx(scale, rel=0.02)
    assert [name for name, _ in layer.named_parameters()] == ["scores"]
    other = binary.BinaryEdgePopupLinear(400, 50, 0.5, "normal", seed=3)
    assert torch.equal(layer.scores, other.scores)
    if amplitude == "sign":
        assert torch.allclose(layer.weight, scale * torch.sign(other.weight))
    if amplitude == "uniform":
        assert float(layer.weight.abs().max()) <= scale * math.sqrt(3)
        assert ((layer.weight > 0) == (other.weight > 0)).all()
    if amplitude == "one":
        assert torch.allclose(layer.weight, torch.tensor(scale))


def test_gradient_goes_straight_through_to_the_scores():
    layer = binary.BinaryEdgePopupLinear(6, 4, 0.5, "sign", seed=0, dtype=torch.float64)
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (layer(x) ** 2).sum().backward()
    effective = layer.weight * supermask(layer.scores, 0.5).detach()
    gradient = 2 * (x @ effective.T).T @ x  # dL / dw_eff
    expected = gradient * layer.weight * torch.sign(layer.scores.detach())
    assert torch.allclose(layer.scores.grad, expected)
    assert isinstance(layer, EdgePopupLinear)


def test_a_classifier_draws_each_layer_anew():
    model = binary.popup_classifier([8, 8, 8], 0.5, "sign", seed=0)
    first, _, second = model
    assert not torch.equal(first.weight, second.weight)
    assert not torch.equal(first.scores, second.scores)
    again = binary.popup_classifier([8, 8, 8], 0.5, "sign", seed=0)
    assert torch.equal(again[2].scores, second.scores)


# --- errors ---------------------------------------------------------------------------------------

NET = binary.binary_network([[[0.5, -0.25, 0.0, 1.0]]], 2)
HIDDEN = binary.embed(NET, seed=0)
NAN = [[math.nan]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: binary.quantize([[[0.5]]], 25), "bits must be between 1 and 24, got 25"),
        (lambda: binary.quantize([[[0.5]]], 0), "bits must be between 1 and 24, got 0"),
        (lambda: binary.quantize([[[0.5]]], 2.0), "bits must be between 1 and 24, got 2.0"),
        (lambda: binary.quantize([], 2), "weights must hold at least one layer, got none"),
        (lambda: binary.quantize([[0.5]], 2), "weights[0] must have shape (out, in), got (1,)"),
        (lambda: binary.quantize([[[0.5]], NAN], 2), "weights[1] must be finite"),
        (lambda: binary.quantize([[[1.01]]], 2), "weights must lie in [-1, 1], got 1.01"),
        (
            lambda: binary.binary_network([np.zeros((5, 4)), np.zeros((3, 6))], 2),
            "weights[1] must have shape (out, 5), got (3, 6)",
        ),
        (lambda: binary.quantization_bound([], 2), "shapes must hold at least one"),
        (lambda: binary.quantization_bound([(2, 0)], 2), "positive integers, got (2, 0)"),
        (lambda: binary.quantization_bound([(2, 2)], 99), "bits must be between 1 and 24, got 99"),
        (lambda: binary.bits_for(SHAPES, 1e-9), "eps 1e-09 needs more than 24 bits"),
        (lambda: binary.bits_for(SHAPES, 1), "eps must lie in (0, 1), got 1"),
        (lambda: binary.layer_matrices([[0.5]], 2), "Q must be a matrix of integers"),
        (lambda: binary.layer_matrices([[5]], 2), "Q must lie in [-2^2, 2^2], got 5"),
        (lambda: binary.layer_matrices([[1]], 30), "bits must be between 1 and 24, got 30"),
        (lambda: binary.canonical_digits(0.5), "q must hold integers"),
        (lambda: binary.canonical_digits(8, 3), "q must fit 3 digits, got 8"),
        (lambda: binary.binary_digits(8, 0), "length must be between 1 and 62, got 0"),
        (lambda: NET.forward(np.zeros((10, 3))), "x must have shape (batch, 4), got (10, 3)"),
        (lambda: NET.forward(np.zeros(4)), "x must have shape (batch, 4), got (4,)"),
        (lambda: NET.forward(np.full((1, 4), math.inf)), "x must be finite"),
        (lambda: NET.forward(np.zeros((1, 4)), exact=True), "integers where exact=True"),
        (
            lambda: NET.forward(np.full((1, 4), 2**63, dtype=np.uint64), exact=True),
            "the exact range of int64 is exceeded",
        ),
        (lambda: HIDDEN.forward(np.zeros((10, 3))), "x must have shape (batch, 4), got (10, 3)"),
        (lambda: HIDDEN.forward(np.full((1, 4), math.nan)), "x must be finite"),
        (lambda: HIDDEN.kept(12), "i must lie in 0..11, got 12"),
        (lambda: HIDDEN.random_signs(1, 999, 0), "rows must lie in 0.."),
        (lambda: HIDDEN.random_signs(0, 0, 4), "columns must lie in 0..3"),
        (lambda: binary.helpers_needed(100, 0), "delta must lie in (0, 1), got 0"),
        (lambda: binary.helpers_needed(0, 0.1), "n_edges must be an integer of at least 1, got 0"),
        (lambda: binary.edge_failure(0), "helpers must be an integer of at least 1, got 0"),
        (lambda: binary.embed(NET, helpers=0, seed=0), "helpers must be an integer of at least 1"),
        (lambda: binary.embed(NET, delta=1.5, seed=0), "delta must lie in (0, 1), got 1.5"),
        (lambda: binary.embed(NET, seed=-1), "seed must be an integer of at least 0, got -1"),
        (lambda: binary.helpers_used(NET, 0, 0), "draws must be an integer of at least 1, got 0"),
        (lambda: binary.failure_rates(NET, 0, 5, 0), "helpers must be an integer of at least 1"),
        (lambda: binary.search_error([[[1.0]]], NET, random=5, adversarial=6, seed=0), "random >="),
        (lambda: binary.BinaryEdgePopupLinear(2, 2, 1.0, "sign", 0), "sparsity must lie in [0, 1)"),
        (
            lambda: binary.BinaryEdgePopupLinear(2, 2, 0.5, "cauchy", 0),
            "amplitude must be one of ('sign', 'normal', 'uniform', 'one'), got 'cauchy'",
        ),
    ],
)
def test_errors_name_what_is_wrong(call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call()


# --- the chapter's page ---------------------------------------------------------------------------


def test_drawn_weight_shows_its_value():
    import matplotlib.pyplot as plt

    for q, expected in ((11, "11"), (-11, "-11"), (16, "16")):
        figure, ax = plt.subplots()
        page.draw_weight(ax, q=q, bits=4)
        texts = [t.get_text() for t in ax.texts]
        assert expected in texts
        assert "32" in texts
        plt.close(figure)


def test_words_agree_with_plain_bits():
    """The hash in Python's integers, which do not wrap."""

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    key, matrix, side, R, n = 2**63 + 12345, 5, signs.SECOND, 100, 7
    rows, columns = np.array([0, 2, 3]), np.array([0, 163, 699])
    expected = []
    for i, column in zip(rows.tolist(), columns.tolist(), strict=True):
        j, c = divmod(column, R)
        stream = mix((key + golden * (2 * matrix + side + 1)) % 2**64)
        stream = mix((stream + golden * (c // 64 + 1)) % 2**64)
        word = mix(mix((stream + golden * (i * n + j + 1)) % 2**64))
        expected.append(1 if word >> (c % 64) & 1 else -1)
    found = signs.read_signs(np.uint64(key), matrix, side, R, n, rows, columns)
    assert found.tolist() == expected
    assert embedding.signs is signs
