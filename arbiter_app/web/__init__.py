"""The web app: pages as Python components over reactive state, pushed live over Reflex's socket.

How a page is made:

1. `pages/<noun>.py` has one function that returns `shell("<noun>", title, ...)` (app pages) or `site(...)` (landing,
   docs) built from `components/`. No colours and no sizes there: classes of `assets/styles/arbiter.css`, whose tokens
   come from `theme.py`.
2. `state/<noun>.py` has its `rx.State`. Every method without a leading underscore is a public endpoint that any
   socket client can call with any arguments: its first line is `who = await authz.current_caller(self)` and it checks the types of
   its arguments by hand (`text`, `number`, `choice` of `state/arguments.py`). Helpers are functions or start with `_`.
   Identity is never read from a state variable.
3. What the page shows is `dict[str, str]` made by `views.py` and `decision_views.py` (pure, tested): numbers are formatted once, on the
   server, with their unit. Charts are functions in `charts/`, one file each, that take rows and return a Plotly figure.
4. Data are the typed rows of the services (`services/rows/`), which the API answers with, too; `container.current()` has the
   services. Live data: a handler calls `live.watch(self, channel)`;
   the process computes one snapshot for all tabs of a channel and sends it once. Nothing runs for a closed tab.
5. `arbiter_app.py` registers the page: route, title, `on_load`.

What mypy cannot read of Reflex's types, `typed.py` says again: events, and a state's variables that are lists or mappings.
"""
