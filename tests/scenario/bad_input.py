"""Whatever a client sends: a clear error, the right status, and the server still serves."""
import gzip
import json
import socket
import threading
import time
import urllib.parse
import zlib

from harness import (NS, SANITIZED, SLOWER, check, check_eq, gzip_bomb, now_ns, pb_bytes, push_json, push_proto, snappy,
                     varint)

PROTO = "application/x-protobuf"


def alive(d, what):
    t = now_ns() - 60 * NS
    check_eq(d.push({"app": "alive"}, [(t, what)], want=None).status, 204, "push after " + what)
    check(what in d.lines('{app="alive"}', t - 60 * NS, t + NS), "query after " + what)


def refused(d, what, statuses, *args, **kw):
    answer = d.push_body(*args, **kw)
    check(answer.status in statuses, "%s: got %r, want one of %s" % (what, answer, statuses))
    check(answer.body.strip(), what + ": the error says something", answer)
    check(len(answer.body) < 5000, what + ": the error is short", len(answer.body))
    return answer


def scenario_broken_bodies(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    good_json = push_json([({"app": "x"}, [(t, "line")])])
    good_proto = snappy(push_proto([('{app="x"}', [(t, "line")])]))
    for i in range(0, len(good_json) - 1, 3):
        refused(d, "JSON cut at %d" % i, (400,), good_json[:i])
    for i in range(0, len(good_proto) - 1, 3):
        refused(d, "protobuf cut at %d" % i, (400,), good_proto[:i], PROTO)
    raw = push_proto([('{app="x"}', [(t, "line")])])
    for i in range(1, len(raw) - 1, 3):
        answer = d.push_body(snappy(raw[:i]), PROTO)
        check(answer.status in (400, 422, 204), "protobuf message cut at %d" % i, answer)
    packed = gzip.compress(good_json)
    for i in (1, 10, len(packed) // 2, len(packed) - 1):
        refused(d, "gzip cut at %d" % i, (400,), packed[:i], encoding="gzip")
    refused(d, "junk after gzip", (400,), packed + b"junk", encoding="gzip")
    refused(d, "not gzip", (400,), good_json, encoding="gzip")
    refused(d, "not deflate", (400,), b"\xff" * 100, encoding="deflate")
    refused(d, "unknown coding", (400,), good_json, encoding="br")
    refused(d, "two codings", (400,), packed, encoding="gzip, gzip")
    refused(d, "JSON as protobuf", (400,), good_json, PROTO)
    refused(d, "protobuf as JSON", (400,), good_proto)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense", "a/b/c d"):
        refused(d, content_type, (400,), good_json, content_type)
    check_eq(d.request("POST", "/loki/api/v1/push", good_json, {"Content-Type": ""}).status, 400, "no content type")
    for body in (b"{}", b'{"streams": []}', b'{"streams": null}'):
        check(d.push_body(body).status in (400, 422), "nothing in it", body)
    for body in (b"[]", b"null", b"7", b'{"streams": 5}', b'{"streams": [5]}', b'{"streams": [{"stream": "x"}]}',
                 b'{"streams": [{"stream": {"a": "b"}, "values": [["x", "y"]]}]}',
                 b'{"streams": [{"stream": {"a": "b"}, "values": [[1, "y"]]}]}',
                 b'{"streams": [{"stream": {"a": "b"}, "values": [["1", 5]]}]}',
                 b'{"streams": [{"stream": {"a": "b"}, "values": [["1", "x", 5]]}]}',
                 b'{"streams": [{"stream": {"a": "b"}, "values": [["99999999999999999999", "x"]]}]}', b"\x00" * 100, b"\xff" * 100):
        check(d.push_body(body).status in (400, 422), "shape of %r" % body, d.push_body(body))
    alive(d, "broken bodies")


def scenario_bombs(ctx):
    settings = {"max_recv_msg_size": "4MB", "max_decompressed_size": "16MB"}
    d = ctx.daemon(settings)
    before = d.peak_memory()
    refused(d, "a body over the limit", (413,), b" " * (5 << 20))
    refused(d, "gzip bomb", (413,), gzip_bomb(400 << 20), encoding="gzip")
    refused(d, "gzip bomb of many members", (413,), gzip.compress(b" " * (1 << 20), 9) * 40, encoding="gzip")
    refused(d, "deflate bomb", (413,), zlib.compress(b" " * (400 << 20), 9), encoding="deflate")
    refused(d, "snappy that claims 4 GiB", (400, 413), varint((1 << 32) - 1) + b"\x00a", PROTO)
    refused(d, "snappy that claims 1 GiB", (400, 413), varint(1 << 30) + b"\x00a", PROTO)
    # copies of one byte: small on the wire, large when unpacked
    bomb = varint(64 * 400000 + 1) + b"\x00a" + b"\xfe\x01\x00" * 400000
    refused(d, "snappy bomb", (413, 400), bomb, PROTO)
    refused(d, "JSON depth bomb", (400,), b'{"streams":' + b"[" * 500000)
    refused(d, "JSON depth bomb in an unknown key", (400,), b'{"x":' + b'{"a":' * 200000 + b"1" + b"}" * 200000 + b"}")
    nested = b""
    for _ in range(5000):
        nested = pb_bytes(1, nested[:60000])
    answer = d.push_body(snappy(nested), PROTO)
    check(answer.status in (204, 400, 422), "protobuf depth", answer)
    if not SANITIZED:
        check(d.peak_memory() - before < 150 << 20, "memory stays bounded", before, d.peak_memory())
    alive(d, "bombs")


def scenario_many_large_bodies(ctx):
    """Bodies at the limit from many connections: 503 rather than memory."""
    d = ctx.daemon({"ingest_memory": "32MB", "max_recv_msg_size": "16MB", "max_line_size": "0", "head_size": "16MB"})
    t = now_ns() - 60 * NS
    statuses, lock = {}, threading.Lock()

    def push(i):
        body = push_json([({"app": "big", "i": str(i)}, [(t + k, "z" * 100000) for k in range(70)])])
        for _ in range(3):
            try:
                status = d.push_body(body).status
            except OSError:
                status = "closed"
            with lock:
                statuses[status] = statuses.get(status, 0) + 1

    threads = [threading.Thread(target=push, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(set(statuses) <= {204, 503, "closed"}, "statuses", statuses)
    if not SANITIZED:
        check(d.peak_memory() < 300 << 20, "memory stays bounded", d.peak_memory())
    alive(d, "large bodies")
    ctx.note("%s, peak %d MB" % (statuses, d.peak_memory() >> 20))


def scenario_odd_labels(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    bad = [{"bad-name": "v"}, {"1a": "v"}, {"": "v"}, {"a b": "v"}, {"a.b": "v"}, {"ü": "v"}, {"a\x00b": "v"},
           {"n" * 1025: "v"}, {"a": "v" * 2049}, {"l%d" % i: "v" for i in range(16)}]
    for labels in bad:
        answer = d.push(labels, [(t, "x")], want=None)
        check_eq(answer.status, 400, "labels %.60r: %r" % (labels, answer))
    for text in ("", "{", "{a=}", "{a=b}", '{a="b"', '{a="b",,}', 'a="b"', '{a=~"b"}', '{a="b",a="c"}', "{" * 10000, '{a="\\xff"}',
                 '{a="' + "v" * 3000 + '"}', '{"a.b"="c"}'):
        answer = d.push_body(snappy(push_proto([(text, [(t, "x")])])), PROTO)
        check(answer.status == 400 or text == "" and answer.status == 204, "labels text %.40r" % text, answer)
    d.push({"app": "ok", "empty": "", "odd": "quote\" back\\ new\nline {}=,", "uni": "日本☃"}, [(t, "kept")])
    d.flush()
    labels = d.entries('{app="ok"}', t, t + 1)[0][2]
    check_eq((labels["odd"], labels["uni"]), ("quote\" back\\ new\nline {}=,", "日本☃"), "odd values come back")
    check("empty" not in labels, "an empty value is no label", labels)
    check_eq(d.lines('{odd="quote\\" back\\\\ new\\nline {}=,"}', t, t + 1), ["kept"], "and can be asked for")
    answer = d.push({"__reserved__": "x"}, [(t, "x")], want=None)
    check(answer.status in (204, 400), "a reserved name", answer)
    alive(d, "odd labels")


def scenario_bytes_that_are_no_text(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    check_eq(d.push_body(snappy(push_proto([('{app="bin"}', [(t, b"a\xff\xfe b"), (t + 1, bytes(range(256)))])])), PROTO).status,
             204, "binary lines")
    for when in ("in memory", "flushed"):
        lines = d.lines('{app="bin"}', t, t + NS)
        check_eq(lines[0], "a\ufffd\ufffd b", when)
        check_eq(len(lines[1]), 256, when + ": each byte is one character")
        d.flush()
    body = push_json([({"app": "json"}, [(t, "@@")])]).replace(b"@@", b"\xff\xfe")
    check(d.push_body(body).status in (204, 400), "invalid UTF-8 in JSON")
    check(d.push_body(push_json([({"app": "json"}, [(t, "@@")])]).replace(b"@@", b"\\ud800 \\udc00")).status in (204, 400),
          "lone surrogates")
    alive(d, "odd bytes")


def scenario_edges_of_time(ctx):
    d = ctx.daemon({"creation_grace_period": "0"})
    edges = [-(1 << 63), -(1 << 63) + 1, -1, 0, 1, (1 << 63) - 2, (1 << 63) - 1]
    for ts in edges:
        answer = d.push({"app": "edge"}, [(ts, "at %d" % ts)], want=None)
        check(answer.status in (204, 400), "timestamp %d" % ts, answer)
    for ts in (1 << 63, -(1 << 63) - 1, 1 << 64, 10 ** 30):
        check_eq(d.push({"app": "edge"}, [(ts, "x")], want=None).status, 400, "timestamp %d" % ts)
    for seconds, nanos in ((1 << 62, 0), (-(1 << 62), 5), (1, 2_000_000_000), (1, -1)):
        entry = pb_bytes(1, b"\x08" + varint(seconds & (1 << 64) - 1) + b"\x10" + varint(nanos & (1 << 64) - 1)) + pb_bytes(2, "x")
        body = pb_bytes(1, pb_bytes(1, '{app="edge"}') + pb_bytes(2, entry))
        check_eq(d.push_body(snappy(body), PROTO).status, 400, "protobuf time %d.%d" % (seconds, nanos))
    for when in ("in memory", "flushed", "restarted"):
        for start, end in ((0, 1), (-(1 << 63), (1 << 63) - 1), ((1 << 63) - 2, (1 << 63) - 1), (-(1 << 63), -(1 << 63) + 1), (5, 1)):
            for query in ('{app="edge"}', 'count_over_time({app="edge"}[1h])'):
                answer = d.query_range(query, start, end, limit=10, want=None)
                check(answer.status in (200, 400), "%s: %s over %d..%d" % (when, query, start, end), answer)
        if when == "in memory":
            d.flush()
        else:
            d.restart()
    alive(d, "edges of time")


def scenario_hostile_queries(ctx):
    d = ctx.daemon({"query_timeout": "2s"})
    t = now_ns() - 60 * NS
    d.push({"app": "q"}, [(t + i, "a" * 3000 + " " * 3000 + "b%d" % i) for i in range(200)])
    d.flush()

    def ask(query, what, statuses, seconds=15):
        start = time.monotonic()
        answer = d.query_range(query, t, t + NS, want=None)
        took = time.monotonic() - start
        check(answer.status in statuses, "%s: got %r, want one of %s" % (what, answer, statuses))
        check(took < seconds * SLOWER, "%s took %.1f s" % (what, took))
        check(answer.status == 200 or len(answer.body) < 10000, what + ": the error is short", len(answer.body))

    ask('{app="q"} |= "%s"' % ("x" * (128 << 10)), "128 KiB of query", (400,))
    ask("(" * 10000 + "1" + ")" * 10000, "10,000 parentheses", (400,))
    ask("(" * 10000, "10,000 open parentheses", (400,))
    ask("-" * 10000 + "1", "10,000 signs", (400,))
    ask("1" + "+1" * 60000, "60,000 additions of numbers", (200, 400))
    ask("vector(1)" + "+vector(1)" * 10000, "10,000 additions", (400,))
    ask("1" + "^1" * 10000, "10,000 powers", (400,))
    ask("{" * 1000, "1,000 braces", (400,))
    ask('{app="q"}' + ' |= "x"' * 10000, "10,000 filters", (400,))
    ask('{%s}' % ",".join('a%d="x"' % i for i in range(2000)), "2,000 matchers", (400,))
    ask('sum(' * 500 + 'rate({app="q"}[1m])' + ")" * 500, "500 sums", (400,))
    ask('{app="q"} |~ "%s"' % ("(" * 2000 + ")" * 2000), "a deep regex", (400,))
    ask('{app="q"} |~ "(a{1000}){1000}"', "a regex that explodes", (400,))
    ask('{app="q"} |~ "((a{0,100}){0,100}){0,100}"', "another", (400,))
    for regex in ("(a+)+$", "(a*)*b$", "(.*)*x", "(a|aa)+$", r"\\s+$", "(a|a?)+x", "(.*a){12}c"):
        ask('{app="q"} |~ "%s"' % regex, "the regex " + regex, (200, 400, 504))
    ask('{app="q"} |~ "(?P<a>"', "half a regex", (400,))
    ask('{app="q"} |= "\\x00\\xff"', "odd bytes in a query", (200, 400))
    ask("", "no query", (400,))
    ask("\x00", "NUL", (400,))
    for params in ("start=1&end=99999999999999999999", "limit=-1", "limit=99999999999999999999", "step=-1s", "step=0", "direction=up",
                   "start=%zz", "start=nan", "end=inf", "step=1e400", "interval=-5s", "since=x", "time=" + "9" * 400):
        answer = d.request("GET", "/loki/api/v1/query_range?query=%7Bapp%3D%22q%22%7D&" + params)
        check(answer.status in (200, 400), "parameters " + params, answer)
    answer = d.query_range('count_over_time({app="q"}[1s])', 0, 10 ** 18, step="1s", want=None)
    check_eq(answer.status, 400, "too many points: %r" % answer)
    for path in ("/loki/api/v1/label/%s/values" % urllib.parse.quote("a\x00\"'--", safe=""),
                 "/loki/api/v1/label/%s/values" % ("x" * 5000), "/loki/api/v1/series?match[]=" + "%7B" * 3000,
                 "/api/v1/traces/%s/logs" % ("f" * 3000), "/api/v1/traces/%00/logs", "/../../etc/passwd", "/%2e%2e/x", "//ready"):
        check(d.request("GET", path).status in (200, 301, 400, 404, 414), "path " + path[:60], d.request("GET", path))
    alive(d, "hostile queries")


def scenario_smuggling(ctx):
    """Each of these can be read in two ways by two servers; the only right answer is 400, and the end of the connection."""
    d = ctx.daemon()
    post = b"POST /loki/api/v1/push HTTP/1.1\r\n"
    host = b"Host: localhost\r\n"
    js = b"Content-Type: application/json\r\n"
    behind = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    cases = {
        "two lengths": post + host + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "a list of lengths": post + host + b"Content-Length: 3, 4\r\n\r\nabcd",
        "signed length": post + host + b"Content-Length: +3\r\n\r\nabc",
        "negative length": post + host + b"Content-Length: -3\r\n\r\nabc",
        "hex length": post + host + b"Content-Length: 0x3\r\n\r\nabc",
        "blank in a length": post + host + b"Content-Length: 3 4\r\n\r\nabc",
        "huge length": post + host + b"Content-Length: 99999999999999999999999\r\n\r\nabc",
        "space before the colon": post + host + b"Content-Length : 3\r\n\r\nabc",
        "length and chunks": post + host + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "unknown coding": post + host + b"Transfer-Encoding: gzip\r\n\r\nabc",
        "chunked twice": post + host + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "chunked, then more": post + host + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "odd chunked": post + host + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "chunk size 0x3": post + host + js + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "chunk size +3": post + host + js + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
        "overlong chunk size": post + host + js + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 40 + b"3\r\nabc\r\n0\r\n\r\n",
        "huge chunk size": post + host + js + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        "chunk without CRLF": post + host + js + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n",
        "bare LF": b"GET /ready HTTP/1.1\nHost: localhost\n\n",
        "bare CR": b"GET /ready HTTP/1.1\rHost: localhost\r\r",
        "folded header": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n c\r\n\r\n",
        "NUL in a value": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX-A: b\x00c\r\n\r\n",
        "no Host": b"GET /ready HTTP/1.1\r\n\r\n",
        "two Hosts": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n",
        "no colon": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
        "empty name": b"GET /ready HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
        "two blanks": b"GET  /ready HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }
    for what, request in cases.items():
        answer = d.raw(request + behind, seconds=5)
        check(answer.startswith(b"HTTP/1.1 400") or answer.startswith(b"HTTP/1.1 413"), what, answer[:300])
        check_eq(answer.count(b"HTTP/1.1 "), 1, what + ": one answer, then the end")
    answer = d.raw(b"GET /ready HTTP/2.5\r\nHost: localhost\r\n\r\n")
    check(answer.startswith(b"HTTP/1.1 505"), "another version", answer[:100])
    check(d.raw(b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 414"), "a long request line")
    many = b"".join(b"X-%d: y\r\n" % i for i in range(200))
    check(d.raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n" + many + b"\r\n").startswith(b"HTTP/1.1 431"), "many headers")
    check(d.raw(b"GET /ready HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 2, False).startswith(b"HTTP/1.1 403"), "DNS rebinding")
    for method in (b"TRACE", b"CONNECT"):
        check(d.raw(method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n", 2, False).startswith(b"HTTP/1.1 501"), "method", method)
    alive(d, "smuggling")


def scenario_slow_and_many_connections(ctx):
    """Half a request, a byte now and then, and many idle connections keep nobody else from being served."""
    import socket
    d = ctx.daemon({"header_timeout": "1s", "max_connections": "200", "max_connections_per_address": "150"})
    idle = []
    try:
        for _ in range(140):
            s = socket.create_connection(("127.0.0.1", d.port), timeout=5)
            s.sendall(b"GET /ready HTTP/1.1\r\nHo")
            idle.append(s)
        check_eq(d.request("GET", "/ready").status, 200, "served beside 140 half requests")
        start, got = time.monotonic(), b""
        try:
            idle[0].settimeout(10 * SLOWER)
            got = idle[0].recv(4096)
        except OSError:
            pass
        check(b"408" in got or got == b"", "the deadline of the headers is absolute", got)
        check(time.monotonic() - start < 8 * SLOWER, "and kept", time.monotonic() - start)
    finally:
        for s in idle:
            s.close()
    alive(d, "slow connections")


def scenario_client_that_leaves(ctx):
    """A query whose client hangs up ends; its worker is free again."""
    import socket
    d = ctx.daemon({"max_concurrent_queries": "1", "query_threads": "1"})
    t = now_ns() - 3600 * NS
    for i in range(20):
        d.push({"app": "slow", "i": str(i % 4)}, [(t + i * NS + k, "a" * 2000) for k in range(500)])
    d.flush()
    query = urllib.parse.quote('{app="slow"} |~ "(a.*){8}b"')
    for _ in range(5):
        s = socket.create_connection(("127.0.0.1", d.port), timeout=5)
        s.sendall(("GET /loki/api/v1/query_range?query=%s&start=%d&end=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
                   % (query, t, t + 3600 * NS)).encode())
        time.sleep(0.05)
        s.close()
    start = time.monotonic()
    check_eq(len(d.lines('{app="slow"}', t, t + 3600 * NS, limit=1)), 1, "the next query")
    took = time.monotonic() - start
    check(took < 3 * SLOWER, "waited %.1f s behind queries that nobody reads" % took)


def scenario_limits(ctx):
    d = ctx.daemon({"ingestion_rate_mb": "1", "ingestion_burst_size_mb": "1", "max_streams_per_user": "5", "max_line_size": "1KB",
                    "max_query_series": "3", "max_entries_limit_per_query": "100"})
    t = now_ns() - 60 * NS
    check_eq(d.push({"app": "x"}, [(t, "a" * 2000)], want=None).status, 400, "a long line")
    for i in range(5):
        d.push({"app": "s%d" % i}, [(t, "x")])
    answer = d.push({"app": "one too many"}, [(t, "x")], want=None)
    check(answer.status == 429 and "maximum active stream limit exceeded" in answer.text, "stream limit", answer)
    check_eq(d.push({"app": "s0"}, [(t + 1, "x")], want=None).status, 204, "existing streams go on")
    statuses = [d.push({"app": "s1"}, [(t + i * 1000 + k, "b" * 1000) for k in range(500)], want=None).status for i in range(6)]
    check(429 in statuses and 204 in statuses, "rate limit", statuses)
    answer = d.query_range('{app=~".+"}', t, t + NS, limit=101, want=None)
    check(answer.status == 400 and "max entries limit per query exceeded" in answer.text, "limit of a query", answer)
    answer = d.query_range('count_over_time({app=~".+"}[1m])', t, t + NS, step="1s", want=None)
    check(answer.status == 400 and "maximum" in answer.text and "series" in answer.text, "series limit", answer)


def scenario_half_closed_push(ctx):
    """A sender that closes its side when it has said all still gets its answer."""
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    for i in range(20):
        body = push_json([({"app": "half"}, [(t + i, "line %d" % i)])])
        with socket.create_connection(("127.0.0.1", d.port), timeout=20 * SLOWER) as s:
            s.sendall(b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                      % len(body) + body)
            s.shutdown(socket.SHUT_WR)
            got = b""
            while piece := s.recv(65536):
                got += piece
        check(got.startswith(b"HTTP/1.1 204"), "an answer", got)
    check_eq(len(d.lines('{app="half"}', t - NS, t + NS)), 20, "lines")
