"""Which models are quarantined: a failing model rests for a growing time, then one probe decides.

Pure bookkeeping over a clock that is passed in (seconds, monotonic). One instance per process; `told` hears of every
change, so that others can be kept equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Rest:
    until: float
    failures: int
    reason: str
    probing: bool = False
    gone: bool = False


_NOBODY: frozenset[str] = frozenset()
OUTVOTED = 3
"""Requests in a row that a model refused as malformed and another answered, before it rests as one that fails."""


class Health:
    """Quarantine with growing rests (`first_s` doubled per failure up to `max_s`) and a single probe at the end.

    A model that the runtime says it does not serve is gone: it rests from `gone_s` up to `gone_max_s`.
    """

    def __init__(
        self,
        *,
        first_s: float = 5.0,
        max_s: float = 300.0,
        gone_s: float = 3_600.0,
        gone_max_s: float = 86_400.0,
        send: Callable[[str, Any], None] = lambda kind, data: None,
    ) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._gone_s = gone_s
        self._gone_max_s = gone_max_s
        self._resting: dict[str, _Rest] = {}
        self._outvoted: dict[str, int] = {}
        self._send = send

    def quarantined(self, model: str, now: float) -> bool:
        """True while the model rests, and while somebody else's probe of it is under way."""
        rest = self._resting.get(model)
        return rest is not None and (rest.probing or now < rest.until)

    def resting(self, now: float) -> frozenset[str]:
        """The models for which `quarantined` holds."""
        return frozenset(model for model in self._resting if self.quarantined(model, now)) if self._resting else _NOBODY

    def begin(self, model: str) -> None:
        """A call of the model starts: after a rest this call is the probe, and others wait for its outcome."""
        rest = self._resting.get(model)
        if rest is not None:
            rest.probing = True

    def succeeded(self, model: str) -> None:
        """The model answered: it is healthy again."""
        self._outvoted.pop(model, None)
        if self._resting.pop(model, None) is not None:
            self._send("rest", [model, None])

    def released(self, model: str) -> None:
        """The call ended without saying anything about the model (caller hung up, caller's own mistake)."""
        rest = self._resting.get(model)
        if rest is not None:
            rest.probing = False

    def failed(self, model: str, now: float, reason: str, retry_after_s: float | None = None) -> float:
        """The model failed: it rests. Honours Retry-After up to the longest rest. Returns the rest in seconds."""
        before = self._resting.get(model)
        failures = 1 if before is None or before.gone else before.failures + 1
        rest_s = min(self._max_s, self._first_s * 2.0 ** min(failures - 1, 30))
        if retry_after_s is not None:
            rest_s = min(self._max_s, max(rest_s, retry_after_s))
        self._rest(model, _Rest(now + rest_s, failures, reason), rest_s)
        return rest_s

    def outvoted(self, model: str, now: float, reason: str) -> None:
        """The model refused as malformed what another one answered; one that does so again and again rests."""
        times = self._outvoted[model] = self._outvoted.get(model, 0) + 1
        if times >= OUTVOTED:
            self.failed(model, now, reason)

    def lost(self, model: str, now: float, reason: str) -> float:
        """The runtime does not serve the model, or not to us: it rests long. Returns the rest in seconds."""
        before = self._resting.get(model)
        failures = before.failures + 1 if before is not None and before.gone else 1
        rest_s = min(self._gone_max_s, self._gone_s * 2.0 ** min(failures - 1, 30))
        self._rest(model, _Rest(now + rest_s, failures, reason, gone=True), rest_s)
        return rest_s

    def gone(self) -> frozenset[str]:
        """The models that the runtime said it does not serve, and that have not answered since."""
        return frozenset(model for model, rest in self._resting.items() if rest.gone) if self._resting else _NOBODY

    def hear(self, model: str, rest: dict[str, Any] | None, now: float) -> None:
        """Do as another process was `told`: the model rests, or (None) is healthy again."""
        if rest is None:
            self._resting.pop(model, None)
        else:
            gone = bool(rest.get("gone"))
            left_s = min(rest["seconds_left"], self._gone_max_s if gone else self._max_s)
            self._resting[model] = _Rest(now + left_s, rest["failures"], rest["reason"], gone=gone)

    def _rest(self, model: str, rest: _Rest, rest_s: float) -> None:
        self._resting[model] = rest
        self._send(
            "rest",
            [model, {"seconds_left": rest_s, "failures": rest.failures, "reason": rest.reason, "gone": rest.gone}],
        )

    def snapshot(self, now: float) -> dict[str, dict[str, object]]:
        """The resting models: seconds left, failures in a row, the last reason, and whether the runtime lacks it."""
        return {
            model: {
                "seconds_left": max(0.0, rest.until - now),
                "failures": rest.failures,
                "reason": rest.reason,
                "gone": rest.gone,
            }
            for model, rest in self._resting.items()
        }

    def forget(self) -> None:
        """Everybody is healthy again (operator reset)."""
        self._outvoted.clear()
        self._resting.clear()
