"""Edge-popup: leave random weights as they are, and learn which of them to keep.

Every weight has a score. The forward pass keeps the weights whose scores are largest in absolute
value; the backward pass pretends that the mask were the scores themselves (straight through), so
that gradient descent moves scores, never weights. `EdgePopupLinear` prunes an ordinary layer,
`GadgetLinear` the two-factor layer in which the subset-sum construction lives. The training loop is
that of any classifier, `reprise.training`.

Ramanujan, Wortsman, Kembhavi, Farhadi, Rastegari, "What's hidden in a randomly weighted neural
network?", CVPR 2020.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from reprise.runtime import check_integer

# --- the mask -------------------------------------------------------------------------------------


def supermask(scores: Tensor, sparsity: float) -> Tensor:
    """Mask the weights of a layer by its scores, with a straight-through gradient.

    The ``floor(sparsity * count)`` scores that are smallest in absolute value are dropped; of equal
    ones, those that come first. The gradient of the mask is handed to ``|scores|`` unchanged, so
    that a loss L has ``dL/dscore = dL/dmask * sign(score)``.

    Parameters
    ----------
    scores : Tensor, any shape, floating point
    sparsity : float
        Fraction removed, in [0, 1].

    Returns
    -------
    Tensor
        Zeros and ones, in the shape and dtype of ``scores``.

    Raises
    ------
    ValueError
        If the sparsity lies outside [0, 1].
    """
    return _StraightThrough.apply(scores.abs(), check_sparsity(sparsity))


def check_sparsity(sparsity: float) -> float:
    """Return ``sparsity`` if it lies in [0, 1].

    Raises
    ------
    ValueError
        If it does not.
    """
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparsity must lie in [0, 1], got {sparsity}")
    return float(sparsity)


def dropped_count(count: int, sparsity: float) -> int:
    """``floor(sparsity * count)``, where 0.29 of 100 is 29 and not, by rounding, 28."""
    return math.floor(sparsity * count + 1e-9)


class _StraightThrough(torch.autograd.Function):
    """|scores| -> mask; backwards the identity."""

    @staticmethod
    def forward(context, magnitude: Tensor, sparsity: float) -> Tensor:
        return _keep_largest(
            magnitude, magnitude.numel() - dropped_count(magnitude.numel(), sparsity)
        )

    @staticmethod
    def backward(context, gradient: Tensor):
        return gradient, None


def _keep_largest(magnitude: Tensor, kept: int) -> Tensor:
    """Ones at the ``kept`` largest entries, zeros elsewhere."""
    dropped = magnitude.numel() - kept
    if dropped == 0:
        return torch.ones_like(magnitude)
    flat = magnitude.detach().reshape(-1)
    if flat.device.type == "cpu":  # numpy's vectorised selection takes a tenth of torch's time
        threshold = float(np.partition(flat.numpy(), dropped - 1)[dropped - 1])
    else:
        threshold = float(flat.kthvalue(dropped).values)
    mask = flat > threshold
    missing = kept - int(mask.sum())
    if missing:  # scores equal to the threshold share its fate by position
        mask[torch.nonzero(flat == threshold)[-missing:, 0]] = True
    return mask.to(magnitude.dtype).view_as(magnitude)


# --- layers ---------------------------------------------------------------------------------------


def kaiming_normal(
    out_features: int, in_features: int, *, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Normal weights of variance 2 / in_features: Tensor (out_features, in_features)."""
    weight = torch.randn(out_features, in_features, generator=generator, dtype=dtype)
    return weight * math.sqrt(2.0 / in_features)


def kaiming_uniform(
    out_features: int, in_features: int, *, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Uniform on [-1, 1] / sqrt(in_features), PyTorch's default (Kaiming with a = sqrt 5).

    Returns
    -------
    Tensor, shape (out_features, in_features)
    """
    drawn = torch.rand(out_features, in_features, generator=generator, dtype=dtype)
    return (2.0 * drawn - 1.0) / math.sqrt(in_features)


class DenseLinear(nn.Module):
    """An ordinary layer without bias, trained: the baseline.

    Parameters
    ----------
    in_features, out_features : int
    generator : torch.Generator
        Draws the weights, by PyTorch's default.
    dtype : torch.dtype
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            kaiming_uniform(out_features, in_features, generator=generator, dtype=dtype)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in) -> (batch, out)."""
        return x @ self.weight.T


class EdgePopupLinear(nn.Module):
    """A layer of frozen random weights, of which the learnt scores keep a fraction.

    Parameters
    ----------
    in_features, out_features : int
    sparsity : float
        Fraction of weights removed, in [0, 1].
    generator : torch.Generator
        Draws the weights first, then the scores.
    weight : Tensor (out_features, in_features), optional
        Frozen weights to use instead; by default Kaiming normal. Scores do not depend on it only if
        it was drawn from another generator.
    dtype : torch.dtype
        Of weights drawn here, and of the scores.

    Raises
    ------
    ValueError
        If the sparsity lies outside [0, 1] or the given weights have another shape.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        sparsity: float,
        *,
        generator: torch.Generator,
        weight: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.sparsity = check_sparsity(sparsity)
        if weight is None:
            weight = kaiming_normal(out_features, in_features, generator=generator, dtype=dtype)
        if weight.shape != (out_features, in_features):
            raise ValueError(
                f"weight must have shape {(out_features, in_features)}, got {tuple(weight.shape)}"
            )
        self.register_buffer("weight", weight)
        scores = kaiming_uniform(out_features, in_features, generator=generator, dtype=dtype)
        self.scores = nn.Parameter(scores)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in) -> (batch, out)."""
        return x @ (self.weight * supermask(self.scores, self.sparsity)).T


class GadgetLinear(nn.Module):
    """A layer in the shape of the subset-sum gadget: ``redundancy`` random factors an input.

    ``h[b, j, q] = x[b, j] * u[q, j]``, then, if wanted, a ReLU, then ``v`` of shape (out, in *
    redundancy). Both factors are frozen and pruned by scores of their own, to the same sparsity.

    Parameters
    ----------
    in_features, out_features, redundancy : int
    sparsity : float
        Fraction removed of either factor, in [0, 1].
    relu : bool
        The paper's figures show both: "ours, ReLU" and "ours, linear".
    generator : torch.Generator
        Draws u, its scores, v, its scores.
    dtype : torch.dtype

    Raises
    ------
    ValueError
        If the sparsity lies outside [0, 1] or the redundancy is below 1.

    References
    ----------
    Experiment 2 of Pensia et al. (2020), as the authors' code initialises it: u of variance 2 with
    scores in [-sqrt 2, sqrt 2], v of variance 2 / in with scores in [-1, 1] sqrt(2 / in).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        redundancy: int,
        sparsity: float,
        *,
        relu: bool,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_integer("redundancy", redundancy, 1)
        self.sparsity, self.relu = check_sparsity(sparsity), relu
        shapes = {"u": (redundancy, in_features), "v": (out_features, in_features * redundancy)}
        for name, shape in shapes.items():
            scale = math.sqrt(2.0 if name == "u" else 2.0 / in_features)
            weight = torch.randn(shape, generator=generator, dtype=dtype) * scale
            drawn = torch.rand(shape, generator=generator, dtype=dtype)
            self.register_buffer(name, weight)
            setattr(self, f"{name}_scores", nn.Parameter((2.0 * drawn - 1.0) * scale))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in) -> (batch, out)."""
        u = self.u * supermask(self.u_scores, self.sparsity)  # (redundancy, in)
        v = self.v * supermask(self.v_scores, self.sparsity)  # (out, in * redundancy)
        hidden = (x.unsqueeze(2) * u.T).flatten(1)  # (batch, in * redundancy), index j * r + q
        return (hidden.relu() if self.relu else hidden) @ v.T


def feed_forward(sizes: Sequence[int], layer: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """Stack layers with ReLUs between them and none after the last.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden widths, outputs.
    layer : callable
        ``layer(in_features, out_features)`` makes one layer.

    Returns
    -------
    torch.nn.Sequential

    Raises
    ------
    ValueError
        If there are fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least inputs and outputs, got {list(sizes)}")
    parts: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(sizes):
        parts += [layer(wide, narrow), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def kept_parameters(model: nn.Module) -> int:
    """Weights that a network keeps: all of a dense one, the masks' ones of a pruned one."""
    total = 0
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rpartition(".")[0])
        sparsity = getattr(owner, "sparsity", 0.0)
        total += parameter.numel() - dropped_count(parameter.numel(), sparsity)
    return total
