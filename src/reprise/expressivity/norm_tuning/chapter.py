"""What the chapter's page needs beside the algorithms: checked parameters, targets, an explorer.

Nothing else of the package imports this module.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from reprise.expressivity import edge_popup
from reprise.expressivity.images import Images
from reprise.expressivity.norm_tuning.network import NormTunedNetwork, random_block, relu_network
from reprise.expressivity.norm_tuning.training import draw_default
from reprise.notebook import Picture
from reprise.plotting import COLORS
from reprise.runtime import check_integer, is_integer, torch_generator

PRECISIONS = ("float32", "float64")


def check_parameters(
    *,
    classifier_data: str,
    classifier_hidden: Sequence[int],
    sparse_density: float,
    width_factor: float,
    tight_d: Sequence[int],
    tight_draws: int,
    width_d: Sequence[int],
    few_draws: int,
    phase_d: Sequence[int],
    phase_trials: int,
    map_d: int,
    train_width: int,
    train_widths: Sequence[int],
    train_epochs: int,
    train_precision: str,
    published: str,
    cifar_densities: Sequence[float | str],
    cifar_model: str,
    cifar_epochs: int,
    cifar_train: int | None,
    descent_sizes: Sequence[Sequence[int]],
) -> None:
    """Refuse impossible parameters of the chapter before anything runs.

    Raises
    ------
    ValueError
        Naming the parameter, its value and what is allowed.
    """
    for name, value, least in (
        ("tight_draws", tight_draws, 10),
        ("few_draws", few_draws, 2),
        ("phase_trials", phase_trials, 8),
        ("map_d", map_d, 4),
        ("train_width", train_width, 1),
        ("train_epochs", train_epochs, 2),
        ("cifar_epochs", cifar_epochs, 1),
    ):
        check_integer(name, value, least)
    for name, values, count, least in (
        ("classifier_hidden", classifier_hidden, 1, 1),
        ("tight_d", tight_d, 1, 4),
        ("width_d", width_d, 2, 2),
        ("phase_d", phase_d, 1, 8),
        ("train_widths", train_widths, 2, 1),
    ):
        if len(values) < count or not all(is_integer(v) and v >= least for v in values):
            raise ValueError(
                f"{name} must hold at least {count} integers of at least {least}, "
                f"got {list(values)!r}"
            )
    for name, values in (("width_d", width_d), ("train_widths", train_widths)):
        if any(a >= b for a, b in pairwise(values)):
            raise ValueError(f"{name} must increase, got {list(values)!r}")
    if isinstance(width_factor, bool) or not 1 <= width_factor < math.inf:
        raise ValueError(f"width_factor must be a number of at least 1, got {width_factor!r}")
    if isinstance(sparse_density, bool) or not 0 < sparse_density <= 1:
        raise ValueError(f"sparse_density must be in (0, 1], got {sparse_density!r}")
    for name, value, allowed in (
        ("classifier_data", classifier_data, ("digits", "mnist")),
        ("train_precision", train_precision, PRECISIONS),
        ("published", published, ("curves", "table")),
        ("cifar_model", cifar_model, ("resnet34", "small")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    for value in cifar_densities:
        if value != "all" and not (isinstance(value, int | float) and 0 < value <= 1):
            raise ValueError(f"cifar_densities must hold 'all' or numbers in (0, 1], got {value!r}")
    if cifar_train is not None and (
        not is_integer(cifar_train) or not 128 <= cifar_train <= 50_000
    ):
        raise ValueError(
            f"cifar_train must be None or an integer from 128 to 50000, got {cifar_train!r}"
        )
    for pair in descent_sizes:
        if (
            len(pair) != 2
            or not all(is_integer(v) for v in pair)
            or not 1 <= pair[0] ** 2 <= pair[1]
        ):
            raise ValueError(
                f"descent_sizes must hold pairs d, k with k at least d squared, got {pair!r}"
            )
    if not len(descent_sizes):
        raise ValueError("descent_sizes must hold at least one pair, got none")


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
    dtype = edge_popup.dtype_of(images.x_train)

    def layer(wide: int, narrow: int) -> nn.Linear:
        linear = nn.utils.skip_init(nn.Linear, wide, narrow, dtype=dtype)
        draw_default(linear, drawn)
        return linear

    sizes = [images.pixels, *hidden, 10]
    model = edge_popup.feed_forward(sizes, layer)
    edge_popup.train_classifier(
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


def ball(radius: float, count: int, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
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
    layers: Sequence[tuple[NDArray, NDArray]], factor: float, rng: np.random.Generator
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
    with edge_popup.one_thread(), torch.no_grad():
        return model(torch.from_numpy(X).to(dtype)).to(torch.float64).numpy()


def neuron_explorer(gamma: float = 1.0, beta: float = 0.2) -> Picture:
    """Two sliders, scale and shift of one neuron, and what is left of its ReLU: JavaScript.

    Parameters
    ----------
    gamma, beta : float
        Where the sliders start.

    Returns
    -------
    Picture
    """
    caption = (
        "One neuron with frozen weight 0.8, inputs from -1 to 1. Move its scale and its shift. "
        "Where the line is orange the ReLU is on, and the neuron is linear."
    )
    alt = (
        "A curve over the input from minus one to one: flat at zero where the ReLU is off, a "
        "sloped line where it is on."
    )
    return Picture(
        f'<figure class="reprise-figure" data-on="{COLORS["orange"]}" '
        f'data-off="{COLORS["grey"]}" style="margin:1em 0">'
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 560 230" '
        'style="width:100%;max-width:640px" font-size="12" fill="currentColor"></svg>'
        '<div style="display:flex;flex-wrap:wrap;gap:.3em 1.5em;justify-content:center">'
        f'<label>scale <input type="range" min="-2" max="2" step="0.05" value="{gamma}" '
        'aria-label="scale"></label>'
        f'<label>shift <input type="range" min="-2" max="2" step="0.05" value="{beta}" '
        'aria-label="shift"></label></div><output aria-live="polite"></output>'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"<script>{_EXPLORER_SCRIPT}</script></figure>",
        caption,
    )


_EXPLORER_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, {on, off} = root.dataset;
  const svg = root.querySelector('svg'), output = root.querySelector('output');
  const [scale, shift] = root.querySelectorAll('input'), w = 0.8;
  const X = x => 280 + 230 * x, Y = y => 190 - 48 * y;
  const draw = () => {
    const g = +scale.value, c = +shift.value, slope = g * w, parts = [];
    const line = (x0, y0, x1, y1, color, width) => parts.push(
      `<line x1="${X(x0)}" y1="${Y(y0)}" x2="${X(x1)}" y2="${Y(y1)}" stroke="${color}" ` +
      `stroke-width="${width}" stroke-linecap="round"/>`);
    line(-1, 0, 1, 0, 'currentColor', .6);
    line(0, -.3, 0, 3.8, 'currentColor', .6);
    const kink = slope === 0 ? null : -c / slope;
    const edges = [-1, ...(kink !== null && kink > -1 && kink < 1 ? [kink] : []), 1];
    let share = 0;
    for (let i = 0; i + 1 < edges.length; i++) {
      const a = edges[i], b = edges[i + 1], live = slope * (a + b) / 2 + c > 0;
      const value = x => live ? Math.max(0, slope * x + c) : 0;
      line(a, value(a), b, value(b), live ? on : off, 4);
      if (live) share += (b - a) / 2;
    }
    for (const x of [-1, 0, 1])
      parts.push(`<text x="${X(x)}" y="${Y(0) + 18}" text-anchor="middle">${x}</text>`);
    parts.push(`<text x="${X(0)}" y="226" text-anchor="middle">input x</text>`);
    parts.push(`<text x="${X(0) + 8}" y="14">relu(scale * 0.8 x + shift)</text>`);
    svg.innerHTML = parts.join('');
    const needed = Math.abs(slope);
    output.textContent = `on for ${Math.round(100 * share)}% of the inputs; a shift of ` +
      `|scale| * 0.8 = ${needed.toFixed(2)} keeps it on for all`;
  };
  scale.addEventListener('input', draw);
  shift.addEventListener('input', draw);
  draw();
})();
"""
