"""The deadline without a socket; tests/sendgrid/test_client_sockets.py has those."""

import pytest

from exporter.sendgrid.transport import Deadline
from tests.fakes import FakeClock

pytestmark = pytest.mark.unit


def test_deadline_tells_what_is_left_and_raises_when_nothing_is():
    clock = FakeClock()
    deadline = Deadline(clock)
    deadline.set(10.0)
    clock.advance(9.0)
    assert deadline.remaining() == 1.0

    clock.advance(1.0)

    with pytest.raises(TimeoutError):
        deadline.remaining()


def test_step_of_the_wall_clock_does_not_move_a_deadline():
    clock = FakeClock()
    deadline = Deadline(clock)
    deadline.set(10.0)

    clock.step(-1e6)

    assert deadline.remaining() == 10.0


def test_deadline_that_was_never_set_is_over():
    with pytest.raises(TimeoutError):
        Deadline(FakeClock()).remaining()
