"""What a refresh of each live page takes on the server: `python -m tests.bench.refresh FILE`, FILE made by `seed_store`.

Every channel is loaded as for an open tab, over the running services: milliseconds until its variables stand, the middle and
the worst of the rounds, how long the event loop stood still meanwhile at worst (requests wait that long), and how many
kilobytes a tab is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import orjson
import uvloop

from arbiter_app import bootstrap
from arbiter_app.settings import load_settings
from arbiter_app.web.ask import Workload
from arbiter_app.web.live import Channel, Topic
from arbiter_app.web.ranges import ALL, RANGES
from arbiter_app.web.topics import topics

CHANNELS: tuple[Channel, ...] = (
    *(("summary", ALL, span) for span in RANGES),
    ("feed", ALL, ""),
    ("feed", ALL, "math"),
    *(("models", span) for span in RANGES),
    ("demo",),
)
BEAT_S = 0.001


class Pulse:
    """The longest time in which the event loop did nothing else, milliseconds."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._task = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT_S)
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - before - BEAT_S) * 1000)

    def stop(self) -> float:
        """End it."""
        self._task.cancel()
        return self.longest_ms


async def measure(file: Path, rounds: int) -> list[str]:
    """A line for each channel."""
    settings = load_settings({"ARBITER_DB": str(file), "ARBITER_API_KEYS": "bench", "ARBITER_LOG_LEVEL": "error"}, None)
    arbiter = await bootstrap.start(settings)
    try:
        known = topics(arbiter, Workload(arbiter.requests))
        return [await _line(known[channel[0]], channel, rounds) for channel in CHANNELS]
    finally:
        await arbiter.close()


async def _line(topic: Topic, channel: Channel, rounds: int) -> str:
    took, stood, variables = [], 0.0, {}
    for _ in range(rounds):
        pulse, began = Pulse(), time.perf_counter()
        variables = await topic.load(channel)
        took.append((time.perf_counter() - began) * 1000)
        stood = max(stood, pulse.stop())
    took.sort()
    size = len(orjson.dumps(variables)) / 1000
    middle, worst = took[rounds // 2], took[-1]
    name = " ".join(channel)
    return f"{name:<16} {middle:7.1f} ms  worst {worst:7.1f} ms  loop stood still {stood:6.1f} ms  {size:6.1f} KB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.refresh", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    for line in uvloop.run(measure(given.file, given.rounds)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
