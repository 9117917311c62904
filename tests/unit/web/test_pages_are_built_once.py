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
