"""SUBLEQ programs as text: words and jumps by name.

One declaration or instruction a line, in any order:

    x = 5                # a word and its first value
    loop: one x end      # x -= one; to `end` if x <= 0
          zero zero loop # without a target: the next instruction

Words stand in memory in the order of their declaration. A target is a label or an instruction's
index. Where no label `end` stands, an instruction that jumps to itself is appended under that name,
with the word `$zero` for it, which is appended too where it is not declared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reprise.expressivity.looped.errors import Piece

ZERO = "$zero"
LARGEST = 2**47  # in size, of a word of 48 bits
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.\[\]-]*")
_INTEGER = re.compile(r"-?[0-9]+")
_PIECES = re.compile(r"[:=]|[^\s:=]+")


@dataclass(frozen=True, eq=False)
class SubleqProgram:
    """A program with its memory and the names that its text uses.

    Attributes
    ----------
    memory : ndarray, shape (m,), int64
        First values of the words.
    program : ndarray, shape (k, 3), int64
        Instructions (a, b, c): words a and b, instruction c, all from 0.
    names : dict of str to int
        Words by name.
    labels : dict of str to int
        Instructions by label.
    lines : tuple of int
        The line of the source, from 1, that each instruction comes from.
    end : int
        The instruction that a program stops at.
    trap : int or None
        The instruction that a program stops at after an error; None where it has none.
    """

    memory: NDArray[np.int64]
    program: NDArray[np.int64]
    names: dict[str, int]
    labels: dict[str, int]
    lines: tuple[int, ...]
    end: int
    trap: int | None


def assemble_subleq(text: str) -> SubleqProgram:
    """Assemble a program.

    Parameters
    ----------
    text : str
        See the module's head.

    Returns
    -------
    SubleqProgram

    Raises
    ------
    AssemblyError
        At the first word, label or number that is unknown, bad or declared twice, at an instruction
        with too few or too many operands, and at the end of a text without instructions.
    """
    memory: list[int] = []
    names: dict[str, int] = {}
    labels: dict[str, int] = {}
    instructions: list[list[Piece]] = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        code = line.split("#")[0].rstrip()
        pieces = [Piece(m.group(), number, m.start() + 1) for m in _PIECES.finditer(code)]
        after = Piece("end of line", number, len(code) + 1)
        while len(pieces) > 1 and pieces[1].text == ":":
            label = _new("label", pieces[0], labels)
            labels[label] = len(instructions)
            pieces = pieces[2:]
        if len(pieces) > 1 and pieces[1].text == "=":
            name = _new("word", pieces[0], names)
            names[name] = len(memory)
            value, surplus = [*pieces[2:], after, after][:2]
            memory.append(_number(value))
            if surplus is not after:
                surplus.refuse(f"expected end of line, got '{surplus.text}'")
        elif pieces:
            if not 2 <= len(pieces) <= 3:
                wrong = pieces[3] if len(pieces) > 3 else after
                wrong.refuse(f"an instruction has 2 or 3 operands, got {len(pieces)}")
            instructions.append(pieces)
    last = Piece("", len(lines), len(lines[-1]) + 1)
    if not instructions:
        last.refuse("the program has no instruction")
    if "end" not in labels:
        if ZERO not in names:
            names[ZERO] = len(memory)
            memory.append(0)
        labels["end"] = len(instructions)
        instructions.append([last._replace(text=word) for word in (ZERO, ZERO, "end")])
    dangling = [label for label, at in labels.items() if at == len(instructions)]
    if dangling:
        last.refuse(f"label '{dangling[0]}' stands before no instruction")
    program = np.empty((len(instructions), 3), np.int64)
    for at, (a, b, *target) in enumerate(instructions):
        program[at, :2] = _word(a, names), _word(b, names)
        program[at, 2] = _target(target[0], labels, len(instructions)) if target else at + 1
    if program[-1, 2] == len(instructions):
        instructions[-1][-1].refuse("the last instruction needs a target")
    return SubleqProgram(
        memory=np.array(memory, np.int64),
        program=program,
        names=names,
        labels=labels,
        lines=tuple(pieces[0].line for pieces in instructions),
        end=labels["end"],
        trap=labels.get("trap"),
    )


def disassemble_subleq(program: SubleqProgram) -> str:
    """Write a program as text; `assemble_subleq` reads the same program from it.

    Parameters
    ----------
    program : SubleqProgram

    Returns
    -------
    str
        Declarations, then instructions. Targets without a label are written as indices.

    Raises
    ------
    ValueError
        If a word has no name.
    """
    words = {at: name for name, at in program.names.items()}
    unnamed = sorted(set(range(len(program.memory))) - words.keys())
    if unnamed:
        raise ValueError(f"names must name every word, got none for word {unnamed[0]}")
    at_labels: dict[int, list[str]] = {}
    for label, at in program.labels.items():
        at_labels.setdefault(at, []).append(label)
    heads = [
        "".join(f"{label}: " for label in at_labels.get(at, ()))
        for at in range(len(program.program))
    ]
    indent = max(len(head) for head in heads)
    text = [f"{words[at]} = {value}" for at, value in enumerate(program.memory.tolist())]
    for at, (a, b, c) in enumerate(program.program.tolist()):
        target = "" if c == at + 1 else f" {at_labels[c][0] if c in at_labels else c}"
        text.append(f"{heads[at]:{indent}}{words[a]} {words[b]}{target}")
    return "\n".join(text)


def _new(kind: str, piece: Piece, declared: dict[str, int]) -> str:
    if not _NAME.fullmatch(piece.text):
        piece.refuse(f"bad name '{piece.text}' of a {kind}")
    if piece.text in declared:
        piece.refuse(f"duplicate {kind} '{piece.text}'")
    return piece.text


def _number(piece: Piece) -> int:
    # Python refuses to read thousands of digits
    if not _INTEGER.fullmatch(piece.text) or len(piece.text) > 100:
        piece.refuse(f"bad number '{piece.text}'")
    value = int(piece.text)
    if not -LARGEST <= value < LARGEST:
        piece.refuse(f"the integer must be from {-LARGEST} to {LARGEST - 1}, got {value}")
    return value


def _word(piece: Piece, names: dict[str, int]) -> int:
    if piece.text not in names:
        piece.refuse(f"unknown word '{piece.text}'")
    return names[piece.text]


def _target(piece: Piece, labels: dict[str, int], instructions: int) -> int:
    if _INTEGER.fullmatch(piece.text):
        target = _number(piece)
        if not 0 <= target < instructions:
            piece.refuse(f"target must be from 0 to {instructions - 1}, got {target}")
        return target
    if piece.text not in labels:
        piece.refuse(f"unknown label '{piece.text}'")
    return labels[piece.text]
