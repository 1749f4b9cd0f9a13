"""Walking over pages: tokens, refusals, limits, errors beside a list. test_completeness.py has what makes it whole."""

import json
from urllib.parse import quote_from_bytes

import pytest

from exporter.errors import BadRequestError, ExchangeTimeoutError, IncompleteError, InvalidResponseError
from exporter.sendgrid.pages import read_stats
from tests.factories import a_page, a_row
from tests.fakes import pages

pytestmark = pytest.mark.unit

URL = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"
FIRST = a_page(a_row(), total=2, count=2, token="1")
LAST = a_page(a_row(url="b"), total=2, count=2)


def stats_of(*documents):
    return read_stats(pages(*documents), URL, lambda _: "")


def scripted(*steps):
    """Return what fetches documents or raises errors in turn, and the tokens that it was asked for."""
    script, asked = iter(steps), []

    def fetch(token):
        asked.append(token)
        step = next(script)
        if isinstance(step, Exception):
            raise step
        return json.dumps(step).encode()

    return fetch, asked


def with_next(address):
    return {**FIRST, "_metadata": {"count": 2, "next": address}}


@pytest.mark.parametrize("end", [None, "", "absent"])
def test_next_that_is_null_empty_or_absent_ends_the_list(end):
    page = a_page(a_row(), count=1)
    if end != "absent":
        page["_metadata"]["next"] = end

    assert stats_of(page).pages == 1


@pytest.mark.parametrize(
    ("address", "token"),
    [
        (f"{URL}?page_token=x", "x"),
        (f"{URL}?group_by=step_id&page_token=x&page_size=50#top", "x"),
        ("?page_token=x", "x"),
        ("links?page_token=x", "x"),
        ("//other.example/?page_token=x", "x"),
        ("https://evil.example:8443/v3?page_token=x", "x"),
        ("http://api.sendgrid.com/?page_token=x", "x"),
        ("https://user:password@[::1/?page_token=x", "x"),
        ("javascript:alert(1)?page_token=x", "x"),
        ("https://api.sendgrid.com:99999/?page_token=x", "x"),
        (f"{URL}?page_token=a%2Bb%3D%3D", "a+b=="),
        (f"{URL}?page_token=a+b", "a b"),
        (f"{URL}?page_token=a=b==", "a=b=="),
        (f"{URL}?page_token=%C3%A9%F0%9F%98%80", "é😀"),
        (f"{URL}?page_token=%FF%00x", "\udcff\x00x"),
        (f"{URL}?page_token=%26page_token%3Dy", "&page_token=y"),
        (f"{URL}?page_token=100%", "100%"),
        (f"{URL}?page_token=old&page_token=new", "new"),
        (f"{URL}?page_token=x&page_token=", "x"),
        (f"{URL}?page%5Ftoken=x", "x"),
    ],
)
def test_only_the_token_of_the_next_address_is_used(address, token):
    fetch, asked = scripted(with_next(address), LAST)

    assert read_stats(fetch, URL, lambda _: "").pages == 2
    assert asked == [None, token]


@pytest.mark.parametrize(
    "address", ["x", URL, f"{URL}?", f"{URL}?page_token=", f"{URL}#?page_token=x", f"{URL}?token=x", "?PAGE_TOKEN=x"]
)
def test_next_address_without_a_token_is_no_answer_of_the_api(address):
    with pytest.raises(InvalidResponseError, match="has no page_token"):
        stats_of(with_next(address))


def test_page_that_comes_back_is_refused():
    first, second = (a_page(a_row(), token="same") for _ in range(2))

    with pytest.raises(InvalidResponseError, match="comes back"):
        stats_of(first, second)


@pytest.mark.parametrize("counted", [{}, {"count": 0}, {"count": 1}])
def test_list_without_an_end_is_refused(counted):
    endless = (a_page(a_row(url=str(n)), total=1, token=str(n), **counted) for n in range(2001))

    with pytest.raises(InvalidResponseError, match="does not end"):
        stats_of(*endless)


def test_list_with_far_more_rows_than_it_counts_is_given_up_early():
    endless = (a_page(*[a_row()] * 50, count=3, token=str(n)) for n in range(21))

    with pytest.raises(InvalidResponseError, match="1050 rows so far, and it says to have 3"):
        stats_of(*endless)


def test_list_larger_than_any_real_one_is_refused_before_it_fills_the_memory():
    filler = "x" * 7_000_000
    documents = (a_page(a_row(url=filler), token=str(number)) for number in range(2001))

    with pytest.raises(InvalidResponseError, match="larger than"):
        stats_of(*(next(documents) for _ in range(12)))


def test_refused_token_starts_once_again_from_the_first_page():
    fetch, asked = scripted(FIRST, BadRequestError("token"), FIRST, LAST)

    assert read_stats(fetch, URL, lambda _: "").total_clicks == 2
    assert asked == [None, "1", None, "1"]


def test_token_that_is_refused_again_is_the_refusal():
    refused = BadRequestError("the second")
    fetch, _ = scripted(FIRST, BadRequestError("the first"), FIRST, refused)

    with pytest.raises(BadRequestError) as failed:
        read_stats(fetch, URL, lambda _: "")

    assert failed.value is refused


@pytest.mark.parametrize("errors", [[{"message": "x"}], [{}], ["x"], "x", {"message": "x"}, 1, True], ids=json.dumps)
@pytest.mark.parametrize("page", [{"results": []}, {"results": [], "total_clicks": 0}, LAST], ids=["", "zero", "rows"])
def test_errors_beside_a_list_say_that_it_is_none(page, errors):
    fetch, asked = scripted({**page, "errors": errors}, {**page, "errors": errors})

    with pytest.raises(IncompleteError, match=r"errors beside the list \(sorry\)") as failed:
        read_stats(fetch, URL, lambda _: "sorry")

    assert failed.value.stats is None
    assert asked == [None, None]


def test_errors_beside_a_page_start_once_again_from_the_first_one():
    fetch, asked = scripted(FIRST, {**LAST, "errors": [{"message": "x"}]}, FIRST, LAST)

    assert read_stats(fetch, URL, lambda _: "").total_clicks == 2
    assert asked == [None, "1", None, "1"]


@pytest.mark.parametrize("errors", [None, [], {}, "", False])
def test_empty_errors_are_none(errors):
    assert stats_of({**a_page(a_row(), count=1), "errors": errors}).total_clicks == 1


def test_time_that_is_over_in_the_second_walk_leaves_the_doubt_of_the_first():
    """A list that always contradicts its count is published some day, also when there is no time to read it twice."""
    doubtful = a_page(a_row(), count=2)
    fetch, _ = scripted(doubtful, ExchangeTimeoutError("late"))

    with pytest.raises(IncompleteError, match="1 rows, and SendGrid counts 2") as failed:
        read_stats(fetch, URL, lambda _: "")

    assert failed.value.stats is not None


def test_time_that_is_over_in_the_first_walk_is_a_timeout():
    fetch, _ = scripted(FIRST, ExchangeTimeoutError("late"))

    with pytest.raises(ExchangeTimeoutError):
        read_stats(fetch, URL, lambda _: "")


def test_any_bytes_of_a_token_are_read():
    token = bytes(range(256))
    fetch, asked = scripted(with_next(f"?page_token={quote_from_bytes(token)}"), LAST)

    read_stats(fetch, URL, lambda _: "")

    assert asked[1].encode(errors="surrogateescape") == token
