"""Every number in `policy/` says what it is where it stands: meaning, unit and origin."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

import arbiter_app.policy

MODULES = sorted(Path(arbiter_app.policy.__file__).parent.glob("*.py"))
PLAIN = {0, 1}
"""Numbers that mean nothing by themselves as the default of a field: an empty sum, a whole weight."""


def unexplained(body: list[ast.stmt], plain: Set[int] = frozenset()) -> Iterator[tuple[int, str]]:
    """Assignments of numbers that no docstring of more than three words follows."""
    for at, node in enumerate(body):
        if isinstance(node, ast.ClassDef):
            yield from unexplained(node.body, PLAIN)
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        numbers = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
        if not any(isinstance(one, int | float) and not isinstance(one, bool) and one not in plain for one in numbers):
            continue
        after = body[at + 1] if at + 1 < len(body) else None
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
        if len(str(text).split()) <= 3:
            yield node.lineno, ast.unparse(node)[:80]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_numeric_constant_has_a_docstring(module: Path) -> None:
    assert list(unexplained(ast.parse(module.read_text("utf-8")).body)) == []


def test_the_scan_finds_what_it_is_for() -> None:
    source = "LEVEL, SD = 0.75, 0.3\nNONE = 0.0\n'Nothing at all, of no unit.'\nGOOD = 2.5\n'''Seconds, as measured once.'''\nclass A:\n    x: int = 7\n"
    assert [line for line, _ in unexplained(ast.parse(source).body)] == [1, 7]
