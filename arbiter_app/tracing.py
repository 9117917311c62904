"""OpenTelemetry: one span a request, and under it one `gen_ai` client span for each call of a model.

Spans are made when a request has ended, from its record, so that tracing adds nothing to the way of an answer. Without
`OTEL_EXPORTER_OTLP_ENDPOINT` nothing of OpenTelemetry is imported. Attribute names: OpenTelemetry's semantic conventions
for generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), and `arbiter.*` for what is our own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from arbiter_app import __version__
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Attempt, Mode

log = logging.getLogger("arbiter")

INSTALL = "pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
NS_PER_S, NS_PER_MS = 10**9, 10**6


class Tracing:
    """Makes spans and has them sent in the background. `content` puts prompts and answers into them."""

    def __init__(self, endpoint: str, runtime_urls: Mapping[str, str], *, content: bool) -> None:
        """Raises ImportError where the SDK is not installed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        self._kinds, self._under = SpanKind, set_span_in_context
        self._failed: Callable[[str], Any] = partial(Status, StatusCode.ERROR)
        resource = Resource.create({"service.name": "arbiter", "service.version": __version__})
        self._provider: Any = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("arbiter", __version__)
        self._servers = {name: _server(url) for name, url in runtime_urls.items()}
        self._content = content

    def seen(self, decision: Decision) -> None:
        """Tell of one finished request."""
        began, timing = int(decision.at * NS_PER_S), decision.timing
        span = self._tracer.start_span(
            "arbiter.request", kind=self._kinds.SERVER, start_time=began, attributes=_routed(decision)
        )
        at = began + _ns(timing.classify_ms + timing.filter_ms + timing.route_ms)
        for attempt in decision.attempts:
            at = self._called(decision, attempt, self._under(span), at)
        if decision.status != "ok":
            span.set_status(self._failed(decision.error_code))
        span.end(max(at, began + _ns(timing.total_ms)))

    def close(self) -> None:
        """Send what is left, for a bounded time."""
        self._provider.shutdown()

    def _called(self, decision: Decision, attempt: Attempt, under: Any, began: int) -> int:
        """One call of a model; returns when it ended. Calls of a request follow each other without a pause."""
        attributes = self._servers.get(attempt.runtime or DEFAULT_RUNTIME, {}) | _asked(decision, attempt)
        done = decision.completion
        if done is not None and attempt is decision.attempts[-1]:
            attributes |= _answered(decision)
            if self._content:
                messages = [{"role": "assistant", "parts": [{"type": "text", "content": done.text}]}]
                attributes["gen_ai.input.messages"] = orjson.dumps(decision.request.messages).decode()
                attributes["gen_ai.output.messages"] = orjson.dumps(messages).decode()
        span = self._tracer.start_span(
            f"{_operation(decision)} {attempt.model}",
            context=under,
            kind=self._kinds.CLIENT,
            start_time=began,
            attributes=attributes,
        )
        if attempt.error:
            span.set_status(self._failed(attempt.error))
        ended = began + _ns(attempt.latency_ms)
        span.end(ended)
        return ended


def open_tracing(endpoint: str, runtime_urls: Mapping[str, str], *, content: bool) -> Tracing | None:
    """Tracing of calls to these runtimes, by name, where an endpoint is set and the SDK is installed; the log says what is missing."""
    if not endpoint:
        return None
    try:
        return Tracing(endpoint, runtime_urls, content=content)
    except ImportError as error:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no spans are sent: %s; %s", error, INSTALL)
        return None


def _routed(decision: Decision) -> dict[str, Any]:
    """What was decided about the request."""
    seen, cost = decision.classification, decision.cost.usd
    told = {
        "arbiter.decision.id": decision.id,
        "arbiter.request.id": decision.request.request_id,
        "arbiter.task": seen.task.value if seen else None,
        "arbiter.difficulty": seen.difficulty if seen else None,
        "arbiter.model": decision.model or None,
        "arbiter.mode": decision.mode.value,
        "arbiter.cache": decision.cache,
        "arbiter.cost_usd": cost,
        "arbiter.quality": decision.grade.quality,
        "arbiter.overhead_ms": decision.timing.overhead_ms,
        "error.type": decision.error_code or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _operation(decision: Decision) -> str:
    return "embeddings" if decision.mode is Mode.EMBEDDING else "chat"


def _asked(decision: Decision, attempt: Attempt) -> dict[str, Any]:
    """What a call of a model was asked for, and what it cost."""
    request = decision.request
    told = {
        "gen_ai.operation.name": _operation(decision),
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": attempt.model,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.conversation.id": request.conversation or None,
        "arbiter.cost_usd": attempt.cost.usd,
        "arbiter.runtime": attempt.runtime or None,
        "error.type": (str(attempt.status) if attempt.status >= 400 else "broken_off") if attempt.error else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _answered(decision: Decision) -> dict[str, Any]:
    """What the serving call answered."""
    done = decision.completion
    if done is None:
        return {}
    told = {
        "gen_ai.response.model": done.body.get("model"),
        "gen_ai.response.id": done.body.get("id"),
        "gen_ai.response.finish_reasons": [done.finish_reason] if done.finish_reason else None,
        "gen_ai.usage.input_tokens": done.usage.prompt_tokens if done.usage else None,
        "gen_ai.usage.output_tokens": done.usage.completion_tokens if done.usage else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _server(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _ns(milliseconds: float) -> int:
    return int(milliseconds * NS_PER_MS)
