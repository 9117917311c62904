"""Who changed what: every administrative act, kept for good, readable by operators, exportable as CSV."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any, cast

import orjson

from arbiter_app.moments import moment
from arbiter_app.pipeline.types import Caller, Json
from arbiter_app.services.csv_text import as_csv
from arbiter_app.services.rows.people import AuditRow
from arbiter_app.store import Store, audit

COLUMNS = ("id", "time", "key_id", "email", "action", "subject", "before", "after")
PAGE_ROWS = 500


def entry(caller: Caller, action: str, subject: str, *, before: Any = None, after: Any = None) -> Json:
    """One entry, to be kept by `store.audit.add` in the transaction of the act itself.

    `action` is a noun and a verb (`model.edit`), `subject` what it was done to; `before` and `after` are JSON values, None where
    there was, or is, nothing. No secret belongs in them.
    """
    who = {"key_id": caller.key_id, "email": caller.email}
    return {"ts": time.time(), **who, "action": action, "subject": subject, "before": before, "after": after}


class Audit:
    """The log as it is read, and written where an act has no transaction of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def note(self, caller: Caller, action: str, subject: str, *, before: Any = None, after: Any = None) -> None:
        """Keep an entry. Raises StoreError where it cannot be kept: what is not on record should not be done."""
        row = entry(caller, action, subject, before=before, after=after)
        await self._store.writer.call(lambda connection: audit.add(connection, row))

    async def newest(self, *, limit: int = 50, before: int | None = None, subject: str | None = None) -> list[AuditRow]:
        """Entries newest first; `before` is the `id` of the last one seen."""
        rows = await self._store.read(audit.newest, limit=limit, before=before, subject=subject)
        return cast(list[AuditRow], rows)

    async def csv(self) -> AsyncIterator[bytes]:
        """The whole log as CSV, newest first, page by page; nothing is held between pages."""
        yield as_csv(COLUMNS, []).encode()
        before = None
        while rows := await self.newest(limit=PAGE_ROWS, before=before):
            yield as_csv(None, [_cells(row) for row in rows]).encode()
            before = rows[-1]["id"]


def _cells(row: AuditRow) -> list[str]:
    when = moment(row["ts"], UTC).isoformat(timespec="milliseconds")
    told = ["" if value is None else orjson.dumps(value).decode() for value in (row["before"], row["after"])]
    return [str(row["id"]), when, row["key_id"], row["email"], row["action"], row["subject"], *told]
