#!/usr/bin/env python3
"""The benchmark: generates a day of logs, loads it into a fresh spoord, and asks the questions that matter.

    bench.py [--lines N] [--days D] [--conns K] [--repeat R] [--json FILE] [--workdir DIR]

Ingest is measured in CPU seconds of the server for a gigabyte of raw log, queries by the server's own clock
(stats.summary.execTime) and by the client's. Every answer is checked against what the generator says it wrote; a
wrong answer fails the run, a slow one does not. SPOOR_BINDIR says where the programs are.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scenario"))
from harness import BINDIR, NS, Daemon, check, check_eq  # noqa: E402

SETTINGS = {"reject_old_samples": "false", "ingestion_rate_mb": "0", "per_stream_rate_limit": "0", "merge_interval": "1s",
            "log_queries": "false"}
ALL = '{cluster="eu-1"}'


def generate(workdir, args):
    bodies, facts = os.path.join(workdir, "bodies"), os.path.join(workdir, "facts.json")
    with open(bodies, "wb") as out:
        subprocess.run([os.path.join(BINDIR, "tests/bench/gen"), "--lines", str(args.lines), "--days", str(args.days),
                        "--facts", facts], stdout=out, check=True, stderr=subprocess.DEVNULL)
    with open(facts) as f:
        return bodies, json.load(f)


def load(d, bodies, facts, conns):
    cpu = d.cpu_seconds()
    done = subprocess.run([os.path.join(BINDIR, "tests/bench/load"), "--port", str(d.port), "--conns", str(conns), bodies],
                          capture_output=True, check=True)
    report = json.loads(done.stdout)
    check_eq(set(report["status"]), {"204"}, "statuses of the pushes")
    cpu = d.cpu_seconds() - cpu
    raw_gb = facts["raw_bytes"] / 1e9
    return {"wall_s": report["wall_s"], "raw_mb_per_s": facts["raw_bytes"] / 1e6 / report["wall_s"],
            "cpu_s_per_raw_gb": cpu / raw_gb, "push_p50_ms": report["latency_ms"]["p50"],
            "push_p99_ms": report["latency_ms"]["p99"], "peak_mb": d.peak_memory() / 1e6}


def settle(d, facts):
    """Flushes, then waits until the merges have nothing left to do."""
    cpu, start = d.cpu_seconds(), time.monotonic()
    d.flush()
    last, since = None, time.monotonic()
    while time.monotonic() - since < 4 and time.monotonic() - start < 900:
        now = (d.files(".seg"), round(d.cpu_seconds(), 1))
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.25)
    d.request("POST", "/flush")
    disk = d.disk_bytes("tenants")
    return {"settle_s": since - start, "settle_cpu_s_per_raw_gb": (d.cpu_seconds() - cpu) / (facts["raw_bytes"] / 1e9),
            "segments": len(d.files(".seg")), "disk_mb": disk / 1e6, "disk_per_raw": disk / facts["raw_bytes"],
            "index_per_raw": sum(os.path.getsize(f) for f in d.files("index.db") + d.files("index.db-wal")) / facts["raw_bytes"]}


class Timing:
    def __init__(self, name, repeat):
        self.name, self.repeat = name, repeat
        self.server, self.wall, self.cpu = [], [], 0.0

    def row(self):
        return {"query": self.name, "server_ms": statistics.median(self.server) if self.server else None,
                "wall_ms": statistics.median(self.wall), "wall_max_ms": max(self.wall), "n": len(self.wall),
                "cpu_ms": self.cpu * 1000 / len(self.wall)}


def timed(d, name, repeat, ask):
    """ask(i) sends one request and returns its Answer after checking it."""
    t = Timing(name, repeat)
    ask(0)  # connection and caches of the kernel are not what is measured
    cpu = d.cpu_seconds()
    for i in range(repeat):
        start = time.monotonic()
        answer = ask(i + 1)
        t.wall.append((time.monotonic() - start) * 1000)
        summary = answer.json().get("data", {})
        if "stats" in summary:
            t.server.append(summary["stats"]["summary"]["execTime"] * 1000)
    t.cpu = d.cpu_seconds() - cpu
    return t.row()


def logs(d, query, start, end, limit, want):
    answer = d.get("/loki/api/v1/query_range", query=query, start=start, end=end, limit=limit, direction="backward")
    check_eq(answer.status, 200, "%s: %r" % (query, answer))
    n = sum(len(s["values"]) for s in answer.json()["data"]["result"])
    check_eq(n, want, "lines of " + query)
    return answer


def metric(d, query, start, end, step, want):
    """want: the sum of all samples by the value of label app, or in all."""
    answer = d.get("/loki/api/v1/query_range", query=query, start=start + step * NS, end=end, step="%ds" % step)
    check_eq(answer.status, 200, "%s: %r" % (query, answer))
    sums = {}
    for series in answer.json()["data"]["result"]:
        key = series["metric"].get("app", "")
        sums[key] = sums.get(key, 0) + sum(int(float(v)) for _, v in series["values"])
    check_eq(sums, want, "sums of " + query)
    return answer


def total(d, query, start, end, step):
    """The sum of all samples of a metric query, and its answer."""
    answer = d.get("/loki/api/v1/query_range", query=query, start=start + step * NS, end=end, step="%ds" % step)
    check_eq(answer.status, 200, "%s: %r" % (query, answer))
    return sum(float(v) for series in answer.json()["data"]["result"] for _, v in series["values"]), answer


def volume(d, facts, start, end, step):
    """What Grafana asks beside every log query."""
    n, answer = total(d, "sum by (level, detected_level) (count_over_time(%s | drop __error__ [%ds]))" % (ALL, step),
                      start, end, step)
    check_eq(n, facts["lines"], "lines by level")
    return answer


def language(d, facts, repeat):
    """Queries that parse every line they read. Counts are compared with those of the same lines unparsed."""
    first, end, day = facts["start_ns"], facts["end_ns"], facts["end_ns"] - facts["start_ns"]
    step, six_hours = max(1, day // NS // 288), end - day // 4
    json_lines, logfmt_lines = '{app=~"cart|catalog|checkout|payments"}', '{app=~"auth|recommend"}'

    def counted(query, lines, start):
        want = total(d, "sum(count_over_time(%s[%ds]))" % (lines, step), start, end, step)[0]

        def ask(i):
            got, answer = total(d, query % step, start, end, step)
            check_eq(got, want, "sum of " + query)
            return answer
        return ask

    def some(query, start):
        def ask(i):
            got, answer = total(d, query % step, start, end, step)
            check(got > 0, "samples of " + query, got)
            return answer
        return ask

    return [
        timed(d, "| json, sum by level, 6 h", repeat,
              counted("sum by (level) (count_over_time(" + json_lines + " | json [%ds]))", json_lines, six_hours)),
        timed(d, "quantile of an unwrapped JSON number, 6 h", repeat,
              some('quantile_over_time(0.99, ' + json_lines + ' | json | unwrap duration_ms | __error__="" [%ds]) by (app)', six_hours)),
        timed(d, "topk of a JSON field, 6 h", repeat,
              some("topk(5, sum by (logger) (count_over_time(" + json_lines + " | json [%ds])))", six_hours)),
        timed(d, "| logfmt, sum by status, 24 h", repeat,
              counted("sum by (status) (count_over_time(" + logfmt_lines + " | logfmt [%ds]))", logfmt_lines, first)),
        timed(d, "| pattern, sum by method, 24 h", repeat,
              counted('sum by (method) (count_over_time({app="nginx"} | pattern "<_> \\"<method> <_>" [%ds]))', '{app="nginx"}', first)),
        timed(d, "line_format after | json, bytes, 6 h", repeat,
              some('sum(bytes_over_time(' + json_lines + ' | json | line_format "{{.level}} {{.message}}" [%ds]))', six_hours)),
    ]


def questions(d, facts, repeat):
    end, day = facts["end_ns"], (facts["end_ns"] - facts["start_ns"]) // facts["days"]
    first, last_day = facts["start_ns"], facts["end_ns"] - day
    one_day = facts["days"] == 1
    samples = facts["samples"]
    recent = [s for s in samples if s["day"] == facts["days"] - 1]

    def trace_page(trace_id, want):
        answer = d.get("/api/v1/traces/%s/logs" % trace_id)
        check_eq(len(answer.json()["entries"]), want, "lines of trace " + trace_id)
        return answer

    def absent(i):
        return "%032x" % (0xdeadbeefcafef00d << 64 | (i + 1) * 0x9e3779b97f4a7c15 % (1 << 64))

    rows = [
        timed(d, "newest 100 lines of 40 streams", repeat,
              lambda i: logs(d, '{namespace="shop"}', last_day, end, 100, 100)),
        timed(d, "a trace id over one day, |=", repeat,
              lambda i: logs(d, '%s |= "%s"' % (ALL, recent[i % len(recent)]["id"]), last_day, end, 1000, recent[i % len(recent)]["lines"])),
        timed(d, "a trace id over all days, |=", repeat,
              lambda i: logs(d, '%s |= "%s"' % (ALL, samples[i % len(samples)]["id"]), first, end, 1000, samples[i % len(samples)]["lines"])),
        timed(d, "an absent trace id over all days, |=", repeat,
              lambda i: logs(d, '%s |= "%s"' % (ALL, absent(i)), first, end, 1000, 0)),
        timed(d, "all lines of a trace, /api/v1/traces", repeat,
              lambda i: trace_page(samples[i % len(samples)]["id"], samples[i % len(samples)]["lines"])),
        timed(d, "an absent trace, /api/v1/traces", repeat, lambda i: trace_page(absent(i), 0)),
    ]
    if not one_day:
        return rows
    few = max(3, repeat // 5)
    scan = timed(d, "a full scan that finds nothing, |=", few,
                 lambda i: logs(d, ALL + ' |= "no line says this %d"' % i, first, end, 100, 0))
    scan["raw_gb_per_s"] = facts["raw_bytes"] / 1e9 / (scan["server_ms"] / 1000)
    scan["raw_gb_per_s_core"] = facts["raw_bytes"] / 1e9 / max(scan["cpu_ms"] / 1000, 1e-3)
    step = max(1, day // NS // 288)  # 5 minutes of a whole day
    check_eq(day // NS % step, 0, "the day in steps")
    return rows + [
        timed(d, "a rare word in the day, |=", few,
              lambda i: logs(d, '%s |= "%s"' % (ALL, facts["rare_word"]), first, end, 1000, facts["rare_lines"])),
        timed(d, "a regex in the day, |~", few,
              lambda i: logs(d, '%s |~ "%s"' % (ALL, facts["slow_pattern"]), first, end, 1000, facts["slow_lines"])),
        timed(d, "count by service, 24 h in 5 m steps", few,
              lambda i: metric(d, "sum by (app) (count_over_time(%s[%ds]))" % (ALL, step), first, end, step,
                               facts["by_service"])),
        timed(d, "log volume by level, 24 h in 5 m steps", few, lambda i: volume(d, facts, first, end, step)),
        timed(d, 'count of |= "ERROR", 24 h in 5 m steps', few,
              lambda i: metric(d, 'sum (count_over_time(%s |= "ERROR" [%ds]))' % (ALL, step), first, end, step,
                               {"": facts["error_lines"]})),
        scan,
    ] + language(d, facts, few)


def print_report(report):
    facts, ingest, disk = report["facts"], report["ingest"], report["disk"]
    print("workload       %d lines, %.3f GB raw, %d streams, %d days, %d traces"
          % (facts["lines"], facts["raw_bytes"] / 1e9, facts["streams"], facts["days"], facts["traces"]))
    print("settings       " + " ".join("%s=%s" % kv for kv in report["settings"].items()))
    print("ingest         %.2f CPU s per raw GB, %.1f MB/s raw, %.1f s; push p50 %.1f ms, p99 %.1f ms"
          % (ingest["cpu_s_per_raw_gb"], ingest["raw_mb_per_s"], ingest["wall_s"], ingest["push_p50_ms"], ingest["push_p99_ms"]))
    print("flush, merge   %.2f CPU s per raw GB more, settled after %.1f s, %d segments"
          % (disk["settle_cpu_s_per_raw_gb"], disk["settle_s"], disk["segments"]))
    print("peak memory    %.0f MB in ingest, %.0f MB after queries" % (ingest["peak_mb"], report["peak_mb"]))
    print("disk           %.3f bytes for each raw byte, %.3f of them index" % (disk["disk_per_raw"], disk["index_per_raw"]))
    print("%-44s %10s %10s %10s %10s" % ("query, medians", "server ms", "wall ms", "max ms", "CPU ms"))
    for row in report["queries"]:
        server = "-" if row["server_ms"] is None else "%.2f" % row["server_ms"]
        extra = "" if "raw_gb_per_s" not in row else "   %.2f GB/s, %.2f GB/s a core" % (row["raw_gb_per_s"], row["raw_gb_per_s_core"])
        print("%-44s %10s %10.2f %10.2f %10.2f%s" % (row["query"], server, row["wall_ms"], row["wall_max_ms"], row["cpu_ms"], extra))


def run(args, workdir):
    bodies, facts = generate(workdir, args)
    d = Daemon(os.path.join(workdir, "spoor"))
    d.settings = dict(SETTINGS)
    try:
        d.start()
        ingest = load(d, bodies, facts, args.conns)
        os.unlink(bodies)
        disk = settle(d, facts)
        queries = questions(d, facts, args.repeat)
        report = {"facts": {k: v for k, v in facts.items() if k != "samples"}, "settings": SETTINGS, "ingest": ingest,
                  "disk": disk, "peak_mb": d.peak_memory() / 1e6, "queries": queries}
        d.stop()
    except BaseException:
        d.kill()
        sys.stderr.write(d.log_tail())
        raise
    return report


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=int(os.environ.get("BENCH_LINES", "1000000")), help="lines a day")
    parser.add_argument("--days", type=int, default=int(os.environ.get("BENCH_DAYS", "1")))
    parser.add_argument("--conns", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=25)
    parser.add_argument("--json", help="write the figures there, too")
    parser.add_argument("--workdir", help="where to put the data; default: a temporary folder")
    args = parser.parse_args(argv)
    workdir = tempfile.mkdtemp(prefix="spoor-bench-", dir=args.workdir)
    try:
        report = run(args, workdir)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(report, f, indent=1)
    print_report(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
