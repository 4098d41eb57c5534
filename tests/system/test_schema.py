# SPDX-License-Identifier: MIT
"""Schemas by the command line: the same with a server and without one, binding
for every way to write, and the types of the sinks' columns."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import time

import pytest

import pg
import run

needs_sqlite = pytest.mark.skipif(
    run.plugin_path("sqlite") is None, reason="the sqlite sink is not built"
)


@pytest.fixture
def serve(weir):
    """Starts a server on the folder; ended with the test."""
    started = []

    def start():
        p = subprocess.Popen(
            [run.WEIR, "start", "--foreground", "--port", "0", "--text-port",
             "0"],
            cwd=weir.cwd, env=weir.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(p)
        until = time.monotonic() + 60
        while weir("status", code=None).code != 0:
            assert p.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        return p

    yield start
    for p in started:
        p.send_signal(signal.SIGTERM)
        try:
            p.wait(30)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


# What is typed, and the exit status.
WALK = [
    (0, "schema create --aggregate account --events opened,closed "
        "--snapshot-threshold 50"),
    (5, "schema create account --events x"),
    (0, "schema add --aggregate account --events moved,opened"),
    (0, "schema remove --aggregate account --event moved"),
    (3, "schema remove account --event moved"),
    (0, "schema set account --event opened --field owner:text "
        "--field total:numeric(10,2) --optional-field note"),
    (1, "schema set account --event opened --field owner:txt"),
    (2, "schema set account --event opened"),
    (2, "schema set account --field a"),
    (0, "schema lock account --field secret --field other"),
    (0, "schema unlock account --field other"),
    (0, "schema lock account"),
    (1, "aggregate apply account 1 closed"),
    (0, "schema unlock account"),
    (0, "aggregate apply account 1 closed"),
    (1, "aggregate apply account 1 closed --field secret=1"),
    (1, "aggregate apply account 1 other"),
    (1, "aggregate apply account 1 opened --field owner=a"),
    (1, "aggregate apply account 1 opened --field owner=a --field total=x"),
    (0, "aggregate apply account 1 opened --field owner=5 --field total=12.50"),
    (1, "aggregate apply account 1 opened --field owner=a --field total=1 "
        "--field more=1"),
    (0, "schema list"),
    (0, "schema show account"),
    (3, "schema show nothing"),
    (0, "schema history account"),
    (0, "schema restriction"),
    (0, "schema restriction strict"),
    (1, "aggregate apply free 1 any"),
    (0, "schema restriction true"),
    (1, "schema restriction maybe"),
    (0, "schema delete account --dry-run"),
    (0, "schema delete account --yes"),
    (3, "schema delete account --yes"),
    (0, "aggregate apply account 1 whatever"),
    (0, "schema list --json"),
    (0, "schema create account --events again"),
]


def walk(weir, *more):
    said = []
    for code, line in WALK:
        a = weir(*line.split(), *more, code=code)
        text = "%s\n%s%s" % (line, a.out, a.err)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
        text = re.sub(r"[0-9a-f]{64}", "HASH", text)
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
        said.append(text)
    return said


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_up_and_down(weir, serve, tmp_path, more):
    down = walk(weir, *more)
    first = weir.dir
    weir.dir = os.path.join(weir.cwd, "second")
    weir.env["WEIR_DATA_DIR"] = weir.dir
    serve()
    assert walk(weir, *more) == down
    assert os.path.isdir(first)


def test_show(weir):
    weir("schema", "create", "account", "--events", "opened,closed")
    a = weir("schema", "set", "account", "--event", "opened", "--field",
             "owner:TEXT", "--optional-field", "note", "--json").json()
    assert a["events"] == {
        "opened": {"fields": {
            "owner": {"type": "text", "required": True},
            "note": {"type": None, "required": False}}},
        "closed": {"fields": {}}}
    assert (a["version"], a["locked"], a["field_locks"]) == (2, False, [])
    assert weir("schema", "show", "account", "--json").json() == a
    assert weir("schema", "list", "--json").json() == [a]
    out = weir("schema", "show", "account").out
    assert re.search(r"opened +owner +text +yes", out)
    assert re.search(r"opened +note +- +no", out)
    assert re.search(r"closed +any", out)
    lines = weir("schema", "history", "account", "--json").lines()
    assert [r["event_type"] for r in lines] == ["created", "changed"]
    assert [r["version"] for r in lines] == [1, 2]
    assert lines[0]["metadata"]["issued_by"]["user"]
    # Its records are hidden like all reserved ones.
    assert weir("export").out == "" and "account" in weir(
        "export", "--system").out


def test_declared_type(weir):
    """--field K=V takes the type that is declared."""
    weir("schema", "create", "a", "--events", "e")
    weir("schema", "set", "a", "--event", "e", *[
        x for f in ("t:text", "i:bigint", "n:numeric", "b:boolean", "j:jsonb",
                    "l:integer[]", "d:timestamptz", "u")
        for x in ("--optional-field", f)])
    a = weir("aggregate", "apply", "a", "1", "e", "--json", *[
        x for f in ("t=5", "i=9007199254740993", "n=0.10", "b=true",
                    'j={"k":[1]}', "l=[1,2]", "d=2026-01-02T03:04:05Z", "u=7")
        for x in ("--field", f)])
    assert ('"payload":{"t":"5","i":9007199254740993,"n":0.10,"b":true,'
            '"j":{"k":[1]},"l":[1,2],"d":"2026-01-02T03:04:05Z","u":"7"}'
            in a.out)
    for field in ("i=x", "b=1", "l=1", "n="):
        a = weir("aggregate", "apply", "a", "1", "e", "--field", field, code=1)
        assert "the schema declares it as" in a.err
    # What is typed already, is.
    weir("aggregate", "apply", "a", "1", "e", "--field", "i:=7")
    a = weir("aggregate", "apply", "a", "1", "e", "--field", 'i:="7"', code=1)
    assert 'field i of event e must be bigint, not "7"' in a.err


def test_import_is_bound(weir):
    weir("schema", "create", "a", "--events", "e")
    lines = "".join(
        json.dumps({"aggregate_type": "a", "aggregate_id": "1",
                    "event_type": e, "payload": {}}) + "\n"
        for e in ("e", "f", "e"))
    a = weir("import", "-", "--json", input=lines, code=8)
    assert "event f is not defined for aggregate a" in a.err
    assert len(weir("export").lines()) == 2
    # Again: what is there stays, what was refused is refused.
    weir("schema", "add", "a", "--events", "g")
    a = weir("import", "-", "--json", input=lines, code=8)
    assert len(weir("export").lines()) == 2


def columns(path, table):
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    try:
        return {r[1]: r[2] for r in db.execute(
            "PRAGMA table_info(%s)" % table)}
    finally:
        db.close()


@needs_sqlite
def test_columns(weir):
    path = os.path.join(weir.cwd, "m.db")
    weir("plugin", "sqlite", "--path", path)
    weir("schema", "create", "a", "--events", "e")
    weir("schema", "set", "a", "--event", "e", "--optional-field",
         "n:numeric(10,2)", "--optional-field", "t:timestamptz",
         "--optional-field", "m:bigint")
    weir("plugin", "map", "--aggregate", "a", "--field", "t", "--datatype",
         "timestamptz")
    a = weir("plugin", "map", "--aggregate", "a", "--field", "m", "--datatype",
             "text")
    assert "the schema of a declares m as bigint" in a.err
    weir("aggregate", "apply", "a", "1", "e", "--field", "n=1.50", "--field",
         "t=2026-01-02T03:04:05Z", "--field", "m=7")
    db = sqlite3.connect(path)
    rows = [r for r in db.execute("SELECT * FROM weir_columns")]
    cells = db.execute("SELECT n, typeof(n), t, m, typeof(m) FROM a").fetchall()
    db.close()
    types = {r[2]: r[-2:] for r in rows if r[0] == "column"}
    assert types == {"n": ("numeric(10,2)", "declared"),
                     "t": ("timestamptz", "base"), "m": ("text", "base")}
    assert cells == [("1.50", "text", "2026-01-02T03:04:05Z", "7", "text")]


@needs_sqlite
def test_running_sink_follows(weir, serve):
    """A type declared while the sink runs is that of a column made after."""
    path = os.path.join(weir.cwd, "m.db")
    weir("plugin", "sqlite", "--path", path)
    serve()
    weir("aggregate", "apply", "a", "1", "e", "--field", "first=1",
         "--sink-wait", "60s", "--require-sinks")
    before = columns(path, "a")
    weir("schema", "create", "a", "--events", "e")
    weir("schema", "set", "a", "--event", "e", "--optional-field",
         "first", "--optional-field", "n:bigint", "--optional-field",
         "w:boolean")
    weir("aggregate", "apply", "a", "1", "e", "--field", "n=7", "--field",
         "w=true", "--sink-wait", "60s", "--require-sinks")
    after = columns(path, "a")
    assert {k: after[k] for k in before} == before
    assert after["n"].upper() in ("INTEGER", "BIGINT")


# Values at the edges of each type: what is taken is in every mirror.
VALUES = {
    "text": ['""', '"a\\u00e9\\ud83d\\ude00\\n\\t\\""', "null"],
    "boolean": ["true", "false", "null"],
    "smallint": ["-32768", "32767", "0", "-0"],
    "integer": ["2147483647", "-2147483648"],
    "bigint": ["9223372036854775807", "-9223372036854775808"],
    "numeric": ["0.1", "1e400", "-12345678901234567890.0123456789", "1E-20",
                "0e99", "1" + 200 * "0", "-0.0", "1e131071"],
    "numeric(5,2)": ["999.99", "-0.01", "1e2", "12345e-2", "0.10000", "0e9"],
    "numeric(3)": ["999", "1.0", "10e1"],
    "double precision": ["1e307", "-1.5", "1e-307", "0", "0.1", "9e306"],
    "real": ["1e37", "0.1", "1e-37", "16777217"],
    "varchar(3)": ['"abc"', '"\\u00e9\\ud83d\\ude00x"', '"\xe9\xe9x"', '""'],
    "char(2)": ['"ab"', '"a"', '""'],
    "date": ['"2026-02-28"', '"0001-01-01"', '"9999-12-31"'],
    "time": ['"23:59:59.999999"', '"10:11"', '"10:11:12"', '"00:00:00"'],
    "timestamp": ['"2026-01-02T03:04:05"', '"2026-01-02 03:04:05.5"',
                  '"0001-01-01T00:00:00"', '"2026-01-02t03:04:05.1234560"'],
    "timestamptz": ['"2026-01-02T03:04:05Z"', '"2026-01-02T03:04:05+02:00"',
                    '"9999-12-31T23:59:59.999999Z"', '"0001-01-01T00:00:00Z"',
                    '"2026-01-02T03:04:05.100000000-15:59"'],
    "uuid": ['"00000000-0000-0000-0000-00000000000A"'],
    "jsonb": ["1", "{}", '{"a":[1,"\\u00e9"]}', "null", '"a"', "1e400"],
    "json": ["1", "[]", "null"],
    "bytea": ['"\\\\x00ff"', '"plain"', '""', '{"$base64":"AAE="}'],
    "integer[]": ["[]", "[1,2,null]", "null"],
    "text[]": ['["a","b \\"c\\"",""]', "[]"],
    "numeric(5,2)[]": ["[1.50,2]"],
    "boolean[]": ["[true,false]"],
    "timestamptz[]": ['["2026-01-02T03:04:05Z"]'],
}


@pytest.mark.parametrize("sink", ["sqlite", "csv", "postgres"])
def test_what_is_taken_fits(weir, sink, request):
    if run.plugin_path(sink) is None:
        pytest.skip("the sink is not built")
    if sink == "postgres":
        if not (pg.find_bin() or os.environ.get("WEIR_TEST_STRICT")):
            pytest.skip("there is no PostgreSQL")
        db = request.getfixturevalue("pg_db")
        options = ["--connection", db.uri]
    else:
        options = {"sqlite": ["--path", "m.db"],
                   "csv": ["--output-dir", "csv"]}[sink]
    weir("plugin", sink, *options)
    weir("schema", "create", "v", "--events", "e")
    weir("schema", "set", "v", "--event", "e", *[
        x for i, t in enumerate(VALUES) for x in (
            "--optional-field", "f%d:%s" % (i, t))])
    lines = "".join(
        '{"aggregate_type":"v","aggregate_id":"%d-%d","event_type":"e",'
        '"payload":{"f%d":%s}}\n' % (i, k, i, value)
        for i, values in enumerate(VALUES.values())
        for k, value in enumerate(values))
    a = weir("import", "-", "--sink-wait", "60s", "--require-sinks",
             input=lines, code=None)
    parked = weir("sink", "dead-letters", sink, "--json").json()
    status = weir("sink", "status", "--json").json()[0]
    assert parked == [] and status["parked"] == 0
    assert a.code == 0, a.err
    assert status["lag_records"] == 0
