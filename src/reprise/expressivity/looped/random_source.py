"""Random programs of the small language, and the check that their compiled code means the same.

What a compiler gets wrong hides where constructs meet. So loops are nested, left and continued in
the middle of their bodies, targets stand in their own values, and indices are calculated, mostly
within their arrays. Loops count down, so that every program ends.
"""

from __future__ import annotations

import numpy as np

from reprise.expressivity.looped.compiler import compile_source, variables
from reprise.expressivity.looped.errors import CompileError, LanguageError
from reprise.expressivity.looped.interpreter import LostProgramError, run_subleq_to_end
from reprise.expressivity.looped.language import TrapError, run_source
from reprise.expressivity.looped.tree import COMPARISONS, OPERATIONS

MOST_STATEMENTS = 2000  # executed by a program
MOST_STEPS = 200_000  # of 5,000 programs, none takes 30,000
_VARIABLES = ("a", "b", "c")
_ARRAYS = {"p": 3, "q": 5}  # odd lengths
_LONGEST = "q"
MOST_ROUNDS = 4  # of a loop
_COUNTERS = ("i", "j", "k")  # one a level of loops, never assigned but by the loop


def random_source(bits: int, *, rng: np.random.Generator) -> str:
    """A random program that ends, or that meets a bad index or a division by 0.

    Programs whose values or constants leave -M to M are drawn again: compiled code is bound to
    nothing there.

    Parameters
    ----------
    bits : int
        N, 6 to 48.
    rng : numpy.random.Generator

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If ``bits`` is outside its range.
    """
    if not 6 <= bits <= 48:
        raise ValueError(f"bits must be from 6 to 48, got {bits}")
    while True:
        text = _Writer(bits, rng=rng).program()
        try:
            run_source(text, bits, MOST_STATEMENTS)
        except TrapError:
            return text
        except (CompileError, LanguageError):  # constants are drawn, too
            continue
        return text


def difference(text: str, bits: int) -> str:
    """How a compiled program's run differs from `run_source`, in words; "" where it does not.

    Parameters
    ----------
    text : str
        A program that ends, or that meets a bad index or a division by 0.
    bits : int

    Returns
    -------
    str

    Raises
    ------
    CompileError, LanguageError
        As `run_source`, except for what the trap is for.
    """
    try:
        wanted = run_source(text, bits)
    except TrapError:
        wanted = None
    program = compile_source(text, bits)
    try:
        run = run_subleq_to_end(program.memory, program.program, bits, limit=MOST_STEPS)
    except LostProgramError as error:
        return str(error)
    if not run.halted:
        return f"no end within {MOST_STEPS} steps"
    stop = "trap" if wanted is None else "end"
    if run.pc != program.labels.get(stop):
        return f"stopped at instruction {run.pc}, not at {stop}"
    if wanted is None:
        return ""
    got = variables(program, run.memory)
    for name, value in wanted.items():
        if got[name] != value:
            return f"{name} is {got[name]}, not {value}"
    bad = [name for name in ("$zero", "$z") if run.memory[program.names[name]]]
    return f"{bad[0]} is not 0" if bad else ""


class _Writer:
    """A text as it grows: every choice is drawn where it is written."""

    def __init__(self, bits: int, *, rng: np.random.Generator) -> None:
        self.rng = rng
        self.large = min(2 ** (bits - 1) // 4, 100)
        self.lines: list[str] = []
        self.loops = 0
        self.compounds = 5  # loops and choices left to write

    def program(self) -> str:
        numbers = [f"{name} = {self.integer()}" for name in _VARIABLES]
        self.lines = [f"var {', '.join([*numbers, *_COUNTERS])};", f"const m = {self.integer()};"]
        for name, length in _ARRAYS.items():
            values = ", ".join(str(self.integer()) for _ in range(length))
            self.lines.append(f"array {name}[{length}] = {{{values}}};")
        for _ in range(self.rng.integers(2, 5)):
            self.statement(depth=0)
        return "\n".join(self.lines) + "\n"

    def pick(self, *choices: str) -> str:
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def integer(self) -> int:
        most = self.large if self.chance(0.3) else 5
        return int(self.rng.integers(-most, most + 1))

    # statements

    def write(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)

    def statement(self, depth: int) -> None:
        kind = self.rng.random()
        if kind < 0.55 and self.compounds:
            self.compounds -= 1
            if kind < 0.35 and self.loops < len(_COUNTERS):
                self.loop(depth)
            else:
                self.choice(depth)
        else:
            self.assignment(depth)

    def body(self, depth: int) -> None:
        for _ in range(self.rng.integers(1, 3)):
            self.statement(depth)

    def loop(self, depth: int) -> None:
        counter = _COUNTERS[self.loops]
        rounds = self.rng.integers(1, MOST_ROUNDS + 1)
        self.write(depth, f"{counter} = {rounds};")
        also = f" and {self.condition(1)}" if self.chance(0.2) else ""
        self.write(depth, f"while {counter} > 0{also} {{")
        self.loops += 1
        self.write(depth + 1, f"{counter} = {counter} - 1;")
        self.body(depth + 1)
        for word in ("continue", "break"):
            if self.chance(0.4):
                self.write(depth + 1, f"if {self.condition(1)} {{ {word}; }}")
                self.body(depth + 1)
        self.loops -= 1
        self.write(depth, "}")

    def choice(self, depth: int) -> None:
        self.write(depth, f"if {self.condition(2)} {{")
        self.body(depth + 1)
        while self.chance(0.3):
            self.write(depth, f"}} else if {self.condition(1)} {{")
            self.body(depth + 1)
        if self.chance(0.5):
            self.write(depth, "} else {")
            self.body(depth + 1)
        if self.chance(0.1):
            self.write(depth + 1, "halt;")
        self.write(depth, "}")

    def assignment(self, depth: int) -> None:
        target = self.pick(*_VARIABLES) if self.chance(0.6) else self.element()
        kind = self.rng.random()
        if kind < 0.15:
            value = f"{self.atom()} {self.pick('-', '+', '*')} {target}"
        elif kind < 0.3:
            value = f"{target} {self.pick('-', '+')} {self.number(1)}"
        else:
            value = self.number(2 if self.chance(0.3) else 1)
        if self.chance(0.2):
            value = f"({value}) % {self.rng.integers(2, 12)}"
        self.write(depth, f"{target} = {value};")

    # expressions

    def number(self, depth: int) -> str:
        if depth == 0 or self.chance(0.3):
            return self.atom()
        if self.chance(0.1):
            return f"-({self.number(depth - 1)})"
        operator = self.pick(*OPERATIONS)
        left, right = self.number(depth - 1), self.number(depth - 1)
        if operator in "/%" and self.chance(0.85):
            right = f"({self.pick('-', '')}{self.rng.integers(1, 8)})"
            if self.chance(0.5):  # a variable divisor that is hardly ever 0
                right = f"({self.pick(*_VARIABLES)} * 2 + {self.pick('-', '')}1)"
        return f"({left} {operator} {right})"

    def atom(self) -> str:
        kind = self.rng.random()
        if kind < 0.3:
            return str(abs(self.integer()))
        if kind < 0.35:
            return "m"
        if kind < 0.75:
            return self.pick(*_VARIABLES, *_COUNTERS[: self.loops])
        return self.element()

    def element(self) -> str:
        array = self.pick(*_ARRAYS)
        middle = _ARRAYS[array] // 2
        kind = self.rng.random()
        if kind < 0.3:
            index = str(self.rng.integers(_ARRAYS[array]))
        elif kind < 0.8 and self.loops:
            counter = _COUNTERS[self.rng.integers(self.loops)]
            index = self.pick(counter, f"{MOST_ROUNDS} - {counter}", f"{counter} + 1")
            array = _LONGEST  # its length is MOST_ROUNDS + 1
        elif kind < 0.98:  # a remainder has its dividend's sign
            index = f"{self.pick(*_VARIABLES)} % {middle + 1} + {middle}"
        else:
            index = self.pick(*_VARIABLES)
        return f"{array}[{index}]"

    def condition(self, depth: int) -> str:
        kind = self.rng.random()
        if depth and kind < 0.15:
            return f"not ({self.condition(depth - 1)})"
        if depth and kind < 0.5:
            left, right = self.condition(depth - 1), self.condition(depth - 1)
            return f"({left} {self.pick('and', 'or')} {right})"
        return f"{self.number(1)} {self.pick(*COMPARISONS)} {self.number(1)}"
