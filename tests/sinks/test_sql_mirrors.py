# SPDX-License-Identifier: MIT
"""The SQL mirrors behind the program: an append reaches the row."""

import json
import sqlite3

import pytest

import run

NUMBERS = ('{"a":12345678901234567890123,"b":0.10,"c":1e400,'
           '"d":9007199254740993}')


class Mirror:
    """A store with one SQL sink, and how to ask the target."""

    def __init__(self, store, plugin, options, ask):
        self.store = store
        self.plugin = plugin
        self.ask = ask
        self.weir("plugin", plugin, *options)

    def weir(self, *args, check=0):
        return run.weir(*args, data_dir=self.store, check=check)

    def apply(self, kind, ident, payload, event="e", check=0):
        return self.weir("aggregate", "apply", kind, ident, event,
                         "--payload", payload, check=check)

    def deliver(self):
        return self.weir("sink", "run", "--once", check=None)

    def dead(self):
        out = self.weir("sink", "dead-letters", self.plugin, "--json").stdout
        return json.loads(out)


@pytest.fixture(params=["sqlite", "postgres"])
def mirror(request, tmp_path):
    if run.plugin_path(request.param) is None:
        pytest.skip("the %s plugin is not built" % request.param)
    if request.param == "sqlite":
        path = tmp_path / "mirror.db"

        def ask(sql):
            with sqlite3.connect(path) as db:
                return [[None if v is None else str(v) for v in row]
                        for row in db.execute(sql)]

        options = ("--path", path)
    else:
        db = request.getfixturevalue("pg_db")
        ask = db.query
        options = ("--connection", db.uri)
    return Mirror(tmp_path / "store", request.param, options, ask)


def test_numbers_come_back(mirror):
    mirror.apply("n", "1", NUMBERS)
    mirror.deliver()
    assert mirror.ask("SELECT a, b, c, d FROM n") == [
        ["12345678901234567890123", "0.10", "1e400", "9007199254740993"]
    ]


def test_newest_state(mirror):
    for i in range(5):
        mirror.apply("t", "one", '{"i":%d,"f%d":"x"}' % (i, i))
    mirror.apply("t", "two", '{"i":7}')
    mirror.deliver()
    assert mirror.ask("SELECT id, version, i, f0, f4 FROM t ORDER BY id") == [
        ["one", "5", "4", "x", "x"], ["two", "1", "7", None, None],
    ]
    assert mirror.ask("SELECT sequence FROM weir_cursors") == [["6"]]


def test_a_bad_value_parks_its_aggregate_only(mirror):
    mirror.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
                "--datatype", "integer")
    mirror.apply("o", "good", '{"qty":1}')
    mirror.apply("o", "bad", '{"qty":"abc"}', check=None)
    mirror.apply("o", "late", '{"qty":3}', check=None)
    mirror.deliver()
    assert mirror.ask("SELECT id, qty FROM o ORDER BY id") == [
        ["good", "1"], ["late", "3"],
    ]
    text = json.dumps(mirror.dead())
    assert "qty" in text and "abc" in text and '"sequence": 2' in text
    # Mending the value heals it.
    mirror.apply("o", "bad", '{"qty":2}', check=None)
    mirror.deliver()
    assert mirror.ask("SELECT qty, version FROM o WHERE id = 'bad'") == [
        ["2", "2"]
    ]
    # Mending the mapping heals another.
    mirror.apply("o", "worse", '{"qty":"4,5"}', check=None)
    mirror.deliver()
    assert mirror.ask("SELECT id FROM o WHERE id = 'worse'") == []
    mirror.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
                "--datatype", "text")
    mirror.weir("sink", "dead-letters", mirror.plugin, "retry")
    mirror.deliver()
    assert mirror.ask("SELECT qty FROM o ORDER BY id") == [
        ["2"], ["1"], ["3"], ["4,5"],
    ]
    # A cast that would lose something is refused, and changes nothing.
    p = mirror.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
                    "--datatype", "integer", check=1)
    assert "4,5" in p.stderr
    mirror.apply("o", "new", '{"qty":"still text"}')
    mirror.deliver()
    assert mirror.ask("SELECT qty FROM o WHERE id = 'new'") == [["still text"]]


def test_replay_mends_rows(mirror):
    mirror.apply("t", "1", '{"x":"true"}')
    mirror.deliver()
    mirror.ask("UPDATE t SET x = 'false'")
    mirror.weir("sink", "replay", mirror.plugin, check=None)
    mirror.deliver()
    assert mirror.ask("SELECT x FROM t") == [["true"]]


def test_another_store_is_refused(mirror, tmp_path):
    mirror.apply("t", "1", '{"x":1}')
    mirror.deliver()
    first = mirror.store
    options = ["--path", tmp_path / "mirror.db"]
    if mirror.plugin == "postgres":
        conf = first / "sinks" / "postgres" / "sink.conf"
        line = next(ln for ln in conf.read_text().splitlines()
                    if ln.startswith("connection"))
        options = ["--connection", line.split("=", 1)[1].strip().strip('"')]
    other = Mirror(tmp_path / "other", mirror.plugin, options, mirror.ask)
    other.apply("t", "1", '{"x":2}', check=None)
    p = other.deliver()
    assert p.returncode != 0
    assert "store" in p.stderr
    assert mirror.ask("SELECT x FROM t") == [["1"]]


def test_postgres_secret_stays_secret(tmp_path):
    if run.plugin_path("postgres") is None:
        pytest.skip("the postgres plugin is not built")
    store = tmp_path / "store"
    uri = "postgresql://weir:geheim42@127.0.0.1:1/none"
    out = []
    for args in (
        ("plugin", "postgres", "--connection", uri),
        ("sink", "test", "postgres"),
        ("aggregate", "apply", "t", "1", "e", "--payload", "{}"),
        ("sink", "run", "--once"),
        ("sink", "status", "--json"),
        ("plugin", "list", "--json"),
        ("sink", "list", "--json"),
    ):
        p = run.weir(*args, data_dir=store, check=None)
        out += [p.stdout, p.stderr]
    text = "".join(out)
    assert "geheim42" not in text
    assert "127.0.0.1" in text
