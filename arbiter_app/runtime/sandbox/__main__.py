"""`python -m arbiter_app.runtime.sandbox --port 9000 --latency 0`: the simulated runtime on its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from arbiter_app.catalog_file import load_catalog
from arbiter_app.runtime.sandbox import start_sandbox


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--latency", type=float, default=1.0, help="scale of the simulated latencies; 0 for none")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    asyncio.run(_serve(given))


async def _serve(given: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM. The loop hears them whichever thread they strike: NumPy's run since it was imported."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    catalog = load_catalog(None, baseline="gpt-4o")
    server = start_sandbox(catalog, latency=given.latency, seed=given.seed, port=given.port)
    sys.stdout.write(f"sandbox runtime on {server.url}\n")
    sys.stdout.flush()
    await told.wait()
    server.stop()


if __name__ == "__main__":
    main()
