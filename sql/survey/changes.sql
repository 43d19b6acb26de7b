-- survey.change in short: one row for each source, stage, action and reason, with the number of findings and their sum.
-- Reasons that differ in their figures only (how far from 1 a distribution summed) are one row.
SELECT
    source, stage, action, regexp_replace(reason, '-?[0-9]+[.][0-9]+', '…', 'g') AS reason,
    count(*) AS findings, sum(n)::BIGINT AS n, string_agg(DISTINCT country_label, ', ' ORDER BY country_label) AS labels
FROM survey.change
GROUP BY ALL
ORDER BY source, stage DESC, action, n DESC, reason;
