"""How several processes share one run of the suite: `pytest -n 3 --no-loadscope-reorder`.

A file's tests stay together, because they share a gateway; all pages stay together, because they share one site, one
browser and one build. What takes longest comes first, so that all processes end at about the same time. A test marked
`alone` measures by the clock: while it runs, the other processes wait.
"""

from __future__ import annotations

import fcntl
import gc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DOOR, INSIDE = Path(__file__), Path(__file__).with_name("conftest.py")
"""Files to lock: any that all processes of a run have would do."""
LONGEST_FIRST = (
    "tests/web/",
    "tests/chaos/",
    "tests/unit/test_repository.py",
    "tests/unit/test_what_if_covers_the_truth.py",
    "tests/unit/store/test_writes.py",
    "tests/api/",
    "tests/compat/",
)


COLLECT_EVERY = (20_000, 10, 10)
"""New objects from which the youngest, the middle and all generations are searched for dead cycles, as in `arbiter_app.server`."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "alone: measures by the clock; nothing else of the suite runs meanwhile")


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
    """Hands out whole files, and the pages as a whole."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Whole(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tests/web" if file.startswith("tests/web/") else file

    return Whole(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Have the machine, alone or together with others; the wait is none of the test's time."""
    with _inside(alone=item.get_closest_marker("alone") is not None):
        return (yield)


def _rank(nodeid: str) -> int:
    return next((at for at, start in enumerate(LONGEST_FIRST) if nodeid.startswith(start)), len(LONGEST_FIRST))


@contextmanager
def _inside(*, alone: bool) -> Iterator[None]:
    """Whoever wants to be alone keeps the door closed until those inside have left."""
    with INSIDE.open() as inside:
        with DOOR.open() as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
