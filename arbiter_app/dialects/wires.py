"""The dialects of runtimes, by the names that they have in a catalog."""

from __future__ import annotations

from arbiter_app.dialects.anthropic_messages import upstream as messages
from arbiter_app.dialects.openai_chat.upstream import CHAT
from arbiter_app.dialects.openai_responses import upstream as responses
from arbiter_app.dialects.wire import Wire

WIRES: dict[str, Wire] = {wire.dialect: wire for wire in (CHAT, messages.WIRE, responses.WIRE)}
