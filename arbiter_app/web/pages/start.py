"""Onboarding: five steps from nothing to a first routed call that turns green by itself."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms
from arbiter_app.web.components.frame import link, site
from arbiter_app.web.snippets import CLIENTS, FIRST_CALL
from arbiter_app.web.state.account import Account
from arbiter_app.web.state.start import STEPS, Start
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import either

NAMES = ("What it is", "How it decides", "Words you will see", "Get a key", "Make the first call")
WORDS = (
    ("task", f"What kind of answer a prompt asks for: {', '.join(TASKS)}."),
    ("decision", "One routed request, with everything that led to its model."),
    ("explore, exploit", "Trying a model to learn about it, or using the cheapest one known to be good enough."),
    ("grade", "Quality from 0 to 1: checked objectively where possible, judged by a model elsewhere, or unknown."),
    ("baseline", "The model that would have answered everything without Arbiter."),
    ("saving", "Baseline cost minus everything spent, learning included. Claimed once its interval leaves zero."),
)


def page() -> rx.Component:
    """The page."""
    return site(
        rx.el.div(
            rx.cond(
                Start.first == "yes",
                rx.el.p(
                    "This is your first visit here, so you see these five steps before the app. It happens once. ",
                    link("Go to the app", to="/app", class_name="link"),
                    class_name="note",
                ),
            ),
            rx.el.div(
                rx.el.div(
                    *[rx.el.i(class_name=either(Start.step >= at, "on", "")) for at in range(STEPS)],
                    class_name="steps",
                    role="img",
                    aria_label="Progress",
                ),
                rx.el.div(
                    rx.el.span("Step ", Start.step + 1, f" of {STEPS}", class_name="small mute num"),
                    link("Skip, open the app", to="/app", class_name="small link push"),
                    class_name="row",
                ),
                class_name="stack tight",
            ),
            rx.el.section(
                rx.match(Start.step, (0, _what()), (1, _decides()), (2, _words()), (3, _key()), _call()),
                class_name="step",
                aria_live="polite",
            ),
            _buttons(),
            class_name="wizard",
        )
    )


def _buttons() -> rx.Component:
    last = STEPS - 1
    return rx.el.div(
        rx.cond(Start.step > 0, atoms.button("Back", on_click=Start.move(-1))),
        rx.cond(
            Start.step < last,
            atoms.button("Next", on_click=Start.move(1), kind="primary push"),
            link("Open the app", to="/app", class_name="btn primary push"),
        ),
        class_name="row",
    )


def _what() -> rx.Component:
    return rx.fragment(
        rx.el.h1("One address. The right model for every prompt."),
        rx.el.p(
            "Arbiter speaks as OpenAI and Anthropic do. Your client asks as before; Arbiter picks, per request, "
            "the cheapest model that answers that kind of prompt well, checks the answer, and learns.",
        ),
        rx.el.p("You change one line: the base address. Everything it decides can be looked at afterwards."),
        rx.cond(
            Account.sandbox == "yes",
            rx.el.div(
                "This instance runs in sandbox mode: its models are simulated and cost nothing. Set a runtime key to "
                "route to real ones.",
                class_name="note warn",
            ),
        ),
        rx.foreach(Start.notes, lambda line: rx.el.p(line, class_name="note warn")),
    )


def _decides() -> rx.Component:
    stages = (
        ("Classify", "Rules name the task; when they are unsure a free model does."),
        ("Filter", "Models that cannot hold, see or afford the prompt drop out."),
        ("Route", "The cheapest model within a tolerance of the best known quality; now and then another, to learn."),
        ("Call", "The runtime answers; when a model fails, the next one takes over."),
        ("Grade", "Code is parsed, sums are computed, JSON is validated; open answers are judged."),
        ("Learn", "Cost and quality change the next decision. A price move re-opens the question."),
    )
    return rx.fragment(
        rx.el.h1("Six stages, every time"),
        rx.el.ol(
            *[
                rx.el.li(
                    rx.el.span(class_name="dot"),
                    rx.el.div(rx.el.b(name), rx.el.p(text), class_name="body"),
                    class_name="stage",
                )
                for name, text in stages
            ],
            class_name="trace",
        ),
    )


def _words() -> rx.Component:
    return rx.fragment(
        rx.el.h1("Words you will see"),
        rx.el.dl(*[rx.el.div(rx.el.dt(word), rx.el.dd(text)) for word, text in WORDS], class_name="glossary"),
    )


def _key() -> rx.Component:
    form = rx.el.form(
        atoms.field(
            "E-mail",
            rx.el.input(
                name="email",
                type="email",
                placeholder="you@example.com",
                class_name="input",
                required=True,
                auto_complete="email",
            ),
            "Only a label for the key. Nothing is sent there.",
        ),
        rx.cond(Start.error != "", rx.el.p(Start.error, class_name="error", role="alert")),
        rx.el.button("Make my key", type="submit", class_name="btn primary"),
        on_submit=Start.mint,
        class_name="stack",
    )
    made = rx.el.div(
        rx.el.p("Your key. It is shown this once; only a digest of it is kept here."),
        atoms.code(Start.secret),
        rx.el.p("You are signed in with it in this browser.", class_name="small mute"),
        class_name="stack",
        role="status",
    )
    have = rx.el.p("You are signed in already. Use your key in the next step.")
    closed = rx.el.div(
        "Sign-up is closed on this instance. Ask its operator for a key, then ",
        link("sign in with it", to="/app/key", class_name="link"),
        ".",
        class_name="note",
    )
    return rx.fragment(
        rx.el.h1("Get a key"),
        rx.cond(
            Start.secret != "",
            made,
            rx.cond(Start.has_key == "yes", have, rx.cond(Account.signup == "no", closed, form)),
        ),
    )


def _call() -> rx.Component:
    waiting = rx.el.div(rx.el.i(class_name="pulse"), "Waiting for your first call…", class_name="arrival")
    green = rx.el.div(
        rx.el.div(
            rx.el.b("It arrived. "),
            Start.arrived["task"],
            " answered by ",
            rx.el.span(Start.arrived["model"], class_name="num"),
            ".",
        ),
        rx.el.div(
            rx.el.span(Start.arrived["cost"], class_name="num"),
            " in ",
            rx.el.span(Start.arrived["ms"], " ms", class_name="num"),
            " · ",
            link("see why", to="/app/decision/" + Start.arrived["id"], class_name="link"),
            class_name="small",
        ),
        class_name="arrival done",
    )
    tabs = atoms.segmented([(one, CLIENTS[one][0]) for one in FIRST_CALL], Start.client, Start.set_client, "Client")
    return rx.fragment(
        rx.el.h1("Make the first call"),
        rx.el.p("Paste this where you like. The line below turns green when your call arrives."),
        tabs,
        atoms.code(Start.codes[Start.client]),
        rx.cond(
            Start.has_key == "yes",
            rx.el.div(rx.cond(Start.arrived.contains("id"), green, waiting), role="status"),
            rx.el.div(
                "You need a key first. ",
                atoms.button("Back to the key", on_click=Start.go(3), kind="mini"),
                class_name="note",
            ),
        ),
    )
