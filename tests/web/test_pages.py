import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.pages import CONTENT_SECURITY_POLICY, MAX_ROWS, landing_page
from exporter.web.ports import AutomationRow, Page, Status

pytestmark = pytest.mark.unit

PAGE = Page("name", "1.0", "description", "https://docs.invalid/?a=1&b=2")


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.links = []
        self.text = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_data(self, data):
        self.text.append(data)


def read(page=PAGE, *rows, path="/metrics"):
    reader = Reader()
    reader.feed(landing_page(page, Status(tuple(rows)), telemetry_path=path))
    return reader


def test_page_links_to_every_address():
    assert read(path='/m"e').links == ['m"e', "-/healthy", "-/ready", "https://docs.invalid/?a=1&b=2"]


def test_links_work_below_a_path_prefix():
    links = read(path="/a/metrics").links[:3]

    assert [urljoin("https://h.invalid/exporter/", link) for link in links] == [
        "https://h.invalid/exporter/a/metrics",
        "https://h.invalid/exporter/-/healthy",
        "https://h.invalid/exporter/-/ready",
    ]


@pytest.mark.parametrize("address", [None, "javascript:alert(1)", "data:text/html,x"])
def test_documentation_that_is_no_web_address_is_not_linked(address):
    assert len(read(Page("n", "v", "d", address)).links) == 3


def test_style_is_the_one_that_the_policy_admits():
    style = re.search("<style>(.*)</style>", landing_page(PAGE, Status(), telemetry_path="/"), re.DOTALL)

    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in CONTENT_SECURITY_POLICY


@given(st.text(), st.text())
def test_no_value_can_become_markup(first, second):
    plain = read(PAGE, AutomationRow("a", "b", "c", None, 0))
    page = read(Page(first, second, first, None), AutomationRow(first, second, first, 1.0, 1))

    assert set(page.tags) <= set(plain.tags)
    assert page.tags.count("td") == 5


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (None, "never"),
        (-5.0, "0 s ago"),
        (0.4, "0 s ago"),
        (61.0, "1 min 1 s ago"),
        (3600.0, "1 h ago"),
        (90061.0, "1 d 1 h ago"),
    ],
)
def test_age_is_written_as_people_say_it(age, told):
    assert told in read(PAGE, AutomationRow("a", "b", "", age, 0)).text


def test_long_table_is_cut_and_says_so():
    rows = [AutomationRow(str(n), "x", "success", 1.0, 1) for n in range(MAX_ROWS + 7)]

    page = read(PAGE, *rows)

    assert page.tags.count("tr") == MAX_ROWS + 1
    assert "and 7 more" in page.text
