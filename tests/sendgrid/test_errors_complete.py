"""Whatever the libraries raise and whatever status SendGrid answers, a poll ends in one error of our tree."""

import http.client
import inspect
import io
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests.exceptions
import urllib3.exceptions

from exporter import errors
from exporter.domain import Outcome
from exporter.errors import SendGridError
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from tests.factories import KEY, a_page, a_row, an_automation, client_options
from tests.fakes import FakeClock, FakeObserver, Reply, ScriptedAdapter, json_reply

pytestmark = pytest.mark.contract


def name_of(kind: type[Exception]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def theirs() -> list[type[Exception]]:
    """Return every exception class of the libraries, warnings apart, always in one order."""
    found = {
        each
        for module in (requests.exceptions, urllib3.exceptions)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, Exception) and not issubclass(each, Warning)
    }
    return sorted((each for each in found if each.__module__.startswith(("requests", "urllib3"))), key=name_of)


def made(kind: type[Exception]) -> Exception:
    """Make an error of the class, without knowing what its constructor wants but where its repr needs it."""
    if kind is urllib3.exceptions.IncompleteRead:
        return kind(1, 2)
    if kind is urllib3.exceptions.InvalidChunkLength:
        return kind(urllib3.HTTPResponse(io.BytesIO(), preload_content=False), b"x")
    return kind.__new__(kind)


def failure_of(*script: Any) -> SendGridError:
    clock = FakeClock()
    client = SendGridClient(
        client_options(),
        key=lambda: KEY,
        budget=Budget(60_000, clock=clock),
        clock=clock,
        stop=threading.Event(),
        observer=FakeObserver(),
        adapter=ScriptedAdapter(*script),
    )
    with pytest.raises(SendGridError) as failed:
        client.stats(an_automation(), clock.monotonic() + 300.0)
    return failed.value


@pytest.mark.parametrize("kind", theirs(), ids=name_of)
def test_every_error_of_the_libraries_becomes_one_of_ours(kind):
    outcomes = {Outcome.TIMEOUT, Outcome.CONNECTION_ERROR, Outcome.INVALID_RESPONSE}

    assert failure_of(made(kind)).outcome in outcomes
    assert failure_of(Reply(200, breaks=made(kind))).outcome in outcomes


def test_the_walk_over_the_libraries_finds_their_classes():
    names = {kind.__name__ for kind in theirs()}

    assert {"ChunkedEncodingError", "MaxRetryError", "ReadTimeoutError", "SSLError", "InvalidChunkLength"} <= names
    assert len(names) > 40


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (requests.exceptions.ConnectTimeout(), Outcome.TIMEOUT),
        (requests.exceptions.ReadTimeout(), Outcome.TIMEOUT),
        (requests.exceptions.ConnectionError(TimeoutError()), Outcome.TIMEOUT),
        (TimeoutError(), Outcome.TIMEOUT),
        (urllib3.exceptions.ReadTimeoutError(None, "", ""), Outcome.TIMEOUT),  # type: ignore[arg-type]
        (urllib3.exceptions.NewConnectionError(None, ""), Outcome.CONNECTION_ERROR),  # type: ignore[arg-type]
        (requests.exceptions.ConnectionError(socket.gaierror(-2, "unknown")), Outcome.CONNECTION_ERROR),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed")), Outcome.CONNECTION_ERROR),
        (urllib3.exceptions.ProtocolError("cut", http.client.IncompleteRead(b"")), Outcome.CONNECTION_ERROR),
        (ConnectionResetError("reset"), Outcome.CONNECTION_ERROR),
        (requests.exceptions.ContentDecodingError(), Outcome.INVALID_RESPONSE),
        (requests.exceptions.TooManyRedirects(), Outcome.INVALID_RESPONSE),
        (urllib3.exceptions.DecodeError(), Outcome.INVALID_RESPONSE),
    ],
    ids=repr,
)
def test_errors_are_told_by_what_they_mean(error, outcome):
    assert failure_of(error).outcome is outcome


def outcome_of_status(status: int) -> Outcome:
    special = {
        401: Outcome.UNAUTHORIZED,
        403: Outcome.FORBIDDEN,
        404: Outcome.NOT_FOUND,
        429: Outcome.RATE_LIMITED,
    }
    by_class = {4: Outcome.BAD_REQUEST, 5: Outcome.SERVER_ERROR}
    return special.get(status) or by_class.get(status // 100, Outcome.INVALID_RESPONSE)


@pytest.mark.parametrize("status", [*(code for code in range(100, 600) if code != 200), 0, 1, 99, 600, 999])
def test_every_status_but_200_is_one_failure_that_names_it(status):
    error = failure_of(Reply(status, b'{"errors": [{"message": "why"}]}'))

    assert error.outcome is outcome_of_status(status)
    assert f"HTTP {status}" in str(error)


def subclasses(kind: type[SendGridError]) -> Iterator[type[SendGridError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_failure_has_an_outcome_and_every_outcome_is_reached():
    ours = {each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, SendGridError)}
    reached = {kind.outcome for kind in subclasses(SendGridError)}

    assert {kind.outcome for kind in ours - {SendGridError}} == reached
    # the two that are no failure of SendGrid's; test_poller reaches them
    assert set(Outcome) - reached == {Outcome.SUCCESS, Outcome.INTERNAL_ERROR}


def test_every_class_of_the_tree_stands_in_its_drawing():
    drawn = errors.__doc__ or ""

    for name, each in inspect.getmembers(errors, inspect.isclass):
        if issubclass(each, errors.ExporterError):
            assert f"─ {name} " in drawn or name == "ExporterError"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b"7", b'"text"', b'{"results": []', b"\xff", b"[" * 100_000, b'{"results": {}}'],
    ids=lambda body: repr(body[:20]),
)
def test_200_with_another_body_is_an_invalid_response(body):
    assert failure_of(Reply(200, body)).outcome is Outcome.INVALID_RESPONSE


def test_pages_that_contradict_each_other_are_incomplete():
    assert failure_of(json_reply(a_page(a_row(), count=2))).outcome is Outcome.INCOMPLETE
