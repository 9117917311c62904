"""What the next turn says of an answer: read by fixed words, only where it is about that answer, and only a caller's few count."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from arbiter_app.pipeline.reactions import A_DAY, TOOLS, WORDS, Influence, reaction_to_last
from arbiter_app.pipeline.types import Caller, Role

ASK = "How long do I have to boil an egg until it is hard?"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str, *, asked: str = ASK) -> tuple[str, str, float] | None:
    """The reaction to an answer in words."""
    history = [user(asked), {"role": "assistant", "content": "Ten minutes."}, user(text)]
    found = reaction_to_last(history, 1)
    return None if found is None else (found.seen_in, found.kind, found.score)


def gave(*results: Any) -> tuple[str, str, float] | None:
    """The reaction to calls of tools."""
    calls = [{"id": f"c{at}", "type": "function", "function": {"name": "run", "arguments": "{}"}} for at in range(3)]
    given = [{"role": "tool", "tool_call_id": f"c{at}", "content": one} for at, one in enumerate(results)]
    found = reaction_to_last([user(ASK), {"role": "assistant", "content": None, "tool_calls": calls}, *given], 1)
    return None if found is None else (found.seen_in, found.kind, found.score)


@pytest.mark.parametrize(
    "text",
    [
        "No, that's not what I asked.",
        "wrong",
        "That is incorrect: it takes nine.",
        "it doesn't work",
        "This isn't right at all",
        "Still the same error",
        "You forgot the salt",
        "Das ist falsch.",
        "no funciona",
        "\U0001f44e",
        "Are you sure?",
        "nope",
    ],
)
def test_a_complaint_is_one(text: str) -> None:
    assert said(text) == (WORDS, "a complaint", 0.1)


@pytest.mark.parametrize(
    "text",
    ["Thanks!", "thank you so much", "Perfect, exactly what I need.", "That works now", "\U0001f44d", "Danke dir"],
)
def test_thanks_are_thanks(text: str) -> None:
    assert said(text) == (WORDS, "thanks", 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "And a soft one?",
        "No problem. What about quail eggs?",
        "Thanks, but I have a gas stove.",
        "Write a story about a man who says: that is wrong.",
        "Note the time, and tell me about wrong notes in music",
        "In Great Britain, how do they eat eggs?",
        "What went wrong in 1929?",
        "It was a dark night. Continue this story.",
        "go on",
        "",
    ],
)
def test_what_goes_on_says_nothing(text: str) -> None:
    assert said(text) is None


def test_the_same_question_again_is_told_from_the_next_one() -> None:
    again = (WORDS, "the same question again", 0.2)
    assert said(ASK) == said(ASK.upper() + "!!") == said("How long do I have to boil an egg until it's hard?") == again
    assert said("How long do I have to boil a potato until it is soft?") is None
    assert said("go on", asked="go on") is None


@pytest.mark.parametrize(
    ("results", "kind", "score"),
    [
        (["3 passed in 0.12s"], "a test that passes", 1.0),
        (["=== 1 failed, 11 passed in 1.2s ==="], "a test that fails", 0.1),
        (["test result: FAILED. 1 passed; 2 failed"], "a test that fails", 0.1),
        (["Error: old_string was not found in the file"], "a tool's error", 0.2),
        (["Traceback (most recent call last):\n  File ..."], "a tool's error", 0.2),
        (["bash: foo: command not found"], "a tool's error", 0.2),
        (["Process exited with code 127"], "a tool's error", 0.2),
        (['{"error": "no such city"}'], "a tool's error", 0.2),
        (['{"success": false}'], "a tool's error", 0.2),
        (['{"error": null, "rows": 3}'], "a tool's result", 0.8),
        (["Process exited with code 0"], "a tool's result", 0.8),
        (["0 failed, 12 passed"], "a test that passes", 1.0),
        (["def handle(error): ..."], "a tool's result", 0.8),
        (["alpha beta"], "a tool's result", 0.8),
        ([""], "a tool's result", 0.8),
        (["alpha", "Error: nothing there"], "a tool's error", 0.5),
    ],
)
def test_what_tools_gave_is_read(results: list[str], kind: str, score: float) -> None:
    found = gave(*results)
    assert found is not None and found[:2] == (TOOLS, kind) and found[2] == pytest.approx(score)


def test_only_the_turn_after_that_very_answer_counts() -> None:
    answer = {"role": "assistant", "content": "Ten minutes."}
    bad = user("That is wrong.")
    assert reaction_to_last([user(ASK), answer, bad], 1) is not None
    assert reaction_to_last([user(ASK), answer, bad, answer, user("Hm.")], 1) is None, "it is two answers later"
    assert reaction_to_last([user(ASK), bad, bad], 1) is None, "the answer is not in it"
    assert reaction_to_last([user(ASK), answer], 1) is None, "nothing was said to it"
    assert reaction_to_last([user(ASK), answer, user(None)], 1) is None


def test_reading_takes_no_time_whatever_is_sent() -> None:
    rng = random.Random(1)
    worst = (
        "no " * 400_000,
        "that is " * 200_000,
        "a" * 2_000_000,
        " ".join(str(rng.random()) for _ in range(100_000)),
    )
    began = time.thread_time()
    for text in worst:
        said(text, asked=text + "?")
        gave(text)
        gave('{"a":' * 100_000)
    assert time.thread_time() - began < 1.5


def test_a_callers_reactions_count_some_times_a_day_and_bucket() -> None:
    at = [1_000_000.0]
    influence = Influence(now=lambda: at[0])
    keys = [Caller(f"k{n}", Role.CALLER, email="Eve@example.com" if n % 2 else "eve@example.com") for n in range(50)]
    assert sum(influence.takes(keys[n % 50], "open") for n in range(200)) == A_DAY
    assert influence.takes(Caller("k", Role.CALLER, email="bob@example.com"), "open")
    assert influence.takes(keys[0], "math")
    assert sum(influence.takes(Caller(f"n{n}", Role.CALLER, origin="first"), "open") for n in range(99)) == A_DAY
    at[0] += 86_400.0
    assert influence.takes(keys[0], "open")
