# SPDX-License-Identifier: MIT
"""contrib/dpkg-events on journals made for it, and on this machine's own."""

import gzip
import json
import lzma
import os
import shutil
import subprocess

import pytest

import run

EVENTS = os.path.join(run.SRC, "contrib", "dpkg-events")


def events(*files, tz="UTC"):
    p = run.run(["perl", EVENTS, *map(str, files)], check=0,
                env=dict(os.environ, TZ=tz))
    return [json.loads(line) for line in p.stdout.splitlines()]


def fold(got):
    state = {}
    for e in got:
        assert e["aggregate_type"] == "package"
        state.setdefault(e["aggregate_id"], {}).update(e["payload"])
    return {k: (v["status"], v["version"]) for k, v in state.items()}


LOG = """\
2024-01-31 12:00:00 startup archives unpack
2024-01-31 12:00:01 install apt:amd64 <none> 2.6.1
2024-01-31 12:00:01 status half-installed apt:amd64 2.6.1
2024-01-31 12:00:02 status unpacked apt:amd64 2.6.1
2024-01-31 12:00:02 conffile /etc/apt/x keep
2024-01-31 12:00:03 startup packages configure
2024-01-31 12:00:03 configure apt:amd64 2.6.1 <none>
2024-01-31 12:00:04 status installed apt:amd64 2.6.1
2024-01-31 12:00:05 trigproc libc-bin:amd64 2.36-9 <none>
2024-01-31 12:00:05 status installed libc-bin:amd64 2.36-9
2024-01-31 12:01:00 remove apt:amd64 2.6.1 <none>
2024-01-31 12:01:00 status config-files apt:amd64 2.6.1
2024-01-31 12:01:01 status not-installed apt:amd64 <none>
"""


def test_lines_become_events(tmp_path):
    log = tmp_path / "dpkg.log"
    log.write_text(LOG)
    got = events(log)
    assert [e["event_type"] for e in got] == [
        "install", "status-half-installed", "status-unpacked", "configure",
        "status-installed", "trigproc", "status-installed", "remove",
        "status-config-files", "status-not-installed",
    ]
    assert got[0] == {
        "aggregate_type": "package", "aggregate_id": "apt:amd64",
        "event_type": "install", "created_at": "2024-01-31T12:00:01Z",
        "payload": {"old_version": None, "new_version": "2.6.1",
                    "time": "2024-01-31 12:00:01"},
    }
    assert fold([e for e in got if "status" in e["payload"]]) == {
        "apt:amd64": ("not-installed", None),
        "libc-bin:amd64": ("installed", "2.36-9"),
    }


def test_local_time_becomes_utc(tmp_path):
    log = tmp_path / "dpkg.log"
    log.write_text(
        "2024-01-31 12:00:00 status installed a:all 1\n"
        "2024-07-31 12:00:00 status installed a:all 1\n"
    )
    got = events(log, tz="CET-1CEST,M3.5.0,M10.5.0/3")
    assert [e["created_at"] for e in got] == [
        "2024-01-31T11:00:00Z", "2024-07-31T10:00:00Z",
    ]


def test_rotated_and_packed_ones(tmp_path):
    line = "2024-0%d-01 00:00:00 status installed a:all %d\n"
    (tmp_path / "dpkg.log.1").write_text(line % (3, 3))
    with gzip.open(tmp_path / "dpkg.log.2.gz", "wt") as f:
        f.write(line % (2, 2))
    files = [tmp_path / "dpkg.log.2.gz", tmp_path / "dpkg.log.1"]
    if shutil.which("xz"):
        with lzma.open(tmp_path / "dpkg.log.10.xz", "wt") as f:
            f.write(line % (1, 1))
        files.insert(0, tmp_path / "dpkg.log.10.xz")
    got = [e["payload"]["version"] for e in events(*files)]
    assert got == ["1", "2", "3"][-len(files):]


def test_broken_one_is_an_error(tmp_path):
    (tmp_path / "dpkg.log.1.gz").write_bytes(b"no gzip")
    p = run.run(["perl", EVENTS, str(tmp_path / "dpkg.log.1.gz")])
    assert p.returncode != 0 and "dpkg.log.1.gz" in p.stderr


def test_change_of_architecture(tmp_path):
    log = tmp_path / "dpkg.log"
    log.write_text(
        "2024-01-01 00:00:00 status installed a:all 1\n"
        "2024-01-01 00:00:00 status installed b:amd64 1\n"
        "2024-01-01 00:00:00 status installed b:i386 1\n"
        "2024-01-02 00:00:00 status installed a:amd64 2\n"
        "2024-01-02 00:00:00 status half-installed c 1\n"
        "2024-01-02 00:00:01 status unpacked c:amd64 1\n"
    )
    assert fold(events(log)) == {
        "a:all": ("not-installed", None), "a:amd64": ("installed", "2"),
        "b:amd64": ("installed", "1"), "b:i386": ("installed", "1"),
        "c": ("not-installed", None), "c:amd64": ("unpacked", "1"),
    }


def test_this_machine_agrees():
    """The fold of the journal is what dpkg says of every package named."""
    if not os.path.exists("/var/log/dpkg.log"):
        pytest.skip("this machine has no /var/log/dpkg.log")
    got = [e for e in events() if "status" in e["payload"]]
    says = {}
    for line in subprocess.run(
        ["dpkg-query", "-W", "-f",
         "${Package}:${Architecture}\t${db:Status-Status}\t${Version}\n"],
        stdout=subprocess.PIPE, encoding="utf-8", check=True,
    ).stdout.splitlines():
        name, status, version = line.split("\t")
        if status != "not-installed":
            says[name] = (status, version)
    wrong = {
        name: (state, says.get(name))
        for name, state in fold(got).items()
        if state != says.get(name, ("not-installed", None))
    }
    assert not wrong
