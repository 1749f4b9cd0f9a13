"""`--doctor` against a simulated SendGrid: each thing that can be wrong, the row that says so, and the exit status."""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import trustme

from exporter.clock import SystemClock
from exporter.doctor import Finding, Verdict, examine_account, table
from exporter.settings import load
from exporter.signals import Signals
from sendgrid_simulator import Delivery, Endpoint, Fault, Row, Simulator, fixed
from tests.end_to_end.harness.exchange import free_port
from tests.end_to_end.harness.process import COMMAND, Process, run_exporter
from tests.end_to_end.harness.waiting import wait_until
from tests.factories import KEY, an_id

pytestmark = pytest.mark.e2e

ROWS: Final = tuple(Row("step", f"https://example.com/{n}", n, n + 1) for n in range(3))
OTHER_KEY: Final = "SG.cccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddddd"


@contextmanager
def simulated(automations: int = 2, **options: object) -> Iterator[Simulator]:
    with Simulator([fixed(an_id(n), ROWS) for n in range(1, automations + 1)], **options) as simulator:
        yield simulator


def examined(
    simulator: Simulator,
    *flags: str,
    key: str | None = None,
    ids: str = an_id(1),
    regions: Mapping[str, str] | None = None,
) -> dict[str, Finding]:
    """Return the findings by their subjects; what is asked is at most four requests."""
    before = simulator.request_count
    arguments = [f"--sendgrid.base-url={simulator.base_url}", "--doctor", *flags]
    arguments += [f"--automations={ids}"] if ids else []
    settings = load(arguments, {"SENDGRID_API_KEY": key or simulator.api_key}).settings
    assert settings is not None
    findings = examine_account(settings, SystemClock(), Signals(), regions or {})
    assert simulator.request_count - before <= 4
    assert len({finding.subject for finding in findings}) == len(findings)
    return {finding.subject: finding for finding in findings}


def verdicts(findings: dict[str, Finding]) -> dict[str, str]:
    return {subject: finding.verdict.value for subject, finding in findings.items()}


def test_good_key_with_all_automations_polled_is_fine_in_three_requests() -> None:
    with simulated(2) as simulator:
        found = examined(simulator, ids=f"{an_id(1)},{an_id(2).upper()}")

        assert simulator.request_count == 3
    assert verdicts(found) == dict.fromkeys(("key", "scopes", "account", "configured", "links", "request limit"), "ok")
    assert found["account"].text == "2 automations"
    assert found["links"].text == f"{an_id(1)}: 3 links, 6 clicks, which is SendGrid's own total"


def test_wrong_key_is_said_with_what_to_do_and_nothing_else() -> None:
    with simulated() as simulator:
        found = examined(simulator, key=KEY)

        assert simulator.request_count == 2
    assert verdicts(found) == {"key": "WRONG"}
    assert "HTTP 401" in found["key"].text
    assert "copy the whole key again" in found["key"].advice


@pytest.mark.parametrize("taken", [True, False])
def test_key_of_the_other_region_is_said_with_the_address_to_set(*, taken: bool) -> None:
    with simulated() as here, simulated() as there:
        there.account.revoke(there.api_key)
        if taken:
            there.account.allow(OTHER_KEY)

        found = examined(here, key=OTHER_KEY, regions={here.base_url: there.base_url})

        assert (here.request_count, there.request_count) == (2, 1)
    assert found["key"].verdict is Verdict.WRONG
    assert (found["region"].verdict, found["region"].advice) == (
        (Verdict.WRONG, f"set sendgrid.base_url to {there.base_url}") if taken else (Verdict.OK, "")
    )


def test_stray_refusal_is_a_note() -> None:
    with simulated() as simulator:
        simulator.fault(endpoint=Endpoint.SCOPES, status=401)

        found = examined(simulator)

    assert (found["key"].verdict, found["scopes"].verdict) == (Verdict.NOTE, Verdict.UNKNOWN)
    assert found["links"].verdict is Verdict.OK


def without_header(status: int) -> Fault:
    """Refuse what is asked on behalf of somebody."""
    return Fault(status=status, times=None, predicate=lambda request: "on-behalf-of" in request.headers)


@pytest.mark.parametrize("status", [401, 403])
def test_subuser_header_that_is_refused_is_found_by_asking_without_it(status: int) -> None:
    with simulated() as simulator:
        simulator.fault(without_header(status))

        found = examined(simulator, "--sendgrid.on-behalf-of=somebody")

    row = found["subuser header" if status == 401 else "account"]
    assert row.verdict is Verdict.WRONG
    assert row.advice == "leave sendgrid.on_behalf_of out, or correct the subuser's name"


def test_subuser_without_automations_is_found_by_asking_without_the_header() -> None:
    empty = Fault(
        endpoint=Endpoint.STATISTICS,
        body=b'{"results": [], "_metadata": {"count": 0}}',
        times=None,
        predicate=lambda request: "on-behalf-of" in request.headers,
    )
    with simulated() as simulator:
        simulator.fault(empty)

        found = examined(simulator, "--sendgrid.on-behalf-of=somebody")

    assert found["account"].verdict is Verdict.WRONG
    assert "no automations on behalf of somebody, and 2 automations without that header" in found["account"].text


def test_empty_account_says_that_a_subuser_may_be_needed() -> None:
    with simulated(0) as simulator:
        found = examined(simulator, ids="")

        assert simulator.request_count == 2
    assert found["account"].verdict is Verdict.WRONG
    assert "set sendgrid.on_behalf_of to its name" in found["account"].advice
    assert "links" not in found


def test_key_without_the_scope_is_said_in_the_scopes_and_the_list() -> None:
    with simulated() as simulator:
        simulator.account.allow(OTHER_KEY, scoped=False)

        found = examined(simulator, key=OTHER_KEY)

    assert verdicts(found) == {
        "key": "ok",
        "scopes": "WRONG",
        "account": "WRONG",
        "links": "WRONG",
        "request limit": "ok",
    }
    assert "read access to Marketing" in found["scopes"].advice


@pytest.mark.parametrize("flags", [(), ("--statistics.enabled=no",)])
def test_list_that_is_refused_is_only_a_note_where_nothing_needs_it(flags: tuple[str, ...]) -> None:
    with simulated() as simulator:
        simulator.account.allow(OTHER_KEY, forbidden=frozenset({Endpoint.STATISTICS}))

        found = examined(simulator, *flags, key=OTHER_KEY)

    assert found["account"].verdict is (Verdict.NOTE if flags else Verdict.WRONG)
    assert found["links"].verdict is Verdict.OK


@pytest.mark.parametrize("status", [403, 404, 500, 429])
def test_scopes_that_cannot_be_read_prove_nothing(status: int) -> None:
    with simulated(1) as simulator:
        simulator.fault(endpoint=Endpoint.SCOPES, status=status, times=None)

        found = examined(simulator)

        assert simulator.request_count == 3
    assert found["scopes"].verdict is Verdict.UNKNOWN
    assert {finding.verdict for finding in found.values()} == {Verdict.OK, Verdict.UNKNOWN}


def test_mistyped_id_is_named_with_what_to_compare() -> None:
    with simulated(1) as simulator:
        found = examined(simulator, ids=f'[{{"id": "{an_id(1)}"}}, {{"id": "{an_id(9)}", "name": "Win back"}}]')

    assert found["configured"].verdict is Verdict.WRONG
    assert found["configured"].text == "1 of 2 configured automations not in the account"
    assert found["configured"].items == [f"Win back ({an_id(9)})"]


def test_configured_automations_of_a_later_page_are_asked_for_by_their_ids() -> None:
    with simulated(60) as simulator:
        found = examined(simulator, ids=f"{an_id(1)},{an_id(59)},{an_id(99)}")

        assert simulator.request_count == 4
    assert found["account"].text == "60 automations"
    assert found["configured"].items == [an_id(99)]
    assert found["not polled"].text == "49 automations of the first 50 not polled"


def test_automations_that_nobody_polls_are_listed_the_most_clicked_first() -> None:
    with simulated(0) as simulator:
        for number in range(1, 15):
            simulator.account.put(fixed(an_id(number), (Row("step", "https://example.com", 0, number),)))

        found = examined(simulator, ids="")
        everything = examined(simulator, ids="all")

    row = found["not polled"]
    assert (row.verdict, row.text) == (Verdict.NOTE, "14 automations not polled")
    assert len(row.items) == 11
    assert row.items[-1] == "and 4 more"
    assert "automations: all" in row.advice
    assert "not polled" not in everything


def test_limit_that_is_too_small_for_the_configuration_is_wrong() -> None:
    # One request in a window. The first answer gives its length, too short where it comes late: 60 a minute at most.
    with simulated(2, rate_limit=1) as simulator:
        found = examined(simulator, "--poll.interval=1s", ids=f"{an_id(1)},{an_id(2)}")
        flags = ("--poll.interval=1m", "--sendgrid.requests-per-minute=1")
        ceiling = examined(simulator, *flags, ids=f"{an_id(1)},{an_id(2)}")

    assert found["request limit"].verdict is Verdict.WRONG
    assert "and 120.0 are needed" in found["request limit"].text
    assert "raise sendgrid.requests_per_minute" in ceiling["request limit"].advice


def test_links_that_contradict_themselves_are_a_note() -> None:
    body = b'{"results": [{"url": "u", "step_id": "s", "clicks": 2}], "total_clicks": 2, "_metadata": {"count": 3}}'
    with simulated(1) as simulator:
        simulator.fault(endpoint=Endpoint.LINKS, body=body, times=None)

        found = examined(simulator)

    assert found["links"].verdict is Verdict.NOTE
    assert "1 link, 2 clicks, where SendGrid counts 3 links" in found["links"].text


def test_automation_without_statistics_is_said() -> None:
    with simulated(1) as simulator:
        simulator.fault(endpoint=Endpoint.LINKS, status=404, times=None)

        assert "check its id; one that has just started" in examined(simulator)["links"].advice


class Elsewhere:
    """The settings' base URL, and what it leads to."""

    base_url = ""
    api_key = KEY
    request_count = 0


def unreachable(base_url: str, *flags: str) -> Finding:
    where = Elsewhere()
    where.base_url = base_url
    (finding,) = examined(where, *flags).values()  # type: ignore[arg-type]
    assert finding.verdict is Verdict.WRONG
    return finding


def test_name_that_is_unknown_is_one_row() -> None:
    assert "check the host in sendgrid.base_url" in unreachable("https://no-such-host.invalid").advice


def test_port_where_nobody_listens_is_one_row() -> None:
    port = free_port()
    closed_port = unreachable(f"http://127.0.0.1:{port}")
    assert "Connection refused" in closed_port.text
    assert "check sendgrid.base_url" in closed_port.advice
    proxy = f"--sendgrid.proxy=http://user:word@127.0.0.1:{port}"
    refused = unreachable("https://api.sendgrid.com", proxy)
    assert "the proxy: " in refused.text
    assert "word" not in table([refused])


def test_unknown_authority_is_one_row() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with simulated(tls=context) as simulator:
        assert "name its authority in sendgrid.ca_file" in unreachable(simulator.base_url).advice


def test_silence_ends_with_the_timeout_and_is_one_row() -> None:
    with simulated() as simulator:
        simulator.fault(deliver=Delivery.STALL, times=None)

        assert "no complete answer in time" in unreachable(simulator.base_url, "--sendgrid.timeout=0.3s").text


def test_password_that_the_proxy_refuses_is_one_row_that_names_the_proxy() -> None:
    with simulated(1) as simulator:
        simulator.fault(Fault(status=407, times=None))

        assert unreachable(simulator.base_url).advice == "check sendgrid.proxy"


def test_login_page_in_place_of_sendgrid_is_one_row() -> None:
    page = Fault(body=b"<title>Log in</title>", times=None, headers=(("Content-Type", "text/html"),))
    with simulated(1) as simulator:
        simulator.fault(page)

        assert "whether a proxy answers in SendGrid's place" in unreachable(simulator.base_url).advice


def test_hostile_texts_stay_text_on_a_line_of_their_own() -> None:
    hostile = 'x\x1b[31m\u202e\n\r\x07<script>"' + "y" * 100_000
    body = json.dumps({"errors": [{"message": hostile}]}).encode()
    with simulated() as simulator:
        simulator.fault(endpoint=Endpoint.STATISTICS, status=403, body=body, times=None)
        simulator.fault(endpoint=Endpoint.SCOPES, body=b'{"scopes": ["\\u001b[31mmarketing.read"]}', times=None)

        shown = table(list(examined(simulator).values()))

    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown) < 5000


def test_signal_ends_the_questions_with_1() -> None:
    with simulated() as simulator:
        simulator.fault(deliver=Delivery.STALL, times=None)
        command = [*COMMAND, "--doctor", f"--sendgrid.base-url={simulator.base_url}", f"--automations={an_id(1)}"]
        with Process(command, env={"SENDGRID_API_KEY": simulator.api_key}) as process:
            wait_until(lambda: simulator.request_count >= 1, "the first question")
            assert process.stop(seconds=10) == 1
            assert "Traceback" not in process.log


@pytest.mark.parametrize(("key", "status"), [("good", 0), ("wrong", 1)])
def test_command_prints_the_table_and_exits_with_1_where_something_is_wrong(key: str, status: int) -> None:
    with simulated(1) as simulator:
        env = {"SENDGRID_API_KEY": simulator.api_key if key == "good" else KEY}

        run = run_exporter("--doctor", f"--sendgrid.base-url={simulator.base_url}", env=env)

        assert simulator.api_key not in run.stdout + run.stderr
    assert (run.returncode, run.stderr) == (status, "")
    assert re.search(r"^key +(ok|WRONG) ", run.stdout, re.MULTILINE)
    ends = "nothing to fix" if status == 0 else "1 thing to fix"
    assert run.stdout.splitlines()[-1] == ends
    assert max(map(len, run.stdout.splitlines())) <= 110


def test_command_needs_no_automations_and_goes_with_the_demo(tmp_path: Path) -> None:
    run = run_exporter("--doctor", "--demo", cwd=tmp_path)

    assert (run.returncode, run.stderr) == (0, "")
    assert "3 of 3 found in the account" in run.stdout
