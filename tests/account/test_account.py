"""The account's list, read after read: what it changes, and what it leaves alone when it cannot be read."""

import logging
import threading
from dataclasses import replace

import pytest

from exporter.account.account import Account
from exporter.account.discovery import AccountOptions, DiscoveryRules
from exporter.account.statistics import StatisticsStore
from exporter.domain import AutomationList, DiscoveryMode, Outcome, Standing, Statistics
from exporter.errors import (
    ForbiddenError,
    IncompleteError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    StoppedError,
    UnauthorizedError,
)
from exporter.telemetry import Telemetry
from tests.factories import an_about, an_automation, an_id
from tests.fakes import WALL, FakeClock

pytestmark = pytest.mark.unit

SOME = Statistics(delivered=10, clicks=1)
WEEK = 604800.0
POLL = DiscoveryRules(DiscoveryMode.POLL)


class FakeLists:
    """Gives lists or raises errors in turn, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def listed(self, _deadline, only=None):
        self.asked.append(only)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


class FakeFollower:
    def __init__(self):
        self.followed = []
        self.resting = []

    def follow(self, automations):
        self.followed.append([automation.id for automation in automations])

    def rest(self, idle, interval):
        self.resting.append((set(idle), interval))


def a_list(*numbers, of_account=True, whole=True, **statistics):
    return AutomationList(
        {an_id(number): statistics.get(f"of{number}", SOME) for number in numbers}, whole, of_account, 1
    )


class Bench:
    def __init__(self, *answers, **options):
        self.clock = FakeClock()
        self.source = FakeLists(*answers)
        self.follower = FakeFollower()
        self.store = StatisticsStore()
        self.telemetry = Telemetry(an_about(), clock=self.clock, link_series=int)
        self.clicks = {}
        self.options = AccountOptions(**options)
        self.account = Account(
            self.source,
            self.options,
            store=self.store,
            telemetry=self.telemetry,
            clock=self.clock,
            total_clicks=lambda: self.clicks,
        )

    def read(self, times=1, seconds=300.0):
        outcomes = []
        for _ in range(times):
            self.clock.advance(seconds)
            outcomes.append(self.account.read(self.follower))
        return outcomes[-1]

    def value(self, name, **labels):
        return self.telemetry.registry.get_sample_value(f"sendgrid_exporter_{name}", labels)

    def run(self, seconds):
        """Let the account's thread work for so long."""
        stop, until = threading.Event(), self.clock.monotonic() + seconds
        self.clock.on_wait = lambda _: stop.set() if self.clock.monotonic() >= until else None
        self.account.run(stop, self.follower)


def ids(*numbers):
    return [an_id(number) for number in numbers]


def test_found_automations_are_polled_behind_the_configured_ones_and_counted():
    bench = Bench(
        a_list(1, 2, 3), automations=(an_automation(2, interval=60.0),), rules=replace(POLL, configured={an_id(2)})
    )

    assert bench.read() is Outcome.SUCCESS

    assert bench.follower.followed == [ids(2, 1, 3)]
    assert [(each.name, each.interval) for each in bench.account.automations()][1:] == [
        (id_, 300.0) for id_ in ids(1, 3)
    ]
    assert bench.value("discovered_automations", state="polled") == 3
    assert bench.value("discovered_automations", state="unwatched") == 0
    assert bench.value("list_reads_total", outcome="success") == 1
    assert bench.value("list_last_success_timestamp_seconds") == WALL + 300


def test_a_list_that_changes_nobody_tells_the_follower_nothing_but_who_is_idle():
    bench = Bench(a_list(1), rules=POLL)

    bench.read(3)

    assert bench.follower.followed == [ids(1)]
    assert bench.follower.resting == [(set(), 3600.0)] * 3


def test_reporting_polls_nobody_and_shows_the_statistics_of_those_that_nobody_polls():
    bench = Bench(a_list(1, 2, 3), rules=DiscoveryRules(DiscoveryMode.REPORT, exclude=(f"{an_id(3)}",)))

    bench.read()

    assert bench.follower.followed == []
    assert bench.account.standings() == {
        an_id(1): Standing.UNWATCHED,
        an_id(2): Standing.UNWATCHED,
        an_id(3): Standing.EXCLUDED,
    }
    assert set(bench.store.totals()) == set(ids(1, 2))


@pytest.mark.parametrize(
    "error",
    [
        ForbiddenError("f"),
        UnauthorizedError("u"),
        ServerError("s"),
        RateLimitedError("r"),
        InvalidResponseError("i"),
        IncompleteError("half", listed=a_list(1, whole=False)),
        IncompleteError("nothing"),
        RuntimeError("a defect"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_list_that_fails_changes_nothing_and_is_one_line_and_one_count(error, caplog):
    caplog.set_level(logging.INFO, "exporter")
    bench = Bench(a_list(1, 2), error, rules=replace(POLL, forget_after=1))
    bench.read()
    before, shown = bench.account.automations(), bench.store.totals()
    caplog.clear()

    outcome = bench.read(2)

    assert outcome is getattr(error, "outcome", Outcome.INTERNAL_ERROR)
    assert bench.account.automations() == before
    assert bench.store.totals() == shown
    assert bench.follower.followed == [ids(1, 2)]
    assert bench.value("list_reads_total", outcome=outcome.value) == 2
    (record,) = caplog.records
    assert record.levelname == ("ERROR" if outcome is Outcome.INTERNAL_ERROR else "WARNING")
    assert record.getMessage().startswith("the list of automations began to fail: ")
    assert record.outcome == outcome

    bench.source.answers = [a_list(1, 2)]
    bench.read()
    assert caplog.messages[-1] == "the list of automations recovered"


def test_a_list_that_is_never_whole_is_used_after_three_readings_and_lets_nobody_leave(caplog):
    half = IncompleteError("4 rows, and SendGrid counts 9", listed=a_list(2, 3, whole=False))
    bench = Bench(a_list(1, 2), half, rules=replace(POLL, forget_after=1))
    bench.read()

    outcomes = [bench.read() for _ in range(5)]

    assert outcomes == [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS] * 3
    assert [each.id for each in bench.account.automations()] == ids(1, 2, 3)
    assert caplog.text.count("used although inconsistent in") == 1
    assert bench.value("count_mismatches_total") == 3


def test_a_stop_is_neither_counted_nor_logged(caplog):
    bench = Bench(StoppedError("stopping"))

    assert bench.read() is None
    assert bench.value("list_reads_total", outcome="timeout") == 0
    assert caplog.records == []


def test_only_the_configured_automations_are_asked_for_where_only_they_matter():
    bench = Bench(a_list(1, 2, of_account=False), automations=(an_automation(1), an_automation(2)))

    bench.read()

    assert bench.source.asked == [ids(1, 2)]
    assert set(bench.store.totals()) == set(ids(1, 2))
    assert bench.value("discovered_automations", state="polled") is None


@pytest.mark.parametrize(("size", "expected"), [(1000, None), (30_000, 1000)])
def test_many_configured_automations_are_read_with_the_whole_list_where_that_takes_fewer_requests(size, expected):
    everything = AutomationList(dict.fromkeys(ids(*range(size)), SOME), True, True, size // 50)
    bench = Bench(everything, automations=tuple(an_automation(number) for number in range(1000)))

    bench.read(2)

    first, second = bench.source.asked
    assert first is None
    assert second is None if expected is None else len(second) == expected


def test_the_configured_spelling_of_an_id_names_its_statistics():
    upper = an_automation(10, id=an_id(10).upper())
    bench = Bench(a_list(10), automations=(upper,), rules=replace(POLL, configured=frozenset({an_id(10)})))

    bench.read()

    assert set(bench.store.totals()) == {upper.id}
    assert bench.account.automations() == (upper,)


def test_without_statistics_nothing_is_shown_and_without_both_nothing_is_read():
    bench = Bench(a_list(1), rules=POLL, statistics=False)
    bench.read()
    assert bench.store.totals() == {}

    off = Bench(a_list(1), statistics=False, automations=(an_automation(1),))
    off.run(3600.0)
    assert off.source.asked == []
    assert off.value("list_reads_total", outcome="success") is None


def test_the_list_is_read_at_once_and_then_in_the_shorter_of_both_intervals():
    bench = Bench(a_list(1), rules=POLL, discovery_interval=600.0, statistics_interval=300.0)

    bench.run(1500.0)

    assert len(bench.source.asked) == 6


def test_a_first_reading_that_fails_is_tried_again_after_a_minute_and_a_refused_one_ever_later():
    failing = Bench(ServerError("s"), rules=POLL)
    failing.run(300.0)
    assert len(failing.source.asked) == 6

    refused = Bench(ForbiddenError("f"), rules=POLL)
    refused.run(300.0 * (2 + 4 + 8 + 8))
    assert len(refused.source.asked) == 5


def test_a_key_that_changed_ends_the_slow_down_of_a_refused_list():
    bench = Bench(UnauthorizedError("u"), rules=POLL)
    bench.run(10.0)

    bench.account.forgive()
    bench.source.answers = [a_list(1)]
    bench.run(2.0)

    assert len(bench.source.asked) == 2
    assert [each.id for each in bench.account.automations()] == ids(1)


def test_a_list_of_many_pages_is_read_less_often_than_the_budget_would_allow():
    bench = Bench(replace(a_list(1), pages=400), rules=POLL)
    bench.account._rate = lambda: 2.0

    bench.run(3000.0)

    # 400 pages at a third of two requests a second are 600 seconds.
    assert len(bench.source.asked) == 6
    assert bench.account.requests_per_second == pytest.approx(400 / 600)


def test_who_stands_still_for_a_week_is_idle_until_the_first_list_that_moves():
    bench = Bench(a_list(1, 2), rules=POLL)
    bench.read()
    bench.source.answers = [a_list(1, 2, of2=SOME._replace(delivered=11))]
    bench.read(seconds=WEEK - 300)
    assert bench.account.idle() == set()

    bench.read()
    assert bench.account.idle() == {an_id(1)}
    assert bench.follower.resting[-1] == ({an_id(1)}, 3600.0)
    assert bench.value("discovered_automations", state="idle") == 1

    bench.source.answers = [a_list(1, 2, of1=SOME._replace(opens=1), of2=SOME._replace(delivered=11))]
    bench.read()
    assert bench.follower.resting[-1] == (set(), 3600.0)


def test_clicks_on_links_keep_an_automation_awake():
    bench = Bench(a_list(1), rules=POLL)
    bench.clicks = {an_id(1): 5}
    bench.read()
    bench.clicks = {an_id(1): 6}

    bench.read(seconds=WEEK)

    assert bench.account.idle() == set()


def test_without_a_recent_list_nobody_is_idle():
    bench = Bench(a_list(1), rules=POLL)
    bench.read()
    bench.read(seconds=WEEK)
    assert bench.account.idle() == {an_id(1)}
    bench.source.answers = [ServerError("s")]

    bench.read(2)
    assert bench.account.idle() == {an_id(1)}

    bench.run(400.0)
    assert bench.account.idle() == set()
    assert bench.follower.resting[-1] == (set(), 3600.0)


def test_a_reload_decides_at_once_and_forgets_another_account():
    bench = Bench(a_list(1, 2), rules=POLL, whom="a")
    bench.read()

    bench.account.take_over(bench.source, replace(bench.options, rules=replace(POLL, exclude=("00000001*",)), whom="a"))
    assert [each.id for each in bench.account.automations()] == ids(2)
    assert set(bench.store.totals()) == set(ids(2))

    bench.account.take_over(bench.source, replace(bench.options, whom="b"))
    assert bench.account.automations() == ()
    assert bench.store.totals() == {}

    bench.account.take_over(bench.source, AccountOptions(statistics=False))
    assert bench.value("list_reads_total", outcome="success") is None
    assert bench.value("discovered_automations", state="polled") is None


def test_a_list_of_before_a_reload_is_not_taken_and_read_again_at_once():
    bench = Bench(a_list(1), rules=POLL, whom="a")
    answer = bench.source.listed

    def reload_meanwhile(*_):
        bench.source.listed = answer
        bench.account.take_over(bench.source, replace(bench.options, whom="b"))
        return a_list(7)

    bench.source.listed = reload_meanwhile
    bench.run(1.0)

    assert [each.id for each in bench.account.automations()] == ids(1)
    assert bench.store.totals().keys() == {an_id(1)}


def test_a_restart_goes_on_where_the_former_run_ended():
    before = Bench(a_list(1, 2), rules=POLL)
    before.read()
    after = Bench(ServerError("s"), rules=POLL)
    assert not after.account.is_tried()

    after.account.restore(before.account.remembered())

    assert [each.id for each in after.account.automations()] == ids(1, 2)
    assert set(after.store.totals()) == set(ids(1, 2))
    assert after.account.is_tried()
    after.account.read(after.follower)
    assert [each.id for each in after.account.automations()] == ids(1, 2)


def test_it_is_known_whom_to_poll_once_the_list_was_tried():
    bench = Bench(ServerError("s"), rules=POLL)
    assert not bench.account.is_tried()
    bench.read()
    assert bench.account.is_tried()
    assert Bench(ServerError("s"), automations=(an_automation(),)).account.is_tried()


def test_the_log_says_once_what_came_and_went_by_name_where_there_is_one(caplog):
    caplog.set_level(logging.INFO, "exporter")
    bench = Bench(
        a_list(1, 2),
        a_list(1, 2, 3),
        a_list(*range(3, 40)),
        automations=(an_automation(1, name="Welcome"),),
        rules=replace(POLL, configured=frozenset({an_id(1)}), forget_after=2),
    )

    bench.read(5)

    assert caplog.messages == [
        "the account has 2 automations: 2 polled, 0 idle, 0 excluded, 0 unwatched, 0 over_cap",
        f"new in the account: {an_id(3)} (polled)",
        "new in the account: " + ", ".join(f"{an_id(number)} (polled)" for number in range(4, 24)) + " and 16 more",
        f"no longer in the account: {an_id(1)} (Welcome), {an_id(2)}",
    ]


def test_ids_that_are_no_uuids_are_reported_once(caplog):
    bench = Bench(replace(a_list(1), nameless=2), rules=POLL)

    bench.read(3)

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the list of automations: 2 ids are not UUIDs and are ignored"
    ]


def test_an_automation_whose_id_became_unreadable_does_not_leave_by_that():
    bench = Bench(a_list(1, 2), replace(a_list(1), nameless=1), rules=replace(POLL, forget_after=1))

    bench.read(2)
    assert [each.id for each in bench.account.automations()] == ids(1, 2)

    bench.read()
    assert [each.id for each in bench.account.automations()] == ids(1)
