"""What the chapter's page needs beside the algorithms: targets, measures, a widget.

Nothing else of the package imports this module.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from reprise.expressivity.edge_popup import feed_forward
from reprise.expressivity.norm_tuning.network import NormTunedNetwork, random_block, relu_network
from reprise.images import Images
from reprise.interactive import Slider, widget
from reprise.notebook import Picture
from reprise.runtime import torch_generator
from reprise.training import draw_default, dtype_of, one_thread, train_classifier


def trained_layers(
    images: Images, hidden: Sequence[int], seed: int, epochs: int = 12
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """A ReLU classifier with biases, trained on the images: layers of (W, b) in float64.

    Parameters
    ----------
    images : Images
    hidden : sequence of int
        Hidden widths.
    seed : int
    epochs : int
    """
    drawn = torch_generator(seed, "norm_tuning", "target")
    dtype = dtype_of(images.x_train)

    def layer(wide: int, narrow: int) -> nn.Linear:
        linear = nn.utils.skip_init(nn.Linear, wide, narrow, dtype=dtype)
        draw_default(linear, generator=drawn)
        return linear

    sizes = [images.pixels, *hidden, 10]
    model = feed_forward(sizes, layer)
    train_classifier(
        model,
        images.x_train,
        images.y_train,
        epochs=epochs,
        generator=torch_generator(seed, "norm_tuning", "target order"),
    )
    return [
        tuple(p.detach().numpy().astype(np.float64) for p in (part.weight, part.bias))
        for part in model
        if isinstance(part, nn.Linear)
    ]


def ball(radius: float, count: int, n: int, *, rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform points of the ball of a radius: float64 (count, n)."""
    points = rng.standard_normal((count, n))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return radius * points * rng.random((count, 1)) ** (1.0 / n)


def relative_error(
    net: NormTunedNetwork,
    layers: Sequence[tuple[NDArray, NDArray]],
    points: NDArray[np.float64],
) -> float:
    """Largest difference of outputs over the largest output of the target."""
    truth = relu_network(layers, points)
    return float(np.abs(net.forward(points) - truth).max() / np.abs(truth).max())


def redrawn(
    layers: Sequence[tuple[NDArray, NDArray]], factor: float, *, rng: np.random.Generator
) -> list[NDArray[np.float64]]:
    """The dense random weights that a generator gives, drawn once more and never tuned."""
    drawn: list[NDArray[np.float64]] = []
    for W, _ in layers:
        m, n = W.shape
        drawn += random_block(n, m, math.ceil(factor * m * n - 1e-9), rng=rng)
    return drawn


def changed_entries(model: nn.Module, other: nn.Module) -> set[str]:
    """Names in the state dictionaries that differ in any bit."""
    mine, theirs = model.state_dict(), other.state_dict()
    return {name for name in mine if not torch.equal(mine[name], theirs[name])}


def outputs(model: nn.Module, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a torch module makes of an array, in its own dtype; the result is float64."""
    dtype = next(model.parameters()).dtype
    with one_thread(), torch.no_grad():
        return model(torch.from_numpy(X).to(dtype)).to(torch.float64).numpy()


def neuron_explorer(scale: float = 1.0, shift: float = 0.2) -> Picture:
    """Two sliders, scale and shift of one neuron, and what is left of its ReLU.

    Parameters
    ----------
    scale, shift : float
        Where the sliders start, in [-2, 2].
    """
    return widget(
        "neuron",
        sliders=[
            Slider("scale", "scale", -2, 2, 0.05, scale),
            Slider("shift", "shift", -2, 2, 0.05, shift),
        ],
        size=(560, 230),
        data={"weight": 0.8},
        caption="One neuron with frozen weight 0.8, inputs from -1 to 1. Move its scale and its "
        "shift. Where the line is orange the ReLU is on, and the neuron is linear.",
        alt="A curve over the input from minus one to one: flat at zero where the ReLU is off, a "
        "sloped line where it is on.",
    )
