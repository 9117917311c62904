"""Stage 4: ask the chosen model, fail over to its next deployment, then to the next best model, and read what came back.

The payload goes out unchanged apart from `model` (and, streamed, the request for usage). A model that fails is
quarantined and the next one tried, at most `max_attempts`, inside one deadline, and never after the first byte has
gone to the caller. What a refusal means decides (`ports.Refused`): the caller's own mistakes go back in the runtime's
words and quarantine nobody; a model that is gone rests long; a prompt that is too long goes on to a larger window. Models
that refuse what another has signed are asked again without it, when no other has answered; one that refuses a field without
meaning for the answer (`optional.py`), at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import orjson

from arbiter_app import turns
from arbiter_app.pipeline import optional
from arbiter_app.pipeline.answer_limit import AnswerLimits, limited
from arbiter_app.pipeline.ceilings import Ceilings
from arbiter_app.pipeline.completions import first_choice
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.deployments import Deployments, said_of
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.limits import LearnedLimits
from arbiter_app.pipeline.meter import Meter
from arbiter_app.pipeline.ports import LARGE_BYTES, Refused, Reply, ReplyStream, Reservation, Runtime, RuntimeFault
from arbiter_app.pipeline.refused import exhausted, rejected
from arbiter_app.pipeline.signed import MEMBER, NAMES_MAKER, signed_by, unsigned
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.thoughts import without_thoughts
from arbiter_app.pipeline.tokens import RATIO_RANGE
from arbiter_app.pipeline.types import UNKNOWN_COST, Attempt, Completion, Cost, CostState, Deployment, Json, Model

log = logging.getLogger("arbiter.call")

T = TypeVar("T")
Send = Callable[[Deployment, Json], Awaitable[T]]
"""Asks a deployment, with members of our own in the place of the caller's."""
Payload = tuple[bytes, tuple[str, ...], Mapping[str, str] | None]
"""What a deployment is sent, what was left out of it, and the caller's headers that go along where it goes in the caller's dialect."""

NOT_THE_MODELS = frozenset({Refused.TOO_LONG, Refused.UNSUPPORTED, Refused.FOREIGN, Refused.INVALID})
"""Refusals that say nothing about the model's health."""
NATIVE = "native"
"""Among members of our own: the caller's request in its own dialect, where it is not sent as it came."""
LEAST_LEFT_S = 0.25
"""With less time than this until the deadline, no further model is asked: it could only be paid for nothing."""
MAX_ERROR_CHARS = 500
MOST_TOLD = 1_000
"""Different things that were left out of requests are logged so often."""
_HEAD = ("id", "model", "usage")
_CALLS = frozenset({"tool_calls", "function_call"})


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream whose first byte has arrived: no failover after this point."""

    at: Deployment
    stream: ReplyStream
    started: float

    @property
    def model(self) -> str:
        """Who sends it."""
        return self.at.model.id


class Calls:
    """Calls models for decisions. `runtimes` are the clients by name, `multiplier_of` looks up the demo price override, `signer` the model
    that signed something for a caller's key."""

    def __init__(
        self,
        runtimes: Mapping[str, Runtime],
        deployments: Deployments,
        health: Health,
        meter: Meter,
        *,
        multiplier_of: Callable[[str], float],
        learned_usd: Callable[[str, str], float | None],
        max_attempts: int,
        limits: LearnedLimits,
        ceilings: Ceilings,
        standing: Standing,
        set_aside: Callable[[str, str], None],
        signer: Callable[[str, str], str | None],
    ) -> None:
        self._runtimes = runtimes
        self._several = len(runtimes) > 1
        self._deployments = deployments
        self._health = health
        self._limits = limits
        self._ceilings = ceilings
        self._answer_limits = AnswerLimits()
        self._standing = standing
        self._set_aside = set_aside
        self._signer = signer
        self._meter = meter
        self._multiplier_of = multiplier_of
        self._learned_usd = learned_usd
        self._max_attempts = max_attempts
        self._told: set[tuple[str, tuple[str, ...]]] = set()

    async def complete(self, decision: Decision, order: Sequence[str]) -> Completion:
        """A whole answer of the first model in `order` that gives one; every attempt is noted on the decision."""
        completion = await self._first_success(decision, order, partial(self._whole, decision))
        decision.attempts.append(_attempt(completion))
        return completion

    async def once(self, decision: Decision, model: str) -> Completion | None:
        """The answer of one model to one call of one deployment: no other is asked, and nothing again. None where all rest, or it
        does not fit into the request's budgets. Raises ArbiterError."""
        now, faults = time.monotonic(), dict[Deployment, RuntimeFault]()
        awake = (at for at in self._deployments.order(decision, (model,)) if not self._health.quarantined(at.key, now))
        at = next(awake, None)
        if at is None:
            return None
        decision.once = True
        completion = await self._asked(decision, (at,), partial(self._whole, decision), {}, faults)
        if completion is None and decision.beyond_budget:
            return None
        if completion is None:
            raise exhausted(decision, list(faults.values()))
        decision.attempts.append(_attempt(completion))
        return completion

    async def _whole(self, decision: Decision, at: Deployment, own: Json) -> Completion:
        """The whole answer of a deployment (a `Send`)."""
        started, runtime = time.perf_counter(), self._runtimes[at.runtime]
        payload, dropped, native = await self._written(decision, at, runtime, own)
        reply = await runtime.complete(payload, deadline=decision.deadline, native=native)
        self._served(decision, at, (*dropped, *reply.dropped), native=native is not None)
        return self._read(decision, at, reply, started)

    async def open(self, decision: Decision, order: Sequence[str]) -> Opened:
        """A stream of the first model in `order` that sends a first byte."""

        async def send(at: Deployment, own: Json) -> Opened:
            started, runtime = time.perf_counter(), self._runtimes[at.runtime]
            payload, dropped, native = await self._written(decision, at, runtime, own)
            stream = await runtime.stream(payload, deadline=decision.deadline, native=native)
            self._served(decision, at, (*dropped, *stream.dropped), native=native is not None)
            return Opened(at, stream, started)

        return await self._first_success(decision, order, send)

    def streamed(
        self, decision: Decision, opened: Opened, body: Json, aborted: str = "", *, large: bool = False
    ) -> Completion:
        """The completion of a stream that has ended (`body` assembled from its chunks), or was cut (`aborted`)."""
        stream, took_ms = opened.stream, (time.perf_counter() - opened.started) * 1000
        choice, first_byte_ms = _choice_with_message(body), stream.first_byte_ms
        completion = self._completion(
            decision, opened.at, stream.headers, body, choice, took_ms, first_byte_ms, aborted=aborted, large=large
        )
        decision.attempts.append(_attempt(completion))
        return completion

    def broke(self, opened: Opened, fault: RuntimeFault) -> None:
        """The stream broke after its first byte: the model rests, though nobody else can take over; unless it refused what it
        was asked or was about to say. One that goes on calling requests malformed rests all the same."""
        now, why = time.monotonic(), fault.message[:MAX_ERROR_CHARS]
        if fault.means is Refused.INVALID:
            self._health.outvoted(opened.at.key, now, why)
        elif fault.means is not Refused.CONTENT and fault.means not in NOT_THE_MODELS:
            self._health.failed(opened.at.key, now, why, fault.retry_after_s)

    async def _written(self, decision: Decision, at: Deployment, runtime: Runtime, own: Json) -> Payload:
        """What a deployment is sent; what is large is written beside the event loop."""
        if decision.request.body_bytes <= LARGE_BYTES:
            return self._payload(decision, at, runtime, own)
        return await turns.beside(self._payload, decision, at, runtime, own)

    def _payload(self, decision: Decision, at: Deployment, runtime: Runtime, own: Json) -> Payload:
        """What a deployment is sent, and what was left out of it: what other models are known to have signed. Where its runtime speaks
        the caller's dialect, that is the caller's own request, and its headers that go along.
        """
        request = decision.request
        own = {"model": at.model.sent, **own}
        native, setting = own.pop(NATIVE, request.native), at.model.setting if request.setting is None else None
        if native is not None and native.dialect == runtime.dialect and optional.WITHOUT not in own:
            readable = native.readable_by(self._foreign_to(at.model, request.caller.key_id))
            removed = () if readable is native else (f"{native.history}.thinking",)
            if setting is not None:
                readable, unfit = readable.settled(setting, at.model.sent)
                removed = (*removed, *unfit)
            return readable.sent(at.model.sent), removed, native.headers
        if setting is not None:
            own |= setting.members
        dropped: tuple[str, ...] = ()
        given = orjson.dumps(own["messages"]).decode() if "messages" in own else request.written.get("messages", "")
        if NAMES_MAKER in given and (signed := signed_by(at.model.kin, given)) is not None:
            own["messages"] = orjson.Fragment(signed[0])
            dropped = (f"messages.{MEMBER}",) if signed[1] else ()
        if request.stream:
            options = {**(request.payload.get("stream_options") or {}), "include_usage": True}
            own |= {"stream": True, "stream_options": options}
        return request.body(**own), dropped, None

    def _foreign_to(self, model: Model, key_id: str) -> Callable[[str], bool]:
        """Whether a signature is known to be another model's."""
        kin = model.kin
        return lambda mark: (self._signer(key_id, mark) or model.base) not in kin

    def _served(self, decision: Decision, at: Deployment, dropped: tuple[str, ...], *, native: bool) -> None:
        """A deployment answers, and this was not carried over to it; nothing was dropped of a `native` request."""
        decision.served_by, decision.dropped = at.model.id, dropped
        decision.native = native
        if dropped and (at.key, dropped) not in self._told and len(self._told) < MOST_TOLD:
            self._told.add((at.key, dropped))
            log.info("%s has no word for: %s (said once)", at.key, ", ".join(dropped))

    async def _first_success(self, decision: Decision, order: Sequence[str], send: Send[T]) -> T:
        faults: dict[Deployment, RuntimeFault] = {}
        answer = await self._asked(decision, self._deployments.order(decision, order), send, {}, faults)
        if answer is not None:
            if faults:
                self._outvoted(faults)
            return answer
        answer = await self._asked_unsigned(decision, send, faults)
        if answer is None and not faults and decision.reservation is not None and decision.beyond_budget:
            raise decision.reservation.exceeded(min(decision.beyond_budget))
        if answer is None:
            raise exhausted(decision, list(faults.values()))
        return answer

    async def _asked_unsigned(
        self, decision: Decision, send: Send[T], faults: dict[Deployment, RuntimeFault]
    ) -> T | None:
        """The same of the models that refused what another has signed, once more and without that."""
        foreign, request = [at for at, fault in faults.items() if fault.means is Refused.FOREIGN], decision.request
        if not foreign:
            return None
        messages, native = unsigned(request.written["messages"]), request.native
        bare = native.unsigned() if native is not None else None
        own: Json = {} if messages is None else {"messages": orjson.Fragment(messages)}
        own |= {} if bare is None else {NATIVE: bare}
        if not own:
            return None
        keys = {at.key for at in foreign}
        decision.failover_from = [key for key in decision.failover_from if key not in keys]
        answer = await self._asked(decision, foreign, send, own, faults)
        if answer is not None:
            decision.reason += "; asked again without what other models had signed"
        return answer

    async def _asked(
        self,
        decision: Decision,
        order: Iterable[Deployment],
        send: Send[T],
        own: Json,
        faults: dict[Deployment, RuntimeFault],
    ) -> T | None:
        """The first answer that one of `order` gives to the request with our `own` members; None when none does.

        `faults` takes in the last fault of each.
        """
        tried = too_small = 0
        unlimited = decision.reservation is None or decision.request.max_tokens is not None
        for at in order:
            if tried >= self._max_attempts or (faults and decision.deadline - time.monotonic() < LEAST_LEFT_S):
                break
            if too_small and self._window(at, too_small) <= too_small:
                continue
            if decision.reservation is not None and not await self._covered(decision, decision.reservation, at):
                continue
            tried += 1
            ask = self._sent if unlimited else self._sent_limited
            self._health.begin(at.key)
            started = time.perf_counter()
            try:
                answer = await ask(decision, at, send, own)
            except RuntimeFault as fault:
                decision.timing.waited_ms += (time.perf_counter() - started) * 1000
                self._note(decision, at, fault, started, faults.values())
                faults[at] = fault
                if fault.means is Refused.TOO_LONG:
                    too_small = max(too_small, min(self._window(at, 0), int(_most_needed(decision))))
            except BaseException:
                self._health.released(at.key)
                raise
            else:
                decision.timing.waited_ms += (time.perf_counter() - started) * 1000
                self._health.succeeded(at.key)
                if self._standing.refused:
                    self._standing.served(at.runtime)
                return answer
        return None

    async def _covered(self, decision: Decision, reservation: Reservation, at: Deployment) -> bool:
        """Whether this call, at its dearest, and what the request has cost so far fit into its budgets: then it is reserved."""
        most = self._ceilings.pico(decision.request, decision.bucket, at.model)
        with decision.timing.waiting():
            covered = await reservation.cover((decision.cost.pico or 0) + most)
        if not covered:
            decision.beyond_budget.append(most)
            decision.reason += f"; {at.key} might cost more than the budgets leave"
        return covered

    async def _sent_limited(self, decision: Decision, at: Deployment, send: Send[T], own: Json) -> T:
        """Its answer, which is limited to what is reserved for it: budgets apply, and its caller sets no limit."""
        limit = self._answer_limits.of(at.key, self._ceilings.answer_tokens(decision.request, at.model))
        started = time.monotonic()
        try:
            return await self._sent(decision, at, send, limited(own, decision.request, limit, NATIVE))
        except RuntimeFault as fault:
            other = self._answer_limits.after(at.key, limit, fault.refusal)
            if other is None or decision.once or decision.deadline - time.monotonic() < LEAST_LEFT_S:
                raise
            took_ms, said = (time.monotonic() - started) * 1000, fault.message[:MAX_ERROR_CHARS]
            decision.attempts.append(
                Attempt(at.model.id, fault.status, said, took_ms, UNKNOWN_COST, at.runtime if self._several else "")
            )
            return await self._sent(decision, at, send, limited(own, decision.request, other, NATIVE))

    async def _sent(self, decision: Decision, at: Deployment, send: Send[T], own: Json) -> T:
        """Its answer; one that refuses a field without meaning for it is asked once again without all such fields."""
        request, now = decision.request, time.monotonic()
        known = () if request.untranslatable is not None else self._limits.unwanted(at.key, now)
        left_out = [name for name in optional.present(request) if name in known] if known else []
        try:
            answer = await send(at, optional.without(request, left_out, own) if left_out else own)
        except RuntimeFault as fault:
            refused = optional.refused(fault.refusal, request)
            if (
                not refused
                or refused <= set(left_out)
                or request.untranslatable is not None
                or decision.once
                or decision.deadline - time.monotonic() < LEAST_LEFT_S
            ):
                raise
            took_ms, said = (time.monotonic() - now) * 1000, fault.message[:MAX_ERROR_CHARS]
            decision.attempts.append(
                Attempt(at.model.id, fault.status, said, took_ms, UNKNOWN_COST, at.runtime if self._several else "")
            )
            left_out = list(optional.present(request))
            answer = await send(at, optional.without(request, left_out, own))
            if fault.refusal is not None:
                self._limits.learn_unwanted(at.key, refused, fault.refusal, time.monotonic())
        decision.left_out = tuple(left_out)
        return answer

    def _outvoted(self, faults: Mapping[Deployment, RuntimeFault]) -> None:
        """Another answered what these refused as malformed: it was not, and whoever goes on so rests."""
        now = time.monotonic()
        for at, fault in faults.items():
            if fault.means is Refused.INVALID:
                self._health.outvoted(at.key, now, fault.message[:MAX_ERROR_CHARS])

    def _window(self, at: Deployment, unknown: int) -> int:
        """A deployment's window; where it is not known, one token more than `unknown`."""
        window = self._limits.window_of(at, time.monotonic())
        return unknown + 1 if window is None else window

    def _note(
        self, decision: Decision, at: Deployment, fault: RuntimeFault, started: float, before: Iterable[RuntimeFault]
    ) -> None:
        """Put a failed attempt on record and draw its consequences; raises ArbiterError when no other model is to be asked.

        Another model would only repeat a refusal of the content. Whether a request is malformed is less sure, in whatever
        words it is said: it is the caller's mistake once a second model finds it, too.
        """
        took_ms, now, key = (time.perf_counter() - started) * 1000, time.monotonic(), at.key
        said = fault.message[:MAX_ERROR_CHARS]
        decision.attempts.append(
            Attempt(at.model.id, fault.status, said, took_ms, UNKNOWN_COST, at.runtime if self._several else "")
        )
        refusal, means = fault.refusal, fault.means
        again = means is Refused.INVALID and any(one.means is Refused.INVALID for one in before)
        if refusal is not None and (means is Refused.CONTENT or again):
            self._health.released(key)
            raise rejected(refusal)
        decision.failover_from.append(key)
        named = means is Refused.FOREIGN  # what it refuses stands in the request, and so do the names of that
        if refusal is not None and refusal.matched and not named and _quoted(refusal.matched, decision):
            self._health.released(key)
            self._set_aside("refusal", f"{key} refused a request in words of that request, which say nothing about it")
        elif refusal is not None and means in NOT_THE_MODELS:
            self._health.released(key)
            if means is Refused.UNSUPPORTED:
                own = said_of(at.model) if decision.request.setting is None else {}
                self._limits.learn_lack(key, {**decision.request.written, **own}, refusal, now)
            elif means is Refused.TOO_LONG:
                self._learn_window(decision, at, refusal.window, now)
        elif means is Refused.GONE:
            rest_s = self._health.lost(key, now, said)
            log.warning("%s is not served by the runtime: %s; it rests for %g s", key, fault.message, rest_s)
        else:
            self._health.failed(key, now, said, fault.retry_after_s)
            if self._standing.note(at.runtime, means, at.model.id, fault.message):
                log.error("%s (%s: %s)", self._standing.told, key, fault.message)

    def _learn_window(self, decision: Decision, at: Deployment, window: int | None, now: float) -> None:
        """Believe a window that was stated, if the request can have been larger than that; where none was, it is smaller than the request."""
        gate, most, reserve = decision.eligible, _most_needed(decision), decision.request.max_tokens or 0
        if window is None:
            self._limits.learn_window(at, gate.prompt_tokens + reserve - 1 if gate is not None else 0, most, now)
        elif not self._limits.learn_window(at, window, most, now):
            self._set_aside("window", f"{at.key} stated a window of {window} tokens, which is not plausible")

    def _read(self, decision: Decision, at: Deployment, reply: Reply, started: float) -> Completion:
        choice = _choice_with_message(reply.json)
        if choice is None:
            raise RuntimeFault("protocol", f"{at.model.id}: the answer has no choices")
        took_ms, raw = (time.perf_counter() - started) * 1000, reply.body
        return self._completion(
            decision,
            at,
            reply.headers,
            reply.json,
            choice,
            took_ms,
            reply.first_byte_ms,
            raw=raw,
            large=not raw or len(raw) > LARGE_BYTES,
            hold=reply.hold,
            pieces=reply.pieces,
            native=reply.native,
        )

    def _completion(
        self,
        decision: Decision,
        at: Deployment,
        headers: Mapping[str, str],
        body: Json,
        choice: Json | None,
        took_ms: float,
        first_byte_ms: float,
        *,
        aborted: str = "",
        raw: bytes = b"",
        large: bool = False,
        hold: object = None,
        pieces: Sequence[bytes] = (),
        native: Sequence[bytes | memoryview] = (),
    ) -> Completion:
        model = at.model.id
        usage = self._meter.usage_of(body, decision.request.body_bytes or None)
        learned_usd = self._learned_usd(decision.bucket, model) if usage is None else None
        cost = self._meter.cost_with_usage(
            headers,
            body,
            usage,
            at.model,
            multiplier=self._multiplier_of(at.model.base),
            learned_usd=learned_usd,
        )
        if decision.reservation is not None and usage is None and cost.state is not CostState.SETTLED:
            most = self._ceilings.pico(decision.request, decision.bucket, at.model)
            received = self._ceilings.received(decision.request, at.model, body, most)
            cost = Cost(most, CostState.ESTIMATED) if large else received
        message, finish_reason = (choice["message"], choice.get("finish_reason")) if choice is not None else ({}, None)
        content = message.get("content")
        return Completion(
            model=model,
            body={key: value for key, value in body.items() if key in _HEAD} if large else body,
            text="" if large else without_thoughts(content if isinstance(content, str) else _text(content)),
            tool_calls=[] if large or _CALLS.isdisjoint(message) else _tool_calls(message),
            usage=usage,
            cost=cost,
            latency_ms=took_ms,
            first_byte_ms=first_byte_ms,
            finish_reason=finish_reason if isinstance(finish_reason, str) else None,
            aborted=aborted,
            raw=raw,
            large=large,
            hold=hold,
            pieces=pieces,
            native=native,
            base=at.model.base,
            deployment=at.key if at.key != at.model.base else "",
            runtime=at.runtime if self._several else "",
        )


def _attempt(completion: Completion) -> Attempt:
    cost = completion.cost
    return Attempt(completion.model, 200, completion.aborted, completion.latency_ms, cost, completion.runtime)


def _most_needed(decision: Decision) -> float:
    """The most tokens that a request can have needed, however they are counted."""
    gate, reserve = decision.eligible, decision.request.max_tokens or 0
    return gate.prompt_tokens * RATIO_RANGE[1] + reserve + 1 if gate is not None else 0.0


def _choice_with_message(body: Json) -> Json | None:
    """The first choice of an answer, if it has one with a message in it."""
    first = first_choice(body)
    message = first.get("message") if first is not None else None
    return first if message and isinstance(message, dict) else None


def _text(content: object) -> str:
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def _tool_calls(message: Json) -> list[Json]:
    calls, only = message.get("tool_calls"), message.get("function_call")
    if not calls and isinstance(only, dict):
        return [{"type": "function", "function": only}]
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _quoted(words: str, decision: Decision) -> bool:
    """Whether words of a refusal stand in the request that was refused: then they may be its own, and prove nothing."""
    return words.encode() in orjson.dumps(decision.request.messages).lower()
