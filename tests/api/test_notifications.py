"""Operators are told: signed webhooks, retries, dead letters, mutes, and nobody twice."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from arbiter_app.services import delivering
from arbiter_app.services.notification_events import EventKind, NotificationEvent, budget_event
from arbiter_app.store import Store
from arbiter_app.store import notifications as stored
from tests.conftest import Running, running
from tests.databases import KINDS
from tests.receivers import Receiver, mail_server, receiver
from tests.served import free_port
from tests.stores import call_now
from tests.waiting import until

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
URL = "https://arbiter.example.com"
RULE = {"name": "on call", "channel": "webhook", "events": ["quarantine", "budget_80"]}


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture(scope="module")
def one_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("told"), ARBITER_PUBLIC_URL=f"{URL}/") as one:
        hurry(one)
        yield one


@pytest.fixture
def told(one_gateway: Running) -> Iterator[Running]:
    """A gateway whose rests between tries are over at once, without rules."""
    yield one_gateway
    for made in one_gateway.http.get("/v1/notifications/rules").json()["data"]:
        one_gateway.http.delete(f"/v1/notifications/rules/{made['id']}")
    one_gateway.arbiter.notifications._told.clear()


def hurry(gateway: Running, rests_s: tuple[float, ...] = (0.01, 0.02, 0.04)) -> None:
    gateway.arbiter.delivering._rests_s = rests_s
    gateway.arbiter.delivering._poll_s = 0.02
    gateway.arbiter.notifications.news.set()


def rule(gateway: Running, address: str, **changes: Any) -> dict[str, Any]:
    answer = gateway.http.post("/v1/notifications/rules", json={**RULE, "address": address, **changes})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def tell(gateway: Running, model: str = "gpt-4o", once: str = "", **changes: Any) -> None:
    given: dict[str, Any] = {"kind": EventKind.QUARANTINE, "subject": model, "once": once or f"quarantine:{model}"}
    given |= {"title": f"{model} rests", "text": "It failed 3 times in a row.", **changes}

    async def work() -> None:
        gateway.arbiter.notifications.tell(NotificationEvent(**given))

    gateway.run(work)


def messages(gateway: Running, state: str = "") -> list[dict[str, Any]]:
    where = f"/v1/notifications{f'?state={state}' if state else ''}"
    found: list[dict[str, Any]] = gateway.http.get(where).json()["data"]
    return found


def test_a_receiver_verifies_the_signature_with_the_reference_library(told: Running, hook: Receiver) -> None:
    made = rule(told, f"{hook.url}/in?team=a")
    tell(told)
    until(lambda: messages(told, "sent"))
    (got,) = hook.got
    said = Webhook(made["signing_secret"]).verify(got.body, got.headers)
    assert (got.path, said["type"], said["data"]["subject"]) == ("/in?team=a", "quarantine", "gpt-4o")
    assert got.headers["webhook-id"] == messages(told)[0]["id"]
    with pytest.raises(WebhookVerificationError):
        Webhook(made["signing_secret"]).verify(got.body.replace(b"gpt-4o", b"gpt-5o"), got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").verify(got.body, got.headers)


def test_what_fails_is_tried_again_under_the_same_id(told: Running, hook: Receiver) -> None:
    hook.statuses = [500, 503]
    made = rule(told, hook.url)
    tell(told)
    until(lambda: messages(told, "sent"))
    assert len(hook.got) == 3 and len({got.headers["webhook-id"] for got in hook.got}) == 1
    for got in hook.got:
        Webhook(made["signing_secret"]).verify(got.body, got.headers)
    assert (messages(told)[0]["attempts"], messages(told)[0]["said"]) == (3, "")


def test_what_fails_for_good_is_a_dead_letter_and_can_be_sent_again(told: Running, hook: Receiver) -> None:
    hook.statuses = [500] * 4
    rule(told, hook.url)
    tell(told)
    until(lambda: messages(told, "dead"))
    (dead,) = messages(told)
    assert (dead["attempts"], dead["said"], dead["due"]) == (4, "it answered 500", None)
    assert told.http.post(f"/v1/notifications/{dead['id']}/retry").json()["state"] == "waiting"
    until(lambda: messages(told, "sent"))
    assert len(hook.got) == 5
    assert told.http.delete(f"/v1/notifications/{dead['id']}").json() == {"id": dead["id"], "deleted": True}
    assert messages(told) == []


def test_a_receiver_that_wants_no_more_is_not_asked_again(told: Running, hook: Receiver) -> None:
    hook.statuses = [410]
    rule(told, hook.url)
    tell(told)
    until(lambda: messages(told, "dead"))
    assert len(hook.got) == 1


def test_a_receiver_may_ask_for_rest(told: Running, hook: Receiver) -> None:
    hook.statuses, hook.headers = [429], {"retry-after": "3600"}
    rule(told, hook.url)
    tell(told)
    until(lambda: hook.got and messages(told)[0]["said"])
    (waiting,) = messages(told)
    assert waiting["state"] == "waiting" and 3_500 < waiting["due"] - time.time() < 3_700


def test_a_redirect_is_not_followed(told: Running, hook: Receiver) -> None:
    with receiver() as inner:
        hook.statuses, hook.headers = [307] * 4, {"location": inner.url}
        rule(told, hook.url)
        tell(told)
        until(lambda: messages(told, "dead"))
        assert inner.got == []


def test_messages_of_a_rule_go_out_in_order_while_they_arrive(told: Running, hook: Receiver) -> None:
    rule(told, hook.url)
    for number in range(12):
        tell(told, f"model-{number}")
    until(lambda: len(messages(told, "sent")) == 12)
    assert [got.json["data"]["subject"] for got in hook.got] == [f"model-{number}" for number in range(12)]


def test_a_receiver_that_says_nothing_holds_up_no_other_rule(told: Running, hook: Receiver) -> None:
    with receiver(silent=True) as silent:
        rule(told, silent.url)
        tell(told, "first")
        until(lambda: silent.got)
        rule(told, hook.url)
        for number in range(5):
            tell(told, f"model-{number}")
        until(lambda: len(hook.got) == 5)
        assert len(silent.got) == 1, "and of its own rule one message at a time is under way"


def test_nobody_is_told_twice_of_one_event(told: Running, hook: Receiver) -> None:
    rule(told, hook.url)
    for _ in range(3):
        tell(told)
        told.arbiter.notifications._told.clear()  # as another process, which has not heard of it
    for subject in ("team a", "team b", "team a"):
        event = budget_event(subject=subject, period="2026-11", share=0.83, spent_usd=83, limit_usd=100)
        tell(told, **{name: getattr(event, name) for name in ("kind", "subject", "once", "title", "text")})
    until(lambda: len(messages(told, "sent")) == 3)
    assert len(hook.got) == 3
    assert "80 % of the budget of team a is spent" in [got.json["data"]["title"] for got in hook.got]


def test_the_same_again_within_the_hour_is_held_back_and_counted(told: Running, hook: Receiver) -> None:
    made = rule(told, hook.url)
    for number in range(4):
        tell(told, once=f"quarantine:{number}")
    until(lambda: messages(told, "sent"))
    assert told.http.get("/v1/notifications/rules").json()["data"][0]["held"] == 3
    tell(told, "another")
    until(lambda: len(messages(told, "sent")) == 2)
    assert "3 more were held back before this." in hook.got[1].json["data"]["text"]
    assert (made["held"], told.http.get("/v1/notifications/rules").json()["data"][0]["held"]) == (0, 0)


def test_a_rule_has_so_many_messages_an_hour(told: Running, hook: Receiver) -> None:
    rule(told, hook.url)
    for number in range(40):
        tell(told, f"model-{number}")
    until(lambda: len(messages(told, "sent")) == 30)
    assert told.http.get("/v1/notifications/rules").json()["data"][0]["held"] == 10


def test_a_muted_rule_is_told_nothing_until_it_is_over(told: Running, hook: Receiver) -> None:
    made = rule(told, hook.url)
    where = f"/v1/notifications/rules/{made['id']}"
    muted = told.http.post(f"{where}/mute", json={"hours": 2}).json()
    assert 7_100 < muted["muted_until"] - time.time() <= 7_200
    tell(told)
    assert told.http.post(f"{where}/test").json()["kind"] == "test"
    until(lambda: messages(told, "sent"))
    assert [got.json["type"] for got in hook.got] == ["test"], "a test is sent all the same"
    assert told.http.post(f"{where}/mute", json={"hours": 0}).json()["muted_until"] is None
    tell(told, "another")
    until(lambda: len(hook.got) == 2)
    assert "1 more was held back" in hook.got[1].json["data"]["text"]


def test_a_test_is_tried_once(told: Running, hook: Receiver) -> None:
    hook.statuses = [500]
    made = rule(told, hook.url)
    told.http.post(f"/v1/notifications/rules/{made['id']}/test")
    until(lambda: messages(told, "dead"))
    assert len(hook.got) == 1


def test_an_event_is_for_the_rules_that_name_its_kind(told: Running, hook: Receiver) -> None:
    rule(told, f"{hook.url}/a", events=["error_rate"], error_share=0.2)
    rule(told, f"{hook.url}/b", events=["error_rate", "quarantine"], error_share=0.1)
    tell(told, kind=EventKind.ERROR_RATE, share=0.15)
    until(lambda: messages(told, "sent"))
    tell(told, "other", kind=EventKind.ERROR_RATE, share=0.25)
    until(lambda: len(messages(told, "sent")) == 3)
    assert sorted(got.path for got in hook.got) == ["/a", "/b", "/b"]


def test_a_slack_like_server_is_told_by_apprise_and_a_rule_takes_another_channel(told: Running, hook: Receiver) -> None:
    rule(told, f"{hook.url}/hooks/secret-token?x=1", channel="slack")
    tell(told)
    until(lambda: messages(told, "sent"))
    assert hook.got[0].path == "/hooks/secret-token?x=1"
    said, where = hook.got[0].json["text"].split("\n\n")
    assert said == "*gpt-4o rests*\nIt failed 3 times in a row."
    assert re.fullmatch(rf"\d+ \w{{3}} \d{{4}} \d\d:\d\d UTC, {URL}/app/models", where)
    rule_id = told.http.get("/v1/notifications/rules").json()["data"][0]["id"]
    refused = told.http.post(f"/v1/notifications/rules/{rule_id}", json={"channel": "webhook"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (422, "address")
    webhook = {"channel": "webhook", "address": f"{hook.url}/signed"}
    changed = told.http.post(f"/v1/notifications/rules/{rule_id}", json=webhook).json()
    tell(told, "one more")
    until(lambda: len(hook.got) == 2)
    signed = Webhook(changed["signing_secret"]).verify(hook.got[1].body, hook.got[1].headers)
    assert signed["data"]["url"] == f"{URL}/app/models" and signed["data"]["host"]
    slack = {"channel": "slack", "address": f"{hook.url}/hooks/secret-token?x=1"}
    assert told.http.post(f"/v1/notifications/rules/{rule_id}", json=slack).json()["signing_secret"] is None
    hook.statuses = [500] * 4
    tell(told, "another")
    until(lambda: messages(told, "dead"))
    assert "500" in messages(told, "dead")[0]["said"] and "secret" not in messages(told, "dead")[0]["said"]


def test_mail_arrives_as_text_and_html(told: Running) -> None:
    port = free_port()
    with mail_server(port) as mails:
        rule(told, f"mailto://127.0.0.1:{port}?from=arbiter@example.com&to=team@example.com", channel="email")
        tell(told, html="<h1>It rests</h1><p>3 times</p>")
        tell(told, "another")
        until(lambda: len(messages(told, "sent")) == 2)
        html, plain = mails
        assert (html["subject"], html["to"]) == ("gpt-4o rests", "team@example.com")
        body = html.get_body(("html",))
        assert body is not None and "<h1>It rests</h1>" in body.get_content()
        assert f"{URL}/app/models</p>" in body.get_content()
        text = plain.get_body(("plain",))
        assert text is not None and "It failed 3 times in a row." in text.get_content()


@pytest.mark.parametrize(
    ("channel", "address", "why"),
    [
        ("webhook", "file:///etc/passwd", "http://"),
        ("webhook", "ftp://example.com", "http://"),
        ("webhook", "http://", "http://"),
        ("webhook", "http://user:pw@example.com/", "user name"),
        ("slack", "syslog://localhost", "http://"),
        ("slack", "dbus://", "http://"),
        ("email", "mailto://h?from=a@b.cd&to=c@d.ef&pgpprv=/etc/passwd", "pgpprv"),
        ("email", "mailto://h?from=a@b.cd&to=c@d.ef&verify=no", "verify"),
        ("email", "mailto://h", "from and to"),
        ("email", "exec://rm", "mailto://"),
        ("teams", "https://example.com/workflows/x", "workflow"),
        ("teams", "https://a.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=1 2", "spaces"),
        ("pagerduty", "short", "32 letters"),
        ("smoke", "signal", "channel is one of"),
    ],
)
def test_only_web_and_mail_are_called(told: Running, channel: str, address: str, why: str) -> None:
    answer = told.http.post("/v1/notifications/rules", json={**RULE, "channel": channel, "address": address})
    assert answer.status_code == 422 and why in answer.json()["error"]["message"]
    assert told.http.get("/v1/notifications/rules").json()["data"] == []


@pytest.mark.parametrize("keys", ["", KEY])
def test_what_opens_a_channel_is_shown_once_or_never(tmp_path: Path, hook: Receiver, keys: str) -> None:
    with running(tmp_path, database="sqlite", ARBITER_CONTENT_KEYS=keys) as one:
        hurry(one)
        made = rule(one, f"{hook.url}/in?token=open-sesame-1")
        secret = made["signing_secret"]
        changed = one.http.post(f"/v1/notifications/rules/{made['id']}", json={"address": f"{hook.url}/open-sesame-2"})
        tell(one)
        until(lambda: messages(one, "sent"))
        Webhook(secret).verify(hook.got[0].body, hook.got[0].headers)
        assert hook.got[0].path == "/open-sesame-2", "and keeps its signing secret"
        seen = one.http.get("/v1/notifications/rules").text + one.http.get("/v1/notifications").text + changed.text
        assert "sesame" not in seen and secret not in seen and changed.json()["encrypted"] is bool(keys)
    if keys:
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("arbiter.db*"))
        assert b"sesame" not in kept
        with sqlite3.connect(tmp_path / "arbiter.db") as store:
            assert store.execute("SELECT encrypted FROM notification_rule").fetchall() == [(1,)]


@pytest.mark.parametrize("kind", KINDS)
def test_two_hosts_on_one_store_send_each_message_once(tmp_path: Path, hook: Receiver, kind: str) -> None:
    with running(tmp_path, database=kind) as first, running(tmp_path, database=kind) as second:
        for one in (first, second):
            hurry(one)
        made = [rule(first, f"{hook.url}/{number}") for number in range(4)]
        for number in range(25):
            for one in (first, second):
                tell(one, f"model-{number}")
        until(lambda: len(first.http.get("/v1/notifications?state=sent&limit=500").json()["data"]) == 100)
        assert len(hook.got) == len({got.headers["webhook-id"] for got in hook.got}) == 100
        assert len(made) == 4


def test_what_a_killed_process_had_in_hand_is_sent_by_another(told: Running, hook: Receiver) -> None:
    rule(told, hook.url)
    claimed: list[Any] = []

    async def claim_and_die() -> None:
        told.arbiter.notifications.tell(
            NotificationEvent(EventKind.QUARANTINE, "m", "quarantine:m", "m rests", "It failed.")
        )
        claimed.extend(
            await told.arbiter.store.writer.call(
                lambda c: stored.claim(c, time.time(), lease_s=0.2, most=5, busy=["none"])
            )
        )

    told.run(claim_and_die)
    assert len(claimed) == 1
    until(lambda: messages(told, "sent"))
    assert [got.headers["webhook-id"] for got in hook.got] == [claimed[0]["id"]]


def test_every_change_of_a_rule_is_in_the_audit_log_without_what_opens_it(told: Running, hook: Receiver) -> None:
    made = rule(told, f"{hook.url}/open-sesame")
    where = f"/v1/notifications/rules/{made['id']}"
    told.http.post(where, json={"name": "second"})
    told.http.post(f"{where}/mute", json={"hours": 1})
    assert told.http.delete(where).json()["deleted"] is True
    log = told.http.get(f"/v1/audit?subject={made['id']}")
    acts = [row["action"].rpartition(".")[2] for row in log.json()["data"]]
    assert acts == ["remove", "change", "change", "add"]
    assert log.json()["data"][2]["after"]["name"] == "second"
    assert "sesame" not in log.text and made["signing_secret"] not in log.text
    assert [told.http.post(where, json={}).status_code, told.http.delete(where).status_code] == [404, 404]


def test_rests_grow_to_some_hours() -> None:
    rests = delivering.RESTS_S
    assert list(rests) == sorted(rests) and 7 * 3_600 < sum(rests) < 9 * 3_600


def test_requests_are_answered_while_receivers_hold_every_place(told: Running) -> None:
    with receiver(silent=True) as silent:
        for number in range(delivering.AT_ONCE + 2):
            rule(told, f"{silent.url}/{number}")
        tell(told)
        until(lambda: len(silent.got) == delivering.AT_ONCE)
        for number in range(10):
            assert told.chat(f"Calculate {number} * 7", arbiter_no_cache=True).status_code == 200
            tell(told, f"model-{number}")
        assert len(silent.got) == delivering.AT_ONCE, "nobody has been answered, nor given up"


def test_so_many_of_the_newest_dead_letters_are_kept(store: Store) -> None:
    def work(connection: Any) -> list[str]:
        row = {"kind": "quarantine", "subject": "m", "made": 1.0, "body": {"title": "t"}}
        some_rule = {"id": "rule_1", "held": 0}
        for number in range(stored.DEAD_MOST + 20):
            stored.put(connection, some_rule, {**row, "id": f"msg_{number}", "once": str(number)})
            stored.settle(connection, f"msg_{number}_rule_1", {"state": stored.DEAD})
        return [one["id"] for one in stored.page(connection, states=[stored.DEAD], limit=1_000)]

    kept = call_now(store, work)
    assert (len(kept), kept[0], kept[-1]) == (stored.DEAD_MOST, f"msg_{stored.DEAD_MOST + 19}_rule_1", "msg_20_rule_1")
