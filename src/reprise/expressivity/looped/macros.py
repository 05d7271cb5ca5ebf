"""SUBLEQ code as it grows: words, labels, and what a few instructions do with words.

Below, ``x y L`` stands for ``mem[y] -= mem[x]; to L if mem[y] <= 0``. Two words are always there:
``$zero`` holds 0, and ``$z`` holds 0 between constructs: through it, as its negative, a value is
added or copied. Temporaries ``$t1``, ... are taken when they are needed and used again; a constant
k is the word ``$k``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from reprise.expressivity.looped.assembler import ZERO, SubleqProgram


class Label:
    """A place in the code, known when it is reached."""

    at: int | None = None


class _Instruction(NamedTuple):
    a: int
    b: int
    target: Label | None
    line: int


class Code:
    """Memory and instructions.

    Attributes
    ----------
    line : int
        The line of the source that the next instructions come from.
    names : dict of str to int
        Words by name.
    zero, z : int
        Two words of 0.
    end, trap : Label
        Where a program stops, and where it stops after an error.
    """

    def __init__(self) -> None:
        self.line = 1
        self.memory: list[int] = []
        self.names: dict[str, int] = {}
        self.instructions: list[_Instruction] = []
        self.free: list[int] = []
        self.temporaries = 0
        self.end, self.trap = Label(), Label()
        self.zero, self.z = self.new_word(ZERO, 0), self.new_word("$z", 0)

    def program(self) -> SubleqProgram:
        """The code with its stops and with addresses for labels."""
        code = self.instructions
        trapped = any(i.target is self.trap for i in code)
        for stop in (self.end, self.trap)[: 1 + trapped]:
            self.place(stop)
            self.goto(stop)
        places = {i.target.at for i in code if i.target not in (None, self.end, self.trap)}
        labels = {f"L{number}": at for number, at in enumerate(sorted(places), start=1)}
        labels["end"] = self.end.at
        if trapped:
            labels["trap"] = self.trap.at
        program = [
            (i.a, i.b, at + 1 if i.target is None else i.target.at) for at, i in enumerate(code)
        ]
        return SubleqProgram(
            memory=np.array(self.memory, np.int64),
            program=np.array(program, np.int64),
            names=self.names,
            labels=labels,
            lines=tuple(i.line for i in code),
            end=labels["end"],
            trap=labels.get("trap"),
        )

    def new_word(self, name: str, value: int) -> int:
        """Add a word: its address."""
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

    def subleq(self, a: int, b: int, target: Label | None = None) -> None:
        """Add an instruction; without a target it goes on to the next."""
        self.instructions.append(_Instruction(a, b, target, self.line))

    def place(self, label: Label) -> None:
        """A label stands before the next instruction."""
        label.at = len(self.instructions)

    # what a few instructions do

    def goto(self, label: Label) -> None:
        """To a label, always."""
        self.subleq(self.zero, self.zero, label)

    def clear(self, x: int) -> None:
        """x = 0"""
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

    def absolute(self, w: int, v: int, if_negative: Callable[[], None]) -> None:
        """w = |v|, and more to do where v < 0."""
        positive, after = Label(), Label()
        self.clear(w)
        self.subleq(v, w, positive)
        if_negative()
        self.goto(after)
        self.place(positive)
        self.copy(w, v)
        self.place(after)

    def signed(self, x: int, y: int, negative: int) -> None:
        """x = -y where ``negative`` is 1, y where it is 0."""
        positive, after = Label(), Label()
        self.subleq(self.zero, negative, positive)
        self.negate(x, y)
        self.goto(after)
        self.place(positive)
        self.copy(x, y)
        self.place(after)

    def double_while(self, doubled: tuple[int, int], measure: int, bound: int) -> None:
        """Double two words as long as twice the measure, one of them, is at most the bound."""
        again, test = Label(), Label()
        self.goto(test)
        self.place(again)
        for word in doubled:
            self.add(word, word)
        self.place(test)
        with self.temporary() as u:
            self.copy(u, measure)
            self.add(u, measure)
            self.subleq(bound, u, again)

    def jump_if_zero(self, x: int, label: Label) -> None:
        """To a label if x is 0."""
        at_most, after = Label(), Label()
        self.subleq(self.zero, x, at_most)
        self.goto(after)
        self.place(at_most)
        with self.temporary() as h:
            self.clear(h)
            self.subleq(x, h, label)
        self.place(after)

    def jump_unless_zero(self, x: int, label: Label) -> None:
        """To a label if x is not 0."""
        at_most, after = Label(), Label()
        self.subleq(self.zero, x, at_most)
        self.goto(label)
        self.place(at_most)
        with self.temporary() as h:
            self.clear(h)
            self.subleq(x, h, after)
        self.goto(label)
        self.place(after)
