# SPDX-License-Identifier: MIT
"""Peers on loopback for the sinks that send: an HTTP server and a TCP server
whose answers a test scripts. Ports are the kernel's choice."""

import http.server
import json
import socket
import threading


class Post:
    """A request as it came."""

    def __init__(self, handler, body):
        self.path = handler.path
        self.headers = handler.headers
        self.client = handler.client_address
        self.text = body
        self.body = json.loads(body)
        self.records = self.body if isinstance(self.body, list) else [self.body]
        self.sequences = [r["sequence"] for r in self.records]


class Answer:
    """What the server does. raw is written instead of an answer; hang_up ends
    the connection: at once, or after `body` of a longer one (half)."""

    def __init__(self, status=204, headers=(), body=b"", raw=None,
                 hang_up=False, half=False):
        self.status = status
        self.headers = dict(headers)
        self.body = body
        self.raw = raw
        self.hang_up = hang_up
        self.half = half


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        peer = self.server.peer
        length = int(self.headers["Content-Length"])
        post = Post(self, self.rfile.read(length))
        with peer.lock:
            peer.posts.append(post)
            peer.under_way += 1
            peer.most_under_way = max(peer.most_under_way, peer.under_way)
        try:
            answer = peer.script(post)
            self.give(Answer(answer) if isinstance(answer, int) else answer)
        except OSError:
            self.close_connection = True
        finally:
            with peer.lock:
                peer.under_way -= 1

    def give(self, a):
        if a.raw is not None:
            self.wfile.write(a.raw)
            self.close_connection = True
            return
        if a.hang_up:
            self.close_connection = True
            return
        self.send_response(a.status)
        length = len(a.body) + (100 if a.half else 0)
        for name, value in {"Content-Length": length, **a.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(a.body)
        if a.half:
            self.close_connection = True

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


class Http:
    """script(post) gives a status or an Answer, from many threads at once."""

    def __init__(self, script=lambda post: 204, context=None):
        self.script = script
        self.lock = threading.Lock()
        self.posts = []
        self.under_way = self.most_under_way = 0
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.peer = self
        if context is not None:
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True)
        self.port = self.server.server_port
        scheme = "http" if context is None else "https"
        self.url = "%s://127.0.0.1:%d/in" % (scheme, self.port)
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def sequences(self):
        """All that came, in order, doubles too."""
        with self.lock:
            return [n for p in self.posts for n in p.sequences]

    def connections(self):
        with self.lock:
            return len({p.client for p in self.posts})

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Tcp:
    """Keeps the lines of each connection. With ack each is acknowledged when
    script(connection, record) gives True; None ends the connection, bytes are
    sent as they are."""

    def __init__(self, script=None):
        self.script = script
        self.lock = threading.Lock()
        self.lines = []  # of all connections, in order
        self.connections = []
        self.halves = []  # what came without an end
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.changed = threading.Condition(self.lock)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(c)
                n = len(self.connections)
            threading.Thread(target=self.serve, args=(c, n), daemon=True).start()

    def serve(self, c, n):
        try:
            with c, c.makefile("rb") as f:
                for line in f:
                    if not self.take(c, n, line):
                        return
        except OSError:
            pass

    def take(self, c, n, line):
        with self.changed:
            if not line.endswith(b"\n"):
                self.halves.append(line)
                return False
            record = json.loads(line)
            self.lines.append(line)
            self.changed.notify_all()
        if self.script is None:
            return True
        what = self.script(n, record)
        if what is None:
            c.shutdown(socket.SHUT_RDWR)
            return False
        if isinstance(what, bytes):
            c.sendall(what)
        elif what:
            c.sendall(b"%d\n" % record["sequence"])
        return True

    def wait_for(self, n, timeout=20):
        """Until n lines came."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.lines) >= n, timeout)

    def sequences(self):
        with self.lock:
            return [json.loads(x)["sequence"] for x in self.lines]

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends the accept
            self.listener.close()
        with self.lock:
            for c in self.connections:
                try:
                    c.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
