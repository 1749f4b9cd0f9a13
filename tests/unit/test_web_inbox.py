from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.inbox import Inbox
from exporter.web.ports import Limits

REQUEST = b"GET /a%20b?c=%20 HTTP/1.1\r\nHost: h\r\nAccept: x\r\naccept: y\r\n\r\n"


@pytest.fixture
def inbox():
    return Inbox(Limits(), "192.0.2.7")


def test_request_is_read_whole(inbox):
    (request,) = inbox.feed(REQUEST)

    assert (request.method, request.path, request.query) == ("GET", "/a b", "c=%20")
    assert (request.first(b"accept"), request.joined(b"accept"), request.first(b"other")) == ("x", "x, y", None)
    assert (request.keep_alive, request.client, inbox.ended, inbox.partial) == (True, "192.0.2.7", False, False)


@given(st.lists(st.integers(1, len(REQUEST) * 2 - 1), unique=True).map(sorted))
def test_pieces_make_the_same_requests_wherever_they_are_cut(cuts):
    data = REQUEST + REQUEST
    inbox = Inbox(Limits(), "")
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    requests = [request for piece in pieces for request in inbox.feed(piece)]

    assert requests == Inbox(Limits(), "").feed(data)
    assert len(requests) == 2


def test_nothing_is_read_after_the_last_request(inbox):
    requests = inbox.feed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + REQUEST)

    assert [request.keep_alive for request in requests] == [False]
    assert (inbox.ended, inbox.refusal) == (True, None)


def test_trailer_does_not_pass_for_a_header(inbox):
    (request,) = inbox.feed(
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Basic eA==\r\n\r\n"
    )

    assert request.first(b"authorization") is None


def test_body_that_has_to_be_waited_for_is_partial(inbox):
    assert inbox.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n") == []
    assert (inbox.partial, inbox.continue_due) == (True, True)

    (request,) = inbox.feed(b"12345")
    assert (request.method, inbox.partial, inbox.continue_due) == ("POST", False, False)


def test_requests_before_a_refused_one_are_kept(inbox):
    requests = inbox.feed(REQUEST + b"\x00")

    assert (len(requests), inbox.refusal) == (1, HTTPStatus.BAD_REQUEST)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data):
    inbox = Inbox(Limits(), "")
    inbox.feed(b"GET /" + data)
    Inbox(Limits(), "").feed(data)
