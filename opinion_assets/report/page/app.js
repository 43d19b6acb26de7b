// The frame around the views.
const VIEWS = { map: MapView, compare: CompareView, questions: QuestionsView, country: CountryView, question: QuestionView, about: AboutView };
const TABS = [["map", "Map"], ["compare", "Compare"], ["questions", "Questions"], ["about", "About"]];
const TITLE = "Whose opinions do the answers resemble?";

function useTheme() {
  const [theme, set] = useState(() => { try { return localStorage.getItem("theme") || ""; } catch { return ""; } });
  useLayoutEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
    try { localStorage.setItem("theme", theme); } catch { /* not kept */ }
  }, [theme]);
  return [theme, set];
}

function App() {
  const raw = useHash();
  const [theme, setTheme] = useTheme();
  const [failure] = useErrorBoundary();
  const metric = meta.metrics.find((item) => keyOf(item) === raw.metric) ?? meta.metrics[0];
  const ready = useBlocks(metric ? [`country|${keyOf(metric)}`] : []);
  // While a metric's numbers are unpacked, the page keeps showing what it showed.
  const last = useRef(raw);
  if (ready) last.current = raw;
  // What is behind a number opens over the view, which stays as it is.
  const { why = "", ...under } = last.current;
  const choice = useMemo(() => chosen(under), [hashOf(under), ready != null]);
  const view = VIEWS[choice.state.view] ? choice.state.view : "map";
  const place = `${view}/${choice.state.item}`;
  const before = useRef(place);
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    scrollTo(0, 0);
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }, [place]);
  useEffect(() => {
    const heading = document.querySelector("main h1")?.textContent ?? TITLE;
    document.title = heading === TITLE ? TITLE : `${heading.slice(0, 80)} – ${TITLE}`;
  });
  const shown = useMemo(() => html`<${VIEWS[view]} key=${view === "country" || view === "question" ? place : view} choice=${choice} />`, [choice]);
  if (failure) return html`<main class="page"><h1>The page could not be drawn</h1><p role="alert">${String(failure)}</p></main>`;
  const current = { country: "map", question: "questions" }[view] ?? view;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.querySelector("main h1").focus(); }}>Skip to content</a>
    <header class="top"><div class="page"><p class="brand">opinion_assets</p>
      <nav aria-label="Views">${TABS.map(([key, text]) => html`<a href=${link(choice.state, { view: key })} aria-current=${key === current ? "page" : undefined}>${text}</a>`)}</nav>
      <${Menu} label="Theme" value=${theme} options=${[["", "Automatic"], ["light", "Light"], ["dark", "Dark"]]} onChange=${setTheme} /></div></header>
    <main id="main" class="page view-${view}">
      ${choice.here.length ? shown
        : html`<h1 tabindex="-1">Nothing is scored yet</h1><p>This warehouse holds no similarities. Run <code>opinion-assets run</code>, then <code>opinion-assets report</code>.</p>`}
    </main>
    <footer class="page soft"><p>opinion_assets ${meta.version} · built ${meta.built} · <a href=${link(choice.state, { view: "about" })}>Sources, methods, runs and licences</a></p></footer>
    <${Why} state=${{ ...choice.state, why }} metric=${choice.metric} />`;
}

(async () => {
  const root = document.getElementById("app");
  try {
    if (typeof DecompressionStream === "undefined") throw new Error("This browser is too old to unpack the data (it lacks DecompressionStream).");
    [meta, omitted] = await Promise.all([unpack("meta"), unpack("omitted")]);
    meta.metrics = meta.metrics.filter((metric) => has(`country|${keyOf(metric)}`));
    if (meta.metrics.length) await unpack(`country|${keyOf(meta.metrics[0])}`);
    root.replaceChildren();
    render(html`<${App} />`, root);
    document.documentElement.dataset.ready = "true";
    performance.mark("report-ready");
    // What the next click most likely needs is unpacked while nothing else happens.
    const idle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
    const first = meta.metrics[0];
    const wanted = first ? [...["reference", "region", "topic"].map((kind) => `${kind}|${keyOf(first)}`), "question", "human", "share", ...meta.partitions.flatMap((_, number) =>
      [`probability|${number}`, `quality|${number}`, `value|${number}|${keyOf(first)}`]).slice(0, 60), `comparison|${keyOf(first)}`] : [];
    const next = async () => {
      const name = wanted.find((item) => has(item) && !unpacked.has(item));
      if (!name) {
        if (unpacked.has("human")) questionLayout(unpacked.get("question"), unpacked.get("human"));
        document.documentElement.dataset.unpacked = "true";
        return;
      }
      const content = await unpack(name);
      if (name.endsWith(`|${keyOf(first)}`)) content.rows?.();
      idle(next);
    };
    idle(next);
  } catch (error) {
    const text = Object.assign(document.createElement("p"), { textContent: String(error) });
    text.setAttribute("role", "alert");
    root.replaceChildren(text);
  }
})();
