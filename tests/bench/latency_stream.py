# SPDX-License-Identifier: MIT
"""How soon a record reaches those who follow, and whether a sink that hangs
delays appends.

    latency_stream.py [--posts N] [--rounds R] [--dir F] [--json FILE] [--quick]

One client posts event after event to a server over a kept connection. Each
receiver is a process of its own.

    SSE, webhook   from the record's committed_at, which is taken before the
                   group is written and synced, to the bytes in the receiver;
                   beside it, from committed_at to the client's answer. 2 ms
                   between the posts: all has come to rest. And 10 ms: the
                   processors sleep more deeply and wake up late, the disk's
                   too, as a plain write and sync beside it shows
    p99            of the posts: without a sink, with a webhook whose receiver
                   never answers, with a PostgreSQL that is stopped (SIGSTOP);
                   a server each, in turn, the median of the rounds

The JSON file gets a line for each row, as README.md says. WEIR_BUILD names the
build. The machine should be idle.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time

# in the place of this folder, whose http.py is not Python's
sys.path[0] = os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "lib"
)
import pg  # noqa: E402
import run  # noqa: E402
import served  # noqa: E402

COMMITTED = re.compile(rb'"committed_at":"([^"]+)Z"')
GAP, LONG_GAP = 0.002, 0.01
processes = multiprocessing.get_context("fork")


def micros(stamp):
    t = datetime.datetime.fromisoformat(stamp.decode() + "+00:00")
    return round(t.timestamp() * 1e6)


def ages(text, at):
    """How long ago the records in text were committed, in microseconds."""
    return [at * 1e6 - micros(x) for x in COMMITTED.findall(text)]


def follow(pipe, address, token):
    """An SSE client; ends with its connection."""
    s = served.connect(address)
    s.sendall((
        "GET /v1/stream?after=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Accept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n" % token
    ).encode())
    out, rest = [], b""
    pipe.send("ready")
    while data := s.recv(65536):
        at = time.time()
        rest += data
        whole, end, rest = rest.rpartition(b"\n\n")
        out += ages(whole, at)
    pipe.send(out)


def receive(pipe, listener, answers):
    """A webhook's receiver, of one connection at a time."""
    out = []
    pipe.send("ready")
    while True:
        c, _ = listener.accept()
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest = b""
        while data := c.recv(65536):
            at = time.time()
            rest += data
            if rest == b"end":
                pipe.send(out)
                return
            if not answers and rest.endswith(b"}"):
                pipe.send("hangs")
                rest = b""
            elif rest.endswith(b"}"):
                c.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                out += ages(rest, at)
                rest = b""


class Receiver:
    def __init__(self, target, *args):
        self.pipe, theirs = processes.Pipe()
        self.process = processes.Process(
            target=target, args=(theirs, *args), daemon=True
        )
        self.process.start()
        assert self.pipe.recv() == "ready"

    def result(self):
        out = self.pipe.recv()
        self.process.join()
        return out


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="weir-latency-", dir=args.dir)
        self.servers = 0
        self.rows = []

    def server(self):
        self.servers += 1
        folder = os.path.join(self.folder, str(self.servers))
        os.mkdir(folder)
        s = served.Server(folder)
        if not s.start():
            sys.exit("the server does not start: " + s.words())
        s.make_token()
        return s

    def post(self, server, n, gap=0.0):
        """([microseconds of a post], [from committed_at to the answer])."""
        c = server.connection()
        took, age = [], []
        for i in range(n):
            body = json.dumps(served.event("id-%d" % (i % 100), i)).encode()
            begun = time.time()
            _, _, text = c.ask("POST", "/v1/events", body, check=201)
            at = time.time()
            took.append((at - begun) * 1e6)
            age += ages(text, at)
            time.sleep(gap)
        c.close()
        return took, age

    def row(self, name, value, unit, target, **more):
        row = dict(name=name, unit=unit, value=round(value, 3), **more)
        if target:
            row["target"] = target
        self.rows.append(row)
        print("%-52s %10.3f %-5s %s" % (name, value, unit, target or ""))

    # ---- the rows ----

    def plain(self, n, gap):
        """Microseconds of a write and its sync into a file that is there."""
        took = []
        with open(os.path.join(self.folder, "plain"), "w+b", 0) as f:
            f.write(bytes(n * 1024))
            os.fsync(f.fileno())
            for i in range(n):
                begun = time.time()
                os.pwrite(f.fileno(), b"x" * 700, i * 700)
                os.fdatasync(f.fileno())
                took.append((time.time() - begun) * 1e6)
                time.sleep(gap)
        return took

    def stream(self, gap, target):
        s = self.server()
        r = Receiver(follow, s.http, s.token)
        took, answered = self.post(s, self.args.posts // 3, gap)
        s.kill()
        seen = r.result()
        plain = self.plain(self.args.posts // 3, gap)
        for name, times, wanted in (
            ("a plain write and sync", plain, None),
            ("a post, answered", took, None),
            ("commit to its answer", answered, None),
            ("commit to SSE", seen, target),
        ):
            self.row("%s, %g ms apart" % (name, gap * 1e3),
                     statistics.median(times) / 1e3, "ms", wanted)

    def webhook(self):
        s = self.server()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        r = Receiver(receive, listener, True)
        run.weir("plugin", "http", "--endpoint", "http://127.0.0.1:%d/" % port,
                 "--parallel", "1", data_dir=s.dir)
        self.post(s, self.args.posts // 3, GAP)
        s.kill()
        with socket.create_connection(("127.0.0.1", port)) as c:
            c.sendall(b"end")
        seen = r.result()
        self.row("commit to webhook", statistics.median(seen) / 1e3, "ms",
                 "value <= 2")

    def p99(self, server):
        took, _ = self.post(server, self.args.posts, 0.0005)
        server.kill()
        return statistics.quantiles(took, n=100)[98]

    def without(self):
        return self.p99(self.server())

    def hanging(self):
        s = self.server()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        r = Receiver(receive, listener, False)
        run.weir("plugin", "http", "--endpoint", "http://127.0.0.1:%d/" % port,
                 data_dir=s.dir)
        s.ask("POST", "/v1/events", served.event("first", 0), check=201)
        assert r.pipe.recv() == "hangs"
        out = self.p99(s)
        r.process.kill()
        return out

    def stopped(self, database):
        s = self.server()
        db = database.create_db()
        run.weir("plugin", "postgres", "--connection", db.uri, data_dir=s.dir)
        s.ask("POST", "/v1/events", served.event("first", 0), check=201)
        pid = database.process.pid
        pids = [pid, *children(pid)]
        for p in pids:
            os.kill(p, signal.SIGSTOP)
        try:
            return self.p99(s)
        finally:
            for p in pids:
                try:
                    os.kill(p, signal.SIGCONT)
                except ProcessLookupError:
                    pass

    def appends(self):
        database = None
        kinds = {"a webhook that hangs": self.hanging}
        if pg.find_bin():
            database = pg.Server()
            database.start()
            kinds["PostgreSQL stopped"] = lambda: self.stopped(database)
        seen = {name: [] for name in kinds}
        plain = []
        for _ in range(self.args.rounds):
            plain.append(self.without())
            for name, measure in kinds.items():
                seen[name].append(measure())
        base = statistics.median(plain)
        self.row("p99 of a post, no sink", base / 1e3, "ms", None)
        for name, values in seen.items():
            ratio = statistics.median(
                v / p for v, p in zip(values, plain, strict=True)
            )
            self.row("p99 of a post, " + name,
                     statistics.median(values) / 1e3, "ms", "ratio <= 1.1",
                     baseline_name="no sink", baseline=round(base / 1e3, 3),
                     ratio=round(ratio, 3))
            print("%52s %10.3f" % ("beside no sink", ratio))
        if database is not None:
            database.stop()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--posts", type=int, default=1500)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--dir", default=None)
    p.add_argument("--json")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--full", action="store_true")
    args = p.parse_args()
    if args.quick:
        args.posts, args.rounds = 300, 3
    b = Bench(args)
    try:
        b.stream(GAP, "value <= 0.5")
        b.stream(LONG_GAP, None)
        b.webhook()
        b.appends()
    finally:
        shutil.rmtree(b.folder)
    if args.json:
        with open(args.json, "a") as f:
            for row in b.rows:
                f.write(json.dumps(row) + "\n")


main()
