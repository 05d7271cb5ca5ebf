"""The training loop against torch's own optimisers, schedules and layers."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from reprise import training
from reprise.images import load_images


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def few():
    return load_images("digits", normalization="standard", train=160, test=60)


def small_network(seed=0):
    """A convolution, a normalisation and a linear layer, in float64."""
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 10)
    ).double()
    training.draw_default(model, generator=seeded(seed))
    return model


def trained(model, few, **options):
    options = {"epochs": 3, "generator": seeded(5), **options}
    return training.train_classifier(model, few.x_train, few.y_train, **options)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("cosine", ["step", "epoch"])
def test_training_is_plain_sgd_with_a_cosine(few, cosine, drop_last):
    """Against a loop of torch's own optimiser and scheduler."""
    model = small_network()
    other = copy.deepcopy(model)
    test = few.x_test, few.y_test
    history = trained(model, few, test=test, cosine=cosine, drop_last=drop_last)
    order, x, y = seeded(5), torch.from_numpy(few.x_train), torch.from_numpy(few.y_train)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    ends = 3 * (1 if cosine == "epoch" else 2 if drop_last else 3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ends)
    for epoch in range(3):
        other.train()
        rows, seen = [], 128 if drop_last else 160
        for at in torch.randperm(160, generator=order)[:seen].split(64):
            outputs = other(x[at])
            loss = nn.functional.cross_entropy(outputs, y[at])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if cosine == "step":
                schedule.step()
            right = int((outputs.argmax(1) == y[at]).sum())
            rows.append((float(loss.detach()) * len(at), right))
        if cosine == "epoch":
            schedule.step()
        loss, right = np.sum(rows, axis=0) / seen
        assert history.loss[epoch] == pytest.approx(loss, rel=1e-6)
        assert history.train_acc[epoch] == pytest.approx(right)
        other.eval()
        with torch.no_grad():
            right = (other(torch.from_numpy(few.x_test)).argmax(1).numpy() == few.y_test).mean()
        assert history.test_acc[epoch] == pytest.approx(right)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert (history.seconds > 0).all()


def test_training_learns_and_repeats_itself(few):
    models = [small_network(1) for _ in range(2)]
    first, second = (trained(model, few, epochs=10) for model in models)
    np.testing.assert_array_equal(first.loss, second.loss)
    assert first.loss[-1] < 0.3 * first.loss[0]
    assert first.train_acc[-1] > 0.9 > 0.5 > first.train_acc[0]
    assert np.isnan(first.test_acc).all()
    assert training.accuracy(models[0], few.x_test, few.y_test) > 0.7


def test_no_epochs_leave_the_network_as_it_is(few):
    model = small_network()
    before = copy.deepcopy(model.state_dict())
    assert trained(model, few, epochs=0).loss.shape == (0,)
    assert all(torch.equal(before[name], v) for name, v in model.state_dict().items())


def test_batches_are_changed_by_the_augmentation(few):
    shown = []

    def negative(x, generator):
        shown.append(x)
        return -x

    turned = trained(small_network(), few, augment=negative)
    assert [len(x) for x in shown[:3]] == [64, 64, 32]
    plain = small_network()
    mirrored = training.train_classifier(
        plain, -few.x_train, few.y_train, epochs=3, generator=seeded(5)
    )
    np.testing.assert_allclose(turned.loss, mirrored.loss)


def test_outputs_are_those_of_evaluation_mode_in_any_batches(few):
    model = small_network()
    trained(model, few, epochs=1)
    model.train()
    whole = training.logits(model, few.x_test)
    np.testing.assert_allclose(training.logits(model, few.x_test, batch_size=7), whole)
    with torch.no_grad():
        np.testing.assert_allclose(whole, model.eval()(torch.from_numpy(few.x_test)))
    right = np.mean(whole.argmax(1) == few.y_test)
    assert training.accuracy(model, few.x_test, few.y_test) == right
    assert training.dtype_of(few.x_test) == torch.float64


def test_impossible_trainings_are_refused(few):
    layer = nn.Linear(2, 2)
    x, y = np.ones((3, 2), "f4"), [0, 1, 1]
    for change, text in (
        ({"labels": [0, 1]}, "inputs and labels disagree: 3 and 2"),
        ({"epochs": -1}, "epochs must be an integer of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 4, "drop_last": True}, "batch_size must be at most 3, got 4"),
    ):
        options = {"inputs": x, "labels": y, "epochs": 1, "generator": seeded(), **change}
        with pytest.raises(ValueError, match=text):
            training.train_classifier(layer, **options)


def test_augmentation_crops_and_flips():
    x = torch.arange(1.0, 2 * 8 * 8 * 100 + 1).reshape(100, 2, 8, 8)
    shown = training.crop_and_flip(x, seeded())
    assert shown.shape == x.shape
    padded, turned = nn.functional.pad(x, (4,) * 4), 0
    hits = torch.zeros(2, 100, dtype=bool)  # without and with a flip
    for i in range(9):
        for j in range(9):
            window = padded[:, :, i : i + 8, j : j + 8]
            for flip, candidate in enumerate((window, window.flip(3))):
                hits[flip] |= (candidate == shown).flatten(1).all(dim=1)
    assert hits.any(dim=0).all()
    turned = int(hits[1].sum())
    assert 30 < turned < 70


def test_default_draw_has_torchs_law():
    mine, theirs = (nn.Sequential(nn.Conv2d(3, 40, 5), nn.Linear(50, 60)) for _ in range(2))
    training.draw_default(mine, generator=seeded())
    for a, b in zip(mine, theirs, strict=True):
        bound = 1 / math.sqrt(a.weight[0].numel())
        for part in ("weight", "bias"):
            drawn, default = (getattr(layer, part).detach() for layer in (a, b))
            assert max(float(v.abs().max()) for v in (drawn, default)) <= bound * (1 + 1e-6)
        assert float(a.weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    again = copy.deepcopy(mine)
    training.draw_default(again, generator=seeded())
    assert torch.equal(again[0].weight, mine[0].weight)


def test_jobs_in_threads_keep_their_order_and_results(few):
    def job(seed):
        return lambda: trained(small_network(seed), few, epochs=1).loss[0]

    before = torch.get_num_threads()
    alone = [job(seed)() for seed in range(3)]
    assert training.in_threads([job(seed) for seed in range(3)], threads=3) == alone
    assert torch.get_num_threads() == before


# each network is trained on pictures of few channels, whose shortcut has a stride
STRIDED = """
import numpy as np
import torch
from torch import nn
from reprise.training import train_classifier

rng = np.random.default_rng(0)
for channels in range(1, 9):
    x = rng.standard_normal((64, channels, 8, 8)).astype(np.float32)
    model = nn.Sequential(
        nn.Conv2d(channels, 8, 1, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(128, 10)
    )
    losses = train_classifier(
        model, x, rng.integers(0, 10, 64), epochs=3, batch_size=16,
        generator=torch.Generator().manual_seed(0),
    ).loss
    assert losses[-1] < losses[0], losses
print("ends well")
"""


def test_a_strided_convolution_of_one_pixel_does_not_corrupt_memory():
    """In a process of its own, since it could end in an abort.

    The broken kernel is oneDNN's for AVX2; processors that have more are asked to use it, too.
    Channels last would end in "corrupted double-linked list" or the like.
    """
    found = subprocess.run(
        [sys.executable, "-c", STRIDED],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stdout) == (0, "ends well\n"), found.stderr


def test_pictures_lie_as_is_fastest_where_it_is_safe():
    x = torch.zeros(2, 3, 4, 4)
    for layer, last in (
        (nn.Conv2d(3, 5, 3, stride=2), True),
        (nn.Conv2d(3, 5, 1, stride=2), False),
    ):
        model = nn.Sequential(layer)
        laid = training._fastest_layout(model, x)
        assert laid.is_contiguous(memory_format=torch.channels_last) == last
    assert training._fastest_layout(nn.Linear(3, 2), torch.zeros(2, 3)).shape == (2, 3)
