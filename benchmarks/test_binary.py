"""Random binary networks: helpers chosen from a counter and a sparse walk, against dense numpy."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from reprise.expressivity import binary

SMALL, MIDDLE, LARGE = ([4, 6, 5, 3], 8), ([64, 16, 10], 8), ([784, 32, 10], 10)
BATCH = 256
EMBED_LIMIT = "9 ns: two hashes of about 14 dependent operations, 3 GHz"
WALK_LIMIT = "0.04 ns: two vector loads a cycle, 8 lanes, 3 GHz"


def network(sizes, bits):
    """The logical network of a normal target, with its flat list of edges."""
    net = binary.binary_network(binary.normal_target(sizes, rng=np.random.default_rng(0)), bits)
    assert len(net.edges.columns) == net.n_edges
    return net


def dense_embed(net, helpers, rng):
    """Draw all signs, search each edge's helper in them, keep masks: (effective B1, B2) each."""
    pairs = []
    for index, matrix in enumerate(net.matrices):
        m, n = matrix.shape
        one = 2 * rng.integers(0, 2, (n * helpers, n), dtype=np.int8) - 1
        two = 2 * rng.integers(0, 2, (m, n * helpers), dtype=np.int8) - 1
        masks = np.zeros(one.shape, dtype=bool), np.zeros(two.shape, dtype=bool)
        rows, columns = matrix.nonzero()
        edges = matrix.toarray()[rows, columns]
        places = columns[:, None] * helpers + np.arange(helpers)  # (edges, R)
        first, second = one[places, columns[:, None]], two[rows[:, None], places]
        ahead, behind = (edges, 1) if index == 0 else (1, edges)
        serves = (first == np.reshape(ahead, (-1, 1))) & (second == np.reshape(behind, (-1, 1)))
        assert serves.any(axis=1).all()
        chosen = places[np.arange(len(rows)), serves.argmax(axis=1)]
        masks[0][chosen, columns] = True
        masks[1][rows, chosen] = True
        pairs.append(
            [(w * mask).astype(np.float32) for w, mask in zip((one, two), masks, strict=True)]
        )
    return pairs


def dense_forward(net, pairs, x):
    """Every random weight multiplied, deleted or not."""
    h = x.T.astype(np.float32)
    for index, (one, two) in enumerate(pairs):
        h = two @ np.maximum(one @ h, 0)
        if index < len(pairs) - 1:
            h = np.maximum(h, 0)
    return np.ldexp(h.T, net.scale_log2)


def helpers_for(net):
    return binary.helpers_needed(net.n_edges, 0.01)


def lucky_seed(net, helpers):
    """A seed whose draw has all edges: at delta = 0.01 one in a hundred has not."""
    return next(s for s in range(100) if binary.helpers_used(net, 1, s)[0] <= helpers)


def label(sizes, bits):
    return f"{'-'.join(map(str, sizes))}, k={bits}"


@pytest.mark.parametrize("case", [SMALL, MIDDLE], ids=str)
def test_dense_embedding(lap, case):
    net = network(*case)
    helpers, seed = helpers_for(net), 0
    while True:  # the same luck for the peer
        try:
            dense_embed(net, helpers, np.random.default_rng(seed))
            break
        except AssertionError:
            seed += 1
    lap(
        lambda: dense_embed(net, helpers, np.random.default_rng(seed)),
        work=f"embed {label(*case)}, per edge",
        name="numpy, all random signs, masks and effective matrices in memory",
        units=net.n_edges,
        peer=True,
    )


@pytest.mark.parametrize(("case", "target"), [(SMALL, 10), (MIDDLE, 100), (LARGE, None)], ids=str)
def test_embedding(lap, case, target):
    net = network(*case)
    helpers = helpers_for(net)
    seed = lucky_seed(net, helpers)
    # without a peer, 0.1 s for the whole network
    target = target or 0.1e9 / net.n_edges
    hidden = lap(
        lambda: binary.embed(net, helpers=helpers, seed=seed),
        work=f"embed {label(*case)}, per edge",
        name="reprise, 1 thread",
        units=net.n_edges,
        target=target,
        limit=EMBED_LIMIT,
        rounds=30,
    )
    assert hidden.n_bytes <= 2 * 20 * hidden.n_kept


@pytest.mark.parametrize("case", [SMALL, MIDDLE], ids=str)
def test_dense_forward(lap, case):
    net = network(*case)
    seed = 0
    while True:
        try:
            pairs = dense_embed(net, helpers_for(net), np.random.default_rng(seed))
            break
        except AssertionError:
            seed += 1
    x = binary.unit_inputs(BATCH, case[0][0], rng=np.random.default_rng(1))
    kept = sum(int(np.count_nonzero(w)) for pair in pairs for w in pair)
    with threadpool_limits(1):
        out = lap(
            lambda: dense_forward(net, pairs, x),
            work=f"forward {label(*case)}, {BATCH} inputs, per kept weight and input",
            name="numpy, dense products in float32, 1 thread",
            units=kept * BATCH,
            peer=True,
        )
    np.testing.assert_allclose(out, net.forward(x), atol=1e-3)


@pytest.mark.parametrize(("case", "target"), [(SMALL, None), (MIDDLE, 200), (LARGE, None)], ids=str)
def test_forward(lap, case, target):
    net = network(*case)
    helpers = helpers_for(net)
    hidden = binary.embed(net, helpers=helpers, seed=lucky_seed(net, helpers))
    x = binary.unit_inputs(BATCH, case[0][0], rng=np.random.default_rng(1))
    notes = {} if target is None else {"target": target}
    out = lap(
        lambda: hidden.forward(x),
        work=f"forward {label(*case)}, {BATCH} inputs, per kept weight and input",
        name="reprise, float64, 1 thread",
        units=hidden.n_kept * BATCH,
        limit=WALK_LIMIT,
        rounds=20,
        **notes,
    )
    np.testing.assert_allclose(out, net.forward(x), rtol=1e-12, atol=1e-15)
