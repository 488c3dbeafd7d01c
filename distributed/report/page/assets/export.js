// What a reader takes along: selected rows as CSV, or as a structure file.

function save(name, type, text) {
  const link = element('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// A cell that a spreadsheet would take for a formula begins with an apostrophe.
function cell(value) {
  if (typeof value === 'number') return Number.isNaN(value) ? '' : String(value);
  const text = /^[=+@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvOf(page, rows, chosen) {
  const numbers = Object.keys(page.labels), words = Object.keys(rows.words);
  const lines = [['key', 'sequence', ...numbers, ...words, 'error']];
  for (const row of chosen) {
    lines.push([rows.key(row), rows.sequence(row), ...numbers.map((name) => rows.number(name, row)),
      ...words.map((name) => rows.word(name, row)), rows.error(row)]);
  }
  return lines.map((line) => `${line.map(cell).join(',')}\n`).join('');
}

function sdfOf(page, rows, chosen) {
  const place = new Map(page.structures.rows.map((row, i) => [row, i]));
  const found = chosen.filter((row) => place.has(row));
  const text = found.map((row) => {
    const fields = Object.keys(page.labels).filter((name) => !Number.isNaN(rows.number(name, row)))
      .map((name) => `>  <${name.replace(/[<>]/g, '')}>\n${rows.number(name, row)}\n\n`);
    return `${page.structures.records[place.get(row)]}>  <SMILES>\n${rows.key(row)}\n\n${fields.join('')}$$$$\n`;
  }).join('');
  return { text, count: found.length };
}

function startExport(page, rows, chosen) {
  const selected = () => [...chosen.rows].sort((a, b) => a - b);
  const say = (text) => { byId('export-said').textContent = text; };
  byId('export-csv').addEventListener('click', () => {
    const own = selected();
    if (!own.length) return say('Select rows first.');
    save('selected.csv', 'text/csv', csvOf(page, rows, own));
    return say(`${own.length.toLocaleString('en')} rows are in selected.csv.`);
  });
  const button = byId('export-structures');
  if (!page.structure_file) return;
  button.hidden = false;
  button.textContent = `Selected as ${page.structure_file.toUpperCase()}`;
  button.addEventListener('click', () => {
    const own = selected();
    if (!own.length) return say('Select rows first.');
    const { text, count } = sdfOf(page, rows, own);
    if (!count) return say(`This page holds structures of the ${page.structures.rows.length.toLocaleString('en')} best alone, and none of these is selected.`);
    save(`selected.${page.structure_file}`, 'chemical/x-mdl-sdfile', text);
    const left = own.length - count;
    return say(`${count.toLocaleString('en')} structures are in selected.${page.structure_file}.`
      + (left ? ` ${left.toLocaleString('en')} others aren't: this page holds structures of the ${page.structures.rows.length.toLocaleString('en')} best.` : ''));
  });
}
