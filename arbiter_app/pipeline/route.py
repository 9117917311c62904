"""Stage 3: ask the policy which eligible model serves. The policy decides purely; clock and seed are arguments."""

from __future__ import annotations

import hashlib
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from arbiter_app.pipeline.beside import kept_from_shadows
from arbiter_app.pipeline.completions import signatures
from arbiter_app.pipeline.decision import Decision, WarmCache
from arbiter_app.pipeline.holdout import Holdout, drawn
from arbiter_app.pipeline.messages import ids_of, open_calls
from arbiter_app.pipeline.tokens import per_estimated
from arbiter_app.pipeline.types import ChatRequest, Classification, Completion, Eligible, Json, Mode
from arbiter_app.policy import Candidate, Policy, RoutingAsk, RoutingChoice, Segment, Trials

CONVERSATIONS = 10_000
"""As many are remembered."""
CACHED_S = 300.0
"""How long providers keep the prompt of a conversation cached; each answer begins it anew."""
SYSTEM_HEAD, DIGITS = 2_000, 12
"""Characters at the beginning of a system prompt by which a segment is known, and hexadecimal digits of their digest."""
_CHOSEN = frozenset({Mode.EXPLORE, Mode.EXPLOIT, Mode.ESCALATE})
"""Why a model served that the policy had chosen."""


class _Kept(NamedTuple):
    """What a provider has of a conversation in its cache: which model's, the `deployment` where it is one of several, how many tokens, how
    many its last prompt had for each that was estimated, and until when (seconds)."""

    model: str | None = None
    deployment: str = ""
    tokens: int = 0
    per_estimated: float = 1.0
    until: float = 0.0


_NOTHING = _Kept()


class Conversations:
    """Which model served a caller's conversation last, and which that the policy chose: bounded, newest kept.

    Only conversations that go on are looked up: those that the caller names, or that hold an answer already.
    """

    def __init__(self, entries: int = CONVERSATIONS) -> None:
        self._entries = entries
        self._models: OrderedDict[tuple[str, str], tuple[str, str | None]] = OrderedDict()
        self._cached: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._calls = Makers()
        self.signed = Makers()
        """Who signed what was thought in answers that went to their callers as they came."""

    def cached(self, request: ChatRequest, now: float, *, in_loop: bool) -> tuple[str | None, int, WarmCache | None]:
        """The model that has a part of the conversation in its provider's cache, and how many tokens; None and 0 where none has. And
        which of its deployments that is, where it has several; `in_loop`: the request brings the results of tools."""
        kept = self._cached.get(request.talk, _NOTHING)
        if now >= kept.until:
            return None, 0, None
        warm = WarmCache(kept.deployment, kept.tokens, in_loop, kept.per_estimated) if kept.deployment else None
        return (kept.model, kept.tokens, warm) if kept.tokens else (None, 0, warm)

    def model_of(self, request: ChatRequest) -> str | None:
        """The model that the policy chose for the conversation so far; None for a first message."""
        goes_on = request.named or any(message.get("role") == "assistant" for message in request.messages)
        return self._models.get(request.talk, (None, None))[1] if goes_on else None

    def loop_model(self, request: ChatRequest, calls: Sequence[str]) -> str | None:
        """The model that made the calls of tools whose results the request brings (`open_calls`).

        Its calls tell; where they have no ids of ours, the conversation does.
        """
        return self._calls.model_of(request.caller.key_id, calls) or self._models.get(request.talk, (None, None))[0]

    def served(self, request: ChatRequest, model: str, *, chosen: bool, calls: Sequence[Json] = ()) -> None:
        """Note who answered, whether the policy had chosen it, and the tool calls that it made."""
        self._note(request.talk, model, chosen=chosen)
        if calls:
            self._calls.made(request.caller.key_id, ids_of(calls), model)

    def keeps(self, request: ChatRequest, done: Completion, estimated: int, now: float) -> None:
        """Note how much of the prompt, which was `estimated` so, the provider that has answered has in its cache now."""
        key, usage = request.talk, done.usage
        tokens = usage.in_cache_tokens if usage is not None else 0
        if tokens <= 0 and not done.deployment:
            self._cached.pop(key, None)
            return
        per = per_estimated(usage.prompt_tokens, estimated) if usage is not None else 1.0
        self._cached[key] = _Kept(done.model, done.deployment, tokens, per, now + CACHED_S)
        self._cached.move_to_end(key)
        if len(self._cached) > self._entries:
            self._cached.popitem(last=False)

    def recall(self, answers: Iterable[tuple[str, str, str, str]]) -> None:
        """Note stored answers: key, conversation, model and mode of each, oldest first."""
        for key_id, conversation, model, mode in answers:
            self._note((key_id, conversation), model, chosen=mode in _CHOSEN)

    def _note(self, key: tuple[str, str], model: str, *, chosen: bool) -> None:
        self._models[key] = model, model if chosen else self._models.get(key, (None, None))[1]
        self._models.move_to_end(key)
        if len(self._models) > self._entries:
            self._models.popitem(last=False)


class Makers:
    """Which model made a caller's tool calls, by their ids, or thoughts, by their signatures: bounded, newest kept, digests only.

    These are what runtimes and callers claim: one that several models gave to a caller tells nothing.
    """

    def __init__(self, entries: int = 50_000) -> None:
        self._entries = entries
        self._makers: OrderedDict[bytes, str | None] = OrderedDict()

    def made(self, key_id: str, ids: Iterable[str], model: str) -> None:
        """Note that a model made what goes by these for a caller."""
        for one in ids:
            digest = _digest(key_id, one)
            self._makers[digest] = model if self._makers.get(digest, model) == model else None
            self._makers.move_to_end(digest)
            if len(self._makers) > self._entries:
                self._makers.popitem(last=False)

    def model_of(self, key_id: str, ids: Iterable[str]) -> str | None:
        """The model that made the first of these that tells one; None where none does."""
        makers = (self._makers.get(_digest(key_id, one)) for one in ids)
        return next((maker for maker in makers if maker is not None), None)


class Router:
    """Turns (classification, eligible models) into a choice by the policy's rule, a pin, or the holdout. `trials` says how a request
    may be used to learn just now; None where trials always serve."""

    def __init__(
        self,
        policy: Policy,
        *,
        baseline: Callable[[], str],
        holdout: Holdout,
        trials: Callable[[ChatRequest], Trials] | None,
        licensed_only: bool,
        base_of: Callable[[str], str],
        rng: random.Random,
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._baseline = baseline
        self._holdout = holdout
        self._trials = trials
        self._licensed_only = licensed_only
        self._base_of = base_of
        self._rng = rng
        self._now = now
        self.conversations = Conversations()

    def route(self, decision: Decision, seen: Classification, eligible: Eligible, *, tokens_out: int) -> None:
        """Fill in the decision's choice, mode and reason."""
        now, seed = self._now(), self._rng.getrandbits(48)
        calls = open_calls(decision.request.messages)
        in_loop = calls is not None
        cached_by, cached, decision.warm = self.conversations.cached(decision.request, now, in_loop=in_loop)
        request, caller = decision.request, decision.request.caller
        segments: tuple[Segment, ...] = ("key", caller.origin or caller.key_id), ("project", caller.project)
        if request.tags or request.system or "tools" in request.payload:
            segments += tuple(_told_apart_by(request))
        ask = RoutingAsk(
            bucket=seen.bucket,
            prompt=decision.request.ask,
            eligible=eligible.models,
            tokens_in=eligible.prompt_tokens,
            tokens_out=tokens_out,
            conversation_model=self.conversations.model_of(decision.request),
            cached_by=cached_by,
            cached_tokens=min(cached, eligible.prompt_tokens),
            wish=decision.request.wish,
            dollar_weight=decision.reservation.dollar_weight if decision.reservation is not None else 1.0,
            trials=self._trials_of(decision, in_loop=in_loop),
            segments=segments,
        )
        decision.ask = ask
        choice = self._policy.choose(ask, now, seed)
        decision.choice = choice
        decision.mode = Mode(choice.mode)
        decision.propensity = choice.propensity
        decision.reason = f"{choice.reason}; {eligible.note}" if eligible.note else choice.reason
        maker = self.conversations.loop_model(decision.request, calls) if calls is not None else None
        if decision.request.pin is not None:
            decision.mode, decision.reason = Mode.PINNED, "pinned by the caller"
        elif maker is not None and (staying := self._as_it_is_here(maker, choice.ranking)) is not None:
            _stay(decision, choice, staying)
        elif self._holdout.share > 0 and (baseline := self._baseline()) in eligible.models:
            self._draw(decision, choice, baseline, self._holdout.chance(now), seed)

    def _as_it_is_here(self, maker: str, ranking: Sequence[str]) -> str | None:
        """The model of a tool loop among these: at the setting that made the calls, or else the best of its others. None without it."""
        if maker in ranking:
            return maker
        base = self._base_of(maker)
        return next((one for one in ranking if self._base_of(one) == base), None)

    def _trials_of(self, decision: Decision, *, in_loop: bool) -> Trials:
        """How this request may be used to learn. What other models must not be asked is no trial either, where they are asked beside
        answers at all."""
        if self._trials is None:
            return Trials.SERVED
        return Trials.NONE if kept_from_shadows(decision, in_loop=in_loop) else self._trials(decision.request)

    def _draw(self, decision: Decision, choice: RoutingChoice, baseline: str, chance: float, seed: int) -> None:
        """Hold the request out by chance; its propensity says how probable the model was by both ways."""
        asks_baseline = choice.model == baseline
        if drawn(seed, chance):
            decision.mode = Mode.HOLDOUT
            if decision.ask is not None and decision.ask.trials is Trials.SHADOW and not asks_baseline:
                decision.choice = _beside_the_baseline(choice, baseline)
            decision.reason = f"held out: {baseline} answers a random share of requests, to measure the saving"
            decision.propensity = chance + (1 - chance) * choice.propensity * asks_baseline
        else:
            decision.propensity = chance * asks_baseline + (1 - chance) * choice.propensity

    def served(self, decision: Decision) -> None:
        """The decision's model answered: its conversation may stay with it, unless it was not the policy's choice."""
        if decision.mode is Mode.HOLDOUT:
            self._holdout.paid(self._now(), decision.cost.pico or 0)
        calls = decision.completion.tool_calls if decision.completion is not None else ()
        if decision.native and decision.completion is not None:
            marks = signatures(decision.completion.body)
            self.conversations.signed.made(decision.request.caller.key_id, marks, decision.completion.model)
        done = decision.completion
        if done is not None and decision.mode is not Mode.CACHE and (done.usage is not None or done.deployment):
            estimated = decision.eligible.prompt_tokens if decision.eligible is not None else 0
            self.conversations.keeps(decision.request, done, estimated, self._now())
        self.conversations.served(decision.request, decision.model, chosen=decision.mode in _CHOSEN, calls=calls)

    def order(self, decision: Decision) -> tuple[str, ...]:
        """Who is asked, in order: the choice (or the pin, alone; or the baseline first when held out), then the next best."""
        choice = decision.choice
        if choice is None:
            return ()
        if decision.mode is Mode.PINNED:
            return (choice.model,)
        if decision.mode is Mode.HOLDOUT:
            baseline = self._baseline()
            return (baseline, *(model for model in choice.ranking if model != baseline))
        return choice.ranking

    def stronger(self, decision: Decision) -> str | None:
        """The model to escalate to when the cheap answer failed its check: best known quality among the others.

        None in a tool loop: it would go on with a model that has not begun it.
        """
        choice, baseline = decision.choice, self._baseline()
        if choice is None or decision.mode is Mode.PINNED or decision.model == baseline:
            return None
        if open_calls(decision.request.messages) is not None:
            return None
        barred = {attempt.model for attempt in decision.attempts}
        if self._licensed_only:
            segments = decision.ask.segments if decision.ask is not None else ()
            barred |= {one.model for one in choice.candidates} - self._policy.licensed(decision.bucket, segments)
        others = [one for one in choice.candidates if one.model not in barred]
        return max(others, key=lambda one: _strength(one, baseline)).model if others else None


def _beside_the_baseline(choice: RoutingChoice, baseline: str) -> RoutingChoice:
    """Whom the holdout keeps from serving is asked beside the baseline: such a pair of grades costs that model's price alone."""
    others = [model for model in choice.shadows if model != baseline]
    return replace(choice, shadows=(choice.model, *others)[: max(1, len(choice.shadows))])


def _stay(decision: Decision, choice: RoutingChoice, model: str) -> None:
    """Keep to the model of a tool loop: what it has thought and signed is worth nothing to another."""
    ranking = (model, *(other for other in choice.ranking if other != model))
    decision.choice = replace(choice, model=model, mode=Mode.EXPLOIT.value, propensity=1.0, ranking=ranking)
    decision.mode, decision.propensity = Mode.EXPLOIT, 1.0
    decision.reason = f"{model} called the tools, and stays until the loop ends"


def _told_apart_by(request: ChatRequest) -> Iterator[Segment]:
    """What else tells the caller's requests apart: the first tag that is no end user, the beginning of the system prompt, the names of the
    tools it offers."""
    tag = next((tag for tag in request.tags if not tag.startswith("user:")), None)
    if tag is not None:
        yield "tag", tag
    if request.system:
        yield "system", _digest("system", request.system[:SYSTEM_HEAD]).hex()[:DIGITS]
    tools = request.payload.get("tools")
    if isinstance(tools, list) and tools:
        names = sorted(str(_named(tool)) for tool in tools)
        yield "tools", _digest("tools", " ".join(names)).hex()[:DIGITS]


def _named(tool: object) -> object:
    """The name of a tool, or its type."""
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else tool.get("name") or tool.get("type")


def _digest(key_id: str, call_id: str) -> bytes:
    return hashlib.blake2b(f"{key_id} {call_id}".encode(errors="replace"), digest_size=16).digest()


def _strength(one: Candidate, baseline: str) -> tuple[float, bool]:
    """Order of strength: the lower bound of quality where there is evidence; the baseline wins ties and unknowns."""
    is_baseline = one.model == baseline
    unproven = 0.5 if is_baseline else 0.0
    return (one.low if one.low is not None else unproven, is_baseline)
