"""Each row of the list's table, met by a real client and a real simulator: once, and for three readings in a row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import pytest

from exporter.account.account import Account
from exporter.account.discovery import AccountOptions, DiscoveryRules
from exporter.account.statistics import StatisticsStore
from exporter.domain import Automation, AutomationId, DiscoveryMode, Endpoint, Outcome
from sendgrid_simulator import Alteration, Delivery, Row, Simulator, StatisticsAlteration, Stats, fixed
from sendgrid_simulator import Endpoint as SimulatedEndpoint
from tests.matrix.lists import LISTS
from tests.matrix.rig import STEP, VICTIM, Adapters, LeapingClock, PeakMemory, Rig, captured, good_rows
from tests.matrix.table import Case

_MOST_MEMORY: Final = 96 * 1024 * 1024
_IDS: Final = tuple(AutomationId(f"0000000{number}-0000-4000-8000-00000000abcd") for number in range(1, 5))
_EVERYBODY: Final = {*_IDS, VICTIM}

each_case = pytest.mark.parametrize(
    ("case", "times"),
    [
        pytest.param(case, times, id=f"{case.name}, {'lasting' if times is None else 'once'}")
        for case in LISTS
        for times in (None, 1)
        if times is None or case.once is not case.lasting
    ],
)


class _Lists:
    """One exporter's account over a list of five automations, two on a page, beside the links of one of them."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.store = StatisticsStore()
        self.followed: list[Sequence[Automation]] = []
        rules = DiscoveryRules(DiscoveryMode.POLL, configured=frozenset({VICTIM}))
        self.account = Account(
            rig.source,
            AccountOptions((Automation(VICTIM, "Welcome", 300.0),), rules),
            store=self.store,
            telemetry=rig.telemetry,
            clock=rig.clock,
        )

    def read(self) -> tuple[Outcome | None, Sequence[str], int]:
        """Return the outcome, what was logged, and the requests that it took."""
        before = self.rig.simulator.request_count
        with captured() as lines:
            outcome = self.account.read(self)
        return outcome, lines, self.rig.simulator.request_count - before

    def follow(self, automations: Sequence[Automation]) -> None:
        self.followed.append(automations)

    def rest(self, *_: object) -> None:
        pass

    def polled(self) -> set[AutomationId]:
        return {automation.id for automation in self.account.automations()}

    def counted(self, outcome: Outcome) -> float:
        name = "sendgrid_exporter_list_reads_total"
        return self.rig.telemetry.registry.get_sample_value(name, {"outcome": outcome.value}) or 0.0


@contextmanager
def _lists(case: Case, adapters: Adapters) -> Iterator[_Lists]:
    clock = LeapingClock()
    stats = {STEP: Stats(requests=12, delivered=10, clicks=1)}
    automations = [fixed(id_, (Row(STEP, "u", 0, 1),), stats=stats) for id_ in _IDS]
    automations.insert(2, fixed(VICTIM, good_rows(), stats=stats))
    with Simulator(automations, wall=clock, rate_limit=100_000) as simulator:
        rig = Rig(simulator, clock, adapters, page_size=2, timeout=case.timeout)
        try:
            yield _Lists(rig)
        finally:
            rig.close()


@each_case
def test_a_list_that_meets_the_fault(case: Case, times: int | None, adapters: Adapters) -> None:
    expected = case.lasting if times is None else case.once
    assert case.fault is not None
    with _lists(case, adapters) as lists:
        assert lists.read()[0] is Outcome.SUCCESS
        assert lists.polled() == _EVERYBODY
        before = lists.store.totals()
        fault = replace(case.fault, endpoint=SimulatedEndpoint(Endpoint.STATISTICS.value), automation=None)
        lists.rig.simulator.fault(replace(fault, times=times))
        peak = PeakMemory()

        outcome, lines, asked = lists.read()

        assert outcome is expected
        assert peak.grown < _MOST_MEMORY
        assert lists.polled() >= _EVERYBODY
        assert lists.counted(expected) == 1 + (expected is Outcome.SUCCESS)
        if times is None:
            assert case.asked[0] <= asked <= case.asked[1]
        if expected is not Outcome.SUCCESS:
            assert len(lines) == 1
            assert lines[0].startswith(f"- {expected}: the list of automations began to fail: ")
            assert len(lines[0]) < 1000
            assert lists.rig.simulator.api_key not in lines[0]
            assert lists.store.totals() == before
            assert len(lists.followed) == 1
        assert lists.rig.poll().outcome is Outcome.SUCCESS, "the links go on"

        if times is None:
            second, more, _ = lists.read()
            assert (second, [line for line in more if "fail" in line]) == (expected, [])
            assert lists.polled() >= _EVERYBODY, "two lists take nobody away"
        lists.rig.simulator.faults.clear()
        assert lists.read()[0] is Outcome.SUCCESS
        assert lists.polled() >= _EVERYBODY
        shown = {id_: reading.by_step[""].delivered for id_, reading in lists.store.totals().items()}
        assert {id_: shown[id_] for id_ in _EVERYBODY} == dict.fromkeys(_EVERYBODY, 10)


def test_every_fault_of_a_list_has_its_row() -> None:
    faults = [case.fault for case in LISTS if case.fault is not None]

    assert {*Alteration, *StatisticsAlteration} == {fault.alter for fault in faults} - {None}
    assert set(Delivery) == {fault.deliver for fault in faults}
    assert [name for name, count in Counter(case.name for case in LISTS).items() if count > 1] == []
