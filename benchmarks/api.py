"""`python -m benchmarks.api LINKS EACH LATENCY`: a simulated SendGrid with fixed rows, and a record of its requests.

It prints one line of JSON with its address and key; asked on stdin for a number of requests, it answers with the span
from the first to that one.
"""

import json
import sys
from typing import Final
from urllib.parse import urlsplit

from benchmarks.workload import Workload
from sendgrid_simulator import FixedAutomation, Row, Simulator

_REMEMBERED: Final = 100_000
"""Requests: more than a sweep makes."""


def main() -> None:
    """Serve until stdin is closed."""
    links, each, latency = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    simulator = Simulator(automations(Workload(links, each)), rate_limit=0, record_requests=_REMEMBERED)
    simulator.behave(latency=latency)
    with simulator:
        told = {"port": urlsplit(simulator.base_url).port, "base_url": simulator.base_url, "api_key": simulator.api_key}
        print(json.dumps(told), flush=True)
        for line in sys.stdin:
            print(json.dumps({"span": span(simulator, json.loads(line)["requests"])}), flush=True)


def automations(workload: Workload) -> list[FixedAutomation]:
    """Return the workload as the simulator's account holds it."""
    account = []
    for number, automation_id in enumerate(workload.ids()):
        rows = tuple(Row(row.step_id, row.url, int(row.url_location), row.clicks) for row in workload.rows(number))
        account.append(FixedAutomation(automation_id, automation_id, rows, sum(row.clicks for row in rows)))
    return account


def span(simulator: Simulator, requests: int) -> float | None:
    """Return the seconds from the first request to the one of that number."""
    seen = simulator.requests
    return seen[requests - 1].time - seen[0].time if len(seen) >= requests else None


if __name__ == "__main__":
    main()
