// What is shown stands in the address after "#", so that a view can be linked to and the back button works:
// #/view/item?source=…&model=…
const listeners = new Set();

function readState() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", item = ""] = path.split("/").map(decodeURIComponent);
  return { view: view || "map", item, ...Object.fromEntries(new URLSearchParams(query)) };
}

function hashOf({ view, item, ...rest }) {
  const given = Object.entries(rest).filter(([, value]) => value !== "" && value != null);
  const query = given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  return `#/${view}${item ? `/${encodeURIComponent(item)}` : ""}${query ? `?${query}` : ""}`;
}

// What belongs to one list or dialog and not to the next view.
const PASSING = { q: "", topic: "", sort: "", page: "", why: "" };

/** The address of this view with some things changed; another view or item starts with empty lists. */
function link(state, changes) {
  const moved = ("view" in changes && changes.view !== state.view) || ("item" in changes && changes.item !== state.item);
  return hashOf({ ...state, ...(moved ? { ...PASSING, item: "" } : {}), ...changes });
}

/** Go there; with `replace` the back button does not come back to the present state. */
function go(state, changes, { replace = false } = {}) {
  const target = link(state, changes);
  if (replace) history.replaceState(null, "", target); else location.hash = target;
  // At once: the browser's own event comes only after the next frame may have been drawn.
  listeners.forEach((listener) => listener());
}

function useHash() {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const update = () => set(location.hash);
    addEventListener("hashchange", update);
    listeners.add(update);
    return () => { removeEventListener("hashchange", update); listeners.delete(update); };
  }, []);
  return useMemo(readState, [hash]);
}

// What a metric's table of country means holds: its rows by source, the source with most rows first, and the names in
// them. Worked out once, and the same arrays each time, so that what depends on them is not worked out anew either.
const surveyed = new WeakMap();
function bySource(table) {
  if (surveyed.has(table)) return surveyed.get(table);
  const found = new Map();
  for (const row of table.rows()) {
    if (!found.has(row.source)) found.set(row.source, { here: [], conditions: new Map(), samples: new Set() });
    const { here, conditions, samples } = found.get(row.source);
    here.push(row);
    if (!conditions.has(row.model_version)) conditions.set(row.model_version, new Set());
    conditions.get(row.model_version).add(row.condition);
    if (row.group_by === "" && !NATIONAL.has(row.sample_type)) samples.add(row.sample_type);
  }
  const order = (a, b) => (b === "default") - (a === "default") || collate(a, b);
  const sources = new Map([...found].sort(([, a], [, b]) => b.here.length - a.here.length).map(([source, { here, conditions, samples }]) =>
    [source, { here, conditions: new Map([...conditions].map(([model, names]) => [model, [...names].sort(order)])), samples: [...samples].sort() }]));
  surveyed.set(table, sources);
  return sources;
}

/** The state with every choice made: names that are not stored give way to the first that is. */
function chosen(raw) {
  const state = { ...raw };
  const pick = (name, values) => { if (!values.includes(state[name])) state[name] = values[0] ?? ""; };
  const metric = meta.metrics.find((item) => keyOf(item) === state.metric) ?? meta.metrics[0];
  const table = metric && unpacked.get(`country|${keyOf(metric)}`);
  const stored = table ? bySource(table) : new Map();
  const sources = [...stored.keys()];
  pick("source", sources);
  const { here = [], conditions: byModel = new Map(), samples = [] } = stored.get(state.source) ?? {};
  const models = [...byModel.keys()].sort();
  pick("model", models);
  const conditionsOf = (model) => byModel.get(model) ?? [];
  const conditions = conditionsOf(state.model);
  pick("condition", conditions);
  if (state.sample && !samples.includes(state.sample)) state.sample = "";
  return { state, metric, here, sources, models, conditions, conditionsOf, samples };
}
