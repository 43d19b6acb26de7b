-- Prompted for Turkey, toward whom do the answers move?
SELECT
    country, is_target, round(difference, 3) AS difference, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high,
    round(p_holm, 4) AS p_holm, n_questions
FROM similarity.condition_effect
WHERE condition = 'cross_national:TUR' AND effect = 'total' AND metric = 'js_similarity' AND base = 'e'
    AND interval = 'percentile' AND sample_type = 'national' AND n_questions >= 3
ORDER BY condition_effect.difference DESC, country
LIMIT 5;
