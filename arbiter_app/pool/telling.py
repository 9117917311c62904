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
    routed, settings = len({model.base for model in catalog.pool}), len(catalog.pool)
    several = f", at {settings} settings" if settings > routed else ""
    yield f"the runtime lists {report.listed} chat models, {routed} are routed to{several}"
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


def deployed(catalog: Catalog, runtime: str) -> Iterator[str]:
    """What of the catalog is on a runtime that it names, and what its list lacks."""
    there = [at for several in catalog.deployments.values() for at in several if at.runtime == runtime]
    here = [at.model for at in there if at.model.listed]
    absent = [at.model.sent for at in there if not at.model.listed]
    if here:
        named = [one.id if one.sent == one.id else f"{one.id} (there {one.sent})" for one in here]
        yield f"on {runtime}: {_some(named)}"
    if absent:
        yield f"not listed by {runtime}, so not asked of it: {_some(absent)}"
    if not there:
        yield f"no model of the catalog is on {runtime}"
    for doubt in catalog.doubts.get(runtime, ())[:SHOWN]:
        yield f"set aside of the list of {runtime}: {doubt}"


def replaced(catalog: Catalog) -> Iterator[str]:
    """The parts that another model takes than was wanted."""
    for part, (wanted, now) in (catalog.report.replaced if catalog.report is not None else {}).items():
        yield f"the {part} {wanted} is not listed; {now} takes its part (set {_SETTING[part]} to choose)"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
