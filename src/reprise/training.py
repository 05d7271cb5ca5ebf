"""The plain training loop of a classifier, and what goes with it: what several parts need.

SGD with momentum on the cross-entropy, half a cosine to zero. Every loop runs in one thread of
torch, so that its sums have one order whatever the machine; `in_threads` runs several networks side
by side instead. In float64 results do not depend on the CPU either, up to the last digits.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from reprise.runtime import check_integer, in_parallel, progress

T = TypeVar("T")
Augment = Callable[[Tensor, torch.Generator], Tensor]

PADDING = 4  # of the random crop, in pixels


@dataclass(frozen=True)
class History:
    """What a training run was like, epoch by epoch.

    Attributes
    ----------
    loss : float64 (epochs,)
        Mean cross-entropy over the epoch's images, before each step.
    train_acc : float64 (epochs,)
        Fraction of them recognised, before each step.
    test_acc : float64 (epochs,)
        Fraction of the test images recognised after the epoch; NaN without test images.
    seconds : float64 (epochs,)
        Wall-clock time of an epoch.
    """

    loss: NDArray[np.float64]
    train_acc: NDArray[np.float64]
    test_acc: NDArray[np.float64]
    seconds: NDArray[np.float64]


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
    cosine: Literal["step", "epoch"] = "step",
    drop_last: bool = False,
    augment: Augment | None = None,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    description: str | None = None,
) -> History:
    """Train whatever the network leaves trainable, in fresh orders of the images.

    Parameters
    ----------
    model : torch.nn.Module
        Maps a batch of inputs to (batch, classes); trained in place, where it lies.
    inputs : array_like (images, ...)
        In the model's dtype.
    labels : array_like of int (images,)
    epochs : int
        0 leaves the model as it is.
    generator : torch.Generator
        Draws the orders, and what ``augment`` draws.
    batch_size : int
    learning_rate, momentum, weight_decay : float
    cosine : str
        Whether the step falls along half a cosine from one "step" or one "epoch" to the next.
    drop_last : bool
        Leave out a last, partial batch.
    augment : callable, optional
        Changes each batch, for example `crop_and_flip`.
    test : tuple of two arrays, optional
        Inputs and labels to test on after each epoch.
    description : str, optional
        Name of a progress bar over the epochs.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are not as many labels as inputs, ``epochs`` is not an integer of at least 0, or
        ``batch_size`` not one from 1, with ``drop_last`` to the number of images.
    """
    check_integer("epochs", epochs, 0)
    check_integer("batch_size", batch_size, 1)
    with one_thread():
        where = next(model.parameters()).device
        x, y = (torch.as_tensor(np.asarray(a)).to(where) for a in (inputs, labels))
        if len(x) != len(y):
            raise ValueError(f"inputs and labels disagree: {len(x)} and {len(y)}")
        if drop_last and batch_size > len(x):
            raise ValueError(f"batch_size must be at most {len(x)}, got {batch_size}")
        x = _fastest_layout(model, x)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(
            trained, lr=learning_rate, momentum=momentum, weight_decay=weight_decay
        )
        batches = len(x) // batch_size if drop_last else -(-len(x) // batch_size)
        rows = []
        for epoch in progress(range(epochs), description):
            begin = time.perf_counter()
            model.train()
            order = torch.randperm(len(x), generator=generator)
            loss_sum, right = torch.zeros(2, dtype=torch.float64, device=where)
            for step in range(batches):
                at = order[step * batch_size : (step + 1) * batch_size].to(where)
                done = epoch + (step / batches if cosine == "step" else 0)
                for group in optimizer.param_groups:
                    group["lr"] = 0.5 * learning_rate * (1.0 + math.cos(math.pi * done / epochs))
                shown = x[at] if augment is None else augment(x[at], generator)
                outputs = model(shown)
                loss = nn.functional.cross_entropy(outputs, y[at])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss_sum += loss.detach() * len(at)
                right += (outputs.detach().argmax(dim=1) == y[at]).sum()
            seen = min(batches * batch_size, len(x))
            tested = math.nan if test is None else accuracy(model, *test)
            seconds = time.perf_counter() - begin
            rows.append((float(loss_sum) / seen, float(right) / seen, tested, seconds))
    return History(*np.array(rows, dtype=np.float64).reshape(-1, 4).T)


def logits(model: nn.Module, inputs: ArrayLike, batch_size: int = 2000) -> np.ndarray:
    """The network's outputs in evaluation mode: array (images, classes) in the model's dtype."""
    with one_thread(), torch.no_grad():
        model.eval()
        where = next(model.parameters()).device
        parts = torch.as_tensor(np.asarray(inputs)).split(batch_size)
        return torch.cat([model(part.to(where)).cpu() for part in parts]).numpy()


def accuracy(model: nn.Module, inputs: ArrayLike, labels: ArrayLike) -> float:
    """Fraction of images whose largest output is their label's, in evaluation mode."""
    return float((logits(model, inputs).argmax(axis=1) == np.asarray(labels)).mean())


def crop_and_flip(x: Tensor, generator: torch.Generator) -> Tensor:
    """A random crop after zero padding, and a flip, of each picture (batch, channels, h, w)."""
    count, _, high, wide = x.shape
    padded = nn.functional.pad(x, (PADDING,) * 4)
    top, left = torch.randint(2 * PADDING + 1, (2, count, 1), generator=generator)
    rows = (top + torch.arange(high)).to(x.device)  # (batch, h)
    columns = left + torch.arange(wide)
    flipped = torch.rand(count, 1, generator=generator) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns).to(x.device)
    pictures = torch.arange(count, device=x.device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[pictures, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def draw_default(module: nn.Module, *, generator: torch.Generator) -> None:
    """Draw convolutions and linear layers by PyTorch's default, from an explicit generator.

    Weights and biases are uniform on +-1 / sqrt(fan-in).
    """
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                bound = 1.0 / math.sqrt(layer.weight[0].numel())
                for values in (layer.weight, layer.bias):
                    if values is not None:
                        drawn = torch.rand(values.shape, generator=generator, dtype=torch.float64)
                        values.copy_((2.0 * drawn - 1.0) * bound)


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


def _fastest_layout(model: nn.Module, x: Tensor) -> Tensor:
    """Put model and pictures into the layout that is fastest where they lie, if it is safe.

    Convolutions on a CPU are faster with channels last. But in torch 2.13.0, where oneDNN takes its
    AVX2 kernels, the weight gradient of a 1 x 1 convolution with stride 2 and 2 to 7 input channels
    then writes past its buffer: the process ends in "free(): invalid next size", or worse, does
    not. A model that holds such a layer keeps its channels first. (Subsampling before a convolution
    of stride 1 is the same map.)
    """
    if x.ndim != 4 or x.device.type != "cpu":
        return x
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and max(layer.stride) > 1:
            return x
    model.to(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last)
