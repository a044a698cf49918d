"""What an operator does: start, reload, look, stop; and the command-line client."""
import json
import os
import shutil
import signal
import subprocess
import time

from harness import NS, check, check_eq, now_ns, push_json, spoord_path, wait_for


def scenario_second_daemon(ctx):
    d = ctx.daemon()
    second = subprocess.run([spoord_path(), "--data", d.data, "--listen", "127.0.0.1:0"], capture_output=True, timeout=60)
    check_eq(second.returncode, 75, "exit code of a second daemon on the directory")
    check(b"in use by another process" in second.stderr, "it says why", second.stderr)
    check_eq(d.request("GET", "/ready").status, 200, "the first goes on")


def scenario_configuration_errors(ctx):
    config = os.path.join(ctx.tmp, "bad.yaml")
    for text, word in (("listen: [\n", "bad.yaml"), ("no_such_setting: 1\n", "no_such_setting"),
                       ("limits_config:\n  max_line_size: -4\n", "max_line_size"), ("query_timeout: soon\n", "query_timeout")):
        with open(config, "w") as f:
            f.write(text)
        done = subprocess.run([spoord_path(), "--data", os.path.join(ctx.tmp, "x"), "--config", config], capture_output=True,
                              timeout=60)
        check_eq(done.returncode, 78, "exit code for %r" % text)
        check(word in done.stderr.decode(), "the message names it", done.stderr)
    done = subprocess.run([spoord_path(), "--data", os.path.join(ctx.tmp, "x"), "--set", "nonsense=1"], capture_output=True,
                          timeout=60)
    check_eq(done.returncode, 78, "exit code for --set nonsense=1")
    check(not os.path.exists(os.path.join(ctx.tmp, "x")), "nothing was made")


def scenario_reload(ctx):
    config = os.path.join(ctx.tmp, "spoor.yaml")

    def write(text):
        with open(config, "w") as f:
            f.write(text)

    write("limits_config:\n  max_line_size: 100\n")
    d = ctx.daemon(config=config)
    t = now_ns() - 60 * NS
    check_eq(d.push({"app": "x"}, [(t, "a" * 150)], want=None).status, 400, "a line over the limit")
    write("limits_config:\n  max_line_size: 200\n")
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: d.push({"app": "x"}, [(t, "a" * 150)], want=None).status == 204, 5, "the new limit")
    for bad in ("limits_config:\n  max_line_size: what\n", "limits_config: [\n", "max_line_size: 10\nunknown_thing: 1\n"):
        write(bad)
        seen = d.log_text().count("\n")
        d.process.send_signal(signal.SIGHUP)
        wait_for(lambda: d.log_text().count("\n") > seen, 5, "a word about the bad file")
        check_eq(d.push({"app": "x"}, [(t, "b" * 150)], want=None).status, 204, "the old limit stays after %r" % bad)
        check_eq(d.push({"app": "x"}, [(t, "b" * 250)], want=None).status, 400, "all of it after %r" % bad)
    check("max_line_size" in d.get("/config").text, "/config shows it")


def scenario_pages_for_operators(ctx):
    d = ctx.daemon()
    d.push({"app": "x"}, [(now_ns() - NS, "one")])
    d.flush()
    check_eq(d.request("GET", "/ready").status, 200, "/ready")
    info = d.get("/loki/api/v1/status/buildinfo").json()
    check("version" in info, "buildinfo", info)
    metrics = d.metrics()
    for name in ("loki_build_info", "process_resident_memory_bytes", "loki_distributor_lines_received_total"):
        check(any(k == name or k.startswith(name + "{") for k in metrics), "metric " + name, sorted(metrics)[:40])
    check_eq(d.request("GET", "/no/such/page").status, 404, "an unknown page")
    check_eq(d.request("GET", "/flush").status, 405, "GET /flush changes nothing")
    for line in d.log_text().splitlines():
        if not line.startswith("---") and line:
            check(line.count("=") >= 2 and line.count('"') % 2 == 0, "the log is logfmt", line)


def scenario_metrics_of_the_head(ctx):
    d = ctx.daemon(settings={"head_max_age": "1h"})
    d.push({"app": "a"}, [(now_ns() - i, "line %d" % i) for i in range(10)])
    check_eq(d.metrics()["spoor_head_entries"], 10, "entries in the head")
    d.flush()
    for name in ("spoor_head_entries", "spoor_head_bytes", "spoor_head_memory_bytes"):
        check_eq(d.metrics()[name], 0, name + " after a flush")
    answer = d.query_range('sum(bytes_over_time({app="a"} | line_format "{{ __line__ }}!" [1m]))', now_ns() - 60 * NS, now_ns(),
                           step="1s")
    check(answer.json()["data"]["result"], "a metric query over line_format finds nothing")


def scenario_openmetrics(ctx):
    d = ctx.daemon()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    d.push({"app": "shop"}, [(now_ns() - NS, "level=error msg=boom trace_id=" + trace), (now_ns(), "level=info msg=fine")])
    text = d.request("GET", "/metrics").text
    check('spoor_error_lines_total{tenant="fake",service_name="shop"} 1\n' in text, "the counter", text)
    check("trace_id=" not in text and "# EOF" not in text, "plain text has no exemplars")
    if shutil.which("promtool"):
        done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=60)
        check(done.returncode == 0, "promtool", done.stdout, done.stderr)
    prometheus = ("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    for accept, want in ((prometheus, "application/openmetrics-text"), ("text/plain", "text/plain"), ("*/*", "text/plain"),
                         ("application/openmetrics-text;q=0.1, text/plain", "text/plain"),
                         ("application/openmetrics-text; version=9.0", "text/plain")):
        answer = d.request("GET", "/metrics", headers={"Accept": accept})
        check(answer.headers["Content-Type"].startswith(want), accept, answer.headers["Content-Type"])
    text = d.request("GET", "/metrics", headers={"Accept": prometheus}).text
    check(text.endswith("\n# EOF\n"), "it ends so", text[-100:])
    check("# TYPE spoor_error_lines counter\n" in text, "families of counters are named without _total")
    sample = [s for s in text.splitlines() if s.startswith("spoor_error_lines_total")]
    check(len(sample) == 1 and ('} 1 # {trace_id="%s"} 1 ' % trace) in sample[0], "the exemplar", sample)


def scenario_sigterm_idle(ctx):
    d = ctx.daemon()
    start = time.monotonic()
    d.stop()
    check(time.monotonic() - start < 5, "an idle daemon ends quickly", time.monotonic() - start)
    done = subprocess.run([spoord_path(), "--version"], capture_output=True, timeout=10)
    check(done.returncode == 0 and b"spoor" in done.stdout, "--version", done.stdout)
    done = subprocess.run([spoord_path(), "--help"], capture_output=True, timeout=10)
    check(done.returncode == 0 and b"--data" in done.stdout, "--help", done.stdout[:200])


def scenario_client(ctx):
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    d.push({"app": "web", "env": "prod"}, [(t + i, "line %d" % i) for i in range(20)])
    d.push({"app": "db", "env": "prod"}, [(t, 'level=error msg="boom" trace_id=%s' % trace_id)])
    done = d.client("query", '{app="web"}', "--limit", "5", "--output", "raw")
    check_eq(done.returncode, 0, "spoor query: %r" % done.stderr)
    check_eq(done.stdout.decode().split("\n")[:5], ["line %d" % i for i in range(19, 14, -1)], "newest first")
    done = d.client("query", '{app="web"} |= "line 7"', "--output", "jsonl")
    check_eq(json.loads(done.stdout.splitlines()[0])["line"], "line 7", "jsonl: %r" % done.stdout)
    done = d.client("labels", "app")
    check_eq(done.stdout.decode().split(), ["db", "web"], "spoor labels app: %r" % done.stderr)
    done = d.client("series", '{env="prod"}')
    check(b'app="db"' in done.stdout and b'app="web"' in done.stdout, "spoor series", done.stdout, done.stderr)
    done = d.client("trace", trace_id)
    check(done.returncode == 0 and b"boom" in done.stdout, "spoor trace", done.stdout, done.stderr)
    done = d.client("push", "--label", "app=pushed", stdin=b"first\nsecond\n")
    check_eq(done.returncode, 0, "spoor push: %r" % done.stderr)
    check_eq(sorted(d.lines('{app="pushed"}', now_ns() - 60 * NS, now_ns() + NS)), ["first", "second"], "pushed lines")
    check(d.client("query", "{app=").returncode not in (0, 69), "a bad query fails")
    check_eq(d.client("no-such-command").returncode, 2, "an unknown command")
    d.stop()
    check_eq(d.client("query", '{app="web"}').returncode, 69, "no server")
    done = d.client("check", d.data)
    check_eq(done.returncode, 0, "spoor check: %r %r" % (done.stdout, done.stderr))


def scenario_client_escapes(ctx):
    """Nothing that a log line holds reaches a terminal as a control sequence."""
    d = ctx.daemon()
    t = now_ns() - 60 * NS
    d.push_body(push_json([({"app": "evil"}, [(t, "\x1b[2Jgone \x9b31m \u202e right"), (t + 1, "bell \x07")])]))
    done = in_terminal(d, "query", '{app="evil"}')
    text = done.stdout.decode(errors="replace")
    check("\\x1b[2Jgone" in text and "\\u202e" in text and "\\x07" in text, "escaped on a terminal", text, done.stderr)
    check("\x07" not in text and "\u202e" not in text and "\x1b[2J" not in text, "nothing slips through", text)
    done = d.client("query", '{app="evil"}', "--output", "raw")
    check(b"\x1b[2Jgone" in done.stdout, "a pipe gets the bytes as they are", done.stdout)


def in_terminal(d, *args):
    import pty
    from harness import spoor_path
    out, chunks = pty.openpty(), []
    env = {**os.environ, "SPOOR_ADDR": "http://127.0.0.1:%d" % d.port, "TERM": "xterm"}
    process = subprocess.Popen([spoor_path(), *args], stdout=out[1], stderr=subprocess.PIPE, env=env)
    os.close(out[1])
    while True:
        try:
            piece = os.read(out[0], 65536)
        except OSError:
            break
        if not piece:
            break
        chunks.append(piece)
    os.close(out[0])
    return subprocess.CompletedProcess(args, process.wait(), b"".join(chunks), process.stderr.read())


def scenario_queries(ctx):
    """The thin path: selectors, filters, counts, labels, over memory and disk at once."""
    d = ctx.daemon()
    t = now_ns() // NS * NS - 3600 * NS
    for app in ("web", "db"):
        d.push({"app": app, "env": "prod"}, [(t + i * NS, "level=%s n=%d" % ("error" if i % 10 == 0 else "info", i))
                                             for i in range(100)])
        if app == "web":
            d.flush()
    end = t + 100 * NS
    check_eq(len(d.lines('{env="prod"}', t, end)), 200, "both")
    check_eq(len(d.lines('{env="prod", app!="db"}', t, end)), 100, "!=")
    check_eq(len(d.lines('{app=~"w.*|x"}', t, end)), 100, "=~")
    check_eq(len(d.lines('{env="prod"} |= "error"', t, end)), 20, "|=")
    check_eq(len(d.lines('{env="prod"} != "error"', t, end)), 180, "!=")
    check_eq(len(d.lines('{env="prod"} |~ "n=[0-9]$"', t, end)), 20, "|~")
    check_eq(len(d.lines('{env="prod"} |= "n=1" or "n=2"', t, end)), 44, "or")
    check_eq(d.lines('{app="web"}', t, end, limit=3, direction="backward"), ["level=info n=%d" % n for n in (97, 98, 99)],
             "the newest three")
    check_eq(d.count('{env="prod"} |= "error"', t - 1, end), 20, "count")
    answer = d.query_range('sum by (app) (count_over_time({env="prod"}[10s]))', t + 10 * NS, t + 100 * NS, step="10s").json()
    # the entry at t itself lies outside the first window (t, t+10s]
    values = {s["metric"]["app"]: [v[1] for v in s["values"]] for s in answer["data"]["result"]}
    check_eq(values, {"web": ["10"] * 9 + ["9"], "db": ["10"] * 9 + ["9"]}, "count by app")
    check_eq(d.get("/loki/api/v1/labels", start=t, end=end).json()["data"], ["app", "env", "service_name"], "labels")
    check_eq(d.get("/loki/api/v1/label/app/values", start=t, end=end).json()["data"], ["db", "web"], "values")
    series = d.get("/loki/api/v1/series", **{"match[]": '{env="prod"}', "start": t, "end": end}).json()["data"]
    check_eq(sorted(s["app"] for s in series), ["db", "web"], "series")
    stats = d.get("/loki/api/v1/index/stats", query='{env="prod"}', start=t, end=end).json()
    check_eq((stats["streams"], stats["entries"]), (2, 200), "index/stats")
    health = d.get("/loki/api/v1/query", query="vector(1)+vector(1)", time="4000000000", direction="backward").json()
    check_eq(health["data"]["result"][0]["value"][1], "2", "Grafana's health check")
