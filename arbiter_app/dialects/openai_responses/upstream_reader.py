"""Answers of runtimes that speak OpenAI's Responses, whole or streamed, read as a chat's."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.chunks import EventReader, place_of
from arbiter_app.dialects.openai_responses.regular import RegularResponse, is_regular
from arbiter_app.dialects.reasoning import MEMBER, RESPONSES
from arbiter_app.pipeline.completions import count_of
from arbiter_app.pipeline.finish_reasons import finish_of
from arbiter_app.pipeline.types import Json

_TRANSLATED = ("message", "function_call", "reasoning")
"""The items that other dialects have, too."""
_LOST = "the response failed, and the runtime did not say why"


class ResponsesReader(EventReader):
    """Reads one answer (`dialects.wire.Reader`)."""

    regular = RegularResponse

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[object, _OpenItem] = {}
        """The item that a runtime means by a place in the output, for now ..."""
        self._by_id: dict[str, _OpenItem] = {}
        """... and by an id."""
        self._order: list[_OpenItem] = []
        self._last: object = None

    def whole(self, answer: Json, body: bytes) -> Json:
        """A response as a chat completion. Raises ValueError for what is none."""
        output = answer.get("output")
        if not isinstance(output, list):
            raise ValueError("it has no output")
        if answer.get("status") in ("failed", "cancelled"):
            raise ValueError(_LOST)
        if not output and answer.get("status") in ("queued", "in_progress"):
            raise ValueError("the response is not finished")
        said = _said_alone(answer)
        output = output or said
        told = all([isinstance(item, dict) and kind_of(item) in _TRANSLATED for item in output])
        self.stray = bool(said) or (told and not (is_regular(answer) and all(map(_is_right, output))))
        message, usage = _message(output), usage_of(answer.get("usage"))
        head = {name: answer[name] for name in ("id", "model", "service_tier") if isinstance(answer.get(name), str)}
        finish = _finish(answer, bool(message.get("tool_calls")))
        made: Json = {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        created = answer.get("created_at")
        if isinstance(created, int | float) and (seconds := count_of(int(created))) is not None:
            made["created"] = seconds
        return {**made, "usage": usage} if usage is not None else made

    def _begin(self, event: Json) -> None:
        response = event.get("response")
        if isinstance(response, dict):
            self._chunks.begin(response.get("id"), response.get("model"), response.get("created_at"))

    def _item(self, event: Json, *, begins: bool = False) -> _OpenItem:
        """The item that an event is of: by its id, by its place, or the last one. What `begins` where one has begun is another one."""
        item = event.get("item")
        stated = item.get("id") if isinstance(item, dict) else event.get("item_id")
        named = stated if isinstance(stated, str) and stated else None
        known = self._by_id.get(named) if named is not None else None
        if known is None:
            at = self._last = place_of(event.get("output_index"), place_of(named, self._last))
            known = self._items.get(at)
            if known is None or (begins and known.begun):
                known = self._items[at] = _OpenItem()
                self._order.append(known)
            if named is not None:
                self._by_id[named] = known
        known.begun = known.begun or begins
        return known

    def _added(self, event: Json) -> None:
        known, item = self._item(event, begins=True), event.get("item")
        if isinstance(item, dict) and item.get("type") == "function_call" and known.number is None:
            known.number = self._chunks.call(item.get("call_id") or item.get("id"), item.get("name"))

    def _text(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.text(text)

    def _refusal(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.refusal(text)

    def _summary_part(self, event: Json) -> None:
        item = self._item(event)
        if item.told:
            self._chunks.thought("\n\n")

    def _thought(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.thought(text)

    def _arguments(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str) and item.number is not None:
            item.told += len(text)
            self._chunks.arguments(item.number, text)

    def _said(self, event: Json) -> None:
        """All of a text or of arguments at once: some runtimes send no pieces of them."""
        item, text = self._item(event), event.get("text", event.get("arguments"))
        if not item.told:
            told = self._arguments if "arguments" in event else self._text
            told({**event, "delta": _text_of(text)})

    def _done(self, event: Json) -> None:
        """An item is whole: what has not come of it in pieces comes now."""
        known, item = self._item(event), event.get("item")
        if isinstance(item, dict) and not known.done:
            self._finish(known, item)

    def _finish(self, known: _OpenItem, item: Json) -> None:
        known.done = True
        kind = kind_of(item)
        if kind == "function_call":
            if known.number is None:
                known.number = self._chunks.call(item.get("call_id") or item.get("id"), item.get("name"))
            if not known.told:
                self._chunks.arguments(known.number, _text_of(item.get("arguments")) or "{}")
        elif kind == "message" and not known.told:
            for part in parts_of(item.get("content")):
                self._chunks.text(part.get("text"))
                self._chunks.refusal(part.get("refusal"))
        elif kind == "reasoning":
            if not known.told:
                self._chunks.thought(_thought(item))
            self._chunks.signed(_details(item))

    def _ended(self, event: Json) -> None:
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) else ()):
            if not isinstance(item, dict):
                continue
            named = item.get("id")
            known = self._by_id.get(named) if isinstance(named, str) else None
            if known is None and at < len(self._order):
                known = self._order[at]
            if known is None or not known.done:
                self._finish(known or _OpenItem(), item)
        for item in () if self._chunks.said else _said_alone(response):
            self._finish(_OpenItem(), item)
        self._chunks.end(_finish(response, self._chunks.calls > 0), usage_of(response.get("usage")))
        self._chunks.done()

    def _failed(self, event: Json) -> None:
        response = event.get("response")
        error = response.get("error") if isinstance(response, dict) else None
        self._chunks.error(error or event.get("error") or {"message": _LOST})

    def _error(self, event: Json) -> None:
        inner = event.get("error")
        flat = {name: event[name] for name in ("code", "message", "param") if event.get(name) is not None}
        self._chunks.error(inner if isinstance(inner, dict) and inner else flat)

    handlers = MappingProxyType(
        {
            "response.created": _begin,
            "response.in_progress": _begin,
            "response.output_item.added": _added,
            "response.output_item.done": _done,
            "response.output_text.delta": _text,
            "response.refusal.delta": _refusal,
            "response.function_call_arguments.delta": _arguments,
            "response.function_call_arguments.done": _said,
            "response.output_text.done": _said,
            "response.reasoning_summary_part.added": _summary_part,
            "response.reasoning_summary_text.delta": _thought,
            "response.reasoning_text.delta": _thought,
            "response.completed": _ended,
            "response.done": _ended,
            "response.incomplete": _ended,
            "response.failed": _failed,
            "response.cancelled": _failed,
            "error": _error,
        }
    )


class _OpenItem:
    """An item under way: its number, of a call, and how much of it has come in pieces."""

    __slots__ = ("begun", "done", "number", "told")

    def __init__(self) -> None:
        self.number: int | None = None
        self.told = 0
        self.begun = self.done = False


def usage_of(stated: object) -> Json | None:
    """The tokens of an answer as a chat's."""
    if not isinstance(stated, dict):
        return None
    if "prompt_tokens" in stated and "input_tokens" not in stated:
        return stated  # by a chat's names
    read, told = count_of(stated.get("input_tokens")), count_of(stated.get("output_tokens"))
    if read is None or told is None:
        return None
    total = count_of(stated.get("total_tokens"))
    made: Json = {"prompt_tokens": read, "completion_tokens": told, "total_tokens": total or read + told}
    for name, named in (("input_tokens_details", "prompt"), ("output_tokens_details", "completion")):
        if isinstance(stated.get(name), dict):
            made[f"{named}_tokens_details"] = stated[name]
    return made


def _message(output: list[Any]) -> Json:
    """The assistant's message that items are."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    details: list[Json] = []
    calls: list[Json] = []
    waiting = 0
    for item in output:
        kind = kind_of(item) if isinstance(item, dict) else None
        if kind == "message":
            for part in parts_of(item.get("content")):
                texts.append(str(part.get("text") or ""))
                refusals.append(str(part.get("refusal") or ""))
            waiting = len(details)
        elif kind == "reasoning":
            thoughts.append(_thought(item))
            details += _details(item)
        elif kind == "function_call":
            named = str(item.get("call_id") or item.get("id") or f"call_{len(calls)}")
            if texts or calls:
                details[waiting:] = [{**one, "before": named} for one in details[waiting:]]
            waiting = len(details)
            arguments = _text_of(item.get("arguments")) or "{}"
            function = {"name": str(item.get("name") or ""), "arguments": arguments}
            calls.append({"id": named, "type": "function", "function": function})
    made: Json = {"role": "assistant", "content": "".join(texts) or (None if calls or any(refusals) else "")}
    if any(refusals):
        made["refusal"] = "".join(refusals)
    if thinking := "\n\n".join(filter(None, thoughts)):
        made["reasoning_content"] = thinking
    if details:
        made[MEMBER] = details
    return {**made, "tool_calls": calls} if calls else made


def _said_alone(response: Json) -> list[Json]:
    """The message of a response that says its text beside an empty output, where OpenAI's libraries put it for their users."""
    text = response.get("output_text")
    if response.get("output") or not isinstance(text, str) or not text:
        return []
    return [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]


def _is_right(item: Json) -> bool:
    """Whether a caller of the dialect takes an item of the output as it is."""
    if item.get("type") == "function_call":
        return all([isinstance(item.get(name), str) and item[name] for name in ("call_id", "name", "arguments")])
    content = item.get("content")
    parts = content if isinstance(content, list) else [None]
    told = [part.get("type") if isinstance(part, dict) else None for part in parts]
    right = [
        kind == "refusal" or (kind == "output_text" and "annotations" in part)
        for kind, part in zip(told, parts, strict=True)
    ]
    return item.get("type") == "reasoning" or (all(right) and all(map(item.get, ("type", "id", "role", "status"))))


def kind_of(item: Json) -> object:
    """The type of an item: of one that states none, and has a role or content, that of a message."""
    kind = item.get("type")
    return "message" if kind is None and ("role" in item or "content" in item) else kind


def parts_of(content: object) -> list[Json]:
    """What a message says, by parts with a text or a refusal: a lone part is one, and so is a text."""
    listed = content if isinstance(content, list) else [content]
    parts = [{"type": "output_text", "text": part} if isinstance(part, str) else part for part in listed]
    kinds = ("output_text", "text", "refusal", None)
    return [part for part in parts if isinstance(part, dict) and part.get("type") in kinds]


def _text_of(stated: object) -> str:
    """A text, or arguments, which some runtimes state as an object."""
    if isinstance(stated, dict):
        return exact_json.dumps(stated).decode()
    return stated if isinstance(stated, str) else ""


def _thought(item: Json) -> str:
    """What an item of reasoning shows."""
    parts = _listed(item.get("summary")) or _listed(item.get("content"))
    return "\n\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _listed(stated: object) -> list[Any]:
    return stated if isinstance(stated, list) else []


def _details(item: Json) -> list[Json]:
    """What an item of reasoning has encrypted, with its summary."""
    data = item.get("encrypted_content")
    if not isinstance(data, str) or not data:
        return []
    named = {"id": item["id"]} if isinstance(item.get("id"), str) else {}
    texts = [part.get("text") for part in _listed(item.get("summary")) if isinstance(part, dict)]
    own: Json = {**named, "format": RESPONSES}
    summaries = [{"type": "reasoning.summary", "summary": text, **own} for text in texts if isinstance(text, str)]
    return [*summaries, {"type": "reasoning.encrypted", "data": data, **own}]


def _finish(response: Json, called: bool) -> str:
    why = response.get("incomplete_details")
    why = why.get("reason") if isinstance(why, dict) else None
    cut = finish_of(why) if isinstance(why, str) else "length" if response.get("status") == "incomplete" else None
    if cut in ("length", "content_filter"):
        return cut
    return "tool_calls" if called else "stop"
