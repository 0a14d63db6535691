"""Whether a store could be written, told by reading alone: for `evaluator doctor`.

This module knows what PostgreSQL tells of a role and of a server. It never writes, and asks for no lock.
"""

from sqlalchemy import Connection, text

from evaluator.store.schema import METADATA

_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"
_RIGHTS_OF = """
    SELECT name FROM unnest(CAST(:names AS text[])) AS name, unnest(CAST(:rights AS text[])) AS wanted
    WHERE to_regclass(quote_ident(name)) IS NOT NULL AND NOT has_table_privilege(quote_ident(name), wanted)
    GROUP BY name ORDER BY name
"""


def unwritable(connection: Connection) -> str:
    """Return why nothing can be written, as a sentence with what mends it; empty: nothing speaks against it.

    Of an SQLite file the file system tells more, so nothing is said of it here.
    """
    if connection.dialect.name != "postgresql":
        return ""
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        return "the server is a standby, which may only be read: name the primary"
    default = "SELECT reset_val = 'on' FROM pg_settings WHERE name = 'default_transaction_read_only'"
    if connection.execute(text(default)).scalar_one():
        return "default_transaction_read_only is on: ALTER ROLE ... SET default_transaction_read_only = off"
    names = sorted(METADATA.tables)
    lacking = connection.execute(text(_RIGHTS_OF), {"names": names, "rights": _RIGHTS.split(", ")}).scalars().all()
    if lacking:
        role = connection.execute(text("SELECT quote_ident(current_user)")).scalar_one()
        return f"the role lacks a right: GRANT {_RIGHTS} ON {', '.join(lacking)} TO {role}"
    return ""
