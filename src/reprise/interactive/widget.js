// The mechanism of every widget around its own function, (root, data, bars) => values => words.
(make => {
  // A bar for each label on a logarithmic scale, the lowest marked; returns it in words.
  const bars = ({ labels, values, x, y }) => {
    const short = n => n >= 1e4 || n < 0.1
      ? n.toExponential(1).replace('e+', 'e') : `${+n.toPrecision(3)}`;
    const text = (x, y, size, anchor, words) =>
      `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}">${words}</text>`;
    const logs = values.map(Math.log10);
    const low = Math.min(...logs), high = Math.max(...logs, low + 1);
    const best = logs.indexOf(low), width = 540 / labels.length;
    root.querySelector('svg').innerHTML = labels.map((label, i) => {
      const height = 12 + 128 * (logs[i] - low) / (high - low), left = 10 + i * width;
      const ink = i === best ? data.colors.orange : 'currentColor';
      return `<rect x="${left + 3}" y="${178 - height}" width="${width - 6}" height="${height}" ` +
        `fill="${ink}" fill-opacity="${i === best ? 1 : 0.3}"/>` +
        text(left + width / 2, 172 - height, 11, 'middle', short(values[i])) +
        text(left + width / 2, 194, 12, 'middle', label);
    }).join('') + text(280, 214, 12, 'middle', x) + text(10, 14, 12, 'start', `${y} (log scale)`);
    return `best: ${labels[best]}, with ${short(values[best])}`;
  };
  const root = document.currentScript.parentElement;
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const inputs = [...root.querySelectorAll('input[type="range"]')];
  const words = root.querySelector('.words'), show = make(root, data, bars);
  const update = () => {
    const values = {};
    for (const input of inputs) {
      values[input.name] = +input.value;
      input.nextElementSibling.textContent = input.value;
    }
    words.textContent = show(values);
  };
  let pause = () => {};
  for (const button of root.querySelectorAll('button[data-plays]')) {
    const input = inputs.find(input => input.name === button.dataset.plays);
    let timer = null;
    pause = () => {
      clearInterval(timer); timer = null;
      button.textContent = '\u25b6'; words.setAttribute('aria-live', 'polite');
    };
    const step = () => {
      input.value = +input.value + +input.step;
      update();
      if (+input.value >= +input.max) pause();
    };
    button.addEventListener('click', () => {
      if (timer) { pause(); return; }
      if (+input.value >= +input.max) { input.value = input.min; update(); }
      button.textContent = '\u23f8'; words.setAttribute('aria-live', 'off');
      timer = setInterval(step, +button.dataset.interval);
    });
  }
  for (const input of inputs) input.addEventListener('input', () => { pause(); update(); });
  new MutationObserver(update)
    .observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  update();
})(WIDGET);
