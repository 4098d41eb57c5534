# SPDX-License-Identifier: MIT
"""A running server: `weir start --foreground` on ports that are free, and the
requests that tests send it."""

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time
import uuid

import run

PATIENCE = 60  # a bound, not a delay


class Http(http.client.HTTPConnection):
    """A kept connection. address: (host, port), or the path of a socket."""

    def __init__(self, address, token=None, timeout=PATIENCE):
        super().__init__("127.0.0.1", timeout=timeout)
        self.address = address
        self.token = token

    def connect(self):
        self.sock = connect(self.address, self.timeout)

    def ask(self, method, target, body=None, headers=None, check=None):
        """(status, fields, body as bytes)."""
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            if not isinstance(body, bytes):
                body = json.dumps(body).encode()
        self.request(method, target, body, headers)
        r = self.getresponse()
        text = r.read()
        if check is not None and r.status != check:
            raise AssertionError(
                "%s %s: %d, not %d: %r" % (method, target, r.status, check, text)
            )
        return r.status, r.headers, text


def connect(address, timeout=PATIENCE):
    if isinstance(address, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(address)
    else:
        s = socket.create_connection(address, timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def event(aggregate, n, **more):
    """A draft with an event_id of its own."""
    return dict(
        aggregate_type="load", aggregate_id=aggregate, event_type="put",
        payload={"n": n}, event_id=str(uuid.uuid4()), **more
    )


class Server:
    def __init__(self, folder, *options):
        self.dir = os.path.join(str(folder), "store")
        self.options = options
        self.said = os.path.join(str(folder), "server.err")
        self.process = None
        self.token = None

    def start(self, env=None):
        """Until it is ready; False when it ended before."""
        with open(self.said, "ab") as err:
            self.process = subprocess.Popen(
                [
                    run.WEIR, "start", "--foreground", "--json", "--port", "0",
                    "--text-port", "0", "--data-dir", self.dir, *self.options,
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                env=env,
            )
        line = self._first_line()
        if not line:
            self.process.stdout.close()
            self.process.wait(PATIENCE)
            return False
        ready = json.loads(line)
        self.http = _address(ready["http"])
        self.text = _address(ready["text"])
        self.local = os.path.join(self.dir, "weir.sock")
        return True

    def _first_line(self):
        fd, line = self.process.stdout.fileno(), b""
        until = time.monotonic() + PATIENCE
        while not line.endswith(b"\n"):
            if not select.select([fd], [], [], until - time.monotonic())[0]:
                raise AssertionError("the server is not ready: " + self.words())
            more = os.read(fd, 4096)
            if not more:
                return b""
            line += more
        return line

    def words(self):
        """What it printed."""
        with open(self.said, errors="replace") as f:
            return f.read()[-4000:]

    def make_token(self, **more):
        """Kept for ask and Http of the TCP port."""
        status, _, text = self.ask(
            "POST", "/v1/tokens", {"group": "tests", "user": "load", **more},
            local=True, check=201,
        )
        self.token = json.loads(text)["token"]
        return self.token

    def connection(self, local=False, timeout=PATIENCE):
        if local:
            return Http(self.local, None, timeout)
        return Http(self.http, self.token, timeout)

    def ask(self, *args, local=False, **kw):
        c = self.connection(local)
        try:
            return c.ask(*args, **kw)
        finally:
            c.close()

    def pid(self):
        return self.process.pid

    def children(self):
        """Its sinks' processes."""
        found = []
        try:
            for task in os.listdir("/proc/%d/task" % self.pid()):
                path = "/proc/%d/task/%s/children" % (self.pid(), task)
                with open(path) as f:
                    found += map(int, f.read().split())
        except OSError:
            pass
        return found

    def kill(self):
        self.process.kill()
        return self.ended()

    def ended(self):
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def stop(self, check=0):
        self.process.send_signal(signal.SIGTERM)
        code = self.ended()
        if code != check:
            raise AssertionError("exit code %d: %s" % (code, self.words()))

    def end(self):
        """In whatever state it is."""
        if self.process is not None and self.process.returncode is None:
            self.kill()


def _address(text):
    host, _, port = text.rpartition("//")[2].rpartition(":")
    return host.strip("[]"), int(port)
