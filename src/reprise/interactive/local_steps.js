// How many local steps reach a target first: the time for each, from the fitted terms.
(root, { noise, walk, drift, factor }, bars) => v => {
  const N = 2 ** v.N, labels = [], values = [];
  for (let B = 1; B <= N / 2; B *= 2) {
    const size = noise * N / v.M + walk * B + drift * (v.tau * B) ** 2;
    const alpha = Math.sqrt(10 ** -v.digits / size);
    let K = 1;
    for (let i = 0; i < 60; i++)
      K = factor * Math.log(Math.max(v.M * N * K * K, 2)) / (alpha * N);
    K = Math.max(1, Math.ceil(K));
    labels.push(B); values.push(K * (N + N / B * 10 ** v.latency));
  }
  return bars({ labels, values, x: 'local steps B', y: 'time to the target, in gradients' });
}
