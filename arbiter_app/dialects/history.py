"""A chat's history in the order that stricter dialects ask for, and other things that both of them need of a request."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any, NamedTuple

from arbiter_app import exact_json
from arbiter_app.dialects.reasoning import stated_in
from arbiter_app.dialects.translation import Dropped
from arbiter_app.dialects.wire import unable
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.types import Json

MAX_ID_CHARS = 64
_Waiting = tuple[str, list["Turn"]]
"""A call without a result so far: its id, and where the result goes."""
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
_FIT = re.compile(rf"(?:[a-zA-Z0-9_-]{{1,{MAX_ID_CHARS}}}(?: |\Z))*")
"""Ids that need not be made fit, with spaces between them."""
_SILENT: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "store": (False,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "metadata": ({},),
}
"""Values that ask for what is the case anyway."""
_MEANT = {
    "n": "this runtime gives one answer to a request",
    "logprobs": "this runtime states no probabilities here",
    "audio": "this runtime does not speak",
    "modalities": "this runtime answers in text alone",
    "web_search_options": "this runtime searches in no other way than by tools of its own",
}
"""Members without which an answer would not be what was asked for."""
_SCHEMAS = ("tools", "functions", "response_format")
"""Members with schemas, in which any number may stand."""
READ = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
)
"""Members that both dialects have a word for, or need none."""


def chat_of(payload: bytes) -> Json:
    """A chat request, to be translated and written by `exact_json.line`: numbers in what describes tools and answers are as they were
    written."""
    given: Json = exact_json.loads(payload)
    if any(name in given for name in _SCHEMAS):
        written = exact_json.members(payload)
        said = {name: exact_json.exact(written[name].encode()) for name in _SCHEMAS if name in given}
        given |= {name: exact_json.whole(schema) for name, schema in said.items()}
    return given


def rest(given: Json, known: tuple[str, ...], dropped: Dropped) -> None:
    """Names what of a request has no word. Raises RuntimeFault for what it would mean something else without."""
    for name, value in given.items():
        if name in READ or name in known or value is None or value in _SILENT.get(name, ()):
            continue
        if name in _MEANT:
            raise unable(name, _MEANT[name])
        dropped.add(name[:MAX_ID_CHARS])


def most_tokens(given: Json) -> int | None:
    """The caller's bound on the answer; below 0 it is none, as runtimes of their own take it. Raises RuntimeFault for what is no number of
    tokens: to go on without a bound would be dear.
    """
    for name in ("max_completion_tokens", "max_tokens"):
        value = given.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or value == 0 or value != _whole(value):
            raise unable(name, "this runtime takes a whole number of tokens above 0")
        return int(value) if value > 0 else None
    return None


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else None


def odd_ids(messages: list[Json]) -> bool:
    """Whether calls go by ids that strict runtimes refuse: of other forms, or two of them by one."""
    ids = [call["id"] for message in messages if "tool_calls" in message for call in message["tool_calls"]]
    return len(set(ids)) < len(ids) or _FIT.fullmatch(" ".join(ids)) is None


def fit_id(stated: str) -> str:
    """The id of a call as strict runtimes take it: itself, where it fits, else one that is made of it, always the same."""
    if len(stated) <= MAX_ID_CHARS and stated and _UNFIT.search(stated) is None:
        return stated
    mark = hashlib.blake2b(stated.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{_UNFIT.sub('_', stated)[: MAX_ID_CHARS - len(mark) - 1]}_{mark}"


class Call(NamedTuple):
    """A call in the history: `arguments` as the model wrote them."""

    id: str
    name: str
    arguments: str


class CallIds:
    """Gives each call of a history an id that strict runtimes take, and under which no other goes: its own, or one made of that."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}

    def own(self, stated: str) -> str:
        """For the next call, which goes by this one."""
        found = fit = fit_id(stated)
        while found in self._given:
            self._given[fit] += 1
            found = fit_id(f"{fit}_{self._given[fit]}")
        self._given[found] = 1
        return found


class Turn(NamedTuple):
    """A message of the history: an assistant's with its calls, a result with `answers`, the id of its call, or any other."""

    role: str
    message: Json
    calls: list[Call]
    answers: str = ""

    @property
    def details(self) -> list[Json]:
        """What the model had signed."""
        return stated_in(self.message)


def turns_of(given: Json) -> list[Turn]:
    """The messages of a chat request with the results of tools directly behind their calls, in the order of these.

    What stood between them comes after; results without calls, and calls without results, stay where they are. No two calls go by one
    id, which strict runtimes refuse, and models that count anew in each turn bring about.
    """
    groups: list[tuple[Turn, list[Turn]]] = []
    waiting: dict[str, list[_Waiting]] = {}
    ids = CallIds()
    for at, message in enumerate(given.get("messages") or ()):
        turn = _turn(at, message, waiting)
        if turn.answers and waiting.get(turn.answers):
            answered, behind = waiting[turn.answers].pop(0)
            behind.append(turn if turn.answers == answered else turn._replace(answers=answered))
            continue
        results: list[Turn] = []
        waiting |= {call.id: [] for call in turn.calls}
        for at_call, call in enumerate(turn.calls):
            own = ids.own(call.id)
            waiting[call.id].append((own, results))
            if own != call.id:
                turn.calls[at_call] = call._replace(id=own)
        groups.append((turn, results))
    made: list[Turn] = []
    for turn, results in groups:
        order = {call.id: place for place, call in enumerate(turn.calls)}
        made += [turn, *sorted(results, key=lambda one: order[one.answers])]
    return made


def _turn(at: int, message: Json, waiting: dict[str, list[_Waiting]]) -> Turn:
    role = message.get("role")
    if role == "assistant":
        return Turn("assistant", message, _calls(at, message))
    if role == "tool":
        stated = message.get("tool_call_id")
        if not isinstance(stated, str) or not stated:  # it answers the next call
            return Turn("tool", message, [], next((one for one in waiting if waiting[one]), f"call_{at}"))
        return Turn("tool", message, [], fit_id(stated))
    if role == "function":  # as it was before ids
        named = (one for one in reversed(waiting) if one.startswith("function_call_") and waiting[one])
        return Turn("tool", message, [], next(named, f"function_call_{at}"))
    return Turn("system" if role in ("system", "developer") else "user", message, [])


def _calls(at: int, message: Json) -> list[Call]:
    calls, only = message.get("tool_calls"), message.get("function_call")
    made = []
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise unable("messages", "this runtime knows calls of functions alone")
        stated = call.get("id")
        made.append(_call(stated if isinstance(stated, str) and stated else f"call_{at}_{place}", function))
    if isinstance(only, dict) and not made:
        made.append(_call(f"function_call_{at}", only))
    return made


def _call(stated: str, function: Json) -> Call:
    name, arguments = function.get("name"), function.get("arguments")
    return Call(
        fit_id(stated), name if isinstance(name, str) else "", arguments if isinstance(arguments, str) else "{}"
    )


def functions_of(tools: Any) -> list[tuple[Json, Json]]:
    """The tools of a request: each, and its function. Raises RuntimeFault for what is none."""
    made = []
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise unable("tools", "this runtime knows functions alone")
        made.append((tool, function))
    return made


def allowed(choice: Any) -> tuple[Any, set[str] | None]:
    """`tool_choice`, and the names that it confines the tools to, None where it does not."""
    inner = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if not isinstance(inner, dict):
        return choice, None
    names = {
        one["function"]["name"]
        for one in inner.get("tools") or ()
        if isinstance(one, dict)
        and isinstance(one.get("function"), dict)
        and isinstance(one["function"].get("name"), str)
    }
    return inner.get("mode", "auto"), names


def chosen(choice: Any) -> str | None:
    """The function that has to be called, where one is named."""
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def schema_of(given: Json) -> Json | None:
    """The `json_schema` of `response_format`, None where another format is asked for."""
    asked = given.get("response_format")
    inner = asked.get("json_schema") if isinstance(asked, dict) and asked.get("type") == "json_schema" else None
    return inner if isinstance(inner, dict) and isinstance(inner.get("schema"), dict) else None


def refusal_text(message: Json) -> str:
    """What an assistant said in place of an answer."""
    refused = message.get("refusal")
    return refused if isinstance(refused, str) else ""


def parts_of(content: Any) -> list[Json]:
    """The parts of a content; empty texts are none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return [part for part in parts if part.get("type") != "text" or part.get("text")]


def text_of(turn: Turn) -> str:
    """All text of a message."""
    return content_text(turn.message.get("content"))
