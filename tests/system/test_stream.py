# SPDX-License-Identifier: MIT
"""The live stream, followed through WEIR_CUTS connections (50; 1,000 by
WEIR_CUTS=1000) that a proxy cuts at a random byte: no gap and no double, with
clients that are not ours, too."""

import json
import os
import random
import shutil
import subprocess
import threading

import pytest

import eventsource
import run
import served

CUTS = int(os.environ.get("WEIR_CUTS", "50"))
TARGET = "/v1/stream?after=0"
EVENTSOURCE_JS = "/usr/share/nodejs/eventsource"


@pytest.fixture
def server(tmp_path):
    s = served.Server(tmp_path)
    assert s.start(), s.words()
    s.make_token()
    yield s
    s.end()


def a_record(who, n):
    return served.event("a%d" % who, n, tags=["grün", "t%d" % (n % 3)])


def a_publication(who, n):
    return dict(a_record(who, n), aggregate_type="collection",
                aggregate_id="blue", event_type="published")


class Writers:
    """Threads that append until they are told to end."""

    def __init__(self, server, make, n=2):
        self.make = make
        self.going = True
        self.pace = threading.Semaphore(50)
        self.server = server
        self.threads = [
            threading.Thread(target=self._run, args=(i,), daemon=True)
            for i in range(n)
        ]
        for t in self.threads:
            t.start()

    def _run(self, who):
        c = self.server.connection()
        for n in range(1 << 30):
            self.pace.acquire()
            if not self.going:
                c.close()
                return
            c.ask("POST", "/v1/events", self.make(who, n), check=201)

    def more(self, n=1):
        for _ in range(n):
            self.pace.release()

    def end(self):
        self.going = False
        self.more(len(self.threads))
        for t in self.threads:
            t.join(served.PATIENCE)


class Following:
    """What a client has seen, and what it still has to see."""

    def __init__(self, server, cuts=CUTS, address=None, make=a_record,
                 number="sequence"):
        self.number = number
        self.seen = []
        self.changed = threading.Condition()
        self.writers = Writers(server, make)
        r = random.Random(os.environ.get("WEIR_SEED"))

        def limit():
            if self.proxy.cuts >= cuts:
                return None
            return r.randint(1, 400) if r.random() < 0.3 else r.randint(1, 3000)

        # a client may wait a millisecond instead of two seconds
        self.proxy = eventsource.Cutter(
            address or server.http, limit,
            lambda data: data.replace(b"retry: 2000\n", b"retry: 0001\n"),
        )
        self.cuts = cuts
        self.server = server

    def take(self, sequence):
        with self.changed:
            self.seen.append(sequence)
            self.changed.notify_all()
        self.writers.more()

    def wait(self):
        """Until all cuts are done, and everything was seen."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: self.proxy.cuts >= self.cuts, 600
            ), "%d cuts, %d records" % (self.proxy.cuts, len(self.seen))
        self.writers.end()
        export = run.weir("export", data_dir=self.server.dir).stdout
        self.all = [json.loads(x)[self.number] for x in export.splitlines()]
        with self.changed:
            assert self.changed.wait_for(
                lambda: len(self.seen) >= len(self.all), served.PATIENCE
            ), "%d of %d records came" % (len(self.seen), len(self.all))
        self.proxy.close()

    def compare(self):
        assert self.seen == self.all
        assert len(self.seen) > self.cuts / 2


def test_eventsource(server):
    f = Following(server)

    def seen(event):
        kind, data, last_id = event
        assert kind == "message"
        record = json.loads(data)
        assert last_id == str(record["sequence"])
        assert record["tags"][0] == "grün"
        f.take(record["sequence"])

    client = eventsource.EventSource(
        lambda: ("127.0.0.1", f.proxy.port), TARGET, server.token, seen
    )
    t = threading.Thread(target=client.follow, daemon=True)
    t.start()
    f.wait()
    client.close()
    t.join(served.PATIENCE)
    f.compare()
    assert client.retry == 1
    assert client.tries > CUTS


def test_curl(server):
    """Each curl -N follows behind the last event of the one before."""
    if shutil.which("curl") is None and not os.environ.get("WEIR_TEST_STRICT"):
        pytest.skip("curl is not installed")
    f = Following(server)
    parser = eventsource.Parser()
    ended = threading.Event()
    process = []

    def once():
        p = subprocess.Popen(
            [
                "curl", "-N", "-s", "-f",
                "-H", "Authorization: Bearer " + server.token,
                "-H", "Accept: text/event-stream",
                "-H", "Last-Event-ID: " + parser.last_id,
                "http://127.0.0.1:%d%s" % (f.proxy.port, TARGET),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )
        process[:] = [p]
        last = parser.last_id
        parser.__init__()
        parser.last_id = parser.id = last
        while data := os.read(p.stdout.fileno(), 65536):
            for _, text, last_id in parser.feed(data):
                assert json.loads(text)["sequence"] == int(last_id)
                f.take(int(last_id))
        p.stdout.close()
        assert p.wait(served.PATIENCE) != 22  # an answer that is no success

    def follow():
        while not ended.is_set():
            once()

    t = threading.Thread(target=follow, daemon=True)
    t.start()
    f.wait()
    ended.set()
    process[0].terminate()
    t.join(served.PATIENCE)
    f.compare()


@pytest.mark.skipif(
    not os.path.exists(EVENTSOURCE_JS) or shutil.which("node") is None,
    reason="node-eventsource is not installed",
)
def test_node(server):
    f = Following(server)
    p = subprocess.Popen(
        [
            "node", os.path.join(os.path.dirname(__file__), "follow.js"),
            "http://127.0.0.1:%d%s" % (f.proxy.port, TARGET), server.token,
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )

    def read():
        for line in p.stdout:
            f.take(int(line))

    t = threading.Thread(target=read, daemon=True)
    t.start()
    f.wait()
    p.terminate()
    p.wait(served.PATIENCE)
    t.join(served.PATIENCE)
    p.stdout.close()
    f.compare()


def test_text(server):
    """A subscriber of the text protocol goes on behind the last id that it has
    read whole."""
    f = Following(server, address=server.text, make=a_publication,
                  number="version")
    ended = threading.Event()

    def once():
        with served.connect(("127.0.0.1", f.proxy.port)) as s:
            s.sendall(b"Connect\tblue\nSubscribe\ttrue\t%d\n"
                      % (f.seen[-1] if f.seen else 0))
            for line in s.makefile("rb"):
                if line.endswith(b"\n") and line.startswith(b"Event\t"):
                    _, number, _, tags, data = line.decode().split("\t", 4)
                    assert tags.startswith("grün t")
                    assert list(json.loads(data)) == ["n"]
                    f.take(int(number))

    def follow():
        while not ended.is_set():
            try:
                once()
            except OSError:
                pass

    t = threading.Thread(target=follow, daemon=True)
    t.start()
    f.wait()
    ended.set()
    server.stop()
    t.join(served.PATIENCE)
    f.compare()


def test_parser():
    """The client itself, by the standard's examples."""

    def of(*pieces):
        p = eventsource.Parser()
        out = [e for x in pieces for e in p.feed(x)]
        return out, p.last_id

    text = b": a\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n"
    assert of(text) == (
        [("message", "first", "1"), ("message", "second", "")], ""
    )
    assert of(*[text[i : i + 1] for i in range(len(text))]) == of(text)
    assert of(b"data\n\ndata\ndata\n\ndata:")[0] == [
        ("message", "", ""), ("message", "\n", "")
    ]
    assert of(b"\xef\xbb\xbfevent: x\rdata:y\r\r")[0] == [("x", "y", "")]
    assert of(b"data: a\r", b"\ndata: b\r\n", b"\r", b"\nid: 4\r\n") == (
        [("message", "a\nb", "")], ""
    )
