"""The shape in which whole answers travel inside: OpenAI's chat completion, as strict clients read it.

What a runtime leaves out of it is put in, and what it says under our name is dropped.
"""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from arbiter_app import exact_json
from arbiter_app.pipeline.finish_reasons import CALLS, OLD_CALL, finish_of
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.pipeline.signed import MEMBER
from arbiter_app.pipeline.snapshots import unquoted
from arbiter_app.pipeline.types import Json

OWN = "arbiter"
WHOLE = "chat.completion"
NS_PER_S = 10**9
MOST_TOKENS = 2**53
"""Where numbers stop to be whole ones in JavaScript: no count comes near."""
LONG_BYTES = 1_000_000
ARGUMENTS = "arguments"
_OTHERWISE = ("parameters", "input", "args")
"""What some runtimes call the arguments of a call."""
_PROMPT, _ANSWER, _ALL = _TOKENS = ("prompt_tokens", "completion_tokens", "total_tokens")
_TOLD_AS = {
    _PROMPT: ("input_tokens", "promptTokens", "inputTokens", "promptTokenCount", "prompt_eval_count"),
    _ANSWER: ("output_tokens", "completionTokens", "outputTokens", "candidatesTokenCount", "eval_count"),
    _ALL: ("totalTokens", "totalTokenCount"),
}
"""What counts are called elsewhere: Messages and Responses, Bedrock and the Vercel AI SDK, Gemini, Ollama."""
_DETAILS_TOLD_AS = {
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
_CACHED_APART = ("cache_read_input_tokens", "cache_creation_input_tokens")
_REFERENCES = ("reference", "tool_reference")
"""Parts in which Mistral says what a text is drawn from: numbers, which stand between pieces of text and say nothing without them."""
_OWN_MEMBER = re.compile(rb'"arbiter"\s*:\s*')
_COMMA = re.compile(rb"\s*,")
_ANY = json.JSONDecoder(strict=False)
_ESCAPED = re.compile(rb"\\u00(?:61|72|62|69|74|65)")
"""A letter of our name, written so that it is not seen."""


def without_own(value: Any) -> Any:
    """A value without any member named `arbiter`, however deep: what a runtime says under our name is not ours."""
    if isinstance(value, dict):
        return {key: without_own(inner) for key, inner in value.items() if key != OWN}
    return [without_own(inner) for inner in value] if isinstance(value, list) else value


def without_own_bytes(raw: bytes) -> bytes:
    """The bytes of a whole answer, unless they have a member of our name somewhere; then the same without it."""
    if not may_name_own(raw):
        return raw
    if len(raw) > LONG_BYTES:
        with contextlib.suppress(ValueError):
            return cut_own(raw)
    said = exact_json.exact(raw)
    ours = without_own(said)
    return raw if ours == said else exact_json.dumps(ours)


def cut_own(raw: bytes) -> bytes:
    """A long answer without the members of our name, which are cut out where they stand: to read and write all of it takes seconds.

    A quote without a backslash before a colon ends a name, never a text. Raises ValueError where a member is no JSON, or a long one.
    """
    kept, end = b"", 0
    for member in _OWN_MEMBER.finditer(raw):
        if member.start() < end:
            continue  # inside of one
        value = raw[member.end() : member.end() + LONG_BYTES].decode("utf-8", "replace")
        try:
            _, length = _ANY.raw_decode(value)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        kept += raw[end : member.start()]
        end = member.end() + len(value[:length].encode())
        follows = _COMMA.match(raw, end)
        if follows is not None:
            end = follows.end()
        else:  # it was the last one of its object
            kept = kept.rstrip().removesuffix(b",")
    return kept + raw[end:]


def may_name_own(raw: bytes) -> bool:
    """Whether our name may be that of a member somewhere."""
    return b'"arbiter"' in raw or _ESCAPED.search(raw) is not None


def choices_of(body: Json) -> list[Json] | None:
    """The choices of what may be an answer or a piece of one; None where it says nothing of choices. A lone object is one."""
    choices = body.get("choices")
    if type(choices) is list and len(choices) == 1 and type(choices[0]) is dict:  # so is nearly every piece
        return choices
    if isinstance(choices, dict):
        return [choices]
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else None


def first_choice(body: Json) -> Json | None:
    """The first choice of what may be an answer."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else choices
    return first if isinstance(first, dict) else None


def usage_in(body: Json) -> Json | None:
    """What an answer, or a piece of one, says it used: in `usage`, or where Groq (`x_groq`) and Moonshot (the choice) say it in streams."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        if "x_groq" in body and isinstance(body["x_groq"], dict):
            usage = body["x_groq"].get("usage")
        elif (first := first_choice(body)) is not None:
            usage = first.get("usage")
    if not isinstance(usage, dict):
        return None
    _put_right(usage)
    return usage


def count_of(stated: object) -> int | None:
    """A number of tokens as runtimes state it, also as text or as a float; None for what can be none."""
    if isinstance(stated, float) and stated.is_integer() or isinstance(stated, str) and is_digits(stated):
        stated = int(stated)
    return stated if type(stated) is int and 0 <= stated < MOST_TOKENS else None


def _put_right(usage: Json) -> bool:
    """Say what was used as every client of chats reads it, beside what is said; says whether anything was to be put right."""
    counted = _counted(usage)
    return (not usage.keys() >= set(_TOKENS) and _named(usage)) or counted


def _named(usage: Json) -> bool:
    """Give counts that go by other names, or follow from the others, those of a chat; says whether any were."""
    told: Json = {}
    for name, others in _TOLD_AS.items():
        stated = (count_of(usage.get(other)) for other in others if name not in usage)
        if (count := next((one for one in stated if one is not None), None)) is not None:
            told[name] = count
    if _PROMPT in told and "input_tokens" in usage and "input_tokens_details" not in usage:
        told[_PROMPT] += sum(count_of(usage.get(name)) or 0 for name in _CACHED_APART)  # so counts Anthropic
    for name, other in _DETAILS_TOLD_AS.items():
        if name not in usage and isinstance(usage.get(other), dict):
            told[name] = usage[other]
    asked, said, both = (told.get(name, count_of(usage.get(name))) for name in _TOKENS)
    if asked is not None and said is None and both is not None and both >= asked and _ANSWER not in usage:
        told[_ANSWER] = said = both - asked
    if asked is not None and said is not None and both is None and _ALL not in usage:
        told[_ALL] = asked + said
    usage.update(told)
    return bool(told)


def _counted(usage: Json) -> bool:
    """Make numbers of the tokens that are counted in text; says whether any were."""
    changed = False
    for name, stated in usage.items():
        if type(stated) is str and name.endswith("_tokens") and (count := count_of(stated)) is not None:
            usage[name], changed = count, True
        elif isinstance(stated, dict) and name.endswith("_details"):
            changed = _counted(stated) or changed
    return changed


def completed(body: Json, now_ns: int) -> bool:
    """Give a whole answer what strict clients ask for, where the runtime left it out; says whether it did.

    `now_ns` (by `time.time_ns`) is its time and makes its id, where it has none.
    """
    changed = isinstance(body.get("choices"), dict)
    if changed:
        body["choices"] = [body["choices"]]
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    if body.get("error"):
        del body["error"]
        changed = True
    usage = body.get("usage")
    if isinstance(usage, dict) and _put_right(usage):
        changed = True
    elif usage is not None and not isinstance(usage, dict):
        del body["usage"]
        changed = True
    if "usage" not in body and (usage := usage_in(body)) is not None:
        body["usage"] = usage
        changed = True
    head = identified(body, WHOLE, str(now_ns), now_ns // NS_PER_S)
    if not head.items() <= body.items():
        body.update(head)
        changed = True
    for position, choice in enumerate(choices):
        if isinstance(choice, dict) and _choice_completed(choice, position, head["id"]):
            changed = True
    return changed


def _choice_completed(choice: Json, position: int, answer_id: str) -> bool:
    message, changed = choice.get("message"), False
    if not isinstance(message, dict):
        delta, text = choice.pop("delta", None), choice.get("text")
        message = delta if isinstance(delta, dict) else {"content": text} if isinstance(text, str) else None
        if message is None:
            return False
        choice["message"], changed = message, True
    plain = type(message.get("content")) is str and message.get(CALLS) is None
    if not plain and (said := said_in(message)) is not None:
        message.update(said)
        changed = True
    if ("tool_calls" in message or "function_call" in message) and calls_completed(message, f"{answer_id}_{position}"):
        changed = True
    if message and message.get("role") != "assistant":
        message["role"] = "assistant"
        changed = True
    if message and "content" not in message:
        message["content"] = None
        changed = True
    if type(index := choice.get("index")) is not int and not is_whole(index):
        choice["index"] = position
        changed = True
    stated, called = choice.get("finish_reason"), called_in(message)
    if (called or stated != "stop") and stated != (finish := finish_of(stated, called) or called or "stop"):
        choice["finish_reason"] = finish
        changed = True
    return changed


def said_in(message: Json) -> Json | None:
    """What a message, or a piece of one, says in another form than every client reads, in that: content as text, what was thought beside
    it, and tool calls as a list of objects with a function in each. None where nothing is to be put right.

    Parts of content that are neither text nor thoughts (pictures) have no other form, and stay with those beside them.
    """
    content, calls = message.get("content"), message.get(CALLS)
    told: Json = {}
    if content is not None and type(content) is not str and (texts := _texts_of(content)) is not None:
        told["content"] = "".join(text for text, thought in texts if not thought)
        thoughts = "".join(text for text, thought in texts if thought)
        if thoughts and not message.get("reasoning_content"):
            told["reasoning_content"] = thoughts
    if calls is not None and not (type(calls) is list and all([_is_plain_call(call) for call in calls])):
        listed = calls if isinstance(calls, list) else [calls]
        told[CALLS] = [_call_of(call) for call in listed if isinstance(call, dict)] or None
    return told or None


def _is_plain_call(call: object) -> bool:
    """Whether a call, or a piece of one, says what it calls where every client reads it: its function in a member, the arguments in one
    of that."""
    if type(call) is not dict:
        return False
    function = call.get("function")
    if type(function) is dict:
        return ARGUMENTS in function or not any([name in function for name in _OTHERWISE])
    return not ("name" in call or ARGUMENTS in call or isinstance(function, str))


def _call_of(call: Json) -> Json:
    """A call, or a piece of one, whose function stands beside its id, or whose arguments have another name, as every client reads it."""
    if _is_plain_call(call):
        return call
    function = call.get("function")
    stated = function if isinstance(function, dict) else call
    named = {"name": name} if (name := function if isinstance(function, str) else stated.get("name")) else {}
    given = next(({ARGUMENTS: stated[name]} for name in (ARGUMENTS, *_OTHERWISE) if name in stated), {})
    rest = {name: value for name, value in call.items() if name not in ("name", ARGUMENTS, *_OTHERWISE)}
    return {**rest, "function": {**named, **given}}


def _texts_of(content: object) -> list[tuple[str, bool]] | None:
    """The texts of content in parts, and which of them are thoughts; None where it has parts that are no text."""
    if isinstance(content, bool | int | float | str):
        return [(str(content), False)]
    found: list[tuple[str, bool]] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and part.get("type") in _REFERENCES:
            continue
        inner = part.get("thinking", part.get("text")) if isinstance(part, dict) else part
        thought = isinstance(part, dict) and isinstance(part.get("thinking"), str | list)
        if isinstance(inner, list) and thought:
            found += [(text, True) for text, _ in _texts_of(inner) or ()]
        elif isinstance(inner, str):
            found.append((inner, thought))
        elif inner is not None or isinstance(part, dict):
            return None
    return found


def called_in(message: Json) -> str:
    """The finish reason of a message, or a piece of one, that calls something; empty where it does not."""
    return CALLS if message.get(CALLS) else OLD_CALL if message.get(OLD_CALL) else ""


def is_whole(number: object) -> bool:
    """Whether it is a whole number, as a value or as it was written."""
    return type(number) is int or (isinstance(number, exact_json.Written) and number.isdecimal())


def calls_completed(message: Json, name: str) -> bool:
    """Give a message's calls the id, the type and the text of arguments that every client reads, where they lack one; says whether any
    did. `name` makes ids."""
    calls, changed = message.get(CALLS), False
    calls = [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    known: set[str] = set()
    for number, call in enumerate(calls):
        for member, otherwise in (("id", call_id_of(name, number)), ("type", "function")):
            if not call.get(member):
                call[member], changed = otherwise, True
        if isinstance(call["id"], str) and call["id"] in known:
            call["id"], changed = another_id(call["id"], number), True
        known.add(str(call["id"]))
    for function in (*(call.get("function") for call in calls), message.get(OLD_CALL)):
        if isinstance(function, dict):
            given = function.get(ARGUMENTS) or "{}"
            said = unquoted(given) if isinstance(given, str) else exact_json.dumps(given).decode()
            if said != function.get(ARGUMENTS):
                function[ARGUMENTS], changed = said, True
    return changed


def call_id_of(name: str, number: int) -> str:
    """The id of a call that the runtime gave none: the same for each of its pieces, another in every answer (`name`)."""
    return f"call_{name.removeprefix('chatcmpl-')}_{number}"


def another_id(stated: str, number: int) -> str:
    """The id of a call to which the runtime gave that of another call of the same answer: results are told apart by it."""
    return f"{stated}_{number}"


def name_added(known: str, told: str) -> str:
    """What a piece of a call adds to its name: the next part of it, or what is new where all of it so far is told again."""
    return told.removeprefix(known)


def index_of(choice: Json) -> int:
    """The number of a choice; 0 where it says none."""
    index = choice.get("index", 0)
    if isinstance(index, exact_json.Written):
        return int(index) if is_digits(index, 5) else 0
    return index if type(index) is int else 0


def delta_of(choice: Json, *, first: bool) -> Json:
    """What a choice of a chunk adds: its `delta`; or a whole `message` (or `text`), where that is all it ever says."""
    delta = choice.get("delta")
    if isinstance(delta, dict) and (delta or not first):
        return delta
    if isinstance(delta, str):
        return {"content": delta}
    message, text = choice.get("message"), choice.get("text")
    if first and isinstance(message, dict):
        return message
    return {"content": text} if isinstance(text, str) else {}


def identified(body: Json, kind: str, name: str, now: object) -> Json:
    """The members that tell an answer from others: as they are stated, where that can be. `name` and `now` are for where it cannot.

    A number as it was written (`exact_json.Written`) is no text.
    """
    stated, model, created = body.get("id"), body.get("model"), body.get("created")
    return {
        "id": stated if type(stated) is str and stated else f"chatcmpl-{name}",
        "object": kind,
        "created": created if type(created) is int or is_whole(created) else now,
        "model": model if type(model) is str else "",
    }


def signatures(answer: Json) -> list[str]:
    """What the first choice of an answer is signed with."""
    first = first_choice(answer)
    message = first.get("message") if first is not None else None
    details = message.get(MEMBER) if isinstance(message, dict) else None
    stated = [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    return [mark for one in stated for name in ("signature", "data") if isinstance(mark := one.get(name), str) and mark]
