"""`doctor`: one look at everything that Arbiter needs, in plain lines; what is wrong says what to do."""

from __future__ import annotations

import asyncio
import errno
import platform
import re
import socket
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from pydantic import SecretStr

from arbiter_app import __version__, outgoing
from arbiter_app.catalog import Catalog
from arbiter_app.catalog_file import catalog_of
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.policy import POLICIES
from arbiter_app.pool import telling
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.clients import client_of
from arbiter_app.runtime.config import RuntimeConfig
from arbiter_app.runtime.embeddings import HttpEmbeddings
from arbiter_app.runtime.sandbox import start_sandbox
from arbiter_app.services.pool import NO_LIST, listed
from arbiter_app.settings import Settings, setting_names
from arbiter_app.store.backends.server import ServerState
from arbiter_app.store.health import SQLITE, examine
from arbiter_app.web import build, provider_document

PROBE_S = 2.0
SKEW_S = 1.0
"""How far clocks may be apart."""
LAG_S = 30.0
"""How far a standby may be behind."""
Line = tuple[bool, str, str]


def run(settings: Settings, say: Callable[[str], None]) -> int:
    """Say every finding; 1 when something is wrong, else 0."""
    good = True
    for check in (_versions, _port, _proxies, _store, _valkey, _runtime, _named_runtimes, _embeddings, _openid, _pages):
        for fine, name, text in check(settings):
            good &= fine
            say(f"{'ok  ' if fine else 'FAIL'}  {name:<9} {text}")
    say("")
    for line in effective(settings):
        say(line)
    return 0 if good else 1


def hindrance(settings: Settings) -> str:
    """Why `serve` could not start, in one sentence; empty when nothing is in the way. The store speaks for itself when opened."""
    if settings.policy not in POLICIES:
        return f"ARBITER_POLICY: unknown policy {settings.policy!r}; known are {', '.join(sorted(POLICIES))}"
    taken = _taken(settings)
    if taken:
        return f"{settings.host}:{settings.port}: {taken}"
    try:
        outgoing.certificates()
    except OSError as error:
        return f"SSL_CERT_FILE, SSL_CERT_DIR: no certificates can be read there: {error.strerror or error}"
    try:
        for config in catalog_of(settings).runtimes.values():
            client_of(config, settings)
    except ValueError as error:
        return str(error)
    return ""


def serving(settings: Settings) -> str | None:
    """The version of the Arbiter that answers on the configured port, None when none does."""
    try:
        told = asyncio.run(outgoing.said_by(f"{settings.own_url}/health", seconds=PROBE_S, direct=True))
    except ValueError:
        return None
    return str(told["version"]) if "version" in told else None


def effective(settings: Settings) -> Iterator[str]:
    """Every setting with its value (secrets masked) and where it comes from."""
    for env_name, field in sorted(setting_names().items()):
        value = getattr(settings, field) if field in Settings.model_fields else getattr(settings.routing, field)
        source = settings.sources.get(env_name, "default")
        yield f"{env_name:<32} {_shown(field, value):<34} {source}"


def secrets_of(settings: Settings) -> list[str]:
    """Every secret among the settings, for the logs to leave out."""
    secret = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    return [*secret, *settings.api_keys, *settings.content_keys]


def _shown(field: str, value: object) -> str:
    if value is None or value in ("", ()):
        return "(unset)"
    if isinstance(value, SecretStr) or field in ("api_keys", "content_keys"):
        return "(set)"
    if isinstance(value, bool):
        return str(value).lower()
    said = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", said)


def _versions(settings: Settings) -> Iterator[Line]:
    parts = [f"Python {platform.python_version()}", f"Reflex {metadata.version('reflex')}"]
    yield True, "version", f"Arbiter {__version__}, {', '.join(parts)}, SQLite {SQLITE}"


def _port(settings: Settings) -> Iterator[Line]:
    where, taken = f"{settings.host}:{settings.port}", _taken(settings)
    version = serving(settings) if taken else None
    if version:
        yield True, "port", f"{where}: Arbiter {version} is serving"
    elif taken:
        yield False, "port", f"{where}: {taken}"
    else:
        yield True, "port", f"{where} is free"


def _proxies(settings: Settings) -> Iterator[Line]:
    if settings.trusts_everybody:
        yield (
            False,
            "proxies",
            "ARBITER_TRUSTED_PROXIES trusts everybody: whoever asks says where from, past every limit of an address; name your proxies",
        )


def _embeddings(settings: Settings) -> Iterator[Line]:
    if settings.embeddings_url:
        try:
            length = asyncio.run(_embedded(settings))
        except RuntimeFault as fault:
            yield False, "cache", f"EMBEDDINGS_API_URL: {fault.message}; no answer is found by meaning"
        else:
            yield True, "cache", f"{settings.embeddings_model} makes vectors of {length:,} numbers"


def _openid(settings: Settings) -> Iterator[Line]:
    if settings.oidc_issuer:
        try:
            asyncio.run(provider_document.read(settings.oidc_issuer))
        except ValueError as error:
            yield False, "openid", f"{settings.oidc_issuer}: {error}; nobody signs in there"
        else:
            yield True, "openid", f"{settings.oidc_issuer} says where people sign in"


async def _embedded(settings: Settings) -> int:
    """How long the vector of a word is. Raises RuntimeFault."""
    key = settings.embeddings_api_key
    client = HttpEmbeddings(
        settings.embeddings_url, key.get_secret_value() if key is not None else "", settings.embeddings_model
    )
    try:
        return len(await client.embed("hello"))
    finally:
        await client.aclose()


def _taken(settings: Settings) -> str:
    """Why the port cannot be listened on, and what to do; empty when it can."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            first = "end what uses it, or " if error.errno == errno.EADDRINUSE else ""
            return f"{error.strerror or error}; {first}set ARBITER_HOST and ARBITER_PORT"
    return ""


def _store(settings: Settings) -> Iterator[Line]:
    health = examine(settings.db)
    if not health.exists:
        yield True, "store", f"{health.where} is not there yet; the first start makes it"
    elif health.problem:
        yield False, "store", health.problem
    else:
        size = "" if health.size_bytes is None else f", {health.size_bytes:,} bytes"
        known = f"schema {health.revision or 'of no Arbiter yet'}"
        state = f"{known} is current" if health.revision == health.head else f"{known} becomes {health.head}"
        yield True, "store", f"{health.where}{size}, integrity ok, {state}"
    if health.server is not None:
        yield from _server(settings, health.server)


def _server(settings: Settings, server: ServerState) -> Iterator[Line]:
    """What a PostgreSQL says of itself, and what waits for it here."""
    left, wanted = server.most - server.used, settings.db_connections * (1 + settings.workers)
    room = left + server.ours >= wanted
    used = f"{server.used} of {server.most} connections are open, {server.ours} of them Arbiter's; this host may open {wanted}"
    advice = "" if room else "; raise its max_connections, or lower ARBITER_DB_CONNECTIONS"
    yield room, "server", f"PostgreSQL {server.version}: {used}{advice}"
    if server.follows:
        behind = "" if server.lag_s is None else f", {server.lag_s:,.1f} s behind"
        yield False, "server", f"it is a standby{behind}, and takes no writes; name its primary in ARBITER_DB"
    for one in server.standbys:
        lag = (
            "its lag is not told (grant pg_monitor to see it)"
            if one.lag_bytes is None
            else f"{one.lag_bytes:,} bytes behind"
        )
        late = one.lag_s or 0.0
        text = f"standby {one.name}: {one.state}, {lag}" + (f", {late:,.1f} s" if one.lag_s is not None else "")
        yield late <= LAG_S, "server", text + ("" if late <= LAG_S else "; what it lacks is lost if it takes over now")
    apart = abs(server.skew_s) > SKEW_S + server.skew_known_s
    clock = f"the server's clock is {server.skew_s:+.3f} s from this host's, give or take {server.skew_known_s:.3f} s"
    yield not apart, "clock", clock + ("; let NTP keep both, limits and sign-ins go by them" if apart else "")
    path = Path(settings.journal)
    yield (
        True,
        "journal",
        f"{path}, {path.stat().st_size if path.exists() else 0:,} of {settings.journal_bytes:,} bytes",
    )


def _valkey(settings: Settings) -> Iterator[Line]:
    if settings.valkey_url is None:
        return
    try:
        where, wrong = asyncio.run(_pinged(settings.valkey_url.get_secret_value(), settings.valkey_timeout_s))
    except ValueError as error:
        yield False, "valkey", f"ARBITER_VALKEY_URL: {error}"
    else:
        yield not wrong, "valkey", f"{where}: {wrong}; hosts share no answers" if wrong else f"{where} answers"


async def _pinged(url: str, wait_s: float) -> tuple[str, str]:
    """Where Valkey is, and what is wrong with it; empty where nothing is."""
    from arbiter_app.store.valkey import ValkeyAnswers

    shared = ValkeyAnswers(url, ttl_s=1.0, wait_s=wait_s)
    try:
        return shared.where, await shared.ping()
    finally:
        await shared.close()


def _runtime(settings: Settings) -> Iterator[Line]:
    for note in settings.repaired:
        yield True, "settings", note
    try:
        catalog = catalog_of(settings)
        found = asyncio.run(_reached(settings, catalog))
    except RuntimeFault as fault:
        what = f"{settings.base_url}: {fault.message}"
        yield False, "runtime", f"{what}; check BTL_BASE_URL and GATEWAY_API_KEY"
    except ValueError as error:
        yield False, "runtime", str(error)
    else:
        yield True, "runtime", found[0]
        yield from ((True, "pool", line) for line in found[1:])


def _named_runtimes(settings: Settings) -> Iterator[Line]:
    """Each runtime of the catalog: whether its key is set, it answers, and what it has."""
    try:
        catalog = catalog_of(settings)
    except ValueError:
        return  # said already
    for name, config in catalog.runtimes.items():
        key = f"with the key of {config.key_env}" if config.key_env else "without a key"
        try:
            good, lines = asyncio.run(_named_listed(settings, catalog, config))
        except RuntimeFault as fault:
            at_fault = f"base_url and {config.key_env}" if config.key_env else "base_url"
            yield False, "runtime", f"{name}: {config.base_url}: {fault.message}; check {at_fault}"
        except ValueError as error:
            yield False, "runtime", str(error)
        else:
            yield good, "runtime", f"{name}: {config.base_url} ({config.dialect}, {key}) {lines[0]}"
            yield from ((True, "pool", line) for line in lines[1:])


async def _named_listed(settings: Settings, catalog: Catalog, config: RuntimeConfig) -> tuple[bool, list[str]]:
    """Whether a named runtime has what the catalog says, and its list in sentences. Raises RuntimeFault and ValueError."""
    runtime = client_of(config, settings)
    try:
        rows = await runtime.models()
    except RuntimeFault as fault:
        if fault.status not in NO_LIST:
            raise
        return True, [
            "has no list of models: what the catalog has there is asked for",
            *telling.deployed(catalog, config.name),
        ]
    finally:
        await runtime.aclose()
    after = catalog.relisted(config.name, rows)
    there = [at for several in after.deployments.values() for at in several if at.runtime == config.name]
    good = not there or any(at.model.listed for at in there)
    return good, [f"lists {len(rows)} models", *telling.deployed(after, config.name)]


async def _reached(settings: Settings, catalog: Catalog) -> list[str]:
    """How many models the runtime lists, and what becomes of them; in sandbox mode one is started for the moment."""
    key = settings.gateway_api_key
    if key is not None:
        return await _listed(settings, catalog, key.get_secret_value())
    sandbox = start_sandbox(catalog, latency=0.0)
    try:
        runtime = HttpRuntime(sandbox.url, sandbox.key)
        try:
            listed = len(await runtime.models())
        finally:
            await runtime.aclose()
    finally:
        await asyncio.to_thread(sandbox.stop)
    return [f"sandbox with {listed} simulated models (set GATEWAY_API_KEY for a real runtime)"]


async def _listed(settings: Settings, catalog: Catalog, key: str) -> list[str]:
    """The runtime's list held against the catalog, as `serve` would at its start."""
    runtime = HttpRuntime(settings.base_url, key)
    try:
        rows = await runtime.models()
        after, _ = await listed(runtime, catalog, rows, settings)
    finally:
        await runtime.aclose()
    where = settings.base_url.rstrip("/")
    if runtime.base_url != where:
        where = f"{runtime.base_url} (BTL_BASE_URL lacks /v1)"
    if after is catalog:
        return [f"{where} lists {len(rows)} models, none that chats: the catalog's are routed to"]
    return [f"{where} lists {len(rows)} models", *telling.lines(after)]


def _pages(settings: Settings) -> Iterator[Line]:
    yield True, "pages", "built" if build.built() else "not built yet; `serve` builds them"
