-- Human and model distributions under integer keys, made ready before the clock starts as the matrices of the array
-- function are: k numbers a question and option, h a human distribution, m a model version and condition.
CREATE TEMP TABLE question_key AS
SELECT question_id, row_number() OVER (ORDER BY question_id)::INTEGER AS number
FROM (SELECT DISTINCT question_id FROM question.human_distribution);

CREATE TEMP TABLE human AS
SELECT
    number * 32 + option_index AS k, share AS q,
    dense_rank() OVER (ORDER BY source, question_id, wave, country_label, group_by, group_value)::INTEGER AS h
FROM question.human_distribution JOIN question_key USING (question_id);

CREATE TEMP TABLE model AS
SELECT
    number * 32 + option_index AS k, probability AS p,
    dense_rank() OVER (ORDER BY model_version, condition)::INTEGER AS m
FROM response.distribution JOIN question_key USING (question_id);
