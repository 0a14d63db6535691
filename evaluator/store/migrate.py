"""The revision of a store's schema: which one it has, whether we know it, and how it becomes ours.

This module knows Alembic. It never knows what a revision changes.
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from evaluator.store.errors import StoreUnavailable

VERSION_TABLE = "evaluator_revision"
"""Not Alembic's default name, so that a database shared with another program that uses Alembic keeps both apart."""


def _config() -> Config:
    config = Config()
    # The parser of the configuration reads %, so a folder that has one in its name needs it doubled.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


@cache
def _known() -> tuple[str, ...]:
    """Return all revisions that this version knows, newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def revision_of(connection: Connection) -> str | None:
    """Return the revision of this database; `None` where it has none of our tables."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _refuse_newer(found: str | None, where: str) -> None:
    if found is not None and found not in _known():
        raise StoreUnavailable(
            f"the store {where} was written by a newer evaluator (revision {found}, this version knows up to "
            f"{_known()[0]}): run that version, or restore a backup from before the upgrade"
        )


def upgrade(connection: Connection, where: str) -> None:
    """Bring the schema to our revision, in the transaction of this connection.

    Raises `StoreUnavailable` where the revision is one that this version does not know.
    """
    found = revision_of(connection)
    _refuse_newer(found, where)
    if found != _known()[0]:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_current(connection: Connection, where: str) -> None:
    """Raise `StoreUnavailable` unless the schema is exactly ours; nothing is changed."""
    found = revision_of(connection)
    _refuse_newer(found, where)
    if found is None:
        raise StoreUnavailable(f"the store {where} is empty: start `evaluator run` once, it makes the tables")
    if found != _known()[0]:
        raise StoreUnavailable(
            f"the store {where} was written by an older evaluator (revision {found}, this version reads "
            f"{_known()[0]}): restart `evaluator run` with this version, it upgrades the store"
        )
