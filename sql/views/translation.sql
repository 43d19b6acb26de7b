-- A model asked in a language, compared with the countries that speak it.

CREATE OR REPLACE VIEW similarity.language AS
WITH answered AS (
    SELECT model_version, condition, source, question_id, wave, country, sample_type, metric, base, value
    FROM similarity.question_country
    WHERE is_latest_wave AND group_by = '' AND sample_type IN ('national', 'current_national')
),
linguistic AS (
    SELECT *, substr(condition, length('linguistic:') + 1) AS language
    FROM answered
    WHERE starts_with(condition, 'linguistic:')
),
paired AS (
    SELECT
        l.model_version, l.language, l.source, l.country, l.sample_type, l.metric, l.base, l.question_id,
        l.value, d.value AS default_value,
        coalesce(s.share, 0) >= coalesce(getvariable('speaker_share'), 0.5) AS speaks
    FROM linguistic AS l
    JOIN answered AS d USING (model_version, source, question_id, wave, country, sample_type, metric, base)
    LEFT JOIN translation.speakers AS s ON s.language = l.language AND s.country = l.country
    WHERE d.condition = 'default'
),
by_country AS (
    SELECT
        model_version, language, source, metric, base, country, speaks,
        avg(value) AS value, avg(default_value) AS default_value, count(DISTINCT question_id) AS n_questions
    FROM paired
    GROUP BY ALL
)
SELECT
    model_version,
    language,
    source,
    metric,
    base,
    CASE WHEN speaks THEN 'speakers' ELSE 'others' END AS countries,
    avg(value) AS mean,
    avg(default_value) AS default_mean,
    avg(value - default_value) AS difference,
    count(*) AS n_countries,
    max(n_questions) AS n_questions
FROM by_country
GROUP BY ALL;
COMMENT ON VIEW similarity.language IS 'Linguistic prompting against default over the same questions and countries: countries where at least half of the population uses the language (SET VARIABLE speaker_share = 0.3 changes the half), and the others. Means of country means, newest waves, national samples.';
COMMENT ON COLUMN similarity.language.model_version IS 'Whole dated model id.';
COMMENT ON COLUMN similarity.language.language IS 'BCP 47 tag of the condition linguistic:<tag>.';
COMMENT ON COLUMN similarity.language.source IS 'Survey source.';
COMMENT ON COLUMN similarity.language.metric IS 'Name of the metric.';
COMMENT ON COLUMN similarity.language.base IS 'Base of the logarithm; empty for metrics without one.';
COMMENT ON COLUMN similarity.language.countries IS 'speakers or others (translation.speakers, CLDR).';
COMMENT ON COLUMN similarity.language.mean IS 'Mean over the countries under the linguistic condition.';
COMMENT ON COLUMN similarity.language.default_mean IS 'Mean over the same countries and questions under default.';
COMMENT ON COLUMN similarity.language.difference IS 'mean - default_mean; for similarities, positive is a move toward these countries.';
COMMENT ON COLUMN similarity.language.n_countries IS 'Countries behind the means.';
COMMENT ON COLUMN similarity.language.n_questions IS 'Most questions of a country behind the means.';
