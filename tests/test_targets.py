"""The document of the links that are clicked now, over a real store and hours that cost nothing."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.domain import LinkClicks
from exporter.exposition import lines_of, read_links
from exporter.probes import ALWAYS_EXCLUDED
from exporter.serving import LinkTargets, TargetOptions
from exporter.store import Store
from tests.factories import STEP, a_block, a_link, an_automation, an_id
from tests.fakes import WALL, FakeClock

pytestmark = pytest.mark.unit

SHOP = "https://shop.example.com/"
DAY = 86400.0


class World:
    """An exporter's store with two automations, and the targets made from it."""

    def __init__(self, **options: Any) -> None:
        self.clock = FakeClock()
        self.store = Store()
        self.is_ready = True
        self.store.configure([an_automation(1, steps=((STEP, "Day 1"),)), an_automation(2, name="Win back")])
        self.targets = LinkTargets(
            self.store,
            TargetOptions(enabled=True, exclude=ALWAYS_EXCLUDED, **options),
            clock=self.clock,
            stop=threading.Event(),
            ready=lambda: self.is_ready,
        )

    def poll(self, links: Mapping[str, int], *, number: int = 1) -> None:
        rows = [a_link(url=url, clicks=clicks) for url, clicks in links.items()]
        block = a_block(*rows, automation_id=an_id(number))
        self.store.publish(an_id(number), block, last_success=WALL, expires=9e9)

    def document(self) -> Any:
        self.targets.refresh()
        document = self.targets.document()
        return None if document is None else json.loads(document)

    def urls(self) -> list[str]:
        return [url for group in self.document() for url in group["targets"]]


def test_target_has_the_automation_and_the_step_with_their_names() -> None:
    world = World()
    world.poll({SHOP: 3})
    world.poll({f"{SHOP}b": 2}, number=2)

    assert world.document() == [
        {
            "targets": [SHOP],
            "labels": {
                "__meta_sendgrid_automation_id": an_id(1),
                "__meta_sendgrid_automation_name": "Welcome",
                "__meta_sendgrid_step_id": STEP,
                "__meta_sendgrid_step_name": "Day 1",
            },
        },
        {
            "targets": [f"{SHOP}b"],
            "labels": {
                "__meta_sendgrid_automation_id": an_id(2),
                "__meta_sendgrid_automation_name": "Win back",
                "__meta_sendgrid_step_id": STEP,
                "__meta_sendgrid_step_name": STEP,
            },
        },
    ]


def test_most_clicked_come_first_each_once_and_no_more_than_asked_for() -> None:
    world = World(max_links=2)
    world.poll({f"{SHOP}few": 1, f"{SHOP}many": 9, f"{SHOP}some#top": 4})
    world.poll({f"{SHOP}some#end": 5, f"{SHOP}many": 8}, number=2)

    assert world.urls() == [f"{SHOP}many", f"{SHOP}some#end"]


def test_places_of_one_link_count_together() -> None:
    world = World()
    rows = [a_link(url=SHOP, url_location="0", clicks=3), a_link(url=SHOP, url_location="7", clicks=3)]
    block = a_block(*rows, a_link(url=f"{SHOP}b", clicks=5))
    world.store.publish(an_id(1), block, last_success=WALL, expires=9e9)

    assert world.urls() == [SHOP, f"{SHOP}b"]


def test_link_leaves_after_a_week_without_a_click_and_returns_with_the_next_one() -> None:
    world = World()
    world.poll({SHOP: 3, f"{SHOP}quiet": 90})
    assert world.urls() == [f"{SHOP}quiet", SHOP]

    world.clock.advance(6 * DAY)
    world.poll({SHOP: 4, f"{SHOP}quiet": 90})
    assert world.urls() == [f"{SHOP}quiet", SHOP]
    world.clock.advance(1.5 * DAY)
    world.poll({SHOP: 4, f"{SHOP}quiet": 89})
    assert world.urls() == [SHOP]

    world.poll({SHOP: 4, f"{SHOP}quiet": 90})
    assert world.urls() == [f"{SHOP}quiet", SHOP]


def test_links_of_stale_numbers_and_of_automations_that_are_gone_leave() -> None:
    world = World()
    world.poll({SHOP: 3})
    world.poll({f"{SHOP}b": 3}, number=2)
    world.targets.refresh()

    world.store.withdraw([an_id(1)])
    assert world.urls() == [f"{SHOP}b"]
    world.store.configure([an_automation(1)])
    assert world.document() == []


def test_document_is_not_known_before_every_automation_was_tried() -> None:
    world = World()
    world.is_ready = False
    world.poll({SHOP: 3})
    assert world.document() is None

    world.is_ready = True
    assert world.urls() == [SHOP]


def test_what_no_prober_may_visit_is_not_handed_out() -> None:
    world = World(max_url_length=64, drops_paths=True)
    cut = "https://shop.example.com/" + "a" * 22 + "~0123456789abcdef"
    world.poll({f"{SHOP}unsubscribe": 9, f"{SHOP}*/a": 9, cut: 9, "__other__": 9, "http://127.0.0.1/": 9, SHOP: 1})

    assert world.urls() == [SHOP]


def test_other_settings_judge_every_link_again_and_forget_no_click() -> None:
    world = World()
    world.poll({SHOP: 3, f"{SHOP}b": 2})
    world.targets.refresh()
    world.clock.advance(6 * DAY)

    world.targets.take_over(TargetOptions(enabled=True, exclude=(*ALWAYS_EXCLUDED, "/b")))
    assert world.urls() == [SHOP]
    world.clock.advance(2 * DAY)
    assert world.urls() == []


@pytest.mark.parametrize("text", ['a"b', "a\\", "\\n", "a\nb", '\\"', ',url="x"', "} 5", "ünï", ""])
def test_rows_are_read_as_they_were_written(text: str) -> None:
    rows = [LinkClicks(text, text, "0", 7), LinkClicks("s", text, "", 0)]

    assert list(read_links(b"".join(lines_of(an_id(), rows)))) == rows
