"""The operator's own presets: `[presets.NAME]` tables of the catalog."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from arbiter_app.pipeline.filter import NOT
from arbiter_app.pipeline.wishes import Preset
from arbiter_app.policy import Objective

_KEYS = {"objective", "tolerance", "models", "max_cost", "max_latency"}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
MAX_USD = MAX_S = 1e6
"""Largest ceilings: beyond, nothing would be bounded."""


def presets_of(tables: Any, id_of: Callable[[str], str]) -> dict[str, Preset]:
    """Presets by name, in small letters. `id_of` gives a model's id by any of its names, empty for none. Raises ValueError with the
    preset and key at fault."""
    if not isinstance(tables, dict):
        raise ValueError("presets are tables like [presets.NAME]")
    return {name.casefold(): _preset(name, table, id_of) for name, table in tables.items()}


def _preset(name: str, table: Any, id_of: Callable[[str], str]) -> Preset:
    where = f"preset {name[:60]!r}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{where}: a name is made of up to 40 letters, digits, dots, dashes and underscores")
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        raise ValueError(f"{where}: known keys are {', '.join(sorted(_KEYS))}")
    objective = table.get("objective")
    if objective is not None and objective not in list(Objective):
        raise ValueError(f"{where}: objective is one of {', '.join(Objective)}")
    return Preset(
        None if objective is None else Objective(objective),
        _number(where, table, "tolerance", 0.0, 1.0),
        _models(where, table.get("models"), id_of),
        _number(where, table, "max_cost", 0.0, MAX_USD),
        _number(where, table, "max_latency", 0.001, MAX_S),
    )


def _models(where: str, names: Any, id_of: Callable[[str], str]) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names or not all(isinstance(one, str) for one in names):
        raise ValueError(f"{where}: models is a list of names; one behind a {NOT} is left out")
    for name in names:
        if not id_of(name.removeprefix(NOT)):
            raise ValueError(f"{where}: there is no model {name.removeprefix(NOT)!r} in the catalog")
    return tuple(names)


def _number(where: str, table: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = table.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{where}: {name} is a number from {least:g} to {most:g}")
    return float(value)
