"""What the simulated runtime says when it does not answer."""

from __future__ import annotations


class SandboxRefusal(Exception):
    """The simulated runtime refuses a request."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def refuse_unless(good: object, message: str, code: str | None = None) -> None:
    """Refuse a request as malformed (400) unless something holds."""
    if not good:
        raise SandboxRefusal(400, message, code)
