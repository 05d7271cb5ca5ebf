"""Edge-popup: masks by sorting, gradients by hand, layers by plain loops, training by outcome."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reprise import training
from reprise.expressivity import edge_popup as ep
from reprise.images import load_images

few_examples = settings(max_examples=40, deadline=None, derandomize=True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@few_examples
@given(
    st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=60),
    st.floats(0.0, 1.0),
)
def test_the_mask_drops_the_smallest_scores_and_of_equal_ones_the_first(scores, sparsity):
    mask = ep.supermask(torch.tensor(scores), sparsity).numpy()
    dropped = math.floor(sparsity * len(scores) + 1e-9)
    order = np.argsort(np.abs(scores), kind="stable")
    expected = np.ones(len(scores))
    expected[order[:dropped]] = 0.0
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("sparsity", "kept"), [(0.0, 100), (0.29, 71), (0.5, 50), (0.9, 10), (1.0, 0)]
)
def test_the_mask_keeps_the_stated_fraction(sparsity, kept):
    mask = ep.supermask(torch.randn(10, 10, generator=seeded()), sparsity)
    assert mask.shape == (10, 10)
    assert int(mask.sum()) == kept == 100 - ep.dropped_count(100, sparsity)


@pytest.mark.parametrize("sparsity", [-0.1, 1.5, float("nan")])
def test_a_sparsity_outside_its_range_is_refused(sparsity):
    for call in (
        lambda: ep.supermask(torch.ones(3), sparsity),
        lambda: ep.EdgePopupLinear(2, 2, sparsity, generator=seeded()),
        lambda: ep.GadgetLinear(2, 2, 1, sparsity, relu=True, generator=seeded()),
    ):
        with pytest.raises(ValueError, match=r"sparsity must lie in \[0, 1\], got"):
            call()


def test_the_gradient_passes_straight_through_to_the_magnitude():
    scores = torch.tensor([0.1, -0.2, 0.3, -0.4], requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    (ep.supermask(scores, 0.5) * weights).sum().backward()
    assert scores.grad.tolist() == [1.0, -2.0, 3.0, -4.0]


def test_only_scores_learn():
    layers = [
        ep.EdgePopupLinear(6, 4, 0.5, generator=seeded()),
        ep.GadgetLinear(6, 4, 3, 0.5, relu=True, generator=seeded()),
    ]
    for layer in layers:
        frozen = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        assert all("scores" in name for name, _ in layer.named_parameters())
        x = torch.randn(40, 6, generator=seeded(1))
        training.train_classifier(layer, x, x[:, :4].argmax(1), epochs=2, generator=seeded(2))
        for name, buffer in layer.named_buffers():
            assert torch.equal(buffer, frozen[name])


def test_the_pruned_layer_is_a_masked_matrix():
    layer = ep.EdgePopupLinear(5, 3, 0.4, generator=seeded(), dtype=torch.float64)
    x = torch.randn(7, 5, generator=seeded(1), dtype=torch.float64)
    kept = layer.weight * ep.supermask(layer.scores, 0.4)
    assert int((kept != 0).sum()) == 9
    np.testing.assert_allclose(layer(x).detach(), x @ kept.detach().T, atol=1e-14)


@pytest.mark.parametrize("relu", [True, False])
def test_the_gadget_layer_is_what_plain_loops_compute(relu):
    layer = ep.GadgetLinear(3, 2, 4, 0.25, relu=relu, generator=seeded(), dtype=torch.float64)
    u = (layer.u * ep.supermask(layer.u_scores, 0.25)).detach().numpy()
    v = (layer.v * ep.supermask(layer.v_scores, 0.25)).detach().numpy()
    x = np.random.default_rng(0).standard_normal((5, 3))
    expected = np.zeros((5, 2))
    for b in range(5):
        for k in range(2):
            for j in range(3):
                for q in range(4):
                    h = x[b, j] * u[q, j]
                    expected[b, k] += v[k, j * 4 + q] * (max(h, 0.0) if relu else h)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, atol=1e-13)


def test_initial_scales():
    layer = ep.GadgetLinear(200, 100, 5, 0.0, relu=False, generator=seeded())
    assert layer.u.std().item() == pytest.approx(math.sqrt(2), rel=0.05)
    assert layer.v.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.05)
    assert layer.u_scores.abs().max().item() == pytest.approx(math.sqrt(2), rel=0.02)
    assert layer.v_scores.abs().max().item() == pytest.approx(math.sqrt(2 / 200), rel=0.02)
    wide = ep.EdgePopupLinear(200, 100, 0.0, generator=seeded())
    assert wide.weight.std().item() == pytest.approx(math.sqrt(2 / 200), rel=0.05)
    assert wide.scores.abs().max().item() == pytest.approx(1 / math.sqrt(200), rel=0.02)


def test_given_weights_are_used_and_checked():
    signs = torch.ones(3, 2)
    assert torch.equal(
        ep.EdgePopupLinear(2, 3, 0.0, generator=seeded(), weight=signs).weight, signs
    )
    with pytest.raises(ValueError, match=r"weight must have shape \(3, 2\), got \(2, 3\)"):
        ep.EdgePopupLinear(2, 3, 0.0, generator=seeded(), weight=signs.T)


def test_kept_parameters_are_counted():
    dense = ep.feed_forward([6, 5, 4], lambda i, o: ep.DenseLinear(i, o, generator=seeded()))
    pruned = ep.feed_forward(
        [6, 5, 4], lambda i, o: ep.EdgePopupLinear(i, o, 0.5, generator=seeded())
    )
    gadget = ep.GadgetLinear(6, 4, 3, 0.9, relu=True, generator=seeded())
    assert ep.kept_parameters(dense) == 50
    assert ep.kept_parameters(pruned) == 25
    assert ep.kept_parameters(gadget) == (18 - 16) + (72 - 64)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="sizes must hold at least inputs and outputs"):
        ep.feed_forward([3], lambda i, o: torch.nn.Linear(i, o))
    with pytest.raises(ValueError, match="redundancy must be an integer of at least 1, got 0"):
        ep.GadgetLinear(2, 2, 0, 0.5, relu=True, generator=seeded())


def test_scores_learn_where_weights_do_not():
    digits = load_images("digits", normalization="standard").flat()

    def reached(epochs):
        def pruned(i, o):
            return ep.EdgePopupLinear(i, o, 0.5, generator=seeded(i), dtype=torch.float64)

        model = ep.feed_forward([64, 32, 10], pruned)
        options = {"epochs": epochs, "generator": seeded(7)}
        training.train_classifier(model, digits.x_train, digits.y_train, **options)
        return training.accuracy(model, digits.x_test, digits.y_test)

    assert reached(0) < 0.4
    assert reached(8) > 0.8
