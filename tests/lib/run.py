# SPDX-License-Identifier: MIT
"""Where the build and the sources are, and how to run a program of them."""

import os
import subprocess

BUILD = os.environ.get("WEIR_BUILD", "")
SRC = os.environ.get(
    "WEIR_SRC",
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
)
WEIR = os.environ.get("WEIR_BIN", os.path.join(BUILD, "weir"))
PLUGINS = ("csv", "json", "log", "sqlite", "postgres", "http", "tcp")


def plugin_path(name):
    """The .so of a built plugin, or None when this build has it not."""
    path = os.path.join(BUILD, "plugins", name, ".libs", name + ".so")
    return path if os.path.exists(path) else None


def run(argv, timeout=60, check=None, **kw):
    """Runs argv to its end and returns the CompletedProcess, text decoded.
    With check the exit code must be that one."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    if "input" in kw:
        del kw["stdin"]
        if isinstance(kw["input"], str):
            kw["input"] = kw["input"].encode("utf-8", "surrogateescape")
    p = subprocess.run(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        **kw,
    )
    # Decoded here, as Python's text mode would change line ends.
    p.stdout = p.stdout.decode("utf-8", "surrogateescape")
    p.stderr = p.stderr.decode("utf-8", "surrogateescape")
    if check is not None and p.returncode != check:
        raise AssertionError(
            "%s\nexit code %d, not %d\nstdout: %s\nstderr: %s"
            % (argv, p.returncode, check, p.stdout[-4000:], p.stderr[-4000:])
        )
    return p


def weir(*args, data_dir=None, check=0, **kw):
    """Runs weir with --data-dir."""
    argv = [WEIR, *map(str, args)]
    if data_dir is not None:
        argv += ["--data-dir", str(data_dir)]
    return run(argv, check=check, **kw)
