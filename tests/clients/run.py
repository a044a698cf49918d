#!/usr/bin/env python3
"""Real clients push to a fresh spoord, and what they logged is read back: pino-loki, winston-loki as JSON and as
protobuf, curl with a file of JSON lines, syslog-ng's http() destination. A client that is not installed is skipped.

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
from harness import BINDIR, NS, SLOWER, Daemon, Skip, check, check_eq, now_ns, wait_for  # noqa: E402


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
    shutil.copy(os.path.join(HERE, "clients.mjs"), work)
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


def hour(d, query):
    return d.entries(query, now_ns() - 3600 * NS, now_ns() + NS)


def test_node(d):
    work = node_modules()
    done = subprocess.run(["node", "clients.mjs", "http://127.0.0.1:%d" % d.port], cwd=work, capture_output=True,
                          timeout=120 * SLOWER)
    check(done.returncode == 0, "clients.mjs", done.stdout.decode(), done.stderr.decode())
    report = json.loads(done.stdout.splitlines()[-1])
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
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, function in list(globals().items()):
        if not name.startswith("test_") or sys.argv[1:] and not any(a in name for a in sys.argv[1:]):
            continue
        tmp = tempfile.mkdtemp(prefix="spoor-client-")
        d, verdict, text = Daemon(tmp), "ok", ""
        try:
            d.start()
            function(d)
            d.stop()
        except Skip as e:
            verdict, text = "skip", str(e)
        except Exception as e:
            verdict, text = "FAIL", "%s: %s%s" % (type(e).__name__, e, d.log_tail())
        finally:
            d.kill()
            shutil.rmtree(tmp, ignore_errors=True)
        counts[verdict] += 1
        print("%-4s clients.%s%s" % (verdict, name[5:], "  " + text if text else ""), flush=True)
    print("%d passed, %d failed%s" % (counts["ok"], counts["FAIL"], ", %d skipped" % counts["skip"] if counts["skip"] else ""))
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
