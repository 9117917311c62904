"""What rules take out of contents, what they leave, and which rules are none."""

from __future__ import annotations

import time

import pytest

from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.services import redaction
from arbiter_app.services.redaction import Unredacted, checked, redactor

NAMED = redactor(["email", "card", "phone", "ip"])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Ask ada.l+x@mail.example.co.uk, please.", "Ask [email], please."),
        ("4111 1111 1111 1111 and 4111-1111-1111-1111", "[card] and [card]"),
        ("378282246310005", "[card]"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("order 20260101123456", "order 20260101123456"),
        ("call +49 (170) 123-4567 or 0044 20 7946 0958", "call [phone] or [phone]"),
        ("a+12345678 = 1+123456789", "a+12345678 = 1+123456789"),
        ("from 10.0.0.255 to 256.1.1.1, release 1.2.3.4.5", "from [ip] to 256.1.1.1, release 1.2.3.4.5"),
        ("sk-proj-abcdef0123456789, password in ftp://bob:hunter22@host/", "[key], password in ftp://[key]@host/"),
    ],
)
def test_what_is_taken_out(text: str, left: str) -> None:
    assert NAMED(text) == left


def test_every_string_of_a_value_and_nothing_else() -> None:
    told = {"a@b.co": ["x@y.io", {"n": 4111111111111111, "t": True, "s": "x@y.io"}], "none": None}
    assert NAMED(told) == {"a@b.co": ["[email]", {"n": 4111111111111111, "t": True, "s": "[email]"}], "none": None}


def test_without_rules_secrets_are_taken_out_all_the_same() -> None:
    assert redactor([])("x@y.io with arb_0123456789") == "x@y.io with [key]"


def test_an_expression_of_ones_own() -> None:
    assert redactor([r"(?i)ticket-\d+"])("See Ticket-12 and ticket-x.") == "See [redacted] and ticket-x."


def test_one_that_takes_too_long_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "PATIENCE_S", 0.01)
    with pytest.raises(Unredacted, match=r"\(a\|aa\)\+"):
        redactor(["(a|aa)+$"])("a" * 60 + "b")


def test_all_strings_of_a_content_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "PATIENCE_S", 0.05)
    without, began = redactor(["(a|aa)+$"]), time.monotonic()
    with pytest.raises(Unredacted):
        without(["a" * 22 + "b"] * 2_000)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "rules", [["x*"], ["x*", "y*", "z*"], [""" + '"."' + """], ["[a-z]"] * 1 + ["[redact]", "e", "d"]]
)
def test_a_text_does_not_grow_without_end(rules: list[str]) -> None:
    try:
        told = redactor(rules)("abc def " * 10_000)
    except Unredacted:
        return
    assert len(told) <= redaction.MOST_GROWTH * (80_000 + redaction.MOST_CHARS)


def test_what_was_taken_out_stands_once_and_nothing_stays_nothing() -> None:
    assert redactor([r"\d"])("a12b3") == "a[redacted]b[redacted]"
    assert redactor([r"\d*"])("a12b") == "a[redacted]b"


def test_large_texts_are_read_in_no_time() -> None:
    for text in ("a." * 200_000, "1 " * 200_000, "a@" + "a." * 100_000, "+1 " * 100_000):
        NAMED(text)


@pytest.mark.parametrize(
    "rules", [["((a{1000}){1000}){1000}"], ["(open"], [""], ["x" * 201], [f"r{at}" for at in range(21)]]
)
def test_rules_that_are_none(rules: list[str]) -> None:
    with pytest.raises(Unprocessable):
        checked(rules)


def test_rules_are_kept_once() -> None:
    assert checked(["email", "a+", "email"]) == ("email", "a+")
