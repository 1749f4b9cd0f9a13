"""`/sd/links` over real HTTP: what it answers while it is off, not known yet, and known."""

import pytest

from tests.web.support import FakeLinks, FakePorts, ask, get, request, running

pytestmark = pytest.mark.e2e

CONTENT = b'[{"targets": ["https://shop.example.com/"], "labels": {}}]'


def test_known_links_are_json_for_get_and_head_alike():
    with running(FakePorts(links=FakeLinks(enabled=True, content=CONTENT))) as server:
        full = get(server, "/sd/links")
        head = ask(server, request("/sd/links", "HEAD"), method="HEAD")

    assert (full.status, full.headers["content-type"], full.body) == (200, "application/json", CONTENT)
    assert {**full.headers, "date": ""} == {**head.headers, "date": ""}
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_links_that_are_off_are_not_found_by_any_method(method):
    with running(FakePorts(links=FakeLinks(enabled=False, content=CONTENT))) as server:
        assert ask(server, request("/sd/links", method), method=method).status == 404


def test_other_methods_are_refused():
    with running(FakePorts(links=FakeLinks(enabled=True))) as server:
        answer = ask(server, request("/sd/links", "POST"), method="POST")

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_unknown_links_are_no_empty_list_so_that_prometheus_keeps_its_targets():
    with running(FakePorts(links=FakeLinks(enabled=True, content=None))) as server:
        answer = get(server, "/sd/links")

    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
