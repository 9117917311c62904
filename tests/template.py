"""A SQLite file with its tables, to copy: to make them anew takes three times as long as all else that a new store does."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path


def copy_to(path: Path) -> None:
    """Have a new store at this path, in a folder that exists. A file that is there stays as it is."""
    if not path.exists():
        shutil.copy(_file(), path)


@cache
def _file() -> Path:
    from arbiter_app.store.backends import url_of
    from arbiter_app.store.engine import prepare

    directory = Path(tempfile.mkdtemp(prefix="arbiter-template-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    prepare(url_of(str(directory / "arbiter.db")))
    return directory / "arbiter.db"
