"""Arbiter's own questions to a free model (classifier, judge), through the same runtime client as everything else.

Models that think before they speak need room, or not to think; models differ in the parameters that they take; and one that
answers nothing is not paid again and again: after some failures in a row it rests, and another is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from arbiter_app import notices
from arbiter_app.pipeline.meter import Meter
from arbiter_app.pipeline.ports import Runtime, RuntimeFault
from arbiter_app.pipeline.types import Cost, Deployment, Json, Model

log = logging.getLogger("arbiter.ask")

FAILURES = 3
"""In a row, before a model rests ..."""
REST_S = 600.0
"""... for this time."""
MOST_ROOM = 4_096
"""Tokens that a question may cost at most, thinking included."""
READ_CHARS = 1_000_000
"""What is read of an answer: as much of its beginning and its end together. None that is of use is longer."""
EFFORTS = ("none", "minimal", "low")
"""How little thinking is asked of a model that was seen to think: the first that it takes. Which one that is, differs."""
REFUSED = (400, 422)
_THOUGHT = re.compile(r"\A\s*<(think|thinking|thought|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_ENDED = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)


@dataclass(slots=True)
class _Habit:
    """What is known of asking one model: tokens of room, the parameters it takes, how it fared lately."""

    room: int
    plainness: int = 0
    thinks: bool = False
    efforts: list[str] = field(default_factory=list)
    failures: int = 0
    rests_until: float = 0.0

    def payload(self, model: Model, messages: list[Json]) -> bytes:
        """The request, as far as is known in a form that the model takes."""
        forms: tuple[Json, ...] = (
            {"temperature": 0, "max_tokens": self.room},
            {"max_completion_tokens": self.room},
            {},
        )
        effort = {"reasoning_effort": self.efforts[0]} if self.efforts else {}
        return orjson.dumps({"model": model.sent, "messages": messages, **forms[self.plainness], **effort})

    def refused(self) -> bool:
        """The model did not take the form; whether there is a plainer one."""
        if self.efforts:
            self.efforts.pop(0)
            return True
        self.plainness += 1
        return self.plainness <= 2 or self._give_up()

    def _give_up(self) -> bool:
        self.plainness = 0
        return False

    def thought(self, cut: bool) -> None:
        """The model thinks: it is asked to do so less, and gets more room where it was cut."""
        if not self.thinks:
            self.thinks, self.efforts = True, list(EFFORTS)
        if cut:
            self.room = min(2 * self.room, MOST_ROOM)


class Asker:
    """Asks one question: `await ask(system, user)` gives the text and what it cost. Raises RuntimeFault.

    `deployments` are those to ask, the first that does not rest; `understood` says whether a text is an answer.
    """

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        meter: Meter,
        deployments: Callable[[], Sequence[Deployment]],
        multiplier_of: Callable[[str], float],
        *,
        kind: str,
        timeout_s: float,
        room: int,
        charged: Callable[[str, Cost], None],
        understood: Callable[[str], bool],
    ) -> None:
        self._runtimes = runtimes
        self._meter = meter
        self._deployments = deployments
        self._multiplier_of = multiplier_of
        self._kind = kind
        self._timeout_s = timeout_s
        self._room = room
        self._charged = charged
        self._understood = understood
        self._habits: dict[str, _Habit] = {}

    @property
    def model(self) -> str:
        """The id of the model that would be asked now: the first of them where all rest."""
        deployments, now = self._deployments(), time.monotonic()
        return next((at for at in deployments if self._habit(at.key).rests_until <= now), deployments[0]).model.id

    @property
    def dearest(self) -> Model:
        """Whoever of those that may be asked costs most."""
        return max((at.model for at in self._deployments()), key=lambda one: (one.output_usd, one.input_usd))

    def notes(self) -> list[str]:
        """Which models rest, in sentences."""
        now = time.monotonic()
        return [
            f"the {self._kind} {model} rests: it gave no usable answer {FAILURES} times in a row"
            for model, habit in self._habits.items()
            if habit.rests_until > now
        ]

    async def ask(self, system: str, user: str) -> tuple[str, Cost]:
        """The answer to one system and one user message, without what was thought before it."""
        started = time.monotonic()
        at = next((one for one in self._deployments() if self._habit(one.key).rests_until <= started), None)
        if at is None:
            raise RuntimeFault("resting", f"every {self._kind} rests after {FAILURES} failures in a row")
        messages: list[Json] = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        habit = self._habit(at.key)
        try:
            text, cost = await self._asked(at, habit, messages, started + self._timeout_s)
        except RuntimeFault as fault:
            self._failed(at.key, habit, fault.message)
            raise
        except asyncio.CancelledError:
            if time.monotonic() - started >= 0.9 * self._timeout_s:
                self._failed(at.key, habit, f"it took over {self._timeout_s:g} s")
            raise
        if self._understood(text):
            habit.failures = 0
        else:
            self._failed(at.key, habit, "it answered something else" if text else "it answered nothing")
        return text, cost

    async def _asked(self, at: Deployment, habit: _Habit, messages: list[Json], deadline: float) -> tuple[str, Cost]:
        model, runtime = at.model, self._runtimes[at.runtime]
        while True:
            try:
                reply = await runtime.complete(habit.payload(model, messages), deadline=deadline)
                break
            except RuntimeFault as fault:
                if fault.status not in REFUSED or not habit.refused():
                    raise
        cost = self._meter.cost_of(reply.headers, reply.json, model, multiplier=self._multiplier_of(model.id))
        self._charged(model.id, cost)
        choice = _first(reply.json.get("choices"))
        message = choice.get("message")
        if not isinstance(message, dict):
            raise RuntimeFault("protocol", f"{model.id}: the answer has no text")
        said = message.get("content")
        said = _ends(said if isinstance(said, str) else _joined(said))
        text = spoken(said)
        if _thinks(said, message, reply.json) or (not text and choice.get("finish_reason") == "length"):
            habit.thought(cut=not text)
        return text, cost

    def _habit(self, key: str) -> _Habit:
        found = self._habits.get(key)
        if found is None:
            found = self._habits[key] = _Habit(self._room)
        return found

    def _failed(self, key: str, habit: _Habit, why: str) -> None:
        habit.failures += 1
        if habit.failures >= FAILURES:
            habit.failures, habit.rests_until = 0, time.monotonic() + REST_S
            words = f"the {self._kind} {key} failed {FAILURES} times in a row and rests for {REST_S:g} s: {why}"
            notices.claims.count(f"{self._kind}_silent", words)


def spoken(text: str) -> str:
    """A text without the thinking that leads it; nothing where it was cut while thinking."""
    if "<" not in text:
        return text
    return _THOUGHT.sub("", _ENDED.sub("", text)).strip()


def _ends(text: str) -> str:
    """Beginning and end of a text that is too long to be looked at on the event loop."""
    half = READ_CHARS // 2
    return text if len(text) <= READ_CHARS else f"{text[:half]}\n[...]\n{text[-half:]}"


def _thinks(said: str, message: Json, body: Json) -> bool:
    """Whether the answer, which said this, shows that the model thought before it spoke."""
    shown = any(message.get(key) for key in ("reasoning_content", "reasoning", "reasoning_details"))
    if shown or _THOUGHT.match(said) or "</think" in said:
        return True
    usage = body.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    tokens = details.get("reasoning_tokens") if isinstance(details, dict) else None
    return isinstance(tokens, int) and tokens > 0


def _first(choices: object) -> Json:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _joined(content: object) -> str:
    """The text of a content that is a list of parts."""
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return "".join(texts)
