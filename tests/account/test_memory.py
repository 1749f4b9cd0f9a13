"""What is kept of the account over a restart, and what becomes of a text that is damaged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.account.memory import Remembered, Still, decoded, encoded
from exporter.account.statistics import Reading
from exporter.domain import Statistics
from tests.factories import an_id

pytestmark = pytest.mark.unit

SOME = Statistics(delivered=10, clicks=1)
ALL = Remembered(
    {an_id(1): 0, an_id(2): 2},
    {an_id(1): Still(SOME, 5.0, 7), an_id(2): Still(SOME, 6.0)},
    {an_id(1): Reading({"": SOME}, 900.0)},
    {an_id(1): Reading({"a": SOME, "b": Statistics()}, 950.0)},
)


def test_what_is_kept_comes_back_with_its_age_whatever_the_clocks_of_the_new_run_show():
    text = encoded(ALL, 1_000_000.0)

    # Ten seconds later by the wall clock, and the monotonic one begins at 0.
    after = decoded(text, 1_001_010.0, 0.0)

    assert after is not None
    assert after.missed == ALL.missed
    assert after.still == {an_id(1): Still(SOME, -1005.0, 7), an_id(2): Still(SOME, -1004.0)}
    assert after.totals == {an_id(1): Reading({"": SOME}, -110.0)}
    assert after.steps == {an_id(1): Reading({"a": SOME, "b": Statistics()}, -60.0)}


def test_a_clock_that_was_set_back_makes_no_statistics_younger_and_nobody_idle():
    after = decoded(encoded(ALL, 1_000_000.0), 900_000.0, 1000.0)

    assert after is not None
    assert (after.totals, after.steps) == ({}, {})
    assert [still.since for still in after.still.values()] == [1000.0, 1000.0]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"missed": [1]},
        {"missed": {"no-uuid": 1}},
        {"missed": {an_id(): "many"}},
        {"still": {an_id(): [1, 2]}},
        {"still": {an_id(): 7}},
        {"totals": {an_id(): [1.0, {"": [1]}]}},
        {"totals": {an_id(): [1.0]}},
        {"steps": None},
    ],
)
def test_a_text_of_another_form_is_not_taken(change):
    document = json.loads(encoded(ALL, 0.0)) | change

    assert decoded(json.dumps(document).encode(), 0.0, 1000.0) is None


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_damage_raises(junk, at):
    text = encoded(ALL, 0.0)

    decoded(text[:at] + junk + text[at + len(junk) :], 0.0, 1000.0)
    decoded(junk, 0.0, 1000.0)
