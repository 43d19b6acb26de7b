-- The countries whose answers are closest, with intervals, what the means can be read against, and how much of the
-- model's probability was on the option letters at all.
SELECT
    name, round(mean, 3) AS mean, round(ci_low, 3) AS ci_low, round(ci_high, 3) AS ci_high, n_questions,
    round(uniform_mean, 3) AS uniform, round(other_countries_mean, 3) AS other_countries, round(letter_mass, 2) AS letter_mass
FROM similarity.country_summary
WHERE model_version LIKE 'smollm2%' AND condition = 'default' AND sample_type = 'national' AND n_questions >= 3
ORDER BY country_summary.mean DESC, name
LIMIT 5;
