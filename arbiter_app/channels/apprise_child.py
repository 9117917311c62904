"""One message by apprise, in a process of its own: `python -m arbiter_app.channels.apprise_child`, a JSON object in, one out.

apprise blocks, follows what a receiver says for as long as it says something, and takes 17 MB: a process can be ended at a
deadline, and leaves nothing behind.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

TYPES = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}
CONNECT_S, READ_S = 5.0, 10.0
MAX_MEMORY_BYTES = 256 * 2**20
"""Ten times what a message takes: a receiver's answer is read whole, however long it is."""


class _Said(logging.Handler):
    """Keeps the warnings of apprise, which name hosts and status codes and no secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def sent(asked: dict[str, Any]) -> dict[str, Any]:
    """Send, or with `check` only look whether the address is understood; `ok`, and what was `said`."""
    said = _Said()
    log = logging.getLogger("apprise")
    log.addHandler(said)
    log.propagate = False
    asset = AppriseAsset(app_id="Arbiter", app_desc="Arbiter", http_redirects=False)
    plugin = Apprise.instantiate(asked["url"], asset=asset, suppress_exceptions=True)
    if plugin is None or isinstance(plugin, list):
        return {"ok": False, "said": "the address is not understood"}
    if asked["check"]:
        return {"ok": True, "said": ""}
    plugin.socket_connect_timeout, plugin.socket_read_timeout = CONNECT_S, READ_S
    html = bool(asked["html"])
    done = plugin.notify(
        body=asked["html"] or asked["text"],
        title=asked["title"],
        notify_type=TYPES[asked["severity"]],
        body_format=NotifyFormat.HTML if html else NotifyFormat.TEXT,
    )
    return {"ok": bool(done), "said": "; ".join(said.lines)[:500]}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    sys.stdout.write(json.dumps(sent(json.load(sys.stdin))))
