"""Every setting of Arbiter, and the only place that reads the environment or `.env`. The environment wins.

pydantic-settings reads both; `env_file.py` looks at `.env` before, for what would be passed over in silence.
Unknown `ARBITER_*` names are refused, so that a typing mistake is found at start and not in production.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import fields
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from arbiter_app.env_file import EnvFileError, check
from arbiter_app.pipeline.plain import is_url
from arbiter_app.policy import PolicySettings, Serve

PREFIX = "ARBITER_"
DEFAULT_BASE_URL = "https://api.badtheorylabs.com/v1"
MAX_KEY_CHARS = 512
"""Longest key that a request may bring."""
LARGEST = 10**15
"""No number of a setting may be larger: it goes into the database and into times, which would overflow."""
M = TypeVar("M", bound=BaseSettings)
Layer = tuple[str, Mapping[str, str | None]]
"""Where settings come from, and which: by their environment names."""


class SettingsError(ValueError):
    """A setting cannot be used; the message has one line for each, with its name."""


def _names(value: object) -> object:
    """Split a comma-separated list, or take a JSON list of texts; empty entries are dropped."""
    if not isinstance(value, str):
        return value
    try:
        listed = json.loads(value) if value.lstrip().startswith("[") else None
    except ValueError:
        listed = None  # a pattern may begin so, too
    parts = value.split(",") if listed is None else listed
    if '"' in value and listed is None or not all(isinstance(part, str) for part in parts):
        raise ValueError("names are written like one,another")
    return tuple(part.strip() for part in parts if part.strip())


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


def _fernet_key(key: str) -> str:
    """A key of Fernet: 32 bytes as URL-safe base64. Raises ValueError, without repeating it."""
    try:
        good = len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
    except ValueError:
        good = False
    if not good:
        raise ValueError("each key is 32 bytes as URL-safe base64, such as `openssl rand -base64 32 | tr +/ -_` makes")
    return key


FernetKeys = Annotated[tuple[Annotated[str, AfterValidator(_fernet_key)], ...], BeforeValidator(_names)]


def _time_zone(name: str) -> str:
    """A name of the IANA time zone database. Raises ValueError."""
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:60]!r} is no time zone; write it like Europe/Berlin") from None


def _origin(text: str) -> str:
    """An origin as browsers write it, in lower case. Raises ValueError for anything else."""
    origin = text.lower().rstrip("/")
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(f"{text[:100]!r} is no origin; each is named like https://app.example.com:8443")
    return origin


def _operator_key(key: str) -> str:
    """A key as it can stand in a header. Raises ValueError, without repeating it."""
    if not (key.isascii() and key.isprintable() and " " not in key and len(key) <= MAX_KEY_CHARS):
        raise ValueError(f"a key has at most {MAX_KEY_CHARS} visible ASCII characters, or nobody could send it")
    return key


OperatorKeys = Annotated[tuple[Annotated[str, AfterValidator(_operator_key)], ...], BeforeValidator(_names)]


def _listening(host: str) -> str:
    """An address or host name to listen on, without brackets. Raises ValueError for what has a scheme or a port."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    with contextlib.suppress(ValueError):
        ip_address(bare)
        return bare
    if bare != host or not re.fullmatch(r"[\w.-]+", host):
        raise ValueError(f"{host[:100]!r} is no address to listen on; write it like 0.0.0.0 or ::1, without port")
    return host


def _lower(value: object) -> object:
    """One of a few words, however it is written."""
    return value.lower() if isinstance(value, str) else value


def _host(name: str) -> str:
    """A host name, `*.` before it for all below, or an address; without scheme and port. Raises ValueError for what no request names."""
    if not re.fullmatch(r"(?:\*\.)?[\w.-]+|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+\]?", name) or ("[" in name) is not (
        "]" in name
    ):
        raise ValueError(f"{name[:100]!r} is no host name; write it like router.example.com, without scheme and port")
    return name


def _network(text: str) -> str:
    """An address, a network, or `*`. Raises ValueError for a name, by which no proxy is known."""
    try:
        if text != "*":
            ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:100]!r} is no address; write it like 10.0.0.5 or 10.1.0.0/16") from None
    return text


def _web_address(text: str) -> str:
    """The address of a service, empty where there is none. Raises ValueError for what no request can be sent to."""
    if text and not _is_web(text):
        raise ValueError(f"{text[:100]!r} is no address; write it like https://host/v1")
    return text


def _is_web(text: str) -> bool:
    """Whether it is an http or https address with a host, and nothing in it that cannot be sent."""
    return is_url(text) and text.isprintable() and not {" ", "\\"} & set(text)


def _name(text: str) -> str:
    """A name that can stand in a line of a log and of metrics. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("a name has no control characters")
    return text


def _prefix(path: str) -> str:
    """A path prefix with its first slash and without its last; empty for none. Raises ValueError."""
    prefix = f"/{path.strip('/')}" if path.strip("/") else ""
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)*", prefix) or {".", ".."} & set(prefix.split("/")):
        raise ValueError(f"{path[:100]!r} is no path; write it like /arbiter")
    return prefix


Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], BeforeValidator(_names)]
Hosts = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_names)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_names)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
HostPath = Annotated[str, AfterValidator(os.path.expanduser)]
"""Of this host; `~` is a home directory, also where no shell has looked at it (`.env`, systemd, containers)."""
Prefix = Annotated[str, AfterValidator(_prefix)]


def _env(name: str, default: Any, why: str, **limits: Any) -> Any:
    if isinstance(default, int | float) and not isinstance(default, bool):
        limits.setdefault("le", LARGEST)
    return Field(default, validation_alias=AliasChoices(name), description=why, **limits)


class _ByName(BaseSettings):
    """Settings by the environment names that are their fields' aliases, from layers of such names (`_built`)."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", case_sensitive=True, enable_decoding=False, allow_inf_nan=False
    )


class Settings(_ByName):
    """The effective configuration. Each field's alias is its environment name; `sources` says where it came from."""

    gateway_api_key: SecretStr | None = _env("GATEWAY_API_KEY", None, "key of the runtime; absent means sandbox mode")
    base_url: str = _env("BTL_BASE_URL", DEFAULT_BASE_URL, "the runtime's OpenAI-compatible base URL")
    baseline_model: str = _env("BASELINE_MODEL", "gpt-4o", "what would answer everything without Arbiter")
    baseline_context: int = _env("BASELINE_CONTEXT", 128_000, "context window of the baseline, in tokens", gt=0)
    request_timeout_s: float = _env("REQUEST_TIMEOUT", 120.0, "whole request, seconds", gt=0)
    embeddings_url: WebAddress = _env(
        "EMBEDDINGS_API_URL", "", "embeddings endpoint of the semantic cache; off when empty"
    )
    embeddings_model: str = _env("EMBEDDINGS_MODEL", "text-embedding-3-small", "model of the embeddings endpoint")
    embeddings_api_key: SecretStr | None = _env("EMBEDDINGS_API_KEY", None, "key of the embeddings endpoint")
    embeddings_threshold: float = _env("EMBEDDINGS_THRESHOLD", 0.80, "least cosine similarity of a hit", gt=0, le=1)

    db: str = _env("ARBITER_DB", "data/arbiter.db", "SQLite file, or postgresql://user:password@host:5432/database")
    db_connections: int = _env(
        "ARBITER_DB_CONNECTIONS",
        4,
        "connections of a process to PostgreSQL: one writes, one listens, the others read",
        ge=3,
    )
    journal: HostPath = _env(
        "ARBITER_JOURNAL", "data/journal.db", "file of this host's own: what waits while a PostgreSQL is gone"
    )
    journal_bytes: int = _env(
        "ARBITER_JOURNAL_BYTES", 256_000_000, "how large that file may get; about 5 KB a decision", ge=1_000_000
    )
    api_keys: OperatorKeys = _env(
        "ARBITER_API_KEYS", (), "operator keys, comma-separated; none: one is made at first start"
    )
    public_url: WebAddress = _env(
        "ARBITER_PUBLIC_URL",
        "",
        "where people open this Arbiter, such as https://arbiter.example.com; messages lead there",
    )
    host_name: Annotated[str, AfterValidator(_name)] = _env(
        "ARBITER_HOST_NAME", "", "how this host is called among those that share a database; unset: machine and port"
    )
    host: Annotated[str, AfterValidator(_listening)] = _env("ARBITER_HOST", "127.0.0.1", "address to listen on")
    port: int = _env("ARBITER_PORT", 8000, "port to listen on", ge=0, le=65535)
    signup: bool | None = _env("ARBITER_SIGNUP", None, "anybody may mint a key; unset: on in sandbox mode only")
    public_reads: bool | None = _env("ARBITER_PUBLIC_READS", None, "anybody may read; unset: on in sandbox mode only")
    catalog: Annotated[Path, AfterValidator(Path.expanduser)] | None = _env(
        "ARBITER_CATALOG", None, "catalog file; unset: the one in the package"
    )
    catalog_refresh_s: float = _env(
        "ARBITER_CATALOG_REFRESH_S", 300.0, "how often the runtime's model list is read", gt=0
    )

    pool_max: int = _env(
        "ARBITER_POOL_MAX",
        64,
        "models routed to at most, of those that the runtime lists; those of the catalog always are",
        gt=0,
        le=500,
    )
    join: Names = _env(
        "ARBITER_JOIN",
        ("*",),
        "which models that the runtime lists beyond the catalog join: patterns, the first that fits decides, `!` keeps out",
    )
    classifier_model: str = _env("ARBITER_CLASSIFIER_MODEL", "", "the classifier; unset: the catalog's")
    judge_model: str = _env("ARBITER_JUDGE_MODEL", "", "the judge; unset: the catalog's")

    limit_6h: int = _env("ARBITER_LIMIT_6H", 50, "routed requests of a minted key in 6 hours", gt=0)
    limit_week: int = _env("ARBITER_LIMIT_WEEK", 600, "routed requests of a minted key in a week", gt=0)
    signups_per_address: int = _env(
        "ARBITER_SIGNUPS_PER_ADDRESS", 60, "keys an address may sign up for in an hour", ge=1
    )
    signups_per_email: int = _env("ARBITER_SIGNUPS_PER_EMAIL", 10, "keys for an e-mail address in an hour", ge=1)
    signups_per_hour: int = _env(
        "ARBITER_SIGNUPS_PER_HOUR", 1_000, "keys that are signed up for in an hour, in all", ge=1
    )
    signins_per_minute: int = _env(
        "ARBITER_SIGNINS_PER_MINUTE", 60, "sign-ins an address may try in a minute, right or wrong", ge=1
    )
    oidc_issuer: WebAddress = _env(
        "ARBITER_OIDC_ISSUER", "", "URL of the OpenID provider by which people sign in; empty: there is none"
    )
    oidc_client_id: str = _env("ARBITER_OIDC_CLIENT_ID", "", "by which the provider knows this Arbiter")
    oidc_client_secret: SecretStr | None = _env("ARBITER_OIDC_CLIENT_SECRET", None, "secret of that client")
    oidc_domains: Names = _env(
        "ARBITER_OIDC_DOMAINS", (), "domains of e-mail addresses whose people come in without an invitation"
    )
    oidc_role: Annotated[Literal["caller", "operator"], BeforeValidator(_lower)] = _env(
        "ARBITER_OIDC_ROLE", "caller", "role of who comes in so for the first time: caller or operator"
    )
    auth_header: str = _env(
        "ARBITER_AUTH_HEADER",
        "",
        "header in which a trusted proxy says who signs in, by e-mail address; it counts from ARBITER_TRUSTED_PROXIES alone",
    )
    sessions_per_key: int = _env(
        "ARBITER_SESSIONS_PER_KEY", 20, "browsers signed in with a key; the oldest gives way", ge=1
    )
    max_body_bytes: int = _env("ARBITER_MAX_BODY_BYTES", 10_000_000, "largest request body", gt=0)
    body_timeout_s: float = _env("ARBITER_BODY_TIMEOUT_S", 30.0, "a request's body has to arrive within", gt=0)
    max_head_bytes: int = _env("ARBITER_MAX_HEAD_BYTES", 65_536, "largest head of a request: line and headers", gt=0)
    max_line_bytes: int = _env("ARBITER_MAX_LINE_BYTES", 8_192, "longest path and query of a request", gt=0)
    max_headers: int = _env("ARBITER_MAX_HEADERS", 100, "headers of a request", gt=0)
    head_timeout_s: float = _env("ARBITER_HEAD_TIMEOUT_S", 20.0, "a request's head has to arrive within", gt=0)
    idle_timeout_s: float = _env("ARBITER_IDLE_TIMEOUT_S", 75.0, "a connection rests at most, after an answer", gt=0)
    write_timeout_s: float = _env(
        "ARBITER_WRITE_TIMEOUT_S", 30.0, "a caller who takes nothing of an answer for so long is cut off", gt=0
    )
    max_connections: int | None = _env(
        "ARBITER_MAX_CONNECTIONS",
        None,
        "connections at once; unset: what the descriptors allow, at most 16,384",
        gt=0,
        le=LARGEST,
    )
    max_connections_per_address: int = _env(
        "ARBITER_MAX_CONNECTIONS_PER_ADDRESS", 2_048, "connections of one address, trusted proxies excepted", gt=0
    )
    max_pipelined: int = _env(
        "ARBITER_MAX_PIPELINED", 32, "requests of a connection that wait for the one before", gt=0
    )
    max_sockets: int = _env("ARBITER_MAX_SOCKETS", 2_048, "open sockets of pages", gt=0)
    max_sockets_per_address: int = _env(
        "ARBITER_MAX_SOCKETS_PER_ADDRESS", 512, "open sockets of one address, trusted proxies excepted", gt=0
    )
    socket_frames_per_s: float = _env(
        "ARBITER_SOCKET_FRAMES_PER_S", 40.0, "frames of a page's socket, in bursts of five times as many", gt=0
    )
    max_socket_message_bytes: int = _env(
        "ARBITER_MAX_SOCKET_MESSAGE_BYTES", 256_000, "largest message of a socket", gt=0
    )
    log_lines_per_s: float = _env(
        "ARBITER_LOG_LINES_PER_S", 50.0, "lines logged, in bursts of ten times as many; more are dropped", gt=0
    )
    log_lines_per_request: int = _env("ARBITER_LOG_LINES_PER_REQUEST", 1, "warnings and errors of one request", gt=0)
    allowed_hosts: Hosts = _env(
        "ARBITER_ALLOWED_HOSTS", (), "host names that Arbiter is reached by, beside loopback's and its addresses"
    )
    trusted_proxies: Networks = _env(
        "ARBITER_TRUSTED_PROXIES", (), "addresses or networks of proxies whose X-Forwarded-For and -Proto are believed"
    )
    keep_content_hours: float = _env(
        "ARBITER_KEEP_CONTENT_HOURS",
        0.0,
        "hours for which responses are kept, with their requests, to be fetched or gone on from; 0: none are kept",
        ge=0,
    )
    keep_content_bytes: int = _env(
        "ARBITER_KEEP_CONTENT_BYTES", 1_000_000_000, "bytes of kept contents in all; the oldest go first", gt=0
    )
    content_keys: FernetKeys = _env(
        "ARBITER_CONTENT_KEYS",
        (),
        "Fernet keys that encrypt kept contents: the first writes, all read; none: they are not encrypted",
    )
    root_path: Prefix = _env(
        "ARBITER_ROOT_PATH",
        "",
        "path under which a proxy passes Arbiter on, such as /arbiter; the API answers there, too",
    )
    cors_origins: Origins = _env(
        "ARBITER_CORS_ORIGINS",
        (),
        "origins whose web pages may ask the API, such as https://app.example.com; none by default",
    )
    max_answers_bytes: int = _env(
        "ARBITER_MAX_ANSWERS_BYTES",
        64_000_000,
        "bytes of answers held in memory in all; who has more to read waits",
        gt=0,
    )
    max_downloads: int = _env("ARBITER_MAX_DOWNLOADS", 8, "exports at once, half of them for one visitor", ge=1)
    max_concurrency: int = _env("ARBITER_MAX_CONCURRENCY", 256, "requests in work at once", gt=0)
    max_queue: int = _env("ARBITER_MAX_QUEUE", 64, "requests waiting for a place; more are refused with 503", ge=0)
    queue_wait_s: float = _env("ARBITER_QUEUE_WAIT_S", 5.0, "longest wait for a place before 503", gt=0)
    drain_s: float = _env("ARBITER_DRAIN_S", 10.0, "how long SIGTERM waits for running requests", ge=0)
    workers: int = _env("ARBITER_WORKERS", 0, "gateway processes beside the one that serves pages", ge=0, le=64)
    gateway_port: int | None = _env(
        "ARBITER_GATEWAY_PORT", None, "port of the gateway processes; unset: ARBITER_PORT + 1", ge=1, le=65535
    )
    limits_fail: Annotated[Literal["open", "closed"], BeforeValidator(_lower)] = _env(
        "ARBITER_LIMITS_FAIL",
        "open",
        "while the database refuses, requests of limited keys are open: routed uncounted; closed: refused",
    )
    durability: Annotated[Literal["strict", "relaxed", "power"], BeforeValidator(_lower)] = _env(
        "ARBITER_DURABILITY",
        "strict",
        "strict: an answer ends only when its record is committed; relaxed: at once; power: synced to disk",
    )

    connect_timeout_s: float = _env("ARBITER_CONNECT_TIMEOUT_S", 5.0, "connecting to the runtime", gt=0)
    first_byte_timeout_s: float = _env(
        "ARBITER_FIRST_BYTE_TIMEOUT_S", 30.0, "first byte of a streamed answer of the runtime", gt=0
    )
    gap_timeout_s: float = _env("ARBITER_GAP_TIMEOUT_S", 30.0, "between two bytes of the runtime", gt=0)
    ping_s: float = _env(
        "ARBITER_PING_S", 15.0, "silence in a stream after which its caller gets a sign of life; 0: never", ge=0
    )
    classify_timeout_s: float = _env("ARBITER_CLASSIFY_TIMEOUT_S", 2.0, "the classifier model's answer", gt=0)
    judge_timeout_s: float = _env("ARBITER_JUDGE_TIMEOUT_S", 30.0, "the judge's answer", gt=0)
    judge_sample: float = _env("ARBITER_JUDGE_SAMPLE", 0.02, "share of exploiting answers that is judged", ge=0, le=1)
    judge_check: float = _env(
        "ARBITER_JUDGE_CHECK",
        0.05,
        "share of objectively graded answers that is judged too, to know the judge; less once it is known well",
        ge=0,
        le=1,
    )
    judge_check_usd_per_day: float = _env(
        "ARBITER_JUDGE_CHECK_USD_PER_DAY", 0.5, "most that these checks may cost in a day, in each process", ge=0
    )
    reactions: bool = _env(
        "ARBITER_REACTIONS", True, "learn a little from what the next turn of a conversation says of the last answer"
    )
    shadow: bool = _env(
        "ARBITER_SHADOW", True, "ask models to be tried beside the answer; off: a trial serves the caller"
    )
    shadow_concurrency: int = _env("ARBITER_SHADOW_CONCURRENCY", 64, "models asked beside answers at once", gt=0)
    shadow_per_s: float = _env(
        "ARBITER_SHADOW_PER_S",
        100.0,
        "models asked beside answers in a second, at most; fewer while the process has more to do than it can",
        gt=0,
    )
    max_attempts: int = _env("ARBITER_MAX_ATTEMPTS", 3, "models tried for one request", ge=1, le=10)
    quarantine_s: float = _env("ARBITER_QUARANTINE_S", 5.0, "first quarantine of a failing model", gt=0)
    quarantine_max_s: float = _env("ARBITER_QUARANTINE_MAX_S", 300.0, "longest quarantine", gt=0)
    gone_s: float = _env(
        "ARBITER_GONE_S", 3_600.0, "first quarantine of a model that the runtime says it does not serve", gt=0
    )
    gone_max_s: float = _env("ARBITER_GONE_MAX_S", 86_400.0, "longest quarantine of such a model", gt=0)
    cascade: bool = _env("ARBITER_CASCADE", True, "escalate once when an objective check fails the cheap answer")
    cascade_below: float = _env("ARBITER_CASCADE_BELOW", 0.5, "objective quality under which it escalates", ge=0, le=1)

    cache: bool = _env("ARBITER_CACHE", True, "serve repeated prompts from the response cache")
    cache_all: bool = _env(
        "ARBITER_CACHE_ALL",
        False,
        "also requests that may be answered differently each time; else temperature 0, a seed or arbiter_cache is needed",
    )
    cache_near: bool = _env(
        "ARBITER_CACHE_NEAR", False, "also near-identical prompts: a line of words, spaced otherwise"
    )
    cache_entries: int = _env("ARBITER_CACHE_ENTRIES", 5_000, "answers kept", ge=0)
    cache_bytes: int = _env("ARBITER_CACHE_BYTES", 64_000_000, "size of the answers kept", ge=0)
    cache_ttl_s: float = _env("ARBITER_CACHE_TTL_S", 3_600.0, "age at which a kept answer is dropped", gt=0)
    valkey_url: SecretStr | None = _env(
        "ARBITER_VALKEY_URL",
        None,
        "Valkey or Redis in which hosts keep answers together, such as valkey://host:6379/0; none by default",
    )
    valkey_timeout_s: float = _env("ARBITER_VALKEY_TIMEOUT_S", 0.1, "longest wait for an answer from there", gt=0)
    cache_min_quality: float = _env("ARBITER_CACHE_MIN_QUALITY", 0.8, "least grade of a kept answer", ge=0, le=1)

    honour_model: bool = _env(
        "ARBITER_HONOUR_MODEL",
        False,
        "a model of the pool that a request names in `model` serves it; else the name is ignored",
    )
    policy: str = _env("ARBITER_POLICY", "arbiter", "the routing policy by name")
    keep_decisions: int = _env(
        "ARBITER_KEEP_DECISIONS", 2_000_000, "decisions kept; older ones live on in roll-ups", gt=0
    )
    keep_trace_days: float = _env("ARBITER_KEEP_TRACE_DAYS", 30.0, "days a decision's trace is kept", gt=0)
    sandbox_latency: float = _env("ARBITER_SANDBOX_LATENCY", 1.0, "scale of the sandbox's latencies; 0 for none", ge=0)
    sandbox_dialect: Annotated[
        Literal["openai-chat", "anthropic-messages", "openai-responses"], BeforeValidator(_lower)
    ] = _env("ARBITER_SANDBOX_DIALECT", "openai-chat", "what is spoken with the sandbox")
    sandbox_seed: int = _env("ARBITER_SANDBOX_SEED", 7, "seed of the sandbox's answers")
    time_zone: Annotated[str, AfterValidator(_time_zone)] = _env(
        "ARBITER_TIME_ZONE", "UTC", "time zone of the days and weeks that operators are told of, such as Europe/Berlin"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = _env(
        "ARBITER_LOG_LEVEL", "info", "least level logged"
    )
    log_content: bool = _env("ARBITER_LOG_CONTENT", False, "log prompts and answers too")
    otlp_endpoint: WebAddress = _env("OTEL_EXPORTER_OTLP_ENDPOINT", "", "OpenTelemetry collector; off when empty")
    otlp_content: bool = _env(
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", False, "put prompts and answers into spans too"
    )

    routing: PolicySettings = Field(default_factory=PolicySettings)
    repaired: tuple[str, ...] = ()
    """What was put right of what was given, in sentences."""
    sources: Mapping[str, str] = Field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = Field(default_factory=dict, repr=False)
    """Everything that the process was given, `.env` included: the keys of the catalog's runtimes are looked up in it."""

    @model_validator(mode="before")
    @classmethod
    def _put_right(cls, given: dict[str, Any]) -> dict[str, Any]:
        better = dict(given)
        repaired = _repair(better)
        return {**better, "repaired": repaired}

    @model_validator(mode="after")
    def _check_proxies(self) -> Self:
        if self.auth_header and (not self.trusted_proxies or self.trusts_everybody):
            raise SettingsError(
                "ARBITER_AUTH_HEADER: name the proxies that may say who signs in: ARBITER_TRUSTED_PROXIES"
            )
        return self

    @property
    def known_as(self) -> str:
        """What this host is called among those that share a database."""
        return self.host_name or f"{socket.gethostname()}:{self.port}"

    @property
    def sandbox(self) -> bool:
        """True when no runtime key is set, so that the embedded runtime answers."""
        return self.gateway_api_key is None

    @property
    def trusts_everybody(self) -> bool:
        """Whether anybody's word counts for where a request comes from."""
        return any(one == "*" or ip_network(one, strict=False).prefixlen == 0 for one in self.trusted_proxies)

    @property
    def joins(self) -> tuple[str, ...]:
        """The patterns of `join`. The default runtime lists models which it answers on another route only; these stay out."""
        return ("!claude*", *self.join) if self.base_url == DEFAULT_BASE_URL else self.join

    @property
    def own_url(self) -> str:
        """Where this machine reaches it: at a loopback address where it listens on all."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same at the port that it got, where the settings leave that open."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        host = everywhere.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def workers_port(self) -> int:
        """Where the gateway processes listen, if there are any."""
        return self.port + 1 if self.gateway_port is None else self.gateway_port

    @property
    def signup_open(self) -> bool:
        """Whether anybody may mint a key."""
        return self.sandbox if self.signup is None else self.signup

    @property
    def reads_open(self) -> bool:
        """Whether anybody may read reports and feeds."""
        return self.sandbox if self.public_reads is None else self.public_reads


def routing_names() -> dict[str, str]:
    """Environment name of every threshold of the policy: `ARBITER_` + the field in upper case."""
    return {f"{PREFIX}{spec.name.upper()}": spec.name for spec in fields(PolicySettings)}


_FIELDS: dict[str, Any] = {
    name: (type(getattr(PolicySettings(), name)), _env(env_name, getattr(PolicySettings(), name), ""))
    for env_name, name in routing_names().items()
}
_Thresholds = create_model("_Thresholds", __base__=_ByName, **_FIELDS)


def setting_names() -> dict[str, str]:
    """Every environment name that Arbiter reads -> the field it sets."""
    own = {
        str(spec.validation_alias.choices[0]): name
        for name, spec in Settings.model_fields.items()
        if isinstance(spec.validation_alias, AliasChoices)
    }
    return own | routing_names()


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Settings:
    """Read the environment over `.env`. Raises SettingsError naming each setting at fault. Empty values are unset."""
    process = {**(os.environ if environ is None else environ)}
    try:
        encoding = check(env_file) if env_file else ""
    except EnvFileError as error:
        raise SettingsError(str(error)) from error
    file = DotEnvSettingsSource(Settings, env_file=env_file if encoding else None, env_file_encoding=encoding)
    known = setting_names()
    layers = (
        ("environment", {name: _bare(name, value) for name, value in process.items() if value}),
        (".env", {name: _bare(name, value) for name, value in file.env_vars.items() if name not in process}),
    )
    unknown = sorted(
        name for _, names in layers for name in names if name.upper().startswith(PREFIX) and name not in known
    )
    if unknown:
        raise SettingsError(f"unknown settings: {', '.join(unknown)}; see .env.example for the list")
    sources = {name: where for where, names in reversed(layers) for name in names if name in known}
    given = {name: value for _, names in reversed(layers) for name, value in names.items() if value}
    settings = _built(Settings, layers, routing=_routing(layers), sources=sources, environment=given)
    if settings.routing.serve is Serve.LICENSED and not (settings.shadow and settings.policy == "arbiter"):
        raise SettingsError(
            "ARBITER_SERVE: a licence is earned beside answers, so it needs ARBITER_SHADOW=true and ARBITER_POLICY=arbiter"
        )
    return settings


def _bare(name: str, value: str | None) -> str | None:
    """A value without what stands around it by mistake: white space of a file with CRLF, quotes of one that no shell has read.

    What was around the runtime's address and its key is said, too: `_repair`.
    """
    if value is None or name in ("BTL_BASE_URL", "GATEWAY_API_KEY"):
        return value
    bare = value.strip()
    quoted = len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'" and bare[0] not in bare[1:-1]
    return bare[1:-1].strip() if quoted else bare


def _built(model: type[M], layers: Iterable[Layer], **given: object) -> M:
    """A model from what is given, then from each layer in turn. Raises SettingsError."""
    sources: list[PydanticBaseSettingsSource] = [InitSettingsSource(model, given)]
    for _, values in layers:
        source = EnvSettingsSource(model)
        source.env_vars = values
        sources.append(source)
    try:
        return model(_build_sources=(tuple(sources), given))
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(item) for item in error.errors())) from error


def _sentence(item: ErrorDetails) -> str:
    """What is wrong with a setting."""
    stated = item.get("ctx", {}).get("error")
    if isinstance(stated, SettingsError):
        return str(stated)
    where = ".".join(map(str, item["loc"]))
    if where in routing_names() and item["type"].endswith("_parsing"):
        return f"{where}: {item['input']!r} is not {'true or false' if item['type'] == 'bool_parsing' else 'a number'}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _repair(given: dict[str, Any]) -> tuple[str, ...]:
    """Put right what was meant in the runtime's address and key, in place; says what. Raises SettingsError where nothing can be meant."""
    told: list[str] = []
    if (url := given.get("BTL_BASE_URL")) is not None and (better := _address(url)) != url:
        given["BTL_BASE_URL"] = better
        told.append(f"BTL_BASE_URL was read as {re.sub('(?<=://)[^/@]+@', '***@', better)}")
    if (key := given.get("GATEWAY_API_KEY")) is not None:
        better = re.sub(r"^bearer\s+", "", key.strip().strip("\"'").strip(), flags=re.IGNORECASE)
        if not better or not better.isascii() or not better.isprintable() or " " in better:
            raise SettingsError("GATEWAY_API_KEY: a key has no spaces, line breaks or letters beyond ASCII inside")
        if better != key:
            given["GATEWAY_API_KEY"] = better
            told.append("GATEWAY_API_KEY was read without the space, quotes or `Bearer` around it")
    elif "BTL_BASE_URL" in given:
        told.append(
            "BTL_BASE_URL is set, GATEWAY_API_KEY is not: the sandbox answers (any word will do for a server without keys)"
        )
    return tuple(told)


def _address(url: str) -> str:
    """The base URL that is meant: with a scheme, without quotes, query, closing slash, or a route at its end."""
    plain = url.strip().strip("\"'").strip()
    if "://" not in plain:
        host = re.split("[:/]", plain)[0].lower()
        local = host == "localhost" or "." not in host or re.fullmatch(r"(?:127|10|192\.168)\.[\d.]+", host)
        plain = f"{'http' if local else 'https'}://{plain}"
    plain = re.sub(r"[?#].*", "", plain).rstrip("/")
    plain = re.sub(r"/(?:chat/completions|completions|models|chat|messages|responses|embeddings)$", "", plain).rstrip(
        "/"
    )
    if not _is_web(plain) or re.match(r"https?://https?(?::|/|$)", plain, re.IGNORECASE):
        raise SettingsError(f"BTL_BASE_URL: {url[:100]!r} is no address; write it like https://host/v1")
    return plain


def _routing(layers: Iterable[Layer]) -> PolicySettings:
    try:
        return PolicySettings(**_built(_Thresholds, layers).model_dump())
    except ValueError as error:
        raise SettingsError(str(error)) from error
