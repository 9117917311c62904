"""The playground: one prompt, what could serve it, the answer as it comes, and why."""

from __future__ import annotations

import itertools
import time
from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, ChatRequest, Role
from arbiter_app.pipeline.wishes import AUTO
from arbiter_app.services import routing
from arbiter_app.services.rows.decisions import TracedDecision
from arbiter_app.web import ask, container, decision_views, views
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.tasks import LOOKS, TASKS
from arbiter_app.web.typed import Keyed, Listed, background, event, keyed, listed
from arbiter_app.web.views import View

BUDGETS: tuple[float | None, ...] = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1, None)
LATENCIES = {"": None, "1": 1.0, "2": 2.0, "5": 5.0, "15": 15.0}
PUSH_S = 0.06
_RUNS = itertools.count(1)
"""Of the process: an answer that still comes in never finds its number in the state of whoever sits there next."""


class Playground(rx.State):
    """What the playground shows. `run` counts attempts, so that an older stream knows it was replaced.

    The text field is the browser's own while somebody types; another `written` replaces it by `prompt`.
    """

    prompt: rx.Field[str] = rx.field(LOOKS["math"].example)
    written: rx.Field[int] = rx.field(0)
    full: rx.Field[str] = rx.field("")
    budget: rx.Field[int] = rx.field(len(BUDGETS) - 1)
    latency: rx.Field[str] = rx.field("")
    model: rx.Field[str] = rx.field(AUTO)
    presets: rx.Field[list[str]] = rx.field(default_factory=lambda: [AUTO])
    fits: Keyed[View] = keyed(dict)
    dropped: Listed[View] = listed()
    answer: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    busy: rx.Field[bool] = rx.field(False)
    run: rx.Field[int] = rx.field(0)
    result: Keyed[View] = keyed(dict)
    stages: Listed[View] = listed()
    candidates: Listed[View] = listed()
    vote: rx.Field[str] = rx.field("")
    needs_key: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Preview the prompt that is there."""
        who = await authz.current_caller(self)
        self.needs_key = "yes" if who.role is Role.ANONYMOUS else "no"
        self.busy = False
        self.presets = _presets()
        if self.prompt != LOOKS["math"].example:  # a page that is opened anew begins with that one
            self.written += 1
        await self._preview(who)

    @event
    async def set_prompt(self, value: str) -> None:
        """Change the prompt and preview it."""
        who = await authz.current_caller(self)
        self.prompt, self.error = arguments.text(value, ask.MAX_PROMPT), ""
        self.full = "yes" if isinstance(value, str) and _browser_chars(value) >= ask.MAX_PROMPT else ""
        await self._preview(who)

    @event
    async def example(self, task: str) -> None:
        """Take an example prompt."""
        who = await authz.current_caller(self)
        self.prompt, self.full = LOOKS[arguments.choice(task, TASKS, "math")].example, ""
        self.written += 1
        await self._preview(who)

    @event
    async def set_budget(self, value: Any) -> None:
        """Move the cost ceiling and preview."""
        who = await authz.current_caller(self)
        place = arguments.number(arguments.first(value), 0, len(BUDGETS) - 1)
        self.budget = len(BUDGETS) - 1 if place is None else int(place)
        await self._preview(who)

    @event
    async def set_latency(self, value: str) -> None:
        """Choose the latency ceiling and preview."""
        who = await authz.current_caller(self)
        self.latency = arguments.choice(value, LATENCIES, "")
        await self._preview(who)

    @event
    async def set_model(self, value: str) -> None:
        """Choose a preset and preview."""
        who = await authz.current_caller(self)
        self.model = arguments.choice(value, _presets(), AUTO)
        await self._preview(who)

    @background
    async def send(self, form: dict[str, Any]) -> None:
        """Route the prompt; the answer streams in."""
        who = await authz.current_caller(self)
        given = arguments.text(form.get("prompt"), ask.MAX_PROMPT) if isinstance(form, dict) else ""
        async with self:
            if self.busy or who.role is Role.ANONYMOUS:
                self.error = "" if self.busy else "Sign in with a key first; minting one takes a minute."
                return
            self.prompt = given
            if not given:
                self.error, self.fits, self.dropped = "Type a prompt first.", {}, []
                return
            self._begin()
            mine, request = self.run, self._request(who)
        await self._stream(who, mine, ask.Asked(container.current().services.requests, request))

    @event
    async def stop(self) -> None:
        """End the answer that is coming in."""
        await authz.current_caller(self)
        self.run = next(_RUNS)
        self.busy = False

    @event
    async def thumb(self, rating: str) -> None:
        """Rate the answer."""
        who = await authz.current_caller(self)
        rating = arguments.choice(rating, ("up", "down"), "")
        if not rating or who.role is Role.ANONYMOUS or not self.result.get("id"):
            return
        try:
            await container.current().services.actions.vote_on_decision(who, self.result["id"], rating)
        except ArbiterError as error:
            self.error = str(error)
            return
        self.vote = rating

    def _request(self, who: Caller) -> ChatRequest:
        return ask.request_of(
            who,
            self.prompt,
            max_cost_usd=BUDGETS[self.budget],
            max_latency_s=LATENCIES[self.latency],
            model=self.model,
        )

    def _begin(self) -> None:
        self.run = next(_RUNS)
        self.busy, self.answer, self.error, self.vote = True, "", "", ""
        self.result, self.stages, self.candidates = {}, decision_views.waiting(), []

    async def _stream(self, who: Caller, mine: int, asked: ask.Asked) -> None:
        text, shown_at, wanted, problem, token = "", 0.0, True, "", self.router.session.client_token

        async def take(piece: str) -> bool:
            nonlocal text, shown_at, wanted
            text += piece
            if time.monotonic() - shown_at >= PUSH_S:
                shown_at = time.monotonic()
                wanted = container.current().present(token) and await self._show(who, mine, text)
            return wanted

        try:
            await asked.run(take)
        except ArbiterError as error:
            problem = str(error)
        if wanted:
            await self._finish(who, mine, text, problem, asked.row)

    async def _show(self, who: Caller, mine: int, text: str) -> bool:
        async with self:
            wanted = await self._is_wanted(who, mine)
            if wanted:
                self.answer = text
            return wanted

    async def _is_wanted(self, who: Caller, mine: int) -> bool:
        """Whether the answer is still the one to show, and whoever asked still sits here."""
        return self.run == mine and (await authz.current_caller(self)).key_id == who.key_id

    async def _finish(self, who: Caller, mine: int, text: str, problem: str, row: TracedDecision | None) -> None:
        async with self:
            if not await self._is_wanted(who, mine):
                return
            self.busy, self.answer, self.error = False, text, problem
            self.stages = []
            if row is not None:
                self.result = views.feed_row(row) | decision_views.outcome(row)
                self.stages, self.candidates = decision_views.trace(row), decision_views.candidates(row)

    async def _preview(self, who: Caller) -> None:
        if not self.prompt or not authz.may_read(who):
            self.fits, self.dropped = {}, []
            return
        services = container.current().services
        try:
            previewed = await services.preview.decide(self._request(who))
        except ArbiterError as error:
            self.fits, self.dropped, self.error = {}, [], str(error)
            return
        foretold = routing.foretold(previewed, services.router, services.catalog.baseline, services.budget_gate)
        self.fits = decision_views.fits(foretold, BUDGETS[self.budget], previewed.classification)
        self.dropped = [{"model": model, "why": why} for model, why in sorted(foretold["rejected"].items())]


def _browser_chars(text: str) -> int:
    """How many characters a browser counts in it: units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _presets() -> list[str]:
    """What can stand in the place of a model."""
    return [AUTO, *(f"{AUTO}:{name}" for name in container.current().services.catalog.presets)]
