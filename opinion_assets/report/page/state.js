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
  const query = new URLSearchParams(given).toString();
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
  if (replace) {
    history.replaceState(null, "", target);
    listeners.forEach((listener) => listener());
  } else {
    location.hash = target;
  }
}

function useHash() {
  const [state, set] = useState(readState);
  useEffect(() => {
    const update = () => set(readState());
    addEventListener("hashchange", update);
    listeners.add(update);
    return () => { removeEventListener("hashchange", update); listeners.delete(update); };
  }, []);
  return state;
}

/** The state with every choice made: names that are not stored give way to the first that is. */
function chosen(raw) {
  const state = { ...raw };
  const pick = (name, values) => { if (!values.includes(state[name])) state[name] = values[0] ?? ""; };
  const metric = meta.metrics.find((item) => keyOf(item) === state.metric) ?? meta.metrics[0];
  const table = metric && unpacked.get(`country|${keyOf(metric)}`);
  const stored = table ? table.rows() : [];
  const count = new Map();
  for (const row of stored) count.set(row.source, (count.get(row.source) ?? 0) + 1);
  const sources = [...count.keys()].sort((a, b) => count.get(b) - count.get(a));
  pick("source", sources);
  const here = stored.filter((row) => row.source === state.source);
  const models = distinct(here.map((row) => row.model_version)).sort();
  pick("model", models);
  const order = (a, b) => (b === "default") - (a === "default") || a.localeCompare(b);
  const conditionsOf = (model) => distinct(here.filter((row) => row.model_version === model).map((row) => row.condition)).sort(order);
  const conditions = conditionsOf(state.model);
  pick("condition", conditions);
  const samples = distinct(here.filter((row) => row.group_by === "").map((row) => row.sample_type))
    .filter((sample) => !NATIONAL.has(sample)).sort();
  if (state.sample && !samples.includes(state.sample)) state.sample = "";
  return { state, metric, stored, here, sources, models, conditions, conditionsOf, samples };
}
