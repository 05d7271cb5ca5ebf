"""Find a network with the weights 1, 0 and -1 inside a random one, by deleting weights.

Each logical matrix A (m x n) is replaced by two random matrices with entries +1 and -1: B1 of
shape (nR, n), a ReLU, and B2 of shape (m, nR). Each of the n inputs has R helpers. An edge of sign
s takes the first helper whose two random weights carry it; everything else is deleted. One helper
serves with probability 1/4, so an edge stays without one with probability (3/4)^R, and
R = ln(E / delta) / ln(4/3) helpers suffice for E edges with probability 1 - delta (derived here).

Nothing random is stored, see `signs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.binary import signs
from reprise.expressivity.binary.network import BinaryNetwork, checked_input
from reprise.expressivity.relu import checked_fraction
from reprise.runtime import check_integer, generator

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

DENSE_LIMIT = 2**31


class EmbeddingError(RuntimeError):
    """Some edges of the logical network found no helper in this draw.

    Attributes
    ----------
    failures, n_edges, helpers : int
    enough : int
        A number of helpers with which this draw succeeds.
    """

    def __init__(self, failures: int, n_edges: int, helpers: int, enough: int) -> None:
        super().__init__(
            f"{failures} of {n_edges} edges found no helper with helpers={helpers}; "
            f"use at least {enough}"
        )
        self.failures = failures
        self.n_edges = n_edges
        self.helpers = helpers
        self.enough = enough


@dataclass(frozen=True, eq=False)
class PrunedBinaryNetwork:
    """A random network with weights +1 and -1 of which some are kept.

    Its matrices 2i and 2i + 1 stand for the logical matrix i.

    Attributes
    ----------
    network : BinaryNetwork
        The logical network that it computes.
    helpers : int
        R, helpers an input.
    failures : int
        Edges of the logical network that are missing.
    """

    network: BinaryNetwork
    helpers: int
    failures: int
    _key: np.uint64 = field(repr=False)
    _start: Integers = field(repr=False)  # first helper of each logical matrix
    _source: NDArray[np.int32] = field(repr=False)  # input of each helper in use
    _which: NDArray[np.int32] = field(repr=False)  # its index among that input's helpers
    _first_signs: NDArray[np.int8] = field(repr=False)
    _numbers: NDArray[np.int32] = field(repr=False)  # helper of each edge
    _second_signs: NDArray[np.int8] = field(repr=False)

    @property
    def depth(self) -> int:
        """Number of random matrices."""
        return 2 * (len(self._start) - 1)

    @property
    def width(self) -> int:
        """The largest number of rows or columns of a random matrix."""
        return max(max(self.shape(i)) for i in range(self.depth))

    @property
    def n_parameters(self) -> int:
        """Number of random weights, kept and deleted."""
        return sum(math.prod(self.shape(i)) for i in range(self.depth))

    @property
    def n_kept(self) -> int:
        """Number of weights that are kept."""
        return len(self._source) + len(self._numbers) - self.failures

    @property
    def n_bytes(self) -> int:
        """Memory of what is stored about the kept weights."""
        arrays = (self._start, self._source, self._which, self._first_signs, self._numbers)
        return sum(array.nbytes for array in (*arrays, self._second_signs))

    def shape(self, i: int) -> tuple[int, int]:
        """Shape (rows, columns) of random matrix i."""
        m, n = self.network.matrices[self._logical(i)].shape
        return (n * self.helpers, n) if i % 2 == signs.FIRST else (m, n * self.helpers)

    def kept(self, i: int) -> tuple[Integers, Integers, NDArray[np.int8]]:
        """Rows, columns and signs of the weights of random matrix i that are kept.

        Returns
        -------
        rows, columns : ndarray of int64, shape (kept,)
        signs : ndarray of int8, shape (kept,)
            What `forward` multiplies with.

        Raises
        ------
        ValueError
            If there is no matrix i.
        """
        logical = self._logical(i)
        own = slice(self._start[logical], self._start[logical + 1])
        # the rows of B1 and the columns of B2 are counted alike: input times R plus helper
        places = self._source[own].astype(np.int64) * self.helpers + self._which[own]
        if i % 2 == signs.FIRST:
            return places, self._source[own].astype(np.int64), self._first_signs[own]
        edges = self.network.edges
        first, end = edges.row_start[logical : logical + 2]
        bounds = edges.row_ptr[first : end + 1]
        row = np.repeat(np.arange(end - first), np.diff(bounds))
        numbers = self._numbers[bounds[0] : bounds[-1]]
        present = numbers != signs.NONE
        second = self._second_signs[bounds[0] : bounds[-1]]
        return row[present], places[numbers[present]], second[present]

    def random_signs(self, i: int, rows: ArrayLike, columns: ArrayLike) -> NDArray[np.int8]:
        """Random weights of matrix i, kept or deleted, drawn again from the counter.

        Parameters
        ----------
        i : int
        rows, columns : array_like of int, shape (places,)

        Returns
        -------
        ndarray of int8, shape (places,)

        Raises
        ------
        ValueError
            If there is no matrix i or a place lies outside it.
        """
        logical, shape = self._logical(i), self.shape(i)
        rows, columns = np.broadcast_arrays(np.atleast_1d(rows), np.atleast_1d(columns))
        rows, columns = rows.astype(np.int64).ravel(), columns.astype(np.int64).ravel()
        for name, places, size in (("rows", rows, shape[0]), ("columns", columns, shape[1])):
            if len(places) and not (places.min() >= 0 and places.max() < size):
                raise ValueError(f"{name} must lie in 0..{size - 1} for random matrix {i}")
        n = self.network.matrices[logical].shape[1]
        return signs.read_signs(self._key, logical, i % 2, self.helpers, n, rows, columns)

    def dense(self, i: int) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """All weights of random matrix i, and which are kept.

        Returns
        -------
        weights : ndarray of int8, shape (rows, columns)
        mask : ndarray of bool, shape (rows, columns)

        Raises
        ------
        ValueError
            If there is no matrix i or it has more than 2^31 entries.
        """
        shape = self.shape(i)
        if math.prod(shape) > DENSE_LIMIT:
            raise ValueError(
                f"random matrix {i} must have at most 2^31 entries to be built, got "
                f"{shape[0]} x {shape[1]}"
            )
        weights, mask = np.empty(shape, dtype=np.int8), np.zeros(shape, dtype=bool)
        for row in range(shape[0]):  # places of the whole matrix would take 16 times its memory
            weights[row] = self.random_signs(i, row, np.arange(shape[1]))
        rows, columns, _ = self.kept(i)
        mask[rows, columns] = True
        return weights, mask

    def forward(self, x: ArrayLike) -> Array:
        """The kept weights alone at work, scaled as the logical network is.

        Parameters
        ----------
        x : array_like, shape (batch, d_in)

        Returns
        -------
        ndarray of float64, shape (batch, d_out)

        Raises
        ------
        ValueError
            If x has another shape or is not finite.
        """
        edges, matrices = self.network.edges, self.network.matrices
        x = np.ascontiguousarray(checked_input(x, matrices[0].shape[1]))
        out = np.empty((len(x), matrices[-1].shape[0]))
        most = int(np.diff(self._start).max())
        signs.walk(
            x,
            edges.row_ptr,
            edges.row_start,
            self._start,
            self._source,
            self._first_signs,
            self._numbers,
            self._second_signs,
            np.empty((self.network.width, signs.LANES)),
            np.empty((most, signs.LANES)),
            out,
        )
        return np.ldexp(out, self.network.scale_log2)

    def _logical(self, i: int) -> int:
        """Index of the logical matrix that random matrix i belongs to."""
        if not 0 <= i < self.depth:
            raise ValueError(f"i must lie in 0..{self.depth - 1}, got {i!r}")
        return i // 2


def helpers_needed(n_edges: int, delta: float) -> int:
    """Helpers an input with which a draw fails with probability at most delta (union bound).

    Parameters
    ----------
    n_edges : int
        Edges of the logical network, at least 1.
    delta : float
        Between 0 and 1.

    Returns
    -------
    int
        ``ceil(ln(n_edges / delta) / ln(4/3))``.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    check_integer("n_edges", n_edges, 1)
    return math.ceil(math.log(n_edges / checked_fraction("delta", delta)) / math.log(4 / 3))


def edge_failure(helpers: int) -> float:
    """Probability that one edge finds no helper: ``(3/4)**helpers``.

    Raises
    ------
    ValueError
        If ``helpers`` is not a positive integer.
    """
    return 0.75 ** check_integer("helpers", helpers, 1)


def typical_need(n_edges: int) -> float:
    """Median number of helpers that a draw needs if edges were independent.

    ``P(need <= R) = (1 - (3/4)^R)^E`` is about ``exp(-E (3/4)^R)``, one half at
    ``ln(E / ln 2) / ln(4/3)``.
    """
    return math.log(n_edges / math.log(2)) / math.log(4 / 3)


def first_helpers(network: BinaryNetwork, seed: int) -> NDArray[np.int32]:
    """The helper that each edge takes in the draw of `embed` with this seed, of as many as needed.

    Returns
    -------
    ndarray of int32, shape (n_edges,)
        Counted from 0 among the helpers of the edge's input; edges in the order of
        `BinaryNetwork.edges`.
    """
    found = np.empty(network.n_edges, dtype=np.int32)
    need = int(helpers_used(network, 1, seed)[0])
    signs.first_helpers(_keys(seed, 1)[0], need, *_flat(network), found)
    return found


def helpers_used(network: BinaryNetwork, draws: int, seed: int) -> Integers:
    """The least number of helpers with which each of several draws has all edges.

    The first draw is that of `embed` with the same seed.

    Parameters
    ----------
    network : BinaryNetwork
    draws : int
    seed : int

    Returns
    -------
    ndarray of int64, shape (draws,)

    Raises
    ------
    ValueError
        If ``draws`` is not a positive integer.
    """
    need, _ = signs.needs(_keys(seed, draws), *_flat(network), 1)
    return need


def failure_rates(network: BinaryNetwork, helpers: int, draws: int, seed: int) -> Array:
    """The share of edges that find no helper, in each of several draws.

    Edges of one draw that share an input share its signs too, so standard errors belong to the
    draws.

    Parameters
    ----------
    network : BinaryNetwork
    helpers : int
    draws : int
    seed : int

    Returns
    -------
    ndarray of float64, shape (draws,)

    Raises
    ------
    ValueError
        If ``helpers`` or ``draws`` is not a positive integer.
    """
    check_integer("helpers", helpers, 1)
    _, missing = signs.needs(_keys(seed, draws), *_flat(network), helpers)
    return missing / network.n_edges


def embed(
    network: BinaryNetwork,
    *,
    helpers: int | None = None,
    delta: float = 0.01,
    seed: int,
    allow_failures: bool = False,
) -> PrunedBinaryNetwork:
    """Find the network inside a random one with weights +1 and -1.

    Parameters
    ----------
    network : BinaryNetwork
    helpers : int, optional
        Helpers an input, R; by default as many as `helpers_needed` asks for.
    delta : float
        Accepted probability that the draw fails.
    seed : int
        All random weights descend from it.
    allow_failures : bool
        True leaves out edges without a helper instead of raising.

    Returns
    -------
    PrunedBinaryNetwork

    Raises
    ------
    EmbeddingError
        If edges found no helper.
    ValueError
        If ``helpers`` is not a positive integer or ``delta`` lies outside (0, 1).
    """
    bound = helpers_needed(network.n_edges, delta)
    helpers = bound if helpers is None else check_integer("helpers", helpers, 1)
    edges, key = network.edges, _keys(seed, 1)[0]
    numbers = np.empty(network.n_edges, dtype=np.int32)
    failures = signs.first_helpers(key, helpers, *_flat(network), numbers)
    if failures and not allow_failures:
        # the first helpers of a larger draw are the same, so its need is exact advice
        enough = max(bound, int(helpers_used(network, 1, seed)[0]))
        raise EmbeddingError(failures, network.n_edges, helpers, enough)
    start = np.zeros(network.depth + 1, dtype=np.int64)
    source, which, first, second = signs.number_helpers(
        key,
        helpers,
        numbers,
        edges.row_ptr,
        edges.columns,
        edges.row_start,
        edges.column_start,
        start,
    )
    return PrunedBinaryNetwork(
        network, helpers, failures, key, start, source, which, first, numbers, second
    )


def _flat(network: BinaryNetwork) -> tuple[NDArray, ...]:
    """The edges as the compiled loops take them."""
    edges = network.edges
    return edges.row_ptr, edges.columns, edges.signs, edges.row_start, edges.column_start


def _keys(seed: int, draws: int) -> NDArray[np.uint64]:
    """Keys of independent draws; the first does not depend on how many follow."""
    check_integer("draws", draws, 1)
    rng = generator(seed, "random binary network")
    return rng.integers(2**64, size=draws, dtype=np.uint64)
