#!/usr/bin/env python3
"""Interoperability with clients from the Go and Python registries: the OpenTelemetry Collector (otlp receiver, otlphttp and
otlp exporters), the OpenTelemetry SDK for Python, and logcli with each of its commands. Builds them below $SPOOR_BINDIR,
runs them against a fresh spoord, and writes what was run and seen to docs/interop.md. `make interop` calls it.
"""
import datetime
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
from harness import BINDIR, NS, Skip, check, check_eq, free_port, now_ns, run_functions, wait_for  # noqa: E402

WORK = os.path.join(BINDIR, "tests", "interop", "work")
RECORD = os.path.join(HERE, "..", "..", "docs", "interop.md")
LOKI, COLLECTOR = "v3.7.8", "v0.165.0"
LOKI_PUSH = "github.com/grafana/loki/pkg/push"
record = []  # lines of docs/interop.md


def run(*args, cwd=None, env=None, timeout=1800):
    done = subprocess.run(args, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, timeout=timeout)
    check(done.returncode == 0, shlex.join(args), done.stdout.decode()[-2000:], done.stderr.decode()[-2000:])
    return done.stdout.decode()


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Skip(program + " is not installed")
    return path


# ---------------------------------------------------------------- building


def from_loki(program):
    """From the module's own source: its replace directives forbid `go install`."""
    path = os.path.join(WORK, program)
    if not os.path.exists(path):
        go = need("go")
        source = os.path.join(WORK, "loki")
        where = json.loads(run(go, "mod", "download", "-json", "github.com/grafana/loki/v3@" + LOKI, cwd=WORK))["Dir"]
        shutil.rmtree(source, ignore_errors=True)
        shutil.copytree(where, source)
        run("chmod", "-R", "u+w", source)
        run(go, "mod", "edit", "-dropreplace=" + LOKI_PUSH, cwd=source)  # a folder that the module does not ship
        run(go, "build", "-o", path, "./cmd/" + program, cwd=source, env={"GOFLAGS": "-mod=mod"})
        shutil.rmtree(source)
    return path


def collector():
    path = os.path.join(WORK, "otelcol", "otelcol")
    if not os.path.exists(path):
        go = need("go")
        shutil.copy(os.path.join(HERE, "collector.yaml"), WORK)
        run(go, "run", "go.opentelemetry.io/collector/cmd/builder@" + COLLECTOR, "--config", "collector.yaml", cwd=WORK,
            env={"GOFLAGS": ""})
    return path


def python():
    path = os.path.join(WORK, "venv", "bin", "python")
    stamp = os.path.join(WORK, "venv", "requirements.txt")
    wanted = os.path.join(HERE, "requirements.txt")
    if not os.path.exists(stamp) or open(stamp).read() != open(wanted).read():
        run(sys.executable, "-m", "venv", os.path.join(WORK, "venv"))
        run(path, "-m", "pip", "install", "-q", "-r", wanted)
        shutil.copy(wanted, stamp)
    return path


# ---------------------------------------------------------------- what is tested


def note(text):
    record.append(text)


def hour(d, query):
    return d.entries(query, now_ns() - 3600 * NS, now_ns() + NS)


COLLECTOR_CONFIG = """
receivers:
  otlp:
    protocols: { grpc: { endpoint: "127.0.0.1:%(grpc)d" }, http: { endpoint: "127.0.0.1:%(http)d" } }
processors: { batch: { timeout: 200ms } }
exporters:
  otlphttp: { endpoint: "http://127.0.0.1:%(spoor)d/otlp", encoding: %(encoding)s, compression: %(compression)s }
  otlp: { endpoint: "127.0.0.1:%(spoor_grpc)d", tls: { insecure: true }, compression: %(grpc_compression)s }
service:
  telemetry: { metrics: { level: none } }
  pipelines: { logs: { receivers: [otlp], processors: [batch], exporters: [%(exporter)s] } }
"""


def through_collector(d, exporter, encoding="proto", compression="gzip"):
    """Python SDK -> Collector -> spoor; the same entries whatever the Collector speaks."""
    col, py = collector(), python()
    ports = {"grpc": free_port(), "http": free_port(), "spoor": d.port, "spoor_grpc": int(d.settings["otlp_grpc_listen"].split(":")[1]),
             "exporter": exporter, "encoding": encoding, "compression": compression,
             "grpc_compression": compression if exporter == "otlp" else "gzip"}
    with tempfile.TemporaryDirectory() as tmp:
        config = os.path.join(tmp, "collector.yaml")
        with open(config, "w") as f:
            f.write(COLLECTOR_CONFIG % ports)
        log = open(os.path.join(tmp, "log"), "wb")
        process = subprocess.Popen([col, "--config", config], stdout=log, stderr=log)
        try:
            wait_for(lambda: process.poll() is not None or "Everything is ready" in open(log.name).read(), 30, "the Collector")
            check(process.poll() is None, "the Collector ended", open(log.name).read())
            spans = json.loads(run(py, os.path.join(HERE, "app.py"), "127.0.0.1:%d" % ports["grpc"],
                                   "http://127.0.0.1:%d/v1/logs" % ports["http"], os.path.join(tmp, "app.json")))["spans"]
            check_app(d, spans, ("py-grpc", "py-http"))
            process.terminate()
            process.wait(60)
            check("error" not in open(log.name).read().lower(), "the Collector's log", open(log.name).read())
        finally:
            process.kill()
            process.wait()
    note("- Python SDK → Collector %s → `%s` exporter%s: %d records by two services, each found by its trace id."
         % (COLLECTOR, exporter, " (%s, %s)" % (encoding, compression) if exporter == "otlphttp" else " (gRPC, %s)" % compression, 44))


def check_app(d, spans, services):
    last = spans[-1]["traceId"]  # of the application's end: the others came before
    wait_for(lambda: {e["labels"]["service_name"] for e in d.trace(last)["entries"]} >= set(services), 30, "records of the last span")
    for span in spans:
        wanted = ["order %d placed" % span["n"]] + (["order %d could not be paid" % span["n"]] if span["n"] % 10 == 7 else [])
        found = d.trace(span["traceId"])["entries"]
        for s in services:
            mine = [e for e in found if e["labels"]["service_name"] == s]
            check_eq(sorted(e["line"] for e in mine), sorted(wanted), "lines of a trace by " + s)
            check_eq({e["metadata"]["span_id"] for e in mine}, {span["spanId"]}, "span id by " + s)
            check_eq({(e["metadata"]["detected_level"], e["metadata"]["severity_text"]) for e in mine},
                     {("info", "INFO"), ("error", "ERROR")} if len(wanted) == 2 else {("info", "INFO")}, "levels by " + s)


def test_collector_otlphttp(d):
    through_collector(d, "otlphttp")
    through_collector(d, "otlphttp", encoding="json", compression="none")
    for compression in ("zstd", "lz4"):
        through_collector(d, "otlphttp", compression=compression)


def test_collector_otlp_grpc(d):
    for compression in ("gzip", "none"):
        through_collector(d, "otlp", compression=compression)


def test_python_sdk(d):
    """Straight to spoor, both protocols; the JSON lines of its formatter by curl."""
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "app.json")
        spans = json.loads(run(python(), os.path.join(HERE, "app.py"), d.settings["otlp_grpc_listen"],
                               "http://%s/v1/logs" % d.settings["otlp_http_listen"], path))["spans"]
        run("curl", "-fsS", "--data-binary", "@" + path, "http://127.0.0.1:%d/api/v1/ingest?labels=service,level" % d.port)
    check_app(d, spans, ("py-grpc", "py-http"))
    for span in spans:
        lines = [json.loads(e["line"]) for e in d.trace(span["traceId"])["entries"] if e["labels"]["service_name"] == "py-json"]
        check("order %d placed" % span["n"] in [x["message"] for x in lines], "JSON lines of a trace", lines)
    note("- Python SDK 1.45.2 straight to spoor, OTLP over gRPC and over HTTP, and its JSON log file by `curl --data-binary`: "
         "one trace id finds the lines of all three.")


def test_logcli(d):
    cli = from_loki("logcli")
    base = now_ns() // NS * NS - 600 * NS
    d.push({"app": "shop", "env": "prod"}, [(base + i * NS, 'level=%s msg="order %d" took=%dms' % ("error" if i % 10 == 7 else "info", i, i)) for i in range(300)])
    d.push({"app": "bank", "env": "test"}, [(base + i * NS, json.dumps({"level": "warn", "n": i})) for i in range(50)])
    span = ["--from=" + at(base - NS), "--to=" + at(base + 400 * NS)]
    env = {"LOKI_ADDR": "http://127.0.0.1:%d" % d.port, "TZ": "UTC"}

    def call(*args):
        out = run(cli, *args, env=env, timeout=60)
        note("| `logcli %s` | %s |" % (shlex.join(a for a in args if not a.startswith(("--from", "--to", "--request-id"))),
                                     summary(out)))
        return out

    note("")
    note("logcli %s, built from its Go module:" % LOKI)
    note("")
    note("| Command | Seen |")
    note("|---|---|")
    lines = call("query", "--limit=1000", "--batch=100", "--forward", "-o", "raw", *span, '{app="shop"}').splitlines()
    check_eq(len(lines), 300, "query pages through all lines")
    check("order 0" in lines[0] and "order 299" in lines[-1], "query --forward", lines[0], lines[-1])
    check_eq(len(call("query", "-q", "-o", "jsonl", *span, '{app="shop"} | logfmt | level="error"').splitlines()), 30, "query with a filter")
    result = json.loads(call("instant-query", "--now=" + at(base + 300 * NS), 'sum by (app) (count_over_time({env=~".+"}[10m]))'))
    check_eq({s["metric"]["app"]: s["value"][1] for s in result}, {"shop": "300", "bank": "50"}, "instant-query")
    result = json.loads(call("query", "--step=60s", *span, 'sum(count_over_time({app="shop"}[1m]))'))
    check(result and len(result[0]["values"]) >= 5, "range query", result)
    check_eq(call("labels", "-q", *span).split(), ["app", "env", "service_name"], "labels")
    check_eq(call("labels", "-q", *span, "app").split(), ["bank", "shop"], "labels app")
    check_eq(len(call("series", "-q", *span, '{env="prod"}').splitlines()), 1, "series")
    check("Total Streams:  2" in call("series", "-q", "--analyze-labels", *span, "{}"), "series --analyze-labels")
    stats = dict(re.findall(r"(\w+): *(\d+)", call("stats", "-q", *span, '{app="shop"}')))
    check_eq((stats.get("streams"), stats.get("entries")), ("1", "300"), "stats")
    volumes = json.loads(call("volume", "-q", *span, '{app=~".+"}'))
    check_eq([v["metric"]["app"] for v in volumes], ["shop", "bank"], "volume")
    check(json.loads(call("volume_range", "-q", "--step=1m", *span, '{app=~".+"}')), "volume_range")
    fields = call("detected-fields", "-q", *span, '{app="shop"}')
    check("took" in fields and "msg" in fields, "detected-fields", fields)
    check("order" in call("detected-fields", "-q", *span, '{app="shop"}', "msg"), "detected-fields NAME")
    done = subprocess.run([cli, "fmt"], input=b'sum by(app)(rate({app="shop"}|="x"[5m]))', capture_output=True, timeout=60)
    check(b'{app="shop"} |= `x`' in done.stdout or b'{app="shop"} |= "x"' in done.stdout, "fmt", done.stdout)
    call("delete", "create", *span, '{app="bank"}')
    listed = call("delete", "list")
    check("bank" in listed, "delete list", listed)
    check_eq(d.count('{app="bank"}', base - NS, base + 400 * NS), 0, "deleted lines are hidden at once")
    made = d.get("/loki/api/v1/delete").json()
    call("delete", "cancel", "--request-id=" + made[0]["request_id"], "--force")
    tail(d, cli, env)


def test_loki_canary(d):
    """Writes a line each 100 ms, follows it by tail, asks for what is missing, counts it by a metric query."""
    port, seconds = free_port(), 60
    process = subprocess.Popen([from_loki("loki-canary"), "-addr=127.0.0.1:%d" % d.port, "-push", "-port=%d" % port, "-interval=100ms",
                                "-labelname=name", "-labelvalue=canary", "-wait=10s", "-max-wait=20s", "-pruneinterval=5s",
                                "-spot-check-interval=5s", "-spot-check-query-rate=10s", "-spot-check-initial-wait=5s",
                                "-metric-test-interval=15s", "-metric-test-range=30s"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(seconds)
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=10) as answer:
            text = answer.read().decode()
    finally:
        process.kill()
        process.wait()
    seen = {k: float(v) for k, v in re.findall(r"^(loki_canary_\w+) (\S+)$", text, re.M)}
    check(seen["loki_canary_entries_total"] >= 5 * seconds, "the canary sang", seen)
    for name in ("missing_entries_total", "websocket_missing_entries_total", "duplicate_entries_total", "out_of_order_entries_total",
                 "unexpected_entries_total", "spot_check_missing_entries_total"):
        check_eq(seen.get("loki_canary_" + name, 0), 0, name)
    check(seen["loki_canary_spot_check_entries_total"] > 0, "spot checks", seen)
    expected, actual = seen["loki_canary_metric_test_expected"], seen["loki_canary_metric_test_actual"]
    check(abs(expected - actual) <= 0.05 * expected, "metric test", expected, actual)
    note("")
    note("loki-canary %s, %d s with a line each 100 ms: %d entries, none missing by tail or query, none twice, none out of order; "
         "%d spot checks; its metric test expected %d and counted %d." % (
             LOKI, seconds, seen["loki_canary_entries_total"], seen["loki_canary_spot_check_entries_total"], expected, actual))


def tail(d, cli, env):
    process = subprocess.Popen([cli, "query", "-q", "-o", "raw", "--tail", '{app="live"}'], env={**os.environ, **env}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    try:
        seen = []
        reader = threading.Thread(target=lambda: seen.extend(iter(process.stdout.readline, b"")))
        reader.start()
        time.sleep(1)
        for i in range(50):
            d.push({"app": "live"}, [(now_ns(), "live line %d" % i)])
        wait_for(lambda: len(set(seen)) >= 50, 20, "lines by tail")
        check_eq([x.decode().strip() for x in dict.fromkeys(seen)], ["live line %d" % i for i in range(50)], "logcli query --tail")
    finally:
        process.kill()
        process.wait()
        reader.join()
    note("| `logcli query --tail '{app=\"live\"}'` | 50 live lines, in order |")


def at(ns):
    return datetime.datetime.fromtimestamp(ns / NS, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def summary(out):
    lines = out.strip().splitlines()
    if not lines:
        return "nothing, as it should"
    first = lines[0] if len(lines[0]) <= 90 else lines[0][:87] + "…"
    return ("%d lines, first `%s`" % (len(lines), first.replace("|", "\\|")) if len(lines) > 1 else "`%s`" % first.replace("|", "\\|"))


def main():
    os.makedirs(WORK, exist_ok=True)
    counts = run_functions("interop", globals(), sys.argv[1:], lambda _: {
        "otlp_http_listen": "127.0.0.1:%d" % free_port(), "otlp_grpc_listen": "127.0.0.1:%d" % free_port()})
    if counts["FAIL"] == 0 and counts["skip"] == 0 and not sys.argv[1:]:
        with open(RECORD, "w") as f:
            f.write("# Interoperability\n\nWritten by `make interop`, which builds these clients from the Go and Python registries and runs "
                    "them against a\nfresh spoord; what they must see is asserted in `tests/interop/run.py`. Clients from npm and Debian are part "
                    "of the\ntests: `tests/clients`.\n\nLast run: %s.\n\n" % datetime.date.today() + "\n".join(record) + "\n")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
