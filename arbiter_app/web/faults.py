"""What happens when an event cannot be handled: a line in the log without anybody's words and headers, one sentence in the tab."""

import logging
import re
import traceback
from pathlib import Path

import reflex as rx
from reflex_base.event import EventSpec
from reflex_base.registry import RegistrationContext

from arbiter_app.notices import frames

log = logging.getLogger("arbiter.web")

HERE = str(Path(__file__).resolve().parents[1])
PROCESSOR = "reflex_base.event.processor.event_processor"
_NO_FRAME = re.compile(
    r"Received event (?:from|data)|Invalid session|The client is using an unsupported version|No token provided|Frontend (?:version|state)"
)
"""How Reflex and engineio begin what they say of an odd event or handshake without an error."""
UNUSED = (".setvar",)
"""Handlers that Reflex adds to every state class and that none of our pages uses."""


def caught(exception: Exception) -> EventSpec | None:
    """A handler raised. Ours is a defect: log it whole and say so. Reflex refusing odd arguments is one line."""
    if not _is_ours(exception):
        log.warning("an event with arguments that fit no handler was refused: %s", type(exception).__name__)
        return None
    log.error("a page's handler failed", exc_info=exception)
    return rx.call_script("window.arbiterSay('That did not work. It has been logged; please try again.')")


class WithoutFrames(logging.Filter):
    """What a stranger's frame makes the servers of sockets say: they quote it, with headers and cookies, and add a traceback.

    Its kind is said instead, once a minute. What fails in our own code is a defect and stays as it is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes on."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            found = _NO_FRAME.match(record.getMessage())
            if found is None and record.name != PROCESSOR:
                return True
            kind = found[0] if found is not None else "error"
            frames.count(kind, f"an odd frame or handshake of a socket: {kind}")
            return False
        if record.name == "uvicorn.error" and not isinstance(error, UnicodeDecodeError):
            return True
        if record.name != PROCESSOR and _is_ours(error):
            return True
        frames.count(type(error).__name__, f"a frame of a socket was refused: {type(error).__name__}")
        return False


def _is_ours(error: BaseException) -> bool:
    return any(frame.filename.startswith(HERE) for frame in traceback.extract_tb(error.__traceback__))


def harden() -> None:
    """Take handlers that nobody needs off the socket, and headers out of the log. Call it once pages are registered."""
    handlers = RegistrationContext.ensure_context().event_handlers
    for name in [name for name in handlers if name.endswith(UNUSED)]:
        del handlers[name]
    for name in (PROCESSOR, "engineio.server", "socketio.server", "reflex.app", "uvicorn.error"):
        logging.getLogger(name).addFilter(WithoutFrames())
