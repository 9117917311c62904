"""What a model thought and signed, on its way through dialects that have no place for it.

In a chat it stands in `reasoning_details` of a message, as OpenRouter writes it: `reasoning.text` with a `signature`,
`reasoning.encrypted` with `data`, `reasoning.summary`; `format` is the dialect of the runtime that made it, `before` the id of the
call that it was thought before, where it does not stand first. Callers of other dialects get it *sealed* into the one opaque text that
these have, and send it back: with the model that made it, for to any other it is worth nothing.

Runtimes of chats say what was thought in members of their own (`reasoning_content`: DeepSeek, Qwen, Moonshot, vLLM; `reasoning`: Groq,
later vLLM; `thinking`: Ollama; `reasoning_details` of any format: OpenRouter), and some refuse to go on after a call without it. These are `Carried`: details
as they are; of a text the name of its member alone, for the text itself stands beside the seal.
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
    "THOUGHTS",
    "TOLD",
    "Carried",
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
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Members of a message with the text of what was thought, as runtimes of chats name them."""
TOLD = "message.reasoning"
"""A detail that is such a text: its `member`, and, once it is back, the `text`."""
_IN_PIECES = {"reasoning.text": "text", "reasoning.summary": "summary", TOLD: "text"}
"""Types of details that come in pieces, and the member in which their text stands."""
SEAL = "arbiter1:"
"""How a sealed text begins."""
_EXTRA = "call.extra_content"
"""What a runtime put beside a call: Gemini signs there. It travels as a detail of its own."""


def stated_in(message: Json) -> list[Json]:
    """The details of a message, or of a piece of one, whoever made them. One that names no call in `before` stands first."""
    details = message.get(MEMBER)
    stated = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return [one if isinstance(one.get("before", ""), str) else {**one, "before": None} for one in stated]


def text_of(details: list[Json]) -> str:
    """What details show of the thinking."""
    shown = [
        one.get(_IN_PIECES[kind])
        for one in details
        if (kind := one.get("type")) in ("reasoning.text", "reasoning.summary")
    ]
    return "".join([text for text in shown if isinstance(text, str)])


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


def unsealed(text: object, shown: str = "") -> list[Json] | None:
    """The details in a sealed text, each with its model; None for what is none. `shown` is what stands beside it."""
    if not isinstance(text, str) or not text.startswith(SEAL):
        return None
    try:
        model, details = orjson.loads(text.removeprefix(SEAL))
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return []
    if not isinstance(model, str) or not isinstance(details, list):
        return []
    given = [{**one, MADE_BY: model} for one in details if isinstance(one, dict)]
    return [{**one, "text": shown} if one.get("type") == TOLD else one for one in given]


def put_back(message: Json, details: list[Json]) -> None:
    """Give an assistant's message what was sealed in it."""
    if not details:
        return
    extra = {one["call"]: one for one in details if one.get("type") == _EXTRA and isinstance(one.get("call"), str)}
    kept = _joined([one for one in details if one.get("type") != _EXTRA])
    if kept:
        message[MEMBER] = kept
    for call in message.get("tool_calls") or ():
        if (own := extra.get(call.get("id"))) is not None:
            call |= {EXTRA: own.get(EXTRA), MADE_BY: own[MADE_BY]}


class Carried:
    """Gathers what a runtime of chats says of its model's thinking, piece by piece, until it is sealed."""

    def __init__(self) -> None:
        self._details: list[Json] = []
        self._member = ""
        self._in_members = False

    def add(self, part: Json) -> str:
        """Take what a message, or a piece of one, says of it; returns the text to be shown: a member's, or the details' where none says it."""
        details = [one for one in stated_in(part) if one.get("format") not in FORMATS]
        self._details += details
        member = next((name for name in THOUGHTS if isinstance(part.get(name), str) and part[name]), "")
        if member:
            self._member, self._in_members = member, True
            return str(part[member])
        return "" if self._in_members else text_of(details)

    def taken(self) -> list[Json]:
        """The details to be sealed, once: those that were stated, else which member the text that is shown is of."""
        details, member = _joined(self._details), self._member
        self._details, self._member = [], ""
        return details or ([{"type": TOLD, "member": member}] if member else [])


def _joined(details: list[Json]) -> list[Json]:
    """Details with those that are pieces of one joined: of one type and `index`, or `member`."""
    made: list[Json] = []
    at: dict[tuple[Any, ...], Json] = {}
    for one in details:
        kind = one.get("type")
        text = _IN_PIECES.get(kind) if isinstance(kind, str) else None
        place = one.get("member") if kind == TOLD else one.get("index")
        if text is None or type(place) not in (int, str):
            made.append(one)
            continue
        known = at.get((kind, place, one.get(MADE_BY)))
        if known is None:
            known = at[kind, place, one.get(MADE_BY)] = dict(one)
            made.append(known)
            continue
        pieces = [piece for piece in (known.get(text), one.get(text)) if isinstance(piece, str)]
        known |= {name: value for name, value in one.items() if value is not None}
        known |= {text: "".join(pieces)} if pieces else {}
    return made


def native_of(
    dialect: str,
    written: Mapping[str, str],
    history: str,
    *,
    settle: Settle,
    passes: tuple[str, ...] = (),
    signed: bool = True,
) -> NativeRequest:
    """A request as it came (`exact_json.members`), for runtimes of its dialect: without what Arbiter sealed in it, which models of
    others made. `signed`: whether a history may hold thoughts.
    """
    native = NativeRequest(dialect, written, history, passes, settle=settle, signed=signed)
    if not signed or SEAL not in (text := written.get(history, "")):
        return native
    given = exact_json.exact(text.encode())
    return native.with_history(_unsealed_of(given)) if isinstance(given, list) else native


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
