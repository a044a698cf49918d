#!/usr/bin/python3
"""Runs the scenarios: every function scenario_* of the modules beside this file, each with a daemon of its own.

    run.py [--long] [--jobs N] [--list] [PATTERN...]

A PATTERN is a part of module.name. --long runs the long forms (200 kills and so on). Ends with "N passed, N failed".
SPOOR_BINDIR says where spoord and spoor are.
"""
import argparse
import concurrent.futures
import importlib
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import harness  # noqa: E402

MODULES = ["pushes", "auth", "otlp", "durability", "traces", "faults", "deletes", "operation", "patterns", "histograms", "bad_input", "tls", "otlp_grpc", "tail", "load", "bench_small", "rules", "ruler", "fields", "pages"]


def collect(patterns):
    found = []
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name, function in vars(module).items():
            if name.startswith("scenario_"):
                full = "%s.%s" % (module_name, name[len("scenario_"):])
                if not patterns or any(p in full for p in patterns):
                    found.append((full, function))
    return found


def run_one(full, function, long):
    ctx = harness.Context(full, long)
    start = time.monotonic()
    failed, text = False, ""
    try:
        function(ctx)
    except harness.Skip as e:
        ctx.finish(False)
        return full, "skip", str(e), time.monotonic() - start
    except harness.Failed as e:
        failed, text = True, "".join(str(a) for a in e.args)
        text += "\n" + "".join(traceback.format_tb(e.__traceback__)[-2:])
    except Exception:
        failed, text = True, traceback.format_exc()
    try:
        ctx.finish(failed)
    except harness.Failed as e:
        failed, text = True, "".join(str(a) for a in e.args)
    if failed:
        text += "\n" + "\n".join(ctx.notes)
    else:
        text = "; ".join(ctx.notes)
    return full, "FAIL" if failed else "ok", text, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", default=os.environ.get("SPOOR_LONG") == "1")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("pattern", nargs="*")
    args = parser.parse_args()
    scenarios = collect(args.pattern)
    if args.list:
        print("\n".join(full for full, _ in scenarios))
        return 0
    if not os.access(harness.spoord_path(), os.X_OK):
        sys.exit("no spoord in %s: set SPOOR_BINDIR" % harness.BINDIR)
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    failures = []
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(run_one, full, function, args.long) for full, function in scenarios]
        for job in concurrent.futures.as_completed(jobs):
            full, verdict, text, seconds = job.result()
            counts[verdict] += 1
            line = "%-4s %-44s %6.1f s%s" % (verdict, full, seconds, "  " + text if text else "")
            print(line, flush=True)
            if verdict == "FAIL":
                failures.append(line)
    # Once more where a reader of the log's end finds them.
    for line in failures:
        print(line)
    tail = ", %d skipped" % counts["skip"] if counts["skip"] else ""
    print("%d passed, %d failed%s" % (counts["ok"], counts["FAIL"], tail))
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
