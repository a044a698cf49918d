"""Rules on schedule: alerts that become pending, fire, reach Alertmanager and are resolved; recording rules on /metrics
and by remote write; what survives a restart. The receivers are made of http.server here; tests/clients/prometheus.py has
the real ones."""
import base64
import http.server
import json
import math
import os
import struct
import threading
import time

from harness import NS, check, check_eq, now_ns, wait_for


# ------------------------------------------------------------------ receivers

class Receiver:
    """Keeps what is posted to it; answers(n) gives the status of the n-th request."""

    def __init__(self, answers=lambda n: 200):
        receiver = self
        self.requests, self.lock = [], threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.requests.append((self.path, dict(self.headers), body))
                    status = answers(len(receiver.requests))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()

    def seen(self):
        with self.lock:
            return list(self.requests)

    def alerts(self):
        return [alert for _, _, body in self.seen() for alert in json.loads(body)]

    def samples(self):
        """[(labels, time in ms, bits of the value)]"""
        return [sample for _, _, body in self.seen() for sample in write_request(unsnappy(body))]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def unsnappy(data):
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        kind, n = data[at] & 3, data[at] >> 2
        at += 1
        if kind == 0:
            if n >= 60:
                more = n - 59
                n = int.from_bytes(data[at:at + more], "little")
                at += more
            out += data[at:at + n + 1]
            at += n + 1
            continue
        if kind == 1:
            n, offset, at = (n & 7) + 4, (n >> 3) << 8 | data[at], at + 1
        else:
            width = 2 if kind == 2 else 4
            n, offset, at = n + 1, int.from_bytes(data[at:at + width], "little"), at + width
        for _ in range(n):
            out.append(out[-offset])
    check_eq(len(out), size, "bytes of a Snappy block")
    return bytes(out)


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
        yield tag >> 3, value


def write_request(data):
    found = []
    for number, series in fields(data):
        check_eq(number, 1, "field of a WriteRequest")
        labels, samples = [], []
        for number, value in fields(series):
            parts = dict(fields(value))
            if number == 1:
                labels.append((parts[1].decode(), parts[2].decode()))
            else:
                samples.append((parts.get(2, 0), struct.unpack("<Q", parts[1])[0]))
        check_eq([name for name, _ in labels], sorted(name for name, _ in labels), "labels are sorted")
        found += [(dict(labels), ms, bits) for ms, bits in samples]
    return found


STALE = 0x7ff0000000000002


def double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


# ------------------------------------------------------------------ rules

def set_rules(d, group, tenant=None):
    headers = {"Content-Type": "application/yaml", **({"X-Scope-OrgID": tenant} if tenant else {})}
    answer = d.request("POST", "/loki/api/v1/rules/shop", group, headers)
    check_eq(answer.status, 202, "POST of a group: %r" % answer)


def rules(d, tenant=None, **params):
    import urllib.parse
    query = "?" + urllib.parse.urlencode(params) if params else ""
    answer = d.request("GET", "/prometheus/api/v1/rules" + query, headers={"X-Scope-OrgID": tenant} if tenant else {})
    check_eq(answer.status, 200, "GET rules: %r" % answer)
    return [rule for group in answer.json()["data"]["groups"] for rule in group["rules"]]


class Pusher:
    """One line a moment, until it is stopped."""

    def __init__(self, d, labels, line="level=error boom", tenant=None):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(d, labels, line, tenant), daemon=True)
        self.thread.start()

    def run(self, d, labels, line, tenant):
        from harness import push_json
        while not self.stop.is_set():
            d.push_body(push_json([(labels, [(now_ns(), line)])]), tenant=tenant)
            self.stop.wait(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.stop.set()
        self.thread.join()


ERRORS = """
name: errors
interval: 1s
rules:
  - alert: ManyErrors
    expr: sum by (app) (count_over_time({env="prod"} |= "error" [2s])) > 0
    for: %s
    labels:
      severity: page
      team: '{{ $labels.app | toUpper }}'
    annotations:
      summary: '{{ $labels.app }}: {{ if gt $value 0.0 }}many{{ end }} errors'
      broken: '{{ $labels.app | humanize }}'
"""


def alerting(d):
    found = [r for r in rules(d) if r["type"] == "alerting"]
    check(len(found) <= 1, "one alerting rule", found)
    return found[0] if found else None


def state_is(d, state):
    rule = alerting(d)
    return rule is not None and rule["state"] == state


def scenario_alert(ctx):
    """inactive, pending, firing, told to Alertmanager, resolved, told again"""
    with Receiver() as manager:
        d = ctx.daemon(settings={"ruler_alertmanager_url": manager.url + "/prefix/",
                                 "ruler_external_url": "https://grafana.example/base/"})
        set_rules(d, ERRORS % "2s")
        rule = alerting(d)
        check_eq((rule["state"], rule["health"], rule["alerts"]), ("inactive", "unknown", []), "before the first evaluation")
        check_eq(rule["lastEvaluation"], "0001-01-01T00:00:00Z", "not yet evaluated")
        wait_for(lambda: alerting(d)["health"] == "ok", 10, "the first evaluation")
        with Pusher(d, {"app": "web", "env": "prod"}):
            wait_for(lambda: state_is(d, "pending"), 10, "pending")
            check_eq(manager.alerts(), [], "pending alerts are not sent")
            wait_for(lambda: state_is(d, "firing"), 20, "firing")
            wait_for(manager.alerts, 10, "Alertmanager to be told")
            rule = alerting(d)
        labels = {"alertname": "ManyErrors", "app": "web", "severity": "page", "team": "WEB"}
        check_eq(rule["labels"], {"severity": "page", "team": "{{ $labels.app | toUpper }}"}, "labels of the rule as written")
        check_eq(list(rule), ["state", "name", "query", "duration", "labels", "annotations", "alerts", "health", "lastError",
                              "type", "lastEvaluation", "evaluationTime"], "members of a rule, in order")
        alert = rule["alerts"][0]
        check_eq(list(alert), ["labels", "annotations", "state", "activeAt", "value"], "members of an alert, in order")
        check_eq((alert["labels"], alert["state"]), (labels, "firing"), "the alert")
        check("e+00" in alert["value"] or "e+01" in alert["value"], "value in e notation", alert["value"])
        check_eq(alert["annotations"]["summary"], "web: many errors", "a template")
        check(alert["annotations"]["broken"].startswith("<error expanding template: error executing template __alert_ManyErrors: "),
              "a template that fails", alert["annotations"]["broken"])
        path, headers, _ = manager.seen()[0]
        check_eq((path, headers["Content-Type"]), ("/prefix/api/v2/alerts", "application/json"), "the request")
        sent = manager.alerts()[0]
        check_eq((sent["labels"], sent["annotations"]), (labels, alert["annotations"]), "what Alertmanager got")
        check(sent["startsAt"] < sent["endsAt"], "it ends in the future", sent)
        check(sent["generatorURL"].startswith("https://grafana.example/base/explore?left=%7B%22queries"), "link", sent)
        n = len(d.get("/prometheus/api/v1/alerts").json()["data"]["alerts"])
        check_eq(n, 1, "/prometheus/api/v1/alerts")
        wait_for(lambda: state_is(d, "inactive"), 20, "resolved")

        def resolved():
            last = manager.alerts()[-1]
            return last["startsAt"] == sent["startsAt"] and last["endsAt"] < sent["endsAt"]

        wait_for(resolved, 10, "Alertmanager to be told that it is over")
        check_eq(d.get("/prometheus/api/v1/alerts").json()["data"]["alerts"], [], "no alert any more")
        check(d.metrics()["spoor_rule_notifications_sent_total"] >= 2, "counted")


def scenario_state_over_restarts(ctx):
    d = ctx.daemon()
    d.push({"app": "web", "env": "prod"}, [(now_ns() - NS, "error")])
    set_rules(d, (ERRORS % "1h").replace("[2s]", "[1h]"))
    wait_for(lambda: state_is(d, "pending"), 10, "pending")

    def active_at():
        return alerting(d)["alerts"][0]["activeAt"]

    def evaluated_again():
        before = alerting(d)["lastEvaluation"]
        wait_for(lambda: alerting(d)["lastEvaluation"] > before and alerting(d)["health"] == "ok", 10, "an evaluation")

    since = active_at()
    d.restart()
    evaluated_again()
    check_eq(active_at(), since, "after SIGTERM")
    state = os.path.join(d.data, "rules-state.json")
    d.kill_and_start()
    evaluated_again()
    check_eq(active_at(), since, "after SIGKILL")
    # a rule of the group that changes does not disturb the other
    set_rules(d, (ERRORS % "1h").replace("[2s]", "[1h]") + "  - record: a:b\n    expr: vector(1)\n")
    wait_for(lambda: len(rules(d)) == 2, 5, "the changed group")
    evaluated_again()
    check_eq(active_at(), since, "after a change of the group")
    d.stop()
    with open(state, "r+b") as f:
        f.truncate(40)
    d.start()
    wait_for(lambda: state_is(d, "pending"), 10, "pending again")
    check(active_at() > since, "a damaged file is no state")
    check("alerts begin afresh" in d.log_text(), "and that is said")


RECORDING = """
name: rates
interval: 1s
rules:
  - record: app:errors:count
    expr: sum by (app) (count_over_time({env="prod"} |= "error" [2s]))
    labels:
      source: logs
  - record: const
    expr: vector(0.5)
  - record: up
    expr: count_over_time({nothing="here"}[1m])
"""


def scenario_recording_rules(ctx):
    with Receiver() as receiver:
        d = ctx.daemon(settings={"ruler_remote_write_url": receiver.url + "/api/v1/write"})
        series = 'app:errors:count{app="web",source="logs"}'
        set_rules(d, RECORDING)
        with Pusher(d, {"app": "web", "env": "prod"}):
            wait_for(lambda: d.metrics().get(series, 0) > 0, 15, "the gauge")
        check_eq(d.metrics()["const"], 0.5, "a series without labels")
        check("# TYPE app:errors:count gauge" in d.get("/metrics").text, "its type")
        check_eq([r["name"] for r in rules(d, type="record")], ["app:errors:count", "const", "up"], "as rules")
        check_eq(list(rules(d, type="record")[0]), ["name", "query", "labels", "health", "lastError", "type", "lastEvaluation",
                                                    "evaluationTime"], "members of a recording rule, in order")
        wait_for(lambda: series not in d.metrics(), 15, "the gauge to go away")
        labels = {"__name__": "app:errors:count", "app": "web", "source": "logs"}

        def ended():
            found = [s for s in receiver.samples() if s[0] == labels]
            return found and found[-1][2] == STALE

        wait_for(ended, 10, "the mark of the end")
        path, headers, _ = receiver.seen()[0]
        check_eq((path, headers["Content-Encoding"], headers["X-Prometheus-Remote-Write-Version"], headers["X-Scope-OrgID"]),
                 ("/api/v1/write", "snappy", "0.1.0", "fake"), "the request")
        found = [s for s in receiver.samples() if s[0] == labels]
        check(len(found) >= 2 and double(found[0][2]) >= 1, "values first", found[:3])
        times = [ms for _, ms, _ in found]
        check_eq(times, sorted(times), "in order of time")
        check(abs(times[0] / 1000 - time.time()) < 60, "in milliseconds", times[0])
        const = [s for s in receiver.samples() if s[0] == {"__name__": "const"}]
        check(const and all(double(bits) == 0.5 for _, _, bits in const), "const", const[:3])
        # a group that goes away ends its series
        check_eq(d.request("DELETE", "/loki/api/v1/rules/shop/rates").status, 202, "DELETE")
        wait_for(lambda: [s for s in receiver.samples() if s[0] == {"__name__": "const"}][-1][2] == STALE, 15, "its end")
        check("const" not in d.metrics(), "not on /metrics any more")
        check(math.isnan(double(STALE)), "the mark is no number")


def scenario_receivers_that_fail(ctx):
    """503 is tried again, 400 is not; credentials of a URL are used and not shown."""
    with Receiver(lambda n: 503 if n <= 2 else 200) as manager, Receiver(lambda n: 400) as receiver:
        d = ctx.daemon(settings={"ruler_alertmanager_url": manager.url.replace("//", "//me:s3cr%40t@"),
                                 "ruler_remote_write_url": receiver.url.replace("//", "//you:s3cr%40t@") + "/write"})
        with Pusher(d, {"app": "web", "env": "prod"}):
            set_rules(d, ERRORS % "0s")
            wait_for(lambda: len(manager.seen()) >= 3, 30, "the third attempt")
            wait_for(lambda: d.metrics()["spoor_rule_notifications_sent_total"] >= 1, 10, "success at last")
        first, third = manager.seen()[0], manager.seen()[2]
        check_eq(first[2], third[2], "the same again")
        check_eq(first[1]["Authorization"], "Basic " + base64.b64encode(b"me:s3cr@t").decode(), "basic authentication")
        metrics = d.metrics()
        check(metrics["spoor_rule_notifications_failed_total"] >= 2, "failures are counted", metrics)
        wait_for(lambda: d.metrics()["spoor_rule_samples_dropped_total"] >= 2, 10, "refused samples to be dropped")
        check("delivery refused" in d.log_text(), "refusals are in the log")
        check("s3cr" not in d.log_text(), "no password in the log")
        check("s3cr" not in d.get("/config").text, "nor in /config")
        check_eq(d.get("/ready").status, 200, "nobody else minds")


def scenario_rule_errors(ctx):
    d = ctx.daemon(settings={"max_query_series": "2"})
    t = now_ns()
    for i in range(5):
        d.push({"app": "a%d" % i, "env": "prod"}, [(t - NS, "error")])
    set_rules(d, "name: g\ninterval: 1s\nlimit: 1\nrules:\n"
                 '  - record: too:many\n    expr: sum by (app) (count_over_time({env="prod"}[1h]))\n'
                 '  - record: same:labels\n    expr: sum by (app) (count_over_time({app=~"a[01]"}[1h]))\n    labels: {app: x}\n'
                 '  - record: over:limit\n    expr: sum by (app) (count_over_time({app=~"a[01]"}[1h]))\n'
                 "  - record: fine\n    expr: vector(1)\n")
    wait_for(lambda: [r["health"] for r in rules(d)] == ["err", "err", "err", "ok"], 10, "health of the rules")
    errors = [r["lastError"] for r in rules(d)]
    check("maximum" in errors[0] and "series" in errors[0], "the query's error", errors[0])
    check_eq(errors[1], "vector contains metrics with the same labelset after applying rule labels", "duplicates")
    check_eq(errors[2], "exceeded limit of 1 with 2 series", "limit")
    check_eq(errors[3], "", "no error")
    metrics = d.metrics()
    check(metrics["spoor_rule_evaluation_failures_total"] >= 3, "failures are counted")
    check(metrics["spoor_rule_evaluations_total"] >= 4, "evaluations are counted")
    check("over:limit" not in d.get("/metrics").text, "no result")


def scenario_tenants_apart(ctx):
    d = ctx.daemon(settings={"auth_enabled": "true"})
    group = 'name: g\ninterval: 1s\nrules:\n  - record: lines\n    expr: sum(count_over_time({app="web"}[1h]))\n'
    for tenant, n in (("one", 1), ("two", 2)):
        for i in range(n):
            from harness import push_json
            d.push_body(push_json([({"app": "web"}, [(now_ns() - NS, "line %d" % i)])]), tenant=tenant)
        set_rules(d, group, tenant=tenant)
    wait_for(lambda: d.metrics().get('lines{tenant="two"}') == 2 and d.metrics().get('lines{tenant="one"}') == 1, 10,
             "both tenants' gauges")
    check_eq([r["name"] for r in rules(d, tenant="one")], ["lines"], "a tenant's own rules")
    check_eq(rules(d, tenant="three"), [], "another tenant has none")
