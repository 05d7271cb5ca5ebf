"""What the site shows of all chapters together, made from their runs."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from reprise.book import Chapter
from reprise.ledger import ledger_html, tally, verdict_badge

HERO = re.compile(r'(?s)<figure class="reprise-figure" data-hero="true">(<svg.*?</svg>)')


def scoreboard_html(records: Iterable[Mapping[str, Any]]) -> str:
    """All claims of all chapters, a row a claim, verdicts first."""
    rows = []
    for r in records:
        link = f"{r['chapter']}.html"
        rows.append(
            f"<tr><td>{verdict_badge(r['verdict'])}</td>"
            f'<th scope="row"><a href="{link}#the-ledger">{html.escape(r["chapter"])} '
            f"{html.escape(r['id'])}</a></th>"
            f"<td>{html.escape(r['statement'])}</td><td>{html.escape(r['measured'])}</td>"
            f"<td>{html.escape(r['profile'])}</td></tr>"
        )
    return (
        '<div class="reprise-scroll"><table class="reprise-scoreboard"><thead><tr><th>verdict</th>'
        "<th>claim</th><th>statement</th><th>measured</th><th>profile</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def tally_sentence(records: list[Mapping[str, Any]], profile: str) -> str:
    """One line: how many claims, how many of each verdict, at which profile."""
    papers = len({r["chapter"] for r in records})
    claims = "1 claim" if len(records) == 1 else f"{len(records)} claims"
    noun = "paper" if papers == 1 else "papers"
    return (
        f"**{claims} of {papers} {noun}, recomputed at the `{profile}` profile: "
        f"{tally(records)}.**\n"
    )


def papers_table(
    root: Path, listed: Iterable[Chapter], records: Iterable[Mapping[str, Any]]
) -> str:
    """The seventeen papers by part; those without a chapter are marked."""
    written = {c.id for c in listed}
    by_chapter: dict[str, list[Mapping[str, Any]]] = {}
    for r in records:
        by_chapter.setdefault(r["chapter"], []).append(r)
    lines = []
    for part in yaml.safe_load((root / "book" / "papers.yml").read_text()):
        lines += [f"### {part['title']}", "", "| paper | | claims |", "|---|---|---|"]
        for paper in part["papers"]:
            id = f"{part['part']}/{paper['slug']}"
            title = f"[{paper['title']}](/{id})" if id in written else paper["title"]
            claims = tally(by_chapter[id]) if id in by_chapter else "*not yet written*"
            arxiv = f"[arXiv {paper['arxiv']}](https://arxiv.org/abs/{paper['arxiv']})"
            lines.append(
                f"| {title}<br>{paper['authors']} | {paper['venue']}, {arxiv} | {claims} |"
            )
        lines.append("")
    return "\n".join(lines)


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
        stored = json.loads(path.read_text())
        head = html.escape(f"{stored['chapter']}: {stored['hardware']}, {stored['date']}, ")
        head += html.escape(f"{stored['seconds'] / 60:.0f} minutes; {tally(stored['claims'])}")
        pieces.append(f"<p>{head}</p>{ledger_html(stored['claims'])}")
    return "".join(pieces) or "<p>No run at the <code>paper</code> profile is stored yet.</p>\n"


def speed_table(root: Path) -> str:
    """The benchmark table that ``make bench`` stored, as Markdown."""
    path = root / "results" / "speed.md"
    return path.read_text() if path.exists() else "*`make bench` has not stored a table yet.*\n"
