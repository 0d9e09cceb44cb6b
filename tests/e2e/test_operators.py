"""What operators look at: the Prometheus configuration, the alerts and every panel of the Grafana dashboards, judged by
Debian's Prometheus over a running server.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest
from conftest import DIRECT, ROOT, start_server
from im_client import make_direct, text

TOOLS = ROOT / "target/tools/prometheus/usr/bin"
CONFIGS = ROOT / "configs"
DASHBOARDS = sorted((CONFIGS / "grafana/dashboards").glob("*.json"))
DEADLINE_S = 60


def panels() -> list[tuple[str, str]]:
    """Name and expression of everything that is drawn, with Grafana's variables filled in."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                expr = target["expr"].replace("$instance", ".*").replace("$__rate_interval", "5m")
                found.append((f"{path.stem}: {panel['title']}", expr))
    return found


class Prometheus:
    """Prometheus with our configuration, pointed at a server of these tests and in a hurry."""

    def __init__(self, server, tmp: Path):
        config = (CONFIGS / "prometheus/prometheus.yml").read_text()
        assert "localhost:7883" in config and "scrape_interval: 15s" in config
        config = config.replace("localhost:7883", f"127.0.0.1:{server.base + 3}").replace("interval: 15s", "interval: 1s")
        (tmp / "prometheus.yml").write_text(config)
        (tmp / "alerts.yml").write_text((CONFIGS / "prometheus/alerts.yml").read_text())
        self.address = f"127.0.0.1:{server.base + 12}"  # of the block that is the server's
        command = [TOOLS / "prometheus", f"--config.file={tmp}/prometheus.yml", f"--storage.tsdb.path={tmp}/tsdb"]
        self.log = (tmp / "log").open("wb")
        self.process = subprocess.Popen([*command, f"--web.listen-address={self.address}"], stderr=self.log, stdout=self.log)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()

    def get(self, path: str, **query: str) -> dict:
        with DIRECT.open(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict]:
        return self.get("query", query=expr)["result"]

    def wait_for(self, expr: str) -> list[dict]:
        """The first answer that is not empty."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                if found := self.query(expr):
                    return found
            except OSError:
                assert self.process.poll() is None, "Prometheus ended"
            time.sleep(0.1)
        raise AssertionError(f"nothing for {expr}")


@pytest.fixture
def prometheus(server, tmp_path):
    instance = Prometheus(server, tmp_path)
    yield instance
    instance.close()


def test_promtool_accepts_the_configuration_and_the_alerts():
    done = subprocess.run([TOOLS / "promtool", "check", "config", CONFIGS / "prometheus/prometheus.yml"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


async def test_every_panel_and_alert_is_about_what_the_server_tells(server, prometheus, people):
    alice, bo = await people("alice"), await people("bo")
    conversation = await make_direct(alice, bo)
    for number in range(3):
        await alice.deliver(conversation, text(f"message {number}"))
    prometheus.wait_for('up{job="convene"} == 1')
    # A rate needs two scrapes.
    prometheus.wait_for('count_over_time(convene_im_commits_total[5m]) >= 2')

    drawn = panels()
    assert len(drawn) > 40
    answers = {name: [] for name, _ in drawn}
    for name, expr in drawn:
        answers[name] += prometheus.query(expr)  # what it cannot read, it refuses with an HTTP status
    for name in ["overview: Rooms", "overview: Chat sessions", "chat: Sends by result", "chat: Send to disk", "chat: Batch size", "media: Worker busy"]:
        assert answers[name], f"{name} draws nothing"
    assert {row["metric"]["result"] for row in prometheus.query("convene_im_sends_total")} >= {"ok"}

    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) >= 8
    assert not [rule["name"] for rule in rules if rule["health"] == "err"]
    assert not [rule["name"] for rule in rules if rule["name"] == "ConveneDown" and rule["state"] == "firing"]


def test_a_machine_without_certificates_has_a_server_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    own = start_server(tmp_path)
    try:
        assert "install ca-certificates" in own.log.read_text()
    finally:
        assert own.stop() == 0


def test_a_server_that_is_gone_is_an_alert(tmp_path):
    own = start_server(tmp_path)
    prometheus = Prometheus(own, tmp_path)
    try:
        prometheus.wait_for('up{job="convene"} == 1')
        rule = re.search(r"alert: ConveneDown\s+expr: (.+)", (CONFIGS / "prometheus/alerts.yml").read_text())[1]
        assert not prometheus.query(rule)
        assert own.stop() == 0
        prometheus.wait_for(rule)
    finally:
        own.process.kill()
        prometheus.close()
