"""What the hosts on one PostgreSQL tell each other: LISTEN and NOTIFY, on a connection and a thread of their own.

The connection also holds the lock of the host that does the housekeeping; it ends with the host.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import select
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from arbiter_app.pipeline.plain import is_digits

log = logging.getLogger("arbiter.store")

NAME = "arbiter"
HOUSEKEEPER = 0x41524249544B45
"""Key of the advisory lock of the one host that does what one has to do for all: retention, following alerts."""
PIECE = 7_000
"""Characters of a message that travel in one notification; PostgreSQL takes 8,000 bytes."""
LOOK_S = 1.0
SILENT_MS = 10_000
"""The server ends a connection on which it heard nothing for so long, and with it the housekeeping of a host that stands still, or whose
machine is gone without a word: it asks every LOOK_S whether anybody is there."""
RETRY_S = 0.5
WAITING = 1_000
"""Messages that wait to be sent at most, the oldest giving way: what they say is read from the store, or said anew, when the
connection is back."""
UNFINISHED = 64
"""Messages of several pieces that are being put together at most."""
Hear = Callable[[str, Any], None]


class Channel:
    """One host's end. `leads` is whether this host keeps the house, `settled` is set once that is known. Callbacks run in the
    channel's thread.
    """

    def __init__(self, engine: Engine, hear: Hear, joined: Callable[[], None]) -> None:
        """`hear` gets what other hosts say: a kind and its data. `joined` is called after each connecting: some may be missed."""
        self.leads = False
        self.settled = threading.Event()
        self.host = secrets.token_hex(6)
        self._engine = engine
        self._hear = hear
        self._joined = joined
        self._waiting: deque[str] = deque(maxlen=WAITING)
        self._pieces: OrderedDict[tuple[str, str], list[str]] = OrderedDict()
        self._ours, self._bell = socket.socketpair()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="arbiter-channel", daemon=True)

    def start(self) -> None:
        """Connect, and go on for as long as it takes."""
        self._thread.start()

    def send(self, kind: str, data: Any) -> None:
        """Tell the other hosts, as soon as there is a connection. Thread-safe; waits for nothing."""
        text = json.dumps([kind, data], default=str)
        number, count = secrets.token_hex(4), -(-len(text) // PIECE)
        for at in range(count):
            self._waiting.append(f"{self.host}:{number}:{count}:{text[at * PIECE : (at + 1) * PIECE]}")
        self._ring()

    def close(self) -> None:
        """Let go of the connection, and of the housekeeping with it."""
        self._closing = True
        self._ring()
        self._thread.join()
        self._engine.dispose()
        self._ours.close()
        self._bell.close()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            self._bell.send(b"!", socket.MSG_DONTWAIT)

    def _run(self) -> None:
        said = False
        while not self._closing:
            try:
                self._serve()
            except (SQLAlchemyError, OSError, self._errors()) as error:
                if not said:
                    log.warning("other hosts cannot be heard at the moment: %s", " ".join(str(error).split()))
                said = True
            else:
                said = False
            self.leads = False
            if not self._closing:
                select.select([self._ours], [], [], RETRY_S)

    def _serve(self) -> None:
        """Until the connection ends, or the channel is closed."""
        with self._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.autocommit = True
            try:
                driver.execute(f"SET idle_session_timeout = {SILENT_MS}")
                driver.execute(f"LISTEN {NAME}")
                self._joined()
                asked = time.monotonic()
                while not self._closing:
                    self.leads = self.leads or bool(_one(driver, f"SELECT pg_try_advisory_lock({HOUSEKEEPER})"))
                    self.settled.set()
                    self._speak(driver)
                    ready, _, _ = select.select([driver.fileno(), self._ours], [], [], LOOK_S)
                    if self._ours in ready:
                        self._ours.recv(4_096)
                    if time.monotonic() - asked >= LOOK_S:
                        driver.execute("SELECT 1")  # is anybody there?
                        asked = time.monotonic()
                    for notified in driver.notifies(timeout=0):
                        self._take(notified.payload)
            finally:
                connection.invalidate()  # it listens, and holds a lock: it is nobody else's

    def _speak(self, driver: Any) -> None:
        while self._waiting:
            driver.execute("SELECT pg_notify(%s, %s)", (NAME, self._waiting[0]))
            self._waiting.popleft()

    def _take(self, payload: str) -> None:
        """A piece of a message; the message is heard once it is whole. What others send is checked: it is a claim."""
        host, number, count, text = (payload.split(":", 3) + ["", "", ""])[:4]
        if host == self.host or not is_digits(count, 9):
            return
        pieces = self._pieces.setdefault((host, number), [])
        pieces.append(text)
        while len(self._pieces) > UNFINISHED:
            self._pieces.popitem(last=False)
        if len(pieces) < int(count):
            return
        self._pieces.pop((host, number), None)
        try:
            kind, data = json.loads("".join(pieces))
        except ValueError:
            log.warning("what a host said cannot be read")
            return
        self._hear(str(kind), data)

    def _errors(self) -> type[Exception]:
        """The driver's own, which SQLAlchemy does not see where it is passed by."""
        found: type[Exception] = self._engine.dialect.loaded_dbapi.Error
        return found


def _one(driver: Any, query: str) -> object:
    return driver.execute(query).fetchone()[0]
