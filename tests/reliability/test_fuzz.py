"""The properties of any input from outside, tried shortly; `make fuzz` tries them for long."""

import pytest
from hypothesis import settings

from tests.reliability.fuzz import PROPERTIES


@pytest.mark.parametrize("name", PROPERTIES)
def test_it_holds_for_any_input(name):
    settings(max_examples=150, deadline=None)(PROPERTIES[name])()
