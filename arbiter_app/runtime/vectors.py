"""Looks at an answer for embeddings: every row holds a vector of numbers, and all are of one length.

Its *outline* is the same JSON with each list of numbers and each packed vector told by its length alone: small, parsed at once, and
made piece by piece, so that nobody else has to wait for a large one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.ports import LARGE_BYTES
from arbiter_app.pipeline.types import Json
from arbiter_app.turns import large_turn

PIECE_BYTES = 128 * 1024
"""How much is looked at before others have their turn."""
PIECE_VALUES = 1_000
"""The same of lists and packed vectors, however short."""
OUTLINE_BYTES = 2_000_000
"""Of an outline: tens of thousands of rows, parsed in the time of a small answer."""
NUMBERS = "numbers"
PACKED = "base64"
_NUMBER = rb"[ \t\r\n]*-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE](?:-\d{1,4}|\+?\d{1,2}))?[ \t\r\n]*"
_SOME = re.compile(rb"(?:%b,)+" % _NUMBER)
_LAST = re.compile(rb"(?:%b,)*%b" % (_NUMBER, _NUMBER))
_NEXT = re.compile(rb'\[[ \t\r\n]*(?=[-\d])|"embedding"[ \t\r\n]*:[ \t\r\n]*"')
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]*={0,2}")


class NoVectors(ValueError):
    """An answer that holds no vectors, and why, in words."""


async def outline_of(body: bytes) -> Json:
    """The outline of an answer, parsed. Raises NoVectors for what is no JSON, and for a list with something beside numbers in it."""
    kept: list[bytes] = []
    size, parts = 0, _outlined(body)
    while True:
        if len(body) <= PIECE_BYTES:
            part = next(parts, None)
        else:
            async with large_turn():
                part = next(parts, None)
                await asyncio.sleep(0)
        if part is None:
            break
        kept.append(part)
        size += len(part)
        if size > OUTLINE_BYTES:
            raise NoVectors("it holds too much beside vectors")
    try:
        answer = (orjson.loads if len(body) > LARGE_BYTES else exact_json.loads)(b"".join(kept))
    except ValueError as error:
        raise NoVectors(f"it is not valid JSON ({len(body)} bytes)") from error
    if not isinstance(answer, dict):
        raise NoVectors("it is no JSON object")
    return answer


def hold_vectors(answer: Json, texts: int) -> None:
    """Raises NoVectors unless the answer that has this outline holds as many vectors as there were texts, all of one length."""
    rows = answer.get("data")
    if (
        not isinstance(rows, list)
        or not rows
        or not all(isinstance(row, dict) and row.get("embedding") for row in rows)
    ):
        raise NoVectors("not every row has one")
    lengths = {length for row in rows for length in _lengths(row["embedding"])}
    if len(lengths) > 1:
        raise NoVectors("they differ in length")
    if len(rows) != texts:
        raise NoVectors(f"they are {len(rows)}, for {texts} texts")


def _lengths(vector: object) -> Iterator[tuple[object, object]]:
    """The kind and the length of a vector, or of each of several for one text. Raises NoVectors for what is none."""
    if isinstance(vector, list):
        for one in vector:
            yield from _lengths(one)
    elif not isinstance(vector, dict):
        raise NoVectors(f"one is {str(vector)[:40]!r}")
    elif vector.keys() in ({NUMBERS}, {PACKED}):
        yield next(iter(vector.items()))


def _outlined(body: bytes) -> Iterator[bytes]:
    """The outline, in parts: one for a piece of the body, or for many short vectors."""
    at, begun, values = 0, 0, 0
    kept: list[bytes] = []
    while (found := _NEXT.search(body, at, at + OUTLINE_BYTES)) is not None:
        kept.append(body[at : found.start()])
        if body[found.start()] == ord("["):
            at, length = body.find(b"]", found.end()) + 1, 0
            for number in _counted(body, found.end(), at - 1):
                if length:
                    yield b""
                length += number
            kept.append(b'{"%b":%d}' % (NUMBERS.encode(), length))
        else:
            at = body.find(b'"', found.end()) + 1
            length = at - 1 - found.end()
            if length < 0 or _BASE64.fullmatch(body, found.end(), at - 1) is None:
                raise NoVectors("one is a text that is no base64")
            colon = body.rindex(b'"', found.start(), found.end())
            kept.append(body[found.start() : colon] + (b'{"%b":%d}' % (PACKED.encode(), length) if length else b'""'))
        values += 1
        if at - begun > PIECE_BYTES or values > PIECE_VALUES:
            yield b"".join(kept)
            kept, begun, values = [], at, 0
    rest = body[at : at + OUTLINE_BYTES + 1]
    yield b"".join([*kept, rest])


def _counted(body: bytes, start: int, end: int) -> Iterator[int]:
    """How many numbers stand between two places, piece by piece. Raises NoVectors where there is anything else."""
    at = start
    while at < end:
        stop = end if end - at <= PIECE_BYTES else body.rfind(b",", at, at + PIECE_BYTES) + 1
        if (_LAST if stop == end else _SOME).fullmatch(body, at, stop) is None:
            break
        yield body.count(b",", at, stop) + (stop == end)
        at = stop
    if at != end or at <= start:
        raise NoVectors("one holds something that is no number")
