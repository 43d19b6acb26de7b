-- Paired differences between two models or two conditions.
SELECT
    source, model_version_a, condition_a, model_version_b, condition_b, country, sample_type, metric, base, n_questions,
    difference, ci_low, ci_high, p_value, p_holm, p_bh, n_resamples, seed
FROM similarity.model_comparison
ORDER BY metric, base, source, model_version_a, condition_a, model_version_b, condition_b, country, sample_type;
