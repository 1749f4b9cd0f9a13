import pytest

from exporter.web.config_file import RateLimit
from exporter.web.rate import TokenBucket


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def wait(self, event, seconds):
        self.now += seconds
        return event.is_set()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bucket(clock):
    return TokenBucket(clock)


def test_burst_passes_and_no_more(bucket):
    rules = RateLimit(1.0, 3)

    assert [bucket.allows(rules) for _ in range(5)] == [True] * 3 + [False] * 2


def test_token_comes_back_with_each_interval(bucket, clock):
    rules = RateLimit(2.0, 1)
    passed = []

    for _ in range(6):
        passed.append(bucket.allows(rules))
        clock.now += 1.0

    assert passed == [True, False] * 3


def test_tokens_do_not_pile_up_beyond_the_burst(bucket, clock):
    rules = RateLimit(1.0, 2)
    bucket.allows(rules)
    clock.now += 100_000

    assert [bucket.allows(rules) for _ in range(3)] == [True, True, False]


def test_new_rules_begin_with_a_full_bucket(bucket):
    bucket.allows(RateLimit(1.0, 1))

    assert bucket.allows(RateLimit(1.0, 2))


def test_without_rules_everything_passes(bucket):
    assert all(bucket.allows(None) for _ in range(1000))
