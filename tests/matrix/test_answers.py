"""Every row of the matrix, met by one request and by every request, in a first poll and later on."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import pytest

from exporter.domain import Outcome
from sendgrid_simulator import Alteration, Delivery, Fault, Request
from tests.matrix.rig import OTHER, VICTIM, Adapters, LeapingClock, PeakMemory, Rig, a_simulator, good_rows, links_of
from tests.matrix.table import CASES, Case, Rows

_BEFORE: Final = 0
_LATER: Final = 7
_MOST_MEMORY: Final = 96 * 1024 * 1024

each_case = pytest.mark.parametrize(
    ("case", "times"),
    [
        pytest.param(case, times, id=f"{case.group}: {case.name}, {'lasting' if times is None else 'once'}")
        for case in CASES
        for times in (None, 1)
        if times is None or case.once is not case.lasting
    ],
)
"""Where once comes to the same as lasting, the lasting poll and the good one after it have shown both."""


@dataclass(frozen=True)
class _Wall:
    clock: LeapingClock
    shifted: Callable[[float], float]

    def time(self) -> float:
        return self.shifted(self.clock.time())


@contextmanager
def _rig(case: Case, adapters: Adapters) -> Iterator[Rig]:
    clock = LeapingClock()
    with a_simulator(case.rows(_BEFORE), wall=_Wall(clock, case.wall)) as simulator:
        simulator.behave(**case.behaviour)
        rig = Rig(simulator, clock, adapters, page_size=case.page_size, timeout=case.timeout)
        try:
            yield rig
        finally:
            rig.close()


def _meet(rig: Rig, case: Case, *, times: int | None) -> None:
    rig.simulator.faults.clear()
    if case.steps:
        steps = iter((case.steps,))

        def set_clock(_: Request) -> bool:
            rig.clock.step(next(steps, 0.0))
            return True

        rig.simulator.fault(Fault(automation=VICTIM, predicate=set_clock))
    elif case.fault is not None:
        rig.simulator.fault(replace(case.fault, automation=VICTIM, times=times))


def _assert_shows(rig: Rig, rows: Rows, total: int) -> None:
    shown = rig.shown()
    assert shown.links == links_of(rows)
    assert shown.total == total
    assert shown.up == 1
    assert shown.info == 1
    assert shown.last_success == pytest.approx(rig.clock.time(), abs=60)


def _assert_others_unaffected(rig: Rig, case: Case) -> None:
    rig.clock.wait(rig.never, case.pause)
    rows = good_rows(200)
    rig.simulator.put_rows(OTHER, rows)
    assert rig.poll(OTHER).outcome is Outcome.SUCCESS
    assert rig.shown(OTHER).links == links_of(rows)
    assert rig.shown(OTHER).up == 1


def _assert_heals(rig: Rig, case: Case) -> None:
    rig.simulator.faults.clear()
    rows = case.rows(_LATER)
    rig.simulator.put_rows(VICTIM, rows)
    assert rig.poll().outcome is Outcome.SUCCESS
    _assert_shows(rig, rows, sum(row.clicks for row in rows))


@each_case
def test_first_poll(case: Case, times: int | None, adapters: Adapters) -> None:
    expected = case.lasting if times is None else case.once
    with _rig(case, adapters) as rig:
        rows = case.rows(_LATER)
        rig.simulator.put_rows(VICTIM, rows)
        _meet(rig, case, times=times)
        peak = PeakMemory()

        poll = rig.poll()

        assert (poll.outcome, poll.counted) == (expected, {expected: 1})
        assert peak.grown < _MOST_MEMORY
        assert times is not None or case.asked[0] <= poll.requests <= case.asked[1]
        assert times is None or case.waits[0] <= poll.seconds <= case.waits[1]
        if expected is Outcome.SUCCESS:
            total = sum(row.clicks for row in rows)
            altered = case.lasting is Outcome.SUCCESS
            _assert_shows(rig, case.shows(rows) if altered else rows, case.total(total) if altered else total)
            assert not poll.lines
        else:
            shown = rig.shown()
            assert (shown.links, shown.total, shown.up, shown.last_success, shown.info) == ({}, None, 0, None, 1)
            _assert_one_clear_line(rig, poll.lines, expected)
        _assert_others_unaffected(rig, case)
        _assert_heals(rig, case)


@each_case
def test_steady_state(case: Case, times: int | None, adapters: Adapters) -> None:
    expected = case.lasting if times is None else case.once
    with _rig(case, adapters) as rig:
        assert rig.poll().outcome is Outcome.SUCCESS
        good, rows = rig.shown(), case.rows(_LATER)
        assert good.links == links_of(case.rows(_BEFORE))
        rig.simulator.put_rows(VICTIM, rows)
        rig.clock.wait(rig.never, 300)
        _meet(rig, case, times=times)

        poll = rig.poll()

        assert (poll.outcome, poll.counted) == (expected, {expected: 1})
        if expected is Outcome.SUCCESS:
            total = sum(row.clicks for row in rows)
            altered = case.lasting is Outcome.SUCCESS
            _assert_shows(rig, case.shows(rows) if altered else rows, case.total(total) if altered else total)
        else:
            assert rig.shown() == replace(good, up=0.0)
            rig.store.expire(rig.clock.monotonic() + 900)
            assert rig.shown() == replace(good, up=0.0, links={}, total=None), "what is stale is gone"
            _assert_one_clear_line(rig, poll.lines, expected)
        _assert_others_unaffected(rig, case)
        _assert_heals(rig, case)


def _assert_one_clear_line(rig: Rig, lines: list[str], outcome: Outcome) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{VICTIM} {outcome}: the automation began to fail: ")
    assert len(lines[0]) < 1000
    assert lines[0].isprintable()
    assert rig.simulator.api_key not in lines[0]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.lasting is Outcome.INCOMPLETE], ids=lambda case: case.name
)
def test_the_same_doubt_in_three_polls_in_a_row(case: Case, adapters: Adapters) -> None:
    with _rig(case, adapters) as rig:
        rig.poll()
        good = rig.shown()
        rig.simulator.put_rows(VICTIM, case.rows(_LATER))
        _meet(rig, case, times=None)

        polls = [rig.poll() for _ in range(4)]

        assert [poll.outcome for poll in polls[:2]] == [Outcome.INCOMPLETE] * 2
        assert [poll.outcome for poll in polls[2:]] == [case.third] * 2
        published = case.third is Outcome.SUCCESS
        assert rig.value("sendgrid_exporter_count_mismatches_total") == 2 * published
        assert sum("published although inconsistent" in line for poll in polls for line in poll.lines) == published
        assert published or rig.shown() == replace(good, up=0.0)
        if published:
            assert rig.shown().links.items() <= links_of(case.rows(_LATER)).items(), "a row that SendGrid did not say"
            assert 2 * len(rig.shown().links) > len(good.links)
        _assert_heals(rig, case)


def test_every_fault_of_the_simulator_has_its_row() -> None:
    faults = [case.fault for case in CASES if case.fault is not None]

    assert set(Alteration) == {fault.alter for fault in faults} - {None}
    assert set(Delivery) == {fault.deliver for fault in faults}


def test_every_row_has_a_name_of_its_own_and_an_expectation() -> None:
    names = Counter((case.group, case.name) for case in CASES)

    assert [name for name, count in names.items() if count > 1] == []
    assert all(case.group and isinstance(case.once, Outcome) and isinstance(case.lasting, Outcome) for case in CASES)
