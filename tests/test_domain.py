import pytest

from exporter.domain import NO_HISTORY, AutomationId, add_up, is_automation_id, page_of
from tests.factories import a_link, an_id

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (an_id(), True),
        (an_id().upper(), True),
        (an_id() + "\n", False),
        (an_id().replace("-", ""), False),
        (f"{{{an_id()}}}", False),
        (" " + an_id(), False),
        ("", False),
        (an_id().replace("0", "\u0660"), False),
    ],
)
def test_automation_id_is_a_uuid_in_its_usual_form(text, is_one):
    assert is_automation_id(text) is is_one


def test_rows_without_a_double_are_returned_in_their_order():
    rows = (a_link(url="b"), a_link(url="a"), a_link(url="a", url_location=""))

    assert add_up(iter(rows)) == rows


def test_doubles_are_added_up_where_they_stood_first():
    rows = (a_link(clicks=1), a_link(url="b", clicks=2), a_link(clicks=3))

    assert add_up(rows) == (a_link(clicks=4), a_link(url="b", clicks=2))


def history_of(*totals):
    history = NO_HISTORY
    for hour, total in totals:
        history = history.with_total(total, hour * 3600.0)
    return history


def test_history_knows_the_change_of_a_day_once_it_has_one():
    history = history_of(*((hour, 10 * hour) for hour in range(60)))

    assert history.gained(600, 59.5 * 3600.0) == 600 - 350
    assert len(history.times) == 25
    assert history_of((0, 5), (23, 9)).gained(9, 23.9 * 3600.0) is None
    assert history_of((0, 5), (23, 9)).gained(4, 24.0 * 3600.0) == -1


def test_history_keeps_one_total_of_an_hour_and_the_first_of_it():
    assert list(history_of((0, 1), (0.5, 2), (0.95, 3), (1.1, 4)).totals) == [1, 3]


def test_history_with_a_hole_of_a_day_says_nothing_and_a_clock_set_back_begins_another():
    assert history_of((0, 1), (1, 2)).gained(9, 40 * 3600.0) is None
    assert list(history_of((50, 1), (10, 2)).totals) == [2]


def test_page_of_an_automation_has_its_id_wherever_the_address_wants_it():
    assert page_of(AutomationId("a/b?c#{}\ud800"), "https://x.example/{automation_id}/detail?a=1") == (
        "https://x.example/a%2Fb%3Fc%23%7B%7D%3F/detail?a=1"
    )
    assert page_of(AutomationId("a"), "") == ""
