"""The pool in sentences: for `doctor`, the log at start, and the pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from arbiter_app.catalog import Catalog

SHOWN = 12
_SETTING = {"baseline": "BASELINE_MODEL", "classifier": "ARBITER_CLASSIFIER_MODEL", "judge": "ARBITER_JUDGE_MODEL"}


def lines(catalog: Catalog) -> Iterator[str]:
    """What became of the runtime's list; nothing before there was one."""
    report = catalog.report
    if report is None:
        return
    plain = [name if (sent := catalog.models[name].sent) == name else f"{name} (there {sent})" for name in report.used]
    yield f"the runtime lists {report.listed} chat models, {len(catalog.names)} are routed to"
    if report.used:
        yield f"in the catalog: {_some(plain)}"
    if report.joined:
        yield f"joined, being listed beyond the catalog: {_some(report.joined)}"
    if report.absent:
        yield f"not listed, so not routed to: {_some(report.absent)}"
    if report.others:
        yield f"listed, but not for chats: {_some(report.others)}"
    if report.beyond:
        yield f"listed, but left out (ARBITER_POOL_MAX, ARBITER_JOIN): {_some(report.beyond)}"
    if report.unpriced:
        yield f"price unknown, counted as dear as the dearest of the catalog: {_some(report.unpriced)}; name it in ARBITER_CATALOG"
    yield from replaced(catalog)
    for doubt in report.doubts[:SHOWN]:
        yield f"set aside: {doubt}"
    if len(report.doubts) > SHOWN:
        yield f"set aside: {len(report.doubts) - SHOWN} more statements"


def replaced(catalog: Catalog) -> Iterator[str]:
    """The parts that another model takes than was wanted."""
    for part, (wanted, now) in (catalog.report.replaced if catalog.report is not None else {}).items():
        yield f"the {part} {wanted} is not listed; {now} takes its part (set {_SETTING[part]} to choose)"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
