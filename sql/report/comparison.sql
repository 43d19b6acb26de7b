-- Paired differences between two models or two conditions, for one kind of interval, percentile before others.
SELECT
    source, model_version_a, condition_a, model_version_b, condition_b, country, sample_type, metric, base, n_questions,
    difference, ci_low, ci_high, interval, confidence, p_value, p_holm, p_bh, n_resamples, n_permutations, seed
FROM similarity.model_comparison
QUALIFY row_number() OVER (
    PARTITION BY source, model_version_a, condition_a, model_version_b, condition_b, country, sample_type, metric, base
    ORDER BY interval <> 'percentile', interval
) = 1
ORDER BY metric, base, source, model_version_a, condition_a, model_version_b, condition_b, country, sample_type;
