"""A trace lookup finds exactly what a full scan finds, wherever the lines are by now."""
import random

from harness import NS, SLOWER, check_eq, now_ns, wait_for

DAY = 86400 * NS


def line_with(rng, trace_id):
    """One of the ways in which services write an id, each holding its 32 digits in one run."""
    span = "%016x" % rng.getrandbits(64)
    return rng.choice([
        '{"level": "info", "message": "did it", "trace_id": "%s", "span_id": "%s"}' % (trace_id, span),
        '{"message": "nested", "ctx": {"trace": {"id": "%s"}}}' % trace_id,
        '{"otelTraceID": "%s", "otelSpanID": "%s", "message": "python"}' % (trace_id, span),
        'level=info msg="done" traceID=%s took=%dms' % (trace_id, rng.randrange(1000)),
        "plain text with traceparent 00-%s-%s-01 in it" % (trace_id, span),
        "%s" % trace_id,
        "GET /x?id=%s HTTP/1.1" % trace_id.upper(),
        "digest sha256:%s%s" % (trace_id, "%032x" % rng.getrandbits(128)),  # inside a longer run
    ])


def line_without(rng):
    return rng.choice(["nothing here", "deadbeef", "span %016x only" % rng.getrandbits(64),
                       "sha1 %040x" % rng.getrandbits(160), '{"message": "no trace", "n": %d}' % rng.randrange(9),
                       "0" * 32])


def unindexed(text):
    """A regex for the same bytes in which no run of digits is long enough to be looked up: z stands in no line."""
    return "".join("[%sz]" % c if i % 4 == 0 else c for i, c in enumerate(text))


class Corpus:
    def __init__(self, seed, t):
        self.rng, self.t = random.Random(seed), t
        self.ids = ["%032x" % (self.rng.getrandbits(128) | 1) for _ in range(40)]
        self.entries = []  # (stream name, ts, line, trace id in metadata or None)

    def push(self, d, n, around, spread):
        """n lines in time order around a point, each push a mix of streams."""
        batch = {}
        for _ in range(n):
            name = "s%d" % self.rng.randrange(6)
            ts = around + self.rng.randrange(spread)
            kind = self.rng.random()
            trace_id = self.rng.choice(self.ids)
            if kind < 0.5:
                line, meta = line_with(self.rng, trace_id), None
            elif kind < 0.6:
                line, meta = line_without(self.rng) + " %d" % ts, trace_id
            else:
                line, meta = line_without(self.rng) + " %d" % ts, None
            self.entries.append((name, ts, line, meta))
            batch.setdefault(name, []).append((ts, line, {"trace_id": meta}) if meta else (ts, line))
        for name, entries in batch.items():
            d.push({"app": name}, entries)

    def holding(self, needle):
        return sorted((ts, line) for _, ts, line, _ in self.entries if needle in line)

    def of_trace(self, trace_id):
        """What GET /api/v1/traces must find: the id in a run of its own, in any case, or in the metadata."""
        found = []
        for _, ts, line, meta in self.entries:
            low = line.lower()
            at = low.find(trace_id)
            run = at >= 0 and "sha256:" not in line
            if meta == trace_id or run:
                found.append((ts, line))
        return sorted(found)


def compare(d, corpus, when, n_ids):
    start, end = corpus.t - 4 * DAY, corpus.t + DAY
    absent = "%032x" % (corpus.rng.getrandbits(128) | 1)
    for trace_id in corpus.rng.sample(corpus.ids, n_ids) + [absent]:
        for needle in (trace_id, trace_id.upper(), trace_id[:20]):
            want = corpus.holding(needle)
            got = [(ts, line) for ts, line, _ in d.entries('{app=~"s.*"} |= "%s"' % needle, start, end)]
            check_eq(sorted(got), want, "%s: |= %s" % (when, needle))
            scan = [(ts, line) for ts, line, _ in d.entries('{app=~"s.*"} |~ "%s"' % unindexed(needle), start, end)]
            check_eq(sorted(scan), want, "%s: the scan for %s" % (when, needle))
        want = sorted((ts, line) for _, ts, line, meta in corpus.entries if meta == trace_id)
        got = [(ts, line) for ts, line, _ in d.entries('{app=~"s.*"} | trace_id="%s"' % trace_id, start, end)]
        check_eq(sorted(got), want, "%s: | trace_id=" % when)
        answer = d.trace(trace_id, limit=5000)
        got = [(int(e["ts"]), e["line"]) for e in answer["entries"]]
        check_eq(got, sorted(got, key=lambda e: e[0]), "%s: order of the trace's lines" % when)
        check_eq(sorted(got), corpus.of_trace(trace_id), "%s: the trace page of %s" % (when, trace_id))
        if got:
            check_eq((int(answer["start"]), int(answer["end"])), (got[0][0], got[-1][0]), "%s: range of the trace" % when)
    one, two = corpus.ids[:2]
    both = sorted(set(corpus.holding(one) + corpus.holding(two)))
    got = [(ts, line) for ts, line, _ in d.entries('{app=~"s.*"} |= "%s" or "%s"' % (one, two), start, end)]
    check_eq(sorted(got), both, "%s: either of two ids" % when)


def scenario_lookup_equals_scan(ctx):
    settings = {"head_size": "64MB", "head_max_age": "1h", "max_chunk_entries": "1024", "max_chunk_size": "64KB",
                "merge_interval": "1h", "trace_bucket": "5s"}
    d = ctx.daemon(settings)
    t = now_ns() - 2 * DAY
    corpus = Corpus(7, t)
    n, n_ids = (4000, 20) if ctx.long else (600, 4)
    corpus.push(d, n, t, 600 * NS)
    compare(d, corpus, "in memory", n_ids)
    d.flush()
    compare(d, corpus, "flushed", n_ids)
    corpus.push(d, n, t + 300 * NS, 600 * NS)
    compare(d, corpus, "flushed and in memory", n_ids)
    d.restart()
    compare(d, corpus, "restarted", n_ids)
    corpus.push(d, n, t - 3 * DAY, 2 * DAY)   # late: other days, and between the lines that are there
    corpus.push(d, n // 2, t + 100 * NS, 400 * NS)
    compare(d, corpus, "late lines in memory", n_ids)
    d.flush()
    compare(d, corpus, "late lines flushed", n_ids)
    d.kill_and_start()
    compare(d, corpus, "killed", n_ids)
    d.stop()
    d.settings["merge_interval"] = "1s"
    d.start()
    for _ in range(10):
        corpus.push(d, n // 20, t, 600 * NS)
        d.flush()
    wait_for(lambda: d.metric_sum("spoor_merges_total") > 0, 20, "a merge")
    wait_until_merged(d)
    ctx.note("%d merges" % d.metric_sum("spoor_merges_total"))
    compare(d, corpus, "merged", n_ids)


def wait_until_merged(d):
    """Until no merge has changed the files for a while."""
    import time
    last, since = None, time.monotonic()
    deadline = time.monotonic() + 20 * SLOWER
    while time.monotonic() < deadline:
        files = d.files(".seg")
        if files != last:
            last, since = files, time.monotonic()
        elif time.monotonic() - since > 2.5:
            return
        time.sleep(0.1)


def scenario_forms_of_an_id(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    full, low = "4bf92f3577b34da6a3ce929d0e0e4736", "a3ce929d0e0e4736"
    dashed = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    d.push({"app": "a"}, [(t, "trace_id=%s full" % full), (t + 1, '{"traceId": "%s"}' % full.upper()),
                          (t + 2, "id %s dashed" % dashed), (t + 3, '{"trace_id": "%s"}' % low),
                          (t + 4, '{"dd.trace_id": "%d"}' % int(low, 16)),
                          (t + 5, "traceparent: 00-%s-00f067aa0ba902b7-01" % full), (t + 6, "not it: %s" % low),
                          (t + 7, "trace_id=%s another trace" % ("0" * 15 + "7" + low))])
    for when in ("in memory", "flushed"):
        full_hits = [int(e["ts"]) - t for e in d.trace(full)["entries"]]
        check_eq(full_hits, [0, 1, 2, 3, 4, 5], when + ": the full id, and its 64-bit form")
        low_hits = [int(e["ts"]) - t for e in d.trace(low)["entries"]]
        check_eq(low_hits, [0, 1, 2, 3, 4, 5, 7], when + ": the low half")
        check_eq([int(e["ts"]) - t for e in d.trace(dashed)["entries"]], full_hits, when + ": dashed")
        check_eq([int(e["ts"]) - t for e in d.trace(str(int(low, 16)))["entries"]], low_hits, when + ": decimal")
        d.flush()
    answer = d.get("/api/v1/traces/not-an-id/logs")
    check_eq(answer.status, 400, "not an id")
    check_eq(d.trace("f" * 32)["entries"], [], "an absent id")


def scenario_trace_page(ctx):
    d = ctx.daemon({"trace_url_template": "https://jaeger.example.org/trace/{trace_id}"})
    t = now_ns() - 60 * NS
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    for i in range(30):
        level = "error" if i == 20 else "info"
        d.push({"app": "s%d" % (i % 3)}, [(t + i * 1000, "level=%s step=%d trace_id=%s" % (level, i, trace_id))])
    d.flush()
    answer = d.trace(trace_id)
    check_eq([int(e["ts"]) for e in answer["entries"]], [t + i * 1000 for i in range(30)], "all services, in order")
    check_eq(answer["trace_id"], trace_id, "trace_id")
    check_eq(answer["first_error"], 20, "first_error")
    check_eq(answer["trace_url"], "https://jaeger.example.org/trace/" + trace_id, "trace_url")
    check_eq(answer["entries"][0]["labels"]["app"], "s0", "labels")
    few = d.trace(trace_id, limit=10)
    check_eq((len(few["entries"]), few.get("more")), (10, True), "limit")
    back = d.trace(trace_id, direction="backward")
    check_eq([e["line"] for e in back["entries"]], [e["line"] for e in reversed(answer["entries"])], "backward")


def scenario_indexed_fields(ctx):
    d = ctx.daemon({"indexed_fields": "request_id,order_id"})
    t = now_ns() - 60 * NS
    d.push({"app": "a"}, [(t, '{"request_id": "req-17", "msg": "one"}'), (t + 1, "request_id=req-17 msg=two"),
                          (t + 2, '{"order_id": "o-9", "msg": "three"}'), (t + 3, "req-17 in the text")])
    d.push({"app": "b"}, [(t + 4, "in metadata", {"request_id": "req-17"})])
    for when in ("in memory", "flushed"):
        check_eq(d.lines('{app="a"} | json | request_id="req-17"', t, t + NS), ['{"request_id": "req-17", "msg": "one"}'],
                 when + ": | json")
        check_eq(d.lines('{app="b"} | request_id="req-17"', t, t + NS), ["in metadata"], when + ": metadata")
        check_eq(len(d.lines('{app="a"} |= "req-17"', t, t + NS)), 3, when + ": a line filter still scans")
        d.flush()
