"""Where Dagster keeps runs, events and sensor ticks: SQLite files, or PostgreSQL where an environment variable says so.

Named in dagster_home/dagster.yaml, so that one file serves both. The survey data and the answers are not kept here: see
`opinion_assets.warehouse`.
"""

import os

from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage, SqliteStorageConfig
from dagster._serdes import ConfigurableClassData

from opinion_assets.errors import OpinionAssetsError

#: Environment variable: postgresql://user:password@host:port/database.
POSTGRES_VARIABLE = "OPINION_POSTGRES_URL"


class SqliteOrPostgres(DagsterSqliteStorage):
    """Makes Dagster's own storage of either kind; never falls back to SQLite where PostgreSQL was asked for."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: SqliteStorageConfig
    ) -> DagsterStorage:
        url = os.environ.get(POSTGRES_VARIABLE)
        if not url:
            return DagsterSqliteStorage.from_config_value(inst_data, config_value)
        try:
            from dagster_postgres import DagsterPostgresStorage
        except ImportError:
            raise OpinionAssetsError(
                f"{POSTGRES_VARIABLE} is set, but dagster-postgres is missing; pip install 'opinion-assets[postgres]'"
            ) from None
        # dagster-postgres comes with psycopg2; SQLAlchemy 2.1 looks for psycopg where the driver is not named.
        return DagsterPostgresStorage(url.replace("postgresql://", "postgresql+psycopg2://", 1), inst_data=inst_data)
