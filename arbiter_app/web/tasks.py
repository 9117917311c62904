"""What the pages know of each task: its hue in both themes, an example to try, and prompts of the demo. One entry a task."""

from __future__ import annotations

from dataclasses import dataclass

from arbiter_app.pipeline.types import Task


@dataclass(frozen=True, slots=True)
class TaskLook:
    """How a task is shown. Both hues reach 4.5:1 on the backgrounds of their theme (a test computes it).

    In a prompt `{a}` (10 to 9,999) and `{b}` (3 to 99) vary, so that the response cache does not answer.
    """

    light: str
    dark: str
    example: str
    prompts: tuple[str, ...]


LOOKS: dict[str, TaskLook] = {
    Task.CODE.value: TaskLook(
        "#7343b3",
        "#b99df0",
        "Write a Python function that merges two sorted lists.",
        (
            "Write a Python function that returns every {b}th item of a list.",
            "Write a JavaScript function that adds {b} to each number of an array.",
            "Write an SQL query for the {b} newest orders above {a}.",
        ),
    ),
    Task.MATH.value: TaskLook(
        "#2058b8",
        "#88b3f7",
        "What is 24 * 37? Answer with the number.",
        ("What is {a} * {b}?", "Compute {a} + {b} * 3.", "What is ({a} - {b}) * 7?", "Work out {a} / 4 + {b}."),
    ),
    Task.STRUCTURED.value: TaskLook(
        "#955307",
        "#e9a85c",
        "Return JSON with the keys name, age and languages for Ada Lovelace.",
        (
            "Return JSON with the keys name and age for a person called Ada who is {b}.",
            "Give me a JSON array of {b} colour names.",
        ),
    ),
    Task.FACTUAL.value: TaskLook(
        "#0a6f6a",
        "#5cc7c0",
        "Who wrote Faust, and when was it published?",
        ("Who wrote Faust, and in which year? Answer {b} in one line.", "What is the capital of Peru? ({a})"),
    ),
    Task.OPEN.value: TaskLook(
        "#9c3267",
        "#ea93bd",
        "Write four lines about a river that forgets its way.",
        ("Write a short poem about {b} rivers.", "Tell a story about a fox and {b} geese in five sentences."),
    ),
}
TASKS = tuple(LOOKS)
"""Every task, in the order in which pages list them."""
