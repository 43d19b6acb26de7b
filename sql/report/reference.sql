-- What country means can be read against: the same mean for answers that come from no model.
SELECT
    source, country, sample_type, reference, detail, metric, base, mean, ci_low, ci_high, confidence, n_questions,
    n_resamples, seed
FROM similarity.reference
ORDER BY metric, base, source, country, sample_type, reference;
