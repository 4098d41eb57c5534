# SPDX-License-Identifier: MIT
"""Tokens by the command line, without a server, beside one and over the
network; what their bearers may do by real HTTP; and that no secret is kept."""

import json
import os
import re
import urllib.error
import urllib.request

import pytest

import run

SECRET = re.compile(r"^weir_[A-Za-z0-9_-]{43}$")


class Served:
    """A store, with a server over it or not."""

    def __init__(self, folder):
        self.dir = str(folder / "store")
        self.url = None

    def weir(self, *args, check=0, **kw):
        env = dict(os.environ, **kw.pop("env", {}))
        for name in ("WEIR_SERVER", "WEIR_TOKEN", "WEIR_DATA_DIR"):
            if name not in kw:
                env.pop(name, None)
        return run.weir(*args, data_dir=self.dir, check=check, env=env, **kw)

    def start(self):
        self.weir("start", "--port", 0, "--text-port", 0)
        self.url = "http://" + self.status()["http"]

    def status(self):
        return json.loads(self.weir("status", "--json").stdout)

    def stop(self):
        if self.url is not None:
            self.weir("stop")
            self.url = None

    def generate(self, *args):
        out = self.weir("token", "generate", "--group", "shop", "--user",
                        "till", *args).stdout
        assert SECRET.match(out.strip()), out
        return out.strip()

    def tokens(self):
        return json.loads(self.weir("token", "list", "--json").stdout)

    def ask(self, token, method, target, body=None):
        """Status, the answer's JSON, its header fields."""
        head = {"Authorization": "bearer " + token} if token else {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            head["Content-Type"] = "application/json"
        r = urllib.request.Request(self.url + target, data=data, headers=head,
                                   method=method)
        try:
            with urllib.request.urlopen(r, timeout=30) as a:
                return a.status, json.loads(a.read()), a.headers
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read()), e.headers

    def append(self, token, agg="order", id="1"):
        return self.ask(token, "POST", "/v1/events", {
            "aggregate_type": agg, "aggregate_id": id, "event_type": "e",
            "payload": {"n": 1}})


@pytest.fixture
def store(tmp_path):
    s = Served(tmp_path)
    yield s
    s.stop()


@pytest.fixture(params=["here", "socket"])
def both(store, request):
    """The same with the server down and up."""
    store.weir("aggregate", "apply", "a", "1", "e", "--field", "x=1")
    if request.param == "socket":
        store.start()
    return store


# ---- the commands ----------------------------------------------------------

def test_life_of_a_token(both):
    p = both.weir("token", "generate", "--group", "shop", "--user", "till",
                  "--expiration", "12h", "--limit", 5, "--keep-alive",
                  "--scope", "read", "--aggregate", "order/*",
                  "--aggregate", "stock")
    secret = p.stdout.strip()
    assert SECRET.match(secret)
    assert secret not in p.stderr and "shop/till" in p.stderr
    t, = both.tokens()
    assert t["group"] == "shop" and t["user"] == "till"
    assert t["scopes"] == ["read"] and t["aggregates"] == ["order/*", "stock"]
    assert t["expiration"] == 43200 and t["keep_alive"] is True
    assert t["limit"] == 5 and t["writes"] == 0 and t["remaining"] == 5
    assert t["status"] == "active" and t["version"] == 1
    listed = both.weir("token", "list").stdout
    assert t["id"] in listed and secret not in listed

    p = both.weir("token", "refresh", "--token", secret, "--expiration",
                  "none", "--limit", "none", "--keep-alive=false")
    t, = both.tokens()
    assert t["expires_at"] is None and t["limit"] is None
    assert t["version"] == 2
    for form in ([t["id"]], ["--token", secret]):
        p = both.weir("token", "revoke", *form)
        assert p.stdout == "" and "revoked" in p.stderr
        assert secret not in p.stderr
    t, = both.tokens()
    assert t["status"] == "revoked" and t["version"] == 3
    p = both.weir("token", "refresh", secret, check=4)
    assert "revoked" in p.stderr and secret not in p.stderr


def test_json(both):
    p = both.weir("token", "generate", "--group", "g", "--user", "u",
                  "--json")
    t = json.loads(p.stdout)
    assert p.stderr == "" and SECRET.match(t["token"])
    a = json.loads(both.weir("token", "refresh", t["id"], "--json").stdout)
    assert "token" not in a and a["id"] == t["id"] and a["version"] == 2
    a = json.loads(both.weir("token", "revoke", t["id"], "--json").stdout)
    assert a["status"] == "revoked"


@pytest.mark.parametrize("args,code,word", [
    (["generate", "--group", "g"], 2, "--user"),
    (["generate", "--group", "g", "--user", "u", "--scope", "write"], 2,
     "read|append|admin"),
    (["generate", "--group", "g", "--user", "u", "--expiration", "0"], 2,
     "at least 1 second"),
    (["generate", "--group", "g", "--user", "u", "--limit", "0"], 1, "limit"),
    (["generate", "--group", "g", "--user", "u", "--limit", "x"], 2,
     "--limit"),
    (["generate", "--group", "g", "--user", "u", "--keep-alive"], 1,
     "needs an expiration"),
    (["generate", "--group", "g", "--user", "u", "--scope", "admin",
      "--aggregate", "a"], 1, "admin"),
    (["generate", "--group", "g", "--user", "u", "--aggregate", "$token"], 4,
     "reserved"),
    (["revoke"], 2, "--token"),
    (["revoke", "nothing"], 3, "token not found"),
    (["revoke", "0123456789abcdef"], 3, "token not found"),
    (["refresh", "weir_" + 43 * "A"], 3, "token not found"),
])
def test_refused(both, args, code, word):
    p = both.weir("token", *args, check=code)
    assert p.stdout == "" and word in p.stderr
    assert both.tokens() == []


def test_no_store(store):
    store.weir("token", "list", check=3)
    store.weir("token", "revoke", "0123456789abcdef", check=3)
    assert not os.path.exists(store.dir)


# ---- by HTTP -----------------------------------------------------------------

def test_bearer(store):
    secret = store.generate("--limit", 2)
    store.start()
    status, record, _ = store.append(secret)
    assert status == 201
    assert record["metadata"]["issued_by"] == {"group": "shop",
                                               "user": "till"}
    assert store.append(secret)[0] == 201
    status, problem, _ = store.append(secret)
    assert status == 403
    assert problem["message"] == "token write limit reached"
    assert store.ask(secret, "GET", "/v1/aggregates/order/1")[0] == 200
    # The count is in the journal, so a new start knows it.
    store.stop()
    assert store.tokens()[0]["status"] == "spent"
    store.start()
    assert store.append(secret)[0] == 403
    store.weir("token", "refresh", secret, "--limit", 1)
    assert store.append(secret)[0] == 201
    assert store.append(secret)[0] == 403
    # One that is revoked beside the server ends at once.
    store.weir("token", "revoke", secret)
    status, problem, head = store.ask(secret, "GET", "/v1/status")
    assert status == 401
    assert problem["message"] == "token not found or inactive"
    assert head["WWW-Authenticate"].startswith("Bearer")


def test_auditor(store):
    """Reads one aggregate only."""
    secret = store.generate("--scope", "read", "--aggregate", "order/1")
    for id in ("1", "2"):
        store.weir("aggregate", "apply", "order", id, "e", "--field", "x=1")
    store.start()
    assert store.ask(secret, "GET", "/v1/aggregates/order/1")[0] == 200
    assert store.ask(secret, "GET", "/v1/aggregates/order/2")[0] == 403
    status, found, _ = store.ask(secret, "GET", "/v1/aggregates")
    assert status == 200
    assert [a["aggregate_id"] for a in found] == ["1"]
    status, found, _ = store.ask(secret, "GET", "/v1/events")
    assert status == 200
    assert {r["aggregate_id"] for r in found} == {"1"}
    assert store.append(secret, id="1")[0] == 403
    assert store.ask(secret, "GET", "/v1/tokens")[0] == 403
    assert store.ask(secret, "GET", "/v1/aggregates/$token/x")[0] == 404


def test_administrator_elsewhere(store, tmp_path):
    """The same commands over the network."""
    admin = store.generate("--scope", "admin")
    store.start()
    held = tmp_path / "admin"
    held.write_text(admin + "\n")
    far = ["--server", store.url, "--token-file", str(held)]
    p = run.weir("token", "generate", "--group", "g", "--user", "u", *far)
    secret = p.stdout.strip()
    assert SECRET.match(secret)
    assert store.append(secret)[0] == 201
    p = run.weir("token", "list", *far)
    assert secret not in p.stdout and admin not in p.stdout
    run.weir("token", "revoke", secret, *far)
    assert store.append(secret)[0] == 401
    p = run.weir("token", "list", "--server", store.url, "--token-file",
                 str(held), "--json")
    assert [t["status"] for t in json.loads(p.stdout)].count("revoked") == 1
    # Who may not gets the words and the exit code of "not allowed".
    held.write_text(secret)
    p = run.weir("token", "list", *far, check=4)
    assert "token not found or inactive" in p.stderr


def test_failures_are_bounded(store):
    good = store.generate()
    store.start()
    seen = [store.ask("weir_" + 43 * "x", "GET", "/v1/status")[0]
            for _ in range(30)]
    assert seen[:10] == 10 * [401] and 429 in seen
    status, problem, head = store.ask("nonsense", "GET", "/v1/status")
    while status != 429:
        status, problem, head = store.ask("nonsense", "GET", "/v1/status")
    assert int(head["Retry-After"]) >= 1
    assert store.ask(good, "GET", "/v1/status")[0] == 200


# ---- secrets -------------------------------------------------------------------

def test_no_secret_is_kept(store):
    """Neither in the journal nor in diag nor in any other file."""
    store.generate()
    conf = os.path.join(store.dir, "weir.conf")
    with open(conf, "a") as f:
        f.write("diag_target = file\ndiag_file = %s/diag\n"
                "diag_level = trace\n" % store.dir)
    store.start()
    secrets = [store.generate("--scope", s) for s in
               ("read", "append", "admin")]
    for s in secrets:
        store.append(s)
        store.ask(s[:-1] + ("A" if s[-1] != "A" else "B"), "GET",
                  "/v1/status")
    store.weir("token", "revoke", secrets[0])
    store.weir("token", "refresh", secrets[1], "--limit", 7)
    store.stop()
    files = 0
    for folder, _, names in os.walk(store.dir):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            files += 1
            with open(path, "rb") as f:
                data = f.read()
            for s in secrets:
                assert s[5:30].encode() not in data, path
    assert files > 3
