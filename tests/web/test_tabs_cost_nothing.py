"""Tabs that are closed leave nothing running behind."""

from __future__ import annotations

import time

from tests.bench.__main__ import cpu_us
from tests.bench.tabs import tabs
from tests.waiting import until
from tests.web.conftest import Site, in_own_loop

TABS = 40
SAMPLE_S = 0.5
SLACK = 0.03
"""Of one core, beyond what the process used before."""
TASKS_ONCE, ONE_TENTH = 38, 0.1


def tasks(site: Site) -> float:
    """Tasks of the event loop."""
    told = site.http.get("/metrics").text
    return next(float(line.split()[1]) for line in told.splitlines() if line.startswith("arbiter_tasks "))


def busy(site: Site) -> float:
    """The share of one core that the process uses, over a sample of time."""
    before, began = cpu_us(site.process.pid), time.perf_counter()
    time.sleep(SAMPLE_S)  # the length of the sample
    return (cpu_us(site.process.pid) - before) / 1e6 / (time.perf_counter() - began)


async def opened_and_closed(site: Site, n: int) -> float:
    """Open tabs, let a decision reach each, close them; the tasks while they were open."""
    async with tabs(site.url, n) as pages:
        seen = [page.pushes for page in pages]
        site.chat(f"What is 3 * {time.time_ns()}?")
        for page, before in zip(pages, seen, strict=True):
            await page.more_than(before)
        return tasks(site)


def idle(site: Site, tasks_before: float, busy_before: float) -> None:
    """Wait until no more tasks and load are left than before."""
    until(lambda: tasks(site) <= tasks_before and busy(site) <= busy_before + SLACK)


def test_forty_tabs_opened_and_closed_leave_no_task_and_no_load(site: Site) -> None:
    in_own_loop(opened_and_closed(site, 1))  # what runs once per process runs from now on
    idle(site, TASKS_ONCE, ONE_TENTH)
    tasks_before, busy_before = tasks(site), busy(site)
    assert in_own_loop(opened_and_closed(site, TABS)) > tasks_before + TABS
    idle(site, tasks_before, busy_before)
