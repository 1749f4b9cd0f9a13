"""The Alertmanager configuration that ships: real messages of a real Alertmanager, caught where they would arrive."""

import email.policy
import json
import queue
import socketserver
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import Process
from tests.end_to_end.harness.serving import serving
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import ROOT, needs, program

pytestmark = pytest.mark.e2e

FOLDER: Final = ROOT / "prometheus" / "alertmanager"
CONFIG: Final = FOLDER / "alertmanager.yml"
ALERTMANAGER: Final = ("alertmanager-newer", "prometheus-alertmanager")
"""The second is Debian's package, which brings the templates that the newer program reads, too."""
ALERT: Final = {
    "labels": {
        "alertname": "SendGridAutomationClicksStopped",
        "severity": "critical",
        "job": "sendgrid-automation-exporter",
        "automation_id": "6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c11",
    },
    "annotations": {
        "summary": "Clicks on the automation <!channel> & [Sale](https://evil.example) have stopped.",
        "description": "Nobody has clicked <b>here</b> for 3 h. First check whether it still sends mail.",
        "dashboard_url": "https://grafana.example/d/sendgrid-automation?var-automation=6b2ec1bc",
        "sendgrid_url": "https://mc.sendgrid.com/automations/6b2ec1bc/detail",
        "runbook_url": "https://example.com/docs/alerts.md#sendgridautomationclicksstopped",
    },
}


class Caught(NamedTuple):
    """Where the messages went: the path that was posted to with its JSON, or `mail` with the message."""

    place: str
    message: Any


@contextmanager
def _web_hooks(caught: "queue.Queue[Caught]") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            caught.put(Caught(self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None: ...

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _mail_server(caught: "queue.Queue[Caught]") -> Iterator[str]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 test\r\n")
            for line in self.rfile:
                match line[:4].upper():
                    case b"EHLO":
                        self.wfile.write(b"250-test\r\n250 8BITMIME\r\n")
                    case b"DATA":
                        self.wfile.write(b"354 go on\r\n")
                        text = b"".join(iter(self.rfile.readline, b".\r\n"))
                        caught.put(Caught("mail", email.message_from_bytes(text, policy=email.policy.default)))
                        self.wfile.write(b"250 taken\r\n")
                    case b"QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    case _:
                        self.wfile.write(b"250 ok\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with serving(Server(("127.0.0.1", 0), Handler)) as port:
        yield f"127.0.0.1:{port}"


def _pointed_at(folder: Path, web: str, mail: str) -> Path:
    """Write the configuration as it ships, but for the addresses and how long messages are gathered."""
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] = {"smtp_smarthost": mail, "smtp_from": "alertmanager@example.com", "smtp_require_tls": False}
    config["templates"] = [str(FOLDER / name) for name in config["templates"]]
    for route in [config["route"], *config["route"]["routes"]]:
        route["group_wait"] = "0s"
        route["group_interval"] = "1s"
    for receiver in config["receivers"]:
        for kind in ("slack_configs", "msteamsv2_configs", "webhook_configs"):
            for one in receiver.get(kind, []):
                (name,) = (name for name in one if name.endswith("url_file"))
                secret = folder / f"{receiver['name']}.txt"
                secret.write_text(f"{web}/{receiver['name']}")
                one[name] = str(secret)
    written = folder / "alertmanager.yml"
    written.write_text(yaml.safe_dump(config))
    return written


class Running(NamedTuple):
    address: str
    caught: "queue.Queue[Caught]"

    def send(self, *alerts: Mapping[str, Any], ended: bool = False) -> None:
        now = datetime.now(UTC)
        ends = now if ended else now + timedelta(hours=1)
        body = [
            {**alert, "startsAt": (now - timedelta(hours=1)).isoformat(), "endsAt": ends.isoformat()}
            for alert in alerts
        ]
        answer = exchange(
            f"http://{self.address}/api/v2/alerts",
            method="POST",
            headers={"Content-Type": "application/json"},
            body=json.dumps(body).encode(),
        )
        assert answer.status == 200, answer.text

    def messages(self, *places: str) -> dict[str, Any]:
        """Return the next message at each of the places."""
        got: dict[str, Any] = {}
        while set(got) != set(places):
            place, message = self.caught.get(timeout=60)
            got[place.lstrip("/")] = message
        return got


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    caught: queue.Queue[Caught] = queue.Queue()
    address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        web, mail = stack.enter_context(_web_hooks(caught)), stack.enter_context(_mail_server(caught))
        command = [
            program("alertmanager-newer"),
            f"--config.file={_pointed_at(tmp_path, web, mail)}",
            f"--storage.path={tmp_path}/data",
            "--cluster.listen-address=",
            f"--web.listen-address={address}",
        ]
        process = stack.enter_context(Process(command))
        process.wait_while_alive(lambda: exchange(f"http://{address}/-/ready").status == 200, "Alertmanager is ready")
        yield Running(address, caught)


@needs(*ALERTMANAGER)
def test_a_critical_alert_reaches_slack_teams_and_the_webhook_in_words(running: Running) -> None:
    running.send(ALERT)
    got = running.messages("sendgrid-slack", "sendgrid-teams", "sendgrid-webhook")

    (attachment,) = got["sendgrid-slack"]["attachments"]
    notes = ALERT["annotations"]
    assert attachment["title"] == (
        "Clicks on the automation &lt;!channel&gt; &amp; [Sale](https://evil.example) have stopped."
    )
    assert attachment["title_link"] == notes["dashboard_url"]
    assert attachment["color"] == "danger"
    assert "Nobody has clicked &lt;b&gt;here&lt;/b&gt; for 3 h." in attachment["text"]
    for words, name in (("Dashboard", "dashboard_url"), ("In SendGrid", "sendgrid_url"), ("What to do", "runbook_url")):
        assert f"<{notes[name]}|{words}>" in attachment["text"]
    card = json.dumps(got["sendgrid-teams"])
    assert "Nobody has clicked" in card
    assert f"[Dashboard]({notes['dashboard_url']})" in card
    assert got["sendgrid-webhook"]["alerts"][0]["annotations"] == notes

    running.send(ALERT, ended=True)
    (attachment,) = running.messages("sendgrid-slack", "sendgrid-teams", "sendgrid-webhook")["sendgrid-slack"][
        "attachments"
    ]
    assert attachment["title"].startswith("Resolved: Clicks on the automation ")
    assert attachment["color"] == "good"


@needs(*ALERTMANAGER)
def test_news_come_by_mail_alone(running: Running) -> None:
    replaced = {
        "labels": {**ALERT["labels"], "alertname": "SendGridLinkReplaced", "severity": "info"},
        "annotations": ALERT["annotations"],
    }
    running.send(replaced)
    (place,) = (got := running.messages("mail"))
    message: EmailMessage = got[place]

    html = message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert message["Subject"] == ALERT["annotations"]["summary"]
    assert "Nobody has clicked &lt;b&gt;here&lt;/b&gt;" in html
    assert f'<a href="{ALERT["annotations"]["dashboard_url"]}">Dashboard</a>' in html
    plain = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert f"In SendGrid: {ALERT['annotations']['sendgrid_url']}" in plain
    assert running.caught.empty()


@needs(*ALERTMANAGER)
def test_a_stopped_journey_keeps_its_links_quiet(running: Running) -> None:
    link = {
        "labels": {
            **ALERT["labels"],
            "alertname": "SendGridLinkClicksStopped",
            "severity": "warning",
            "step_id": "s",
            "url": "u",
        },
        "annotations": {"summary": "link", "description": "link"},
    }
    running.send(ALERT, link)

    def states() -> dict[str, str]:
        found = exchange(f"http://{running.address}/api/v2/alerts").json()
        return {one["labels"]["alertname"]: one["status"]["state"] for one in found}

    wait_until(
        lambda: states() == {"SendGridAutomationClicksStopped": "active", "SendGridLinkClicksStopped": "suppressed"},
        "the link's alert is inhibited",
    )


@needs(*ALERTMANAGER)
def test_a_journey_that_sends_no_mail_makes_one_message(running: Running) -> None:
    def alert(name: str, severity: str, cause: str) -> Mapping[str, Any]:
        return {**ALERT, "labels": {**ALERT["labels"], "alertname": name, "severity": severity, "cause": cause}}

    running.send(
        alert("SendGridAutomationStoppedSending", "critical", "fewer_mails"),
        alert("SendGridAutomationClicksDropped", "warning", "fewer_mails"),
    )

    def states() -> dict[str, str]:
        found = exchange(f"http://{running.address}/api/v2/alerts").json()
        return {one["labels"]["alertname"]: one["status"]["state"] for one in found}

    wait_until(
        lambda: (
            states() == {"SendGridAutomationStoppedSending": "active", "SendGridAutomationClicksDropped": "suppressed"}
        ),
        "the alert on clicks is inhibited",
    )


@needs(*ALERTMANAGER)
def test_a_warning_reaches_the_team_that_owns_the_journey_and_not_the_others(running: Running) -> None:
    labels = {**ALERT["labels"], "severity": "warning", "team": "growth"}
    running.send({**ALERT, "labels": labels})
    message: EmailMessage = running.messages("mail")["mail"]

    assert message["To"] == "growth@example.com"
    assert running.caught.empty()


@needs("amtool-newer")
@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (("severity=warning",), "sendgrid-slack"),
        (("severity=warning", "team=growth"), "sendgrid-growth"),
        (("severity=warning", "team=other"), "sendgrid-slack"),
        (("severity=info", "team=growth"), "sendgrid-email"),
        (("severity=critical", "team=growth"), "sendgrid-teams,sendgrid-webhook,sendgrid-growth"),
        (("severity=critical",), "sendgrid-teams,sendgrid-webhook,sendgrid-slack"),
    ],
)
def test_amtool_says_who_hears_of_what(labels: tuple[str, ...], receivers: str) -> None:
    command = [program("amtool-newer"), "config", "routes", "test", f"--config.file={CONFIG}", *labels]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert said.stdout.strip() == receivers, said.stderr


@needs("amtool-newer")
def test_amtool_takes_the_configuration() -> None:
    checked = subprocess.run(
        [program("amtool-newer"), "check-config", CONFIG], capture_output=True, text=True, check=False, timeout=60
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS" in checked.stdout


@needs("amtool")
def test_older_amtool_takes_the_configuration_with_what_the_page_says_to_change(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "receivers.md").read_text(encoding="utf-8")
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    for receiver in config["receivers"]:
        receiver.pop("msteamsv2_configs", None)
        for webhook in receiver.get("webhook_configs", ()):
            webhook.pop("url_file")
            webhook["url"] = "http://127.0.0.1:1/"
    changed = tmp_path / "alertmanager.yml"
    changed.write_text(yaml.safe_dump(config))
    (tmp_path / "sendgrid.tmpl").write_bytes((FOLDER / "sendgrid.tmpl").read_bytes())

    checked = subprocess.run(
        [program("amtool"), "check-config", changed], capture_output=True, text=True, check=False, timeout=60
    )

    assert "omit `msteamsv2_configs`" in page
    assert "instead of the webhook's\n   `url_file`" in page
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs(*ALERTMANAGER)
def test_a_link_that_is_proven_broken_keeps_the_guess_from_its_clicks_quiet(running: Running) -> None:
    def alert(name: str, url: str, **labels: str) -> Mapping[str, Any]:
        return {**ALERT, "labels": {"alertname": name, "severity": "warning", "url": url, **labels}}

    broken, other = "https://shop.example/a", "https://shop.example/b"
    running.send(
        alert("SendGridLinkBroken", broken, automation="Welcome", step_id="1"),
        alert("SendGridLinkClicksStopped", broken, job="sendgrid-automation-exporter", step_id="2"),
        alert("SendGridLinkClicksStopped", other, job="sendgrid-automation-exporter", step_id="2"),
    )

    def quiet() -> set[tuple[str, str]]:
        alerts = exchange(f"http://{running.address}/api/v2/alerts").json()
        inhibited = [each["labels"] for each in alerts if each["status"]["inhibitedBy"]]
        return {(labels["alertname"], labels["url"]) for labels in inhibited}

    wait_until(quiet, "an alert is inhibited")
    assert quiet() == {("SendGridLinkClicksStopped", broken)}
