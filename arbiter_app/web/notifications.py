"""Rules of who is told, and the messages, in words for their page."""

from __future__ import annotations

from collections.abc import Mapping

from arbiter_app.channels import ChannelKind
from arbiter_app.services.notification_events import IN_WORDS, EventKind
from arbiter_app.services.rows.alerts import NotificationRow, NotificationRuleRow
from arbiter_app.web.formats import count
from arbiter_app.web.views import View

CHANNELS: Mapping[str, str] = {
    ChannelKind.SLACK: "Slack",
    ChannelKind.TEAMS: "Teams",
    ChannelKind.EMAIL: "e-mail",
    ChannelKind.PAGERDUTY: "PagerDuty",
    ChannelKind.WEBHOOK: "webhook",
}
ADDRESSES: Mapping[str, tuple[str, str]] = {
    ChannelKind.SLACK: (
        "https://hooks.slack.com/services/…",
        "An incoming webhook of Slack, or of a server that takes the same, such as Mattermost.",
    ),
    ChannelKind.TEAMS: (
        "https://….logic.azure.com/workflows/…",
        "The URL of a workflow that starts with a webhook request.",
    ),
    ChannelKind.EMAIL: (
        "mailtos://user:password@smtp.example.com:587?from=arbiter@example.com&to=team@example.com",
        "The mail server, with from and to. mailto:// is without TLS.",
    ),
    ChannelKind.PAGERDUTY: (
        "32 letters and digits",
        "The integration key of a service (Events API v2); eu: before it for the EU.",
    ),
    ChannelKind.WEBHOOK: (
        "https://example.com/arbiter",
        "Signed by the Standard Webhooks convention; the secret is shown once.",
    ),
}
"""By channel: what an address looks like, and what it is."""
CHOICES = [(str(kind), IN_WORDS[kind]) for kind in EventKind]
USUAL = frozenset(
    {
        EventKind.PRICE_SHIFT,
        EventKind.QUALITY_SHIFT,
        EventKind.RUNTIME_REFUSAL,
        EventKind.BUDGET_80,
        EventKind.BUDGET_100,
    }
)
"""What is ticked in a new rule."""


def rule(row: NotificationRuleRow, now: float) -> View:
    """A rule as its card shows it."""
    muted = row["muted_until"] is not None and row["muted_until"] > now
    events = [IN_WORDS[kind] for kind in EventKind if kind in row["events"]]
    if EventKind.ERROR_RATE in row["events"]:
        events[events.index(IN_WORDS[EventKind.ERROR_RATE])] = f"error rate from {100 * row['error_share']:g} %"
    return {
        "id": row["id"],
        "name": row["name"],
        "channel": CHANNELS.get(row["channel"], row["channel"]),
        "address": row["address"],
        "events": " · ".join(events),
        "muted": f"{row['muted_until']:.0f}" if muted else "",
        "held": f"{count(row['held'])} held back" if row["held"] else "",
        "safe": "encrypted" if row["encrypted"] else "not encrypted: ARBITER_CONTENT_KEYS is not set",
    }


def message(row: NotificationRow, names: Mapping[str, str]) -> View:
    """A message as a row of the list; `names` are those of the rules by id."""
    return {
        "id": row["id"],
        "ts": f"{row['made']:.3f}",
        "kind": IN_WORDS.get(row["kind"], row["kind"]),
        "title": row["title"],
        "rule": names.get(row["rule_id"], ""),
        "state": "retrying" if row["state"] == "waiting" and row["attempts"] else row["state"],
        "said": row["said"],
        "tries": count(row["attempts"]),
        "due": f"{row['due']:.3f}" if row["due"] is not None and row["attempts"] else "",
    }
