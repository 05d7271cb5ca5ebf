"""A step player for the page: the punch card, the source line that runs, the memory.

The states of a run stand in the page as what changes from step to step; a few lines of JavaScript
draw them on a canvas. Nothing is fetched, and nothing is computed that the transformer did not.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from reprise.expressivity.looped.subleq import FIRST_WORD, SubleqMachine
from reprise.notebook import Picture
from reprise.plotting import COLORS

MOST_STATES = 400  # a page should stay below a few hundred kilobytes


def step_player(
    machine: SubleqMachine,
    states: Tensor,
    *,
    source: str,
    lines: Sequence[int],
    names: Mapping[str, int],
    caption: str,
    alt: str,
    interval_ms: int = 350,
) -> Picture:
    """Show a run of a SUBLEQ program, step by step.

    Parameters
    ----------
    machine : SubleqMachine
    states : Tensor, shape (t + 1, d, n)
        The sequence before each step and at the end, from ``transformer.loop(..., trace=True)``.
    source : str
        The program's text.
    lines : sequence of int
        The source line, from 1, of each instruction.
    names : mapping from str to int
        Words by name; those whose name begins with ``$`` are left out of the table.
    caption, alt : str
        As for `reprise.notebook.picture`.
    interval_ms : int
        Milliseconds a step.

    Returns
    -------
    reprise.notebook.Picture

    Raises
    ------
    ValueError
        If there are fewer than 2 states or more than `MOST_STATES`.
    """
    if not 2 <= len(states) <= MOST_STATES:
        raise ValueError(f"states must hold 2 to {MOST_STATES} states, got {len(states)}")
    cells = np.rint(states.detach().cpu().numpy()).astype(int)  # (t + 1, d, n)
    words = max(names.values()) + 1
    reading = machine.read(states, words)
    shown = {name: at for name, at in names.items() if not name.startswith("$")}
    data = {
        "d": machine.width,
        "n": machine.columns,
        "first": changes(np.zeros_like(cells[0]), cells[0]),
        "steps": [changes(before, after) for before, after in pairwise(cells)],
        "rows": [[name, rows.start, rows.stop] for name, rows in machine.rows.items()],
        "words": [FIRST_WORD, FIRST_WORD + words, FIRST_WORD + words + len(lines)],
        "names": list(shown),
        "values": reading.memory[:, list(shown.values())].tolist(),
        "pc": reading.pc.tolist(),
        "lines": list(lines),
    }
    script = _SCRIPT.replace("DATA", json.dumps(data, separators=(",", ":")))
    for name in ("blue", "orange", "gold"):
        script = script.replace(name.upper(), json.dumps(COLORS[name]))
    listing = "".join(
        f"<span>{i:3d}  {html.escape(line)}\n</span>"
        for i, line in enumerate(source.splitlines(), 1)
    )
    last = len(states) - 1
    markup = (
        '<figure class="reprise-figure reprise-player reprise-machine" '
        f'data-interval="{interval_ms}">'
        f'<div class="stage"><canvas role="img" aria-label="{html.escape(alt)}"></canvas>'
        f'<div class="side"><pre aria-label="source">{listing}</pre>'
        '<table aria-label="memory"><tbody></tbody></table></div></div>'
        '<div class="controls"><button type="button" aria-label="play or pause">&#9654;</button>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="step">'
        f"<output></output></div><figcaption>{html.escape(caption)}</figcaption>"
        f"<script>{script}</script></figure>"
    )
    return Picture(markup, caption)


def changes(before: ArrayLike, after: ArrayLike) -> list[int]:
    """What differs between two arrays of integers, as flat positions and new values in turn."""
    before, after = np.asarray(before).ravel(), np.asarray(after).ravel()
    at = np.flatnonzero(before != after)
    return np.stack([at, after[at]], axis=1).ravel().tolist()


_SCRIPT = """
(() => {
  const root = document.currentScript.parentElement, data = DATA;
  const canvas = root.querySelector('canvas'), body = root.querySelector('tbody');
  const pre = root.querySelector('pre'), source = [...pre.children];
  const slider = root.querySelector('input'), button = root.querySelector('button');
  const output = root.querySelector('output');
  const w = Math.max(4, Math.min(9, Math.floor(420 / data.n)));
  const h = Math.max(3, Math.min(6, Math.floor(520 / data.d)));
  const left = 44, top = 16, width = left + data.n * w + 2, height = top + data.d * h + 2;
  const sharp = Math.max(2, window.devicePixelRatio || 1);
  canvas.width = width * sharp; canvas.height = height * sharp;
  canvas.style.width = `${width}px`; canvas.style.maxWidth = '100%';
  const pen = canvas.getContext('2d');
  pen.scale(sharp, sharp);
  const states = [new Int8Array(data.d * data.n)];
  const apply = (from, list) => {
    const next = from.slice();
    for (let i = 0; i < list.length; i += 2) next[list[i]] = list[i + 1];
    return next;
  };
  states[0] = apply(states[0], data.first);
  for (const list of data.steps) states.push(apply(states[states.length - 1], list));
  for (const name of data.names) {
    const row = body.insertRow();
    row.insertCell().textContent = name;
    row.insertCell();
  }
  const draw = i => {
    const ink = getComputedStyle(root).color, state = states[i], before = states[i - 1];
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = ink; pen.font = '9px sans-serif';
    pen.textBaseline = 'bottom'; pen.textAlign = 'left';
    pen.fillText('memory', left + data.words[0] * w, top - 3);
    pen.fillText('program', left + data.words[1] * w, top - 3);
    pen.textBaseline = 'middle'; pen.textAlign = 'right';
    for (const [name, start, stop] of data.rows) {
      if ((stop - start) * h >= 9) pen.fillText(name, left - 4, top + (start + stop) / 2 * h);
      pen.globalAlpha = 0.25;
      pen.fillRect(left - 2, top + start * h, data.n * w + 3, 0.5);
      pen.globalAlpha = 1;
    }
    for (let r = 0; r < data.d; r++) for (let c = 0; c < data.n; c++) {
      const at = r * data.n + c, value = state[at];
      if (!value) continue;
      pen.fillStyle = value > 0 ? BLUE : ORANGE;
      pen.fillRect(left + c * w, top + r * h, w - 1, h - 0.5);
    }
    const column = c => pen.strokeRect(left + c * w - 1, top - 1, w + 1, data.d * h + 1);
    pen.strokeStyle = ink; pen.lineWidth = 1.2;
    column(data.words[1] + data.pc[i]);
    pen.strokeStyle = GOLD; pen.lineWidth = 2;
    if (before) for (let c = data.words[0]; c < data.words[1]; c++) {
      let changed = false;
      for (let r = 0; r < data.d; r++) changed ||= state[r * data.n + c] !== before[r * data.n + c];
      if (changed) column(c);
    }
  };
  const show = i => {
    slider.value = i;
    draw(i);
    const line = data.lines[data.pc[i]];
    source.forEach((row, k) => { row.className = k + 1 === line ? 'lit' : ''; });
    if (line) {
      const lit = source[line - 1];
      pre.scrollTop = lit.offsetTop - pre.offsetTop - pre.clientHeight / 2;
    }
    data.values[i].forEach((value, k) => {
      const row = body.rows[k];
      row.cells[1].textContent = value;
      row.className = i && value !== data.values[i - 1][k] ? 'lit' : '';
    });
    output.textContent = `step ${i}, instruction ${data.pc[i]}`;
  };
  let timer = null;
  const pause = () => { clearInterval(timer); timer = null; button.textContent = '\\u25b6'; };
  const play = () => {
    if (+slider.value === states.length - 1) show(0);
    button.textContent = '\\u23f8';
    timer = setInterval(() => {
      if (+slider.value === states.length - 1) pause(); else show(+slider.value + 1);
    }, +root.dataset.interval);
  };
  slider.addEventListener('input', () => { pause(); show(+slider.value); });
  button.addEventListener('click', () => { if (timer) pause(); else play(); });
  new MutationObserver(() => draw(+slider.value))
    .observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  show(+slider.value);
})();
"""
