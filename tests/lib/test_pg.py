# SPDX-License-Identifier: MIT
"""The PostgreSQL that the tests lean on is a real one."""

import signal


def test_query(pg_db):
    pg_db.query("CREATE TABLE t (a int, b text)")
    pg_db.query("INSERT INTO t VALUES (1, 'x y'), (2, NULL), (3, E'a\\nb')")
    assert pg_db.query("SELECT * FROM t ORDER BY a") == [
        ["1", "x y"], ["2", None], ["3", "a\nb"],
    ]


def test_restart_keeps_data(pg_server, pg_db):
    pg_db.query("CREATE TABLE t AS SELECT 7 AS a")
    pg_server.stop(signal.SIGQUIT, keep=True)
    pg_server.restart()
    assert pg_db.query("SELECT a FROM t") == [["7"]]
