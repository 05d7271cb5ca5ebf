"""The network as something else: a Verilog netlist, words of 64 points.

*Ours.* Both evaluate the same gates; tests hold them against `ThresholdNetwork.forward`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold import kernels
from reprise.expressivity.threshold.network import ThresholdNetwork, largest_sum, read_number


def forward_sliced(network: ThresholdNetwork, signs: ArrayLike) -> NDArray[np.uint8]:
    """Fire the integer layers on 64 points a word, with bitwise adders.

    Parameters
    ----------
    network : ThresholdNetwork
    signs : array_like of 0 and 1, shape (n, m1)
        What the first layer fires.

    Returns
    -------
    ndarray of uint8, shape (n,)
    """
    bits = np.asarray(signs, dtype=bool)
    n = len(bits)
    active = kernels.pack_bits(bits.T)
    for layer in network.layers[1:]:
        w = sparse.csr_array(layer.weight)
        planes = largest_sum(layer).bit_length() + 1
        after = np.empty((layer.n_gates, active.shape[1]), np.uint64)
        arrays = (w.indptr, w.indices, w.data, layer.threshold.astype(np.int64))
        kernels.fire_sliced(*arrays, planes, active, after)
        active = after
    out = np.unpackbits(active.astype("<u8").view(np.uint8), axis=1, bitorder="little")[:, :n]
    return read_number(out.T)


def to_verilog(network: ThresholdNetwork, name: str = "memory") -> str:
    """The integer layers as a combinational Verilog module, one assignment a gate.

    Input ``z`` holds the signs of the first layer, output ``y`` the output gates.

    Parameters
    ----------
    network : ThresholdNetwork
    name : str
        Of the module.

    Returns
    -------
    str
    """
    outputs = network.layers[-1].n_gates
    lines = [f"module {name}(input [{network.layers[0].n_gates - 1}:0] z,"]
    lines += [f"  output [{outputs - 1}:0] y);"]
    before = "z"
    for index, layer in enumerate(network.layers[1:], 1):
        here = f"h{index}"
        lines.append(f"  wire [{layer.n_gates - 1}:0] {here};")
        bits = largest_sum(layer).bit_length() + 1
        w = sparse.csr_array(layer.weight)
        for gate in range(layer.n_gates):
            row = gate // layer.copies
            span = slice(w.indptr[row], w.indptr[row + 1])
            terms = [
                f"{bits}'sd0" if v == 0 else _term(int(v), f"{before}[{i}]", bits)
                for i, v in zip(w.indices[span], w.data[span], strict=True)
            ]
            total = " + ".join(terms) or f"{bits}'sd0"
            bound = _constant(int(layer.threshold[gate]), bits)
            lines.append(f"  assign {here}[{gate}] = ({total}) >= {bound};")
        before = here
    return "\n".join([*lines, f"  assign y = {before};", "endmodule", ""])


def _constant(value: int, bits: int) -> str:
    return f"{'-' if value < 0 else ''}{bits}'sd{abs(value)}"


def _term(value: int, wire: str, bits: int) -> str:
    return f"({wire} ? {_constant(value, bits)} : {bits}'sd0)"
