-- Similarity to each human distribution, for one model version and condition; `human` is made by sql/report/human.sql.
SELECT metric, base, place, value
FROM similarity.question_country
JOIN human USING (source, question_id, wave, country_label)
WHERE model_version = $model_version AND condition = $condition AND group_by = ''
ORDER BY metric, base, place;
