"""Train only the normalisation layers of a random ResNet, dense or pruned, or train all of it.

Settings follow the authors' training code (shashankrajput/batchnorm_training, MIT): all
convolutions and the linear head are frozen and pruned tensor by tensor *before* training; SGD with
momentum and weight decay, also on scales and shifts; a cosine to zero, stepped once an epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reprise.expressivity.norm_tuning.network import check_density
from reprise.images import Images
from reprise.runtime import device as runtime_device
from reprise.runtime import torch_generator
from reprise.training import History, crop_and_flip, draw_default, dtype_of, train_classifier

NORMALIZATIONS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)


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
        self.stride = stride
        self.shortcut = (
            nn.Identity()
            if stride == 1 and wide_in == wide
            else nn.Sequential(_conv(wide_in, wide, 1, 1), nn.BatchNorm2d(wide))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, out, h / stride, w / stride)."""
        h = self.norm1(self.conv1(x)).relu()
        # subsampled first, and not by a stride of the 1x1 convolution: see `reprise.training`
        shortcut = self.shortcut(x[:, :, :: self.stride, :: self.stride])
        return (self.norm2(self.conv2(h)) + shortcut).relu()


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
            draw_default(self, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, h, w) -> (batch, n_classes)."""
        h = self.stages(self.norm(self.stem(x)).relu())
        return self.head(h.mean(dim=(2, 3)))


def resnet34_cifar(*, generator: torch.Generator | None = None) -> SmallResNet:
    """ResNet-34 for 32x32 pictures, as the authors train it: widths 64 to 512, blocks 3, 4, 6, 3.

    21,282,122 parameters, 17,024 of them in normalisations.
    """
    return SmallResNet(64, (3, 4, 6, 3), in_channels=3, generator=generator)


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


def train_from_random(
    data: Images,
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
    data : Images
        Their dtype is the network's.
    density : float or None
        Share of weights kept, in (0, 1]; None prunes and freezes nothing.
    width, blocks
        As for `SmallResNet`.
    epochs : int
    augment : bool
        Random crops after padding by four pixels, and horizontal flips.
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
    ).to(dtype_of(data.x_train))
    tuned = {name for name, _ in model.named_parameters()}
    if density is not None:
        sparsify(model, density, generator=torch_generator(seed, "norm_tuning", "masks"))
        tuned = set(freeze_except_norm(model))
    model.to(runtime_device(device))
    before = parameters_of(model)
    history = train_classifier(
        model,
        data.x_train,
        data.y_train,
        epochs=epochs,
        generator=torch_generator(seed, "norm_tuning", "batches"),
        batch_size=128,
        cosine="epoch",
        drop_last=True,
        augment=crop_and_flip if augment else None,
        test=(data.x_test, data.y_test),
    )
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
