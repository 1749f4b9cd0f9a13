from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.http.parser import RequestParser, is_authority
from exporter.web.ports import Limits

pytestmark = pytest.mark.unit

REQUEST = b"GET /a%20b?c=%20 HTTP/1.1\r\nHost: h\r\nAccept: x\r\naccept: y\r\n\r\n"


@pytest.fixture
def parser():
    return RequestParser(Limits(), "192.0.2.7")


def read(parser, *pieces):
    """Return the whole requests that the pieces make."""
    requests = []
    for piece in pieces:
        parser.feed(piece)
        while (request := parser.next_request()) is not None:
            requests.append(request)
    return requests


def refusal(data):
    parser = RequestParser(Limits(), "")
    read(parser, data)
    return parser.refusal


def test_request_is_read_whole(parser):
    (request,) = read(parser, REQUEST)

    assert (request.method, request.path, request.query) == ("GET", "/a%20b", "c=%20")
    assert (request.first(b"accept"), request.joined(b"accept"), request.first(b"other")) == ("x", "x, y", None)
    assert (request.keep_alive, request.client, parser.ended, parser.partial) == (True, "192.0.2.7", False, False)


CHUNKED = (
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;ext=1\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)
LENGTH = b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd"


@given(st.lists(st.integers(1, 2 * len(REQUEST + CHUNKED + LENGTH) - 1), unique=True).map(sorted))
def test_pieces_make_the_same_requests_wherever_they_are_cut(cuts):
    data = (REQUEST + CHUNKED + LENGTH) * 2
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    requests = read(RequestParser(Limits(), ""), *pieces)

    assert requests == read(RequestParser(Limits(), ""), data)
    assert [request.method for request in requests] == ["GET", "POST", "POST"] * 2


def test_nothing_is_read_after_the_last_request(parser):
    requests = read(parser, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + REQUEST)

    assert [request.keep_alive for request in requests] == [False]
    assert (parser.ended, parser.refusal) == (True, None)


def test_trailer_does_not_pass_for_a_header(parser):
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    (request,) = read(parser, head + b"0\r\nAuthorization: Basic eA==\r\n\r\n")

    assert request.first(b"authorization") is None


def test_body_that_has_to_be_waited_for_is_partial(parser):
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    assert read(parser, head) == []
    assert (parser.partial, parser.continue_due) == (True, True)

    (request,) = read(parser, b"12345")
    assert (request.method, parser.partial, parser.continue_due) == ("POST", False, False)


@pytest.mark.parametrize(
    ("version", "body"), [(b"1.0", b""), (b"1.1", b"1")], ids=["HTTP/1.0 knows no 100", "the body is on its way"]
)
def test_no_100_is_due(parser, version, body):
    read(parser, b"POST / HTTP/%b\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" % version + body)

    assert parser.continue_due is False


def test_requests_before_a_refused_one_are_kept(parser):
    requests = read(parser, REQUEST + b"\x00")

    assert (len(requests), parser.refusal) == (1, HTTPStatus.BAD_REQUEST)


@pytest.mark.parametrize(
    ("data", "head_only"),
    [
        (b"HEAD / HTTP/3.0\r\n\r\n", True),
        (b"HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", True),
        (b"HEAD /\x00", True),
        (b"HEADS / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/3.0\r\n\r\n", False),
    ],
)
def test_refused_head_has_no_body(parser, data, head_only):
    read(parser, data)

    assert (parser.refusal is not None, parser.head_only) == (True, head_only)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / RTSP/1.0", 400),
        (b"OPTIONS * RTSP/1.0", 400),
        (b"GET / ICE/1.0", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET\t/ HTTP/1.1", 400),
        (b"GET / HTTP/11", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET metrics HTTP/1.1", 400),
        (b"GET ftp://h/ HTTP/1.1", 400),
        (b"GET http:///metrics HTTP/1.1", 400),
        (b"GET http://user@h/ HTTP/1.1", 400),
        (b"CONNECT /metrics HTTP/1.1", 400),
        (b"PRI * HTTP/2.0", 400),
        (b"GET /", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"get / HTTP/1.1", 501),
        (b"PROPFIND / HTTP/1.1", 501),
        (b"GET / HTTP/1.9", None),
        (b"GET HTTPS://h:1/x?y HTTP/1.1", None),
        (b"CONNECT [::1]:443 HTTP/1.1", None),
    ],
)
def test_request_line_gets_the_status_that_its_fault_has(line, status):
    assert refusal(line + b"\r\nHost: h\r\n\r\n") == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Host: h\r\nTransfer-Encoding: gzip, chunked", 501),
        (b"Host: h\r\nTransfer-Encoding: chunked, chunked", 501),
        (b"Host: h\r\nTransfer-Encoding: chunked, gzip", 400),
        (b"Host: h\r\nTransfer-Encoding: xchunked", 400),
        (b"Host: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        (b"Host: h\r\nContent-Length: 3, 3", 400),
        (b"Host: h\r\nContent-Length: +3", 400),
        (b"Host: h\r\nContent-Length:", 400),
        (b"Host: h\r\nA: b\rc", 400),
        (b"Host: h\r\nA: b\r", 400),
        (b"Host: h\nA: b", 400),
        (b"Host: h\r\n: b", 400),
        (b"Host: h\r\nA", 400),
        (b"Host: h\r\n" + b"A:\r\n" * 300, 431),
        (b"Host:", None),
        (b"host:h \t", None),
    ],
)
def test_headers_get_the_status_that_their_fault_has(fields, status):
    assert refusal(b"GET / HTTP/1.1\r\n" + fields + b"\r\n\r\n") == status


@pytest.mark.parametrize(
    "chunks", [b"1\r\naXX0\r\n\r\n", b"-1\r\n", b"\r\n", b"1 ;\n\r\n", b"g\r\n", b"0x1\r\n", b"0\r\nno trailer\r\n\r\n"]
)
def test_chunks_that_are_none_are_refused(chunks):
    assert refusal(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks) == 400


def test_body_of_many_small_chunks_is_too_large():
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert refusal(head + b"1\r\na\r\n" * 1000) == 413


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize(
    "host", [b"a b", b"a/b", b"user@a", b"[::1", b"[:::1]", b"a:b", b"a:1:2", b"a\xe9", b"<a>", b"%zz"]
)
def test_host_that_is_none_is_refused(version, host):
    assert refusal(b"GET / HTTP/" + version + b"\r\nHost: " + host + b"\r\n\r\n") == 400


@pytest.mark.parametrize(
    "host", ["", "a", "a.example:80", "a:", "127.0.0.1:10154", "[::1]:80", "[2001:db8::1]", "a_b", "%41"]
)
def test_host_that_is_one_is_taken(host):
    assert is_authority(host)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data):
    parser = RequestParser(Limits(), "")
    read(parser, b"GET /" + data)
    read(RequestParser(Limits(), ""), data)
    read(RequestParser(Limits(), ""), b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
