"""The help and the reference, against the keys themselves."""

import pytest

from exporter.settings import Settings, help_text, reference

pytestmark = pytest.mark.unit


def test_help_fits_a_terminal_of_80_columns() -> None:
    assert max(len(line) for line in help_text().splitlines()) <= 80


def test_help_names_every_flag_and_variable_once_as_an_entry() -> None:
    lines = help_text().splitlines()

    for row in reference():
        assert sum(line.strip(" ()").split(" ")[-1] == row.variable for line in lines) == 1, row.key
        if row.flag is not None:
            assert sum(line.split(" ")[2:3] == [row.flag] for line in lines) == 1, row.key


def test_help_names_the_modes_and_the_exit_codes() -> None:
    text = help_text()

    for word in ("--check", "--once", "--demo", "--version", "-h, --help", "Exit codes", "  2  wrong configuration"):
        assert word in text


def test_reference_names_every_key_of_the_settings() -> None:
    settings = Settings()
    groups = ("sendgrid", "poll", "labels", "web", "log", "state", "shard")
    keys = {f"{group}.{name}" for group in groups for name in type(getattr(settings, group)).model_fields}

    assert {row.key for row in reference()} == keys | {"config.file", "automations"}


def test_reference_tells_a_meaning_for_every_key() -> None:
    assert all(row.meaning.endswith(".") for row in reference())


def test_reference_spells_names_in_each_sources_way() -> None:
    row = next(row for row in reference() if row.key == "poll.stale_after")

    assert (row.flag, row.variable, row.default) == ("--poll.stale-after", "EXPORTER_POLL__STALE_AFTER", "3 intervals")


def test_key_has_no_flag() -> None:
    assert [row.key for row in reference() if row.flag is None] == ["sendgrid.api_key"]
