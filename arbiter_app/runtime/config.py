"""The runtimes that a catalog file names: `[runtimes.NAME]` is read and validated here; keys stay in the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from arbiter_app.pipeline.plain import is_url
from arbiter_app.pipeline.types import DEFAULT_RUNTIME
from arbiter_app.runtime.claims import secrets

DIALECTS = ("openai-chat", "openai-responses", "anthropic-messages")
TIMEOUTS = ("connect_timeout_s", "first_byte_timeout_s", "gap_timeout_s")
_KEYS = {"base_url", "dialect", "key_env", "headers", *TIMEOUTS}
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STANDS_IN = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(
    {"host", "accept", "content-type", "content-length", "transfer-encoding", "connection", "x-request-id"}
)
_SECRET_HEADER = re.compile(r"authorization|cookie|token|secret|password|(?:^|-)key$", re.IGNORECASE)
_RANDOM_PIECE = re.compile(r"(?=\w*\d)(?=\w*[A-Za-z])\w{16,}")
"""Letters and digits without a break: no word, date or version is that long."""
_ROUTE = re.compile(r"/(?:chat/completions|completions|models|chat|responses|messages)$")


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """Where a runtime is and how it is spoken to. Time-outs are seconds; None is what the settings say.

    `headers` are as the file has them: `$NAME` in a value stands for a variable of the environment.
    """

    name: str
    base_url: str
    dialect: str = DIALECTS[0]
    key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    gap_timeout_s: float | None = None

    def key(self, environment: Mapping[str, str]) -> str:
        """The key, hidden everywhere from now on; empty where the runtime takes none. Raises ValueError where it is not set."""
        if not self.key_env:
            return ""
        value = re.sub(r"^bearer\s+", "", self._variable(self.key_env, "key_env", environment).strip(), flags=re.I)
        secrets.keep(value)
        return value

    def sent_headers(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The headers by lower-case name, with the values of their variables, which are hidden from now on. Raises ValueError."""
        found = {}
        for name, value in self.headers.items():
            for variable in _STANDS_IN.findall(value):
                secrets.keep(self._variable(variable, f"header {name}", environment))
            sent = _STANDS_IN.sub(lambda variable: environment[variable.group(1)].strip(), value)
            if not sent.isascii() or not sent.isprintable():
                raise ValueError(f"runtime {self.name!r}: header {name} has characters that cannot stand in a header")
            found[name.lower()] = sent
        return found

    def _variable(self, variable: str, where: str, environment: Mapping[str, str]) -> str:
        value = environment.get(variable, "")
        if not value.strip():
            raise ValueError(f"runtime {self.name!r}: the environment variable {variable} ({where}) is not set")
        return value


def runtime_of(name: str, table: Any) -> RuntimeConfig:
    """A runtime from its table. Raises ValueError with one sentence that names it and the key at fault."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"runtime {name[:60]!r}: a name is up to 40 of a-z, 0-9, dot, dash and underscore")
    if name == DEFAULT_RUNTIME:
        raise ValueError(
            f"runtime {name!r}: this is the one of BTL_BASE_URL and GATEWAY_API_KEY; give another one another name"
        )
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        unknown = sorted(set(table) - _KEYS) if isinstance(table, dict) else table
        raise ValueError(f"runtime {name!r}: unknown keys {unknown}; known are {sorted(_KEYS)}")
    dialect = table.get("dialect", DIALECTS[0])
    if dialect not in DIALECTS:
        raise ValueError(f"runtime {name!r}: dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
    key_env = table.get("key_env", "")
    if not isinstance(key_env, str) or (key_env and not _VARIABLE.fullmatch(key_env)):
        raise ValueError(f"runtime {name!r}: key_env is the name of an environment variable, never the key itself")
    headers = table.get("headers", {})
    if not isinstance(headers, dict):
        raise ValueError(f"runtime {name!r}: headers is a table of names and values")
    timeouts = {key: _timeout(name, key, table[key]) for key in TIMEOUTS if key in table}
    checked = {str(key): _header(name, str(key), value) for key, value in headers.items()}
    return RuntimeConfig(name, _address(name, table.get("base_url")), dialect, key_env, checked, **timeouts)


def _address(name: str, value: Any) -> str:
    """The base URL, without what people copy with it: a closing slash, a route."""
    url = re.sub(r"[?#].*", "", value.strip()).rstrip("/") if isinstance(value, str) else ""
    url = _ROUTE.sub("", url).rstrip("/")
    if not is_url(url) or " " in url or not url.isascii() or not url.isprintable():
        shown = re.sub(r"^(\w+://)?.*@", r"\1***@", str(value)[:100])
        raise ValueError(f"runtime {name!r}: base_url {shown!r} is no address; write it like https://host/v1")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError(f"runtime {name!r}: base_url has a user or password in it; put the key into key_env")
    return url


def _timeout(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3_600:
        raise ValueError(f"runtime {name!r}: {key} is a number of seconds, more than 0 and at most 3600")
    return float(value)


def _header(runtime: str, name: str, value: Any) -> str:
    """A header's value. Raises ValueError for a secret: it stands in the environment."""
    if not _HEADER.fullmatch(name) or not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"runtime {runtime!r}: header {name[:60]!r} is no name and value of a header")
    if name.lower() in _OURS:
        raise ValueError(f"runtime {runtime!r}: header {name} is set by Arbiter itself")
    written = _STANDS_IN.sub("", value).strip()
    bare = _SECRET_HEADER.search(name) and not _STANDS_IN.search(value)
    if bare or _RANDOM_PIECE.search(written) or secrets.without_foreign(written) != written:
        raise ValueError(
            f"runtime {runtime!r}: header {name} looks like a secret; write it as $NAME and set that in the environment"
        )
    return value
