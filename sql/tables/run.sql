-- Provenance: which run, code and inputs made each stored partition.
CREATE SCHEMA IF NOT EXISTS run;

CREATE TABLE IF NOT EXISTS run.lineage (
    asset         VARCHAR NOT NULL,
    partition     VARCHAR NOT NULL,
    run_id        VARCHAR NOT NULL,
    data_version  VARCHAR NOT NULL,
    code_version  VARCHAR NOT NULL,
    package_version VARCHAR NOT NULL,
    upstream      VARCHAR NOT NULL,
    n_rows        BIGINT NOT NULL,
    materialized_at TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE run.lineage IS 'The newest materialisation of each asset partition.';
COMMENT ON COLUMN run.lineage.asset IS 'Asset key, schema/table.';
COMMENT ON COLUMN run.lineage.partition IS 'Partition, e.g. model_version=…/condition=…; empty where the asset has none.';
COMMENT ON COLUMN run.lineage.run_id IS 'Dagster run id.';
COMMENT ON COLUMN run.lineage.data_version IS 'SHA-256 of the stored rows.';
COMMENT ON COLUMN run.lineage.code_version IS 'Code version of the asset: hash of the package''s source and SQL files.';
COMMENT ON COLUMN run.lineage.package_version IS 'Version of opinion_assets.';
COMMENT ON COLUMN run.lineage.upstream IS 'JSON object: upstream asset partition to its data version.';
COMMENT ON COLUMN run.lineage.n_rows IS 'Rows stored.';
COMMENT ON COLUMN run.lineage.materialized_at IS 'Time of storing, UTC.';
