"""Experiment 2: pruning by search, on the structure in which the construction lives.

The layers and their masks are those of `reprise.expressivity.edge_popup`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from reprise.expressivity.edge_popup import (
    DenseLinear,
    EdgePopupLinear,
    GadgetLinear,
    feed_forward,
    kept_parameters,
)
from reprise.images import Images
from reprise.runtime import device as runtime_device
from reprise.runtime import torch_generator
from reprise.training import accuracy, dtype_of, train_classifier

Structure = Literal["dense", "wide", "linear", "relu"]

ARCHITECTURES = ("two_layer", "four_layer", "lenet5")


def equal_sizes(sizes: Sequence[int], redundancy: int) -> list[int]:
    """Sizes of an ordinary network with as many parameters as the gadget network of given sizes.

    A gadget layer has ``redundancy * in * (out + 1)`` parameters. The hidden widths are scaled by a
    common factor and rounded.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden widths, outputs; at least one hidden width.
    redundancy : int

    Returns
    -------
    list of int
    """
    wanted = sum(redundancy * a * (b + 1) for a, b in itertools.pairwise(sizes))
    outer = sizes[0] * sizes[1] + sizes[-2] * sizes[-1]
    inner = sum(a * b for a, b in itertools.pairwise(sizes[1:-1]))
    # outer f + inner f^2 = wanted
    root = math.sqrt(outer * outer + 4 * inner * wanted)
    factor = 2 * wanted / (outer + root)
    return [sizes[0], *(round(factor * h) for h in sizes[1:-1]), sizes[-1]]


def popup_network(
    structure: Structure,
    sizes: Sequence[int],
    sparsity: float,
    *,
    redundancy: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """One of the networks of Experiment 2.

    Parameters
    ----------
    structure : str
        "dense": trained, not pruned, the baseline. "linear", "relu": gadget layers. "wide":
        ordinary layers, pruned, with as many parameters as the gadget network.
    sizes : sequence of int
        Inputs, hidden widths, outputs.
    sparsity : float
        Fraction removed of every layer, in [0, 1]; without effect on "dense".
    redundancy : int
        Random factors an input of the gadget.
    generator : torch.Generator
    dtype : torch.dtype

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If the structure is unknown or a number out of its range.
    """
    options = {"generator": generator, "dtype": dtype}
    if structure == "dense":
        return feed_forward(sizes, partial(DenseLinear, **options))
    if structure == "wide":
        wide = equal_sizes(sizes, redundancy)
        return feed_forward(wide, partial(EdgePopupLinear, sparsity=sparsity, **options))
    if structure not in ("linear", "relu"):
        raise ValueError(f"structure must be dense, wide, linear or relu, got {structure!r}")
    options |= {"redundancy": redundancy, "sparsity": sparsity, "relu": structure == "relu"}
    return feed_forward(sizes, partial(GadgetLinear, **options))


@dataclass(frozen=True)
class PopupRun:
    """A network of Experiment 2, trained.

    Attributes
    ----------
    structure : str
    sparsity : float
    kept : int
        Parameters that the network keeps, convolutions not counted.
    accuracy : float
        Percent of the test set.
    """

    structure: Structure
    sparsity: float
    kept: int
    accuracy: float


def popup_sizes(architecture: str, pixels: int, hidden: int) -> list[int]:
    """Sizes of the pruned, fully connected part of an architecture.

    Parameters
    ----------
    architecture : str
        "two_layer", "four_layer" or "lenet5", whose part behind the convolutions has fixed sizes.
    pixels, hidden : int

    Raises
    ------
    ValueError
        If the architecture is unknown, or "lenet5" is to read images that are not 28 by 28.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}"
        )
    if architecture == "lenet5":
        if pixels != 784:
            raise ValueError(f"lenet5 needs images of 784 pixels, got {pixels}")
        return [400, 120, 84, 10]
    return [pixels, *[hidden] * (1 if architecture == "two_layer" else 3), 10]


def lenet_front(*, generator: torch.Generator, dtype: torch.dtype) -> nn.Sequential:
    """The convolutions of LeNet-5 without biases: (batch, 784) -> (batch, 400)."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 28, 28))]
    for entering, leaving, padding in ((1, 6, 2), (6, 16, 0)):
        layer = nn.Conv2d(entering, leaving, 5, padding=padding, bias=False, dtype=dtype)
        weight = torch.randn(layer.weight.shape, generator=generator, dtype=dtype)
        layer.weight = nn.Parameter(weight * math.sqrt(2.0 / (25 * entering)))
        layers += [layer, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


def popup_run(
    images: Images,
    structure: Structure,
    sparsity: float,
    *,
    hidden: int,
    redundancy: int,
    epochs: int,
    seed: int,
    architecture: str = "two_layer",
    device: str = "cpu",
) -> PopupRun:
    """Train one network of Experiment 2 and test it.

    SGD with momentum 0.9, weight decay 5e-4, cosine to 0, batches of 64, learning rate 0.1 (0.01
    for LeNet-5). The convolutions of LeNet-5 learn only in the dense baseline; else they stay
    random, and only what follows them is pruned.

    Parameters
    ----------
    images : Images
        Its dtype is the network's.
    structure, sparsity, redundancy
        As for `popup_network`.
    hidden, architecture
        As for `popup_sizes`.
    epochs, seed : int
    device : str
        As for `reprise.runtime.device`.

    Returns
    -------
    PopupRun

    Raises
    ------
    ValueError
        If the structure or the architecture is unknown or a number out of its range.
    """
    dtype = dtype_of(images.x_train)
    generator = torch_generator(seed, "popup", architecture, structure, f"{sparsity:g}")
    sizes = popup_sizes(architecture, images.pixels, hidden)
    model = popup_network(
        structure, sizes, sparsity, redundancy=redundancy, generator=generator, dtype=dtype
    )
    kept = kept_parameters(model)
    if architecture == "lenet5":
        front = lenet_front(generator=generator, dtype=dtype)
        front.requires_grad_(structure == "dense")
        model = nn.Sequential(front, *model)
    model.to(runtime_device(device))
    rate = 0.01 if architecture == "lenet5" else 0.1
    options = {"epochs": epochs, "generator": generator, "learning_rate": rate}
    train_classifier(model, images.x_train, images.y_train, **options)
    percent = 100.0 * accuracy(model, images.x_test, images.y_test)
    return PopupRun(structure, sparsity, kept, percent)
