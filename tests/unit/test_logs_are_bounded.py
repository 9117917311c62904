"""Log lines over a rate are dropped and counted, and a request has one warning."""

from __future__ import annotations

import logging

from arbiter_app import logs
from arbiter_app.notices import bounds


def line(level: int = logging.INFO, name: str = "arbiter") -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, "x", None, None)


def test_lines_over_the_rate_are_dropped_and_counted() -> None:
    clock = [0.0]
    sieve, before = logs.Sieve(5, 1, now=lambda: clock[0]), bounds.counts["log_lines"]
    assert sum(sieve.filter(line()) for _ in range(1_000)) == 50
    clock[0] += 1
    assert sum(sieve.filter(line()) for _ in range(1_000)) == 5
    assert bounds.counts["log_lines"] - before == 1_945
    assert sieve.filter(line(logging.WARNING, bounds.logger))


def test_a_request_has_one_warning() -> None:
    sieve = logs.Sieve(100, 1, now=lambda: 0.0)
    for request in ("req_a", "req_b"):
        token = logs.request_id.set(request)
        assert [sieve.filter(line(logging.ERROR)) for _ in range(3)] == [True, False, False]
        assert sieve.filter(line())
        logs.request_id.reset(token)
    assert all(sieve.filter(line(logging.ERROR)) for _ in range(9))
