"""From the small language to SUBLEQ: every construct in the one instruction there is.

Below, ``x y L`` stands for ``mem[y] -= mem[x]; to L if mem[y] <= 0``. Two words are always there:
``$zero`` holds 0, and ``$z`` holds 0 between constructs: through it, as its negative, a value is
added or copied. Temporaries ``$t1``, ... are taken when they are needed and used again; a constant
k is the word ``$k``. Products, quotients and remainders double their way up, so that they cost a
square of a logarithm, and no intermediate result leaves the range of the operands and the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.looped.assembler import ZERO, SubleqProgram
from reprise.expressivity.looped.language import (
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
    parse_source,
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


class _Label:
    """A place in the code, known when it is reached."""

    at: int | None = None


class _Instruction(NamedTuple):
    a: int
    b: int
    target: _Label | None
    line: int


class _Loop(NamedTuple):
    again: _Label
    exit: _Label


_Operand: TypeAlias = Expression | _Word


class _Compiler:
    """Code and memory as they grow, a small method a construct."""

    def __init__(self, source: Source) -> None:
        self.source, self.line = source, 1
        self.memory: list[int] = []
        self.names: dict[str, int] = {}
        self.code: list[_Instruction] = []
        self.free: list[int] = []
        self.temporaries = 0
        self.loops: list[_Loop] = []
        self.code.end, self.code.trap = _Label(), _Label()
        self.code.zero, self.code.z = self.code.new_word(ZERO, 0), self.code.new_word("$z", 0)
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
        self.line = self.source.last_line
        trapped = any(instruction.target is self.code.trap for instruction in self.code)
        for stop in (self.code.end, self.code.trap)[: 1 + trapped]:
            self.code.place(stop)
            self.code.goto(stop)
        targets = {
            id(i.target): i.target
            for i in self.code
            if i.target not in (self.code.end, self.code.trap)
        }
        places = sorted({label.at for label in targets.values() if label is not None})
        labels = {f"L{number}": at for number, at in enumerate(places, start=1)}
        labels["end"] = self.code.end.at
        if trapped:
            labels["trap"] = self.code.trap.at
        program = [
            (i.a, i.b, at + 1 if i.target is None else i.target.at)
            for at, i in enumerate(self.code)
        ]
        return SubleqProgram(
            memory=np.array(self.memory, np.int64),
            program=np.array(program, np.int64),
            names=self.names,
            labels=labels,
            lines=tuple(i.line for i in self.code),
            end=labels["end"],
            trap=labels.get("trap"),
        )

    # statements

    def block(self, body: tuple[Statement, ...]) -> None:
        for statement in body:
            self.line = statement.token.line
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
        loop = _Loop(_Label(), _Label())
        self.code.place(loop.again)
        self.jump(statement.condition, loop.exit, when=False)
        self.loops.append(loop)
        self.block(statement.body)
        self.loops.pop()
        self.line = statement.token.line
        self.code.goto(loop.again)
        self.code.place(loop.exit)

    def choose(self, statement: If) -> None:
        otherwise, after = _Label(), _Label()
        self.jump(statement.condition, otherwise, when=False)
        self.block(statement.body)
        if statement.otherwise:
            self.code.goto(after)
        self.code.place(otherwise)
        self.block(statement.otherwise)
        self.code.place(after)

    def leave(self, statement: Leave) -> None:
        word = statement.token.text
        if word == "halt":
            self.code.goto(self.code.end)
        elif word == "break":
            self.code.goto(self.loops[-1].exit)
        else:
            self.code.goto(self.loops[-1].again)

    # numbers

    def plain(self, expression: _Operand) -> int | None:
        """The word that holds an expression, where one does without any calculation."""
        if isinstance(expression, _Word):
            return expression.address
        if isinstance(expression, Variable):
            return self.names[expression.name]
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
        if isinstance(left, Number):
            left, right = right, left
        again, after = _Label(), _Label()
        with (
            self.operand(left) as x,
            self.code.temporary() as signed,
            self.code.temporary() as n,
            self.code.temporary() as p,
            self.code.temporary() as k,
        ):
            if isinstance(right, Number):
                (self.code.copy if right.value >= 0 else self.code.negate)(signed, x)
                self.code.set_constant(n, abs(right.value))
            else:
                with self.operand(right) as y:
                    self.code.copy(signed, x)
                    self.code.absolute(n, y, lambda: self.code.negate(signed, x))
            self.code.clear(target)
            self.code.place(again)
            self.code.subleq(self.code.zero, n, after)
            self.code.copy(p, signed)
            self.code.set_constant(k, 1)
            self.code.double_while((p, k), measure=k, bound=n)
            self.code.subtract(n, k)
            self.code.add(target, p)
            self.code.goto(again)
            self.code.place(after)

    def division(self, target: int, left: Expression, right: Expression, remainder: bool) -> None:
        """Subtract the largest doubling of |y| that still fits from |x|, then apply the sign."""
        again, after = _Label(), _Label()
        with (
            self.operand(left) as x,
            self.code.temporary() as negative,
            self.code.temporary() as r,
            self.code.temporary() as d,
            self.code.temporary() as q,
            self.code.temporary() as p,
            self.code.temporary() as k,
        ):
            if isinstance(right, Number):
                flipped = right.value < 0 and not remainder
                self.code.set_constant(negative, int(flipped))
                self.code.absolute(r, x, lambda: self.code.set_constant(negative, int(not flipped)))
                self.code.set_constant(d, abs(right.value))
            else:
                with self.operand(right) as y:
                    self.code.jump_if_zero(y, self.code.trap)
                    self.code.clear(negative)
                    self.code.absolute(r, x, lambda: self.dividend_sign(negative, remainder))
                    self.code.absolute(d, y, lambda: self.divisor_sign(negative, remainder))
            self.code.clear(q)
            self.code.place(again)
            self.jump_if_less(_Word(r), _Word(d), after)
            self.code.copy(p, d)
            self.code.set_constant(k, 1)
            self.code.double_while((p, k), measure=p, bound=r)
            self.code.subtract(r, p)
            self.code.add(q, k)
            self.code.goto(again)
            self.code.place(after)
            self.code.signed(target, r if remainder else q, negative)

    def dividend_sign(self, negative: int, remainder: bool) -> None:
        """Of a dividend below 0."""
        self.code.set_constant(negative, 1)

    def divisor_sign(self, negative: int, remainder: bool) -> None:
        """Of a divisor below 0: it turns a quotient's sign, a remainder keeps the dividend's."""
        if not remainder:
            with self.code.temporary() as t:
                self.code.set_constant(t, 1)
                self.code.subtract(t, negative)
                self.code.copy(negative, t)

    # arrays

    def select(self, array: str, index: Expression, case: Callable[[int, _Label], None]) -> None:
        """Do what ``case`` does with the element at an index; a bad index ends in the trap.

        A case ends in a subtraction, which may or may not jump to the label that it is given.
        """
        elements = self.arrays[array]
        cases = [_Label() for _ in elements]
        after = _Label()
        with self.code.temporary() as t:
            self.into(t, index)
            self.code.subleq(self.code.constant(-1), t, self.code.trap)  # index + 1, at most 0
            for label in cases:
                self.code.subleq(self.code.constant(1), t, label)
        self.code.goto(self.code.trap)
        for label, element in zip(cases, elements, strict=True):
            self.code.place(label)
            case(element, after)
            if label is not cases[-1]:
                self.leave_case(after)
        self.code.place(after)

    def leave_case(self, after: _Label) -> None:
        self.code.goto(after)

    def read_element(self, x: int, element: Element) -> None:
        """x = a[i]"""
        self.select(element.array, element.index, self.fetch)
        self.code.clear(x)
        self.code.subleq(self.code.z, x)
        self.code.clear(self.code.z)

    def fetch(self, place: int, after: _Label) -> None:
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

    def store(self, place: int, w: int, after: _Label) -> None:
        """place = -w"""
        self.code.clear(place)
        self.code.subleq(w, place, after)

    # conditions

    def jump(self, condition: Condition, label: _Label, *, when: bool) -> None:
        """To a label if a condition is ``when``."""
        if isinstance(condition, Not):
            self.jump(condition.operand, label, when=not when)
        elif isinstance(condition, Junction):
            self.junction(condition.left, condition.right, label, condition.token.text, when)
        else:
            relation = condition.token.text
            self.compare(condition.left, condition.right, label, relation, when)

    def junction(
        self, left: Condition, right: Condition, label: _Label, word: str, when: bool
    ) -> None:
        """Short-circuit: the first operand alone may settle where to go."""
        if when == (word == "or"):
            self.jump(left, label, when=when)
            self.jump(right, label, when=when)
        else:
            after = _Label()
            self.jump(left, after, when=not when)
            self.jump(right, label, when=when)
            self.code.place(after)

    def compare(
        self, left: Expression, right: Expression, label: _Label, relation: str, when: bool
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

    def jump_if_at_most(self, left: _Operand, right: _Operand, label: _Label) -> None:
        """To a label if left <= right."""
        if isinstance(right, Number) and right.value == 0:
            with self.operand(left) as x:
                self.code.subleq(self.code.zero, x, label)
            return
        with self.code.temporary() as t:
            self.into(t, left)
            with self.operand(right) as y:
                self.code.subleq(y, t, label)

    def jump_if_less(self, left: _Operand, right: _Operand, label: _Label) -> None:
        """To a label if left < right."""
        after = _Label()
        self.jump_if_at_most(right, left, after)
        self.code.goto(label)
        self.code.place(after)
