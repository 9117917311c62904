"""What models cost where neither the runtime nor the catalog says: a list that comes with the product, read when needed.

It is the data of genai-prices (kept by the makers of Pydantic, MIT licence), written by `python -m tests.price_list`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import orjson

from arbiter_app.pool import names
from arbiter_app.runtime.claims.facts import Known

FILE = Path(__file__).with_name("price_list.json")
_Row = tuple[str, Known]


def lookup(name: str) -> Known:
    """Price and window of a model by any of its names; where hosts differ, the one that the name begins with, or the maker."""
    prefix = names.folded(name).partition("/")[0] if "/" in name else ""
    for form, rows in zip(names.FORMS, _index(), strict=True):
        found = rows.get(form(name))
        if found:
            return next((known for provider, known in found if provider == prefix), found[0][1])
    return Known()


@cache
def _index() -> tuple[dict[str, list[_Row]], ...]:
    """The rows by each form of their names, in the order of the file."""
    indexes: tuple[dict[str, list[_Row]], ...] = ({}, {}, {})
    for provider, name, input_usd, output_usd, window, *special in orjson.loads(FILE.read_bytes())["rows"]:
        others = {kind: _token(usd) for kind, usd in special[0].items()} if special else {}
        row = (provider, Known(_token(input_usd), _token(output_usd), window, others))
        for form, index in zip(names.FORMS, indexes, strict=True):
            index.setdefault(form(name), []).append(row)
    return indexes


def _token(usd_per_million: float) -> float:
    """USD a token, as near as the decimal of the file."""
    return float(f"{usd_per_million!r}e-6")
