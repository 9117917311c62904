"""What a handler tries: its result, or why there is none on the page; what was typed for it stays there until it is done."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import reflex as rx

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


def emptied(form: str) -> Any:
    """The event that empties the form with this id: what was sent is done, so that nobody sends it twice."""
    return rx.call_script(f"document.getElementById('{form}')?.reset()")
