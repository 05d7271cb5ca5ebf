"""Claims, rules and verdicts.

A chapter tells its `Ledger` what a paper claims, what this run measured and which rule decides. The
verdict is computed, never typed. A claim may have several parts (an exponent *and* a level); it
holds only if every part does. A number that is missing or not a number is an error, not a pass.

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
    """A claim of a paper with everything a run measured for it."""

    chapter: str
    id: str
    statement: str
    source: str
    paper: str
    profile: str
    parts: list[Part] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The weakest verdict of the parts."""
        verdicts = {part.verdict for part in self.parts}
        for verdict in (Verdict.NOT_REPRODUCED, Verdict.NOT_AT_THIS_SCALE):
            if verdict in verdicts or not verdicts:
                return verdict
        return Verdict.REPRODUCED

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
            "parts": [asdict(part) for part in self.parts],
        }

    def __repr__(self) -> str:
        lines = [f"{self.id}: {self.verdict}"]
        return "\n".join(
            lines + [f"    {_mark(part.verdict)} {part.text()}" for part in self.parts]
        )

    def _repr_html_(self) -> str:
        rows = "".join(_part_row(part) for part in self.parts)
        return (
            f'<div class="reprise-claim"><p>{verdict_badge(self.verdict)} '
            f"<b>{html.escape(self.id)}</b> "
            f"{html.escape(self.statement)}</p>"
            f'<div class="reprise-scroll"><table><thead><tr><th>quantity</th><th>measured</th>'
            f"<th>rule</th><th>verdict</th></tr></thead><tbody>{rows}</tbody></table></div></div>"
        )


class Ledger:
    """The claims of one chapter and their verdicts in this run.

    Parameters
    ----------
    chapter : str
        ``"part/slug"``.
    profile : str
        The size of this run: "smoke", "book" or "paper".

    Raises
    ------
    ValueError
        For an unknown profile or an empty chapter name.
    """

    def __init__(self, chapter: str, *, profile: str = "book") -> None:
        if not chapter:
            raise ValueError(f"chapter must be 'part/slug', got {chapter!r}")
        self.chapter = chapter
        self.profile = check_profile(profile)
        self.claims: dict[str, Claim] = {}

    def check(
        self,
        id: str,
        statement: str | None = None,
        *,
        source: str | None = None,
        paper: str = "",
        part: str = "",
        measured: Any,
        at_most: Any = None,
        at_least: Any = None,
        within: Any = None,
        equals: Any = None,
        interval: tuple[float, float] | None = None,
        expected_from: str | None = None,
        varies: bool = False,
    ) -> Verdict:
        """Judge one part of a claim and record it.

        Parameters
        ----------
        id : str
            The claim's id in the brief, for example ``"C1"``.
        statement, source, paper : str
            What the paper says, where, and its own number. Statement and source are required with
            the first part of a claim and refused with later ones.
        part : str
            What is measured here. A part that is checked again (a cell run twice) is replaced.
        measured : float, int, str, bool or array_like
            The value; of a sample every entry must satisfy the rule.
        at_most, at_least : float
        within : tuple of two floats
            Bounds, both included.
        equals : object
            Exactly one rule must be given. A rule may also be a mapping from profile to rule; a
            profile that is not listed takes the rule of "book".
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
            If there is no rule or more than one, a bound or a measured value is NaN, or the sample
            is empty.
        """
        claim = self._claim(id, statement, source, paper)
        position = next((i for i, p in enumerate(claim.parts) if p.name == part), len(claim.parts))
        # until judged, and for good if the judging fails: no pass from before, no pass by absence
        unjudged = Part(part, "no value", 1, "unknown", str(Verdict.NOT_REPRODUCED))
        claim.parts[position : position + 1] = [replace(unjudged, remark="could not be judged")]
        rules = {"at_most": at_most, "at_least": at_least, "within": within, "equals": equals}
        rule = _rule(id, {k: _at_profile(id, v, self.profile) for k, v in rules.items()})
        sample = _sample(id, measured)
        holds, remark = rule.holds(id, sample), ""
        bounds = None if interval is None else _bounds(id, "interval", interval)
        if bounds and rule.kind == "within" and not bounds[1] - bounds[0] <= rule.high - rule.low:
            holds, remark = False, "undecided: the interval is wider than the rule"
        elif bounds and holds and not (rule.low <= bounds[0] and bounds[1] <= rule.high):
            remark = "close: the interval reaches past the rule"
        smaller = False
        if expected_from is not None:
            if expected_from not in PROFILES:
                raise LedgerError(f"{id}: expected_from must be a profile, got {expected_from!r}")
            smaller = PROFILES.index(self.profile) < PROFILES.index(expected_from)
        failed = Verdict.NOT_AT_THIS_SCALE if smaller else Verdict.NOT_REPRODUCED
        verdict = Verdict.REPRODUCED if holds else failed
        stored = None if bounds is None else [_plain(v) for v in bounds]
        claim.parts[position] = Part(
            part, _summary(sample), len(sample), rule.text, str(verdict), stored, remark, varies
        )
        return verdict

    def __getitem__(self, id: str) -> Claim:
        return self.claims[id]

    def records(self) -> list[dict[str, Any]]:
        """All claims as plain data, C2 before C10."""
        return [claim.record() for claim in self._in_order()]

    def _in_order(self) -> list[Claim]:
        def natural(claim: Claim) -> list:
            return [int(t) if t.isdecimal() else t for t in re.split(r"(\d+)", claim.id)]

        return sorted(self.claims.values(), key=natural)

    def _claim(self, id: str, statement: str | None, source: str | None, paper: str) -> Claim:
        """Open a claim at its first part, find it at later ones."""
        if id not in self.claims:
            if not statement or not source:
                raise LedgerError(
                    f"{id}: statement and source must be given with the first part of a claim, "
                    f"got {statement!r} and {source!r}"
                )
            self.claims[id] = Claim(self.chapter, id, statement, source, str(paper), self.profile)
        claim = self.claims[id]
        given = {"statement": statement, "source": source, "paper": str(paper) or None}
        for name, value in given.items():
            if value not in (None, getattr(claim, name)):
                raise LedgerError(f"{id}: {name} must be given once, got another: {value!r}")
        return claim

    def __repr__(self) -> str:
        head = f"{self.chapter}, profile {self.profile}: {tally(self.records())}"
        return "\n".join([head, *(repr(claim) for claim in self._in_order())])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict, dict]:
        bundle = {"text/plain": repr(self), "text/html": ledger_html(self.records())}
        return bundle, {METADATA_KEY: self.records()}


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
        measured = "".join(f"<li>{html.escape(Part(**p).text())}</li>" for p in parts)
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


def _at_profile(id: str, rule: Any, profile: str) -> Any:
    """Pick a profile's rule where rules differ by profile."""
    if not isinstance(rule, Mapping):
        return rule
    unknown = set(rule) - set(PROFILES)
    if unknown or "book" not in rule or any(value is None for value in rule.values()):
        raise LedgerError(
            f"{id}: a rule by profile must name 'book' and only profiles, got {dict(rule)}"
        )
    return rule.get(profile, rule["book"])


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


def verdict_badge(verdict: str) -> str:
    """The verdict as a coloured label; the words carry the meaning, not the colour."""
    kind = {Verdict.REPRODUCED: "yes", Verdict.NOT_REPRODUCED: "no"}.get(Verdict(verdict), "scale")
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
