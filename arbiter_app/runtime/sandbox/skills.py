"""The simulated world: how good, how fast and how wordy each model of the sandbox is. Nothing here is a measurement.

Quality is the chance of a correct answer (code, math, structured, tool calls) or the mean share of substance in one
(factual, open), per task, easy and hard. Prices are the catalog's. The numbers are chosen so that routing has a story,
with a tolerance of 0.05:

- free models are good enough where they are specialists (easy code, factual, open) and clearly not elsewhere;
- easy math goes to mistral-small, and at eight times its price to deepseek-chat-v3; easy structured to gpt-4o-mini;
- hard prompts need dearer models: gpt-4.1-mini for structured, gpt-4.1, gemini-2.5-pro or gpt-4o for the rest;
- the baseline, gpt-4o, is strong everywhere, never perfect, and seldom the cheapest that is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from arbiter_app.pipeline.types import Task

TASKS = (Task.CODE, Task.MATH, Task.STRUCTURED, Task.FACTUAL, Task.OPEN)

Five = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Skill:
    """One simulated model: quality by task when easy and when hard, milliseconds to the first token and for each
    output token, and how many sentences of prose it writes where others write one. It is as good as that where it does not
    think (`effort.py`); `effort` is how hard it thinks by itself."""

    easy: Five
    hard: Five
    first_ms: float
    token_ms: float
    wordy: float = 1.0
    effort: str = "none"

    def quality(self, task: Task, hard: bool) -> float:
        """Expected quality of an answer, 0..1; as of an open one where the world has no column for the task."""
        return (self.hard if hard else self.easy)[TASKS.index(task if task in TASKS else Task.OPEN)]

    def scaled(self, factor: float, task: Task | None = None) -> Skill:
        """The same model, `factor` times as good at one task, or at all of them."""
        return replace(self, easy=_scaled(self.easy, factor, task), hard=_scaled(self.hard, factor, task))


def _scaled(five: Five, factor: float, task: Task | None) -> Five:
    a, b, c, d, e = (
        min(1.0, max(0.0, value * factor)) if task in (None, known) else value
        for known, value in zip(TASKS, five, strict=True)
    )
    return a, b, c, d, e


#                                    code  math  struct fact  open     code  math  struct fact  open
SKILLS: dict[str, Skill] = {
    "deepseek-v4-flash": Skill((0.80, 0.70, 0.72, 0.84, 0.80), (0.50, 0.35, 0.45, 0.62, 0.60), 180, 0.9, 0.9),
    "deepseek-v4-pro": Skill((0.86, 0.78, 0.80, 0.88, 0.86), (0.60, 0.50, 0.55, 0.70, 0.70), 420, 1.8, 1.4),
    "llama-3.3-70b-instruct": Skill((0.78, 0.72, 0.80, 0.93, 0.88), (0.46, 0.38, 0.52, 0.72, 0.68), 260, 1.2),
    "qwen3-coder-480b-a35b-07-25": Skill((0.97, 0.74, 0.84, 0.78, 0.72), (0.86, 0.45, 0.60, 0.56, 0.50), 380, 1.5),
    "hermes-3-llama-3.1-405b": Skill((0.72, 0.66, 0.70, 0.86, 0.94), (0.40, 0.30, 0.42, 0.64, 0.80), 520, 2.4, 1.2),
    "mistral-small-3.2-24b-instruct-2506": Skill(
        (0.84, 0.97, 0.91, 0.84, 0.84), (0.55, 0.66, 0.70, 0.62, 0.64), 160, 0.8, 0.9
    ),
    "deepseek-chat-v3": Skill((0.93, 0.97, 0.95, 0.91, 0.90), (0.76, 0.84, 0.82, 0.76, 0.76), 350, 1.6),
    "llama-3.1-70b-instruct": Skill((0.80, 0.84, 0.84, 0.88, 0.88), (0.50, 0.56, 0.58, 0.68, 0.70), 240, 1.2),
    "gpt-4.1-mini": Skill((0.93, 0.96, 0.98, 0.91, 0.91), (0.82, 0.86, 0.95, 0.78, 0.80), 300, 1.1),
    "gemini-2.5-flash": Skill((0.90, 0.95, 0.94, 0.93, 0.92), (0.78, 0.90, 0.86, 0.84, 0.82), 280, 1.0, 1.3),
    "gpt-4o-mini": Skill((0.86, 0.90, 0.97, 0.88, 0.90), (0.64, 0.72, 0.88, 0.70, 0.76), 260, 1.0),
    "gpt-4.1": Skill((0.98, 0.97, 0.99, 0.96, 0.95), (0.96, 0.92, 0.97, 0.93, 0.92), 450, 1.7),
    "gemini-2.5-pro": Skill((0.96, 0.99, 0.97, 0.97, 0.96), (0.93, 0.97, 0.93, 0.95, 0.94), 900, 2.2, 1.5),
    "gpt-4o": Skill((0.96, 0.97, 0.98, 0.97, 0.97), (0.92, 0.91, 0.95, 0.94, 0.95), 380, 1.4),
}
REASONING = {
    "claude-opus-4-6": Skill((0.86, 0.80, 0.96, 0.96, 0.96), (0.66, 0.55, 0.90, 0.93, 0.94), 600, 2.4, effort="high"),
    "claude-haiku-4-5": Skill((0.70, 0.62, 0.95, 0.74, 0.94), (0.42, 0.36, 0.86, 0.60, 0.90), 250, 0.9),
}
"""Two that no catalog of ours has: one that thinks by itself, as long as that is not said otherwise, and one that does when asked. By
effort they have a story of their own: mathematics and code want thought, and of the small model more of it; facts want the
large one, and prose neither."""
DEFAULT_SKILL = Skill((0.85,) * 5, (0.65,) * 5, 300, 1.2)  # a model that the catalog gained since
