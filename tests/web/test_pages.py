import json
from dataclasses import replace
from html.parser import HTMLParser
from urllib.parse import quote_plus, urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import Outcome
from exporter.errors import NEXT_STEPS
from exporter.web.pages import (
    CONTENT_SECURITY_POLICY,
    LONGEST_SEARCH,
    MAX_ROWS,
    View,
    asset,
    duration,
    status_json,
    status_page,
    view_of,
)
from exporter.web.ports import AutomationRow, Condition, FoundLink, LandingPage, LastReload, Requests, Status

pytestmark = pytest.mark.unit

ALL = View()
PAGE = LandingPage("name", "1.0", "description", "https://docs.invalid/?a=1&b=2")
FAILED = AutomationRow(
    "id-2", "Broken", Condition.FAILING, outcome="forbidden", error="HTTP 403 (access forbidden)", next_step="do this"
)
HERE = "https://app.invalid/"
PAGE_OF = f"https://mc.sendgrid.com/automations/{'i' * 36}/detail"
GOOD = AutomationRow("id-1", "Good", Condition.OK, outcome="success", last_success=940.0, series=3, clicks=7)


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.attributes = []
        self.values = []
        self.links = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.values += attrs
        self.links += [value for name, value in attrs if name == "href" and tag == "a"]

    def handle_data(self, data):
        self.text.append(data)


def read(*rows, page=PAGE, path="/metrics", view=ALL, **facts):
    reader = Reader()
    status = Status(tuple(rows), time=1000.0, **facts)
    reader.feed(status_page(page, status, view, telemetry_path=path).decode())
    return reader


def names(*rows, view=ALL):
    return [each["name"] for each in json.loads(status_json(Status(rows), view))["automations"]]


def test_page_links_to_every_address():
    assert read(path='/m"e').links == ['m"e', "status.json", "-/healthy", "-/ready", "https://docs.invalid/?a=1&b=2"]


def test_links_work_below_a_path_prefix():
    links = [urljoin("https://h.invalid/exporter/", link) for link in read(path="/a/metrics").links[:2]]

    assert links == ["https://h.invalid/exporter/a/metrics", "https://h.invalid/exporter/status.json"]


@pytest.mark.parametrize("address", [None, "javascript:alert(1)", "data:text/html,x"])
def test_documentation_that_is_no_web_address_is_not_linked(address):
    assert len(read(page=LandingPage("n", "v", "d", address)).links) == 4


def test_page_has_no_inline_script_or_style():
    page = read(FAILED, GOOD)

    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "style" not in page.tags
    assert not [name for name in page.attributes if name == "style" or name.startswith("on")]
    assert page.tags.count("script") == 1
    assert b"innerHTML" not in asset("status.js")


HOSTILE = st.one_of(
    st.text(st.characters(), max_size=40),
    st.sampled_from(["</script><script>", '" onfocus="x', "'><img src=x onerror=y>", "\u202egnp.exe", "$name ${q}"]),
)


@given(HOSTILE, HOSTILE)
def test_no_value_can_become_markup(first, second):
    def page(one, two):
        row = AutomationRow(
            one,
            two,
            Condition.FAILING,
            outcome=one,
            error=two or "-",
            next_step=one,
            found=(FoundLink(one, two, 1),),
            page=HERE + one,
        )
        return read(
            row,
            page=LandingPage(one, two, one),
            view=View(two or "-", ""),
            version=one,
            configuration=two,
            reload=LastReload(1.0, (one,)),
        )

    plain, hostile = page("a", "b"), page(first, second)

    assert (hostile.tags, hostile.attributes) == (plain.tags, plain.attributes)


@given(HOSTILE)
def test_data_carry_every_text_as_it_is(text):
    row = AutomationRow(text, text, error=text, found=(FoundLink(text, text, 1),))

    (said,) = json.loads(status_json(Status((row,)), View()))["automations"]

    assert said["id"] == said["name"] == said["found_links"][0]["url"] == text
    assert (said["error"] or "") == text


def test_what_is_wrong_stands_first_with_its_error_and_the_next_step():
    text = read(GOOD, FAILED).text

    assert text.index("Broken") < text.index("Good")
    assert "HTTP 403 (access forbidden)" in text
    assert "Next step: do this" in text
    assert "2 automations: 1 failing, 1 up to date." in text
    assert "(1) name" in text


def test_name_leads_to_the_automation_in_sendgrid_where_its_page_is_known():
    page = read(replace(GOOD, name='<"Good">', page=HERE + "?a=1&b=%22"), FAILED)
    rels = [value for name, value in page.values if name == "rel" and value not in ("icon", "stylesheet")]

    assert page.links[-1] == HERE + "?a=1&b=%22"
    assert rels == ["noreferrer noopener"]
    assert '<"Good">' in page.text
    assert any("sendgrid.app_url" in text for text in page.text)
    assert len(read(GOOD, FAILED).links) == len(page.links) - 1
    assert not any("sendgrid.app_url" in text for text in read(GOOD).text)
    assert json.loads(status_json(Status((replace(GOOD, page=HERE),)), ALL))["automations"][0]["page"] == HERE


def test_reason_of_an_outage_is_said_once():
    text = read(*[FAILED] * 5).text

    assert text.count("HTTP 403 (access forbidden)") == 1
    assert text.count("failing, as above") == 4


@pytest.mark.parametrize("sought", ["gOOD", "ID-1"])
def test_search_finds_names_and_ids_in_any_case(sought):
    assert names(GOOD, FAILED, view=View(sought)) == ["Good"]


@pytest.mark.parametrize(("clicks", "shown"), [(1, "1 click"), (12, "12 clicks"), (1234567, "1,234,567 clicks")])
def test_search_keeps_automations_whose_links_have_it_and_shows_those(clicks, shown):
    row = AutomationRow("id-3", "Linked", Condition.OK, found=(FoundLink("s", "https://shop.invalid/x", clicks),))

    page = read(GOOD, row, view=View("shop.invalid"))

    assert page.tags.count("tr") == 2
    assert "https://shop.invalid/x" in page.text
    assert f" ({shown})" in page.text


def test_large_numbers_are_grouped_and_never_broken_over_lines():
    page = read(replace(GOOD, series=1234, clicks=9876543, day_clicks=-1500))

    assert {"1,234", "9,876,543", "-1,500"} <= set(page.text)
    assert b"td:nth-child(n+3) { white-space: nowrap; }" in asset("status.css")


@pytest.mark.parametrize(("rows", "look"), [((), "idle"), ((GOOD,), "ok"), ((FAILED, GOOD), "bad")])
def test_summary_is_green_only_while_an_automation_is_up_to_date(rows, look):
    assert ("class", f"summary {look}") in read(*rows).values


def test_search_without_a_result_says_so():
    assert "No automation's name, id or links contain this." in read(GOOD, view=View("nothing")).text


def test_change_of_a_day_sorts_with_the_unknown_last():
    rows = [AutomationRow(str(n), str(n), Condition.OK, day_clicks=day) for n, day in enumerate((None, -2, 7, 0))]

    assert "".join(names(*rows, view=View(sort="day"))) == "2310"


@pytest.mark.parametrize(
    ("sort", "order"),
    [("", "bca"), ("name", "abc"), ("clicks", "cab"), ("links", "acb"), ("interval", "bac"), ("success", "bca")],
)
def test_columns_sort(sort, order):
    rows = (
        AutomationRow("1", "c", Condition.OK, last_success=5.0, interval=60.0, series=2, clicks=9),
        AutomationRow("2", "a", Condition.IDLE, last_success=7.0, interval=30.0, series=3, clicks=5),
        AutomationRow("3", "b", Condition.FAILING, last_success=2.0, interval=10.0, series=1, clicks=None),
    )

    assert "".join(names(*rows, view=View(sort=sort))) == order


def test_address_says_what_is_sought_and_how_it_is_sorted():
    assert view_of(f"q={quote_plus(' a&b ')}&sort=clicks") == View("a&b", "clicks")
    assert view_of("q=x&sort=__class__") == View("x", "")
    assert view_of("q=" + "y" * 9999) == View("y" * LONGEST_SEARCH, "")
    assert view_of("&" * 9999) == view_of("a=1&" * 9999) == View()
    assert view_of("q=%ff") == View("\ufffd")


@pytest.mark.parametrize(
    ("age", "text"),
    [(-5.0, "0 s"), (0.4, "0 s"), (61.0, "1 min 1 s"), (3600.0, "1 h"), (90061.0, "1 d 1 h")],
)
def test_time_is_written_as_people_say_it(age, text):
    assert duration(age) == text


@pytest.mark.parametrize(
    ("wait", "text"),
    [(None, "now"), (0.0, "now"), (0.2, "1 s"), (59.0, "59 s"), (61.0, "2 min"), (3601.0, "1 h 1 min")],
)
def test_next_poll_is_never_due_in_no_time(wait, text):
    assert text in read(replace(GOOD, next_poll=wait)).text


def test_id_stands_there_once_where_it_is_the_name_too():
    assert [read(replace(GOOD, name=name)).text.count("id-1") for name in ("Good", "id-1")] == [1, 1]


def test_long_table_is_cut_and_says_so():
    rows = [AutomationRow(str(n), "x", Condition.OK) for n in range(MAX_ROWS + 7)]

    page = read(*rows)

    assert page.tags.count("tr") == MAX_ROWS + 1
    assert "and 7 more: search for them" in page.text


def test_thousand_automations_make_a_small_page():
    row = AutomationRow(
        "i" * 36,
        "n" * 30,
        last_success=100.0,
        next_poll=171.0,
        interval=300.0,
        series=42,
        clicks=123456,
        day_clicks=1234,
        page=PAGE_OF,
    )
    failing = replace(row, state=Condition.FAILING, error="e" * 250, next_step="s" * 100)
    for each in (replace(row, state=Condition.OK), failing):
        rows = (each,) * 1000

        assert len(status_page(PAGE, Status(rows), View(), telemetry_path="/metrics")) < 300_000


def test_page_says_what_the_process_is_and_needs():
    page = read(
        version="1.2",
        revision="abc",
        uptime=61.0,
        shard=(1, 3),
        requests=Requests(12.34, 100.0, 300.0),
        discovered={"polled": 4, "over_cap": 1},
        state_file="/var/state",
        configuration="poll:\n  interval: 5m\n",
        reload=LastReload(940.0, ("poll.interval: too short",)),
    )

    for expected in (
        "1.2 (revision abc)",
        "1 min 1 s",
        "1 of 3",
        "12.3 needed, 100.0 allowed now, ceiling 300.0",
        "4 polled, 1 over cap",
        "/var/state",
        "1 min ago: poll.interval: too short",
        "poll:\n  interval: 5m\n",
    ):
        assert expected in page.text


def notices(**facts):
    page = read(GOOD, **facts)
    return [text for text in page.text if text.startswith(("The ", "Values ", "As of"))]


def test_what_is_wrong_with_the_exporter_as_a_whole_stands_above_the_table():
    failed = LastReload(940.0, ("poll.interval: x", "log.level: y"))

    assert notices() == ["As of 1970-01-01 00:16:40 UTC"]
    assert notices(reload=LastReload(940.0, ())) == notices(requests=Requests(2.0, 2.0, 3.0)) == notices()
    assert notices(
        reload=failed, list_error="HTTP 403", state_error="the disk is full", requests=Requests(40.0, 20.0, 300.0)
    ) == [
        "The reload 1 min ago failed, the previous configuration is in effect: poll.interval: x; log.level: y",
        "The account's list of automations could not be read: HTTP 403",
        "Values cannot be saved in state.path, so a restart would leave a gap: the disk is full",
        "The polls need 40.0 requests a minute and 20.0 are allowed, so their intervals are longer than configured",
        *notices(),
    ]


@pytest.mark.parametrize(("change", "text"), [(12, "+12"), (0, "+0"), (-3, "-3"), (None, None)])
def test_change_of_a_day_is_shown_where_it_is_known(change, text):
    page = read(replace(GOOD, day_clicks=change))

    assert [each for each in page.text if each[:1] in "+-" and each] == ([text] if text else [])


def test_data_have_the_documented_shape():
    data = json.loads(status_json(Status((FAILED,), requests=Requests(1.0, 2.0, 3.0)), View()))

    assert list(data) == [
        "version",
        "revision",
        "time",
        "uptime_seconds",
        "shard",
        "requests_per_minute",
        "discovered_automations",
        "state_file",
        "state_error",
        "list_error",
        "last_reload",
        "automations",
        "configuration",
    ]
    assert data["requests_per_minute"] == {"needed": 1.0, "allowed": 2.0, "ceiling": 3.0}
    assert data["automations"] == [
        {
            "id": "id-2",
            "name": "Broken",
            "page": None,
            "state": "failing",
            "is_stale": False,
            "is_idle": False,
            "outcome": "forbidden",
            "error": "HTTP 403 (access forbidden)",
            "next_step": "do this",
            "last_success": None,
            "next_poll_seconds": None,
            "interval_seconds": 0.0,
            "links": 0,
            "clicks": None,
            "clicks_last_day": None,
            "found_links": [],
        }
    ]


def test_every_failure_has_a_next_step():
    assert NEXT_STEPS.keys() == set(Outcome)
    assert [outcome for outcome, step in NEXT_STEPS.items() if not step] == [Outcome.SUCCESS]
