"""Responses that are kept for their callers (ARBITER_KEEP_CONTENT_HOURS), to be fetched and gone on from by the key that asked for them.

Each is in the store, encrypted where there is a key, before the end of the answer goes out, and gone when it expires. Trouble in
keeping it costs nobody the answer.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from arbiter_app.dialects.openai_responses import stored
from arbiter_app.dialects.openai_responses.stored import Recalled
from arbiter_app.pipeline.errors import BodyTooLarge, NotFound
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, Json
from arbiter_app.services.encryption import Encryption, Unreadable, place_of
from arbiter_app.store import Store, contents
from arbiter_app.store.contents import HOUR_S
from arbiter_app.store.fair_executor import visitor

log = logging.getLogger("arbiter.contents")


@dataclass(frozen=True, slots=True)
class Keeping:
    """One exchange that is to be kept. `body` is the whole request; `whole` and `frame` are given what goes out, before it does."""

    contents: Contents
    caller: Caller
    body: bytes

    async def whole(self, parts: Sequence[bytes | memoryview]) -> None:
        """A whole answer."""
        await self.contents.keep(self.caller, self.body, b"".join(parts))

    async def frame(self, frame: bytes) -> None:
        """A piece of a stream, which is kept where it is its end."""
        if (answer := stored.answer_in(frame)) is not None:
            await self.contents.keep(self.caller, self.body, answer)


class Contents:
    """The contents of one store. `hours` they are kept, 0 for none; a conversation is kept up to `most_bytes` of JSON."""

    def __init__(
        self,
        store: Store,
        encryption: Encryption,
        *,
        hours: float,
        most_bytes: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._encryption = encryption
        self._hours = hours
        self._most_bytes = most_bytes
        self._now = now

    @property
    def on(self) -> bool:
        """Whether any are kept."""
        return self._hours > 0

    async def recalled(self, body: bytes, caller: Caller) -> Recalled:
        """A request of Responses with what it refers to. Raises BadRequest for what is not there, StoreError."""
        if not self.on or not stored.refers(body):
            return Recalled(body)
        visitor.set(caller.key_id)
        look = functools.partial(self._look, caller.key_id)
        found = await self._store.in_turn(functools.partial(stored.recalled, body, look))
        if len(found.body) > self._most_bytes:
            raise BodyTooLarge(
                f"the request with the conversation that it goes on from is larger than {self._most_bytes:,} bytes"
            )
        return found

    def keeping(self, chat: ChatRequest, said: Recalled) -> tuple[ChatRequest, Keeping | None]:
        """The request as it is served, and how its answer is kept; None where the caller does not want that."""
        if not self.on or not chat.storable:
            return chat, None
        return stored.to_keep(chat, said.previous), Keeping(self, chat.caller, said.body)

    async def keep(self, caller: Caller, body: bytes, answer: bytes) -> None:
        """Keep an answer with its request. Never raises: what cannot be kept is only said."""
        if len(body) + len(answer) > self._most_bytes:
            log.info("a response of %s bytes with its request is too large to be kept", len(body) + len(answer))
            return
        try:
            rows = await asyncio.to_thread(self._rows, caller.key_id, body, answer)
            await self._store.writer.call(lambda connection: contents.add(connection, rows))
        except Exception as error:  # noqa: BLE001 - the answer is there, and goes out
            log.warning("a response was not kept: %s", error)

    async def response(self, caller: Caller, response_id: str) -> bytes:
        """A response as it was given. Raises NotFound, StoreError."""
        return stored.response_of(await self._one(caller, response_id))

    async def input_items(self, caller: Caller, response_id: str) -> list[Json]:
        """What it answered, oldest first. Raises NotFound, StoreError."""
        return stored.input_items(await self._one(caller, response_id))

    async def delete(self, caller: Caller, response_id: str) -> None:
        """Delete it and its items. Raises NotFound, StoreError."""
        now = self._now()
        work = functools.partial(contents.remove, key_id=caller.key_id, response_id=response_id, now=now)
        if not await self._store.writer.call(work):
            raise _missing(response_id)

    async def drop_expired(self, most_bytes: int) -> int:
        """Delete what has expired, and what is too much; returns how many rows went."""
        gone, went = 0, contents.STEP
        work = functools.partial(contents.retire, most_bytes=most_bytes)
        while went >= contents.STEP:
            went = await self._store.writer.call(functools.partial(work, now=self._now()))
            gone += went
        return gone

    async def _one(self, caller: Caller, response_id: str) -> bytes:
        look = functools.partial(self._look, caller.key_id)
        found = await self._store.in_turn(lambda: look([response_id], responses=True))
        kept = found.get(response_id)
        if kept is None:
            raise _missing(response_id)
        return kept

    def _look(self, key_id: str, ids: Iterable[str], *, responses: bool = False) -> Mapping[str, bytes]:
        """What a key has under ids; in a reading thread."""
        found: dict[str, bytes] = {}
        asked = list(dict.fromkeys(ids))
        rows = self._store.read_now(contents.find, key_id, asked, self._now(), responses=responses)
        for name, (encrypted, body) in rows.items():
            try:
                found[name] = self._encryption.read(place_of(key_id, name), encrypted, body)
            except Unreadable as error:
                log.warning("kept contents cannot be read: %s", error)
        return found

    def _rows(self, key_id: str, body: bytes, answer: bytes) -> list[dict[str, object]]:
        response_id, kept = stored.kept_of(body, answer)
        made, rows = self._now(), []
        for name, content in kept.items():
            encrypted, packed = self._encryption.write(place_of(key_id, name), content)
            row = {"key_id": key_id, "id": name, "response_id": response_id, "made": made}
            row |= {"expires": made + self._hours * HOUR_S, "size": len(packed), "encrypted": encrypted, "body": packed}
            rows.append(row)
        return rows


def _missing(response_id: str) -> NotFound:
    return NotFound(f"Response with id {quoted(response_id)} not found.", param="response_id")
