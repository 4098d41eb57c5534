# SPDX-License-Identifier: MIT
"""weir sink run over several sinks: a process for each, whose faults are its
own. The bad ones use the fake sink of the unit tests (fake_sink.c), which does
what a word in a payload says; beside them a JSON sink has to get everything."""

import json
import os
import signal
import time

import pytest

import run

FAKES = os.path.join(run.BUILD, "tests", "unit", "bus", ".libs")
pytestmark = pytest.mark.skipif(
    not os.path.exists(os.path.join(FAKES, "fakehold.so")),
    reason="the fake sink is built with the unit tests (cmocka)",
)


def wait_for(what, timeout=60):
    """Polls until what() holds; a bound, not a delay."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


def stat_of(pid):
    """(state, parent) of a process, or None."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            words = f.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return words[0], int(words[1])


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]


def is_running(pid):
    st = stat_of(pid)
    return st is not None and st[0] not in "ZX"


class River:
    """A store with a fake sink and a JSON sink, and its supervisor."""

    def __init__(self, weir, folder):
        self.weir = weir
        self.folder = folder
        self.log = str(folder / "stderr")
        self.process = None
        weir.env["WEIR_PLUGIN_PATH"] += ":" + FAKES
        weir.env["WEIR_DELIVER_TIMEOUT"] = "1s"
        weir.env["WEIR_RUNNER_MEMORY"] = "0"
        os.mkdir(folder / "target")
        weir("plugin", "fakehold", "--dir", folder / "target")
        weir("plugin", "json", "--path", "m.json")

    def fill(self, n, word=None, at=None):
        """n records of n aggregates, of which one holds the word."""
        lines = []
        for i in range(n):
            text = word if i == at else "fine"
            lines.append(
                '{"aggregate_type":"t","aggregate_id":"%d","event_type":"e",'
                '"payload":{"a":"%s"}}\n' % (i, text)
            )
        self.weir("import", "-", "--fresh-ids", "--batch", "1", "--sink-wait",
                  "0s", input="".join(lines))

    def start(self, *names, **kw):
        import subprocess

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [run.WEIR, "sink", "run", *names], cwd=self.weir.cwd,
                env=self.weir.env, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log, **kw,
            )
        return self.process

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        code = self.process.wait(60)
        self.process = None
        return code

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def status(self, name="fakehold"):
        got = self.weir("sink", "status", name, "--json").json()[0]
        return got

    def pid(self, name):
        """The pid of a sink's runner, once it has one."""
        return wait_for(lambda: self.status(name)["pid"])

    def lines(self, file="m.json"):
        path = self.folder / file
        return path.read_text().splitlines() if path.exists() else []

    def letters(self, name="fakehold"):
        return self.weir(
            "sink", "dead-letters", name, "--json", code=None
        ).json()

    def calls(self):
        path = self.folder / "target" / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def river(weir, tmp_path):
    r = River(weir, tmp_path)
    yield r
    if r.process is not None:
        r.process.kill()
        r.process.wait()


def test_a_process_for_each(river):
    river.fill(3)
    p = river.start()
    wait_for(lambda: len(river.lines()) == 3)
    pids = {river.pid("json"), river.pid("fakehold")}
    assert len(pids) == 2 and set(children_of(p.pid)) == pids
    assert p.pid not in pids
    table = river.weir("sink", "status").out.splitlines()
    assert table[0].split()[-2:] == ["PID", "RESTARTS"]
    assert {int(row.split()[-2]) for row in table[1:]} == pids
    assert river.stop() == 0
    assert not any(map(is_running, pids))
    assert river.said() == ""


def test_interrupted(river):
    p = river.start()
    pid = river.pid("json")
    assert river.stop(signal.SIGINT) == 130
    assert p.returncode == 130
    assert not is_running(pid)


def test_crash(river):
    """The record is found and parked after three crashes on it alone; nothing
    else is lost, and the other sink does not notice."""
    river.fill(40, "CRASH", 17)
    river.start()
    wait_for(lambda: len(river.lines()) == 40)
    letter, = wait_for(river.letters)
    assert letter["aggregate_id"] == "17" and letter["reason"] == "crash"
    wait_for(lambda: river.status()["cursor"] == 40)
    assert river.calls().count("deliver 1 through 18 ") == 3
    st = river.status()
    # 40, 20, 10 ... down to 1 record, and then twice more
    assert 3 <= st["restarts"] <= 10
    assert "signal 6" in st["last_end"] and st["ended_at"]
    assert "signal 6" in river.weir("sink", "status").out
    assert river.status("json")["restarts"] == 0
    assert "fakehold: its runner ended by signal 6" in river.said()
    db = (river.folder / "target" / "db").read_text().splitlines()[1:]
    assert sorted(int(x.split()[0]) for x in db) == [
        n for n in range(1, 41) if n != 18
    ]


def test_hang(river):
    """A plugin that never comes back is killed, and its record found."""
    river.fill(4, "STUCK", 1)
    river.start()
    wait_for(lambda: len(river.lines()) == 4)
    letter, = wait_for(river.letters)
    assert letter["aggregate_id"] == "1" and letter["reason"] == "crash"
    wait_for(lambda: river.status()["cursor"] == 4)
    assert river.calls().count("deliver 1 through 2 ") == 3
    assert "hangs" in river.status()["last_end"]
    assert "hangs" in river.said()
    assert river.status("json")["restarts"] == 0


def test_hang_at_the_end(river):
    """One that hangs does not keep the supervisor from ending."""
    river.weir.env["WEIR_DELIVER_TIMEOUT"] = "5s"
    river.fill(1, "STUCK", 0)
    river.start()
    pid = river.pid("fakehold")
    wait_for(lambda: "deliver" in river.calls())
    assert river.stop() == 0
    assert not is_running(pid)
    assert "fakehold: its runner did not stop in time" in river.said()


def test_prints(river):
    """What a plugin prints is passed on with the sink's name, not all of it."""
    river.weir.env["WEIR_DELIVER_TIMEOUT"] = "30s"
    river.fill(3, "PRINT", 1)
    river.start()
    wait_for(lambda: river.status()["cursor"] == 3)
    wait_for(lambda: len(river.lines()) == 3)
    wait_for(lambda: "left out" in river.said())
    river.stop()
    said = river.said().splitlines()
    printed = [s for s in said if "printed: " in s]
    assert 10 < len(printed) < 1000
    assert any("number 0" in s or "that lies" in s for s in printed)
    for line in said:
        assert line.startswith("weir: warn: fakehold: "), line


def test_memory(river):
    """A runner that holds too much ends in good order and is started anew."""
    river.weir.env["WEIR_RUNNER_MEMORY"] = "150M"
    river.fill(2, "LEAK", 0)
    river.start()
    wait_for(lambda: river.status()["cursor"] == 2)
    first = river.pid("fakehold")
    river.fill(2, "LEAK", 0)
    wait_for(lambda: river.status()["restarts"] == 1)
    assert "runner_memory" in river.status()["last_end"]
    river.fill(1)
    wait_for(lambda: river.status()["cursor"] == 5)
    assert river.pid("fakehold") != first
    assert river.letters() == [] and len(river.lines()) == 5


def test_kill_a_runner(river):
    river.fill(2)
    p = river.start()
    for n in range(1, 6):
        pid = river.pid("json")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: river.status("json")["restarts"] == n)
        assert river.pid("json") != pid
    river.fill(2)
    wait_for(lambda: len(river.lines()) == 4)
    assert all(stat_of(c)[0] != "Z" for c in children_of(p.pid))
    assert len(children_of(p.pid)) == 2


def test_kill_the_supervisor(river):
    """It leaves no child and no lock, whatever the children are doing."""
    river.weir.env["WEIR_DELIVER_TIMEOUT"] = "60s"
    river.fill(1, "STUCK", 0)
    p = river.start()
    pids = [river.pid("json"), river.pid("fakehold")]
    wait_for(lambda: "deliver" in river.calls())
    p.kill()
    p.wait()
    wait_for(lambda: not any(map(is_running, pids)))
    assert river.status()["pid"] is None
    river.fill(1)
    a = river.weir("sink", "run", "--once", "json", "--json").json()
    assert a == {"sinks": 1, "behind": 0, "through": 2}


def links(pid):
    out = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            out[int(fd)] = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except OSError:
            pass
    return out


def test_nothing_leaks_into_a_runner(river):
    """No descriptor of the supervisor's or of its caller, no blocked or ignored
    signal."""
    secret = open(river.folder / "secret", "w")
    blocked = {signal.SIGHUP, signal.SIGUSR1}

    def prepare():
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    river.fill(1)
    p = river.start(pass_fds=[secret.fileno()], preexec_fn=prepare)
    pid = river.pid("json")
    wait_for(lambda: len(river.lines()) == 1)
    assert "secret" in str(links(p.pid))
    mine = links(pid)
    assert mine[0] == "/dev/null" and mine[1] == mine[2] != mine[0]
    assert mine[1].startswith("pipe:") and mine[4] == river.log
    assert not [x for x in mine.values() if x.endswith(("secret", "LOCK"))]
    assert not [x for x in mine.values() if "/fakehold/" in x]
    with open("/proc/%d/status" % pid) as f:
        st = dict(x.split(":", 1) for x in f.read().splitlines() if ":" in x)
    assert int(st["SigBlk"], 16) == 0
    # 32 and 33 are the C library's own: who was started by posix_spawn has
    # them ignored
    ignored = int(st["SigIgn"], 16) & ~(3 << 31)
    assert ignored in (0, 1 << (signal.SIGPIPE - 1))
    secret.close()


def test_changes_are_seen(river):
    river.fill(1)
    p = river.start()
    wait_for(lambda: len(river.lines()) == 1)
    pid = river.pid("json")
    w = river.weir
    w("sink", "pause", "json")
    wait_for(lambda: not is_running(pid))
    river.fill(1)
    wait_for(lambda: river.status()["cursor"] == 2)
    assert len(river.lines()) == 1
    w("sink", "resume", "json", "--sink-wait", "0s")
    wait_for(lambda: len(river.lines()) == 2)
    pid = river.pid("json")
    assert river.status("json")["restarts"] == 0
    # another target while it runs
    w("plugin", "json", "--path", "other.json")
    wait_for(lambda: len(river.lines("other.json")) == 2)
    assert is_running(pid)
    w("plugin", "json", "--disable")
    wait_for(lambda: not is_running(pid))
    w("plugin", "json", "--name", "late", "--path", "late.json")
    wait_for(lambda: len(river.lines("late.json")) == 2)
    pid = river.pid("late")
    w("sink", "remove", "late", "--purge")
    wait_for(lambda: not is_running(pid))
    wait_for(lambda: not (river.folder / "store" / "sinks" / "late").exists())
    assert p.poll() is None


def test_settings_that_can_not_be_read(river):
    """A sink whose settings are broken is told of, and mended without a restart
    of the supervisor."""
    conf = river.folder / "store" / "sinks" / "json" / "sink.conf"
    good = conf.read_text()
    conf.write_text("garbage\n")
    river.fill(1)
    river.start()
    wait_for(lambda: str(conf) in river.said())
    wait_for(lambda: river.status()["cursor"] == 1)
    conf.write_text(good)
    wait_for(lambda: len(river.lines()) == 1)
    assert "json" in river.said()


def test_only_those_named(river):
    river.weir("plugin", "csv", "--output-dir", "c")
    river.fill(1)
    p = river.start("csv", "json")
    pids = {river.pid("json"), river.pid("csv")}
    wait_for(lambda: len(river.lines()) == 1)
    assert set(children_of(p.pid)) == pids
    assert river.status()["pid"] is None
    river.weir("sink", "run", "json", "nosuch", code=3)


def test_words_are_passed_on(river):
    """The children find the plugins and settings that the supervisor was told
    of."""
    w = river.weir
    w.env["WEIR_PLUGIN_PATH"] = w.env["WEIR_PLUGIN_PATH"].replace(":" + FAKES, "")
    for name in ("WEIR_DATA_DIR", "WEIR_DELIVER_TIMEOUT"):
        del w.env[name]
    conf = river.folder / "my.conf"
    conf.write_text("data_dir = %s\ndeliver_timeout = 400ms\n" % w.dir)
    words = ("--config", str(conf), "--plugin-dir", FAKES)
    w("aggregate", "apply", "t", "1", "e", "--field", "a=STUCK", "--sink-wait",
      "0s", *words)
    river.start(*words)
    wait_for(lambda: "did not come back in 0.4 s" in river.said())
    wait_for(lambda: w("sink", "status", "fakehold", "--json", *words)
             .json()[0]["ended_at"])


def test_rotated_files(river):
    river.fill(2)
    river.start()
    wait_for(lambda: len(river.lines()) == 2)
    os.rename(river.folder / "m.json", river.folder / "m.1")
    pid = river.pid("json")
    river.process.send_signal(signal.SIGHUP)
    # what is delivered before the signal comes is in the old file
    wait_for(lambda: river.fill(1) or river.lines())
    end = river.weir("sink", "run", "--once", "json", "--json").json()["through"]
    lines = river.lines("m.1") + river.lines()
    assert [json.loads(x)["sequence"] for x in lines] == list(range(1, end + 1))
    assert river.pid("json") == pid
