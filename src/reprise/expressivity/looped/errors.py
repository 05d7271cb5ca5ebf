"""Errors in a reader's program say where: line and column, both from 1."""

from __future__ import annotations


class _Located:
    """Gives an error its place."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column


class AssemblyError(_Located, ValueError):
    """A line of assembly that no instruction can be made of."""


class CompileError(_Located, ValueError):
    """Source text that is not a program of the small language."""


class LanguageError(_Located, ArithmeticError):
    """A program that is well formed, and does what the language forbids."""
