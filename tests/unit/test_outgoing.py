"""What a stranger may answer who is asked by HTTP and is no runtime: so much, for so long, in no encoding, from nowhere else."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

import pytest

from arbiter_app import doctor, outgoing
from arbiter_app.channels import ChannelKind, OutgoingMessage, Severity, by_apprise
from arbiter_app.settings import load_settings
from arbiter_app.web import provider_document
from tests.raw_runtime import HEAD, UNTIL_CLOSED, raw_runtime
from tests.waiting import PATIENCE_S

JSON = HEAD + b"content-type: application/json\r\n"
MIB = b" " * 2**20
ISSUER = "https://id.example.com/realm"
RIGHT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://login.example.com/authorize?p=1",
    "token_endpoint": "https://api.example.net/token",
    "jwks_uri": "https://api.example.net/keys",
    "id_token_signing_alg_values_supported": ["none", "HS256", "ES256"],
}


def asked(say: Callable[[bytes, bytes, BinaryIO], None], seconds: float = PATIENCE_S) -> dict[str, Any]:
    with raw_runtime() as stranger:
        stranger.say = say
        return asyncio.run(outgoing.said_by(stranger.url, seconds=seconds, direct=True))


def saying(*parts: bytes) -> Callable[[bytes, bytes, BinaryIO], None]:
    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        for part in parts:
            out.write(part)

    return say


def test_an_answer_is_taken() -> None:
    assert asked(saying(JSON, UNTIL_CLOSED, b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([JSON, UNTIL_CLOSED, b'{"a": "', *[MIB] * 60, b'"}'], "larger than"),
        ([JSON, b"content-length: 62914560\r\n\r\n", b'{"a": "', *[MIB] * 60], "larger than"),
        ([JSON, b"content-encoding: gzip\r\n", UNTIL_CLOSED, gzip.compress(b'{"a": 1}')], "encoding"),
        ([b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\n", UNTIL_CLOSED], "sent elsewhere"),
        ([HEAD, b"content-type: text/html\r\n", UNTIL_CLOSED, b"<p>Sign in to the network"], "a page"),
        ([b"HTTP/1.1 503 Away\r\n", UNTIL_CLOSED], "503"),
        ([JSON, UNTIL_CLOSED, b"[" * 200_000], "no JSON"),
        ([JSON, UNTIL_CLOSED, b"[1]"], "no JSON object"),
        ([b"220 smtp.example.com ESMTP\r\n"], "cannot be reached"),
        ([JSON, b"content-length: 100\r\n\r\n", b"{"], "cannot be reached"),
    ],
    ids=["endless", "announced", "encoded", "moved", "page", "status", "deep", "list", "another protocol", "cut"],
)
def test_what_is_no_such_answer_is_said(parts: list[bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        asked(saying(*parts))


@pytest.mark.parametrize("head", [b"", JSON + UNTIL_CLOSED], ids=["in the head", "in the body"])
def test_who_drips_is_given_up(head: bytes) -> None:
    over = threading.Event()

    def drip(_: bytes, body: bytes, out: BinaryIO) -> None:
        out.write(head)
        while not over.wait(0.02):
            out.write(b" " if head else b"H")
            out.flush()

    try:
        with pytest.raises(ValueError, match="no whole answer within 0.3 s"):
            asked(drip, 0.3)
    finally:
        over.set()


def test_doctor_does_not_wait_for_whatever_holds_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def drip(_: bytes, body: bytes, out: BinaryIO) -> None:
        while not over.wait(0.02):
            out.write(b"H")
            out.flush()

    monkeypatch.setattr(doctor, "PROBE_S", 0.3)
    with raw_runtime() as stranger:
        stranger.say = drip
        settings = load_settings({"ARBITER_PORT": str(stranger.server_address[1])}, env_file=None)
        try:
            assert doctor.serving(settings) is None
        finally:
            over.set()


def test_a_receiver_of_messages_fills_no_memory() -> None:
    written = 0

    def endless(_: bytes, body: bytes, out: BinaryIO) -> None:
        nonlocal written
        out.write(JSON + UNTIL_CLOSED)
        while written < 2**30:
            out.write(MIB)
            written += len(MIB)

    message = OutgoingMessage("m1", "test", "", 0.0, Severity.INFO, "title", "text")
    with raw_runtime() as stranger:
        stranger.say = endless
        sent = by_apprise.send(ChannelKind.SLACK, stranger.url, message, os.environ, within_s=PATIENCE_S)
        assert not asyncio.run(sent).ok
    assert written < 2**29


def test_of_a_provider_is_taken_what_is_needed() -> None:
    taken = provider_document.checked(
        {**RIGHT, "verify": False, "proxy": "http://127.0.0.1:9", "jwks": {}}, ISSUER + "/"
    )
    assert taken == {**RIGHT, "id_token_signing_alg_values_supported": ["ES256"]}


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize(
    "url",
    [
        *("javascript:alert(1)", "http://login.example.com/", "http://id.example.com/token", "http://127.0.0.1:6379/"),
        *("file:///etc/passwd", "//login.example.com/", "/authorize", "https://", "https://a@login.example.com/"),
        *(
            "https://id.example.com\\@evil.example/",
            "https://id.example.com/\n",
            "https://id example.com/",
            "https://ï.example/",
        ),
        *("https://id.example.com/" + "a" * 3_000, "", None, 5, ["https://id.example.com/"], {}),
    ],
)
def test_nobody_is_sent_to_an_address_of_another_kind(name: str, url: Any) -> None:
    with pytest.raises(ValueError, match=name):
        provider_document.checked({**RIGHT, name: url}, ISSUER)


@pytest.mark.parametrize("named", ["https://id.example.com/other", "", None, 7, "https://id.example.com/realm\x00"])
def test_another_issuer_is_refused(named: Any) -> None:
    with pytest.raises(ValueError, match="issuer"):
        provider_document.checked({**RIGHT, "issuer": named}, ISSUER)


@pytest.mark.parametrize(
    ("issuer", "endpoint", "fits"),
    [
        ("http://keycloak:8080/r", "http://keycloak:8080/r/x", True),
        ("http://keycloak:8080/r", "http://keycloak:9090/r/x", True),
        ("http://keycloak:8080/r", "http://elsewhere:8080/r/x", False),
        ("http://keycloak:8080/r", "http://localhost:8080/r/x", False),
        ("http://localhost:8080", "http://127.0.0.1:8080/x", True),
        ("http://127.0.0.1:8080", "http://[::1]:8080/x", True),
        ("http://127.0.0.1:8080", "http://10.0.0.1/x", False),
        ("http://keycloak:8080/r", "https://elsewhere/x", True),
    ],
)
def test_without_tls_only_the_host_that_the_operator_named_so(issuer: str, endpoint: str, fits: bool) -> None:
    said = {**RIGHT, "issuer": issuer, **dict.fromkeys(provider_document.ENDPOINTS, endpoint)}
    if fits:
        assert provider_document.checked(said, issuer)["token_endpoint"] == endpoint
    else:
        with pytest.raises(ValueError, match="no address"):
            provider_document.checked(said, issuer)
