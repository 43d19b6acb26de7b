-- Beside each model version and condition: how it was asked, how many answers were invalid, what it cost, which run made it.
SELECT
    answer.model_version, answer.condition, any_value(answer.method) AS method,
    count(DISTINCT answer.question_id) AS n_questions, count(*) AS n_answers,
    avg((answer.status = 'invalid')::INTEGER) AS invalid_rate, avg((answer.status = 'failed')::INTEGER) AS failed_rate,
    avg(answer.letter_mass) AS letter_mass, sum(answer.cost_usd) AS cost_usd,
    any_value(lineage.run_id) AS run_id, any_value(lineage.code_version) AS code_version,
    any_value(lineage.data_version) AS data_version, strftime(max(lineage.materialized_at), '%Y-%m-%d %H:%M UTC') AS stored_at
FROM response.answer AS answer
LEFT JOIN run.lineage AS lineage
    ON lineage.asset = 'similarity/country'
    AND lineage.partition = 'model_version=' || answer.model_version || '/condition=' || answer.condition
GROUP BY answer.model_version, answer.condition
ORDER BY answer.model_version, answer.condition;
