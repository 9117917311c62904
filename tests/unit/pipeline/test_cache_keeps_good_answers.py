"""The response cache: what is kept, for whom, and within which bounds."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import orjson
import pytest

from arbiter_app.dialects import anthropic_messages as messages
from arbiter_app.pipeline.cache import ResponseCache, keys_of
from arbiter_app.pipeline.types import Caller, ChatRequest, Grade, Role
from arbiter_app.policy import Objective

GOOD = Grade(1.0, "ok")


def ask(text: str = "Calculate 3 * 4", key: str = "k", **payload: Any) -> ChatRequest:
    messages = [{"role": "user", "content": text}]
    body = {"messages": messages, "temperature": 0, **payload}
    return ChatRequest("r", Caller(key, Role.CALLER), body, messages, text, "")


def cache(**bounds: Any) -> ResponseCache:
    return ResponseCache(**{"entries": 10, "max_bytes": 100_000, "ttl_s": 60.0, "min_quality": 0.8, **bounds})


def kept(
    store: ResponseCache, request: ChatRequest, grade: Grade = GOOD, now: float = 0.0, size: int = 10, **how: bool
) -> bool:
    keys = keys_of(request, **how)
    assert keys is not None
    return store.put(keys, orjson.dumps({"text": "x" * size}), "m", grade, now)


def hit(store: ResponseCache, request: ChatRequest, now: float = 0.0, **how: bool) -> float | None:
    keys = keys_of(request, **how)
    assert keys is not None
    found = store.get(keys, now)
    return found[1] if found else None


INDENTED = "Does this end?\n```python\nwhile True:\n    x()\n{}break\n```"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What is 3 + 4?", "What is 3 + 4!"),
        ("Calculate 3 * 4", "calculate 3 * 4"),
        ("Calculate 3 * 4", "Calculate 3 *  4"),
        (INDENTED.format(""), INDENTED.format("    ")),
        ("Is polish a verb", "Is Polish a verb"),
        ("How long is 'a b'", "How long is 'a  b'"),
    ],
)
def test_another_question_never_hits(first: str, second: str) -> None:
    for near in (False, True):
        store = cache()
        assert kept(store, ask(first), near=near)
        assert hit(store, ask(first), near=near) == 1.0
        assert hit(store, ask(second), near=near) is None


def test_near_identical_prompts_hit_only_where_that_is_set() -> None:
    for near in (False, True):
        store = cache()
        assert kept(store, ask("Who wrote Faust?"), near=near)
        assert hit(store, ask(" Who wrote   Faust "), near=near) == (0.99 if near else None)


@pytest.mark.parametrize(
    ("payload", "may"),
    [
        ({"temperature": 0}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 1, "seed": 7}, True),
        ({"temperature": 1}, False),
        ({"temperature": None}, False),
        ({"temperature": None, "seed": None}, False),
        ({"temperature": False}, False),
    ],
)
def test_only_who_asks_for_no_randomness_or_for_the_cache_is_answered_from_it(
    payload: dict[str, Any], may: bool
) -> None:
    assert (keys_of(ask(**payload)) is not None) is may
    assert keys_of(replace(ask(**payload), cache=True)) is not None
    assert keys_of(ask(**payload), everybody=True) is not None


@pytest.mark.parametrize(
    "other",
    [
        ask(key="somebody else"),
        ask(temperature=1.0),
        ask(tools=[{"type": "function"}]),
        ask(response_format={"type": "json_object"}),
        ask(max_tokens=5),
        ask(user="another"),
        ask(safety_identifier="another"),
        ask(prompt_cache_key="another"),
        ask(metadata={"user_id": "another"}),
        ask(seed=2),
        replace(ask(), allow=("m",)),
        replace(ask(), written={"messages": '[{"role":"system","content":"be rude"}]'}),
    ],
)
def test_whatever_changes_the_answer_parts_the_entries(other: ChatRequest) -> None:
    store = cache()
    kept(store, ask(), everybody=True)
    assert hit(store, other, everybody=True) is None


def test_only_well_graded_answers_are_kept() -> None:
    assert not kept(cache(), ask(), Grade(0.7, "meh"))
    assert not kept(cache(), ask(), Grade(None, "unknown"))


def test_opting_out_pins_and_many_answers_are_not_cached() -> None:
    assert keys_of(replace(ask(), no_cache=True)) is None
    assert keys_of(replace(ask(), pin="m")) is None
    assert keys_of(ask(n=2)) is None


def test_size_count_and_age_are_bounded() -> None:
    store = cache(entries=3)
    for at in range(5):
        kept(store, ask(f"ask {at}"))
    assert len(store) == 3
    assert hit(store, ask("ask 0")) is None
    assert hit(store, ask("ask 4"), now=61) is None
    small = cache(max_bytes=1_000)
    assert not kept(small, ask(), size=900)
    for at in range(40):
        kept(small, ask(f"ask {at}"), size=40)
    assert 0 < len(small) <= 20


def test_a_kept_answer_holds_little_more_memory_than_it_is_long() -> None:
    store = cache(entries=500, max_bytes=10_000_000)
    tracemalloc.start()
    try:
        for at in range(500):
            kept(store, ask(f"ask {at}"), size=300)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / 500 < 1_500


def test_what_only_the_callers_dialect_knows_and_wishes_for_quality_tell_requests_apart() -> None:
    said = {"messages": [{"role": "user", "content": "Calculate 3 * 4"}], "temperature": 0, "max_tokens": 9}
    plain, picky, named = (
        messages.parse(orjson.dumps({**said, **more}), Caller("k", Role.CALLER), "r")
        for more in ({}, {"top_k": 1}, {"model": "auto", "stream": True, "arbiter_cache": True})
    )
    store = cache()
    assert kept(store, plain)
    assert (hit(store, picky), hit(store, named)) == (None, 1.0)
    for wish in ({"objective": Objective.QUALITY}, {"tolerance": 0.0}):
        assert hit(store, replace(plain, **wish)) is None
