import pytest

from exporter.web.toolkit.config_file import RateLimitRule
from exporter.web.toolkit.passwords import ClientRateLimit, client_of

pytestmark = pytest.mark.unit


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limit(clock):
    return ClientRateLimit(clock.monotonic)


def test_burst_passes_and_no_more(limit):
    rules = RateLimitRule(1.0, 3)

    assert [limit.allows(rules, "192.0.2.7") for _ in range(5)] == [True] * 3 + [False] * 2


def test_token_comes_back_with_each_interval(limit, clock):
    rules = RateLimitRule(2.0, 1)
    passed = []

    for _ in range(6):
        passed.append(limit.allows(rules, "192.0.2.7"))
        clock.now += 1.0

    assert passed == [True, False] * 3


def test_tokens_do_not_pile_up_beyond_the_burst(limit, clock):
    rules = RateLimitRule(1.0, 2)
    limit.allows(rules, "192.0.2.7")
    clock.now += 100_000

    assert [limit.allows(rules, "192.0.2.7") for _ in range(3)] == [True, True, False]


def test_new_rules_begin_with_a_full_bucket(limit):
    limit.allows(RateLimitRule(1.0, 1), "192.0.2.7")

    assert limit.allows(RateLimitRule(1.0, 2), "192.0.2.7")


def test_one_client_cannot_use_up_anothers_tokens(limit):
    rules = RateLimitRule(1.0, 2)
    flood = [limit.allows(rules, "198.51.100.1") for _ in range(100)]

    assert flood.count(True) == 2
    assert limit.allows(rules, "192.0.2.7")


def test_flood_from_many_addresses_is_bounded_in_memory_and_refuses_nobody_else(clock):
    limit = ClientRateLimit(clock.monotonic, most_clients=100)
    rules = RateLimitRule(3600.0, 1)
    assert limit.allows(rules, "192.0.2.7")
    assert not limit.allows(rules, "192.0.2.7")
    for number in range(10_000):
        limit.allows(rules, f"10.0.{number // 256}.{number % 256}")

    assert limit.allows(rules, "192.0.2.7")
    assert len(limit._buckets) == 100


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_network(address, client):
    assert client_of(address) == client
