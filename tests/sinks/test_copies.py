# SPDX-License-Identifier: MIT
"""A store and a copy of it that went another way: a target that one of them
filled is refused to the other, by the hash in its cursor."""

import json
import shutil

import pytest

import run


def built(name):
    if run.plugin_path(name) is None:
        pytest.skip("the %s plugin is not built" % name)


def status(store):
    return json.loads(run.weir("sink", "status", "--json",
                               data_dir=store).stdout)[0]


@pytest.mark.parametrize("name, option, heals", [
    ("json", "--path", True), ("csv", "--output-dir", True),
    ("sqlite", "--path", False)])
def test_copy_is_refused(tmp_path, name, option, heals):
    built(name)
    one, other = tmp_path / "one", tmp_path / "other"
    target = tmp_path / "target"

    def put(store, n):
        run.weir("aggregate", "apply", "a", "1", "e", "--field", "n:=%d" % n,
                 data_dir=store)

    def deliver(store, check):
        run.weir("sink", "run", "--once", name, data_dir=store, check=check)

    put(one, 1)
    run.weir("plugin", name, option, target, data_dir=one)
    deliver(one, 0)
    shutil.copytree(one, other)
    put(one, 2)
    deliver(one, 0)
    run.weir("sink", "pause", name, data_dir=other)
    put(other, 3)
    run.weir("sink", "resume", name, data_dir=other)
    deliver(other, None)
    said = status(other)
    assert said["state"] == "blocked", said
    for text in ("sequence 2", "with hash", "copies that went apart"):
        assert text in json.dumps(said), said
    put(one, 4)
    deliver(one, 0)  # whose target it is goes on
    assert status(one)["cursor"] == 3
    if heals:
        run.weir("sink", "replay", name, "--yes", data_dir=other)
        deliver(other, None)
        assert status(other)["state"] != "blocked"
        assert status(other)["cursor"] == 2
