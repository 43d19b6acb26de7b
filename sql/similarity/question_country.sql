-- similarity.question_country: every answer distribution of a model against every human distribution of that question.
-- The definitions are those of opinion_assets/metrics/distances.py, with p the model's share and q the country's:
--   js_similarity      1 - sqrt(Jensen-Shannon divergence); base e as published (0.167 to 1), base 2 (0 to 1)
--   js_divergence      (KL(p|m) + KL(q|m)) / 2 with m = (p + q) / 2; nats or bits
--   total_variation    sum |p - q| / 2
--   wasserstein        sum |F_p - F_q| * step over the options that have a place on the scale; no row without a scale
--   kendall_tau        tau-b of the orders of the options by popularity; no row where one ranks nothing
--   modal_agreement    1 where both have the same most frequent option; with ties, the chance that modes agree
--   model_entropy, human_entropy   -sum p ln p, nats
-- What belongs to one distribution is computed once for it; pairs of distributions meet under one integer key of question
-- and option. Threads add in any order, and a sum of doubles would differ in its last bit from run to run: what is added
-- (all between -8 and 8, or the cast stops the query) is counted in whole units of 2^-60, whose sums are exact. The cast of
-- an option's index to TINYINT (up to 127) stops the query before one question's keys reach into the next one's.
WITH question_key AS (
    SELECT question_id, row_number() OVER (ORDER BY question_id) * 128 AS first_option
    FROM response.distribution
    GROUP BY question_id
),
human_key AS (
    SELECT
        source, question_id, wave, country_label, group_by, group_value, bool_and(is_latest_wave) AS is_latest_wave,
        any_value(country) AS country, any_value(sample_type) AS sample_type, count(*) AS n_options,
        row_number() OVER (ORDER BY source, question_id, wave, country_label, group_by, group_value)::INTEGER AS h
    FROM question.human_distribution
    GROUP BY source, question_id, wave, country_label, group_by, group_value
),
model_key AS (
    SELECT
        model_version, condition, question_id, count(*) AS n_options,
        row_number() OVER (ORDER BY model_version, condition, question_id)::INTEGER AS m,
        dense_rank() OVER (ORDER BY model_version, condition)::INTEGER AS part
    FROM response.distribution
    GROUP BY model_version, condition, question_id
),
place AS (
    SELECT
        question_id, option_index, ordinal_value AS place,
        coalesce(lead(ordinal_value) OVER (PARTITION BY question_id ORDER BY ordinal_value, option_index) - ordinal_value, 0)
            AS step,
        count(*) OVER (PARTITION BY question_id) AS n_places
    FROM question.option
    WHERE ordinal_value IS NOT NULL
),
-- share, and the share of the placed options up to this one (NULL without a scale or without any share on it).
human AS (
    SELECT
        h, option_index AS o, first_option + option_index::TINYINT AS k, share AS q, place.step,
        sum((share * pow(2, 60))::BIGINT) FILTER (place IS NOT NULL)
            OVER (PARTITION BY h ORDER BY place NULLS LAST, option_index)
            / nullif(
                sum((share * pow(2, 60))::BIGINT) FILTER (place IS NOT NULL AND n_places > 1) OVER (PARTITION BY h), 0
            ) AS f_q
    FROM question.human_distribution
    JOIN human_key USING (source, question_id, wave, country_label, group_by, group_value)
    JOIN question_key USING (question_id)
    LEFT JOIN place USING (question_id, option_index)
),
model AS (
    SELECT
        m, option_index AS o, first_option + option_index::TINYINT AS k, probability AS p,
        sum((probability * pow(2, 60))::BIGINT) FILTER (place IS NOT NULL)
            OVER (PARTITION BY m ORDER BY place NULLS LAST, option_index)
            / nullif(
                sum((probability * pow(2, 60))::BIGINT) FILTER (place IS NOT NULL AND n_places > 1) OVER (PARTITION BY m), 0
            ) AS f_p
    FROM response.distribution
    JOIN model_key USING (model_version, condition, question_id)
    JOIN question_key USING (question_id)
    LEFT JOIN place USING (question_id, option_index)
),
-- Modes and the order of the options, as lists that two distributions multiply element by element.
human_shape AS (
    SELECT
        h, -sum((CASE WHEN q > 0 THEN q * ln(q) ELSE 0 END * pow(2, 60))::BIGINT) / pow(2, 60) AS entropy,
        list((q = highest)::INTEGER::DOUBLE ORDER BY o) AS modes, list_sum(modes) AS n_modes
    FROM (SELECT h, o, q, max(q) OVER (PARTITION BY h) AS highest FROM human)
    GROUP BY h
),
model_shape AS (
    SELECT
        m, -sum((CASE WHEN p > 0 THEN p * ln(p) ELSE 0 END * pow(2, 60))::BIGINT) / pow(2, 60) AS entropy,
        list((p = highest)::INTEGER::DOUBLE ORDER BY o) AS modes, list_sum(modes) AS n_modes
    FROM (SELECT m, o, p, max(p) OVER (PARTITION BY m) AS highest FROM model)
    GROUP BY m
),
human_rank AS (
    SELECT
        h, list(sign(a.q - b.q)::DOUBLE ORDER BY a.o, b.o) AS signs, sum(abs(sign(a.q - b.q))) AS untied
    FROM human AS a JOIN human AS b USING (h)
    WHERE a.o < b.o
    GROUP BY h
),
model_rank AS (
    SELECT
        m, list(sign(a.p - b.p)::DOUBLE ORDER BY a.o, b.o) AS signs, sum(abs(sign(a.p - b.p))) AS untied
    FROM model AS a JOIN model AS b USING (m)
    WHERE a.o < b.o
    GROUP BY m
),
summed AS (
    SELECT
        m, h,
        greatest(0, sum(((
            CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END
            + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END
        ) * pow(2, 60))::BIGINT) / pow(2, 61)) AS js_divergence,
        sum((abs(p - q) * pow(2, 60))::BIGINT) / pow(2, 61) AS total_variation,
        sum((abs(f_p - f_q) * step * pow(2, 60))::BIGINT) / pow(2, 60) AS wasserstein
    FROM model JOIN human USING (k)
    GROUP BY m, h
),
measured AS (
    SELECT
        model_key.part, model_key.model_version, model_key.condition, human_key.*, summed.* EXCLUDE (h),
        CASE WHEN p_rank.untied > 0 AND q_rank.untied > 0
            THEN list_dot_product(p_rank.signs, q_rank.signs) / sqrt(p_rank.untied * q_rank.untied) END AS kendall_tau,
        list_dot_product(p_shape.modes, q_shape.modes) / (p_shape.n_modes * q_shape.n_modes) AS modal_agreement,
        p_shape.entropy AS model_entropy, q_shape.entropy AS human_entropy
    FROM summed
    JOIN model_key USING (m)
    JOIN human_key USING (h)
    JOIN model_shape AS p_shape USING (m)
    JOIN human_shape AS q_shape USING (h)
    LEFT JOIN model_rank AS p_rank USING (m)
    LEFT JOIN human_rank AS q_rank USING (h)
    -- Distributions of different length are not comparable: stop rather than leave options out.
    WHERE CASE
        WHEN human_key.n_options = model_key.n_options THEN true
        ELSE error('question ' || human_key.question_id || ': the model has ' || model_key.n_options || ' options, '
            || human_key.country_label || ' has ' || human_key.n_options)
    END
)
SELECT
    model_version, condition, source, question_id, wave, is_latest_wave, country_label, country, sample_type, group_by,
    group_value, metric.metric, metric.base,
    CASE metric.metric
        WHEN 'js_similarity' THEN 1 - sqrt(js_divergence / scale)
        WHEN 'js_divergence' THEN js_divergence / scale
        WHEN 'total_variation' THEN total_variation
        WHEN 'wasserstein' THEN wasserstein
        WHEN 'kendall_tau' THEN kendall_tau
        WHEN 'modal_agreement' THEN modal_agreement
        WHEN 'model_entropy' THEN model_entropy
        WHEN 'human_entropy' THEN human_entropy
    END AS value
FROM measured
CROSS JOIN (
    VALUES
        (1, 'js_similarity', 'e', 1.0::DOUBLE), (2, 'js_similarity', '2', ln(2.0::DOUBLE)),
        (3, 'js_divergence', 'e', 1.0), (4, 'js_divergence', '2', ln(2.0::DOUBLE)), (5, 'total_variation', '', 1.0),
        (6, 'wasserstein', '', 1.0), (7, 'kendall_tau', '', 1.0), (8, 'modal_agreement', '', 1.0),
        (9, 'model_entropy', 'e', 1.0), (10, 'human_entropy', 'e', 1.0)
) AS metric(position, metric, base, scale)
WHERE value IS NOT NULL
ORDER BY part, h, metric.position;
