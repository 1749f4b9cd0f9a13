import contextlib
import gzip
import http.client
import itertools
import json
import os
import resource
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from urllib.parse import parse_qsl, urlsplit

import pytest
import trustme
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient

from sendgrid_simulator import (
    EPOCH,
    Delivery,
    ManualClock,
    Row,
    Simulator,
    Stats,
    demo_automations,
    fixed,
    generated_automations,
)

pytestmark = pytest.mark.e2e

ID = "11111111-1111-4111-8111-111111111111"
STEP = "aaaaaaaa-0000-4000-8000-000000000001"
ROWS = tuple(Row(STEP, f'https://example.com/ü/{n}?a="{{{{x}}}}"\\\n', n or None, n + 1) for n in range(60))
UNBROKEN = (Delivery.WHOLE, Delivery.CHUNKED, Delivery.CONTINUE, Delivery.CLOSE_AFTER)
TRICKLES = (Delivery.TRICKLE_STATUS, Delivery.TRICKLE_HEADERS, Delivery.TRICKLE_BODY)
STALLS = (Delivery.STALL, Delivery.STALL_IN_HEADERS, Delivery.STALL_IN_BODY)
RESETS = (Delivery.RESET_BEFORE, Delivery.RESET_IN_HEADERS, Delivery.RESET_IN_BODY)
CUTS = (Delivery.CLOSE, Delivery.CUT_HEADERS, Delivery.CUT_BODY, Delivery.CUT_CHUNK, Delivery.NOT_HTTP)
DEADLINE = 10.0


@pytest.fixture
def simulator():
    with Simulator((fixed(ID, ROWS),), clock=ManualClock(EPOCH)) as running:
        yield running


def eventually(condition):
    deadline = time.monotonic() + DEADLINE
    waiting = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        waiting.wait(0.005)


class Client:
    """One kept-alive connection."""

    def __init__(self, simulator, context=None):
        parts = urlsplit(simulator.base_url)
        if context is None:
            self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)
        else:
            self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=DEADLINE, context=context)
        self.headers = {"Authorization": f"Bearer {simulator.api_key}", "Accept": "application/json"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def send(self, method="GET", target=f"/v3/marketing/stats/automations/{ID}/links", body=None, **headers):
        self.connection.request(method, target, body=body, headers={**self.headers, **headers})
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()


def raw(simulator, data=None, target=f"/v3/marketing/stats/automations/{ID}/links"):
    """Send bytes on a socket of their own; return it."""
    parts = urlsplit(simulator.base_url)
    plain = socket.create_connection((parts.hostname, parts.port), timeout=DEADLINE)
    if data is None:
        data = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
            f"Authorization: Bearer {simulator.api_key}\r\n\r\n"
        ).encode()
    plain.sendall(data)
    return plain


def read_all(plain):
    parts = []
    with plain:
        while part := plain.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def rows_of(document):
    return [Row(row["step_id"], row["url"], row.get("url_location"), row["clicks"]) for row in document["results"]]


def test_official_client_reads_all_pages_with_its_own_calls(simulator):
    client = SendGridAPIClient(simulator.api_key, host=simulator.base_url).client
    links = client.marketing.stats.automations._(ID).links
    rows, query = [], {"group_by": "step_id", "page_size": 7}
    for _ in range(20):
        response = links.get(query_params=query)
        document = json.loads(response.body)
        rows += rows_of(document)
        following = document["_metadata"].get("next")
        if following is None:
            break
        query["page_token"] = dict(parse_qsl(urlsplit(following).query))["page_token"]

    assert response.status_code == 200
    assert tuple(rows) == ROWS
    assert document["total_clicks"] == sum(row.clicks for row in ROWS)
    assert document["_metadata"]["count"] == 60


def test_official_client_follows_next_as_it_is_given(simulator):
    with Client(simulator) as client:
        target = f"/v3/marketing/stats/automations/{ID}/links?group_by=step_id&page_size=50"
        first = json.loads(client.send(target=target)[2])
        second = json.loads(client.send(target=first["_metadata"]["next"].removeprefix(simulator.base_url))[2])
    assert tuple(rows_of(first) + rows_of(second)) == ROWS
    assert first["_metadata"]["next"].startswith(simulator.base_url + "/v3/")


def test_official_client_reads_the_list_the_statistics_and_the_scopes(simulator):
    automations = list(generated_automations(1, 60, 12, started=EPOCH - 30 * 86_400))
    for automation in automations:
        simulator.account.put(automation)
    client = SendGridAPIClient(simulator.api_key, host=simulator.base_url).client
    listed, query = [], {"page_size": 50}
    for _ in range(3):
        document = json.loads(client.marketing.stats.automations.get(query_params=query).body)
        listed += document["results"]
        if (following := document["_metadata"].get("next")) is None:
            break
        query["page_token"] = dict(parse_qsl(urlsplit(following).query))["page_token"]
    one = client.marketing.stats.automations._(automations[0].id)
    dates = {"start_date": "2024-01-01", "end_date": "2026-01-01", "group_by": "step_id"}
    (step,) = json.loads(one.get(query_params=dates).body)["results"]
    scopes = json.loads(client.scopes.get().body)["scopes"]

    assert [row["id"] for row in listed] == [ID, *(automation.id for automation in automations)]
    assert step["step_id"] == automations[0].step_ids[0]
    assert Stats(**step["stats"]) == simulator.statistics(automations[0].id)
    assert step["stats"]["delivered"] > 1_000
    assert "marketing.read" in scopes


@pytest.mark.parametrize(
    ("key", "automation_id", "query", "status"),
    [
        ("SG.wrong", ID, {}, 401),
        (None, "22222222-2222-4222-8222-222222222222", {}, 404),
        (None, ID, {"page_size": 51}, 400),
    ],
)
def test_official_client_raises_what_the_api_refuses(simulator, key, automation_id, query, status):
    client = SendGridAPIClient(key or simulator.api_key, host=simulator.base_url).client
    with pytest.raises(HTTPError) as refused:
        client.marketing.stats.automations._(automation_id).links.get(query_params=query)
    # The client leaves urllib's answer open, and Python 3.14 warns of that.
    refused.value.__context__.close()
    assert refused.value.status_code == status
    assert "errors" in json.loads(refused.value.body)


def test_one_connection_takes_many_requests(simulator):
    with Client(simulator) as client:
        assert [client.send()[0] for _ in range(20)] == [200] * 20
        assert client.send("POST", body=b"x" * 5_000)[0] == 405
        assert client.send()[0] == 200
        assert simulator.request_count == 22
        assert [exchange.status for exchange in simulator.requests].count(200) == 21


def test_the_answer_to_head_has_no_body(simulator):
    with Client(simulator) as client:
        assert client.send("HEAD")[::2] == (405, b"")
        assert client.send()[0] == 200


def test_pipelined_requests_are_answered_in_order(simulator):
    one = f"GET /{{}} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {simulator.api_key}\r\nAccept: */*\r\n"
    data = (one.format("a") + "\r\n" + one.format("b") + "Connection: close\r\n\r\n").encode()
    assert read_all(raw(simulator, data)).count(b"HTTP/1.1 404") == 2
    assert [exchange.path for exchange in simulator.requests] == ["/a", "/b"]


@pytest.mark.parametrize("ending", [b" HTTP/1.0\r\nHost: h\r\n\r\n", b" HTTP/1.1\r\nConnection: Close\r\n\r\n"])
def test_a_client_that_wants_no_more_is_left(simulator, ending):
    assert read_all(raw(simulator, b"GET /" + ending)).startswith(b"HTTP/1.1 401 Unauthorized\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET / SMTP/1.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /" + b"x" * 70_000,
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nSpace : x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_request_is_refused(simulator, data):
    assert read_all(raw(simulator, data)).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("data", [b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"])
def test_a_request_that_ends_too_early_is_refused(simulator, data):
    half = raw(simulator, data)
    half.shutdown(socket.SHUT_WR)
    assert read_all(half).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_header_given_twice_is_joined(simulator):
    read_all(raw(simulator, b"GET / HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nConnection: close\r\n\r\n"))
    assert simulator.requests[0].headers["x-a"] == "1, 2"


@pytest.mark.parametrize("delivery", UNBROKEN + TRICKLES)
def test_an_unbroken_delivery_arrives_whole(simulator, delivery):
    simulator.put_rows(ID, ROWS[:1])
    with Client(simulator) as client:
        expected = client.send()[2]
        simulator.fault(deliver=delivery, pace=0.0001)
        assert client.send()[2] == expected
        assert client.send()[2] == expected


@pytest.mark.parametrize("preface", [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_raw_bytes_can_come_before_the_status_line(simulator, preface):
    simulator.fault(preface=preface, headers=(("Connection", "close"),), deliver=Delivery.CLOSE_AFTER)
    received = read_all(raw(simulator))
    assert received.startswith(preface + b"HTTP/1.1 200 OK\r\n")


def test_a_body_longer_than_its_length_leaves_bytes_on_the_connection(simulator):
    simulator.fault(status=200, body=b"0123456789", headers=(("Content-Length", "4"),))
    with raw(simulator) as plain:
        eventually(lambda: plain.recv(1 << 16, socket.MSG_PEEK).endswith(b"\r\n\r\n0123456789"))


def test_gzip_inflates_to_the_same(simulator):
    with Client(simulator) as client:
        expected = client.send()[2]
        simulator.fault(deliver=Delivery.GZIP)
        _, headers, body = client.send()
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body) == expected


@pytest.mark.parametrize("delivery", [Delivery.WRONG_GZIP, Delivery.CUT_GZIP])
def test_gzip_can_be_broken(simulator, delivery):
    simulator.fault(deliver=delivery)
    with Client(simulator) as client:
        _, headers, body = client.send()
    assert headers["Content-Encoding"] == "gzip"
    with pytest.raises((OSError, EOFError)):
        gzip.decompress(body)


@pytest.mark.parametrize("delivery", STALLS)
def test_a_stall_lasts_until_the_simulator_stops(delivery):
    simulator = Simulator((fixed(ID, ROWS),)).start()
    simulator.fault(deliver=delivery)
    stalled = raw(simulator)
    eventually(lambda: simulator.request_count == 1)
    stalled.settimeout(0.1)
    received = b""
    with contextlib.suppress(TimeoutError):
        while part := stalled.recv(1 << 16):
            received += part
    assert (b"\r\n\r\n" in received) is (delivery is Delivery.STALL_IN_BODY)
    assert bool(received) is (delivery is not Delivery.STALL)

    before = time.monotonic()
    simulator.stop()
    assert time.monotonic() - before < 3
    stalled.settimeout(DEADLINE)
    assert read_all(stalled) == b""


def test_a_stalled_client_that_leaves_is_forgotten(simulator):
    simulator.fault(deliver=Delivery.STALL)
    stalled = raw(simulator)
    eventually(lambda: simulator.connections == 1)
    stalled.close()
    eventually(lambda: simulator.connections == 0)


@pytest.mark.parametrize("delivery", RESETS)
def test_a_reset_is_seen_as_one(simulator, delivery):
    simulator.fault(deliver=delivery, pace=0.1)
    broken = raw(simulator)
    with pytest.raises(ConnectionResetError):
        read_all(broken)


@pytest.mark.parametrize("delivery", CUTS)
def test_a_cut_answer_ends_in_order_but_too_early(simulator, delivery):
    with Client(simulator) as client:
        expected = client.send()[2]
        simulator.fault(deliver=delivery)
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            # http.client takes headers that end too early for all of them: the body is empty then
            assert (client.send()[2], delivery) == (b"", Delivery.CUT_HEADERS)
    simulator.fault(deliver=delivery)
    received = read_all(raw(simulator))
    assert not received.endswith(expected[-20:])
    assert (received == b"") is (delivery is Delivery.CLOSE)


def test_a_trickle_takes_its_time(simulator):
    simulator.fault(deliver=Delivery.TRICKLE_STATUS, pace=0.02)
    before = time.monotonic()
    with Client(simulator) as client:
        assert client.send()[0] == 200
    assert time.monotonic() - before > 0.02 * len("HTTP/1.1 200 OK")


def test_a_delay_and_the_latency_come_before_the_first_byte(simulator):
    simulator.behave(latency=0.05)
    simulator.fault(delay=0.1)
    with Client(simulator) as client:
        before = time.monotonic()
        client.send()
        between = time.monotonic()
        client.send()
        after = time.monotonic()
    assert 0.149 <= between - before < 5
    assert 0.049 <= after - between < 5


@pytest.mark.parametrize("delivery", [Delivery.HUGE_BODY, Delivery.HUGE_CHUNKS])
def test_a_huge_body_is_streamed_without_being_held(simulator, delivery):
    size = 300 << 20
    simulator.fault(deliver=delivery, size=size)
    with Client(simulator) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        client.connection.request("GET", f"/v3/marketing/stats/automations/{ID}/links", headers=client.headers)
        response = client.connection.getresponse()
        received = sum(map(len, iter(lambda: response.read(1 << 20), b"")))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert received == size
        assert client.send()[0] == 200
    assert after - before < 30 << 10


def test_huge_headers_are_huge(simulator):
    simulator.fault(deliver=Delivery.HUGE_HEADERS, size=1 << 20)
    assert len(read_all(raw(simulator))) > 1 << 20
    simulator.fault(deliver=Delivery.HUGE_HEADERS)
    with Client(simulator) as client, pytest.raises(http.client.HTTPException):
        client.send()


def test_a_bomb_is_small_on_the_wire_and_large_inflated(simulator):
    simulator.fault(deliver=Delivery.GZIP_BOMB, size=64 << 20)
    with Client(simulator) as client:
        body = client.send()[2]
        assert client.send()[0] == 200
    assert len(body) < 128 << 10
    inflated = zlib.decompressobj(31)
    size = 0
    with contextlib.suppress(zlib.error):
        while body:
            size += len(inflated.decompress(body, 1 << 20))
            body = inflated.unconsumed_tail
    assert size > 60 << 20


def test_a_redirect_goes_where_it_is_rows_of(simulator):
    simulator.fault(status=302, headers=(("Location", "https://foreign.example.com/"),))
    with Client(simulator) as client:
        status, headers, _ = client.send()
    assert (status, headers["Location"]) == (302, "https://foreign.example.com/")


def test_a_status_without_a_name_and_a_length_of_the_faults_own_are_sent_as_rows_of(simulator):
    simulator.fault(status=299, body=b"0123456789", headers=(("Content-Length", "4"), ("Connection", "close")))
    received = read_all(raw(simulator, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
    assert received.startswith(b"HTTP/1.1 299 Unknown\r\n")
    assert received.count(b"Content-Length") == 1


def test_https_works_and_a_silent_handshake_holds_up_nobody():
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    with Simulator((fixed(ID, ROWS),), tls=server) as simulator:
        silent = [raw(simulator, b"") for _ in range(5)]
        with Client(simulator, client) as connection:
            status, _, body = connection.send()
            assert status == 200
            assert json.loads(body)["_metadata"]["self"].startswith(simulator.base_url)
            assert simulator.base_url.startswith("https://")
        for delivery in RESETS:
            simulator.fault(deliver=delivery)
            with Client(simulator, client) as connection, contextlib.suppress(OSError, http.client.HTTPException):
                # with TLS http.client takes a reset for the end of what is sent
                assert (connection.send()[2], delivery) == (b"", Delivery.RESET_IN_HEADERS)
        before = time.monotonic()
    assert time.monotonic() - before < 3
    for each in silent:
        each.close()


def test_plain_http_to_a_tls_simulator_is_dropped():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    with Simulator((fixed(ID, ROWS),), tls=server) as simulator:
        plain = raw(simulator, b"GET / HTTP/1.1\r\n\r\n")
        with plain, contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in plain.recv(1_000)
        assert simulator.request_count == 0


def test_many_silent_connections_hold_up_nobody_and_go_with_the_simulator():
    before_threads = threading.active_count()
    with Simulator((fixed(ID, ROWS),)) as simulator:
        silent = [raw(simulator, b"GET /") for _ in range(150)]
        with Client(simulator) as client:
            assert client.send()[0] == 200
        before = time.monotonic()
    assert time.monotonic() - before < 3
    eventually(lambda: threading.active_count() <= before_threads)  # an earlier test's may have ended meanwhile
    for each in silent:
        each.close()


def test_an_idle_simulator_costs_nothing(simulator):
    with Client(simulator) as client:
        client.send()
        before = time.process_time()
        threading.Event().wait(0.3)
        assert time.process_time() - before < 0.03


def test_a_stopped_simulator_can_be_started_again_at_the_same_address():
    simulator = Simulator((fixed(ID, ROWS),))
    simulator.stop()
    with simulator:
        first = simulator.base_url
    with pytest.raises(OSError, match="refused"):
        raw(simulator)
    with simulator, Client(simulator) as client:
        assert simulator.base_url == first
        assert client.send()[0] == 200
    simulator.stop()


def test_an_address_can_be_ipv6():
    simulator = Simulator(host="::1", port=7)
    assert simulator.base_url == "http://[::1]:7"


def test_demo_grows_between_two_calls():
    with Simulator(demo_automations()) as simulator:
        totals = [simulator.links(automation.id)[1] for automation in simulator.automations]
        eventually(lambda: [simulator.links(each.id)[1] for each in simulator.automations] != totals)


def test_commands_are_taken_over_http_only_where_enabled(simulator):
    with Client(simulator) as client:
        assert client.send("POST", "/_simulator/faults", body=b"{}")[0] == 404


@pytest.fixture
def controlled():
    with Simulator((fixed(ID, ROWS),), control=True) as running, Client(running) as client:
        yield running, client


def test_faults_are_planned_and_forgotten_over_http(controlled):
    _, client = controlled
    order = json.dumps([{"status": 503}, {"deliver": "gzip"}, {"status": 500}]).encode()
    assert client.send("POST", "/_simulator/faults", body=order)[0] == 200
    assert client.send()[0] == 503
    assert client.send()[1]["Content-Encoding"] == "gzip"
    assert client.send("DELETE", "/_simulator/faults")[0] == 200
    assert client.send()[0] == 200
    assert client.send("POST", "/_simulator/faults", body=b'{"status":418}')[0] == 200
    assert client.send()[0] == 418


def test_requests_and_numbers_are_given_over_http(controlled):
    simulator, client = controlled
    simulator.fault(status=500)
    client.send()
    recorded = json.loads(client.send("GET", "/_simulator/requests")[2])
    assert [(each["path"], each["status"], each["fault"]) for each in recorded] == [
        (f"/v3/marketing/stats/automations/{ID}/links", 500, True)
    ]
    document = json.loads(client.send("GET", f"/_simulator/links/{ID}")[2])
    assert tuple(rows_of(document)) == ROWS
    assert document["total_clicks"] == sum(row.clicks for row in ROWS)


def test_statistics_are_given_by_step_over_http(controlled):
    simulator, client = controlled
    document = json.loads(client.send("GET", f"/_simulator/statistics/{ID}")[2])
    assert {step_id: Stats(**stats) for step_id, stats in document.items()} == simulator.step_statistics(ID)
    assert client.send("GET", "/_simulator/statistics/22222222-2222-4222-8222-222222222222")[0] == 404


def test_time_is_held_over_http(controlled):
    simulator, client = controlled
    assert client.send("POST", "/_simulator/hold")[0] == 200
    held = simulator.time
    threading.Event().wait(0.01)
    assert simulator.time == held
    assert client.send("POST", "/_simulator/release")[0] == 200
    eventually(lambda: simulator.time > held)


@pytest.mark.parametrize(
    ("method", "name", "body", "status"),
    [
        ("POST", "faults", b"{", 400),
        ("POST", "faults", b"7", 400),
        ("POST", "faults", b'{"stats":1}', 400),
        ("GET", "faults", None, 404),
        ("GET", "links/22222222-2222-4222-8222-222222222222", None, 404),
    ],
)
def test_an_impossible_command_is_refused(controlled, method, name, body, status):
    _, client = controlled
    refused, _, answer = client.send(method, f"/_simulator/{name}", body=body)
    assert refused == status
    assert json.loads(answer)["errors"]


def program_lines(process, number):
    """Return the first lines of a program's output; a program that says nothing fails the test."""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        assert ready.select(DEADLINE), "the program says nothing"
        return list(itertools.islice((line.decode().strip() for line in process.stdout), number))


def test_program_serves_until_it_is_told_to_stop():
    arguments = [
        "--seed",
        "5",
        "--automations",
        "2",
        "--links",
        "30",
        "--rate-limit",
        "0",
        "--speed",
        "10",
        "--control",
        "--warm",
    ]
    runs = []
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "-m", "sendgrid_simulator", *arguments], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        with process:
            lines = program_lines(process, 4)
            values = dict(line.partition("=")[::2] for line in lines[:2])
            parts = urlsplit(values["base_url"])
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)
            identity = lines[2].partition("=")[2].split(" ")[0]
            headers = {"Authorization": f"Bearer {values['api_key']}", "Accept": "*/*"}
            connection.request("GET", f"/v3/marketing/stats/automations/{identity}/links", headers=headers)
            response = connection.getresponse()
            assert response.status == 200
            assert response.getheader("X-RateLimit-Limit") is None
            assert json.loads(response.read())["_metadata"]["count"] > 0
            connection.request("DELETE", "/_simulator/faults")
            assert connection.getresponse().status == 200
            process.send_signal(number)
            assert process.wait(DEADLINE) == 0
            connection.close()
        runs.append(lines[1:])
    assert runs[0] == runs[1]
    assert runs[0][1].endswith("Welcome series")
