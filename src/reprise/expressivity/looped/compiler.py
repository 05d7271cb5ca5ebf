"""From the small language to SUBLEQ: every construct in the one instruction there is.

`macros` has what a few instructions do with words; here the tree decides which. Products, quotients
and remainders double their way up, so that they cost a square of a logarithm, and no intermediate
result leaves the range of the operands and the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.looped.assembler import SubleqProgram
from reprise.expressivity.looped.macros import Code, Label
from reprise.expressivity.looped.parser import parse_source
from reprise.expressivity.looped.tree import (
    Arithmetic,
    Assignment,
    Condition,
    Element,
    Expression,
    If,
    Junction,
    Leave,
    Negation,
    Not,
    Number,
    Source,
    Statement,
    Variable,
    While,
)

OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def compile_source(text: str, bits: int) -> SubleqProgram:
    """Compile a program for words of ``bits`` bits.

    Where `run_source` ends, the compiled program stops at its label ``end`` with the same values of
    all variables; where it meets a bad index or a division by 0, at its label ``trap``. Where it
    refuses a result, the compiled program is bound to nothing.

    Parameters
    ----------
    text : str
    bits : int
        N, 2 to 48.

    Returns
    -------
    SubleqProgram
        Words: ``$zero``, ``$z``, variables and elements ``a[0]``, ... as declared, then temporaries
        and constants.

    Raises
    ------
    CompileError
        If the text is not a program.
    ValueError
        If ``bits`` is outside its range.
    """
    return _Compiler(parse_source(text, bits)).compile()


def columns_for(program: SubleqProgram) -> int:
    """Least number of columns of a SUBLEQ machine that holds a program: a power of two.

    Parameters
    ----------
    program : SubleqProgram

    Returns
    -------
    int
        At least 16 and at least words + instructions + 2.
    """
    return max(16, 1 << (len(program.memory) + len(program.program) + 1).bit_length())


def variables(program: SubleqProgram, memory: NDArray[np.int64]) -> dict[str, int | list[int]]:
    """The variables of a compiled program in a memory, arrays as lists, as `run_source` gives them.

    Parameters
    ----------
    program : SubleqProgram
        From `compile_source`.
    memory : ndarray, shape (m,), int64
    """
    found: dict[str, int | list[int]] = {}
    for name, at in program.names.items():
        array, bracket, _ = name.partition("[")
        if bracket:
            found.setdefault(array, []).append(int(memory[at]))
        elif not name.startswith("$"):
            found[name] = int(memory[at])
    return found


@dataclass(frozen=True)
class _Word:
    """An expression that stands in memory already."""

    address: int


class _Loop(NamedTuple):
    again: Label
    exit: Label


_Operand: TypeAlias = Expression | _Word


class _Compiler:
    """A small method a construct, each of which adds to the code."""

    def __init__(self, source: Source) -> None:
        self.source, self.code = source, Code()
        self.loops: list[_Loop] = []
        self.arrays: dict[str, list[int]] = {}
        for name, value in source.variables.items():
            if isinstance(value, tuple):
                self.arrays[name] = [
                    self.code.new_word(f"{name}[{k}]", element) for k, element in enumerate(value)
                ]
            else:
                self.code.new_word(name, value)

    def compile(self) -> SubleqProgram:
        self.block(self.source.body)
        self.code.line = self.source.last_line
        return self.code.program()

    # statements

    def block(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            self.code.line = statement.token.line
            self.statement(statement)

    def statement(self, statement: Statement) -> None:
        if isinstance(statement, Assignment):
            place = self.plain(statement.target)
            if place is None:
                self.write_element(statement.target, statement.value)
            else:
                self.assign(place, statement.value)
        elif isinstance(statement, While):
            self.repeat(statement)
        elif isinstance(statement, If):
            self.choose(statement)
        else:
            self.leave(statement)

    def assign(self, x: int, value: Expression) -> None:
        """x = value, where the value may depend on x."""
        if (
            isinstance(value, Arithmetic)
            and value.token.text in "+-"
            and self.plain(value.left) == x
        ):
            self.accumulate(x, value.right, value.token.text)
        elif self.mentions(value, x):
            with self.code.temporary() as t:
                self.into(t, value)
                self.code.copy(x, t)
        else:
            self.into(x, value)

    def repeat(self, statement: While) -> None:
        code = self.code
        loop = _Loop(Label(), Label())
        code.place(loop.again)
        self.jump(statement.condition, loop.exit, when=False)
        self.loops.append(loop)
        self.block(statement.body)
        self.loops.pop()
        code.line = statement.token.line
        code.goto(loop.again)
        code.place(loop.exit)

    def choose(self, statement: If) -> None:
        otherwise, after = Label(), Label()
        self.jump(statement.condition, otherwise, when=False)
        self.block(statement.body)
        if statement.otherwise:
            self.code.goto(after)
        self.code.place(otherwise)
        self.block(statement.otherwise)
        self.code.place(after)

    def leave(self, statement: Leave) -> None:
        code = self.code
        word = statement.token.text
        if word == "halt":
            code.goto(code.end)
        elif word == "break":
            code.goto(self.loops[-1].exit)
        else:
            code.goto(self.loops[-1].again)

    # numbers

    def plain(self, expression: _Operand) -> int | None:
        """The word that holds an expression, where one does without any calculation."""
        if isinstance(expression, _Word):
            return expression.address
        if isinstance(expression, Variable):
            return self.code.names[expression.name]
        if isinstance(expression, Number):
            return self.code.constant(expression.value)
        if isinstance(expression, Element) and isinstance(expression.index, Number):
            return self.arrays[expression.array][expression.index.value]
        return None

    @contextmanager
    def operand(self, expression: _Operand) -> Iterator[int]:
        """A word that holds an expression, to be read only."""
        word = self.plain(expression)
        if word is not None:
            yield word
        else:
            with self.code.temporary() as t:
                self.into(t, expression)
                yield t

    def mentions(self, expression: Expression, x: int) -> bool:
        """Whether an expression's value may depend on the word x."""
        if isinstance(expression, Number):
            return False
        if isinstance(expression, Variable):
            return self.plain(expression) == x
        if isinstance(expression, Element):
            if isinstance(expression.index, Number):
                return self.plain(expression) == x
            return x in self.arrays[expression.array] or self.mentions(expression.index, x)
        if isinstance(expression, Negation):
            return self.mentions(expression.operand, x)
        return self.mentions(expression.left, x) or self.mentions(expression.right, x)

    def into(self, x: int, expression: _Operand) -> None:
        """x = expression, which must not depend on x."""
        if isinstance(expression, Number):
            self.code.set_constant(x, expression.value)
        elif (word := self.plain(expression)) is not None:
            self.code.copy(x, word)
        elif isinstance(expression, Element):
            self.read_element(x, expression)
        elif isinstance(expression, Negation):
            with self.operand(expression.operand) as y:
                self.code.negate(x, y)
        elif expression.token.text in "+-":
            self.into(x, expression.left)
            self.accumulate(x, expression.right, expression.token.text)
        elif expression.token.text == "*":
            self.product(x, expression.left, expression.right)
        else:
            self.division(x, expression.left, expression.right, expression.token.text == "%")

    def accumulate(self, x: int, right: Expression, sign: str) -> None:
        """x += right or x -= right, as the sign says."""
        if isinstance(right, Number):
            self.code.add_constant(x, right.value if sign == "+" else -right.value)
            return
        with self.operand(right) as y:
            (self.code.add if sign == "+" else self.code.subtract)(x, y)

    def product(self, target: int, left: Expression, right: Expression) -> None:
        """Add the largest doubling of x that still fits, until |y| of them are added."""
        code = self.code
        if isinstance(left, Number):
            left, right = right, left
        again, after = Label(), Label()
        with (
            self.operand(left) as x,
            code.temporary() as signed,
            code.temporary() as n,
            code.temporary() as p,
            code.temporary() as k,
        ):
            if isinstance(right, Number):
                (code.copy if right.value >= 0 else code.negate)(signed, x)
                code.set_constant(n, abs(right.value))
            else:
                with self.operand(right) as y:
                    code.copy(signed, x)
                    code.absolute(n, y, lambda: code.negate(signed, x))
            code.clear(target)
            code.place(again)
            code.subleq(code.zero, n, after)
            code.copy(p, signed)
            code.set_constant(k, 1)
            code.double_while((p, k), measure=k, bound=n)
            code.subtract(n, k)
            code.add(target, p)
            code.goto(again)
            code.place(after)

    def division(self, target: int, left: Expression, right: Expression, remainder: bool) -> None:
        """Subtract the largest doubling of |y| that still fits from |x|, then apply the sign."""
        code = self.code
        again, after = Label(), Label()
        with (
            self.operand(left) as x,
            code.temporary() as negative,
            code.temporary() as r,
            code.temporary() as d,
            code.temporary() as q,
            code.temporary() as p,
            code.temporary() as k,
        ):
            if isinstance(right, Number):
                flipped = right.value < 0 and not remainder
                code.set_constant(negative, int(flipped))
                code.absolute(r, x, lambda: code.set_constant(negative, int(not flipped)))
                code.set_constant(d, abs(right.value))
            else:
                with self.operand(right) as y:
                    code.jump_if_zero(y, code.trap)
                    code.clear(negative)
                    code.absolute(r, x, lambda: self.dividend_sign(negative, remainder))
                    code.absolute(d, y, lambda: self.divisor_sign(negative, remainder))
            code.clear(q)
            code.place(again)
            self.jump_if_less(_Word(r), _Word(d), after)
            code.copy(p, d)
            code.set_constant(k, 1)
            code.double_while((p, k), measure=p, bound=r)
            code.subtract(r, p)
            code.add(q, k)
            code.goto(again)
            code.place(after)
            code.signed(target, r if remainder else q, negative)

    def dividend_sign(self, negative: int, remainder: bool) -> None:
        """Of a dividend below 0."""
        self.code.set_constant(negative, 1)

    def divisor_sign(self, negative: int, remainder: bool) -> None:
        """Of a divisor below 0: it turns a quotient's sign, a remainder keeps the dividend's."""
        code = self.code
        if not remainder:
            with code.temporary() as t:
                code.set_constant(t, 1)
                code.subtract(t, negative)
                code.copy(negative, t)

    # arrays

    def select(self, array: str, index: Expression, case: Callable[[int, Label], None]) -> None:
        """Do what ``case`` does with the element at an index; a bad index ends in the trap.

        A case ends in a subtraction, which may or may not jump to the label that it is given.
        """
        code = self.code
        elements = self.arrays[array]
        cases = [Label() for _ in elements]
        after = Label()
        with code.temporary() as t:
            self.into(t, index)
            code.subleq(code.constant(-1), t, code.trap)  # index + 1, at most 0
            for label in cases:
                code.subleq(code.constant(1), t, label)
        code.goto(code.trap)
        for label, element in zip(cases, elements, strict=True):
            code.place(label)
            case(element, after)
            if label is not cases[-1]:
                self.leave_case(after)
        code.place(after)

    def leave_case(self, after: Label) -> None:
        self.code.goto(after)

    def read_element(self, x: int, element: Element) -> None:
        """x = a[i]"""
        code = self.code
        self.select(element.array, element.index, self.fetch)
        code.clear(x)
        code.subleq(code.z, x)
        code.clear(code.z)

    def fetch(self, place: int, after: Label) -> None:
        """$z = -place"""
        self.code.subleq(place, self.code.z, after)

    def write_element(self, element: Element, value: Expression) -> None:
        """a[i] = value"""
        with self.code.temporary() as w:
            if isinstance(value, Number):
                self.code.set_constant(w, -value.value)
            else:
                with self.operand(value) as v:
                    self.code.negate(w, v)
            self.select(
                element.array, element.index, lambda place, after: self.store(place, w, after)
            )

    def store(self, place: int, w: int, after: Label) -> None:
        """place = -w"""
        self.code.clear(place)
        self.code.subleq(w, place, after)

    # conditions

    def jump(self, condition: Condition, label: Label, *, when: bool) -> None:
        """To a label if a condition is ``when``."""
        if isinstance(condition, Not):
            self.jump(condition.operand, label, when=not when)
        elif isinstance(condition, Junction):
            self.junction(condition.left, condition.right, label, condition.token.text, when)
        else:
            relation = condition.token.text
            self.compare(condition.left, condition.right, label, relation, when)

    def junction(
        self, left: Condition, right: Condition, label: Label, word: str, when: bool
    ) -> None:
        """Short-circuit: the first operand alone may settle where to go."""
        if when == (word == "or"):
            self.jump(left, label, when=when)
            self.jump(right, label, when=when)
        else:
            after = Label()
            self.jump(left, after, when=not when)
            self.jump(right, label, when=when)
            self.code.place(after)

    def compare(
        self, left: Expression, right: Expression, label: Label, relation: str, when: bool
    ) -> None:
        """To a label if a relation holds, or if its opposite does."""
        relation = relation if when else OPPOSITE[relation]
        if relation in ("==", "!="):
            with self.code.temporary() as t:
                self.into(t, left)
                self.accumulate(t, right, "-")
                (self.code.jump_if_zero if relation == "==" else self.code.jump_unless_zero)(
                    t, label
                )
            return
        if relation in (">", ">="):
            left, right = right, left
        (self.jump_if_less if relation in "<>" else self.jump_if_at_most)(left, right, label)

    def jump_if_at_most(self, left: _Operand, right: _Operand, label: Label) -> None:
        """To a label if left <= right."""
        code = self.code
        if isinstance(right, Number) and right.value == 0:
            with self.operand(left) as x:
                code.subleq(code.zero, x, label)
            return
        with code.temporary() as t:
            self.into(t, left)
            with self.operand(right) as y:
                code.subleq(y, t, label)

    def jump_if_less(self, left: _Operand, right: _Operand, label: Label) -> None:
        """To a label if left < right."""
        after = Label()
        self.jump_if_at_most(right, left, after)
        self.code.goto(label)
        self.code.place(after)
