"""A broken link is proven: the exporter's discovery, a real Prometheus and a real blackbox_exporter."""

import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
import yaml

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import ExporterProcess, Process
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.serving import serving
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import ROOT, needs, program

pytestmark = [pytest.mark.e2e, needs("prometheus", "prometheus-blackbox-exporter")]

AUTOMATION: Final = "00000000-0000-4000-8000-00000000abcd"
STEP: Final = "11111111-2222-4333-8444-555555555555"
FOLDER: Final = ROOT / "prometheus"


class Pages(BaseHTTPRequestHandler):
    """A site with a good page, broken ones and a redirect without end."""

    agents: Final[set[tuple[str, str]]] = set()

    def do_HEAD(self) -> None:
        self.agents.add((self.command, self.headers["User-Agent"]))
        statuses = {"/good": 200, "/moved": 302, "/loop": 302, "/missing": 404, "/error": 500, "/only-get": 405}
        self.send_response(statuses.get(self.path, 404))
        if self.path in ("/moved", "/loop"):
            self.send_header("Location", "/good" if self.path == "/moved" else "/loop")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815  # the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Serve the pages over HTTP, and over HTTPS with a certificate that nobody trusts; give both addresses."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "site.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "site.pem")
    plain, encrypted = (ThreadingHTTPServer(("127.0.0.1", 0), Pages) for _ in range(2))
    encrypted.socket = context.wrap_socket(encrypted.socket, server_side=True)
    with serving(plain) as port, serving(encrypted) as encrypted_port:
        yield f"http://127.0.0.1:{port}", f"https://127.0.0.1:{encrypted_port}"


def job(exporter: str, prober: str) -> dict[str, Any]:
    """Return the job that ships, with the addresses of this test."""
    shipped = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (found,) = [each for each in shipped if each["job_name"] == "sendgrid-links"]
    text = json.dumps(found).replace("localhost:10154", exporter).replace("localhost:9115", prober)
    options: dict[str, Any] = json.loads(text)
    del options["job_name"]
    options["http_sd_configs"][0]["refresh_interval"] = "1s"
    return {**options, "scrape_interval": "1s", "scrape_timeout": "1s"}


def test_links_that_fail_raise_the_alert_and_the_others_do_not(tmp_path: Path, site: tuple[str, str]) -> None:
    plain, encrypted = site
    good = [f"{plain}/good", f"{plain}/moved", f"{plain}/only-get"]
    broken = {f"{plain}/missing": 404, f"{plain}/error": 500, f"{plain}/loop": 302, f"{encrypted}/good": 0}
    left_out = [f"{plain}/unsubscribe", f"{plain}/%7B%7Bname%7D%7D", "http://user:secret@127.0.0.1/"]
    rows = tuple(Row(STEP, url, place, 9) for place, url in enumerate([*good, *broken, *left_out]))
    rules = tmp_path / "sendgrid-links.yml"
    shipped = (FOLDER / "blackbox" / "sendgrid-links.yml").read_text(encoding="utf-8")
    rules.write_text(shipped.replace("for: 10m", "for: 2s").replace("interval: 30s", "interval: 1s"), encoding="utf-8")
    prober_address = f"127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator([fixed(AUTOMATION, rows)], rate_limit=0))
        entry = [{"id": AUTOMATION, "name": "Welcome", "steps": {STEP: "Day 1"}}]
        variables = {
            "SENDGRID_API_KEY": simulator.api_key,
            "EXPORTER_SENDGRID__BASE_URL": simulator.base_url,
            "EXPORTER_AUTOMATIONS": json.dumps(entry),
            "EXPORTER_POLL__INTERVAL": "1s",
        }
        flags = ("--sd.links=true", "--sd.private-addresses=true")
        exporter = stack.enter_context(ExporterProcess(*flags, env=variables))
        config = f"--config.file={FOLDER / 'blackbox' / 'blackbox.yml'}"
        listen = f"--web.listen-address={prober_address}"
        prober = stack.enter_context(Process([program("prometheus-blackbox-exporter"), config, listen]))
        prober.wait_while_alive(lambda: exchange(f"http://{prober_address}/-/healthy").status == 200, "it answers")
        options = job(exporter.address, prober_address)
        prometheus = stack.enter_context(
            Prometheus(tmp_path / "data", {"sendgrid-links": []}, rules=[rules], job_options=options)
        )

        firing = 'ALERTS{alertname="SendGridLinkBroken",alertstate="firing"}'
        wait_until(lambda: len(prometheus.query(firing)) >= len(broken), "the alerts fire", seconds=60)

        alerts = prometheus.query(firing)
        assert {each.labels["url"] for each in alerts} == set(broken)
        assert {(each.labels["automation"], each.labels["step"]) for each in alerts} == {("Welcome", "Day 1")}
        codes = {each.labels["url"]: each.value for each in prometheus.query("probe_http_status_code")}
        assert codes.keys() == {*good, *broken}
        assert {url: codes[url] for url in broken} == broken
    assert Pages.agents == {("HEAD", "sendgrid-automation-exporter link check (blackbox_exporter)")}
