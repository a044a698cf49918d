#!/usr/bin/env python3
"""tests/conformance.py CORPUS [-v]: replays a corpus of questions and recorded answers against a fresh spoord.

Areas in REQUIRED must pass in full and are counted; of the others only a table is shown, as they show how far the
language has come. SPOOR_BINDIR says where spoord is. Ends with "N passed, N failed".
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenario"))
from harness import Daemon  # noqa: E402

REQUIRED = ["selectors", "line-filters", "pattern-filters", "limits-direction", "labels", "label-values", "series",
            "index-stats", "param-errors", "push-errors", "server", "tenant"]
SETTINGS = {"reject_old_samples": "false", "max_query_series": "10000", "ingestion_rate_mb": "0", "per_stream_rate_limit": "0"}


def replay(corpus, d, *more):
    done = subprocess.run([sys.executable, os.path.join(corpus, "run.py"), "--base", "http://127.0.0.1:%d" % d.port, *more],
                          capture_output=True, timeout=1800)
    return done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")


def main():
    corpus = sys.argv[1]
    areas = sorted(n[:-5] for n in os.listdir(os.path.join(corpus, "cases")) if n.endswith(".json"))
    tmp = tempfile.mkdtemp(prefix="spoor-conformance-")
    d = Daemon(tmp)
    d.settings = SETTINGS
    try:
        d.start()
        print(replay(corpus, d, "--push-only"), end="")
        others = [a for a in areas if a not in REQUIRED]
        table = replay(corpus, d, *sum((["--area", a] for a in others), []))
        print("areas that are not required yet:")
        for line in table[table.rfind("\narea "):].strip().splitlines():
            print("    " + line)
        output = replay(corpus, d, *sum((["--area", a] for a in REQUIRED), []))
        print(output, end="")
        d.stop()
    finally:
        d.kill()
        shutil.rmtree(tmp, ignore_errors=True)
    return 0 if re.search(r"^[1-9]\d* passed, 0 failed$", output, re.M) else 1


if __name__ == "__main__":
    sys.exit(main())
