# SPDX-License-Identifier: MIT
"""The histories of the PostgreSQL sink: a row for every version, equal to the
fold of the journal at that version, whatever happens on the way."""

import json
import os
import random
import signal
import subprocess

import pytest

import run
import truth

SHIM = os.path.join(run.BUILD, "tests", "crash", ".libs", "shim.so")
TYPES = ("order", "Order line", "order_history")


class Store:
    def __init__(self, folder, db):
        self.folder = folder
        self.path = folder / "store"
        self.db = db

    def weir(self, *args, check=0, **kw):
        return run.weir(*args, data_dir=self.path, check=check, **kw)

    def configure(self, *options):
        self.weir("plugin", "postgres", "--connection", self.db.uri,
                  "--history", *options)

    def append(self, records):
        self.weir("import", "--fresh-ids", "--sink-wait", "0s", "-",
                  input="".join(json.dumps(r) + "\n" for r in records))

    def deliver(self, check=0):
        return self.weir("sink", "run", "--once", check=check)

    def deliver_killed(self, n, how):
        """Ends the runner at its n-th write, sync or send; False when it was
        done before."""
        env = dict(os.environ, LD_PRELOAD=SHIM, WEIR_CRASH_AT=str(n),
                   WEIR_CRASH_HOW=how)
        asan = env.get("ASAN_OPTIONS", "")
        env["ASAN_OPTIONS"] = asan + ":verify_asan_link_order=0"
        p = subprocess.run(
            [run.WEIR, "sink", "run", "--once", "--data-dir", self.path],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, timeout=60,
        )
        assert p.returncode in (0, -signal.SIGKILL), p.stderr
        return p.returncode != 0

    def records(self):
        return truth.records(self.weir("export").stdout)

    def query(self, sql):
        return self.db.query(sql)

    def dead(self):
        return json.loads(self.weir("sink", "dead-letters", "postgres",
                                    "--json").stdout)


@pytest.fixture
def store(tmp_path, pg_db):
    if run.plugin_path("postgres") is None:
        pytest.skip("the postgres plugin is not built")
    return Store(tmp_path, pg_db)


def event(kind, ident, payload, name="changed"):
    return {"aggregate_type": kind, "aggregate_id": ident, "event_type": name,
            "payload": payload}


def some_records(n, seed):
    """Fields come as they like; after two thirds some change their type."""
    r = random.Random(seed)
    out = []
    for i in range(n):
        payload = {"n": i}
        if r.random() < 0.5:
            payload["sequence"] = r.choice(("first", "last", None))
        if r.random() < 0.4:
            payload["f%d" % r.randint(0, 4)] = r.choice(
                (1.5, True, "x", [1, {"a": None}], None)
            )
        if i > 2 * n // 3 and r.random() < 0.2:
            payload["n"] = r.choice(("many", True, [i]))
        out.append(event(r.choice(TYPES), "id-%d" % r.randint(0, 6), payload,
                         r.choice(("made", "changed"))))
    return out


def test_every_version_through_kills(store):
    store.configure("--batch", "5")
    store.append(some_records(300, 7))
    records = store.records()
    chance = random.Random(11)
    kills = 0
    for _ in range(40):
        if not store.deliver_killed(
            chance.randint(1, chance.randint(30, 200)),
            chance.choice(("before", "part", "after")),
        ):
            break
        kills += 1
        # What is there is there with its cursor: no more and no less.
        if store.query("SELECT to_regclass('weir_cursors')") == [[None]]:
            continue
        cursor = store.query("SELECT coalesce(max(sequence), 0) FROM "
                             "weir_cursors")[0][0]
        parked = {d["aggregate_id"] for d in store.dead()}
        if not parked and int(cursor) > 0:
            truth.history_is(records, store.db,
                             missing=lambda r: r.sequence > int(cursor))
    assert kills >= 5
    store.deliver()
    if store.dead():  # of a record at which one kill followed another
        store.weir("sink", "dead-letters", "postgres", "retry")
        store.deliver()
    truth.history_is(records, store.db)
    truth.postgres_is(truth.fold(records), store.db)
    # A replay writes all rows anew.
    store.query("UPDATE order_line_history SET n = 'wrong'; "
                "DELETE FROM order_line_history WHERE version = 2; "
                "UPDATE \"order\" SET n = 'wrong'")
    store.weir("sink", "replay", "postgres", check=None)
    store.deliver()
    truth.history_is(records, store.db)
    truth.postgres_is(truth.fold(records), store.db)


def test_a_parked_aggregate_waits(store):
    store.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
               "--datatype", "integer")
    store.configure()
    store.append([
        event("o", "good", {"qty": 1}), event("o", "bad", {"qty": 1}),
        event("o", "bad", {"qty": "abc"}), event("o", "bad", {"qty": 3}),
        event("o", "good", {"qty": 2}),
    ])
    store.deliver(check=None)
    records = store.records()

    def waits(r):
        return r.id == "bad" and r.version > 1

    truth.history_is(records, store.db, missing=waits)
    # A value that fits again does not heal it: its version would be missing.
    store.append([event("o", "bad", {"qty": 4})])
    store.deliver(check=None)
    records = store.records()
    truth.history_is(records, store.db, missing=waits)
    assert store.query("SELECT version FROM o WHERE id = 'bad'") == [["1"]]
    assert [d["sequence"] for d in store.dead()] == [3]
    store.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
               "--datatype", "text")
    store.weir("sink", "dead-letters", "postgres", "retry", check=None)
    store.deliver()
    assert store.dead() == []
    truth.history_is(records, store.db)
    truth.postgres_is(truth.fold(records), store.db)


def test_discard_leaves_one_version_out(store):
    store.weir("plugin", "map", "--aggregate", "o", "--field", "qty",
               "--datatype", "integer")
    store.configure()
    store.append([event("o", "1", {"qty": q}) for q in (1, "abc", 3, 4)])
    store.deliver(check=None)
    store.weir("sink", "dead-letters", "postgres", "discard", "--yes")
    store.deliver()
    records = store.records()
    truth.history_is(records, store.db, missing=lambda r: r.version == 2)
    truth.postgres_is(truth.fold(records), store.db)


def test_turned_on_later(store):
    store.weir("plugin", "postgres", "--connection", store.db.uri)
    store.append([event("o", "1", {"n": i}) for i in range(4)])
    store.deliver()
    store.configure()
    store.append([event("o", "1", {"n": "many", "more": 1}),
                  event("o", "1", {"n": 6})])
    store.deliver()
    records = store.records()
    truth.history_is(records, store.db, missing=lambda r: r.sequence <= 4)
    store.weir("sink", "replay", "postgres", check=None)
    store.deliver()
    truth.history_is(records, store.db)
    truth.postgres_is(truth.fold(records), store.db)
