import uuid
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.account.discovery import own, shard_of
from exporter.domain import AutomationId
from tests.factories import an_automation

pytestmark = pytest.mark.unit

NUMBERS = Random(1)  # the same ids at every run
PLACEMENT = [1, 1, 4, 2, 0, 5, 5, 4, 5, 5]
IDS = [AutomationId(str(uuid.UUID(int=NUMBERS.getrandbits(128)))) for _ in range(4000)]


@pytest.mark.parametrize("total", range(1, 17))
def test_shards_together_hold_every_automation_once(total):
    automations = [an_automation(number) for number in range(100)]

    held = [each for index in range(total) for each in own(automations, index=index, total=total)]

    assert sorted(held, key=lambda each: each.id) == automations


@pytest.mark.parametrize("total", range(2, 17))
def test_one_shard_more_takes_its_part_and_moves_nothing_between_the_others(total):
    moved = [id_ for id_ in IDS if shard_of(id_, total) != shard_of(id_, total - 1)]

    assert {shard_of(id_, total) for id_ in moved} == {total - 1}
    assert len(moved) / len(IDS) == pytest.approx(1 / total, rel=0.25)


@pytest.mark.parametrize("total", [2, 5, 16])
def test_shards_are_of_about_equal_size(total):
    sizes = Counter(shard_of(id_, total) for id_ in IDS)

    assert min(sizes.values()) > 0.7 * len(IDS) / total
    assert max(sizes.values()) < 1.3 * len(IDS) / total


def test_placement_is_a_promise_to_running_shards():
    """A change of it would move the automations of everybody who updates."""
    assert [shard_of(AutomationId(f"{n:08x}-0000-4000-8000-000000000000"), 7) for n in range(10)] == PLACEMENT


@given(st.uuids(), st.integers(1, 16))
def test_letter_case_of_an_id_does_not_matter(uuid_, total):
    text = str(uuid_)

    assert 0 <= shard_of(AutomationId(text), total) < total
    assert shard_of(AutomationId(text), total) == shard_of(AutomationId(text.upper()), total)
