"""Deleted entries are hidden at once and everywhere, stay hidden whatever crashes, and are gone from disk when the request
says so; nothing else goes. Retention removes streams before or after the other streams of their day."""
import glob
import json
import os
import random
import subprocess
import time
import urllib.parse

from harness import NS, SLOWER, SMALL, check, check_eq, now_ns, spoord_path, wait_for

DAY = 86400 * NS
LATER = {**SMALL, "delete_request_cancel_period": "1h"}  # hidden, not yet removed


def delete(d, query, start, end=None, want=204, **more):
    params = {"query": query, "start": start // NS, **more}
    if end is not None:
        params["end"] = -(-end // NS)
    answer = d.request("POST", "/loki/api/v1/delete?" + urllib.parse.urlencode(params), "", {"Content-Length": "0"})
    check_eq(answer.status, want, "POST delete %s: %r" % (query, answer))
    return answer


def requests(d):
    return d.get("/loki/api/v1/delete").json()


def wait_processed(d, n=1):
    wait_for(lambda: sum(r["status"] == "processed" for r in requests(d)) == n, 60, "the deletes to be processed")


def rebuild(d):
    """Offline. The files of requests are taken away first: what comes back now was never gone."""
    for path in glob.glob(os.path.join(d.data, "tenants", "*", "deletes*")):
        os.unlink(path)
    d.port = d.port or 1
    code = subprocess.run(d.command("--rebuild-index"), capture_output=True, timeout=60 * SLOWER)
    check_eq(code.returncode, 0, "--rebuild-index: %s" % code.stderr)


class Corpus:
    """Entries of three services over some hours, in several segments, head and all."""

    def __init__(self, d, seed=1, n=1200, days=1):
        self.d, rng = d, random.Random(seed)
        self.start, self.entries = now_ns() - 3 * 3600 * NS - (days - 1) * DAY, {}
        self.victim = "%032x" % rng.getrandbits(128)
        step = (now_ns() - 60 * NS - self.start) // n
        for i in range(n):
            user = "mallory" if i % 7 == 0 else "alice"
            line = json.dumps({"n": i, "last": "d%d" % (i % 10), "user": user, "msg": rng.choice(["login", "bought a book", "error: no card"]),
                               "trace_id": self.victim if i % 50 == 0 else "%032x" % rng.getrandbits(128)})
            self.entries[self.start + i * step] = ("web", "api", "db")[i % 3], line
        self.end = now_ns() - 30 * NS

    def push(self, flushes=4):
        stamps = list(self.entries)
        random.Random(2).shuffle(stamps)  # so that chunks overlap in time
        size = -(-len(stamps) // (flushes + 1))
        for k in range(0, len(stamps), size):
            for app in ("web", "api", "db"):
                part = [(ts, self.entries[ts][1]) for ts in sorted(stamps[k:k + size]) if self.entries[ts][0] == app]
                self.d.push({"app": app}, part)
            if k + size < len(stamps):
                self.d.flush()
        return self

    def check(self, gone):
        """gone(app, ts, line): exactly those are nowhere to be seen."""
        left = {ts: v for ts, v in self.entries.items() if not gone(v[0], ts, json.loads(v[1]))}
        got = {}
        for app in ("web", "api", "db"):
            for ts, line, _ in self.d.entries('{app="%s"}' % app, self.start, self.end):
                check(ts not in got, "an entry twice", ts, line)
                got[ts] = (app, line)
        check(got == left, "entries differ", "missing %s" % list(set(left) - set(got))[:5],
              "too many %s" % [got[t] for t in set(got) - set(left)][:5])
        for app in ("web", "api", "db"):
            n = sum(v[0] == app for v in left.values())
            check_eq(self.d.count('{app="%s"}' % app, self.start - NS, self.end), n, "count of " + app)
            n = sum(v[0] == app and "error" in v[1] for v in left.values())
            check_eq(self.d.count('{app="%s"} |= "error"' % app, self.start - NS, self.end), n, "errors of " + app)
        want = sorted(ts for ts, v in left.items() if self.victim in v[1])
        found = self.d.trace(self.victim, limit=5000)
        check_eq([int(e["ts"]) for e in found["entries"]], want, "the trace")
        newest = max(left)
        check_eq(self.d.lines('{app=~".+"}', self.start, self.end, limit=1, direction="backward"), [left[newest][1]],
                 "the newest line")
        return left

    def series(self):
        answer = self.d.get("/loki/api/v1/series", start=self.start, end=self.end)
        return sorted(s["app"] for s in answer.json()["data"])


CASES = [
    # (query, range as a part of the corpus, what goes)
    ('{app="api"}', (0, 1), lambda c: lambda app, ts, e: app == "api"),
    ('{app=~"web|db"}', (0.25, 0.5), lambda c: lambda app, ts, e: app != "api" and c.within(ts)),
    ('{app=~".+"} |= "mallory"', (0, 1), lambda c: lambda app, ts, e: e["user"] == "mallory"),
    ('{app="web"} | json | user="mallory" | n > 300', (0, 1),
     lambda c: lambda app, ts, e: app == "web" and e["user"] == "mallory" and e["n"] > 300),
    ('{app="db"} !~ "book|login"', (0.1, 0.9), lambda c: lambda app, ts, e: app == "db" and "error" in e["msg"]
     and c.within(ts)),
]


def send(c, query, part, end_is_now):
    length = c.end - c.start
    first, last = c.start + int(part[0] * length), c.start + int(part[1] * length)
    first, last = first // NS * NS, -(-last // NS) * NS
    c.within = lambda ts: first <= ts <= last
    delete(c.d, query, first, None if end_is_now else last)


def scenario_hidden_at_once_and_then_gone(ctx):
    for settings in (LATER, SMALL):
        for i, (query, part, make) in enumerate(CASES):
            d = ctx.daemon({**settings, "head_max_age": "1h"})
            c = Corpus(d).push()
            check_eq(c.series(), ["api", "db", "web"], "series before")
            c.check(lambda *a: False)
            send(c, query, part, part[1] == 1)
            c.check(make(c))
            if i == 0:
                check_eq(c.series(), ["db", "web"], "series after")
                check_eq(d.get("/loki/api/v1/label/app/values", start=c.start, end=c.end).json()["data"], ["db", "web"],
                         "label values after")
            if settings is LATER:
                check_eq([r["status"] for r in requests(d)], ["received"], "status")
                d.flush()
                c.check(make(c))
                d.kill_and_start()
                c.check(make(c))
            else:
                wait_processed(d)
                left = c.check(make(c))
                r = requests(d)[0]
                check_eq(r["deleted_entries"], len(c.entries) - len(left), "the count of deleted entries")
                check(r["purged_at"] >= r["created_at"], "purged_at", r)
                check("mallory" not in query or "spoor_delete_requests_active 0" in d.get("/metrics").text, "metrics")
                d.kill()
                rebuild(d)
                d.start()
                c.check(make(c))
                check_eq(requests(d), [], "requests without their files")
            d.stop()


def scenario_delete_survives_kills(ctx):
    """Killed at any time while segments are written anew: what is deleted never comes back, nothing else goes."""
    rng = random.Random(5)
    rounds = 40 if ctx.long else 8
    d = ctx.daemon({**SMALL, "merge_interval": "1s", "head_max_age": "1h"})
    c = Corpus(d, n=3000, days=3).push(12)
    gone = []

    def all_gone(app, ts, e):
        return any(app == a and e["n"] % 10 == k for a, k in gone)

    for i in range(rounds):
        app, k = rng.choice(["web", "api", "db"]), rng.randrange(10)
        delete(d, '{app="%s"} | json | last="d%d"' % (app, k), c.start, c.end - NS)
        gone.append((app, k))
        if rng.random() < 0.7:
            time.sleep(rng.random() * 2.5)
        d.kill_and_start()
        if i % 3 == 0 or i == rounds - 1:
            c.check(all_gone)
    wait_processed(d, rounds)
    c.check(all_gone)
    d.kill()
    rebuild(d)
    d.start()
    c.check(all_gone)


def scenario_delete_with_failing_disk(ctx):
    """Each step of carrying a delete out fails once."""
    for kind, skip in (("write", 8), ("write", 14), ("sync", 6), ("sync", 12), ("sync", 16), ("rename", 3), ("create", 3),
                       ("unlink", 2), ("unlink", 4)):
        d = ctx.daemon({**LATER, "head_max_age": "1h"})
        c = Corpus(d, n=600).push(3)
        delete(d, '{app="web"} |= "mallory"', c.start, c.end)
        d.kill()
        d.settings["delete_request_cancel_period"] = "0"
        d.env = {"SPOOR_FAULT": "%s:5:%d:2" % (kind, skip)}
        d.start()
        wait_for(lambda: "delete request processed" in d.log_text() or "tried again" in d.log_text(), 20, "an attempt")
        gone = lambda app, ts, e: app == "web" and e["user"] == "mallory"  # noqa: E731
        c.check(gone)
        d.kill()
        d.env = {}
        d.start()
        c.check(gone)
        wait_processed(d)
        d.kill()
        rebuild(d)
        d.start()
        c.check(gone)
        d.stop()


def scenario_cancel_a_delete(ctx):
    d = ctx.daemon({**LATER, "head_max_age": "1h"})
    c = Corpus(d, n=300).push(1)
    delete(d, '{app="web"}', c.start, c.end)
    c.check(lambda app, ts, e: app == "web")
    request = requests(d)[0]
    check_eq(request["query"], '{app="web"}', "query in the list")
    cancel = "/loki/api/v1/delete?request_id="
    check_eq(d.request("DELETE", cancel + "nosuch").status, 404, "cancel of nothing")
    check_eq(d.request("DELETE", cancel + request["request_id"]).status, 204, "cancel")
    check_eq(requests(d), [], "requests after the cancel")
    c.check(lambda *a: False)
    d.kill_and_start()
    c.check(lambda *a: False)

    d.settings["delete_request_cancel_period"] = "0"
    d.kill_and_start()
    delete(d, '{app="web"}', c.start, c.end)
    wait_processed(d)
    request = requests(d)[0]
    answer = d.request("DELETE", cancel + request["request_id"])
    check_eq((answer.status, answer.text), (400, "deletion of request which is in process or already processed is not "
                                                 "allowed\n"), "cancel when it is too late")
    check_eq(d.request("DELETE", cancel + request["request_id"] + "&force=true").status, 204, "cancel by force")
    c.check(lambda app, ts, e: app == "web")


def scenario_delete_errors(ctx):
    d = ctx.daemon(SMALL)
    now = now_ns()
    for params, status, text in [
            ({}, 400, "query not set"),
            ({"query": '{app="x"}'}, 400, "start time not set"),
            ({"query": '{app="x"}', "start": str(now)}, 400, "invalid start time: require unix seconds or RFC3339 format"),
            ({"query": '{app="x"}', "start": "1", "end": "x"}, 400,
             "invalid end time: require unix seconds or RFC3339 format"),
            ({"query": '{app="x"}', "start": "1000", "end": "1000"}, 400,
             "start time can't be greater than or equal to end time"),
            ({"query": '{app="x"}', "start": "1000", "end": str(now // NS + 600)}, 400,
             "deletes in the future are not allowed"),
            ({"query": 'rate({app="x"}[1m])', "start": "1000"}, 400, "invalid query expression"),
            ({"query": '{app="x"', "start": "1000"}, 400, "invalid query expression")]:
        answer = d.request("POST", "/loki/api/v1/delete?" + urllib.parse.urlencode(params))
        check_eq((answer.status, answer.text), (status, text + "\n"), "POST delete %r" % params)
    answer = d.request("POST", "/loki/api/v1/delete", "query={app=\"x\"}&start=1",
                       {"Content-Type": "application/x-www-form-urlencoded"})
    check_eq(answer.text, "query not set\n", "parameters in a form")
    check_eq(requests(d), [], "no request was made")
    d.request("PUT", "/loki/api/v1/delete?" + urllib.parse.urlencode(
        {"query": '{app="x"}', "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z", "max_interval": "soon"}))
    check_eq([(r["start_time"], r["end_time"], r["user_id"]) for r in requests(d)], [(1577836800, 1577923200, "")], "PUT")
    check_eq(d.get("/loki/api/v1/delete", start=1577836800).json(), [], "only a start")
    check_eq(len(d.get("/loki/api/v1/delete", start=1577836800, end=1577836801).json()), 1, "a range that meets it")
    check_eq(d.get("/loki/api/v1/delete", start=1500000000, end=1500000001).json(), [], "a range that does not")
    page = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    check_eq(d.request("POST", '/loki/api/v1/delete?query=%7Bapp%3D"x"%7D&start=1', None, page).status, 403, "another site")
    d.stop()
    d.settings["deletion_mode"] = "disabled"
    d.start()
    for method in ("POST", "GET", "DELETE"):
        answer = d.request(method, "/loki/api/v1/delete")
        check_eq((answer.status, answer.text), (403, "deletion is not available for this tenant\n"), method)
    d.stop()
    d.settings["deletion_mode"] = "filter-only"
    d.start()
    c = Corpus(d, n=300).push(1)
    delete(d, '{app="web"}', c.start, c.end)
    time.sleep(2 * SLOWER)
    c.check(lambda app, ts, e: app == "web")
    check(requests(d)[-1]["filter_only"] and requests(d)[-1]["status"] == "received", "filter-only", requests(d))


def scenario_damaged_file_of_requests(ctx):
    """One of the two files is enough; without both the daemon says so, loudly."""
    d = ctx.daemon({**LATER, "head_max_age": "1h"})
    c = Corpus(d, n=300).push(1)
    delete(d, '{app="web"}', c.start, c.end)
    path = os.path.join(d.data, "tenants", "fake", "deletes")
    d.kill()
    with open(path, "r+b") as f:
        f.seek(-3, 2)
        f.write(b"\xff")
    d.start()
    c.check(lambda app, ts, e: app == "web")
    check("LOST" not in d.get("/ready?verbose=true").text, "nothing was lost")
    d.kill()
    for p in (path, path + ".copy"):
        with open(p, "r+b") as f:
            f.seek(30)
            f.write(b"\xff\xff")
    d.start()
    c.check(lambda *a: False)
    check("LOST" in d.get("/ready?verbose").text, "the loss is reported", d.get("/ready?verbose").text)
    check(glob.glob(os.path.join(d.data, "quarantine", "*deletes")), "the damaged file is kept")


def days_of(d):
    return sorted(os.listdir(os.path.join(d.data, "tenants", "fake")))


def scenario_retention_by_stream(ctx):
    d = ctx.daemon(SMALL)
    now = now_ns()
    ages = (0, 1, 2, 3, 5, 9)
    for app in ("short", "long", "other"):
        d.push({"app": app}, [(now - a * DAY, "%s %d" % (app, a)) for a in ages])
    d.flush()
    d.stop()
    d.settings.update({"retention_period": "96h", "retention_stream": '{app="short"}=48h; {app=~"lo.g", nosuch=""}=192h;'})
    d.start()

    def left(app):
        return sorted(int(line.split()[1]) for line in d.lines('{app="%s"}' % app, now - 30 * DAY, now + DAY))

    # A day goes when all of it is older than the period.
    want = {"short": [0, 1, 2], "other": [0, 1, 2, 3], "long": [0, 1, 2, 3, 5]}
    wait_for(lambda: {app: left(app) for app in want} == want, 30, "retention: %r" % {app: left(app) for app in want})
    d.kill()
    rebuild(d)
    d.start()
    check_eq({app: left(app) for app in want}, want, "after a rebuild")
    d.stop()
    d.settings["retention_stream"] = "{app="
    d.spawn()
    check_eq(d.process.wait(20 * SLOWER) != 0, True, "a bad rule is refused at the start")
    check("retention_stream" in d.log_text(), "the message names the setting")
    d.process = None


def scenario_retention_by_disk_share(ctx):
    d = ctx.daemon({**SMALL, "head_size": "4MB"})
    rng = random.Random(3)
    now = now_ns()
    for age in (3, 2, 1, 0):
        for _ in range(4):
            d.push({"app": "x"}, [(now - age * DAY + rng.randrange(1000), "%0512x" % rng.getrandbits(2048))
                                  for _ in range(1000)])
    d.flush()
    days = [n for n in days_of(d) if n[0] == "2"]
    check_eq(len(days), 4, "days")
    d.stop()
    # 16 MiB are the reserve, and each day takes about 2 MB.
    d.settings["retention_max_bytes"] = "23MB"
    d.start()
    wait_for(lambda: len([n for n in days_of(d) if n[0] == "2"]) < 4, 30, "a day to go")
    time.sleep(1.5)
    kept = [n for n in days_of(d) if n[0] == "2" and not n.endswith(".dropped")]
    check(kept == days[-len(kept):] and days[-1] in kept, "the oldest went first, today stays", days, kept)
    check("spoor_retention_disk_dropped_partitions_total" in d.get("/metrics").text, "metric")
