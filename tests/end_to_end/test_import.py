"""Importing the exporter does nothing but define it: looked at in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

from tests.programs import ROOT

pytestmark = pytest.mark.e2e

LOOK = """
import json, logging, os, pkgutil, signal, sys, threading
import urllib3  # tries at its import whether the machine has IPv6
import exporter

EFFECTS = {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir", "sqlite3.connect"}
seen = []

def watch(event, arguments):
    if event in EFFECTS:
        seen.append(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        seen.append(f"{arguments[0]} opened to write")

def process():
    return dict(os.environ), [signal.getsignal(number) for number in signal.valid_signals()]

names = [module.name for module in pkgutil.walk_packages(exporter.__path__, "exporter.")]
sys.dont_write_bytecode = True
before = process()
sys.addaudithook(watch)
for name in names:
    if not name.endswith("__main__"):
        __import__(name)
seen += ["environment or signals changed"] * (before != process())
print(json.dumps({"seen": seen, "threads": threading.active_count(), "handlers": len(logging.getLogger().handlers)}))
"""


def test_importing_every_module_opens_starts_and_changes_nothing():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"seen": [], "threads": 1, "handlers": 0}
