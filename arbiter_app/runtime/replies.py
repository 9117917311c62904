"""A whole answer of the runtime, read out of its bytes: JSON, events though no stream was asked for, or another dialect."""

from __future__ import annotations

import codecs
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from arbiter_app import exact_json, notices
from arbiter_app.dialects.wire import Reader
from arbiter_app.pipeline.completions import completed, may_name_own, without_own_bytes
from arbiter_app.pipeline.ports import Reply, RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.assembler import StreamAssembler
from arbiter_app.runtime.budget import Hold
from arbiter_app.runtime.claims.refusals import states_error
from arbiter_app.runtime.claims.secrets import hide_bytes
from arbiter_app.runtime.faults import stated_error
from arbiter_app.runtime.json_lines import chat_of_ollama, events_in_lines
from arbiter_app.runtime.sse import EventSplitter, EventTooLarge, event_data, separated, typed
from arbiter_app.runtime.transport import Headers

_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)
"""What reading an answer raises where a runtime says what nobody thought of: its fault, and no reason that the caller's request fails."""


def joined(pieces: Sequence[bytes]) -> bytes:
    """A body in one, in UTF-8, without a byte order mark and without secrets."""
    body = b"".join(pieces)
    if body[:2] in _MARKS or b"\0" in body[:2]:  # no JSON has a zero in it, but where each character takes two bytes
        body = _from_utf_16(body)
    return hide_bytes(body.removeprefix(exact_json.BOM))


def _from_utf_16(body: bytes) -> bytes:
    coding = "utf-16" if body[:2] in _MARKS else "utf-16-be" if body[:1] == b"\0" else "utf-16-le"
    return body.decode(coding, "replace").encode()


def events_in(body: bytes) -> list[bytes]:
    """The events of a whole body. Raises RuntimeFault for one that is too large."""
    splitter = EventSplitter()
    try:
        events = [*splitter.feed(body), *filter(None, [splitter.rest()])]
        return [one for event in events for one in separated(event)]
    except EventTooLarge as error:
        raise RuntimeFault("protocol", str(error)) from error


def looks_streamed(body: bytes) -> bool:
    """Whether a body is made of events, whatever it is called."""
    return body.lstrip().startswith((b"data:", b"event:", b": ", b"id:", b"retry:"))


def _is_stream(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a plain request was answered with a stream of events."""
    called = "text/event-stream" in headers.get("content-type", "").lower()
    return (called and not body.lstrip().startswith(b"{")) or looks_streamed(body)


def _assembled(headers: Mapping[str, str], body: bytes, first_byte_ms: float, hold: Hold) -> Reply:
    """The whole answer that a stream comes to. Raises RuntimeFault for an error frame, and for one that breaks off."""
    assembler = StreamAssembler(most_chars=len(body))
    for event in events_in(body):
        if not event_data(event):
            continue
        assembler.feed(event)
        if assembler.error is not None:
            raise assembler.error
        if assembler.done:
            break
    if not assembler.done and not assembler.finished:
        raise RuntimeFault("transport", "the runtime's stream ended before the answer was finished")
    answer = assembler.body()
    completed(answer, time.time_ns())
    return Reply(headers, orjson.dumps(answer), first_byte_ms, answer, hold)


def answered(
    reader: Reader | None, headers: Mapping[str, str], pieces: Sequence[bytes], first_byte_ms: float, hold: Hold
) -> Reply:
    """The answer that a body is, by who reads its dialect, or a chat's. Raises RuntimeFault for what is none."""
    body = joined(pieces)
    told = headers, body, first_byte_ms, hold
    reply = reply_of(*told) if reader is None else translated(reader, *told)
    ours = reply.body.rstrip()
    if may_name_own(ours):
        ours = without_own_bytes(ours)
    return reply if ours is reply.body else replace(reply, body=ours)


def reply_of(headers: Mapping[str, str], body: bytes, first_byte_ms: float, hold: Hold) -> Reply:
    """A plain request's answer. Raises RuntimeFault for what is not one."""
    if not body.startswith(b"{") and _is_stream(headers, body):  # a long one need not be copied to see that
        return _assembled(headers, body, first_byte_ms, hold)
    try:
        answer, body = _object_of(headers, body)
    except RuntimeFault as fault:
        lines = events_in_lines(body) if fault.kind == "protocol" else []
        if not lines:
            raise
        return _assembled(headers, b"\n\n".join(lines), first_byte_ms, hold)
    if "choices" not in answer and (chat := chat_of_ollama(answer)) is not answer:
        answer, body = chat, orjson.dumps(chat)
    now_ns = time.time_ns()
    if completed(answer, now_ns):  # to the letter of what was written, which `answer` does not hold
        said = exact_json.exact(body)
        completed(said, now_ns)
        body = exact_json.dumps(said)
    return Reply(headers, body, first_byte_ms, answer, hold)


def translated(
    reader: Reader,
    headers: Mapping[str, str],
    body: bytes,
    first_byte_ms: float,
    hold: Hold,
) -> Reply:
    """The answer of a runtime of another dialect, as a chat completion, and as it came where it came whole. Raises RuntimeFault for what
    is not one.
    """
    if _is_stream(headers, body):
        for event in events_in(body):
            take(reader, event_data(typed(event)))
        stream = b"".join([made + b"\n\n" for made in reader.taken()])
        return _assembled(headers, stream, first_byte_ms, hold)
    answer, body = _object_of(headers, body)
    chat = chat_of(reader, answer, body)
    completed(chat, time.time_ns())
    spoken = () if chat is answer or reader.stray else (memoryview(without_own_bytes(body.strip()))[:-1],)
    return Reply(headers, orjson.dumps(chat), first_byte_ms, chat, hold, native=spoken)


def _object_of(headers: Mapping[str, str], body: bytes) -> tuple[Json, bytes]:
    """The JSON object that a whole answer is, and its bytes. Raises RuntimeFault for an error, and for what is no object."""
    answer, body = parsed(headers, body)
    if states_error(answer) and (error := stated_error(answer, headers, body)) is not None:
        raise error
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], dict):
        answer, body = answer[0], exact_json.dumps(exact_json.exact(body)[0])
    if not isinstance(answer, dict):
        raise RuntimeFault("protocol", "the runtime's answer is not a JSON object")
    return answer, body


def chat_of(reader: Reader, answer: Json, body: bytes) -> Json:
    """A whole answer as a chat completion. Raises RuntimeFault for what is none."""
    if isinstance(answer.get("choices"), list):
        return answer
    try:
        return reader.whole(answer, body)
    except ValueError as error:
        raise RuntimeFault("protocol", f"the runtime's answer cannot be read: {error}") from error
    except UNREADABLE as error:
        notices.claims.count("answer", "an answer could not be read")
        raise RuntimeFault("protocol", "the runtime's answer cannot be read") from error


def take(reader: Reader, data: bytes, said: Json | None = None) -> None:
    """Read the data of an event, and what they are where that was read. Raises RuntimeFault for what is none."""
    try:
        reader.take(data, said)
    except UNREADABLE as error:
        notices.claims.count("answer", "an event of a stream could not be read")
        raise RuntimeFault("protocol", "the runtime sent an event that cannot be read") from error


def parsed(headers: Mapping[str, str], body: bytes) -> tuple[object, bytes]:
    """The parsed body of an answer with status 2xx, and the body as valid JSON: NaN, half characters and the like are no reason
    to lose an answer. Raises RuntimeFault when it is not JSON, or does not say so."""
    kind = headers.get("content-type", "")[:100]
    try:
        return orjson.loads(body), body
    except orjson.JSONDecodeError as error:
        if kind and "json" not in kind.lower():
            raise RuntimeFault("protocol", f"the runtime's answer is not JSON ({kind}, {len(body)} bytes)") from error
        try:
            value = exact_json.first(body)
            return exact_json.loads(written := exact_json.dumps(value)), written
        except ValueError:
            raise RuntimeFault("protocol", f"the runtime's answer is not valid JSON ({len(body)} bytes)") from error


def decoded(headers: Headers) -> dict[str, str]:
    """Headers as texts, by their lower-case names."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
