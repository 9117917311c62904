"""Arbiter in front of servers that others wrote, with models of their own names; `tests.compat.servers.run` has more of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.compat.servers.kinds import KINDS
from tests.compat.servers.run import troubles
from tests.served import ROOT

PROGRAMS = {"aimock": ROOT / "tests/node_modules/.bin", "ai21": Path(sys.executable).parent}


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_requests_are_served_by_listed_models_and_doctor_says_so(name: str, tmp_path: Path) -> None:
    assert troubles(KINDS[name], PROGRAMS[name], tmp_path) == []
