"""What the chapter's page needs beside the algorithms: checked parameters, a drawing, an explorer.

Nothing else of the package imports this module.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reprise.expressivity.binary.network import binary_digits, checked_bits, checked_fraction
from reprise.notebook import Picture
from reprise.plotting import COLORS, INK
from reprise.runtime import check_integer, is_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DATA_SETS = ("digits", "mnist")


def check_parameters(
    *,
    sizes: Sequence[int],
    bits: Sequence[int],
    eps_list: Sequence[float],
    compare_eps: Sequence[float],
    targets: int,
    inputs: int,
    embed_draws: int,
    need_d: Sequence[int],
    need_draws: int,
    classifier_data: str,
    classifier_hidden: int,
    classifier_bits: int,
    popup_data: str,
    popup_images: int,
    popup_hidden: int,
    popup_epochs: int,
    popup_seeds: int,
    sweep_sparsities: Sequence[float],
    sweep_rates: Sequence[float],
    sweep_seeds: int,
) -> None:
    """Refuse impossible parameters of the chapter before anything runs.

    Raises
    ------
    ValueError
        Naming the parameter, its value and what is allowed.
    """
    for name, value, least in (
        ("targets", targets, 2),
        ("inputs", inputs, 200),
        ("embed_draws", embed_draws, 100),
        ("need_draws", need_draws, 20),
        ("classifier_hidden", classifier_hidden, 1),
        ("popup_images", popup_images, 64),
        ("popup_hidden", popup_hidden, 1),
        ("popup_epochs", popup_epochs, 1),
        ("popup_seeds", popup_seeds, 2),
        ("sweep_seeds", sweep_seeds, 1),
    ):
        check_integer(name, value, least)
    for name, values, least in (("sizes", sizes, 2), ("need_d", need_d, 2)):
        if len(values) < least or not all(is_integer(v) and v >= 1 for v in values):
            raise ValueError(
                f"{name} must hold at least {least} positive integers, got {list(values)!r}"
            )
    if any(a >= b for a, b in pairwise(need_d)):
        raise ValueError(f"need_d must increase, got {list(need_d)!r}")
    checked_bits(classifier_bits)
    if len(bits) < 3 or any(a >= b for a, b in pairwise(map(checked_bits, bits))):
        raise ValueError(f"bits must hold at least 3 increasing integers, got {list(bits)!r}")
    for name, values, least in (("eps_list", eps_list, 1), ("compare_eps", compare_eps, 2)):
        falling = all(a > b for a, b in pairwise(checked_fraction(name, v) for v in values))
        if len(values) < least or not falling:
            raise ValueError(
                f"{name} must hold at least {least} falling numbers, got {list(values)!r}"
            )
    for name, value in (("classifier_data", classifier_data), ("popup_data", popup_data)):
        if value not in DATA_SETS:
            raise ValueError(f"{name} must be one of {', '.join(DATA_SETS)}, got {value!r}")
    for name, values in (("sweep_sparsities", sweep_sparsities), ("sweep_rates", sweep_rates)):
        if not len(values):
            raise ValueError(f"{name} must hold at least one number, got none")
    for value in sweep_sparsities:
        if not 0 <= value < 1:
            raise ValueError(f"sweep_sparsities must lie in [0, 1), got {value!r}")
    for value in sweep_rates:
        checked_fraction("sweep_rates", value)


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


def weight_explorer(w: float = 0.6875, bits: int = 4, most: int = 8) -> Picture:
    """Two sliders, a weight and its bits, and the network that they keep: JavaScript in the page.

    Parameters
    ----------
    w : float
        Where the weight's slider starts, in [-1, 1].
    bits : int
        Where the other one starts.
    most : int
        Its largest value.

    Returns
    -------
    Picture
    """
    caption = (
        "Move the weight and the number of bits. Blue pairs double, orange edges are the bits that "
        "are set, everything grey is deleted."
    )
    alt = (
        "A network drawn from left to right: a pair of neurons that doubles in every layer, and "
        "two accumulators that receive an edge for each bit of the weight."
    )
    colors = " ".join(f'data-{name}="{COLORS[name]}"' for name in ("blue", "orange", "grey"))
    return Picture(
        f'<figure class="reprise-figure" {colors} style="margin:1em 0">'
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 720 250" '
        'style="width:100%;max-width:720px" font-size="12" fill="currentColor"></svg>'
        '<div style="display:flex;flex-wrap:wrap;gap:.3em 1.5em;justify-content:center">'
        f'<label>weight <input type="range" min="-1" max="1" step="0.0009765625" value="{w}" '
        'aria-label="weight"></label>'
        f'<label>bits <input type="range" min="1" max="{most}" step="1" value="{bits}" '
        'aria-label="bits"></label></div><output aria-live="polite"></output>'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f"<script>{_EXPLORER_SCRIPT}</script></figure>",
        caption,
    )


_EXPLORER_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, {blue, orange, grey} = root.dataset;
  const svg = root.querySelector('svg'), output = root.querySelector('output');
  const [weight, bits] = root.querySelectorAll('input');
  const rows = {a: 40, b: 85, P: 160, N: 210}, names = Object.keys(rows);
  const even = v => {
    const down = Math.floor(v), rest = v - down;
    return rest > .5 || (rest === .5 && down % 2 !== 0) ? down + 1 : down;
  };
  const draw = () => {
    const w = +weight.value, k = +bits.value, q = even(w * 2 ** k), parts = [];
    const at = column => 50 + column * 620 / (k + 3), to = q > 0 ? 'P' : 'N';
    const line = (c, y0, y1, color, width, opacity) => parts.push(
      `<line x1="${at(c)}" y1="${y0}" x2="${at(c + 1)}" y2="${y1}" stroke="${color}"` +
      ` stroke-width="${width}" stroke-opacity="${opacity}"/>`);
    const dot = (c, y, value) => parts.push(
      `<circle cx="${at(c)}" cy="${y}" r="4"/>` +
      `<text x="${at(c)}" y="${y < 100 ? y - 8 : y + 17}" text-anchor="middle">${value}</text>`);
    for (let c = 1; c < k + 2; c++)
      for (const s of names) for (const e of names)
        line(c, rows[s], rows[e], 'currentColor', .8, .1);
    let sum = 0;
    dot(0, 62, 1);
    for (const r of 'ab') line(0, 62, rows[r], blue, 2, 1);
    for (let c = 1; c <= k + 2; c++) {
      if (c < k + 2) {
        for (const s of 'ab') for (const e of 'ab') line(c, rows[s], rows[e], blue, 2, 1);
        for (const r of 'PN') line(c, rows[r], rows[r], grey, 2, 1);
        if ((Math.abs(q) >> (c - 1)) & 1) line(c, rows.a, rows[to], orange, 4, 1);
      }
      for (const r of 'ab') dot(c, rows[r], 2 ** (c - 1));
      for (const r of 'PN') dot(c, rows[r], r === to ? sum : 0);
      if ((Math.abs(q) >> (c - 1)) & 1) sum += 2 ** (c - 1);
    }
    for (const r of 'PN') line(k + 2, rows[r], 185, grey, 2, 1);
    dot(k + 3, 185, q);
    for (const r of 'PN') parts.push(`<text x="${at(1) - 30}" y="${rows[r] + 4}">${r}</text>`);
    svg.innerHTML = parts.join('');
    output.textContent = `w = ${w.toFixed(4)} is kept as ${q}/${2 ** k} = ` +
      `${(q / 2 ** k).toFixed(4)}, error ${Math.abs(q / 2 ** k - w).toFixed(4)}`;
  };
  weight.addEventListener('input', draw);
  bits.addEventListener('input', draw);
  draw();
})();
"""
