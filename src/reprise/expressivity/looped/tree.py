"""The tree of a program of the small language, and what its operators mean.

`parser` makes it from a text, `language` executes it, and `compiler` writes instructions from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from reprise.expressivity.looped.checks import check_bits


class Token(NamedTuple):
    """A word or sign of the text and where it stands, line and column from 1."""

    kind: Literal["number", "name", "keyword", "symbol", "end"]
    text: str
    line: int
    column: int

    def __str__(self) -> str:
        return "end of input" if self.kind == "end" else f"'{self.text}'"


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: int
    height: int = 0


@dataclass(frozen=True)
class Variable:
    """A number's name."""

    name: str
    height: int = 0


@dataclass(frozen=True)
class Element:
    """A place of an array; ``token`` is the array's name."""

    array: str
    index: Expression
    token: Token

    @property
    def height(self) -> int:
        """Operators one below the other."""
        return self.index.height + 1


@dataclass(frozen=True)
class Negation:
    """Minus a number."""

    operand: Expression
    token: Token
    height: int


@dataclass(frozen=True)
class Arithmetic:
    """A sum, difference, product, quotient or remainder; ``token`` is its operator."""

    left: Expression
    right: Expression
    token: Token
    height: int


@dataclass(frozen=True)
class Comparison:
    """A condition between two numbers; ``token`` is its operator."""

    left: Expression
    right: Expression
    token: Token
    height: int


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    operand: Expression
    token: Token
    height: int


@dataclass(frozen=True)
class Junction:
    """Two conditions joined by the operator ``and`` or ``or``."""

    left: Expression
    right: Expression
    token: Token
    height: int


Place: TypeAlias = Variable | Element
Condition: TypeAlias = Comparison | Not | Junction
Expression: TypeAlias = Number | Place | Negation | Arithmetic | Condition


@dataclass(frozen=True)
class Assignment:
    """A place gets a value."""

    target: Place
    value: Expression
    token: Token


@dataclass(frozen=True)
class While:
    """A body is repeated as long as a condition holds."""

    condition: Condition
    body: tuple[Statement, ...]
    token: Token


@dataclass(frozen=True)
class If:
    """One of two bodies is executed; the second may be empty."""

    condition: Condition
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]
    token: Token


@dataclass(frozen=True)
class Leave:
    """``break``, ``continue`` or ``halt``: the token's text says which."""

    token: Token


Statement: TypeAlias = Assignment | While | If | Leave


@dataclass(frozen=True)
class Source:
    """A program that passed all checks.

    Attributes
    ----------
    variables : dict of str to int or tuple of int
        First values of numbers and arrays, in the order of their declaration.
    body : tuple of statements
    last_line : int
        Line of the last token.
    """

    variables: dict[str, int | tuple[int, ...]]
    body: tuple[Statement, ...]
    last_line: int


def is_condition(expression: Expression) -> bool:
    """Whether an expression is true or false, rather than a number."""
    return isinstance(expression, Comparison | Not | Junction)


def largest(bits: int) -> int:
    """M = 2^(N-1) - 1, the largest value; the least is -M."""
    return 2 ** (check_bits(bits) - 1) - 1


def quotient(x: int, y: int) -> int:
    """x / y, rounded towards zero."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": quotient,
    "%": lambda x, y: x - quotient(x, y) * y,
}
RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
}
COMPARISONS = tuple(RELATIONS)
