# SPDX-License-Identifier: MIT
"""What all Python tests share: the modules of tests/lib and a PostgreSQL."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "lib"))

# Now and then the leak checker crashes in what threads keep for libraries that
# were loaded by dlopen; without looking there it only reports more.
os.environ.setdefault("LSAN_OPTIONS", "use_tls=0")

import pg  # noqa: E402


@pytest.fixture(scope="session")
def pg_server():
    """A PostgreSQL of our own, for the session; skips when none is installed,
    fails instead when WEIR_TEST_STRICT is set."""
    if pg.find_bin() is None:
        why = (
            "no PostgreSQL server is installed "
            "(on Debian: apt-get install postgresql)"
        )
        if os.environ.get("WEIR_TEST_STRICT"):
            pytest.fail(why)
        pytest.skip(why)
    server = pg.Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def pg_db(pg_server):
    """A fresh database of that server; .uri connects to it."""
    db = pg_server.create_db()
    yield db
    db.drop()
