"""A limit to the answer of a request that states none, where budgets apply: what is reserved is the most that it may then cost.

It is sent as `max_tokens`, which most runtimes take. One that refuses that, or so many, is asked once again in the way that it names, and
from then on.
"""

from __future__ import annotations

import re

from arbiter_app.pipeline.native import NativeRequest
from arbiter_app.pipeline.ports import Refusal, Refused
from arbiter_app.pipeline.types import ChatRequest, Json

NAMES = ("max_tokens", "max_completion_tokens")
NATIVE_NAME = "max_output_tokens"
"""Its name in Responses; Messages always state one."""
LEAST = 16
"""No runtime takes fewer for a limit: such a number in a refusal is something else."""
REMEMBERED = 4_096
_NUMBER = re.compile(r"\d+(?:,\d{3})*")
Limit = tuple[str, int]
"""Name of the member, and tokens."""


class AnswerLimits:
    """What each deployment, by its key, is known to take."""

    def __init__(self) -> None:
        self._known: dict[str, Limit] = {}

    def of(self, deployment: str, most: int) -> Limit:
        """How a limit of so many tokens is sent: never as more than that."""
        name, taken = self._known.get(deployment, (NAMES[0], most))
        return name, min(most, taken)

    def after(self, deployment: str, limit: Limit, refusal: Refusal | None) -> Limit | None:
        """How to send it after a refusal of it; None where the refusal is about something else, or does not say how."""
        other = _other(limit, refusal)
        if other is not None and len(self._known) < REMEMBERED:
            self._known[deployment] = other
        return other


def limited(own: Json, request: ChatRequest, limit: Limit, native: str) -> Json:
    """Our own members of a request (`native`: the name of that which is the request in its caller's dialect) with a limit."""
    name, tokens = limit
    nonsensical = [one for one in NAMES if request.payload.get(one) is not None]  # else the caller had set a limit
    made: Json = {**own, **dict.fromkeys(nonsensical, tokens), name: tokens}
    said: NativeRequest | None = own.get(native, request.native)
    if said is not None:
        made[native] = said.with_members(**{NATIVE_NAME: str(tokens)})
    return made


def _other(limit: Limit, refusal: Refusal | None) -> Limit | None:
    if refusal is None or refusal.means not in (Refused.UNSUPPORTED, Refused.INVALID):
        return None
    name, tokens = limit
    said = f"{refusal.message} {refusal.param or ''}".lower()
    if not any(one in said for one in (*NAMES, NATIVE_NAME, "output tokens", "completion tokens")):
        return None
    if name == NAMES[0] and NAMES[1] in said:
        return NAMES[1], tokens
    fewer = [n for n in (int(one.replace(",", "")) for one in _NUMBER.findall(said)) if LEAST <= n < tokens]
    return (name, max(fewer)) if fewer else None
