"""The pool's prices as a file, TOML or CSV, with the catalog's own keys; and what such a file would change."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from arbiter_app.pipeline.types import Capability, Json, Model
from arbiter_app.pool.rates import SPECIAL

PRICES = ("input", "output", *SPECIAL)
KEYS = (*PRICES, "context", *map(str, Capability), "routable")
"""What a file may say of a model, in the order in which it is written."""
MOST_MODELS = 2_000
MOST_POINTS = 50
"""In a line of TOML: a key of n parts takes n squared steps to be read."""
DIGITS = 9
"""Digits after the point of a price in USD per 1,000,000 tokens: a thousandth of a pico-dollar a token."""
HEAD = "# Prices in USD per 1,000,000 tokens, context in tokens: the keys of the catalog. What a model does not say is not changed.\n"


class PriceFileError(ValueError):
    """The file cannot be read; the message says where."""


class Change(NamedTuple):
    """What a file would change of a model: one key, from what to what; None is not known. `new`: the model is not in the pool."""

    model: str
    key: str
    before: Any
    after: Any
    new: bool


def table_of(model: Model) -> Json:
    """What is known of a model, by the catalog's keys."""
    prices = {"input": model.input_usd, "output": model.output_usd} if model.priced else {}
    special = dict(model.special_usd) | ({} if model.cached_usd is None else {"cached": model.cached_usd})
    said: Json = {key: round(usd * 1e6, DIGITS) for key, usd in {**prices, **special}.items()}
    if model.context_tokens is not None:
        said["context"] = model.context_tokens
    said |= {str(one): one in model.can for one in Capability}
    said["routable"] = model.routable
    return {key: said[key] for key in KEYS if key in said}


def as_toml(models: Iterable[Model]) -> str:
    """The models as tables of a catalog."""
    tables = [f"[models.{json.dumps(one.id)}]\n{_lines(table_of(one))}" for one in models]
    return "\n".join([HEAD, *tables])


def as_rows(models: Iterable[Model]) -> tuple[list[str], list[list[str]]]:
    """The models as head and rows of a table; what is not known is empty."""
    tables = [(one.id, table_of(one)) for one in models]
    return ["model", *KEYS], [[name, *[_cell(table.get(key)) for key in KEYS]] for name, table in tables]


def parsed(text: str) -> dict[str, Json]:
    """The tables of a file by model, in TOML or in CSV, whichever it is. Raises PriceFileError."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    found = _of_csv(text) if head.lower().lstrip("\ufeff").startswith(("model,", "model;")) else _of_toml(text)
    if not 0 < len(found) <= MOST_MODELS:
        raise PriceFileError(f"the file is to name 1 to {MOST_MODELS:,} models; it names {len(found):,}")
    for model, table in found.items():
        if not isinstance(table, dict) or not table.keys() <= set(KEYS):
            unknown = sorted(table.keys() - set(KEYS)) if isinstance(table, dict) else table
            raise PriceFileError(f"model {model[:80]!r}: unknown keys {str(unknown)[:80]}; known are {', '.join(KEYS)}")
    return found


def difference(models: Mapping[str, Model], tables: Mapping[str, Json]) -> list[Change]:
    """What these tables would change, key by key; nothing for what is so already."""
    found = []
    for name, table in tables.items():
        known = models.get(name)
        before = {} if known is None else table_of(known)
        found += [
            Change(name, key, before.get(key), table[key], known is None)
            for key in KEYS
            if key in table and (key not in before or before[key] != table[key])
        ]
    return found


def _lines(table: Json) -> str:
    return "".join(f"{key} = {_cell(value)}\n" for key, value in table.items())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f"{value:.{DIGITS}f}".rstrip("0").removesuffix(".")


def _of_toml(text: str) -> dict[str, Any]:
    if any(line.count(".") > MOST_POINTS for line in text.splitlines()):
        raise PriceFileError(f"a line has more than {MOST_POINTS} points")
    try:
        tables = tomllib.loads(text).get("models")
    except (ValueError, RecursionError) as error:
        raise PriceFileError(f"this is neither TOML nor CSV with a column `model`: {error}") from error
    if not isinstance(tables, dict):
        raise PriceFileError('the file has no [models."NAME"] table')
    return tables


def _of_csv(text: str) -> dict[str, Any]:
    plain = text.lstrip("\ufeff")
    delimiter = ";" if plain.lstrip().lower().startswith("model;") else ","
    try:
        rows = list(csv.reader(io.StringIO(plain), delimiter=delimiter))
    except csv.Error as error:
        raise PriceFileError(f"this CSV cannot be read: {error}") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    head = [cell.strip().lower() for cell in rows[0]]
    found: dict[str, Any] = {}
    for number, row in enumerate(rows[1:], 2):
        name = row[0].strip().removeprefix("'")
        if name in found:
            raise PriceFileError(f"line {number}: the model {name[:80]!r} is there twice")
        found[name] = {key: _value(cell, key, number) for key, cell in _pairs(head, row, number) if cell.strip()}
    return found


def _pairs(head: Sequence[str], row: Sequence[str], number: int) -> Iterable[tuple[str, str]]:
    if len(row) > len(head):
        raise PriceFileError(f"line {number}: {len(row)} cells, and the head has {len(head)}")
    return zip(head[1:], row[1:], strict=False)


def _value(cell: str, key: str, number: int) -> bool | int | float:
    """A cell as the catalog has it. Raises PriceFileError."""
    text = cell.strip().lower()
    if text in ("true", "false"):
        return text == "true"
    try:
        value = float(text)
    except ValueError as error:
        raise PriceFileError(f"line {number}: {key} is neither a number nor true or false: {cell[:40]!r}") from error
    return int(value) if value.is_integer() else value
