"""Who stands still for long."""

import pytest

from exporter.account.memory import Movement, Still
from exporter.domain import Statistics
from tests.factories import an_id

pytestmark = pytest.mark.unit

WEEK = 604800.0
SOME = Statistics(delivered=10, clicks=1)


def idle(movement, now):
    return movement.idle(now, WEEK)


def test_an_automation_is_idle_while_its_numbers_stand_still_for_long_and_awake_with_the_first_that_move():
    movement = Movement()
    movement.see({an_id(1): SOME, an_id(2): SOME}, 0.0)
    movement.see({an_id(1): SOME, an_id(2): SOME._replace(delivered=11)}, 100.0)

    assert idle(movement, WEEK - 1) == set()
    assert idle(movement, WEEK) == {an_id(1)}

    movement.see({an_id(1): SOME._replace(opens=1)}, WEEK + 1)
    assert idle(movement, WEEK + 2) == set()


def test_numbers_that_fall_move_too():
    movement = Movement()
    movement.see({an_id(): SOME}, 0.0)
    movement.see({an_id(): SOME._replace(delivered=9)}, WEEK)

    assert idle(movement, WEEK) == set()


def test_an_automation_without_numbers_is_never_idle():
    movement = Movement()
    movement.see({an_id(1): Statistics(), an_id(2): SOME}, 0.0)
    movement.see({an_id(2): Statistics()}, WEEK)

    assert idle(movement, 2 * WEEK) == set()


def test_one_that_a_list_lacks_stands_as_still_as_before():
    movement = Movement()
    movement.see({an_id(): SOME}, 0.0)
    movement.see({}, 100.0)

    assert idle(movement, WEEK) == {an_id()}


def test_clicks_on_links_keep_an_automation_awake_whatever_its_statistics_say():
    movement = Movement()
    movement.see({an_id(): SOME}, 0.0)
    movement.see_clicks({an_id(): 7}, 10.0)
    movement.see_clicks({an_id(): 7}, 20.0)
    assert idle(movement, WEEK) == {an_id()}

    movement.see_clicks({an_id(): 8, an_id(2): 1}, WEEK)
    assert idle(movement, WEEK) == set()


def test_what_is_forgotten_begins_again():
    movement = Movement()
    movement.see({an_id(): SOME}, 0.0)
    movement.keep_only(())
    movement.see({an_id(): SOME}, WEEK)

    assert idle(movement, WEEK) == set()


def test_an_earlier_run_counts_as_far_as_its_numbers_are_still_the_same():
    movement = Movement()
    movement.restore({an_id(1): Still(SOME, -WEEK), an_id(2): Still(SOME, -WEEK)})
    movement.see({an_id(1): SOME, an_id(2): SOME._replace(clicks=2)}, 10.0)

    assert idle(movement, 10.0) == {an_id(1)}
