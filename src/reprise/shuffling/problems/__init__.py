"""Finite sums F(x) = (1/n) sum_i f_i(x) whose minimisers are known.

Each has ``n``, ``dim``, ``minimizer``, ``value(x)`` and ``gradient(i, x)``; all take batches along
leading axes. Any object with these can be given to the simulator; the classes here also have a
compiled path.

- `finite_sum`: what a problem is (`FiniteSum`), all its gradients, and its two-kind form.
- `curves`: one dimension, balanced linear noise (`GluedSum`, `RippledSum`, `LabelLogistic`).
- `spaces`: any dimension (`QuadraticSum`, `MeanEstimation`, `LogisticSum`).
- `federated`: components listed several times, or dealt out to workers (`Copies`, `FederatedSum`).
"""

from reprise.shuffling.problems.curves import GluedSum, LabelLogistic, RippledSum, balanced_signs
from reprise.shuffling.problems.federated import Copies, FederatedSum
from reprise.shuffling.problems.finite_sum import FiniteSum, TwoKinds, all_gradients
from reprise.shuffling.problems.spaces import (
    LogisticSum,
    MeanEstimation,
    QuadraticSum,
    class_signs,
    standardized,
)

PiecewiseQuadratic = GluedSum.balanced
"""Glued parabolas: ``PiecewiseQuadratic(n, curvature_right, curvature_left, noise)``."""

__all__ = [
    "Copies",
    "FederatedSum",
    "FiniteSum",
    "GluedSum",
    "LabelLogistic",
    "LogisticSum",
    "MeanEstimation",
    "PiecewiseQuadratic",
    "QuadraticSum",
    "RippledSum",
    "TwoKinds",
    "all_gradients",
    "balanced_signs",
    "class_signs",
    "standardized",
]
