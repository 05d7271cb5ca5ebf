"""Memorisation with threshold gates: n points, any labels, few gates, exact.

Random hyperplanes give every point a sign pattern; parities of signs give it a short code; the code
lifts it to a few slots among about sqrt(n); one gate a group holds the labels as integer weights.

Rajput, Sreenivasan, Papailiopoulos, Karbasi, "An Exponential Improvement on the Memorization
Capacity of Deep Threshold Networks", NeurIPS 2021, arXiv 2106.07724. The construction follows the
schematic of the paper's Figure 1; its constants are ours.

`points` to memorise and random hyperplanes; `widths`, `signs`, `codes` and `layers` are the stages,
`construction` builds them into a `network`; `baum` is the rival, `bounds` counts; `export` and
`select` go beyond the paper; `kernels` are the compiled loops, `page` measures and draws.
"""

from reprise.expressivity.threshold.baum import baum_gates, baum_network, slab_widths
from reprise.expressivity.threshold.bounds import (
    Bound,
    Count,
    bound_table,
    circle_lower_bound,
    closed_form_count,
    count_sphere_cells,
    diameters,
    least_hyperplanes,
    separating_line_choices,
    sphere_cells,
    stored_bits,
    weight_lower_bound,
)
from reprise.expressivity.threshold.codes import peel, solve
from reprise.expressivity.threshold.construction import (
    MemorizationError,
    MemorizationResult,
    memorize,
    memorize_multiclass,
)
from reprise.expressivity.threshold.export import forward_sliced, to_verilog
from reprise.expressivity.threshold.layers import lift_layer, parity_layers
from reprise.expressivity.threshold.network import ThresholdLayer, ThresholdNetwork
from reprise.expressivity.threshold.points import (
    ball,
    circle,
    clusters,
    fibonacci_sphere,
    gaussian_gates,
    grid_packing,
    hyperplanes_needed,
    min_distance,
    min_separating_prefix,
    radial_line,
    separating_prefixes,
    separation_probability,
    sphere,
    sphere_distance,
)
from reprise.expressivity.threshold.select import greedy_hyperplanes, safe_radii
from reprise.expressivity.threshold.widths import Widths

__all__ = [
    "Bound",
    "Count",
    "MemorizationError",
    "MemorizationResult",
    "ThresholdLayer",
    "ThresholdNetwork",
    "Widths",
    "ball",
    "baum_gates",
    "baum_network",
    "bound_table",
    "circle",
    "circle_lower_bound",
    "closed_form_count",
    "clusters",
    "count_sphere_cells",
    "diameters",
    "fibonacci_sphere",
    "forward_sliced",
    "gaussian_gates",
    "greedy_hyperplanes",
    "grid_packing",
    "hyperplanes_needed",
    "least_hyperplanes",
    "lift_layer",
    "memorize",
    "memorize_multiclass",
    "min_distance",
    "min_separating_prefix",
    "parity_layers",
    "peel",
    "radial_line",
    "safe_radii",
    "separating_line_choices",
    "separating_prefixes",
    "separation_probability",
    "slab_widths",
    "solve",
    "sphere",
    "sphere_cells",
    "sphere_distance",
    "stored_bits",
    "to_verilog",
    "weight_lower_bound",
]
