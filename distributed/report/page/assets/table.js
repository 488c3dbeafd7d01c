// All rows: sorted, filtered, scrolled. Only the rows in sight are elements.

const ROW = 35;  // pixels of a row, with its border
const EXTRA = 8;  // rows beyond those in sight

// Which rows are selected, and what wants to know.
class Chosen {
  constructor() { this.rows = new Set(); this.listeners = []; }
  has(row) { return this.rows.has(row); }
  set(row, on) { if (on) this.rows.add(row); else this.rows.delete(row); this.tell(); }
  add(rows) { for (const row of rows) this.rows.add(row); this.tell(); }
  clear() { this.rows.clear(); this.tell(); }
  listen(listener) { this.listeners.push(listener); }
  tell() { for (const listener of this.listeners) listener(); }
}

class Table {
  constructor(page, rows, chosen, open) {
    Object.assign(this, { page, rows, chosen, open });
    this.box = byId('table-box');
    this.table = byId('molecules');
    this.only = null;  // rows of a group that the table is limited to
    this.sort = { name: 'reward', down: true };
    this.columns = [
      { name: 'key', label: page.kind === 'molecules' ? 'molecule' : 'sequence', width: 320 },
      ...Object.entries(page.labels).map(([name, label]) => ({ name, label, width: 120, number: true })),
      { name: 'status', label: 'status', width: 90, word: true },
      { name: 'source', label: 'proposer', width: 110, word: true },
      ...(rows.words.run.names.length > 1 ? [{ name: 'run', label: 'run or stage', width: 140, word: true }] : []),
    ];
    this.head();
    this.filters();
    this.box.addEventListener('scroll', () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.box);
    chosen.listen(() => { this.count(); this.draw(true); });
    this.apply();
  }

  head() {
    this.headings = this.columns.map((column) => {
      const button = element('button', { type: 'button', onclick: () => this.sortBy(column.name) }, column.label);
      const heading = element('th', { scope: 'col', class: column.number ? 'number' : '' }, button);
      heading.style.width = `${column.width}px`;
      return heading;
    });
    const first = element('th', { scope: 'col' }, 'select');
    first.style.width = '64px';
    this.table.tHead.replaceChildren(element('tr', {}, first, ...this.headings));
  }

  filters() {
    const fill = (id, word) => {
      const select = byId(id);
      select.append(element('option', { value: '' }, 'all'));
      for (const name of this.rows.words[word].names) select.append(element('option', { value: name }, name));
      select.addEventListener('change', () => this.apply());
    };
    fill('filter-status', 'status');
    fill('filter-source', 'source');
    for (const id of ['search', 'filter-reward']) byId(id).addEventListener('input', () => this.apply());
    byId('filter-clear').addEventListener('click', () => {
      for (const id of ['filter-status', 'filter-source', 'search', 'filter-reward']) byId(id).value = '';
      this.only = null;
      this.apply();
    });
    byId('select-shown').addEventListener('click', () => this.chosen.add(this.shownRows));
    byId('select-none').addEventListener('click', () => this.chosen.clear());
  }

  limitTo(rows) {
    this.only = new Set(rows);
    this.apply();
    byId('table-section').scrollIntoView();
    this.box.focus({ preventScroll: true });
  }

  sortBy(name) {
    this.sort = { name, down: this.sort.name === name ? !this.sort.down : name !== 'key' };
    this.apply();
  }

  apply() {
    const { rows } = this;
    const text = byId('search').value.trim().toLowerCase();
    const least = byId('filter-reward').value === '' ? null : Number(byId('filter-reward').value);
    const codes = ['status', 'source'].map((word) => {
      const value = byId(`filter-${word}`).value;
      return [rows.words[word], value === '' ? -1 : rows.words[word].names.indexOf(value)];
    });
    const kept = [];
    for (let row = 0; row < rows.count; row++) {
      if (this.only && !this.only.has(row)) continue;
      if (codes.some(([word, code]) => code >= 0 && word.codes[row] !== code)) continue;
      if (least !== null && !(rows.numbers.reward[row] >= least)) continue;
      if (text && !`${rows.key(row)} ${rows.sequences[row]} ${rows.error(row)}`.toLowerCase().includes(text)) continue;
      kept.push(row);
    }
    this.shownRows = this.sorted(kept);
    this.headings.forEach((heading, i) => {
      const own = this.columns[i].name === this.sort.name;
      heading.setAttribute('aria-sort', own ? (this.sort.down ? 'descending' : 'ascending') : 'none');
      heading.firstChild.textContent = this.columns[i].label + (own ? (this.sort.down ? ' ▼' : ' ▲') : '');
    });
    this.box.scrollTop = 0;
    this.count();
    this.draw(true);
  }

  sorted(kept) {
    const { name, down } = this.sort, { rows } = this, sign = down ? -1 : 1;
    const column = this.columns.find((one) => one.name === name);
    if (column.number) {
      const values = rows.numbers[name];
      // rows without the number are last in either order
      return kept.sort((a, b) => {
        const [one, other] = [values[a], values[b]];
        if (Number.isNaN(one)) return Number.isNaN(other) ? a - b : 1;
        if (Number.isNaN(other)) return -1;
        return sign * (one - other) || a - b;
      });
    }
    const read = column.word ? (row) => rows.word(name, row) : (row) => rows.key(row);
    const texts = new Map(kept.map((row) => [row, read(row)]));
    return kept.sort((a, b) => {
      const [one, other] = [texts.get(a), texts.get(b)];
      return sign * (one < other ? -1 : one > other ? 1 : 0) || a - b;
    });
  }

  count() {
    const number = (value) => value.toLocaleString('en');
    byId('counts').textContent = `${number(this.shownRows.length)} of ${number(this.rows.count)} rows, ${number(this.chosen.rows.size)} selected`;
  }

  draw(anew = false) {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - EXTRA);
    const last = Math.min(this.shownRows.length, first + Math.ceil(this.box.clientHeight / ROW) + 2 * EXTRA);
    if (!anew && this.drawn && this.drawn[0] === first && this.drawn[1] === last) return;
    this.drawn = [first, last];
    const gap = (rows) => {
      const cell = element('td', { colspan: this.columns.length + 1 });
      cell.style.height = `${rows * ROW}px`;
      return element('tr', { class: 'gap', 'aria-hidden': 'true' }, cell);
    };
    const lines = [];
    for (let i = first; i < last; i++) lines.push(this.line(this.shownRows[i], i));
    this.table.setAttribute('aria-rowcount', this.shownRows.length + 1);
    this.table.tBodies[0].replaceChildren(gap(first), ...lines, gap(this.shownRows.length - last));
  }

  line(row, place) {
    const { rows, chosen } = this;
    const key = rows.key(row);
    const box = element('input', { type: 'checkbox', 'aria-label': `Select ${key.slice(0, 60)}` });
    box.checked = chosen.has(row);
    box.addEventListener('change', () => chosen.set(row, box.checked));
    const cells = this.columns.map((column) => {
      if (column.name === 'key') {
        const name = rows.sequence(row).slice(0, 300) || '(empty)';
        return element('td', {}, element('button', { type: 'button', title: name, onclick: () => this.open(row) }, name));
      }
      if (column.number) return element('td', { class: 'number' }, shown(rows.number(column.name, row)));
      return element('td', {}, rows.word(column.name, row));
    });
    return element('tr', { 'data-key': key, 'aria-rowindex': place + 2, class: box.checked ? 'chosen' : '' }, element('td', {}, box), ...cells);
  }
}
