# SPDX-License-Identifier: MIT
"""How fast each sink catches up, beside the barest code that does the same.

    sinks.py [--records N] [--rounds R] [--dir F] [--json FILE]
             [--quick | --full] [SINK...]

One store is made: ten fields a record, some 300 bytes of JSON, 100,000
aggregates drawn at random. Each sink is then configured with batches of 5,000
and `weir sink run --once` is timed from its start to its end; its baseline runs
in the same round. Figures are medians.

    sqlite, postgres    the batched upsert of the same rows, and one
                        autocommitted upsert for each record (a sample)
    csv, json, log      plain writes of as many bytes, synced every 5,000
    tcp                 plain sends of as many bytes to the same peer
    http                a curl multi loop with as many requests under way

Beside them stands the processor time that weir took for a record, opening the
store included: it stays the same when others use the machine.

The JSON file gets a line for each row of the table, as README.md says.
WEIR_BUILD names the build.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
)
import pg  # noqa: E402
import run  # noqa: E402

SINKS = ("json", "csv", "log", "tcp", "http", "sqlite", "postgres")
BATCH = 5000
PARALLEL = 8
HTTP_RECORDS = 50000  # at most: a request each
SAMPLE = 2000  # autocommitted upserts
TARGETS = {
    ("postgres", "batched upsert"): "ratio >= 0.5",
    ("postgres", "upsert each"): "ratio >= 10",
    ("sqlite", "batched upsert"): "ratio >= 0.5",
    ("sqlite", "upsert each"): "ratio >= 5",
    ("csv", "plain write"): "value >= 300000",
    ("json", "plain write"): "value >= 300000",
    ("log", "plain write"): "value >= 300000",
    ("tcp", "plain send"): "value >= 300000",
    ("http", "curl multi loop"): "ratio >= 0.6",
}
HELPER = os.path.join(run.BUILD or ".", "tests", "bench", "sinks")
ENV = dict(
    os.environ,
    WEIR_PLUGIN_PATH=":".join(
        os.path.join(run.BUILD or ".", "plugins", p, ".libs")
        for p in run.PLUGINS
    ),
)
# What a server has when it is not told otherwise.
PG_SETTINGS = ("fsync=on", "shared_buffers=128MB", "max_wal_size=1GB")


def call(argv, **kw):
    p = subprocess.run(
        [str(a) for a in argv], env=ENV, stdin=subprocess.DEVNULL, **kw
    )
    if p.returncode != 0:
        sys.exit("%s: exit code %d" % (argv, p.returncode))
    return p


def bare(*argv):
    return float(call([HELPER, *argv], stdout=subprocess.PIPE).stdout)


class Peer:
    def __init__(self, what):
        self.process = subprocess.Popen(
            [HELPER, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.port = int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Bench:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.mkdtemp(prefix="sinks-", dir=args.folder)
        self.stores = {}
        self.round = 0
        self.rows = []
        self.cpu = []  # microseconds a record, of the sink at hand
        self.server = None

    def close(self):
        if self.server is not None:
            self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def records(self, sink):
        n = self.args.records
        return min(n, HTTP_RECORDS) if sink == "http" else n

    def store(self, n):
        if n not in self.stores:
            self.stores[n] = self.path("store-%d" % n)
            call([HELPER, "fill", self.stores[n], n])
        return self.stores[n]

    def catch_up(self, sink, n, *options):
        """Records per second, and the bytes that went to stderr."""
        store = self.store(n)
        name = "%s%d" % (sink, self.round)
        data = ["--data-dir", store]
        call([
            run.WEIR, "plugin", sink, "--name", name, "--batch", BATCH,
            *options, *data,
        ], stdout=subprocess.DEVNULL)
        err = self.path("stderr")
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(err, "wb") as f:
            begun = time.monotonic()
            call([run.WEIR, "sink", "run", "--once", name, *data],
                 stdout=subprocess.DEVNULL, stderr=f)
            took = time.monotonic() - begun
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu.append(
            (now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime)
            * 1e6 / n
        )
        call([run.WEIR, "sink", "remove", name, "--yes", *data],
             stdout=subprocess.DEVNULL)
        return n / took, os.path.getsize(err)

    # Each returns the sink's figure and {baseline: figure}.

    def json(self, n):
        path = self.path("out.json")
        rate, _ = self.catch_up("json", n, "--path", path)
        size = os.path.getsize(path)
        plain = bare("write", self.path("plain"), n, size // n)
        os.unlink(path)
        os.unlink(path + ".weir-cursor")
        return rate, {"plain write": plain}

    def csv(self, n):
        path = self.path("csv")
        rate, _ = self.catch_up("csv", n, "--output-dir", path)
        size = os.path.getsize(os.path.join(path, "account.csv"))
        plain = bare("write", self.path("plain"), n, size // n)
        shutil.rmtree(path)
        return rate, {"plain write": plain}

    def log(self, n):
        rate, size = self.catch_up("log", n, "--level", "info")
        return rate, {
            "plain write": bare("write", self.path("plain"), n, size // n)
        }

    def tcp(self, n):
        peer = Peer("drain")
        rate, _ = self.catch_up(
            "tcp", n, "--host", "127.0.0.1", "--port", peer.port
        )
        plain = bare("send", peer.port, n, 700)
        peer.close()
        return rate, {"plain send": plain}

    def http(self, n):
        peer = Peer("http")
        rate, _ = self.catch_up(
            "http", n, "--endpoint", "http://127.0.0.1:%d/" % peer.port,
            "--parallel", PARALLEL,
        )
        plain = bare("post", peer.port, n, 700, PARALLEL)
        peer.close()
        return rate, {"curl multi loop": plain}

    def sqlite(self, n):
        names = [self.path("%s.db" % k) for k in ("weir", "bare", "each")]
        rate, _ = self.catch_up("sqlite", n, "--path", names[0])
        found = {
            "batched upsert": bare("sqlite", names[1], n),
            "upsert each": bare("sqlite", names[2], SAMPLE, "each"),
        }
        for name in names:
            for end in ("", "-wal", "-shm"):
                if os.path.exists(name + end):
                    os.unlink(name + end)
        return rate, found

    def postgres(self, n):
        if self.server is None:
            self.server = pg.Server(PG_SETTINGS)
            self.server.start()
        found = {}
        for what, count, more in (
            ("batched upsert", n, []), ("upsert each", SAMPLE, ["each"]),
        ):
            db = self.server.create_db()
            self.server.query("CHECKPOINT")
            found[what] = bare("postgres", db.uri, count, *more)
            db.drop()
        db = self.server.create_db()
        self.server.query("CHECKPOINT")
        rate, _ = self.catch_up("postgres", n, "--connection", db.uri)
        db.drop()
        return rate, found

    def measure(self, sink):
        n = self.records(sink)
        ours, theirs, self.cpu = [], {}, []
        self.store(n)
        for self.round in range(self.args.rounds):
            rate, found = getattr(self, sink)(n)
            ours.append(rate)
            for name, value in found.items():
                theirs.setdefault(name, []).append(value)
        figure = statistics.median(ours)
        for name, values in theirs.items():
            base = statistics.median(values)
            self.show({
                "name": "%s catch-up" % sink, "unit": "records/s",
                "value": figure, "value_min": min(ours),
                "value_max": max(ours), "baseline_name": name,
                "baseline": base, "ratio": figure / base,
                "target": TARGETS[sink, name],
            })
        self.show({
            "name": "%s catch-up, processor time" % sink,
            "unit": "us/record", "value": statistics.median(self.cpu),
            "value_min": min(self.cpu), "value_max": max(self.cpu),
        })

    def show(self, row):
        self.rows.append(row)
        if "baseline" in row:
            print(
                "%-36s %10.0f %10.0f %8.2f"
                % (row["name"] + " / " + row["baseline_name"], row["value"],
                   row["baseline"], row["ratio"]),
                flush=True,
            )
        else:
            print("%-36s %10.2f %s" % (
                row["name"], row["value"], row["unit"]), flush=True)


def main():
    p = argparse.ArgumentParser(description="how fast sinks catch up")
    p.add_argument("--records", type=int)
    p.add_argument("--rounds", type=int)
    p.add_argument("--dir", dest="folder", default=".")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--full", action="store_true")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("sinks", nargs="*", metavar="SINK")
    args = p.parse_args()
    args.records = args.records or (
        20000 if args.quick else 1000000 if args.full else 200000
    )
    args.rounds = args.rounds or (1 if args.quick else 5 if args.full else 3)
    for name in args.sinks:
        if name not in SINKS:
            p.error("there is no sink %s" % name)
    bench = Bench(args)
    print("%-36s %10s %10s %8s" % ("records/s", "weir", "baseline", "ratio"))
    try:
        for sink in args.sinks or SINKS:
            if run.plugin_path(sink) is None:
                print("%-36s not built" % sink)
            elif sink == "postgres" and pg.find_bin() is None:
                print("%-36s no server here" % sink)
            else:
                bench.measure(sink)
    finally:
        bench.close()
    if args.json:
        with open(args.json, "a", encoding="utf-8") as f:
            for row in bench.rows:
                f.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
