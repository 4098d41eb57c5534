# SPDX-License-Identifier: MIT
"""Every call that can fail, fails: the program runs with faultshim.so, which
fails the n-th write, sync, open, rename, mmap, ... on the store or the targets
of its sinks. Whatever happens, the program ends, says why, acknowledges only
what is durable, loses nothing, and the same command run again completes it.

Each case samples its faults by WEIR_SEED; WEIR_TORTURE=1 tries them all."""

import ctypes
import errno
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile

import pytest

import run
import truth

SHIM = os.path.join(run.BUILD, "tests", "crash", ".libs", "faultshim.so")
NAMES = (
    "write", "fdatasync", "fsync", "open", "rename", "mmap", "ftruncate",
    "mkdir", "unlink", "flock", "pread", "room",
)
TORTURE = bool(os.environ.get("WEIR_TORTURE"))
EACH_CASE = 20
SINKS = ("sqlite", "csv", "json")
EVENT_ID = "0190a6f5-0000-7000-8000-%012d"


class Wrong(AssertionError):
    pass


# An index is begun early, and memory holds few heads.
INDEXED = {"WEIR_INDEX_AFTER": "16K", "WEIR_HEADS_MEMORY": "4K"}


def environment():
    env = {k: v for k, v in os.environ.items() if k not in ("WEIR_DATA_DIR",)}
    env["NO_COLOR"] = "1"
    return env


class Place:
    """A folder with a store, the targets of its sinks and an import file. The
    template is copied to the same path before each fault, as sinks keep
    absolute paths."""

    def __init__(self, home):
        self.home = home
        self.root = os.path.join(home, "w")
        self.template = os.path.join(home, "template")
        self.store = os.path.join(self.root, "store")
        self.targets = os.path.join(self.root, "targets")
        self.page = os.path.join(home, "page")
        self.lines = os.path.join(home, "lines.ndjson")
        os.makedirs(self.targets)
        self.sinks = []
        self.parked = 0  # aggregates that must be parked in each sink

    def weir(self, *args, code=0):
        return run.weir(
            *args, data_dir=self.store, check=code, timeout=30,
            env=environment(),
        )

    def keep(self):
        shutil.copytree(self.root, self.template)

    def fresh(self):
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.template, self.root)

    def sink_args(self, name):
        t = self.targets
        return {
            "sqlite": ["plugin", "sqlite", "--path", t + "/mirror.db"],
            "csv": ["plugin", "csv", "--output-dir", t + "/csv"],
            "json": ["plugin", "json", "--path", t + "/records.ndjson"],
        }[name]

    def add_sinks(self):
        for name in SINKS:
            if run.plugin_path(name):
                self.weir(*self.sink_args(name))
                self.sinks.append(name)

    def write_lines(self, n, first=0):
        with open(self.lines, "w", encoding="utf-8") as f:
            for i in range(first, first + n):
                f.write(
                    '{"aggregate_type":"%s","aggregate_id":"id-%d",'
                    '"event_type":"done","event_id":"%s",'
                    '"payload":{"op":%d,"f%d":%s}}\n'
                    % (
                        ("order", "sensor")[i % 2], i % 5, EVENT_ID % i, i,
                        i % 3, ("1.50", '"text"', "null", "true")[i % 4],
                    )
                )

    # ---- one run with a fault ----

    def run_faulty(self, args, fault=None):
        """(exit code, stderr, counts, failed, where)"""
        with open(self.page, "wb") as f:
            f.write(b"\0" * 4096)
        env = environment()
        env["LD_PRELOAD"] = SHIM
        env["WEIR_FAULT_UNDER"] = self.root
        env["WEIR_FAULT_PAGE"] = self.page
        if fault:
            env["WEIR_FAULT"] = fault
        try:
            p = run.run(
                [run.WEIR, *args, "--data-dir", self.store], env=env, timeout=30
            )
        except subprocess.TimeoutExpired:
            raise Wrong("it did not end in 30 s")
        with open(self.page, "rb") as f:
            page = f.read(4096)
        counts = dict(zip(NAMES, struct.unpack_from("=12Q", page)))
        failed, = struct.unpack_from("=Q", page, 96)
        where = page[104:616].split(b"\0")[0].decode()
        return p, counts, failed, where

    # ---- what must hold ----

    def export(self, may_miss=False):
        p = self.weir("export", code=None)
        if p.returncode == 3 and may_miss:
            return ""
        if p.returncode != 0:
            raise Wrong("export: exit %d: %s" % (p.returncode, p.stderr))
        return p.stdout

    def ids(self, export):
        got = [
            json.loads(line)["metadata"]["event_id"]
            for line in export.splitlines()
        ]
        if len(got) != len(set(got)):
            raise Wrong("a record was appended twice")
        return got

    def status(self):
        return json.loads(self.weir("sink", "status", "--json").stdout)

    def resume(self):
        """Asks the sinks that are blocked or wait to go on."""
        for s in self.status():
            if s["next_try_at"]:
                self.weir("sink", "resume", s["name"], "--sink-wait", "0s")

    def heal(self):
        """Lets the sinks catch up."""
        self.resume()
        p = self.weir("sink", "run", "--once", code=None)
        if p.returncode != 0:
            raise Wrong("sink run: exit %d: %s" % (p.returncode, p.stderr))
        for s in self.status():
            if s["parked"] != self.parked or s["lag_records"]:
                raise Wrong("sink %s did not heal: %r" % (s["name"], s))

    def targets_are(self, export):
        recs = truth.records(export)
        everything = truth.fold(recs)
        t = self.targets
        if "sqlite" in self.sinks:
            truth.sqlite_is(everything, t + "/mirror.db")
        if "csv" in self.sinks:
            truth.csv_is(recs, lambda a: "%s/csv/%s.csv" % (t, a))
        if "json" in self.sinks:
            truth.json_is(recs, t + "/records.ndjson")


class Case:
    """args: the command; wants: event_ids that it appends."""

    def __init__(self, place, args, wants=(), after=None, reads=False):
        self.place = place
        self.args = args
        self.wants = list(wants)
        self.after = after
        self.reads = reads
        self.answer = None
        place.keep()
        self.fresh_store = not os.path.exists(place.store)
        self.before = place.export(may_miss=self.fresh_store)

    def one(self, fault):
        """One fault, and all that must hold after it."""
        w = self.place
        w.fresh()
        p, _, failed, where = w.run_faulty(self.args, fault)
        try:
            self.judge(p, failed, where)
        except Exception as e:
            raise Wrong(
                "%s (%s): %s\nexit code %d\nstdout: %s\nstderr: %s"
                % (fault, where, e, p.returncode, p.stdout[-200:], p.stderr)
            ) from e
        return failed

    def judge(self, p, failed, where):
        w = self.place
        if p.returncode not in (0, 1, 2, 3, 4, 6, 7, 8):
            raise Wrong("it crashed, or its exit code has no meaning")
        self.said(p, failed)
        export = w.export(self.fresh_store and p.returncode != 0)
        if not export.startswith(self.before):
            raise Wrong("what was there before is not the same now")
        ids = w.ids(export)
        if p.returncode == 0 and self.reads and p.stdout != self.answer:
            raise Wrong("the answer is another: %s" % p.stdout[-2000:])
        if p.returncode == 0:
            missing = [i for i in self.wants if i not in ids]
            if missing:
                raise Wrong("acknowledged, but lost: %r" % missing)
            spare = where.startswith("spare ")  # nothing was needed of it yet
            if "sync " in where and "/journal" in where and not spare:
                raise Wrong("acknowledged, though the journal is in doubt")
        if export:
            w.weir("check")
        if w.sinks and export:
            w.resume()
        w.weir(*self.args)  # again: completes it
        export = w.export()
        ids = w.ids(export)
        missing = [i for i in self.wants if i not in ids]
        if missing or len(ids) != len(self.before.splitlines()) + len(self.wants):
            raise Wrong("after the second run: %d records" % len(ids))
        w.weir("check")
        if w.sinks:
            w.heal()
        if w.sinks and not w.parked:
            w.targets_are(export)
        if self.after:
            self.after(w)

    def said(self, p, failed):
        if p.returncode == 0 or not failed:
            return
        lines = p.stderr.strip().splitlines()
        if not lines:
            raise Wrong("it failed and said nothing")
        ways = ("weir: ", '{"error":', '{"warning":')
        if not any(l.startswith(ways) and "/" in l for l in lines):
            raise Wrong("it does not say what failed where")

    def faults(self, chance):
        self.place.fresh()
        p, counts, _, _ = self.place.run_faulty(self.args)
        assert p.returncode == 0, p.stderr
        self.answer = p.stdout
        out = []
        for name, n in counts.items():
            number = errno.ENOSPC if name == "room" else errno.EIO
            for way in ("", "+"):  # once, and from then on
                out += [
                    "%s:%d%s:%d" % (name, i, way, number)
                    for i in range(1, n + 1)
                ]
        total = len(out)
        if not TORTURE and total > EACH_CASE:
            out = chance.sample(out, EACH_CASE)
        return out, total

    def sweep(self):
        seed = int(os.environ.get("WEIR_SEED", "0")) or random.SystemRandom().randrange(
            1, 1 << 31
        )
        faults, total = self.faults(random.Random(seed))
        failed = 0
        wrong = []
        for fault in faults:
            try:
                failed += self.one(fault) > 0
            except Wrong as e:
                wrong.append(str(e))
        print(
            "\n%d of %d faults, WEIR_SEED=%d: %d failed a call"
            % (len(faults), total, seed, failed)
        )
        assert not wrong, "%d of %d are wrong (WEIR_SEED=%d):\n\n%s" % (
            len(wrong), len(faults), seed, "\n\n".join(wrong[:50]),
        )
        assert failed * 2 > len(faults)


@pytest.fixture
def place():
    with open(run.WEIR, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("the sanitizers must be the first library loaded")
    home = tempfile.mkdtemp(prefix="weir-faults-")
    yield Place(home)
    shutil.rmtree(home)


APPLY = (
    "aggregate", "apply", "order", "id-1", "paid", "--field", "op:=1",
    "--event-id", EVENT_ID % 900,
)


def test_apply_to_a_fresh_store(place):
    Case(place, APPLY, [EVENT_ID % 900]).sweep()


def test_apply(place):
    place.write_lines(20)
    place.weir("import", place.lines)
    Case(place, APPLY, [EVENT_ID % 900]).sweep()


def test_import_with_sinks(place):
    place.write_lines(10)
    place.weir("import", place.lines)
    place.add_sinks()
    place.write_lines(30, first=10)
    Case(
        place, ["import", place.lines, "--batch", "10"],
        [EVENT_ID % i for i in range(10, 40)],
    ).sweep()


def test_import_with_old_targets(place):
    place.write_lines(10)
    place.add_sinks()
    place.weir("import", place.lines)
    place.weir("sink", "run", "--once")
    with open(place.lines, "w", encoding="utf-8") as f:
        for i in (10, 11, 12):  # a new column in each
            f.write(
                '{"aggregate_type":"order","aggregate_id":"id-%d","event_type":'
                '"grew","event_id":"%s","payload":{"new%d":[1]}}\n'
                % (i % 2, EVENT_ID % i, i)
            )
    Case(
        place, ["import", place.lines], [EVENT_ID % i for i in (10, 11, 12)]
    ).sweep()


def test_parking(place):
    """A value that does not fit parks its aggregate, whatever else fails; a
    later one mends it."""
    if not run.plugin_path("sqlite"):
        pytest.skip("this build has no sqlite sink")
    place.weir(*place.sink_args("sqlite"))
    place.weir(
        "plugin", "map", "--aggregate", "order", "--field", "n",
        "--datatype", "integer",
    )
    with open(place.lines, "w", encoding="utf-8") as f:
        for i in range(12):
            f.write(
                '{"aggregate_type":"order","aggregate_id":"id-%d","event_type":'
                '"done","event_id":"%s","payload":{"n":%s}}\n'
                % (i % 4, EVENT_ID % i, '"abc"' if i % 4 == 1 else str(i))
            )
    place.weir("import", place.lines, "--sink-wait", "0s")
    place.sinks = ["sqlite"]
    place.parked = 1

    def mended(w):
        text = w.weir("sink", "dead-letters", "sqlite", "--json").stdout
        letters = json.loads(text)
        assert [d["aggregate_id"] for d in letters] == ["id-1"], letters
        assert letters[0]["column"] == "n", letters
        w.weir("aggregate", "apply", "order", "id-1", "mended", "--field", "n:=7")
        w.weir("sink", "run", "--once")
        assert w.status()[0]["parked"] == 0
        w.targets_are(w.export())

    Case(place, ["sink", "run", "--once"], after=mended).sweep()


def test_settings(place):
    place.write_lines(5)
    place.weir("import", place.lines)
    place.sinks = ["json"]

    def there(w):
        assert [s["name"] for s in w.status()] == ["json"]

    Case(place, place.sink_args("json"), after=there).sweep()


def test_settings_of_a_fresh_store(place):
    place.sinks = []
    Case(place, place.sink_args("json")).sweep()


def test_sink_run(place):
    place.add_sinks()
    place.write_lines(30)
    place.weir("import", place.lines, "--sink-wait", "0s")
    Case(place, ["sink", "run", "--once"]).sweep()


def test_import_over_segments(place):
    place.write_lines(3)
    place.weir("import", place.lines)
    with open(place.lines, "w", encoding="utf-8") as f:
        for i in range(3, 43):  # 1.6 MB: the first segment ends
            f.write(
                '{"aggregate_type":"order","aggregate_id":"id-%d","event_type":'
                '"big","event_id":"%s","payload":"%s"}\n'
                % (i % 3, EVENT_ID % i, "x" * 40000)
            )
    Case(
        place, ["import", place.lines, "--batch", "4"],
        [EVENT_ID % i for i in range(3, 43)],
    ).sweep()


def test_import_with_an_index(place, monkeypatch):
    """LMDB's calls fail, too: whatever becomes of the index, nothing of the
    journal is lost, and the next command goes on."""
    for name, value in INDEXED.items():
        monkeypatch.setenv(name, value)
    place.write_lines(200)
    place.weir("import", place.lines)
    place.weir("reindex")
    assert os.listdir(os.path.join(place.store, "index"))
    place.write_lines(200, first=200)
    Case(
        place, ["import", place.lines, "--batch", "40"],
        [EVENT_ID % i for i in range(200, 400)],
    ).sweep()


def test_reindex(place):
    place.write_lines(200)
    place.weir("import", place.lines)

    def there(w):
        assert os.listdir(os.path.join(w.store, "index"))

    Case(place, ["reindex"], after=there).sweep()


def test_replay(place):
    place.add_sinks()
    place.write_lines(20)
    place.weir("import", place.lines)
    place.weir("sink", "run", "--once")
    Case(place, ["sink", "replay", "json"]).sweep()


@pytest.mark.parametrize(
    "args",
    (
        ["check"],
        ["export"],
        ["tail"],
        ["aggregate", "get", "order", "id-0"],
        ["aggregate", "list"],
        ["aggregate", "verify", "order", "id-0"],
        ["sink", "status", "--json"],
    ),
    ids=lambda args: "-".join(args[:2]),
)
def test_reads(place, args):
    """A command that reads says the same as ever, or fails."""
    place.write_lines(30)
    place.add_sinks()
    place.weir("import", place.lines)
    place.weir("sink", "run", "--once")
    Case(place, args, reads=True).sweep()
