"""What a model thought and signed, on its way through dialects that have no place for it.

In a chat it stands in `reasoning_details` of a message, as OpenRouter writes it: `reasoning.text` with a `signature`,
`reasoning.encrypted` with `data`, `reasoning.summary`; `format` is the dialect of the runtime that made it, `before` the id of the
call that it was thought before, where it does not stand first. Callers of other dialects get it *sealed* into the one opaque text that
these have, and send it back: with the model that made it, for to any other it is worth nothing.
"""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.types import Json

MEMBER = "reasoning_details"
MESSAGES = "anthropic-messages"
RESPONSES = "openai-responses"
FORMATS = (MESSAGES, RESPONSES)
MADE_BY = "made_by"
"""The model of a detail, or of what a call says beside itself (`extra_content`)."""
SEAL = "arbiter1:"
"""How a sealed text begins."""
EXTRA = "extra_content"
_EXTRA = "call.extra_content"
"""What a runtime put beside a call: Gemini signs there. It travels as a detail of its own."""


def details_of(message: Json) -> list[Json]:
    """The details of a message, or of a piece of one, that Arbiter made of an answer in another dialect."""
    details = message.get(MEMBER)
    if not isinstance(details, list):
        return []
    return [one for one in details if isinstance(one, dict) and one.get("format") in FORMATS]


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


def for_model(messages: list[Json], model: str) -> tuple[list[Json], bool]:
    """Messages with what this model has signed, and without what others have; and whether there was anything of others."""
    foreign = False
    made: list[Json] = []
    for message in messages:
        calls, details = message.get("tool_calls"), message.get(MEMBER)
        bare = dict(message)
        if isinstance(details, list):
            own = [one for one in details if _is_for(one, model)]
            foreign = foreign or len(own) < len(details)
            bare.pop(MEMBER)
            if own:
                bare[MEMBER] = [_unnamed(one) for one in own]
        if isinstance(calls, list):
            foreign = foreign or not all(_is_for(one, model) for one in calls)
            bare["tool_calls"] = [_unnamed(one) if _is_for(one, model) else _unnamed(one, EXTRA) for one in calls]
        made.append(bare)
    return made, foreign


def _is_for(one: Any, model: str) -> bool:
    return not isinstance(one, dict) or one.get(MADE_BY, model) == model


def _unnamed(one: Any, *without: str) -> Any:
    if not isinstance(one, dict) or MADE_BY not in one:
        return one
    return {name: value for name, value in one.items() if name != MADE_BY and name not in without}
