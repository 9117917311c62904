"""What Slack, Teams and PagerDuty are sent, at their own addresses: a proxy on loopback takes their places, with certificates of its own."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from arbiter_app.channels import ChannelKind, OutgoingMessage, Sender, Severity
from tests.stores import run
from tests.waiting import PATIENCE_S

HOSTS = ("hooks.slack.com", "prod-12.westeurope.logic.azure.com", "events.pagerduty.com", "events.eu.pagerduty.com")
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = f"https://{HOSTS[1]}:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers&sv=1.0&sig=open-sesame"
KEY = "0123456789abcdef0123456789abcdef"
MESSAGE = OutgoingMessage(
    "msg_1",
    "price_shift",
    "gpt-4o for math",
    1.79e9,
    Severity.WARNING,
    "gpt-4o: 8 times dearer",
    "From <$1> & up to $8.",
)


class Proxied:
    """What arrived, by host, and the status that is answered."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        self.status = 202


@contextmanager
def proxy(directory: Path) -> Iterator[tuple[str, Proxied]]:
    """A proxy that answers for HOSTS; its address."""
    seen, context = Proxied(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified(directory))

    class Handler(BaseHTTPRequestHandler):
        host = ""

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.host = self.path.partition(":")[0]
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
            self.close_connection = False

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.got.append((self.host, self.path, orjson.loads(body)))
            self.send_response(seen.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")
            self.close_connection = True

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *words: object) -> None:
            """Nothing on the console."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


def certified(directory: Path) -> Path:
    """A key with its own certificate for HOSTS, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / "tests.pem"
    path.write_bytes(secret + made)
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[tuple[Sender, Proxied]]:
    with proxy(tmp_path) as (url, seen):
        trusted = str(tmp_path / "tests.pem")
        yield Sender({"HTTPS_PROXY": url, "REQUESTS_CA_BUNDLE": trusted, "GATEWAY_API_KEY": "not theirs"}), seen


def sent(sender: Sender, kind: ChannelKind, address: str) -> Any:
    return run(lambda: sender.send(kind, address, (), MESSAGE))


def test_slack_gets_its_incoming_webhook(outside: tuple[Sender, Proxied]) -> None:
    sender, seen = outside
    seen.status = 200
    run(lambda: sender.check(ChannelKind.SLACK, SLACK))
    assert seen.got == [], "an address is checked without a call"
    assert sent(sender, ChannelKind.SLACK, SLACK).ok
    host, path, body = seen.got[0]
    assert (host, path) == ("hooks.slack.com", SLACK.removeprefix("https://hooks.slack.com"))
    assert "gpt-4o: 8 times dearer" in str(body) and "&lt;$1&gt; &amp; up to $8." in str(body)


def test_teams_gets_a_card_by_its_workflow(outside: tuple[Sender, Proxied]) -> None:
    sender, seen = outside
    assert sent(sender, ChannelKind.TEAMS, TEAMS).ok
    host, path, body = seen.got[0]
    assert host == HOSTS[1] and "/workflows/643e69f83c8944438d68119179a10a64/" in path and "sig=open-sesame" in path
    assert body["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert "gpt-4o: 8 times dearer" in str(body)
    seen.status = 500
    refused = sent(sender, ChannelKind.TEAMS, TEAMS)
    assert not refused.ok and "500" in refused.said and "sesame" not in refused.said


@pytest.mark.parametrize(("address", "host"), [(KEY, HOSTS[2]), (f"eu:{KEY}", HOSTS[3])])
def test_pagerduty_gets_one_incident_for_what_is_alike(
    outside: tuple[Sender, Proxied], address: str, host: str
) -> None:
    sender, seen = outside
    assert sent(sender, ChannelKind.PAGERDUTY, address).ok
    found, path, body = seen.got[0]
    assert (found, path, body["routing_key"], body["event_action"]) == (host, "/v2/enqueue", KEY, "trigger")
    assert (body["dedup_key"], body["payload"]["severity"]) == ("arbiter price_shift gpt-4o for math", "warning")
    assert "gpt-4o: 8 times dearer" in body["payload"]["summary"]


def test_a_certificate_that_nobody_vouches_for_is_not_taken(tmp_path: Path) -> None:
    with proxy(tmp_path) as (url, seen):
        assert not sent(Sender({"HTTPS_PROXY": url}), ChannelKind.PAGERDUTY, KEY).ok
        assert seen.got == []
