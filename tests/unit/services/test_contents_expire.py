"""Kept contents are gone when they expire, the oldest when they are too much; only the right keys open them, in the right place."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest
from cryptography.fernet import Fernet

from arbiter_app.pipeline.errors import NotFound
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.contents import Contents
from arbiter_app.services.encryption import Encryption, Unreadable
from arbiter_app.store import Store, upkeep

MINE = Caller("k1", Role.CALLER)
MANY = 10**9


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def contents_of(store: Store, clock: Clock, *keys: str) -> Contents:
    return Contents(store, Encryption(keys), hours=1.0, most_bytes=100_000, now=clock)


async def keep(contents: Contents, name: str, said: str = "Paris.") -> None:
    item = {"id": f"msg_{name}", "type": "message", "content": said}
    answer = json.dumps({"id": name, "output": [item]}).encode()
    await contents.keep(MINE, json.dumps({"input": "Capital of France?"}).encode(), answer)


def rows(store: Store) -> int:
    with closing(sqlite3.connect(str(store.path))) as read:
        return int(read.execute("SELECT count(*) FROM content").fetchone()[0])


def test_nothing_is_seen_once_it_has_expired_and_then_it_is_deleted(store: Store) -> None:
    async def play() -> None:
        clock = Clock()
        contents = contents_of(store, clock)
        for at in range(120):
            await keep(contents, f"resp_{at}")
        clock.now += 1_800
        await keep(contents, "resp_later")
        assert await contents.drop_expired(MANY) == 0
        clock.now += 1_800
        with pytest.raises(NotFound):
            await contents.response(MINE, "resp_0")
        assert json.loads(await contents.response(MINE, "resp_later"))["id"] == "resp_later"
        assert (await contents.drop_expired(MANY), rows(store)) == (240, 2)
        clock.now += 1_800
        assert (await contents.drop_expired(MANY), rows(store)) == (2, 0)

    asyncio.run(play())


def test_what_is_deleted_is_overwritten(store: Store) -> None:
    async def play() -> None:
        clock, mark = Clock(), "0123456789abcdef" * 4
        await keep(contents_of(store, clock, *[]), mark)
        clock.now += 4_000
        await contents_of(store, clock).drop_expired(MANY)
        store.close()
        assert store.path is not None and mark.encode() not in store.path.read_bytes()

    asyncio.run(play())


def test_the_oldest_go_where_there_is_too_much(store: Store) -> None:
    async def play() -> None:
        clock = Clock()
        contents = contents_of(store, clock)
        for at in range(10):
            clock.now += 1
            await keep(contents, f"resp_{at}")
        with closing(sqlite3.connect(str(store.path))) as read:
            size = read.execute("SELECT sum(size) FROM content").fetchone()[0]
        assert await contents.drop_expired(size // 2) in (10, 11)
        assert await contents.response(MINE, "resp_9")
        with pytest.raises(NotFound):
            await contents.response(MINE, "resp_4")

    asyncio.run(play())


def test_keys_change_while_contents_last(store: Store) -> None:
    async def play() -> None:
        clock, old, new = Clock(), Fernet.generate_key().decode(), Fernet.generate_key().decode()
        await keep(contents_of(store, clock), "resp_plain")
        await keep(contents_of(store, clock, old), "resp_old")
        await keep(contents_of(store, clock, new, old), "resp_new")
        for name in ("resp_plain", "resp_old", "resp_new"):
            assert await contents_of(store, clock, new, old).response(MINE, name)
        for name in ("resp_old", "resp_new"):
            with pytest.raises(NotFound):
                await contents_of(store, clock).response(MINE, name)

    asyncio.run(play())


def test_a_body_is_read_in_its_own_place_only() -> None:
    encryption = Encryption([Fernet.generate_key().decode()])
    encrypted, body = encryption.write("k1 resp_1", b"content")
    assert encryption.read("k1 resp_1", encrypted, body) == b"content"
    with pytest.raises(Unreadable):
        encryption.read("k2 resp_1", encrypted, body)


def test_a_reset_forgets_them(store: Store) -> None:
    async def play() -> None:
        contents = contents_of(store, Clock())
        await keep(contents, "resp_1")
        await store.writer.call(upkeep.reset)
        assert rows(store) == 0

    asyncio.run(play())
