"""What a handler tries: its result, or why there is none on the page."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.store import StoreError

T = TypeVar("T")


async def tried(state: Any, work: Awaitable[T]) -> T | None:
    """The result of some work; None where it is refused, and the state's `error` says why, which is empty otherwise."""
    state.error = ""
    try:
        return await work
    except (ArbiterError, StoreError) as error:
        state.error = str(error)
    return None
