"""The installed command as a process: output, exit codes, signals, reloads, restarts."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from exporter.domain import Outcome
from exporter.errors import NEXT_STEPS
from sendgrid_simulator import Delivery, Row, Simulator, fixed
from tests.factories import an_id
from tests.programs import program

pytestmark = pytest.mark.e2e

ONE, TWO = an_id(1), an_id(2)
ROWS = tuple(Row("step", f"https://example.com/{n}", n, n + 1) for n in range(3))
DEADLINE = 20.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value; fail when it takes too long."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        threading.Event().wait(0.02)  # between two looks at another process
    raise AssertionError(f"waited in vain for {what}")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator((fixed(ONE, ROWS), fixed(TWO, ROWS)), rate_limit=0) as running:
        yield running


class Process:
    """The exporter with a configuration file, on a port that the kernel chose."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.simulator = simulator
        self.file = directory / "exporter.yaml"
        self.log = directory / "stderr"
        self.environment = {"SENDGRID_API_KEY": simulator.api_key}
        self.document: dict[str, Any] = {
            "automations": [ONE, TWO],
            "sendgrid": {"base_url": simulator.base_url, "requests_per_minute": 6000},
            "poll": {"interval": "1s"},
            "web": {"listen_address": "127.0.0.1:0"},
        }
        self.running: subprocess.Popen[str] | None = None

    def write(self, **changes: Any) -> None:
        for name, values in changes.items():
            self.document[name] = {**self.document.get(name, {}), **values} if isinstance(values, dict) else values
        self.file.write_text(yaml.safe_dump(self.document), encoding="utf-8")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.write()
        return subprocess.run(
            [program("sendgrid-automation-exporter"), "--config.file", str(self.file), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> None:
        self.write()
        with self.log.open("w", encoding="utf-8") as log:
            self.running = subprocess.Popen(
                [program("sendgrid-automation-exporter"), "--config.file", str(self.file), *arguments],
                env={**os.environ, **self.environment},
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
            )
        until(lambda: "listening on" in self.logged() or self.running.poll() is not None, "the start")
        assert self.running.poll() is None, self.logged()

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8")

    @property
    def port(self) -> int:
        found = re.findall(r"listening on 127\.0\.0\.1:(\d+)", self.logged())
        return int(found[-1])

    def ask(self, path: str, method: str = "GET", password: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        with contextlib.closing(connection):
            login = base64.b64encode(f"prometheus:{password}".encode()).decode()
            connection.request(method, path, headers={"Authorization": f"Basic {login}"} if password else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a metric by its labels' values."""
        _, text = self.ask("/metrics")
        families = text_string_to_metric_families(text)
        return {
            tuple(sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }

    def totals(self) -> dict[tuple[str, ...], float]:
        return self.samples("automation_total_clicks")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Send the signal; return the exit code and how long it took."""
        assert self.running is not None
        started = time.monotonic()
        self.running.send_signal(number)
        code = self.running.wait(DEADLINE)
        return code, time.monotonic() - started


@pytest.fixture
def process(tmp_path, simulator) -> Iterator[Process]:
    process = Process(tmp_path, simulator)
    yield process
    if process.running is not None and process.running.poll() is None:
        process.running.terminate()
        try:
            process.running.wait(DEADLINE)
        finally:
            process.running.kill()


def test_help_lists_the_settings(process):
    run = process.run("--help")

    assert (run.returncode, run.stderr) == (0, "")
    assert "--poll.interval" in run.stdout


def test_version_tells_the_versions(process):
    run = process.run("--version")

    assert run.returncode == 0
    assert re.fullmatch(r"sendgrid-automation-exporter \S+ \(revision \S+, Python \S+\)\n", run.stdout)


def test_module_runs_as_the_command_does(process):
    command = [sys.executable, "-m", "exporter", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert run.stdout == process.run("--version").stdout


def test_check_prints_the_configuration_without_the_key_and_polls_nothing(process):
    run = process.run("--check")

    assert run.returncode == 0
    assert ONE in run.stdout
    assert process.simulator.api_key not in run.stdout + run.stderr
    assert process.simulator.request_count == 0


@pytest.mark.parametrize("mode", [[], ["--check"], ["--once"]])
def test_wrong_configuration_exits_2_with_every_problem(process, mode):
    process.document["poll"] = {"interval": "soon"}
    process.document["colour"] = "red"

    run = process.run(*mode)

    assert (run.returncode, run.stdout) == (2, "")
    assert "poll.interval" in run.stderr
    assert "colour" in run.stderr


def test_unknown_flag_exits_2(process):
    assert process.run("--colour").returncode == 2


def test_once_prints_the_exposition_and_exits_0(process):
    run = process.run("--once")

    assert run.returncode == 0, run.stderr
    families = {family.name: family for family in text_string_to_metric_families(run.stdout)}
    assert len(families["automation_link_clicks"].samples) == 6
    assert {sample.value for sample in families["automation_total_clicks"].samples} == {6.0}


def test_once_with_a_refused_key_asks_twice_and_says_one_sentence(process):
    process.environment = {"SENDGRID_API_KEY": "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}
    process.document["automations"] = [an_id(number) for number in range(1, 41)]

    run = process.run("--once")

    assert run.returncode == 1
    assert process.simulator.request_count == 2
    (line,) = run.stderr.splitlines()
    assert "all 40 automations failed (unauthorized): HTTP 401: the key was refused (SendGrid says: " in line
    assert line.endswith(NEXT_STEPS[Outcome.UNAUTHORIZED])


def test_first_round_with_a_refused_key_asks_twice_and_logs_one_line(process):
    process.environment = {"SENDGRID_API_KEY": "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}
    process.document["automations"] = [an_id(number) for number in range(1, 41)]
    process.document["poll"] = {"interval": "1h"}
    process.start()
    until(lambda: "listening on" in process.logged(), "the port")

    until(lambda: process.ask("/-/ready")[0] == 200, "every automation's first poll")

    assert process.simulator.request_count == 2
    assert [line for line in process.logged().splitlines() if "level=warn" in line or "level=error" in line] == [
        line for line in process.logged().splitlines() if "HTTP 401" in line
    ]
    assert process.logged().count("HTTP 401") == 1


def test_json_lines_of_an_automation_carry_its_id_its_name_and_what_happened(process):
    process.document["automations"] = [{"id": ONE, "name": 'Welcome "all"'}]
    process.document["log"] = {"format": "json"}
    process.simulator.fault(status=404, times=None)
    process.start()

    until(lambda: "the automation began to fail" in process.logged(), "the failure")

    (line,) = [each for each in map(json.loads, process.logged().splitlines()) if "the automation began" in each["msg"]]
    url = f"{process.simulator.base_url}/v3/marketing/stats/automations/{ONE}/links"
    assert {name: line[name] for name in ("automation_id", "automation", "outcome", "status", "url")} == {
        "automation_id": ONE,
        "automation": 'Welcome "all"',
        "outcome": "not_found",
        "status": "404",
        "url": url,
    }
    assert ONE not in line["msg"]


def test_once_with_a_failing_automation_exits_1_names_it_and_prints_the_others(process):
    process.document["automations"] = [{"id": ONE, "name": "Welcome"}, {"id": TWO, "name": "Win back"}]
    process.simulator.fault(automation=TWO, status=404, times=None)

    run = process.run("--once")

    assert run.returncode == 1
    assert run.stderr == (
        f'sendgrid-automation-exporter: automation "Win back" ({TWO}) failed (not_found): HTTP 404: no such '
        "automation, or no statistics for it yet (SendGrid says: message not found; id simulated-404); "
        "check the automation's id: it was deleted, is another account's, or has sent nothing yet\n"
    )
    assert f'automation_total_clicks{{automation_id="{ONE}"}} 6\n' in run.stdout


def test_taken_port_exits_1_and_names_the_address(process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process.document["web"] = {"listen_address": address}

        run = process.run()

    assert run.returncode == 1
    assert address in run.stderr.splitlines()[-1]
    assert "Traceback" not in run.stderr


def test_demo_serves_data_without_a_key_or_a_configuration(process):
    process.environment = {}
    process.document = {"web": {"listen_address": "127.0.0.1:0"}}

    process.start("--demo")

    until(process.totals, "the demo's data")
    (line,) = [line for line in process.logged().splitlines() if "a demo: open" in line]
    assert f"open http://127.0.0.1:{process.port}/ to see" in line
    assert f"http://127.0.0.1:{process.port}/metrics for what Prometheus scrapes" in line
    assert process.stop()[0] == 0


def test_check_ends_with_ok_and_what_would_be_asked(process):
    process.document["automations"] = [{"id": an_id(n), "name": f"A{n}"} for n in range(1, 13)]
    process.environment = {"SENDGRID_API_KEY": "changeme"}

    run = process.run("--check")

    assert run.returncode == 0
    assert [line for line in run.stdout.splitlines() if line.startswith("#")] == [
        "# OK, with 1 warning. SendGrid would be asked for:",
        "# the links of 12 automations, every 1s: A1, A2, A3, A4, A5, A6, A7, A8, A9, A10 and 2 more",
        "# the statistics of the configured automations, every 5m",
    ]
    assert len(yaml.safe_load(run.stdout)["automations"]) == 12


def test_start_says_where_and_how_without_the_key(process):
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    assert process.ask("/-/ready")[0] == 200
    assert process.simulator.api_key not in process.logged()
    assert process.simulator.api_key.encode() not in Path(f"/proc/{process.running.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_waiting_ends_the_process_with_0(process, number):
    process.document["poll"] = {"interval": "1h"}
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    code, seconds = process.stop(number)

    assert (code, seconds < 5) == (0, True), process.logged()
    assert "stopped" in process.logged()
    assert "Traceback" not in process.logged()


def test_signal_during_a_backoff_ends_the_process_with_0(process):
    process.document["poll"] = {"interval": "1h"}
    process.simulator.fault(status=503, times=None, headers=(("Retry-After", "200"),))
    process.start()
    until(lambda: process.simulator.request_count >= 2, "both first tries")

    code, seconds = process.stop()

    assert (code, seconds < 5) == (0, True), process.logged()


def test_signal_during_a_request_ends_the_process_with_0(process):
    process.simulator.fault(deliver=Delivery.STALL, times=None)
    process.start()
    until(lambda: process.simulator.connections >= 2, "requests under way")

    code, seconds = process.stop()

    assert (code, seconds < 5) == (0, True), process.logged()
    assert "Traceback" not in process.logged()


def test_key_file_that_is_replaced_is_used_and_the_exporter_goes_on(process, tmp_path):
    """A log that hides the key asks for it: the news of a new one once stopped every thread."""
    key = tmp_path / "key"
    key.write_text(process.simulator.api_key)
    process.environment = {"SENDGRID_API_KEY_FILE": str(key)}
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    new = tmp_path / "new"
    new.write_text(process.simulator.api_key + "\n")
    new.replace(key)
    wrong = tmp_path / "wrong"
    wrong.write_text("SG.wrong")
    wrong.replace(key)

    until(lambda: process.samples("sendgrid_exporter_automation_up") == {(ONE,): 0, (TWO,): 0}, "the refused key")
    right = tmp_path / "right"
    right.write_text(process.simulator.api_key)
    right.replace(key)

    until(lambda: process.samples("sendgrid_exporter_automation_up") == {(ONE,): 1, (TWO,): 1}, "the mended key")
    assert process.ask("/-/healthy")[0] == 200
    assert process.stop()[0] == 0


def test_sighup_reads_the_configuration_again(process):
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    process.write(
        automations=[{"id": TWO, "name": "renamed"}], sendgrid={"app_url": "https://a.example/{automation_id}"}
    )
    process.running.send_signal(signal.SIGHUP)

    until(lambda: (TWO, "renamed") in process.samples("automation_info"), "the new name")
    assert process.samples("automation_page_info") == {(TWO, f"https://a.example/{TWO}"): 1.0}
    assert list(process.totals()) == [(TWO,)]
    assert process.samples("sendgrid_exporter_config_last_reload_successful") == {(): 1.0}


def test_reload_of_a_wrong_configuration_changes_nothing_and_says_so(process):
    process.document["web"]["enable_lifecycle"] = True
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    process.write(poll={"interval": "soon"}, automations=[ONE])
    status, text = process.ask("/-/reload", "POST")

    assert status == 500
    assert "poll.interval" in text
    assert len(process.totals()) == 2
    assert process.samples("sendgrid_exporter_config_last_reload_successful") == {(): 0.0}


def test_reload_takes_over_automations_labels_key_and_log(process):
    process.document["web"]["enable_lifecycle"] = True
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    process.write(
        automations=[ONE], labels={"max_links": 1}, log={"format": "json"}, sendgrid={"requests_per_minute": 5000}
    )
    assert process.ask("/-/reload", "POST")[0] == 200

    until(lambda: any("__other__" in key for key in process.samples("automation_link_clicks")), "the rest row")
    assert list(process.totals()) == [(ONE,)]
    assert '"msg": "the configuration was reloaded' in process.logged()


def test_web_config_file_is_followed_and_one_that_breaks_stops_no_scrape(process, tmp_path):
    file = tmp_path / "web.yml"
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    file.write_text("rate_limit: {interval: 1ms, burst: 1000}", encoding="utf-8")
    process.document["web"]["config_file"] = str(file)
    process.start()
    assert process.samples("sendgrid_exporter_web_config_last_reload_successful") == {(): 1.0}

    file.write_text("basic_auth_users: [", encoding="utf-8")
    assert process.samples("sendgrid_exporter_web_config_last_reload_successful") == {(): 0.0}

    file.write_text(f"basic_auth_users: {{prometheus: {hashed}}}", encoding="utf-8")
    assert process.ask("/metrics")[0] == 401
    assert process.ask("/metrics", password="wrong")[0] == 401
    text = process.ask("/metrics", password="right")[1]
    assert "sendgrid_exporter_web_config_last_reload_successful 1.0\n" in text
    assert "sendgrid_exporter_web_failed_logins_total 1.0\n" in text

    file.write_text("", encoding="utf-8")
    assert process.ask("/metrics")[0] == 401
    assert process.ask("/metrics", password="right")[0] == 200
    assert process.ask("/-/healthy")[0] == 200


def test_reload_of_what_needs_a_restart_is_refused_whole(process, tmp_path):
    process.document["web"]["enable_lifecycle"] = True
    process.start()

    process.write(automations=[ONE], state={"path": str(tmp_path / "state.db")})
    status, text = process.ask("/-/reload", "POST")

    assert status == 500
    assert "state.path: a changed value needs a restart" in text
    until(lambda: len(process.totals()) == 2, "both automations")


def test_reload_is_not_there_unless_enabled(process):
    process.start()

    assert process.ask("/-/reload", "POST")[0] == 404


def test_reloads_by_signal_and_request_at_once_leave_a_working_process(process):
    process.document["web"]["enable_lifecycle"] = True
    process.start()
    for number in range(6):
        process.write(automations=[ONE] if number % 2 else [ONE, TWO])
        process.running.send_signal(signal.SIGHUP)
        assert process.ask("/-/reload", "POST")[0] == 200

    until(lambda: list(process.totals()) == [(ONE,)], "the last configuration")
    assert process.ask("/-/healthy")[0] == 200


def test_restart_shows_the_last_good_values_with_their_age_although_sendgrid_is_down(process, tmp_path):
    process.write(state={"path": str(tmp_path / "state.db")}, poll={"interval": "60s"})
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")
    ages = process.samples("sendgrid_exporter_automation_last_success_timestamp_seconds")
    assert process.stop()[0] == 0
    process.simulator.fault(status=503, times=None)

    process.start()

    assert process.totals() == {(ONE,): 6.0, (TWO,): 6.0}
    assert process.samples("sendgrid_exporter_automation_last_success_timestamp_seconds") == ages
    assert process.ask("/-/ready")[0] == 200


def test_restart_after_a_kill_has_its_state_too(process, tmp_path):
    process.write(state={"path": str(tmp_path / "state.db")}, poll={"interval": "60s"})
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")
    process.stop(signal.SIGKILL)
    process.simulator.fault(status=503, times=None)

    process.start()

    assert len(process.totals()) == 2


def test_foreign_state_file_is_left_alone_and_the_exporter_works_without_it(process, tmp_path):
    other = tmp_path / "missing" / "state.db"
    process.write(state={"path": str(other)})

    process.start()

    until(lambda: len(process.totals()) == 2, "both automations")
    assert "continuing without it" in process.logged()


def test_data_grows_stale_while_sendgrid_is_down_and_comes_back(process):
    process.write(poll={"interval": "1s", "stale_after": "2s"})
    process.start()
    until(lambda: len(process.totals()) == 2, "both automations")

    process.simulator.fault(status=404, times=None)
    until(lambda: not process.totals(), "the data to grow stale")

    assert len(process.samples("automation_info")) == 2
    assert set(process.samples("sendgrid_exporter_automation_up").values()) == {0.0}
    process.simulator.faults.clear()
    until(lambda: len(process.totals()) == 2, "the recovery")
    assert "recovered" in process.logged()
