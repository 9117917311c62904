"""What commands need that act on a running Arbiter as an operator: a key for it, and somebody's consent to what it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from arbiter_app.bench.client import Client
from arbiter_app.settings import Settings
from arbiter_app.store import open_store

KEY_SEEN_S = 10.0
"""Seconds within which a running Arbiter knows a new key."""
POLL_S = 0.2


@contextmanager
def operator_key(settings: Settings, given: str | None, url: str, label: str, *, foreign: bool) -> Iterator[str]:
    """The operator key to use: the `given` one, else that of the settings. Who can write to the store may mint one: it is revoked again
    at the end. Raises ValueError where there is none."""
    if given or settings.api_keys:
        yield given or settings.api_keys[0]
        return
    if foreign:
        raise ValueError("a foreign Arbiter needs an operator key: --key arb_...")
    store = open_store(settings.db)
    try:
        minted = asyncio.run(store.mint_key(role="operator", email="", label=label))
        try:
            with closing(Client(url, minted.secret)) as client:
                _wait_until_known(client)
            yield minted.secret
        finally:
            asyncio.run(store.set_key_status(minted.key.id, "revoked"))
    finally:
        store.close()


def _wait_until_known(client: Client) -> None:
    """A running Arbiter looks for new keys every second."""
    until = time.monotonic() + KEY_SEEN_S
    while True:
        try:
            client.get("/v1/key")
            return
        except ValueError as refused:
            if time.monotonic() > until:
                raise ValueError("the running Arbiter uses another store than these settings; give --key") from refused
            time.sleep(POLL_S)


def agreed() -> bool:
    """Whether somebody at the terminal says yes; nobody there is a no."""
    try:
        return input("Start? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False
