-- A world region's mean and interval.
SELECT mean, ci_low, ci_high, interval, n_countries, n_questions
FROM similarity.region
WHERE model_version = $model_version AND condition = $condition AND source = $source AND region = $region
    AND sample_type = $sample_type AND metric = $metric AND base = $base AND interval = $interval
    AND cluster_by = $cluster_by;
