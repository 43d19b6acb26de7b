// The world map: countries are links, one of them in the tab order; arrow keys move to the nearest country in that
// direction. Countries too small to see are circles.
const TOO_SMALL = 14; // square units of the map, which is 1,000 wide

let areas;
function mapAreas() {
  if (areas) return areas;
  areas = {};
  for (const [code, path] of Object.entries(meta.outlines)) {
    let area = 0;
    for (const ring of path.split("Z")) {
      const points = ring.replace("M", "").split("L").map((pair) => pair.split(",").map(Number));
      for (let i = 0; i < points.length - 1; i += 1) area += points[i][0] * points[i + 1][1] - points[i + 1][0] * points[i][1];
    }
    areas[code] = Math.abs(area / 2);
  }
  return areas;
}

function WorldMap({ rows, colour, describe, hatched, hrefOf, label }) {
  const tip = useRef();
  const frame = useRef();
  const [current, setCurrent] = useState("");
  const byCode = useMemo(() => new Map(rows.map((row) => [row.country, row])), [rows]);
  const codes = useMemo(
    () => rows.map((row) => row.country).filter((code) => meta.points[code] || meta.outlines[code]),
    [rows],
  );
  const focusable = byCode.has(current) ? current : codes[0];
  const isSmall = (code) => !meta.outlines[code] || mapAreas()[code] < TOO_SMALL;

  // Leaving the view takes the focus from a country when the tip is gone already.
  const hide = () => { if (tip.current) tip.current.hidden = true; };
  const show = (code, x, y) => {
    const row = byCode.get(code);
    const [title, ...lines] = describe(row).split("\n");
    tip.current.replaceChildren(Object.assign(document.createElement("b"), { textContent: title }), ...lines.map((line) =>
      Object.assign(document.createElement("span"), { textContent: line })));
    tip.current.hidden = false;
    const box = frame.current.getBoundingClientRect();
    tip.current.style.left = `${Math.min(Math.max(0, x - box.left + 12), Math.max(0, box.width - tip.current.offsetWidth))}px`;
    tip.current.style.top = `${y - box.top + (y - box.top > box.height * 0.7 ? -tip.current.offsetHeight - 10 : 14)}px`;
  };
  const codeOf = (event) => event.target.closest?.("[data-code]")?.dataset.code;
  const onMove = (event) => { const code = codeOf(event); if (code) show(code, event.clientX, event.clientY); else hide(); };
  const onFocus = (event) => {
    const code = codeOf(event);
    if (!code) return;
    setCurrent(code);
    const box = event.target.getBoundingClientRect();
    show(code, box.left + box.width / 2, box.top + box.height / 2);
  };
  const onKey = (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const code = codeOf(event);
    if (event.key === "Escape") hide();
    if (!step || !code) return;
    event.preventDefault();
    const [x, y] = meta.points[code];
    let best = null;
    let least = Infinity;
    for (const other of codes) {
      if (other === code || !meta.points[other]) continue;
      const dx = meta.points[other][0] - x;
      const dy = meta.points[other][1] - y;
      const along = dx * step[0] + dy * step[1];
      const across = Math.abs(dx * step[1]) + Math.abs(dy * step[0]);
      if (along <= 0 || across > along * 2) continue;
      const distance = along + 2 * across;
      if (distance < least) { least = distance; best = other; }
    }
    if (best) frame.current.querySelector(`[data-code="${best}"]`).focus();
  };

  const blank = useMemo(() => Object.entries(meta.outlines).filter(([code]) => !byCode.has(code) || isSmall(code))
    .map(([code, path]) => html`<path key=${`land${code}`} class="land" d=${path} />`), [codes.join()]);
  const shape = (code) => {
    const row = byCode.get(code);
    const inner = isSmall(code)
      ? (given) => html`<circle cx=${meta.points[code][0]} cy=${meta.points[code][1]} r="4" ...${given} />`
      : (given) => html`<path d=${meta.outlines[code]} ...${given} />`;
    return html`<a key=${code} href=${hrefOf(row)} data-code=${code} tabindex=${code === focusable ? 0 : -1}
        aria-label=${describe(row).replaceAll("\n", ", ")}>
      ${inner({ fill: colour(row) })}${hatched(row) && inner({ class: "hatch" })}</a>`;
  };
  return html`<div class="map" ref=${frame} onPointerMove=${onMove} onPointerLeave=${hide}
      onFocusIn=${onFocus} onFocusOut=${hide} onKeyDown=${onKey}>
    <svg viewBox="0 0 ${meta.width} ${meta.height}" role="group" aria-label=${label}>
      <defs>
        <clipPath id="edge"><path d=${meta.edge} /></clipPath>
        <pattern id="hatching" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" fill="none" /><line class="dark" x1="1" y1="0" x2="1" y2="5" /><line class="light" x1="2.4" y1="0" x2="2.4" y2="5" /></pattern>
      </defs>
      <path class="sea" d=${meta.edge} />
      <g clip-path="url(#edge)" class="lands">
        ${blank}
        ${codes.filter((code) => !isSmall(code)).map(shape)}
      </g>
      <g class="small">${codes.filter((code) => isSmall(code) && meta.points[code]).map(shape)}</g>
    </svg>
    <div class="tip" ref=${tip} hidden aria-hidden="true"></div></div>`;
}

function Legend({ scale, hatch, title, sign = "", grey = "not surveyed" }) {
  if (!scale) return null;
  const step = scale.breaks[1] - scale.breaks[0];
  const digits = [0, 1, 2, 3].find((n) => Math.abs(step * 10 ** n - Math.round(step * 10 ** n)) < 1e-6) ?? 4;
  const form = (value) => `${value > 0 ? sign : ""}${fixed(value, digits)}`;
  return html`<div class="legend"><span>${title}</span>
    <span class="classes" role="img" aria-label="${title}: colours from ${form(scale.breaks[0])} to ${form(scale.breaks.at(-1))}">
      ${scale.colours.map((colour, place) => html`<span class="class" key=${place}><i style=${{ background: colour }}></i>
        <small>${form(scale.breaks[place])}</small></span>`)}<small class="end">${form(scale.breaks.at(-1))}</small></span>
    <span class="key"><i class="blank"></i>${grey}</span>
    ${hatch && html`<span class="key"><svg width="22" height="12" aria-hidden="true"><rect class="blank" width="22" height="12" /><rect width="22" height="12" fill="url(#hatching)" /></svg>${hatch}</span>`}</div>`;
}

/** Colour of a value: the class it falls in, the outer ones beyond the ends. */
function colourOf(scale, value) {
  if (!scale) return "currentColor";
  let place = 0;
  while (place < scale.colours.length - 1 && value >= scale.breaks[place + 1]) place += 1;
  return scale.colours[place];
}
