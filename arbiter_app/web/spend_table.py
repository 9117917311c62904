"""Who spent it, in rows for its page: each group beside the period before, and where its decisions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from arbiter_app.services.rows.spending import SpendAnswer, SpendRow
from arbiter_app.web.formats import NOTHING, alike, count, dollars, money, percent_css, share
from arbiter_app.web.views import View

LABELS = {
    "project": "project",
    "key": "key",
    "tag": "tag",
    "user": "end user",
    "model": "model",
    "runtime": "runtime",
}
"""What can be summed by, in words."""


def rows(
    now: SpendAnswer, before: SpendAnswer, by: str, times: tuple[int, int], narrowed: Mapping[str, str]
) -> list[View]:
    """The groups of both periods, the dearest first."""
    found, past = _by_name(now["data"], by), _by_name(before["data"], by)
    names = sorted({*found, *past}, key=lambda name: (-_spend(found.get(name)), -_spend(past.get(name)), name))
    spent = [(_spend(found.get(name)), _spend(past.get(name))) for name in names]
    written = alike([usd for new, old in spent for usd in (new, old, new - old)])
    most = max([new for new, _ in spent], default=0.0)
    total = now["total"]["spend"]
    return [
        {
            "name": _shown(name, found.get(name) or past.get(name), by),
            "id": name,
            "calls": count(found[name]["calls"]) if name in found else "0",
            "spend": written[3 * at],
            "before": written[3 * at + 1],
            "change": ("+" if new > old else "") + written[3 * at + 2] if old else "new" if new else NOTHING,
            "kind": ("bad" if new > old else "good" if new < old else "") if old else "",
            "width": percent_css(new / most if most else 0.0),
            "share": share(new / total, 0) if total else "0 %",
            "tokens": count(_tokens(found.get(name))),
            "to": activity({**narrowed, by: name} if name else narrowed, times),
        }
        for at, (name, (new, old)) in enumerate(zip(names, spent, strict=True))
    ]


def headline(now: SpendAnswer, before: SpendAnswer, days: int) -> View:
    """The total of so many days beside that of as many before them."""
    new, old = now["total"]["spend"], before["total"]["spend"]
    return {
        "spend": dollars(new),
        "calls": count(now["total"]["calls"]),
        "change": f"{100 * (new - old) / old:+.0f} %".replace("-", "−") if old else NOTHING,
        "before": _before(
            new - old, old, before["total"]["calls"], "day before" if days == 1 else f"{days} days before"
        ),
        "failed": count(now["total"]["failed"]),
        "tokens": count(_tokens(now["total"])),
    }


def _before(change: float, old: float, calls: int, when: str) -> str:
    if not calls:
        return f"no calls in the {when}"
    return f"{'+' if change > 0 else ''}{money(change)} on {dollars(old)} for {count(calls)} calls in the {when}"


def activity(narrowed: Mapping[str, str], times: tuple[int, int]) -> str:
    """Where the decisions behind a figure are."""
    told = {name: value for name, value in narrowed.items() if value}
    return "/app/activity?" + urlencode({**told, "since": str(times[0]), "until": str(times[1])})


def _by_name(found: Sequence[SpendRow], by: str) -> dict[str, Mapping[str, Any]]:
    return {str(row.get(by, "")): row for row in found}


def _shown(name: str, row: Mapping[str, Any] | None, by: str) -> str:
    if name:
        return str((row or {}).get(f"{by}_name") or name)
    return {"tag": "all other tags", "user": "all other users", "runtime": "the default runtime"}.get(by, "others")


def _spend(row: Mapping[str, Any] | None) -> float:
    return 0.0 if row is None else float(row["spend"])


def _tokens(row: Mapping[str, Any] | None) -> int:
    return 0 if row is None else int(row["prompt_tokens"] + row["completion_tokens"])
