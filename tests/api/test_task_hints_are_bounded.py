"""Nobody moves others' buckets by saying that a prompt is what it is not."""

from __future__ import annotations

import pytest

from arbiter_app.pipeline.hints import DAY_S, TAUGHT_A_DAY, TaskHints
from arbiter_app.pipeline.rules import Verdict
from arbiter_app.pipeline.types import Caller, Role, Task
from tests.conftest import OPERATOR, Running

VAGUE = "Make it so."
CODE = "Write a Python function that adds two numbers."


def calls(gateway: Running, bucket: str) -> float:
    """Answers that the policy has learned of in a bucket."""
    return sum(stats.calls for name, _, stats in gateway.arbiter.policy.rows() if name == bucket)


def ask(gateway: Running, key: str, prompts: list[str], hint: str) -> list[str]:
    """How each was classified, in words."""
    rules = []
    with gateway.client(key) as caller:
        for prompt in prompts:
            body = {"messages": [{"role": "user", "content": prompt}]}
            told = caller.post("/v1/chat/completions", json=body, headers={"x-arbiter-task": hint})
            assert told.json()["arbiter"]["task"] == hint.partition(":")[0]
            trace = gateway.http.get(f"/v1/decisions/{told.json()['arbiter']['decision_id']}").json()["trace"]
            rules.append(trace["classify"]["rule"])
    return rules


def test_what_the_rules_see_otherwise_is_answered_and_teaches_nothing(own_gateway: Running) -> None:
    rules = ask(own_gateway, own_gateway.caller(), [f"{CODE} Case {at}." for at in range(5)], "math")
    own_gateway.settle()
    assert calls(own_gateway, "math") == 0 and own_gateway.arbiter.policy.rows() == []
    assert "nothing is learned of it, as the rules see code" in rules[0]


def test_a_callers_bare_word_teaches_a_little_however_many_keys_it_has(own_gateway: Running) -> None:
    for email in ("A@example.org", "a@example.org"):
        ask(own_gateway, own_gateway.caller(email), [f"{VAGUE} {at}" for at in range(15)], "math")
    assert calls(own_gateway, "math") == TAUGHT_A_DAY
    ask(own_gateway, own_gateway.caller("b@example.org"), [VAGUE], "math")
    assert calls(own_gateway, "math") == TAUGHT_A_DAY + 1


def test_an_operator_is_believed_and_what_the_rules_confirm_needs_no_belief(own_gateway: Running) -> None:
    ask(own_gateway, OPERATOR, [f"{CODE} Case {at}." for at in range(3)], "open")
    assert calls(own_gateway, "open") == 3
    ask(own_gateway, own_gateway.caller(), [f"{CODE} Case {at}." for at in range(TAUGHT_A_DAY + 2)], "code")
    assert calls(own_gateway, "code") >= TAUGHT_A_DAY + 2  # escalations teach of two models


def test_an_empty_header_is_none(gateway: Running) -> None:
    body = {"messages": [{"role": "user", "content": CODE}]}
    told = gateway.http.post("/v1/chat/completions", json=body, headers={"x-arbiter-task": ""})
    assert (told.status_code, told.json()["arbiter"]["classified_by"]) == (200, "rules")


@pytest.mark.parametrize(("hard", "taught"), [(False, 50), (True, TAUGHT_A_DAY)])
def test_a_difficulty_that_the_rules_do_not_see_is_a_word_too(hard: bool, taught: int) -> None:
    hints, caller = TaskHints(), Caller("k", Role.CALLER)
    ruled = Verdict(Task.CODE, "code")
    doubts = [hints.doubt(caller, Task.CODE, hard=hard, ruled=ruled, ruled_hard=False) for _ in range(50)]
    assert doubts.count("") == taught


def test_a_day_later_the_word_counts_again_and_what_is_remembered_is_bounded() -> None:
    clock = [0.0]
    hints = TaskHints(now=lambda: clock[0], entries=10)

    def doubt(key: str) -> str:
        return hints.doubt(Caller(key, Role.CALLER), Task.MATH, hard=False, ruled=None, ruled_hard=False)

    assert [bool(doubt("k")) for _ in range(TAUGHT_A_DAY + 1)] == [False] * TAUGHT_A_DAY + [True]
    clock[0] = DAY_S
    assert doubt("k") == ""
    for at in range(1_000):
        doubt(f"k{at}")
    assert len(hints._taught) == 10
