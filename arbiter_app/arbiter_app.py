"""The pages as one Reflex application. Services are opened by the server (`serve.py`), not by importing this."""

from __future__ import annotations

from collections.abc import Callable

import reflex as rx
from reflex.app import default_error_boundary
from reflex.event import EventCallback

from arbiter_app.web import faults, topics
from arbiter_app.web.components.data import table_view
from arbiter_app.web.components.frame import connection_banner, paused_banner
from arbiter_app.web.handover import Handover
from arbiter_app.web.pages import (
    activity,
    demo,
    docs,
    hosts,
    integration,
    key,
    landing,
    missing,
    models,
    notifications,
    overview,
    playground,
    spend,
    start,
    team,
)
from arbiter_app.web.socket_adapter import SocketAdapter
from arbiter_app.web.state.account import Account
from arbiter_app.web.state.activity import Activity, DecisionPage
from arbiter_app.web.state.calibrate import Calibrate
from arbiter_app.web.state.chart import Chart
from arbiter_app.web.state.contents import ContentSearch, DecisionContent, ProjectContents
from arbiter_app.web.state.demo import Demo
from arbiter_app.web.state.hosts import HostsPage
from arbiter_app.web.state.key import Key
from arbiter_app.web.state.key_budgets import KeyBudgets
from arbiter_app.web.state.models import Models
from arbiter_app.web.state.notify import Notify
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.state.playground import Playground
from arbiter_app.web.state.pool import PoolPanel
from arbiter_app.web.state.spent import Spent
from arbiter_app.web.state.start import Integration, Start
from arbiter_app.web.state.team import Team

DESCRIPTION = "Arbiter routes every prompt to the cheapest model that answers it well, and proves what it saved."

app = rx.App(
    stylesheets=["/styles/tokens.css", "/styles/arbiter.css"],
    html_lang="en",
    toaster=None,
    backend_exception_handler=faults.caught,
    app_wraps={
        (55, "ErrorBoundary"): lambda stateful: default_error_boundary(),
        (5, "Overlay"): lambda stateful: (
            rx.fragment(connection_banner(), paused_banner(), table_view()) if stateful else None
        ),
    },
    head_components=[
        rx.el.script(src="/arbiter.js"),
        rx.el.link(rel="icon", href="/favicon.svg", type="image/svg+xml"),
        rx.el.link(
            rel="preload",
            href="/fonts/inter.woff2",
            custom_attrs={"as": "font"},
            type="font/woff2",
            cross_origin="anonymous",
        ),
        rx.el.meta(name="theme-color", content="#0b6e5f"),
    ],
)
app.add_middleware(Handover(), index=0)
app.register_lifespan_task(lambda: topics.following(SocketAdapter(app)))


def _page(component: Callable[[], rx.Component], route: str, title: str, *loads: EventCallback[()]) -> None:
    app.add_page(
        component,
        route=route,
        title=f"{title} · Arbiter",
        description=DESCRIPTION,
        on_load=[Account.enter, Chart.close, *loads],
    )


_page(landing.page, "/", "The cheapest model that still gets it right", Overview.load, Integration.load)
_page(start.page, "/start", "Start", Start.load)
_page(overview.page, "/app", "Overview", Overview.load, KeyBudgets.load)
_page(playground.page, "/app/playground", "Playground", Playground.load)
_page(activity.page, "/app/activity", "Activity", Activity.load, ContentSearch.load)
_page(activity.decision, "/app/decision/[decision_id]", "Decision", DecisionPage.load, DecisionContent.load)
_page(notifications.page, "/app/notifications", "Notifications", Notify.load)
_page(models.page, "/app/models", "Models", Models.load, PoolPanel.load, Calibrate.load)
_page(spend.page, "/app/spend", "Spend", Spent.load)
_page(hosts.page, "/app/hosts", "Hosts", HostsPage.load)
_page(team.page, "/app/team", "Team", Team.load)
_page(key.page, "/app/key", "Key", Key.load, KeyBudgets.load, ProjectContents.load)
_page(integration.page, "/app/integration", "Integration", Integration.load)
_page(demo.page, "/demo", "Demo", Demo.load)
for doc, made in docs.pages():
    _page(made, doc.path, doc.title)
app.add_page(missing.page, route="404", title="Not found · Arbiter", on_load=[Chart.close])
faults.harden()
