"""Weak grades from what happens next: when a conversation goes on, its new request says how good the last answer was.

Everything happens after the answer to that new request has gone, and in memory: of an answer it is remembered where it stood, and nothing
of what was said. How much a reaction counts is learned from answers that have another grade, too (`policy.agreement`, as of the judge),
it never counts more than `MOST_WEIGHT`, and of one caller some a day (`pipeline.reactions.Influence`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping

from arbiter_app import values
from arbiter_app.metrics import Metrics
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.ports import Pairing
from arbiter_app.pipeline.reactions import TOOLS, WORDS, Influence, Reaction, reaction_to_last
from arbiter_app.pipeline.types import ChatRequest, Grade, Mode
from arbiter_app.policy import agreement
from arbiter_app.policy.agreement import OBJECTIVE, PairKey, Pairs, Trust
from arbiter_app.services.rows.reports import ReactionTrust

log = logging.getLogger("arbiter.reacting")

CONVERSATIONS = 10_000
"""As many last answers are remembered."""
MOST_WEIGHT = 0.3
"""What a reaction weighs at most, of an objective grade: what a person says next is never a check."""
PRIOR = agreement.prior_of(0.1)
"""What is believed of reactions before anything is known: ten weigh as much as one objective grade."""
_CHOSEN = frozenset({Mode.EXPLORE, Mode.EXPLOIT, Mode.ESCALATE, Mode.HOLDOUT})
"""Of whom something is learned: callers say nothing of a model that they chose themselves."""


@values.value(frozen=True, slots=True)
class LastAnswer:
    """Where an answer stood: its bucket, its model, and how many messages the request had that it answered; with its grade (`form`: that
    is of the form of a call), and whether it has one that counts already or will (`graded`)."""

    bucket: str
    model: str
    messages: int
    grade: Grade
    form: bool
    graded: bool


class Reacting:
    """Matches requests with the last answer of their conversation, by the identity that keeps it with its model.

    `known` are the pairs of scores and truths that the store keeps, `take_in` adds to them.
    """

    def __init__(
        self,
        learner: Learner,
        metrics: Metrics,
        *,
        on: bool,
        known: Callable[[], Mapping[PairKey, Pairs]],
        take_in: Callable[[tuple[Pairing, ...]], None],
        trust: Callable[[str], Trust],
        influence: Influence | None = None,
    ) -> None:
        self._learner = learner
        self._metrics = metrics
        self._on = on
        self._known = known
        self._take_in = take_in
        self._judge_trust = trust
        self._influence = influence or Influence()
        self._last: OrderedDict[tuple[str, str], LastAnswer] = OrderedDict()
        self._waiting = 0

    def follow(self, decision: Decision) -> None:
        """An answer is on record: remember where it stood; and once it has gone, look at what its request said of the one before."""
        if not self._on:
            return
        request, seen, done = decision.request, decision.classification, decision.completion
        last = self._last.pop(request.talk, None)
        if (
            decision.mode in _CHOSEN
            and decision.status == "ok"
            and (done is not None and not done.large)
            and (seen is not None and seen.teaches)
        ):
            # That a call has the form it should have says little of whether it was the right one: what the tool gives counts, too.
            # Answers beside which others were asked are all graded together.
            form = bool(done.tool_calls)
            asked = decision.choice is not None and bool(decision.choice.shadows)
            graded = decision.judge_pending or asked or (decision.grade.quality is not None and not form)
            messages = len(request.messages)
            self._last[request.talk] = LastAnswer(decision.bucket, done.model, messages, decision.grade, form, graded)
            if len(self._last) > CONVERSATIONS:
                self._last.popitem(last=False)
        if last is None or len(request.messages) <= last.messages + 1:
            return
        serving = asyncio.current_task()
        if serving is None:
            self._look(last, request)
        else:
            serving.add_done_callback(lambda _: self._look(last, request))

    def trust(self, seen_in: str, bucket: str) -> Trust:
        """How far reactions that are seen in one place are to be trusted in a bucket."""
        return agreement.trust(self._known(), seen_in, bucket.partition(":")[0], PRIOR)

    def told(self) -> list[ReactionTrust]:
        """Per place and task: pairs with other grades, how often both were on one side, and what a reaction weighs."""
        return [
            {
                "seen_in": seen_in.removeprefix("next turn: "),
                "task": str(row["task"]),
                "n": int(str(row["n"])),
                "agreement": float(str(row["agreement"])),
                "weight": min(self.trust(seen_in, str(row["task"])).weight, MOST_WEIGHT),
            }
            for seen_in in (TOOLS, WORDS)
            for row in agreement.report(self._known(), seen_in)
        ]

    def forget(self) -> None:
        """Remember no answer (operator reset)."""
        self._last.clear()

    def _look(self, last: LastAnswer, request: ChatRequest) -> None:
        try:
            reaction = reaction_to_last(request.messages, last.messages)
            if reaction is not None:
                self._react(last, request, reaction)
        except Exception:
            # Nobody would hear of a defect of ours here, and no answer may suffer from it.
            log.exception("a reaction was not learned from")

    def _react(self, last: LastAnswer, request: ChatRequest, reaction: Reaction) -> None:
        counts = self._influence.takes(request.caller, last.bucket)
        used = "beyond the cap" if not counts else "compared" if last.graded else "learned"
        self._metrics.reactions.add(reaction.kind, used)
        if not counts:
            return
        pairs: tuple[Pairing, ...] = ()
        truth = None if last.form else last.grade.quality
        if truth is not None:
            if last.grade.source == "judge":
                truth = self._judge_trust(last.bucket).read(truth)
            key = (reaction.seen_in, last.bucket.partition(":")[0], OBJECTIVE)
            pairs = ((key, agreement.pair(reaction.score, truth)),)
        quality = weight = None
        if not last.graded:
            trust = self.trust(reaction.seen_in, last.bucket)
            quality, weight = trust.read(reaction.score), min(trust.weight, MOST_WEIGHT)
        if pairs or quality is not None:
            self._learner.reacted(last.bucket, last.model, quality, weight or 0.0, pairs)
            self._take_in(pairs)
