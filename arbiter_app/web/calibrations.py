"""A calibration in words, for its panel; and what is known of the judge, in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from arbiter_app.services.rows.calibrations import CalibrationView
from arbiter_app.services.rows.reports import JudgeTrust, ReactionTrust
from arbiter_app.web.formats import charge, count, money, percent_css, score
from arbiter_app.web.views import View

BLANK: View = {"id": "", "state": "", "price": "", "progress": "", "width": "0%", "note": "", "go": ""}


def shown(said: CalibrationView) -> View:
    """The state of a calibration: what it costs, how far it is, and what can be done next."""
    left = said["total"] - said["done"]
    over = "; more than the cap, so it will stop before the end" if said["estimate_usd"] > said["max_usd"] else ""
    failed = f", {count(said['failed'])} failed" if said["failed"] else ""
    return {
        "id": str(said["id"]),
        "state": str(said["state"]),
        "price": f"{count(said['prompts'])} prompts on {count(said['models'])} models, {count(said['total'])} calls: "
        f"about {money(said['estimate_usd'])}, at most {money(said['max_usd'])}{over}.",
        "progress": f"{said['state']}: {count(said['done'])} of {count(said['total'])} calls{failed}, "
        f"{money(said['spent_usd'])} spent",
        "width": percent_css(said["done"] / said["total"] if said["total"] else 0.0),
        "note": ". ".join([one for one in (str(said["note"]), *map(str, said["failures"])) if one]),
        "go": "" if said["state"] == "running" or not left else "Start" if not said["done"] else "Go on",
    }


def outcomes(said: CalibrationView) -> list[View]:
    """The table: per task and model quality, mean cost and n."""
    return [
        {
            "bucket": str(row["bucket"]),
            "task": str(row["bucket"]).partition(":")[0],
            "model": str(row["model"]),
            "quality": score(row["quality"]),
            "cost": charge(row["mean_cost"]),
            "n": count(row["n"]),
            "judged": "by the judge" if row["judged"] else "",
        }
        for row in said["table"]
    ]


def judge(said: JudgeTrust) -> str:
    """How far the judge can be trusted, in one sentence."""
    against = (("objective checks", said["objective"]), ("people", said["people"]))
    parts = [
        f"with {words} in {100 * one['agreement']:.0f} % ± {50 * (one['high'] - one['low']):.0f} of {count(one['n'])}"
        for words, one in against
        if one is not None
    ]
    if not parts:
        return f"The judge, {said['model']}, has not been compared yet; its grades weigh half an objective one."
    weights = {row["task"]: row["weight"] for row in said["by_task"]}
    weighed = ", ".join(f"{weight:.2f} in {task}" for task, weight in weights.items() if weight is not None)
    return f"The judge, {said['model']}, agrees {', '.join(parts)}. Its grades weigh {weighed}, an objective one 1."


def reactions(said: Sequence[ReactionTrust]) -> Iterator[str]:
    """What reactions weigh, in a sentence for each place where they are seen; none before any was compared."""
    whose = {"tools": "What tools give to the next turn", "words": "What people say next"}
    for seen_in, words in whose.items():
        rows = [row for row in said if row["seen_in"] == seen_in]
        if rows:
            weighed = ", ".join(f"{row['weight']:.2f} in {row['task']} ({count(row['n'])} compared)" for row in rows)
            yield f"{words} weighs {weighed}."
