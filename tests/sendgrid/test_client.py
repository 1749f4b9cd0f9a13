import base64
import gc
import logging
import socket
import ssl
import threading
import tracemalloc

import pytest
import requests
import urllib3

from exporter.clock import SystemClock
from exporter.domain import Endpoint
from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    ExchangeTimeoutError,
    ForbiddenError,
    IncompleteError,
    InvalidResponseError,
    KeyRefusedError,
    RateLimitedError,
    SendGridError,
    ServerError,
    StoppedError,
    UnauthorizedError,
)
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.key import KeyTrial, Turn
from tests.factories import KEY, a_page, a_row, an_automation, an_id, client_options
from tests.fakes import FakeClock, FakeObserver, Reply, ScriptedAdapter, json_reply

pytestmark = pytest.mark.unit

PAGE = json_reply(a_page(a_row()))
URL = f"https://api.sendgrid.com/v3/marketing/stats/automations/{an_id()}/links"


class Bench:
    """A client with everything around it scripted."""

    def __init__(self, *script, key=lambda: KEY, clock=None, **options):
        self.clock = clock or FakeClock()
        self.adapter = ScriptedAdapter(*script)
        self.stop = threading.Event()
        self.observer = FakeObserver()
        self.client = SendGridClient(
            client_options(**options),
            key=key,
            budget=Budget(60_000, clock=self.clock),
            clock=self.clock,
            stop=self.stop,
            observer=self.observer,
            adapter=self.adapter,
        )

    def stats(self, seconds: float = 300.0, **changes):
        return self.client.stats(an_automation(**changes), self.clock.monotonic() + seconds)

    def failure(self, error, seconds: float = 300.0):
        with pytest.raises(error) as failed:
            self.stats(seconds)
        assert type(failed.value) is error or error is SendGridError
        return str(failed.value)


def test_request_is_what_the_api_documents():
    bench = Bench(PAGE, on_behalf_of="sub", page_size=7)

    bench.stats(step_ids=("a", "b"))

    (request,) = bench.adapter.requests
    assert request.method == "GET"
    assert request.url == f"{URL}?group_by=step_id&page_size=7&step_ids=a%2Cb"
    assert dict(request.headers) == {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "tests",
        "on-behalf-of": "sub",
        "Authorization": f"Bearer {KEY}",
    }
    (options,) = bench.adapter.options
    assert (options["timeout"], options["stream"], options["proxies"]) == (30.0, True, None)


def test_pages_are_followed_by_their_token_at_the_configured_host_only():
    bench = Bench(
        json_reply(a_page(a_row(clicks=1), total=3, count=2, token="t%2B1")),
        json_reply(a_page(a_row(clicks=2, url="b"), total=3, count=2)),
    )

    stats = bench.stats()

    assert (stats.total_clicks, stats.pages, len(stats.links)) == (3, 2, 2)
    assert bench.adapter.requests[1].url == f"{URL}?group_by=step_id&page_size=50&page_token=t%2B1"


@pytest.mark.parametrize(
    "target",
    [
        "?page_token=x",
        "https://API.sendgrid.com:443/other?page_token=x",
        "https://evil.example/v3?page_token=x",
        "http://api.sendgrid.com/v3?page_token=x",
        "https://api.sendgrid.com:444/v3?page_token=x",
        "https://api.sendgrid.com@evil.example/?page_token=x",
        "https://[/?page_token=x",
        "https://api.sendgrid.com:99999/?page_token=x",
    ],
)
def test_token_of_any_next_address_is_sent_to_the_configured_host_alone(target):
    page = a_page(a_row(), total=2, count=2)
    page["_metadata"]["next"] = target
    bench = Bench(json_reply(page), json_reply(a_page(a_row(url="b"), total=2, count=2)))

    assert bench.stats().pages == 2
    assert [request.url for request in bench.adapter.requests] == [
        f"{URL}?group_by=step_id&page_size=50",
        f"{URL}?group_by=step_id&page_size=50&page_token=x",
    ]


@pytest.mark.parametrize("token", ["a%2Bb%3D", "%FF%00", "%C3%A9", "a+b", "100%25"])
def test_token_goes_back_as_it_came(token):
    page = a_page(a_row(), total=2, count=2)
    page["_metadata"]["next"] = f"?page_token={token}"
    bench = Bench(json_reply(page), json_reply(a_page(a_row(url="b"), total=2, count=2)))

    bench.stats()

    assert bench.adapter.requests[1].url.endswith(f"&page_token={token}")


@pytest.mark.parametrize("target", ["https://api.sendgrid.com/v3?page_token=", "javascript:alert(1)"])
def test_next_page_without_a_token_is_refused_without_its_address(target):
    page = a_page(a_row(), count=2)
    page["_metadata"]["next"] = target
    bench = Bench(json_reply(page))

    assert target not in bench.failure(InvalidResponseError)
    assert len(bench.adapter.requests) == 1


@pytest.mark.parametrize("key", [KEY, "short"])
def test_errors_beside_a_list_stand_in_the_message_without_the_key(key):
    document = {**a_page(a_row()), "errors": [{"message": f"not for {key}"}]}

    message = Bench(json_reply(document), key=lambda: key).failure(IncompleteError)

    assert message == f"{URL}: SendGrid answered with errors beside the list (SendGrid says: message not for <hidden>)"


def test_redirect_is_not_followed():
    bench = Bench(Reply(302, b"", {"Location": "https://evil.example/"}))

    assert "redirects are not followed" in bench.failure(InvalidResponseError)
    assert len(bench.adapter.requests) == 1


def test_passing_failures_are_tried_again_with_growing_pauses():
    bench = Bench(Reply(500), requests.ConnectionError(), Reply(503), PAGE)

    assert bench.stats().total_clicks == 1
    assert bench.observer.codes == ["500", "none", "503", "200"]
    assert all(0 <= wait <= 2**number for number, wait in enumerate(bench.clock.waits))


def test_failure_that_stays_is_told_after_four_tries():
    bench = Bench(Reply(500))

    assert bench.failure(ServerError).startswith(f"{URL}: HTTP 500")
    assert len(bench.adapter.requests) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_is_tried_once_more_since_blocks_can_be_short(status):
    assert Bench(Reply(status), PAGE).stats().total_clicks == 1


def test_refusal_after_another_failure_is_tried_once_more_too():
    assert Bench(Reply(503), Reply(401), PAGE).stats().total_clicks == 1
    bench = Bench(Reply(503), Reply(401), Reply(503), Reply(401))
    bench.failure(UnauthorizedError)
    assert len(bench.adapter.requests) == 4


def test_missing_scope_is_told_after_the_second_try():
    bench = Bench(Reply(403))
    assert "HTTP 403: the key may not read this" in bench.failure(ForbiddenError)
    assert len(bench.adapter.requests) == 2


@pytest.mark.parametrize("status", [400, 404, 407, 451])
def test_refusal_that_will_not_pass_is_not_repeated(status):
    bench = Bench(Reply(status))

    bench.failure(SendGridError)

    assert len(bench.adapter.requests) == 1


def unauthorized(bench: Bench, automations: int) -> int:
    """Poll so many automations, all in vain; return the number of requests that took."""
    before = len(bench.adapter.requests)
    for number in range(1, automations + 1):
        with pytest.raises(UnauthorizedError):
            bench.stats(id=an_id(number))
    return len(bench.adapter.requests) - before


def test_key_that_was_never_accepted_is_refused_to_all_by_two_requests():
    bench = Bench(Reply(401))

    assert unauthorized(bench, 100) == 2

    bench.clock.advance(10.0)
    assert unauthorized(bench, 100) == 2


def test_key_that_was_accepted_is_refused_to_all_by_two_automations():
    bench = Bench(PAGE, Reply(401))
    bench.stats()

    assert unauthorized(bench, 100) == 4

    bench.clock.advance(10.0)
    assert unauthorized(bench, 100) == 2


def test_refusal_that_is_known_says_what_sendgrid_said_and_about_whom():
    bench = Bench(Reply(401, b'{"errors": [{"message": "authorization required"}]}'))
    unauthorized(bench, 1)

    with pytest.raises(KeyRefusedError) as failed:
        bench.stats(id=an_id(7))

    url = URL.replace(an_id(), an_id(7))
    assert str(failed.value).startswith(f"{url}: HTTP 401: the key was refused")
    assert "authorization required" in str(failed.value)
    assert (failed.value.url, failed.value.reason) == (url, 401)
    assert failed.value.text.startswith("HTTP 401: ")


def test_refusal_of_one_automation_does_not_keep_the_others_from_asking_with_an_accepted_key():
    bench = Bench(PAGE, *[Reply(401)] * 4, PAGE)
    bench.stats()

    assert unauthorized(bench, 1) == 2
    with pytest.raises(UnauthorizedError):
        bench.stats()
    assert bench.stats(id=an_id(2)).total_clicks == 1


def test_first_request_with_a_key_goes_alone_and_the_others_learn_from_it():
    released = threading.Event()
    bench = Bench(lambda _: Reply(401) if released.wait(10) else Reply(500), clock=SystemClock())

    def ask(number: int) -> None:
        with pytest.raises(UnauthorizedError):
            bench.stats(id=an_id(number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    released.set()
    for thread in threads:
        thread.join(20)

    assert len(bench.adapter.requests) == 2


@pytest.mark.parametrize("first", [[Reply(404)], [Reply(400)], [requests.ConnectionError("away")] * 4])
def test_failure_that_says_nothing_of_the_key_lets_the_others_ask(first):
    bench = Bench(*first, PAGE)
    bench.failure(SendGridError)
    waited = list(bench.clock.waits)

    assert bench.stats(id=an_id(2)).total_clicks == 1
    assert bench.clock.waits == waited


def test_first_request_that_hangs_holds_up_the_others_for_five_seconds_only():
    clock = FakeClock()
    trial = KeyTrial(clock)
    assert [trial.turn(lambda: KEY), trial.turn(lambda: KEY)] == [Turn.ASK, Turn.WAIT]

    clock.advance(5.0)

    assert [trial.turn(lambda: KEY), trial.turn(lambda: KEY)] == [Turn.ASK, Turn.ASK]


def test_new_key_is_tried_at_once():
    keys = ["SG.old"]
    bench = Bench(*[Reply(401)] * 2, PAGE, key=lambda: keys[0])
    unauthorized(bench, 3)

    keys[0] = KEY

    assert bench.stats().total_clicks == 1


def test_no_try_begins_when_its_pause_would_end_after_the_deadline():
    bench = Bench(Reply(503, headers={"Retry-After": "20"}))

    bench.failure(ServerError, seconds=15.0)

    assert len(bench.adapter.requests) == 1
    assert bench.clock.waits == []


def test_retry_after_is_honoured():
    bench = Bench(Reply(503, headers={"Retry-After": "20"}), PAGE)

    bench.stats()

    assert bench.clock.waits == [20.0]


@pytest.mark.parametrize(
    "headers", [{}, {"Retry-After": "200"}, {"X-RateLimit-Reset": "200"}, {"X-RateLimit-Reset": "30"}]
)
def test_limit_that_was_hit_is_told_as_such_however_long_its_pause(headers):
    bench = Bench(Reply(429, headers=headers))

    bench.failure(RateLimitedError, seconds=20.0)

    assert set(bench.observer.codes) == {"429"}


def test_exchange_has_no_more_time_than_the_poll_has_left():
    bench = Bench(PAGE)

    bench.stats(seconds=3.0)

    assert bench.adapter.options[0]["timeout"] == pytest.approx(3.0)


def test_poll_whose_time_is_over_between_two_pages_ends_as_a_timeout():
    bench = Bench(json_reply(a_page(a_row(), total=2, count=2, token="x")), PAGE)
    bench.adapter.before = lambda: bench.clock.advance(60.0)

    bench.failure(ExchangeTimeoutError, seconds=60.0)


def test_stop_during_a_pause_ends_the_poll_at_once():
    bench = Bench(Reply(503))
    bench.clock.on_wait = lambda _: bench.stop.set()

    with pytest.raises(StoppedError):
        bench.stats()
    assert len(bench.adapter.requests) == 1


def test_token_that_is_no_longer_taken_starts_once_again_from_the_first_page():
    first = json_reply(a_page(a_row(), total=2, count=2, token="x"))
    last = json_reply(a_page(a_row(url="b"), total=2, count=2))
    bench = Bench(first, Reply(400), first, last)

    assert bench.stats().total_clicks == 2


def test_token_that_is_never_taken_is_a_bad_request():
    first = json_reply(a_page(a_row(), total=2, count=2, token="x"))
    bench = Bench(first, Reply(400), first, Reply(400))

    with pytest.raises(BadRequestError):
        bench.stats()


def test_sendgrids_explanation_stands_in_the_message():
    body = {"errors": [{"field": "page_size", "message": "too large", "help": {"max": 50}}], "id": "abc"}

    message = Bench(json_reply(body, 400)).failure(BadRequestError)

    assert message == (
        f"{URL}: HTTP 400: the request was not accepted "
        '(SendGrid says: field page_size, message too large, help {"max": 50}; id abc)'
    )


@pytest.mark.parametrize("padding", [0, 440, 470, 495])
def test_key_that_the_server_sends_back_is_not_repeated_not_even_a_part_of_it(padding):
    message = Bench(json_reply({"message": "x" * padding + KEY}, 400)).failure(BadRequestError)

    assert KEY[:6] not in message


def test_key_in_a_librarys_message_is_hidden():
    message = Bench(requests.ConnectionError(OSError(f"bad header {KEY}"))).failure(ConnectionFailedError)

    assert KEY not in message
    assert "<hidden>" in message


@pytest.mark.parametrize("breaks", [OSError("reset"), requests.ConnectionError()])
def test_status_counts_although_its_explanation_cannot_be_read(breaks):
    bench = Bench(Reply(401, breaks=breaks))

    bench.failure(UnauthorizedError)

    assert bench.observer.codes == ["401", "401"]


def test_body_that_breaks_is_a_failed_connection_and_still_counts_its_status():
    bench = Bench(Reply(200, breaks=OSError("reset")), PAGE)

    assert bench.stats().total_clicks == 1
    assert bench.observer.codes == ["200", "200"]


def test_observer_learns_durations_and_limits():
    bench = Bench(json_reply(a_page(a_row()), X_RateLimit_Limit="600"))
    bench.adapter.before = lambda: bench.clock.advance(2.0)

    bench.stats()

    ((code, seconds, said),) = bench.observer.requests
    assert (code, seconds, said.limit) == ("200", 2.0, 600.0)


def test_key_is_asked_for_anew_for_each_request():
    keys = iter([KEY, "SG.second"])
    bench = Bench(PAGE, Reply(500), PAGE, key=lambda: KEY if not bench.adapter.requests else next(keys))
    bench.stats()

    bench.stats()

    assert [request.headers["Authorization"] for request in bench.adapter.requests[1:]] == [
        f"Bearer {KEY}",
        "Bearer SG.second",
    ]


def test_closed_client_keeps_no_connection():
    bench = Bench(PAGE)
    bench.stats()
    bench.client.close()
    closed = bench.adapter.closed

    bench.stats()

    assert closed == 1
    assert bench.adapter.closed == 2


def test_proxy_is_used_only_where_it_is_configured(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    bench = Bench(PAGE, proxy="http://127.0.0.1:2")

    bench.stats()

    assert bench.adapter.options[0]["proxies"]["https"] == "http://127.0.0.1:2"


def test_no_log_line_of_any_library_shows_the_key(caplog):
    caplog.set_level(logging.DEBUG)
    bench = Bench(Reply(500, b"{}"), Reply(401, b"{}"))

    bench.failure(UnauthorizedError)

    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("idle", "closed"),
    [(0.0, 0), (59.0, 0), (61.0, 1), (240.0, 1)],
    ids=["at once", "a minute", "more", "Azure's limit"],
)
def test_connection_that_was_idle_for_long_is_closed_and_not_used_again(idle, closed):
    bench = Bench(PAGE)
    bench.stats()
    bench.clock.advance(idle)

    bench.stats()

    assert bench.adapter.closed == closed


def test_only_the_connections_that_are_idle_for_long_are_closed():
    bench = Bench(PAGE)
    with bench.client._connection(), bench.client._connection(), bench.client._connection():
        pass
    bench.clock.advance(50.0)
    bench.stats()
    bench.clock.advance(20.0)

    bench.stats()

    assert bench.adapter.closed == 2


def test_connections_come_and_go_without_being_kept():
    bench = Bench(PAGE)
    for _ in range(20):
        bench.stats()
        bench.clock.advance(61.0)

    assert bench.adapter.closed == 19


@pytest.mark.parametrize(
    "reply",
    [
        lambda: Reply(200, b"{" + b"x" * 9_000_000),
        lambda: Reply(200, b'{"results": 7, "x": "' + b"x" * 8_000_000 + b'"}'),
        lambda: Reply(200, b'{"results": [], "total_clicks": 0, "_metadata": {"next": "' + b"x" * 7_000_000 + b'"}}'),
        lambda: Reply(503, b"x" * 60_000),
        lambda: Reply(200, b"x" * 7_000_000, breaks=OSError("cut")),
        requests.ConnectionError,
    ],
    ids=["too large", "wrong field", "wrong page", "503", "cut", "no connection"],
)
def test_no_failure_keeps_its_answer_alive(reply):
    """Without the collector, so that whatever refers to itself would stay."""
    bench = Bench(lambda _: reply())

    def polls(times: int) -> int:
        for _ in range(times):
            with pytest.raises(SendGridError):
                bench.stats()
            bench.adapter.requests.clear()
        return tracemalloc.get_traced_memory()[0]

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = polls(3)
        grown = polls(10) - before
    finally:
        tracemalloc.stop()
        gc.enable()

    assert grown < 6_000_000


def test_portal_in_place_of_sendgrid_is_told_by_what_it_says():
    page = b"<html><head><title>Hotel WiFi</title></head><body>Please log in</body></html>"

    message = Bench(Reply(200, page, {"Content-Type": "text/html; charset=utf-8"})).failure(InvalidResponseError)

    assert message == (f"{URL}: HTTP 200 with text/html; charset=utf-8, beginning with: Hotel WiFi Please log in")


def test_wrong_field_is_told_with_its_request():
    message = Bench(json_reply({"results": 7})).failure(InvalidResponseError)

    assert message.startswith(f"{URL}: HTTP 200, but results: ")


def test_redirect_to_a_portal_is_told_by_what_it_says():
    reply = Reply(302, b"<h1>Moved</h1>", {"Content-Type": "text/html", "Location": "https://portal.example/"})

    assert Bench(reply).failure(InvalidResponseError).endswith("(text/html, beginning with: Moved)")


def reason(exc: Exception) -> Exception:
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", exc))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("broken", "kind", "says"),
    [
        (reason(socket.gaierror(-2, "Name or service not known")), "DNS", "check the host in sendgrid.base_url"),
        (
            reason(ConnectionRefusedError(111, "Connection refused")),
            "refused",
            "check sendgrid.base_url and sendgrid.pr",
        ),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed")), "certificate", "sendgrid.ca_file"),
        (requests.exceptions.SSLError(ssl.SSLError("wrong version number")), "TLS", "check that the port"),
        (requests.ConnectTimeout(), "no connection", "check the network, a firewall"),
        (requests.ReadTimeout(), None, "if it lasts, raise sendgrid.timeout"),
        (requests.exceptions.ProxyError(OSError("gone")), None, "check DNS, firewall and proxy"),
    ],
    ids=["DNS", "refused", "certificate", "TLS", "connect", "read", "proxy"],
)
def test_broken_exchange_names_its_cause_and_the_next_step(broken, kind, says):
    with pytest.raises(SendGridError) as failed:
        Bench(broken).stats()

    assert says in failed.value.next_step
    assert failed.value.reason == kind


def test_broken_exchange_says_what_happened_and_through_what():
    gone = requests.exceptions.ProxyError(OSError("gone"))

    assert Bench(gone).failure(ConnectionFailedError) == f"{URL}: the proxy: gone"
    assert Bench(requests.ConnectTimeout()).failure(ExchangeTimeoutError) == f"{URL}: no connection in time"
    assert Bench(requests.ReadTimeout()).failure(ExchangeTimeoutError) == f"{URL}: no complete answer in time"


PASSWORD = "p%40ss-w%C3%B6rd%2F"
FORMS = [
    "p@ss-w\u00f6rd/",
    PASSWORD,
    "p%40ss-w%C3%B6rd/",
    base64.b64encode("user:p@ss-w\u00f6rd/".encode()).decode(),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("status", [407, 403, 502])
def test_credentials_that_a_proxy_sends_back_are_hidden(form, status):
    proxy = f"http://user:{PASSWORD}@proxy:3128"
    tunnel = requests.exceptions.ProxyError(OSError(f"Tunnel connection failed: {status} Refused {form}"))
    answers = (
        tunnel,
        requests.exceptions.ProxyError(OSError(f"said {form}")),
        Reply(status, f"Refused {form}".encode()),
        json_reply({"message": form}, status),
        Reply(200, f"Refused {form}".encode(), {"Content-Type": form}),
    )

    for answer in answers:
        message = Bench(answer, proxy=proxy).failure(SendGridError)
        assert not any(each in message for each in FORMS), message


def test_proxy_that_refuses_its_credentials_is_asked_once_and_says_so_for_a_tunnel_too():
    for answer in (Reply(407), requests.exceptions.ProxyError(OSError("Tunnel connection failed: 407 No"))):
        bench = Bench(answer, proxy="http://user:password@proxy:3128")

        with pytest.raises(BadRequestError, match="the proxy refused its credentials") as refused:
            bench.stats()
        assert refused.value.next_step == "check sendgrid.proxy"
        assert len(bench.adapter.requests) == 1


def test_proxy_that_opens_no_tunnel_is_a_failed_connection():
    tunnel = requests.exceptions.ProxyError(OSError("Tunnel connection failed: 403 Forbidden by policy"))

    message = Bench(tunnel, proxy="http://proxy:3128").failure(ConnectionFailedError)

    assert "HTTP 403 to CONNECT: the proxy opens no connection" in message


def test_netrc_does_not_replace_the_key(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.sendgrid.com login x password y\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    bench = Bench(PAGE)

    bench.stats()

    assert bench.adapter.requests[0].headers["Authorization"] == f"Bearer {KEY}"


def test_each_request_is_counted_under_its_endpoint():
    bench = Bench(PAGE)

    bench.stats()

    assert bench.observer.endpoints == [Endpoint.LINKS]
