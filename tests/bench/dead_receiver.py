"""Whether receivers that never answer slow requests: `python -m tests.bench.dead_receiver [--groups 20] [--pairs 100]`.

Two Arbiters of their own serve side by side, one with ten rules whose receivers take a message and never answer (webhooks, and Slack by
sending processes), which are told something all the time, and one without rules. Requests go to both in pairs, one at a time, so that
whatever else the machine does meets both. Printed is what the first takes in the second's time, for the median and the 95th
percentile of a group of pairs: the median over the groups, and their quartiles. For comparison the same is done before anybody is told.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import httpx

from tests.receivers import Receiver, receiver
from tests.served import OPERATOR, TLS, served

WARM = 100
WEBHOOKS, SLACKS = 6, 4
TELL_EVERY_S = 5.0
ASK = {"messages": [{"role": "user", "content": "Calculate 37 * 24"}], "arbiter_no_cache": True}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.dead_receiver", description=__doc__)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=100)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as one,
        tempfile.TemporaryDirectory() as other,
        receiver(silent=True) as dead,
        served(Path(one)) as told,
        served(Path(other)) as plain,
        _client(told.url) as first,
        _client(plain.url) as second,
    ):
        _times(first, WARM)
        _times(second, WARM)
        show("nobody is told", first, second, given.groups, given.pairs)
        rules = _rules(first, dead)
        done = threading.Event()
        teller = threading.Thread(target=_tell, args=(told.url, rules, done))
        teller.start()
        while len(dead.got) < WEBHOOKS:
            time.sleep(0.05)
        show(f"{len(rules)} dead receivers", first, second, given.groups, given.pairs)
        done.set()
        teller.join()
        print(f"{len(dead.got)} messages were taken and not answered")


def show(name: str, first: httpx.Client, second: httpx.Client, groups: int, pairs: int) -> None:
    """Measure groups of pairs and print the ratios."""
    ratios: dict[str, list[float]] = {"median": [], "95th percentile": []}
    for _ in range(groups):
        times: dict[httpx.Client, list[float]] = {first: [], second: []}
        for number in range(pairs):
            for client in (first, second) if number % 2 else (second, first):
                times[client] += _times(client, 1)
        ratios["median"].append(median(times[first]) / median(times[second]))
        ratios["95th percentile"].append(_high(times[first]) / _high(times[second]))
    for what, found in ratios.items():
        low, middle, high = quantiles(found, n=4)
        told = f"quartiles {low:.3f} to {high:.3f}, {groups} groups of {pairs} pairs"
        print(f"{name}: {what} {middle:.3f} times that without rules ({told})", flush=True)


def _times(client: httpx.Client, requests: int) -> list[float]:
    """Seconds of each of so many requests."""
    times = []
    for _ in range(requests):
        began = time.perf_counter()
        client.post("/v1/chat/completions", json=ASK).raise_for_status()
        times.append(time.perf_counter() - began)
    return times


def _high(times: list[float]) -> float:
    return sorted(times)[int(0.95 * len(times))]


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"authorization": f"Bearer {OPERATOR}"}, timeout=60, verify=TLS)


def _rules(client: httpx.Client, dead: Receiver) -> list[str]:
    made = []
    for number in range(WEBHOOKS + SLACKS):
        channel = "webhook" if number < WEBHOOKS else "slack"
        body = {
            "name": f"dead {number}",
            "channel": channel,
            "address": f"{dead.url}/{number}",
            "events": ["price_shift"],
        }
        made.append(client.post("/v1/notifications/rules", json=body).raise_for_status().json()["id"])
    return made


def _tell(url: str, rules: list[str], done: threading.Event) -> None:
    with _client(url) as client:
        while not done.wait(TELL_EVERY_S):
            for rule in rules:
                client.post(f"/v1/notifications/rules/{rule}/test").raise_for_status()


if __name__ == "__main__":
    main()
