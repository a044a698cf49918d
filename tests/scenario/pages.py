"""What the page reads lines with: entries by cursor, what surrounds a line, queries in work; and the page itself."""
import csv
import gzip
import io
import json
import socket
import threading

from harness import NS, check, check_eq, now_ns, wait_for


def ask(d, path, want=200, **params):
    answer = d.get(path, **params)
    check_eq(answer.status, want, "%s: %r" % (path, answer))
    return answer.json() if want == 200 else answer.text


def fill(d, t):
    """900 lines in three streams; a third of them share one nanosecond."""
    for s in range(3):
        d.push({"app": "a%d" % s, "level": "info" if s else "error"},
               [(t + (k * NS // 100 if k % 3 else 0), "line %d of %d" % (k, s), {"user": "u%d" % (k % 5)}) for k in range(300)])


def all_of(d, query, at):
    return ask(d, "/api/v1/entries", query=query, start=at - NS, end=at + 10 * NS, direction="forward", limit=5000)["entries"]


def all_pages(d, t, limit, **more):
    found, cursor, n = [], None, 0
    while True:
        page = ask(d, "/api/v1/entries", query='{app=~"a."}', start=t - NS, end=t + 10 * NS, limit=limit, cursor=cursor, **more)
        check(len(page["entries"]) <= limit, "a page is not longer than asked")
        for e in page["entries"]:
            found.append((int(e["ts"]), e["line"], page["streams"][e["stream"]]["app"], e["id"]))
        cursor, n = page["next"], n + 1
        if cursor is None:
            return found
        check(n < 1000, "the pages end")


def check_pages(d, t, when):
    want = sorted((ts, line, labels["app"]) for ts, line, labels in d.entries('{app=~"a."}', t - NS, t + 10 * NS))
    check_eq(len(want), 900, "lines " + when)
    ids = {}
    for direction in ("forward", "backward"):
        for limit in (7, 100, 2000):
            found = all_pages(d, t, limit, direction=direction)
            what = "%s by %d %s" % (direction, limit, when)
            check_eq(sorted(e[:3] for e in found), want, what)
            times = [e[0] for e in found]
            check_eq(times, sorted(times, reverse=direction == "backward"), "order " + what)
            ids.update({e[3]: e[:3] for e in found})
    check_eq(len(ids), 900, "an id for each line, the same in each direction, " + when)
    return ids


def scenario_entries_by_cursor(ctx):
    d = ctx.daemon()
    at = now_ns() - 3600 * NS
    fill(d, at)
    before = check_pages(d, at, "in memory")
    d.flush()
    check_eq(check_pages(d, at, "flushed"), before, "ids after a flush")
    d.restart()
    check_eq(check_pages(d, at, "after a restart"), before, "ids after a restart")
    for bad in ("x", "1-2-3", "%d-%016x-1" % (at + 100 * NS, 1), "99999999999999999999-0000000000000000-1"):
        ask(d, "/api/v1/entries", 400, query='{app=~"a."}', start=at - NS, end=at + 10 * NS, cursor=bad)
    ask(d, "/api/v1/entries", 400, query='rate({app="a0"}[1m])', start=at, end=at + NS)


def scenario_same_labels_from_elsewhere(ctx):
    """Streams that are told apart only by what is a label and what is metadata."""
    d = ctx.daemon()
    at = now_ns() - 3600 * NS
    names = ["p", "q", "r", "s", "t"]
    for bits in range(1 << len(names)):
        labels = {n: "1" for i, n in enumerate(names) if bits >> i & 1}
        metadata = {n: "1" for n in names if n not in labels}
        d.push({"app": "m", **labels}, [(at + bits, "line %d" % bits, metadata)])
    for when in ("in memory", "flushed"):
        page = ask(d, "/api/v1/entries", query='{app="m"}', start=at - NS, end=at + NS, direction="forward")
        check_eq(len(page["streams"]), 1 << len(names), "streams " + when)
        for bits, e in enumerate(page["entries"]):
            labels = page["streams"][e["stream"]]
            check_eq({n for n in names if n in labels}, {n for i, n in enumerate(names) if bits >> i & 1}, "labels " + when)
            check_eq({n for n in names if n in e["metadata"]}, {n for n in names if n not in labels}, "metadata " + when)
        d.flush()


def scenario_context_of_a_line(ctx):
    d = ctx.daemon()
    at = now_ns() - 3600 * NS
    fill(d, at)
    page = ask(d, "/api/v1/entries", query='{app="a1"} |= "line 151 "', start=at - NS, end=at + 10 * NS)
    entry = page["entries"][0]
    around = ask(d, "/api/v1/context", stream='{app="a1", level="info"}', ts=entry["ts"], id=entry["id"], before=5, after=5)
    check(around["query"].startswith('{app="a1"'), "the source, without its level", around["query"])
    check("level" not in around["query"], "no level", around["query"])
    check_eq(around["entries"][around["anchor"]]["id"], entry["id"], "the anchor")
    check_eq(len(around["entries"]), 11, "lines around")
    times = [int(e["ts"]) for e in around["entries"]]
    check_eq(times, sorted(times), "ascending")
    older = ask(d, "/api/v1/entries", query=around["query"], start=around["start"], end=around["end"], direction="backward",
                cursor=around["older"], limit=3)
    check(all(int(e["ts"]) < times[0] for e in older["entries"]) and len(older["entries"]) == 3, "older lines go on")
    everywhere = ask(d, "/api/v1/context", stream='{app="a1"}', ts=entry["ts"], id=entry["id"], scope="all", before=50, after=50)
    check_eq({s["app"] for s in everywhere["streams"]}, {"a0", "a1", "a2"}, "all services")
    # Many lines of one time: those beside the anchor, in the order of the pages.
    order = [e["id"] for e in all_of(d, '{app="a1"}', at)]
    shared = [e for e in order if e.split("-")[0] == str(at)]
    check(len(shared) > 90, "lines of one time", len(shared))
    for k in (0, 50, len(shared) - 1):
        around = ask(d, "/api/v1/context", stream='{app="a1"}', ts=at, id=shared[k], before=4, after=4)
        check_eq([e["id"] for e in around["entries"]], order[max(0, k - 4):k + 5], "around line %d of one time" % k)
        check_eq(around["anchor"], min(k, 4), "the anchor")
        check_eq(around["older"] is None, k <= 4, "older lines")
        if around["older"]:
            older = ask(d, "/api/v1/entries", query=around["query"], start=around["start"], end=around["end"], direction="backward",
                        cursor=around["older"], limit=3)
            check_eq([e["id"] for e in older["entries"]][::-1], order[max(0, k - 7):k - 4], "older lines go on")
        newer = ask(d, "/api/v1/entries", query=around["query"], start=around["start"], end=around["end"], direction="forward",
                    cursor=around["newer"], limit=3)
        check_eq([e["id"] for e in newer["entries"]], order[k + 5:k + 8], "newer lines go on")
    gone = ask(d, "/api/v1/context", stream='{app="a1"}', ts=at + 1, before=4, after=4)
    check_eq((gone["anchor"], len(gone["entries"])), (None, 8), "a time without a line")
    ask(d, "/api/v1/context", 400, stream='{app="a1"}', ts="x")
    ask(d, "/api/v1/context", 400, stream='{app=', ts=entry["ts"])
    ask(d, "/api/v1/context", 400, stream='{app="a1"}', ts=entry["ts"], scope="galaxy")


def scenario_running_queries(ctx):
    d = ctx.daemon({"query_threads": "1"})
    at = now_ns() - 3600 * NS
    for i in range(20):
        d.push({"app": "slow"}, [(at + (i * 3000 + k) * 1000, "word%d " % k * 40) for k in range(3000)])
    slow = 'sum by (m) (count_over_time({app="slow"} | regexp `(?P<m>(w.*d\\d+ ){5,})` | line_format `{{ repeat 50 __line__ }}` |~ `x.*y.*z` [1h]))'.replace("__line__", "(.m)")
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(d.get("/loki/api/v1/query_range", query=slow, start=at - NS, end=now_ns(), step="1s")))
               for _ in range(4)]
    for th in threads:
        th.start()
    listed = []

    def seen():
        listed[:] = ask(d, "/api/v1/queries")["queries"]
        return len(listed) > 0 or len(answers) == len(threads)

    wait_for(seen, 10, "a query in work")
    check(len(listed) > 0, "a query was seen at work")
    for q in listed:
        check_eq((q["tenant"], q["path"], q["query"]), ("fake", "/loki/api/v1/query_range", slow), "what is listed")
        check(d.request("DELETE", "/api/v1/queries/" + q["id"]).status in (204, 404), "cancel")
    for th in threads:
        th.join()
    wait_for(lambda: ask(d, "/api/v1/queries")["queries"] == [], 10, "the list to be empty")
    check_eq(d.request("DELETE", "/api/v1/queries/999999").status, 404, "no such query")
    check_eq(d.request("DELETE", "/api/v1/queries/x").status, 404, "no id")
    check_eq(d.request("DELETE", "/api/v1/queries/1", headers={"Origin": "http://evil.example"}).status, 403, "another site")


def scenario_export(ctx):
    d = ctx.daemon({"max_entries_limit_per_query": "100"})
    at = (now_ns() // NS - 3600) * NS
    for s in range(2):
        for part in range(6):
            d.push({"app": "a%d" % s}, [(at + (part * 1000 + k) // 7 * 1000, 'line %d of %d, "quoted"' % (part * 1000 + k, s), {"user": "=u%d" % (k % 5)})
                                        for k in range(1000)])

    def export(want=200, **params):
        answer = d.get("/api/v1/export", **{"start": at - NS, "end": at + NS, **params})
        check_eq(answer.status, want, "export: %r" % answer)
        return answer

    answer = export(query='{app=~"a.*"}')
    check_eq((answer.headers["Content-Type"], answer.headers["Content-Disposition"]),
             ("application/x-ndjson; charset=utf-8", 'attachment; filename="logs.jsonl"'), "headers")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    check_eq(len({(e["labels"]["app"], e["line"]) for e in lines}), 12000, "every line")
    check_eq(len(lines), 12000, "no line twice")
    times = [int(e["ts"]) for e in lines]
    check_eq(times, sorted(times, reverse=True), "backward by default")
    check_eq((lines[0]["metadata"]["user"][0], lines[0]["time"][:4]), ("=", "20" + lines[0]["time"][2:4]), "a line")
    text = export(query='{app="a1"} |= "line 17 "', format="text", direction="forward").text
    check_eq(text, 'line 17 of 1, "quoted"\n', "text")
    rows = list(csv.reader(io.StringIO(export(query='{app="a0"} |= "line 5"', format="csv", direction="forward").text)))
    check_eq(rows[0], ["time", "ts", "level", "service", "labels", "metadata", "line"], "head")
    check_eq(len(rows), 1 + 1111, "rows")
    check_eq((rows[1][2:4], rows[1][6], json.loads(rows[1][4])["app"]), (["unknown", "a0"], 'line 5 of 0, "quoted"', "a0"), "a row")
    d.push({"app": "sheet"}, [(at, '=cmd("x")')])
    check_eq(list(csv.reader(io.StringIO(export(query='{app="sheet"}', format="csv").text)))[1][6], '\'=cmd("x")', "no formula")
    check_eq(export(query='{app="none"}').text, "", "nothing")
    for bad in ({"query": "{"}, {"query": "rate({app=`a0`}[1m])"}, {"query": '{app="a0"}', "format": "xml"}):
        export(400, **bad)
    # Who does not read what is sent holds nothing up, and may leave.
    line = "x" * 1000
    for part in range(20):
        d.push({"app": "big"}, [(at + part * 1000 + k, "%d %s" % (part * 1000 + k, line)) for k in range(1000)])
    slow = socket.create_connection(("127.0.0.1", d.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(("GET /api/v1/export?query=%%7Bapp%%3D%%22big%%22%%7D&start=%d&end=%d HTTP/1.1\r\nHost: x\r\n\r\n" % (at - NS, at + NS)).encode())
    check(slow.recv(12).startswith(b"HTTP/1.1 200"), "it begins")
    wait_for(lambda: [q["path"] for q in ask(d, "/api/v1/queries")["queries"]] == ["/api/v1/export"], 10, "the export in the list")
    check_eq(len(export(query='{app="big"}').text.splitlines()), 20000, "another one meanwhile")
    id_ = ask(d, "/api/v1/queries")["queries"][0]["id"]
    slow.close()
    wait_for(lambda: ask(d, "/api/v1/queries")["queries"] == [], 10, "the export to go with its client")
    check_eq(d.request("DELETE", "/api/v1/queries/" + id_).status, 404, "gone")


def scenario_refusals(ctx):
    d = ctx.daemon({"max_line_size": "1024", "reject_old_samples": "true"})
    check_eq(ask(d, "/api/v1/refusals"), {"refusals": []}, "at first")
    now = now_ns()
    d.push({"app": "shop"}, [(now, "fine"), (now + 1, "y" * 3000)], want=400)
    d.push({"app": "shop"}, [(now - 3 * 365 * 86400 * NS, "<b>old</b>")], want=400)
    check_eq(d.push_body(b'{"streams": [').status, 400, "no JSON")
    by_reason = {r["reason"]: r for r in ask(d, "/api/v1/refusals")["refusals"]}
    check_eq(list(by_reason), ["invalid_body", "greater_than_max_sample_age", "line_too_long"], "reasons, the latest first")
    r = by_reason["line_too_long"]
    sample = r["samples"][0]
    check_eq((r["entries"], r["pushes"], len(r["samples"])), (1, 1, 1), "counts")
    check_eq((sample["status"], sample["lineBytes"], sample["line"]), (400, 3000, "y" * 512), "the sample")
    check_eq(sample["stream"], '{app="shop", service_name="shop"}', "its stream")
    check("max entry size" in sample["answer"], "the answer", sample["answer"])
    check_eq(by_reason["greater_than_max_sample_age"]["samples"][0]["line"], "<b>old</b>", "another line")
    check_eq(by_reason["invalid_body"]["entries"], 0, "nothing was read")
    for i in range(5):
        d.push({"app": "shop"}, [(now + i, "%d" % i + "y" * 3000)], want=400)
    r = ask(d, "/api/v1/refusals")["refusals"][0]
    check_eq((r["reason"], r["entries"], r["pushes"]), ("line_too_long", 6, 6), "the latest comes first")
    check_eq([s["line"][0] for s in r["samples"]], ["4", "3", "2"], "the latest samples")


def scenario_the_page_itself(ctx):
    d = ctx.daemon()
    page = d.get("/ui/")
    if page.status == 404:
        check("without its web page" in page.text, "what is said without the page", page.text)
        return
    check_eq(page.status, 200, "the page")
    policy = page.headers["Content-Security-Policy"]
    check("default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy, "policy", policy)
    check_eq(page.headers["Cache-Control"], "no-cache", "the page is asked for each time")
    script = page.text.split('<script type="module" src="')[1].split('"')[0]
    plain = d.get(script)
    check(plain.headers.get("Content-Encoding") is None and plain.status == 200, "for those without gzip")
    small = d.request("GET", script, headers={"Accept-Encoding": "gzip"})
    check_eq(gzip.decompress(small.body), plain.body, "the same file")
    check("immutable" in small.headers["Cache-Control"], "kept for ever")
    again = d.request("GET", script, headers={"If-None-Match": '"x", ' + small.headers["ETag"]})
    check_eq((again.status, again.body), (304, b""), "not sent again")
    for path in ("/ui/live", "/ui/trace/4bf92f3577b34da6a3ce929d0e0e4736", "/ui/status"):
        check_eq(d.get(path).body, page.body, path)
    check_eq(d.get("/ui/assets/none.js").status, 404, "an unknown file")
    check_eq(d.request("GET", "/", headers={"Accept": "text/html"}).headers["Location"], "/ui/", "a browser at /")
    check_eq(d.get("/").status, 404, "anyone else at /")
