// Reading the blocks that opinion_assets/report/payload.py put into the page. A block is unpacked when it is first
// wanted and kept; nothing here changes a number.
const { h, render } = preact;
const { useState, useEffect, useLayoutEffect, useMemo, useRef, useErrorBoundary } = preactHooks;
const html = htm.bind(h);

const ARRAYS = { int16: Int16Array, int32: Int32Array, uint16: Uint16Array };
const MISSING = { Int16Array: -32768, Int32Array: -2147483648, Uint16Array: 65535 };
const elements = new Map(
  [...document.querySelectorAll("script[data-block]")].map((element) => [element.dataset.block, element]),
);
const unpacked = new Map();
const unpacking = new Map();

const has = (name) => elements.has(name);

/** The block's content: what its JSON holds, a table (see `tableOf`) where it was one, or a typed array. */
function unpack(name) {
  if (!unpacking.has(name)) unpacking.set(name, read(name));
  return unpacking.get(name);
}

async function read(name) {
  const element = elements.get(name);
  const text = element.textContent;
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const kind = element.dataset.kind;
  let content = kind === "json" ? JSON.parse(new TextDecoder().decode(buffer)) : new ARRAYS[kind](buffer);
  if (content.columns) content = tableOf(content);
  unpacked.set(name, content);
  element.textContent = "";
  return content;
}

/** A table by columns: `n` rows, `value(name, row)`, `levels(name)` and `codes(name)` of a text column, `rows()`. */
function tableOf({ n, columns }) {
  const names = Object.keys(columns);
  const value = (name, row) => {
    const column = columns[name];
    return column.levels ? (column.codes[row] < 0 ? null : column.levels[column.codes[row]]) : column[row];
  };
  let objects;
  return {
    n, value,
    has: (name) => name in columns,
    levels: (name) => columns[name].levels ?? [],
    codes: (name) => columns[name].codes ?? [],
    rows: () => (objects ??= Array.from({ length: n }, (_, row) =>
      Object.fromEntries(names.map((name) => [name, value(name, row)])))),
  };
}

/** The named blocks' contents once all are unpacked, null before; a block that the page lacks is undefined. */
function useBlocks(names) {
  const [, redraw] = useState(0);
  const missing = names.filter((name) => has(name) && !unpacked.has(name));
  const key = missing.join("\n");
  useLayoutEffect(() => {
    if (!missing.length) return undefined;
    let wanted = true;
    Promise.all(missing.map(unpack)).then(() => wanted && redraw((count) => count + 1));
    return () => { wanted = false; };
  }, [key]);
  return missing.length ? null : names.map((name) => unpacked.get(name));
}

let meta;
let omitted;
const keyOf = (metric) => `${metric.metric}|${metric.base}`;
const distinct = (values) => [...new Set(values)];
const NATIONAL = new Set(["national", "current_national"]);
const numberOf = (units) => units / meta.units;

/** Number of a model version's partition under a condition; -1 where nothing is stored. */
const partitionNumber = (model, condition) =>
  meta.partitions.findIndex((item) => item.model_version === model && item.condition === condition);

const countryName = (code) => meta.countries[code]?.[0] ?? code;
const regionOf = (code) => meta.countries[code]?.[1] ?? "";

// Where a question's probabilities and a human row's shares begin in their arrays; by question its human rows,
// in how many countries it was asked, and its place in the order of texts. Made once, when all is unpacked.
let layout;
function questionLayout(questions, human) {
  if (layout) return layout;
  const size = new Map();
  for (const item of questions) size.set(item.question_id, item.options.length);
  const modelStart = new Map();
  let start = 0;
  for (const id of meta.question_ids) { modelStart.set(id, start); start += size.get(id); }
  const humanStart = new Uint32Array(human.n);
  start = 0;
  const rowsOf = questions.map(() => []);
  for (let row = 0; row < human.n; row += 1) {
    const question = human.value("question", row);
    humanStart[row] = start;
    start += questions[question].options.length;
    rowsOf[question].push(row);
  }
  const country = human.codes("country");
  const countries = rowsOf.map((rows) => new Set(rows.map((row) => country[row])).size);
  const textOrder = new Uint32Array(questions.length);
  [...questions.keys()].sort((a, b) => collate(questions[a].text, questions[b].text)).forEach((question, order) => { textOrder[question] = order; });
  const place = new Map(meta.question_ids.map((id, number) => [id, number]));
  layout = { modelStart, humanStart, place, rowsOf, countries, textOrder };
  return layout;
}

/** Shares of a distribution, 0 to 1; null where the model gave none, undefined where the page lacks the block. */
function slice(array, start, n) {
  if (!array) return undefined;
  if (array[start] === MISSING.Uint16Array) return null;
  return Array.from(array.subarray(start, start + n), numberOf);
}

/** Place of the largest share of a distribution; -1 where there is none. */
function likeliest(array, start, n) {
  if (!array || array[start] === MISSING.Uint16Array) return -1;
  let top = 0;
  for (let place = 1; place < n; place += 1) if (array[start + place] > array[start + top]) top = place;
  return top;
}

/** A question-level value, or null. */
function valueAt(values, row) {
  if (!values) return null;
  const units = values[row];
  return units === MISSING[values.constructor.name] ? null : numberOf(units);
}
