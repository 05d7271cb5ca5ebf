"""Pictures as arrays: what networks are trained and tested on.

Every set comes as (images, channels, height, width), standardised, if wanted, by what is known of
its training images alone. MNIST and CIFAR-10 come with their own test sets. scikit-learn's
``digits``, the embedded stand-in for both, does not: every fifth image of it is held out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from reprise.data import Record, load

Normalization = Literal["unit", "standard"]

SETS = ("digits", "mnist", "cifar10")
STATISTICS = {
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}
"""Mean and standard deviation of the training pixels in [0, 1], channel by channel, as everybody
rounds them."""


@dataclass(frozen=True)
class Images:
    """Training and test images.

    Attributes
    ----------
    x_train, x_test : float32 or float64 (images, channels, height, width), or (images, pixels)
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
    def channels(self) -> int:
        """1 for digits, 3 for colour."""
        return self.x_train.shape[1]

    @property
    def pixels(self) -> int:
        """Inputs of a network that reads whole images."""
        return int(np.prod(self.x_train.shape[1:]))

    def flat(self) -> Images:
        """The same with an image as a row: (images, pixels)."""
        rows = (x.reshape(len(x), -1) for x in (self.x_train, self.x_test))
        return replace(self, **dict(zip(("x_train", "x_test"), rows, strict=True)))


def load_images(
    name: str,
    *,
    normalization: Normalization = "unit",
    train: int | None = None,
    test: int | None = None,
    dtype: DTypeLike | None = None,
) -> Images:
    """Load a set; where it cannot be had, the embedded digits, and the record says so.

    Parameters
    ----------
    name : str
        "digits" (1 x 8 x 8), "mnist" (1 x 28 x 28) or "cifar10" (3 x 32 x 32).
    normalization : str
        "unit": pixels in [0, 1]. "standard": then minus the mean, over the standard deviation, of
        the whole training set, channel by channel (for MNIST and CIFAR-10 the rounded constants).
    train, test : int, optional
        Keep only the first ones; by default all. Where digits stand in for a larger set, a number
        beyond theirs means all.
    dtype : numpy dtype, optional
        By default float64 for digits, so that a training ends with the same accuracies on any CPU,
        and float32 for the others, for speed.

    Returns
    -------
    Images

    Raises
    ------
    ValueError
        If the name or the normalisation is unknown, or ``train`` or ``test`` is not from 1 to the
        number of images.
    """
    if name not in SETS:
        raise ValueError(f"name must be one of {', '.join(SETS)}, got {name!r}")
    if normalization not in ("unit", "standard"):
        raise ValueError(f"normalization must be 'unit' or 'standard', got {normalization!r}")
    loaded = load(name, fallback="digits")
    x_train, y_train, x_test, y_test = _splits(loaded.record.name, loaded.arrays)
    if normalization == "standard":
        mean, deviation = _statistics(loaded.record.name, x_train)
        x_train, x_test = ((x - mean) / deviation for x in (x_train, x_test))
    counts = []
    for label, count, labels in (("train", train, y_train), ("test", test, y_test)):
        most = len(labels)
        if loaded.record.fallback_for and count is not None:
            count = min(count, most)
        if count is not None and not 1 <= count <= most:
            raise ValueError(f"{label} must be from 1 to {most}, got {count!r}")
        counts.append(count)
    x = [
        np.ascontiguousarray(x[:count], dtype=dtype or x.dtype)
        for x, count in zip((x_train, x_test), counts, strict=True)
    ]
    return Images(x[0], y_train[: counts[0]], x[1], y_test[: counts[1]], loaded.record)


def _splits(name, arrays):
    """Training and test images in [0, 1], channels first, with int64 labels."""
    if name == "digits":
        x, y = arrays["images"][:, None] / 16.0, arrays["labels"].astype(np.int64)
        test = np.arange(len(x)) % 5 == 4
        return x[~test], y[~test], x[test], y[test]
    x = [_unit(arrays[key]) for key in ("x_train", "x_test")]
    y = [arrays[key].astype(np.int64) for key in ("y_train", "y_test")]
    return x[0], y[0], x[1], y[1]


def _unit(pixels):
    """Bytes, with channels last or none, as float32 in [0, 1] with channels first."""
    x = pixels / np.float32(255)
    return x[:, None] if x.ndim == 3 else np.ascontiguousarray(np.moveaxis(x, 3, 1))


def _statistics(name, x_train):
    """Mean and standard deviation of each channel, to be broadcast over images."""
    if name in STATISTICS:
        return (np.float32(v)[:, None, None] for v in STATISTICS[name])
    axes = (0, 2, 3)
    return (f(axis=axes, keepdims=True)[0] for f in (x_train.mean, x_train.std))
