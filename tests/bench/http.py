# SPDX-License-Identifier: MIT
"""POST /v1/events, each durable when it is answered, beside a bare
libmicrohttpd with as many threads that answers the same bytes and stores
nothing. The two take turns; requests/s, times of an answer, and the server's
CPU for each request."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

BUILD = os.environ["WEIR_BUILD"]
LOAD = os.path.join(BUILD, "tests", "bench", "http")
SERVER = os.path.join(BUILD, "tests", "system", "http_server")


class Side:
    def __init__(self, name, argv, token="none"):
        self.name = name
        self.p = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        first = self.p.stdout.readline()
        if not first.startswith("port "):
            sys.exit("%s: %s" % (name, first))
        self.port = first.split()[1]
        self.token = token
        self.rates, self.cpu = [], []

    def ticks(self):
        with open("/proc/%d/stat" % self.p.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def run(self, connections, seconds):
        before = self.ticks()
        out = subprocess.run(
            [LOAD, "load", "127.0.0.1", self.port, str(connections),
             str(seconds), self.token],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.strip()
        rate = float(out.split()[0])
        used = (self.ticks() - before) / os.sysconf("SC_CLK_TCK")
        self.rates.append(rate)
        self.cpu.append(used * 1e6 / (rate * seconds))
        print("%-5s %s, %.1f us CPU" % (self.name, out, self.cpu[-1]))

    def end(self):
        self.p.stdin.close()
        self.p.wait()


def make_token(folder):
    body = '{"group":"bench","user":"bench"}'
    out = subprocess.run(
        ["curl", "-sS", "--unix-socket", os.path.join(folder, "weir.sock"),
         "-H", "Content-Type: application/json", "-d", body,
         "http://localhost/v1/tokens"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    return re.search(r'"token":"([^"]+)"', out).group(1)


def take_answer(weir, folder):
    """An answer to an event like those of the load, for bare to give."""
    path = os.path.join(folder, "answer")
    event = {
        "aggregate_type": "account", "aggregate_id": "account-12-345",
        "event_type": "deposited",
        "payload": {
            "amount": "100000.00", "currency": "EUR",
            "note": "a note of some length, as they are in the life of an "
                    "account",
        },
    }
    subprocess.run(
        ["curl", "-sSf", "-i", "-o", path,
         "-H", "Authorization: Bearer " + weir.token,
         "-H", "Content-Type: application/json", "-d", json.dumps(event),
         "http://127.0.0.1:%s/v1/events" % weir.port],
        check=True,
    )
    return path


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--connections", type=int, default=64)
    a.add_argument("--seconds", type=float, default=5)
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--dir", help="where the store stands: which disk")
    o = a.parse_args()
    with tempfile.TemporaryDirectory(dir=o.dir) as folder:
        with open(os.path.join(folder, "weir.conf"), "w") as f:
            f.write("http_threads = %d\n" % o.threads)
        weir = Side("weir", [SERVER, folder])
        weir.token = make_token(folder)
        answer = take_answer(weir, folder)
        bare = Side("bare", [LOAD, "bare", str(o.threads), answer])
        for _ in range(o.rounds):
            bare.run(o.connections, o.seconds)
            weir.run(o.connections, o.seconds)
        bare.end()
        weir.end()
    ratios = [w / b for w, b in zip(weir.rates, bare.rates, strict=True)]
    print(
        "weir does %.0f %% of bare requests/s (median of %d rounds, %.0f to "
        "%.0f)"
        % (
            100 * statistics.median(ratios), o.rounds, 100 * min(ratios),
            100 * max(ratios),
        )
    )


main()
