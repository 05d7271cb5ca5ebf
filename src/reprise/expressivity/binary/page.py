"""What the chapter's page needs beside the algorithms: a drawing, an explorer.

Nothing else of the package imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reprise.expressivity.binary.quantization import binary_digits
from reprise.interactive import Slider, widget
from reprise.notebook import Picture
from reprise.plotting import COLORS, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_weight(ax: Axes, q: int, bits: int, x: int = 1) -> None:
    """Draw the network of one weight ``q / 2^bits``: pairs that double, accumulators that choose.

    Grey lines are random weights that are deleted, coloured ones are kept; numbers are the values
    of the neurons for the input x.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    q : int
        At most 2^bits in absolute value.
    bits : int
    x : int
    """
    digits = binary_digits(q, bits + 1)
    rows = {"a": 3.0, "b": 2.2, "P": 0.9, "N": 0.1}
    last = bits + 2  # column behind the last plane
    for column in range(1, last):
        for start in rows.values():
            for end in rows.values():
                ax.plot([column, column + 1], [start, end], color=INK, alpha=0.09, lw=0.8)
    kept = [((0, 2.6), (1, rows[r]), "blue") for r in "ab"]
    for column, digit in enumerate(digits, start=1):
        kept += [((column, rows[s]), (column + 1, rows[e]), "blue") for s in "ab" for e in "ab"]
        kept += [((column, rows[r]), (column + 1, rows[r]), "grey") for r in "PN"]
        if digit:
            row = rows["P" if digit > 0 else "N"]
            kept.append(((column, rows["a"]), (column + 1, row), "orange"))
    kept += [((last, rows[r]), (last + 1, 0.5), "grey") for r in "PN"]
    for (x0, y0), (x1, y1), color in kept:
        width = 2.6 if color == "orange" else 1.4
        ax.plot([x0, x1], [y0, y1], color=COLORS[color], lw=width, solid_capstyle="round")
    sums = np.concatenate([[0], np.cumsum(digits.astype(int) * x << np.arange(bits + 1))])
    positive = np.concatenate(
        [[0], np.cumsum(np.maximum(digits, 0).astype(int) * x << np.arange(bits + 1))]
    )
    values = {(0, 2.6): x, (last + 1, 0.5): int(sums[-1])}
    for column in range(1, last + 1):
        for row in "ab":
            values[column, rows[row]] = x << (column - 1)
        values[column, rows["P"]] = int(positive[column - 1])
        values[column, rows["N"]] = int(positive[column - 1] - sums[column - 1])
    for (column, row), value in values.items():
        ax.plot(column, row, "o", ms=5, color=INK)
        ax.annotate(
            str(value),
            (column, row),
            xytext=(0, 6 if row > 1 else -15),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    for row, name in (("a", "doublers"), ("P", "P"), ("N", "N")):
        ax.annotate(name, (0.85, rows[row]), ha="right", va="center", fontsize=9)
    ax.set(xlim=(-0.4, last + 1.4), ylim=(-0.3, 3.6))
    ax.axis("off")


def weight_explorer(weight: float = 0.6875, bits: int = 4, most: int = 8) -> Picture:
    """Two sliders, a weight and its bits, and the network that they keep.

    Parameters
    ----------
    weight : float
        Where the weight's slider starts, in [-1, 1].
    bits : int
        Where the other one starts.
    most : int
        Its largest value.
    """
    return widget(
        "weight_bits",
        sliders=[
            Slider("weight", "weight", -1, 1, 2.0**-10, weight),
            Slider("bits", "bits", 1, most, 1, bits),
        ],
        caption="Move the weight and the number of bits. Blue pairs double, orange edges are the "
        "bits that are set, everything grey is deleted.",
        alt="A network drawn from left to right: a pair of neurons that doubles in every layer, "
        "and two accumulators that receive an edge for each bit of the weight.",
    )
