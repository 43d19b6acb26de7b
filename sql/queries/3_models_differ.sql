-- Where two models, or two versions of one model (comparison = 'version': drift), differ after correction for the number
-- of countries.
SELECT
    comparison, model_version_a, model_version_b, country, round(difference, 3) AS difference,
    round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high, p_holm, p_bh, n_questions
FROM similarity.model_comparison
WHERE comparison IN ('model', 'version') AND metric = 'js_similarity' AND base = 'e' AND interval = 'percentile'
    AND p_holm < 0.05
ORDER BY abs(difference) DESC
LIMIT 20;
