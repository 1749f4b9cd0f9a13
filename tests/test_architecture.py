"""The architecture's rules hold in exporter/, and each rule notices when it is broken."""

import pytest

from tests.architecture import LAYERS, LONGEST, broken_rules
from tests.programs import ROOT

pytestmark = pytest.mark.unit


def test_exporter_keeps_the_architecture():
    files = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for package in ("exporter", "sendgrid_simulator")
        for path in sorted((ROOT / package).rglob("*.py"))
    }

    broken = broken_rules(files)

    assert not broken, "\n".join(["rules of the architecture (tests/architecture.py) that are broken:", *broken])


def test_architecture_page_names_every_unit():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    missing = [unit for unit in LAYERS if f"`{unit}" not in page and unit != "__main__"]

    assert not missing, f"docs/architecture.md says nothing of {missing}"


GOOD = {
    "exporter/__init__.py": '"""Say what it is."""\n',
    "exporter/domain.py": "import re\nfrom typing import Final\n_ID: Final = re.compile('x')\n",
    "exporter/errors.py": "from exporter.domain import Outcome\n",
    "exporter/clock.py": "import time\ndef now():\n    return time.time()\n",
    "exporter/settings/__init__.py": "from exporter.settings.schema import Group\n",
    "exporter/settings/schema.py": "import pydantic_settings\nfrom exporter import domain\n",
    "exporter/sendgrid/client.py": "import requests\nimport urllib3\nfrom exporter.errors import SendGridError\n",
    "exporter/telemetry.py": (
        "from collections.abc import Mapping\nfrom importlib import metadata\nfrom typing import Final\n"
        "from prometheus_client import CollectorRegistry, Counter, PlatformCollector, ProcessCollector\n"
        "NAMES: Final[Mapping[str, int]] = {'a': 1}\n__all__ = ['make']\n"
        "def make(registry: CollectorRegistry) -> Counter:\n"
        "    ProcessCollector(registry=registry)\n    PlatformCollector(registry)\n"
        "    return Counter('a', 'A.', registry=registry)\n"
    ),
    "exporter/polling/poller.py": "from exporter.polling import rhythm\n",
    "exporter/polling/rhythm.py": (
        "from datetime import UTC, datetime\ndef say(at):\n    return datetime.fromtimestamp(at, UTC)\n"
    ),
    "sendgrid_simulator/clock.py": "import time\n",
    "sendgrid_simulator/api.py": "from . import clock\nfrom .clock import Clock\n",
    "exporter/app.py": "from exporter.polling.poller import Poller\n",
    "exporter/cli.py": (
        "import sys\nfrom exporter.app import App\nfrom sendgrid_simulator.api import Api\n"
        "if __name__ == '__main__':\n    sys.exit(1)\n"
    ),
}


def test_a_tree_that_keeps_the_rules_is_not_blamed():
    assert broken_rules(GOOD) == []


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        (
            "exporter/domain.py",
            "from exporter.errors import X\n",
            "imports only point to a lower layer, but domain (0)",
        ),
        ("exporter/domain.py", "def f():\n    from exporter.store import X\n", "imports only point to a lower layer"),
        (
            "exporter/domain.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import exporter.app\n",
            "lower layer",
        ),
        (
            "exporter/labels.py",
            "from exporter.settings import X\n",
            "imports only point to a lower layer, but labels (1)",
        ),
        ("exporter/sendgrid/wire.py", "from ..store import X\n", "but sendgrid (2) imports exporter.store (4)"),
        ("exporter/sendgrid/wire.py", "from .. import store\n", "but sendgrid (2) imports exporter.store (4)"),
        ("exporter/app.py", "from exporter import cli\n", "but app (8) imports exporter.cli (10)"),
        ("exporter/store.py", "import exporter\n", "imports the package exporter"),
        ("exporter/__init__.py", "from exporter.app import App\n", "the package itself imports nothing of its own"),
        ("exporter/metrics.py", "", "metrics has no layer"),
        ("sendgrid_simulator/api.py", "from exporter.domain import X\n", "the simulator knows nothing of the exporter"),
        ("exporter/polling/poller.py", "from sendgrid_simulator import api\n", "only cli knows the simulator"),
        ("exporter/polling/poller.py", "import requests\n", "requests is only imported in exporter.sendgrid"),
        ("exporter/web/handlers.py", "from requests.adapters import X\n", "requests is only imported in"),
        ("exporter/web/handlers.py", "import urllib3.util\n", "urllib3 is only imported in exporter.sendgrid"),
        ("exporter/cli.py", "from pydantic_settings import X\n", "pydantic_settings is only imported in"),
        ("exporter/polling/poller.py", "import time\n", "time is only imported in exporter.clock"),
        ("exporter/polling/poller.py", "from time import monotonic\n", "time is only imported in exporter.clock"),
        ("sendgrid_simulator/api.py", "import time\n", "time is only imported in"),
        ("exporter/web/pages.py", "import datetime\nx = lambda: datetime.datetime.now()\n", "not by datetime.now()"),
        (
            "exporter/web/pages.py",
            "from datetime import date\ndef f():\n    return date.today()\n",
            "not by date.today()",
        ),
        ("exporter/app.py", "import importlib\nX = importlib.import_module('exporter.cli')\n", "hides an import"),
        ("exporter/telemetry.py", "from prometheus_client import REGISTRY\n", "global REGISTRY is not used"),
        (
            "exporter/telemetry.py",
            "import prometheus_client as p\ndef f():\n    return p.REGISTRY\n",
            "global REGISTRY",
        ),
        (
            "exporter/telemetry.py",
            "from prometheus_client import Gauge\ndef f():\n    Gauge('a', 'A.')\n",
            "without registry=",
        ),
        (
            "exporter/telemetry.py",
            "import prometheus_client\ndef f():\n    prometheus_client.Info('a', 'A.')\n",
            "without registry=",
        ),
        (
            "exporter/telemetry.py",
            "from prometheus_client import GCCollector\ndef f():\n    GCCollector()\n",
            "without registry=",
        ),
        ("exporter/store.py", "CACHE = {}\n", "CACHE is mutable state"),
        ("exporter/store.py", "from typing import Final\nNAMES: Final = ['a']\n", "NAMES is mutable state"),
        ("exporter/store.py", "SEEN: set[str] = set()\n", "SEEN is mutable state"),
        ("exporter/store.py", "SQUARES = {n: n * n for n in range(3)}\n", "SQUARES is mutable state"),
        ("exporter/store.py", "import threading\n_LOCK = threading.Lock()\n", "_LOCK is mutable state"),
        ("exporter/store.py", "N = 0\ndef f():\n    global N\n    N = 1\n", "`global N` changes the module's state"),
        ("exporter/app.py", "import logging\nlogging.captureWarnings(True)\n", "runs at import"),
        ("exporter/app.py", "for n in (1, 2):\n    pass\n", "a module only defines"),
        ("exporter/app.py", "with open('/etc/hosts') as f:\n    pass\n", "a module only defines"),
        ("exporter/app.py", "import os\nKEY = os.environ['KEY']\n", "the environment is read at import"),
        ("exporter/app.py", "import os\nKEY = os.getenv('KEY')\n", "reaches outside at import"),
        (
            "exporter/about.py",
            "from importlib import metadata\nVERSION = metadata.version('x')\n",
            "reaches outside at import",
        ),
        ("exporter/web/toolkit/tls.py", "from exporter.errors import X\n", "imports nothing of the exporter outside"),
        ("exporter/web/toolkit/tls.py", "from exporter.web import ports\n", "imports nothing of the exporter outside"),
        ("exporter/web/http/parser.py", "from exporter.web.pages import X\n", "does not know exporter.web.pages"),
        ("exporter/web/http/parser.py", "from exporter.web.toolkit import tls\n", "does not know exporter.web.toolkit"),
        ("exporter/web/utils.py", "", "the name says nothing"),
        ("exporter/web/long.py", "\n" * (LONGEST + 1), f"at most {LONGEST} lines"),
    ],
)
def test_broken_rule_is_named(path, text, rule):
    broken = broken_rules({**GOOD, path: text})

    assert any(rule in sentence for sentence in broken), broken


def test_imports_in_a_circle_are_named():
    circle = {
        "exporter/web/a.py": "from exporter.web import b\n",
        "exporter/web/b.py": "from exporter.web.c import C\n",
        "exporter/web/c.py": "import exporter.web.a\n",
    }

    assert broken_rules(circle) == [
        "exporter.web.a → exporter.web.b → exporter.web.c → exporter.web.a: imports in a circle",
    ]
