# SPDX-License-Identifier: MIT
"""One store that is killed again and again, and the oracle that knows what must
be in it. The oracle lives in the parent, which is never killed: it keeps what
children said was acknowledged and what earlier exports showed.

Children are killed by SIGKILL in one of two ways, both chosen from the seed:
the preloaded shim.c kills at the n-th write, sync, truncation, rename or send
(before it, half way through, or after it); or the parent kills after a random
time. The page that children share with the parent (page.h) tells where the
kill landed.
"""

import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time

import run
import truth

JOURNAL, TARGET, SINK, SOCKET = 1, 2, 3, 4
TYPES = ("account", "Order line", "sensor")
FILE_NAMES = {"account": "account", "Order line": "order_line", "sensor": "sensor"}


class Broken(AssertionError):
    pass


class Tally:
    """How many kills there were, and where they landed."""

    def __init__(self):
        self.kills = 0
        self.in_append = 0
        self.in_batch = 0
        self.acks = 0
        self.records = 0
        self.parked = 0

    def __str__(self):
        return (
            "%d kills: %d inside an append, %d inside a batch, %d elsewhere; "
            "%d acknowledged commits, %d records; %d parked by a kill"
            % (
                self.kills, self.in_append, self.in_batch,
                self.kills - self.in_append - self.in_batch,
                self.acks, self.records, self.parked,
            )
        )


class World:
    def __init__(self, seed, tally, db=None):
        self.seed = seed
        self.random = random.Random(seed)
        self.tally = tally
        self.db = db
        self.folder = tempfile.mkdtemp(prefix="weir-crash-")
        self.store = os.path.join(self.folder, "store")
        self.targets = os.path.join(self.folder, "targets")
        self.page_path = os.path.join(self.folder, "page")
        os.mkdir(self.targets)
        with open(self.page_path, "wb") as f:
            f.write(b"\0" * 4096)
        with open(self.page_path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)
        self.next_op = 0
        self.acked = {}  # op -> [(sequence, version)]
        self.refused = set()
        self.doubts = []  # to be sent again: they carry event_ids
        self.last_ack_sequence = 0
        self.export = ""
        self.imports = 0
        self.importing = None  # (path, tokens) of an import not yet done
        self.imported = []  # tokens of each import, complete or not
        self.usual = {"append": 0.1, "import": 0.1, "sink": 0.2}
        self.sinks = []

    def close(self):
        self.page.close()
        shutil.rmtree(self.folder)

    # ---- children ----

    def weir(self, *args, check=0, timeout=120):
        return run.weir(
            *args, data_dir=self.store, check=check, timeout=timeout
        )

    def configure_sinks(self):
        t = self.targets
        for name, options in (
            ("sqlite", ["--path", os.path.join(t, "mirror.db")]),
            ("csv", ["--output-dir", os.path.join(t, "csv")]),
            ("json", ["--path", os.path.join(t, "records.ndjson")]),
            ("postgres", ["--connection", self.db.uri] if self.db else None),
        ):
            if options is not None and run.plugin_path(name):
                self.weir("plugin", name, *options)
                self.sinks.append(name)

    def _page(self):
        calls, now, killed, append = struct.unpack_from("=QIII", self.page, 0)
        return now, killed, append

    def child(self, kind, argv, spare=False):
        """Runs a child to its death. True when it was killed, False when it
        ended by itself first; spare leaves it alone."""
        r = self.random
        self.page[0:4096] = b"\0" * 4096
        env = dict(os.environ, WEIR_CRASH_PAGE=self.page_path)
        env["LD_PRELOAD"] = os.path.join(
            run.BUILD, "tests", "crash", ".libs", "shim.so"
        )
        asan = env.get("ASAN_OPTIONS", "")
        env["ASAN_OPTIONS"] = asan + ":verify_asan_link_order=0"
        delay = None
        if spare:
            pass
        elif r.random() < 0.7:
            most = {"append": 120, "import": 60, "sink": 150}[kind]
            env["WEIR_CRASH_AT"] = str(r.randint(1, r.randint(1, most)))
            env["WEIR_CRASH_HOW"] = r.choice(("before", "part", "after"))
        else:
            delay = r.uniform(0, self.usual[kind])
        out = os.path.join(self.folder, "out")
        begun = time.monotonic()
        with open(out, "wb") as stdout, open(out + ".err", "wb") as stderr:
            p = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env=env,
            )
            try:
                p.wait(60 if delay is None else delay)
            except subprocess.TimeoutExpired:
                if delay is None:
                    p.kill()
                    p.wait()
                    raise Broken("%s did not end in 60 s" % argv)
                p.send_signal(signal.SIGKILL)
                p.wait()
        if p.returncode == -signal.SIGKILL:
            self._count(kind)
            return True
        self.usual[kind] = (self.usual[kind] + time.monotonic() - begun) / 2
        if p.returncode != 0:
            with open(out + ".err", errors="replace") as f:
                raise Broken(
                    "%s: exit code %d: %s" % (argv, p.returncode, f.read())
                )
        return False

    def _count(self, kind):
        now, killed, append = self._page()
        place = killed or now
        self.tally.kills += 1
        if append or (kind == "import" and place == JOURNAL):
            self.tally.in_append += 1
        elif kind != "append" and place in (TARGET, SINK, SOCKET):
            self.tally.in_batch += 1

    # ---- what a child may do ----

    def append(self, spare=False):
        """Runs the appender, often with threads. Operations that were under
        way at the kill are sent again when their records carry event_ids of
        their own."""
        appender = os.path.join(run.BUILD, "tests", "crash", "appender")
        threads = self.random.choice((1, 1, 4, 24))
        killed = self.child(
            "append",
            [
                appender, self.store, "s%d" % self.seed, str(self.next_op), "40",
                str(threads), *map(str, self.doubts),
            ],
            spare,
        )
        begun = {}
        with open(os.path.join(self.folder, "out")) as f:
            lines = f.read().split("\n")
        for line in lines[:-1]:
            word = line.split(" ")
            op = int(word[1]) if len(word) > 1 else None
            if word[0] == "begin":
                begun[op] = word[3] == "1"
                self.next_op = max(self.next_op, op + 1)
            elif word[0] == "ack":
                self._acked(op, word[2:], threads == 1)
                del begun[op]
            elif word[0] == "refused":
                self.refused.add(op)
                del begun[op]
        done = set(self.acked) | self.refused
        again = set(self.doubts) | {op for op, ids in begun.items() if ids}
        self.doubts = sorted(again - done)
        return killed

    def _acked(self, op, pairs, ordered):
        pairs = [tuple(map(int, p.split(":"))) for p in pairs]
        first = pairs[0][0]
        if [s for s, _ in pairs] != list(range(first, first + len(pairs))):
            raise Broken("op %d has scattered sequences: %r" % (op, pairs))
        if ordered and first <= self.last_ack_sequence and op not in self.doubts:
            raise Broken("op %d is out of order: %r" % (op, pairs))
        self.last_ack_sequence = max(self.last_ack_sequence, pairs[-1][0])
        self.acked[op] = pairs
        self.tally.acks += 1

    def _new_import(self):
        r = self.random
        self.imports += 1
        path = os.path.join(self.folder, "import-%d.ndjson" % self.imports)
        tokens = []
        with open(path, "w", encoding="utf-8") as f:
            for i in range(r.randint(50, 400)):
                token = "i%d-%d" % (self.imports, i)
                tokens.append(token)
                f.write(
                    '{"aggregate_type":"%s","aggregate_id":"id-%d",'
                    '"event_type":"imported","payload":{"op":"%s","f%d":%s}}\n'
                    % (
                        r.choice(TYPES), r.randint(0, 24), token,
                        r.randint(0, 8),
                        r.choice(("1.50", "\"text\"", "null", "[1, 2]", "true")),
                    )
                )
        self.importing = (path, tokens)
        self.imported.append(tokens)

    def import_(self):
        """Imports a file; after a kill the same file again, until it is in."""
        if self.importing is None:
            self._new_import()
        path, tokens = self.importing
        killed = self.child(
            "import",
            [
                run.WEIR, "import", "--data-dir", self.store, "--batch", "20",
                "--sink-wait", self.random.choice(("0s", "1s")), path,
            ],
        )
        if not killed:
            self.importing = None
            self.last_ack_sequence = 0  # other records may come in between
            seen = self._verify()
            missing = [t for t in tokens if t not in seen]
            if missing:
                raise Broken("import ended well, but lost %r" % missing[:5])
        return killed

    def deliver(self):
        names = list(self.sinks)
        self.random.shuffle(names)
        names = names[: self.random.randint(1, len(names))]
        return self.child(
            "sink",
            [run.WEIR, "sink", "run", "--once", "--data-dir", self.store, *names],
        )

    # ---- the oracle ----

    def _verify(self):
        """Exports and checks; returns token -> record."""
        if not self.acked and not os.path.exists(os.path.join(self.store, "STORE")):
            self.records = []  # the first kill came before there was a store
            return {}
        self.weir("check")
        export = self.weir("export").stdout
        if not export.startswith(self.export):
            raise Broken("records that were there before are not the same now")
        self.export = export
        self.records = truth.records(export)
        tokens = {}
        for n, r in enumerate(self.records, 1):
            token = truth.members(r.payload)["op"].strip('"')
            if token in tokens:
                raise Broken("%s was appended twice" % token)
            if r.sequence != n:
                raise Broken("sequence %d stands at %d" % (r.sequence, n))
            tokens[token] = r
        self._verify_acks()
        self._verify_whole(tokens)
        for file in self.imported:
            got = [tokens[t].sequence for t in file if t in tokens]
            if got != sorted(got) or any(t not in tokens for t in file[: len(got)]):
                raise Broken("an import's lines are not in order")
        return tokens

    def _verify_acks(self):
        for op, pairs in self.acked.items():
            for i, (sequence, version) in enumerate(pairs):
                if sequence > len(self.records):
                    raise Broken("op %d was acknowledged and is lost" % op)
                r = self.records[sequence - 1]
                token = '"s%d-%d-%d"' % (self.seed, op, i)
                if truth.members(r.payload)["op"] != token or r.version != version:
                    raise Broken("op %d: sequence %d is another" % (op, sequence))

    def _verify_whole(self, tokens):
        """A commit is there with all of its records or with none, and its
        records follow each other."""
        ops = {}
        for token, r in tokens.items():
            if token.startswith("s"):
                op = token.rsplit("-", 1)
                ops.setdefault(op[0], []).append((int(op[1]), r.sequence))
        for op, parts in ops.items():
            number = int(op.rsplit("-", 1)[1])
            n = len(parts)
            first = parts[0][1]
            if parts != [(i, first + i) for i in range(n)]:
                raise Broken("commit %s is torn: %r" % (op, parts))
            if number in self.refused:
                raise Broken("commit %s was refused and is there" % op)
            if number in self.acked and len(self.acked[number]) != n:
                raise Broken("commit %s has %d records" % (op, n))

    def verify(self):
        self._verify()

    def verify_sinks(self):
        """Lets the sinks catch up, then every mirror equals the fold."""
        self.weir("sink", "run", "--once")
        self.verify()
        self.compare_mirrors()

    def compare_mirrors(self):
        everything = truth.fold(self.records)
        t = self.targets
        if "sqlite" in self.sinks:
            truth.sqlite_is(everything, os.path.join(t, "mirror.db"))
        if "postgres" in self.sinks:
            truth.postgres_is(everything, self.db)
        if "csv" in self.sinks:
            truth.csv_is(
                self.records,
                lambda a: os.path.join(t, "csv", FILE_NAMES[a] + ".csv"),
            )
        if "json" in self.sinks:
            truth.json_is(self.records, os.path.join(t, "records.ndjson"))
