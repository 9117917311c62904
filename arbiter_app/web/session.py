"""Signing in and out over HTTP: the cookie of a session (see `services.sessions`) is random, HttpOnly and SameSite=Strict."""

from __future__ import annotations

import math
from urllib.parse import parse_qs, quote

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from arbiter_app import browsers
from arbiter_app.addresses import address_of, came_by_tls
from arbiter_app.pipeline.errors import RateLimited, Unprocessable
from arbiter_app.proxy_identity import vouched_for
from arbiter_app.services.keys import Keys
from arbiter_app.services.people import PLACE, People, is_person
from arbiter_app.services.sessions import COOKIE, LIFETIME_S, Sessions
from arbiter_app.store import StoreError
from arbiter_app.web import invitation
from arbiter_app.web.openid import CALLBACK, START, OpenIdSignIn, SignInRefused, refused
from arbiter_app.web.openid import COOKIE as OPENID_COOKIE

MAX_BODY = 8_192
SEEN = "arbiter_seen"
"""The cookie by which the pages' script knows that somebody has signed in here, and is no first visitor. It says nothing else."""
BY_PROXY = "/session/proxy"
"""Where whom a trusted proxy vouches for is signed in."""


class SessionRoute:
    """`POST /session` with an API key, an invitation (JSON or form) or a ticket signs in; `DELETE /session` signs out."""

    def __init__(self, sessions: Sessions, keys: Keys, people: People, openid: OpenIdSignIn) -> None:
        self._sessions = sessions
        self._keys = keys
        self._people = people
        self._openid = openid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the sign-in route."""
        request = Request(scope, receive)
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if browsers.from_own_page(request.scope["headers"]) is False:
            return _error(403, "wrong_origin", "sign in from Arbiter's own pages")
        if request.method in ("GET", "HEAD") and request.url.path == PLACE:
            return await self._invitation(request)
        if request.method == "GET" and self._openid.on and request.url.path in (START, CALLBACK):
            return await self._by_openid(request)
        if request.method in ("GET", "HEAD") and request.url.path == BY_PROXY:
            return await self._by_proxy(request)
        if request.method == "DELETE":
            return await self._sign_out(request)
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
        try:
            secret = await self._begun(fields)
        except Unprocessable as error:
            return _error(error.status, error.code, error.message)
        except StoreError as error:
            return _error(503, "store_unavailable", f"nobody can sign in at the moment: {error}")
        if secret is None and "invitation" in fields and _is_form(request):
            return invitation.gone()
        if secret is None and "invitation" in fields:
            return _error(401, "invalid_invitation", "this link was used, withdrawn or has expired; ask for another")
        if secret is None:
            return _error(401, "invalid_key", "this key is unknown, malformed or revoked")
        return self._signed_in(request, fields, secret)

    async def _invitation(self, request: Request) -> Response:
        """The form of a link, where it still works. What cannot be looked up now is told when the form is sent."""
        code = request.query_params.get("code", "")
        try:
            self._sessions.attempt(address_of(request.scope))
            works = await self._people.is_open(code)
        except RateLimited as error:
            return refused(error.message, error.status)
        except StoreError:
            works = True
        return invitation.page(code) if works else invitation.gone()

    async def _begun(self, fields: dict[str, str]) -> str | None:
        """The secret of the session that this ticket, invitation or key opens, if any. Raises StoreError and Unprocessable."""
        if "invitation" in fields:
            invited = await self._people.accept(fields["invitation"], fields.get("name", ""))
            return await self._sessions.begin(invited) if invited is not None else None
        secret = await self._sessions.redeem(fields["ticket"]) if "ticket" in fields else None
        if secret is None and "api_key" in fields:
            caller = await self._keys.identify(fields["api_key"])
            secret = await self._sessions.begin(caller) if caller is not None else None
        return secret

    async def _by_openid(self, request: Request) -> Response:
        """To the provider, or back from it."""
        try:
            self._sessions.attempt(address_of(request.scope))
            if request.url.path == START:
                return await self._openid.begin(request)
            secret = await self._sessions.begin(await self._openid.finish(request))
        except SignInRefused as error:
            return refused(str(error))
        except RateLimited as error:
            return refused(error.message, error.status)
        except StoreError as error:
            return refused(f"nobody can sign in at the moment: {error}", 503)
        answer = RedirectResponse("/app", 303)
        answer.delete_cookie(OPENID_COOKIE, path=START, httponly=True, samesite="lax")
        _set_cookie(answer, request, secret)
        return answer

    async def _by_proxy(self, request: Request) -> Response:
        """Sign in whom a trusted proxy vouches for, and go on to where they were."""
        email = vouched_for(request.scope)
        if not email:
            return refused("no trusted proxy says who you are (ARBITER_AUTH_HEADER, ARBITER_TRUSTED_PROXIES)")
        try:
            caller = await self._people.enter(email, "", self._openid.role_of(email))
            if caller is None:
                return refused("nobody has invited this address, or it may not sign in any more; ask an operator")
            secret = await self._sessions.begin(caller)
        except StoreError as error:
            return refused(f"nobody can sign in at the moment: {error}", 503)
        answer = RedirectResponse(local(request.query_params.get("next", "")), 303)
        _set_cookie(answer, request, secret)
        return answer

    async def knocks(self, scope: Scope) -> str | None:
        """Where a browser has to go first that a trusted proxy vouches for and that is not signed in as who that is."""
        email = vouched_for(scope)
        if not email or "." in scope["path"].rpartition("/")[2]:
            return None
        who = await self._keys.signed_in(browsers.cookies(scope["headers"]))
        if who is not None and is_person(who.key_id) and who.email.lower() == email:
            return None
        return f"{BY_PROXY}?next={quote(scope['path'])}"

    def _signed_in(self, request: Request, fields: dict[str, str], secret: str) -> Response:
        answer: Response = JSONResponse({"signed_in": True})
        if _is_form(request):
            answer = RedirectResponse(local(fields.get("next", "")), 303)
        _set_cookie(answer, request, secret)
        return answer

    async def _sign_out(self, request: Request) -> Response:
        await self._sessions.end(browsers.cookies(request.scope["headers"]))
        answer = JSONResponse({"signed_in": False})
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer


def _set_cookie(answer: Response, request: Request, secret: str) -> None:
    secure = came_by_tls(request.scope)
    answer.set_cookie(COOKIE, secret, max_age=LIFETIME_S, path="/", httponly=True, samesite="strict", secure=secure)
    answer.set_cookie(SEEN, "1", max_age=LIFETIME_S, path="/", samesite="strict", secure=secure)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


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
    if _is_form(request):
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
