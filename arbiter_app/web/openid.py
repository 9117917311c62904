"""Signing in by OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0, section 3.1; RFC 7636).

Authlib makes the request and looks at what comes back: state, nonce, signature (with keys read anew when one is unknown), issuer, audience and
times. What the callback needs is in a cookie of the browser that began, encrypted, so that any host may be called back.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from html import escape
from typing import Any

import orjson
from authlib.integrations.starlette_client import OAuth  # type: ignore[import-untyped]
from cryptography.fernet import Fernet, InvalidToken
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from arbiter_app import outgoing
from arbiter_app.addresses import came_by_tls
from arbiter_app.services.people import People
from arbiter_app.settings import Settings
from arbiter_app.web import plain_page, provider_document

log = logging.getLogger("arbiter.openid")

START, CALLBACK = "/session/openid", "/session/openid/callback"
COOKIE = "arbiter_openid"
LASTS_S = 600
"""For so long somebody may take to sign in at the provider."""
KNOWN_S = 3_600.0
"""For so long what the provider says of itself, its keys included, need not be read again."""
LEEWAY_S = 60
"""By how much the provider's clock may differ."""
Claims = dict[str, Any]


class SignInRefused(Exception):
    """Why somebody whom the provider vouches for does not come in."""


class OpenIdSignIn:
    """The provider that the settings name, if any: `people` says who comes in."""

    def __init__(self, settings: Settings, people: People) -> None:
        self._people = people
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._domains = frozenset(name.lower() for name in settings.oidc_domains)
        self._role = settings.oidc_role
        secret = settings.oidc_client_secret.get_secret_value() if settings.oidc_client_secret else ""
        self._seal = Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"arbiter openid\0" + secret.encode()).digest()))
        self._client: Any = OAuth().register(
            "openid",
            client_id=self._client_id,
            client_secret=secret,
            client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", **outgoing.options()},
        )
        self._known_until = float("-inf")

    @property
    def on(self) -> bool:
        """Whether there is a provider."""
        return bool(self._issuer)

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        request.scope["session"] = {}
        scheme = "https" if came_by_tls(request.scope) else "http"
        try:
            async with outgoing.within():
                await self._know_provider()
                answer: Response = await self._client.authorize_redirect(
                    request, f"{scheme}://{request.headers['host']}{CALLBACK}"
                )
        except Exception as error:  # noqa: BLE001 - a provider that is away, or says what is no metadata, in whatever way
            log.warning("the OpenID provider cannot be used: %s", _said(error))
            return refused("the provider cannot be reached, or does not say what it should", 503)
        sealed = self._seal.encrypt(orjson.dumps(request.scope["session"])).decode()
        secure = came_by_tls(request.scope)
        answer.set_cookie(COOKIE, sealed, max_age=LASTS_S, path=START, httponly=True, samesite="lax", secure=secure)
        return answer

    async def finish(self, request: Request) -> Any:
        """The caller who came back from the provider. Raises SignInRefused, and StoreError."""
        request.scope["session"] = self._opened(request.cookies.get(COOKIE, ""))
        try:
            async with outgoing.within():
                claims = await self._claims(request)
        except Exception as error:  # noqa: BLE001 - whatever a stranger may answer is a refusal, and no error of ours
            log.warning("a sign-in by OpenID Connect was refused: %s", _said(error))
            raise SignInRefused(
                "what the provider said of this sign-in is not valid, or not any more; try again"
            ) from None
        return await self._let_in(claims)

    async def _claims(self, request: Request) -> Claims:
        """What a valid ID token says, for which the provider takes the code that a browser came back with."""
        await self._know_provider()
        token = await self._client.authorize_access_token(
            request,
            leeway=LEEWAY_S,
            claims_options={
                "iss": {"essential": True, "values": [self._client.server_metadata["issuer"]]},
                "aud": {"essential": True, "values": [self._client_id]},
            },
        )
        if "id_token" not in token:  # `userinfo` is then what the provider wrote there, which nothing vouches for
            raise ValueError("it answers without an ID token")
        return dict(token["userinfo"])

    async def _let_in(self, claims: Claims) -> Any:
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise SignInRefused("the provider does not vouch for an e-mail address (email, email_verified)")
        name = claims.get("name") if isinstance(claims.get("name"), str) else ""
        caller = await self._people.enter(email, str(name), self.role_of(email))
        if caller is None:
            raise SignInRefused("nobody has invited this address, or it may not sign in any more; ask an operator")
        return caller

    def role_of(self, email: str) -> str | None:
        """The role of who comes in for the first time with this address; None where nobody does without an invitation."""
        return self._role if email.rpartition("@")[2].lower() in self._domains else None

    async def _know_provider(self) -> None:
        """Read what the provider says of itself, unless that is known. Raises ValueError; what is wrong is not kept."""
        if time.monotonic() < self._known_until:
            return
        said = await provider_document.read(self._issuer)
        self._client.server_metadata.clear()
        self._client.server_metadata.update(said)
        self._known_until = time.monotonic() + KNOWN_S

    def _opened(self, sealed: str) -> Any:
        try:
            return orjson.loads(self._seal.decrypt(sealed, ttl=LASTS_S))
        except (InvalidToken, ValueError):
            return {}


def refused(why: str, status: int = 403) -> HTMLResponse:
    """The page that says that a sign-in did not work."""
    return plain_page.answer(
        "Nobody is signed in",
        f'<h1>Nobody is signed in</h1>\n<p role="alert">{escape(why[:1].upper() + why[1:])}.</p>\n<p><a href="/app/key">Back to the sign-in</a></p>',
        status,
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
