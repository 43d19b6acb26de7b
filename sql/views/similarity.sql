-- Views for the person who writes SQL: prompts and answers behind a number, and what prompting for a country does.

CREATE OR REPLACE VIEW similarity.steerability AS
SELECT
    effect.source, effect.model_version, split_part(effect.condition, ':', 2) AS prompted_country,
    prompted.name AS prompted_name, effect.country, other.name, effect.is_target, effect.metric, effect.base,
    effect.effect, effect.difference, effect.ci_low, effect.ci_high, effect.p_value, effect.p_holm, effect.p_bh,
    effect.n_questions
FROM similarity.condition_effect AS effect
LEFT JOIN (SELECT country, min(name) AS name FROM question.country GROUP BY country) AS prompted
    ON prompted.country = split_part(effect.condition, ':', 2)
LEFT JOIN (SELECT country, min(name) AS name FROM question.country GROUP BY country) AS other
    ON other.country = effect.country
WHERE starts_with(effect.condition, 'cross_national:') AND effect.sample_type = 'national'
    AND effect.interval = 'percentile';
COMMENT ON VIEW similarity.steerability IS 'Steerability matrix: prompted for a country, how much the answers move toward each country. National samples, percentile intervals.';
COMMENT ON COLUMN similarity.steerability.source IS 'Survey source.';
COMMENT ON COLUMN similarity.steerability.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.steerability.prompted_country IS 'Row of the matrix: ISO 3166 code that the prompt named.';
COMMENT ON COLUMN similarity.steerability.prompted_name IS 'Its name; NULL where no source asked there.';
COMMENT ON COLUMN similarity.steerability.country IS 'Column of the matrix: ISO 3166 code of the country compared with.';
COMMENT ON COLUMN similarity.steerability.name IS 'Its name.';
COMMENT ON COLUMN similarity.steerability.is_target IS 'Whether both are the same: the diagonal.';
COMMENT ON COLUMN similarity.steerability.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.steerability.base IS 'Base of the logarithm; empty for metrics without one.';
COMMENT ON COLUMN similarity.steerability.effect IS 'total or specific (beyond the mean change toward the other countries), as in similarity.condition_effect.';
COMMENT ON COLUMN similarity.steerability.difference IS 'Change of the mean from default; for similarities, positive is a move toward the country.';
COMMENT ON COLUMN similarity.steerability.ci_low IS 'Lower end of its interval.';
COMMENT ON COLUMN similarity.steerability.ci_high IS 'Upper end of its interval.';
COMMENT ON COLUMN similarity.steerability.p_value IS 'p value, not corrected: right for the diagonal alone.';
COMMENT ON COLUMN similarity.steerability.p_holm IS 'p value corrected by Holm over all countries of the row.';
COMMENT ON COLUMN similarity.steerability.p_bh IS 'p value corrected by Benjamini-Hochberg over all countries of the row.';
COMMENT ON COLUMN similarity.steerability.n_questions IS 'Questions behind the difference.';

CREATE OR REPLACE VIEW similarity.steerability_summary AS
SELECT
    source, model_version, metric, base, effect, count(*) FILTER (is_target) AS n_prompted,
    avg(difference) FILTER (is_target) AS diagonal, avg(difference) FILTER (NOT is_target) AS off_diagonal,
    diagonal - off_diagonal AS steerability
FROM similarity.steerability
WHERE (source, prompted_country) IN (SELECT (source, country) FROM similarity.steerability)
GROUP BY source, model_version, metric, base, effect;
COMMENT ON VIEW similarity.steerability_summary IS 'One number for each model version''s steerability matrix: mean of the diagonal less mean of the rest. Rows of countries without people''s answers do not count.';
COMMENT ON COLUMN similarity.steerability_summary.source IS 'Survey source.';
COMMENT ON COLUMN similarity.steerability_summary.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.steerability_summary.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.steerability_summary.base IS 'Base of the logarithm; empty for metrics without one.';
COMMENT ON COLUMN similarity.steerability_summary.effect IS 'total or specific, as in similarity.condition_effect.';
COMMENT ON COLUMN similarity.steerability_summary.n_prompted IS 'Countries prompted for.';
COMMENT ON COLUMN similarity.steerability_summary.diagonal IS 'Mean change toward the country prompted for.';
COMMENT ON COLUMN similarity.steerability_summary.off_diagonal IS 'Mean change toward the others.';
COMMENT ON COLUMN similarity.steerability_summary.steerability IS 'diagonal - off_diagonal.';

CREATE OR REPLACE VIEW similarity.provenance AS
WITH options AS (
    SELECT question_id, list(option ORDER BY option_index) AS options
    FROM question.option
    GROUP BY question_id
),
model AS (
    SELECT model_version, condition, question_id, list(probability ORDER BY option_index) AS model_shares
    FROM response.distribution
    GROUP BY ALL
),
people AS (
    SELECT
        source, question_id, wave, country_label, group_by, group_value,
        list(share ORDER BY option_index) AS human_shares, any_value(n) AS n_respondents
    FROM question.human_distribution
    GROUP BY ALL
)
SELECT
    score.model_version, score.condition, score.source, score.question_id, score.wave, score.is_latest_wave,
    score.country_label, score.country, score.sample_type, score.group_by, score.group_value, score.metric, score.base,
    score.value,
    question.source_question, question.text AS question, options.options, model.model_shares, people.human_shares,
    people.n_respondents,
    answer.request_hash, answer.prompt, answer.method, answer.option_order, answer.sample_index, answer.status,
    answer.raw_text, answer.option_logprobs, answer.answer_index, answer.letter_mass, answer.model_reported,
    answer.requested_at, answer.cost_usd,
    snapshot.snapshot, snapshot.title AS source_title, snapshot.origin AS source_origin,
    snapshot.file_name AS source_file, snapshot.sha256 AS source_sha256, snapshot.licence AS source_licence,
    made_score.run_id, made_score.code_version, made_score.package_version, made_score.data_version,
    made_score.materialized_at, made_answer.run_id AS answer_run_id, made_answer.code_version AS answer_code_version,
    made_people.run_id AS human_run_id, made_people.code_version AS human_code_version
FROM similarity.question_country AS score
JOIN question.question AS question USING (source, question_id)
JOIN options USING (question_id)
JOIN model USING (model_version, condition, question_id)
JOIN people USING (source, question_id, wave, country_label, group_by, group_value)
JOIN response.answer AS answer USING (model_version, condition, question_id)
LEFT JOIN survey.snapshot AS snapshot USING (source)
LEFT JOIN run.lineage AS made_score
    ON made_score.asset = 'similarity/question_country'
    AND made_score.partition = 'model_version=' || score.model_version || '/condition=' || score.condition
LEFT JOIN run.lineage AS made_answer
    ON made_answer.asset = 'response/answer' AND made_answer.partition = made_score.partition
LEFT JOIN run.lineage AS made_people
    ON made_people.asset = 'question/human_distribution' AND made_people.partition = '';
COMMENT ON VIEW similarity.provenance IS 'From a number back to all that is behind it: one row for each value of similarity.question_country and each answer of the model to that question (option orders and samples give several). A country''s mean in similarity.country is the mean of the values here with is_latest_wave and the same country, sample_type and group.';
COMMENT ON COLUMN similarity.provenance.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.provenance.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.provenance.source IS 'Survey source.';
COMMENT ON COLUMN similarity.provenance.question_id IS 'Content hash of text and options.';
COMMENT ON COLUMN similarity.provenance.wave IS 'Survey wave; empty where the source does not say.';
COMMENT ON COLUMN similarity.provenance.is_latest_wave IS 'Whether the value enters country means.';
COMMENT ON COLUMN similarity.provenance.country_label IS 'Country as the source writes it.';
COMMENT ON COLUMN similarity.provenance.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.provenance.sample_type IS 'national, non_national, old_national or current_national.';
COMMENT ON COLUMN similarity.provenance.group_by IS 'Demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.provenance.group_value IS 'Value of the demographic variable; empty for the whole country.';
COMMENT ON COLUMN similarity.provenance.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.provenance.base IS 'Base of the logarithm; empty for metrics without one.';
COMMENT ON COLUMN similarity.provenance.value IS 'Value of the metric.';
COMMENT ON COLUMN similarity.provenance.source_question IS 'The source''s own name of the question.';
COMMENT ON COLUMN similarity.provenance.question IS 'Text of the question.';
COMMENT ON COLUMN similarity.provenance.options IS 'Its options, by option_index.';
COMMENT ON COLUMN similarity.provenance.model_shares IS 'The model''s answer distribution, by option_index.';
COMMENT ON COLUMN similarity.provenance.human_shares IS 'The people''s answer distribution, by option_index.';
COMMENT ON COLUMN similarity.provenance.n_respondents IS 'Respondents behind it; NULL where unknown.';
COMMENT ON COLUMN similarity.provenance.request_hash IS 'Key of the answer in the journal.';
COMMENT ON COLUMN similarity.provenance.prompt IS 'The prompt as sent; empty for imported answers.';
COMMENT ON COLUMN similarity.provenance.method IS 'completion_logprobs, chat_logprobs, sampling or imported.';
COMMENT ON COLUMN similarity.provenance.option_order IS 'option_index of the option behind the first, second, … letter of this prompt.';
COMMENT ON COLUMN similarity.provenance.sample_index IS 'Number of the sample for this prompt, from 0.';
COMMENT ON COLUMN similarity.provenance.status IS 'ok, invalid or failed; only ok answers enter the distribution.';
COMMENT ON COLUMN similarity.provenance.raw_text IS 'Text that the model returned; for imported answers, the file.';
COMMENT ON COLUMN similarity.provenance.option_logprobs IS 'Natural log of the probability on each option''s letter, by option_index.';
COMMENT ON COLUMN similarity.provenance.answer_index IS 'option_index of the sampled answer.';
COMMENT ON COLUMN similarity.provenance.letter_mass IS 'Total probability on all options'' letters.';
COMMENT ON COLUMN similarity.provenance.model_reported IS 'Model name that the server answered with.';
COMMENT ON COLUMN similarity.provenance.requested_at IS 'Time of the request, UTC.';
COMMENT ON COLUMN similarity.provenance.cost_usd IS 'Cost of the answer, US dollars.';
COMMENT ON COLUMN similarity.provenance.snapshot IS 'Snapshot of the survey source.';
COMMENT ON COLUMN similarity.provenance.source_title IS 'Full name of the survey data.';
COMMENT ON COLUMN similarity.provenance.source_origin IS 'Where the survey file came from.';
COMMENT ON COLUMN similarity.provenance.source_file IS 'Name of the survey file.';
COMMENT ON COLUMN similarity.provenance.source_sha256 IS 'SHA-256 of the survey file.';
COMMENT ON COLUMN similarity.provenance.source_licence IS 'Licence of the survey data.';
COMMENT ON COLUMN similarity.provenance.run_id IS 'Dagster run that computed the value.';
COMMENT ON COLUMN similarity.provenance.code_version IS 'Code version that computed the value.';
COMMENT ON COLUMN similarity.provenance.package_version IS 'Version of opinion_assets that computed the value.';
COMMENT ON COLUMN similarity.provenance.data_version IS 'SHA-256 of the stored partition that holds the value.';
COMMENT ON COLUMN similarity.provenance.materialized_at IS 'Time at which it was stored, UTC.';
COMMENT ON COLUMN similarity.provenance.answer_run_id IS 'Dagster run that stored the answers.';
COMMENT ON COLUMN similarity.provenance.answer_code_version IS 'Code version that asked the model.';
COMMENT ON COLUMN similarity.provenance.human_run_id IS 'Dagster run that stored the people''s distributions.';
COMMENT ON COLUMN similarity.provenance.human_code_version IS 'Code version that made the people''s distributions.';

CREATE OR REPLACE VIEW similarity.country_summary AS
WITH named AS (
    SELECT country, min(name) AS name, min(region) AS region
    FROM question.country
    GROUP BY country
),
letters AS (
    SELECT model_version, condition, question_id, any_value(letter_mass) AS letter_mass
    FROM response.distribution
    GROUP BY ALL
),
mass AS (
    SELECT model_version, condition, source, country, sample_type, avg(letter_mass) AS letter_mass
    FROM similarity.question_country
    JOIN letters USING (model_version, condition, question_id)
    WHERE metric = 'js_similarity' AND base = 'e' AND is_latest_wave AND group_by = ''
    GROUP BY ALL
),
against AS (
    SELECT
        source, country, sample_type,
        max(mean) FILTER (reference = 'uniform') AS uniform_mean,
        max(mean) FILTER (reference = 'majority') AS majority_mean,
        max(mean) FILTER (reference = 'other_countries') AS other_countries_mean,
        max(mean) FILTER (reference = 'closest_country') AS closest_country_mean,
        max(detail) FILTER (reference = 'closest_country') AS closest_country,
        max(mean) FILTER (reference = 'noise_ceiling') AS noise_ceiling,
        max(n_questions) FILTER (reference = 'uniform') AS reference_n_questions
    FROM similarity.reference
    WHERE metric = 'js_similarity' AND base = 'e'
    GROUP BY ALL
)
SELECT
    mean.model_version, mean.condition, mean.source, mean.country, named.name, named.region, mean.sample_type,
    mean.mean, mean.ci_low, mean.ci_high, mean.confidence, mean.n_questions, mean.n_effective, mean.order_effect,
    mean.invalid_rate, mass.letter_mass, against.uniform_mean, against.majority_mean, against.other_countries_mean,
    against.closest_country_mean, against.closest_country, against.noise_ceiling, against.reference_n_questions
FROM similarity.country AS mean
LEFT JOIN named USING (country)
LEFT JOIN mass USING (model_version, condition, source, country, sample_type)
LEFT JOIN against USING (source, country, sample_type)
WHERE mean.metric = 'js_similarity' AND mean.base = 'e' AND mean.group_by = '' AND mean.interval = 'percentile'
    AND mean.cluster_by = 'question';
COMMENT ON VIEW similarity.country_summary IS 'One row a model version, condition, source and country: the published measure (js_similarity, base e) with its percentile interval by question, what it can be read against, and how good the answers are. Whole countries, newest waves.';
COMMENT ON COLUMN similarity.country_summary.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.country_summary.condition IS 'Prompt condition.';
COMMENT ON COLUMN similarity.country_summary.source IS 'Survey source.';
COMMENT ON COLUMN similarity.country_summary.country IS 'ISO 3166 code.';
COMMENT ON COLUMN similarity.country_summary.name IS 'English short name.';
COMMENT ON COLUMN similarity.country_summary.region IS 'World region (United Nations M49 sub-region).';
COMMENT ON COLUMN similarity.country_summary.sample_type IS 'national, non_national, old_national or current_national; never merged.';
COMMENT ON COLUMN similarity.country_summary.mean IS 'Mean similarity over the country''s questions, 0.167 to 1.';
COMMENT ON COLUMN similarity.country_summary.ci_low IS 'Lower end of its interval; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.country_summary.ci_high IS 'Upper end of its interval; NULL with fewer than 2 questions.';
COMMENT ON COLUMN similarity.country_summary.confidence IS 'Nominal coverage of the interval.';
COMMENT ON COLUMN similarity.country_summary.n_questions IS 'Questions behind the mean.';
COMMENT ON COLUMN similarity.country_summary.n_effective IS 'Independent questions that would give a mean as certain.';
COMMENT ON COLUMN similarity.country_summary.order_effect IS 'Mean total variation distance between option orders; NULL where each question was asked in one order, which says nothing about the effect.';
COMMENT ON COLUMN similarity.country_summary.invalid_rate IS 'Share of invalid answers.';
COMMENT ON COLUMN similarity.country_summary.letter_mass IS 'Mean probability that the model put on the option letters at all, 0 to 1; NULL where not measured.';
COMMENT ON COLUMN similarity.country_summary.uniform_mean IS 'The same mean for equal probability on every option. A model below it is no closer to the country than no opinion is.';
COMMENT ON COLUMN similarity.country_summary.majority_mean IS 'The same for all probability on the option most frequent in the other countries.';
COMMENT ON COLUMN similarity.country_summary.other_countries_mean IS 'Mean of the other countries'' own similarity to the country.';
COMMENT ON COLUMN similarity.country_summary.closest_country_mean IS 'Similarity of the most similar other country.';
COMMENT ON COLUMN similarity.country_summary.closest_country IS 'Its code.';
COMMENT ON COLUMN similarity.country_summary.noise_ceiling IS 'Similarity of a sample of the country''s own size to the country itself; NULL where no number of respondents is known.';
COMMENT ON COLUMN similarity.country_summary.reference_n_questions IS 'Questions behind uniform_mean: all of the source. Where it differs from n_questions, model and references stand on different questions.';
