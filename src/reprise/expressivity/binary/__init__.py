"""Finding everything within random binary networks: prune weights of +1 and -1, train nothing.

Every network of width d and depth l is, up to eps and one known power of two, a pruned random
network whose weights are +1 and -1, wider and deeper only by factors polylogarithmic in d, l and
1/eps. Depth makes powers of two, bits of a weight choose among them, and a slightly wider random
network contains each sign that is needed.

`quantization` rounds weights to bits; `network` writes them with the weights 1, 0, -1; `embedding`
finds those inside a random network, whose `signs` come from a counter; `search` looks for the
largest error; `popup` prunes by search; `page` draws.

Sreenivasan, Rajput, Sohn, Papailiopoulos, "Finding Everything within Random Binary Networks",
AISTATS 2022, arXiv 2110.08996. What follows was derived from the abstract.
"""

from reprise.expressivity.binary.embedding import (
    EmbeddingError,
    PrunedBinaryNetwork,
    edge_failure,
    embed,
    failure_rates,
    first_helpers,
    helpers_needed,
    helpers_used,
    typical_need,
)
from reprise.expressivity.binary.network import (
    BinaryNetwork,
    binary_network,
    extreme_target,
    layer_matrices,
)
from reprise.expressivity.binary.popup import BinaryEdgePopupLinear, popup_classifier
from reprise.expressivity.binary.quantization import (
    binary_digits,
    bits_for,
    canonical_digits,
    quantization_bound,
    quantization_certificate,
    quantize,
)
from reprise.expressivity.binary.search import search_error
from reprise.expressivity.relu import normal_target, relu_network, unit_inputs

__all__ = [
    "BinaryEdgePopupLinear",
    "BinaryNetwork",
    "EmbeddingError",
    "PrunedBinaryNetwork",
    "binary_digits",
    "binary_network",
    "bits_for",
    "canonical_digits",
    "edge_failure",
    "embed",
    "extreme_target",
    "failure_rates",
    "first_helpers",
    "helpers_needed",
    "helpers_used",
    "layer_matrices",
    "normal_target",
    "popup_classifier",
    "quantization_bound",
    "quantization_certificate",
    "quantize",
    "relu_network",
    "search_error",
    "typical_need",
    "unit_inputs",
]
