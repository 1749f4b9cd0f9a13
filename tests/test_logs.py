import contextlib
import json
import logging
import os
import re
import sys
import threading
import time
import tty
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exporter.logs import JsonFormatter, LineWriter, LogfmtFormatter, log_uncaught, set_up_logs, write_all
from tests import pipes

pytestmark = pytest.mark.unit


def record(text: str, *args, level: int = logging.INFO, **changes) -> logging.LogRecord:
    made = logging.LogRecord("exporter.test", level, __file__, 1, text, args, changes.get("exc_info"))
    made.created = 1_760_000_000.25
    return made


@pytest.fixture
def restored_logging():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {name: logging.getLogger(name).level for name in ("urllib3", "asyncio")}
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, former in libraries.items():
        logging.getLogger(name).setLevel(former)
    logging.captureWarnings(capture=False)


def no_secrets() -> tuple[str, ...]:
    return ()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ('a"b', '"a\\"b"'),
        ("a=b", '"a=b"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("\u2028", '"\\u2028"'),
        ("", '""'),
    ],
)
def test_logfmt_is_one_line_with_values_quoted_where_they_must_be(text, written):
    line = LogfmtFormatter(no_secrets).format(record("%s", text))

    assert line == f"ts=2025-10-09T08:53:20.250Z level=info logger=exporter.test msg={written}"


def test_json_has_the_same_fields():
    line = JsonFormatter(no_secrets).format(record("a\nb %d", 7, level=logging.WARNING))

    assert json.loads(line) == {
        "ts": "2025-10-09T08:53:20.250Z",
        "level": "warn",
        "logger": "exporter.test",
        "msg": "a\nb 7",
    }
    assert "\n" not in line


def test_what_a_line_is_about_stands_in_fields_of_its_own():
    made = record("failed: %s", "HTTP 404")
    made.__dict__.update(url="https://example.com/x", automation_id="1", automation="Win back", status=404, other="no")

    line = LogfmtFormatter(no_secrets).format(made)

    assert line.endswith(
        'msg="failed: HTTP 404" automation_id=1 automation="Win back" status=404 url=https://example.com/x'
    )
    assert json.loads(JsonFormatter(no_secrets).format(made))["status"] == "404"


@pytest.mark.parametrize("formatter", [LogfmtFormatter, JsonFormatter])
def test_fields_are_bounded_and_hide_secrets_as_the_message_does(formatter):
    made = record("x" * 9000)
    made.__dict__.update(automation="\x01" * 5000, url=f"https://example.com/{SECRET}", automation_id="\u2028" * 3000)

    line = formatter(lambda: (SECRET,)).format(made)

    assert len(line) <= 8192
    assert SECRET not in line
    assert "https://example.com/<hidden>" in line


def terminal() -> tuple[int, int]:
    reading, writing = os.openpty()
    tty.setraw(writing)
    return reading, writing


def written_to(reading: int) -> bytes:
    """Return all that a closed terminal was given: the kernel hands it over piece by piece."""
    text = b""
    with suppress(OSError):  # EIO, once nobody has the other end open
        while piece := os.read(reading, 1000):
            text += piece
    return text


def test_status_stays_below_the_lines_of_a_terminal_and_goes_when_it_is_empty():
    reading, writing = terminal()
    with LineWriter(writing) as lines:
        lines.show_status("1 of 2")
        assert lines.flush(10.0)
        lines.put("a line")
        assert lines.flush(10.0)
        lines.show_status("")
        assert lines.flush(10.0)
    os.close(writing)

    assert lines.is_terminal
    assert written_to(reading) == b"1 of 2\r\x1b[Ka line\n1 of 2\r\x1b[K"
    os.close(reading)


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warn"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "error"),
    ],
)
def test_levels_are_those_of_the_setting(level, word):
    assert f" level={word} " in LogfmtFormatter(no_secrets).format(record("x", level=level))


@pytest.mark.parametrize("formatter", [LogfmtFormatter, JsonFormatter])
def test_secret_is_hidden_in_the_message_and_in_a_traceback(formatter):
    failed = record("sent hush-hush", exc_info=(ValueError, ValueError("token hush-hush"), None))

    line = formatter(lambda: ("hush-hush",)).format(failed)

    assert "hush" not in line
    assert line.count("<hidden>") >= 2
    assert "ValueError" in line


@pytest.mark.parametrize("secret", ["", "e", "key", "changed"])
def test_short_secret_takes_no_letters_out_of_the_log(secret):
    text = "the key was changed"

    assert f'msg="{text}"' in LogfmtFormatter(lambda: (secret,)).format(record(text))


def test_secret_that_holds_another_is_hidden_whole():
    formatter = LogfmtFormatter(lambda: ("password", "password-and-more"))

    assert formatter.format(record("x password-and-more")).endswith('msg="x <hidden>"')


SECRET = "SG.a-key-that-nobody-may-see"


@pytest.mark.parametrize("formatter", [LogfmtFormatter, JsonFormatter])
@pytest.mark.parametrize(
    "text",
    [
        "x" * 100_000,
        "\x00" * 100_000,
        "\U0001f600" * 100_000,
        SECRET * 10_000,
        *(("x" * number + SECRET) * 1000 for number in range(1, 60)),
        "x" * 7_890 + SECRET + "y" * 10_000,
    ],
    ids=lambda text: f"{text[:2]!r}{len(text)}",
)
def test_line_is_bounded_with_a_mark_and_shows_no_part_of_a_secret(formatter, text):
    line = formatter(lambda: (SECRET, "another-one-that-is-never-used" * 20)).format(record("%s", text))

    assert len(line) <= 8192
    assert "characters left out" in line
    assert "SG." not in line
    assert "nobody-may" not in line
    assert not re.search("[^d]may-see", line)


def test_traceback_keeps_its_beginning_and_its_end_and_is_bounded():
    failed = record("failed", exc_info=(ValueError, ValueError("x" * 50_000 + " the end"), None))

    line = LogfmtFormatter(no_secrets).format(failed)

    assert len(line) <= 8192
    assert 'exception="ValueError: xxx' in line
    assert line.endswith(' the end"')


def test_huge_message_costs_little():
    """Header lines that urllib3 could not parse came to 58 MB."""
    text = "x" * 58_000_000
    formatter = LogfmtFormatter(lambda: tuple(f"secret-number-{number}" for number in range(32)))
    started = time.perf_counter()

    for _ in range(10):
        formatter.format(record("%s", text))

    assert time.perf_counter() - started < 2


def test_values_that_do_not_fit_the_format_are_no_error():
    assert "the line's values do not fit it" in LogfmtFormatter(no_secrets).format(record("%d of %d", "x"))


class Written:
    """A file, and the writer of its lines."""

    def __init__(self, path: Path, lines: LineWriter) -> None:
        self._path = path
        self.lines = lines

    def read(self) -> str:
        assert self.lines.flush(10.0)
        return self._path.read_text()


@pytest.fixture
def written(tmp_path) -> Iterator[Written]:
    with (tmp_path / "stderr").open("wb") as file, LineWriter(file.fileno()) as lines:
        yield Written(tmp_path / "stderr", lines)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "warn", "error"])
def test_set_up_writes_from_its_level_on_and_keeps_libraries_quiet(restored_logging, level, written):
    set_up_logs(level, "logfmt", no_secrets, written.lines)
    logging.getLogger("exporter.x").error("ours")
    logging.getLogger("urllib3").info("theirs")

    assert "ours" in written.read()
    assert "theirs" not in written.read()
    assert restored_logging.level == {"warn": logging.WARNING}.get(level, logging.getLevelName(level.upper()))


def test_setting_up_again_takes_the_place_of_the_former(restored_logging, written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    set_up_logs("info", "json", no_secrets, written.lines)
    logging.getLogger("exporter.x").info("text")

    assert json.loads(written.read())["msg"] == "text"
    assert len(restored_logging.handlers) == 1


@pytest.mark.usefixtures("restored_logging")
def test_warnings_of_libraries_are_log_lines(written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    assert "old thing" in written.read()


def log_at(name: str, seconds: float, text: str, *args: object, level: int = logging.ERROR) -> None:
    made = logging.LogRecord(name, level, __file__, 1, text, args, None)
    made.created = 1_760_000_000.0 + seconds
    logging.getLogger(name).handle(made)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize("name", ["asyncio", "urllib3.connection", "py.warnings", "root"])
def test_flood_of_a_library_is_one_line_with_a_count_each_ten_seconds(name, written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    for number in range(100_000):
        log_at(name, number / 2000, "accept failed for %d", number)

    lines = written.read().splitlines()
    assert len(lines) == 5 + 4 + 1, "a burst, a line for each of the four further tens of seconds, and the rest"
    assert lines[5].endswith('msg="accept failed for 20000 (and 19995 more lines like this one before it)"')
    assert lines[-1].endswith('msg="19999 more lines like this one were left out: accept failed for %d"')


@pytest.mark.usefixtures("restored_logging")
def test_every_automation_may_fail_at_once_but_a_flood_of_our_own_is_counted_too(written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    for number in range(500):
        log_at("exporter.polling.poller", 0.001 * number, "automation %d began to fail", number)
        log_at("exporter.web.front", 0.001 * number, "another line")
    log_at("exporter.polling.poller", 11.0, "automation %d began to fail", 1000)

    text = written.read()
    assert text.count("began to fail") == 101
    assert text.count("another line") == 100 + 1
    assert 'msg="automation 1000 began to fail (and 400 more lines like this one before it)"' in text


@pytest.mark.usefixtures("restored_logging")
def test_clock_that_is_set_back_does_not_silence_the_log(written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    for number in range(10):
        log_at("asyncio", 5.0, "a line %d", number)
    log_at("asyncio", -86400.0, "a line %d", 99)

    assert "a line 99" in written.read()


@pytest.mark.usefixtures("restored_logging")
def test_memory_of_floods_is_bounded(written):
    set_up_logs("info", "logfmt", no_secrets, written.lines)

    for number in range(3000):
        log_at("asyncio", 0.0, f"line {number}\nof several")

    assert written.read().count("\n") <= 1000 + 6


@pytest.mark.usefixtures("restored_logging")
def test_debug_lines_of_ours_are_all_written(written):
    set_up_logs("debug", "logfmt", no_secrets, written.lines)

    for number in range(500):
        log_at("exporter.x", 0.0, "call %d", number, level=logging.DEBUG)

    assert written.read().count("call ") == 500


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    with pipes.full_pipe() as ends:
        yield ends


@pytest.mark.usefixtures("restored_logging")
def test_nobody_waits_for_a_reader_and_what_is_lost_is_counted_and_told(full_pipe):
    reading, writing = full_pipe
    with LineWriter(writing) as lines:
        set_up_logs("debug", "logfmt", no_secrets, lines)
        started = time.perf_counter()
        for number in range(3000):
            logging.getLogger("exporter.x").debug("line %d", number)
        assert not lines.flush(0.2)
        assert time.perf_counter() - started < 5

        lost = lines.dropped
        assert 1900 <= lost < 2000
        os.set_blocking(reading, False)
        text = b""
        deadline = time.monotonic() + 20
        while b"log lines were dropped" not in text and time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                text += os.read(reading, 65536)
    assert f'msg="{lost} log lines were dropped, because stderr was not read or could not be written"' in text.decode()
    assert lines.dropped == lost


@pytest.mark.usefixtures("restored_logging")
def test_lines_that_a_full_disk_refuses_are_counted():
    with Path("/dev/full").open("wb") as file, LineWriter(file.fileno()) as lines:
        set_up_logs("info", "logfmt", no_secrets, lines)
        for _ in range(3):
            logging.getLogger("exporter.x").info("text")
        assert lines.flush(10.0)

    assert lines.dropped == 3


def test_closed_stderr_drops_lines():
    with LineWriter(None) as lines:
        lines.put("text")

    assert lines.dropped == 1


def test_line_is_written_whole_to_a_pipe_that_somebody_made_non_blocking(full_pipe):
    reading, writing = full_pipe
    os.set_blocking(writing, False)
    threading.Timer(0.1, os.read, (reading, 60_000)).start()

    write_all(writing, b"y" * 50_000)

    os.set_blocking(reading, False)
    text = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            text += os.read(reading, 65536)
    assert text.endswith(b"y" * 50_000)


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_ends_a_thread_is_a_log_line(written, monkeypatch):
    for hook, owner in (("excepthook", threading), ("unraisablehook", sys)):
        monkeypatch.setattr(owner, hook, getattr(owner, hook))
    set_up_logs("info", "logfmt", no_secrets, written.lines)
    log_uncaught()

    thread = threading.Thread(target=lambda: 1 / 0, name="unlucky")
    thread.start()
    thread.join()

    assert 'msg="the thread unlucky has ended" exception="Traceback' in written.read()
    assert "ZeroDivisionError" in written.read()


@pytest.mark.usefixtures("restored_logging")
def test_object_that_cannot_be_shown_ends_nobody(written):
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    set_up_logs("info", "logfmt", no_secrets, written.lines)

    logging.getLogger("a.library").error(Broken())

    assert written.read() == "a log line of a.library cannot be written (RuntimeError)\n"
