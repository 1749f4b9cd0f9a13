"""The harness shows what is there: checked against a server whose exposition is fixed."""

import re
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.end_to_end.harness import promtool
from tests.end_to_end.harness.exchange import exchange
from tests.end_to_end.harness.process import ExporterProcess, Process, environment, run_exporter
from tests.end_to_end.harness.prometheus import BOTH_AGES, Prometheus
from tests.end_to_end.harness.waiting import wait_until
from tests.programs import needs

pytestmark = pytest.mark.e2e

BOTH = pytest.mark.parametrize("binary", [pytest.param(name, marks=needs(name)) for name in BOTH_AGES])
LINK = 'link_clicks{url="https://example.com/?a=\\"b\\"\\\\c\\nd é"} 7'


class FixedServer:
    """Serves one text at every path; a test may change it."""

    def __init__(self) -> None:
        self.text = ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = server.text.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"127.0.0.1:{self.http.server_port}"


@pytest.fixture
def fixed() -> Iterator[FixedServer]:
    server = FixedServer()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@BOTH
def test_prometheus_stores_what_is_served_and_ends_what_is_not(fixed, tmp_path, binary):
    fixed.text = f'# TYPE link_clicks gauge\n{LINK}\nlink_clicks{{url="two"}} 1\n'

    with Prometheus(tmp_path, {"job": [fixed.address]}, interval="200ms", binary=binary) as prometheus:
        prometheus.wait_for_scrape()
        first = {series.key("__name__", "job", "instance"): series.value for series in prometheus.query("link_clicks")}
        fixed.text = f"# TYPE link_clicks gauge\n{LINK}8\n"
        prometheus.wait_for_scrape()
        second = prometheus.query("link_clicks")

        assert first == {(("url", 'https://example.com/?a="b"\\c\nd é'),): 7, (("url", "two"),): 1}
        assert [series.value for series in second] == [78]
        assert {labels["url"] for labels in prometheus.series("link_clicks")} == {
            'https://example.com/?a="b"\\c\nd é',
            "two",
        }
        assert prometheus.value("absent_metric") is None
        assert [target["health"] for target in prometheus.targets()] == ["up"]


@BOTH
def test_prometheus_reads_a_past_made_of_blocks(tmp_path, binary):
    past = (
        "# TYPE clicks gauge\n"
        + "".join(f"clicks {hour} {1_700_000_000 + hour * 3600}\n" for hour in range(6))
        + "# EOF\n"
    )
    promtool.create_blocks(past, tmp_path, binary=binary.replace("prometheus", "promtool"))

    with Prometheus(tmp_path, flags=["--storage.tsdb.retention.time=100y"], binary=binary) as prometheus:
        [series] = prometheus.query_range("clicks", start=1_700_000_000, end=1_700_018_000, step="1h")

        assert [value for _, value in series.points] == [0, 1, 2, 3, 4, 5]
        assert prometheus.value("clicks", at=1_700_007_200) == 2
        assert prometheus.value("scalar(clicks)", at=1_700_007_200) == 2


@needs("prometheus")
def test_prometheus_evaluates_rules(fixed, tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: Many, expr: 'clicks > 5', labels: {severity: info}}]}]")
    fixed.text = "clicks 6\n"

    with Prometheus(tmp_path / "data", {"job": [fixed.address]}, interval="200ms", rules=[rules]) as prometheus:
        [alert] = wait_until(prometheus.alerts, "the alert fires")

        assert alert["labels"]["alertname"] == "Many"


@needs("prometheus")
def test_prometheus_that_cannot_start_tells_its_reason(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{record: x, expr: '('}]}]")

    with pytest.raises(AssertionError, match="parse error"), Prometheus(tmp_path / "data", rules=[rules]):
        pass


@needs("promtool")
@pytest.mark.parametrize(
    ("exposition", "passes"),
    [
        ("# HELP a_seconds A.\n# TYPE a_seconds gauge\na_seconds 1\n", True),
        ("a_total{ 1\n", False),
        ("# TYPE a gauge\na 1\n", False),
    ],
)
def test_promtool_judges_an_exposition(exposition, passes):
    assert promtool.check_metrics(exposition).passed is passes


@needs("promtool")
def test_promtool_judges_rules_and_configurations(tmp_path):
    bad = tmp_path / "bad.yml"
    bad.write_text("groups: [{name: g, rules: [{record: x, expr: '('}]}]")
    good = tmp_path / "good.yml"
    good.write_text("groups: [{name: g, rules: [{record: 'a:b', expr: 'sum(c)'}]}]")
    tests = tmp_path / "tests.yml"
    tests.write_text(
        "rule_files: [good.yml]\ntests: [{input_series: [{series: c, values: '1'}], promql_expr_test: []}]"
    )

    assert "parse error" in promtool.check_rules(bad).output
    assert promtool.check_rules(good).passed
    assert promtool.unit_test_rules(tests).passed
    assert not promtool.check_config(bad).passed


SERVER = """
import http.server, os, signal, sys
flag = next(word for word in sys.argv if word.startswith("--web.listen-address="))
host, port = flag.partition("=")[2].split(":")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("# TYPE a gauge\\na{b=\\"" + os.environ.get("EXPORTER_NAME", "none") + "\\"} 1\\n# EOF\\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0 if "--stubborn" not in sys.argv else 3))
print("level=info msg=listening", file=sys.stderr, flush=True)
http.server.HTTPServer((host, int(port)), Handler).serve_forever()
"""


@pytest.fixture
def server(tmp_path) -> list[str | Path]:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    return [sys.executable, script]


def test_exporter_process_answers_and_stops_by_signal_with_its_status(server):
    with ExporterProcess(command=server, env={"EXPORTER_NAME": "x"}) as exporter:
        assert exporter.samples() == {("a", (("b", "x"),)): 1}
        assert exporter.samples(openmetrics=True) == {("a", (("b", "x"),)): 1}
        assert exporter.wait_for_log("msg=listening") == "level=info msg=listening"
        assert exporter.stop() == 0
        assert exporter.stop() == 0


def test_exporter_process_tells_another_exit_status(server):
    with ExporterProcess("--stubborn", command=server) as exporter:
        assert exporter.stop(signal.SIGTERM) == 3


def test_exporter_process_is_reaped_when_the_test_fails(server, capfd):
    with pytest.raises(ZeroDivisionError), ExporterProcess(command=server) as exporter:
        raise ZeroDivisionError

    assert exporter.popen.returncode is not None
    assert "level=info msg=listening" in capfd.readouterr().err


def test_exporter_process_that_ends_at_once_fails_with_its_log(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no key is set')")

    with pytest.raises(AssertionError, match="no key is set"), ExporterProcess(command=[sys.executable, script]):
        pass


def test_process_that_does_not_end_is_killed_and_told(tmp_path):
    script = tmp_path / "deaf.py"
    script.write_text(
        textwrap.dedent("""\
            import signal, sys
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("deaf", file=sys.stderr, flush=True)
            signal.pause()
        """)
    )
    process = Process([sys.executable, script])
    process.wait_for_log("deaf")

    with pytest.raises(AssertionError, match="did not end within"), process:
        process.stop(seconds=0.2)

    assert process.popen.returncode == -signal.SIGKILL


def test_run_exporter_gives_output_and_status_of_a_clean_environment(tmp_path, monkeypatch):
    script = tmp_path / "once.py"
    script.write_text("import os, sys\nprint(sorted(n for n in os.environ if 'EXPORTER' in n))\nsys.exit(2)")
    monkeypatch.setenv("EXPORTER_POLL__INTERVAL", "1s")

    run = run_exporter("--once", command=[sys.executable, script], env={"EXPORTER_A": "b"})

    assert (run.returncode, run.stdout) == (2, "['EXPORTER_A']\n")
    assert "EXPORTER_POLL__INTERVAL" not in environment()


def test_exchange_gives_any_status_and_lower_case_headers(fixed):
    fixed.text = "a 1\n"

    answer = exchange(f"http://{fixed.address}/x?y=z")

    assert (answer.status, answer.text, answer.headers["content-length"]) == (200, "a 1\n", "4")
    assert exchange(f"http://{fixed.address}/", method="POST", body=b"x").status == 501


def test_waiting_in_vain_tells_what_for_and_what_was_seen():
    with pytest.raises(AssertionError, match=re.escape("waited 0.05 s in vain until pigs fly; last seen: 0")):
        wait_until(lambda: 0, "pigs fly", seconds=0.05)
