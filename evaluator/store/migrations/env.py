"""What Alembic runs for each command: the migrations, on the connection and in the transaction that it is given.

This module knows where the revision is kept. It never opens a database: `evaluator.store.migrate` hands it one.
"""

from alembic import context

from evaluator.store.migrate import VERSION_TABLE
from evaluator.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
