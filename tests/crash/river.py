# SPDX-License-Identifier: MIT
"""The store of world.py with every part in a process of its own: writers that
come and go, a supervisor with a runner for each of six sinks, readers that
follow, and waiters. Any of them is killed at any time; the others go on. The
index is brought on early, and memory holds few heads: a writer's indexer is at
work when it is killed."""

import collections
import fcntl
import json
import os
import signal
import subprocess
import threading
import time

import peer
import run
import truth
import world
from world import Broken

WAIT = 120  # bounds, not delays
EARLY = {"WEIR_INDEX_AFTER": "16K", "WEIR_HEADS_MEMORY": "4K"}


def wait_for(what, why):
    until = time.monotonic() + WAIT
    while not what():
        if time.monotonic() > until:
            raise Broken("did not come true in time: " + why)
        time.sleep(0.01)


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def is_locked(path):
    with open(path) as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Reader:
    """weir tail --follow, and what it has shown in all its lives."""

    def __init__(self, river, number):
        self.river = river
        self.path = os.path.join(river.folder, "tail-%d" % number)
        self.kept = []  # lines of earlier lives
        self.process = None

    def start(self):
        with open(self.path, "wb") as out, open(self.path + ".err", "wb") as err:
            self.process = subprocess.Popen(
                [
                    run.WEIR, "tail", "--follow", "--from",
                    str(len(self.kept) + 1), "--data-dir", self.river.store,
                ],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )

    def lines(self):
        """Whole lines; the last may be cut by the kill."""
        with open(self.path, encoding="utf-8") as f:
            return f.read().split("\n")[:-1]

    def end(self, sig=signal.SIGKILL):
        code = self.process.poll()
        if code is None:
            self.process.send_signal(sig)
            code = self.process.wait(WAIT)
        if code not in (-signal.SIGKILL, 130):
            with open(self.path + ".err") as f:
                raise Broken("tail: exit code %d: %s" % (code, f.read()))
        self.kept += self.lines()
        self.process = None

    def compare(self, records):
        """It has shown every record once, in order, and nothing else."""
        for n, line in enumerate(self.kept, 1):
            seen = truth.members(line)
            if int(seen["sequence"]) != n:
                raise Broken("tail shows %s as line %d" % (seen["sequence"], n))
            if n > len(records):
                raise Broken("tail showed sequence %d, which is lost" % n)
            if seen["hash"] != records[n - 1].members["hash"]:
                raise Broken("tail showed another record %d" % n)


class River(world.World):
    def __init__(self, seed, tally, db, victims):
        super().__init__(seed, tally, db)
        self.victims = victims  # a Counter
        self.supervisor = None
        self.readers = []
        self.waiters = 0
        self.http = peer.Http()
        self.tcp = peer.Tcp(lambda n, record: True)

    def close(self):
        self.end_all()
        self.http.close()
        self.tcp.close()
        super().close()

    def end_all(self):
        if self.supervisor is not None:
            self.supervisor.kill()
            self.supervisor.wait(WAIT)
            self.supervisor = None
        for r in self.readers:
            if r.process is not None:
                r.process.kill()
                r.process.wait(WAIT)

    def begin(self):
        os.environ.update(EARLY)  # of every process from here on
        self.append(spare=True)
        self.configure_sinks()
        for name, options in (
            ("http", ["--endpoint", self.http.url]),
            ("tcp", ["--host", "127.0.0.1", "--port", str(self.tcp.port),
                     "--ack", "line"]),
            ("postgres", self.db and ["--connection", self.db.uri, "--history"]),
        ):
            if options and run.plugin_path(name):
                self.weir("plugin", name, *options)
                self.sinks = list(dict.fromkeys(self.sinks + [name]))
        self.start_supervisor()
        for n in range(2):
            self.readers.append(Reader(self, n))
            self.readers[n].start()

    # ---- the supervisor and its runners ----

    def start_supervisor(self):
        """Often with the shim, which kills one of its runners (or itself) at
        a call counted over all of them."""
        env = dict(os.environ)
        r = self.random
        if r.random() < 0.7:
            env["LD_PRELOAD"] = os.path.join(
                run.BUILD, "tests", "crash", ".libs", "shim.so"
            )
            page = os.path.join(self.folder, "page-of-runners")
            with open(page, "wb") as f:
                f.write(b"\0" * 4096)
            env["WEIR_CRASH_PAGE"] = page
            env["WEIR_CRASH_AT"] = str(r.randint(1, 600))
            env["WEIR_CRASH_HOW"] = r.choice(("before", "part", "after"))
            asan = env.get("ASAN_OPTIONS", "")
            env["ASAN_OPTIONS"] = asan + ":verify_asan_link_order=0"
        self.said = os.path.join(self.folder, "supervisor.err")
        with open(self.said, "ab") as err:
            self.supervisor = subprocess.Popen(
                [run.WEIR, "sink", "run", "--data-dir", self.store],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=err, env=env,
            )

    def runners(self):
        pid = self.supervisor.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                return [int(p) for p in f.read().split()]
        except OSError:
            return []

    def gone(self, pids):
        """After the supervisor's end: no child, no lock. They end with it,
        but a moment later."""
        wait_for(lambda: not any(map(is_running, pids)), "runners end")
        for name in self.sinks:
            lock = os.path.join(self.store, "sinks", name, "lock")
            wait_for(
                lambda: not os.path.exists(lock) or not is_locked(lock),
                "the lock of sink %s is free" % name,
            )

    def supervisor_ended(self):
        """The shim may have found the supervisor itself."""
        code = self.supervisor.poll()
        if code is None:
            return False
        if code != -signal.SIGKILL:
            with open(self.said, errors="replace") as f:
                raise Broken("supervisor: exit %d: %s" % (code, f.read()[-4000:]))
        return True

    # ---- kills ----

    def beside(self, kill):
        """Appends while kill is called at some time."""
        timer = threading.Timer(self.random.uniform(0, 0.15), kill)
        timer.start()
        try:
            self.append(spare=True)
        finally:
            timer.join()

    def kill_writer(self):
        what = self.random.choice((self.append, self.append, self.import_))
        return what()

    def kill_runner(self):
        found = []

        def kill():
            pids = self.runners()
            if pids:
                found.append(self.random.choice(pids))
                try:
                    os.kill(found[0], signal.SIGKILL)
                except ProcessLookupError:
                    found.clear()

        self.beside(kill)
        if not found:
            # all wait for their back-off: begin anew
            self.weir("sink", "resume", *self.sinks, "--sink-wait", "0s")
        return bool(found)

    def kill_supervisor(self):
        pids = []

        def kill():
            pids.extend(self.runners())
            self.supervisor.kill()

        self.beside(kill)
        self.supervisor.wait(WAIT)
        self.gone(pids)
        self.start_supervisor()
        return True

    def kill_reader(self):
        reader = self.random.choice(self.readers)
        before = self.names()
        self.beside(reader.end)
        left = self.names() - before
        if left:
            raise Broken("a reader left %r behind" % left)
        reader.start()
        return True

    def kill_waiter(self):
        """A command that waits for the runners' cursors."""
        self.waiters += 1
        p = subprocess.Popen(
            [
                run.WEIR, "aggregate", "apply", "sensor", "id-1", "waited",
                "--field", "op=w%d" % self.waiters, "--require-sinks",
                "--sink-wait", "60s", "--data-dir", self.store,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            p.wait(self.random.uniform(0, 0.2))
        except subprocess.TimeoutExpired:
            p.kill()
        self.last_ack_sequence = 0
        return p.wait(WAIT) == -signal.SIGKILL

    def names(self):
        return set(os.listdir(self.store))

    def round(self):
        """One kill; False when the victim ended first."""
        name, kill = self.random.choices(
            (
                ("writer", self.kill_writer), ("runner", self.kill_runner),
                ("supervisor", self.kill_supervisor),
                ("reader", self.kill_reader), ("waiter", self.kill_waiter),
            ),
            (30, 35, 10, 15, 10),
        )[0]
        killed = kill()
        if self.supervisor_ended():
            self.gone([])
            self.start_supervisor()
        self.victims[name] += bool(killed)
        return killed

    # ---- the end ----

    def status(self):
        return json.loads(self.weir("sink", "status", "--json").stdout)

    def caught_up(self):
        if self.supervisor_ended():
            self.start_supervisor()
        behind = [
            s for s in self.status()
            if s["cursor"] < len(self.records)
        ]
        return not behind

    def verify_river(self):
        """Everything goes on by itself to its end, and all mirrors are as they
        have to be."""
        self.verify()
        if len(self.records) > 400 and not any(
            name.endswith(".mdb")
            for name in os.listdir(os.path.join(self.store, "index"))
        ):
            raise Broken("no index beside %d records" % len(self.records))
        for r in self.readers:
            wait_for(
                lambda: len(r.kept) + len(r.lines()) >= len(self.records),
                "a reader follows",
            )
            r.end(signal.SIGTERM)
            r.compare(self.records)
            r.start()
        # back-offs of the kills are forgotten
        self.weir("sink", "resume", *self.sinks, "--sink-wait", "0s")
        wait_for(self.caught_up, "the sinks catch up")
        pids = self.runners()
        self.supervisor.send_signal(signal.SIGTERM)
        self.supervisor.wait(WAIT)
        if not self.supervisor_ended_well():
            raise Broken("the supervisor did not end well")
        self.gone(pids)
        self.compare_mirrors()
        if "postgres" in self.sinks:
            truth.history_is(self.records, self.db)
        self.compare_peer("http", self.http.sequences())
        self.compare_peer("tcp", self.tcp.sequences())
        self.start_supervisor()

    def supervisor_ended_well(self):
        # the shim may have been quicker
        return self.supervisor.returncode in (0, -signal.SIGKILL)

    def compare_peer(self, name, sequences):
        """All came, first in the order of their aggregate; some came again."""
        if name not in self.sinks:
            return
        firsts = list(dict.fromkeys(sequences))
        if sorted(firsts) != list(range(1, len(self.records) + 1)):
            raise Broken("%s: %d of %d records came" % (
                name, len(firsts), len(self.records)))
        last = collections.Counter()
        for n in firsts:
            r = self.records[n - 1]
            if r.version != last[r.type, r.id] + 1:
                raise Broken("%s: sequence %d came out of order" % (name, n))
            last[r.type, r.id] = r.version
