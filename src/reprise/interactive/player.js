// Frames of one drawing: whole ones, or the attributes that differ between them.
(root, data) => {
  const stage = root.querySelector('.stage');
  const drawing = stage.querySelector('svg'), elements = [drawing, ...drawing.querySelectorAll('*')];
  return ({ frame }) => {
    if (data.drawings) stage.innerHTML = data.drawings[frame];
    for (const [element, name, values, at] of data.moves || [])
      elements[element].setAttribute(name, values[at[frame]]);
    return data.labels[frame];
  };
}
