"""Who is told things: a web server that keeps what it gets and answers as a test wants, and a mail server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
from aiosmtpd.controller import Controller

from tests.waiting import PATIENCE_S


@dataclass(slots=True)
class Got:
    """One request: its path with the query, its headers by lower-case names, its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


@dataclass(slots=True)
class Receiver:
    """`statuses` are answered one after the other, then 200; `silent` holds every answer until `release` is set."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    release: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver(*statuses: int, silent: bool = False) -> Iterator[Receiver]:
    """A web server on loopback."""
    one = Receiver(statuses=list(statuses), silent=silent)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            one.got.append(Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if one.silent:
                one.release.wait(PATIENCE_S)
            with contextlib.suppress(OSError):  # who asked may have gone
                self._answer()

        def _answer(self) -> None:
            self.send_response(one.statuses.pop(0) if one.statuses else 200)
            for name, value in {"content-length": "2", **one.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *words: object) -> None:
            """Nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield one
    finally:
        one.release.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


class _Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        mail = BytesParser(policy=default).parsebytes(envelope.content)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_server(port: int) -> Iterator[list[EmailMessage]]:
    """An SMTP server on loopback; the mails it has taken."""
    box = _Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box.mails
    finally:
        controller.stop()
