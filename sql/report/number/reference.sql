-- What a country's mean can be read against.
SELECT mean, ci_low, ci_high, detail, n_questions
FROM similarity.reference
WHERE source = $source AND country = $country AND sample_type = $sample_type AND reference = $reference
    AND metric = $metric AND base = $base;
