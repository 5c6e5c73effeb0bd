"""Run by Alembic: apply migrations over the connection that `database.migrate` hands in."""

from alembic import context

from database.own_tables import all_tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_tables(),
    include_schemas=True,
    version_table="migrations",
    version_table_schema="public",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
