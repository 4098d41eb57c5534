# SPDX-License-Identifier: MIT
"""/v1/sinks: every route and every status that openapi.json names for it."""

import http.client
import json
import os
import time

import pytest

import run

JSON = {"Content-Type": "application/json"}


class Api:
    """Asks a server by TCP, and keeps which route gave which status."""

    def __init__(self, weir):
        self.weir = weir
        self.seen = set()
        weir("start", "--port", "0", "--text-port", "0")
        self.host = weir("status", "--json").json()["http"]
        self.token = self.make("admin")

    def make(self, *scopes):
        more = [x for s in scopes for x in ("--scope", s)]
        return self.weir("token", "generate", "--group", "g", "--user", "u",
                         *more).out.strip()

    def __call__(self, method, route, status, body=None, token="admin",
                 headers=JSON, **parts):
        target = "/v1/sinks" + route
        query = parts.pop("query", "")
        for name, value in parts.items():
            target = target.replace("{%s}" % name, str(value))
        fields = dict(headers)
        if token == "admin":
            token = self.token
        if token is not None:
            fields["Authorization"] = "Bearer " + token
        c = http.client.HTTPConnection(self.host, timeout=60)
        try:
            if isinstance(body, int):  # only said to be so long
                c.putrequest(method, target + query)
                for name, value in fields.items():
                    c.putheader(name, value)
                c.putheader("Content-Length", str(body))
                c.endheaders()
            else:
                c.request(method, target + query, body, fields)
            a = c.getresponse()
            text = a.read().decode()
        finally:
            c.close()
        assert a.status == status, (method, target, a.status, text)
        self.seen.add((method.lower(), "/v1/sinks" + route, str(status)))
        if status >= 400:
            assert a.getheader("Content-Type") == "application/problem+json"
        return json.loads(text)


@pytest.fixture
def api(weir):
    weir("plugin", "json", "--name", "j", "--path", "out.json")
    weir("plugin", "http", "--name", "h", "--endpoint", "http://127.0.0.1:1",
         "--header", "Authorization=very secret", "--disable")
    if run.plugin_path("sqlite"):
        weir("plugin", "map", "--aggregate", "order", "--field", "n",
             "--datatype", "bigint")
        weir("plugin", "sqlite", "--name", "m", "--path", "m.db")
    weir.apply("order", "1", "placed", "--field", "n=many", "--sink-wait",
               "10s")
    weir.apply("order", "2", "placed", "--field", "n=2", "--sink-wait", "10s")
    yield (a := Api(weir))
    a.weir("stop", code=None)


def described():
    with open(os.path.join(run.SRC, "core", "server", "openapi.json"),
              encoding="utf-8") as f:
        paths = json.load(f)["paths"]
    for path, item in paths.items():
        if not path.startswith("/v1/sinks"):
            continue
        for method, op in item.items():
            if method == "parameters":
                continue
            for status in op["responses"]:
                if status != "default":
                    yield method, path, status


def refusals(api, method, route, **parts):
    """What every route answers alike."""
    api(method, route, 401, token=None, **parts)
    api(method, route, 403, token=api.reader, **parts)
    api(method, route, 400, query="?unknown=1", **parts)
    if parts:
        api(method, route, 404, **{**parts, "name": "nothing"})


@pytest.mark.skipif(run.plugin_path("sqlite") is None, reason="no sqlite sink")
def test_every_status(api):
    api.reader = api.make("read", "append")
    look(api)
    dead(api)
    change(api)
    missing = set(described()) - api.seen
    assert not missing


def look(api):
    rows = api("GET", "", 200)
    assert [r["name"] for r in rows] == ["h", "j", "m"]
    refusals(api, "GET", "")
    settings = api("GET", "", 200, query="?settings=true")
    assert [s["name"] for s in settings] == ["h", "j", "m"]
    assert "secret" not in json.dumps(settings).replace("(secret)", "")
    one = api("GET", "/{name}", 200, name="j")
    assert one["name"] == "j" and one["committed"] == rows[1]["committed"]
    refusals(api, "GET", "/{name}", name="j")
    for bad in ("..", "a%2Fb", "%00", "x" * 70, "."):
        api("GET", "/{name}", 400, name=bad)


def dead(api):
    route = "/{name}/dead-letters"
    entries = api("GET", route, 200, name="m")
    assert [e["aggregate_id"] for e in entries] == ["1"]
    refusals(api, "GET", route, name="m")
    n = entries[0]["sequence"]
    whole = api("GET", route + "/{sequence}", 200, name="m", sequence=n)
    assert whole["value"] == "many" and whole["record"]["sequence"] == n
    refusals(api, "GET", route + "/{sequence}", name="m", sequence=n)
    api("GET", route + "/{sequence}", 404, name="m", sequence="x")
    for action, past in (("retry", "retried"), ("discard", "discarded")):
        with_body(api, route + "/" + action, '{"sequences":[%d]}' % n, 202,
                  "m")
        for bad in ('{"sequences":1}', '{"sequences":["1"]}', '{"more":1}',
                    "[]", "{"):
            api("POST", route + "/" + action, 400, bad, name="m")
        api("POST", route + "/" + action, 404, '{"sequences":[9999]}',
            name="m")
        settled(api)
        asked = api("POST", route + "/" + action, 202, name="m")
        assert asked == {"sink": "m", past: 1 if action == "retry" else 0}
        settled(api)
    assert api("GET", route, 200, name="m") == []


def settled(api):
    """The sink's process has done what it was asked."""
    until = time.monotonic() + 30
    while any(e["status"] != "parked" for e in api(
            "GET", "/{name}/dead-letters", 200, name="m")):
        assert time.monotonic() < until
        time.sleep(0.02)


def with_body(api, route, body, status, name):
    refusals(api, "POST", route, name=name)
    api("POST", route, 415, body, headers={"Content-Type": "text/plain"},
        name=name)
    api("POST", route, 413, 10 << 20, name=name)
    return api("POST", route, status, body, name=name)


def change(api):
    for action, paused in (("pause", True), ("resume", False)):
        refusals(api, "POST", "/{name}/" + action, name="j")
        assert api("POST", "/{name}/" + action, 200, name="j") == {
            "sink": "j", "paused": paused}
        assert api("POST", "/{name}/" + action, 200, name="j")["sink"] == "j"
    refusals(api, "POST", "/{name}/test", name="j")
    assert "usable" in api("POST", "/{name}/test", 200, name="j")["message"]
    assert with_body(api, "/{name}/replay", '{"from":1}', 200, "m") == {
        "sink": "m", "replay_from": 1}
    for bad in ('{"from":0}', '{"from":"1"}', '{"to":1}', "1"):
        api("POST", "/{name}/replay", 400, bad, name="m")
    refusals(api, "DELETE", "/{name}", name="j")
    api("DELETE", "/{name}", 400, name="j", query="?purge=perhaps")
    assert api("DELETE", "/{name}", 200, name="j", query="?purge=true") == {
        "sink": "j", "removed": True}
    api("DELETE", "/{name}", 404, name="j")


def test_a_plugin_never_enters_the_server(api):
    """What needs one is done elsewhere: no plugin is mapped by the server."""
    api("POST", "/{name}/test", 200, name="j")
    api("GET", "", 200, query="?settings=true")
    pid = api.weir("status", "--json").json()["pid"]
    with open("/proc/%d/maps" % pid, encoding="utf-8") as f:
        maps = f.read()
    assert "libmicrohttpd" in maps
    for name in run.PLUGINS:
        assert "/%s.so" % name not in maps
