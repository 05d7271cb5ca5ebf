// A run of a SUBLEQ program: the punch card, the source line that runs, the memory.
(root, data) => {
  const canvas = root.querySelector('canvas'), body = root.querySelector('tbody');
  const pre = root.querySelector('pre'), source = [...pre.children];
  const { blue, orange, gold } = data.colors;
  const w = Math.max(4, Math.min(9, Math.floor(420 / data.n)));
  const h = Math.max(3, Math.min(6, Math.floor(520 / data.d)));
  const left = 44, top = 16, width = left + data.n * w + 2, height = top + data.d * h + 2;
  const sharp = Math.max(2, window.devicePixelRatio || 1);
  canvas.width = width * sharp; canvas.height = height * sharp;
  canvas.style.width = `${width}px`; canvas.style.maxWidth = '100%';
  const pen = canvas.getContext('2d');
  pen.scale(sharp, sharp);
  const apply = (from, list) => {
    const next = from.slice();
    for (let i = 0; i < list.length; i += 2) next[list[i]] = list[i + 1];
    return next;
  };
  const states = [apply(new Int8Array(data.d * data.n), data.first)];
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
      pen.fillStyle = value > 0 ? blue : orange;
      pen.fillRect(left + c * w, top + r * h, w - 1, h - 0.5);
    }
    const column = c => pen.strokeRect(left + c * w - 1, top - 1, w + 1, data.d * h + 1);
    pen.strokeStyle = ink; pen.lineWidth = 1.2;
    column(data.words[1] + data.pc[i]);
    pen.strokeStyle = gold; pen.lineWidth = 2;
    if (before) for (let c = data.words[0]; c < data.words[1]; c++) {
      let changed = false;
      for (let r = 0; r < data.d; r++) changed ||= state[r * data.n + c] !== before[r * data.n + c];
      if (changed) column(c);
    }
  };
  return ({ step }) => {
    draw(step);
    const line = data.lines[data.pc[step]];
    source.forEach((row, k) => { row.className = k + 1 === line ? 'lit' : ''; });
    if (line) {
      const lit = source[line - 1];
      pre.scrollTop = lit.offsetTop - pre.offsetTop - pre.clientHeight / 2;
    }
    data.values[step].forEach((value, k) => {
      const row = body.rows[k];
      row.cells[1].textContent = value;
      row.className = step && value !== data.values[step - 1][k] ? 'lit' : '';
    });
    return `step ${step}, instruction ${data.pc[step]}`;
  };
}
