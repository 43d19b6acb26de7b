-- Similarities to human distributions, for one model version and condition, one row a metric; `human` is made by
-- sql/report/human.sql.
SELECT metric, base, list(place ORDER BY place) AS place, list(value ORDER BY place) AS value
FROM similarity.question_country
JOIN human USING (source, question_id, wave, country_label)
WHERE model_version = $model_version AND condition = $condition AND group_by = ''
GROUP BY metric, base;
