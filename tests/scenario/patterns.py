"""Patterns of log lines, the limits Drilldown asks for, the oldest query endpoint, and the pages of a ring of one."""
import json

from harness import NS, check, check_eq, now_ns, wait_for

LINE = 'level=%s msg="handled request" id=%d dur=%dms path=/cart'


def minute_ago():
    return (now_ns() - 120 * NS) // (60 * NS) * 60 * NS


def patterns(d, query, start, end, **more):
    answer = d.get("/loki/api/v1/patterns", query=query, start=start, end=end, **more)
    check_eq(answer.status, 200, "patterns: %r" % answer)
    check_eq(answer.json()["status"], "success", "its status")
    return answer.json()["data"]


def push_some(d, t):
    d.push({"app": "pat", "pod": "a"}, [(t + i * NS, LINE % ("info", i, i * 7)) for i in range(60)])
    d.push({"app": "pat", "pod": "b"}, [(t + i * NS, LINE % ("error", i, i)) for i in range(5)])
    d.push({"app": "json"}, [(t + i * NS, json.dumps({"level": "warn", "msg": "slow <b>", "n": i})) for i in range(4)])


def scenario_patterns(ctx):
    d = ctx.daemon()
    t = minute_ago()
    push_some(d, t)
    found = patterns(d, '{app="pat"}', t, t + 60 * NS, step="30")
    check_eq([(p["pattern"], p["level"], p["samples"]) for p in found], [
        ('level=info msg="handled request" id=<_> dur=<_> path=/cart', "info", [[t // NS, 30], [t // NS + 30, 30]]),
        ('level=error msg="handled request" id=<_> dur=<_> path=/cart', "error", [[t // NS, 5]])], "patterns")
    check_eq(len(patterns(d, '{app="pat", pod="b"}', t, t + 60 * NS)), 1, "of one pod")
    check_eq(sum(n for p in patterns(d, '{app=~"pat|json"}', t, t + 60 * NS) for _, n in p["samples"]), 69, "of both")
    check_eq(patterns(d, '{app="none"}', t, t + 60 * NS), [], "of nothing")
    check_eq(patterns(d, '{app="pat"}', t - 3600 * NS, t - 1800 * NS), [], "at another time")
    for app in ("pat", "json"):
        for p in patterns(d, '{app="%s"}' % app, t, t + 60 * NS):
            lines = d.lines('{app="%s"} |> `%s`' % (app, p["pattern"]), t, t + 60 * NS)
            check_eq(len(lines), sum(n for _, n in p["samples"]), "lines that %s keeps" % p["pattern"])
    raw = d.get("/loki/api/v1/patterns", query='{app="json"}', start=t, end=t + 60 * NS).text
    check("\\u003c_\\u003e" in raw, "brackets are escaped", raw)
    for query, text in (('{app="pat"} |= "x"', "only label matchers are supported"), ("{", "parse error"), ("", "parse error")):
        answer = d.get("/loki/api/v1/patterns", query=query)
        check_eq(answer.status, 400, query)
        check(text in answer.text, "says why", answer.text)
    check_eq(d.get("/loki/api/v1/patterns", query='{app="pat"}', step="0").status, 400, "step=0")


def scenario_patterns_survive_a_restart(ctx):
    d = ctx.daemon()
    t = minute_ago()
    push_some(d, t)
    before = patterns(d, '{app=~".+"}', t, t + 60 * NS)
    d.restart()
    check_eq(patterns(d, '{app=~".+"}', t, t + 60 * NS), before, "after a restart")
    d.kill_and_start()
    check_eq(patterns(d, '{app=~".+"}', t, t + 60 * NS), before, "after a kill, what was written before it")


def scenario_patterns_off(ctx):
    d = ctx.daemon(settings={"pattern_ingester_enabled": "false"})
    t = minute_ago()
    push_some(d, t)
    answer = d.get("/loki/api/v1/patterns", query='{app="pat"}')
    check_eq((answer.status, answer.body), (404, b""), "patterns")
    check_eq(d.get("/loki/api/v1/drilldown-limits").json()["pattern_ingester_enabled"], False, "and limits say so")
    check_eq(d.metrics()["spoor_pattern_lines_total"], 0, "nothing was counted")


def scenario_patterns_of_tenants(ctx):
    d = ctx.daemon(settings={"auth_enabled": "true"})
    t = minute_ago()
    for tenant in ("one", "two"):
        body = json.dumps({"streams": [{"stream": {"app": "x"}, "values": [[str(t), "from %s 1" % tenant]]}]})
        check_eq(d.push_body(body, tenant=tenant).status, 204, "push")
    for tenant in ("one", "two"):
        path = "/loki/api/v1/patterns?query=%%7Bapp=%%22x%%22%%7D&start=%d" % (t - NS)
        data = d.request("GET", path, headers={"X-Scope-OrgID": tenant}).json()["data"]
        check_eq([p["pattern"] for p in data], ["from %s <_>" % tenant], "patterns of " + tenant)
    check_eq(d.get("/loki/api/v1/patterns", query='{app="x"}').status, 401, "of nobody")
    check_eq(d.get("/loki/api/v1/drilldown-limits").status, 401, "limits of nobody")


def scenario_drilldown_limits(ctx):
    d = ctx.daemon(settings={"max_query_series": "77", "max_query_length": "721h", "retention_period": "48h",
                             "max_query_bytes_read": "3GB"})
    answer = d.get("/loki/api/v1/drilldown-limits")
    check_eq(answer.headers["Content-Type"], "application/json", "type")
    limits = answer.json()["limits"]
    check_eq(answer.json()["pattern_ingester_enabled"], True, "patterns")
    for key, want in (("max_query_series", 77), ("max_query_length", "30d1h"), ("retention_period", "2d"),
                      ("max_query_lookback", "0s"), ("max_query_bytes_read", "3GB"), ("discover_log_levels", True),
                      ("volume_enabled", True), ("volume_max_series", 1000), ("query_timeout", "1m")):
        check_eq(limits[key], want, key)
    check_eq(limits["discover_service_name"][0], "service", "discover_service_name")
    check("level" in limits["log_level_fields"], "log_level_fields")
    attributes = limits["otlp_config"]["resource_attributes"]["attributes_config"]
    check_eq(attributes[0]["action"], "index_label", "otlp_config")
    check("service.name" in attributes[0]["attributes"], "service.name is one")


def scenario_legacy_query(ctx):
    d = ctx.daemon()
    t = minute_ago() + 123
    d.push({"app": "old"}, [(t, "one"), (t + NS, "two")])
    answer = d.get("/api/prom/query", query='{app="old"}', start=t, end=t + 60 * NS, direction="forward")
    check_eq(answer.status, 200, "legacy query: %r" % answer)
    stream = answer.json()["streams"][0]
    check(stream["labels"].startswith('{app="old"'), "labels are text", stream)
    check_eq([e["line"] for e in stream["entries"]], ["one", "two"], "lines")
    check(stream["entries"][0]["ts"].endswith("00.000000123Z"), "times are RFC 3339", stream)
    check("summary" in answer.json()["stats"], "stats")
    answer = d.get("/api/prom/query", query='{app="old"}', regexp="t.o", start=t, end=t + 60 * NS)
    check_eq([e["line"] for s in answer.json()["streams"] for e in s["entries"]], ["two"], "regexp")
    check_eq(d.get("/api/prom/query", query='{app="none"}').json()["streams"], [], "nothing")
    answer = d.get("/api/prom/query", query='rate({app="old"}[1m])', start=t, end=t + 60 * NS)
    check_eq(answer.status, 400, "a metric query")
    check("legacy endpoints only support streams result type" in answer.text, "says why", answer.text)


def scenario_ring_of_one(ctx):
    d = ctx.daemon()
    for path in ("/ring", "/distributor/ring", "/ruler/ring", "/compactor/ring", "/indexgateway/ring", "/memberlist"):
        answer = d.get(path)
        check_eq((answer.status, answer.headers["Content-Type"]), (200, "text/html"), path)
        check("ACTIVE" in answer.text, path)
    shards = d.request("GET", "/ring", headers={"Accept": "application/json"}).json()["shards"]
    check_eq([s["state"] for s in shards], ["ACTIVE"], "one active shard")
    check_eq(d.request("POST", "/flush/tenant").status, 204, "/flush/tenant")
    check_eq(d.get("/flush/tenant").status, 405, "GET /flush/tenant")
    check_eq(d.get("/ingester/prepare_shutdown").text, "unset", "prepare_shutdown")
    check_eq(d.request("POST", "/ingester/prepare_shutdown").status, 204, "POST")
    check_eq(d.get("/ingester/prepare_shutdown").text, "set", "then")
    check_eq(d.request("DELETE", "/ingester/prepare_shutdown").status, 204, "DELETE")
    check_eq(d.get("/ingester/prepare_shutdown").text, "unset", "and then")
    check_eq(d.request("POST", "/ingester/shutdown?terminate=false").status, 204, "shutdown without an end")
    d.check_alive()
    check_eq(d.get("/ingester/shutdown").status, 405, "GET /ingester/shutdown")
    t = minute_ago()
    d.push({"app": "last"}, [(t, "words")])
    check_eq(d.request("POST", "/ingester/shutdown").status, 204, "shutdown")
    wait_for(lambda: d.process.poll() is not None, 20, "the daemon to end")
    check_eq(d.process.poll(), 0, "exit code")
    d.process = None
    d.start()
    check_eq(d.lines('{app="last"}', t, t + NS), ["words"], "what was there stays")
