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
        self.end, self.trap = _Label(), _Label()
        self.zero, self.z = self.new_word(ZERO, 0), self.new_word("$z", 0)
        self.arrays: dict[str, list[int]] = {}
        for name, value in source.variables.items():
            if isinstance(value, tuple):
                self.arrays[name] = [
                    self.new_word(f"{name}[{k}]", element) for k, element in enumerate(value)
                ]
            else:
                self.new_word(name, value)

    def compile(self) -> SubleqProgram:
        self.block(self.source.body)
        self.line = self.source.last_line
        trapped = any(instruction.target is self.trap for instruction in self.code)
        for stop in (self.end, self.trap)[: 1 + trapped]:
            self.place(stop)
            self.goto(stop)
        targets = {
            id(i.target): i.target for i in self.code if i.target not in (self.end, self.trap)
        }
        places = sorted({label.at for label in targets.values() if label is not None})
        labels = {f"L{number}": at for number, at in enumerate(places, start=1)}
        labels["end"] = self.end.at
        if trapped:
            labels["trap"] = self.trap.at
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

    # words and code

    def new_word(self, name: str, value: int) -> int:
        self.names[name] = len(self.memory)
        self.memory.append(value)
        return self.names[name]

    def constant(self, value: int) -> int:
        """The word that holds a constant."""
        if value == 0:
            return self.zero
        name = f"${value}"
        return self.names[name] if name in self.names else self.new_word(name, value)

    @contextmanager
    def temporary(self) -> Iterator[int]:
        """A word to calculate in; its value is arbitrary at first."""
        if self.free:
            word = self.free.pop()
        else:
            self.temporaries += 1
            word = self.new_word(f"$t{self.temporaries}", 0)
        yield word
        self.free.append(word)

    def subleq(self, a: int, b: int, target: _Label | None = None) -> None:
        self.code.append(_Instruction(a, b, target, self.line))

    def place(self, label: _Label) -> None:
        label.at = len(self.code)

    # single steps

    def goto(self, label: _Label) -> None:
        self.subleq(self.zero, self.zero, label)

    def clear(self, x: int) -> None:
        self.subleq(x, x)

    def subtract(self, x: int, y: int) -> None:
        """x -= y"""
        self.subleq(y, x)

    def add(self, x: int, y: int) -> None:
        """x += y"""
        self.subleq(y, self.z)
        self.subleq(self.z, x)
        self.clear(self.z)

    def add_constant(self, x: int, k: int) -> None:
        """x += k"""
        if k:
            self.subleq(self.constant(-k), x)

    def copy(self, x: int, y: int) -> None:
        """x = y"""
        self.clear(x)
        self.add(x, y)

    def negate(self, x: int, y: int) -> None:
        """x = -y"""
        self.clear(x)
        self.subtract(x, y)

    def set_constant(self, x: int, k: int) -> None:
        """x = k"""
        self.clear(x)
        self.add_constant(x, k)

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
            with self.temporary() as t:
                self.into(t, value)
                self.copy(x, t)
        else:
            self.into(x, value)

    def repeat(self, statement: While) -> None:
        loop = _Loop(_Label(), _Label())
        self.place(loop.again)
        self.jump(statement.condition, loop.exit, when=False)
        self.loops.append(loop)
        self.block(statement.body)
        self.loops.pop()
        self.line = statement.token.line
        self.goto(loop.again)
        self.place(loop.exit)

    def choose(self, statement: If) -> None:
        otherwise, after = _Label(), _Label()
        self.jump(statement.condition, otherwise, when=False)
        self.block(statement.body)
        if statement.otherwise:
            self.goto(after)
        self.place(otherwise)
        self.block(statement.otherwise)
        self.place(after)

    def leave(self, statement: Leave) -> None:
        word = statement.token.text
        if word == "halt":
            self.goto(self.end)
        elif word == "break":
            self.goto(self.loops[-1].exit)
        else:
            self.goto(self.loops[-1].again)

    # numbers

    def plain(self, expression: _Operand) -> int | None:
        """The word that holds an expression, where one does without any calculation."""
        if isinstance(expression, _Word):
            return expression.address
        if isinstance(expression, Variable):
            return self.names[expression.name]
        if isinstance(expression, Number):
            return self.constant(expression.value)
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
            with self.temporary() as t:
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
            self.set_constant(x, expression.value)
        elif (word := self.plain(expression)) is not None:
            self.copy(x, word)
        elif isinstance(expression, Element):
            self.read_element(x, expression)
        elif isinstance(expression, Negation):
            with self.operand(expression.operand) as y:
                self.negate(x, y)
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
            self.add_constant(x, right.value if sign == "+" else -right.value)
            return
        with self.operand(right) as y:
            (self.add if sign == "+" else self.subtract)(x, y)

    def absolute(self, w: int, v: int, if_negative: Callable[[], None]) -> None:
        """w = |v|, and more to do where v < 0."""
        positive, after = _Label(), _Label()
        self.clear(w)
        self.subleq(v, w, positive)
        if_negative()
        self.goto(after)
        self.place(positive)
        self.copy(w, v)
        self.place(after)

    def double_while(self, doubled: tuple[int, int], measure: int, bound: int) -> None:
        """Double two words as long as twice the measure, one of them, is at most the bound."""
        again, test = _Label(), _Label()
        self.goto(test)
        self.place(again)
        for word in doubled:
            self.add(word, word)
        self.place(test)
        with self.temporary() as u:
            self.copy(u, measure)
            self.add(u, measure)
            self.subleq(bound, u, again)

    def product(self, target: int, left: Expression, right: Expression) -> None:
        """Add the largest doubling of x that still fits, until |y| of them are added."""
        if isinstance(left, Number):
            left, right = right, left
        again, after = _Label(), _Label()
        with (
            self.operand(left) as x,
            self.temporary() as signed,
            self.temporary() as n,
            self.temporary() as p,
            self.temporary() as k,
        ):
            if isinstance(right, Number):
                (self.copy if right.value >= 0 else self.negate)(signed, x)
                self.set_constant(n, abs(right.value))
            else:
                with self.operand(right) as y:
                    self.copy(signed, x)
                    self.absolute(n, y, lambda: self.negate(signed, x))
            self.clear(target)
            self.place(again)
            self.subleq(self.zero, n, after)
            self.copy(p, signed)
            self.set_constant(k, 1)
            self.double_while((p, k), measure=k, bound=n)
            self.subtract(n, k)
            self.add(target, p)
            self.goto(again)
            self.place(after)

    def division(self, target: int, left: Expression, right: Expression, remainder: bool) -> None:
        """Subtract the largest doubling of |y| that still fits from |x|, then apply the sign."""
        again, after = _Label(), _Label()
        with (
            self.operand(left) as x,
            self.temporary() as negative,
            self.temporary() as r,
            self.temporary() as d,
            self.temporary() as q,
            self.temporary() as p,
            self.temporary() as k,
        ):
            if isinstance(right, Number):
                flipped = right.value < 0 and not remainder
                self.set_constant(negative, int(flipped))
                self.absolute(r, x, lambda: self.set_constant(negative, int(not flipped)))
                self.set_constant(d, abs(right.value))
            else:
                with self.operand(right) as y:
                    self.jump_if_zero(y, self.trap)
                    self.clear(negative)
                    self.absolute(r, x, lambda: self.dividend_sign(negative, remainder))
                    self.absolute(d, y, lambda: self.divisor_sign(negative, remainder))
            self.clear(q)
            self.place(again)
            self.jump_if_less(_Word(r), _Word(d), after)
            self.copy(p, d)
            self.set_constant(k, 1)
            self.double_while((p, k), measure=p, bound=r)
            self.subtract(r, p)
            self.add(q, k)
            self.goto(again)
            self.place(after)
            self.signed(target, r if remainder else q, negative)

    def dividend_sign(self, negative: int, remainder: bool) -> None:
        """Of a dividend below 0."""
        self.set_constant(negative, 1)

    def divisor_sign(self, negative: int, remainder: bool) -> None:
        """Of a divisor below 0: it turns a quotient's sign, a remainder keeps the dividend's."""
        if not remainder:
            with self.temporary() as t:
                self.set_constant(t, 1)
                self.subtract(t, negative)
                self.copy(negative, t)

    def signed(self, x: int, y: int, negative: int) -> None:
        """x = -y where ``negative`` is 1, y where it is 0."""
        positive, after = _Label(), _Label()
        self.subleq(self.zero, negative, positive)
        self.negate(x, y)
        self.goto(after)
        self.place(positive)
        self.copy(x, y)
        self.place(after)

    # arrays

    def select(self, array: str, index: Expression, case: Callable[[int, _Label], None]) -> None:
        """Do what ``case`` does with the element at an index; a bad index ends in the trap.

        A case ends in a subtraction, which may or may not jump to the label that it is given.
        """
        elements = self.arrays[array]
        cases = [_Label() for _ in elements]
        after = _Label()
        with self.temporary() as t:
            self.into(t, index)
            self.subleq(self.constant(-1), t, self.trap)  # index + 1, at most 0
            for label in cases:
                self.subleq(self.constant(1), t, label)
        self.goto(self.trap)
        for label, element in zip(cases, elements, strict=True):
            self.place(label)
            case(element, after)
            if label is not cases[-1]:
                self.leave_case(after)
        self.place(after)

    def leave_case(self, after: _Label) -> None:
        self.goto(after)

    def read_element(self, x: int, element: Element) -> None:
        """x = a[i]"""
        self.select(element.array, element.index, self.fetch)
        self.clear(x)
        self.subleq(self.z, x)
        self.clear(self.z)

    def fetch(self, place: int, after: _Label) -> None:
        """$z = -place"""
        self.subleq(place, self.z, after)

    def write_element(self, element: Element, value: Expression) -> None:
        """a[i] = value"""
        with self.temporary() as w:
            if isinstance(value, Number):
                self.set_constant(w, -value.value)
            else:
                with self.operand(value) as v:
                    self.negate(w, v)
            self.select(
                element.array, element.index, lambda place, after: self.store(place, w, after)
            )

    def store(self, place: int, w: int, after: _Label) -> None:
        """place = -w"""
        self.clear(place)
        self.subleq(w, place, after)

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
            self.place(after)

    def compare(
        self, left: Expression, right: Expression, label: _Label, relation: str, when: bool
    ) -> None:
        """To a label if a relation holds, or if its opposite does."""
        relation = relation if when else OPPOSITE[relation]
        if relation in ("==", "!="):
            with self.temporary() as t:
                self.into(t, left)
                self.accumulate(t, right, "-")
                (self.jump_if_zero if relation == "==" else self.jump_unless_zero)(t, label)
            return
        if relation in (">", ">="):
            left, right = right, left
        (self.jump_if_less if relation in "<>" else self.jump_if_at_most)(left, right, label)

    def jump_if_at_most(self, left: _Operand, right: _Operand, label: _Label) -> None:
        """To a label if left <= right."""
        if isinstance(right, Number) and right.value == 0:
            with self.operand(left) as x:
                self.subleq(self.zero, x, label)
            return
        with self.temporary() as t:
            self.into(t, left)
            with self.operand(right) as y:
                self.subleq(y, t, label)

    def jump_if_less(self, left: _Operand, right: _Operand, label: _Label) -> None:
        """To a label if left < right."""
        after = _Label()
        self.jump_if_at_most(right, left, after)
        self.goto(label)
        self.place(after)

    def jump_if_zero(self, x: int, label: _Label) -> None:
        at_most, after = _Label(), _Label()
        self.subleq(self.zero, x, at_most)
        self.goto(after)
        self.place(at_most)
        with self.temporary() as h:
            self.clear(h)
            self.subleq(x, h, label)
        self.place(after)

    def jump_unless_zero(self, x: int, label: _Label) -> None:
        at_most, after = _Label(), _Label()
        self.subleq(self.zero, x, at_most)
        self.goto(label)
        self.place(at_most)
        with self.temporary() as h:
            self.clear(h)
            self.subleq(x, h, after)
        self.goto(label)
        self.place(after)
