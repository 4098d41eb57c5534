# SPDX-License-Identifier: MIT
"""Mirrors equal the truth: whatever a payload holds, the rows, cells and lines
of every mirror are what the fold of the journal says."""

import json
import os
import random
import sqlite3
from urllib.parse import unquote

import pytest

import pg
import run
import truth

EXACT = '{"a":12345678901234567890123,"b":0.10,"c":1e400,"d":9007199254740993}'


class Mirrors:
    def __init__(self, folder, db):
        self.folder = str(folder)
        self.store = os.path.join(self.folder, "store")
        self.sqlite = os.path.join(self.folder, "mirror.db")
        self.csv = os.path.join(self.folder, "csv")
        self.json = os.path.join(self.folder, "records.ndjson")
        self.db = db

    def weir(self, *args, **kw):
        return run.weir(*args, data_dir=self.store, **kw)

    def configure(self, *names):
        options = {
            "sqlite": ["--path", self.sqlite],
            "csv": ["--output-dir", self.csv],
            "json": ["--path", self.json],
            "postgres": ["--connection", self.db.uri if self.db else ""],
        }
        for name in names:
            self.weir("plugin", name, *options[name])

    def append(self, records):
        lines = "".join(json.dumps(r) + "\n" for r in records)
        self.import_(lines)

    def import_(self, text):
        self.weir("import", "--fresh-ids", "--sink-wait", "0s", "-", input=text)

    def truth(self):
        return truth.records(self.weir("export").stdout)

    def csv_names(self):
        """(type -> file, (type, field) -> column), from the sink's cursor."""
        files, columns = {}, {}
        with open(os.path.join(self.csv, ".weir-cursor"), encoding="utf-8") as f:
            for line in f:
                word = [unquote(w) for w in line.rstrip("\n").split(" ")]
                if word[:2] == ["note", "table"]:
                    files[word[2]] = os.path.join(self.csv, word[3] + ".csv")
                elif word[:2] == ["note", "column"]:
                    columns[word[2], word[3]] = word[4]
        return files, columns

    def verify(self):
        self.weir("sink", "run", "--once", timeout=120)
        recs = self.truth()
        fold = truth.fold(recs)
        truth.sqlite_is(fold, self.sqlite)
        truth.json_is(recs, self.json)
        if self.db:
            truth.postgres_is(fold, self.db)
        files, columns = self.csv_names()
        truth.csv_is(
            recs, files.__getitem__, lambda t, f: columns.get((t, f), f)
        )
        return recs


@pytest.fixture
def mirrors(tmp_path, request):
    db = None
    if run.plugin_path("postgres") and (
        pg.find_bin() or os.environ.get("WEIR_TEST_STRICT")
    ):
        db = request.getfixturevalue("pg_db")
    m = Mirrors(tmp_path, db)
    m.configure("sqlite", "csv", "json", *(["postgres"] if db else []))
    return m


def body(id, payload, type="thing", event="changed"):
    """A line for import; payload is raw JSON."""
    return (
        '{"aggregate_type":%s,"aggregate_id":%s,"event_type":%s,"payload":%s}\n'
        % (json.dumps(type), json.dumps(id), json.dumps(event), payload)
    )


def test_exact_numbers(mirrors):
    mirrors.import_(body("n", EXACT))
    mirrors.verify()
    got = mirrors.weir("aggregate", "get", "thing", "n", "--json").stdout
    assert EXACT in got
    assert '"payload":' + EXACT in mirrors.weir("export").stdout
    with open(mirrors.json) as f:
        assert '"payload":' + EXACT in f.read()
    want = list(truth.members(EXACT).values())
    with open(os.path.join(mirrors.csv, "thing.csv"), newline="") as f:
        assert f.read().splitlines()[1].endswith(",".join(want))
    db = sqlite3.connect(mirrors.sqlite)
    row = db.execute("SELECT a, b, c, d FROM thing").fetchone()
    assert [str(cell) for cell in row] == want
    if mirrors.db:
        rows = mirrors.db.query("SELECT a, b, c, d FROM thing")
        assert rows == [want]


VALUES = (
    "1", "-0", "0.10", "1e400", "1E-7", "-12.50e3", "9223372036854775807",
    "9223372036854775808", "123456789012345678901234567890.000", "true",
    "false", "null", '""', '"plain"', '"with \\"quotes\\" and, commas; tabs\\t"',
    '"line\\r\\nbreak"', '"\\u00e9\\ud83d\\ude00 \U0001f600 \u4e2d"', '"=2+3"',
    '" spaces "', '"NULL"', '"\\\\N"', '"{}"', '"true"', '"0.10"', '"\'"',
    "[]", "{}", '[1,2.50,"x",null]', '{"k":{"deep":[1]},"z":"\\n"}',
    '"' + "long " * 5000 + '"',
)
FIELDS = (
    "a", "b", "id", "version", "order", "select", "ID", "created_at", "Name",
    "name", "na me", "na-me", "_value", "1st", "", "\u00fcml\u00e4ut", "x" * 128,
    "x" * 127 + "y", 'quo"te', "semi;colon", "updated_by", "field_id", "oid",
    "rowid", "ctid", "xmin", "tableoid",
)
TYPES = ("thing", "Thing", "th ing", "th-ing", "order", "weir_cursors", "sqlite_x")


def test_every_shape(mirrors):
    """A seeded crowd of records whose names and values meet every rule."""
    r = random.Random(7)
    fields = [f for f in FIELDS if f]
    lines = []
    for _ in range(600):
        names = r.sample(fields, r.randint(0, 5))
        payload = ",".join(
            "%s:%s" % (json.dumps(n), r.choice(VALUES)) for n in names
        )
        lines.append(
            body("id %d" % r.randint(0, 40), "{%s}" % payload, r.choice(TYPES))
        )
        if r.random() < 0.05:
            lines.append(body("id %d" % r.randint(0, 40), r.choice(VALUES)))
    cut = len(lines) // 3
    mirrors.import_("".join(lines[:cut]))
    mirrors.verify()
    mirrors.import_("".join(lines[cut:]))
    recs = mirrors.verify()
    assert len(recs) == len(lines)


def test_null_survives_widening(mirrors):
    """A null in a column of objects is still no text when the column widens."""
    for payload in ('{"a":{}}', '{"a":null}', '{"a":"null"}', '{"a":"text"}'):
        mirrors.import_(body(payload, payload))
        mirrors.verify()


def test_many_columns(mirrors):
    payload = ",".join('"column %d":%d' % (i, i) for i in range(200))
    mirrors.import_(body("wide", "{%s}" % payload) + body("narrow", '{"a":1}'))
    mirrors.verify()


def test_replay_gives_the_same(mirrors):
    mirrors.import_(
        "".join(body("i%d" % (i % 7), '{"n":%d,"m":"x"}' % i) for i in range(60))
    )
    mirrors.verify()
    for name in ["sqlite", "csv", "json"] + (["postgres"] if mirrors.db else []):
        mirrors.weir("sink", "replay", name, "--yes")
    mirrors.verify()


def park(mirrors, sink):
    """Maps a column, appends a value that does not fit it among others that do,
    and returns the dead letters."""
    mirrors.weir("plugin", "map", "--aggregate", "thing", "--field", "n",
                 "--datatype", "integer", "--plugin", sink)
    mirrors.import_(
        body("good", '{"n":1}') + body("bad", '{"n":"not a number"}')
        + body("good", '{"n":2}') + body("other", '{"n":3}')
    )
    mirrors.weir("sink", "run", "--once", sink, check=None)
    text = mirrors.weir("sink", "dead-letters", sink, "list").stdout
    shown = mirrors.weir(
        "sink", "dead-letters", sink, "list", "--json"
    ).stdout
    assert "bad" in text
    return shown


@pytest.mark.parametrize("sink", ["sqlite", "postgres"])
def test_misfit_parks_its_aggregate_only(mirrors, sink):
    if sink == "postgres" and not mirrors.db:
        pytest.skip("no PostgreSQL server is installed")
    shown = park(mirrors, sink)
    for part in ("bad", '"n"', "not a number", "2"):
        assert part in shown, shown
    rows = "SELECT id, n FROM thing ORDER BY id"

    def seen():
        if sink == "postgres":
            return [tuple(r) for r in mirrors.db.query(rows)]
        db = sqlite3.connect(mirrors.sqlite)
        got = [(a, str(b)) for a, b in db.execute(rows)]
        db.close()
        return got

    assert seen() == [("good", "2"), ("other", "3")]
    # A newer value that fits heals it.
    mirrors.import_(body("bad", '{"n":7}'))
    mirrors.weir("sink", "run", "--once", sink)
    assert seen() == [("bad", "7"), ("good", "2"), ("other", "3")]
    left = mirrors.weir("sink", "dead-letters", sink, "list").stdout
    assert "bad" not in left


TYPED = (
    ("integer", "-2147483648", '"-2147483648"', "integer"),
    ("bigint", "9223372036854775807", "9223372036854775807", "bigint"),
    ("numeric(10,2)", "12345678.90", "12345678.90", "numeric"),
    ("boolean", "true", "true", "boolean"),
    ("timestamptz", '"2024-02-29T12:00:00.5Z"', "2024-02-29 12:00:00.5+00",
     "timestamp with time zone"),
    ("date", '"2024-02-29"', "2024-02-29", "date"),
    ("uuid", '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"',
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "uuid"),
    ("jsonb", '{"b":1,"a":[0.10]}', '{"a": [0.10], "b": 1}', "jsonb"),
    ("varchar(5)", '"h\u00e9llo"', "h\u00e9llo", "character varying"),
    ("double precision", "0.5", "0.5", "double precision"),
    ("text", '"12"', "12", "text"),
)


def test_typed_mappings_hold(mirrors):
    if not mirrors.db:
        pytest.skip("no PostgreSQL server is installed")
    members = []
    for i, (datatype, raw, _, _) in enumerate(TYPED):
        mirrors.weir("plugin", "map", "--aggregate", "typed", "--field",
                     "f%d" % i, "--datatype", datatype, "--plugin", "postgres")
        members.append('"f%d":%s' % (i, raw))
    mirrors.import_(body("one", "{%s}" % ",".join(members), "typed"))
    mirrors.weir("sink", "run", "--once", "postgres")
    types = dict(mirrors.db.query(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        "WHERE attrelid = 'typed'::regclass AND attnum > 0"
    ))
    for i, (datatype, raw, shown, name) in enumerate(TYPED):
        assert types["f%d" % i] == name, datatype
        got = mirrors.db.query(
            "SET TimeZone='UTC'; SELECT f%d::text FROM typed" % i
        )
        assert got == [[shown.strip('"')]], datatype


def test_target_of_another_store_is_blocked(mirrors, tmp_path):
    mirrors.import_(body("a", "{}"))
    mirrors.weir("sink", "run", "--once")
    other = str(tmp_path / "other")
    run.weir("plugin", "sqlite", "--path", mirrors.sqlite, data_dir=other)
    run.weir("aggregate", "apply", "thing", "b", "made", "--sink-wait", "0s",
             data_dir=other)
    p = run.weir("sink", "run", "--once", data_dir=other, check=None)
    assert p.returncode != 0
    status = run.weir("sink", "status", data_dir=other).stdout
    ids = [
        open(os.path.join(d, "STORE")).read() for d in (mirrors.store, other)
    ]
    assert ids[0] != ids[1]
    assert "blocked" in status
    db = sqlite3.connect(mirrors.sqlite)
    assert db.execute("SELECT id FROM thing").fetchall() == [("a",)]
