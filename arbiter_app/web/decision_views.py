"""One decision for the pages: its stages, its candidates, its facts and its charges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arbiter_app.pipeline.types import Classification, Mode
from arbiter_app.services.rows.decisions import DecisionRow, RouteAnswer, TracedDecision
from arbiter_app.web import decision_words
from arbiter_app.web.formats import (
    charge,
    count,
    money,
    ms,
    percent_css,
    sample,
    score,
)
from arbiter_app.web.views import Row, View, spent, was_refused

STAGES = ("classify", "filter", "route", "call", "grade", "learn")


def trace(row: TracedDecision) -> list[View]:
    """The six stages of a decision as a story: name, one sentence, milliseconds, share of the time, state."""
    body: Mapping[str, Any] = row["trace"] or {}
    total = sum(float((body.get(name) or {}).get("ms") or 0) for name in STAGES) or 1.0
    return [_stage(name, body.get(name), row, total) for name in STAGES]


def _stage(name: str, part: Mapping[str, Any] | None, row: TracedDecision, total: float) -> View:
    took = (part or {}).get("ms")
    failed = row.get("status") not in (None, "ok") and name == "call"
    return {
        "name": name.capitalize(),
        "text": _STORY[name](part, row) if part else _without(name, row),
        "ms": f"{ms(took)} ms" if took is not None else "",
        "width": percent_css((took or 0) / total),
        "kind": "bad" if failed else "" if part else "wait",
    }


def _without(name: str, row: TracedDecision) -> str:
    """What stands for a stage that a request did not go through."""
    everybody = name == "route" and row.get("mode") == Mode.CALIBRATE
    return "every model is asked: there is nothing to choose" if everybody else "not reached"


def _classified(part: Mapping[str, Any], row: TracedDecision) -> str:
    by = {"rules": "by rule", "model": "by the classifier model", "memory": "remembered from the same prompt"}
    how = by.get(str(part.get("by")), "classifier unsure, so open")
    rule = f" “{part['rule']}”" if part.get("rule") else ""
    paid = f" · {money(part['cost'])}" if part.get("cost") else ""
    return f"{part.get('task')}, {part.get('difficulty')} · {how}{rule}{paid}"


def _filtered(part: Mapping[str, Any], row: TracedDecision) -> str:
    left, out = part.get("eligible") or [], part.get("rejected") or {}
    head = f"{len(left) + len(out)} → {len(left)} models · needs {count(part.get('tokens_needed'))} tokens"
    gates = sorted({str(reason) for reason in out.values()})
    note = str(part.get("note") or "")
    return " · ".join([head, *gates[:3], *([note] if note else [])])


def _routed(part: Mapping[str, Any], row: TracedDecision) -> str:
    chance = row.get("propensity")
    words = decision_words.reason(str(part.get("reason")))
    return f"{part.get('mode')} · {words}" + (f" · chosen with probability {chance:.2f}" if chance else "")


def _called(part: Mapping[str, Any], row: TracedDecision) -> str:
    tries = part.get("attempts") or []
    if not tries:
        return "served from the cache, no model was called" if row.get("cache") == "hit" else "no model was called"
    said = [
        f"{one['model']}{' on ' + str(one['runtime']) if one.get('runtime') else ''} {'failed: ' + str(one['error']) if one.get('error') else 'answered'}"
        f" in {ms(one.get('ms'))} ms"
        + (f" for {money(one['cost'])} ({one['cost_state']})" if not one.get("error") else "")
        for one in tries
    ]
    return (
        "; ".join(said)
        + f" · {count(row.get('prompt_tokens'))} → {count(row.get('completion_tokens'))} tokens{_cached(part)}"
    )


def _cached(part: Mapping[str, Any]) -> str:
    """How much of the prompt came from the provider's cache, and went to it."""
    told = {"from": part.get("cached_tokens"), "written to": part.get("written_tokens")}
    kinds = [f"{count(tokens)} {how}" for how, tokens in told.items() if tokens]
    return f" ({', '.join(kinds)} the provider's cache)" if kinds else ""


def _graded(part: Mapping[str, Any], row: TracedDecision) -> str:
    quality = row.get("quality", part.get("quality"))
    reason = str(row.get("quality_reason") or part.get("reason") or "")
    source = str(row.get("quality_source") or part.get("source") or "")
    head = f"{score(quality)} · {source}: {reason}" if quality is not None else reason or "not graded"
    cascade = part.get("cascade")
    return head + (f" · asked again after {cascade['model']} scored {score(cascade['quality'])}" if cascade else "")


def _learned(part: Mapping[str, Any], row: TracedDecision) -> str:
    if row.get("status") not in (None, "ok"):
        return "a failed call teaches nothing"
    if row.get("cache") == "hit":
        return "a cached answer teaches nothing"
    graded = "quality, " if row.get("quality") is not None else ""
    beside = [one["model"] for one in row.get("shadows") or []]
    also = f"; {', '.join(beside)} asked beside it" if beside else ""
    return f"cost, {graded}latency and unit price folded into {row.get('bucket')} for {row.get('model')}{also}"


def candidates(row: TracedDecision) -> list[View]:
    """Every model that was weighed, the chosen one first, each with why it was not chosen."""
    body: Mapping[str, Any] = row["trace"] or {}
    route, rejected = body.get("route") or {}, (body.get("filter") or {}).get("rejected") or {}
    served = str(row.get("model"))
    several = route.get("candidates") or []
    paid = next((one.get("cost") for one in several if one["model"] == served), None)
    weighed = [_candidate(one, served, paid) for one in several]
    weighed.sort(key=lambda one: one["kind"] != "win")
    return weighed + [_dropped(model, str(why)) for model, why in sorted(rejected.items())]


def _candidate(one: Row, served: str, paid: float | None) -> View:
    low, high = one.get("low"), one.get("high")
    spread = None if low is None or high is None else (high - low) / 2
    win = one["model"] == served
    said = str(one.get("why_not") or "")
    why = decision_words.why_not(said, one.get("cost"), served, paid) if said else "chosen, did not serve"
    expected = win and not one.get("n") and one.get("quality") is not None
    return {
        "model": str(one["model"]),
        "n": sample(one.get("n")),
        "quality": score(one.get("quality")) + (f" ±{spread:.2f}" if spread is not None else ""),
        "cost": charge(one.get("cost")),
        "why": ("served" if win else why) + (f"; {decision_words.EXPECTED}" if expected else ""),
        "kind": "win" if win else "",
    }


def _dropped(model: str, why: str) -> View:
    return {"model": model, "n": "", "quality": "", "cost": "", "why": f"filtered: {why}", "kind": "out"}


def waiting() -> list[View]:
    """The six stages before anything is known."""
    return [
        {"name": name.capitalize(), "text": "…", "ms": "", "width": "", "kind": "run" if name == "call" else "wait"}
        for name in STAGES
    ]


def outcome(row: DecisionRow) -> View:
    """The result of one playground call, in figures."""
    first = row.get("first_byte_ms")
    return {
        "baseline": money(row.get("baseline")),
        "reason": decision_words.reason(str(row.get("reason") or "")),
        "first": f"first token {ms(first)} ms" if first is not None else "",
        "overhead_sub": f"{ms(row.get('overhead_ms'))} ms in Arbiter itself",
    }


def fits(foretold: RouteAnswer, budget: float | None, seen: Classification | None) -> View:
    """Before sending: what kind of prompt this is, how many models could serve it within the ceilings, and which one would."""
    able, total = len(foretold["candidates"]), len(foretold["candidates"]) + len(foretold["rejected"])
    cost, usual = foretold["expected_cost"], foretold["baseline_cost"]
    beside = "" if usual is None or foretold["model"] == foretold["baseline"] else f", the baseline {money(usual)}"
    return {
        "task": foretold["task"],
        "difficulty": foretold["difficulty"],
        "rule": (seen.rule if seen else "") or "rules are unsure; a model will classify it",
        "n": str(able),
        "count": f"{able} of {total} models fit",
        "ceiling": "no cost ceiling" if budget is None else f"at most {money(budget)}",
        "tokens": f"about {count(foretold['tokens_needed'])} tokens",
        "note": "" if foretold["budget_met"] else "Nobody fits the budget: the cheapest would serve.",
        "models": ", ".join(one["model"] for one in foretold["candidates"]),
        "width": percent_css(able / total if total else 0),
        "model": foretold["model"],
        "expected": "price not known yet" if cost is None else f"about {money(cost)}{beside}",
        "why": decision_words.reason(foretold["reason"]),
    }


def facts(row: DecisionRow) -> list[View]:
    """What happened, as names and values."""
    found = {
        "task": f"{row.get('task')}, {row.get('difficulty')}",
        "learned in": row.get("bucket"),
        "model": row.get("model"),
        "mode": row.get("mode"),
        "reason": decision_words.reason(str(row.get("reason") or "")),
        "quality": f"{score(row.get('quality'))} ({row.get('quality_source')})"
        if row.get("quality") is not None
        else None,
        "grade": row.get("quality_reason"),
        "tokens": f"{count(row.get('prompt_tokens'))} in, {count(row.get('completion_tokens'))} out",
        "whole answer": f"{ms(row.get('latency_ms'))} ms",
        "first byte": f"{ms(row.get('first_byte_ms'))} ms",
        "Arbiter itself": f"{ms(row.get('overhead_ms'))} ms",
        "streamed": "yes" if row.get("stream") else "no",
        "cache": row.get("cache"),
        "status": f"{row.get('status')} {row.get('error_code') or ''}".strip(),
        "project": row.get("project_id"),
        "key": row.get("key_id"),
        "end user": row.get("end_user"),
        "tags": ", ".join(row.get("tags") or ()),
        "request": row.get("request_id"),
    }
    return [{"name": name, "value": str(value)} for name, value in found.items() if value not in (None, "")]


def charges(row: DecisionRow) -> list[View]:
    """Where the money went, and what the baseline would have cost."""
    lines = (
        ("answer", 0.0 if was_refused(row) else row.get("answer_cost"), "the call that answered"),
        ("classifier", row.get("classifier_cost"), "naming the task, when rules were unsure"),
        ("judge", row.get("judge_cost"), "grading afterwards"),
        ("learning", row.get("learning_cost"), "models asked beside the answer; not in the total"),
        (
            "in total",
            spent(row),
            "nothing was called" if was_refused(row) else f"{row.get('cost_state')}; losing calls included, judge not",
        ),
        ("baseline", row.get("baseline"), "the same prompt at the baseline's measured rates"),
        ("saved", row.get("saved"), "estimate for this call"),
    )
    known = ("answer", "in total", "baseline")
    return [
        {"name": name, "value": charge(usd), "note": note}
        for name, usd, note in lines
        if usd is not None or name in known
    ]


def shadows(row: TracedDecision) -> list[View]:
    """The models that were asked beside the answer, to learn: what each cost and scored."""
    return [
        {
            "model": one["model"],
            "quality": score(one["quality"]),
            "cost": money(one["cost"]) if one["status"] == "ok" else one["status"],
            "ms": f"{ms(one['latency_ms'])} ms",
            "why": one["error"] or one["quality_reason"],
        }
        for one in row.get("shadows") or []
    ]


def asked(row: TracedDecision) -> list[View]:
    """The shape of the request; its text is not kept."""
    request = (row["trace"] or {}).get("request") or {}
    return [
        {"name": str(name).replace("_", " "), "value": ", ".join(value) if isinstance(value, list) else str(value)}
        for name, value in request.items()
        if value not in (None, False)
    ]


_STORY = {
    "classify": _classified,
    "filter": _filtered,
    "route": _routed,
    "call": _called,
    "grade": _graded,
    "learn": _learned,
}
