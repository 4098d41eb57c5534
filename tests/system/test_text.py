# SPDX-License-Identifier: MIT
"""The text protocol over raw sockets and nc: every message, each error, wrong
states, half lines, many subscribers, slow ones, a kill under them. The server
is tests/unit/server/text_server.c over a real store."""

import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

import run

SERVER = os.path.join(run.BUILD, "tests", "unit", "server", "text_server")
PATIENCE = 60  # seconds; how long a test that fails takes


class Server:
    def __init__(self, folder, settings=None):
        self.folder = folder
        self.settings(settings or {})
        self.start()

    def settings(self, settings):
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "weir.conf"), "w") as f:
            f.write("[text]\n")
            f.writelines("%s = %s\n" % i for i in settings.items())

    def start(self):
        self.p = subprocess.Popen(
            [SERVER, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = int(self.p.stdout.readline())

    def ask(self, *words):
        self.p.stdin.write("\t".join(map(str, words)).encode() + b"\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().decode().rstrip("\n")

    def counts(self):
        words = self.ask("metrics").split()
        return {
            words[i][10:]: int(words[i + 1])
            for i in range(len(words) - 1)
            if words[i].startswith("weir_text_") and words[i + 1].isdigit()
        }

    def kill(self):
        self.p.kill()
        self.close()

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        return self.p.wait(PATIENCE)


@pytest.fixture
def serve(tmp_path):
    servers = []

    def start(settings=None):
        servers.append(Server(tmp_path / "store", settings))
        return servers[-1]

    yield start
    for s in servers:
        if s.p.poll() is None:
            assert s.close() == 0


class Client:
    def __init__(self, server, collection=None, small=False):
        self.s = socket.socket()
        if small:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.s.settimeout(PATIENCE)
        self.s.connect(("127.0.0.1", server.port))
        self.rest = b""
        if collection is not None:
            assert self.ask("Connect\t" + collection) == "Connected"

    def send(self, text):
        self.s.sendall(text if isinstance(text, bytes) else text.encode())

    def line(self):
        """The next line without its end; None when the server has closed."""
        while b"\n" not in self.rest:
            got = self.s.recv(65536)
            if not got:
                assert self.rest == b"", self.rest[:200]
                return None
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def lines(self, n):
        return [self.line() for _ in range(n)]

    def ask(self, text):
        self.send(text + "\n")
        return self.line()

    def publish(self, n, first=1, tag="t", at=1000):
        self.send("".join("Publish\t%s\t%d\tevent %d\n" % (tag, at, i)
                          for i in range(first, first + n)))
        assert self.lines(n) == ["Published\t%d" % i
                                 for i in range(first, first + n)]

    def stream(self, request):
        """All lines of a stream that ends."""
        assert self.ask(request) == "Subscribed"
        out = []
        while True:
            line = self.line()
            if line == "EndOfEventStream":
                return out
            out.append(line)

    def closed(self):
        return self.line() is None

    def fileno(self):
        return self.s.fileno()

    def close(self):
        self.s.close()


def event(i, tag="t", at=1000):
    return "Event\t%d\t%d\t%s\tevent %d" % (i, at, tag, i)


UNEXPECTED = "Error\tIoError\tInvalidData\tunexpected TCP message"
MISSING = "Error\tParseError\tMissingField\t%d"
PARSE = "Error\tParseError\tParseError\t"
INVALID = "Error\tValidationError\t"


# ---- messages ---------------------------------------------------------------


def test_each_message(serve):
    server = serve()
    c = Client(server)
    assert c.ask("Connect\tweather") == "Connected"
    assert c.ask("Publish\ta b\t1234567890\tdata\twith\ttabs") == "Published\t1"
    assert c.ask("Publish\ta\t1\t") == "Published\t2"
    assert c.ask("Publish\tä\t253402300799999\tdåta ☃") == "Published\t3"
    before = int(time.time() * 1000)
    assert c.ask("Publish\tb\t0\tnow") == "Published\t4"
    after = int(time.time() * 1000)
    lines = c.stream("Subscribe\tfalse\t0")
    assert lines[:3] == [
        "Event\t1\t1234567890\ta b\tdata\twith\ttabs",
        "Event\t2\t1\ta\t",
        "Event\t3\t253402300799999\tä\tdåta ☃",
    ]
    assert before <= int(lines[3].split("\t")[2]) <= after
    assert c.send("HELP\n") is None
    help_lines = c.lines(5)
    assert all(line.startswith("Help\t") for line in help_lines)
    c.send("Subscribe\ttrue\t3\r\n")
    assert c.line() == "Subscribed"
    assert c.line() == lines[3]
    other = Client(server, "weather")
    other.publish(1, first=5)
    assert c.line() == event(5)
    assert c.ask("Unsubscribe") == "EndOfEventStream"
    c.publish(1, first=6)


def test_queries(serve):
    c = Client(serve(), "c")
    for i in range(1, 21):
        c.publish(1, first=i, tag="odd all" if i % 2 else "all")
    tag = {True: "odd all", False: "all"}
    whole = [event(i, tag[i % 2 == 1]) for i in range(1, 21)]
    odd = whole[::2]
    assert c.stream("Subscribe\tfalse\t0\t0") == whole
    assert c.stream("Subscribe\tfalse\t7") == whole[7:]
    assert c.stream("Subscribe\tfalse\t20") == []
    assert c.stream("Subscribe\tfalse\t18446744073709551615") == []
    assert c.stream("Subscribe\tfalse\t2\t3") == whole[2:5]
    assert c.stream("Subscribe\tfalse\t2\tmany") == whole[2:]
    assert c.stream("Subscribe\tfalse\t0\t0\todd") == odd
    assert c.stream("Subscribe\tfalse\t4\t3\todd") == odd[2:5]
    assert c.stream("Subscribe\tfalse\t0\t0\tod") == []
    assert c.stream("Subscribe\tfalse\t0\t0\todd\tall") == []
    # a limit ends a live one, too
    assert c.stream("Subscribe\ttrue\t0\t20") == whole
    assert c.ask("Subscribe\ttrue\t19\t2\tall") == "Subscribed"
    assert c.line() == whole[19]
    other = Client(c_server(c), "c")
    other.publish(1, first=21, tag="other")
    other.publish(1, first=22, tag="all")
    assert c.line() == event(22, "all")
    assert c.line() == "EndOfEventStream"
    c.publish(1, first=23)


def c_server(c):
    class Same:
        port = c.s.getpeername()[1]

    return Same


def test_collections_are_apart(serve):
    server = serve()
    a, b = Client(server, "a"), Client(server, "../../etc/passwd")
    a.publish(3)
    b.publish(2)
    assert a.stream("Subscribe\tfalse\t0") == [event(i) for i in (1, 2, 3)]
    assert b.stream("Subscribe\tfalse\t0") == [event(i) for i in (1, 2)]
    assert Client(server, "none").stream("Subscribe\tfalse\t0") == []
    assert sorted(os.listdir(server.folder)) == sorted(
        ["LOCK", "STORE", "journal", "live", "weir.conf"])


def test_errors(serve):
    c = Client(serve())
    for line, answer in (
        ("", PARSE + "unknown TCP message: "),
        ("\r", PARSE + "unknown TCP message: "),
        ("Nonsense\tx", PARSE + "unknown TCP message: Nonsense"),
        ("connect\tx", PARSE + "unknown TCP message: connect"),
        ("a\x01b", PARSE + "unknown TCP message: a\\x01b"),
        ("Connect", MISSING % 1),
        ("Publish", MISSING % 1),
        ("Publish\ta", MISSING % 1),
        ("Publish\ta\t0", MISSING % 2),
        ("Subscribe", MISSING % 1),
        ("Subscribe\ttrue", MISSING % 1),
        ("Publish\ta\t0\tx", UNEXPECTED),
        ("Subscribe\ttrue\t0", UNEXPECTED),
        ("Unsubscribe", UNEXPECTED),
        ("Connected", UNEXPECTED),
        ("Event\t1\t1\ta\tx", UNEXPECTED),
        ("Connect\t", INVALID + "collection is empty"),
        ("Connect\tx\x7fy", INVALID + "collection"),
        ("Connect\t" + "x" * 256, INVALID + "collection has 256 bytes"),
        ("Connect\tcol", "Connected"),
        ("Connect\tcol", UNEXPECTED),
        ("Publish\t\t0\tx", INVALID + "event must contain at least one tag"),
        ("Publish\ta  b\t0\tx", INVALID + "event must not contain empty tags"),
        ("Publish\t a\t0\tx", INVALID + "event must not contain empty tags"),
        ("Publish\ta \t0\tx", INVALID + "event must not contain empty tags"),
        ("Publish\t" + " ".join("abcdefghijklmnopqrstuvwxyz0123456") + "\t0\tx",
         INVALID + "33 tags"),
        ("Publish\ta\u2003b\t0\tx", INVALID + "tag"),
        ("Publish\ta\t-1\tx", PARSE + "timestamp"),
        ("Publish\ta\t\tx", PARSE + "timestamp"),
        ("Publish\ta\t1e3\tx", PARSE + "timestamp"),
        ("Publish\ta\t253402300800000\tx", INVALID + "timestamp"),
        ("Publish\ta\t18446744073709551616\tx", PARSE + "timestamp"),
        ("Subscribe\tTrue\t0", PARSE + "live must be true or false"),
        ("Subscribe\ttrue\t", PARSE + "offset"),
        ("Subscribe\ttrue\t-1", PARSE + "offset"),
        ("Published\t1", UNEXPECTED),
        ("EndOfEventStream", UNEXPECTED),
    ):
        got = c.ask(line)
        assert got.startswith(answer), (line, got)
        if not answer.startswith(INVALID) and not answer.startswith(PARSE):
            assert got == answer
    c.send(b"Publish\ta\t0\t\xff\xfe\n")
    assert c.line().startswith(INVALID + "payload: invalid UTF-8")
    c.send(b"Publish\t\xff\t0\tx\n")
    assert c.line().startswith(INVALID + "tag")
    c.publish(1)
    assert c.ask("Subscribe\ttrue\t1") == "Subscribed"
    assert c.ask("Publish\ta\t0\tx") == UNEXPECTED
    assert c.ask("Subscribe\ttrue\t0") == UNEXPECTED
    assert c.ask("Nonsense") == UNEXPECTED
    assert c.ask("Unsubscribe") == "EndOfEventStream"
    assert c.ask("Unsubscribe") == UNEXPECTED


def test_credentials(serve):
    server = serve({"username": "ann", "password": "tab less"})
    denied = "Error\tAuthenticationError"
    c = Client(server)
    assert c.ask("Connect\tcol") == denied
    assert c.ask("Connect\tcol\tann") == denied
    assert c.ask("Connect\tcol\tann\twrong") == denied
    assert c.ask("Connect\tcol\tbob\ttab less") == denied
    assert c.ask("Connect\tcol\tann\ttab less") == "Connected"
    c.publish(1)
    c = Client(server)
    assert [c.ask("Connect\tcol\tann\t") for _ in range(5)] == [denied] * 5
    assert c.closed()
    assert server.counts()["logins_failed_total"] == 9
    # one of the two alone asks for nothing; a reload holds for who comes then
    server.settings({"username": "ann"})
    assert server.ask("reload") == "ok"
    Client(server, "col")


# ---- lines -------------------------------------------------------------------


def test_byte_by_byte(serve):
    c = Client(serve())
    c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    said = "Connect\tcol\r\nPublish\tä\t5\tdåta\nNo\nSubscribe\tfalse\t0\n"
    for b in said.encode():
        c.send(bytes([b]))
    assert c.lines(6) == [
        "Connected", "Published\t1", PARSE + "unknown TCP message: No",
        "Subscribed", "Event\t1\t5\tä\tdåta", "EndOfEventStream"]


def test_long_lines(serve):
    c = Client(serve(), "col")
    head = "Publish\tt\t1\t"
    most = "x" * (65536 - len(head))
    assert c.ask(head + most) == "Published\t1"
    assert c.ask(head + most + "\r") == "Published\t2"
    too_long = PARSE + "the line is longer than 65536 bytes"
    assert c.ask(head + most + "y").startswith(too_long)
    c.send("z" * 3000000 + "\nPublish\tt\t1\tnext\n")
    assert c.line().startswith(too_long)
    assert c.line() == "Published\t3"
    lines = c.stream("Subscribe\tfalse\t0")
    assert [len(l) for l in lines[:2]] == [len(most) + len("Event\t1\t1\tt\t")] * 2
    assert lines[2] == "Event\t3\t1\tt\tnext"


def test_pipelined_in_order(serve):
    c = Client(serve())
    said, want = ["Connect\tcol\n"], ["Connected"]
    for i in range(1, 3001):
        said.append("Publish\tt\t1000\tevent %d\n" % i)
        want.append("Published\t%d" % i)
        if i % 500 == 0:
            said.append("Publish\t\t0\tx\n")
            want.append(INVALID + "event must contain at least one tag")
        if i % 600 == 0:
            said.append("Publish\tt\t0\t\0\x01\n")
            want.append("Published")
        if i % 1000 == 0:
            said.append("Subscribe\tfalse\t0\t2\n")
            want += ["Subscribed", event(1), event(2), "EndOfEventStream"]
    # the odd ones take ids of their own
    n = 0
    for k, w in enumerate(want):
        if w.startswith("Published"):
            n += 1
            want[k] = "Published\t%d" % n
    c.send("".join(said))
    assert c.lines(len(want)) == want


def test_half_closed(serve):
    server = serve()
    c = Client(server)
    c.send("Connect\tcol\nPublish\tt\t1000\tevent 1\nSubscribe\tfalse\t0\n"
           "Publish\tt\t1\tnot ended")
    c.s.shutdown(socket.SHUT_WR)
    assert c.lines(5) == ["Connected", "Published\t1", "Subscribed", event(1),
                          "EndOfEventStream"]
    assert c.closed()
    # one that follows gets no more
    c = Client(server, "col")
    assert c.ask("Subscribe\ttrue\t0") == "Subscribed"
    assert c.line() == event(1)
    c.s.shutdown(socket.SHUT_WR)
    assert c.line() == "EndOfEventStream"
    assert c.closed()


@pytest.mark.parametrize("said", [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/events HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\n",
])
def test_strangers(serve, said):
    c = Client(serve())
    c.send(said)
    assert c.line() == PARSE + ("this port speaks weir's text protocol, see "
                                "weir-text(7)")
    assert c.closed()


# ---- records that came by other ways --------------------------------------------


def test_other_records(serve):
    server = serve()
    c = Client(server, "col")
    assert c.ask("Subscribe\ttrue\t0") == "Subscribed"
    server.ask("append", "col", "text", "one\\ntwo\\rthree\\n")
    server.ask("append", "col", "json", '{"a":\\n [1,\\r\\n2]}')
    server.ask("append", "col", "bytes", "a\\nb\x01")
    server.ask("append", "col", "tagless", "x\ty")
    server.ask("other", 3)
    server.ask("append", "col", "text", "z" * 60000 + "\\n")
    server.ask("append", "col", "archive", '{"comment":"done"}')
    want = [
        "Event\t1\t-1\tmade\tone\\ntwo\\rthree\\n",
        'Event\t2\t-1\tmade\t{"a":  [1,  2]}',
        'Event\t3\t-1\tmade\t{"$base64":"YQpiAQ=="}',
        "Event\t4\t-1\t\tx\ty",
        "Event\t5\t-1\tmade\t" + "z" * 60000 + "\\n",
    ]
    assert c.lines(5) == want
    assert c.ask("Unsubscribe") == "EndOfEventStream"
    assert c.stream("Subscribe\tfalse\t0") == want
    assert c.ask("Publish\tt\t0\tx").startswith(INVALID)


# ---- many, slow, gone ------------------------------------------------------------


def test_many_subscribers(serve):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = 2000
    if hard != resource.RLIM_INFINITY and hard < 3 * many:
        many = hard // 3
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3 * many), hard))
    server = serve()
    first = Client(server, "col")
    first.publish(3)
    clients = [Client(server) for _ in range(many)]
    for k, c in enumerate(clients):
        c.send("Connect\tcol\nSubscribe\ttrue\t%d\t0%s\n"
               % (k % 5, "\tt" if k % 3 == 0 else ""))
    for k, c in enumerate(clients):
        want = ["Connected", "Subscribed"]
        want += [event(i) for i in range(1 + k % 5, 4)]
        assert c.lines(len(want)) == want
    for i in range(4, 8):
        first.publish(1, first=i)
    for k, c in enumerate(clients):
        want = [event(i) for i in range(max(4, 1 + k % 5), 8)]
        assert c.lines(len(want)) == want
    counts = server.counts()
    assert counts["connections"] == many + 1
    assert counts["subscriptions"] == many
    for c in clients:
        c.close()
    until = time.monotonic() + PATIENCE
    while server.counts()["connections"] > 1:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert server.counts()["subscriptions"] == 0


def test_slow_subscriber(serve):
    server = serve({"slow_timeout": "1s"})
    writer = Client(server, "col")
    slow = Client(server, "col", small=True)
    good = Client(server, "col")
    assert slow.ask("Subscribe\ttrue\t0") == "Subscribed"
    assert good.ask("Subscribe\ttrue\t0") == "Subscribed"
    data = "x" * 60000
    n = 0
    while server.counts()["slow_total"] == 0:
        for _ in range(20):
            n += 1
            assert writer.ask("Publish\tt\t1\t" + data) == "Published\t%d" % n
            assert good.line() == "Event\t%d\t1\tt\t%s" % (n, data)
        assert n < 20000
    # what it was sent is whole, and behind it stands why there is no more
    seen = 0
    while True:
        line = slow.line()
        if line is None or line.startswith("Error"):
            break
        seen += 1
        assert line == "Event\t%d\t1\tt\t%s" % (seen, data)
    assert line == "Error\tEventStreamError\tClosed"
    assert slow.closed()
    assert 0 < seen < n
    again = Client(server, "col")
    assert len(again.stream("Subscribe\tfalse\t%d" % seen)) == n - seen


def test_slow_cut(serve):
    """One that takes nothing at all is cut off, whatever waits for it."""
    server = serve({"slow_timeout": "100ms"})
    c = Client(server, "col", small=True)
    data = "x" * 60000
    for i in range(200):
        assert c.ask("Publish\tt\t1\t" + data) == "Published\t%d" % (i + 1)
    c.send("Subscribe\tfalse\t0\n")
    until = time.monotonic() + PATIENCE
    while server.counts()["connections"] > 0:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert server.counts()["slow_total"] == 1


def test_limits(serve):
    server = serve({"connections": "3"})
    kept = [Client(server, "col") for _ in range(3)]
    c = Client(server)
    assert c.line() == "Error\tConnectionError"
    assert c.closed()
    kept.pop().close()
    until = time.monotonic() + PATIENCE
    while server.counts()["connections"] > 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    Client(server, "col")
    assert server.counts()["refused_total"] == 1


def test_open_address(serve, tmp_path):
    server = serve()
    assert server.close() == 0
    p = run.run([SERVER, str(server.folder), "0.0.0.0"], check=1)
    assert "no encryption" in p.stderr and "insecure_network" in p.stderr
    with open(server.folder / "weir.conf", "w") as f:
        f.write("insecure_network = yes\n")
    p = run.run([SERVER, str(server.folder), "0.0.0.0"], input="", check=0)
    assert int(p.stdout) > 0


def test_drain(serve):
    server = serve()
    idle, follower = Client(server), Client(server, "col")
    assert follower.ask("Subscribe\ttrue\t0") == "Subscribed"
    writer = Client(server, "col")
    writer.publish(10)
    assert follower.lines(10) == [event(i) for i in range(1, 11)]
    server.p.stdin.write(b"drain\n")
    server.p.stdin.flush()
    assert follower.line() == "Error\tEventStreamError\tClosed"
    assert follower.closed() and idle.closed() and writer.closed()
    for c in (idle, follower, writer):
        c.close()
    assert server.p.stdout.readline() == b"ok\n"
    with pytest.raises(OSError):
        Client(server)
    assert server.close() == 0


def test_close_with_publishes_under_way(serve):
    server = serve()
    clients = [Client(server, "col") for _ in range(20)]
    for c in clients:
        c.send("Publish\tt\t1\tx\n" * 500)
    assert server.close() == 0


def test_kill_and_resume(serve):
    """What was acknowledged is there after a kill, and who resumes with the
    last id that it read whole misses nothing and gets nothing twice."""
    server = serve()
    acknowledged, seen = 0, 0
    rounds = int(os.environ.get("WEIR_ROUNDS", "0")) // 10 or 4
    for turn in range(rounds):
        follower = Client(server, "col")
        assert follower.ask("Subscribe\ttrue\t%d" % seen) == "Subscribed"
        writer = Client(server, "col")
        writer.send("Publish\tt\t1\tx\n" * 800)
        killed, start = False, seen
        try:
            while True:
                ready = {c for c in (writer, follower) if b"\n" in c.rest}
                if not ready:
                    ready, _, _ = select.select([writer, follower], [], [],
                                                PATIENCE)
                    assert ready
                if writer in ready:
                    line = writer.line()
                    if line is None:
                        break
                    acknowledged = int(line.split("\t")[1])
                if follower in ready:
                    line = follower.line()
                    if line is None:
                        break
                    seen += 1
                    assert line == "Event\t%d\t1\tt\tx" % seen
                if not killed and seen > start + 100 + 97 * turn % 500:
                    server.p.send_signal(signal.SIGKILL)
                    killed = True
        except (ConnectionError, AssertionError) as e:
            # half a line may be the last that comes
            assert killed, e
        assert killed
        server.p.wait()
        server.close()
        server.start()
        c = Client(server, "col")
        lines = c.stream("Subscribe\tfalse\t0")
        assert len(lines) >= max(acknowledged, seen)
        assert lines == ["Event\t%d\t1\tt\tx" % i
                         for i in range(1, len(lines) + 1)]
        acknowledged = len(lines)


def test_by_hand(serve):
    """The manual's session, by nc."""
    if shutil.which("nc") is None:
        if os.environ.get("WEIR_TEST_STRICT"):
            pytest.fail("nc is missing: apt-get install netcat-openbsd")
        pytest.skip("nc is missing")
    server = serve()
    said = ("Connect\tweather\nPublish\tberlin dry\t1795284000000\t21 degrees\n"
            "Publish\tparis\t0\t19 degrees\nSubscribe\tfalse\t0\t0\tberlin\n")
    p = run.run(["nc", "-N", "127.0.0.1", str(server.port)], input=said,
                check=0, timeout=PATIENCE)
    assert p.stdout == (
        "Connected\nPublished\t1\nPublished\t2\nSubscribed\n"
        "Event\t1\t1795284000000\tberlin dry\t21 degrees\nEndOfEventStream\n")
