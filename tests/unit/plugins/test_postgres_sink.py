# SPDX-License-Identifier: MIT
"""Runs test_postgres_sink, a cmocka program, against a server of our own."""

import os
import subprocess

import pytest

import run


def test_postgres_sink(pg_db):
    program = os.path.join(run.BUILD, "tests/unit/plugins/test_postgres_sink")
    if not os.path.exists(program):
        pytest.skip("this build has no test_postgres_sink")
    env = dict(os.environ, WEIR_TEST_PG=pg_db.uri, TOP_BUILDDIR=run.BUILD)
    p = subprocess.run(
        [program], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", timeout=300,
    )
    print(p.stdout)
    assert p.returncode == 0
