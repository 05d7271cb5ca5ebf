// The filters of the landing page's board: they hide claims, and rows that hold none of the rest.
addEventListener('DOMContentLoaded', () => {
  const board = document.querySelector('.reprise-board');
  if (!board) return;
  const form = board.querySelector('form'), output = form.querySelector('output');
  const filter = () => {
    const { verdict, part, profile } = Object.fromEntries(new FormData(form));
    let shown = 0;
    for (const section of board.querySelectorAll('section')) {
      section.hidden = Boolean(part) && section.dataset.part !== part;
      for (const row of section.querySelectorAll('details')) {
        let left = 0;
        row.querySelectorAll('tbody tr').forEach((claim, i) => {
          claim.hidden = Boolean(verdict && claim.dataset.verdict !== verdict) ||
            Boolean(profile && claim.dataset.profile !== profile);
          row.querySelectorAll('.reprise-mark')[i].hidden = claim.hidden;
          left += !claim.hidden;
        });
        row.hidden = Boolean(verdict || profile) && !left;
        if (!section.hidden) shown += left;
      }
    }
    output.textContent = `${shown} claims`;
  };
  form.hidden = false;
  form.addEventListener('change', filter);
  form.addEventListener('submit', event => event.preventDefault());
  filter();
});
