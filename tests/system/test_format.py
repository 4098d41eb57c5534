# SPDX-License-Identifier: MIT
"""weir-format(5) is true: a reader written from it alone, which shares no code
with weir, reads what the program wrote and finds every change of a byte."""

import glob
import json
import os
import random
import re
import shutil
import sys

import pytest

import run

READER = os.path.join(run.SRC, "tests", "vectors", "read_journal.py")
GOLDEN = os.path.join(run.SRC, "tests", "vectors", "golden")


def read(folder, *args, code=0):
    return run.run([sys.executable, "-B", READER, *args, folder], check=code)


def agrees(weir):
    """Both readers give the same lines and the same root."""
    exported = weir("export").out.splitlines()
    assert read(weir.dir).stdout.splitlines() == exported
    assert read(weir.dir, "--all").stdout == weir("export", "--system").out
    found = re.search(r"store root +([0-9a-f]{64})", weir("check").out)
    records, root = read(weir.dir, "--root").stdout.split()
    assert root == found.group(1)
    assert int(records) >= len(exported)
    return exported


def body(n):
    d = {
        "aggregate_type": "kind%d" % (n % 3), "aggregate_id": str(n % 11),
        "event_type": "came", "payload": {"n": n, "text": "é" * (n % 300)},
    }
    if n % 5 == 0:
        d["tags"] = ["red", "t%d" % n]
    if n % 7 == 0:
        d["correlation_id"], d["causation_id"] = "c%d" % n, "\"d\\"
        d["traceparent"] = "00-aa-bb-01"
    if n % 6 == 0:
        d["payload"], d["content"] = "a\x01\x1f\x7f\r\nb", "text"
    elif n % 6 == 1:
        d["payload"] = {"$base64": "AAEC/w=="}
        d["content"] = "bytes"
    if n % 4 == 0:
        d["created_at"] = "0001-01-01T00:00:00.000001Z"
        d["event_id"] = "0190a6f5-0000-7000-8000-%012d" % n
    return json.dumps(d, ensure_ascii=n % 2 == 0)


@pytest.fixture
def filled(weir):
    """Several hundred records of all kinds."""
    for n in range(3):
        weir.apply("order", "1", "placed", "--payload",
                   '{"a":12345678901234567890123,\n\r "b" : 0.10}',
                   "--tag", "n%d" % n)
    weir("import", "-", input="\n".join(body(n) for n in range(700)) + "\n")
    weir.apply("order", "1", "paid", "--field", "paid:=true")
    return weir


def test_same_as_export(filled):
    assert len(agrees(filled)) == 704


def test_several_segments(weir):
    line = ('{"aggregate_type":"big","aggregate_id":"%d","event_type":"e",'
            '"payload":{"p":"%s"}}\n')
    weir("import", "-", input="".join(
        line % (n % 3, "x" * 90000) for n in range(14)))
    weir("import", "-", input="".join(
        line % (n % 3, "y" * 90000) for n in range(14)))
    assert len(agrees(weir)) == 28
    assert len(glob.glob(os.path.join(weir.dir, "journal", "*.seg"))) >= 2


def test_without_live(filled):
    before = read(filled.dir).stdout
    os.unlink(os.path.join(filled.dir, "live"))
    assert read(filled.dir).stdout == before


def test_finds_every_flip(weir):
    for n in range(5):
        weir.apply("order", "1", "placed", "--field", "n=%d" % n)
    path = os.path.join(weir.dir, "journal", "00000001.seg")
    with open(path, "rb") as f:
        good = f.read()
    used = len(good.rstrip(b"\0")) - 64  # the mark at the end may go
    rng = random.Random(7)
    for at in [*rng.sample(range(used), 40), 0, 4092, 4096, used - 1]:
        bad = bytearray(good)
        bad[at] ^= 1 << rng.randrange(8)
        with open(path, "wb") as f:
            f.write(bad)
        said = read(weir.dir, code=1).stderr
        assert "Traceback" not in said, (at, said)


def unpack(name, hexed):
    """A segment's file from the text that test_vectors.c describes."""
    data = bytearray()
    with open(hexed) as f:
        for line in f:
            at, _, row = line.partition(":")
            while len(data) < int(at, 16):
                data += data[-32:]
            data += bytes.fromhex(row)
    with open(name, "wb") as f:
        f.write(data)


def test_golden(tmp_path):
    journal = tmp_path / "journal"
    journal.mkdir()
    shutil.copy(os.path.join(GOLDEN, "STORE"), tmp_path)
    for path in glob.glob(os.path.join(GOLDEN, "*.hex")):
        name = os.path.basename(path)[:-4] + ".seg"
        unpack(journal / name, path)
    with open(os.path.join(GOLDEN, "records.ndjson"), "rb") as f:
        assert read(str(tmp_path), "--all").stdout.encode() == f.read()
    with open(os.path.join(GOLDEN, "roots")) as f:
        root = f.readline().strip()
    assert read(str(tmp_path), "--root").stdout.split() == ["20", root]
