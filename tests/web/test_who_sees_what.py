"""One table says who may see what of each thing; the API, the pages' socket and the exports all hold to it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import socketio
from playwright.sync_api import Browser, expect

from arbiter_app.api import visibility
from tests.served import TLS
from tests.waiting import PATIENCE_S
from tests.web.conftest import OPERATOR, Site, in_own_loop, open_page, start_site, stop_site

NAMESPACE = "/_event"
STATE = "reflex___state____state"
PAGES = STATE + ".arbiter_app___web___state___"
PRIVATE_WORDS = ("ada@example.com", "What is 8 * 808?")


class Tab:
    """A browser's tab as far as the socket goes: its token stays the same when it comes back."""

    def __init__(self, site: Site, cookie: str = "", token: str = "") -> None:
        self.site, self.cookie, self.token = site, cookie, token or str(uuid.uuid4())
        self.said: list[str] = []
        self._client = socketio.AsyncClient(reconnection=False, request_timeout=PATIENCE_S)
        self._news = asyncio.Event()

    async def __aenter__(self) -> Tab:
        self._client.on("event", self._hear, namespace=NAMESPACE)
        headers = {"cookie": self.cookie} if self.cookie else {}
        address = f"{self.site.url}?token={self.token}"
        await self._client.connect(
            address,
            headers,
            transports=["websocket"],
            namespaces=[NAMESPACE],
            socketio_path="_event",
            wait_timeout=PATIENCE_S,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.disconnect()

    async def _hear(self, data: Any) -> None:
        self.said.append(json.dumps(data, default=str))
        self._news.set()

    async def send(self, name: str, **payload: Any) -> None:
        """One event, whatever comes of it: some change nothing, of which the server says nothing."""
        router = {"pathname": "/app", "asPath": "/app", "token": self.token}
        await self._client.emit("event", {"name": name, "payload": payload, "router_data": router}, NAMESPACE)

    async def heard(self, text: str) -> None:
        """Wait until the server has said this."""
        while not any(text in one for one in self.said):
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE_S)

    async def do(self, name: str, path: str = "/app", **payload: Any) -> str:
        """One event; what the server said to it. Names are of a state class and its handler."""
        begun = len(self.said)
        router = {"pathname": path, "asPath": path, "token": self.token}
        full = name if name.startswith(STATE) else PAGES + name
        await self._client.emit("event", {"name": full, "payload": payload, "router_data": router}, NAMESPACE)
        mark = uuid.uuid4().hex
        await self.send(f"{PAGES}docs____docs.search", query=mark)  # a tab's events take turns
        await self.heard(mark)
        return "".join(self.said[begun:])


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = start_site(tmp_path_factory.mktemp("public"), ARBITER_PUBLIC_READS="true", ARBITER_SIGNUP="true")
    yield one
    stop_site(one)


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = start_site(tmp_path_factory.mktemp("closed"), ARBITER_PUBLIC_READS="false", ARBITER_SIGNUP="true")
    yield one
    stop_site(one)


def cookie_of(site: Site, key: str) -> str:
    return httpx.post(f"{site.url}/session", json={"api_key": key}, verify=TLS).headers["set-cookie"].partition(";")[0]


ROLES = ("anonymous", "caller", "operator")
COLUMN = {"anonymous": 0, "caller": 1, "operator": 3}
"""Of the table; what a person with a role sees is tried by `tests/api/test_projects_are_apart.py`."""


@pytest.mark.parametrize("world", ["public", "closed"])
@pytest.mark.parametrize("role", ROLES)
def test_every_door_shows_what_the_table_says(request: pytest.FixtureRequest, world: str, role: str) -> None:
    site: Site = request.getfixturevalue(world)
    own, others = site.key("own@example.com"), site.key("others@example.com")
    mine = site.chat("What is 8 * 808?", own)["arbiter"]["decision_id"]
    theirs = site.chat("What is 7 * 707?", others)["arbiter"]["decision_id"]
    key = {"anonymous": "", "caller": own, "operator": OPERATOR}[role]
    headers = {"authorization": f"Bearer {key}"} if key else {}
    seen = visibility.TABLE["decisions"][COLUMN[role]]
    opened = visibility.TABLE["trace"][COLUMN[role]]
    if role == "anonymous" and world == "closed":
        seen = opened = visibility.Sight.NOTHING
    listed = {visibility.Sight.NOTHING: set(), visibility.Sight.OWN: {mine}}.get(seen, {mine, theirs})
    whole = {visibility.Sight.NOTHING: set(), visibility.Sight.OWN: {mine}}.get(opened, {mine, theirs})
    cookie = cookie_of(site, key) if key else ""

    recent = httpx.get(f"{site.url}/v1/recent", headers=headers, verify=TLS)
    rows = {row["id"]: row for row in recent.json()["data"]} if recent.status_code == 200 else {}
    assert set(rows) & {mine, theirs} == listed, "API"
    for row in rows.values():
        assert all((row[name] is None) == (seen is visibility.Sight.SUMMARY) for name in visibility.PRIVATE)
    for one in (mine, theirs):
        status = httpx.get(f"{site.url}/v1/decisions/{one}", headers=headers, verify=TLS).status_code
        assert (status == 200) == (one in whole), "API"

    export = httpx.get(f"{site.url}/export/decisions.json", headers={"cookie": cookie}, verify=TLS)
    found = {row["id"] for row in export.json()} if export.status_code == 200 else set()
    assert found & {mine, theirs} == listed, "export"
    if seen is visibility.Sight.SUMMARY:
        told = {name: row[name] for row in export.json() for name in visibility.PRIVATE if name in row}
        assert set(told.values()) == {None}, "export"

    async def look() -> tuple[str, str, str]:
        async with Tab(site, cookie) as tab:
            feed = await tab.do("overview____overview.load")
            pages = [await tab.do("activity____decision_page.load", f"/app/decision/{one}") for one in (mine, theirs)]
        return feed, *pages

    feed, page_of_mine, page_of_theirs = in_own_loop(look())
    assert {one for one in (mine, theirs) if one in feed} == listed, "socket"
    assert ('"raw_rx_state_": "{' in page_of_mine) == (mine in whole), "page"
    assert ('"raw_rx_state_": "{' in page_of_theirs) == (theirs in whole), "page"
    if seen is visibility.Sight.SUMMARY:
        assert own[:12] not in feed
        assert '"stages_rx_state_": [{' not in feed


def leave_by(site: Site, how: str, key: str, cookie: str) -> None:
    if how == "sign out elsewhere":
        assert httpx.delete(f"{site.url}/session", headers={"cookie": cookie}, verify=TLS).status_code == 200
    else:
        bearer = {"authorization": f"Bearer {key}"}
        assert httpx.post(f"{site.url}/v1/key/revoke", headers=bearer, verify=TLS).status_code == 200


@pytest.mark.parametrize("how", ["sign out", "sign out elsewhere", "key revoked", "another key"])
@pytest.mark.parametrize("after", ["the next event", "coming back"])
def test_whoever_comes_after_finds_nothing_in_the_tab(closed: Site, how: str, after: str) -> None:
    email = f"{uuid.uuid4().hex[:8]}@example.com"
    key = closed.key(email)
    cookie = cookie_of(closed, key)

    async def use() -> tuple[str, str, str]:
        async with Tab(closed, cookie) as tab:
            await tab.do("account____account.enter")
            await tab.do("key____key.load")
            await tab.do("playground____playground.set_prompt", value="my very own prompt")
            before = "".join(tab.said)
            new = ""
            if how == "sign out":
                await tab.do("account____account.sign_out")
            elif how == "another key":
                new = closed.key("next@example.com")
                await tab.do("key____key.sign_in", form={"api_key": new})
            else:
                leave_by(closed, how, key, cookie)
            begun = len(tab.said)
            if after == "the next event":
                await tab.do("key____key.load")
                await tab.do("activity____activity.load")
                await tab.do(STATE + ".hydrate")
                return before, "".join(tab.said[begun:]), key
        next_cookie = cookie_of(closed, new) if new else ""
        async with Tab(closed, next_cookie, tab.token) as again:
            await again.do(STATE + ".hydrate")
            return before, "".join(again.said), key

    before, found, secret = in_own_loop(use())
    assert email in before and "my very own prompt" in before
    assert found
    for word in (email, "my very own prompt", secret[:12]):
        assert word not in found


def test_who_may_not_read_sees_no_empty_preview(browser: Browser, closed: Site) -> None:
    context = browser.new_context(base_url=closed.url)
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    page = context.new_page()
    open_page(page, "/app/playground")
    expect(page.get_by_role("link", name="Get a key")).to_be_visible()
    expect(page.get_by_label("Before sending")).to_have_count(0)
    context.close()
