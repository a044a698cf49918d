#!/usr/bin/env python3
"""Rules with Debian's prometheus-alertmanager and prometheus: an alert arrives and is over again, a recorded series can be
queried, /metrics is a healthy target. Part of run.py; also runs alone and prints the same way. A program that is not installed
skips the test."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
from harness import Daemon, Skip, check, check_eq, free_port, now_ns, wait_for  # noqa: E402

RULES = """
name: shop
interval: 1s
rules:
  - alert: ManyErrors
    expr: sum by (app) (count_over_time({env="prod"} |= "error" [3s])) > 0
    for: 1s
    labels:
      severity: page
    annotations:
      summary: 'errors of {{ $labels.app }}'
  - record: app:errors:count3s
    expr: sum by (app) (count_over_time({env="prod"} |= "error" [3s]))
    labels:
      origin: spoor
  - record: answer
    expr: vector(42.5)
"""


def need(program):
    path = shutil.which(program)
    if path is None:
        raise Skip(program + " is not installed")
    return path


def get(url, **params):
    """The JSON of an answer, or None where there is no good one yet."""
    query = "?" + urllib.parse.urlencode(params) if params else ""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url + query, timeout=10) as answer:
            body = answer.read()
    except (urllib.error.URLError, OSError):
        return None
    return json.loads(body) if body[:1] in b"{[" and body else body


class Service:
    """A program that is up once its URL answers; ended with the test."""

    def __init__(self, name, args, folder, ready):
        self.name, self.log = name, os.path.join(folder, name + ".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        try:
            wait_for(lambda: get(ready) is not None or self.process.poll() is not None, 30, name + " to be ready")
            check(self.process.poll() is None, name + " ended", self.text())
        except Exception:
            self.end()
            raise

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()[-2000:]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    return path


def alertmanager(program, folder, port):
    config = write(os.path.join(folder, "alertmanager.yml"), "route:\n  receiver: none\nreceivers:\n  - name: none\n")
    return Service("alertmanager", [program, "--config.file=" + config, "--storage.path=" + os.path.join(folder, "am"),
                                    "--web.listen-address=127.0.0.1:%d" % port, "--cluster.listen-address="],
                   folder, "http://127.0.0.1:%d/-/ready" % port)


def prometheus(program, folder, port, target):
    config = write(os.path.join(folder, "prometheus.yml"), """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: spoor
    static_configs:
      - targets: ["127.0.0.1:%d"]
""" % target)
    return Service("prometheus", [program, "--config.file=" + config, "--storage.tsdb.path=" + os.path.join(folder, "tsdb"),
                                  "--web.listen-address=127.0.0.1:%d" % port, "--web.enable-remote-write-receiver"],
                   folder, "http://127.0.0.1:%d/-/ready" % port)


def query(base, text):
    """{labels without __name__ as sorted pairs: value}"""
    answer = get(base + "/api/v1/query", query=text)
    if answer is None:
        return {}
    check_eq(answer["status"], "success", "query " + text)
    return {tuple(sorted((k, v) for k, v in s["metric"].items() if k != "__name__")): float(s["value"][1])
            for s in answer["data"]["result"]}


def check_metrics_page(d):
    done = subprocess.run([need("promtool"), "check", "metrics"], input=d.get("/metrics").body, capture_output=True, timeout=60)
    # 3: it can be read, and there is a word about style
    check(done.returncode in (0, 3), "promtool check metrics", done.stdout, done.stderr)


def check_alert(d, manager):
    base = "http://127.0.0.1:%d" % manager
    found = []

    def arrived():
        found[:] = [a for a in get(base + "/api/v2/alerts") or [] if a["labels"]["alertname"] == "ManyErrors"]
        return found

    wait_for(arrived, 30, "the alert in Alertmanager")
    alert = found[0]
    check_eq(alert["labels"], {"alertname": "ManyErrors", "app": "web", "severity": "page"}, "labels")
    check_eq(alert["annotations"], {"summary": "errors of web"}, "annotations")
    check_eq(alert["status"]["state"], "active", "state")
    check(alert["generatorURL"].startswith("https://grafana.example/explore?left="), "link", alert["generatorURL"])


def check_series(prom):
    base = "http://127.0.0.1:%d" % prom
    written, scraped = (("app", "web"), ("origin", "spoor")), ("job", "spoor")

    def by_job(name, is_scraped):
        return {k: v for k, v in query(base, name).items() if (scraped in k) == is_scraped}

    wait_for(lambda: by_job("app:errors:count3s", False).get(written, 0) >= 1, 30, "the series by remote write")
    wait_for(lambda: by_job("answer", False).get((), 0) == 42.5, 10, "a series without labels")
    wait_for(lambda: list(by_job("answer", True).values()) == [42.5], 20, "the series on /metrics")
    wait_for(lambda: list(query(base, 'up{job="spoor"}').values()) == [1], 20, "the target to be up")
    wait_for(lambda: any(("alertstate", "firing") in k for k in query(base, 'ALERTS{alertname="ManyErrors"}')), 20, "ALERTS")
    targets = get(base + "/api/v1/targets")["data"]["activeTargets"]
    check_eq([(t["health"], t["lastError"]) for t in targets], [("up", "")], "the target")


def check_end(manager, prom):
    """No more errors: the alert is over, the series has ended, not just stopped coming."""
    wait_for(lambda: not get("http://127.0.0.1:%d/api/v2/alerts?active=true" % manager), 60, "the alert to be over")
    base = "http://127.0.0.1:%d" % prom
    wait_for(lambda: not query(base, 'app:errors:count3s'), 30, "the series to end")
    check_eq(len(query(base, "answer")), 2, "the other goes on")


def run(d):
    am_program, prom_program = need("prometheus-alertmanager"), need("prometheus")
    folder = tempfile.mkdtemp(prefix="spoor-prometheus-")
    am_port, prom_port = free_port(), free_port()
    d.stop()
    d.settings.update({"ruler_alertmanager_url": "http://127.0.0.1:%d" % am_port,
                       "ruler_remote_write_url": "http://127.0.0.1:%d/api/v1/write" % prom_port,
                       "ruler_external_url": "https://grafana.example"})
    d.start()
    services, stop = [], threading.Event()

    def push():
        while not stop.wait(0.3):
            d.push({"app": "web", "env": "prod"}, [(now_ns(), "level=error boom")])

    pusher = threading.Thread(target=push, daemon=True)
    try:
        services.append(alertmanager(am_program, folder, am_port))
        services.append(prometheus(prom_program, folder, prom_port, d.port))
        answer = d.request("POST", "/loki/api/v1/rules/clients", RULES, {"Content-Type": "application/yaml"})
        check_eq(answer.status, 202, "POST of the group: %r" % answer)
        pusher.start()
        check_alert(d, am_port)
        check_series(prom_port)
        check_metrics_page(d)
        stop.set()
        pusher.join()
        check_end(am_port, prom_port)
    finally:
        stop.set()
        for service in services:
            service.end()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    tmp = tempfile.mkdtemp(prefix="spoor-client-")
    d, verdict, text = Daemon(tmp), "ok", ""
    try:
        d.start()
        run(d)
        d.stop()
    except Skip as e:
        verdict, text = "skip", str(e)
    except Exception as e:
        verdict, text = "FAIL", "%s: %s%s" % (type(e).__name__, e, d.log_tail())
    finally:
        d.kill()
        shutil.rmtree(tmp, ignore_errors=True)
    print("%-4s clients.prometheus%s" % (verdict, "  " + text if text else ""), flush=True)
    print("%d passed, %d failed%s" % (verdict == "ok", verdict == "FAIL", ", 1 skipped" if verdict == "skip" else ""))
    return 1 if verdict == "FAIL" else 0


if __name__ == "__main__":
    sys.exit(main())
