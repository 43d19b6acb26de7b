-- Means per country with intervals, for one kind of interval of each mean: over questions before other clusters,
-- percentile before others.
SELECT
    model_version, condition, source, country, sample_type, group_by, group_value, metric, base, mean, ci_low, ci_high,
    interval, confidence, cluster_by, n_questions, n_clusters, order_effect, invalid_rate, n_resamples, seed
FROM similarity.country
QUALIFY row_number() OVER (
    PARTITION BY model_version, condition, source, country, sample_type, group_by, group_value, metric, base
    ORDER BY cluster_by <> 'question', interval <> 'percentile', cluster_by, interval
) = 1
ORDER BY metric, base, source, model_version, condition, group_by, group_value, country, sample_type;
