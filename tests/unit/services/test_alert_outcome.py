"""An alert's outcome is read off the decisions before and after it, and said in plain words."""

from __future__ import annotations

from typing import Any

from arbiter_app.services.alert_outcome import concerned, outcome, told

ALERT: dict[str, Any] = {"kind": "price", "bucket": "math", "model": "A", "old_unit": 1.0, "new_unit": 8.0}


def rows(
    models: str, *, modes: str = "", usd: dict[str, float] | None = None, start: float = 0.0
) -> list[dict[str, Any]]:
    """One decision a letter: the model; `modes` has an `e` where it was a trial. A costs 0.8 thousandths, B 0.1."""
    prices = usd or {"A": 0.0008, "B": 0.0001, "C": 0.0003}
    modes = modes.ljust(len(models), ".")
    return [
        {
            **{
                "ts": start + at,
                "status": "ok",
                "bucket": "math",
                "model": model,
                "cascaded_from": None,
                "quality": 0.9,
            },
            **{"mode": "explore" if mode == "e" else "exploit", "cost_pico": round(prices[model] * 1e12)},
        }
        for at, (model, mode) in enumerate(zip(models, modes, strict=True))
    ]


def seen(alert: dict[str, Any], before: str, after: str, modes: str = "") -> dict[str, Any]:
    found = outcome(alert, rows(before), rows(after, modes=modes, start=100.0))
    return {**alert, "settled": found.pop("settled"), "outcome": found}


def test_a_price_alarm_tells_trials_their_cost_and_where_traffic_went() -> None:
    after = seen(ALERT, "A" * 30, "ABACAB" + "B" * 20, "eeee")
    assert after["settled"] is not None
    assert (after["outcome"]["trials"], after["outcome"]["moved_after"]) == (4, 5)
    moved, then = told(after)
    assert moved == "8 times dearer"
    assert then == (
        "4 trials for $0.0020; traffic moved from A to B in 5 requests; 1,000 requests cost $0.10 instead of $0.80"
    )


def test_traffic_that_stays_and_traffic_that_does_not_settle_is_said() -> None:
    assert told(seen(ALERT, "A" * 30, "A" * 25))[1] == "traffic stays with A; 1,000 requests cost $0.80"
    young = seen(ALERT, "A" * 30, "AAB", "..e")
    assert young["settled"] is None
    assert told(young)[1] == "1 trial for $0.00010; 3 requests since, traffic has not settled yet"
    assert told({**ALERT, "settled": None, "outcome": None})[1] == "no request since"
    gone = told(seen(ALERT, "A" * 30, "B" * 20))[1]
    assert gone.endswith("1,000 requests cost $0.10 instead of $0.80"), (
        "its last calls stand for those that were not made"
    )
    between = seen(ALERT, "A" * 30, "C" * 18 + "A" + "B" * 25)
    assert told(between)[1].startswith("traffic moved from A to B in 19 requests"), "C served for a while alone"
    assert told(seen(ALERT, "A" * 30, "B" * 25 + "CCA"))[1].startswith("traffic moved from A to B at once")
    restless = seen(ALERT, "A" * 30, "AB" * 200)
    assert restless["settled"] == 399.0
    assert told(restless)[1].startswith("traffic did not settle on one model in 300 requests")


def test_quality_and_cheaper_prices_and_the_pool_have_their_own_words() -> None:
    quality = {**ALERT, "kind": "quality", "old_unit": 0.95, "new_unit": 0.3}
    moved, then = told(seen(quality, "A" * 30, "A" + "B" * 25))
    assert moved == "graded 0.95 before, 0.30 now"
    assert then.startswith("traffic moved from A to B in 1 request; ")
    assert then.endswith("answers are graded 0.90 instead of 0.30")
    assert told(seen({**ALERT, "new_unit": 0.25}, "A", "A" * 20))[0] == "75 % cheaper"
    new = {**ALERT, "kind": "new", "bucket": "", "model": "B", "old_unit": None, "new_unit": None}
    assert seen(new, "A" * 30, "A" * 30)["settled"] is None, "a new model that nobody tried yet"
    assert told(seen(new, "A" * 30, "B" * 6 + "A" * 30, "eeeeee"))[1].endswith("it serves 0 % of them")
    assert told(seen({**new, "kind": "gone", "model": "A"}, "A" * 30, "C" * 30))[0] == "left the pool"


def test_only_routed_answers_of_the_bucket_count_and_an_escalation_belongs_to_who_failed() -> None:
    mixed = rows("AAAA")
    mixed[0]["bucket"], mixed[1]["status"], mixed[2]["mode"] = "code", "failed", "pinned"
    assert concerned(ALERT, mixed) == [mixed[3]]
    escalated = [{**row, "cascaded_from": "A"} for row in rows("B" * 30)]
    assert outcome(ALERT, [], escalated)["served_after"] == "A"
