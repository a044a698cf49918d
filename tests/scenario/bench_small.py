"""The benchmark in small: its answers are checked against what the generator wrote, its times are not."""
import argparse
import os
import sys

from harness import Skip, BINDIR

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))


def run_small(ctx, lines, days):
    import bench
    if not os.access(os.path.join(BINDIR, "tests/bench/gen"), os.X_OK):
        raise Skip("tests/bench/gen is not built")
    report = bench.run(argparse.Namespace(lines=lines, days=days, conns=3, repeat=4), ctx.tmp)
    ctx.note("%d lines, %.2f bytes on disk for a raw byte" % (report["facts"]["lines"], report["disk"]["disk_per_raw"]))


def scenario_one_day(ctx):
    run_small(ctx, 40000, 1)


def scenario_three_days(ctx):
    run_small(ctx, 10000, 3)
