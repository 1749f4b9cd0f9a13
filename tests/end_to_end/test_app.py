"""What a reload exchanges and what it refuses; tests/end_to_end/test_process.py has the process around it."""

import base64
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from exporter.app import App, key_source
from exporter.domain import Outcome
from exporter.errors import ConfigurationError
from exporter.logs import LineWriter
from exporter.sendgrid.key import Key
from exporter.settings import LabelSettings, SendGridSettings, Settings, ShardSettings, StateSettings, load
from exporter.signals import Signals
from tests.factories import KEY, a_block, an_automation, an_id
from tests.fakes import FakeClock

pytestmark = pytest.mark.e2e


class Configuration:
    """Settings that a test changes between two readings."""

    def __init__(self) -> None:
        self.settings = Settings(
            automations=(an_automation(1), an_automation(2)),
            sendgrid=SendGridSettings(api_key=SecretStr(KEY), base_url="https://api.invalid"),
        )
        self.problem: str | None = None

    def change(self, **changes: Any) -> None:
        self.settings = self.settings.model_copy(update=changes)

    def __call__(self) -> Settings:
        if self.problem is not None:
            raise ConfigurationError([self.problem])
        return self.settings


@pytest.fixture
def configuration() -> Configuration:
    return Configuration()


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(tmp_path) -> Iterator["Log"]:
    with (tmp_path / "stderr").open("wb") as file, LineWriter(file.fileno()) as lines:
        yield Log(lines, tmp_path / "stderr")


class Log:
    """What the app writes, and where."""

    def __init__(self, lines: LineWriter, path: Path) -> None:
        self.lines = lines
        self._path = path

    def read(self) -> str:
        assert self.lines.flush(10.0)
        return self._path.read_text()


@pytest.fixture
def app(configuration, clock, log) -> Iterator[App]:
    signals = Signals()
    yield App(configuration, clock=clock, signals=signals, lines=log.lines)
    signals.stop.set()  # no thread of a worker lives on


def restored(configuration, clock, log) -> App:
    app = App(configuration, clock=clock, signals=Signals(), lines=log.lines)
    app._restore()
    return app


def names_of(app: App) -> list[str]:
    return [view.name for view in app._store.snapshot.views()]


def gauge(app: App, name: str) -> float | None:
    return app._telemetry.registry.get_sample_value(f"sendgrid_exporter_config_last_reload_{name}")


def test_reload_takes_over_what_changed(app, configuration, clock):
    clock.advance(60.0)
    asked = clock.time()
    configuration.change(automations=(an_automation(2, name="Renamed"),))

    assert not app.reload()

    assert names_of(app) == ["Renamed"]
    assert gauge(app, "successful") == 1
    assert asked <= gauge(app, "success_timestamp_seconds") <= clock.time()


def test_reload_of_wrong_settings_keeps_the_old_ones_whole(app, configuration):
    configuration.problem = "poll.interval: nonsense"

    assert app.reload() == ("poll.interval: nonsense",)

    assert len(names_of(app)) == 2
    assert gauge(app, "successful") == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"state": StateSettings(path=Path("/tmp/other"))}, "state.path: a changed value needs a restart"),
        ({"shard": ShardSettings(index=1, total=2)}, "shard.index: a changed value needs a restart"),
    ],
)
def test_reload_of_what_needs_a_restart_names_it_and_changes_nothing(app, configuration, changes, problem):
    configuration.change(automations=(), **changes)

    assert problem in app.reload()
    assert len(names_of(app)) == 2


def test_budget_survives_a_reload_unless_its_ceiling_changed(app, configuration):
    """A new one would forget that a pause was asked for."""
    before = app._budget
    app.reload()
    assert app._budget is before

    sendgrid = configuration.settings.sendgrid.model_copy(update={"requests_per_minute": 60.0})
    configuration.change(sendgrid=sendgrid)
    app.reload()

    assert app._budget.requests_per_second == 1.0


@pytest.mark.parametrize(
    "changes",
    [{"labels": LabelSettings(max_links=7)}, {"automations": (an_automation(1, step_ids=("other",)),)}],
    ids=["labels", "steps"],
)
def test_saved_block_of_other_labels_or_steps_does_not_come_up_again(configuration, clock, log, tmp_path, changes):
    configuration.change(state=StateSettings(path=tmp_path / "state.db"))
    before = restored(configuration, clock, log)
    before._state.save(an_id(1), before._poller.questions.of(an_id(1)), a_block(), clock.time())
    before._state.close(10.0)
    same = restored(configuration, clock, log)
    assert same._store.snapshot.link_series == 1
    same._state.close(10.0)

    configuration.change(**changes)
    after = restored(configuration, clock, log)

    assert after._store.snapshot.link_series == 0
    after._state.close(10.0)


def test_saved_block_of_a_version_with_other_names_does_not_come_up_again(configuration, clock, log, tmp_path):
    configuration.change(state=StateSettings(path=tmp_path / "state.db"))
    before = restored(configuration, clock, log)
    today = before._poller.questions.of(an_id(1))
    former = today.replace("automation_link_clicks{automation_id=", "automation_link_clicks{automation=")
    assert former != today
    before._state.save(an_id(1), former, a_block(), clock.time())
    before._state.close(10.0)

    after = restored(configuration, clock, log)

    assert after._store.snapshot.link_series == 0
    after._state.close(10.0)


def test_two_reloads_at_once_follow_each_other(app, configuration):
    inside = []
    most = []

    def load() -> Settings:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.05)
        inside.pop()
        return configuration.settings

    app._load = load
    threads = [threading.Thread(target=app.reload) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1, 1, 1]


def test_state_that_cannot_be_used_is_passed_over_with_a_warning_and_shown(configuration, clock, log, tmp_path):
    configuration.change(state=StateSettings(path=tmp_path / "missing" / "state.db"))

    app = restored(configuration, clock, log)

    assert "continuing without it, and retrying" in log.read()
    assert app._telemetry.registry.get_sample_value("sendgrid_exporter_state_enabled") == 1
    assert app._telemetry.registry.get_sample_value("sendgrid_exporter_state_failing") == 1
    app._state.close(10.0)


def test_somebody_else_s_file_as_state_is_a_wrong_configuration(configuration, clock, log, tmp_path):
    (tmp_path / "key").write_text("SG.key")
    configuration.change(state=StateSettings(path=tmp_path / "key"))

    with pytest.raises(ConfigurationError, match="is not a state file of the exporter; name another file"):
        restored(configuration, clock, log)

    assert (tmp_path / "key").read_text() == "SG.key"


def test_keys_and_passwords_of_before_a_reload_stay_hidden(app, configuration, log):
    for number in range(3):
        sendgrid = {
            "api_key": SecretStr(f"SG.former-key-{number}"),
            "proxy": f"http://u:pass%2Fword-{number}@127.0.0.1:1",
        }
        configuration.change(sendgrid=configuration.settings.sendgrid.model_copy(update=sendgrid))
        assert not app.reload()
    logging.getLogger("urllib3").warning("SG.former-key-0 SG.former-key-2 pass%%2Fword-0 pass/word-1 %s", KEY)

    assert f'msg="{" ".join(["<hidden>"] * 5)}"' in log.read()


def test_polling_once_tells_which_automations_failed_and_shows_what_is_known(app):
    ended = app.once()

    assert ended.missing == 0
    assert {automation for automation, _ in ended.failed} == {an_automation(1), an_automation(2)}
    assert Outcome.SUCCESS not in {result.outcome for _, result in ended.failed}
    assert "automation_total_clicks{" not in ended.text
    assert ended.text.count("automation_info{") == 2


def test_polling_once_that_is_stopped_says_how_many_are_missing(app):
    app._signals.stop.set()

    ended = app.once()

    assert (ended.failed, ended.missing) == ([], 2)


@pytest.fixture
def key_file(tmp_path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    return path


def looked(key: Key) -> str:
    key.look()
    return key()


def settings_with(path: Path) -> Settings:
    settings = load([f"--automations={an_id(1)}"], {"SENDGRID_API_KEY_FILE": str(path)}).settings
    assert settings is not None
    return settings


def test_rotated_key_that_does_not_look_like_one_is_reported_once_and_used(key_file, caplog):
    key = key_source(settings_with(key_file))
    assert [looked(key), caplog.text] == [KEY, ""]

    key_file.write_text("changeme-changeme")

    assert [looked(key), looked(key)] == ["changeme-changeme"] * 2
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("sendgrid.api_key_file: the key looks like a placeholder; ")
    assert key.known() == (KEY, "changeme-changeme")


def test_key_file_that_changed_since_it_was_checked_is_read_again(key_file):
    settings = settings_with(key_file)
    key_file.write_text(KEY.replace("a", "c"))

    assert looked(key_source(settings)) == KEY.replace("a", "c")


def test_key_file_that_becomes_a_pipe_holds_up_no_request(key_file, caplog):
    key = key_source(settings_with(key_file))
    key_file.unlink()
    os.mkfifo(key_file)

    assert [looked(key), looked(key)] == [KEY, KEY]
    assert "is no longer a regular file; the key that was read before stays in use" in caplog.text


def test_key_from_a_pipe_stays(tmp_path):
    fifo = tmp_path / "key"
    os.mkfifo(fifo)
    threading.Thread(target=fifo.write_text, args=(KEY,)).start()

    key = key_source(settings_with(fifo))

    assert [looked(key), looked(key)] == [KEY, KEY]


def test_log_hides_the_proxys_password_in_every_encoding_whoever_logs_it(configuration, clock, log):
    proxy = "http://user:p%40ss-Marker@127.0.0.1:1"
    configuration.change(sendgrid=configuration.settings.sendgrid.model_copy(update={"proxy": proxy}))
    App(configuration, clock=clock, signals=Signals(), lines=log.lines)
    token = base64.b64encode(b"user:p@ss-Marker").decode()
    text = f"said: p%40ss-Marker, p@ss-Marker, Basic {token}"
    record = logging.LogRecord("urllib3", logging.WARNING, "", 0, text, None, None)

    (handler,) = logging.getLogger().handlers
    line = handler.format(record)

    assert "Marker" not in line
    assert token.rstrip("=") not in line
    assert line.count("<hidden>") == 3
