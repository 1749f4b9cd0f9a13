import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.exposition import text_chunks
from exporter.store import Store
from tests.factories import a_block, a_link, an_automation, an_id

pytestmark = pytest.mark.unit

ID = an_id()


def a_store(*numbers: int) -> Store:
    store = Store()
    store.configure([an_automation(number) for number in numbers or (1,)])
    return store


def view_of(store: Store, number: int = 1):
    return next(view for view in store.snapshot.views() if view.id == an_id(number))


def text_of(store: Store) -> str:
    return "".join(b"".join(text_chunks(run)).decode() for run in store.snapshot.lines.values())


def publish(store: Store, number: int = 1, *, clicks: int = 7, expires: float = 100.0, **changes) -> None:
    block = a_block(a_link(clicks=clicks), automation_id=an_id(number))
    store.publish(an_id(number), block, last_success=1.0, expires=expires, **changes)


def test_new_automation_has_no_data_and_no_zero():
    store = a_store()

    assert (view_of(store).block, view_of(store).up, view_of(store).last_success) == (None, None, None)
    assert "clicks{" not in text_of(store).replace("decreased", "")


def test_published_block_is_shown():
    store = a_store(1, 2)

    publish(store)

    assert view_of(store).up
    assert view_of(store, 2).up is None
    assert store.snapshot.block(ID) == view_of(store).block
    assert store.snapshot.link_series == 1


def test_failure_keeps_the_last_good_block_and_its_time():
    store = a_store()
    publish(store)

    store.failed(ID)

    assert (view_of(store).up, view_of(store).last_success) == (False, 1.0)
    assert view_of(store).block is not None


def test_restored_block_says_nothing_of_up():
    store = a_store()

    store.restore(ID, a_block(), last_success=3.0, expires=10.0)

    assert (view_of(store).up, view_of(store).last_success) == (None, 3.0)
    assert store.expire(10.0) == math.inf
    assert view_of(store).block is None


def test_stale_block_disappears_at_its_moment_and_the_rest_stays():
    store = a_store()
    publish(store, expires=100.0)

    assert store.expire(99.9) == 100.0
    assert view_of(store).block is not None
    assert store.expire(100.0) == math.inf
    assert "automation_link_clicks{" not in text_of(store)
    assert "automation_total_clicks{" not in text_of(store)
    assert "automation_info{" in text_of(store)
    assert view_of(store).last_success == 1.0


def test_rhythm_that_changes_postpones_only_what_is_shown():
    store = a_store(1, 2)
    publish(store, expires=100.0)

    store.postpone({an_id(1): 200.0, an_id(2): 200.0, an_id(3): 200.0})

    assert store.expire(150.0) == 200.0
    assert view_of(store).block is not None


def test_automation_that_left_disappears_at_once_and_its_late_poll_publishes_nothing():
    store = a_store(1, 2)
    publish(store)

    store.configure([an_automation(2)])
    publish(store)
    store.failed(ID)
    store.restore(ID, a_block(), last_success=3.0, expires=10.0)
    store.keep_intervals({ID: 5.0})

    assert ID not in text_of(store)
    assert store.snapshot.block(ID) is None
    assert store.expire(0.0) == math.inf


def test_known_automation_keeps_its_data_over_a_new_configuration_and_takes_its_new_name():
    store = a_store(1, 2)
    publish(store, decreased=True)

    store.configure([an_automation(3), an_automation(1, name="New", interval=60.0)])

    assert view_of(store).name == "New"
    assert view_of(store).poll_interval == 60.0
    assert view_of(store).decreased == 1
    assert view_of(store).block is not None
    assert [view.id for view in store.snapshot.views()] == [an_id(3), an_id(1)]


def test_address_of_a_page_follows_the_configuration_and_keeps_the_data():
    store = a_store(1, 2)
    publish(store)

    store.configure([an_automation(1)], "https://a.example/{automation_id}")

    assert f'automation_page_info{{automation_id="{ID}",url="https://a.example/{ID}"}} 1' in text_of(store)
    assert view_of(store).block is not None

    store.configure([an_automation(1)])

    assert view_of(store).page == ""


def test_history_of_totals_ends_where_the_automation_is_asked_another_question():
    store = a_store(1)
    publish(store)
    assert len(view_of(store).history.totals) == 1

    store.withdraw([ID])

    assert len(view_of(store).history.totals) == 0


def test_restored_block_begins_the_history_at_its_true_time():
    store = a_store(1)

    store.restore(ID, a_block(total=5), last_success=100.0, expires=9e9)

    assert view_of(store).history.gained(7, 100.0 + 86400.0) == 2


def test_falls_are_counted():
    store = a_store()

    publish(store)
    publish(store, decreased=True)
    publish(store, decreased=True)

    assert view_of(store).decreased == 2


def test_intervals_are_shown():
    store = a_store(1, 2)

    store.keep_intervals({an_id(2): 600.0, an_id(9): 1.0})

    assert [view.poll_interval for view in store.snapshot.views()] == [300.0, 600.0]


def test_snapshot_in_a_readers_hand_never_changes():
    store = a_store(1, 2)
    publish(store)
    before = store.snapshot
    views = list(before.views())

    publish(store, clicks=8)
    store.configure([])

    assert list(before.views()) == views


def test_change_that_changes_nothing_makes_no_new_snapshot():
    store = a_store()
    snapshot = store.snapshot

    store.expire(5.0)
    store.keep_intervals({})

    assert store.snapshot is snapshot


def test_family_that_did_not_change_is_not_put_together_again():
    store = a_store(*range(1, 101))
    publish(store, 50)
    before = store.snapshot.lines

    publish(store, 50, expires=200.0)

    assert all(run is before[name] for name, run in store.snapshot.lines.items())


def test_scrape_shows_every_change_since_the_one_before():
    store, fresh = a_store(*range(1, 101)), a_store(*range(1, 101))
    publish(store, 1, clicks=1)
    text_of(store)

    for number in (1, 50, 100):
        publish(store, number, clicks=2)
        publish(fresh, number, clicks=2)

    assert text_of(store) == text_of(fresh)


@given(st.lists(st.integers(1, 200), unique=True, max_size=200))
@settings(max_examples=20, deadline=None)
def test_any_number_of_automations_stands_in_the_order_of_the_configuration(numbers):
    store = Store()
    store.configure([an_automation(number) for number in numbers])

    assert [view.id for view in store.snapshot.views()] == [an_id(number) for number in numbers]
    assert text_of(store).count("automation_info{") == len(numbers)


class StoreMachine(RuleBasedStateMachine):
    """Polls, failures, reloads and time in any order, against a model of plain dictionaries."""

    numbers = st.integers(1, 40)

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.now = 0.0
        self.clicks: dict[int, tuple[int, float]] = {}
        self.up: dict[int, bool | None] = {}

    @rule(numbers=st.sets(numbers, max_size=40))
    def configure(self, numbers):
        self.store.configure([an_automation(number) for number in sorted(numbers)])
        self.up = {number: self.up.get(number) for number in numbers}
        self.clicks = {number: known for number, known in self.clicks.items() if number in numbers}

    @rule(number=numbers, clicks=st.integers(0, 9), life=st.floats(1.0, 100.0))
    def publish(self, number, clicks, life):
        publish(self.store, number, clicks=clicks, expires=self.now + life)
        if number in self.up:
            self.clicks[number] = clicks, self.now + life
            self.up[number] = True

    @rule(number=numbers)
    def fail(self, number):
        self.store.failed(an_id(number))
        if number in self.up:
            self.up[number] = False

    @rule(seconds=st.floats(0.0, 60.0))
    def pass_time(self, seconds):
        self.now += seconds
        self.clicks = {number: known for number, known in self.clicks.items() if known[1] > self.now}
        assert self.store.expire(self.now) == min((at for _, at in self.clicks.values()), default=math.inf)

    @invariant()
    def snapshot_is_what_the_rules_say(self):
        views = self.store.snapshot.views()
        assert {view.id: view.up for view in views} == {an_id(number): up for number, up in self.up.items()}
        shown = {view.id: view.block.total_clicks for view in views if view.block}
        assert shown == {an_id(number): clicks for number, (clicks, _) in self.clicks.items()}
        text = text_of(self.store)
        assert text.count("automation_link_clicks{") == len(shown) == self.store.snapshot.link_series
        assert all(
            f'automation_total_clicks{{automation_id="{id_}"}} {clicks}\n' in text for id_, clicks in shown.items()
        )


StoreMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
