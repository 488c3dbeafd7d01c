// One sequence: at a glance beside the chart, and with all that is known of it in a dialog.

function glance(page, rows, row) {
  const sequence = rows.sequence(row);
  return [
    drawing(page.kind, rows.key(row)),
    valueList(page, rows, row),
    element('p', { class: 'text clip' }, sequence),
  ];
}

// How a row came about, which matters less than its values.
const ORIGIN = ['order', 'seconds', 'version', 'log_prob'];

// The values of a row; short: without how it came about.
function valueList(page, rows, row, short = false) {
  const list = element('dl', { class: 'values' });
  for (const [name, label] of Object.entries(page.labels)) {
    const value = rows.number(name, row);
    if (name.startsWith('transformed.') || (short && (name === 'reward' || ORIGIN.includes(name)))) continue;
    const changed = `transformed.${name.slice(4)}`;
    const after = name.startsWith('raw.') && changed in page.labels ? `→ ${shown(rows.number(changed, row))}` : '';
    list.append(element('dt', {}, label), element('dd', {}, shown(value)), element('dd', {}, after));
  }
  list.append(element('dt', {}, 'proposed by'), element('dd', {}, rows.word('source', row)), element('dd', {}));
  if (short) list.append(element('dt', {}, 'score'), element('dd', {}, `${shown(rows.number('order', row))}`), element('dd', {}));
  return list;
}

class Details {
  constructor(page, rows) {
    this.page = page;
    this.rows = rows;
    this.bestAt = new Map(page.best.map((one) => [one.row, one]));
    this.dialog = byId('details');
  }

  open(row) {
    const { page, rows } = this;
    const best = this.bestAt.get(row);
    byId('details-title').textContent = `Score ${shown(rows.number('order', row))}: ${rows.word('status', row)}`;
    const content = byId('details-content');
    content.replaceChildren(
      ...(best ? pictures(page, best) : [drawing(page.kind, rows.key(row), 420, 300)]),
      element('p', { class: 'text' }, rows.sequence(row)),
      element('button', { type: 'button', onclick: () => navigator.clipboard.writeText(rows.sequence(row)) }, 'Copy'),
      valueList(page, rows, row),
    );
    if (rows.error(row)) content.append(element('p', { class: 'warning' }, rows.error(row)));
    if (best) content.append(...more(page, best));
    this.dialog.dataset.key = rows.key(row);
    this.dialog.showModal();
    byId('details-title').focus();
  }
}

function pictures(page, one) {
  return one.pictures.map((picture) => element('div', { class: page.kind === 'molecules' ? 'paper' : 'roll' },
    ...(picture.title ? [element('h3', {}, picture.title)] : []), pictureOf(picture)));
}

// What a sequence has besides its pictures: remarks, sound, files, its nearest neighbour.
function more(page, one) {
  const found = [];
  if (one.remarks.length) found.push(element('ul', { class: 'remarks' }, ...one.remarks.map((text) => element('li', {}, text))));
  if (one.sound) found.push(element('audio', { class: 'player', controls: true, preload: 'metadata', src: `data:audio/wav;base64,${one.sound}` }));
  if (one.files) {
    found.push(element('p', { class: 'files' }, ...one.files.map((file) =>
      element('a', { href: `data:${file.type};base64,${file.content}`, download: file.name }, file.name))));
  }
  if (one.nearest) {
    const near = one.nearest;
    found.push(element('div', { class: 'nearest' },
      element('p', { class: 'muted' }, `Nearest in the data: similarity ${shown(near.similarity)}`),
      ...near.pictures.map((picture) => element('div', { class: page.kind === 'molecules' ? 'paper' : 'roll' }, pictureOf(picture))),
      element('p', { class: 'text clip' }, near.sequence)));
  }
  return found;
}
