"""A rule that would be wrong stays silent, and no rule reads more than a bounded part of the ask."""

from __future__ import annotations

from functools import partial

import pytest

from arbiter_app.pipeline.rules import HEAD_CHARS, classify_by_rules, has_choices
from tests.clock import least_cpu_s

ENVELOPE = (
    "\n\n## Instruction\n\nPresent your reasoning and your solution in the following json format.\n"
    '```json\n{"reasoning": "___", "answer": "___"}\n```'
)
WORDS = "Rosa picks 14 apples on Monday and twice as many on Friday. She gives 5 away. How many apples has she left?"


@pytest.mark.parametrize(
    ("ask", "task"),
    [
        ("Write a Python script that converts CSV to JSON", "code"),
        ("Create a JSON array with the class names of this list: a, b", "structured"),
        ("Convert this CSV to YAML:\na,b\n1,2", "structured"),
        (WORDS, "math"),
        (WORDS.replace("apples", "recipe cards"), "math"),
        (WORDS + ENVELOPE, "math"),
        ("def f(x):\n    return x * 2\nassert f(4) == ??" + ENVELOPE, "code"),
        ("Which gas is noble?\n\n## Choices:\n\n- (A) Oxygen\n- (B) Neon\n- (C) Chlorine" + ENVELOPE, "factual"),
        ("How many inputs has the truth table of a NAND gate?\nA. 2\nB. 4\nC. 8\nAnswer:", "factual"),
        ("Find the quotient of 16.5 / 0.5.\nA. 33\nB. 3.3\nC. 0.33\nAnswer:", "factual"),
        ('Book a table for two.\n\nTools: [{"name": "book", "parameters": {}}]', "structured"),
        ("Prove that the sum of two even numbers is even.", "math"),
        ("What is 15% of 80?", "math"),
        ("How does a heat pump work?", "factual"),
        ("Act as a travel agent and speak to me", "open"),
        ("Create a workout program for beginners", "open"),
    ],
)
def test_what_is_asked_counts_not_what_is_mentioned(ask: str, task: str) -> None:
    verdict = classify_by_rules(ask)
    assert verdict is not None and verdict.task == task, verdict


@pytest.mark.parametrize(
    "ask",
    [
        "What is the best way to start a garden?",
        "Is it rational to believe in luck?",
        "What is the meaning of life?",
        "Which phone should I buy?",
        "What happened at 9/11?",
        "What is 2 + 2 in binary?",
        "My class starts on Monday and the program is great",
        "Combien coûte une baguette à Paris, et pourquoi ?",
        "Сколько будет стоить билет на 3 дня для 2 человек?",
        "请写一首关于春天的诗",
    ],
)
def test_matters_of_taste_and_other_languages_go_to_the_model(ask: str) -> None:
    assert classify_by_rules(ask) is None


def test_choices_are_seen_however_they_are_lettered() -> None:
    assert has_choices("2 + 2 = ?\nA) 3\nB) 4")
    assert has_choices("Options: (A) yes (B) no")
    assert not has_choices("Plan B is better than plan A")


def test_the_middle_of_a_long_ask_is_not_read() -> None:
    filler = "the cat sat on the mat and it was warm. " * HEAD_CHARS
    assert classify_by_rules(f"{filler} Write a Python function. {filler}") is None
    assert classify_by_rules(f"Write a Python function. {filler}") is not None
    assert classify_by_rules(f"{filler} Write a Python function.") is not None


@pytest.mark.parametrize(
    "unit",
    [
        "\n",
        "what is 1 )",
        "(A) ",
        "make a table ",
        "select a ",
        "function (",
        "create a b c d ",
        "\n ",
        "1-",
        "how many ",
        "`",
    ],
)
def test_no_repetition_makes_the_rules_slow(unit: str) -> None:
    hostile = unit * (1_000_000 // len(unit))
    assert least_cpu_s(partial(classify_by_rules, hostile)) < 0.1


def test_an_ordinary_prompt_costs_microseconds() -> None:
    asks = [WORDS, "What is the capital of France?", "Write a short story about a lighthouse and its keeper's cat"]
    assert least_cpu_s(lambda: [classify_by_rules(ask) for ask in asks * 100]) / 300 < 0.000_5
