"""What waits for the writer, and who is told what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from arbiter_app.pipeline import ports
from arbiter_app.store.entries import Entry
from arbiter_app.store.marks import Batch

log = logging.getLogger("arbiter.store")

Work = Callable[[Connection], Any]
SharedWork = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""What is done once for all who ask for the same in one transaction: from their questions, in their order, to the answer of each."""
Told = tuple["asyncio.Future[Any]", Any]


class StoreError(RuntimeError):
    """A write that was not made; the message says why."""


class WritesPaused(StoreError, ports.NotDurable):
    """A write that was not made because the database refuses writes at the moment."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The outcome of a write that failed."""

    error: Exception


@dataclass(slots=True)
class Waiting:
    """An entry, or a function to run in the transaction, or a question to a shared one, and whom to tell. `keep`: survives a refusal.

    `doubt` is the batch in which it may be written already.
    """

    entry: Entry | None
    work: Work | None
    future: asyncio.Future[Any] | None
    keep: bool
    doubt: Batch | None = None
    shared: SharedWork | None = None
    question: Any = None


def tell(items: list[Waiting], outcomes: list[Any]) -> None:
    """Hand the outcomes over, to each event loop with one call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Told]] = {}
    for item, outcome in zip(items, outcomes, strict=True):
        if item.future is not None:
            by_loop.setdefault(item.future.get_loop(), []).append((item.future, outcome))
            item.future = None
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, told)
        except RuntimeError:
            log.debug("an event loop was gone before its writes were")


def let_go(item: Waiting, why: str) -> None:
    """Called by the one who asked, while the database refuses: a kept write is done for now, another one fails."""
    future, item.future = item.future, None
    if future is not None:
        _settle(future, None if item.keep else Failure(WritesPaused(why)))


def _settle_all(told: list[Told]) -> None:
    for future, outcome in told:
        _settle(future, outcome)


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, Failure):
        future.set_exception(outcome.error)
        future.exception()  # read once, so that nobody has to
    else:
        future.set_result(outcome)
