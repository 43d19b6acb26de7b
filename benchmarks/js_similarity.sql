-- 1 - Jensen-Shannon distance alone, as sql/similarity/question_country.sql computes it: what scoring costs without the
-- other metrics and without one text row per metric.
WITH question_key AS (
    SELECT question_id, row_number() OVER (ORDER BY question_id) * 128 AS first_option
    FROM response.distribution
    GROUP BY question_id
),
human_key AS (
    SELECT
        source, question_id, wave, country_label, group_by, group_value,
        row_number() OVER (ORDER BY source, question_id, wave, country_label, group_by, group_value)::INTEGER AS h
    FROM question.human_distribution
    GROUP BY source, question_id, wave, country_label, group_by, group_value
),
model_key AS (
    SELECT
        model_version, condition, question_id,
        row_number() OVER (ORDER BY model_version, condition, question_id)::INTEGER AS m
    FROM response.distribution
    GROUP BY model_version, condition, question_id
),
human AS (
    SELECT h, first_option + option_index::TINYINT AS k, share AS q
    FROM question.human_distribution
    JOIN human_key USING (source, question_id, wave, country_label, group_by, group_value)
    JOIN question_key USING (question_id)
),
model AS (
    SELECT m, first_option + option_index::TINYINT AS k, probability AS p
    FROM response.distribution
    JOIN model_key USING (model_version, condition, question_id)
    JOIN question_key USING (question_id)
)
SELECT
    m, h,
    1 - sqrt(greatest(0, sum(((
        CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END
        + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END
    ) * pow(2, 60))::BIGINT) / pow(2, 61))) AS js_similarity
FROM model JOIN human USING (k)
GROUP BY m, h;
