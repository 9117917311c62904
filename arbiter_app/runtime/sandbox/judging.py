"""The two services that Arbiter asks of its runtime's free models, as the simulated ones render them.

classifier  a system message that begins "You are Arbiter's classifier": the last message is the text to classify, the
            reply one of the five task words.
judge       a system message that begins "You are Arbiter's judge": the last message carries the task between <task>
            and </task>, the prompt between <prompt> and </prompt>, the answer between <answer> and </answer>, each tag
            on a line of its own. The reply is {"score": s}: the quality that can be read off the answer (`readable`),
            plus noise that depends on the text alone, so that judging twice gives the same score. How noisy, biased or
            arbitrary it is is its `Taste`. Several answers are rated in their order: {"scores": [s, s]}.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox import prose, sums
from arbiter_app.runtime.sandbox.answers import SimulatedAnswer, rng_of
from arbiter_app.runtime.sandbox.tasks import task_of, text_of

JUDGE, CLASSIFIER = "You are Arbiter's judge", "You are Arbiter's classifier"
_PARTS = {tag: re.compile(rf"<{tag}>\n(.*?)\n</{tag}>", re.DOTALL) for tag in ("task", "prompt", "answer")}
_FENCED = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PAIRS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Taste:
    """How the judge departs from what it reads: standard deviation, mean error, share of scores drawn at random, and what it
    prefers the first of several answers by."""

    noise: float = 0.05
    bias: float = 0.0
    arbitrary: float = 0.0
    first: float = 0.0


FAIR = Taste()


def service(payload: Json, seed: int, taste: Taste = FAIR) -> tuple[str, SimulatedAnswer] | None:
    """The reply of a judge or classifier, with its kind; None for an ordinary request."""
    first = payload["messages"][0]
    system = text_of(first.get("content")) if first.get("role") == "system" else ""
    if not system.startswith("You are Arbiter's "):
        return None
    asked = text_of(payload["messages"][-1].get("content"))
    if system.startswith(CLASSIFIER):
        return "classifier", SimulatedAnswer(task_of(asked).value, [], 1.0)
    if system.startswith(JUDGE):
        scores = judged(asked, seed, taste)
        reply = {"scores": scores} if '"scores"' in system else {"score": scores[0]}
        return "judge", SimulatedAnswer(orjson.dumps(reply).decode(), [], 1.0)
    return None


def judged(message: str, seed: int, taste: Taste = FAIR) -> list[float]:
    """The judge's scores of the answers in a judge message, 0..1 each."""
    task, prompt = (_part(tag, message) for tag in ("task", "prompt"))
    answers = [found.strip() for found in _PARTS["answer"].findall(message)] or [""]
    return [
        _scored(task, prompt, answer, seed, taste, taste.first if at == 0 and len(answers) > 1 else 0.0)
        for at, answer in enumerate(answers)
    ]


def _scored(task: str, prompt: str, answer: str, seed: int, taste: Taste, more: float) -> float:
    rng = rng_of(seed, "judge", answer)
    off = taste.bias + more + rng.gauss(0.0, taste.noise)
    if rng.random() < taste.arbitrary:
        return round(rng.random(), 2)
    return round(min(1.0, max(0.0, readable(task, prompt, answer) + off)), 2)


def readable(task: str, prompt: str, answer: str) -> float:
    """The quality that can be read off an answer: brackets that close, the right number, substance."""
    if not answer.strip():
        return 0.0
    fenced = _FENCED.findall(answer)
    if fenced or task in (Task.CODE, Task.STRUCTURED):
        return 1.0 if all(map(_closes, fenced or [answer])) else 0.0
    if task == Task.MATH:
        return 1.0 if _right_number(prompt) in _NUMBER.findall(answer) else 0.0
    return prose.richness(answer)


def _part(tag: str, message: str) -> str:
    match = _PARTS[tag].search(message)
    return match.group(1).strip() if match else ""


def _right_number(prompt: str) -> str:
    run = sums.find_sum(prompt)
    try:
        return sums.written(sums.solve(run)) if run is not None else str(sums.truth_number(prompt))
    except sums.Unsolved:
        return str(sums.truth_number(prompt))


def _closes(text: str) -> bool:
    open_brackets: list[str] = []
    for char in text[:50_000]:
        if char in "([{":
            open_brackets.append(char)
        elif char in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[char]):
            return False
    return not open_brackets
