"""The hosts and their database in words for their page."""

from __future__ import annotations

from arbiter_app.services.rows.gateway import DatabaseRow, HostList, HostRow, ProcessLoad
from arbiter_app.web.formats import NOTHING, count
from arbiter_app.web.views import View

LATE_S = 5.0
"""What others learned is taken in every half second; after so long something is in the way."""
APART_S = 1.0
"""How far a host's clock may be from the database's."""
STANDBY_LATE_S = 30.0


def rows(hosts: HostList) -> list[View]:
    """Every host, and below one with gateway workers each of its processes."""
    versions = {one["version"] for one in hosts["data"]}
    found: list[View] = []
    for host in hosts["data"]:
        found.append(_host(host, mixed=len(versions) > 1))
        if len(host["processes"]) > 1 and host["state"] != "silent":
            found += [_process(host, one) for one in host["processes"]]
    return found


def _host(host: HostRow, *, mixed: bool) -> View:
    ahead, kept, silent = host["clock_ahead_s"], host["journal_entries"], host["state"] == "silent"
    return {
        "id": host["id"],
        "kind": "host",
        "name": host["name"],
        "leads": "yes" if host["leads"] else "",
        "state": host["state"],
        "trouble": host["trouble"],
        "version": host["version"],
        "schema": f"schema {host['schema_revision']}",
        "mixed": "yes" if mixed else "",
        "since": f"{host['started']:.0f}",
        "seen": "now" if host["silent_s"] < 10 else f"{duration(host['silent_s'])} ago",
        "last": f"last heard of {duration(host['silent_s'])} ago" if silent else "",
        "journal": f"{count(kept)} in the journal" if kept else "",
        "late": "yes" if not silent and host["learned_age_s"] > LATE_S else "",
        "clock": NOTHING if ahead is None else f"{ahead:+.2f} s".replace("-", "−"),
        "apart": "yes" if ahead is not None and abs(ahead) > APART_S else "",
        **(dict.fromkeys(("work", "rate", "cpu", "memory", "lag"), NOTHING) if silent else _load(host)),
    }


def _process(host: HostRow, process: ProcessLoad) -> View:
    name = "pages" if process["process"] == "0" else f"worker {process['process']}"
    blank = dict.fromkeys(("leads", "trouble", "last", "version", "schema", "mixed", "journal", "clock", "apart"), "")
    late = "yes" if process["learned_age_s"] > LATE_S else ""
    told = {"id": f"{host['id']}-{process['process']}", "kind": "process", "name": name, "state": "", "late": late}
    return {**blank, **told, "since": "", "seen": "", **_load(process)}


def _load(load: HostRow | ProcessLoad) -> View:
    rate, cores = load["requests_per_s"], load["cpu_cores"]
    return {
        "work": count(load["running"]) + (f" + {count(load['queued'])}" if load["queued"] else ""),
        "rate": NOTHING if rate is None else f"{rate:,.1f}" if rate < 100 else count(rate),
        "cpu": NOTHING if cores is None else f"{100 * cores:,.0f} %",
        "memory": f"{count(load['memory_bytes'] / 2**20)} MiB",
        "lag": duration(load["learned_age_s"]),
    }


def duration(seconds: float) -> str:
    """`0.3 s`, `12 s`, `4 min`, `3 h`, `2 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {name}"
    return f"{seconds:.0f} s"


def database(told: DatabaseRow) -> View:
    """The database in one line."""
    used, most, ours = told["used"], told["most"], told["ours"]
    return {
        "name": " ".join(filter(None, (told["kind"], told["version"]))),
        "connections": f"{used} of {most} connections are open, {ours} of them Arbiter's" if used is not None else "",
        "full": "yes" if used is not None and most is not None and used >= 0.9 * most else "",
        "trouble": told["trouble"],
    }


def standbys(told: DatabaseRow) -> list[View]:
    """The copies that follow it."""
    return [
        {
            "name": one["name"],
            "state": one["state"],
            "lag": "not told" if one["lag_s"] is None and one["lag_bytes"] is None else _behind(one["lag_s"] or 0.0),
            "bytes": NOTHING if one["lag_bytes"] is None else f"{count(one['lag_bytes'])} bytes",
            "late": "yes" if (one["lag_s"] or 0.0) > STANDBY_LATE_S else "",
        }
        for one in told["standbys"]
    ]


def _behind(seconds: float) -> str:
    return f"{duration(seconds)} behind"
