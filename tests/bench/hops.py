"""How long the way of one request is: `python -m tests.bench.hops [--stream] [--list] [--image BYTES]`.

The product serves in this process and is warmed up; then some graded plain requests, one at a time, not from the cache and with
nothing asked beside them (those calls would be counted too),
are followed on the event loop's thread by `sys.setprofile`, from the socket to the last byte of the answer, its record being
durable. Counted are calls of named functions of `arbiter_app` (a coroutine once, however often it goes on), the files they
are in, and how often the next call is in another file. Printed is the request at the lower quartile of calls, for what goes on beside
adds to some of them, and to more on a busy machine; `--list` says its calls in their order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from types import FrameType

import arbiter_app
from tests.bench.in_process import serve_for
from tests.served import OPERATOR

PRODUCT = str(Path(arbiter_app.__file__).parent)
WARM = 400
FOLLOWED = 15
ASK = "Calculate 37 * 24"

Hop = tuple[str, str]
"""A file of the product, and the function in it that is called."""


class Follower:
    """Notes each call on this thread while it is the profiler."""

    def __init__(self) -> None:
        self.hops: list[Hop] = []
        self._frames: dict[FrameType, None] = {}  # held, so that none takes another's place

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(PRODUCT) or code.co_name.startswith("<"):
            return
        if frame not in self._frames:
            self._frames[frame] = None
            self.hops.append((code.co_filename.removeprefix(f"{PRODUCT}/"), code.co_qualname))


async def follow(
    port: int, *, stream: bool = False, image: int = 0, warm: int = WARM, followed: int = FOLLOWED
) -> list[Hop]:
    """The calls of a request in steady state, in their order: of those that were followed, the median by number. Those that are followed
    have an image of so many bytes.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(warm):
        await _ask(reader, writer, stream)
    ways = []
    for _ in range(followed):
        follower = Follower()
        sys.setprofile(follower)
        try:
            await _ask(reader, writer, stream, image)
            await asyncio.sleep(0)  # what follows the last byte
        finally:
            sys.setprofile(None)
        ways.append(follower.hops)
    writer.close()
    return sorted(ways, key=len)[followed // 4]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: bool, image: int = 0) -> None:
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'A' * image}"}}
    content = [{"type": "text", "text": ASK}, shown] if image else ASK
    messages = [{"role": "user", "content": content}]
    fields = {
        "model": "auto",
        "messages": messages,
        "stream": stream,
        "max_tokens": 128,
        "arbiter_no_cache": True,
        "arbiter_no_shadow": True,
    }
    body = json.dumps(fields).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    answered = await reader.readuntil(b"\r\n\r\n")
    if not answered.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the request failed: {answered.decode()}")
    if stream:
        await reader.readuntil(b"\r\n0\r\n\r\n")
        return
    lines = dict(line.lower().split(b": ", 1) for line in answered.splitlines()[1:-1])
    await reader.readexactly(int(lines[b"content-length"]))


def show(hops: list[Hop], *, whole: bool) -> None:
    """Print the three totals and the files with most calls, or with `whole` each run of calls in one file."""
    files = Counter(file for file, _ in hops)
    runs = [(file, [name for _, name in run]) for file, run in groupby(hops, key=lambda hop: hop[0])]
    print(f"{len(hops)} calls, {len(files)} files, {len(runs) - 1} moves from file to file")
    if whole:
        for file, names in runs:
            print(f"{file:<40} {', '.join(names)}")
        print()
    for file, calls in files.most_common():
        print(f"{calls:4} {file}")


def main() -> None:
    """Follow and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hops", description=__doc__)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--list", action="store_true", help="each call, in order")
    parser.add_argument("--image", type=int, default=0, metavar="BYTES", help="each with an image of this size")
    given = parser.parse_args()

    async def work(port: int) -> None:
        show(await follow(port, stream=given.stream, image=given.image), whole=given.list)

    serve_for(work)


if __name__ == "__main__":
    main()
