"""Real secrets are hidden in every form that servers quote them in; placeholders and words are left alone."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from arbiter_app.runtime.claims.secrets import Secrets, is_secret, without_foreign


@pytest.mark.parametrize(
    "key", ["sk-1234", "sk-abc123", "a1b2c3d4", "correct horse/battery+9", 'with"quote\\9', "0123456789abcdef"]
)
def test_a_secret_is_hidden_in_each_form(key: str) -> None:
    secrets = Secrets()
    secrets.keep(key)
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    encoded = base64.b64encode(key.encode()).decode()
    basic = base64.b64encode(f":{key}".encode()).decode()
    for form in (key, quote(key, safe=""), escaped, encoded, basic):
        for text in (f"refused {form}", f"({form})", f'"{form}"', f"Bearer {form}, no", f"a={form}&b"):
            assert form not in secrets.hide(text), text
            assert form.encode() not in secrets.hide_bytes(text.encode())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "none",
        "EMPTY",
        "model",
        "gpt-4o",
        "gpt-4o-mini",
        "1234",
        "12345678",
        "anything",
        "messages",
        "lm-studio",
    ],
)
def test_a_placeholder_is_no_secret(key: str) -> None:
    secrets = Secrets()
    secrets.keep(key)
    text = f"context_length_exceeded: {key} of 12345678 messages, anything"
    assert not is_secret(key) and secrets.hide(text) == text


def test_a_short_secret_is_hidden_only_by_itself_and_a_long_one_everywhere() -> None:
    secrets = Secrets()
    secrets.keep("abcd1234", "q7w8e9r0t1y2u3i4o5")
    assert secrets.hide("xabcd12345 abcd1234-x abcd1234.") == "xabcd12345 abcd1234-x [key]."
    assert secrets.hide("_q7w8e9r0t1y2u3i4o5_") == "_[key]_"


def test_the_password_of_a_url_is_a_secret() -> None:
    secrets = Secrets()
    secrets.keep_url("https://user:pa55word99@host/v1")
    assert secrets.hide("login pa55word99 failed") == "login [key] failed"


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    secrets = Secrets()
    secrets.keep("abcd1234efgh5678")
    assert secrets.hide_bytes(b"\xff\xfe abcd1234efgh5678 \x80") == b"\xff\xfe [key] \x80"


@pytest.mark.parametrize(
    "text",
    ["sk-proj-abcdEFGH1234", "Bearer abc.def", "http://user:hunter2@127.0.0.1/v1", "arb_0123abcd"],
)
def test_the_secrets_of_others_are_hidden_by_their_looks(text: str) -> None:
    assert "[key]" in without_foreign(f"refused {text}")


@pytest.mark.parametrize(
    "text", ["key-value pairs", "sk-learn", "a Bearer token is needed", "conte[key]t is no word", "basic auth"]
)
def test_ordinary_words_are_no_secrets_of_others(text: str) -> None:
    assert without_foreign(text) == text
