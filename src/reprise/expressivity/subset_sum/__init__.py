"""Random subset sums: a few random numbers hold, as the sum of some of them, almost any weight.

Of n random numbers there are 2^n subset sums, so the nearest one to a target is exponentially near:
n = O(log 1/eps) numbers replace the 1/eps that waiting for a single near number takes. Done for
every weight, this turns a random network that is only a logarithmic factor too wide into any target
network, by pruning alone.

`solver` finds subsets, by compiled `kernels`; `coverings` measures how densely sums lie; `weights`
replaces every weight of a network; `gadget` prunes a random network to a target; `popup` prunes by
search; `published` holds the authors' numbers; `page` draws.

Pensia, Rajput, Nagle, Vishwakarma, Papailiopoulos, "Optimal lottery tickets via SubsetSum:
logarithmic over-parameterization is sufficient", NeurIPS 2020, arXiv 2006.07990. Lueker, 1998, for
the random subset sum problem.
"""

from reprise.expressivity.relu import normal_target, relu_network
from reprise.expressivity.subset_sum.coverings import (
    Covering,
    covering,
    covering_radius,
    first_hits,
    grid_error,
    least_n,
    random_numbers,
)
from reprise.expressivity.subset_sum.gadget import (
    PrunedRandomNetwork,
    find_largest_error,
    prune_to_target,
    rows_per_input,
)
from reprise.expressivity.subset_sum.popup import (
    PopupRun,
    equal_sizes,
    lenet_front,
    popup_network,
    popup_run,
    popup_sizes,
)
from reprise.expressivity.subset_sum.published import PUBLISHED, PUBLISHED_POPUP
from reprise.expressivity.subset_sum.solver import (
    SubsetSumResult,
    solve_subset_sum,
    sparsest_subset,
    subset_from_mask,
    subset_sums,
)
from reprise.expressivity.subset_sum.weights import (
    WeightApproximation,
    approximate_weights,
    draw_values,
    num_candidates,
)

__all__ = [
    "PUBLISHED",
    "PUBLISHED_POPUP",
    "Covering",
    "PopupRun",
    "PrunedRandomNetwork",
    "SubsetSumResult",
    "WeightApproximation",
    "approximate_weights",
    "covering",
    "covering_radius",
    "draw_values",
    "equal_sizes",
    "find_largest_error",
    "first_hits",
    "grid_error",
    "least_n",
    "lenet_front",
    "normal_target",
    "num_candidates",
    "popup_network",
    "popup_run",
    "popup_sizes",
    "prune_to_target",
    "random_numbers",
    "relu_network",
    "rows_per_input",
    "solve_subset_sum",
    "sparsest_subset",
    "subset_from_mask",
    "subset_sums",
]
