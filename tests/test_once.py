import os
from typing import Self

import pytest

from exporter.domain import Automation, Outcome, PollResult
from exporter.logs import LineWriter
from exporter.once import Progress, Round, failures
from tests.factories import an_automation, an_id
from tests.fakes import FakeClock

pytestmark = pytest.mark.unit

OK = PollResult(Outcome.SUCCESS, 1)
NOT_FOUND = PollResult(Outcome.NOT_FOUND, message="HTTP 404: no such automation")
REFUSED = PollResult(Outcome.UNAUTHORIZED, message="HTTP 401: the key was refused")


def named(number: int, name: str | None = None) -> Automation:
    return an_automation(id=an_id(number), name=name or an_id(number))


def ended(*results: tuple[Automation, PollResult], total: int | None = None, **changes: object) -> Round:
    return Round(len(results) if total is None else total, results, **changes)


def test_failure_says_which_automation_by_name_and_id_and_why():
    found = failures(ended((named(1, "Welcome series"), NOT_FOUND), (named(2), OK)))

    assert list(found) == [f'automation "Welcome series" ({an_id(1)}) failed (not_found): HTTP 404: no such automation']


def test_automation_without_a_name_is_said_by_its_id_alone():
    assert next(failures(ended((named(1), NOT_FOUND)))).startswith(f"automation {an_id(1)} failed (not_found)")


def test_failures_for_one_reason_are_one_sentence():
    results = [(named(number, f"A{number}"), REFUSED) for number in range(40)]

    assert list(failures(ended(*results))) == [
        "all 40 automations failed (unauthorized): HTTP 401: the key was refused"
    ]


def test_failures_of_some_automations_name_the_first_five_and_count_the_rest():
    results = [(named(number), NOT_FOUND if number > 1 else OK) for number in range(1, 9)]

    (sentence,) = failures(ended(*results))

    assert sentence.startswith(f"7 of 8 automations failed (not_found): HTTP 404: no such automation: {an_id(2)}, ")
    assert sentence.endswith(f"{an_id(6)} and 2 more")


def test_each_reason_has_a_sentence_of_its_own():
    assert len(list(failures(ended((named(1), REFUSED), (named(2), NOT_FOUND), (named(3), OK))))) == 2


def test_list_that_failed_is_a_sentence_and_spoils_the_result_only_where_it_says_whom_to_poll():
    away = PollResult(Outcome.SERVER_ERROR, message="HTTP 503: SendGrid failed")
    beside = ended((named(1), OK), list_failure=away)
    needed = ended((named(1), OK), list_failure=away, needs_list=True)

    assert list(failures(beside)) == [
        "the list of automations failed (server_error): HTTP 503: SendGrid failed; their statistics are missing"
    ]
    assert next(failures(needed)).endswith("; the account's automations are unknown")
    assert (beside.is_whole, needed.is_whole) == (True, False)


def test_list_that_failed_as_the_automations_did_is_not_said_twice():
    found = failures(ended((named(1), REFUSED), (named(2), REFUSED), list_failure=REFUSED))

    assert list(found) == ["all 2 automations failed (unauthorized): HTTP 401: the key was refused"]


class Console:
    """A progress whose stderr is a file, or a terminal."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.clock = FakeClock()
        self.lines: list[str] = []
        self._reading, self._writing = os.openpty() if is_terminal else os.pipe()
        self.writer = LineWriter(self._writing)
        self.progress = Progress(self.writer, self.lines.append, self.clock)

    def __enter__(self) -> Self:
        self.writer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.__exit__(None, None, None)
        os.close(self._reading)
        os.close(self._writing)

    def screen(self) -> str:
        assert self.writer.flush(10.0)
        os.set_blocking(self._reading, False)
        return os.read(self._reading, 10_000).decode()


def test_elsewhere_than_on_a_terminal_a_line_comes_every_ten_seconds():
    with Console(is_terminal=False) as console:
        for _ in range(25):
            console.clock.advance(1.0)
            console.progress.show(ended((named(1), OK), (named(2), NOT_FOUND), total=200))

    assert console.lines == [
        "2 of 200 automations polled after 10 s, 1 failed",
        "2 of 200 automations polled after 20 s, 1 failed",
    ]


def test_pause_that_sendgrid_asks_for_is_said():
    with Console(is_terminal=False) as console:
        console.clock.advance(12.0)
        console.progress.show(Round(1, pause=47.6))

    assert console.lines == ["0 of 1 automations polled after 12 s; SendGrid's rate limit asks to wait 48 s"]


def test_list_that_is_read_first_is_said():
    with Console(is_terminal=False) as console:
        console.clock.advance(10.0)
        console.progress.show(Round(0))

    assert console.lines == ["reading the account's list of automations for 10 s"]


def test_terminal_has_a_bar_that_goes_when_all_is_done(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    with Console(is_terminal=True) as console:
        console.clock.advance(1.0)
        console.progress.show(ended(*[(named(number), OK) for number in range(100)], total=200))
        drawn = console.screen()
        console.clock.advance(0.1)
        console.progress.show(ended(total=200))
        console.progress.end()
        erased = console.screen()

    assert drawn == "[############............] 100 of 200 automations polled af"
    assert erased == "\r\x1b[K"
    assert not console.lines


def test_round_that_ends_at_once_shows_no_progress():
    with Console(is_terminal=False) as console:
        console.clock.advance(9.0)
        console.progress.show(Round(1))

    assert console.lines == []
