"""A stand-in for an OpenTelemetry collector on loopback, and what it took.

It reads OTLP over HTTP with the protobuf classes of OpenTelemetry itself.
"""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

# What tests do not wait for: records go out almost at once.
AT_ONCE = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BLRP_SCHEDULE_DELAY": "50"}


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs: list[KeyValue]) -> dict[str, Any]:
    """Names with their values; each name must be there once."""
    names = [pair.key for pair in pairs]
    assert len(names) == len(set(names)), names
    return {pair.key: plain(pair.value) for pair in pairs}


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class Collector(ThreadingHTTPServer):
    """`status` is the answer to each request, `hangs` keeps answers back."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.status = 200
        self.hangs = False
        self.requests: list[Request] = []
        self.refused: list[Request] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, **AT_ONCE}

    def spans(self) -> list[Any]:
        found = []
        for request in list(self.requests):
            if request.path == "/v1/traces":
                for group in ExportTraceServiceRequest.FromString(request.body).resource_spans:
                    for scope in group.scope_spans:
                        assert scope.scope.name == "sesgate"
                        found.extend(scope.spans)
        return found

    def lines(self) -> list[Any]:
        found = []
        for request in list(self.requests):
            if request.path == "/v1/logs":
                for group in ExportLogsServiceRequest.FromString(request.body).resource_logs:
                    for scope in group.scope_logs:
                        found.extend(scope.log_records)
        return found

    def resource(self) -> dict[str, Any]:
        request = next(request for request in self.requests if request.path == "/v1/traces")
        [group] = ExportTraceServiceRequest.FromString(request.body).resource_spans
        return attributes(group.resource.attributes)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, body)
        while self.server.hangs:
            time.sleep(0.05)
        status = self.server.status
        (self.server.requests if status == 200 else self.server.refused).append(request)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass
