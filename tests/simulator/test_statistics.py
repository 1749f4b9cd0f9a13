import itertools
import json
import math
from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

import pytest

from sendgrid_simulator import (
    BUSY_HOUR,
    EPOCH,
    Alteration,
    Automation,
    Endpoint,
    Fault,
    Link,
    ManualClock,
    Request,
    Row,
    Simulator,
    StatisticsAlteration,
    Stats,
    fixed,
    generated_automation,
    generated_automations,
)

pytestmark = pytest.mark.unit

DAY = 86_400.0
ID = "11111111-1111-4111-8111-111111111111"
STEPS = ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")
UNKNOWN = "99999999-9999-4999-8999-999999999999"
LIST = "/v3/marketing/stats/automations"
ROWS = tuple(Row(STEPS[number % 2], f"https://example.com/{number}", number, number + 1) for number in range(10))
LIFE = {"start_date": "2020-01-01", "end_date": "2030-01-01"}


class Client:
    """Asks a simulator without sockets."""

    def __init__(self, *automations, now=BUSY_HOUR, **options):
        self.clock = ManualClock(now)
        self.simulator = Simulator(automations, clock=self.clock, wall=self.clock, **options)
        self.headers = {
            "host": "api.test",
            "accept": "application/json",
            "authorization": f"Bearer {self.simulator.api_key}",
        }

    def send(self, path=LIST, **query):
        return self.simulator.answer(Request("GET", f"{path}?{urlencode(query)}", self.headers))

    def document(self, path=LIST, **query):
        response = self.send(path, **query)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def results(self, path=LIST, **query):
        """Return the rows of all pages."""
        rows = []
        while True:
            document = self.document(path, **query)
            rows += document["results"]
            if "next" not in document["_metadata"]:
                assert len(rows) == document["_metadata"]["count"]
                return rows
            following = urlsplit(document["_metadata"]["next"])
            assert following.path == path
            query = dict(parse_qsl(following.query))

    def ids(self, **query):
        return [row["id"] for row in self.results(**query)]

    def one(self, automation_id, **query):
        """Return one automation's rows over its life."""
        return self.results(f"{LIST}/{automation_id}", **{**LIFE, **query})


def stats_of(row):
    assert set(row["stats"]) == set(Stats._fields)
    return Stats(**row["stats"])


def header(response, name):
    return {key.lower(): text for key, text in response.headers}.get(name.lower())


def refused(response, status, field):
    assert response.status == status, response.body
    assert json.loads(response.body)["errors"][0]["field"] == field


@pytest.mark.parametrize("size", [1, 7, 25, 50])
def test_pages_make_the_whole_list_in_the_order_of_the_account(size):
    client = Client(*generated_automations(1, 60, 3))
    rows = client.results(page_size=size)
    assert [row["id"] for row in rows] == [automation.id for automation in client.simulator.automations]
    assert {(row["aggregation"], row["step_id"]) for row in rows} == {("total", "all")}
    for row, automation in zip(rows, client.simulator.automations, strict=True):
        assert stats_of(row) == client.simulator.statistics(automation.id)


def test_a_page_of_the_list_holds_25_unless_asked():
    client = Client(*generated_automations(1, 30, 1))
    assert len(client.document()["results"]) == 25


def test_the_list_can_be_of_chosen_ids():
    client = Client(*generated_automations(1, 60, 1))
    chosen = [automation.id for automation in client.simulator.automations][3:60:3]
    assert client.ids(automation_ids=",".join([*chosen, UNKNOWN]), page_size=7) == chosen
    assert client.ids(automation_ids=chosen[0].upper()) == chosen[:1]


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        (LIST, {"page_size": "51"}, "page_size"),
        (LIST, {"page_size": "0"}, "page_size"),
        (LIST, {"page_token": "forged"}, "page_token"),
        (LIST, {"automation_ids": ""}, "automation_ids"),
        (LIST, {"automation_ids": f"{ID},"}, "automation_ids"),
        (LIST, {"automation_ids": ",".join([ID] * 26)}, "automation_ids"),
        (f"{LIST}/newsletter", {}, "id"),
        (f"{LIST}/{ID}", {"page_size": "51"}, "page_size"),
        (f"{LIST}/{ID}", {"group_by": "day"}, "group_by"),
        (f"{LIST}/{ID}", {"step_ids": "x"}, "step_ids"),
        (f"{LIST}/{ID}", {"step_ids": f"{STEPS[0]},{STEPS[0]}"}, "step_ids"),
        (f"{LIST}/{ID}", {"aggregated_by": "week"}, "aggregated_by"),
        (f"{LIST}/{ID}", {"start_date": "2025-02-30"}, "start_date"),
        (f"{LIST}/{ID}", {"start_date": "20250228"}, "start_date"),
        (f"{LIST}/{ID}", {"end_date": "9999-12-31"}, "end_date"),
        (f"{LIST}/{ID}", {"start_date": "2025-02-02", "end_date": "2025-02-01"}, "end_date"),
        (f"{LIST}/{ID}", {"timezone": "Mars/Olympus"}, "timezone"),
        (f"{LIST}/{ID}", {"timezone": "Europe"}, "timezone"),
        (f"{LIST}/{ID}", {"timezone": "../../etc/passwd"}, "timezone"),
        (f"{LIST}/{ID}", {"timezone": ""}, "timezone"),
    ],
)
def test_a_parameter_out_of_bounds_is_refused_with_its_name(path, query, field):
    refused(Client(fixed(ID, ROWS)).send(path, **query), 400, field)


def test_counts_agree_with_each_other_at_every_moment_and_never_fall():
    client = Client(generated_automation(1, "Consistent", 30, clicks_per_day=300), now=EPOCH)
    automation_id = client.simulator.automations[0].id
    before = {}
    for _ in range(200):
        client.clock.advance(3_533)
        for step_id, now in client.simulator.step_statistics(automation_id).items():
            assert all(later >= earlier for later, earlier in zip(now, before.get(step_id, Stats()), strict=True))
            assert now.unique_opens <= now.opens
            assert now.unique_clicks <= now.clicks
            assert max(now.unique_opens, now.unique_clicks, now.unsubscribes, now.spam_reports) <= now.delivered
            undelivered = now.bounces + now.bounce_drops + now.invalid_emails + now.spam_report_drops
            assert now.requests == now.delivered + undelivered
            before[step_id] = now
    assert len(before) == 3
    assert all(min(stats[:6]) > 0 for stats in before.values())


def test_clicks_are_those_of_the_links():
    client = Client(generated_automation(1, "Alike", 30))
    automation_id = client.simulator.automations[0].id
    rows, total = client.simulator.links(automation_id)
    assert client.simulator.statistics(automation_id).clicks == total
    for step_id, stats in client.simulator.step_statistics(automation_id).items():
        assert stats.clicks == sum(row.clicks for row in rows if row.step_id == step_id)


def test_two_runs_agree_whatever_they_were_asked_before():
    def answers_of(moments):
        client = Client(*generated_automations(3, 2, 20))
        answers = {}
        for moment in moments:
            client.clock.set(moment)
            answers[moment] = client.results()
        return answers

    moments = [EPOCH + hours * 3_600 for hours in (500, 20, 800, 801, 20.5)]
    assert answers_of(moments) == answers_of(sorted(moments))


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_clicks_per_delivered_mail_are_as_configured(rate):
    client = Client(generated_automation(1, "Rate", 24, clicks_per_day=5_000, click_rate=rate))
    stats = client.simulator.statistics(client.simulator.automations[0].id)
    assert stats.clicks / stats.delivered == pytest.approx(rate, rel=0.03)


def test_generated_click_rates_are_two_to_five_in_a_hundred():
    rates = [automation.click_rate for automation in generated_automations(1, 200, 1)]
    assert 0.02 <= min(rates) < 0.025
    assert 0.045 < max(rates) <= 0.05


def test_mails_follow_the_rhythm_of_clicks():
    client = Client(generated_automation(1, "Rhythm", 12, clicks_per_day=2_000), now=EPOCH)
    automation_id = client.simulator.automations[0].id
    days = []
    for _ in range(7):
        before = client.simulator.statistics(automation_id)
        client.clock.advance(DAY)
        days.append(client.simulator.statistics(automation_id).since(before))
    for counts in ([day.delivered for day in days], [day.clicks for day in days], [day.opens for day in days]):
        assert counts[1] > 2 * counts[6]


def test_a_dead_link_takes_clicks_but_no_mails():
    client = Client(generated_automation(1, "Dead", 12, clicks_per_day=2_000))
    automation_id = client.simulator.automations[0].id
    client.simulator.slow(automation_id, 0.0)
    before = client.simulator.statistics(automation_id)
    client.clock.advance(DAY)
    added = client.simulator.statistics(automation_id).since(before)
    assert added.clicks == 0
    assert added.delivered > 10_000


def test_when_sending_stops_clicks_stop_too_and_both_come_back():
    client = Client(generated_automation(1, "Stopped", 24, clicks_per_day=2_000))
    automation_id = client.simulator.automations[0].id
    usual = client.simulator.statistics(automation_id)
    client.simulator.send(automation_id, 0.0)
    client.clock.advance(DAY)
    assert client.simulator.statistics(automation_id) == usual
    assert client.simulator.links(automation_id)[1] == usual.clicks
    client.simulator.send(automation_id, 1.0)
    client.clock.advance(DAY)
    added = client.simulator.statistics(automation_id).since(usual)
    assert added.delivered > 20_000
    assert added.clicks > 1_000


def test_one_step_can_stop_sending():
    automation = generated_automation(1, "Step", 24, clicks_per_day=2_000)
    client = Client(automation)
    first, second = automation.step_ids
    before = client.simulator.step_statistics(automation.id)
    client.simulator.send(automation.id, 0.0, step_id=first)
    client.clock.advance(DAY)
    after = client.simulator.step_statistics(automation.id)
    assert after[first] == before[first]
    assert after[second].delivered > before[second].delivered + 5_000
    with pytest.raises(LookupError, match="no step nowhere"):
        client.simulator.send(automation.id, 0.0, step_id="nowhere")


def test_the_pace_of_a_link_and_of_its_step_multiply():
    automation = generated_automation(1, "Both", 6, clicks_per_day=10_000)
    client = Client(automation)
    client.simulator.slow(automation.id, 0.5)
    client.simulator.send(automation.id, 3.0)
    before = client.simulator.statistics(automation.id)
    client.clock.advance(7 * DAY)
    added = client.simulator.statistics(automation.id).since(before)
    assert added.clicks == pytest.approx(7 * 10_000 * 1.5, rel=0.05)
    assert added.delivered == pytest.approx(7 * 10_000 / automation.click_rate * 3, rel=0.05)


@pytest.mark.parametrize("lag", [600.0, -600.0])
def test_statistics_can_lag_or_lead_the_links(lag):
    client = Client(generated_automation(1, "Lag", 12, clicks_per_day=50_000))
    automation_id = client.simulator.automations[0].id
    now = client.clock.time()
    client.clock.set(now - lag)
    expected = client.simulator.statistics(automation_id)
    client.clock.set(now)
    links = client.simulator.links(automation_id)[1]

    client.simulator.behave(statistics_lag=lag)

    (listed,) = client.results()
    (single,) = client.one(automation_id)
    assert stats_of(listed) == stats_of(single) == expected == client.simulator.statistics(automation_id)
    assert (expected.clicks < links) is (lag > 0)
    assert client.simulator.links(automation_id)[1] == links


def test_a_new_automation_can_be_listed_later_than_its_links_are_found():
    new = generated_automation(1, "New", 3, started=BUSY_HOUR + 60)
    client = Client(new)
    client.simulator.behave(statistics_lag=300)
    assert client.ids() == []
    client.clock.advance(120)
    assert client.send(f"{LIST}/{new.id}/links").status == 200
    assert client.ids() == []
    refused(client.send(f"{LIST}/{new.id}", **LIFE), 404, "id")
    client.clock.advance(300)
    assert client.ids() == [new.id]


def test_a_new_automation_can_be_listed_before_its_links_are_found():
    new = generated_automation(1, "New", 3, started=BUSY_HOUR + 60)
    client = Client(new)
    client.simulator.behave(statistics_lag=-300)
    assert client.ids() == [new.id]
    assert client.send(f"{LIST}/{new.id}/links").status == 404
    client.clock.advance(60)
    assert client.send(f"{LIST}/{new.id}/links").status == 200


def test_drafts_are_listed_where_asked_for_and_have_no_numbers():
    draft = generated_automation(1, "Draft", 13, started=math.inf)
    client = Client(draft, fixed(ID, ROWS))
    assert client.ids() == [ID]
    client.simulator.behave(list_drafts=True)
    rows = client.results()
    assert [row["id"] for row in rows] == [draft.id, ID]
    assert stats_of(rows[0]) == Stats()
    assert client.send(f"{LIST}/{draft.id}/links").status == 404
    client.simulator.warm()


def test_a_deleted_automation_is_gone_and_the_list_may_keep_its_last_numbers():
    automation = generated_automation(1, "Deleted", 12)
    client = Client(automation, fixed(ID, ROWS))
    last = client.simulator.statistics(automation.id)
    client.simulator.delete(automation.id)
    client.clock.advance(DAY)

    assert client.ids() == [ID]
    assert [each.id for each in client.simulator.automations] == [ID]
    assert client.send(f"{LIST}/{automation.id}/links").status == 404
    assert client.send(f"{LIST}/{automation.id}", **LIFE).status == 404
    client.simulator.behave(list_deleted=True)
    rows = client.results()
    assert [row["id"] for row in rows] == [automation.id, ID]
    assert stats_of(rows[0]) == last
    client.simulator.account.put(automation)
    assert client.send(f"{LIST}/{automation.id}/links").status == 200
    with pytest.raises(LookupError, match=UNKNOWN):
        client.simulator.delete(UNKNOWN)


def test_a_removed_automation_leaves_no_trace():
    client = Client(fixed(ID, ROWS), fixed(UNKNOWN, ROWS))
    client.simulator.behave(list_deleted=True)
    client.simulator.account.remove(ID)
    assert client.ids() == [UNKNOWN]


def test_an_edit_is_a_duplicate_with_new_ids_that_starts_from_zero_while_the_old_one_goes_quiet():
    old = generated_automation(1, "Edited", 24, clicks_per_day=5_000)
    client = Client(old)
    new = client.simulator.edit(old.id)
    before = client.simulator.statistics(old.id)
    assert new.name == old.name
    assert [link.url for link in new.links] == [link.url for link in old.links]
    assert not {new.id, *new.step_ids} & {old.id, *old.step_ids}
    assert len(new.step_ids) == len(old.step_ids)
    assert client.simulator.statistics(new.id) == Stats()

    client.clock.advance(DAY)

    assert client.ids() == [old.id, new.id]
    assert client.simulator.statistics(old.id) == before
    assert client.simulator.statistics(new.id).delivered == pytest.approx(5_000 / old.click_rate, rel=0.3)
    assert client.simulator.edit(new.id).id not in {old.id, new.id}
    with pytest.raises(LookupError, match="no generated automation"):
        client.simulator.edit(UNKNOWN)


def test_fixed_statistics_go_with_the_rows_until_they_are_given():
    client = Client(fixed(ID, ROWS))
    derived = client.simulator.step_statistics(ID)
    assert {step_id: stats.clicks for step_id, stats in derived.items()} == {STEPS[0]: 25, STEPS[1]: 30}
    assert all(stats.delivered > stats.unique_opens > stats.unique_clicks > 0 for stats in derived.values())

    given = {STEPS[0]: Stats(delivered=7, clicks=1), STEPS[1]: Stats(delivered=5, opens=2)}
    client.simulator.put_stats(ID, given)
    assert stats_of(client.results()[0]) == Stats(delivered=12, clicks=1, opens=2)
    assert {row["step_id"]: stats_of(row) for row in client.one(ID, group_by="step_id")} == given
    client.simulator.put_rows(ID, ROWS[:1])
    assert client.simulator.step_statistics(ID) == given
    client.simulator.put_stats(ID, {})
    assert client.simulator.statistics(ID).clicks == 1
    assert client.simulator.statistics(ID) == stats_of(Client(fixed(ID, ROWS[:1])).results()[0])


@pytest.mark.parametrize(("now", "day"), [(BUSY_HOUR, "2025-01-06"), (100.0, "1970-01-01")])
def test_fixed_statistics_were_counted_on_one_day_of_the_past(now, day):
    client = Client(fixed(ID, ROWS), now=now)
    whole = client.simulator.statistics(ID)
    assert stats_of(client.results()[0]) == whole
    query = {"start_date": "1970-01-01", "aggregated_by": "day"}
    assert [(row["aggregation"], stats_of(row)) for row in client.one(ID, **query)] == [(day, whole)]
    (other,) = client.one(ID, start_date="2025-03-01")
    assert stats_of(other) == Stats()


def test_statistics_of_one_automation_are_whole_or_by_step():
    automation = generated_automation(1, "Whole", 36)
    client = Client(automation)
    (whole,) = client.one(automation.id)
    steps = client.one(automation.id, group_by="step_id", page_size=2)
    assert (whole["id"], whole["aggregation"], whole["step_id"]) == (automation.id, "total", "all")
    assert stats_of(whole) == client.simulator.statistics(automation.id)
    assert {row["step_id"]: stats_of(row) for row in steps} == client.simulator.step_statistics(automation.id)
    (chosen,) = client.one(automation.id, group_by="step_id", step_ids=automation.step_ids[1])
    assert chosen == steps[1]
    (ungrouped,) = client.one(automation.id, step_ids=automation.step_ids[1])
    assert stats_of(ungrouped) == stats_of(steps[1])
    assert ungrouped["step_id"] == "all"
    assert client.one(automation.id, group_by="step_id", step_ids=UNKNOWN) == []


def test_without_dates_the_answer_is_of_the_year_2021():
    automation = generated_automation(1, "Trap", 12)
    client = Client(automation)
    (row,) = client.results(f"{LIST}/{automation.id}")
    assert stats_of(row) == Stats()
    (half,) = client.results(f"{LIST}/{automation.id}", start_date="2020-01-01")
    assert stats_of(half) == Stats()
    refused(client.send(f"{LIST}/{automation.id}", start_date="2025-01-01"), 400, "end_date")


@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Kathmandu"])
@pytest.mark.parametrize("grouped", [{}, {"group_by": "step_id"}])
def test_days_add_up_to_the_whole_in_any_time_zone(zone, grouped):
    automation = generated_automation(1, "Days", 24, clicks_per_day=500)
    client = Client(automation)
    days = client.one(automation.id, aggregated_by="day", timezone=zone, page_size=50, **grouped)
    sums = {}
    for row in days:
        stats = stats_of(row)
        sums[row["step_id"]] = tuple(map(sum, zip(sums.get(row["step_id"], Stats()), stats, strict=True)))
    whole = {row["step_id"]: stats_of(row) for row in client.one(automation.id, **grouped)}
    assert sums == whole
    named = sorted({row["aggregation"] for row in days})
    today = datetime.fromtimestamp(BUSY_HOUR, ZoneInfo(zone)).date()
    assert named[-1] == today.isoformat()
    assert len(named) in {37, 38}


def test_a_day_is_what_was_counted_between_two_midnights():
    automation = generated_automation(1, "Midnights", 12, clicks_per_day=500)
    client = Client(automation)
    day = date(2025, 1, 20)
    (row,) = client.one(automation.id, aggregated_by="day", start_date=day, end_date=day, timezone="America/Chicago")
    midnight = datetime(2025, 1, 20, tzinfo=ZoneInfo("America/Chicago")).timestamp()
    client.clock.set(midnight)
    before = client.simulator.statistics(automation.id)
    client.clock.set(midnight + DAY)
    assert stats_of(row) == client.simulator.statistics(automation.id).since(before)
    client.clock.set(BUSY_HOUR)
    assert client.one(automation.id, aggregated_by="day", start_date="2026-01-01", end_date="2026-01-31") == []


def test_the_day_of_a_change_of_clocks_has_23_hours():
    automation = generated_automation(1, "Clocks", 12, clicks_per_day=5_000)
    client = Client(automation, now=datetime(2025, 4, 10, tzinfo=UTC).timestamp())
    query = {"start_date": "2025-03-30", "end_date": "2025-03-30", "timezone": "Europe/Berlin"}
    (row,) = client.results(f"{LIST}/{automation.id}", **query)
    midnight = datetime(2025, 3, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    client.clock.set(midnight)
    before = client.simulator.statistics(automation.id)
    client.clock.set(midnight + 23 * 3_600)
    assert stats_of(row) == client.simulator.statistics(automation.id).since(before)


def test_dates_at_the_ends_of_the_calendar_are_taken():
    client = Client(fixed(ID, ROWS))
    for zone in ("UTC", "Pacific/Auckland", "America/Adak"):
        (row,) = client.results(f"{LIST}/{ID}", start_date="0001-01-01", end_date="9999-12-30", timezone=zone)
        assert stats_of(row) == client.simulator.statistics(ID)


def test_scopes_are_those_of_the_key_that_asks():
    client = Client()
    assert {"marketing.read", "marketing.automation.read"} <= set(client.document("/v3/scopes")["scopes"])
    client.simulator.account.allow(client.simulator.api_key, scoped=False)
    assert not [scope for scope in client.document("/v3/scopes")["scopes"] if scope.startswith("marketing")]
    assert client.send().status == 403


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (Endpoint.LINKS, f"{LIST}/{ID}/links"),
        (Endpoint.STATISTICS, LIST),
        (Endpoint.STEP_STATISTICS, f"{LIST}/{ID}"),
        (Endpoint.SCOPES, "/v3/scopes"),
    ],
)
class TestEachEndpoint:
    def test_can_be_forbidden_alone(self, endpoint, path):
        client = Client(fixed(ID, ROWS))
        client.simulator.account.allow(client.simulator.api_key, forbidden=[endpoint])
        assert client.send(path).status == 403
        assert [client.send(each).status for each in (f"{LIST}/{ID}/links", LIST, f"{LIST}/{ID}")].count(200) >= 2

    def test_has_a_rate_limit_of_its_own(self, endpoint, path):
        client = Client(fixed(ID, ROWS), rate_limit=3)
        client.simulator.limit(2, endpoint=endpoint)
        answers = [client.send(path) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [header(answer, "X-RateLimit-Remaining") for answer in answers] == ["1", "0", "0"]
        others = {f"{LIST}/{ID}/links", LIST, f"{LIST}/{ID}", "/v3/scopes"} - {path}
        for other in others:
            answer = client.send(other)
            assert (answer.status, header(answer, "X-RateLimit-Limit")) == (200, "3")
            assert header(answer, "X-RateLimit-Remaining") == "2"

    def test_meets_the_faults_planned_for_it(self, endpoint, path):
        client = Client(fixed(ID, ROWS))
        client.simulator.fault(Fault(endpoint=endpoint, status=503, times=None))
        statuses = {
            each: client.send(each).status for each in (f"{LIST}/{ID}/links", LIST, f"{LIST}/{ID}", "/v3/scopes")
        }
        assert statuses.pop(path) == 503
        assert set(statuses.values()) == {200}


def test_a_fault_of_an_automation_leaves_the_list_alone():
    client = Client(fixed(ID, ROWS))
    client.simulator.fault(automation=ID, status=500, times=None)
    assert client.send().status == 200
    assert [client.send(f"{LIST}/{ID}{end}").status for end in ("", "/links")] == [500, 500]


def test_a_fault_can_be_of_one_page_of_the_list():
    client = Client(*generated_automations(1, 30, 1))
    following = dict(parse_qsl(urlsplit(client.document()["_metadata"]["next"]).query))
    client.simulator.fault(endpoint=Endpoint.STATISTICS, page=2, status=500, times=None)
    assert client.send().status == 200
    assert client.send(**following).status == 500


def test_endpoints_are_named_in_json_faults():
    assert Fault.from_document({"endpoint": "statistics", "alter": "stats_null"}) == Fault(
        endpoint=Endpoint.STATISTICS, alter=StatisticsAlteration.STATS_NULL
    )
    with pytest.raises(ValueError, match="nowhere"):
        Fault.from_document({"endpoint": "nowhere"})


@pytest.mark.parametrize("path", [LIST, f"{LIST}/{ID}"])
@pytest.mark.parametrize("alteration", list(StatisticsAlteration))
def test_every_alteration_of_statistics_changes_the_list(path, alteration):
    client = Client(fixed(ID, ROWS), fixed(UNKNOWN, ROWS))
    correct = client.document(path, **(LIFE if path != LIST else {}))
    client.simulator.fault(alter=alteration)
    changed = client.document(path, **(LIFE if path != LIST else {}))
    assert changed != correct
    if alteration is not StatisticsAlteration.ENDLESS_IDS:
        assert changed["results"][1:] == correct["results"][1:]
        assert changed["_metadata"] == correct["_metadata"]


@pytest.mark.parametrize("alteration", list(StatisticsAlteration))
def test_every_alteration_of_statistics_can_be_of_an_empty_list(alteration):
    client = Client()
    client.simulator.fault(alter=alteration)
    assert client.document()["results"] == []


def test_alterations_of_links_fit_the_list_where_it_has_the_field():
    client = Client(fixed(ID, ROWS), fixed(UNKNOWN, ROWS))
    client.simulator.fault(alter=Alteration.CLICKS_NEGATIVE)
    assert client.document()["results"][0]["stats"]["clicks"] == -1
    client.simulator.fault(alter=Alteration.ROW_TWICE)
    assert [row["id"] for row in client.document()["results"]] == [ID, UNKNOWN, UNKNOWN]
    client.simulator.fault(alter=Alteration.NEXT_FOREIGN)
    assert urlsplit(client.document()["_metadata"]["next"]).netloc == "foreign.example.com"
    client.simulator.fault(alter=Alteration.BODY_INVALID_UTF8)
    with pytest.raises(UnicodeDecodeError):
        client.send().body.decode()


def test_an_alteration_of_statistics_is_no_alteration_of_links():
    client = Client(fixed(ID, ROWS))
    client.simulator.fault(alter=StatisticsAlteration.STATS_NULL)
    with pytest.raises(ValueError, match="stats_null is of a list of statistics"):
        client.send(f"{LIST}/{ID}/links")


def test_a_list_can_go_on_for_ever_with_new_ids():
    client = Client(*generated_automations(1, 3, 1), rate_limit=0)
    client.simulator.fault(alter=StatisticsAlteration.ENDLESS_IDS, times=None)
    seen, query = set(), {"page_size": 50}
    for _ in range(40):
        document = client.document(**query)
        seen |= {row["id"] for row in document["results"]}
        query = dict(parse_qsl(urlsplit(document["_metadata"]["next"]).query))
    assert len(seen) == 40 * 50


def test_only_pages_of_links_are_recorded_as_such():
    client = Client(fixed(ID, ROWS), record_pages=10)
    for path in (LIST, f"{LIST}/{ID}", f"{LIST}/{ID}/links", "/v3/scopes"):
        assert client.send(path).status == 200
    assert [page.automation_id for page in client.simulator.pages] == [ID]
    assert len(client.simulator.requests) == 4


def test_a_thousand_automations_are_listed_in_twenty_pages():
    client = Client(*(fixed(f"{number:08x}-0000-4000-8000-000000000000", ROWS) for number in range(1_000)))
    assert len(set(client.ids(page_size=50))) == 1_000
    assert client.simulator.request_count == 20


def test_an_automation_without_clicks_sends_nothing():
    mute = Automation(ID, "Mute", (Link(STEPS[0], "https://example.com/", 0, 0.0),))
    client = Client(mute)
    assert stats_of(client.results()[0]) == Stats()


def test_numbers_without_a_day_are_left_out_of_the_days():
    automation = generated_automation(1, "Pause", 12, clicks_per_day=2_000)
    client = Client(automation)
    pause = datetime(2025, 1, 15, tzinfo=UTC).timestamp()
    client.simulator.send(automation.id, 0.0, at=pause)
    client.simulator.send(automation.id, 1.0, at=pause + 5 * DAY)
    days = [row["aggregation"] for row in client.one(automation.id, aggregated_by="day")]
    missing = {(date(2025, 1, 15) + timedelta(days=number)).isoformat() for number in range(5)}
    assert not missing & set(days)
    assert all(earlier < later for earlier, later in itertools.pairwise(days))
    assert len(days) == 37 - 5
