# SPDX-License-Identifier: MIT
"""Instructions per record of the append path and of each sink, counted by
callgrind over a small fixed input and compared with guard.txt. No time is in
it, so it can run anywhere at any load.

    guard.py [--renew] [NAME...]

A figure more than its tolerance above the one in guard.txt fails; one as far
below says that the file may be renewed. `make guard-renew` writes the file.
Without valgrind it says so and passes, but for WEIR_TEST_STRICT.

What is counted is all of the process, libraries too, without what it does when
there is nothing to deliver. libc and libcrypto are held to code that every
x86-64 machine has, so that figures of different machines agree.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
)
import pg  # noqa: E402
import run  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
FIGURES = os.path.join(HERE, "guard.txt")
HELPER = os.path.join(run.BUILD or ".", "tests", "bench", "sinks")
RECORDS, FEW, AGGREGATES, BATCH = 4000, 1000, 500, 1000
# How far a figure may rise. How often a socket is ready, and with how much,
# is left to chance.
TOLERANCE = {"http": 0.3, "postgres": 0.2, "tcp": 0.15}
ENV = dict(
    os.environ,
    WEIR_PLUGIN_PATH=":".join(
        os.path.join(run.BUILD or ".", "plugins", p, ".libs")
        for p in run.PLUGINS
    ),
    GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-AVX_Fast_Unaligned"
    "_Load,-ERMS,-AVX512F,-AVX512VL,-EVEX",
    OPENSSL_ia32cap="0:0",
)
HEADER = """\
# Instructions per record, counted by callgrind: see guard.py. `make
# guard-renew` writes this file; look at what changed before it is committed.
"""


class Guard:
    def __init__(self, folder):
        self.folder = folder
        self.store = os.path.join(folder, "store")

    def path(self, name):
        return os.path.join(self.folder, name)

    def call(self, argv):
        p = subprocess.run(
            [str(a) for a in argv], env=ENV, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
        )
        if p.returncode != 0:
            sys.exit("guard: %s: exit code %d\n%s" % (
                argv, p.returncode, p.stderr.decode("utf-8", "replace")))
        return p

    def count(self, *argv):
        """Instructions of a whole run."""
        out = self.path("callgrind")
        self.call([
            "valgrind", "--tool=callgrind", "--callgrind-out-file=" + out,
            "--vgdb=no", *argv,
        ])
        with open(out, encoding="utf-8", errors="replace") as f:
            found = re.search(r"^(?:summary|totals): (\d+)", f.read(), re.M)
        return int(found.group(1))

    def append(self):
        """Without making the records, opening and closing."""
        whole = {}
        for n in (RECORDS, FEW):
            whole[n] = self.count(
                HELPER, "fill", self.path("store-%d" % n), n, AGGREGATES
            ) - self.count(HELPER, "make", "-", n, AGGREGATES)
        return (whole[RECORDS] - whole[FEW]) / (RECORDS - FEW)

    def sink(self, plugin, *options):
        data = ["--data-dir", self.store]
        self.call([
            run.WEIR, "plugin", plugin, "--batch", BATCH, *options, *data
        ])
        deliver = [run.WEIR, "sink", "run", "--once", plugin, *data]
        # the second time there is nothing left
        return (self.count(*deliver) - self.count(*deliver)) / RECORDS

    def json(self):
        return self.sink("json", "--path", self.path("out.json"))

    def csv(self):
        return self.sink("csv", "--output-dir", self.path("csv"))

    def log(self):
        return self.sink("log")

    def sqlite(self):
        return self.sink("sqlite", "--path", self.path("out.db"))

    def peer(self, what, plugin, options):
        p = subprocess.Popen(
            [HELPER, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            return self.sink(plugin, *options(int(p.stdout.readline())))
        finally:
            p.stdin.close()
            p.wait(30)
            p.stdout.close()

    def tcp(self):
        return self.peer("drain", "tcp", lambda port: (
            "--host", "127.0.0.1", "--port", port))

    def http(self):
        return self.peer("http", "http", lambda port: (
            "--endpoint", "http://127.0.0.1:%d/" % port))

    def postgres(self):
        server = pg.Server()
        server.start()
        try:
            return self.sink("postgres", "--connection",
                             server.create_db().uri)
        finally:
            server.stop()


def read_figures():
    figures = {}
    if os.path.exists(FIGURES):
        with open(FIGURES, encoding="utf-8") as f:
            for line in f:
                if line.strip() and not line.startswith("#"):
                    name, value = line.split()
                    figures[name] = int(value)
    return figures


def write_figures(figures):
    with open(FIGURES, "w", encoding="utf-8") as f:
        f.write(HEADER)
        for name in sorted(figures):
            f.write("%s %d\n" % (name, figures[name]))


def missing(name):
    """Why a figure can't be had here, or None."""
    if name != "append" and run.plugin_path(name) is None:
        return "not built"
    if name == "postgres" and pg.find_bin() is None:
        return "no server here"
    return None


def judge(name, value, figures):
    known = figures.get(name)
    if known is None:
        print("%-10s %8d  no figure in guard.txt" % (name, value))
        return False
    ratio = value / known - 1
    tolerance = TOLERANCE.get(name, 0.1)
    verdict = "ok"
    if ratio > tolerance:
        verdict = "MORE than %d %% above" % (tolerance * 100)
    elif ratio < -tolerance:
        verdict = "ok, far below: make guard-renew"
    print("%-10s %8d  %+6.1f %%  %s" % (name, value, ratio * 100, verdict),
          flush=True)
    return ratio <= tolerance


def main():
    p = argparse.ArgumentParser(description="count instructions")
    p.add_argument("--renew", action="store_true")
    p.add_argument("names", nargs="*", metavar="NAME")
    args = p.parse_args()
    strict = bool(os.environ.get("WEIR_TEST_STRICT"))
    if shutil.which("valgrind") is None:
        print("guard: no valgrind here, nothing is counted")
        return 1 if strict else 0
    figures, good = read_figures(), True
    with tempfile.TemporaryDirectory(prefix="weir-guard-") as folder:
        guard = Guard(folder)
        guard.call([HELPER, "fill", guard.store, RECORDS, AGGREGATES])
        for name in args.names or ("append",) + run.PLUGINS:
            why = missing(name)
            if why is not None:
                print("%-10s %s" % (name, why))
                good = good and not strict
                continue
            value = round(getattr(guard, name)())
            if args.renew:
                figures[name] = value
                print("%-10s %8d" % (name, value), flush=True)
            else:
                good = judge(name, value, figures) and good
    if args.renew:
        write_figures(figures)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
