"""How several processes share one run of the suite: `pytest -n 4 --no-loadscope-reorder`.

A file's tests stay together, because they share a gateway. What takes longest comes first, so that all processes end at about the
same time; before the other pages one file of them, whose process builds them while the others have something else to do.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from typing import Any

import pytest

LONGEST_FIRST = (
    "tests/web/test_every_page.py",
    "tests/chaos/",
    "tests/web/",
    "tests/unit/test_repository.py",
    "tests/unit/test_what_if_covers_the_truth.py",
    "tests/unit/store/test_writes.py",
    "tests/api/",
    "tests/compat/",
)


COLLECT_EVERY = (20_000, 10, 10)
"""New objects from which the youngest, the middle and all generations are searched for dead cycles, as in `arbiter_app.server`."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while hundreds of modules are imported, and never again among those: half a second each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(*COLLECT_EVERY)
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Longest first, where processes share the work."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out whole files."""
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


def _rank(nodeid: str) -> int:
    return next((at for at, start in enumerate(LONGEST_FIRST) if nodeid.startswith(start)), len(LONGEST_FIRST))
