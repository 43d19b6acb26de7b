-- Means per world region with intervals, for one kind of interval of each mean, chosen as in country.sql.
SELECT
    model_version, condition, source, region, sample_type, metric, base, mean, ci_low, ci_high, interval, confidence,
    cluster_by, n_countries, n_questions, n_clusters, n_resamples, seed
FROM similarity.region
QUALIFY row_number() OVER (
    PARTITION BY model_version, condition, source, region, sample_type, metric, base
    ORDER BY cluster_by <> 'question', interval <> 'percentile', cluster_by, interval
) = 1
ORDER BY metric, base, source, model_version, condition, region, sample_type;
