"""One row for each way of getting a configuration wrong, with the sentences that it must give."""

import json
from pathlib import Path

import pytest

from exporter.errors import ConfigurationError
from exporter.settings import load, reference
from tests.factories import KEY

pytestmark = pytest.mark.unit

ONE = "2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c"
TWO = "7be0c1d2-3f45-4a67-8b89-0c1d2e3f4a5b"
ENOUGH = {"SENDGRID_API_KEY": KEY, "EXPORTER_AUTOMATIONS": ONE}
DURATION = "must be a duration such as 30s, 5m or 1h30m, or a number of seconds"
EMPTY = "is empty; leave it out to get the default"
UUID = "must be an automation's UUID, such as 2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c, or the address of its page"
JSON_OR_COMMAS = 'write a list such as ["…", "…"], or the ids with commas'
NO_NUMBER = "a value that has the form of a number or a date and cannot be one; put it in quotes"
TYPOGRAPHIC = (
    "argument 1: is not a flag; it begins with a typographic dash, which word processors make of --; type two hyphens"
)
NO_KEY_FLAG = (
    "is not accepted as a flag, because the key would stand in the process list; set SENDGRID_API_KEY, or "
    "--sendgrid.api-key-file"
)
NO_VARIABLE = (
    "environment: a variable that begins with EXPORTER_ is not the name of a setting; remove it, or compare it with "
    "those that --help lists"
)
SEVERAL = "is an address with several UUIDs, and none or several behind /automations/; give the id alone"
KEYS = "id, name, step_ids, interval, steps and labels"
MANY_LABELS = json.dumps({f"l{number}": "v" for number in range(33)})
LONG_LABEL = json.dumps({"n" * 129: "v"})
NO_AUTOMATIONS = (
    "automations: none to poll; list their ids in the configuration file, or in EXPORTER_AUTOMATIONS with commas, "
    "or say all; --doctor shows which the account has"
)
NO_PAGE = (
    "must be an http:// or https:// address that holds {automation_id} exactly once behind its host, such as "
    "https://mc.sendgrid.com/automations/{automation_id}/detail, or empty for no links"
)
TOO_SHORT = "must be at least 10s (1s only where sendgrid.base_url is a loopback address)"
FLAGS_OF_POLL = ", ".join(row.flag for row in reference() if row.flag and row.path[0] == "poll")
ONE_STEP = "must hold one step in each entry, without commas"
BAD = sorted((Path(__file__).parents[1] / "data" / "bad").glob("settings_*.yaml"))


def problems(arguments: list[str], environment: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(arguments, environment)
    return caught.value.problems


VALUES = [
    ("poll.interval", "", EMPTY),
    ("poll.interval", "soon", DURATION),
    ("poll.interval", "nan", DURATION),
    ("poll.interval", "inf", DURATION),
    ("poll.interval", "-30s", DURATION),
    ("poll.interval", "1m1h", DURATION),
    ("poll.interval", "٣", DURATION),
    ("poll.interval", "0", TOO_SHORT),
    ("poll.interval", "9.9", TOO_SHORT),
    ("poll.interval", "31d", "must be at most 4w2d"),
    ("poll.interval", "9" * 400, "must be at most 4w2d"),
    ("poll.stale_after", "4m", "must be at least poll.interval, which is 5m"),
    ("poll.concurrency", "0", "must be at least 1"),
    ("sd.exclude", "a, -_ .", "entry 1 would exclude every link; name a part of the address, such as /checkout"),
    ("sd.max_links", "10001", "must be at most 10000"),
    ("poll.concurrency", "257", "must be at most 256"),
    ("poll.concurrency", "-1", "must be at least 1"),
    ("sd.exclude", "/", "entry 0 would exclude every link; name a part of the address, such as /checkout"),
    ("sd.exclude", "a,*", "entry 1 would exclude every link; name a part of the address, such as /checkout"),
    ("sd.exclude", "http", "entry 0 would exclude every link; name a part of the address, such as /checkout"),
    ("poll.concurrency", "4.0", "must be a whole number"),
    ("poll.concurrency", "", EMPTY),
    ("poll.concurrency", "9" * 5000, "must be a whole number"),
    ("sendgrid.page_size", "51", "must be at most 50"),
    ("sendgrid.timeout", "6m", "must be at most 5m"),
    ("sendgrid.requests_per_minute", "0", "must be at least 0.1"),
    ("sendgrid.requests_per_minute", "-1", "must be at least 0.1"),
    ("sendgrid.requests_per_minute", "nan", "must be a number"),
    ("sendgrid.requests_per_minute", "", EMPTY),
    ("sendgrid.base_url", "api.sendgrid.com", "must be a URL such as https://api.sendgrid.com"),
    ("sendgrid.base_url", "ftp://x", "must begin with https:// or http://"),
    ("sendgrid.base_url", "https:/x", "must be a URL such as https://api.sendgrid.com"),
    ("sendgrid.base_url", "https://x/v3", "must not hold a path; give scheme, host and port alone"),
    ("sendgrid.base_url", "https://x//", "must not hold a path; give scheme, host and port alone"),
    ("sendgrid.base_url", "https://x?", "must not hold a query or a fragment"),
    ("sendgrid.base_url", "https://x/#a", "must not hold a query or a fragment"),
    (
        "sendgrid.base_url",
        "https://u:p@x",
        "must not hold a user or a password; the key has its own setting, sendgrid.api_key_file",
    ),
    ("sendgrid.base_url", "https://", "must hold a valid host, and after a colon a port from 1 to 65535"),
    ("sendgrid.base_url", "https://x:", "must hold a valid host, and after a colon a port from 1 to 65535"),
    ("sendgrid.base_url", "https://x:0", "must hold a valid host, and after a colon a port from 1 to 65535"),
    (
        "sendgrid.base_url",
        "https://[::1",
        "must be a URL such as https://api.sendgrid.com, with a port from 1 to 65535",
    ),
    (
        "sendgrid.base_url",
        "https://x:65536",
        "must be a URL such as https://api.sendgrid.com, with a port from 1 to 65535",
    ),
    ("sendgrid.base_url", "https://a b", "must be a URL of ASCII characters without blanks or backslashes"),
    ("sendgrid.base_url", "https://x\\@y", "must be a URL of ASCII characters without blanks or backslashes"),
    ("sendgrid.base_url", "https://xé", "must be a URL of ASCII characters without blanks or backslashes"),
    ("sendgrid.base_url", "https://x\ty", "holds a control character, or bytes that are not UTF-8"),
    ("sendgrid.proxy", "socks5://x", "must be an http:// or https:// proxy; SOCKS is not supported"),
    ("sendgrid.base_url", "https://[v1.x]", "must hold a valid host, and after a colon a port from 1 to 65535"),
    ("sendgrid.base_url", "https://x;y", "must hold a valid host, and after a colon a port from 1 to 65535"),
    *(
        ("sendgrid.app_url", written, NO_PAGE)
        for written in (
            "mc.sendgrid.com/automations/{automation_id}",
            "ftp://x/{automation_id}",
            "javascript://x/{automation_id}",
            "https:/x/{automation_id}",
            "https:///{automation_id}",
            "https://{automation_id}.x/",
            "https://x{automation_id}/",
            "https://x?{automation_id}",
            "https://x:0/{automation_id}",
            "https://x:y/{automation_id}",
            "https://[x]/{automation_id}",
            "https://user:word@x/{automation_id}",
            "https://x/",
            "https://x/{id}",
            "https://x/{automation_id}/{automation_id}",
            "https://x/{automation_id}/{id}",
            "https://x/a b/{automation_id}",
            'https://x/"{automation_id}',
            "https://x/{automation_id}/é",
            "off",
        )
    ),
    ("sendgrid.app_url", "https://x/\t{automation_id}", "holds a control character, or bytes that are not UTF-8"),
    ("sendgrid.proxy", "proxy:3128", "must be a URL such as http://proxy:3128"),
    ("sendgrid.proxy", "http://a@b:c@d", "must write an @ in the user or the password as %40"),
    ("sendgrid.proxy", "file://x", "must begin with http:// or https://"),
    ("sendgrid.proxy", "", EMPTY),
    ("sendgrid.on_behalf_of", "a\r\nX: y", "holds a control character, or bytes that are not UTF-8"),
    ("sendgrid.on_behalf_of", "日本", "holds characters that no HTTP header can carry"),
    ("sendgrid.on_behalf_of", "a" * 257, "is longer than 256 characters"),
    ("labels.url", "strip_querry", "must be one of full, strip_fragment, strip_query; did you mean strip_query?"),
    ("labels.url", "x", "must be one of full, strip_fragment, strip_query"),
    ("labels.max_links", "0", "must be at least 1"),
    ("labels.max_url_length", "63", "must be at least 64"),
    ("labels.drop_params", "a,b\x00", "entry 1 holds a control character, or bytes that are not UTF-8"),
    ("labels.drop_params", "a," * 1001, "has more than 1000 entries"),
    ("labels.drop_paths", "/a/*,/unsubscribe/", "entry 1 must hold a * for what to leave out, such as /unsubscribe/*"),
    (
        "labels.drop_paths",
        "https://e.com/u/*",
        "entry 0 must be a path such as /unsubscribe/*, without a scheme, a host, ? or #",
    ),
    (
        "labels.drop_paths",
        "/a/*,/a?token=*",
        "entry 1 must be a path such as /unsubscribe/*, without a scheme, a host, ? or #",
    ),
    ("labels.drop_paths", "/*" * 11, "entry 0 has more than 10 *"),
    ("labels.drop_paths", "/*," * 101, "has more than 100 entries"),
    ("labels.drop_paths", "/" + "a" * 256 + "*", "entry 0 is longer than 256 characters"),
    (
        "web.listen_address",
        "10154",
        "must be an address such as :10154, 127.0.0.1:10154 or [::1]:10154, with a port from 0 to 65535",
    ),
    (
        "web.listen_address",
        ":65536",
        "must be an address such as :10154, 127.0.0.1:10154 or [::1]:10154, with a port from 0 to 65535",
    ),
    ("web.listen_address", "a b:1", "must be an address such as :10154, 127.0.0.1:10154 or [::1]:10154"),
    ("web.listen_address", "::1:1", "must hold an IPv6 address in brackets, such as [::1]:10154"),
    ("web.listen_address", "[x]:1", "holds no IPv6 address between the brackets"),
    ("web.telemetry_path", "/", "is taken by another page of the exporter; choose another, such as /metrics"),
    ("web.telemetry_path", "/-/ready", "is taken by another page of the exporter; choose another, such as /metrics"),
    (
        "web.telemetry_path",
        "metrics?a",
        "must be a path such as /metrics: letters, digits, '.', '_', '~', '-' between single slashes",
    ),
    (
        "web.telemetry_path",
        "/a/../b",
        "must be a path such as /metrics: letters, digits, '.', '_', '~', '-' between single slashes",
    ),
    ("web.enable_lifecycle", "maybe", "must be true or false"),
    ("web.config_file", "", EMPTY),
    ("log.level", "debgu", "must be one of debug, info, warning, error; did you mean debug?"),
    ("log.format", "xml", "must be one of logfmt, json"),
    ("state.path", " ", EMPTY),
    ("state.path", "\udcff", "holds a control character, or bytes that are not UTF-8"),
    ("shard.index", "1", "must be below shard.total, which is 1; the first is 0"),
    ("shard.index", "pod", "is pod, but the variable POD_NAME does not end in a number such as the 0 of exporter-0"),
    ("shard.total", "0", "must be at least 1"),
]


@pytest.mark.parametrize(("key", "written", "expected"), VALUES)
def test_wrong_value_is_reported_with_its_variable(key: str, written: str, expected: str) -> None:
    variable = "EXPORTER_" + key.replace(".", "__").upper()

    assert problems([], {**ENOUGH, variable: written}) == (f"{key} ({variable}): {expected}",)


@pytest.mark.parametrize(("key", "written", "expected"), VALUES)
def test_wrong_value_is_reported_with_its_flag(key: str, written: str, expected: str) -> None:
    flag = "--" + key.replace("_", "-")

    assert problems([f"{flag}={written}"], ENOUGH) == (f"{key} ({flag}): {expected}",)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--poll.intervall=1"], "poll.intervall (--poll.intervall): no such setting; did you mean --poll.interval?"),
        (["--poll_interval", "1"], "poll_interval (--poll_interval): no such setting; did you mean --poll.interval?"),
        (["--Poll.Interval", "1"], "Poll.Interval (--Poll.Interval): no such setting; did you mean --poll.interval?"),
        (["-poll.interval", "1"], "poll.interval (-poll.interval): no such setting; did you mean --poll.interval?"),
        (["--chekc"], "chekc (--chekc): no such setting; did you mean --check?"),
        (["--zzzzzz"], "zzzzzz (--zzzzzz): no such setting; --help lists all of them"),
        (
            ["--log.zzzzzz", "x"],
            "log.zzzzzz (--log.zzzzzz): no such setting; here are --log.level, --log.format",
        ),
        (["--poll", "5m"], f"poll (--poll): is a group; give one of {FLAGS_OF_POLL}"),
        (["--poll.interval"], "poll.interval (--poll.interval): needs a value: --poll.interval DURATION"),
        (["--poll.interval", "--check"], "poll.interval (--poll.interval): needs a value: --poll.interval DURATION"),
        (["--poll.interval", "-1"], f"poll.interval (--poll.interval): {DURATION}"),
        (["--log.level=info", "--log.level", "info"], "log.level (--log.level): is given twice; give it once"),
        (["word"], "argument 1: is not a flag; write a value after its flag"),
        (["--"], "argument 1: is not a flag of the exporter; --help lists all of them"),
        (["--7/"], "argument 1: is not a flag of the exporter; --help lists all of them"),
        (["--poll.stale.after=1h"], "argument 1: is not a flag of the exporter; did you mean --poll.stale-after?"),
        (
            ["--web.telemetry.path", "/m"],
            "argument 1: is not a flag of the exporter; did you mean --web.telemetry-path?",
        ),
        (
            ["--sendgrid.api.key.file=k"],
            "argument 1: is not a flag of the exporter; did you mean --sendgrid.api-key-file?",
        ),
        (
            ["exporter.yaml"],
            "argument 1: is not a flag; write a value after its flag, a configuration file after --config.file",
        ),
        (
            ["--web.config.file=a", "--web.config-file=b"],
            "web.config_file (--web.config-file): is given twice; give it once",
        ),
        (
            ["--web.listen-address=:1", "--web.listen-address=:1"],
            "web.listen_address (--web.listen-address): names an address twice",
        ),
        (["--key=x"], f"key (--key): {NO_KEY_FLAG}"),
        (["--api-key", "x"], f"api_key (--api-key): {NO_KEY_FLAG}"),
        (["--token", "x"], f"token (--token): {NO_KEY_FLAG}"),
        (["--sendgrid.apikey=x"], f"sendgrid.apikey (--sendgrid.apikey): {NO_KEY_FLAG}"),
        (["check"], "argument 1: is not a flag; did you mean --check?"),
        (["Version"], "argument 1: is not a flag; did you mean --version?"),
        *(([f"{dash}check"], TYPOGRAPHIC) for dash in ("\u2014", "\u2013-", "\u2212")),
        (["--check=yes"], "check (--check): takes no value"),
        (["--check", "--once"], "check (--check): cannot be combined with --once; choose one"),
    ],
)
def test_wrong_command_line_is_reported(arguments: list[str], expected: str) -> None:
    assert problems(arguments, ENOUGH) == (expected,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("EXPORTER_POLL_INTERVAL", "poll_interval: no such setting; did you mean EXPORTER_POLL__INTERVAL?"),
        ("EXPORTER_POLL__INTERVALL", "poll.intervall: no such setting; did you mean EXPORTER_POLL__INTERVAL?"),
        ("EXPORTER_POL__INTERVAL", "pol.interval: no such setting; did you mean EXPORTER_POLL__INTERVAL?"),
        ("EXPORTER_AUTOMATION", "automation: no such setting; did you mean EXPORTER_AUTOMATIONS?"),
        (
            "EXPORTER_WEB__ZZZZ",
            (
                "web.zzzz: no such setting; here are EXPORTER_WEB__LISTEN_ADDRESS, EXPORTER_WEB__SYSTEMD_SOCKET, "
                "EXPORTER_WEB__CONFIG_FILE, EXPORTER_WEB__TELEMETRY_PATH, EXPORTER_WEB__ENABLE_LIFECYCLE, "
                "EXPORTER_WEB__OPEN_HEALTH"
            ),
        ),
        ("EXPORTER_PORT", "port: no such setting; did you mean EXPORTER_WEB__LISTEN_ADDRESS, such as :10154?"),
        ("EXPORTER_WEB_PORT", "web_port: no such setting; did you mean EXPORTER_WEB__LISTEN_ADDRESS, such as :10154?"),
        ("EXPORTER_DEMO", "demo: is a flag, not a variable; write --demo"),
        ("EXPORTER_CHECK", "check: is a flag, not a variable; write --check"),
        ("EXPORTER_LOG", "log: is a group; set one of EXPORTER_LOG__LEVEL, EXPORTER_LOG__FORMAT"),
    ],
)
def test_mistyped_variable_is_reported(name: str, expected: str) -> None:
    path, _, text = expected.partition(":")

    assert problems([], {**ENOUGH, name: "1"}) == (f"{path} ({name}):{text}",)


@pytest.mark.parametrize("rest", ["", KEY, "\udcff\n", "A B", "x" * 100])
def test_variable_whose_name_may_hold_a_secret_is_reported_without_it(rest: str) -> None:
    assert problems([], {**ENOUGH, f"EXPORTER_{rest}": "1"}) == (NO_VARIABLE,)


@pytest.mark.parametrize("name", ["SENDGRID_APIKEY", "SENDGRID_KEY", "SENDGRID_TOKEN", "SENDGRID_API_KEYFILE"])
def test_missing_key_names_the_variable_that_was_meant_to_give_it(name: str) -> None:
    (problem,) = problems([], {"EXPORTER_AUTOMATIONS": ONE, name: KEY})

    assert problem.startswith("sendgrid.api_key: no key; set SENDGRID_API_KEY, or SENDGRID_API_KEY_FILE to the file ")
    assert problem.endswith(f"; {name} is not read")


def test_variable_in_two_spellings_is_reported() -> None:
    environment = {**ENOUGH, "EXPORTER_LOG__LEVEL": "info", "exporter_log__level": "debug"}

    assert problems([], environment) == (
        "log.level (exporter_log__level): is given by EXPORTER_LOG__LEVEL too; the case of letters does not matter",
    )


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", [NO_AUTOMATIONS]),
        ("[]", [NO_AUTOMATIONS]),
        ("x", [f"automations[0].id: {UUID}"]),
        (ONE.replace("-", ""), [f"automations[0].id: {UUID}"]),
        (f"{ONE},,x", ["automations[1].id: is empty", f"automations[2].id: {UUID}"]),
        (f"{ONE},{ONE.upper()}", [f"automations[1].id: {ONE.upper()} is listed twice; automations[0] is the same"]),
        ("[1", ["automations: begins like JSON, but is not valid JSON; " + JSON_OR_COMMAS]),
        ("[" * 100_000, ["automations: begins like JSON, but is not valid JSON; " + JSON_OR_COMMAS]),
        ("{}", [f"automations: must be a list of ids, or of mappings with {KEYS}"]),
        ("[1]", [f"automations[0]: must be an id or a mapping with {KEYS}"]),
        ('[{"name": "a"}]', ["automations[0].id: is missing"]),
        (f'[{{"uuid": "{ONE}"}}]', ["automations[0].uuid: no such setting; did you mean id?"]),
        (
            f'[{{"{ONE}": "Welcome"}}]',
            [f"automations[0]: holds a key that is not the name of a setting; here are {KEYS}"],
        ),
        (f"all,{ONE}", ["automations[0].id: stands for every automation of the account, and alone: automations: all"]),
        (
            f"{ONE};{TWO}",
            ["automations[0].id: holds several UUIDs; separate them with commas, or make each an entry of the list"],
        ),
        (f'[{{"id": "{ONE}", "nmae": "a"}}]', ["automations[0].nmae: no such setting; did you mean name?"]),
        (
            f'[{{"id": "{ONE}", "a b": "a"}}]',
            [f"automations[0]: holds a key that is not the name of a setting; here are {KEYS}"],
        ),
        (f'[{{"id": "{ONE}", "name": 5}}]', ["automations[0].name: must be text; put it in quotes"]),
        (f'[{{"id": "{ONE}", "step_ids": ["a,b"]}}]', [f"automations[0].step_ids: {ONE_STEP}"]),
        (f'[{{"id": "{ONE}", "step_ids": ["a", "a"]}}]', ["automations[0].step_ids: names a step twice"]),
        (f'[{{"id": "{ONE}", "step_ids": 5}}]', ["automations[0].step_ids: must be a list, or text with commas"]),
        (f'[{{"id": "{ONE}", "interval": true}}]', [f"automations[0].interval: {DURATION}"]),
        (f'[{{"id": "{ONE}", "interval": NaN}}]', ["automations[0].interval: must be a number"]),
        (f'[{{"id": "{ONE}", "interval": 1e999}}]', ["automations[0].interval: must be at most 4w2d"]),
        (f'[{{"id": "{ONE}", "interval": 0}}]', [f"automations[0].interval: {TOO_SHORT}"]),
        (f'[{{"id": "{ONE}", "interval": 1{"0" * 400}}}]', ["automations[0].interval: must be at most 4w2d"]),
        (f'[{{"id": "{ONE}", "interval": 5}}]', [f"automations[0].interval: {TOO_SHORT}"]),
        (f"https://mc.sendgrid.com/automations/{ONE}1/detail", [f"automations[0].id: {UUID}"]),
        ("https://mc.sendgrid.com/automations", [f"automations[0].id: {UUID}"]),
        (f"https://mc.sendgrid.com/{ONE}/{TWO}", [f"automations[0].id: {SEVERAL}"]),
        (f"mc.sendgrid.com/automations/{ONE}/automations/{TWO}", [f"automations[0].id: {SEVERAL}"]),
        (
            f"{ONE},https://mc.sendgrid.com/automations/{ONE.upper()}/detail",
            [f"automations[1].id: {ONE.upper()} is listed twice; automations[0] is the same"],
        ),
        (f'[{{"id": "{ONE}", "steps": ["a"]}}]', ["automations[0].steps: must be a mapping of step ids to names"]),
        (f'[{{"id": "{ONE}", "steps": {{"a": 1}}}}]', ["automations[0].steps: entry 0 must be text; put it in quotes"]),
        (
            f'[{{"id": "{ONE}", "steps": {{"a": "1", " a": "2"}}}}]',
            ["automations[0].steps: entries 0 and 1 are the same step"],
        ),
        (f'[{{"id": "{ONE}", "labels": "team"}}]', ["automations[0].labels: must be a mapping of names to values"]),
        (
            f'[{{"id": "{ONE}", "labels": {{"": "a", "b": "", "c": "d\\u0000"}}}}]',
            [
                "automations[0].labels: entry 0 is empty; leave it out to get the default",
                "automations[0].labels: entry 1 is empty; leave it out to get the default",
                "automations[0].labels: entry 2 holds a control character, or bytes that are not UTF-8",
            ],
        ),
        (
            f'[{{"id": "{ONE}", "labels": {{"a-b": "1", "c": "2", "a.b": "3"}}}}]',
            ["automations[0].labels: entries 0 and 2 both become label_a_b; rename one of them"],
        ),
        (
            f'[{{"id": "{ONE}", "labels": {MANY_LABELS}}}]',
            ["automations[0].labels: has more than 32 entries"],
        ),
        (
            f'[{{"id": "{ONE}", "labels": {LONG_LABEL}}}]',
            ["automations[0].labels: entry 0 is longer than 128 characters"],
        ),
    ],
)  # fmt: skip
def test_wrong_automations_are_reported_with_their_place(written: str, expected: list[str]) -> None:
    environment = {**ENOUGH, "EXPORTER_AUTOMATIONS": written}

    reported = [problem.replace(" (EXPORTER_AUTOMATIONS)", "") for problem in problems([], environment)]

    assert reported == expected


def test_stale_after_is_measured_against_the_longest_interval() -> None:
    automations = f'[{{"id": "{ONE}", "interval": "1h"}}]'

    assert problems(["--poll.stale-after=30m", "--automations", automations], ENOUGH) == (
        "poll.stale_after (--poll.stale-after): must be at least automations[0].interval, which is 1h",
    )


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--automation=x"], {"SENDGRID_API_KEY": KEY}),
        (["--automatoins", ONE], {"SENDGRID_API_KEY": KEY}),
        (["--sendgrid.apikey-file=/run/key"], {"EXPORTER_AUTOMATIONS": ONE}),
        (["--sendgrid.api.key.file=/run/key"], {"EXPORTER_AUTOMATIONS": ONE}),
        (["--config-file=exporter.yaml"], {}),
        (["-config.file", "exporter.yaml"], {}),
        (["exporter.yaml"], {}),
        (["--xyzzy"], {}),
        ([], {"EXPORTER_AUTOMATION": ONE, "SENDGRID_API_KEY": KEY}),
        ([], {"EXPORTER_AUTOMATIONS": ONE, "EXPORTER_SENDGRID__APIKEY": KEY}),
        ([], {"EXPORTER_CONFIG_FILE": "exporter.yaml"}),
    ],
)
def test_wrong_name_brings_no_complaint_about_what_it_was_meant_to_give(
    arguments: list[str], environment: dict[str, str]
) -> None:
    assert len(problems(arguments, environment)) == 1


def test_wrong_key_of_the_file_brings_no_complaint_about_what_it_was_meant_to_give(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text(f"automation: [{ONE}]\nsendgrid: {{api_key_fil: /run/key}}\n", encoding="utf-8")

    reported = problems([f"--config.file={file}"], {})

    assert [text.partition(" (")[0] for text in reported] == ["automation", "sendgrid.api_key_fil"]


def test_mistyped_name_hides_no_other_problem() -> None:
    assert len(problems(["--poll.intervall=1m", "--log.level=loud"], {})) == 4


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("poll:\n\tinterval: 5m\n", 2, "a tab; indent with spaces"),
        ("poll:\n  interval: 5m\n\tconcurrency: 4\n", 3, "a tab; indent with spaces"),
        ("poll:\n  interval: 5m\n\n  \tconcurrency: 4\n", 4, "a tab; indent with spaces"),
        ("poll:\n  interval: 5m\n concurrency: 4\n", 3, "not lined up with the keys above it"),
        ("automations:\n  - id: a\n   name: b\n", 3, "not lined up with the list above it"),
        ("poll:\n  interval: 5m\n   concurrency: 4\n", 3, "line the key up with those above it"),
        ("automations:\n- id: a\n  name: Welcome: all\n", 3, "put the value in quotes"),
        ("poll:\n  interval 5m\n  concurrency: 4\n", 3, "end the line above with its colon"),
        ("automations:\n- id: a\n  name: @all\n", 3, "no value can begin with this character; put the value in quotes"),
        ("sendgrid:\n  on_behalf_of: 'x\npoll: {}\n", 2, "a quote that is not closed"),
        ("automations: [a\npoll: {}\n\n\n", 1, "a list that is not closed with ]"),
        ("poll: {interval: 5m\n", 1, "a mapping that is not closed with }"),
        ("web:\n  listen_address: [[::1]:10154]\n", 2, "put the value in quotes"),
        ("poll: {}\nlog\n\n\n", 2, "a key without its colon"),
        ("[poll]\ninterval = 5m\n", 2, "each with a colon and a space behind it"),
        (" automations: [a]\npoll: {}\n", 2, "begin all keys of a group in one column"),
        ("labels:\n  drop_params: [utm_*, *]\n", 2, "put a value that begins with one of them in quotes"),
        ("labels:\n  drop_params: *\n", 2, "put a value that begins with one of them in quotes"),
        ("automations: !Ref x\n", 1, "put a value that begins with ! in quotes"),
        ('labels:\n  drop_params: ["\\d"]\n', 2, "put the value in single quotes"),
        ("log:\n  level: info\x01\n", 2, "a control character; delete it"),
        ("automations:\n- id: a\n  name: 2024-02-30\n", 3, "put it in quotes"),
    ],
)
def test_slip_in_the_file_is_said_with_its_line_and_what_helps(
    tmp_path: Path, content: str, line: int, says: str
) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text(content, encoding="utf-8")

    (problem,) = problems([f"--config.file={file}"], {})

    assert f"is not valid YAML: line {line}, column " in problem
    assert says in problem


def test_nothing_given_reports_what_is_needed() -> None:
    assert problems([], {}) == (
        NO_AUTOMATIONS,
        "sendgrid.api_key: no key; set SENDGRID_API_KEY, or SENDGRID_API_KEY_FILE to the file that holds it",
    )


@pytest.mark.parametrize("file", BAD, ids=lambda path: path.stem)
def test_wrong_file_is_reported_with_its_line(file: Path) -> None:
    expected = [
        line.removeprefix("# expect: ").replace("FILE", str(file))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("# expect: ")
    ]

    environment = {} if "api_key" in file.read_text(encoding="utf-8") else {"SENDGRID_API_KEY": "k"}
    reported = problems(["--config.file", str(file)], environment)

    assert len(reported) == len(expected)
    for problem, sentence in zip(reported, expected, strict=True):
        begin, dots, _ = sentence.partition("[...]")
        assert problem == sentence or (dots and problem.startswith(begin))


def test_bad_files_are_found() -> None:
    assert len(BAD) >= 10


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe", "is not valid YAML: line 1, column 1: bytes that are not UTF-8; save the file as UTF-8"),
        (
            "log:\n# März\n".encode("latin-1"),
            "is not valid YAML: line 2, column 4: bytes that are not UTF-8; save the file as UTF-8",
        ),
        (b"a: 1" + b"0" * 5000, f"is not valid YAML: line 1, column 4: {NO_NUMBER}"),
        (b"a: 2001-99-99", f"is not valid YAML: line 1, column 4: {NO_NUMBER}"),
    ],
)
def test_unreadable_content_is_reported_and_nothing_else(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "exporter.yaml"
    path.write_bytes(content)

    assert problems([f"--config.file={path}"], {}) == (f"config.file (--config.file): {path} {expected}",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.yaml", "(No such file or directory); make it, or correct the path"),
        (".", "(Is a directory); name a file in it"),
    ],
)
def test_file_that_cannot_be_opened_is_reported_and_nothing_else(tmp_path: Path, name: str, reason: str) -> None:
    path = tmp_path / name

    assert problems([], {"EXPORTER_CONFIG__FILE": str(path)}) == (
        f"config.file (EXPORTER_CONFIG__FILE): cannot read {path} {reason}",
    )


def test_empty_file_name_is_reported() -> None:
    assert problems([], {"EXPORTER_CONFIG__FILE": ""}) == (f"config.file (EXPORTER_CONFIG__FILE): {EMPTY}",)


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text("labels: {max_links: none}\nwebb: {}\nautomations: [x]\n", encoding="utf-8")

    reported = problems(
        [f"--config.file={file}", "--nope", "--shard.total=two"],
        {"EXPORTER_LOG__LEVEL": "loud", "EXPORTER_NOPE": "", "SENDGRID_API_KEY": " "},
    )

    assert [problem.partition(":")[0] for problem in reported] == [
        "nope (--nope)",
        "nope (EXPORTER_NOPE)",
        f"webb ({file}",
        "sendgrid.api_key (SENDGRID_API_KEY)",
        f"labels.max_links ({file}",
        "log.level (EXPORTER_LOG__LEVEL)",
        "shard.total (--shard.total)",
        f"automations[0].id ({file}",
    ]


def test_enormous_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yaml"
    with path.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)

    assert problems([f"--config.file={path}"], ENOUGH) == (
        f"config.file (--config.file): {path} is larger than 64 MiB",
    )


def test_line_is_found_through_an_anchor_and_a_merge(tmp_path: Path) -> None:
    path = tmp_path / "exporter.yaml"
    path.write_text("poll: &a {interval: soon}\nlabels: {<<: {max_links: none}}\nlog: *a\n", encoding="utf-8")

    assert problems([f"--config.file={path}"], ENOUGH) == (
        f"log.interval ({path}:1): no such setting; here are log.level, log.format",
        f"poll.interval ({path}:1): {DURATION}",
        f"labels.max_links ({path}:2): must be a whole number",
    )


@pytest.mark.parametrize("mode", ["off", "Report"])
def test_all_automations_contradicts_another_mode_of_the_same_source(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "exporter.yaml"
    file.write_text(f"automations: all\ndiscovery: {{mode: '{mode}'}}\n", encoding="utf-8")

    (problem,) = problems(["--config.file", str(file)], {"SENDGRID_API_KEY": "k"})

    assert problem.startswith("automations (")
    assert ": is all, which polls whatever the account has, but discovery.mode is not poll" in problem


@pytest.mark.parametrize("key", ["discovery.interval", "statistics.interval"])
def test_lists_are_not_read_more_often_than_automations_may_be_polled(key: str) -> None:
    (problem,) = problems([f"--{key}", "9s", "--automations", "all"], {"SENDGRID_API_KEY": "k"})

    assert problem.startswith(f"{key} (--{key}): must be at least 10s")
