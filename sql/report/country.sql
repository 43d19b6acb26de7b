-- What the report's map and table show: similarity per country with its interval, and the country's name.
SELECT
    similarity.source, similarity.model_version, similarity.condition, similarity.country, similarity.sample_type,
    coalesce(country.name, similarity.country) AS name, coalesce(country.region, '') AS region,
    similarity.mean, similarity.ci_low, similarity.ci_high, similarity.n_questions, similarity.confidence,
    similarity.interval, similarity.n_resamples, similarity.seed
FROM similarity.country AS similarity
LEFT JOIN (SELECT country, any_value(name) AS name, any_value(region) AS region FROM question.country GROUP BY country) AS country
    USING (country)
WHERE similarity.metric = 'js_similarity' AND similarity.base = 'e' AND similarity.group_by = ''
    AND similarity.interval = 'percentile' AND similarity.cluster_by = 'question'
ORDER BY similarity.source, similarity.model_version, similarity.condition, similarity.mean DESC, similarity.country;
