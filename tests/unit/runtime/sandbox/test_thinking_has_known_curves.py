"""What thinking does for the sandbox's models is known: fewer mistakes for more tokens, most of all in mathematics, and nothing unasked."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.types import Task
from arbiter_app.runtime.sandbox.effort import CURVES, effort_of, quality_at
from arbiter_app.runtime.sandbox.making import make_answer
from arbiter_app.runtime.sandbox.skills import REASONING, SKILLS
from arbiter_app.runtime.sandbox.world import World

EFFORTS = ("none", "low", "medium", "high", "xhigh")
MODEL = "llama-3.3-70b-instruct"


@pytest.fixture(scope="module")
def world() -> World:
    return World(load_catalog(None, baseline="gpt-4o"))


def answers(world: World, **fields: Any) -> tuple[float, float, float]:
    """Mean quality, answer tokens and thought tokens over some sums."""
    made = [
        make_answer(
            world,
            {"model": MODEL, "messages": [{"role": "user", "content": f"What is {at} * 17 + {at + 5}?"}], **fields},
            MODEL,
        )
        for at in range(2, 402)
    ]
    thought = [one.usage.get("completion_tokens_details", {}).get("reasoning_tokens", 0) for one in made]
    return (
        fmean(one.said.quality for one in made),
        fmean(one.usage["completion_tokens"] for one in made),
        fmean(thought),
    )


def test_more_effort_makes_fewer_mistakes_for_more_tokens(world: World) -> None:
    seen = {effort: answers(world, reasoning_effort=effort) for effort in EFFORTS}
    for effort in EFFORTS:
        expected = quality_at(SKILLS[MODEL], Task.MATH, False, effort)
        assert seen[effort][0] == pytest.approx(expected, abs=0.06)
        if effort in CURVES:
            assert seen[effort][2] == pytest.approx(CURVES[effort].tokens, rel=0.5)
    assert [seen[one][1] for one in EFFORTS] == sorted(seen[one][1] for one in EFFORTS)


def test_who_is_not_asked_to_think_answers_as_before(world: World) -> None:
    plain = answers(world)
    assert plain == answers(world, reasoning_effort="none") == answers(world, reasoning_effort="minimal")
    assert plain[2] == 0 and plain[0] == pytest.approx(SKILLS[MODEL].quality(Task.MATH, False), abs=0.06)


def test_a_budget_is_the_effort_that_it_is_about(world: World) -> None:
    budget = {"thinking": {"type": "enabled", "budget_tokens": 8_000}}
    assert answers(world, **budget) == answers(world, reasoning_effort="medium")


def test_thinking_helps_where_there_is_something_to_think_about() -> None:
    skill = SKILLS[MODEL]
    left = {
        task: (1 - quality_at(skill, task, False, "high")) / (1 - skill.quality(task, False))
        for task in (Task.MATH, Task.CODE, Task.STRUCTURED, Task.FACTUAL, Task.OPEN)
    }
    assert list(left.values()) == sorted(left.values()) and left[Task.MATH] < 0.2 and left[Task.OPEN] == 1.0


def test_some_think_by_themselves() -> None:
    assert {name: effort_of({}, skill) for name, skill in REASONING.items()} == {
        "claude-opus-4-6": "high",
        "claude-haiku-4-5": "none",
    }
    assert {effort_of({}, SKILLS[name]) for name in SKILLS} == {"none"}
