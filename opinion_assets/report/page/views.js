// The views: map with ranking, comparison, country, question, list of questions, about.
const ROWS_PER_PAGE = 20;
const CARDS_AT_ONCE = 6;

function Controls({ choice, sides = 1 }) {
  const { state, metric, sources, models, conditions, samples } = choice;
  const named = (names, form = (name) => name) => names.map((name) => [name, form(name)]);
  const condition = (name) => (name === "default" ? "default" : `${name} (${conditionName(name)})`);
  const set = (changes) => go(state, { ...changes, page: "" });
  const [modelB, conditionB, conditionsB] = sideB(choice);
  return html`<form class="controls" aria-label="What is shown" onSubmit=${(event) => event.preventDefault()}>
    ${sources.length > 1 && html`<${Menu} label="Survey source" value=${state.source} options=${named(sources, sourceTitle)} onChange=${(source) => set({ source })} />`}
    <${Menu} label=${sides > 1 ? "Model A" : "Model version"} value=${state.model} options=${named(models)} onChange=${(model) => set({ model })} />
    <${Menu} label=${sides > 1 ? "Condition A" : "Condition"} value=${state.condition} options=${named(conditions, condition)} onChange=${(value) => set({ condition: value })} />
    ${sides > 1 && html`<${Menu} label="Model B" value=${modelB} options=${named(models)} onChange=${(model_b) => set({ model_b })} />
      <${Menu} label="Condition B" value=${conditionB} options=${named(conditionsB, condition)} onChange=${(condition_b) => set({ condition_b })} />`}
    <${Menu} label="Metric" value=${keyOf(metric)} options=${meta.metrics.map((item) => [keyOf(item), item.label])} onChange=${(value) => set({ metric: value })} />
    ${samples.length > 0 && html`<${Menu} label="Samples" value=${state.sample || ""} options=${[["", "National"], ...named(samples, capital)]} onChange=${(sample) => set({ sample })} />`}
  </form>`;
}
/** Model, condition and all conditions of the second side; where none is chosen, a stored neighbour of the first. */
function sideB({ state, models, conditions, conditionsOf }) {
  const model = models.includes(state.model_b) ? state.model_b
    : conditions.length > 1 ? state.model : models.find((name) => name !== state.model && conditionsOf(name).includes(state.condition)) ?? state.model;
  const names = conditionsOf(model);
  const other = model === state.model ? names.find((name) => name !== state.condition) : names.includes(state.condition) && state.condition;
  return [model, names.includes(state.condition_b) ? state.condition_b : other || names[0], names];
}
const sourceTitle = (source) => meta.sources.find((item) => item.source === source)?.title ?? source;
const ofSample = (state) => (row) => (state.sample ? row.sample_type === state.sample : NATIONAL.has(row.sample_type));

/** The selection as a sentence, for readers of a printed page too. */
const Selection = ({ choice }) => html`<p class="selection"><b>${choice.state.model}</b>, ${conditionName(choice.state.condition)}; ${sourceTitle(choice.state.source)}${choice.state.sample ? `; ${capital(choice.state.sample)} samples` : ""}.</p>`;

const meanWhy = (row) => ["mean", row.model_version, row.condition, row.source, row.country, row.sample_type, row.group_by, row.group_value];

function MapView({ choice }) {
  const { state, metric, here } = choice;
  const scale = meta.scales[`${state.source}|${keyOf(metric)}`]?.values;
  const all = useMemo(() => here.filter((row) => row.model_version === state.model && row.condition === state.condition
    && row.group_by === "" && ofSample(state)(row)).map((row) => ({ ...row, key: `${row.country}|${row.sample_type}`, name: countryName(row.country), region: regionOf(row.country) })),
  [here, state.model, state.condition, state.sample]);
  const [references, regions] = useBlocks([`reference|${keyOf(metric)}`, `region|${keyOf(metric)}`]) ?? [];
  const against = useMemo(() => {
    const found = new Map();
    for (const row of references?.rows() ?? []) {
      if (row.source === state.source && row.mean != null) found.set(`${row.country}|${row.sample_type}|${row.reference}`, row.mean);
    }
    return found;
  }, [references, state.source]);
  const byRegion = useMemo(() => (regions?.rows() ?? []).filter((row) => row.source === state.source && ofSample(state)(row) && row.model_version === state.model && row.condition === state.condition)
    .map((row) => ({ ...row, key: `${row.region}|${row.sample_type}`, label: row.region })), [regions, state.source, state.sample, state.model, state.condition]);
  const marksOf = (row) => MARKS.map(([reference]) => [reference, against.get(`${row.country}|${row.sample_type}|${reference}`)]).filter(([, value]) => value != null);
  const wanted = (state.q || "").trim().toLowerCase();
  const rows = useMemo(() => (wanted ? all.filter((row) => `${row.name} ${row.country} ${row.region}`.toLowerCase().includes(wanted)) : all), [all, wanted]);
  const [low, high] = axisOf(all, "mean", "ci_low", "ci_high");
  const marked = all.flatMap(marksOf).map(([, value]) => value);
  const [from, to] = [marked.reduce((a, b) => Math.min(a, b), low), marked.reduce((a, b) => Math.max(a, b), high)];
  const number = partitionNumber(state.model, state.condition);
  const best = metric.closer === "lower" ? "mean" : "-mean";
  const columns = [
    { key: "country", label: "Country", sort: (row) => row.name, csv: (row) => row.country,
      cell: (row) => html`<a href=${link(state, { view: "country", item: row.country })}>${row.name}</a>${few(row)}` },
    { key: "name", csv: (row) => row.name },
    { key: "region", label: "Region", sort: (row) => row.region, cell: (row) => row.region, csv: (row) => row.region },
    { key: "sample_type", csv: (row) => row.sample_type },
    { key: "mean", label: metric.short, numeric: true, first: "high", sort: (row) => row.mean, csv: (row) => row.mean,
      cell: (row) => html`<${Origin} state=${state} why=${meanWhy(row)} label="${fixed(row.mean)}, where it comes from: ${row.name}">${fixed(row.mean)}<//>` },
    { key: "ci_low", label: "95 % interval", numeric: true, sort: (row) => row.ci_low, csv: (row) => row.ci_low, cell: (row) => range(row.ci_low, row.ci_high) },
    { key: "ci_high", csv: (row) => row.ci_high },
    { key: "chart", label: `${fixed(from, 2)} – ${fixed(to, 2)}`, cell: (row) => html`<${Interval} low=${row.ci_low} high=${row.ci_high} value=${row.mean} from=${from} to=${to} colour=${colourOf(scale, row.mean)} marks=${marksOf(row)} />` },
    { key: "n_questions", label: "Questions", numeric: true, first: "high", sort: (row) => row.n_questions, cell: (row) => thousands(row.n_questions), csv: (row) => row.n_questions },
    ...(against.size ? MARKS.map(([reference]) => ({ key: reference, csv: (row) => against.get(`${row.country}|${row.sample_type}|${reference}`) })) : []),
    ...["model_version", "condition", "source"].map((key) => ({ key, csv: (row) => row[key] })),
    { key: "metric", csv: () => metric.metric }, { key: "base", csv: () => metric.base },
  ];
  // Sorting and searching leave the map as it is: they are not in the addresses that it links to.
  const map = useMemo(() => html`<${WorldMap} rows=${all} colour=${(row) => colourOf(scale, row.mean)} hatched=${(row) => row.n_questions < FEW}
      hrefOf=${(row) => link(state, { view: "country", item: row.country })}
      describe=${(row) => `${row.name}\n${metric.short} ${fixed(row.mean)}\n${row.ci_low == null ? "no interval" : `95 % interval ${range(row.ci_low, row.ci_high)}`}\n${plural(row.n_questions, "question", "questions")}`}
      label="World map of ${metric.label}; each country is a link to its page, arrow keys move between countries; the table below has the same numbers" />`,
  [all, link(state, { view: "country" })]);
  return html`
    <h1 tabindex="-1">Whose opinions do the answers resemble?</h1>
    <p class="lead">Each number compares a model's answer distribution with the answers of a country's survey respondents, averaged over the
      questions asked there. It says how alike two distributions of answers are, not that a model holds opinions.</p>
    <${Controls} choice=${choice} /><${Selection} choice=${choice} />
    <p class="soft">${metric.label}: ${metric.text}</p>
    ${map}
    <${Legend} scale=${scale} title=${metric.short} hatch="fewer than ${FEW} questions" />
    <${Caveats} partition=${meta.partitions[number]} rows=${all} />
    <h2>Countries</h2>
    <div class="filters"><${Search} label="Search country or region" value=${state.q || ""} onInput=${(q) => go(state, { q }, { replace: true })} /></div>
    ${marked.length > 0 && html`<p class="soft">Marks beside the mean: ${MARKS.filter(([reference]) => [...against.keys()].some((key) => key.endsWith(`|${reference}`))).map(([reference, text]) => html`<svg class="interval sample" viewBox="0 0 12 16" aria-hidden="true"><line class="mark ${reference}" x1="6" x2="6" y1="1" y2="15" /></svg> ${text}; `)}country pages have their numbers.</p>`}
    <${SortTable} state=${state} name="ranking" columns=${columns} rows=${rows} start=${best} caption="Countries by ${metric.label}"
      file=${fileName("countries", state.source, state.model, state.condition, metric.metric, metric.base)}
      note=${`${plural(rows.length, "country", "countries")}${wanted ? ` match “${state.q}”` : ""}. Click a number for its origin.`} />
    ${byRegion.length > 0 && html`<h2>World regions</h2><p class="soft">Mean over questions of the mean over the region's countries that were asked; countries count alike whatever their population.</p>
      <${Means} choice=${choice} rows=${byRegion} name="regions" axis=${axisOf(byRegion, "mean", "ci_low", "ci_high")} title="world regions" file=${fileName("regions", state.source, state.model, state.condition, metric.metric, metric.base)} why=${(row) => ["region", row.model_version, row.condition, row.source, row.region, row.sample_type]}
        heads=${[{ key: "region", label: "Region", sort: (row) => row.region, csv: (row) => row.region, cell: (row) => row.region },
          { key: "n_countries", label: "Countries", numeric: true, sort: (row) => row.n_countries, csv: (row) => row.n_countries, cell: (row) => thousands(row.n_countries) }]} />`}`;
}
// References drawn beside each country's mean.
const MARKS = [["uniform", "every option equally likely"], ["other_countries", "other countries, on average"], ["noise_ceiling", "the country's own sampling noise"]];

function CompareView({ choice }) {
  const { state, metric } = choice;
  const blocks = useBlocks([`comparison|${keyOf(metric)}`]);
  const [modelB, conditionB] = sideB(choice);
  const scale = meta.scales[`${state.source}|${keyOf(metric)}`]?.differences;
  const same = state.model === modelB && state.condition === conditionB;
  const table = blocks?.[0];
  const rows = useMemo(() => {
    if (!table) return [];
    const found = [];
    for (const row of table.rows()) {
      if (row.source !== state.source || !ofSample(state)(row)) continue;
      const forward = row.model_version_a === state.model && row.condition_a === state.condition && row.model_version_b === modelB && row.condition_b === conditionB;
      const backward = row.model_version_b === state.model && row.condition_b === state.condition && row.model_version_a === modelB && row.condition_a === conditionB;
      if (!forward && !backward) continue;
      const minus = (value) => (value == null ? null : -value);
      found.push({
        ...row, key: `${row.country}|${row.sample_type}`, name: countryName(row.country), region: regionOf(row.country),
        shown: forward ? row.difference : -row.difference,
        low: forward ? row.ci_low : minus(row.ci_high), high: forward ? row.ci_high : minus(row.ci_low),
      });
    }
    return found;
  }, [table, state.source, state.sample, state.model, state.condition, modelB, conditionB]);
  const map = useMemo(() => html`<${WorldMap} rows=${rows} colour=${(row) => colourOf(scale, row.shown)} hatched=${(row) => row.low == null || (row.low <= 0 && row.high >= 0)}
      hrefOf=${(row) => link(state, { view: "country", item: row.country })}
      describe=${(row) => `${row.name}\nA − B ${signed(row.shown)}\n${row.low == null ? "no interval" : `95 % interval ${range(row.low, row.high, signed)}`}\n${plural(row.n_questions, "question", "questions")}`}
      label="World map of the difference A minus B in ${metric.label}; each country is a link to its page; the table below has the same numbers" />`,
  [rows, link(state, { view: "country" })]);
  const head = html`<h1 tabindex="-1">Compare two models or conditions</h1>
    <p class="lead">The difference A − B in each country, over the questions that both answered. Resampling is paired: both sides are resampled together.</p>
    <${Controls} choice=${choice} sides=${2} />`;
  if (!blocks) return html`${head}<p>Unpacking …</p>`;
  if (!rows.length) {
    return html`${head}<p class="notice" role="status">${same ? "A and B are the same; choose another model or condition for B."
      : has(`comparison|${keyOf(metric)}`) || !omitted.includes(`comparison|${keyOf(metric)}`)
        ? "This comparison is not computed. The table similarity.model_comparison holds two models under one condition, and two conditions of one model; materialise similarity/model_comparison after both sides are scored."
        : "Comparisons by this metric are not in this file, to keep it small; they are in similarity.model_comparison of the warehouse."}</p>`;
  }
  const [low, high] = axisOf(rows, "shown", "low", "high");
  const reach = Math.max(Math.abs(low), Math.abs(high));
  const beyond = rows.filter((row) => row.p_holm != null && row.p_holm < 0.05);
  const why = (row) => ["difference", row.model_version_a, row.condition_a, row.model_version_b, row.condition_b, row.source, row.country, row.sample_type];
  const closerA = metric.closer === "none" ? null : (row) => (row.shown > 0) === (metric.closer === "higher");
  const columns = [
    { key: "country", label: "Country", sort: (row) => row.name, csv: (row) => row.country,
      cell: (row) => html`<a href=${link(state, { view: "country", item: row.country })}>${row.name}</a>${few(row)}` },
    { key: "name", csv: (row) => row.name },
    { key: "difference", label: "A − B", numeric: true, first: "high", sort: (row) => row.shown, csv: (row) => row.shown,
      cell: (row) => html`<${Origin} state=${state} why=${why(row)} label="${signed(row.shown)}, where it comes from: ${row.name}">${signed(row.shown)}<//>` },
    { key: "ci_low", label: "95 % interval", numeric: true, sort: (row) => row.low, csv: (row) => row.low, cell: (row) => range(row.low, row.high, signed) },
    { key: "ci_high", csv: (row) => row.high },
    { key: "chart", label: `−${fixed(reach, 2)} – +${fixed(reach, 2)}`, cell: (row) => html`<${Interval} zero=${true} low=${row.low} high=${row.high} value=${row.shown} from=${-reach} to=${reach} colour=${colourOf(scale, row.shown)} />` },
    { key: "p_value", label: "p", numeric: true, sort: (row) => row.p_value, csv: (row) => row.p_value, cell: (row) => pValue(row.p_value) },
    { key: "p_holm", label: "p, Holm", numeric: true, sort: (row) => row.p_holm, csv: (row) => row.p_holm, cell: (row) => pValue(row.p_holm) },
    { key: "p_bh", label: "p, BH", numeric: true, sort: (row) => row.p_bh, csv: (row) => row.p_bh, cell: (row) => pValue(row.p_bh) },
    { key: "n_questions", label: "Questions", numeric: true, first: "high", sort: (row) => row.n_questions, cell: (row) => thousands(row.n_questions), csv: (row) => row.n_questions },
    { key: "model_a", csv: () => state.model }, { key: "condition_a", csv: () => state.condition },
    { key: "model_b", csv: () => modelB }, { key: "condition_b", csv: () => conditionB }, { key: "source", csv: (row) => row.source },
    { key: "metric", csv: () => metric.metric }, { key: "base", csv: () => metric.base },
  ];
  return html`${head}
    <p class="selection"><b>A</b> ${state.model}, ${conditionName(state.condition)} · <b>B</b> ${modelB}, ${conditionName(conditionB)} · ${metric.label}</p>
    <p>In <b>${beyond.length} of ${plural(rows.length, "country", "countries")}</b> the difference is more than chance would give (${"p < 0.05"} after Holm's correction over these countries)${closerA && beyond.length
      ? html`: ${plural(beyond.filter(closerA).length, "country is", "countries are")} closer to A, ${thousands(beyond.filter((row) => !closerA(row)).length)} to B` : ""}.</p>
    ${map}
    <${Legend} scale=${scale} title="A − B" sign="+" hatch="interval includes 0" grey="not compared" />
    <h2>Countries</h2>
    <${SortTable} state=${state} name="comparison" columns=${columns} rows=${rows} start="-difference" caption="Difference A minus B by country"
      file=${fileName("comparison", state.source, state.model, state.condition, modelB, conditionB, metric.metric, metric.base)} note=${`${plural(rows.length, "country", "countries")}. Click a number for its origin.`} />`;
}

/** Both distributions of one question, option by option. */
function Bars({ item, people, model, who }) {
  const cell = (share, kind) => html`<td class="share ${kind}"><span class="track"><i style=${{ width: `${(share ?? 0) * 100}%` }}></i></span><span class="n">${percent(share)}</span></td>`;
  return html`<table class="bars"><caption class="sr">Answers to: ${item.text}</caption><thead><tr><th scope="col">Answer</th><th scope="col"><i class="dot people"></i>${who}</th><th scope="col"><i class="dot model"></i>Model</th></tr></thead>
    <tbody>${item.options.map((option, place) => html`<tr key=${place}><th scope="row">${option}</th>${cell(people?.[place], "people")}${model ? cell(model[place], "model") : html`<td class="soft">${model === null ? "no valid answer" : "not in this file"}</td>`}</tr>`)}</tbody></table>`;
}

/** A table of means with intervals, headed by columns of its own. */
function Means({ choice, rows, name, heads, axis: [from, to], file, title, why = meanWhy, start }) {
  const { state, metric } = choice;
  const scale = meta.scales[`${state.source}|${keyOf(metric)}`]?.values;
  return html`<${SortTable} state=${state} name=${name} rows=${rows} start=${start ?? (metric.closer === "lower" ? "mean" : "-mean")} caption=${`${metric.label}: ${title}, ${name}`} file=${file}
    columns=${[
      ...heads,
      { key: "mean", label: metric.short, numeric: true, first: "high", sort: (row) => row.mean, csv: (row) => row.mean, cell: (row) => html`<${Origin} state=${state} why=${why(row)} label="${fixed(row.mean)}, where it comes from: ${row.label ?? title}">${fixed(row.mean)}<//>` },
      { key: "ci_low", label: "95 % interval", numeric: true, sort: (row) => row.ci_low, csv: (row) => row.ci_low, cell: (row) => range(row.ci_low, row.ci_high) },
      { key: "ci_high", csv: (row) => row.ci_high },
      { key: "chart", label: `${fixed(from, 2)} – ${fixed(to, 2)}`, cell: (row) => (row.mean == null ? "" : html`<${Interval} low=${row.ci_low} high=${row.ci_high} value=${row.mean} from=${from} to=${to} colour=${colourOf(scale, row.mean)} />`) },
      { key: "n_questions", label: "Questions", numeric: true, first: "high", sort: (row) => row.n_questions, cell: (row) => html`${thousands(row.n_questions)}${few(row)}`, csv: (row) => row.n_questions },
    ]} />`;
}

function CountryView({ choice }) {
  const { state, metric, here } = choice;
  const code = state.item;
  const number = partitionNumber(state.model, state.condition);
  const blocks = useBlocks(["question", "human", "share", `probability|${number}`, `quality|${number}`, `value|${number}|${keyOf(metric)}`]);
  const [references, topics] = useBlocks([`reference|${keyOf(metric)}`, `topic|${keyOf(metric)}`]) ?? [];
  const isHere = (row) => row.source === state.source && row.country === code && ofSample(state)(row);
  const against = useMemo(() => (references?.rows() ?? []).filter((row) => isHere(row) && row.mean != null)
    .map((row) => ({ ...row, key: `${row.reference}|${row.sample_type}`, label: referenceName(row) })), [references, code, state.source, state.sample]);
  const byTopic = useMemo(() => (topics?.rows() ?? []).filter((row) => isHere(row) && row.model_version === state.model && row.condition === state.condition)
    .map((row) => ({ ...row, key: `${row.topic}|${row.sample_type}`, label: row.topic })), [topics, code, state.source, state.sample, state.model, state.condition]);
  const stored = useMemo(() => here.filter((row) => row.country === code && ofSample(state)(row)), [here, code, state.sample]);
  const own = useMemo(() => stored.filter((row) => row.group_by === "").map((row) => ({ ...row, key: `${row.model_version}|${row.condition}|${row.sample_type}` })), [stored]);
  const groups = useMemo(() => stored.filter((row) => row.group_by !== "" && row.model_version === state.model && row.condition === state.condition)
    .map((row) => ({ ...row, key: `${row.group_by}|${row.group_value}` })), [stored, state.model, state.condition]);
  const [from, to] = axisOf([...own, ...groups, ...against, ...byTopic], "mean", "ci_low", "ci_high");
  const numbers = (rows, name, heads) => html`<${Means} choice=${choice} rows=${rows} name=${name} heads=${heads} axis=${[from, to]} file=${fileName(name, code, state.source, metric.metric, metric.base)} title=${countryName(code)} />`;
  return html`<p class="crumbs"><a href=${link(state, { view: "map" })}>Map</a> › ${regionOf(code)}</p>
    <h1 tabindex="-1">${countryName(code)}</h1>
    <${Controls} choice=${choice} />
    <p class="soft">${metric.label}: ${metric.text}</p>
    ${own.length ? html`<h2>Models and conditions</h2>${numbers(own, "models", [
      { key: "model_version", label: "Model version", sort: (row) => row.model_version, csv: (row) => row.model_version,
        cell: (row) => html`<a href=${link(state, { model: row.model_version, condition: row.condition, page: "" })} aria-current=${row.model_version === state.model && row.condition === state.condition ? "true" : undefined}>${row.model_version}</a>` },
      { key: "condition", label: "Condition", sort: (row) => row.condition, csv: (row) => row.condition, cell: (row) => conditionName(row.condition) },
    ])}` : html`<p class="notice">No ${state.sample ? capital(state.sample).toLowerCase() : "national"} sample of ${countryName(code)} is scored in this source.</p>`}
    ${against.length > 0 && html`<h2>To read them against</h2><p class="soft">The same mean for answers that come from no model, over all questions of the source asked in ${countryName(code)}.</p>
      <${Means} choice=${choice} rows=${against} name="references" axis=${[from, to]} title=${countryName(code)} file=${fileName("references", code, state.source, metric.metric, metric.base)} why=${(row) => ["reference", row.source, row.country, row.sample_type, row.reference]}
        heads=${[{ key: "reference", label: "Answers", sort: (row) => row.label, csv: (row) => row.reference, cell: (row) => html`<span title=${REFERENCES[row.reference]?.[1]}>${row.label}</span>` }]} />`}
    ${byTopic.length > 0 && html`<h2>Topics</h2><p class="soft">${state.model}, ${conditionName(state.condition)}.</p>
      <${Means} choice=${choice} rows=${byTopic} name="topics" axis=${[from, to]} title=${countryName(code)} file=${fileName("topics", code, state.source, state.model, state.condition, metric.metric, metric.base)} why=${(row) => ["topic", row.model_version, row.condition, row.source, row.topic, row.sample_type, row.country]}
        heads=${[{ key: "topic", label: "Topic", sort: (row) => row.topic, csv: (row) => row.topic, cell: (row) => html`<a href=${link(state, { topic: row.topic, page: "" })}>${capital(row.topic)}</a>` }]} />`}
    ${groups.length > 0 && html`<h2>Groups of respondents</h2>${numbers(groups, "groups", [
      { key: "group_by", label: "Variable", sort: (row) => row.group_by, csv: (row) => row.group_by, cell: (row) => words(row.group_by) },
      { key: "group_value", label: "Group", sort: (row) => row.group_value, csv: (row) => row.group_value, cell: (row) => row.group_value },
    ])}`}
    <h2 id="questions">Questions</h2>
    ${blocks ? html`<${CountryQuestions} choice=${choice} code=${code} blocks=${blocks} />` : html`<p>Unpacking …</p>`}`;
}

const QUESTION_ORDERS = [["closest", "Most alike first"], ["farthest", "Least alike first"], ["text", "Text"], ["topic", "Topic"], ["n", "Most people asked"]];

/** How well the model's distribution of a question was measured, in words; empty where nothing is to be said. */
function qualityNotes(quality, place) {
  if (!quality) return [];
  const value = (name) => (quality.has(name) ? quality.value(name, place) : null);
  const notes = [];
  if (value("letter_mass") != null && value("letter_mass") < LOW_MASS) notes.push(`${percent(value("letter_mass"))} of the probability on letters`);
  if (value("order_effect") != null && value("order_effect") > STRONG_ORDER) notes.push(`moves ${percent(value("order_effect"))} with option order`);
  if (value("n_invalid") > 0) notes.push(`${value("n_invalid")} of ${value("n_invalid") + value("n_answers")} answers invalid`);
  return notes;
}

function CountryQuestions({ choice, code, blocks }) {
  const { state, metric } = choice;
  const [questions, human, shares, probabilities, quality, values] = blocks;
  const { modelStart, humanStart, place } = questionLayout(questions, human);
  const all = useMemo(() => {
    const country = human.levels("country").indexOf(code);
    const codes = human.codes("country");
    const samples = human.levels("sample_type").map((sample) => (state.sample ? sample === state.sample : NATIONAL.has(sample)));
    const sample = human.codes("sample_type");
    const found = [];
    for (let row = 0; row < human.n; row += 1) {
      if (codes[row] !== country || !samples[sample[row]] || !human.value("is_latest_wave", row)) continue;
      const item = questions[human.value("question", row)];
      if (item.source !== state.source) continue;
      found.push({ row, item, value: valueAt(values, row), n: human.value("n", row), wave: human.value("wave", row), label: human.value("country_label", row) });
    }
    return found;
  }, [code, state.source, state.sample, values]);
  const topics = useMemo(() => distinct(all.map(({ item }) => item.topic)).sort(), [all]);
  const wanted = (state.q || "").trim().toLowerCase();
  const lower = metric.closer === "lower";
  const shown = useMemo(() => {
    const rows = all.filter(({ item }) => (!state.topic || item.topic === state.topic)
      && (!wanted || `${item.text} ${item.options.join(" ")} ${item.source_question}`.toLowerCase().includes(wanted)));
    const byValue = (sign) => (a, b) => (a.value == null) - (b.value == null) || sign * (a.value - b.value);
    const order = {
      closest: byValue(lower ? 1 : -1), farthest: byValue(lower ? -1 : 1),
      text: (a, b) => collate(a.item.text, b.item.text),
      topic: (a, b) => collate(a.item.topic, b.item.topic) || collate(a.item.text, b.item.text),
      n: (a, b) => (b.n ?? -1) - (a.n ?? -1),
    }[QUESTION_ORDERS.some(([key]) => key === state.order) ? state.order : "closest"];
    return rows.sort(order);
  }, [all, wanted, state.topic, state.order, lower]);
  const page = Math.min(Math.max(1, Number(state.page) || 1), Math.max(1, Math.ceil(shown.length / ROWS_PER_PAGE)));
  const onPage = shown.slice((page - 1) * ROWS_PER_PAGE, page * ROWS_PER_PAGE);
  const save = () => download(fileName("questions", code, state.source, state.model, state.condition, metric.metric, metric.base), [
    ["question_id", "source_question", "topic", "wave", "country_label", "n_people", "question", "option", "people", "model", metric.metric],
    ...shown.flatMap(({ row, item, value, n, wave, label }) => {
      const people = slice(shares, humanStart[row], item.options.length);
      const model = slice(probabilities, modelStart.get(item.question_id), item.options.length);
      return item.options.map((option, index) => [item.question_id, item.source_question, item.topic, wave, label, n, item.text, option, people?.[index], model?.[index], value]);
    }),
  ]);
  const card = ({ row, item, value, n, wave, label }) => {
    const notes = qualityNotes(quality, place.get(item.question_id));
    const why = ["question", state.model, state.condition, state.source, item.question_id, label, wave];
    return html`<li key=${row}>
      <div class="about"><h3><a href=${link(state, { view: "question", item: item.question_id })}>${item.text || "(no text)"}</a></h3>
        <p class="soft">${capital(item.topic)}${wave ? ` · wave ${wave}` : ""}${n == null ? "" : ` · ${thousands(n)} people`}${label !== countryName(code) ? ` · sample “${label}”` : ""}</p>
        <p class="verdict">${value == null ? "" : html`${metric.short} <b>${fixed(value)}</b> · `}<${Origin} state=${state} why=${why} label="Prompt, answer and source: ${item.text}">Prompt, answer and source<//></p>
        ${notes.length > 0 && html`<p class="warn">⚠ ${notes.join("; ")}</p>`}</div>
      <${Bars} item=${item} people=${slice(shares, humanStart[row], item.options.length)} model=${slice(probabilities, modelStart.get(item.question_id), item.options.length)} who=${countryName(code)} /></li>`;
  };
  return html`
    ${!values && html`<p class="notice">Question-level numbers of this metric are not in this file${omitted.length ? ", to keep it small" : ""}; they are in similarity.question_country of the warehouse.</p>`}
    <div class="filters">
      <${Search} label="Search questions" value=${state.q || ""} onInput=${(q) => go(state, { q, page: "" }, { replace: true })} />
      <${Menu} label="Topic" value=${state.topic || ""} options=${[["", "All topics"], ...topics.map((topic) => [topic, capital(topic)])]} onChange=${(topic) => go(state, { topic, page: "" })} />
      <${Menu} label="Order" value=${state.order || "closest"} options=${QUESTION_ORDERS} onChange=${(order) => go(state, { order, page: "" })} />
    </div>
    <div class="bar"><p class="soft" role="status">${plural(shown.length, "question", "questions")} of ${thousands(all.length)}. Answers of people in ${countryName(code)} beside those of ${state.model} (${conditionName(state.condition)}).</p>
      <button type="button" onClick=${save}>Download CSV</button></div>
    <ol class="questions" start=${(page - 1) * ROWS_PER_PAGE + 1}><${InTurn} items=${onPage} size=${CARDS_AT_ONCE} group=${(part) => part.map(card)} /></ol>
    <${Pages} state=${state} n=${shown.length} size=${ROWS_PER_PAGE} page=${page} label="Pages of questions" />`;
}

function QuestionView({ choice }) {
  const { state, metric, here } = choice;
  const number = partitionNumber(state.model, state.condition);
  const pairs = useMemo(() => distinct(here.map((row) => JSON.stringify([row.model_version, row.condition]))).map((text) => JSON.parse(text)), [here]);
  const numbers = pairs.map(([model, condition]) => partitionNumber(model, condition)).filter((n) => n >= 0);
  const blocks = useBlocks(["question", "human", "share", `value|${number}|${keyOf(metric)}`, ...numbers.flatMap((n) => [`probability|${n}`, `quality|${n}`])]);
  if (!blocks) return html`<h1 tabindex="-1">Question</h1><p>Unpacking …</p>`;
  const [questions, human, shares, values, ...given] = blocks;
  const where = questions.findIndex((row) => row.question_id === state.item && row.source === state.source);
  if (where < 0) return html`<h1 tabindex="-1">Question</h1><${Controls} choice=${choice} /><p class="notice">This source has no such question.</p>`;
  const item = questions[where];
  const { modelStart, humanStart, place, rowsOf } = questionLayout(questions, human);
  const n = item.options.length;
  const models = numbers.map((partition, i) => ({ key: `m${partition}`, partition: meta.partitions[partition], share: slice(given[2 * i], modelStart.get(item.question_id), n), quality: given[2 * i + 1] }));
  const own = models.find((row) => row.partition.model_version === state.model && row.partition.condition === state.condition);
  const rows = rowsOf[where].map((row) => {
    const code = human.value("country", row);
    const sample = human.value("sample_type", row);
    return { key: row, code, label: human.value("country_label", row), name: countryName(code) + (NATIONAL.has(sample) ? "" : ` (${capital(sample).toLowerCase()} sample)`), wave: human.value("wave", row), latest: human.value("is_latest_wave", row), n: human.value("n", row), share: slice(shares, humanStart[row], n), value: valueAt(values, row) };
  });
  const share = (x) => html`<span class="tint" style=${{ "--share": x ?? 0 }}>${x == null ? "–" : (x * 100).toFixed(1)}</span>`;
  const waves = distinct(rows.map((row) => row.wave)).length > 1;
  const columns = [
    { key: "country", label: "Country", sort: (row) => row.name, csv: (row) => row.code, cell: (row) => html`<a href=${link(state, { view: "country", item: row.code })}>${row.name}</a>` },
    { key: "country_label", csv: (row) => row.label },
    { key: "wave", csv: (row) => row.wave, ...(waves ? { label: "Wave", sort: (row) => row.wave, cell: (row) => `${row.wave}${row.latest ? "" : " (older)"}` } : {}) },
    { key: "value", label: metric.short, numeric: true, first: "high", sort: (row) => row.value, csv: (row) => row.value,
      cell: (row) => html`<${Origin} state=${state} why=${["question", state.model, state.condition, state.source, item.question_id, row.label, row.wave]} label="${row.value == null ? "origin" : fixed(row.value)}, where it comes from: ${row.name}">${row.value == null ? "origin" : fixed(row.value)}<//>` },
    ...item.options.map((option, index) => ({ key: option, label: option, numeric: true, first: "high", sort: (row) => row.share?.[index], csv: (row) => row.share?.[index], cell: (row) => share(row.share?.[index]) })),
    { key: "n_people", label: "People", numeric: true, first: "high", sort: (row) => row.n, csv: (row) => row.n, cell: (row) => (row.n == null ? "–" : thousands(row.n)) },
  ];
  const modelColumns = [
    { key: "model_version", label: "Model version", sort: (row) => row.partition.model_version, csv: (row) => row.partition.model_version, cell: (row) => html`<a href=${link(state, { model: row.partition.model_version, condition: row.partition.condition })} aria-current=${row === own ? "true" : undefined}>${row.partition.model_version}</a>` },
    { key: "condition", label: "Condition", sort: (row) => row.partition.condition, csv: (row) => row.partition.condition, cell: (row) => conditionName(row.partition.condition) },
    ...item.options.map((option, index) => ({ key: option, label: option, numeric: true, sort: (row) => row.share?.[index], csv: (row) => row.share?.[index], cell: (row) => share(row.share?.[index]) })),
    { key: "notes", label: "Notes", cell: (row) => (row.share ? qualityNotes(row.quality, place.get(item.question_id)).join("; ") || "–" : row.share === null ? "no valid answer" : "not in this file"), csv: (row) => qualityNotes(row.quality, place.get(item.question_id)).join("; ") },
    { key: "origin", label: "Origin", cell: (row) => html`<${Origin} state=${state} why=${["question", row.partition.model_version, row.partition.condition, state.source, item.question_id, "", ""]} label="Prompt and answer of ${row.partition.model_version}, ${row.partition.condition}">Prompt and answer<//>` },
  ];
  const repeats = item.duplicate_of && questions.find((row) => row.question_id === item.duplicate_of);
  return html`<p class="crumbs"><a href=${link(state, { view: "questions" })}>Questions</a> › ${capital(item.topic)}</p>
    <h1 tabindex="-1" class="question">${item.text || "(no text)"}</h1>
    <p class="soft">${item.survey} · ${item.source_question} · topic by ${item.topic_method} · language ${item.language}</p>
    ${repeats && html`<p class="notice">The same question up to spelling as <a href=${link(state, { item: item.duplicate_of })}>${repeats.source_question}</a>.</p>`}
    <${Controls} choice=${choice} />
    <h2>What the models answered, %</h2>
    <${SortTable} state=${state} name="answers" columns=${modelColumns} rows=${models} start="model_version" caption="Answer distributions of the models, per cent" file=${fileName("models", item.question_id)} note=${plural(models.length, "model version and condition", "model versions and conditions")} />
    <h2>What people answered, %</h2>
    <${SortTable} state=${state} name="people" columns=${columns} rows=${rows} start=${metric.closer === "lower" ? "value" : "-value"} caption="Answers by country, per cent" file=${fileName("people", item.question_id, state.model, state.condition, metric.metric, metric.base)} note=${`${plural(rows.length, "sample", "samples")}. ${metric.short} to ${state.model}, ${conditionName(state.condition)}. Click a number for its origin.`} />`;
}

function QuestionsView({ choice }) {
  const { state } = choice;
  const number = partitionNumber(state.model, state.condition);
  const blocks = useBlocks(["question", "human", `probability|${number}`, `quality|${number}`]);
  const head = html`<h1 tabindex="-1">Questions</h1><p class="lead">Every question of the source, with the model's most likely answer.</p><${Controls} choice=${choice} />`;
  const wanted = (state.q || "").trim().toLowerCase();
  const [questions, human, probabilities, quality] = blocks ?? [];
  const all = useMemo(() => {
    if (!blocks) return [];
    const { modelStart, place, countries, textOrder } = questionLayout(questions, human);
    return questions.map((item, number_) => ({ item, number: number_ })).filter(({ item }) => item.source === state.source).map(({ item, number: at }) => {
      const start = modelStart.get(item.question_id);
      const top = likeliest(probabilities, start, item.options.length);
      const where = place.get(item.question_id);
      return { key: at, item, countries: countries[at], rank: textOrder[at], top: top < 0 ? "" : item.options[top], share: top < 0 ? null : numberOf(probabilities[start + top]), mass: quality?.value("letter_mass", where) ?? null, order: quality?.value("order_effect", where) ?? null };
    });
  }, [questions, probabilities, state.source]);
  const topics = useMemo(() => distinct(all.map(({ item }) => item.topic)).sort(), [all]);
  const shown = useMemo(() => all.filter(({ item }) => (!state.topic || item.topic === state.topic)
    && (!wanted || `${item.text} ${item.options.join(" ")} ${item.source_question}`.toLowerCase().includes(wanted))), [all, wanted, state.topic]);
  if (!blocks) return html`${head}<p>Unpacking …</p>`;
  const size = 50;
  const page = Math.min(Math.max(1, Number(state.page) || 1), Math.max(1, Math.ceil(shown.length / size)));
  const columns = [
    { key: "question", label: "Question", sort: (row) => row.rank, csv: (row) => row.item.text, cell: (row) => html`<a class="wrap" href=${link(state, { view: "question", item: row.item.question_id })}>${row.item.text || "(no text)"}</a>` },
    { key: "question_id", csv: (row) => row.item.question_id }, { key: "source_question", csv: (row) => row.item.source_question },
    { key: "topic", label: "Topic", sort: (row) => row.item.topic, cell: (row) => capital(row.item.topic), csv: (row) => row.item.topic },
    { key: "countries", label: "Countries", numeric: true, first: "high", sort: (row) => row.countries, cell: (row) => row.countries, csv: (row) => row.countries },
    { key: "answer", label: "Model's likeliest answer", sort: (row) => row.top, cell: (row) => html`<span class="wrap">${row.top || "–"}</span>`, csv: (row) => row.top },
    { key: "share", label: "Its probability", numeric: true, first: "high", sort: (row) => row.share, csv: (row) => row.share, cell: (row) => (row.share == null ? "–" : html`<${Origin} state=${state} why=${["question", state.model, state.condition, state.source, row.item.question_id, "", ""]} label="${percent(row.share)}, prompt and answer: ${row.item.text}">${percent(row.share)}<//>`) },
    { key: "letter_mass", label: "On letters", numeric: true, sort: (row) => row.mass, cell: (row) => percent(row.mass), csv: (row) => row.mass },
    { key: "order_effect", label: "Order effect", numeric: true, first: "high", sort: (row) => row.order, cell: (row) => percent(row.order), csv: (row) => row.order },
  ];
  return html`${head}<div class="filters">
      <${Search} label="Search questions" value=${state.q || ""} onInput=${(q) => go(state, { q, page: "" }, { replace: true })} />
      <${Menu} label="Topic" value=${state.topic || ""} options=${[["", "All topics"], ...topics.map((topic) => [topic, capital(topic)])]} onChange=${(topic) => go(state, { topic, page: "" })} /></div>
    <${SortTable} state=${state} name="list" columns=${columns} rows=${shown} start="question" caption="Questions of the source" page=${page} size=${size}
      file=${fileName("questions", state.source, state.model, state.condition)} note=${`${plural(shown.length, "question", "questions")} of ${thousands(all.length)}. On letters: probability that was on option letters. Order effect: how far the distribution moves when options are shown in another order.`} />
    <${Pages} state=${state} n=${shown.length} size=${size} page=${page} label="Pages of questions" />`;
}

function AboutView({ choice }) {
  const { state } = choice;
  const money = (value) => (value ? `${value.toFixed(2)} US$` : "0");
  const left = distinct(omitted.map((name) => ({ answer: "prompts and answers of some questions", value: "question-level numbers of some metrics, models or conditions", country: "country means of some metrics", comparison: "comparisons by some metrics", topic: "topic means", region: "region means" }[name.split("|")[0]] ?? name)));
  return html`<h1 tabindex="-1">About these numbers</h1>
    <h2>How to read them</h2>
    <ul class="text">
      <li>A model is asked survey questions with lettered options. Its answer distribution is the probability of each option's letter, normalised over the options, or the shares of sampled answers.</li>
      <li>Each country's number is the mean, over the questions asked there (newest wave of each), of how alike the two distributions are. Countries were asked different questions, so their numbers are not exactly comparable with each other; models and conditions within a country are.</li>
      <li>The interval is a bootstrap over questions: it shows how much the number depends on which questions were asked, not errors of the survey's sample.</li>
      <li>Samples that are not national, and survey sources, are never averaged together.</li>
      <li>Likeness of answers shows neither that a model holds opinions, nor why it answers so, nor that it would act so.</li></ul>
    <h2>Metrics</h2>
    <dl class="facts">${meta.metrics.map((item) => html`<dt>${item.short}</dt><dd>${item.label}. ${item.text}</dd>`)}</dl>
    <h2>Models and conditions</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Models and conditions"><table><caption class="sr">Models and conditions</caption><thead><tr>${["Model version", "Condition", "Method", "Questions", "Answers", "Invalid", "Failed", "On letters", "Orders", "Order effect", "Cost", "Asked"].map((name, i) => html`<th scope="col" class=${i > 2 && i < 11 ? "n" : ""}>${name}</th>`)}</tr></thead>
      <tbody>${meta.partitions.map((item) => html`<tr><th scope="row"><a href=${link(state, { view: "map", model: item.model_version, condition: item.condition })}>${item.model_version}</a></th><td>${item.condition}</td><td>${words(item.method)}</td><td class="n">${thousands(item.n_questions)}</td><td class="n">${thousands(item.n_answers)}</td>
        <td class="n">${percent(item.invalid_rate)}</td><td class="n">${percent(item.failed_rate)}</td><td class="n">${percent(item.letter_mass)}</td><td class="n">${item.n_orders ?? "–"}</td><td class="n">${percent(item.order_effect)}</td><td class="n">${money(item.cost_usd)}</td><td>${item.first_request}${item.last_request === item.first_request ? "" : ` to ${item.last_request}`}</td></tr>`)}</tbody></table></div>
    <h2>Survey sources</h2>
    ${meta.sources.map((item) => html`<h3>${item.title}</h3><p class="soft">${plural(item.n_questions, "question", "questions")}, ${thousands(item.n_distributions)} answer distributions; snapshot ${item.snapshot}</p><${Source} source=${item.source} />`)}
    <h2>Runs</h2>
    <div class="scroll" tabindex="0" role="region" aria-label="Runs behind every stored table"><table><caption class="sr">Runs behind every stored table</caption><thead><tr><th scope="col">Table</th><th scope="col">Partition</th><th scope="col" class="n">Rows</th><th scope="col">Stored</th><th scope="col">Dagster run</th><th scope="col">Code version</th><th scope="col">Data version</th></tr></thead>
      <tbody>${meta.lineage.map((row) => html`<tr><th scope="row">${row.asset.replace("/", ".")}</th><td>${row.partition}</td><td class="n">${thousands(row.n_rows)}</td><td>${row.materialized_at}</td><td><code>${row.run_id.slice(0, 8)}</code></td><td><code>${row.code_version}</code></td><td><code title=${row.data_version}>${row.data_version.slice(0, 12)}</code></td></tr>`)}</tbody></table></div>
    <h2>This file</h2>
    <p>Written by opinion_assets ${meta.version}, ${meta.built}. It holds its data and asks no server for anything. Numbers are those of warehouse.duckdb, rounded: question-level values to three decimals, shares to tenths of a percent.
      ${left.length ? ` Left out to keep it small: ${left.join("; ")}.` : " Nothing was left out for size."} <code>opinion-assets export</code> writes all tables as CSV and Parquet.</p>
    <p class="soft">Method: Durmus et al. 2023, <cite>Towards Measuring the Representation of Subjective Global Opinions in Language Models</cite>, arXiv:2306.16388. Country outlines: Natural Earth. Map projection: Equal Earth. Colours: viridis and PuOr.</p>`;
}
