# SPDX-License-Identifier: MIT
"""What is handed to a service manager, to Prometheus and to Grafana names
things that are there. Tools that are not installed are not asked."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import run

CONTRIB = os.path.join(run.SRC, "contrib")
RULES = os.path.join(CONTRIB, "prometheus", "weir.rules.yml")
METRIC = re.compile(r"\b(?:weir|process)_[a-z0-9_]+")
EXPOSURE_MAX = 1.2


def need(tool):
    path = shutil.which(tool)
    if path is None:
        pytest.skip("%s is not installed" % tool)
    return path


def fetch(path):
    c = http.client.HTTPConnection("localhost")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.settimeout(30)
    c.sock.connect(path)
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return text


@pytest.fixture
def metrics(weir, tmp_path):
    """/metrics of a server with a sink and some requests behind it."""
    if run.plugin_path("json") is None:
        pytest.skip("no json plugin")
    weir("plugin", "json", "--path", tmp_path / "out.json")
    weir("start", "--port", "0", "--text-port", "0")
    try:
        # a request is counted once it has ended, the first one as well
        text = ""
        until = time.monotonic() + 30
        while ("weir_http_requests_total{" not in text
               and time.monotonic() < until):
            text = fetch(os.path.join(weir.dir, "weir.sock"))
        yield text
    finally:
        weir("stop")


def dashboard():
    with open(os.path.join(CONTRIB, "grafana", "weir.json")) as f:
        return json.load(f)


def expressions():
    """(where, expression) of all alerts and panels."""
    with open(RULES) as f:
        for m in re.finditer(r"^ +expr: (.*)$", f.read(), re.M):
            yield "alert", m[1]
    for p in dashboard()["panels"]:
        for t in p["targets"]:
            yield p["title"], t["expr"]


def test_metrics_exist(metrics):
    known = set(re.findall(r"^([a-z0-9_]+)", metrics, re.M))
    labels = {"weir_sink_state"} & known
    assert labels
    count = 0
    for where, text in expressions():
        for name in METRIC.findall(re.sub(r'"[^"]*"', '""', text)):
            assert name in known, (where, name)
            count += 1
    assert count > 40


def test_promtool(metrics):
    tool = need("promtool")
    run.run([tool, "check", "rules", RULES], check=0)
    p = run.run([tool, "check", "metrics"], input=metrics, check=0)
    assert p.stdout + p.stderr == ""


def test_rules_are_complete():
    with open(RULES) as f:
        text = f.read()
    alerts = re.findall(r"- alert: (\w+)", text)
    assert len(alerts) == len(set(alerts)) > 10
    assert len(re.findall(r"summary:", text)) == len(alerts)
    assert len(re.findall(r"severity: (?:critical|warning|info)$", text,
                          re.M)) == len(alerts)


def test_dashboard_is_complete():
    d = dashboard()
    ids = [p["id"] for p in d["panels"]]
    assert len(ids) == len(set(ids)) > 10
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in d["panels"]}
    assert len(places) == len(ids)


def unit(tmp_path):
    """The unit as installed, with a program that is there."""
    with open(os.path.join(CONTRIB, "systemd", "weir.service.in")) as f:
        text = f.read()
    assert "@bindir@/weir start --foreground" in text
    path = tmp_path / "weir.service"
    path.write_text(text.replace("@bindir@/weir", "/bin/true"))
    return path


def test_service_is_hardened(tmp_path):
    tool = need("systemd-analyze")
    path = unit(tmp_path)
    p = run.run([tool, "security", "--offline=true", "--no-pager", str(path)])
    if "nknown" in p.stderr:
        pytest.skip("this systemd-analyze is too old: " + p.stderr)
    m = re.search(r"exposure level for weir.service: ([0-9.]+)", p.stdout)
    assert m, p.stdout + p.stderr
    assert float(m[1]) <= EXPOSURE_MAX, p.stdout


def test_units_are_understood(tmp_path):
    tool = need("systemd-analyze")
    unit(tmp_path)
    shutil.copy(os.path.join(CONTRIB, "systemd", "weir.socket"), tmp_path)
    p = subprocess.run(
        [tool, "verify", "--man=no", str(tmp_path / "weir.service"),
         str(tmp_path / "weir.socket")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        timeout=60)
    assert "weir" not in p.stdout, p.stdout
