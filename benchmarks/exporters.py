"""The exporter as its users start it, and a simulated API for it, each in a process of its own."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from benchmarks.bench import Bench
from benchmarks.measure import wait_until
from benchmarks.programs import Program, free_port, python
from benchmarks.scraper import Request, fetch
from benchmarks.workload import Workload

_COMMAND: Final = Path(sys.executable).with_name("sendgrid-automation-exporter")


class Api:
    """A simulated SendGrid with fixed rows."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.base_url: str = program.told["base_url"]
        self.key: str = program.told["api_key"]

    def span(self, requests: int) -> float | None:
        """Return the seconds from the first request to the one of that number, None while it has not come."""
        answer = self.program.ask(requests=requests)
        return None if answer["span"] is None else float(answer["span"])


def start_api(bench: Bench, workload: Workload, *, latency: float) -> Api:
    """Start the API; use its program in a `with` block."""
    numbers = (str(workload.links), str(workload.each), str(latency))
    return Api(python("api", "benchmarks.api", *numbers, log=bench.log("api")).ready())


def start_exporter(bench: Bench, api: Api, workload: Workload, *, interval: float, concurrency: int) -> Program:
    """Start the installed exporter on the API; it is ready as soon as it accepts connections."""
    port = free_port()
    configuration = {
        "automations": [{"id": automation_id} for automation_id in workload.ids()],
        "sendgrid": {"base_url": api.base_url, "requests_per_minute": 100_000},
        "poll": {"interval": interval, "concurrency": concurrency},
        "web": {"listen_address": f"127.0.0.1:{port}"},
        "log": {"level": "warning"},
    }
    file = _written(bench, configuration)
    key = {"SENDGRID_API_KEY": api.key}
    log = bench.log("exporter")
    return python("exporter", "exporter", "--config.file", str(file), log=log, environment=key).ready_on(port)


def start_alone(bench: Bench, api: Api, *, base_url: str | None = None) -> Program:
    """Start the installed command with flags alone, for the first automation of the API."""
    flags = (f"--automations={Workload(1, 1).ids()[0]}", f"--sendgrid.base-url={base_url or api.base_url}")
    return _command(bench, "alone", *flags, environment={"SENDGRID_API_KEY": api.key})


def start_demo(bench: Bench) -> Program:
    """Start the exporter's demo."""
    return _command(bench, "demo", "--demo")


def _command(bench: Bench, name: str, *flags: str, environment: Mapping[str, str] = MappingProxyType({})) -> Program:
    """Start the installed command; it is ready as soon as it accepts connections.

    It may write what Python compiles, as a package manager does when it installs: only the first start compiles then.
    """
    port = free_port()
    argv = [str(_COMMAND), *flags, f"--web.listen-address=127.0.0.1:{port}", "--log.level=warning"]
    variables = {"PYTHONDONTWRITEBYTECODE": "", **environment}
    return Program(name, argv, bench.log(name), environment=variables).ready_on(port)


def wait_ready(exporter: Program, seconds: float) -> None:
    """Wait until every automation has been tried once."""

    def ready() -> bool:
        try:
            fetch(exporter.port, Request(path="/-/ready"))
        except OSError:
            return False
        return True

    wait_until(ready, seconds, "the exporter's readiness")


def value_of(exporter: Program, series: str) -> float:
    """Return the value of one series of the exporter's own metrics."""
    family = series.partition("{")[0]
    for line in fetch(exporter.port, Request(query=f"?name[]={family}")).decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    raise LookupError(f"the exporter does not expose {series}")


def _written(bench: Bench, configuration: Mapping[str, object]) -> Path:
    # JSON is YAML, so nothing else is needed to write the exporter's own format.
    file = bench.log("configuration").with_suffix(".yaml")
    file = file.with_stem(f"{file.stem}-{len(list(bench.folder.glob('*.yaml')))}")
    file.write_text(json.dumps(configuration))
    return file
