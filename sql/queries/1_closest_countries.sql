-- The countries whose answers are closest, with intervals and what the mean can be read against.
SELECT country, round(mean, 3) AS mean, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high, n_questions
FROM similarity.country
WHERE model_version LIKE 'smollm2%' AND condition = 'default' AND metric = 'js_similarity' AND base = 'e'
    AND group_by = '' AND sample_type = 'national' AND interval = 'percentile' AND cluster_by = 'question'
    AND n_questions >= 3
ORDER BY mean DESC, country
LIMIT 5;
