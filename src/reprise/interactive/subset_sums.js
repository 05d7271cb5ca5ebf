// All subset sums of the first n numbers on a line, the aim, and the sum nearest to it.
(root, data) => {
  const svg = root.querySelector('svg'), a = data.values, { blue, orange } = data.colors;
  const x = v => 345 + 330 * v;
  const line = (x1, y1, x2, y2, ink, width, more) => `<line x1="${x1}" y1="${y1}" x2="${x2}" ` +
    `y2="${y2}" stroke="${ink}" stroke-width="${width}" ${more || ''}/>`;
  const text = (px, py, s, anchor, ink) => `<text x="${px}" y="${py}" text-anchor="${anchor}" ` +
    `fill="${ink || 'currentColor'}">${s}</text>`;
  return ({ n, z }) => {
    let sums = [0];
    for (let i = 0; i < n; i++) sums = sums.concat(sums.map(s => s + a[i]));
    let best = 0;
    sums.forEach((s, m) => { if (Math.abs(s - z) < Math.abs(sums[best] - z)) best = m; });
    let out = line(x(-1), 90, x(1), 90, 'currentColor', 1);
    for (const t of [-1, -0.5, 0, 0.5, 1]) out += text(x(t), 122, t, 'middle');
    for (const s of sums) if (Math.abs(s) <= 1)
      out += line(x(s), 78, x(s), 102, 'currentColor', 1, 'opacity="0.4"');
    out += line(x(z), 60, x(z), 78, orange, 2) +
      text(x(z), 54, 'z = ' + z.toFixed(3), 'middle', orange);
    out += line(x(sums[best]), 74, x(sums[best]), 106, blue, 3);
    const width = 690 / a.length;
    for (let i = 0; i < a.length; i++) {
      const kept = i < n && (best >> i) & 1, ink = kept ? blue : 'currentColor';
      const style = `opacity="${i < n ? (kept ? 1 : 0.55) : 0.15}"`;
      out += `<g ${style}>` + text(width * (i + 0.5), 172, a[i].toFixed(2), 'middle', ink) +
        (kept ? line(width * i + 8, 180, width * (i + 1) - 8, 180, ink, 3) : '') + '</g>';
    }
    svg.innerHTML = out;
    return `${sums.length} sums of ${n} numbers; the nearest to ${z.toFixed(3)} is ` +
      `${sums[best].toFixed(4)}, error ${Math.abs(sums[best] - z).toPrecision(2)}`;
  };
}
