-- similarity.question_country: every answer distribution of a model against every human distribution of that question.
-- The definitions are those of opinion_assets/metrics/distances.py, with p the model's share and q the country's:
--   js_similarity      1 - sqrt(Jensen-Shannon divergence); base e as published (0.167 to 1), base 2 (0 to 1)
--   js_divergence      (KL(p|m) + KL(q|m)) / 2 with m = (p + q) / 2; nats or bits
--   total_variation    sum |p - q| / 2
--   wasserstein        sum |F_p - F_q| * step over the options that have a place on the scale; no row without a scale
--   kendall_tau        tau-b of the orders of the options by popularity; no row where one ranks nothing
--   modal_agreement    1 where both have the same most frequent option; with ties, the chance that modes agree
--   model_entropy, human_entropy   -sum p ln p, nats
WITH human_size AS (
    SELECT source, question_id, wave, country_label, group_by, group_value, count(*) AS n_options
    FROM question.human_distribution
    GROUP BY ALL
),
model_size AS (
    SELECT model_version, condition, question_id, count(*) AS n_options
    FROM response.distribution
    GROUP BY ALL
),
-- Distributions of different length are not comparable: stop rather than drop options.
compared AS (
    SELECT
        human.*, model.model_version, model.condition,
        row_number() OVER (
            ORDER BY model.model_version, model.condition, source, question_id, wave, country_label, group_by, group_value
        ) AS pair
    FROM human_size AS human
    JOIN model_size AS model USING (question_id)
    WHERE CASE
        WHEN human.n_options = model.n_options THEN true
        ELSE error('question ' || question_id || ': the model has ' || model.n_options || ' options, '
            || human.country_label || ' has ' || human.n_options)
    END
),
aligned AS (
    SELECT
        pair, option_index, model.probability AS p, human.share AS q, option.ordinal_value AS place,
        human.is_latest_wave, human.country, human.sample_type
    FROM compared
    JOIN response.distribution AS model USING (model_version, condition, question_id)
    JOIN question.human_distribution AS human
        USING (source, question_id, wave, country_label, group_by, group_value, option_index)
    LEFT JOIN question.option AS option USING (question_id, option_index)
),
summed AS (
    SELECT
        pair, bool_and(is_latest_wave) AS is_latest_wave, any_value(country) AS country,
        any_value(sample_type) AS sample_type,
        greatest(0, sum(
            CASE WHEN p > 0 THEN p * ln(2 * p / (p + q)) ELSE 0 END
            + CASE WHEN q > 0 THEN q * ln(2 * q / (p + q)) ELSE 0 END
        ) / 2) AS js_divergence,
        sum(abs(p - q)) / 2 AS total_variation,
        -sum(CASE WHEN p > 0 THEN p * ln(p) ELSE 0 END) AS model_entropy,
        -sum(CASE WHEN q > 0 THEN q * ln(q) ELSE 0 END) AS human_entropy,
        max(p) AS highest_p, max(q) AS highest_q,
        count(place) AS n_places, sum(p) FILTER (place IS NOT NULL) AS placed_p,
        sum(q) FILTER (place IS NOT NULL) AS placed_q
    FROM aligned
    GROUP BY pair
),
modes AS (
    SELECT
        pair,
        count(*) FILTER (p = highest_p AND q = highest_q)
            / (count(*) FILTER (p = highest_p) * count(*) FILTER (q = highest_q))::DOUBLE AS modal_agreement
    FROM aligned JOIN summed USING (pair)
    GROUP BY pair
),
scale AS (
    SELECT
        pair,
        abs(sum(p / placed_p - q / placed_q) OVER (PARTITION BY pair ORDER BY place, option_index))
            * (lead(place) OVER (PARTITION BY pair ORDER BY place, option_index) - place) AS moved
    FROM aligned JOIN summed USING (pair)
    WHERE place IS NOT NULL AND n_places > 1 AND placed_p > 0 AND placed_q > 0
),
earth AS (
    SELECT pair, sum(moved) AS wasserstein
    FROM scale
    GROUP BY pair
),
ranks AS (
    SELECT
        pair,
        sum(sign(a.p - b.p) * sign(a.q - b.q)) AS concordance,
        sum(abs(sign(a.p - b.p))) AS untied_p, sum(abs(sign(a.q - b.q))) AS untied_q
    FROM aligned AS a JOIN aligned AS b USING (pair)
    WHERE a.option_index < b.option_index
    GROUP BY pair
),
measured AS (
    SELECT
        summed.*, modal_agreement, wasserstein,
        CASE WHEN untied_p > 0 AND untied_q > 0
            THEN concordance / sqrt(untied_p::DOUBLE * untied_q) END AS kendall_tau
    FROM summed
    JOIN modes USING (pair)
    LEFT JOIN earth USING (pair)
    LEFT JOIN ranks USING (pair)
)
SELECT
    compared.model_version, compared.condition, compared.source, compared.question_id, compared.wave,
    measured.is_latest_wave, compared.country_label, measured.country, measured.sample_type, compared.group_by,
    compared.group_value, metric.metric, metric.base,
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
FROM compared
JOIN measured USING (pair)
CROSS JOIN (
    VALUES
        (1, 'js_similarity', 'e', 1.0::DOUBLE), (2, 'js_similarity', '2', ln(2.0::DOUBLE)),
        (3, 'js_divergence', 'e', 1.0), (4, 'js_divergence', '2', ln(2.0::DOUBLE)), (5, 'total_variation', '', 1.0),
        (6, 'wasserstein', '', 1.0), (7, 'kendall_tau', '', 1.0), (8, 'modal_agreement', '', 1.0),
        (9, 'model_entropy', 'e', 1.0), (10, 'human_entropy', 'e', 1.0)
) AS metric(position, metric, base, scale)
WHERE value IS NOT NULL
ORDER BY pair, metric.position;
