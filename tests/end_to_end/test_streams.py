"""What stdin, stdout and stderr are changes neither what the command does nor its exit status."""

import contextlib
import http.client
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import yaml

from sendgrid_simulator import Delivery, Row, Simulator, fixed
from tests.end_to_end.harness.exchange import free_port
from tests.end_to_end.harness.process import COMMAND, ExporterProcess, environment
from tests.end_to_end.harness.waiting import wait_until
from tests.factories import KEY, an_id
from tests.pipes import full_pipe

pytestmark = pytest.mark.e2e

ONE, TWO = an_id(1), an_id(2)
ROWS: Final = (Row("step", "https://example.com/", 0, 7),)
STREAMS: Final = ("2>&-", ">&-", "2>/dev/full", ">/dev/full", "<&- >&- 2>&-", ">/dev/full 2>&1")
CLOSED_OR_FULL: Final = re.compile(r"(?<!2)>(&-|/dev/full)")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator((fixed(ONE, ROWS), fixed(TWO, ROWS)), rate_limit=0) as running:
        yield running


def shell(
    line: str, *, seconds: float = 30.0, stdin: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the line in bash, where $EXPORTER is the command."""
    return subprocess.run(
        ["bash", "-c", line],
        env=environment({"EXPORTER": COMMAND[0], "SENDGRID_API_KEY": KEY, **variables}),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@pytest.mark.parametrize("streams", STREAMS)
def test_wrong_configuration_exits_2_whatever_the_streams_are(streams):
    run = shell(f'"$EXPORTER" --poll.interval=soon {streams}')

    assert run.returncode == 2, run
    assert "Traceback" not in run.stderr
    assert ("poll.interval" in run.stderr) == ("2>" not in streams)


@pytest.mark.parametrize("streams", STREAMS)
def test_output_that_cannot_be_written_exits_1_with_a_sentence_and_any_other_0(streams):
    run = shell(f'"$EXPORTER" --check --automations={ONE} {streams}')
    lost = CLOSED_OR_FULL.search(streams) is not None

    assert run.returncode == int(lost), run
    if lost and "2>" not in streams:
        assert run.stderr.startswith("sendgrid-automation-exporter: the output cannot be written (") or (
            run.stderr == "sendgrid-automation-exporter: the output cannot be written: stdout is closed\n"
        )
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("streams", [">/dev/full", ">&-"])
def test_once_whose_output_is_lost_is_a_failure(simulator, streams):
    run = shell(
        f'"$EXPORTER" --once --automations={ONE} --sendgrid.base-url={simulator.base_url} {streams}',
        SENDGRID_API_KEY=simulator.api_key,
    )

    assert run.returncode == 1
    assert "the output cannot be written" in run.stderr
    assert "Traceback" not in run.stderr


def test_reader_that_has_enough_is_no_failure():
    run = shell('set -o pipefail; "$EXPORTER" --help | head -1')

    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(("flags", "status"), [(("--poll.interval=soon",), 2), (("--version",), 0)])
def test_full_stderr_that_nobody_reads_holds_up_no_end(flags, status):
    with full_pipe() as (_, stderr):
        run = subprocess.run(
            [*COMMAND, *flags], env=environment(), stdout=subprocess.DEVNULL, stderr=stderr, timeout=20, check=False
        )

    assert run.returncode == status


def serving(simulator: Simulator, stderr: int | None, flags: tuple[str, ...], **options: object) -> tuple:
    port = free_port()
    process = subprocess.Popen(
        [
            *COMMAND,
            f"--automations={ONE},{TWO}",
            f"--sendgrid.base-url={simulator.base_url}",
            "--sendgrid.requests-per-minute=60000",
            "--poll.interval=1s",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        ],
        env=environment({"SENDGRID_API_KEY": simulator.api_key}),
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        **options,
    )
    return process, port


def metrics(port: int) -> Mapping[str, float]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}


def total(port: int, automation_id: str) -> float | None:
    return metrics(port).get(f'automation_total_clicks{{automation_id="{automation_id}"}}')


def test_full_stderr_that_nobody_reads_stops_no_worker_and_not_the_end(simulator):
    simulator.fault(automation=TWO, status=404, times=None)
    with full_pipe() as (reading, stderr):
        process, port = serving(simulator, stderr, ("--log.level=debug",))
        try:
            wait_until(lambda: total(port, ONE) == 7, "the first values")
            for clicks in (8, 9, 10):
                simulator.put_rows(ONE, (Row("step", "https://example.com/", 0, clicks),))
                wait_until(lambda clicks=clicks: total(port, ONE) == clicks, "polls go on")
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
            process.wait()
        assert os.read(reading, 10) == b"x" * 10


def test_closed_streams_are_not_taken_by_files_or_sockets(simulator, tmp_path):
    """A log line written to descriptor 2 must not land in what was opened next: the state file."""

    def close_all() -> None:
        for number in range(3):
            os.close(number)

    state = tmp_path / "state.db"
    process, port = serving(simulator, None, (f"--state.path={state}", "--log.level=debug"), preexec_fn=close_all)
    try:
        wait_until(lambda: total(port, ONE) == 7, "the first values")
        links = {number: str(Path(f"/proc/{process.pid}/fd/{number}").readlink()) for number in range(3)}
        assert links == dict.fromkeys(range(3), "/dev/null")
        assert metrics(port)["sendgrid_exporter_log_lines_dropped_total"] > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def document(simulator: Simulator, **changes: object) -> str:
    settings = {
        "automations": [ONE],
        "sendgrid": {"base_url": simulator.base_url, "requests_per_minute": 60_000, "api_key": simulator.api_key},
        "poll": {"interval": "1s"},
        "labels": {"drop_params": ["token"]},
    }
    return yaml.safe_dump({**settings, **changes})


@pytest.mark.parametrize(
    "line", ['"$EXPORTER" --check --config.file <(cat "$FILE")', '"$EXPORTER" --check --config.file /dev/stdin']
)
def test_configuration_from_a_pipe_is_in_force(simulator, tmp_path, line):
    (tmp_path / "exporter.yaml").write_text(document(simulator))

    run = shell(f"unset SENDGRID_API_KEY; {line}", stdin=document(simulator), FILE=str(tmp_path / "exporter.yaml"))
    assert run.returncode == 0, run.stderr
    assert yaml.safe_load(run.stdout)["labels"]["drop_params"] == ["token"]


def test_once_with_configuration_and_key_from_pipes_uses_what_was_checked(simulator, tmp_path):
    simulator.put_rows(ONE, (Row("step", "https://example.com/?token=secret&a=1", 0, 7),))
    (tmp_path / "exporter.yaml").write_text(document(simulator, sendgrid={"base_url": simulator.base_url}))
    (tmp_path / "key").write_text(simulator.api_key)

    run = shell(
        'unset SENDGRID_API_KEY; "$EXPORTER" --once --config.file <(cat "$FILE") --sendgrid.api-key-file <(cat "$KEY")',
        FILE=str(tmp_path / "exporter.yaml"),
        KEY=str(tmp_path / "key"),
    )

    assert run.returncode == 0, run.stderr
    assert 'url="https://example.com/?a=1"' in run.stdout
    assert "secret" not in run.stdout


def test_reload_of_a_pipe_is_refused_in_one_sentence_and_the_settings_stay(simulator, tmp_path):
    file = tmp_path / "exporter.yaml"
    file.write_text(document(simulator))
    command = ("bash", "-c", 'exec "$0" --config.file <(cat "$FILE") "$@"', *COMMAND)

    with ExporterProcess(command=command, env={"FILE": str(file)}) as exporter:
        label = (("automation_id", ONE),)
        wait_until(lambda: exporter.samples().get(("automation_total_clicks", label)) == 7, "the first values")
        exporter.send(signal.SIGHUP)
        line = exporter.wait_for_log("the configuration was not reloaded")
        assert "a pipe can be read only once, at the start; a reload needs a file" in line
        simulator.put_rows(ONE, (Row("step", "https://example.com/", 0, 8),))
        wait_until(lambda: exporter.samples().get(("automation_total_clicks", label)) == 8, "the polls go on")
        assert exporter.samples()["sendgrid_exporter_config_last_reload_successful", ()] == 0


def test_reload_from_a_pipe_that_nobody_writes_to_holds_up_no_poll(simulator, tmp_path):
    file = tmp_path / "exporter.yaml"
    file.write_text(document(simulator))

    with ExporterProcess(f"--config.file={file}") as exporter:
        label = (("automation_id", ONE),)
        wait_until(lambda: exporter.samples().get(("automation_total_clicks", label)) == 7, "the first values")
        file.unlink()
        os.mkfifo(file)
        exporter.send(signal.SIGHUP)
        simulator.put_rows(ONE, (Row("step", "https://example.com/", 0, 8),))
        wait_until(lambda: exporter.samples().get(("automation_total_clicks", label)) == 8, "the polls go on")
        line = exporter.wait_for_log("the configuration was not reloaded", seconds=20)
        assert "nobody wrote the whole of it to the pipe in time" in line
        assert exporter.get("/-/healthy").status == 200


def test_reload_warns_as_the_start_does(simulator, tmp_path):
    file = tmp_path / "exporter.yaml"
    file.write_text(document(simulator))
    file.chmod(0o600)

    with ExporterProcess(f"--config.file={file}") as exporter:
        changed = {"base_url": "http://192.0.2.1", "api_key": "changeme-changeme", "timeout": "1s"}
        file.write_text(document(simulator, sendgrid=changed, poll={"interval": "1h"}))
        file.chmod(0o644)
        exporter.send(signal.SIGHUP)
        exporter.wait_for_log("the configuration was reloaded")

        assert "sends the key unencrypted; use https:// outside of tests" in exporter.log
        assert "looks like a placeholder" in exporter.log
        assert "is open to others (mode 0644); close it with: chmod 600" in exporter.log
        assert "changeme" not in exporter.log
        assert simulator.api_key not in exporter.log


@pytest.mark.parametrize("times", [1, 2])
def test_once_that_is_stopped_says_what_is_missing_and_exits_1(simulator, times):
    simulator.fault(deliver=Delivery.STALL, times=None)
    command = [
        *COMMAND,
        "--once",
        f"--automations={ONE},{TWO}",
        f"--sendgrid.base-url={simulator.base_url}",
        "--sendgrid.timeout=60s",
    ]
    process = subprocess.Popen(
        command, env=environment({"SENDGRID_API_KEY": simulator.api_key}), stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: simulator.connections >= 2, "both are asked")
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        threading.Event().wait(0.05)
    _, stderr = process.communicate(timeout=20)

    assert process.returncode == 1, stderr
    assert times == 2 or "stopped with 2 of the automations not polled: the output is incomplete" in stderr
    assert "Traceback" not in stderr
