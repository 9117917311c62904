"""Whoever sets no limit to an answer gets one where a budget applies: no answer costs more than was reserved for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ceilings import UNSTATED_TOKENS_OUT
from tests.conftest import OPERATOR, Running, running
from tests.stranger import Said, Stranger, stranger

LONG = 60_000
"""Tokens that the model would say if nobody stopped it."""
PIN = "gpt-4o"
ASK = {"messages": [{"role": "user", "content": "Write all you know"}], "arbiter_no_cache": True, "arbiter_pin": PIN}


@dataclass
class Talker:
    """A model without end, whose provider takes a limit by some names, of so many tokens at most."""

    takes: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    most: int = LONG
    asked: list[dict[str, Any]] = field(default_factory=list)

    def say(self, raw: bytes) -> Said:
        body = json.loads(raw)
        self.asked.append(body)
        for name in ("max_tokens", "max_completion_tokens"):
            if name in body and name not in self.takes:
                why = (
                    f"Unsupported parameter: '{name}' is not supported with this model. Use '{self.takes[0]}' instead."
                )
                return _refusal(why, name, "unsupported_parameter")
            if body.get(name, 0) > self.most:
                why = f"{name} is too large: {body[name]}. This model supports at most {self.most} completion tokens"
                return _refusal(why, name, "invalid_value")
        said = min([LONG, *[body[name] for name in self.takes if body.get(name)]])
        choice = {"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "length"}
        usage = {"prompt_tokens": 10, "completion_tokens": said, "total_tokens": 10 + said}
        told = {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage}
        return 200, "application/json", json.dumps(told).encode()


def _refusal(why: str, name: str, code: str) -> Said:
    told = {"error": {"message": why, "type": "invalid_request_error", "param": name, "code": code}}
    return 400, "application/json", json.dumps(told).encode()


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[tuple[Running, Stranger]]:
    with stranger() as runtime, running(tmp_path, **runtime.settings, ARBITER_JUDGE_MODEL="") as one:
        yield one, runtime


def limited(one: Running, limit: float) -> None:
    body = {"scope": "project", "subject": "default", "period": "all", "limit_usd": str(limit)}
    assert one.http.post("/v1/budgets", json=body).status_code == 200


def spent(one: Running) -> tuple[float, float]:
    (row,) = one.http.get("/v1/budgets").json()["data"]
    return row["spent_usd"], row["reserved_usd"]


@pytest.mark.parametrize(
    "talker",
    [Talker(), Talker(takes=("max_completion_tokens",)), Talker(takes=("max_tokens",)), Talker(most=4_096)],
    ids=["takes both", "takes the new name", "takes the old name", "takes fewer"],
)
def test_no_answer_costs_more_than_was_reserved(talking: tuple[Running, Stranger], talker: Talker) -> None:
    one, runtime = talking
    runtime.say = talker.say
    limited(one, 1_000)
    told = one.http.post("/v1/route", json=ASK).json()["budget"]
    assert told["remaining_usd"] == 1_000 and told["dollar_weight"] == 1.0
    for at in range(2):
        before, _ = spent(one)
        answer = one.http.post("/v1/chat/completions", json=ASK)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] == min(UNSTATED_TOKENS_OUT, talker.most)
        charged = spent(one)[0] - before
        assert 0 < charged <= told["reserves_usd"], (at, charged, told)
        assert spent(one)[1] == 0
    tries = [body for body in talker.asked if body["model"] == PIN]
    plain = talker.most == LONG and "max_tokens" in talker.takes
    assert len(tries) == (2 if plain else 3), "what the runtime takes is learned"


def lenient(said: object) -> float:
    """A number as runtimes read it that take what can be one."""
    return float(said) if isinstance(said, int | float | str) else 0.0


NEW_NAME = [{"max_completion_tokens": one} for one in (50_000, 50_000.0, "50000")]
"""A runtime that does not know that name makes answers without a limit."""
ANY_NAME: list[dict[str, Any]] = [
    *[{"n": one, "max_tokens": 100} for one in (50, 50.0, "50", " 50 ", "5_0", 49.5)],
    *[{"max_completion_tokens": one} for one in (-1, "-1", "x")],
    {"max_tokens": 10, "max_completion_tokens": 50_000},
    {"max_tokens": 50_000, "max_completion_tokens": 10},
    {"max_tokens": "50000", "max_completion_tokens": 10},
    {"max_tokens": -1},
    {"best_of": 20, "max_tokens": 100},
    {"service_tier": "priority", "max_tokens": 5_000},
]


@pytest.mark.parametrize(
    ("wish", "old"),
    [*[(wish, False) for wish in (*NEW_NAME, *ANY_NAME)], *[(wish, True) for wish in ANY_NAME]],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "old" if value else "new",
)
def test_whatever_a_lenient_runtime_reads_is_reserved(
    talking: tuple[Running, Stranger], wish: dict[str, Any], old: bool
) -> None:
    """An old runtime knows `max_tokens` alone; a new one looks at the other first."""
    one, runtime = talking

    def say(raw: bytes) -> Said:
        body = json.loads(raw)
        names = ("max_tokens",) if old else ("max_completion_tokens", "max_tokens")
        stated = [body[name] for name in names if body.get(name) is not None]
        try:
            limit = lenient(stated[0]) if stated else -1
            times = max(lenient(body.get(name, 1)) for name in ("n", "best_of"))
        except ValueError:
            return _refusal("it is no number", "max_completion_tokens", "invalid_type")
        said = int((min(limit, LONG) if limit > 0 else LONG) * times)
        choice = {"index": 0, "message": {"role": "assistant", "content": "word"}, "finish_reason": "length"}
        usage: dict[str, Any] = {"prompt_tokens": 10, "completion_tokens": said, "total_tokens": 10 + said}
        if body.get("service_tier") == "priority":
            usage["cost"] = 2 * (2.5 * 10 + 10 * said) / 1e6
        told = {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage}
        return 200, "application/json", json.dumps(told).encode()

    runtime.say = say
    limited(one, 1_000)
    reserves = one.http.post("/v1/route", json={**ASK, **wish}).json()["budget"]["reserves_usd"]
    answer = one.http.post("/v1/chat/completions", json={**ASK, **wish})
    assert answer.status_code == 200, answer.text
    assert 0 < spent(one)[0] <= reserves


def test_a_budget_is_never_overrun_by_answers_without_a_limit(talking: tuple[Running, Stranger]) -> None:
    one, runtime = talking
    runtime.say = Talker().say
    limited(one, 1_000)
    reserves = one.http.post("/v1/route", json=ASK).json()["budget"]["reserves_usd"]
    limited(one, 2.5 * reserves)
    statuses = [one.http.post("/v1/chat/completions", json=ASK).status_code for _ in range(6)]
    assert statuses[0] == 200 and statuses[-1] == 402
    used, reserved = spent(one)
    assert used <= 2.5 * reserves and reserved == 0
    refused = one.http.post("/v1/route", json=ASK)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")


def test_without_a_budget_nothing_is_limited_and_a_stated_limit_stays(talking: tuple[Running, Stranger]) -> None:
    one, runtime = talking
    talker = Talker()
    runtime.say = talker.say
    answer = one.http.post("/v1/chat/completions", json=ASK).json()
    assert answer["usage"]["completion_tokens"] == LONG
    assert one.http.post("/v1/route", json=ASK).json()["budget"] is None
    limited(one, 1_000)
    stated = one.http.post("/v1/chat/completions", json={**ASK, "max_tokens": 50_000}).json()
    assert stated["usage"]["completion_tokens"] == 50_000


def test_reports_have_the_budgets_of_what_they_are_about(talking: tuple[Running, Stranger]) -> None:
    one, _ = talking
    limited(one, 7)
    made = one.http.post("/v1/keys", json={"label": "mine"}).json()
    assert [row["limit_usd"] for row in one.http.get("/v1/report").json()["budgets"]] == [7]
    assert one.http.get("/v1/report", params={"key": made["key"]["key_id"]}).json()["budgets"] == []
    assert len(one.http.get("/v1/report", params={"project": "default"}).json()["budgets"]) == 1
    with one.client(made["api_key"]) as caller:
        assert len(caller.get("/v1/report").json()["budgets"]) == 1
    assert OPERATOR not in one.http.get("/v1/report").text
