"""The simulated world: how good, how fast and how dear each model of the sandbox is. Nothing here is a measurement.

Quality is the chance of a correct answer (code, math, structured) or the mean richness of one (factual, open), per
task, easy and hard. Prices are the catalog's. The numbers are chosen so that routing has a story: free models win where
they are good enough, cheap ones elsewhere, and hard prompts need dearer ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from arbiter_app.pipeline.types import Task

TASKS = (Task.CODE, Task.MATH, Task.STRUCTURED, Task.FACTUAL, Task.OPEN)


@dataclass(frozen=True, slots=True)
class Skill:
    """One simulated model: quality by task when easy and when hard, milliseconds to first token and per output token."""

    easy: tuple[float, float, float, float, float]
    hard: tuple[float, float, float, float, float]
    first_ms: float
    token_ms: float

    def quality(self, task: Task, hard: bool) -> float:
        """Expected quality of an answer, 0..1."""
        return (self.hard if hard else self.easy)[TASKS.index(task)]


#                                    code  math  struct fact  open     code  math  struct fact  open
SKILLS: dict[str, Skill] = {
    "deepseek-v4-flash": Skill((0.80, 0.70, 0.72, 0.84, 0.80), (0.50, 0.35, 0.45, 0.62, 0.60), 180, 0.9),
    "deepseek-v4-pro": Skill((0.86, 0.78, 0.80, 0.88, 0.86), (0.60, 0.50, 0.55, 0.70, 0.70), 420, 1.8),
    "llama-3.3-70b-instruct": Skill((0.78, 0.72, 0.80, 0.93, 0.88), (0.46, 0.38, 0.52, 0.72, 0.68), 260, 1.2),
    "qwen3-coder-480b-a35b-07-25": Skill((0.97, 0.74, 0.84, 0.78, 0.72), (0.86, 0.45, 0.60, 0.56, 0.50), 380, 1.5),
    "hermes-3-llama-3.1-405b": Skill((0.72, 0.66, 0.70, 0.86, 0.94), (0.40, 0.30, 0.42, 0.64, 0.80), 520, 2.4),
    "mistral-small-3.2-24b-instruct-2506": Skill(
        (0.84, 0.97, 0.93, 0.84, 0.84), (0.55, 0.66, 0.70, 0.62, 0.64), 160, 0.8
    ),
    "deepseek-chat-v3": Skill((0.93, 0.97, 0.95, 0.91, 0.90), (0.76, 0.84, 0.82, 0.76, 0.76), 350, 1.6),
    "llama-3.1-70b-instruct": Skill((0.80, 0.84, 0.84, 0.88, 0.88), (0.50, 0.56, 0.58, 0.68, 0.70), 240, 1.2),
    "gpt-4.1-mini": Skill((0.93, 0.96, 0.98, 0.91, 0.91), (0.82, 0.86, 0.95, 0.78, 0.80), 300, 1.1),
    "gemini-2.5-flash": Skill((0.90, 0.95, 0.94, 0.93, 0.92), (0.78, 0.90, 0.86, 0.84, 0.82), 280, 1.0),
    "gpt-4o-mini": Skill((0.86, 0.93, 0.96, 0.88, 0.90), (0.64, 0.72, 0.88, 0.70, 0.76), 260, 1.0),
    "gpt-4.1": Skill((0.98, 0.97, 0.99, 0.96, 0.95), (0.96, 0.92, 0.97, 0.93, 0.92), 450, 1.7),
    "gemini-2.5-pro": Skill((0.96, 0.99, 0.97, 0.97, 0.96), (0.93, 0.97, 0.93, 0.95, 0.94), 900, 2.2),
    "gpt-4o": Skill((0.96, 0.97, 0.98, 0.97, 0.97), (0.92, 0.91, 0.95, 0.94, 0.95), 380, 1.4),
}
