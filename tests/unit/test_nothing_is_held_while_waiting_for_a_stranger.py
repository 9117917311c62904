"""No connection of the database, transaction, cursor or lock is held over a `yield` or an `await`.

Both hand control to somebody else: a generator to whoever reads it, an `await` to whatever it waits for. With a stranger there, what
is held is held for as long as that stranger likes: sixty downloads that nobody read once took all reads down.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import arbiter_app

PACKAGE = Path(arbiter_app.__file__).parent
HELD = re.compile(
    r"lock\b|mutex|semaphore|\bcursor\b|\b_?reading\b|\.(?:connect|raw_connection|begin|begin_nested|acquire)\(|[sS]ession\("
)
"""What a `with` holds that others wait for, as the code spells it."""
EXPLAINED = {
    (
        "services/keys.py",
        "async with self._reading",
    ): "one reader at a time of our own store; no stranger is waited for",
    (
        "services/model_edits.py",
        "async with self._lock",
    ): "one edit of models at a time, of our own store; no stranger is waited for",
    (
        "services/prompt_runner.py",
        "async with prompt.lock",
    ): "a calibration's own prompt: nobody but that calibration waits for it",
}
HANDS_OVER = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def inside(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """What runs while the block runs: not the functions that it defines."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, FUNCTIONS):
            todo += ast.iter_child_nodes(node)


def is_context(function: ast.AST) -> bool:
    """Whether a generator is a context manager, whose `yield` is the block of whoever uses it."""
    return any("contextmanager" in ast.unparse(one) for one in getattr(function, "decorator_list", []))


def held_too_long(source: str) -> list[str]:
    """Each `with` of a source that holds something while control is elsewhere."""
    tree = ast.parse(source)
    contexts = {
        node
        for function in ast.walk(tree)
        if isinstance(function, FUNCTIONS) and is_context(function)
        for node in ast.walk(function)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.With | ast.AsyncWith):
            continue
        items = ", ".join(ast.unparse(item.context_expr) for item in node.items)
        if not HELD.search(items):
            continue
        waits = [one for one in inside(node.body) if isinstance(one, HANDS_OVER)]
        if node in contexts:
            waits = [one for one in waits if not isinstance(one, ast.Yield)]
        if waits:
            found.append(f"{'async ' if isinstance(node, ast.AsyncWith) else ''}with {items}")
    return found


def test_nothing_is_held_while_control_is_elsewhere() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), one)
        for path in PACKAGE.rglob("*.py")
        for one in held_too_long(path.read_text("utf-8"))
    }
    assert found == set(EXPLAINED)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def rows(self):\n with self._reading.connect() as one:\n  for row in one: yield row", True),
        ("def rows(self):\n with self._reading.connect() as one:\n  yield from one", True),
        ("async def f(send):\n with lock:\n  await send()", True),
        ("async def f(a):\n async with self._lock:\n  await client.post()", True),
        ("async def f(a):\n async with Session() as s:\n  async for x in a: s.add(x)", True),
        ("def rows(self):\n with engine.begin() as one:\n  return list(one)", False),
        ("@contextmanager\ndef reading(self):\n with engine.connect() as one:\n  yield one", False),
        ("async def f():\n with lock:\n  def later():\n   yield 1", False),
        ("async def f():\n with open('x') as file:\n  await g()", False),
    ],
)
def test_the_finder_finds(source: str, found: bool) -> None:
    assert bool(held_too_long(source)) is found
