-- A country's mean and interval.
SELECT mean, ci_low, ci_high, interval, n_questions
FROM similarity.country
WHERE model_version = $model_version AND condition = $condition AND source = $source AND country = $country
    AND sample_type = $sample_type AND group_by = $group_by AND group_value = $group_value
    AND metric = $metric AND base = $base AND interval = $interval AND cluster_by = $cluster_by;
