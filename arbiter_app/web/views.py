"""Rows for the pages, from plain data: every number becomes text once, with its unit and the digits it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from arbiter_app.pipeline.errors import BudgetExceeded
from arbiter_app.pipeline.types import Capability
from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.contents import FoundContent
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.services.rows.keys import KeyEntry, KeyUsage
from arbiter_app.services.rows.models import Abilities, CatalogModel, DeploymentRow
from arbiter_app.services.rows.policy import KnownModel, Outlook, PolicyTable, SegmentRow
from arbiter_app.services.rows.reports import HoldoutReport, ReportSums
from arbiter_app.services.rows.spending import BudgetRow
from arbiter_app.web import decision_words
from arbiter_app.web.formats import (
    NOTHING,
    amount,
    charge,
    count,
    dollars,
    money,
    ms,
    percent,
    percent_css,
    roughly,
    sample,
    score,
    share,
    signed,
)

View = dict[str, str]
Row = Mapping[str, Any]
SURE_N = 5
"""Graded answers from which a model's mean quality counts as the best known."""


def was_refused(row: DecisionRow) -> bool:
    """Whether the request was refused before any model was called: none was chosen for it, or a budget had no room for the one that was."""
    return row.get("status") == "failed" and (not row.get("model") or row.get("error_code") == BudgetExceeded.code)


def spent(row: DecisionRow) -> float | None:
    """USD; None while it is unknown. What was refused cost nothing, or the classifier alone."""
    cost = row.get("cost")
    return 0.0 if cost is None and was_refused(row) else cost


def feed_row(row: DecisionRow) -> View:
    """One decision as the feed and the activity table show it."""
    quality = row.get("quality")
    status = row.get("status") or "ok"
    mode = str(row.get("mode") or "")
    refused = was_refused(row)
    if status != "ok":
        mode = "refused" if refused else status
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
        "cost": charge(spent(row)),
        "saved": charge(row["saved"]) if row.get("saved") is not None else NOTHING,
        "ms": ms(row.get("latency_ms")),
        "overhead": ms(row.get("overhead_ms")),
        "tokens": f"{count(row.get('prompt_tokens'))} → {count(row.get('completion_tokens'))}",
        "state": "nothing was called" if refused and row.get("cost") is None else str(row.get("cost_state") or ""),
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
            f"{percent(low, 0)[:-2]}–{percent(None if high is None else min(100.0, high), 0)}{_from(report['holdout_calls'])}"
        )
    elif pct is not None:
        why = (
            f"too few answers of {baseline} for an interval" if low is None else "the 95 % interval still includes zero"
        )
        sub = f"estimate {percent(pct)} so far; {why}"
    else:
        sub = f"needs a few answers of {baseline} to compare with"
    if not proven:
        sub += expected(report["outlook"])
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


def expected(outlook: Outlook | None) -> str:
    """What is expected to be saved, and when that will be proven; empty where nothing is."""
    if outlook is None or outlook["saved_pct"] < 1:
        return ""
    low, high = (percent(one, 0)[:-2] for one in outlook["likely"])
    words = f" · expected: about {percent(outlook['saved_pct'], 0)} ({low} to {high})"
    requests = outlook["requests_to_go"]
    return words if requests is None else f"{words}, proven in about {roughly(requests)} more requests"


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
        "spend_sub": f"{share(states['settled'] / priced)} settled by the runtime" if priced else "no charge yet",
        "learning": share(learning),
        "learning_sub": _with_cap(money(spent), report["explore_usd_cap"]),
        "models": count(pool_size),
        "tasks": count(len(tasks)),
        "quality": signed(quality_gap(report, policy)),
        "quality_sub": f"of 1; {tolerance:.2f} less is allowed",
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
    up, then = row.get("direction") == "up", str(row.get("then") or "")
    return {
        "ts": f"{row['ts']:.3f}",
        "model": row["model"],
        "task": str(row.get("task") or ""),
        "kind": kind,
        "harm": "yes" if kind in ("quality", "gone", "out_of_credit", "key") or (kind == "price" and up) else "no",
        "change": str(row.get("moved") or ""),
        "reason": then[:1].upper() + then[1:],
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
        "cost": charge(row.get("avg_cost")),
        "ms": ms(row.get("avg_latency_ms")),
        "chosen": "yes" if row.get("chosen") else "",
        "licence": licence(row),
        "licensed": "yes" if row.get("licensed") else "",
        "belief": decision_words.EXPECTED if not row.get("n") and quality is not None else "",
    }


FEATURES = {"system": "system prompt"}
"""What a segment is told apart by, in words, where that is not its name."""


def segment_row(row: SegmentRow) -> View:
    """A segment of a bucket that differs from its others."""
    return {
        "bucket": row["bucket"],
        "task": row["bucket"].split(":")[0],
        "feature": FEATURES.get(row["feature"], row["feature"]),
        "value": row["value"],
        "chance": percent(100 * row["chance"], 0),
        "n": sample(row["n"]),
        "model": row["model"],
        "quality": score(row["quality"]),
    }


def licence(row: KnownModel) -> str:
    """What pairs with the baseline prove of a model, in a few words; empty where it was not compared."""
    worse, pairs, to_go = row["at_most_worse"], row["pairs"], row["pairs_to_go"]
    if not pairs:
        return ""
    if row["licensed"]:
        return "licensed" if worse is None else f"licensed: at most {worse:.2f} worse"
    if to_go is None:
        return f"no licence: {sample(pairs)} pairs"
    return f"licence: {sample(pairs)} of about {roughly(pairs + to_go)} pairs"


def catalog_row(row: CatalogModel) -> View:
    """One model of the catalog with list prices per million tokens."""
    return {
        "id": str(row["id"]),
        "input": per_million(row["input_per_million"]),
        "output": per_million(row["output_per_million"]),
        "context": count(row.get("context")) if row.get("context") else "unknown",
        "can": ", ".join(abilities(row)) or "text",
        "variants": ", ".join(_setting(one.rpartition(":")[2]) for one in row.get("variants", ())),
        "routable": "yes" if row.get("routable") else "",
        "state": {"new": "new", "absent": "not listed"}.get(str(row.get("state")), ""),
        "baseline": "yes" if row.get("baseline") else "",
    }


def _setting(name: str) -> str:
    """The setting of a variant, in words."""
    return f"{int(name):,} tokens" if name.isdecimal() else name


def deployment_row(model: str, row: DeploymentRow) -> View:
    """A model on one runtime: its list prices there, and how it fared."""
    ill = f"rests {count(row['resting_s'])} s" if row["resting_s"] > 0 else "tried next" if row["reason"] else ""
    return {
        "id": model,
        "runtime": row["runtime"],
        "name": row["runtime_name"],
        "input": per_million(row["input_per_million"]),
        "output": per_million(row["output_per_million"]),
        "calls": count(row["calls"]),
        "failed": count(row["failed"]) if row["failed"] else "",
        "latency": ms(row["latency_ms"]),
        "cost": charge(row["cost_per_thousand"]) if row["cost_per_thousand"] is not None else NOTHING,
        "state": ill or ("first" if row["serving"] else "") if row["listed"] else "not listed",
        "reason": row["reason"],
        "kind": "good" if row["serving"] and row["listed"] and not ill else "",
    }


def abilities(row: Abilities) -> list[str]:
    """What a model can beyond text, by the catalog's names; that of a JSON schema goes without saying."""
    can = cast(Mapping[str, object], row)
    return [one.value for one in Capability if one is not Capability.JSON_SCHEMA and can[one]]


def per_million(usd_per_million: float | None) -> str:
    """A list price in USD per 1,000,000 tokens."""
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


def taken(row: BudgetRow) -> float:
    """The share of a budget that is spent or reserved."""
    return (row["spent_usd"] + row["reserved_usd"]) / row["limit_usd"] if row["limit_usd"] else 1.0


def budget_row(row: BudgetRow, names: Mapping[str, str]) -> View:
    """One budget in its present period; the bar has what is spent and what is reserved. `names` are those of projects and keys by id."""
    subject = row["subject"] if row["scope"] == "tag" else names.get(row["subject"]) or row["subject"]
    limit, full = row["limit_usd"], taken(row)
    length = "in all" if row["period"] == "all" else f"a {row['period']}"
    whose = "this key" if row["scope"] == "key" else f"{row['scope']} {subject}"
    return {
        "id": row["id"],
        "scope": row["scope"],
        "subject": subject,
        "named": row["subject"],
        "period": row["period"],
        "length": length,
        "what": f"{amount(limit)} {length}, {whose}",
        "spent_of": f"{amount(row['spent_usd'])} of {amount(limit)}",
        "left": f"{amount(row['left_usd'])} left"
        + (f", {amount(row['reserved_usd'])} reserved" if row["reserved_usd"] else ""),
        "left_usd": amount(row["left_usd"]),
        "counted": _counted(row),
        "label": f"{share(full, 0)} of {amount(limit)} {length} is spent or reserved",
        "width": percent_css(full),
        "hot": "yes" if full >= row["soft"] else "",
        "renews": "" if row["renews"] is None else f"{row['renews']:.0f}",
    }


def _counted(row: BudgetRow) -> str:
    """What of it calls from before the budget was set have cost; empty where there were none."""
    calls = row["counted_calls"]
    of_it = f"{amount(row['counted_usd'])} of it for {calls:,} {'call' if calls == 1 else 'calls'}"
    return f"{of_it} from before this budget was set" if calls else ""


def content_hit(row: FoundContent) -> View:
    """A decision in whose content words were found."""
    quality = row["quality"]
    return {
        "id": row["decision_id"],
        "ts": f"{row['made']:.0f}",
        "task": row["task"] or "",
        "model": row["model"] or "",
        "quality": "" if quality is None else share(quality, 0),
        "excerpt": row["excerpt"],
    }


def keys_with(rows: Iterable[KeyEntry], sought: str) -> list[KeyEntry]:
    """The keys whose id, name or address has a text in it."""
    return [one for one in rows if sought.lower() in f"{one['key_id']} {one['label']} {one['email']}".lower()]


def key_row(row: KeyEntry, projects: Mapping[str, str]) -> View:
    """One key in the operator's list; `projects` are names by id."""
    used = row["last_used"]
    return {
        "project": projects.get(row["project_id"], row["project_id"]),
        "to": f"/app/activity?key={row['key_id']}",
        "used": "" if used is None else f"{used:.0f}",
        "id": str(row.get("key_id")),
        "email": str(row.get("email") or row.get("label") or ""),
        "role": str(row.get("role") or ""),
        "status": str(row.get("status") or ""),
        "ts": f"{row.get('created') or 0:.0f}",
    }
