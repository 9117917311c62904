"""The documentation pages: navigation, search, the rendered Markdown, its table of contents."""

from __future__ import annotations

from collections.abc import Callable

import reflex as rx

from arbiter_app.web.components.frame import link, site
from arbiter_app.web.docs import Doc, docs
from arbiter_app.web.state.docs import Docs
from arbiter_app.web.typed import Record


def pages() -> list[tuple[Doc, Callable[[], rx.Component]]]:
    """Every page of the documentation with its component function."""
    return [(doc, _made(doc)) for doc in docs()]


def _made(doc: Doc) -> Callable[[], rx.Component]:
    def page() -> rx.Component:
        return site(
            rx.el.div(
                rx.el.aside(_search(), _navigation(doc)),
                rx.el.article(rx.html(doc.html, class_name="prose"), _next(doc)),
                rx.el.aside(_contents(doc), class_name="toc"),
                class_name="docs",
            )
        )

    page.__name__ = f"docs_{doc.slug.replace('-', '_')}"
    return page


def _search() -> rx.Component:
    def hit(one: Record) -> rx.Component:
        return rx.el.a(one["title"], rx.el.small(one["excerpt"]), href=one["href"])

    return rx.el.div(
        rx.el.input(
            type="search",
            placeholder="Search, press /",
            on_change=Docs.search.debounce(120),
            class_name="input mini full",
            aria_label="Search the documentation",
            custom_attrs={"data-search": ""},
        ),
        rx.el.div(
            rx.cond(
                Docs.query != "",
                rx.cond(
                    Docs.hits.length() > 0,
                    rx.el.div(rx.foreach(Docs.hits, hit), class_name="hits"),
                    rx.el.p("Nothing found.", class_name="small mute"),
                ),
            ),
            role="status",
        ),
        class_name="stack tight",
    )


def _navigation(current: Doc) -> rx.Component:
    return rx.el.nav(
        *[
            link(doc.title, to=doc.path, class_name="on" if doc.slug == current.slug else "", **_here(doc, current))
            for doc in docs()
        ],
        rx.el.a("API reference, OpenAPI", href="/v1/reference", reload_document=True),
        aria_label="Documentation",
        class_name="doc-nav",
    )


def _here(doc: Doc, current: Doc) -> dict[str, str]:
    return {"aria_current": "page"} if doc.slug == current.slug else {}


def _contents(doc: Doc) -> rx.Component:
    return rx.el.nav(
        rx.el.p("On this page", class_name="tiny mute"),
        *[rx.el.a(title, href=f"#{anchor}", class_name=f"lvl-{level}") for level, anchor, title in doc.contents],
        aria_label="On this page",
    )


def _next(doc: Doc) -> rx.Component:
    everything = docs()
    after = everything[(everything.index(doc) + 1) % len(everything)]
    return rx.el.div(link("Next: ", after.title, to=after.path, class_name="btn"), class_name="row next")
