import logging
import re
import socket
import threading
import time

import pytest

from exporter.web.ports import AutomationRow, FoundLink, Limits, Status
from tests.web.support import (
    PROMPT,
    FakeHealth,
    FakeMetrics,
    FakePorts,
    FakeReloader,
    FakeStatus,
    ask,
    connect,
    eventually,
    get,
    is_closed,
    read_answer,
    read_to_end,
    request,
    running,
)

pytestmark = pytest.mark.e2e


@pytest.fixture
def fakes():
    return FakePorts()


@pytest.fixture
def server(fakes):
    with running(fakes, enable_lifecycle=True) as server:
        yield server


@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_page_answers_get_and_head_alike(server, path):
    full = get(server, path)
    head = ask(server, request(path, "HEAD"), method="HEAD")

    assert full.status == head.status == 200
    assert len(full.body) == int(full.headers["content-length"]) > 0
    assert {**full.headers, "date": ""} == {**head.headers, "date": ""}
    assert head.body == b""


@pytest.mark.parametrize(
    "path",
    [
        "/metrics/",
        "//metrics",
        "/metric",
        "/-/quit",
        "/-/",
        "/..",
        "/metrics%00",
        "/METRICS",
        "/%zz",
        "/<script>",
        "/%6detrics",
        "/-%2Fhealthy",
    ],
)
def test_other_path_is_not_found_and_is_not_echoed(server, path):
    answer = get(server, path)

    assert (answer.status, answer.body) == (404, b"not found\n")


@pytest.mark.parametrize("path", ["/metrics?", "/metrics?x=%ff&name[=", "http://other:1/metrics"])
def test_same_path_in_other_spelling_is_the_same_page(server, path):
    assert get(server, path).body == b"clicks 1\n"


def test_absolute_address_without_a_path_is_the_landing_page(server):
    assert get(server, "http://other").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
def test_other_method_is_not_allowed(server, method):
    answer = ask(server, request("/metrics", method, "Content-Length: 0"))

    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(("target", "method"), [("*", "OPTIONS"), ("host:443", "CONNECT")])
def test_request_to_the_server_as_a_whole_is_not_allowed(server, target, method):
    assert ask(server, request(target, method)).status == 405


def test_every_page_has_the_security_headers(server):
    for path in ("/", "/metrics", "/-/healthy", "/nothing"):
        headers = get(server, path).headers

        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "deny"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["date"].endswith("GMT")
        assert "server" not in headers


def test_status_page_escapes_every_value(server, fakes):
    hostile = '"><script>alert(1)</script>'
    fakes.status.rows = (
        AutomationRow("<i>&", hostile, error="<u>", next_step="<b>", found=(FoundLink("", "<s>", 1),)),
    )

    page = get(server, "/?q=%22%3E%3Cscript%3Ealert(1)").body.decode()

    assert page.count("<script") == 1, "the page's own"
    assert not {"<i>", "<u>", "<s>", "<b><"} & set(re.findall("<.>|<b><", page))
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/status.json", "application/json"),
        ("/status.css", "text/css; charset=utf-8"),
        ("/status.svg", "image/svg+xml"),
        ("/status.js", "text/javascript; charset=utf-8"),
    ],
)
def test_what_the_status_page_refers_to_is_served(server, path, content_type):
    answer = get(server, path)

    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    assert f'"{path[1:]}"' in get(server, "/").body.decode()


def test_status_page_and_its_data_pass_on_what_is_sought(server, fakes):
    get(server, "/?q=a%26b&sort=clicks")
    get(server, "/status.json?q=c")

    assert fakes.status.sought == ["a&b", "c"]


def test_scrape_does_not_wait_for_the_status_page(server, fakes):
    begun, scraped = threading.Event(), threading.Event()

    def status(_):
        begun.set()
        assert scraped.wait(30)
        return Status()

    fakes.status.status = status
    viewer = threading.Thread(target=get, args=(server, "/"))
    viewer.start()
    assert begun.wait(30)

    assert get(server, "/metrics").status == 200

    scraped.set()
    viewer.join(30)


def test_scrape_passes_on_what_was_asked_for(server, fakes):
    headers = ("Accept: application/openmetrics-text;version=1.0.0", "Accept-Encoding: gzip")

    answer = get(server, "/metrics?name[]=a&name%5B%5D=b%20c", *headers)

    assert fakes.metrics.asked == [(True, True, frozenset({"a", "b c"}))]
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept, Accept-Encoding"


def test_head_takes_no_chunk_of_the_body(server, fakes):
    ask(server, request("/metrics", "HEAD"), method="HEAD")

    assert fakes.metrics.taken == 0


@pytest.mark.parametrize("chunk", [1000, 64 * 1024, 1 << 20])
def test_large_body_arrives_whole_in_any_chunks(server, fakes, chunk):
    fakes.metrics.body = bytes(range(256)) * 20_000
    fakes.metrics.chunk = chunk

    assert get(server).body == fakes.metrics.body


def test_empty_body_has_a_head(server, fakes):
    fakes.metrics.body = b""

    assert get(server).headers["content-length"] == "0"


@pytest.mark.parametrize(
    "metrics",
    [
        FakeMetrics(b"x" * 300_000, length=300_001),
        FakeMetrics(b"x" * 300_000, length=299_999),
        FakeMetrics(b"x" * 300_000, error=RuntimeError("broken")),
    ],
)
def test_body_that_breaks_cuts_the_connection(caplog, metrics):
    with running(FakePorts(metrics)) as server, connect(server) as client:
        client.sendall(request())
        data = read_to_end(client)

        assert len(data.partition(b"\r\n\r\n")[2]) != int(data.split(b"Content-Length: ")[1].split(b"\r")[0])
        assert get(server, "/-/healthy").status == 200
    assert any(record.levelno == logging.ERROR for record in caplog.records)


def test_body_that_breaks_before_its_first_byte_is_an_internal_error(caplog):
    with running(FakePorts(FakeMetrics(error=RuntimeError("secret"), whole_chunks=0))) as server:
        answer = get(server)

    assert (answer.status, answer.body) == (500, b"internal server error\n")
    assert "secret" in caplog.text


def test_page_that_fails_is_an_internal_error_without_details(caplog):
    with running(FakePorts(status=FakeStatus(error=RuntimeError("secret")))) as server:
        answer = get(server, "/")

    assert (answer.status, answer.body) == (500, b"internal server error\n")
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("path", "health"), [("/-/healthy", FakeHealth(dead="no beat")), ("/-/ready", FakeHealth(unready="no beat"))]
)
def test_bad_health_is_reported_with_its_reason(path, health):
    with running(FakePorts(health=health)) as server:
        answer = get(server, path)

    assert (answer.status, answer.body) == (503, b"no beat\n")


def test_reload_runs_on_post_alone(server, fakes):
    refused = get(server, "/-/reload")
    answer = ask(server, request("/-/reload", "POST", "Content-Length: 3") + b"a=b")

    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    assert (answer.status, fakes.reloader.calls) == (200, 1)


FOREIGN = {
    "another origin": ("Origin: https://evil.example",),
    "another port": ("Origin: http://test:1",),
    "no origin to tell": ("Origin: null",),
    "cross-site": ("Sec-Fetch-Site: cross-site",),
    "another host of the site": ("Sec-Fetch-Site: same-site", "Origin: http://test"),
}
OWN = {
    "a program": (),
    "its own page": ("Sec-Fetch-Site: same-origin", "Origin: http://test"),
    "its own page in an older browser": ("Origin: https://TEST",),
    "a person": ("Sec-Fetch-Site: none",),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_reload_from_a_page_of_another_origin_is_refused(server, fakes, case):
    answer = ask(server, request("/-/reload", "POST", "Content-Length: 0", *FOREIGN[case]))

    assert (answer.status, fakes.reloader.calls) == (403, 0)


@pytest.mark.parametrize("case", OWN)
def test_reload_from_elsewhere_is_taken(server, fakes, case):
    answer = ask(server, request("/-/reload", "POST", "Content-Length: 0", *OWN[case]))

    assert (answer.status, fakes.reloader.calls) == (200, 1)


@pytest.mark.parametrize(
    "path", ["/-%2Freload", "/%2D/reload", "/-/%72eload", "//-/reload", "/-/reload/", "/./-/reload"]
)
def test_reload_has_one_spelling(server, fakes, path):
    assert ask(server, request(path, "POST")).status == 404
    assert fakes.reloader.calls == 0


def test_reload_tells_each_problem_on_a_line():
    with running(FakePorts(reloader=FakeReloader(("first", "second"))), enable_lifecycle=True) as server:
        answer = ask(server, request("/-/reload", "POST"))

    assert (answer.status, answer.body) == (500, b"first\nsecond\n")


def test_reload_is_not_found_unless_enabled():
    with running() as server:
        assert ask(server, request("/-/reload", "POST")).status == 404


def test_reload_that_raises_is_answered_and_logged(caplog):
    def explode():
        raise RuntimeError("inside")

    with running(FakePorts(reloader=FakeReloader(act=explode)), enable_lifecycle=True) as server:
        answer = ask(server, request("/-/reload", "POST"))

    assert answer.status == 500
    assert b"inside" not in answer.body
    assert "inside" in caplog.text


def test_reloads_at_once_share_the_next_run_and_hold_up_no_scrape():
    go_on = threading.Event()
    fakes = FakePorts(reloader=FakeReloader(act=lambda: go_on.wait(10)))
    with running(fakes, enable_lifecycle=True) as server:
        clients = [connect(server) for _ in range(6)]
        clients[0].sendall(request("/-/reload", "POST"))
        assert eventually(lambda: fakes.reloader.calls == 1)
        for client in clients[1:]:
            client.sendall(request("/-/reload", "POST"))

        assert get(server).status == 200
        go_on.set()

        assert [read_answer(client)[0].status for client in clients] == [200] * 6
        assert fakes.reloader.calls == 2
        for client in clients:
            client.close()


def test_connection_is_kept_for_the_next_request(server):
    with connect(server) as client:
        for _ in range(3):
            client.sendall(request())
            answer, rest = read_answer(client)

            assert (answer.status, rest) == (200, b"")
            assert "connection" not in answer.headers


def test_pipelined_requests_are_answered_in_order(server):
    paths = ["/metrics", "/-/healthy", "/nothing", "/-/ready"] * 25
    with connect(server) as client:
        client.sendall(b"".join(request(path) for path in paths) + request("/-/ready", "GET", "Connection: close"))
        data = read_to_end(client)

    bodies = [part.split(b"\r\n\r\n")[1].split(b"HTTP/1.1 ")[0] for part in data.split(b"\r\nDate: ")[1:]]
    assert bodies == [b"clicks 1\n", b"ok\n", b"not found\n", b"ok\n"] * 25 + [b"ok\n"]


def test_request_may_come_byte_by_byte(server):
    with connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\n" + request("/-/healthy"):
            client.sendall(bytes([byte]))

        assert read_answer(client)[0].body == b"ok\n"


@pytest.mark.parametrize("line", ["Connection: close", "Connection: keep-alive"])
def test_http_1_0_client_is_answered_and_the_connection_closed(server, line):
    with connect(server) as client:
        client.sendall(f"GET /-/healthy HTTP/1.0\r\n{line}\r\n\r\n".encode())
        data = read_to_end(client)

    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert data.endswith(b"\r\n\r\nok\n")
    assert b"\r\nConnection: close\r\n" in data


def test_client_that_half_closes_is_answered(server):
    with connect(server) as client:
        client.sendall(request("/-/healthy"))
        client.shutdown(socket.SHUT_WR)

        assert read_to_end(client).endswith(b"ok\n")


def test_upgrade_is_passed_over(server):
    with connect(server) as client:
        client.sendall(request("/-/healthy", "GET", "Connection: Upgrade", "Upgrade: h2c") + b"\x00\x01binary")
        data = read_to_end(client)

    assert data.startswith(b"HTTP/1.1 200 ")
    assert data.endswith(b"ok\n")


def test_body_announced_with_expect_is_let_in(server):
    with connect(server) as client:
        client.sendall(request("/-/reload", "POST", "Content-Length: 3", "Expect: 100-continue"))
        assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")

        assert read_answer(client)[0].body == b"reloaded\n"


def test_body_announced_after_another_request_is_let_in_after_its_answer(server):
    with connect(server) as client:
        announced = request("/-/reload", "POST", "Content-Length: 3", "Expect: 100-continue")
        client.sendall(request("/-/healthy") + announced)
        first, rest = read_answer(client)
        assert first.body == b"ok\n"
        assert (rest or client.recv(65536)) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")

        assert read_answer(client)[0].body == b"reloaded\n"


def test_chunked_body_with_trailers_is_read_over(server):
    body = b"3\r\nabc\r\n0\r\nHost: second\r\n\r\n"
    with connect(server) as client:
        client.sendall(request("/-/reload", "POST", "Transfer-Encoding: chunked") + body + request("/-/healthy"))
        first, rest = read_answer(client)
        second, _ = read_answer(client, buffer=rest)

    assert (first.body, second.body) == (b"reloaded\n", b"ok\n")


BAD = {
    "garbage": (b"\x16\x03\x01\x00\xa5\x01\x00\x00", 400),
    "no method": (b"nonsense\r\n\r\n", 400),
    "unknown method": (request("/", "FOO"), 501),
    "NUL in a header": (request("/", "GET", "A: b\x00c"), 400),
    "NUL in the path": (request("/a\x00b"), 400),
    "high byte in the path": (request("/\xff"), 400),
    "space in a header's name": (request("/", "GET", "A : b"), 400),
    "folded header": (request("/", "GET", "A: b", " c"), 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (request("/", "GET", "Host: again"), 400),
    "bad absolute address": (request("http://[::1/metrics"), 400),
    "both lengths": (request("/", "POST", "Content-Length: 3", "Transfer-Encoding: chunked"), 400),
    "two lengths": (request("/", "POST", "Content-Length: 3", "Content-Length: 4"), 400),
    "endless length": (request("/", "POST", "Content-Length: " + "9" * 40), 400),
    "negative length": (request("/", "POST", "Content-Length: -1"), 400),
    "bad chunk": (request("/", "POST", "Transfer-Encoding: chunked") + b"xyz\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "long head": (request("/", "GET", *[f"A{n}: {'b' * 1000}" for n in range(100)]), 431),
    "long line": (b"GET /" + b"a" * 70_000, 414),
    "long line with an end": (request("/" + "a" * 17_000), 414),
    "invalid host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "another protocol": (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
    "long announced body": (request("/", "POST", "Content-Length: 70000"), 413),
    "long chunked body": (request("/", "POST", "Transfer-Encoding: chunked") + b"fffff\r\n" + b"a" * 200_000, 413),
    "long chunk extension": (request("/", "POST", "Transfer-Encoding: chunked") + b"1;" + b"a" * 200_000, 413),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_request_is_answered_and_the_connection_closed(server, case):
    data, status = BAD[case]
    with connect(server) as client:
        client.sendall(data)
        answer, rest = read_answer(client)
        client.shutdown(socket.SHUT_WR)

        assert (answer.status, answer.headers["connection"], rest) == (status, "close", b"")
        assert read_to_end(client) == b""


@pytest.mark.parametrize(
    "data", [request("/", "HEAD", "Host: again"), request("/nothing", "HEAD"), b"HEAD / HTTP/3.0\r\n\r\n"]
)
def test_refused_head_is_answered_without_a_body(server, data):
    with connect(server) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        answer = read_to_end(client)

    assert answer.startswith(b"HTTP/1.1 ")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize(
    "begin", [b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: ", request("/", "POST", "Content-Length: 9"), b"G"]
)
def test_request_that_is_not_finished_in_time_gets_408(begin):
    with running(limits=Limits(request=0.3, linger=0.3)) as server, connect(server) as client:
        client.sendall(begin)
        answer, rest = read_answer(client)

        assert (answer.status, answer.headers["connection"], rest) == (408, "close", b"")
        assert read_to_end(client) == b""


def test_requests_before_a_bad_one_are_answered_first(server):
    with connect(server) as client:
        client.sendall(request("/-/healthy") + request("/nothing") + b"\x00\x00")
        statuses = []
        rest = b""
        for _ in range(3):
            answer, rest = read_answer(client, buffer=rest)
            statuses.append(answer.status)

    assert statuses == [200, 404, 400]


def test_head_just_below_the_bound_is_served(server):
    assert get(server, "/-/healthy", f"A: {'b' * 60_000}").status == 200


def test_request_data_does_not_reach_the_log(server, caplog):
    caplog.set_level(logging.INFO)

    for data in (request("/marker-path?marker-query", "GET", "Marker: header"), b"marker\x00"):
        ask(server, data)

    assert "marker" not in caplog.text.lower()


def test_client_that_goes_away_within_a_body_harms_nobody(server, fakes, caplog):
    fakes.metrics.body = b"x" * 30_000_000
    for _ in range(5):
        with connect(server) as client:
            client.sendall(request())
            client.recv(10)

    fakes.metrics.body = b"small\n"
    assert get(server).body == b"small\n"
    assert caplog.text == ""


def test_idle_connection_is_closed_after_its_time_however_it_fidgets():
    with running(limits=Limits(idle=0.3)) as server, connect(server) as client:
        client.sendall(request())
        read_answer(client)
        begin = time.monotonic()
        while not is_closed(client) and time.monotonic() < begin + PROMPT:
            try:
                client.send(b"\r\n")
            except OSError:
                break

        assert 0.2 < time.monotonic() - begin < PROMPT


def test_answered_connection_that_stays_open_is_closed_after_a_while():
    with running(limits=Limits(linger=0.2)) as server, connect(server) as client:
        client.sendall(b"nonsense\r\n\r\n")
        read_answer(client)

        assert eventually(lambda: is_closed(client), 3)
