"""Live tails: over WebSocket, spoken byte by byte, and as server-sent events."""
import base64
import hashlib
import json
import os
import select
import signal
import socket
import struct
import threading
import time
import urllib.parse

from harness import NS, SANITIZED, SLOWER, Skip, check, check_eq, now_ns, push_json, wait_for

LOTS = {"max_concurrent_tail_requests": "0"}
CAT = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__("%d %s" % (status, body))
        self.status, self.headers, self.body = status, headers, body


class Ended(Exception):
    """code None: without a close frame."""

    def __init__(self, code, reason=""):
        super().__init__("%s %s" % (code, reason))
        self.code, self.reason = code, reason


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise Ended(None, data.decode("latin-1"))
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    return int(lines[0].split()[1]), headers, rest


class WebSocket:
    """Just enough of RFC 6455, and all its errors on demand."""

    def __init__(self, d, query, path="/loki/api/v1/tail", headers=None, **params):
        self.sock = socket.create_connection(("127.0.0.1", d.port), timeout=20 * SLOWER)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": "127.0.0.1:%d" % d.port, "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
                  "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits", **(headers or {})}
        target = path + "?" + urllib.parse.urlencode({"query": query, **params})
        self.sock.sendall(("GET %s HTTP/1.1\r\n%s\r\n" % (target, "".join(
            "%s: %s\r\n" % f for f in fields.items() if f[1] is not None))).encode())
        status, answer, self.rest = read_head(self.sock)
        if status != 101:
            self.rest += self.sock.recv(65536) if int(answer.get("content-length", 0)) > len(self.rest) else b""
            self.sock.close()
            raise Refused(status, answer, self.rest.decode())
        want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        check_eq(answer["sec-websocket-accept"], want, "Sec-WebSocket-Accept")
        check("sec-websocket-extensions" not in answer, "an extension was accepted", answer)
        self.pings = 0
        self.fragments = []

    def read(self, n):
        while len(self.rest) < n:
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise Ended(None)
            self.rest += piece
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def frame(self):
        """(opcode, payload)"""
        first, second = self.read(2)
        check_eq(first & 0x70, 0, "reserved bits")
        check_eq(second & 0x80, 0, "mask bit of a server's frame")
        check(first & 0x80, "a fragmented frame")
        n = second & 0x7f
        if n == 126:
            n = struct.unpack(">H", self.read(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.read(8))[0]
        return first & 0x0f, self.read(n)

    def message(self):
        """The next text message, parsed."""
        while True:
            opcode, payload = self.frame()
            if opcode == 1:
                return json.loads(payload)
            if opcode == 9:
                self.pings += 1
                self.send(10, payload)
            elif opcode == 8:
                raise Ended(struct.unpack(">H", payload[:2])[0] if payload else 1005, payload[2:].decode())

    def send(self, opcode, payload=b"", fin=True, mask=True):
        head = bytes([opcode | (0x80 if fin else 0)])
        n = len(payload)
        bit = 0x80 if mask else 0
        head += bytes([n | bit]) if n < 126 else struct.pack(">BH", 126 | bit, n)
        if mask:
            key = os.urandom(4)
            head += key
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.sock.sendall(head + payload)

    def entries(self, n):
        """The next n entries: (ts, line, stream, rest)."""
        found = []
        while len(found) < n:
            found += entries_of(self.message())
        return found

    def end(self):
        """Reads to the end of the tail."""
        try:
            while True:
                self.message()
        except Ended as e:
            return e

    def close(self):
        self.sock.close()


def entries_of(message):
    return [(int(v[0]), v[1], s["stream"], v[2:]) for s in message["streams"] for v in s["values"]]


class Events:
    """A client of server-sent events, chunked or not."""

    def __init__(self, d, query, headers=None, **params):
        self.sock = socket.create_connection(("127.0.0.1", d.port), timeout=20 * SLOWER)
        fields = {"Host": "127.0.0.1:%d" % d.port, "Accept": "text/event-stream", **(headers or {})}
        target = "/api/v1/tail?" + urllib.parse.urlencode({"query": query, **params})
        self.sock.sendall(("GET %s HTTP/1.1\r\n%s\r\n" % (target, "".join(
            "%s: %s\r\n" % f for f in fields.items()))).encode())
        self.status, self.headers, self.raw = read_head(self.sock)
        self.text, self.last_id, self.comments, self.over = b"", None, 0, False

    def more(self):
        while True:
            line, found, rest = self.raw.partition(b"\r\n")
            n = int(line, 16) if found else 0
            if found and len(rest) >= n + 2:
                self.text += rest[:n]
                self.raw = rest[n + 2:]
                if n == 0:
                    raise Ended(None, "end of the stream")
                return
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise Ended(None)
            self.raw += piece

    def event(self):
        """(type, data) of the next event that has data."""
        while True:
            while b"\n\n" not in self.text:
                self.more()
            block, _, self.text = self.text.partition(b"\n\n")
            kind, data = "message", None
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif line.startswith(":"):
                    self.comments += 1
            if data is not None:
                return kind, json.loads(data)

    def entries(self, n):
        found = []
        while len(found) < n:
            kind, data = self.event()
            check_eq(kind, "message", "event type: %s" % data)
            found += entries_of(data)
        return found

    def wait_for_id(self):
        while self.last_id is None:
            block_end = self.text.find(b"\n\n")
            if block_end < 0:
                self.more()
                continue
            block, self.text = self.text[:block_end], self.text[block_end + 2:]
            for line in block.decode().split("\n"):
                if line.startswith("id: "):
                    self.last_id = line[4:]

    def close(self):
        self.sock.close()


def push_numbers(d, first, n, labels=None, at=None, batch=500):
    """Lines n=first.., in pushes of `batch`; returns their times."""
    at = at or now_ns()
    for i in range(first, first + n, batch):
        d.push(labels or {"app": "t"}, [(at + k, "n=%d" % k) for k in range(i, min(i + batch, first + n))])
    return at


def numbers(entries):
    return [int(e[1].split("=")[1]) for e in entries]


# ------------------------------------------------------------------ WebSocket

def scenario_catch_up_and_live(ctx):
    """10,000 lines while the tail begins in their middle: none is missing, none comes twice."""
    d = ctx.daemon(LOTS)
    at = push_numbers(d, 0, 1000)
    pusher = threading.Thread(target=push_numbers, args=(d, 1000, 9000, None, at, 250))
    pusher.start()
    ws = WebSocket(d, '{app="t"}', limit=10000)
    events = Events(d, '{app="t"}', limit=10000)
    got, other = numbers(ws.entries(10000)), numbers(events.entries(10000))
    pusher.join()
    check_eq(sorted(got), list(range(10000)), "numbers over WebSocket")
    check_eq(sorted(other), list(range(10000)), "numbers over server-sent events")
    d.push({"app": "other"}, [(now_ns(), "n=-1")])
    d.push({"app": "t"}, [(now_ns(), "n=10000")])
    check_eq(numbers(ws.entries(1)), [10000], "the next line")


def scenario_newest_of_the_replay(ctx):
    d = ctx.daemon(LOTS)
    push_numbers(d, 0, 50)
    ws = WebSocket(d, '{app="t"}', limit=7)
    check_eq(numbers(ws.entries(7)), list(range(43, 50)), "the newest, ascending")
    d.flush()
    start = now_ns()
    ws = WebSocket(d, '{app="t"}', start=start)
    push_numbers(d, 50, 3, at=start + 1)
    check_eq(numbers(ws.entries(3)), [50, 51, 52], "nothing is replayed before start")


def scenario_pipeline(ctx):
    d = ctx.daemon(LOTS)
    query = '{app="t"} | json | level="warn" | line_format "{{.msg}}!" | label_format who=user'
    ws = WebSocket(d, query)
    line = '{"level":"warn","msg":"low","user":"ann"}'
    t = now_ns()
    d.push({"app": "t"}, [(t, '{"level":"info","msg":"no"}'), (t + 1, line, {"trace_id": "abc"})])
    (ts, text, stream, rest), = ws.entries(1)
    check_eq((ts, text, rest), (t + 1, "low!", []), "entry")
    check_eq(stream["who"], "ann", "label made by the pipeline")
    check_eq(stream["trace_id"], "abc", "structured metadata")
    # The replay shows the very same.
    again = WebSocket(d, query).entries(1)[0]
    check_eq(again, (ts, text, stream, rest), "replayed entry")


def scenario_categorize(ctx):
    d = ctx.daemon(LOTS)
    ws = WebSocket(d, '{app="t"} | logfmt', headers=CAT)
    d.push({"app": "t"}, [(now_ns(), "level=info a=b", {"tid": "1"})])
    message = ws.message()
    check_eq(list(message), ["streams", "encodingFlags"], "keys")
    check_eq(message["encodingFlags"], ["categorize-labels"], "encodingFlags")
    rest = message["streams"][0]["values"][0][2]
    check_eq(rest["structuredMetadata"]["tid"], "1", "structured metadata")
    check_eq(rest["parsed"]["a"], "b", "parsed")
    replayed = WebSocket(d, '{app="t"} | logfmt', headers=CAT).message()
    check_eq(replayed, message, "replayed message")


def scenario_metadata_without_flags(ctx):
    d = ctx.daemon(LOTS)
    ws = WebSocket(d, '{app="t"}')
    d.push({"app": "t"}, [(now_ns(), "level=info hist", {"tid": "1"})])
    (_, _, stream, rest), = ws.entries(1)
    check_eq((stream["tid"], stream["detected_level"], rest), ("1", "info", []), "live labels")


def scenario_delay(ctx):
    """With a delay, lines that come in the wrong order are put right."""
    d = ctx.daemon(LOTS)
    ws = WebSocket(d, '{app="t"}', delay_for=2, start=now_ns())
    wait_for(lambda: d.metrics().get("spoor_tails") == 1, 10, "the tail")
    time.sleep(0.3)
    t = now_ns()
    for i in (3, 1, 2):
        d.push({"app": "t"}, [(t + i, "n=%d" % i)])
    began = time.monotonic()
    check_eq(numbers(ws.entries(3)), [1, 2, 3], "order")
    check(time.monotonic() - began >= 1, "the delay was not kept")
    for value, text in (("6", "delay_for can't be greater than 5"), ("x", "strconv.Atoi")):
        answer = d.get("/loki/api/v1/tail", query='{app="t"}', delay_for=value)
        check(answer.status == 400 and text in answer.text, "delay_for=%s: %r" % (value, answer))


def scenario_legacy(ctx):
    d = ctx.daemon(LOTS)
    ws = WebSocket(d, '{app="t"}', path="/api/prom/tail", regexp="le+g")
    t = now_ns()
    d.push({"app": "t"}, [(t, "no"), (t + 1, 'x "leg"')])
    message = ws.message()
    check_eq(message["dropped_entries"], None, "dropped_entries")
    check('app="t"' in message["streams"][0]["labels"], "labels", message)
    check_eq(message["streams"][0]["entries"][0]["line"], 'x "leg"', "line")


def scenario_refusals(ctx):
    d = ctx.daemon({"max_concurrent_tail_requests": "2"})
    plain = d.get("/loki/api/v1/tail", query='{app="t"}')
    check_eq((plain.status, plain.text, plain.headers["Sec-Websocket-Version"]), (400, "Bad Request\n", "13"),
             "no upgrade")
    plain = d.get("/loki/api/v1/tail", query="{app=", limit=0)
    check_eq((plain.status, plain.text),
             (400, "parse error at line 1, col 6: syntax error: unexpected $end, expecting STRING"),
             "a query that does not parse, without upgrade")
    for params, text in (({"query": "{app="}, "parse error"), ({"query": '{a="b"}', "limit": 0}, "limit must be a positive value"),
                         ({"query": '{a="b"}', "start": "x"}, "parsing")):
        try:
            WebSocket(d, params.pop("query"), **params)
            check(False, "not refused: %s" % text)
        except Refused as e:
            check(e.status == 400 and text in e.body, "status and text", e)
    for bad in ({"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"}, {"Upgrade": "h2c"}, {"Connection": "close"}):
        try:
            WebSocket(d, '{a="b"}', headers=bad)
            check(False, "not refused: %s" % bad)
        except Refused as e:
            check_eq(e.status, 400, "status of %s" % bad)
    end = WebSocket(d, 'count_over_time({a="b"}[1m])').end()
    check_eq((end.code, end.reason), (1011, "only log selector is supported"), "a metric query")
    end = WebSocket(d, '{a="b"}', start=now_ns() + 3600 * NS).end()
    check_eq((end.code, end.reason),
             (1011, "this data is no longer available, it is past now - max_query_lookback (0s)"), "start in the future")
    a, b = WebSocket(d, '{a="b"}'), WebSocket(d, '{a="c"}')
    try:
        WebSocket(d, '{a="b"}')
        check(False, "not refused: a third tail")
    except Refused as e:
        check_eq((e.status, e.body), (400, "max concurrent tail requests limit exceeded, count > limit (3 > 2)"),
                 "a third tail")
    a.close()
    wait_for(lambda: d.metrics().get("spoor_tails") == 1, 10, "a closed tail to be forgotten")
    WebSocket(d, '{a="b"}').close()
    b.close()
    events = d.get("/api/v1/tail", query='count_over_time({a="b"}[1m])')
    check_eq((events.status, events.text), (400, "only log selector is supported"), "events of a metric query")
    check_eq(d.get("/api/v1/tail", query='{a="b"}', cursor="1-2-x").status, 400, "a broken cursor")


def scenario_origins(ctx):
    d = ctx.daemon({**LOTS, "allowed_origins": "https://ok.example"})
    foreign = {"Origin": "https://evil.example"}
    for open_tail in (WebSocket, Events):
        try:
            status = open_tail(d, '{a="b"}', headers=foreign)
            check(getattr(status, "status", None) == 403, "a foreign page was served")
        except Refused as e:
            check_eq(e.status, 403, "status for a foreign page")
    for fine in ({"Origin": "http://127.0.0.1:%d" % d.port}, {"Origin": "https://ok.example"}, {},
                 {**foreign, "X-Scope-OrgID": "fake"}, {**foreign, "X-Grafana-Id": "1"}):
        WebSocket(d, '{a="b"}', headers=fine).close()


def scenario_tenants(ctx):
    d = ctx.daemon({**LOTS, "auth_enabled": "true"})
    for tenant, status, text in ((None, 401, "no org id\n"), ("a|b", 400, "multiple org IDs present")):
        try:
            WebSocket(d, '{app="t"}', headers={"X-Scope-OrgID": tenant})
            check(False, "not refused")
        except Refused as e:
            check_eq((e.status, e.body), (status, text), "tenant %s" % tenant)
    ws = WebSocket(d, '{app="t"}', headers={"X-Scope-OrgID": "one"})
    for tenant in ("two", "one"):
        body = push_json([({"app": "t"}, [(now_ns(), "of " + tenant)])])
        check_eq(d.push_body(body, tenant=tenant).status, 204, "push")
    check_eq(ws.entries(1)[0][1], "of one", "the own line, and only that")


def scenario_frames_of_the_client(ctx):
    d = ctx.daemon({**LOTS, "tail_ping_interval": "1s"})
    ws = WebSocket(d, '{app="t"}')
    ws.send(9, b"hello")
    check_eq(ws.frame(), (10, b"hello"), "pong")
    ws.send(1, b"frag", fin=False)
    ws.send(0, b"mented", fin=False)
    ws.send(9, b"between")
    ws.send(0, b"!")
    check_eq(ws.frame(), (10, b"between"), "pong among fragments")
    ws.send(1, b"x" * 4096)
    d.push({"app": "t"}, [(now_ns(), "n=1")])
    check_eq(numbers(ws.entries(1)), [1], "the tail goes on")
    while ws.pings == 0:
        try:
            d.push({"app": "t"}, [(now_ns(), "n=2")])
            ws.message()
        except socket.timeout:
            check(False, "no ping came")
    ws.send(8, struct.pack(">H", 1000) + b"bye")
    check_eq(ws.end().code, 1000, "the echo of a close")

    def ends_with(code, what, *frames):
        w = WebSocket(d, '{app="none"}')
        for f in frames:
            w.send(*f[0], **f[1])
        check_eq(w.end().code, code, what)
    ends_with(1009, "a frame of 4097 bytes", ((1, b"x" * 4097), {}))
    ends_with(1009, "a message of two halves", ((1, b"x" * 3000), {"fin": False}), ((0, b"x" * 3000), {}))
    ends_with(1002, "an unmasked frame", ((1, b"x"), {"mask": False}))
    ends_with(1002, "an unknown opcode", ((3, b"x"), {}))
    ends_with(1002, "a fragmented ping", ((9, b"x"), {"fin": False}))


def scenario_silent_client(ctx):
    """Who answers no ping is gone after three."""
    d = ctx.daemon({**LOTS, "tail_ping_interval": "500ms"})
    ws = WebSocket(d, '{app="t"}')
    wait_for(lambda: d.metrics().get("spoor_tails") == 0, 20, "the silent client to be given up")
    ws.close()


def scenario_max_duration(ctx):
    d = ctx.daemon({**LOTS, "tail_max_duration": "1s"})
    end = WebSocket(d, '{app="t"}').end()
    check_eq((end.code, end.reason), (1000, "reached tail max duration limit"), "the end")
    events = Events(d, '{app="t"}')
    try:
        events.event()
        check(False, "an event came")
    except Ended as e:
        check_eq(e.reason, "end of the stream", "end of the events")


def scenario_shutdown(ctx):
    d = ctx.daemon(LOTS)
    ws, events, dead = WebSocket(d, '{app="t"}'), Events(d, '{app="t"}'), WebSocket(d, '{app="t"}')
    events.wait_for_id()
    d.process.send_signal(signal.SIGTERM)
    end = ws.end()
    check_eq(end.code, 1001, "close code at shutdown")
    try:
        events.event()
    except Ended as e:
        check_eq(e.reason, "end of the stream", "end of the events")
    check_eq(d.process.wait(20 * SLOWER), 0, "exit code")
    d.process = None
    dead.close()


def scenario_killed_server(ctx):
    d = ctx.daemon(LOTS)
    ws = WebSocket(d, '{app="t"}')
    events = Events(d, '{app="t"}')
    push_numbers(d, 0, 10)
    ws.entries(10)
    check_eq(numbers(events.entries(10)), list(range(10)), "before the kill")
    d.kill()
    end = ws.end()
    check_eq(end.code, None, "end of a killed server's tail")
    d.start()
    push_numbers(d, 10, 5)
    again = Events(d, '{app="t"}', headers={"Last-Event-ID": events.last_id})
    got = set()
    while not got >= set(range(10, 15)):
        got |= set(numbers(again.entries(1)))


# ------------------------------------------------------------------ slow clients

def scenario_slow_client(ctx):
    """A client that does not read misses lines, is told which, and disturbs nobody."""
    d = ctx.daemon({**LOTS, "tail_queue_size": "2MB"})
    slow = WebSocket(d, '{app="t"}', start=now_ns())
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    fast = WebSocket(d, '{app="t"}', start=now_ns())
    wait_for(lambda: d.metrics().get("spoor_tails") == 2, 10, "both tails")
    got, total, pad = [], 20000, "x" * 1000

    def read():
        while len(got) < total:
            got.extend(int(e[1].split()[0]) for e in fast.entries(1))
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    at = now_ns()
    for i in range(0, total, 200):
        d.push({"app": "t"}, [(at + k, "%d %s" % (k, pad)) for k in range(i, i + 200)])
        wait_for(lambda: len(got) + 400 >= i, 30, "the one that reads (%d of %d)" % (len(got), i))
    reader.join(60 * SLOWER)
    check_eq(got, list(range(total)), "lines of the one that reads")
    seen, dropped = [], []
    while not seen or seen[-1] != total - 1:
        message = slow.message()
        check("streams" in message and message["streams"], "dropped entries come with others", message)
        seen += [int(e[1].split()[0]) for e in entries_of(message)]
        dropped += [int(x["timestamp"]) - at for x in message.get("dropped_entries", [])]
        if dropped and "dropped_entries" in message:
            check_eq(message["dropped_entries"][0]["labels"]["app"], "t", "labels of a dropped entry")
    check(len(seen) < total, "nothing was dropped")
    check(0 < len(dropped) <= 1100, "%d dropped entries reported" % len(dropped))
    check(not set(seen) & set(dropped), "an entry was both sent and reported as dropped")
    check_eq(seen, sorted(set(seen)), "order of what was sent")
    ctx.note("%d sent, %d reported as dropped" % (len(seen), len(dropped)))


def scenario_write_deadline(ctx):
    d = ctx.daemon({**LOTS, "write_timeout": "1s"})
    slow = WebSocket(d, '{app="t"}', start=now_ns())
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    at = now_ns()
    for i in range(40):
        d.push({"app": "t"}, [(at + i * 200 + k, "y" * 2000) for k in range(200)])
    wait_for(lambda: d.metrics().get("spoor_tails") == 0, 30, "the stuck client to be closed")
    slow.close()


# ------------------------------------------------------------------ server-sent events

def scenario_events(ctx):
    d = ctx.daemon({**LOTS, "tail_ping_interval": "600ms"})
    events = Events(d, '{app="t"} | logfmt', categorize="true")
    check_eq(events.status, 200, "status")
    check_eq(events.headers["content-type"], "text/event-stream", "Content-Type")
    check_eq(events.headers["cache-control"], "no-store", "Cache-Control")
    check_eq(events.headers["x-accel-buffering"], "no", "X-Accel-Buffering")
    events.wait_for_id()
    d.push({"app": "t"}, [(now_ns(), "a=1\nb", {"m": "n"})])
    kind, data = events.event()
    check_eq((kind, data["encodingFlags"]), ("message", ["categorize-labels"]), "flags")
    check_eq(data["streams"][0]["values"][0][1], "a=1\nb", "line")
    while events.comments == 0:
        events.more()
        events.comments += events.text.count(b": \n")


def scenario_resume(ctx):
    """A connection cut at any place goes on where it was, also when late lines come meanwhile."""
    d = ctx.daemon(LOTS)
    at = push_numbers(d, 0, 300)
    late = at - 3000 * NS
    got, last_id, pushed = [], None, 300
    for turn in range(8):
        events = Events(d, '{app="t"}', limit=1000, **({"cursor": last_id} if turn % 2 else {}),
                        headers={"Last-Event-ID": last_id} if last_id and turn % 2 == 0 else {})
        if turn == 0:  # a cut in the replay is another matter: what is sent again then, is tested below
            got += numbers(events.entries(300))
        # Lines in time and late ones, before and after the cut.
        d.push({"app": "t"}, [(at + pushed + k, "n=%d" % (pushed + k)) for k in range(250)])
        d.push({"app": "t"}, [(late + pushed + k, "n=%d" % (pushed + k)) for k in range(250, 300)])
        pushed += 300
        got += numbers(events.entries(150))
        last_id = events.last_id
        events.close()
        d.push({"app": "t"}, [(late - pushed - k, "n=%d" % (pushed + k)) for k in range(60)])
        pushed += 60
    events = Events(d, '{app="t"}', cursor=last_id)
    while len(set(got)) < pushed:
        got += numbers(events.entries(1))
    check_eq(sorted(set(got)), list(range(pushed)), "all numbers")
    check_eq(len(got), pushed, "entries sent (none twice)")


def scenario_resume_in_the_replay(ctx):
    """Cut while older lines are sent: they may overlap, but none is lost."""
    d = ctx.daemon(LOTS)
    push_numbers(d, 0, 2000)
    events = Events(d, '{app="t"}', limit=2000)
    got = numbers(events.entries(300))
    events.close()
    d.push({"app": "t"}, [(now_ns() - 3000 * NS, "n=2000")])
    events = Events(d, '{app="t"}', cursor=events.last_id)
    while len(set(got)) < 2001:
        got += numbers(events.entries(1))
    check_eq(sorted(set(got)), list(range(2001)), "all numbers")
    check(len(got) < 2100, "%d entries sent for 2001" % len(got))


def scenario_idle_resume(ctx):
    """A cut before the first line loses nothing either."""
    d = ctx.daemon(LOTS)
    events = Events(d, '{app="t"}')
    events.wait_for_id()
    events.close()
    push_numbers(d, 0, 1500)
    again = Events(d, '{app="t"}', limit=10, headers={"Last-Event-ID": events.last_id})
    check_eq(numbers(again.entries(1500)), list(range(1500)), "what came meanwhile, beyond the limit")


def scenario_resume_after_restart(ctx):
    """Without the server's memory what is not older than the cursor is read again, page by page."""
    d = ctx.daemon(LOTS)
    at = push_numbers(d, 0, 20)
    events = Events(d, '{app="t"}')
    check_eq(numbers(events.entries(20)), list(range(20)), "first part")
    d.restart()
    push_numbers(d, 20, 3500, at=at)
    again = Events(d, '{app="t"}', headers={"Last-Event-ID": events.last_id})
    got = []
    while not set(got) >= set(range(20, 3520)):
        got += numbers(again.entries(1))
    check_eq(len(got), len(set(got)), "no entry twice on one connection")
    check_eq(got, sorted(got), "order of time")


def scenario_refused_streams_are_not_shown(ctx):
    d = ctx.daemon({**LOTS, "max_streams_per_user": "1", "max_line_size": "100"})
    ws = WebSocket(d, '{app=~".+"}')
    body = push_json([({"app": "a"}, [(now_ns(), "n=1"), (now_ns(), "x" * 200)]), ({"app": "b"}, [(now_ns(), "n=2")])])
    check_eq(d.push_body(body).status, 429, "push over the stream limit")
    d.push({"app": "a"}, [(now_ns(), "n=3")])
    check_eq(numbers(ws.entries(2)), [1, 3], "only what was stored")


def scenario_websockets_package(ctx):
    try:
        from websockets.sync.client import connect  # newer than 10.4
        import websockets  # noqa: F401
    except ImportError:
        try:
            import asyncio
            import websockets
        except ImportError:
            raise Skip("python3-websockets is not installed")
        connect = None
    d = ctx.daemon(LOTS)
    push_numbers(d, 0, 5)
    url = "ws://127.0.0.1:%d/loki/api/v1/tail?%s" % (d.port, urllib.parse.urlencode({"query": '{app="t"}'}))
    if connect is not None:
        with connect(url) as ws:
            check_eq(numbers(entries_of(json.loads(ws.recv(timeout=20)))), list(range(5)), "numbers")
        return

    async def run():
        async with websockets.connect(url) as ws:
            return json.loads(await asyncio.wait_for(ws.recv(), 20))
    check_eq(numbers(entries_of(asyncio.run(run()))), list(range(5)), "numbers")


# ------------------------------------------------------------------ many

def scenario_many_tails(ctx):
    """Tails of a few distinct queries, one in twenty of which never reads; --long: 2,000 of them."""
    n = 2000 if ctx.long else 200
    d = ctx.daemon({**LOTS, "max_connections_per_address": "10000", "write_timeout": "60s"})
    start = now_ns()
    tails = []
    for i in range(n):
        tails.append(WebSocket(d, '{app="t"} |~ "%d$"' % (i % 10) if i % 2 else '{app="t"}', start=start))
    wait_for(lambda: d.metrics().get("spoor_tails") == n, 60, "all tails")
    mute = set(range(0, n, 20))
    idle = d.peak_memory()
    total, pad = 4000, "z" * 200
    counts = [0] * n
    want = [total // 10 if i % 2 else total for i in range(n)]
    poll = select.epoll()
    by_fd = {}
    for i, t in enumerate(tails):
        t.sock.setblocking(False)
        if i not in mute:
            poll.register(t.sock.fileno(), select.EPOLLIN)
            by_fd[t.sock.fileno()] = i
    buffers = [bytearray(t.rest) for t in tails]

    def take(i):
        try:
            piece = tails[i].sock.recv(1 << 20)
        except BlockingIOError:
            return
        check(piece, "a reading client was cut off")
        counts[i] += piece.count(b'"values":[[')  # a frame's head may cut it in two: corrected below
        tail_bytes = bytes(buffers[i][-20:]) + piece[:20]
        counts[i] += tail_bytes.count(b'"values":[[') - buffers[i][-20:].count(b'"values":[[') - piece[:20].count(b'"values":[[')
        buffers[i] = bytearray((bytes(buffers[i]) + piece)[-20:])

    def push():
        at = now_ns()
        for i in range(0, total, 100):
            d.push({"app": "t"}, [(at + k, "%s n=%d" % (pad, k)) for k in range(i, i + 100)])
    pusher = threading.Thread(target=push)
    pusher.start()
    deadline = time.monotonic() + 120 * SLOWER
    left = len(by_fd)
    done = [False] * n
    while left > 0 and time.monotonic() < deadline:
        for fd, _ in poll.poll(1):
            i = by_fd[fd]
            take(i)
            if not done[i] and counts[i] >= want[i]:
                done[i] = True
                left -= 1
    pusher.join()
    short = [(i, counts[i], want[i]) for i in by_fd.values() if counts[i] != want[i]]
    check(not short, "%d reading clients missed or repeated lines" % len(short), short[:5])
    ctx.note("%d tails: %d MB, after %d lines %d MB; %d never read; %.1f s of CPU" % (
        n, idle >> 20, total, d.peak_memory() >> 20, len(mute), d.cpu_seconds()))
    check(SANITIZED or d.peak_memory() < (150 << 20) + n * 150000, "memory", d.peak_memory())
    for t in tails:
        t.close()
    wait_for(lambda: d.metrics().get("spoor_tails") == 0, 30, "all tails to end")
