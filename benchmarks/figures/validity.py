"""Whether a real Prometheus takes what each program serves."""

import contextlib
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.content import content, help_texts
from benchmarks.measure import wait_until
from benchmarks.peers import static
from benchmarks.programs import MissingToolError, Program, free_port
from benchmarks.report import Row
from benchmarks.scraper import Request, fetch
from benchmarks.workload import Workload

_LINKS: Final = 10_000
_PEERS: Final = ("gauge", "collector", "golang")


def measure(bench: Bench) -> Iterator[Row]:
    """Let one Prometheus scrape us and every peer; yield how many samples it took from each."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(bench.ours(Workload(_LINKS))).ready()
        body = fetch(ours.port, Request())
        rows, helps = bench.input(Workload(_LINKS), help_texts(body))
        programs = {"ours": ours}
        for name in _PEERS:
            with contextlib.suppress(MissingToolError):
                programs[name] = stack.enter_context(bench.peer(name, rows, helps)).ready()
        with contextlib.suppress(MissingToolError):
            folder = bench.folder / "nginx-validity"
            nginx = static.start(folder, bench.log("nginx"), plain=body, compressed=static.compress(body))
            programs["nginx"] = stack.enter_context(nginx)
        try:
            prometheus = stack.enter_context(_prometheus(bench, programs))
        except MissingToolError as exc:
            yield Row.missing("prometheus", "a real Prometheus scrapes each program", str(exc))
            return
        wanted = content(body).samples
        taken = {name: _taken(prometheus.port, name) for name in programs}
        good = sum(up == 1 and samples >= wanted for up, samples in taken.values())
        figure = f"programs that a real Prometheus scrapes whole, {_LINKS} links"
        yield Row.at_least("prometheus", figure, good, len(programs), unit="programs", n=len(programs), raw=taken)


def _prometheus(bench: Bench, programs: dict[str, Program]) -> Program:
    binary = shutil.which("prometheus")
    if binary is None:
        raise MissingToolError("not checked: apt-get install prometheus")
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{p.port}"]}]} for name, p in programs.items()
    ]
    configuration = bench.folder / "prometheus.json"
    configuration.write_text(
        json.dumps({"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": jobs})
    )
    port = free_port()
    data: Path = bench.folder / "prometheus-data"
    argv = [
        binary,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    return Program("prometheus", argv, bench.log("prometheus")).ready_on(port)


def _taken(port: int, job: str) -> tuple[float, float]:
    """Return (up, samples) of the job's last scrape, once there was one."""
    wait_until(lambda: _value(port, f'up{{job="{job}"}}') is not None, 60, f"Prometheus's first scrape of {job}")
    up = _value(port, f'up{{job="{job}"}}') or 0.0
    return up, _value(port, f'scrape_samples_scraped{{job="{job}"}}') or 0.0


def _value(port: int, query: str) -> float | None:
    address = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
    with urllib.request.urlopen(address, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    found = answer["data"]["result"]
    return float(found[0]["value"][1]) if found else None
