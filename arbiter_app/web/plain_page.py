"""Pages that need no build and no script: one column of words and a form."""

from __future__ import annotations

from starlette.responses import HTMLResponse

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "same-origin",  # without any, a form would come from the origin "null"
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Arbiter · {title}</title>
<style>
:root { color-scheme: light dark; --bg:#fafaf8; --panel:#fff; --line:#e3e2dd; --ink:#1a1a17; --ink2:#54534d; --accent:#0b6e5f; --on:#fff; }
@media (prefers-color-scheme: dark) { :root { --bg:#101110; --panel:#171816; --line:#2b2d29; --ink:#eeede8; --ink2:#b3b1a9;
  --accent:#4cc2ab; --on:#10201c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 Inter, system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 420px; margin: 12vh auto; padding: 24px; }
h1 { font-size: 20px; margin: 0 0 6px; } p { color: var(--ink2); margin: 0 0 20px; }
form { display: grid; gap: 8px; padding: 20px; border: 1px solid var(--line); border-radius: 8px; background: var(--panel); }
input, button { font: inherit; min-height: 40px; padding: 6px 12px; border-radius: 6px; border: 1px solid var(--line); color: inherit;
  background: var(--bg); }
button { background: var(--accent); border-color: var(--accent); color: var(--on); cursor: pointer; margin-top: 8px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); }
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def answer(title: str, body: str, status: int = 200) -> HTMLResponse:
    """A page of a title and a body, which are HTML."""
    return HTMLResponse(PAGE.replace("{title}", title).replace("{body}", body), status, HEADERS)
