"""Rows for the pages, from plain data: every number becomes text once, with its unit and the digits it needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from arbiter_app.pipeline.types import Capability, Classification, Eligible
from arbiter_app.services.rows import (
    AlertRow,
    CatalogModel,
    DecisionRow,
    DeploymentRow,
    HoldoutReport,
    KeyRow,
    KeyUsage,
    KnownModel,
    PolicyTable,
    ReportSums,
    TracedDecision,
)

View = dict[str, str]
Row = Mapping[str, Any]

NOTHING = "–"
SURE_N = 5
"""Graded answers from which a model's mean quality counts as the best known."""
_SCALES = ((1e-3, 1.0, ""), (1e-6, 1e-6, " µ"), (1e-9, 1e-9, " n"), (0.0, 1e-12, " p"))


def money(usd: float | None) -> str:
    """Dollars with three or four significant digits: `$1.6504`, `$0.0412`, `$4.1 µ` (millionths), `$0`."""
    if usd is None:
        return "unknown"
    if usd == 0:
        return "$0"
    size, sign = abs(usd), "−" if usd < 0 else ""
    for least, unit, name in _SCALES:
        if size >= least:
            return f"{sign}${_digits(size / unit)}{name}"
    return f"{sign}${size}"


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}" if value < 1000 else f"{value:,.2f}"
    if value >= 10:
        return f"{value:.1f}"
    if value >= 1:
        return f"{value:.2f}"
    return f"{value:.{3 - math.floor(math.log10(value)) - 1}f}"


def dollars(usd: float | None) -> str:
    """Dollars for a total: four decimals from a cent up, otherwise like `money`."""
    if usd is None or abs(usd) < 0.01:
        return money(usd)
    return f"{'−' if usd < 0 else ''}${abs(usd):,.{2 if abs(usd) >= 1000 else 4}f}"


def ms(value: float | None) -> str:
    """Milliseconds: `<0.01`, `0.04`, `12`, `1,420`."""
    if value is None:
        return NOTHING
    if value < 0.005:
        return "<0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def count(value: int | float | None) -> str:
    """A whole number with thousands separators."""
    return NOTHING if value is None else f"{value:,.0f}"


def sample(n: float | None) -> str:
    """A number of grades, in which a judged one may count for less than one."""
    return "<1" if n is not None and 0 < n < 0.5 else count(n)


def share(value: float | None, digits: int = 1) -> str:
    """A share 0..1 as per cent."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %".replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """A per cent, 0 to 100."""
    return share(None if value is None else value / 100, digits)


def percent_css(value: float | None) -> str:
    """A share 0..1 as a CSS length, clamped; empty when unknown."""
    return "" if value is None else f"{max(0.0, min(1.0, value)) * 100:.1f}%"


def score(value: float | None) -> str:
    """A quality 0..1."""
    return NOTHING if value is None else f"{value:.2f}"


def signed(value: float | None, digits: int = 3) -> str:
    """A difference, with a real minus sign."""
    return NOTHING if value is None else f"{value:+.{digits}f}".replace("-", "−")


def feed_row(row: DecisionRow) -> View:
    """One decision as the feed and the activity table show it."""
    quality = row.get("quality")
    status = row.get("status") or "ok"
    mode = str(row.get("mode") or "")
    if status != "ok":
        mode = status
    elif row.get("failover_from"):
        mode = "failover"
    return {
        "id": str(row["id"]),
        "seq": str(row.get("seq") or ""),
        "ts": f"{row['ts']:.3f}",
        "task": str(row.get("task") or "none"),
        "difficulty": str(row.get("difficulty") or ""),
        "model": str(row.get("model") or NOTHING),
        "mode": mode,
        "reason": str(row.get("reason") or ""),
        "quality": score(quality) if quality is not None else _ungraded(row),
        "width": percent_css(quality),
        "cost": money(row.get("cost")),
        "saved": money(row["saved"]) if row.get("saved") is not None else NOTHING,
        "ms": ms(row.get("latency_ms")),
        "overhead": ms(row.get("overhead_ms")),
        "tokens": f"{count(row.get('prompt_tokens'))} → {count(row.get('completion_tokens'))}",
        "state": str(row.get("cost_state") or ""),
    }


def _ungraded(row: DecisionRow) -> str:
    reason = str(row.get("quality_reason") or "")
    return "judge pending" if "pending" in reason else "not graded"


def headline(report: ReportSums) -> View:
    """The measured saving: a number when it is proven, plain words while it is not."""
    low, high = report["interval"] or (None, None)
    pct, baseline = report["saved_pct"], report["baseline_model"]
    proven = report["proven"] and pct is not None
    if proven:
        sub = (
            f"{dollars(report['saved'])} of {dollars(report['baseline_spend'])} · 95 % interval "
            f"{percent(low, 0)[:-2]}–{percent(high, 0)}{_from(report['holdout_calls'])}"
        )
    elif pct is not None:
        why = (
            f"too few answers of {baseline} for an interval" if low is None else "the 95 % interval still includes zero"
        )
        sub = f"estimate {percent(pct)} so far; {why}"
    else:
        sub = f"needs a few answers of {baseline} to compare with"
    return {
        "label": f"Saved against {baseline}, measured",
        "value": percent(pct) if proven else "Not proven yet",
        "kind": "proven" if proven else "unproven",
        "sub": sub,
        "left": percent_css(_axis(low)),
        "width": percent_css(None if low is None or high is None else (min(100, high) - max(-100, low)) / 200),
        "at": percent_css(_axis(pct)),
        "explain": (
            f"Each call is re-priced at what {baseline} was measured to cost for the same kind of prompt, with the "
            "uncertainty of that measurement. Classifier, judge, failed and losing calls are counted against us. It is "
            f"called proven when the 95 % interval leaves zero.{_experiment(report['holdout'])}"
        ),
    }


def _from(holdout: int) -> str:
    return (
        f" · {count(holdout)} calls went to the baseline at random"
        if holdout
        else " · net of everything spent on learning"
    )


def _experiment(holdout: HoldoutReport) -> str:
    """What the randomised holdout alone says, where it says something."""
    if not holdout["interval"]:
        return ""
    low, high = (percent(one, 0) for one in holdout["interval"])
    return f" The random holdout alone says {percent(holdout['saved_pct'], 0)}, between {low} and {high}."


def _axis(pct: float | None) -> float | None:
    """A saving of -100..100 % on a 0..1 axis; zero is the middle."""
    return None if pct is None else (max(-100.0, min(100.0, pct)) + 100) / 200


def figures(report: ReportSums, policy: PolicyTable, *, pool_size: int, tolerance: float) -> View:
    """The strip of numbers beside the headline."""
    states, learning, tasks = report["cost_states"], report["explore_usd_share"], set(map(task_of, _buckets(report)))
    priced = states["settled"] + states["computed"] + states["estimated"] + states["unknown"]
    spent = None if learning is None else learning * report["baseline_spend"]
    return {
        "calls": count(report["calls"]),
        "calls_sub": f"{count(report['failed'])} failed · {count(report['aborted'])} aborted",
        "spend": dollars(report["actual_spend"]),
        "spend_sub": f"{share(states['settled'] / priced if priced else None)} settled by the runtime",
        "learning": share(learning),
        "learning_sub": _with_cap(money(spent), report["explore_usd_cap"]),
        "models": count(pool_size),
        "tasks": count(len(tasks)),
        "quality": signed(quality_gap(report, policy)),
        "quality_sub": f"tolerance −{tolerance:.3f}",
    }


def _buckets(report: ReportSums) -> list[str]:
    return [row["bucket"] for row in report["by_bucket"]]


def task_of(bucket: str) -> str:
    """The task of a bucket, which may have more to its name: `math:hard`."""
    return bucket.partition(":")[0]


def known_models(policy: PolicyTable) -> dict[str, list[KnownModel]]:
    """By bucket what is known of each model that was ever called there, the chosen one first."""
    return {
        bucket: sorted(
            (row for row in rows if row["calls"] or row["chosen"]), key=lambda row: (not row["chosen"], -row["n"])
        )
        for bucket, rows in policy["buckets"].items()
    }


def quality_gap(report: ReportSums, policy: PolicyTable) -> float | None:
    """Mean graded quality of what was served minus that of the best known model, weighted by graded answers."""
    gaps, weight = 0.0, 0
    for bucket in report["by_bucket"]:
        rows = policy["buckets"].get(bucket["bucket"], [])
        known = [row["quality"] for row in rows if row["quality"] is not None and row["n"] >= SURE_N]
        if known and bucket["mean_quality"] is not None:
            gaps += bucket["graded"] * (bucket["mean_quality"] - max(known))
            weight += bucket["graded"]
    return gaps / weight if weight else None


def _with_cap(spent: str, cap: float | None) -> str:
    return f"{spent} · cap {share(cap, 0)}" if cap is not None else spent


def classifier(counts: Mapping[str, int]) -> list[View]:
    """How tasks were recognised: a bar each, biggest first."""
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return [{"name": k, "n": count(v), "share": share(v / total), "width": percent_css(v / total)} for k, v in ordered]


def alert(row: AlertRow) -> View:
    """What moved in one sentence, and what came of it in another."""
    kind = str(row.get("kind") or "price")
    up = row.get("direction") == "up"
    return {
        "ts": f"{row['ts']:.3f}",
        "model": row["model"],
        "task": str(row.get("task") or ""),
        "kind": kind,
        "harm": "yes" if kind in ("quality", "gone", "out_of_credit", "key") or (kind == "price" and up) else "no",
        "change": str(row.get("moved") or ""),
        "reason": str(row.get("then") or ""),
    }


def policy_row(bucket: str, row: KnownModel) -> View:
    """What is known about one model in one bucket."""
    low, high, quality = row.get("low"), row.get("high"), row.get("quality")
    width = None if low is None or high is None else high - low
    return {
        "bucket": bucket,
        "task": bucket.split(":")[0],
        "model": str(row["model"]),
        "n": sample(row.get("n")),
        "quality": score(quality),
        "interval": f"{score(low)}–{score(high)}" if width is not None else NOTHING,
        "left": percent_css(low),
        "width": percent_css(width),
        "at": percent_css(quality),
        "cost": money(row.get("avg_cost")),
        "ms": ms(row.get("avg_latency_ms")),
        "chosen": "yes" if row.get("chosen") else "",
    }


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
        "text": _STORY[name](part, row) if part else "not reached",
        "ms": f"{ms(took)} ms" if took is not None else "",
        "width": percent_css((took or 0) / total),
        "kind": "bad" if failed else "" if part else "wait",
    }


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
    return f"{part.get('mode')} · {part.get('reason')}" + (f" · chosen with probability {chance:.2f}" if chance else "")


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
    return "; ".join(said) + f" · {count(row.get('prompt_tokens'))} → {count(row.get('completion_tokens'))} tokens"


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
    return f"cost, {graded}latency and unit price folded into {row.get('bucket')} for {row.get('model')}"


_STORY = {
    "classify": _classified,
    "filter": _filtered,
    "route": _routed,
    "call": _called,
    "grade": _graded,
    "learn": _learned,
}


def candidates(row: TracedDecision) -> list[View]:
    """Every model that was weighed, the chosen one first, each with why it was not chosen."""
    body: Mapping[str, Any] = row["trace"] or {}
    route, rejected = body.get("route") or {}, (body.get("filter") or {}).get("rejected") or {}
    weighed = [_candidate(one, str(row.get("model"))) for one in route.get("candidates") or []]
    weighed.sort(key=lambda one: one["kind"] != "win")
    return weighed + [_dropped(model, str(why)) for model, why in sorted(rejected.items())]


def _candidate(one: Row, served: str) -> View:
    low, high = one.get("low"), one.get("high")
    spread = None if low is None or high is None else (high - low) / 2
    win = one["model"] == served
    return {
        "model": str(one["model"]),
        "n": sample(one.get("n")),
        "quality": score(one.get("quality")) + (f" ±{spread:.2f}" if spread is not None else ""),
        "cost": money(one.get("cost")),
        "why": "served" if win else str(one.get("why_not") or "chosen, did not serve"),
        "kind": "win" if win else "",
    }


def _dropped(model: str, why: str) -> View:
    return {"model": model, "n": "", "quality": "", "cost": "", "why": f"filtered: {why}", "kind": "out"}


def catalog_row(row: CatalogModel) -> View:
    """One model of the catalog with list prices per million tokens."""
    return {
        "id": str(row["id"]),
        "input": _listed(row["input_per_million"]),
        "output": _listed(row["output_per_million"]),
        "context": count(row.get("context")) if row.get("context") else "unknown",
        "can": ", ".join(_abilities(row)) or "text",
        "routable": "yes" if row.get("routable") else "",
        "state": {"new": "new", "absent": "not listed"}.get(str(row.get("state")), ""),
        "baseline": "yes" if row.get("baseline") else "",
    }


def deployment_row(model: str, row: DeploymentRow) -> View:
    """A model on one runtime: its list prices there, and how it fared."""
    rests = f"rests {count(row['resting_s'])} s" if row["resting_s"] > 0 else ""
    return {
        "id": model,
        "runtime": row["runtime"],
        "name": row["runtime_name"],
        "input": _listed(row["input_per_million"]),
        "output": _listed(row["output_per_million"]),
        "calls": count(row["calls"]),
        "failed": count(row["failed"]) if row["failed"] else "",
        "latency": ms(row["latency_ms"]),
        "cost": money(row["cost_per_thousand"]) if row["cost_per_thousand"] is not None else NOTHING,
        "state": rests or ("first" if row["serving"] else "") if row["listed"] else "not listed",
        "reason": row["reason"],
        "kind": "good" if row["serving"] and row["listed"] and not rests else "",
    }


def _abilities(row: CatalogModel) -> list[str]:
    can = cast(Mapping[str, object], row)
    return [one.value for one in Capability if one is not Capability.JSON_SCHEMA and can[one]]


def _listed(usd_per_million: float | None) -> str:
    return "unknown" if usd_per_million is None else "free" if usd_per_million == 0 else f"${usd_per_million:.3g}"


def usage(row: KeyUsage) -> View:
    """A key with its use against its limits."""
    out = {"key_id": str(row["key_id"]), "email": str(row.get("email") or ""), "status": str(row.get("status") or "")}
    out["role"] = str(row.get("role") or "caller")
    out["fixed"] = "yes" if out["key_id"].startswith("settings-") else ""
    windows = (("6h", row["used_6h"], row["limit_6h"]), ("week", row["used_week"], row["limit_week"]))
    for window, used, limit in windows:
        out[f"used_{window}"] = _used(used, limit, counted=not out["fixed"])
        out[f"limited_{window}"] = "yes" if limit else ""
        out[f"width_{window}"] = percent_css(used / limit) if limit else "0%"
        out[f"hot_{window}"] = "yes" if limit and used / limit > 0.8 else ""
    return out


def _used(used: int, limit: int | None, *, counted: bool) -> str:
    """Requests against a limit; those of a key from the settings are not counted."""
    if limit:
        return f"{count(used)} of {count(limit)} requests"
    return f"{count(used)} requests, no limit" if counted else "no limit"


def views(rows: Iterable[DecisionRow]) -> list[View]:
    """Feed rows of many decisions."""
    return [feed_row(row) for row in rows]


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
        "reason": str(row.get("reason") or ""),
        "first": f"first token {ms(first)} ms" if first is not None else "",
        "overhead_sub": f"{ms(row.get('overhead_ms'))} ms in Arbiter itself",
    }


def fits(seen: Classification, eligible: Eligible, budget: float | None) -> View:
    """Before sending: what kind of prompt this is and how many models could serve it within the ceilings."""
    total = len(eligible.models) + len(eligible.rejected)
    ceiling = "no cost ceiling" if budget is None else f"at most {money(budget)}"
    met = "" if eligible.budget_met else " Nobody fits the budget: the cheapest would serve."
    return {
        "task": str(seen.task.value),
        "difficulty": seen.difficulty,
        "rule": seen.rule or "rules are unsure; a model will classify it",
        "n": str(len(eligible.models)),
        "count": f"{len(eligible.models)} of {total} models fit",
        "ceiling": ceiling,
        "tokens": f"about {count(eligible.tokens_needed)} tokens",
        "note": met.strip(),
        "models": ", ".join(eligible.models),
        "width": percent_css(len(eligible.models) / total if total else 0),
    }


def facts(row: DecisionRow) -> list[View]:
    """What happened, as names and values."""
    found = {
        "task": f"{row.get('task')}, {row.get('difficulty')}",
        "learned in": row.get("bucket"),
        "model": row.get("model"),
        "mode": row.get("mode"),
        "reason": row.get("reason"),
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
        "key": row.get("key_id"),
        "request": row.get("request_id"),
    }
    return [{"name": name, "value": str(value)} for name, value in found.items() if value not in (None, "")]


def charges(row: DecisionRow) -> list[View]:
    """Where the money went, and what the baseline would have cost."""
    lines = (
        ("answer", row.get("answer_cost"), "the call that answered"),
        ("classifier", row.get("classifier_cost"), "naming the task, when rules were unsure"),
        ("judge", row.get("judge_cost"), "grading afterwards"),
        ("in total", row.get("cost"), f"{row.get('cost_state')}; losing calls included, judge not"),
        ("baseline", row.get("baseline"), "the same prompt at the baseline's measured rates"),
        ("saved", row.get("saved"), "estimate for this call"),
    )
    known = ("answer", "in total", "baseline")
    return [
        {"name": name, "value": money(usd), "note": note}
        for name, usd, note in lines
        if usd is not None or name in known
    ]


def asked(row: TracedDecision) -> list[View]:
    """The shape of the request; its text is not kept."""
    request = (row["trace"] or {}).get("request") or {}
    return [
        {"name": str(name).replace("_", " "), "value": ", ".join(value) if isinstance(value, list) else str(value)}
        for name, value in request.items()
        if value not in (None, False)
    ]


def key_row(row: KeyRow) -> View:
    """One key in the operator's list."""
    return {
        "id": str(row.get("key_id")),
        "email": str(row.get("email") or row.get("label") or ""),
        "role": str(row.get("role") or ""),
        "status": str(row.get("status") or ""),
        "ts": f"{row.get('created') or 0:.0f}",
    }
