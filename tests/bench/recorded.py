"""What callers see, before and after a change: `python -m tests.bench.recorded --before TREE [--only WORDS] [--list]`.

200 requests of `tests/bench/recorded_requests.py` go one by one to the product of another checkout (`TREE`) and to this one, each over
a runtime that answers by a script (`tests/bench/scripted_runtime.py`). Compared are status, headers, JSON or events of each answer, and
what the runtime was sent; ids, times and latencies are masked. Differences are printed by the path of the member, with how many
requests have them and one example. Each request names its model, so that nothing hangs on what the policy has learned.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.bench.recorded_requests import MAX_BODY_BYTES, Recorded, recorded
from tests.bench.scripted_runtime import ScriptedRuntime
from tests.served import OPERATOR, ROOT, TLS, served

SETTINGS = {
    "GATEWAY_API_KEY": "sk-recorded-0123456789abcdef",
    "ARBITER_JUDGE_SAMPLE": "0",
    "ARBITER_JUDGE_CHECK": "0",
    "ARBITER_CASCADE": "false",
    "ARBITER_QUARANTINE_S": "0.001",
    "ARBITER_QUARANTINE_MAX_S": "0.001",
    "ARBITER_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
}
"""The same for both, so that no answer is asked for twice and no failure rests a model for the request after it."""
HEADERS_APART = {"date", "content-length", "connection", "server", "transfer-encoding"}
TIMES = re.compile(r"(?:^|[._])(?:created|created_at|\w+_ms)$")
MASKS = (
    (re.compile(r"\bd_[0-9a-z]{16}\b"), "d_*"),
    (re.compile(r"\breq_[0-9a-f]{24}\b"), "req_*"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "HOST"),
    (re.compile(r"\b\d+(?:\.\d+)? ms\b"), "* ms"),
    (re.compile(r"quality \d\.\d+, could be as low as \d\.\d+; good enough is \d\.\d+; \d+%"), "quality *, *%"),
)
ERROR = "body.error.message"
INDEX = re.compile(r"\[\d+\]")
SHOWN = 160
"""Characters of a value in the print."""


Answer = dict[str, str]
"""What came of one request: its members by path, ids, times and latencies masked."""


@dataclass(slots=True)
class Difference:
    """What differs at one path: the requests, and the values of the first of them."""

    before: str
    after: str
    requests: list[str] = field(default_factory=list)


def answers(tree: Path, requests: list[Recorded]) -> list[Answer]:
    """The answers of the product in a checkout, in the order of the requests."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ScriptedRuntime() as runtime,
        served(Path(directory), root=tree, BTL_BASE_URL=runtime.url, **SETTINGS) as product,
        httpx.Client(base_url=product.url, timeout=60, verify=TLS) as client,
    ):
        return [_answer(client, runtime, one) for one in requests]


def _answer(client: httpx.Client, runtime: ScriptedRuntime, asked: Recorded) -> Answer:
    runtime.received.clear()
    headers = {"authorization": f"Bearer {OPERATOR}", "content-type": "application/json", **asked.headers}
    answer = client.request(asked.method, asked.path, content=asked.body, headers=headers)
    found: dict[str, Any] = {
        "status": answer.status_code,
        "headers": {name: value for name, value in answer.headers.items() if name not in HEADERS_APART},
        "sent": list(runtime.received),
    }
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        found |= _streamed([_parsed(event.removeprefix("data: ")) for event in answer.text.split("\n\n") if event])
    else:
        found["body"] = _parsed(answer.text)
    return {path: _masked(path, value) for path, value in _members(found, "")}


def _streamed(events: list[Any]) -> dict[str, Any]:
    """The events, and apart from them what Arbiter says of itself and in which of them: else all after it would differ, too."""
    found: dict[str, Any] = {"events": []}
    for event in events:
        if isinstance(event, dict) and "arbiter" in event:
            alone = not event.get("choices") and "usage" not in event
            found |= {"arbiter": event.pop("arbiter"), "arbiter_comes": "alone" if alone else "with the last event"}
            if alone:
                continue
        found["events"].append(event)
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _members(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; an empty object or list is a leaf."""
    if isinstance(value, dict) and value:
        for name, one in value.items():
            yield from _members(one, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for at, one in enumerate(value):
            yield from _members(one, f"{path}[{at}]")
    else:
        yield path, value


def _masked(path: str, value: Any) -> str:
    if TIMES.search(path) and isinstance(value, int | float):
        return "*"
    text = json.dumps(value)
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text


def changed(before: Answer, after: Answer) -> dict[str, tuple[str, str]]:
    """The members that differ, before and after; `-` where there is none.

    An answer in the place of an error has other members altogether: what is only in one of them is left out then.
    """
    paths: Iterable[str] = {**before, **after}
    if (ERROR in before) != (ERROR in after):
        paths = before.keys() & after.keys() | {ERROR}
    pairs = {path: (before.get(path, "-"), after.get(path, "-")) for path in paths}
    return {path: (was, is_now) for path, (was, is_now) in pairs.items() if was != is_now}


def differences(requests: list[Recorded], before: list[Answer], after: list[Answer]) -> dict[str, Difference]:
    """What differs, by the path of the member without its indices."""
    found: dict[str, Difference] = {}
    for asked, old, new in zip(requests, before, after, strict=True):
        firsts: dict[str, Difference] = {}
        for path, (was, is_now) in changed(old, new).items():
            firsts.setdefault(INDEX.sub("[]", path), Difference(was, is_now))
        for path, first in firsts.items():
            found.setdefault(path, first).requests.append(asked.name)
    return found


def show(found: dict[str, Difference], number: int) -> None:
    """Print the paths that differ, those of most requests first."""
    print(f"{number} requests, {len(found)} paths differ")
    for path, one in sorted(found.items(), key=lambda item: -len(item[1].requests)):
        print(f"\n{path}: {len(one.requests)} requests, first {one.requests[0]!r}")
        print(f"  before  {one.before[:SHOWN]}\n  after   {one.after[:SHOWN]}")


def show_each(requests: list[Recorded], before: list[Answer], after: list[Answer]) -> None:
    """Print every difference of every request."""
    for asked, old, new in zip(requests, before, after, strict=True):
        if lines := changed(old, new):
            print(f"\n{asked.name}")
            for path, (was, is_now) in lines.items():
                print(f"  {path}: {was[:SHOWN]} -> {is_now[:SHOWN]}")


def main() -> int:
    """Record both and compare; 1 where something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recorded", description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the product to compare with")
    parser.add_argument("--only", default="", help="requests with these words in their names")
    parser.add_argument("--list", action="store_true", help="also every difference of every request")
    given = parser.parse_args()
    requests = [one for one in recorded() if given.only in one.name]
    before, after = answers(given.before.resolve(), requests), answers(ROOT, requests)
    found = differences(requests, before, after)
    show(found, len(requests))
    if given.list:
        show_each(requests, before, after)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
