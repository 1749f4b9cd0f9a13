"""Durations, and that nothing a person can write gets anything but a value or a sentence."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import ConfigurationError
from exporter.settings import Mode, duration_text, load
from exporter.settings.values import duration

pytestmark = pytest.mark.unit

YEAR = 366 * 86400.0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (30, 30.0),
        (0.5, 0.5),
        ("30", 30.0),
        (" 30s ", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1w2d3h4m5s6ms", 788645.006),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
    ],
)
def test_duration_is_read_in_seconds(written: object, seconds: float) -> None:
    assert duration(0.001, YEAR)(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", [True, None, [], {}, "", "1y", "5 m", "m", "1e3", "+5", "0x5", "1_0", b"5", "5mm"])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"must be a duration|is empty"):
        duration(0.001, YEAR)(written)


@pytest.mark.parametrize("written", [math.nan, math.inf, -math.inf, -1, 0, 10**400, "9" * 500, 1e308])
def test_duration_out_of_bounds_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        duration(0.001, YEAR)(written)


@given(st.integers(min_value=1, max_value=10**9))
def test_duration_text_is_read_back_as_the_same_duration(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert duration(0.001, YEAR)(duration_text(seconds)) == pytest.approx(seconds)


def test_no_duration_at_all_is_written_as_a_zero() -> None:
    assert duration_text(0.0) == "0s"


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(st.text(), st.from_regex(r"--(poll|web|log)\.[a-z_-]{1,12}(=\w*)?", fullmatch=True)), max_size=6
    ),
    st.dictionaries(
        st.sampled_from(
            ["EXPORTER_AUTOMATIONS", "EXPORTER_POLL__INTERVAL", "EXPORTER_SENDGRID__BASE_URL", "SENDGRID_API_KEY"]
        ),
        st.text(),
    ),
)
def test_any_arguments_and_variables_give_settings_or_sentences(
    arguments: list[str], environment: Mapping[str, str]
) -> None:
    problems: tuple[str, ...] = ()
    loaded = None
    mode = Mode.SERVE

    try:
        invocation = load(arguments, environment)
        mode, loaded = invocation.mode, invocation.settings
    except ConfigurationError as exc:
        problems = exc.problems

    assert problems or loaded or mode in (Mode.HELP, Mode.VERSION)
    assert all(problem.isprintable() for problem in problems)


@settings(deadline=None, max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_file_of_data_gives_sentences(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    file = tmp_path_factory.mktemp("any") / "exporter.yaml"
    file.write_text(f"automations: {content!r}\nweb: {content!r}\npoll: {{interval: {content!r}}}", encoding="utf-8")

    with pytest.raises(ConfigurationError):
        load(["--config.file", str(file)], {})
