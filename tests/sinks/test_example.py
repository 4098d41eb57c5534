# SPDX-License-Identifier: MIT
"""The plugin of weir-sink(3): it is the file in contrib, it is short, it builds
against the header alone, keeps the rules, and delivers."""

import os
import re
import shlex
import shutil

import pytest

import run

SOURCE = os.path.join(run.SRC, "contrib", "plugin-example", "tally.c")


@pytest.fixture
def tally(tmp_path):
    """The example built as a stranger would, in a folder of its own."""
    cc = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(cc[0]):
        pytest.skip("no C compiler (on Debian: apt-get install gcc)")
    include = tmp_path / "include" / "weir"
    include.mkdir(parents=True)
    for name in ("sink.h", "types.h"):
        shutil.copy(os.path.join(run.SRC, "include", "weir", name), include)
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    out = plugins / "tally.so"
    run.run(
        cc + ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
              "-fvisibility=hidden", "-I", str(tmp_path / "include"),
              "-o", str(out), SOURCE],
        check=0,
    )
    out.chmod(0o755)
    return out


def test_listing_is_the_file():
    with open(os.path.join(run.SRC, "man", "weir-sink.3"), encoding="utf-8") as f:
        page = f.read()
    listing = re.search(r"^\.Bd -literal\n(.*?)^\.Ed$", page, re.M | re.S).group(1)
    listing = re.sub(r"^\\&", "", listing, flags=re.M).replace("\\e", "\\")
    with open(SOURCE, encoding="utf-8") as f:
        source = f.read()
    assert listing == source
    assert source.count("\n") < 60


def test_keeps_the_rules(tally):
    conform = os.path.join(run.BUILD, "weir-sink-conform")
    p = run.run([conform, "--set", "path=%d/tally", str(tally)], timeout=200)
    assert p.returncode == 0, p.stdout + p.stderr
    assert re.search(r"^[1-9]\d* passed, 0 failed", p.stdout, re.M)


def test_delivers(tally, tmp_path):
    store, target = tmp_path / "store", tmp_path / "list"
    more = ("--plugin-dir", str(tally.parent))
    run.weir("aggregate", "apply", "order", "1", "placed", "--field", "total=7",
             *more, data_dir=store)
    run.weir("plugin", "tally", "--path", target, *more, data_dir=store)
    run.weir("aggregate", "apply", "order", "1", "paid", *more, data_dir=store)
    assert target.read_text() == "1 order 1 placed\n2 order 1 paid\n"
    run.weir("sink", "run", "--once", *more, data_dir=store)
    assert target.read_text().count("\n") == 2
