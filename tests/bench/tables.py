"""Tables of the benchmark's figures, in Markdown."""
import re

# What a day of 4 million lines is to take at most, in ms at the server.
GOALS = {"newest 100 lines of 40 streams": 3, "a trace id over all days, |=": 1, "an absent trace id over all days, |=": 1,
         "a rare word in the day, |=": 15, "a regex in the day, |~": 15, "count by service, 24 h in 5 m steps": 8,
         'count of |= "ERROR", 24 h in 5 m steps': 6, "| json, sum by level, 6 h": 5,
         "quantile of an unwrapped JSON number, 6 h": 10, "topk of a JSON field, 6 h": 10, "| logfmt, sum by status, 24 h": 15}


def table(columns, rows):
    def line(cells):
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |\n"
    return line(columns) + "|" + "---|" * len(columns) + "\n" + "".join(line(r) for r in rows)


def number(v):
    if v is None:
        return ""
    return "%.2f" % v if v < 9.995 else "%.1f" % v if v < 99.95 else "%.0f" % v


def workload(report):
    facts = report["facts"]
    return "%s lines, %.3f GB raw, %s streams, %d day%s, %s traces; settings %s.\n\n" % (
        format(facts["lines"], ","), facts["raw_bytes"] / 1e9, format(facts["streams"], ","), facts["days"],
        "" if facts["days"] == 1 else "s", format(facts["traces"], ","),
        ", ".join("`%s=%s`" % kv for kv in report["settings"].items()))


def ingest(report):
    i, d = report["ingest"], report["disk"]
    cpu = i["cpu_s_per_raw_gb"] + d["settle_cpu_s_per_raw_gb"]
    return workload(report) + table(["", "measured", "goal"], [
        ["CPU seconds of the server for a raw GB (ns a byte), in all", number(cpu), "6"],
        ["- while it is pushed / after that, until merges are quiet",
         "%s / %s" % (number(i["cpu_s_per_raw_gb"]), number(d["settle_cpu_s_per_raw_gb"])), ""],
        ["MB of raw log a second (the loader on the same cores)", "%.0f" % i["raw_mb_per_s"], ""],
        ["a push, median / 99 %, ms", "%s / %s" % (number(i["push_p50_ms"]), number(i["push_p99_ms"])), ""],
        ["peak memory in ingest / in flush and merges after it, MB", "%.0f / %.0f" % (i["peak_mb"], d["settle_peak_mb"]), "150"],
        ["peak memory in queries, MB", "%.0f" % report["peak_mb"], "200"],
        ["seconds until merges are quiet", number(d["settle_s"]), ""],
        ["CPU in the seconds after that, percent of a core", number(d["idle_cpu_share"] * 100), ""],
        ["merges: raw bytes rewritten for each raw byte", number(d["merged_per_raw"]), "4"],
        ["bytes written to disk for each raw byte, of that the log", "%.2f, %.2f" % (d["written_per_raw"], d["wal_per_raw"]), ""],
    ])


def disk(report):
    d, raw = report["disk"], report["facts"]["raw_bytes"]
    split = d["split"]
    rows = [["all files", "%.4f" % d["all_files_per_raw"], "0.15"]]
    rows += [["chunks of codec %s: %s, %.0f entries each" % (codec, format(c["chunks"], ","), c["entries"] / c["chunks"]),
              "%.4f" % (c["bytes"] / raw), ""] for codec, c in sorted(split["codecs"].items())]
    parts = [("of them headers", "chunk_headers"), ("of codec 1: lines", "rows_lines"),
             ("of codec 1: times, lengths, metadata", "rows_tables"), ("trace filters of chunks", "trace_filters"),
             ("counts by level and minute, footers", "counts_and_footers")]
    rows += [[name, "%.4f" % (split[key] / raw), ""] for name, key in parts if split[key] > 0]
    rows += [["index (SQLite)", "%.4f" % d["index_per_raw"], ""], ["filters of closed days", "%.4f" % d["bloom_per_raw"], ""],
             ["write-ahead log", "%.4f" % d["wal_left_per_raw"], ""],
             ["reserve for a full disk, always 16 MiB", "%.4f" % d["reserve_per_raw"], ""]]
    return table(["bytes on disk for each raw byte", "", "goal"], rows)


def queries(report):
    def cells(row):
        return [row["query"], number(row["server_ms"]), GOALS.get(row["query"], ""), number(row["wall_ms"]),
                number(row["wall_max_ms"]), number(row["cpu_ms"]), number(row["read_mb"])]
    text = table(["query, medians in ms", "server", "goal", "client", "client, slowest", "CPU", "MB of log processed"],
                 [cells(row) for row in report["queries"]])
    for row in report["queries"]:
        if "raw_gb_per_s" in row:
            text += "\nThe full scan covers %.2f GB of raw log a second, %.2f GB for each CPU second.\n" % (
                row["raw_gb_per_s"], row["raw_gb_per_s_core"])
    return text


def days(reports):
    names = [row["query"] for row in reports[-1]["queries"]]
    by_days = {r["facts"]["days"]: {row["query"]: row for row in r["queries"]} for r in reports}

    def cell(row):
        return "" if row is None else "%s / %s" % (number(row["server_ms"]) or "-", number(row["wall_ms"]))
    rows = [[name] + [cell(by_days[n].get(name)) for n in sorted(by_days)] for name in names]
    rows.append(["idle afterwards: CPU, percent of a core"] + [
        number(r["disk"]["idle_cpu_share"] * 100) for r in sorted(reports, key=lambda r: r["facts"]["days"])])
    lines = sorted({r["facts"]["lines"] // r["facts"]["days"] for r in reports})
    return "Days of %s lines each; ms, server / client.\n\n" % format(lines[0], ",") + table(
        [""] + ["%d day%s" % (n, "" if n == 1 else "s") for n in sorted(by_days)], rows)


def of_part(part, report):
    """Text by name of the table."""
    if part == "days":
        return {"days": days(report)}
    if part == "codec":
        return {"codec": report}
    if part == "streams":
        return {"streams": ingest(report) + "\n" + queries(report)}
    return {"ingest": ingest(report), "disk": disk(report), "queries": queries(report)}


def put(path, name, text):
    """Replaces what stands between <!-- bench:name --> and the next <!-- end -->."""
    with open(path) as f:
        doc = f.read()
    doc, n = re.subn(r"(<!-- bench:%s -->\n).*?(<!-- end -->)" % re.escape(name), lambda m: m[1] + "\n" + text + "\n" + m[2], doc,
                     flags=re.S)
    if n != 1:
        raise SystemExit("%s has no place for the table %s" % (path, name))
    with open(path, "w") as f:
        f.write(doc)
