"""The authors' stored results: test accuracies of ResNet-34 on CIFAR-10, by density and epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reprise.data import load

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
