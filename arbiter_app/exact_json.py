"""JSON that keeps what was written: numbers digit by digit, and what strict readers refuse although an answer is in it.

orjson is the reader wherever it can be. It turns integers beyond 64 bits into floats, and refuses NaN, 1e999, half a
surrogate pair, invalid UTF-8, a byte order mark and control characters, all of which runtimes send.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec
import orjson

BOM = b"\xef\xbb\xbf"
_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
"""Ends of lines to some readers of lines, never to JSON."""
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_HALF = re.compile("[\ud800-\udfff]")
_LEAST_LOGPROB = "-9999.0"
"""What the OpenAI protocol says for the logarithm of a probability of zero."""
_CONSTANTS = {"NaN": "null", "Infinity": "null", "-Infinity": _LEAST_LOGPROB}
MAX_DIGITS = 400
MOST_REST = 100
"""Characters after a value that are no part of it."""
_AROUND = " \t\r\n\0"


class Written(str):
    """A number (or other literal) as it is to be written."""

    __slots__ = ()


def loads(data: bytes) -> Any:
    """The value of JSON, to be read: no string in it has half a surrogate pair, no number is infinite.

    Raises ValueError for what even a lenient reader does not take.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return whole(lenient(data))


def lenient(data: bytes) -> Any:
    """The same, read leniently; halves of surrogate pairs stay, so that they can still be joined. Raises ValueError."""
    return _decoded(_READER, data)


def by_grammar(data: bytes) -> Any:
    """The value of what is JSON to the letter of its grammar, as `loads` gives it. Raises ValueError."""
    return whole(_read(_GRAMMAR, data.decode()))


def exact(data: bytes) -> Any:
    """The value of JSON with its numbers as `Written`, for `dumps`. Raises ValueError."""
    return _decoded(_EXACT, data)


def first(data: bytes) -> Any:
    """The same, whatever harmless follows it: zeros, as programs in C leave them, or a few words. Raises ValueError."""
    text = data.decode("utf-8-sig", "replace").strip(_AROUND)
    try:
        value, end = _EXACT.raw_decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    rest = text[end:].strip(_AROUND)
    if len(rest) > MOST_REST or "{" in rest:
        raise ValueError("more than one value")
    return value


def dumps(value: Any) -> bytes:
    """Valid JSON of a value of `exact` on one line, to every reader of lines; numbers are as they were written, and halves of surrogate
    pairs are escaped. Raises ValueError.
    """
    try:
        return on_one_line(line(value))
    except TypeError:
        return _dumps_anything(value)


def on_one_line(data: bytes) -> bytes:
    """JSON without line ends in it as JSON without what some readers of lines take for such."""
    for mark, escaped in _SEPARATORS:
        if mark in data:
            data = data.replace(mark, escaped)
    return data


def _dumps_anything(value: Any) -> bytes:
    parts: list[str] = []
    try:
        _write(value, parts.append)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return "".join(parts).encode()


def line(value: Any) -> bytes:
    """The same as `dumps`, fast, for a value whose strings are whole; it may hold `orjson.Fragment`s. Raises TypeError."""
    return orjson.dumps(value, default=_as_written, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def members(data: bytes | str) -> dict[str, str]:
    """The members of an object in JSON, each value as it is written. Raises ValueError for what is no object, or no JSON to the letter
    of its grammar.
    """
    try:
        return {name: str(raw, "utf-8") for name, raw in _MEMBERS.decode(data).items()}
    except (msgspec.DecodeError, RecursionError):  # it takes half of a surrogate pair for no JSON
        value = _read(_EXACT_GRAMMAR, data if isinstance(data, str) else data.decode())
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return {name: dumps(inner).decode() for name, inner in value.items()}


def of_members(texts: Mapping[str, str]) -> bytes:
    """An object of members that are written already."""
    return ("{" + ",".join([f"{encode_basestring_ascii(name)}:{text}" for name, text in texts.items()]) + "}").encode()


def whole(value: Any) -> Any:
    """A value whose strings can be stored and sent: surrogate pairs joined, lone halves replaced."""
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, dict):
        return {whole_text(key): whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return value


def whole_text(text: str) -> str:
    """A text without halves of surrogate pairs: two that belong together are joined, lone ones become U+FFFD."""
    if text.isascii() or _HALF.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(decoder: json.JSONDecoder, data: bytes) -> Any:
    return _read(decoder, data.decode("utf-8-sig", "replace"))


def _read(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _write(value: Any, put: Any) -> None:
    if isinstance(value, Written):
        put(value)
    elif isinstance(value, dict):
        put("{")
        for at, (name, inner) in enumerate(value.items()):
            put(f"{',' if at else ''}{json.dumps(name)}:")
            _write(inner, put)
        put("}")
    elif isinstance(value, list):
        put("[")
        for at, inner in enumerate(value):
            if at:
                put(",")
            _write(inner, put)
        put("]")
    else:
        put(json.dumps(value))


def _as_written(value: Any) -> orjson.Fragment:
    if isinstance(value, Written):
        return orjson.Fragment(value.encode())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _int(written: str) -> int | float:
    number = int(written) if len(written) <= MAX_DIGITS else None
    return number if number is not None and -(2**63) <= number < 2**64 else _float(written)


def _float(written: str) -> float:
    number = float(written)
    return number if math.isfinite(number) else math.copysign(sys.float_info.max, number)


def _constant(written: str) -> float | None:
    return float(_LEAST_LOGPROB) if written == "-Infinity" else None


def _refused(written: str) -> None:
    raise ValueError(f"{written} is no JSON")


_GRAMMAR = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_refused)
_EXACT_GRAMMAR = json.JSONDecoder(parse_int=Written, parse_float=Written, parse_constant=_refused)
_READER = json.JSONDecoder(parse_int=_int, parse_float=_float, parse_constant=_constant, strict=False)
_EXACT = json.JSONDecoder(
    parse_int=Written, parse_float=Written, parse_constant=lambda name: Written(_CONSTANTS[name]), strict=False
)
