# SPDX-License-Identifier: MIT
"""A client of Server-Sent Events, after the HTML standard (section 9.2), over a
raw socket: what cuts a connection cuts it here at the very byte. And a proxy
that does the cutting."""

import socket
import threading

import served


class Refused(AssertionError):
    """An answer after which an EventSource does not come back."""


class Parser:
    """The event stream format: bytes in any pieces, events out."""

    def __init__(self):
        self.rest = b""
        self.begun = False  # a byte order mark was looked for
        self.after_cr = False
        self.last_id = ""  # of the last event that was dispatched
        self.retry = None
        self._clear()
        self.id = ""

    def _clear(self):
        self.data = []
        self.type = ""

    def feed(self, data):
        """[(type, data, id)] that the bytes complete."""
        events = []
        self.rest += data
        if not self.begun and len(self.rest) >= 3:
            self.begun = True
            if self.rest.startswith(b"\xef\xbb\xbf"):
                self.rest = self.rest[3:]
        while True:
            if self.after_cr and self.rest:
                self.after_cr = False
                if self.rest[:1] == b"\n":
                    self.rest = self.rest[1:]
            ends = [i for i in (self.rest.find(b"\n"), self.rest.find(b"\r"))
                    if i >= 0]
            if not ends or not self.begun:
                return events
            line, end = self.rest[: min(ends)], self.rest[min(ends)]
            self.rest = self.rest[min(ends) + 1 :]
            self.after_cr = end == 0x0D
            self._line(line.decode("utf-8"), events)

    def _line(self, line, events):
        if line == "":
            self.last_id = self.id
            if self.data:
                events.append(
                    (self.type or "message", "\n".join(self.data), self.id)
                )
            self._clear()
            return
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self.type = value
        elif name == "data":
            self.data.append(value)
        elif name == "id" and "\0" not in value:
            self.id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)


class Body:
    """Of one answer: bytes as they come, chunks taken apart."""

    def __init__(self, sock):
        self.sock = sock
        self.rest = b""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = {
            n.strip().lower(): v.strip()
            for n, _, v in (x.partition(":") for x in lines[1:])
        }
        self.chunked = self.fields.get("transfer-encoding") == "chunked"
        self.left = 0  # of the chunk

    def _more(self):
        got = self.sock.recv(65536)
        if not got:
            raise ConnectionError("the connection has ended")
        self.rest += got

    def _until(self, mark):
        while mark not in self.rest:
            self._more()
        text, _, self.rest = self.rest.partition(mark)
        return text

    def read(self):
        """Some bytes; b"" at the end of the body."""
        if not self.chunked:
            if not self.rest:
                self._more()
            out, self.rest = self.rest, b""
            return out
        if self.left == 0:
            self.left = int(self._until(b"\r\n"), 16)
            if self.left == 0:
                return b""
        if not self.rest:
            self._more()
        out = self.rest[: self.left]
        self.rest = self.rest[self.left :]
        self.left -= len(out)
        if self.left == 0 and self._until(b"\r\n") != b"":
            raise AssertionError("a chunk is longer than it says")
        return out


class EventSource:
    """Comes back after each end, with Last-Event-ID, and at once: the time to
    wait is a test's to leave out. address() is asked for before each try."""

    def __init__(self, address, target, token=None, seen=None):
        self.address = address
        self.target = target
        self.token = token
        self.seen = seen or (lambda event: None)
        self.last_id = ""
        self.tries = 0
        self.retry = None
        self.closed = False
        self.sock = None

    def _connect(self):
        self.sock = served.connect(self.address())
        lines = [
            "GET %s HTTP/1.1" % self.target, "Host: 127.0.0.1",
            "Accept: text/event-stream", "Cache-Control: no-store",
        ]
        if self.token:
            lines.append("Authorization: Bearer " + self.token)
        if self.last_id:
            lines.append("Last-Event-ID: " + self.last_id)
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def once(self):
        """One connection to its end."""
        self.tries += 1
        try:
            self._connect()
            body = Body(self.sock)
            if body.status == 503:
                return
            if body.status != 200 or not body.fields["content-type"].startswith(
                "text/event-stream"
            ):
                raise Refused("%d %r" % (body.status, body.fields))
            parser = Parser()
            parser.id = parser.last_id = self.last_id
            while True:
                data = body.read()
                if not data:
                    return
                for e in parser.feed(data):
                    self.seen(e)
                self.last_id = parser.last_id
                self.retry = parser.retry or self.retry
        except OSError:
            pass
        finally:
            if self.sock is not None:
                self.sock.close()

    def follow(self):
        while not self.closed:
            self.once()

    def close(self):
        self.closed = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass


class Cutter:
    """Hands connections on to an address. limit() gives after how many bytes
    of the answer the next one is cut; None: never."""

    def __init__(self, address, limit, change=lambda data: data):
        self.address = address
        self.limit = limit
        self.change = change
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(client,), daemon=True
            ).start()

    def _serve(self, client):
        limit = self.limit()
        try:
            server = served.connect(self.address)
        except OSError:
            client.close()
            return
        up = threading.Thread(
            target=self._up, args=(client, server), daemon=True
        )
        up.start()
        try:
            self._down(client, server, limit)
        except OSError:
            pass
        for s in (client, server):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        up.join()
        client.close()
        server.close()

    def _up(self, client, server):
        try:
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _down(self, client, server, limit):
        server.settimeout(None)
        while data := server.recv(65536):
            data = self.change(data)
            if limit is not None and len(data) >= limit:
                client.sendall(data[:limit])
                self.cuts += 1
                return
            client.sendall(data)
            if limit is not None:
                limit -= len(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
