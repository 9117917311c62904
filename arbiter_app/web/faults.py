"""What happens when an event cannot be handled: one line in the log without anybody's headers, one sentence in the tab."""

import logging
import traceback
from pathlib import Path

import reflex as rx
from reflex_base.event import EventSpec
from reflex_base.registry import RegistrationContext

log = logging.getLogger("arbiter.web")

HERE = str(Path(__file__).resolve().parents[1])
PROCESSOR = "reflex_base.event.processor.event_processor"
UNUSED = (".setvar",)
"""Handlers that Reflex adds to every state class and that none of our pages uses."""


def caught(exception: Exception) -> EventSpec | None:
    """A handler raised. Ours is a defect: log it whole and say so. Reflex refusing odd arguments is one line."""
    if not any(frame.filename.startswith(HERE) for frame in traceback.extract_tb(exception.__traceback__)):
        log.warning("an event with arguments that fit no handler was refused: %s", type(exception).__name__)
        return None
    log.error("a page's handler failed", exc_info=exception)
    return rx.call_script("window.arbiterSay('That did not work. It has been logged; please try again.')")


class WithoutHeaders(logging.Filter):
    """Reflex logs an event it cannot process together with its headers, cookies among them: keep the kind only."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place."""
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "error"
        record.msg, record.args, record.exc_info, record.exc_text = f"an event was refused: {kind}", (), None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def harden() -> None:
    """Take handlers that nobody needs off the socket, and headers out of the log. Call it once pages are registered."""
    handlers = RegistrationContext.ensure_context().event_handlers
    for name in [name for name in handlers if name.endswith(UNUSED)]:
        del handlers[name]
    logging.getLogger(PROCESSOR).addFilter(WithoutHeaders())
