import threading
import time

import pytest

from exporter.clock import Clock, SystemClock
from tests.fakes import FakeClock

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("seconds", [0.0, -5.0, 0.001])
def test_wait_without_the_event_ends_by_itself(seconds):
    assert not SystemClock().wait(threading.Event(), seconds)


def test_wait_for_an_event_that_is_set_ends_at_once():
    event = threading.Event()
    event.set()

    assert SystemClock().wait(event, 3600.0)


def test_clocks_tell_what_the_machine_tells():
    clock = SystemClock()

    assert clock.time() == pytest.approx(time.time(), abs=5.0)
    assert clock.monotonic() <= time.monotonic()


def test_fake_clock_keeps_the_promises_of_a_clock():
    clock: Clock = FakeClock()
    before = clock.monotonic(), clock.time()
    event = threading.Event()

    assert not clock.wait(event, 5.0)
    assert (clock.monotonic() - before[0], clock.time() - before[1]) == (5.0, 5.0)
    assert not clock.wait(event, -5.0)
    event.set()
    assert clock.wait(event, 5.0)
    assert clock.monotonic() - before[0] == 5.0


def test_fake_clock_refuses_to_go_back():
    with pytest.raises(ValueError, match="does not go back"):
        FakeClock().advance(-1.0)
