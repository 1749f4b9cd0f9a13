"""`python -m sendgrid_simulator`: a simulated SendGrid API in a process of its own."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from sendgrid_simulator.catalog import generated_automations
from sendgrid_simulator.clock import SimulatedClock
from sendgrid_simulator.simulator import Simulator


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; print on stdout what a client needs."""
    options = _parser().parse_args(arguments)
    automations = generated_automations(
        options.seed,
        options.automations,
        options.links,
        clicks_per_day=options.clicks_per_day,
        click_rate=options.click_rate,
    )
    simulator = Simulator(
        automations,
        seed=options.seed,
        clock=SimulatedClock(options.speed),
        rate_limit=options.rate_limit,
        port=options.port,
        control=options.control,
    )
    simulator.behave(latency=options.latency)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.warm:
        simulator.warm()
    with simulator:
        sys.stdout.write(_summary(simulator))
        sys.stdout.flush()
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sendgrid_simulator", description="Serve a simulated SendGrid API on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free one)")
    parser.add_argument("--seed", type=int, default=1, help="everything follows from it (default: %(default)s)")
    parser.add_argument("--automations", type=int, default=3, help="number of automations (default: %(default)s)")
    parser.add_argument("--links", type=int, default=60, help="links of each (default: %(default)s)")
    parser.add_argument(
        "--clicks-per-day", type=float, default=2000.0, help="of each automation (default: %(default)s)"
    )
    parser.add_argument(
        "--click-rate",
        type=float,
        help="clicks per delivered mail (default: 0.02 to 0.05, from automation to automation)",
    )
    parser.add_argument("--speed", type=float, default=1.0, help="how fast clicks arrive (default: %(default)s)")
    parser.add_argument(
        "--rate-limit", type=int, default=600, help="requests a minute; 0 is no limit (default: %(default)s)"
    )
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer (default: %(default)s)")
    parser.add_argument("--warm", action="store_true", help="compute all clicks so far before serving")
    parser.add_argument("--control", action="store_true", help="take commands (faults and more) under /_simulator/")
    return parser


def _summary(simulator: Simulator) -> str:
    lines = [f"base_url={simulator.base_url}", f"api_key={simulator.api_key}"]
    lines += [f"automation={automation.id} {automation.name}" for automation in simulator.automations]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
