"""Names in `policy/` are those of the field, and mean one thing in the whole product."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import arbiter_app

PACKAGE = Path(arbiter_app.__file__).parent


def test_no_class_of_the_policy_or_the_replay_shares_its_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path.relative_to(PACKAGE).as_posix())
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert [one for one in shared.items() if any(place.startswith(("policy/", "replay/")) for place in one[1])] == []
