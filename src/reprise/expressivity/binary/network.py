"""A target network written with the weights 1, 0 and -1: quantise, then one matrix after another.

Depth makes powers of two. Two equal neurons that are added double a value, so after t layers of
such pairs the value 2^t h is at hand, and a weight of k bits adds those powers that its bits name.
A target layer takes k + 3 matrices, and the result is the quantised target exactly, times 2^(k l).

The statement is that of Sreenivasan, Rajput, Sohn, Papailiopoulos, "Finding Everything within
Random Binary Networks", AISTATS 2022, arXiv 2110.08996 (abstract). The matrices are derived here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from reprise.runtime import is_integer

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_BITS = 24
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


# --- quantise -------------------------------------------------------------------------------------


def quantize(weights: Sequence[ArrayLike], bits: int) -> list[Integers]:
    """Round weights to multiples of 2^-bits: the integers ``Q = rint(2^bits W)``, ties to even.

    Parameters
    ----------
    weights : sequence of array_like, shape (out, in)
        A target's layers, first layer first; entries in [-1, 1].
    bits : int
        1 to 24.

    Returns
    -------
    list of ndarray of int64, shape (out, in)
        ``|Q| <= 2^bits`` and ``|Q / 2^bits - W| <= 2^(-bits-1)``.

    Raises
    ------
    ValueError
        If there is no layer, a layer is not a matrix, is not finite, leaves [-1, 1] or does not fit
        the layer before it, or bits is out of range.
    """
    checked_bits(bits)
    return [_round(np.ldexp(w, bits)).astype(np.int64) for w in checked_weights(weights)]


def quantization_bound(shapes: Sequence[tuple[int, int]], bits: int) -> float:
    """The error that rounding to ``bits`` bits can cause at most, from the shapes alone.

    With spectral norms of at most 1 and inputs in the unit ball it is ``prod(1 + eta_i) - 1``,
    ``eta_i = sqrt(m n) 2^(-bits-1)`` (derived here).

    Parameters
    ----------
    shapes : sequence of (out, in)
    bits : int
        1 to 24.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no shapes, one is not of positive integers, or bits is out of range.
    """
    checked_bits(bits)
    etas = [math.sqrt(m * n) * 0.5 ** (bits + 1) for m, n in _checked_shapes(shapes)]
    return math.expm1(math.fsum(map(math.log1p, etas)))


def quantization_certificate(weights: Sequence[ArrayLike], bits: int) -> float:
    """Like `quantization_bound`, with the spectral norms of the actual rounding errors.

    Valid for weights of spectral norm at most 1 and inputs in the unit ball.

    Parameters
    ----------
    weights : sequence of array_like, shape (out, in)
    bits : int
        1 to 24.

    Returns
    -------
    float
        ``prod(1 + ||W_i - Q_i / 2^bits||_2) - 1``, at most the closed bound.

    Raises
    ------
    ValueError
        As for `quantize`.
    """
    norms = [
        np.linalg.norm(np.asarray(w) - np.ldexp(q.astype(np.float64), -bits), 2)
        for w, q in zip(weights, quantize(weights, bits), strict=True)
    ]
    return math.expm1(math.fsum(map(math.log1p, norms)))


def bits_for(shapes: Sequence[tuple[int, int]], eps: float) -> int:
    """The least number of bits whose closed bound is at most ``eps``.

    Parameters
    ----------
    shapes : sequence of (out, in)
    eps : float
        Between 0 and 1.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If eps lies outside (0, 1) or needs more than 24 bits.
    """
    checked_fraction("eps", eps)
    for bits in range(1, MAX_BITS + 1):
        if quantization_bound(shapes, bits) <= eps:
            return bits
    raise ValueError(f"eps {eps:g} needs more than {MAX_BITS} bits")


# --- digits ---------------------------------------------------------------------------------------


def binary_digits(q: ArrayLike, length: int) -> NDArray[np.int8]:
    """Signed bits, least significant first: ``sign(q)`` times the bits of ``|q|``.

    Parameters
    ----------
    q : array_like of int
    length : int

    Returns
    -------
    ndarray of int8, shape (..., length)
        ``q == (digits * 2**arange(length)).sum(-1)``.

    Raises
    ------
    ValueError
        If a number needs more digits, or q is not of integers.
    """
    q = _checked_digits_input(q, length)
    bits = (np.abs(q)[..., None] >> np.arange(length)) & 1
    return _checked_value(q, np.sign(q)[..., None] * bits)


def canonical_digits(q: ArrayLike, length: int = 26) -> NDArray[np.int8]:
    """Digits -1, 0, 1, least significant first, no two neighbours both non-zero.

    This form is unique and has the fewest non-zeros, on average a third of its length (Reitwiesner
    1960). It may need one digit more than the bits.

    Parameters
    ----------
    q : array_like of int
        At most 2^24 in absolute value for the default length.
    length : int

    Returns
    -------
    ndarray of int8, shape (..., length)
        ``q == (digits * 2**arange(length)).sum(-1)``.

    Raises
    ------
    ValueError
        If a number needs more digits, or q is not of integers.
    """
    q = _checked_digits_input(q, length)
    half, whole = np.abs(q) >> 1, np.abs(q)
    carried = whole + half  # 3|q| / 2, whose differences from |q| / 2 are the digits
    changed = carried ^ half
    places = np.arange(length)
    plus, minus = (((part & changed)[..., None] >> places) & 1 for part in (carried, half))
    return _checked_value(q, np.sign(q)[..., None] * (plus - minus))


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


# --- targets --------------------------------------------------------------------------------------


def extreme_target(sizes: Sequence[int], rng: np.random.Generator) -> list[Array]:
    """Weights of exactly -1, 0 and 1, equally likely: the only ones that need the highest plane."""
    pairs = itertools.pairwise(sizes)
    return [rng.integers(-1, 2, size=(m, n)).astype(np.float64) for n, m in pairs]


# --- checks ---------------------------------------------------------------------------------------


def checked_bits(bits: int) -> int:
    """Return ``bits`` if it is an integer from 1 to 24.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not is_integer(bits) or not 1 <= bits <= MAX_BITS:
        raise ValueError(f"bits must be between 1 and {MAX_BITS}, got {bits!r}")
    return int(bits)


def checked_fraction(name: str, value: float) -> float:
    """Return a number strictly between 0 and 1.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie in (0, 1), got {value!r}")
    return float(value)


def checked_weights(weights: Sequence[ArrayLike]) -> list[Array]:
    """Return a target's layers as float64 matrices that fit each other.

    Raises
    ------
    ValueError
        Naming the layer and what is wrong with it; see `quantize`.
    """
    layers = [np.asarray(w, dtype=np.float64) for w in weights]
    if not layers:
        raise ValueError("weights must hold at least one layer, got none")
    for index, w in enumerate(layers):
        if w.ndim != 2 or w.size == 0:
            raise ValueError(f"weights[{index}] must have shape (out, in), got {w.shape}")
        if not np.isfinite(w).all():
            raise ValueError(f"weights[{index}] must be finite")
        if (largest := w.flat[np.abs(w).argmax()]) ** 2 > 1:
            raise ValueError(f"weights must lie in [-1, 1], got {largest:g}")
        if index and w.shape[1] != len(layers[index - 1]):
            raise ValueError(
                f"layer {index + 1} expects {len(layers[index - 1])} inputs, got {w.shape[1]}"
            )
    return layers


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


def _round(values: Array) -> Array:
    """The nearest integers, ties to even."""
    return np.rint(values)


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


def _checked_shapes(shapes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Shapes (out, in) of positive integers."""
    pairs = [tuple(shape) for shape in shapes]
    if not pairs:
        raise ValueError("shapes must hold at least one (out, in), got none")
    for pair in pairs:
        if len(pair) != 2 or any(not isinstance(v, int | np.integer) or v < 1 for v in pair):
            raise ValueError(f"shapes must hold pairs of positive integers, got {pair!r}")
    return pairs


def _checked_digits_input(q: ArrayLike, length: int) -> Integers:
    """Integers, and a number of digits that int64 holds."""
    q = np.asarray(q)
    if q.dtype.kind not in "iu":
        raise ValueError(f"q must hold integers, got {q.dtype}")
    if not 1 <= length <= 62:
        raise ValueError(f"length must be between 1 and 62, got {length!r}")
    return q.astype(np.int64)


def _checked_value(q: Integers, digits: NDArray) -> NDArray[np.int8]:
    """Refuse digits that lost a part of the number."""
    length = digits.shape[-1]
    lost = q != (digits << np.arange(length)).sum(axis=-1)
    if lost.any():
        raise ValueError(f"q must fit {length} digits, got {int(q[lost].flat[0])}")
    return digits.astype(np.int8)
