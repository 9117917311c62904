"""The page that a link of an invitation leads to. It takes a press of its button to use the link up: what only looks at links uses none."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from arbiter_app.web import plain_page

MOST_CODE_CHARS = 100
FORM = """<h1>You are invited to this Arbiter</h1>
<p>The link works once. This browser stays signed in for a week.</p>
<form method="post" action="/session">
<input type="hidden" name="invitation" value="{code}">
<input type="hidden" name="next" value="/app">
<label for="name">Your name</label>
<input id="name" name="name" maxlength="100" autocomplete="name" autofocus>
<button>Sign in</button>
</form>"""


GONE = """<h1>This link does not work any more</h1>
<p role="alert">It was used, withdrawn or has expired. Ask whoever sent it for another.</p>
<p><a href="/app/key">Back to the sign-in</a></p>"""


def page(code: str) -> HTMLResponse:
    """The page for the code of a link."""
    return plain_page.answer("invitation", FORM.replace("{code}", escape(code[:MOST_CODE_CHARS])))


def gone() -> HTMLResponse:
    """The page for a link that does not work, or not any more."""
    return plain_page.answer("invitation", GONE, 401)
