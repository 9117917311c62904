"""A history that is decoded by its types becomes the very chat that reading it block by block makes, and what agents send is decoded so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages import content
from arbiter_app.dialects.anthropic_messages import typed as messages
from arbiter_app.dialects.openai_responses import items
from arbiter_app.dialects.openai_responses import typed as responses
from arbiter_app.dialects.reasoning import sealed
from arbiter_app.dialects.strict_json import History, Unusual
from arbiter_app.dialects.translation import Dropped
from arbiter_app.pipeline.errors import ArbiterError

SEALED = sealed("glm-5", [{"type": "message.reasoning", "member": "reasoning_content"}])
Written = dict[str, Any]

_text = st.text(max_size=6) | st.sampled_from(
    ["", " end \n", "x-anthropic-billing-header: cc_version=1", "1.5", "\u2028"]
)
_odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just([]), st.just({}), st.just([1]), st.floats(allow_nan=False)
)
_mark = st.sampled_from(
    [None, {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h", "scope": "global"}, {"type": 1}, 3]
)
_ids = st.sampled_from(["a", "b", "c", ""])
_input = st.dictionaries(_text, st.one_of(_text, _odd, st.lists(_text, max_size=2)), max_size=3)


def _some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[Written]:
    """Objects with any of these members, and at times one that nobody knows."""
    return st.fixed_dictionaries({}, optional={**members, "new": st.just({"deep": [1]})})


def _block(kind: str, more: dict[str, Any], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Written]:
    known = st.fixed_dictionaries({"type": st.just(kind), **members}, optional=more)
    return st.one_of(*[known] * 9, _some(type=st.just(kind) | _odd, **{name: _odd for name in members}))


_marked = {"cache_control": _mark}
_said = _block("text", _marked, text=_text)
_result = _block(
    "tool_result",
    {**_marked, "is_error": st.booleans() | st.none()},
    tool_use_id=_ids,
    content=st.one_of(_text, st.none(), st.lists(_said, max_size=3)),
)
_call = _block("tool_use", _marked, id=_ids, name=st.sampled_from(["look", ""]), input=_input | _odd)
_thought = _block("thinking", {}, thinking=_text, signature=st.sampled_from(["sig", SEALED, "arbiter1:{"]))
_hidden = _block("redacted_thinking", {}, data=st.sampled_from(["sig", SEALED]))
_image = st.just({"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}})


@st.composite
def _message(draw: st.DrawFn) -> list[Written]:
    """A turn: something said, or calls with their results, as they are or with something wrong about them."""
    ids = draw(st.lists(_ids.filter(bool), unique=True, max_size=3))
    said = draw(st.lists(st.one_of(_thought, _hidden, _said), max_size=2))
    calls = [{"type": "tool_use", "id": one, "name": "look", "input": draw(_input)} for one in ids]
    results = [
        draw(_result.filter(lambda one: one.get("tool_use_id") is not None)) | {"tool_use_id": one} for one in ids
    ]
    made: list[Written] = [
        {
            "role": draw(st.sampled_from(["user", "user", "system"])),
            "content": draw(st.one_of(_text, st.lists(_said, max_size=3))),
        },
        {
            "role": "assistant",
            "content": draw(st.one_of(_text, st.just([*said, *calls]))) if not ids else [*said, *calls],
        },
    ]
    if ids:
        made.append({"role": "user", "content": [*results, *draw(st.lists(st.one_of(_said, _image), max_size=2))]})
    if draw(st.integers(0, 9)) == 0:
        made[draw(st.integers(0, len(made) - 1))]["content"] = draw(
            st.lists(st.one_of(_said, _call, _result, _thought, _hidden), max_size=3)
        )
    return made


_part = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_text", "output_text", "text"]), "text": _text},
    optional={"annotations": st.sampled_from([[], [], [], [{"type": "url_citation"}]]), "logprobs": st.just([])},
)
_parts = st.one_of(_text, st.lists(_part, max_size=3), st.just([{"type": "refusal", "refusal": "No."}]))
_usual = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "developer", "system"]), "content": _parts},
        optional={
            "type": st.just("message"),
            "id": st.just("msg_1"),
            "status": st.just("completed"),
            "phase": st.just("final_answer"),
        },
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("reasoning"),
            "summary": st.lists(st.just({"type": "summary_text", "text": "Hm."}), max_size=2),
        },
        optional={
            "encrypted_content": st.sampled_from([None, "e", SEALED]),
            "content": st.none(),
            "id": st.just("rs_1"),
        },
    ),
)
_odd_item = _some(
    type=st.sampled_from(
        ["message", "function_call", "function_call_output", "reasoning", "web_search_call", "custom_tool_call"]
    ),
    role=_text | _odd,
    content=_parts | _odd,
    call_id=_ids | _odd,
    name=_text | _odd,
    arguments=_text | _odd,
    output=_parts | _odd,
)
_item = st.one_of(_usual, _usual, _usual, _usual, _odd_item)


@st.composite
def _items(draw: st.DrawFn) -> list[Written]:
    """Items in their order, calls among them with results that follow at some time."""
    made = draw(st.lists(_item, max_size=3))
    for one in draw(st.lists(_ids.filter(bool), unique=True, max_size=3)):
        custom = draw(st.booleans())
        given = {"input": draw(_text)} if custom else {"arguments": draw(_text)}
        kind = "custom_tool_call" if custom else "function_call"
        named = {"name": "look", **({"namespace": "mcp"} if draw(st.booleans()) else {})}
        made.append({"type": kind, "call_id": one, **named, **given})
        if draw(st.integers(0, 3)):
            made += draw(st.lists(_item, max_size=1))
        if draw(st.integers(0, 9)):
            made.append({"type": f"{kind}_output", "call_id": one, "output": draw(_parts)})
    return made


def _same(
    history: list[Written],
    decoded: Callable[[str], History],
    read: Callable[[Any, Dropped], list[Written]],
    separators: tuple[str, str] | None,
) -> None:
    """What was decoded equals what is read with care; what cannot be read was not decoded."""
    written = json.dumps(history, separators=separators, ensure_ascii=separators is None)
    by_block = Dropped()
    try:
        made = decoded(written)
    except (Unusual, msgspec.DecodeError):
        return
    try:
        expected = read(orjson.loads(written), by_block)
        if by_block.rounded:
            expected = read(exact_json.exact(written.encode()), Dropped())
    except ArbiterError as error:
        raise AssertionError(f"decoded, though it is refused: {error.message}") from error
    assert made.messages == expected
    assert made.dropped == by_block.names and by_block.untranslatable is None
    assert made.signed or SEALED not in json.dumps(history)


_separators = st.sampled_from([None, (",", ":"), (", ", ":")])
_quiet = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@_quiet
@given(st.lists(_message(), max_size=4).map(lambda turns: sum(turns, [])), _separators)
def test_of_messages(history: list[Written], separators: tuple[str, str] | None) -> None:
    _same(history, messages.history, content.chat_messages, separators)


@_quiet
@given(_items(), _separators)
def test_of_responses(history: list[Written], separators: tuple[str, str] | None) -> None:
    _same(history, responses.history, items.chat_messages, separators)


def test_what_claude_code_sends_is_decoded() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    history = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Now.</system-reminder>"},
                {"type": "text", "text": "Fix it."},
            ],
        },
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "sig"},
                {"type": "text", "text": "I look."},
                {
                    "type": "tool_use",
                    "id": "t1",
                    "name": "Read",
                    "input": {"path": "a.py", "limit": 1.50},
                    "caller": {"type": "direct"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "x"}],
                    "is_error": True,
                }
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        {"role": "user", "content": [{"type": "text", "text": "Thanks.", **mark}]},
    ]
    made = messages.history(json.dumps(history).replace("1.5", "1.50"))
    assert [one["role"] for one in made.messages] == ["user", "system", "assistant", "tool", "assistant", "user"]
    assert made.messages[2]["tool_calls"][0]["function"]["arguments"] == '{"path":"a.py","limit":1.50}'
    assert made.messages[3]["content"] == "Error: x"
    assert made.messages[5]["content"] == [{"type": "text", "text": "Thanks.", **mark}]
    assert made.dropped == ("messages.content.thinking",) and made.signed


def test_what_codex_sends_is_decoded() -> None:
    history = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Fix it."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "encrypted_content": "e"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
            "phase": "commentary",
        },
        {"type": "function_call", "id": "fc_1", "name": "shell", "arguments": '{"a": 1}', "call_id": "c1"},
        {
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": "c2",
            "name": "apply_patch",
            "input": "*** Begin",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "x"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "y"}]},
    ]
    made = responses.history(json.dumps(history))
    assert [one["role"] for one in made.messages] == ["system", "user", "assistant", "tool", "tool"]
    calls = [call["function"]["arguments"] for call in made.messages[2]["tool_calls"]]
    assert calls == ['{"a": 1}', '{"input":"*** Begin"}']
    assert made.dropped == ("input.reasoning",) and made.signed


@pytest.mark.parametrize("depth", [150, 400])
def test_what_is_nested_too_deep_is_left_to_be_refused(depth: int) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": "DEEP"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    written = json.dumps(history, separators=(",", ":")).replace('"DEEP"', "[" * depth + "]" * depth)
    if depth < 200:
        assert messages.history(written).messages
    else:
        with pytest.raises(Unusual):
            messages.history(written)
