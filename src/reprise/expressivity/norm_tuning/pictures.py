"""Pictures with their channels for the training experiment, and the authors' stored curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from reprise.data import Record, load

CIFAR_MEANS = (0.4914, 0.4822, 0.4465)
CIFAR_DEVIATIONS = (0.2023, 0.1994, 0.2010)
"""Of CIFAR-10's training pixels in [0, 1], channel by channel, as the authors' code has them."""
DIGITS_TRAINING = 1437

DENSITIES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.005, 0.001, 0.0001)
"""Shares of weights kept in the authors' runs with only normalisations trained."""
STORED_EPOCHS = (1, 10, 25, 50, 75, 100)
STORED: dict[float | str, tuple[float, ...]] = {
    "all": (0.3279, 0.7280, 0.7795, 0.8526, 0.9222, 0.9492),
    1.0: (0.2616, 0.4945, 0.5611, 0.5845, 0.5701, 0.6524),
    0.5: (0.2206, 0.5062, 0.5167, 0.5298, 0.6107, 0.6460),
    0.25: (0.1956, 0.4599, 0.3794, 0.5352, 0.5941, 0.6264),
    0.1: (0.1641, 0.4305, 0.4712, 0.5389, 0.5858, 0.6155),
    0.03: (0.1394, 0.3085, 0.3910, 0.4960, 0.5265, 0.5662),
    0.01: (0.1000, 0.2873, 0.3189, 0.3667, 0.3812, 0.3954),
    0.005: (0.1049, 0.2536, 0.2760, 0.3571, 0.3478, 0.4190),
    0.001: (0.1083, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000),
    0.0001: (0.1000, 0.1000, 0.1000, 0.1000, 0.1000, 0.1000),
}
"""Test accuracy after some epochs in the authors' stored results (ResNet-34, CIFAR-10, one run
each), by density; "all" is the run that trains everything and prunes nothing."""


@dataclass(frozen=True)
class Pictures:
    """Training and test pictures, standardised.

    Attributes
    ----------
    x_train, x_test : float (pictures, channels, h, w)
    y_train, y_test : int64 (pictures,)
    record : Record
        Where they came from; ``fallback_for`` is set where they stand in for another set.
    """

    x_train: NDArray
    y_train: NDArray[np.int64]
    x_test: NDArray
    y_test: NDArray[np.int64]
    record: Record

    @property
    def channels(self) -> int:
        """1 for digits, 3 for colour."""
        return self.x_train.shape[1]


def load_pictures(
    name: str, *, train: int | None = None, test: int | None = None, dtype: DTypeLike = np.float32
) -> Pictures:
    """Load pictures; where CIFAR-10 cannot be had, the embedded digits, and the record says so.

    Digits: 1437 for training and 360 for the test by one fixed permutation, minus the mean and over
    the standard deviation of all pixels. CIFAR-10: its own split, channel by channel.

    Parameters
    ----------
    name : str
        "digits" or "cifar10".
    train, test : int, optional
        Keep only the first ones; by default all.
    dtype : numpy dtype
        float32 or float64.

    Returns
    -------
    Pictures

    Raises
    ------
    ValueError
        If the name is unknown or a count impossible.
    """
    if name not in ("digits", "cifar10"):
        raise ValueError(f"name must be 'digits' or 'cifar10', got {name!r}")
    loaded = load(name, fallback="digits")
    read = _digits if loaded.record.name == "digits" else _cifar
    x_train, y_train, x_test, y_test = read(loaded.arrays)
    for label, count, most in (("train", train, len(x_train)), ("test", test, len(x_test))):
        if count is not None and not 1 <= count <= most:
            raise ValueError(f"{label} must be from 1 to {most}, got {count!r}")
    x = [np.ascontiguousarray(a, dtype=dtype) for a in (x_train[:train], x_test[:test])]
    y = [a.astype(np.int64) for a in (y_train[:train], y_test[:test])]
    return Pictures(x[0], y[0], x[1], y[1], loaded.record)


def stored_curves() -> dict[float | str, NDArray[np.float64]]:
    """Test accuracy of all 100 epochs of the authors' runs, by density, "all" first.

    Raises
    ------
    reprise.data.DataUnavailableError
        If the files are not on this machine and cannot be downloaded.
    """
    return {
        "all" if key == "all" else float(key): values[:, 2]
        for key, values in load("norm_tuning_curves").arrays.items()
    }


def _digits(arrays):
    """Shuffle once, split, standardise by the whole set's mean and deviation."""
    order = np.random.default_rng(0).permutation(len(arrays["labels"]))
    x = arrays["images"][order, None].astype(np.float64)
    x = (x - x.mean()) / x.std()
    y = arrays["labels"][order]
    at = DIGITS_TRAINING
    return x[:at], y[:at], x[at:], y[at:]


def _cifar(arrays):
    """Channels first, standardised."""
    mean, deviation = np.float32(CIFAR_MEANS), np.float32(CIFAR_DEVIATIONS)

    def ready(x):
        return np.moveaxis((x.astype(np.float32) / 255 - mean) / deviation, 3, 1)

    return ready(arrays["x_train"]), arrays["y_train"], ready(arrays["x_test"]), arrays["y_test"]
