// Pictures: those that the page brings, and drawings made here of any other sequence.

const ALLOWED = new Set(['svg', 'g', 'path', 'rect', 'line', 'polyline', 'polygon', 'circle', 'ellipse', 'text', 'tspan',
  'title', 'desc', 'defs', 'pattern', 'use', 'symbol', 'clipPath']);
const SVG = 'http://www.w3.org/2000/svg';
let pictureCount = 0;

// An SVG text as an element, without anything but shapes and letters.
function pictureOf(picture) {
  const parsed = new DOMParser().parseFromString(picture.svg, 'image/svg+xml');
  const svg = parsed.documentElement;
  if (svg.nodeName !== 'svg') return document.createTextNode('');
  for (const one of [...svg.querySelectorAll('*')]) {
    if (!ALLOWED.has(one.localName)) one.remove();
  }
  const prefix = `p${pictureCount++}-`;
  for (const one of [svg, ...svg.querySelectorAll('*')]) {
    for (const { name, value } of [...one.attributes]) {
      const plain = name.toLowerCase();
      if (plain.startsWith('on')) one.removeAttribute(name);
      else if (plain.endsWith('href')) {
        if (value.startsWith('#')) one.setAttribute(name, `#${prefix}${value.slice(1)}`);
        else one.removeAttribute(name);
      } else if (plain === 'id') one.setAttribute(name, prefix + value);
      else if (value.includes('url(')) one.setAttribute(name, value.replace(/url\(["']?#/g, (url) => url + prefix));
    }
  }
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', picture.text);
  return document.importNode(svg, true);
}

// A drawing of any valid sequence of the run, as an element.
function drawing(kind, sequence, width = 240, height = 170) {
  if (kind === 'molecules') return drawnMolecule(sequence, width, height);
  if (kind === 'melodies') return drawnMelody(sequence);
  return element('p', { class: 'text clip' }, sequence);
}

function drawnMolecule(smiles, width, height) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('width', width);
  svg.setAttribute('height', height);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `Molecule ${smiles}`);
  const box = element('div', { class: 'paper' }, svg);
  const instead = () => box.replaceChildren(element('p', { class: 'text clip' }, smiles));
  try {
    const drawer = new SmilesDrawer.SvgDrawer({ width, height, padding: 8 });
    SmilesDrawer.parse(smiles, (tree) => {
      try { drawer.draw(tree, svg, 'light'); } catch { instead(); }
    }, instead);
  } catch { instead(); }
  return box;
}

const PITCHES = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'];

// A plain piano roll: "C4---" is a note of four steps, "." is silence.
function drawnMelody(text) {
  const steps = text.match(/[A-G]#?\d|-|\./g) || [];
  const notes = [];
  steps.forEach((step, at) => {
    const last = notes[notes.length - 1];
    if (step === '-' && last && last.end === at) last.end = at + 1;
    else if (step !== '-' && step !== '.') {
      const pitch = PITCHES.indexOf(step.slice(0, -1)) + 12 * Number(step.slice(-1));
      notes.push({ pitch, begin: at, end: at + 1 });
    }
  });
  const low = Math.min(...notes.map((note) => note.pitch)), high = Math.max(...notes.map((note) => note.pitch));
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${Math.max(1, steps.length) * 6} ${notes.length ? (high - low + 1) * 5 + 4 : 10}`);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', `Melody ${text}`);
  for (const note of notes) {
    const rect = document.createElementNS(SVG, 'rect');
    rect.setAttribute('x', note.begin * 6);
    rect.setAttribute('y', (high - note.pitch) * 5 + 2);
    rect.setAttribute('width', (note.end - note.begin) * 6 - 1);
    rect.setAttribute('height', 5);
    rect.setAttribute('rx', 1);
    rect.setAttribute('fill', 'currentColor');
    svg.append(rect);
  }
  return element('div', { class: 'roll' }, svg);
}
