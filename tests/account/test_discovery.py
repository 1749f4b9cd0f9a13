"""Who is polled without being configured, list by list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.account.discovery import Discovery, DiscoveryRules
from exporter.domain import AutomationList, DiscoveryMode, Standing, Statistics
from tests.factories import an_id

pytestmark = pytest.mark.unit


def a_list(*numbers, whole=True, of_account=True):
    return AutomationList({an_id(number): Statistics() for number in numbers}, whole, of_account, 1)


def a_discovery(**rules):
    return Discovery(DiscoveryRules(**{"mode": DiscoveryMode.POLL, **rules}))


def ids(*numbers):
    return tuple(an_id(number) for number in numbers)


def test_whatever_the_list_has_is_polled_in_its_order():
    discovery = a_discovery()

    news = discovery.learn(a_list(3, 1))
    assert (news.came, news.went) == (ids(3, 1), ())
    assert discovery.found == ids(3, 1)

    assert discovery.learn(a_list(2, 3, 1)).came == ids(2)
    assert discovery.found == ids(3, 1, 2)


def test_one_leaves_after_three_whole_lists_in_a_row_without_it():
    discovery = a_discovery()
    discovery.learn(a_list(1, 2))

    seen = [discovery.learn(a_list(1)).went for _ in range(3)]

    assert seen == [(), (), ids(2)]
    assert discovery.found == ids(1)


def test_one_that_is_back_in_time_has_missed_nothing():
    discovery = a_discovery(forget_after=2)
    discovery.learn(a_list(1, 2))

    for _ in range(5):
        discovery.learn(a_list(1))
        assert discovery.learn(a_list(1, 2)).came == ()
    assert discovery.found == ids(1, 2)


@pytest.mark.parametrize("flaw", [{"whole": False}, {"of_account": False}])
def test_a_list_that_proves_nothing_lets_nobody_leave_but_brings_who_is_in_it(flaw):
    discovery = a_discovery(forget_after=1)
    discovery.learn(a_list(1, 2))

    news = [discovery.learn(a_list(3, **flaw)) for _ in range(5)]

    assert discovery.found == ids(1, 2, 3)
    assert [each.went for each in news] == [()] * 5


def test_entries_of_the_configuration_win_and_excluded_ones_are_not_polled():
    discovery = a_discovery(configured=frozenset({an_id(1), an_id(2)}), exclude=("0000000[23]-*",))

    discovery.learn(a_list(1, 2, 3, 4))

    assert discovery.found == ids(4)
    assert discovery.standings(()) == {
        an_id(1): Standing.POLLED,
        an_id(2): Standing.POLLED,
        an_id(3): Standing.EXCLUDED,
        an_id(4): Standing.POLLED,
    }


def test_ids_have_no_case():
    discovery = a_discovery(configured=frozenset({"0000000a-1111-4111-8111-111111111111"}), exclude=("0000000B-*",))

    discovery.learn(AutomationList({an_id(10).upper(): Statistics(), an_id(11).upper(): Statistics()}, True, True, 1))

    assert discovery.found == ()
    assert discovery.standings([an_id(10)])[an_id(10).upper()] is Standing.IDLE


def test_beyond_the_cap_those_polled_already_stay_and_others_wait_for_room():
    discovery = a_discovery(max_automations=3, configured=frozenset({an_id(9)}))
    discovery.learn(a_list(1, 2))

    discovery.learn(a_list(7, 8, 1, 2, 9))
    assert discovery.found == ids(1, 2)
    assert list(discovery.standings(()).values()).count(Standing.OVER_CAP) == 2

    for _ in range(3):
        discovery.learn(a_list(7, 8, 2, 9))
    assert discovery.found == ids(2, 7)


def test_a_lower_cap_takes_nobody_away():
    discovery = a_discovery()
    discovery.learn(a_list(1, 2, 3))

    discovery.configure(DiscoveryRules(DiscoveryMode.POLL, max_automations=1))
    discovery.learn(a_list(1, 2, 3, 4))

    assert discovery.found == ids(1, 2, 3)


def test_report_polls_nobody_and_says_whom_nobody_polls():
    discovery = a_discovery(mode=DiscoveryMode.REPORT, configured=frozenset({an_id(1)}))

    news = discovery.learn(a_list(1, 2))

    assert news.came == ids(1, 2)
    assert discovery.found == ()
    assert discovery.standings([an_id(1)]) == {an_id(1): Standing.IDLE, an_id(2): Standing.UNWATCHED}


def test_each_shard_takes_its_own_of_the_list():
    shards = [a_discovery(owns=lambda id_, own=own: int(id_[:8], 16) % 2 == own) for own in (0, 1)]

    for shard in shards:
        shard.learn(a_list(1, 2, 3, 4))

    assert [shard.found for shard in shards] == [ids(2, 4), ids(1, 3)]


def test_other_rules_hold_at_once():
    discovery = a_discovery()
    discovery.learn(a_list(1, 2, 3))

    discovery.configure(DiscoveryRules(DiscoveryMode.POLL, ("00000001-*",), configured=frozenset({an_id(2)})))
    assert discovery.found == ids(3)

    discovery.configure(DiscoveryRules(DiscoveryMode.REPORT))
    assert discovery.found == ()

    discovery.configure(DiscoveryRules(DiscoveryMode.POLL))
    assert discovery.found == ids(1, 2, 3)

    discovery.configure(DiscoveryRules(DiscoveryMode.OFF))
    assert discovery.standings(()) == {}


def test_what_an_earlier_run_remembered_is_polled_before_any_list_and_goes_on_counting():
    before = a_discovery(max_automations=2)
    before.learn(a_list(1, 2))
    before.learn(a_list(3, 2))
    after = a_discovery(max_automations=2)

    after.restore(before.remembered())
    assert set(after.found) == set(ids(1, 2))

    assert after.learn(a_list(2, 3)).went == ()
    assert after.learn(a_list(2, 3)).went == ids(1)
    assert set(after.found) == set(ids(2, 3))


@given(st.lists(st.tuples(st.sets(st.integers(1, 6)), st.booleans()), max_size=12), st.integers(1, 4))
def test_nobody_leaves_before_the_last_of_the_whole_lists_in_a_row_and_everybody_then(lists, forget_after):
    discovery = a_discovery(forget_after=forget_after)
    missed = {}
    for numbers, whole in lists:
        discovery.learn(a_list(*numbers, whole=whole))
        missed |= dict.fromkeys(numbers, 0)
        if whole:
            missed |= {number: times + 1 for number, times in missed.items() if number not in numbers}
        missed = {number: times for number, times in missed.items() if times < forget_after}

        assert set(discovery.found) == set(ids(*missed))
