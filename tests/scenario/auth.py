"""Who may ask for what: passwords, tokens, roles, tenants; limits of single tenants; queries over several tenants."""
import base64
import ctypes
import ctypes.util
import hashlib
import json
import os
import signal
import stat
import urllib.parse

from harness import NS, SLOWER, check, check_eq, now_ns, push_json, wait_for


def crypt_hash(password):
    """yescrypt, by the library that the daemon uses. It is not thread-safe: PyDLL keeps the interpreter's lock."""
    lib = ctypes.PyDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    lib.crypt_gensalt.restype = lib.crypt.restype = ctypes.c_char_p
    salt = lib.crypt_gensalt(b"$y$", ctypes.c_ulong(1), None, 0)
    return lib.crypt(password.encode(), salt).decode()


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(("%s:%s" % (name, password)).encode()).decode()}


def bearer(token):
    return {"Authorization": "Bearer " + token}


def write_private(path, text):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)


def item(name, secret, roles, tenants=None):
    kind = "token_sha256: " + hashlib.sha256(secret.encode()).hexdigest() if secret.startswith("tok") else \
        "password_hash: " + crypt_hash(secret)
    return "  - name: %s\n    %s\n    roles: [%s]\n%s" % (
        name, kind, roles, "    tenants: %s\n" % tenants if tenants else "")


def with_auth(ctx, mode, text, **settings):
    path = os.path.join(ctx.tmp, "credentials.yaml")
    write_private(path, "credentials:\n" + text)
    return ctx.daemon({"auth": mode, "auth_file": path, **settings}), path


def body_of(line, app="x"):
    return push_json([({"app": app}, [(now_ns(), line)])])


def push(d, headers, line="a", app="x"):
    return d.request("POST", "/loki/api/v1/push", body_of(line, app), {"Content-Type": "application/json", **headers})


def scenario_basic(ctx):
    d, path = with_auth(ctx, "basic", item("ann", "correct horse", "read, write, admin") + item("bob", "pw", "read"))
    ann, bob = basic("ann", "correct horse"), basic("bob", "pw")
    for headers in ({}, basic("ann", "wrong"), basic("eve", "correct horse"), bearer("tok")):
        answer = d.request("GET", "/loki/api/v1/labels", headers=headers)
        check_eq(answer.status, 401, "who is not known: %r" % headers)
        check_eq(answer.headers["WWW-Authenticate"], 'Basic realm="spoor"', "the challenge")
    check_eq(d.request("GET", "/ready").status, 200, "/ready stays open")
    check_eq(push(d, ann).status, 204, "a push")
    check_eq(push(d, bob).status, 403, "a push by a reader")
    check_eq(d.request("GET", "/loki/api/v1/labels", headers=bob).status, 200, "a read")
    check_eq(d.request("GET", "/loki/api/v1/labels", headers=ann).status, 200, "a read")
    check_eq(d.request("GET", "/no/such/page", headers={}).status, 404, "an unknown page")
    # a host name is no danger to one who must log in
    check_eq(d.request("GET", "/loki/api/v1/labels", headers={**bob, "Host": "evil.example"}).status, 200, "any host")
    metrics = d.request("GET", "/metrics", headers=ann).text
    check("spoor_auth_disabled 0" in metrics, "spoor_auth_disabled")
    # refused before the body is read: 100-continue is not given, and the connection ends
    got = d.raw(b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\nExpect: 100-continue\r\n"
                b"Authorization: " + basic("ann", "no")["Authorization"].encode() + b"\r\n\r\n", seconds=20)
    check(got.startswith(b"HTTP/1.1 401 ") and b"100 Continue" not in got and b"Connection: close" in got, "before the body", got)
    # a large push whose password is verified meanwhile
    write_private(path, "credentials:\n" + item("carl", "new", "read, write, admin"))
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: d.request("GET", "/loki/api/v1/labels", headers=basic("carl", "new")).status == 200, 10, "the new file")
    check_eq(d.request("GET", "/loki/api/v1/labels", headers=ann).status, 401, "who is gone from the file")
    lines = push_json([({"app": "big"}, [(now_ns() + i, "x" * 1000) for i in range(3000)])])
    check_eq(d.request("POST", "/loki/api/v1/push", lines, {"Content-Type": "application/json", **basic("carl", "new")}).status,
             204, "a large push")
    for bad in ("credentials: [\n", "credentials:\n" + item("x", "pw", "root"), "nonsense: 1\n"):
        write_private(path, bad)
        seen = d.log_text().count("not reloaded")
        d.process.send_signal(signal.SIGHUP)
        wait_for(lambda: d.log_text().count("not reloaded") > seen, 10, "a word about the bad file")
        check_eq(d.request("GET", "/loki/api/v1/labels", headers=basic("carl", "new")).status, 200, "the old file stays")
    os.chmod(path, os.stat(path).st_mode | stat.S_IROTH)
    seen = d.log_text().count("open to everyone")
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: d.log_text().count("open to everyone") > seen, 10, "a word about the mode")
    log = d.log_text()
    for secret in ("correct horse", "$y$", base64.b64encode(b"ann:correct horse").decode()):
        check(secret not in log, "no secret in the log", secret)


def scenario_first_request_waits_for_crypt(ctx):
    """The body comes while the password is being verified, in one piece with the head and in many."""
    d, _ = with_auth(ctx, "basic", item("ann", "pw", "read, write"))
    body = body_of("slow", "slow")
    head = ("POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: %s\r\n"
            "Content-Length: %d\r\nConnection: close\r\n\r\n" % (basic("ann", "pw")["Authorization"], len(body))).encode()
    got = d.raw(head + body, seconds=20)
    check(got.startswith(b"HTTP/1.1 204 "), "all at once", got)
    pipelined = head.replace(b"Connection: close\r\n", b"") + body + head + body
    check_eq(d.raw(pipelined, seconds=20).count(b"HTTP/1.1 204 "), 2, "two in a row")
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    check(d.raw(chunked, seconds=20).startswith(b"HTTP/1.1 204 "), "chunked")


def scenario_bearer(ctx):
    d, _ = with_auth(ctx, "bearer", item("agent", "tok-1", "write") + item("ops", "tok-2", "admin"))
    for headers in ({}, bearer("tok"), bearer("tok-11"), bearer(hashlib.sha256(b"tok-1").hexdigest()), basic("agent", "tok-1")):
        answer = push(d, headers)
        check_eq(answer.status, 401, "who is not known: %r" % headers)
        check_eq(answer.headers["WWW-Authenticate"], 'Bearer realm="spoor"', "the challenge")
    check_eq(push(d, bearer("tok-1")).status, 204, "a push")
    check_eq(d.request("GET", "/loki/api/v1/labels", headers=bearer("tok-1")).status, 403, "a read by an agent")
    config = d.request("GET", "/config", headers=bearer("tok-2"))
    check_eq(config.status, 200, "/config")
    check(hashlib.sha256(b"tok-1").hexdigest() not in config.text, "no secret in it")


def scenario_ten_failures(ctx):
    d, _ = with_auth(ctx, "basic", item("ann", "pw", "read"))
    for i in range(10):
        check_eq(d.request("GET", "/loki/api/v1/labels", headers=basic("ann", "guess %d" % i)).status, 401, "guess %d" % i)
    for headers in (basic("ann", "guess"), basic("ann", "pw")):
        answer = d.request("GET", "/loki/api/v1/labels", headers=headers)
        check_eq(answer.status, 429, "the address is refused")
        check(1 <= int(answer.headers["Retry-After"]) <= 60, "Retry-After", answer.headers["Retry-After"])
    check_eq(d.request("GET", "/ready").status, 200, "/ready")
    check("guess" not in d.log_text(), "no guess in the log")


ROLES = {"write": bearer("tok-w"), "read": bearer("tok-r"), "delete": bearer("tok-d"), "admin": bearer("tok-a")}
ENDPOINTS = [  # method, path, body, who may
    ("POST", "/loki/api/v1/push", body_of, {"write"}),
    ("POST", "/api/v1/ingest", lambda line: b'{"a": 1}\n', {"write"}),
    ("POST", "/otlp/v1/logs", lambda line: b"{}", {"write"}),
    ("GET", "/loki/api/v1/query?query=vector(1)", None, {"read"}),
    ("GET", "/loki/api/v1/query_range?query=%7Bapp%3D%22x%22%7D", None, {"read"}),
    ("POST", "/loki/api/v1/labels", None, {"read"}),
    ("GET", "/loki/api/v1/label/app/values", None, {"read"}),
    ("GET", "/loki/api/v1/series", None, {"read"}),
    ("GET", "/loki/api/v1/index/stats?query=%7Bapp%3D%22x%22%7D", None, {"read"}),
    ("GET", "/loki/api/v1/index/volume?query=%7Bapp%3D%22x%22%7D", None, {"read"}),
    ("GET", "/loki/api/v1/detected_labels", None, {"read"}),
    ("GET", "/api/v1/traces/4bf92f3577b34da6a3ce929d0e0e4736/logs", None, {"read"}),
    ("GET", "/loki/api/v1/format_query?query=%7Bapp%3D%22x%22%7D", None, {"read"}),
    ("GET", "/config/tenant/v1/limits", None, {"read"}),
    ("GET", "/loki/api/v1/status/buildinfo", None, {"write", "read", "delete", "admin"}),
    ("GET", "/metrics", None, {"admin"}),
    ("GET", "/config", None, {"admin"}),
    ("GET", "/services", None, {"admin"}),
    ("GET", "/log_level", None, {"admin"}),
    ("POST", "/log_level?log_level=info", None, {"admin"}),
    ("POST", "/flush", None, {"admin"}),
    ("GET", "/ready", None, {"write", "read", "delete", "admin", None}),
]


def scenario_roles(ctx):
    d, _ = with_auth(ctx, "bearer", item("w", "tok-w", "write") + item("r", "tok-r", "read") + item("d", "tok-d", "delete") +
                     item("a", "tok-a", "admin"))
    for method, path, body, may in ENDPOINTS:
        for role, headers in list(ROLES.items()) + [(None, {})]:
            content = body("x") if body else None
            status = d.request(method, path, content, {"Content-Type": "application/json", **headers}).status
            if role in may:
                check(status not in (401, 403, 404, 405, 429), "%s %s as %s answered %d" % (method, path, role, status))
            else:
                check_eq(status, 403 if role else 401, "%s %s as %s" % (method, path, role))


def scenario_admin_listen(ctx):
    """Pages for operators on an address of their own need no credential, and the main one has them no more."""
    from harness import free_port
    import http.client
    port = free_port()
    d, _ = with_auth(ctx, "bearer", item("a", "tok-a", "admin, read"), admin_listen="127.0.0.1:%d" % port)
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def admin(path, **headers):
        conn.request("GET", path, headers=headers)
        answer = conn.getresponse()
        answer.read()
        return answer.status

    check_eq(admin("/metrics"), 200, "/metrics there")
    check_eq(admin("/metrics", Host="evil.example"), 403, "where nobody logs in the host still counts")
    check_eq(admin("/loki/api/v1/labels"), 404, "nothing else there")
    check_eq(d.request("GET", "/metrics", headers=bearer("tok-a")).status, 404, "/metrics here")


def scenario_csrf_with_basic(ctx):
    """A browser adds what it remembers of Basic to requests of any page."""
    d, _ = with_auth(ctx, "basic", item("ann", "pw", "read, write, admin"), allowed_origins="https://grafana.example")
    ann = basic("ann", "pw")
    evil = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    for method, path in (("POST", "/flush"), ("POST", "/loki/api/v1/push"), ("POST", "/log_level")):
        check_eq(d.request(method, path, b"", {**ann, **evil}).status, 403, "%s by a page of another site" % path)
    check_eq(d.request("POST", "/flush", b"", {**ann, **evil, "X-Spoor-Request": "1"}).status, 204, "a header it cannot set")
    check_eq(d.request("POST", "/flush", b"", {**ann, "Origin": "https://grafana.example"}).status, 204, "an allowed origin")
    check_eq(d.request("POST", "/flush", b"", {**ann, "Origin": "http://127.0.0.1:%d" % d.port}).status, 204, "its own page")
    check_eq(d.request("POST", "/flush", b"", ann).status, 204, "no page at all")


def scenario_tenants(ctx):
    d, _ = with_auth(ctx, "bearer", item("one", "tok-1", "read, write", "[acme]") + item("two", "tok-2", "read, write", "[acme, globex]") +
                     item("all", "tok-0", "read, write, admin", '"*"'), auth_enabled="true", multi_tenant_queries_enabled="true")

    def status(token, tenant, path="/loki/api/v1/labels"):
        return d.request("GET", path, headers={**bearer(token), **({"X-Scope-OrgID": tenant} if tenant else {})}).status

    for token, tenant, want in (("tok-1", None, 200), ("tok-1", "acme", 200), ("tok-1", "globex", 403), ("tok-1", "acme|globex", 403),
                                ("tok-2", None, 401), ("tok-2", "globex", 200), ("tok-2", "globex|acme", 200), ("tok-2", "acme|x", 403),
                                ("tok-0", None, 401), ("tok-0", "x", 200), ("tok-0", "a/b", 400), ("tok-0", "..", 400)):
        check_eq(status(token, tenant), want, "%s for %s" % (token, tenant))
    check_eq(push(d, bearer("tok-1"), "of acme").status, 204, "a push needs no header either")
    check_eq(push(d, {**bearer("tok-2"), "X-Scope-OrgID": "acme|globex"}).status, 400, "a push to two")
    answer = d.request("GET", "/loki/api/v1/label/app/values", headers={**bearer("tok-0"), "X-Scope-OrgID": "acme"})
    check_eq(answer.json()["data"], ["x"], "it went there")
    check_eq(status("tok-1", "acme", "/config/tenant/v1/limits"), 200, "its limits")
    check_eq(status("tok-2", None, "/config/tenant/v1/limits"), 401, "whose limits?")


def scenario_overrides(ctx):
    path = os.path.join(ctx.tmp, "overrides.yaml")

    def write(text):
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def push_as(tenant, n):
        return d.request("POST", "/loki/api/v1/push", body_of("a" * n), {"Content-Type": "application/json", "X-Scope-OrgID": tenant}).status

    def limit_of(tenant):
        text = d.request("GET", "/config/tenant/v1/limits", headers={"X-Scope-OrgID": tenant}).text
        return [line for line in text.splitlines() if line.startswith("max_line_size:")][0].split()[1]

    write("overrides:\n  small: {max_line_size: 100}\n")
    d = ctx.daemon({"auth_enabled": "true", "per_tenant_override_config": path, "max_line_size": "1000"})
    check_eq((push_as("small", 150), push_as("other", 150), push_as("other", 1500)), (400, 204, 400), "limits at the start")
    check_eq((limit_of("small"), limit_of("other")), ("100", "1000"), "limits shown")
    check_eq(d.request("GET", "/config/tenant/v1/limits").status, 401, "no tenant")
    write("overrides:\n  small: {max_line_size: 200}\n")
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: limit_of("small") == "200", 10, "the new limit")
    check_eq((push_as("small", 150), push_as("small", 250), push_as("other", 999)), (204, 400, 204), "limits after SIGHUP")
    for bad in ("overrides:\n  small: {max_line_size: what}\n", "overrides:\n  small: {max_line_sise: 5}\n", "overrides: [\n",
                "overrides:\n  small: {retention_stream: '{app=}=48h', max_line_size: 300}\n",
                "overrides:\n  small: {max_line_size: 300}\n  'a/b': {}\n"):
        seen = d.log_text().count("overrides.yaml")
        write(bad)
        d.process.send_signal(signal.SIGHUP)
        wait_for(lambda: d.log_text().count("overrides.yaml") > seen, 10, "a word about the bad file")
        check_eq((limit_of("small"), limit_of("other")), ("200", "1000"), "the former stay after %r" % bad)
    write("overrides:\n  other: {max_line_size: 2000}\n")
    wait_for(lambda: limit_of("other") == "2000", 30, "a change that nobody announced")
    check_eq((limit_of("small"), push_as("other", 1500)), ("1000", 204), "all of the file")


def ask(d, tenant, path, **params):
    text = urllib.parse.urlencode([(k, v) for k, v in params.items() if v is not None])
    answer = d.request("GET", path + "?" + text, headers={"X-Scope-OrgID": tenant})
    check_eq(answer.status, 200, "%s of %s: %r" % (path, tenant, answer))
    return answer.json()


def tagged(streams, tenant, key):
    return [{**s, key: {**s[key], "__tenant_id__": tenant}} for s in streams]


def canonical(v):
    return sorted(json.dumps(x, sort_keys=True) for x in v)


def scenario_several_tenants(ctx):
    """Each answer for a|b is that for a and that for b, with one label more; in memory, on disk, and half of each."""
    d = ctx.daemon({"auth_enabled": "true", "multi_tenant_queries_enabled": "true"})
    t = now_ns() // NS * NS - 600 * NS
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    def fill(tenant, app, first, n):
        entries = [(t + (first + i) * NS, 'level=%s n=%d who=%s' % ("error" if i % 5 == 0 else "info", i, tenant)) for i in range(n)]
        entries.append((t + first * NS + 7, "trace_id=%s of %s" % (trace, tenant)))
        d.push_body(push_json([({"app": app, "env": "prod"}, entries)]), tenant=tenant)

    window = {"start": t - NS, "end": t + 300 * NS}
    for step in ("memory", "disk", "both"):
        if step == "memory":
            fill("a", "web", 0, 50)
            fill("b", "web", 0, 70)
            fill("b", "db", 3, 20)
            fill("c", "secret", 0, 20)
        if step == "disk":
            d.flush()
        if step == "both":
            fill("a", "web", 100, 40)

        def both(path, key, pick=lambda a: a["data"]["result"], **params):
            want = tagged(pick(ask(d, "a", path, **params)), "a", key) + tagged(pick(ask(d, "b", path, **params)), "b", key)
            for header in ("a|b", "b|a|b"):
                got = pick(ask(d, header, path, **params))
                check_eq(canonical(got), canonical(want), "%s %s in %s" % (path, params, step))
            return want

        for query in ('{env="prod"}', '{env="prod"} |= "error"', '{app="web"} | logfmt | n > 10', '{app="db"}',
                      '{env="prod"} |= "%s"' % trace):
            found = both("/loki/api/v1/query_range", "stream", query=query, limit=1000, **window)
            check(len(found) > 0, "something is found by " + query)
        both("/loki/api/v1/query_range", "metric", query='count_over_time({env="prod"}[10s])', step="10s", **window)
        both("/loki/api/v1/query", "metric", query='rate({env="prod"}[5m])', time=t + 200 * NS)
        series = lambda a: [{"s": s} for s in a["data"]]
        both("/loki/api/v1/series", "s", pick=series, **{"match[]": '{env="prod"}'}, **window)
        # grouped by tenant, and not
        counts = {x: ask(d, x, "/loki/api/v1/query", query='sum(count_over_time({env="prod"}[10m]))', time=t + 300 * NS)
                  ["data"]["result"][0]["value"][1] for x in ("a", "b", "a|b")}
        check_eq(int(counts["a|b"]), int(counts["a"]) + int(counts["b"]), "sum over tenants")
        by = ask(d, "a|b", "/loki/api/v1/query", query='sum by (__tenant_id__) (count_over_time({env="prod"}[10m]))', time=t + 300 * NS)
        check_eq({s["metric"]["__tenant_id__"]: s["value"][1] for s in by["data"]["result"]}, {"a": counts["a"], "b": counts["b"]},
                 "sum by tenant")
        # a matcher chooses among them
        for selector, tenants in (('{__tenant_id__="b"}', {"b"}), ('{env="prod", __tenant_id__!="b"}', {"a"}),
                                  ('{env="prod", __tenant_id__=~"a|c"}', {"a"}), ('{env="prod", __tenant_id__="c"}', set())):
            found = ask(d, "a|b", "/loki/api/v1/query_range", query=selector, limit=1000, **window)["data"]["result"]
            check_eq({s["stream"]["__tenant_id__"] for s in found}, tenants, selector)
        check_eq(ask(d, "a|b", "/loki/api/v1/labels", **window)["data"], ["__tenant_id__", "app", "env", "service_name"], "labels")
        check_eq(ask(d, "a|b|nobody", "/loki/api/v1/label/__tenant_id__/values", **window)["data"], ["a", "b", "nobody"], "the tenants")
        check_eq(ask(d, "a|b", "/loki/api/v1/label/app/values", **window)["data"], ["db", "web"], "values")
        check_eq(ask(d, "a|a", "/loki/api/v1/labels", **window)["data"], ["app", "env", "service_name"], "one tenant named twice")
        stats = {x: ask(d, x, "/loki/api/v1/index/stats", query='{env="prod"}', **window) for x in ("a", "b", "a|b")}
        for key in ("streams", "chunks", "bytes", "entries"):
            check_eq(stats["a|b"][key], stats["a"][key] + stats["b"][key], "stats: " + key)
        volume = {x: {s["metric"]["app"]: int(s["value"][1]) for s in ask(d, x, "/loki/api/v1/index/volume", query='{app=~".+"}', **window)
                      ["data"]["result"]} for x in ("a", "b", "a|b")}
        check_eq(volume["a|b"], {"web": volume["a"]["web"] + volume["b"]["web"], "db": volume["b"]["db"]}, "volume")
        volume = ask(d, "a|b", "/loki/api/v1/index/volume", query='{env="prod"}', targetLabels="__tenant_id__", **window)["data"]["result"]
        check_eq({s["metric"]["__tenant_id__"] for s in volume}, {"a", "b"}, "volume by tenant")
        fields = {f["label"]: f["cardinality"] for f in ask(d, "a|b", "/loki/api/v1/detected_fields", query='{env="prod"}', **window)["fields"]}
        check_eq(fields.get("who"), 2, "detected fields: %r" % fields)
        detected = {f["label"]: f["cardinality"] for f in ask(d, "a|b", "/loki/api/v1/detected_labels", **window)["detectedLabels"]}
        check_eq(detected.get("__tenant_id__"), 2, "detected labels: %r" % detected)
        found = ask(d, "a|b", "/api/v1/traces/%s/logs" % trace)["entries"]
        check_eq({e["labels"]["__tenant_id__"] for e in found}, {"a", "b"}, "a trace over tenants")
        one = [len(ask(d, x, "/api/v1/traces/%s/logs" % trace)["entries"]) for x in ("a", "b")]
        check_eq(len(found), sum(one), "its lines")
    check_eq(d.request("GET", "/loki/api/v1/labels", headers={"X-Scope-OrgID": "a|b/"}).status, 400, "a bad id among them")
    # what a tenant deletes is gone from its part alone, and patterns are asked of one tenant
    done = d.request("POST", "/loki/api/v1/delete?" + urllib.parse.urlencode(
        {"query": '{app="web"}', "start": (t - NS) // NS, "end": (t + 300 * NS) // NS}), headers={"X-Scope-OrgID": "a"})
    check_eq(done.status, 204, "a delete: %r" % done)
    found = ask(d, "a|b", "/loki/api/v1/query_range", query='{app="web"}', limit=1000, **window)["data"]["result"]
    check_eq({s["stream"]["__tenant_id__"] for s in found}, {"b"}, "after a delete")
    check_eq(d.request("GET", "/loki/api/v1/patterns?query=%7Bapp%3D%22web%22%7D", headers={"X-Scope-OrgID": "a|b"}).status, 400,
             "patterns of two")
    d.stop()
    d.settings["multi_tenant_queries_enabled"] = "false"
    d.start()
    check_eq(d.request("GET", "/loki/api/v1/labels", headers={"X-Scope-OrgID": "a|b"}).status, 400, "off by default")


def scenario_client_certificates(ctx):
    from tls import Authority
    import http.client
    import socket
    import ssl
    authority = Authority(os.path.join(ctx.tmp, "pki"))
    cert, key = authority.issue("server")
    path = os.path.join(ctx.tmp, "credentials.yaml")
    write_private(path, "credentials:\n  - {name: agent, certificate: agent.example, roles: [write]}\n"
                  "  - {name: reader, certificate: reader.example, roles: [read]}\n")
    d = ctx.daemon({"auth": "mtls", "auth_file": path, "tls_cert_file": cert, "tls_key_file": key,
                    "tls_client_ca_file": authority.path("pem")}, start=False)
    d.spawn()

    def ask_as(name, method, target, body=None):
        context = authority.trust()
        if name:
            context.load_cert_chain(*authority.issue(name, "/CN=%s.example" % name, "DNS:%s.example" % name, "clientAuth"))
        conn = http.client.HTTPSConnection("localhost", d.port, timeout=20, context=context)
        conn.request(method, target, body, {"Content-Type": "application/json"})
        return conn.getresponse().status

    def listens():
        try:
            socket.create_connection(("127.0.0.1", d.port), timeout=5).close()
            return True
        except OSError:
            return False

    wait_for(listens, 20, "the daemon to listen")
    check_eq(ask_as("agent", "POST", "/loki/api/v1/push", body_of("a")), 204, "a push")
    check_eq(ask_as("agent", "GET", "/loki/api/v1/labels"), 403, "a read by an agent")
    check_eq(ask_as("reader", "GET", "/loki/api/v1/labels"), 200, "a read")
    check_eq(ask_as("stranger", "GET", "/loki/api/v1/labels"), 403, "a name that is not in the file")
    check_eq(ask_as(None, "GET", "/ready"), 200, "/ready")
    check_eq(ask_as(None, "GET", "/loki/api/v1/labels"), 403, "no certificate")


def scenario_grpc(ctx):
    """OTLP over gRPC asks for credentials as HTTP does; a password is verified while the message comes."""
    from harness import free_port
    from otlp_grpc import import_grpc
    grpc = import_grpc()
    port = free_port()
    d, _ = with_auth(ctx, "basic", item("ann", "pw", "write, read, admin") + item("bob", "pw", "read"),
                     otlp_grpc_listen="127.0.0.1:%d" % port)
    with grpc.insecure_channel("127.0.0.1:%d" % port) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                                     request_serializer=bytes, response_deserializer=bytes)

        def code(headers):
            try:
                export(b"", timeout=20 * SLOWER, metadata=[(k.lower(), v) for k, v in headers.items()])
                return grpc.StatusCode.OK
            except grpc.RpcError as e:
                return e.code()

        check_eq(code({}), grpc.StatusCode.UNAUTHENTICATED, "no credentials")
        check_eq(code(basic("ann", "wrong")), grpc.StatusCode.UNAUTHENTICATED, "a wrong password")
        check_eq(code(basic("bob", "pw")), grpc.StatusCode.PERMISSION_DENIED, "a reader")
        for _ in range(3):
            check_eq(code(basic("ann", "pw")), grpc.StatusCode.OK, "an export")


def scenario_start_refused(ctx):
    """A daemon that could not check credentials as told does not start."""
    import subprocess
    from harness import spoord_path
    path = os.path.join(ctx.tmp, "c.yaml")
    data = os.path.join(ctx.tmp, "x")
    write_private(path, "credentials:\n" + item("a", "tok-a", "admin"))
    for more, word in ((["auth=basic"], "auth_file"), (["auth=basic", "auth_file=" + path], "nobody could log in"),
                       (["auth=bearer", "auth_file=/nonexistent"], "/nonexistent"), (["auth=sometimes"], "auth"),
                       (["auth=mtls", "auth_file=" + path], "tls_client_ca_file"),
                       (["per_tenant_override_config=/nonexistent"], "/nonexistent")):
        args = [a for m in more for a in ("--set", m)]
        done = subprocess.run([spoord_path(), "--data", data, "--listen", "127.0.0.1:0", *args], capture_output=True, timeout=60)
        check_eq(done.returncode, 78, "exit code of %r: %r" % (more, done.stderr))
        check(word in done.stderr.decode(), "the message says %s" % word, done.stderr)
    done = subprocess.run([spoord_path(), "--check-config", "--set", "auth=bearer", "--set", "auth_file=" + path], capture_output=True, timeout=60)
    check_eq(done.returncode, 0, "--check-config: %r" % done.stderr)
    done = subprocess.run([spoord_path(), "--check-config", "--set", "auth=basic", "--set", "auth_file=" + path], capture_output=True, timeout=60)
    check_eq(done.returncode, 78, "--check-config of a file that does not fit")
