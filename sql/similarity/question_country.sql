-- similarity.question_country: every answer distribution of a model against every human distribution of that question.
-- 1 - Jensen-Shannon distance, the distance being the square root of the Jensen-Shannon divergence:
--   base e (as published, values from 1 - sqrt(ln 2) = 0.167 to 1) and base 2 (0 to 1).
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
    SELECT human.*, model.model_version, model.condition
    FROM human_size AS human
    JOIN model_size AS model USING (question_id)
    WHERE CASE
        WHEN human.n_options = model.n_options THEN true
        ELSE error('question ' || question_id || ': the model has ' || model.n_options || ' options, '
            || human.country_label || ' has ' || human.n_options)
    END
),
divergence AS (
    SELECT
        model.model_version, model.condition, human.source, human.question_id, human.wave,
        bool_and(human.is_latest_wave) AS is_latest_wave, human.country_label,
        any_value(human.country) AS country, any_value(human.sample_type) AS sample_type,
        human.group_by, human.group_value,
        greatest(0, sum(
            CASE WHEN model.probability > 0
                THEN model.probability * ln(2 * model.probability / (model.probability + human.share)) ELSE 0 END
            + CASE WHEN human.share > 0
                THEN human.share * ln(2 * human.share / (model.probability + human.share)) ELSE 0 END
        ) / 2) AS js_divergence
    FROM compared
    JOIN response.distribution AS model USING (model_version, condition, question_id)
    JOIN question.human_distribution AS human
        ON human.source = compared.source AND human.question_id = compared.question_id AND human.wave = compared.wave
        AND human.country_label = compared.country_label AND human.group_by = compared.group_by
        AND human.group_value = compared.group_value AND human.option_index = model.option_index
    GROUP BY
        model.model_version, model.condition, human.source, human.question_id, human.wave, human.country_label,
        human.group_by, human.group_value
)
SELECT
    divergence.* EXCLUDE (js_divergence), metric.metric, metric.base,
    1 - sqrt(js_divergence / metric.scale) AS value
FROM divergence
CROSS JOIN (VALUES ('js_similarity', 'e', 1.0::DOUBLE), ('js_similarity', '2', ln(2.0::DOUBLE))) AS metric(metric, base, scale)
ORDER BY model_version, condition, source, question_id, wave, country_label, group_by, group_value, metric, base DESC;
