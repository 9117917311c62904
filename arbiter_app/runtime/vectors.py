"""Looks at an answer for embeddings: every row holds a vector of numbers, and all are of one length.

Its *outline* is the same JSON with each list of numbers and each packed vector told by its length alone: small, parsed at once, and
made piece by piece, so that nobody else has to wait for a large one. What the outline shows to be in another form than was asked for,
or in another order than that of the texts, is put right: clients unpack what they asked for, and take vectors as they come.
"""

from __future__ import annotations

import asyncio
import base64
import re
import struct
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
_URL_SAFE = str.maketrans("-_", "+/")
_FLOAT_BYTES = 4
_ASKED_PACKED = re.compile(rb'"encoding_format"\s*:\s*"base64"')


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


def asks_packed(request: bytes) -> bool:
    """Whether a request asks for packed vectors (base64 of 32-bit floats): OpenAI's libraries do unless they are told otherwise."""
    return _ASKED_PACKED.search(request) is not None


def is_as_asked(answer: Json, *, packed: bool) -> bool:
    """Whether the vectors of the answer that has this outline, which holds some, are in the form that was asked for, and where they belong."""
    rows, other = answer["data"], NUMBERS if packed else PACKED
    otherwise = any(isinstance(row["embedding"], dict) and other in row["embedding"] for row in rows)
    return not otherwise and _in_order(rows) is rows and not any(row.get("index") is None for row in rows)


def as_asked(body: bytes, *, packed: bool) -> bytes:
    """An answer that holds vectors, in the form that was asked for and in the order of the texts. Raises ValueError."""
    answer = exact_json.loads(body)
    for position, row in enumerate(answer["data"]):
        row["embedding"] = _packed(row["embedding"]) if packed else _unpacked(row["embedding"])
        if row.get("index") is None:
            row["index"] = position
    answer["data"] = _in_order(answer["data"])
    return orjson.dumps(answer)


def _in_order(rows: list[Json]) -> list[Json]:
    """The rows by their numbers, where those are of as many texts; else as they came."""
    numbers = [index if type(index := row.get("index")) is int else -1 for row in rows]
    texts = list(range(len(rows)))
    if numbers == texts or sorted(numbers) != texts:
        return rows
    return sorted(rows, key=lambda row: int(row["index"]))


def _packed(vector: object) -> object:
    """A list of numbers as base64; anything else as it is."""
    if not isinstance(vector, list) or not all(isinstance(number, int | float) for number in vector):
        return vector
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError as error:
        raise NoVectors("one holds a number that is too large for 32 bits") from error


def _unpacked(vector: object) -> object:
    """Base64 as a list of numbers; anything else as it is."""
    if not isinstance(vector, str):
        return vector
    data = base64.b64decode(vector.translate(_URL_SAFE) + "=" * (-len(vector) % 4))
    if len(data) % _FLOAT_BYTES:
        raise NoVectors("one is a text that is no base64 of numbers")
    return list(struct.unpack(f"<{len(data) // _FLOAT_BYTES}f", data))


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
