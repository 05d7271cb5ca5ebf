"""A computer for small matrices as a looped transformer of six layers.

A word is a real matrix of dm x dm, in dm neighbouring columns. One instruction is (op, a, b, c,
flag, p): mem[c] <- op(mem[a], mem[b]); then, if mem[flag][0, 0] is at most 0, go to p, else to the
next instruction. One pass of the transformer executes one instruction, by the same weights for all
ten operations:

1. fetch the instruction and compute the next address;
2. fetch both operands, column by column, and compute what needs no attention;
3. multiply: softmax, linearised around a column that takes nearly all attention, is a product of
   matrices; two heads of opposite sign cancel the second order. A softmax over two columns is a
   sigmoid, whose slope gives products of entries;
4. write the result; 5. read the flag; 6. choose the next instruction.

The construction is this book's, in the paper's architecture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from reprise.expressivity.looped.checks import check_within, integers
from reprise.expressivity.looped.gadgets import (
    Neurons,
    Terms,
    address_bits,
    allocate,
    ask,
    code,
    copies,
    head,
    point_at,
)
from reprise.expressivity.looped.network import Head, Layer, LoopedTransformer
from reprise.expressivity.looped.products import product_head
from reprise.expressivity.looped.splines import spline_points
from reprise.runtime import check_integer, check_positive, is_integer

OPS = ("ADD", "SUB", "NN", "TN", "NT", "HAD", "SIG", "RELU", "RECIP", "RSQRT")
FIRST_BLOCK = 2  # block 0 is the scratchpad, the first column of block 1 is the empty one
APART = 100.0  # what a pointwise head loses for every index bit that differs


@dataclass(frozen=True)
class FleqReading:
    """What stands in a state.

    Attributes
    ----------
    words : ndarray, shape (..., k, dm, dm), float64
    pc : ndarray, shape (...), int64
        Index of the next instruction, from 0.
    """

    words: NDArray[np.float64]
    pc: NDArray[np.int64]


class FleqMachine:
    """The transformer that executes FLEQ programs, and the way in and out of its sequence.

    Parameters
    ----------
    dim : int
        Rows and columns dm of a word, a power of two of at least 2.
    blocks : int
        Blocks of dm columns, a power of two of at least 4.
    product_scale : float
        The argument c of the linearised softmax: its error falls as c^2, rounding grows as 1/c.
    sink : float
        Score S of the empty column in a product.
    pointwise_scale : float
        The factor p of an entrywise product's second operand.
    gate : float
        Largest size K of a number that passes a gate.
    dead_zone : float
        A flag of at most a quarter of it counts as 0, one of three quarters or more as positive.
    knots : int
        Knots of the splines of RECIP and RSQRT.

    Attributes
    ----------
    transformer : LoopedTransformer
    rows : dict of str to range
        The registers.
    width, columns : int
    """

    def __init__(
        self,
        dim: int,
        blocks: int,
        *,
        product_scale: float = 1e-4,
        sink: float = 24.0,
        pointwise_scale: float = 1e-4,
        gate: float = 1e6,
        dead_zone: float = 1e-3,
        knots: int = 65,
    ) -> None:
        self.index_bits = address_bits("dim", dim)
        self.block_bits = address_bits("blocks", blocks)
        check_integer("blocks", blocks, 4)
        self.gate, self.dead_zone, self.knots = gate, dead_zone, knots
        self.product_scale, self.sink, self.pointwise_scale = product_scale, sink, pointwise_scale
        for name, value in self.options.items():
            check_positive(name, value)
        check_integer("knots", knots, 2)
        self.dim, self.blocks, self.columns = int(dim), int(blocks), int(dim * blocks)
        self.address_bits = self.index_bits + self.block_bits
        block, length = self.block_bits, self.address_bits
        self.instruction_rows = 4 * block + length + len(OPS)
        self.rows, self.width = allocate(
            {"INS": self.instruction_rows, "MEM": dim}
            | {"A": block, "B": block, "C": block, "F": block, "P": length}
            | {"OP": len(OPS), "OPN": len(OPS), "PC": length, "PC1": length}
            | dict.fromkeys(("QR", "KE", "VA", "XP", "XK", "VC"), dim)
            | {"LE": 1, "POS": length, "BUF": max(self.instruction_rows, 2 * dim + 1)}
            | {"ONE": 1, "IND": 1, "NUL": 1, "IDX": dim, "IB": self.index_bits}
        )
        self.transformer = LoopedTransformer(
            [
                self._fetch(),
                self._operands(),
                self._functions(),
                self._write(),
                self._flag(),
                self._branch(),
            ]
        )

    @property
    def options(self) -> dict[str, float]:
        """The constants of the construction, by the names of the parameters."""
        names = ("product_scale", "sink", "pointwise_scale", "gate", "dead_zone", "knots")
        return {name: getattr(self, name) for name in names}

    def init(self, words: ArrayLike, program: ArrayLike, pc: int = 0) -> Tensor:
        """The sequence that holds words, a program and a program counter.

        Parameters
        ----------
        words : array_like of float, shape (k, dm, dm)
            Finite, at most ``gate`` in size.
        program : array_like of int, shape (m, 6)
            Instructions (op, a, b, c, flag, p): an index into `OPS`, four words and an instruction,
            all from 0.
        pc : int

        Returns
        -------
        Tensor, shape (d, n), float64

        Raises
        ------
        ValueError
            If words and program do not fit, or a value or address is outside its range.
        """
        words = np.asarray(words, dtype=np.float64)
        program, counter = integers(program=program, pc=pc)
        check_fleq(words, program, int(counter), self.dim, self.gate)
        count, first = len(words), (FIRST_BLOCK + len(words)) * self.dim
        if first + len(program) > self.columns:
            raise ValueError(
                f"program of {len(program)} instructions and {count} words need "
                f"{first + len(program)} columns, blocks * dim is {self.columns}"
            )
        X = np.zeros((self.width, self.columns))
        start = FIRST_BLOCK * self.dim
        X[self._slice("MEM"), start:first] = words.transpose(1, 0, 2).reshape(self.dim, -1)
        op, operands, target = program[:, 0], program[:, 1:5], program[:, 5]
        stored = np.concatenate(
            [
                code(operands + FIRST_BLOCK, self.block_bits).reshape(len(program), -1),
                code(target + first, self.address_bits),
                np.eye(len(OPS))[op],
            ],
            axis=1,
        )
        X[self._slice("INS"), first : first + len(program)] = stored.T
        X[self._slice("POS"), start:] = code(np.arange(start, self.columns), self.address_bits).T
        X[self._slice("PC"), : self.dim] = code(int(counter) + first, self.address_bits)[:, None]
        X[self._slice("IDX"), : self.dim] = np.eye(self.dim)
        X[self._slice("IB"), : self.dim] = code(np.arange(self.dim), self.index_bits).T
        X[self.rows["ONE"][0]] = 1
        X[self.rows["IND"][0], : self.dim] = 1
        X[self.rows["NUL"][0], self.dim] = 1
        return torch.from_numpy(X)

    def read(self, X: Tensor, words: int) -> FleqReading:
        """Words and program counter of a state.

        Parameters
        ----------
        X : Tensor, shape (..., d, n)
        words : int
            Memory words k.

        Returns
        -------
        FleqReading

        Raises
        ------
        ValueError
            If ``words`` is no number of blocks.
        """
        if not is_integer(words) or not 1 <= words <= self.blocks - FIRST_BLOCK:
            raise ValueError(
                f"words must be an integer from 1 to {self.blocks - FIRST_BLOCK}, got {words!r}"
            )
        state = X.detach().cpu().numpy()
        start, first = FIRST_BLOCK * self.dim, (FIRST_BLOCK + words) * self.dim
        stored = state[..., self._slice("MEM"), start:first]
        stored = stored.reshape(*stored.shape[:-1], words, self.dim)
        weights = 2 ** np.arange(self.address_bits)
        counter = (state[..., self._slice("PC"), 0] > 0) @ weights
        return FleqReading(np.moveaxis(stored, -2, -3).copy(), counter - first)

    def _slice(self, name: str) -> slice:
        return slice(self.rows[name].start, self.rows[name].stop)

    def _neurons(self) -> Neurons:
        return Neurons(self.width, one=self.rows["ONE"][0], scratch=self.rows["IND"][0])

    def _open(self, neurons: Neurons, op: str, terms: Terms, outputs: Terms) -> None:
        """Add x to the outputs in scratch columns if the instruction is ``op``, for |x| <= 2 gate.

        One operation a gate: a joint complement, a sum less IND, would cost the digits of the gate.
        """
        closed = {self.rows["OPN"][OPS.index(op)]: 1.0}
        # two words may add up to twice the largest number
        neurons.gate(terms, closed, outputs, 2 * self.gate)

    def _pointer(self, index: Sequence[Terms], block: str | None) -> list[tuple[Terms, Terms]]:
        return point_at([*index, *({row: 1.0} for row in self.rows[block or "PC"])], self.rows)

    def _own(self) -> list[Terms]:
        return [{row: 1.0} for row in self.rows["IB"]]

    def _fetch(self) -> Layer:
        rows = self.rows
        buffer = rows["BUF"][: self.instruction_rows]
        fetch = head(self.width, self._pointer([], None), copies(rows["INS"], buffer))
        neurons = self._neurons()
        registers = [row for name in ("A", "B", "C", "F", "P") for row in rows[name]]
        for source, target in zip(buffer, registers, strict=False):
            neurons.snap({source: 1.0}, target)
        for source, op, complement in zip(
            buffer[len(registers) :], rows["OP"], rows["OPN"], strict=True
        ):
            neurons.step({source: 1.0}, 1.0, {op: 1.0, complement: -1.0})
            neurons.relu({rows["IND"][0]: 1.0}, {complement: 1.0})
        neurons.clear(buffer)
        neurons.successor(rows["PC"], rows["PC1"])
        return Layer([fetch], *neurons.weights())

    def _operands(self) -> Layer:
        rows, dim = self.rows, self.dim
        first, second = rows["BUF"][:dim], rows["BUF"][dim : 2 * dim]
        heads = [
            head(self.width, self._pointer(self._own(), name), copies(rows["MEM"], part))
            for name, part in (("A", first), ("B", second))
        ]
        neurons = self._neurons()

        def gate(terms: Terms, target: int, op: str) -> None:
            self._open(neurons, op, terms, {target: 1.0})

        for r in range(dim):
            a, b, index = {first[r]: 1.0}, {second[r]: 1.0}, {rows["IDX"][r]: 1.0}
            result = rows["VC"][r]
            gate(a | b, result, "ADD")
            gate(a | {second[r]: -1.0}, result, "SUB")
            neurons.relu(a | {rows["OPN"][OPS.index("RELU")]: -2 * self.gate}, {result: 1.0})
            for op in ("RECIP", "RSQRT"):
                self._spline(neurons, op, first[r], result)
            # <KE_j, QR_i> VA_j, summed over j, is to be the product
            for op, (query, key, value) in {
                "NN": (b, index, a),
                "TN": (b, a, index),
                "NT": (index, b, a),
            }.items():
                for terms, name in ((query, "QR"), (key, "KE"), (value, "VA")):
                    gate(terms, rows[name][r], op)
            gate(a, rows["XP"][r], "HAD")
            gate(a, rows["XP"][r], "SIG")
            gate({second[r]: self.pointwise_scale}, rows["XK"][r], "HAD")
            neurons.relu({rows["OP"][OPS.index("SIG")]: 1.0}, {rows["XK"][r]: 1.0})
        neurons.clear(rows["BUF"][: 2 * dim])
        return Layer(heads, *neurons.weights())

    def _spline(self, neurons: Neurons, op: str, source: int, target: int) -> None:
        """Add the seed of 1/x or 1/sqrt(x): a neuron for each change of slope."""
        points, values = spline_points(op, self.knots)
        slopes = np.concatenate([[0.0], np.diff(values) / np.diff(points), [0.0]])
        closed = self.rows["OPN"][OPS.index(op)]
        for point, change in zip(points, np.diff(slopes), strict=True):
            inputs = {source: 1.0, self.rows["IND"][0]: -point, closed: -2 * self.gate}
            neurons.relu(inputs, {target: change})

    def _functions(self) -> Layer:
        rows, dim = self.rows, self.dim
        product, sigmoid = rows["BUF"][:dim], rows["BUF"][dim : 2 * dim]
        heads = [
            product_head(self.width, rows, sign, self.product_scale, self.sink)
            for sign in (1.0, -1.0)
        ]
        heads += [self._pointwise_head(r, sigmoid[r]) for r in range(dim)]
        neurons = self._neurons()
        half = {rows["IND"][0]: -0.5}
        for r in range(dim):
            result = {rows["VC"][r]: 1.0}
            for op in ("NN", "TN", "NT"):
                self._open(neurons, op, {product[r]: 1.0}, result)
            # the slope of the sigmoid at 0 is 1/4
            steep = {rows["VC"][r]: 4 / self.pointwise_scale}
            self._open(neurons, "HAD", {sigmoid[r]: 1.0} | half, steep)
            self._open(neurons, "SIG", {sigmoid[r]: 1.0}, result)
        neurons.clear(rows["BUF"][: 2 * dim])
        return Layer(heads, *neurons.weights())

    def _pointwise_head(self, r: int, target: int) -> Head:
        """Sigmoid of XP_r XK_r: a column chooses between itself and the empty column."""
        rows, bits = self.rows, self.index_bits
        one, scratch, null = (rows[name][0] for name in ("ONE", "IND", "NUL"))
        scores: list[tuple[Terms, Terms]] = [({rows["XP"][r]: 1.0}, {rows["XK"][r]: 1.0})]
        scores += [({row: APART}, {row: 1.0}) for row in rows["IB"]]
        scores.append(({one: APART}, {one: -5.0, scratch: 5.0 - bits, null: 5.0}))
        return head(self.width, scores, {target: {scratch: 1.0}}, soft=True)

    def _write(self) -> Layer:
        rows, dim = self.rows, self.dim
        buffer, untouched = rows["BUF"][:dim], rows["BUF"][dim]
        values = copies([*rows["VC"], rows["NUL"][0]], [*buffer, untouched])
        write = head(self.width, ask([*rows["IB"], *rows["C"]], rows), values)
        neurons = self._neurons()
        for new, old in zip(buffer, rows["MEM"], strict=True):
            neurons.gate({new: 1.0, old: -1.0}, {untouched: 1.0}, {old: 1.0}, 2 * self.gate)
        neurons.clear([*buffer, untouched])
        for name in ("QR", "KE", "VA", "XP", "XK", "VC"):
            neurons.clear(rows[name])
        return Layer([write], *neurons.weights())

    def _flag(self) -> Layer:
        rows = self.rows
        flag, scratch = rows["BUF"][0], rows["IND"][0]
        first = [{scratch: -1.0}] * self.index_bits  # column 0 of the word
        read = head(self.width, self._pointer(first, "F"), copies(rows["MEM"][:1], [flag]))
        neurons, steep = self._neurons(), 2 / self.dead_zone
        neurons.relu({scratch: 1.0}, {rows["LE"][0]: 1.0})
        neurons.relu({flag: steep, scratch: -0.5}, {rows["LE"][0]: -1.0})
        neurons.relu({flag: steep, scratch: -1.5}, {rows["LE"][0]: 1.0})
        neurons.clear([flag])
        return Layer([read], *neurons.weights())

    def _branch(self) -> Layer:
        rows, neurons = self.rows, self._neurons()
        neurons.select(rows["P"], rows["PC1"], rows["LE"][0], rows["PC"])
        for name in ("A", "B", "C", "F", "P", "OP", "OPN", "PC1", "LE"):
            neurons.clear(rows[name])
        return Layer([], *neurons.weights())


def check_fleq(
    words: NDArray[np.float64], program: NDArray[np.int64], pc: int, dim: int, largest: float
) -> None:
    """Refuse words, a program or a counter that no FLEQ machine can hold.

    Raises
    ------
    ValueError
        Naming the parameter, its first bad value and what is allowed.
    """
    if words.ndim != 3 or words.shape[1:] != (dim, dim) or not len(words):
        raise ValueError(f"words must have shape (k, {dim}, {dim}), k >= 1, got {words.shape}")
    bad = ~(np.abs(words) <= largest)
    if bad.any():
        raise ValueError(
            f"words must be finite and at most {largest:g} in size, got {words[bad][0]}"
        )
    if program.ndim != 2 or program.shape[1] != 6 or not len(program):
        raise ValueError(
            "program must hold instructions (op, a, b, c, flag, p), shape (m, 6), "
            f"got {program.shape}"
        )
    check_within("program op", program[:, 0], 0, len(OPS) - 1)
    check_within("program address", program[:, 1:5], 0, len(words) - 1)
    check_within("program target p", program[:, 5], 0, len(program) - 1)
    check_within("pc", np.array(pc), 0, len(program) - 1)
