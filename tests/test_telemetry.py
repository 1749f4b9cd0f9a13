import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from exporter.domain import Endpoint, Outcome, Standing
from exporter.exposition import text_chunks
from exporter.logs import LineWriter
from exporter.telemetry import Telemetry
from tests.factories import a_rate_limit, an_about
from tests.fakes import WALL, FakeClock

pytestmark = pytest.mark.unit


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def telemetry(clock):
    return Telemetry(an_about(), clock=clock, link_series=lambda: 42)


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(f"sendgrid_exporter_{name}", labels)


def test_every_outcome_counts_from_zero_on(telemetry):
    assert [value(telemetry, "polls_total", outcome=outcome) for outcome in Outcome] == [0] * len(Outcome)


def test_poll_is_counted_with_its_duration(telemetry):
    telemetry.polled(Outcome.TIMEOUT, 2.0)

    assert value(telemetry, "polls_total", outcome="timeout") == 1
    assert value(telemetry, "poll_duration_seconds_sum") == 2.0


def test_request_is_counted_by_its_code(telemetry):
    telemetry.requested(Endpoint.LINKS, "none", 1.0, None)
    telemetry.requested(Endpoint.LINKS, "200", 0.5, a_rate_limit())

    assert value(telemetry, "api_requests_total", endpoint="links", code="none") == 1
    assert value(telemetry, "api_requests_total", endpoint="links", code="200") == 1
    assert value(telemetry, "api_request_duration_seconds_count", endpoint="links") == 2


def test_limits_are_shown_as_last_said_and_absent_until_then(telemetry):
    assert value(telemetry, "api_rate_limit", endpoint="links", kind="limit") is None
    assert value(telemetry, "api_rate_limit_reset_timestamp_seconds", endpoint="links") is None

    telemetry.requested(Endpoint.LINKS, "200", 0.1, a_rate_limit(limit=600.0, remaining=5.0, reset_in=30.5))
    telemetry.requested(Endpoint.LINKS, "200", 0.1, a_rate_limit(remaining=4.0))

    assert value(telemetry, "api_rate_limit", endpoint="links", kind="limit") == 600
    assert value(telemetry, "api_rate_limit", endpoint="links", kind="remaining") == 4
    assert value(telemetry, "api_rate_limit_reset_timestamp_seconds", endpoint="links") == WALL + 30.5


def test_zero_remaining_is_shown_as_zero(telemetry):
    telemetry.requested(Endpoint.LINKS, "200", 0.1, a_rate_limit(remaining=0.0, reset_in=0.0))

    assert value(telemetry, "api_rate_limit", endpoint="links", kind="remaining") == 0
    assert value(telemetry, "api_rate_limit_reset_timestamp_seconds", endpoint="links") == WALL


def test_rows_and_differences_are_counted(telemetry):
    telemetry.folded(3)
    telemetry.folded(0)
    telemetry.mismatched()

    assert value(telemetry, "links_folded_total") == 3
    assert value(telemetry, "count_mismatches_total") == 1


def test_link_series_is_asked_for_at_each_scrape(telemetry):
    assert value(telemetry, "link_series") == 42


def test_start_is_a_successful_reading_of_the_configuration(telemetry):
    assert value(telemetry, "config_last_reload_successful") == 1
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == WALL


def test_failed_reload_keeps_the_moment_of_the_last_good_one(telemetry, clock):
    clock.advance(60.0)
    telemetry.reloaded(successful=False)
    assert value(telemetry, "config_last_reload_successful") == 0
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == WALL

    telemetry.reloaded(successful=True)

    assert value(telemetry, "config_last_reload_successful") == 1
    assert value(telemetry, "config_last_reload_success_timestamp_seconds") == WALL + 60


def test_only_one_shard_is_shown(telemetry):
    telemetry.sharded(0, 2)
    telemetry.sharded(1, 2)

    assert value(telemetry, "shard_info", index="0", total="2") is None
    assert value(telemetry, "shard_info", index="1", total="2") == 1


def test_identity_is_an_info_metric(telemetry):
    assert value(telemetry, "build_info", version="1.2.3", revision="abc", python_version="3.11.0") == 1


def text(telemetry, *, openmetrics, names=None):
    return b"".join(text_chunks(telemetry.render(openmetrics=openmetrics, names=names)))


@pytest.mark.parametrize("openmetrics", [False, True])
def test_text_has_no_end_mark_since_something_may_follow(telemetry, openmetrics):
    assert b"# EOF" not in text(telemetry, openmetrics=openmetrics)


def test_names_select(telemetry):
    selected = text(telemetry, openmetrics=False, names=frozenset({"sendgrid_exporter_link_series"})).decode()

    assert [family.name for family in text_string_to_metric_families(selected)] == ["sendgrid_exporter_link_series"]


def test_two_exporters_in_one_process_share_nothing(clock, telemetry):
    other = Telemetry(an_about(), clock=clock, link_series=lambda: 0)

    other.polled(Outcome.SUCCESS, 1.0)

    assert value(telemetry, "polls_total", outcome="success") == 0


CHANGES = {
    "polled": lambda telemetry: telemetry.polled(Outcome.TIMEOUT, 1.0),
    "requested": lambda telemetry: telemetry.requested(Endpoint.SCOPES, "200", 1.0, None),
    "rate limit": lambda telemetry: telemetry.requested(
        Endpoint.LINKS, "200", 1.0, a_rate_limit(limit=600, remaining=5, reset_in=7)
    ),
    "list enabled": lambda telemetry: telemetry.list_enabled(enabled=True),
    "list read": lambda telemetry: telemetry.list_read(Outcome.SUCCESS, 5.0),
    "discovered": lambda telemetry: telemetry.discovered({Standing.IDLE: 4}),
    "folded": lambda telemetry: telemetry.folded(3),
    "mismatched": lambda telemetry: telemetry.mismatched(),
    "sharded": lambda telemetry: telemetry.sharded(1, 2),
    "not reloaded": lambda telemetry: telemetry.reloaded(successful=False),
    "login failed": lambda telemetry: telemetry.login_failed(),
    "web config": lambda telemetry: telemetry.web_config_read(successful=False),
    "state": lambda telemetry: telemetry.state_enabled(),
    "state failing": lambda telemetry: telemetry.state_failing(True),
}


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_each_change_is_in_the_next_scrape_and_nothing_else_differs(telemetry, change, openmetrics):
    generate = generate_openmetrics if openmetrics else generate_latest
    before = text(telemetry, openmetrics=openmetrics)

    CHANGES[change](telemetry)

    after = text(telemetry, openmetrics=openmetrics)
    own = generate(telemetry.registry).removesuffix(b"# EOF\n")
    assert after.startswith(own)
    assert not before.startswith(own)


def test_link_series_are_those_of_the_scrape(clock):
    series = [1]
    telemetry = Telemetry(an_about(), clock=clock, link_series=lambda: series[0])
    for number in (1, 2, 1):
        series[0] = number
        assert f"sendgrid_exporter_link_series {number}.0\n".encode() in text(telemetry, openmetrics=False)


def test_failed_login_is_counted_and_shown_by_the_next_scrape(telemetry):
    telemetry.render(openmetrics=False, names=None)

    telemetry.login_failed()

    assert value(telemetry, "web_failed_logins_total") == 1
    assert b"sendgrid_exporter_web_failed_logins_total 1.0\n" in text(telemetry, openmetrics=False)


def test_web_config_is_in_effect_until_it_is_not(telemetry):
    assert value(telemetry, "web_config_last_reload_successful") == 1
    telemetry.render(openmetrics=False, names=None)

    telemetry.web_config_read(successful=False)

    assert b"sendgrid_exporter_web_config_last_reload_successful 0.0\n" in text(telemetry, openmetrics=False)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_lines_that_the_log_dropped_are_shown_as_they_are_now(clock, openmetrics):
    log = LineWriter(None)
    telemetry = Telemetry(an_about(), clock=clock, link_series=lambda: 0, log=log)
    shown = b"\nsendgrid_exporter_log_lines_dropped_total %d.0\n"

    before = text(telemetry, openmetrics=openmetrics)
    log.put("nobody reads this")

    assert shown % 0 in before
    assert shown % 1 in text(telemetry, openmetrics=openmetrics)


@pytest.mark.parametrize("openmetrics", [False, True])
def test_metrics_of_the_process_are_those_of_its_registry(telemetry, openmetrics):
    generate = generate_openmetrics if openmetrics else generate_latest

    def without_values(exposition: bytes) -> list[bytes]:
        return [line if line.startswith(b"#") else line.rpartition(b" ")[0] for line in exposition.split(b"\n")]

    of_process = without_values(generate(telemetry.process_registry).removesuffix(b"# EOF\n"))

    for _ in range(2):
        assert without_values(text(telemetry, openmetrics=openmetrics))[-len(of_process) :] == of_process


def test_state_file_that_cannot_be_used_is_shown_until_it_can(telemetry):
    def shown() -> tuple[float | None, float | None]:
        names = ("sendgrid_exporter_state_enabled", "sendgrid_exporter_state_failing")
        return telemetry.registry.get_sample_value(names[0]), telemetry.registry.get_sample_value(names[1])

    seen = [shown()]
    telemetry.state_enabled()
    for failing in (True, False):
        telemetry.state_failing(failing)
        seen.append(shown())

    assert seen == [(0, 0), (1, 1), (1, 0)]
