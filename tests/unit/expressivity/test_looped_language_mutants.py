"""Broken compilers must be found out by random programs."""

from __future__ import annotations

import numpy as np
import pytest

from reprise.expressivity.looped import compiler
from reprise.expressivity.looped.compiler import _Compiler
from reprise.expressivity.looped.random_source import difference, random_source

PROGRAMS = 300  # at most; a mutant ends at the first that is wrong


@pytest.fixture(scope="module")
def programs():
    rng = np.random.default_rng(1)
    return [(random_source(rng, bits), bits) for bits in (6, 8, 12, 20) for _ in range(75)]


def remainder_has_the_divisors_sign(patch):
    dividend, divisor = _Compiler.dividend_sign, _Compiler.divisor_sign
    patch("dividend_sign", lambda s, w, remainder: remainder or dividend(s, w, False))
    patch(
        "divisor_sign",
        lambda s, w, remainder: dividend(s, w, True) if remainder else divisor(s, w, False),
    )


def quotient_has_the_dividends_sign(patch):
    patch("divisor_sign", lambda s, w, remainder: None)


def z_is_left(patch):
    def add(self, x, y):
        self.subleq(y, self.z)
        self.subleq(self.z, x)

    patch("add", add)


def z_is_left_by_arrays(patch):
    def read_element(self, x, element):
        self.select(element.array, element.index, self.fetch)
        self.clear(x)
        self.subleq(self.z, x)

    patch("read_element", read_element)


def less_is_at_most(patch):
    patch("jump_if_less", _Compiler.jump_if_at_most)


def index_is_off_by_one(patch):
    select = _Compiler.select

    def shifted(self, array, index, case):
        words = self.arrays[array]
        self.arrays[array] = words[1:] + words[:1]
        select(self, array, index, case)
        self.arrays[array] = words

    patch("select", shifted)


def elements_are_not_cleared(patch):
    patch("store", lambda self, place, w, after: self.subleq(w, place, after))


def array_bodies_run_on(patch):
    patch("leave_case", lambda self, after: None)


def targets_are_written_while_read(patch):
    patch("mentions", lambda self, expression, x: False)


def and_for_or(patch):
    junction = _Compiler.junction
    patch(
        "junction",
        lambda s, left, right, label, word, when: junction(s, left, right, label, "and", when),
    )


def or_for_and(patch):
    junction = _Compiler.junction
    patch(
        "junction",
        lambda s, left, right, label, word, when: junction(s, left, right, label, "or", when),
    )


def break_leaves_the_outer_loop(patch):
    leave = _Compiler.leave

    def outer(self, statement):
        if statement.token.text == "break":
            self.goto(self.loops[0].exit)
        else:
            leave(self, statement)

    patch("leave", outer)


def continue_falls_through(patch):
    leave = _Compiler.leave
    patch(
        "leave",
        lambda s, statement: statement.token.text == "continue" or leave(s, statement),
    )


def zero_divisors_pass(patch):
    division = _Compiler.division

    def blind(self, *arguments):
        zero, self.jump_if_zero = self.jump_if_zero, lambda x, label: None
        division(self, *arguments)
        self.jump_if_zero = zero

    patch("division", blind)


MUTANTS = [
    z_is_left,
    z_is_left_by_arrays,
    less_is_at_most,
    remainder_has_the_divisors_sign,
    quotient_has_the_dividends_sign,
    index_is_off_by_one,
    elements_are_not_cleared,
    array_bodies_run_on,
    targets_are_written_while_read,
    and_for_or,
    or_for_and,
    break_leaves_the_outer_loop,
    continue_falls_through,
    zero_divisors_pass,
]


def found_after(programs):
    """How many programs it takes to see a difference; None if none shows it."""
    wrong = (n for n, (text, bits) in enumerate(programs, 1) if difference(text, bits))
    return next(wrong, None)


def test_the_right_compiler_passes(programs):
    assert found_after(programs[:: len(programs) // 60]) is None


@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_mutants_are_found(monkeypatch, programs, mutate):
    mutate(lambda name, change: monkeypatch.setattr(compiler._Compiler, name, change))
    # mixed, so that all widths come early
    mixed = [programs[i] for i in np.random.default_rng(0).permutation(PROGRAMS)]
    assert found_after(mixed) is not None
