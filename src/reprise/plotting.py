"""One style for all figures, and the drawings that recur.

Text and axes are drawn in `INK`, which `notebook.svg` replaces by the page's own colour; the
colours of `COLORS` are readable on a white and on a near-black page, and curves that must be told
apart without colour get a marker from `MARKERS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#0b0c0d"  # a stand-in, not a colour: see the module's docstring
COLORS = {
    "blue": "#3f87c7",
    "orange": "#d9772b",
    "green": "#2f9e6e",
    "purple": "#a66bbf",
    "gold": "#ad8c26",
    "red": "#cf5063",
    "grey": "#8a8d91",
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def use_style() -> None:
    """Set matplotlib's defaults for the book's figures, in this process."""
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.switch_backend("agg")
    plt.rcParams.update(
        {
            "figure.figsize": (7.2, 4.0),
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": INK,
            "grid.alpha": 0.13,
            "grid.linewidth": 0.6,
            "text.color": INK,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "hatch.color": INK,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "legend.frameon": False,
            "legend.fontsize": 10,
            "axes.prop_cycle": cycler(color=list(COLORS.values())),
        }
    )


def mean_with_band(
    ax: Axes,
    x: ArrayLike,
    runs: ArrayLike,
    *,
    label: str,
    color: str,
    marker: str = "",
    scale: ArrayLike = 1.0,
) -> None:
    """Draw the mean over runs and its 95% band (1.96 standard errors either way).

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : array_like, shape (points,)
    runs : array_like, shape (points, runs)
        At least 2 runs a point.
    label : str
    color : str
        A key of `COLORS`.
    marker : str
    scale : array_like, scalar or shape (points,)
        Factor on means and band, for example one over the first mean.

    Raises
    ------
    ValueError
        If ``runs`` has another shape or the colour is unknown.
    """
    runs = np.asarray(runs, dtype=np.float64)
    if runs.ndim != 2 or len(runs) != len(np.asarray(x)) or runs.shape[1] < 2:
        raise ValueError(f"runs must have shape (points, at least 2), got {runs.shape}")
    ink = _color(color)
    mean = runs.mean(axis=1) * scale
    half = 1.96 * runs.std(axis=1, ddof=1) / math.sqrt(runs.shape[1]) * scale
    ax.plot(x, mean, color=ink, marker=marker, label=label)
    ax.fill_between(x, mean - half, mean + half, color=ink, alpha=0.25, linewidth=0)


def guide_line(
    ax: Axes,
    x: ArrayLike,
    exponent: float,
    through: tuple[float, float],
    label: str,
    *,
    dashes: Sequence[float] = (4, 3),
) -> None:
    """Draw a dashed line of slope ``exponent`` in logarithms through a point, and label its end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With logarithmic axes.
    x : array_like
        Its ends are the line's.
    exponent : float
    through : tuple of two floats
        The point (x0, y0).
    label : str
    dashes : sequence of float
    """
    ends = np.array([np.min(x), np.max(x)], dtype=np.float64)
    y = through[1] * (ends / through[0]) ** exponent
    ax.plot(ends, y, color=INK, alpha=0.55, linewidth=1.0, dashes=dashes)
    ax.annotate(
        label,
        (ends[1], y[1]),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        annotation_clip=False,
    )


def decimal_log_ticks(ax: Axes, values: Sequence[float], axis: str = "x") -> None:
    """Label a logarithmic axis at ``values``, as plain numbers.

    Raises
    ------
    ValueError
        If ``axis`` is neither "x" nor "y".
    """
    if axis not in ("x", "y"):
        raise ValueError(f"axis must be 'x' or 'y', got {axis!r}")
    target = ax.xaxis if axis == "x" else ax.yaxis
    target.set_ticks(list(values), [f"{value:g}" for value in values])
    target.set_ticks([], minor=True)


def _color(name: str) -> str:
    if name not in COLORS:
        raise ValueError(f"color must be one of {', '.join(COLORS)}, got {name!r}")
    return COLORS[name]
