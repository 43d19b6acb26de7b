-- Where the human answers come from.
SELECT source, title, origin, licence, citation, snapshot, sha256, n_questions, n_distributions
FROM survey.snapshot
ORDER BY source;
