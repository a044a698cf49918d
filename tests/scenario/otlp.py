"""OpenTelemetry logs over HTTP: both encodings, every compression, and what the answers look like."""
import gzip
import json
import struct
import urllib.parse
import zlib

from harness import NS, check, check_eq, now_ns, pb_bytes, pb_int, varint

TRACE = "000102030405060708090a0b0c0d0e0f"


# ------------------------------------------------------------------ as much of the codings as a push needs

def zstd_raw(data):
    """A Zstandard frame of raw blocks, without a window, a checksum or a dictionary (RFC 8878)."""
    out = b"\x28\xb5\x2f\xfd" + b"\xa0" + struct.pack("<I", len(data))  # one segment, size in four bytes
    pieces = [data[i:i + 65536] for i in range(0, len(data), 65536)] or [b""]
    for i, piece in enumerate(pieces):
        header = len(piece) << 3 | (i + 1 == len(pieces))
        out += struct.pack("<I", header)[:3] + piece
    return out


def zstd_bomb(n_blocks):
    """Blocks that say "131072 times this byte"."""
    blocks = b"".join(struct.pack("<I", 131072 << 3 | 1 << 1 | (i + 1 == n_blocks))[:3] + b" " for i in range(n_blocks))
    return b"\x28\xb5\x2f\xfd" + b"\x00" + bytes([10 << 3]) + blocks  # a window of 1 MiB, no size


def xxh32(data, seed=0):
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    mask = 0xffffffff

    def rotl(x, r):
        return (x << r | x >> (32 - r)) & mask

    assert len(data) < 16, "long enough for an LZ4 frame's header"
    h = (seed + p5 + len(data)) & mask
    while len(data) >= 4:
        h = rotl((h + struct.unpack("<I", data[:4])[0] * p3) & mask, 17) * p4 & mask
        data = data[4:]
    for b in data:
        h = rotl((h + b * p5) & mask, 11) * p1 & mask
    h = (h ^ h >> 15) * p2 & mask
    h = (h ^ h >> 13) * p3 & mask
    return h ^ h >> 16


def lz4_raw(data):
    """An LZ4 frame of uncompressed blocks."""
    descriptor = b"\x60\x40"  # version 1, blocks on their own, at most 64 KiB each
    out = struct.pack("<I", 0x184D2204) + descriptor + bytes([xxh32(descriptor) >> 8 & 0xff])
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out += struct.pack("<I", len(piece) | 0x80000000) + piece
    return out + b"\0\0\0\0"


# ------------------------------------------------------------------ the same push in both encodings

def text(value):
    return {"stringValue": value}


def pair(key, value):
    return {"key": key, "value": value}


def as_json(service, t, n=1):
    return json.dumps({"resourceLogs": [{
        "resource": {"attributes": [pair("service.name", text(service)), pair("k8s.pod.name", text("p1")),
                                    pair("host.name", text("h"))]},
        "scopeLogs": [{"scope": {"name": "my.scope", "version": "1.2"}, "logRecords": [{
            "timeUnixNano": str(t + i), "observedTimeUnixNano": str(t + 5), "severityNumber": 9,
            "severityText": "Information", "body": text("b"), "attributes": [pair("http.status", {"intValue": 200})],
            "flags": 1, "eventName": "evt", "traceId": TRACE, "spanId": "0001020304050607"} for i in range(n)]}]}]}).encode()


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<I", value)


def pb_pair(field, key, value):
    return pb_bytes(field, pb_bytes(1, key) + pb_bytes(2, value))


def as_proto(service, t, n=1):
    resource = b"".join(pb_pair(1, k, pb_bytes(1, v)) for k, v in
                        (("service.name", service), ("k8s.pod.name", "p1"), ("host.name", "h")))
    records = b"".join(pb_bytes(2, fixed64(1, t + i) + pb_int(2, 9) + pb_bytes(3, "Information")
                                + pb_bytes(5, pb_bytes(1, "b")) + pb_pair(6, "http.status", pb_int(3, 200))
                                + fixed32(8, 1) + pb_bytes(9, bytes(range(16))) + pb_bytes(10, bytes(range(8)))
                                + fixed64(11, t + 5) + pb_bytes(12, "evt")) for i in range(n))
    scope = pb_bytes(1, pb_bytes(1, "my.scope") + pb_bytes(2, "1.2"))
    return pb_bytes(1, pb_bytes(1, resource) + pb_bytes(2, scope + records))


def example(t):
    return {"detected_level": "info", "event_name": "evt", "flags": "1", "host_name": "h", "http_status": "200",
            "observed_timestamp": str(t + 5), "scope_name": "my.scope", "scope_version": "1.2", "severity_number": "9",
            "severity_text": "Information", "span_id": "0001020304050607", "trace_id": TRACE}


def message(body):
    """The message of a google.rpc.Status that holds nothing else."""
    check(body[:1] == b"\x12", "a Status with a message", body)
    n, at, shift = 0, 1, 0
    while True:
        n |= (body[at] & 0x7f) << shift
        shift += 7
        at += 1
        if body[at - 1] < 0x80:
            break
    check_eq(len(body), at + n, "length of the Status")
    return body[at:].decode()


JSON, PROTO = "application/json", "application/x-protobuf"


def scenario_codings(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    pushes = {}
    for kind, encode, content_type in (("json", as_json, JSON), ("proto", as_proto, PROTO)):
        for coding, compress in ((None, bytes), ("gzip", gzip.compress), ("zstd", zstd_raw), ("lz4", lz4_raw)):
            pushes["%s-%s" % (kind, coding)] = (encode, content_type, coding, compress)
    pushes["charset"] = (as_json, "application/json; charset=utf-8", None, bytes)
    for i, (name, (encode, content_type, coding, compress)) in enumerate(pushes.items()):
        answer = d.push_body(compress(encode(name, t, 3)), content_type, coding, path=("/otlp/v1/logs", "/v1/logs")[i % 2])
        check(answer.status == 204 and answer.body == b"" and answer.headers["Content-Type"] is None, "push as " + name, answer)
    for _ in range(2):
        for name in pushes:
            query = urllib.parse.urlencode({"query": '{service_name="%s"}' % name, "start": t, "end": t + NS, "direction": "forward"})
            answer = d.request("GET", "/loki/api/v1/query_range?" + query,
                               headers={"X-Loki-Response-Encoding-Flags": "categorize-labels"})
            result = answer.json()["data"]["result"]
            check_eq([(s["stream"]["k8s_pod_name"], s["stream"]["service_name"]) for s in result], [("p1", name)], "streams")
            check_eq(result[0]["values"], [[str(t + i), "b", {"structuredMetadata": example(t)}] for i in range(3)],
                     "entries of " + name)
        check_eq(len(d.trace(TRACE)["entries"]), 3 * len(pushes), "lines of the trace")
        d.flush()


def scenario_large(ctx):
    """Bodies of more than one block, so that the decompressors go round more than once."""
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    for name, coding, compress in (("z", "zstd", zstd_raw), ("l", "lz4", lz4_raw), ("g", "gzip", gzip.compress)):
        body = as_proto(name, t, 5000)
        check(len(body) > 400000, "a large body", len(body))
        check_eq(d.push_body(compress(body), PROTO, coding, path="/v1/logs").status, 204, "push with " + coding)
        check_eq(d.count('{service_name="%s"}' % name, t - 1, t + NS), 5000, "entries by " + coding)
        answer = d.push_body(compress(body)[:-9], PROTO, coding, path="/v1/logs")
        check_eq(answer.status, 400, "a body that is cut short, " + coding)


def scenario_errors(ctx):
    d = ctx.daemon({"reject_old_samples": "true", "max_decompressed_size": "5MB", "max_recv_msg_size": "5MB"})
    t = now_ns() - 60 * NS
    good, nothing = as_json("s", t), "error at least one valid stream is required for ingestion"
    no_records = json.dumps({"resourceLogs": [{"scopeLogs": [{}]}]}).encode()
    cases = [
        # body, type, coding, status, text
        (b"{}", JSON, None, 422, nothing),
        (b"", JSON, None, 422, nothing),
        (b"", PROTO, None, 422, nothing),
        (no_records, JSON, None, 422, nothing),
        (good, "text/plain", None, 400, "content type: text/plain is not supported"),
        (good, "application/octet-stream", None, 400, "content type: application/octet-stream is not supported"),
        (good, JSON, "deflate", 400, "unsupported content encoding deflate: only gzip, lz4 and zstd are supported"),
        (good, JSON, "snappy", 400, "unsupported content encoding snappy: only gzip, lz4 and zstd are supported"),
        (zlib.compress(good), JSON, "gzip", 400, "gzip: "),
        (good, JSON, "zstd", 400, "zstd: "),
        (good, JSON, "lz4", 400, "lz4: "),
        (good, PROTO, None, 400, ""),
        (gzip.compress(b" " * 5300000), JSON, "gzip", 413, "request body too large"),
        (zstd_bomb(1000), JSON, "zstd", 413, "request body too large"),
        (b" " * (5 << 20 | 1), JSON, None, 413, "request body too large: 5242881 bytes, limit: 5242880 bytes"),
    ]
    for body, content_type, coding, status, want in cases:
        answer = d.push_body(body, content_type, coding, path="/otlp/v1/logs")
        check_eq(answer.status, status, "status for %r %s %s" % (body[:20], content_type, coding))
        check_eq(answer.headers["Content-Type"], "application/octet-stream", "type of the answer")
        check(message(answer.body).startswith(want), "text of the answer", want, answer.body)
    # the good ones of a push are kept when others are refused
    body = json.dumps({"resourceLogs": [{"resource": {"attributes": [pair("service.name", text("partly"))]}, "scopeLogs": [
        {"logRecords": [{"timeUnixNano": str(ns), "body": text(line)} for ns, line in
                        ((t, "good"), (t - 20 * 86400 * NS, "old"), (t + 7200 * NS, "new"))]}]}]}).encode()
    answer = d.push_body(body, JSON, path="/v1/logs")
    check_eq(answer.status, 400, "partly refused")
    got = message(answer.body)
    check(got.startswith("1 errors like: entry for stream '{service_name=\"partly\"}' has timestamp too old: ")
          and "; 1 errors like: " in got and " has timestamp too new: " in got, "grouped texts", got)
    check_eq(d.lines('{service_name="partly"}', t - 30 * 86400 * NS, t + 9000 * NS), ["good"], "what was kept")
    for path in ("/otlp/v1/metrics", "/otlp/v1/traces"):
        check_eq(d.push_body(b"{}", JSON, path=path).status, 404, path)


def scenario_rate(ctx):
    d = ctx.daemon({"ingestion_rate_mb": "0.0001", "ingestion_burst_size_mb": "0.0001"})
    answer = d.push_body(as_proto("s", now_ns(), 10), PROTO, path="/v1/logs")
    check_eq(answer.status, 429, "over the rate")
    check_eq(answer.headers["Retry-After"], "1", "Retry-After")
    check(message(answer.body).startswith("ingestion rate limit exceeded"), "text", answer.body)


def scenario_other_signals(ctx):
    """Metrics and spans are answered, counted and forgotten."""
    d = ctx.daemon()
    spans = pb_bytes(1, pb_bytes(2, pb_bytes(2, pb_bytes(5, "a")) * 3))
    points = pb_bytes(1, pb_bytes(2, pb_bytes(2, pb_bytes(1, "m") + pb_bytes(7, pb_bytes(1, fixed64(3, 1)) * 2))))
    answer = d.push_body(gzip.compress(points), PROTO, "gzip", path="/v1/metrics")
    check(answer.status == 200 and answer.body == b"" and answer.headers["Content-Type"] == PROTO, "metrics", answer)
    body = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"gauge": {"dataPoints": [{"asInt": "5"}]}}]}]}]}
    answer = d.push_body(json.dumps(body).encode(), JSON, path="/v1/metrics")
    check(answer.status == 200 and answer.json() == {}, "metrics as JSON", answer)
    answer = d.push_body(spans, PROTO, path="/v1/traces")
    why = "spoor stores logs; spans are not stored"
    check(answer.status == 200 and answer.body == pb_bytes(1, pb_int(1, 3) + pb_bytes(2, why)), "spans", answer.body)
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x"}]}]}]}
    answer = d.push_body(json.dumps(body).encode(), JSON, path="/v1/traces")
    check_eq(answer.json(), {"partialSuccess": {"rejectedSpans": "1", "errorMessage": why}}, "spans as JSON")
    check_eq(d.push_body(b"\x0a\x50", PROTO, path="/v1/traces").status, 400, "spans that are none")
    metrics = d.metrics()
    for signal, requests, items in (("metrics", 2, 3), ("traces", 2, 4)):
        labels = '{tenant="fake",signal="%s"}' % signal
        check_eq(metrics.get("spoor_otlp_discarded_requests_total" + labels), requests, "requests of " + signal)
        check_eq(metrics.get("spoor_otlp_discarded_total" + labels), items, "items of " + signal)


def scenario_index_labels(ctx):
    d = ctx.daemon({"otlp_index_labels": "host.name,cloud.region"})
    t = now_ns() - NS
    check_eq(d.push_body(as_proto("s", t), PROTO, path="/v1/logs").status, 204, "push")
    ((_, line, labels),) = d.entries('{host_name="h"} | service_name_extracted="s"', t, t + NS)
    check_eq((line, labels["host_name"], labels["service_name"]), ("b", "h", "unknown_service"), "what became a label")
