"""Look at the status page in a real browser, and write down what was found: `python -m tests.web.in_browser`.

An exporter polls a simulated SendGrid in which automations fail in every way that a person has to tell apart;
`tools/pictures/drawing/status.mjs` then does in Chromium what a person would do, and takes the pictures of
docs/status.md.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import yaml

from sendgrid_simulator import Row, Simulator, fixed
from sendgrid_simulator.account import AnyAutomation
from sendgrid_simulator.alterations import Alteration
from sendgrid_simulator.catalog import generated_automation
from sendgrid_simulator.clock import SimulatedClock
from sendgrid_simulator.faults import Fault
from sendgrid_simulator.messages import Endpoint
from tests.end_to_end.harness.process import ExporterProcess
from tests.programs import ROOT

RESULTS: Final = Path(__file__).parent / "status-results" / "chromium.txt"
BROWSER: Final = ROOT / "tools" / "pictures" / "drawing" / "status.mjs"
PICTURES: Final = ROOT / "docs" / "images"
LINK: Final = 'https://shop.example/checkout?step=2&note="><img src=x onerror=alert(1)>'
"""Only one automation has it."""
_STEP: Final = "11111111-2222-4333-8444-555555555555"
_MOVING: Final[Mapping[str, str]] = {
    "forbidden": "Win-back after 90 days",
    "missing": "Birthday offer 2024",
    "incomplete": "Trial to paid",
    "stale": "Loyalty milestones",
    "first": "Welcome series",
    "second": "Abandoned cart",
    "third": "Post-purchase care",
}
_STILL: Final[Mapping[str, str]] = {
    "waiting": "Back in stock",
    "idle": "Summer sale",
    "markup": "</script><script>alert(1)</script>",
    "attribute": "\" onmouseover=alert(1) x='",
    "backwards": "\u202eevil gnp.exe",
    "long": "unbroken" * 32,
    "words": "Grüße an alle, 日本 👩\u200d💻",
}

_FAULTS: Final[Mapping[str, Fault]] = {
    "forbidden": Fault(endpoint=Endpoint.LINKS, status=403, times=None),
    "missing": Fault(endpoint=Endpoint.LINKS, status=404, times=None),
    "incomplete": Fault(endpoint=Endpoint.LINKS, alter=Alteration.RESULTS_NULL, skip=1, times=None),
    "stale": Fault(endpoint=Endpoint.LINKS, status=503, skip=1, times=None),
    "waiting": Fault(endpoint=Endpoint.LINKS, delay=600.0, times=None),
}


def main() -> int:
    """Let the browser look; return 1 where it found something."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="where the pictures go")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        _troubled(Path(folder)) as (simulator, troubled),
        _refused(simulator) as refused,
        _thousand() as thousand,
    ):
        command = ["node", BROWSER, "--chromium", options.chromium, "--pictures", options.pictures, "--link", LINK]
        command += ["--troubled", f"http://{troubled.address}/", "--refused", f"http://{refused.address}/"]
        command += ["--thousand", f"http://{thousand.address}/", "--process", str(troubled.pid)]
        command += ["--simulator", f"{simulator.base_url}/_simulator/"]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(done.stdout)
    RESULTS.write_text(done.stdout, encoding="utf-8")
    return done.returncode


@contextmanager
def _troubled(folder: Path) -> Iterator[tuple[Simulator, ExporterProcess]]:
    """Run an exporter most of whose automations have a trouble of their own, or a hostile name."""
    clock = SimulatedClock(60.0)
    automations: dict[str, AnyAutomation] = {
        role: generated_automation(1, name, 30, clicks_per_day=60_000.0) for role, name in _MOVING.items()
    }
    automations |= {
        role: fixed(f"00000000-0000-4000-8000-{number:012}", _rows(role)) for number, role in enumerate(_STILL)
    }
    with Simulator(automations.values(), clock=clock, rate_limit=0, control=True) as simulator:
        for role, fault in _FAULTS.items():
            simulator.faults.add(replace(fault, automation=automations[role].id))
        names = [
            {"id": automations[role].id, "name": name, "interval": _interval(role)}
            for role, name in {**_MOVING, **_STILL}.items()
        ]
        config = folder / "exporter.yaml"
        document = {
            "automations": names,
            "sendgrid": {"base_url": simulator.base_url, "requests_per_minute": 6000, "timeout": 300},
            "poll": {"interval": 1, "concurrency": 8, "idle_after": 5, "idle_interval": 3600},
            "statistics": {"interval": 1},
            "discovery": {"mode": "report", "interval": 1},
        }
        config.write_text(yaml.safe_dump(document), encoding="utf-8")
        with ExporterProcess(f"--config.file={config}", env={"SENDGRID_API_KEY": simulator.api_key}) as exporter:
            yield simulator, exporter


@contextmanager
def _refused(simulator: Simulator) -> Iterator[ExporterProcess]:
    """Run an exporter whose key SendGrid refuses."""
    ids = ",".join(each.id for each in simulator.automations[-len(_STILL) + 1 :])
    env = {"SENDGRID_API_KEY": "SG.refused", "EXPORTER_SENDGRID__BASE_URL": simulator.base_url}
    with ExporterProcess(f"--automations={ids}", env=env) as exporter:
        yield exporter


@contextmanager
def _thousand() -> Iterator[ExporterProcess]:
    """Run an exporter with a thousand automations."""
    ids = [f"10000000-0000-4000-8000-{number:012}" for number in range(1000)]
    with Simulator([fixed(id_, _rows("idle")) for id_ in ids], rate_limit=0) as simulator:
        env = {"SENDGRID_API_KEY": simulator.api_key, "EXPORTER_SENDGRID__BASE_URL": simulator.base_url}
        flags = ("--sendgrid.requests-per-minute=100000", "--statistics.enabled=false")
        with ExporterProcess(
            f"--automations={','.join(ids)}", *flags, env=env, path="/-/ready", seconds=60
        ) as exporter:
            yield exporter


def _rows(role: str) -> tuple[Row, ...]:
    url = LINK if role == "markup" else f"https://shop.example/{role}"
    return (Row(_STEP, url, 0, 1234), Row(_STEP, "https://shop.example/", 1, 56))


def _interval(role: str) -> int:
    # The poll that hangs must have time to: its deadline is the interval.
    return 3600 if role == "waiting" else 1


if __name__ == "__main__":
    sys.exit(main())
