import io
import json
import logging
import warnings

import pytest

from exporter.logs import JsonFormatter, LogfmtFormatter, set_up_logs


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
    failed = record("sent hush", exc_info=(ValueError, ValueError("token hush"), None))

    line = formatter(lambda: ("hush",)).format(failed)

    assert "hush" not in line
    assert line.count("<hidden>") >= 2
    assert "ValueError" in line


def test_empty_secret_hides_nothing():
    assert "<hidden>" not in LogfmtFormatter(lambda: ("",)).format(record("text"))


@pytest.mark.parametrize("level", ["debug", "info", "warning", "warn", "error"])
def test_set_up_writes_from_its_level_on_and_keeps_libraries_quiet(restored_logging, level):
    stream = io.StringIO()

    set_up_logs(level, "logfmt", no_secrets, stream)
    logging.getLogger("exporter.x").error("ours")
    logging.getLogger("urllib3").info("theirs")

    assert "ours" in stream.getvalue()
    assert "theirs" not in stream.getvalue()
    assert restored_logging.level == {"warn": logging.WARNING}.get(level, logging.getLevelName(level.upper()))


def test_setting_up_again_takes_the_place_of_the_former(restored_logging):
    first, second = io.StringIO(), io.StringIO()
    set_up_logs("info", "logfmt", no_secrets, first)

    set_up_logs("info", "json", no_secrets, second)
    logging.getLogger("exporter.x").info("text")

    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["msg"] == "text"
    assert len(restored_logging.handlers) == 1


@pytest.mark.usefixtures("restored_logging")
def test_warnings_of_libraries_are_log_lines():
    stream = io.StringIO()
    set_up_logs("info", "logfmt", no_secrets, stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    assert "old thing" in stream.getvalue()
