"""Edge-popup on random weights of one size: does the amplitude matter when pruning is learnt?

Weights are drawn as z ~ N(0, 1), and the amplitude says what is made of them: z itself, or its
sign, or a uniform number of the same variance. All are scaled alike, so that runs with the same
seed differ in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from reprise.expressivity.edge_popup import EdgePopupLinear, feed_forward
from reprise.runtime import generator, torch_generator

Amplitude = Literal["sign", "normal", "uniform", "one"]


class BinaryEdgePopupLinear(EdgePopupLinear):
    """An edge-popup layer whose frozen weights have a given amplitude.

    Parameters
    ----------
    in_features, out_features : int
    sparsity : float
        Fraction of weights removed, in [0, 1).
    amplitude : str
        "sign": +1 or -1; "normal": Gaussian; "uniform": of the same variance; "one": all +1, the
        control. Each times ``sqrt(2 / (in_features (1 - sparsity)))``, so that what is kept at
        random preserves the size of its input.
    seed : int
        Of weights and scores. The scores do not depend on the amplitude.
    dtype : torch.dtype

    Raises
    ------
    ValueError
        If the sparsity lies outside [0, 1) or the amplitude is unknown.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sparsity: float,
        amplitude: Amplitude,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not 0 <= sparsity < 1:
            raise ValueError(f"sparsity must lie in [0, 1), got {sparsity!r}")
        scale = math.sqrt(2.0 / (in_features * (1.0 - sparsity)))
        drawn = torch_generator(seed, "edge-popup", "weights")
        z = torch.randn(out_features, in_features, generator=drawn, dtype=dtype)
        super().__init__(
            in_features,
            out_features,
            sparsity,
            generator=torch_generator(seed, "edge-popup", "scores"),
            weight=scale * _shaped(z, amplitude),
            dtype=dtype,
        )


def popup_classifier(
    sizes: Sequence[int],
    sparsity: float,
    amplitude: Amplitude,
    *,
    seed: int,
    dtype: torch.dtype = torch.float32,
) -> nn.Sequential:
    """A ReLU network of such layers, without biases.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden widths, classes.
    sparsity, amplitude, seed, dtype
        As for `BinaryEdgePopupLinear`; each layer gets a seed of its own.

    Returns
    -------
    torch.nn.Sequential
    """
    seeds = iter(generator(seed, "edge-popup layers").integers(2**31, size=len(sizes)))

    def layer(wide: int, narrow: int) -> BinaryEdgePopupLinear:
        own = int(next(seeds))
        return BinaryEdgePopupLinear(wide, narrow, sparsity, amplitude, own, dtype)

    return feed_forward(sizes, layer)


def _shaped(z: Tensor, amplitude: Amplitude) -> Tensor:
    """Weights of variance 1 (or all 1) from normal numbers."""
    if amplitude == "sign":
        return torch.where(z < 0, -1.0, 1.0).to(z.dtype)
    if amplitude == "normal":
        return z
    if amplitude == "uniform":  # the distribution function makes normal numbers uniform
        return math.sqrt(3.0) * torch.erf(z / math.sqrt(2.0))
    if amplitude == "one":
        return torch.ones_like(z)
    raise ValueError(f"amplitude must be one of {get_args(Amplitude)}, got {amplitude!r}")
