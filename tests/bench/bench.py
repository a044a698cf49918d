#!/usr/bin/env python3
"""The benchmark: loads logs into fresh daemons, asks the questions that matter, and prints tables in Markdown.

    bench.py [--lines N] [--days D] [--parts day,days,streams,codec] [--conns K] [--repeat R] [--json FILE]
             [--docs FILE] [--workdir DIR]

day      one day of the shop (or D of them): ingest, memory, disk, merges, all queries
days     trace lookups over 1, 10 and 100 days of the same size
streams  trace lookups among 10,002 streams
codec    chunk codecs alone, on lines of many shapes (tests/bench/bench_codec)

Ingest is measured in CPU seconds of the server for a gigabyte of raw log (which is nanoseconds for a byte), queries by the
server's own clock (stats.summary.execTime) and by the client's. Every answer is checked against what the generator says
it wrote; a wrong answer fails the run, a slow one does not. Each question is asked once before it is measured, so files
are in the page cache; the cache of results is off unless a row says otherwise. --docs FILE puts the tables between the
marks <!-- bench:NAME --> and <!-- end --> of a document. SPOOR_BINDIR says where the programs are.
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
from harness import BINDIR, NS, SLOWER, Daemon, check, check_eq, spoord_path  # noqa: E402
import tables  # noqa: E402

SETTINGS = {"reject_old_samples": "false", "ingestion_rate_mb": "0", "per_stream_rate_limit": "0", "max_query_length": "0",
            "merge_interval": "1s", "log_queries": "false"}
CACHE = "result_cache_size"
ALL = '{cluster="eu-1"}'
PARTS = ("day", "days", "streams", "codec")


def program(name):
    return os.path.join(BINDIR, "tests/bench", name)


def settings():
    """As above; and without the cache of results, where the daemon has one."""
    known = subprocess.run([spoord_path(), "--help"], capture_output=True, check=True).stdout.decode()
    return {**SETTINGS, **({CACHE: "0"} if CACHE in known else {})}


# ------------------------------------------------------------------ loading

def generate(workdir, *options):
    bodies, facts = os.path.join(workdir, "bodies"), os.path.join(workdir, "facts.json")
    with open(bodies, "wb") as out:
        subprocess.run([program("gen"), "--facts", facts, *options], stdout=out, check=True, stderr=subprocess.DEVNULL)
    with open(facts) as f:
        return bodies, json.load(f)


def load(d, bodies, facts, conns):
    cpu = d.cpu_seconds()
    done = subprocess.run([program("load"), "--port", str(d.port), "--conns", str(conns), bodies],
                          capture_output=True, check=True)
    report = json.loads(done.stdout)
    check_eq(set(report["status"]), {"204"}, "statuses of the pushes")
    cpu = d.cpu_seconds() - cpu
    return {"wall_s": report["wall_s"], "raw_mb_per_s": facts["raw_bytes"] / 1e6 / report["wall_s"],
            "cpu_s_per_raw_gb": cpu / (facts["raw_bytes"] / 1e9), "push_p50_ms": report["latency_ms"]["p50"],
            "push_p99_ms": report["latency_ms"]["p99"], "peak_mb": d.peak_memory() / 1e6}


def forget_peak(d):
    """Peak memory counts from now on. Linux lets the owner of a process ask for it."""
    try:
        with open("/proc/%d/clear_refs" % d.process.pid, "w") as f:
            f.write("5")
    except OSError:
        pass


def written_bytes(d):
    with open("/proc/%d/io" % d.process.pid) as f:
        return int(dict(line.split(": ") for line in f.read().splitlines())["write_bytes"])


def settle(d, facts):
    """Flushes, then waits until the merges have nothing left to do; what the daemon does after that is said apart."""
    cpu, start, raw = d.cpu_seconds(), time.monotonic(), facts["raw_bytes"]
    d.flush()
    last, since, spent, before = None, time.monotonic(), cpu, cpu
    while time.monotonic() - since < 4 and time.monotonic() - start < 900:
        now, used = (d.files(".seg"), d.metrics()["spoor_merges_total"]), d.cpu_seconds()
        if now != last or used - before > 0.05:  # of a quarter of a second: a large merge may be under way
            last, since, spent = now, time.monotonic(), used
        before = used
        time.sleep(0.25)
    idle = (d.cpu_seconds() - spent) / (time.monotonic() - since)
    d.request("POST", "/flush")
    return {"settle_s": since - start, "settle_cpu_s_per_raw_gb": (spent - cpu) / (raw / 1e9), "idle_cpu_share": idle,
            "settle_peak_mb": d.peak_memory() / 1e6, **merges(d, raw), **disk(d, raw)}


def merges(d, raw):
    """How often a raw byte was written, and by whom."""
    m = d.metrics()
    return {"wal_per_raw": m["spoor_wal_bytes_total"] / raw, "merged_per_raw": m["spoor_merged_raw_bytes_total"] / raw,
            "merges": m["spoor_merges_total"], "flushes": m["spoor_flushes_total"], "written_per_raw": written_bytes(d) / raw}


def disk(d, raw):
    """Where the bytes on disk are, for each raw byte."""
    def of(suffix):
        return sum(os.path.getsize(f) for f in d.files(suffix)) / raw

    segments = d.files(".seg")
    split = json.loads(subprocess.run([program("segments"), *segments], stdout=subprocess.PIPE, check=True).stdout)
    return {"segments": len(segments), "disk_mb": d.disk_bytes("tenants") / 1e6, "disk_per_raw": d.disk_bytes("tenants") / raw,
            "all_files_per_raw": d.disk_bytes() / raw, "index_per_raw": of("index.db") + of("index.db-wal"),
            "wal_left_per_raw": of(".wal"), "reserve_per_raw": of("reserve"), "bloom_per_raw": of("trace.bloom"), "split": split}


# ------------------------------------------------------------------ questions

class Timing:
    def __init__(self, name, repeat):
        self.name, self.repeat = name, repeat
        self.server, self.wall, self.cpu, self.bytes = [], [], 0.0, 0

    def row(self):
        return {"query": self.name, "read_mb": self.bytes / 1e6 / len(self.wall) if self.server else None, "server_ms": statistics.median(self.server) if self.server else None,
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
            t.bytes += summary["stats"]["summary"]["totalBytesProcessed"]
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


def absent(i):
    return "%032x" % (0xdeadbeefcafef00d << 64 | (i + 1) * 0x9e3779b97f4a7c15 % (1 << 64))


def traces(d, facts, repeat, note=""):
    """Trace ids, of which the generator kept samples, and ids that nobody wrote."""
    end, first = facts["end_ns"], facts["start_ns"]
    last_day = end - (end - first) // facts["days"]
    samples = facts["samples"]
    recent = [s for s in samples if s["day"] == facts["days"] - 1]

    def search(of, start):
        return lambda i: logs(d, '%s |= "%s"' % (ALL, of[i % len(of)]["id"]), start, end, 1000, of[i % len(of)]["lines"])

    def page(trace_id, want):
        answer = d.get("/api/v1/traces/%s/logs" % trace_id)
        check_eq(len(answer.json()["entries"]), want, "lines of trace " + trace_id)
        return answer

    rows = []
    if facts["days"] > 1:
        rows.append(timed(d, "a trace id over one day, |=" + note, repeat, search(recent, last_day)))
    return rows + [
        timed(d, "a trace id over all days, |=" + note, repeat, search(samples, first)),
        timed(d, "an absent trace id over all days, |=" + note, repeat,
              lambda i: logs(d, '%s |= "%s"' % (ALL, absent(i)), first, end, 1000, 0)),
        timed(d, "all lines of a trace, /api/v1/traces" + note, repeat,
              lambda i: page(samples[i % len(samples)]["id"], samples[i % len(samples)]["lines"])),
        timed(d, "an absent trace, /api/v1/traces" + note, repeat, lambda i: page(absent(i), 0)),
    ]


def newest(d, facts, repeat):
    end = facts["end_ns"]
    return timed(d, "newest 100 lines of %d streams" % (facts["streams"] - 2), repeat,
                 lambda i: logs(d, '{namespace="shop"}', end - (end - facts["start_ns"]) // facts["days"], end, 100, 100))


def errors_by_step(d, facts, step):
    return metric(d, 'sum (count_over_time(%s |= "ERROR" [%ds]))' % (ALL, step), facts["start_ns"], facts["end_ns"], step,
                  {"": facts["error_lines"]})


def steps(facts):
    """5 minutes of a whole day."""
    day = facts["end_ns"] - facts["start_ns"]
    step = max(1, day // NS // 288)
    check_eq(day // NS % step, 0, "the day in steps")
    return step


def questions(d, facts, repeat):
    first, end = facts["start_ns"], facts["end_ns"]
    rows = [newest(d, facts, repeat)] + traces(d, facts, repeat)
    if facts["days"] > 1:
        return rows
    few, step = max(3, repeat // 5), steps(facts)
    scan = timed(d, "a full scan that finds nothing, |=", few,
                 lambda i: logs(d, ALL + ' |= "no line says this %d"' % i, first, end, 100, 0))
    scan["raw_gb_per_s"] = facts["raw_bytes"] / 1e9 / (scan["server_ms"] / 1000)
    scan["raw_gb_per_s_core"] = facts["raw_bytes"] / 1e9 / max(scan["cpu_ms"] / 1000, 1e-3)
    return rows + [
        timed(d, "a rare word in the day, |=", few,
              lambda i: logs(d, '%s |= "%s"' % (ALL, facts["rare_word"]), first, end, 1000, facts["rare_lines"])),
        timed(d, "a regex in the day, |~", few,
              lambda i: logs(d, '%s |~ "%s"' % (ALL, facts["slow_pattern"]), first, end, 1000, facts["slow_lines"])),
        timed(d, "count by service, 24 h in 5 m steps", few,
              lambda i: metric(d, "sum by (app) (count_over_time(%s[%ds]))" % (ALL, step), first, end, step,
                               facts["by_service"])),
        timed(d, "log volume by level, 24 h in 5 m steps", few, lambda i: volume(d, facts, first, end, step)),
        timed(d, 'count of |= "ERROR", 24 h in 5 m steps', few, lambda i: errors_by_step(d, facts, step)),
        scan,
    ] + language(d, facts, few)


def after_restart(d, facts, repeat):
    """The daemon's own caches are empty, those of the kernel are not; then the same question with the cache of results."""
    step, sample = steps(facts), facts["samples"][0]
    if CACHE in d.settings:
        del d.settings[CACHE]
    d.restart()
    start = time.monotonic()
    answer = logs(d, '%s |= "%s"' % (ALL, sample["id"]), facts["start_ns"], facts["end_ns"], 1000, sample["lines"])
    row = {"query": "a trace id, first question after a restart", "wall_ms": (time.monotonic() - start) * 1000, "n": 1,
           "server_ms": answer.json()["data"]["stats"]["summary"]["execTime"] * 1000, "cpu_ms": None, "read_mb": None}
    row["wall_max_ms"] = row["wall_ms"]
    rows = [row]
    if CACHE in settings():
        rows.append(timed(d, 'count of |= "ERROR" again, results cached', repeat, lambda i: errors_by_step(d, facts, step)))
    return rows


# ------------------------------------------------------------------ parts

class Run:
    """A daemon with a workload in it."""

    def __init__(self, workdir, name, conns, *options):
        folder = os.path.join(workdir, name)
        os.makedirs(folder)
        bodies, self.facts = generate(folder, *options)
        self.d = Daemon(folder)
        self.d.settings = settings()
        try:
            self.d.start()
            self.ingest = load(self.d, bodies, self.facts, conns)
            os.unlink(bodies)
            forget_peak(self.d)
            self.disk = settle(self.d, self.facts)
        except BaseException:
            self.failed()
            raise

    def __enter__(self):
        return self

    def failed(self):
        self.d.kill()
        sys.stderr.write(self.d.log_tail())

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.failed()
        else:
            self.d.stop()
        shutil.rmtree(self.d.data, ignore_errors=True)

    def report(self, rows, **more):
        return {"facts": {k: v for k, v in self.facts.items() if k != "samples"}, "settings": settings(),
                "ingest": self.ingest, "disk": self.disk, "queries": rows, **more}


def run(args, workdir):
    with Run(workdir, "day", args.conns, "--lines", str(args.lines), "--days", str(args.days)) as r:
        forget_peak(r.d)
        rows = questions(r.d, r.facts, args.repeat)
        peak = r.d.peak_memory() / 1e6
        if args.days == 1:
            rows += after_restart(r.d, r.facts, args.repeat)
        return r.report(rows, peak_mb=peak)


def wait_closed(d, facts):
    """A day that takes no more entries gets its filter a minute after the last ones. How many days have it."""
    deadline = time.monotonic() + 180 * SLOWER
    while len(d.files("trace.bloom")) < facts["days"] and time.monotonic() < deadline:
        time.sleep(0.5)
    return len(d.files("trace.bloom"))


def run_days(args, workdir):
    """The same lookups over more and more days: at first days are open, then closed."""
    runs, reports = [], []
    try:
        for days in args.days_of_traces:
            runs.append(Run(workdir, "days%d" % days, args.conns, "--lines", str(args.trace_lines), "--days", str(days)))
        rows = [traces(r.d, r.facts, args.repeat, ", just loaded") for r in runs]
        for r, fresh in zip(runs, rows):
            closed = wait_closed(r.d, r.facts) if args.wait_closed else 0
            later = traces(r.d, r.facts, args.repeat, ", days closed") if closed == r.facts["days"] else []
            reports.append(r.report(fresh + later, days_closed=closed))
            r.__exit__(None, None, None)
    except BaseException:
        for r in runs:
            r.d.kill()
        raise
    return reports


def run_streams(args, workdir):
    with Run(workdir, "streams", args.conns, "--lines", str(args.stream_lines), "--pods", str(args.pods)) as r:
        forget_peak(r.d)
        rows = [newest(r.d, r.facts, args.repeat)] + traces(r.d, r.facts, args.repeat)
        return r.report(rows, peak_mb=r.d.peak_memory() / 1e6)


def run_codec(args, workdir):
    return subprocess.run([program("bench_codec"), "--lines", str(args.codec_lines)], stdout=subprocess.PIPE,
                          check=True).stdout.decode()


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=int(os.environ.get("BENCH_LINES", "1000000")), help="lines a day")
    parser.add_argument("--days", type=int, default=int(os.environ.get("BENCH_DAYS", "1")))
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--trace-lines", type=int, default=20000, help="lines a day in the part of many days")
    parser.add_argument("--stream-lines", type=int, default=500000, help="lines in the part of many streams")
    parser.add_argument("--pods", type=int, default=1000, help="and pods of each of its ten services")
    parser.add_argument("--codec-lines", type=int, default=100000, help="lines of each shape")
    parser.add_argument("--conns", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=25)
    parser.add_argument("--json", help="write the figures there, too")
    parser.add_argument("--docs", help="put the tables into this document")
    parser.add_argument("--workdir", help="where to put the data; default: a temporary folder")
    args = parser.parse_args(argv)
    args.days_of_traces, args.wait_closed = (1, 10, 100), True
    functions = {"day": run, "days": run_days, "streams": run_streams, "codec": run_codec}
    if not set(args.parts.split(",")) <= set(PARTS):
        parser.error("--parts are of " + ", ".join(PARTS))
    workdir, report = tempfile.mkdtemp(prefix="spoor-bench-", dir=args.workdir), {}
    try:
        for part in args.parts.split(","):
            report[part] = functions[part](args, workdir)
            for name, text in tables.of_part(part, report[part]).items():
                print("## %s\n\n%s" % (name, text), flush=True)
                if args.docs:
                    tables.put(args.docs, name, text)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)
        if args.json:
            with open(args.json, "w") as f:
                json.dump(report, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
