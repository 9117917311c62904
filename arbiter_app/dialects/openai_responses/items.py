"""The items of `input` as the messages of a chat.

What one turn of a model said and called is one message there, the results of its calls follow it directly, whatever stood between;
pictures and files in them follow as the user's, for a result of a chat is text. What only its maker can read is dropped and named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arbiter_app.dialects.history import CallIds
from arbiter_app.dialects.openai_responses.refusals import missing, mistyped, text_of, unsupported, wrong
from arbiter_app.dialects.openai_responses.tools import arguments_of, function_name
from arbiter_app.dialects.openai_responses.turns import Turns
from arbiter_app.dialects.reasoning import unsealed
from arbiter_app.dialects.translation import MAX_DROPPED_CHARS, Dropped
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Json

SYSTEM = ("system", "developer")
FOREIGN = ("reasoning", "web_search_call", "file_search_call", "tool_search_call", "tool_search_output")
"""Types of items that mean something to their maker alone, or whose outcome stands in the text that follows them."""
CALLS = ("function_call", "custom_tool_call")
OUTPUTS = ("function_call_output", "custom_tool_call_output")
_MEMBERS = (
    *(
        "type",
        "role",
        "content",
        "id",
        "status",
        "phase",
        "call_id",
        "name",
        "namespace",
        "arguments",
        "input",
        "output",
    ),
    *("summary", "encrypted_content"),
)
"""Members of items that are carried, or mean nothing elsewhere ..."""
_OF_PARTS = (
    *("type", "text", "refusal", "annotations", "logprobs", "image_url", "detail", "file_id", "file_url", "file_data"),
    *("filename", "input_audio"),
)
"""... and of their parts."""
TEXTS = ("input_text", "output_text", "text")


def chat_messages(given: Any, dropped: Dropped) -> list[Json]:
    """The messages that `input` means. Raises BadRequest."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if given is None or given == []:
        raise missing("input")
    if not isinstance(given, list):
        raise mistyped("input", "a string or a list of items", given)
    history = _History(dropped)
    for at, item in enumerate(given):
        where = f"input[{at}]"
        if not isinstance(item, dict):
            raise mistyped(where, "an object", item)
        history.take(item, where)
    messages = history.messages()
    if not messages:
        raise wrong("input", "holds nothing that a model could answer")
    return messages


def with_own_ids(items: list[Any]) -> list[Any]:
    """The same items with ids of calls as strict runtimes take them, no two alike (`CallIds`)."""
    ids, renamed = CallIds(), dict[str, str]()
    made = []
    for item in items:
        kind_of = item.get("type")
        if kind_of in CALLS:
            renamed[item["call_id"]] = ids.own(item["call_id"])
        own = kind_of in CALLS or kind_of in OUTPUTS
        made.append({**item, "call_id": renamed[item["call_id"]]} if own else item)
    return made


class _History:
    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped
        self._turns = Turns()
        self._items: dict[str, Callable[[Json, str], None]] = {
            "message": self._message,
            "function_call": self._function_call,
            "custom_tool_call": self._custom_call,
            "function_call_output": self._output,
            "custom_tool_call_output": self._output,
        }

    def take(self, item: Json, where: str) -> None:
        """One item more."""
        named = item.get("type", "message" if "role" in item else None)
        if named == "reasoning" and (signed := _unsealed(item)) is not None:
            self._turns.sign(signed)
        elif isinstance(named, str) and named in FOREIGN:
            self._dropped.add(f"input.{named}")
        elif isinstance(named, str) and named in self._items:
            self._dropped.rest(item, _MEMBERS, "input.")
            self._items[named](item, where)
        elif named == "item_reference":
            raise unsupported(
                where, "Arbiter keeps no contents that an item_reference could mean; send the item itself"
            )
        else:
            self._dropped.cannot(
                unsupported(
                    f"{where}.type",
                    f"{quoted(named, 60)} cannot be said in a chat; known are {', '.join((*self._items, *FOREIGN))}",
                )
            )

    def messages(self) -> list[Json]:
        """All messages. Raises BadRequest where a call has no result."""
        if self._turns.open:
            waits = next(iter(self._turns.open))[:200]
            raise BadRequest(f"No tool output found for function call {waits}.", param="input")
        return self._turns.messages()

    def _message(self, item: Json, where: str) -> None:
        role, content = text_of(item.get("role"), f"{where}.role"), item.get("content")
        if role == "assistant":
            self._assistant(content, f"{where}.content")
        elif role in SYSTEM:
            texts, others = _parts(content, f"{where}.content", self._dropped)
            if others:
                raise wrong(f"{where}.content", f"a message of the role {role} holds text alone")
            self._turns.say("system", "\n".join(texts))
        elif role == "user":
            self._turns.say("user", _user(content, f"{where}.content", self._dropped))
        else:
            raise wrong(f"{where}.role", f"must be user, assistant, system or developer, not {quoted(role, 40)}")

    def _assistant(self, content: Any, where: str) -> None:
        texts, others = _parts(content, where, self._dropped)
        refusals = [part["refusal"] for part in others if part["type"] == "refusal"]
        if len(refusals) != len(others):
            raise wrong(where, "a message of the assistant holds text and refusals alone")
        self._turns.answer("".join(texts), "".join(refusals) if refusals else None)

    def _function_call(self, item: Json, where: str) -> None:
        arguments = text_of(item.get("arguments"), f"{where}.arguments")
        self._call(
            item, where, function_name(text_of(item.get("name"), f"{where}.name"), item.get("namespace")), arguments
        )

    def _custom_call(self, item: Json, where: str) -> None:
        given = text_of(item.get("input"), f"{where}.input")
        name = function_name(text_of(item.get("name"), f"{where}.name"), item.get("namespace"))
        self._call(item, where, name, arguments_of(given))

    def _call(self, item: Json, where: str, name: str, arguments: str) -> None:
        if not name:
            raise wrong(f"{where}.name", "must not be empty")
        call_id = _call_id(item, where)
        if call_id in self._turns.open:
            raise BadRequest(f"{where}.call_id: {quoted(call_id)} is that of a call before it", param="input")
        self._turns.call(call_id, name, arguments)

    def _output(self, item: Json, where: str) -> None:
        call_id = _call_id(item, where)
        if call_id not in self._turns.open:
            said = f"No tool call found for function call output with call_id {call_id[:200]}."
            raise BadRequest(said, param="input")
        texts, others = _parts(item.get("output"), f"{where}.output", self._dropped)
        if any(part["type"] == "refusal" for part in others):
            raise wrong(f"{where}.output", "a result holds no refusal")
        self._turns.result(call_id, "\n".join(texts), others)


def _unsealed(item: Json) -> list[Json] | None:
    """What Arbiter sealed in an item of reasoning; None for one that a runtime made."""
    summary = item.get("summary")
    parts = [part for part in summary if isinstance(part, dict)] if isinstance(summary, list) else []
    return unsealed(
        item.get("encrypted_content"), "".join(text for part in parts if isinstance(text := part.get("text"), str))
    )


def _call_id(item: Json, where: str) -> str:
    call_id = text_of(item.get("call_id"), f"{where}.call_id")
    if not call_id:
        raise wrong(f"{where}.call_id", "must not be empty")
    return call_id


def _user(content: Any, where: str, dropped: Dropped) -> str | list[Json]:
    """What a user says: as one text where it is one, else as parts in their order; empty texts beside others are left out."""
    parts = _in_order(content, where, dropped)
    if any(part["type"] == "refusal" for part in parts):
        raise wrong(where, "a message of the user holds no refusal")
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return [part for part in parts if part.get("text") != ""] or ""


def _parts(content: Any, where: str, dropped: Dropped) -> tuple[list[str], list[Json]]:
    """The texts of a content, and its other parts."""
    parts = _in_order(content, where, dropped)
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return texts, [part for part in parts if part["type"] != "text"]


def _in_order(content: Any, where: str, dropped: Dropped) -> list[Json]:
    """The parts of a content in a chat's form."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise mistyped(where, "a string or a list of parts", content)
    made = []
    for at, part in enumerate(content):
        here = f"{where}[{at}]"
        if not isinstance(part, dict):
            raise mistyped(here, "an object", part)
        made.append(_part(part, here, dropped))
    return made


def _part(part: Json, where: str, dropped: Dropped) -> Json:
    named = part.get("type")
    dropped.rest(part, _OF_PARTS, "input.content.")
    if named in TEXTS:
        return {"type": "text", "text": text_of(part.get("text"), f"{where}.text")}
    if named == "refusal":
        return {"type": "refusal", "refusal": text_of(part.get("refusal"), f"{where}.refusal")}
    if named == "input_image":
        return _image(part, where, dropped)
    if named == "input_file":
        return _file(part, where, dropped)
    if named == "input_audio" and isinstance(part.get("input_audio"), dict):
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    known = "known are input_text, input_image, input_file"
    if not isinstance(named, str):
        raise wrong(f"{where}.type", f"{quoted(named, 60)} is no part of a message; {known}")
    dropped.cannot(unsupported(f"{where}.type", f"{quoted(named, 60)} cannot be said in a chat; {known}"))
    return {"type": "text", "text": f"({named[:MAX_DROPPED_CHARS]})"}


def _image(part: Json, where: str, dropped: Dropped) -> Json:
    if part.get("image_url") is None and part.get("file_id") is not None:
        dropped.cannot(
            unsupported(f"{where}.file_id", "Arbiter keeps no files; send the picture as image_url, or in it as data")
        )
        return {"type": "image_url", "image_url": {"url": ""}}
    url = part.get("image_url")
    url = url.get("url") if isinstance(url, dict) else url
    shown: Json = {"url": text_of(url, f"{where}.image_url")}
    if part.get("detail") is not None:
        shown["detail"] = text_of(part["detail"], f"{where}.detail")
    return {"type": "image_url", "image_url": shown}


def _file(part: Json, where: str, dropped: Dropped) -> Json:
    named = next((name for name in ("file_data", "file_url", "file_id") if part.get(name) is not None), "file_data")
    if named == "file_id":
        dropped.cannot(unsupported(f"{where}.file_id", "Arbiter keeps no files; send it as file_data"))
        return {"type": "file", "file": {}}
    sent = {"file_data": text_of(part.get(named), f"{where}.{named}")}
    if part.get("filename") is not None:
        sent["filename"] = text_of(part["filename"], f"{where}.filename")
    return {"type": "file", "file": sent}
