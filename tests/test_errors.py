import re

import pytest

from exporter import errors
from exporter.domain import Outcome
from tests.factories import some_stats

pytestmark = pytest.mark.unit


def subclasses(root: type) -> list[type]:
    return [found for child in root.__subclasses__() for found in (child, *subclasses(child))]


def test_tree_in_the_docstring_is_the_tree_of_the_classes():
    drawn = re.findall(r"^[│ ]*[├└]── (\w+)", errors.__doc__ or "", flags=re.MULTILINE)

    assert sorted(drawn) == sorted(found.__name__ for found in subclasses(errors.ExporterError))


def test_every_outcome_of_a_failed_poll_has_one_error():
    outcomes = [found.outcome for found in subclasses(errors.SendGridError) if "outcome" in vars(found)]

    assert sorted(outcomes) == sorted(set(Outcome) - {Outcome.SUCCESS, Outcome.INTERNAL_ERROR})


def test_configuration_error_keeps_its_problems_and_says_them_all():
    error = errors.ConfigurationError(["poll.interval: too short", "automations: none given"])

    assert error.problems == ("poll.interval: too short", "automations: none given")
    assert str(error) == "poll.interval: too short; automations: none given"


def test_sendgrid_error_carries_what_sendgrid_asked_to_wait():
    assert errors.RateLimitedError("slow down", retry_after=7).retry_after == 7
    assert errors.RateLimitedError("slow down").retry_after is None


def test_incomplete_error_carries_what_can_be_published_should_it_last():
    assert errors.IncompleteError("a row is missing", stats=some_stats()).stats == some_stats()
    assert errors.IncompleteError("no rows").stats is None


@pytest.mark.parametrize("kind", subclasses(errors.SendGridError))
def test_a_passing_failure_is_one_that_a_repeated_request_may_mend(kind):
    passing = {Outcome.RATE_LIMITED, Outcome.SERVER_ERROR, Outcome.TIMEOUT, Outcome.CONNECTION_ERROR}

    assert kind.transient is (kind.outcome in passing)
