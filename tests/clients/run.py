#!/usr/bin/python3
"""Real clients push to a fresh spoord, and what they logged is read back: pino-loki, winston-loki as JSON and as
protobuf, the OpenTelemetry exporters for JavaScript over each protocol, the OpenTelemetry SDK with instrumented loggers,
curl with a file of JSON lines, syslog-ng's http() destination. @myunisoft/loki reads, nginx stands in between, Prometheus
and Alertmanager take rules' results. A client that is not installed is skipped.

SPOOR_BINDIR says where spoord is; node_modules is made beside it. Ends with "N passed, N failed".
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
from harness import BINDIR, NS, SLOWER, Skip, check, check_eq, free_port, now_ns, run_functions, wait_for  # noqa: E402


def need(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise Skip(program + " is not installed")
    return path


def node_modules():
    """A folder with the program and its packages, exactly those of the lock file."""
    need("node")
    npm = need("npm")
    work = os.path.join(BINDIR, "tests", "clients", "work")
    os.makedirs(work, exist_ok=True)
    for name in os.listdir(HERE):
        if name.endswith((".mjs", ".cjs")):
            shutil.copy(os.path.join(HERE, name), work)
    lock = os.path.join(HERE, "package-lock.json")
    stamp = os.path.join(work, "installed-lock.json")
    if os.path.exists(stamp) and open(stamp).read() == open(lock).read():
        return work
    for name in ("package.json", "package-lock.json"):
        shutil.copy(os.path.join(HERE, name), work)
    done = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=work, capture_output=True, timeout=300)
    check(done.returncode == 0, "npm ci", done.stdout.decode(), done.stderr.decode())
    shutil.copy(lock, stamp)
    return work


def node(program, *args, env=None):
    """What the program printed in its last line, as JSON."""
    done = subprocess.run(["node", program, *args], cwd=node_modules(), capture_output=True, timeout=120 * SLOWER,
                          env={**os.environ, **(env or {})})
    check(done.returncode == 0, program, done.stdout.decode(), done.stderr.decode())
    return json.loads(done.stdout.splitlines()[-1])


def url(d):
    return "http://127.0.0.1:%d" % d.port


def hour(d, query):
    return d.entries(query, now_ns() - 3600 * NS, now_ns() + NS)


def test_node(d):
    report = node("clients.mjs", url(d))
    requests, run = report["requests"], report["run"]
    for when in ("in memory", "flushed"):
        for app, word in (("pino", "order %d placed"), ("winston-json", "payment %d taken"), ("winston-protobuf", "parcel %d packed")):
            entries = hour(d, '{app="%s", run="%s"}' % (app, run))
            check_eq(len(entries), len(requests), "%s: lines of %s" % (when, app))
            for r in requests:
                holding = [line for _, line, _ in entries if word % r["n"] in line]
                check_eq(len(holding), 1, "%s: %s" % (when, word % r["n"]))
            levels = {labels["level"] for _, _, labels in entries}
            check_eq(levels, {"info", "error"}, "%s: levels of %s" % (when, app))
            check_eq({labels["detected_level"] for _, _, labels in entries}, {"info", "error"}, "detected levels of " + app)
        metadata = hour(d, '{app="pino"} | request="7"')
        check_eq(len(metadata), 1, when + ": structured metadata of pino-loki")
        for r in requests[:5]:
            found = d.trace(r["traceId"])["entries"]
            check_eq(sorted(e["labels"]["app"] for e in found), ["pino", "winston-json", "winston-protobuf"],
                     "%s: services of a trace" % when)
        d.flush()


def with_otlp_ports():
    return {"otlp_http_listen": "127.0.0.1:%d" % free_port(), "otlp_grpc_listen": "127.0.0.1:%d" % free_port()}


def test_otel_exporters(d):
    """Seven ways in, the same records: each way must give the same entries."""
    http, grpc = d.settings["otlp_http_listen"], d.settings["otlp_grpc_listen"]
    report = node("otel.mjs", url(d), grpc)
    run, requests = report["run"], report["requests"]
    check_eq(len(report["exporters"]), 7, "exporters")
    shapes = set()
    for when in ("in memory", "flushed"):
        for name in report["exporters"]:
            selector = '{service_name="%s", service_namespace="%s"}' % (name, run)
            entries = hour(d, selector)
            check_eq(len(entries), len(requests) + 1, "%s: records of %s" % (when, name))
            for r in requests:
                (_, line, labels), = [e for e in entries if e[1] == "order %d placed" % r["n"]]
                check_eq((labels["trace_id"], labels["span_id"], labels["flags"]), (r["traceId"], r["spanId"], "1"), name)
                error = r["n"] % 10 == 7
                check_eq((labels["detected_level"], labels["severity_text"], labels["severity_number"]),
                         ("error", "ERROR", "17") if error else ("info", "INFO", "9"), name)
                check_eq((labels["http_status"], labels["ratio"], labels["nested_tags"], labels["nested_deep_ok"]),
                         (str(200 + r["n"]), "0.5", '["a","b"]', "true"), name)
                shapes.add(tuple(sorted(set(labels))))
            (_, line, labels), = [e for e in entries if "shutdown" in e[1]]
            check_eq(json.loads(line), {"event": "shutdown", "code": 7}, "a body that is a map")
            check_eq((labels["scope_name"], labels["scope_version"], labels["host_name"]), ("shop", "1.2.3", "build-7"), name)
        check_eq(len(shapes), 1, "label names, whatever the way in")
        for r in requests[:5]:
            found = d.trace(r["traceId"])["entries"]
            check_eq(sorted(e["labels"]["service_name"] for e in found), sorted(report["exporters"]), "services of a trace")
        d.flush()
    check(http, "the port for OTLP over HTTP is open")


test_otel_exporters.settings = with_otlp_ports


def test_otel_sdk(d):
    """@opentelemetry/sdk-node with OTEL_* variables only; spans are refused with a notice, metrics are swallowed."""
    for protocol, listen in (("http/protobuf", "otlp_http_listen"), ("http/json", "otlp_http_listen"), ("grpc", "otlp_grpc_listen")):
        service = "sdk-" + protocol.replace("/", "-")
        report = node("sdk.cjs", env={
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + d.settings[listen], "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_SERVICE_NAME": service, "OTEL_LOGS_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "otlp", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"})
        check_eq(report["complaints"], [], "errors that the SDK saw over " + protocol)
        entries = hour(d, '{service_name="%s", deployment_environment_name="test"}' % service)
        check_eq(len(entries), 2 * len(report["spans"]), "records over " + protocol)
        for span in report["spans"]:
            found = [(e["line"], e["metadata"]["span_id"], e["metadata"]["detected_level"])
                     for e in d.trace(span["traceId"])["entries"]]
            check_eq(sorted(found), [("order %d placed" % span["n"], span["spanId"], "info"),
                                     ("payment %d refused" % span["n"], span["spanId"], "error")], "lines of a span over " + protocol)


test_otel_sdk.settings = with_otlp_ports


def test_myunisoft_loki(d):
    lines = ["order %d placed" % i for i in range(30)]
    start = now_ns() - 60 * NS
    d.push({"app": "shop", "env": "prod"}, [(start + i * NS, line) for i, line in enumerate(lines)])
    d.push({"app": "bank", "env": "prod"}, [(start, "one line")])
    got = node("myunisoft.mjs", url(d), '{app="shop"}')
    check_eq(sorted(got["range"]["logs"]), sorted(lines), "queryRange")
    check_eq(sorted(int(e["n"]) for e in got["pattern"]["logs"]), list(range(30)), "queryRange with a pattern")
    check_eq([s["labels"]["app"] for s in got["streams"]["streams"]], ["shop"], "queryRangeStream")
    check_eq(got["labels"], ["app", "env", "service_name"], "labels")
    check_eq(got["apps"], ["bank", "shop"], "labelValues")
    check_eq(got["series"], [{"app": "shop", "env": "prod", "service_name": "shop"}], "series")


NGINX = """
daemon off; worker_processes 1; pid @TMP@/nginx.pid; error_log @TMP@/error.log;
events { worker_connections 256; }
http {
  access_log off; client_max_body_size 64m; client_body_temp_path @TMP@/body; proxy_temp_path @TMP@/proxy;
  fastcgi_temp_path @TMP@/f; uwsgi_temp_path @TMP@/u; scgi_temp_path @TMP@/s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream spoord { server 127.0.0.1:@PORT@; keepalive 8; }
  server {
    listen 127.0.0.1:@LISTEN@;
    location /logs/ {
      proxy_pass http://spoord/; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header X-Scope-OrgID ops;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }
  }
}
"""


def test_nginx(d):
    """nginx as a proxy with a path prefix: large pushes, gzip, server-sent events and the WebSocket of the tail."""
    import base64
    import gzip
    import socket
    import threading
    import urllib.request
    nginx, listen = need("nginx"), free_port()
    with tempfile.TemporaryDirectory() as tmp:
        config = os.path.join(tmp, "nginx.conf")
        with open(config, "w") as f:
            f.write(NGINX.replace("@TMP@", tmp).replace("@PORT@", str(d.port)).replace("@LISTEN@", str(listen)))
        os.chmod(tmp, 0o755)
        process = subprocess.Popen([nginx, "-c", config, "-p", tmp, "-e", os.path.join(tmp, "error.log")],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        base = "http://127.0.0.1:%d/logs" % listen

        def get(path, headers=()):
            return urllib.request.urlopen(urllib.request.Request(base + path, headers=dict(headers)), timeout=30 * SLOWER)

        def is_up():
            try:
                return process.poll() is not None or get("/ready").status == 200
            except OSError:
                return False

        def push(first, n):
            streams = {"streams": [{"stream": {"app": "proxied"}, "values": [
                [str(now_ns()), "line %d %s" % (i, "x" * 1000)] for i in range(first, first + n)]}]}
            rq = urllib.request.Request(base + "/loki/api/v1/push", gzip.compress(json.dumps(streams).encode()),
                                        {"Content-Type": "application/json", "Content-Encoding": "gzip"})
            check_eq(urllib.request.urlopen(rq, timeout=30 * SLOWER).status, 204, "push through nginx")

        try:
            wait_for(is_up, 15, "nginx")
            check(process.poll() is None, "nginx ended", process.stdout.read() if process.poll() is not None else "")
            push(0, 5000)
            with get("/loki/api/v1/query_range?query=%7Bapp%3D%22proxied%22%7D&limit=4000", {"Accept-Encoding": "gzip"}) as a:
                check_eq(a.headers["Content-Encoding"], "gzip", "encoding through nginx")
                result = json.loads(gzip.decompress(a.read()))["data"]["result"]
            check_eq(sum(len(s["values"]) for s in result), 4000, "entries through nginx")

            events = get("/api/v1/tail?query=%7Bapp%3D%22proxied%22%7D&start=" + str(now_ns()), {"Accept": "text/event-stream"})
            web = socket.create_connection(("127.0.0.1", listen), timeout=30 * SLOWER)
            web.sendall(("GET /logs/loki/api/v1/tail?query=%%7Bapp%%3D%%22proxied%%22%%7D&start=%d HTTP/1.1\r\nHost: x\r\n"
                         "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: %s\r\nOrigin: https://grafana.example\r\nX-Grafana-User: a\r\n\r\n"
                         % (now_ns(), base64.b64encode(os.urandom(16)).decode())).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                piece = web.recv(1)
                check(piece, "the answer to the upgrade through nginx", head)
                head += piece
            check(head.startswith(b"HTTP/1.1 101"), "WebSocket through nginx", head)
            later = threading.Timer(0.3, push, (5000, 1))
            later.start()
            seen = b""
            while b"line 5000 " not in seen:
                piece = web.recv(65536)
                check(piece, "a live line by WebSocket", seen)
                seen += piece
            for line in events:
                if b"line 5000 " in line:
                    break
            else:
                check(False, "a live line by server-sent events")
            later.join()
            web.close()
            events.close()
        finally:
            process.terminate()
            process.wait()


test_nginx.settings = lambda: {"auth_enabled": "true"}


def test_prometheus(d):
    """Alertmanager and Prometheus: see prometheus.py."""
    import prometheus
    prometheus.run(d)


def test_curl(d):
    """curl --data-binary @app.log"""
    curl = need("curl")
    with tempfile.TemporaryDirectory() as tmp:
        path, lines = os.path.join(tmp, "app.log"), []
        now = time.time()
        with open(os.path.join(HERE, "app.jsonl")) as f:  # written by a JSON log formatter; its times are made recent
            for i, line in enumerate(f):
                record = json.loads(line)
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 600 + i)) + record["timestamp"][19:]
                lines.append(line.rstrip("\n").replace(record["timestamp"], stamp))
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        done = subprocess.run([curl, "-sS", "-o", "-", "-w", "%{http_code}", "--data-binary", "@" + path,
                               "http://127.0.0.1:%d/api/v1/ingest?labels=otelServiceName,level" % d.port],
                              capture_output=True, timeout=60)
    check_eq(done.stdout, b"204", "curl: %r" % done.stderr)
    entries = hour(d, '{otelServiceName="checkout"}')
    check_eq([line for _, line, _ in entries], lines, "the lines of the file, in their order")
    first = json.loads(lines[0])
    check(any(e["line"] == lines[0] for e in d.trace(first["otelTraceID"])["entries"]), "found by its trace id")
    errors = [line for line in lines if json.loads(line)["level"] == "ERROR"]
    check_eq([line for _, line, _ in hour(d, '{otelServiceName="checkout", level="ERROR"}')], errors, "errors by label")
    check_eq(len(hour(d, '{otelServiceName="checkout"} | json | attempt="2"')),
             sum(json.loads(line).get("attempt") == 2 for line in lines), "a field by | json")


def test_syslog_ng(d):
    import socket
    syslog_ng = need("syslog-ng")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as tmp:
        config = os.path.join(tmp, "syslog-ng.conf")
        with open(config, "w") as f:
            f.write(open(os.path.join(HERE, "syslog-ng.conf")).read().replace("@SYSLOG@", str(port)).replace("@PORT@", str(d.port)))
        process = subprocess.Popen([syslog_ng, "-F", "--no-caps", "-f", config, "-R", os.path.join(tmp, "persist"),
                                    "-p", os.path.join(tmp, "pid"), "-c", os.path.join(tmp, "ctl")],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            texts = ['message %d with "quotes", a back\\slash and ünïcödé' % i for i in range(50)]
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

            def listening():
                with open("/proc/net/udp") as f:
                    return any(line.split()[1].endswith(":%04X" % port) for line in f.readlines()[1:])

            wait_for(lambda: listening() or process.poll() is not None, 15, "syslog-ng to listen")
            check(process.poll() is None, "syslog-ng ended", process.stdout.read() if process.poll() is not None else "")
            for i, text in enumerate(texts):
                stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".%06dZ" % i
                sender.sendto(("<14>1 %s host1 shop %d - - %s" % (stamp, i, text)).encode(), ("127.0.0.1", port))
            wait_for(lambda: len(hour(d, '{job="syslog"}')) >= len(texts), 15, "the messages")
            found = hour(d, '{job="syslog", app="shop"}')
            check_eq(sorted(line for _, line, _ in found), sorted(texts), "messages")
        finally:
            process.terminate()
            process.wait()


def main():
    counts = run_functions("clients", globals(), sys.argv[1:], lambda function: getattr(function, "settings", dict)())
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
