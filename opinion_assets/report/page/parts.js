// Pieces that several views use: number formats, tables, menus, downloads.
const FEW = 30;
const LOW_MASS = 0.9;
const STRONG_ORDER = 0.1;
const ROWS_AT_ONCE = 25;
// One of each for all: making one for each use takes most of the time of sorting and drawing.
const collate = new Intl.Collator("en", { numeric: true }).compare;
const grouped = new Intl.NumberFormat("en-US");
const languages = new Intl.DisplayNames(["en"], { type: "language" });

const fixed = (value, digits = 3) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
const signed = (value) => (value == null ? "–" : `${value > 0 ? "+" : ""}${fixed(value)}`);
const range = (low, high, form = fixed) => (low == null ? "–" : `${form(low)} to ${form(high)}`);
const percent = (share, digits = 1) => (share == null ? "–" : `${(share * 100).toFixed(digits)} %`);
const thousands = (value) => (value == null ? "–" : grouped.format(value));
const pValue = (p) => (p == null ? "–" : p < 0.001 ? "< 0.001" : p.toFixed(3));
const words = (text) => text.replaceAll("_", " ");
const plural = (n, one, many) => `${thousands(n)} ${n === 1 ? one : many}`;

function conditionName(condition) {
  const [kind, argument] = condition.split(":");
  if (kind === "cross_national") return `as someone from ${countryName(argument)}`;
  if (kind === "linguistic") {
    let language = argument;
    try { language = languages.of(argument); } catch { /* stays the tag */ }
    return `asked in ${language}`;
  }
  return condition === "default" ? "default" : condition;
}
const capital = (name) => words(name).replace(/^./, (letter) => letter.toUpperCase());

/** A file from rows of cells; the first row is the header. */
function download(name, rows) {
  const cell = (value) => {
    const text = value == null ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const text = rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  const url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
const fileName = (...parts) => `${parts.filter(Boolean).join("_").replace(/[^\p{L}\p{N}.@-]+/gu, "-")}.csv`;

const Menu = ({ label, value, options, onChange }) => html`
  <label class="field"><span>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select></label>`;

const Search = ({ label, value, onInput }) => html`
  <label class="field"><span>${label}</span>
    <input type="search" value=${value} onInput=${(event) => onInput(event.target.value)} /></label>`;

/** A number that opens what is behind it. */
const Origin = ({ state, why, children, label }) => html`
  <a class="number" href=${link(state, { why: JSON.stringify(why) })} aria-label=${label} aria-haspopup="dialog">${children}</a>`;

/** Mean and interval on a common axis; the numbers stand beside it. */
function Interval({ low, high, value, from, to, colour, zero, marks = [] }) {
  const width = 180;
  const at = (x) => 5 + ((Math.min(Math.max(x, from), to) - from) / ((to - from) || 1)) * (width - 10);
  return html`<svg class="interval" viewBox="0 0 ${width} 16" aria-hidden="true" focusable="false">
    <line class="axis" x1="5" x2=${width - 5} y1="8" y2="8" />
    ${zero && html`<line class="zero" x1=${at(0)} x2=${at(0)} y1="0" y2="16" />`}
    ${marks.map(([kind, mark]) => html`<line class="mark ${kind}" x1=${at(mark)} x2=${at(mark)} y1="1" y2="15" />`)}
    ${low != null && html`<line class="whisker" x1=${at(low)} x2=${at(high)} y1="8" y2="8" />`}
    <circle cx=${at(value)} cy="8" r="4.5" fill=${colour ?? "currentColor"} />
  </svg>`;
}

/** Ends of a common axis for rows with `value`, `low` and `high`. */
function axisOf(rows, value, low, high) {
  let from = Infinity;
  let to = -Infinity;
  for (const row of rows) {
    from = Math.min(from, row[value], row[low] ?? Infinity);
    to = Math.max(to, row[value], row[high] ?? -Infinity);
  }
  return rows.length ? [from, to] : [0, 1];
}

// What is drawn a frame after the rest of the page shows, so that what is seen first does not wait for it. Printing draws all.
const waiting = new Set();
let printing = false;
function drawWaiting() {
  const draws = [...waiting];
  waiting.clear();
  delete document.documentElement.dataset.drawing;
  draws.forEach((draw) => draw());
}
addEventListener("beforeprint", () => { printing = true; drawWaiting(); });
addEventListener("afterprint", () => { printing = false; });

/** What `draw` gives, a frame late; until then nothing or, with `keep`, what it gave before, which keeps the page's length. */
function Later({ draw, keep }) {
  const [{ of, drawn }, set] = useState({});
  useLayoutEffect(() => {
    const update = () => set({ of: draw, drawn: draw() });
    if (printing) { update(); return undefined; }
    // The second frame begins when the first is on the screen.
    if (!waiting.size) requestAnimationFrame(() => requestAnimationFrame(drawWaiting));
    waiting.add(update);
    document.documentElement.dataset.drawing = "true";
    return () => waiting.delete(update);
  }, [draw]);
  return keep || of === draw ? drawn : null;
}

/** Items of a long list in groups, the first at once and each further, larger one a frame later; `group` draws one. */
function InTurn({ items, size, group, keep = false }) {
  const rest = items.slice(size);
  return html`${group(items.slice(0, size))}
    ${rest.length > 0 && html`<${Later} keep=${keep} draw=${() => html`<${InTurn} items=${rest} size=${2 * size} group=${group} keep=${keep} />`} />`}`;
}

/**
 * A sortable table. columns: {key, label, sort?, numeric?, cell?, csv?, head?}; `cell` and `csv` take the row.
 * The order stands in the state as "table.key" or "table.-key"; another table's does not concern this one.
 */
function SortTable({ state, name, columns, rows, caption, file, start, note, page = 1, size = Infinity }) {
  const wanted = state.sort?.startsWith(`${name}.`) ? state.sort.slice(name.length + 1) : start;
  const descending = wanted.startsWith("-");
  const key = wanted.replace(/^-/, "");
  const by = columns.find((column) => column.key === key && column.sort);
  const sorted = useMemo(() => {
    if (!by) return rows;
    const sign = descending ? -1 : 1;
    return [...rows].sort((a, b) => {
      const x = by.sort(a);
      const y = by.sort(b);
      if (x == null || y == null) return (x == null) - (y == null);
      return sign * (typeof x === "string" ? collate(x, y) : x - y);
    });
  }, [rows, by?.key, descending]);
  const shown = columns.filter((column) => column.cell);
  const save = () => {
    const saved = columns.filter((column) => column.csv);
    download(file, [saved.map((column) => column.key), ...sorted.map((row) => saved.map((column) => column.csv(row)))]);
  };
  const line = (row) => html`<tr key=${row.key}>${shown.map((column, place) => (place === 0
    ? html`<th scope="row">${column.cell(row)}</th>`
    : html`<td class=${column.numeric ? "n" : ""}>${column.cell(row)}</td>`))}</tr>`;
  const group = (part) => html`<tbody>${part.map(line)}</tbody>`;
  return html`
    <div class="bar"><p class="soft" role="status">${note ?? plural(rows.length, "row", "rows")}</p>
      <button type="button" onClick=${save}>Download CSV</button></div>
    <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table class=${name}><caption class="sr">${caption}</caption><thead><tr>
      ${shown.map((column) => {
        const active = by && column.key === by.key;
        const next = active && descending ? column.key : active ? `-${column.key}` : column.first === "high" ? `-${column.key}` : column.key;
        return html`<th scope="col" class=${column.numeric ? "n" : ""} data-label=${column.sort && column.label} aria-sort=${column.sort ? (active ? (descending ? "descending" : "ascending") : "none") : undefined}>
          ${column.sort
            ? html`<button type="button" onClick=${() => go(state, { sort: `${name}.${next}` }, { replace: true })}>${column.label}</button>`
            : column.label}</th>`;
      })}
    </tr></thead>
      <${InTurn} items=${size < sorted.length ? sorted.slice((page - 1) * size, page * size) : sorted} size=${ROWS_AT_ONCE} group=${group} keep=${true} />
    </table></div>`;
}

/** Links to the pages of a long list. */
function Pages({ state, n, size, page, label }) {
  const last = Math.max(1, Math.ceil(n / size));
  if (last === 1) return null;
  const to = (number, text, name) => number < 1 || number > last || number === page
    ? html`<span class="off" aria-current=${number === page ? "page" : undefined}>${text}</span>`
    : html`<a href=${link(state, { page: String(number) })} aria-label=${name}>${text}</a>`;
  return html`<nav class="pages" aria-label=${label}>
    ${to(page - 1, "← Previous", "Previous page")}
    <span>Page ${page} of ${last}</span>
    ${to(page + 1, "Next →", "Next page")}</nav>`;
}

/** What a reader must know before using these numbers. */
function Caveats({ partition, rows }) {
  const few = rows.filter((row) => row.n_questions < FEW).length;
  const items = [];
  if (few) {
    items.push(html`<b>${few} of ${plural(rows.length, "country", "countries")}</b> ${few === 1 ? "rests" : "rest"} on fewer
      than ${FEW} questions (hatched on the map, † in tables). Intervals from so few questions are too narrow, and one question has none:
      read such a row as a description of those questions, not of the country.`);
  }
  if (partition) {
    const asked = partition.n_questions;
    if (partition.invalid_rate > 0.01) items.push(html`<b>${percent(partition.invalid_rate)} of the answers are invalid</b>: they name no option and are left out.`);
    if (partition.failed_rate > 0) items.push(html`<b>${percent(partition.failed_rate)} of the requests failed</b> and are left out.`);
    if (partition.n_answered < asked) items.push(html`<b>${thousands(asked - partition.n_answered)} of ${thousands(asked)} questions</b> have no valid answer.`);
    if (partition.letter_mass != null && partition.letter_mass < LOW_MASS) items.push(html`<b>Only ${percent(partition.letter_mass)} of the next-token probability</b> was on option letters; the rest was dropped before normalising.`);
    if (partition.order_effect != null && partition.order_effect > STRONG_ORDER) items.push(html`<b>Option order matters:</b> distributions move by ${percent(partition.order_effect)} on average when options are shown in another order.`);
    if (partition.n_orders === 1 && partition.method !== "imported") items.push(html`Each question was asked in <b>one option order</b>; how much the order matters was not measured.`);
  }
  if (!items.length) return null;
  return html`<details class="caveats" open><summary>Read with care</summary><ul>${items.map((item) => html`<li>${item}</li>`)}</ul></details>`;
}
const few = (row) => (row.n_questions < FEW ? html`<span title="Fewer than ${FEW} questions">†</span>` : null);
