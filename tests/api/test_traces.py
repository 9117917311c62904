"""OpenTelemetry: spans of the semantic conventions reach a real OTLP receiver, without a word of the prompt."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import running

ASK = "Calculate 6171 + 2"


class Collector:
    """An OTLP/HTTP receiver."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.bodies = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                collector.bodies += body
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def attributes(span: Any) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        kind = value.WhichOneof("value")
        found = getattr(value, kind)
        return [plain(one) for one in found.values] if kind == "array_value" else found

    return {one.key: plain(one.value) for one in span.attributes}


def test_a_request_and_each_call_of_a_model_are_spans_without_text(tmp_path: Path) -> None:
    with collecting() as collector, running(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as gateway:
        gateway.world.faults["gpt-4o"] = Fault(status=503)
        answer = gateway.chat(ASK, arbiter_models=["gpt-4o", "gpt-4.1"], max_tokens=99).json()
    told = answer["arbiter"]
    root, *calls = sorted(collector.spans, key=lambda span: (bool(span.parent_span_id), span.start_time_unix_nano))
    assert (root.name, root.kind) == ("arbiter.request", Span.SPAN_KIND_SERVER)
    assert attributes(root)["arbiter.decision.id"] == told["decision_id"]
    assert attributes(root)["arbiter.cost_usd"] == told["cost"]
    assert {call.parent_span_id for call in calls} == {root.span_id} and {call.trace_id for call in calls} == {
        root.trace_id
    }
    served = attributes(calls[-1])
    assert calls[-1].name == f"chat {told['model']}" and calls[-1].kind == Span.SPAN_KIND_CLIENT
    assert served["gen_ai.operation.name"] == "chat"
    assert served["gen_ai.request.model"] == served["gen_ai.response.model"] == told["model"]
    assert served["gen_ai.request.max_tokens"] == 99
    assert served["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert served["gen_ai.usage.output_tokens"] == answer["usage"]["completion_tokens"]
    assert served["gen_ai.response.finish_reasons"] == ["stop"]
    assert served["server.port"] > 0
    assert root.start_time_unix_nano <= calls[0].start_time_unix_nano < root.end_time_unix_nano
    if told["failover_from"]:
        assert [attributes(call).get("error.type") for call in calls] == ["503", None]
    assert b"6171" not in collector.bodies


def test_a_failed_request_says_why_and_text_is_there_only_when_asked_for(tmp_path: Path) -> None:
    wanted = {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"}
    with collecting() as collector, running(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **wanted) as gateway:
        assert gateway.chat(ASK, arbiter_pin="gpt-4.1").status_code == 200
        gateway.world.faults["*"] = Fault(status=500)
        assert gateway.chat("Calculate 1 + 1", arbiter_pin="gpt-4.1").status_code == 502
    assert b"6171" in collector.bodies
    (failed,) = [span for span in collector.spans if not span.parent_span_id and span.status.code == 2]
    assert attributes(failed)["error.type"] == failed.status.message == "runtime_unavailable"


def test_nothing_is_imported_without_an_endpoint() -> None:
    code = (
        "import sys, asyncio, arbiter_app.bootstrap, arbiter_app.tracing as tracing\n"
        "assert tracing.open_tracing('', {'btl': 'http://a'}, content=False) is None\n"
        "sys.exit(any(name.startswith('opentelemetry.sdk') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
