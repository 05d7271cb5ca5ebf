"""What the site shows of all chapters together, made from their runs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from reprise.book import Chapter, papers
from reprise.ledger import VARIES, Verdict, ledger_html, tally, verdict_badge, verdict_kind

HERO = re.compile(r'(?s)<figure class="reprise-figure" data-hero="true">(<svg.*?</svg>)')


def board_html(
    root: Path,
    notebooks: Mapping[str, nbformat.NotebookNode],
    records: Sequence[Mapping[str, Any]],
) -> str:
    """All papers of the book, a row each: its verdicts as marks, its headline, its claims inside.

    A row is a ``<details>`` element, so that it opens without a script and by keyboard;
    ``_static/board.js`` adds the filters.

    Parameters
    ----------
    root : Path
    notebooks : mapping
        The runs of the written chapters, by id.
    records : sequence of mapping
        Their claims.
    """
    sections = []
    parts = papers(root)
    for part in parts:
        rows = []
        for paper in part["papers"]:
            id = f"{part['part']}/{paper['slug']}"
            own = [record for record in records if record["chapter"] == id]
            rows.append(_row(id, paper, notebooks.get(id), own))
        sections.append(
            f'<section data-part="{html.escape(part["part"])}"><h3>{html.escape(part["title"])}'
            f"</h3>{''.join(rows)}</section>"
        )
    choices = {
        "verdict": [str(v) for v in Verdict if any(r["verdict"] == v for r in records)],
        "part": [part["part"] for part in parts],
        "profile": list(dict.fromkeys(r["profile"] for r in records)),
    }
    selects = "".join(
        f'<label>{name} <select name="{name}"><option value="">all</option>'
        + "".join(f"<option>{html.escape(value)}</option>" for value in values)
        + "</select></label>"
        for name, values in choices.items()
    )
    return (
        f'<div class="reprise-board"><form class="filters" hidden>{selects}'
        f'<output aria-live="polite"></output></form>{"".join(sections)}</div>\n'
    )


def _row(
    id: str,
    paper: Mapping[str, Any],
    notebook: nbformat.NotebookNode | None,
    records: Sequence[Mapping[str, Any]],
) -> str:
    """One paper: closed its title, marks and headline, open its claims."""
    about = (
        f"<p>{html.escape(paper['title'])}. {html.escape(paper['authors'])}, "
        f"{html.escape(str(paper['venue']))}, "
        f'<a href="https://arxiv.org/abs/{paper["arxiv"]}">arXiv {paper["arxiv"]}</a></p>'
    )
    if notebook is None:
        title, headline = html.escape(paper["title"]), "not yet written"
    else:
        title = f'<a href="{id}.html">{html.escape(chapter_title(notebook))}</a>'
        headline = html.escape(headline_of(notebook))
    marks = "".join(
        f'<span class="reprise-mark reprise-{verdict_kind(r["verdict"])}" '
        f'title="{html.escape(r["id"])}: {html.escape(r["verdict"])}">{html.escape(r["id"][1:])}'
        "</span>"
        for r in records
    )
    claims = "".join(
        f'<tr data-verdict="{html.escape(r["verdict"])}" '
        f'data-profile="{html.escape(r["profile"])}">'
        f'<th scope="row"><a href="{id}.html#the-ledger">{html.escape(r["id"])}</a></th>'
        f"<td>{verdict_badge(r['verdict'])}</td><td>{html.escape(r['statement'])}</td>"
        f"<td>{html.escape('; '.join(filter(None, (r['measured'], r.get('data')))))}</td></tr>"
        for r in records
    )
    table = (
        '<div class="reprise-scroll"><table><thead><tr><th>claim</th><th>verdict</th>'
        f"<th>statement</th><th>measured</th></tr></thead><tbody>{claims}</tbody></table></div>"
        if records
        else ""
    )
    return (
        f'<details><summary><b>{title}</b> <span class="marks">{marks}</span>'
        f'<span class="headline">{headline}</span></summary>{about}{table}</details>'
    )


def headline_of(notebook: nbformat.NotebookNode) -> str:
    """The one-line result that a chapter stores as ``live("headline", ...)``; empty without one."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            stored = output.get("metadata", {}).get("scrapbook", {})
            if stored.get("name") == "headline":
                text = "".join(v for k, v in output["data"].items() if k.endswith("text/plain"))
                return text.removeprefix(VARIES)
    return ""


def tally_sentence(records: list[Mapping[str, Any]], profile: str) -> str:
    """One line: how many claims, how many of each verdict, at which profile."""
    papers = len({r["chapter"] for r in records})
    claims = "1 claim" if len(records) == 1 else f"{len(records)} claims"
    noun = "paper" if papers == 1 else "papers"
    return (
        f"**{claims} of {papers} {noun}, recomputed at the `{profile}` profile: "
        f"{tally(records)}.**\n"
    )


def hero_svg(notebook: nbformat.NotebookNode) -> str | None:
    """The drawing of the figure that stands for a chapter, or None."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            match = HERO.search(output.get("data", {}).get("text/html", ""))
            if match:
                return match[1]
    return None


def gallery(listed: Iterable[Chapter], notebooks: Mapping[str, nbformat.NotebookNode]) -> str:
    """A linked figure for each chapter, drawn by its own run."""
    cards = []
    for c in listed:
        drawing = hero_svg(notebooks[c.id])
        if drawing:
            title = html.escape(chapter_title(notebooks[c.id]))
            cards.append(
                f'<a class="reprise-card" href="{c.id}.html">{drawing}<span>{title}</span></a>'
            )
    return f'<div class="reprise-gallery">{"".join(cards)}</div>\n'


def chapter_title(notebook: nbformat.NotebookNode) -> str:
    """The text of a notebook's first heading."""
    for cell in notebook.cells:
        prose = re.sub(r"(?s)```.*?```", "", cell.source) if cell.cell_type == "markdown" else ""
        if match := re.search(r"(?m)^# (.+)$", prose):
            return match[1]
    return ""


def standalone_svg(drawing: str) -> str:
    """A page's drawing as a file of its own, whose ink follows the viewer's theme."""
    style = "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#d8dee4}}</style>"
    return re.sub(r"(<svg[^>]*>)", rf"\1{style}", drawing, count=1)


def stored_results(root: Path) -> str:
    """The ledgers of runs at the papers' own scale, with hardware and date."""
    pieces = []
    for path in sorted((root / "results").rglob("*.json")):
        stored = json.loads(path.read_text(encoding="utf-8"))
        head = html.escape(f"{stored['chapter']}: {stored['hardware']}, {stored['date']}, ")
        head += html.escape(f"{stored['seconds'] / 60:.0f} minutes; {tally(stored['claims'])}")
        pieces.append(f"<p>{head}</p>{ledger_html(stored['claims'])}")
    return "".join(pieces) or "<p>No run at the <code>paper</code> profile is stored yet.</p>\n"


def speed_table(root: Path) -> str:
    """The benchmark table that ``make bench`` stored, as Markdown."""
    path = root / "results" / "speed.md"
    return (
        path.read_text(encoding="utf-8")
        if path.exists()
        else "*`make bench` has not stored a table yet.*\n"
    )
