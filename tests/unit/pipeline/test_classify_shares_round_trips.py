"""Asking the classifier model: one round trip a prompt, paid once, ended when nobody waits, and never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from arbiter_app.pipeline.classify import SYSTEM, Classifier
from arbiter_app.pipeline.messages import latest_ask
from arbiter_app.pipeline.types import Caller, ChatRequest, Classification, ClassifiedBy, Cost, CostState, Role, Task
from tests.waiting import PATIENCE_S

COST = Cost(7, CostState.SETTLED)


def request(ask: str) -> ChatRequest:
    messages = [{"role": "user", "content": ask}]
    return ChatRequest("r", Caller("k", Role.CALLER), {"messages": messages}, messages, ask, "")


class Gate:
    """A classifier model that answers when it is let, and notes what became of each call."""

    def __init__(self, word: str = "factual") -> None:
        self.word = word
        self.open = asyncio.Event()
        self.called = asyncio.Event()
        self.asked: list[tuple[str, str]] = []
        self.ended = 0

    async def ask(self, system: str, user: str) -> tuple[str, Cost]:
        self.asked.append((system, user))
        self.called.set()
        try:
            await self.open.wait()
        finally:
            self.ended += 1
        return self.word, COST


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), PATIENCE_S)

    return asyncio.run(bounded())


def test_one_of_many_waiters_bears_the_cost() -> None:
    async def work() -> list[Classification]:
        gate = Gate()
        classifier = Classifier(gate.ask)
        asks = [asyncio.create_task(classifier.classify(request("Hilf mir"))) for _ in range(5)]
        await gate.called.wait()
        gate.open.set()
        seen = await asyncio.gather(*asks)
        assert len(gate.asked) == 1
        return list(seen)

    seen = run(work)
    assert [one.cost for one in seen].count(COST) == 1
    assert sum(one.classified_by is ClassifiedBy.MODEL for one in seen) == 1
    assert {one.task for one in seen} == {Task.FACTUAL}


def test_a_caller_who_leaves_does_not_take_the_others_answer_along() -> None:
    async def work() -> Classification:
        gate = Gate()
        classifier = Classifier(gate.ask)
        first, second = (asyncio.create_task(classifier.classify(request("Hilf mir"))) for _ in range(2))
        await gate.called.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        gate.open.set()
        return await second

    seen = run(work)
    assert (seen.task, seen.classified_by, seen.cost) == (Task.FACTUAL, ClassifiedBy.MODEL, COST)


def test_when_nobody_waits_any_more_the_call_ends() -> None:
    async def work() -> tuple[int, Classification]:
        gate = Gate()
        classifier = Classifier(gate.ask)
        alone = asyncio.create_task(classifier.classify(request("Hilf mir")))
        await gate.called.wait()
        alone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await alone
        gate.open.set()
        again = await classifier.classify(request("Hilf mir"))
        return gate.ended, again

    ended, again = run(work)
    assert ended == 2
    assert again.classified_by is ClassifiedBy.MODEL


def test_waiters_share_a_failure_instead_of_asking_one_after_another() -> None:
    async def work() -> tuple[list[Classification], int]:
        gate = Gate("no such task")
        classifier = Classifier(gate.ask)
        asks = [asyncio.create_task(classifier.classify(request("Hilf mir"))) for _ in range(4)]
        await gate.called.wait()
        gate.open.set()
        return list(await asyncio.gather(*asks)), len(gate.asked)

    seen, asked = run(work)
    assert asked == 1
    assert {one.classified_by for one in seen} == {ClassifiedBy.FALLBACK}
    assert [one.cost for one in seen].count(COST) == 1


def test_a_defect_of_the_asker_never_fails_a_request() -> None:
    async def broken(system: str, user: str) -> tuple[str, Cost]:
        raise KeyError("choices")

    seen = run(lambda: Classifier(broken).classify(request("Hilf mir")))
    assert (seen.task, seen.classified_by) == (Task.OPEN, ClassifiedBy.FALLBACK)


def test_memory_is_bounded_and_drops_the_longest_unused() -> None:
    async def work() -> list[ClassifiedBy]:
        gate = Gate()
        gate.open.set()
        classifier = Classifier(gate.ask, entries=2)
        asks = ["eins", "zwei", "eins", "drei", "eins", "zwei"]
        return [(await classifier.classify(request(f"Hilf mir {ask}"))).classified_by for ask in asks]

    model, memory = ClassifiedBy.MODEL, ClassifiedBy.MEMORY
    assert run(work) == [model, model, memory, model, memory, model]


def test_the_model_sees_a_bounded_part_as_data() -> None:
    async def work() -> tuple[str, str]:
        gate = Gate()
        gate.open.set()
        await Classifier(gate.ask).classify(request("Hilfe " * 100_000 + "bitte"))
        return gate.asked[0]

    system, user = run(work)
    assert system == SYSTEM and system.startswith("You are Arbiter's classifier")
    assert len(user) < 5_000 and user.endswith("bitte")


def test_a_request_without_words_is_open_without_asking_anybody() -> None:
    gate = Gate()
    seen = run(lambda: Classifier(gate.ask).classify(request("")))
    assert (seen.task, seen.classified_by, gate.asked) == (Task.OPEN, ClassifiedBy.RULES, [])


def test_a_message_of_wrappers_alone_is_not_the_ask() -> None:
    messages = [
        {"role": "user", "content": "Who wrote Hamlet?"},
        {"role": "user", "content": "<system-reminder>write python</system-reminder>"},
        {"role": "user", "content": [{"type": "tool_result", "content": "def f(): pass"}]},
    ]
    assert latest_ask(messages) == "Who wrote Hamlet?"


@pytest.mark.parametrize(
    ("typed", "ask"),
    [
        ("Turn <question>hi</question> into JSON", "Turn <question>hi</question> into JSON"),
        ("<contextual>a</contextual> b", "<contextual>a</contextual> b"),
        ('<attachment id="a.py">def f(): pass</attachment>\n<userRequest>Who?</userRequest>', "Who?"),
        ("<context>a</context><context>b", "<context>b"),
    ],
)
def test_only_whole_wrappers_come_off(typed: str, ask: str) -> None:
    assert latest_ask([{"role": "user", "content": typed}]) == ask
