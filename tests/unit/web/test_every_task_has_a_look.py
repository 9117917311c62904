"""A task is one entry of the pages' table: its hue, its prompts and its place in every list come from there."""

from __future__ import annotations

import random

import pytest

from arbiter_app.pipeline.types import MEANING, Task
from arbiter_app.web import theme
from arbiter_app.web.ask import prompt_of
from arbiter_app.web.tasks import LOOKS, TASKS


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG has it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_task_has_an_entry_and_is_explained_to_the_classifier() -> None:
    assert set(TASKS) == set(MEANING) == {task.value for task in Task}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_can_be_read_in_both_themes(task: str) -> None:
    for colours in (theme.LIGHT, theme.DARK):
        assert min(contrast(colours[task], colours[ground]) for ground in ("bg", "panel")) >= 4.5


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_prompts_of_its_own(task: str) -> None:
    asked = {prompt_of(random.Random(seed), task) for seed in range(20)}
    assert len(asked) > 1 and not any("{" in one for one in asked)
    assert LOOKS[task].example


def test_the_style_sheet_is_written_from_the_tokens() -> None:
    assert theme.OUTPUT.read_text() == theme.css(), "run: python -m arbiter_app.web.theme"
