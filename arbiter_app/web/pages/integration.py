"""Integration: one line changes. Code for each client with this host filled in."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.snippets import CLIENTS
from arbiter_app.web.state.start import Integration


def page() -> rx.Component:
    """The page."""
    intro = rx.el.p(
        "Arbiter speaks OpenAI's chat completions and Responses and Anthropic's Messages. Point a client at this address and put a key of this Arbiter where "
        "the client asks for one; the model name does not matter, choosing it is Arbiter's job. ",
        link("Get a key", to="/start", class_name="link"),
        ".",
        class_name="soft lead",
    )
    blocks = [
        atoms.panel(name, rx.el.div(atoms.code(Integration.codes[key]), class_name="pad"), note=where)
        for key, (name, where, _) in CLIENTS.items()
    ]
    return shell("integration", "Integration", intro, rx.el.div(*blocks, class_name="two even"))
