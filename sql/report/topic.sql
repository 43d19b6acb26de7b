-- Means per country and topic with intervals, for one kind of interval of each mean, chosen as in country.sql.
SELECT
    model_version, condition, source, country, sample_type, topic, metric, base, mean, ci_low, ci_high, interval,
    confidence, cluster_by, n_questions, n_clusters, n_resamples, seed
FROM similarity.topic
QUALIFY row_number() OVER (
    PARTITION BY model_version, condition, source, country, sample_type, topic, metric, base
    ORDER BY cluster_by <> 'question', interval <> 'percentile', cluster_by, interval
) = 1
ORDER BY metric, base, source, model_version, condition, country, sample_type, topic;
