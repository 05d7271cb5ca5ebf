// One ReLU neuron with a frozen weight, its scale and its shift.
(root, data) => {
  const svg = root.querySelector('svg'), on = data.colors.orange, off = data.colors.grey;
  const w = data.weight, X = x => 280 + 230 * x, Y = y => 190 - 48 * y;
  return ({ scale, shift }) => {
    const slope = scale * w, parts = [];
    const line = (x0, y0, x1, y1, color, width) => parts.push(
      `<line x1="${X(x0)}" y1="${Y(y0)}" x2="${X(x1)}" y2="${Y(y1)}" stroke="${color}" ` +
      `stroke-width="${width}" stroke-linecap="round"/>`);
    line(-1, 0, 1, 0, 'currentColor', .6);
    line(0, -.3, 0, 3.8, 'currentColor', .6);
    const kink = slope === 0 ? null : -shift / slope;
    const edges = [-1, ...(kink !== null && kink > -1 && kink < 1 ? [kink] : []), 1];
    let share = 0;
    for (let i = 0; i + 1 < edges.length; i++) {
      const a = edges[i], b = edges[i + 1], live = slope * (a + b) / 2 + shift > 0;
      const value = x => live ? Math.max(0, slope * x + shift) : 0;
      line(a, value(a), b, value(b), live ? on : off, 4);
      if (live) share += (b - a) / 2;
    }
    for (const x of [-1, 0, 1])
      parts.push(`<text x="${X(x)}" y="${Y(0) + 18}" text-anchor="middle">${x}</text>`);
    parts.push(`<text x="${X(0)}" y="226" text-anchor="middle">input x</text>`);
    parts.push(`<text x="${X(0) + 8}" y="14">relu(scale * ${w} x + shift)</text>`);
    svg.innerHTML = parts.join('');
    return `scale ${scale.toFixed(2)}, shift ${shift.toFixed(2)}: on for ` +
      `${Math.round(100 * share)}% of the inputs; a shift of |scale| * ${w} = ` +
      `${Math.abs(slope).toFixed(2)} keeps it on for all`;
  };
}
