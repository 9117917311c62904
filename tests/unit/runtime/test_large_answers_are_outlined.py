"""A large answer is known by its outline, whatever pieces it comes in; what is out of the ordinary has none."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import orjson
import pytest

from arbiter_app.runtime import large
from arbiter_app.runtime.claims.secrets import Secrets
from arbiter_app.runtime.large import LONG_BYTES, chat_in, outline_of, without_end

ODD_TEXT = 'He said "yes" \\ and\nleft; é 😀 \t end\\\\"' * 300
SECRET = "sk-outline-0123456789"


def answer(text: str, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **more}


def cut(data: bytes, seed: int, most: int = 4_000) -> list[bytes]:
    """The data in pieces of random sizes, also of one byte."""
    draw, pieces, at = random.Random(seed), [], 0
    while at < len(data):
        size = draw.choice((1, 2, 3, 5, draw.randint(1, most)))
        pieces.append(data[at : at + size])
        at += size
    return pieces


def outline(pieces: list[bytes]) -> dict[str, Any] | None:
    found = asyncio.run(outline_of(pieces))
    return None if found is None else chat_in(found)


@pytest.mark.parametrize("seed", range(20))
def test_the_outline_is_the_answer_with_its_long_strings_cut_down(seed: int) -> None:
    whole = answer(ODD_TEXT, usage={"prompt_tokens": 3, "completion_tokens": 12345678901234567890}, note='a"\\b')
    data = b" " + orjson.dumps(whole) + b" \r\n"
    whole["choices"][0]["message"]["content"] = "..."
    pieces = cut(data, seed)
    assert outline(pieces) == orjson.loads(orjson.dumps(whole))
    assert b"".join(without_end(pieces)) + b"}" == data.rstrip()


@pytest.mark.parametrize("length", [LONG_BYTES - 1, LONG_BYTES, LONG_BYTES + 1])
def test_short_strings_stay(length: int) -> None:
    found = outline(cut(json.dumps(answer("x" * length)).encode(), 7))
    assert found is not None
    assert found["choices"][0]["message"]["content"] == ("x" * length if length <= LONG_BYTES else "...")


@pytest.mark.parametrize(
    "broken",
    [
        json.dumps(answer("x" * 9_000 + "\ud83d")).encode(),
        json.dumps(answer("x" * 9_000)).encode().replace(b"xxx", b"x\nx", 1),
        json.dumps(answer("x" * 9_000)).encode().replace(b"xxx", b"\\xx", 1),
        json.dumps(answer("x" * 9_000)).encode().replace(b"xxxx", b"\\u12", 1),
        json.dumps(answer("x" * 9_000)).encode().replace(b"xxx", b"\xff\xfex", 1),
        json.dumps(answer("x" * 9_000)).encode()[:-1],
        json.dumps(answer("x" * 9_000)).encode()[:5_000],
        json.dumps(answer("x" * 9_000)).encode() + b"}",
        json.dumps(answer("x" * 9_000, score=float("nan"))).encode(),
        json.dumps(answer("x" * 9_000, arbiter={"model": "forged"})).encode(),
        json.dumps(answer("x" * 9_000, arbiter=1)).encode().replace(b'"arb', b'"\\u0061rb'),
        json.dumps({"error": {"message": "x" * 9_000}}).encode(),
        json.dumps([answer("x" * 9_000)]).encode(),
        json.dumps({**answer("x" * 9_000), "id": None}).encode(),
        json.dumps({**answer("x" * 9_000), "choices": []}).encode(),
    ],
)
def test_what_is_out_of_the_ordinary_has_no_outline(broken: bytes) -> None:
    for seed in range(5):
        assert outline(cut(broken, seed)) is None
    assert outline([broken]) is None


def test_our_name_inside_a_text_is_only_a_word() -> None:
    assert outline(cut(json.dumps(answer('"arbiter": 1 ' * 900)).encode(), 3)) is not None


def test_a_secret_is_found_also_where_pieces_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    secrets.keep(SECRET)
    monkeypatch.setattr(large, "in_any", secrets.in_any)
    data = json.dumps(answer("x" * 5_000 + SECRET + "y" * 5_000)).encode()
    for seed in range(10):
        assert outline(cut(data, seed)) is None
    at = data.index(SECRET.encode())
    for inside in range(len(SECRET) + 1):
        assert outline([data[: at + inside], data[at + inside :]]) is None
    assert outline([data.replace(SECRET.encode(), b"")]) is not None
