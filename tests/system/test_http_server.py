# SPDX-License-Identifier: MIT
"""The HTTP server over raw sockets: bad input, slow clients, limits, TLS, the
control socket, streams and the end. tests/system/http_server.c serves."""

import http.client
import json
import os
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import run

SERVER = os.path.join(run.BUILD, "tests", "system", "http_server")
PATIENCE = 20
EVENT = b'{"aggregate_type":"a","aggregate_id":"%d","event_type":"e","payload":{"n":1}}'

pytestmark = pytest.mark.skipif(
    not os.path.exists(SERVER), reason="tests/system/http_server is not built"
)


class Server:
    def __init__(self, **settings):
        self.dir = tempfile.mkdtemp(prefix="weir-http-")
        with open(os.path.join(self.dir, "weir.conf"), "w") as f:
            for key, value in settings.items():
                f.write("%s = %s\n" % (key, value))
        self.p = subprocess.Popen(
            [SERVER, self.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.first = self.line()
        self.port = None
        if self.first.startswith("port "):
            self.port = int(self.first.split()[1])
        self._token = None

    def line(self):
        return self.p.stdout.readline().decode().strip()

    def ask(self, line):
        self.p.stdin.write(line.encode() + b"\n")
        self.p.stdin.flush()
        return self.line()

    def metrics(self):
        return self.p.stdout.read(int(self.ask("metrics"))).decode()

    def metric(self, name):
        found = re.search(
            r"^%s (\d+)$" % re.escape(name), self.metrics(), re.M
        )
        return int(found.group(1))

    def until(self, name, value):
        end = time.monotonic() + PATIENCE
        while self.metric(name) != value:
            assert time.monotonic() < end, self.metrics()
            time.sleep(0.01)

    def tcp(self):
        s = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def local(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(PATIENCE)
        s.connect(os.path.join(self.dir, "weir.sock"))
        return s

    def token(self):
        if self._token is None:
            body = b'{"group":"g","user":"u"}'
            status, _, answer = one(self.local(), post(body, b"/v1/tokens"))
            assert status == 201, answer
            self._token = json.loads(answer)["token"].encode()
        return self._token

    def rss(self):
        with open("/proc/%d/statm" % self.p.pid) as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self):
        self.p.stdin.close()
        try:
            code = self.p.wait(PATIENCE)
        finally:
            self.p.kill()
            self.p.wait()
            self.p.stdout.close()
            shutil.rmtree(self.dir)
        return code


@pytest.fixture
def serve():
    running = []

    def start(**settings):
        running.append(Server(**settings))
        return running[-1]

    yield start
    for s in running:
        code = s.end()
        assert s.port is None or code == 0


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    assert s.end() == 0


# ---- a client of our own ----------------------------------------------------


def post(body, path=b"/v1/events", extra=b""):
    return (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: %d\r\n%s\r\n%s" % (path, len(body), extra, body)
    )


def get(path=b"/health", extra=b"", version=b"1.1"):
    return b"GET %s HTTP/%s\r\nHost: localhost\r\n%s\r\n" % (
        path,
        version,
        extra,
    )


class Reader:
    """Answers from a socket, one after another."""

    def __init__(self, s):
        self.s = s
        self.b = b""

    def more(self):
        d = self.s.recv(65536)
        self.b += d
        return bool(d)

    def head(self):
        """Status and fields; None when the connection ended instead."""
        while b"\r\n\r\n" not in self.b:
            try:
                if not self.more():
                    return None
            except ConnectionError:
                return None
        head, self.b = self.b.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        fields = dict(
            (k.lower(), v.strip())
            for k, v in (line.split(":", 1) for line in lines[1:])
        )
        return int(lines[0].split()[1]), fields

    def answer(self, method="POST"):
        head = self.head()
        if head is None:
            return None, {}, b""
        status, fields = head
        n = int(fields.get("content-length", 0)) if method != "HEAD" else 0
        if status < 200:
            n = 0
        while len(self.b) < n and self.more():
            pass
        body, self.b = self.b[:n], self.b[n:]
        return status, fields, body

    def ended(self):
        """True when the peer closes; False when it says more."""
        try:
            return self.b == b"" and not self.more()
        except ConnectionError:
            return True


def one(s, text, method="POST"):
    try:
        s.sendall(text)
    except ConnectionError:
        pass
    answer = Reader(s).answer(method)
    s.close()
    return answer


def last_sequence(server):
    n, after = 0, 0
    while True:
        path = b"/v1/events?after=%d&limit=1000" % after
        page = json.loads(one(server.local(), get(path))[2])
        if not page:
            return n
        n += len(page)
        after = page[-1]["sequence"]


# ---- heads ------------------------------------------------------------------

H = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
P = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
BAD_HEADS = {
    "bare LF": H.replace(b"\r\n", b"\n") + b"\n",
    "bare LF after the request line": b"GET /health HTTP/1.1\nHost: localhost\r\n\r\n",
    "bare LF after a field": H + b"A: b\nC: d\r\n\r\n",
    "bare LF at the end": H + b"A: b\r\n\n",
    "bare CR in a field": H + b"A: b\rC: d\r\n\r\n",
    "folded line": H + b"A: b\r\n c\r\n\r\n",
    "folded first line": b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
    "space before colon": H + b"A : b\r\n\r\n",
    "tab before colon": H + b"A\t: b\r\n\r\n",
    "space in a name": H + b"A b: c\r\n\r\n",
    "no name": H + b": b\r\n\r\n",
    "no colon": H + b"A\r\n\r\n",
    "odd name": H + b"A(b): c\r\n\r\n",
    "NUL in a value": H + b"A: b\0c\r\n\r\n",
    "NULs for a line's end": H + b"A: b\0\0C: d\r\n\r\n",
    "NULs for the end": H + b"A: b\0\0\0\0\r\n\r\n",
    "NUL in a name": H + b"A\0b: c\r\n\r\n",
    "control character": H + b"A: b\x01\r\n\r\n",
    "two lengths": P + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": P + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": P + b"Content-Length: 3, 3\r\n\r\nabc",
    "length with sign": P + b"Content-Length: +3\r\n\r\nabc",
    "negative length": P + b"Content-Length: -3\r\n\r\nabc",
    "hex length": P + b"Content-Length: 0x3\r\n\r\nabc",
    "empty length": P + b"Content-Length:\r\n\r\nabc",
    "huge length": P + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "length and coding": P
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": P
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two codings": P
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "list of codings": P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": P + b"Transfer-Encoding: identity\r\n\r\n",
    "unknown coding": P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding behind VT": P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding in HTTP/1.0": P.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no HTTP": b"GET /health HTTX/1.1\r\nHost: localhost\r\n\r\n",
    "lower-case http": b"GET /health http/1.1\r\nHost: localhost\r\n\r\n",
    "space in the path": b"GET /he alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two spaces": b"GET  /health  HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tabs": b"GET\t/health\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "space behind the version": b"GET /health HTTP/1.1 \r\nHost: localhost\r\n\r\n",
    "control character in the path": b"GET /h\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "bytes above 127 in the path": b"GET /h\xc3\xa4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "fragment": b"GET /health#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no Host": b"GET /health HTTP/1.1\r\n\r\n",
    "two Hosts": H + b"Host: localhost\r\n\r\n",
    "two Authorizations": H + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
    "unknown method": b"BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "lower-case method": b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd method": b"G(T /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE": b"TRACE /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "odd expectation": P + b"Expect: wonders\r\nContent-Length: 2\r\n\r\n{}",
    "long path": b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long field": H + b"A: " + b"a" * 20000 + b"\r\n\r\n",
    "many fields": H + b"A: b\r\n" * 3000 + b"\r\n",
    "a TLS hello": bytes.fromhex("1603010200010001fc0303") + b"\0" * 300 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_head(server, name):
    """Refused, and nothing behind it is taken for a request."""
    s = server.tcp()
    try:
        s.sendall(BAD_HEADS[name] + get(b"/second"))
    except ConnectionError:
        pass
    r = Reader(s)
    text = b""
    try:
        while r.more():
            pass
    except ConnectionError:
        pass
    text = r.b
    s.close()
    if text:
        assert re.match(rb"HTTP/1\.1 (4\d\d|501|505) ", text), text
    assert b"/second" not in text and b" 404 " not in text, text
    assert one(server.tcp(), get())[0] == 200


@pytest.mark.parametrize(
    "text",
    [
        H + b"\r\n",
        b"\r\n" + H + b"\r\n",
        H.replace(b"Host: ", b"hOST:\t ") + b"A:\r\nB: \t c \t\r\n\r\n",
        H + b"A: \xc3\xa4\xff\r\n\r\n",
        H.replace(b"localhost", b"127.0.0.1:7070") + b"\r\n",
        H.replace(b"localhost", b"[::1]:7070") + b"\r\n",
        H.replace(b"localhost", b"LOCALHOST") + b"\r\n",
        H + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"GET http://localhost/health HTTP/1.1\r\nHost: x\r\n\r\n",
        H + b"Content-Length: 0\r\n\r\n",
    ],
)
def test_good_head(server, text):
    s = server.tcp()
    r = Reader(s)
    for _ in range(2):
        s.sendall(text)
        assert r.answer()[0] == 200
    s.close()


def test_byte_by_byte(server):
    s = server.local()
    for b in post(EVENT % 1):
        s.sendall(bytes([b]))
    assert Reader(s).answer()[0] == 201
    s.close()


# ---- host and origin --------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1x",
             "", "[::2]", "localhost:x", "[::1", "weir.example.org.evil.net"]
)
def test_forged_host(server, host):
    text = b"GET /health HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode()
    assert one(server.tcp(), text)[0] == 421


def test_server_name(serve):
    s = serve(server_name="weir.example.org, two.example")
    for host, status in (
        (b"weir.example.org", 200),
        (b"Two.Example:443", 200),
        (b"localhost", 200),
        (b"example.org", 421),
    ):
        text = b"GET /health HTTP/1.1\r\nHost: %s\r\n\r\n" % host
        assert one(s.tcp(), text)[0] == status


def test_forged_origin(server):
    for origin, status in (
        (b"https://evil.example", 403),
        (b"null", 403),
        (b"http://localhost.evil.example", 403),
        (b"http://localhost:1", 403),
        (b"http://localhost", 401),
    ):
        extra = b"Origin: %s\r\n" % origin
        assert one(server.tcp(), post(EVENT % 1, extra=extra))[0] == status
        assert one(server.tcp(), get(extra=extra))[0] == 200


# ---- bodies -----------------------------------------------------------------

C = (
    b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
BODY = EVENT % 2
SIZE = b"%x" % len(BODY)
BAD_CHUNKS = {
    "no size": b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "0x": b"0x" + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "negative": b"-1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "space before": b" " + SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "too large": b"10000000000000001\r\n" + BODY + b"\r\n0\r\n\r\n",
    "longer than its size": b"3\r\n" + BODY + b"\r\n0\r\n\r\n",
    "shorter than its size": b"fff\r\n" + BODY + b"\r\n0\r\n\r\n",
    "cut off": SIZE + b"\r\n" + BODY[:-1],
    "LF in an extension": SIZE + b";a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks(server, name):
    before = last_sequence(server)
    s = server.local()
    s.sendall(C + BAD_CHUNKS[name])
    s.shutdown(socket.SHUT_WR)
    status = Reader(s).answer()[0]
    s.close()
    assert status in (400, 413, None)
    assert last_sequence(server) == before


@pytest.mark.parametrize(
    "chunks",
    [
        SIZE + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
        SIZE + b";a=b\r\n" + BODY + b"\r\n0\r\nTrailer: x\r\n\r\n",
        b"".join(b"1\r\n%c\r\n" % b for b in BODY) + b"0\r\n\r\n",
        SIZE + b"\n" + BODY + b"\n0\n\n",
    ],
)
def test_chunks_end_the_connection(server, chunks):
    """Whatever a lax reader of chunks makes of it, nothing behind a chunked
    body is a request."""
    before = last_sequence(server)
    s = server.local()
    s.sendall(C + chunks + post(EVENT % 3))
    r = Reader(s)
    status, fields, _ = r.answer()
    assert status == 201 and fields["connection"] == "close"
    assert r.ended()
    s.close()
    assert last_sequence(server) == before + 1


def test_body_over_the_limit_is_not_read(server):
    s = server.local()
    s.sendall(P + b"Content-Type: application/json\r\nContent-Length: 4000000000\r\n\r\n")
    status, fields, body = Reader(s).answer()
    assert status == 413 and fields["connection"] == "close"
    assert json.loads(body)["status"] == 413
    s.close()


def test_endless_chunks(server):
    s = server.local()
    s.sendall(C)
    piece = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with pytest.raises(ConnectionError):
        while sent < 1 << 30:
            s.sendall(piece)
            sent += len(piece)
    s.close()
    assert sent < 48 << 20


def test_refused_body_keeps_the_connection(server):
    s = server.tcp()
    r = Reader(s)
    for _ in range(3):
        s.sendall(post(EVENT % 1))
        assert r.answer()[0] == 401
    s.sendall(get())
    assert r.answer()[0] == 200
    s.close()


def test_expect(server):
    s = server.local()
    r = Reader(s)
    body = EVENT % 4
    s.sendall(post(b"", extra=b"Expect: 100-continue\r\n").replace(
        b"Content-Length: 0", b"Content-Length: %d" % len(body)))
    assert r.answer()[0] == 100
    s.sendall(body)
    assert r.answer()[0] == 201
    s.sendall(post(b"", extra=b"Expect: 100-continue\r\n").replace(
        b"Content-Length: 0", b"Content-Length: 4000000000"))
    assert r.answer()[0] == 413
    s.close()


def test_pipelining(server):
    s = server.local()
    r = Reader(s)
    s.sendall(b"".join(post(EVENT % i) for i in range(50)) + get(b"/nothing"))
    sequences = []
    for _ in range(50):
        status, _, body = r.answer()
        assert status == 201
        sequences.append(json.loads(body)["sequence"])
    assert sequences == sorted(sequences)
    assert r.answer()[0] == 404
    s.close()


def test_old_http(server):
    s = server.tcp()
    s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    r = Reader(s)
    assert r.answer()[0] == 200 and r.ended()
    s.close()
    s = server.tcp()
    s.sendall(get(extra=b"Connection: close\r\n"))
    r = Reader(s)
    assert r.answer()[0] == 200 and r.ended()
    s.close()


def test_head_has_no_body(server):
    s = server.tcp()
    s.sendall(get().replace(b"GET", b"HEAD") + get())
    r = Reader(s)
    status, fields, _ = r.answer("HEAD")
    assert status == 200 and int(fields["content-length"]) > 0
    assert r.answer()[0] == 200
    s.close()


def test_half_closed(server):
    """One that says no more still gets its answer."""
    s = server.local()
    s.sendall(post(EVENT % 5))
    s.shutdown(socket.SHUT_WR)
    assert Reader(s).answer()[0] == 201
    s.close()


def test_gone_in_the_middle(serve):
    """Clients that go at any byte leave nothing behind."""
    server = serve()
    text = post(EVENT % 6)
    for n in range(0, len(text), 7):
        s = server.tcp()
        s.sendall(text[:n])
        if n % 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
        s.close()
        s = server.local()
        s.sendall(text[:n])
        s.close()
    server.until("weir_http_connections", 0)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_gone_under_load(serve, threads):
    """Clients that go while their event waits for the group commit, among
    others that stay: those are answered, every time."""
    server = serve(http_threads=threads)
    auth = b"Authorization: Bearer %s\r\n" % server.token()
    text = post(EVENT % 7, extra=auth)
    stay = [server.tcp() for _ in range(32)]
    waves = 100
    for _ in range(waves):
        go = [server.tcp() for _ in range(16)]
        for a, b, c in zip(stay[::2], stay[1::2], go, strict=True):
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
            a.sendall(text)
            c.sendall(text)
            b.sendall(text)
        for s in go:
            s.close()
        for s in stay:
            assert Reader(s).answer()[0] == 201
    server.until("weir_http_connections", len(stay))
    assert last_sequence(server) >= waves * len(stay)
    for s in stay:
        s.sendall(text)
        s.close()
    server.until("weir_http_connections", 0)


def test_answers_are_the_records(serve):
    """What an append is answered with, roots of all versions included, is what
    the journal gives later."""
    server = serve()
    s = server.local()
    said = []
    for i in range(40):
        s.sendall(post(EVENT % (i % 3 % 2)))
        status, _, body = Reader(s).answer()
        assert status == 201
        said.append(json.loads(body))
    s.close()
    kept = json.loads(one(server.local(), get(b"/v1/events?limit=1000"))[2])
    assert kept[-len(said):] == said
    assert len({e["merkle_root"] for e in said}) == len(said)


# ---- slow clients and limits ------------------------------------------------


def cut_after(s, piece, pause=0.1):
    """Sends a piece again and again: seconds until the peer ends it."""
    began = time.monotonic()
    s.settimeout(pause)
    while time.monotonic() - began < PATIENCE:
        try:
            s.sendall(piece)
            if s.recv(1000) == b"":
                break
        except socket.timeout:
            continue
        except ConnectionError:
            break
    s.close()
    return time.monotonic() - began


def test_slow_head(serve):
    server = serve(header_timeout="1s")
    idle = server.tcp()
    quiet = server.tcp()
    quiet.sendall(get())
    assert Reader(quiet).answer()[0] == 200
    begun = [server.tcp() for _ in range(3)]
    begun[1].sendall(b"GET /health HTTP/1.1\r\nA: ")
    begun[2].sendall(get())
    assert Reader(begun[2]).answer()[0] == 200
    stops = server.tcp()
    stops.sendall(b"GET /hea")
    took = []
    threads = [
        threading.Thread(target=lambda s=s: took.append(cut_after(s, b"G")))
        for s in begun
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(took) == 3 and all(0.9 < t < 8 for t in took), took
    assert Reader(stops).ended()
    stops.close()
    # and those without a request are left alone
    for s in (idle, quiet):
        s.sendall(get())
        assert Reader(s).answer()[0] == 200
        s.close()
    assert server.metric('weir_http_cut_total{part="header"}') == 4


def test_many_slow_heads(serve):
    server = serve(header_timeout="2s")
    slow = [server.tcp() for _ in range(300)]
    began = time.monotonic()
    worst = 0
    for s in slow:
        s.sendall(b"GET /hea")
    end = began + PATIENCE
    while server.metric("weir_http_connections") > 0:
        t = time.monotonic()
        assert t < end
        assert one(server.tcp(), get())[0] == 200
        worst = max(worst, time.monotonic() - t)
    for s in slow:
        s.close()
    assert worst < 2


def test_slow_body(serve):
    server = serve(body_timeout="1s")
    s = server.local()
    s.sendall(post(b"").replace(b"Content-Length: 0", b"Content-Length: 5000"))
    assert 0.9 < cut_after(s, b" ") < 6
    assert server.metric('weir_http_cut_total{part="body"}') == 1


def test_idle(serve):
    server = serve(idle_timeout="1s")
    s = server.tcp()
    s.sendall(get())
    r = Reader(s)
    assert r.answer()[0] == 200
    assert r.ended()
    s.close()
    s = server.local()
    assert Reader(s).ended()
    s.close()


def test_connection_limit(serve):
    """For one too many one that idles for long goes."""
    server = serve(http_connections=20)
    s = [server.tcp() for _ in range(20)]
    for one_of in s:
        one_of.sendall(get())
        assert Reader(one_of).answer()[0] == 200
    late = server.tcp()
    late.sendall(get())
    assert Reader(late).answer()[0] == 200
    gone = select.select(s, [], [], PATIENCE)[0]
    assert len(gone) == 1 and Reader(gone[0]).ended()
    for x in s:
        if x not in gone:
            x.sendall(get())
            assert Reader(x).answer()[0] == 200
    for x in s + [late]:
        x.close()


def is_sanitized():
    with open(SERVER, "rb") as f:
        return b"__asan_init" in f.read()


def test_idle_connections_are_small(serve):
    if is_sanitized():
        pytest.skip("a sanitizer's memory would be counted, too")
    server = serve()
    for _ in range(50):
        assert one(server.tcp(), get())[0] == 200
    server.until("weir_http_connections", 0)
    before = server.rss()
    s = []
    for _ in range(500):
        s.append(server.tcp())
        s[-1].sendall(get())
        assert Reader(s[-1]).answer()[0] == 200
    each = (server.rss() - before) / 500
    for x in s:
        x.close()
    # memory is grown by more than what is needed, so one in a few
    assert each < 24 << 10


# ---- the control socket -----------------------------------------------------


def test_local_caller(server):
    mode = os.stat(os.path.join(server.dir, "weir.sock")).st_mode & 0o777
    assert mode == 0o600
    status, _, body = one(server.local(), post(EVENT % 7))
    assert status == 201
    import grp
    import pwd

    assert json.loads(body)["metadata"]["issued_by"] == {
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
    }


def test_stranger_on_the_control_socket(serve):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    server = serve()
    os.chmod(server.dir, 0o755)
    path = os.path.join(server.dir, "weir.sock")
    os.chmod(path, 0o666)
    code = (
        "import os,socket,sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "try:\n"
        "    s.sendall(b'GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "    sys.exit(len(s.recv(100)))\n"
        "except ConnectionError:\n"
        "    sys.exit(0)\n"
    )
    run.run(["/usr/bin/python3", "-c", code, path], check=0)
    assert one(server.local(), get())[0] == 200


# ---- streams ----------------------------------------------------------------


def chunks(r):
    """The text of a chunked answer, as it comes."""
    while True:
        while b"\r\n" not in r.b:
            if not r.more():
                return
        size, r.b = r.b.split(b"\r\n", 1)
        n = int(size, 16)
        while len(r.b) < n + 2:
            if not r.more():
                return
        text, r.b = r.b[:n], r.b[n + 2:]
        if n == 0:
            yield None
            return
        yield text


def follow(s, path=b"/v1/stream", extra=b""):
    s.sendall(get(path, b"Accept: text/event-stream\r\n" + extra))
    r = Reader(s)
    head = r.head()
    assert head[0] == 200, head
    return chunks(r)


def ids(stream, n):
    """The ids of the next n events."""
    text, found = b"", []
    for piece in stream:
        text += piece
        found = re.findall(rb"^id: ?(\d+)$", text, re.M)
        if len(found) >= n:
            return [int(x) for x in found]
    raise AssertionError(text)


def test_stream(serve):
    server = serve()
    for i in range(5):
        assert one(server.local(), post(EVENT % i))[0] == 201
    live = [server.local() for _ in range(20)]
    streams = [follow(s, b"/v1/stream?after=2") for s in live]
    for x in streams:
        assert ids(x, 3) == [3, 4, 5]
    assert server.metric("weir_http_streams") == 20
    for i in range(3):
        assert one(server.local(), post(EVENT % i))[0] == 201
    for x in streams:
        assert ids(x, 3) == [6, 7, 8]
    for s in live:
        s.close()
    # those who left are known at the latest when there is something to say
    assert one(server.local(), post(EVENT % 1))[0] == 201
    assert one(server.local(), post(EVENT % 1))[0] == 201
    server.until("weir_http_streams", 0)
    server.until("weir_http_connections", 0)


def test_slow_stream_is_cut(serve):
    server = serve(stream_timeout="1s")
    big = b'{"aggregate_type":"a","aggregate_id":"b","event_type":"e","payload":{"x":"%s"}}' % (
        b"x" * 1000000)
    for _ in range(12):
        assert one(server.local(), post(big))[0] == 201
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(PATIENCE)
    s.connect(("127.0.0.1", server.port))
    auth = b"Authorization: Bearer %s\r\n" % server.token()
    s.sendall(get(b"/v1/stream?after=0", auth))
    server.until('weir_http_cut_total{part="answer"}', 1)
    server.until("weir_http_streams", 0)
    s.close()


# ---- the end ----------------------------------------------------------------


def test_drain(serve):
    server = serve()
    assert one(server.local(), post(EVENT % 1))[0] == 201
    s = server.local()
    stream = follow(s, b"/v1/stream?after=0")
    assert ids(stream, 1) == [1]
    idle = server.tcp()
    idle.sendall(get())
    assert Reader(idle).answer()[0] == 200
    half = server.local()
    half.sendall(post(EVENT % 2)[:-5])
    server.until("weir_http_connections", 3)
    done = []
    t = threading.Thread(target=lambda: done.append(server.ask("drain 10000")))
    t.start()
    assert Reader(idle).ended()
    assert list(stream)[-1] is None  # a proper end
    half.sendall(post(EVENT % 2)[-5:])
    r = Reader(half)
    status, fields, _ = r.answer()
    assert status == 201 and fields["connection"] == "close" and r.ended()
    t.join(PATIENCE)
    assert done == ["empty"]
    with pytest.raises(ConnectionError):
        server.tcp()
    for x in (s, idle, half):
        x.close()


def test_drain_has_a_bound(serve):
    server = serve()
    half = server.local()
    half.sendall(post(EVENT % 2)[:-5])
    server.until("weir_http_connections", 1)
    assert server.ask("drain 200") == "not empty"
    half.close()


def test_end_with_everything_open(serve):
    server = serve()
    s = [server.local() for _ in range(10)]
    for i, x in enumerate(s):
        x.sendall([b"", b"GET", get(b"/v1/stream"), post(EVENT % 1)[:-1]][i % 4])
    server.until("weir_http_connections", 10)
    # the fixture's end waits for it
    time.sleep(0)


# ---- the network and TLS ----------------------------------------------------


def test_network_without_tls_is_refused(serve):
    server = serve(host="0.0.0.0")
    assert server.port is None
    assert "insecure_network = yes" in server.first
    server = serve(host="0.0.0.0", insecure_network="yes")
    assert one(server.tcp(), get())[0] == 200


def make_certificate(folder, name):
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program")
    run.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
         "/CN=" + name, "-addext", "subjectAltName=DNS:" + name, "-keyout",
         os.path.join(folder, "key.pem"), "-out",
         os.path.join(folder, "cert.pem")],
        check=0,
    )


def tls(server, folder, name, version=None):
    c = ssl.create_default_context(cafile=os.path.join(folder, "cert.pem"))
    if version is not None:
        c.minimum_version = c.maximum_version = version
    return c.wrap_socket(server.tcp(), server_hostname=name)


def test_tls(serve, tmp_path):
    folder = str(tmp_path)
    make_certificate(folder, "localhost")
    server = serve(tls_cert=folder + "/cert.pem", tls_key=folder + "/key.pem")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        s = tls(server, folder, "localhost", version)
        r = Reader(s)
        for _ in range(3):
            s.sendall(get())
            assert r.answer()[0] == 200
        s.close()
    # no plain text on this port; the control socket has no TLS
    assert one(server.tcp(), get())[0] in (None, 400)
    assert one(server.local(), get())[0] == 200

    # a new certificate: old connections go on, new ones get it
    old = tls(server, folder, "localhost")
    make_certificate(folder, "two.example")
    assert server.ask("reload") == "ok"
    fresh = tls(server, folder, "two.example")
    for s in (old, fresh):
        s.sendall(get())
        assert Reader(s).answer()[0] == 200
        s.close()

    # the same one again is no change
    tasks = "/proc/%d/task" % server.p.pid
    threads = set(os.listdir(tasks))
    assert server.ask("reload") == "ok"
    assert set(os.listdir(tasks)) <= threads

    # a bad one changes nothing
    with open(folder + "/key.pem", "w") as f:
        f.write("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    said = server.ask("reload")
    assert "the old certificate stays in use" in said, said
    s = tls(server, folder, "two.example")
    s.sendall(get())
    assert Reader(s).answer()[0] == 200
    s.close()


def test_half_a_handshake(serve, tmp_path):
    folder = str(tmp_path)
    make_certificate(folder, "localhost")
    server = serve(
        tls_cert=folder + "/cert.pem",
        tls_key=folder + "/key.pem",
        header_timeout="1s",
    )
    half = server.tcp()
    half.sendall(bytes.fromhex("1603010200010001fc0303"))
    quiet = tls(server, folder, "localhost")
    used = tls(server, folder, "localhost")
    r = Reader(used)
    used.sendall(get())
    assert r.answer()[0] == 200
    assert Reader(half).ended()
    assert Reader(quiet).ended()
    used.sendall(get())
    assert r.answer()[0] == 200
    for s in (half, quiet, used):
        s.close()


def test_tls_settings(serve, tmp_path):
    server = serve(tls_cert=str(tmp_path / "cert.pem"))
    assert server.port is None and "go together" in server.first
    server = serve(tls_cert=str(tmp_path / "no.pem"),
                   tls_key=str(tmp_path / "no.pem"))
    assert server.port is None and "no.pem" in server.first


# ---- metrics ----------------------------------------------------------------


def test_metrics(serve):
    server = serve()
    for _ in range(3):
        one(server.tcp(), get())
    one(server.tcp(), get(b"/v1/aggregates/a/secret-id"))
    one(server.tcp(), get(b"/made/up/path"))
    one(server.tcp(), b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.until("weir_http_connections", 0)
    text = server.metrics()
    assert (
        'weir_http_requests_total{method="GET",route="/health",code="200"} 3'
        in text
    )
    assert "secret-id" not in text and "made" not in text
    assert 'route="none",code="501"} 1' in text
    assert "weir_http_request_duration_seconds_count 6" in text
    names = set(re.findall(r"^(weir_\w+?)(?:_bucket|_sum|_count)?(?:\{| )", text, re.M))
    for name in names:
        assert "# TYPE %s " % name in text and "# HELP %s " % name in text
