"""Histograms by labels and level come from the counts of chunks, not from their entries."""
import subprocess

from harness import NS, SLOWER, check, check_eq, now_ns, push_json, spoor_path
from deletes import rebuild

MINUTE = 60 * NS
LEVELS = ("info", "info", "info", "warn", "error")
VOLUME = 'sum by (level, detected_level) (count_over_time({app=~"web|db"} | drop __error__[1m]))'


def push_hour(d, start):
    """A line each half second of an hour, by turns of two services; returns what a histogram must show."""
    want = {}
    streams = {"web": [], "db": []}
    for i in range(7200):
        level, ts = LEVELS[i * i % len(LEVELS)], start + 1 + i * NS // 2
        entry = (ts, 'level=%s msg="request %d took %d ms"' % (level, i, i * 7919 % 1000), {"trace_id": "%032x" % (i * 0x9e3779b97f4a7c15)})
        streams["web" if i % 3 else "db"].append(entry)
        step = (ts + MINUTE - 1) // MINUTE * 60
        want[level, step] = want.get((level, step), 0) + 1
    for app, entries in streams.items():
        check_eq(d.push_body(push_json([({"app": app}, entries)])).status, 204, "push")
    return want


def histogram(d, start, end):
    data = d.query_range(VOLUME, start, end, step="60s").json()["data"]
    got = {(s["metric"]["detected_level"], t): int(v) for s in data["result"] for t, v in s["values"]}
    return got, data["stats"]


def read_lines(stats):
    return stats["summary"]["totalLinesProcessed"]


def scenario_log_volume_reads_no_chunk(ctx):
    d = ctx.daemon(settings={"reject_old_samples": "false", "merge_interval": "1s"})
    start = (now_ns() - 4 * 60 * MINUTE) // MINUTE * MINUTE
    end = start + 150 * MINUTE
    want = push_hour(d, start)
    got, stats = histogram(d, start, end)
    check_eq(got, want, "from the head")
    check_eq(read_lines(stats), 7200, "lines read in the head")
    d.flush()
    want.update(push_hour(d, start + 70 * MINUTE))
    d.flush()

    def check_unread(when):
        got, stats = histogram(d, start, end)
        check_eq(got, want, when)
        check_eq(read_lines(stats), 0, "lines read, " + when)
        check_eq(stats["summary"]["totalBytesProcessed"], 0, "bytes read, " + when)
        check_eq(stats["querier"]["store"]["totalChunksDownloaded"], 0, "chunks read, " + when)
        check(stats["querier"]["store"]["totalChunksRef"] > 0, "chunks considered, " + when)

    check_unread("flushed")
    d.restart()
    check_unread("after a restart")
    d.stop()
    rebuild(d)
    d.start()
    check_unread("with the index made anew")

    # What the counts do not know is read, and they agree.
    for query, answer in (('sum by (trace_id) (count_over_time({app="web"} | trace_id!="" [3h]))', 9600),
                          ('sum(count_over_time({app=~"web|db"} |= "level=error" [3h]))', sum(n for (level, _), n in want.items() if level == "error"))):
        data = d.query_range(query, end, end, step="60s").json()["data"]
        check_eq(sum(int(s["values"][0][1]) for s in data["result"]), answer, query)
        check(read_lines(data["stats"]) > 0, "lines read for " + query)

    # Entries that are deleted are not counted.
    answer = d.request("POST", "/loki/api/v1/delete?query=%%7Bapp%%3D%%22db%%22%%7D&start=%d&end=%d" % (start // NS, end // NS))
    check_eq(answer.status, 204, "delete: %r" % answer)
    got, _ = histogram(d, start, end)
    check_eq(sum(got.values()), 9600, "without what is deleted")


def overwrite(d, offset, change):
    """At this offset of each chunk's counts."""
    n = 0
    for path in d.files(".seg"):
        with open(path, "r+b") as f:
            data = bytearray(f.read())
            at = data.find(b"SPCN")
            while at >= 0:
                data[at + offset] = change(data[at + offset])
                n += 1
                at = data.find(b"SPCN", at + 16)
            f.seek(0)
            f.write(data)
    return n


def scenario_damaged_counts(ctx):
    """Damage to counts costs reading, nothing else; a check finds it. Files of older versions have none."""
    d = ctx.daemon(settings={"reject_old_samples": "false", "merge_interval": "0"})
    start = (now_ns() - 2 * 60 * MINUTE) // MINUTE * MINUTE
    want = push_hour(d, start)
    d.flush()
    d.stop()
    n_chunks = overwrite(d, 20, lambda byte: byte ^ 1)
    check(n_chunks >= 2, "counts of chunks", n_chunks)
    for found, code in ((n_chunks, 1), (0, 0)):
        done = subprocess.run([spoor_path(), "check", d.data], capture_output=True, timeout=60 * SLOWER)
        said = done.stdout + done.stderr
        check_eq(done.returncode, code, "exit code of spoor check: %r" % said)
        check_eq(said.count(b"bad checksum of counts"), found, "what it says: %r" % said)
        d.start()
        got, stats = histogram(d, start, start + 61 * MINUTE)
        check_eq(got, want, "without counts")
        check_eq(read_lines(stats), 7200, "lines read")
        d.stop()
        overwrite(d, 0, lambda byte: 0)  # no counts at all
