"""Looped transformers: the compiled evaluator against dense passes, and against the interpreter."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from reprise.expressivity.looped import fleq_programs, fleq_truth
from reprise.expressivity.looped.compiled import CompiledMachine
from reprise.expressivity.looped.fleq import FleqMachine
from reprise.expressivity.looped.interpreter import random_subleq, run_subleq, run_subleq_to_end
from reprise.expressivity.looped.subleq import FIRST_WORD, SubleqMachine
from reprise.runtime import thread_count

SHAPES = [(8, 32, 8), (64, 256, 16), (256, 1024, 16)]  # words, columns, bits
SCRATCHPAD = 8  # columns before the memory in the authors' sequence
LAM = 10.0
PROGRAMS = 64
# of the compiled layers, in the scratch column and in the written one
MULTIPLY_ADDS = dict(zip(SHAPES, (1341, 3318, 3536), strict=True))


@pytest.fixture
def one_thread():
    """BLAS and torch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def race(shape):
    return "SUBLEQ step, (m, n, N) = ({}, {}, {})".format(*shape)


def official_race(shape):
    return f"{race(shape)}, against the authors' code"


def endless(shape, first):
    """A memory and a program that counts word 1 down for ever, padded up to the last column."""
    words, columns, _ = shape
    memory = [1] + [0] * (words - 1)
    program = [[0, 1, 1], [2, 2, 0]]
    return memory, program + [[0, 0, 0]] * (columns - first - words - len(program))


def start(shape, count):
    """The machine, its states of ``count`` programs, and the integers in them."""
    machine = SubleqMachine(*shape[1:])
    memory, program = endless(shape, FIRST_WORD)
    memories = np.tile(memory, (count, 1))
    memories[:, 1] = np.arange(count)
    return machine, machine.init(memories, program), memories, program


def check(machine, states, memories, program, steps):
    """The states are those of the interpreter."""
    reading = machine.read(states, memories.shape[1])
    for memory, after, pc in zip(memories, reading.memory, reading.pc, strict=True):
        end = run_subleq_to_end(memory, program, machine.bits, limit=steps)
        assert end.steps == steps
        assert end.pc == pc
        np.testing.assert_array_equal(after, end.memory)


def official_sizes(columns, bits):
    """Rows of the authors' sequence, and (hidden neurons, heads, heads in use) of each layer."""
    length = columns.bit_length() - 1
    rows = 8 * length + 3 * bits + max(3 * length, 2 * bits) + 1
    fetch, read, write = (12 * length, 1, True), (8 * bits, 2, True), (4 * bits, 1, True)
    # the other layers have a head of zeros
    subtract = [(h * bits, 1, False) for h in (1, 6, 14)]
    branch = [(h, 1, False) for h in (2 * bits + 2, 8 * length, 6 * length + 2)]
    correct = (6 * (bits + 4 * length), 1, False)
    return length, rows, [fetch, read, *subtract, write, *branch, correct]


def dense_layer(X, length, hidden, heads, used):
    """Allocate and fill a layer's weights, blocks of identities, and apply them: no machine step.

    The products are bracketed as in the authors' code, from left to right.
    """
    d, n = X.shape
    attended = X
    for _ in range(heads):
        Q, K, V = np.zeros((length, d)), np.zeros((length, d)), np.zeros((d, d))
        if used:
            Q[:, :length] = K[:, :length] = np.eye(length)
            np.fill_diagonal(V, 1 / 16)
        scores = np.exp(LAM * (X.T @ K.T @ Q @ X))
        attended = attended + V @ X @ (scores / scores.sum(axis=0))
    W1, W2 = np.zeros((hidden, d)), np.zeros((d, hidden))
    b1, b2 = np.zeros((hidden, n)), np.zeros((d, n))
    for begin in range(0, hidden, d):
        size = min(d, hidden - begin)
        W1[begin : begin + size, :size] = np.eye(size)
        W2[:size, begin : begin + size] = np.eye(size) / 64  # so that no value grows
    return attended + W2 @ np.maximum(W1 @ attended + b1, 0) + b2


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dense_numpy(lap, one_thread, shape):
    length, rows, layers = official_sizes(*shape[1:])
    X = np.random.default_rng(0).choice([-1.0, 1.0], (rows, shape[1]))

    def step():
        Y = X
        for layer in layers:
            Y = dense_layer(Y, length, *layer)
        return Y

    out = lap(
        step,
        work=race(shape),
        name="numpy, dense, ten layers of the authors' sizes, weights allocated at every step "
        "(not their code), 1 thread",
        units=1,
        peer=True,
        rounds=100 if shape[1] < 1000 else 10,
    )
    assert np.isfinite(out).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_official_script(lap, official, one_thread, monkeypatch, shape):
    """The authors' own layers, from a checkout: --official looped=PATH."""
    if "looped" not in official:
        pytest.skip("no checkout of the authors' code given: --official looped=PATH")
    pytest.importorskip("matplotlib", reason="the authors' code needs it")
    if importlib.util.find_spec("pandas") is None:  # it only writes their tables
        monkeypatch.setitem(sys.modules, "pandas", ModuleType("pandas"))
    for module in ("utils", "subleq"):  # names that others may have
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(official["looped"])
    import subleq
    import utils

    words, columns, bits = shape
    length = columns.bit_length() - 1
    blocks = [*utils.get_nrows_subleq(length, bits), 1]
    at, rows = utils.get_row_idx_list_subleq(blocks), sum(blocks)
    memory, program = endless(shape, SCRATCHPAD)
    first = SCRATCHPAD + words
    absolute = [(a + SCRATCHPAD, b + SCRATCHPAD, c + first) for a, b, c in program]
    begin, _ = utils.init_input(
        SCRATCHPAD, words, columns, length, bits, rows, absolute, blocks, at, mem_given=memory
    )
    steps = 4 if columns < 1000 else 2

    def run():
        X, results = begin, []
        for _ in range(steps):
            sizes = (columns, length, rows, bits, 1, blocks, at, None)
            X, result, _ = subleq.read_inst(X, SCRATCHPAD, words, *sizes, None, LAM)
            for layers in (
                subleq.read_mem,
                subleq.subtract_mem,
                subleq.write_mem,
                subleq.conditional_branching,
                subleq.error_correction,
            ):
                X, result, *_ = layers(X, *sizes, result, LAM)
            results.append(result)
        return results

    with np.printoptions():  # the authors' code changes them
        results = lap(
            run,
            work=official_race(shape),
            name="the authors' functions, 1 thread",
            units=steps,
            peer=True,
            rounds=20 if columns < 1000 else 3,
        )
    # a row: memory before, a, b, c, mem[a], mem[b], difference, flag, next column
    trace = run_subleq(memory, program, bits, steps=steps)
    np.testing.assert_array_equal([r[:words] for r in results], trace.memory[:-1])
    np.testing.assert_array_equal([r[-1] for r in results], trace.pc[1:] + first)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dense_torch(lap, one_thread, shape):
    machine, states, memories, program = start(shape, 1)
    steps = 100 if shape[1] < 100 else 4
    after = lap(
        lambda: machine.transformer.loop(states, steps),
        work=race(shape),
        name="reprise, three dense layers in torch, 1 thread",
        units=steps,
        rounds=5,
    )
    check(machine, after, memories, program, steps)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_compiled(lap, shape):
    """One program, in the race with the peer."""
    compiled_lap(lap, shape, 1, 1, work=race(shape))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_compiled_against_the_authors(lap, official, shape):
    """One program, in the race with the authors' code alone."""
    if "looped" not in official:
        pytest.skip("no checkout of the authors' code given: --official looped=PATH")
    target = {32: 700, 1024: 20_000}.get(shape[1])
    compiled_lap(lap, shape, 1, 1, work=official_race(shape), target=target)


@pytest.mark.parametrize(
    ("shape", "programs", "threads"),
    [(shape, *case) for shape in SHAPES for case in ((1, 1), (PROGRAMS, 1), (PROGRAMS, 2))],
    ids=str,
)
def test_compiled_programs(lap, shape, programs, threads):
    """One and many programs against the clock, per program and step."""
    if threads > thread_count():
        pytest.skip(f"{threads} cores are needed")
    notes = {"target": 4000} if shape == SHAPES[0] and programs == 1 else {}
    work = f"{race(shape)}, compiled, per program and step"
    compiled_lap(lap, shape, programs, threads, work=work, **notes)


def compiled_lap(lap, shape, programs, threads, **notes):
    machine, states, memories, program = start(shape, programs)
    evaluator = CompiledMachine(machine)
    steps = 100_000 if programs == 1 else 10_000
    lanes, count = (1 if programs == 1 else 8), MULTIPLY_ADDS[shape]
    limit = f"{count / lanes / 3:.0f} ns: {count} multiply-adds, {lanes} a cycle, 3 GHz"
    after = lap(
        lambda: evaluator.run(states, steps, threads),
        name=f"reprise, compiled, {programs} program{'s' * (programs > 1)}, "
        f"{threads} thread{'s' * (threads > 1)}",
        units=programs * steps,
        limit=limit,
        **notes,
    )
    check(machine, after.states, memories, program, steps)


def fleq(updates):
    """The machine, the program that trains a network, its first state, and numpy's result."""
    machine = FleqMachine(8, 64)
    inputs = fleq_truth.draw_mlp(rng=np.random.default_rng(0))
    data = (inputs.X, inputs.Y, inputs.W1, inputs.W2)
    task = fleq_programs.mlp(*data, 0.1, updates)
    state = machine.init(task.program.words, task.program.instructions)
    return machine, task, state[None], fleq_truth.numpy_mlp(*data, 0.1, updates)


FLEQ = "FLEQ step, dm = 8, 64 blocks, backpropagation"


def test_fleq_dense(lap, one_thread):
    machine, task, states, right = fleq(1)
    after = lap(
        lambda: machine.transformer.loop(states, task.steps),
        work=FLEQ,
        name="reprise, six dense layers in torch, 1 thread",
        units=task.steps,
        rounds=2,
    )
    words = machine.read(after[0], len(task.program.words)).words
    np.testing.assert_allclose(task.word(words, "W1"), right.W1[-1], atol=1e-5)


def test_fleq_compiled(lap):
    machine, task, states, right = fleq(200)
    evaluator = CompiledMachine(machine)
    after = lap(
        lambda: evaluator.run(states, task.steps, 1),
        work=FLEQ,
        name="reprise, compiled, 1 thread",
        units=task.steps,
        target=150_000,
        rounds=5,
    )
    words = machine.read(after.states[0], len(task.program.words)).words
    np.testing.assert_allclose(task.word(words, "W1"), right.W1[-1], atol=1e-4)


def test_random_programs(lap):
    """100,000 random programs end as with the interpreter, after as many steps."""
    count, chunk, steps, bits, words = 100_000, 5_000, 40, 8, 8
    machine = SubleqMachine(32, bits)
    evaluator = CompiledMachine(machine)
    rng = np.random.default_rng(0)
    memories, programs = random_subleq(
        words=words, instructions=22, bits=bits, count=count, rng=rng
    )
    ends = [
        run_subleq(memory, program, bits, steps=steps)
        for memory, program in zip(memories, programs, strict=True)
    ]
    right = np.array([[*end.memory[-1], end.pc[-1], len(end.pc) - 1] for end in ends])
    evaluator.run(machine.init(memories[:8], programs[:8]), steps, 1)  # compiles

    def ours():
        found = []
        for begin in range(0, count, chunk):
            part = slice(begin, begin + chunk)
            run = evaluator.run(machine.init(memories[part], programs[part]), steps, 1)
            reading = machine.read(run.states, words)
            found.append(np.column_stack([reading.memory, reading.pc, run.steps]))
        return np.concatenate(found)

    found = lap(
        ours,
        work="100,000 random SUBLEQ programs, up to 40 steps, per step taken",
        name="reprise, compiled, 1 thread, sequences made and read",
        units=int(right[:, -1].sum()),
        rounds=1,
        warmup=0,
    )
    mismatches = int((found != right).any(axis=1).sum())
    assert mismatches == 0, f"{mismatches} of {count} programs end otherwise"
