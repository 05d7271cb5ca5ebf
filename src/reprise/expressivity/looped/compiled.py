"""A fast, exact simulation of the machines' transformers at hardmax.

Of the whole sequence only the scratch columns and the columns just written ever change: attention
with codes as keys is the decoding of an address, and everywhere else the gadgets add exact zeros.
So a step needs the feed-forward weights that are not zero, on a few columns. They are read from the
machine's own matrices: change one, and the result changes. The attention matrices must be those of
the machine's construction, which is checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reprise.expressivity.looped.fleq import FleqMachine
from reprise.expressivity.looped.fleq_kernels import FleqRows, Rows, SoftHeads, run_fleq_program
from reprise.expressivity.looped.interpreter import LostProgramError
from reprise.expressivity.looped.kernels import (
    LANES,
    LOST,
    RUNNING,
    Sparse,
    SubleqRows,
    run_subleq_lanes,
)
from reprise.expressivity.looped.network import Head, Layer
from reprise.expressivity.looped.subleq import SubleqMachine
from reprise.runtime import check_integer, in_parallel, thread_count


@dataclass(frozen=True)
class Run:
    """What a run of many programs leaves.

    Attributes
    ----------
    states : Tensor, shape (P, d, n)
    steps : ndarray, shape (P,), int64
        Steps that changed the state: fewer than asked for where a program halted.
    """

    states: Tensor
    steps: NDArray[np.int64]


class CompiledMachine:
    """An evaluator of one machine, compiled from its weights.

    Parameters
    ----------
    machine : SubleqMachine or FleqMachine
        Its feed-forward weights are read now: compile again after changing one.

    Raises
    ------
    ValueError
        If a head has other weights than the construction's, or a memory column would depend on rows
        that the evaluator does not keep.
    """

    def __init__(self, machine: SubleqMachine | FleqMachine) -> None:
        self.machine = machine
        self._one = _Subleq(machine) if isinstance(machine, SubleqMachine) else _Fleq(machine)

    def run(self, states: Tensor, steps: int, threads: int | None = None) -> Run:
        """Execute up to ``steps`` instructions of each program.

        Parameters
        ----------
        states : Tensor, shape (P, d, n), float64
            Made by the machine's ``init``; left as they are.
        steps : int
        threads : int, optional
            As for `reprise.runtime.thread_count`.

        Returns
        -------
        Run

        Raises
        ------
        ValueError
            If ``states`` has another shape or dtype, or ``steps`` is not an integer of at least 0.
        LostProgramError
            If a counter leaves the instructions.
        """
        check_integer("steps", steps, 0)
        expected = (self.machine.width, self.machine.columns)
        if states.dtype != torch.float64:
            raise ValueError(f"states must be float64, got {states.dtype}")
        if states.ndim != 3 or tuple(states.shape[1:]) != expected:
            raise ValueError(
                f"states must have shape (P, {expected[0]}, {expected[1]}), "
                f"got {tuple(states.shape)}"
            )
        threads, count = thread_count(threads), len(states)
        size = self._one.together
        groups = np.array_split(np.arange(count), max(-(-count // size), min(threads, count), 1))
        after, done = states.detach().clone(), np.zeros(count, np.int64)
        sequence = after.numpy()
        in_parallel(
            lambda group: self._one.run(sequence, group, steps, done),
            [group for group in groups if len(group)],
            threads,
        )
        return Run(after, done)


class _Subleq:
    """The evaluator of a SUBLEQ machine: programs side by side."""

    together = LANES

    def __init__(self, machine: SubleqMachine) -> None:
        _check_heads(machine, SubleqMachine(machine.columns, machine.bits, machine.snapped))
        self.machine = machine
        rows, layers, word = machine.rows, machine.transformer.layers, machine.bits
        idle = [row for name in ("INS", "MEM", "POS", "NUL") for row in rows[name]]
        # in the last layer the scratch column's buffer is empty
        dead = [idle] * (len(layers) - 1) + [[*idle, *rows["BUF"]]]
        self.scratch = sparse_layers(layers, dead)
        kept = [*rows["MEM"], *rows["BUF"][:word], *rows["ONE"]]
        self.column = sparse_layers([layers[-1]], [_others(kept, machine.width)], kept)
        self.rows = SubleqRows(
            *(rows[name].start for name in ("A", "B", "PC", "BUF", "NEW")),
            address=machine.address_bits,
            word=word,
        )
        self.kept = kept[:-1]

    def run(
        self,
        sequence: NDArray[np.float64],
        group: NDArray[np.int64],
        steps: int,
        done: NDArray[np.int64],
    ) -> None:
        """Run the programs ``group`` of the batch ``sequence``, in place."""
        rows = self.machine.rows
        n, used = self.machine.columns, len(group)
        lanes = 1 if used == 1 else LANES
        states = sequence[group]
        x = np.zeros((self.machine.width, lanes))
        x[:, :used] = states[:, :, 0].T
        memory = np.zeros((lanes, n, len(self.kept)))
        memory[:used] = states[:, self.kept].swapaxes(1, 2)
        code = np.zeros((lanes, n, len(rows["INS"])))
        code[:used] = states[:, rows["INS"].start : rows["INS"].stop].swapaxes(1, 2)
        first, end = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
        first[:used], end[:used] = _instructions(code[:used])
        status = np.full(lanes, LOST)
        status[:used] = RUNNING
        counted = np.zeros(lanes, np.int64)
        x = run_subleq_lanes(
            x,
            memory,
            code,
            first,
            end,
            self.rows,
            self.scratch,
            self.column,
            steps,
            counted,
            status,
        )
        done[group] = counted[:used]
        for lane, program in enumerate(group):
            if status[lane] == LOST:
                raise _lost(program, counted[lane])
            sequence[program][self.kept] = memory[lane].T
            sequence[program, :, 0] = x[:, lane]


class _Fleq:
    """The evaluator of a FLEQ machine: one program's scratch columns side by side."""

    together = 1

    def __init__(self, machine: FleqMachine) -> None:
        _check_heads(machine, FleqMachine(machine.dim, machine.blocks, **machine.options))
        self.machine = machine
        rows, layers, dim = machine.rows, machine.transformer.layers, machine.dim
        idle = [row for name in ("INS", "MEM", "POS", "NUL") for row in rows[name]]
        self.scratch = sparse_layers(layers, [idle] * len(layers))
        kept = [*rows["MEM"], *rows["BUF"][: dim + 1]]
        self.column = sparse_layers([layers[3]], [_others(kept, machine.width)], kept)
        self.soft = _soft_heads(list(layers[2].heads))
        self.rows = FleqRows(
            *(rows[name].start for name in ("A", "B", "C", "F", "PC", "IB", "VC", "BUF")),
            instruction=machine.instruction_rows,
            index=machine.index_bits,
            block=machine.block_bits,
            dim=dim,
        )

    def run(
        self,
        sequence: NDArray[np.float64],
        group: NDArray[np.int64],
        steps: int,
        done: NDArray[np.int64],
    ) -> None:
        """Run the programs ``group`` of the batch ``sequence``, in place, one after the other."""
        rows, dim = self.machine.rows, self.machine.dim
        memory_rows = slice(rows["MEM"].start, rows["MEM"].stop)
        for program in group:
            X = sequence[program]
            x = np.zeros((-(-dim // LANES), self.machine.width, LANES))
            for i in range(dim):
                x[i // LANES, :, i % LANES] = X[:, i]
            memory = X[memory_rows].T.copy()
            code = X[rows["INS"].start : rows["INS"].stop].T.copy()
            (first,), (end,) = _instructions(code[None])
            done[program], status = run_fleq_program(
                x,
                memory,
                code,
                X[:, dim].copy(),
                first,
                end,
                self.rows,
                self.scratch,
                self.column,
                self.soft,
                steps,
            )
            if status == LOST:
                raise _lost(program, done[program])
            X[memory_rows] = memory.T
            for i in range(dim):
                X[:, i] = x[i // LANES, :, i % LANES]


def _instructions(code: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First column that holds an instruction, and the one after the last, of each program."""
    filled = code.any(axis=2)
    return filled.argmax(axis=1), filled.shape[1] - filled[:, ::-1].argmax(axis=1)


def _lost(program: int, steps: int) -> LostProgramError:
    return LostProgramError(f"program {program} left its instructions after {steps} steps")


def _soft_heads(heads: Sequence[Head]) -> SoftHeads:
    """The heads of a layer, without their zeros."""
    scores = np.cumsum([0, *(len(head.Q) for head in heads)])
    values = np.cumsum([0, *(len(head.U) for head in heads)])
    target = np.concatenate([head.O.numpy().argmax(axis=0) for head in heads])
    query, key, value = (
        _sparse_rows(np.concatenate([getattr(head, name).numpy() for head in heads]))
        for name in "QKU"
    )
    return SoftHeads(scores, values, query, key, value, target)


def _sparse_rows(matrix: NDArray[np.float64]) -> Rows:
    row, column = np.nonzero(matrix)
    start = np.searchsorted(row, np.arange(len(matrix) + 1))
    return Rows(start, column, matrix[row, column])


def sparse_layers(
    layers: Sequence[Layer], dead: Sequence[Sequence[int]], kept: Sequence[int] | None = None
) -> Sparse:
    """Feed-forward layers without zeros, without dead inputs, with linear pairs folded.

    Parameters
    ----------
    layers : sequence of Layer
    dead : sequence of sequences of int
        For each layer, rows that are always 0 in the columns it is made for.
    kept : sequence of int, optional
        Rows of the columns, where they do not have all.

    Returns
    -------
    Sparse

    Raises
    ------
    ValueError
        If a neuron that can fire writes to a row that is not kept.
    """
    number = {row: i for i, row in enumerate(kept)} if kept is not None else None
    bounds, neurons = [], []
    for layer, zero in zip(layers, dead, strict=True):
        w1, w2 = layer.W1.numpy().copy(), layer.W2.numpy()
        w1[:, list(zero)] = 0
        live = [(_entries(w1[i]), _entries(w2[:, i])) for i in range(len(w1)) if w1[i].any()]
        linear, rest = _fold(live)
        first, relu = len(neurons), len(neurons) + len(linear)
        bounds.append((first, relu, relu + len(rest)))
        neurons += linear + rest
    if number is not None:
        missing = {r for _, outputs in neurons for r, _ in outputs} - number.keys()
        if missing:
            raise ValueError(f"layer must write to rows {list(kept)} only, writes to {missing}")
        neurons = [
            tuple(tuple((number[r], w) for r, w in side) for side in pair) for pair in neurons
        ]
    arrays = []
    for side in (0, 1):
        flat = [entry for pair in neurons for entry in pair[side]]
        start = np.cumsum([0, *(len(pair[side]) for pair in neurons)])
        arrays += [
            start.astype(np.uint64),
            np.array([r for r, _ in flat], np.uint64),
            np.array([w for _, w in flat], np.float64),
        ]
    return Sparse(np.array(bounds, np.uint64), *arrays)


def _entries(weights: NDArray[np.float64]) -> tuple[tuple[int, float], ...]:
    return tuple((int(i), float(weights[i])) for i in np.flatnonzero(weights))


def _fold(neurons: list) -> tuple[list, list]:
    """Pairs w (ReLU(z) - ReLU(-z)) are w z: the linear neurons, and the others."""

    def negative(entries: tuple) -> tuple:
        return tuple((row, -weight) for row, weight in entries)

    waiting: dict = {}
    linear, matched = [], set()
    for i, (inputs, outputs) in enumerate(neurons):
        partners = waiting.get((negative(inputs), negative(outputs)))
        if partners:
            matched |= {i, partners.pop()}
            linear.append((negative(inputs), negative(outputs)))
        else:
            waiting.setdefault((inputs, outputs), []).append(i)
    return linear, [pair for i, pair in enumerate(neurons) if i not in matched]


def _others(rows: Sequence[int], width: int) -> list[int]:
    return [row for row in range(width) if row not in set(rows)]


def _check_heads(machine: SubleqMachine | FleqMachine, built: SubleqMachine | FleqMachine) -> None:
    """The evaluator decodes addresses: it knows what the heads do, so they must be those."""
    pairs = zip(machine.transformer.layers, built.transformer.layers, strict=True)
    for index, (layer, expected) in enumerate(pairs):
        if len(layer.heads) != len(expected.heads):
            raise ValueError(f"layer {index} must have {len(expected.heads)} heads")
        for h, (given, right) in enumerate(zip(layer.heads, expected.heads, strict=True)):
            same = given.soft == right.soft and all(
                torch.equal(getattr(given, name), getattr(right, name)) for name in "QKUO"
            )
            if not same:
                raise ValueError(
                    f"head {h} of layer {index} must have the weights of the construction"
                )
