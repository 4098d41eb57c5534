# SPDX-License-Identifier: MIT
"""The commands that README.md marks as run do work, in its order."""

import os
import re

import pg
import run

MARKED = re.compile(r"<!-- run( postgres)? -->\n```\n(.*?)```", re.S)


def test_readme_commands(tmp_path, request):
    with open(os.path.join(run.SRC, "README.md"), encoding="utf-8") as f:
        blocks = MARKED.findall(f.read())
    assert len(blocks) >= 4
    env = dict(os.environ)
    env.pop("WEIR_DATA_DIR", None)
    env["PATH"] = os.path.dirname(run.WEIR) + ":" + env["PATH"]
    out = ""
    for postgres, commands in blocks:
        if postgres:
            if not run.plugin_path("postgres") or not pg.find_bin():
                continue
            env["DATABASE_URL"] = request.getfixturevalue("pg_db").uri
        p = run.run(
            ["sh", "-euc", commands], cwd=str(tmp_path), env=env, timeout=60
        )
        assert p.returncode == 0, commands + p.stdout + p.stderr
        out += p.stdout
    assert "17|2|ada|12.50|1" in out
    assert "placed" in out and "grace" in out
