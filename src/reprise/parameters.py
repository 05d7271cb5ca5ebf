"""A chapter's knobs, declared once.

A `Knob` is a name, a default, a kind and a meaning. A chapter lists its own in
``reprise/<part>/<slug>/knobs.py``; the notebook's parameter cell, the check of what a reader or
papermill injects, the text of an error and the page's table of knobs all follow from that list.
Rules that tie several knobs together are one short function of the checked values.

Values come from YAML, whose version 1.1 reads ``4e0`` as text, and from papermill, which reads a
list on its command line as text: a text that spells a number or a list counts as that.
"""

from __future__ import annotations

import importlib.util
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from reprise.runtime import PROFILES, is_integer

PACKAGE = Path(__file__).parent
COLUMNS = 84  # of a line of code on a page
MOST = 2**31 - 1  # what an integer may be where nothing lower is said: arrays are indexed by it

Order = Literal["increasing", "falling", "distinct"]


class ParameterError(ValueError):
    """A knob has a value that it must not have, or does not exist."""


class Kind(Protocol):
    """What a knob may hold."""

    def read(self, value: Any) -> Any:
        """Return the value in its plain form; a `ValueError` of any text refuses it."""

    def words(self) -> str:
        """What is allowed, to follow "must be"."""

    def notation(self) -> str:
        """The same in short, for comments and tables; empty if any value of its type is."""


@dataclass(frozen=True)
class Integer:
    """An integer from ``least`` to ``most``, a multiple of ``multiple_of``."""

    least: int
    most: int = MOST
    multiple_of: int = 1

    def read(self, value: Any) -> int:
        number = _number(value)
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if not is_integer(number) or not self.least <= number <= self.most:
            raise ValueError
        if number % self.multiple_of:
            raise ValueError
        return int(number)

    def words(self) -> str:
        several = {1: "an integer", 2: "an even integer"}
        kind = several.get(self.multiple_of, f"a multiple of {self.multiple_of}")
        return f"{kind} from {self.least} to {self.most}"

    def notation(self) -> str:
        known = {1: "", 2: "even"}.get(self.multiple_of, f"a multiple of {self.multiple_of}")
        if self.most < MOST:
            bound = f"{self.least} to {self.most}"
        else:  # an even number is known to be at least 2
            bound = f"≥ {self.least}" if self.least != self.multiple_of or not known else ""
        return " ".join(filter(None, (known, bound)))


@dataclass(frozen=True)
class PowerOfTwo:
    """A power of two from ``least`` to ``most``."""

    least: int
    most: int = 2**30

    def read(self, value: Any) -> int:
        number = Integer(self.least, self.most).read(value)
        if number & (number - 1):
            raise ValueError
        return number

    def words(self) -> str:
        return f"a power of two from {self.least} to {self.most}"

    def notation(self) -> str:
        return f"a power of two ≥ {self.least}"


@dataclass(frozen=True)
class Real:
    """A finite number within bounds, each excluded or included."""

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def read(self, value: Any) -> float:
        number = _number(value)
        # an integer beyond the floats would overflow
        if isinstance(number, int) and abs(number) > MOST:
            raise ValueError
        number = float(number)
        if not math.isfinite(number):
            raise ValueError
        for bound, holds in (
            (self.above, float.__gt__),
            (self.at_least, float.__ge__),
            (self.below, float.__lt__),
            (self.at_most, float.__le__),
        ):
            if bound is not None and not holds(number, float(bound)):
                raise ValueError
        return number

    def words(self) -> str:
        low = f"above {self.above:g}" if self.above is not None else ""
        low = f"of at least {self.at_least:g}" if self.at_least is not None else low
        high = f"below {self.below:g}" if self.below is not None else ""
        high = f"at most {self.at_most:g}" if self.at_most is not None else high
        bounds = " and ".join(filter(None, (low, high)))
        return f"a finite number {bounds}".rstrip()

    def notation(self) -> str:
        open_low, open_high = self.above is not None, self.below is not None
        low = self.above if open_low else self.at_least
        high = self.below if open_high else self.at_most
        if low is None or high is None:
            sign = (">" if open_low else "≥") if high is None else ("<" if open_high else "≤")
            bound = low if high is None else high
            return "" if bound is None else f"{sign} {bound:g}"
        return f"in {'(' if open_low else '['}{low:g}, {high:g}{')' if open_high else ']'}"


@dataclass(frozen=True, init=False)
class Choice:
    """One of several texts."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", options)

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise ValueError
        return value

    def words(self) -> str:
        head = "one of " if len(self.options) > 1 else ""
        return head + ", ".join(map(repr, self.options))

    def notation(self) -> str:
        return " or ".join(filter(None, (", ".join(self.options[:-1]), self.options[-1])))


@dataclass(frozen=True)
class Nothing:
    """None (null in YAML)."""

    def read(self, value: Any) -> None:
        if value is not None and value not in ("None", "null"):
            raise ValueError

    def words(self) -> str:
        return "None"

    def notation(self) -> str:
        return "None"


@dataclass(frozen=True, init=False)
class Either:
    """The first of several kinds that fits."""

    kinds: tuple[Kind, ...]

    def __init__(self, *kinds: Kind) -> None:
        object.__setattr__(self, "kinds", kinds)

    def read(self, value: Any) -> Any:
        for kind in self.kinds:
            try:
                return kind.read(value)
            except ValueError:
                continue
        raise ValueError

    def words(self) -> str:
        return " or ".join(kind.words() for kind in self.kinds)

    def notation(self) -> str:
        return " or ".join(kind.notation() for kind in self.kinds)


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind, ``least`` to ``most`` of them, in an order if wanted."""

    kind: Kind
    least: int = 1
    most: int | None = None
    order: Order | None = None

    def read(self, value: Any) -> list:
        entries = [self.kind.read(entry) for entry in _entries(value)]
        if not self.least <= len(entries) <= (len(entries) if self.most is None else self.most):
            raise ValueError
        ordered = sorted(set(entries), reverse=self.order == "falling") if self.order else entries
        if self.order == "distinct":
            if len(ordered) < len(entries):
                raise ValueError
        elif entries != ordered:
            raise ValueError
        return entries

    def words(self) -> str:
        return f"a list of {self._count()}, each {self.kind.words()}"

    def notation(self) -> str:
        each = self.kind.notation()
        count = "+" if self.most is None else f" to {self.most}"
        count = f"{self.least}{'' if self.least == self.most else count}"
        return " ".join(filter(None, (count, self.order or "values", each)))

    def _count(self) -> str:
        count = f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"
        count = str(self.least) if self.least == self.most else count
        return f"{count} {self.order} values" if self.order else f"{count} values"


@dataclass(frozen=True)
class Knob:
    """A parameter of a chapter.

    Attributes
    ----------
    name : str
        As the notebook calls it.
    default : object
        The value of the book profile; a range stands for the list of its numbers.
    kind : Kind
        What it may hold.
    meaning : str
        In a few words, without the range, which `kind` tells, and without an equals sign, of which
        papermill reads only one a line.
    """

    name: str
    default: Any
    kind: Kind
    meaning: str

    def read(self, value: Any) -> Any:
        """Return ``value`` in its plain form.

        Raises
        ------
        ParameterError
            Naming the knob, the value and what is allowed.
        """
        try:
            return self.kind.read(value)
        except (ValueError, TypeError, OverflowError):
            raise refusal(self.name, f"must be {self.kind.words()}", value) from None

    def comment(self) -> str:
        """Meaning and range, as the parameter cell says them."""
        return ": ".join(filter(None, (self.meaning, self.kind.notation())))


Rules = Callable[[Any], None]


class Knobs:
    """All knobs of one chapter: ``profile`` and ``seed``, then its own.

    Parameters
    ----------
    *own : Knob
        In the order of the parameter cell.
    rules : callable, optional
        Takes the checked values as attributes and raises a `ParameterError` (see `refusal`) where
        they do not go together.
    """

    def __init__(self, *own: Knob, rules: Rules | None = None) -> None:
        common = (
            Knob("profile", "book", Choice(*PROFILES), "which rules judge this run"),
            Knob("seed", 0, Integer(0), "every random draw descends from it"),
        )
        self.knobs = {knob.name: knob for knob in (*common, *own)}
        self.rules = rules
        self.check({})

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the book profile, by name."""
        return {name: _plain(knob.default) for name, knob in self.knobs.items()}

    def check(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every knob; those that are not given have their defaults.

        Parameters
        ----------
        values : mapping
            Any of the knobs, and nothing else.

        Returns
        -------
        dict
            Lists as lists of plain numbers or texts.

        Raises
        ------
        ParameterError
            If a name is not a knob, a value is not allowed, or values do not go together.
        """
        self.refuse_unknown(values)
        checked = {
            name: knob.read(values.get(name, knob.default)) for name, knob in self.knobs.items()
        }
        if self.rules is not None:
            self.rules(_Values(checked))
        return checked

    def refuse_unknown(self, names: Iterable[str]) -> None:
        """Raise a `ParameterError` at the first name that is not a knob."""
        for name in names:
            if name not in self.knobs:
                known = ", ".join(self.knobs)
                raise ParameterError(f"parameter {name!r} is not one of this chapter: {known}")

    def cell(self) -> str:
        """The source of the notebook's parameter cell."""
        lines = []
        for knob in self.knobs.values():
            assignment = f"{knob.name} = {_source(knob.default)}"
            for comment in (knob.comment(), knob.meaning):  # the table of knobs has the range
                line = f"{assignment}  # {comment}"
                if len(line) <= COLUMNS:
                    break
            else:
                wrapped = textwrap.wrap(knob.meaning, COLUMNS - 2)
                line = "\n".join([*(f"# {text}" for text in wrapped), assignment])
            lines.append(line)
        return "\n".join(lines)


class _Values:
    """Checked values as attributes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


def refusal(name: str, rule: str, value: Any) -> ParameterError:
    """The error of a knob: its name, what it must be, and what it was.

    Parameters
    ----------
    name : str
    rule : str
        Beginning with "must".
    value : object
        Cut in the message where it is long.
    """
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        text = f"an integer of {value.bit_length()} bits"
    shown = text if len(text) <= 120 else f"{text[:100]} ... ({len(text)} characters)"
    return ParameterError(f"{name} {rule}, got {shown}")


@cache
def knobs(chapter: str, package: Path = PACKAGE) -> Knobs:
    """The knobs of a chapter.

    Read from their file alone: importing the chapter's package would import its kernels, and
    seconds of torch for a list of names.

    Parameters
    ----------
    chapter : str
        ``"part/slug"``.
    package : Path
        The folder of the package's source, of a checkout where it is not the installed one.

    Raises
    ------
    ValueError
        If the chapter declares none.
    """
    path = package / chapter / "knobs.py"
    if not path.exists():
        raise ValueError(f"chapter must have its knobs in {path}, got {chapter!r}")
    spec = importlib.util.spec_from_file_location(f"knobs of {chapter}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KNOBS


_NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?")


def _number(value: Any) -> int | float:
    """A number, or a text that spells one; truth values are none."""
    if isinstance(value, str) and len(value) < 400 and _NUMBER.fullmatch(value.strip()):
        text = value.strip().replace("_", "")
        return int(text) if text.lstrip("+-").isdecimal() else float(text)
    if is_integer(value):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    raise ValueError


def _entries(value: Any) -> list:
    """The entries of a list, or of a text that spells one."""
    if isinstance(value, str) and value.strip().startswith("["):
        import yaml

        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError from None
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, list | tuple | range):
        raise ValueError
    return list(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, range) else value


def _source(value: Any) -> str:
    """A default as Python source: long integers in groups of three digits."""
    if isinstance(value, range):
        return f"list({value!r})"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    if is_integer(value) and abs(value) >= 10_000:
        return f"{value:_}"
    return repr(value)
