"""A message as every client of Messages reads it, whatever a runtime that speaks that leaves out of it or writes otherwise.

Servers that took to Messages late number every block 0, begin none, never end them, count nothing, or say OpenAI's words; Anthropic's own
clients lose the text of such a stream, or fail. What is right goes through untouched.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.chunks import RegularEvents, place_of
from arbiter_app.pipeline.completions import count_of
from arbiter_app.pipeline.finish_reasons import finish_of, is_openais
from arbiter_app.pipeline.snapshots import Pieces
from arbiter_app.pipeline.types import Json

CALL = "tool_use"
_TEXTS = {
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    CALL: ("id", "name"),
}
"""The members of a block that are texts, by its type."""
_PIECES = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "thinking"),
    "input_json_delta": ("partial_json", CALL),
}
"""The types of what is added to a block: the member with its text, and the type of the block."""
_ADDED = {of: (kind, member) for kind, (member, of) in _PIECES.items() if member != "signature"}
"""By the type of a block: what adds to it, and the member with the text."""
_WRITTEN = ("text", "thinking")
"""Blocks of words: what is added to one of them cannot belong to a block of another type."""
_ENDS = {"length": "max_tokens", "content_filter": "refusal"}
_COUNTS = ("input_tokens", "output_tokens")


def content_of(stated: object) -> list[Any]:
    """The blocks of a message: a lone one is one, and so is a text. Raises ValueError where there is nothing of that."""
    if isinstance(stated, str):
        return [{"type": "text", "text": stated}]
    if isinstance(stated, dict):
        return [stated]
    if not isinstance(stated, list):
        raise ValueError("it has no content")
    return stated


def block_of(stated: object) -> Json:
    """A block with the members that its type has; the same one where it has them. Other types are the runtime's affair."""
    block = stated if isinstance(stated, dict) else {"type": "text", "text": stated}
    kind = block.get("type")
    texts = _TEXTS.get(kind) if isinstance(kind, str) else None
    if texts is None and kind not in (None, "output_text"):
        return block
    if texts is None:
        kind = CALL if "input" in block else next((name for name in _WRITTEN if name in block), "text")
        texts = _TEXTS[kind]
    right = stated is block and block.get("type") == kind and all([type(block.get(name)) is str for name in texts])
    if kind == CALL:
        right = right and bool(block["id"]) and type(block.get("input")) is dict
    if right:
        return block
    told: Json = {name: text if isinstance(text := block.get(name), str) else "" for name in texts}
    if kind == CALL:
        told |= {"id": told["id"] or f"toolu_{secrets.token_hex(12)}", "input": input_of(block.get("input"))}
    return {**block, "type": kind, **told}


def input_of(stated: object) -> Json:
    """What a tool is given: an object, which some runtimes write as text."""
    if isinstance(stated, str) and stated.lstrip()[:1] == "{":
        try:
            stated = exact_json.loads(stated.encode())
        except ValueError:
            return {}
    return stated if isinstance(stated, dict) else {}


def reason_of(stated: object) -> object:
    """Why a message ended: OpenAI's words in those of Messages (that a tool was called is told by the blocks)."""
    return _ENDS.get(finish_of(stated) or "", "end_turn") if is_openais(stated) else stated


class RegularMessage(RegularEvents):
    """Makes the events of one streamed message regular, one by one."""

    def __init__(self) -> None:
        self._blocks: list[_StatedBlock] = []
        self._at: dict[object, _StatedBlock] = {}
        """The block that a runtime means by a number, for now."""
        self._begun = False

    def of(self, event: Json) -> Sequence[Json]:
        """The events that are told in the place of one: itself, where it is right."""
        kind = event["type"]
        if kind == "content_block_delta":
            return self._added(event)
        if kind == "content_block_start":
            return self._after_beginning([self._started(event)])
        if kind == "content_block_stop":
            block = self._block(event)
            return () if block is None or block.ended else self._ended(block, event)
        if kind == "message_start":
            return self._first(event)
        if kind == "message_delta":
            return [*self._all_ended(), _last(event)]
        return [*self._all_ended(), event] if kind == "message_stop" else (event,)

    def _first(self, event: Json) -> Sequence[Json]:
        """The message, still empty. One that comes for the second time is told to nobody."""
        if self._begun:
            return ()
        self._begun = True
        stated = event.get("message")
        stated = stated if isinstance(stated, dict) else {}
        used = stated.get("usage")
        used = used if isinstance(used, dict) else {}
        if not all([type(used.get(name)) is int for name in _COUNTS]):
            counted = {name: count for name, one in used.items() if (count := count_of(one)) is not None}
            used = {
                **dict.fromkeys(_COUNTS, 0),
                **{name: one for name, one in used.items() if one is not None},
                **counted,
            }
        right = {
            "id": stated["id"]
            if isinstance(stated.get("id"), str) and stated["id"]
            else f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": stated["model"] if isinstance(stated.get("model"), str) else "",
            "content": stated["content"] if isinstance(stated.get("content"), list) else [],
            "usage": used,
        }
        if all([stated.get(name) == value for name, value in right.items()]):
            return (event,)
        return ({**event, "message": {"stop_reason": None, "stop_sequence": None, **stated, **right}},)

    def _after_beginning(self, events: list[Json]) -> Sequence[Json]:
        return events if self._begun else [*self._first({"type": "message_start"}), *events]

    def _started(self, event: Json) -> Json:
        """A block begins, with the next number. What a call's beginning holds of its input is told when it ends: clients join pieces."""
        stated = event.get("content_block")
        block = block_of({} if stated is None else stated)
        given = ""
        if block.get("type") == CALL and block["input"]:
            block, given = {**block, "input": {}}, exact_json.dumps(block["input"]).decode()
        own = _StatedBlock(len(self._blocks), str(block.get("type")), given)
        if own.kind in _WRITTEN:
            own.pieces.add(block[own.kind])
        self._blocks.append(own)
        self._at[place_of(event.get("index"), None)] = own
        if block is stated and event.get("index") == own.index:
            return event
        return {**event, "index": own.index, "content_block": block}

    def _added(self, event: Json) -> Sequence[Json]:
        """A piece of a block: of the last one, where it does not say of which."""
        delta, block = event.get("delta"), self._block(event)
        if type(delta) is not dict:
            return ()
        kind = delta.get("type")
        member, of = _PIECES.get(kind, ("", "")) if isinstance(kind, str) else ("", "")
        if block is not None and not block.ended and block.kind == of and type(delta.get(member)) is str:
            block.told = block.told or (of == CALL and bool(delta[member]))
            text = delta[member] if member == "signature" else block.pieces.add(delta[member])
            if text != delta[member]:
                return () if not text else ({**event, "index": block.index, "delta": {**delta, member: text}},)
            return (block.numbered(event),)
        if block is not None and block.kind not in _TEXTS:
            return (block.numbered(event),)  # of a type that is the runtime's affair, like all that is added to it
        if kind is None:
            kind = next((name for name, (one, _) in _PIECES.items() if one in delta), "")
            member, of = _PIECES.get(kind, ("", ""))
        if not of:
            return () if block is None else (block.numbered(event),)
        text = _text_of(delta, member)
        before: list[Json] = []
        if of in _WRITTEN and (block is None or block.ended or block.kind != of):
            if block is not None and not block.ended:
                before += self._ended(block, {"type": "content_block_stop"})
            begins = {"type": "content_block_start", "index": event.get("index"), "content_block": {"type": of}}
            before += self._after_beginning([self._started(begins)])
            block = self._blocks[-1]
        if block is None:
            return ()
        text = text if member == "signature" else block.pieces.add(text)
        if not text:
            return before
        block.told = block.told or of == CALL
        return [*before, {**event, "index": block.index, "delta": {"type": kind, member: text}}]

    def _ended(self, block: _StatedBlock, event: Json) -> list[Json]:
        block.ended = True
        right = block.numbered(event)
        left = block.pieces.rest() if block.told or not block.given else block.given
        kind, member = _ADDED.get(block.kind, ("", ""))
        if not left or not kind:
            return [right]
        delta = {"type": kind, member: left}
        return [{"type": "content_block_delta", "index": block.index, "delta": delta}, right]

    def _all_ended(self) -> list[Json]:
        """The ends of the blocks that a runtime has left open."""
        left = [block for block in self._blocks if not block.ended]
        return [one for block in left for one in self._ended(block, {"type": "content_block_stop"})]

    def _block(self, event: Json) -> _StatedBlock | None:
        """The block that an event is of: by its number, or the last one."""
        stated = place_of(event.get("index"), None)
        return self._at.get(stated) if stated is not None else self._blocks[-1] if self._blocks else None


class _StatedBlock:
    """A block of the stream: its number, its type, the input that it began with, its text in pieces, and whether any came."""

    __slots__ = ("ended", "given", "index", "kind", "pieces", "told")

    def __init__(self, index: int, kind: str, given: str) -> None:
        self.index = index
        self.kind = kind
        self.given = given
        self.pieces = Pieces(arguments=kind == CALL)
        self.told = self.ended = False

    def numbered(self, event: Json) -> Json:
        """An event of this block with its number: the same one where it has that."""
        return event if event.get("index") == self.index else {**event, "index": self.index}


def _text_of(delta: Json, member: str) -> str:
    """The text that is added, also where it stands in the member of another type, or as an object."""
    stated = delta.get(member, delta.get("text"))
    if isinstance(stated, dict):
        return exact_json.dumps(stated).decode()
    return stated if isinstance(stated, str) else ""


def _last(event: Json) -> Json:
    """Why a message ended, in a word of Messages."""
    delta = event.get("delta")
    if not isinstance(delta, dict):
        return {**event, "delta": {}}
    reason = reason_of(delta.get("stop_reason"))
    return event if reason == delta.get("stop_reason") else {**event, "delta": {**delta, "stop_reason": reason}}
