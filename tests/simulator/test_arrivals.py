import itertools
import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sendgrid_simulator.arrivals import (
    HOUR,
    PoissonProcess,
    exposure,
    reached,
    weighted_hours,
)

pytestmark = pytest.mark.unit

WEEK = 168 * HOUR
MONDAY = 1736121600.0


def test_a_week_weighs_168_hours_from_any_moment_on():
    for moment in (0.0, MONDAY, MONDAY + 3.3 * HOUR):
        assert weighted_hours(moment + WEEK) - weighted_hours(moment) == pytest.approx(168)


def test_weighted_hours_start_at_the_epochs_own_weight():
    assert weighted_hours(MONDAY) == pytest.approx((MONDAY / HOUR + 72) // 168 * 168)


def test_a_working_morning_weighs_more_than_a_night_and_than_a_weekends():
    def weight(day, hour):
        begin = MONDAY + (day * 24 + hour) * HOUR
        return weighted_hours(begin + HOUR) - weighted_hours(begin)

    assert weight(1, 9) > 5 * weight(1, 3)
    assert weight(1, 9) > 2 * weight(5, 9)


def test_weighted_hours_never_go_back():
    moments = [MONDAY + step * 613.0 for step in range(3_000)]
    hours = [weighted_hours(moment) for moment in moments]
    assert hours == sorted(hours)


@given(st.lists(st.floats(0, 2e5), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_counts_do_not_depend_on_the_order_of_questions(moments):
    forward = PoissonProcess(b"order")
    asked = {moment: forward.count(moment) for moment in sorted(moments)}

    for moment in moments:
        assert PoissonProcess(b"order").count(moment) == asked[moment]
    backward = PoissonProcess(b"order")
    assert {moment: backward.count(moment) for moment in sorted(moments, reverse=True)} == asked


def test_counts_never_fall():
    stream = PoissonProcess(b"rising")
    counts = [stream.count(step * 0.7) for step in range(20_000)]
    assert counts == sorted(counts)
    assert counts[-1] == pytest.approx(14_000, rel=0.05)


def test_counts_are_spread_as_poisson_is():
    totals = [PoissonProcess(b"spread %d" % number).count(100.0) for number in range(400)]
    assert statistics.mean(totals) == pytest.approx(100, abs=2)
    assert statistics.variance(totals) == pytest.approx(100, rel=0.3)


def test_stretches_of_one_stream_are_independent_poisson():
    stream = PoissonProcess(b"stretches")
    edges = [stream.count(1_000.0 + 4 * number) for number in range(1_001)]
    steps = [after - before for before, after in itertools.pairwise(edges)]
    assert statistics.mean(steps) == pytest.approx(4, rel=0.1)
    assert statistics.variance(steps) == pytest.approx(4, rel=0.2)
    assert 0.005 < steps.count(0) / len(steps) < 0.04


def test_far_counts_are_had_without_walking_there():
    count = PoissonProcess(b"far").count(1e9)
    assert count == pytest.approx(1e9, rel=1e-3)
    assert count == PoissonProcess(b"far").count(1e9)


def test_two_keys_give_two_streams():
    assert [PoissonProcess(b"a").count(x) for x in range(1, 50)] != [
        PoissonProcess(b"b").count(x) for x in range(1, 50)
    ]


def test_nothing_has_arrived_at_the_beginning_or_before():
    assert PoissonProcess(b"start").count(0.0) == 0
    assert PoissonProcess(b"start").count(-5.0) == 0


def test_quiet_until_is_where_the_next_arrival_may_be():
    stream = PoissonProcess(b"quiet")
    moment = 0.0
    for _ in range(500):
        before = stream.count(moment)
        until = stream.quiet_until(moment)
        assert until > moment
        assert stream.count(math.nextafter(until, 0)) == before
        moment = until
    assert stream.count(moment) > 0


def test_first_is_the_first_arrival():
    for number in range(50):
        stream = PoissonProcess(b"first %d" % number)
        first = stream.first()
        assert stream.count(math.nextafter(first, 0)) == 0
        assert stream.count(first) == 1


def test_exposure_counts_each_stretch_by_its_factor():
    changes = ((10.0, 0.0), (20.0, 2.0))
    assert exposure(0.0, changes, 5.0) == 5
    assert exposure(0.0, changes, 15.0) == 10
    assert exposure(0.0, changes, 25.0) == 20
    assert exposure(12.0, changes, 25.0) == 10
    assert exposure(0.0, (), -3.0) == 0


@pytest.mark.parametrize("goal", [0.5, 9.0, 10.5, 19.0])
def test_reached_is_the_inverse_of_exposure(goal):
    changes = ((10.0, 0.0), (20.0, 2.0))
    assert exposure(0.0, changes, reached(0.0, changes, goal)) == pytest.approx(goal)


def test_a_dead_link_never_reaches_more():
    assert reached(0.0, ((10.0, 0.0),), 11.0) == math.inf
