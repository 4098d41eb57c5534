# SPDX-License-Identifier: MIT
"""Fixtures of the system tests: the program, with a data folder of its own."""

import json
import os
import subprocess

import pytest

import run


class Answer:
    """What a run of weir gave."""

    def __init__(self, p):
        self.code = p.returncode
        self.out = p.stdout
        self.err = p.stderr

    def json(self):
        return json.loads(self.out)

    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    def error(self):
        """The error of a --json run."""
        return json.loads(self.err.splitlines()[-1])["error"]


class Weir:
    """Runs weir with a data folder in cwd; w("check") gives an Answer."""

    def __init__(self, cwd):
        self.cwd = str(cwd)
        self.dir = os.path.join(self.cwd, "store")
        self.env = dict(os.environ)
        for name in list(self.env):
            if name.startswith("WEIR_") and name != "WEIR_PLUGIN_PATH":
                del self.env[name]
        self.env["WEIR_DATA_DIR"] = self.dir
        self.env["NO_COLOR"] = "1"

    def __call__(self, *args, code=0, input=None, env=None, timeout=60):
        """Runs to the end; code None takes any exit status."""
        p = run.run(
            [run.WEIR, *map(str, args)], cwd=self.cwd, input=input or "",
            env={**self.env, **(env or {})}, timeout=timeout,
        )
        if code is not None:
            assert p.returncode == code, (
                "weir %s: exit %d, not %d\nstdout: %s\nstderr: %s"
                % (" ".join(map(str, args)), p.returncode, code,
                   p.stdout[-4000:], p.stderr[-4000:])
            )
        return Answer(p)

    def start(self, *args, **kw):
        """Starts it and gives the process, its output as pipes."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(
            [run.WEIR, *map(str, args)], cwd=self.cwd, env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", **kw,
        )

    def apply(self, *args, **kw):
        """aggregate apply: the record."""
        return self("aggregate", "apply", *args, "--json", **kw).json()


@pytest.fixture
def weir(tmp_path):
    return Weir(tmp_path)


@pytest.fixture
def store(weir):
    """A store with five records: orders 1 (3 versions) and 2 (1), item a."""
    weir.apply("order", "1", "placed", "--field", "customer=Ann",
               "--field", "total:=12.50", "--tag", "new")
    weir.apply("order", "1", "paid", "--field", "paid:=true")
    weir.apply("order", "2", "placed", "--payload", '{"customer":"Bob"}')
    weir.apply("item", "a", "added", "--payload", '{"n":1}')
    weir.apply("order", "1", "sent", "--field", "sent:=null")
    return weir
