# SPDX-License-Identifier: MIT
"""A first walk, as a newcomer takes it: settings, server, schema, token, an
event, then REST by curl, and the end. With real curl."""

import json
import os
import re
import shutil
import subprocess

import pytest

import run

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(
    CURL is None and "WEIR_TEST_STRICT" not in os.environ, reason="no curl")


def curl(url, *args, status=200):
    """The body of an answer, which must have this status."""
    p = subprocess.run(
        [CURL, "-sS", "--max-time", "20", "--noproxy", "*", "-w",
         "\n%{http_code} %{content_type}", *args, url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
        encoding="utf-8")
    assert p.returncode == 0, p.stderr
    body, last = p.stdout.rsplit("\n", 1)
    assert last.split(" ")[0] == str(status), body
    wanted = "application/json" if status < 400 else "application/problem+json"
    assert last.split(" ")[1].startswith(wanted)
    return json.loads(body)


def test_the_walk(weir):
    weir("config", "--list-page-size", "7")
    weir("start", "--port", "0", "--text-port", "0")
    try:
        walk(weir)
    finally:
        stopped = weir("stop", code=None)
    assert stopped.code == 0
    assert weir("status", code=3).out.startswith("weir does not run")
    # What the server took is there without it.
    assert weir("aggregate", "get", "patient", "p-1",
                "--json").json()["version"] == 2
    weir("check")


def walk(weir):
    status = weir("status", "--json").json()
    assert status["running"] and status["restriction"] == "true"
    url = "http://" + status["http"]
    weir("schema", "create", "--aggregate", "patient", "--events",
         "admitted,moved", "--snapshot-threshold", "100")
    made = weir("token", "generate", "--group", "nurses", "--user", "jane",
                "--expiration", "3600", "--limit", "2")
    token = made.out.strip()
    assert re.fullmatch(r"weir_[A-Za-z0-9_-]{43}", token)
    record = weir("aggregate", "apply", "--aggregate", "patient",
                  "--aggregate-id", "p-1", "--event", "admitted", "--field",
                  "name=Ann", "--field", "ward=3", "--json").json()
    assert record["version"] == 1
    assert "not defined" in weir("aggregate", "apply", "patient", "p-1",
                                 "sung", code=1).err
    requests(url, ["-H", "Authorization: Bearer " + token])


def requests(url, bearer):
    assert curl(url + "/health") == {"status": "ok"}
    assert curl(url + "/v1/aggregates", status=401)["code"] == "denied"
    listed = curl(url + "/v1/aggregates?skip=0&take=10", *bearer)
    assert [(a["aggregate_type"], a["aggregate_id"], a["version"],
             a["state"]) for a in listed] == [
        ("patient", "p-1", 1, {"name": "Ann", "ward": "3"})]
    assert curl(url + "/v1/aggregates?take=0", *bearer) == []
    one = curl(url + "/v1/aggregates/patient/p-1", *bearer)
    assert one == listed[0]
    appended = curl(
        url + "/v1/events", *bearer, "-H", "Content-Type: application/json",
        "-d", json.dumps({
            "aggregate_type": "patient", "aggregate_id": "p-1",
            "event_type": "moved", "payload": {"ward": "4"}}), status=201)
    assert appended["version"] == 2
    assert appended["metadata"]["issued_by"] == {
        "group": "nurses", "user": "jane"}
    events = curl(url + "/v1/aggregates/patient/p-1/events?skip=0&take=10",
                  *bearer)
    assert [e["event_type"] for e in events] == ["admitted", "moved"]
    assert events[1] == appended
    root = curl(url + "/v1/aggregates/patient/p-1/verify", *bearer)
    assert root["merkle_root"] == appended["merkle_root"]
    refused = curl(
        url + "/v1/events", *bearer, "-H", "Content-Type: application/json",
        "-d", '{"aggregate_type":"patient","aggregate_id":"p-1",'
        '"event_type":"sung","payload":{}}', status=400)
    assert refused["message"] == (
        "event sung is not defined for aggregate patient")
    limits(url, bearer)


def limits(url, bearer):
    """Two writes were allowed, and only what was appended counts."""
    event = ('{"aggregate_type":"patient","aggregate_id":"p-%d",'
             '"event_type":"admitted","payload":{}}')
    send = [*bearer, "-H", "Content-Type: application/json", "-d"]
    curl(url + "/v1/events", *send, event % 2, status=201)
    refused = curl(url + "/v1/events", *send, event % 3, status=403)
    assert refused["message"] == "token write limit reached"
    assert curl(url + "/v1/aggregates/patient/p-9", *bearer,
                status=404)["message"] == "aggregate not found"


def test_the_same_without_a_server(weir):
    """Schemas and tokens are the same commands, and bind the same way."""
    weir("schema", "create", "--aggregate", "patient", "--events", "admitted")
    assert weir("token", "generate", "--group", "g", "--user",
                "u").out.startswith("weir_")
    down = weir("aggregate", "apply", "patient", "p-1", "sung", code=None)
    weir("start", "--port", "0", "--text-port", "0")
    try:
        up = weir("aggregate", "apply", "patient", "p-1", "sung", code=None)
        assert (up.code, up.out, up.err) == (down.code, down.out, down.err)
        assert weir("schema", "list", "--json").json()
    finally:
        weir("stop", code=None)


def test_curl_reads_the_description(weir):
    weir("start", "--port", "0", "--text-port", "0")
    try:
        url = "http://" + weir("status", "--json").json()["http"]
        doc = curl(url + "/openapi.json")
    finally:
        weir("stop", code=None)
    with open(os.path.join(run.SRC, "core", "server", "openapi.json"),
              encoding="utf-8") as f:
        assert doc == json.load(f)
