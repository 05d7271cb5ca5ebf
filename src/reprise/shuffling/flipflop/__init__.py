"""FlipFlop: run every second epoch in the reverse of the order before it.

An epoch moves x by a part that depends on the order and, to second order in the step, changes sign
when the order is reversed. A pair of epochs cancels it. On quadratics this lifts random reshuffling
from 1/K^3 to 1/K^5, single shuffle from 1/K^2 to 1/K^4. In one dimension chosen permutations
converge exponentially; in general no order beats 1/K^2.

Rajput, Lee, Papailiopoulos, "Permutation-based SGD: is random optimal?", ICLR 2022,
arXiv 2102.09718.

- `patterns`: an order followed by its reverse, longer patterns, herding.
- `rates`: the rates and the exact error of a pattern; `stored`: the authors' results.
- `instances`: the sums on which the chapter runs them.
- `drift`: why the reverse cancels, and the floor that it leaves.
- `chosen`: permutations that converge exponentially.
"""

from reprise.shuffling.flipflop.chosen import (
    FastPermutations,
    NoCoverError,
    fast_permutations,
)
from reprise.shuffling.flipflop.drift import (
    after_epoch,
    drift_tensor,
    one_epoch_drift,
    ordered_drift,
    symmetric_floor,
)
from reprise.shuffling.flipflop.instances import (
    SmoothSum,
    logistic_instance,
    mean_estimation_run,
    published_start,
    safran_shamir_igd,
    smooth_instance,
    spread_bound,
    spread_instance,
    spread_sum,
    standardized_logistic,
    unit_points,
)
from reprise.shuffling.flipflop.patterns import (
    flipflop,
    follow_pattern,
    herded_order,
    orders,
    prefix_reversals,
    run_adaptively,
)
from reprise.shuffling.flipflop.rates import (
    Rate,
    pattern_error,
    rate_table,
)
from reprise.shuffling.flipflop.stored import (
    STORED_K,
    STORED_LOGISTIC,
    STORED_QUADRATIC,
    STORED_SLOPES,
)

__all__ = [
    "STORED_K",
    "STORED_LOGISTIC",
    "STORED_QUADRATIC",
    "STORED_SLOPES",
    "FastPermutations",
    "NoCoverError",
    "Rate",
    "SmoothSum",
    "after_epoch",
    "drift_tensor",
    "fast_permutations",
    "flipflop",
    "follow_pattern",
    "herded_order",
    "logistic_instance",
    "mean_estimation_run",
    "one_epoch_drift",
    "ordered_drift",
    "orders",
    "pattern_error",
    "prefix_reversals",
    "published_start",
    "rate_table",
    "run_adaptively",
    "safran_shamir_igd",
    "smooth_instance",
    "spread_bound",
    "spread_instance",
    "spread_sum",
    "standardized_logistic",
    "symmetric_floor",
    "unit_points",
]
