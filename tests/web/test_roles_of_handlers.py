"""The whole matrix of event handlers and roles, generated from the table: what is not allowed does nothing, whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import reflex as rx

from arbiter_app.arbiter_app import app
from arbiter_app.pipeline.types import Caller, ProjectRole, Role
from arbiter_app.web import roles
from arbiter_app.web.handover import rule_of
from tests.served import TLS
from tests.web.conftest import OPERATOR, Site, in_own_loop, start_site, stop_site
from tests.web.test_who_sees_what import Tab, cookie_of

assert app
OURS = {
    state.__name__: state for state in rx.State.get_substates() if state.__module__.startswith("arbiter_app.web.state")
}
CELLS = [(state, handler) for state, handlers in roles.EVENTS.items() for handler in handlers]
WHO = ("visitor", "caller", *(f"project {role}" for role in ProjectRole), "operator")


def test_every_handler_is_in_the_table_and_no_other() -> None:
    handlers = {
        name: {one for one, made in state.event_handlers.items() if made.fn.__module__.startswith("arbiter_app.")}
        for name, state in OURS.items()
    }
    assert handlers == {name: set(listed) for name, listed in roles.EVENTS.items()}
    for state, name in CELLS:
        assert rule_of(f"{OURS[state].get_full_name()}.{name}") == roles.EVENTS[state][name]
    assert rule_of(f"{OURS['Key'].get_full_name()}.setvar") == "denied"
    assert rule_of("reflex___state____state.hydrate") is None


def test_the_rules_mean_what_they_say() -> None:
    def who(name: str) -> Caller:
        if name.startswith("project "):
            return Caller("per_1", Role.CALLER, memberships=(("p", ProjectRole(name.partition(" ")[2])),))
        return Caller(
            "" if name == "visitor" else "k",
            {"visitor": Role.ANONYMOUS, "caller": Role.CALLER}.get(name, Role.OPERATOR),
        )

    expected = {
        "anybody": WHO,
        "signed in": WHO[1:],
        "demo": WHO[1:],
        "project member": ("project member", "project owner", "operator"),
        "project owner": ("project owner", "operator"),
        "operator": ("operator",),
        "denied": ("operator",),
    }
    assert set(expected) >= {rule for listed in roles.EVENTS.values() for rule in listed.values()}
    for rule, allowed in expected.items():
        for name in WHO:
            assert roles.allows(rule, who(name), sandbox=True) == (name in allowed), (rule, name)
    assert not roles.allows("demo", who("caller"), sandbox=False) and not roles.allows(
        None, who("operator"), sandbox=True
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = start_site(tmp_path_factory.mktemp("handlers"))
    yield one
    stop_site(one)


def cookie(site: Site, who: str) -> str:
    if who == "visitor":
        return ""
    if who in ("caller", "operator"):
        return cookie_of(site, OPERATOR if who == "operator" else site.key(f"{who}@example.com"))
    project, role = site.http.post("/v1/projects", json={"name": f"of {who}"}).json()["id"], who.partition(" ")[2]
    body = {"email": f"{role}@example.com", "project_id": project, "role": role}
    code = site.http.post("/v1/people/invitations", json=body).json()["path"].partition("=")[2]
    entered = httpx.post(f"{site.url}/session", json={"invitation": code, "name": role}, verify=TLS)
    return entered.headers["set-cookie"].partition(";")[0]


def payloads(site: Site) -> dict[tuple[str, str], dict[str, Any]]:
    """What does something where it is allowed, about what is another's: a key, a budget and a link of the default project."""
    made = site.http.post("/v1/keys", json={"label": "victim"}).json()["key"]["key_id"]
    budget = {"scope": "project", "subject": "default", "period": "month", "limit_usd": "1000"}
    budget_id = site.http.post("/v1/budgets", json=budget).json()["id"]
    invited = site.http.post("/v1/people/invitations", json={"email": "x@example.com"}).json()["id"]
    rule = {"name": "hook", "channel": "webhook", "address": "https://example.com/x", "events": ["price_shift"]}
    rule_id = site.http.post("/v1/notifications/rules", json=rule).json()["id"]
    form = {
        "email": "new@example.com",
        "name": "N",
        "label": "L",
        "role": "operator",
        "scope": "project",
        "subject": "default",
    }
    form |= {
        "limit": "1",
        "period": "day",
        "max_usd": "1",
        "text": "x",
        "address": "https://example.com/y",
        "price_shift": "on",
    }
    by_handler: dict[tuple[str, str], dict[str, Any]] = {
        ("Key", "change_other"): {"key_id": made, "status": "paused"},
        ("Team", "set_key"): {"key_id": made, "status": "paused"},
        ("Team", "rotate_key"): {"key_id": made},
        ("Team", "set_role"): {"email": "x@example.com", "role": "owner"},
        ("Team", "withdraw"): {"invitation_id": invited},
        ("Team", "set_disabled"): {"person_id": "per_none", "disabled": True},
        ("Team", "drop_budget"): {"budget_id": budget_id},
        ("KeyBudgets", "drop"): {"budget_id": budget_id},
        ("Notify", "test"): {"rule_id": rule_id},
        ("Notify", "mute"): {"rule_id": rule_id, "hours": "5"},
        ("Notify", "remove"): {"rule_id": rule_id},
        ("Notify", "edit"): {"rule_id": rule_id},
        ("PoolPanel", "set_routable"): {"model": "gpt-4o-mini", "on": False},
    }
    for state, handler in CELLS:
        if (state, handler) not in by_handler:
            parameters = OURS[state].event_handlers[handler].fn.__code__
            names = parameters.co_varnames[1 : parameters.co_argcount]
            by_handler[state, handler] = {name: form if name == "form" else "gpt-4o-mini" for name in names}
    return by_handler


def acts(site: Site) -> tuple[Any, ...]:
    """Everything that an administrator can change, as far as it can be read."""
    paths = ("/v1/keys", "/v1/budgets", "/v1/projects", "/v1/people", "/v1/notifications/rules", "/v1/calibrations")
    told = [site.http.get(path).json()["data"] for path in paths]
    for row in told[0]:
        row.pop("last_used")
    for row in told[1]:
        for name in ("spent_usd", "reserved_usd", "left_usd", "dollar_weight"):
            row.pop(name)
    audit = site.http.get("/v1/audit", params={"limit": 1}).json()["data"]
    routed = [row["routable"] for row in site.http.get("/v1/pricing").json()["data"]]
    return (told, audit and audit[0]["id"], routed, site.http.get("/v1/people").json()["invitations"])


@pytest.mark.parametrize("who", WHO[:-1])
def test_the_matrix(place: Site, who: str) -> None:
    """Every handler that the table denies to a role is sent twice (some ask twice), and nothing has changed after each."""
    sent, jar = payloads(place), cookie(place, who)
    caller = Caller("k", Role.ANONYMOUS if who == "visitor" else Role.CALLER)
    if who.startswith("project "):
        caller = Caller("per_1", Role.CALLER, memberships=(("p", ProjectRole(who.partition(" ")[2])),))
    denied = [(one, name) for one, name in CELLS if not roles.allows(roles.EVENTS[one][name], caller, sandbox=True)]
    inside = [("Team", name) for name in ("set_key", "rotate_key", "set_role", "withdraw", "drop_budget")] + [
        ("KeyBudgets", "drop"),
        ("KeyBudgets", "put"),
    ]
    tried = denied + [cell for cell in inside if cell not in denied]  # what is another project's stays so
    before, wrong = acts(place), []

    async def send() -> None:
        async with Tab(place, jar) as tab:
            await tab.do("account____account.enter")
            for state, handler in tried:
                for turn in range(2):
                    await tab.send(f"{OURS[state].get_full_name()}.{handler}", **sent[state, handler])
                    said = f"{state} {handler} {turn}"  # once this is done, so is that: a tab's events take turns
                    await tab.send(f"{OURS['Playground'].get_full_name()}.set_prompt", value=said)
                    await tab.heard(said)
                if acts(place) != before:
                    wrong.append(f"{state}.{handler}")
                    return

    in_own_loop(send())
    assert len(denied) >= (18 if who == "project owner" else 20) and wrong == []


def test_what_is_allowed_does_something(place: Site) -> None:
    sent, before = payloads(place), acts(place)

    async def send() -> None:
        async with Tab(place, cookie(place, "operator")) as tab:
            await tab.do("account____account.enter")
            for cell in (("Key", "change_other"), ("PoolPanel", "set_routable"), ("KeyBudgets", "drop")):
                for _ in range(2):
                    await tab.do(f"{OURS[cell[0]].get_full_name()}.{cell[1]}", "/app/team", **sent[cell])

    in_own_loop(send())
    after = acts(place)
    assert after[0][0] != before[0][0] and after[0][1] != before[0][1] and after[2] != before[2]
