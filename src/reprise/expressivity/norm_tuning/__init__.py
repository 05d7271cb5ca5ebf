"""Tuning only the normalisation layers: how much can two numbers a neuron do?

Freeze every weight of a random ReLU network and choose only the scale and the shift of each
normalised neuron. That is enough to become any narrower network, exactly. Here are the system of
linear equations behind it (`system`), the construction (`network`), how wide and dense the random
layers must be (`phase`), gradient descent on the same problem (`descent`), and the training of
normalisations alone on pictures (`training`).

Giannou, Rajput, Papailiopoulos, "The Expressive Power of Tuning Only the Normalization Layers",
COLT 2023, arXiv 2302.07937. The construction and its constants are ours.
"""

from reprise.expressivity.norm_tuning.curves import stored_curves
from reprise.expressivity.norm_tuning.descent import descend
from reprise.expressivity.norm_tuning.network import (
    NormTunedNetwork,
    random_block,
    reconstruct,
    relu_network,
)
from reprise.expressivity.norm_tuning.phase import (
    RankProfile,
    all_columns_alive,
    dead_counts,
    gaussian_target,
    rank_profile,
    relative_residual,
    row_density,
    side_by_side,
    smallest_width,
    succeeds,
)
from reprise.expressivity.norm_tuning.shift import forward_error_bound, least_shift_scales
from reprise.expressivity.norm_tuning.system import (
    KhatriRaoOperator,
    ReconstructionError,
    ScaleSolution,
    khatri_rao,
    solve_scales,
)
from reprise.expressivity.norm_tuning.training import (
    SmallResNet,
    TrainedRun,
    changed_parameters,
    freeze_except_norm,
    kept_shares,
    parameters_of,
    resnet34_cifar,
    sparsify,
    train_from_random,
)

__all__ = [
    "KhatriRaoOperator",
    "NormTunedNetwork",
    "RankProfile",
    "ReconstructionError",
    "ScaleSolution",
    "SmallResNet",
    "TrainedRun",
    "all_columns_alive",
    "changed_parameters",
    "dead_counts",
    "descend",
    "forward_error_bound",
    "freeze_except_norm",
    "gaussian_target",
    "kept_shares",
    "khatri_rao",
    "least_shift_scales",
    "parameters_of",
    "random_block",
    "rank_profile",
    "reconstruct",
    "relative_residual",
    "relu_network",
    "resnet34_cifar",
    "row_density",
    "side_by_side",
    "smallest_width",
    "solve_scales",
    "sparsify",
    "stored_curves",
    "succeeds",
    "train_from_random",
]
