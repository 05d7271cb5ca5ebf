"""What a chapter asks of the frame: open it, live numbers, tables, figures that follow the theme.

Figures are inline SVG whose text and axes take the page's own ink (``currentColor``), so one
drawing serves the light and the dark theme and stays sharp on a phone. Each has a caption and a
text alternative. Nothing here loads a file or asks another host for one.
"""

from __future__ import annotations

import ast
import hashlib
import html
import io
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reprise import plotting
from reprise.ledger import VARIES, Ledger
from reprise.parameters import knobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

INJECTED = "# Parameters"  # the first line of the cell that papermill adds


def open_chapter(chapter: str, names: dict[str, Any]) -> Ledger:
    """Begin a chapter: check its parameters, set figures' style and logging, open the ledger.

    Parameters
    ----------
    chapter : str
        ``"part/slug"``.
    names : dict
        The notebook's ``globals()``. Its parameters are replaced by their checked values: a text
        that spells a number becomes the number.

    Returns
    -------
    Ledger

    Raises
    ------
    reprise.parameters.ParameterError
        If papermill injected a parameter that the chapter does not have, or a value is not allowed.
    """
    values = open_page(chapter, names)
    return Ledger(chapter, profile=values["profile"], parameters=values)


def open_page(chapter: str, names: dict[str, Any]) -> dict[str, Any]:
    """What `open_chapter` does, for a page without claims of its own.

    Returns
    -------
    dict
        The checked values of all parameters.

    Raises
    ------
    reprise.parameters.ParameterError
        As for `open_chapter`.
    """
    declared = knobs(chapter)
    for cell in _executed_cells():
        if cell.lstrip().split("\n", 1)[0].strip() == INJECTED:
            # papermill itself only warns, and a misspelt parameter would be a silent default
            declared.refuse_unknown(assigned_names(cell))
    values = declared.check({name: names[name] for name in declared.knobs if name in names})
    names.update(values)
    # downloads announce themselves on standard error
    logging.basicConfig(format="%(message)s")
    logging.getLogger("reprise").setLevel(logging.INFO)
    plotting.use_style()
    return values


def knob_table(ledger: Ledger) -> Table:
    """The knobs of a chapter: their values in this run, meaning and range."""
    rows = [
        (knob.name, _shortened(ledger.parameters[knob.name]), knob.comment())
        for knob in knobs(ledger.chapter).knobs.values()
    ]
    return table(["knob", "in this run", "meaning and range"], rows)


def live(name: str, value: Any, digits: int = 3, *, varies: bool = False) -> None:
    """Store a number or text under ``name`` for the page's prose (``{glue:text}`name` ``).

    Parameters
    ----------
    name : str
        Unique in the chapter.
    value : float, int or str
        Floats are rounded to ``digits`` significant digits.
    digits : int
    varies : bool
        As for `reprise.ledger.Claim.check`.
    """
    from myst_nb import glue

    if isinstance(value, float | np.floating):
        value = f"{float(f'{value:.8g}'):.{digits}g}"
    glue(name, _Verbatim(f"{VARIES}{value}" if varies else value), display=False)


def assigned_names(source: str) -> dict[str, str]:
    """Names that a cell assigns at its top level, with the source text of their values."""
    names: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            for part in ast.walk(target):  # a tuple of names is a target too
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    names[part.id] = ast.unparse(node.value)
    return names


@dataclass(frozen=True)
class Picture:
    """HTML of a figure, with its caption as the text that tests compare."""

    markup: str
    caption: str

    def __repr__(self) -> str:
        return f"Figure: {self.caption}"

    def _repr_html_(self) -> str:
        return self.markup


def picture(figure: MatplotlibFigure, *, caption: str, alt: str, hero: bool = False) -> Picture:
    """Turn a matplotlib figure into a picture for the page, and close it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn in the style of `plotting.use_style`.
    caption : str
        Says what to see.
    alt : str
        Describes the figure to who cannot see it.
    hero : bool
        True for the one figure that stands for the chapter on the landing page.

    Returns
    -------
    Picture
    """
    drawing = labelled(svg(figure, salt=caption), alt)
    mark = ' data-hero="true"' if hero else ""
    return Picture(
        f'<figure class="reprise-figure"{mark}>{drawing}'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>",
        caption,
    )


@dataclass(frozen=True)
class Table:
    """A table of texts, as HTML for the page and as aligned text for the tests.

    Attributes
    ----------
    head : tuple of str
    rows : tuple of tuple of str
        Text between dollar signs is mathematics.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __repr__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )

    def _repr_html_(self) -> str:
        def line(cells: tuple[str, ...], tag: str) -> str:
            inner = "".join(f"<{tag}>{_with_math(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        body = "".join(line(row, "td") for row in self.rows)
        return (
            f'<div class="reprise-scroll"><table><thead>{line(self.head, "th")}</thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table for the page; every row has as many cells as the head.

    Raises
    ------
    ValueError
        If a row has another number of cells.
    """
    made = Table(tuple(head), tuple(tuple(row) for row in rows))
    for row in made.rows:
        if len(row) != len(made.head):
            raise ValueError(f"rows must hold {len(made.head)} cells, got {len(row)}: {row}")
    return made


def _with_math(text: str) -> str:
    """Escape a cell's text, and mark what stands between dollar signs for MathJax."""
    pieces = html.escape(text).split("$")
    return "".join(
        f'<span class="math notranslate nohighlight">\\({piece}\\)</span>' if i % 2 else piece
        for i, piece in enumerate(pieces)
    )


def svg(figure: MatplotlibFigure, *, salt: str = "") -> str:
    """Draw a figure as SVG that takes its ink from the page, and close it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    salt : str
        Distinguishes the element ids of two equal drawings on one page.

    Returns
    -------
    str
        An ``<svg>`` element as wide as its container, at most its own width.
    """
    import matplotlib.pyplot as plt

    text = as_svg(figure, salt)
    plt.close(figure)
    return text


def as_svg(figure: MatplotlibFigure, salt: str, *, prefix: bool = False) -> str:
    """The drawing of `svg`, of a figure that stays open.

    With ``prefix`` the ids depend on the salt alone: frames of one figure then share them.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    # a fixed salt gives the same element ids in every run; no date, for the same reason
    # savefig restores the layout engine from these defaults: frames must keep the first one's
    fixed = {"figure.constrained_layout.use": False}
    with rc_context({"svg.hashsalt": "reprise", "svg.fonttype": "path", **fixed}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same ids in two figures of a page would clash
    text = re.sub(r' (d|x|y)="([^"]*)"', _rounded, text)
    text = re.sub(r"\s*\n\s*", " ", text).replace(plotting.INK, "currentColor")
    text = text.replace("xlink:href", "href")  # SVG 2; a scatter has thousands
    # a style element would apply to the whole page, so its content moves to the root's attributes
    style = re.search(r"<style[^>]*>\s*\*\s*\{(.*?)\}\s*</style>", text)
    text = text.replace(style[0], "")
    # a reference finds the first element with its id, which may be clipped or hidden elsewhere
    content = salt if prefix else f"{salt} {text}"
    own = "r" + hashlib.sha256(content.encode()).hexdigest()[:8]
    numbers: dict[str, int] = {}

    def short(match: re.Match) -> str:
        return f"{match[1]}{own}{numbers.setdefault(match[2], len(numbers)):x}"

    text = re.sub(r'(id="|url\(#|href="#)([^")]+)', short, text)
    text = _MARKS.sub(_styled_once, text)
    width = round(figure.get_size_inches()[0] * 96)
    root = re.sub(r' (width|height)="[^"]*"', "", text[: text.index(">")])
    return f'{root} style="width:100%;max-width:{width}px;{style[1]}"{text[text.index(">") :]}'


class _Verbatim:
    """Text whose representation is itself, without quotes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return str(self.value)


def labelled(drawing: str, alt: str) -> str:
    """Give an SVG the text alternative that screen readers speak."""
    return drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


_MARKS = re.compile(
    r'<use href="([^"]*)" x="[^"]*" y="[^"]*" style="([^"]*)"/>'
    r'( <use href="\1" x="[^"]*" y="[^"]*" style="\2"/>){2,}'
)


def _styled_once(marks: re.Match) -> str:
    """A run of equal marks, such as a scatter's, with its style said once."""
    style = f' style="{marks[2]}"'
    return f"<g{style}>{marks[0].replace(style, '')}</g>"


def _rounded(match: re.Match) -> str:
    """Coordinates to a hundredth of a point: a third of the size, the same picture."""
    numbers = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", match[2])
    return f' {match[1]}="{numbers}"'


def _executed_cells() -> list[str]:
    """Sources of the cells that this kernel has run, oldest first; empty outside a notebook."""
    from IPython import get_ipython

    shell = get_ipython()
    return [] if shell is None else [cell for cell in shell.user_ns.get("In", []) if cell.strip()]


def _shortened(value: Any) -> str:
    """A knob's value for a table: of a long list the ends."""
    if isinstance(value, list) and len(value) > 6:
        return f"[{value[0]!r}, {value[1]!r}, ..., {value[-1]!r}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)
