#!/usr/bin/python3
"""The web page: its types and unit tests, then each screen used in Chromium against a real spoord with the benchmark's
logs. Screenshots are written to SPOOR_BINDIR/tests/web/shots.

    tests/web/run.py [NAME...]       only the tests in the browser whose name holds one of these
    tests/web/run.py --long          a result of 1,000,000 lines, too

SPOOR_BINDIR says where spoord and tests/bench/gen are. Ends with "N passed, N failed".
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
WEB = os.path.join(HERE, "..", "..", "web")
sys.path.insert(0, os.path.join(HERE, "..", "scenario"))
from harness import BINDIR, NS, SLOWER, Daemon, check, check_eq, now_ns, push_json  # noqa: E402

SHOTS = os.path.join(BINDIR, "tests", "web", "shots")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
counts = {"passed": 0, "failed": 0}


def verdict(name, error):
    counts["failed" if error else "passed"] += 1
    print("%-4s web.%s%s" % ("FAIL" if error else "ok", name, "  " + error if error else ""), flush=True)


def command(name, *args):
    """A program of the page's own: types, unit tests. Counts vitest's tests one by one."""
    done = subprocess.run(args, cwd=WEB, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, env={**os.environ, "NO_COLOR": "1"})
    text = done.stdout.decode("utf-8", "replace")
    m = re.search(r"Tests\s+(?:(\d+) failed \| )?(\d+) passed", text)
    if done.returncode == 0 and m:
        counts["passed"] += int(m.group(2)) - 1
    verdict(name, "" if done.returncode == 0 else text[-6000:])


def shop(d, lines):
    """The benchmark's shop, the last hour. The facts are what its lines hold."""
    facts = os.path.join(d.dir, "facts")
    gen = subprocess.run([os.path.join(BINDIR, "tests", "bench", "gen"), "--lines", str(lines), "--span", "1h", "--end", "now", "--seed", "11",
                          "--batch-bytes", "1000000", "--facts", facts], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=600)
    check_eq(gen.returncode, 0, "exit code of gen")
    for body in gen.stdout.splitlines():
        check_eq(d.push_body(body).status, 204, "push of the shop")
    with open(facts) as f:
        return json.load(f)


def story(d):
    """One request through three services, with spans, an error deep down and a line without a span."""
    t0 = now_ns() - 300 * NS
    ms = 1_000_000

    def line(service, at, span, level, text, **more):
        metadata = {"trace_id": TRACE, "detected_level": level, **({"span_id": span} if span else {}), **more}
        return {"service_name": service, "env": "production"}, (t0 + at * ms, text, metadata)

    story = [
        line("gateway", 0, "00f067aa0ba902b7", "info", "POST /orders began"),
        line("order-service", 12, "a1b2c3d4e5f60718", "info", '{"msg":"order received","order":456,"items":[{"sku":"x1","n":2}]}', parent_span_id="00f067aa0ba902b7"),
        line("payment-service", 40, "b7ad6b7169203331", "info", "charge started for order 456", parent_span_id="a1b2c3d4e5f60718"),
        line("payment-service", 190, "b7ad6b7169203331", "warn", "gateway timeout, trying again 2/3", parent_span_id="a1b2c3d4e5f60718"),
        line("payment-service", 320, "b7ad6b7169203331", "error", "Payment failed for order 456: gateway timeout\\njava.io.IOException\\n\\tat Gateway.call(Gateway.java:42)", parent_span_id="a1b2c3d4e5f60718"),
        line("order-service", 331, "a1b2c3d4e5f60718", "error", "order 456 not placed", parent_span_id="00f067aa0ba902b7"),
        line("gateway", 350, "00f067aa0ba902b7", "info", "POST /orders 502 in 350 ms"),
        line("mailer", 345, None, "info", "no mail for trace " + TRACE),
    ]
    for labels, entry in story:
        check_eq(d.push_body(push_json([(labels, [entry])])).status, 204, "push of the story")


def hostile(d):
    """Lines that must stay text."""
    now = now_ns()
    lines = [
        "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>",
        "</span></div><a href=\"javascript:window.hacked=1\">x</a>",
        "\u001b[31mred\u001b[0m \u001b]8;;http://evil.example\u0007link\u001b]8;;\u0007 \u001b[2J\u001b[99999999m",
        "user=\u202egnp.exe\u202c zero\u200bwidth \u0007 bell \u0000 nul",
        "{" + ",".join('"f%d":%d' % (i, i) for i in range(10000)) + "}",
        "{\"a\":" * 400 + "1" + "}" * 400,
        "long " + "x" * 1_000_000,
        '{"<b>k</b>":"<i>v</i>","__proto__":{"polluted":true}}',
    ]
    entries = [(now - i * NS, line, {"<u>name": "<u>value"} if i == 0 else {}) for i, line in enumerate(lines)]
    too_long = "<img src=x onerror=\"window.hacked=1\">" + "y" * 3_000_000
    check_eq(d.push_body(push_json([({"service_name": "hostile"}, [(now, too_long)])])).status, 400, "push of a line too long")
    check_eq(d.push_body(push_json([({"service_name": "hostile", "label": "<script>window.hacked=1</script>"}, entries)])).status, 204, "push of hostile lines")


def browser(d, facts, wanted, long):
    os.makedirs(SHOTS, exist_ok=True)
    told = {"url": "http://127.0.0.1:%d" % d.port, "shots": SHOTS, "trace": TRACE, "slower": SLOWER, "facts": facts, "wanted": wanted, "long": long}
    process = subprocess.Popen(["node", os.path.join(HERE, "browser.mjs"), json.dumps(told)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "WEB_MODULES": os.path.join(WEB, "node_modules")})
    for raw in process.stdout:
        text = raw.decode("utf-8", "replace").rstrip()
        m = re.match(r"^(ok|FAIL) (\S+)\s*(.*)", text)
        if m:
            verdict(m.group(2), "" if m.group(1) == "ok" else m.group(3) or "failed")
        else:
            print("     " + text, flush=True)
    if process.wait() != 0:
        verdict("browser", "browser.mjs ended with %d" % process.returncode)


def main():
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    long = "--long" in sys.argv
    os.makedirs(os.path.join(BINDIR, "tests", "web"), exist_ok=True)
    made = subprocess.run([os.path.join(WEB, "build"), os.path.join(BINDIR, "tests", "web", "assets_data.c")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    verdict("size", "" if made.returncode == 0 else made.stdout.decode()[-3000:])
    if not wanted:
        command("types", "node_modules/.bin/tsc", "--noEmit")
        command("unit", "node_modules/.bin/vitest", "run")
    tmp = tempfile.mkdtemp(prefix="spoor-web-")
    d = Daemon(tmp, {"max_line_size": "2MB", "trace_links": "Jaeger=https://jaeger.example/trace/{trace_id}"})
    try:
        d.start()
        if not wanted or "first_start" in wanted:
            browser(d, {}, ["first_start"], False)
        facts = shop(d, 1_000_000 if long else 20_000)
        story(d)
        hostile(d)
        browser(d, facts, [w for w in wanted if w != "first_start"], long)
        d.check_alive()
        d.stop()
    except Exception as e:
        verdict("daemon", "%s: %s%s" % (type(e).__name__, e, d.log_tail()))
    finally:
        d.kill()
        shutil.rmtree(tmp, ignore_errors=True)
    print("%d passed, %d failed" % (counts["passed"], counts["failed"]))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
