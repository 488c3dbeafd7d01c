// Unpacks the data of the page: base64 of gzip of JSON and arrays, see pack.py.

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function unpack(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream('gzip'));
  const buffer = await new Response(stream).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const content = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { content, read: (reference) => readArray(buffer, 4 + length, reference) };
}

// A reference becomes a Float32Array, an array of texts, or words: {names, codes}.
function readArray(buffer, start, reference) {
  const at = start + reference.at;
  if (reference.kind === 'f4') return new Float32Array(buffer, at, reference.length);
  if (reference.kind === 'u4') {
    return { names: reference.names, codes: new Uint32Array(buffer, at, reference.length) };
  }
  if (reference.length === 0) return [];
  return new TextDecoder().decode(new Uint8Array(buffer, at, reference.bytes)).split('\n');
}

// The rows of the page as columns, and how one row is read.
class Rows {
  constructor(packed, read) {
    this.count = packed.count;
    this.total = packed.total;
    this.keys = read(packed.key);
    this.sequences = read(packed.sequence);
    this.errors = read(packed.error);
    this.words = mapValues(packed.words, read);
    this.numbers = mapValues(packed.numbers, read);
  }

  key(row) { return this.keys[row]; }
  // the sequence is left out where it is the key
  sequence(row) { return this.sequences[row] || this.keys[row]; }
  error(row) { return this.errors.names[this.errors.codes[row]]; }
  word(name, row) { const w = this.words[name]; return w.names[w.codes[row]]; }
  number(name, row) { return this.numbers[name][row]; }
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

// Four digits for people.
function shown(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (Number.isInteger(value)) return value.toLocaleString('en');
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

// An element with attributes and children. Texts become text nodes, so nothing in them runs.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);
