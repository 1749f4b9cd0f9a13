import time

import pytest

from sendgrid_simulator import ManualClock, RealClock
from sendgrid_simulator.clock import HeldClock


def test_real_clock_begins_at_the_wall_clock():
    assert RealClock().time() == pytest.approx(time.time(), abs=5)


def test_real_clock_runs_at_its_speed():
    before = time.time()
    clock = RealClock(speed=1e6)
    spun = 0
    while time.time() - before < 0.002:
        spun += 1

    assert spun
    assert clock.time() - before > 1_000


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_real_clock_refuses_a_speed_that_does_not_go_forward(speed):
    with pytest.raises(ValueError, match="above 0"):
        RealClock(speed)


def test_manual_clock_moves_only_when_told():
    clock = ManualClock(100)
    clock.advance(5)
    assert clock.time() == 105
    clock.set(50)
    assert clock.time() == 50


def test_held_clock_stands_still_and_then_goes_on_as_if_never_held():
    manual = ManualClock(100)
    held = HeldClock(manual)

    held.hold()
    manual.advance(10)
    held.hold()

    assert held.time() == 100
    held.release()
    assert held.time() == 110
