"""The latest human ask decides the class, by precise rules; the free model is asked only when they are unsure."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from arbiter_app.pipeline.classify import Classifier, parse_task
from arbiter_app.pipeline.messages import latest_ask, system_prompt
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.rules import classify_by_rules, is_hard
from arbiter_app.pipeline.types import UNKNOWN_COST, Caller, ChatRequest, ClassifiedBy, Cost, Role, Task
from tests.clock import least_cpu_s

RULED = [
    ("Calculate 37 * 24", "math"),
    ("what is 12/7 + 3?", "math"),
    ("(3 + 4) * 5 =", "math"),
    ("A baker sells 12 loaves at $3 each and pays $9 for flour. How much profit does she make?", "math"),
    ("Find the derivative of x^2 + 3x at x = 2", "math"),
    ("When rolling two dice, what is the probability that you roll at least 3?", "math"),
    ("Write a Python function that reverses a list", "code"),
    ("Why does this fail?\n```go\nfunc main() {}\n```", "code"),
    ("How do I sort a dictionary by value in Python?", "code"),
    ("SELECT name FROM users WHERE id = 1 is slow, help", "code"),
    ("Traceback (most recent call last): KeyError: 'a'", "code"),
    ("Warum geht das nicht?\n```python\nprint(1)\n```", "code"),
    ("Return a JSON object with the fields name and age", "structured"),
    ("List three cities as a markdown table with columns city, country", "structured"),
    ("Give me the countries of Europe as CSV", "structured"),
    ("Convert this to YAML: a is 1", "structured"),
    ("What is the capital of France?", "factual"),
    ("Who wrote Hamlet?", "factual"),
    ("In what year did the Berlin Wall fall?", "factual"),
    ("Which is a noble gas?\nA. Iron\nB. Neon\nC. Gold\nD. Lead", "factual"),
    ("Write a poem about calculating the stars 3 times", "open"),
    ("Write a short story about a JavaScript developer", "open"),
    ("Brainstorm five names for a coffee shop", "open"),
    ("Rewrite this paragraph to sound friendlier: we deny your request", "open"),
]
UNSURE = [
    "Wie berechnet man den Umfang eines Kreises mit Radius 3?",
    "¿Cuál es la capital de Francia?",
    "フランスの首都はどこですか",
    "table tennis",
    "I love table tennis so much",
    "24/7",
    "hello",
    "",
    "2020-2024",
]


@pytest.mark.parametrize(("ask", "task"), RULED)
def test_a_rule_names_the_task(ask: str, task: str) -> None:
    verdict = classify_by_rules(ask)
    assert verdict is not None
    assert verdict.task == task, verdict


@pytest.mark.parametrize("ask", UNSURE)
def test_no_rule_guesses(ask: str) -> None:
    assert classify_by_rules(ask) is None


def test_a_json_response_format_is_structured() -> None:
    verdict = classify_by_rules("What is the capital of France?", json_format=True)
    assert verdict is not None and verdict.task is Task.STRUCTURED


def test_only_the_latest_human_message_counts() -> None:
    messages = [
        {"role": "system", "content": "You write Python code. Return JSON."},
        {"role": "user", "content": "Write a function"},
        {"role": "assistant", "content": "```python\npass\n```"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>use code</system-reminder>Who wrote"},
                {"type": "image_url"},
                {"type": "text", "text": "Hamlet?"},
            ],
        },
        {"role": "tool", "content": "SELECT 1 FROM t"},
    ]
    assert latest_ask(messages) == "Who wrote\nHamlet?"
    assert system_prompt(messages) == "You write Python code. Return JSON."


@pytest.mark.parametrize(
    ("wrapped", "bare"),
    [
        ("<environment_context>cwd /src</environment_context>\nWho wrote Hamlet?", "Who wrote Hamlet?"),
        ("<context>def f(): pass</context>Hi <context>x</context>", "Hi"),
        ("<user_query>Who wrote Hamlet?</user_query><system_reminder>x</system_reminder>", "Who wrote Hamlet?"),
        ("<task>\nDo it\n</task>\n<environment_details>\n# files\n</environment_details>", "Do it"),
        ("a < b and b > c", "a < b and b > c"),
        ("<context>never closed", "<context>never closed"),
        ("<context>all</context>", "<context>all</context>"),
    ],
)
def test_wrappers_of_agents_are_taken_off(wrapped: str, bare: str) -> None:
    assert latest_ask([{"role": "user", "content": wrapped}]) == bare


def test_hard_is_told_from_easy() -> None:
    assert not is_hard("Calculate 3 + 4")
    assert not is_hard("Write a Python function that reverses a list")
    assert is_hard("Prove by induction that the sum of the first n odd numbers is n^2, step by step")
    assert is_hard("Implement a thread-safe LRU cache with O(1) operations, handle edge cases, and discuss concurrency")


@pytest.mark.parametrize(
    "hostile", ["write a " * 200_000, "<context>" * 100_000, "what is " + "(" * 500_000, "a" * 1_000_000]
)
def test_rules_cost_little_on_a_megabyte(hostile: str) -> None:
    assert (
        least_cpu_s(lambda: (classify_by_rules(latest_ask([{"role": "user", "content": hostile}])), is_hard(hostile)))
        < 0.1
    )


def request(ask: str) -> ChatRequest:
    messages = [{"role": "user", "content": ask}]
    return ChatRequest("r", Caller("k", Role.CALLER), {"messages": messages}, messages, ask, "")


class Model:
    """A classifier model that says what it is told to."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.asked: list[str] = []

    async def ask(self, system: str, user: str) -> tuple[str, Cost]:
        self.asked.append(user)
        await asyncio.sleep(0)
        said = self.says.pop(0)
        if isinstance(said, BaseException):
            raise said
        if said == "silence":
            await asyncio.sleep(60)
        return said, UNKNOWN_COST


def classify(model: Model, *asks: str, timeout_s: float = 2.0) -> list[Any]:
    async def run() -> list[Any]:
        classifier = Classifier(model.ask, timeout_s=timeout_s)
        return [await classifier.classify(request(ask)) for ask in asks]

    return asyncio.run(run())


def test_the_model_is_asked_once_and_remembered() -> None:
    model = Model("Math.")
    first, again = classify(model, "Hilf mir bitte mit Zahlen", "  hilf mir BITTE mit   Zahlen ")
    assert (first.task, first.classified_by) == (Task.MATH, ClassifiedBy.MODEL)
    assert (again.task, again.classified_by) == (Task.MATH, ClassifiedBy.MEMORY)
    assert len(model.asked) == 1


@pytest.mark.parametrize("failure", ["I think it is math", "", "poetry", RuntimeFault("status", "500"), "silence"])
def test_whatever_the_model_does_a_request_is_classified(failure: Any) -> None:
    (seen,) = classify(Model(failure), "Hilf mir bitte", timeout_s=0.05)
    assert (seen.task, seen.classified_by) == (Task.OPEN, ClassifiedBy.FALLBACK)


def test_a_failure_is_not_remembered() -> None:
    model = Model("nonsense", "code")
    first, again = classify(model, "Hilf mir", "Hilf mir")
    assert first.classified_by is ClassifiedBy.FALLBACK
    assert (again.task, again.classified_by) == (Task.CODE, ClassifiedBy.MODEL)


def test_the_same_prompt_at_the_same_time_pays_one_round_trip() -> None:
    model = Model("factual")

    async def run() -> list[Any]:
        classifier = Classifier(model.ask)
        return await asyncio.gather(*[classifier.classify(request("Hilf mir")) for _ in range(10)])

    assert {seen.task for seen in asyncio.run(run())} == {Task.FACTUAL}
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("text", "task"), [("code", Task.CODE), (" Open.\n", Task.OPEN), ("**math**", Task.MATH), ("code math", None)]
)
def test_the_models_word_is_parsed_strictly(text: str, task: Task | None) -> None:
    assert parse_task(text) is task


@pytest.mark.parametrize("most", [0, 1])
def test_what_asks_for_no_answer_teaches_nothing(most: int) -> None:
    seen = Classifier(Model().ask).try_rules(replace(request("Calculate 37 * 24"), max_tokens=most))
    assert seen is not None and (seen.task, seen.teaches) == ((Task.MATH, True) if most else (Task.OPEN, False))
