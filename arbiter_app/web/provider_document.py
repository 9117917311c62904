"""What an OpenID provider says of itself (OpenID Connect Discovery 1.0, section 4): a claim, of which little is taken.

Where it is called and where browsers are sent is named there. Nothing else of the document reaches the library that signs in, whose
HTTP client would take `verify`, `proxy` and the like from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from arbiter_app import outgoing
from arbiter_app.addresses import is_loopback_address
from arbiter_app.pipeline.plain import is_url, quoted

ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""By which an ID token may be signed: with a key that only the provider has."""
MAX_URL_CHARS = 2_000


async def read(issuer: str) -> dict[str, Any]:
    """What the provider says, of what is needed. Raises ValueError in one sentence."""
    return checked(await outgoing.said_by(f"{issuer.rstrip('/')}/.well-known/openid-configuration"), issuer)


def checked(said: Mapping[str, Any], issuer: str) -> dict[str, Any]:
    """Its issuer, endpoints and algorithms. Raises ValueError where one is not what it has to be."""
    named = said.get("issuer")
    if not isinstance(named, str) or named.rstrip("/") != issuer.rstrip("/"):
        raise ValueError(f"it names the issuer {quoted(named)}, not that of ARBITER_OIDC_ISSUER")
    wrong = [name for name in ENDPOINTS if not _is_endpoint(said.get(name), issuer)]
    if wrong:
        raise ValueError(f"its {wrong[0]} is no address that may be used: {quoted(said.get(wrong[0]))}")
    stated = said.get("id_token_signing_alg_values_supported")
    usable = [one for one in ALGORITHMS if one in stated] if isinstance(stated, list) else []
    taken: dict[str, Any] = {name: said[name] for name in ENDPOINTS}
    return {"issuer": named, **taken, "id_token_signing_alg_values_supported": usable or ["RS256"]}


def _is_endpoint(url: Any, issuer: str) -> bool:
    """Whether somebody may be sent there: by TLS, or without where the operator named an issuer without, on the same host."""
    if not isinstance(url, str) or len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    if not is_url(url) or "@" in urlsplit(url).netloc or "\\" in url:
        return False
    there, home = urlsplit(url), urlsplit(issuer)
    if there.scheme == "https":
        return True
    return home.scheme == "http" and (
        there.hostname == home.hostname or _is_own(there.hostname) and _is_own(home.hostname)
    )


def _is_own(host: str | None) -> bool:
    return host == "localhost" or is_loopback_address(host or "")
