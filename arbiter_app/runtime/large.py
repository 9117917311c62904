"""Looks at a large answer piece by piece, so that nobody else has to wait for it, and it never stands in memory twice.

The text of an answer is one long string. Its *outline* is the same JSON with every long string cut down to three dots: small, parsed at once,
and all that has to be known of an answer that is passed on. Whatever is out of the ordinary (it is no strict JSON, holds a
secret, lacks members, names ours) has no outline, and goes the way of all other answers.
"""

from __future__ import annotations

import asyncio
import codecs
import re
import time
from collections.abc import Iterator, Sequence

import orjson

from arbiter_app.exact_json import BOM
from arbiter_app.pipeline.completions import completed, may_name_own
from arbiter_app.pipeline.ports import LARGE_BYTES
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.claims.refusals import states_error
from arbiter_app.runtime.claims.secrets import in_any
from arbiter_app.turns import PIECE_BYTES, large_turn

LONG_BYTES = 4_096
"""Strings up to this length are in the outline as they are."""
LONG = b'..."'
"""What stands in it for what a longer one holds, so that it is not an empty one."""
_ESCAPE_BYTES = 6
_INSIDE = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}))*+')
"""What a string holds, without halves of surrogate pairs."""


async def outline_of(pieces: Sequence[bytes]) -> bytes | None:
    """The outline of an answer, which is an object that states no error; None for one that has to be looked at as a whole."""
    kept: list[bytes] = []
    size = 0
    looked_at = zip(_outlined(_small(pieces)), in_any(_small(pieces)), strict=False)
    while True:
        async with large_turn():
            part, secret = next(looked_at, (b"", None))
            await asyncio.sleep(0)
        if secret is None:
            break
        if part is None or secret:
            return None
        kept.append(part)
        size += len(part)
        if size > LARGE_BYTES:
            return None
    outline = b"".join(kept)
    try:
        answer = orjson.loads(outline)
    except orjson.JSONDecodeError:
        return None
    return outline if isinstance(answer, dict) and not may_name_own(outline) and not states_error(answer) else None


def chat_in(outline: bytes) -> Json | None:
    """The chat completion that has this outline; None for one that lacks something."""
    answer: Json = orjson.loads(outline)
    return answer if answer.get("choices") and not completed(answer, time.time_ns()) else None


def without_end(pieces: Sequence[bytes]) -> list[bytes]:
    """The pieces of a JSON object without the brace that ends it, and what may stand around it."""
    kept = list(pieces)
    while not kept[-1].strip():
        kept.pop()
    kept[-1] = kept[-1].rstrip()[:-1]
    return [kept[0].removeprefix(BOM), *kept[1:]]


def _small(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """The same in pieces of which each takes a short time."""
    return (piece[at : at + PIECE_BYTES] for piece in pieces for at in range(0, len(piece), PIECE_BYTES))


def _outlined(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    """What of each piece is in the outline; None once something is no strict JSON. (A character that is cut off at the end stands in no
    string that has ended: the outline is no JSON then.)"""
    text = codecs.getincrementaldecoder("utf-8")()
    inside, string, rest = False, b"", b""
    for number, piece in enumerate(pieces):
        try:
            text.decode(piece)
        except UnicodeDecodeError:
            yield None
            return
        data = rest + (piece if number else piece.removeprefix(BOM))
        at, kept, rest = 0, [], b""
        while at < len(data):
            if not inside:
                quote = data.find(b'"', at) + 1 or len(data)
                kept.append(data[at:quote])
                inside, string, at = data[quote - 1 : quote] == b'"', b"", quote
                continue
            match = _INSIDE.match(data, at)
            end = match.end() if match is not None else at
            if len(string) <= LONG_BYTES:
                string += data[at : min(end, at + LONG_BYTES + 1)]
            ended = data[end : end + 1]
            if ended == b'"':
                kept.append(string + b'"' if len(string) <= LONG_BYTES else LONG)
                inside, end = False, end + 1
            elif ended == b"\\" and len(data) - end < _ESCAPE_BYTES:
                rest = data[end:]
                break
            elif ended:
                yield None
                return
            at = end
        yield b"".join(kept)
