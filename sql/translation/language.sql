-- A model asked in a language, compared with the countries that speak it (proposal for similarity.language).
-- One row per model version, language, source, metric and group of countries: speakers (at least $share of the
-- population uses the language) or others. `difference` is against the default condition over the same countries and
-- the same questions, so that which questions could be translated does not enter.
-- Variables: speaker_share, default 0.5.
-- Reads similarity.question_country, translation.speakers.
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
GROUP BY ALL
ORDER BY model_version, language, source, metric, base, countries DESC
