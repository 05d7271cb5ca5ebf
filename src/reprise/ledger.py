"""Claims, rules and verdicts.

A chapter declares what its paper claims, beside the theorems (`Ledger.claim`), and later, where it
is argued, holds what this run measured against a rule (`Claim.check`). The verdict is computed,
never typed. A claim may have several parts (an exponent *and* a level); it holds only if every part
does, and one that nothing was checked of is not reproduced. A number that is missing or not a
number is an error, not a pass.

The ledger shows as a table in the page and as coarsely rounded text to the tests, and travels in
the notebook's output metadata, from which `read_ledgers` collects it.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from reprise.runtime import PROFILES, check_profile

VARIES = "≈ "  # before digits that another machine may compute differently: nbval skips them

METADATA_KEY = "reprise_ledger"


class Verdict(StrEnum):
    """What a run says about a claim."""

    REPRODUCED = "reproduced"
    NOT_AT_THIS_SCALE = "not reproduced at this scale"
    NOT_ON_THIS_DATA = "not reproduced on this data"
    NOT_REPRODUCED = "not reproduced"

    def __repr__(self) -> str:
        return self.value


class LedgerError(ValueError):
    """A check that cannot be judged: a missing rule, a NaN, an empty sample."""


@dataclass(frozen=True)
class Part:
    """One measured quantity of a claim and the rule it was held against.

    Attributes
    ----------
    name : str
        What was measured; empty for a claim with a single part.
    measured : float, int, str, bool or list
        A value, or ``[smallest, largest]`` of a sample.
    count : int
        Size of that sample, 1 for a single value.
    rule : str
        The rule in words, for example ``"in [-2.2, -1.8]"``.
    verdict : str
    interval : list of two floats, or None
        95% interval of a measured estimate.
    remark : str
        Why a part failed although its value satisfies the rule, or that its interval does not
        exclude the rule's boundary; empty otherwise.
    varies : bool
        Whether the digits differ from machine to machine: they are then shown after "≈".
    """

    name: str
    measured: Any
    count: int
    rule: str
    verdict: str
    interval: list[float] | None = None
    remark: str = ""
    varies: bool = False

    def values(self) -> str:
        """The measured values, rounded to three significant digits, with their interval."""
        values = _as_list(self.measured)
        # a value that misses its bound by little must not be printed like the bound
        near = self.verdict != Verdict.REPRODUCED and _near(values, self.rule)
        words = any(isinstance(v, str) and v not in ("inf", "-inf") for v in values)
        shown = dict.fromkeys(_round(v, 7 if near else 3) for v in values)  # of equal ends one
        text = (", " if words else " to ").join(shown)
        if self.count > 1:
            text += f" ({self.count} values)"
        if self.interval is not None:
            text += f" [{', '.join(_round(v) for v in self.interval)}]"
        return VARIES + text if self.varies else text

    def text(self) -> str:
        """The part in one line."""
        name = f"{self.name}: " if self.name else ""
        remark = f" ({self.remark})" if self.remark else ""
        return f"{name}{self.values()}; rule: {self.rule}{remark}"


@dataclass
class Claim:
    """A claim of a paper with everything a run measured for it; made by `Ledger.claim`.

    Attributes
    ----------
    data : str or None
        The data set that the claim is about, where it is about one.
    used : str or None
        The data set that this run judged it on, see `judged_on`.
    parts : list of Part
    """

    chapter: str
    id: str
    statement: str
    source: str
    paper: str
    profile: str
    data: str | None = None
    used: str | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The weakest verdict of the parts."""
        verdicts = {part.verdict for part in self.parts}
        for verdict in reversed(Verdict):
            if verdict in verdicts or not verdicts:
                return verdict
        return Verdict.REPRODUCED

    def judged_on(self, name: str) -> None:
        """Say which data set this run judges the claim on, before its first check.

        Raises
        ------
        LedgerError
            If the claim is about no data set.
        """
        if self.data is None:
            raise LedgerError(f"{self.id}: data must be given with the claim, got none")
        self.used = name

    def check(
        self,
        part: str,
        measured: Any,
        *,
        at_most: Any = None,
        at_least: Any = None,
        within: Any = None,
        equals: Any = None,
        smoke: Any = None,
        paper: Any = None,
        interval: tuple[float, float] | None = None,
        expected_from: str | None = None,
        varies: bool = False,
    ) -> Verdict:
        """Judge one part of the claim and record it.

        Parameters
        ----------
        part : str
            What is measured here. A part that is checked again (a cell run twice) is replaced.
        measured : float, int, str, bool or array_like
            The value; of a sample every entry must satisfy the rule.
        at_most, at_least : float
        within : tuple of two floats
            Bounds, both included.
        equals : object
            Exactly one rule must be given.
        smoke, paper : float, tuple or object, optional
            The same rule's bounds at that profile, where they differ from those of "book".
        interval : tuple of two floats, optional
            95% interval of ``measured``. With ``within``, an interval wider than the rule decides
            nothing: the part is then not reproduced, and says why. A part that holds while its
            interval reaches past the rule says so.
        expected_from : str, optional
            The smallest profile at which the claim is expected to show. A failure of a smaller run
            is "not reproduced at this scale".
        varies : bool
            True where rounding decides the digits, as in long trainings: another machine judges by
            the same rule, but its tests do not compare the digits with ours.

        Returns
        -------
        Verdict
            Of this part.

        Raises
        ------
        LedgerError
            If there is no rule or more than one, a bound or a measured value is NaN, the sample is
            empty, or the claim is about a data set and `judged_on` was not called.
        """
        names = [known.name for known in self.parts]
        position = names.index(part) if part in names else len(names)
        # until judged, and for good if the judging fails: no pass from before, no pass by absence
        unjudged = Part(part, "no value", 1, "unknown", str(Verdict.NOT_REPRODUCED))
        self.parts[position : position + 1] = [replace(unjudged, remark="could not be judged")]
        if self.data is not None and self.used is None:
            raise LedgerError(f"{self.id}: judged_on must name the data before the first check")
        if expected_from is not None and expected_from not in PROFILES:
            raise LedgerError(f"{self.id}: expected_from must be a profile, got {expected_from!r}")
        rules = {"at_most": at_most, "at_least": at_least, "within": within, "equals": equals}
        rule = _rule(self.id, rules)
        for profile, bounds in (("smoke", smoke), ("paper", paper)):
            if bounds is not None:  # checked at every profile, so that no run finds it first
                own = _rule(self.id, {rule.kind: bounds})
                rule = own if profile == self.profile else rule
        sample = _sample(self.id, measured)
        holds, remark = rule.holds(self.id, sample), ""
        bounds = None if interval is None else _bounds(self.id, "interval", interval)
        if bounds and rule.kind == "within" and not bounds[1] - bounds[0] <= rule.high - rule.low:
            holds, remark = False, "undecided: the interval is wider than the rule"
        elif bounds and holds and not (rule.low <= bounds[0] and bounds[1] <= rule.high):
            remark = "close: the interval reaches past the rule"
        verdict = Verdict.REPRODUCED if holds else self._failure(expected_from)
        stored = None if bounds is None else [_plain(v) for v in bounds]
        self.parts[position] = Part(
            part, _summary(sample), len(sample), rule.text, str(verdict), stored, remark, varies
        )
        return verdict

    def _failure(self, expected_from: str | None) -> Verdict:
        """What a part that does not hold says of the claim in this run."""
        if self.used != self.data:
            return Verdict.NOT_ON_THIS_DATA
        if expected_from and PROFILES.index(self.profile) < PROFILES.index(expected_from):
            return Verdict.NOT_AT_THIS_SCALE
        return Verdict.NOT_REPRODUCED

    def data_remark(self) -> str:
        """What to know about the data: which were used, and how to get the right ones."""
        if self.data is None or self.used is None:
            return ""
        if self.used == self.data:
            return f"judged on {self.used}"
        return (
            f"judged on {self.used}; the claim is about {self.data}, which "
            f"reprise.data.load({self.data!r}) downloads, or reads from a folder that REPRISE_DATA "
            "names"
        )

    def record(self) -> dict[str, Any]:
        """The claim as plain data: one record of ``reprise scoreboard --json``."""
        return {
            "chapter": self.chapter,
            "id": self.id,
            "statement": self.statement,
            "source": self.source,
            "paper": self.paper,
            "measured": "; ".join(_shown(part) for part in self.parts),
            "rule": "; ".join(f"{p.name}: {p.rule}" if p.name else p.rule for p in self.parts),
            "verdict": str(self.verdict),
            "profile": self.profile,
            "data": self.data_remark(),
            "parts": [asdict(part) for part in self.parts],
        }

    def __repr__(self) -> str:
        lines = [f"{self.id}: {self.verdict}"]
        lines += [f"    {_mark(part.verdict)} {part.text()}" for part in self.parts]
        return "\n".join(lines + [f"    {line}" for line in filter(None, [self.data_remark()])])

    def _repr_html_(self) -> str:
        rows = "".join(_part_row(part) for part in self.parts)
        remark = f"<p>{html.escape(self.data_remark())}.</p>" if self.data_remark() else ""
        return (
            f'<div class="reprise-claim"><p>{verdict_badge(self.verdict)} '
            f"<b>{html.escape(self.id)}</b> "
            f"{html.escape(self.statement)}</p>"
            f'<div class="reprise-scroll"><table><thead><tr><th>quantity</th><th>measured</th>'
            f"<th>rule</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table></div>"
            f"{remark}</div>"
        )


class Ledger:
    """The claims of one chapter and their verdicts in this run.

    Parameters
    ----------
    chapter : str
        ``"part/slug"``.
    profile : str
        The size of this run: "smoke", "book" or "paper".
    parameters : mapping, optional
        The run's parameters, for who shows them.

    Raises
    ------
    ValueError
        For an unknown profile or an empty chapter name.
    """

    def __init__(
        self, chapter: str, *, profile: str = "book", parameters: Mapping[str, Any] | None = None
    ) -> None:
        if not chapter:
            raise ValueError(f"chapter must be 'part/slug', got {chapter!r}")
        self.chapter = chapter
        self.profile = check_profile(profile)
        self.parameters = dict(parameters or {})
        self.claims: dict[str, Claim] = {}

    def claim(
        self, id: str, statement: str, *, source: str, paper: str = "", data: str | None = None
    ) -> Claim:
        """Declare a claim, once, before its evidence; declared again, it starts anew.

        Parameters
        ----------
        id : str
            The claim's id in the brief, for example ``"C1"``.
        statement, source, paper : str
            What the paper says, where, and its own number.
        data : str, optional
            The data set that the claim is about. A run that judges it on another one (see
            `Claim.judged_on`) can reproduce it, but not refute it.

        Returns
        -------
        Claim

        Raises
        ------
        LedgerError
            If id, statement or source is empty.
        """
        for name, text in (("id", id), ("statement", statement), ("source", source)):
            if not isinstance(text, str) or not text:
                raise LedgerError(f"{id}: {name} must be a text, got {text!r}")
        claim = Claim(self.chapter, id, statement, source, str(paper), self.profile, data)
        self.claims[id] = claim
        return claim

    def __getitem__(self, id: str) -> Claim:
        return self.claims[id]

    @property
    def statements(self) -> Statements:
        """What is claimed, before any evidence: a table for the page."""
        return Statements(tuple(self._in_order()))

    def records(self) -> list[dict[str, Any]]:
        """All claims as plain data, C2 before C10."""
        return [claim.record() for claim in self._in_order()]

    def _in_order(self) -> list[Claim]:
        def natural(claim: Claim) -> list:
            return [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", claim.id)]

        return sorted(self.claims.values(), key=natural)

    def __repr__(self) -> str:
        head = f"{self.chapter}, profile {self.profile}: {tally(self.records())}"
        return "\n".join([head, *(repr(claim) for claim in self._in_order())])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        bundle = {"text/plain": repr(self), "text/html": ledger_html(self.records())}
        return bundle, {METADATA_KEY: self.records()}


@dataclass(frozen=True)
class Statements:
    """The claims of a chapter as the paper states them."""

    claims: tuple[Claim, ...]

    def __repr__(self) -> str:
        return "\n".join(f"{c.id}: {c.statement} ({c.source})" for c in self.claims)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(c.id)}</th><td>{html.escape(c.statement)}</td>"
            f"<td>{html.escape(c.source)}</td><td>{html.escape(c.paper) or '&ndash;'}</td></tr>"
            for c in self.claims
        )
        return (
            '<div class="reprise-scroll"><table class="reprise-statements"><thead><tr><th></th>'
            "<th>claim</th><th>source</th><th>the paper's own</th></tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )


def tally(records: Iterable[Mapping[str, Any]]) -> str:
    """Say how many claims got which verdict, for example ``"7 reproduced, 1 not reproduced"``."""
    verdicts = [record["verdict"] for record in records]
    counts = ((str(v), verdicts.count(v)) for v in Verdict)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts if count) or "no claims"


def ledger_html(records: Iterable[Mapping[str, Any]]) -> str:
    """Write claim records as one HTML table."""
    rows = []
    for record in records:
        parts = record["parts"]
        lines = [Part(**p).text() for p in parts] + list(filter(None, [record.get("data")]))
        measured = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        paper = html.escape(record["paper"]) or "&ndash;"
        rows.append(
            f"<tr><th scope='row'>{html.escape(record['id'])}</th>"
            f"<td>{html.escape(record['statement'])}<br><small>{html.escape(record['source'])}"
            f"</small></td><td>{paper}</td><td><ul>{measured}</ul></td>"
            f"<td>{verdict_badge(record['verdict'])}</td></tr>"
        )
    return (
        '<div class="reprise-scroll"><table class="reprise-ledger"><thead><tr><th></th>'
        "<th>claim and source</th><th>paper</th><th>measured here, and the rule</th>"
        f"<th>verdict</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def read_ledgers(notebook: Any) -> list[dict[str, Any]]:
    """Collect the claim records that an executed notebook stores.

    Parameters
    ----------
    notebook : path-like or nbformat.NotebookNode

    Returns
    -------
    list of dict
        The records of the last ledger shown for each chapter, in order.

    Raises
    ------
    LedgerError
        If the notebook shows no ledger.
    """
    import nbformat

    if isinstance(notebook, str | Path):
        notebook = nbformat.read(notebook, as_version=4)
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            records = output.get("metadata", {}).get(METADATA_KEY)
            if records:
                found[records[0]["chapter"]] = [dict(record) for record in records]
    if not found:
        raise LedgerError("notebook must show its ledger in a cell, found none")
    return [record for records in found.values() for record in records]


@dataclass(frozen=True)
class _Rule:
    """A rule and its wording."""

    kind: str
    text: str
    low: Any = -math.inf
    high: Any = math.inf
    value: Any = None

    def holds(self, id: str, sample: list) -> bool:
        """True if every value satisfies the rule."""
        if self.kind == "equals":
            kind = _kind(self.value)
            return all(_kind(v) is kind and v == self.value for v in sample)
        if any(isinstance(v, str) for v in sample):
            raise LedgerError(f"{id}: text can only be judged by equals, got {self.kind}")
        return all(self.low <= v <= self.high for v in sample)


def _rule(id: str, rules: Mapping[str, Any]) -> _Rule:
    """Find the one rule that is given."""
    given = {name: rule for name, rule in rules.items() if rule is not None}
    if len(given) != 1:
        raise LedgerError(
            f"{id}: exactly one of at_most, at_least, within, equals must be given, "
            f"got {', '.join(given) or 'none'}"
        )
    ((kind, rule),) = given.items()
    if kind == "equals":
        value = _scalar(id, "equals", rule)
        return _Rule(kind, f"equals {value}", value=value)
    if kind == "within":
        low, high = _bounds(id, kind, rule)
        return _Rule(kind, f"in [{_bound(low)}, {_bound(high)}]", low, high)
    bound = _number(id, kind, rule)
    if kind == "at_most":
        return _Rule(kind, f"at most {_bound(bound)}", high=bound)
    return _Rule(kind, f"at least {_bound(bound)}", low=bound)


def _scalar(id: str, name: str, value: Any) -> Any:
    """Return a truth value, text or number that is not NaN, as a plain Python object."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, np.generic):  # a long double has no plain form
        plain = float(plain)
    if not isinstance(plain, bool | int | float | str):
        raise LedgerError(f"{id}: {name} must be a number, truth value or text, got {value!r}")
    if isinstance(plain, float) and math.isnan(plain):
        raise LedgerError(f"{id}: {name} must not be NaN")
    return plain


def _number(id: str, name: str, value: Any) -> Any:
    """Return a plain int or float that is not NaN."""
    plain = _scalar(id, name, value)
    if isinstance(plain, str | bool):
        raise LedgerError(f"{id}: {name} must be a number, got {value!r}")
    return plain


def _bounds(id: str, name: str, values: Any) -> tuple[Any, Any]:
    """Return two numbers, low <= high."""
    if not isinstance(values, tuple | list | np.ndarray) or len(values) != 2:
        raise LedgerError(f"{id}: {name} must be (low, high), got {values!r}")
    low, high = (_number(id, name, v) for v in values)
    if low > high:
        raise LedgerError(f"{id}: {name} must have low <= high, got {values!r}")
    return low, high


def _sample(id: str, measured: Any) -> list:
    """Return the measured values as plain Python objects of one kind."""
    array = isinstance(measured, np.ndarray) and not isinstance(measured, np.ma.MaskedArray)
    values = list(measured.reshape(-1)) if array else _flat(measured)
    if not values:
        raise LedgerError(f"{id}: measured must not be empty")
    plain = [_scalar(id, "measured", v) for v in values]
    if len({isinstance(v, str) for v in plain}) > 1:
        raise LedgerError(f"{id}: measured must not mix text and numbers, got {measured!r}")
    return plain


def _flat(value: Any) -> list:
    """Entries of a nested sequence; a masked array stays whole, to be refused."""
    if isinstance(value, np.ma.MaskedArray) or not isinstance(
        value, list | tuple | range | np.ndarray
    ):
        return [value]
    return [entry for item in value for entry in _flat(item)]


def _kind(value: Any) -> type:
    """Truth values, text and numbers are never equal to each other."""
    return type(value) if isinstance(value, bool | str) else float


def _summary(sample: list) -> Any:
    """What to store of a sample: the value, or the smallest and the largest."""
    if isinstance(sample[0], str):
        distinct = list(dict.fromkeys(sample))
        return distinct[0] if len(distinct) == 1 else distinct
    return _plain(sample[0]) if len(sample) == 1 else [_plain(min(sample)), _plain(max(sample))]


def _plain(value: Any) -> Any:
    """JSON knows no infinities."""
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _as_list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _round(value: Any, digits: int = 3) -> str:
    """``digits`` significant digits; integers, text and truth values as they are.

    Rounding to 8 digits first keeps a value on an edge, such as 0.8125, from being printed
    differently after a change in the last place.
    """
    return f"{float(f'{value:.8g}'):.{digits}g}" if isinstance(value, float) else str(value)


def _bound(value: Any) -> str:
    """A rule's bound as it was written."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _shown(part: Part) -> str:
    """Name and measured value of a part."""
    return f"{part.name}: {part.values()}" if part.name else part.values()


def _mark(verdict: str) -> str:
    return "+" if verdict == Verdict.REPRODUCED else "-"


def verdict_kind(verdict: str) -> str:
    """The verdict's class in style sheets: yes, no or scale (excused)."""
    return {Verdict.REPRODUCED: "yes", Verdict.NOT_REPRODUCED: "no"}.get(Verdict(verdict), "scale")


def verdict_badge(verdict: str) -> str:
    """The verdict as a coloured label; the words carry the meaning, not the colour."""
    kind = verdict_kind(verdict)
    return f'<span class="reprise-verdict reprise-{kind}">{html.escape(verdict)}</span>'


def _part_row(part: Part) -> str:
    remark = f" ({part.remark})" if part.remark else ""
    cells = (part.name, part.values(), part.rule, part.verdict + remark)
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"


def _near(values: list, rule: str) -> bool:
    """True if a measured number lies within 1% of a number of the rule."""
    bounds = [float(t) for t in re.findall(r"-?\d[\d.e+-]*", rule)]
    numbers = [v for v in values if not isinstance(v, str | bool)]
    return any(abs(v - b) <= 0.01 * abs(b) for v in numbers for b in bounds)
