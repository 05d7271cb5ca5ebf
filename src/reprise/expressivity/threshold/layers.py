"""The gates of stages B to E: parities, the lift to slots, the memorising gates, the output.

Stage B: parities of signs. Stage C: the code chooses one group gate and one slot gate in each of T
blocks. Stage D: one gate a group with integer weights on slots. Stage E: the output gate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold.network import ThresholdLayer
from reprise.expressivity.threshold.widths import Parity, Widths

STAGES = ("hyperplanes", "parity", "lift", "memorize", "output")


def parity_layers(
    parity_sets: ArrayLike, inputs: int, parity: Parity = "tree"
) -> list[ThresholdLayer]:
    """Gates that compute the parity of each set of input bits.

    Parameters
    ----------
    parity_sets : array_like of int, shape (m2, k)
    inputs : int
        Number of input bits.
    parity : str
        "flat": k counters ``1[sum >= t]``, then ``1[h_1 - h_2 + h_3 - ... >= 1]``. "tree": pairs
        are combined by XORs of three gates; an odd one out passes through identity gates.

    Returns
    -------
    list of ThresholdLayer
        Two layers, or 2 ceil(log2 k). A tree of single bits is one layer of identity gates.
    """
    sets = np.asarray(parity_sets, dtype=np.int64)
    m2, k = sets.shape
    if parity == "flat":
        counters = _layer(np.arange(m2 + 1) * k, sets, np.ones(m2 * k), inputs, np.ones(m2))
        bounds = np.tile(np.arange(1, k + 1), m2)
        return [
            ThresholdLayer(counters.weight, bounds, "parity", copies=k),
            _layer(
                np.arange(m2 + 1) * k,
                np.arange(m2 * k),
                np.tile((-1) ** np.arange(k), m2),
                m2 * k,
                np.ones(m2),
            ),
        ]
    wires, width, layers = sets, inputs, []
    if k == 1:
        return [_layer(np.arange(m2 + 1), sets, np.ones(m2), inputs, np.ones(m2))]
    while wires.shape[1] > 1:
        pairs, odd = divmod(wires.shape[1], 2)
        width, wires, level = _xor_level(wires, width, m2, pairs, odd)
        layers += level
    return layers


def _xor_level(
    wires: NDArray, width: int, m2: int, pairs: int, odd: int
) -> tuple[int, NDArray, list[ThresholdLayer]]:
    """Halve the wires of every parity: one layer of OR and AND, one of OR and not AND."""
    both = np.repeat(wires[:, : 2 * pairs].reshape(m2, pairs, 2), 2, axis=1)  # one for OR, for AND
    rows = [np.concatenate([b.ravel(), w[2 * pairs :]]) for b, w in zip(both, wires, strict=True)]
    fan_in = np.tile([2] * (2 * pairs) + [1] * odd, m2)
    threshold = np.tile([1, 2] * pairs + [1] * odd, m2)
    indices = np.concatenate(rows)
    gates = 2 * pairs + odd
    first = _layer(_starts(fan_in), indices, np.ones(len(indices)), width, threshold)
    fan_in = np.tile([2] * pairs + [1] * odd, m2)
    signs = np.tile([1, -1] * pairs + [1] * odd, m2)
    second = _layer(_starts(fan_in), np.arange(m2 * gates), signs, m2 * gates, np.ones(len(fan_in)))
    left = pairs + odd
    return m2 * left, np.arange(m2 * left).reshape(m2, left), [first, second]


def _starts(fan_in: NDArray) -> NDArray:
    return np.concatenate([[0], np.cumsum(fan_in)])


def _layer(
    indptr: NDArray, indices: NDArray, data: NDArray, inputs: int, threshold: NDArray
) -> ThresholdLayer:
    """An integer layer of stage B."""
    parts = (data.astype(np.int32), indices.ravel().astype(np.int32), indptr.astype(np.int32))
    weight = sparse.csr_array(parts, shape=(len(indptr) - 1, inputs))
    weight.sort_indices()
    return ThresholdLayer(weight, np.asarray(threshold, dtype=np.int64), "parity")


def lift_layer(widths: Widths) -> ThresholdLayer:
    """One-hot gates: ``1[sum_j (2 v_j - 1) c_j >= popcount(v)]`` fires for the value v alone."""
    g, s, T = widths.group_bits, widths.slot_bits, widths.hashes
    blocks = [(0, g)] + [(g + t * s, s) for t in range(T)]
    indices, data, thresholds, fan_in = [], [], [], []
    for first, bits in blocks:
        v = (np.arange(1 << bits)[:, None] >> np.arange(bits)) & 1  # (2^bits, bits)
        indices.append(np.tile(np.arange(first, first + bits), 1 << bits))
        data.append((2 * v - 1).ravel())
        thresholds.append(v.sum(axis=1))
        fan_in.append(np.full(1 << bits, bits))
    indptr = _starts(np.concatenate(fan_in)).astype(np.int32)
    parts = (
        np.concatenate(data).astype(np.int32),
        np.concatenate(indices).astype(np.int32),
        indptr,
    )
    shape = (len(indptr) - 1, widths.code_bits)
    return ThresholdLayer(
        sparse.csr_array(parts, shape=shape), np.concatenate(thresholds).astype(np.int64), "lift"
    )


def memorizing_layer(weights: list[sparse.csr_array], big: int, widths: Widths) -> ThresholdLayer:
    """``1[BIG group_j + sum of slot weights >= BIG + 1]``: fires in group j alone, on label 1."""
    on_groups = big * sparse.eye_array(widths.groups, dtype=np.int32)
    rows = [sparse.hstack([on_groups, w], format="csr") for w in weights]
    stacked = sparse.csr_array(sparse.vstack(rows, format="csr"), dtype=np.int32)
    stacked.sort_indices()
    return ThresholdLayer(stacked, np.full(stacked.shape[0], big + 1, np.int64), "memorize")


def output_layer(groups: int, outputs: int = 1) -> ThresholdLayer:
    """``1[sum of the memorising gates >= 1]``, one gate for each bit of a label."""
    weight = sparse.kron(
        sparse.eye_array(outputs, dtype=np.int32), np.ones((1, groups), np.int32), format="csr"
    )
    return ThresholdLayer(
        sparse.csr_array(weight, dtype=np.int32), np.ones(outputs, np.int64), "output"
    )
