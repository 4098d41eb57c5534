# SPDX-License-Identifier: MIT
"""Where a server's messages go: file, journal, JSON, levels, requests; anew on
SIGHUP, and those of its sinks with them."""

import json
import os
import signal
import subprocess
import time

import pytest

import run
import served


@pytest.fixture
def server(tmp_path):
    s = served.Server(tmp_path)
    yield s
    s.end()


def config(server, *options):
    run.weir("config", *options, data_dir=server.dir)


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def wait_for(what):
    until = time.monotonic() + served.PATIENCE
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_json_with_requests(server):
    path = os.path.join(server.dir, "weir.diag")
    config(server, "--diag-target", "file", "--diag-format", "json",
           "--diag-levels", "api=debug,server=info")
    assert server.start(), server.words()
    server.make_token()
    server.ask("POST", "/v1/events", served.event("a", 1), check=201,
               headers={"X-Request-Id": "my-id.1"})
    server.ask("GET", "/v1/aggregates/load/none", check=404)
    # told when the answer is out
    wait_for(lambda: any("none: 404" in x for x in lines_of(path)))
    seen = [json.loads(x) for x in lines_of(path)]
    assert {"server", "api"} <= {m["area"] for m in seen}
    one = wait_for(lambda: [
        m for m in map(json.loads, lines_of(path))
        if m.get("request_id") == "my-id.1"
    ])[0]
    assert one["message"] == "POST /v1/events: 201"
    assert (one["level"], one["area"]) == ("debug", "api")
    assert one["time"].endswith("Z")
    (gone,) = [m for m in seen if "none: 404" in m["message"]]
    assert gone["request_id"] not in ("", "my-id.1")
    assert server.token not in "".join(lines_of(path))
    server.stop()
    assert "my-id.1" not in server.words()


def test_long_target(server):
    path = os.path.join(server.dir, "weir.diag")
    config(server, "--diag-target", "file", "--diag-levels", "api=debug")
    assert server.start(), server.words()
    server.make_token()
    target = "/v1/aggregates/load/" + "n" * 250
    server.ask("GET", target, check=404)
    said = wait_for(lambda: [x for x in lines_of(path) if "n" * 250 in x])
    assert "GET %s: 404" % target in said[0]


def test_hangup(server, tmp_path):
    """Moved away, the file is begun anew, by the sinks' processes too; settings
    are read again, and bad ones are not taken."""
    path = os.path.join(server.dir, "weir.diag")
    config(server, "--diag-target", "file", "--diag-level", "info")
    server.start()
    run.weir("plugin", "log", "--level", "info", data_dir=server.dir)
    server.make_token()

    def post():
        server.ask("POST", "/v1/events", served.event("a", 1), check=201)

    def shown(text, where=path):
        return lambda: [x for x in lines_of(where) if text in x]

    post()
    wait_for(shown("aggregate=load id=a event=put"))
    os.rename(path, path + ".1")
    server.process.send_signal(signal.SIGHUP)
    wait_for(shown("settings were read again"))
    post()
    # the sink's process took its own signal: at the latest with the next
    wait_for(lambda: shown("aggregate=load")() or post())
    config(server, "--diag-format", "{level} <{message}>")
    server.process.send_signal(signal.SIGHUP)
    wait_for(shown("info <settings were read again>"))
    with open(os.path.join(server.dir, "weir.conf"), "a") as f:
        f.write("\ndiag_rate = many\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(shown('"diag_rate" must be a whole number'))
    assert shown("error <")() and shown("old settings stay")()
    server.stop()


def test_journald(server):
    """Each line has its priority when journald is at the other end."""
    with open(server.said, "wb") as f:
        st = os.fstat(f.fileno())
    config(server, "--diag-level", "info")
    env = dict(os.environ, JOURNAL_STREAM="%d:%d" % (st.st_dev, st.st_ino))
    assert server.start(env)
    run.weir("plugin", "http", "--endpoint", "http://127.0.0.1:1/",
             data_dir=server.dir)
    server.make_token()
    server.ask("POST", "/v1/events", served.event("a", 1), check=201)
    wait_for(lambda: [x for x in lines_of(server.said) if ": http: " in x])
    server.stop()
    seen = lines_of(server.said)
    assert any(x.startswith("<6>weir: info: server: ready") for x in seen)
    assert all(x[0] == "<" and x[1] in "3467" and x[2] == ">" for x in seen)


def test_background(server):
    """Nobody sees its stderr."""
    config(server, "--diag-level", "info")
    ports = ("--port", "0", "--text-port", "0")
    out = run.weir("start", "--json", *ports, data_dir=server.dir)
    try:
        path = os.path.join(server.dir, "weir.diag")
        assert [x for x in lines_of(path) if " info server: ready" in x]
        os.rename(path, path + ".1")
        os.kill(json.loads(out.stdout)["pid"], signal.SIGHUP)
        wait_for(lambda: [x for x in lines_of(path) if "read again" in x])
    finally:
        run.weir("stop", data_dir=server.dir)


def test_refused(server):
    config(server, "--diag-target", "file", "--diag-file", "/none/such/file")
    assert not server.start()
    assert "/none/such/file" in server.words()
    p = subprocess.run(
        [run.WEIR, "start", "--port", "0", "--text-port", "0", "--data-dir",
         server.dir],
        capture_output=True, text=True, timeout=served.PATIENCE,
    )
    assert p.returncode != 0
    assert "/none/such/file" in p.stderr
