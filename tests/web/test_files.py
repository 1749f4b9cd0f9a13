import os
from pathlib import Path

import pytest

from exporter.web.toolkit.files import exposure, fingerprint, read_bounded, why_unread

pytestmark = pytest.mark.unit


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"content")
    return file


def rewrite_with_the_old_time(file):
    stat = file.stat()
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replace(file):
    new = file.with_suffix(".new")
    new.write_bytes(b"content")
    new.replace(file)


def test_fingerprint_of_an_unchanged_file_stays(file):
    before = fingerprint(file)
    file.read_bytes()

    assert fingerprint(file) == before is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(b"longer content"),
        rewrite_with_the_old_time,
        replace,
        lambda file: file.unlink(),
        lambda file: file.chmod(0o600),
    ],
    ids=["another size", "the old size and time", "another file of the same content", "gone", "other rights"],
)
def test_fingerprint_changes_with_the_file(file, change):
    before = fingerprint(file)
    change(file)

    assert fingerprint(file) != before


def test_pipe_has_one_fingerprint_since_it_can_be_read_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = fingerprint(pipe)
    os.utime(pipe, (1, 1))

    assert fingerprint(pipe) == before is not None


def test_file_that_others_may_read_is_reported_with_what_to_do(tmp_path):
    file = tmp_path / "web config"
    file.write_bytes(b"")
    file.chmod(0o644)

    assert exposure(file, file.stat()) == f"{file} is open to others (mode 0644); close it with: chmod 600 '{file}'"
    file.chmod(0o640)
    assert exposure(file, file.stat()) is None
    file.chmod(0o644)
    (tmp_path / "..data").symlink_to("elsewhere")
    assert exposure(file, file.stat()) is None


@pytest.mark.parametrize("path", [Path("/nowhere/at/all"), Path("a\0b")])
def test_file_that_cannot_be_looked_at_has_no_fingerprint(path):
    assert fingerprint(path) is None


def test_fingerprint_follows_a_link_as_kubernetes_exchanges_secrets(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_bytes(b"content")
    data, file = tmp_path / "..data", tmp_path / "key"
    data.symlink_to("first")
    file.symlink_to("..data/key")
    before = fingerprint(file)
    (tmp_path / "new").symlink_to("second")
    (tmp_path / "new").replace(data)

    assert fingerprint(file) != before


@pytest.mark.parametrize(("at_most", "content"), [(7, b"content"), (6, b"content"), (3, b"cont")])
def test_no_more_is_read_than_shows_that_the_file_is_too_large(file, at_most, content):
    assert read_bounded(file, at_most).content == content


@pytest.mark.parametrize(
    ("path", "reason"),
    [(Path("/nowhere"), "No such file"), (Path("/"), "Is a directory"), (Path("a\0b"), "embedded null")],
)
def test_file_that_cannot_be_read_has_a_reason(path, reason):
    with pytest.raises(OSError) as caught:
        read_bounded(path, 10)

    assert reason in (caught.value.strerror or "")


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/nowhere", "make it, or correct the path"),
        ("~/key", "write the path in full: ~ and variables are the shell's, and are not expanded here"),
        ("$HOME/key", "write the path in full: ~ and variables are the shell's, and are not expanded here"),
        ("/", "name a file in it"),
        ("/etc/passwd/key", "correct the path"),
        (f"/{'a' * 300}", "correct the path"),
    ],
)
def test_why_a_file_was_not_read_ends_with_the_next_step(path, step):
    with pytest.raises(OSError) as caught:
        read_bounded(Path(path), 10)

    assert why_unread(Path(path), caught.value).endswith(f"); {step}")


def test_pipe_that_nobody_writes_to_is_given_up_instead_of_waited_for(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    moments = iter((0.0, 11.0))

    with pytest.raises(OSError, match="nobody wrote the whole of it to the pipe in time"):
        read_bounded(pipe, 10, monotonic=lambda: next(moments))
