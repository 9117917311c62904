"""What a first visit costs, and that nothing on the page moves while decisions flow through it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.bench.pages import PATHS, visit
from tests.web.conftest import Site

MOST_KB = 900
MOST_SHIFT = 0.02


@pytest.mark.parametrize("path", PATHS)
def test_a_first_visit_is_light_and_stands_still_while_decisions_flow(browser: Browser, site: Site, path: str) -> None:
    seen = visit(browser, site, path)
    assert 100 < seen.kilobytes < MOST_KB
    assert seen.shift < MOST_SHIFT
