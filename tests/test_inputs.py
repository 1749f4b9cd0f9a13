"""What the settings are read from: each once, with a bound on size and on time."""

import os
import threading
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.errors import ConfigurationError
from exporter.inputs import Inputs
from exporter.settings import Settings, load, read_key_file
from exporter.web.toolkit.files import Input, exposure
from tests.factories import KEY, an_id

pytestmark = pytest.mark.unit

ONE = an_id()


class Impatient(SystemClock):
    """The machine's clock, on which every wait has lasted long already."""

    def __init__(self, seconds: float) -> None:
        self._late = 0.0
        self._seconds = seconds

    def monotonic(self) -> float:
        self._late += self._seconds
        return super().monotonic() + self._late


def inputs(late: float = 0.0) -> Inputs:
    return Inputs(Impatient(late))


@pytest.fixture
def fifo(tmp_path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def write_later(path: Path, *parts: bytes) -> None:
    """Write to the pipe from a thread, with a pause before each part."""

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for part in parts:
                threading.Event().wait(0.05)
                file.write(part)

    threading.Thread(target=write).start()


def piped(*parts: bytes) -> Path:
    """Return the path of an anonymous pipe with this content and no writer, as a shell's `<(command)` leaves it."""
    reading, writing = os.pipe()
    for part in parts:
        os.write(writing, part)
    os.close(writing)
    return Path(f"/dev/fd/{reading}")


def test_file_is_read_and_read_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"text")
    reader = inputs()

    assert [reader.read(path, 100).content, reader.read(path, 4).content] == [b"text", b"text"]
    assert reader.read(path, 2).content == b"tex", "one byte more than allowed tells that it is too long"


@pytest.mark.parametrize("parts", [[b"a"], [b"a", b"bc", b"d" * 60_000], []])
def test_named_pipe_is_read_to_its_end(fifo, parts):
    write_later(fifo, *parts)

    found = inputs().read(fifo, 100_000)

    assert (found.content, found.is_file) == (b"".join(parts), False)


def test_pipe_whose_writer_has_ended_is_read(request):
    path = piped(b"text")
    request.addfinalizer(lambda: os.close(int(path.name)))

    assert inputs().read(path, 100).content == b"text"


def test_pipe_is_read_only_once(fifo):
    reader = inputs()
    write_later(fifo, b"text")
    reader.read(fifo, 100)

    with pytest.raises(OSError, match="a pipe can be read only once, at the start; a reload needs a file"):
        reader.read(fifo, 100)


def test_pipe_that_nobody_writes_to_is_given_up(fifo):
    with pytest.raises(OSError, match="nobody wrote the whole of it to the pipe in time"):
        inputs(late=11.0).read(fifo, 100)


def test_pipe_whose_writer_is_silent_is_given_up(fifo):
    reading, writing = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), os.open(fifo, os.O_WRONLY)
    os.write(writing, b"the beginning")
    try:
        with pytest.raises(OSError, match="nobody wrote the whole of it to the pipe in time"):
            inputs(late=31.0).read(fifo, 100)
    finally:
        os.close(reading)
        os.close(writing)


def test_endless_input_is_bounded():
    assert inputs().read(Path("/dev/zero"), 5_000_000).content == bytes(5_000_001)


def test_directory_and_missing_file_are_errors(tmp_path):
    with pytest.raises(IsADirectoryError):
        inputs().read(tmp_path, 100)
    with pytest.raises(FileNotFoundError):
        inputs().read(tmp_path / "none", 100)


def loaded(reader: Inputs, *arguments: str, **environment: str) -> Settings:
    settings = load(arguments, environment, reader).settings
    assert settings is not None
    return settings


def test_configuration_from_a_pipe_is_in_force_and_its_reload_is_refused(fifo):
    reader = inputs()
    write_later(fifo, f"automations: [{ONE}]\nlabels: {{drop_params: [token]}}\n".encode())

    settings = loaded(reader, f"--config.file={fifo}", SENDGRID_API_KEY=KEY)

    assert settings.labels.drop_params == ("token",)
    with pytest.raises(ConfigurationError) as caught:
        loaded(reader, f"--config.file={fifo}", SENDGRID_API_KEY=KEY)
    assert caught.value.problems[0] == (
        f"config.file (--config.file): cannot read {fifo} "
        "(a pipe can be read only once, at the start; a reload needs a file)"
    )


def test_key_from_a_pipe_is_read_once_and_kept(fifo):
    reader = inputs()
    write_later(fifo, KEY.encode() + b"\n")

    settings = loaded(reader, f"--automations={ONE}", SENDGRID_API_KEY_FILE=str(fifo))

    assert settings.key_of_file is not None
    assert settings.key_of_file.get_secret_value() == KEY
    assert KEY not in repr(settings)
    with pytest.raises(ConfigurationError, match="a pipe can be read only once"):
        loaded(reader, f"--automations={ONE}", SENDGRID_API_KEY_FILE=str(fifo))


def test_key_file_that_is_read_again_is_bounded():
    with pytest.raises(ConfigurationError, match="the key is longer than 4096 characters"):
        read_key_file(Path("/dev/zero"))


@pytest.mark.parametrize("name", ["exporter.yaml", "./exporter.yaml"])
def test_state_that_names_another_file_of_the_settings_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exporter.yaml").touch()

    with pytest.raises(ConfigurationError, match="is the configuration file, which would be overwritten"):
        loaded(inputs(), f"--config.file={tmp_path}/exporter.yaml", f"--state.path={name}", SENDGRID_API_KEY=KEY)
    with pytest.raises(ConfigurationError, match="is the web config file, which would be overwritten"):
        loaded(inputs(), f"--web.config-file={name}", f"--state.path={name}", SENDGRID_API_KEY=KEY)
    with pytest.raises(ConfigurationError, match="is the key file, which would be overwritten"):
        loaded(inputs(), f"--state.path={name}", SENDGRID_API_KEY_FILE=name)


def warnings(*arguments: str, **environment: str) -> tuple[str, ...]:
    return load([f"--automations={ONE}", *arguments], environment).warnings


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (KEY, None),
        ("changeme", "looks like a placeholder; give the key that SendGrid showed when it was made"),
        ("word-of-nobody", "does not begin with SG. as SendGrid's keys do"),
        (f"SENDGRID_API_KEY={KEY}", "looks like a whole line NAME=key; give only what follows the sign"),
        (f'SENDGRID_API_KEY="{KEY}"', "looks like a whole line NAME=key; give only what follows the sign"),
        (f"api_key:{KEY}", "looks like a whole line NAME=key; give only what follows the sign"),
        (f'"{KEY}', "begins or ends with a quote"),
        (f"{KEY}'", "begins or ends with a quote"),
        (f"`{KEY}`", "begins or ends with a quote"),
        (
            "U0cuYWFhYWFhYWFhYWFhYWFhYWFhYWFhYS5iYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYg==",
            "looks like the base64 of a key; give it decoded",
        ),
        (KEY[:-1], "has 68 characters, where SendGrid's keys have 69"),
        (KEY + KEY, "has 138 characters, where SendGrid's keys have 69"),
        (KEY[:-1] + "!", "is not made of SG. and two groups of 22 and 43 letters"),
        ("Sg" + KEY[2:], "does not begin with SG."),
    ],
)
@pytest.mark.parametrize("place", ["variable", "file"])
def test_key_that_does_not_look_like_one_works_with_a_warning_that_does_not_show_it(tmp_path, key, says, place):
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(0o600)

    told = warnings(SENDGRID_API_KEY=key) if place == "variable" else warnings(SENDGRID_API_KEY_FILE=str(file))

    if says is None:
        assert told == ()
    else:
        (warning,) = told
        assert f": the key {says}" in warning
        assert "aaaaaaaa" not in warning
        assert "changeme" not in warning


@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o666, True), (0o644, True)]
)
def test_key_file_that_others_may_read_is_reported_with_its_mode_and_the_command(tmp_path, mode, warned):
    file = tmp_path / "a key"
    file.write_text(KEY)
    file.chmod(mode)

    expected = (
        f"sendgrid.api_key_file (SENDGRID_API_KEY_FILE): {file} is open to others (mode {mode:04o}); "
        f"close it with: chmod 600 '{file}'"
    )
    assert warnings(SENDGRID_API_KEY_FILE=str(file)) == ((expected,) if warned else ())


def details(mode: int, user: int) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, user, 0, 1, 0, 0, 0))


def test_group_of_somebody_else_s_file_is_what_lets_the_exporter_in(tmp_path):
    """A volume with fsGroup, and systemd's credentials, belong to root and are readable by the group."""
    stranger = os.geteuid() + 1

    assert exposure(tmp_path / "key", details(0o100440, stranger), group=True) is None
    assert exposure(tmp_path / "key", details(0o100440, os.geteuid()), group=True) is not None
    assert exposure(tmp_path / "key", details(0o100444, stranger), group=True) is not None


def test_what_the_kubelet_projects_is_the_pod_s_own(tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")

    assert exposure(tmp_path / "key", details(0o100644, 0), group=True) is None


def test_pipe_is_open_to_nobody(tmp_path):
    assert exposure(tmp_path / "key", details(0o010666, 0), group=True) is None


@pytest.mark.parametrize(
    ("content", "mode", "warned"),
    [
        (f"sendgrid: {{api_key: {KEY}}}", 0o644, True),
        (f"sendgrid: {{api_key: {KEY}}}", 0o640, False),
        ("sendgrid: {proxy: 'http://user:password@proxy:1'}", 0o644, True),
        ("sendgrid: {proxy: 'http://proxy:1'}", 0o644, False),
        ("poll: {interval: 5m}", 0o644, False),
    ],
)
def test_configuration_with_a_secret_that_everybody_may_read_is_reported(tmp_path, content, mode, warned):
    file = tmp_path / "exporter.yaml"
    file.write_text(content)
    file.chmod(mode)
    environment = {} if "api_key" in content else {"SENDGRID_API_KEY": KEY}

    told = warnings(f"--config.file={file}", **environment)

    assert bool(told) is warned
    assert not warned or f"is open to others (mode 0644); close it with: chmod 600 {file}" in told[0]


def test_input_shows_no_content():
    assert "text" not in repr(Input(b"text", details(0o100600, 0)))
