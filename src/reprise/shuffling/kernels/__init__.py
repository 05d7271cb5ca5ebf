"""Compiled loops of the shuffling part: random streams, orders, recurrences and rounds.

Two engines share one seeding rule, *each (seed, point, run, worker) has a stream of its own*, so
that no result depends on the number of threads or on how runs are split into batches, and two
methods that are given one seed meet the same orders.

- `arguments`: what the loops are told, as named tuples.
- `streams`: the random streams, and permutations drawn from them.
- `lanes`: ``run_lanes``, for one-dimensional sums whose components come in two kinds, 64 runs side
  by side; `curves` holds their slopes.
- `components`: ``run_components``, for all other sums, a loop over listed components.

Both engines cut an epoch into rounds of ``local_steps`` steps. In a round each worker walks alone
and all average (local SGD), or all gradients are taken where the round began (minibatch SGD). One
worker and one round an epoch is plain SGD.
"""

from reprise.shuffling.kernels.arguments import (
    DENSE,
    DIAGONAL,
    DRAW,
    GIVEN,
    GLUED,
    KEEP,
    KINKED,
    LOGISTIC,
    RIPPLED,
    SIGMOID,
    SMOOTHED,
    Components,
    Curve,
    Kinds,
    Rounds,
    Schedule,
    Stream,
)
from reprise.shuffling.kernels.components import run_components
from reprise.shuffling.kernels.curves import exp_in_place
from reprise.shuffling.kernels.lanes import LANES, run_lanes
from reprise.shuffling.kernels.streams import (
    enter_epochs,
    open_runs,
    scatter_weights,
    write_orders,
)

__all__ = [
    "DENSE",
    "DIAGONAL",
    "DRAW",
    "GIVEN",
    "GLUED",
    "KEEP",
    "KINKED",
    "LANES",
    "LOGISTIC",
    "RIPPLED",
    "SIGMOID",
    "SMOOTHED",
    "Components",
    "Curve",
    "Kinds",
    "Rounds",
    "Schedule",
    "Stream",
    "enter_epochs",
    "exp_in_place",
    "open_runs",
    "run_components",
    "run_lanes",
    "scatter_weights",
    "write_orders",
]
