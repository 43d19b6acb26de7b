-- One question's similarity, with every prompt and answer behind it and the run and code that made it.
SELECT
    similarity.value, answer.prompt, answer.option_order, answer.raw_text, answer.option_logprobs, answer.status,
    snapshot.origin, snapshot.sha256, lineage.run_id, lineage.code_version
FROM similarity.question_country AS similarity
JOIN response.answer AS answer USING (model_version, condition, question_id)
LEFT JOIN survey.snapshot AS snapshot USING (source)
LEFT JOIN run.lineage AS lineage
    ON lineage.asset = 'similarity/question_country'
    AND lineage.partition = 'model_version=' || similarity.model_version || '/condition=' || similarity.condition
WHERE similarity.model_version = $model_version AND similarity.condition = $condition AND similarity.source = $source
    AND similarity.question_id = $question_id AND similarity.country_label = $country_label AND similarity.wave = $wave
    AND similarity.group_by = '' AND similarity.metric = $metric AND similarity.base = $base;
