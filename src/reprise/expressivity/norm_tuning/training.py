"""Train only the normalisation layers of a random ResNet, dense or pruned, or train all of it.

Settings follow the authors' training code (shashankrajput/batchnorm_training, MIT): all
convolutions and the linear head are frozen and pruned tensor by tensor *before* training; SGD with
momentum and weight decay, also on scales and shifts; a cosine to zero, stepped once an epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reprise.expressivity.edge_popup import one_thread
from reprise.expressivity.norm_tuning.network import check_density
from reprise.expressivity.norm_tuning.pictures import Pictures
from reprise.runtime import device as runtime_device
from reprise.runtime import progress, torch_generator

NORMALIZATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
PADDING = 4  # of the random crop, in pixels


@dataclass(frozen=True)
class History:
    """What a training run was like, epoch by epoch.

    Attributes
    ----------
    epoch : int64 (epochs,)
        From 1.
    loss : float64 (epochs,)
        Mean cross-entropy over the epoch's batches, before each step.
    train_acc, test_acc : float64 (epochs,)
        Fractions in [0, 1]. The first is that of the epoch's batches, before each step.
    seconds : float64 (epochs,)
        Wall-clock time of an epoch.
    """

    epoch: NDArray[np.int64]
    loss: NDArray[np.float64]
    train_acc: NDArray[np.float64]
    test_acc: NDArray[np.float64]
    seconds: NDArray[np.float64]


@dataclass(frozen=True)
class TrainedRun:
    """A run from random weights, and what moved in it.

    Attributes
    ----------
    history : History
    moved : int
        Frozen tensors that changed in any bit: 0 where freezing works.
    idle : int
        Tensors asked to be trained that did not change.
    excess : int
        Non-zero weights of convolutions and head beyond ``round(density * size)`` a tensor, after
        training, in absolute value and summed.
    n_tuned, n_parameters : int
    """

    history: History
    moved: int
    idle: int
    excess: int
    n_tuned: int
    n_parameters: int


# --- models ---------------------------------------------------------------------------------------


class _Block(nn.Module):
    """Two 3x3 convolutions with normalisation around a shortcut."""

    def __init__(self, wide_in: int, wide: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv(wide_in, wide, 3, stride), nn.BatchNorm2d(wide)
        self.conv2, self.norm2 = _conv(wide, wide, 3, 1), nn.BatchNorm2d(wide)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and wide_in == wide
            else nn.Sequential(_conv(wide_in, wide, 1, stride), nn.BatchNorm2d(wide))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, out, h / stride, w / stride)."""
        h = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(h)) + self.shortcut(x)).relu()


class SmallResNet(nn.Module):
    """A ResNet for small pictures: 3x3 stem without pooling, stages of basic blocks, linear head.

    Parameters
    ----------
    width : int
        Channels of stem and first stage; each later stage doubles them and halves the picture.
    blocks : sequence of int
        Basic blocks a stage.
    in_channels, n_classes : int
    generator : torch.Generator, optional
        Draws all weights by PyTorch's default rule; without one they stay as torch drew them.

    Raises
    ------
    ValueError
        If a size is not positive.
    """

    def __init__(
        self,
        width: int,
        blocks: Sequence[int] = (1, 1, 1),
        in_channels: int = 1,
        n_classes: int = 10,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(width, in_channels, n_classes, *blocks) < 1 or not len(blocks):
            raise ValueError(
                "width, blocks, in_channels and n_classes must be positive, got "
                f"{width}, {list(blocks)}, {in_channels} and {n_classes}"
            )
        self.stem, self.norm = _conv(in_channels, width, 3, 1), nn.BatchNorm2d(width)
        wide, stages = width, []
        for stage, count in enumerate(blocks):
            out = width * 2**stage
            for index in range(count):
                stages.append(_Block(wide, out, 2 if stage and not index else 1))
                wide = out
        self.stages, self.head = nn.Sequential(*stages), nn.Linear(wide, n_classes)
        if generator is not None:
            draw_default(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, h, w) -> (batch, n_classes)."""
        h = self.stages(self.norm(self.stem(x)).relu())
        return self.head(h.mean(dim=(2, 3)))


def resnet34_cifar(*, generator: torch.Generator | None = None) -> SmallResNet:
    """ResNet-34 for 32x32 pictures, as the authors train it: widths 64 to 512, blocks 3, 4, 6, 3.

    21,282,122 parameters, 17,024 of them in normalisations.
    """
    return SmallResNet(64, (3, 4, 6, 3), in_channels=3, generator=generator)


def draw_default(module: nn.Module, generator: torch.Generator) -> None:
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


def _conv(wide_in: int, wide: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(wide_in, wide, size, stride=stride, padding=size // 2, bias=False)


# --- freezing and pruning -------------------------------------------------------------------------


def freeze_except_norm(module: nn.Module) -> list[str]:
    """Leave only the scales and shifts of normalisations trainable.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.

    Returns
    -------
    list of str
        Names of the parameters that stay trainable.
    """
    tuned = []
    for prefix, layer in module.named_modules():
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.requires_grad_(isinstance(layer, NORMALIZATIONS))
            if parameter.requires_grad:
                tuned.append(f"{prefix}.{name}" if prefix else name)
    return tuned


def sparsify(
    module: nn.Module,
    density: float,
    *,
    generator: torch.Generator,
    exclude: Sequence[str] = (),
) -> None:
    """Set a random share of each convolution's and linear layer's weights to zero.

    Exactly ``round((1 - density) * size)`` entries a tensor, as ``torch.nn.utils.prune`` does;
    biases stay.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place. Freeze it as well, or training fills the zeros.
    density : float
        Share that is kept, in (0, 1].
    generator : torch.Generator
    exclude : sequence of str
        Names of layers to leave as they are.

    Raises
    ------
    ValueError
        If the density lies outside (0, 1] or an excluded name is not a layer's.
    """
    check_density(density)
    layers = {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    for name in exclude:
        if name not in layers:
            raise ValueError(f"exclude must name layers of {', '.join(layers)}, got {name!r}")
    for name, layer in layers.items():
        if name in exclude:
            continue
        count = layer.weight.numel()
        order = torch.randperm(count, generator=generator)
        mask = torch.ones(count, dtype=layer.weight.dtype)
        mask[order[: round((1.0 - density) * count)]] = 0.0
        with torch.no_grad():
            layer.weight.mul_(mask.view_as(layer.weight).to(layer.weight.device))


def kept_shares(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Non-zero and all weights of each convolution and linear layer, by name."""
    return {
        name: (int(torch.count_nonzero(layer.weight)), layer.weight.numel())
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }


def changed_parameters(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    """Names of the parameters that differ, in any bit, from a copy taken before."""
    return {
        name
        for name, value in module.named_parameters()
        if not torch.equal(value.detach().cpu(), before[name])
    }


def parameters_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters, by name."""
    return {name: value.detach().cpu().clone() for name, value in module.named_parameters()}


# --- training -------------------------------------------------------------------------------------


def train(
    model: nn.Module,
    data: Pictures,
    *,
    epochs: int,
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    batch_size: int = 128,
    augment: bool = False,
    seed: int,
    description: str | None = None,
) -> History:
    """Train whatever asks for gradients, and test after every epoch.

    Parameters
    ----------
    model : torch.nn.Module
        Maps (batch, channels, h, w) to (batch, classes); trained in place, where it lies.
    data : Pictures
        In the model's dtype. A last, partial batch is dropped.
    epochs : int
        At least 1.
    lr, momentum, weight_decay : float
        Of SGD. The step falls to zero along half a cosine, once an epoch.
    batch_size : int
        At most the number of training pictures.
    augment : bool
        Random crops after padding by four pixels, and horizontal flips.
    seed : int
        Of the order of batches and the augmentation.
    description : str, optional
        Name of a progress bar over the epochs.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If a count is impossible.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs!r}")
    if not 1 <= batch_size <= len(data.y_train):
        raise ValueError(
            f"batch_size must be from 1 to the {len(data.y_train)} training pictures, "
            f"got {batch_size!r}"
        )
    rng = torch_generator(seed, "norm_tuning", "batches")
    where = next(model.parameters()).device
    rows = []
    with one_thread():
        x, y = torch.from_numpy(data.x_train).to(where), torch.from_numpy(data.y_train).to(where)
        if where.type == "cpu":  # convolutions on a CPU are faster with channels last
            model.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)
        for epoch in progress(range(epochs), description):
            start = time.perf_counter()
            optimizer.param_groups[0]["lr"] = 0.5 * lr * (1.0 + math.cos(math.pi * epoch / epochs))
            loss, right, count = _one_epoch(model, x, y, optimizer, batch_size, augment, rng)
            test = _share_right(model, data.x_test, data.y_test)
            rows.append((epoch + 1, loss, right / count, test, time.perf_counter() - start))
    columns = np.array(rows).T
    return History(columns[0].astype(np.int64), *columns[1:])


def train_from_random(
    data: Pictures,
    density: float | None,
    *,
    width: int,
    epochs: int,
    seed: int,
    blocks: Sequence[int] = (1, 1, 1),
    device: str = "cpu",
    augment: bool = False,
) -> TrainedRun:
    """Draw a ResNet, prune and freeze it, train its normalisations; or train everything.

    Parameters
    ----------
    data : Pictures
        Their dtype is the network's.
    density : float or None
        Share of weights kept, in (0, 1]; None prunes and freezes nothing.
    width, blocks
        As for `SmallResNet`.
    epochs, augment
        As for `train`.
    seed : int
        Weights, masks and batches have streams of their own, so that runs of one seed and other
        densities start from the same weights.
    device : str
        As for `reprise.runtime.device`.

    Returns
    -------
    TrainedRun

    Raises
    ------
    ValueError
        If a count, the density or the device is impossible.
    """
    model = SmallResNet(
        width,
        blocks,
        data.channels,
        generator=torch_generator(seed, "norm_tuning", "weights"),
    ).to(torch.from_numpy(data.x_train[:1]).dtype)
    tuned = {name for name, _ in model.named_parameters()}
    if density is not None:
        sparsify(model, density, generator=torch_generator(seed, "norm_tuning", "masks"))
        tuned = set(freeze_except_norm(model))
    model.to(runtime_device(device))
    before = parameters_of(model)
    history = train(model, data, epochs=epochs, augment=augment, seed=seed)
    changed = changed_parameters(before, model)
    # what must not move is known from the layers' kinds, whatever asked for gradients
    norms = {
        f"{prefix}.{name}"
        for prefix, layer in model.named_modules()
        if isinstance(layer, NORMALIZATIONS)
        for name, _ in layer.named_parameters(recurse=False)
    }
    wanted = before.keys() if density is None else norms
    share = 1.0 if density is None else density
    excess = sum(
        abs(kept - (n - round((1 - share) * n))) for kept, n in kept_shares(model).values()
    )
    return TrainedRun(
        history,
        moved=len(changed - wanted),
        idle=len(wanted - changed),
        excess=excess,
        n_tuned=sum(before[name].numel() for name in tuned),
        n_parameters=sum(value.numel() for value in before.values()),
    )


def _one_epoch(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    optimizer: torch.optim.Optimizer,
    batch_size: int,
    augment: bool,
    rng: torch.Generator,
) -> tuple[float, int, int]:
    """Mean loss, pictures recognised, pictures seen; sums stay where the model is."""
    model.train()
    order = torch.randperm(len(x), generator=rng)
    loss_sum, right = (torch.zeros((), device=x.device) for _ in range(2))
    batches = len(x) // batch_size
    for step in range(batches):
        at = order[step * batch_size : (step + 1) * batch_size].to(x.device)
        shown = _augmented(x[at], rng) if augment else x[at]
        outputs = model(shown)
        loss = nn.functional.cross_entropy(outputs, y[at])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach()
        right += (outputs.detach().argmax(dim=1) == y[at]).sum()
    return float(loss_sum) / batches, int(right), batches * batch_size


def _augmented(x: Tensor, rng: torch.Generator) -> Tensor:
    """A random crop after zero padding, and a flip, of each picture (batch, channels, h, w)."""
    count, _, high, wide = x.shape
    padded = nn.functional.pad(x, (PADDING,) * 4)
    top, left = torch.randint(2 * PADDING + 1, (2, count, 1), generator=rng)
    rows = (top + torch.arange(high)).to(x.device)  # (batch, h)
    columns = left + torch.arange(wide)
    flipped = torch.rand(count, 1, generator=rng) < 0.5
    columns = torch.where(flipped, columns.flip(1), columns).to(x.device)
    pictures = torch.arange(count, device=x.device)[:, None, None]
    cropped = padded.permute(0, 2, 3, 1)[pictures, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2)


def _share_right(model: nn.Module, x: NDArray, y: NDArray, batch: int = 500) -> float:
    """Accuracy in evaluation mode."""
    model.eval()
    where = next(model.parameters()).device
    right = 0
    with torch.no_grad():
        for at in range(0, len(x), batch):
            shown = torch.from_numpy(x[at : at + batch]).to(where)
            right += int((model(shown).argmax(dim=1).cpu().numpy() == y[at : at + batch]).sum())
    return right / len(x)
