import pytest

from benchmarks.content import content, help_texts

OURS = b"""# HELP automation_link_clicks Clicks.
# TYPE automation_link_clicks gauge
automation_link_clicks{automation_id="a",step_id="s",url="u",url_location="0"} 5
automation_link_clicks{automation_id="a",step_id="s",url="v",url_location="1"} 12345678
# HELP own_total Ours alone.
# TYPE own_total counter
own_total{automation_id="a"} 1
"""
SAME = b"""# HELP automation_link_clicks Clicks.
# TYPE automation_link_clicks gauge
automation_link_clicks{automation_id="a",step_id="s",url="v",url_location="1"} 1.2345678e+07
automation_link_clicks{automation_id="a",step_id="s",url="u",url_location="0"} 5.0
"""


def test_order_spelling_of_numbers_and_own_metrics_make_no_difference():
    assert content(OURS) == content(SAME)
    assert content(OURS).samples == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"0"} 5', b'"0"} 6'), (b'url="u"', b'url="w"'), (b"Clicks.", b"Other."), (b"clicks gauge", b"clicks counter")],
)
def test_any_other_difference_is_one(old, new):
    assert content(OURS.replace(old, new, 1)) != content(OURS)


def test_a_sample_that_stands_twice_is_a_difference():
    line = OURS.splitlines(keepends=True)[2]

    assert content(OURS + line) != content(OURS)


def test_help_texts_are_those_of_the_automations_families():
    assert help_texts(OURS) == {"automation_link_clicks": "Clicks."}
