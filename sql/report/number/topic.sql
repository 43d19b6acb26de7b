-- A country's mean and interval over the questions of one topic.
SELECT mean, ci_low, ci_high, interval, n_questions
FROM similarity.topic
WHERE model_version = $model_version AND condition = $condition AND source = $source AND country = $country
    AND sample_type = $sample_type AND topic = $topic AND metric = $metric AND base = $base AND interval = $interval
    AND cluster_by = $cluster_by;
