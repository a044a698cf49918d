"""TLS: certificates, reloads, clients that do it wrong, certificates of clients. The openssl command makes the files."""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import time

from harness import NS, SLOWER, Skip, check, check_eq, now_ns, spoor_path, spoord_path, wait_for


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder, name="ca"):
        if shutil.which("openssl") is None:
            raise Skip("the openssl command is not installed")
        self.folder, self.name = folder, name
        os.makedirs(folder, exist_ok=True)
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                 "/CN=test %s" % name, "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self.path("key"), "-out",
                 self.path("pem"))

    def path(self, ending, name=None):
        return os.path.join(self.folder, "%s.%s" % (name or self.name, ending))

    def run(self, *args):
        done = subprocess.run(["openssl", *args], capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        check(done.returncode == 0, "openssl " + args[0], done.stderr.decode())

    def issue(self, name, subject="/CN=localhost", san="DNS:localhost,IP:127.0.0.1", usage="serverAuth", days="30"):
        """Makes name.pem and name.key; returns their paths."""
        with open(self.path("ext", name), "w") as f:
            f.write("extendedKeyUsage=%s\n" % usage + ("subjectAltName=%s\n" % san if san else ""))
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout",
                 self.path("key", name), "-out", self.path("csr", name))
        self.run("x509", "-req", "-in", self.path("csr", name), "-CA", self.path("pem"), "-CAkey", self.path("key"),
                 "-CAcreateserial", "-days", days, "-extfile", self.path("ext", name), "-out", self.path("pem", name))
        os.chmod(self.path("key", name), 0o600)
        return self.path("pem", name), self.path("key", name)

    def trust(self):
        return ssl.create_default_context(cafile=self.path("pem"))


def tls_daemon(ctx, authority, start=True, **settings):
    cert, key = authority.issue("server")
    d = ctx.daemon({"tls_cert_file": cert, "tls_key_file": key, **settings}, start=False)
    d.tls = authority.trust()
    return d.start() if start else d


def serial_of(d):
    with socket.create_connection(("127.0.0.1", d.port), timeout=5 * SLOWER) as s:
        with d.tls.wrap_socket(s, server_hostname="localhost") as t:
            return t.getpeercert()["serialNumber"]


def read_all(s):
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except (ConnectionError, ssl.SSLError):
        return got


def scenario_pushes_and_queries(ctx):
    d = tls_daemon(ctx, Authority(ctx.tmp))
    t = now_ns() - 60 * NS
    check_eq(d.push({"app": "tls"}, [(t + i, "line %d" % i) for i in range(1000)]).status, 204, "a push over TLS")
    lines = d.lines('{app="tls"}', t - NS, t + NS)
    check_eq(len(lines), 1000, "lines of an answer of many records")
    for i in range(20):  # 4 MB each up in one body, all of it down again
        body = [(t + 20 * i + k, "%04d" % (20 * i + k) + "x" * 200000) for k in range(20)]
        check_eq(d.push({"app": "big"}, body).status, 204, "4 MB")
    check_eq(len(d.lines('{app="big"}', t - NS, t + NS)), 400, "80 MB come back")
    if shutil.which("curl"):
        done = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", os.path.join(ctx.tmp, "ca.pem"),
                               "https://localhost:%d/ready" % d.port], capture_output=True, timeout=60)
        check_eq(done.returncode, 0, "curl --cacert: %s" % done.stderr)
        check(b"ready" in done.stdout, "curl's answer", done.stdout)


def scenario_versions_and_protocols(ctx):
    a = Authority(ctx.tmp)
    d = tls_daemon(ctx, a)

    def connect(context):
        with socket.create_connection(("127.0.0.1", d.port), timeout=5 * SLOWER) as s:
            with context.wrap_socket(s, server_hostname="localhost") as t:
                t.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                got = read_all(t)
                check(got.startswith(b"HTTP/1.1 200"), "an answer", got)
                return t.version(), t.selected_alpn_protocol()

    context = a.trust()
    context.set_alpn_protocols(["h2", "http/1.1"])
    check_eq(connect(context), ("TLSv1.3", "http/1.1"), "the newest version, and HTTP/1.1 on an HTTP port")
    context = a.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    check_eq(connect(context), ("TLSv1.2", None), "TLS 1.2 without ALPN")
    for wrong in ("old", "alpn"):
        context = a.trust()
        if wrong == "alpn":
            context.set_alpn_protocols(["h2"])
        else:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        try:
            connect(context)
            check(False, "a connection with %s" % wrong)
        except ssl.SSLError:
            pass
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")


def scenario_clients_that_err(ctx):
    d = tls_daemon(ctx, Authority(ctx.tmp), header_timeout="1s")
    got = d.raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    check(got.startswith(b"HTTP/1.1 400") and b"https://" in got, "plain HTTP gets a hint", got)
    got = d.raw(b"POST /loki/api/v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000)
    check(got == b"" or got.startswith(b"HTTP/1.1 400"), "nothing but the hint", got)
    for junk in (b"\x00" * 600, b"\x16\x03\x01\x02\x00" + b"\xff" * 600, os.urandom(2000)):
        check(b"HTTP" not in d.raw(junk), "no answer to junk")
    with socket.create_connection(("127.0.0.1", d.port)) as s:  # a handshake that breaks off
        s.sendall(b"\x16\x03\x01\x00\x80\x01")
    context = ssl.create_default_context()  # does not know our authority
    try:
        context.wrap_socket(socket.create_connection(("127.0.0.1", d.port)), server_hostname="localhost")
        check(False, "an unknown authority was believed")
    except ssl.SSLError:
        pass
    check_eq(d.request("GET", "/ready").status, 200, "the daemon goes on")
    check(d.metric_sum('spoor_http_refused_total{reason="tls_handshake"}') >= 5, "they were counted")


def scenario_orderly_end(ctx):
    a = Authority(ctx.tmp)
    d = tls_daemon(ctx, a, idle_timeout="1s")
    with a.trust().wrap_socket(socket.create_connection(("127.0.0.1", d.port), timeout=20 * SLOWER),
                               server_hostname="localhost", suppress_ragged_eofs=False) as t:
        t.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        check(t.recv(65536).startswith(b"HTTP/1.1 200"), "an answer")
        check_eq(t.recv(10), b"", "close_notify, not just an end, when the connection was idle too long")


def scenario_reload(ctx):
    a = Authority(ctx.tmp)
    d = tls_daemon(ctx, a)
    first = serial_of(d)
    check_eq(serial_of(d), first, "the same certificate")
    kept = d.tls.wrap_socket(socket.create_connection(("127.0.0.1", d.port), timeout=20), server_hostname="localhost")
    a.issue("server")
    d.process.send_signal(signal.SIGHUP)
    wait_for(lambda: serial_of(d) != first, 5, "the new certificate")
    second = serial_of(d)
    kept.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
    check(kept.recv(65536).startswith(b"HTTP/1.1 200"), "the old connection goes on")
    kept.close()
    key = os.path.join(ctx.tmp, "server.key")

    def reload_fails(word):
        seen = d.log_text().count("not reloaded")
        d.process.send_signal(signal.SIGHUP)
        wait_for(lambda: d.log_text().count("not reloaded") > seen, 5, "a refusal")
        check(word in d.log_text().splitlines()[-1], "the log says why", d.log_tail())
        check_eq(serial_of(d), second, "the certificate stays")

    os.chmod(key, 0o640)
    reload_fails("0600")
    os.chmod(key, 0o600)
    with open(key, "w") as f:
        f.write("no key\n")
    reload_fails("tls_key_file")
    other = a.issue("other")[1]
    shutil.copy(other, key)  # of another certificate
    reload_fails("tls_key_file")


def scenario_files_at_the_start(ctx):
    a = Authority(ctx.tmp)
    cert, key = a.issue("server")
    loose = os.path.join(ctx.tmp, "loose.key")
    shutil.copy(key, loose)
    os.chmod(loose, 0o644)
    for settings, word in (({"tls_cert_file": cert, "tls_key_file": loose}, "loose.key"),
                           ({"tls_cert_file": cert}, "tls_key_file"),
                           ({"tls_key_file": key}, "tls_cert_file"),
                           ({"tls_cert_file": cert + ".no", "tls_key_file": key}, "server.pem.no"),
                           ({"tls_cert_file": cert, "tls_key_file": key, "tls_client_ca_file": key}, "tls_client_ca_file")):
        args = [x for k, v in settings.items() for x in ("--set", "%s=%s" % (k, v))]
        done = subprocess.run([spoord_path(), "--data", os.path.join(ctx.tmp, "x"), "--listen", "127.0.0.1:0", *args],
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        check_eq(done.returncode, 78, "exit code with %s" % settings)
        check(word in done.stderr.decode(), "it names %s" % word, done.stderr)


def scenario_certificates_of_clients(ctx):
    a = Authority(ctx.tmp)
    stranger = Authority(ctx.tmp, "stranger")
    d = tls_daemon(ctx, a, tls_client_ca_file=a.path("pem"))

    def ask(cert=None, key=None):
        context = a.trust()
        if cert:
            context.load_cert_chain(cert, key)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", d.port), timeout=10 * SLOWER),
                                 server_hostname="localhost") as t:
            t.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return read_all(t)

    check(ask().startswith(b"HTTP/1.1 200"), "none is needed as long as authentication does not ask for it")
    good = a.issue("good", "/CN=alice", "email:alice@example.com", "clientAuth")
    check(ask(*good).startswith(b"HTTP/1.1 200"), "a good one")
    for name, made in (("of a stranger", stranger.issue("s", "/CN=alice", None, "clientAuth")),
                       ("for servers", a.issue("wrong", "/CN=alice", None, "serverAuth")),
                       ("expired", a.issue("old", "/CN=alice", None, "clientAuth", days="-1"))):
        try:
            got = ask(*made)
        except (ssl.SSLError, ConnectionError):
            got = b""
        check_eq(got, b"", "a certificate %s" % name)


def scenario_client_of_a_server_that_is_cut_off(ctx):
    """A reset in the middle of a tail must not end the client without a word (SIGPIPE): it comes back."""
    authority = Authority(ctx.tmp)
    cert, key = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = b"id: 1-1-1-1-0\n\n"  # live, but no line has come
    answers = 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20 * SLOWER)
        client = subprocess.Popen([spoor_path(), "tail", '{app="a"}', "--addr",
                                   "https://localhost:%d" % listener.getsockname()[1], "--ca-file", authority.path("pem")],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while answers < 3:
                s, _ = listener.accept()
                s.settimeout(20 * SLOWER)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with context.wrap_socket(s, server_side=True) as t:
                    t.recv(65536)
                    t.sendall(head + b"%x\r\n%s\r\n" % (len(event), event))
                    time.sleep(0.2)
                    os.close(t.detach())
                answers += 1
        except socket.timeout:
            pass
        finally:
            client.terminate()
            code = client.wait(20)
    check_eq((answers, code), (3, -signal.SIGTERM), "connections, and how the client ended")
