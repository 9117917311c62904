"""What happens next is a weak grade: it moves what is believed in the right direction, no caller beyond its cap, and keeps nothing of what was said."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.dialects.openai_chat import parse
from arbiter_app.pipeline.reactions import A_DAY, TOOLS, WORDS
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.runtime.sandbox.making import make_answer
from arbiter_app.services.reacting import MOST_WEIGHT
from tests.conftest import Running, running

QUIET = {
    "ARBITER_CASCADE": "off",
    "ARBITER_JUDGE_SAMPLE": "0",
    "ARBITER_JUDGE_CHECK": "0",
    "ARBITER_BASELINE_FIRST": "0",
}
TOPICS = ("rain", "bread", "a harbour", "old bicycles", "the moon", "chess", "a lighthouse", "tea", "winter", "maps")


@pytest.fixture
def over(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, ARBITER_REACTIONS="on", **QUIET) as one:
        yield one


def post(http: httpx.Client, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """An answer: its message, with the `arbiter` object as `told`."""
    answer = http.post("/v1/chat/completions", json={"messages": messages, "arbiter_no_cache": True, **fields})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return {**body["choices"][0]["message"], "told": body["arbiter"]}


def goes_on(http: httpx.Client, ask: str, reply: str, **fields: Any) -> dict[str, Any]:
    """A conversation of two turns; what was told of the first answer."""
    first = post(http, [{"role": "user", "content": ask}], **fields)
    answer = {"role": "assistant", "content": first["content"]}
    post(http, [{"role": "user", "content": ask}, answer, {"role": "user", "content": reply}])
    told: dict[str, Any] = first["told"]
    return told


def graded(over: Running) -> dict[tuple[str, str], tuple[float, float]]:
    """Weight and sum of the grades, by bucket and model."""
    over.settle()
    rows = over.run(lambda: _rows(over))
    return {(bucket, model): (stats.graded, stats.quality_sum) for bucket, model, stats in rows if stats.graded}


async def _rows(over: Running) -> Any:
    return over.arbiter.policy.rows()


def test_a_complaint_is_a_weak_grade_and_thanks_another(over: Running) -> None:
    bad = goes_on(over.http, "Write a poem about rain.", "That is wrong.")
    ((bucket, model), (weight, total)) = next(iter(graded(over).items()))
    assert (bucket, model) == ("open", bad["model"]) and bad["quality"] is None
    assert 0 < weight < 0.15 and total / weight < 0.3
    goes_on(over.http, "Write a poem about bread.", "Thanks, perfect.", arbiter_models=[model])
    ((_, (more, both)),) = graded(over).items()
    assert more > weight and both - total > 0.8 * (more - weight)
    assert over.http.get(f"/v1/decisions/{bad['decision_id']}").json()["quality"] is None, "its record stays as it was"


def test_what_a_tool_gave_is_a_grade_of_the_call(over: Running) -> None:
    tool = {"type": "function", "function": {"name": "run", "parameters": {"type": "object", "properties": {}}}}
    asked: list[dict[str, Any]] = [{"role": "user", "content": "Run the tests of this project."}]
    first = post(over.http, asked, tools=[tool], tool_choice="required")
    before = graded(over)
    call = first["tool_calls"][0]
    history = [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "2 failed, 3 passed"},
    ]
    post(over.http, history, tools=[tool], tool_choice="none")
    after = graded(over)
    key = next(key for key in after if key[1] == first["told"]["model"])
    assert 0 < after[key][0] - before[key][0] < 0.15
    assert after[key][1] - before[key][1] < 0.2 * (after[key][0] - before[key][0]) + 1e-9


def test_of_models_that_the_caller_chose_and_of_other_turns_nothing_is_learned(over: Running) -> None:
    goes_on(over.http, "Write a poem about tea.", "That is wrong.", arbiter_pin="gpt-4o")
    goes_on(over.http, "Write a poem about chess.", "And one about draughts?")
    ask = {"role": "user", "content": "Write a poem about maps."}
    post(over.http, [ask])
    post(over.http, [ask, {"role": "user", "content": "That is wrong."}])
    assert graded(over) == {}


def test_a_graded_answer_says_how_much_reactions_are_worth(over: Running) -> None:
    for at in range(12):
        goes_on(over.http, f"What is {at + 3} * 17?", "That is wrong." if at % 2 else "Thanks!")
    report = over.http.get("/v1/report").json()["reactions"]
    assert [(row["seen_in"], row["task"], row["n"]) for row in report] == [("words", "math", 12)]
    assert 0 <= report[0]["weight"] <= MOST_WEIGHT
    weights = {key: value for key, value in graded(over).items() if key[0] == "math"}
    assert sum(weight for weight, _ in weights.values()) == pytest.approx(12), "the checks count, and nothing else"


def test_people_who_mean_what_they_say_teach_who_is_good(over: Running) -> None:
    """Simulated people over answers of known quality: they complain of bad ones and thank for good ones, not always, and at times wrongly."""
    rng, http = random.Random(7), over.http
    callers = [over.client(over.caller(f"p{n}@example.com")) for n in range(12)]
    arithmetic = ("gpt-4o", "hermes-3-llama-3.1-405b")
    for at in range(120):  # where answers are checked, it shows what people's words are worth
        ask = f"What is {rng.randint(20, 99)} * {rng.randint(20, 99)} - {at}?"
        body = {
            "messages": [{"role": "user", "content": ask}],
            "arbiter_no_cache": True,
            "arbiter_models": [arithmetic[at % 2]],
        }
        first = post(callers[at % 12], body["messages"], arbiter_models=body["arbiter_models"])
        good = first["told"]["quality"] == 1.0
        reply = _said(rng, good)
        answer = {"role": "assistant", "content": first["content"]}
        post(callers[at % 12], [*body["messages"], answer, {"role": "user", "content": reply}])
    weight = next(row["weight"] for row in http.get("/v1/report").json()["reactions"] if row["task"] == "math")
    assert 0.12 < weight <= MOST_WEIGHT, "more than was believed before anything was known"
    before = graded(over)
    served = {"gpt-4o": 0.0, "qwen3-coder-480b-a35b-07-25": 0.0}
    for at in range(80):  # where nothing else grades, their words do
        model = list(served)[at % 2]
        asked = [{"role": "user", "content": f"Write a short story about {rng.choice(TOPICS)}, number {at}."}]
        first = post(callers[at % 12], asked, arbiter_models=[model], temperature=0.9)
        truth = make_answer(over.world, {"model": model, "messages": asked}, model).said.quality
        served[model] += truth / 40
        reply = _said(rng, rng.random() < truth)
        post(
            callers[at % 12],
            [*asked, {"role": "assistant", "content": first["content"]}, {"role": "user", "content": reply}],
        )
    learned = {model: graded(over)["open", model] for model in served}
    assert ("open", "gpt-4o") not in before
    means = {model: total / weight for model, (weight, total) in learned.items()}
    assert served["gpt-4o"] - served["qwen3-coder-480b-a35b-07-25"] > 0.2
    assert means["gpt-4o"] - means["qwen3-coder-480b-a35b-07-25"] > 0.1
    for one in callers:
        one.close()


def _said(rng: random.Random, good: bool) -> str:
    """Six in ten say something of the answer; one of these in ten is mistaken."""
    if rng.random() < 0.4:
        return "And what about something else entirely?"
    return "Thanks, perfect." if good == (rng.random() < 0.9) else "That is wrong."


def test_a_hostile_caller_moves_nothing_beyond_its_cap(over: Running) -> None:
    """It answers everything with complaints under several keys, first where answers are checked, so that its word seems worth something."""
    keys = [over.client(over.caller("eve@example.com")) for _ in range(4)]
    for at in range(30):
        goes_on(keys[at % 4], f"What is {at} * 3?", "Thanks!")
    pairs = over.arbiter.judging.known
    assert sum(one.n for (judge, _, _), one in pairs.items() if judge in (TOOLS, WORDS)) <= A_DAY
    before = graded(over)
    for at in range(30):
        goes_on(keys[at % 4], f"Write a poem about {TOPICS[at % 10]}, {at}.", "That is wrong.")
    after = graded(over)
    moved = {key: after[key][0] - before.get(key, (0.0, 0.0))[0] for key in after}
    assert {bucket for (bucket, _), weight in moved.items() if weight > 0} == {"open"}
    assert 0 < sum(moved.values()) <= A_DAY * MOST_WEIGHT
    text = over.http.get("/metrics").text
    beyond = [
        line for line in text.splitlines() if line.startswith("arbiter_reactions_total") and "beyond the cap" in line
    ]
    assert sum(float(line.rpartition(" ")[2]) for line in beyond) == 2 * (30 - A_DAY)
    for one in keys:
        one.close()


def test_nothing_of_what_was_said_is_kept(tmp_path: Path) -> None:
    with running(tmp_path, database="sqlite", ARBITER_REACTIONS="on", **QUIET) as one:
        goes_on(one.http, "Write a poem about xyzzyquux.", "That is wrong, plughplover.")
        assert graded(one)
        remembered = repr(list(one.arbiter.reacting._last.items()))
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    for word in ("xyzzyquux", "plughplover"):
        assert word.encode() not in kept and word not in remembered


def test_an_answer_is_there_before_what_its_request_said_of_the_one_before_is_read(over: Running) -> None:
    ask = "Write a poem about winter."
    first = post(over.http, [{"role": "user", "content": ask}])
    said = {"role": "user", "content": "no " * 300_000}
    history = [{"role": "user", "content": ask}, {"role": "assistant", "content": first["content"]}, said]
    caller = Caller("operator", Role.OPERATOR)
    remembered = over.arbiter.reacting._last
    ((key, last),) = remembered.items()
    remembered[caller.key_id, key[1]] = last

    async def answered() -> bool:
        request = parse(json.dumps({"messages": history, "arbiter_no_cache": True}).encode(), caller, "r")
        decision = await over.arbiter.lifecycle.answer(request)
        return decision.completion is not None and not any(one.graded for _, _, one in over.arbiter.policy.rows())

    assert over.run(answered), "nothing is learned while the task that serves it goes on"
    assert graded(over), "and it is once that has ended"
