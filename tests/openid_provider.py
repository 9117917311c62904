"""A real OpenID provider on loopback (`oidc-provider-mock`), whose ID tokens a test may have changed, and signed anew, before they go out.

It is a process of its own: its packages warn of each other.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from tests.served import ROOT, TLS, free_port
from tests.waiting import PATIENCE_S, until

CONTROL = "/control"
People = Mapping[str, Mapping[str, Any]]
"""Claims by subject."""


class Provider:
    """A running provider: `set` says what its ID tokens are to be like from now on."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def set(self, *, change: Mapping[str, Any] | None = None, forged: bool = False, rotate: bool = False) -> None:
        """`change` are claims in the place of the right ones, `forged` signs by a key that is not the named one, `rotate` changes that."""
        body = {"change": change or {}, "forged": forged, "rotate": rotate}
        httpx.put(self.issuer + CONTROL, json=body, verify=TLS).raise_for_status()


@contextmanager
def provider(people: People) -> Iterator[Provider]:
    """One on a free port, until the end of the block."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "tests.openid_provider", str(port), json.dumps(people)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    one = Provider(f"http://127.0.0.1:{port}")

    def ready() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{one.issuer}/jwks", verify=TLS).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(ready)
        yield one
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def main(port: int, people: People) -> None:
    """Serve."""
    import oidc_provider_mock
    from joserfc import jwt
    from joserfc.jwk import KeySet, RSAKey
    from werkzeug.serving import run_simple
    from werkzeug.test import Client
    from werkzeug.wrappers import Request, Response

    users = [oidc_provider_mock.User(sub=sub, claims=dict(claims)) for sub, claims in people.items()]
    app = oidc_provider_mock.app(user_claims=users)
    key = RSAKey.generate_key(2048, private=True, auto_kid=True)
    set_: dict[str, Any] = {"change": {}, "forged": False}

    def answer(environ: Any, start_response: Any) -> Any:
        nonlocal key
        request, told, status = Request(environ), {}, 200
        if request.path == CONTROL:
            set_.update(json.loads(request.get_data()))
            key = RSAKey.generate_key(2048, private=True, auto_kid=True) if set_["rotate"] else key
        elif request.path == "/jwks":
            told = dict(KeySet([key]).as_dict(private=False))
        elif request.path == "/oauth2/token":
            said = Response.from_app(app, environ, buffered=True)
            told, status = json.loads(said.get_data()), said.status_code
            if "id_token" in told:
                own = KeySet.import_key_set(Client(app).get("/jwks").get_json())
                claims = jwt.decode(told["id_token"], own).claims | set_["change"]
                signer = RSAKey.generate_key(2048, parameters={"kid": key.kid}) if set_["forged"] else key
                told["id_token"] = jwt.encode({"alg": "RS256", "kid": key.kid}, claims, signer)
        else:
            return app(environ, start_response)
        return Response(json.dumps(told), status, content_type="application/json")(environ, start_response)

    run_simple("127.0.0.1", port, answer, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
