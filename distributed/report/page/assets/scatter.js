// Any number against any other, with a third as colour: a canvas of up to 100,000 points.

const BINS = 12;  // steps of the colour scale of a number
const NEAR = 14;  // pixels within which a point is pointed at

class Scatter {
  constructor(page, rows, open) {
    this.page = page;
    this.rows = rows;
    this.open = open;
    this.canvas = byId('scatter');
    this.chart = null;
    this.at = -1;  // the place, in this.rowsShown, of the point that is pointed at
    this.fill('scatter-x', 'order');
    this.fill('scatter-y', 'reward');
    const words = Object.keys(rows.words).map((name) => [`word ${name}`, nameOfWord(name)]);
    const select = byId('scatter-colour');
    for (const [value, label] of words) select.append(element('option', { value }, label));
    for (const [value, label] of Object.entries(page.labels)) select.append(element('option', { value: `number ${value}` }, label));
    select.value = page.runs.length > 1 ? 'word run' : 'word source';
    for (const id of ['scatter-x', 'scatter-y', 'scatter-colour']) byId(id).addEventListener('change', () => this.draw());
    this.canvas.addEventListener('mousemove', (event) => this.point(event));
    this.canvas.addEventListener('click', (event) => { this.point(event); this.openAt(); });
    this.canvas.addEventListener('keydown', (event) => this.key(event));
    charts.push(() => this.draw());
    this.draw();
    if (page.best.length) byId('hover').replaceChildren(element('p', { class: 'muted' }, 'The best:'), ...glance(page, rows, page.best[0].row));
  }

  fill(id, first) {
    const select = byId(id);
    for (const [value, label] of Object.entries(this.page.labels)) select.append(element('option', { value }, label));
    if (first in this.page.labels) select.value = first;
  }

  // Rows by the colour that they have: {label, colour, rows}.
  layers(drawn) {
    const [kind, name] = splitOnce(byId('scatter-colour').value);
    if (kind === 'word') {
      const { names, codes } = this.rows.words[name];
      const counts = new Array(names.length).fill(0);
      for (const row of drawn) counts[codes[row]]++;
      const palette = colours();
      const frequent = counts.map((count, code) => [count, code]).filter(([count]) => count)
        .sort((a, b) => b[0] - a[0]).slice(0, palette.length - 1).map(([, code]) => code);
      const layers = frequent.map((code, i) => ({ label: names[code] || 'none', colour: palette[i], rows: [] }));
      const others = { label: 'others', colour: palette[palette.length - 1], rows: [] };
      const place = new Map(frequent.map((code, i) => [code, layers[i]]));
      for (const row of drawn) (place.get(codes[row]) || others).rows.push(row);
      return others.rows.length ? [others, ...layers] : layers;
    }
    const values = this.rows.numbers[name];
    const known = drawn.filter((row) => !Number.isNaN(values[row])).map((row) => values[row]).sort((a, b) => a - b);
    const low = known[Math.floor(known.length * 0.01)], high = known[Math.floor(known.length * 0.99)];
    const layers = Array.from({ length: BINS }, (_, i) => ({ label: '', colour: scaleColour(i / (BINS - 1)), rows: [] }));
    const unknown = { label: 'unknown', colour: colour('muted'), rows: [] };
    for (const row of drawn) {
      const value = values[row];
      if (Number.isNaN(value)) unknown.rows.push(row);
      else layers[Math.min(BINS - 1, Math.max(0, Math.floor(((value - low) / (high - low || 1)) * BINS)))].rows.push(row);
    }
    layers[0].label = shown(low);
    layers[BINS - 1].label = shown(high);
    return unknown.rows.length ? [unknown, ...layers] : layers;
  }

  draw() {
    const [x, y] = ['scatter-x', 'scatter-y'].map((id) => byId(id).value);
    const across = this.rows.numbers[x], up = this.rows.numbers[y];
    const drawn = [];
    for (let row = 0; row < this.rows.count; row++) {
      if (Number.isFinite(across[row]) && Number.isFinite(up[row])) drawn.push(row);
    }
    const layers = this.layers(drawn);
    this.rowsShown = drawn.sort((a, b) => across[a] - across[b]);
    this.at = -1;
    if (this.chart) this.chart.destroy();
    const radius = drawn.length > 20000 ? 1.2 : drawn.length > 2000 ? 2 : 3;
    const options = baseOptions(this.page.labels[x], false);
    options.events = [];
    options.scales.y = axis(this.page.labels[y]);
    options.plugins.tooltip = { enabled: false };
    this.chart = new Chart(this.canvas, {
      type: 'scatter',
      data: {
        datasets: layers.filter((layer) => layer.rows.length).map((layer) => ({
          label: layer.label,
          data: layer.rows.map((row) => ({ x: across[row], y: up[row] })),
          parsing: false, normalized: true, pointStyle: radius < 2 ? 'rect' : 'circle', pointRadius: radius,
          pointBackgroundColor: layer.colour, pointBorderWidth: 0, pointHoverRadius: radius,
        })),
      },
      options,
      plugins: [{ id: 'ring', afterDatasetsDraw: (chart) => this.ring(chart) }],
    });
    this.index(across, up);
    const legend = byId('scatter-legend');
    legend.replaceChildren(...layers.filter((layer) => layer.rows.length && layer.label).map((layer) => {
      const dot = element('span');
      dot.style.background = layer.colour;
      return element('li', {}, dot, `${layer.label}${byId('scatter-colour').value.startsWith('word') ? ` (${layer.rows.length.toLocaleString('en')})` : ''}`);
    }));
    this.canvas.setAttribute('aria-label', `${drawn.length.toLocaleString('en')} points: ${this.page.labels[y]} against ${this.page.labels[x]}`);
  }

  // Points by squares of NEAR pixels, so that the nearest is found without looking at all.
  index(across, up) {
    const { x, y } = this.chart.scales;
    this.cells = new Map();
    this.positions = this.rowsShown.map((row) => [x.getPixelForValue(across[row]), y.getPixelForValue(up[row])]);
    this.positions.forEach(([px, py], i) => {
      const cell = `${Math.floor(px / NEAR)} ${Math.floor(py / NEAR)}`;
      if (this.cells.has(cell)) this.cells.get(cell).push(i); else this.cells.set(cell, [i]);
    });
    this.indexed = `${this.chart.width} ${this.chart.height}`;
  }

  point(event) {
    if (this.indexed !== `${this.chart.width} ${this.chart.height}`) {
      this.index(this.rows.numbers[byId('scatter-x').value], this.rows.numbers[byId('scatter-y').value]);
    }
    const box = this.canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    let best = -1, least = NEAR * NEAR;
    for (let i = -1; i <= 1; i++) {
      for (let j = -1; j <= 1; j++) {
        for (const at of this.cells.get(`${Math.floor(px / NEAR) + i} ${Math.floor(py / NEAR) + j}`) || []) {
          const [x, y] = this.positions[at];
          const distance = (x - px) ** 2 + (y - py) ** 2;
          if (distance < least) { least = distance; best = at; }
        }
      }
    }
    this.canvas.style.cursor = best < 0 ? 'default' : 'pointer';
    if (best !== this.at && best >= 0) this.show(best);
    if (best < 0 && event.type === 'click') this.at = -1;
  }

  key(event) {
    const last = this.rowsShown.length - 1;
    const moves = { ArrowRight: Math.min(last, this.at + 1), ArrowLeft: Math.max(0, this.at - 1), Home: 0, End: last };
    if (event.key in moves && last >= 0) this.show(moves[event.key]);
    else if (event.key === 'Enter') this.openAt();
    else return;
    event.preventDefault();
  }

  show(at) {
    this.at = at;
    byId('hover').replaceChildren(...glance(this.page, this.rows, this.rowsShown[at]));
    this.chart.draw();
  }

  openAt() {
    if (this.at >= 0) this.open(this.rowsShown[this.at]);
  }

  ring(chart) {
    if (this.at < 0 || !this.positions) return;
    const [x, y] = this.positions[this.at];
    const context = chart.ctx;
    context.save();
    context.strokeStyle = colour('ink');
    context.lineWidth = 2;
    context.beginPath();
    context.arc(x, y, 7, 0, 2 * Math.PI);
    context.stroke();
    context.restore();
  }
}

function splitOnce(text) {
  const at = text.indexOf(' ');
  return [text.slice(0, at), text.slice(at + 1)];
}

// From blue over grey to orange; light enough, or dark enough, for the page.
function scaleColour(share) {
  const ends = currentTheme() === 'dark' ? [[90, 180, 232], [150, 150, 150], [255, 154, 77]] : [[0, 90, 160], [140, 140, 140], [200, 80, 0]];
  const [from, to, part] = share < 0.5 ? [ends[0], ends[1], share * 2] : [ends[1], ends[2], share * 2 - 1];
  return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * part)).join(' ')})`;
}

function nameOfWord(name) {
  const known = { source: 'proposer', status: 'status', run: 'run or stage' };
  return known[name] || name.replace('group.', '').replaceAll('_', ' ');
}
