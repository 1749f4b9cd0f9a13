"""A planted key never comes out: not in a problem, a printed value, a traceback, or the redacted configuration."""

import json
import logging
import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from exporter.errors import ConfigurationError
from exporter.settings import SendGridSettings, load, read_key_file, redacted, redacted_line, reference

pytestmark = pytest.mark.unit

ONE = "2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c"
MARKER = "SG.mArkErKEYmArkErKEY.Xyzzy-xyzzy_xyzzy"
GOOD = {"EXPORTER_AUTOMATIONS": ONE}

PLANTED: list[tuple[Sequence[str], dict[str, str]]] = [
    ([f"--sendgrid.api-key={MARKER}"], GOOD),
    (["--sendgrid.api_key", MARKER], GOOD),
    ([f"--sendgrid.apikey={MARKER}"], GOOD),
    (["--sendgrid.key", MARKER], GOOD),
    ([f"--{MARKER}"], GOOD),
    ([f"-{MARKER}=x"], GOOD),
    ([MARKER], GOOD),
    ([f"--check={MARKER}"], GOOD),
    (["--automations", MARKER], {}),
    (["--automations", f'[{{"{MARKER}": 1}}]'], {}),
    (["--automations", f'["{MARKER}'], {}),
    (["--config.file", MARKER], GOOD),
    (["--config.file", f"{MARKER}\n"], GOOD),
    ([], {**GOOD, "SENDGRID_API_KEY_FILE": MARKER}),
    ([], {**GOOD, "SENDGRID_API_KEY": MARKER, "SENDGRID_API_KEY_FILE": MARKER}),
    ([], {**GOOD, "SENDGRID_API_KEY": f"Bearer {MARKER}"}),
    ([], {**GOOD, "SENDGRID_API_KEY": f"{MARKER}\x07"}),
    ([], {**GOOD, "SENDGRID_API_KEY": f"{MARKER}日"}),
    ([], {**GOOD, "EXPORTER_SENDGRID__APIKEY": MARKER}),
    ([], {**GOOD, "EXPORTER_SENDGRID": f'{{"api_key": "{MARKER}"}}'}),
    *(
        ([], {**GOOD, "SENDGRID_API_KEY": MARKER, f"EXPORTER_{name}": f"\x01{MARKER}"})
        for name in (
            "SENDGRID__BASE_URL",
            "SENDGRID__ON_BEHALF_OF",
            "SENDGRID__TIMEOUT",
            "SENDGRID__PAGE_SIZE",
            "SENDGRID__REQUESTS_PER_MINUTE",
            "SENDGRID__PROXY",
            "LABELS__URL",
            "LABELS__DROP_PARAMS",
            "WEB__LISTEN_ADDRESS",
            "WEB__TELEMETRY_PATH",
            "WEB__OPEN_HEALTH",
            "LOG__LEVEL",
            "SHARD__INDEX",
        )
    ),
    ([], {**GOOD, "SENDGRID_API_KEY": MARKER, "EXPORTER_SENDGRID__PROXY": f"http://u:{MARKER}@x/path"}),
    ([], {**GOOD, "SENDGRID_API_KEY": MARKER, "EXPORTER_SENDGRID__BASE_URL": f"https://u:{MARKER}@x"}),
]


def reported(caught: pytest.ExceptionInfo[ConfigurationError]) -> str:
    whole = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    chain = [repr(caught.value), str(caught.value), *whole.format(chain=True), *caught.value.problems]
    cause: BaseException | None = caught.value
    while cause is not None:
        chain += [repr(cause), str(cause)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(chain)


@pytest.mark.parametrize(("arguments", "environment"), PLANTED)
def test_planted_key_is_in_no_problem_and_no_traceback(arguments: list[str], environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, environment)

    assert "xyzzy" not in reported(caught)


@pytest.mark.parametrize(
    "content",
    [
        f"sendgrid: {{api_key: '{MARKER} x'}}",
        f"sendgrid: {{api_key: *{MARKER.replace('.', '')}}}",
        f"sendgrid: {{api_key: !{MARKER} x}}",
        f"sendgrid: {{api_key: '{MARKER}}}",
        f"sendgrid: {{api_key: [{MARKER}]}}",
        f"sendgrid: {{apikey: {MARKER}}}",
        f"sendgrid: {MARKER}",
        f"{MARKER}: x",
        f"{MARKER}",
        f"sendgrid: {{{MARKER}: 1, {MARKER}: 2}}",
        f"? [{MARKER}]\n: 1",
        f"automations: [{MARKER}]",
        f"automations: [{{{MARKER}: 1}}]",
    ],
)
def test_planted_key_in_a_wrong_file_does_not_come_out(tmp_path: Path, content: str) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load(["--config.file", str(file)], {})

    assert "xyzzy" not in reported(caught)


def test_settings_print_no_secret() -> None:
    environment = {**GOOD, "SENDGRID_API_KEY": MARKER, "EXPORTER_SENDGRID__PROXY": f"http://user:{MARKER}@proxy:1"}

    invocation = load([], environment)
    settings = invocation.settings

    assert settings is not None
    for text in (
        repr(invocation),
        str(invocation),
        repr(settings.sendgrid),
        str(settings.sendgrid),
        redacted(settings),
        redacted_line(settings),
        *invocation.warnings,
    ):
        assert "xyzzy" not in text
    assert settings.sendgrid.proxy == f"http://user:{MARKER}@proxy:1"


def test_debug_lines_of_pydantic_settings_show_no_secret(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level(logging.DEBUG)

    load([], {**GOOD, "SENDGRID_API_KEY": MARKER, "EXPORTER_SENDGRID__PROXY": f"http://user:{MARKER}@proxy:1"})

    assert "Environment: <automations, sendgrid>" in caplog.text
    assert "xyzzy" not in caplog.text


def test_redacted_configuration_can_be_read_again(tmp_path: Path) -> None:
    entry = {"id": ONE, "name": "Grüße: #1", "step_ids": ["1"], "interval": "90s"}
    automations = json.dumps([{**entry, "steps": {"1": "Day: 1"}, "labels": {"a.b": "#x"}}])
    key = tmp_path / "key"
    key.write_text(MARKER, encoding="utf-8")
    arguments = [
        *("--automations", automations, "--poll.interval=1m", "--log.level=warn", "--web.open-health=false"),
        *(
            "--labels.drop-params",
            "utm_*,a",
            "--sendgrid.requests-per-minute=0.5",
            "--state.path=/s",
            "--shard.total=3",
        ),
    ]
    first = load(arguments, {"SENDGRID_API_KEY_FILE": str(key)}).settings
    assert first is not None
    file = tmp_path / "exporter.yaml"
    file.write_text(redacted(first), encoding="utf-8")

    second = load(["--config.file", str(file)], {}).settings

    assert second == first


def test_redacted_configuration_hides_secrets_and_shows_the_rest() -> None:
    environment = {**GOOD, "SENDGRID_API_KEY": MARKER, "EXPORTER_SENDGRID__PROXY": f"http://user:{MARKER}@proxy:1"}
    settings = load([], environment).settings
    assert settings is not None

    tree = yaml.safe_load(redacted(settings))

    assert tree["automations"] == [{"id": ONE}]
    assert tree["sendgrid"]["api_key"] == "<hidden>"
    assert tree["sendgrid"]["proxy"] == "http://<hidden>@proxy:1"
    assert tree["poll"].items() >= {"interval": "5m", "concurrency": 4, "stale_after": None}.items()
    assert {f"{group}.{name}" for group in tree.keys() - {"automations"} for name in tree[group]} == {
        row.key for row in reference() if row.key not in ("automations", "config.file")
    }


def test_redacted_line_is_one_line_of_words() -> None:
    settings = load(
        ["--state.path=/a b", "--sendgrid.requests-per-minute=0.5"], {**GOOD, "SENDGRID_API_KEY": "k"}
    ).settings
    assert settings is not None

    line = redacted_line(settings)

    assert "\n" not in line
    assert line.startswith("automations=1 sendgrid.api_key=<hidden> sendgrid.base_url=https://api.sendgrid.com ")
    assert ' labels.drop_params="" ' in line
    assert ' state.path="/a b" ' in line
    assert " sendgrid.requests_per_minute=0.5 " in line
    assert " web.enable_lifecycle=false " in line


@pytest.mark.parametrize("content", [b"SG.k", b"SG.k\n", b"\r\n SG.k \t\r\n", b"\xef\xbb\xbfSG.k\n"])
def test_key_file_is_read_without_blanks_around_the_key(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    assert read_key_file(path).get_secret_value() == "SG.k"
    settings = load([], {**GOOD, "SENDGRID_API_KEY_FILE": str(path)}).settings
    assert settings is not None
    assert (settings.sendgrid.api_key, settings.sendgrid.api_key_file) == (None, path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the key is empty; put one there"),
        (b" \n", "the key is empty; put one there"),
        (b"xyzzy key", 'the key contains spaces or line breaks; give the key alone, without "Bearer"'),
        (b"xyzzy\nxyzzy", 'the key contains spaces or line breaks; give the key alone, without "Bearer"'),
        (b"'xyzzy'\n", "the key is in quotes; give it without them"),
        (b"xyzzy\x00", "the key contains characters that no HTTP header can carry; copy it again"),
        ("xyzzy日".encode(), "the key contains characters that no HTTP header can carry; copy it again"),
        (b"xyzzy\xff", "it is not UTF-8 text; write the key alone into it"),
        (b"xyzzy" * 1000, "the key is longer than 4096 characters; give the key alone"),
    ],
)
def test_key_file_without_a_key_is_reported(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        load([], {**GOOD, "SENDGRID_API_KEY_FILE": str(path)})

    assert caught.value.problems == (
        f"sendgrid.api_key_file (SENDGRID_API_KEY_FILE): {path} is not a key file: {expected}",
    )
    assert "xyzzy" not in reported(caught)


def test_missing_key_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "key"

    with pytest.raises(ConfigurationError) as caught:
        load([f"--sendgrid.api-key-file={path}"], GOOD)

    (problem,) = caught.value.problems
    assert problem == (
        f"sendgrid.api_key_file (--sendgrid.api-key-file): cannot read {path} (No such file or directory); make it, "
        "or correct the path"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SENDGRID_API_KEY", "SENDGRID_API_KEY_FILE"),
        ("SENDGRID_API_KEY", "EXPORTER_SENDGRID__API_KEY_FILE"),
        ("EXPORTER_SENDGRID__API_KEY", "SENDGRID_API_KEY_FILE"),
        ("EXPORTER_SENDGRID__API_KEY", "EXPORTER_SENDGRID__API_KEY_FILE"),
    ],
)
def test_key_and_key_file_together_are_reported(tmp_path: Path, first: str, second: str) -> None:
    path = tmp_path / "key"
    path.write_text("SG.k", encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        load([], {**GOOD, first: "SG.k", second: str(path)})

    assert caught.value.problems == (f"sendgrid.api_key ({first}): is given together with {second}; keep one of them",)


def test_empty_key_is_reported() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load([], {**GOOD, "SENDGRID_API_KEY": " \n"})

    assert caught.value.problems == ("sendgrid.api_key (SENDGRID_API_KEY): the key is empty; put one there",)


def test_key_as_a_flag_is_reported_with_the_reason() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(["--sendgrid.api-key", MARKER], GOOD)

    assert caught.value.problems == (
        (
            "sendgrid.api_key (--sendgrid.api-key): is not accepted as a flag, because the key would stand in the "
            "process list; set SENDGRID_API_KEY, or --sendgrid.api-key-file"
        ),
    )


def test_groups_made_by_hand_take_the_key_as_a_secret() -> None:
    secret = SecretStr("SG.k")

    assert SendGridSettings(api_key=secret).api_key == secret
