import itertools

import pytest

from sendgrid_simulator import (
    BUSY_HOUR,
    EPOCH,
    Automation,
    Change,
    Link,
    ManualClock,
    Order,
    Row,
    Simulator,
    demo_automations,
    fixed,
    generated_automation,
    generated_automations,
)
from sendgrid_simulator.model import ALL_STEPS

pytestmark = pytest.mark.unit

DAY = 86_400.0
ID = "11111111-1111-4111-8111-111111111111"


def simulator_of(*automations, now=EPOCH + 30 * DAY, **options):
    clock = ManualClock(now)
    return Simulator(automations, clock=clock, wall=ManualClock(now), **options), clock


def test_two_runs_of_one_seed_agree_whatever_they_were_asked_before():
    moments = [EPOCH + hours * 3_600.0 for hours in (500, 20, 800, 801, 20.5)]

    def answers_of(seed, order):
        simulator, clock = simulator_of(*generated_automations(seed, 3, 40), seed=seed)
        answers = {}
        for moment in order:
            clock.set(moment)
            answers[moment] = [simulator.links(automation.id) for automation in simulator.automations]
        return simulator.api_key, answers

    assert answers_of(7, moments) == answers_of(7, sorted(moments))
    assert answers_of(7, moments) != answers_of(8, moments)


def test_rows_only_grow_and_keep_their_places():
    simulator, clock = simulator_of(generated_automation(1, "Welcome series", 60, clicks_per_day=300), now=EPOCH)
    automation_id = simulator.automations[0].id
    before = ()
    for _ in range(300):
        clock.advance(1_700)
        rows, total = simulator.links(automation_id)
        assert total == sum(row.clicks for row in rows)
        for old, new in zip(before, rows, strict=False):
            assert old[:3] == new[:3]
            assert old.clicks <= new.clicks
        assert len(before) <= len(rows)
        before = rows
    assert len(before) > 30


def test_links_are_listed_from_their_first_click():
    simulator, clock = simulator_of(generated_automation(1, "Slow", 20, clicks_per_day=20), now=EPOCH)
    automation_id = simulator.automations[0].id
    lengths = []
    for _ in range(40):
        lengths.append(len(simulator.links(automation_id)[0]))
        clock.advance(DAY / 8)
    assert lengths[0] == 0
    assert 0 < lengths[10] < 20
    assert all(row.clicks >= 1 for row in simulator.links(automation_id)[0])


def test_what_is_kept_until_the_next_click_is_what_a_fresh_run_works_out():
    automation = generated_automation(3, "Busy", 12, clicks_per_day=50_000)
    kept, clock = simulator_of(automation, now=EPOCH + DAY)
    for _ in range(400):
        clock.advance(0.37)
        fresh, _ = simulator_of(automation, now=clock.time())
        assert kept.links(automation.id) == fresh.links(automation.id)


def test_clicks_follow_the_week():
    automation = generated_automation(1, "Rhythm", 10, clicks_per_day=5_000)
    simulator, clock = simulator_of(automation, now=EPOCH)
    days = []
    for _ in range(14):
        before = simulator.links(automation.id)[1]
        clock.advance(DAY)
        days.append(simulator.links(automation.id)[1] - before)
    assert sum(days) == pytest.approx(14 * 5_000, rel=0.05)
    assert days[1] > 2 * days[6]


@pytest.mark.parametrize(("order", "steady"), [(Order.FIRST_CLICK, True), (Order.PLACE, False), (Order.CLICKS, False)])
def test_rows_move_only_in_orders_that_say_so(order, steady):
    automation = generated_automation(1, "Moving", 30, clicks_per_day=200)
    simulator, clock = simulator_of(automation, now=EPOCH, order=order)
    seen = []
    for _ in range(100):
        clock.advance(1_800)
        seen.append([row[:3] for row in simulator.links(automation.id)[0]])
    moved = any(new[: len(old)] != old for old, new in itertools.pairwise(seen))
    assert moved is not steady


def test_a_dead_link_stops_and_the_others_go_on():
    automation = generated_automation(1, "Dying", 10, clicks_per_day=1_000)
    simulator, clock = simulator_of(automation, now=EPOCH + DAY)
    dead = automation.links[1].url
    simulator.slow(automation.id, 0.0, url=dead, at=clock.time())
    before = simulator.links(automation.id)[0]
    clock.advance(3 * DAY)
    after = {row[:3]: row.clicks for row in simulator.links(automation.id)[0]}
    for row in before:
        assert (after[row[:3]] == row.clicks) is (row.url == dead)


def test_a_stopped_automation_stays_as_it_is_and_can_be_woken():
    automation = generated_automation(1, "Stopped", 5, clicks_per_day=1_000)
    simulator, clock = simulator_of(automation)
    simulator.slow(automation.id, 0.0)
    before = simulator.links(automation.id)
    clock.advance(DAY)
    assert simulator.links(automation.id) == before
    simulator.slow(automation.id, 1.0)
    clock.advance(DAY)
    assert simulator.links(automation.id)[1] == pytest.approx(before[1] + 1_000, rel=0.5)


def test_a_change_of_nothing_is_an_error():
    automation = generated_automation(1, "Typo", 5)
    with pytest.raises(LookupError, match="no link of step None and URL https://typo"):
        automation.changed(Change(EPOCH, 0.0), url="https://typo")


def test_a_change_can_be_of_one_step():
    automation = generated_automation(1, "Steps", 24)
    changed = automation.changed(Change(EPOCH, 0.0), step_id=automation.step_ids[1])
    assert [bool(link.changes) for link in changed.links] == [False] * 12 + [True] * 12


def test_a_link_without_clicks_is_never_listed():
    simulator, _ = simulator_of(Automation(ID, "Mute", (Link(ID, "https://example.com/", 0, 0.0),)))
    assert simulator.links(ID) == ((), 0)


def test_generated_links_hold_what_the_api_is_known_for():
    automation = generated_automation(1, "Everything", 240)
    keys = [(link.step_id, link.url, link.url_location) for link in automation.links]
    assert len(set(keys)) < len(keys)
    assert any(link.url_location is None for link in automation.links)
    assert any("{{" in link.url for link in automation.links)
    assert any(not link.url.isascii() for link in automation.links)
    assert len({link.url for link in automation.links}) < len(automation.links) - 10
    assert len(automation.step_ids) == 20


def test_generated_automations_have_their_own_names_and_ids():
    automations = list(generated_automations(1, 25, 2))
    assert len({automation.id for automation in automations}) == 25
    assert len({automation.name for automation in automations}) == 25
    assert automations[0].name == "Welcome series"
    assert automations[10].name == "Welcome series 2"


def test_demo_has_three_automations_and_a_click_in_a_few_seconds():
    simulator, clock = simulator_of(*demo_automations(), now=BUSY_HOUR)
    totals = [simulator.links(automation.id)[1] for automation in simulator.automations]
    clock.advance(10)
    later = [simulator.links(automation.id)[1] for automation in simulator.automations]
    assert len(simulator.automations) == 3
    assert sum(later) > sum(totals) > 100_000
    assert max(len(simulator.links(automation.id)[0]) for automation in simulator.automations) > 50


def test_fixed_automation_says_what_it_was_given_and_then_other_rows():
    rows = (Row("s", 'https://example.com/"\\\n', None, 3), Row("s", 'https://example.com/"\\\n', None, 4))
    simulator, clock = simulator_of(fixed(ID, rows))
    clock.advance(DAY)
    assert simulator.links(ID) == (rows, 7)
    simulator.put_rows(ID, rows[:1])
    assert simulator.links(ID.upper()) == (rows[:1], 3)
    simulator.put_rows(ID, rows, total=99)
    assert simulator.links(ID) == (rows, 99)


def test_ungrouped_rows_are_summed_over_steps():
    rows = (Row("a", "u", 0, 1), Row("b", "u", 0, 2), Row("b", "u", None, 4))
    simulator, _ = simulator_of(fixed(ID, rows))
    assert simulator.links(ID, group_by=False) == ((Row(ALL_STEPS, "u", 0, 3), Row(ALL_STEPS, "u", None, 4)), 7)
    assert simulator.links(ID, step_ids=("b",)) == (rows[1:], 6)


def test_automations_come_go_and_are_renamed_while_running():
    simulator, _ = simulator_of(fixed(ID, (), name="before"))
    simulator.account.rename(ID, "after")
    assert [automation.name for automation in simulator.automations] == ["after"]
    simulator.account.remove(ID)
    assert simulator.automations == ()
    with pytest.raises(LookupError, match=ID):
        simulator.links(ID)
    simulator.account.put(generated_automation(1, "New", 3))
    assert [automation.name for automation in simulator.automations] == ["New"]


def test_fixed_and_generated_automations_are_not_taken_for_each_other():
    generated = generated_automation(1, "Generated", 3)
    simulator, _ = simulator_of(fixed(ID, ()), generated)
    with pytest.raises(TypeError, match="is fixed"):
        simulator.slow(ID, 0.0)
    with pytest.raises(LookupError, match="no fixed automation"):
        simulator.put_rows(generated.id, ())


def test_held_time_keeps_the_numbers():
    simulator, clock = simulator_of(generated_automation(1, "Held", 5, clicks_per_day=1e6))
    automation_id = simulator.automations[0].id
    with simulator.held():
        before = simulator.links(automation_id)
        clock.advance(600)
        assert simulator.links(automation_id) == before
    assert simulator.links(automation_id)[1] > before[1]
