"""Broken implementations of the tuned normalisations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from mutants import Mutant, named
from torch import nn

from reprise.expressivity import norm_tuning as nt
from reprise.expressivity.norm_tuning import network, page, phase, training

# --- the construction -----------------------------------------------------------------------------


def shift_times(share):
    """A smaller first shift: images do not notice, worst points do."""

    def mutate(monkeypatch):
        right = network._first_shift
        monkeypatch.setattr(network, "_first_shift", lambda *args: share * right(*args))

    return named(f"shift_times_{share}", mutate)


def radius_stays(monkeypatch):
    """Later blocks are lifted for the first block's inputs."""
    monkeypatch.setattr(network, "_next_radius", lambda W, b, radius: radius)


def bias_dropped(monkeypatch):
    """The target's biases are forgotten."""
    monkeypatch.setattr(network, "_second_shift", lambda b, W2, c1: -W2 @ c1)


def shift_not_lowered(monkeypatch):
    """The first shift is never undone."""
    monkeypatch.setattr(network, "_second_shift", lambda b, W2, c1: b)


def square_targets_transposed(monkeypatch):
    """A mix-up that only square blocks allow."""
    right = network.solve_scales

    def changed(W1, W2, W, **options):
        return right(W1, W2, W.T if W.shape[0] == W.shape[1] else W, **options)

    monkeypatch.setattr(network, "solve_scales", changed)


def scales_in_float32(monkeypatch):
    """Seven digits instead of sixteen."""
    right = network.solve_scales

    def changed(*args, **options):
        found = right(*args, **options)
        return replace(found, gamma=found.gamma.astype(np.float32).astype(np.float64))

    monkeypatch.setattr(network, "solve_scales", changed)


def weights_adjusted(monkeypatch):
    """Exact, but one frozen weight was touched."""
    right = network.solve_scales

    def changed(W1, W2, W, **options):
        W1[0, 0] *= 1.01
        return right(W1, W2, W, **options)

    monkeypatch.setattr(network, "solve_scales", changed)


def weights_ignored(monkeypatch):
    """A network that returns the target whatever its weights are: the controls notice."""
    targets = []
    train = page.trained_layers

    def remembered(*args):
        targets.append(train(*args))
        return targets[-1]

    monkeypatch.setattr(page, "trained_layers", remembered)
    monkeypatch.setattr(
        network.NormTunedNetwork,
        "forward",
        lambda self, X, *, check=False, dtype=np.float64: nt.relu_network(targets[-1], X),
    )


# --- widths and masks -----------------------------------------------------------------------------


def tied(monkeypatch):
    """W2 is the transpose of W1."""
    right = nt.random_block

    def changed(n, m, k, **options):
        W1, W2 = right(n, m, k, **options)
        return (W1, W1.T) if m == n else (W1, W2)

    monkeypatch.setattr(nt, "random_block", changed)
    monkeypatch.setattr(phase, "random_block", changed)


def neurons_more(count):
    """The number of neurons is off by one."""

    def mutate(monkeypatch):
        right = nt.random_block

        def changed(n, m, k, **options):
            return right(n, m, k + count, **options)

        monkeypatch.setattr(nt, "random_block", changed)

    return named(f"neurons_more_{count}", mutate)


def width_of(name, change):
    """Another answer of the search."""

    def mutate(monkeypatch):
        right = nt.smallest_width

        def changed(m, n, *, rng):
            return change(right(m, n, rng=rng), m, n)

        monkeypatch.setattr(nt, "smallest_width", changed)

    return named(f"width_{name}", mutate)


def equations_repeated(monkeypatch):
    """A matrix with two equal rows: less is needed than there are equations."""
    right = phase.khatri_rao

    def changed(W1, W2):
        A = right(W1, W2)
        A[-1] = A[0]
        return A

    monkeypatch.setattr(phase, "khatri_rao", changed)
    right_target = phase.gaussian_target

    def target(m, n, *, rng):
        W = right_target(m, n, rng=rng)
        W[-1, -1] = W[0, 0]
        return W

    monkeypatch.setattr(phase, "gaussian_target", target)


def no_mask(monkeypatch):
    """All weights are kept."""
    monkeypatch.setattr(network, "_mask", lambda shape, *rest: np.ones(shape, bool))


def only_first_masked(monkeypatch):
    """W2 stays dense."""
    right = network._mask

    def changed(shape, density, exact, rng):
        kept = right(shape, density, exact, rng)
        return kept if shape[0] > shape[1] else np.ones(shape, bool)

    monkeypatch.setattr(network, "_mask", changed)


def whole_neurons_masked(monkeypatch):
    """One coin a neuron instead of one a weight."""

    def changed(shape, density, exact, rng):
        tall = shape[0] > shape[1]
        coins = rng.random((shape[0], 1) if tall else (1, shape[1])) < density
        return np.broadcast_to(coins, shape)

    monkeypatch.setattr(network, "_mask", changed)


def dense_by_mistake(monkeypatch):
    """Twice the density that was asked for."""
    right = network._mask
    monkeypatch.setattr(
        network, "_mask", lambda shape, density, *rest: right(shape, min(1, 2 * density), *rest)
    )


def any_residual_counts(monkeypatch):
    """Success without looking."""
    monkeypatch.setattr(phase, "succeeds", lambda *args: True)


# --- real normalisations --------------------------------------------------------------------------


def eps_forgotten(monkeypatch):
    """gamma = g sqrt(var)."""
    monkeypatch.setattr(
        network,
        "_normalization_parameters",
        lambda g, c, mean, variance: (g * np.sqrt(variance), c + g * mean),
    )


def mean_forgotten(monkeypatch):
    """beta = c."""
    monkeypatch.setattr(
        network,
        "_normalization_parameters",
        lambda g, c, mean, variance: (g * np.sqrt(variance + network.EPS), c),
    )


def unbiased_variance(monkeypatch):
    """What torch itself would store: evaluation mode alone is fine."""
    monkeypatch.setattr(
        network, "_batch_statistics", lambda v: (v.mean(axis=0), v.var(axis=0, ddof=1))
    )


def weights_scaled(monkeypatch):
    """Scales hidden in the frozen weights."""
    right = network.NormTunedNetwork.to_torch_calibrated

    def changed(self, X):
        model = right(self, X)
        with torch.no_grad():
            for i, part in enumerate(model):
                if isinstance(part, nn.Linear):
                    part.weight.mul_(2.0)
                    model[i + 1].weight.mul_(0.5)
                    model[i + 1].running_mean.mul_(2.0)
        return model

    monkeypatch.setattr(network.NormTunedNetwork, "to_torch_calibrated", changed)


def mode_is_always(training):
    """Modules that stay in one mode whatever is asked."""

    def mutate(monkeypatch):
        right = nn.Module.train
        monkeypatch.setattr(nn.Module, "train", lambda self, mode=True: right(self, training))

    return named("always_training" if training else "always_evaluating", mutate)


# --- descent --------------------------------------------------------------------------------------


def descent_stands_still(monkeypatch):
    """No steps."""
    right = nt.descend
    monkeypatch.setattr(
        nt, "descend", lambda *args, **options: right(*args, **options | {"steps": 0})
    )


def descent_is_told(monkeypatch):
    """It starts where the solution is."""
    right = nt.descend

    def changed(*args, **options):
        losses, _ = right(*args, **options | {"steps": 1})
        return losses, 1e-13

    monkeypatch.setattr(nt, "descend", changed)


# --- training: judged part by part, as two epochs cannot reach the accuracies ---------------------


def mask_ignored(monkeypatch):
    """Nothing is pruned."""
    monkeypatch.setattr(training, "sparsify", lambda *args, **options: None)


def frozen_only(wanted):
    """Another choice of what is trained: name ends, or layers."""

    def mutate(monkeypatch):
        right = training.freeze_except_norm

        def changed(module):
            right(module)
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(wanted(name, parameter.requires_grad))
            return [name for name, p in module.named_parameters() if p.requires_grad]

        monkeypatch.setattr(training, "freeze_except_norm", changed)

    return mutate


def zeros_grow_back(monkeypatch):
    """Pruned weights are trained again."""
    monkeypatch.setattr(
        training, "freeze_except_norm", lambda m: [n for n, _ in m.named_parameters()]
    )


def no_steps(monkeypatch):
    """A learning rate of zero."""
    right = training.train_classifier
    monkeypatch.setattr(
        training,
        "train_classifier",
        lambda *args, **options: right(*args, **options, learning_rate=0.0),
    )


def width_ignored(monkeypatch):
    """Every network has the smallest width."""
    right = nt.train_from_random
    monkeypatch.setattr(
        nt, "train_from_random", lambda *args, **options: right(*args, **options | {"width": 4})
    )


TABLE = {
    "C1": [
        shift_times(0.99),
        shift_times(0.9),
        shift_times(0.5),
        shift_times(0.0),
        radius_stays,
        bias_dropped,
        shift_not_lowered,
        square_targets_transposed,
        scales_in_float32,
        weights_adjusted,
        weights_ignored,
    ],
    "C2": [tied, neurons_more(1), neurons_more(-1)],
    "C3": [
        width_of("one_more", lambda k, m, n: k + 1),
        width_of("by_the_larger_side", lambda k, m, n: max(m, n) ** 2),
        equations_repeated,
    ],
    "C4": [no_mask, only_first_masked, whole_neurons_masked, dense_by_mistake, any_residual_counts],
    "C5": [no_mask, only_first_masked, whole_neurons_masked, dense_by_mistake, any_residual_counts],
    "C6": [
        eps_forgotten,
        mean_forgotten,
        unbiased_variance,
        weights_scaled,
        mode_is_always(True),
        mode_is_always(False),
    ],
    "C9": [descent_stands_still, descent_is_told, scales_in_float32],
}


BEYOND = "weights beyond the density, all tensors"
MOVED = "frozen tensors that moved"
IDLE = "trained tensors that did not move, density 1"
LOSS = "last loss / first loss, density 1 and everything"
# two epochs cannot reach the accuracies: what the smoke run judges of a training is named
TRAININGS = [
    ("C7", mask_ignored, (BEYOND,)),
    ("C7", zeros_grow_back, (MOVED,)),
    ("C7", named("head_trained", frozen_only(lambda n, on: on or "head" in n)), (MOVED,)),
    ("C7", named("beta_only", frozen_only(lambda n, on: on and "bias" in n)), (IDLE,)),
    ("C7", named("gamma_only", frozen_only(lambda n, on: on and "weight" in n)), (IDLE,)),
    ("C7", no_steps, (IDLE, LOSS)),
    ("C8", width_ignored, ("tuned parameters / width",)),
]
MUTANTS = [
    # the package itself refuses what some of them draw
    *(
        Mutant(claim, patch, raises=nt.ReconstructionError)
        for claim, patches in TABLE.items()
        for patch in patches
    ),
    *(Mutant(claim, patch, parts=parts) for claim, patch, parts in TRAININGS),
]
