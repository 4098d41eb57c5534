# SPDX-License-Identifier: MIT
"""A command does the same whether the server runs or not, and with --server:
the same list of commands on three copies of one store, by each way, and what
they print and exit with compared. Times, ids and hashes are their own."""

import grp
import http.client
import json
import os
import pwd
import re
import shutil
import socket

import pytest

import conftest
import run

WAYS = ("down", "up", "server")

SAME = (
    (r"weir_[A-Za-z0-9_-]{43}", "SECRET"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{64}\b", "HASH"),
    (r"\b[0-9a-f]{16}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    # Who appends by a token leaves its sequence in the record.
    (r',"token":\d+', ""),
    (r',\n *"token": \d+', ""),
    # Who delivers is named when there is one.
    (r'the target is usable[^"\n]*', "the target is usable"),
    # How long it took.
    (r"in \d+\.\d\d s \(\d+/s\)", "in S s"),
    (r'"seconds":[\d.]+,"rate":[\d.]+', '"seconds":S,"rate":R'),
)


class ByUnixSocket(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def post(weir, target, body):
    c = ByUnixSocket(os.path.join(weir.dir, "weir.sock"))
    c.request("POST", target, json.dumps(body),
              {"Content-Type": "application/json"})
    answer = c.getresponse()
    text = answer.read().decode()
    assert answer.status in (200, 201), text
    return json.loads(text)


def start(weir):
    weir("start", "--port", "0", "--text-port", "0")
    return "http://" + weir("status", "--json").json()["http"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A store with records of all kinds, and the secret of a token."""
    weir = conftest.Weir(tmp_path_factory.mktemp("base"))
    me = pwd.getpwuid(os.geteuid()).pw_name
    mine = grp.getgrgid(os.getegid()).gr_name
    for i in range(1, 6):
        weir.apply("order", "1", "placed", "--payload",
                   '{"n":%d,"amount":0.%d0}' % (i, i))
    weir.apply("order", "2/é \U0001d11e", "placed", "--field", "a=b",
               "--tag", "red", "--tag", "blue")
    weir.apply("item", "..", "seen", "--payload", "hallo\n", "--content",
               "text")
    weir.apply("item", "b", "seen", "--payload", "\x01\x02", "--content",
               "bytes")
    weir.apply("item", "c", "seen", "--payload", '{"a":1,\n"b":[1,\n2]}')
    start(weir)
    secret = post(weir, "/v1/tokens", {
        "group": mine, "user": me, "scopes": ["read", "append", "admin"]})
    weir("stop")
    return weir, secret["token"]


def sinks(weir):
    """A JSON file that takes all, and a database that refused a record."""
    weir("plugin", "json", "--name", "j", "--path", "out.json")
    if run.plugin_path("sqlite") is None:
        return
    weir("plugin", "map", "--aggregate", "order", "--field", "word",
         "--datatype", "bigint")
    weir("plugin", "sqlite", "--name", "m", "--path", "m.db")
    for word in ("many", "2"):
        weir.apply("order", "dead", "placed", "--field", "word=" + word)


@pytest.fixture(scope="module")
def ways(base, tmp_path_factory):
    """By each way: the runner of commands, options of it, and what stands in
    its answers for the place of the store."""
    found = {}
    running = []
    for way in WAYS:
        weir = conftest.Weir(tmp_path_factory.mktemp(way))
        shutil.copytree(base[0].dir, weir.dir)
        sinks(weir)
        url = None
        if way != "down":
            url = start(weir)
            running.append(weir)
        more = []
        if way == "server":
            path = os.path.join(weir.cwd, "token")
            with open(path, "w", encoding="utf-8") as f:
                f.write(base[1] + "\n")
            # It can't be asked by accident.
            weir.env["WEIR_DATA_DIR"] = os.path.join(weir.cwd, "nowhere")
            more = ["--server", url, "--token-file", path]
        for name, text in (
                ("in.ndjson", LINES), ("bad.ndjson", BAD_LINES),
                ("in.csv", CSV)):
            with open(os.path.join(weir.cwd, name), "w",
                      encoding="utf-8") as f:
                f.write(text)
        found[way] = (weir, more, url)
    yield found
    for weir in running:
        weir.env["WEIR_DATA_DIR"] = weir.dir
        weir("stop", code=None)


def said(weir, more, url, args, **kw):
    a = weir(*args, *more, code=None, **kw)
    texts = [a.out, a.err]
    for i, text in enumerate(texts):
        for place in (url, weir.dir):
            if place:
                text = text.replace(place, "STORE")
        text = text.replace(weir.cwd, "CWD")
        for pattern, word in SAME:
            text = re.sub(pattern, word, text)
        texts[i] = text
    return a.code, texts[0], texts[1]


EVENT = '{"aggregate_type":"%s","aggregate_id":"%s","event_type":"e"%s}\n'
LINES = "".join(
    EVENT % ("import", i % 40, ',"payload":{"n":%d}' % i) for i in range(1500)
) + "\n" + EVENT % ("import", "last", "")
BAD_LINES = (
    EVENT % ("bad", 1, ',"payload":{"n":1}')
    + "\n{\n"
    + EVENT % ("bad", 2, ',"payload":1,"more":2')
    + EVENT % ("$bad", 2, "")
    + EVENT % ("bad", 1, ',"expected_version":7')
    + EVENT % ("bad", 1, ',"expected_version":1')
    + "x" * 300 + "\n"
    + EVENT % ("bad", 3, "")
)
CSV = "aggregate_type,aggregate_id,event_type,n,text\n" + "".join(
    'csv,%d,e,%d,"a ""b""\nc"\n' % (i % 3, i) for i in range(20))

ID = "11111111-2222-4333-8444-555555555555"

APPENDS = [
    "aggregate apply order 7 placed --field a=b",
    "aggregate apply order 7 placed --field a=b --json",
    "aggregate apply order 7 placed --payload {\"x\":1.50} --json",
    "aggregate apply order 7 placed --payload hallo --content text --json",
    "aggregate apply order 7 placed --payload hallo --content bytes --json",
    "aggregate apply order 7 placed --field a=b --tag x --tag y "
    "--correlation-id c --causation-id d "
    "--created-at 2020-01-31T12:00:00Z --json",
    "aggregate apply order 7 placed --expected-version 6 --json",
    "aggregate apply order 7 placed --expected-version 6 --json",
    "aggregate apply order 7 placed --expected-version 6",
    "aggregate apply order 7 placed --expected-version none",
    "aggregate apply order 8 placed --expected-version none --json",
    "aggregate apply order 9 placed --expected-version exists",
    "aggregate apply order 8 placed --expected-version exists --json",
    "aggregate apply order 8 placed --expected-version many",
    "aggregate apply order 9 placed --field a=1 --event-id " + ID,
    "aggregate apply order 9 placed --field a=1 --event-id " + ID,
    "aggregate apply order 9 placed --field a=2 --event-id " + ID,
    "aggregate apply order 9 placed --event-id x",
    "aggregate apply order 9 placed --payload {",
    "aggregate apply $order 9 placed --field a=b",
    "aggregate apply order 9 placed --tag \u00a0",
    "aggregate apply order 9",
    "import in.ndjson --json",
    "import in.ndjson",
    "import in.ndjson --source other",
    "import in.ndjson --fresh-ids --json",
    "import in.ndjson --batch 5000",
    "import bad.ndjson",
    "import bad.ndjson --reject refused --json",
    "import in.csv --json",
    "import in.csv",
    "import nothing.csv",
]

READS = [
    "aggregate list",
    "aggregate list --json",
    "aggregate list --skip 2 --take 3",
    "aggregate list --aggregate i* --take 100",
    "aggregate list --take 0 --json",
    "aggregate list --take 5000 --json",
    "aggregate list --aggregate nothing",
    "aggregate get order 1",
    "aggregate get order 1 --json",
    "aggregate get order 1 --version 2 --json",
    "aggregate get order 1 --version 0",
    "aggregate get order 1 --version 99",
    "aggregate get order 1 --version 99 --json",
    "aggregate get order 1 --include-events --json",
    "aggregate get order 1 --include-events --version 3",
    "aggregate get import 3 --include-events --json",
    "aggregate get order nothing",
    "aggregate get order nothing --json",
    "aggregate get item ..",
    "aggregate replay order 1",
    "aggregate replay order 1 --skip 1 --take 2",
    "aggregate replay order 1 --skip 100",
    "aggregate replay order 1 --take 0",
    "aggregate replay order nothing",
    "aggregate replay import 3",
    "aggregate replay item c",
    "aggregate verify order 1",
    "aggregate verify order 1 --json",
    "aggregate verify order 1 --version 2",
    "aggregate verify order 1 --version 99",
    "aggregate verify order nothing",
    "tail",
    "tail -n 3",
    "tail -n 0",
    "tail -n 3 --aggregate order",
    "tail -n 5 --aggregate order --aggregate item --event s*",
    "tail -n 5 --tag r*",
    "tail --from 5 --aggregate-id 1",
    "tail --from 4000",
    "tail --from 0",
    "export --aggregate order --aggregate item",
    "export --aggregate item --event seen --tag blue",
    "export --tag blue --tag red",
    "export --from 2 --to 4",
    "export --from 4 --to 2",
    "export --limit 1200 --aggregate import",
    "export --before-time 2000-01-01T00:00:00Z",
    "export --after-time x",
    "export --output file --aggregate order",
    "export --output file --aggregate order --json",
    "export --system --aggregate nothing",
]


def compare(ways, command):
    args = command.split(" ")
    answers = {way: said(*ways[way], args) for way in WAYS}
    assert answers["up"] == answers["down"], command
    assert answers["server"] == answers["down"], command
    return answers["down"]


def test_writes_and_reads(ways):
    codes = set()
    for command in APPENDS + READS:
        codes.add(compare(ways, command)[0])
    assert {0, 1, 2, 3, 5, 8} <= codes


def test_ids_with_any_character(ways):
    odd = "2/\u00e9 \U0001d11e"
    for args in (["aggregate", "get", "order", odd, "--json"],
                 ["aggregate", "replay", "order", odd],
                 ["aggregate", "verify", "order", odd],
                 ["aggregate", "apply", "a b/..", "%2F?#&+", "e", "--json"],
                 ["aggregate", "get", "a b/..", "%2F?#&+", "--json"],
                 ["aggregate", "list", "--aggregate", "a b/*", "--json"]):
        answers = {way: said(*ways[way], args) for way in WAYS}
        assert answers["down"][0] == 0, answers["down"]
        assert answers["up"] == answers["down"], args
        assert answers["server"] == answers["down"], args


SINKS = [
    "sink list",
    "sink list --json",
    "sink test j",
    "sink test j --json",
    "sink test nothing",
    "sink test ../x",
    "sink pause j",
    "sink pause nothing --json",
    "aggregate apply order 9 placed --field a=b --sink-wait 5s",
    "sink resume j --sink-wait 5s",
    "sink resume j --json --sink-wait 5s",
    "sink status nothing",
    "sink replay j --dry-run",
    "sink replay j --from 0",
    "sink replay j --from 2",
    "sink replay nothing",
    "sink dead-letters j",
    "sink dead-letters j --json",
    "sink dead-letters nothing",
    "sink dead-letters j discard 7",
    "sink dead-letters j show x",
    "sink remove nothing",
    "sink remove nothing --dry-run",
]

DEAD = [
    "sink dead-letters m",
    "sink dead-letters m --json",
    "sink dead-letters m show --json",
    "sink dead-letters m show",
    "sink dead-letters m retry",
    "sink dead-letters m --json",
    "sink dead-letters m discard --dry-run",
    "sink remove m --dry-run",
    "sink dead-letters m discard --json",
    "sink dead-letters m",
    "sink remove m --json",
    "sink list",
]


def test_sinks(ways):
    for command in SINKS:
        compare(ways, command)
    rows = {}
    for way in WAYS:
        weir, more, _ = ways[way]
        rows[way] = [
            {k: r[k] for k in ("name", "plugin", "committed", "parked")}
            for r in weir("sink", "status", "--json", *more).json()]
        assert weir("sink", "status", *more).out.startswith("NAME")
    assert rows["down"] == rows["up"] == rows["server"]


@pytest.mark.skipif(run.plugin_path("sqlite") is None, reason="no sqlite sink")
def test_dead_letters(ways):
    for command in DEAD:
        compare(ways, command)


RULES = [
    "schema create --aggregate s --events a,b --snapshot-threshold 10",
    "schema create --aggregate s --events a,b",
    "schema create --aggregate s",
    "schema add --aggregate s --events c",
    "schema add --aggregate nothing --events c",
    "schema remove --aggregate s --event c",
    "schema remove --aggregate s --event none",
    "schema list",
    "schema list --json",
    "schema show s",
    "schema show s --json",
    "schema show nothing",
    "aggregate apply s 1 a --field x=1 --json",
    "aggregate apply s 1 c --field x=1",
    "aggregate apply s 1 c --field x=1 --json",
    "token generate --group g --user u --limit 5 --json",
    "token generate --group g",
    "token generate --group g --user u --scope none",
    "token revoke nothing",
    "token refresh --token nothing --limit 3",
]


def test_rules(ways):
    for command in RULES:
        compare(ways, command)


def test_an_export_of_a_server_is_exact(ways):
    """The bytes of a payload come by --server, too: hashes are checked."""
    weir, more, _ = ways["server"]
    text = weir("export", "--aggregate", "item", *more).out
    assert "payload_base64" in text
    copy = conftest.Weir(os.path.dirname(weir.cwd))
    copy.dir = copy.env["WEIR_DATA_DIR"] = os.path.join(weir.cwd, "copy")
    assert "3 appended" in copy("import", "-", input=text).err


def test_network_errors(ways, tmp_path):
    weir, more, url = ways["server"]
    get = ("aggregate", "get", "order", "1")
    assert weir(*get, "--server", url, code=4).err == (
        "weir: a token is needed: send Authorization: Bearer TOKEN\n")
    bad = tmp_path / "bad"
    bad.write_text("weir_" + "x" * 43)
    a = weir(*get, "--server", url, "--token-file", bad, code=4)
    assert a.err == "weir: token not found or inactive\n"
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    a = weir(*get, "--server", "http://127.0.0.1:%d" % port, code=6)
    assert "127.0.0.1:%d" % port in a.err
    for wrong in ("ftp://x", "x", "http://a:b@c", "http://a?b"):
        weir(*get, "--server", wrong, code=2)
    bad.write_text("a\nb")
    assert "holds a character" in weir(
        *get, "--server", url, "--token-file", bad, code=2).err
    assert "weir_" not in weir(*get, *more[:2], code=4, env={
        "WEIR_TOKEN": "weir_" + "y" * 43}).err


def test_the_environment_names_the_server(ways):
    weir, more, url = ways["server"]
    with open(more[3], encoding="utf-8") as f:
        env = {"WEIR_SERVER": url + "/", "WEIR_TOKEN": f.read()}
    args = ("aggregate", "get", "order", "1", "--json")
    assert weir(*args, env=env).out == weir(*args, *more).out
    # What is said on the command line counts before the environment.
    weir(*args, "--data-dir", weir.dir + ".none", env=env, code=3)
    assert weir("check", env=env, code=3).code == 3  # of this machine alone
    weir("check", *more, code=2)


def test_tail_follows_a_server(ways):
    weir, more, _ = ways["server"]
    last = weir("status", "--json", "--data-dir",
                weir.dir).json()["committed"]
    p = weir.start("tail", "-f", "--from", last + 1, *more)
    try:
        for i in range(3):
            weir("aggregate", "apply", "follow", str(i), "e", *more)
            r = json.loads(p.stdout.readline())
            assert (r["aggregate_id"], r["sequence"]) == (
                str(i), last + 1 + i)
    finally:
        p.terminate()
    p.communicate(timeout=20)
    assert p.returncode == 130


def test_the_server_comes_and_goes(weir):
    """Whoever holds the store, the commands work: none of them sees an error,
    and each record is there once."""
    n = 0
    for _ in range(2):
        start(weir)
        for _ in range(3):
            weir.apply("order", "1", "placed", "--field", "n:=%d" % n)
            n += 1
        p = weir.start("stop")
        for _ in range(6):
            weir.apply("order", "1", "placed", "--field", "n:=%d" % n)
            n += 1
        assert p.communicate(timeout=30) is not None
    seen = [json.loads(line)["payload"]["n"] for line in weir(
        "aggregate", "replay", "order", "1").out.splitlines()]
    assert seen == list(range(n))
    weir("check")


def test_tls(weir):
    """A server's certificate is checked, against --cacert when it is given."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl program")
    cert, key = (os.path.join(weir.cwd, n) for n in ("cert.pem", "key.pem"))
    run.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", key, "-out", cert], check=0)
    weir("config", "--tls-cert", cert, "--tls-key", key)
    weir("start", "--port", "0", "--text-port", "0")
    try:
        url = "https://" + weir("status", "--json").json()["http"]
        token = os.path.join(weir.cwd, "token")
        with open(token, "w", encoding="utf-8") as f:
            f.write(weir("token", "generate", "--group", "g", "--user",
                         "u").out)
        args = ("aggregate", "apply", "order", "1", "placed", "--json",
                "--server", url, "--token-file", token)
        refused = weir(*args, code=6)
        assert "certificate" in refused.err
        r = weir(*args, "--cacert", cert).json()
        assert r["metadata"]["issued_by"] == {"group": "g", "user": "u"}
        assert weir(*args, env={"WEIR_CACERT": cert}).json()["version"] == 2
    finally:
        weir("stop", code=None)
