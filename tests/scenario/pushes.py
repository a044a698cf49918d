"""What agents send, in every coding, comes back as it was sent."""
import gzip
import json
import zlib

from harness import NS, check, check_eq, now_ns, push_json, push_proto, snappy

ODD_LINES = ["", " ", "plain", "tab\tand \"quotes\" and \\ back", "ünïcödé ☃ 日本", "<b>&amp;</b>\u2028\u2029", "nul\x00byte",
             "\x1b[31mred\x1b[0m", "a\nb\r\nc", "x" * 10000]


def raw_deflate(body):
    c = zlib.compressobj(wbits=-15)
    return c.compress(body) + c.flush()


def streams_of(name, t):
    return [({"app": name, "env": "test"}, [(t + i, line) for i, line in enumerate(ODD_LINES)])]


def proto_of(name, t):
    return push_proto([('{app="%s", env="test"}' % name, [(t + i, line) for i, line in enumerate(ODD_LINES)])])


def scenario_codings(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    pushes = {
        "json": (push_json, "application/json", None, bytes),
        "charset": (push_json, "application/json; charset=utf-8", None, bytes),
        "gzip": (push_json, "application/json", "gzip", gzip.compress),
        "gzip-members": (push_json, "application/json", "gzip",
                         lambda b: gzip.compress(b[:50]) + gzip.compress(b[50:])),
        "deflate-raw": (push_json, "application/json", "deflate", raw_deflate),
        "deflate-zlib": (push_json, "application/json", "deflate", zlib.compress),
        "proto": (None, "application/x-protobuf", None, snappy),
        "proto-named": (None, "application/x-protobuf", "snappy", snappy),
        "proto-gzip": (None, "application/x-protobuf", "gzip", lambda b: gzip.compress(snappy(b))),
    }
    for name, (encode, content_type, encoding, compress) in pushes.items():
        body = encode(streams_of(name, t)) if encode else proto_of(name, t)
        answer = d.push_body(compress(body), content_type, encoding)
        check(answer.status == 204 and answer.body == b"", "push as %s" % name, answer)
    for when in ("in memory", "flushed", "restarted"):
        for name in pushes:
            got = d.entries('{app="%s"}' % name, t, t + NS)
            check_eq([(ts, line) for ts, line, _ in got], [(t + i, line) for i, line in enumerate(ODD_LINES)],
                     "%s, %s" % (name, when))
            check_eq(got[0][2]["service_name"], name, "service_name")
        if when == "in memory":
            d.flush()
        elif when == "flushed":
            d.restart()


def scenario_chunked(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    body = push_json(streams_of("chunked", t))
    head = (b"POST /loki/api/v1/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    for size in (1, 7, 4096):
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + size]), body[i:i + size]) for i in range(0, len(body), size))
        answer = d.raw(head + chunks + b"0\r\n\r\n")
        check(answer.startswith(b"HTTP/1.1 204"), "chunked push in pieces of %d" % size, answer)
    check_eq(d.lines('{app="chunked"}', t, t + NS), ODD_LINES, "lines pushed three times, kept once")


def scenario_metadata(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    d.push({"app": "m"}, [(t, "one", {"trace_id": "0af7651916cd43dd8448eb211c80319c", "user": "ann"}), (t + 1, "two"),
                          (t + 2, "one", {"user": "bob"})])
    answer = d.push_body(snappy(push_proto([('{app="p"}', [(t, "one", {"user": "eve"})])])), "application/x-protobuf")
    check_eq(answer.status, 204, "protobuf with metadata")
    for _ in range(2):
        check_eq(d.lines('{app="m"} | user="ann"', t, t + NS), ["one"], "filter on metadata")
        check_eq(d.lines('{app="m"} | user!="ann"', t, t + NS), ["two", "one"], "negated filter")
        check_eq(d.lines('{app="p"} | user="eve"', t, t + NS), ["one"], "metadata out of protobuf")
        labels = d.entries('{app="m"}', t, t + 1)[0][2]
        check_eq(labels["trace_id"], "0af7651916cd43dd8448eb211c80319c", "metadata among the labels")
        d.flush()


def scenario_legacy(ctx):
    d = ctx.daemon()
    body = {"streams": [{"labels": '{app="old"}', "entries": [{"ts": "2026-01-15T10:00:00.5Z", "line": "was new once"}]}]}
    check_eq(d.push_body(json.dumps(body).encode(), path="/api/prom/push").status, 204, "the old path")
    check_eq(d.entries('{app="old"}', 1768471200 * NS, 1768471201 * NS)[0][:2], (1768471200 * NS + NS // 2, "was new once"),
             "entry")


def scenario_plain_json(ctx):
    """curl --data-binary @app.log"""
    d = ctx.daemon()
    t = now_ns() // NS * NS - 60 * NS
    lines = ['{"ts": %d, "level": "info", "service": "a", "msg": "seconds"}' % (t // NS),
             '{"time": %d, "level": "error", "service": "a", "msg": "ns"}' % (t + 5),
             '{"timestamp": "%s", "level": "info", "service": "b", "msg": "text"}' % iso(t),
             '{"@timestamp": "%s", "level": "warn", "service": "b", "nested": {"k": "v"}}' % iso(t)]
    answer = d.push_body("\n".join(lines).encode() + b"\n", "application/x-www-form-urlencoded",
                         path="/api/v1/ingest?labels=service,level")
    check_eq(answer.status, 204, "NDJSON")
    check_eq(sorted(d.lines('{service="a"}', t - NS, t + 2 * NS)), sorted(lines[:2]), "lines of a")
    check_eq(d.entries('{service="a", level="error"}', t - NS, t + 2 * NS)[0][0], t + 5, "timestamp in ns")
    check_eq(sorted(d.lines('{service="b"}', t - NS, t + 2 * NS)), sorted(lines[2:]), "lines of b")


def iso(ns):
    import datetime
    return datetime.datetime.fromtimestamp(ns // NS, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def scenario_partial(ctx):
    """The good entries of a push are kept when others are refused."""
    d = ctx.daemon({"reject_old_samples": "true"})
    t = now_ns() - 60 * NS
    answer = d.push({"app": "x"}, [(t, "good"), (t - 20 * 86400 * NS, "too old"), (t + 7200 * NS, "too new")], want=400)
    check("too old" in answer.text and "too new" in answer.text, "reasons in the answer", answer)
    check_eq(d.lines('{app="x"}', t - 30 * 86400 * NS, t + 9000 * NS), ["good"], "what was kept")
    check(d.metric_sum("spoor_discarded_entries_total") == 2, "refused entries are counted", d.metrics())


def scenario_tenants(ctx):
    d = ctx.daemon({"auth_enabled": "true"})
    t = now_ns() - 60 * NS
    for tenant in ("red", "blue"):
        answer = d.push_body(push_json([({"app": "x"}, [(t, "of " + tenant)])]), tenant=tenant)
        check_eq(answer.status, 204, "push of " + tenant)
    d.request("POST", "/flush", headers={"X-Scope-OrgID": "red"})
    for tenant in ("red", "blue"):
        answer = d.request("GET", "/loki/api/v1/query_range?query=%%7Bapp%%3D%%22x%%22%%7D&start=%d&end=%d" % (t, t + 1),
                           headers={"X-Scope-OrgID": tenant})
        values = [v[1] for s in answer.json()["data"]["result"] for v in s["values"]]
        check_eq(values, ["of " + tenant], "what %s sees" % tenant)
    check_eq(d.push_body(push_json([({"app": "x"}, [(t, "nobody's")])])).status, 401, "push without a tenant")
    check_eq(d.push_body(b"{}", tenant="../red").status, 400, "a tenant that is a path")


def scenario_enforced_labels(ctx):
    """Streams without a label that the tenant demands are refused, the others kept."""
    d = ctx.daemon({"enforced_labels": "team, env"})
    t = now_ns() - 60 * NS
    answer = d.push_body(push_json([({"app": "x", "team": "a", "env": "b"}, [(t, "kept")]), ({"app": "x", "team": "a"}, [(t, "lost")])]))
    check_eq(answer.status, 400, "status")
    check_eq(answer.text, "missing required labels 'env' for user 'fake' for stream "
             "'{app=\"x\", service_name=\"x\", team=\"a\"}' (policy: '')\n", "text")
    check_eq(d.lines('{app="x"}', t - NS, t + NS), ["kept"], "what was kept")
    check(any('reason="missing_enforced_labels"' in name for name in d.metrics()), "counted")


def scenario_blocked(ctx):
    """An administrator may stop a tenant's pushes until some time."""
    d = ctx.daemon({"block_ingestion_until": "2099-01-01T00:00:00Z"})
    t = now_ns() - 60 * NS
    answer = d.push({"app": "x"}, [(t, "no")], want=None)
    check_eq((answer.status, answer.text),
             (260, "ingestion blocked for user 'fake' until '2099-01-01T00:00:00Z' with status code '260'\n"), "answer")
    check_eq(d.lines('{app="x"}', t - NS, t + NS), [], "nothing is kept")
    d.settings["block_ingestion_until"] = "2020-01-01T00:00:00Z"
    d.restart()
    d.push({"app": "x"}, [(t, "yes")])
