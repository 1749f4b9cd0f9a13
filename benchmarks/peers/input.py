"""What a peer written in Python reads, and how it says that it serves."""

import argparse
import json
import threading
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, start_http_server


class Arguments(NamedTuple):
    """A peer's command line."""

    rows: Path
    """A file written by `benchmarks.workload`."""
    helps: dict[str, str]
    """The HELP texts of the families, so that all programs serve the same lines."""


def arguments() -> Arguments:
    """Read the command line of a peer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", type=Path)
    parser.add_argument("helps", type=Path)
    given = parser.parse_args()
    return Arguments(given.rows, json.loads(given.helps.read_text()))


def serve(registry: CollectorRegistry) -> None:
    """Serve the registry as prometheus_client does, `make_wsgi_app` behind its own server, until it is ended."""
    server, _ = start_http_server(0, "127.0.0.1", registry=registry)
    print(json.dumps({"port": server.server_port}), flush=True)
    threading.Event().wait()
