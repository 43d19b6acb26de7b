-- Where the human answers come from.
SELECT
    source, title, origin, licence, citation, snapshot, file_name, sha256, n_bytes,
    strftime(ingested_at, '%Y-%m-%d %H:%M UTC') AS ingested_at, n_questions, n_distributions
FROM survey.snapshot
ORDER BY source;
