# SPDX-License-Identifier: MIT
"""The command line: every command of surface.md section 1 that exists, both
forms, exit codes, JSON answers, help, nearest match."""

import json
import os
import re
import select
import signal
import sqlite3
import sys
import time

import pytest

import run

RECORD = {
    "aggregate_type", "aggregate_id", "event_type", "payload", "metadata",
    "version", "hash", "merkle_root", "sequence", "tags",
}
STATE = {
    "aggregate_type", "aggregate_id", "version", "state", "merkle_root",
    "archived",
}


def table(weir):
    return weir("help", "--json").json()


def has_plugin(name):
    return run.plugin_path(name) is not None


# ---- help, version, wrong words ------------------------------------------------

def test_help_of_every_command(weir):
    t = table(weir)
    assert len(t["commands"]) >= 24
    for c in t["commands"]:
        words = c["command"].split()
        a = weir(*words, "--help")
        b = weir("help", *words)
        assert a.out == b.out
        assert a.out.startswith("weir %s: " % c["command"])
        for o in c["options"] + t["common_options"]:
            assert "--" + o["name"] in a.out
        for line in a.out.splitlines():
            assert len(line) <= 80, line


def test_help_overview(weir):
    out = weir("help").out
    assert out == weir("--help").out == weir("-h").out
    for c in table(weir)["commands"]:
        assert c["command"].split()[0] in out
    for word in ("aggregate", "plugin", "sink"):
        assert weir(word, "--help").out == weir("help", word).out
    for absent in ("__complete",):
        assert not re.search(r"^  %s\b" % absent, out, re.M)


def test_manual_names_every_command_and_option(weir):
    with open(os.path.join(run.SRC, "man", "weir.1"), encoding="utf-8") as f:
        man = f.read()
    sections = re.split(r"^\.It Cm (?=[a-z])", man, flags=re.M)[1:]
    by_command = {}
    t = table(weir)
    for s in sections:
        words = s.split("\n", 1)[0]
        for c in t["commands"]:
            if re.match(re.escape(c["command"]) + r"( |$)", words):
                by_command[c["command"]] = s
    shared = {"sink-wait", "require-sinks", "yes", "dry-run",
              "server", "token-file", "cacert"}
    for o in t["common_options"]:
        assert "Fl -" + o["name"] in man, o["name"]
    for c in t["commands"]:
        assert c["command"] in by_command, c["command"]
        for o in c["options"]:
            where = by_command[c["command"]]
            if o["name"] in shared or o["name"] in (
                    "aggregate", "aggregate-id", "event"):
                where = man
            assert re.search(r"Fl -%s\b" % re.escape(o["name"]), where), (
                c["command"], o["name"])


def test_version(weir):
    assert re.match(r"weir \d+\.\d+\.\d+ \(plugin ABI \d+\.\d+\)\n",
                    weir("version").out)
    assert weir("--version").out == weir("version").out == weir("-V").out
    assert set(weir("version", "--json").json()) == {"version", "sink_abi"}


@pytest.mark.parametrize("args,near", [
    (["agregate"], "aggregate"),
    (["aggregate", "aply"], "aggregate apply"),
    (["sink", "stauts"], "sink status"),
    (["chekc"], "check"),
    (["aggregate", "get", "A", "I", "--vresion", "1"], "--version"),
    (["tail", "--folow"], "--follow"),
    (["--jsno", "check"], "--json"),
])
def test_nearest_match(weir, args, near):
    a = weir(*args, code=2)
    assert a.out == ""
    assert near in a.err and "did you mean" in a.err


@pytest.mark.parametrize("args", [
    [], ["aggregate"], ["aggregate", "nonsense"],
    ["aggregate", "get"], ["aggregate", "get", "A"],
    ["aggregate", "get", "A", "I", "X"],
    ["aggregate", "get", "A", "I", "--version"],
    ["aggregate", "get", "A", "I", "--version", "x"],
    ["aggregate", "get", "A", "I", "--version", "0"],
    ["aggregate", "get", "A", "I", "--version=1", "--version=2"],
    ["aggregate", "get", "A", "I", "--include-events=yes"],
    ["aggregate", "apply", "A", "I"],
    ["aggregate", "apply", "A", "I", "E", "--expected-version", "some"],
    ["aggregate", "apply", "A", "I", "E", "--event-id", "12"],
    ["aggregate", "apply", "A", "I", "E", "--created-at", "yesterday"],
    ["aggregate", "apply", "A", "I", "E", "--field", "novalue"],
    ["aggregate", "apply", "A", "I", "E", "--content", "xml"],
    ["aggregate", "apply", "A", "I", "E", "--sink-wait", "soon"],
    ["aggregate", "list", "--take", "-1"],
    ["check", "-x"], ["sink", "dead-letters", "s", "eat"],
    ["sink", "test"], ["plugin", "info"], ["plugin", "map"],
    ["tail", "-n", "x"],
])
def test_usage_errors(weir, args):
    a = weir(*args, code=2)
    assert a.out == "" and a.err.startswith("weir: ")
    assert not os.path.exists(weir.dir)
    e = weir(*args, "--json", code=2) if args[-1:] != ["--version"] else None
    if e is not None:
        assert e.error()["code"] == "usage" and e.error()["exit"] == 2
        assert len(e.err.splitlines()) == 1


# ---- a missing store -----------------------------------------------------------

@pytest.mark.parametrize("args", [
    ["aggregate", "list"], ["aggregate", "get", "A", "I"],
    ["aggregate", "replay", "A", "I"], ["aggregate", "verify", "A", "I"],
    ["tail"], ["check"], ["sink", "list"], ["sink", "status"],
    ["sink", "run", "--once"], ["sink", "test", "x"], ["sink", "pause", "x"],
    ["sink", "replay", "x"], ["sink", "remove", "x"],
    ["sink", "dead-letters", "x"],
])
def test_missing_store(weir, args):
    a = weir(*args, code=3)
    assert a.out == "" and a.err.startswith("weir: ")
    assert not os.path.exists(weir.dir)
    assert weir(*args, "--json", code=3).error()["exit"] == 3


def test_store_that_may_not_be_read(store):
    """Not allowed is something else than not there."""
    argv = []
    if os.geteuid() == 0:
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if run.run(argv + [run.WEIR, "version"]).returncode != 0:
            pytest.skip("another user can't run the program here")
    else:
        os.chmod(store.dir, 0)
    try:
        p = run.run(argv + [run.WEIR, "check"], env=store.env)
    finally:
        os.chmod(store.dir, 0o700)
    assert p.returncode == 4 and "ermission denied" in p.stderr


def test_data_dir_order(weir, tmp_path):
    for name in ("a", "b", "c"):
        weir("aggregate", "apply", "t", name, "e",
             "--data-dir", tmp_path / name)
    conf = tmp_path / "my.conf"
    conf.write_text("data_dir = %s\n" % (tmp_path / "c"))

    def ids(*args, **env):
        a = weir("aggregate", "list", "--json", *args, env=env)
        return [s["aggregate_id"] for s in a.json()]

    assert ids("--data-dir", tmp_path / "a", "--config", conf) == ["a"]
    assert ids("--config", conf,
               WEIR_DATA_DIR=str(tmp_path / "b")) == ["b"]
    assert ids("--config", conf, WEIR_DATA_DIR="") == ["c"]
    a = weir("aggregate", "apply", "t", "d", "e", env={"WEIR_DATA_DIR": ""})
    assert a.code == 0 and os.path.isdir(tmp_path / ".weir" / "journal")


# ---- apply ---------------------------------------------------------------------

def test_apply_both_forms(weir):
    a = weir.apply("--aggregate", "order", "--aggregate-id=1", "--event",
                   "placed", "--field", "a=b")
    b = weir.apply("order", "1", "paid", "--field", "a=c")
    c = weir.apply("1", "sent", "--aggregate", "order")
    assert [r["version"] for r in (a, b, c)] == [1, 2, 3]
    assert [r["sequence"] for r in (a, b, c)] == [1, 2, 3]
    assert c["aggregate_id"] == "1" and c["event_type"] == "sent"
    assert set(a) == RECORD
    assert a["metadata"]["issued_by"]["user"]
    assert weir("aggregate", "verify", "order", "1", "--json"
                ).json()["merkle_root"] == c["merkle_root"]


def test_apply_pretty_is_the_same_record(weir):
    a = weir("aggregate", "apply", "o", "1", "e", "--payload",
             '{"a":12345678901234567890123,"b":0.10,"c":1e400,'
             '"d":9007199254740993}')
    assert a.out.startswith('{\n  "aggregate_type": "o",\n')
    for number in ("12345678901234567890123", "0.10", "1e400",
                   "9007199254740993"):
        assert ": %s" % number in a.out
    line = weir("tail").out
    assert '{"a":12345678901234567890123,"b":0.10,"c":1e400,' \
        '"d":9007199254740993}' in line


def test_apply_payload_forms(weir, tmp_path):
    (tmp_path / "p.json").write_text('{"from": "file"}\n')
    payload = lambda *args, **kw: weir.apply("t", "1", "e", *args,
                                             **kw)["payload"]
    assert payload() == {}
    assert payload("--payload", '{"x":1}') == {"x": 1}
    assert payload("--payload", "@p.json") == {"from": "file"}
    assert payload("--payload", "-", input='[1, 2]') == [1, 2]
    assert payload("--payload", '{"x":1,"y":2}', "--field", "x=two",
                   "--field", "z:=[3]") == {"x": "two", "y": 2, "z": [3]}
    assert payload("--field", "x=1", "--field", "x=2") == {"x": "2"}
    assert payload("--field", "a=b=c") == {"a": "b=c"}
    assert payload("--field", "quote=\"\\\u00e9") == {"quote": "\"\\\u00e9"}
    assert payload("--content", "text", "--payload", "hello") == "hello"
    assert "$base64" in payload("--content", "bytes", "--payload", "hello")


def test_field_goes_in_place(weir):
    weir("aggregate", "apply", "t", "1", "e", "--payload",
         '{"a":1.0,"b":2,"c":3}', "--field", "b:=2e0")
    assert '"payload":{"a":1.0,"b":2e0,"c":3}' in weir("tail").out


def test_apply_metadata(weir):
    uuid = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0001"
    r = weir.apply("t", "1", "e", "--event-id", uuid, "--tag", "a", "--tag",
                   "b", "--created-at", "2020-02-29T12:00:00+01:00",
                   "--correlation-id", "co", "--causation-id", "ca",
                   "--traceparent", "00-0af7651916cd43dd8448eb211c80319c-"
                   "b7ad6b7169203331-01")
    m = r["metadata"]
    assert m["event_id"] == uuid and r["tags"] == ["a", "b"]
    assert m["created_at"] == "2020-02-29T11:00:00.000000Z"
    assert m["correlation_id"] == "co" and m["causation_id"] == "ca"
    assert m["traceparent"].startswith("00-0af")


def test_event_id_is_idempotent(weir):
    uuid = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0002"
    a = weir.apply("t", "1", "e", "--event-id", uuid, "--field", "x=1")
    b = weir.apply("t", "1", "e", "--event-id", uuid, "--field", "x=1")
    assert a == b
    e = weir("aggregate", "apply", "t", "1", "e", "--event-id", uuid,
             "--field", "x=2", "--json", code=5)
    assert e.error()["code"] == "conflict" and e.out == ""
    assert len(weir("tail", "--from", "1").lines()) == 1


def test_expected_version(weir):
    apply = lambda v, **kw: weir("aggregate", "apply", "t", "1", "e",
                                 "--expected-version", v, "--json", **kw)
    apply("exists", code=5)
    apply("1", code=5)
    apply("none")
    e = apply("none", code=5)
    assert e.error()["version"] == 1
    apply("1")
    apply("exists")
    apply("any")
    assert apply("2", code=5).error()["version"] == 4


@pytest.mark.parametrize("args,code", [
    (["$schema", "1", "e"], 4),
    (["t", "1", "$e"], 4),
    (["t\n", "1", "e"], 1),
    (["t", "x" * 256, "e"], 1),
    (["", "1", "e"], 1),
    (["t", "1", "e", "--payload", "{"], 1),
    (["t", "1", "e", "--payload", '{"a":1,"a":2}'], 1),
    (["t", "1", "e", "--payload", "[" * 65 + "]" * 65], 1),
    (["t", "1", "e", "--payload", '"\\ud800"'], 1),
    (["t", "1", "e", "--payload", "[1]", "--field", "a=b"], 1),
    (["t", "1", "e", "--field", "a:=nope"], 1),
    (["t", "1", "e", "--payload", "@missing"], 3),
    (["t", "1", "e", "--tag", "two words"], 1),
])
def test_refused_input(weir, args, code):
    a = weir("aggregate", "apply", *args, code=code)
    assert a.out == "" and len(a.err.splitlines()) == 1
    assert not os.path.exists(weir.dir)


def test_payload_limits(weir):
    big = '"%s"' % ("x" * ((1 << 20) - 2))
    weir("aggregate", "apply", "t", "1", "e", "--payload", "-", input=big)
    a = weir("aggregate", "apply", "t", "1", "e", "--payload", "-",
             input=big + " ", code=1)
    assert "1048576" in a.err
    bad = weir("aggregate", "apply", "t", "1", "e", "--payload", "-",
               input='"\udcff"', code=1)
    assert "UTF-8" in bad.err or "utf-8" in bad.err


# ---- list, get, replay, verify -----------------------------------------------

def test_list(store):
    all_ = store("aggregate", "list", "--json").json()
    assert [(s["aggregate_type"], s["aggregate_id"]) for s in all_] == [
        ("item", "a"), ("order", "1"), ("order", "2")]
    assert all(set(s) == STATE for s in all_)
    page = store("aggregate", "list", "--skip", "1", "--take", "1", "--json")
    assert page.json() == all_[1:2]
    assert store("aggregate", "list", "--take", "0", "--json").json() == []
    only = store("aggregate", "list", "--aggregate", "ord*", "--json").json()
    assert only == all_[1:]
    text = store("aggregate", "list").out.splitlines()
    assert text[0].split() == ["TYPE", "ID", "VERSION", "ARCHIVED"]
    assert text[2].split() == ["order", "1", "3"]


def test_list_page_size(weir):
    for i in range(12):
        weir.apply("t", "%02d" % i, "e")
    assert len(weir("aggregate", "list", "--json").json()) == 10
    weir("config", "--list-page-size", "3")
    assert len(weir("aggregate", "list", "--json").json()) == 3
    weir("config", "--page-limit", "5")
    a = weir("aggregate", "list", "--json", "--take", "9")
    assert len(a.json()) == 5 and "page_limit" in a.err


def test_get(store):
    s = store("aggregate", "get", "order", "1", "--json").json()
    assert set(s) == STATE and s["version"] == 3
    assert s["state"] == {
        "customer": "Ann", "total": 12.50, "paid": True, "sent": None}
    assert s["archived"] is False
    flags = store("aggregate", "get", "--aggregate", "order",
                  "--aggregate-id", "1", "--json").json()
    assert flags == s
    pretty = store("aggregate", "get", "order", "1").out
    assert json.loads(pretty) == s and '"total": 12.50' in pretty
    old = store("aggregate", "get", "order", "1", "--version", "1",
                "--json").json()
    assert old["state"] == {"customer": "Ann", "total": 12.50}
    assert old["merkle_root"] == store("tail", "--from", "1").lines()[0][
        "merkle_root"]
    events = store("aggregate", "get", "order", "1", "--include-events",
                   "--json").json()["events"]
    assert [e["version"] for e in events] == [1, 2, 3]
    assert store("aggregate", "get", "order", "1", "--version", "4",
                 "--json", code=3).error()["code"] == "not-found"
    assert "aggregate not found" in store(
        "aggregate", "get", "order", "9", code=3).err


def test_replay(store):
    replay = lambda *args: [r["version"] for r in store(
        "aggregate", "replay", "order", "1", *args).lines()]
    assert replay() == [1, 2, 3]
    assert replay("--skip", "1") == [2, 3]
    assert replay("--skip", "1", "--take", "1") == [2]
    assert replay("--take", "0") == [] and replay("--skip", "3") == []
    assert all(set(r) == RECORD for r in store(
        "aggregate", "replay", "--aggregate", "order", "--aggregate-id", "1",
        "--json").lines())
    store("aggregate", "replay", "order", "9", code=3)


def test_verify(store):
    v = store("aggregate", "verify", "order", "1", "--json").json()
    assert v["version"] == 3
    assert v["merkle_root"] == store(
        "aggregate", "get", "order", "1", "--json").json()["merkle_root"]
    assert v["merkle_root"] in store("aggregate", "verify", "order", "1").out


def test_verify_at_a_version(store):
    roots = [r["merkle_root"] for r in
             store("aggregate", "replay", "order", "1").lines()]
    assert len(roots) == 3
    for n, root in enumerate(roots, 1):
        v = store("aggregate", "verify", "order", "1", "--version", n,
                  "--json").json()
        assert v["version"] == n and v["merkle_root"] == root
    store("aggregate", "verify", "order", "1", "--version", "0", code=2)
    store("aggregate", "verify", "order", "1", "--version", "4", code=3)


def flip_payload(weir, what):
    """Changes a stored byte of a payload."""
    folder = os.path.join(weir.dir, "journal")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "r+b") as f:
            at = f.read().find(what)
            if at >= 0:
                f.seek(at)
                f.write(what[:-1] + bytes([what[-1] ^ 1]))
                return
    raise AssertionError("not in the journal")


def test_damage_exits_7(store):
    flip_payload(store, b"Bob")
    e = store("check", "--json", code=7).error()
    assert e["code"] == "damage" and ".seg" in e["message"]


def test_check(store):
    c = store("check", "--json").json()
    assert c["records"] == 5 and c["aggregates"] == 3
    assert re.fullmatch("[0-9a-f]{64}", c["store_root"])
    assert c["store_root"] in store("check").out


def test_reindex(store):
    listed = store("aggregate", "list").out
    index = os.path.join(store.dir, "index")
    for args in ((), ("--heads",), ()):
        got = store("reindex", "--json", *args).json()
        assert got["aggregates"] == 3 and got["records"] == 5
        assert got["records_per_second"] >= 0
        assert any(name.endswith(".mdb") for name in os.listdir(index))
        assert store("aggregate", "list").out == listed
        store("check")
    assert "5 records of 3 aggregates" in store("reindex").out
    # One that is wrong is found, and mended.
    name = [n for n in os.listdir(index) if n.endswith(".mdb")][0]
    with open(os.path.join(index, name), "r+b") as f:
        f.seek(4096 * 3)
        f.write(b"nothing that makes sense")
    store("check")
    store("aggregate", "apply", "order", "1", "placed", "--field", "n=1")
    store("check")
    store("reindex", "--data-dir", "missing", code=3)


# ---- tail ----------------------------------------------------------------------

def test_tail(store):
    seqs = lambda *args: [r["sequence"] for r in store("tail",
                                                       *args).lines()]
    assert seqs() == [1, 2, 3, 4, 5]
    assert seqs("-n", "2") == [4, 5] and seqs("-n0") == []
    assert seqs("--from", "4") == [4, 5] and seqs("--from", "9") == []
    assert seqs("--aggregate", "order", "-n", "2") == [3, 5]
    assert seqs("--aggregate", "item", "--aggregate", "ord?r",
                "--event", "placed") == [1, 3]
    assert seqs("--tag", "new") == [1] and seqs("--tag", "old") == []
    assert seqs("--aggregate-id", "2", "--from", "2") == [3]
    assert all(set(r) == RECORD for r in store("tail").lines())


def read_line(p, timeout=30):
    ready, _, _ = select.select([p.stdout], [], [], timeout)
    assert ready, "nothing came in time"
    return p.stdout.readline()


def test_tail_follow(store):
    p = store.start("tail", "-f", "-n", "1", "--aggregate", "order")
    try:
        assert json.loads(read_line(p))["sequence"] == 5
        store.apply("item", "b", "added")
        store.apply("order", "3", "placed")
        assert json.loads(read_line(p))["sequence"] == 7
        p.send_signal(signal.SIGINT)
        assert p.wait(30) == 130
        assert p.stderr.read() == ""
    finally:
        p.kill()
        p.communicate()


def test_closed_pipe_is_quiet(store):
    p = store.start("tail", "-f", "--from", "1")
    try:
        read_line(p)
        p.stdout.close()
        store.apply("t", "1", "e")
        p.wait(30)
        assert p.stderr.read() == ""
    finally:
        p.kill()
        p.wait()


# ---- config --------------------------------------------------------------------

def test_config(weir, tmp_path):
    c = weir("config", "--json").json()
    assert c["settings"]["list_page_size"] == {"value": "10",
                                               "from": "default"}
    path = tmp_path / "w.conf"
    path.write_text("; mine\nport = 7071\n")
    c = weir("config", "--config", path, "--sink-wait", "1s", "--data-dir",
             tmp_path / "d", "--json").json()
    assert c["settings"]["port"] == {"value": "7071", "from": "file"}
    assert c["settings"]["sink_wait"]["value"] == "1s"
    text = path.read_text()
    assert text.startswith("; mine\n") and "sink_wait" in text
    assert "data_dir = %s\n" % (tmp_path / "d") in text
    c = weir("config", "--config", path, "--unset", "sink-wait", "--json")
    assert c.json()["settings"]["sink_wait"]["from"] == "default"
    weir("config", "--config", path, "--port", "x", code=2)
    assert weir("config", "--config", path, "--json", env={
        "WEIR_PORT": "1234"}).json()["settings"]["port"] == {
            "value": "1234", "from": "environment"}
    weir("config", "--config", tmp_path / "new.conf", "--port", "9")
    assert "port" in (tmp_path / "new.conf").read_text()
    path.write_text("prt = 1\n")
    assert "port" in weir("aggregate", "list", "--config", path, code=1).err


# ---- plugins -------------------------------------------------------------------

def test_plugin_list_and_info(weir):
    names = [p["name"] for p in weir("plugin", "list", "--json").json()]
    for name in run.PLUGINS:
        if has_plugin(name):
            assert name in names
    for name in names:
        i = weir("plugin", "info", name, "--json").json()
        assert set(i) == {"name", "version", "summary", "path", "abi",
                          "capabilities", "needs", "options"}
        assert i["name"] == name
        text = weir("plugin", "info", name).out
        helped = weir("plugin", name, "--help").out
        assert helped == weir("help", "plugin", name).out
        for line in helped.splitlines():
            assert len(line) <= 80, line
        for o in i["options"]:
            assert "--" + o["name"] in text and "--" + o["name"] in helped
        for o in ("name", "disable", "from", "aggregate", "event", "tag"):
            assert "--" + o in helped
    a = weir("plugin", "info", "jsn", code=3)
    assert "json" in a.err
    weir("plugin", "nothing-like-it", "--path", "x", code=3)


def test_plugin_dir(weir, tmp_path):
    (tmp_path / "p").mkdir(mode=0o755)
    broken = tmp_path / "p" / "broken.so"
    broken.write_bytes(b"not a library")
    broken.chmod(0o644)
    rows = weir("plugin", "list", "--plugin-dir", tmp_path / "p",
                "--json").json()
    row = [r for r in rows if r["name"] == "broken"][0]
    assert row["error"] and row["version"] is None
    weir("plugin", "broken", "--plugin-dir", tmp_path / "p", code=None)


def test_plugin_sink_settings(weir, tmp_path):
    s = weir("plugin", "json", "--path", "out.json", "--aggregate", "order",
             "--aggregate", "it*", "--event", "p*", "--tag", "x",
             "--json").json()
    assert s["name"] == "json" and s["enabled"] and not s["paused"]
    assert s["options"]["path"] == str(tmp_path / "out.json")
    assert s["aggregates"] == ["order", "it*"] and s["from"] == 1
    assert weir("sink", "list", "--json").json() == [s]
    # a second time replaces all settings
    s = weir("plugin", "json", "--path", "o2.json", "--pretty",
             "--json").json()
    assert s["aggregates"] == [] and s["options"]["pretty"] == "true"
    weir("plugin", "json", "--disable")
    s = weir("sink", "list", "--json").json()[0]
    assert not s["enabled"] and s["options"]["pretty"] == "true"
    assert weir("plugin", "json", "--path", "o.json", "--json",
                "--pretty=false").json()["enabled"]
    weir("plugin", "json", code=2)
    weir("plugin", "json", "--path", "x", "--nonsense", "1", code=2)
    a = weir("plugin", "json", "--pth", "x", code=2)
    assert "--path" in a.err
    weir("plugin", "json", "--name", "other", "--disable", code=3)
    weir("plugin", "json", "--name", "no/good", "--path", "x", code=None)
    assert len(weir("sink", "list", "--json").json()) == 1
    weir("plugin", "log", "--name", "json", code=1)
    for bad in ("0", "later", "-1"):
        weir("plugin", "json", "--path", "x", "--from", bad, code=2)
    text = weir("sink", "list").out
    assert text.splitlines()[0].split() == ["NAME", "PLUGIN", "STATE",
                                            "RECORDS"]


def test_batch(weir):
    s = weir("plugin", "json", "--path", "x", "--json").json()
    assert s["batch"] == 1000
    s = weir("plugin", "json", "--path", "x", "--batch", "65536",
             "--json").json()
    assert s["batch"] == 65536
    for bad in ("0", "65537", "-1", "many"):
        weir("plugin", "json", "--path", "x", "--batch", bad, code=2)


def test_from(store, tmp_path):
    for name, start, want in (("b", "begin", [1, 2, 3, 4, 5, 6]),
                              ("n", "now", [6]), ("s", "4", [4, 5, 6])):
        store("plugin", "json", "--name", name, "--path", name + ".json",
              "--from", start)
        seqs = lambda: [json.loads(x)["sequence"] for x in
                        (tmp_path / (name + ".json")).read_text()
                        .splitlines()]
    store.apply("t", "1", "e")
    store("sink", "run", "--once")
    for name, want in (("b", [1, 2, 3, 4, 5, 6]), ("n", [6]),
                       ("s", [4, 5, 6])):
        lines = (tmp_path / (name + ".json")).read_text().splitlines()
        assert [json.loads(x)["sequence"] for x in lines] == want


# ---- sinks ---------------------------------------------------------------------

@pytest.fixture
def mirrored(weir):
    if not has_plugin("sqlite"):
        pytest.skip("the sqlite sink is not built")
    weir("plugin", "sqlite", "--path", "m.db")
    weir("plugin", "json", "--path", "m.json")
    return weir


def rows(weir, sql):
    db = sqlite3.connect(os.path.join(weir.cwd, "m.db"))
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_write_delivers(mirrored, tmp_path):
    mirrored.apply("order", "1", "placed", "--field", "customer=Ann")
    assert rows(mirrored, 'SELECT id, version, customer FROM "order"') == [
        ("1", 1, "Ann")]
    assert (tmp_path / "m.json").read_text() == mirrored("tail").out
    for s in mirrored("sink", "status", "--json").json():
        assert s["cursor"] == 1 and s["lag_records"] == 0
        assert s["state"] == "idle" and s["parked"] == 0


def test_sink_wait_zero_leaves_it(mirrored, tmp_path):
    mirrored.apply("order", "1", "placed", "--sink-wait", "0s")
    assert not (tmp_path / "m.json").exists() or \
        (tmp_path / "m.json").read_text() == ""
    s = mirrored("sink", "status", "json", "--json").json()
    assert len(s) == 1 and s[0]["lag_records"] == 1
    a = mirrored("sink", "run", "--once", "--json").json()
    assert a == {"sinks": 2, "behind": 0, "through": 1}
    assert len((tmp_path / "m.json").read_text().splitlines()) == 1


def test_behind_is_a_warning(weir, tmp_path):
    weir("plugin", "json", "--path", "no/such/folder/x.json")
    a = weir("aggregate", "apply", "t", "1", "e")
    assert "json" in a.err and "behind" in a.err
    a = weir("aggregate", "apply", "t", "1", "e", "--require-sinks", code=8)
    assert json.loads(a.out)["version"] == 2
    weir("sink", "run", "--once", code=8)
    s = weir("sink", "status", "--json").json()[0]
    assert s["last_error"] and s["lag_records"] == 2
    text = weir("sink", "status").out
    assert "json" in text and s["last_error"][:30] in text
    assert all(len(line) <= 80 for line in text.splitlines()[:2])
    assert weir("sink", "test", "json", code=None).code != 0
    (tmp_path / "no/such/folder").mkdir(parents=True)
    weir("sink", "resume", "json")
    assert weir("sink", "status", "--json").json()[0]["lag_records"] == 0


def test_sink_test(mirrored):
    for name in ("sqlite", "json"):
        a = mirrored("sink", "test", name, "--json").json()
        assert a["sink"] == name and "message" in a
    mirrored("sink", "test", "nosuch", code=3)


def test_pause_and_resume(mirrored, tmp_path):
    mirrored("sink", "pause", "json", "sqlite")
    mirrored.apply("t", "1", "e")
    for s in mirrored("sink", "status", "--json").json():
        assert s["state"] == "paused" and s["lag_records"] == 1
    assert mirrored("sink", "pause", "json", "--json").json() == {
        "sink": "json", "paused": True}
    mirrored("sink", "resume", "json")
    by = {s["name"]: s for s in mirrored("sink", "status", "--json").json()}
    assert by["json"]["lag_records"] == 0
    assert by["sqlite"]["lag_records"] == 1
    mirrored("sink", "pause", "nosuch", code=3)


def test_replay_again(mirrored, tmp_path):
    mirrored.apply("order", "1", "placed", "--field", "n:=1")
    mirrored.apply("order", "1", "paid", "--field", "n:=2")
    before = (tmp_path / "m.json").read_text()
    (tmp_path / "m.json").write_text("")
    db = sqlite3.connect(tmp_path / "m.db")
    db.execute('UPDATE "order" SET n = 99')
    db.commit()
    db.close()
    dry = mirrored("sink", "replay", "json", "--dry-run")
    assert "2 records" in dry.out
    assert (tmp_path / "m.json").read_text() == ""
    mirrored("sink", "replay", "json")
    assert (tmp_path / "m.json").read_text() == before
    mirrored("sink", "replay", "sqlite", "--from", "2", "--yes")
    assert rows(mirrored, 'SELECT n FROM "order"') == [(2,)]
    mirrored("sink", "replay", "json", "--from", "2", code=2)
    mirrored("sink", "replay", "json", "--from", "0", code=2)
    mirrored("sink", "replay", "nosuch", code=3)


def test_remove(mirrored, tmp_path):
    mirrored.apply("t", "1", "e")
    assert "would remove" in mirrored("sink", "remove", "json",
                                      "--dry-run").out
    assert mirrored("sink", "remove", "json", "--json").json() == {
        "sink": "json", "removed": True}
    assert [s["name"] for s in mirrored("sink", "list", "--json").json()] \
        == ["sqlite"]
    assert (tmp_path / "m.json").exists()
    mirrored("sink", "remove", "json", code=3)
    mirrored("sink", "remove", "sqlite", "--purge")
    assert mirrored("sink", "list", "--json").json() == []


def test_settings_that_can_not_be_read(mirrored, tmp_path):
    """One sink's broken sink.conf hides no other sink, is never passed over
    in silence, and is mended by the command that made it."""
    mirrored.apply("t", "1", "e", "--sink-wait", "0s")
    conf = tmp_path / "store" / "sinks" / "json" / "sink.conf"
    for text in ("garbage\n", "", "[sink]\nplugin = json\nenabled = maybe\n"):
        conf.write_text(text)
        for args in (("list",), ("status",)):
            a = mirrored("sink", *args, code=8)
            assert "sqlite" in a.out and "json" not in a.out
            assert "sink json is left out" in a.err and str(conf) in a.err
            a = mirrored("sink", *args, "--json", code=8)
            assert [s["name"] for s in a.json()] == ["sqlite"]
        assert "weir plugin" in mirrored("sink", "status", "json", code=1).err
        a = mirrored("sink", "run", "--once", code=8)
        assert "sink json" in a.err and str(conf) in a.err
        assert rows(mirrored, "SELECT id FROM t") == [("1",)]
    mirrored("plugin", "json", "--disable", code=1)
    mirrored("plugin", "json", "--path", "m.json")
    mirrored("sink", "run", "--once")
    assert len((tmp_path / "m.json").read_text().splitlines()) == 1
    conf.write_text("garbage\n")
    mirrored("sink", "remove", "json")
    assert [s["name"] for s in mirrored("sink", "list", "--json").json()] \
        == ["sqlite"]


PEAK = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""


def test_memory_threshold_bounds_the_states(weir):
    """Folding 24 MiB of states with a budget of 1 MiB holds fewer of them."""
    weir("import", "-", input="".join(
        json.dumps({"aggregate_type": "t", "aggregate_id": str(i),
                    "event_type": "e", "payload": {"a": "x" * 4096}}) + "\n"
        for i in range(6000)))
    weir.env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + \
        ":quarantine_size_mb=1"
    peaks = []
    for n, budget in enumerate(("64M", "1M")):
        weir("config", "--memory-threshold", budget)
        weir("plugin", "csv", "--name", "n%d" % n, "--output-dir", "n%d" % n)
        # from a small process, as a child begins with its parent's peak
        p = run.run([sys.executable, "-c", PEAK, run.WEIR, "sink", "run",
                     "--once", "n%d" % n], cwd=weir.cwd, env=weir.env, check=0)
        peaks.append(int(p.stdout.splitlines()[-1]))
    assert peaks[0] - peaks[1] > 12 * 1024, peaks


def test_sink_run_once_beside_another(mirrored):
    """A sink that another process delivers for is not behind when that process
    has delivered all."""
    mirrored.apply("t", "1", "e", "--sink-wait", "0s")
    p = mirrored.start("sink", "run", "json")
    try:
        status = lambda: mirrored("sink", "status", "json", "--json").json()[0]
        wait_for(lambda: status()["cursor"] == 1)
        a = mirrored("sink", "run", "--once", "json", "--json").json()
        assert a == {"sinks": 1, "behind": 0, "through": 1}
    finally:
        p.kill()
        p.communicate()


def wait_for(what, timeout=30):
    """Polls until what() holds; a bound, not a delay."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if what():
            return
        time.sleep(0.02)
    raise AssertionError("did not come true in time")


def test_sink_run_until_a_signal(mirrored, tmp_path):
    mirrored.apply("t", "1", "e", "--sink-wait", "0s")
    p = mirrored.start("sink", "run")
    try:
        lines = lambda f: (f.read_text().splitlines() if f.exists() else [])
        wait_for(lambda: len(lines(tmp_path / "m.json")) == 1)
        mirrored.apply("t", "1", "e", "--sink-wait", "0s")
        wait_for(lambda: len(lines(tmp_path / "m.json")) == 2)
        # a sink added while it runs
        mirrored("plugin", "json", "--name", "late", "--path", "late.json")
        wait_for(lambda: len(lines(tmp_path / "late.json")) == 2)
        # a write command waits for the cursors of the runner
        mirrored.apply("t", "1", "e", "--require-sinks", "--sink-wait", "20s")
        assert rows(mirrored, "SELECT version FROM t") == [(3,)]
        s = mirrored("sink", "status", "json", "--json").json()[0]
        assert s["pid"] is not None and s["restarts"] == 0
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == 0
    finally:
        p.kill()
        p.communicate()


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_closed_standard_descriptors(weir, closed):
    """What is printed never ends up in a file of the store."""
    weir.apply("t", "1", "e")
    for expected, code in ((1, 1 if "1" in closed else 0), (7, 5)):
        p = run.run(
            ["sh", "-c", "exec %s aggregate apply t 1 e --expected-version %d %s"
             % (run.WEIR, expected,
                " ".join(fd + ">&-" for fd in closed.split()))],
            cwd=weir.cwd, env=weir.env,
        )
        assert p.returncode == code, p.stderr
    weir("check")
    assert len(weir("export").lines()) == 2


def test_sink_run_interrupted(mirrored):
    mirrored.apply("t", "1", "e", "--sink-wait", "0s")
    p = mirrored.start("sink", "run", "json")
    try:
        wait_for(lambda: mirrored("sink", "status", "json", "--json")
                 .json()[0]["cursor"] == 1)
        p.send_signal(signal.SIGINT)
        assert p.wait(30) == 130
    finally:
        p.kill()
        p.communicate()


# ---- mappings and dead letters ---------------------------------------------------

def test_map_and_dead_letters(mirrored):
    m = mirrored("plugin", "map", "--aggregate", "order", "--field", "n",
                 "--datatype", "INT", "--json").json()
    assert m["datatype"] == "integer" and m["plugin"] is None
    mirrored.apply("order", "1", "placed", "--field", "n:=1")
    a = mirrored("aggregate", "apply", "order", "2", "placed", "--field",
                 "n=many")
    assert "sqlite" in a.err and "dead-letters" in a.err
    mirrored.apply("order", "1", "paid", "--field", "n:=2")
    assert rows(mirrored, 'SELECT id, n FROM "order"') == [("1", 2)]
    d = mirrored("sink", "dead-letters", "sqlite", "--json").json()
    assert len(d) == 1
    assert (d[0]["sequence"], d[0]["aggregate_id"], d[0]["column"]) == (
        2, "2", "n")
    shown = mirrored("sink", "dead-letters", "sqlite", "show", "2",
                     "--json").json()[0]
    assert shown["value"] == "many" and shown["record"]["sequence"] == 2
    assert "message" in shown and "hint" in shown and "attempts" in shown
    assert "many" in mirrored("sink", "dead-letters", "sqlite", "show").out
    text = mirrored("sink", "dead-letters", "sqlite").out
    assert "order 2" in text and "reject" in text
    assert "1 parked" in mirrored("sink", "status").out
    mirrored("sink", "dead-letters", "sqlite", "show", "77", code=3)
    mirrored("sink", "dead-letters", "sqlite", "show", "x", code=2)
    mirrored("sink", "dead-letters", "nosuch", code=3)
    assert "would discard 1" in mirrored(
        "sink", "dead-letters", "sqlite", "discard", "--dry-run").out
    # mending the value heals it
    mirrored.apply("order", "2", "mended", "--field", "n:=3")
    assert ("2", 3) in rows(mirrored, 'SELECT id, n FROM "order"')
    assert mirrored("sink", "dead-letters", "sqlite", "--json").json() == []


def test_map_refused_changes_nothing(mirrored):
    mirrored.apply("order", "1", "placed", "--field", "word=many")
    a = mirrored("plugin", "map", "--aggregate", "order", "--field", "word",
                 "--datatype", "integer", "--plugin", "sqlite", code=1)
    assert "nothing was mapped: sink sqlite: " in a.err
    mirrored.apply("order", "2", "placed", "--field", "word=more")
    assert rows(mirrored, 'SELECT word FROM "order" ORDER BY id') == [
        ("many",), ("more",)]
    assert mirrored("sink", "dead-letters", "sqlite", "--json").json() == []


def test_map_with_a_sink_out_of_reach(weir):
    if not has_plugin("postgres"):
        pytest.skip("the postgres sink is not built")
    weir("plugin", "postgres", "--connection", "host=/nonexistent")
    weir("plugin", "map", "--aggregate", "o", "--field", "f", "--datatype",
         "integer", code=6)
    assert not os.path.exists(os.path.join(weir.dir, "sinks", "map.conf"))


def test_map_wrong(weir):
    mapped = lambda *args, **kw: weir(
        "plugin", "map", "--aggregate", "o", "--field", "f", *args, **kw)
    mapped("--datatype", "drop table", code=None)
    assert mapped("--datatype", "integer; --", code=None).code != 0
    assert mapped("--datatype", "nonsense", code=None).code != 0
    mapped("--datatype", "text", "--plugin", "nosuch", code=3)
    mapped(code=2)


def test_discard(mirrored):
    mirrored("plugin", "map", "--aggregate", "o", "--field", "n",
             "--datatype", "integer")
    mirrored("aggregate", "apply", "o", "1", "e", "--field", "n=x")
    d = mirrored("sink", "dead-letters", "sqlite", "discard", "1", "--json")
    assert d.json() == {"sink": "sqlite", "discarded": 1, "parked": 0,
                        "pending": 0}
    assert mirrored("sink", "dead-letters", "sqlite", "--json").json() == []
    mirrored("sink", "dead-letters", "sqlite", "retry", "1", code=3)


def test_retry(mirrored):
    mapping = ["plugin", "map", "--aggregate", "o", "--field", "n"]
    mirrored(*mapping, "--datatype", "integer")
    mirrored("aggregate", "apply", "o", "1", "e", "--field", "n=x")
    mirrored("aggregate", "apply", "o", "2", "e", "--field", "n=7")
    a = mirrored("sink", "dead-letters", "sqlite", "retry", "--json", code=8)
    assert a.json() == {"sink": "sqlite", "retried": 1, "parked": 1,
                        "pending": 0}
    assert "refused again" in mirrored(
        "sink", "dead-letters", "sqlite", "retry", code=8).out
    mirrored(*mapping, "--datatype", "text")
    mirrored("sink", "dead-letters", "sqlite", "retry", "1")
    assert rows(mirrored, "SELECT id, n FROM o ORDER BY id") == [
        ("1", "x"), ("2", "7")]
    assert mirrored("sink", "dead-letters", "sqlite", "--json").json() == []


def test_json_runs_say_json_only(mirrored):
    mirrored("plugin", "map", "--aggregate", "o", "--field", "n",
             "--datatype", "integer", "--json")
    a = mirrored("aggregate", "apply", "o", "1", "e", "--field", "n=x",
                 "--json")
    for line in a.err.splitlines():
        assert set(json.loads(line)) == {"warning"}


def test_secrets_are_not_shown(weir):
    if not has_plugin("postgres"):
        pytest.skip("the postgres sink is not built")
    dsn = "postgresql://me:hunter2secret@127.0.0.1:1/none"
    weir("plugin", "postgres", "--connection", dsn)
    shown = ""
    for args in (["sink", "list"], ["sink", "list", "--json"],
                 ["sink", "status"], ["sink", "test", "postgres"],
                 ["aggregate", "apply", "t", "1", "e"],
                 ["sink", "run", "--once"], ["sink", "status", "--json"]):
        a = weir(*args, code=None)
        shown += a.out + a.err
    assert "hunter2secret" not in shown
    conf = os.path.join(weir.dir, "sinks", "postgres", "sink.conf")
    assert os.stat(conf).st_mode & 0o777 == 0o600


# ---- one writer, completion ------------------------------------------------------

def test_second_writer_is_told_who_holds_it(store):
    import fcntl
    with open(os.path.join(store.dir, "LOCK"), "r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        a = store("aggregate", "apply", "t", "1", "e", "--json", code=6)
        assert a.error()["code"] == "unreachable"
        store("aggregate", "get", "order", "1")


def complete(weir, *words):
    return weir("__complete", "--", *words).out.split()


def test_completion(mirrored):
    assert "aggregate" in complete(mirrored, "")
    assert complete(mirrored, "agg") == ["aggregate"]
    assert "apply" in complete(mirrored, "aggregate", "")
    assert complete(mirrored, "aggregate", "ap") == ["apply"]
    assert "--expected-version" in complete(
        mirrored, "aggregate", "apply", "--exp")
    assert "json" in complete(mirrored, "plugin", "")
    assert "--pretty" in complete(mirrored, "plugin", "json", "--pr")
    assert set(complete(mirrored, "sink", "status", "")) == {"json",
                                                             "sqlite"}
    assert complete(mirrored, "sink", "dead-letters", "json", "sh") == [
        "show"]
    assert complete(mirrored, "plugin", "map", "--plugin", "js") == ["json"]
    assert complete(mirrored, "aggregate", "apply", "--content", "t") == [
        "text"]
    assert complete(mirrored, "start", "--restrict", "--no") == [
        "--no-sinks"]
    assert complete(mirrored, "nonsense", "") == []
