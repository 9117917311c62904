"""What a model thought and signed, on its way through dialects that have no place for it.

In a chat it stands in `reasoning_details` of a message, as OpenRouter writes it: `reasoning.text` with a `signature`,
`reasoning.encrypted` with `data`, `reasoning.summary`; `format` is the dialect of the runtime that made it, `before` the id of the
call that it was thought before, where it does not stand first. Callers of other dialects get it *sealed* into the one opaque text that
these have, and send it back: with the model that made it, for to any other it is worth nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.native import NativeRequest, Settle
from arbiter_app.pipeline.signed import EXTRA, MADE_BY, MEMBER
from arbiter_app.pipeline.types import Json

__all__ = [
    "EXTRA",
    "FORMATS",
    "MADE_BY",
    "MEMBER",
    "MESSAGES",
    "RESPONSES",
    "details_of",
    "extra_of",
    "grouped",
    "native_of",
    "put_back",
    "sealed",
    "stated_in",
    "unsealed",
]

MESSAGES = "anthropic-messages"
RESPONSES = "openai-responses"
FORMATS = (MESSAGES, RESPONSES)
SEAL = "arbiter1:"
"""How a sealed text begins."""
_EXTRA = "call.extra_content"
"""What a runtime put beside a call: Gemini signs there. It travels as a detail of its own."""


def stated_in(message: Json) -> list[Json]:
    """The details of a message, or of a piece of one, whoever made them. One that names no call in `before` stands first."""
    details = message.get(MEMBER)
    stated = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return [one if isinstance(one.get("before", ""), str) else {**one, "before": None} for one in stated]


def details_of(message: Json) -> list[Json]:
    """Those of them that Arbiter made of an answer in another dialect."""
    return [one for one in stated_in(message) if one.get("format") in FORMATS]


def grouped(details: list[Json]) -> list[list[Json]]:
    """Details by the block or item that they are of: those with one id belong together."""
    groups: list[list[Json]] = []
    for one in details:
        if groups and one.get("id") is not None and groups[-1][0].get("id") == one["id"]:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def extra_of(call: Json) -> list[Json]:
    """What a call says beside itself, as details."""
    extra = call.get(EXTRA)
    if not isinstance(extra, dict) or not extra or not isinstance(call.get("id"), str):
        return []
    return [{"type": _EXTRA, "call": call["id"], EXTRA: extra}]


def sealed(model: str, details: list[Json]) -> str:
    """Details as one opaque text."""
    return SEAL + exact_json.dumps([model, details]).decode()


def unsealed(text: object) -> list[Json] | None:
    """The details in a sealed text, each with its model; None for what is none."""
    if not isinstance(text, str) or not text.startswith(SEAL):
        return None
    try:
        model, details = orjson.loads(text.removeprefix(SEAL))
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return []
    if not isinstance(model, str) or not isinstance(details, list):
        return []
    return [{**one, MADE_BY: model} for one in details if isinstance(one, dict)]


def put_back(message: Json, details: list[Json]) -> None:
    """Give an assistant's message what was sealed in it."""
    extra = {one["call"]: one for one in details if one.get("type") == _EXTRA and isinstance(one.get("call"), str)}
    kept = [one for one in details if one.get("type") != _EXTRA]
    if kept:
        message[MEMBER] = kept
    for call in message.get("tool_calls") or ():
        if (own := extra.get(call.get("id"))) is not None:
            call |= {EXTRA: own.get(EXTRA), MADE_BY: own[MADE_BY]}


def native_of(
    dialect: str,
    said: Json,
    written: Mapping[str, str],
    history: str,
    *,
    settle: Settle,
    passes: tuple[str, ...] = (),
) -> NativeRequest:
    """A request as it came (`exact_json.read_members`), for runtimes of its dialect: without what Arbiter sealed in it, which models of
    others made.
    """
    native, given = NativeRequest(dialect, written, history, passes, settle=settle), said.get(history)
    if not isinstance(given, list) or SEAL not in written[history]:
        return native
    return native.with_history(_unsealed_of(given))


def _unsealed_of(items: list[Any]) -> list[Any]:
    """Messages or items without what is sealed; a message that was nothing else goes, too."""
    kept = []
    for item in items:
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, list):
            bare = [block for block in content if not _is_sealed(block)]
            if content and not bare:
                continue
            item = {**item, "content": bare}
        if not _is_sealed(item):
            kept.append(item)
    return kept


def _is_sealed(block: Any) -> bool:
    places = ("signature", "data", "encrypted_content")
    return isinstance(block, dict) and any(unsealed(block.get(name)) is not None for name in places)
