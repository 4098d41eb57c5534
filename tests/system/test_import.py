# SPDX-License-Identifier: MIT
"""weir import and weir export, by what they leave in a store."""

import base64
import json
import os
import re
import signal
import subprocess
import time

import pytest

import run

EXOTIC = (
    '{"a":12345678901234567890123,"b":0.10,"c":1e400,"d":9007199254740993,'
    '"e":-0,"f":"\\u0041\\/","g" : [ 1 , 2 ]}'
)


def body(n, payload='{"n":1}', aggregate="order", **more):
    text = '{"aggregate_type":"%s","aggregate_id":"%s","event_type":"placed",' \
        '"payload":%s' % (aggregate, n, payload)
    for name, value in more.items():
        text += ',"%s":%s' % (name, json.dumps(value))
    return text + "}"


def write(weir, name, lines, end="\n"):
    path = os.path.join(weir.cwd, name)
    with open(path, "wb") as f:
        for line in lines:
            f.write(line if isinstance(line, bytes) else line.encode())
            f.write(b"\n")
        if end == "":
            f.truncate(f.tell() - 1)
    return path


def load(weir, lines, *args, code=0, name="in.ndjson", **kw):
    path = write(weir, name, lines)
    return weir("import", path, "--json", *args, code=code, **kw)


def export(weir, *args):
    return weir("export", *args).out


def test_bodies(weir):
    answer = load(weir, [
        body(1, tags=["red"], created_at="2026-01-31T12:00:00.5Z",
             correlation_id="c", causation_id="d", traceparent="t"),
        "",
        body(2, event_id="0190a6f5-0000-7000-8000-000000000001"),
        body(1, expected_version=1),
    ])
    counts = answer.json()
    assert counts["read"] == counts["appended"] == 3
    assert counts["already_there"] == counts["refused"] == 0
    assert counts["last_sequence"] == 3 and counts["complete"] is True
    assert counts["source"] == "in.ndjson" and counts["last_line"] == 4
    records = [json.loads(r) for r in export(weir).splitlines()]
    first = records[0]
    assert first["tags"] == ["red"]
    assert first["metadata"]["created_at"] == "2026-01-31T12:00:00.500000Z"
    assert first["metadata"]["correlation_id"] == "c"
    assert first["metadata"]["causation_id"] == "d"
    assert first["metadata"]["traceparent"] == "t"
    assert set(first["metadata"]["issued_by"]) == {"group", "user"}
    assert records[1]["metadata"]["event_id"].endswith("0001")
    assert records[2]["version"] == 2
    weir("check")


def test_summary_for_people(weir):
    answer = weir("import", "-", input=body(1))
    assert answer.out == ""
    assert re.search(r"read 1 line in .*: 1 appended, 0 already there, "
                     r"0 refused", answer.err)


def test_again_appends_nothing(weir):
    lines = [body(n % 3) for n in range(50)]
    assert load(weir, lines).json()["appended"] == 50
    again = load(weir, lines).json()
    assert again["appended"] == 0 and again["already_there"] == 50
    # grown: only what is new
    grown = load(weir, lines + [body(9)]).json()
    assert grown["appended"] == 1 and grown["already_there"] == 50
    # another source, and no derived ids: appended anew
    assert load(weir, lines, "--source", "b").json()["appended"] == 50
    assert load(weir, lines, "--fresh-ids").json()["appended"] == 50
    assert load(weir, lines, "--fresh-ids").json()["appended"] == 50
    weir("check")


def kept(text):
    """What a second store must have as the first had it."""
    return [
        {**r, "hash": 0, "merkle_root": 0,
         "metadata": {**r["metadata"], "committed_at": 0}}
        for r in map(json.loads, text.splitlines())
    ]


def payloads(text):
    """The payloads' own bytes."""
    return [r.split('"payload":', 1)[1].split(',"metadata"')[0]
            for r in text.splitlines()]


def test_round_trip(weir, tmp_path):
    lines = [body(n, EXOTIC, tags=["t%d" % n]) for n in range(5)]
    lines += [
        body(1, '"a\\tb"', content="text"),
        body(1, '{"$base64":"AP8B"}', content="bytes"),
        body("caf\\u00e9", "[1,2]", aggregate="\\u00fcnder"),
        body(1, "null"),
    ]
    load(weir, lines)
    # a payload with line breaks can't come by a line
    weir("aggregate", "apply", "order", "2", "noted",
         "--payload", '{\n"a" :\r\n 1}')
    first = export(weir)
    assert first.count("\n") == len(lines) + 1
    other = type(weir)(tmp_path)
    other.dir = os.path.join(other.cwd, "other")
    other.env["WEIR_DATA_DIR"] = other.dir
    path = write(weir, "out.ndjson", [first.rstrip("\n")])
    counts = other("import", path, "--json").json()
    assert counts["appended"] == len(lines) + 1
    second = export(other)
    assert kept(first) == kept(second)
    assert payloads(first) == payloads(second)
    assert EXOTIC in payloads(first)
    other("check")
    # and once more: all are there
    again = other("import", path, "--json").json()
    assert again["already_there"] == len(lines) + 1


def test_exact_payload_with_line_breaks(weir):
    payload = '{\n"a" :\r\n 1}'
    weir("aggregate", "apply", "order", "2", "noted", "--payload", payload)
    record = json.loads(export(weir))
    assert base64.b64decode(record["payload_base64"]).decode() == payload
    assert record["payload"] == {"a": 1}


def test_rejects(weir):
    bad = b'{"aggregate_type":"order","x":"\xff"}'
    lines = [
        body(1),
        "{nonsense",
        body(2, '{"a":1,"a":2}'),
        bad,
        body(3, expected_version=4),
        body(4, aggregate="$schema"),
        body(5, prot=1),
        body(6, '"\\ud800"'),
        body(7, tags=["a b"]),
        body("", "1"),
        body(8),
    ]
    answer = load(weir, lines, "--reject", "no.ndjson", code=8)
    counts = answer.json()
    assert (counts["read"], counts["appended"]) == (11, 2)
    assert counts["refused"] == 9
    with open(os.path.join(weir.cwd, "no.ndjson"), encoding="utf-8") as f:
        rejects = [json.loads(line) for line in f]
    assert [r["line"] for r in rejects] == list(range(2, 11))
    for r, line in zip(rejects, lines[1:]):
        if line == bad:
            assert base64.b64decode(r["text"]["$base64"]) == bad
        else:
            assert r["text"] == line
    reasons = {r["line"]: r["reason"] for r in rejects}
    assert "at byte 1" in reasons[2]
    assert "duplicate key" in reasons[3]
    assert "UTF-8" in reasons[4]
    assert "version" in reasons[5]
    assert "reserved" in reasons[6]
    assert "unknown member" in reasons[7]
    assert "surrogate" in reasons[8]
    assert "white space" in reasons[9] or "blank" in reasons[9]
    # mended lines go in, the others are there already
    lines[1] = body(9)
    counts = load(weir, lines, "--reject", "no.ndjson", code=8).json()
    assert (counts["appended"], counts["already_there"]) == (1, 2)
    weir("check")


def test_reasons_on_stderr(weir):
    answer = weir("import", "-", input="x\n" * 12, code=8)
    assert "line 1: " in answer.err and "line 10: " in answer.err
    assert "line 11: " not in answer.err and "2 more were refused" in answer.err


def test_payload_limits(weir):
    fits = '"' + "x" * (1024 * 1024 - 2) + '"'
    over = '"' + "x" * (1024 * 1024 - 1) + '"'
    deep = "[" * 64 + "]" * 64
    deeper = "[" * 65 + "]" * 65
    lines = [
        body(1, fits), body(2, over), body(3, deep), body(4, deeper),
        body(5, '"' + "y" * (9 * 1024 * 1024) + '"'),
        body(6, '"' + "\\u0001" * (1024 * 1024) + '"', content="text"),
        body(7),
    ]
    counts = load(weir, lines, "--reject", "no", code=8).json()
    assert counts["appended"] == 4 and counts["refused"] == 3
    with open(os.path.join(weir.cwd, "no"), encoding="utf-8") as f:
        rejects = [json.loads(line) for line in f]
    assert [r["line"] for r in rejects] == [2, 4, 5]
    assert rejects[2]["text"] is None
    assert "longer than" in rejects[2]["reason"]
    weir("check")


def test_duplicate_ids(weir):
    one = "0190a6f5-0000-7000-8000-000000000001"
    lines = [
        body(1, event_id=one), body(1, event_id=one),
        body(1, '{"n":2}', event_id=one), body(2, event_id=one),
    ]
    for args in ([], ["--batch", "1"]):
        counts = load(weir, lines, *args, code=8).json()
        assert counts["appended"] == (0 if args else 1)
        assert counts["already_there"] == (2 if args else 1)
        assert counts["refused"] == 2
    assert export(weir).count("\n") == 1


def test_bad_hash_is_refused(weir, tmp_path):
    load(weir, [body(1), body(2)])
    lines = export(weir).splitlines()
    lines[0] = lines[0].replace('"payload":{"n":1}', '"payload":{"n":7}')
    weir.env["WEIR_DATA_DIR"] = os.path.join(weir.cwd, "other")
    counts = load(weir, lines, "--reject", "no", code=8).json()
    assert (counts["appended"], counts["refused"]) == (1, 1)
    with open(os.path.join(weir.cwd, "no"), encoding="utf-8") as f:
        assert "hash does not agree" in json.loads(f.read())["reason"]


def test_last_line_without_break(weir):
    path = write(weir, "in", [body(1), body(2)], end="")
    assert weir("import", path, "--json").json()["appended"] == 2


def test_csv(weir):
    lines = [
        "id,kind,when,total,note",
        '7,placed,2026-01-31T12:00:00Z,0.10,"a, ""b"""',
        "8,paid,,12345678901234567890123,",
        "9,paid,,1",
        '9,paid,,007,"two',
        'lines"',
    ]
    answer = load(
        weir, lines, "--map", "aggregate_type==order", "--map",
        "aggregate_id=id", "--map", "event_type=kind", "--map",
        "created_at=when", "--typed", "--reject", "no", name="in.csv", code=8,
    )
    counts = answer.json()
    assert (counts["read"], counts["appended"]) == (4, 3)
    with open(os.path.join(weir.cwd, "no"), encoding="utf-8") as f:
        reject = json.loads(f.read())
    assert reject["line"] == 4 and reject["text"] == "9,paid,,1"
    out = export(weir).splitlines()
    assert '"payload":{"total":0.10,"note":"a, \\"b\\""}' in out[0]
    assert '"created_at":"2026-01-31T12:00:00.000000Z"' in out[0]
    assert '"payload":{"total":12345678901234567890123,"note":null}' in out[1]
    assert '"payload":{"total":"007","note":"two\\nlines"}' in out[2]


def test_csv_usage(weir):
    answer = weir("import", "-", "--format", "csv", input=body(1), code=1)
    assert "header: column 1" in answer.err and "read 0" not in answer.err
    path = write(weir, "in.csv", ["a,b", "1,2"])
    assert "--map" in weir("import", path, code=2).err
    assert 'no column "c"' in weir(
        "import", path, "--map", "aggregate_type=c", code=2).err
    assert "need --format csv" in weir(
        "import", path, "--format", "ndjson", "--typed", code=2).err


def test_usage(weir):
    weir("import", "missing.ndjson", code=3)
    assert not os.path.exists(weir.dir)
    weir("import", code=2)
    path = write(weir, "in", [body(1)])
    weir("import", path, "--batch", "0", code=2)
    weir("import", path, "--batch", "x", code=2)
    assert "input itself" in weir("import", path, "--reject", path, code=2).err
    assert os.path.getsize(path) > 0
    weir("export", code=3)


def test_export_filters(weir):
    load(weir, [
        body(1, tags=["red", "big"]), body(2, tags=["blue"]),
        body(1, aggregate="item"), body(3, aggregate="item"),
    ])

    def seqs(*args):
        return [json.loads(r)["sequence"]
                for r in export(weir, *args).splitlines()]

    assert seqs() == [1, 2, 3, 4]
    assert seqs("--aggregate", "ord*") == [1, 2]
    assert seqs("--aggregate", "item", "--aggregate", "order") == [1, 2, 3, 4]
    assert seqs("--aggregate-id", "1") == [1, 3]
    assert seqs("--event", "paid") == []
    assert seqs("--tag", "b*") == [1, 2]
    assert seqs("--tag", "big") == [1]
    assert seqs("--from", 2, "--to", 3) == [2, 3]
    assert seqs("--from", 9) == []
    assert seqs("--to", 99, "--limit", 1) == [1]
    assert seqs("--limit", 0) == []
    times = [json.loads(r)["metadata"]["committed_at"]
             for r in export(weir).splitlines()]
    assert seqs("--after-time", times[-1]) == []
    assert seqs("--before-time", times[0]) == []
    assert seqs("--after-time", "2001-01-01T00:00:00Z") == [1, 2, 3, 4]
    weir("export", "--after-time", "soon", code=2)
    weir("export", "--from", 3, "--to", 2, code=2)


def test_export_to_file(weir):
    load(weir, [body(1), body(2)])
    path = os.path.join(weir.cwd, "out.ndjson")
    with open(path, "w") as f:
        f.write("old\n")
    assert weir("export", "--output", path, "--json").json() == {"exported": 2}
    with open(path) as f:
        assert f.read() == export(weir)
    assert not os.path.exists(path + ".part")
    answer = weir("export", "--output", "/nonexistent/x", code=None)
    assert answer.code != 0 and "/nonexistent/x" in answer.err


def records_of(weir):
    return [json.loads(r) for r in export(weir).splitlines()]


def test_resume_after_kill(weir):
    """Killed at many places: in the end every line is there once, in order."""
    total, rounds = 9000, 10
    lines = [body(n % 7, '{"n":%d}' % n) for n in range(total)]
    path = write(weir, "in", lines)
    seen = 0
    for n in range(1, rounds):
        p = weir.start("import", "-", "--source", "in", "--batch", 20 + n,
                       stdin=subprocess.PIPE)
        # a pipe holds 64 KiB: when this returns, most of it was taken
        p.stdin.write("\n".join(lines[:total // rounds * n]))
        p.send_signal(signal.SIGKILL)
        p.communicate()
        answer = weir("export", code=None)
        now = answer.out.count("\n") if answer.code == 0 else 0
        assert answer.code in (0, 3) and now >= seen
        seen = now
    assert 0 < seen < total
    counts = weir("import", path, "--json").json()
    assert counts["read"] == total
    # A reader stops at what was known to be synced; the next writer also takes
    # in a whole batch that the last kill left written but not yet published.
    assert seen <= counts["already_there"] <= seen + 20 + rounds
    assert counts["appended"] == total - counts["already_there"]
    records = records_of(weir)
    assert [r["payload"]["n"] for r in records] == list(range(total))
    assert [r["sequence"] for r in records] == list(range(1, total + 1))
    weir("check")


def test_sinks_get_what_was_imported(weir):
    if run.plugin_path("json") is None:
        pytest.skip("this build has no json sink")
    path = os.path.join(weir.cwd, "out.json")
    weir("plugin", "json", "--path", path)
    load(weir, [body(n) for n in range(10)] + ["x"], "--require-sinks", code=8)
    with open(path, encoding="utf-8") as f:
        assert f.read() == export(weir)


def wait_for_records(weir, p, n):
    """Until the store holds n records, while the import p runs."""
    end = time.monotonic() + 30
    while True:
        answer = weir("export", code=None)
        if answer.code == 0 and answer.out.count("\n") == n:
            return
        assert p.poll() is None
        assert time.monotonic() < end


def test_interrupt(weir):
    """SIGINT: what was read is in, the rest comes with the same command."""
    p = weir.start("import", "-", stdin=subprocess.PIPE)
    p.stdin.write(body(1) + "\n" + body(2) + "\n")
    p.stdin.flush()
    wait_for_records(weir, p, 2)
    p.send_signal(signal.SIGINT)
    assert p.wait(timeout=30) == 130  # its input is still open
    out, err = p.communicate()
    assert "2 appended" in err and "the same command goes on" in err
    again = weir("import", "-", "--json", input="\n".join(
        [body(1), body(2), body(3)])).json()
    assert (again["already_there"], again["appended"]) == (2, 1)


def test_lines_are_appended_as_they_come(weir):
    """A pipe that pauses does not hold back what it gave."""
    p = weir.start("import", "-", stdin=subprocess.PIPE)
    for n in range(3):
        p.stdin.write(body(n) + "\n")
        p.stdin.flush()
        wait_for_records(weir, p, n + 1)
    p.communicate(timeout=30)
    assert p.returncode == 0
