"""What a chapter asks of the page: live numbers, figures that follow the theme, small players.

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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reprise import plotting
from reprise.ledger import VARIES, Ledger
from reprise.runtime import check_profile

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

INJECTED = "# Parameters"  # the first line of the cell that papermill adds


def open_chapter(chapter: str, *, profile: str) -> Ledger:
    """Begin a chapter: refuse unknown parameters, set figures' style and logging, open the ledger.

    Parameters
    ----------
    chapter : str
        ``"part/slug"``.
    profile : str
        "smoke", "book" or "paper".

    Returns
    -------
    Ledger

    Raises
    ------
    ValueError
        If papermill injected a parameter that the chapter does not have, or for an unknown profile.
    """
    open_page(profile=profile)
    return Ledger(chapter, profile=profile)


def open_page(*, profile: str) -> None:
    """What `open_chapter` does, for a page without claims of its own.

    Raises
    ------
    ValueError
        As for `open_chapter`.
    """
    check_profile(profile)
    refuse_unknown_parameters(_executed_cells())
    # downloads announce themselves on standard error
    logging.basicConfig(format="%(message)s")
    logging.getLogger("reprise").setLevel(logging.INFO)
    plotting.use_style()


def refuse_unknown_parameters(cells: Sequence[str]) -> None:
    """Raise if papermill's injected cell sets a name that the cell before it does not.

    papermill itself only warns, and a misspelt parameter would then be a silent default.

    Raises
    ------
    ValueError
        Naming the parameter and what is allowed.
    """
    for position, source in enumerate(cells):
        if source.lstrip().split("\n", 1)[0].strip() != INJECTED:
            continue
        known = assigned_names(cells[position - 1]) if position else {}
        for name in sorted(assigned_names(source).keys() - known.keys()):
            raise ValueError(
                f"parameter {name!r} is not one of this chapter: {', '.join(sorted(known))}"
            )


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
        As for `reprise.ledger.Ledger.check`.
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
    drawing = _labelled(svg(figure, salt=caption), alt)
    mark = ' data-hero="true"' if hero else ""
    return Picture(
        f'<figure class="reprise-figure"{mark}>{drawing}'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>",
        caption,
    )


def player(
    figure: MatplotlibFigure,
    update: Callable[[int], None],
    frames: int,
    *,
    caption: str,
    alt: str,
    labels: Sequence[str] | None = None,
    interval_ms: int = 250,
) -> Picture:
    """A figure that moves: a slider and a play button over drawn frames, all in the page.

    The form is that of ``matplotlib.animation.FuncAnimation``, whose own player would fetch its
    icons from another host and shows bitmaps of one theme.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Laid out once, with the artists of the first frame; closed afterwards.
    update : callable
        ``update(i)`` changes the figure's artists to frame i, 0 <= i < frames.
    frames : int
        At least 2.
    caption, alt : str
        As for `picture`.
    labels : sequence of str, optional
        What the page says beside the slider, one a frame; "frame i" by default.
    interval_ms : int
        Milliseconds a frame.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there are fewer than 2 frames, or not one label a frame.
    """
    import matplotlib.pyplot as plt

    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")
    labels = [f"frame {i}" for i in range(frames)] if labels is None else list(labels)
    if len(labels) != frames:
        raise ValueError(f"labels must be one a frame, {frames}, got {len(labels)}")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the first layout holds: axes must not jump between frames
    shown = []
    for i in range(frames):
        update(i)
        hidden = " hidden" if i < frames - 1 else ""  # a still page shows where it ends
        label = html.escape(labels[i], quote=True)
        drawing = _labelled(_as_svg(figure, f"{caption} {i}"), alt)
        shown.append(f'<div class="frame" data-label="{label}"{hidden}>{drawing}</div>')
    plt.close(figure)
    controls = (
        '<div class="controls"><button type="button" aria-label="play or pause">&#9654;</button>'
        f'<input type="range" min="0" max="{frames - 1}" value="{frames - 1}" aria-label="frame">'
        f"<output>{html.escape(labels[-1])}</output></div>"
    )
    return Picture(
        f'<figure class="reprise-figure reprise-player" data-interval="{interval_ms}">'
        f"{''.join(shown)}{controls}<figcaption>{html.escape(caption)}</figcaption>"
        f"<script>{_PLAYER_SCRIPT}</script></figure>",
        caption,
    )


def explorer(
    sliders: Sequence[tuple[str, str, float, float, float, float]],
    model: str,
    *,
    caption: str,
    alt: str,
) -> Picture:
    """A bar chart that the reader's browser recomputes from sliders, all in the page.

    Parameters
    ----------
    sliders : sequence of (name, label, low, high, step, value)
        Labels may hold HTML.
    model : str
        Body of a JavaScript function of ``v`` (the sliders' values by name) that returns
        ``{labels, values, x, y}``: a bar for each label with its positive value, and what the two
        axes show. Bars are drawn on a logarithmic scale; the lowest is marked.
    caption, alt : str
        As for `picture`.

    Returns
    -------
    Picture

    Raises
    ------
    ValueError
        If there is no slider, or a slider's value is outside its range.
    """
    if not sliders:
        raise ValueError("sliders must hold at least one, got none")
    rows = []
    for name, label, low, high, step, value in sliders:
        if not low <= value <= high:
            raise ValueError(f"slider {name} must start in [{low}, {high}], got {value}")
        rows.append(
            f'<label><span>{label}</span><input type="range" name="{html.escape(name)}" '
            f'min="{low:g}" max="{high:g}" step="{step:g}" value="{value:g}">'
            f"<output>{value:g}</output></label>"
        )
    drawing = (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 560 220" '
        'style="width:100%;max-width:640px"></svg>'
    )
    script = _EXPLORER_SCRIPT.replace("MODEL", model)
    return Picture(
        f'<figure class="reprise-figure reprise-explorer">{"".join(rows)}{drawing}'
        f"<p aria-live='polite'></p><figcaption>{html.escape(caption)}</figcaption>"
        f"<script>{script}</script></figure>",
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

    text = _as_svg(figure, salt)
    plt.close(figure)
    return text


def _as_svg(figure: MatplotlibFigure, salt: str) -> str:
    """The drawing of `svg`, of a figure that stays open."""
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
    text = re.sub(r' d="([^"]*)"', _rounded_path, text)
    text = re.sub(r"\s*\n\s*", " ", text).replace(plotting.INK, "currentColor")
    # a style element would apply to the whole page, so its content moves to the root's attributes
    style = re.search(r"<style[^>]*>\s*\*\s*\{(.*?)\}\s*</style>", text)
    text = text.replace(style[0], "")
    # a reference finds the first element with its id, which may be clipped or hidden elsewhere
    prefix = "r" + hashlib.sha256(f"{salt} {text}".encode()).hexdigest()[:8]
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{prefix}", text)
    width = round(figure.get_size_inches()[0] * 96)
    root = re.sub(r' (width|height)="[^"]*"', "", text[: text.index(">")])
    return f'{root} style="width:100%;max-width:{width}px;{style[1]}"{text[text.index(">") :]}'


_PLAYER_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement;
  const frames = [...root.querySelectorAll('.frame')];
  const slider = root.querySelector('input'), button = root.querySelector('button');
  const output = root.querySelector('output');
  let timer = null;
  const show = i => {
    frames.forEach((frame, k) => { frame.hidden = k !== i; });
    slider.value = i;
    output.textContent = frames[i].dataset.label;
  };
  const pause = () => { clearInterval(timer); timer = null; button.textContent = '\\u25b6'; };
  const play = () => {
    if (+slider.value === frames.length - 1) show(0);
    button.textContent = '\\u23f8';
    timer = setInterval(() => {
      if (+slider.value === frames.length - 1) pause(); else show(+slider.value + 1);
    }, +root.dataset.interval);
  };
  slider.addEventListener('input', () => { pause(); show(+slider.value); });
  button.addEventListener('click', () => { if (timer) pause(); else play(); });
})();
"""


_EXPLORER_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement;
  const inputs = [...root.querySelectorAll('input')], drawing = root.querySelector('svg');
  const model = v => { MODEL };
  const short = n => n >= 1e4 || n < 0.1
    ? n.toExponential(1).replace('e+', 'e') : `${+n.toPrecision(3)}`;
  const text = (x, y, size, anchor, words) =>
    `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" ` +
    `fill="currentColor">${words}</text>`;
  const draw = () => {
    const v = {};
    for (const input of inputs) {
      v[input.name] = +input.value;
      input.nextElementSibling.textContent = input.value;
    }
    const { labels, values, x, y } = model(v);
    const logs = values.map(Math.log10);
    const low = Math.min(...logs), high = Math.max(...logs, low + 1);
    const best = logs.indexOf(low), width = 540 / labels.length;
    drawing.innerHTML = labels.map((label, i) => {
      const height = 12 + 128 * (logs[i] - low) / (high - low), left = 10 + i * width;
      const ink = i === best ? 'COLOR' : 'currentColor';
      return `<rect x="${left + 3}" y="${178 - height}" width="${width - 6}" height="${height}" ` +
        `fill="${ink}" fill-opacity="${i === best ? 1 : 0.3}"/>` +
        text(left + width / 2, 172 - height, 11, 'middle', short(values[i])) +
        text(left + width / 2, 194, 12, 'middle', label);
    }).join('') +
      text(280, 214, 12, 'middle', x) + text(10, 14, 12, 'start', y + ' (log scale)');
    root.querySelector('p').textContent = `best: ${labels[best]}`;
  };
  inputs.forEach(input => input.addEventListener('input', draw));
  draw();
})();
""".replace("COLOR", plotting.COLORS["orange"])


class _Verbatim:
    """Text whose representation is itself, without quotes."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return str(self.value)


def _labelled(drawing: str, alt: str) -> str:
    """Give an SVG the text alternative that screen readers speak."""
    return drawing.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _rounded_path(match: re.Match) -> str:
    """Path coordinates to a hundredth of a point: a third of the size, the same picture."""
    numbers = re.sub(r"\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", match[1])
    return f' d="{numbers}"'


def _executed_cells() -> list[str]:
    """Sources of the cells that this kernel has run, oldest first; empty outside a notebook."""
    from IPython import get_ipython

    shell = get_ipython()
    return [] if shell is None else [cell for cell in shell.user_ns.get("In", []) if cell.strip()]
