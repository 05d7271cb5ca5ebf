"""Edge-popup: leave random weights as they are, and learn which of them to keep.

Every weight has a score. The forward pass keeps the weights whose scores are largest in absolute
value; the backward pass pretends that the mask were the scores themselves (straight through), so
that gradient descent moves scores, never weights. `EdgePopupLinear` prunes an ordinary layer,
`GadgetLinear` the two-factor layer in which the subset-sum construction lives. The training loop
serves dense networks as well.

Ramanujan, Wortsman, Kembhavi, Farhadi, Rastegari, "What's hidden in a randomly weighted neural
network?", CVPR 2020.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from reprise.runtime import in_parallel, progress

T = TypeVar("T")

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
    out_features: int, in_features: int, generator: torch.Generator, dtype: torch.dtype
) -> Tensor:
    """Normal weights of variance 2 / in_features: Tensor (out_features, in_features)."""
    weight = torch.randn(out_features, in_features, generator=generator, dtype=dtype)
    return weight * math.sqrt(2.0 / in_features)


def kaiming_uniform(
    out_features: int, in_features: int, generator: torch.Generator, dtype: torch.dtype
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
        self.weight = nn.Parameter(kaiming_uniform(out_features, in_features, generator, dtype))

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
            weight = kaiming_normal(out_features, in_features, generator, dtype)
        if weight.shape != (out_features, in_features):
            raise ValueError(
                f"weight must have shape {(out_features, in_features)}, got {tuple(weight.shape)}"
            )
        self.register_buffer("weight", weight)
        scores = kaiming_uniform(out_features, in_features, generator, dtype)
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
        if redundancy < 1:
            raise ValueError(f"redundancy must be at least 1, got {redundancy}")
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


# --- training -------------------------------------------------------------------------------------


def train_classifier(
    model: nn.Module,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    epochs: int,
    generator: torch.Generator,
    batch_size: int = 64,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    description: str | None = None,
) -> list[float]:
    """Train whatever the network leaves trainable: SGD on the cross-entropy, cosine to zero.

    The step follows half a cosine from ``learning_rate`` to 0 over all batches. Each epoch visits
    the images in a fresh order. The result does not depend on the number of threads: the loop runs
    in one (see `in_threads` for several networks at a time), and in float64 not on the CPU either,
    up to the last digits.

    Parameters
    ----------
    model : torch.nn.Module
        Maps (batch, pixels) to (batch, classes); trained in place, where it lies.
    inputs : array_like (images, pixels)
        In the model's dtype.
    labels : array_like of int (images,)
    epochs : int
        0 leaves the model as it is.
    generator : torch.Generator
        Draws the orders.
    batch_size : int
    learning_rate, momentum, weight_decay : float
    description : str, optional
        Name of a progress bar over the epochs.

    Returns
    -------
    list of float
        Mean loss of each epoch, before each step.

    Raises
    ------
    ValueError
        If there are not as many labels as inputs, or ``epochs`` or ``batch_size`` is too small.
    """
    if epochs < 0 or batch_size < 1:
        raise ValueError(
            f"epochs and batch_size must be at least 0 and 1, got {epochs} and {batch_size}"
        )
    with one_thread():
        where = next(model.parameters()).device
        x, y = (torch.as_tensor(np.asarray(a)).to(where) for a in (inputs, labels))
        if len(x) != len(y):
            raise ValueError(f"inputs and labels disagree: {len(x)} and {len(y)}")
        options = {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay}
        optimizer = torch.optim.SGD(model.parameters(), **options)
        batches = -(-len(x) // batch_size)
        total, losses = max(1, epochs * batches), []
        for epoch in progress(range(epochs), description):
            order = torch.randperm(len(x), generator=generator)
            loss_sum = 0.0
            for step in range(batches):
                at = order[step * batch_size : (step + 1) * batch_size].to(where)
                done = (epoch * batches + step) / total
                for group in optimizer.param_groups:
                    group["lr"] = 0.5 * learning_rate * (1.0 + math.cos(math.pi * done))
                loss = nn.functional.cross_entropy(model(x[at]), y[at])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += float(loss.detach()) * len(at)
            losses.append(loss_sum / len(x))
    return losses


def logits(model: nn.Module, inputs: ArrayLike) -> np.ndarray:
    """The network's outputs: array (images, classes) in the model's dtype."""
    with one_thread(), torch.no_grad():
        where = next(model.parameters()).device
        x = torch.as_tensor(np.asarray(inputs)).to(where)
        return torch.cat([model(part) for part in x.split(2000)]).cpu().numpy()


def accuracy(model: nn.Module, inputs: ArrayLike, labels: ArrayLike) -> float:
    """Percent of images whose largest output is their label's."""
    return float(100.0 * (logits(model, inputs).argmax(axis=1) == np.asarray(labels)).mean())


def dtype_of(inputs: ArrayLike) -> torch.dtype:
    """The torch dtype in which a network reads these inputs."""
    return torch.from_numpy(np.asarray(inputs)[:1]).dtype


def in_threads(
    jobs: Iterable[Callable[[], T]],
    threads: int | None = None,
    *,
    description: str | None = None,
) -> list[T]:
    """Run independent trainings side by side, each in a thread of its own.

    torch computes outside Python's lock, and a single thread a job keeps every result the same for
    any number of threads.

    Parameters
    ----------
    jobs : iterable of callables
    threads : int, optional
        As for `reprise.runtime.thread_count`.
    description : str, optional
        Name of a progress bar over the jobs.

    Returns
    -------
    list
        What the jobs return, in their order.
    """

    def task(job: Callable[[], T]) -> T:
        torch.set_num_threads(1)  # torch keeps the number for each thread
        return job()

    with one_thread():
        return in_parallel(task, jobs, threads, description)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to a single thread: its sums then have one order, whatever the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
