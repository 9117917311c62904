"""What the pages take from Reflex with types that mypy reads.

Reflex types these for Pyright alone: `rx.event` on the constructor of a namespace class; fields that are lists or mappings,
and `rx.cond` of texts, by overloads of which mypy takes another one. Everything else the pages use of Reflex as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

import reflex as rx
from reflex.event import EventCallback
from reflex.vars import ArrayVar, ObjectVar

from arbiter_app.web.views import View

Arguments = TypeVarTuple("Arguments")
Item = TypeVar("Item")
Content = TypeVar("Content", bound=Mapping[str, Any])

Record = ObjectVar[View]
Records = ArrayVar[list[View]]
Text = str | rx.Var[str]


def event(handler: Callable[[Any, *Arguments], Any]) -> EventCallback[*Arguments]:
    """A method of a state class that the browser may call; on the class it is what components take."""
    return rx.event(handler)  # type: ignore[return-value]


def background(handler: Callable[[Any, *Arguments], Any]) -> EventCallback[*Arguments]:
    """An event that runs beside the others of its tab; it changes the state only within `async with self`."""
    return rx.event(background=True)(handler)


if TYPE_CHECKING:

    class Listed(rx.Field[list[Item]]):
        """A state's variable that is a list."""

        @overload  # type: ignore[override]
        def __get__(self, instance: None, owner: Any) -> ArrayVar[list[Item]]: ...

        @overload
        def __get__(self, instance: rx.State, owner: Any) -> list[Item]: ...

        def __get__(self, instance: rx.State | None, owner: Any) -> Any: ...

    class Keyed(rx.Field[Content]):
        """A state's variable that is a mapping."""

        @overload  # type: ignore[override]
        def __get__(self, instance: None, owner: Any) -> ObjectVar[Content]: ...

        @overload
        def __get__(self, instance: rx.State, owner: Any) -> Content: ...

        def __get__(self, instance: rx.State | None, owner: Any) -> Any: ...
else:
    Listed = rx.Field[list[Item]]
    Keyed = rx.Field


def listed() -> Listed[Any]:
    """A state's variable that is a list, and begins empty."""
    return rx.field(default_factory=list)  # type: ignore[return-value]


def keyed(default: Callable[[], Content]) -> Keyed[Content]:
    """A state's variable that is a mapping, and begins as `default` makes it."""
    return rx.field(default_factory=default)  # type: ignore[return-value]


def either(condition: Any, yes: Text, no: Text) -> rx.Var[str]:
    """One of two texts, as a condition in the browser has it."""
    return rx.cond(condition, yes, no)  # type: ignore[call-overload,no-any-return]
