"""What must hold for any input from outside, as properties that a test tries shortly and `make fuzz` for long."""

import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import IncompleteError, InvalidResponseError
from exporter.sendgrid.budget import read_rate_limit
from exporter.sendgrid.pages import read_stats
from exporter.sendgrid.wire import explain_error, parse_page
from exporter.web.toolkit import WebConfigError
from exporter.web.toolkit.config_file import parse

_URL: Final = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"
_SECRET: Final = "SG.secret-secret-secret"
_HASH: Final = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"


def _explained(body: bytes) -> str:
    return explain_error(body, "text/html", lambda text: text.replace(_SECRET, "<hidden>"))


_text = st.text(max_size=20) | st.just("\ud83d") | st.just("https://example.com/\x00")
_number = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 2**53, 2**53 + 1, 10**30, 10**400])
_json = st.recursive(
    st.none() | st.booleans() | _number | _text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_clicks = st.integers(0, 5) | _number | _json
_row = st.fixed_dictionaries(
    {},
    optional={"url": _text | _json, "step_id": _text | _json, "clicks": _clicks, "url_location": _clicks},
)
_next = st.none() | st.just("") | st.builds(f"{_URL}?page_token={{}}".format, st.integers(0, 3)) | _text | _json
_metadata = st.fixed_dictionaries({}, optional={"next": _next, "count": _clicks}) | _json
_page = st.fixed_dictionaries(
    {},
    optional={
        "results": st.lists(_row, max_size=4) | _json,
        "total_clicks": _clicks,
        "_metadata": _metadata,
        "errors": _json,
    },
)
_body = (_page | _json).map(lambda document: json.dumps(document).encode()) | st.binary(max_size=60)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A page with some of its bytes overwritten, cut or repeated."""
    body = bytearray(draw(_body))
    for _ in range(draw(st.integers(0, 3))):
        place, piece = draw(st.integers(0, len(body))), draw(st.binary(max_size=4))
        body[place : place + draw(st.integers(0, 4))] = piece
    return bytes(body)


@given(st.lists(_damaged(), min_size=1, max_size=5))
def any_pages(bodies: list[bytes]) -> None:
    """Whatever SendGrid answers is read whole or refused; what is read can be published."""
    answers = iter(bodies)
    try:
        stats = read_stats(lambda _: next(answers, bodies[-1]), _URL, _explained)
    except (InvalidResponseError, IncompleteError) as exc:
        _assert_one_line(str(exc))
        return
    keys = [link[:3] for link in stats.links]
    assert len(keys) == len(set(keys))
    assert 0 <= stats.total_clicks <= 2**53
    for link in stats.links:
        assert link.clicks >= 0
        "".join(link[:3]).encode()


@given(_damaged())
def any_page(body: bytes) -> None:
    """A body is a page or an invalid response, and nothing else."""
    try:
        parse_page(body)
    except InvalidResponseError as exc:
        _assert_one_line(str(exc))


@given(_damaged() | _json.map(lambda document: json.dumps({"errors": [document], "message": _SECRET}).encode()))
def any_explanation(body: bytes) -> None:
    """An explanation is one printable line without the key."""
    said = _explained(body)
    assert _SECRET not in said
    assert "\n" not in said
    said.encode()


_header = st.text(max_size=12) | _number.map(str) | st.sampled_from(["nan", "inf", "-1", "1e999", "Thu, 01 Jan 1970"])


@given(
    st.dictionaries(
        st.sampled_from(["X-RateLimit-Limit", "x-ratelimit-remaining", "X-RATELIMIT-RESET", "Retry-After", "Date"]),
        _header,
    ),
    st.floats(-1e12, 1e12),
)
def any_rate_limit(headers: dict[str, str], now: float) -> None:
    """No header makes the exporter wait for ever, or back in time."""
    limit = read_rate_limit(headers, now)
    assert limit.reset_in is None or 0 <= limit.reset_in <= 300
    assert limit.retry_after is None or 0 <= limit.retry_after <= 300


def _assert_one_line(message: str) -> None:
    """An operator reads it in a log: short, one line, nothing that steers a terminal, no secret."""
    assert 0 < len(message) < 1_000
    assert not any(unicodedata.category(character) in {"Cc", "Zl", "Zp", "Cs"} for character in message), message
    assert _HASH not in message
    assert _SECRET not in message


_KEYS: Final[Mapping[str, list[str]]] = MappingProxyType(
    {
        "tls_server_config": ["cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "cipher"],
        "http_server_config": ["http2", "headers"],
        "basic_auth_users": ["alice", "bob"],
        "rate_limit": ["interval", "burst"],
        "unknown": ["key"],
    }
)
_scalar = st.sampled_from(["a.crt", "TLS12", "TLS13", "NoClientCert", "true", "no", "1m", "20", _HASH, "", "~", "[x]"])


@st.composite
def _web_text(draw: st.DrawFn) -> str:
    """A web config file that is nearly right, then damaged a little."""
    lines = []
    for group in draw(st.lists(st.sampled_from(sorted(_KEYS)), max_size=4)):
        lines.append(f"{group}:")
        keys = draw(st.lists(st.sampled_from(_KEYS[group]), max_size=4))
        lines += [f"  {key}: {draw(_scalar | st.text(max_size=10))}" for key in keys]
    text = "\n".join(lines)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.text(max_size=3)) + text[place + draw(st.integers(0, 2)) :]
    return text


@given(_web_text() | st.text(max_size=80))
def any_web_config(text: str) -> None:
    """A web config file is taken or refused with sentences of one line, and never half."""
    try:
        config = parse(text, Path("/etc/exporter"))
    except WebConfigError as exc:
        for problem in exc.problems:
            _assert_one_line(problem)
        return
    assert all(len(hashed) == 60 for hashed in config.users.values())


PROPERTIES: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "any pages": any_pages,
        "any page": any_page,
        "any explanation": any_explanation,
        "any rate-limit headers": any_rate_limit,
        "any web config file": any_web_config,
    }
)
