# SPDX-License-Identifier: MIT
"""A server with everybody around it: clients that append over HTTP and by the
text protocol, event sources, subscribers, and sinks. The server is killed at any
time and started again; the clients come back by themselves. The oracle keeps
what was acknowledged to whom."""

import json
import mmap
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
import time

import eventsource
import peer
import run
import served
import truth
from river import is_running, wait_for
from world import FILE_NAMES, Broken

NAMES = dict(FILE_NAMES, load="load", collection="collection")
LOST = (OSError, served.http.client.HTTPException)


class Client:
    """A thread that works while the server is up. A failure of its own ends
    the test; a lost connection does not."""

    def __init__(self, crowd):
        self.crowd = crowd
        self.under_way = False  # the server has something of it
        self.failure = None
        self.connection = None
        self.thread = threading.Thread(target=self._live, daemon=True)
        self.thread.start()

    def _live(self):
        try:
            while self.crowd.wait_up(self):
                try:
                    self.work()
                except LOST:
                    pass
                finally:
                    self.under_way = False
                    self.hang_up()
        except BaseException as e:
            self.failure = e

    def hang_up(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


class Poster(Client):
    """POST /v1/events with event_ids of its own, one at a time or some as a
    commit. What was not answered is sent again after the restart."""

    def __init__(self, crowd, name):
        self.random = random.Random("%s %s" % (crowd.seed, name))
        self.name = name
        self.unsure = None
        self.acked = {}  # event_id -> (sequence, version)
        self.commits = []  # lists of event_ids
        self.again = 0
        super().__init__(crowd)

    def make(self):
        r = self.random
        n = r.choice((1, 1, 1, r.randint(2, 6)))
        events = [
            served.event(
                "id-%d" % r.randint(0, 15), r.randint(0, 1 << 30),
                tags=["t%d" % r.randint(0, 2)],
            )
            for _ in range(n)
        ]
        if r.random() < 0.1:
            events[0]["payload"]["fill"] = "ü" * r.randint(0, 30000)
        self.commits.append([e["event_id"] for e in events])
        return events

    def work(self):
        self.connection = c = self.crowd.server.connection()
        while self.unsure or not self.crowd.ending:
            events, again = self.unsure or self.make(), bool(self.unsure)
            self.unsure = events
            self.under_way = True
            status, _, text = c.ask(
                "POST", "/v1/events", events if len(events) > 1 else events[0]
            )
            self.under_way = False
            if status == 503:
                continue
            if status not in (200, 201) or (status == 200 and not again):
                raise Broken("POST: %d %r" % (status, text))
            self.again += status == 200
            records = json.loads(text)
            for r in records if isinstance(records, list) else [records]:
                self.acked[r["metadata"]["event_id"]] = (
                    r["sequence"], r["version"]
                )
            if any(e["event_id"] not in self.acked for e in events):
                raise Broken("an answer lacks a record: %r" % text)
            self.unsure = None


class Publisher(Client):
    """Publishes by the text protocol, some at a time. It has no ids there, so
    what was not answered may be there or not, but not twice."""

    def __init__(self, crowd, collection):
        self.collection = collection
        self.n = 0
        self.acked = {}  # data -> id
        super().__init__(crowd)

    def work(self):
        self.connection = s = served.connect(self.crowd.server.text)
        lines = Lines(s)
        lines.ask("Connect\t" + self.collection, "Connected")
        while not self.crowd.ending:
            some = ["%s %d" % (self.collection, self.n + i) for i in range(3)]
            self.n += len(some)
            self.under_way = True
            s.sendall("".join(
                "Publish\ttag1 tag2\t0\t%s\n" % x for x in some).encode())
            for data in some:
                word, number = lines.read().split("\t")
                if word != "Published":
                    raise Broken("text: %s %s" % (word, number))
                self.acked[data] = int(number)
            self.under_way = False


class Lines:
    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the connection has ended")
        return line[:-1].decode()

    def ask(self, line, want):
        self.sock.sendall(line.encode() + b"\n")
        got = self.read()
        if got != want:
            raise Broken("text: %r, not %r" % (got, want))


class Subscriber(Client):
    """Follows a collection, each time behind the last id it has."""

    def __init__(self, crowd, collection):
        self.collection = collection
        self.seen = []  # data; the id is the place
        super().__init__(crowd)

    def work(self):
        self.connection = s = served.connect(self.crowd.server.text)
        lines = Lines(s)
        lines.ask("Connect\t" + self.collection, "Connected")
        lines.ask("Subscribe\ttrue\t%d" % len(self.seen), "Subscribed")
        self.under_way = True
        while True:
            word, number, _, tags, data = lines.read().split("\t")
            if (word, int(number), tags) != (
                "Event", len(self.seen) + 1, "tag1 tag2"
            ):
                raise Broken("%s after %d" % ((word, number), len(self.seen)))
            self.seen.append(data)

    def hang_up(self):
        if self.connection is not None:
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        super().hang_up()


class Follower(Client):
    """An event source."""

    def __init__(self, crowd, query="", wanted=lambda record: True):
        self.seen = []
        self.wanted = wanted
        self.source = eventsource.EventSource(
            lambda: crowd.server.http, "/v1/stream?after=0" + query, None,
            self.take,
        )
        super().__init__(crowd)

    def take(self, event):
        _, data, last_id = event
        sequence = json.loads(data)["sequence"]
        if last_id != str(sequence):
            raise Broken("event %s holds record %d" % (last_id, sequence))
        if self.seen and sequence <= self.seen[-1]:
            raise Broken("record %d came after %d" % (sequence, self.seen[-1]))
        self.seen.append(sequence)

    def work(self):
        self.source.token = self.crowd.server.token
        self.under_way = True
        self.source.once()

    def hang_up(self):
        self.source.close()


class Crowd:
    def __init__(self, seed, tally):
        self.seed = seed
        self.random = random.Random(seed)
        self.tally = tally
        self.folder = tempfile.mkdtemp(prefix="weir-crowd-")
        self.targets = os.path.join(self.folder, "targets")
        os.mkdir(self.targets)
        self.page_path = os.path.join(self.folder, "page")
        with open(self.page_path, "wb") as f:
            f.write(b"\0" * 4096)
        with open(self.page_path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        self.server = served.Server(self.folder)
        self.changed = threading.Condition()
        self.up = self.ending = self.closing = False
        self.clients = []
        self.sinks = []
        self.export = ""
        self.records = []
        self.http = peer.Http()
        self.tcp = peer.Tcp(lambda n, record: True)

    def close(self):
        self.end_all()
        self.page.close()
        shutil.rmtree(self.folder)

    def end_all(self):
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.server.end()
        for c in self.clients:
            c.hang_up()
        self.http.close()
        self.tcp.close()

    # ---- what clients ask ----

    def wait_up(self, client):
        """False: it is to end."""
        writes = isinstance(client, (Poster, Publisher))
        done = writes and not getattr(client, "unsure", None)
        with self.changed:
            self.changed.wait_for(
                lambda: self.closing or self.up or (self.ending and done)
            )
            return not self.closing and not (self.ending and done)

    def _set(self, **kw):
        with self.changed:
            self.__dict__.update(kw)
            self.changed.notify_all()

    def look(self):
        for c in self.clients:
            if c.failure is not None:
                raise c.failure

    # ---- life ----

    def weir(self, *args, **kw):
        return run.weir(*args, data_dir=self.server.dir, **kw)

    def begin(self):
        if not self.server.start():
            raise Broken("the server does not start: " + self.server.words())
        self.server.make_token()
        t = self.targets
        for name, options in (
            ("sqlite", ["--path", os.path.join(t, "mirror.db")]),
            ("csv", ["--output-dir", os.path.join(t, "csv")]),
            ("json", ["--path", os.path.join(t, "records.ndjson")]),
            ("http", ["--endpoint", self.http.url]),
            ("tcp", ["--host", "127.0.0.1", "--port", str(self.tcp.port),
                     "--ack", "line"]),
        ):
            if run.plugin_path(name):
                self.weir("plugin", name, *options)
                self.sinks.append(name)
        self.clients = [Poster(self, n) for n in range(4)]
        self.clients += [Publisher(self, c) for c in ("blue", "red")]
        self.clients += [Subscriber(self, c) for c in ("blue", "blue", "red")]
        self.clients += [
            Follower(self), Follower(self),
            Follower(self, "&type=load&tag=t1",
                     lambda r: r.type == "load" and "t1" in r.tags),
        ]

    def _environment(self):
        """Often the shim kills the server or one of its sinks at a call that
        is counted over all of them."""
        r = self.random
        self.page[0:4096] = b"\0" * 4096
        if r.random() < 0.4:
            return None
        asan = os.environ.get("ASAN_OPTIONS", "")
        return dict(
            os.environ,
            LD_PRELOAD=os.path.join(
                run.BUILD, "tests", "crash", ".libs", "shim.so"),
            WEIR_CRASH_PAGE=self.page_path,
            WEIR_CRASH_AT=str(r.randint(1, r.randint(1, 500))),
            WEIR_CRASH_HOW=r.choice(("before", "part", "after")),
            ASAN_OPTIONS=asan + ":verify_asan_link_order=0",
        )

    def round(self):
        """Starts the server, looks at what is there, lets all at it, kills
        it."""
        r = self.random
        if self.server.process is None or self.server.process.poll() is not None:
            if not self.server.start(self._environment()):
                self._was_killed()  # while it began
                return
        self.verify()
        self._set(up=True)
        time.sleep(r.uniform(0, 0.25))  # the kill's time, not a wait
        self._kill()
        self.look()

    def _kill(self):
        pids = self.server.children()
        by_shim = self.server.process.poll() is not None
        if not by_shim:
            self.server.process.kill()
        appends = sum(
            c.under_way for c in self.clients
            if isinstance(c, (Poster, Publisher))
        )
        streams = sum(
            c.under_way for c in self.clients
            if isinstance(c, (Follower, Subscriber))
        )
        batch = self.http.under_way
        self._set(up=False)
        self.server.ended()
        self._was_killed()
        wait_for(lambda: not any(map(is_running, pids)), "sinks end")
        self.tally.kills += 1
        self.tally.in_append += appends > 0 or by_shim
        self.tally.in_stream += streams > 0
        place = struct.unpack_from("=QII", self.page, 0)
        self.tally.in_batch += batch > 0 or place[1] in (2, 3)
        self.tally.by_shim += by_shim

    def _was_killed(self):
        if self.server.process.returncode != -9:
            raise Broken("the server ended with %d: %s" % (
                self.server.process.returncode, self.server.words()))

    # ---- the oracle ----

    def verify(self):
        """What was acknowledged is there, as it was said, and once."""
        export = self.weir("export").stdout
        if not export.startswith(self.export):
            raise Broken("records that were there before are not the same now")
        self.records = truth.records(export)
        for r in self.records[len(self.export.splitlines()):]:
            r.event_id = json.loads(truth.members(r.members["metadata"])["event_id"])
            r.tags = json.loads(r.members["tags"])
        for old, new in zip(self._known(), self.records):
            new.event_id, new.tags = old.event_id, old.tags
        self.export, self.known = export, self.records
        by_id = {}
        published = {}
        for r in self.records:
            if r.event_id in by_id:
                raise Broken("event %s is there twice" % r.event_id)
            by_id[r.event_id] = r
            if r.type == "collection":
                data = json.loads(r.payload)
                if data in published:
                    raise Broken("%r is there twice" % data)
                published[data] = r.version
        for c in self.clients:
            if isinstance(c, Poster):
                self._verify_poster(c, by_id)
            elif isinstance(c, Publisher):
                for data, number in list(c.acked.items()):
                    if published.get(data) != number:
                        raise Broken("%r was published as %d, is %r" % (
                            data, number, published.get(data)))

    def _known(self):
        return getattr(self, "known", [])

    def _verify_poster(self, poster, by_id):
        for event_id, place in list(poster.acked.items()):
            r = by_id.get(event_id)
            if r is None:
                raise Broken("event %s at %r is lost" % (event_id, place))
            if (r.sequence, r.version) != place:
                raise Broken("event %s is not at %r" % (event_id, place))
        for commit in list(poster.commits):
            found = [by_id[i].sequence for i in commit if i in by_id]
            if found and found != list(range(found[0], found[0] + len(commit))):
                raise Broken("a commit is torn: %r" % found)

    # ---- the end ----

    def caught_up(self):
        status = json.loads(self.weir("sink", "status", "--json").stdout)
        return all(s["cursor"] >= self.records[-1].sequence for s in status)

    def finish(self):
        """No more kills: all goes on to its end, and everybody has seen the
        same."""
        if not self.server.start():
            raise Broken("the server does not start: " + self.server.words())
        self.verify()
        self._set(up=True, ending=True)
        for c in self.clients:
            if isinstance(c, (Poster, Publisher)):
                c.thread.join(served.PATIENCE)
        self.look()
        self.verify()
        for c in self.clients:
            if isinstance(c, Poster):
                sent = sum(map(len, c.commits))
                if c.unsure or len(c.acked) != sent:
                    raise Broken("an append was never answered")
        self._streams_end()
        self.weir("sink", "resume", *self.sinks, "--sink-wait", "0s")
        wait_for(self.caught_up, "the sinks catch up")
        self._set(closing=True)
        self.server.stop()
        self.compare_mirrors()
        self.tally.records += len(self.records)
        self.tally.again += sum(
            c.again for c in self.clients if isinstance(c, Poster))

    def _streams_end(self):
        for c in self.clients:
            if isinstance(c, Follower):
                want = [r.sequence for r in self.records if c.wanted(r)]
            elif isinstance(c, Subscriber):
                want = [
                    json.loads(r.payload) for r in self.records
                    if (r.type, r.id) == ("collection", c.collection)
                ]
            else:
                continue
            wait_for(
                lambda: c.failure or len(c.seen) >= len(want),
                "a stream comes to its end",
            )
            self.look()
            if c.seen != want:
                raise Broken("%r saw %d of %d" % (c, len(c.seen), len(want)))

    def compare_mirrors(self):
        first = self.records[0].sequence  # those of the token come before
        t = self.targets
        everything = truth.fold(self.records, first=first)
        if "sqlite" in self.sinks:
            truth.sqlite_is(everything, os.path.join(t, "mirror.db"))
        if "csv" in self.sinks:
            truth.csv_is(
                self.records,
                lambda a: os.path.join(t, "csv", NAMES[a] + ".csv"),
                first=first,
            )
        if "json" in self.sinks:
            truth.json_is(self.records, os.path.join(t, "records.ndjson"))
        want = [r.sequence for r in self.records]
        for name, p in (("http", self.http), ("tcp", self.tcp)):
            if name in self.sinks and sorted(set(p.sequences())) != want:
                raise Broken("%s: not all records came" % name)
