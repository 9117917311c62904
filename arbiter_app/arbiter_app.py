"""The pages as a Reflex application. Services are opened by the server (`serve.py`), not by importing this."""

import reflex as rx

app = rx.App()


def index() -> rx.Component:
    """Placeholder."""
    return rx.el.main(rx.el.h1("Arbiter"))


app.add_page(index, route="/")
