"""The account's automations as an operator meets them: found, counted, kept over a restart, and never a burden."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sendgrid_simulator import Endpoint, Row, Simulator, Stats, fixed
from tests.end_to_end.harness.exchange import free_port
from tests.end_to_end.harness.process import ExporterProcess, run_exporter
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.waiting import wait_until

pytestmark = pytest.mark.e2e

STEP = "11111111-2222-4333-8444-555555555555"
LINKS = "automation_link_clicks"


def an_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-00000000abcd"


def an_automation(number: int) -> object:
    rows = (Row(STEP, "https://shop.example/", 0, number),)
    return fixed(an_id(number), rows, stats={STEP: Stats(requests=50, delivered=40, clicks=number)})


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([an_automation(number) for number in (1, 2, 3)], rate_limit=0, record_requests=10_000) as simulator:
        yield simulator


def configuration(simulator: Simulator, **more: str) -> dict[str, str]:
    return {
        "SENDGRID_API_KEY": simulator.api_key,
        "EXPORTER_SENDGRID__BASE_URL": simulator.base_url,
        "EXPORTER_SENDGRID__REQUESTS_PER_MINUTE": "6000",
        "EXPORTER_POLL__INTERVAL": "1s",
        "EXPORTER_POLL__STALE_AFTER": "10m",  # a busy machine lets no second pass on time
        "EXPORTER_AUTOMATIONS": "all",
        "EXPORTER_DISCOVERY__INTERVAL": "2s",
        **more,
    }


def shown(exporter: ExporterProcess, name: str = LINKS) -> dict[str, float]:
    """Return the values of a metric by the automation's id."""
    return {dict(labels)["automation_id"]: value for (of, labels), value in exporter.samples().items() if of == name}


def value(exporter: ExporterProcess, name: str, /, **labels: str) -> float | None:
    return exporter.samples().get((name, tuple(sorted(labels.items()))))


@pytest.mark.needs("prometheus")
def test_a_new_automation_is_in_prometheus_after_the_next_list_and_one_poll(
    simulator: Simulator, tmp_path: Path
) -> None:
    with (
        ExporterProcess(env=configuration(simulator)) as exporter,
        Prometheus(tmp_path / "data", {"sendgrid": [exporter.address]}) as prometheus,
    ):
        prometheus.wait_for(f"count({LINKS}) == 3", seconds=30)
        known = simulator.request_count

        simulator.account.put(an_automation(7))

        prometheus.wait_for(f'{LINKS}{{automation_id="{an_id(7)}"}} == 7', seconds=30)
        prometheus.wait_for(f'sendgrid_automation_delivered{{automation_id="{an_id(7)}"}} == 40', seconds=30)
        prometheus.wait_for('sendgrid_exporter_discovered_automations{state="polled"} == 4', seconds=30)
        paths = [each.path for each in simulator.requests[known:]]
        lists = paths[: paths.index(f"/v3/marketing/stats/automations/{an_id(7)}/links")].count(
            "/v3/marketing/stats/automations"
        )
        # A list may have been under way when the automation came; the next one has it, and it is polled before another.
        assert lists <= 2


def test_one_that_is_gone_leaves_after_three_lists_and_a_half_list_takes_nobody(simulator: Simulator) -> None:
    with ExporterProcess(env=configuration(simulator, EXPORTER_DISCOVERY__INTERVAL="1s")) as exporter:
        wait_until(lambda: len(shown(exporter)) == 3, "all are shown", seconds=30)
        half = b'{"results": [], "_metadata": {"count": 3}}'
        simulator.fault(endpoint=Endpoint.STATISTICS, body=half, times=None)
        failed = "sendgrid_exporter_list_reads_total"
        wait_until(lambda: (value(exporter, failed, outcome="incomplete") or 0) >= 4, "four half lists", seconds=30)
        assert len(shown(exporter)) == 3
        assert exporter.log.count("the list of automations began to fail") == 1

        simulator.faults.clear()
        simulator.delete(
            an_id(2),
        )
        wait_until(lambda: set(shown(exporter)) == {an_id(1), an_id(3)}, "the deleted one leaves", seconds=30)
        exporter.wait_for_log(f"no longer in the account: {an_id(2)}")
        wait_until(lambda: value(exporter, "sendgrid_exporter_discovered_automations", state="polled") == 2, "counted")


def test_a_restart_shows_what_was_found_before_it_has_any_list(simulator: Simulator, tmp_path: Path) -> None:
    env = configuration(simulator, EXPORTER_STATE__PATH=str(tmp_path / "state.db"), EXPORTER_STATISTICS__STEPS="true")
    with ExporterProcess(env=env) as exporter:
        wait_until(lambda: len(shown(exporter)) == 3, "all are shown", seconds=30)
        wait_until(lambda: len(shown(exporter, "sendgrid_automation_step_delivered")) == 3, "steps too", seconds=30)
        saved = value(exporter, "sendgrid_exporter_list_reads_total", outcome="success") or 0.0
        wait_until(
            lambda: (value(exporter, "sendgrid_exporter_list_reads_total", outcome="success") or 0.0) > saved,
            "the steps are saved with the next list",
        )
        assert exporter.stop() == 0
    simulator.fault(status=500, times=None)

    with ExporterProcess(env=env) as exporter:
        assert set(shown(exporter)) == {an_id(1), an_id(2), an_id(3)}
        assert set(shown(exporter, "sendgrid_automation_delivered").values()) == {40.0}
        assert set(shown(exporter, "sendgrid_automation_step_delivered").values()) == {40.0}
        assert exporter.get("/-/ready").status == 200


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_a_list_that_is_refused_or_broken_leaves_configured_automations_alone(
    simulator: Simulator, status: int
) -> None:
    simulator.fault(endpoint=Endpoint.STATISTICS, status=status, times=None)
    env = configuration(simulator, EXPORTER_AUTOMATIONS=f"{an_id(1)},{an_id(2)}", EXPORTER_STATISTICS__INTERVAL="1s")

    with ExporterProcess(env=env) as exporter:
        wait_until(lambda: len(shown(exporter)) == 2, "the links are shown", seconds=30)
        exporter.wait_for_log("the list of automations began to fail", seconds=60)
        simulator.put_rows(an_id(1), [Row(STEP, "https://shop.example/", 0, 99)])
        wait_until(lambda: shown(exporter)[an_id(1)] == 99, "the links go on", seconds=30)

        assert shown(exporter, "sendgrid_automation_delivered") == {}
        assert exporter.log.count("the list of automations") == 1
        assert set(shown(exporter, "sendgrid_exporter_automation_up").values()) == {1.0}


def test_a_limit_of_the_list_slows_no_links(simulator: Simulator) -> None:
    simulator.limit(2, endpoint=Endpoint.STATISTICS)
    env = configuration(simulator, EXPORTER_DISCOVERY__INTERVAL="1s")

    with ExporterProcess(env=env) as exporter:
        wait_until(lambda: len(shown(exporter)) == 3, "all are shown", seconds=30)
        asked = simulator.request_count
        wait_until(lambda: simulator.request_count >= asked + 30, "the links are polled every second", seconds=30)

        limits = {
            labels["endpoint"]: limit
            for (name, pairs), limit in exporter.samples().items()
            if name == "sendgrid_exporter_api_rate_limit" and (labels := dict(pairs))["kind"] == "limit"
        }
        assert limits == {"statistics": 2}


def test_a_reload_excludes_at_once_and_entries_win(simulator: Simulator, tmp_path: Path) -> None:
    config = tmp_path / "exporter.yaml"
    env = configuration(simulator)
    del env["EXPORTER_AUTOMATIONS"]

    def write(**document: object) -> None:
        config.write_text(yaml.safe_dump(document), encoding="utf-8")

    write(automations="all")
    with ExporterProcess(f"--config.file={config}", env=env) as exporter:
        wait_until(lambda: len(shown(exporter)) == 3, "all are shown", seconds=30)
        page = f"https://mc.sendgrid.com/automations/{an_id(2)}/detail"
        assert value(exporter, "automation_page_info", automation_id=an_id(2), url=page) == 1

        entry = {"id": an_id(1), "name": "Welcome"}
        write(automations=[entry], discovery={"mode": "poll", "exclude": ["0000000*"]})
        exporter.send(signal.SIGHUP)

        wait_until(lambda: set(shown(exporter)) == {an_id(1)}, "only the entry is polled", seconds=30)
        assert value(exporter, "automation_info", automation_id=an_id(1), name="Welcome") == 1
        assert value(exporter, "sendgrid_exporter_discovered_automations", state="excluded") == 2

        write(automations=[entry])
        exporter.send(signal.SIGHUP)
        name = "sendgrid_exporter_discovered_automations"
        wait_until(lambda: value(exporter, name, state="excluded") is None, "discovery is off", seconds=30)


def test_once_polls_what_the_list_has_and_fails_where_there_is_no_list(simulator: Simulator) -> None:
    whole = run_exporter("--once", "--statistics.steps", env=configuration(simulator))
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.count(f"\n{LINKS}{{") == 3
    assert whole.stdout.count("\nsendgrid_automation_delivered{") == 3
    assert whole.stdout.count("\nsendgrid_automation_step_delivered{") == 3

    simulator.fault(endpoint=Endpoint.STATISTICS, status=403, times=None)
    refused = run_exporter("--once", env=configuration(simulator))
    assert refused.returncode == 1
    assert "the list of automations failed (forbidden): HTTP 403" in refused.stderr

    listed = run_exporter("--once", env=configuration(simulator, EXPORTER_AUTOMATIONS=an_id(1)))
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count(f"\n{LINKS}{{") == 1


def test_shards_share_out_the_list(simulator: Simulator) -> None:
    for number in range(10, 30):
        simulator.account.put(an_automation(number))
    parts = [
        run_exporter("--once", f"--shard.index={index}", "--shard.total=2", env=configuration(simulator)).stdout
        for index in (0, 1)
    ]
    found = [{id_ for number in range(30) if (id_ := an_id(number)) in part} for part in parts]

    assert found[0] | found[1] == {an_id(number) for number in (1, 2, 3, *range(10, 30))}
    assert not found[0] & found[1]
    assert all(found)


def test_check_says_offline_what_would_be_asked(simulator: Simulator) -> None:
    env = configuration(simulator, EXPORTER_SENDGRID__BASE_URL=f"http://127.0.0.1:{free_port()}")

    checked = run_exporter("--check", "--discovery.exclude=0000*", env=env)

    assert checked.returncode == 0
    assert yaml.safe_load(checked.stdout)["discovery"]["mode"] == "poll"
    assert (
        "SendGrid would be asked for:\n"
        "# the list of all automations of the account, every 2s\n"
        "# the links of whatever that list has, except 0000*: 1000 automations at most\n"
    ) in checked.stdout
    assert simulator.request_count == 0


def test_idle_automations_are_asked_rarely_and_at_once_when_they_move(simulator: Simulator) -> None:
    env = configuration(
        simulator,
        EXPORTER_DISCOVERY__INTERVAL="1s",
        EXPORTER_POLL__IDLE_AFTER="3s",
        EXPORTER_POLL__IDLE_INTERVAL="1h",
    )
    interval = "sendgrid_exporter_automation_poll_interval_seconds"
    with ExporterProcess(env=env) as exporter:
        wait_until(lambda: set(shown(exporter, interval).values()) == {3600.0}, "all are idle", seconds=30)
        assert value(exporter, "sendgrid_exporter_discovered_automations", state="idle") == 3
        asked = time.time()

        simulator.put_rows(an_id(2), [Row(STEP, "https://shop.example/", 0, 99)])
        simulator.put_stats(an_id(2), {STEP: Stats(requests=51, delivered=41, clicks=99)})

        wait_until(lambda: shown(exporter)[an_id(2)] == 99, "the one that moves is polled", seconds=30)
        assert shown(exporter, interval)[an_id(1)] == 3600.0
        assert len(shown(exporter)) == 3
        assert time.time() - asked < 30
