"""SUBLEQ as text, and the programs that ship as text."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reprise.expressivity.looped import interpreter, library
from reprise.expressivity.looped.assembler import assemble_subleq, disassemble_subleq
from reprise.expressivity.looped.compiler import columns_for, compile_source
from reprise.expressivity.looped.errors import AssemblyError
from reprise.expressivity.looped.interpreter import run_subleq_to_end


def run(program, bits):
    end = run_subleq_to_end(program.memory, program.program, bits, limit=10**5)
    assert end.halted
    assert end.pc == program.end
    return {name: int(end.memory[at]) for name, at in program.names.items()}, end.steps


def same(p, q):
    np.testing.assert_array_equal(p.memory, q.memory)
    np.testing.assert_array_equal(p.program, q.program)
    return (p.names, p.labels, p.end, p.trap) == (q.names, q.labels, q.end, q.trap)


COUNTDOWN = """\
# counts down
one = 1
x = 3     # from here
loop: one x end

again: again_too:
  $zero $zero loop
"""


def test_a_text_becomes_memory_and_instructions():
    p = assemble_subleq(COUNTDOWN)
    np.testing.assert_array_equal(p.memory, [1, 3, 0])
    np.testing.assert_array_equal(p.program, [[0, 1, 2], [2, 2, 0], [2, 2, 2]])
    assert p.memory.dtype == p.program.dtype == np.int64
    assert p.names == {"one": 0, "x": 1, "$zero": 2}
    assert p.labels == {"loop": 0, "again": 1, "again_too": 1, "end": 2}
    assert (p.lines, p.end, p.trap) == ((4, 7, 8), 2, None)
    assert run(p, 4) == ({"one": 1, "x": 0, "$zero": 0}, 5)


def test_an_end_and_a_trap_of_the_text_are_used():
    p = assemble_subleq("z = 0\nend: z z end\ntrap: z z 1")
    assert (p.end, p.trap, len(p.program), len(p.memory)) == (0, 1, 2, 1)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("x = 1\nx y\n", 2, 3, "unknown word 'y'"),
        ("x = 1\nx x foo # foo", 2, 5, "unknown label 'foo'"),
        ("x = 1\nl: x x\n  l: x x", 3, 3, "duplicate label 'l'"),
        ("x = 1\nx = 2", 2, 1, "duplicate word 'x'"),
        ("x = 1.5", 1, 5, "bad number '1.5'"),
        ("x = ", 1, 4, "bad number 'end of line'"),
        (f"x = {2**47}", 1, 5, "the integer must be from"),
        (f"x = {'9' * 5000}", 1, 5, "bad number"),
        ("x = 1 2", 1, 7, "expected end of line, got '2'"),
        ("2x = 1", 1, 1, "bad name '2x' of a word"),
        ("x = 1\nx   ", 2, 2, "an instruction has 2 or 3 operands, got 1"),
        ("x = 1\nx x x x", 2, 7, "an instruction has 2 or 3 operands, got 4"),
        ("x = 1\nx x 2", 2, 5, "target must be from 0 to 1, got 2"),
        ("x = 1\n", 2, 1, "the program has no instruction"),
        ("x = 1\nend: x x\nl:", 3, 3, "label 'l' stands before no instruction"),
        ("x = 1\nend: x x", 2, 8, "the last instruction needs a target"),
    ],
)
def test_errors_say_where(text, line, column, message):
    with pytest.raises(AssemblyError) as caught:
        assemble_subleq(text)
    assert str(caught.value).startswith(f"line {line}, column {column}: {message}")
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize(
    "program",
    [
        assemble_subleq(COUNTDOWN),
        assemble_subleq("z = 0\nend: z z 2\nz z 0\ntrap: z z 1"),
        *[library.factorial(4), library.multiply(-3, 2), library.reverse([1, -2, 3])],
        library.search([4, 5], 5),
        compile_source("array a[2]; var i; a[i] = 7 / (i + 1);", 8),
    ],
)
def test_disassembling_is_undone_by_assembling(program):
    assert same(assemble_subleq(disassemble_subleq(program)), program)


def test_a_word_without_name_cannot_be_written():
    p = assemble_subleq(COUNTDOWN)
    del p.names["x"]
    with pytest.raises(ValueError, match="got none for word 1"):
        disassemble_subleq(p)


# --- programs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", range(1, 17))
def test_factorial(k):
    assert run(library.factorial(k=k), 48)[0]["result"] == math.factorial(k)


@pytest.mark.parametrize(("a", "b"), [(7, 9), (0, 5), (-4, 3), (5, 1), (1, 100), (-128, 1)])
def test_multiply(a, b):
    assert run(library.multiply(a=a, b=b), 10)[0]["result"] == a * b


@pytest.mark.parametrize("values", [[5], [1, 2], [-8, 7, 0], [-7, -6, -5, -4, 3, 2, 1]])
def test_reverse(values):
    words, steps = run(library.reverse(values=values), 4)
    assert [words[f"w{i}"] for i in range(len(values))] == values[::-1]
    assert steps == 8 * (len(values) // 2)


@pytest.mark.parametrize("target", range(-8, 6))
def test_search(target):
    values = [-7, -6, 3, -4, 3, 2, 1]
    found = values.index(target) if target in values else -1
    assert run(library.search(values=values, target=target), 8)[0]["index"] == found


def test_sizes_and_steps_of_the_repository():
    values = [-7, -6, -5, -4, 3, 2, 1]
    programs = [
        (library.factorial(7), 16, 32, 68),
        (library.multiply(7, 9), 8, 16, 26),
        (library.reverse(values), 8, 64, 24),
        (library.search(values, -7), 8, 128, 7),
        (library.search(values, 1), 8, 128, 53),
        (library.search(values, 9), 8, 128, 58),
    ]
    for program, bits, columns, steps in programs:
        assert (columns_for(program), run(program, bits)[1]) == (columns, steps)


def test_factorial_is_that_of_the_repository():
    p = library.factorial(7)
    rows = "251 653 753 54A 32A 947 884 338 239 882 10A"
    wanted = [[int(digit, 16) for digit in row] for row in rows.split()]
    np.testing.assert_array_equal(p.memory, [-1, 0, 7, -7, 0, 0, -2, -1, 0, 1])
    np.testing.assert_array_equal(p.program, wanted)


def test_multiply_is_that_of_the_repository():
    p = library.multiply(7, 9)
    wanted = [(0, 2, 1), (4, 1, 4), (2, 0, 3), (3, 3, 1), (3, 5, 4)]
    np.testing.assert_array_equal(p.memory, [7, 9, 0, 0, 1, -1])
    np.testing.assert_array_equal(p.program, wanted)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: library.factorial(0), "k must be an integer of at least 1, got 0"),
        (lambda: library.factorial(17), "k must be from 1 to 16, got 17"),
        (lambda: library.multiply(1, 0), "b must be an integer of at least 1, got 0"),
        (lambda: library.multiply(2**47, 1), "factors must be integers from"),
        (lambda: library.reverse([]), "values must hold at least one integer"),
        (lambda: library.search([1, 1.5], 1), "values must be integers from .*got 1.5"),
        (lambda: library.search([1], True), "target must be integers from .*got True"),
    ],
)
def test_inputs_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("limit", [0, 6, 7, 8, 100, 10**5])
def test_a_run_with_breaks_is_one_without(limit, monkeypatch):
    program = library.multiply(7, 9)
    whole = run_subleq_to_end(program.memory, program.program, 8, limit=limit)
    monkeypatch.setattr(interpreter, "WITHOUT_A_BREAK", 7)
    parts = run_subleq_to_end(program.memory, program.program, 8, limit=limit)
    np.testing.assert_array_equal(parts.memory, whole.memory)
    assert (parts.pc, parts.steps, parts.halted) == (whole.pc, whole.steps, whole.halted)
