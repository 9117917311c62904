"""Runs migrations on the connection that the store hands over, or on ARBITER_DB from the command line."""

from sqlmodel import SQLModel

from alembic import context
from arbiter_app.settings import load_settings
from arbiter_app.store import tables
from arbiter_app.store.backends import backend_of, url_of

assert tables


def run(connection) -> None:
    """Migrate in one transaction, with batch mode so that SQLite can alter tables."""
    context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with backend_of(url_of(load_settings().db)).engine().begin() as own:
        run(own)
