-- Does a prompt condition flatten the answers into a stereotype? Entropies in nats, of the target's questions.
SELECT
    condition, country, comparison, round(mean_a, 3) AS mean_a, round(mean_b, 3) AS mean_b,
    round(difference, 3) AS difference, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high, n_questions
FROM similarity.condition_entropy
WHERE is_target AND interval = 'percentile' AND sample_type = 'national'
ORDER BY model_version, condition, country, comparison;
