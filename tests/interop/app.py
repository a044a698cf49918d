"""A Python application under the OpenTelemetry SDK: app.py OTLP_GRPC OTLP_HTTP JSON_FILE. What it logs inside a span goes
out three ways: as OTLP over gRPC, as OTLP over HTTP, and as JSON lines into which the logging instrumentation puts the
trace's ids. Prints the ids as JSON.
"""
import json
import logging
import sys
import warnings

warnings.filterwarnings("ignore", category=DeprecationWarning)

from opentelemetry import trace  # noqa: E402
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as Grpc  # noqa: E402
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as Http  # noqa: E402
from opentelemetry.instrumentation.logging import LoggingInstrumentor  # noqa: E402
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler  # noqa: E402
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor  # noqa: E402
from opentelemetry.sdk.resources import Resource  # noqa: E402
from opentelemetry.sdk.trace import TracerProvider  # noqa: E402


class JsonFormatter(logging.Formatter):
    def format(self, record):
        return json.dumps({"timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + ".%03dZ" % record.msecs,
                           "level": record.levelname, "service": "py-json", "message": record.getMessage(),
                           "trace_id": record.otelTraceID, "span_id": record.otelSpanID})


def provider(service, exporter):
    made = LoggerProvider(resource=Resource.create({"service.name": service, "host.name": "build-7"}))
    made.add_log_record_processor(BatchLogRecordProcessor(exporter))
    return made


def main():
    grpc, http, path = sys.argv[1:]
    trace.set_tracer_provider(TracerProvider())
    LoggingInstrumentor().instrument(inject_trace_context=True, enable_log_auto_instrumentation=False)
    log = logging.getLogger("shop")
    log.setLevel(logging.DEBUG)
    providers = [provider("py-grpc", Grpc(endpoint=grpc, insecure=True)), provider("py-http", Http(endpoint=http))]
    for p in providers:
        log.addHandler(LoggingHandler(level=logging.DEBUG, logger_provider=p))
    to_file = logging.FileHandler(path)
    to_file.setFormatter(JsonFormatter())
    to_file.formatter.converter = __import__("time").gmtime
    log.addHandler(to_file)
    spans = []
    for n in range(20):
        with trace.get_tracer("shop").start_as_current_span("GET /orders/%d" % n) as span:
            context = span.get_span_context()
            spans.append({"n": n, "traceId": "%032x" % context.trace_id, "spanId": "%016x" % context.span_id})
            log.info("order %d placed", n, extra={"http.status": 200})
            if n % 10 == 7:
                log.error("order %d could not be paid", n)
    for p in providers:
        p.shutdown()
    print(json.dumps({"spans": spans}))


main()
