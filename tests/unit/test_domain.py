import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import LinkClicks, add_up, is_automation_id


@pytest.mark.parametrize("text", ["6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c11", "6B2EC1BC-5D0F-4A4B-9D5C-0A6E7A1F3C11"])
def test_uuid_is_an_automation_id(text):
    assert is_automation_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "welcome",
        "6b2ec1bc5d0f4a4b9d5c0a6e7a1f3c11",
        "{6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c11}",
        "6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c1g",
        "6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c11\n",
        "../6b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c1",
        "٦b2ec1bc-5d0f-4a4b-9d5c-0a6e7a1f3c11",
    ],
)
def test_anything_else_is_no_automation_id(text):
    assert not is_automation_id(text)


def test_equal_rows_are_added_up():
    rows = [LinkClicks("s", "u", "0", 2), LinkClicks("s", "u", "1", 3), LinkClicks("s", "u", "0", 5)]

    assert add_up(rows) == (LinkClicks("s", "u", "0", 7), LinkClicks("s", "u", "1", 3))


ROWS = st.lists(
    st.builds(LinkClicks, st.sampled_from("ab"), st.text(max_size=2), st.sampled_from(["", "0"]), st.integers(0, 2**53))
)


@given(ROWS)
def test_adding_up_keeps_the_sum_and_gives_each_key_once_in_order_of_first_sight(rows):
    added = add_up(rows)

    keys = [row[:3] for row in added]
    assert sum(row.clicks for row in added) == sum(row.clicks for row in rows)
    assert keys == list(dict.fromkeys(row[:3] for row in rows))
