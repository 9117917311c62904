"""Blocks of thought before an answer: each is dropped once, in linear time."""

from __future__ import annotations

import pytest

from arbiter_app.pipeline.thoughts import without_thoughts
from tests.clock import least_cpu_s


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('<think>hm</think>{"a":1}', '{"a":1}'),
        (" \n<THINKING>hm</Thinking>\nyes", "\nyes"),
        ("<think>a</think><reasoning>b</reasoning>c", "c"),
        ("<think>never closed", ""),
        ("<seed:think>x</seed:think>y", "y"),
        ("<think>" + "\u0130" * 9 + "</think>z", "z"),
        ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>", "yes"),
        ("an answer about <think> tags", "an answer about <think> tags"),
    ],
)
def test_what_is_left_is_the_answer(text: str, answer: str) -> None:
    assert without_thoughts(text) == answer


def test_twice_as_many_blocks_take_about_twice_as_long() -> None:
    few, many = ("<think></think>" * count for count in (10_000, 80_000))
    assert without_thoughts(many) == ""
    assert least_cpu_s(lambda: without_thoughts(many)) < 30 * least_cpu_s(lambda: without_thoughts(few))
