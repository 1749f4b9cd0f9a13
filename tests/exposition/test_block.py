from dataclasses import replace

import pytest

from exporter.domain import OVERFLOW_URL
from exporter.exposition import AutomationView, Block, key_of, line_format, render_group, text_chunks
from tests.factories import a_block, a_link, an_id, render

pytestmark = pytest.mark.unit


def a_view(number: int = 1, **changes) -> AutomationView:
    return replace(AutomationView(an_id(number), "Welcome", 300.0), **changes)


def text_of(group, name: str) -> str:
    return b"".join(text_chunks(group.lines[name])).decode()


def fell_below(after, before) -> bool:
    return after.fell_below(before, [after.links.text()])


def test_block_knows_its_clicks_by_row():
    row, other = a_link(), a_link(url="b", clicks=2)

    block = render(an_id(), [row, other], 9)

    assert block.clicks_by_link() == {key_of(an_id(), row): 7, key_of(an_id(), other): 2}
    assert (block.series, block.total_clicks) == (2, 9)


@pytest.mark.parametrize(
    ("before", "after", "fell"),
    [
        ([a_link(clicks=5)], [a_link(clicks=5)], False),
        ([a_link(clicks=5)], [a_link(clicks=4)], True),
        ([a_link(clicks=5)], [a_link(clicks=6)], False),
        ([a_link(clicks=5)], [a_link(clicks=5), a_link(url="new", clicks=1)], False),
        ([a_link(clicks=5), a_link(url="b", clicks=1)], [a_link(clicks=9)], False),
        ([a_link(url=OVERFLOW_URL, clicks=5)], [a_link(url=OVERFLOW_URL, clicks=4), a_link(clicks=9)], False),
        ([a_link(clicks=5), a_link(url="b", clicks=5)], [a_link(clicks=9), a_link(url="b", clicks=4)], True),
        ([a_link(clicks=5), a_link(url="b", clicks=9)], [a_link(url="b", clicks=9), a_link(clicks=5)], False),
        ([a_link(clicks=5), a_link(url="b", clicks=9)], [a_link(url="b", clicks=9), a_link(clicks=4)], True),
        ([a_link(clicks=10)], [a_link(clicks=9)], True),
        ([a_link(clicks=9)], [a_link(clicks=10)], False),
        ([a_link(clicks=2**16)], [a_link(clicks=2**16 - 1)], True),
        ([a_link(clicks=2**32 - 1)], [a_link(clicks=2**32)], False),
        ([a_link(clicks=2**53)], [a_link(clicks=2**32)], True),
    ],
)
@pytest.mark.parametrize("restored", [False, True])
def test_fall_is_that_of_a_published_link_not_of_the_rest_row(before, after, fell, restored):
    former = a_block(*before, total=99)
    if restored:
        former = Block(former.links, former.series, former.total_clicks)

    assert fell_below(a_block(*after, total=99), former) is fell


def test_fall_of_the_total_alone_counts():
    assert fell_below(a_block(total=4), a_block(total=5))
    assert not fell_below(a_block(total=5), a_block(total=5))


def test_automation_before_its_first_poll_shows_only_what_is_known():
    group = render_group([a_view()])

    assert text_of(group, "automation_info") == f'automation_info{{automation_id="{an_id()}",name="Welcome"}} 1\n'
    shown = {name for name, run in group.lines.items() if run.length}
    assert shown == {
        "automation_info",
        "sendgrid_exporter_automation_poll_interval_seconds",
        "sendgrid_exporter_clicks_decreased_total",
    }
    assert group.link_series == 0


def test_names_of_steps_and_labels_of_owners_are_shown_whatever_stands_in_them():
    steps = (("s-1", 'Day "1"\\'), ("s-2", "\ud800"))
    labels = (("team", "growth\n"), ("cost.center", "1"), ("größe", "L"))

    group = render_group([a_view(steps=steps, labels=labels), a_view(2)])

    assert text_of(group, "automation_step_info") == (
        f'automation_step_info{{automation_id="{an_id()}",step_id="s-1",name="Day \\"1\\"\\\\"}} 1\n'
        f'automation_step_info{{automation_id="{an_id()}",step_id="s-2",name="?"}} 1\n'
    )
    pairs = f'automation_id="{an_id()}",label_team="growth\\n",label_cost_center="1",label_gr__e="L"'
    assert text_of(group, "automation_labels") == f"automation_labels{{{pairs}}} 1\n"


def test_page_is_shown_where_its_address_is_known():
    pages = text_of(render_group([a_view(page='https://a.example/"'), a_view(2)]), "automation_page_info")

    assert pages == f'automation_page_info{{automation_id="{an_id()}",url="https://a.example/\\""}} 1\n'


def test_automation_with_data_shows_everything():
    group = render_group([a_view(block=a_block(), up=True, last_success=12.5, decreased=3)])

    ours = f'{{automation_id="{an_id()}"}}'
    assert text_of(group, "automation_total_clicks") == f"automation_total_clicks{ours} 7\n"
    assert text_of(group, "sendgrid_exporter_automation_up").endswith("} 1\n")
    assert text_of(group, "sendgrid_exporter_automation_last_success_timestamp_seconds").endswith("} 12.5\n")
    assert text_of(group, "sendgrid_exporter_clicks_decreased_total").endswith("} 3\n")
    assert group.link_series == 1


def test_down_is_a_zero():
    assert text_of(render_group([a_view(up=False)]), "sendgrid_exporter_automation_up").endswith("} 0\n")


def test_what_did_not_change_is_not_rendered_again():
    views = [a_view(block=a_block(), up=True), a_view(2)]
    before = render_group(views)

    after = render_group([replace(views[0], up=False), views[1]], before)

    changed = {name for name, run in after.lines.items() if run is not before.lines[name]}
    assert changed == {"sendgrid_exporter_automation_up"}


def test_names_from_the_configuration_are_escaped():
    text = text_of(render_group([a_view(name='a"\n\\')]), "automation_info")

    assert 'name="a\\"\\n\\\\"' in text


def test_line_format_shows_the_names_their_order_and_their_escapes():
    odd = r'"\"\\\n"'
    labels = f'automation_id={odd},step_id={odd},url={odd},url_location="0"'

    assert line_format() == f"automation_link_clicks{{{labels}}} 0\n"
