"""The numbers in the panels are those that the simulator holds."""

from collections.abc import Mapping

import pytest

from tests.dashboards import boards, worlds
from tests.dashboards.expansion import Variable
from tests.dashboards.looking import World, look
from tools.pictures.sample.story import DAY, HOUR

START, END = worlds.END - worlds.RANGE, worlds.END
BY_PLACE = {target.where: target for target in boards.every_target()}
WATCHED = (worlds.WELCOME, worlds.CART)


def vector(world: World, where: str, *labels: str) -> Mapping[tuple[str, ...], float]:
    """Return the panel's values by these labels."""
    answer = world.answer(BY_PLACE[where])
    found = {tuple(one["metric"].get(label, "") for label in labels): float(one["value"][1]) for one in answer}
    assert len(found) == len(answer)
    return found


def number(world: World, where: str) -> float:
    return vector(world, where)[()]


def narrow(world: World, automation_id: str) -> World:
    return world._replace(view=look(worlds.RANGE, automation=Variable(automation_id)))


def test_ranking_holds_the_clicks_of_the_range(usual: World):
    found = vector(usual, "sendgrid-automations / Automations by clicks / B", "automation_id")

    for automation_id in WATCHED:
        assert found[(automation_id,)] == worlds.clicks_between(usual.story, automation_id, START, END) > 0


def test_clicks_of_a_new_automation_count_from_its_first_reading(usual: World):
    found = vector(usual, "sendgrid-automations / Automations by clicks / B", "automation_id")
    born = END - 20 * HOUR
    step = usual.view.interval(BY_PLACE["sendgrid-automations / Automations by clicks / B"].panel)

    everything = worlds.clicks_between(usual.story, worlds.NEW, born, END)
    certain = worlds.clicks_between(usual.story, worlds.NEW, born + step + 300, END)
    assert certain <= found[(worlds.NEW,)] <= everything


def test_ranking_holds_the_totals_the_shares_and_the_change(usual: World):
    place = "sendgrid-automations / Automations by clicks /"
    totals, shares, change, clicks = (
        vector(usual, f"{place} {ref_id}", "automation_id") for ref_id in ("E", "C", "D", "B")
    )

    week = 7 * DAY
    assert set(change) == {(automation_id,) for automation_id in WATCHED}
    for automation_id in WATCHED:
        one = (automation_id,)
        then = worlds.clicks_between(usual.story, automation_id, START - week, END - week)
        assert totals[one] == worlds.clicks_between(usual.story, automation_id, 0, END)
        assert shares[one] == pytest.approx(clicks[one] / sum(clicks.values()))
        assert change[one] == pytest.approx(clicks[one] / then - 1)


def test_glance_counts_automations_and_clicks(usual: World):
    clicks = vector(usual, "sendgrid-automations / Automations by clicks / B", "automation_id")
    now, then = (
        sum(worlds.clicks_between(usual.story, one, START - back, END - back) for one in WATCHED)
        for back in (0, 7 * DAY)
    )

    assert number(usual, "sendgrid-automations / Automations / A") == 3
    assert number(usual, "sendgrid-automations / Clicks / A") == sum(clicks.values())
    assert number(usual, "sendgrid-automations / Vs last week / A") == pytest.approx(now / then - 1)
    assert number(usual, "sendgrid-automations / Stale data / A") == 0
    assert number(usual, "sendgrid-automations / Problems / A") == 0


def test_names_stand_beside_ids(usual: World):
    found = vector(usual, "sendgrid-automations / Automations by clicks / A", "automation_id", "name")

    there = [automation for automation in usual.story.automations if automation.id != worlds.LEFT]
    assert set(found) == {(automation.id, automation.name) for automation in there}


def test_links_count_from_nothing_when_born_within_the_range(usual: World):
    truth = worlds.rows_between(usual.story, worlds.WELCOME, START, END)
    found = vector(usual, "sendgrid-automation / Top links / B", "step_id", "url", "url_location")

    assert found == {
        (row.step_id, row.url, "" if row.url_location is None else str(row.url_location)): clicks
        for row, clicks in truth.items()
    }
    (born,) = (clicks for row, clicks in truth.items() if row.url == worlds.BORN)
    (there,) = (row.clicks for row in truth if row.url == worlds.BORN)
    assert born == there > 100


def test_links_hold_shares_changes_and_totals(usual: World):
    cart = narrow(usual, worlds.CART)
    place = "sendgrid-automation / Top links /"
    shares, change, totals = (vector(cart, f"{place} {ref_id}", "url") for ref_id in ("C", "D", "E"))
    now = worlds.rows_between(usual.story, worlds.CART, START, END)
    week = 7 * DAY
    then = {
        row.url: clicks
        for row, clicks in worlds.rows_between(usual.story, worlds.CART, START - week, END - week).items()
    }

    for row, clicks in now.items():
        assert shares[(row.url,)] == pytest.approx(clicks / sum(now.values()))
        assert change[(row.url,)] == pytest.approx(clicks / then[row.url] - 1)
        assert totals[(row.url,)] == row.clicks


def test_rest_row_counts_for_its_step_and_is_no_top_link(usual: World):
    steps = vector(usual, "sendgrid-automation / Steps / A", "step_id")
    truth = worlds.rows_between(usual.story, worlds.WELCOME, START, END)
    own = {step: sum(clicks for row, clicks in truth.items() if row.step_id == step) for step in worlds.STEPS[:2]}

    assert steps[(worlds.STEPS[1],)] == own[worlds.STEPS[1]]
    assert steps[(worlds.STEPS[0],)] == own[worlds.STEPS[0]] + 1_000_000
    assert not any("__other__" in key for key in vector(usual, "sendgrid-automation / Top links / B", "url", "step_id"))


def test_funnel_and_positions_hold_the_clicks(usual: World):
    cart = narrow(usual, worlds.CART)
    truth = worlds.rows_between(usual.story, worlds.CART, START, END)

    assert vector(cart, "sendgrid-automation / Clicks per step / A", "step") == {("33333333",): sum(truth.values())}
    assert vector(cart, "sendgrid-automation / Clicks by position in the message / A", "position") == {
        (f"{row.url_location:02d}",): clicks for row, clicks in truth.items()
    }


def test_positions_sort_by_number_and_leave_out_what_has_none(usual: World):
    found = vector(usual, "sendgrid-automation / Clicks by position in the message / A", "position")

    assert sorted(found) == [("00",), ("02",), ("03",), ("10",)]


def test_one_automation_shows_its_name_totals_and_clicks(usual: World):
    cart = narrow(usual, worlds.CART)
    place = "sendgrid-automation /"

    assert set(vector(cart, f"{place} Automation / A", "name")) == {("Abandoned cart",)}
    assert number(cart, f"{place} Total clicks / A") == worlds.clicks_between(usual.story, worlds.CART, 0, END)
    assert number(cart, f"{place} Clicks / A") == worlds.clicks_between(usual.story, worlds.CART, START, END)
    assert number(cart, f"{place} Dead links / A") == 0
    assert 0 <= number(cart, f"{place} Data age / A") < 300
    assert number(cart, f"{place} Data / A") == 0


def test_clicks_per_hour_are_those_of_the_hour_before(usual: World):
    cart = narrow(usual, worlds.CART)
    (now,) = cart.answer(BY_PLACE["sendgrid-automation / Clicks per hour / A"])

    for moment, value in now["values"][::10]:
        since = float(moment) // 300 * 300
        assert float(value) == worlds.clicks_between(usual.story, worlds.CART, since - HOUR, since)


def test_dead_link_is_named_with_what_it_had_and_when_it_was_last_clicked(eventful: World):
    before = vector(eventful, "sendgrid-automation / Which links are dead / A", "url")
    last = vector(eventful, "sendgrid-automation / Which links are dead / B", "url")

    assert number(eventful, "sendgrid-automation / Dead links / A") == 1
    truth = worlds.rows_between(eventful.story, worlds.WELCOME, END - 8 * DAY, END - DAY)
    (clicks,) = (clicks for row, clicks in truth.items() if row.url == worlds.DEAD)
    assert before == {(worlds.DEAD,): pytest.approx(clicks / 7)}
    assert last == {(worlds.DEAD,): (END - 36 * HOUR) * 1000}


def test_exporter_counts_what_it_polled(usual: World):
    place = "sendgrid-exporter /"
    there = [automation.id for automation in usual.story.automations if automation.id != worlds.LEFT]
    links = sum(len(worlds.rows_between(usual.story, one, 0, END)) for one in there)

    assert set(vector(usual, f"{place} Version / A", "name")) == {("0.2.0",)}
    assert number(usual, f"{place} Exporters up / A") == 1
    assert number(usual, f"{place} Last poll / A") == 1
    assert number(usual, f"{place} Link series / A") == links
    assert number(usual, f"{place} Last reload / A") == 1
    assert 0.9 < number(usual, f"{place} Budget left / A") < 1


def test_second_instance_and_a_new_name_double_nothing(eventful: World):
    clicks = worlds.clicks_between(eventful.story, worlds.WELCOME, START, END)
    names = vector(eventful, "sendgrid-automations / Automations by clicks / A", "automation_id", "name")

    assert number(eventful, "sendgrid-automations / Automations / A") == 1
    assert number(eventful, "sendgrid-automations / Clicks / A") == clicks
    assert number(eventful, "sendgrid-automation / Clicks / A") == clicks
    assert number(eventful, "sendgrid-exporter / Exporters up / A") == 2
    assert len(names) == 1


def test_alert_of_an_automation_that_left_the_configuration_is_shown_by_name(gone: World):
    (row,) = [
        one
        for one in gone.answer(BY_PLACE["sendgrid-automations / What is wrong now / A"])
        if one["metric"]["alertname"] == "SendGridAutomationClicksDropped"
    ]

    assert (row["metric"]["automation_id"], row["metric"]["name"]) == (worlds.WELCOME, "Welcome")
    assert row["value"][1] == "NaN", "nobody says since when"


def test_exporter_that_is_down_counts_as_none_and_shows_no_numbers_as_live(gone: World):
    assert number(gone, "sendgrid-exporter / Exporters up / A") == 0
    assert not gone.answer(BY_PLACE["sendgrid-automations / Clicks / A"])
    assert not gone.answer(BY_PLACE["sendgrid-automations / Oldest data / A"])
    assert number(gone, "sendgrid-automations / Problems / A") == 1


def test_alerts_are_counted_where_they_belong(eventful: World):
    assert number(eventful, "sendgrid-automations / Problems / A") == 2
    assert number(eventful, "sendgrid-automations / Exporter / A") == 1
    assert number(eventful, "sendgrid-exporter / Alerts / A") == 1


def test_link_that_an_alert_reports_is_dead_in_the_list_of_links(eventful: World):
    states = vector(eventful, "sendgrid-automation / Top links / G", "url")

    assert states == {(f"{worlds.SHOP}/",): 0, (worlds.DEAD,): 1}


def test_link_that_the_rules_do_not_call_dead_is_not_dead(eventful: World):
    others = eventful._replace(view=look(worlds.RANGE, url=Variable(f"{worlds.SHOP}/", all_value=".*")))

    assert not others.answer(BY_PLACE["sendgrid-automation / Which links are dead / A"])


def stats_between(world: World, automation_id: str, stat: str, start: float, end: float) -> Mapping[str, int]:
    """Return a count of the automation's statistics by step, as the simulator holds it."""
    source = world.story.simulator.account.source(automation_id)
    assert source
    before = source.stats(start) if source.known(start) else {}
    return {
        step: getattr(now, stat) - (getattr(before[step], stat) if step in before else 0)
        for step, now in source.stats(end).items()
    }


def test_mails_and_rates_are_those_of_the_range(usual: World):
    place = "sendgrid-automations / Mails by automation /"
    mails, change, clicked, before, left = (vector(usual, f"{place} {ref_id}", "automation_id") for ref_id in "ABCDE")
    read, week = END // 900 * 900, 7 * DAY
    first = START // 900 * 900

    for one in WATCHED:
        delivered, clicks, unsubscribed = (
            sum(stats_between(usual, one, stat, first, read).values())
            for stat in ("delivered", "unique_clicks", "unsubscribes")
        )
        then = sum(stats_between(usual, one, "delivered", first - week, read - week).values())
        clicks_then = sum(stats_between(usual, one, "unique_clicks", first - week, read - week).values())
        assert mails[(one,)] == delivered > 0
        assert change[(one,)] == pytest.approx(delivered / then - 1)
        assert clicked[(one,)] == pytest.approx(clicks / delivered)
        assert before[(one,)] == pytest.approx(clicks_then / then)
        assert left[(one,)] == pytest.approx(unsubscribed / delivered)


def test_mails_by_step_name_the_step(usual: World):
    mails = vector(usual, "sendgrid-automation / Mails by step / A", "step_id", "step")
    truth = stats_between(usual, worlds.WELCOME, "delivered", START // 900 * 900, END // 900 * 900)

    names = {worlds.STEPS[0]: worlds.FIRST_STEP, worlds.STEPS[1]: "22222222"}
    assert mails == {(step, names[step]): count for step, count in truth.items()}


def test_account_shows_what_is_new_gone_and_watched_by_nobody(usual: World):
    changes = vector(usual, "sendgrid-automations / What changed in the account / A", "change", "automation_id", "name")

    assert {key: value == pytest.approx(since[key[0]], abs=1_200_000) for key, value in changes.items()} == {
        ("new", worlds.NEW, "Brand new"): True,
        ("gone", worlds.LEFT, "Summer sale"): True,
        ("unwatched", worlds.COPY, worlds.COPY): True,
    }


since = {"new": (END - 20 * HOUR) * 1_000, "gone": worlds.LEFT_AT * 1_000, "unwatched": worlds.COPIED_AT * 1_000}


def test_link_that_was_replaced_has_changed_and_is_not_wrong(eventful: World):
    changes = vector(eventful, "sendgrid-automations / What changed in the account / A", "change", "url")

    assert set(changes) == {("replaced", f"{worlds.SHOP}/old")}


def test_reasons_of_an_alert_are_of_the_window_with_the_most_evidence(eventful: World):
    place = "sendgrid-automation / Clicks in the window, and what was expected /"
    had, expected = (eventful.answer(BY_PLACE[f"{place} {ref_id}"]) for ref_id in "AB")

    assert [(one["metric"]["window"], one["values"][-1][1]) for one in (*had, *expected)] == [
        ("24h", "200"), ("24h", "300"),
    ]  # fmt: skip


def test_reasons_name_the_link_with_evidence(eventful: World):
    place = "sendgrid-automation / Steps and links with evidence /"
    evidence, clicks, expected = (vector(eventful, f"{place} {ref_id}", "url", "window") for ref_id in "ABC")

    assert evidence == {(worlds.DEAD, "24h"): 12.5}
    assert clicks == {(worlds.DEAD, "24h"): 0}
    assert expected == {(worlds.DEAD, "24h"): 100}


def test_each_of_the_most_clicked_has_a_colour_of_its_own(usual: World):
    place = "sendgrid-automation / Clicks per hour by step /"

    assert [[one["metric"]["step"] for one in usual.answer(BY_PLACE[f"{place} {ref_id}"])] for ref_id in "ABC"] == [
        [worlds.FIRST_STEP], ["22222222"], [],
    ]  # fmt: skip
