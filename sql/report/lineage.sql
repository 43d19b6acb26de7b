-- Run, code and data behind every stored partition.
SELECT
    asset, partition, run_id, code_version, data_version, package_version, n_rows,
    strftime(materialized_at, '%Y-%m-%d %H:%M:%S UTC') AS materialized_at
FROM run.lineage
ORDER BY asset, partition;
