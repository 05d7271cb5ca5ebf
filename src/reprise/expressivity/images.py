"""Digit images as rows of floats: what the part's networks are trained and tested on.

MNIST comes with its own test set. scikit-learn's ``digits``, the embedded stand-in, does not: every
fifth image of it is held out. Small data is float64, so that a training run ends with the same
accuracies on any CPU; MNIST is float32, for speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reprise.data import Record, load

Normalization = Literal["unit", "standard"]

MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081
"""Mean and standard deviation of MNIST's training pixels in [0, 1], as everybody rounds them."""


@dataclass(frozen=True)
class Images:
    """Training and test images, flattened.

    Attributes
    ----------
    x_train, x_test : float32 or float64 (images, pixels)
    y_train, y_test : int64 (images,)
        Classes 0 to 9.
    record : Record
        Where the data came from; ``fallback_for`` is set where it stands in for another set.
    """

    x_train: NDArray
    y_train: NDArray[np.int64]
    x_test: NDArray
    y_test: NDArray[np.int64]
    record: Record

    @property
    def pixels(self) -> int:
        """Inputs of a network for these images."""
        return self.x_train.shape[1]


def load_images(
    name: str, *, normalization: Normalization = "unit", train: int | None = None
) -> Images:
    """Load digit images; where MNIST cannot be had, the embedded digits, and the record says so.

    Parameters
    ----------
    name : str
        "mnist" (784 pixels) or "digits" (64 pixels).
    normalization : str
        "unit": pixels in [0, 1]. "standard": then minus the mean, over the standard deviation, of
        the whole training set (for MNIST the rounded constants).
    train : int, optional
        Keep only the first ``train`` training images; by default all.

    Returns
    -------
    Images
        float32 for MNIST, float64 for digits.

    Raises
    ------
    ValueError
        If the name or the normalisation is unknown, or ``train`` is not from 1 to the number of
        training images.
    reprise.data.DataUnavailableError
        Never for the two names, as digits are embedded.
    """
    if name not in ("mnist", "digits"):
        raise ValueError(f"name must be 'mnist' or 'digits', got {name!r}")
    if normalization not in ("unit", "standard"):
        raise ValueError(f"normalization must be 'unit' or 'standard', got {normalization!r}")
    loaded = load(name, fallback="digits")
    read = _digits if loaded.record.name == "digits" else _mnist
    x_train, y_train, x_test, y_test, mean, deviation = read(loaded.arrays)
    if normalization == "standard":
        x_train, x_test = (x_train - mean) / deviation, (x_test - mean) / deviation
    count = len(x_train) if train is None else train
    if not 1 <= count <= len(x_train):
        raise ValueError(f"train must be from 1 to {len(x_train)}, got {train}")
    return Images(x_train[:count], y_train[:count], x_test, y_test, loaded.record)


def _mnist(arrays):
    """The set's own split, pixels in [0, 1], and the usual constants."""
    x = [
        (arrays[key].reshape(len(arrays[key]), -1) / np.float32(255)).astype(np.float32)
        for key in ("x_train", "x_test")
    ]
    y = [arrays[key].astype(np.int64) for key in ("y_train", "y_test")]
    return x[0], y[0], x[1], y[1], np.float32(MNIST_MEAN), np.float32(MNIST_DEVIATION)


def _digits(arrays):
    """Every fifth image for the test; pixels in [0, 1]; one mean and deviation for all pixels."""
    x, y = arrays["features"].astype(np.float64) / 16.0, arrays["labels"].astype(np.int64)
    test = np.arange(len(x)) % 5 == 4
    return x[~test], y[~test], x[test], y[test], x[~test].mean(), x[~test].std()
