"""What a program of the small language means: its run on Python's integers.

`run_source` executes the tree and refuses what N bits cannot hold. It is what compiled programs are
compared with; it shares no code with the compiler beyond the tree.
"""

from __future__ import annotations

from reprise.expressivity.looped.errors import LanguageError
from reprise.expressivity.looped.parser import parse_source
from reprise.expressivity.looped.tree import (
    OPERATIONS,
    RELATIONS,
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
    Token,
    Variable,
    largest,
)
from reprise.runtime import check_integer


class TrapError(LanguageError):
    """A bad index or a division by 0: the compiled program stops in its trap."""


def run_source(text: str, bits: int, limit: int = 10**6) -> dict[str, int | list[int]]:
    """Execute a program on Python's integers, checking every result against N bits.

    Parameters
    ----------
    text : str
    bits : int
        N, 2 to 48.
    limit : int
        Most statements and rounds of loops.

    Returns
    -------
    dict of str to int or list of int
        The last value of each variable; arrays are lists, constants are left out.

    Raises
    ------
    CompileError
        If the text is not a program.
    TrapError
        Where an index leaves its array or a divisor is 0.
    LanguageError
        Where a result or the difference of two compared numbers leaves -M to M, or where the
        program stands when ``limit`` is exhausted.
    ValueError
        If ``bits`` or ``limit`` is outside its range.
    """
    check_integer("limit", limit, 1)
    source = parse_source(text, bits)
    run = _Execution(source, largest(bits), limit)
    run.block(source.body)
    return run.values


class _Execution:
    """A run: the variables' values and the statements left."""

    def __init__(self, source: Source, largest: int, limit: int) -> None:
        self.largest, self.limit, self.done = largest, limit, 0
        self.values: dict[str, int | list[int]] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in source.variables.items()
        }

    def block(self, body: tuple[Statement, ...]) -> str:
        """Execute statements: "" at their end, or the word that left them."""
        for statement in body:
            left = self.statement(statement)
            if left:
                return left
        return ""

    def statement(self, statement: Statement) -> str:
        self.count(statement.token)
        if isinstance(statement, Assignment):
            value = self.number(statement.value)
            if isinstance(statement.target, Element):
                array, index = self.element(statement.target)
                array[index] = value
            else:
                self.values[statement.target.name] = value
            return ""
        if isinstance(statement, Leave):
            return statement.token.text
        if isinstance(statement, If):
            holds = self.holds(statement.condition)
            return self.block(statement.body if holds else statement.otherwise)
        while self.holds(statement.condition):
            left = self.block(statement.body)
            if left == "halt":
                return left
            if left == "break":
                break
            self.count(statement.token)
        return ""

    def count(self, token: Token) -> None:
        self.done += 1
        if self.done > self.limit:
            raise self.error(f"the program did not end within limit = {self.limit}", token)

    def error(self, message: str, token: Token) -> LanguageError:
        return LanguageError(message, token.line, token.column)

    def number(self, expression: Expression) -> int:
        if isinstance(expression, Number):
            return expression.value
        if isinstance(expression, Variable):
            return self.values[expression.name]
        if isinstance(expression, Element):
            array, index = self.element(expression)
            return array[index]
        if isinstance(expression, Negation):
            return -self.number(expression.operand)
        x, y = self.number(expression.left), self.number(expression.right)
        if y == 0 and expression.token.text in "/%":
            raise TrapError("division by 0", expression.token.line, expression.token.column)
        return self.checked(OPERATIONS[expression.token.text](x, y), expression.token)

    def element(self, element: Element) -> tuple[list[int], int]:
        array, index = self.values[element.array], self.number(element.index)
        if not 0 <= index < len(array):
            message = f"index {index} is outside '{element.array}[{len(array)}]'"
            raise TrapError(message, element.token.line, element.token.column)
        return array, index

    def holds(self, condition: Condition) -> bool:
        if isinstance(condition, Not):
            return not self.holds(condition.operand)
        if isinstance(condition, Junction):
            left = self.holds(condition.left)
            decided = left if condition.token.text == "or" else not left
            return left if decided else self.holds(condition.right)
        x, y = self.number(condition.left), self.number(condition.right)
        self.checked(x - y, condition.token)
        return RELATIONS[condition.token.text](x, y)

    def checked(self, value: int, token: Token) -> int:
        if abs(value) > self.largest:
            raise self.error(
                f"'{token.text}' gives {value}, beyond {self.largest} of the machine's words", token
            )
        return value
