"""The command line, the environment and the file, as an operator writes them, and what comes of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import certifi
import pytest

from exporter.clock import SystemClock
from exporter.domain import DiscoveryMode
from exporter.errors import ConfigurationError
from exporter.inputs import Inputs
from exporter.labels import UrlMode
from exporter.probes import ALWAYS_EXCLUDED
from exporter.settings import (
    DEMO_INTERVAL,
    Invocation,
    LogFormat,
    LogLevel,
    Mode,
    Settings,
    load,
    reference,
)
from exporter.settings.sources import read_config_file
from tests.factories import KEY, an_id

pytestmark = pytest.mark.unit

ONE = "2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c"
TWO = "7be0c1d2-3f45-4a67-8b89-0c1d2e3f4a5b"
ENOUGH = {"SENDGRID_API_KEY": KEY, "EXPORTER_AUTOMATIONS": ONE}

WriteFile = Callable[[str], list[str]]


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    def write_file(content: str) -> list[str]:
        path = tmp_path / "exporter.yaml"
        path.write_text(content, encoding="utf-8")
        return ["--config.file", str(path)]

    return write_file


def settings(arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Settings:
    loaded = load(arguments, ENOUGH if environment is None else environment).settings
    assert loaded is not None
    return loaded


def problems(arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, ENOUGH if environment is None else environment)
    return caught.value.problems


def value(loaded: Settings, key: str) -> object:
    group, name = key.split(".")
    return getattr(getattr(loaded, group), name)


def test_key_and_ids_alone_are_enough() -> None:
    loaded = settings()

    assert [automation.id for automation in loaded.automations] == [ONE]
    assert loaded.automations[0].name == ONE
    assert loaded.automations[0].interval == 300.0
    assert loaded.sendgrid.api_key is not None
    assert loaded.sendgrid.api_key.get_secret_value() == KEY


def test_settings_made_by_hand_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_POLL__INTERVAL", "1h")
    monkeypatch.setenv("POLL__INTERVAL", "1h")

    assert Settings().poll.interval == 300.0


def test_source_gives_its_values_as_they_were_written_and_shows_none(write: WriteFile) -> None:
    file = read_config_file(Path(write("poll: {interval: 5m}\nlog: {level: loud}\n")[1]), "", Inputs(SystemClock()))

    assert file() == {"poll": {"interval": "5m"}, "log": {"level": "loud"}}
    assert file.get_field_value(Settings.model_fields["poll"], "poll") == ({"interval": "5m"}, "poll", False)
    assert repr(file) == "ConfigFile(poll.interval, log.level)"
    assert file.origin(("log", "level")).endswith("exporter.yaml:2")


def test_defaults_are_those_of_the_documentation() -> None:
    loaded = settings()

    assert loaded.sendgrid.base_url == "https://api.sendgrid.com"
    assert loaded.sendgrid.app_url == "https://mc.sendgrid.com/automations/{automation_id}/detail"
    assert (loaded.sendgrid.timeout, loaded.sendgrid.page_size, loaded.sendgrid.requests_per_minute) == (30.0, 50, 300)
    assert (loaded.sendgrid.on_behalf_of, loaded.sendgrid.proxy, loaded.sendgrid.api_key_file) == (None, None, None)
    assert (loaded.poll.interval, loaded.poll.concurrency, loaded.poll.stale_after) == (300.0, 4, None)
    assert (loaded.labels.url, loaded.labels.drop_params, loaded.labels.drop_paths) == (UrlMode.FULL, (), ())
    assert (loaded.labels.max_links, loaded.labels.max_url_length) == (1000, 2048)
    assert (loaded.web.listen, loaded.web.systemd_socket, loaded.web.telemetry_path) == (
        (("", 10154),),
        False,
        "/metrics",
    )
    assert (loaded.web.config_file, loaded.web.enable_lifecycle, loaded.web.open_health) == (None, False, True)
    assert (loaded.log.level, loaded.log.format) == (LogLevel.INFO, LogFormat.LOGFMT)
    assert (loaded.state.path, loaded.shard.index, loaded.shard.total) == (None, 0, 1)


AUTHORITIES = Path(certifi.where())
SAMPLES: dict[str, tuple[str, object]] = {
    "sendgrid.base_url": ("HTTPS://Api.EU.sendgrid.com/", "https://api.eu.sendgrid.com"),
    "sendgrid.app_url": (" https://a.example/?id={automation_id}#x ", "https://a.example/?id={automation_id}#x"),
    "sendgrid.on_behalf_of": ("account-id 12", "account-id 12"),
    "sendgrid.timeout": ("1m", 60.0),
    "sendgrid.page_size": ("25", 25),
    "sendgrid.requests_per_minute": ("12.5", 12.5),
    "sendgrid.ca_file": (str(AUTHORITIES), AUTHORITIES),
    "sendgrid.proxy": ("http://user:word@proxy:3128", "http://user:word@proxy:3128"),
    "poll.interval": ("1h30m", 5400.0),
    "poll.concurrency": ("8", 8),
    "poll.stale_after": ("2d", 172800.0),
    "poll.idle_after": ("2w", 1209600.0),
    "poll.idle_interval": ("3h", 10800.0),
    "discovery.mode": ("Report", DiscoveryMode.REPORT),
    "discovery.interval": ("20m", 1200.0),
    "discovery.exclude": ("2d4f8a5c-*, *-dead", ("2d4f8a5c-*", "*-dead")),
    "discovery.forget_after": ("5", 5),
    "discovery.max_automations": ("20000", 20000),
    "statistics.enabled": ("no", False),
    "statistics.steps": ("true", True),
    "statistics.interval": ("15m", 900.0),
    "sd.links": ("true", True),
    "sd.exclude": ("/checkout, shop*/a, unsub", (*ALWAYS_EXCLUDED, "/checkout", "shop*/a")),
    "sd.max_links": ("7", 7),
    "sd.private_addresses": ("true", True),
    "labels.url": ("strip_query", UrlMode.STRIP_QUERY),
    "labels.drop_params": ("utm_*, token", ("utm_*", "token")),
    "labels.drop_paths": ("/unsubscribe/*, /u/*/confirm", ("/unsubscribe/*", "/u/*/confirm")),
    "labels.max_links": ("7", 7),
    "labels.max_url_length": ("100", 100),
    "web.listen_address": ("[::1]:9100, :9101", ("[::1]:9100", ":9101")),
    "web.systemd_socket": ("yes", True),
    "web.config_file": ("web.yaml", Path("web.yaml")),
    "web.telemetry_path": ("/a/b.c", "/a/b.c"),
    "web.enable_lifecycle": ("true", True),
    "web.open_health": ("off", False),
    "log.level": ("WARN", LogLevel.WARNING),
    "log.format": ("json", LogFormat.JSON),
    "state.path": ("/var/lib/state.db", Path("/var/lib/state.db")),
    "shard.index": ("1", 1),
    "shard.total": ("2", 2),
}


@pytest.mark.parametrize("key", SAMPLES)
def test_every_key_is_read_from_flag_variable_and_file(key: str, write: WriteFile) -> None:
    written, expected = SAMPLES[key]
    row = next(row for row in reference() if row.key == key)
    group, name = row.path
    shards = {"EXPORTER_SHARD__TOTAL": "2"} if key == "shard.index" else {}
    file = write(f"{group}:\n  {name}: '{written}'\n")
    kebab = "--" + key.replace("_", "-")

    from_flag = settings([kebab, written], {**ENOUGH, **shards})
    from_flag_with_underscores = settings([f"--{key}={written}"], {**ENOUGH, **shards})
    from_variable = settings([], {**ENOUGH, **shards, row.variable: written})
    from_file = settings(file, {**ENOUGH, **shards})

    assert value(from_flag, key) == expected
    assert from_flag == from_flag_with_underscores == from_variable == from_file


def test_several_listen_addresses_may_stand_in_a_list_and_behind_repeated_flags(write: WriteFile) -> None:
    expected = (("", 10154), ("::1", 9100), ("localhost", 0))

    assert settings(write("web: {listen_address: [':10154', '[::1]:9100', 'localhost:0']}\n")).web.listen == expected
    flags = ["--web.listen-address=:10154", "--web.listen-address", "[::1]:9100,localhost:0"]
    assert settings(flags).web.listen == expected


def test_web_config_file_has_the_name_of_every_other_exporter_too() -> None:
    assert settings(["--web.config.file=web.yaml"]).web.config_file == Path("web.yaml")
    assert settings(["--web.config.file", "web.yaml"]).web.config_file == Path("web.yaml")


def test_samples_cover_every_key() -> None:
    special = {"config.file", "automations", "sendgrid.api_key", "sendgrid.api_key_file"}

    assert {row.key for row in reference()} == SAMPLES.keys() | special


@pytest.mark.parametrize("written", ["off", "'off'", "OFF"])
def test_discovery_is_off_however_it_is_quoted(written: str, write: WriteFile) -> None:
    arguments = write(f"automations: [{ONE}]\ndiscovery: {{mode: {written}}}\n")

    assert settings(arguments, {"SENDGRID_API_KEY": "k"}).discovery.mode is DiscoveryMode.OFF


@pytest.mark.parametrize("written", ["all", "ALL", " all "])
def test_all_automations_is_short_for_discovery_that_polls(written: str, write: WriteFile) -> None:
    key = {"SENDGRID_API_KEY": "k"}

    from_flag = settings(["--automations", written], key)
    from_variable = settings([], {**key, "EXPORTER_AUTOMATIONS": written})
    from_file = settings(write(f"automations: '{written}'\n"), key)
    from_list = settings(write(f"automations: ['{written}']\n"), key)

    assert from_flag == from_variable == from_file == from_list
    assert (from_flag.discovery.mode, from_flag.automations) == (DiscoveryMode.POLL, ())


def test_all_automations_of_a_stronger_source_wins_over_the_mode_and_the_list_of_a_weaker_one(write: WriteFile) -> None:
    file = write(f"automations: [{ONE}]\ndiscovery: {{mode: report, interval: 1m}}\n")

    loaded = settings([*file, "--automations", "all"], {"SENDGRID_API_KEY": "k"})

    assert (loaded.discovery.mode, loaded.discovery.interval, loaded.automations) == (DiscoveryMode.POLL, 60.0, ())


def test_discovery_needs_no_automations_and_keeps_those_it_is_given(write: WriteFile) -> None:
    key = {"SENDGRID_API_KEY": "k"}

    assert settings(["--discovery.mode", "poll"], key).automations == ()
    assert settings(["--discovery.mode", "report"], key).automations == ()
    listed = settings(write(f"automations: [{ONE}]\ndiscovery: {{mode: poll}}\n"), key)
    assert [automation.id for automation in listed.automations] == [ONE]


def test_each_key_takes_its_strongest_source_on_its_own(write: WriteFile) -> None:
    file = write("poll: {interval: 20, concurrency: 1, stale_after: 1h}\nlog: {level: debug}\n")
    environment = {**ENOUGH, "EXPORTER_POLL__INTERVAL": "30", "EXPORTER_POLL__CONCURRENCY": "2"}

    loaded = settings([*file, "--poll.interval", "40"], environment)

    assert (loaded.poll.interval, loaded.poll.concurrency, loaded.poll.stale_after) == (40.0, 2, 3600.0)
    assert (loaded.log.level, loaded.log.format) == (LogLevel.DEBUG, LogFormat.LOGFMT)


def test_stronger_source_replaces_the_whole_list(write: WriteFile) -> None:
    file = write(f"automations: [{ONE}]\n")

    loaded = settings([*file, "--automations", TWO], {"SENDGRID_API_KEY": "k"})

    assert [automation.id for automation in loaded.automations] == [TWO]


def test_wrong_value_of_a_weaker_source_does_not_matter(write: WriteFile) -> None:
    loaded = settings([*write("poll: {interval: soon}"), "--poll.interval=1m"])

    assert loaded.poll.interval == 60.0


def test_file_may_be_named_by_the_environment(write: WriteFile) -> None:
    path = write("poll: {interval: 1m}")[1]

    invocation = load([], {**ENOUGH, "EXPORTER_CONFIG__FILE": path})

    assert invocation.settings is not None
    assert invocation.settings.poll.interval == 60.0
    assert invocation.config_file == Path(path)


def test_second_load_reads_the_file_again(write: WriteFile) -> None:
    arguments = write("poll: {interval: 1m}")
    before = settings(arguments)
    write("poll: {interval: 2m}")

    after = settings(arguments)

    assert (before.poll.interval, after.poll.interval) == (60.0, 120.0)


def test_keys_without_a_value_count_as_not_given(write: WriteFile) -> None:
    loaded = settings(write("automations:\npoll:\nsendgrid:\n  proxy:\n  api_key: ~\n"))

    assert loaded == settings()


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "\ufeffpoll: {}\n"])
def test_empty_file_changes_nothing(content: str, write: WriteFile) -> None:
    assert settings(write(content)) == settings()


@pytest.mark.parametrize(
    ("arguments", "mode", "demo"),
    [
        (["--demo"], Mode.SERVE, True),
        (["--demo", "--once"], Mode.ONCE, True),
        (["--check", "--demo"], Mode.CHECK, True),
    ],
)
def test_demo_needs_nothing_and_combines_with_modes(arguments: list[str], mode: Mode, demo: bool) -> None:  # noqa: FBT001
    invocation = load(arguments, {})

    assert (invocation.mode, invocation.demo, invocation.warnings) == (mode, demo, ())
    assert invocation.settings is not None
    assert invocation.settings.automations == ()
    assert invocation.settings.poll.interval == DEMO_INTERVAL


def test_demo_never_takes_the_real_key() -> None:
    environment = {"SENDGRID_API_KEY": "", "EXPORTER_SENDGRID__BASE_URL": "https://x/y", "EXPORTER_AUTOMATIONS": "x"}

    invocation = load(["--demo", "--poll.interval=1s"], environment)

    assert invocation.settings is not None
    assert invocation.settings.sendgrid.api_key is None
    assert invocation.settings.poll.interval == 1.0
    assert invocation.warnings == (
        "automations (EXPORTER_AUTOMATIONS): is not used with --demo",
        "sendgrid.api_key (SENDGRID_API_KEY): is not used with --demo",
        "sendgrid.base_url (EXPORTER_SENDGRID__BASE_URL): is not used with --demo",
    )


def test_settings_turn_to_the_simulator() -> None:
    real = settings()

    demo = real.with_demo(base_url="http://127.0.0.1:1", api_key="demo", automations=real.automations * 2)

    assert demo.sendgrid.base_url == "http://127.0.0.1:1"
    assert demo.sendgrid.api_key is not None
    assert demo.sendgrid.api_key.get_secret_value() == "demo"
    assert len(demo.automations) == 2
    assert demo.poll == real.poll


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version", "--help"], ["--labels.url", "--help", "--nope"]])
def test_help_wins_over_everything(words: list[str]) -> None:
    assert load(words, {"EXPORTER_NOPE": "1"}) == Invocation(Mode.HELP)


def test_version_wins_over_mistakes() -> None:
    assert load(["--nope", "--check", "--version"], {"EXPORTER_POLL__INTERVAL": "x"}) == Invocation(Mode.VERSION)


@pytest.mark.parametrize(("flag", "mode"), [("--check", Mode.CHECK), ("--once", Mode.ONCE)])
def test_mode_comes_from_its_flag(flag: str, mode: Mode) -> None:
    assert load([flag], ENOUGH).mode is mode


def test_switch_is_on_without_a_value_and_takes_true_and_false() -> None:
    assert settings(["--web.enable-lifecycle", "--check"]).web.enable_lifecycle is True
    assert settings(["--web.enable-lifecycle", "false"]).web.enable_lifecycle is False
    assert settings(["--web.open-health=no"]).web.open_health is False


def test_variables_may_be_of_any_case() -> None:
    assert settings([], {**ENOUGH, "exporter_poll__interval": "1m"}).poll.interval == 60.0


def test_own_variable_wins_over_sendgrids_twin() -> None:
    loaded = settings([], {**ENOUGH, "EXPORTER_SENDGRID__API_KEY": "own"})

    assert loaded.sendgrid.api_key is not None
    assert loaded.sendgrid.api_key.get_secret_value() == "own"


@pytest.mark.parametrize(
    "name",
    [
        "EXPORTER_SERVICE_HOST",
        "EXPORTER_SERVICE_PORT",
        "EXPORTER_SERVICE_PORT_HTTP",
        "EXPORTER_PORT",
        "EXPORTER_PORT_10154_TCP",
        "EXPORTER_PORT_10154_TCP_PROTO",
        "EXPORTER_PORT_10154_TCP_PORT",
        "EXPORTER_PORT_10154_TCP_ADDR",
        "EXPORTER_WEB_SERVICE_HOST",
        "EXPORTER_POLL_PORT_53_UDP_ADDR",
    ],
)
def test_variables_of_kubernetes_services_are_passed_over_with_a_warning(name: str) -> None:
    invocation = load([], {**ENOUGH, name: "tcp://10.0.0.1:80" if name == "EXPORTER_PORT" else "10.0.0.1"})

    assert invocation.warnings == (
        (
            f"passed over {name}: Kubernetes injects such variables for Services; "
            "set enableServiceLinks: false on the pod to be rid of them"
        ),
    )


@pytest.mark.parametrize("pod", ["exporter-1", "exporter-01", "a-b-2-1"])
def test_shard_index_comes_from_the_pods_name(pod: str) -> None:
    environment = {"SENDGRID_API_KEY": "k", "EXPORTER_SHARD__TOTAL": "2", "POD_NAME": pod}

    loaded = settings(["--shard.index", "pod"], environment)

    assert (loaded.shard.index, loaded.shard.total) == (1, 2)
    assert loaded.automations == ()


def test_automations_are_read_with_all_their_keys(write: WriteFile) -> None:
    file = write(
        f"automations:\n- id: {ONE.upper()}\n  name: Grüße 👩‍💻\n  step_ids: [a, b]\n  interval: 15m\n- {TWO}\n"
        "poll: {interval: 1m, stale_after: 15m}\n"
    )

    first, second = settings(file, {"SENDGRID_API_KEY": "k"}).automations

    assert (first.id, first.name, first.step_ids, first.interval) == (ONE.upper(), "Grüße 👩‍💻", ("a", "b"), 900.0)
    assert (second.id, second.name, second.step_ids, second.interval) == (TWO, TWO, (), 60.0)


@pytest.mark.parametrize(
    "written", [f"{ONE},{TWO}", f" {ONE} , {TWO} ,", f'["{ONE}", {{"id": "{TWO}"}}]', f' [{{"id": "{ONE}"}}, "{TWO}"]']
)
def test_automations_in_one_text(written: str) -> None:
    for loaded in (settings(["--automations", written]), settings([], {**ENOUGH, "EXPORTER_AUTOMATIONS": written})):
        assert [automation.id for automation in loaded.automations] == [ONE, TWO]


@pytest.mark.parametrize(
    ("url", "proxy_flag", "expected"),
    [
        ("http://sendgrid.test", [], "sends the key unencrypted; use https:// outside of tests"),
        ("http://127.0.0.1:8", [], None),
        ("http://[::1]", [], None),
        ("http://localhost", [], None),
        (
            "https://x",
            ["--sendgrid.proxy=http://u:p@y"],
            "shows its password in the process list; use EXPORTER_SENDGRID__PROXY",
        ),
        ("https://x", ["--sendgrid.proxy=http://y"], None),
    ],
)
def test_risky_addresses_work_with_a_warning(url: str, proxy_flag: list[str], expected: str | None) -> None:
    invocation = load(["--sendgrid.base-url", url, *proxy_flag], ENOUGH)

    assert [warning.partition(": ")[2] for warning in invocation.warnings] == ([expected] if expected else [])


def test_interval_of_a_second_is_for_loopback_addresses() -> None:
    loaded = settings(["--sendgrid.base-url", "http://127.9.9.9:8080", "--poll.interval", "1"])

    assert loaded.poll.interval == 1.0


@pytest.mark.parametrize(
    "written",
    [
        f"https://mc.sendgrid.com/automations/{ONE}/detail",
        f"mc.sendgrid.com/automations/{ONE}",
        f"https://mc.sendgrid.com/automations/{ONE}/edit?step={TWO}#{TWO}",
        f"https://app.example/#/automation/{ONE}",
        f"https://app.example/{ONE}/{ONE.upper()}/detail",
        f"https://app.example/?id={ONE}",
    ],
)
def test_address_of_an_automations_page_stands_for_its_id(written: str) -> None:
    assert [automation.id for automation in settings(["--automations", written]).automations] == [ONE]


@pytest.mark.parametrize("written", ["", "  "])
def test_empty_address_of_a_page_turns_the_links_off(written: str, write: WriteFile) -> None:
    assert settings(["--sendgrid.app-url", written]).sendgrid.app_url == ""
    assert settings([], {**ENOUGH, "EXPORTER_SENDGRID__APP_URL": written}).sendgrid.app_url == ""
    assert settings(write(f"sendgrid: {{app_url: '{written}'}}\n")).sendgrid.app_url == ""


def test_names_of_steps_and_labels_of_an_owner_come_from_file_variable_and_flag(write: WriteFile) -> None:
    steps = {"s-1": "Day 1", "s-2": "Grüße"}
    labels = {"team": "growth", "cost.center": "4711"}
    entry = json.dumps([{"id": ONE, "steps": steps, "labels": labels}])
    file = write(f"automations:\n  - id: {ONE}\n    steps: {json.dumps(steps)}\n    labels: {json.dumps(labels)}\n")

    for loaded in (
        settings(file, {"SENDGRID_API_KEY": KEY}),
        settings([], {**ENOUGH, "EXPORTER_AUTOMATIONS": entry}),
        settings(["--automations", entry]),
    ):
        assert dict(loaded.automations[0].steps) == steps
        assert dict(loaded.automations[0].labels) == labels


@pytest.mark.parametrize("between", [" ", "\n", " \n  ", ",", ", "])
def test_ids_may_stand_apart_by_blanks_lines_or_commas(between: str) -> None:
    written = f"{an_id(1)}{between}{an_id(2)}"

    loaded = load([], {**ENOUGH, "EXPORTER_AUTOMATIONS": written})

    assert loaded.settings is not None
    assert [each.id for each in loaded.settings.automations] == [an_id(1), an_id(2)]
