# SPDX-License-Identifier: MIT
"""Every plugin passes weir-sink-conform, and so does the manual's example,
built as a stranger would: out of tree, against the installed header."""

import os
import re
import shutil

import pytest

import peer
import pg
import run

CONFORM = os.path.join(run.BUILD, "weir-sink-conform")
TABLES = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE "
    "'weir_%' AND name NOT LIKE 'sqlite_%' ORDER BY name"
)

SHOW_SQLITE = (
    "for t in $(sqlite3 %d/mirror.db \"" + TABLES + "\"); do echo $t; "
    "sqlite3 -header %d/mirror.db \"SELECT * FROM \\\"$t\\\" ORDER BY id\"; done"
)
SHOW_FILES = (
    "cd %d && for f in $(find . -type f ! -name '*weir-*' | sort); do "
    "echo $f; cat $f; done"
)


def conform(plugin, *options, timeout=280):
    p = run.run([CONFORM, *options, plugin], timeout=timeout)
    print(p.stdout, p.stderr)
    assert p.returncode == 0, p.stdout + p.stderr
    assert re.search(r"^[1-9]\d* passed, 0 failed", p.stdout, re.M)
    return p.stdout


def built(name):
    path = run.plugin_path(name)
    if path is None:
        pytest.skip("the %s plugin is not built" % name)
    return path


def test_json():
    conform(built("json"), "--set", "path=%d/out.ndjson", "--show", SHOW_FILES)


def test_json_pretty():
    conform(built("json"), "--set", "path=%d/out.json", "--set", "pretty=true",
            "--show", SHOW_FILES)


def test_csv():
    conform(built("csv"), "--set", "output-dir=%d/out", "--show", SHOW_FILES)


def test_log():
    conform(built("log"), "--set", "level=info")


@pytest.mark.parametrize("options", [(), ("per-request=5", "parallel=2")])
def test_http(options):
    plugin = built("http")
    server = peer.Http()
    sets = [x for o in options for x in ("--set", o)]
    conform(plugin, "--set", "endpoint=" + server.url,
            "--set", "header=Authorization=Bearer a-secret", *sets)
    assert {p.headers["Authorization"] for p in server.posts} == {
        "Bearer a-secret"}
    server.close()


@pytest.mark.parametrize("ack", ["none", "line"])
def test_tcp(ack):
    plugin = built("tcp")
    server = peer.Tcp((lambda n, record: True) if ack == "line" else None)
    conform(plugin, "--set", "host=127.0.0.1", "--set",
            "port=%d" % server.port, "--set", "ack=" + ack)
    server.close()


def test_sqlite():
    if not shutil.which("sqlite3"):
        pytest.skip("no sqlite3 program (on Debian: apt-get install sqlite3)")
    conform(built("sqlite"), "--set", "path=%d/mirror.db", "--show", SHOW_SQLITE)


@pytest.mark.parametrize("history", ["false", "true"])
def test_postgres(pg_db, history):
    plugin = built("postgres")
    psql = os.path.join(pg.find_bin(), "psql")
    tables = (
        "SELECT format('SELECT %L, t.*::text FROM c%n.%I t ORDER BY 2', relname, "
        "relname) FROM pg_class WHERE relnamespace = 'c%n'::regnamespace AND "
        "relkind = 'r' AND relname NOT LIKE 'weir%' ORDER BY relname"
    )
    show = (
        psql + " -XAtq -d '" + pg_db.uri + "' <<'E'\n" + tables + " \\gexec\nE\n"
    )
    conform(plugin, "--set", "connection=" + pg_db.uri, "--set", "schema=c%n",
            "--set", "history=" + history, "--show", show)


def test_example_out_of_tree(tmp_path):
    """The plugin of weir-sink(3), compiled with what `make install` put there
    and nothing of the source tree but the one file."""
    example = os.path.join(run.SRC, "contrib", "plugin-example")
    prefix = tmp_path / "prefix"
    env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    env.pop("MFLAGS", None)
    run.run(
        ["make", "-C", run.BUILD, "install", "prefix=%s" % prefix],
        timeout=120, check=0, env=env,
    )
    here = tmp_path / "example"
    shutil.copytree(example, here)
    for name in os.listdir(here):
        os.chmod(here / name, 0o644)
    os.chmod(here, 0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    pkg_config = tools / "pkg-config"
    pkg_config.write_text(
        '#!/bin/sh\nexec "%s" --define-variable=prefix="%s" "$@"\n'
        % (shutil.which("pkg-config"), prefix)
    )
    pkg_config.chmod(0o755)
    env["PATH"] = "%s:%s" % (tools, env["PATH"])
    env["PKG_CONFIG_PATH"] = str(prefix / "lib" / "pkgconfig")
    run.run(
        ["make", "-C", str(here), "install",
         "CFLAGS=-std=c11 -O2 -Wall -Wextra -Werror"],
        check=0, env=env,
    )
    so = prefix / "lib" / "weir" / "sinks" / "tally.so"
    out = conform(
        str(so), "--set", "path=%d/tally.txt", "--show", SHOW_FILES
    )
    assert "ok       a batch, then its cursor" in out
