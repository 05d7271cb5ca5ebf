"""A looped transformer: a few encoder layers whose output is fed back as their input.

One layer maps a sequence X (d rows, n columns) to Y + W2 ReLU(W1 Y), where Y adds to X what each
attention head fetches: Y = X + sum_h V_h X P_h, with P_h the column softmax of
lambda (K_h X)^T (Q_h X). Nothing is trained and nothing is hidden: there are no biases, no
normalisation, no positions beside those that stand in X, and between two passes of the loop nothing
happens to X. Weights are written by hand, in `subleq` and `fleq`.

Giannou, Rajput, Sohn, Lee, Lee, Papailiopoulos, "Looped Transformers as Programmable Computers",
ICML 2023, arXiv 2301.13196.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from reprise.runtime import check_integer


class Head(nn.Module):
    """One attention head with given weights.

    Parameters
    ----------
    Q, K : Tensor, shape (r, d)
        Query and key matrices.
    V : Tensor, shape (d, d)
        Value matrix. It is kept in factors, ``V = O U``: the rows U that are not zero, and the
        matrix O of zeros and ones that puts them in their place. That saves most of the work and
        changes no bit.
    soft : bool
        True for a head that calculates: always softmax at scale 1, whatever the loop's lambda.
    """

    def __init__(self, Q: Tensor, K: Tensor, V: Tensor, soft: bool = False) -> None:
        super().__init__()
        Q, K, V = (torch.as_tensor(w, dtype=torch.float64) for w in (Q, K, V))
        d = V.shape[-1]
        if V.shape != (d, d):
            raise ValueError(f"V must be square, got shape {tuple(V.shape)}")
        if Q.ndim != 2 or Q.shape != K.shape or Q.shape[1] != d:
            raise ValueError(
                f"Q and K must both have shape (r, {d}), got {tuple(Q.shape)} and {tuple(K.shape)}"
            )
        rows = V.any(dim=1).nonzero()[:, 0]
        self.register_buffer("Q", Q)
        self.register_buffer("K", K)
        self.register_buffer("U", V[rows])  # (v, d)
        self.register_buffer("O", torch.eye(d, dtype=torch.float64)[:, rows])  # (d, v)
        self.soft = bool(soft)

    @property
    def V(self) -> Tensor:
        """The value matrix, shape (d, d)."""
        return self.O @ self.U

    def weights(self, X: Tensor, lam: float | None) -> Tensor:
        """Attention weights P, shape (..., key, query); each column sums to one."""
        scores = (self.K @ X).mT @ (self.Q @ X)  # (..., n, n)
        if self.soft:
            return scores.softmax(dim=-2)
        if lam is not None:
            return (lam * scores).softmax(dim=-2)
        best = (scores == scores.amax(dim=-2, keepdim=True)).to(scores.dtype)
        return best / best.sum(dim=-2, keepdim=True)

    def forward(self, X: Tensor, lam: float | None = None) -> Tensor:
        """What the head adds to X, shape (..., d, n)."""
        return self.O @ ((self.U @ X) @ self.weights(X, lam))


class FeedForward(nn.Module):
    """The map Y -> W2 ReLU(W1 Y), on every column alone.

    Parameters
    ----------
    W1 : Tensor, shape (h, d)
    W2 : Tensor, shape (d, h)
    """

    def __init__(self, W1: Tensor, W2: Tensor) -> None:
        super().__init__()
        W1, W2 = (torch.as_tensor(w, dtype=torch.float64) for w in (W1, W2))
        if W1.ndim != 2 or W1.T.shape != W2.shape:
            raise ValueError(
                f"W1 and W2 must have shapes (h, d) and (d, h), got {tuple(W1.shape)} and "
                f"{tuple(W2.shape)}"
            )
        self.register_buffer("W1", W1)
        self.register_buffer("W2", W2)
        self.relu = nn.ReLU()

    def forward(self, Y: Tensor) -> Tensor:
        """What the network adds to Y, shape (..., d, n)."""
        return self.W2 @ self.relu(self.W1 @ Y)


class Layer(nn.Module):
    """Attention heads side by side, then a feed-forward network; both add to the sequence.

    Parameters
    ----------
    heads : iterable of Head
        There may be none.
    W1 : Tensor, shape (h, d)
    W2 : Tensor, shape (d, h)
    """

    def __init__(self, heads: Iterable[Head], W1: Tensor, W2: Tensor) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.ffn = FeedForward(W1, W2)

    @property
    def W1(self) -> Tensor:
        """Weights into the hidden neurons, shape (h, d)."""
        return self.ffn.W1

    @property
    def W2(self) -> Tensor:
        """Weights out of the hidden neurons, shape (d, h)."""
        return self.ffn.W2

    def attend(self, X: Tensor, lam: float | None = None) -> Tensor:
        """The sequence after the heads, shape (..., d, n)."""
        Y = X
        for head in self.heads:
            Y = Y + head(X, lam)
        return Y

    def forward(self, X: Tensor, lam: float | None = None) -> Tensor:
        """The sequence after the layer, shape (..., d, n)."""
        Y = self.attend(X, lam)
        return Y + self.ffn(Y)


@dataclass(frozen=True)
class Budget:
    """What a transformer costs.

    Attributes
    ----------
    layers : int
    heads : tuple of int
        Attention heads of each layer.
    width : int
        Rows d of the sequence.
    ffn : tuple of int
        Hidden neurons of each layer.
    nonzeros : tuple of int
        Weights W1, W2 of each layer that are not zero.
    """

    layers: int
    heads: tuple[int, ...]
    width: int
    ffn: tuple[int, ...]
    nonzeros: tuple[int, ...]


class LoopedTransformer(nn.Module):
    """Layers with fixed weights, applied again and again to their own output.

    Parameters
    ----------
    layers : sequence of Layer
        At least one, all of one width d.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        layers = list(layers)
        if not layers:
            raise ValueError("layers must hold at least one layer, got none")
        widths = {layer.W1.shape[1] for layer in layers}
        widths |= {head.Q.shape[1] for layer in layers for head in layer.heads}
        if len(widths) != 1:
            raise ValueError(f"layers must have one width, got {sorted(widths)}")
        self.layers = nn.ModuleList(layers)
        self.width = widths.pop()

    def forward(self, X: Tensor, lam: float | None = None) -> Tensor:
        """One pass through all layers.

        Parameters
        ----------
        X : Tensor, shape (..., d, n), float64
        lam : float, optional
            Inverse temperature of the heads that decode addresses; by default hardmax, uniform over
            the keys of highest score.

        Returns
        -------
        Tensor, shape (..., d, n)

        Raises
        ------
        ValueError
            If ``lam`` is not positive, or X has another width or dtype than the weights.
        """
        self._check(X, lam)
        for layer in self.layers:
            X = layer(X, lam)
        return X

    def loop(self, X: Tensor, steps: int, lam: float | None = None, trace: bool = False) -> Tensor:
        """Feed the output back ``steps`` times.

        Parameters
        ----------
        X : Tensor, shape (..., d, n)
        steps : int
        lam : float, optional
        trace : bool
            True to return all states.

        Returns
        -------
        Tensor, shape (..., d, n), or (steps + 1, ..., d, n) with ``trace``

        Raises
        ------
        ValueError
            As `forward`, and if ``steps`` is not an integer of at least 0.
        """
        check_integer("steps", steps, 0)
        self._check(X, lam)
        states = [X]
        for _ in range(steps):
            X = self(X, lam)
            if trace:
                states.append(X)
        return torch.stack(states) if trace else X

    def attention(self, X: Tensor, lam: float | None = None) -> list[list[Tensor]]:
        """Attention weights of one pass: for each layer, for each head, shape (..., key, query).

        Raises
        ------
        ValueError
            As `forward`.
        """
        self._check(X, lam)
        shown = []
        for layer in self.layers:
            shown.append([head.weights(X, lam) for head in layer.heads])
            X = layer(X, lam)
        return shown

    def sha256(self) -> str:
        """Hash of all weights: Q, K, V and ``soft`` of every head, W1 and W2 of every layer."""
        digest = hashlib.sha256()
        for layer in self.layers:
            arrays = [w for head in layer.heads for w in (head.Q, head.K, head.V)]
            flags = [head.soft for head in layer.heads]
            for array in [*arrays, layer.W1, layer.W2]:
                digest.update(repr(tuple(array.shape)).encode())
                # + 0.0 makes one zero of two
                digest.update((array + 0.0).cpu().contiguous().numpy().tobytes())
            digest.update(repr(flags).encode())
        return digest.hexdigest()

    def budget(self) -> Budget:
        """Layers, heads, width, hidden neurons and weights that are not zero."""
        return Budget(
            layers=len(self.layers),
            heads=tuple(len(layer.heads) for layer in self.layers),
            width=self.width,
            ffn=tuple(layer.W1.shape[0] for layer in self.layers),
            nonzeros=tuple(
                int(layer.W1.count_nonzero() + layer.W2.count_nonzero()) for layer in self.layers
            ),
        )

    def used_rows(self) -> Tensor:
        """Which rows of the sequence some weight reads or writes, shape (d,), bool."""
        used = torch.zeros(self.width, dtype=torch.bool)
        for layer in self.layers:
            used |= layer.W1.any(dim=0).cpu() | layer.W2.any(dim=1).cpu()
            for head in layer.heads:
                for read in (head.Q, head.K, head.U):
                    used |= read.any(dim=0).cpu()
                used |= head.O.any(dim=1).cpu()
        return used

    def _check(self, X: Tensor, lam: float | None) -> None:
        if lam is not None and not (lam > 0 and math.isfinite(lam)):
            raise ValueError(f"lam must be positive and finite, or None for hardmax, got {lam!r}")
        if X.ndim < 2 or X.shape[-2] != self.width:
            raise ValueError(f"X must have shape (..., {self.width}, n), got {tuple(X.shape)}")
        if X.dtype != self.layers[0].W1.dtype:
            raise ValueError(f"X must have dtype {self.layers[0].W1.dtype}, got {X.dtype}")
