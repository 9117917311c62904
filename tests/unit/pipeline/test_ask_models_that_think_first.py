"""The classifier and the judge may be models that think first, or that take other parameters: asked so that they answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from arbiter_app.pipeline.ask import FAILURES, Asker, spoken
from arbiter_app.pipeline.classify import parse_task
from arbiter_app.pipeline.ports import Refusal, Refused, Reply, RuntimeFault
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Deployment, Model
from arbiter_app.runtime import cost as meter

Json = dict[str, Any]
FIRST = Model("first", 1e-6, 2e-6, 10_000, name="house/first")
SECOND = Model("second", 1e-6, 2e-6, 10_000)


class Runtime:
    """Answers as `how` says, and keeps what it was asked."""

    def __init__(self, how: Callable[[Json], Json]) -> None:
        self.how, self.asked = how, list[Json]()

    async def complete(self, payload: bytes, *, deadline: float, request_id: str | None = None) -> Reply:
        asked = orjson.loads(payload)
        self.asked.append(asked)
        body = self.how(asked)
        return Reply({}, orjson.dumps(body), 0.0, body)


def answer(content: object, finish: str = "stop", **message: Any) -> Json:
    usage = {"prompt_tokens": 10, "completion_tokens": 20}
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}], "usage": usage}


def refuse(word: str) -> Json:
    raise RuntimeFault("status", f"unsupported {word}", refusal=Refusal(Refused.UNSUPPORTED, 400, param=word))


def asker(runtime: Runtime, charged: list[str]) -> Asker:
    return Asker(
        {DEFAULT_RUNTIME: runtime},  # type: ignore[dict-item]
        meter,
        lambda: [Deployment(model.id, DEFAULT_RUNTIME, model) for model in (FIRST, SECOND)],
        lambda model: 1.0,
        kind="classifier",
        timeout_s=5.0,
        room=1_024,
        charged=lambda model, cost: charged.append(model),
        understood=lambda text: parse_task(text) is not None,
    )


def ask(how: Callable[[Json], Json], times: int = 1) -> tuple[Runtime, list[str], list[str]]:
    """The runtime, the texts, and who was paid."""
    runtime, charged, texts = Runtime(how), list[str](), list[str]()
    one = asker(runtime, charged)

    async def work() -> None:
        for _ in range(times):
            texts.append((await one.ask("system", "user"))[0])

    asyncio.run(work())
    return runtime, texts, charged


def test_a_model_that_thinks_at_length_gets_to_its_answer() -> None:
    def thinking(asked: Json) -> Json:
        if asked["max_tokens"] < 500:
            return answer("", "length", reasoning_content="hm")
        return answer("<think>\nIt adds: code? no.\n</think>\n\nmath")

    runtime, texts, _ = ask(thinking)
    assert texts == ["math"] and runtime.asked[0]["model"] == "house/first"


@pytest.mark.parametrize(
    "content", ["<think>" + "x<" * 10_000_000 + "</think>code", "</think" * 3_000_000, ["a" * 9_000_000] * 3]
)
def test_no_answer_is_so_long_that_reading_it_holds_the_others(content: object) -> None:
    """A model that says twenty million characters where a word was asked for."""
    said = [{"type": "text", "text": one} for one in content] if isinstance(content, list) else content
    before = answer(said)
    took = time.thread_time()
    _, texts, _ = ask(lambda asked: before)
    took = time.thread_time() - took
    written = time.thread_time()
    orjson.dumps(before)
    assert took < 0.1 + 5 * (time.thread_time() - written)
    assert texts == ["code"] if str(content).startswith("<think>") else len(texts[0]) < 1_100_000


def test_a_model_that_was_cut_is_asked_to_think_less_with_more_room() -> None:
    def thinking(asked: Json) -> Json:
        return answer("code") if "reasoning_effort" in asked else answer(None, "length", reasoning_content="hm")

    runtime, texts, _ = ask(thinking, times=2)
    assert texts == ["", "code"] and runtime.asked[1]["max_tokens"] == 2_048


def test_parameters_that_a_model_does_not_take_are_left_out_and_that_is_remembered() -> None:
    def strict(asked: Json) -> Json:
        return refuse("max_tokens") if "max_tokens" in asked else answer("open")

    runtime, texts, _ = ask(strict, times=2)
    assert texts == ["open", "open"] and len(runtime.asked) == 3
    assert "temperature" not in runtime.asked[2] and runtime.asked[2]["max_completion_tokens"] == 1_024


@pytest.mark.parametrize("content", ["", None, "I cannot say", "<think>never ends", []])
def test_one_that_answers_nothing_rests_after_some_failures_and_another_is_asked(content: object) -> None:
    def silent(asked: Json) -> Json:
        return answer(content) if asked["model"] == "house/first" else answer("math")

    _, texts, charged = ask(silent, times=FAILURES + 2)
    assert texts[FAILURES:] == ["math", "math"]
    assert charged == ["first"] * FAILURES + ["second"] * 2, (
        "what an answer costs is counted, also of one that is no use"
    )


def test_nobody_is_paid_while_all_rest() -> None:
    runtime, charged = Runtime(lambda asked: answer("")), list[str]()
    one = asker(runtime, charged)

    async def work() -> None:
        for _ in range(2 * FAILURES):
            await one.ask("system", "user")
        with pytest.raises(RuntimeFault, match="rests"):
            await one.ask("system", "user")

    asyncio.run(work())
    assert len(runtime.asked) == 2 * FAILURES and len(one.notes()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("math", "math"),
        ("<think>a < b</think>math", "math"),
        ("<thinking>x</thinking>\n\nmath", "math"),
        ("thoughts without a beginning</think>math", "math"),
        ("<think>cut", ""),
        ("a <b> c", "a <b> c"),
    ],
)
def test_thinking_that_leads_an_answer_is_no_part_of_it(text: str, said: str) -> None:
    assert spoken(text) == said
