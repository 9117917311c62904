"""What has to hold afterwards, each as a line of one table."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store import open_store
from arbiter_app.store.decisions import Filter
from arbiter_app.store.health import examine
from tests.chaos.run.ledger import Ledger
from tests.chaos.run.system import Held, System

LONGEST_ANSWER_S = 30.0
SPARE_FILES, SPARE_TASKS = 10, 10
MIB = 1024 * 1024
SHOWN = 5


@dataclass(slots=True)
class Table:
    """Lines of what was looked at, what was found, and whether the promise was kept."""

    lines: list[tuple[str, str, bool]] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """How many promises were broken."""
        return sum(not kept for _, _, kept in self.lines)

    def add(self, what: str, found: str, *, kept: bool) -> None:
        """One line."""
        self.lines.append((what, found, kept))

    def none(self, what: str, found: Counter[str] | list[str], among: int | None = None) -> None:
        """A line that is kept when nothing was found; what was found is shown."""
        counted = Counter(found)
        shown = "; ".join(f"{times} x {one}" for one, times in counted.most_common(SHOWN))
        told = f"{counted.total()}" + (f" of {among}" if among is not None else "")
        self.add(what, told + (f": {shown}" if shown else ""), kept=not counted)

    def held(self, before: Held, after: Held, within: float) -> None:
        """Lines for memory, descriptors and tasks, compared before and after."""
        growth = after.memory / before.memory - 1
        self.add(
            "memory is flat",
            f"{before.memory / MIB:.1f} MiB, then {after.memory / MIB:.1f} ({growth:+.1%}, of {within:.0%})",
            kept=growth <= within,
        )
        self.add(
            "descriptors are flat",
            f"{before.files}, then {after.files}",
            kept=after.files <= before.files + SPARE_FILES,
        )
        self.add(
            "tasks are flat", f"{before.tasks}, then {after.tasks}", kept=after.tasks <= before.tasks + SPARE_TASKS
        )

    def show(self) -> None:
        """Print it."""
        for what, found, kept in self.lines:
            print(f"{'kept  ' if kept else 'BROKEN'}  {what:<44} {found}")


async def flat(system: System, before: Held, within: float, patience_s: float) -> Held:
    """What is held once it is as little as before, or else after so long."""
    until = time.monotonic() + patience_s
    while True:
        now = await system.held()
        calm = now.files <= before.files + SPARE_FILES and now.tasks <= before.tasks + SPARE_TASKS
        if (calm and now.memory <= before.memory * (1 + within)) or time.monotonic() > until:
            return now
        await asyncio.sleep(1)


def report_of(text: str) -> tuple[int, int]:
    """Calls, and pico-dollars spent, of a report."""
    told = json.loads(text)
    return told["calls"], int(Decimal(told["actual_spend_exact"]) * PICO_PER_USD)


def records(table: Table, system: System, ledger: Ledger, report: tuple[int, int], invoice: dict[str, int]) -> None:
    """Every answer is on record once, as it was told and as the runtime charged it; the report's sums are the records'."""
    rows = _rows(system.directory / "arbiter.db")
    on_record = Counter(row["id"] for row in rows)
    got = ledger.answered
    table.none(
        "every answer is on record once", [one.decision for one in got if on_record[one.decision] != 1], len(got)
    )
    by_id = {row["id"]: row for row in rows}
    found = [one for one in got if one.decision in by_id]
    table.none(
        "its cost is the one that was told",
        [one.decision for one in found if by_id[one.decision]["cost_pico"] != one.pico],
        len(found),
    )
    charged = [one for one in found if one.once and one.runtime in invoice]
    table.none(
        "and the one on the runtime's invoice",
        [f"{one.pico} for {invoice[one.runtime]}" for one in charged if one.pico != invoice[one.runtime]],
        len(charged),
    )
    money = ("cost_pico", "judge_cost_pico", "learning_cost_pico")
    calls, pico = len(rows), sum(row[name] or 0 for row in rows for name in money)
    table.add("the report counts the records", f"{report[0]} for {calls}", kept=report[0] == calls)
    table.add("the report's spend is their sum", f"{report[1]} for {pico}", kept=report[1] == pico)
    problem = examine(str(system.directory / "arbiter.db")).problem
    table.add("the database is whole", problem or "ok", kept=not problem)


def secrets(table: Table, system: System, ledger: Ledger) -> None:
    """No secret stands in an answer, the log, or the database."""
    leaks = Counter(ledger.leaks)
    for path in (*system.database, system.log):
        if path.exists():
            data = path.read_bytes()
            leaks.update({path.name: sum(data.count(secret) for secret in ledger.secrets)})
    table.none("no secret anywhere", +leaks)


def conduct(table: Table, system: System, ledger: Ledger) -> None:
    """No defect of Arbiter's own, in answers or in the log; nobody waits for ever."""
    statuses = ", ".join(f"{times} x {status or 'cut off'}" for status, times in sorted(ledger.statuses.items()))
    table.add("answers by status", statuses, kept=ledger.statuses[500] == 0)
    table.none("nothing came that must not", ledger.wrong)
    table.none("it was alive and ended as it should", system.wrong)
    text = system.log.read_text(errors="replace")
    raised = re.findall(r"Traceback[^\n]{0,3000}", text)
    table.none("no traceback in the log", [one[-200:] for one in raised])
    lines = text.count("\n")
    table.add(
        "the log is no flood",
        f"{lines} lines for {ledger.statuses.total()} answers",
        kept=lines <= ledger.statuses.total(),
    )
    waited = f"{ledger.longest_s:.1f} s ({ledger.longest_what}), of {LONGEST_ANSWER_S:g}"
    table.add("longest wait for an answer", waited, kept=ledger.longest_s <= LONGEST_ANSWER_S)


def _rows(path: Path) -> list[dict[str, Any]]:
    store = open_store(str(path))
    try:
        return list(store.stretch(Filter()))
    finally:
        store.close()
