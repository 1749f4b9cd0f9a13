import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.handlers import wanted_names, wants_gzip, wants_openmetrics

pytestmark = pytest.mark.unit

PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_2 = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

TEXT, OPENMETRICS = False, True


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, TEXT),
        ("", TEXT),
        (",,;,", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/plain", TEXT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", TEXT),
        ("image/png", TEXT),
        (PROMETHEUS_3, OPENMETRICS),
        (PROMETHEUS_2, OPENMETRICS),
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT),
        ("application/openmetrics-text", OPENMETRICS),
        ("APPLICATION/OpenMetrics-Text ; Version=1.0.0 ; Q=0.5", OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"', OPENMETRICS),
        ('application/openmetrics-text; note="a,b;c\\"d"', OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", OPENMETRICS),
        ("application/*", OPENMETRICS),
        ("application/*, text/plain", TEXT),
        ("text/plain, application/*", TEXT),
        ("application/openmetrics-text, text/plain", OPENMETRICS),
        ("text/plain, application/openmetrics-text", TEXT),
        ("application/openmetrics-text, */*", OPENMETRICS),
        ("*/*, application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;q=0.4, text/plain;q=0.5", TEXT),
        ("application/openmetrics-text;q=0.5, text/plain;q=0.4", OPENMETRICS),
        ("application/openmetrics-text;q=0.50001, text/plain;q=0.5", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("application/openmetrics-text;q=0, */*", TEXT),
        ("application/openmetrics-text;q=0.0, application/*", TEXT),
        ("text/plain;q=0, */*;q=0.1", OPENMETRICS),
        ("text/plain;q=0, application/openmetrics-text;q=0", TEXT),
        ("text/*;q=0.9, text/plain;q=0.1, application/openmetrics-text;q=0.5", OPENMETRICS),
        ("*/*;q=0", TEXT),
        # A version that nobody serves: another range that fits goes first, else ours of the same type.
        ("application/openmetrics-text;version=9.9.9", OPENMETRICS),
        ("application/openmetrics-text;version=9.9.9, text/plain;version=0.0.4;q=0.1", TEXT),
        ("application/openmetrics-text;version=2.0.0, application/openmetrics-text;version=1.0.0;q=0.5", OPENMETRICS),
        ("text/plain;version=9.9.9", TEXT),
        # Weights that are none: the range does not count.
        ("application/openmetrics-text;q=high, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=., text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=nan, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=-1, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=1e9, text/plain;q=0.1", TEXT),
        ("application/openmetrics-text;q=7, text/plain;q=0.1", OPENMETRICS),
        ('application/openmetrics-text;q="0.2", text/plain;q=0.1', OPENMETRICS),
        ('"', TEXT),
        ('application/openmetrics-text;x="unclosed', OPENMETRICS),
    ],
)
def test_format_is_the_best_that_the_client_takes(accept, expected):
    assert wants_openmetrics(accept) is expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("deflate, br", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.0, identity", False),
        ("gzip;q=0.5, identity;q=1", False),
        ("gzip;q=1, identity;q=0.5", True),
        ("gzip, identity", True),
        ("gzip;q=0.001", True),
        ("*", False),
        ("*;q=0", False),
        ("*, identity;q=0", True),
        ("gzip;q=0, *", False),
        ("gzip;q=0, identity;q=0, *", False),
        ("identity;q=0", False),
        ("identity;q=0, gzip", True),
        ("gzip;q=bad", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_sent_to_who_asks_for_it(accept_encoding, expected):
    assert wants_gzip(accept_encoding) is expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("name[]=", None),
        ("name=a", None),
        ("x=1&y", None),
        ("name[]=a", {"a"}),
        ("name%5B%5D=a&name[]=b&name[]=a", {"a", "b"}),
        ("name[]=a%20b+c", {"a b c"}),
        ("name[]=%ff", {"\ufffd"}),
        ("name[]=%zz", {"%zz"}),
        ("&&&=&name[]=a;b", {"a;b"}),
    ],
)
def test_names_are_those_of_the_query(query, expected):
    assert wanted_names(query) == (None if expected is None else frozenset(expected))


@given(st.text())
def test_no_header_or_query_is_too_strange(text):
    wants_openmetrics(text)
    wants_gzip(text)
    wanted_names(text)
