"""Many clients, and bad ones. Those that do as they should notice nothing; what was acknowledged is there, once; and
when the others have gone, memory stayed bounded and their connections and descriptors are free again.

The long forms use as many clients as the hard limit of open files allows, up to 10,000. Tails: see tail.py."""
import os
import resource
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

from harness import NS, SANITIZED, SLOWER, check, check_eq, now_ns, push_json, wait_for
from otlp_grpc import (CONTINUATION, DATA, END_HEADERS, END_STREAM, HEAD, HEADERS, LOGS, PING, RST, SETTINGS, WINDOW, Client,
                       Wire, frame, grpc_daemon, literal, logs)
from tail import WebSocket, numbers
from tls import Authority, tls_daemon

PRIORITY = 2


class Honest:
    """Clients that do as they should: one pushes numbered lines, one asks how many there are. Each push must be taken,
    each question answered rightly."""

    def __init__(self, d, tenant=None, pace=0.02, lines=20):
        self.d, self.pace, self.lines = d, pace, lines
        self.headers = {"X-Scope-OrgID": tenant} if tenant else {}
        self.tenant = tenant
        self.t = now_ns() - 600 * NS
        self.sent = self.acked = self.asked = 0
        self.slowest = 0.0
        self.failed = []
        self.end = threading.Event()
        self.threads = [threading.Thread(target=self.guarded, args=(f,), daemon=True) for f in (self.push, self.ask)]
        for thread in self.threads:
            thread.start()

    def guarded(self, function):
        try:
            while not self.failed and not self.end.wait(self.pace):
                start = time.monotonic()
                function()
                self.slowest = max(self.slowest, time.monotonic() - start)
        except Exception as e:
            self.failed.append("%s: %r" % (function.__name__, e))

    def push(self):
        numbers = range(self.sent, self.sent + self.lines)
        self.sent += self.lines
        body = push_json([({"app": "honest"}, [(self.t + i, "n=%d" % i) for i in numbers])])
        answer = self.d.push_body(body, tenant=self.tenant)
        check(answer.status == 204, "an honest push", answer)
        self.acked += self.lines

    def get(self, path, **params):
        answer = self.d.request("GET", path + "?" + urllib.parse.urlencode(params), headers=self.headers)
        check(answer.status == 200, "an honest query", answer)
        return answer.json()["data"]["result"]

    def ask(self):
        acked = self.acked
        found = self.get("/loki/api/v1/query", query='sum(count_over_time({app="honest"}[1h]))', time=now_ns())
        n = int(float(found[0]["value"][1])) if found else 0
        check(acked <= n <= self.sent, "%d lines were acknowledged, %d sent, %d found" % (acked, self.sent, n))
        self.asked += 1

    def wait(self, pushes):
        """So many more pushes are taken, and a question is answered."""
        acked, asked = self.acked + pushes * self.lines, self.asked + 1
        wait_for(lambda: self.failed or self.acked >= acked and self.asked >= asked, 60, "the honest clients")
        check(not self.failed, "an honest client failed", self.failed)

    def finish(self):
        self.end.set()
        for thread in self.threads:
            thread.join(120 * SLOWER)
        check(not self.failed, "an honest client failed", self.failed)
        found, start = [], self.t
        while start < self.t + self.sent:  # in pages
            end = start + 50000
            result = self.get("/loki/api/v1/query_range", query='{app="honest"}', start=start, end=end, limit=60000,
                              direction="forward")
            found += [int(v[1][2:]) for s in result for v in s["values"]]
            start = end
        check_eq(len(found), self.acked, "lines found")
        check_eq(sorted(found), list(range(self.sent)), "each line once")


class Level:
    """What the daemon holds before the others come."""

    def __init__(self, d):
        self.d = d
        d.request("GET", "/ready")
        self.descriptors, self.memory, self.cpu = self.count(), d.peak_memory(), d.cpu_seconds()

    def count(self):
        return len(os.listdir("/proc/%d/fd" % self.d.process.pid))

    def check(self, ctx, what, megabytes):
        """The others have gone. A sanitizer keeps freed memory for a while: then no bound."""
        d = self.d
        wait_for(lambda: d.metrics()["spoor_http_connections"] <= 4, 30, "the connections to be closed")
        wait_for(lambda: self.count() <= self.descriptors + 20, 30, "the descriptors to be free again")
        grown = d.peak_memory() - self.memory
        check(SANITIZED or grown < megabytes << 20, "memory grew by %d MB" % (grown >> 20))
        ctx.note("%s: peak %d MB, %d more than before; %.1f s of CPU" % (
            what, d.peak_memory() >> 20, grown >> 20, d.cpu_seconds() - self.cpu))


def room_for(n):
    """How many connections can be open, on both sides of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return n if hard == resource.RLIM_INFINITY else min(n, max(hard - 2000, hard // 4))


def connect(port, source=1):
    s = socket.socket()
    s.settimeout(20 * SLOWER)
    s.bind(("127.0.0.%d" % source, 0))
    s.connect(("127.0.0.1", port))
    return s


class Crowd:
    """Sockets, what each has read, and which of them the daemon has ended."""

    def __init__(self):
        self.poll = select.epoll()
        self.open, self.got = {}, {}

    def add(self, s):
        s.setblocking(False)
        self.open[s.fileno()] = s
        self.got[s] = b""
        self.poll.register(s.fileno(), select.EPOLLIN)
        return s

    def say(self, s, data):
        try:
            s.send(data)
        except OSError:  # full, or gone: reading will tell
            pass

    def read(self, seconds=0.0):
        """What has come till now."""
        for fd, _ in self.poll.poll(seconds):
            s = self.open[fd]
            try:
                piece = s.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                piece = b""
            self.got[s] += piece
            if not piece:
                self.poll.unregister(fd)
                del self.open[fd]
                s.close()

    def wait_for_the_end(self, seconds, meanwhile=lambda: None):
        deadline = time.monotonic() + seconds * SLOWER
        while self.open:
            check(time.monotonic() < deadline, "%d connections are still open" % len(self.open))
            meanwhile()
            self.read(0.1)
        self.poll.close()


# ------------------------------------------------------------------ slow and idle

def scenario_idle_connections(ctx):
    n = room_for(10000 if ctx.long else 500)
    d = grpc_daemon(ctx, {"idle_timeout": "40s" if ctx.long else "4s", "header_timeout": "40s" if ctx.long else "4s",
                          "max_connections": str(n + 40), "max_connections_per_address": str(n // 5 + 20)})
    level, honest, crowd = Level(d), Honest(d), Crowd()
    for i in range(n):
        s = connect(d.grpc_port if i % 4 >= 2 else d.port, 2 + i % 5)
        if i % 4 == 1:
            s.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        elif i % 4 == 3:
            s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS))
        crowd.add(s)
    wait_for(lambda: d.metrics()["spoor_http_connections"] >= n, 3, "all to be open at a time")
    honest.wait(20)
    full = d.peak_memory()
    # One more address than before: too many from one, then too many at all.
    more = [crowd.add(connect(d.port, source)) for source in (2, 7) for _ in range(60)]

    def refused(some):
        crowd.read(0.1)
        return any(b" 503 " in crowd.got[s] for s in some)

    wait_for(lambda: refused(more[:60]), 10, "the refusal of one address's connections")
    wait_for(lambda: refused(more[60:]), 10, "the refusal of all that are too many")
    honest.wait(5)
    crowd.wait_for_the_end(120 if ctx.long else 30)
    for s, got in crowd.got.items():
        ok = got == b"" or got.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")) or got[3] == SETTINGS
        check(ok and (b" 503 " not in got or b"\r\nRetry-After: " in got), "what they got", got)
    honest.finish()
    ctx.note("%d idle connections: %.1f KB each" % (n, (full - level.memory) / n / 1000))
    level.check(ctx, "idle", 40 + n * 20 // 1000)


def scenario_slow_loris(ctx):
    """Heads and bodies that come byte by byte. Bodies announced as large take no room from others."""
    n_heads, n_bodies = (1000, 200) if ctx.long else (100, 30)
    d = ctx.daemon({} if ctx.long else {"header_timeout": "2s", "body_timeout": "3s"})
    level, honest, crowd = Level(d), Honest(d), Crowd()
    push = b"POST /loki/api/v1/push HTTP/1.1\r\nHost: localhost\r\n"
    heads = [connect(d.port, 2) for _ in range(n_heads)]
    bodies = [connect(d.port, 3) for _ in range(n_bodies)]
    for s in heads:
        s.sendall(push + b"X-Slow: ")
    for i, s in enumerate(bodies):
        s.sendall(push + b"Content-Type: application/json\r\n" + (
            b"Transfer-Encoding: chunked\r\n\r\n" if i % 4 == 0 else b"Content-Length: 60000000\r\n\r\n"))
    for s in heads + bodies:
        crowd.add(s)

    def drip():
        for s in list(crowd.open.values()):
            crowd.say(s, b"1\r\nx\r\n" if s in chunked else b"x")
    chunked = set(bodies[::4])
    crowd.wait_for_the_end(100 if ctx.long else 30, drip)
    for s, got in crowd.got.items():
        check(got.startswith(b"HTTP/1.1 408"), "the answer to a slow one", got[:200])
    honest.wait(5)
    honest.finish()
    level.check(ctx, "%d slow heads, %d slow bodies" % (n_heads, n_bodies), 60)


def scenario_large_bodies_in_pieces(ctx):
    """More large bodies on the way than memory for them: those that find none get 503 and when to come again."""
    n = 60 if ctx.long else 12
    d = ctx.daemon({"ingest_memory": "32MB", "max_recv_msg_size": "16MB", "body_timeout": "3s"})
    level, crowd = Level(d), Crowd()
    head = b"POST /loki/api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for i in range(n):
        s = connect(d.port)
        s.sendall(head + b"Content-Length: 15000000\r\n\r\n")
        crowd.add(s)
    left = {s: 14000000 for s in crowd.got}

    def feed():
        for s in list(crowd.open.values()):
            try:
                while left[s] > 0:
                    left[s] -= s.send(b" " * min(left[s], 1 << 20))
            except OSError:
                pass
    crowd.wait_for_the_end(60, feed)
    answers = [got.split(b"\r\n")[0] for got in crowd.got.values()]
    for got in crowd.got.values():
        check(not got.startswith(b"HTTP/1.1 503") or b"\r\nRetry-After: " in got, "a 503 without Retry-After", got)
        check(got[:12] in (b"HTTP/1.1 503", b"HTTP/1.1 408", b""), "an answer", got[:200])
    check(any(a.startswith(b"HTTP/1.1 503") for a in answers), "none was refused", answers)
    honest = Honest(d)
    honest.wait(5)
    honest.finish()
    level.check(ctx, "%d bodies of 15 MB" % n, 120)


# ------------------------------------------------------------------ a storm of pushes

class Storm(threading.Thread):
    """Pushes as fast as it can, whatever it is told."""

    def __init__(self, d, who, end):
        super().__init__(daemon=True)
        self.d, self.who, self.end = d, who, end
        self.acked, self.refused, self.failed = [], 0, []
        self.start()

    def run(self):
        pad, number = "s" * 990, 0
        while not self.end.is_set() and not self.failed:
            t = now_ns()
            values = ",".join('["%d","%d %d %s"]' % (t + i, number, i, pad) for i in range(100))
            body = '{"streams":[{"stream":{"app":"storm","who":"%d"},"values":[%s]}]}' % (self.who, values)
            try:
                answer = self.d.push_body(body.encode(), tenant="a")
            except Exception as e:
                self.failed.append(repr(e))
                return
            if answer.status == 204:
                self.acked.append(number)
            elif answer.status == 429 and int(answer.headers.get("Retry-After", 0)) >= 1 and b"rate limit" in answer.body:
                self.refused += 1
            else:
                self.failed.append(repr(answer))
            number += 1


def scenario_push_storm(ctx):
    """Tenant a pushes far above its limit; tenant b, below, does not notice."""
    d = ctx.daemon({"auth_enabled": "true", "ingestion_rate_mb": "1", "ingestion_burst_size_mb": "2",
                    "query_memory": "1GB"})
    level, end = Level(d), threading.Event()
    t = now_ns() - NS
    honest = Honest(d, tenant="b")
    storm = [Storm(d, i, end) for i in range(8)]
    if ctx.long:
        time.sleep(30)
    wait_for(lambda: sum(s.refused for s in storm) > 300 or any(s.failed for s in storm), 60, "refusals")
    honest.wait(20)
    end.set()
    for s in storm:
        s.join()
        check(not s.failed, "a pusher failed", s.failed)
    honest.finish()
    for s in storm:  # acknowledged: there, once; refused: not there at all
        found, start, stop = [], t, now_ns() + NS
        while True:
            answer = d.request("GET", "/loki/api/v1/query_range?" + urllib.parse.urlencode({
                "query": '{app="storm",who="%d"} | regexp "^(?P<n>[0-9]+ [0-9]+) " | line_format "{{.n}}"' % s.who,
                "start": start, "end": stop, "limit": 50000, "direction": "forward"}), headers={"X-Scope-OrgID": "a"})
            check_eq(answer.status, 200, "%r" % answer)
            page = sorted((int(v[0]), v[1]) for r in answer.json()["data"]["result"] for v in r["values"])
            found += [line for _, line in page]
            if len(page) < 50000:
                break
            start = page[-1][0] + 1
        check_eq(sorted(found), sorted("%d %d" % (n, i) for n in s.acked for i in range(100)), "lines of pusher %d" % s.who)
    refused = sum(s.refused for s in storm)
    metrics = d.metrics()
    check_eq(sum(v for k, v in metrics.items() if k.startswith("spoor_discarded_entries_total")
                 and 'reason="rate_limited"' in k), 100 * refused, "refused lines, counted")
    check(not any('tenant="b"' in k and v for k, v in metrics.items() if "discarded" in k), "none of b's")
    ctx.note("%d pushes of 100 KB taken, %d refused; the other tenant: %d lines, slowest request %.2f s" % (
        sum(len(s.acked) for s in storm), refused, honest.acked, honest.slowest))
    level.check(ctx, "storm", 150)


# ------------------------------------------------------------------ HTTP/2

def flood(make, n):
    def run(w):
        for i in range(n):
            if not w.send(make(i)):
                return
    return run


def call(i, more=b"", flags=END_HEADERS):
    return frame(HEADERS, flags, 2 * i + 1, HEAD + more)


MESSAGE = b"\0\0\0\0\0"  # one without content
# What each makes of a connection: the code of the GOAWAY that ends it. NONE: it only had its time.
NONE, PROTOCOL, FLOW, SIZE, HPACK, CALM = 0, 1, 3, 6, 9, 11
ABUSES = {
    "reset at once": (CALM, flood(lambda i: call(i) + frame(RST, 0, 2 * i + 1, b"\0\0\0\x08"), 2000)),
    "reset after a message": (CALM, flood(lambda i: call(i) + frame(DATA, 0, 2 * i + 1, MESSAGE) +
                                           frame(RST, 0, 2 * i + 1, b"\0\0\0\x08"), 2000)),
    "reset when answered": (CALM, flood(lambda i: call(i) + frame(DATA, END_STREAM, 2 * i + 1, MESSAGE) +
                                         frame(RST, 0, 2 * i + 1, b"\0\0\0\x08"), 2000)),
    "a thousand open streams": (PROTOCOL, flood(call, 1000)),
    "pings": (CALM, flood(lambda i: frame(PING, 0, 0, b"12345678"), 3000)),
    "settings": (CALM, flood(lambda i: frame(SETTINGS), 3000)),
    "settings that move all windows": (CALM, flood(lambda i: (b"" if i > 100 else call(i)) +
                                                    frame(SETTINGS, 0, 0, struct.pack(">HI", 4, (i % 2) * 0x7fffffff)), 3000)),
    "priorities": (CALM, flood(lambda i: frame(PRIORITY, 0, 2 * i + 1, struct.pack(">IB", 2 * i + 3, 7)), 5000)),
    "empty data": (CALM, flood(lambda i: call(0) if i == 0 else frame(DATA, 0, 1), 3000)),
    "padded nothing": (CALM, flood(lambda i: call(0) if i == 0 else frame(DATA, 8, 1, b"\x03\0\0\0"), 3000)),
    "a window for one byte": (NONE, flood(lambda i: frame(SETTINGS, 0, 0, b"\0\4\0\0\0\1") if i == 0 else
                                          call(i) + frame(DATA, END_STREAM, 2 * i + 1, MESSAGE), 100)),
    "a window that overflows": (FLOW, flood(lambda i: frame(WINDOW, 0, 0, struct.pack(">I", 0x7fffffff)), 3)),
    "windows in small steps": (NONE, flood(lambda i: frame(WINDOW, 0, 0, struct.pack(">I", 1)) * 100, 300)),
    "empty continuations": (CALM, flood(lambda i: frame(HEADERS, 0, 1, HEAD) if i == 0 else frame(CONTINUATION, 0, 1), 5000)),
    "long continuations": (CALM, flood(lambda i: frame(HEADERS, 0, 1, HEAD) if i == 0 else
                                        frame(CONTINUATION, 0, 1, literal("a", "b" * 100) * 100), 300)),
    "a head that unpacks large": (NONE, flood(lambda i: call(i, b"\x40\x05a-fat\x7f\xbd\x1d" + b"f" * 3900 if i == 0 else
                                                              b"\xbe" * 4000), 50)),
    "a table resized without end": (HPACK, flood(lambda i: call(i, b"").replace(HEAD, b"\x20\x3f\xe1\x1f" * 100 + HEAD), 50)),
    "headers without a name": (NONE, flood(lambda i: call(i, b"\x10\0\0" * 200), 100)),
    "frames of unknown types": (NONE, flood(lambda i: frame(0xfa, 0xff, 0, b"x" * 100), 3000)),
    "a frame over the limit": (SIZE, flood(lambda i: frame(DATA, 0, 1, b"x" * 20000), 1)),
    "messages that never end": (NONE, flood(lambda i: call(i) + frame(DATA, 0, 2 * i + 1, b"\0\0\xff\xff\xff"), 100)),
    "the preface again": (SIZE, flood(lambda i: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 100)),
}


def scenario_http2_abuse(ctx):
    """All of it at once, over and over, while others call and push."""
    rounds = 10 if ctx.long else 1
    d = grpc_daemon(ctx, {"header_timeout": "2s", "body_timeout": "2s", "write_timeout": "2s", "idle_timeout": "3s"})
    client = Client(d)
    level, honest, failed = Level(d), Honest(d), []
    t, sent = now_ns() - 60 * NS, 0

    def abuse(name, want, run):
        try:
            w = Wire(d, timeout=60)
            run(w)
            code = w.goaway()  # reads to the end, which the daemon makes
            check(code == want or code is None and w.broken, "code %s" % code)
        except Exception as e:
            failed.append((name, repr(e)))

    for _ in range(rounds):
        threads = [threading.Thread(target=abuse, args=(name, *how)) for name, how in ABUSES.items()]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            client.call(LOGS, logs("caller", [(t + sent, "call %d" % sent)]))
            sent += 1
            time.sleep(0.01)
        check(not failed, "the end of an abuse", failed)
    lines = d.lines('{service_name="caller"}', t - NS, t + NS)
    check_eq(sorted(lines), sorted("call %d" % i for i in range(sent)), "what the caller sent")
    honest.finish()
    client.channel.close()
    refused = d.metrics()['spoor_http_refused_total{reason="http2"}']
    check(refused >= rounds * sum(code == CALM for code, _ in ABUSES.values()), "connections ended for it, counted", refused)
    level.check(ctx, "%d abuses, %d times; %d calls meanwhile" % (len(ABUSES), rounds, sent), 150)


# ------------------------------------------------------------------ WebSocket

def ws_frame(opcode, payload=b"", fin=True, n=None):
    """Masked with zeros; n: another length than the payload's."""
    n = len(payload) if n is None else n
    head = bytes([opcode | (0x80 if fin else 0)])
    head += bytes([n | 0x80]) if n < 126 else struct.pack(">BH", 0xfe, n) if n < 65536 else struct.pack(">BQ", 0xff, n)
    return head + b"\0\0\0\0" + payload


WS_ABUSES = {
    "garbage": [os.urandom(5000)],
    "HTTP again": [b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50],
    "no mask": [b"\x81\x05hello"],
    "a length without end": [ws_frame(2, b"x" * 1000, n=(1 << 63) - 1)],
    "a length with the top bit": [b"\x82\xff" + b"\xff" * 8 + b"\0\0\0\0" + b"x" * 1000],
    "a long frame": [ws_frame(1, b"x" * 70000)],
    "fragments over the limit": [ws_frame(1, b"x" * 1000, fin=False)] + [ws_frame(0, b"x" * 1000, fin=False)] * 10,
    "a control frame in pieces": [ws_frame(9, b"x", fin=False)],
    "a long control frame": [ws_frame(9, b"x" * 200)],
    "a reserved bit": [b"\xc1\x80\0\0\0\0"],
    "reserved opcodes": [ws_frame(11)],
    "a fragment of nothing": [ws_frame(0, b"x")],
    "a close with half a code": [ws_frame(8, b"\x03")],
    "a close with a wrong code": [ws_frame(8, b"\0\0")],
    "closes": [ws_frame(8, b"\x03\xe8")] * 1000,
    "a close, then more": [ws_frame(8, b"\x03\xe8") + ws_frame(9, b"more") * 1000],
}


def scenario_websocket_abuse(ctx):
    rounds, n_floods, n_storm = (20, 100, 2000) if ctx.long else (2, 6, 60)
    d = ctx.daemon({"max_concurrent_tail_requests": "0", "write_timeout": "3s", "tail_ping_interval": "1s"})
    level, honest, crowd = Level(d), Honest(d), Crowd()
    tail = WebSocket(d, '{app="seen"}', start=now_ns())
    got, pushed = [], 0

    def push():
        nonlocal pushed
        d.push({"app": "seen"}, [(now_ns(), "n=%d" % pushed)])
        pushed += 1

    def read():
        while -1 not in got:
            got.extend(numbers(tail.entries(1)))
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for _ in range(rounds):
        for what, data in WS_ABUSES.items():
            ws = WebSocket(d, '{app="none"}')
            try:
                for piece in data:
                    ws.sock.sendall(piece)
            except OSError:
                pass
            try:
                ws.end()  # by itself, without any more from us
            except ConnectionError:
                pass
            ws.close()
        push()
    # Who floods with pings and does not take the pongs, or sends pieces of nothing, for as long as it may.
    pings, pieces = ws_frame(9, b"p" * 125) * 400, ws_frame(0, b"", fin=False) * 5000
    flooders = []
    for i in range(n_floods):
        ws = WebSocket(d, '{app="none"}')
        if i % 2:
            ws.sock.sendall(ws_frame(1, b"", fin=False))
        ws.sock.setblocking(False)
        flooders.append(ws.sock)
    deadline = time.monotonic() + (10 if ctx.long else 2)
    while time.monotonic() < deadline:
        for i, s in enumerate(flooders):
            try:
                s.send(pieces if i % 2 else pings)
            except OSError:
                pass
        push()
    memory = d.peak_memory()
    for s in flooders:
        crowd.add(s)
    # Tails opened and dropped, some by a reset.
    for i in range(n_storm):
        ws = WebSocket(d, '{app="seen"}')
        if i % 3 == 0:
            ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif i % 3 == 1:
            ws.sock.sendall(ws_frame(8, b"\x03\xe9"))
        ws.close()
        if i % 20 == 0:
            push()
    crowd.wait_for_the_end(60)  # they answer no ping either
    d.push({"app": "seen"}, [(now_ns(), "n=-1")])
    reader.join(30 * SLOWER)
    check_eq(got, list(range(pushed)) + [-1], "what the honest tail saw")
    tail.close()
    wait_for(lambda: d.metrics()["spoor_tails"] == 0, 20, "all tails to end")
    honest.finish()
    ctx.note("%d floods: %d MB more" % (n_floods, (memory - level.memory) >> 20))
    level.check(ctx, "websocket", 100)


# ------------------------------------------------------------------ TLS

def hello(authority):
    """What a client of TLS says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        authority.trust().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def scenario_half_handshakes(ctx):
    n = 500 if ctx.long else 60
    a = Authority(ctx.tmp)
    d = tls_daemon(ctx, a, **({} if ctx.long else {"header_timeout": "2s"}))
    level, honest, crowd = Level(d), Honest(d), Crowd()
    first = hello(a)
    for i in range(n):
        s = connect(d.port, 2 + i % 5)
        s.sendall((b"", first[:1], first[:len(first) // 2], first, first + first)[i % 5])
        crowd.add(s)
    crowd.wait_for_the_end(60)
    honest.wait(5)
    renegotiate(d, a)
    honest.finish()
    level.check(ctx, "%d half handshakes" % n, 60)


def renegotiate(d, authority):
    """TLS 1.2 can be asked for another handshake, TLS 1.3 for other keys: the first is refused, the second cheap."""
    for version, asks in (("-tls1_2", b"R\n"), ("-tls1_3", b"K\n" * 50)):
        with subprocess.Popen(["openssl", "s_client", version, "-connect", "127.0.0.1:%d" % d.port, "-CAfile",
                               authority.path("pem")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as p:
            out = b""
            while b"---\n" not in out or b"Verify return code" not in out:
                piece = os.read(p.stdout.fileno(), 65536)
                check(piece, "a handshake with %s" % version, out)
                out += piece
            for ask in asks.splitlines(True):
                p.stdin.write(ask)
                p.stdin.flush()
                time.sleep(0.02)  # s_client looks at what it reads as a whole
            time.sleep(0.2)
            try:
                p.stdin.write(b"Q\n")
                p.stdin.close()
            except BrokenPipeError:  # the daemon has ended the connection
                pass
            out += p.stdout.read()
            p.wait(20 * SLOWER)
        if version == "-tls1_2":
            check(b"RENEGOTIATING" in out, "s_client asked for it", out[-500:])
            check(b"no renegotiation" in out or b"verify return" not in out.split(b"RENEGOTIATING")[1], "it was done", out[-500:])
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")
