# SPDX-License-Identifier: MIT
"""A disk that is really full: a small tmpfs, mounted in a mount namespace of
our own. Appends are refused with a clear error and nothing that was
acknowledged is lost; when there is room again, appends and the sinks on that
disk go on without further help.

The tests run this file again as a program inside the namespace."""

import json
import os
import subprocess
import sys

if __name__ == "__main__":
    sys.path.insert(
        0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "lib")
    )

import run
import truth

UNSHARE = ["unshare", "--mount", "--propagation", "private"]
EVENT_ID = "0190a6f5-0000-7000-8000-%012d"
PAYLOAD = '{"op":%d,"text":"' + "x" * 20000 + '"}'


class Disk:
    def __init__(self, folder):
        self.folder = folder
        self.store = os.path.join(folder, "store")
        self.targets = os.path.join(folder, "targets")
        self.ballast = os.path.join(folder, "ballast")
        self.sinks = []
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=24m", "weir", folder],
            check=True,
        )
        os.mkdir(self.targets)

    def fill(self, leave):
        """Takes all the room but so many bytes."""
        st = os.statvfs(self.folder)
        n = st.f_bavail * st.f_frsize - leave
        with open(self.ballast, "ab") as f:
            f.write(b"\0" * n)

    def make_room(self):
        os.unlink(self.ballast)

    def weir(self, *args, code=0, **kw):
        return run.weir(*args, data_dir=self.store, check=code, **kw)

    def apply(self, n):
        """Whether record n was acknowledged, and what was said."""
        p = self.weir(
            "aggregate", "apply", "order", "id-%d" % (n % 3), "grew",
            "--event-id", EVENT_ID % n, "--payload", "-", code=None,
            input=PAYLOAD % n,
        )
        if p.returncode == 0:
            return True, p.stderr
        assert p.returncode == 1, (p.returncode, p.stderr)
        lines = p.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("weir: "), p.stderr
        assert "No space left on device" in p.stderr, p.stderr
        assert self.folder in p.stderr, p.stderr
        return False, p.stderr

    def ids(self):
        lines = self.weir("export").stdout.splitlines()
        return [json.loads(line)["metadata"]["event_id"] for line in lines]

    def add_sinks(self):
        for name, options in (
            ("sqlite", ["--path", self.targets + "/mirror.db"]),
            ("csv", ["--output-dir", self.targets + "/csv"]),
            ("json", ["--path", self.targets + "/records.ndjson"]),
        ):
            if run.plugin_path(name):
                self.weir("plugin", name, *options)
                self.sinks.append(name)

    def targets_are_true(self):
        for s in json.loads(self.weir("sink", "status", "--json").stdout):
            if s["next_try_at"]:
                assert s["state"] == "blocked", s
                self.weir("sink", "resume", s["name"], "--sink-wait", "0s")
        self.weir("sink", "run", "--once")
        recs = truth.records(self.weir("export").stdout)
        everything = truth.fold(recs)
        t = self.targets
        if "sqlite" in self.sinks:
            truth.sqlite_is(everything, t + "/mirror.db")
        if "csv" in self.sinks:
            truth.csv_is(recs, lambda a: "%s/csv/%s.csv" % (t, a))
        if "json" in self.sinks:
            truth.json_is(recs, t + "/records.ndjson")


def fresh_store(disk):
    """A store that can't be made is refused, and is made when there is room."""
    for leave in (0, 4096, 8192, 16384, 200000):
        disk.fill(leave)
        done, _ = disk.apply(1)
        assert not done, "there was no room for a store in %d bytes" % leave
        disk.make_room()
    assert disk.apply(1)[0]
    assert disk.ids() == [EVENT_ID % 1]
    disk.weir("check")


def appends(disk):
    disk.add_sinks()
    assert disk.apply(0)[0]
    disk.weir("sink", "run", "--once")
    disk.fill(500000)
    acked = [0]
    behind = False
    while True:  # ends with the first segment
        n = len(acked)
        assert n < 100
        done, said = disk.apply(n)
        if not done:
            break
        behind = behind or "No space left" in said
        acked.append(n)
    assert behind, "no sink felt the full disk"
    want = [EVENT_ID % n for n in acked]
    for again in range(2):
        assert disk.ids() == want
        disk.weir("check")
        assert not disk.apply(len(acked))[0]
    # it has no room for a segment, but for small ones
    disk.make_room()
    n = len(acked)
    assert disk.apply(n)[0]
    assert disk.ids() == want + [EVENT_ID % n]
    disk.weir("check")
    disk.targets_are_true()


def import_(disk):
    lines = os.path.join(os.path.dirname(disk.folder), "lines.ndjson")
    with open(lines, "w") as f:
        for n in range(120):
            f.write(
                '{"aggregate_type":"order","aggregate_id":"id-%d","event_type":'
                '"grew","payload":%s}\n' % (n % 3, PAYLOAD % n)
            )
    disk.add_sinks()
    disk.fill(1500000)
    p = disk.weir("import", lines, "--batch", "5", code=None)
    assert p.returncode == 1, (p.returncode, p.stderr)
    assert "No space left on device" in p.stderr, p.stderr
    there = len(disk.ids())
    assert 0 < there < 120
    disk.weir("check")
    disk.make_room()
    p = disk.weir("import", lines, "--batch", "5", "--json")
    counts = json.loads(p.stdout)
    assert counts["already_there"] == there
    assert counts["appended"] == 120 - there
    recs = truth.records(disk.weir("export").stdout)
    ops = [int(truth.members(r.payload)["op"]) for r in recs]
    assert ops == list(range(120))
    disk.weir("check")
    disk.targets_are_true()


SCENES = {f.__name__: f for f in (fresh_store, appends, import_)}


def play(scene, tmp_path):
    import pytest

    if os.geteuid() != 0:
        pytest.skip("only root may mount a tmpfs")
    folder = tmp_path / "disk"
    folder.mkdir()
    probe = ["mount", "-t", "tmpfs", "-o", "size=1m", "weir", str(folder)]
    try:
        subprocess.run(UNSHARE + probe, check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as e:
        why = getattr(e, "stderr", b"").decode() or str(e)
        pytest.skip("no tmpfs may be mounted here: " + why.strip())
    env = {k: v for k, v in os.environ.items() if k != "WEIR_DATA_DIR"}
    p = run.run(
        UNSHARE
        + [sys.executable, os.path.abspath(__file__), scene, str(folder)],
        env=env, timeout=120,
    )
    assert p.returncode == 0, p.stdout + p.stderr


def test_fresh_store(tmp_path):
    play("fresh_store", tmp_path)


def test_appends(tmp_path):
    play("appends", tmp_path)


def test_import(tmp_path):
    play("import_", tmp_path)


if __name__ == "__main__":
    SCENES[sys.argv[1]](Disk(sys.argv[2]))
