// Small tables: proposers, components, failures.

function plainTable(caption, columns, lines) {
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    element('table', {},
      element('thead', {}, element('tr', {}, ...columns.map(([label, , number]) => element('th', { scope: 'col', class: number ? 'number' : '' }, label)))),
      element('tbody', {}, ...lines.map((line) => element('tr', {}, ...columns.map(([, read, number]) => {
        const value = read(line);
        return element('td', { class: number ? 'number' : '' }, typeof value === 'number' || value === null ? shown(value) : value);
      }))))));
}

function showSources(page) {
  byId('sources').append(plainTable('Scores by proposer', [
    ['proposer', (s) => s.name],
    ['proposed', (s) => s.proposed ?? null, true],
    ['screened out', (s) => s.screened_out ?? null, true],
    ['scored', (s) => s.scored, true],
    ['failed', (s) => s.failed, true],
    ['invalid', (s) => s.invalid, true],
    ['mean reward', (s) => s.mean, true],
    ['best reward', (s) => s.best, true],
    ['among the best 100', (s) => s.among_best, true],
  ], page.sources));
}

function showComponents(page) {
  byId('components').append(plainTable('Components', [
    ['component', (c) => c.name],
    ['role', (c) => c.role],
    ['weight', (c) => (c.role === 'score' ? c.weight : null), true],
    ['transform', (c) => c.transform],
    ['values', (c) => c.called, true],
    ['not needed', (c) => c.not_called, true],
    ['worth 0', (c) => c.zero, true],
    ['mean', (c) => c.mean, true],
    ['mean of the best 100', (c) => c.mean_best, true],
    ['transformed', (c) => c.transformed_mean, true],
    ['of the best 100', (c) => c.transformed_best, true],
  ], page.components));
}

function showFailures(page) {
  const parent = byId('failures');
  if (!page.failures.length) { parent.append(element('p', {}, 'Nothing failed, and everything was valid.')); return; }
  parent.append(plainTable('Failures by kind', [
    ['status', (f) => f.status],
    ['what went wrong', (f) => f.kind],
    ['how often', (f) => f.count, true],
    ['examples', (f) => element('details', {}, element('summary', {}, `${f.examples.length} of them`),
      ...f.examples.map((one) => element('p', {}, element('span', { class: 'text' }, one.sequence || '(empty)'), element('br'), one.error)))],
  ], page.failures));
}
