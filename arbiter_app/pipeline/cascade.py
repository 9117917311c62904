"""The cascade: an answer that an objective check failed sends its request to a stronger model, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from arbiter_app.pipeline.call import Calls
from arbiter_app.pipeline.decision import CheapAnswer, Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.types import Mode

log = logging.getLogger("arbiter.lifecycle")


@dataclass(frozen=True, slots=True)
class Cascade:
    """Escalates answers of a quality `below` so much; of none where that is negative."""

    calls: Calls
    router: Router
    below: float

    async def escalate(self, decision: Decision) -> bool:
        """Whether a stronger model has answered; if that fails, the first answer stands."""
        cheap, failed = decision.completion, decision.grade
        if cheap is None:
            return False
        stronger = self.router.stronger(decision)
        if stronger is None:
            return False
        better = None
        decision.timing.enter("call_ms")
        try:
            better = await self.calls.complete(decision, (stronger,))
        except ArbiterError as error:
            said = {"decision": decision.id, "error": error.code}
            log.info("escalation failed, the first answer stands", extra=said)
        except Exception:
            log.exception("an answer was not escalated", extra={"decision": decision.id})
        if better is None:
            return False
        decision.cascade = CheapAnswer(cheap, failed)
        decision.reason = f"{cheap.model} failed its check ({failed.reason}); escalated to {stronger}"
        decision.completion, decision.mode = better, Mode.ESCALATE
        return True
