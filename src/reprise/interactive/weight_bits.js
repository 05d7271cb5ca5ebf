// The network that the bits of one weight keep: doublers, and an accumulator for either sign.
(root, data) => {
  const svg = root.querySelector('svg'), { blue, orange, grey } = data.colors;
  const rows = { a: 40, b: 85, P: 160, N: 210 }, names = Object.keys(rows);
  const even = v => {
    const down = Math.floor(v), rest = v - down;
    return rest > .5 || (rest === .5 && down % 2 !== 0) ? down + 1 : down;
  };
  return ({ weight, bits }) => {
    const q = even(weight * 2 ** bits), parts = [];
    const at = column => 50 + column * 620 / (bits + 3), to = q > 0 ? 'P' : 'N';
    const line = (c, y0, y1, color, width, opacity) => parts.push(
      `<line x1="${at(c)}" y1="${y0}" x2="${at(c + 1)}" y2="${y1}" stroke="${color}"` +
      ` stroke-width="${width}" stroke-opacity="${opacity}"/>`);
    const dot = (c, y, value) => parts.push(
      `<circle cx="${at(c)}" cy="${y}" r="4"/>` +
      `<text x="${at(c)}" y="${y < 100 ? y - 8 : y + 17}" text-anchor="middle">${value}</text>`);
    for (let c = 1; c < bits + 2; c++)
      for (const s of names) for (const e of names)
        line(c, rows[s], rows[e], 'currentColor', .8, .1);
    let sum = 0;
    dot(0, 62, 1);
    for (const r of 'ab') line(0, 62, rows[r], blue, 2, 1);
    for (let c = 1; c <= bits + 2; c++) {
      if (c < bits + 2) {
        for (const s of 'ab') for (const e of 'ab') line(c, rows[s], rows[e], blue, 2, 1);
        for (const r of 'PN') line(c, rows[r], rows[r], grey, 2, 1);
        if ((Math.abs(q) >> (c - 1)) & 1) line(c, rows.a, rows[to], orange, 4, 1);
      }
      for (const r of 'ab') dot(c, rows[r], 2 ** (c - 1));
      for (const r of 'PN') dot(c, rows[r], r === to ? sum : 0);
      if ((Math.abs(q) >> (c - 1)) & 1) sum += 2 ** (c - 1);
    }
    for (const r of 'PN') line(bits + 2, rows[r], 185, grey, 2, 1);
    dot(bits + 3, 185, q);
    for (const r of 'PN') parts.push(`<text x="${at(1) - 30}" y="${rows[r] + 4}">${r}</text>`);
    svg.innerHTML = parts.join('');
    return `w = ${weight.toFixed(4)} is kept as ${q}/${2 ** bits} = ` +
      `${(q / 2 ** bits).toFixed(4)}, error ${Math.abs(q / 2 ** bits - weight).toFixed(4)}`;
  };
}
