"""Networks of threshold gates: layers of weights and thresholds, fired, counted, stored, exported.

A gate outputs 1 where ``<w, x> >= threshold`` (ties count as 1) and 0 elsewhere. Layers behind the
first have integer weights and are fired in integer arithmetic, gate by gate.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.threshold import kernels
from reprise.runtime import atomic_write, check_integer, thread_count

if TYPE_CHECKING:
    import torch

FLOAT32_EXACT = 1 << 24

Bits = NDArray[np.uint8]
Matrix = np.ndarray | sparse.csr_array


@dataclass(frozen=True)
class ThresholdLayer:
    """One layer of gates ``1[W x >= threshold]``.

    Attributes
    ----------
    weight : ndarray or scipy.sparse.csr_array, shape (gates / copies, inputs)
        Real-valued as float64, integer as int32.
    threshold : ndarray of float64 or int64, shape (gates,)
    kind : str
        The stage of the construction that the layer belongs to.
    copies : int
        Consecutive gates with the same weights and different thresholds, stored once (the counters
        of a flat parity). All of them are counted, with all their weights.

    Raises
    ------
    ValueError
        If there are not ``copies`` thresholds for each row of weights.
    """

    weight: Matrix
    threshold: NDArray
    kind: str
    copies: int = 1

    def __post_init__(self) -> None:
        if self.threshold.shape != (self.weight.shape[0] * self.copies,):
            raise ValueError(
                f"threshold must have shape ({self.weight.shape[0] * self.copies},), "
                f"got {self.threshold.shape}"
            )

    @property
    def n_gates(self) -> int:
        """Number of gates."""
        return len(self.threshold)

    @property
    def n_weights(self) -> int:
        """Number of weights that are not zero."""
        if sparse.issparse(self.weight):
            return int(self.weight.count_nonzero()) * self.copies
        return int(np.count_nonzero(self.weight)) * self.copies

    @property
    def is_integer(self) -> bool:
        """True if weights and thresholds are integers, by their types."""
        types = self.weight.dtype, self.threshold.dtype
        return all(np.issubdtype(t, np.integer) for t in types)

    def values(self) -> NDArray:
        """The stored non-zero weights, in no order; those of copies once."""
        data = self.weight.data if sparse.issparse(self.weight) else np.ravel(self.weight)
        return data[data != 0]

    def sums(self, inputs: NDArray) -> NDArray:
        """``inputs @ weight.T`` in the arithmetic of ``inputs``: (n, inputs) -> (n, gates).

        The plain way, without the compiled loop of `ThresholdNetwork.forward`.
        """
        rows = np.asarray((self.weight.astype(inputs.dtype) @ inputs.T).T)
        return np.repeat(rows, self.copies, axis=1)


class ThresholdNetwork:
    """Layers of threshold gates, one behind the other; none is skipped.

    Parameters
    ----------
    layers : sequence of ThresholdLayer

    Raises
    ------
    ValueError
        If there is no layer, or a layer does not fit the one before.
    """

    def __init__(self, layers: list[ThresholdLayer] | tuple[ThresholdLayer, ...]) -> None:
        self.layers = tuple(layers)
        if not self.layers:
            raise ValueError("layers must hold at least one layer, got none")
        for before, layer in zip(self.layers, self.layers[1:], strict=False):
            if layer.weight.shape[1] != before.n_gates:
                raise ValueError(
                    f"a layer of {before.n_gates} gates must be followed by one of as many "
                    f"inputs, got {layer.weight.shape[1]}"
                )

    @property
    def n_inputs(self) -> int:
        """Dimension of a point."""
        return self.layers[0].weight.shape[1]

    @property
    def depth(self) -> int:
        """Number of layers of gates, the output gate included."""
        return len(self.layers)

    @property
    def n_gates(self) -> int:
        """Gates of all layers, the output gate included."""
        return sum(layer.n_gates for layer in self.layers)

    @property
    def n_weights(self) -> int:
        """Weights that are not zero; each gate has a threshold besides."""
        return sum(layer.n_weights for layer in self.layers)

    def count(self) -> dict[str, tuple[int, int]]:
        """Gates and non-zero weights of each stage, in the order of the stages."""
        counted: dict[str, tuple[int, int]] = {}
        for layer in self.layers:
            gates, weights = counted.get(layer.kind, (0, 0))
            counted[layer.kind] = (gates + layer.n_gates, weights + layer.n_weights)
        return counted

    def stage(self, kind: str) -> list[ThresholdLayer]:
        """The layers of one stage."""
        return [layer for layer in self.layers if layer.kind == kind]

    def forward(
        self, X: ArrayLike, *, batch: int = 65536, return_hidden: bool = False
    ) -> Bits | tuple[Bits, list[Bits]]:
        """Fire all gates, layer by layer.

        Parameters
        ----------
        X : array_like, shape (n, d)
        batch : int
            Points whose real-valued first layer is computed at once, at least 1.
        return_hidden : bool
            Also return what every layer fires.

        Returns
        -------
        ndarray of uint8, shape (n,)
            The output gate. Of several, the binary number they spell, the first gate lowest.
        hidden : list of uint8 (n, gates), if ``return_hidden``

        Raises
        ------
        ValueError
            If ``X`` does not have the network's dimension, or ``batch`` is below 1.
        """
        X = np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_inputs:
            raise ValueError(f"X must have shape (n, {self.n_inputs}), got {X.shape}")
        check_integer("batch", batch, 1)
        first, rest = self.layers[0], [_compiled(layer) for layer in self.layers[1:]]
        out = np.empty((len(X), self.layers[-1].n_gates), np.uint8)
        hidden = [np.empty((len(X), layer.n_gates), np.uint8) for layer in self.layers]
        hidden = hidden if return_hidden else None
        with ThreadPoolExecutor(thread_count()) as pool:
            for start in range(0, len(X), batch):
                stop = min(start + batch, len(X))
                fired = (X[start:stop] @ first.weight.T >= first.threshold).view(np.uint8)
                if hidden is not None:
                    hidden[0][start:stop] = fired

                def walk(at: int, start: int = start, fired: Bits = fired) -> None:
                    some = fired[at : at + kernels.LANES]
                    ends = slice(start + at, start + at + len(some))
                    active = np.zeros((some.shape[1], kernels.LANES), np.int64)
                    active[:, : len(some)] = -some.T.astype(np.int64)
                    for index, (layer, arrays) in enumerate(rest, 1):
                        after = np.empty((layer.n_gates, kernels.LANES), np.int64)
                        kernels.fire(*arrays, active, after)
                        active = after
                        if hidden is not None:
                            hidden[index][ends] = (-active[:, : len(some)].T).astype(np.uint8)
                    out[ends] = (-active[:, : len(some)].T).astype(np.uint8)

                list(pool.map(walk, range(0, len(fired), kernels.LANES)))
        labels = read_number(out)
        return (labels, hidden) if return_hidden else labels

    def save(self, path: str | PathLike) -> None:
        """Store all layers in one ``.npz`` file, whole or not at all."""
        arrays = {"kinds": np.array(json.dumps([layer.kind for layer in self.layers]))}
        for i, layer in enumerate(self.layers):
            arrays[f"threshold{i}"] = layer.threshold
            arrays[f"copies{i}"] = np.array(layer.copies)
            if sparse.issparse(layer.weight):
                for part in ("data", "indices", "indptr"):
                    arrays[f"{part}{i}"] = getattr(layer.weight, part)
                arrays[f"shape{i}"] = np.array(layer.weight.shape)
            else:
                arrays[f"weight{i}"] = layer.weight
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: str | PathLike) -> ThresholdNetwork:
        """Read a network that `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            layers = []
            for i, kind in enumerate(json.loads(str(stored["kinds"]))):
                if f"weight{i}" in stored:
                    weight = stored[f"weight{i}"]
                else:
                    parts = tuple(stored[f"{part}{i}"] for part in ("data", "indices", "indptr"))
                    weight = sparse.csr_array(parts, shape=tuple(stored[f"shape{i}"]))
                copies = int(stored[f"copies{i}"])
                layers.append(ThresholdLayer(weight, stored[f"threshold{i}"], kind, copies))
        return cls(layers)

    def to_torch(self) -> torch.nn.Module:
        """The network as a torch module: float64 points (n, d) -> float32 gates (n, outputs).

        The first layer stays float64. The integer layers are float32, which is exact as long as no
        gate's sum passes 2^24.

        Raises
        ------
        ValueError
            If a gate's sum may pass 2^24.
        """
        import torch

        for layer in self.layers[1:]:
            if largest_sum(layer) >= FLOAT32_EXACT:
                raise ValueError(f"sums must stay below 2^24, got up to {largest_sum(layer)}")

        class Gates(torch.nn.Module):
            """``W x >= threshold``, as float32."""

            def __init__(self, layer: ThresholdLayer) -> None:
                super().__init__()
                dtype = torch.float32 if layer.is_integer else torch.float64
                self.register_buffer("threshold", torch.tensor(layer.threshold, dtype=dtype))
                self.register_buffer("weight", _torch_weight(layer, dtype))
                self.copies = layer.copies

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                sums = (self.weight @ x.T.to(self.weight.dtype)).T  # (n, gates)
                sums = sums.repeat_interleave(self.copies, dim=1)
                return (sums >= self.threshold).to(torch.float32)

        return torch.nn.Sequential(*(Gates(layer) for layer in self.layers))


def read_number(bits: Bits) -> Bits:
    """Rows of bits as numbers, the first bit lowest: uint8 (n, at most 8) -> (n,)."""
    return (bits << np.arange(bits.shape[1], dtype=np.uint8)).sum(axis=1, dtype=np.uint8)


def _compiled(layer: ThresholdLayer) -> tuple[ThresholdLayer, tuple]:
    """An integer layer's arrays, in the types that the kernel is compiled for."""
    if not layer.is_integer:
        raise ValueError(f"layers behind the first must be integer, got {layer.weight.dtype}")
    weight = sparse.csr_array(layer.weight)
    return layer, (
        weight.indptr.astype(np.int32),
        weight.indices.astype(np.int32),
        weight.data.astype(np.int32),
        layer.threshold.astype(np.int64),
    )


def largest_sum(layer: ThresholdLayer) -> int:
    """A bound of any partial sum of a gate of an integer layer, its threshold included."""
    sums = np.repeat(np.asarray(abs(layer.weight).sum(axis=1)).ravel(), layer.copies)
    return int((sums + np.abs(layer.threshold)).max(initial=0))


def _torch_weight(layer: ThresholdLayer, dtype: torch.dtype) -> torch.Tensor:
    import torch

    if not sparse.issparse(layer.weight):
        return torch.tensor(layer.weight, dtype=dtype)
    w = layer.weight.tocoo()
    places = torch.tensor(np.stack(w.coords).astype(np.int64))
    values = torch.tensor(w.data, dtype=dtype)
    return torch.sparse_coo_tensor(places, values, w.shape, check_invariants=True).coalesce()
