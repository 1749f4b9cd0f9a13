"""The virtual clock itself: one course of events, however busy the machine is."""

import threading

import pytest

from tests.polling.virtual_time import VirtualClock

pytestmark = pytest.mark.unit


def test_those_who_are_started_while_time_is_held_begin_at_one_moment_however_late_the_second_comes():
    clock, never, begun = VirtualClock(), threading.Event(), []

    def work() -> None:
        begun.append(clock.time())
        clock.wait(never, 10)

    with clock.held():
        threads = [clock.run(work)]
        never.wait(0.05)
        threads.append(clock.run(work))
    for thread in threads:
        thread.join(10)

    assert len(set(begun)) == 1
    assert len(begun) == 2


def test_those_who_are_due_together_go_on_one_after_another_in_the_order_of_their_waiting():
    clock, never, seen = VirtualClock(), threading.Event(), []

    def work(name: str) -> None:
        for number in range(100):
            seen.append((number, name))
            clock.wait(never, 1)

    with clock.held():
        threads = [clock.run(lambda name=name: work(name)) for name in "abc"]
    for thread in threads:
        thread.join(10)

    assert seen == [(number, name) for number in range(100) for name in "abc"]
