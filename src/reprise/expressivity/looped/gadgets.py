"""What hidden neurons and heads are put together from: codes, snaps, steps, gates, pointers.

Bits are +1 and -1, an empty register is 0. Each gadget is exact and takes one hidden layer. A
constant is a multiple of a row that holds it: ONE in every column, IND in the scratch columns only,
so that elsewhere a gadget outputs 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from reprise.expressivity.looped.network import Head
from reprise.runtime import check_integer, is_integer

Terms = Mapping[int, float]  # row -> coefficient: a linear form of a column


def code(i: ArrayLike, bits: int) -> NDArray[np.float64]:
    """Address i as bits of +1 and -1, lowest bit first.

    Two codes have the inner product ``bits - 2 hamming``.

    Parameters
    ----------
    i : array_like of int, shape (...)
        From 0 to ``2**bits - 1``.
    bits : int
        At least 1.

    Returns
    -------
    ndarray, shape (..., bits), float64

    Raises
    ------
    ValueError
        If an address does not fit.
    """
    bits = check_integer("bits", bits, 1)
    i = np.asarray(i)
    if i.dtype.kind not in "iu" or (i.size and not (i.min() >= 0 and int(i.max()) < 2**bits)):
        raise ValueError(f"i must hold integers from 0 to {2**bits - 1}, got {i}")
    return 2.0 * ((i[..., None].astype(np.int64) >> np.arange(bits)) & 1) - 1


def address_bits(name: str, value: int) -> int:
    """Return log2 of ``value``.

    Raises
    ------
    ValueError
        If it is not a power of two of at least 2; the message names the parameter ``name``.
    """
    if not is_integer(value) or value < 2 or value & (value - 1):
        raise ValueError(f"{name} must be a power of two, got {value!r}")
    return int(value).bit_length() - 1


def leak(bits: int, lam: float) -> float:
    """Attention that a softmax address decoder loses to wrong columns, when all codes are keys.

    The weights' denominators sum to ``(1 + exp(-2 lam))**bits``, so the loss is
    ``1 - sigmoid(2 lam)**bits``.

    Raises
    ------
    ValueError
        If ``lam`` is not positive or ``bits`` not an integer of at least 1.
    """
    check_integer("bits", bits, 1)
    if not lam > 0:
        raise ValueError(f"lam must be positive, got {lam!r}")
    return -math.expm1(-bits * math.log1p(math.exp(-2 * lam)))


def lam_for_leak(bits: int, eps: float) -> float:
    """Inverse temperature at which `leak` is ``eps``: about ``log(bits / eps) / 2``.

    Raises
    ------
    ValueError
        If ``eps`` is not between 0 and 1, or so large that no positive temperature reaches it.
    """
    check_integer("bits", bits, 1)
    highest = -math.expm1(-bits * math.log(2))
    if not 0 < eps < highest:
        raise ValueError(f"eps must be between 0 and {highest:.6g} for {bits} bits, got {eps!r}")
    return -math.log(math.expm1(-math.log1p(-eps) / bits)) / 2


def add_terms(*parts: Terms) -> dict[int, float]:
    """Sum of linear forms."""
    total: dict[int, float] = {}
    for part in parts:
        for row, weight in part.items():
            total[row] = total.get(row, 0.0) + weight
    return total


def scaled(terms: Terms, factor: float) -> dict[int, float]:
    """A linear form times a number."""
    return {row: factor * weight for row, weight in terms.items()}


class Neurons:
    """Hidden neurons of one layer, added gadget by gadget.

    Parameters
    ----------
    width : int
        Rows d of the sequence.
    one, scratch : int
        The row that is 1 in every column, and the row that is 1 in scratch columns only.
    """

    def __init__(self, width: int, *, one: int, scratch: int) -> None:
        self.width = width
        self.one = one
        self.scratch = scratch
        self.neurons: list[tuple[Terms, Terms]] = []

    def relu(self, inputs: Terms, outputs: Terms) -> None:
        """One neuron: ReLU(inputs), added to each output row with its weight."""
        self.neurons.append((inputs, outputs))

    def clear(self, rows: Iterable[int]) -> None:
        """Empty rows that the residual would keep: r - ReLU(r) + ReLU(-r) = 0."""
        for row in rows:
            self.relu({row: 1.0}, {row: -1.0})
            self.relu({row: -1.0}, {row: 1.0})

    def snap(self, terms: Terms, target: int) -> None:
        """Add T(z) to the target: +-1 within 1/4 becomes +-1, 0 within 1/4 becomes 0, exactly.

        T(z) = 2 [ReLU(z - 1/4) - ReLU(z - 3/4) - ReLU(-z - 1/4) + ReLU(-z - 3/4)].
        """
        for sign in (1.0, -1.0):
            z = scaled(terms, sign)
            self.relu(add_terms(z, {self.one: -0.25}), {target: 2 * sign})
            self.relu(add_terms(z, {self.one: -0.75}), {target: -2 * sign})

    def step(self, terms: Terms, threshold: float, outputs: Terms) -> None:
        """Add [t >= threshold] in scratch columns, for an integer t known within 1/4.

        [t >= c] = 2 ReLU(t - c + 3/4) - 2 ReLU(t - c + 1/4).
        """
        for offset, weight in ((0.75, 2.0), (0.25, -2.0)):
            shifted = add_terms(terms, {self.scratch: offset - threshold})
            self.relu(shifted, scaled(outputs, weight))

    def gate(self, terms: Terms, closed: Terms, outputs: Terms, bound: float) -> None:
        """Add x to the outputs where ``closed`` is 0, nothing where it is 1, for |x| <= bound.

        ReLU(x - K o') - ReLU(-x - K o'), with o' the complement of the wish. Closing with
        ``K o - K`` for an open gate would cost the digits of K.
        """
        for sign in (1.0, -1.0):
            held = add_terms(scaled(terms, sign), scaled(closed, -bound))
            self.relu(held, scaled(outputs, sign))

    def successor(self, source: range, target: range) -> None:
        """Write the code of the next address: target = source + 1.

        With t_i the lowest i + 1 bits of the source, plus one: bit i of the sum is
        [t_i >= 2^i] - [t_i >= 2^(i+1)].
        """
        total: dict[int, float] = {self.scratch: 1.0}
        for i, (row, out) in enumerate(zip(source, target, strict=True)):
            total = add_terms(total, {row: 2.0**i / 2, self.scratch: 2.0**i / 2})
            self.step(total, 2.0**i, {out: 2.0})
            self.step(total, 2.0 ** (i + 1), {out: -2.0})
            self.relu({self.scratch: 1.0}, {out: -1.0})

    def select(self, yes: range, no: range, chosen: int, target: range) -> None:
        """Replace the target by ``yes`` where the row ``chosen`` is 1, by ``no`` where it is 0."""
        self.clear(target)
        for one, other, out in zip(yes, no, target, strict=True):
            self.relu({one: 1.0, chosen: 2.0, self.scratch: -2.0}, {out: 2.0})
            self.relu({other: 1.0, chosen: -2.0}, {out: 2.0})
            self.relu({self.scratch: 1.0}, {out: -1.0})

    def weights(self) -> tuple[Tensor, Tensor]:
        """W1 of shape (h, d) and W2 of shape (d, h), float64."""
        w1 = matrix([inputs for inputs, _ in self.neurons], self.width)
        w2 = matrix([outputs for _, outputs in self.neurons], self.width)
        return w1, w2.T.contiguous()


def matrix(rows: Iterable[Terms], width: int) -> Tensor:
    """Linear forms as the rows of a matrix, shape (r, width), float64."""
    rows = list(rows)
    made = np.zeros((len(rows), width))  # element by element, numpy is the faster one
    for i, terms in enumerate(rows):
        for row, weight in terms.items():
            made[i, row] = weight
    return torch.from_numpy(made)


def head(
    width: int,
    scores: Iterable[tuple[Terms, Terms]],
    values: Mapping[int, Terms],
    *,
    soft: bool = False,
) -> Head:
    """An attention head from linear forms.

    Parameters
    ----------
    width : int
        Rows d of the sequence.
    scores : iterable of (query, key)
        The score of a key column for a query column is the sum of the products of these forms.
    values : mapping from row to terms
        What is fetched, by the row it is added to.
    soft : bool
        As for `Head`.
    """
    pairs = list(scores)
    V = torch.zeros(width, width, dtype=torch.float64)
    for target, terms in values.items():
        for row, weight in terms.items():
            V[target, row] = weight
    Q = matrix([query for query, _ in pairs], width)
    K = matrix([key for _, key in pairs], width)
    return Head(Q, K, V, soft=soft)


def point_at(
    query: Sequence[Terms], rows: Mapping[str, range]
) -> list[tuple[dict[int, float], dict[int, float]]]:
    """Scores that send scratch columns to an address, and all other columns to the empty one.

    Parameters
    ----------
    query : sequence of terms
        The bits of the address.
    rows : mapping of str to range
        With POS, ONE, IND and NUL.
    """
    one, scratch, null = (rows[name][0] for name in ("ONE", "IND", "NUL"))
    # more than any code scores with another
    away = {one: len(query) + 2.0, scratch: -(len(query) + 2.0)}
    pairs = [(dict(q), {p: 1.0}) for q, p in zip(query, rows["POS"], strict=True)]
    return [*pairs, (away, {null: 1.0})]


def ask(
    address: Sequence[int], rows: Mapping[str, range]
) -> list[tuple[dict[int, float], dict[int, float]]]:
    """Scores by which every column asks the scratchpad whether it is meant.

    A matching column scores 2 L with the scratchpad, every other one at most 2 L - 4, and 2 L - 2
    with the empty column.

    Parameters
    ----------
    address : sequence of int
        Rows of the address in the scratchpad.
    rows : mapping of str to range
        With POS, ONE and NUL.
    """
    pairs = [({p: 2.0}, {a: 1.0}) for p, a in zip(rows["POS"], address, strict=True)]
    nothing = ({rows["ONE"][0]: 2.0 * (len(address) - 1)}, {rows["NUL"][0]: 1.0})
    return [*pairs, nothing]


def copies(source: Iterable[int], target: Iterable[int]) -> dict[int, dict[int, float]]:
    """Values that copy rows to rows."""
    return {t: {s: 1.0} for s, t in zip(source, target, strict=True)}


def allocate(sizes: Mapping[str, int]) -> tuple[dict[str, range], int]:
    """Give each register its rows, in order: (rows by name, width)."""
    rows, width = {}, 0
    for name, size in sizes.items():
        rows[name] = range(width, width + size)
        width += size
    return rows, width
