-- The paired difference of two models or conditions in a country.
SELECT difference, ci_low, ci_high, p_value, p_holm, p_bh, n_questions
FROM similarity.model_comparison
WHERE model_version_a = $model_version_a AND condition_a = $condition_a AND model_version_b = $model_version_b
    AND condition_b = $condition_b AND source = $source AND country = $country AND sample_type = $sample_type
    AND metric = $metric AND base = $base AND interval = $interval;
