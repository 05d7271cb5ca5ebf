"""The FLEQ machine, its interpreter, assembler and programs."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import torch

from reprise.expressivity.looped.errors import AssemblyError
from reprise.expressivity.looped.fleq import OPS, FleqMachine
from reprise.expressivity.looped.fleq_assembler import assemble_fleq, disassemble_fleq
from reprise.expressivity.looped.fleq_interpreter import AmbiguousFlagError, run_fleq
from reprise.expressivity.looped.fleq_programs import (
    calculator,
    inverse,
    matrix_power,
    mlp,
    power,
    sgd,
)
from reprise.expressivity.looped.fleq_truth import (
    draw_mlp,
    draw_regular,
    draw_sgd,
    draw_symmetric,
    mlp_loss,
    numpy_calculator,
    numpy_mlp,
    numpy_power,
    numpy_sgd,
)
from reprise.expressivity.looped.interpreter import LostProgramError
from reprise.expressivity.looped.products import product_error
from reprise.expressivity.looped.splines import spline_seed

# rule of C11 for one step of each operation
BOUNDS = dict.fromkeys(("ADD", "SUB", "RELU", "SIG"), 1e-12)
BOUNDS |= {"HAD": 1e-8} | dict.fromkeys(("NN", "NT", "TN", "RECIP", "RSQRT"), 1e-7)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@functools.cache
def machine(dim, blocks):
    return FleqMachine(dim, blocks)


def others(made, X):
    """A state without its words."""
    X = X.clone()
    X[..., list(made.rows["MEM"]), :] = 0
    return X


def same_but_words(made, X, words, program, pc):
    return torch.equal(others(made, X), others(made, made.init(words, program, pc)))


def run(task, blocks=32):
    """Words after every dense step; the rest of each state must be the interpreter's."""
    program = task.program
    made = machine(program.words.shape[-1], blocks)
    trace = run_fleq(program.words, program.instructions, steps=task.steps)
    assert trace.pc[-1] == program.labels["end"]
    states = made.transformer.loop(
        made.init(program.words, program.instructions), task.steps, trace=True
    )
    for X, words, pc in zip(states, trace.words, trace.pc, strict=True):
        assert same_but_words(made, X, words, program.instructions, pc)
    return made.read(states, len(program.words)).words


# --- the machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dim", "blocks"), [*itertools.product((2, 4, 8), (8, 32)), (16, 64), (8, 128)]
)
def test_width_follows_its_formula_and_no_row_is_idle(dim, blocks):
    made = machine(dim, blocks)
    index, block = dim.bit_length() - 1, blocks.bit_length() - 1
    assert made.width == 12 * block + 6 * (index + block) + index + 8 * dim + 44
    assert made.transformer.used_rows().all()
    rows = list(itertools.chain(*made.rows.values()))
    assert rows == list(range(made.width))


def test_budget():
    budget = machine(8, 64).transformer.budget()
    assert (budget.layers, budget.width) == (6, 237)
    assert budget.heads == (1, 2, 10, 1, 1, 0)
    assert budget.ffn == (293, 1328, 112, 130, 5, 171)


def test_weights_depend_on_the_shape_only():
    first, second = FleqMachine(4, 16), FleqMachine(4, 16)
    assert first.transformer.sha256() == second.transformer.sha256()
    assert first.transformer.sha256() != machine(4, 32).transformer.sha256()


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dim", [2, 4, 8])
def test_one_step_is_the_interpreters(op, dim, rng):
    made = machine(dim, 16)
    low, high = (0.01, 4) if op in ("RECIP", "RSQRT") else (-1, 1)
    for flag, pc in itertools.product((2, 3), (0, 1)):
        words = rng.uniform(low, high, (4, dim, dim))
        program = np.array([[OPS.index(op), 0, 1, 2, flag, 1]] * 3)
        after = run_fleq(words, np.roll(program, pc, axis=0), steps=1).words[1]
        branch = after[flag, 0, 0] <= 0
        X = made.transformer(made.init(words, program, pc))
        read = made.read(X, 4)
        assert abs(read.words - after).max() <= BOUNDS[op]
        assert read.pc == (1 if branch else pc + 1)
        assert same_but_words(made, X, after, program, read.pc)
        np.testing.assert_array_equal(read.words[[0, 1, 3]], words[[0, 1, 3]])


def test_operands_may_be_the_result(rng):
    made = machine(4, 16)
    words = rng.uniform(-1, 1, (2, 4, 4))
    for op in ("ADD", "NN", "TN", "HAD"):
        program = [[OPS.index(op), 0, 0, 0, 1, 0]]
        expected = run_fleq(words, program, steps=1).words[-1]
        read = made.read(made.transformer(made.init(words, program)), 2)
        assert abs(read.words - expected).max() <= BOUNDS[op]


def test_layers_hand_their_results_on(rng):
    made = machine(4, 16)
    words = rng.uniform(-1, 1, (3, 4, 4))
    program = [[OPS.index("SUB"), 0, 1, 2, 2, 1], [OPS.index("NN"), 1, 0, 2, 0, 0]]

    def registers(X, *names):
        return [X[list(made.rows[name]), :4].numpy() for name in names]

    for pc, (op, a, b, c, flag, target) in enumerate(program):
        X = made.transformer.layers[0](made.init(words, program, pc))
        first = 4 * (2 + 3)
        for name, value in (("A", a + 2), ("B", b + 2), ("C", c + 2), ("F", flag + 2)):
            code = 2 * ((value >> np.arange(4)) & 1) - 1
            np.testing.assert_array_equal(registers(X, name)[0], np.tile(code[:, None], 4))
        for name, value in (("P", target + first), ("PC1", pc + 1 + first)):
            code = 2 * ((value >> np.arange(6)) & 1) - 1
            np.testing.assert_array_equal(registers(X, name)[0], np.tile(code[:, None], 4))
        chosen, closed = registers(X, "OP", "OPN")
        np.testing.assert_array_equal(chosen, np.tile(np.eye(10)[op][:, None], 4))
        np.testing.assert_array_equal(closed, 1 - chosen)
        X = made.transformer.layers[1](X)
        result, queries, keys, values = registers(X, "VC", "QR", "KE", "VA")
        if pc == 0:
            np.testing.assert_array_equal(result, words[0] - words[1])
            assert not np.any([queries, keys, values])
        else:
            np.testing.assert_array_equal(queries, words[0])
            np.testing.assert_array_equal(keys, np.eye(4))
            np.testing.assert_array_equal(values, words[1])
        X = made.transformer.layers[2](X)
        product = registers(X, "VC")[0]
        X = made.transformer.layers[3](X)
        np.testing.assert_allclose(made.read(X, 3).words[2], product, rtol=1e-15, atol=1e-15)
        assert not np.any(registers(X, "VC", "QR", "KE", "VA", "XP", "XK"))
        X = made.transformer.layers[4](X)
        corner = made.read(X, 3).words[flag][0, 0]
        np.testing.assert_array_equal(registers(X, "LE")[0], np.full((1, 4), float(corner <= 0)))


@pytest.mark.parametrize(("a", "b", "branches"), [(1, 2, True), (2, 1, False)])
def test_the_flag_is_read_after_the_write(a, b, branches):
    words = np.zeros((3, 4, 4))
    words[:, 0, 0] = a, b, 1 if branches else -1
    program = [[OPS.index("SUB"), 0, 1, 2, 2, 0], [OPS.index("SUB"), 0, 1, 2, 2, 0]]
    made = machine(4, 16)
    assert made.read(made.transformer(made.init(words, program)), 3).pc == (0 if branches else 1)
    assert run_fleq(words, program, steps=1).pc[1] == (0 if branches else 1)


@pytest.mark.parametrize(("flag", "after"), [(-5.0, 0), (0.0, 0), (2.5e-4, 0), (7.5e-4, 1), (9, 1)])
def test_flags_outside_the_dead_zone_are_decided(flag, after):
    words = np.zeros((2, 4, 4))
    words[1, 0, 0] = flag
    program = [[0, 0, 0, 0, 1, 0]] * 2
    made = machine(4, 16)
    assert made.read(made.transformer(made.init(words, program)), 2).pc == after
    trace = run_fleq(words, program, steps=1)
    assert trace.pc[-1] == after


@pytest.mark.parametrize("flag", [2.6e-4, 5e-4, 7.4e-4])
def test_flags_in_the_dead_zone_are_refused(flag):
    words = np.zeros((3, 4, 4))
    words[1, 0, 0] = flag
    program = [[0, 0, 0, 0, 1, 0]]
    with pytest.raises(AmbiguousFlagError, match=r"instruction 0 must be .*0.00075, got"):
        run_fleq(words, program, steps=1)
    trace = run_fleq(words, program, steps=1, dead_zone=1e-5)
    assert trace.pc[-1] == 1


@pytest.mark.parametrize("lam", [25.0, None])
def test_cold_softmax_is_hardmax(lam, rng):
    made = machine(4, 16)
    words = rng.uniform(-1, 1, (3, 4, 4))
    program = [[OPS.index("NN"), 0, 1, 2, 0, 0]] * 2
    X = made.init(words, program)
    torch.testing.assert_close(made.transformer(X, lam), made.transformer(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", OPS)
def test_the_largest_words_pass_no_closed_gate(op):
    made = machine(4, 16)
    words = np.zeros((3, 4, 4))
    words[:2] = 9e5
    program = [[OPS.index(op), 0, 1, 2, 2, 0]] * 2
    read = made.read(made.transformer(made.init(words, program)), 3)
    if op in ("SUB", "RELU", "SIG"):
        expected = {"SUB": 0, "RELU": 9e5, "SIG": 1}[op]
        np.testing.assert_allclose(read.words[2], expected, rtol=1e-12)
    np.testing.assert_array_equal(read.words[:2], words[:2])


def test_a_batch_is_its_members(rng):
    made = machine(4, 16)
    programs = rng.integers(0, [len(OPS), 3, 3, 3, 3, 5], (5, 5, 6))
    programs[:, -1, 4], programs[:, -1, 3] = 2, 1
    words = rng.uniform(0.1, 1, (5, 3, 4, 4))
    starts = [made.init(*p) for p in zip(words, programs, strict=True)]
    alone = [made.transformer.loop(X, 3) for X in starts]
    assert torch.equal(made.transformer.loop(torch.stack(starts), 3), torch.stack(alone))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 6}, "dim must be a power of two, got 6"),
        ({"dim": 1}, "dim must be a power of two, got 1"),
        ({"blocks": 48}, "blocks must be a power of two, got 48"),
        ({"blocks": 2}, "blocks must be an integer of at least 4, got 2"),
        ({"product_scale": 0}, "product_scale must be positive and finite, got 0"),
        ({"sink": float("nan")}, "sink must be positive and finite, got nan"),
        ({"pointwise_scale": -1}, "pointwise_scale must be positive"),
        ({"gate": float("inf")}, "gate must be positive"),
        ({"dead_zone": 0}, "dead_zone must be positive"),
        ({"knots": 1}, "knots must be an integer of at least 2, got 1"),
    ],
)
def test_machines_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FleqMachine(**{"dim": 4, "blocks": 16} | arguments)


@pytest.mark.parametrize("name", ["dead_zone", "gate"])
@pytest.mark.parametrize("value", [float("nan"), 0.0, -1.0])
def test_the_interpreter_refuses_limits_that_are_none(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive and finite, got"):
        run_fleq(np.zeros((1, 2, 2)), [[0, 0, 0, 0, 0, 0]], steps=1, **{name: value})


GOOD = [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("words", "program", "pc", "message"),
    [
        (np.zeros((2, 4, 3)), [GOOD], 0, r"words must have shape \(k, 4, 4\)"),
        (np.zeros((4, 4)), [GOOD], 0, "words must have shape"),
        (
            np.zeros((2, 2, 2)),
            [GOOD],
            0,
            r"words must have shape .* got \(2, 2, 2",
        ),
        (
            np.full((2, 4, 4), 1e7),
            [GOOD],
            0,
            "words must be .* at most 1e.06 in size, got 1000",
        ),
        (np.full((2, 4, 4), np.nan), [GOOD], 0, "words must be finite .* got nan"),
        (np.zeros((13, 4, 4)), [GOOD] * 5, 0, "need 65 columns, blocks . dim is 64"),
        (np.zeros((2, 4, 4)), [GOOD[:5]], 0, "program must hold instructions"),
        (np.zeros((2, 4, 4)), [[10, *GOOD[1:]]], 0, "program op must be from 0 to 9, got 10"),
        (
            np.zeros((2, 4, 4)),
            [[0, 2, 0, 0, 0, 0]],
            0,
            "program address must be .* 0 to 1, got 2",
        ),
        (np.zeros((2, 4, 4)), [[0, 0, -1, 0, 0, 0]], 0, "program address must be from 0 to 1"),
        (np.zeros((2, 4, 4)), [[0, 0, 0, 3, 0, 0]], 0, "program address must be from 0 to 1"),
        (np.zeros((2, 4, 4)), [[0, 0, 0, 0, 3, 0]], 0, "program address must be from 0 to 1"),
        (np.zeros((2, 4, 4)), [[0, 0, 0, 0, 0, 1]], 0, "program target p must be from 0 to 0"),
        (np.zeros((2, 4, 4)), [GOOD], 1, "pc must be from 0 to 0, got 1"),
        (np.zeros((2, 4, 4)), [[0.5] * 6], 0, "program must hold integers"),
    ],
)
def test_states_that_cannot_be_are_refused(words, program, pc, message):
    with pytest.raises(ValueError, match=message):
        machine(4, 16).init(words, program, pc)


@pytest.mark.parametrize("words", [0, 15, 1.0])
def test_reading_checks_the_number_of_words(words):
    with pytest.raises(ValueError, match="words must be an integer from 1 to 14"):
        machine(4, 16).read(torch.zeros(machine(4, 16).width, 64), words)


# --- products by attention ------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "low", "high"), [(1, 0.9, 1.1), (2, 1.9, 2.1), (4, 3.6, 4.2)])
def test_product_errors_fall_with_their_order(order, low, high, rng):
    scales = np.array([0.4, 0.2, 0.1, 0.05, 0.025])
    for _ in range(3):
        A, B = rng.uniform(-1, 1, (2, 8, 8))
        errors = [product_error(A, B, c, order) for c in scales]
        assert low <= np.polyfit(np.log(scales), np.log(errors), 1)[0] <= high
        best = min(product_error(A, B, c, order) for c in np.logspace(-9, 0, 19))
        assert best <= {1: 1e-6, 2: 2e-9, 4: 2e-9}[order]


@pytest.mark.parametrize(
    ("A", "B", "scale", "order", "message"),
    [
        (np.eye(3), np.eye(4), 1e-4, 2, "A and B must be square of one shape"),
        (np.eye(3)[:2], np.eye(3)[:2], 1e-4, 2, "A and B must be square"),
        (np.eye(3), np.eye(3), 1e-4, 3, "order must be 1, 2 or 4, got 3"),
        (np.eye(3), np.eye(3), 0, 2, "scale must be positive"),
    ],
)
def test_product_error_checks_its_arguments(A, B, scale, order, message):
    with pytest.raises(ValueError, match=message):
        product_error(A, B, scale, order)


# --- interpreter ----------------------------------------------------------------------------------


def test_seeds_are_close_to_their_functions():
    x = np.geomspace(2.0**-10, 2.0**10, 20_001)
    assert abs(spline_seed("RECIP", x) * x - 1).max() < 0.012
    assert abs(spline_seed("RSQRT", x) * np.sqrt(x) - 1).max() < 0.0045


def test_seeds_leave_empty_entries_empty_and_are_constant_beyond():
    for op, edge in (("RECIP", 2.0**-10), ("RSQRT", 2.0**-5)):
        np.testing.assert_array_equal(spline_seed(op, [-3, 0, 2.0**-11]), 0)
        np.testing.assert_allclose(spline_seed(op, [2.0**10, 1e6]), edge)


def test_a_program_that_runs_past_its_end_is_lost():
    words = np.ones((1, 2, 2))
    with pytest.raises(LostProgramError, match="pc must be from 0 to 0, got 1 after 1 steps"):
        run_fleq(words, [[0, 0, 0, 0, 0, 0]], steps=3)


def test_interpreter_checks_its_arguments():
    with pytest.raises(ValueError, match="words must have shape"):
        run_fleq(np.ones((2, 2)), [GOOD], steps=1)
    with pytest.raises(OverflowError, match=r"instruction 0 \(NN\) must give numbers of at most"):
        run_fleq(np.full((2, 2, 2), 1e4), [[OPS.index("NN"), 0, 0, 1, 0, 0]], steps=1)
    with pytest.raises(ValueError, match="steps must be an integer"):
        run_fleq(np.ones((2, 2, 2)), [GOOD], steps=-1)


# --- assembler ------------------------------------------------------------------------------------

TEXT = """
# a comment
start: first: NN A x -> y
SIG y -> y   # and another
SUB n one -> n ; if n <= 0 goto last
goto start
last:
"""


def test_assembling():
    made = assemble_fleq(TEXT, 2, {"A": [[1, 2], [3, 4]], "x": [5, 6], "y": 0, "n": 7})
    assert made.names == ("A", "x", "y", "n", "zero", "one")
    assert made.labels == {"start": 0, "first": 0, "last": 4, "end": 4}
    sub = OPS.index("SUB")
    np.testing.assert_array_equal(
        made.instructions,
        [
            [OPS.index("NN"), 0, 1, 2, 5, 0],
            [OPS.index("SIG"), 2, 2, 2, 5, 0],
            [sub, 3, 5, 3, 3, 4],
            [0, 4, 4, 4, 4, 0],
            [0, 4, 4, 4, 4, 4],
        ],
    )
    np.testing.assert_array_equal(made.words[1], [[5, 0], [6, 0]])
    np.testing.assert_array_equal(made.words[5], [[1, 0], [0, 0]])


@pytest.mark.parametrize(
    "program",
    [
        assemble_fleq(TEXT, 2, dict.fromkeys("Axyn", 1)),
        assemble_fleq("", 2, {}),
        calculator(3, 4).program,
        inverse(np.eye(4), 2).program,
        power(np.eye(4), 2).program,
        matrix_power(np.eye(4), 2).program,
        sgd(np.ones((2, 3)), np.ones(3), 0.1, 2).program,
        mlp(np.eye(4), np.eye(4), np.eye(4), np.eye(4), 0.1, 2).program,
    ],
)
def test_round_trip(program):
    words = dict(zip(program.names[:-2], program.words[:-2], strict=True))
    again = assemble_fleq(disassemble_fleq(program), program.words.shape[-1], words)
    np.testing.assert_array_equal(again.instructions, program.instructions)
    np.testing.assert_array_equal(again.words, program.words)
    assert (again.names, again.labels) == (program.names, program.labels)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("MUL A A -> A", 1, 1, "unknown opcode 'MUL', expected one of ADD, SUB, NN, .*RSQRT"),
        ("\n  ADD A B -> A", 2, 9, "unknown word 'B'"),
        ("ADD A A A", 1, 9, "expected '->', got 'A'"),
        ("ADD A A ->", 1, 11, "expected a word, got end of line"),
        ("ADD A -> A", 1, 7, "expected a word, got '->'"),
        ("SIG A A -> A", 1, 7, "expected '->', got 'A'"),
        ("ADD A A -> one", 1, 12, "'one' is a constant"),
        ("ADD A A -> A A", 1, 14, "expected end of line, got 'A'"),
        ("ADD A A -> A ; if A < 0 goto end", 1, 21, "expected '<=', got '<'"),
        ("ADD A A -> A ; if A <= 1 goto end", 1, 24, "expected '0', got '1'"),
        ("ADD A A -> A ; if A <= 0", 1, 25, "expected 'goto', got end of line"),
        ("goto there", 1, 6, "unknown label 'there'"),
        ("goto 3", 1, 6, "expected a label, got '3'"),
        ("a: ADD A A -> A\na: goto a", 2, 1, "label 'a' is defined twice"),
        ("end: goto end", 1, 1, "label 'end' is defined twice"),
        ("3: goto end", 1, 1, "expected a label, got '3'"),
    ],
)
def test_assembly_errors_say_where(text, line, column, message):
    with pytest.raises(AssemblyError, match=f"line {line}, column {column}: {message}") as raised:
        assemble_fleq(text, 2, {"A": 1})
    assert (raised.value.line, raised.value.column) == (line, column)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"one": 1}, "other than zero and one, got 'one'"),
        ({"a b": 1}, "got 'a b'"),
        ({"A": np.eye(3)}, r"words must fit into 2 by 2, got shape \(3, 3\) for 'A'"),
        ({"A": np.zeros((1, 1, 1))}, "words must fit"),
    ],
)
def test_words_that_do_not_fit_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        assemble_fleq("", 2, words)


# --- programs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(3, 4), (12.5, 0.8), (0.3, 7.7)])
def test_calculator(a, b):
    task = calculator(a, b, dim=4)
    words = run(task)
    assert task.steps == 31
    expected = numpy_calculator(a, b)
    assert set(task.outputs) == set(expected)
    for name in task.outputs:
        assert task.word(words[-1], name)[0, 0] == pytest.approx(expected[name], rel=1e-6)


def test_inverse_converges_quadratically(rng):
    A = draw_regular(4, rng=rng)
    assert np.linalg.cond(A) == pytest.approx(3.8)
    task = inverse(A, 12, dim=4)
    assert task.steps == 5 * 12 - 1
    X = task.word(run(task)[[0, *task.finished]], "X")
    residual = np.linalg.norm(np.eye(4) - A @ X, 2, axis=(-2, -1))
    assert (residual[1:] <= residual[:-1] ** 2 + 1e-8).all()
    assert abs(X[-1] - np.linalg.inv(A)).max() <= 1e-7


def test_inverse_of_a_smaller_matrix(rng):
    A = draw_regular(3, rng=rng)
    task = inverse(A, 12, dim=4)
    X = task.word(run(task)[-1], "X")
    assert abs(X[:3, :3] - np.linalg.inv(A)).max() <= 1e-7


def test_power_iteration(rng):
    A = draw_symmetric(4, rng=rng)
    task = power(A, 11, dim=4)
    assert task.steps == 15 * 11 - 1
    x = task.word(run(task)[-1], "x")[:, 0]
    value, vector = numpy_power(A)
    assert value == pytest.approx(2)
    assert abs(np.linalg.norm(x) - 1) <= 1e-6
    assert abs(abs(x @ vector) - 1) <= 1e-5


def test_power_starts_where_told():
    task = power(np.diag([2.0, 1.0]), 1, start=[0, 1], dim=2)
    np.testing.assert_allclose(task.word(run(task)[-1], "x")[:, 0], [0, 1], atol=1e-6)


def test_matrix_power(rng):
    A = draw_regular(4, rng=rng) / 3
    task = matrix_power(A, 5, dim=4)
    assert task.steps == 3 * 5 - 1
    assert abs(task.word(run(task)[-1], "R") - np.linalg.matrix_power(A, 5)).max() <= 1e-6


def test_sgd_after_every_update(rng):
    X, y = draw_sgd(samples=4, rng=rng)
    task = sgd(X, y, 0.3, 10, dim=4)
    assert task.steps == 11 * 10 - 1
    w = task.word(run(task)[task.finished], "w")
    expected = numpy_sgd(X, y, 0.3, 10)
    assert abs(w[:, :3, 0] - expected).max() <= 1e-5


def test_mlp_after_every_update(rng):
    inputs = draw_mlp(4, rng=rng)
    args = (inputs.X, inputs.Y, inputs.W1, inputs.W2, 0.1, 5)
    task, expected = mlp(*args), numpy_mlp(*args)
    assert task.steps == 16 * 5 - 1
    words = run(task)[task.finished]
    assert abs(task.word(words, "W1") - expected.W1).max() <= 1e-6
    assert abs(task.word(words, "W2")[:, :1] - expected.W2).max() <= 1e-6


def test_mlp_gradient_is_that_of_its_loss(rng):
    inputs = draw_mlp(4, rng=rng)
    path = numpy_mlp(inputs.X, inputs.Y, inputs.W1, inputs.W2, 1.0, 1)
    W1, W2 = (torch.tensor(W, requires_grad=True) for W in (inputs.W1, inputs.W2))
    X, Y = torch.from_numpy(inputs.X), torch.from_numpy(inputs.Y)
    loss = ((W2 @ torch.sigmoid(W1 @ X) - Y) ** 2).sum() / 2
    loss.backward()
    assert path.loss[0] == pytest.approx(loss.item())
    np.testing.assert_allclose(inputs.W1 - path.W1[0], W1.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(inputs.W2 - path.W2[0], W2.grad.numpy(), atol=1e-12)
    assert path.loss[1] == pytest.approx(mlp_loss(inputs.X, inputs.Y, path.W1[0], path.W2[0]))


def test_training_lowers_the_loss_as_the_chapter_claims(rng):
    inputs = draw_mlp(rng=rng)
    loss = numpy_mlp(inputs.X, inputs.Y, inputs.W1, inputs.W2, 0.1, 200).loss
    assert loss[-1] < loss[0] / 5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: calculator(0, 1), "a must be from 2.-10 to 2.10, got 0"),
        (lambda: calculator(1, 2000), "b must be from"),
        (lambda: inverse(np.ones((2, 3)), 1), "A must be a square matrix"),
        (lambda: inverse(np.eye(2), 0), "iterations must be an integer of at least 1"),
        (lambda: inverse(np.eye(9), 1), "words must fit into 8 by 8"),
        (lambda: power(np.eye(2), 1, start=[1]), "start must have shape"),
        (lambda: matrix_power(np.eye(2), 0), "exponent must be an integer of at least 1"),
        (lambda: sgd(np.eye(3), np.ones(2), 0.1, 1), "X and y must have shapes"),
        (lambda: sgd(np.eye(3), np.ones(3), 0, 1), "eta must be positive"),
        (lambda: mlp(*[np.eye(4)] * 3, np.eye(3), 0.1, 1), "X, Y, W1 and W2 must have shapes"),
    ],
)
def test_programs_check_their_inputs(build, message):
    with pytest.raises(ValueError, match=message):
        build()
