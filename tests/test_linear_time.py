"""Whatever reads text from outside takes time in proportion to its length, so that no header can hold the interpreter.

Each reader gets texts of one nasty fragment repeated, of length n and 4n. A linear one takes 4 times as long for the
second, a quadratic one 16 times.
"""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain import LinkClicks
from exporter.labels import LabelHygiene, LabelRules
from exporter.sendgrid.wire import explain_error
from exporter.web.handlers import wanted_names, wants_gzip, wants_openmetrics
from exporter.web.http.parser import RequestParser, is_authority
from exporter.web.ports import Limits
from exporter.web.toolkit.passwords import parse_basic

pytestmark = pytest.mark.unit

WIDE = Limits(line=1 << 20, head=1 << 20, body=1 << 20)
HYGIENE = LabelHygiene(LabelRules(drop_params=("*a*a*a*b", "utm_*", "[!a]*?*=*")))


def requests_of(data):
    parser = RequestParser(WIDE, "")
    parser.feed(data)
    while parser.next_request() is not None:
        pass


def chunked(text):
    requests_of(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + text.encode())


def byte_by_byte(text):
    parser = RequestParser(WIDE, "")
    for byte in b"GET /" + text.encode():
        parser.feed(bytes([byte]))
        parser.next_request()


def explain(text):
    return explain_error(text.encode(), "text/html", lambda shown: shown.replace("SG.secret", "<hidden>"))


READERS = {
    # name: (reader, length n): negotiation looks at 4096 characters, Basic credentials at as many.
    "Accept": (wants_openmetrics, 1000),
    "Accept-Encoding": (wants_gzip, 1000),
    "query": (wanted_names, 15_000),
    "name[]": (lambda text: wanted_names("&".join(["name[]=" + text] * 3)), 5_000),
    "Host": (is_authority, 15_000),
    "authorization": (lambda text: parse_basic("Basic " + text), 1000),
    "target": (lambda text: requests_of(f"GET /{text} HTTP/1.1\r\nHost: h\r\n\r\n".encode()), 15_000),
    "absolute target": (lambda text: requests_of(f"GET http://{text} HTTP/1.1\r\nHost: h\r\n\r\n".encode()), 15_000),
    "request line": (lambda text: requests_of(f"{text}\r\n\r\n".encode()), 15_000),
    "header's name": (lambda text: requests_of(f"GET / HTTP/1.1\r\nHost: h\r\n{text}: a\r\n\r\n".encode()), 15_000),
    "header's value": (lambda text: requests_of(f"GET / HTTP/1.1\r\nHost: h\r\nA: {text}a\r\n\r\n".encode()), 15_000),
    "unfinished head": (lambda text: requests_of(b"GET / HTTP/1.1\r\n" + text.encode()), 15_000),
    "chunks": (chunked, 15_000),
    "byte by byte": (byte_by_byte, 1_000),
    "link's address": (lambda text: HYGIENE.clean((LinkClicks("s", "https://h/?" + text, "", 1),)), 5_000),
    "error body": (explain, 15_000),
    "error's message": (
        lambda text: explain(json.dumps({"errors": [{"message": text}]})),
        15_000,
    ),
}
NASTY = [
    '"',
    '\\"',
    '"\\',
    ",",
    ";",
    ";q=",
    "q=0.",
    " ",
    "\t",
    " a",
    "a ",
    "=",
    "&",
    "%",
    "%25",
    "%%",
    "[",
    "]",
    "[:",
    ":",
]
NASTY += [
    "/",
    "//",
    "?",
    "#",
    "@",
    "a",
    "aa=",
    "a=b&",
    "&a=",
    "{{",
    "}}",
    "{{a}}",
    "\r\n",
    "\r\na:",
    "1\r\na\r\n",
    "0",
    "+",
]
NASTY += ["*", "*/*,", "gzip,", "é", '{"errors":', '[{"a":', "&amp;", "A=", "YTpi"]


def seconds(reader, text):
    begin = time.thread_time()
    reader(text)
    return time.thread_time() - begin


def grows_linearly(reader, fragment, length):
    short, long = (fragment * (size // len(fragment) + 1) for size in (length, 4 * length))
    for _ in range(12):
        four_times = seconds(reader, long)
        # Below 2 ms it harms nobody, and is too little to be measured.
        if four_times < 0.002 or four_times < 9 * min(seconds(reader, short) for _ in range(3)):
            return True
    return False


@pytest.mark.parametrize("name", READERS)
def test_reader_takes_time_in_proportion_to_the_length(name):
    reader, length = READERS[name]

    assert [fragment for fragment in NASTY if not grows_linearly(reader, fragment, length)] == []


@pytest.mark.parametrize("name", READERS)
@given(st.text(st.sampled_from('"\\,;=q/*&%[]{}:. \taA0é#?@'), min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_reader_takes_time_in_proportion_to_the_length_of_any_fragment(name, fragment):
    reader, length = READERS[name]

    assert grows_linearly(reader, fragment, length)


def test_header_that_once_held_the_interpreter_for_half_a_minute_takes_a_moment():
    text = '"' + '\\"' * 31_000

    assert min(seconds(wants_openmetrics, text) for _ in range(3)) < 0.05
    assert min(seconds(wants_gzip, text) for _ in range(3)) < 0.05
