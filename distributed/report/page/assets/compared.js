// Runs side by side: their numbers, their configs, and what more than one of them found.

function showCompared(page) {
  if (!page.compared) return;
  const { groups, sizes, table, names, differences, shared } = page.compared;
  byId('compared').hidden = false;
  const value = ({ mean, spread }) => (spread === null ? shown(mean) : `${shown(mean)} ± ${shown(spread)}`);
  byId('compared-table').append(plainTable('Numbers of the runs', [
    ['', (line) => line.name],
    ...groups.map((group, i) => [sizes[i] > 1 ? `${group} and ${sizes[i] - 1} with other seeds` : group, (line) => value(line.values[i]), true]),
  ], table));
  byId('compared-configs').append(differences.length ? plainTable('Differences of the configs', [
    ['key', (line) => line.key],
    ...names.map((name, i) => [name, (line) => line.values[i] || '–']),
  ], differences) : element('p', {}, 'In nothing.'));
  byId('compared-shared').append(element('p', {}, `${shared.count.toLocaleString('en')} sequences were found by more than one run.`));
  if (!shared.count) return;
  byId('compared-shared').append(plainTable('Found by more than one run', [
    ['sequence', (line) => element('span', { class: 'text' }, line.key)],
    ...shared.names.map((name, i) => [name, (line) => line.rewards[i], true]),
  ], shared.best));
}
