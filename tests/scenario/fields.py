"""What the page shows beside the lines: labels, fields and their values, saved queries, ids in a text, links."""
import json
import os
import signal
import urllib.parse

from harness import NS, check, check_eq, now_ns, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def get(d, path, tenant=None, **params):
    """The answer's JSON."""
    answer = d.request("GET", path + "?" + urllib.parse.urlencode(params),
                       headers={"X-Scope-OrgID": tenant} if tenant else None)
    check_eq(answer.status, 200, "%s: %r" % (path, answer))
    check_eq(answer.headers["Cache-Control"], "no-store", "Cache-Control of " + path)
    check_eq(answer.headers["X-Content-Type-Options"], "nosniff", "nosniff of " + path)
    return answer.json()


def by_origin(answer):
    return {(f["origin"], f["name"]): f for f in answer["fields"]}


def fill(d, t):
    """1500 lines, one each ms, in five streams."""
    for i in range(5):
        labels = {"app": "shop" if i < 3 else "auth", "pod": "p%d" % i}
        if i == 4:
            labels["zone"] = "z"
        d.push(labels, [(t + (k * 5 + i) * 1000000,
                         '{"status":%d,"took":"%dms","ok":%s}' % (200 + 100 * (k % 3), k, "true" if k % 2 else "false"),
                         {"user": "u%d" % (k % 7)}) for k in range(300)])


def counts(d, label, start, end):
    """What a query says of a label's values."""
    step = "sum by (%s)(count_over_time({pod=~`.+`}[%dms]))" % (label, (end - start) // 1000000)
    answer = d.get("/loki/api/v1/query", query=step, time=end - 1)
    check_eq(answer.status, 200, "counts of " + label)
    return {s["metric"][label]: int(float(s["value"][1])) for s in answer.json()["data"]["result"] if label in s["metric"]}


def check_sampled(d, t, when):
    answer = get(d, "/api/v1/fields", query="{pod=~`.+`}", start=t, end=t + 2 * NS, limit=100)
    check_eq((answer["sampled"], answer["complete"]), (100, False), "sample " + when)
    fields = by_origin(answer)
    for label in ("app", "pod", "zone"):
        want = counts(d, label, t, t + 2 * NS)
        field = fields["label", label]
        check_eq({v["value"]: v["lines"] for v in field["top"]}, want, "%s %s" % (label, when))
        check_eq((field["exact"], field["lines"], field["values"]), (True, sum(want.values()), len(want)),
                 "%s in all %s" % (label, when))
    check_eq([v["value"] for v in fields["label", "app"]["top"]], ["shop", "auth"], "the most frequent first")
    check_eq(fields["label", "zone"]["lines"], 300, "a label that some streams have")
    user = fields["metadata", "user"]
    check_eq((user["exact"], user["lines"], user["values"], user["type"]), (False, 100, 7, "string"), "metadata " + when)
    part = get(d, "/api/v1/fields", query="{pod=~`.+`}", start=t + 500 * 1000000, end=t + 1000 * 1000000, limit=10)
    check_eq(by_origin(part)["label", "app"]["lines"], 500, "start counts, end does not, " + when)


def check_complete(d, t, when):
    answer = get(d, "/api/v1/fields", query='{pod="p0"}', start=t, end=t + 2 * NS)
    check_eq((answer["sampled"], answer["complete"]), (300, True), "the whole " + when)
    fields = by_origin(answer)
    check_eq({k: (f["type"], f["values"], f["lines"], f["exact"]) for k, f in fields.items() if k[0] == "detected"},
             {("detected", "status"): ("int", 3, 300, True), ("detected", "took"): ("duration", 300, 300, True),
              ("detected", "ok"): ("boolean", 2, 300, True)}, "detected " + when)
    check_eq(fields["detected", "status"]["parser"], "json", "parser")
    check_eq(fields["detected", "status"]["top"], [{"value": v, "lines": 100} for v in ("200", "300", "400")], "top")
    check_eq(len(fields["detected", "took"]["top"]), 10, "ten at most")
    parsed = by_origin(get(d, "/api/v1/fields", query='{pod="p0"} | json | status=`400`', start=t, end=t + 2 * NS))
    check_eq(parsed["parsed", "status"]["top"], [{"value": "400", "lines": 100}], "parsed " + when)
    check(("detected", "status") not in parsed, "found by the query's own parser, so not detected again", parsed)


def scenario_fields(ctx):
    d = ctx.daemon({"indexed_fields": "user"})
    t = (now_ns() // NS - 60) * NS
    fill(d, t)
    for when in ("in memory", "flushed", "restarted"):
        check_sampled(d, t, when)
        check_complete(d, t, when)
        labels = get(d, "/api/v1/labels", start=t, end=t + 2 * NS)
        check_eq(labels["streams"], 5, "streams " + when)
        check_eq([(l["name"], l["values"], l["streams"]) for l in labels["labels"] if l["name"] != "service_name"],
                 [("app", 2, 5), ("pod", 5, 5), ("zone", 1, 1)], "labels " + when)
        check("trace_id" in labels["traceIdKeys"], "trace id keys", labels["traceIdKeys"])
        check_eq(labels["indexedFields"], ["user"], "indexed fields " + when)
        some = get(d, "/api/v1/labels", query='{app="auth"}', start=t, end=t + 2 * NS)
        check_eq((some["streams"], {l["name"]: l["values"] for l in some["labels"]}["pod"]), (2, 2), "of a selector")
        if when == "in memory":
            d.flush()
        elif when == "flushed":
            d.restart()
    long = "x" * 600
    d.push({"app": "long"}, [(t, "v=" + long), (t + 1, "v=" + long + "y"), (t + 2, "v=" + long + "y")])
    top = by_origin(get(d, "/api/v1/fields", query='{app="long"}', start=t, end=t + NS))["detected", "v"]
    check_eq((top["values"], [(len(v["value"]), v["lines"], v["cut"]) for v in top["top"]]),
             (2, [(512, 2, True), (512, 1, True)]), "long values are cut, and told apart")
    for query in ("", "{", "rate({app=`a`}[1m])"):
        check_eq(d.get("/api/v1/fields", query=query).status, 400, "fields of " + query)
    check_eq(d.get("/api/v1/labels", query='{app="a"} | json').status, 400, "labels of a pipeline")
    check_eq(get(d, "/api/v1/fields", query='{app="none"}')["fields"], [], "no lines")


def put(d, name, body, tenant=None, raw=False):
    headers = {"Content-Type": "application/json"}
    if tenant:
        headers["X-Scope-OrgID"] = tenant
    return d.request("PUT", "/api/v1/saved-queries/" + urllib.parse.quote(name, safe=""),
                     body if raw else json.dumps(body), headers).status


def names(d, tenant=None):
    return [q["name"] for q in get(d, "/api/v1/saved-queries", tenant)["queries"]]


def scenario_saved_queries(ctx):
    d = ctx.daemon({"auth_enabled": "true"})
    odd = ["..%2f..%2fetc", "../../etc/passwd", "a/b", "...", "ünïcödé ☃", 'quo"te\\', "100% sure", " "]
    for name in odd:
        check_eq(put(d, name, {"query": '{app="x"} |= `%s`' % name, "note": "line\n" + name}, "a"), 204, name)
    check_eq(names(d, "a"), sorted(odd, key=lambda n: n.encode()), "by name")
    check_eq(names(d, "b"), [], "another tenant's")
    check_eq(put(d, "a/b", {"query": "{}"}, "b"), 204, "another tenant has its own names")
    check_eq(put(d, "a/b", {"query": '{app="new"}'}, "a"), 204, "replaced")
    d.kill_and_start()
    listed = {q["name"]: q for q in get(d, "/api/v1/saved-queries", "a")["queries"]}
    check_eq(sorted(listed), sorted(odd), "after a crash")
    check_eq((listed["a/b"]["query"], listed["a/b"]["note"]), ('{app="new"}', ""), "the new one")
    check_eq(listed["..."]["note"], "line\n...", "note")
    check(abs(int(listed["..."]["saved"]) - now_ns()) < 3600 * NS, "when it was saved", listed["..."])
    check_eq(len(d.files(".jsonl")), 2, "a file for each tenant, wherever the names point")
    for name, body in (("n", b"not json"), ("n", b"[1]"), ("n", b"{}"), ("n", b'{"query":1}'), ("n", b'{"query":" "}'),
                       ("n", b'{"query":"a\\u0000b"}'), ("n", b'{"query":"\xff"}'), ("n", b'{"query":"x"} more'),
                       ("n", b'{"query":"%s"}' % (b"x" * 20000)), ("x" * 300, b'{"query":"x"}'), ("new\nline", b'{"query":"x"}')):
        check_eq(put(d, name, body, "a", raw=True), 400, "refused: %r %r" % (name, body[:40]))
    check_eq(put(d, "n", b'{"query":"%s"}' % (b"x" * 200000), "a", raw=True), 413, "a body that is far too large")
    check_eq(put(d, "..", {"query": "x"}, "a"), 404, "no path goes up")
    check_eq(len(names(d, "a")), len(odd), "nothing of it was stored")

    def delete(name, tenant):
        return d.request("DELETE", "/api/v1/saved-queries/" + urllib.parse.quote(name, safe=""),
                         headers={"X-Scope-OrgID": tenant}).status
    check_eq((delete("...", "b"), delete("...", "a"), delete("...", "a")), (404, 204, 404), "delete")
    for i in range(200):
        check_eq(put(d, "q%03d" % i, {"query": "{}"}, "c"), 204, "the %d. one" % i)
    check_eq(put(d, "one more", {"query": "{}"}, "c"), 400, "too many")
    check_eq(put(d, "q000", {"query": "{a=`b`}"}, "c"), 204, "replacing needs no room")
    path = [p for p in d.files(".jsonl") if p.endswith("/a.jsonl")][0]
    with open(path, "ab") as f:
        f.write(b"rubbish")
    check_eq(put(d, "n", {"query": "x"}, "a"), 500, "a damaged file is not written over")
    check_eq(len(names(d, "c")), 200, "others are as they were")


def scenario_saved_by_other_sites(ctx):
    d = ctx.daemon()
    page = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    check_eq(d.request("PUT", "/api/v1/saved-queries/x", '{"query":"x"}', page).status, 403, "PUT from another site's page")
    check_eq(put(d, "x", {"query": "x"}), 204, "PUT")
    check_eq(d.request("DELETE", "/api/v1/saved-queries/x", headers=page).status, 403, "DELETE from another site's page")
    check_eq(names(d), ["x"], "as it was")


def scenario_find_traces(ctx):
    d = ctx.daemon()
    other = "0af7651916cd43dd8448eb211c80319c"
    uuid = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    xray = "1-4bf92f35-77b34da6a3ce929d0e0e4736"
    cases = {
        TRACE: [TRACE], " %s\n" % TRACE.upper(): [TRACE], uuid: [TRACE], '"%s"' % TRACE: [TRACE],
        "00-%s-00f067aa0ba902b7-01" % TRACE: [TRACE], "traceparent: 00-%s-00f067aa0ba902b7-01" % TRACE: [TRACE],
        xray: [TRACE], "Root=%s;Parent=53995c3f42cd8ad8;Sampled=1" % xray: [TRACE],
        "X-Amzn-Trace-Id: Root=%s;Sampled=1" % xray: [TRACE], "9f86d081884c7d65": ["9f86d081884c7d65"],
        "X-B3-TraceId: 80f198ee56343ba8": ["80f198ee56343ba8"],
        "GET /x trace=%s parent=%s 200" % (other, TRACE): [other, TRACE],
        '{"trace_id":"%s","msg":"after %s"}' % (TRACE, other): [TRACE, other],
        "a %s\nb %s\nc %s" % (other, uuid, other): [other, TRACE],
        "nothing here": [], "": [], "0" * 32: [], "sha256 " + "ab" * 32: [],
        " ".join("%032x" % (i + 2 ** 100) for i in range(40)): None,
    }
    for text, want in cases.items():
        got = get(d, "/api/v1/traces/find", text=text)["ids"]
        if want is None:
            check_eq(len(set(got)), 10, "ten at most")
        else:
            check_eq(got, want, "ids in " + text)


def scenario_trace_links(ctx):
    d = ctx.daemon({"trace_url_template": "https://old.example/{trace_id}"})
    t = now_ns() // 1000000 * 1000000 - 60 * NS
    d.push({"app": "x"}, [(t, "a trace_id=" + TRACE), (t + 1500000, "b trace_id=" + TRACE)])
    check_eq(d.trace(TRACE)["links"], [{"name": "Trace", "url": "https://old.example/" + TRACE}], "the template alone")
    d.stop()
    d.settings["trace_links"] = ("Jaeger=https://j.example/trace/{trace_id}?span={span_id},"
                                 "Grafana=https://g.example/?a=b&from={start}&to={end}&t={trace_id}&{x}")
    d.start()
    links = d.trace(TRACE)["links"]
    ms = t // 1000000
    check_eq(links, [{"name": "Trace", "url": "https://old.example/" + TRACE},
                     {"name": "Jaeger", "url": "https://j.example/trace/%s?span={span_id}" % TRACE},
                     {"name": "Grafana", "url": "https://g.example/?a=b&from=%d&to=%d&t=%s&{x}" % (ms, ms + 2, TRACE)}], "links")
    ids = [e["id"] for e in d.trace(TRACE)["entries"]]
    check_eq([i.split("-")[0] for i in ids], [str(t), str(t + 1500000)], "ids")
    d.flush()
    check_eq([e["id"] for e in d.trace(TRACE)["entries"]], ids, "ids after a flush")
    page = d.get("/api/v1/entries", query="{app=`x`}", start=t, end=t + NS, direction="forward").json()
    check_eq([e["id"] for e in page["entries"]], ids, "the same ids in another endpoint")
    check_eq([l["name"] for l in d.trace("f" * 32)["links"]], ["Trace", "Jaeger"], "no times, no link that needs them")
    path = os.path.join(d.dir, "links.yaml")
    with open(path, "w") as f:
        f.write("trace_links: []\n")
    d.stop()
    del d.settings["trace_links"]
    d.config = path
    d.start()
    with open(path, "w") as f:
        f.write("trace_links: ['Now=https://n.example/a,b/{trace_id}']\n")
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: {"name": "Now", "url": "https://n.example/a,b/" + TRACE} in d.trace(TRACE)["links"], 20, "the new links")
    for bad in ("Jaeger", "=https://j/{trace_id}", "J=javascript:{trace_id}", "J=https://j/", "J=https://j/{trace_id} x"):
        found = d.run_offline("--set", "trace_links=" + bad, "--check-config")
        check(found.returncode != 0 and b"trace_links" in found.stderr, "refused: " + bad, found)
