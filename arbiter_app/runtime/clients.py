"""The client of a runtime, made from its dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from arbiter_app.dialects.wires import WIRES
from arbiter_app.runtime.budget import Budget
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.config import TIMEOUTS, RuntimeConfig
from arbiter_app.settings import Settings

CLIENTS: Mapping[str, Callable[..., HttpRuntime]] = {
    dialect: partial(HttpRuntime, wire=wire) for dialect, wire in WIRES.items()
}
"""By dialect: what makes a client, from the arguments of HttpRuntime."""


def client_of(config: RuntimeConfig, settings: Settings, budget: Budget | None = None) -> HttpRuntime:
    """The client of a runtime that the catalog names, with its key from the environment. Raises ValueError with one sentence."""
    make = CLIENTS.get(config.dialect)
    if make is None:
        known = ", ".join(CLIENTS)
        raise ValueError(f"runtime {config.name!r}: no client speaks {config.dialect} to runtimes yet, only {known}")
    given = {name: getattr(config, name) for name in TIMEOUTS}
    timeouts = {name: getattr(settings, name) if own is None else own for name, own in given.items()}
    key, headers = config.key(settings.environment), config.sent_headers(settings.environment)
    try:
        return make(config.base_url, key, headers=headers, budget=budget, **timeouts)
    except ValueError as error:
        raise ValueError(f"runtime {config.name!r}: {error}") from error
