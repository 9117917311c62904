"""Where operators are told things: Slack, Teams, e-mail, PagerDuty, a signed webhook. Strangers all: what they get is made here,
what they say is read no further than its status, and how long they take is bounded.
"""

from arbiter_app.channels.addresses import AddressError, ChannelKind
from arbiter_app.channels.message import OutgoingMessage, SendResult, Severity
from arbiter_app.channels.sender import Sender

__all__ = ["AddressError", "ChannelKind", "OutgoingMessage", "SendResult", "Sender", "Severity"]
