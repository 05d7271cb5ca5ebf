"""Machines and programs broken on purpose: the rules of claims C1, C7, C8, C9 and C11 turn."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from reprise.expressivity.looped import fleq, fleq_programs
from reprise.expressivity.looped.fleq import OPS, FleqMachine, product_error
from reprise.expressivity.looped.fleq_interpreter import run_fleq
from reprise.expressivity.looped.gadgets import add_terms, scaled
from reprise.expressivity.looped.network import Head

DIM = 4
SCALES = np.array([0.4, 0.2, 0.1, 0.05, 0.025])
TABLE = dict.fromkeys(("ADD", "SUB", "RELU", "SIG"), 1e-12)
TABLE |= {"HAD": 1e-8} | dict.fromkeys(("NN", "NT", "TN", "RECIP", "RSQRT"), 1e-7)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# --- the rules ------------------------------------------------------------------------------------


def table_holds(**options):
    """C11: one step of every operation is the interpreter's, and so are the flags after a write."""
    made, draws = FleqMachine(DIM, 16, **options), np.random.default_rng(1)
    memory = list(made.rows["MEM"])
    for op in OPS:
        for _ in range(3):
            low, high = (0.01, 4) if op in ("RECIP", "RSQRT") else (-1, 1)
            words = draws.uniform(low, high, (4, DIM, DIM))
            # off the corner, that a flag read elsewhere differs
            words[3, 0, :] = 1
            words[3, 0, 0] = -1
            program = np.array([[OPS.index(op), 0, 1, 2, 3, 2]] * 3)
            if not step_holds(made, words, program, TABLE[op], memory):
                return False
    for a, b in ((1, 2), (2, 1)):
        words = np.zeros((3, DIM, DIM))
        words[:, 0, 0] = a, b, b - a
        program = np.array([[OPS.index("SUB"), 0, 1, 2, 2, 2]] * 3)
        if not step_holds(made, words, program, TABLE["SUB"], memory):
            return False
    return True


def step_holds(made, words, program, bound, memory):
    after = run_fleq(words, program, steps=1)
    X = made.transformer(made.init(words, program))
    if not abs(made.read(X, len(words)).words - after.words[-1]).max() <= bound:
        return False
    expected = made.init(after.words[-1], program, int(after.pc[-1]))
    X[memory], expected[memory] = 0, 0
    return torch.equal(X, expected)


def products_hold(sink=24.0):
    """C7: orders and best errors."""
    A, B = np.random.default_rng(2).uniform(-1, 1, (2, 8, 8))
    for order, low, high, best in ((1, 0.9, 1.1, 1e-6), (2, 1.9, 2.1, 2e-9), (4, 3.6, 4.2, 2e-9)):
        errors = [product_error(A, B, c, order, sink) for c in SCALES]
        if not low <= np.polyfit(np.log(SCALES), np.log(errors), 1)[0] <= high:
            return False
        if min(product_error(A, B, c, order, sink) for c in np.logspace(-9, 0, 19)) > best:
            return False
    return True


def outputs(task, **options):
    """The program's words after every step, by the transformer."""
    made = FleqMachine(task.program.words.shape[-1], 32, **options)
    X = made.init(task.program.words, task.program.instructions)
    states = made.transformer.loop(X, task.steps, trace=True)
    return made.read(states, len(task.program.words))


def newton_holds(rng, **options):
    """C8: residuals are squared, and the inverse is right."""
    A = fleq_programs.draw_regular(rng, DIM)
    task = fleq_programs.inverse(A, 12, dim=DIM)
    X = task.word(outputs(task, **options).words[[0, *task.finished]], "X")
    residual = np.linalg.norm(np.eye(DIM) - A @ X, 2, axis=(-2, -1))
    used = (residual[:-1] >= 1e-4) & (residual[:-1] <= 0.9)
    slope = np.polyfit(np.log(residual[:-1][used]), np.log(residual[1:][used]), 1)[0]
    squared = (residual[1:] <= residual[:-1] ** 2 + 1e-8).all()
    error = abs(X[-1] - fleq_programs.numpy_inverse(A)).max()
    return bool(squared and 1.9 <= slope <= 2.1 and error <= 1e-7)


def training_holds(rng, updates=6):
    """C9: weights after every update."""
    inputs = fleq_programs.draw_mlp(rng, DIM)
    args = (inputs.X, inputs.Y, inputs.W1, inputs.W2, 0.1, updates)
    task, expected = fleq_programs.mlp(*args), fleq_programs.numpy_mlp(*args)
    words = outputs(task).words[task.finished]
    first, second = task.word(words, "W1"), task.word(words, "W2")[:, :1]
    return max(abs(first - expected.W1).max(), abs(second - expected.W2).max()) <= 1e-5


def calculator_holds():
    """C1, at its cheapest program: results and counters."""
    task = fleq_programs.calculator(3, 4, dim=DIM)
    read = outputs(task)
    trace = run_fleq(task.program.words, task.program.instructions, steps=task.steps)
    expected = fleq_programs.numpy_calculator(3, 4)
    errors = [
        abs(task.word(read.words[-1], name)[0, 0] / expected[name] - 1) for name in task.outputs
    ]
    return bool(max(errors) <= 1e-5 and np.array_equal(read.pc, trace.pc))


def test_the_right_machine_holds_all_rules(rng):
    assert table_holds()
    assert products_hold()
    assert newton_holds(rng)
    assert training_holds(rng)
    assert calculator_holds()


# --- C11 ------------------------------------------------------------------------------------------


def opened_by_a_large_number(monkeypatch):
    """A gate that adds K o - K: an open one costs the digits of K."""

    def open_(self, neurons, op, terms, outputs):
        bound = 2 * self.gate
        chosen = {self.rows["OP"][OPS.index(op)]: bound, self.rows["IND"][0]: -bound}
        for sign in (1.0, -1.0):
            neurons.relu(add_terms(scaled(terms, sign), chosen), scaled(outputs, sign))

    monkeypatch.setattr(FleqMachine, "_open", open_)


def mask_of_ten(monkeypatch):
    monkeypatch.setattr(fleq, "APART", 10.0)


def edited_layer(monkeypatch, name, edit):
    """A layer whose neurons are changed when it is built."""
    right = getattr(FleqMachine, name)

    def build(self):
        layer = right(self)
        edit(self, layer)
        return layer

    monkeypatch.setattr(FleqMachine, name, build)


def sigmoid_key_everywhere(monkeypatch):
    """The constant of a sigmoid's key stands in every column."""

    def edit(self, layer):
        row = list(self.rows["XK"])
        neurons = layer.W2[row].any(dim=0) & layer.W1[:, self.rows["OP"][OPS.index("SIG")]].bool()
        layer.W1[neurons] = 0
        layer.W1[neurons, self.rows["ONE"][0]] = 1

    edited_layer(monkeypatch, "_operands", edit)


def pointwise_not_cleared(monkeypatch):
    def edit(self, layer):
        layer.W2[list(self.rows["XP"])] = 0

    edited_layer(monkeypatch, "_write", edit)


def flag_at_the_wrong_index(monkeypatch):
    """The flag's own column index is asked as +1 in its lowest bit."""

    def edit(self, layer):
        layer.heads[0].Q[0] *= -1

    edited_layer(monkeypatch, "_flag", edit)


def flag_before_write(monkeypatch):
    right = FleqMachine.__init__

    def build(self, *args, **options):
        right(self, *args, **options)
        fetch, operands, functions, write, flag, branch = self.transformer.layers
        # ahead of the write the flag's layer must not find the result
        self.transformer.layers = torch.nn.ModuleList(
            [fetch, operands, functions, flag, write, branch]
        )

    monkeypatch.setattr(FleqMachine, "__init__", build)


def write_without_gate(monkeypatch):
    """Every memory column takes what it fetches."""

    def edit(self, layer):
        layer.W1[:, self.rows["BUF"][self.dim]] *= layer.W1[:, list(self.rows["MEM"])].eq(0).all(1)

    edited_layer(monkeypatch, "_write", edit)


def flag_threshold_moved(monkeypatch):
    def edit(self, layer):
        layer.W1[:, self.rows["IND"][0]] *= torch.where(layer.W1[:, self.rows["BUF"][0]] > 1, -1, 1)

    edited_layer(monkeypatch, "_flag", edit)


@pytest.mark.parametrize(
    "mutant",
    [
        opened_by_a_large_number,
        mask_of_ten,
        sigmoid_key_everywhere,
        pointwise_not_cleared,
        flag_at_the_wrong_index,
        flag_before_write,
        write_without_gate,
        flag_threshold_moved,
    ],
)
def test_the_table_rejects(mutant, monkeypatch):
    mutant(monkeypatch)
    assert not table_holds()


@pytest.mark.parametrize("options", [{"knots": 17}, {"pointwise_scale": 1e-2}, {"sink": 12.0}])
def test_the_table_rejects_other_constants(options):
    assert not table_holds(**options)


# --- C7 -------------------------------------------------------------------------------------------


def gain_without_the_scratch_columns(monkeypatch):
    monkeypatch.setattr(fleq, "total_attention", lambda dim, sink: np.exp(sink))


def wrong_extrapolation(monkeypatch):
    monkeypatch.setattr(fleq, "_extrapolate", lambda fine, coarse: 2 * fine - coarse)


def edited_product_head(monkeypatch, edit):
    right = fleq.product_head

    def build(width, rows, sign, scale, sink):
        return edit(right, width, rows, sign, scale, sink)

    monkeypatch.setattr(fleq, "product_head", build)


def equal_signs(monkeypatch):
    def edit(right, width, rows, sign, scale, sink):
        return right(width, rows, 1.0, scale, sink)

    edited_product_head(monkeypatch, edit)


def no_sink(monkeypatch):
    def edit(right, width, rows, sign, scale, sink):
        made = right(width, rows, sign, scale, sink)
        return Head(made.Q[:-1], made.K[:-1], made.V, soft=True)

    edited_product_head(monkeypatch, edit)


@pytest.mark.parametrize(
    "mutant", [gain_without_the_scratch_columns, wrong_extrapolation, equal_signs, no_sink]
)
def test_the_orders_of_products_reject(mutant, monkeypatch):
    mutant(monkeypatch)
    assert not products_hold()


@pytest.mark.parametrize("sink", [12.0, 16.0])
def test_the_orders_of_products_reject_a_weak_sink(sink):
    assert not products_hold(sink)


# --- C8, C9, C1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"product_scale": 1e-2}, {"sink": 16.0}])
def test_newton_rejects_other_constants(options, rng):
    assert not newton_holds(rng, **options)


def test_newton_rejects_another_iteration(rng, monkeypatch):
    right = fleq_programs.inverse

    def build(A, iterations, dim):
        task = right(A, iterations, dim)
        task.word(task.program.words, "two")[:] *= 0.95
        return task

    monkeypatch.setattr(fleq_programs, "inverse", build)
    assert not newton_holds(rng)


def rewritten(monkeypatch, old, new):
    text = re.sub(old, new, fleq_programs.MLP)
    assert text != fleq_programs.MLP
    monkeypatch.setattr(fleq_programs, "MLP", text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SUB W2 G -> W2", "ADD W2 G -> W2"),  # uphill
        ("HAD D G -> D", "ADD D zero -> D"),  # D without 1 - H
        ("TN W2 E -> D", "NN W2 E -> D"),  # untransposed
        (  # the error goes back through weights that are already new
            r"(TN W2 E -> D\n(?:.*\n){3})((?:.*\n){2}.*SUB W2 G -> W2\n)",
            r"\2      \1",
        ),
    ],
)
def test_training_rejects(old, new, rng, monkeypatch):
    rewritten(monkeypatch, old, new)
    assert not training_holds(rng)


def lost_sign(monkeypatch):
    """One of the two product heads scores without its sign."""

    def edit(right, width, rows, sign, scale, sink):
        made = right(width, rows, sign, scale, sink)
        return Head(right(width, rows, 1.0, scale, sink).Q, made.K, made.V, soft=True)

    edited_product_head(monkeypatch, edit)


def flat_sigmoid(monkeypatch):
    def edit(self, layer):
        neurons = layer.W1[:, self.rows["OP"][OPS.index("SIG")]].bool()
        layer.W2[:, neurons] *= 0.9

    edited_layer(monkeypatch, "_operands", edit)


@pytest.mark.parametrize("mutant", [lost_sign, flag_threshold_moved])
def test_the_calculator_rejects(mutant, monkeypatch):
    mutant(monkeypatch)
    assert not calculator_holds()


def test_training_rejects_a_flat_sigmoid(rng, monkeypatch):
    flat_sigmoid(monkeypatch)
    assert not training_holds(rng)


def test_the_calculator_rejects_seeds_that_do_not_spare_zero(monkeypatch):
    right = fleq.spline_points

    def points(op, knots=65):
        x, y = right(op, knots)
        return np.append(-1.0, x[1:]), np.append(y[1], y[1:])  # constant below 2^-10

    monkeypatch.setattr(fleq, "spline_points", points)
    task = fleq_programs.calculator(3, 4, dim=DIM)
    assert abs(outputs(task).words[-1]).max() > 1e3
