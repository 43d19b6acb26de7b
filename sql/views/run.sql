-- Stored partitions whose inputs have changed since.
CREATE OR REPLACE VIEW run.stale AS
WITH RECURSIVE stored AS (
    SELECT asset, partition, data_version, upstream, asset || CASE WHEN partition = '' THEN '' ELSE '/' || partition END AS name
    FROM run.lineage
),
used AS (
    SELECT stored.name, stored.asset, stored.partition, input.key AS input, json_extract_string(input.value, '$') AS version
    FROM stored, json_each(stored.upstream) AS input
),
direct AS (
    SELECT
        used.asset, used.partition, used.name, used.input,
        CASE WHEN current.name IS NULL THEN 'removed' ELSE 'changed' END AS reason
    FROM used
    LEFT JOIN stored AS current ON current.name = used.input
    WHERE current.data_version IS DISTINCT FROM used.version
    UNION ALL
    -- A table without partitions reads all partitions of its inputs: one that came later is not in it.
    SELECT reader.asset, reader.partition, reader.name, added.name, 'added'
    FROM stored AS reader
    JOIN stored AS added
        ON added.asset IN (SELECT old.asset FROM used JOIN stored AS old ON old.name = used.input WHERE used.name = reader.name)
    WHERE reader.partition = '' AND added.name NOT IN (SELECT used.input FROM used WHERE used.name = reader.name)
),
reached AS (
    SELECT asset, partition, name, input, reason FROM direct
    UNION
    SELECT used.asset, used.partition, used.name, used.input, 'input is stale'
    FROM reached
    JOIN used ON used.input = reached.name
)
SELECT asset, partition, input, reason
FROM reached
ORDER BY asset, partition, input, reason;
COMMENT ON VIEW run.stale IS 'Stored partitions whose inputs have changed since; empty when everything is current. Materialise them again.';
COMMENT ON COLUMN run.stale.asset IS 'Asset key, schema/table.';
COMMENT ON COLUMN run.stale.partition IS 'Partition; empty where the asset has none.';
COMMENT ON COLUMN run.stale.input IS 'Asset and partition that changed.';
COMMENT ON COLUMN run.stale.reason IS 'changed (stored anew with other rows), removed, added (a partition that was not there), or input is stale (itself in this view).';
