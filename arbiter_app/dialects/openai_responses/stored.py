"""Responses that are kept to be gone on from: what is kept of one, and a request that refers to such.

All is JSON as it was written. A kept response holds the whole conversation up to it, so that it is enough by itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from arbiter_app import exact_json
from arbiter_app.dialects.openai_responses.refusals import mistyped
from arbiter_app.dialects.openai_responses.request import ENCRYPTED
from arbiter_app.dialects.reasoning import RESPONSES
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import ChatRequest, Json


class Look(Protocol):
    """What is kept under ids, as far as it is: items, or whole `responses`."""

    def __call__(self, ids: Iterable[str], *, responses: bool = False) -> Mapping[str, bytes]: ...


PREVIOUS = "previous_response_id"
_REFERENCE = "item_reference"
_MARKS = (PREVIOUS.encode(), _REFERENCE.encode())
_END = re.compile(rb"(?:\A|\n)event: response\.(?:completed|incomplete)\ndata: ([^\n]*)\n")
_IDS = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


@dataclass(frozen=True, slots=True)
class Recalled:
    """A request with all that it referred to: its `body`, and the response that it goes on from."""

    body: bytes
    previous: str | None = None


def refers(body: bytes) -> bool:
    """Whether a request can refer to what is kept."""
    return any(mark in body for mark in _MARKS)


def recalled(body: bytes, look: Look) -> Recalled:
    """A request with the contents that it refers to in their place. Raises BadRequest for what is not kept, or no string."""
    try:
        members = exact_json.members(body)
    except ValueError:
        return Recalled(body)  # reading it says what is wrong
    previous = _previous(members.pop(PREVIOUS, "null"))
    items = _items(members.get("input", ""))
    if items is None:
        return Recalled(_object(members), previous)
    if _REFERENCE in items:
        items = _resolved(items, look)
    if previous is not None:
        kept = look([previous], responses=True).get(previous)
        if kept is None:
            said = f"Previous response with id {quoted(previous)} not found: it was never kept here, was deleted, or has expired."
            raise BadRequest(said, param=PREVIOUS, code="previous_response_not_found")
        items = _joined(_conversation(kept), items)
    return Recalled(_object({**members, "input": f"[{items}]"}), previous)


def _previous(text: str) -> str | None:
    stated = json.loads(text)
    if stated is not None and not isinstance(stated, str):
        raise mistyped(PREVIOUS, "a string", stated)
    return stated or None


def _items(text: str) -> str | None:
    """The items of an `input`, without their brackets; None for what is none."""
    text = text.strip()
    if text.startswith('"'):
        return f'{{"role":"user","content":{text}}}'
    return text[1:-1].strip() if text.startswith("[") else None


def _joined(*items: str) -> str:
    return ",".join(one for one in items if one)


def _object(members: Mapping[str, str]) -> bytes:
    return ("{" + ",".join([f"{json.dumps(name)}:{text}" for name, text in members.items()]) + "}").encode()


def _conversation(kept: bytes) -> str:
    """The items of a kept response: its input, then its output."""
    members = exact_json.members(kept)
    output = exact_json.members(members["response"]).get("output", "[]")
    return _joined(_items(members["input"]) or "", _items(output) or "")


def _resolved(items: str, look: Look) -> str:
    """Items with those in the place of references that are meant by them."""
    given = exact_json.exact(f"[{items}]".encode())
    named = [one["id"] for one in given if _refers(one)]
    kept = look(named)
    for name in named:
        if name not in kept:
            said = f"Item with id {quoted(name)} not found: it was never kept here, was deleted, or has expired."
            raise BadRequest(said, param="input", code="item_not_found")
    made = [exact_json.exact(kept[one["id"]]) if _refers(one) else one for one in given]
    return exact_json.dumps(made).decode()[1:-1]


def _refers(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == _REFERENCE and isinstance(item.get("id"), str)


def to_keep(chat: ChatRequest, previous: str | None) -> ChatRequest:
    """A request whose answer is kept: it says so, and a runtime of Responses gets it so that it need not keep anything itself."""
    native = chat.native
    if native is not None and native.dialect == RESPONSES:
        include = json.loads(native.members.get("include") or "null") or []
        if isinstance(include, list) and ENCRYPTED not in include:
            native = native.with_members(include=json.dumps([*include, ENCRYPTED]))
        native = native.with_members(store="false")
    return replace(chat, native=native, repeated={**chat.repeated, "store": True, PREVIOUS: previous})


def answer_in(frame: bytes) -> bytes | None:
    """The response at the end of a stream, None where a frame is not that end, or that holds none."""
    ended = _END.search(frame)
    if ended is None:
        return None
    try:
        response = exact_json.members(ended[1]).get("response", "")
    except ValueError:
        return None
    return response.encode() if response.startswith("{") else None


def kept_of(body: bytes, answer: bytes) -> tuple[str, dict[str, bytes]]:
    """The id of an answered request, and what is kept: under that the exchange, under the id of each item of the output that."""
    request, response = exact_json.members(body), exact_json.members(answer)
    name = json.loads(response["id"])
    said = f'{{"response":{answer.decode()},"input":[{_items(request["input"]) or ""}]}}'
    items = exact_json.exact(response.get("output", "[]").encode())
    named = {
        one["id"]: exact_json.dumps(one) for one in items if isinstance(one, dict) and isinstance(one.get("id"), str)
    }
    return name, {**named, name: said.encode()}


def response_of(kept: bytes) -> bytes:
    """The response as it was given."""
    return exact_json.members(kept)["response"].encode()


def input_items(kept: bytes) -> list[Json]:
    """The items that a kept response answered, oldest first, in the form of the API: each with a type and an id."""
    members = exact_json.members(kept)
    items = exact_json.exact(members["input"].encode())
    mark = hashlib.blake2b(exact_json.members(members["response"])["id"].encode(), digest_size=8).hexdigest()
    return [_listed(one, f"{mark}_{at}") for at, one in enumerate(items)]


def _listed(item: Json, mark: str) -> Json:
    named = item.get("type") or "message"
    told = {"type": named, "id": f"{_IDS.get(named, 'item')}_{mark}", **item}
    if named == "message" and isinstance(item.get("content"), str):
        part = "output_text" if item.get("role") == "assistant" else "input_text"
        told["content"] = [
            {"type": part, "text": item["content"], **({"annotations": []} if part == "output_text" else {})}
        ]
    return {"status": "completed", **told} if named == "message" else told
