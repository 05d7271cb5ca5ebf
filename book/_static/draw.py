"""Draw the book's logo, favicon and social card: two parabolas glued at their minimum.

Run ``python book/_static/draw.py`` after a change; the results are committed beside it.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

HERE = Path(__file__).parent
BLUE, ORANGE, NIGHT = "#3f87c7", "#d9772b", "#14202b"


def glyph(ax: plt.Axes, width: float) -> None:
    """The hard function of the first chapter, and the repeat sign's two dots at its minimum."""
    left, right = np.linspace(-1.0, 0.0, 60), np.linspace(0.0, 0.5, 60)
    ax.plot(left, left**2, color=BLUE, lw=width, solid_capstyle="round")
    ax.plot(right, 4 * right**2, color=ORANGE, lw=width, solid_capstyle="round")
    ax.plot([-0.16, 0.10], [0.42, 0.42], "o", color=ORANGE, ms=width * 1.15)
    ax.plot([-0.16, 0.10], [0.68, 0.68], "o", color=ORANGE, ms=width * 1.15)
    ax.set(xlim=(-1.12, 0.62), ylim=(-0.12, 1.12))
    ax.axis("off")


def main() -> None:
    """Write logo.svg, favicon.png and card.png."""
    figure = plt.figure(figsize=(2, 2))
    glyph(figure.add_axes((0, 0, 1, 1)), 11)
    figure.savefig(HERE / "logo.svg", transparent=True, metadata={"Date": None})
    figure.savefig(HERE / "favicon.png", transparent=True, dpi=32)
    plt.close(figure)

    card = plt.figure(figsize=(12, 6.3), facecolor=NIGHT)
    glyph(card.add_axes((0.06, 0.18, 0.30, 0.64)), 16)
    card.text(0.42, 0.56, "Reprise", color="white", size=76, weight="bold")
    card.text(0.42, 0.44, "seventeen papers you can rerun", color="#c9d4de", size=29)
    card.savefig(HERE / "card.png", facecolor=NIGHT, dpi=100)
    plt.close(card)


if __name__ == "__main__":
    matplotlib.rcParams["svg.hashsalt"] = "reprise"
    main()
