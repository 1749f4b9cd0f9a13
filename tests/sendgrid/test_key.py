import io
import logging
import os
from pathlib import Path

import pytest

from exporter.errors import ConfigurationError
from exporter.logs import LogfmtFormatter
from exporter.sendgrid.key import KeyFile

pytestmark = pytest.mark.unit


def read(path: Path) -> str:
    try:
        text = path.read_text()
    except OSError:
        raise ConfigurationError(["sendgrid.api_key_file: cannot read it"]) from None
    if not text:
        raise ConfigurationError(["sendgrid.api_key_file: the key is empty"])
    return text


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "key"
    file.write_text("first")
    return file


def looked(key: KeyFile) -> str:
    key.look()
    return key()


def rotate(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def test_key_is_read_once_while_the_file_stays(path):
    reads = []
    key = KeyFile(path, lambda file: reads.append(file) or read(file))

    assert [looked(key), looked(key)] == ["first", "first"]
    assert len(reads) == 1


def test_replaced_file_gives_its_new_key_at_the_next_look(path, caplog):
    caplog.set_level(logging.INFO)
    key = KeyFile(path, read)

    rotate(path, "second")

    assert looked(key) == "second"
    assert [record.getMessage() for record in caplog.records] == ["sendgrid.api_key_file: the key was read again"]


def test_request_for_the_key_never_touches_the_disk(path):
    key = KeyFile(path, read)

    path.unlink()

    assert key() == "first"
    assert key.known() == ("first",)


def test_touched_file_with_the_same_key_says_nothing(path, caplog):
    caplog.set_level(logging.INFO)
    key = KeyFile(path, read)

    os.utime(path, (1, 1))

    assert looked(key) == "first"
    assert not caplog.records


def test_file_that_vanishes_or_empties_keeps_the_last_good_key_and_is_told_once(path, caplog):
    caplog.set_level(logging.INFO)
    key = KeyFile(path, read)

    path.unlink()
    assert [looked(key), looked(key)] == ["first", "first"]
    path.write_text("")
    assert looked(key) == "first"
    path.write_text("third")

    assert looked(key) == "third"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_same_key_coming_back_after_a_failure_is_told(path, caplog):
    caplog.set_level(logging.INFO)
    key = KeyFile(path, read)
    path.rename(path.with_name("away"))
    key.look()

    path.with_name("away").rename(path)

    assert looked(key) == "first"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_file_without_a_key_refuses_the_start(tmp_path):
    with pytest.raises(ConfigurationError):
        KeyFile(tmp_path / "none", read)


@pytest.mark.parametrize("change", [lambda path: rotate(path, "second"), Path.unlink], ids=["rotated", "gone"])
def test_telling_of_a_change_may_ask_for_the_key_again(path, change):
    """The log hides the key in every line, so writing of a new key asks for it: that must not wait for itself."""
    key = KeyFile(path, read)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter(lambda: (key(),)))
    log = logging.getLogger("exporter.sendgrid.key")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        change(path)
        key.look()
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)

    assert "sendgrid.api_key_file" in stream.getvalue()
