-- What must be materialised again because its inputs have changed.
SELECT asset, partition, input, reason
FROM run.stale;
