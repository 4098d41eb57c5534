# SPDX-License-Identifier: MIT
"""Runs cmocka programs that need a PostgreSQL against a server of our own."""

import os
import subprocess

import pytest

import run


@pytest.mark.parametrize("name", ["test_postgres_sink", "test_postgres_history"])
def test_postgres(pg_db, name):
    program = os.path.join(run.BUILD, "tests/unit/plugins", name)
    if not os.path.exists(program):
        pytest.skip("this build has no " + name)
    env = dict(os.environ, WEIR_TEST_PG=pg_db.uri, TOP_BUILDDIR=run.BUILD)
    p = subprocess.run(
        [program], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", timeout=300,
    )
    print(p.stdout)
    assert p.returncode == 0
