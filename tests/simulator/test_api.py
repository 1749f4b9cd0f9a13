import json
from email.utils import formatdate
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from sendgrid_simulator import (
    EPOCH,
    HeaderForm,
    ManualClock,
    Request,
    ResetForm,
    Row,
    Simulator,
    fixed,
    generated_automation,
)

pytestmark = pytest.mark.unit

ID = "11111111-1111-4111-8111-111111111111"
STEPS = ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")
UNKNOWN = "99999999-9999-4999-8999-999999999999"
NOW = EPOCH + 1_000_007.5
ROWS = tuple(
    Row(STEPS[number % 2], f"https://example.com/{number // 4}", number % 3 or None, number + 1)
    for number in range(120)
)


class Client:
    """Asks a simulator without sockets."""

    def __init__(self, *automations, **options):
        self.clock = ManualClock(NOW)
        automations = automations or (fixed(ID, ROWS),)
        self.simulator = Simulator(automations, clock=self.clock, wall=self.clock, **options)
        self.headers = {
            "host": "api.test:8080",
            "accept": "application/json",
            "authorization": f"Bearer {self.simulator.api_key}",
        }

    def send(self, target, method="GET", **headers):
        headers = {name: text for name, text in {**self.headers, **headers}.items() if text is not None}
        return self.simulator.answer(Request(method, target, headers))

    def links(self, automation_id=ID, **query):
        return self.send(f"/v3/marketing/stats/automations/{automation_id}/links?{urlencode(query)}")

    def page(self, **query):
        response = self.links(**query)
        assert response.status == 200, response.body
        return json.loads(response.body)

    def every_page(self, **query):
        """Follow `next` to the end, and `prev` back to the start."""
        documents = [self.page(**query)]
        while "next" in documents[-1]["_metadata"]:
            documents.append(self.page(**dict(parse_qsl(urlsplit(documents[-1]["_metadata"]["next"]).query))))
        back = documents[-1]["_metadata"]
        for document in reversed(documents[:-1]):
            previous = self.page(**dict(parse_qsl(urlsplit(back["prev"]).query)))
            assert previous == document
            back = previous["_metadata"]
        assert "prev" not in back
        return documents


def rows_of(document):
    return [Row(row["step_id"], row["url"], row.get("url_location"), row["clicks"]) for row in document["results"]]


def header(response, name):
    return {key.lower(): text for key, text in response.headers}.get(name.lower())


def error(response):
    document = json.loads(response.body)
    assert len(document["errors"]) == 1
    return document["errors"][0]


@pytest.mark.parametrize("size", [1, 7, 25, 40, 50])
def test_pages_make_the_whole_list_in_its_order(size):
    client = Client()
    documents = client.every_page(page_size=size, group_by="step_id")
    assert [row for document in documents for row in rows_of(document)] == list(ROWS)
    assert {document["_metadata"]["count"] for document in documents} == {120}
    assert {document["total_clicks"] for document in documents} == {sum(row.clicks for row in ROWS)}
    assert len(documents) == -(-120 // size)


def test_a_page_holds_25_rows_unless_asked():
    assert len(Client().page(group_by="step_id")["results"]) == 25


def test_a_list_of_one_page_has_neither_next_nor_prev():
    metadata = Client(fixed(ID, ROWS[:50])).page(page_size=50)["_metadata"]
    assert set(metadata) == {"self", "count"}


def test_an_empty_list_is_a_list():
    document = Client(fixed(ID, ())).page()
    assert document["results"] == []
    assert document["total_clicks"] == 0
    assert document["_metadata"]["count"] == 0


def test_self_prev_and_next_are_urls_on_the_host_that_was_asked():
    client = Client()
    second = client.page(**dict(parse_qsl(urlsplit(client.page(page_size=40)["_metadata"]["next"]).query)))
    for name in ("self", "prev", "next"):
        assert second["_metadata"][name].startswith(f"http://api.test:8080/v3/marketing/stats/automations/{ID}/links?")
    secure = Request("GET", f"/v3/marketing/stats/automations/{ID}/links", client.headers, secure=True)
    assert json.loads(client.simulator.answer(secure).body)["_metadata"]["self"].startswith("https://api.test:8080/")


def test_without_group_by_rows_are_summed_over_all_steps():
    client = Client()
    rows = [row for document in client.every_page(page_size=50) for row in rows_of(document)]
    assert {row.step_id for row in rows} == {"all"}
    assert tuple(rows) == client.simulator.links(ID, group_by=False)[0]
    assert sum(row.clicks for row in rows) == sum(row.clicks for row in ROWS)


def test_step_ids_select_steps_and_their_total():
    client = Client()
    both = [
        row for document in client.every_page(step_ids=",".join(STEPS), group_by="step_id") for row in rows_of(document)
    ]
    one = client.every_page(step_ids=STEPS[1], group_by="step_id")
    assert both == list(ROWS)
    assert [row for document in one for row in rows_of(document)] == [row for row in ROWS if row.step_id == STEPS[1]]
    assert one[0]["total_clicks"] == sum(row.clicks for row in ROWS if row.step_id == STEPS[1])


def test_a_step_that_is_not_there_gives_an_empty_list():
    assert Client().page(step_ids=UNKNOWN)["results"] == []


def test_a_link_without_place_has_no_url_location():
    results = Client().page(group_by="step_id")["results"]
    assert "url_location" not in results[0]
    assert results[1]["url_location"] == 1


def test_unicode_and_lone_surrogates_come_as_json():
    rows = (Row("s", 'https://example.com/ü/😀"\\\n', 0, 1),)
    assert rows_of(Client(fixed(ID, rows)).page(group_by="step_id")) == list(rows)
    lone = (Row("s", "https://example.com/\ud800", 0, 1),)
    assert rows_of(Client(fixed(ID, lone)).page(group_by="step_id")) == list(lone)


def test_total_can_be_of_each_page():
    client = Client()
    client.simulator.behave(total_per_page=True)
    for document in client.every_page(group_by="step_id"):
        assert document["total_clicks"] == sum(row["clicks"] for row in document["results"])


@pytest.mark.parametrize(
    ("query", "field"),
    [({"page_size": size}, "page_size") for size in ("0", "51", "-1", "ten", "", "1.5", "25abc", "9" * 40, "٣")]
    + [
        ({"page_token": "forged"}, "page_token"),
        ({"page_token": ""}, "page_token"),
        ({"page_token": "ü!"}, "page_token"),
        ({"group_by": "url"}, "group_by"),
        ({"group_by": "step_id,url"}, "group_by"),
        ({"step_ids": "nine"}, "step_ids"),
        ({"step_ids": f"{STEPS[0]},"}, "step_ids"),
        ({"step_ids": f"{STEPS[0]},{STEPS[0]}"}, "step_ids"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_name(query, field):
    response = Client().links(**query)
    assert response.status == 400
    assert error(response)["field"] == field
    assert error(response)["message"]
    assert set(error(response)) == {"field", "message", "help"}
    assert json.loads(response.body)["id"]


def test_a_token_is_of_its_list_alone():
    client = Client(fixed(ID, ROWS), fixed(UNKNOWN, ROWS))
    token = dict(parse_qsl(urlsplit(client.page(group_by="step_id")["_metadata"]["next"]).query))["page_token"]
    assert client.links(group_by="step_id", page_token=token).status == 200
    assert client.links(UNKNOWN, group_by="step_id", page_token=token).status == 400
    assert client.links(page_token=token).status == 400
    assert client.links(group_by="step_id", step_ids=STEPS[0], page_token=token).status == 400
    assert client.links(group_by="step_id", page_token=token[:-1]).status == 400


def test_an_id_that_is_not_a_uuid_is_refused():
    response = Client().links("newsletter")
    assert response.status == 400
    assert error(response)["field"] == "id"


def test_an_unknown_automation_is_not_found_in_the_documented_form():
    response = Client().links(UNKNOWN)
    assert response.status == 404
    assert set(error(response)) == {"field", "message", "help"}


def test_an_automation_is_not_found_before_it_has_started():
    client = Client(generated_automation(1, "Tomorrow", 3, started=NOW + 1))
    automation_id = client.simulator.automations[0].id
    assert client.links(automation_id).status == 404
    client.clock.advance(2)
    assert client.links(automation_id).status == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer a b"])
def test_no_key_is_unauthorized_in_the_documented_form(authorization):
    response = Client().send(f"/v3/marketing/stats/automations/{ID}/links", authorization=authorization)
    assert response.status == 401
    assert json.loads(response.body) == {"errors": [{"field": None, "message": "authorization required"}]}


def test_a_wrong_key_is_unauthorized():
    response = Client().send(f"/v3/marketing/stats/automations/{ID}/links", authorization="Bearer SG.wrong")
    assert response.status == 401
    assert "authorization grant" in error(response)["message"]


def test_keys_are_rotated_while_running():
    client = Client()
    client.simulator.account.allow("SG.new")
    client.simulator.account.revoke(client.simulator.api_key)
    assert client.links().status == 401
    client.headers["authorization"] = "Bearer SG.new"
    assert client.links().status == 200


def test_a_key_without_scope_is_forbidden():
    client = Client()
    client.simulator.account.allow(client.simulator.api_key, scoped=False)
    response = client.links()
    assert response.status == 403
    assert json.loads(response.body) == {"errors": [{"field": None, "message": "access forbidden"}]}


@pytest.mark.parametrize("accept", [None, "", "text/html"])
def test_what_does_not_accept_json_is_not_acceptable(accept):
    assert Client().send(f"/v3/marketing/stats/automations/{ID}/links", accept=accept).status == 406


def test_the_check_of_accept_can_be_left_out():
    client = Client()
    client.simulator.behave(require_accept=False)
    assert client.send(f"/v3/marketing/stats/automations/{ID}/links", accept=None).status == 200
    assert client.simulator.behavior.require_accept is False


@pytest.mark.parametrize(
    "path", ["/", "/v3/marketing/stats", "/v3/marketing/automations", "/v3/marketing/stats/automations/", "/%2e%2e"]
)
def test_any_other_path_is_not_found(path):
    assert Client().send(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
def test_any_other_method_is_not_allowed(method):
    response = Client().send(f"/v3/marketing/stats/automations/{ID}/links", method=method)
    assert response.status == 405
    assert header(response, "Allow") == "GET"


def test_budget_is_given_and_enforced_and_renewed_at_the_full_minute():
    client = Client(rate_limit=3)
    minute = int(NOW // 60 + 1) * 60
    for remaining in (2, 1, 0):
        response = client.links()
        assert response.status == 200
        assert header(response, "X-RateLimit-Limit") == "3"
        assert header(response, "X-RateLimit-Remaining") == str(remaining)
        assert header(response, "X-RateLimit-Reset") == str(minute)
        assert header(response, "Date") == formatdate(NOW, usegmt=True)
    refused = client.links()
    assert refused.status == 429
    assert json.loads(refused.body) == {"errors": [{"field": None, "message": "too many requests"}]}
    assert header(refused, "X-RateLimit-Remaining") == "0"
    client.clock.set(minute)
    assert client.links().status == 200


def test_a_refused_key_costs_no_budget():
    client = Client(rate_limit=1)
    key = client.headers.pop("authorization")
    assert client.links().status == 401
    client.headers["authorization"] = key
    assert client.links().status == 200


def test_reset_can_be_given_in_seconds_from_now():
    client = Client()
    client.simulator.behave(rate_reset=ResetForm.DELTA)
    assert header(client.links(), "X-RateLimit-Reset") == str(-int(-(60 - NOW % 60) // 1))


def test_headers_of_the_budget_can_be_lower_case_or_absent():
    client = Client()
    client.simulator.behave(rate_headers=HeaderForm.LOWER)
    assert "x-ratelimit-remaining" in dict(client.links().headers)
    client.simulator.behave(rate_headers=HeaderForm.ABSENT)
    assert header(client.links(), "X-RateLimit-Remaining") is None


def test_the_limit_can_be_changed_and_lifted():
    client = Client(rate_limit=1)
    assert [client.links().status for _ in range(2)] == [200, 429]
    client.simulator.limit(0)
    response = client.links()
    assert response.status == 200
    assert header(response, "X-RateLimit-Limit") is None


def test_every_request_is_recorded_without_its_key():
    client = Client()
    client.links(group_by="step_id", page_size="5")
    client.send("/nothing", authorization=None)
    first, second = client.simulator.requests
    assert (first.time, first.method, first.status, first.authorization) == (NOW, "GET", 200, True)
    assert first.path == f"/v3/marketing/stats/automations/{ID}/links"
    assert dict(first.query) == {"group_by": "step_id", "page_size": "5"}
    assert first.headers["accept"] == "application/json"
    assert (second.status, second.authorization, second.fault) == (401, False, None)
    assert client.simulator.api_key not in repr(client.simulator.requests)
    assert client.simulator.request_count == 2


def test_every_page_served_is_recorded_with_the_list_it_is_of():
    client = Client(record_pages=10)
    client.every_page(page_size=50, group_by="step_id")
    pages = client.simulator.pages
    assert [page.number for page in pages[:3]] == [1, 2, 3]
    assert sum((page.rows for page in pages[:3]), ()) == ROWS == pages[0].listed
    assert pages[0].total == sum(row.clicks for row in ROWS)
