"""OTLP over gRPC: Google's client against the daemon, and HTTP/2 by hand where a client has to misbehave."""
import os
import socket
import struct
import sys
import threading
import time

from harness import NS, SLOWER, Skip, check, check_eq, free_port, now_ns, pb_bytes, pb_int, varint, wait_for
from auth import basic, item, write_private
from tls import Authority

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def import_grpc():
    try:
        import grpc
    except ImportError:  # another Python than the system's
        sys.path.append("/usr/lib/python3/dist-packages")
        try:
            import grpc
        except ImportError:
            raise Skip("python3-grpcio is not installed")
        finally:
            sys.path.pop()
    return grpc


# ------------------------------------------------------------------ messages

def pb_fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value)


def attribute(name, value):
    return pb_bytes(1, name) + pb_bytes(2, pb_bytes(1, value))


def record(ts, body, severity=9):
    return pb_fixed64(1, ts) + pb_int(2, severity) + pb_bytes(5, pb_bytes(1, body))


def logs(service, records):
    """ExportLogsServiceRequest; records: [(ts, text)]"""
    scope = b"".join(pb_bytes(2, record(*r)) for r in records)
    return pb_bytes(1, pb_bytes(1, pb_bytes(1, attribute("service.name", service))) + pb_bytes(2, scope))


def spans(n):
    span = pb_bytes(1, b"\1" * 16) + pb_bytes(2, b"\2" * 8) + pb_bytes(5, "work")
    return pb_bytes(1, pb_bytes(2, pb_bytes(2, span) * n))


def gauge(n):
    points = pb_bytes(1, pb_fixed64(3, 1) + pb_fixed64(4, 0)) * n
    return pb_bytes(1, pb_bytes(2, pb_bytes(2, pb_bytes(1, "m") + pb_bytes(5, points))))


def fields(data):
    """{number: value} of a message of varints and texts"""
    found, i = {}, 0

    def number():
        nonlocal i
        value = shift = 0
        while True:
            value |= (data[i] & 0x7f) << shift
            shift += 7
            i += 1
            if data[i - 1] < 0x80:
                return value

    while i < len(data):
        tag = number()
        value = number()
        if tag & 7 == 2:
            value, i = data[i:i + value], i + value
        found[tag >> 3] = value
    return found


# ------------------------------------------------------------------ the daemon, the client

def grpc_daemon(ctx, settings=None, authority=None):
    d = ctx.daemon(start=False)
    d.grpc_port = free_port()
    d.settings.update({"otlp_grpc_listen": "127.0.0.1:%d" % d.grpc_port, **(settings or {})})
    if authority:
        cert, key = authority.issue("server")
        d.settings.update({"tls_cert_file": cert, "tls_key_file": key})
        d.tls = authority.trust()
    return d.start()


class Client:
    def __init__(self, d, authority=None):
        self.grpc = grpc = import_grpc()
        options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0), ("grpc.enable_http_proxy", 0)]
        if authority:
            with open(authority.path("pem"), "rb") as f:
                credentials = grpc.ssl_channel_credentials(f.read())
            self.channel = grpc.secure_channel("localhost:%d" % d.grpc_port, credentials, options)
        else:
            self.channel = grpc.insecure_channel("127.0.0.1:%d" % d.grpc_port, options)

    def start(self, method, message, timeout=30, **more):
        stub = self.channel.unary_unary(method, lambda b: b, lambda b: b)
        return stub.future(message, timeout=timeout * SLOWER, **more)

    def call(self, method, message, **more):
        return self.start(method, message, **more).result()

    def error(self, method, message, **more):
        """The name of its status, and the call."""
        try:
            self.call(method, message, **more)
        except self.grpc.RpcError as e:
            return e.code().name, e
        return "OK", None


def scenario_logs(ctx):
    d = grpc_daemon(ctx)
    c = Client(d)
    t = now_ns() - 60 * NS
    check_eq(c.call(LOGS, logs("plain", [(t + i, "line %d" % i) for i in range(100)])), b"", "the answer")
    check_eq(c.call(LOGS, logs("zipped", [(t + i, "line %d " % i + "x" * 300) for i in range(100)]),
                    compression=c.grpc.Compression.Gzip), b"", "the answer to gzip")
    check_eq(c.call(LOGS, b""), b"", "nothing in it")
    for name in ("plain", "zipped"):
        check_eq(len(d.lines('{service_name="%s"}' % name, t - NS, t + NS)), 100, "lines of " + name)
    big = logs("big", [(t + i, "%04d" % i + "y" * 100000) for i in range(100)])  # 10 MB: ten windows
    check_eq(c.call(LOGS, big), b"", "10 MB")
    check_eq(len(d.lines('{service_name="big"}', t - NS, t + NS)), 100, "lines of 10 MB")
    calls = [c.start(LOGS, logs("many", [(t + i, "call %d" % i)])) for i in range(300)]
    for call in calls:
        check_eq(call.result(), b"", "one of 300 at a time")
    check_eq(len(d.lines('{service_name="many"}', t - NS, t + NS)), 300, "lines of 300 calls")
    metrics = d.metrics()
    check_eq(metrics['spoor_grpc_requests_total{method="%s",code="OK"}' % LOGS[1:]], 304, "calls counted")


def scenario_metrics_and_spans(ctx):
    d = grpc_daemon(ctx)
    c = Client(d)
    check_eq(c.call(METRICS, gauge(3)), b"", "metrics are taken")
    answer = fields(fields(c.call(TRACES, spans(7)))[1])
    check_eq(answer[1], 7, "spans that are not stored")
    check(b"spans" in answer[2], "it says so", answer)
    check_eq(c.call(TRACES, b""), b"", "no spans, nothing refused")
    check_eq(c.error(METRICS, b"\xff\xff\xff")[0], "INVALID_ARGUMENT", "junk")


def scenario_errors(ctx):
    d = grpc_daemon(ctx, {"max_recv_msg_size": "1MB", "max_decompressed_size": "2MB", "max_line_size": "1000"})
    c = Client(d)
    t = now_ns() - 60 * NS
    one = logs("one", [(t, "x")])
    check_eq(c.error("/no.such.Service/Export", one)[0], "UNIMPLEMENTED", "an unknown service")
    check_eq(c.error("/loki/api/v1/push", one)[0], "UNIMPLEMENTED", "a path of HTTP")
    check_eq(c.error(LOGS, b"\x0a\xff\xff\xff\xff\x0f")[0], "INVALID_ARGUMENT", "junk")
    code, e = c.error(LOGS, logs("large", [(t, "x" * 2000000)]))
    check_eq(code, "RESOURCE_EXHAUSTED", "a message over max_recv_msg_size")
    check("1000000" in e.details() or "1048576" in e.details(), "the limit is named", e.details())
    check("grpc-status-details-bin" not in dict(e.trailing_metadata()), "no hint to send it again")
    gzip = c.grpc.Compression.Gzip
    check_eq(c.error(LOGS, logs("bomb", [(t, "x" * 5000000)]), compression=gzip)[0], "RESOURCE_EXHAUSTED", "a bomb")
    check_eq(c.error(LOGS, one, compression=c.grpc.Compression.Deflate)[0], "UNIMPLEMENTED", "an unknown encoding")
    answer = fields(fields(c.call(LOGS, logs("part", [(t, "good"), (t + 1, "x" * 1500), (t + 2, "good, too")])))[1])
    check_eq(answer[1], 1, "records refused, others stored")
    check(b"1000" in answer[2] or b"line" in answer[2], "why", answer)
    check_eq(len(d.lines('{service_name="part"}', t - NS, t + NS)), 2, "the others")
    check_eq(c.error(LOGS, logs("none", [(t, "x" * 1500)]))[0], "INVALID_ARGUMENT", "all of them refused")
    check_eq(c.call(LOGS, one), b"", "the connection goes on")
    d.request("GET", "/ready")


def scenario_rate_limit(ctx):
    d = grpc_daemon(ctx, {"ingestion_rate_mb": "0.01", "ingestion_burst_size_mb": "0.01"})
    c = Client(d)
    t = now_ns() - 60 * NS
    found = [c.error(LOGS, logs("fast", [(t + i, "x" * 9000)])) for i in range(3)]
    check_eq(found[0][0], "OK", "within the limit")
    check_eq(found[2][0], "UNAVAILABLE", "past it")
    details = dict(found[2][1].trailing_metadata()).get("grpc-status-details-bin", b"")
    check(b"google.rpc.RetryInfo" in details, "when to send again", details)
    check_eq(fields(details)[1], 14, "the status is in there, too")


def scenario_tenants(ctx):
    d = grpc_daemon(ctx, {"auth_enabled": "true"})
    c = Client(d)
    t = now_ns() - 60 * NS
    one = logs("one", [(t, "x")])
    check_eq(c.error(LOGS, one)[0], "UNAUTHENTICATED", "no tenant")
    check_eq(c.error(LOGS, one, metadata=(("x-scope-orgid", "a/b"),))[0], "INVALID_ARGUMENT", "a wrong one")
    check_eq(c.error(LOGS, one, metadata=(("x-scope-orgid", "a"), ("x-scope-orgid", "b")))[0], "INVALID_ARGUMENT", "two")
    check_eq(c.call(LOGS, one, metadata=(("x-scope-orgid", "acme"),)), b"", "a tenant")
    for tenant, n in (("acme", 1), ("other", 0)):
        answer = d.request("GET", "/loki/api/v1/labels?start=%d" % (t - NS), headers={"X-Scope-OrgID": tenant}).json()
        check_eq("service_name" in answer.get("data", []), n == 1, "the label of %s" % tenant)


def scenario_credentials(ctx):
    path = os.path.join(ctx.tmp, "credentials.yaml")
    write_private(path, "credentials:\n" + item("ann", "pw", "write") + item("bob", "pw", "read"))
    d = grpc_daemon(ctx, {"auth": "basic", "auth_file": path})
    c = Client(d)
    t = now_ns() - 60 * NS
    one = logs("one", [(t, "x")])

    def as_user(name, password):
        return (("authorization", basic(name, password)["Authorization"]),)

    check_eq(c.error(LOGS, one)[0], "UNAUTHENTICATED", "nobody")
    check_eq(c.error(LOGS, one, metadata=as_user("ann", "wrong"))[0], "UNAUTHENTICATED", "a wrong password")
    check_eq(c.error(LOGS, one, metadata=as_user("bob", "pw"))[0], "PERMISSION_DENIED", "a reader")
    # these wait together for the password to be verified; one sends more than a window meanwhile
    big = logs("big", [(t + i, "%04d" % i + "y" * 100000) for i in range(30)])
    calls = [c.start(LOGS, big, metadata=as_user("ann", "pw"))]
    calls += [c.start(LOGS, one, metadata=as_user("ann", "pw")) for _ in range(20)]
    check(all(call.result() == b"" for call in calls), "a writer")
    leaving = [c.start(LOGS, one, metadata=as_user("ann", "pw%d" % i)) for i in range(5)]
    for call in leaving:  # while their passwords are being verified
        call.cancel()
    check_eq(c.call(LOGS, one, metadata=as_user("ann", "pw")), b"", "the connection goes on")


def scenario_tls(ctx):
    a = Authority(ctx.tmp)
    d = grpc_daemon(ctx, authority=a)
    c = Client(d, a)
    t = now_ns() - 60 * NS
    check_eq(c.call(LOGS, logs("tls", [(t + i, "%04d" % i + "z" * 50000) for i in range(100)])), b"", "5 MB over TLS")
    calls = [c.start(LOGS, logs("many", [(t + i, "call %d" % i)])) for i in range(100)]
    check(all(call.result() == b"" for call in calls), "100 at a time")
    check_eq(len(d.lines('{service_name="tls"}', t - NS, t + NS)), 100, "lines")
    check_eq(Client(d).error(LOGS, b"", timeout=5)[0], "UNAVAILABLE", "a client without TLS")
    check_eq(c.call(LOGS, b""), b"", "the first goes on")


def scenario_drain(ctx):
    d = grpc_daemon(ctx)
    c = Client(d)
    t = now_ns() - 60 * NS
    stop, sent, failed = threading.Event(), [], []

    def send():
        i = 0
        while not stop.is_set():
            code, _ = c.error(LOGS, logs("drain", [(t + i, "call %d" % i)]), timeout=10)
            (sent if code == "OK" else failed).append((i, code))
            i += 1

    thread = threading.Thread(target=send)
    thread.start()
    wait_for(lambda: len(sent) > 20, 10, "calls")
    d.stop()
    stop.set()
    thread.join()
    check(all(code in ("UNAVAILABLE", "DEADLINE_EXCEEDED") for _, code in failed), "after the end", failed[:5])
    d.start()
    got = set(d.lines('{service_name="drain"}', t - NS, t + NS))
    missing = [i for i, _ in sent if "call %d" % i not in got]
    check_eq(missing, [], "what was acknowledged is there")


# ------------------------------------------------------------------ by hand

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """Of a header, in HPACK, never indexed."""
    def text(s):
        s = s.encode()
        check(len(s) < 127, "short texts only")
        return bytes([len(s)]) + s
    return b"\x10" + text(name) + text(value)


HEAD = b"".join(literal(n, v) for n, v in ((":method", "POST"), (":scheme", "http"), (":path", LOGS), (":authority", "x"),
                                          ("content-type", "application/grpc"), ("te", "trailers")))


class Wire:
    """A connection of which we say each frame."""

    def __init__(self, d, settings=b"", timeout=30):
        self.s = socket.create_connection(("127.0.0.1", d.grpc_port), timeout=timeout * SLOWER)
        self.got = b""
        self.broken = False
        self.send(PREFACE + frame(SETTINGS, payload=settings) + frame(SETTINGS, 1))

    def send(self, data):
        try:
            self.s.sendall(data)
        except OSError:
            self.broken = True
        return not self.broken

    def frames(self):
        """Until the connection ends."""
        while True:
            while len(self.got) >= 9:
                n = int.from_bytes(self.got[:3], "big")
                if len(self.got) < 9 + n:
                    break
                kind, flags, stream = self.got[3], self.got[4], int.from_bytes(self.got[5:9], "big")
                payload, self.got = self.got[9:9 + n], self.got[9 + n:]
                yield kind, flags, stream, payload
            try:
                piece = self.s.recv(65536)
            except socket.timeout:
                check(False, "the daemon neither says anything nor closes")
            except OSError:
                return
            if not piece:
                return
            self.got += piece

    def goaway(self):
        """The error code of the GOAWAY that ends the connection; None: it ended without one."""
        code = None
        for kind, _, _, payload in self.frames():
            if kind == GOAWAY:
                code = int.from_bytes(payload[4:8], "big")
        self.s.close()
        return code


CALM, SIZE_ERROR, PROTOCOL_ERROR = 0xb, 0x6, 0x1


def scenario_floods(ctx):
    d = grpc_daemon(ctx, {"header_timeout": "2s"})

    def resets(w):
        for i in range(3000):
            if not w.send(frame(HEADERS, END_HEADERS, 2 * i + 1, HEAD) + frame(RST, 0, 2 * i + 1, b"\0\0\0\x08")):
                return

    def pings(w):
        for _ in range(3000):
            if not w.send(frame(PING, 0, 0, b"12345678")):
                return

    def settings(w):
        for _ in range(3000):
            if not w.send(frame(SETTINGS)):
                return

    def empty(w):
        w.send(frame(HEADERS, END_HEADERS, 1, HEAD))
        for _ in range(3000):
            if not w.send(frame(DATA, 0, 1)):
                return

    def made_resets(w):  # streams that we have to reset: a window that overflows
        for i in range(3000):
            if not w.send(frame(HEADERS, END_HEADERS, 2 * i + 1, HEAD) + frame(WINDOW, 0, 2 * i + 1, b"\x7f\xff\xff\xff")):
                return

    for flood in (resets, pings, settings, empty, made_resets):
        w = Wire(d)
        flood(w)
        code = w.goaway()
        check(code in (CALM, None) and (code == CALM or w.broken), "the end of %s: %s" % (flood.__name__, code))
    w = Wire(d)  # a head without end
    w.send(frame(HEADERS, 0, 1, HEAD))
    for _ in range(20000):
        if not w.send(frame(CONTINUATION, 0, 1, literal("a", "b" * 100) * 10)):
            break
    w.goaway()
    w = Wire(d)  # a head that is not finished in time
    w.send(frame(HEADERS, 0, 1, HEAD))
    w.goaway()
    check(d.peak_memory() < 300e6 * SLOWER, "memory", d.peak_memory())
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")
    check(d.metric_sum('spoor_http_refused_total{reason="http2"}') >= 4, "they were counted")


def scenario_wrong_bytes(ctx):
    d = grpc_daemon(ctx, {"header_timeout": "1s"})
    with socket.create_connection(("127.0.0.1", d.grpc_port), timeout=20 * SLOWER) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = s.recv(65536)
        check(got.startswith(b"HTTP/1.1 400") and b"gRPC" in got, "HTTP/1.1 gets a hint", got)
    with socket.create_connection(("127.0.0.1", d.grpc_port), timeout=20 * SLOWER) as s:
        s.sendall(b"PRI")  # and no more
        while s.recv(65536):
            pass
    for data in (frame(SETTINGS, 0, 0, b"12345"), frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS, 2, HEAD),
                 frame(HEADERS, END_HEADERS, 1, b"\xff" * 50), frame(PING, 0, 0, b"1"), b"\xff" * 30000):
        w = Wire(d)
        w.send(data)
        check(w.goaway() not in (None, 0), "an error code for %r" % data[:12])
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")


def answer_of(w, stream):
    """(status or None, kinds of its frames) of a stream's answer"""
    kinds, last = [], b""
    for kind, flags, on, payload in w.frames():
        if on != stream or kind not in (HEADERS, DATA, RST):
            continue
        kinds.append(kind)
        last = payload
        if flags & END_STREAM or kind == RST:
            break
    return last, kinds


def scenario_messages_in_pieces(ctx):
    d = grpc_daemon(ctx, {"header_timeout": "5s", "body_timeout": "2s", "write_timeout": "2s"})
    t = now_ns() - 60 * NS
    message = logs("pieces", [(t, "in pieces")])
    whole = b"\0" + struct.pack(">I", len(message)) + message
    w = Wire(d)
    w.send(frame(HEADERS, END_HEADERS, 1, HEAD))
    for i in range(len(whole)):
        w.send(frame(DATA, END_STREAM if i == len(whole) - 1 else 0, 1, whole[i:i + 1]))
    check_eq(answer_of(w, 1)[1], [HEADERS, DATA, HEADERS], "head, message, trailers, and no empty DATA")
    check_eq(d.lines('{service_name="pieces"}', t - NS, t + NS), ["in pieces"], "what was stored")
    for stream, (flags, data) in enumerate(((END_STREAM, whole[:-1]), (END_STREAM, b""), (END_STREAM, whole + whole),
                                            (END_STREAM, b"\2" + whole[1:]), (END_STREAM, b"\1" + whole[1:]))):
        w.send(frame(HEADERS, END_HEADERS, 2 * stream + 3, HEAD) + frame(DATA, flags, 2 * stream + 3, data))
        check_eq(answer_of(w, 2 * stream + 3)[1], [HEADERS], "trailers alone for %r" % data[:20])
    w.send(frame(HEADERS, END_HEADERS, 21, HEAD) + frame(DATA, 0, 21, whole[:5]))  # and nothing more
    check_eq(answer_of(w, 21)[1], [HEADERS], "an answer when the message does not come")
    w.s.close()
    w = Wire(d, settings=b"\0\4\0\0\0\0")  # no window for our answers
    w.send(frame(HEADERS, END_HEADERS, 1, HEAD) + frame(DATA, END_STREAM, 1, whole))
    check_eq(answer_of(w, 1)[1], [HEADERS, RST], "no waiting for ever")
    w.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, HEAD.replace(literal("content-type", "application/grpc"),
                                                                    literal("content-type", "text/plain"))))
    head, kinds = answer_of(w, 3)
    check_eq(kinds, [HEADERS], "an answer to another content type")
    check(b"415" in head or b"\x88" not in head, "which is not 200", head)


def scenario_client_that_does_not_read(ctx):
    d = grpc_daemon(ctx, {"write_timeout": "2s"})
    w = Wire(d)
    end = time.monotonic() + 60 * SLOWER
    w.s.settimeout(10 * SLOWER)
    i = 0
    while w.send(b"".join(frame(HEADERS, END_HEADERS | END_STREAM, 2 * (i + k) + 1, HEAD) for k in range(100))):
        i += 100  # each gets an answer that nobody takes
        check(time.monotonic() < end or i < 500000, "the daemon takes calls without end")
    check(d.peak_memory() < 400e6 * SLOWER, "memory", d.peak_memory())
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")
    w.s.close()


def scenario_many_open_calls(ctx):
    """Heads that are small on the wire and large in memory, on calls that never end: refused once they hold too much."""
    d = grpc_daemon(ctx, {"ingest_memory": "4MB", "max_recv_msg_size": "1MB"})
    fat = b"\x40\x05a-fat" + b"\x7f" + varint(3900 - 127) + b"f" * 3900  # enters the table; \xbe then means it
    wires = [Wire(d) for _ in range(20)]
    for w in wires:
        for i in range(60):
            w.send(frame(HEADERS, END_HEADERS, 2 * i + 1, HEAD + (fat if i == 0 else b"") + b"\xbe" * 14))
    for w in wires[-3:]:
        check(w.send(frame(HEADERS, END_HEADERS, 201, HEAD + b"\xbe" * 14)), "the connection stands")
        head, kinds = answer_of(w, 201)
        check_eq(kinds, [HEADERS], "an answer at once")
    refused = d.metrics()['spoor_http_refused_total{reason="memory"}']
    check(refused > 300, "most of 1200 calls were refused", refused)
    check(d.peak_memory() < 150e6 * SLOWER, "memory", d.peak_memory())
    for w in wires:
        w.s.close()
    c = Client(d)
    wait_for(lambda: c.error(LOGS, b"")[0] == "OK", 10, "a call when they are gone")
