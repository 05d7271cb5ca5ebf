"""Errors in a reader's program say where: line and column, both from 1."""

from __future__ import annotations

from typing import NamedTuple, NoReturn


class _Located:
    """Gives an error its place."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column


class AssemblyError(_Located, ValueError):
    """A line of assembly that no instruction can be made of."""


class Piece(NamedTuple):
    """A word or sign of assembly and where it stands, line and column from 1."""

    text: str
    line: int
    column: int

    def refuse(self, message: str) -> NoReturn:
        """Raise an `AssemblyError` at this place."""
        raise AssemblyError(message, self.line, self.column)


class CompileError(_Located, ValueError):
    """Source text that is not a program of the small language."""


class LanguageError(_Located, ArithmeticError):
    """A program that is well formed, and does what the language forbids."""
