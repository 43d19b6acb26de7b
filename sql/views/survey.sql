-- survey.change: everything between a source's file and the question dataset that was dropped, merged, kept apart or
-- changed, and why. One row a finding; what ingestion did comes from survey.dropped, the rest from the dataset itself.
CREATE OR REPLACE VIEW survey.change AS
WITH label AS (
    SELECT DISTINCT source, question_id, country, sample_type, country_label FROM question.human_distribution
),
-- Labels of one country and kind of sample, question by question.
together AS (
    SELECT
        source, question_id, country, sample_type, count(*) AS n_labels,
        string_agg(country_label, ' + ' ORDER BY country_label) AS labels
    FROM label
    GROUP BY source, question_id, country, sample_type
),
country AS (
    SELECT source, country, sample_type, string_agg(DISTINCT country_label, ' + ' ORDER BY country_label) AS labels
    FROM label
    GROUP BY source, country, sample_type
    HAVING count(DISTINCT country_label) > 1
)
SELECT 'survey' AS stage, source, source_question, country_label, action, reason, n FROM survey.dropped
UNION ALL
SELECT
    'question', source, source_question, NULL, 'kept_apart',
    'question that repeats ' || duplicate_of || ' up to spelling: both are kept, duplicate_of links them', 1
FROM question.question
WHERE duplicate_of IS NOT NULL
UNION ALL
SELECT
    'question', source, NULL, labels, 'merged',
    'labels of one country (' || country || ', ' || sample_type
        || '), never both on one question: one country in the results; n counts their questions',
    (SELECT count(*) FROM together WHERE together.source = country.source AND together.country = country.country
        AND together.sample_type = country.sample_type)
FROM country
WHERE NOT EXISTS (
    FROM together WHERE together.source = country.source AND together.country = country.country
        AND together.sample_type = country.sample_type AND n_labels > 1
)
UNION ALL
SELECT
    'question', together.source, source_question, labels, 'kept_apart',
    'two labels of one country (' || country || ', ' || sample_type
        || ') answer this question: both distributions are kept', n_labels
FROM together
JOIN question.question USING (source, question_id)
WHERE n_labels > 1
UNION ALL
SELECT
    'question', source, NULL, country_label, 'kept_apart',
    'sample that is not national (' || sample_type || '): never averaged with the country''s national samples; n counts its'
        || ' questions',
    count(DISTINCT question_id)
FROM label
WHERE sample_type <> 'national'
GROUP BY source, country_label, sample_type
UNION ALL
SELECT
    'question', source, NULL, NULL, 'kept_apart',
    'questions without human answers: put to models, compared with nobody', count(*)
FROM question.question
WHERE NOT EXISTS (
    FROM question.human_distribution AS human
    WHERE human.source = question.source AND human.question_id = question.question_id
)
GROUP BY source;
COMMENT ON VIEW survey.change IS 'What was dropped, merged, kept apart or changed between the source files and the question dataset, and why.';
COMMENT ON COLUMN survey.change.stage IS 'survey: while a source was read; question: while the question dataset was built.';
COMMENT ON COLUMN survey.change.source IS 'Survey source.';
COMMENT ON COLUMN survey.change.source_question IS 'The source''s own name of the question; NULL when it concerns the whole source.';
COMMENT ON COLUMN survey.change.country_label IS 'Country label or labels; NULL when it concerns all.';
COMMENT ON COLUMN survey.change.action IS 'dropped, merged, kept_apart or normalised.';
COMMENT ON COLUMN survey.change.reason IS 'Why, and what n counts.';
COMMENT ON COLUMN survey.change.n IS 'How many respondents, rows, distributions or questions (the reason says which).';
