"""Who sits at a browser: sessions on the server, a random HttpOnly SameSite=Strict cookie in the browser.

A handler on the socket learns the identity from the cookie of the socket's handshake, or, when somebody signs in after
the socket was opened, from a binding of that socket which only the server can make. Nothing a page can write counts.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import parse_qs

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from arbiter_app import browsers
from arbiter_app.addresses import address_of, came_by_tls
from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import RateLimited
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.allowance import Allowance
from arbiter_app.services.keys import Keys

COOKIE = "arbiter_session"
LIFETIME_S = 7 * 24 * 3600
TICKET_S = 30.0
MOST = 10_000
MAX_BODY = 8_192


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser."""

    key_id: str
    role: Role
    ends: float
    """By the monotonic clock: a session lives in this process only."""


class Sessions:
    """All sessions of this process, bounded in number and age. Times are those of a clock that nobody sets, in seconds."""

    def __init__(self, *, per_key: int = 20, attempts_per_minute: int = 60) -> None:
        self._per_key = per_key
        self._attempts = Allowance(attempts_per_minute, 60.0)
        self._live: OrderedDict[str, Session] = OrderedDict()
        self._of: dict[str, OrderedDict[str, None]] = {}
        self._bound: OrderedDict[str, str] = OrderedDict()
        self._tickets: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def begin(self, caller: Caller, now: float) -> str:
        """A new session for an authenticated caller; returns its secret id."""
        self._make_room(caller.key_id)
        secret = secrets.token_urlsafe(32)
        self._live[secret] = Session(caller.key_id, caller.role, now + LIFETIME_S)
        self._of.setdefault(caller.key_id, OrderedDict())[secret] = None
        return secret

    def attempt(self, address: str) -> None:
        """Count a try to sign in. Raises RateLimited when an address has made too many lately."""
        wait_s = self._attempts.take(address)
        if wait_s > 0:
            bounds.count("signins", "a sign-in was refused: too many of one address (ARBITER_SIGNINS_PER_MINUTE)")
            raise RateLimited(
                f"too many sign-ins; try again in {math.ceil(wait_s)} s", code="too_many_signins", retry_after_s=wait_s
            )

    def _make_room(self, key_id: str) -> None:
        """The oldest of the key's own sessions gives way; when there are too many in all, one of the key that has most."""
        while len(self._of.get(key_id, ())) >= self._per_key:
            self.end(next(iter(self._of[key_id])))
        if len(self._live) >= MOST:
            most = max(self._of.values(), key=self._weight)
            self.end(next(iter(most)))

    def _weight(self, own: OrderedDict[str, None]) -> tuple[bool, int]:
        """Callers' sessions give way before operators', of whoever has most."""
        return self._live[next(iter(own))].role is not Role.OPERATOR, len(own)

    def end(self, secret: str) -> None:
        """Sign out: the session, and every socket bound to it."""
        session = self._live.pop(secret, None)
        if session is not None:
            own = self._of[session.key_id]
            del own[secret]
            if not own:
                del self._of[session.key_id]
        for sid in [sid for sid, its in self._bound.items() if its == secret]:
            del self._bound[sid]

    def bind(self, sid: str, secret: str) -> None:
        """Let an open socket act for this session."""
        self._bound[sid] = secret
        _bound(self._bound)

    def unbind(self, sid: str) -> None:
        """A socket has closed."""
        self._bound.pop(sid, None)

    def ticket(self, secret: str, now: float) -> str:
        """A code, good once and for half a minute, with which the page fetches its cookie."""
        code = secrets.token_urlsafe(24)
        self._tickets[code] = (secret, now + TICKET_S)
        _bound(self._tickets)
        return code

    def redeem(self, code: str, now: float) -> str | None:
        """The session a ticket stands for; a ticket works once."""
        secret, ends = self._tickets.pop(code, ("", 0.0))
        return secret if ends > now and secret in self._live else None

    def key_of(self, sid: str, cookie_header: str, now: float) -> str | None:
        """The key behind a socket, or None for a visitor."""
        return self._key(self._bound.get(sid), now) or self._key(secret_of(cookie_header), now)

    def _key(self, secret: str | None, now: float) -> str | None:
        session = self._live.get(secret or "")
        if session is None or secret is None:
            return None
        if session.ends <= now:
            self.end(secret)
            return None
        return session.key_id

    def secret_behind(self, sid: str, cookie_header: str) -> str | None:
        """The session id behind a socket, for signing out."""
        return self._bound.get(sid) or secret_of(cookie_header)


def _bound(store: OrderedDict[str, str] | OrderedDict[str, tuple[str, float]]) -> None:
    while len(store) > MOST:
        store.popitem(last=False)


def secret_of(cookie_header: str) -> str | None:
    """The session id in a Cookie header."""
    return browsers.cookie_in(cookie_header, COOKIE)


class SessionRoute:
    """`POST /session` with an API key (JSON or form) or a ticket signs in; `DELETE /session` signs out."""

    def __init__(self, sessions: Sessions, keys: Keys) -> None:
        self._sessions = sessions
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the sign-in route."""
        request = Request(scope, receive)
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if browsers.from_own_page(request.scope["headers"]) is False:
            return _error(403, "wrong_origin", "sign in from Arbiter's own pages")
        if request.method == "DELETE":
            return self._sign_out(request)
        if request.method != "POST":
            refused = _error(405, "method_not_allowed", "POST signs in, DELETE signs out")
            refused.headers["allow"] = "POST, DELETE"
            return refused
        fields = await _fields(request)
        if fields is not None:
            try:
                self._sessions.attempt(address_of(request.scope))
            except RateLimited as error:
                refused = _error(error.status, error.code, error.message)
                refused.headers["retry-after"] = str(math.ceil(error.retry_after_s or 1))
                return refused
        if fields is None:
            return _error(400, "invalid_body", 'send {"api_key": ...} as JSON or as a form')
        return await self._sign_in(request, fields)

    async def _sign_in(self, request: Request, fields: dict[str, str]) -> Response:
        now = time.monotonic()
        secret = self._sessions.redeem(fields.get("ticket", ""), now) if "ticket" in fields else None
        if secret is None and "api_key" in fields:
            caller = await self._keys.identify(fields["api_key"])
            secret = self._sessions.begin(caller, now) if caller is not None else None
        if secret is None:
            return _error(401, "invalid_key", "this key is unknown, malformed or revoked")
        answer: Response = JSONResponse({"signed_in": True})
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            answer = RedirectResponse(local(fields.get("next", "")), 303)
        answer.set_cookie(
            COOKIE,
            secret,
            max_age=LIFETIME_S,
            path="/",
            httponly=True,
            samesite="strict",
            secure=came_by_tls(request.scope),
        )
        return answer

    def _sign_out(self, request: Request) -> Response:
        secret = secret_of(browsers.cookies(request.scope["headers"]))
        if secret:
            self._sessions.end(secret)
        answer = JSONResponse({"signed_in": False})
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer


def local(path: str) -> str:
    """`path` if it stays on this site, else the overview."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/app"


async def _fields(request: Request) -> dict[str, str] | None:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return None
    except ClientDisconnect:
        return None  # the answer will reach nobody
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else None


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}, status
    )
