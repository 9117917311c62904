"""Stores of both kinds: a test that takes `store` or `place` runs on each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from arbiter_app.store import Store, open_store
from tests import databases

Place = Callable[[str], str]


@pytest.fixture(params=databases.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    one: str = request.param
    return one


@pytest.fixture
def place(kind: str, tmp_path: Path) -> Place:
    """Gives a name a database of the kind: what `open_store` takes."""
    return lambda name="arbiter.db": databases.place(kind, tmp_path / name)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """A new store."""
    one = open_store(place("arbiter.db"))
    yield one
    one.close()


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Store]:
    """A new store in a SQLite file, for what is a file's alone."""
    one = open_store(databases.place("sqlite", tmp_path / "arbiter.db"))
    yield one
    one.close()
