import socket

import pytest

from tests.network import NetworkBlockedError, is_loopback, loopback_only

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "localhost", "api.localhost"])
def test_hosts_of_this_machine_are_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "10.0.0.1", "fe80::1%eth0", "2001:db8::1", "localhost.example", "api.sendgrid.com", ""]
)
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_connection_to_another_machine_is_refused_and_told(method):
    with (
        loopback_only() as refused,
        socket.socket() as client,
        pytest.raises(NetworkBlockedError, match=r"192\.0\.2\.1"),
    ):
        getattr(client, method)(("192.0.2.1", 443))

    assert refused == ["192.0.2.1"]


def test_look_up_of_another_name_is_refused_and_told():
    with loopback_only() as refused, pytest.raises(NetworkBlockedError, match=r"api\.sendgrid\.com"):
        socket.create_connection(("api.sendgrid.com", 443))

    assert refused == ["api.sendgrid.com"]


def test_invalid_name_fails_as_a_resolver_fails_and_is_no_offence():
    with loopback_only() as refused, pytest.raises(socket.gaierror):
        socket.getaddrinfo("sendgrid.invalid", 443)

    assert refused == []


def test_names_of_this_machine_are_looked_up():
    with loopback_only() as refused:
        addresses = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    assert addresses[0][4] == ("127.0.0.1", 80)
    assert refused == []
