# SPDX-License-Identifier: MIT
"""Clients that send a head byte by byte: how long until the last is cut off,
and what one good client has to wait meanwhile, beside what it waits alone."""

import argparse
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD = os.environ["WEIR_BUILD"]
SERVER = os.path.join(BUILD, "tests", "system", "http_server")
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Good(threading.Thread):
    def __init__(self, port):
        super().__init__()
        self.port, self.stop, self.took = port, False, []

    def run(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        while not self.stop:
            began = time.monotonic()
            s.sendall(ASK)
            if b"200 OK" not in s.recv(4096):
                sys.exit("a good client got no answer")
            self.took.append(time.monotonic() - began)
            time.sleep(0.002)
        s.close()

    def p99(self):
        return sorted(self.took)[len(self.took) * 99 // 100] * 1e6


def alone(port, seconds):
    g = Good(port)
    g.start()
    time.sleep(seconds)
    g.stop = True
    g.join()
    return g.p99()


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
        before = alone(port, 5)
        wait = selectors.DefaultSelector()
        slow = [socket.create_connection(("127.0.0.1", port))
                for _ in range(o.clients)]
        for s in slow:
            wait.register(s, selectors.EVENT_READ)
        good = Good(port)
        good.start()
        began, at, left = time.monotonic(), 0, o.clients
        while left > 0 and time.monotonic() - began < 60:
            if at < len(ASK) - 2:
                for key in list(wait.get_map().values()):
                    try:
                        key.fileobj.send(ASK[at:at + 1])
                    except OSError:
                        pass
                at += 1
            end = time.monotonic() + 0.5
            while time.monotonic() < end and left > 0:
                for key, _ in wait.select(0.1):
                    wait.unregister(key.fileobj)
                    key.fileobj.close()
                    left -= 1
        took = time.monotonic() - began
        good.stop = True
        good.join()
        p.stdin.close()
        p.wait()
    print(
        "%d slow clients: %d left, the last cut off after %.1f s; a good "
        "client's p99 %.0f us, alone %.0f us"
        % (o.clients, left, took, good.p99(), before)
    )


main()
