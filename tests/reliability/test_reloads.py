"""A reload takes the new configuration whole or leaves the old one whole, under load, and leaves nothing behind."""

import json
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.waiting import wait_until

STEP: Final = "11111111-2222-4333-8444-555555555555"
A, B, C = (f"00000000-0000-4000-8000-00000000000{number}" for number in "abc")
OK: Final = "sendgrid_exporter_config_last_reload_successful"
FORMER_KEY: Final = "SG.former-key-of-more-than-sixteen-characters"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    automations = [fixed(id_, (Row(STEP, "https://shop.example/", 0, n),)) for n, id_ in enumerate((A, B, C), 1)]
    with Simulator(automations, rate_limit=0) as simulator:
        simulator.account.allow(FORMER_KEY)
        yield simulator


class Reloading:
    """An exporter with its configuration and key file, and the requests that reload it."""

    def __init__(self, simulator: Simulator, directory: Path) -> None:
        self.simulator, self.file, self.key = simulator, directory / "exporter.yaml", directory / "key"
        self.key.write_text(FORMER_KEY)
        self.write([A, B])
        self.process = ExporterProcess(f"--config.file={self.file}", "--web.enable-lifecycle")

    def write(self, automations: Sequence[object], **groups: dict[str, object]) -> None:
        sendgrid = {
            "base_url": self.simulator.base_url,
            "api_key_file": str(self.key),
            "requests_per_minute": 60_000,
        }
        document = {"automations": automations, "sendgrid": sendgrid, "poll": {"interval": "1s"}, **groups}
        self.file.write_text(yaml.safe_dump(document))

    def post(self) -> tuple[int, str]:
        answer = self.process.get("/-/reload", method="POST")
        return answer.status, answer.text

    def value(self, name: str, **labels: str) -> float | None:
        return self.process.samples().get((name, tuple(sorted(labels.items()))))

    def names(self) -> dict[str, str]:
        samples = self.process.samples()
        return {dict(key)["automation_id"]: dict(key)["name"] for (name, key) in samples if name == "automation_info"}

    def wait_for(self, automation_id: str, clicks: float | None) -> None:
        wait_until(
            lambda: self.value("automation_total_clicks", automation_id=automation_id) == clicks,
            f"{automation_id} shows {clicks}",
        )


@pytest.fixture
def reloading(simulator: Simulator, tmp_path: Path) -> Iterator[Reloading]:
    reloading = Reloading(simulator, tmp_path)
    with reloading.process:
        reloading.wait_for(A, 1)
        reloading.wait_for(B, 2)
        yield reloading


def test_automations_come_go_and_are_renamed_without_a_hole_in_the_others(reloading: Reloading) -> None:
    with never_missing(reloading, A):
        reloading.write([{"id": A, "name": "renamed"}, C])
        assert reloading.post()[0] == 200
        assert reloading.names() == {A: "renamed", C: C}
        assert reloading.value("automation_total_clicks", automation_id=B) is None
        reloading.wait_for(C, 3)

        reloading.write([A, B])
        reloading.process.send(signal.SIGHUP)
        wait_until(lambda: reloading.names() == {A: A, B: B}, "the signal reloads")
        reloading.wait_for(B, 2)
    assert reloading.value(OK) == 1


@contextmanager
def never_missing(reloading: Reloading, automation_id: str) -> Iterator[None]:
    """Scrape all the while, and fail if the automation's values were ever away."""
    stop, missing, scrapes = threading.Event(), [], [0]

    def scrape() -> None:
        while not stop.is_set():
            scrapes[0] += 1
            if reloading.value("automation_total_clicks", automation_id=automation_id) is None:
                missing.append(scrapes[0])

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert scrapes[0] > 10
    assert missing == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("automations: [", "exporter.yaml"),
        ("", "automations"),
        ("automations: [nonsense]", "automations"),
        (f"automations: [{A}]\npol: {{}}", "pol"),
        (f"automations: [{A}]\npoll: {{interval: soon}}", "poll.interval"),
        (f"automations: [{A}]\nsendgrid: {{api_key_file: /missing/key}}", "sendgrid.api_key_file"),
        ("\x00\x01", "exporter.yaml"),
    ],
)
def test_a_bad_file_keeps_the_old_configuration_and_says_why(reloading: Reloading, text: str, says: str) -> None:
    before = reloading.names()
    good = reloading.file.read_text()
    reloading.file.write_text(text)

    status, body = reloading.post()

    assert (status, reloading.names(), reloading.value(OK)) == (500, before, 0)
    assert says in body
    assert reloading.value("automation_total_clicks", automation_id=A) == 1
    reloading.file.write_text(good)
    assert (reloading.post()[0], reloading.value(OK)) == (200, 1)


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("web", "listen_address", "127.0.0.1:1"),
        ("web", "telemetry_path", "/other"),
        ("state", "path", "/tmp/other.db"),
        ("shard", "total", 2),
    ],
)
def test_what_needs_a_restart_is_named(reloading: Reloading, group: str, key: str, value: object) -> None:
    with ExporterProcess(
        f"--config.file={reloading.file}", "--web.enable-lifecycle", command=reloading.process.popen.args[:1]
    ) as process:
        reloading.write([A], **{group: {key: value}})

        answer = process.get("/-/reload", method="POST")

    if (group, key) == ("web", "listen_address"):
        assert answer.status == 200, "the flag wins, so nothing changed"
    else:
        assert answer.status == 500
        assert f"{group}.{key}: a changed value needs a restart" in answer.text


def test_a_rotated_key_file_is_used_by_the_next_request(reloading: Reloading) -> None:
    reloading.simulator.account.revoke(FORMER_KEY)
    reloading.key.write_text(reloading.simulator.api_key + "\n")
    reloading.simulator.put_rows(A, (Row(STEP, "https://shop.example/", 0, 50),))

    reloading.wait_for(A, 50)

    refused = reloading.value("sendgrid_exporter_polls_total", outcome="unauthorized")
    assert refused is not None
    assert refused <= 1, "only a request that was on its way already may have used the former key"


def test_a_hundred_reloads_under_load_leave_no_threads_files_or_memory_behind(reloading: Reloading) -> None:
    def reload(times: int) -> None:
        for number in range(times):
            reloading.write([A, B, C] if number % 2 else [A, B], poll={"interval": "1s", "concurrency": 2 + number % 4})
            status, body = reloading.post()
            assert status == 200, body

    def held() -> tuple[int, int]:
        process = Path(f"/proc/{reloading.process.pid}")
        found = re.search(r"^Threads:\s+(\d+)$", (process / "status").read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1]), len(list((process / "fd").iterdir()))

    def memory() -> int:
        text = Path(f"/proc/{reloading.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", text, re.MULTILINE)
        assert found is not None
        return int(found[1])

    with never_missing(reloading, A):
        reload(20)
    threads, files = held()
    before = memory()

    with never_missing(reloading, A):
        reload(100)

    wait_until(lambda: held()[0] <= threads + 4 and held()[1] <= files + 6, json.dumps([threads, files]))
    assert memory() <= before * 1.1
