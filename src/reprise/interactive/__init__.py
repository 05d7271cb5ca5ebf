"""Figures that a reader moves, in static pages: sliders and buttons, no server, nothing fetched.

One mechanism serves them all. A `widget` is a drawing, sliders, perhaps a play button, its data as
JSON, and a script: a file beside this one that holds one JavaScript function,
``(root, data, bars) => values => words``. It is called once with the figure's element, the data
(``data.colors`` are those of the book) and a chart of bars, and its result at every change, with
the sliders' values by name; it redraws, and returns what a screen reader says and the page prints
below. `widget.js` does the rest: reading sliders, playing, following the theme. All of it works by
keyboard.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from reprise.notebook import Picture, as_svg, labelled
from reprise.plotting import COLORS
from reprise.runtime import check_integer

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Slider:
    """A number that the reader moves.

    Attributes
    ----------
    name : str
        As the script knows it.
    label : str
        What the page says beside it.
    low, high, step, start : float
    """

    name: str
    label: str
    low: float
    high: float
    step: float
    start: float

    def __post_init__(self) -> None:
        if not self.low <= self.start <= self.high:
            raise ValueError(
                f"slider {self.name} must start in [{self.low}, {self.high}], got {self.start}"
            )

    def markup(self) -> str:
        """The slider with its label and its value."""
        spoken = html.escape(self.label or self.name)
        return (
            f"<label><span>{html.escape(self.label)}</span>"
            f'<input type="range" name="{html.escape(self.name)}" aria-label="{spoken}" '
            f'min="{self.low:g}" '
            f'max="{self.high:g}" step="{self.step!r}" value="{self.start!r}">'
            f"<output>{self.start:g}</output></label>"
        )


def widget(
    script: str,
    *,
    sliders: Sequence[Slider],
    caption: str,
    alt: str,
    data: Mapping[str, Any] | None = None,
    size: tuple[int, int] = (720, 250),
    stage: str | None = None,
    plays: str | None = None,
    interval_ms: int = 250,
) -> Picture:
    """A figure that the reader's browser redraws from sliders.

    Parameters
    ----------
    script : str
        Name of a file of this folder, without ``.js``; also the figure's class in style sheets.
    sliders : sequence of Slider
        At least one.
    caption, alt : str
        As for `reprise.notebook.picture`.
    data : mapping, optional
        What the script needs, as JSON can hold it.
    size : tuple of two int
        Width and height of the drawing's coordinates; the page scales it.
    stage : str, optional
        HTML of the drawing, instead of an empty SVG element of that size.
    plays : str, optional
        Name of the slider that a play button moves.
    interval_ms : int
        Milliseconds a step of it.

    Returns
    -------
    reprise.notebook.Picture

    Raises
    ------
    ValueError
        If there is no such script, no slider, or ``plays`` names none.
    """
    if not (HERE / f"{script}.js").exists():
        known = sorted(path.stem for path in HERE.glob("*.js"))
        raise ValueError(f"script must be one of {', '.join(known)}, got {script!r}")
    if not sliders:
        raise ValueError("sliders must hold at least one, got none")
    if plays is not None and plays not in [slider.name for slider in sliders]:
        raise ValueError(f"plays must name a slider, got {plays!r}")
    if stage is None:
        stage = (
            f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {size[0]} {size[1]}" '
            f'style="width:100%;max-width:{size[0]}px" font-size="12" fill="currentColor"></svg>'
        )
    button = (
        ""
        if plays is None
        else f'<button type="button" data-plays="{html.escape(plays)}" '
        f'data-interval="{interval_ms}" aria-label="play or pause">&#9654;</button>'
    )
    rows = "".join(slider.markup() for slider in sliders)
    # "<" is escaped so that no data can end the element
    stored = json.dumps({"colors": COLORS, **(data or {})}, separators=(",", ":"))
    stored = stored.replace("<", "\\u003c")
    return Picture(
        f'<figure class="reprise-figure reprise-widget reprise-{script}">'
        f'<div class="stage">{stage}</div><div class="controls">{button}{rows}</div>'
        f'<p class="words" aria-live="polite"></p><figcaption>{html.escape(caption)}</figcaption>'
        f'<script type="application/json">{stored}</script>'
        f"<script>{_program(script)}</script></figure>",
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
    icons from another host and shows bitmaps of one theme. The page holds the last frame, and of
    the others only what differs from it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Laid out once, with the artists of the first frame; closed afterwards.
    update : callable
        ``update(i)`` changes the figure's artists to frame i, 0 <= i < frames.
    frames : int
        At least 2.
    caption, alt : str
        As for `reprise.notebook.picture`.
    labels : sequence of str, optional
        What the page says below, one a frame; "frame i" by default.
    interval_ms : int
        Milliseconds a frame.

    Returns
    -------
    reprise.notebook.Picture

    Raises
    ------
    ValueError
        If there are fewer than 2 frames, or not one label a frame.
    """
    import matplotlib.pyplot as plt

    check_integer("frames", frames, 2)
    labels = [f"frame {i}" for i in range(frames)] if labels is None else list(labels)
    if len(labels) != frames:
        raise ValueError(f"labels must be one a frame, {frames}, got {len(labels)}")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the first layout holds: axes must not jump between frames
    drawings = []
    for i in range(frames):
        update(i)
        drawings.append(labelled(as_svg(figure, caption, prefix=True), alt))
    plt.close(figure)
    moves = _moves(drawings)
    return widget(
        "player",
        sliders=[Slider("frame", "", 0, frames - 1, 1, frames - 1)],
        plays="frame",
        stage=drawings[-1],  # a still page shows where it ends
        data={"labels": labels, **({"drawings": drawings} if moves is None else {"moves": moves})},
        interval_ms=interval_ms,
        caption=caption,
        alt=alt,
    )


@cache
def _program(script: str) -> str:
    """The mechanism around a widget's own function."""
    own = (HERE / f"{script}.js").read_text(encoding="utf-8").strip().removesuffix(";")
    return (HERE / "widget.js").read_text(encoding="utf-8").replace("WIDGET", own)


def _moves(drawings: Sequence[str]) -> list[list] | None:
    """The attributes that differ between frames: [element, attribute, values, value a frame].

    Elements count in document order. None if the frames have other elements or texts.
    """
    trees = [list(ElementTree.fromstring(drawing).iter()) for drawing in drawings]
    if len({tuple((e.tag, e.text) for e in tree) for tree in trees}) > 1:
        return None
    moves = []
    for position, elements in enumerate(zip(*trees, strict=True)):
        for name in dict.fromkeys(name for element in elements for name in element.attrib):
            values = [element.get(name, "") for element in elements]
            distinct = list(dict.fromkeys(values))
            if len(distinct) > 1:
                plain = name.rpartition("}")[2]  # of a namespaced name, as the page knows it
                moves.append([position, plain, distinct, [distinct.index(v) for v in values]])
    return moves
