# SPDX-License-Identifier: MIT
"""The life of a server: start, stop, status, restart, destroy; drain, reload,
a service manager, sinks as its children, and what is left after kill -9."""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import run

SHIM = os.path.join(run.BUILD, "tests", "crash", ".libs", "faultshim.so")


def wait_for(what, timeout=30):
    """Polls until what() holds; a bound, not a delay."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


def is_running(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class Server:
    """A data folder and the server on it."""

    def __init__(self, weir):
        self.weir = weir
        self.dir = weir.dir
        self.process = None  # of one in the foreground
        self.out = os.path.join(weir.cwd, "out")

    def start(self, *args, **kw):
        return self.weir("start", "--port", "0", "--text-port", "0", *args,
                         **kw)

    def foreground(self, *args, env=None, before=(), **kw):
        """Started as a child of the test; returns once it is ready."""
        with open(self.out, "w") as f:
            self.process = subprocess.Popen(
                [*before, run.WEIR, "start", "--foreground", "--port", "0",
                 "--text-port", "0", *args],
                cwd=self.weir.cwd, env={**self.weir.env, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=f, stderr=f, **kw)
        wait_for(lambda: self.process.poll() is not None
                 or self.info().get("state") == "ready")
        assert self.process.poll() is None, self.said()
        return self.process

    def said(self):
        with open(self.out) as f:
            return f.read()

    def info(self):
        try:
            with open(os.path.join(self.dir, "weir.pid")) as f:
                lines = f.read().split("\n")
        except FileNotFoundError:
            return {}
        found = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
        found["pid"] = int(lines[0] or 0)
        return found

    @property
    def pid(self):
        return self.info()["pid"]

    def address(self, which="http"):
        host, port = self.info()[which].rsplit(":", 1)
        return host, int(port)

    def connect(self, which="http"):
        return socket.create_connection(self.address(which), timeout=30)

    def local(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(os.path.join(self.dir, "weir.sock"))
        return s

    def get(self, path, method="GET", body=None):
        """By the control socket: (status, text)."""
        c = http.client.HTTPConnection("localhost")
        c.sock = self.local()
        headers = {"Content-Type": "application/json"} if body else {}
        c.request(method, path, body, headers)
        a = c.getresponse()
        text = a.read().decode()
        c.close()
        return a.status, text

    def post(self, n, kind="a"):
        return self.get("/v1/events", "POST", json.dumps({
            "aggregate_type": kind, "aggregate_id": str(n),
            "event_type": "e", "payload": {"n": n}}))

    def end(self):
        """Whatever the test did, nothing of it lives on."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        pid = self.info().get("pid")
        if pid and not self.weir("status", code=None).code:
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def server(weir):
    s = Server(weir)
    yield s
    s.end()


# ---- start, status, stop, restart -------------------------------------------


def test_start_status_stop(server):
    weir = server.weir
    a = server.start()
    pid = server.pid
    assert "process %d" % pid in a.out and a.err == ""
    assert is_running(pid) and os.getsid(pid) == pid
    assert server.get("/health") == (200, '{"status":"ok"}')
    server.connect("http").close()
    server.connect("text").close()
    st = weir("status", "--json").json()
    assert st["running"] is True and st["pid"] == pid
    assert st["http"] == "%s:%d" % server.address()
    assert st["text"] == "%s:%d" % server.address("text")
    assert st["restriction"] == "true" and st["committed"] == 0
    assert server.post(1)[0] == 201
    assert weir("status", "--json").json()["committed"] == 1
    assert "committed    1" in weir("status").out
    assert oct(os.stat(os.path.join(server.dir, "weir.sock")).st_mode)[-3:] \
        == "600"
    assert weir("stop", "--json").json() == {"stopped": True, "pid": pid}
    assert not is_running(pid)
    assert not os.path.exists(os.path.join(server.dir, "weir.sock"))
    assert not os.path.exists(os.path.join(server.dir, "weir.pid"))
    st = weir("status", "--json", code=3).json()
    assert st["running"] is False and st["committed"] == 1
    assert weir("stop", "--json").json() == {"stopped": False, "pid": None}
    assert "does not run" in weir("stop").out


def test_status_without_a_store(server):
    assert "no store" in server.weir("status", code=3).err
    assert server.weir("stop").out


def test_second_start(server):
    server.start()
    pid = server.pid
    for more in ((), ("--foreground",)):
        a = server.start(*more, code=6)
        assert "process %d" % pid in a.err and "weir stop" in a.err
    assert server.pid == pid and server.get("/health")[0] == 200


def test_port_in_use(server):
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    for option in ("--port", "--text-port"):
        other = "--text-port" if option == "--port" else "--port"
        a = server.weir("start", option, port, other, 0, code=1)
        assert "port %d on 127.0.0.1 is taken" % port in a.err
        assert "choose another one with %s" % option in a.err
        assert not os.path.exists(os.path.join(server.dir, "weir.pid"))
    assert "a port from 1 to 65535" in server.weir(
        "start", "--port", "65536", code=2).err


def test_lock_is_held(server, store):
    with open(os.path.join(server.dir, "LOCK"), "r+") as f:
        f.write("4711 somebody\n")
        f.flush()
        fcntl.flock(f, fcntl.LOCK_EX)
        assert "held by process 4711 somebody" in server.start(code=6).err
    server.start()


def test_bad_settings(server):
    conf = os.path.join(server.weir.cwd, "c.conf")
    with open(conf, "w") as f:
        f.write("drain_timeout = soon\n")
    a = server.start("--config", conf, code=1)
    assert "drain_timeout" in a.err and "soon" in a.err
    with open(conf, "w") as f:
        f.write("host = 192.0.2.1\n")
    assert "192.0.2.1" in server.start("--config", conf, code=1).err
    with open(conf, "w") as f:
        f.write("host = 0.0.0.0\n")
    a = server.start("--config", conf, code=None)
    assert a.code != 0 and "insecure_network" in a.err
    assert not os.path.exists(os.path.join(server.dir, "weir.pid"))


def test_restriction_is_kept(server):
    server.start("--restrict=strict")
    status, text = server.post(1)
    assert status == 400 and "strict" in text
    server.weir("restart")
    assert server.weir("status", "--json").json()["restriction"] == "strict"
    server.weir("restart", "--restrict=false")
    assert server.post(1)[0] == 201
    server.weir("stop")
    assert server.weir(
        "status", "--json", code=3).json()["restriction"] == "false"
    assert "one of true|strict|false" in server.start(
        "--restrict=maybe", code=2).err


def test_restart_keeps_options(server):
    server.start("--no-sinks")
    first, options = server.pid, server.info()["options"]
    assert options == "--port 0 --text-port 0 --no-sinks"
    server.weir("restart")
    assert server.pid != first and not is_running(first)
    assert server.info()["options"] == options
    server.weir("stop")
    server.weir("restart", "--port", "0", "--text-port", "0")
    assert server.info()["options"] == "--port 0 --text-port 0"


def test_long_path(server):
    """The path of the control socket has no room in its address."""
    server.weir.dir = server.dir = os.path.join(server.weir.cwd, "d" * 120)
    server.weir.env["WEIR_DATA_DIR"] = server.dir
    server.start()
    folder = os.open(server.dir, os.O_PATH)
    s = socket.socket(socket.AF_UNIX)
    s.connect("/proc/self/fd/%d/weir.sock" % folder)
    os.close(folder)
    s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert s.recv(100).startswith(b"HTTP/1.1 200")
    s.close()


# ---- the pid file, kill -9 --------------------------------------------------


def test_stale_pid_file_kills_nobody(server, store):
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        with open(os.path.join(server.dir, "weir.pid"), "w") as f:
            f.write("%d\nstate ready\nhttp 127.0.0.1:1\n" % stranger.pid)
        assert "does not run" in server.weir("stop").out
        assert server.weir("status", code=3)
        assert stranger.poll() is None
        server.start()
        assert server.pid != stranger.pid
        server.weir("stop")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_start_after_kill(server):
    server.start()
    for n in range(3):
        assert server.post(n)[0] == 201
        pid = server.pid
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not is_running(pid))
        # Its other threads may hold its files for a moment yet.
        wait_for(lambda: server.weir("status", code=None).code == 3)
        server.start()
        assert server.weir("status", "--json").json()["committed"] == n + 1


# ---- stopping ---------------------------------------------------------------


def slow_post(server, body):
    """A request that is half sent, of which the server knows: the connection
    and its rest."""
    s = server.local()
    s.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\n"
              b"Content-Type: application/json\r\nExpect: 100-continue\r\n"
              b"Content-Length: %d\r\n\r\n" % len(body))
    wanted, said = b"HTTP/1.1 100 Continue\r\n\r\n", b""
    while wanted.startswith(said) and said != wanted:
        more = s.recv(len(wanted) - len(said))
        assert more, said
        said += more
    assert said == wanted
    s.sendall(body[:10])
    return s, body[10:]


BODY = b'{"aggregate_type":"a","aggregate_id":"1","event_type":"e","payload":1}'


def refuses(server):
    try:
        s = server.local()
    except OSError:
        return True
    s.settimeout(0.2)
    with contextlib.suppress(OSError):
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return s.recv(10) == b""
    return True


def test_drain_answers_requests_under_way(server):
    process = server.foreground()
    s, rest = slow_post(server, BODY)
    assert server.get("/health")[0] == 200
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.info().get("state") == "stopping")
    assert process.poll() is None
    s.sendall(rest)
    answer = s.recv(10000)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    assert process.wait(30) == 0, server.said()
    st = server.weir("status", "--json", code=3).json()
    assert st["committed"] == 1


def test_drain_under_load(server):
    """Whoever was answered is in the journal, and nothing that is there was
    left unanswered."""
    process = server.foreground()
    answered = [0] * 8

    def client(n):
        c = http.client.HTTPConnection("localhost")
        with contextlib.suppress(OSError, http.client.HTTPException):
            c.sock = server.local()
            while True:
                c.request("POST", "/v1/events", BODY,
                          {"Content-Type": "application/json"})
                a = c.getresponse()
                a.read()
                answered[n] += a.status == 201
                if a.will_close or a.status != 201:
                    break
        c.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    wait_for(lambda: sum(answered) > 200)
    process.send_signal(signal.SIGTERM)
    for t in threads:
        t.join(30)
    assert process.wait(30) == 0, server.said()
    st = server.weir("status", "--json", code=3).json()
    assert st["committed"] == sum(answered)


def test_drain_ends_in_time(server):
    process = server.foreground(env={"WEIR_DRAIN_TIMEOUT": "300ms"})
    s, rest = slow_post(server, BODY)
    t = server.connect("text")
    t.sendall(b"Connect\tc\nSubscribe\ttrue\t0\n")
    seen = t.recv(100)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0, server.said()
    while b"EventStreamError\tClosed" not in seen:
        more = t.recv(1000)
        assert more, seen
        seen += more


def test_second_signal_ends_at_once(server):
    process = server.foreground(env={"WEIR_DRAIN_TIMEOUT": "1h"})
    s, rest = slow_post(server, BODY)
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.info().get("state") == "stopping")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 1
    assert "at once" in server.said()
    assert not os.path.exists(os.path.join(server.dir, "weir.pid"))
    server.start()


def test_sinks_are_flushed(server):
    if run.plugin_path("json") is None:
        pytest.skip("no json plugin")
    out = os.path.join(server.weir.cwd, "out.json")
    server.foreground()
    assert "[+]server ok" in server.get("/readyz")[1]
    server.weir("plugin", "json", "--path", out)

    def sink():
        return server.weir("status", "--json").json()["sinks"][0]

    wait_for(lambda: sink()["pid"], 10)
    child = sink()["pid"]
    for n in range(50):
        assert server.post(n)[0] == 201
    server.weir("stop")
    with open(out) as f:
        assert [json.loads(line)["sequence"] for line in f] == \
            list(range(1, 51))
    assert not is_running(child)


def test_sinks_end_with_a_killed_server(server):
    if run.plugin_path("json") is None:
        pytest.skip("no json plugin")
    out = os.path.join(server.weir.cwd, "out.json")
    server.weir("plugin", "json", "--path", out)
    server.start()

    def sink():
        return server.weir("status", "--json").json()["sinks"][0]

    child = wait_for(lambda: sink()["pid"], 10)
    metrics = server.get("/metrics")[1]
    assert 'weir_sink_lag_records{sink="json"} 0' in metrics
    assert "weir_writer_failures_total 0" in metrics
    assert "[+]sink json" in server.get("/readyz")[1]
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: not is_running(child))


# ---- reloading --------------------------------------------------------------


def test_hangup(server):
    conf = os.path.join(server.weir.cwd, "c.conf")
    with open(conf, "w") as f:
        f.write("list_page_size = 2\n")
    process = server.foreground("--config", conf)
    for n in range(4):
        assert server.post(n)[0] == 201

    def listed():
        return len(json.loads(server.get("/v1/aggregates")[1]))

    assert listed() == 2
    with open(conf, "w") as f:
        f.write("list_page_size = 3\nport = 9\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: listed() == 3)
    wait_for(lambda: "setting port counts from the next" in server.said())
    with open(conf, "w") as f:
        f.write("list_page_size = none\n")
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: "the old settings stay" in server.said())
    assert listed() == 3 and process.poll() is None


def test_hangup_opens_the_diag_file_anew(server):
    """The messages of a server in the background are in weir.diag, and after
    it was moved away in a new one."""
    server.weir.env["WEIR_DIAG_LEVEL"] = "info"
    server.start()
    path = os.path.join(server.dir, "weir.diag")
    assert "ready" in open(path).read()
    os.rename(path, path + ".1")
    os.kill(server.pid, signal.SIGHUP)
    wait_for(lambda: os.path.exists(path) and "read again" in
             open(path).read())


# ---- a service manager ------------------------------------------------------


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(address)
        self.s.settimeout(30)
        self.seen = []

    def wait(self, text):
        while not any(text in m for m in self.seen):
            self.seen.append(self.s.recv(4096).decode())


@pytest.mark.parametrize("abstract", [False, True])
def test_notify(server, abstract):
    name = os.path.join(server.weir.cwd, "notify")
    if abstract:
        name = "@weir-test-%d" % os.getpid()
    m = Manager(name.replace("@", "\0"))
    process = server.foreground(
        env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "400000"})
    m.wait("READY=1")
    assert "MAINPID=%d" % process.pid in "\n".join(m.seen)
    m.wait("WATCHDOG=1")
    m.seen.clear()
    process.send_signal(signal.SIGHUP)
    m.wait("RELOADING=1")
    stamp = [m for m in "\n".join(m.seen).split("\n") if "MONOTONIC" in m]
    assert abs(int(stamp[0].split("=")[1]) / 1e6 - time.monotonic()) < 60
    m.wait("READY=1")
    process.send_signal(signal.SIGTERM)
    m.wait("STOPPING=1")
    assert process.wait(30) == 0


def test_notify_tells_why(server):
    name = os.path.join(server.weir.cwd, "notify")
    m = Manager(name)
    a = server.weir("start", "--foreground", "--port", "0", "--text-port", "0",
                    env={"NOTIFY_SOCKET": name, "WEIR_HOST": "192.0.2.1"},
                    code=1)
    m.wait("STATUS=")
    assert "192.0.2.1" in m.seen[-1] and "192.0.2.1" in a.err


@pytest.mark.parametrize("named", [True, False])
def test_socket_activation(server, named):
    """A client is there before the server is."""
    ours = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [s.getsockname()[1] for s in ours]
    early = socket.create_connection(("127.0.0.1", ports[0]), timeout=30)
    early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    count = 2 if named else 1
    high = [os.dup2(s.fileno(), 200 + i) for i, s in enumerate(ours)]

    def hand_over():
        for i in range(count):
            os.dup2(high[i], 3 + i)

    env = {"LISTEN_FDS": str(count)}
    if named:
        env["LISTEN_FDNAMES"] = "http:text"
    process = server.foreground(
        env=env, before=["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
        preexec_fn=hand_over, pass_fds=list(range(3, 3 + count)))
    for fd in high:
        os.close(fd)
    assert server.address()[1] == ports[0]
    assert (server.address("text")[1] == ports[1]) == named
    assert early.recv(1000).startswith(b"HTTP/1.1 200")
    early.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


# ---- a writer that fails ----------------------------------------------------


def need_shim():
    if not os.path.exists(SHIM):
        pytest.skip("the fault shim is not built")
    with open(run.WEIR, "rb") as f:
        if b"__asan_init" in f.read():
            pytest.skip("the sanitizers must be the first library loaded")


def test_writer_fails_and_comes_back(server):
    """One sync fails: that append is not acknowledged, the server opens the
    store again by itself and has all that was."""
    need_shim()
    server.weir("aggregate", "apply", "a", "0", "e", "--payload", "0")
    env = {"LD_PRELOAD": SHIM, "WEIR_FAULT_UNDER":
           os.path.join(server.dir, "journal"), "WEIR_FAULT": "fdatasync:9:5"}
    process = server.foreground(env=env)
    acknowledged, n = 1, 0
    while True:
        n += 1
        status, text = server.post(n)
        if status != 201:
            break
        acknowledged += 1
        assert n < 100
    assert status == 503, text
    assert "fail" in text

    def again():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return server.post(1000)[0] == 201

    wait_for(again)
    assert "opened again" in server.said()
    with server.connect("text") as t:
        t.sendall(b"Connect\tc\n")
        assert t.recv(100).startswith(b"Connected")
    assert "weir_writer_failures_total 1" in server.get("/metrics")[1]
    committed = server.weir("status", "--json").json()["committed"]
    assert acknowledged + 1 <= committed <= acknowledged + 2
    server.weir("check")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_watchdog_starves_with_the_writer(server):
    """While a sync does not come back, nobody feeds the watchdog."""
    need_shim()
    server.weir("aggregate", "apply", "a", "0", "e", "--payload", "0")
    gate = os.path.join(server.weir.cwd, "gate")
    name = os.path.join(server.weir.cwd, "notify")
    open(gate, "w").close()
    m = Manager(name)
    process = server.foreground(env={
        "LD_PRELOAD": SHIM, "WEIR_FAULT": "fdatasync:4:stall",
        "WEIR_FAULT_UNDER": os.path.join(server.dir, "journal"),
        "WEIR_FAULT_STALL": gate, "NOTIFY_SOCKET": name,
        "WATCHDOG_USEC": "1000000"})
    m.wait("WATCHDOG=1")
    answers = []

    def client():
        for n in range(10):
            answers.append(server.post(n)[0])

    t = threading.Thread(target=client)
    t.start()
    m.s.settimeout(1.5)  # three times what it takes when all is well
    with pytest.raises(socket.timeout):
        while True:
            m.s.recv(4096)
    assert t.is_alive() and len(answers) < 10
    assert server.get("/livez")[0] == 200
    os.unlink(gate)
    m.s.settimeout(30)
    m.wait("WATCHDOG=1")
    t.join(30)
    assert answers == [201] * 10
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


# ---- destroy ----------------------------------------------------------------


def test_destroy(server, store):
    weir = server.weir
    a = weir("destroy", "--dry-run")
    assert "5 records of 3 aggregates" in a.out
    assert weir("check")
    server.start()
    assert "weir stop" in weir("destroy", "--yes", code=6).err
    weir("stop")
    d = weir("destroy", "--yes", "--json").json()
    assert d["destroyed"] is True and d["records"] == 5 and d["left"] == 0
    assert not os.path.exists(server.dir)
    assert "no store" in weir("destroy", "--yes", code=3).err


def test_destroy_leaves_what_is_not_ours(server, store, tmp_path):
    far = tmp_path / "far"
    far.mkdir()
    (far / "00000009.seg").write_text("mine")
    (tmp_path / "store" / "notes.txt").write_text("mine")
    os.symlink(far, tmp_path / "store" / "index")
    a = server.weir("destroy", "--yes")
    assert "left" in a.err
    assert (far / "00000009.seg").read_text() == "mine"
    assert sorted(os.listdir(server.dir)) == ["index", "notes.txt"]


def test_destroy_of_a_damaged_store(server, store):
    with open(os.path.join(server.dir, "journal", "00000001.seg"), "r+") as f:
        f.write("no journal")
    assert "can't be read" in server.weir("destroy", "--dry-run").out
    server.weir("destroy", "--yes")
    assert not os.path.exists(server.dir)


def test_destroy_waits_for_nobody(server, store):
    with open(os.path.join(server.dir, "LOCK"), "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert server.weir("destroy", "--yes", code=6).err
    assert server.weir("check")
