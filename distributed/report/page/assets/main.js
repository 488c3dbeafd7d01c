// Puts the page together.

function showContents() {
  for (const section of document.querySelectorAll('main > section')) {
    if (section.hidden) continue;
    const title = section.querySelector('h2').textContent.split(':')[0];
    byId('contents').append(element('li', {}, element('a', { href: `#${section.id}` }, title)));
  }
}

// What the reader has chosen, kept while the page is loaded anew.
const INPUTS = ['scatter-x', 'scatter-y', 'scatter-colour', 'search', 'filter-status', 'filter-source', 'filter-reward'];
const STATE = 'sequence-tutor';

function keepState() {
  const values = INPUTS.map((id) => byId(id).value);
  sessionStorage.setItem(STATE, JSON.stringify({ values, theme: currentTheme(), scroll: window.scrollY }));
}

function restoreState() {
  const kept = sessionStorage.getItem(STATE);
  if (!kept) return;
  sessionStorage.removeItem(STATE);
  const { values, theme, scroll } = JSON.parse(kept);
  INPUTS.forEach((id, i) => {
    const input = byId(id);
    if (input.tagName === 'SELECT' && ![...input.options].some((option) => option.value === values[i])) return;
    input.value = values[i];
    input.dispatchEvent(new Event(input.tagName === 'SELECT' ? 'change' : 'input'));
  });
  if (theme !== currentTheme()) setTheme(theme);
  window.scrollTo(0, scroll);
}

// Asks the server for a newer page and takes it, at the place where the reader is.
function keepFresh(page) {
  if (!page.live_every_s || location.protocol === 'file:') return;
  setInterval(async () => {
    try {
      const answer = await fetch(`version${location.search}`, { cache: 'no-store' });
      if (answer.ok && Number(await answer.text()) > page.made && !byId('details').open) {
        keepState();
        location.reload();
      }
    } catch { /* the server has ended; the page stays as it is */ }
  }, page.live_every_s * 1000);
}

async function start() {
  startTheme();
  const { content: page, read } = await unpack(byId('data').textContent.trim());
  const rows = new Rows(page.rows, read);
  const made = new Date(page.made * 1000);
  byId('made').textContent = `Made ${made.toLocaleString()} by sequence-tutor ${page.version}. ${rows.total.toLocaleString('en')} rows on record.`;
  byId('warnings').append(...page.warnings.map((text) => element('p', { class: 'warning' }, text)));
  byId('sampled').textContent = page.sampled;
  const chosen = new Chosen();
  const details = new Details(page, rows);
  const open = (row) => details.open(row);
  showCompared(page);
  showGallery(page, rows, chosen, open);
  await new Promise((resolve) => { setTimeout(resolve); });  // so that the best are seen before the rest is there
  showCurves(page);
  showSources(page);
  showComponents(page);
  new Scatter(page, rows, open);
  const table = new Table(page, rows, chosen, open);
  startExport(page, rows, chosen);
  showGroups(page, rows, open, (own) => table.limitTo(own));
  showProperties(page);
  showFailures(page);
  byId('config-section').hidden = !page.config;
  byId('config').textContent = page.config;
  byId('command').textContent = page.command;
  byId('save-config').addEventListener('click', () => save('config.toml', 'application/toml', page.config));
  themed.push(() => { for (const draw of charts) draw(); });
  showContents();
  if (page.live_every_s) restoreState();
  keepFresh(page);
  document.documentElement.dataset.ready = 'yes';
}

start();
