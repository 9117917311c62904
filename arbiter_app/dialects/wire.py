"""What a runtime speaks: where it is asked, how a chat request is written for it, and how its answers are read as those of a chat.

The other side of the dialects: callers speak one, runtimes another, and between them is always a chat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from arbiter_app import values
from arbiter_app.pipeline.ports import Refusal, Refused, RuntimeFault
from arbiter_app.pipeline.types import Json

_VERSIONED = re.compile(r"/v\d|/openai(?:/|$)|/api/")


@values.value(frozen=True, slots=True)
class WireRequest:
    """A request as a runtime gets it; `dropped` are the members of the chat request that it has no word for."""

    body: bytes
    dropped: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads one answer of a runtime as a chat's."""

    @property
    def ended(self) -> bool:
        """Whether its end has come: this event, and what follows, says how it ended."""

    @property
    def failed(self) -> bool:
        """Whether it has ended in an error."""

    @property
    def stray(self) -> bool:
        """Whether what was read last is nothing that a caller of the dialect takes as it is: a whole answer that lacks members, or
        contradicts itself; an event of another dialect, or another beginning."""

    @property
    def irregular(self) -> bool:
        """Whether what came of a stream so far can be read by no client of the dialect: then it is better translated."""

    @property
    def told(self) -> Sequence[Json] | None:
        """The events that a caller of the dialect gets in the place of the one that was read last; None where it is right as it came."""

    def whole(self, answer: Json, body: bytes) -> Json:
        """A whole answer, parsed and as it came, as a chat completion. Raises ValueError for what is no answer."""

    def take(self, data: bytes, said: Json | None = None) -> None:
        """Read the data of an event, and what they are where that was read."""

    def taken(self) -> list[bytes]:
        """What the events that were read since have added, as events of a chat. What is no event of the dialect stays as it is."""


class Wire(Protocol):
    """A dialect from the side of a runtime that speaks it."""

    dialect: str
    """Its name in the catalog."""
    models: str
    """Where models are listed, relative to the base."""
    headers: Mapping[str, str]
    """What goes with every request, by lower-case names."""

    def url(self, base_url: str) -> str:
        """Where answers are asked for."""

    def authorized(self, key: str) -> dict[str, str]:
        """The header that a key goes in, by its lower-case name; none without a key."""

    def ask(self, payload: bytes) -> WireRequest:
        """A chat request as this runtime gets it. Raises RuntimeFault (`unsupported`) where it would mean something else."""

    def reader(self) -> Reader | None:
        """For one answer; None where answers are a chat's already."""


def unable(param: str, why: str) -> RuntimeFault:
    """What is raised for a request that would mean something else in another dialect: another model may be able to serve it."""
    said = f"{param}: {why}"
    stated = Refusal(Refused.UNSUPPORTED, 400, said, "invalid_request_error", "unsupported_parameter", param)
    return RuntimeFault("status", said, refusal=stated)


def below(base_url: str, path: str) -> str:
    """A route of a runtime: directly under a base that names a version, under its `/v1` else."""
    return f"{base_url}{path}" if _VERSIONED.search(base_url) else f"{base_url}/v1{path}"
