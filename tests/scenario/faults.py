"""Disks that fill up, fail or lie: a clear error, nothing acknowledged lost, queries go on."""
import errno
import os
import subprocess
import time

from harness import NS, SMALL, SLOWER, Skip, check, check_eq, now_ns, spoor_path, wait_for

T0 = 3600 * NS


def numbered(n, t, pad=20):
    """Lines that no codec makes small."""
    return [(t + i * 1000, "line %d %s" % (i, os.urandom(pad // 2).hex())) for i in range(n)]


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)
        f.seek(offset)
        f.write(bytes([byte[0] ^ 0x41]))


def spoor_check(d):
    return subprocess.run([spoor_path(), "check", d.data], capture_output=True, timeout=60 * SLOWER)


class Tmpfs:
    def __init__(self, ctx, size):
        self.path = os.path.join(ctx.tmp, "disk")
        os.mkdir(self.path)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s" % size, "tmpfs", self.path], capture_output=True)
        if done.returncode != 0:
            raise Skip("a small disk needs the right to mount a tmpfs")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], capture_output=True)

    def fill(self, leave):
        stat = os.statvfs(self.path)
        size = stat.f_bavail * stat.f_frsize - leave
        if size > 0:
            with open(os.path.join(self.path, "ballast"), "wb") as f:
                os.posix_fallocate(f.fileno(), 0, size)

    def free(self):
        os.unlink(os.path.join(self.path, "ballast"))


def push_until_refused(d, t, pad, n_max=400):
    """[(ts, line)] that were acknowledged, and the answer that was none."""
    acked = []
    for i in range(n_max):
        entries = numbered(100, t + i * NS, pad)
        answer = d.push({"app": "full"}, entries, want=None)
        if answer.status != 204:
            return acked, answer
        acked += entries
    return acked, None


def full_disk(ctx, settings, leave, pad):
    with Tmpfs(ctx, "96M") as disk:
        d = ctx.daemon(settings, start=False)
        d.data = os.path.join(disk.path, "data")
        d.start()
        t = now_ns() - 2 * T0
        acked = numbered(500, t)
        d.push({"app": "full"}, acked)
        disk.fill(leave)
        more, answer = push_until_refused(d, t + 100 * NS, pad)
        check(answer is not None, "a full disk refuses pushes")
        check_eq(answer.status, 503, "status on a full disk: %r" % answer)
        check(int(answer.headers["Retry-After"]) > 0, "Retry-After")
        acked += more
        for when in ("full", "full and killed"):
            got = [(ts, line) for ts, line, _ in d.entries('{app="full"}', t, t + T0)]
            check(set(acked) <= set(got), when + ": acknowledged lines are there", len(acked), len(got))
            check_eq(len(got), len(set(got)), when + ": once")
            check_eq(d.request("GET", "/ready?mode=read").status, 200, when + ": ready to read")
            status = d.push({"app": "full"}, [(t + T0 // 3, "one more")], want=None).status
            if when == "full":
                check_eq(status, 503, "another push")
                check(d.metric_sum("spoor_read_only") >= 1, "spoor_read_only", d.metric_sum("spoor_read_only"))
            else:  # a start may find space, when it flushes what the log held
                check(status in (204, 503), "a push after the start", status)
            if status == 204:
                acked.append((t + T0 // 3, "one more"))
            if when == "full":
                d.kill()
                d.spawn()
                wait_for(lambda: reads(d) or d.process.poll() is not None, 20, "a start on a full disk")
                d.check_alive()
        disk.free()
        wait_for(lambda: d.push({"app": "full"}, [(t + T0 // 2, "again")], want=None).status == 204, 20,
                 "pushes to go on once there is space")
        d.flush()
        d.kill_and_start()
        got = [(ts, line) for ts, line, _ in d.entries('{app="full"}', t, t + T0)]
        check(set(acked) <= set(got) and (t + T0 // 2, "again") in got, "all there in the end", len(acked), len(got))
        d.stop()
        check_eq(spoor_check(d).returncode, 0, "spoor check")
        ctx.note("%d lines before the disk was full" % len(acked))


def reads(d):
    try:
        return d.request("GET", "/ready?mode=read", timeout=5).status == 200
    except OSError:
        return False


def scenario_disk_below_min_free(ctx):
    full_disk(ctx, {"min_free": "16MB", "head_size": "1MB"}, leave=20 << 20, pad=2000)


def scenario_disk_really_full(ctx):
    """Pushes so large that ENOSPC itself is met."""
    full_disk(ctx, {"min_free": "1MB", "head_size": "64MB", "head_max_age": "1h"}, leave=2 << 20, pad=30000)


def scenario_sync_fails(ctx):
    """A failed fdatasync: nothing that waited is acknowledged; a new WAL file goes on."""
    d = ctx.daemon(env={"SPOOR_FAULT": "sync:%d:40:1" % errno.EIO})
    t = now_ns() - T0
    acked, refused = [], []
    for i in range(100):
        entry = (t + i * 1000, "line %d" % i)
        answer = d.push({"app": "sync"}, [entry], want=None)
        check(answer.status in (204, 503), "status %r" % answer)
        (acked if answer.status == 204 else refused).append(entry)
        if answer.status == 503:
            time.sleep(0.1)
    wait_for(lambda: d.push({"app": "sync"}, [(t + NS, "recovered")], want=None).status == 204, 10, "recovery")
    check(refused, "the failed sync was met")
    for when in ("running", "killed"):
        got = [(ts, line) for ts, line, _ in d.entries('{app="sync"}', t, t + T0)]
        check(set(acked) <= set(got), when + ": acknowledged lines", len(acked), len(got))
        check_eq(len(set(got)), len(got), when + ": once")
        if when == "running":
            check(not set(refused) & set(got), "a line that a failed sync took back was seen", set(refused) & set(got))
            d.env = {}
            d.kill_and_start()
    ctx.note("%d acknowledged, %d refused" % (len(acked), len(refused)))


def scenario_writes_fail(ctx):
    for kind, skip in (("write", 60), ("create", 4)):
        d = ctx.daemon(SMALL, env={"SPOOR_FAULT": "%s:%d:%d" % (kind, errno.EIO, skip)}, start=False)
        d.start()
        t, acked, statuses = now_ns() - T0, [], {}
        for i in range(150):
            entries = [(t + i * NS + k, "line %d.%d %s" % (i, k, "q" * 100)) for k in range(20)]
            status = d.push({"app": "w"}, entries, want=None).status
            statuses[status] = statuses.get(status, 0) + 1
            if status == 204:
                acked += entries
            if kind == "create" and i % 10 == 9:
                d.request("POST", "/flush")  # makes files; may well be refused
        check(set(statuses) <= {204, 503}, "%s: statuses" % kind, statuses)
        check(503 in statuses, "%s: the fault was met" % kind, statuses)
        got = d.entries('{app="w"}', t, t + T0)
        check(set(acked) <= {(ts, line) for ts, line, _ in got}, kind + ": queries go on")
        d.env = {}
        d.kill_and_start()
        got = [(ts, line) for ts, line, _ in d.entries('{app="w"}', t, t + T0)]
        check(set(acked) <= set(got), kind + ": acknowledged lines", len(acked), len(got))
        d.push({"app": "w"}, [(t, "works again")])
        ctx.note("%s: %s" % (kind, statuses))


def scenario_corrupt_segment(ctx):
    d = ctx.daemon({**SMALL, "merge_interval": "1h", "head_size": "64MB", "head_max_age": "1h"})
    t = now_ns() - T0
    for part in range(3):
        d.push({"app": "seg", "part": str(part)}, numbered(2000, t))
    d.flush()
    d.stop()
    check_eq(spoor_check(d).returncode, 0, "spoor check on a whole store")
    segments = d.files(".seg")
    flip(segments[0], os.path.getsize(segments[0]) // 3)
    done = spoor_check(d)
    check(done.returncode != 0, "spoor check finds a flipped byte", done.stdout, done.stderr)
    check("segment %d" % int(os.path.basename(segments[0])[:-4]) in (done.stdout + done.stderr).decode(), "and names it", done.stdout, done.stderr)
    d.start()
    answer = d.query_range('{app="seg"}', t, t + T0).json()
    lines = sum(len(s["values"]) for s in answer["data"]["result"])
    check(0 < lines < 6000, "the rest is served", lines)
    check(answer.get("warnings"), "the answer carries a warning", list(answer))
    check(all(v[1].startswith("line ") for s in answer["data"]["result"] for v in s["values"]), "no garbage")
    check(d.metric_sum("spoor_corrupt_total") > 0, "counted", [k for k in d.metrics() if "corrupt" in k])
    d.push({"app": "seg"}, [(t, "still writes")])
    ctx.note("%d of 6000 lines served" % lines)


def scenario_segment_cut_short(ctx):
    d = ctx.daemon({**SMALL, "merge_interval": "1h", "head_size": "64MB", "head_max_age": "1h"})
    t = now_ns() - T0
    for part in range(2):
        d.push({"app": "cut", "part": str(part)}, numbered(1000, t))
        d.flush()
    d.stop()
    path = d.files(".seg")[0]
    os.truncate(path, os.path.getsize(path) // 2)
    check(spoor_check(d).returncode != 0, "spoor check finds it")
    d.start()
    answer = d.query_range('{app="cut"}', t, t + T0).json()
    lines = sum(len(s["values"]) for s in answer["data"]["result"])
    check(1000 <= lines < 2000, "the other segment is served", lines)
    check(answer.get("warnings"), "a warning", list(answer))


def scenario_corrupt_index(ctx):
    d = ctx.daemon({**SMALL, "merge_interval": "1h"})
    t = now_ns() - T0
    d.push({"app": "idx"}, numbered(1000, t))
    d.flush()
    d.stop()
    for path in d.files("index.db"):
        with open(path, "r+b") as f:
            f.write(b"this is no database" * 50)
    d.start()
    check_eq(len(d.lines('{app="idx"}', t, t + T0)), 1000, "the index is made anew from the segments")


def wal_files(d):
    folder = os.path.join(d.data, "wal")
    return sorted(os.path.join(folder, n) for n in os.listdir(folder) if os.path.isfile(os.path.join(folder, n)))


def unflushed(ctx, n_pushes):
    d = ctx.daemon({"head_size": "64MB", "head_max_age": "1h"})
    t = now_ns() - T0
    for i in range(n_pushes):
        d.push({"app": "wal"}, [(t + i * NS, "push %d" % i)])
    d.kill()
    return d, t


def scenario_wal_cut_short(ctx):
    """A torn tail is normal: what precedes it is kept."""
    for cut in (3, 40, 200):
        d, t = unflushed(ctx, 50)
        path = max(wal_files(d), key=os.path.getsize)
        os.truncate(path, used_bytes(path) - cut)
        d.start()
        lines = d.lines('{app="wal"}', t, t + T0)
        check(lines == ["push %d" % i for i in range(len(lines))] and 40 <= len(lines) < 50, "the first lines, in order", lines)
        d.push({"app": "wal"}, [(t + T0 // 2, "goes on")])
        d.kill_and_start()
        check_eq(d.lines('{app="wal"}', t, t + T0), lines + ["goes on"], "after another start")


def used_bytes(path):
    """Without the zeros of preallocation at its end."""
    with open(path, "rb") as f:
        return len(f.read().rstrip(b"\0"))


def scenario_wal_flipped_bit(ctx):
    """Damage in the middle: that record is skipped and counted, those after it are kept."""
    d, t = unflushed(ctx, 60)
    path = max(wal_files(d), key=os.path.getsize)
    flip(path, used_bytes(path) // 2)
    check(spoor_check(d).returncode != 0, "spoor check finds it")
    d.start()
    lines = d.lines('{app="wal"}', t, t + T0)
    check(len(lines) in (58, 59) and lines[0] == "push 0" and lines[-1] == "push 59", "all but one or two", len(lines), lines)
    d.kill_and_start()
    check_eq(d.lines('{app="wal"}', t, t + T0), lines, "the same after another start")


def scenario_wal_garbage(ctx):
    """Any damage: the daemon starts, serves, and takes pushes."""
    import random
    rng = random.Random(2)
    for _ in range(10 if ctx.long else 3):
        d, t = unflushed(ctx, 10)
        path = max(wal_files(d), key=os.path.getsize)
        for _ in range(rng.randrange(1, 20)):
            flip(path, rng.randrange(used_bytes(path)))
        d.start()
        lines = d.lines('{app="wal"}', t, t + T0)
        check(set(lines) <= {"push %d" % i for i in range(10)}, "no invented line", lines)
        d.push({"app": "wal"}, [(t, "goes on")])
        d.stop()
