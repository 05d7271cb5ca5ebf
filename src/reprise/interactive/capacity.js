// Gates or weights of the threshold construction and of Baum's network, from closed forms.
(root, data, bars) => v => {
  const n = 2 ** v.n, delta = 10 ** v.delta, d = v.d, T3 = 3, TL = v.n;
  const p = Math.acos(1 - delta * delta / 4) / Math.PI;
  let m1 = 4 * v.n;
  while (m1 < Math.log(n) / delta) m1 *= 2;
  const g = Math.round(v.n / 2), s = Math.max(1, Math.ceil(Math.log2(1.5 * Math.sqrt(n))));
  const flat = Math.max(1, Math.min(Math.ceil(2 / p), m1 >> 1));
  let tree = 2 ** Math.round(Math.log2(flat));
  if (tree > m1 / 2) tree /= 2;
  const G = 2 ** g, S = 2 ** s;
  const built = (T, k, kind) => {
    const m2 = g + T * s, isFlat = kind === 'flat';
    const gates = m1 + m2 * (isFlat ? k + 1 : 3 * (k - 1)) + 2 * G + T * S + 1;
    const parity = m2 * (isFlat ? k * k + k : 6 * (k - 1));
    const weights = m1 * d + parity + G * g + T * S * s + n / 2 + 2 * G;
    return v.count ? weights : gates;
  };
  const baum = v.count ? 2 * Math.ceil(n / 2 / d) * (d + 1) : 2 * Math.ceil(n / 2 / d) + 1;
  const at = `n = ${n}, delta = ${delta.toPrecision(2)}, d = ${d}`;
  const y = v.count ? 'weights' : 'gates';
  const best = bars({
    labels: ['flat, T=3', 'tree, T=3', 'flat, T=log n', 'tree, T=log n', 'Baum, built'],
    values: [built(T3, flat, 'flat'), built(T3, tree, 'tree'), built(TL, flat, 'flat'),
      built(TL, tree, 'tree'), baum],
    x: at, y,
  });
  return `${best} ${y}, at ${at}`;
}
