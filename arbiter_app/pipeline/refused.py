"""What the caller hears when models refused: their own words where the request is at fault, else what to do about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import (
    ArbiterError,
    ContextLengthExceeded,
    DeadlineExceeded,
    ModelNotFound,
    OutOfCredit,
    Overloaded,
    RateLimited,
    RuntimeUnavailable,
    UpstreamRejected,
    too_long,
)
from arbiter_app.pipeline.ports import Refusal, Refused, RuntimeFault

MAX_SAID_CHARS = 200
SOON_S = 0.25


def rejected(refusal: Refusal) -> UpstreamRejected:
    """The runtime's refusal of the request itself, in its own words."""
    code = "content_filter" if refusal.means is Refused.CONTENT else refusal.code
    if refusal.means is Refused.TOO_LONG:
        code = ContextLengthExceeded.code
    said = refusal.message or "the runtime refused the request and did not say why"
    return UpstreamRejected(said, status=refusal.status, type_=refusal.type, code=code, param=refusal.param)


def broken_off(model: str, fault: RuntimeFault) -> ArbiterError:
    """The error of a stream that broke after its answer had begun."""
    said = f"{model} broke off its answer: {fault.message}"
    if fault.means is Refused.CONTENT:
        return UpstreamRejected(said, status=400, code="content_filter")
    if fault.means is Refused.TOO_LONG:
        return ContextLengthExceeded(said)
    if fault.means is Refused.OUT_OF_CREDIT:
        return OutOfCredit(said)
    if fault.means is Refused.KEY:
        return RuntimeUnavailable(said, code="runtime_key_refused")
    if fault.means is Refused.RATE_LIMITED:
        return RateLimited(said, code="runtime_rate_limited", retry_after_s=_soonest([fault]))
    if fault.means is Refused.OVERLOADED:
        return Overloaded(said, code="runtime_overloaded", retry_after_s=_soonest([fault]))
    return DeadlineExceeded(said) if fault.kind == "timeout" else RuntimeUnavailable(said)


def exhausted(decision: Decision, faults: Sequence[RuntimeFault]) -> ArbiterError:
    """The error when no model answered, named after what the models said; models that are gone say nothing about the others."""
    tried = ", ".join(f"{one.named} ({one.error[:MAX_SAID_CHARS]})" for one in decision.attempts if one.error) or "none"
    malformed = next((one.refusal for one in faults if one.refusal is not None and one.means is Refused.INVALID), None)
    if malformed is not None and not any(fault.means is Refused.TOO_LONG for fault in faults):
        return rejected(malformed)
    late = decision.deadline - time.monotonic() < SOON_S
    if not faults or (late and any(fault.kind == "timeout" for fault in faults)):
        return DeadlineExceeded(f"no model answered before the deadline; tried: {tried}")
    telling = [fault for fault in faults if fault.means is not Refused.GONE]
    if not telling:
        return _gone(decision, tried)
    if all(fault.kind == "timeout" for fault in telling):
        return DeadlineExceeded(f"no model answered in time; tried: {tried}", code="runtime_timeout")
    meanings = {fault.means for fault in telling}
    if meanings <= {Refused.TOO_LONG, Refused.UNSUPPORTED, Refused.FOREIGN, Refused.INVALID}:
        return _unable(decision, telling)
    if len(meanings) == 1:
        named = _NAMED.get(next(iter(meanings)))
        if named is not None:
            return named(tried, telling)
    return RuntimeUnavailable(f"no model answered; tried: {tried}")


def _gone(decision: Decision, tried: str) -> ArbiterError:
    """A pin is the caller's choice, any other name was ours."""
    pin = decision.request.pin
    if pin is not None:
        return ModelNotFound(f"the pinned model {pin} is not served by the runtime: {tried}", param="arbiter_pin")
    return RuntimeUnavailable(f"none of the models that were asked is served by the runtime; tried: {tried}")


def _unable(decision: Decision, faults: Sequence[RuntimeFault]) -> ArbiterError:
    """The request needs more than any of these models can: a larger window, or a parameter that they refuse."""
    refusals = [fault.refusal for fault in faults if fault.refusal is not None]
    long = [one for one in refusals if one.means is Refused.TOO_LONG]
    if not long:
        return rejected(refusals[-1])
    gate, reserve = decision.eligible, decision.request.max_tokens or 0
    widest = max(long, key=lambda one: one.window or 0)
    needed = widest.needs or (gate.tokens_needed if gate is not None else 0)
    return too_long(widest.window, max(needed, reserve), reserve)


def _out_of_credit(tried: str, faults: Sequence[RuntimeFault]) -> ArbiterError:
    return OutOfCredit(f"the runtime's account is out of credit, which waiting does not help; tried: {tried}")


def _key_refused(tried: str, faults: Sequence[RuntimeFault]) -> ArbiterError:
    return RuntimeUnavailable(
        f"the runtime refuses the key that it was given; tried: {tried}", code="runtime_key_refused"
    )


def _rate_limited(tried: str, faults: Sequence[RuntimeFault]) -> ArbiterError:
    said = f"the runtime limits its rate; tried: {tried}"
    return RateLimited(said, code="runtime_rate_limited", retry_after_s=_soonest(faults))


def _overloaded(tried: str, faults: Sequence[RuntimeFault]) -> ArbiterError:
    said = f"the runtime is overloaded; tried: {tried}"
    return Overloaded(said, code="runtime_overloaded", retry_after_s=_soonest(faults))


def _soonest(faults: Sequence[RuntimeFault]) -> float:
    return min((fault.retry_after_s for fault in faults if fault.retry_after_s is not None), default=1.0)


_NAMED: Mapping[Refused, Callable[[str, Sequence[RuntimeFault]], ArbiterError]] = {
    Refused.OUT_OF_CREDIT: _out_of_credit,
    Refused.KEY: _key_refused,
    Refused.RATE_LIMITED: _rate_limited,
    Refused.OVERLOADED: _overloaded,
}
