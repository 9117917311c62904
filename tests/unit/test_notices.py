"""Notices: every strike counts, the log hears of a kind at most once a minute."""

from __future__ import annotations

import logging

import pytest

from arbiter_app.notices import SAY_AGAIN_S, Notices


def test_a_kind_is_counted_each_time_and_said_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    notices = Notices("arbiter.test", now=lambda: clock[0])
    with caplog.at_level(logging.WARNING, logger="arbiter.test"):
        for _ in range(1000):
            notices.count("head", "a request's head was too large")
        notices.count("body", "a body was too large")
        clock[0] += SAY_AGAIN_S
        notices.count("head", "a request's head was too large")

    assert notices.counts == {"head": 1001, "body": 1}
    assert [record.getMessage() for record in caplog.records] == [
        "a request's head was too large",
        "a body was too large",
        "a request's head was too large (1000 times since this was last said)",
    ]
