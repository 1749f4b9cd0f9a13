import pytest

from exporter.domain import add_up, is_automation_id
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
