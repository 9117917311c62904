"""Chunks of a chat, as a runtime of another dialect would have sent them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.reasoning import MEMBER
from arbiter_app.pipeline.events import ChunkEvent
from arbiter_app.pipeline.snapshots import Pieces
from arbiter_app.pipeline.types import Json

DONE = b"[DONE]"


class Chunks:
    """Makes the chunks of one answer: what was said since the last `taken`. Pieces of one thing that came one after the other, such as
    of a text, are one chunk.
    """

    def __init__(self) -> None:
        self._head: Json = {"object": "chat.completion.chunk", "created": int(time.time())}
        self._made: list[bytes] = []
        self._role = True
        self._held: list[Json] = []
        self._pieces: list[str] = []
        self._of: str | int = ""
        """What the pieces are of: a member of a message, or the call whose arguments they are."""
        self._so_far: dict[str | int, Pieces] = {}
        self.said = False
        self.calls = 0
        self.ended = self.failed = False

    def begin(self, stated: object, model: object, created: object = None) -> None:
        """The answer's id, model and time, where they are stated."""
        named = {"id": stated, "model": model, "created": created}
        kinds: dict[str, type] = {"id": str, "model": str, "created": int}
        self._head |= {name: value for name, value in named.items() if type(value) is kinds[name] and value}

    def text(self, text: object) -> None:
        """A piece of what is said."""
        if isinstance(text, str) and text:
            self._flush()
            self.said = True
            self._piece("content", text)

    def refusal(self, text: object) -> None:
        """A piece of what is said in place of an answer."""
        if isinstance(text, str) and text:
            self._flush()
            self.said = True
            self._piece("refusal", text)

    def thought(self, text: object) -> None:
        """A piece of what is thought."""
        if isinstance(text, str) and text:
            self._flush()
            self._piece("reasoning_content", text)

    def signed(self, details: list[Json]) -> None:
        """What ends a thought; it waits for what comes after, where something stood before."""
        self._held += details
        if not self.said:
            self._flush()

    def call(self, stated: object, name: object) -> int:
        """A call begins; returns its number."""
        number, self.calls = self.calls, self.calls + 1
        self._rests(str)
        named = stated if isinstance(stated, str) and stated else f"call_{self._head.get('id', 'x')}_{number}"
        if self._held:
            self._held = [{**one, "before": named} for one in self._held]
            self._flush()
        self.said = True
        function = {"name": name if isinstance(name, str) else "", "arguments": ""}
        self._delta({"tool_calls": [{"index": number, "id": named, "type": "function", "function": function}]})
        return number

    def arguments(self, number: int, text: object) -> None:
        """A piece of a call's arguments."""
        if isinstance(text, str) and text:
            self._piece(number, text)

    def end(self, finish: str, usage: Json | None, **more: Any) -> None:
        """Why the answer ended, and what it used."""
        self._rests(str, int)
        self._flush()
        self._tell()
        if not self.ended:
            self._chunk({"choices": [{"index": 0, "delta": self._first({}), "finish_reason": finish, **more}]})
        self.ended = True
        if usage is not None:
            self._chunk({"choices": [], "usage": usage})

    def used(self, usage: Json | None) -> None:
        """What the answer used, where that is said after its end."""
        if self.ended and usage is not None:
            self._chunk({"choices": [], "usage": usage})

    def raw(self, data: bytes) -> None:
        """The data of what is no event of the dialect."""
        self._tell()
        self._made.append(b"data: " + data)

    def error(self, error: object) -> None:
        """What went wrong."""
        self.failed = True
        self.raw(exact_json.dumps({"error": error or {"message": "the runtime reported an error"}}))

    def done(self) -> None:
        """The end of the stream."""
        self.raw(DONE)

    def taken(self) -> list[bytes]:
        """The events that were made, once."""
        self._tell()
        made, self._made = self._made, []
        return made

    def _piece(self, of: str | int, text: str) -> None:
        """Gather what a piece adds, where it may be all of its text so far."""
        known = self._so_far.get(of)
        if known is None:
            known = self._so_far[of] = Pieces(arguments=not isinstance(of, str))
        if added := known.add(text):
            self._gather(of, added)

    def _rests(self, *kinds: type) -> None:
        """Gather what was held back of texts (str), and of arguments (int); whatever text comes later is another one."""
        for of in [of for of in self._so_far if isinstance(of, kinds)]:
            if rest := self._so_far.pop(of).rest():
                self._gather(of, rest)

    def _gather(self, of: str | int, text: str) -> None:
        if of != self._of:
            self._tell()
            self._of = of
        self._pieces.append(text)

    def _tell(self) -> None:
        """Make a chunk of the pieces that have been gathered."""
        if self._pieces:
            text, self._pieces = "".join(self._pieces), []
            of = self._of
            told = (
                {of: text} if isinstance(of, str) else {"tool_calls": [{"index": of, "function": {"arguments": text}}]}
            )
            self._delta(told)

    def _flush(self) -> None:
        if self._held:
            details, self._held = self._held, []
            self._delta({MEMBER: details})

    def _first(self, delta: Json) -> Json:
        if self._role:
            self._role = False
            return {"role": "assistant", **delta}
        return delta

    def _delta(self, delta: Json) -> None:
        self._tell()
        self._chunk({"choices": [{"index": 0, "delta": self._first(delta), "finish_reason": None}]})

    def _chunk(self, told: Json) -> None:
        chunk = {**self._head, **told}
        try:
            event = ChunkEvent(b"data: " + orjson.dumps(chunk))
        except TypeError:  # half of a surrogate pair, whose other half may come in the next piece
            self.raw(exact_json.dumps(chunk))
            return
        event.chunk = chunk
        self._made.append(event)


class RegularEvents:
    """Makes the events of one stream as every client of their dialect reads them: here they are taken as they came. `irregular`: what
    came so far is nothing that these read, and nothing that could be put right one by one.
    """

    irregular = False

    def of(self, event: Json) -> Sequence[Json]:
        """The events that are told in the place of one, which has a type: itself, where it is right."""
        return (event,)


class EventReader:
    """Reads one answer of a runtime of another dialect event by event; what `dialects.wire.Reader` asks of a stream."""

    handlers: ClassVar[Mapping[str, Callable[[Any, Json], None]]]
    """What is done with an event, by its `type`; others of the dialect say nothing that a chat has."""
    regular: ClassVar[type[RegularEvents]] = RegularEvents
    """What makes events regular before they are read, and passed on."""

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._regular = self.regular()
        self.stray = False
        self.told: Sequence[Json] | None = None

    @property
    def ended(self) -> bool:
        """Whether its end has come."""
        return self._chunks.ended

    @property
    def failed(self) -> bool:
        """Whether it has ended in an error."""
        return self._chunks.failed

    @property
    def irregular(self) -> bool:
        """Whether callers of the dialect could not read what came so far."""
        return self._regular.irregular

    def take(self, data: bytes, said: Json | None = None) -> None:
        """Read an event."""
        event = parsed(data) if said is None else said
        kind = event.get("type") if isinstance(event, dict) else None
        self.stray, self.told = kind is None and data.strip() != DONE, None
        if kind is None or "choices" in event:
            self._chunks.raw(data)
            return
        told = self._regular.of(event) if isinstance(kind, str) else (event,)
        if len(told) != 1 or told[0] is not event:
            self.told = told
        for one in told:
            if isinstance(kind, str) and (handle := self.handlers.get(one["type"])) is not None:
                handle(self, one)

    def taken(self) -> list[bytes]:
        """What the events that were read have added."""
        return self._chunks.taken()


def place_of(stated: object, otherwise: object) -> object:
    """The number or id by which a runtime tells a block or an item from others; `otherwise` where it states none that can be one."""
    return stated if isinstance(stated, int | float | str) else otherwise


def parsed(data: bytes) -> Any:
    """The data of an event; None for what is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            return exact_json.lenient(data)
        except ValueError:
            return None
