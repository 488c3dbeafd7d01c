// Line charts and histograms, by Chart.js.

const charts = [];  // functions that make a chart anew, in the colours of the theme

function addChart(parent, caption, said, makeConfig) {
  const canvas = element('canvas', { role: 'img', 'aria-label': `${caption}. ${said}` });
  const figure = element('figure', {}, element('figcaption', {}, caption), element('div', { class: 'chart' }, canvas));
  parent.append(figure);
  let chart = null;
  const draw = () => {
    if (chart) chart.destroy();
    chart = new Chart(canvas, makeConfig());
  };
  charts.push(draw);
  draw();
}

function axis(title, more = {}) {
  return {
    title: { display: Boolean(title), text: title, color: colour('muted') },
    ticks: { color: colour('muted'), maxTicksLimit: 6 },
    grid: { color: colour('line') },
    ...more,
  };
}

function baseOptions(xTitle, legend) {
  return {
    animation: false,
    maintainAspectRatio: false,
    responsive: true,
    interaction: { mode: 'nearest', axis: 'x', intersect: false },
    plugins: {
      legend: { display: legend, labels: { color: colour('ink'), boxWidth: 12 } },
      tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${shown(item.parsed.y)}` } },
    },
    scales: { x: axis(xTitle, { type: 'linear' }), y: axis('') },
  };
}

// Curves that the page shows: title, names of the series with what they are called, and ends of the axis.
const CURVES = [
  ['Reward', [['windows.reward', 'mean of those scored'], ['windows.top10', 'best ten so far']]],
  ['KL to the prior, nats', [['kl_to_prior', 'KL']], { suggestedMin: 0, suggestedMax: 1 }],
  ['Shares of what was proposed last', [['valid_share', 'valid'], ['repeated_share', 'known already'], ['windows.failed', 'failed']], { min: 0, max: 1 }],
  ['Diversity (1 − mean similarity)', [['windows.diversity', 'diversity']], { min: 0, max: 1 }],
  ['Temperature c', [['temperature', 'c']]],
  ['Groups that [diversity] counts', [['groups', 'groups']]],
  ['Updates', [['updates', 'updates']], { min: 0 }],
  ['Minutes', [['elapsed_min', 'minutes']]],
];

function seriesOf(run, name) {
  if (name.startsWith('windows.')) {
    return run.windows.order.map((x, i) => ({ x, y: run.windows[name.slice(8)][i] }));
  }
  const minutes = name === 'elapsed_min';
  const values = (run.curves || {})[minutes ? 'elapsed_s' : name] || [];
  return values.map((y, i) => ({ x: run.curves.scores_used[i], y: minutes && y !== null ? y / 60 : y }));
}

const saysSomething = (points) => points.some((p) => p.y !== null && p.y !== 0);

function showCurves(page) {
  const parent = byId('curve-charts');
  const several = page.runs.length > 1;
  const groups = [...new Set(page.runs.map((run) => run.group))];
  for (const [title, series, ends] of CURVES) {
    const lines = [];
    for (const [name, label] of several ? series.slice(-1) : series) {
      for (const run of page.runs) {
        const points = seriesOf(run, name);
        if (saysSomething(points)) lines.push({ label: several ? run.name : label, points, group: groups.indexOf(run.group), called: label });
      }
    }
    if (!lines.length) continue;
    const last = lines.map((line) => `${line.label}: ${shown(line.points[line.points.length - 1].y)}`).join(', ');
    const caption = several ? `${title} (${lines[0].called})` : title;
    addChart(parent, caption, `At the end ${last}.`, () => ({
      type: 'line',
      data: {
        datasets: lines.map((line, i) => {
          const own = colours()[(several ? line.group : i) % colours().length];
          return { label: line.label, data: line.points, borderColor: own, backgroundColor: own, borderWidth: 2, pointRadius: 0, pointHitRadius: 8, parsing: false, spanGaps: false };
        }),
      },
      options: { ...baseOptions('scores', lines.length > 1), scales: { x: axis('scores', { type: 'linear' }), y: axis('', ends) } },
    }));
  }
}

function showProperties(page) {
  const parent = byId('property-charts');
  if (!page.distributions.length) { byId('properties').hidden = true; return; }
  const data = page.corpus ? ` Data: ${page.corpus}.` : '';
  byId('properties-said').textContent =
    `Shares of the 200 best, of a sample of all that was found, of the prior's samples and of its data.${data} Medians are in the legend.`;
  for (const property of page.distributions) {
    const names = Object.keys(property.sets);
    const middles = property.edges.slice(1).map((edge, i) => (edge + property.edges[i]) / 2);
    const said = names.map((name) => `median of ${name} ${shown(property.medians[name])}`).join(', ');
    addChart(parent, property.name, said, () => ({
      type: 'line',
      data: {
        datasets: names.map((name, i) => ({
          label: `${name} ${shown(property.medians[name])}`,
          data: property.sets[name].map((y, j) => ({ x: middles[j], y: 100 * y })),
          borderColor: colours()[i], backgroundColor: colours()[i], borderWidth: name === 'the best' ? 3 : 1.6,
          borderDash: name === 'data' ? [5, 4] : name === 'prior' ? [2, 2] : [], pointRadius: 0, stepped: 'middle', parsing: false,
        })),
      },
      options: { ...baseOptions('', true), scales: { x: axis('', { type: 'linear' }), y: axis('% of them') } },
    }));
  }
}
