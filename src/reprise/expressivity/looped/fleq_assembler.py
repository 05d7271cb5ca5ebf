"""FLEQ programs as text.

    loop: NN A X -> W
          SUB cnt one -> cnt ; if cnt <= 0 goto end
          goto loop                                    # and so on

Words have names. Two are always there: ``zero``, and ``one``, which is 1 at [0, 0] and 0 elsewhere.
The label ``end`` stands after the last line, for an instruction that goes to itself for ever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reprise.expressivity.looped.errors import Piece
from reprise.expressivity.looped.fleq import OPS
from reprise.runtime import check_integer

UNARY = frozenset({"SIG", "RELU", "RECIP", "RSQRT"})  # they ignore word b
CONSTANTS = ("zero", "one")
END = "end"
TOKEN = re.compile(r"\s*(?:#.*|(?P<token>->|<=|[:;]|[A-Za-z_]\w*|\d+|\S)|$)")
NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class FleqProgram:
    """A program with its words.

    Attributes
    ----------
    words : ndarray, shape (k, dim, dim), float64
    instructions : ndarray, shape (m, 6), int64
        (op, a, b, c, flag, p), as `run_fleq` and `FleqMachine` take them.
    names : tuple of str
        The words' names, in order.
    labels : dict of str to int
        Instructions by label.
    """

    words: NDArray[np.float64]
    instructions: NDArray[np.int64]
    names: tuple[str, ...]
    labels: dict[str, int]


def assemble_fleq(text: str, dim: int, words: Mapping[str, ArrayLike]) -> FleqProgram:
    """Translate text to instructions.

    Parameters
    ----------
    text : str
        A line is empty or ``[label:] OP a [b] -> c [; if w <= 0 goto label]`` or
        ``[label:] goto label``; ``#`` begins a comment. SIG, RELU, RECIP and RSQRT take one word.
    dim : int
        Rows and columns of a word.
    words : mapping of str to array_like
        Every word's first value: a number is put at [0, 0], a vector in column 0, a matrix in the
        upper left corner.

    Returns
    -------
    FleqProgram

    Raises
    ------
    AssemblyError
        If a line is malformed, with its place.
    ValueError
        If a word has no proper name or does not fit.
    """
    check_integer("dim", dim, 1)
    names = _names(words)
    filled = [_fill(name, value, dim) for name, value in words.items()]
    filled += [_fill(name, value, dim) for name, value in zip(CONSTANTS, (0, 1), strict=True)]
    lines = [_Line(tokens, names) for tokens in _tokens(text)]
    labels: dict[str, int] = {}
    count = 0
    for line in lines:
        for label in line.labels:
            if label.text in labels or label.text == END:
                label.refuse(f"label {label.text!r} is defined twice")
            labels[label.text] = count
        count += line.fields is not None
    labels[END] = count
    instructions = []
    for line in lines:
        if line.target is not None and line.target.text not in labels:
            line.target.refuse(f"unknown label {line.target.text!r}")
        if line.fields is not None:
            target = 0 if line.target is None else labels[line.target.text]
            instructions.append((*line.fields, target))
    instructions.append((*_goto(names), count))
    return FleqProgram(np.stack(filled), np.array(instructions, dtype=np.int64), names, labels)


def disassemble_fleq(program: FleqProgram) -> str:
    """Text that `assemble_fleq` translates to the same instructions.

    Parameters
    ----------
    program : FleqProgram
        As assembled: every target has a label, and the last instruction is the one at ``end``.
    """
    names, instructions = program.names, program.instructions[:-1]
    labels: dict[int, list[str]] = {}
    for label, i in program.labels.items():
        labels.setdefault(i, []).append(label)
    always = names.index("one")
    lines = []
    for i, (op, a, b, c, flag, target) in enumerate(instructions.tolist()):
        if (op, a, b, c, flag) == _goto(names):
            statement = f"goto {labels[target][0]}"
        else:
            operands = names[a] if OPS[op] in UNARY else f"{names[a]} {names[b]}"
            statement = f"{OPS[op]} {operands} -> {names[c]}"
            if flag != always:
                statement += f" ; if {names[flag]} <= 0 goto {labels[target][0]}"
        lines.append("".join(f"{label}: " for label in labels.get(i, [])) + statement)
    last = [label for label in labels.get(len(instructions), []) if label != END]
    lines += [f"{label}:" for label in last]
    return "\n".join(lines) + "\n"


class _Line:
    """One line's labels, its instruction without the target, and the token of the target."""

    def __init__(self, tokens: list[Piece], names: tuple[str, ...]) -> None:
        self.tokens = tokens  # the last one is empty: the end of the line
        self.names = names
        self.labels: list[Piece] = []
        self.fields: tuple[int, ...] | None = None
        self.target: Piece | None = None
        while len(tokens) > 2 and tokens[1].text == ":":
            self.labels.append(self._name("a label"))
            self._expect(":")
        if self._peek() == "goto":
            self.fields, self.target = _goto(names), self._jump()
        elif self._peek():
            self.fields = self._operation()
        self._expect("")

    def _operation(self) -> tuple[int, ...]:
        op = self._take()
        if op.text not in OPS:
            op.refuse(f"unknown opcode {op.text!r}, expected one of {', '.join(OPS)}")
        a = self._word()
        b = a if op.text in UNARY else self._word()
        self._expect("->")
        place = self.tokens[0]
        c = self._word()
        if place.text in CONSTANTS:
            place.refuse(f"{place.text!r} is a constant")
        flag = self.names.index("one")
        if self._peek() == ";":
            self._take()
            self._expect("if")
            flag = self._word()
            self._expect("<=")
            self._expect("0")
            self.target = self._jump()
        return OPS.index(op.text), a, b, c, flag

    def _jump(self) -> Piece:
        self._expect("goto")
        return self._name("a label")

    def _peek(self) -> str:
        return self.tokens[0].text

    def _take(self) -> Piece:
        return self.tokens.pop(0)

    def _expect(self, text: str) -> None:
        if self._peek() != text:
            token = self.tokens[0]
            token.refuse(f"expected {_shown(text)}, got {_shown(token.text)}")
        if text:
            self._take()

    def _name(self, what: str) -> Piece:
        token = self.tokens[0]
        if not NAME.fullmatch(token.text):
            token.refuse(f"expected {what}, got {_shown(token.text)}")
        return self._take()

    def _word(self) -> int:
        token = self._name("a word")
        if token.text not in self.names:
            token.refuse(f"unknown word {token.text!r}")
        return self.names.index(token.text)


def _tokens(text: str) -> list[list[Piece]]:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = [
            Piece(match["token"], number, match.start("token") + 1)
            for match in TOKEN.finditer(line)
            if match["token"]
        ]
        end = found[-1].column + len(found[-1].text) if found else 1
        lines.append([*found, Piece("", number, end)])
    return lines


def _shown(text: str) -> str:
    return repr(text) if text else "end of line"


def _goto(names: tuple[str, ...]) -> tuple[int, ...]:
    """An instruction that always branches, without its target: zero + zero <= 0."""
    zero = names.index("zero")
    return (OPS.index("ADD"), zero, zero, zero, zero)


def _names(words: Mapping[str, ArrayLike]) -> tuple[str, ...]:
    for name in words:
        if not NAME.fullmatch(name) or name in CONSTANTS:
            raise ValueError(
                f"words must have names of letters, digits and _, other than zero and one, got "
                f"{name!r}"
            )
    return (*words, *CONSTANTS)


def _fill(name: str, value: ArrayLike, dim: int) -> NDArray[np.float64]:
    """A number, vector or matrix as a word."""
    value = np.asarray(value, dtype=np.float64)
    if value.ndim > 2 or max(value.shape, default=1) > dim:
        raise ValueError(
            f"words must fit into {dim} by {dim}, got shape {value.shape} for {name!r}"
        )
    word = np.zeros((dim, dim))
    corner = value.reshape(value.shape if value.ndim == 2 else (-1, 1))
    word[: corner.shape[0], : corner.shape[1]] = corner
    return word
