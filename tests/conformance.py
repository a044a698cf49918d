#!/usr/bin/env python3
"""tests/conformance.py CORPUS: replays a corpus of questions and recorded answers against a fresh spoord, and the corpus
for several tenants beneath it against another one. SPOOR_BINDIR says where spoord is. Ends with "N passed, N failed".
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenario"))
from harness import Daemon  # noqa: E402

SETTINGS = {"reject_old_samples": "false", "max_query_series": "10000", "ingestion_rate_mb": "0", "per_stream_rate_limit": "0"}


def ask(runner, corpus, d, *options):
    """The counts that the corpus' runner printed at its end; its output goes to ours without them."""
    done = subprocess.run([sys.executable, runner, "--dir", corpus, "--base", "http://127.0.0.1:%d" % d.port, *options],
                          capture_output=True, timeout=1800)
    output = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    end = re.search(r"^(\d+) passed, (\d+) failed$", output, re.M)
    print(re.sub(r"^\d+ passed, \d+ failed$", "", output, flags=re.M).rstrip())
    return (int(end.group(1)), int(end.group(2))) if end else (0, 1)


def replay(runner, corpus, settings):
    """What is asked while the entries are in the head, and after a flush: the sums of both."""
    tmp = tempfile.mkdtemp(prefix="spoor-conformance-")
    d = Daemon(tmp)
    d.settings = {**SETTINGS, **settings}
    try:
        d.start()
        counts = [ask(runner, corpus, d, "--push")]
        d.flush()  # the same questions to chunks on disk
        counts.append(ask(runner, corpus, d))
        d.stop()
    finally:
        d.kill()
        shutil.rmtree(tmp, ignore_errors=True)
    return tuple(sum(column) for column in zip(*counts))


def main():
    corpus = sys.argv[1]
    runner = os.path.join(corpus, "run.py")
    counts = [replay(runner, corpus, {})]
    if os.path.isdir(os.path.join(corpus, "multitenant")):
        counts.append(replay(runner, os.path.join(corpus, "multitenant"), {"auth_enabled": "true"}))
    passed, failed = (sum(column) for column in zip(*counts))
    print("%d passed, %d failed" % (passed, failed))
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
