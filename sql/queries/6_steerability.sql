-- One number for each model: how much more a cross-national prompt moves it toward its target than toward the others.
SELECT
    model_version, effect, n_prompted, round(diagonal, 3) AS diagonal, round(off_diagonal, 3) AS off_diagonal,
    round(steerability, 3) AS steerability
FROM similarity.steerability_summary
WHERE metric = 'js_similarity' AND base = 'e'
ORDER BY model_version, effect DESC;
