# SPDX-License-Identifier: MIT
"""What an idle connection costs: memory of the server with none and with many,
each of which has had one answer. The kernel's own memory is not counted."""

import argparse
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time

BUILD = os.environ["WEIR_BUILD"]
SERVER = os.path.join(BUILD, "tests", "system", "http_server")
ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def rss(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--connections", type=int, default=10000)
    a.add_argument("--most", type=int, default=24 << 10)
    o = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        p = subprocess.Popen(
            [SERVER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )
        port = int(p.stdout.readline().split()[1])
        before = rss(p.pid)
        open_ones = []
        for _ in range(o.connections):
            s = socket.create_connection(("127.0.0.1", port))
            s.sendall(ASK)
            if b"200 OK" not in s.recv(4096):
                sys.exit("connection %d got no answer" % len(open_ones))
            open_ones.append(s)
        after = rss(p.pid)
        time.sleep(2)  # so that some are looked at in their idleness
        for s in open_ones:
            s.sendall(ASK)
            if b"200 OK" not in s.recv(4096):
                sys.exit("an idle connection was lost")
        again = rss(p.pid)
        p.stdin.close()
        p.wait()
    each = max(after, again) - before
    each //= o.connections
    print(
        "%d idle connections: %d bytes each (%.1f MB, then %.1f MB)"
        % (o.connections, each, before / 1e6, max(after, again) / 1e6)
    )
    sys.exit(each > o.most)


main()
