-- Does a prompt condition move the model toward its target, and toward the target more than toward anybody?
-- The target was chosen beforehand, so its own p_value needs no correction.
SELECT
    condition, country, effect, round(difference, 3) AS difference, round(ci_low, 3) AS ci_low,
    round(ci_high, 3) AS ci_high, round(p_value, 4) AS p_value, default_rank, condition_rank, n_ranked, n_questions
FROM similarity.condition_effect
WHERE is_target AND metric = 'js_similarity' AND base = 'e' AND interval = 'percentile' AND sample_type = 'national'
ORDER BY model_version, condition, effect DESC;
