"""Broken implementations must turn the chapter's verdicts: each mutant patches the package and runs
the chapter's own cells of one claim at smoke."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from reprise.expressivity import binary, edge_popup
from reprise.expressivity.binary import embedding, network, popup, signs
from reprise.ledger import Verdict

CHAPTER = "expressivity/binary"
CLAIMS = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8")

# --- gadgets --------------------------------------------------------------------------------------


def gadget(name, change):
    """Replace what one of the matrix builders returns."""

    def mutate(monkeypatch):
        right = getattr(network, name)

        def changed(*args):
            return sparse.csr_array(change(right(*args).toarray(), *args))

        monkeypatch.setattr(network, name, changed)

    mutate.__name__ = f"{name}-{change.__name__}"
    return mutate


def without_negative_half(matrix, n):
    matrix[n:] = 0
    return matrix


def without_sign(matrix, n):
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


def negatives_added(matrix, m, n):
    return np.abs(matrix)


def negatives_dropped(matrix, m, n):
    return np.maximum(matrix, 0)


# --- digits and rounding --------------------------------------------------------------------------


def reversed_bits(monkeypatch):
    """The highest bit comes first."""
    right = network.binary_digits
    monkeypatch.setattr(network, "binary_digits", lambda q, length: right(q, length)[..., ::-1])


def highest_plane_dropped(monkeypatch):
    """k planes instead of k + 1: only weights of exactly 1 and -1 notice."""

    def short(q, length):
        q = np.asarray(q)
        bits = (np.abs(q)[..., None] >> np.arange(length)) & 1
        bits[..., -1] = 0
        return (np.sign(q)[..., None] * bits).astype(np.int8)

    monkeypatch.setattr(network, "binary_digits", short)


def lowest_plane_dropped(monkeypatch):
    """Bit 0 is lost."""
    right = network.binary_digits

    def short(q, length):
        digits = right(q, length).copy()
        digits[..., 0] = 0
        return digits

    monkeypatch.setattr(network, "binary_digits", short)


def truncation(monkeypatch):
    """Towards zero instead of to the nearest."""
    monkeypatch.setattr(network, "_round", np.trunc)


def low_bits_lost(monkeypatch):
    """Two bits fewer than promised."""
    monkeypatch.setattr(network, "_round", lambda values: 4 * np.rint(values / 4))


def six_bits_at_most(monkeypatch):
    """Precision that stops growing."""
    right = network.quantize

    def coarse(weights, bits):
        return [q << max(0, bits - 6) for q in right(weights, min(bits, 6))]

    monkeypatch.setattr(network, "quantize", coarse)


def canonical_planes(monkeypatch):
    """One plane more a layer than counted."""
    right = network.layer_matrices
    monkeypatch.setattr(
        network, "layer_matrices", lambda Q, bits, canonical=False: right(Q, bits, canonical=True)
    )


def one_layer_less(monkeypatch):
    """Random matrices counted without the first pair."""
    right = binary.PrunedBinaryNetwork.depth.fget
    monkeypatch.setattr(binary.PrunedBinaryNetwork, "depth", property(lambda s: right(s) - 2))


def bits_fixed(monkeypatch):
    """Eight bits whatever the accuracy."""
    monkeypatch.setattr(binary, "bits_for", lambda shapes, eps: 8)


def one_bit_too_few(monkeypatch):
    """The closed bound is missed."""
    right = binary.bits_for
    monkeypatch.setattr(binary, "bits_for", lambda shapes, eps: max(1, right(shapes, eps) - 1))


def one_bit_too_many(monkeypatch):
    """Not the least number of bits."""
    right = binary.bits_for
    monkeypatch.setattr(binary, "bits_for", lambda shapes, eps: right(shapes, eps) + 1)


# --- helpers --------------------------------------------------------------------------------------


def sign_ignored(monkeypatch):
    """Every edge takes a helper as if it were positive."""
    right = signs.first_helpers

    def changed(key, limit, row_ptr, columns, edge_signs, *rest):
        return right(key, limit, row_ptr, columns, np.abs(edge_signs), *rest)

    monkeypatch.setattr(signs, "first_helpers", changed)


def signed_input_forgotten(monkeypatch):
    """The first matrix takes its signs behind the ReLU, as the others do."""
    right = signs.first_helpers

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

    monkeypatch.setattr(signs, "first_helpers", changed)


def any_helper(monkeypatch):
    """The first helper, whatever its random weights are."""

    def changed(key, limit, row_ptr, columns, edge_signs, row_start, column_start, found):
        found[:] = 0
        return 0

    monkeypatch.setattr(signs, "first_helpers", changed)


def signs_made_to_fit(monkeypatch):
    """The first helper, and the weights that the edges want instead of the random ones."""
    any_helper(monkeypatch)
    right, flat = signs.number_helpers, embedding._flat
    seen = {}

    def remember(net):
        seen["signs"] = flat(net)[2]
        return flat(net)

    def changed(*args):
        source, which, first, _ = right(*args)
        return source, which, np.ones_like(first), seen["signs"].copy()

    monkeypatch.setattr(embedding, "_flat", remember)
    monkeypatch.setattr(signs, "number_helpers", changed)


def one_coin_an_edge(monkeypatch):
    """A helper serves with probability one half."""

    def changed(keys, row_ptr, columns, edge_signs, row_start, column_start, most):
        found = np.random.default_rng(keys).geometric(0.5, (len(keys), len(columns)))
        return found.max(axis=1), (found > most).sum(axis=1)

    monkeypatch.setattr(signs, "needs", changed)


def one_helper_less(monkeypatch):
    """R counted from zero."""
    right = signs.needs
    monkeypatch.setattr(signs, "needs", lambda *args: right(*args[:-1], args[-1] - 1))


def edges_share_their_coins(monkeypatch):
    """All edges of a draw succeed or fail together."""

    def changed(keys, row_ptr, columns, edge_signs, row_start, column_start, most):
        found = np.random.default_rng(keys).geometric(0.25, len(keys))
        return found, (found > most) * len(columns)

    monkeypatch.setattr(signs, "needs", changed)


def helpers_by_the_edge(monkeypatch):
    """As many helpers as the square root of the edges."""
    monkeypatch.setattr(embedding, "helpers_needed", lambda edges, delta: int(edges**0.5) + 40)


def helpers_tripled(monkeypatch):
    """Three times the helpers that the bound asks for."""
    right = embedding.helpers_needed
    monkeypatch.setattr(embedding, "helpers_needed", lambda *args: 3 * right(*args))


MUTANTS = {
    "C1": [
        truncation,
        low_bits_lost,
        one_bit_too_few,
        one_bit_too_many,
        sign_ignored,
        signed_input_forgotten,
        any_helper,
        signs_made_to_fit,
        gadget("split_matrix", without_sign),
        gadget("leave_matrix", negatives_added),
        reversed_bits,
    ],
    "C2": [
        gadget("split_matrix", without_negative_half),
        gadget("split_matrix", without_sign),
        gadget("enter_matrix", one_doubler_only),
        gadget("enter_matrix", accumulators_start_full),
        gadget("plane_matrix", identity_doublers),
        gadget("plane_matrix", forgetful_accumulators),
        gadget("plane_matrix", bits_from_both_doublers),
        gadget("plane_matrix", only_positive_bits),
        gadget("plane_matrix", swapped_accumulators),
        gadget("leave_matrix", negatives_added),
        gadget("leave_matrix", negatives_dropped),
        reversed_bits,
        highest_plane_dropped,
        lowest_plane_dropped,
        truncation,
        low_bits_lost,
    ],
    "C3": [six_bits_at_most, low_bits_lost, gadget("plane_matrix", identity_doublers)],
    "C4": [canonical_planes, one_layer_less, bits_fixed],
    "C5": [one_coin_an_edge, helpers_by_the_edge, edges_share_their_coins],
    "C6": [one_coin_an_edge, one_helper_less, edges_share_their_coins],
    "C8": [bits_fixed, helpers_tripled, canonical_planes],
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_broken_implementation_loses_the_claim(judge, monkeypatch, claim, mutate):
    mutate(monkeypatch)
    assert judge(CHAPTER, [claim])[claim].verdict != Verdict.REPRODUCED


def test_the_right_implementation_keeps_the_claims(judge):
    """All but one control of edge-popup, which small digits cannot tell apart."""
    ledger = judge(CHAPTER, CLAIMS)
    lost = [p for id in CLAIMS for p in ledger[id].parts if p.verdict != Verdict.REPRODUCED]
    assert [p.name for p in lost] in ([], ["control: all weights +1, points below binary"])
    assert all(p.verdict == Verdict.NOT_AT_THIS_SCALE for p in lost)


# --- edge-popup: judged part by part --------------------------------------------------------------


def gaussian_called_binary(monkeypatch):
    """Amplitudes stay."""
    right = popup._shaped
    monkeypatch.setattr(
        popup, "_shaped", lambda z, amplitude: right(z, amplitude.replace("sign", "normal"))
    )


def smallest_scores_kept(monkeypatch):
    """The mask upside down."""
    right = edge_popup._keep_largest
    monkeypatch.setattr(
        edge_popup, "_keep_largest", lambda size, kept: 1 - right(size, size.numel() - kept)
    )


def scores_never_learn(monkeypatch):
    """No epochs: a random mask."""
    right = edge_popup.train_classifier
    monkeypatch.setattr(
        edge_popup, "train_classifier", lambda *args, **kw: right(*args, **{**kw, "epochs": 0})
    )


def trained_without_being_told(monkeypatch):
    """The network that is not to be trained is."""
    right = edge_popup.train_classifier
    monkeypatch.setattr(
        edge_popup, "train_classifier", lambda *args, **kw: right(*args, **{**kw, "epochs": 2})
    )


def binary_at_a_tenth(monkeypatch):
    """Binary weights that are too small."""
    right = popup._shaped
    monkeypatch.setattr(popup, "_shaped", lambda z, a: right(z, a) * (0.1 if a == "sign" else 1.0))


@pytest.mark.parametrize(
    ("mutate", "part"),
    [
        (gaussian_called_binary, "sizes of weight in a binary layer"),
        (smallest_scores_kept, "accuracy of binary in percent, each seed"),
        (scores_never_learn, "accuracy of binary in percent, each seed"),
        (trained_without_being_told, "control: accuracy before the search"),
        (binary_at_a_tenth, "Gaussian - binary in points, upper 95% end"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_search_loses_its_part(judge, monkeypatch, mutate, part):
    mutate(monkeypatch)
    verdicts = {p.name: p.verdict for p in judge(CHAPTER, ["C7"])["C7"].parts}
    assert verdicts[part] != Verdict.REPRODUCED
