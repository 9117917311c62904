"""Adding up what came back, exactly, and holding Arbiter's own books against it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import quantiles

from arbiter_app.bench.client import BenchAnswer
from arbiter_app.pipeline.types import Json

NOTHING = Decimal(0)


@dataclass(slots=True)
class Tally:
    """Running sums in USD. `saved` counts only where a baseline has been measured."""

    done: int = 0
    spend: Decimal = NOTHING
    saved: Decimal = NOTHING
    unknown_costs: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    tasks: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    models: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    modes: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    costs: dict[str, Decimal | None] = field(default_factory=dict)
    asked: dict[str, Json] = field(default_factory=dict)

    def add(self, answer: BenchAnswer, body: Json) -> None:
        """Count one answer to a request."""
        self.done += 1
        self.statuses[answer.status] += 1
        told = answer.arbiter
        if answer.error:
            self.errors[answer.error[:120]] += 1
        if answer.decision_id:
            self.costs[answer.decision_id] = told.get("cost")
            self.asked[answer.decision_id] = body
        if not told:
            return
        self.spend += told["cost"] or NOTHING
        self.unknown_costs += told["cost"] is None
        self.saved += told.get("saved") or NOTHING
        self.tasks[told["task"]][told["classified_by"]] += 1
        self.models[_bucket(told)][told["model"]] += 1
        self.modes[told["mode"]] += 1
        self.latencies_ms.append(answer.latency_ms)

    def quantile_ms(self, share: float) -> float | None:
        """A latency quantile; None with fewer than two answers."""
        if len(self.latencies_ms) < 2:
            return None
        return quantiles(self.latencies_ms, n=100, method="inclusive")[round(share * 100) - 1]


def problems(tally: Tally, recorded: Mapping[str, Json | None], before: Json, after: Json) -> Iterator[str]:
    """What does not add up, in sentences; nothing when every answer is on record and the report is exact.

    `recorded` holds the decision that Arbiter kept under each id, `before` and `after` its report.
    """
    broken = sum(n for status, n in tally.statuses.items() if status == 0 or status >= 500)
    if broken:
        yield f"{broken} requests failed on Arbiter's side"
    lost = [decision_id for decision_id, row in recorded.items() if row is None]
    if lost:
        yield f"{len(lost)} decisions are not on record, the first is {lost[0]}"
    kept = {decision_id: row for decision_id, row in recorded.items() if row is not None}
    for decision_id, row in kept.items():
        told = tally.costs[decision_id]
        if told is not None and told != row["cost"]:
            yield f"{decision_id}: the answer said {told} USD, the record says {row['cost']} USD"
    calls = after["calls"] - before["calls"]
    if calls != len(kept):
        yield f"the report counts {calls} calls, {len(kept)} were recorded (was there other traffic?)"
    expected = sum((row["cost"] or NOTHING for row in kept.values()), NOTHING)
    reported = _of_answers(after) - _of_answers(before)
    if reported != expected:
        yield f"the report says {reported} USD for answers, the costs returned add up to {expected} USD"


def _of_answers(report: Json) -> Decimal:
    """Without judge and learning, of which answers say nothing."""
    learning = Decimal(report["learning_spend_exact"])
    return Decimal(report["actual_spend_exact"]) - Decimal(report["judge_spend"]) - learning


def _bucket(told: Json) -> str:
    return f"{told['task']}:hard" if told["difficulty"] == "hard" else str(told["task"])
