# SPDX-License-Identifier: MIT
"""The file sinks as a user meets them: what goes in comes out, and what can
be mended heals."""

import csv
import io
import json
import shutil

import pytest

import run

PAYLOAD = (
    '{"a":12345678901234567890123,"b":0.10,"c":1e400,"d":9007199254740993}'
)


@pytest.fixture
def store(tmp_path):
    for name in ("json", "csv", "log"):
        if run.plugin_path(name) is None:
            pytest.skip("the %s plugin is not built" % name)
    data = tmp_path / "store"

    def weir(*args, **kw):
        return run.weir(*args, data_dir=data, **kw)

    weir.home = tmp_path
    weir("aggregate", "apply", "t", "1", "made", "--payload", PAYLOAD)
    return weir


def apply(store, *fields, **kw):
    return store("aggregate", "apply", "t", "1", "changed",
                 *[x for f in fields for x in ("--field", f)], **kw)


def test_exact(store):
    out, folder = store.home / "out.json", store.home / "csv"
    store("plugin", "json", "--path", out)
    store("plugin", "csv", "--output-dir", folder)
    apply(store, "e=x,\"y")
    lines = out.read_text().splitlines()
    assert '"payload":%s,' % PAYLOAD in lines[0]
    assert [json.loads(x)["version"] for x in lines] == [1, 2]
    text = (folder / "t.csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0][6:] == ["a", "b", "c", "d", "e"]
    numbers = ["12345678901234567890123", "0.10", "1e400", "9007199254740993"]
    assert [r[6:] for r in rows[1:]] == [numbers + [""], numbers + ['x,"y']]


def test_replay_mends_at_once(store):
    out = store.home / "out.json"
    store("plugin", "json", "--path", out)
    store("sink", "run", "--once")
    whole = out.read_bytes()
    out.write_bytes(whole[:50])
    apply(store, "x=1")
    assert "holds 50 bytes" in store("sink", "status", "json").stdout
    store("sink", "replay", "json")
    store("sink", "run", "--once", "json")
    assert out.read_bytes().startswith(whole)
    assert len(out.read_text().splitlines()) == 2


def test_another_store(store, tmp_path):
    out = store.home / "out.json"
    store("plugin", "json", "--path", out)
    store("sink", "run", "--once")
    before = out.read_bytes()
    other = tmp_path / "other"
    run.weir("aggregate", "apply", "t", "1", "made", "--payload", "{}",
             data_dir=other)
    run.weir("plugin", "json", "--path", out, data_dir=other)
    p = run.weir("sink", "run", "--once", data_dir=other, check=None)
    assert p.returncode != 0
    assert "store" in p.stderr
    assert out.read_bytes() == before


def test_a_file_of_another_sink(store):
    """Neither delivering nor a replay touches a file of the CSV sink."""
    folder = store.home / "csv"
    store("plugin", "csv", "--output-dir", folder)
    apply(store, "x=1")
    whole = (folder / "t.csv").read_bytes()
    store("plugin", "json", "--path", folder / "t.csv")
    p = store("sink", "run", "--once", "json", check=8)
    assert "t.csv belongs to the sink csv" in p.stderr
    assert store("sink", "test", "json", check=4).stderr.count("belongs") == 1
    store("sink", "replay", "json", check=None)
    store("sink", "run", "--once", "json", check=8)
    assert (folder / "t.csv").read_bytes() == whole
    # another file in that folder is nobody's
    store("plugin", "json", "--path", folder / "t.json")
    store("sink", "run", "--once")
    assert len((folder / "t.json").read_text().splitlines()) == 2
    apply(store, "x=2")
    assert (folder / "t.csv").read_bytes().startswith(whole)


def test_a_store_put_back(store):
    """A target that is ahead of its store gets nothing till it is replayed."""
    out, folder = store.home / "out.json", store.home / "csv"
    journal = store.home / "store" / "journal"
    shutil.copytree(journal, store.home / "older")
    store("plugin", "json", "--path", out)
    store("plugin", "csv", "--output-dir", folder)
    store("plugin", "log")
    apply(store, "x=1")
    shutil.rmtree(journal)
    shutil.copytree(store.home / "older", journal)
    (store.home / "store" / "live").unlink()
    p = store("sink", "run", "--once", check=8)
    assert p.stderr.count("put back to an older state") >= 3
    assert len(out.read_text().splitlines()) == 2
    for name in ("json", "csv", "log"):
        store("sink", "replay", name, check=None)
    store("sink", "run", "--once")
    truth = store("export").stdout
    assert out.read_text() == truth and truth.count("\n") == 1
    assert len((folder / "t.csv").read_text().splitlines()) == 2


def test_template_is_checked(store):
    p = store("plugin", "log", "--template", "{id} {who}", check=2)
    assert "unknown placeholder {who} at byte 5" in p.stderr
    store("plugin", "log", "--level", "warn", "--template", "<{state.x}>")
    assert "warn <a\\nb>" in apply(store, "x=a\nb").stderr
