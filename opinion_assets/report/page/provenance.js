// What is behind a number: run, code and data of each step, the prompt and the answer, the survey file, and the query
// that gives the same number from the warehouse.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/** A query of sql/report/number with its parameters filled in. */
function query(name, values) {
  return meta.sql[name].replace(/\$(\w+)/g, (all, key) => (key in values ? `'${String(values[key]).replaceAll("'", "''")}'` : all)).trim();
}

const lineageOf = (asset, model, condition, source) => {
  const partitions = ["", `source=${source}`, `model_version=${model}/condition=${condition}`];
  return meta.lineage.filter((row) => row.asset === asset && partitions.includes(row.partition));
};

function Steps({ assets, pairs, source }) {
  const rows = assets.flatMap((asset) => {
    const found = pairs.flatMap(([model, condition]) => lineageOf(asset, model, condition, source));
    return distinct(found).map((row) => ({ ...row }));
  });
  if (!rows.length) return html`<p>No run is recorded for these tables.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Steps from the survey file to this number"><table><caption class="sr">Steps from the survey file to this number</caption>
    <thead><tr><th scope="col">Table</th><th scope="col">Stored</th><th scope="col">Dagster run</th><th scope="col">Code version</th><th scope="col">Data version</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr><th scope="row">${row.asset.replace("/", ".")}${pairs.length > 1 && row.partition.includes("condition=") ? html`<br /><small>${row.partition}</small>` : null}</th>
      <td>${row.materialized_at}</td><td><code>${row.run_id}</code></td>
      <td><code>${row.code_version}</code>${row.package_version ? html` <small>release ${row.package_version}</small>` : null}</td>
      <td><code title=${row.data_version}>${row.data_version.slice(0, 12)}</code></td></tr>`)}</tbody></table></div>
    <p class="soft">Code version: hash of the source files that decide the table's numbers. Data version: SHA-256 of the stored rows.
      The run and its log are in the Dagster UI (<code>opinion-assets ui</code>) under the run's id.</p>`;
}

function Source({ source }) {
  const rows = meta.sources.filter((item) => item.source === source);
  if (!rows.length) return html`<p>No snapshot of the source ${source} is recorded.</p>`;
  return rows.map((row) => html`<dl class="facts"><dt>Data set</dt><dd>${row.title}</dd><dt>Origin</dt><dd>${row.origin}</dd>
    <dt>File</dt><dd>${row.file_name}, ${thousands(row.n_bytes)} bytes, ingested ${row.ingested_at}</dd>
    <dt>SHA-256</dt><dd><code>${row.sha256}</code></dd><dt>Licence</dt><dd>${row.licence}</dd><dt>Cite as</dt><dd>${row.citation}</dd></dl>`);
}

function Query({ text }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); setCopied(true); } catch { setCopied(false); }
  };
  return html`<div class="bar"><p class="soft">Run it in <code>duckdb -readonly warehouse.duckdb</code>:</p>
      <button type="button" onClick=${copy}>${copied ? "Copied" : "Copy query"}</button></div>
    <pre class="sql" tabindex="0" aria-label="SQL query that gives this number">${text}</pre>`;
}

const MODEL_STEPS = ["response/answer", "response/distribution", "similarity/question_country"];
const HUMAN_STEPS = ["survey/response", "question/human_distribution"];

function MeanWhy({ state, metric, values }) {
  const [model, condition, source, country, sample, groupBy, groupValue] = values;
  const [table] = useBlocks([`country|${keyOf(metric)}`]) ?? [];
  if (!table) return html`<p>Unpacking …</p>`;
  const row = table.rows().find((item) => item.model_version === model && item.condition === condition && item.source === source
    && item.country === country && item.sample_type === sample && item.group_by === groupBy && item.group_value === groupValue);
  if (!row) return html`<p>This number is not stored.</p>`;
  return html`<h2 id="why-title">${metric.short} ${fixed(row.mean)}: ${countryName(country)}${groupBy ? `, ${words(groupBy)}: ${groupValue}` : ""}</h2>
    <dl class="facts"><dt>Model version</dt><dd>${model}</dd><dt>Condition</dt><dd>${condition}</dd><dt>Metric</dt><dd>${metric.label}. ${metric.text}</dd>
      <dt>Sample</dt><dd>${capital(sample)}</dd>
      <dt>Mean</dt><dd>${fixed(row.mean, 4)} over ${plural(row.n_questions, "question", "questions")} (newest wave of each)</dd>
      <dt>${row.confidence * 100} % interval</dt><dd>${row.ci_low == null ? "none: it needs at least two questions" : `${range(row.ci_low, row.ci_high, (x) => fixed(x, 4))}, ${row.interval} bootstrap, ${thousands(row.n_resamples)} resamples of ${row.n_clusters} ${row.cluster_by === "question" ? "questions" : `${row.cluster_by} clusters`}, seed ${row.seed}`}</dd></dl>
    ${row.order_effect != null && row.order_effect > STRONG_ORDER && html`<p class="warn">⚠ These distributions move by ${percent(row.order_effect)} on average when options are shown in another order.</p>`}
    ${row.invalid_rate > 0 && html`<p class="warn">⚠ ${percent(row.invalid_rate)} of the answers to these questions were invalid and are left out.</p>`}
    <p><a class="button" href=${link(state, { view: "country", item: country, model, condition, source, sample: NATIONAL.has(sample) ? "" : sample, why: "" })}>The questions behind it, with prompts and answers</a></p>
    <h3>Steps</h3><${Steps} assets=${[...HUMAN_STEPS, ...MODEL_STEPS, "similarity/country"]} pairs=${[[model, condition]]} source=${source} />
    <h3>Human answers</h3><${Source} source=${source} />
    <h3>Query</h3><${Query} text=${query("country", { model_version: model, condition, source, country, sample_type: sample, group_by: groupBy, group_value: groupValue, metric: metric.metric, base: metric.base, interval: row.interval, cluster_by: row.cluster_by })} />`;
}

function DifferenceWhy({ metric, values }) {
  const [modelA, conditionA, modelB, conditionB, source, country, sample] = values;
  const [table] = useBlocks([`comparison|${keyOf(metric)}`]) ?? [];
  if (!table) return html`<p>Unpacking …</p>`;
  const row = table.rows().find((item) => item.model_version_a === modelA && item.condition_a === conditionA && item.model_version_b === modelB
    && item.condition_b === conditionB && item.source === source && item.country === country && item.sample_type === sample);
  if (!row) return html`<p>This number is not stored.</p>`;
  return html`<h2 id="why-title">Difference ${signed(row.difference)}: ${countryName(country)}</h2>
    <dl class="facts"><dt>A</dt><dd>${modelA}, ${conditionA}</dd><dt>B</dt><dd>${modelB}, ${conditionB}</dd><dt>Metric</dt><dd>${metric.label}</dd>
      <dt>A minus B</dt><dd>${signed(row.difference)} over ${plural(row.n_questions, "question", "questions")} that both answered</dd>
      <dt>${row.confidence * 100} % interval</dt><dd>${range(row.ci_low, row.ci_high, signed)}, paired ${row.interval} bootstrap, ${thousands(row.n_resamples)} resamples of questions, seed ${row.seed}</dd>
      <dt>p value</dt><dd>${pValue(row.p_value)} by ${thousands(row.n_permutations)} random sign flips of whole questions; corrected over the countries of this comparison: ${pValue(row.p_holm)} (Holm), ${pValue(row.p_bh)} (Benjamini–Hochberg)</dd></dl>
    <h3>Steps</h3><${Steps} assets=${[...HUMAN_STEPS, ...MODEL_STEPS, "similarity/model_comparison"]} pairs=${[[modelA, conditionA], [modelB, conditionB]]} source=${source} />
    <h3>Human answers</h3><${Source} source=${source} />
    <h3>Query</h3><${Query} text=${query("comparison", { model_version_a: modelA, condition_a: conditionA, model_version_b: modelB, condition_b: conditionB, source, country, sample_type: sample, metric: metric.metric, base: metric.base, interval: row.interval })} />`;
}

const intervalText = (row) => (row.ci_low == null ? "none: it needs at least two questions"
  : `${range(row.ci_low, row.ci_high, (x) => fixed(x, 4))}, ${row.interval ?? "percentile"} bootstrap, ${thousands(row.n_resamples)} resamples, seed ${row.seed}`);

/** A mean over one topic or one region. */
function PartWhy({ state, metric, values, kind }) {
  const [model, condition, source, part, sample, country] = values;
  const [table] = useBlocks([`${kind}|${keyOf(metric)}`]) ?? [];
  if (!table) return html`<p>${has(`${kind}|${keyOf(metric)}`) ? "Unpacking …" : "This number is not in this file."}</p>`;
  const row = table.rows().find((item) => item.model_version === model && item.condition === condition && item.source === source
    && item[kind] === part && item.sample_type === sample && (!country || item.country === country));
  if (!row) return html`<p>This number is not stored.</p>`;
  const key = { model_version: model, condition, source, sample_type: sample, [kind]: part, metric: metric.metric, base: metric.base, interval: row.interval, cluster_by: row.cluster_by };
  return html`<h2 id="why-title">${metric.short} ${fixed(row.mean)}: ${country ? `${countryName(country)}, ` : ""}${kind === "topic" ? capital(part) : part}</h2>
    <dl class="facts"><dt>Model version</dt><dd>${model}</dd><dt>Condition</dt><dd>${condition}</dd><dt>Metric</dt><dd>${metric.label}. ${metric.text}</dd>
      <dt>Mean</dt><dd>${fixed(row.mean, 4)} over ${plural(row.n_questions, "question", "questions")}${row.n_countries ? ` and ${plural(row.n_countries, "country", "countries")}, countries counted alike whatever their population` : ""}</dd>
      <dt>${row.confidence * 100} % interval</dt><dd>${intervalText(row)}</dd></dl>
    <h3>Steps</h3><${Steps} assets=${[...HUMAN_STEPS, ...MODEL_STEPS, `similarity/${kind}`]} pairs=${[[model, condition]]} source=${source} />
    <h3>Human answers</h3><${Source} source=${source} />
    <h3>Query</h3><${Query} text=${query(kind, country ? { ...key, country } : key)} />`;
}
const TopicWhy = (props) => html`<${PartWhy} ...${props} kind="topic" />`;
const RegionWhy = (props) => html`<${PartWhy} ...${props} kind="region" />`;

const REFERENCES = {
  uniform: ["Every option equally likely", "The mean that a model would have that gives each option the same probability."],
  majority: ["Other countries' favourite answer", "All probability on the most frequent option of the mean of the other countries."],
  other_countries: ["Other countries, on average", "How alike the other countries' own answers are to this country's."],
  closest_country: ["Most alike other country", "The answers of the one other country that is most alike."],
  noise_ceiling: ["The country's own sampling noise", "A sample of the country's own size drawn from its own answers: no model can be expected to come closer."],
};
const referenceName = (row) => `${REFERENCES[row.reference]?.[0] ?? words(row.reference)}${row.reference === "closest_country" && row.detail ? ` (${countryName(row.detail)})` : ""}`;

function ReferenceWhy({ metric, values }) {
  const [source, country, sample, reference] = values;
  const [table] = useBlocks([`reference|${keyOf(metric)}`]) ?? [];
  if (!table) return html`<p>Unpacking …</p>`;
  const row = table.rows().find((item) => item.source === source && item.country === country && item.sample_type === sample && item.reference === reference);
  if (!row) return html`<p>This number is not stored.</p>`;
  return html`<h2 id="why-title">${metric.short} ${fixed(row.mean)}: ${referenceName(row)}, for ${countryName(country)}</h2>
    <p>${REFERENCES[reference]?.[1]}</p>
    <dl class="facts"><dt>Metric</dt><dd>${metric.label}. ${metric.text}</dd>
      <dt>Mean</dt><dd>${fixed(row.mean, 4)} over ${plural(row.n_questions, "question", "questions")}${row.detail ? `; ${row.detail}` : ""}</dd>
      <dt>${row.confidence * 100} % interval</dt><dd>${intervalText(row)}</dd></dl>
    <h3>Steps</h3><${Steps} assets=${[...HUMAN_STEPS, "similarity/reference"]} pairs=${[["", ""]]} source=${source} />
    <h3>Human answers</h3><${Source} source=${source} />
    <h3>Query</h3><${Query} text=${query("reference", { source, country, sample_type: sample, reference, metric: metric.metric, base: metric.base })} />`;
}

/** A prompt as text: completions as they are, chats message by message. */
function Prompt({ text }) {
  let messages = null;
  try { const parsed = JSON.parse(text); if (Array.isArray(parsed)) messages = parsed; } catch { /* a completion */ }
  if (!text) return html`<p>No prompt: these option probabilities were imported; somebody else asked.</p>`;
  if (!messages) return html`<pre class="prompt" tabindex="0" aria-label="Prompt">${text}</pre>`;
  return messages.map((message) => html`<p class="role">${message.role}</p><pre class="prompt" tabindex="0" aria-label="Message of ${message.role}">${typeof message.content === "string" ? message.content : JSON.stringify(message.content)}</pre>`);
}

function Answer({ row, item }) {
  const letters = row.option_order?.length ? row.option_order : item.options.map((_, index) => index);
  const order = letters.map((index, place) => [LETTERS[place] ?? "?", index]);
  const probabilities = row.option_logprobs;
  return html`<dl class="facts"><dt>Method</dt><dd>${words(row.method)}</dd><dt>Status</dt><dd>${row.status}${row.error ? `: ${row.error}` : ""}</dd>
      ${row.raw_text != null && html`<dt>Text returned</dt><dd><span class="given">${row.raw_text === "" ? "(empty)" : row.raw_text}</span></dd>`}
      ${row.answer_index != null && html`<dt>Option chosen</dt><dd>${item.options[row.answer_index]}</dd>`}
      ${row.letter_mass != null && html`<dt>Probability on letters</dt><dd>${percent(row.letter_mass)} before normalising</dd>`}
      <dt>Asked</dt><dd>${row.requested_at}${row.model_reported ? `; the server called itself ${row.model_reported}` : ""}${row.prompt_tokens == null ? "" : `; ${row.prompt_tokens} prompt tokens`}; ${row.cost_usd.toFixed(6)} US$</dd>
      <dt>Request</dt><dd><code>${row.request_hash}</code></dd>
      ${row.n_answers > 1 && html`<dt>Answers</dt><dd>This is one of ${row.n_answers} (${row.n_invalid} invalid, ${row.n_failed} failed); the query gives all.</dd>`}</dl>
    ${probabilities && html`<table class="narrow"><caption>${row.method === "imported" ? "Imported probabilities" : "What the model gave to each letter"}</caption><thead><tr><th scope="col">${row.method === "imported" ? "Position" : "Letter"}</th><th scope="col">Option</th><th scope="col" class="n">Probability</th></tr></thead>
      <tbody>${order.map(([letter, index]) => html`<tr><th scope="row">${letter}</th><td>${item.options[index]}</td><td class="n">${probabilities[index] == null ? "not returned" : percent(Math.exp(probabilities[index]), 2)}</td></tr>`)}</tbody></table>`}`;
}

function QuestionWhy({ state, metric, values }) {
  const [model, condition, source, id, label, wave] = values;
  const number = partitionNumber(model, condition);
  const block = Math.floor(meta.question_ids.indexOf(id) / meta.questions_per_block);
  const names = ["question", "human", "share", `probability|${number}`, `value|${number}|${keyOf(metric)}`, `answer|${block}`];
  const blocks = useBlocks(names);
  if (!blocks) return html`<p>Unpacking …</p>`;
  const [questions, human, shares, probabilities, similarities, answers] = blocks;
  const place = questions.findIndex((row) => row.source === source && row.question_id === id);
  if (place < 0) return html`<p>This question is not stored.</p>`;
  const item = questions[place];
  const { modelStart, humanStart, rowsOf } = questionLayout(questions, human);
  const row = rowsOf[place].find((i) => human.value("country_label", i) === label && human.value("wave", i) === wave) ?? -1;
  const value = row < 0 ? null : valueAt(similarities, row);
  const answer = answers?.find((given) => given.question_id === id && given.model_version === model && given.condition === condition);
  const n = item.options.length;
  return html`<h2 id="why-title">${row < 0 || value == null ? "Prompt and answer" : `${metric.short} ${fixed(value)}: ${label}`}</h2>
    <p class="question">${item.text}</p>
    ${row >= 0 && html`<${Bars} item=${item} people=${slice(shares, humanStart[row], n)} model=${slice(probabilities, modelStart.get(id), n)} who=${label} />`}
    <dl class="facts"><dt>Model version</dt><dd>${model}</dd><dt>Condition</dt><dd>${condition}</dd>
      ${row >= 0 && html`<dt>People asked</dt><dd>${human.value("n", row) == null ? "the source does not say how many" : thousands(human.value("n", row))}${wave ? `, wave ${wave}` : ""}</dd>`}
      <dt>In the source</dt><dd>${item.source_question}, ${item.survey}; question id <code>${item.question_id}</code></dd></dl>
    <h3>Prompt</h3>${answer ? html`<${Prompt} text=${answer.prompt} />` : html`<p>${has(`answer|${block}`) ? "The model was not asked this question." : "Prompts and answers are not in this file, to keep it small; the query gives them."}</p>`}
    ${answer && html`<h3>Answer</h3><${Answer} row=${answer} item=${item} />`}
    <h3>Human answers</h3><${Source} source=${source} />
    <h3>Steps</h3><${Steps} assets=${[...HUMAN_STEPS, ...MODEL_STEPS]} pairs=${[[model, condition]]} source=${source} />
    ${row >= 0 && html`<h3>Query</h3><${Query} text=${query("question_country", { model_version: model, condition, source, question_id: id, country_label: label, wave, metric: metric.metric, base: metric.base })} />`}`;
}

const WHY = { mean: MeanWhy, difference: DifferenceWhy, question: QuestionWhy, topic: TopicWhy, region: RegionWhy, reference: ReferenceWhy };

function Why({ state, metric }) {
  const dialog = useRef();
  const shown = state.why || "";
  let parsed = null;
  try { parsed = shown ? JSON.parse(shown) : null; } catch { parsed = null; }
  const Content = parsed && WHY[parsed[0]];
  useLayoutEffect(() => {
    if (Content && !dialog.current.open) dialog.current.showModal();
    if (!Content && dialog.current.open) dialog.current.close();
    if (Content) dialog.current.scrollTop = 0;
  }, [shown]);
  const close = () => go(state, { why: "" });
  return html`<dialog ref=${dialog} aria-labelledby="why-title" onCancel=${(event) => { event.preventDefault(); close(); }}
      onClick=${(event) => { if (event.target === dialog.current) close(); }}>
    ${Content && html`<div class="sheet"><button type="button" class="close" onClick=${close} aria-label="Close">✕</button>
      <${Content} key=${shown} state=${state} metric=${metric} values=${parsed.slice(1)} /></div>`}</dialog>`;
}
