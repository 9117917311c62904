"""What operators say of models while Arbiter serves: keys of the catalog, laid over the file and over what the runtimes list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from arbiter_app.pipeline.types import Json


@dataclass(frozen=True, slots=True)
class ModelEdit:
    """An operator's word on one model. `table` has keys of a model's table in the catalog, those that were edited and no others. One
    that was `added` need not be in the file; a `retired` one stays known, and is not routed to."""

    table: Json = field(default_factory=dict)
    added: bool = False
    retired: bool = False

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.table) or self.added or self.retired

    def changed(self, changes: Mapping[str, Any]) -> ModelEdit:
        """The same after some keys were set; one that is set to None is said no more. `added` and `retired` are keys as any other."""
        table = {**self.table, **{name: value for name, value in changes.items() if name not in ("added", "retired")}}
        kept = {name: value for name, value in table.items() if value is not None}
        return ModelEdit(kept, bool(changes.get("added", self.added)), bool(changes.get("retired", self.retired)))

    def as_json(self) -> Json:
        """Everything that it says."""
        told = {"added": self.added, "retired": self.retired}
        return {**self.table, **{name: True for name, value in told.items() if value}}


Edits = Mapping[str, ModelEdit]
"""By model."""
NO_EDITS: Edits = MappingProxyType({})


def merged(tables: Mapping[str, Any], edits: Edits) -> dict[str, Any]:
    """The tables of a catalog with the edits in them: models of the file in its order, then the others."""
    return {
        key: {**table, **edits[key].table} if key in edits and isinstance(table, dict) else table
        for key, table in {**tables, **{key: {} for key in edits if key not in tables}}.items()
    }
