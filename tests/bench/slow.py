# SPDX-License-Identifier: MIT
"""Clients that send a head byte by byte, each two bytes a second, one after the
other: how long until the last is cut off, and what one good client, a process
of its own, has to wait meanwhile, beside what it waits alone."""

import argparse
import multiprocessing
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["WEIR_BUILD"]
SERVER = os.path.join(BUILD, "tests", "system", "http_server")
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


processes = multiprocessing.get_context("fork")
PACE = 0.5  # seconds from a slow client's byte to its next one


def ask(port, pipe):
    s = socket.create_connection(("127.0.0.1", port))
    took = []
    while not pipe.poll():
        began = time.monotonic()
        s.sendall(ASK)
        if b"200 OK" not in s.recv(4096):
            sys.exit("a good client got no answer")
        took.append(time.monotonic() - began)
        time.sleep(0.002)
    s.close()
    pipe.send(sorted(took)[len(took) * 99 // 100] * 1e6)


class Good:
    def __init__(self, port):
        self.pipe, theirs = processes.Pipe()
        self.process = processes.Process(
            target=ask, args=(port, theirs), daemon=True
        )
        self.process.start()

    def p99(self):
        self.pipe.send("stop")
        out = self.pipe.recv()
        self.process.join()
        return out


def drip(slow, at):
    """The byte at `at` of each head, evenly over PACE seconds."""
    began = time.monotonic()
    for i, s in enumerate(slow):
        wait = began + PACE * i / len(slow) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            s.send(ASK[at:at + 1])
        except OSError:
            pass
    time.sleep(max(0, began + PACE - time.monotonic()))


def cut_off(slow):
    """Takes those out that the server has ended."""
    with selectors.DefaultSelector() as wait:
        for s in slow:
            wait.register(s, selectors.EVENT_READ)
        for key, _ in wait.select(0):
            slow.remove(key.fileobj)
            key.fileobj.close()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--clients", type=int, default=2000)
    o = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        p = subprocess.Popen(
            [SERVER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        port = int(p.stdout.readline().split()[1])
        good = Good(port)
        time.sleep(5)
        before = good.p99()
        good = Good(port)
        slow = [socket.create_connection(("127.0.0.1", port))
                for _ in range(o.clients)]
        began, at = time.monotonic(), 0
        while slow and time.monotonic() - began < 60:
            drip(slow, min(at, len(ASK) - 5))
            at += 1
            cut_off(slow)
        took = time.monotonic() - began
        meanwhile = good.p99()
        p.stdin.close()
        p.wait()
    print(
        "%d slow clients: %d left, the last cut off after %.1f s; a good "
        "client's p99 %.0f us, alone %.0f us"
        % (o.clients, len(slow), took, meanwhile, before)
    )


main()
