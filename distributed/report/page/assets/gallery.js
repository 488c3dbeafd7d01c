// The best sequences as cards, and groups with their members.

const AT_ONCE = 12;  // cards, or groups, that are added at a time
const MEMBERS = 24;  // members of a group that are drawn

function showGallery(page, rows, chosen, open) {
  const parent = byId('gallery'), button = byId('more');
  if (page.kind !== 'molecules') parent.classList.add('wide');
  if (!page.best.length) {
    byId('best-said').textContent = 'No sequence has a reward of its own yet.';
    button.hidden = true;
    return;
  }
  const data = page.corpus ? ` Beside each: the most similar of ${page.corpus}.` : '';
  byId('best-said').textContent = `The ${page.best.length} best by their reward.${data}`;
  let next = 0;
  const add = () => {
    for (const one of page.best.slice(next, next + AT_ONCE)) parent.append(card(page, rows, one, ++next, chosen, open));
    button.hidden = next >= page.best.length;
  };
  button.addEventListener('click', add);
  add();
}

function card(page, rows, one, place, chosen, open) {
  const key = rows.key(one.row);
  const box = element('input', { type: 'checkbox', 'aria-label': `Select number ${place}` });
  box.addEventListener('change', () => chosen.set(one.row, box.checked));
  chosen.listen(() => { box.checked = chosen.has(one.row); });
  return element('article', { class: 'card', 'data-key': key },
    element('h3', {}, `${place}. ${shown(rows.number('reward', one.row))}`, element('label', {}, box)),
    ...(one.pictures.length ? pictures(page, one) : [drawing(page.kind, key)]),
    valueList(page, rows, one.row, true),
    ...more(page, one),
    element('p', { class: 'text clip' }, rows.sequence(one.row)),
    element('button', { type: 'button', onclick: () => open(one.row) }, 'All about it'));
}

function showGroups(page, rows, open, filterBy) {
  if (!page.groups || !page.groups.clusters.length) { byId('groups').hidden = true; return; }
  const { clusters, kind, said, grouped, different } = page.groups;
  byId('groups-title').textContent = `Groups: ${kind}`;
  byId('groups-said').textContent = `The ${grouped.toLocaleString('en')} best share ${different.toLocaleString('en')} groups: those of one have ${said}.`;
  const parent = byId('clusters'), button = byId('more-groups');
  let next = 0;
  const add = () => {
    for (let i = next; i < Math.min(next + AT_ONCE, clusters.length); i++) parent.append(cluster(page, rows, i, open, filterBy));
    next += AT_ONCE;
    button.hidden = next >= clusters.length;
  };
  button.addEventListener('click', add);
  add();
}

function cluster(page, rows, number, open, filterBy) {
  const one = page.groups.clusters[number], picture = page.groups.pictures[number];
  const button = element('button', { type: 'button', 'aria-pressed': 'false' },
    picture ? element('div', { class: page.kind === 'molecules' ? 'paper' : 'roll' }, pictureOf(picture)) : drawing(page.kind, rows.key(one.rows[0]), 160, 110),
    element('div', {}, `${one.count.toLocaleString('en')} of them, best ${shown(one.best)}, mean ${shown(one.mean)}`),
    ...(one.name ? [] : [element('div', { class: 'muted' }, 'without a ring')]));
  button.addEventListener('click', () => {
    for (const other of byId('clusters').querySelectorAll('button')) other.setAttribute('aria-pressed', String(other === button));
    const cards = one.rows.slice(0, MEMBERS).map((row) => element('div', { class: 'card', 'data-key': rows.key(row) },
      drawing(page.kind, rows.key(row), 200, 140), element('p', {}, `reward ${shown(rows.number('reward', row))}`),
      element('button', { type: 'button', onclick: () => open(row) }, 'All about it')));
    byId('members').replaceChildren(
      element('h3', {}, `${Math.min(MEMBERS, one.count)} of ${one.count.toLocaleString('en')} members, the best first`),
      element('p', {}, element('button', { type: 'button', onclick: () => filterBy(one.rows) }, 'Show all of them in the table')),
      element('div', { class: 'gallery' }, ...cards));
  });
  return button;
}
