import pytest

from exporter.domain import AutomationId, add_up, is_automation_id, page_of
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


def test_page_of_an_automation_has_its_id_wherever_the_address_wants_it():
    assert page_of(AutomationId("a/b?c#{}\ud800"), "https://x.example/{automation_id}/detail?a=1") == (
        "https://x.example/a%2Fb%3Fc%23%7B%7D%3F/detail?a=1"
    )
    assert page_of(AutomationId("a"), "") == ""
