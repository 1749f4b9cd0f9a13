import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.domain import AutomationId, Outcome, PollResult
from exporter.polling.schedule import Schedule
from tests.factories import an_automation, an_id

pytestmark = pytest.mark.unit

OK = PollResult(Outcome.SUCCESS, 1)


def a_schedule(*numbers: int, now: float = 0.0, interval: float = 100.0) -> Schedule:
    schedule = Schedule()
    schedule.configure([an_automation(number, interval=interval) for number in numbers or (1,)], now)
    return schedule


def poll(schedule: Schedule, at: float, outcome: Outcome = Outcome.SUCCESS, *, seconds: float = 0.0, pages: int = 1):
    automation = schedule.take(at)
    assert automation is not None
    result = PollResult(outcome, pages if outcome is Outcome.SUCCESS else 0)
    schedule.done(automation.id, result, at + seconds)
    return automation


def test_every_automation_is_due_at_once():
    schedule = a_schedule(1, 2, 3)

    assert [schedule.take(0.0).id for _ in range(3)] == [an_id(1), an_id(2), an_id(3)]
    assert schedule.take(0.0) is None


def test_most_overdue_comes_first():
    schedule = a_schedule(1, 2)
    poll(schedule, 0.0)
    poll(schedule, 30.0)

    assert poll(schedule, 500.0).id == an_id(1)
    assert poll(schedule, 500.0).id == an_id(2)


def test_nothing_is_due_before_its_time_and_next_due_tells_it():
    schedule = a_schedule()
    poll(schedule, 5.0)

    assert schedule.take(104.9) is None
    assert schedule.next_due() == 105.0
    assert schedule.take(105.0) is not None


def test_place_in_the_queue_that_was_given_up_is_passed_over():
    schedule = a_schedule()
    schedule.take(0.0)
    schedule.done(an_id(1), PollResult(Outcome.SUCCESS, 1000), 0.0)
    schedule.fit(1.0)
    poll(schedule, schedule.next_due())
    schedule.fit(100.0)
    automation = poll(schedule, schedule.next_due())

    assert automation.id == an_id(1)
    assert schedule.take(schedule.next_due() - 1.0) is None
    for _ in range(20):
        poll(schedule, next(iter(schedule._entries.values())).due)
    assert len(schedule._queue) <= 2


def test_nothing_configured_is_never_due():
    assert Schedule().next_due() == math.inf
    assert Schedule().take(1e9) is None


def test_phase_is_the_first_polls_start_and_stays_in_spite_of_small_delays_and_durations():
    schedule = a_schedule()
    poll(schedule, 7.0, seconds=20.0)

    for number in range(1, 50):
        assert schedule.next_due() == 7.0 + number * 100.0
        poll(schedule, schedule.next_due() + 4.0, seconds=30.0)


def test_very_late_poll_begins_a_new_phase_so_that_two_polls_never_follow_hot():
    schedule = a_schedule()
    poll(schedule, 0.0)

    poll(schedule, 190.0)

    assert schedule.next_due() == 290.0


def test_poll_longer_than_its_interval_leaves_out_turns_instead_of_piling_them_up():
    schedule = a_schedule()

    poll(schedule, 0.0, seconds=250.0)

    assert schedule.next_due() == 300.0
    assert schedule.take(299.0) is None


def test_refused_automation_slows_down_alone_up_to_eight_times_and_is_normal_at_the_first_success():
    schedule = a_schedule(1, 2)
    kept = []
    for outcome in [Outcome.FORBIDDEN] * 5 + [Outcome.SUCCESS]:
        refused = None
        while refused is None:
            now = schedule.next_due()
            automation = schedule.take(now)
            mine = automation.id == an_id(1)
            schedule.done(automation.id, PollResult(outcome if mine else Outcome.SUCCESS, 1), now)
            refused = automation if mine else None
        kept.append(schedule.intervals()[an_id(1)])
        assert schedule.intervals()[an_id(2)] == 100.0

    assert kept == [200.0, 400.0, 800.0, 800.0, 800.0, 100.0]


def test_refused_key_slows_everybody_and_the_first_success_brings_everybody_back_at_once():
    schedule = a_schedule(1, 2, 3)
    for _ in range(3):
        poll(schedule, 0.0, Outcome.UNAUTHORIZED)
    assert set(schedule.intervals().values()) == {200.0}
    poll(schedule, 200.0, Outcome.UNAUTHORIZED)
    poll(schedule, 200.0, Outcome.UNAUTHORIZED)
    assert set(schedule.intervals().values()) == {400.0}

    poll(schedule, 200.0)

    assert set(schedule.intervals().values()) == {100.0}
    assert schedule.next_due() == 300.0
    assert [schedule.take(300.0) is not None for _ in range(3)] == [True] * 3


def test_changed_key_ends_every_slow_down_at_once():
    schedule = a_schedule(1, 2, 3)
    outcomes = {an_id(1): Outcome.SUCCESS, an_id(2): Outcome.FORBIDDEN, an_id(3): Outcome.SUCCESS}
    for at in (0.0, 100.0, 200.0):
        while (automation := schedule.take(at)) is not None:
            schedule.done(automation.id, PollResult(outcomes[automation.id], 1), at)

    schedule.forgive(210.0)

    assert schedule.take(210.0).id == an_id(2)
    assert schedule.take(210.0) is None
    assert set(schedule.intervals().values()) == {100.0}


def test_changed_key_brings_back_everybody_whom_the_former_one_slowed():
    schedule = a_schedule(1, 2)
    for _ in range(4):
        poll(schedule, schedule.next_due(), Outcome.UNAUTHORIZED)
        poll(schedule, schedule.next_due(), Outcome.UNAUTHORIZED)
    running = schedule.take(schedule.next_due())
    now = schedule.next_due()

    schedule.forgive(now - 50.0)

    assert schedule.take(now - 50.0).id != running.id
    schedule.done(running.id, PollResult(Outcome.UNAUTHORIZED), now - 49.0)  # it was asked with the former key
    assert schedule.take(now - 49.0) == running


def test_changed_key_changes_no_rhythm_where_nothing_was_refused():
    schedule = a_schedule(1, 2)
    poll(schedule, 0.0)
    poll(schedule, 0.0)
    version = schedule.version

    schedule.forgive(50.0)

    assert (schedule.next_due(), schedule.version) == (100.0, version)


def test_refusals_of_a_key_that_many_automations_share_count_by_rounds_not_by_automations():
    schedule = a_schedule(*range(1, 21))

    for _ in range(20):
        poll(schedule, 0.0, Outcome.UNAUTHORIZED)

    assert set(schedule.intervals().values()) == {200.0}


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.FORBIDDEN, Outcome.UNAUTHORIZED}))
def test_other_outcomes_keep_the_normal_pace(outcome):
    schedule = a_schedule()

    poll(schedule, 0.0, outcome)

    assert schedule.intervals() == {an_id(1): 100.0}


def test_stretch_is_even_and_makes_the_work_fit():
    schedule = Schedule()
    schedule.configure([an_automation(1, interval=10.0), an_automation(2, interval=100.0)], 0.0)
    poll(schedule, 0.0, pages=40)
    poll(schedule, 0.0, pages=100)

    assert schedule.fit(1.0)

    kept = schedule.intervals()
    assert kept[an_id(2)] / kept[an_id(1)] == pytest.approx(10.0)
    assert 40 / kept[an_id(1)] + 100 / kept[an_id(2)] <= 1.0
    assert schedule.planned_interval(an_id(1)) == kept[an_id(1)]


def test_small_changes_of_the_stretch_are_passed_over_but_its_end_is_not():
    schedule = a_schedule()
    poll(schedule, 0.0, pages=1000)
    assert schedule.fit(5.0)

    assert not schedule.fit(5.05)
    assert schedule.fit(100.0)
    assert schedule.stretch == 1.0
    assert not schedule.fit(100.0)


def test_unknown_sizes_count_as_the_average_of_the_known():
    schedule = a_schedule(1, 2)
    assert schedule.demand() == pytest.approx(2 / 100)

    poll(schedule, 0.0, pages=5)

    assert schedule.demand() == pytest.approx(10 / 100)


def test_failed_poll_does_not_forget_the_size():
    schedule = a_schedule()
    poll(schedule, 0.0, pages=5)

    poll(schedule, 100.0, Outcome.SERVER_ERROR)

    assert schedule.demand() == pytest.approx(5 / 100)


def test_budget_of_nothing_leaves_the_stretch_as_it_is():
    assert not a_schedule().fit(0.0)


def test_end_of_a_stretch_brings_forward_what_was_put_off():
    """Otherwise data would grow stale by the short interval while its next poll waits for the long one."""
    schedule = a_schedule()
    schedule.take(0.0)
    schedule.done(an_id(1), PollResult(Outcome.SUCCESS, 1000), 0.0)
    schedule.fit(1.0)
    poll(schedule, schedule.next_due(), pages=1)
    started = schedule._entries[an_id(1)].started
    assert schedule.next_due() > started + 900.0

    assert schedule.fit(1.0)

    assert schedule.next_due() == started + 100.0


def test_new_configuration_keeps_rhythms_polls_new_ones_at_once_and_forgets_refusals():
    schedule = a_schedule(1, 2)
    poll(schedule, 0.0, Outcome.FORBIDDEN)
    poll(schedule, 10.0)

    schedule.configure([an_automation(number, interval=100.0) for number in (1, 2, 3)], 20.0)

    assert schedule.take(20.0).id == an_id(3)
    assert schedule.take(99.0) is None
    assert schedule.take(100.0).id == an_id(1)
    assert schedule.next_due() == 110.0


def test_shorter_interval_holds_from_the_reload_on():
    schedule = a_schedule()
    poll(schedule, 0.0)

    schedule.configure([an_automation(1, interval=10.0)], 5.0)

    assert schedule.next_due() == 10.0


def test_poll_that_ends_after_its_automation_left_plans_nothing():
    schedule = a_schedule()
    schedule.take(0.0)
    schedule.configure([], 1.0)

    schedule.done(an_id(1), OK, 2.0)

    assert schedule.next_due() == math.inf
    assert schedule.planned_interval(an_id(1)) == math.inf


def test_automation_that_leaves_and_comes_back_during_its_poll_is_not_polled_by_a_second_worker():
    schedule = a_schedule()
    schedule.take(0.0)
    schedule.configure([], 1.0)
    schedule.configure([an_automation(1)], 2.0)

    assert schedule.take(3.0) is None
    schedule.done(an_id(1), OK, 4.0)

    assert schedule.next_due() == 300.0


class ScheduleMachine(RuleBasedStateMachine):
    """Workers, reloads, refusals and budgets in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule = Schedule()
        self.now = 0.0
        self.running: list[str] = []
        self.configured: set[str] = set()
        self.reconfigure({1, 2, 3})

    @rule(numbers=st.sets(st.integers(1, 5)))
    def reconfigure(self, numbers):
        automations = [an_automation(number, interval=float(number * 10)) for number in sorted(numbers)]
        self.schedule.configure(automations, self.now)
        self.configured = {automation.id for automation in automations}

    @rule(seconds=st.floats(0.0, 500.0))
    def pass_time(self, seconds):
        self.now += seconds

    @rule()
    def take(self):
        dues = {id_: entry.due for id_, entry in self.schedule._entries.items() if not entry.running}
        automation = self.schedule.take(self.now)
        due_now = {id_: due for id_, due in dues.items() if due <= self.now}
        if automation is None:
            assert not due_now
            return
        assert automation.id not in self.running, "two workers on one automation"
        assert automation.id in self.configured
        assert dues[automation.id] == min(due_now.values()), "not the most overdue one"
        self.running.append(automation.id)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)), pages=st.integers(1, 300))
    def finish(self, data, outcome, pages):
        automation_id = data.draw(st.sampled_from(self.running))
        self.running.remove(automation_id)
        self.schedule.done(automation_id, PollResult(outcome, pages if outcome is Outcome.SUCCESS else 0), self.now)

    @rule(rate=st.floats(0.001, 100.0))
    def fit(self, rate):
        self.schedule.fit(rate)

    @invariant()
    def every_idle_automation_comes_within_its_interval(self):
        for automation_id, interval in self.schedule.intervals().items():
            entry = self.schedule._entries[automation_id]
            assert interval >= entry.automation.interval
            assert interval <= entry.automation.interval * self.schedule.stretch * 8
            if not entry.running:
                assert any(id_ == automation_id and due == entry.due for due, _, id_ in self.schedule._queue), "lost"
                assert entry.due <= max(self.now, entry.started) + interval * 1.001


ScheduleMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestSchedule = ScheduleMachine.TestCase


@given(st.lists(st.floats(0.0, 4.0), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_phase_never_drifts_while_polls_start_within_the_tolerance(delays):
    schedule = a_schedule()
    poll(schedule, 3.0)

    for number, delay in enumerate(delays, 1):
        poll(schedule, 3.0 + number * 100.0 + delay)

    assert schedule.next_due() == 3.0 + (len(delays) + 1) * 100.0


HOUR = 3600.0


def idle_ids(*numbers: int) -> set[AutomationId]:
    return {an_id(number) for number in numbers}


def dues(schedule: Schedule) -> list[float]:
    return sorted(entry.due for entry in schedule._entries.values())


def test_idle_automation_is_polled_every_idle_interval_and_the_others_as_before():
    schedule = a_schedule(1, 2)
    for _ in range(2):
        poll(schedule, 0.0)

    schedule.rest(idle_ids(1), HOUR, 50.0)

    assert schedule.intervals() == {an_id(1): HOUR, an_id(2): 100.0}
    assert [schedule.planned_interval(an_id(number)) for number in (1, 2)] == [HOUR, 100.0]
    assert (schedule.is_idle(an_id(1)), schedule.is_idle(an_id(2))) == (True, False)
    assert schedule.demand() == pytest.approx(1 / HOUR + 1 / 100)


def test_an_automation_with_a_longer_interval_than_the_idle_one_keeps_it():
    schedule = a_schedule(interval=2 * HOUR)

    schedule.rest(idle_ids(1), HOUR, 0.0)

    assert schedule.intervals() == {an_id(1): 2 * HOUR}


def test_automation_that_moves_again_is_polled_at_once_and_then_in_its_own_interval():
    schedule = a_schedule(1)
    poll(schedule, 0.0)
    schedule.rest(idle_ids(1), HOUR, 0.0)
    (due,) = dues(schedule)
    poll(schedule, due)

    schedule.rest((), HOUR, due + 500.0)

    assert schedule.woken_at(an_id(1)) == due + 500.0
    poll(schedule, due + 500.0)
    assert schedule.next_due() == due + 600.0


def test_those_that_become_idle_together_are_spread_evenly_over_the_idle_interval():
    schedule = a_schedule(*range(100), interval=300.0)
    for _ in range(100):
        poll(schedule, 0.0)
    schedule.rest(idle_ids(*range(100)), HOUR, 0.0)

    assert dues(schedule)[-1] <= HOUR
    assert max(later - earlier for earlier, later in itertools.pairwise(dues(schedule))) <= 3 * HOUR / 100


def test_after_a_start_idle_automations_leave_the_crowd_with_their_first_poll():
    schedule = a_schedule(*range(60), interval=300.0)
    schedule.rest(idle_ids(*range(60)), HOUR, 0.0)

    for _ in range(60):
        poll(schedule, 0.0)

    assert max(later - earlier for earlier, later in itertools.pairwise(dues(schedule))) <= 3 * HOUR / 60


def test_all_idle_automations_together_take_three_requests_a_minute_at_most():
    schedule = a_schedule(*range(1000), interval=300.0)
    for _ in range(1000):
        poll(schedule, 0.0)

    schedule.rest(idle_ids(*range(950)), HOUR, 0.0)

    assert schedule.demand() == pytest.approx(50 / 300 + 3 / 60)
    assert schedule.planned_interval(an_id(0)) == pytest.approx(950 / 3 * 60)


def test_an_idle_automation_that_is_being_polled_keeps_its_turn():
    schedule = a_schedule(1)
    schedule.take(0.0)

    schedule.rest(idle_ids(1), HOUR, 1.0)
    assert schedule.take(HOUR) is None
    schedule.done(an_id(1), OK, 2.0)

    assert 0 < schedule.next_due() <= HOUR


def test_automations_that_discovery_adds_end_no_slow_down():
    schedule = a_schedule(1)
    poll(schedule, 0.0, Outcome.FORBIDDEN)
    poll(schedule, 200.0, Outcome.UNAUTHORIZED)

    schedule.configure([an_automation(number, interval=100.0) for number in (1, 2)], 210.0, forgive=False)
    assert schedule.intervals()[an_id(1)] == 200.0

    schedule.configure([an_automation(number, interval=100.0) for number in (1, 2)], 210.0)
    assert schedule.intervals()[an_id(1)] == 100.0
