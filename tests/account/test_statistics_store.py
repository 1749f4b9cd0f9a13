"""The statistics that are shown: until they are stale, and as SendGrid said them."""

import math

import pytest

from exporter.account.statistics import DatedStatistics, StatisticsStore
from exporter.domain import OVERFLOW_URL, Statistics
from tests.factories import an_id

pytestmark = pytest.mark.unit

SOME = Statistics(*range(12))


def refreshed(store, oldest=-math.inf):
    store.refresh(lambda _: oldest, lambda _: oldest)
    return store.lines()


def text(store, name, oldest=-math.inf):
    lines = refreshed(store, oldest).get(name)
    return None if lines is None else lines.text().decode()


def test_each_count_is_a_family_with_a_sample_of_each_automation():
    store = StatisticsStore()
    store.publish({an_id(1): SOME, an_id(2): SOME._replace(delivered=7)}, 0.0)

    assert text(store, "sendgrid_automation_delivered") == (
        f'sendgrid_automation_delivered{{automation_id="{an_id(1)}"}} 1\n'
        f'sendgrid_automation_delivered{{automation_id="{an_id(2)}"}} 7\n'
    )
    assert set(refreshed(store)) == {f"sendgrid_automation_{name}" for name in Statistics._fields}


def test_a_count_that_sendgrid_does_not_give_has_no_sample_and_zero_has_one():
    store = StatisticsStore()
    store.publish({an_id(1): Statistics(delivered=0), an_id(2): Statistics()}, 0.0)

    assert set(refreshed(store)) == {"sendgrid_automation_delivered"}
    assert text(store, "sendgrid_automation_delivered") == (
        f'sendgrid_automation_delivered{{automation_id="{an_id(1)}"}} 0\n'
    )


def test_what_a_list_lacks_stays_until_it_is_stale():
    store = StatisticsStore()
    store.publish({an_id(1): SOME, an_id(2): SOME}, 0.0)
    store.publish({an_id(2): SOME}, 100.0)

    assert str(an_id(1)) in (text(store, "sendgrid_automation_opens") or "")
    assert str(an_id(1)) not in (text(store, "sendgrid_automation_opens", oldest=1.0) or "")
    assert refreshed(store, oldest=101.0) == {}


def test_the_lines_are_the_same_objects_until_something_changes():
    store = StatisticsStore()
    store.publish({an_id(1): SOME}, 0.0)
    before = refreshed(store)

    assert refreshed(store) is before

    store.publish({an_id(1): SOME._replace(delivered=7)}, 1.0)
    after = refreshed(store)
    assert after["sendgrid_automation_delivered"] != before["sendgrid_automation_delivered"]
    assert after["sendgrid_automation_opens"] is before["sendgrid_automation_opens"]


def test_steps_have_families_of_their_own_and_replace_all_that_were_known():
    store = StatisticsStore()
    store.publish_steps(an_id(1), {"a": SOME, 'b"\n': Statistics(clicks=3)}, 0.0)

    clicks = f'sendgrid_automation_step_clicks{{automation_id="{an_id(1)}",step_id='
    assert text(store, "sendgrid_automation_step_clicks") == f'{clicks}"a"}} 4\n{clicks}"b\\"\\n"}} 3\n'

    store.publish_steps(an_id(1), {"c": SOME}, 1.0)
    assert text(store, "sendgrid_automation_step_clicks") == f'{clicks}"c"}} 4\n'


def test_steps_that_become_one_label_and_steps_without_end_are_added_up():
    store = StatisticsStore(lambda step_id: step_id[:1])
    store.publish_steps(an_id(1), {"ab": SOME, "ac": Statistics(clicks=3)}, 0.0)
    many = StatisticsStore()
    many.publish_steps(an_id(1), {f"{number}": Statistics(clicks=1) for number in range(1005)}, 0.0)

    assert store.steps()[an_id(1)].by_step == {"a": SOME._replace(clicks=7)}
    assert len(many.steps()[an_id(1)].by_step) == 1001
    assert many.steps()[an_id(1)].by_step[OVERFLOW_URL] == Statistics(clicks=5)


def test_others_than_those_to_keep_are_gone_at_once():
    store = StatisticsStore()
    store.publish({an_id(1): SOME, an_id(2): SOME}, 0.0)
    store.publish_steps(an_id(1), {"a": SOME}, 0.0)
    store.publish_steps(an_id(2), {"a": SOME}, 0.0)

    store.keep_only({an_id(1), an_id(2)}, steps={an_id(2)})
    assert (set(store.totals()), set(store.steps())) == ({an_id(1), an_id(2)}, {an_id(2)})

    store.keep_only((), steps=())
    assert refreshed(store) == {}


def test_what_an_earlier_run_showed_is_shown_again_with_its_age():
    store = StatisticsStore()

    store.restore({an_id(1): DatedStatistics({"": SOME}, -10.0)}, {an_id(1): DatedStatistics({"a": SOME}, -10.0)})

    assert len(refreshed(store)) == 24
    assert refreshed(store, oldest=-9.0) == {}
