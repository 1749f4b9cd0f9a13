import time
from datetime import UTC, datetime

import pytest

from sendgrid_simulator import BUSY_HOUR, ManualClock, Request, SimulatedClock, Simulator, WallClock, demo_automations
from sendgrid_simulator.arrivals import HOUR, weighted_hours
from sendgrid_simulator.clock import HeldClock

pytestmark = pytest.mark.unit

WALL_TIMES = {
    "a Tuesday morning": "2026-11-24T09:30",
    "03:00 on a Sunday": "2026-11-29T03:00",
    "29 February": "2028-02-29T12:00",
    "spring's change of clocks": "2027-03-28T01:00",
    "autumn's change of clocks": "2027-10-31T01:00",
    "New Year": "2026-12-31T23:59:59",
}


def demo_over_a_minute(wall_time):
    """Return what the demo's API answers in ten steps of six seconds, the wall clock beginning at that time."""
    wall, elapsed = ManualClock(datetime.fromisoformat(wall_time).replace(tzinfo=UTC).timestamp()), ManualClock(0)
    clock = SimulatedClock(elapsed=elapsed.time)
    simulator = Simulator(demo_automations(), clock=clock, wall=wall, rate_limit=0)
    headers = {"accept": "*/*", "authorization": f"Bearer {simulator.api_key}"}
    bodies = []
    for _ in range(10):
        for automation in simulator.automations:
            target = f"/v3/marketing/stats/automations/{automation.id}/links?group_by=step_id"
            bodies.append(simulator.answer(Request("GET", target, headers)).body)
        wall.advance(6)
        elapsed.advance(6)
    return bodies


@pytest.mark.parametrize("wall_time", WALL_TIMES.values(), ids=WALL_TIMES)
def test_clicks_move_alike_whatever_the_wall_clock_shows(wall_time):
    bodies = demo_over_a_minute(wall_time)

    assert bodies == demo_over_a_minute("2026-11-24T09:30")
    assert len(set(bodies)) > 20


def test_simulated_clock_starts_at_the_busiest_hours_of_the_week():
    assert SimulatedClock(elapsed=ManualClock(7).time).time() == BUSY_HOUR
    weights = [
        weighted_hours(BUSY_HOUR + hour * HOUR + HOUR) - weighted_hours(BUSY_HOUR + hour * HOUR) for hour in range(168)
    ]
    assert weights[0] == pytest.approx(max(weights))
    assert weights[1] == pytest.approx(max(weights))


def test_simulated_clock_runs_at_its_speed():
    elapsed = ManualClock(5)
    clock = SimulatedClock(60, elapsed=elapsed.time, start=1_000)
    elapsed.advance(2)
    assert clock.time() == 1_120


def test_wall_clock_is_the_machines():
    assert WallClock().time() == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_simulated_clock_refuses_a_speed_that_does_not_go_forward(speed):
    with pytest.raises(ValueError, match="above 0"):
        SimulatedClock(speed)


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
