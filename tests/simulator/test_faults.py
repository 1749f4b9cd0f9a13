import base64
import json
import math
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from sendgrid_simulator import EPOCH, Alteration, Delivery, Fault, ManualClock, Request, Row, Simulator, fixed

pytestmark = pytest.mark.unit

ID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
ROWS = tuple(Row("aaaaaaaa-0000-4000-8000-000000000001", f"https://example.com/{n}", n, n + 1) for n in range(12))
SIZE = 5


@pytest.fixture
def simulator():
    clock = ManualClock(EPOCH)
    return Simulator((fixed(ID, ROWS), fixed(OTHER, ROWS)), clock=clock, wall=clock, record_pages=10)


def ask(simulator, automation_id=ID, url=None, **query):
    headers = {"host": "api.test", "accept": "application/json", "authorization": f"Bearer {simulator.api_key}"}
    query = {"page_size": SIZE, "group_by": "step_id", **query}
    target = url or f"/v3/marketing/stats/automations/{automation_id}/links?{urlencode(query)}"
    return simulator.answer(Request("GET", target, headers))


def statuses(simulator, number, automation_id=ID):
    return [ask(simulator, automation_id).status for _ in range(number)]


def second_page(simulator):
    """Return the target of the second page, asked for before any fault is planned."""
    return json.loads(ask(simulator).body)["_metadata"]["next"].removeprefix("http://api.test")


def test_a_fault_happens_once_by_default(simulator):
    simulator.fault(status=503)
    assert statuses(simulator, 3) == [503, 200, 200]


def test_a_fault_skips_and_lasts_as_planned(simulator):
    simulator.fault(status=503, skip=1, times=2)
    assert statuses(simulator, 5) == [200, 503, 503, 200, 200]


def test_a_fault_without_end_lasts_until_cleared(simulator):
    simulator.fault(Fault(status=500, times=None))
    assert statuses(simulator, 4) == [500] * 4
    simulator.faults.clear()
    assert statuses(simulator, 1) == [200]


def test_faults_queue_up(simulator):
    simulator.faults.add(Fault(status=500), Fault(status=502), Fault(status=504))
    assert statuses(simulator, 4) == [500, 502, 504, 200]


def test_a_fault_can_be_of_one_automation(simulator):
    simulator.fault(automation=ID.upper(), status=500, times=None)
    assert statuses(simulator, 1, OTHER) == [200]
    assert statuses(simulator, 1) == [500]
    assert ask(simulator, url="/elsewhere").status == 404


def test_a_fault_can_be_of_one_page(simulator):
    target = second_page(simulator)
    simulator.fault(page=2, status=500, times=None)
    assert ask(simulator).status == 200
    assert ask(simulator, url=target).status == 500
    assert ask(simulator, page_token="forged").status == 400
    assert ask(simulator, url="/elsewhere").status == 404


def test_a_fault_can_be_of_what_a_test_picks(simulator):
    simulator.fault(status=500, times=None, predicate=lambda request: "page_token" in request.query)
    target = json.loads(ask(simulator).body)["_metadata"]["next"].removeprefix("http://api.test")
    assert ask(simulator, url=target).status == 500


def test_a_share_of_requests_meets_a_fault_and_two_runs_agree(simulator):
    simulator.limit(0)
    simulator.fault(status=500, times=None, share=0.2)
    first = statuses(simulator, 400)
    simulator.faults.clear()
    simulator.fault(status=500, times=None, share=0.2)
    assert statuses(simulator, 400) == first
    assert 50 < first.count(500) < 110


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "authorization required"),
        (403, "access forbidden"),
        (429, "too many requests"),
        (451, "unavailable for legal reasons"),
        (503, "service unavailable"),
    ],
)
def test_a_status_comes_with_its_documented_body(simulator, status, message):
    simulator.fault(status=status)
    response = ask(simulator)
    assert response.status == status
    assert json.loads(response.body) == {"errors": [{"field": None, "message": message}]}


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message":"x"}', b'{"error":"x"}', b"\xff"])
def test_a_status_comes_with_any_body(simulator, body):
    simulator.fault(status=502, body=body)
    assert ask(simulator).body == body


def test_a_body_alone_is_a_success(simulator):
    simulator.fault(body=b"[]")
    response = ask(simulator)
    assert (response.status, response.body) == (200, b"[]")


def test_headers_are_added_replaced_and_taken_away(simulator):
    simulator.fault(
        status=429,
        headers=(("Retry-After", "7"), ("x-ratelimit-remaining", "0"), ("Date", None), ("Location", "http://foreign/")),
    )
    headers = {name.lower(): text for name, text in ask(simulator).headers}
    assert headers["retry-after"] == "7"
    assert headers["x-ratelimit-remaining"] == "0"
    assert headers["location"] == "http://foreign/"
    assert "date" not in headers


def test_a_fault_happens_to_a_refused_request_too(simulator):
    simulator.fault(status=500)
    assert simulator.answer(Request("GET", "/", {})).status == 500
    assert simulator.answer(Request("GET", "/", {})).status == 401


def test_what_went_wrong_is_recorded(simulator):
    simulator.fault(status=500)
    statuses(simulator, 2)
    assert [exchange.fault and exchange.fault.status for exchange in simulator.requests] == [500, None]
    assert len(simulator.pages) == 1


def test_a_fault_can_be_given_as_json():
    fault = Fault.from_document(
        {
            "automation": ID,
            "page": 2,
            "times": None,
            "status": 503,
            "body": "é",
            "headers": {"Retry-After": 3, "Date": None},
            "alter": "row_moved",
            "deliver": "trickle_body",
            "preface": "HTTP/1.1 103 Early Hints\r\n\r\n",
            "delay": 0.5,
        }
    )
    assert fault == Fault(
        automation=ID,
        page=2,
        times=None,
        status=503,
        body="é".encode(),
        headers=(("Retry-After", "3"), ("Date", None)),
        alter=Alteration.ROW_MOVED,
        deliver=Delivery.TRICKLE_BODY,
        preface=b"HTTP/1.1 103 Early Hints\r\n\r\n",
        delay=0.5,
    )
    assert Fault.from_document({"body_base64": base64.b64encode(b"\xff\x00").decode()}).body == b"\xff\x00"


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"stats": 500}, "has no stats"),
        ({"predicate": "x"}, "has no predicate"),
        ({"status": "500"}, "status cannot be '500'"),
        ({"skip": None}, "skip cannot be None"),
        ({"alter": "everything"}, "everything"),
        ({"deliver": "never"}, "never"),
        ({"body_base64": "*"}, "."),
    ],
)
def test_a_fault_that_cannot_be_is_refused(document, problem):
    with pytest.raises(ValueError, match=problem):
        Fault.from_document(document)


def altered(simulator, alteration, url=None):
    simulator.fault(alter=alteration)
    return ask(simulator, url=url)


def document_of(simulator, alteration, url=None):
    return json.loads(altered(simulator, alteration, url).body)


@pytest.mark.parametrize("alteration", sorted(set(Alteration) - {Alteration.ENDLESS}))
def test_every_alteration_makes_the_second_page_another_one(simulator, alteration):
    target = second_page(simulator)
    correct = ask(simulator, url=target)
    changed = altered(simulator, alteration, target)
    assert changed.status == 200
    assert (changed.body, dict(changed.headers).get("Content-Type")) != (
        correct.body,
        dict(correct.headers).get("Content-Type"),
    )
    assert ask(simulator, url=target).body == correct.body


@pytest.mark.parametrize("alteration", list(Alteration))
def test_every_alteration_can_be_of_an_empty_list(simulator, alteration):
    simulator.put_rows(ID, ())
    assert altered(simulator, alteration).status == 200


MISSING = object()
VALUES = {
    Alteration.RESULTS_NULL: (("results",), None),
    Alteration.RESULTS_MISSING: (("results",), MISSING),
    Alteration.TOTAL_NULL: (("total_clicks",), None),
    Alteration.TOTAL_MISSING: (("total_clicks",), MISSING),
    Alteration.TOTAL_WRONG: (("total_clicks",), 1_078),
    Alteration.METADATA_EMPTY: (("_metadata",), {}),
    Alteration.METADATA_MISSING: (("_metadata",), MISSING),
    Alteration.COUNT_MISSING: (("_metadata", "count"), MISSING),
    Alteration.COUNT_WRONG: (("_metadata", "count"), 13),
    Alteration.COUNT_WHOLE_FLOAT: (("_metadata", "count"), 12.0),
    Alteration.NEXT_MISSING: (("_metadata", "next"), MISSING),
    Alteration.NEXT_NULL: (("_metadata", "next"), None),
    Alteration.NEXT_EMPTY: (("_metadata", "next"), ""),
    Alteration.CLICKS_FLOAT: (("results", 0, "clicks"), 3.5),
    Alteration.CLICKS_WHOLE_FLOAT: (("results", 1, "clicks"), 2.0),
    Alteration.CLICKS_NEGATIVE: (("results", 0, "clicks"), -1),
    Alteration.CLICKS_HUGE: (("results", 0, "clicks"), 10**30),
    Alteration.CLICKS_INFINITY: (("results", 0, "clicks"), math.inf),
    Alteration.CLICKS_TRUE: (("results", 0, "clicks"), True),
    Alteration.URL_SURROGATE: (("results", 0, "url"), "https://example.com/\ud83d"),
    Alteration.URL_MISSING: (("results", 0, "url"), MISSING),
    Alteration.ROW_NULL: (("results", 0), None),
}


@pytest.mark.parametrize("alteration", list(VALUES))
def test_a_value_is_the_one_that_its_name_says(simulator, alteration):
    path, expected = VALUES[alteration]
    place = document_of(simulator, alteration)
    for name in path[:-1]:
        place = place[name]
    if expected is MISSING:
        assert path[-1] not in place
    else:
        assert place[path[-1]] == expected
        assert type(place[path[-1]]) is type(expected)


def test_nan_is_not_a_number(simulator):
    assert math.isnan(document_of(simulator, Alteration.CLICKS_NAN)["results"][0]["clicks"])


def next_of(simulator, alteration, url=None):
    return document_of(simulator, alteration, url)["_metadata"]["next"]


def test_next_can_lead_astray(simulator):
    correct = json.loads(ask(simulator).body)["_metadata"]["next"]
    assert urlsplit(next_of(simulator, Alteration.NEXT_FOREIGN)).netloc == "foreign.example.com"
    assert next_of(simulator, Alteration.NEXT_OTHER_SCHEME) == correct.replace("http://", "https://")
    assert urlsplit(next_of(simulator, Alteration.NEXT_OTHER_PORT)).netloc == "api.test:1"
    assert urlsplit(next_of(simulator, Alteration.NEXT_USER)).username == "api.sendgrid.com"
    assert next_of(simulator, Alteration.NEXT_RELATIVE) == correct.removeprefix("http://api.test")
    assert "page_token" not in next_of(simulator, Alteration.NEXT_WITHOUT_TOKEN)


def test_a_repeated_token_leads_to_its_own_page(simulator):
    target = second_page(simulator)
    again = next_of(simulator, Alteration.NEXT_REPEATED, target)
    assert dict(parse_qsl(urlsplit(again).query)) == dict(parse_qsl(urlsplit(target).query))


def test_the_same_page_can_hide_behind_ever_new_tokens(simulator):
    target, seen = second_page(simulator), set()
    for _ in range(5):
        document = document_of(simulator, Alteration.NEXT_SAME_PAGE, target)
        assert [row["clicks"] for row in document["results"]] == [6, 7, 8, 9, 10]
        target = document["_metadata"]["next"].removeprefix("http://api.test")
        seen.add(target)
    assert len(seen) == 5


def test_endless_pages_never_end_and_never_repeat_a_token(simulator):
    simulator.limit(0)
    simulator.fault(alter=Alteration.ENDLESS, times=None)
    target, seen = None, set()
    for _ in range(200):
        document = json.loads(ask(simulator, url=target).body)
        assert document["results"]
        target = document["_metadata"]["next"].removeprefix("http://api.test")
        assert target not in seen
        seen.add(target)


def test_pages_and_rows_can_be_doubled_and_lost(simulator):
    target = second_page(simulator)

    def clicks(alteration):
        return [row["clicks"] for row in document_of(simulator, alteration, target)["results"]]

    assert clicks(Alteration.PAGE_REPEATED) == [1, 2, 3, 4, 5]
    assert clicks(Alteration.ROW_MOVED) == [5, 7, 8, 9, 10]
    assert clicks(Alteration.ROW_LOST) == [6, 7, 8, 9]
    assert clicks(Alteration.ROW_TWICE) == [6, 7, 8, 9, 10, 10]


@pytest.mark.parametrize(
    "alteration",
    [
        Alteration.BODY_EMPTY,
        Alteration.BODY_HTML,
        Alteration.BODY_TRUNCATED,
        Alteration.BODY_NOT_JSON,
        Alteration.BODY_TRAILING,
    ],
)
def test_a_body_that_is_not_json_is_not(simulator, alteration):
    with pytest.raises(json.JSONDecodeError):
        json.loads(altered(simulator, alteration).body)


def test_a_body_can_be_no_utf8(simulator):
    with pytest.raises(UnicodeDecodeError):
        altered(simulator, Alteration.BODY_INVALID_UTF8).body.decode()


def test_a_body_can_be_too_deep(simulator):
    with pytest.raises(RecursionError):
        json.loads(altered(simulator, Alteration.BODY_DEEP).body)
