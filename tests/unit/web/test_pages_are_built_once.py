"""Hosts that are started at once from one checkout build its pages once: two builds in one folder would ruin each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from arbiter_app.web import build

BUILDER = """
from pathlib import Path
with open("builds", "a") as log:
    log.write("begun ")
(Path(".web") / "build" / "client").mkdir(parents=True)
(Path(".web") / "build" / "client" / "index.html").write_text("a page")
"""
"""Stands for Reflex, which takes a minute."""


def test_a_build_that_is_ended_leaves_the_locked_packages_as_they_were(tmp_path: Path) -> None:
    kept = tmp_path / "reflex.lock"
    kept.mkdir()
    (kept / "package.json").write_text("as it was")

    def built(*, ends: bool) -> None:
        with build.locked_packages(tmp_path) as copy:
            (copy / "package.json").write_text("on the way")
            (copy / "package-lock.json").write_text("new")
            if ends:
                raise KeyboardInterrupt
            (copy / "package.json").write_text("at the end")

    with pytest.raises(KeyboardInterrupt):
        built(ends=True)
    assert [(one.name, one.read_text()) for one in kept.iterdir()] == [("package.json", "as it was")]
    built(ends=False)
    told = {one.name: one.read_text() for one in kept.iterdir()}
    assert told == {"package.json": "at the end", "package-lock.json": "new"}


def test_hosts_of_one_checkout_wait_for_the_one_that_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "arbiter_app" / "web"
    package.mkdir(parents=True)
    (package / "build.py").write_text(BUILDER)
    (tmp_path / "rxconfig.py").touch()
    for name, place in (("ROOT", ""), ("STATIC", ".web/build/client"), ("STAMP", ".web/arbiter.fingerprint")):
        monkeypatch.setattr(build, name, tmp_path / place)
    with ThreadPoolExecutor(3) as hosts:
        assert list(hosts.map(lambda _: build.ensure_pages(), range(3))) == [True, True, True]
    assert (tmp_path / "builds").read_text() == "begun "
