"""A target network written with the weights 1, 0 and -1: one matrix after another.

Depth makes powers of two. Two equal neurons that are added double a value, so after t layers of
such pairs the value 2^t h is at hand, and a weight of k bits adds those powers that its bits name.
A target layer takes k + 3 matrices, and the result is the quantised target exactly, times 2^(k l).

The statement is that of Sreenivasan, Rajput, Sohn, Papailiopoulos, "Finding Everything within
Random Binary Networks", AISTATS 2022, arXiv 2110.08996 (abstract). The matrices are derived here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.expressivity.binary.quantization import (
    binary_digits,
    canonical_digits,
    checked_bits,
    quantize,
)

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

INT64_LIMIT = 2**62


@dataclass(frozen=True, eq=False)
class EdgeList:
    """All edges of a network's matrices in one flat list, row by row.

    Attributes
    ----------
    row_ptr : int64 (rows + 1,)
        Edges ``row_ptr[r]`` to ``row_ptr[r + 1]`` enter row r; rows are counted over all matrices.
    columns : int32 (edges,)
        Column of each edge within its matrix.
    signs : int8 (edges,)
        +1 or -1.
    row_start, column_start : int64 (matrices + 1,)
        First row and first column of each matrix, counted over all matrices.
    """

    row_ptr: Integers
    columns: NDArray[np.int32]
    signs: NDArray[np.int8]
    row_start: Integers
    column_start: Integers


@dataclass(frozen=True, eq=False)
class BinaryNetwork:
    """A target with ``bits``-bit weights as a chain of matrices with entries 1, 0 and -1.

    Attributes
    ----------
    matrices : tuple of scipy.sparse.csr_array of int8
        In the order in which they act; a ReLU follows each but the last.
    quantized : tuple of ndarray of int64, shape (out, in)
        The integers Q of the target's layers.
    bits : int
    layer_starts : tuple of int
        Index of each target layer's enter matrix.
    """

    matrices: tuple[sparse.csr_array, ...]
    quantized: tuple[Integers, ...]
    bits: int
    layer_starts: tuple[int, ...]

    @property
    def scale_log2(self) -> int:
        """The exponent of the one known factor: the output is to be multiplied by 2 to it."""
        return -self.bits * len(self.quantized)

    @property
    def depth(self) -> int:
        """Number of matrices, counted."""
        return len(self.matrices)

    @cached_property
    def width(self) -> int:
        """The largest number of rows or columns of a matrix."""
        return max(max(matrix.shape) for matrix in self.matrices)

    @cached_property
    def n_edges(self) -> int:
        """Number of entries that are not zero, over all matrices."""
        return sum(matrix.nnz for matrix in self.matrices)

    @cached_property
    def edges(self) -> EdgeList:
        """The matrices as one flat list, for compiled loops."""
        rows, columns = np.array([matrix.shape for matrix in self.matrices], dtype=np.int64).T
        counts = [np.diff(matrix.indptr) for matrix in self.matrices]
        return EdgeList(
            row_ptr=_starts(np.concatenate(counts)),
            columns=np.concatenate([m.indices for m in self.matrices]).astype(np.int32),
            signs=np.concatenate([m.data for m in self.matrices]),
            row_start=_starts(rows),
            column_start=_starts(columns),
        )

    def forward(self, x: ArrayLike, exact: bool = False) -> NDArray:
        """Walk the matrices.

        Parameters
        ----------
        x : array_like, shape (batch, d_in)
        exact : bool
            True takes integers and returns integers, without the factor.

        Returns
        -------
        ndarray, shape (batch, d_out)
            float64 scaled by ``2**scale_log2``; with ``exact`` int64, unscaled.

        Raises
        ------
        ValueError
            If x has another shape, is not finite, is not of integers where ``exact`` asks for
            them, or is so large that int64 might overflow.
        """
        values = checked_input(x, self.matrices[0].shape[1], exact)
        if exact:
            self._check_range(values)
        h = np.ascontiguousarray(values.T)
        last = self.depth - 1
        for index, matrix in enumerate(self.matrices):
            h = matrix @ h
            if index < last:
                np.maximum(h, 0, out=h)
        return h.T if exact else np.ldexp(h.T, self.scale_log2)

    def _check_range(self, x: Integers) -> None:
        """Refuse inputs whose largest possible sum does not fit; Python's integers do not wrap."""
        largest = max((abs(int(v)) for v in (x.min(initial=0), x.max(initial=0))), default=0)
        for q in self.quantized:
            largest *= int(np.abs(q).sum(axis=1).max())
        if largest >= INT64_LIMIT:
            raise ValueError(
                "the exact range of int64 is exceeded: max|x| times the row sums of |Q| must be "
                f"below 2^62, got {float(largest):.3g}"
            )


# --- matrices -------------------------------------------------------------------------------------


def split_matrix(n: int) -> sparse.csr_array:
    """``[I; -I]``, shape (2n, n): before a ReLU it parts x into its positive and negative part."""
    eye = sparse.eye_array(n, dtype=np.int8)
    return sparse.csr_array(sparse.vstack([eye, -eye], dtype=np.int8))


def enter_matrix(m: int, n: int) -> sparse.csr_array:
    """Copy each of n inputs into its pair of doublers; the 2m accumulators start at zero.

    Returns
    -------
    scipy.sparse.csr_array of int8, shape (2n + 2m, n)
    """
    return _binary(np.arange(2 * n), np.arange(2 * n) // 2, np.ones(2 * n), (2 * n + 2 * m, n))


def plane_matrix(digits: NDArray[np.int8]) -> sparse.csr_array:
    """Add one plane of digits to the accumulators, and double the doublers.

    Both neurons of pair j hold 2^t h_j and become 2^(t+1) h_j. Accumulator P_i keeps its value and
    gains 2^t h_j where the digit is +1, accumulator N_i where it is -1.

    Parameters
    ----------
    digits : ndarray of int8, shape (m, n)
        The plane t of the weights: -1, 0 or 1.

    Returns
    -------
    scipy.sparse.csr_array of int8, shape (2n + 2m, 2n + 2m)
    """
    m, n = digits.shape
    doublers, size = np.arange(2 * n), 2 * n + 2 * m
    kept = np.arange(2 * n, size)
    positive, negative = np.nonzero(digits > 0), np.nonzero(digits < 0)
    rows = [doublers, doublers, kept, 2 * n + positive[0], 2 * n + m + negative[0]]
    # the first neuron of a pair feeds the accumulators: one edge for each bit that is set
    columns = [doublers, doublers ^ 1, kept, 2 * positive[1], 2 * negative[1]]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    return _binary(rows, columns, np.ones(len(rows)), (size, size))


def leave_matrix(m: int, n: int) -> sparse.csr_array:
    """Read ``P - N`` out of the state.

    Returns
    -------
    scipy.sparse.csr_array of int8, shape (m, 2n + 2m)
    """
    rows = np.concatenate([np.arange(m), np.arange(m)])
    signs = np.repeat([1, -1], m)
    return _binary(rows, 2 * n + np.arange(2 * m), signs, (m, 2 * n + 2 * m))


def layer_matrices(Q: ArrayLike, bits: int, *, canonical: bool = False) -> list[sparse.csr_array]:
    """The matrices of one target layer: enter, one for each plane of digits, leave.

    Their product, a ReLU after each but the last, maps ``h >= 0`` to ``Q h`` exactly.

    Parameters
    ----------
    Q : array_like of int, shape (m, n)
        At most 2^bits in absolute value.
    bits : int
        1 to 24.
    canonical : bool
        True takes `canonical_digits`: fewer edges, one plane more.

    Returns
    -------
    list of scipy.sparse.csr_array of int8
        ``bits + 3`` matrices (with ``canonical`` one more) of shapes (S, n), (S, S), ..., (m, S),
        where S = 2n + 2m.

    Raises
    ------
    ValueError
        If Q is not a matrix of integers, an entry exceeds 2^bits, or bits is out of range.
    """
    checked_bits(bits)
    q = np.asarray(Q)
    if q.ndim != 2 or q.size == 0 or q.dtype.kind not in "iu":
        raise ValueError(f"Q must be a matrix of integers, got {q.dtype} of shape {q.shape}")
    if (largest := int(np.abs(q.astype(np.int64)).max())) > 2**bits:
        raise ValueError(f"Q must lie in [-2^{bits}, 2^{bits}], got {largest} in absolute value")
    # plane `bits` is needed for weights of 1 and -1, a further one for canonical digits
    expand, length = (canonical_digits, bits + 2) if canonical else (binary_digits, bits + 1)
    planes = np.moveaxis(expand(q, length), -1, 0)  # (planes, m, n)
    return [enter_matrix(*q.shape), *map(plane_matrix, planes), leave_matrix(*q.shape)]


def binary_network(
    weights: Sequence[ArrayLike], bits: int, *, canonical: bool = False
) -> BinaryNetwork:
    """Write a target network with the weights 1, 0 and -1.

    The first matrix splits a signed input into its positive and negative parts; the first target
    layer becomes ``[Q, -Q]`` on them. Later inputs are never negative.

    Parameters
    ----------
    weights : sequence of array_like, shape (out, in)
        A ReLU network without biases, first layer first; entries in [-1, 1].
    bits : int
        1 to 24.
    canonical : bool
        As for `layer_matrices`.

    Returns
    -------
    BinaryNetwork

    Raises
    ------
    ValueError
        As for `quantize`.
    """
    quantized = quantize(weights, bits)
    matrices, starts = [split_matrix(quantized[0].shape[1])], []
    for index, q in enumerate(quantized):
        starts.append(len(matrices))
        signed = q if index else np.hstack([q, -q])
        matrices += layer_matrices(signed, bits, canonical=canonical)
    return BinaryNetwork(tuple(matrices), tuple(quantized), bits, tuple(starts))


def extreme_target(sizes: Sequence[int], *, rng: np.random.Generator) -> list[Array]:
    """Weights of exactly -1, 0 and 1, equally likely: the only ones that need the highest plane."""
    pairs = itertools.pairwise(sizes)
    return [rng.integers(-1, 2, size=(m, n)).astype(np.float64) for n, m in pairs]


def checked_input(x: ArrayLike, d_in: int, exact: bool = False) -> NDArray:
    """Return x as float64, or with ``exact`` as int64, of shape (batch, d_in).

    Raises
    ------
    ValueError
        If x has another shape or type, is not finite, or has no int64.
    """
    values = np.asarray(x)
    if exact and values.dtype.kind not in "iu":
        raise ValueError(f"x must hold integers where exact=True, got {values.dtype}")
    if values.ndim != 2 or values.shape[1] != d_in:
        raise ValueError(f"x must have shape (batch, {d_in}), got {values.shape}")
    if exact:
        if values.dtype == np.uint64 and values.max(initial=0) >= INT64_LIMIT:
            raise ValueError("the exact range of int64 is exceeded: x must be below 2^62")
        return values.astype(np.int64)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("x must be finite")
    return values


def _starts(counts: ArrayLike) -> Integers:
    """Where each of several runs begins if they follow each other: int64 (len + 1,)."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _binary(
    rows: NDArray, columns: NDArray, signs: NDArray, shape: tuple[int, int]
) -> sparse.csr_array:
    """An int8 matrix from its entries, rows and columns sorted."""
    matrix = sparse.csr_array((signs.astype(np.int8), (rows, columns)), shape=shape)
    matrix.sort_indices()
    return matrix
