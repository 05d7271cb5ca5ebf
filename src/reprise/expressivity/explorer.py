"""A small instrument for the page: choose n and a target, see all subset sums and the nearest one.

Everything is computed in the reader's browser by a few lines of JavaScript; nothing is fetched.
"""

from __future__ import annotations

import html
import json

import numpy as np
from numpy.typing import ArrayLike

from reprise.notebook import Picture
from reprise.plotting import COLORS


def subset_explorer(values: ArrayLike, *, target: float, caption: str, alt: str) -> Picture:
    """Two sliders over a line of subset sums.

    Parameters
    ----------
    values : array_like of float, shape (n,)
        At most 14; the first slider takes the first 1 to n of them.
    target : float
        Where the second slider, from -1/2 to 1/2, begins.
    caption, alt : str
        As for `reprise.notebook.picture`.

    Returns
    -------
    reprise.notebook.Picture

    Raises
    ------
    ValueError
        If there are no values or more than 14.
    """
    numbers = np.round(np.asarray(values, dtype=float), 3).tolist()
    if not 1 <= len(numbers) <= 14:
        raise ValueError(f"values must hold 1 to 14 numbers, got {len(numbers)}")
    start = min(5, len(numbers))
    script = _SCRIPT.replace("VALUES", json.dumps(numbers))
    for name in ("blue", "orange"):
        script = script.replace(name.upper(), json.dumps(COLORS[name]))
    markup = (
        '<figure class="reprise-figure">'
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 690 200" '
        'style="width:100%;max-width:691px" font-size="13" fill="currentColor"></svg>'
        '<div style="display:flex;flex-wrap:wrap;gap:0.3rem 2rem;justify-content:center">'
        '<label>n <input type="range" class="count" min="1" '
        f'max="{len(numbers)}" value="{start}" aria-label="how many numbers"></label> '
        '<label>z <input type="range" class="target" min="-0.5" max="0.5" step="0.005" '
        f'value="{target:g}" aria-label="target"></label></div><output></output>'
        f"<figcaption>{html.escape(caption)}</figcaption><script>{script}</script></figure>"
    )
    return Picture(markup, caption)


_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, svg = root.querySelector('svg');
  const a = VALUES, count = root.querySelector('.count'), aim = root.querySelector('.target');
  const x = v => 345 + 330 * v;
  const line = (x1, y1, x2, y2, ink, width, more) => `<line x1="${x1}" y1="${y1}" x2="${x2}" ` +
    `y2="${y2}" stroke="${ink}" stroke-width="${width}" ${more || ''}/>`;
  const text = (px, py, s, anchor, ink) => `<text x="${px}" y="${py}" text-anchor="${anchor}" ` +
    `fill="${ink || 'currentColor'}">${s}</text>`;
  const draw = () => {
    const n = +count.value, z = +aim.value;
    let sums = [0];
    for (let i = 0; i < n; i++) sums = sums.concat(sums.map(s => s + a[i]));
    let best = 0;
    sums.forEach((s, m) => { if (Math.abs(s - z) < Math.abs(sums[best] - z)) best = m; });
    let out = line(x(-1), 90, x(1), 90, 'currentColor', 1);
    for (const t of [-1, -0.5, 0, 0.5, 1]) out += text(x(t), 122, t, 'middle');
    for (const s of sums) if (Math.abs(s) <= 1)
      out += line(x(s), 78, x(s), 102, 'currentColor', 1, 'opacity="0.4"');
    out += line(x(z), 60, x(z), 78, ORANGE, 2) + text(x(z), 54, 'z = ' + z.toFixed(3), 'middle',
      ORANGE);
    out += line(x(sums[best]), 74, x(sums[best]), 106, BLUE, 3);
    const width = 690 / a.length;
    for (let i = 0; i < a.length; i++) {
      const kept = i < n && (best >> i) & 1, ink = kept ? BLUE : 'currentColor';
      const style = `opacity="${i < n ? (kept ? 1 : 0.55) : 0.15}"`;
      out += `<g ${style}>` + text(width * (i + 0.5), 172, a[i].toFixed(2), 'middle', ink) +
        (kept ? line(width * i + 8, 180, width * (i + 1) - 8, 180, ink, 3) : '') + '</g>';
    }
    svg.innerHTML = out;
    root.querySelector('output').textContent = `${sums.length} sums of ${n} numbers; the nearest ` +
      `to ${z.toFixed(3)} is ${sums[best].toFixed(4)}, error ` +
      `${Math.abs(sums[best] - z).toPrecision(2)}`;
  };
  count.addEventListener('input', draw);
  aim.addEventListener('input', draw);
  draw();
})();
"""
