"""Every bound on what a stranger may make Arbiter hold, read, write or wait for: one table.

`ARBITER_*` names are settings (`settings.py` has their defaults); each time that a bound strikes, it is counted under its
name in `arbiter_bound_struck_total` and said in the log once a minute. The page *Operations* shows this table.
"""

from __future__ import annotations

from dataclasses import dataclass

from arbiter_app.settings import Settings, setting_names


@dataclass(frozen=True, slots=True)
class Bound:
    """One bound: its name in the metric, its setting, what it holds down, and what happens when it strikes."""

    name: str
    setting: str
    holds: str
    then: str

    @property
    def default(self) -> object:
        """The setting's default."""
        return Settings.model_fields[setting_names()[self.setting]].default


BOUNDS = (
    Bound("head_bytes", "ARBITER_MAX_HEAD_BYTES", "a request's line and headers, bytes", "431, closed"),
    Bound("line_bytes", "ARBITER_MAX_LINE_BYTES", "a request's path and query, bytes", "414, closed"),
    Bound("headers", "ARBITER_MAX_HEADERS", "headers of a request", "431, closed"),
    Bound("head_time", "ARBITER_HEAD_TIMEOUT_S", "time for the head, seconds", "408 if it has begun, closed"),
    Bound("body_bytes", "ARBITER_MAX_BODY_BYTES", "a request's body, bytes", "413"),
    Bound("body_time", "ARBITER_BODY_TIMEOUT_S", "time for the body, seconds", "408, closed"),
    Bound("idle_time", "ARBITER_IDLE_TIMEOUT_S", "rest between two requests, seconds", "closed"),
    Bound("write_time", "ARBITER_WRITE_TIMEOUT_S", "time in which a caller takes nothing, seconds", "cut off"),
    Bound("connections", "ARBITER_MAX_CONNECTIONS", "connections", "one that rests gives way, else 503"),
    Bound(
        "address_connections",
        "ARBITER_MAX_CONNECTIONS_PER_ADDRESS",
        "connections of one address",
        "one of it that rests gives way, else 503",
    ),
    Bound("pipelined", "ARBITER_MAX_PIPELINED", "requests sent before the answer to the one before", "429, closed"),
    Bound("sockets", "ARBITER_MAX_SOCKETS", "open sockets of pages", "503"),
    Bound("address_sockets", "ARBITER_MAX_SOCKETS_PER_ADDRESS", "open sockets of one address", "503"),
    Bound("socket_frames", "ARBITER_SOCKET_FRAMES_PER_S", "frames of a socket a second", "closed with 1008"),
    Bound("socket_bytes", "ARBITER_MAX_SOCKET_MESSAGE_BYTES", "a socket's message, bytes", "closed with 1009"),
    Bound("hosts", "ARBITER_ALLOWED_HOSTS", "host names that are answered", "421"),
    Bound(
        "answers_bytes",
        "ARBITER_MAX_ANSWERS_BYTES",
        "answers of the runtime held in memory, bytes",
        "waits, at last 503",
    ),
    Bound("downloads", "ARBITER_MAX_DOWNLOADS", "exports at once", "503"),
    Bound(
        "signups_of_an_address", "ARBITER_SIGNUPS_PER_ADDRESS", "keys that an address signs up for in an hour", "429"
    ),
    Bound("signups_of_an_email", "ARBITER_SIGNUPS_PER_EMAIL", "keys for an e-mail address in an hour", "429"),
    Bound("signups_in_all", "ARBITER_SIGNUPS_PER_HOUR", "keys that are signed up for in an hour", "429"),
    Bound("signins", "ARBITER_SIGNINS_PER_MINUTE", "sign-ins of an address in a minute", "429"),
    Bound("log_lines", "ARBITER_LOG_LINES_PER_S", "log lines a second", "dropped and counted"),
    Bound("log_request_lines", "ARBITER_LOG_LINES_PER_REQUEST", "warnings of one request", "dropped and counted"),
)
