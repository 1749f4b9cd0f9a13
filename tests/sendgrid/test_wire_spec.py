"""Every documented form of the API's answers is understood, and what is none of them is named without being shown."""

import json
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain import AutomationStats
from exporter.errors import IncompleteError, InvalidResponseError, SendGridError
from exporter.sendgrid.pages import read_stats
from exporter.sendgrid.wire import MOST_ROWS, Page, explain_error, foreign_text, parse, parse_page
from tests.conftest import ROOT
from tests.factories import a_page, a_row

pytestmark = pytest.mark.contract

DATA = ROOT / "tests" / "data" / "sendgrid"
SECRET = "no-such-secret"


def hidden(text: str) -> str:
    return text.replace(SECRET, "<hidden>")


def explained(body: bytes) -> str:
    return explain_error(body, "text/plain", hidden)


def stats_of(body: bytes) -> AutomationStats:
    """What comes of a SendGrid that always answers with this."""
    return read_stats(lambda _: body, "url", explained)


def saying(**changes: Any) -> bytes:
    return json.dumps({**a_page(a_row()), **changes}).encode()


def parsed(**changes: Any) -> Page:
    return parse_page(saying(**changes))


def problem_of(document: Any) -> str:
    with pytest.raises(InvalidResponseError) as refused:
        parse_page(document if isinstance(document, bytes) else json.dumps(document).encode())
    return str(refused.value)


@pytest.mark.parametrize("path", sorted(DATA.glob("links*.json")), ids=lambda path: path.stem)
def test_every_documented_page_is_accepted(path):
    assert isinstance(parse_page(path.read_bytes()), Page)


@pytest.mark.parametrize("path", sorted(DATA.glob("error*.json")), ids=lambda path: path.stem)
def test_every_documented_error_is_explained_and_is_no_page_with_statistics(path):
    assert explained(path.read_bytes())
    with pytest.raises(SendGridError):
        stats_of(path.read_bytes())


def test_typical_answer_becomes_its_links_and_total():
    stats = stats_of((DATA / "links.json").read_bytes())

    assert [(link.url, link.url_location, link.clicks) for link in stats.links] == [
        ("https://shop.example/spring", "0", 41),
        ("https://shop.example/spring", "3", 7),
        ("https://shop.example/{{customer_page}}", "", 12),
    ]
    assert (stats.total_clicks, stats.pages) == (60, 1)


@pytest.mark.parametrize("name", ["links_of_nobody.json", "links_null.json"])
def test_nobody_clicked_is_an_empty_list_not_a_failure(name):
    assert stats_of((DATA / name).read_bytes()) == AutomationStats((), 0)


def test_numbers_may_be_spelt_with_a_fraction_of_zero():
    stats = stats_of((DATA / "links_count_as_number.json").read_bytes())

    assert (stats.links[0].clicks, stats.links[0].url_location, repr(stats.total_clicks)) == (4, "2", "4")


@pytest.mark.parametrize("name", ["links_with_fields_of_tomorrow.json", "links_without_metadata.json"])
def test_unknown_and_missing_fields_do_no_harm(name):
    assert stats_of((DATA / name).read_bytes()).total_clicks == 1


def test_null_results_with_clicks_are_incomplete_not_empty():
    with pytest.raises(IncompleteError) as failed:
        stats_of(saying(results=None, total_clicks=3, _metadata={}))

    assert failed.value.stats is None


def test_missing_total_is_told_unless_there_is_nothing_to_count():
    with pytest.raises(InvalidResponseError, match="total_clicks is missing"):
        stats_of(saying(total_clicks=None))
    assert stats_of(saying(results=[], total_clicks=None, _metadata={"count": 0})).total_clicks == 0


def test_errors_beside_a_list_stand_in_the_message_in_one_bounded_line_without_the_secret():
    errors = [{"field": "id", "message": f"no\nsuch {SECRET}", "help": {"max": 50}}, "x" * 1000]

    with pytest.raises(IncompleteError) as failed:
        stats_of(saying(errors=errors))

    message = str(failed.value)
    assert 'SendGrid says: field id, message no such <hidden>, help {"max": 50}; xxx' in message
    assert SECRET not in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"results": [a_row(clicks="7 SECRET")]}, "results.0.clicks"),
        ({"results": [a_row(), a_row(clicks=-1)]}, "results.1.clicks"),
        ({"results": [a_row(clicks=1.5)]}, "results.0.clicks"),
        ({"results": [a_row(clicks=True)]}, "results.0.clicks"),
        ({"results": [a_row(clicks=None)]}, "results.0.clicks"),
        ({"results": [a_row(clicks=2**53 + 1)]}, "results.0.clicks"),
        ({"results": [a_row(clicks=1e300)]}, "results.0.clicks"),
        ({"results": [a_row(url=7)]}, "results.0.url"),
        ({"results": [a_row(url=None)]}, "results.0.url"),
        ({"results": [a_row(step_id=["SECRET"])]}, "results.0.step_id"),
        ({"results": [a_row(url_location="SECRET")]}, "results.0.url_location"),
        ({"results": [a_row(url_location=0.5)]}, "results.0.url_location"),
        ({"results": [{"url": "SECRET", "clicks": 1}]}, "results.0.step_id"),
        ({"results": ["SECRET"]}, "results.0"),
        ({"results": {"SECRET": 1}}, "results"),
        ({"results": "SECRET"}, "results"),
        ({"total_clicks": "SECRET"}, "total_clicks"),
        ({"total_clicks": -1}, "total_clicks"),
        ({"_metadata": ["SECRET"]}, "_metadata"),
        ({"_metadata": {"next": {"SECRET": 1}}}, "_metadata.next"),
        ({"_metadata": {"count": "SECRET"}}, "_metadata.count"),
        ({"_metadata": {"count": -1.0}}, "_metadata.count"),
    ],
)
def test_wrong_field_is_named_and_its_content_is_not_shown(changes, field):
    problem = problem_of({**a_page(a_row()), **changes})

    assert problem.startswith(f"{field}: ")
    assert "SECRET" not in problem


@pytest.mark.parametrize(
    "body", [b"SECRET", b"", b"[1", b"\xff\xfeSECRET", b'{"a": "SECRET', b"[" * 100_000, b"9" * 10_000]
)
def test_what_is_no_json_is_told_without_its_content(body):
    assert "SECRET" not in problem_of(body)


@pytest.mark.parametrize("document", [[], "SECRET", 7, None, True])
def test_json_that_is_no_object_is_told(document):
    assert problem_of(document).startswith("the answer: ")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number):
    assert problem_of(b'{"results": [], "total_clicks": ' + number.encode() + b"}").startswith("total_clicks: ")


@pytest.mark.parametrize(
    ("spelt", "url"),
    [
        (rb"\ud800", "\ufffd"),
        (rb"\udc00x", "\ufffdx"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (b"\xff", "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (rb"\u0000", "\x00"),
    ],
)
def test_text_that_is_not_unicode_is_repaired_not_refused(spelt, url):
    body = b'{"results": [{"url": "%s", "step_id": "s", "clicks": 1}], "total_clicks": 1}' % spelt

    page = parse_page(body)

    assert page.results is not None
    assert page.results[0].url == url


def test_repaired_text_does_not_excuse_a_wrong_field():
    body = b'{"results": [{"url": "\xff", "step_id": "s", "clicks": "SECRET"}], "total_clicks": 1}'

    assert problem_of(body).startswith("results.0.clicks: ")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        (rb"\\ud800", r"\ud800"),
        (rb"\\\ud800", "\\\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\ud83d\n\ude00", "\ufffd\n\ufffd"),
        (rb"\u00e9\ud800\"\\", '\u00e9\ufffd"\\'),
        (rb"\uDBFF\uDFFF\uDBFF", "\U0010ffff\ufffd"),
    ],
)
def test_repair_touches_nothing_but_halves_of_pairs(written, url):
    body = b'{"results": [{"url": "%s\xff", "step_id": "s", "clicks": 1}], "total_clicks": 1}' % written

    page = parse_page(body)

    assert page.results is not None
    assert page.results[0].url == url + "\ufffd"


def test_page_may_have_many_times_the_rows_that_were_asked_for_but_not_any_number():
    def of(rows: int) -> bytes:
        return json.dumps({"results": [a_row()] * rows, "total_clicks": rows}).encode()

    assert len(parse_page(of(MOST_ROWS)).results or ()) == MOST_ROWS
    assert problem_of(of(MOST_ROWS + 1)).startswith("results: ")


def test_first_wrong_row_ends_the_reading():
    body = b'{"results": [' + b"{}," * 350_000 + b"{}]}"
    tracemalloc.start()
    try:
        assert problem_of(body).startswith("results.0.url: ")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1_000_000


ODD = st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 1.0, 0.5, 1e300, None, True, "", "a", "\ud800", [], {}])


@st.composite
def nearly_pages(draw: st.DrawFn) -> bytes:
    """Draw a page of which some fields are missing, or not as they should be."""
    page: dict[str, Any] = deepcopy(a_page(a_row(), a_row(url_location=None), a_row(clicks=2**53)))
    for part in draw(st.lists(st.sampled_from(["page", "row", "_metadata"]), max_size=2)):
        changed = page if part == "page" else page["_metadata"] if part == "_metadata" else page["results"][0]
        if isinstance(changed, dict):
            key = draw(st.sampled_from([*changed, "errors", "x"]))
            changed[key] = deepcopy(draw(ODD))
            if draw(st.booleans()):
                del changed[key]
        if not (page.get("results") and isinstance(page["results"], list) and isinstance(page.get("_metadata"), dict)):
            break
    return json.dumps(page).encode()


@given(nearly_pages())
def test_both_readers_of_a_page_read_the_same(body):
    def read(reader: Callable[[bytes], Page]) -> str:
        try:
            return repr(reader(body))
        except InvalidResponseError as exc:
            return str(exc)

    assert read(parse_page) == read(partial(parse, Page))


def test_byte_order_mark_is_passed_over():
    assert parse_page(b"\xef\xbb\xbf" + json.dumps(a_page(a_row())).encode()).total_clicks == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("error_400.json", "field page_size, message page_size must be between 1 and 50; id b7c1"),
        (
            "error_400_with_help.json",
            'message wrong token, help {"see": "paging"}; field page_token, message unknown',
        ),
        ("error_401.json", "message authorization required"),
        ("error_500_message.json", "message something went wrong"),
        ("error_503_error.json", "error upstream unavailable"),
    ],
)
def test_errors_are_explained_in_one_line(name, text):
    assert explained((DATA / name).read_bytes()) == f"SendGrid says: {text}"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{}", b'{"errors": {}}', b'{"errors": [1, {}]}', b"[" * 100_000],
    ids=lambda body: repr(body[:20]),
)
def test_error_body_of_any_other_form_is_explained_by_nothing(body):
    assert explained(body) == ""


def test_explanation_is_one_bounded_line_however_hostile():
    text = explained(json.dumps({"message": "a\r\nb\x1b[2J\u2028c\ud800" + "x" * 9000}).encode())

    assert text.startswith("SendGrid says: message a b [2J c\ufffdx")
    assert len(text) == len("SendGrid says: ") + 500


@pytest.mark.parametrize("depth", [100, 300, 900, 976, 990, 1000, 3000, 50_000])
@pytest.mark.parametrize("begin", ["[", '{"a":'])
def test_deep_nesting_is_passed_over_and_the_rest_is_explained(depth, begin):
    end = "]" if begin == "[" else "}"
    nested = begin * depth + "1" + end * depth

    assert explained(f'{{"help": {nested}, "message": "why"}}'.encode()) in {"SendGrid says: message why", ""}
    text = explained(f'{{"errors": [{{"message": "why", "help": {nested}}}]}}'.encode())
    assert len(text) <= len("SendGrid says: ") + 500
    assert text == "" or text.startswith("SendGrid says: message why, help ")
    assert problem_of(f'{{"results": {nested}}}'.encode())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<!doctype html>\n<html><head><title>Hotel\x1b WiFi</title></head><body><h1>Log  in", "Hotel WiFi Log in"),
        (b"upstream connect error or disconnect", "upstream connect error or disconnect"),
        (b"\xff\xfe{", "\ufffd\ufffd{"),
        (b"<p " + b"x" * 20_000, ""),
        (b" " * 20_000, ""),
        (b"<html><p> \0 </p>", ""),
        (b"word " * 5000, "word " * 24 + "…"),
        (b"a" * 60 + SECRET.encode() * 200, "a" * 60 + "<hidden>" * 7 + "<hid…"),
    ],
    ids=["portal", "text", "garbage", "endless tag", "blanks", "tags", "long", "secret"],
)
def test_text_that_is_no_json_is_told_by_its_type_and_first_words(body, says):
    says = says and f", beginning with: {says}"

    assert foreign_text(body, " text/html;\r\n charset=x ", hidden) == f"text/html; charset=x{says}"
    assert explain_error(body, "", hidden) == f"no Content-Type{says}"
    assert foreign_text(b' \n{"results": ' + body, "text/html", hidden) == ""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
rows = st.fixed_dictionaries(
    {}, optional={"url": anything, "step_id": anything, "clicks": anything, "url_location": anything}
)
documents = anything | st.fixed_dictionaries(
    {},
    optional={
        "results": st.lists(rows | anything, max_size=3) | anything,
        "total_clicks": anything,
        "_metadata": anything | st.fixed_dictionaries({}, optional={"next": anything, "count": anything}),
        "errors": anything,
    },
)


@given(documents | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_document_is_a_page_or_one_error_and_always_explainable(document):
    body = document if isinstance(document, bytes) else json.dumps(document).encode("utf-8", "surrogatepass")
    explanation = explained(body)
    assert explanation.isprintable() or "\n" not in explanation

    try:
        stats = stats_of(body)
    except SendGridError:
        return
    assert all(isinstance(link.clicks, int) and link.clicks >= 0 for link in stats.links)
    for link in stats.links:
        link.url.encode()


HOSTILE = [b"<", b"<p ", b"\\\\", b"\\ud800", b"\\\\\\ud800", b'{"a":', b"[", b"\xff", b" ", b'"', b"\x1b"]


@pytest.mark.parametrize("begin", [b"", b'{"message": "', b'{"errors": [{"help": ['], ids=["", "message", "help"])
@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_time_grows_with_the_size_and_not_with_its_square(begin, piece):
    def seconds(size: int) -> float:
        body = begin + piece * (size // len(piece))
        best = 9e9
        for _ in range(3):
            started = time.thread_time()
            explained(body)
            with suppress(InvalidResponseError):
                parse_page(body)
            best = min(best, time.thread_time() - started)
        return best

    assert seconds(400_000) < 30 * seconds(50_000) + 0.02


def test_the_examples_are_complete():
    assert len(list(Path(DATA).glob("*.json"))) >= 17
