"""The rate limit: a token bucket for each client."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.web.toolkit.config_file import RateLimit

_MOST_CLIENTS: Final = 4096
"""Buckets kept, about 1 MB; a client whose bucket was dropped begins with a full one."""
_IPV6_HOST_BITS: Final = 64


class _Bucket(NamedTuple):
    tokens: float
    counted_at: float


class ClientRateLimit:
    """Lets a client's requests pass as long as its bucket has tokens; one client cannot use up another's.

    A bucket begins full, and so do all of them when the rules change.
    """

    def __init__(self, monotonic: Callable[[], float], *, most_clients: int = _MOST_CLIENTS) -> None:
        self._monotonic = monotonic
        self._most = most_clients
        self._rules: RateLimit | None = None
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        """In the order of the last request, the oldest first."""

    def allows(self, rules: RateLimit | None, address: str) -> bool:
        """Take a token of the client at this address; return whether there was one. Without rules there always is."""
        if rules != self._rules:
            self._rules = rules
            self._buckets.clear()
        if rules is None:
            return True
        client, now = client_of(address), self._monotonic()
        bucket = self._buckets.pop(client, None) or _Bucket(float(rules.burst), now)
        tokens = min(bucket.tokens + (now - bucket.counted_at) / rules.interval, float(rules.burst))
        passes = tokens >= 1
        self._buckets[client] = _Bucket(tokens - passes, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return passes


def client_of(address: str) -> str:
    """Return the client that an IP address belongs to: for IPv6 its /64, which is one network (RFC 4291, 2.5.1).

    An IPv4 address that a dual-stack socket writes as IPv6 (`::ffff:192.0.2.7`) is the IPv4 address.
    """
    if ":" not in address:
        return address
    try:
        number = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(number) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)}/{_IPV6_HOST_BITS}"
