"""systemd opens the port: the example unit, and the exporter behind a socket that was passed to it."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.chart import AUTOMATION, ROOT
from tests.end_to_end.harness.exchange import exchange, free_port
from tests.end_to_end.harness.process import COMMAND, Process, run_exporter
from tests.programs import needs, program

UNIT: Final = ROOT / "deploy" / "systemd" / "sendgrid-automation-exporter.socket"
FLAGS: Final = ("--web.systemd-socket", f"--automations={AUTOMATION}", "--sendgrid.base-url=http://127.0.0.1:9")
KEY: Final = {"SENDGRID_API_KEY": "SG.of-a-test"}


@contextmanager
def activated(*listen: str) -> Iterator[Process]:
    """Run the exporter as systemd does, once somebody connects to one of the addresses."""
    words = [word for address in listen for word in ("--listen", address)]
    command = [program("systemd-socket-activate"), *words, "--setenv=SENDGRID_API_KEY", *COMMAND, *FLAGS]
    with Process(command, env=KEY) as process:
        yield process


@needs("systemd-socket-activate")
def test_every_socket_of_systemd_is_served_and_no_other() -> None:
    first, second, unused = (f"127.0.0.1:{free_port()}" for _ in range(3))
    with activated(first, second) as process:
        process.wait_while_alive(lambda: exchange(f"http://{first}/-/healthy").status == 200, "the first answers")

        assert exchange(f"http://{second}/metrics").status == 200
        listening = re.findall(r'msg="listening on (\S+) without TLS"', process.log)
        assert listening == [first, second]
        assert unused not in process.log
        assert process.stop() == 0


@needs("systemd-socket-activate")
def test_a_socket_that_takes_no_streams_ends_the_start_with_a_sentence() -> None:
    address = f"127.0.0.1:{free_port()}"
    command = [program("systemd-socket-activate"), "--datagram", "--listen", address]
    with Process([*command, "--setenv=SENDGRID_API_KEY", *COMMAND, *FLAGS], env=KEY) as process:
        host, _, port = address.partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            process.wait_while_alive(lambda: "Listening on" in process.log, "systemd listens")
            sender.sendto(b"x", (host, int(port)))
        assert process.wait() == 1
        assert "descriptor 3 listens for no streams; give the .socket unit ListenStream= and Accept=no" in process.log


def test_without_systemd_the_flag_ends_the_start_with_a_sentence() -> None:
    run = run_exporter(*FLAGS, env=KEY)

    assert run.returncode == 1
    assert "--web.systemd-socket: systemd passed no socket on; start the .socket unit" in run.stderr


@needs("systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    for name in (UNIT.name, UNIT.with_suffix(".service").name):
        text = (UNIT.parent / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={sys.executable}", text, flags=re.MULTILINE))
    done = subprocess.run(
        [program("systemd-analyze"), "verify", tmp_path / UNIT.name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, [line for line in done.stderr.splitlines() if "sendgrid" in line]) == (0, [])


def test_the_unit_opens_the_default_port() -> None:
    assert "ListenStream=10154" in UNIT.read_text().splitlines()


@pytest.mark.parametrize("word", ["--web.systemd-socket", "sendgrid-automation-exporter.socket"])
def test_the_page_on_systemd_says_how(word: str) -> None:
    assert word in (ROOT / "docs" / "systemd.md").read_text()
