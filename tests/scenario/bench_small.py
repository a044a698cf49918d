"""The benchmark in small: its answers are checked against what the generator wrote, its times are not."""
import argparse
import os
import subprocess
import sys

from harness import Skip, BINDIR, check

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))


def small(**more):
    for name in ("gen", "load", "segments", "bench_codec"):
        if not os.access(os.path.join(BINDIR, "tests/bench", name), os.X_OK):
            raise Skip("tests/bench/%s is not built" % name)
    return argparse.Namespace(**{"conns": 3, "repeat": 4, **more})


def run_small(ctx, lines, days):
    import bench
    report = bench.run(small(lines=lines, days=days), ctx.tmp)
    bench.tables.of_part("day", report)
    ctx.note("%d lines, %.2f bytes on disk for a raw byte" % (report["facts"]["lines"], report["disk"]["disk_per_raw"]))


def scenario_one_day(ctx):
    run_small(ctx, 40000, 1)


def scenario_three_days(ctx):
    run_small(ctx, 10000, 3)


def scenario_traces_over_days(ctx):
    import bench
    reports = bench.run_days(small(trace_lines=2000, days_of_traces=(1, 4), wait_closed=ctx.long), ctx.tmp)
    bench.tables.of_part("days", reports)
    if ctx.long:
        check(reports[-1]["days_closed"] == 4, "days with a filter", reports[-1]["days_closed"])


def scenario_many_streams(ctx):
    import bench
    report = bench.run_streams(small(stream_lines=20000, pods=1000 if ctx.long else 50), ctx.tmp)
    bench.tables.of_part("streams", report)


def scenario_codecs_keep_every_byte(ctx):
    """Every shape of lines comes back as it was, and no codec takes much more room than the first."""
    small()
    done = subprocess.run([os.path.join(BINDIR, "tests/bench/bench_codec"), "--lines", "8192", "--quick", "--check"],
                          capture_output=True, timeout=600)
    check(done.returncode == 0, "bench_codec --check", done.stderr.decode("utf-8", "replace"))
