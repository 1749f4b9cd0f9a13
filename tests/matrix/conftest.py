"""One set of authorities for all rows: reading them takes longer than most rows do."""

import pytest

from exporter.sendgrid.transport import ClientOptions, deadline_adapters
from tests.matrix.rig import Adapters


@pytest.fixture(scope="session")
def adapters() -> Adapters:
    return deadline_adapters(ClientOptions("https://sendgrid.test", 30, 50, "matrix"))
