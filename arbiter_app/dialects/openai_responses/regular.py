"""Whether a response is one that every client of Responses reads, told by what comes before its first word, while it can still be translated."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.dialects.chunks import RegularEvents
from arbiter_app.pipeline.snapshots import Pieces
from arbiter_app.pipeline.types import Json

MEMBERS = frozenset(
    {"id", "object", "created_at", "status", "model", "output", "parallel_tool_calls", "tool_choice", "tools"}
)
"""What clients that read by a schema ask of every response."""
_TEXT = "response.output_text.delta"
_ARGUMENTS = "response.function_call_arguments.delta"
_WHERE = ("item_id", "output_index", "content_index", "summary_index")
_BEGINS = ("response.created", "response.queued")
_COUNTS = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details")


def is_regular(response: object) -> bool:
    """Whether a response, finished or not, has all members, and counts by their names."""
    if not isinstance(response, dict) or not response.keys() >= MEMBERS:
        return False
    named = isinstance(response["id"], str) and isinstance(response["created_at"], int | float)
    return named and is_counted(response.get("usage"))


def is_counted(used: object) -> bool:
    """Whether what was used is counted by the names of Responses, or not at all."""
    return used is None or (isinstance(used, dict) and all([used.get(name) is not None for name in _COUNTS]))


class RegularResponse(RegularEvents):
    """Looks at the events of one stream until its first word: numbered one by one, of a response and items that have begun."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._items: list[object] = []
        self._parts: set[object] = set()
        self._looks = True
        self._more = 0
        """Events that were told beside those that came, less those that were not."""
        self._so_far: dict[tuple[object, ...], Pieces] = {}

    def of(self, event: Json) -> Sequence[Json]:
        """The event itself, the last one by its right name, behind the beginning of a part that a runtime has left out."""
        kind: str = event["type"]
        before: Sequence[Json] = ()
        if self._looks:
            self.irregular = self.irregular or not self._is_right(event, kind)
            self._looks = not kind.endswith((".delta", ".done", ".completed"))
        elif kind == "response.content_part.added":
            self._parts.add(str(event.get("item_id")))
        elif kind == _TEXT and str(event.get("item_id")) not in self._parts:
            before = self._part_before(event)
        if kind.endswith(".delta") and type(event.get("delta")) is str:
            text = self._pieces_of(event, kind).add(event["delta"])
            if not text:
                self._more -= 1
                return before
            event = event if text == event["delta"] else {**event, "delta": text}
        elif kind.endswith(".done"):
            before = [*before, *self._rest_before(event, kind)]
        if self._more and type(event.get("sequence_number")) is int:
            event = {**event, "sequence_number": event["sequence_number"] + self._more}
        return [*before, {**event, "type": "response.completed"} if kind == "response.done" else event]

    def _pieces_of(self, event: Json, kind: str) -> Pieces:
        """What was said of the text that an event adds to."""
        place = _place(event, kind)
        if place not in self._so_far:
            self._so_far[place] = Pieces(arguments=kind == _ARGUMENTS)
        return self._so_far[place]

    def _rest_before(self, event: Json, kind: str) -> Sequence[Json]:
        """What was held back of a text that is done."""
        adds = kind.removesuffix("done") + "delta"
        known = self._so_far.pop(_place(event, adds), None)
        if known is None or not (rest := known.rest()):
            return ()
        where = {name: event[name] for name in _WHERE if name in event}
        stated = event.get("sequence_number")
        numbered = {"sequence_number": stated + self._more} if type(stated) is int else {}
        self._more += 1
        return ({"type": adds, **where, "delta": rest, **numbered},)

    def _part_before(self, event: Json) -> Sequence[Json]:
        """The beginning of the part that a text is of: OpenAI's library looks for it when the text comes."""
        stated = event.get("sequence_number")
        if type(stated) is not int or not isinstance(event.get("item_id"), str):
            return ()
        self._parts.add(event["item_id"])
        where = {name: event.get(name) or 0 for name in ("output_index", "content_index")}
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        begun = {"type": "response.content_part.added", "item_id": event["item_id"], **where, "part": part}
        self._more += 1
        return ({**begun, "sequence_number": stated + self._more - 1},)

    def _is_right(self, event: Json, kind: str) -> bool:
        before, self._number = self._number, event.get("sequence_number")
        if type(self._number) is not int or (before is not None and self._number != before + 1):
            return False
        if before is None and kind not in _BEGINS:
            return False
        if isinstance(event.get("response"), dict):
            return is_regular(event["response"])
        if kind == "response.output_item.added":
            item = event.get("item")
            self._items.append(item.get("id") if isinstance(item, dict) else None)
            return isinstance(self._items[-1], str) and event.get("output_index") == len(self._items) - 1
        if kind == "response.content_part.added":
            self._parts.add(str(event.get("item_id")))
        if not kind.endswith(".delta"):
            return True
        told = event.get("item_id") in self._items and type(event.get("output_index")) is int
        return told and (kind != _TEXT or event["item_id"] in self._parts)


def _place(event: Json, kind: str) -> tuple[object, ...]:
    """The text that events of a type add to."""
    return kind, *(str(event.get(name)) for name in _WHERE)
