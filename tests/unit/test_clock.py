import threading

from exporter.clock import SystemClock


def test_monotonic_time_does_not_go_backwards():
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()


def test_wall_clock_counts_from_the_epoch():
    assert SystemClock().time() > 1_700_000_000


def test_wait_ends_at_once_when_the_event_is_set():
    event = threading.Event()
    event.set()

    assert SystemClock().wait(event, 3600)


def test_wait_of_no_time_or_less_tells_that_the_event_is_not_set():
    assert not SystemClock().wait(threading.Event(), 0)
    assert not SystemClock().wait(threading.Event(), -1)
