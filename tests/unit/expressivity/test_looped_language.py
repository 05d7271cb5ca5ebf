"""The small language: its meaning, its errors, and its compiled code on the SUBLEQ interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from reprise.expressivity.looped import library
from reprise.expressivity.looped.compiler import columns_for, compile_source
from reprise.expressivity.looped.errors import CompileError, LanguageError
from reprise.expressivity.looped.interpreter import run_subleq_to_end
from reprise.expressivity.looped.language import TrapError, run_source
from reprise.expressivity.looped.parser import MOST_ELEMENTS
from reprise.expressivity.looped.random_source import difference, random_source


def steps(program, bits):
    run = run_subleq_to_end(program.memory, program.program, bits, limit=10**6)
    assert run.halted
    return run.steps


# --- what programs mean ---------------------------------------------------------------------------


@pytest.mark.parametrize("x", [-7, -6, -1, 0, 1, 7])
@pytest.mark.parametrize("y", [-7, -3, -1, 1, 2, 8])
def test_quotients_round_to_zero_and_remainders_follow_the_dividend(x, y):
    text = f"var x = {x}, y = {y}, a, b, c, d, e; a = x * y; b = x / y; c = x % y; "
    text += f"d = x / {y}; e = x % {y};"
    q = int(x / y)
    wanted = {"a": x * y, "b": q, "c": x - q * y, "d": q, "e": x - q * y}
    assert run_source(text, 8) == {"x": x, "y": y, **wanted}
    assert difference(text, 8) == ""


MEANINGS = [
    ("var x = 5, y; y = 2 + 3 * x - x / 2 % 3;", {"x": 5, "y": 15}),
    ("var x = 5; x = -(x - 7) - -1;", {"x": 3}),
    ("var x = 5; x = 3 - x;", {"x": -2}),
    ("var x = 5; x = x + x; x = x;", {"x": 10}),
    ("var x = 5; x = x - (x + 1) * 2;", {"x": -7}),
    (
        "var a = 3, i = 1; array p[2] = {4, 5}; p[i] = p[i - 1] - p[i]; a = p[1];",
        {"a": -1, "i": 1, "p": [4, -1]},
    ),
    ("array p[3] = {1, 2}; p[1] = p[p[0] + p[0]] - p[1];", {"p": [1, -2, 0]}),
    (
        "var x = 1, y; while x > 0 { while x > 0 { x = x + 1; if x == 9 {break;} } break; y = 1; }",
        {"x": 9, "y": 0},
    ),
    (
        "var i = 5, s; while i > 0 { i = i - 1; if i % 2 == 0 { continue; } s = s + i; }",
        {"i": 0, "s": 4},
    ),
    ("var x; if x != 0 or not x < 0 and x >= 0 { x = 4; } else { x = 5; }", {"x": 4}),
    ("var x; if x > 0 { x = 1; } else if x == 0 { x = 2; } else { x = 3; }", {"x": 2}),
    ("var x; if x == 0 or 1 / x > 0 { x = 1; } if x != 1 and 1 / (x - 1) > 0 { x = 2; }", {"x": 1}),
    ("var x; halt; x = 1;", {"x": 0}),
    ("", {}),
    ("# only this", {}),
    (
        "const k = -3, l = k; array a[4] = {k, -k, l}; var x = -k; x = k * x;",
        {"a": [-3, 3, -3, 0], "x": -9},
    ),
    ("var x; if 1 < 2 { x = 1; } if 0 == 0 { x = x + 1; } while 2 != 2 { x = 9; }", {"x": 2}),
]


@pytest.mark.parametrize(("text", "variables"), MEANINGS)
def test_programs_mean_what_they_say(text, variables):
    assert run_source(text, 8) == variables
    assert difference(text, 8) == ""


@pytest.mark.parametrize("relation", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("left", ["x", "3", "0", "x + 1", "p[x]"])
@pytest.mark.parametrize("right", ["y", "0", "2"])
def test_comparisons(relation, left, right):
    for x, y in ((0, 0), (0, 2), (2, 0), (1, 1)):
        text = f"var x = {x}, y = {y}, r; array p[3] = {{2, 0, -1}};"
        text += f"if {left} {relation} {right} {{ r = 1; }}"
        text += f"if not {left} {relation} {right} {{ r = r + 2; }}"
        assert run_source(text, 8)["r"] in (1, 2)
        assert difference(text, 8) == ""


def test_two_bits_are_enough_for_a_program():
    text = "var x = 1, y = -1, z; z = x * y; x = y / x; if x < z { y = 0; } else { y = x % z; }"
    assert run_source(text, 2) == {"x": -1, "y": 0, "z": -1}
    assert difference(text, 2) == ""


def test_the_largest_values_can_be_calculated_with():
    text = f"var x = {2**47 - 1}, y = -1, z, q; z = x * y; q = z / x; x = x % {2**47 - 2};"
    assert run_source(text, 48) == {"x": 1, "y": -1, "z": 1 - 2**47, "q": -1}
    assert difference(text, 48) == ""


# --- compiled code --------------------------------------------------------------------------------


TABLE = [
    ("halt;", 1),
    ("x = 0;", 1),
    ("x = x - y;", 1),
    ("x = x + 7;", 1),
    ("x = x - 7;", 1),
    ("x = 7;", 2),
    ("x = -y;", 2),
    ("x = x + y;", 3),
    ("x = y;", 4),
    ("x = a[2];", 4),
    ("x = y + z;", 7),
    ("x = y - z;", 5),
    ("x = y + 7;", 5),
    ("x = y + x;", 11),
    ("x = -x;", 6),
    ("if x > 0 { halt; }", 1 + 1),
    ("if x > y { halt; }", 5 + 1),
    ("if 7 > y { halt; }", 3 + 1),
    ("if 7 < y { halt; }", 5 + 1),
    ("if y <= 7 { halt; }", 6 + 1),
    ("if y > 7 { halt; }", 5 + 1),
    ("if x <= y { halt; }", 6 + 1),
    ("if x != y { halt; }", 9 + 1),
    ("if x == y { halt; }", 10 + 1),
    ("while x > y { x = 0; break; continue; }", 5 + 1 + 1 + 1 + 1),
    ("if x > y { x = 0; } else { x = 7; }", 5 + 1 + 2 + 1),
    ("x = y * z;", 41),
    ("x = y * 7;", 34),
    ("x = 7 * y;", 34),
    ("x = y / z;", 69),
    ("x = y % z;", 62),
    ("x = y / 7;", 53),
    ("x = y % 7;", 53),
    ("x = a[y];", 3 * 5 + 8),
    ("a[y] = z;", 4 * 5 + 7),
]


@pytest.mark.parametrize(("statement", "count"), TABLE)
def test_constructs_have_the_lengths_that_the_chapter_lists(statement, count):
    p = compile_source(f"var x, y, z; array a[5]; {statement}", 8)
    assert len(p.program) - (1 if p.trap is None else 2) == count


CLASSICS = [
    (library.gcd_source(252, 105), (81, 13, 128, 9), {"a": 21}),
    (library.fibonacci_source(20), (19, 7, 32, 15), {"a": 6765}),
    (library.collatz_source(27), (167, 16, 256, 15), {"n": 1, "rounds": 111}),
    (
        library.sort_source([19, 3, 8, 5, -2, 13, 3, 0]),
        (168, 19, 256, 6),
        {"a": [-2, 0, 3, 3, 5, 8, 13, 19]},
    ),
    (library.sieve_source(32), (266, 42, 512, 7), {"count": 11}),
]


@pytest.mark.parametrize(("text", "size", "results"), CLASSICS)
def test_classic_programs(text, size, results):
    instructions, words, columns, bits = size
    p = compile_source(text, bits)
    assert (len(p.program), len(p.memory), columns_for(p)) == (instructions, words, columns)
    assert results.items() <= run_source(text, bits).items()
    assert difference(text, bits) == ""
    with pytest.raises((CompileError, LanguageError)):
        run_source(text, bits - 1)


def test_steps_grow_with_the_logarithms():
    assert steps(compile_source(library.fibonacci_source(20), 15), 15) == 361
    assert steps(compile_source(library.sieve_source(32), 7), 7) == 2345
    assert steps(compile_source("var x, y = 9; x = y * 1000;", 16), 16) < 702
    assert steps(compile_source("var x, y = 1000; x = y / 3;", 16), 16) < 458


def test_words_and_lines_are_in_order():
    p = compile_source("var x = 4;\narray a[2] = {5};\n\nx =\n a[x - 4];\nx = x - 1;\n", 8)
    assert list(p.names)[:5] == ["$zero", "$z", "x", "a[0]", "a[1]"]
    assert set(p.names) == {"$zero", "$z", "x", "a[0]", "a[1]", "$t1", "$t2", "$4", "$-1", "$1"}
    assert [p.memory[p.names[name]] for name in ("$4", "$-1", "$1")] == [4, -1, 1]
    assert sorted(set(p.lines)) == [4, 6]
    assert p.labels["end"] == p.end
    assert p.labels["trap"] == p.trap == len(p.program) - 1


@pytest.mark.parametrize(("bits", "count"), [(6, 100), (8, 100), (12, 100), (20, 60)])
def test_random_programs_mean_the_same_when_compiled(bits, count):
    rng = np.random.default_rng(bits)
    trapped = 0
    for _ in range(count):
        text = random_source(bits, rng=rng)
        assert difference(text, bits) == "", text
        try:
            run_source(text, bits)
        except TrapError:
            trapped += 1
    assert 0 < trapped < 0.4 * count


def test_random_programs_need_six_bits():
    with pytest.raises(ValueError, match="bits must be from 6 to 48, got 5"):
        random_source(5, rng=np.random.default_rng(0))


# --- errors while it runs -------------------------------------------------------------------------


TRAPS = [
    ("var x;\nx = 1 / x;", 2, 7, "division by 0"),
    ("var x;\nx = x % x;", 2, 7, "division by 0"),
    ("array a[3]; var i = 3;\n  a[i] = 0;", 2, 3, "index 3 is outside 'a[3]'"),
    ("array a[3]; var i;\n  i = a[i - 1];", 2, 7, "index -1 is outside 'a[3]'"),
    ("array a[1]; var i = 127;\n a[i] = 0;", 2, 2, "index 127 is outside 'a[1]'"),
    ("array a[1]; var i = -127;\n a[i] = 0;", 2, 2, "index -127 is outside 'a[1]'"),
]
REFUSED = [
    ("var x = 100;\nx = x + 28;", 2, 7, "'+' gives 128, beyond 127"),
    ("var x = 100;\nx = -x - 28;", 2, 8, "'-' gives -128, beyond 127"),
    ("var x = 100;\nx = x * x;", 2, 7, "'*' gives 10000"),
    ("var x = 100;\nif x < -100 { }", 2, 6, "'<' gives 200"),
    ("var x;\nwhile x == 0 { }", 2, 1, "the program did not end within limit = 1000000"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), TRAPS)
def test_bad_indices_and_divisions_end_in_the_trap(text, line, column, message):
    with pytest.raises(TrapError) as caught:
        run_source(text, 8)
    assert str(caught.value) == f"line {line}, column {column}: {message}"
    assert difference(text, 8) == ""


@pytest.mark.parametrize(("text", "line", "column", "message"), REFUSED)
def test_results_beyond_the_words_are_refused(text, line, column, message):
    with pytest.raises(LanguageError) as caught:
        run_source(text, 8)
    assert not isinstance(caught.value, TrapError)
    assert str(caught.value).startswith(f"line {line}, column {column}: {message}")
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_limit_counts_statements_and_rounds():
    text = "var i = 3; while i > 0 { i = i - 1; }"  # a loop, 3 assignments, 3 rounds
    assert run_source(text, 8, 7) == {"i": 0}
    with pytest.raises(LanguageError, match=r"line 1, column 12: .* limit = 6"):
        run_source(text, 8, 6)
    with pytest.raises(ValueError, match="limit must be an integer of at least 1, got 0"):
        run_source(text, 8, 0)


# --- errors of the text ---------------------------------------------------------------------------


ERRORS = [
    ("var x; x = 1 $ 2;", 1, 14, "bad character '$'"),
    ("var x;\n\tx = 12ab;", 2, 6, "bad number '12ab'"),
    ("var x; x = 1.5;", 1, 13, "bad character '.'"),
    ("var x; x = 1", 1, 13, "expected ';', got end of input"),
    ("var x; x = 1\n", 2, 1, "expected ';', got end of input"),
    ("var x; x = ;", 1, 12, "expected an expression, got ';'"),
    ("var x; x 1;", 1, 10, "expected '=', got '1'"),
    ("var 1;", 1, 5, "expected a name, got '1'"),
    ("var while;", 1, 5, "expected a name, got 'while'"),
    ("var x = y;", 1, 9, "unknown name 'y'"),
    ("var x = ;", 1, 9, "expected an integer, got ';'"),
    ("var x, y = x;", 1, 12, "'x' is not a constant"),
    ("const k;", 1, 8, "expected '=', got ';'"),
    ("var x; }", 1, 8, "expected a statement, got '}'"),
    ("var x; while x > 0 { x = 1;", 1, 28, "expected '}', got end of input"),
    ("var x; while x > 0 x = 1;", 1, 20, "expected '{', got 'x'"),
    ("var x; if x < 1 < 2 { }", 1, 17, "expected '{', got '<'"),
    ("var x;\nx = 1;\n  x = y + 1;", 3, 7, "unknown name 'y'"),
    ("y = 1;", 1, 1, "unknown name 'y'"),
    ("var x; const x = 1;", 1, 14, "'x' is already declared"),
    ("array a[2]; var a;", 1, 17, "'a' is already declared"),
    ("var x; x[0] = 1;", 1, 8, "'x' is not an array"),
    ("const k = 1; var x; x = k[0];", 1, 25, "'k' is not an array"),
    ("array a[2]; a = 1;", 1, 13, "missing index of the array 'a'"),
    ("array a[2]; var x; x = a + 1;", 1, 24, "missing index of the array 'a'"),
    ("array a[2]; a[1 + 1] = 0;", 1, 15, "index 2 is outside 'a[2]'"),
    ("array a[2]; a[-1] = 0;", 1, 15, "index -1 is outside 'a[2]'"),
    ("const k = 1; k = 2;", 1, 14, "assignment to the constant 'k'"),
    ("var x; x = 128;", 1, 12, "constant too large: at most 127 allowed"),
    ("var x = -128;", 1, 10, "constant too large: at most 127 allowed"),
    (f"var x = {'9' * 5000};", 1, 9, "constant too large"),
    ("var x; x = x + 100 * 2;", 1, 20, "constant too large: 200 is beyond 127"),
    ("var x; x = x / 0;", 1, 14, "division by constant 0"),
    ("const k = 3; var x; x = x % (k - 3);", 1, 27, "division by constant 0"),
    ("var x; x = x < 1;", 1, 12, "expected a number, got a condition"),
    ("var x; x = 2 * (x < 1);", 1, 14, "'*' expected a number, got a condition"),
    ("var x; x = -(x < 1);", 1, 12, "'-' expected a number, got a condition"),
    ("array a[2]; a[a[0] < 1] = 1;", 1, 15, "expected a number, got a condition"),
    ("var x; if x { }", 1, 11, "expected a condition, got a number"),
    ("var x; while 1 { }", 1, 14, "expected a condition, got a number"),
    ("var x; if not x { }", 1, 11, "'not' expected a condition, got a number"),
    ("var x; if x > 0 and x { }", 1, 17, "'and' expected a condition, got a number"),
    ("var x; if (x > 0) == (x < 0) { }", 1, 19, "'==' expected a number, got a condition"),
    ("break;", 1, 1, "'break' outside a loop"),
    ("var x; if x > 0 { continue; }", 1, 19, "'continue' outside a loop"),
    ("var x; x = 1; var y;", 1, 15, "declarations must come before all statements"),
    ("var x; while x > 0 { const k = 1; }", 1, 22, "declarations must come before"),
    ("array a[0];", 1, 9, f"array length must be from 1 to {MOST_ELEMENTS}, got 0"),
    ("array a[-1];", 1, 9, "array length must be from 1"),
    ("array a[2] = {1, 2, 3};", 1, 21, "too many values for 'a[2]'"),
    ("array a[2] = {};", 1, 15, "expected an integer, got '}'"),
    ("var x; x = " + "(" * 51 + "x" + ")" * 51 + ";", 1, 62, "nested more than 50 deep"),
    ("var x; x = " + "-" * 51 + "x;", 1, 62, "nested more than 50 deep"),
    ("var x; x = x" + " + x" * 201 + ";", 1, 814, "more than 200 operators below one another"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), ERRORS)
@pytest.mark.parametrize("use", [compile_source, run_source])
def test_mistakes_are_named_where_they_stand(use, text, line, column, message):
    with pytest.raises(CompileError) as caught:
        use(text, 8)
    assert str(caught.value).startswith(f"line {line}, column {column}: {message}")
    assert (caught.value.line, caught.value.column) == (line, column)


def test_the_deepest_programs_are_compiled():
    text = "var x; x = " + "(" * 50 + "x" + " + x" * 200 + ")" * 50 + ";"
    text += "if x > 0 {" * 25 + "while x > 0 {" * 25 + "}" * 50
    assert difference(text, 8) == ""


@pytest.mark.parametrize("bits", [1, 49, 8.0, True])
def test_bits_are_checked(bits):
    for use in (compile_source, run_source):
        with pytest.raises(ValueError, match="bits must be an integer from 2 to 48"):
            use("var x;", bits)
