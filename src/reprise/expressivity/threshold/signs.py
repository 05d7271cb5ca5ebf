"""Stage A: random hyperplanes, the only real-valued layer, and the signs that they give."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.threshold import kernels
from reprise.expressivity.threshold.points import gaussian_gates
from reprise.runtime import in_parallel


class Signs:
    """Hyperplanes drawn so far, and on which side of each every point lies.

    Parameters
    ----------
    X : ndarray of float64, shape (n, d)
    centre : ndarray of float64, shape (d,)
    scale : float
        Hyperplanes are drawn for ``(X - centre) / scale`` and moved to the units of X.
    rng : numpy.random.Generator

    Attributes
    ----------
    normals, threshold : float64 (m1, d) and (m1,)
    words : uint64 (n, words)
        The signs, 64 a word.
    margin : float
        Smallest |<g, x> + b|, after scaling.
    """

    def __init__(
        self, X: NDArray, centre: NDArray, scale: float, *, rng: np.random.Generator
    ) -> None:
        self.X, self.centre, self.scale, self.rng = X, centre, scale, rng
        self.reach = float(np.sqrt(np.einsum("ij,ij->i", X, X).max()))
        self.draw_afresh(0)

    def draw_afresh(self, m1: int) -> None:
        """Forget all hyperplanes and draw others."""
        self.normals = np.empty((0, self.X.shape[1]))
        self.threshold = np.empty(0)
        self.words = np.empty((len(self.X), 0), np.uint64)
        self.margin = math.inf
        self.extend(m1)

    def extend(self, m1: int) -> None:
        """Keep the old hyperplanes, draw what is missing to m1."""
        first = len(self.normals)
        if m1 <= first:
            return
        normals, offsets = gaussian_gates(m1 - first, self.X.shape[1], rng=self.rng)
        # in the units of X: <g, (x - c) / s> + b >= 0
        threshold = normals @ self.centre - offsets * self.scale
        words = np.zeros((len(self.X), (m1 + 63) // 64), np.uint64)
        words[:, : self.words.shape[1]] = self.words
        small = normals.astype(np.float32)
        length = float(np.sqrt(np.einsum("ij,ij->i", normals, normals).max()))
        rounding = 2.0**-23 * (self.X.shape[1] + 4) * (self.reach * length)
        tolerance = max(1e-4 * self.scale, rounding)
        rows = max(1, min(kernels.ROWS, (1 << 22) // (m1 - first)))

        def pack(start: int) -> float:
            X = self.X[start : start + rows]
            values = X.astype(np.float32) @ small.T
            return kernels.pack_signs(
                values, X, normals, threshold, tolerance, first, words[start : start + rows]
            )

        margins = in_parallel(pack, range(0, len(self.X), rows))
        self.margin = min(self.margin, min(margins) / self.scale)
        self.normals = np.concatenate([self.normals, normals])
        self.threshold = np.concatenate([self.threshold, threshold])
        self.words = words

    def all_distinct(self) -> bool:
        """True if no two points have the same signs; ValueError if two points are the same."""
        hashes = np.empty(len(self.X), np.uint64)
        kernels.hash_rows(self.words, hashes)
        ordered = np.sort(hashes)
        twins = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(twins) == 0:
            return True
        same = np.flatnonzero(hashes == twins[0])
        for i, j in pairwise(same):
            if (self.X[i] == self.X[j]).all():
                raise ValueError(f"points {i} and {j} coincide: remove one of them")
        return False
