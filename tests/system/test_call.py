# SPDX-License-Identifier: MIT
"""What a command does when the server behind weir.sock answers slowly, in
pieces, badly or not at all: a peer of the test's own stands there."""

import fcntl
import json
import os
import socket
import threading

import pytest

RECORD = {"aggregate_type": "order", "aggregate_id": "1"}
APPLY = ("aggregate", "apply", "order", "1", "placed", "--field", "a=b",
         "--json", "--sink-wait", "0s")


def answer(status, body, *fields, length=True):
    text = json.dumps(body).encode()
    head = ["HTTP/1.1 %d Whatever" % status,
            "Content-Type: application/json", *fields]
    if length:
        head.append("Content-Length: %d" % len(text))
    return "\r\n".join(head).encode() + b"\r\n\r\n" + text


def problem(status, code, message, **more):
    return answer(status, {"code": code, "message": message, **more})


class Peer:
    """Holds LOCK and serves weir.sock: each connection gets the next of its
    answers, which are bytes, or a list of pieces to be sent one by one."""

    def __init__(self, folder, *answers):
        self.answers = list(answers)
        self.requests = []
        self.lock = open(os.path.join(folder, "LOCK"), "r+b")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.path = os.path.join(folder, "weir.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while self.answers:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            with s:
                request = self.read(s)
                if request is None:
                    continue  # a look whether anybody is there
                self.requests.append(request)
                pieces = self.answers.pop(0)
                if isinstance(pieces, bytes):
                    pieces = [pieces]
                for piece in pieces:
                    s.sendall(piece)
        self.stop()

    @staticmethod
    def read(s):
        """The request: its first line and its body."""
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(65536)
            if not more:
                return None
            got += more
        head, body = got.split(b"\r\n\r\n", 1)
        n = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                n = int(line.split(b":")[1])
        while len(body) < n:
            more = s.recv(65536)
            if not more:
                return None
            body += more
        return head.split(b"\r\n")[0].decode(), body

    def stop(self):
        self.listener.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.lock.close()


@pytest.fixture
def peer(weir):
    peers = []

    def start(*answers):
        weir.apply("first", "1", "e")
        peers.append(Peer(weir.dir, *answers))
        return peers[-1]

    yield start
    for p in peers:
        p.stop()


def bodies(peer):
    return [json.loads(body) for line, body in peer.requests
            if line.startswith("POST /v1/events ")]


def schema(peer_answers):
    """apply asks for the schema first."""
    return [problem(404, "not-found", "schema not found"), *peer_answers]


def test_an_answer_in_pieces(weir, peer):
    text = json.dumps(RECORD).encode()
    chunks = b"".join(b"%X;x=y\r\n%c\r\n" % (1, c) for c in text)
    whole = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n"
             b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    p = peer(*schema([[whole[i:i + 1] for i in range(len(whole))]]))
    assert weir(*APPLY).json() == RECORD
    assert bodies(p)[0]["payload"] == {"a": "b"}


def test_an_answer_to_the_end_of_the_connection(weir, peer):
    peer(*schema([answer(201, RECORD, length=False)]))
    assert weir(*APPLY).json() == RECORD


@pytest.mark.parametrize("cut", [0, 5, 40, -1])
def test_sent_again_with_the_same_id(weir, peer, cut):
    """The server went away before it answered: the second time it finds the
    record by its id, and nothing is said of that."""
    good = answer(200, RECORD)
    p = peer(*schema([good[:cut], good]))
    a = weir(*APPLY)
    assert a.json() == RECORD and a.err == ""
    first, second = bodies(p)
    assert first == second and len(first["event_id"]) == 36


def test_a_full_server_is_tried_again(weir, peer):
    p = peer(*schema([problem(503, "unreachable", "too much waits"),
                      answer(201, RECORD)]))
    assert weir(*APPLY).json() == RECORD
    assert len(bodies(p)) == 2


def test_a_failed_server_is_not(weir, peer):
    p = peer(*schema([problem(503, "failed", "the writer has failed")]))
    assert weir(*APPLY, code=1).error()["message"] == "the writer has failed"
    assert len(bodies(p)) == 1


def test_a_server_that_stops_hands_over(weir, peer):
    """It answers nothing and is gone: the command does it itself."""
    p = peer(*schema([b""]))
    record = weir(*APPLY).json()
    assert record["version"] == 1
    assert record["metadata"]["event_id"] == bodies(p)[0]["event_id"]


def test_what_must_not_be_done_twice(weir, peer):
    peer(b"", b"")
    a = weir("token", "generate", "--group", "g", "--user", "u", code=6)
    assert "look whether it was done" in a.err
    assert a.out == ""


@pytest.mark.parametrize("bad", [
    b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2\r\n\r\n", b"\n" * 10,
    b"HTTP/1.1 201 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 200 x\r\nX: " + b"y" * 200000],
    ids=["ssh", "short", "blank", "chunk", "long"])
def test_no_http(weir, peer, bad):
    peer(*[bad] * 400)
    weir("schema", "create", "--aggregate", "a", "--events", "e", code=6)


def test_errors_as_they_were_found(weir, peer):
    peer(*schema([problem(409, "conflict", "it is at version 3", version=3)]))
    e = weir(*APPLY, code=5).error()
    assert (e["message"], e["version"]) == ("it is at version 3", 3)


def test_a_lock_without_a_server_is_waited_for(weir):
    """An import or another program writes: no server, no socket."""
    weir.apply("first", "1", "e")
    with open(os.path.join(weir.dir, "LOCK"), "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        timer = threading.Timer(0.3, f.close)
        timer.start()
        assert weir.apply("first", "1", "e")["version"] == 2
        timer.join()


def test_a_stale_socket_is_passed_over(weir):
    weir.apply("first", "1", "e")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.join(weir.dir, "weir.sock"))
    assert weir.apply("first", "1", "e")["version"] == 2


def test_a_long_path(weir):
    """A socket's address has room for 107 bytes."""
    weir.dir = os.path.join(weir.cwd, *["folder" * 6] * 5)
    weir.env["WEIR_DATA_DIR"] = weir.dir
    weir("start", "--port", "0", "--text-port", "0")
    try:
        assert weir.apply("first", "1", "e")["version"] == 1
        a = weir("reindex", code=6)
        assert "weir stop" in a.err
        weir("check")
    finally:
        weir("stop", code=None)


def test_sinks_are_configured_where_they_run(weir):
    weir("plugin", "json", "--path", "x", code=2,
         env={"WEIR_SERVER": "http://127.0.0.1:1"})
    weir("plugin", "json", "--path", "x", "--server", "http://127.0.0.1:1",
         code=2)
