# SPDX-License-Identifier: MIT
"""The TCP sink against a peer on loopback."""

import json
import socket
import subprocess
import threading
import time

import pytest

import peer
import run

if run.plugin_path("tcp") is None:
    pytest.skip("the tcp plugin is not built", allow_module_level=True)


class Store:
    def __init__(self, home):
        self.dir = home / "store"

    def __call__(self, *args, **kw):
        return run.weir(*args, data_dir=self.dir, **kw)

    def fill(self, n, first=0, size=0):
        lines = "".join(
            json.dumps({"aggregate_type": "t", "aggregate_id": str(i % 7),
                        "event_type": "e",
                        "payload": {"n": i, "x": "x" * size}}) + "\n"
            for i in range(first, first + n))
        self("import", "-", "--source", "s%d" % first, input=lines)

    def sink(self, port, *options):
        self("plugin", "tcp", "--host", "127.0.0.1", "--port", port, *options)

    def deliver(self, check=0):
        self("sink", "resume", "tcp", "--sink-wait", "0s")
        return self("sink", "run", "--once", "tcp", check=check)

    def status(self):
        (s,) = json.loads(self("sink", "status", "tcp", "--json").stdout)
        return s

    def run(self):
        return subprocess.Popen(
            [run.WEIR, "sink", "run", "tcp", "--data-dir", str(self.dir)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def store(tmp_path):
    s = Store(tmp_path)
    s("aggregate", "apply", "t", "0", "e", "--field", "n:=0")
    return s


@pytest.fixture
def server():
    made = []

    def make(script=None):
        made.append(peer.Tcp(script))
        return made[-1]

    yield make
    for p in made:
        p.close()


def always(n, record):
    return True


@pytest.mark.parametrize("ack", ["none", "line"])
def test_lines_as_they_are(store, server, ack):
    payload = '{"a":12345678901234567890123,"b":0.10,"c":1e400}'
    store("aggregate", "apply", "t", "1", "e", "--payload", payload)
    store.fill(2500)
    s = server(always if ack == "line" else None)
    store.sink(s.port, "--ack", ack, "--window", "64")
    store.deliver()
    s.wait_for(2502)
    assert b"".join(s.lines).decode() == store("export").stdout
    assert payload.encode() in s.lines[1]
    assert len(s.connections) == 1
    assert s.halves == []


def test_connection_is_kept(store, server):
    s = server(always)
    store.sink(s.port, "--ack", "line")
    p = store.run()
    s.wait_for(1)
    for i in range(3):
        store("aggregate", "apply", "t", "0", "e", "--field", "n:=1",
              "--sink-wait", "0s")
        s.wait_for(i + 2)
    p.terminate()
    p.communicate(timeout=20)
    assert s.sequences() == [1, 2, 3, 4]
    assert len(s.connections) == 1


def test_window_bounds_what_is_under_way(store, server):
    """A peer that acknowledges nothing gets a window's worth and no more."""
    store.fill(50)
    s = server(lambda n, record: b"")
    store.sink(s.port, "--ack", "line", "--window", "10", "--timeout", "300ms")
    store.deliver(check=8)
    assert s.sequences() == list(range(1, 11))
    status = store.status()
    assert (status["last_class"], status["last_code"]) == (
        "not_connected", "TIMEOUT")
    assert status["cursor"] == 0


def test_one_ack_for_many(store, server):
    store.fill(99)
    s = server(lambda n, record: record["sequence"] % 10 == 0)
    store.sink(s.port, "--ack", "line", "--window", "10")
    store.deliver()
    assert s.sequences() == list(range(1, 101))


@pytest.mark.parametrize("after", [1, 37, 64, 99])
def test_resends_from_the_last_ack(store, server, after):
    """The peer is gone after `after` records of which it acknowledged half:
    the rest comes again, and nothing that was acknowledged."""
    store.fill(99)

    def script(n, record):
        if n == 1 and record["sequence"] == after + 1:
            return None
        return n > 1 or record["sequence"] <= after // 2

    s = server(script)
    store.sink(s.port, "--ack", "line")
    store.deliver(check=8)
    assert store.status()["cursor"] == after // 2
    store.deliver()
    came = s.sequences()
    assert came[:after + 1] == list(range(1, after + 2))
    assert came[after + 1:] == list(range(after // 2 + 1, 101))


@pytest.mark.parametrize("garbage", [
    b"thanks\n", b"-1\n", b"99999\n", b"01\n", b"\n", b"1" * 100,
    b"184467440737095516160\n"])
def test_bad_acks_block(store, server, garbage):
    s = server(lambda n, record: garbage)
    store.sink(s.port, "--ack", "line")
    p = store.deliver(check=8)
    status = store.status()
    assert (status["last_class"], status["last_code"]) == ("blocked", "ACK")
    assert "--ack none" in status["last_hint"]
    assert "thanks" not in p.stderr
    s.script = always
    store.deliver()
    assert store.status()["lag_records"] == 0


def test_acks_in_pieces(store, server):
    store.fill(5)

    def script(n, record):
        text = b"%d\r\n" % record["sequence"]
        c = s.connections[n - 1]
        for i in range(len(text)):
            c.sendall(text[i:i + 1])
        return b""

    s = server(script)
    store.sink(s.port, "--ack", "line", "--window", "2")
    store.deliver()
    assert s.sequences() == [1, 2, 3, 4, 5, 6]


def test_without_acks_what_comes_back_is_dropped(store, server):
    store.fill(300)
    s = server(lambda n, record: b"chatter " * 100)
    store.sink(s.port)
    p = store.run()
    s.wait_for(301)
    p.terminate()
    p.communicate(timeout=20)
    assert s.sequences() == list(range(1, 302))


def test_nobody_listens(store, server):
    s = server()
    s.close()
    store.sink(s.port)
    store.deliver(check=8)
    status = store.status()
    assert (status["last_class"], status["last_code"]) == (
        "not_connected", "ECONNREFUSED")
    assert store("sink", "test", "tcp", check=None).returncode != 0


def test_a_peer_that_reads_nothing_is_given_up(store):
    store.fill(400, size=20000)
    listener = socket.create_server(("127.0.0.1", 0))
    store.sink(listener.getsockname()[1], "--timeout", "300ms")
    store.deliver(check=8)
    status = store.status()
    assert (status["last_class"], status["last_code"]) == (
        "not_connected", "TIMEOUT")
    listener.close()


def test_stops_with_half_a_line(store):
    """Asked to stop while the peer reads nothing: it ends soon, and the next
    run sends what is missing, beginning with a whole line."""
    store.fill(400, size=20000)
    listener = socket.create_server(("127.0.0.1", 0))
    store.sink(listener.getsockname()[1])
    p = store.run()
    first, _ = listener.accept()
    first.recv(1)
    begun = time.monotonic()
    p.terminate()
    p.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    got = [b""]

    def drain(c, into):
        for piece in iter(lambda: c.recv(1 << 20), b""):
            into.append(piece)

    drain(first, got)
    whole = b"".join(got).split(b"\n")[:-1]  # the last has no end
    more = []
    p = store.run()
    second, _ = listener.accept()
    t = threading.Thread(target=drain, args=(second, more))
    t.start()
    while store.status()["lag_records"] != 0:
        time.sleep(0.05)
    p.terminate()
    p.communicate(timeout=20)
    t.join(20)
    rest = [json.loads(x)["sequence"] for x in b"".join(more).splitlines()]
    assert rest[-1] == 401 and rest == list(range(rest[0], 402))
    assert rest[0] <= len(whole) + 1  # no gap
    listener.close()


@pytest.mark.parametrize("options,says", [
    (["--host", "a b", "--port", "1"], "host is no name"),
    (["--host", "a", "--port", "0"], "port is from 1"),
    (["--host", "a", "--port", "65536"], "port is from 1"),
    (["--host", "a", "--port", "1", "--window", "0"], "window is from 1"),
    (["--host", "a", "--port", "1", "--timeout", "2h"], "from 1ms to 1h"),
    (["--host", "a", "--port", "1", "--ack", "maybe"], "none|line"),
    (["--port", "1"], "host"),
])
def test_settings_are_checked(store, options, says):
    p = store("plugin", "tcp", *options, check=2)
    assert says in p.stderr
