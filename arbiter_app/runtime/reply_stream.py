"""A streamed answer of the runtime, event by event: when it has begun, what goes on to the caller, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import httpx
import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.wire import Reader
from arbiter_app.pipeline.completions import completed, may_name_own, without_own
from arbiter_app.pipeline.native import NativeEvents
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.runtime.budget import FREE_BYTES, Hold
from arbiter_app.runtime.claims.secrets import hide_each
from arbiter_app.runtime.encoding import EncodingError, decoder_of
from arbiter_app.runtime.faults import fault_of, stated_error
from arbiter_app.runtime.json_lines import chat_of_ollama, events_in_lines
from arbiter_app.runtime.replies import chat_of, decoded, events_in, joined, looks_streamed, take
from arbiter_app.runtime.sse import (
    AGAIN,
    DONE,
    EventSplitter,
    EventTooLarge,
    event_data,
    events_of,
    has_payload,
    named,
    separated,
    told_plainly,
    typed,
)
from arbiter_app.runtime.transport import HttpResponse
from arbiter_app.turns import PIECE_BYTES, beside, next_large_turn

TURN_BYTES = 16 * 1024
"""How much of a stream is looked at in a turn of the event loop: a hundred events with a word each, which take some milliseconds."""


class HttpReplyStream:
    """The events of one streamed answer (`pipeline.ports.ReplyStream`). `[DONE]` ends it.

    With a `reader` they are what it makes of the runtime's own, which are in `native` where it is one.
    """

    def __init__(
        self,
        answer: HttpResponse,
        started: float,
        limit: int,
        hold: Hold,
        deadline: float,
        reader: Reader | None = None,
        dropped: Sequence[str] = (),
    ) -> None:
        self._reader = reader
        self.dropped = dropped
        self.native: NativeEvents | None = None
        self._spoken = False
        """Whether an event of the runtime's own dialect has come."""
        self.headers: Mapping[str, str] = decoded(answer.headers)
        self.first_byte_ms = 0.0
        self._started = started
        self._body = answer.body
        self._decoder = decoder_of(self.headers.get("content-encoding"), limit)
        self._splitter = EventSplitter()
        self._ready: list[bytes] = []
        self._unread: list[bytes] = []
        """What has come and was not looked at, backwards."""
        self._left = limit
        self._over = False
        self._hold = hold
        self._deadline = deadline

    async def first(self) -> None:
        """Wait for the first event that carries something for the caller; what comes before it is held back with it.

        Until then it is no answer: an error frame is a fault like an error status, the end is one too. A body of JSON
        instead of a stream counts as what it says, an error or a whole answer.
        """
        if "json" in self.headers.get("content-type", "").lower():
            body = await self._rest()
            if not looks_streamed(body):
                self._take_whole(body)
                return
            self._ready = self._read(events_in(body))
        looked = 0
        while True:
            while looked < len(self._ready):
                data = event_data(self._ready[looked])
                begins = bool(data) and self._begins(data.strip())
                if len(data) > PIECE_BYTES:
                    await next_large_turn()
                if begins:
                    self.first_byte_ms = (time.perf_counter() - self._started) * 1000
                    del self._ready[: self._silent(looked)]
                    if not self._spoken or (self._reader is not None and self._reader.irregular):
                        self.native = None  # it speaks another dialect than was said, or not well
                    return
                looked += 1
            if not await self._more():
                break
        if any(event_data(event) for event in self._ready):
            raise RuntimeFault("transport", "the runtime's stream ended before its answer began")
        self._take_whole(b"\n\n".join(self._ready))

    def _begins(self, data: bytes) -> bool:
        """Whether the answer has begun with this event. Raises RuntimeFault when it is an error, or none at all."""
        if data == DONE:
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        try:
            frame = exact_json.loads(data)
        except ValueError:
            raise RuntimeFault("protocol", "the runtime's stream begins with something that is not JSON") from None
        error = stated_error(frame, self.headers, data)
        if error is not None:
            raise error
        return has_payload(frame)

    def _silent(self, at: int) -> int:
        """How many comments and empty events stand before the first data of the events up to `at`."""
        return next(position for position in range(at + 1) if event_data(self._ready[position]))

    def _take_whole(self, body: bytes) -> None:
        """A body that is no stream: an error, or a whole answer, which is taken as the events it would have come in."""
        self.native = None
        kind = self.headers.get("content-type", "")[:100] or "no content type"
        if not body.strip():
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        try:
            answer = exact_json.loads(body)
        except ValueError:
            lines = events_in_lines(body, any_object=self._reader is not None)
            if not lines:
                raise RuntimeFault("protocol", f"the runtime did not stream ({kind})") from None
            self._take_events(lines)
            return
        error = stated_error(answer, self.headers, body)
        if error is not None:
            raise error
        if isinstance(answer, dict):
            reader = self._reader
            answer = chat_of_ollama(answer) if reader is None else chat_of(reader, answer, body)
            completed(answer, time.time_ns())
        events = events_of(answer)
        if not events:
            raise RuntimeFault("protocol", f"the runtime did not stream ({kind})")
        self.first_byte_ms = (time.perf_counter() - self._started) * 1000
        self._ready = events

    def _take_events(self, events: list[bytes]) -> None:
        """An answer in lines of JSON, of which the first may be an error."""
        self._ready = self._read(events)
        if not any(self._begins(event_data(event)) for event in self._ready):
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        self.first_byte_ms = (time.perf_counter() - self._started) * 1000

    async def _rest(self) -> bytes:
        """All that is still to come, as it is."""
        parts: list[bytes] = []
        size = 0
        try:
            async for data in self._body:
                parts.append(self._counted(data))
                size += len(parts[-1])
                await self._hold.grow(size, self._deadline)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except (EventTooLarge, EncodingError) as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        return joined(parts)

    async def together(self) -> Sequence[bytes]:
        """The next event and those that have come with it, `[DONE]` at most; none at the end."""
        while not self._ready:
            if self._over or not await self._more():
                return ()
        events, self._ready = self._ready, []
        for at, event in enumerate(events):
            if event.endswith(DONE) and event_data(event).strip() == DONE:
                self._over = True
                return events[: at + 1]
        return events

    async def aclose(self) -> None:
        """End the exchange; the connection is closed unless the stream was read to its end."""
        if self._over:
            self._body.release()
        await self._body.aclose()
        self._ready, self._unread = [], []
        self._hold.release()

    async def _more(self) -> bool:
        """Read on until there is at least one event; False at the end of the stream."""
        self._hold.shrink(self._splitter.size)
        try:
            while (data := await self._next()) is not None:
                large = self._splitter.size > PIECE_BYTES
                events = self._splitter.feed(data)
                if self._splitter.size > FREE_BYTES:
                    await self._hold.grow(self._splitter.size, self._deadline)
                if events and large:  # each look at it is work for a turn
                    await next_large_turn()
                if events:
                    self._ready.extend(await beside(self._read, events) if large else self._read(events))
                    return True
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except (EventTooLarge, EncodingError) as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        rest = self._splitter.rest()
        self._splitter = EventSplitter()
        if rest:
            self._ready.extend(self._read([rest]))
        return bool(rest)

    async def _next(self) -> bytes | None:
        """Bytes that have come, no more than are looked at in a turn; None at the end."""
        if self._unread:
            await next_large_turn()
        else:
            data = await anext(self._body, None)
            if data is None:
                return None
            data = self._counted(data)
            if len(data) <= TURN_BYTES:
                return data
            self._unread = [data[at : at + TURN_BYTES] for at in range(0, len(data), TURN_BYTES)][::-1]
        return self._unread.pop()

    def _read(self, events: list[bytes]) -> list[bytes]:
        """What came as events of a chat, without secrets."""
        if self._reader is None:
            several = [separated(event) if AGAIN in event else (event,) for event in events]
            return hide_each([one for events in several for one in events])
        made: list[bytes] = []
        for event in hide_each(events):
            plainly = told_plainly(event)
            if plainly is not None and "type" in plainly[1]:
                data, said = plainly
                take(self._reader, data, said)
                self._pass(event, data, strict=True)
                continue
            for one in map(typed, separated(event)):
                data = event_data(one)
                if not data:
                    made += [*self._reader.taken(), one]
                    continue
                take(self._reader, data)
                self._pass(one, data, strict=False)
        return [*made, *self._reader.taken()]

    def _pass(self, event: bytes, data: bytes, *, strict: bool) -> None:
        """Keep an event as it came, or what is told in its place, where its caller speaks this dialect; a `strict` one is known to be what
        strict readers take.
        """
        if self.native is None or self._reader is None or self._reader.failed or self._reader.stray:
            return
        if data.strip() == DONE:
            return  # it ends chats
        self._spoken = True
        passed = self.native.ending if self._reader.ended else self.native.ready
        if self._reader.told is not None:
            passed += [named(b"data: " + exact_json.dumps(without_own(one))) + b"\n\n" for one in self._reader.told]
        elif kept := event if strict and not may_name_own(data) else passable(event, data):
            passed.append(named(kept) + b"\n\n")

    def _counted(self, data: bytes) -> bytes:
        """The bytes as they were before they were compressed. Raises EventTooLarge at the bound of an answer."""
        if self._decoder is not None:
            data = self._decoder.feed(data)
        self._left -= len(data)
        if self._left < 0:
            raise EventTooLarge("the runtime's stream is larger than any answer")
        return data


def passable(event: bytes, data: bytes) -> bytes:
    """An event as it came, but for its `id:`, its `retry:` and its comments; one that has a member of our name, or what no strict
    reader takes (NaN), without that.

    Empty for what cannot be read at all, and for what is no event of a dialect, whose data are objects.
    """
    if not data.lstrip().startswith(b"{"):
        return b""
    if b"\n" in event:
        told = (line for line in event.split(b"\n") if line.startswith(b"event:") or line[5:].strip())
        event = b"\n".join(line for line in told if line.startswith((b"event:", b"data:")))
    strict = _is_strict(data)
    if strict and not may_name_own(data):
        return event
    try:
        said = exact_json.exact(data)
    except ValueError:
        return b""
    ours = without_own(said)
    if strict and said == ours:
        return event
    named = b"".join(line + b"\n" for line in event.split(b"\n") if line.startswith(b"event:"))
    return named + b"data: " + exact_json.dumps(ours)


def _is_strict(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True
