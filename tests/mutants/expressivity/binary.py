"""Broken implementations of everything within random binary networks."""

from __future__ import annotations

import numpy as np
from mutants import Mutant, Patch, named, replaced
from mutants.expressivity.shared import altered
from scipy import sparse

from reprise import training
from reprise.expressivity import binary, edge_popup
from reprise.expressivity.binary import embedding, network, popup, quantization, signs

# --- gadgets --------------------------------------------------------------------------------------


def gadget(name, change) -> Patch:
    """Change what one of the matrix builders returns."""

    def dense(matrix, *args):
        return sparse.csr_array(change(matrix.toarray(), *args))

    return altered(network, name, named(f"{name}-{change.__name__}", dense))


def without_negative_half(matrix, n):
    matrix[n:] = 0
    return matrix


def without_signs(matrix, *_):
    return np.abs(matrix)


def one_doubler_only(matrix, m, n):
    matrix[1 : 2 * n : 2] = 0
    return matrix


def accumulators_start_full(matrix, m, n):
    matrix[2 * n : 2 * n + m, 0] = 1
    return matrix


def identity_doublers(matrix, digits):
    n = digits.shape[1]
    matrix[: 2 * n, : 2 * n] = np.eye(2 * n, dtype=np.int8)
    return matrix


def forgetful_accumulators(matrix, digits):
    n = digits.shape[1]
    matrix[2 * n :, 2 * n :] = 0
    return matrix


def bits_from_both_doublers(matrix, digits):
    n = digits.shape[1]
    matrix[2 * n :, 1 : 2 * n : 2] |= matrix[2 * n :, 0 : 2 * n : 2]
    return matrix


def only_positive_bits(matrix, digits):
    m, n = digits.shape
    matrix[2 * n + m :, : 2 * n] = 0
    return matrix


def swapped_accumulators(matrix, digits):
    m, n = digits.shape
    taps = matrix[2 * n :, : 2 * n].copy()
    matrix[2 * n : 2 * n + m, : 2 * n], matrix[2 * n + m :, : 2 * n] = taps[m:], taps[:m]
    return matrix


def negatives_dropped(matrix, m, n):
    return np.maximum(matrix, 0)


# --- digits and rounding --------------------------------------------------------------------------


def reversed_bits(digits, *_):
    """The highest bit comes first."""
    return digits[..., ::-1]


def without_plane(plane, name) -> Patch:
    """One plane of the digits is lost."""

    def dropped(digits, *_):
        digits = digits.copy()
        digits[..., plane] = 0
        return digits

    return altered(network, "binary_digits", named(name, dropped))


def truncation(right):
    """Towards zero instead of to the nearest."""
    return np.trunc


def low_bits_lost(right):
    """Two bits fewer than promised."""
    return lambda values: 4 * np.rint(values / 4)


def six_bits_at_most(right):
    """Precision that stops growing."""
    return lambda weights, bits: [q << max(0, bits - 6) for q in right(weights, min(bits, 6))]


def canonical_planes(right):
    """One plane more a layer than counted."""
    return lambda Q, bits, canonical=False: right(Q, bits, canonical=True)


def one_layer_less(right):
    """Random matrices counted without the first pair."""
    return property(lambda self: right.fget(self) - 2)


def bits_fixed(bits, *_):
    """Eight bits whatever the accuracy."""
    return 8


def one_bit_too_few(bits, *_):
    """The closed bound is missed."""
    return max(1, bits - 1)


def one_bit_too_many(bits, *_):
    """Not the least number of bits."""
    return bits + 1


# --- helpers --------------------------------------------------------------------------------------


def sign_ignored(right):
    """Every edge takes a helper as if it were positive."""
    return lambda key, limit, row_ptr, columns, edge_signs, *rest: right(
        key, limit, row_ptr, columns, np.abs(edge_signs), *rest
    )


def signed_input_forgotten(right):
    """The first matrix takes its signs behind the ReLU, as the others do."""

    def changed(key, limit, row_ptr, columns, edge_signs, row_start, column_start, found):
        edges = (row_ptr, columns, edge_signs, row_start, column_start)
        failures = right(key, limit, *edges, found)
        n = int(column_start[1])
        for row in range(n, 2 * n):  # the edges with sign -1
            j = row - n
            places = j * limit + np.arange(limit)
            one = signs.read_signs(key, 0, 0, limit, n, places, np.full(limit, j))
            two = signs.read_signs(key, 0, 1, limit, n, np.full(limit, row), places)
            found[row_ptr[row]] = int(np.argmax((one == 1) & (two == -1)))
        return failures

    return changed


def any_helper(right):
    """The first helper, whatever its random weights are."""

    def changed(*args):
        args[-1][:] = 0
        return 0

    return changed


def signs_made_to_fit(monkeypatch):
    """The first helper, and the weights that the edges want instead of the random ones."""
    ANY_HELPER(monkeypatch)
    right, flat, seen = signs.number_helpers, embedding._flat, {}

    def remember(net):
        seen["signs"] = flat(net)[2]
        return flat(net)

    def changed(*args):
        source, which, first, _ = right(*args)
        return source, which, np.ones_like(first), seen["signs"].copy()

    monkeypatch.setattr(embedding, "_flat", remember)
    monkeypatch.setattr(signs, "number_helpers", changed)


def one_coin_an_edge(right):
    """A helper serves with probability one half."""

    def changed(keys, row_ptr, columns, edge_signs, row_start, column_start, most):
        found = np.random.default_rng(keys).geometric(0.5, (len(keys), len(columns)))
        return found.max(axis=1), (found > most).sum(axis=1)

    return changed


def edges_share_their_coins(right):
    """All edges of a draw succeed or fail together."""

    def changed(keys, row_ptr, columns, edge_signs, row_start, column_start, most):
        found = np.random.default_rng(keys).geometric(0.25, len(keys))
        return found, (found > most) * len(columns)

    return changed


def one_helper_less(right):
    """R counted from zero."""
    return lambda *args: right(*args[:-1], args[-1] - 1)


def helpers_by_the_edge(helpers, edges, *_):
    """As many helpers as the square root of the edges."""
    return int(edges**0.5) + 40


def helpers_tripled(helpers, *_):
    """Three times the helpers that the bound asks for."""
    return 3 * helpers


# --- edge-popup -----------------------------------------------------------------------------------


def gaussian_called_binary(right):
    """Amplitudes stay."""
    return lambda z, amplitude: right(z, amplitude.replace("sign", "normal"))


def binary_at_a_tenth(weights, z, amplitude):
    """Binary weights that are too small."""
    return weights * (0.1 if amplitude == "sign" else 1.0)


def smallest_scores_kept(right):
    """The mask upside down."""
    return lambda size, kept: 1 - right(size, size.numel() - kept)


def epochs_are(count, name) -> Patch:
    """Training as long as nobody asked for."""

    def change(right):
        return lambda *args, **options: right(*args, **{**options, "epochs": count})

    return replaced(training, "train_classifier", change, name)


ANY_HELPER = replaced(signs, "first_helpers", any_helper)
TRUNCATION = replaced(quantization, "_round", truncation)
LOW_BITS_LOST = replaced(quantization, "_round", low_bits_lost)
REVERSED_BITS = altered(network, "binary_digits", reversed_bits)
CANONICAL = replaced(network, "layer_matrices", canonical_planes)
BITS_FIXED = altered(binary, "bits_for", bits_fixed)
ONE_COIN, SHARED_COINS = (
    replaced(signs, "needs", change) for change in (one_coin_an_edge, edges_share_their_coins)
)
TABLE = {
    "C1": [
        TRUNCATION,
        LOW_BITS_LOST,
        altered(binary, "bits_for", one_bit_too_few),
        altered(binary, "bits_for", one_bit_too_many),
        replaced(signs, "first_helpers", sign_ignored),
        replaced(signs, "first_helpers", signed_input_forgotten),
        ANY_HELPER,
        signs_made_to_fit,
        gadget("split_matrix", without_signs),
        gadget("leave_matrix", without_signs),
        REVERSED_BITS,
    ],
    "C2": [
        gadget("split_matrix", without_negative_half),
        gadget("split_matrix", without_signs),
        gadget("enter_matrix", one_doubler_only),
        gadget("enter_matrix", accumulators_start_full),
        gadget("plane_matrix", identity_doublers),
        gadget("plane_matrix", forgetful_accumulators),
        gadget("plane_matrix", bits_from_both_doublers),
        gadget("plane_matrix", only_positive_bits),
        gadget("plane_matrix", swapped_accumulators),
        gadget("leave_matrix", without_signs),
        gadget("leave_matrix", negatives_dropped),
        REVERSED_BITS,
        # k planes instead of k + 1: only weights of exactly 1 and -1 notice
        without_plane(-1, "highest_plane_dropped"),
        without_plane(0, "lowest_plane_dropped"),
        TRUNCATION,
        LOW_BITS_LOST,
    ],
    "C3": [
        replaced(network, "quantize", six_bits_at_most),
        LOW_BITS_LOST,
        gadget("plane_matrix", identity_doublers),
    ],
    "C4": [CANONICAL, replaced(binary.PrunedBinaryNetwork, "depth", one_layer_less), BITS_FIXED],
    "C5": [ONE_COIN, altered(embedding, "helpers_needed", helpers_by_the_edge), SHARED_COINS],
    "C6": [ONE_COIN, replaced(signs, "needs", one_helper_less), SHARED_COINS],
    "C8": [BITS_FIXED, altered(embedding, "helpers_needed", helpers_tripled), CANONICAL],
}
ACCURACY = "accuracy of binary in percent, each seed"
PARTS = {
    "sizes of weight in a binary layer": replaced(popup, "_shaped", gaussian_called_binary),
    "Gaussian - binary in points, upper 95% end": altered(popup, "_shaped", binary_at_a_tenth),
    "control: accuracy before the search": epochs_are(2, "trained_without_being_told"),
}
MUTANTS = [
    *(Mutant(claim, patch) for claim, patches in TABLE.items() for patch in patches),
    *(Mutant("C7", patch, parts=(part,)) for part, patch in PARTS.items()),
    Mutant("C7", replaced(edge_popup, "_keep_largest", smallest_scores_kept), parts=(ACCURACY,)),
    Mutant("C7", epochs_are(0, "scores_never_learn"), parts=(ACCURACY,)),
]
