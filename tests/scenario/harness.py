"""What a scenario needs: a daemon in a folder of its own that can be started, stopped and killed; pushes; queries.

Only the standard library. Everything speaks to the daemon over its public interface, as a client would.
"""
import gzip
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

SANITIZED = os.environ.get("SPOOR_SANITIZED") == "1"
SLOWER = 4 if SANITIZED else 1  # deadlines stretch under a sanitizer
NS = 1_000_000_000
BINDIR = os.environ.get("SPOOR_BINDIR", os.getcwd())

# Small heads and chunks, so that a few thousand lines see flushes and merges. Chunks at a quarter of the full size are
# not merged, nor are fewer than eight segments.
SMALL = {"head_size": "256KB", "head_max_age": "1s", "max_chunk_size": "256KB", "max_chunk_entries": "2048",
         "merge_interval": "1s"}
# No limit gets in a test's way unless the test is about it.
OPEN = {"reject_old_samples": "false", "ingestion_rate_mb": "0", "per_stream_rate_limit": "0", "min_free": "1MB",
        "max_entries_limit_per_query": "0", "max_query_memory": "1GB", "query_memory": "2GB",
        "max_query_length": "0", "max_query_series": "10000"}


class Failed(AssertionError):
    pass


class Skip(Exception):
    """This machine cannot run the scenario; the text says why."""


def check(condition, text, *values):
    if not condition:
        raise Failed(text + "".join(" | %s" % str(v)[:600] for v in values))


def check_eq(got, want, what):
    check(got == want, "%s: got %r, want %r" % (what, got, want))


def spoord_path():
    return os.path.join(BINDIR, "spoord")


def spoor_path():
    return os.path.join(BINDIR, "spoor")


def now_ns():
    return time.time_ns()


next_port = random.randrange(10000, 30000)
port_lock = threading.Lock()


def free_port():
    """Below the ephemeral ports, and never the same twice: who still speaks to a killed daemon meets nobody."""
    global next_port
    with port_lock:
        while True:
            next_port = next_port + 1 if next_port < 32000 else 10000
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", next_port))
                    return next_port
                except OSError:
                    pass


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds * SLOWER
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise Failed("waited %g s in vain for %s" % (seconds * SLOWER, what))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %s" % (self.status, self.text[:300])


class Daemon:
    """One spoord and its data directory. stop() and kill() leave the directory, so start() goes on with it."""

    def __init__(self, directory, settings=None, config=None, env=None):
        self.dir = directory
        self.data = os.path.join(directory, "data")
        self.log_path = os.path.join(directory, "spoord.log")
        self.settings = {**OPEN, **(settings or {})}
        self.config = config
        self.env = env or {}
        self.tls = None  # an ssl.SSLContext: the daemon speaks TLS
        self.port = None
        self.process = None
        self.local = threading.local()
        os.makedirs(directory, exist_ok=True)

    # -------------------------------------------------------------- life

    def command(self, *more):
        args = [spoord_path(), "--data", self.data, "--listen", "127.0.0.1:%d" % self.port]
        if self.config is not None:
            args += ["--config", self.config]
        for key, value in self.settings.items():
            args += ["--set", "%s=%s" % (key, value)]
        return args + list(more)

    def spawn(self, *more):
        self.port = free_port()
        log = open(self.log_path, "ab")
        log.write(b"--- start\n")
        log.flush()
        env = {"UBSAN_OPTIONS": "print_stacktrace=1", **os.environ, **self.env}
        self.process = subprocess.Popen(self.command(*more), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        log.close()
        return self

    def start(self, *more, seconds=20):
        self.spawn(*more)
        wait_for(lambda: self.ready() or self.process.poll() is not None, seconds, "the daemon to be ready")
        check(self.process.poll() is None, "the daemon ended at once with %s" % self.process.poll(), self.log_tail())
        return self

    def ready(self):
        try:
            return self.request("GET", "/ready", timeout=5).status == 200
        except OSError:
            return False

    def stop(self, seconds=40):
        """SIGTERM, and the exit code must be 0."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("SIGTERM did not end the daemon", self.log_tail())
        self.process = None
        check(code == 0, "exit code %s after SIGTERM" % code, self.log_tail())

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def check_alive(self):
        code = None if self.process is None else self.process.poll()
        if code is not None:
            raise Failed("the daemon died: " + (signal.Signals(-code).name if code < 0 else "exit code %d" % code))

    def restart(self):
        self.stop()
        return self.start()

    def kill_and_start(self):
        self.kill()
        return self.start()

    def log_text(self):
        try:
            with open(self.log_path, "rb") as f:
                return f.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log_tail(self):
        return "\n" + self.log_text()[-3000:]

    # -------------------------------------------------------------- HTTP

    def request(self, method, path, body=None, headers=None, timeout=60):
        """Over a connection kept for each thread; once more on a fresh one if the old one was closed meanwhile."""
        for attempt in (0, 1):
            conn = getattr(self.local, "conn", None)
            fresh = conn is None or self.local.port != self.port
            if fresh:
                if self.tls is not None:
                    conn = http.client.HTTPSConnection("localhost", self.port, timeout=timeout * SLOWER, context=self.tls)
                else:
                    conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * SLOWER)
                self.local.conn, self.local.port = conn, self.port
            try:
                conn.request(method, path, body=body, headers=headers or {})
                answer = conn.getresponse()
                return Answer(answer.status, answer.headers, answer.read())
            except (http.client.HTTPException, OSError):
                conn.close()
                self.local.conn = None
                if fresh or attempt == 1:
                    raise
        raise AssertionError("not reached")

    def get(self, path, **params):
        params = {k: v for k, v in params.items() if v is not None}
        return self.request("GET", path + ("?" + urllib.parse.urlencode(params) if params else ""))

    def raw(self, data, seconds=5, until_close=True):
        """Sends bytes as they are, returns what comes back until the connection closes or the time is over."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as s:
            try:
                s.sendall(data)
                while True:
                    piece = s.recv(65536)
                    if not piece:
                        break
                    got += piece
                    if not until_close and b"\r\n\r\n" in got:
                        break
            except (socket.timeout, ConnectionError):
                pass
        return got

    # -------------------------------------------------------------- pushes

    def push_body(self, body, content_type="application/json", encoding=None, path="/loki/api/v1/push", tenant=None,
                  timeout=60):
        headers = {"Content-Type": content_type}
        if encoding:
            headers["Content-Encoding"] = encoding
        if tenant:
            headers["X-Scope-OrgID"] = tenant
        return self.request("POST", path, body, headers, timeout)

    def push(self, labels, entries, want=204):
        """entries: (ts, line) or (ts, line, metadata)."""
        answer = self.push_body(push_json([(labels, entries)]))
        if want is not None:
            check(answer.status == want, "push answered %r instead of %d" % (answer, want))
        return answer

    def flush(self):
        answer = self.request("POST", "/flush")
        check_eq(answer.status, 204, "POST /flush")

    # -------------------------------------------------------------- queries

    def query_range(self, query, start, end, limit=100000, direction="forward", step=None, want=200):
        answer = self.request("POST", "/loki/api/v1/query_range", urllib.parse.urlencode(
            {k: v for k, v in (("query", query), ("start", start), ("end", end), ("limit", limit),
                               ("direction", direction), ("step", step)) if v is not None}),
            {"Content-Type": "application/x-www-form-urlencoded"})
        if want is not None:
            check(answer.status == want, "query %s answered %r instead of %d" % (query[:200], answer, want))
        return answer

    def entries(self, query, start, end, limit=100000, direction="forward"):
        """[(ts, line, labels)] in order of time."""
        data = self.query_range(query, start, end, limit, direction).json()["data"]
        check_eq(data["resultType"], "streams", "type of " + query)
        found = [(int(v[0]), v[1], s["stream"]) for s in data["result"] for v in s["values"]]
        found.sort(key=lambda e: e[0])
        return found

    def lines(self, query, start, end, **more):
        return [line for _, line, _ in self.entries(query, start, end, **more)]

    def count(self, selector, start, end):
        """How many entries with start < ts <= end."""
        seconds = -(-(end - start) // NS)
        answer = self.get("/loki/api/v1/query", query="sum(count_over_time(%s[%ds]))" % (selector, seconds), time=end)
        check_eq(answer.status, 200, "count: %r" % answer)
        result = answer.json()["data"]["result"]
        return int(float(result[0]["value"][1])) if result else 0

    def trace(self, trace_id, **params):
        answer = self.get("/api/v1/traces/%s/logs" % trace_id, **params)
        check(answer.status == 200, "trace lookup answered %r" % answer)
        return answer.json()

    # -------------------------------------------------------------- the process and its files

    def metrics(self):
        values = {}
        for line in self.get("/metrics").text.splitlines():
            m = re.match(r"^([a-zA-Z_:][^ ]*|[a-zA-Z_:][\w:]*\{.*\}) (\S+)$", line)
            if m and not line.startswith("#"):
                values[m.group(1)] = float(m.group(2))
        return values

    def metric_sum(self, name):
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    def peak_memory(self):
        """VmHWM in bytes."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def files(self, suffix):
        found = []
        for folder, _, names in os.walk(self.data):
            found += [os.path.join(folder, n) for n in names if n.endswith(suffix)]
        return sorted(found)

    def disk_bytes(self, under=""):
        total = 0
        for folder, _, names in os.walk(os.path.join(self.data, under)):
            for name in names:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_size
                except FileNotFoundError:
                    pass
        return total

    def run_offline(self, *args, timeout=60):
        """spoord with these arguments to its end."""
        return subprocess.run([spoord_path(), "--data", self.data, *args], capture_output=True,
                              timeout=timeout * SLOWER, stdin=subprocess.DEVNULL)

    def client(self, *args, stdin=b"", timeout=60):
        """spoor, pointed at this daemon."""
        env = {**os.environ, "SPOOR_ADDR": "http://127.0.0.1:%s" % self.port}
        return subprocess.run([spoor_path(), *args], input=stdin, capture_output=True, timeout=timeout * SLOWER, env=env)


def push_json(streams):
    """streams: [(labels, entries)]"""
    return json.dumps({"streams": [
        {"stream": labels, "values": [[str(e[0]), e[1]] + ([e[2]] if len(e) > 2 else []) for e in entries]}
        for labels, entries in streams]}).encode()


# ------------------------------------------------------------------ protobuf and snappy, as much as a push needs

def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def pb_bytes(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def pb_int(field, value):
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def push_proto(streams):
    """streams: [(labels text, entries)], not yet compressed"""
    out = b""
    for labels, entries in streams:
        stream = pb_bytes(1, labels)
        for ts, line, *meta in entries:
            entry = pb_bytes(1, pb_int(1, ts // NS) + pb_int(2, ts % NS)) + pb_bytes(2, line)
            for name, value in (meta[0] if meta else {}).items():
                entry += pb_bytes(3, pb_bytes(1, name) + pb_bytes(2, value))
            stream += pb_bytes(2, entry)
        out += pb_bytes(1, stream)
    return out


def snappy(data):
    """The block format with literals only: valid, if not small."""
    out = varint(len(data))
    for i in range(0, len(data), 65536):
        piece = data[i:i + 65536]
        out += b"\xf4" + (len(piece) - 1).to_bytes(2, "little") + piece
    return out


def gzip_bomb(n_bytes):
    """A gzip body that inflates to n_bytes of blanks."""
    return gzip.compress(b" " * n_bytes, 9)


# ------------------------------------------------------------------ what a scenario is given

class Context:
    def __init__(self, name, long=False):
        self.name, self.long = name, long
        self.tmp = tempfile.mkdtemp(prefix="spoor-%s-" % name)
        self.daemons = []
        self.notes = []

    def daemon(self, settings=None, start=True, **more):
        d = Daemon(os.path.join(self.tmp, "d%d" % len(self.daemons)), settings, **more)
        self.daemons.append(d)
        return d.start() if start else d

    def note(self, text):
        self.notes.append(text)

    def finish(self, failed):
        """Ends what still runs; a daemon that cannot end in order fails the scenario."""
        problem = None
        for d in self.daemons:
            try:
                d.check_alive()
                if failed:
                    d.kill()
                else:
                    d.stop()
            except Failed as e:
                problem = e
                d.kill()
            report = re.search(r"(==\d+==ERROR: .*|.*runtime error: .*|WARNING: ThreadSanitizer.*|.*[Aa]ssertion .* failed.*)",
                               d.log_text())
            if report and problem is None:
                problem = Failed("the daemon reported: " + report.group(1), d.log_tail())
        if problem is not None:
            self.note("".join(str(a) for a in problem.args))
        if failed or problem:
            for d in self.daemons:
                self.note("log of %s:%s" % (d.dir, d.log_tail()))
        shutil.rmtree(self.tmp, ignore_errors=True)
        if problem is not None and not failed:
            raise problem


# ------------------------------------------------------------------ programs that use a daemon for each of their functions

def run_functions(group, functions, wanted, settings):
    """Each test_… of the module's globals with a fresh daemon; settings(function) says which. "N passed, N failed"."""
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, function in list(functions.items()):
        if not name.startswith("test_") or wanted and not any(a in name for a in wanted):
            continue
        tmp = tempfile.mkdtemp(prefix="spoor-%s-" % group)
        d, verdict, text = Daemon(tmp, settings(function)), "ok", ""
        try:
            d.start()
            function(d)
            d.stop()
        except Skip as e:
            verdict, text = "skip", str(e)
        except Exception as e:
            verdict, text = "FAIL", "%s: %s%s" % (type(e).__name__, e, d.log_tail())
        finally:
            d.kill()
            shutil.rmtree(tmp, ignore_errors=True)
        counts[verdict] += 1
        print("%-4s %s.%s%s" % (verdict, group, name[5:], "  " + text if text else ""), flush=True)
    print("%d passed, %d failed%s" % (counts["ok"], counts["FAIL"], ", %d skipped" % counts["skip"] if counts["skip"] else ""))
    return counts
