"""A one-instruction computer as a looped transformer of three layers.

SUBLEQ knows one instruction (a, b, c): subtract word a from word b; if the result is at most 0, go
to c, else to the next instruction. One pass of the transformer executes one instruction:

1. fetch: one head finds the column that the program counter points to; its three addresses are
   snapped into registers, and the counter's successor is computed;
2. read and subtract: two heads fetch the operands; steps of partial sums give the bits;
3. write and branch: every memory column asks whether it is meant; the counter is replaced.

Words are N bits of two's complement, +1 and -1, lowest first. The construction is this book's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from reprise.expressivity.looped.checks import check_bits, check_subleq, integers
from reprise.expressivity.looped.gadgets import (
    Neurons,
    add_terms,
    address_bits,
    allocate,
    ask,
    code,
    copies,
    head,
    point_at,
)
from reprise.expressivity.looped.network import Layer, LoopedTransformer
from reprise.runtime import is_integer

FIRST_WORD = 2  # column 0 is the scratchpad, column 1 is empty


@dataclass(frozen=True)
class SubleqReading:
    """What stands in a state.

    Attributes
    ----------
    memory : ndarray, shape (..., m), int64
    pc : ndarray, shape (...), int64
        Index of the next instruction, from 0.
    """

    memory: NDArray[np.int64]
    pc: NDArray[np.int64]


class SubleqMachine:
    """The transformer that executes SUBLEQ programs, and the way in and out of its sequence.

    Parameters
    ----------
    columns : int
        Columns n of the sequence, a power of two of at least 16: words, instructions and two more.
    bits : int
        Bits N of a word, 2 to 48.
    snapped : bool
        True for a fourth layer, which cuts softmax's noise before the subtraction amplifies it.

    Attributes
    ----------
    transformer : LoopedTransformer
        Its weights depend on ``columns`` and ``bits`` only.
    rows : dict of str to range
        The registers.
    width : int
        Rows of the sequence, ``9 L + 2 N + max(3 L, 2 N) + 4`` with ``L = log2(columns)``.
    """

    def __init__(self, columns: int, bits: int, snapped: bool = False) -> None:
        length = address_bits("columns", columns)
        if length < 4:
            raise ValueError(f"columns must be at least 16, got {columns}")
        self.columns, self.bits, self.snapped = int(columns), check_bits(bits), bool(snapped)
        self.address_bits = length
        registers = {"A": length, "B": length, "C": length, "PC": length, "PC1": length}
        self.rows, self.width = allocate(
            {"INS": 3 * length, "MEM": bits, **registers, "NEW": bits, "LE": 1, "POS": length}
            | {"BUF": max(3 * length, 2 * bits), "ONE": 1, "IND": 1, "NUL": 1}
        )
        layers = [self._fetch(), *self._subtract(), self._write()]
        self.transformer = LoopedTransformer(layers)

    def init(self, memory: ArrayLike, program: ArrayLike, pc: ArrayLike = 0) -> Tensor:
        """The sequence that holds a memory, a program and a program counter.

        Parameters
        ----------
        memory : array_like of int, shape (..., m)
        program : array_like of int, shape (..., k, 3)
            Instructions (a, b, c): words a and b and instruction c, all from 0.
        pc : array_like of int, shape (...)

        Returns
        -------
        Tensor, shape (..., d, n), float64

        Raises
        ------
        ValueError
            If memory and program do not fit, or a value or address is outside its range.
        """
        memory, program, pc = integers(memory=memory, program=program, pc=pc)
        check_subleq(memory, program, pc, self.bits)
        words, instructions = memory.shape[-1], program.shape[-2]
        if FIRST_WORD + words + instructions > self.columns:
            raise ValueError(
                f"program of {instructions} instructions and memory of {words} words need "
                f"{FIRST_WORD + words + instructions} columns, columns is {self.columns}"
            )
        batch = np.broadcast_shapes(memory.shape[:-1], program.shape[:-2], pc.shape)
        X = np.zeros((*batch, self.width, self.columns))
        first = FIRST_WORD + words  # column of instruction 0
        X[..., self._slice("MEM"), FIRST_WORD:first] = signs(memory, self.bits).swapaxes(-1, -2)
        targets = program + np.array([FIRST_WORD, FIRST_WORD, first])
        stored = code(targets, self.address_bits)  # (..., k, 3, L)
        stored = stored.reshape(*program.shape[:-1], 3 * self.address_bits).swapaxes(-1, -2)
        X[..., self._slice("INS"), first : first + instructions] = stored
        positions = code(np.arange(FIRST_WORD, self.columns), self.address_bits)
        X[..., self._slice("POS"), FIRST_WORD:] = positions.T
        X[..., self._slice("PC"), 0] = code(pc + first, self.address_bits)
        X[..., self.rows["ONE"][0], :] = 1
        X[..., self.rows["IND"][0], 0] = 1
        X[..., self.rows["NUL"][0], 1] = 1
        return torch.from_numpy(X)

    def read(self, X: Tensor, words: int) -> SubleqReading:
        """Memory and program counter of a state, by the signs of their bits.

        Parameters
        ----------
        X : Tensor, shape (..., d, n)
        words : int
            Memory words m.

        Returns
        -------
        SubleqReading

        Raises
        ------
        ValueError
            If ``words`` is no number of columns.
        """
        if not is_integer(words) or not 1 <= words <= self.columns - FIRST_WORD - 1:
            raise ValueError(
                f"words must be an integer from 1 to {self.columns - FIRST_WORD - 1}, got {words!r}"
            )
        state = X.detach().cpu().numpy()
        stored = state[..., self._slice("MEM"), FIRST_WORD : FIRST_WORD + words]
        memory = from_signs(stored.swapaxes(-1, -2))
        weights = 2 ** np.arange(self.address_bits)
        column = (state[..., self._slice("PC"), 0] > 0) @ weights
        return SubleqReading(memory, column - FIRST_WORD - words)

    def _slice(self, name: str) -> slice:
        return slice(self.rows[name].start, self.rows[name].stop)

    def _neurons(self) -> Neurons:
        return Neurons(self.width, one=self.rows["ONE"][0], scratch=self.rows["IND"][0])

    def _pointer(self, name: str) -> list[tuple[dict[int, float], dict[int, float]]]:
        return point_at([{row: 1.0} for row in self.rows[name]], self.rows)

    def _fetch(self) -> Layer:
        rows, length = self.rows, self.address_bits
        buffer = rows["BUF"][: 3 * length]
        fetch = head(self.width, self._pointer("PC"), copies(rows["INS"], buffer))
        neurons = self._neurons()
        for source, target in zip(buffer, [*rows["A"], *rows["B"], *rows["C"]], strict=True):
            neurons.snap({source: 1.0}, target)
        neurons.clear(buffer)
        neurons.successor(rows["PC"], rows["PC1"])
        return Layer([fetch], *neurons.weights())

    def _subtract(self) -> list[Layer]:
        rows, bits = self.rows, self.bits
        subtrahend, minuend = rows["BUF"][:bits], rows["BUF"][bits : 2 * bits]
        heads = [
            head(self.width, self._pointer(name), copies(rows["MEM"], half))
            for name, half in (("A", subtrahend), ("B", minuend))
        ]
        first = None
        if self.snapped:
            cut = self._neurons()
            cut.clear(rows["BUF"][: 2 * bits])
            for row in rows["BUF"][: 2 * bits]:
                cut.snap({row: 1.0}, row)
            first = Layer(heads, *cut.weights())
        neurons = self._neurons()
        scratch, flag = rows["IND"][0], rows["LE"][0]
        total: dict[int, float] = {}
        for i, (a, b, new) in enumerate(zip(subtrahend, minuend, rows["NEW"], strict=True)):
            # the lowest i + 1 bits of the difference, plus 2^(i+1): never negative
            total = add_terms(total, {b: 2.0**i / 2, a: -(2.0**i) / 2})
            t = add_terms(total, {scratch: 2.0 ** (i + 1)})
            neurons.step(t, 2.0**i, {new: 2.0})
            neurons.step(t, 2.0 ** (i + 1), {new: -2.0})
            neurons.step(t, 3 * 2.0**i, {new: 2.0})
            neurons.relu({scratch: 1.0}, {new: -1.0})
        top = 2.0 ** (bits - 1)
        # the highest bit counts negative
        signed = add_terms(total, {minuend[-1]: -top, subtrahend[-1]: top})
        neurons.step(signed, -top, {flag: 1.0})
        neurons.step(signed, 1.0, {flag: -1.0})
        neurons.step(signed, top, {flag: 1.0})
        neurons.clear(rows["BUF"][: 2 * bits])
        if first is None:
            return [Layer(heads, *neurons.weights())]
        return [first, Layer([], *neurons.weights())]

    def _write(self) -> Layer:
        rows = self.rows
        buffer = rows["BUF"][: self.bits]
        write = head(self.width, ask(rows["B"], rows), copies(rows["NEW"], buffer))
        neurons = self._neurons()
        neurons.clear(rows["MEM"])
        for new, old in zip(buffer, rows["MEM"], strict=True):
            neurons.snap({new: 2.0, old: 1.0}, old)
        neurons.select(rows["C"], rows["PC1"], rows["LE"][0], rows["PC"])
        neurons.clear(buffer)
        for name in ("A", "B", "C", "PC1", "NEW", "LE"):
            neurons.clear(rows[name])
        return Layer([write], *neurons.weights())


def signs(values: ArrayLike, bits: int) -> NDArray[np.float64]:
    """Integers as two's complement of +1 and -1, lowest bit first, shape (..., bits)."""
    values = np.asarray(values, dtype=np.int64)
    return 2.0 * ((values[..., None] >> np.arange(bits)) & 1) - 1


def from_signs(stored: NDArray[np.floating]) -> NDArray[np.int64]:
    """The integers of `signs`, shape (...)."""
    bits = stored.shape[-1]
    weights = 2 ** np.arange(bits, dtype=np.int64)
    weights[-1] *= -1
    return (stored > 0) @ weights
