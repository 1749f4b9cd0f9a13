import logging
import math

import pytest

from exporter import errors
from exporter.domain import OVERFLOW_URL, Outcome, PollResult
from exporter.errors import NEXT_STEPS, IncompleteError, KeyRefusedError, SendGridError, ServerError, UnauthorizedError
from exporter.exposition import key_of
from exporter.labels import LabelHygiene, UrlMode
from exporter.polling.poller import Poller, Questions
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.factories import a_block, a_link, an_about, an_automation, an_id, label_rules, some_stats
from tests.fakes import WALL, FakeClock, FakeKeeper, FakeSource

pytestmark = pytest.mark.unit

FAILURES = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, SendGridError)]


class Bench:
    """A poller with a scripted source."""

    def __init__(self, *answers, keeper=None, **rules):
        self.clock = FakeClock()
        self.store = Store()
        self.store.configure([an_automation(1), an_automation(2)])
        self.telemetry = Telemetry(an_about(), clock=self.clock, link_series=lambda: 0)
        self.source = FakeSource(*answers)
        hygiene = LabelHygiene(label_rules(**rules))
        self.keeper = keeper
        self.poller = Poller(self.source, hygiene, self.store, self.telemetry, keeper, self.clock)

    def poll(self, *, number: int = 1, stale_after: float = 900.0) -> PollResult:
        deadline = self.clock.monotonic() + 300.0
        return self.poller.poll(an_automation(number), deadline=deadline, stale_after=stale_after)

    def polls(self, times: int) -> list[Outcome]:
        return [self.poll().outcome for _ in range(times)]

    @property
    def view(self):
        return self.store.snapshot.views()[0]

    def count(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"sendgrid_exporter_{name}", labels)

    def clicks(self) -> dict[str, int]:
        return {key.decode().split('url="')[1].split('"')[0]: n for key, n in self.view.block.clicks_by_link().items()}


def links(names: str, clicks: int = 7):
    return tuple(a_link(url=name, clicks=clicks) for name in names)


def doubtful(names: str, *, counted: bool = False, **changes) -> IncompleteError:
    """Rows that nothing shows to be the whole list; `counted` where they are as many as SendGrid counts."""
    return IncompleteError("the pages", stats=some_stats(*links(names), counted=counted, **changes))


def sure(names: str, **changes):
    return some_stats(*links(names), **changes)


def test_good_poll_publishes_saves_and_counts():
    keeper = FakeKeeper()
    bench = Bench(some_stats(pages=3), keeper=keeper)
    bench.clock.advance(0.0004)

    assert bench.poll() == PollResult(Outcome.SUCCESS, 3)

    assert bench.view.up
    assert bench.view.last_success == WALL
    assert bench.clicks() == {"https://example.com/a": 7}
    assert keeper.saved == [(an_id(), bench.view.block, WALL)]
    assert bench.count("polls_total", outcome="success") == 1
    assert bench.count("poll_duration_seconds_count") == 1
    assert bench.source.asked == [(an_automation(), bench.clock.monotonic() + 300.0)]


@pytest.mark.parametrize(
    "error", [each for each in FAILURES if each is not SendGridError], ids=lambda each: each.__name__
)
def test_every_failure_is_its_own_outcome_and_keeps_the_last_good(error):
    bench = Bench(some_stats(), error("why"))
    bench.poll()
    good = bench.view
    bench.clock.advance(300.0)

    assert bench.poll() == PollResult(error.outcome, message="why", next_step=NEXT_STEPS[error.outcome])

    assert not bench.view.up
    assert (bench.view.block, bench.view.last_success) == (good.block, good.last_success)
    assert bench.count("polls_total", outcome=error.outcome) == 1
    assert bench.poller.last_result(an_id()).outcome is error.outcome


def test_defect_is_an_outcome_too_with_its_traceback_in_the_log(caplog):
    bench = Bench(KeyError("a defect"))

    step = NEXT_STEPS[Outcome.INTERNAL_ERROR]
    assert bench.poll() == PollResult(Outcome.INTERNAL_ERROR, message="a defect of the exporter", next_step=step)

    (record,) = caplog.records
    assert record.exc_info
    assert record.levelname == "ERROR"


def test_automation_that_only_ever_failed_shows_no_data_and_is_down():
    bench = Bench(ServerError("why"))

    bench.poll()

    assert (bench.view.up, bench.view.block, bench.view.last_success) == (False, None, None)
    assert bench.poller.succeeded_at(an_id()) is None


def test_failures_are_logged_when_their_reason_changes_and_the_recovery_once(caplog):
    caplog.set_level(logging.INFO)
    bench = Bench(
        ServerError("HTTP 503, 1 try", reason=503),
        ServerError("HTTP 503, 2 tries", reason=503),
        ServerError("HTTP 502", reason=502, next_step="wait"),
        UnauthorizedError("no", reason=401),
        KeyError("a defect"),
        KeyError("a defect"),
        some_stats(),
        some_stats(),
        ServerError("HTTP 503", reason=503),
    )

    bench.polls(9)

    wait = NEXT_STEPS[Outcome.SERVER_ERROR]
    assert [(record.levelname, record.outcome, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "server_error",
            f"the automation began to fail: HTTP 503, 1 try; {wait}",
        ),
        ("WARNING", "server_error", "the automation now fails in another way: HTTP 502; wait"),
        ("WARNING", "unauthorized", f"the automation now fails in another way: no; {NEXT_STEPS[Outcome.UNAUTHORIZED]}"),
        (
            "ERROR",
            "internal_error",
            f"the automation now fails in another way: a defect of the exporter; {NEXT_STEPS[Outcome.INTERNAL_ERROR]}",
        ),
        ("INFO", "success", "the automation recovered"),
        ("WARNING", "server_error", f"the automation began to fail: HTTP 503; {wait}"),
    ]


def test_log_lines_name_the_automation_and_what_was_asked_each_once(caplog):
    url = "https://api.sendgrid.com/v3/x"
    bench = Bench(ServerError(f"{url}: HTTP 503: SendGrid failed", reason=503, url=url))

    bench.poller.poll(an_automation(name="Welcome"), deadline=math.inf, stale_after=900.0)

    (record,) = caplog.records
    fields = (record.automation_id, record.automation, record.outcome, record.status, record.url)
    assert fields == (an_id(), "Welcome", "server_error", 503, url)
    what = "the automation began to fail: HTTP 503: SendGrid failed"
    assert record.getMessage() == f"{what}; {NEXT_STEPS[Outcome.SERVER_ERROR]}"


def test_key_that_is_refused_to_all_is_one_line_and_so_is_its_recovery(caplog):
    caplog.set_level(logging.INFO)
    known = KeyRefusedError("HTTP 401", reason=401)
    bench = Bench(UnauthorizedError("HTTP 401", reason=401), known, known, some_stats())

    for number in (1, 2, 1, 1, 2):
        bench.poll(number=number)

    assert [(record.automation_id, record.getMessage()) for record in caplog.records] == [
        (an_id(1), f"the automation began to fail: HTTP 401; {NEXT_STEPS[Outcome.UNAUTHORIZED]}"),
        (an_id(1), "the automation recovered"),
    ]


def test_last_good_lives_as_long_as_told_from_its_own_moment():
    bench = Bench(some_stats(), ServerError("why"))
    bench.poll(stale_after=900.0)
    bench.clock.advance(899.0)
    bench.poll(stale_after=900.0)

    assert bench.store.expire(bench.clock.monotonic()) == 1900.0
    bench.clock.advance(1.0)
    bench.store.expire(bench.clock.monotonic())

    assert bench.view.block is None


def test_clock_step_changes_only_what_people_read():
    bench = Bench(some_stats())
    bench.clock.step(-86_400.0)

    bench.poll(stale_after=900.0)

    assert bench.view.last_success == WALL - 86_400.0
    assert bench.store.expire(bench.clock.monotonic() + 899.0) == 1900.0


def test_rows_that_last_against_the_count_are_published_at_the_third_poll_counted_each_time_and_logged_once(caplog):
    bench = Bench(doubtful("abc", total_clicks=9))

    assert bench.polls(5) == [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS] * 3

    assert bench.view.block.total_clicks == 9
    assert bench.count("count_mismatches_total") == 3
    assert sum("published although inconsistent" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    "polls",
    [["ab", "abc", "abcd"], ["abc", "abc", "abc"], ["a", "ab", "ab"]],
    ids=["more each time", "the same", "born once"],
)
def test_rows_that_only_grow_last_however_far_the_count_is_off(polls):
    bench = Bench(*map(doubtful, polls))

    assert bench.polls(3) == [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS]
    assert set(bench.clicks()) == set(polls[-1])


@pytest.mark.parametrize(
    "between",
    [doubtful("bcd"), sure("abcd"), ServerError("why"), IncompleteError("no rows")],
    ids=["other rows", "whole", "failed", "no rows"],
)
def test_rows_that_do_not_last_are_never_published(between):
    bench = Bench(doubtful("abc"), doubtful("abc"), between, doubtful("abc"), doubtful("abc"), ServerError("end"))

    outcomes = bench.polls(6)

    whole = not isinstance(between, Exception)
    assert [outcome for outcome in outcomes if outcome is Outcome.SUCCESS] == [Outcome.SUCCESS] * whole
    assert bench.count("count_mismatches_total") == 0


def test_answer_that_holds_nothing_to_publish_is_never_published():
    bench = Bench(IncompleteError("no results"))

    assert bench.polls(5) == [Outcome.INCOMPLETE] * 5


def test_doubt_about_one_automation_says_nothing_of_another():
    bench = Bench(doubtful("abc"))
    bench.polls(2)

    assert bench.poll(number=2).outcome is Outcome.INCOMPLETE


@pytest.mark.parametrize(
    ("shown", "lasting", "counted", "third"),
    [
        ("abcde", "abc", False, Outcome.SUCCESS),
        ("abcd", "ab", False, Outcome.INCOMPLETE),
        ("ab", "bcdefgh", False, Outcome.INCOMPLETE),
        ("a", "bcdefgh", False, Outcome.INCOMPLETE),
        ("abcd", "ab", True, Outcome.SUCCESS),
        ("abcd", "e", True, Outcome.SUCCESS),
    ],
    ids=["less than half is gone", "half", "half of two", "all", "half, counted", "all, counted"],
)
def test_list_without_half_of_what_was_shown_is_published_only_when_sendgrid_counts_it_so(
    shown, lasting, counted, third
):
    bench = Bench(sure(shown), doubtful(lasting, counted=counted))
    bench.poll()

    assert bench.polls(4) == [Outcome.INCOMPLETE] * 2 + [third] * 2
    assert set(bench.clicks()) == set(lasting if third is Outcome.SUCCESS else shown)


def test_what_was_shown_counts_also_after_it_grew_stale():
    """By default it does so just when a doubt has lasted for three polls."""
    bench = Bench(sure("abcd"), doubtful("ab"))
    bench.poll()
    bench.store.expire(1e9)

    assert bench.polls(6) == [Outcome.INCOMPLETE] * 6
    assert bench.view.block is None


def test_what_an_earlier_run_showed_counts_too():
    earlier = Bench(sure("abcd"))
    earlier.poll()
    bench = Bench(doubtful("ab"))
    bench.poller.remember(an_id(), 12.0, earlier.view.block)

    assert bench.polls(4) == [Outcome.INCOMPLETE] * 4


def test_rest_row_is_no_link_that_could_be_lost():
    bench = Bench(some_stats(*links("ab"), *links("cdefgh", clicks=1)), doubtful("abcdefgh"), max_links=2)

    assert bench.polls(4) == [Outcome.SUCCESS] + [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS]


def test_what_answered_another_question_says_nothing_of_what_is_lost():
    bench = Bench(sure("abcd"), doubtful("ef"))
    bench.poll()
    bench.poller.take_over(bench.source, LabelHygiene(label_rules()), Questions("another one"))

    assert bench.polls(3) == [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS]


def test_reload_while_an_answer_is_rendered_leaves_nothing_of_the_former_question():
    bench = Bench(some_stats(), keeper=FakeKeeper())
    rules = LabelHygiene(label_rules())

    class Reloading:
        """Rules that are applied just when a reload names another base URL and withdraws the block."""

        def clean(self, rows):
            bench.poller.take_over(bench.source, rules, Questions("of another account"))
            bench.store.withdraw([an_id()])
            return rules.clean(rows)

        exceeds, cap = rules.exceeds, rules.cap

    bench.poller.hygiene = Reloading()

    bench.poll()

    assert bench.view.block is None
    assert bench.view.up is None
    assert bench.poller.succeeded_at(an_id()) is None
    assert bench.keeper.saved == []
    bench.poll()
    assert bench.view.up


def test_polls_of_another_account_say_nothing_of_what_lasts():
    bench = Bench(doubtful("abc"))
    bench.polls(2)

    bench.poller.take_over(bench.source, bench.poller.hygiene, Questions("of another account"))

    assert bench.polls(3) == [Outcome.INCOMPLETE, Outcome.INCOMPLETE, Outcome.SUCCESS]


def test_links_that_are_gone_without_a_count_are_doubtful_although_two_walks_agreed(caplog):
    bench = Bench(sure("abcde"), sure("abcd", counted=False))
    bench.poll()

    assert bench.polls(3) == [Outcome.INCOMPLETE] * 2 + [Outcome.SUCCESS]
    assert "1 of 5 links are gone, and SendGrid gives no count of them" in caplog.text


def test_count_of_a_shorter_list_that_was_never_counted_before_is_believed_at_the_third_poll():
    """Each page counts its own rows: when the first page's `next` is lost, its count is that of the whole answer."""
    bench = Bench(sure("abcd", counted=False), *[sure("a")] * 4)
    bench.poll()

    assert bench.polls(2) == [Outcome.INCOMPLETE] * 2
    assert bench.clicks() == dict.fromkeys("abcd", 7)
    assert bench.polls(2) == [Outcome.SUCCESS] * 2


def test_zero_that_sendgrid_says_needs_no_former_count():
    bench = Bench(sure("abcd", counted=False), sure("", links=(), total_clicks=0))
    bench.poll()

    assert bench.poll().outcome is Outcome.SUCCESS


def test_list_without_a_count_that_lost_nothing_is_published_at_once():
    bench = Bench(sure("abc"), sure("abcd", counted=False), sure("abcd", counted=False))

    assert bench.polls(3) == [Outcome.SUCCESS] * 3


def test_total_that_never_fits_the_links_is_published_as_it_is_counted_and_logged_once(caplog):
    bench = Bench(*(sure("abc", total_clicks=21 - lag, gap=lag) for lag in (3, 1, 9, 2, 0, 4)))

    assert bench.polls(5) == [Outcome.SUCCESS] * 5

    assert bench.count("count_mismatches_total") == 2
    assert [record.getMessage() for record in caplog.records] == [
        "in 3 polls the links' clicks did not add up to SendGrid's total; now they are 9 more than its 12"
    ]
    assert bench.view.block.total_clicks == 21


@pytest.mark.parametrize(
    ("first", "second", "decreased"),
    [
        (some_stats(a_link(clicks=5)), some_stats(a_link(clicks=4)), 1),
        (some_stats(a_link(clicks=5)), some_stats(a_link(clicks=5)), 0),
        (some_stats(a_link(clicks=5)), some_stats(a_link(clicks=6)), 0),
        (some_stats(total_clicks=9), some_stats(total_clicks=8), 1),
    ],
)
def test_number_that_falls_is_followed_and_counted(first, second, decreased):
    bench = Bench(first, second)

    bench.polls(2)

    assert bench.view.decreased == decreased
    assert bench.view.block.total_clicks == second.total_clicks


def test_fall_after_failures_is_counted_once():
    bench = Bench(
        some_stats(a_link(clicks=5)), ServerError("x"), some_stats(a_link(clicks=4)), some_stats(a_link(clicks=4))
    )

    bench.polls(4)

    assert bench.view.decreased == 1


def test_first_poll_and_poll_after_the_data_grew_stale_are_no_fall():
    bench = Bench(some_stats(a_link(clicks=5)), some_stats(a_link(clicks=4)))
    bench.poll()
    bench.store.expire(1e9)

    bench.poll()

    assert bench.view.decreased == 0


def test_rows_in_the_rest_are_counted_once_when_they_enter_it():
    def some(*clicks):
        return some_stats(*(a_link(url=chr(97 + index), clicks=count) for index, count in enumerate(clicks)))

    bench = Bench(some(9, 8, 1), some(9, 8, 2), some(9, 8, 3, 4), some(9, 8), some(9, 8, 5), max_links=2)
    counted = []
    for _ in range(5):
        bench.poll()
        counted.append(bench.count("links_folded_total"))

    assert counted == [1, 1, 2, 2, 3]


def test_link_that_left_the_rest_and_came_back_counts_again_and_sums_stay():
    def some(*clicks):
        return some_stats(*(a_link(url=chr(97 + index), clicks=count) for index, count in enumerate(clicks)))

    bench = Bench(some(9, 1), some(9, 20), some(90, 20), max_links=1)
    bench.poll()
    assert bench.clicks() == {"a": 9, OVERFLOW_URL: 1}
    bench.poll()
    assert bench.clicks() == {"b": 20, OVERFLOW_URL: 9}
    bench.poll()

    assert bench.clicks() == {"a": 90, OVERFLOW_URL: 20}
    assert bench.count("links_folded_total") == 3
    assert bench.view.decreased == 0


def test_published_link_is_not_displaced_by_one_hardly_ahead():
    bench = Bench(
        some_stats(a_link(url="a", clicks=100), a_link(url="b", clicks=99)),
        some_stats(a_link(url="a", clicks=100), a_link(url="b", clicks=101)),
        max_links=1,
    )

    bench.polls(2)

    assert set(bench.clicks()) == {"a", OVERFLOW_URL}


def test_label_rules_hold_before_anything_is_published_or_saved():
    keeper = FakeKeeper()
    bench = Bench(some_stats(a_link(url="https://e.com/?token=secret")), keeper=keeper, url=UrlMode.STRIP_QUERY)

    bench.poll()

    assert list(keeper.saved[0][1].clicks_by_link()) == [key_of(an_id(), a_link(url="https://e.com/"))]


def test_block_whose_links_did_not_change_is_kept_as_it_is():
    bench = Bench(some_stats(), some_stats(total_clicks=8))
    bench.poll()
    links = bench.view.block.links

    bench.poll()

    assert bench.view.block.links is links
    assert bench.view.block.total_clicks == 8


def test_automations_that_left_are_forgotten():
    bench = Bench(some_stats())
    bench.poll()
    bench.poll(number=2)

    bench.poller.forget_all_but({an_id(2): an_automation(2)})

    assert bench.poller.last_result(an_id(1)) is None
    assert bench.poller.last_result(an_id(2)).outcome is Outcome.SUCCESS


def test_success_of_an_earlier_run_is_remembered_without_an_outcome():
    bench = Bench(some_stats())

    bench.poller.remember(an_id(), 12.0, a_block())

    assert bench.poller.succeeded_at(an_id()) == 12.0
    assert bench.poller.last_result(an_id()) is None
    assert bench.poller.succeeded_at(an_id(2)) is None
