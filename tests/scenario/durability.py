"""What was acknowledged is there after any crash, once, and nothing else is."""
import json
import os
import random
import signal
import subprocess
import threading
import time
import http.client

from harness import NS, SLOWER, SMALL, Failed, check, check_eq, now_ns, push_json, spoor_path, wait_for


class Writers:
    """Threads that push numbered lines and remember which pushes were acknowledged. A push whose answer did not come
    is sent again, as an agent would; so whatever was sent may stand there, but only once."""

    def __init__(self, daemon, n=4, lines=40, seed=1, days=1, pace=0, jumbled=False):
        self.d, self.lines, self.days, self.pace, self.jumbled = daemon, lines, days, pace, jumbled
        self.t = now_ns() - 3600 * NS
        self.acked, self.sent = set(), set()
        self.lock = threading.Lock()
        self.pause, self.end = threading.Event(), threading.Event()
        self.statuses, self.in_flight = {}, 0
        self.threads = [threading.Thread(target=self.run, args=(i, random.Random(seed * 1000 + i)), daemon=True)
                        for i in range(n)]
        for thread in self.threads:
            thread.start()

    def batch(self, who, number, rng):
        streams = []
        for s in range(2):
            entries = []
            for i in range(self.lines):
                ts = self.t - rng.randrange(self.days) * 86400 * NS + number * 1_000_000 + i * 1000 + who
                if self.jumbled:  # late by up to ten pushes, several at one time
                    ts = ts // 10_000 * 10_000 - rng.randrange(10) * 1_000_000
                trace = "%032x" % rng.getrandbits(128)
                entries.append((ts, "w%d n%d i%d trace_id=%s %s" % (who, number, i, trace, "x" * rng.randrange(80))))
            streams.append(({"app": "load", "writer": str(who), "part": str(s)}, entries))
        return streams

    def run(self, who, rng):
        number = 0
        while not self.end.wait(self.pace):
            streams = self.batch(who, number, rng)
            keys = {(who, s, ts, line) for s, (_, entries) in enumerate(streams) for ts, line in entries}
            body = push_json(streams)
            number += 1
            with self.lock:
                self.sent |= keys
            while not self.end.is_set():
                with self.lock:
                    go = not self.pause.is_set()
                    self.in_flight += go
                if not go:
                    time.sleep(0.005)
                    continue
                try:
                    status = self.d.push_body(body, timeout=10).status
                except (OSError, http.client.HTTPException):
                    status = None
                with self.lock:
                    self.in_flight -= 1
                if status is None:
                    time.sleep(0.005)
                    continue
                with self.lock:
                    self.statuses[status] = self.statuses.get(status, 0) + 1
                    if status == 204:
                        self.acked |= keys
                if status == 204:
                    break
                if status not in (429, 503):
                    raise Failed("push answered %d" % status)
                time.sleep(0.02)

    def stop(self):
        self.end.set()
        for thread in self.threads:
            thread.join(30)

    def verify(self, when):
        """Call while the writers pause or after they stopped."""
        wait_for(lambda: self.in_flight == 0, 30, "the pushes in flight")
        with self.lock:
            acked, sent = set(self.acked), set(self.sent)
        found = []
        for ts, line, labels in self.d.entries('{app="load"}', self.t - 10 * 86400 * NS, now_ns() + NS, limit=10_000_000):
            found.append((int(labels["writer"]), int(labels["part"]), ts, line))
        unique = set(found)
        check(len(unique) == len(found), "%s: %d lines stand twice" % (when, len(found) - len(unique)),
              [k for k in found if found.count(k) > 1][:2] if len(found) < 5000 else "")
        lost, invented = acked - unique, unique - sent
        check(not lost, "%s: %d of %d acknowledged lines lost" % (when, len(lost), len(acked)), sorted(lost)[:3])
        check(not invented, "%s: %d lines that nobody sent" % (when, len(invented)), sorted(invented)[:3])
        count = self.d.count('{app="load"}', self.t - 9 * 86400 * NS, now_ns())
        check_eq(count, len(found), when + ": count against lines")
        return len(found)


def offline_check(d):
    done = subprocess.run([spoor_path(), "check", d.data], capture_output=True, timeout=60 * SLOWER)
    check(done.returncode == 0, "spoor check found something: exit %d" % done.returncode,
          done.stdout.decode(), done.stderr.decode())


def kill_under_load(ctx, kills, settings=None, days=1, **writers):
    d = ctx.daemon({**SMALL, **(settings or {})})
    load = Writers(d, days=days, pace=0.05 if ctx.long else 0, **writers)
    rng, sealed = random.Random(kills), 0
    for i in range(kills):
        time.sleep(rng.uniform(0.05, 0.5))
        sealed += d.metric_sum("spoor_sealed_parts_total")
        d.kill()
        for _ in range(rng.choice([0, 0, 1, 2])):  # killed again while it recovers
            d.spawn()
            time.sleep(rng.uniform(0, 0.15))
            d.kill()
        d.start()
        if i % 20 == 19 or kills <= 10 and i == kills // 2:
            load.pause.set()
            load.verify("after kill %d" % (i + 1))
            load.pause.clear()
    load.stop()
    n = load.verify("at the end")
    d.kill_and_start()
    load.verify("killed at rest")
    d.stop()
    offline_check(d)
    d.start()
    load.verify("after an orderly restart")
    ctx.note("%d kills, %d lines, answers %s" % (kills, n, load.statuses))
    return sealed


def scenario_kill_under_load(ctx):
    kill_under_load(ctx, 200 if ctx.long else 8)


def scenario_kill_under_load_many_days(ctx):
    """Late lines: each push touches several partitions, each with a WAL position of its own."""
    kill_under_load(ctx, 50 if ctx.long else 4, days=4, seed=3)


def scenario_kill_while_sealing(ctx):
    """A head of many chunks, most of them encoded before it is flushed; what comes late is carried over or overlaps."""
    sealed = kill_under_load(ctx, 30 if ctx.long else 4, {"head_size": "4MB", "head_max_age": "3s", "max_chunk_entries": "128"},
                             days=2, seed=11, n=3, jumbled=True)
    check(sealed > 0, "parts were sealed before the flush")


def scenario_kill_with_other_sync(ctx):
    """kill -9 loses nothing under any wal_sync: what was written stays with the kernel."""
    for sync in ("interval", "none"):
        kill_under_load(ctx, 20 if ctx.long else 2, {"wal_sync": sync}, n=2)


def kill_during(ctx, poke, what):
    """Kills at random moments after poke, which makes the daemon do something in the background."""
    d = ctx.daemon({**SMALL, "head_size": "64MB", "head_max_age": "1h", "merge_interval": "1h"})
    t, rng, sent = now_ns() - 3600 * NS, random.Random(5), []
    for i in range(30 if ctx.long else 5):
        for part in range(3):
            entries = [(t + i * NS + k, "round %d line %d %s" % (i, k, "y" * rng.randrange(60))) for k in range(400)]
            d.push({"app": what, "part": str(part)}, entries)
            sent += [(part, e) for e in entries]
        poke(d)
        time.sleep(rng.uniform(0, 0.04) * SLOWER)
        d.kill_and_start()
        got = [(int(labels["part"]), (ts, line)) for ts, line, labels in d.entries('{app="%s"}' % what, t, t + 3600 * NS)]
        check(len(got) == len(set(got)), "%s, round %d: lines twice" % (what, i), len(got), len(set(got)))
        check_eq(sorted(got), sorted(sent), "%s, round %d" % (what, i))
    d.stop()
    offline_check(d)


def scenario_kill_during_flush(ctx):
    def poke(d):
        thread = threading.Thread(target=try_flush, args=(d,), daemon=True)
        thread.start()

    kill_during(ctx, poke, "flush")


def try_flush(d):
    try:
        d.request("POST", "/flush")
    except (OSError, http.client.HTTPException):
        pass


def scenario_kill_during_merge(ctx):
    d = ctx.daemon({**SMALL, "head_size": "64MB", "head_max_age": "1h", "merge_interval": "1h"})
    t, sent = now_ns() - 3600 * NS, []
    for i in range(12):  # many small segments
        entries = [(t + (k * 12 + i) * 1000, "s%d line %d" % (i, k)) for k in range(200)]
        d.push({"app": "merge"}, entries)
        d.flush()
        sent += entries
    d.stop()
    d.settings["merge_interval"] = "1s"
    rng = random.Random(9)
    for i in range(30 if ctx.long else 5):
        d.start()
        time.sleep(rng.uniform(0.9, 1.15))
        d.kill()
    d.start()
    got = [(ts, line) for ts, line, _ in d.entries('{app="merge"}', t, t + 3600 * NS)]
    check_eq(got, sorted(sent), "lines after killed merges")
    wait_for(lambda: len(d.files(".seg")) < 12, 15, "a merge")
    check_eq(d.count('{app="merge"}', t - NS, t + 3600 * NS), len(sent), "count after a merge")
    got = [(ts, line) for ts, line, _ in d.entries('{app="merge"}', t, t + 3600 * NS)]
    check_eq(got, sorted(sent), "lines after a merge")
    d.stop()
    offline_check(d)


def scenario_duplicates_kept_once(ctx):
    """Sent again after each step: a retry is harmless wherever the first copy is by now."""
    d = ctx.daemon({**SMALL, "head_size": "64MB", "head_max_age": "1h", "merge_interval": "1h"})
    t = now_ns() - 3600 * NS
    entries = [(t + i * 1000, "line %d" % i, {"k": str(i % 3)}) for i in range(300)]
    entries += [(t, "same time, another line"), (t, "line 0", {"k": "another metadata"})]

    def verify(when):
        got = sorted((ts, line, labels.get("k")) for ts, line, labels in d.entries('{app="dup"}', t, t + NS))
        want = sorted((e[0], e[1], e[2]["k"] if len(e) > 2 else None) for e in entries)
        check_eq([g[:2] for g in got], [w[:2] for w in want], when)
        check_eq(d.count('{app="dup"}', t - NS, t + NS), len(entries), when + ": count")
        by_k = d.lines('{app="dup"} | k="1"', t, t + NS)
        check_eq(len(by_k), 100, when + ": by metadata")

    def push():
        d.push({"app": "dup"}, entries)

    push()
    push()
    verify("twice in memory")
    d.flush()
    verify("flushed")
    push()
    verify("flushed and again in memory")
    d.flush()
    verify("flushed twice")
    d.restart()
    push()
    verify("restarted")
    d.kill_and_start()
    verify("killed")
    for i in range(6):
        push()
        d.flush()
    verify("in many segments")
    d.stop()
    d.settings["merge_interval"] = "1s"
    segments = len(d.files(".seg"))
    check(segments >= 8, "enough segments to merge", segments)
    d.start()
    wait_for(lambda: len(d.files(".seg")) < segments, 15, "a merge")
    verify("merged")
    d.push({"app": "dup"}, entries[::-1])
    verify("after a merge, in reverse")


def scenario_late_and_out_of_order(ctx):
    d = ctx.daemon(SMALL)
    now = now_ns()
    rng = random.Random(4)
    times = [now - 6 * 86400 * NS + rng.randrange(6 * 86400 * NS) for _ in range(1500)]
    entries = [(ts, "at %d" % ts) for ts in times]
    for i in range(0, len(entries), 50):
        d.push({"app": "late"}, entries[i:i + 50])
        if i == 500:
            d.flush()
        if i == 1000:
            d.kill_and_start()
    start, end = now - 7 * 86400 * NS, now
    want = sorted(entries)
    for when in ("mixed", "flushed", "restarted"):
        check_eq([(ts, line) for ts, line, _ in d.entries('{app="late"}', start, end)], want, when)
        newest = d.entries('{app="late"}', start, end, limit=20, direction="backward")
        check_eq([e[:2] for e in newest], want[-20:], when + ": the newest 20")
        oldest = d.entries('{app="late"}', start, end, limit=20)
        check_eq([e[:2] for e in oldest], want[:20], when + ": the oldest 20")
        middle = [e for e in want if now - 3 * 86400 * NS <= e[0] < now - 2 * 86400 * NS]
        got = d.entries('{app="late"}', now - 3 * 86400 * NS, now - 2 * 86400 * NS)
        check_eq([e[:2] for e in got], middle, when + ": one day in the middle")
        if when == "mixed":
            d.flush()
        else:
            d.restart()
    days = [n for n in os.listdir(os.path.join(d.data, "tenants", "fake")) if len(n) == 10]
    check(len(days) >= 6, "a folder for each day", days)


def scenario_sigterm_drains(ctx):
    """SIGTERM under load: exit 0, each answer is whole, all that was acknowledged is in segments."""
    d = ctx.daemon({"head_size": "64MB"})
    load = Writers(d, n=3)
    time.sleep(1)
    process = d.process
    process.send_signal(signal.SIGTERM)
    code = process.wait(40 * SLOWER)
    d.process = None
    check_eq(code, 0, "exit code")
    load.pause.set()
    n_acked = len(load.acked)
    check(n_acked > 0, "something was acknowledged")
    d.start()
    load.verify("restarted")
    load.stop()
    d.stop()
    offline_check(d)
    ctx.note("%d lines" % n_acked)


def scenario_rebuild_index(ctx):
    d = ctx.daemon({**SMALL, "merge_interval": "1h"})
    t = now_ns() - 3600 * NS
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    for part in range(4):
        d.push({"app": "idx", "part": str(part)}, [(t + i * 1000, "line %d trace_id=%s" % (i, trace_id if i == 7 else "%032x" % (i + 99)))
                                                   for i in range(300)])
        d.flush()
    before = d.entries('{app="idx"}', t, t + NS)
    traced = d.trace(trace_id)["entries"]
    check_eq((len(before), len(traced)), (1200, 4), "before")
    d.stop()
    indexes = d.files("index.db")
    check(indexes, "an index.db is there")
    for path in indexes:
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
    done = d.run_offline("--rebuild-index")
    check(done.returncode == 0, "spoord --rebuild-index", done.returncode, done.stderr.decode())
    check_eq(d.files("index.db"), indexes, "the indexes are back")
    for when in ("rebuilt", "missing at start"):
        d.start()
        check_eq(d.entries('{app="idx"}', t, t + NS), before, when + ": lines")
        check_eq(d.trace(trace_id)["entries"], traced, when + ": trace")
        check_eq(d.get("/loki/api/v1/label/part/values", start=t, end=t + NS).json()["data"], ["0", "1", "2", "3"],
                 when + ": labels")
        d.stop()
        for path in indexes:
            if when == "rebuilt":
                os.unlink(path)
    d.start()
    check_eq(d.entries('{app="idx"}', t, t + NS), before, "an index that is missing is made anew")


def scenario_retention(ctx):
    d = ctx.daemon({**SMALL, "retention_period": "24h"}, start=False)
    d.settings["retention_period"] = "0"
    d.start()
    now = now_ns()
    d.push({"app": "r"}, [(now - 5 * 86400 * NS, "old"), (now - 3600 * NS, "new")])
    d.flush()
    d.push({"app": "r"}, [(now - 4 * 86400 * NS, "old, in the WAL")])
    check_eq(len(d.lines('{app="r"}', now - 7 * 86400 * NS, now)), 3, "before retention")
    d.kill()
    d.settings["retention_period"] = "24h"
    d.start()
    wait_for(lambda: d.lines('{app="r"}', now - 7 * 86400 * NS, now) == ["new"], 20, "old days to go")
    d.kill_and_start()
    check_eq(d.lines('{app="r"}', now - 7 * 86400 * NS, now), ["new"], "they do not come back")
    days = os.listdir(os.path.join(d.data, "tenants", "fake"))
    check(len([n for n in days if len(n) == 10]) <= 2, "folders of old days are gone", days)
