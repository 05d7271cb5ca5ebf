"""Pictures: splits, scales, and what stands in for what."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from reprise import data, images
from reprise.images import load_images


def stored(monkeypatch, name, arrays):
    """Have `load` find these arrays."""
    loaded = SimpleNamespace(arrays=arrays, record=SimpleNamespace(name=name, fallback_for=None))
    monkeypatch.setattr(images, "load", lambda *_, **__: loaded)


def test_digits_are_split_and_scaled():
    unit = load_images("digits")
    assert unit.x_train.shape == (1438, 1, 8, 8)
    assert unit.x_test.shape == (359, 1, 8, 8)
    assert (unit.pixels, unit.channels) == (64, 1)
    assert unit.x_train.dtype == np.float64
    assert (unit.x_train.min(), unit.x_train.max()) == (0.0, 1.0)
    assert set(unit.y_test) == set(range(10))
    assert np.bincount(unit.y_test).min() > 20
    whole = data.load("digits").arrays["images"]
    np.testing.assert_array_equal(unit.x_test[:, 0], whole[4::5] / 16)


def test_digits_are_standardised_by_their_training_images():
    standard = load_images("digits", normalization="standard", train=100)
    assert len(standard.x_train) == 100
    unit = load_images("digits")
    mean, deviation = unit.x_train.mean(), unit.x_train.std()  # of all, however few are kept
    np.testing.assert_allclose(standard.x_train, (unit.x_train[:100] - mean) / deviation)
    np.testing.assert_allclose(standard.x_test, (unit.x_test - mean) / deviation)


def test_an_image_as_a_row():
    found = load_images("digits", test=7)
    flat = found.flat()
    assert (flat.x_train.shape, flat.x_test.shape, flat.pixels) == ((1438, 64), (7, 64), 64)
    np.testing.assert_array_equal(flat.x_test, found.x_test.reshape(7, -1))
    assert flat.record is found.record


def test_mnist_keeps_its_split_and_its_constants(monkeypatch):
    pixels = np.arange(6 * 784).reshape(6, 28, 28).astype(np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels[:2], "y_test": labels[:2]}
    stored(monkeypatch, "mnist", arrays)
    found = load_images("mnist", normalization="standard", train=5).flat()
    assert (found.x_train.shape, found.x_test.shape, found.pixels) == ((5, 784), (2, 784), 784)
    assert found.x_train.dtype == np.float32
    assert found.y_train.dtype == np.int64
    np.testing.assert_allclose(
        found.x_train, (pixels[:5].reshape(5, -1) / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6
    )
    assert load_images("mnist", dtype=np.float64).x_test.dtype == np.float64


def test_colour_pictures_are_standardised_by_channel(monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        f"{kind}_{split}": rng.integers(0, 10 if kind == "y" else 256, shape, np.uint8)
        for split, n in (("train", 6), ("test", 3))
        for kind, shape in (("x", (n, 32, 32, 3)), ("y", (n,)))
    }
    stored(monkeypatch, "cifar10", arrays)
    found = load_images("cifar10", normalization="standard")
    assert found.x_train.shape == (6, 3, 32, 32) and found.x_test.shape == (3, 3, 32, 32)
    assert (found.channels, found.pixels) == (3, 3072)
    expected = (arrays["x_train"][2, 5, 7, 1] / 255 - 0.4822) / 0.1994
    assert found.x_train[2, 1, 5, 7] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(found.y_train, arrays["y_train"])


def test_digits_stand_in_for_mnist_and_say_so(monkeypatch):
    loaded = data.load("digits")
    record = SimpleNamespace(name="digits", fallback_for="mnist")
    stand_in = SimpleNamespace(arrays=loaded.arrays, record=record)
    monkeypatch.setattr(images, "load", lambda *_, **__: stand_in)
    found = load_images("mnist", train=10_000, test=5)
    assert (found.pixels, len(found.x_train), len(found.x_test)) == (64, 1438, 5)
    assert found.record.fallback_for == "mnist"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: load_images("cifar"), "name must be one of digits, mnist, cifar10, got 'cifar'"),
        (lambda: load_images("digits", normalization="z"), "normalization must be 'unit' or"),
        (lambda: load_images("digits", train=0), "train must be from 1 to 1438, got 0"),
        (lambda: load_images("digits", train=1439), "train must be from 1 to 1438, got 1439"),
        (lambda: load_images("digits", test=360), "test must be from 1 to 359, got 360"),
    ],
)
def test_impossible_images_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
