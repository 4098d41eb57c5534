# SPDX-License-Identifier: MIT
"""The HTTP sink against a server on loopback whose answers are scripted."""

import datetime
import email.utils
import json
import shutil
import ssl
import subprocess
import threading
import time

import pytest

import peer
import run
import served

if run.plugin_path("http") is None:
    pytest.skip("the http plugin is not built", allow_module_level=True)


class Store:
    def __init__(self, home):
        self.dir = home / "store"
        self.home = home

    def __call__(self, *args, **kw):
        return run.weir(*args, data_dir=self.dir, **kw)

    def fill(self, *ids):
        """A record for each aggregate, in order."""
        lines = "".join(
            json.dumps({"aggregate_type": "t", "aggregate_id": i,
                        "event_type": "e", "payload": {"n": n}}) + "\n"
            for n, i in enumerate(ids))
        self("import", "-", "--source", "s%d" % time.monotonic_ns(),
             input=lines)

    def sink(self, server, *options):
        self("plugin", "http", "--endpoint", server.url, *options)

    def deliver(self, check=0):
        """Now, whatever it waits for."""
        self("sink", "resume", "http", "--sink-wait", "0s")
        return self("sink", "run", "--once", "http", check=check)

    def status(self):
        (s,) = json.loads(self("sink", "status", "http", "--json").stdout)
        return s

    def dead(self):
        out = self("sink", "dead-letters", "http", "list", "--json").stdout
        return json.loads(out)


@pytest.fixture
def store(tmp_path):
    s = Store(tmp_path)
    s("aggregate", "apply", "t", "0", "e", "--field", "n:=0")
    return s


@pytest.fixture
def server():
    s = peer.Http()
    yield s
    s.close()


def one_by_one(status, count):
    """A script that gives `status` for the first `count` posts, then 204."""
    left = [count]
    lock = threading.Lock()

    def script(post):
        with lock:
            left[0] -= 1
            return status if left[0] >= 0 else 204

    return script


def test_records_as_they_are(store, server):
    payload = '{"a":12345678901234567890123,"b":0.10,"c":1e400}'
    store("aggregate", "apply", "t", "1", "e", "--payload", payload)
    store.sink(server, "--parallel", "1")
    store.deliver()
    first, second = server.posts
    assert second.text.decode() == store("export").stdout.splitlines()[1]
    assert payload.encode() in second.text
    assert second.path == "/in"
    assert second.headers["Content-Type"] == "application/json"
    assert second.headers["User-Agent"].startswith("weir/")
    assert server.connections() == 1
    assert "Expect" not in second.headers
    store.deliver()
    assert server.sequences() == [1, 2]
    assert first.sequences == [1]


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NO_TRACES = (
    "t",
    TRACE.upper(),
    TRACE[:-1],
    TRACE + "-more",  # not of version 00
    TRACE.replace("00-", "ff-", 1),
    TRACE.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    TRACE.replace("b7ad6b7169203331", "0" * 16),
    "cc" + TRACE[2:] + "more",
    "cc" + TRACE[2:] + "-mo re",
)


def test_traceparent(store, server):
    """A valid one goes on as a header, and with the record in each case."""
    newer = "cc" + TRACE[2:] + "-what-may-come"
    given = [TRACE, newer, *NO_TRACES]
    for i, trace in enumerate(given):
        store("aggregate", "apply", "t", "x%d" % i, "e", "--traceparent", trace)
    store.sink(server, "--parallel", "1")
    store.deliver()
    first, *posts = server.posts
    assert first.headers.get_all("traceparent") is None
    for post, trace in zip(posts, given, strict=True):
        want = [trace] if trace in (TRACE, newer) else None
        assert post.headers.get_all("traceparent") == want, trace
        assert post.body["metadata"]["traceparent"] == trace
        assert post.headers["Content-Type"] == "application/json"


def test_traceparent_of_many(store, server):
    """An array of several has none; the user's own header counts."""
    for i in range(3):
        store("aggregate", "apply", "t", "x", "e", "--traceparent", TRACE)
    store.sink(server, "--per-request", "3", "--parallel", "1")
    store.deliver()
    assert [len(p.records) for p in server.posts] == [3, 1]
    assert [p.headers["traceparent"] for p in server.posts] == [None, TRACE]
    own = TRACE.replace("01", "00")
    store.sink(server, "--header", "Traceparent=" + own, "--name", "other")
    store("sink", "run", "--once", "other")
    assert {p.headers["traceparent"] for p in server.posts[2:]} == {own}
    assert all(len(p.headers.get_all("traceparent")) == 1
               for p in server.posts[2:])


def test_traceparent_of_a_request(tmp_path, server):
    """From the request's header through the record to the webhook's."""
    there = threading.Semaphore(0)

    def script(post):
        there.release()
        return 204

    server.script = script
    s = served.Server(tmp_path)
    assert s.start(), s.words()
    try:
        run.weir("plugin", "http", "--endpoint", server.url, data_dir=s.dir)
        s.make_token()
        for fields in ({"traceparent": TRACE}, {"traceparent": "00-x"}, {}):
            s.ask("POST", "/v1/events", served.event("a", 1), fields, check=201)
        for _ in range(3):
            assert there.acquire(timeout=served.PATIENCE)
        s.stop()
    finally:
        s.end()
    assert [p.headers["traceparent"] for p in server.posts] == [
        TRACE, None, None
    ]
    assert [p.body["metadata"].get("traceparent") for p in server.posts] == [
        TRACE, None, None
    ]


def test_order_and_reuse(store, server):
    lanes = {}

    def script(post):
        for r in post.records:
            lanes.setdefault(r["aggregate_id"], []).append(r["version"])
        return 204

    server.script = script
    store.fill(*[str(i % 7) for i in range(300)])
    store.sink(server, "--parallel", "5")
    store.deliver()
    assert sorted(server.sequences()) == list(range(1, 302))
    assert all(v == sorted(v) for v in lanes.values())
    assert server.most_under_way <= 5
    assert server.connections() <= 5


def test_aggregates_go_in_parallel(store, server):
    """Four requests are under way before one is answered; of one aggregate
    there is never a second."""
    all_there = threading.Barrier(4, timeout=15)
    busy = set()

    def script(post):
        who = post.body["aggregate_id"]
        with server.lock:
            assert who not in busy
            busy.add(who)
        if post.body["version"] == 1 and who != "0":
            all_there.wait()
        with server.lock:
            busy.remove(who)
        return 204

    store.fill("a", "a", "b", "a", "c", "d", "b", "a")
    store("plugin", "http", "--endpoint", server.url, "--parallel", "4",
          "--aggregate", "t", "--from", "2")
    server.script = script
    store.deliver()
    assert server.most_under_way == 4
    assert sorted(server.sequences()) == list(range(2, 10))


def test_many_in_a_request_are_arrays(store, server):
    store.fill(*[str(i % 5) for i in range(99)])
    store.sink(server, "--per-request", "30", "--parallel", "1")
    store.deliver()
    assert [len(p.body) for p in server.posts] == [30, 30, 30, 10]
    assert server.sequences() == list(range(1, 101))
    store.fill("x")
    store.deliver()
    assert isinstance(server.posts[-1].body, list)


def test_one_refused_record_parks_its_aggregate(store, server):
    def script(post):
        bad = post.body["aggregate_id"] == "b" and post.body["version"] == 2
        return peer.Answer(422, body=b"n is\nodd.") if bad else 204

    server.script = script
    store.fill("a", "b", "c", "b", "a", "b", "c")
    store.sink(server)
    store.deliver()
    came = server.sequences()
    assert sorted(came) == [1, 2, 3, 4, 5, 6, 8]  # 7 waits behind 5
    (dead,) = store.dead()
    assert (dead["sequence"], dead["code"]) == (5, "422")
    assert "answered 422: n is odd" in dead["message"]
    assert store.status()["parked"] == 1
    server.script = lambda post: 204
    store("sink", "dead-letters", "http", "retry", "5")
    store.deliver()
    assert server.sequences()[len(came):] == [5, 7]
    assert store.dead() == []


@pytest.mark.parametrize("per_request", [1, 4])
def test_what_was_taken_is_not_sent_again(store, server, per_request):
    """Seven refused records in 200: each record is answered well once, and
    only the refused ones came more than once (with arrays, their company)."""
    taken = []

    def script(post):
        if any(r["aggregate_id"].startswith("bad") for r in post.records):
            return 400
        with server.lock:
            taken.extend(post.sequences)
        return 204

    server.script = script
    store.fill(*["bad%d" % i if i % 30 == 7 else "g%d" % (i % 11)
                 for i in range(200)])
    store.sink(server, "--per-request", per_request)
    store.deliver()
    assert len(store.dead()) == 7
    assert len(taken) == len(set(taken)) == 201 - 7
    assert store.status()["lag_records"] == 0


def test_server_errors_are_tried_again_then_parked(store, server):
    poison, end = [500], threading.Event()

    def script(post):
        if post.body["aggregate_id"] == "p":
            return poison[0]
        if post.body["aggregate_id"] == "b":
            end.set()
        return 204

    server.script = script
    store.fill("a", "p", "b", "p")
    store.sink(server, "--attempts-max", "3", "--parallel", "1")
    p = subprocess.Popen(
        [run.WEIR, "sink", "run", "http", "--data-dir", str(store.dir)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert end.wait(30)  # back-offs of up to 3 s
    p.terminate()
    p.communicate(timeout=20)
    assert [d["sequence"] for d in store.dead()] == [3]
    assert server.sequences() == [1, 2, 3, 3, 3, 4]
    poison[0] = 204
    store("sink", "dead-letters", "http", "retry", "3")
    store.deliver()
    assert server.sequences() == [1, 2, 3, 3, 3, 4, 3, 5]


def stand(store, *, seconds=2):
    """Delivers until the sink fails, and gives its status."""
    p = store("aggregate", "apply", "t", "0", "e", "--field", "n:=1",
              "--sink-wait", "%ds" % seconds, check=None)
    assert p.returncode == 0, p.stderr
    return store.status()


def until(at):
    """Seconds from now."""
    at = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
    return at.timestamp() - time.time()


@pytest.mark.parametrize("status,word", [
    (408, "retry"), (425, "retry"), (429, "retry"), (500, "retry"),
    (503, "retry"), (401, "blocked"), (403, "blocked"), (404, "blocked"),
    (405, "blocked"), (301, "blocked"), (307, "blocked"), (410, "gone"),
])
def test_classes(store, server, status, word):
    server.script = lambda post: peer.Answer(
        status, headers={"Location": server.url + "/other",
                         "Retry-After": "100"})
    store.sink(server)
    s = stand(store)
    assert s["last_class"] == word
    assert s["last_code"] == str(status)
    assert "answered %d" % status in s["last_error"]
    assert {p.path for p in server.posts} == {"/in"}  # no redirect followed
    if word == "retry":  # not before what the server asked for
        assert until(s["next_try_at"]) > 90
    server.script = lambda post: 204
    if word == "gone":
        assert s["state"] == "gone"
        return
    store.deliver()
    assert store.status()["lag_records"] == 0


@pytest.mark.parametrize("status", [400, 413, 415, 422, 409])
def test_refusals(store, server, status):
    server.script = one_by_one(status, 1)
    store.sink(server)
    store.deliver()
    (dead,) = store.dead()
    assert dead["code"] == str(status)


def test_retry_after_date_is_bounded(store, server):
    far = email.utils.formatdate(time.time() + 86400, usegmt=True)
    server.script = lambda post: peer.Answer(
        503, headers={"Retry-After": far})
    store.sink(server)
    s = stand(store)
    assert 200 < until(s["next_try_at"]) <= 301


@pytest.mark.parametrize("answer", [
    peer.Answer(hang_up=True),
    peer.Answer(200, body=b"x", half=True),
    peer.Answer(raw=b"this is no HTTP\r\n\r\n"),
    peer.Answer(raw=b"HTTP/1.1 2"),
], ids=["hang up", "half an answer", "garbage", "cut status"])
def test_no_answer_is_not_counted(store, server, answer):
    server.script = lambda post: answer
    store.sink(server, "--attempts-max", "1")
    s = stand(store)
    assert s["last_class"] == "not_connected"
    for _ in range(2):
        store.deliver(check=None)
    assert store.dead() == []
    server.script = lambda post: 204
    store.deliver()
    assert store.status()["lag_records"] == 0


def test_nobody_listens(store, server):
    store.sink(server)
    server.close()
    s = stand(store)
    assert (s["last_class"], s["last_code"]) == ("not_connected", "CONNECT")


def test_a_slow_server_is_given_up(store, server):
    release = threading.Event()
    server.script = lambda post: release.wait(20) and 204
    store.sink(server, "--timeout", "200ms")
    s = stand(store)
    assert (s["last_class"], s["last_code"]) == ("not_connected", "TIMEOUT")
    release.set()


def test_a_slow_server_is_no_failure(store, server):
    """What does not fit into the time for a delivery stays for the next one;
    no request is given up for it."""
    slow = threading.Event()
    server.script = lambda post: (slow.wait(0.02), 204)[1]
    store.fill(*[str(i % 3) for i in range(150)])
    store.sink(server, "--parallel", "2")
    s = stand(store, seconds=1)
    assert 0 < s["cursor"] < 152
    assert s["last_class"] is None
    slow.set()
    store.deliver()
    assert sorted(server.sequences()) == list(range(1, 153))


def test_stops_while_a_request_is_under_way(store, server):
    release, there = threading.Event(), threading.Event()

    def script(post):
        there.set()
        release.wait(30)
        return 204

    server.script = script
    store.sink(server)
    p = subprocess.Popen(
        [run.WEIR, "sink", "run", "http", "--data-dir", str(store.dir)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert there.wait(20)
    begun = time.monotonic()
    p.terminate()
    p.communicate(timeout=20)
    assert time.monotonic() - begun < 5
    release.set()
    server.script = lambda post: 204
    store.deliver()
    assert server.sequences() == [1, 1]


def test_huge_answers(store, server):
    huge = b"y" * (8 << 20)
    server.script = lambda post: peer.Answer(200, body=huge)
    store.fill("a", "b")
    store.sink(server)
    store.deliver()
    assert sorted(server.sequences()) == [1, 2, 3]
    server.script = lambda post: peer.Answer(400, body=huge)
    store.fill("c")
    store.deliver()
    (dead,) = store.dead()
    assert len(dead["message"]) < 400


def test_huge_record(store, server):
    big = json.dumps({"x": "z" * 1000000})
    store("aggregate", "apply", "t", "big", "e", "--payload", "-", input=big)
    store.sink(server)
    store.deliver()
    assert 1000000 in [len(p.body["payload"].get("x", ""))
                       for p in server.posts]


def test_private_targets(store, server):
    store.sink(server, "--private-targets=false")
    s = stand(store)
    assert s["last_class"] == "blocked"
    assert "private address" in s["last_error"]
    assert server.posts == []
    p = store("sink", "test", "http", check=None)
    assert p.returncode != 0 and "private address" in p.stderr
    store.sink(server, "--private-targets=true")
    store.deliver()
    assert server.sequences() == [1, 2]


SECRET = "sesame-6271"


def test_headers_and_secrets(store, server, monkeypatch):
    (store.home / "key").write_text(SECRET + "\n")
    monkeypatch.setenv("HOOK_AUTH", "Bearer " + SECRET)
    store.sink(server, "--header", "Authorization=env:HOOK_AUTH",
               "--header", "X-Key=file:%s" % (store.home / "key"),
               "--header", "X-Plain=" + SECRET, "--header", "X-Empty=",
               "--header", "User-Agent=mine", "--parallel", "1")
    server.script = lambda post: peer.Answer(
        400, body=b"no such key: " + b"n" * 140 + SECRET.encode())
    store.deliver()
    h = server.posts[0].headers
    assert h["Authorization"] == "Bearer " + SECRET
    assert h["X-Key"] == h["X-Plain"] == SECRET
    assert (h["X-Empty"], h["User-Agent"]) == ("", "mine")
    shown = [store(*c).stdout for c in (
        ("sink", "list", "--json"), ("sink", "status", "http", "--json"),
        ("sink", "status", "http"), ("sink", "dead-letters", "http", "list"),
        ("sink", "dead-letters", "http", "list", "--json"))]
    assert not [x for x in shown if SECRET[:6] in x]  # nor cut short
    conf = (store.dir / "sinks" / "http" / "sink.conf").read_text()
    assert conf.count(SECRET) == 1  # the plain one


@pytest.mark.parametrize("options,says", [
    (["--endpoint", "ftp://x/"], "http:// or https://"),
    (["--endpoint", "nonsense"], ""),
    (["--endpoint", "http://me:pw@x/"], "user or password"),
    (["--endpoint", "http://x/", "--header", "no-value"], "header 1"),
    (["--endpoint", "http://x/", "--header", "a b=c"], "header 1"),
    (["--endpoint", "http://x/", "--header", "A=b\nc"], "control character"),
    (["--endpoint", "http://x/", "--header", "Content-Length=1"], "own"),
    (["--endpoint", "http://x/", "--per-request", "0"], "per-request is from 1"),
    (["--endpoint", "http://x/", "--parallel", "65"], "parallel is from 1"),
    (["--endpoint", "http://x/", "--timeout", "2h"], "timeout is from 1ms"),
    (["--per-request", "2"], "endpoint"),
])
def test_settings_are_checked(store, options, says):
    p = store("plugin", "http", *options, check=2)
    assert says in p.stderr
    assert "pw" not in p.stderr


@pytest.fixture
def certificate(tmp_path):
    if not shutil.which("openssl"):
        pytest.skip("no openssl program (on Debian: apt-get install openssl)")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    run.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
             "-keyout", str(key), "-out", str(cert), "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext",
             "subjectAltName=IP:127.0.0.1"], check=0)
    return key, cert


def test_tls(store, certificate):
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = peer.Http(context=context)
    store.sink(server)
    s = stand(store)
    assert (s["last_class"], s["last_code"]) == ("blocked", "TLS")
    assert "certificate" in s["last_error"] or "certificate" in s["last_hint"]
    store.sink(server, "--ca-file", cert)
    store.deliver()
    assert server.sequences() == [1, 2]
    server.close()


def test_replay_sends_again(store, server):
    store.fill("a", "b")
    store.sink(server, "--parallel", "1")
    store.deliver()
    store("sink", "replay", "http", "--from", "2")
    store.deliver()
    assert server.sequences() == [1, 2, 3, 2, 3]


def test_another_endpoint_begins_anew(store, server):
    store.sink(server)
    store.deliver()
    store.sink(server, "--header", "A=b")
    store.deliver()
    assert server.sequences() == [1]
    store("plugin", "http", "--endpoint", server.url + "/2")
    store.deliver()
    assert server.sequences() == [1, 1]
